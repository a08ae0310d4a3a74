/* SPDX-License-Identifier: BSD-3-Clause */
#include "deliverint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "dp_suite.h"
#include "pkg.h"
#include "sdp.h"

/* --- create, destroy --- */

static uint64_t draw(void)
{
	uint64_t v = 0;

	if (getrandom(&v, sizeof(v), 0) != sizeof(v))
		return 0;
	return v;
}

static uint64_t wall_us(void)
{
	struct timespec ts = {0};

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

struct dp_deliver *dp_deliver_create(const struct dp_deliver_ops *ops, void *ctx, uint32_t max_gw,
                                     uint32_t max_txn)
{
	static const struct dp_txn_ops txn_ops = {dp_deliver_transmit, dp_deliver_end, dp_deliver_respond};
	struct dp_deliver *d;
	uint64_t seed = ops->seed != 0 ? ops->seed : draw();
	uint64_t wall = ops->wall_us != 0 || ops->seed != 0 ? ops->wall_us : wall_us();
	uint32_t size = 16;

	if (max_gw == 0 || max_gw > DP_GW_MAX || seed == 0)
		return NULL;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return NULL;
	while (size < 2 * max_gw)
		size *= 2;
	d->ops = *ops;
	d->ctx = ctx;
	d->max_gw = max_gw;
	d->max_txn = max_txn;
	d->addr_mask = size - 1;
	d->hash_key = seed * 0x9e3779b97f4a7c15ull;
	d->txn = dp_txn_create(&txn_ops, d, max_gw, max_txn, 1024 + 2 * max_txn + 4 * max_gw, seed);
	d->gw = calloc(max_gw, sizeof(*d->gw));
	d->cmd = calloc(max_txn, sizeof(*d->cmd));
	d->slot_of = malloc(DP_GW_MAX * sizeof(*d->slot_of));
	d->by_addr = malloc(size * sizeof(*d->by_addr));
	if (d->txn == NULL || d->gw == NULL || d->cmd == NULL || d->slot_of == NULL ||
	    d->by_addr == NULL) {
		dp_deliver_destroy(d);
		return NULL;
	}
	if (ops->parts > 1)
		dp_txn_tids(d->txn, DP_MGCP_TID_MAX / ops->parts * ops->part + 1,
		            DP_MGCP_TID_MAX / ops->parts * (ops->part + 1u));
	if (wall != 0)
		dp_txn_wall(d->txn, wall);
	memset(d->slot_of, 0xff, DP_GW_MAX * sizeof(*d->slot_of));
	memset(d->by_addr, 0xff, size * sizeof(*d->by_addr));
	for (uint32_t i = 0; i < max_gw; i++)
		d->gw[i].hnext = i + 1 < max_gw ? i + 1 : NONE;
	return d;
}

void dp_deliver_destroy(struct dp_deliver *d)
{
	if (d == NULL)
		return;
	if (d->cmd != NULL)
		explicit_bzero(d->cmd, d->max_txn * sizeof(*d->cmd));
	explicit_bzero(d->tx, sizeof(d->tx));
	d->piggy_cnt = 0;
	dp_txn_destroy(d->txn);
	free(d->gw);
	free(d->cmd);
	free(d->slot_of);
	free(d->by_addr);
	free(d);
}

/* --- commands --- */

static bool id_valid(const char *s, size_t size, bool needed)
{
	struct dp_mgcp_str v = {s, (uint16_t)strnlen(s, size)};

	return v.len == 0 ? !needed : v.len < size && dp_mgcp_id_valid(&v);
}

static bool media_valid(const struct dp_mgcp_media *m)
{
	if (m->addr.family == 0)
		return m->suite == DP_SRTP_NONE;
	return dp_deliver_addr_ok(&m->addr) && (m->suite == DP_SRTP_NONE || dp_suite(m->suite) != NULL) && m->pt < 128 &&
	       m->telephone_event < 128 && m->mki_len <= sizeof(m->mki) && m->kdr <= 24 && m->lifetime <= 48 &&
	       (m->flags & ~DP_MGCP_SRTP_ALL) == 0 && dp_sdp_audio_ok(m);
}

/* What no gateway could know is not asked for. */
static bool events_valid(const char *s, size_t size, bool signals)
{
	struct dp_mgcp_str list = {s, (uint16_t)strnlen(s, size)};
	uint32_t pkgs;

	return list.len == 0 || (dp_deliver_text_ok(s, size, false) &&
				 (signals ? dp_pkg_signals(&list, &pkgs) : dp_pkg_events(&list, &pkgs)) == 0);
}

static bool cmd_valid(const struct dp_mgcp_cmd *c)
{
	bool conn = c->verb == DP_MGCP_CRCX || c->verb == DP_MGCP_MDCX;

	switch (c->verb) {
	case DP_MGCP_EPCF:
	case DP_MGCP_CRCX:
	case DP_MGCP_MDCX:
	case DP_MGCP_DLCX:
	case DP_MGCP_RQNT:
	case DP_MGCP_AUEP:
	case DP_MGCP_AUCX:
		break;
	default:
		return false;
	}
	return c->endpoint[0] != '\0' && dp_deliver_text_ok(c->endpoint, sizeof(c->endpoint), true) &&
	       events_valid(c->events, sizeof(c->events), false) && events_valid(c->signals, sizeof(c->signals), true) &&
	       id_valid(c->call_id, sizeof(c->call_id), conn || (c->conn_id[0] != '\0' && c->verb != DP_MGCP_AUCX)) &&
	       id_valid(c->conn_id, sizeof(c->conn_id),
	                c->verb == DP_MGCP_MDCX || c->verb == DP_MGCP_AUCX) &&
	       id_valid(c->request_id, sizeof(c->request_id),
	                c->verb == DP_MGCP_RQNT || c->events[0] != '\0' || c->signals[0] != '\0') &&
	       media_valid(&c->media) && (conn || c->media.addr.family == 0) &&
	       (conn ? c->mode < DP_MGCP_M_MAX : c->mode == DP_MGCP_M_NONE) &&
	       (c->verb != DP_MGCP_CRCX || c->mode != DP_MGCP_M_NONE);
}

static int ask_valid(const struct dp_mgcp_ask *a)
{
	bool conn = a->verb == DP_MGCP_DLCX || a->verb == DP_MGCP_AUCX;
	uint32_t pkgs;

	switch (a->verb) {
	case DP_MGCP_EPCF:
	case DP_MGCP_RQNT:
	case DP_MGCP_DLCX:
	case DP_MGCP_AUEP:
	case DP_MGCP_AUCX:
		break;
	default:
		return -EBADMSG;
	}
	if (a->endpoint[0] == '\0' || !dp_deliver_text_ok(a->endpoint, sizeof(a->endpoint), true) ||
	    !id_valid(a->call_id, sizeof(a->call_id), false) || (!conn && (a->call_id[0] != '\0' || a->conn_id[0] != '\0')) ||
	    !id_valid(a->conn_id, sizeof(a->conn_id), a->verb == DP_MGCP_AUCX) ||
	    (a->verb == DP_MGCP_DLCX && a->conn_id[0] != '\0' && a->call_id[0] == '\0') ||
	    !id_valid(a->request_id, sizeof(a->request_id), a->verb == DP_MGCP_RQNT))
		return -EBADMSG;
	/* A request inside another command has its identifier too. */
	if (a->verb == DP_MGCP_DLCX && (a->params[0] != '\0') != (a->request_id[0] != '\0'))
		return -EBADMSG;
	return dp_mgcp_params_check(a->verb, a->params, sizeof(a->params), &pkgs);
}

uint64_t dp_deliver_order(const struct dp_deliver *d, uint8_t verb, const char *endpoint)
{
	uint8_t kind = verb == DP_MGCP_MDCX || verb == DP_MGCP_DLCX ? DP_MGCP_CRCX : verb == DP_MGCP_AUCX ? DP_MGCP_AUEP : verb;
	uint64_t h = hash_bytes(d->hash_key, &kind, 1);

	for (const char *p = endpoint; *p != '\0'; p++) {
		uint8_t lower = (uint8_t)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);

		if (*p == '*' || *p == '$')
			return 0;
		h = hash_bytes(h, &lower, 1);
	}
	return h != 0 ? h : 1;
}

