/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A world for call control: the real store on a temporary directory, a dataplane's end made by fake_dp.h with a voice
 * gateway behind it that answers as the test says, and phones that only remember what they are told.
 */
#ifndef TESTS_CALL_FIX_H
#define TESTS_CALL_FIX_H

#include <CUnit/CUnit.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "call/callint.h"
#include "fake_dp.h"
#include "gateway/gateway.h"
#include "still_time.h"
#include "store/change.h"
#include "store/internal.h"
#include "store_tmp.h"

/* --- phones --- */

struct cp_phone {
	char name[16], number[8];
	enum cp_phone_sec sec;
	bool srtp, no_codec, dead; /* dead: down-calls fail */
	uint32_t only_codec, type, info_ref;
	unsigned ver; /* of SCCP; 0: 17 */
	unsigned tones, tone_to; /* cp_phone_tone_to() */
	enum cp_sccp_tone secure_tone;
	struct cp_sccp_cap caps[8]; /* none: G.711 and events */
	unsigned cap_cnt;
	/* what it was told */
	enum cp_sccp_state state;
	enum cp_sccp_tone tone;
	unsigned security, orc, smt, crc, stopmt, ringing, states;
	uint32_t callref;
	bool mwi;
	char prompt[64]; /* the last one */
	enum cp_sccp_keyset keys;
	struct cp_phone_media orc_m, smt_m;
	unsigned forward_stats;
	char forward_all[33], called_first[33], calling[33];
	uint8_t info_type;
	uint32_t redirect_reason;
};

static struct world {
	struct event_base *base;
	struct cfg *cfg;
	struct cp_store *store;
	struct cp_alarms *alarms;
	struct cp_dp *dp;
	struct cp_calls *calls;
	struct cp_gws *gws;
	struct fake_dp fake;
	bool dying;
	bool no_record; /* the store is made to fail: ORC may come without a record */
	/* the gateway: what it answers to each verb */
	struct reply {
		bool silent; /* answers when the test says so */
		uint8_t result;
		uint16_t code;
		uint8_t suite, pt, audio, ilbc_ms, ptime_ms;
		bool no_sdp, no_conn, sdp; /* sdp: also in the answer to MDCX */
		bool same_key, our_key, other_tag;
		uint8_t mki_len, event_pt, flags;
		uint32_t tries;   /* it was sent so often */
		bool no_endpoint; /* the bridge does not say which one it chose */
		bool lost;        /* done, but nobody hears of it */
	} say[DP_MGCP_VERB_MAX];
	struct reply *say_of[64]; /* by gateway's number: DP_MGCP_VERB_MAX of its own, instead of 'say' */
	/* the conference bridge, if there is one: its open connections; every_conn: also those of the gateway */
	uint32_t bridge_id;
	bool every_conn;
	struct bridge_conn {
		char conn_id[DP_MGCP_ID_MAX], call_id[DP_MGCP_ID_MAX], endpoint[DP_MGCP_NAME_MAX];
		uint8_t mode, suite;
	} conns[256];
	unsigned conn_seq, cnf_seq;
	struct dp_mgcp_cmd todo[1024];
	unsigned todo_cnt, todo_done;
	int refuse_type, refuse_rc; /* commands of that type are refused */
	bool ask_silent;            /* struct dp_mgcp_ask is not answered here */
	uint16_t ask_code[DP_MGCP_VERB_MAX]; /* what it is answered by verb; 0: 200 */
	const char *lists[DP_MGCP_VERB_MAX]; /* what audits of connections answer, by verb; NULL: nothing */
	unsigned acked[64]; /* per message type */
} w;

static struct cp_phone pa, pb; /* 1001, 1002 */
static struct cp_phone pc;     /* 1003, in a world of three */
static void (*gw_hook)(const struct dp_mgcp_cmd *c, const struct dp_mgcp_done *d); /* the same: a gateway has done it */
static void (*media_hook)(struct cp_phone *p, const struct cp_phone_media *m, bool receive); /* may be NULL */

static inline void phone_reset(struct cp_phone *p, const char *name, const char *number)
{
	memset(p, 0, sizeof(*p));
	strcpy(p->name, name);
	strcpy(p->number, number);
	p->sec = CP_PHONE_ENCRYPTED;
	p->srtp = true;
}

static const struct cfg_addr v4 = {.family = 4, .plen = 32, .ip = {10, 1, 1, 1}};

