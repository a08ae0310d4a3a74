/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/call/rekey.c, policy.c, direct.c: new keys for running calls, what the dataplane says of keys and sources,
 * which suite is offered to whom, and media that goes between the parties.
 * Rows: 004b:MGCP-05; 004c:MG-04.
 */
#include "call_fix.h"

static struct answer {
	int n, rc;
	char why[128];
	json_t *result;
} ans;

static void on_rekeyed(void *ctx, int rc, const char *why, json_t *result)
{
	(void)ctx;
	ans.n++;
	ans.rc = rc;
	snprintf(ans.why, sizeof(ans.why), "%s", why != NULL ? why : "");
	json_decref(ans.result);
	ans.result = result;
}

static void rekey(const char *which)
{
	json_decref(ans.result);
	memset(&ans, 0, sizeof(ans));
	cp_calls_rekey(w.calls, the_call() != NULL ? the_call()->ref : 1, which, on_rekeyed, NULL);
}

static bool all_done(void)
{
	json_t *v;
	size_t i;

	json_array_foreach(ans.result, i, v)
		if (!json_is_true(json_object_get(v, "done")))
			return false;
	return ans.rc == 0 && json_array_size(ans.result) > 0;
}

static void end_world(void)
{
	json_decref(ans.result);
	memset(&ans, 0, sizeof(ans));
	world_end();
}

static void connected(const char *number)
{
	dial(number);
	if (number[0] == '9') {
		UNTIL(the_state() == CALL_ALERTING);
		notify("L/hd");
	} else {
		offhook(&pb);
	}
	UNTIL(pa.smt == 1 || (the_call()->direct && pa.orc == 1));
	ack_media(&pa);
	if (number[0] != '9')
		ack_media(&pb);
	UNTIL(the_state() == CALL_CONNECTED);
	rest();
}

/* The n-th key of a leg's direction that the dataplane was given. */
static const struct dp_leg_key *key_seen(uint32_t leg, uint8_t dir, unsigned n, unsigned *ret_at)
{
	for (unsigned i = 0; i < w.fake.n; i++) {
		if (w.fake.log[i].hdr.type != DP_MSG_LEG_KEY || w.fake.log[i].key.leg_id != leg || w.fake.log[i].key.dir != dir)
			continue;
		if (n-- == 0) {
			if (ret_at != NULL)
				*ret_at = i;
			return &w.fake.log[i].key;
		}
	}
	return NULL;
}

static void test_gateway(void)
{
	const struct dp_leg_key *before[2], *k[2];
	const struct dp_mgcp_cmd *c = NULL;
	uint8_t seen[32][16];
	uint32_t leg;
	unsigned at[2], n = 0;

	world_begin();
	connected("9123");
	leg = the_call()->p[1].leg_id;
	before[0] = key_seen(leg, DP_DIR_RECV, 0, NULL);
	before[1] = key_seen(leg, DP_DIR_SEND, 0, NULL);
	memcpy(seen[n++], before[1]->key, 16);
	w.say[DP_MGCP_MDCX].sdp = true;
	for (unsigned round = 0; round < 10; round++) {
		w.fake.n = 0;
		rekey("gateway");
		UNTIL(ans.n == 1);
		CU_ASSERT_TRUE(all_done());
		CU_ASSERT_EQUAL(gw_saw(DP_MGCP_MDCX, &c), round + 2);
		CU_ASSERT_EQUAL(c->mode, DP_MGCP_M_NONE); /* nothing else changes */
		CU_ASSERT_EQUAL(c->media.tag, round + 2);
		k[0] = key_seen(leg, DP_DIR_RECV, 0, &at[0]);
		k[1] = key_seen(leg, DP_DIR_SEND, 0, &at[1]);
		CU_ASSERT(k[0] != NULL && k[1] != NULL && key_seen(leg, DP_DIR_SEND, 1, NULL) == NULL);
		CU_ASSERT_TRUE(at[0] < at[1]); /* what it sends can be read before it hears that we have it */
		CU_ASSERT(k[0]->flags == DP_KEY_F_KEEP_ROC && k[0]->overlap_ms == 5000 && k[0]->index_floor == 0);
		CU_ASSERT(k[1]->flags == DP_KEY_F_KEEP_ROC && k[1]->overlap_ms == 0);
		CU_ASSERT_EQUAL(memcmp(k[1]->key, c->media.key, 32), 0);
		for (unsigned i = 0; i < n; i++) /* never the same twice */
			CU_ASSERT_NOT_EQUAL(memcmp(seen[i], k[1]->key, 16), 0);
		memcpy(seen[n++], k[1]->key, 16);
		CU_ASSERT_EQUAL(cp_keys_used(w.calls->keys), 4);
		CU_ASSERT_EQUAL(the_call()->p[1].rekeys, round + 1);
	}
	/* after a restart of the dataplane the newest keys are set */
	w.fake.n = 0;
	fake_hangup(&w.fake);
	UNTIL(ups == 2);
	rest();
	CU_ASSERT_EQUAL(memcmp(key_seen(leg, DP_DIR_SEND, 0, NULL)->key, seen[n - 1], 16), 0);
	onhook(&pa);
	end_world();
}

