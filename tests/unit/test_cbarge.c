/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cBarge: a phone of a shared line makes the call of another one a conference over the external bridge, and is in it.
 * 001:P1-127, 004a:CALL-08, and section 5.4.
 */
#include "conf_fix.h"
#include "store/cdrrec.h"

/* b, c and d have 2000, which a calls. */
static void put(struct cp_phone *p, const char *name, const char *number)
{
	struct cp_line line = {0};
	struct cp_device d = {.mode = CP_DEVICE_ENCRYPTED, .region = "default", .srtp = true, .lines = &line, .line_cnt = 1};
	struct cp_dir_ctx x = dir_ctx;

	x.shared = true;
	snprintf(d.name, sizeof(d.name), "%s", name);
	snprintf(line.number, sizeof(line.number), "%s", number);
	synced(cp_dir_device_put(w.store, &d, true, &x));
	phone_reset(p, name, number);
	cp_calls_phone_ops.registered(w.calls, p);
}

static void begin_shared(void)
{
	begin("cnf/$");
	put(&pb, "SEP000000000002", "2000");
	put(&pc, "SEP000000000003", "2000");
	put(&pd, "SEP000000000004", "2000");
	rest();
}

/* c presses cBarge at the call of a and b. */
static uint32_t up(void)
{
	uint32_t ref = talk(&pa, &pb);

	CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && pb.security == CP_SCCP_SEC_ENCRYPTED);
	CU_ASSERT(pc.state == CP_SCCP_REMOTE && pc.callref == ref && pc.keys == CP_SCCP_KEYS_REMOTE);
	return ref;
}

static void three_by_cbarge(void)
{
	uint32_t ref = up();

	key(&pc, CP_SCCP_KEY_CBARGE, ref);
	LIVE_UNTIL(members() == 3 && talks(&pa) && talks(&pb) && talks(&pc));
	calm();
}

static bool shown_all(unsigned security)
{
	return pa.security == security && pb.security == security && pc.security == security;
}

/* As it was before: nobody across from the phones but each other, with their lock; nothing on the bridge. */
static bool as_it_was(uint32_t ref)
{
	const struct cp_call *call = call_find(w.calls, ref);

	return call != NULL && call->state == CALL_CONNECTED && talks(&pa) && talks(&pb) && place_of(&pa)->call == call && place_of(&pb)->call == call &&
	       call_conf(call) == NULL && pa.security == CP_SCCP_SEC_ENCRYPTED && pb.security == CP_SCCP_SEC_ENCRYPTED &&
	       (w.calls->confs == NULL) == (conf_of(&pd) == NULL) && bridge_conns() == (conf_of(&pd) != NULL);
}

static bool seen;
static bool barge_cdr(void *ctx, const uint8_t *k, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_cdr r;

	(void)ctx;
	(void)k;
	(void)key_len;
	if (cp_cdr_parse(val, len, &r) == 0 && r.origin == CP_CDR_BARGE)
		seen |= strcmp(r.redirecting, "2000") == 0 && r.worst == CP_SEC_NOT_SECURE && strcmp(r.party[0].device, pd.name) == 0;
	return true;
}