const char *cp_phone_name(const struct cp_phone *p) { return p->name; }
const struct cp_device *cp_phone_device(const struct cp_phone *p) { return cp_dir_device(w.store, p->name); }
const char *cp_phone_line_number(const struct cp_phone *p, unsigned l) { return l == 1 ? p->number : NULL; }
const char *cp_phone_line_label(const struct cp_phone *p, unsigned l) { return l == 1 ? p->number : NULL; }
unsigned cp_phone_find_line(const struct cp_phone *p, const char *n) { return strcmp(n, p->number) == 0; }
enum cp_phone_sec cp_phone_security(const struct cp_phone *p) { return p->sec; }
const struct cp_sccp_cap *cp_phone_caps(const struct cp_phone *p, unsigned *n)
{
	static const struct cp_sccp_cap usual[] = {{CP_SCCP_G711U, 40}, {CP_SCCP_G711A, 40}, {CP_SCCP_RFC2833, 1}};
	static struct cp_sccp_cap ones[4];
	static unsigned turn;
	struct cp_sccp_cap *one = &ones[turn++ % 4];

	*one = (struct cp_sccp_cap){(uint16_t)p->only_codec, 40};
	*n = p->no_codec ? 0 : p->cap_cnt > 0 ? p->cap_cnt : p->only_codec != 0 ? 1 : 3;
	return p->cap_cnt > 0 ? p->caps : p->only_codec != 0 ? one : usual;
}
bool cp_phone_has_codec(const struct cp_phone *p, uint32_t c)
{
	unsigned n;
	const struct cp_sccp_cap *caps = cp_phone_caps(p, &n);

	for (unsigned i = 0; i < n; i++)
		if (caps[i].codec == c)
			return true;
	return false;
}
unsigned cp_phone_protocol(const struct cp_phone *p) { return p->ver != 0 ? p->ver : 17; }
bool cp_phone_srtp(const struct cp_phone *p) { return p->srtp; }
uint32_t cp_phone_type(const struct cp_phone *p) { return p->type; }
const struct cfg_addr *cp_phone_peer(const struct cp_phone *p) { (void)p; return &v4; }

#define TOLD(p) do { if ((p)->dead) return -ENOTCONN; } while (0)

int cp_phone_forward_stat(struct cp_phone *p, uint32_t l, const char *all, const char *busy, const char *no_answer)
{
	(void)l;
	(void)busy;
	(void)no_answer;
	TOLD(p);
	p->forward_stats++;
	snprintf(p->forward_all, sizeof(p->forward_all), "%s", all);
	return 0;
}
int cp_phone_call_state(struct cp_phone *p, enum cp_sccp_state s, uint32_t l, uint32_t ref)
{
	(void)l;
	TOLD(p);
	p->state = s;
	p->callref = ref;
	p->states++;
	return 0;
}
int cp_phone_callinfo(struct cp_phone *p, const struct cp_phone_callinfo *i) { TOLD(p); p->security = i->security; p->info_ref = i->callref; snprintf(p->called_first, sizeof(p->called_first), "%s", i->orig_called_number); snprintf(p->calling, sizeof(p->calling), "%s", i->calling_number); p->info_type = i->type; p->redirect_reason = i->last_reason; return 0; }
int cp_phone_tone(struct cp_phone *p, enum cp_sccp_tone t, uint32_t l, uint32_t r) { (void)l; (void)r; TOLD(p); p->tone = t; return 0; }
int cp_phone_tone_to(struct cp_phone *p, enum cp_sccp_tone t, uint32_t to, uint32_t l, uint32_t r)
{
	(void)l;
	(void)r;
	TOLD(p);
	p->tones++;
	p->secure_tone = t;
	p->tone_to = to;
	return 0;
}
int cp_phone_stop_tone(struct cp_phone *p, uint32_t l, uint32_t r) { (void)l; (void)r; TOLD(p); p->tone = 0; return 0; }
int cp_phone_ringer(struct cp_phone *p, enum cp_sccp_ringer m, uint32_t l, uint32_t r)
{
	(void)l;
	(void)r;
	TOLD(p);
	p->ringing = m != CP_SCCP_RING_OFF;
	return 0;
}
int cp_phone_lamp(struct cp_phone *p, uint32_t l, enum cp_sccp_lamp m) { (void)p; (void)l; (void)m; return 0; }
int cp_phone_mwi(struct cp_phone *p, uint32_t l, bool on) { (void)l; TOLD(p); p->mwi = on; return 0; }
int cp_phone_speaker(struct cp_phone *p, bool on) { (void)p; (void)on; return 0; }
int cp_phone_softkeys(struct cp_phone *p, enum cp_sccp_keyset s, uint32_t l, uint32_t r) { (void)l; (void)r; p->keys = s; return 0; }
int cp_phone_prompt(struct cp_phone *p, const char *t, uint32_t s, uint32_t l, uint32_t r) { (void)s; (void)l; (void)r; TOLD(p); snprintf(p->prompt, sizeof(p->prompt), "%s", t); return 0; }
int cp_phone_clear_prompt(struct cp_phone *p, uint32_t l, uint32_t r) { (void)p; (void)l; (void)r; return 0; }
int cp_phone_dialed(struct cp_phone *p, const char *n, uint32_t l, uint32_t r) { (void)p; (void)n; (void)l; (void)r; return 0; }
int cp_phone_planes(struct cp_phone *p, uint32_t l) { (void)p; (void)l; return 0; }
int cp_phone_stats(struct cp_phone *p, const char *n, uint32_t r) { (void)p; (void)n; (void)r; return 0; }

