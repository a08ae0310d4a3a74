/* SPDX-License-Identifier: BSD-3-Clause */
#include "deliver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "dp_suite.h"
#include "msg.h"
#include "sdp.h"
#include "txn.h"

#define NONE       UINT32_MAX
#define LOCALS_MAX 64 /* our MGCP addresses: one or two in practice */

struct gw {
	struct dp_gw_set set;
	uint32_t hnext; /* chain of the address table; free list */
	bool going;     /* parts of it are with another instance: what comes in clear waits */
};

struct local {
	struct dp_sockaddr addr;
	uint32_t refs; /* gateways that use it */
};

struct dp_deliver {
	struct dp_deliver_ops ops;
	void *ctx;
	struct dp_txn *txn;
	struct gw *gw;           /* max_gw; index: the engine's peer */
	struct dp_mgcp_cmd *cmd; /* max_txn; index: the engine's outgoing slot; wiped at its end */
	uint32_t *slot_of;       /* gw_id -> index in gw, NONE */
	uint32_t *by_addr;       /* heads of chains, by remote address and port */
	uint32_t addr_mask;
	uint32_t max_gw, max_txn, gw_free, gw_cnt;
	uint32_t local_cnt;
	struct local local[LOCALS_MAX];
	uint64_t hash_key;
	uint64_t now_us; /* of the call we are in */
	struct dp_deliver_stats stats;
	bool rx_clear;                    /* the message being read came in clear */
	struct dp_mgcp_msg msg;           /* the message being read */
	uint8_t tx[DP_MGCP_DATAGRAM_MAX]; /* the message being built; wiped once sent if it held a
	                                     key */
};

/* --- addresses --- */

static bool addr_valid(const struct dp_sockaddr *a)
{
	static const uint8_t zero[16];

	if (a->port == 0 || memcmp(a->zero, zero, sizeof(a->zero)) != 0)
		return false;
	return a->family == 6 || (a->family == 4 && memcmp(a->ip + 4, zero, 12) == 0);
}

static bool addr_same(const struct dp_sockaddr *a, const struct dp_sockaddr *b)
{
	return a->family == b->family && a->port == b->port &&
	       memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static uint64_t hash_bytes(uint64_t h, const uint8_t *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ s[i]) * 0x100000001b3ull;
	return h ^ h >> 29;
}

static uint32_t *addr_chain(const struct dp_deliver *d, const struct dp_sockaddr *a)
{
	uint8_t port[2] = {(uint8_t)(a->port >> 8), (uint8_t)a->port};
	uint64_t h = hash_bytes(hash_bytes(d->hash_key, a->ip, sizeof(a->ip)), port, sizeof(port));

	return &d->by_addr[(uint32_t)(h ^ h >> 32) & d->addr_mask];
}

static void addr_link(struct dp_deliver *d, uint32_t slot)
{
	uint32_t *chain = addr_chain(d, &d->gw[slot].set.remote);

	d->gw[slot].hnext = *chain;
	*chain = slot;
}

static void addr_unlink(struct dp_deliver *d, uint32_t slot)
{
	uint32_t *link = addr_chain(d, &d->gw[slot].set.remote);

	while (*link != slot)
		link = &d->gw[*link].hnext;
	*link = d->gw[slot].hnext;
}

static uint32_t addr_find(const struct dp_deliver *d, const struct dp_sockaddr *remote,
                          const struct dp_sockaddr *local)
{
	uint32_t i = *addr_chain(d, remote);

	while (i != NONE &&
	       (!addr_same(&d->gw[i].set.remote, remote) || !addr_same(&d->gw[i].set.local, local)))
		i = d->gw[i].hnext;
	return i != NONE && d->gw[i].going ? NONE : i;
}

static struct local *local_find(struct dp_deliver *d, const struct dp_sockaddr *a)
{
	for (uint32_t i = 0; i < d->local_cnt; i++)
		if (addr_same(&d->local[i].addr, a))
			return &d->local[i];
	return NULL;
}

static int local_take(struct dp_deliver *d, const struct dp_sockaddr *a)
{
	struct local *l = local_find(d, a);

	if (l == NULL) {
		if (d->local_cnt == LOCALS_MAX)
			return -ENOSPC;
		l = &d->local[d->local_cnt++];
		*l = (struct local){.addr = *a};
	}
	l->refs++;
	return 0;
}

static void local_put(struct dp_deliver *d, const struct dp_sockaddr *a)
{
	struct local *l = local_find(d, a);

	if (l != NULL && --l->refs == 0)
		*l = d->local[--d->local_cnt];
}