/* A slot for it; NONE: there is none, and it has got its result. */
static uint32_t take(struct dp_deliver *d, uint32_t peer, uint64_t handle, uint8_t verb)
{
	uint32_t slot;
	struct dp_mgcp_done done = {
		.hdr = {.type = DP_MSG_MGCP_DONE, .len = sizeof(done)},
		.handle = handle,
		.gw_id = d->gw[peer].set.gw_id,
		.verb = verb,
		.result = DP_MGCP_OVERLOAD,
	};

	if (dp_txn_take(d->txn, peer, &slot) == 0) {
		uint32_t next = dp_txn_next(d->txn); /* for the next command, which comes soon if many do */

		for (size_t at = 0; next != NONE && at < sizeof(*d->cmd); at += 64)
			__builtin_prefetch((uint8_t *)&d->cmd[next] + at, 1);
		return slot;
	}
	d->stats.overload++;
	d->ops.done(d->ctx, &done);
	return NONE;
}

int dp_deliver_cmd(struct dp_deliver *d, const struct dp_mgcp_cmd *cmd, uint64_t now_us)
{
	uint32_t peer = gw_find(d, cmd->gw_id), slot;

	if (!cmd_valid(cmd))
		return -EBADMSG;
	if (peer == NONE)
		return -ENOENT;
	d->now_us = now_us;
	slot = take(d, peer, cmd->handle, cmd->verb);
	if (slot == NONE)
		return 0;
	d->cmd[slot].cmd = *cmd;
	d->cmd[slot].cmd.hdr.type = DP_MSG_MGCP_CMD;
	dp_txn_start(d->txn, slot, dp_deliver_order(d, cmd->verb, cmd->endpoint), now_us);
	return 0;
}

