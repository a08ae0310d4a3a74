/* SPDX-License-Identifier: BSD-3-Clause */
/* Legs in the dataplane, their keys, and the record by which a call survives a restart of the controlplane. */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "callint.h"

/* A phone can surely do the family it signals in; a gateway's is that of its region's address. */
static uint8_t media_family(const struct party *p)
{
	return party_phone(p) != NULL ? cp_phone_peer(party_phone(p))->family : p->remote.family;
}

int legs_take(struct cp_call *call)
{
	struct party *a = &call->p[0], *b = &call->p[1];
	uint8_t fa = media_family(a), fb = media_family(b);
	int rc = cp_ports_take(call->calls->ports, a->region, fa, b->region, fb, &a->leg_id, &b->leg_id);

	if (rc == -ENOENT) /* no such address anywhere: a phone may have both families */
		rc = cp_ports_take(call->calls->ports, a->region, 0, b->region, 0, &a->leg_id, &b->leg_id);
	if (rc < 0)
		cfg_log_limited(CFG_LOG_ERR, "no-media-port", "call=%u region_a=%s region_b=%s rc=%d", call->ref,
				cfg_q(a->region), cfg_q(b->region), rc);
	return rc;
}

int legs_take_beside(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	unsigned shard = DP_LEG_SHARD(call->p[1 - side].leg_id);
	int rc = cp_ports_take_in(call->calls->ports, p->region, media_family(p), shard, &p->leg_id);

	if (rc == -ENOENT)
		rc = cp_ports_take_in(call->calls->ports, p->region, 0, shard, &p->leg_id);
	return rc;
}

/* Calls are asserted while fewer answers are outstanding: half of what the channel has places for is left to others. */
#define ASSERT_WINDOW 32768

enum { AGAIN_LEGS = 1, AGAIN_KEYS };

/*
 * A leg that the dataplane may still have, for want of somebody to tell: a sweep leaves what is of our own epoch. Its number is
 * nobody else's before it is known to be gone: who got it would begin with this one's keys.
 */
struct leg_gone {
	struct leg_gone *next;
	struct cp_calls *calls;
	uint32_t leg_id;
};

static void leg_forget(struct leg_gone *g)
{
	cp_ports_put(g->calls->ports, g->leg_id);
	free(g);
}

static void on_deleted(void *ctx, int rc)
{
	struct leg_gone *g = ctx;

	if (rc != -ENOTCONN && rc != -EAGAIN) {
		leg_forget(g);
		return;
	}
	g->next = g->calls->legs_gone;
	g->calls->legs_gone = g;
}

static void leg_delete(struct leg_gone *g)
{
	struct dp_obj msg = {.id = g->leg_id, .kind = DP_OBJ_LEG};
	int rc = cp_dp_send(g->calls->env.dp, DP_MSG_LEG_DEL, &msg, on_deleted, g);

	if (rc < 0)
		on_deleted(g, rc == -ENOTCONN ? rc : -EAGAIN);
}

static void legs_gone(struct cp_calls *calls, void (*fn)(struct leg_gone *g))
{
	struct leg_gone *g = calls->legs_gone, *next;

	for (calls->legs_gone = NULL; g != NULL; g = next) {
		next = g->next;
		fn(g);
	}
}

void legs_forget_gone(struct cp_calls *calls)
{
	legs_gone(calls, leg_forget);
}

void legs_put(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct leg_gone *g;

	cp_keys_put(call->calls->keys, p->rx);
	cp_keys_put(call->calls->keys, p->tx);
	p->rx = p->tx = NULL;
	cdr_gone(p);
	music_gone(p);
	rekey_leg_gone(call, side);
	if (p->leg_id == NO_LEG)
		return;
	g = malloc(sizeof(*g));
	if (g != NULL) {
		*g = (struct leg_gone){.calls = call->calls, .leg_id = p->leg_id};
		leg_delete(g);
	} else { /* it is silent from here on, and ages */
		cp_ports_put(call->calls->ports, p->leg_id);
	}
	p->leg_id = NO_LEG;
}