/* Whoever is told of media: by then the dataplane has both legs and every key, and the disk the record. */
static inline void media_told(const struct cp_phone *p, const struct cp_phone_media *m)
{
	struct party *place = agent_party(agent_find(w.calls, p->name, false), m->party >> 1); /* of a barger's target: its second one */
	struct cp_call *call = place != NULL ? place->call : NULL;

	CU_ASSERT_PTR_NOT_NULL_FATAL(call);
	CU_ASSERT_EQUAL(call->pending, 0);
	CU_ASSERT_TRUE(w.no_record || (cp_store_call(w.store, call->ref) != NULL &&
				       cp_store_call(w.store, call->ref)->state >= CALL_CONNECTING));
	CU_ASSERT_TRUE(call->direct || w.acked[DP_MSG_LEG_SET] >= 2);
	CU_ASSERT_TRUE(call->direct || m->suite == DP_SRTP_NONE || w.acked[DP_MSG_LEG_KEY] >= 4);
}

int cp_phone_orc(struct cp_phone *p, const struct cp_phone_media *m)
{
	TOLD(p);
	media_told(p, m);
	p->orc++;
	if (media_hook != NULL)
		media_hook(p, m, true);
	p->orc_m = *m;
	return 0;
}
int cp_phone_smt(struct cp_phone *p, const struct cp_phone_media *m)
{
	TOLD(p);
	media_told(p, m);
	p->smt++;
	if (media_hook != NULL)
		media_hook(p, m, false);
	p->smt_m = *m;
	return 0;
}
int cp_phone_crc(struct cp_phone *p, uint32_t c, uint32_t party, uint32_t r) { (void)c; (void)party; (void)r; TOLD(p); p->crc++; return 0; }
int cp_phone_stopmt(struct cp_phone *p, uint32_t c, uint32_t party, uint32_t r) { (void)c; (void)party; (void)r; TOLD(p); p->stopmt++; return 0; }

/* --- the dataplane and the gateway behind it --- */

static inline int world_hook(struct fake_dp *f, const union fake_msg *m)
{
	(void)f;
	if (w.refuse_type == m->hdr.type)
		return w.refuse_rc;
	if (m->hdr.type < 64)
		w.acked[m->hdr.type]++;
	if (m->hdr.type == DP_MSG_MGCP_ASK && !w.ask_silent) {
		struct dp_mgcp_ask ask;
		struct dp_mgcp_done d = {.code = 200};

		memcpy(&ask, m, sizeof(ask));
		if (strcmp(ask.params, "F: A\n") == 0 && w.todo_cnt < 1024) { /* also the question whether it is there: as the test says */
			struct dp_mgcp_cmd c = {.handle = ask.handle, .gw_id = ask.gw_id, .verb = ask.verb};

			memcpy(c.endpoint, ask.endpoint, sizeof(c.endpoint));
			w.todo[w.todo_cnt++] = c;
			return 0;
		}
		d.handle = ask.handle;
		d.gw_id = ask.gw_id;
		d.verb = ask.verb;
		d.code = w.ask_code[ask.verb] != 0 ? w.ask_code[ask.verb] : 200;
		if (w.lists[ask.verb] != NULL) {
			struct dp_mgcp_text t = {.handle = ask.handle, .gw_id = ask.gw_id, .len = (uint16_t)strlen(w.lists[ask.verb])};

			d.text_len = t.len;
			memcpy(t.text, w.lists[ask.verb], t.len);
			fake_send(f, &t, DP_MSG_MGCP_TEXT, sizeof(t), 0);
		}
		fake_send(f, &d, DP_MSG_MGCP_DONE, sizeof(d), 0);
	}
	if (m->hdr.type == DP_MSG_MGCP_CMD && w.todo_cnt < 1024)
		w.todo[w.todo_cnt++] = m->mgcp;
	return 0;
}