int dp_deliver_ask(struct dp_deliver *d, const struct dp_mgcp_ask *ask, uint64_t now_us)
{
	uint32_t peer = gw_find(d, ask->gw_id), slot;
	int rc = ask_valid(ask);

	if (rc < 0)
		return rc;
	if (peer == NONE)
		return -ENOENT;
	d->now_us = now_us;
	slot = take(d, peer, ask->handle, ask->verb);
	if (slot == NONE)
		return 0;
	d->cmd[slot].ask = *ask;
	d->cmd[slot].ask.hdr.type = DP_MSG_MGCP_ASK;
	dp_txn_start(d->txn, slot, dp_deliver_order(d, ask->verb, ask->endpoint), now_us);
	return 0;
}

int dp_deliver_ack(struct dp_deliver *d, const struct dp_mgcp_ack *ack, uint64_t now_us)
{
	uint32_t in = (uint32_t)ack->token - 1, gen, peer;

	if (ack->code < 200 || ack->code > 999)
		return -EBADMSG;
	if (!dp_txn_executing(d->txn, in, &gen, &peer) || dp_txn_token_of(in, gen) != ack->token) {
		in = dp_txn_token(d->txn, ack->token); /* the command came to another worker */
		if (in == DP_TXN_NONE)
			return -ENOENT;
	}
	d->now_us = now_us;
	return dp_txn_respond(d->txn, in, ack->code, now_us);
}

void dp_deliver_forget_events(struct dp_deliver *d)
{
	for (uint32_t in = 0; in < dp_txn_in_max(d->txn); in++)
		dp_txn_forget(d->txn, in);
}

/* --- receiving --- */

static const struct dp_mgcp_str empty = {"", 0};

static const struct dp_mgcp_str *param(const struct dp_mgcp_msg *m, enum dp_mgcp_pname id)
{
	const struct dp_mgcp_str *v = dp_mgcp_param_find(m, id);

	return v != NULL ? v : &empty;
}

/* NTFY <id> *@host, "X: 0", empty O: - old gateways ask every 15 s whether we are there. */
static bool is_keepalive(const struct dp_mgcp_msg *m)
{
	const struct dp_mgcp_str *o = dp_mgcp_param_find(m, DP_MGCP_P_O);

	return m->verb == DP_MGCP_NTFY && dp_mgcp_str_is(&m->local, "*") &&
	       dp_mgcp_str_is(param(m, DP_MGCP_P_X), "0") && o != NULL && o->len == 0;
}