static void test_joins(void)
{
	struct cp_phone_media before;
	const json_t *c;
	json_t *o;
	uint32_t ref;

	begin_shared();
	ref = up();
	before = pa.orc_m;
	key(&pc, CP_SCCP_KEY_CBARGE, ref);
	LIVE_UNTIL(members() == 3 && talks(&pa) && talks(&pb) && talks(&pc));
	calm();
	/* every stream is SRTP, under keys that were never used, and nobody has a lock */
	CU_ASSERT_TRUE(shown_all(CP_SCCP_SEC_NOT_AUTH));
	CU_ASSERT(pa.orc_m.suite != DP_SRTP_NONE && pb.orc_m.suite != DP_SRTP_NONE && pc.orc_m.suite != DP_SRTP_NONE);
	CU_ASSERT_NOT_EQUAL(memcmp(before.key, pa.orc_m.key, sizeof(before.key)), 0);
	CU_ASSERT(pa.keys == CP_SCCP_KEYS_CONFERENCE && pc.keys == CP_SCCP_KEYS_CONFERENCE && bridge_conns() == 3);
	/* its own number beside that of the call that it is in, now; who made it nobody can say */
	CU_ASSERT(place_of(&pb)->ref == ref && place_of(&pa)->ref == ref && place_of(&pc)->ref != ref && w.calls->confs->owner[0] == '\0');
	o = cp_calls_show_conferences(w.calls);
	c = json_array_get(json_object_get(o, "conferences"), 0);
	CU_ASSERT(strcmp(json_string_value(json_object_get(c, "kind")), "cbarge") == 0 && json_is_true(json_object_get(c, "cbarged")) &&
		  strcmp(json_string_value(json_object_get(c, "security")), "not-secure") == 0);
	json_decref(o);
	/* one more; who is in it already stays in it, unheld */
	key(&pd, CP_SCCP_KEY_CBARGE, ref);
	LIVE_UNTIL(members() == 4 && talks(&pd));
	calm();
	key(&pd, CP_SCCP_KEY_CBARGE, ref);
	calm();
	CU_ASSERT(strcmp(pd.prompt, "Cannot barge") == 0 && members() == 4 && talks(&pd) && cp_calls_count(w.calls) == 4);
	onhook(&pd);
	calm();
	CU_ASSERT(members() == 3 && shown_all(CP_SCCP_SEC_NOT_AUTH));
	onhook(&pc);
	LIVE_UNTIL(w.calls->confs == NULL && talks(&pa) && talks(&pb));
	calm();
	CU_ASSERT(cp_calls_count(w.calls) == 1 && pa.security == CP_SCCP_SEC_ENCRYPTED && pb.security == CP_SCCP_SEC_ENCRYPTED && bridge_conns() == 0);
	end_all_calls();
	CU_ASSERT_EQUAL(cp_keys_used(w.calls->keys), 0);
	seen = false;
	CU_ASSERT_EQUAL(cp_store_scan(w.store, CP_CF_CDR, NULL, 0, barge_cdr, NULL), 0);
	CU_ASSERT_TRUE(seen);
	world_end();
}

/* A phone that cannot encrypt may, too: its stream is clear, the others' are what they were. */
static void test_clear(void)
{
	begin_shared();
	pc.sec = CP_PHONE_NONSECURE;
	pc.srtp = false;
	three_by_cbarge();
	CU_ASSERT_TRUE(shown_all(CP_SCCP_SEC_NOT_AUTH));
	CU_ASSERT(pa.orc_m.suite != DP_SRTP_NONE && pb.orc_m.suite != DP_SRTP_NONE && pc.orc_m.suite == DP_SRTP_NONE);
	end_all_calls();
	/* unless nothing may be clear */
	w.cfg->media.fallback = CFG_FALLBACK_REFUSE;
	key(&pc, CP_SCCP_KEY_CBARGE, up());
	calm();
	CU_ASSERT(place_of(&pc)->call->state == CALL_FAILED && pc.tone == CP_SCCP_TONE_REORDER && as_it_was(place_of(&pa)->ref));
	w.cfg->media.fallback = CFG_FALLBACK_RTP;
	end_all_calls();
	world_end();
}