static inline unsigned bridge_conns(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 256; i++)
		n += w.conns[i].conn_id[0] != '\0';
	return n;
}

/* What the bridge does with a command that it takes. "cnf/$" becomes a conference of its own. */
static inline void bridge_does(const struct dp_mgcp_cmd *c, struct dp_mgcp_done *d)
{
	struct bridge_conn *b = NULL;

	for (unsigned i = 0; i < 256; i++) {
		struct bridge_conn *o = &w.conns[i];
		bool any = strchr(c->endpoint, '*') != NULL;

		if (c->verb == DP_MGCP_CRCX ? o->conn_id[0] == '\0' : c->conn_id[0] != '\0' && strcmp(o->conn_id, c->conn_id) == 0)
			b = b == NULL ? o : b;
		else if (c->verb == DP_MGCP_DLCX && c->conn_id[0] == '\0' && o->conn_id[0] != '\0' && strcmp(o->call_id, c->call_id) == 0 &&
			 (any || strcmp(o->endpoint, c->endpoint) == 0))
			memset(o, 0, sizeof(*o));
	}
	if (b == NULL)
		return;
	if (c->verb == DP_MGCP_DLCX) {
		memset(b, 0, sizeof(*b));
		return;
	}
	if (c->mode != DP_MGCP_M_NONE)
		b->mode = c->mode;
	if (c->verb != DP_MGCP_CRCX)
		return;
	snprintf(b->conn_id, sizeof(b->conn_id), "%X", ++w.conn_seq);
	snprintf(b->call_id, sizeof(b->call_id), "%s", c->call_id);
	snprintf(b->endpoint, sizeof(b->endpoint), "%s", c->endpoint);
	b->suite = d->media.suite;
	if (strchr(b->endpoint, '$') != NULL)
		snprintf(b->endpoint, sizeof(b->endpoint), "cnf/%u", ++w.cnf_seq);
	snprintf(d->conn_id, sizeof(d->conn_id), "%s", b->conn_id);
	if (strchr(c->endpoint, '$') != NULL && !w.say[DP_MGCP_CRCX].no_endpoint)
		snprintf(d->endpoint, sizeof(d->endpoint), "%s", b->endpoint);
}

static inline void gw_answer(const struct dp_mgcp_cmd *c)
{
	const struct reply *r = c->gw_id < 64 && w.say_of[c->gw_id] != NULL ? &w.say_of[c->gw_id][c->verb] : &w.say[c->verb];
	struct dp_mgcp_done d = {.handle = c->handle, .gw_id = c->gw_id, .code = r->code, .result = r->result,
				 .verb = c->verb, .rtt_us = 1000, .tries = r->tries};

	if (d.result == DP_MGCP_ANSWERED && d.code == 0)
		d.code = c->verb == DP_MGCP_DLCX ? 250 : 200;
	static uint32_t keys = 0x10;

	if ((c->verb == DP_MGCP_CRCX || (c->verb == DP_MGCP_MDCX && r->sdp && c->media.addr.family != 0)) &&
	    d.result == DP_MGCP_ANSWERED && d.code < 300) {
		if (!r->no_conn && c->verb == DP_MGCP_CRCX)
			strcpy(d.conn_id, "C0FFEE");
		if (!r->no_sdp) {
			d.media.addr = (struct dp_sockaddr){.ip = {10, 2, 2, 2}, .port = 4000, .family = 4};
			d.media.pt = r->pt;
			d.media.audio[0] = r->audio != 0 ? r->audio : r->pt == 8 ? DP_AUDIO_PCMA : r->pt == 0 ? DP_AUDIO_PCMU : DP_AUDIO_NONE;
			d.media.ilbc_ms = r->ilbc_ms;
			d.media.ptime_ms = r->ptime_ms;
			d.media.telephone_event = r->event_pt;
			d.media.suite = r->suite == 0xff ? DP_SRTP_NONE : r->suite != 0 ? r->suite : c->media.suite;
			if (d.media.suite != DP_SRTP_NONE) {
				/* its own key, another one for each offer */
				keys = r->same_key ? keys : keys + 1;
				memset(d.media.key, (uint8_t)keys, dp_suite(d.media.suite)->key_len);
				memcpy(d.media.key, &keys, sizeof(keys));
				memset(d.media.salt, 0x22, dp_suite(d.media.suite)->salt_len);
				if (r->our_key) {
					memcpy(d.media.key, c->media.key, sizeof(d.media.key));
					memcpy(d.media.salt, c->media.salt, sizeof(d.media.salt));
				}
				d.media.tag = (uint8_t)(c->media.tag + r->other_tag);
				d.media.mki_len = r->mki_len;
				d.media.mki = keys;
				d.media.flags = r->flags;
			}
		}
	}
	if (w.every_conn ? c->verb != DP_MGCP_RQNT : w.bridge_id != 0 && c->gw_id == w.bridge_id)
		if (d.result == DP_MGCP_ANSWERED && d.code < 300)
			bridge_does(c, &d);
	if (gw_hook != NULL)
		gw_hook(c, &d);
	if (r->lost)
		d = (struct dp_mgcp_done){.handle = c->handle, .gw_id = c->gw_id, .result = DP_MGCP_TIMEOUT, .verb = c->verb};
	fake_send(&w.fake, &d, DP_MSG_MGCP_DONE, sizeof(d), 0);
}