static void fill_event(const struct dp_mgcp_msg *m, uint32_t gw_id, struct dp_mgcp_event *ev)
{
	const struct dp_mgcp_str *rd = param(m, DP_MGCP_P_RD);

	*ev = (struct dp_mgcp_event){.hdr = {.type = DP_MSG_MGCP_EVENT, .len = sizeof(*ev)}};
	ev->gw_id = gw_id;
	ev->verb = m->verb;
	dp_mgcp_str_copy(ev->endpoint, sizeof(ev->endpoint), &m->local);
	dp_mgcp_str_copy(ev->request_id, sizeof(ev->request_id), param(m, DP_MGCP_P_X));
	dp_mgcp_str_copy(ev->call_id, sizeof(ev->call_id), param(m, DP_MGCP_P_C));
	dp_mgcp_str_copy(ev->conn_id, sizeof(ev->conn_id), param(m, DP_MGCP_P_I));
	dp_mgcp_str_copy(ev->restart_method, sizeof(ev->restart_method), param(m, DP_MGCP_P_RM));
	dp_mgcp_str_copy(ev->observed, sizeof(ev->observed), param(m, DP_MGCP_P_O));
	dp_mgcp_str_copy(ev->reason, sizeof(ev->reason), param(m, DP_MGCP_P_E));
	dp_mgcp_str_copy(ev->notified, sizeof(ev->notified), param(m, DP_MGCP_P_N));
	ev->tid = m->tid;
	for (uint16_t i = 0; i < rd->len && i < 6 && rd->s[i] >= '0' && rd->s[i] <= '9'; i++)
		ev->delay_s = ev->delay_s * 10 + (uint32_t)(rd->s[i] - '0');
	(void)dp_mgcp_stat_parse(param(m, DP_MGCP_P_P), &ev->stat); /* of no use: then none */
}

/* 0: goes up; else the code to refuse it with. A name cut short would be another's name. */
static uint16_t refusal(const struct dp_mgcp_msg *m)
{
	static const uint8_t ids[] = {DP_MGCP_P_X, DP_MGCP_P_C, DP_MGCP_P_I};

	if (m->version == DP_MGCP_V_OTHER)
		return 528;
	if (m->verb != DP_MGCP_NTFY && m->verb != DP_MGCP_RSIP && m->verb != DP_MGCP_DLCX)
		return 504;
	if (m->local.len >= DP_MGCP_NAME_MAX)
		return 500;
	for (size_t i = 0; i < sizeof(ids); i++) {
		const struct dp_mgcp_str *v = dp_mgcp_param_find(m, ids[i]);

		if (v != NULL && v->len > 0 && !dp_mgcp_id_valid(v))
			return 510;
	}
	if (param(m, DP_MGCP_P_O)->len >= DP_MGCP_OBS_MAX ||
	    (m->verb == DP_MGCP_NTFY && param(m, DP_MGCP_P_X)->len == 0))
		return 510;
	return 0;
}

static void rx_command(struct dp_deliver *d, uint32_t peer, const struct dp_mgcp_msg *m)
{
	struct dp_mgcp_event ev;
	uint32_t in, gen = 0, gen_peer;
	uint16_t code;

	/* A gateway that says 0.1, or asks whether we are there, speaks the old form of a=crypto until a description shows another. */
	if (m->version == DP_MGCP_V_0_1 || is_keepalive(m))
		dp_deliver_learn(d, peer, DP_GW_F_MGCP_01 | (d->gw[peer].form_known ? 0 : DP_GW_F_X_CRYPTO),
				 (m->version == DP_MGCP_V_0_1 ? DP_GW_F_MGCP_01 : 0) | DP_GW_F_X_CRYPTO);
	else if (m->version == DP_MGCP_V_1_0)
		dp_deliver_learn(d, peer, DP_GW_F_MGCP_01, 0);

	/* Whoever asks, and how often, whether we are there is told so: nothing is executed, so nothing is remembered of it. */
	if (is_keepalive(m)) {
		d->stats.keepalive++;
		dp_deliver_respond(d, peer, DP_TXN_NONE, m->tid, 200, false);
		return;
	}
	switch (dp_txn_command(d->txn, peer, m->tid, m->version == DP_MGCP_V_1_0, d->now_us, &in)) {
	case DP_TXN_REPEATED:
		d->stats.repeats++;
		return;
	case DP_TXN_FULL:
		d->stats.event_full++;
		return;
	case DP_TXN_NEW:
		break;
	}
	fill_event(m, d->gw[peer].set.gw_id, &ev);
	code = refusal(m);
	if (code != 0) {
		d->stats.refused++;
		dp_txn_respond(d->txn, in, code, d->now_us);
		if (m->verb == 0)
			d->ops.event(d->ctx, &ev); /* token 0: to be seen, not answered */
		return;
	}
	dp_txn_executing(d->txn, in, &gen, &gen_peer);
	ev.token = dp_txn_token_of(in, gen);
	if (d->ops.event(d->ctx, &ev) < 0) {
		d->stats.event_full++;
		dp_txn_forget(d->txn, in);
	}
}