int legs_keys(struct cp_call *call, unsigned side, uint8_t suite)
{
	struct party *p = &call->p[side];

	cp_keys_put(call->calls->keys, p->rx);
	cp_keys_put(call->calls->keys, p->tx);
	p->page = (struct dp_page_leg){0};
	p->rx = policy_draw(call, p, suite);
	p->tx = policy_draw(call, p, suite);
	if (p->rx == NULL || p->tx == NULL) /* call_free() returns the one that was drawn */
		return -ENOSPC;
	p->suite = suite;
	return 0;
}

/* Carries a call by number through a callback that may outlive it. */
struct later {
	struct cp_calls *calls;
	uint32_t ref;
};

static struct cp_call *later_call(struct later *l)
{
	struct cp_call *call = call_find(l->calls, l->ref);

	free(l);
	return call;
}

static struct later *later_new(struct cp_call *call)
{
	struct later *l = malloc(sizeof(*l));

	if (l != NULL)
		*l = (struct later){call->calls, call->ref};
	return l;
}

/* Which sources a leg believes: see enum dp_latch. */
static uint8_t latch_of(const struct cp_call *call, const struct party *p)
{
	if (p->kind == PARTY_STATIC)
		return p->latch;
	if (p->suite != DP_SRTP_NONE)
		return DP_LATCH_AUTH;
	switch (call->calls->env.cfg->media.plain_latch) {
	case CFG_LATCH_STRICT:
		return DP_LATCH_NONE;
	case CFG_LATCH_ANY:
		return DP_LATCH_ANY;
	default:
		return DP_LATCH_ADDRESS;
	}
}

/* Where a stream may go on after a dataplane restart: what the page last promised. */
static uint64_t floor_of(uint64_t page, const struct cp_call *call)
{
	return call->media_started ? page : 0;
}

/* One message with its own answer; 'later' NULL: nobody waits. */
static int post(struct cp_call *call, enum dp_msg_type type, const void *msg, cp_dp_reply_fn fn)
{
	struct later *l = fn != NULL ? later_new(call) : NULL;
	int rc = fn != NULL && l == NULL ? -ENOMEM : cp_dp_send(call->calls->env.dp, type, msg, fn, l);

	if (rc < 0)
		free(l);
	return rc;
}

static void fill_key(struct dp_leg_key *msg, const struct party *p, uint8_t dir)
{
	const struct cp_keyset *set = dir == DP_DIR_RECV ? p->rx : p->tx;

	*msg = (struct dp_leg_key){.leg_id = p->leg_id, .dir = dir, .suite = set->suite, .mki_len = set->mki_len,
				   .kdr = set->kdr};
	if (set->lifetime != 0)
		msg->lifetime = UINT64_C(1) << set->lifetime;
	for (unsigned i = 0; i < set->mki_len; i++)
		msg->mki[i] = (uint8_t)(set->mki >> 8 * (set->mki_len - 1 - i));
	memcpy(msg->key, set->key, dp_suite(set->suite)->key_len);
	memcpy(msg->salt, set->salt, dp_suite(set->suite)->salt_len);
}

static int send_key(struct cp_call *call, struct party *p, uint8_t dir, cp_dp_reply_fn fn)
{
	struct dp_leg_key msg;
	int rc;

	if ((dir == DP_DIR_RECV ? p->rx : p->tx) == NULL)
		return 0;
	fill_key(&msg, p, dir);
	/* Ignored where the dataplane still has the key; after its restart the stream resumes above. */
	msg.index_floor = floor_of(dir == DP_DIR_SEND ? p->page.tx_reserved : p->page.rx_top, call);
	msg.rtcp_floor = floor_of(dir == DP_DIR_SEND ? p->page.tx_rtcp_reserved : p->page.rx_rtcp_top, call);
	rc = post(call, DP_MSG_LEG_KEY, &msg, fn);
	OPENSSL_cleanse(&msg, sizeof(msg));
	return rc;
}

int legs_key(struct cp_call *call, unsigned side, uint8_t dir, uint8_t flags, uint32_t overlap_ms, cp_dp_reply_fn fn,
	     void *ctx)
{
	struct dp_leg_key msg;
	int rc;

	fill_key(&msg, &call->p[side], dir);
	msg.flags = flags;
	msg.overlap_ms = overlap_ms;
	rc = cp_dp_send(call->calls->env.dp, DP_MSG_LEG_KEY, &msg, fn, ctx);
	OPENSSL_cleanse(&msg, sizeof(msg));
	return rc;
}