static uint32_t gw_find(const struct dp_deliver *d, uint32_t gw_id)
{
	return gw_id < DP_GW_MAX ? d->slot_of[gw_id] : NONE;
}

/* --- sending --- */

/*
 * The last step before a message is built: may it leave now? With 'keys' it may only inside a live
 * SA or by the gateway's explicit setting, without keys also where clear signalling is set.
 * -ENOKEY: no.
 */
static int may_leave(struct dp_deliver *d, const struct gw *gw, bool keys, bool *ret_need_sa)
{
	uint8_t flags = gw->set.flags;

	*ret_need_sa = (keys && (flags & DP_GW_F_KEYS_CLEAR) == 0) || (flags & DP_GW_F_CLEAR) == 0;
	return *ret_need_sa && !d->ops.sa_live(d->ctx, gw->set.gw_id) ? -ENOKEY : 0;
}

static int send_built(struct dp_deliver *d, const struct gw *gw, const struct dp_mgcp_buf *b,
                      bool need_sa)
{
	int rc = d->ops.send(d->ctx, gw->set.gw_id, &gw->set.local, &gw->set.remote, b->data,
	                     b->len, need_sa);

	if (rc == 0)
		d->stats.tx++;
	else if (rc != -ENOKEY)
		d->stats.send_fail++;
	return rc == 0 || rc == -ENOKEY ? rc : -EAGAIN;
}

static const char *codec_name(uint8_t pt)
{
	return pt == 8 ? "PCMA" : pt == 18 ? "G729" : "PCMU";
}

/* L: p:20, a:PCMU;G729 */
static void put_local_options(struct dp_mgcp_buf *b, const struct dp_mgcp_media *m)
{
	dp_mgcp_put(b, "L: p:");
	dp_mgcp_put_u32(b, m->ptime_ms != 0 ? m->ptime_ms : 20);
	dp_mgcp_put(b, ", a:");
	for (unsigned i = 0; i < DP_AUDIO_LIST && (i == 0 || m->audio[i] != DP_AUDIO_NONE); i++) {
		const char *name = dp_sdp_audio_name(m->audio[i]);

		dp_mgcp_put(b, i > 0 ? ";" : "");
		dp_mgcp_put(b, name != NULL ? name : codec_name(m->pt));
	}
	dp_mgcp_put(b, "\r\n");
}

static void put_if(struct dp_mgcp_buf *b, const char *name, const char *value)
{
	if (value[0] != '\0')
		dp_mgcp_put_param(b, name, value);
}

static void build(struct dp_mgcp_buf *b, const struct gw *gw, const struct dp_mgcp_cmd *c,
                  uint32_t tid, const struct dp_mgcp_range *confirm, uint16_t n)
{
	bool mgcp_01 = (gw->set.flags & DP_GW_F_MGCP_01) != 0;
	const char *mode = dp_mgcp_mode_name(c->mode);

	dp_mgcp_put_command(b, c->verb, tid, c->endpoint, gw->set.domain, mgcp_01);
	if (n > 0)
		dp_mgcp_put_ranges(b, confirm, n);
	if (c->verb == DP_MGCP_EPCF)
		dp_mgcp_put_param(b, "B", c->media.pt == 8 ? "e:A" : "e:mu");
	put_if(b, "C", c->call_id);
	put_if(b, "I", c->conn_id);
	if (c->verb == DP_MGCP_CRCX || (c->verb == DP_MGCP_MDCX && c->media.addr.family != 0))
		put_local_options(b, &c->media);
	if (mode != NULL)
		dp_mgcp_put_param(b, "M", mode);
	put_if(b, "X", c->request_id);
	put_if(b, "R", c->events);
	put_if(b, "S", c->signals);
	if (c->media.addr.family != 0) {
		dp_mgcp_put(b, "\r\n");
		dp_sdp_build(b, &c->media, tid, (gw->set.flags & DP_GW_F_X_CRYPTO) != 0);
	}
}