/* Nothing changes before the gateway has said that it has the key. */
static void test_gateway_answers(void)
{
	static const struct {
		struct reply say;
		bool lives, done, changes_rx;
	} cases[] = {
		{{.sdp = true}, true, true, true},
		{{.sdp = false}, true, true, false},                              /* it kept its own key */
		{{.sdp = true, .same_key = true}, true, true, false},
		{{.code = 510}, true, false, false},
		{{.result = DP_MGCP_TIMEOUT}, true, false, false},
		{{.result = DP_MGCP_NO_SA}, true, false, false},
		{{.result = DP_MGCP_BAD_ANSWER, .code = 200}, false, false, false},
		{{.sdp = true, .suite = 0xff}, false, false, false},              /* RTP from now on */
		{{.sdp = true, .suite = DP_AEAD_AES_128_GCM}, false, false, false},
		{{.sdp = true, .our_key = true}, false, false, false},            /* a two-time pad */
		{{.sdp = true, .other_tag = true}, false, false, false},
		{{.sdp = true, .flags = DP_MGCP_SRTP_RTCP_CLEAR}, false, false, false},
		{{.sdp = true, .mki_len = 4}, true, true, true},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cp_keyset rx, tx;
		uint32_t leg;

		world_begin();
		w.say[DP_MGCP_CRCX].same_key = cases[i].say.same_key;
		connected("9123");
		leg = the_call()->p[1].leg_id;
		rx = *the_call()->p[1].rx;
		tx = *the_call()->p[1].tx;
		w.say[DP_MGCP_MDCX] = cases[i].say;
		w.say[DP_MGCP_MDCX].silent = true;
		w.fake.n = 0;
		rekey("gateway");
		rest();
		CU_ASSERT_EQUAL(ans.n, 0);
		CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_LEG_KEY, NULL), 0);
		CU_ASSERT_TRUE(cp_keys_equal(the_call()->p[1].tx, &tx));
		{
			struct answer first = ans;

			rekey("gateway"); /* one at a time */
			CU_ASSERT(ans.n == 1 && ans.rc == -EBUSY);
			ans = first;
		}
		w.say[DP_MGCP_MDCX].silent = false;
		gw_answer(&w.todo[w.todo_cnt - 1]);
		UNTIL(ans.n == 1);
		rest();
		CU_ASSERT_EQUAL(the_state(), cases[i].lives ? CALL_CONNECTED : -1);
		CU_ASSERT_EQUAL(ans.rc, cases[i].lives ? 0 : -ECANCELED);
		if (cases[i].lives) {
			CU_ASSERT_EQUAL(all_done(), cases[i].done);
			CU_ASSERT_EQUAL(cp_keys_equal(the_call()->p[1].tx, &tx), !cases[i].done);
			CU_ASSERT_EQUAL(cp_keys_equal(the_call()->p[1].rx, &rx), !cases[i].changes_rx);
			CU_ASSERT_EQUAL(key_seen(leg, DP_DIR_RECV, 0, NULL) != NULL, cases[i].changes_rx);
			CU_ASSERT_EQUAL(key_seen(leg, DP_DIR_SEND, 0, NULL) != NULL, cases[i].done);
			if (cases[i].say.mki_len != 0) {
				const struct dp_leg_key *k = key_seen(leg, DP_DIR_RECV, 0, NULL);

				CU_ASSERT(k->mki_len == 4 && k->mki[0] == 0 && k->mki[2] == 0 && k->mki[3] != 0);
			}
			CU_ASSERT_EQUAL(cp_keys_used(w.calls->keys), 4);
			onhook(&pa);
		}
		end_world();
	}
}

static void test_refused(void)
{
	world_begin();
	rekey("both");
	CU_ASSERT(ans.n == 1 && ans.rc == -ENOENT);
	dial("9123");
	UNTIL(the_state() == CALL_ALERTING);
	rekey("gateway");
	CU_ASSERT(ans.n == 1 && ans.rc == -EPROTO);
	onhook(&pa);
	rest();
	pa.smt = pa.orc = 0;
	connected("1002");
	rekey("gateway"); /* it has none */
	CU_ASSERT(ans.n == 1 && ans.rc == -EINVAL);
	onhook(&pa);
	rest();
	/* the dataplane does not take what the gateway has already */
	pa.smt = pa.orc = 0;
	connected("9123");
	w.say[DP_MGCP_MDCX].sdp = true;
	w.refuse_type = DP_MSG_LEG_KEY;
	w.refuse_rc = -ENOSPC;
	rekey("gateway");
	UNTIL(ans.n == 1);
	CU_ASSERT(ans.rc == -ECANCELED && the_state() == -1);
	w.refuse_type = 0;
	/* hung up meanwhile: whoever asked is told */
	pa.smt = pa.orc = 0;
	connected("9123");
	w.say[DP_MGCP_MDCX].silent = true;
	rekey("gateway");
	onhook(&pa);
	CU_ASSERT(ans.n == 1 && ans.rc == -ECANCELED);
	end_world();
}