/* What is sent to the party under a number of ours goes out under its own. */
static void map_pt(struct dp_leg_set *msg, uint8_t ours, uint8_t its)
{
	if (its == ours)
		return;
	msg->pt_map[msg->pt_map_cnt].from = ours;
	msg->pt_map[msg->pt_map_cnt++].to = its;
}

/*
 * Who comes into a call that stands hears nothing of it until who was there has been told: it may have no keys that its media would
 * wait for. Its leg is asserted once more when its own media is confirmed.
 */
static bool not_yet(const struct cp_call *call, const struct party *p)
{
	return call->media_started && call->pending > 0 && !party_up(p);
}

static int send_leg(struct cp_call *call, unsigned side, bool with_keys, cp_dp_reply_fn fn)
{
	struct party *p = &call->p[side];
	const struct cfg_media *cfg = &call->calls->env.cfg->media;
	const struct cp_codec_info *codec = cp_codec_info(cp_codec_of_sccp(p->codec)); /* NULL: an operator's session */
	struct dp_leg_set msg = {
		.leg_id = p->leg_id,
		.peer_id = call->p[1 - side].leg_id,
		.session = call->ref,
		.idle_s = call->p[0].held || call->p[1].held ? 0 : cfg->idle_s, /* silence is meant */
		.rx_suite = p->suite,
		.tx_suite = p->suite,
		.latch = latch_of(call, p),
		.flags = (p->held ? 0 : not_yet(call, p) ? DP_LEG_F_RECV : DP_LEG_F_RECV | DP_LEG_F_SEND) | (cfg->rtcp_mux ? DP_LEG_F_RTCP_MUX : 0),
		.dscp = cfg->dscp,
		.codec = codec != NULL ? codec->dp : DP_CODEC_OTHER,
		.ptime_ms = p->kind == PARTY_GATEWAY ? p->ptime_ms : p->packet_ms,
		.clock_hz = codec != NULL ? codec->clock_hz : 8000,
		.latch_max = cfg->latch_max,
	};
	int rc;

	/* SRTCP without encryption: as its party's description says, each way for itself. */
	if (p->rx != NULL && p->rx->rtcp_clear)
		msg.flags |= DP_LEG_F_RTCP_CLEAR_RX;
	if (p->tx != NULL && p->tx->rtcp_clear)
		msg.flags |= DP_LEG_F_RTCP_CLEAR_TX;
	/* Events come with the number that we declared, and leave with the one that the party did. */
	if (p->event_pt != 0)
		map_pt(&msg, EVENT_PT, p->event_pt);
	if (codec != NULL)
		map_pt(&msg, codec->pt, p->audio_pt);
	cp_to_dp_addr(&msg.remote, &p->remote);
	rc = post(call, DP_MSG_LEG_SET, &msg, fn);
	if (rc == 0 && with_keys)
		rc = send_key(call, p, DP_DIR_RECV, fn);
	if (rc == 0 && with_keys)
		rc = send_key(call, p, DP_DIR_SEND, fn);
	return rc == 0 ? music_assert(call, side) : rc;
}

static void again(struct cp_call *call, bool with_keys)
{
	uint8_t what = with_keys ? AGAIN_KEYS : AGAIN_LEGS;

	if (call->again < what)
		call->again = what;
}

/* A leg that the dataplane does not take again carries nothing: its parties would wait for ever. */
static void reasserted(struct cp_call *call, int rc, bool with_keys)
{
	if (call != NULL && rc == -ENOTCONN)
		call->untold = true;
	if (call == NULL || rc == 0 || rc == -ENOTCONN)
		return;
	if (rc == -EAGAIN || (with_keys && rc == -ENOENT)) { /* no room now; and the keys of a leg that there was none for */
		again(call, with_keys);
		return;
	}
	cfg_log(CFG_LOG_ERR, "leg-not-asserted", "call=%u rc=%d", call->ref, rc);
	call_end(call_cause(call, CP_Q850_TEMPORARY), "dataplane refused a leg");
}

static void assert_more(struct cp_calls *calls);

static void on_reasserted(void *ctx, int rc)
{
	reasserted(later_call(ctx), rc, false);
}

static void on_reasserted_keys(void *ctx, int rc)
{
	struct cp_calls *calls = ((struct later *)ctx)->calls;

	reasserted(later_call(ctx), rc, true);
	assert_more(calls);
}