static bool rx_message(struct dp_deliver *d, uint32_t peer, const struct dp_mgcp_msg *m)
{
	const struct dp_mgcp_str *k = dp_mgcp_param_find(m, DP_MGCP_P_K);
	struct dp_mgcp_range range[DP_MGCP_RANGE_MAX];
	bool ask;
	int n;

	d->stats.rx++;
	if (m->command) {
		n = k != NULL ? dp_mgcp_ranges_parse(k, range, DP_MGCP_RANGE_MAX) : 0;
		if (n > 0)
			dp_txn_confirmed(d->txn, peer, range, (uint16_t)n, d->now_us);
		rx_command(d, peer, m);
		return true;
	}
	if (m->code < 100) {
		range[0] = (struct dp_mgcp_range){m->tid, m->tid};
		dp_txn_confirmed(d->txn, peer, range, 1, d->now_us);
		return true;
	}
	ask = k != NULL && k->len == 0;
	if (dp_txn_answer(d->txn, peer, m->tid, m->code, ask, m, d->now_us) < 0) {
		d->stats.unknown++;
		d->stats.stale++;
		return false;
	}
	return true;
}

enum dp_drop dp_deliver_rx(struct dp_deliver *d, const uint8_t *payload, uint16_t len,
                           const struct dp_sockaddr *from, const struct dp_sockaddr *to, enum dp_deliver_way way,
                           uint32_t sa_gw_id, uint64_t now_us)
{
	bool in_sa = way != DP_DELIVER_CLEAR;
	uint32_t peer = in_sa && sa_gw_id != NONE ? gw_find(d, sa_gw_id) : dp_deliver_find(d, from, to);
	enum dp_drop verdict = DP_DROP_MGCP_UNKNOWN;
	const struct deliver_gw *gw;
	size_t off = 0, used;
	unsigned cnt = 0;

	if (peer == NONE) {
		d->stats.unknown++;
		return DP_DROP_MGCP_UNKNOWN;
	}
	gw = &d->gw[peer];
	if (!addr_same(from, &gw->set.remote) || !dp_deliver_local_ok(gw, to)) {
		d->stats.source++;
		return DP_DROP_SOURCE;
	}
	/* In clear only where that is set, and not beside a live SA: nobody gets to choose the
	 * weaker way. */
	if (!in_sa &&
	    ((gw->set.flags & DP_GW_F_CLEAR) == 0 || d->ops.sa_live(d->ctx, gw->set.gw_id))) {
		d->stats.policy++;
		return DP_DROP_POLICY;
	}
	d->now_us = now_us;
	d->rx_clear = way != DP_DELIVER_SEALED;
	do {
		if (cnt++ == DP_MGCP_PIGGY_MAX || dp_mgcp_parse(payload + off, len - off, &d->msg, &used) < 0) {
			d->stats.malformed++;
			return verdict == DP_DROP_CONSUMED ? verdict : DP_DROP_MGCP_MALFORMED;
		}
		if (cnt == 1)
			dp_deliver_alive(d, peer, to->port);
		if (rx_message(d, peer, &d->msg))
			verdict = DP_DROP_CONSUMED;
		off += used;
	} while (off < len);
	return verdict;
}

uint64_t dp_deliver_tick(struct dp_deliver *d, uint64_t now_us)
{
	uint64_t next;

	d->now_us = now_us;
	dp_deliver_look(d);
	next = dp_txn_tick(d->txn, now_us);
	dp_deliver_flush(d);
	return next;
}

uint32_t dp_deliver_txn_cnt(const struct dp_deliver *d)
{
	return dp_txn_out_cnt(d->txn);
}

const struct dp_deliver_stats *dp_deliver_stats(const struct dp_deliver *d)
{
	return &d->stats;
}