static void test_phone(void)
{
	const struct dp_leg_key *k;
	uint8_t old_rx[16], old_tx[16];
	uint32_t leg;

	world_begin();
	connected("1002");
	leg = the_call()->p[1].leg_id;
	memcpy(old_rx, pb.smt_m.key, 16);
	memcpy(old_tx, pb.orc_m.key, 16);
	w.fake.n = 0;
	w.acked[DP_MSG_LEG_KEY] = 4;
	rekey("phone");
	UNTIL(pa.smt == 2 && pb.smt == 2);
	CU_ASSERT(pa.crc == 1 && pa.stopmt == 1 && pb.crc == 1 && pb.stopmt == 1);
	/* what it sends under the new key is accepted already; what it is sent waits until its channel is open */
	k = key_seen(leg, DP_DIR_RECV, 0, NULL);
	CU_ASSERT(k != NULL && memcmp(k->key, pb.smt_m.key, 16) == 0 && memcmp(k->key, old_rx, 16) != 0);
	CU_ASSERT(k->flags == 0 && k->overlap_ms == 5000); /* it begins a new stream */
	CU_ASSERT_PTR_NULL(key_seen(leg, DP_DIR_SEND, 0, NULL));
	CU_ASSERT_NOT_EQUAL(memcmp(pb.orc_m.key, old_tx, 16), 0);
	ack_media(&pa);
	CU_ASSERT_EQUAL(ans.n, 0);
	ack_media(&pb);
	UNTIL(ans.n == 1);
	CU_ASSERT(all_done() && json_array_size(ans.result) == 2);
	k = key_seen(leg, DP_DIR_SEND, 0, NULL);
	CU_ASSERT(k != NULL && memcmp(k->key, pb.orc_m.key, 16) == 0 && k->flags == 0);
	CU_ASSERT(the_state() == CALL_CONNECTED && pa.security == CP_SCCP_SEC_ENCRYPTED);
	CU_ASSERT_EQUAL(cp_keys_used(w.calls->keys), 4);
	/* away in between: nobody knows which key it has */
	rekey("phone");
	UNTIL(pb.smt == 3);
	gone(&pb, CP_GONE_CLOSED);
	CU_ASSERT_EQUAL(the_state(), -1);
	CU_ASSERT_EQUAL(ans.rc, -ECANCELED);
	cp_calls_phone_ops.registered(w.calls, &pb);
	/* it does not open its channel */
	pa.smt = pb.smt = pa.orc = pb.orc = 0;
	connected("1002");
	rekey("phone");
	UNTIL(pb.smt == 2);
	the_call()->p[1].rekey_s -= 11;
	rekey_tick(w.calls);
	CU_ASSERT_EQUAL(the_state(), -1);
	end_world();
}

static void leg_event(uint8_t kind, uint32_t leg, uint64_t session)
{
	struct dp_leg_event ev = {.leg_id = leg, .kind = kind, .session = session, .index = 1u << 20, .ssrc = 0xabcd};

	if (kind == DP_LEG_MOVED)
		ev.addr = (struct dp_sockaddr){.ip = {10, 3, 3, 3}, .port = 7777, .family = 4};
	fake_send(&w.fake, &ev, DP_MSG_LEG_EVENT, sizeof(ev), 0);
	rest();
}

/* What a leg raised is over with the leg: its party may be in another call next, under another name. */
static void test_events_moved(void)
{
	char subject[64];

	world_begin();
	connected("9123");
	snprintf(subject, sizeof(subject), "call %u gw1", the_call()->ref);
	leg_event(DP_LEG_MOVED, the_call()->p[1].leg_id, the_call()->ref);
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(w.alarms, "media-source-moved", subject));
	party_unplug(&the_call()->p[1]);
	CU_ASSERT(the_call()->p[1].alarms == 0 && cp_alarm_count(w.alarms) == 0);
	call_end(the_call(), "the test is over");
	rest();
	end_world();
}

static void test_events(void)
{
	static const char *const ids[DP_LEG_EVENT_MAX] = {NULL, NULL, "media-key-expired", "media-source-moved",
							  "media-ssrc-limit", "media-policed"};
	const struct cp_alarm *a;
	char subject[64];
	uint32_t leg;

	world_begin();
	connected("9123");
	leg = the_call()->p[1].leg_id;
	snprintf(subject, sizeof(subject), "call %u gw1", the_call()->ref);
	leg_event(DP_LEG_MOVED, leg, the_call()->ref + 1); /* another session's */
	leg_event(DP_LEG_MOVED, leg + 2, the_call()->ref); /* another leg */
	leg_event(DP_LEG_EVENT_MAX, leg, the_call()->ref);
	CU_ASSERT_EQUAL(cp_alarm_count(w.alarms), 0);
	/* from where it was signalled, or another port of it: nothing that somebody must know */
	for (int i = 0; i < 2; i++) {
		struct dp_leg_event ev = {.leg_id = leg, .kind = DP_LEG_MOVED, .session = the_call()->ref};

		ev.addr = (struct dp_sockaddr){.ip = {10, 2, 2, 2}, .port = (uint16_t)(4000 + i), .family = 4};
		fake_send(&w.fake, &ev, DP_MSG_LEG_EVENT, sizeof(ev), 0);
		rest();
	}
	CU_ASSERT_EQUAL(cp_alarm_count(w.alarms), 0);
	for (uint8_t k = DP_LEG_KEY_EXPIRED; k < DP_LEG_EVENT_MAX; k++) {
		leg_event(k, leg, the_call()->ref);
		leg_event(k, leg, the_call()->ref);
		a = cp_alarm_find(w.alarms, ids[k], subject);
		CU_ASSERT(a != NULL && a->count == 2);
		if (k == DP_LEG_MOVED && a != NULL)
			CU_ASSERT_PTR_NOT_NULL(strstr(a->text, "10.3.3.3:7777"));
	}
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_MDCX, NULL), 1);
	/* a key that is nearly used up is renewed, once, and what was said of keys is over */
	w.say[DP_MGCP_MDCX].sdp = true;
	leg_event(DP_LEG_KEY_SOON, leg, the_call()->ref);
	UNTIL(the_call()->p[1].rekeys == 1);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_MDCX, NULL), 2);
	CU_ASSERT_PTR_NULL(cp_alarm_find(w.alarms, "media-key-soon", subject));
	CU_ASSERT_PTR_NULL(cp_alarm_find(w.alarms, "media-key-expired", subject));
	CU_ASSERT_EQUAL(cp_alarm_count(w.alarms), 3);
	/* if it cannot be: somebody must know */
	gone(&pa, CP_GONE_CLOSED);
	leg_event(DP_LEG_KEY_SOON, the_call()->p[0].leg_id, the_call()->ref);
	snprintf(subject, sizeof(subject), "call %u %s", the_call()->ref, pa.name);
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(w.alarms, "media-key-soon", subject));
	cp_calls_phone_ops.registered(w.calls, &pa);
	onhook(&pa); /* with the call its alarms go */
	CU_ASSERT_EQUAL(cp_alarm_count(w.alarms), 0);
	end_world();
}