int legs_assert(struct cp_call *call, unsigned side, bool with_keys)
{
	int rc;

	if (call->p[side].leg_id == NO_LEG) /* a park number */
		return 0;
	rc = send_leg(call, side, with_keys, with_keys ? on_reasserted_keys : on_reasserted);
	call->untold |= rc == -ENOTCONN;
	if (rc != -EAGAIN)
		return rc;
	again(call, with_keys);
	return 0;
}

static void assert_again(struct cp_call *call)
{
	bool with_keys = call->again == AGAIN_KEYS;
	int rc = 0;

	call->again = 0;
	for (unsigned s = 0; rc == 0 && s < 2; s++)
		rc = legs_assert(call, s, with_keys);
	if (rc < 0 && rc != -ENOTCONN) /* that one asserts all when it is back */
		call_end(call_cause(call, CP_Q850_TEMPORARY), "dataplane not reachable");
}

/* As many as the channel takes now. Each answer makes room for more. */
static void assert_more(struct cp_calls *calls)
{
	while (calls->assert_left > 0 && cp_dp_up(calls->env.dp) && cp_dp_waiting(calls->env.dp) < ASSERT_WINDOW) {
		struct cp_call *call = calls->slot[CALL_SLOTS - calls->assert_left--];

		if (call != NULL && call->again != 0 && call->pending == 0)
			assert_again(call);
	}
}

void legs_tick(struct cp_calls *calls)
{
	if (!cp_dp_up(calls->env.dp))
		return;
	legs_gone(calls, leg_delete);
	calls->assert_left = CALL_SLOTS;
	assert_more(calls);
}

static void session_answer(struct cp_call *call)
{
	cp_session_fn fn = call->session_fn;
	struct cfg_addr a, b;
	char ta[64], tb[64];

	cp_ports_addr(call->calls->ports, call->p[0].leg_id, &a);
	cp_ports_addr(call->calls->ports, call->p[1].leg_id, &b);
	call->session_fn = NULL;
	fn(call->session_ctx, 0, NULL,
	   json_pack("{s:I, s:{s:i, s:s}, s:{s:i, s:s}}", "id", (json_int_t)call->ref, "leg_a", "id",
		     (int)call->p[0].leg_id, "local", cfg_addr_print(&a, ta, sizeof(ta)), "leg_b", "id",
		     (int)call->p[1].leg_id, "local", cfg_addr_print(&b, tb, sizeof(tb))));
}

/* Legs stand and the record is on disk: now, and not before, the parties may be told. */
static void one_answer(struct cp_call *call, int rc, const char *what)
{
	struct cp_calls *calls;
	uint32_t ref;

	if (rc < 0) {
		cfg_log(CFG_LOG_ERR, "media-not-set-up", "call=%u what=%s rc=%d", call->ref, what, rc);
		call_end(call_cause(call, CP_Q850_TEMPORARY), what);
		return;
	}
	if (--call->pending > 0)
		return;
	call->media_started = true;
	if (call_conf(call) != NULL) /* it counts from now on, and what it makes of the others is told before it hears them */
		conf_show(call_conf(call));
	barge_changed(barge_target(call)); /* the same, for those whom it has barged in to */
	if (call->is_static) {
		call->state = CALL_CONNECTED;
		call->since_s = time(NULL);
		session_answer(call);
		return;
	}
	if (call->direct) {
		direct_start(call);
		return;
	}
	for (unsigned s = 0; s < 2; s++) {
		if (call->p[s].kind != PARTY_PHONE || call->p[s].held)
			continue;
		ui_connected(call, s);
		if (!call->p[s].ready && ui_media_start(call, s) < 0) {
			call_end(call_cause(call, CP_Q850_OUT_OF_ORDER), "phone lost");
			return;
		}
	}
	ref = call->ref;
	calls = call->calls;
	for (unsigned s = 0; s < 2 && call_find(calls, ref) == call; s++) {
		if (call->p[s].reopen)
			trunk_reopen(call, s);
		else if (call->p[s].kind == PARTY_GATEWAY && !call->p[s].ready)
			trunk_connect(call, s);
	}
	if (call_find(calls, ref) == call)
		call_media_ready(call); /* it may be that there was nothing to do */
}