/* 0: none, 1: its ports are taken, 2: it refuses, 3: it restarts while it is asked, 4: no codec that it mixes. */
static void test_no_bridge(void)
{
	static struct cfg_meetme range = {.numbers = {8500, 8549, 4}};

	for (int how = 0; how <= 4; how++) {
		const char *text = how == 4 ? "No common codec" : "No conference bridge";
		uint32_t ref;

		begin_shared();
		if (how == 1) { /* d has one of the three */
			add_bridge("cnf/$", 3, 3, 0);
			w.cfg->conference.meetme = &range;
			w.cfg->conference.meetme_count = 1;
			key(&pd, CP_SCCP_KEY_MEETME, 0);
			cp_calls_phone_ops.enbloc(w.calls, &pd, "8512", 1);
			LIVE_UNTIL(talks(&pd));
			calm();
		}
		ref = up();
		if (how == 0)
			synced(cp_dir_gateway_del(w.store, "bridge1", &dir_ctx));
		if (how == 2)
			w.say[DP_MGCP_CRCX].code = 403;
		if (how == 3)
			w.say[DP_MGCP_CRCX].silent = true;
		if (how == 4) {
			pc.caps[0] = (struct cp_sccp_cap){CP_SCCP_G722, 40};
			pc.cap_cnt = 1;
		}
		key(&pc, CP_SCCP_KEY_CBARGE, ref);
		if (how == 3) {
			rest();
			CU_ASSERT(w.calls->confs != NULL && talks(&pa) && talks(&pb)); /* nothing has changed yet */
			while (w.calls->confs != NULL) {
				event_active(w.calls->confs->ports->call->timer, EV_TIMEOUT, 0);
				rest();
			}
		}
		calm();
		if (!as_it_was(ref) || strcmp(pc.prompt, text) != 0)
			printf("case %d: %s\n", how, pc.prompt);
		CU_ASSERT_TRUE(as_it_was(ref));
		/* text and tone, until it hangs up */
		CU_ASSERT(strcmp(pc.prompt, text) == 0 && pc.tone == CP_SCCP_TONE_REORDER && place_of(&pc)->call->state == CALL_FAILED);
		onhook(&pc);
		rest();
		CU_ASSERT_EQUAL(cp_calls_count(w.calls), how == 1 ? 2 : 1);
		memset(&w.say[DP_MGCP_CRCX], 0, sizeof(w.say[0]));
		end_all_calls();
		w.cfg->conference.meetme = NULL;
		w.cfg->conference.meetme_count = 0;
		world_end();
	}
}

static const struct dp_mgcp_cmd *asked(unsigned n)
{
	for (unsigned i = 0; i < w.todo_cnt; i++)
		if (w.todo[i].verb == DP_MGCP_CRCX && w.todo[i].gw_id == w.bridge_id && n-- == 0)
			return &w.todo[i];
	return NULL;
}

/* While the bridge is asked, and it gives its ports afterwards. 0: the target ends it, 1: the caller does, 2: the barger gives up,
 * 3: the target is lost, 4: it holds the call. What is on the bridge is deleted. */
static void test_meanwhile(void)
{
	for (int how = 0; how <= 4; how++) {
		uint32_t ref;

		begin_shared();
		ref = up();
		w.say[DP_MGCP_CRCX].silent = true;
		key(&pc, CP_SCCP_KEY_CBARGE, ref);
		rest();
		CU_ASSERT_PTR_NOT_NULL_FATAL(asked(0));
		if (how == 0)
			key(&pb, CP_SCCP_KEY_ENDCALL, ref);
		else if (how == 1)
			onhook(&pa);
		else if (how == 2)
			onhook(&pc);
		else if (how == 3)
			cp_calls_phone_ops.gone(w.calls, &pb, CP_GONE_UNREGISTERED);
		else
			key(&pb, CP_SCCP_KEY_HOLD, ref);
		calm();
		w.say[DP_MGCP_CRCX].silent = false;
		gw_answer(asked(0));
		calm();
		if (how == 2) {
			CU_ASSERT_TRUE(as_it_was(ref));
			CU_ASSERT_EQUAL(cp_calls_count(w.calls), 1);
		} else if (how == 4) { /* a member that is on hold */
			LIVE_UNTIL(members() == 3 && talks(&pa) && talks(&pc));
			key(&pb, CP_SCCP_KEY_RESUME, ref);
			LIVE_UNTIL(talks(&pb));
		} else {
			CU_ASSERT(place_of(&pa) == NULL && place_of(&pb) == NULL && w.calls->confs == NULL);
			CU_ASSERT(place_of(&pc) != NULL && place_of(&pc)->call->state == CALL_FAILED && pc.tone == CP_SCCP_TONE_REORDER);
			CU_ASSERT_EQUAL(bridge_conns(), 0);
		}
		end_all_calls();
		if (how == 3)
			cp_calls_phone_ops.registered(w.calls, &pb);
		CU_ASSERT_EQUAL(cp_keys_used(w.calls->keys), 0);
		world_end();
	}
}