static void test_by_age(void)
{
	world_begin();
	connected("9123");
	w.say[DP_MGCP_MDCX].sdp = true;
	the_call()->p[1].keyed_s -= 1000;
	rekey_tick(w.calls); /* media.rekey_s is 0 */
	rest();
	CU_ASSERT_EQUAL(the_call()->p[1].rekeys, 0);
	w.cfg->media.rekey_s = 2000;
	rekey_tick(w.calls);
	rest();
	CU_ASSERT_EQUAL(the_call()->p[1].rekeys, 0);
	w.cfg->media.rekey_s = 1000;
	rekey_tick(w.calls);
	UNTIL(the_call()->p[1].rekeys == 1);
	rekey_tick(w.calls);
	rest();
	CU_ASSERT_EQUAL(the_call()->p[1].rekeys, 1);
	CU_ASSERT_EQUAL(the_call()->p[0].rekeys, 0); /* a phone would hear a gap */
	/* one that failed is not tried again at once */
	w.say[DP_MGCP_MDCX].code = 510;
	the_call()->p[1].keyed_s -= 1000;
	the_call()->p[1].rekey_s -= 1000;
	rekey_tick(w.calls);
	rest();
	rekey_tick(w.calls);
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_MDCX, NULL), 3);
	onhook(&pa);
	end_world();
}

/* Taken over without keys: after both were renewed they are known again. */
static void test_adopted(void)
{
	int before;

	world_begin();
	connected("9123");
	gone(&pa, CP_GONE_CLOSED);
	rest();
	before = ups;
	controlplane_stop(true);
	memset(w.acked, 0, sizeof(w.acked));
	controlplane_start();
	UNTIL(ups > before);
	cp_gws_sa_changed(w.gws, cp_gw_id(cp_gws_find(w.gws, "gw1")), true);
	cp_calls_phone_ops.registered(w.calls, &pa);
	rest();
	CU_ASSERT_TRUE_FATAL(the_call() != NULL && the_call()->adopted);
	CU_ASSERT_EQUAL(cp_keys_used(w.calls->keys), 0);
	w.say[DP_MGCP_MDCX].sdp = true;
	rekey("gateway");
	UNTIL(ans.n == 1);
	CU_ASSERT_TRUE(all_done());
	CU_ASSERT_TRUE(the_call()->adopted);
	w.acked[DP_MSG_LEG_SET] = 2;
	w.acked[DP_MSG_LEG_KEY] = 4;
	pa.smt = 0;
	rekey("phone");
	UNTIL(pa.smt == 1);
	ack_media(&pa);
	UNTIL(ans.n == 1);
	CU_ASSERT_TRUE(all_done());
	CU_ASSERT_FALSE(the_call()->adopted);
	onhook(&pa);
	end_world();
}

/*
 * Killed after the gateway was told of a new key and before its answer came to anything: the next one finds in the record
 * that nobody knows which keys the gateway has, and gives it others, by itself.
 */