static void on_leg(void *ctx, int rc)
{
	struct cp_call *call = later_call(ctx);

	if (call != NULL)
		one_answer(call, rc, "dataplane refused a leg");
}

static void on_record(void *ctx, int rc)
{
	struct cp_call *call = later_call(ctx);

	if (call == NULL)
		return;
	if (rc < 0 && !call->is_static) {
		/* A sick store stops changes, not calls: this one will not outlive the controlplane. */
		cfg_log_limited(CFG_LOG_WARN, "call-not-recorded", "call=%u rc=%d", call->ref, rc);
		rc = 0; /* it may have one from before: it is deleted with the call */
	}
	one_answer(call, rc, "store refused the session");
}

void legs_start(struct cp_call *call)
{
	struct later *l = later_new(call);
	struct cp_call *gone = call->joined;
	int rc = l != NULL ? 0 : -ENOMEM;

	call->joined = NULL;
	call->pending = call->direct ? 1 : 3; /* two legs, the record; and a key per direction */
	for (unsigned s = 0; !call->direct && s < 2; s++) {
		struct party *p = &call->p[s];

		if (party_up(p))
			continue;
		p->keyed_s = rekey_now();
		call->pending = (uint8_t)(call->pending + (p->rx != NULL) + (p->tx != NULL));
	}
	for (unsigned s = 0; !call->direct && rc == 0 && s < 2; s++)
		rc = send_leg(call, s, !party_up(&call->p[s]), on_leg);
	if (rc == 0) {
		rc = gone != NULL ? record_join(call, gone, on_record, l) : record_write(call, on_record, l);
		if (rc < 0)
			on_record(l, rc);
		rc = 0;
	} else {
		free(l);
		call->joined = gone; /* goes with it */
		call_end(call_cause(call, CP_Q850_TEMPORARY), "dataplane not reachable");
		return;
	}
	if (gone != NULL)
		call_vanish(gone);
}

void legs_drop(struct cp_call *call)
{
	legs_put(call, 0);
	legs_put(call, 1);
}

/* --- the record --- */

static void record_fill(const struct cp_call *call, struct cp_call_rec *ret)
{
	struct cp_call_rec rec = {
		.call_id = call->ref,
		.state = (uint8_t)call->state,
		.security = (uint8_t)call_security(call),
		.cap = call->cap,
		.started_us = (int64_t)(call->since_s != 0 ? call->since_s : time(NULL)) * 1000000,
		.leg_cnt = 2,
		.global_id = call->global_id,
		.setup_ms = call->setup_ms,
		.connect_ms = call->connect_ms,
		.origin = call->origin,
		.best = call->best,
		.worst = call->worst,
	};

	snprintf(rec.dialled, sizeof(rec.dialled), "%s", call->digits);
	snprintf(rec.redirecting, sizeof(rec.redirecting), "%s", call->redirecting);
	snprintf(rec.mgcp_call_id, sizeof(rec.mgcp_call_id), "%08X", call->ref);
	for (unsigned s = 0; s < 2; s++) {
		const struct party *p = &call->p[s];
		struct cp_call_leg *l = &rec.leg[s];

		l->leg_id = p->leg_id;
		l->sa_gw_id = UINT32_MAX;
		if (p->kind == PARTY_GATEWAY) {
			struct cp_gw *gw = cp_gws_find(call->calls->gws, p->name);

			l->sa_gw_id = gw != NULL ? cp_gw_id(gw) : UINT32_MAX;
		}
		snprintf(l->party, sizeof(l->party), "%s", p->name);
		snprintf(l->endpoint, sizeof(l->endpoint), "%s", p->endpoint);
		snprintf(l->conn_id, sizeof(l->conn_id), "%s", p->conn_id);
		snprintf(l->number, sizeof(l->number), "%s", p->number);
		l->line = p->line;
		l->callref = p->ref;
		l->held = p->held;
		l->waits = p->music;
		l->untrusted = p->untrusted;
		l->bridges = p->bridges;
		l->guest = p->guest;
		l->proven = (uint8_t)(CP_LEG_KNOWN | (p->signal_auth ? CP_LEG_AUTH : 0) | (p->signal_enc ? CP_LEG_ENC : 0) | (p->inbound ? CP_LEG_INBOUND : 0));
		conf_fill(p, l);
		l->stream = (uint8_t)(p->stream + 1);
		l->rx_suite = l->tx_suite = p->suite;
		l->remote = p->remote;
		l->codec = p->codec;
		l->packet_ms = p->packet_ms;
		l->audio_pt = (uint8_t)(p->audio_pt + 1);
		l->event_pt = p->event_pt;
		l->rekeying = p->rekeying || p->unsure;
		l->best = p->best;
		l->worst = p->worst;
		l->cdr_leg = p->cdr_leg;
		l->parked = p->kind == PARTY_PARK;
	}
	*ret = rec;
}