/* A few at a time: the test is both ends, neither may block. */
static inline void gw_answers(void)
{
	for (int i = 0; i < 4 && w.todo_done < w.todo_cnt; i++, w.todo_done++)
		if (!w.say[w.todo[w.todo_done].verb].silent)
			gw_answer(&w.todo[w.todo_done]);
}

/* Commands of a verb that the gateway has seen; the last one in *ret. Deletes are those of a call: not what is swept at the start. */
static inline unsigned gw_saw(uint8_t verb, const struct dp_mgcp_cmd **ret)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w.todo_cnt; i++) {
		if (w.todo[i].verb == verb && (verb != DP_MGCP_DLCX || w.todo[i].call_id[0] != '\0')) {
			n++;
			if (ret != NULL)
				*ret = &w.todo[i];
		}
	}
	return n;
}

/* Something is not written yet; or, 'told', is, and our loop has not been told. */
static inline bool disk_busy(bool told)
{
	bool busy;

	if (w.store == NULL)
		return false;
	pthread_mutex_lock(&w.store->lock);
	busy = w.store->stats.queued > 0 || (told && w.store->finished.first != NULL);
	pthread_mutex_unlock(&w.store->lock);
	return busy;
}

static unsigned spin_ms = 1; /* 0: no time passes */

/* A millisecond, and what happens in it. While the store's thread writes no time passes: it has the machine's. */
static inline void spin(void)
{
	time_still();
	for (int i = 0; i < 4; i++)
		event_base_loop(w.base, EVLOOP_NONBLOCK);
	gw_answers();
	if (disk_busy(true))
		machine_waits(50);
	else
		time_pass(spin_ms);
}

/* 'step' until 'cond' holds, for a minute of the machine's. What is only in our loop is there soon: our clock is not to run away with the rest. */
#define STEP_UNTIL(cond, step)                                                            \
	do {                                                                              \
		int64_t since_ = machine_ns(CLOCK_MONOTONIC);                             \
		for (int su_ = 0; !(cond) && machine_ns(CLOCK_MONOTONIC) - since_ < INT64_C(60000000000); su_++) { \
			step;                                                             \
			if (su_ > 500)                                                    \
				machine_waits(1000);                                      \
		}                                                                         \
		CU_ASSERT_TRUE_FATAL(cond);                                               \
	} while (0)
#define UNTIL(cond) STEP_UNTIL(cond, spin())

/* Nothing is on its way: what the store's thread writes comes back when the machine lets it, all else is in our loop. */
static inline bool at_rest(void)
{
	return !disk_busy(true) && (w.todo_done == w.todo_cnt || w.say[w.todo[w.todo_done].verb].silent);
}

/* Until what should not happen would have happened: so many rounds in a row in which nothing was on its way. */
static inline void rest(void)
{
	const int64_t until = machine_ns(CLOCK_MONOTONIC) + INT64_C(60000000000);

	for (int calm = 0; calm < 12 && machine_ns(CLOCK_MONOTONIC) < until;) {
		calm = at_rest() ? calm + 1 : 0;
		spin();
	}
}