static void test_killed_between(void)
{
	const struct dp_mgcp_cmd *c = NULL;
	const struct dp_leg_key *k;
	uint8_t before[16];
	uint32_t leg;
	int had;

	for (unsigned round = 0; round < 2; round++) {
		world_begin();
		connected("9123");
		leg = the_call()->p[1].leg_id;
		w.say[DP_MGCP_MDCX].sdp = true;
		if (round == 0) { /* nothing under way: nothing is done */
			rekey("gateway");
			UNTIL(ans.n == 1);
		} else {
			w.say[DP_MGCP_MDCX].silent = true;
			rekey("gateway");
			UNTIL(gw_saw(DP_MGCP_MDCX, &c) == 2);
			memcpy(before, c->media.key, 16);
		}
		rest();
		gone(&pa, CP_GONE_CLOSED);
		rest();
		had = ups;
		controlplane_stop(true);
		memset(w.acked, 0, sizeof(w.acked));
		w.say[DP_MGCP_MDCX].silent = false;
		w.fake.n = 0;
		controlplane_start();
		UNTIL(ups > had);
		cp_gws_sa_changed(w.gws, cp_gw_id(cp_gws_find(w.gws, "gw1")), true);
		cp_calls_phone_ops.registered(w.calls, &pa);
		rest();
		CU_ASSERT_TRUE_FATAL(the_call() != NULL && the_call()->state == CALL_CONNECTED);
		CU_ASSERT_EQUAL(the_call()->p[1].unsure, round == 1);
		CU_ASSERT_FALSE(the_call()->p[0].unsure);
		the_call()->p[1].rekey_s -= 100;
		the_call()->p[0].rekey_s -= 100;
		rekey_tick(w.calls);
		if (round == 0) {
			rest();
			CU_ASSERT_EQUAL(gw_saw(DP_MGCP_MDCX, NULL), 2);
			CU_ASSERT_PTR_NULL(key_seen(leg, DP_DIR_RECV, 0, NULL));
		} else {
			UNTIL(the_call()->p[1].rekeys == 1);
			CU_ASSERT_EQUAL(gw_saw(DP_MGCP_MDCX, &c), 3);
			CU_ASSERT_NOT_EQUAL(memcmp(before, c->media.key, 16), 0);
			k = key_seen(leg, DP_DIR_SEND, 0, NULL);
			CU_ASSERT(k != NULL && memcmp(k->key, c->media.key, 16) == 0 && k->flags == DP_KEY_F_KEEP_ROC);
			k = key_seen(leg, DP_DIR_RECV, 0, NULL);
			CU_ASSERT(k != NULL && k->flags == DP_KEY_F_KEEP_ROC && k->overlap_ms == 5000);
			CU_ASSERT_FALSE(the_call()->p[1].unsure);
			rest();
			/* and with that it is over, for the one after it too */
			had = ups;
			gone(&pa, CP_GONE_CLOSED);
			controlplane_stop(true);
			controlplane_start();
			UNTIL(ups > had);
			CU_ASSERT_TRUE_FATAL(the_call() != NULL);
			CU_ASSERT_FALSE(the_call()->p[1].unsure);
			cp_calls_phone_ops.registered(w.calls, &pa);
		}
		onhook(&pa);
		rest();
		CU_ASSERT_PTR_NULL(the_call());
		had = ups;
		controlplane_stop(true);
		controlplane_start(); /* no record came back with the last write */
		UNTIL(ups > had);
		CU_ASSERT_PTR_NULL(the_call());
		end_world();
	}
}

/* No answer: it may have the keys. It is asked until it says one thing or the other, not for ever at the same pace. */
static void test_unanswered(void)
{
	world_begin();
	connected("9123");
	w.say[DP_MGCP_MDCX] = (struct reply){.result = DP_MGCP_TIMEOUT};
	rekey("gateway");
	UNTIL(ans.n == 1);
	CU_ASSERT_FALSE(all_done());
	CU_ASSERT_TRUE(the_call()->p[1].unsure);
	for (unsigned n = 0; n < 8; n++) {
		rekey_tick(w.calls);
		rest();
		CU_ASSERT_EQUAL(gw_saw(DP_MGCP_MDCX, NULL), 2 + (n < 5 ? n : 5)); /* not before its time */
		the_call()->p[1].rekey_s -= n < 5 ? 2 : 3;
		rekey_tick(w.calls);
		rest();
		CU_ASSERT_EQUAL(gw_saw(DP_MGCP_MDCX, NULL), 2 + (n < 5 ? n + 1 : 5));
	}
	w.say[DP_MGCP_MDCX] = (struct reply){.code = 510}; /* refused: this one was not done, the first may have been */
	the_call()->p[1].rekey_s -= 30;
	rekey_tick(w.calls);
	rest();
	CU_ASSERT_TRUE(the_call()->p[1].unsure);
	w.say[DP_MGCP_MDCX] = (struct reply){.sdp = true};
	the_call()->p[1].rekey_s -= 30;
	rekey_tick(w.calls);
	UNTIL(the_call()->p[1].rekeys == 1);
	CU_ASSERT_FALSE(the_call()->p[1].unsure);
	/* refused at once: its keys are known, nothing is repeated */
	w.say[DP_MGCP_MDCX] = (struct reply){.code = 510};
	rekey("gateway");
	UNTIL(ans.n == 1);
	CU_ASSERT_FALSE(the_call()->p[1].unsure);
	w.say[DP_MGCP_MDCX] = (struct reply){.result = DP_MGCP_NO_SA}; /* nothing was sent */
	rekey("gateway");
	UNTIL(ans.n == 1);
	CU_ASSERT_FALSE(the_call()->p[1].unsure);
	onhook(&pa);
	end_world();
}

/* --- policy --- */

static void gateway_like(uint8_t suite, uint8_t mki_len, uint8_t lifetime, uint32_t flags)
{
	struct cp_endpoint ep = {.name = "aaln/1"};
	struct cp_gw_number n = {.number = "9", .prefix = true};
	struct cp_gateway g = {.name = "gw1", .region = "default", .endpoints = &ep, .endpoint_cnt = 1, .numbers = &n,
			       .number_cnt = 1, .suite = suite, .mki_len = mki_len, .lifetime = lifetime, .flags = flags};

	cfg_addr_parse("10.0.0.1:2427", &g.address);
	synced(cp_dir_gateway_put(w.store, &g, true, &dir_ctx));
	cp_gws_changed(w.gws, "gw1");
	rest();
}