static int op_transmit(void *ctx, uint32_t peer, uint32_t slot, uint32_t tid, uint32_t try,
                       const struct dp_mgcp_range *confirm, uint16_t n)
{
	struct dp_deliver *d = ctx;
	const struct gw *gw = &d->gw[peer];
	const struct dp_mgcp_cmd *c = &d->cmd[slot];
	bool keys = c->media.addr.family != 0 && c->media.suite != DP_SRTP_NONE, need_sa;
	struct dp_mgcp_buf b;
	int rc = may_leave(d, gw, keys, &need_sa);

	if (rc < 0)
		return rc;
	dp_mgcp_buf_init(&b, d->tx, sizeof(d->tx));
	build(&b, gw, c, tid, confirm, n);
	rc = b.bad ? -EBADMSG : send_built(d, gw, &b, need_sa);
	if (keys)
		explicit_bzero(d->tx, b.len);
	if (rc == 0 && try > 1)
		d->stats.retx++;
	return rc;
}

static const char *comment_of(uint16_t code)
{
	switch (code) {
	case 0:
		return "";
	case 100:
		return "executing";
	case 250:
		return "deleted";
	case 500:
		return "unknown endpoint";
	case 504:
		return "unknown command";
	case 510:
		return "protocol error";
	case 515:
		return "unknown connection";
	case 516:
		return "unknown call";
	case 528:
		return "incompatible version";
	default:
		return code < 300 ? "OK" : "error";
	}
}

static void op_respond(void *ctx, uint32_t peer, uint32_t in, uint32_t tid, uint16_t code, bool ask)
{
	struct dp_deliver *d = ctx;
	const struct gw *gw = &d->gw[peer];
	struct dp_mgcp_buf b;
	bool need_sa;

	(void)in;
	if (may_leave(d, gw, false, &need_sa) < 0)
		return; /* the gateway repeats */
	dp_mgcp_buf_init(&b, d->tx, sizeof(d->tx));
	dp_mgcp_put_response(&b, code, tid, comment_of(code));
	if (ask)
		dp_mgcp_put_ranges(&b, NULL, 0);
	send_built(d, gw, &b, need_sa);
}

/* --- results --- */

/* "Z: cnf/3@bridge1": a specific endpoint of this gateway. False: it is none. */
static bool read_endpoint(const struct gw *gw, const struct dp_mgcp_str *z, struct dp_mgcp_done *done)
{
	const char *at = memchr(z->s, '@', z->len);
	struct dp_mgcp_str local = {z->s, (uint16_t)(at != NULL ? at - z->s : z->len)};

	if (at != NULL) {
		struct dp_mgcp_str domain = {at + 1, (uint16_t)(z->len - local.len - 1)};

		if (!dp_mgcp_str_is(&domain, gw->set.domain))
			return false;
	}
	for (uint16_t i = 0; i < local.len; i++)
		if (local.s[i] <= 0x20 || local.s[i] >= 0x7f || local.s[i] == '*' || local.s[i] == '$')
			return false;
	return local.len > 0 && dp_mgcp_str_copy(done->endpoint, sizeof(done->endpoint), &local);
}

/* What the final answer to a command for 'endpoint' says. False: it cannot be used. */
static bool read_answer(struct dp_deliver *d, const struct gw *gw, const struct dp_mgcp_msg *m,
                        const char *endpoint, struct dp_mgcp_done *done)
{
	const struct dp_mgcp_str *id = dp_mgcp_param_find(m, DP_MGCP_P_I), *z = dp_mgcp_param_find(m, DP_MGCP_P_Z);
	bool success = m->code >= 200 && m->code < 300;
	struct dp_sdp_no no;

	dp_mgcp_str_copy(done->comment, sizeof(done->comment), &m->comment);
	if (!success)
		return true;
	if (id != NULL) {
		if (!dp_mgcp_id_valid(id))
			return false;
		dp_mgcp_str_copy(done->conn_id, sizeof(done->conn_id), id);
	}
	if (done->verb == DP_MGCP_CRCX && id == NULL)
		return false; /* could be neither changed nor deleted */
	/* Who named one has it, in whatever other form the gateway says its name again. */
	if (done->verb == DP_MGCP_CRCX && z != NULL && strchr(endpoint, '$') != NULL && !read_endpoint(gw, z, done))
		return false;
	if (m->sdp_cnt == 0 || (done->verb != DP_MGCP_CRCX && done->verb != DP_MGCP_MDCX))
		return true;
	if (dp_sdp_parse(m->sdp[0].s, m->sdp[0].len, &done->media, &no) < 0) {
		/* T.38, DTLS-SRTP, ICE, a suite that we have not: whoever asked is told by name. */
		static_assert(sizeof(done->comment) >= sizeof(no.text), "reason");
		memset(done->comment, 0, sizeof(done->comment));
		memcpy(done->comment, no.text, sizeof(no.text));
		d->stats.media_refused++;
		return false;
	}
	if (done->media.suite != DP_SRTP_NONE && d->rx_clear &&
	    (gw->set.flags & DP_GW_F_KEYS_CLEAR) == 0) {
		d->stats.policy++; /* others may have read that key */
		explicit_bzero(&done->media, sizeof(done->media));
		return false;
	}
	return true;
}