static inline void gw_event(uint8_t verb, const char *endpoint, const char *id, const char *what)
{
	struct dp_mgcp_event e = {.token = 1, .gw_id = cp_gw_id(cp_gws_find(w.gws, "gw1")), .verb = verb};

	snprintf(e.endpoint, sizeof(e.endpoint), "%s", endpoint);
	if (verb == DP_MGCP_NTFY) {
		snprintf(e.request_id, sizeof(e.request_id), "%s", id);
		snprintf(e.observed, sizeof(e.observed), "%s", what);
	} else if (verb == DP_MGCP_RSIP) {
		snprintf(e.restart_method, sizeof(e.restart_method), "%s", what);
	} else {
		snprintf(e.conn_id, sizeof(e.conn_id), "%s", id);
	}
	fake_send(&w.fake, &e, DP_MSG_MGCP_EVENT, sizeof(e), 0);
}

static int ups;

static inline void world_up(void *ctx, bool fresh)
{
	(void)ctx;
	cp_gws_up(w.gws, fresh);
	cp_calls_up(w.calls, fresh);
	cp_dp_sweep(w.dp);
	ups++;
}

static inline void world_down(void *ctx)
{
	(void)ctx;
	if (w.dying)
		return;
	cp_calls_down(w.calls);
	cp_gws_down(w.gws);
}

static inline void world_aged(void *ctx, const struct dp_leg_aged *ev) { (void)ctx; cp_calls_leg_aged(w.calls, ev); }
static inline void world_leg(void *ctx, const struct dp_leg_event *ev) { (void)ctx; cp_calls_leg_event(w.calls, ev); }
static inline void world_done(void *ctx, struct dp_mgcp_done *ev) { (void)ctx; cp_gws_mgcp_done(w.gws, ev); }
static inline void world_event(void *ctx, const struct dp_mgcp_event *ev) { (void)ctx; cp_gws_mgcp_event(w.gws, ev); }
static inline void world_text(void *ctx, const struct dp_mgcp_text *ev) { (void)ctx; cp_gws_mgcp_text(w.gws, ev); }
static inline void world_heard(void *ctx, const struct dp_gw_heard *ev) { (void)ctx; cp_gws_heard(w.gws, ev); }
static inline void world_sa(void *ctx, const struct dp_sa_event *ev) { (void)ctx; (void)ev; }
static const struct cp_dp_ops world_ops = {.up = world_up, .down = world_down, .leg_aged = world_aged, .leg_event = world_leg,
					 .mgcp_done = world_done, .mgcp_event = world_event, .sa_event = world_sa,
					 .mgcp_text = world_text, .gw_heard = world_heard};

static int stored, stored_rc;
static inline void on_stored(void *ctx, int rc)
{
	(void)ctx;
	stored_rc = rc;
	stored = 1;
}
static char world_why[200];
static const struct cp_dir_ctx dir_ctx = {.who = "test", .fn = on_stored, .why = world_why, .why_size = sizeof(world_why)};

static inline void synced(int rc)
{
	if (rc != 0)
		printf("refused (%d): %s\n", rc, world_why);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	UNTIL(stored);
	CU_ASSERT_EQUAL_FATAL(stored_rc, 0);
	stored = 0;
}

static inline void add_device_shared(const char *name, const char *number, bool shared)
{
	struct cp_line line = {0};
	struct cp_device d = {.mode = CP_DEVICE_ENCRYPTED, .region = "default", .srtp = true, .lines = &line, .line_cnt = 1};
	struct cp_dir_ctx x = dir_ctx;

	x.shared = shared;
	strcpy(d.name, name);
	strcpy(line.number, number);
	synced(cp_dir_device_put(w.store, &d, false, &x));
}

static inline void add_device(const char *name, const char *number)
{
	add_device_shared(name, number, false);
}

/* A type of another vendor that can do all, and is not trusted. */
static inline void add_devtype(const char *name)
{
	struct cp_typerec t = {.authentication = true, .encryption = true, .media = true, .icon = true, .tone = true};
	struct cp_change *c = cp_change_create(w.store);

	strcpy(t.name, name);
	CU_ASSERT_EQUAL_FATAL(cp_typerec_put(c, &t, true, world_why, sizeof(world_why)), 0);
	synced(cp_change_submit(c, "devtype.install", "test", NULL, on_stored, NULL));
}