static void test_suites(void)
{
	const struct dp_mgcp_cmd *c = NULL;
	const struct dp_leg_key *k;

	/* every suite to a gateway whose record says so, with MKI and lifetime */
	for (uint8_t s = 1; s < DP_NULL_HMAC_SHA1_80; s++) {
		world_begin();
		gateway_like(s, 3, 20, 0);
		connected("9123");
		CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, &c), 1);
		CU_ASSERT(c->media.suite == s && c->media.mki_len == 3 && c->media.lifetime == 20 && c->media.mki >> 24 == 0);
		k = key_seen(the_call()->p[1].leg_id, DP_DIR_SEND, 0, NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(k);
		CU_ASSERT(k->suite == s && k->lifetime == 1u << 20 && k->mki_len == 3 && memcmp(k->key, c->media.key, 32) == 0 &&
			  memcmp(k->salt, c->media.salt, 14) == 0);
		CU_ASSERT_EQUAL((uint64_t)k->mki[0] << 16 | k->mki[1] << 8 | k->mki[2], c->media.mki);
		k = key_seen(the_call()->p[1].leg_id, DP_DIR_RECV, 0, NULL);
		CU_ASSERT(k != NULL && k->suite == s && k->mki_len == 0);
		/* another key, another MKI */
		{
			uint64_t mki = c->media.mki;

			w.say[DP_MGCP_MDCX].sdp = true;
			rekey("gateway");
			UNTIL(ans.n == 1);
			gw_saw(DP_MGCP_MDCX, &c);
			CU_ASSERT_EQUAL(c->media.mki, (mki + 1) & 0xffffff);
			CU_ASSERT_EQUAL(c->media.mki_len, 3);
		}
		CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_ENCRYPTED);
		CU_ASSERT_EQUAL(pa.orc_m.suite, DP_AES_CM_128_HMAC_SHA1_32);
		onhook(&pa);
		end_world();
	}
	/* one that is refused: the next, with another key, each once */
	world_begin();
	gateway_like(DP_AEAD_AES_256_GCM, 0, 0, 0);
	w.say[DP_MGCP_CRCX].code = 505;
	dial("9123");
	UNTIL(the_state() == CALL_FAILED);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, NULL), 3);
	for (unsigned i = 0, n = 0; i < w.todo_cnt; i++) {
		if (w.todo[i].verb != DP_MGCP_CRCX)
			continue;
		if (n == 0)
			CU_ASSERT(w.todo[i].media.suite == DP_AEAD_AES_256_GCM && w.todo[i].media.tag == 1);
		if (n == 1)
			CU_ASSERT(w.todo[i].media.suite == DP_AES_CM_128_HMAC_SHA1_80 && w.todo[i].media.tag == 2);
		if (n == 2)
			CU_ASSERT(w.todo[i].media.suite == DP_AES_CM_128_HMAC_SHA1_32 && w.todo[i].media.tag == 3);
		n++;
	}
	onhook(&pa);
	end_world();
	/* SRTCP in clear: offered and taken, each way */
	for (int both = 0; both < 2; both++) {
		const union fake_msg *m = NULL;

		world_begin();
		gateway_like(0, 0, 0, CP_GW_SRTCP_CLEAR);
		w.say[DP_MGCP_CRCX].flags = both ? DP_MGCP_SRTP_RTCP_CLEAR : 0;
		connected("9123");
		gw_saw(DP_MGCP_CRCX, &c);
		CU_ASSERT_EQUAL(c->media.flags, DP_MGCP_SRTP_RTCP_CLEAR);
		for (unsigned i = 0; i < w.fake.n; i++)
			if (w.fake.log[i].hdr.type == DP_MSG_LEG_SET && w.fake.log[i].leg.leg_id == the_call()->p[1].leg_id)
				m = &w.fake.log[i];
		CU_ASSERT_EQUAL(m->leg.flags & (DP_LEG_F_RTCP_CLEAR_RX | DP_LEG_F_RTCP_CLEAR_TX),
				both ? DP_LEG_F_RTCP_CLEAR_RX | DP_LEG_F_RTCP_CLEAR_TX : 0);
		onhook(&pa);
		end_world();
	}
	/* not offered: refused, and the connection deleted */
	world_begin();
	w.say[DP_MGCP_CRCX].flags = DP_MGCP_SRTP_RTCP_CLEAR;
	dial("9123");
	UNTIL(the_state() == CALL_FAILED);
	UNTIL(gw_saw(DP_MGCP_DLCX, NULL) == 1);
	onhook(&pa);
	end_world();
}

static void test_config(void)
{
	char *good[] = {(char *)"AEAD_AES_256_GCM", (char *)"aes_192_cm_hmac_sha1_80"}, *bad[] = {(char *)"F8_128_HMAC_SHA1_80"};
	char *null[] = {(char *)"NULL_HMAC_SHA1_80"};
	struct cfg_media m = {.suites = good, .suites_count = 2};
	char err[128];

	CU_ASSERT_EQUAL(cp_calls_config(&m, err, sizeof(err)), 0);
	m = (struct cfg_media){.suites = bad, .suites_count = 1};
	CU_ASSERT_EQUAL(cp_calls_config(&m, err, sizeof(err)), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "F8_128_HMAC_SHA1_80"));
	m = (struct cfg_media){.suites = null, .suites_count = 1};
	CU_ASSERT_EQUAL(cp_calls_config(&m, err, sizeof(err)), -EINVAL);
}