int record_write(struct cp_call *call, cp_store_fn fn, void *ctx)
{
	struct cp_call_rec rec;

	record_fill(call, &rec);
	call->stored = true;
	return call->due != NULL ? cdr_write(call, &rec, NULL, false, fn, ctx) : cp_store_put_call(call->calls->env.store, &rec, fn, ctx);
}

int record_join(struct cp_call *call, struct cp_call *gone, cp_store_fn fn, void *ctx)
{
	struct cp_call_rec rec;

	record_fill(call, &rec);
	call->stored = true;
	return cdr_write(call, &rec, gone, false, fn, ctx);
}

void record_end(struct cp_call *call)
{
	cdr_write(call, NULL, call->joined, true, NULL, NULL); /* what is refused is tried again */
}

static enum party_kind kind_of(const struct cp_call_rec *rec, unsigned side)
{
	const struct cp_call_leg *l = &rec->leg[side];

	if (l->parked != 0)
		return PARTY_PARK;
	if (l->sa_gw_id != UINT32_MAX || l->endpoint[0] != '\0')
		return PARTY_GATEWAY;
	if (l->party[0] == '\0' && rec->leg[1 - side].conf != 0)
		return PARTY_NONE; /* a port that nobody was at yet */
	return l->party[0] != '\0' ? PARTY_PHONE : PARTY_STATIC;
}

/* As it is configured now: where its next leg gets an address, and which rules are for it. */
static void find_region(const struct cp_calls *calls, struct party *p)
{
	const struct cp_device *dev = p->kind == PARTY_PHONE ? cp_dir_device(calls->env.store, p->name) : NULL;
	const struct cp_gateway *gw = p->kind == PARTY_GATEWAY ? cp_dir_gateway(calls->env.store, p->name) : NULL;

	snprintf(p->region, sizeof(p->region), "%s", dev != NULL ? dev->region : gw != NULL ? gw->region : "default");
}

struct cp_call *record_load(struct cp_calls *calls, const struct cp_call_rec *rec)
{
	uint32_t ref = (uint32_t)rec->call_id;
	struct cp_call *call;