static inline void add_gateway(uint32_t flags, bool replace)
{
	struct cp_endpoint ep[2] = {{.name = "aaln/1"}, {.name = "aaln/2"}};
	struct cp_gw_number n[2] = {{.number = "9", .prefix = true}, {.number = "77", .endpoint = "aaln/1"}};
	struct cp_gateway g = {.name = "gw1", .region = "default", .endpoints = ep, .endpoint_cnt = 2, .numbers = n,
			       .number_cnt = 2, .flags = flags};

	cfg_addr_parse("10.0.0.1:2427", &g.address);
	synced(cp_dir_gateway_put(w.store, &g, replace, &dir_ctx));
	if (w.gws != NULL)
		cp_gws_changed(w.gws, "gw1");
}

/* A conference bridge under an SA; type "": one of the vendor's. */
static inline void add_bridge_of(const char *type, const char *endpoint, uint16_t ports, uint8_t max, uint32_t flags)
{
	struct cp_endpoint ep[1] = {{.name = ""}};
	struct cp_gateway g = {.name = "bridge1", .region = "default", .endpoints = ep, .endpoint_cnt = 1, .ports = ports,
			       .conference_max = max, .flags = flags | CP_GW_CONFERENCE};

	snprintf(g.type, sizeof(g.type), "%s", type);
	snprintf(ep[0].name, sizeof(ep[0].name), "%s", endpoint);
	cfg_addr_parse("10.0.0.2:2427", &g.address);
	synced(cp_dir_gateway_put(w.store, &g, true, &dir_ctx));
	cp_gws_changed(w.gws, "bridge1");
	w.bridge_id = cp_gw_id(cp_gws_find(w.gws, "bridge1"));
	cp_gws_sa_changed(w.gws, w.bridge_id, true);
}

static inline void add_bridge(const char *endpoint, uint16_t ports, uint8_t max, uint32_t flags)
{
	add_bridge_of("", endpoint, ports, max, flags);
}

static inline void controlplane_start(void)
{
	struct cp_calls_env env = {.base = w.base, .cfg = w.cfg};
	struct cp_store_opts o = {.path = tmp_store, .base = w.base, .no_sync = true};
	struct cfg_addr agent;
	char err[256];

	cfg_addr_parse("10.9.9.9:2727", &agent);
	if (w.store == NULL)
		CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &w.store, err, sizeof(err)), 0);
	env.store = w.store;
	env.alarms = w.alarms = cp_alarms_create();
	env.dp = w.dp = cp_dp_create(w.base, tmp_dir, 99, 3, 16384, &world_ops, NULL);
	w.calls = cp_calls_create(&env);
	w.gws = cp_gws_create(w.base, w.dp, w.store, w.alarms, &agent, &cp_calls_gateway_ops, w.calls);
	cp_calls_set_gateways(w.calls, w.gws);
	cp_calls_load(w.calls);
}

/* As main.c does on SIGTERM. 'killed': nothing is ended or told any more, as after SIGKILL. */
static inline void controlplane_stop(bool killed)
{
	w.dying = killed;
	if (!killed)
		cp_calls_stop(w.calls);
	cp_dp_close(w.dp);
	cp_store_close(w.store);
	cp_gws_destroy(w.gws);
	cp_calls_destroy(w.calls);
	cp_dp_destroy(w.dp);
	cp_alarms_destroy(w.alarms);
	w.gws = NULL;
	w.store = NULL;
	w.dying = false;
}

/* No file may grow: every commit fails, as on a full disk. */
static inline void store_break(bool broken)
{
	struct rlimit lim;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &lim);
	lim.rlim_cur = broken ? 1 : lim.rlim_max;
	setrlimit(RLIMIT_FSIZE, &lim);
}