static void op_end(void *ctx, uint32_t peer, uint32_t slot, const struct dp_txn_end *end)
{
	struct dp_deliver *d = ctx;
	struct dp_mgcp_cmd *c = &d->cmd[slot];
	struct dp_mgcp_done done = {
		.hdr = {.type = DP_MSG_MGCP_DONE, .len = sizeof(done)},
		.handle = c->handle,
		.gw_id = c->gw_id,
		.code = end->code,
		.verb = c->verb,
		.rtt_us = end->rtt_us,
		.tries = end->tries,
	};

	if (end->rc == 0) {
		done.result = read_answer(d, &d->gw[peer], end->answer, c->endpoint, &done) ? DP_MGCP_ANSWERED : DP_MGCP_BAD_ANSWER;
		d->stats.bad_answer += done.result == DP_MGCP_BAD_ANSWER;
	} else if (end->rc == -ENOKEY) {
		done.result = DP_MGCP_NO_SA;
		d->stats.no_sa++;
	} else if (end->rc == -ECANCELED) {
		done.result = DP_MGCP_CANCELED;
	} else {
		done.result = DP_MGCP_TIMEOUT;
		d->stats.timeout++;
	}
	explicit_bzero(c, sizeof(*c));
	d->ops.done(d->ctx, &done);
	explicit_bzero(&done, sizeof(done));
}

/* --- create, destroy, gateways --- */

static uint64_t draw(void)
{
	uint64_t v = 0;

	if (getrandom(&v, sizeof(v), 0) != sizeof(v))
		return 0;
	return v;
}

struct dp_deliver *dp_deliver_create(const struct dp_deliver_ops *ops, void *ctx, uint32_t max_gw,
                                     uint32_t max_txn)
{
	static const struct dp_txn_ops txn_ops = {op_transmit, op_end, op_respond};
	struct dp_deliver *d;
	uint64_t seed = ops->seed != 0 ? ops->seed : draw();
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
	dp_txn_destroy(d->txn);
	free(d->gw);
	free(d->cmd);
	free(d->slot_of);
	free(d->by_addr);
	free(d);
}

/* Terminated, and of characters that can stand in a line; 'word': no blanks, no '@' either. */
static bool text_valid(const char *s, size_t size, bool word)
{
	const char *end = memchr(s, 0, size);

	if (end == NULL)
		return false;
	for (; s < end; s++)
		if (*s < 0x20 || *s >= 0x7f || (word && (*s == ' ' || *s == '@')))
			return false;
	return true;
}

int dp_deliver_gw_set(struct dp_deliver *d, const struct dp_gw_set *set)
{
	uint32_t slot = gw_find(d, set->gw_id);

	if (set->gw_id >= DP_GW_MAX || (set->flags & ~DP_GW_F_ALL) != 0 ||
	    !addr_valid(&set->remote) || !addr_valid(&set->local) ||
	    set->remote.family != set->local.family || set->domain[0] == '\0' ||
	    !text_valid(set->domain, sizeof(set->domain), true))
		return -EBADMSG;
	if (slot == NONE && d->gw_cnt == d->max_gw)
		return -ENOSPC;
	if (local_take(d, &set->local) < 0)
		return -ENOSPC;
	if (slot == NONE) {
		slot = d->gw_free;
		d->gw_free = d->gw[slot].hnext;
		d->slot_of[set->gw_id] = slot;
		d->gw[slot].going = false;
		d->gw_cnt++;
	} else {
		addr_unlink(d, slot);
		local_put(d, &d->gw[slot].set.local);
	}
	d->gw[slot].set = *set;
	addr_link(d, slot);
	return 0;
}