/* Into an ad hoc conference, which has its lock until the phone is in it, and after a kill has none either. */
static void test_conference(void)
{
	struct cp_phone *const again[] = {&pa, &pb, &pc, &pd};
	uint32_t ref;

	begin_shared();
	put(&pc, "SEP000000000003", "1003");
	three();
	CU_ASSERT_TRUE(shown_all(CP_SCCP_SEC_ENCRYPTED));
	ref = place_of(&pb)->ref;
	CU_ASSERT(pd.state == CP_SCCP_REMOTE && pd.callref == ref);
	w.say[DP_MGCP_CRCX].code = 403;
	key(&pd, CP_SCCP_KEY_CBARGE, ref);
	calm();
	CU_ASSERT(place_of(&pd)->call->state == CALL_FAILED && strcmp(pd.prompt, "No conference bridge") == 0 && members() == 3);
	CU_ASSERT_TRUE(shown_all(CP_SCCP_SEC_ENCRYPTED) && !w.calls->confs->shared);
	w.say[DP_MGCP_CRCX].code = 0;
	onhook(&pd);
	rest();
	/* full */
	add_bridge("cnf/$", 3, 3, 0);
	key(&pd, CP_SCCP_KEY_CBARGE, ref);
	calm();
	CU_ASSERT(strcmp(pd.prompt, "Conference is full") == 0 && pd.tone == CP_SCCP_TONE_REORDER && members() == 3);
	onhook(&pd);
	rest();
	add_bridge("cnf/$", 8, 8, 0);
	/* one that must be secure */
	w.calls->confs->min = CP_SEC_AUTHENTICATED;
	key(&pd, CP_SCCP_KEY_CBARGE, ref);
	calm();
	CU_ASSERT(strcmp(pd.prompt, "Cannot barge") == 0 && place_of(&pd) == NULL && shown_all(CP_SCCP_SEC_ENCRYPTED));
	w.calls->confs->min = CP_SEC_UNKNOWN;
	key(&pd, CP_SCCP_KEY_CBARGE, ref);
	LIVE_UNTIL(members() == 4 && talks(&pd));
	calm();
	CU_ASSERT(shown_all(CP_SCCP_SEC_NOT_AUTH) && pd.security == CP_SCCP_SEC_NOT_AUTH);
	controlplane_stop(true);
	controlplane_start();
	UNTIL(ups == 2);
	cp_gws_sa_changed(w.gws, w.bridge_id, true);
	for (unsigned i = 0; i < 4; i++) {
		again[i]->security = 0;
		cp_calls_phone_ops.registered(w.calls, again[i]);
	}
	calm();
	CU_ASSERT(members() == 4 && shown_all(CP_SCCP_SEC_NOT_AUTH) && pd.security == CP_SCCP_SEC_NOT_AUTH);
	onhook(&pd);
	calm();
	controlplane_stop(true);
	controlplane_start();
	UNTIL(ups == 3);
	cp_gws_sa_changed(w.gws, w.bridge_id, true);
	for (unsigned i = 0; i < 4; i++)
		cp_calls_phone_ops.registered(w.calls, again[i]);
	calm();
	CU_ASSERT(members() == 3 && w.calls->confs->shared && shown_all(CP_SCCP_SEC_NOT_AUTH));
	end_all_calls();
	world_end();
}