	if (rec->leg_cnt != 2 || rec->call_id != ref || ref == 0 || calls->slot[ref % CALL_SLOTS] != NULL)
		return NULL;
	call = call_new(calls);
	if (call == NULL)
		return NULL;
	calls->slot[call->ref % CALL_SLOTS] = NULL; /* to the place of its own number */
	calls->slot[ref % CALL_SLOTS] = call;
	call->ref = ref;
	/* One that was not answered yet has no legs: adopting them will fail, and that ends it at the gateway too. */
	call->state = rec->state < CALL_CONNECTING ? CALL_FAILED : CALL_CONNECTED;
	call->adopted = call->stored = call->media_started = true;
	call->since_s = rec->started_us / 1000000;
	call->barge = rec->leg[1].bridges != 0;
	call->cap = rec->cap;
	call->global_id = rec->global_id != 0 ? rec->global_id : (uint64_t)call->since_s << 32 | ref;
	call->setup_ms = rec->setup_ms != 0 ? rec->setup_ms : rec->started_us / 1000;
	call->connect_ms = rec->global_id != 0 || rec->state != CALL_CONNECTED ? rec->connect_ms : rec->started_us / 1000;
	call->origin = rec->origin;
	call->best = rec->best;
	call->worst = rec->worst;
	snprintf(call->digits, sizeof(call->digits), "%.*s", DIGITS_MAX, rec->dialled);
	call->digit_cnt = (unsigned)strlen(call->digits);
	snprintf(call->redirecting, sizeof(call->redirecting), "%.*s", DIGITS_MAX, rec->redirecting);
	for (unsigned s = 0; s < 2; s++) {
		const struct cp_call_leg *l = &rec->leg[s];
		struct party *p = &call->p[s];

		p->kind = kind_of(rec, s);
		snprintf(p->name, sizeof(p->name), "%s", l->party);
		find_region(calls, p);
		snprintf(p->endpoint, sizeof(p->endpoint), "%s", l->endpoint);
		snprintf(p->conn_id, sizeof(p->conn_id), "%s", l->conn_id);
		snprintf(p->number, sizeof(p->number), "%.*s", DIGITS_MAX, l->number);
		snprintf(p->label, sizeof(p->label), "%.40s", l->number);
		p->line = l->line;
		p->ref = l->callref != 0 ? l->callref : ref;
		p->stream = (uint8_t)(l->stream != 0 ? l->stream - 1u : s);
		p->held = l->held != 0;
		p->music = l->waits <= MUSIC_NETWORK ? l->waits : MUSIC_NONE;
		p->plays = p->music != MUSIC_NONE;
		p->suite = l->rx_suite;
		p->remote = l->remote;
		p->codec = l->codec;
		if (p->kind != PARTY_STATIC && cp_codec_of_sccp(p->codec) == CP_CODEC_NONE)
			p->codec = CP_SCCP_G711U; /* a record from when there was no other */
		p->packet_ms = l->packet_ms != 0 ? l->packet_ms : calls->env.cfg->media.ptime_ms;
		if (l->audio_pt != 0)
			p->audio_pt = (uint8_t)(l->audio_pt - 1);
		else if (cp_codec_info(cp_codec_of_sccp(p->codec)) != NULL) /* written by an older release */
			p->audio_pt = cp_codec_info(cp_codec_of_sccp(p->codec))->pt;
		p->event_pt = l->event_pt;
		p->keyed_s = rekey_now();
		call->secure |= p->suite != DP_SRTP_NONE;
		p->unsure = l->rekeying != 0;
		p->ready = true;
		/* As it was proven, or as it was shown to the parties: the record is the proof that it was so. */
		p->signal_auth = l->proven != 0 ? (l->proven & CP_LEG_AUTH) != 0 : rec->security >= CP_SEC_AUTHENTICATED;
		p->signal_enc = l->proven != 0 ? (l->proven & CP_LEG_ENC) != 0 : rec->security >= CP_SEC_ENCRYPTED;
		p->inbound = p->kind == PARTY_GATEWAY && (l->proven & CP_LEG_INBOUND) != 0;
		p->untrusted = l->untrusted != 0;
		p->bridges = l->bridges;
		p->guest = l->guest != 0;
		p->best = l->best;
		p->worst = l->worst;
		p->cdr_leg = l->cdr_leg;
		if (p->kind == PARTY_STATIC)
			call->is_static = true;
		if (p->kind == PARTY_GATEWAY) {
			if (l->conf == 0)
				snprintf(p->request_id, sizeof(p->request_id), "%08X1", p->ref);
			endpoint_enter(call, s);
			if (l->conf != 0)
				conf_load(p, l);
		}
		if (cp_ports_claim(calls->ports, l->leg_id) == 0)
			p->leg_id = l->leg_id;
		call->direct = rec->leg[0].leg_id == NO_LEG && rec->leg[1].leg_id == NO_LEG;
		if (p->kind == PARTY_PHONE) {
			struct agent *a = agent_find(calls, p->name, true);

			if (a != NULL)
				agent_enter(a, p);
		}
	}
	cp_rule_find(calls->env.store, &calls->env.cfg->media, call->p[0].region, call->p[1].region, &call->rule, NULL);
	if (call_conf(call) != NULL)
		conf_codecs(&call->rule);
	park_loaded(call);
	return call;
}

/* --- after a restart of either side --- */

static void on_adopted(void *ctx, int rc)
{
	struct cp_call *call = later_call(ctx);

	if (call == NULL || rc == 0 || rc == -ENOTCONN)
		return;
	/* Both sides had restarted: no one has the keys any more. */
	call->calls->dropped_adopt++;
	call_end(call_cause(call, CP_Q850_TEMPORARY), "leg lost with its keys");
}