int dp_deliver_gw_del(struct dp_deliver *d, uint32_t gw_id)
{
	uint32_t slot = gw_find(d, gw_id);

	if (slot == NONE)
		return -ENOENT;
	dp_txn_peer_reset(d->txn, slot);
	addr_unlink(d, slot);
	local_put(d, &d->gw[slot].set.local);
	d->slot_of[gw_id] = NONE;
	d->gw[slot].hnext = d->gw_free;
	d->gw_free = slot;
	d->gw_cnt--;
	return 0;
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
	return addr_valid(&m->addr) && (m->suite == DP_SRTP_NONE || dp_suite(m->suite) != NULL) && m->pt < 128 &&
	       m->telephone_event < 128 && m->mki_len <= sizeof(m->mki) && m->kdr <= 24 && m->lifetime <= 48 &&
	       (m->flags & ~DP_MGCP_SRTP_ALL) == 0 && dp_sdp_audio_ok(m);
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
	return c->endpoint[0] != '\0' && text_valid(c->endpoint, sizeof(c->endpoint), true) &&
	       text_valid(c->events, sizeof(c->events), false) &&
	       text_valid(c->signals, sizeof(c->signals), false) &&
	       id_valid(c->call_id, sizeof(c->call_id), conn || c->conn_id[0] != '\0') &&
	       id_valid(c->conn_id, sizeof(c->conn_id),
	                c->verb == DP_MGCP_MDCX || c->verb == DP_MGCP_AUCX) &&
	       id_valid(c->request_id, sizeof(c->request_id),
	                c->verb == DP_MGCP_RQNT || c->events[0] != '\0' || c->signals[0] != '\0') &&
	       media_valid(&c->media) && (conn || c->media.addr.family == 0) &&
	       (conn ? c->mode < DP_MGCP_M_MAX : c->mode == DP_MGCP_M_NONE) &&
	       (c->verb != DP_MGCP_CRCX || c->mode != DP_MGCP_M_NONE);
}

/*
 * Commands that touch the same of an endpoint run one after the other: its connections (CRCX, MDCX,
 * DLCX), its events and signals, its settings, audits. A wildcard names no endpoint yet, or many:
 * no order.
 */
static uint64_t order_key(const struct dp_deliver *d, const struct dp_mgcp_cmd *c)
{
	uint8_t kind = c->verb == DP_MGCP_MDCX || c->verb == DP_MGCP_DLCX ? DP_MGCP_CRCX
	               : c->verb == DP_MGCP_AUCX                          ? DP_MGCP_AUEP
	                                                                  : c->verb;
	uint64_t h = hash_bytes(d->hash_key, &kind, 1);

	for (const char *p = c->endpoint; *p != '\0'; p++) {
		uint8_t lower = (uint8_t)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);

		if (*p == '*' || *p == '$')
			return 0;
		h = hash_bytes(h, &lower, 1);
	}
	return h != 0 ? h : 1;
}