/* Events of RFC 2833: each party is told one number, and what leaves has the other's. */
static void test_events_mapped(void)
{
	for (int pt = 0; pt < 3; pt++) {
		static const uint8_t pts[] = {0, 101, 96};
		const struct dp_mgcp_cmd *c = NULL;

		world_begin();
		w.say[DP_MGCP_CRCX].event_pt = pts[pt];
		connected("9123");
		gw_saw(DP_MGCP_CRCX, &c);
		CU_ASSERT_EQUAL(c->media.telephone_event, 101);
		CU_ASSERT_EQUAL(pa.orc_m.dtmf_pt, pts[pt] != 0 ? 101 : 0);
		CU_ASSERT_EQUAL(pa.smt_m.dtmf_pt, pts[pt] != 0 ? 101 : 0);
		for (unsigned i = 0; i < w.fake.n; i++) {
			const struct dp_leg_set *m = &w.fake.log[i].leg;

			if (m->hdr.type != DP_MSG_LEG_SET)
				continue;
			CU_ASSERT(m->clock_hz == 8000 && m->codec == DP_CODEC_G711 && m->latch_max == 1);
			if (pts[pt] == 96 && m->leg_id == the_call()->p[1].leg_id) {
				CU_ASSERT(m->pt_map_cnt == 1 && m->pt_map[0].from == 101 && m->pt_map[0].to == 96);
			} else {
				CU_ASSERT_EQUAL(m->pt_map_cnt, 0);
			}
		}
		onhook(&pa);
		end_world();
	}
}

/* --- direct media --- */

static void direct_world(void)
{
	world_begin();
	w.cfg->media.mode = CFG_MEDIA_DIRECT;
	w.fake.n = 0;
}

static void ack_from(struct cp_phone *p, uint8_t last)
{
	struct cfg_addr a = v4;

	a.ip[3] = last;
	a.port = 20000;
	cp_calls_phone_ops.orc_ack(w.calls, p, 0, &a, p->orc_m.party, 0);
}

static void test_direct_phones(void)
{
	for (int plain = 0; plain < 2; plain++) {
		json_t *list;

		direct_world();
		pb.srtp = plain == 0;
		dial("1002");
		offhook(&pb);
		UNTIL(pa.orc == 1 && pb.orc == 1);
		CU_ASSERT(pa.smt == 0 && pb.smt == 0); /* where to is not known yet */
		ack_from(&pa, 11);
		CU_ASSERT(pa.smt == 0 && pb.smt == 0 && the_state() == CALL_CONNECTING);
		ack_from(&pb, 12);
		CU_ASSERT(pa.smt == 1 && pb.smt == 1 && the_state() == CALL_CONNECTED);
		CU_ASSERT(pa.smt_m.remote.ip[3] == 12 && pb.smt_m.remote.ip[3] == 11 && pa.smt_m.remote.port == 20000);
		/* the same two sets at both, each for its direction */
		CU_ASSERT_EQUAL(memcmp(pa.smt_m.key, pb.orc_m.key, 16), 0);
		CU_ASSERT_EQUAL(memcmp(pb.smt_m.key, pa.orc_m.key, 16), 0);
		CU_ASSERT_EQUAL(memcmp(pa.smt_m.salt, pb.orc_m.salt, 14), 0);
		CU_ASSERT_EQUAL(memcmp(pa.smt_m.key, pb.smt_m.key, 16) == 0, plain == 1);
		CU_ASSERT_EQUAL(pa.smt_m.suite, plain ? DP_SRTP_NONE : DP_AES_CM_128_HMAC_SHA1_32);
		CU_ASSERT_EQUAL(pa.security, plain ? CP_SCCP_SEC_AUTH : CP_SCCP_SEC_ENCRYPTED);
		CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_LEG_SET, NULL) + fake_seen(&w.fake, DP_MSG_LEG_KEY, NULL), 0);
		CU_ASSERT_EQUAL(cp_ports_used(w.calls->ports), 0);
		CU_ASSERT_EQUAL(cp_keys_used(w.calls->keys), plain ? 0 : 4);
		list = cp_calls_show(w.calls);
		CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(list, 0), "media")), "direct");
		json_decref(list);
		rekey("phone");
		CU_ASSERT(ans.n == 1 && ans.rc == -EPROTO);
		/* the channel comes and goes: the call does not need it */
		fake_hangup(&w.fake);
		UNTIL(ups == 2);
		CU_ASSERT_EQUAL(the_state(), CALL_CONNECTED);
		onhook(&pb);
		CU_ASSERT(pa.crc == 1 && pb.stopmt == 1);
		end_world();
	}
}