/* Calls that nobody gets into. 0: held, 1: the cluster's conferences must be secure, 2: too many calls, 3: just being changed. */
/* b talks to a gateway, which has b's own keys. */
static uint32_t direct_to_gateway(void)
{
	w.cfg->media.mode = CFG_MEDIA_DIRECT;
	w.say[DP_MGCP_MDCX].sdp = false;
	cp_calls_phone_ops.enbloc(w.calls, &pb, "77", 1);
	UNTIL(the_state() == CALL_ALERTING);
	notify("L/hd");
	LIVE_UNTIL(talks(&pb));
	CU_ASSERT_TRUE_FATAL(the_call()->direct && the_call()->secure);
	rest();
	return the_call()->ref;
}

static void test_refused(void)
{
	for (int how = 0; how <= 4; how++) {
		uint32_t ref;

		begin_shared();
		ref = how == 4 ? direct_to_gateway() : up();
		if (how == 0) {
			key(&pb, CP_SCCP_KEY_HOLD, ref);
			calm();
		} else if (how == 1) {
			w.cfg->conference.security = CFG_LEVEL_AUTHENTICATED;
		} else if (how == 2) {
			w.cfg->calls.max_per_line = 0;
		} else if (how == 3) {
			key(&pa, CP_SCCP_KEY_HOLD, ref);
			rest();
			key(&pa, CP_SCCP_KEY_RESUME, ref);
		}
		key(&pc, CP_SCCP_KEY_CBARGE, ref);
		CU_ASSERT_STRING_EQUAL(pc.prompt, "Cannot barge");
		calm();
		CU_ASSERT(place_of(&pc) == NULL && cp_calls_count(w.calls) == 1 && bridge_conns() == 0 && w.calls->confs == NULL);
		w.cfg->calls.max_per_line = 4;
		end_all_calls();
		world_end();
	}
}

/* What the phone dials does not end for a key that is refused; nor is it in the way where a line has no more place than that. */
static void test_refused_dialling(void)
{
	static const uint32_t keys[] = {CP_SCCP_KEY_CBARGE, CP_SCCP_KEY_BARGE, CP_SCCP_KEY_RESUME};

	for (unsigned k = 0; k < 3; k++) {
		uint32_t ref, own;

		begin_shared();
		ref = up();
		if (k == 1) { /* the key that its line's state does not go with: held, it is not barged into; not held, not resumed */
			key(&pb, CP_SCCP_KEY_HOLD, ref);
			calm();
		}
		if (k == 0)
			w.cfg->conference.security = CFG_LEVEL_AUTHENTICATED;
		cp_calls_phone_ops.offhook(w.calls, &pc, 1, 0);
		CU_ASSERT_PTR_NOT_NULL_FATAL(place_of(&pc));
		own = place_of(&pc)->ref;
		pc.prompt[0] = '\0';
		key(&pc, keys[k], ref);
		calm();
		if (k < 2) /* what is not on hold is not asked to go on at all */
			CU_ASSERT_STRING_EQUAL(pc.prompt, "Cannot barge");
		CU_ASSERT(place_of(&pc) != NULL && place_of(&pc)->ref == own && place_of(&pc)->call->state == CALL_DIALING);
		if (k == 0) {
			w.cfg->conference.security = CFG_LEVEL_NONE;
			w.cfg->calls.max_per_line = 2;
			key(&pc, CP_SCCP_KEY_CBARGE, ref);
			LIVE_UNTIL(members() == 3 && talks(&pc));
			CU_ASSERT_NOT_EQUAL(place_of(&pc)->ref, own);
			w.cfg->calls.max_per_line = 4;
		}
		end_all_calls();
		world_end();
	}
}

static CU_TestInfo tests[] = {
	{"joins, and leaves", test_joins},
	{"a phone that cannot encrypt", test_clear},
	{"no bridge: the call stays", test_no_bridge},
	{"what happens while the bridge is asked", test_meanwhile},
	{"into a conference", test_conference},
	{"refused", test_refused},
	{"refused while the phone dials", test_refused_dialling},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	return 0;
}

#include "suite.h"
SUITE_MAIN("cbarge", tests, setup, NULL)