int dp_deliver_cmd(struct dp_deliver *d, const struct dp_mgcp_cmd *cmd, uint64_t now_us)
{
	uint32_t peer = gw_find(d, cmd->gw_id), slot;

	if (!cmd_valid(cmd))
		return -EBADMSG;
	if (peer == NONE)
		return -ENOENT;
	d->now_us = now_us;
	if (dp_txn_take(d->txn, peer, &slot) < 0) {
		struct dp_mgcp_done done = {
			.hdr = {.type = DP_MSG_MGCP_DONE, .len = sizeof(done)},
			.handle = cmd->handle,
			.gw_id = cmd->gw_id,
			.verb = cmd->verb,
			.result = DP_MGCP_OVERLOAD,
		};

		d->stats.overload++;
		d->ops.done(d->ctx, &done);
		return 0;
	}
	d->cmd[slot] = *cmd;
	dp_txn_start(d->txn, slot, order_key(d, cmd), now_us);
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

/* --- going over to another instance --- */

static void piece_out(struct dp_deliver *d, uint32_t slot, struct dp_deliver_piece *p)
{
	p->cmd = d->cmd[slot];
	explicit_bzero(&d->cmd[slot], sizeof(d->cmd[slot]));
}

bool dp_deliver_give(struct dp_deliver *d, uint8_t shard, uint32_t *at, uint32_t look, struct dp_deliver_piece *ret)
{
	uint32_t slot;

	for (; *at < d->max_gw && look > 0; ++*at, look--) {
		struct gw *gw = &d->gw[*at];

		if (d->slot_of[gw->set.gw_id] != *at || gw->set.shard != shard)
			continue;
		ret->gw_id = gw->set.gw_id;
		if (!gw->going) {
			gw->going = true;
			ret->kind = DP_DELIVER_GW;
			ret->gw = gw->set;
			dp_txn_peer_get(d->txn, *at, &ret->peer);
			return true;
		}
		if (dp_txn_give(d->txn, *at, &ret->rec, &slot)) {
			ret->kind = DP_DELIVER_TXN;
			if (ret->rec.kind != DP_TXN_REC_IN)
				piece_out(d, slot, ret);
			return true;
		}
		ret->kind = DP_DELIVER_END;
		(void)dp_deliver_gw_del(d, gw->set.gw_id);
		return true;
	}
	ret->kind = DP_DELIVER_NONE;
	return *at < d->max_gw;
}

/* No room for a command that goes on: it gets its result now. */
static void cancel(struct dp_deliver *d, const struct dp_mgcp_cmd *cmd)
{
	struct dp_mgcp_done done = {
		.hdr = {.type = DP_MSG_MGCP_DONE, .len = sizeof(done)},
		.handle = cmd->handle,
		.gw_id = cmd->gw_id,
		.verb = cmd->verb,
		.result = DP_MGCP_CANCELED,
	};

	d->ops.done(d->ctx, &done);
}

void dp_deliver_accept(struct dp_deliver *d, struct dp_deliver_piece *p, uint64_t now_us)
{
	uint32_t peer = gw_find(d, p->gw_id), slot;
	bool out = p->kind == DP_DELIVER_TXN && p->rec.kind != DP_TXN_REC_IN;

	d->now_us = now_us;
	switch (p->kind) {
	case DP_DELIVER_GW:
		if (dp_deliver_gw_set(d, &p->gw) < 0)
			break;
		peer = gw_find(d, p->gw_id);
		d->gw[peer].going = true;
		dp_txn_peer_set(d->txn, peer, &p->peer);
		break;
	case DP_DELIVER_TXN:
		if (out)
			p->rec.order = order_key(d, &p->cmd);
		if (peer == NONE || dp_txn_accept(d->txn, peer, &p->rec, &slot) < 0) {
			if (out)
				cancel(d, &p->cmd);
			else
				d->stats.event_full++;
		} else if (out) {
			d->cmd[slot] = p->cmd;
		}
		break;
	case DP_DELIVER_END:
		if (peer == NONE)
			break;
		d->gw[peer].going = false;
		dp_txn_kick(d->txn, peer, now_us);
		break;
	case DP_DELIVER_NONE:
		break;
	}
	if (out)
		explicit_bzero(&p->cmd, sizeof(p->cmd));
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
	if (is_keepalive(m)) {
		d->stats.keepalive++;
		dp_txn_respond(d->txn, in, 200, d->now_us);
		return;
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
		return false;
	}
	return true;
}

enum dp_drop dp_deliver_rx(struct dp_deliver *d, const uint8_t *payload, uint16_t len,
                           const struct dp_sockaddr *from, const struct dp_sockaddr *to, bool in_sa,
                           uint32_t sa_gw_id, uint64_t now_us)
{
	uint32_t peer = in_sa && sa_gw_id != NONE ? gw_find(d, sa_gw_id) : addr_find(d, from, to);
	enum dp_drop verdict = DP_DROP_MGCP_UNKNOWN;
	const struct gw *gw;
	size_t off = 0, used;

	if (peer == NONE) {
		d->stats.unknown++;
		return DP_DROP_MGCP_UNKNOWN;
	}
	gw = &d->gw[peer];
	if (!addr_same(from, &gw->set.remote) || !addr_same(to, &gw->set.local)) {
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
	d->rx_clear = !in_sa;
	do {
		if (dp_mgcp_parse(payload + off, len - off, &d->msg, &used) < 0) {
			d->stats.malformed++;
			return verdict == DP_DROP_CONSUMED ? verdict : DP_DROP_MGCP_MALFORMED;
		}
		if (rx_message(d, peer, &d->msg))
			verdict = DP_DROP_CONSUMED;
		off += used;
	} while (off < len);
	return verdict;
}

uint64_t dp_deliver_tick(struct dp_deliver *d, uint64_t now_us)
{
	d->now_us = now_us;
	return dp_txn_tick(d->txn, now_us);
}

bool dp_deliver_is_local(const struct dp_deliver *d, const struct dp_sockaddr *to)
{
	for (uint32_t i = 0; i < d->local_cnt; i++)
		if (addr_same(&d->local[i].addr, to))
			return true;
	return false;
}

uint32_t dp_deliver_gw_cnt(const struct dp_deliver *d)
{
	return d->gw_cnt;
}

uint32_t dp_deliver_txn_cnt(const struct dp_deliver *d)
{
	return dp_txn_out_cnt(d->txn);
}

const struct dp_deliver_stats *dp_deliver_stats(const struct dp_deliver *d)
{
	return &d->stats;
}