void cp_calls_up(struct cp_calls *calls, bool fresh)
{
	legs_gone(calls, fresh ? leg_forget : leg_delete);
	music_up(calls); /* legs name them */
	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		struct cp_call *call = calls->slot[i];
		bool untold = call != NULL && call->untold;

		if (call != NULL)
			call->untold = false;
		for (unsigned s = 0; call != NULL && s < 2; s++) {
			struct party *p = &call->p[s];
			struct dp_obj adopt = {.id = p->leg_id, .kind = DP_OBJ_LEG};
			struct later *l;

			if (p->leg_id == NO_LEG || call->pending > 0)
				continue;
			if (call->media_started && !call->adopted) {
				again(call, true);
			} else if (call->adopted) { /* all of them now: the sweep is behind them in the channel */
				l = later_new(call);
				if (l != NULL && cp_dp_send(calls->env.dp, DP_MSG_ADOPT, &adopt, on_adopted, l) < 0)
					free(l);
				if (untold && legs_assert(call, s, false) < 0) /* what changed meanwhile; it has its keys */
					call->untold = true;
				(void)music_assert(call, s); /* a source may have gone from the configuration */
			}
		}
	}
	calls->assert_left = CALL_SLOTS;
	assert_more(calls);
}

/*
 * Remember what the page says before it goes: after a crash keys resume above what was promised there. A call
 * whose legs or record are on their way ends: the dataplane that comes back may know neither.
 */
void cp_calls_down(struct cp_calls *calls)
{
	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		struct cp_call *call = calls->slot[i];

		for (unsigned s = 0; call != NULL && s < 2; s++) {
			const struct dp_page_leg *pl = call->p[s].leg_id == NO_LEG ?
							       NULL :
							       cp_dp_page_leg(calls->env.dp, call->p[s].leg_id);

			if (pl != NULL && pl->session == call->ref)
				call->p[s].page = *pl;
		}
		if (call != NULL && call->pending > 0 && !call->direct)
			call_end(call_cause(call, CP_Q850_TEMPORARY), "dataplane lost");
	}
}

/* Its parties were all told. */
static bool stands(const struct cp_call_rec *rec)
{
	return rec->state == CALL_CONNECTED || kind_of(rec, 0) == PARTY_STATIC || kind_of(rec, 1) == PARTY_STATIC;
}

static void load_one(struct cp_calls *calls, const struct cp_call_rec *rec)
{
	struct cp_call *call = record_load(calls, rec);

	if (call == NULL) {
		cfg_log(CFG_LOG_WARN, "call-record-unusable", "call=%llu", (unsigned long long)rec->call_id);
		return;
	}
	cfg_log(CFG_LOG_NOTICE, "call-taken-over", "call=%u from=%s to=%s state=%u", call->ref,
		cfg_q(call->p[0].number), cfg_q(call->p[1].number), rec->state);
	if (!stands(rec)) /* nobody would ever hear anything in it */
		call_end(call_cause(call, CP_Q850_TEMPORARY), "interrupted while it was set up");
	else if (call->park[0] == '\0')
		direct_watch(call);
}

static void load_standing(void *ctx, const struct cp_call_rec *rec)
{
	if (stands(rec))
		load_one(ctx, rec);
}

static void load_interrupted(void *ctx, const struct cp_call_rec *rec)
{
	if (!stands(rec))
		load_one(ctx, rec);
}

void cp_calls_load(struct cp_calls *calls)
{
	/* A leg that both name is not deleted under the call that stands. */
	cp_store_each_call(calls->env.store, load_standing, calls);
	cp_store_each_call(calls->env.store, load_interrupted, calls);
	for (uint32_t i = 0; i < CALL_SLOTS; i++)
		if (calls->slot[i] != NULL && calls->slot[i]->barge && barge_target(calls->slot[i]) == NULL)
			call_end(calls->slot[i], "the call that it had joined has ended");
}

void cp_calls_leg_aged(struct cp_calls *calls, const struct dp_leg_aged *ev)
{
	struct cp_call *call = call_find(calls, (uint32_t)ev->session);

	if (call == NULL || (call->p[0].leg_id != ev->leg_id && call->p[1].leg_id != ev->leg_id))
		return;
	cfg_log(CFG_LOG_NOTICE, "leg-aged", "call=%u leg=%u idle_s=%u", call->ref, ev->leg_id, ev->idle_s);
	call_end(call_cause(call, CP_Q850_OUT_OF_ORDER), "no media");
}