static void test_direct_gateway(void)
{
	const struct dp_mgcp_cmd *c = NULL;
	struct cp_keyset gw_key;

	direct_world();
	dial("9123");
	UNTIL(the_state() == CALL_ALERTING);
	gw_saw(DP_MGCP_CRCX, &c);
	/* the phone's suite, its sending key, its address as far as it is known */
	CU_ASSERT(c->media.suite == DP_AES_CM_128_HMAC_SHA1_32 && c->media.addr.port == 9 && c->media.addr.ip[3] == 1 &&
		  c->mode == DP_MGCP_M_RECVONLY);
	gw_key = *the_call()->p[1].rx;
	notify("L/hd");
	UNTIL(pa.smt == 1);
	CU_ASSERT_EQUAL(memcmp(pa.smt_m.key, c->media.key, 16), 0);
	CU_ASSERT_EQUAL(memcmp(pa.orc_m.key, gw_key.key, 16), 0);
	CU_ASSERT(pa.smt_m.remote.ip[0] == 10 && pa.smt_m.remote.ip[3] == 2 && pa.smt_m.remote.port == 4000);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_MDCX, NULL), 0);
	ack_from(&pa, 77);
	UNTIL(the_state() == CALL_CONNECTED);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_MDCX, &c), 1);
	CU_ASSERT(c->media.addr.ip[3] == 77 && c->media.addr.port == 20000 && c->mode == DP_MGCP_M_SENDRECV);
	CU_ASSERT_EQUAL(memcmp(c->media.key, pa.smt_m.key, 16), 0); /* the same: nothing is re-keyed by it */
	CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_LEG_SET, NULL), 0);
	CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_ENCRYPTED);
	onhook(&pa);
	end_world();
	/* the gateway changed its key in the answer to MDCX: the phone has the old one */
	direct_world();
	w.say[DP_MGCP_MDCX].sdp = true;
	dial("9123");
	UNTIL(the_state() == CALL_ALERTING);
	notify("L/hd");
	UNTIL(pa.smt == 1);
	ack_from(&pa, 77);
	UNTIL(the_state() == -1);
	end_world();
}

/* Where it cannot be direct it is relayed. */
static void test_direct_falls_back(void)
{
	static struct cfg_region regions[] = {{(char *)"default", CFG_MEDIA_RELAY}};
	struct cp_line line = {.number = "1002"};
	struct cp_device d = {.mode = CP_DEVICE_ENCRYPTED, .region = "default", .srtp = true, .lines = &line, .line_cnt = 1,
			      .suite = DP_AES_CM_128_HMAC_SHA1_80};

	for (int i = 0; i < 5; i++) {
		direct_world();
		strcpy(d.name, pb.name);
		if (i == 0) { /* phones whose suites differ */
			synced(cp_dir_device_put(w.store, &d, true, &dir_ctx));
		} else if (i == 1) { /* the region says otherwise */
			w.cfg->media.regions = regions;
			w.cfg->media.regions_count = 1;
		} else if (i == 2) { /* a gateway that is to be sent an MKI: SCCP could not say it */
			gateway_like(0, 4, 0, 0);
		} else if (i == 3) { /* one that is offered others only */
			w.calls->suites[0] = w.calls->suites[1] = DP_AEAD_AES_128_GCM;
		} else { /* one that answers with an MKI: that connection is deleted, another made */
			w.say[DP_MGCP_CRCX].mki_len = 4;
		}
		dial(i < 2 ? "1002" : "9123");
		if (i < 2) {
			offhook(&pb);
		} else {
			UNTIL(the_state() == CALL_ALERTING);
			notify("L/hd");
		}
		UNTIL(pa.smt == 1);
		CU_ASSERT_FALSE(the_call()->direct);
		CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_LEG_SET, NULL), 2);
		CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_LEG_KEY, NULL), 4);
		if (i == 4) {
			CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, NULL), 2);
			CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 1);
		}
		onhook(&pa);
		w.cfg->media.regions = NULL;
		w.cfg->media.regions_count = 0;
		end_world();
	}
}

/* No leg ages out there: a call whose phones do not come back ends by time. It outlives a restart. */
static void test_direct_lives_and_ends(void)
{
	int before;

	direct_world();
	dial("1002");
	offhook(&pb);
	UNTIL(pa.orc == 1 && pb.orc == 1);
	ack_from(&pa, 11);
	ack_from(&pb, 12);
	rest();
	gone(&pa, CP_GONE_CLOSED);
	CU_ASSERT_FALSE(evtimer_pending(the_call()->timer, NULL));
	gone(&pb, CP_GONE_CLOSED);
	CU_ASSERT_TRUE(evtimer_pending(the_call()->timer, NULL));
	cp_calls_phone_ops.registered(w.calls, &pb);
	CU_ASSERT_FALSE(evtimer_pending(the_call()->timer, NULL));
	gone(&pb, CP_GONE_CLOSED);
	rest();
	before = ups;
	controlplane_stop(true);
	controlplane_start();
	UNTIL(ups > before);
	rest();
	CU_ASSERT_TRUE_FATAL(the_call() != NULL && the_call()->direct && the_call()->state == CALL_CONNECTED);
	CU_ASSERT_TRUE(evtimer_pending(the_call()->timer, NULL));
	CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_ADOPT, NULL), 0);
	timer_fires();
	CU_ASSERT_EQUAL(the_state(), -1);
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	end_world();
}

static CU_TestInfo tests[] = {
	{"gateway, ten times", test_gateway},
	{"gateway, every answer", test_gateway_answers},
	{"refused", test_refused},
	{"phone", test_phone},
	{"events of legs", test_events},
	{"events of a leg that is gone", test_events_moved},
	{"by age", test_by_age},
	{"a call that was taken over", test_adopted},
	{"killed between answer and key", test_killed_between},
	{"no answer to new keys", test_unanswered},
	{"suites offered", test_suites},
	{"suites configured", test_config},
	{"telephone events", test_events_mapped},
	{"direct: phones", test_direct_phones},
	{"direct: gateway", test_direct_gateway},
	{"direct: falls back to relay", test_direct_falls_back},
	{"direct: lives and ends", test_direct_lives_and_ends},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("rekey", tests, NULL, NULL)