static inline void world_begin(void)
{
	static struct cfg_media_addr addrs[3] = {{.address = "10.9.0.1", .region = "default"},
						 {.address = "10.9.0.2", .region = "b"},
						 {.address = "10.9.0.3", .region = "c"}};
	struct cp_store_opts o = {.path = tmp_store, .no_sync = true}; /* what survives a loss of power is test_store's */
	char err[256];

	memset(&w, 0, sizeof(w));
	time_still();
	ups = 0;
	phone_reset(&pa, "SEP000000000001", "1001");
	phone_reset(&pb, "SEP000000000002", "1002");
	tmp_make();
	w.base = event_base_new();
	CU_ASSERT_EQUAL_FATAL(cfg_load(NULL, &w.cfg, err, sizeof(err)), 0);
	for (unsigned i = 0; i < 3; i++)
		cfg_addr_parse(addrs[i].address, &addrs[i].addr);
	w.cfg->media.addresses = addrs;
	w.cfg->media.addresses_count = 3;
	w.cfg->dataplane.max_legs = 64;
	o.base = w.base;
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &w.store, err, sizeof(err)), 0);
	add_device(pa.name, pa.number);
	add_device(pb.name, pb.number);
	add_device("SEP000000000003", "1003");
	add_device("SEP000000000004", "10045");
	add_gateway(0, false);
	w.fake.media_addrs = 3;
	w.fake.hook = world_hook;
	fake_start(&w.fake, w.base, tmp_dir);
	controlplane_start();
	UNTIL(ups == 1);
	cp_gws_sa_changed(w.gws, cp_gw_id(cp_gws_find(w.gws, "gw1")), true);
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	rest();
	w.fake.n = 0;
	w.todo_cnt = w.todo_done = 0;
	memset(w.acked, 0, sizeof(w.acked));
}

static inline void world_of_three(void)
{
	world_begin();
	phone_reset(&pc, "SEP000000000003", "1003");
	cp_calls_phone_ops.registered(w.calls, &pc);
	rest();
}

static unsigned records;
static inline void count_record(void *ctx, const struct cp_call_rec *r) { (void)ctx; (void)r; records++; }

/* After every call: nothing of it is left anywhere. */
static inline void nothing_left(void)
{
	rest();
	CU_ASSERT_EQUAL(cp_calls_count(w.calls), 0);
	CU_ASSERT_EQUAL(cp_keys_used(w.calls->keys), 0);
	CU_ASSERT_EQUAL(cp_ports_used(w.calls->ports), 0);
	for (int i = 0; i < 1000; i++) {
		records = 0;
		cp_store_each_call(w.store, count_record, NULL);
		if (records == 0)
			break;
		spin();
	}
	CU_ASSERT_EQUAL(records, 0);
	for (unsigned i = 0; i < AGENT_HASH; i++) {
		CU_ASSERT_PTR_NULL(w.calls->endpoints[i]);
		for (struct agent *a = w.calls->agents[i]; a != NULL; a = a->next) {
			CU_ASSERT_PTR_NULL(a->parties);
			CU_ASSERT_PTR_NOT_NULL(a->phone);
		}
	}
}

static inline void world_close(void)
{
	controlplane_stop(false);
	fake_stop(&w.fake);
	event_base_free(w.base);
	w.cfg->media.addresses = NULL;
	w.cfg->media.addresses_count = 0;
	cfg_free(w.cfg);
	tmp_remove();
}

static inline void world_end(void)
{
	nothing_left();
	CU_ASSERT_EQUAL(w.fake.refused, 0); /* nothing is asked of gateways that no worker would pass on */
	world_close();
}

/* --- what people do --- */

static inline struct cp_call *the_call(void)
{
	for (unsigned i = 0; i < CALL_SLOTS; i++)
		if (w.calls->slot[i] != NULL)
			return w.calls->slot[i];
	return NULL;
}

static inline int the_state(void) { return the_call() != NULL ? (int)the_call()->state : -1; }
static inline void dial(const char *number) { cp_calls_phone_ops.enbloc(w.calls, &pa, number, 1); }
static inline void offhook(struct cp_phone *p) { cp_calls_phone_ops.offhook(w.calls, p, 1, 0); }
static inline void onhook(struct cp_phone *p) { cp_calls_phone_ops.onhook(w.calls, p, 1, 0); }
static inline void gone(struct cp_phone *p, enum cp_phone_gone why) { cp_calls_phone_ops.gone(w.calls, p, why); }

static inline void ack_media(struct cp_phone *p)
{
	struct cfg_addr a = v4;

	a.port = 20000;
	cp_calls_phone_ops.orc_ack(w.calls, p, 0, &a, p->orc_m.party, 0);
}

static inline void timer_fires(void)
{
	event_active(the_call()->timer, EV_TIMEOUT, 0);
	rest();
}

static inline void notify(const char *what)
{
	char id[16];

	snprintf(id, sizeof(id), "%08X", the_call()->ref);
	gw_event(DP_MGCP_NTFY, the_call()->p[1].endpoint, id, what);
}

#endif
