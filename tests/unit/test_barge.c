/* SPDX-License-Identifier: BSD-3-Clause */
/* Barge over the target's built-in bridge, with all that it opens and closes. The rules alone are test_security's. */
#include "store/change.h"
#include "store/phonecfg.h"
#include "talk.h"

static struct cp_phone pc, pd; /* both have 2000: a calls c, d barges in */

static void put(const char *name, const char *model, uint8_t bridge)
{
	struct cp_line line = {.number = "2000"};
	struct cp_device d = {.mode = CP_DEVICE_ENCRYPTED, .region = "default", .srtp = true, .lines = &line, .line_cnt = 1, .bridge = bridge};
	struct cp_dir_ctx x = dir_ctx;

	x.shared = true;
	strcpy(d.name, name);
	strcpy(d.model, model);
	synced(cp_dir_device_put(w.store, &d, true, &x));
}

static void begin(const char *model)
{
	world_begin();
	put("SEP000000000A03", model, CP_SET_DEFAULT);
	put("SEP000000000A04", "", CP_SET_DEFAULT);
	phone_reset(&pc, "SEP000000000A03", "2000");
	phone_reset(&pd, "SEP000000000A04", "2000");
	cp_calls_phone_ops.registered(w.calls, &pc);
	cp_calls_phone_ops.registered(w.calls, &pd);
	rest();
}

static void be(struct cp_phone *p, enum cp_phone_sec sec)
{
	p->sec = sec;
	p->srtp = sec == CP_PHONE_ENCRYPTED;
}

/* a and c talk, and d sees it. */
static uint32_t up(void)
{
	uint32_t ref;

	dial("2000");
	ref = the_call()->ref;
	answers(&pc, &pa, ref);
	CU_ASSERT(pd.state == CP_SCCP_REMOTE && pd.callref == ref);
	return ref;
}

/* d barges in: media is confirmed on both sides of the second call. */
static struct cp_call *barge_in(uint32_t ref)
{
	struct cp_call *barge;

	pc.smt = pd.smt = 0;
	key(&pd, CP_SCCP_KEY_BARGE, ref);
	UNTIL(pc.smt == 1 && pd.smt == 1);
	barge = agent_party(agent_find(w.calls, pd.name, false), ref)->call;
	CU_ASSERT(barge->barge && barge->ref != ref && barge_target(barge) == &call_find(w.calls, ref)->p[1]);
	ack_media(&pc);
	ack_media(&pd);
	rest();
	CU_ASSERT_EQUAL_FATAL(barge->state, CALL_CONNECTED);
	return barge;
}

/* The table of 001 section 1.10 and 004a section 5.4, at phones. */
static void test_table(void)
{
	static const struct {
		const char *rows, *model;
		enum cp_phone_sec call, barger;
		bool no_srtp;
		enum cp_sccp_tone tone; /* 0: it succeeds */
		unsigned others, own;   /* what is shown then */
	} t[] = {
		{"001:P1-125 004a:CALL-06", "", CP_PHONE_ENCRYPTED, CP_PHONE_ENCRYPTED, false, 0, 3, 3},
		{"001:P1-123 004a:CALL-04", "", CP_PHONE_ENCRYPTED, CP_PHONE_AUTHENTICATED, false, CP_SCCP_TONE_BUSY, 3, 3},
		{"001:P1-123 004a:CALL-04", "", CP_PHONE_ENCRYPTED, CP_PHONE_NONSECURE, false, CP_SCCP_TONE_BUSY, 3, 3},
		{"001:P1-123", "", CP_PHONE_ENCRYPTED, CP_PHONE_ENCRYPTED, true, CP_SCCP_TONE_BUSY, 3, 3},
		{"001:P1-124 004a:CALL-05", "", CP_PHONE_AUTHENTICATED, CP_PHONE_ENCRYPTED, false, 0, 1, 1},
		{"001:P1-124 004a:CALL-05", "", CP_PHONE_NONSECURE, CP_PHONE_ENCRYPTED, false, 0, 1, 1},
		{"001:P1-126 004a:CALL-07", "", CP_PHONE_AUTHENTICATED, CP_PHONE_NONSECURE, false, 0, 2, 1},
		{"", "", CP_PHONE_AUTHENTICATED, CP_PHONE_AUTHENTICATED, false, 0, 2, 2},
		{"", "", CP_PHONE_NONSECURE, CP_PHONE_NONSECURE, false, 0, 1, 1},
		{"001:P1-128 004a:CALL-09 001:R-19 004c:BG-01", "7960", CP_PHONE_ENCRYPTED, CP_PHONE_ENCRYPTED, false, CP_SCCP_TONE_REORDER, 3, 3},
		{"001:P1-128 004c:BG-01", "CP-7940G", CP_PHONE_ENCRYPTED, CP_PHONE_ENCRYPTED, false, CP_SCCP_TONE_REORDER, 3, 3},
		{"004a:CALL-07", "7960", CP_PHONE_AUTHENTICATED, CP_PHONE_NONSECURE, false, 0, 2, 1},
	};

	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		unsigned before;
		uint32_t ref;

		begin(t[i].model);
		be(&pa, t[i].call);
		be(&pc, t[i].call);
		be(&pd, t[i].barger);
		pd.srtp = pd.srtp && !t[i].no_srtp;
		ref = up();
		before = pa.security;
		CU_ASSERT_EQUAL(before, (unsigned)t[i].call + 1);
		if (t[i].tone != 0) {
			key(&pd, CP_SCCP_KEY_BARGE, ref);
			CU_ASSERT_EQUAL(pd.tone, t[i].tone);
			CU_ASSERT_EQUAL(call_of(&pd)->state, CALL_FAILED);
			rest();
			CU_ASSERT(pd.orc == 0 && pd.smt == 0 && pc.orc == 1);
			onhook(&pd);
			CU_ASSERT(call_find(w.calls, ref)->state == CALL_CONNECTED && pa.security == before && pc.security == before);
		} else {
			struct cp_call *barge = barge_in(ref);

			CU_ASSERT(pa.security == t[i].others && pc.security == t[i].others && pd.security == t[i].own);
			CU_ASSERT(pd.state == CP_SCCP_CONNECTED && pd.callref == ref && pd.info_ref == ref && pc.callref == ref);
			CU_ASSERT_EQUAL(barge->secure, t[i].call == CP_PHONE_ENCRYPTED);
			CU_ASSERT_EQUAL(pd.orc_m.suite != DP_SRTP_NONE, t[i].call == CP_PHONE_ENCRYPTED);
			key(&pd, CP_SCCP_KEY_ENDCALL, ref);
			/* the others go on, and are what they were */
			CU_ASSERT(cp_calls_count(w.calls) == 1 && call_find(w.calls, ref)->state == CALL_CONNECTED);
			CU_ASSERT(pa.security == before && pc.security == before && pd.security == before);
			CU_ASSERT_EQUAL(pd.state, CP_SCCP_REMOTE);
		}
		if (call_find(w.calls, ref) == NULL || pa.security != before)
			printf("row %u: %s\n", i, t[i].rows);
		onhook(&pa);
		world_end();
	}
}

/* Streams: a second one at the target, with legs and keys of its own, in which the phone's call is named. */
static void test_media(void)
{
	struct cp_phone_media first;
	struct cp_call *call, *barge;
	uint32_t ref;
	unsigned crc;

	begin("");
	ref = up();
	call = call_find(w.calls, ref);
	first = pc.orc_m;
	crc = pc.crc;
	barge = barge_in(ref);
	CU_ASSERT(pc.orc_m.callref == ref && pc.orc_m.conference != first.conference && pc.orc_m.party != first.party);
	CU_ASSERT(pd.orc_m.callref == ref);
	same_key_never(&pc.orc_m, &first);
	same_key_never(&pc.orc_m, &pd.orc_m);
	same_key_never(&pc.smt_m, &pc.orc_m);
	CU_ASSERT_EQUAL(pc.crc, crc); /* its first stream went on */
	for (unsigned s = 0; s < 2; s++) {
		CU_ASSERT_EQUAL(last_leg(barge->p[s].leg_id)->peer_id, barge->p[1 - s].leg_id);
		CU_ASSERT(barge->p[s].leg_id != call->p[0].leg_id && barge->p[s].leg_id != call->p[1].leg_id);
	}
	CU_ASSERT_EQUAL(cp_store_call(w.store, barge->ref)->leg[1].bridges, ref);
	/* a second one cannot; who has barged in cannot hold or transfer */
	key(&pd, CP_SCCP_KEY_HOLD, ref);
	key(&pd, CP_SCCP_KEY_TRANSFER, ref);
	key(&pd, CP_SCCP_KEY_BARGE, ref);
	CU_ASSERT(cp_calls_count(w.calls) == 2 && barge->state == CALL_CONNECTED);
	/* a call detail record of its own */
	key(&pd, CP_SCCP_KEY_ENDCALL, ref);
	CU_ASSERT_EQUAL(pc.crc, crc + 1);
	CU_ASSERT(cdrs()->n == 1 && cdrs()->r[0].origin == CP_CDR_BARGE);
	onhook(&pa);
	world_end();
}

/* Whoever leaves first. 0: a, 1: c, 2: c holds, 3: d is called and answers, 4: d goes, 5: c goes, 6: the dataplane refuses,
 * 7: d does not open its channel, 8: killed, and then c leaves, 9: a holds and comes back, 10: a hands c over. */
static void test_leaving(void)
{
	for (int step = 0; step <= 10; step++) {
		struct cp_call *barge;
		uint32_t ref;

		begin("");
		ref = up();
		if (step == 6) {
			w.refuse_type = DP_MSG_LEG_SET;
			w.refuse_rc = -ENOSPC;
			key(&pd, CP_SCCP_KEY_BARGE, ref);
			UNTIL(cp_calls_count(w.calls) == 1);
			w.refuse_type = 0;
		} else if (step == 7) {
			pd.smt = 0;
			key(&pd, CP_SCCP_KEY_BARGE, ref);
			UNTIL(pd.smt == 1);
			event_active(agent_party(agent_find(w.calls, pd.name, false), ref)->call->timer, EV_TIMEOUT, 0);
			rest();
		} else {
			barge = barge_in(ref);
			if (step == 0)
				onhook(&pa);
			if (step == 1)
				key(&pc, CP_SCCP_KEY_ENDCALL, ref);
			if (step == 2)
				key(&pc, CP_SCCP_KEY_HOLD, ref);
			if (step == 3) {
				cp_calls_phone_ops.enbloc(w.calls, &pd, "1002", 1);
				CU_ASSERT_EQUAL(cp_calls_count(w.calls), 2);
				onhook(&pd);
			}
			if (step == 4 || step == 5)
				gone(step == 4 ? &pd : &pc, CP_GONE_UNREGISTERED);
			if (step == 8) {
				uint32_t bref = barge->ref;

				controlplane_stop(true);
				w.alarms = NULL;
				controlplane_start();
				UNTIL(ups == 2);
				cp_calls_phone_ops.registered(w.calls, &pd);
				cp_calls_phone_ops.registered(w.calls, &pc);
				cp_calls_phone_ops.registered(w.calls, &pa);
				cp_calls_phone_ops.registered(w.calls, &pb);
				CU_ASSERT(cp_calls_count(w.calls) == 2 && call_find(w.calls, bref)->barge);
				CU_ASSERT(pd.state == CP_SCCP_CONNECTED && pd.security == CP_SCCP_SEC_ENCRYPTED);
				CU_ASSERT_EQUAL(pc.callref, ref);
				key(&pc, CP_SCCP_KEY_ENDCALL, ref);
			}
			if (step == 9) {
				key(&pa, CP_SCCP_KEY_HOLD, ref);
				CU_ASSERT(barge->state == CALL_CONNECTED && cp_calls_count(w.calls) == 2);
				pa.smt = 0;
				key(&pa, CP_SCCP_KEY_RESUME, ref);
				UNTIL(pa.smt == 1);
				ack_media(&pa);
				rest();
				CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && pd.security == CP_SCCP_SEC_ENCRYPTED);
			}
			if (step == 10) { /* to one who cannot encrypt: all three are told */
				uint32_t second;

				pb.srtp = false;
				key(&pa, CP_SCCP_KEY_TRANSFER, ref);
				second = call_of(&pa)->ref;
				cp_calls_phone_ops.enbloc(w.calls, &pa, "1002", 1);
				key(&pb, CP_SCCP_KEY_ANSWER, second);
				UNTIL(pb.smt == 1);
				ack_media(&pa);
				ack_media(&pb);
				rest();
				pb.smt = 0;
				key(&pa, CP_SCCP_KEY_TRANSFER, second);
				UNTIL(pb.smt == 1);
				ack_media(&pb);
				rest();
				CU_ASSERT(pb.security == CP_SCCP_SEC_AUTH && pc.security == CP_SCCP_SEC_AUTH && pd.security == CP_SCCP_SEC_AUTH);
				CU_ASSERT_EQUAL(cp_calls_count(w.calls), 2);
				key(&pc, CP_SCCP_KEY_ENDCALL, ref);
			}
		}
		rest();
		CU_ASSERT_EQUAL(cp_calls_count(w.calls), step == 0 || step == 1 || step == 5 || step == 8 || step == 10 ? 0u : step == 9 ? 2u : 1u);
		CU_ASSERT_EQUAL(pd.state, step == 2 ? CP_SCCP_HOLD :
					  step == 0 || step == 1 || step == 3 || step == 5 || step == 8 || step == 10 ? CP_SCCP_ONHOOK :
					  step == 4 || step == 9 ? CP_SCCP_CONNECTED :
								   CP_SCCP_REMOTE);
		if (cp_calls_count(w.calls) > 0)
			key(&pc, CP_SCCP_KEY_ENDCALL, ref);
		if (step == 4 || step == 5)
			cp_calls_phone_ops.registered(w.calls, step == 4 ? &pd : &pc);
		world_end();
	}
}

/* The setting: of the phone, else of the cluster, which is on. */
static void test_setting(void)
{
	struct cp_change *c;
	struct cp_cluster cl;
	uint32_t ref;

	begin("");
	ref = up();
	put("SEP000000000A03", "", CP_SET_OFF);
	key(&pd, CP_SCCP_KEY_BARGE, ref);
	CU_ASSERT_EQUAL(cp_calls_count(w.calls), 1);
	put("SEP000000000A03", "", CP_SET_DEFAULT);
	cp_store_cluster(w.store, &cl);
	cl.bridge = CP_SET_OFF;
	c = cp_change_create(w.store);
	CU_ASSERT_EQUAL(cp_change_cluster_put(c, &cl, NULL, 0), 0);
	synced(cp_change_submit(c, "cluster.set", "test", NULL, on_stored, NULL));
	cp_cluster_free(&cl);
	key(&pd, CP_SCCP_KEY_BARGE, ref);
	CU_ASSERT_EQUAL(cp_calls_count(w.calls), 1);
	put("SEP000000000A03", "", CP_SET_ON);
	barge_in(ref);
	onhook(&pa);
	world_end();
}

/* Keys that end the barge that they are pressed in, and a target that comes back with less than it had. */
static void test_others(void)
{
	struct cp_call *barge;
	struct party held = {0};
	const char *why;
	uint32_t ref;

	begin("");
	ref = up();
	barge_in(ref);
	key(&pd, CP_SCCP_KEY_MEETME, ref);
	CU_ASSERT(call_of(&pd)->state == CALL_DIALING && call_of(&pd)->meetme && cp_calls_count(w.calls) == 2);
	onhook(&pd);
	rest();
	/* a transfer that was begun when the number was another call's */
	barge = barge_in(ref);
	barge->p[0].consult = ref;
	held = barge->p[0];
	CU_ASSERT(transfer_finish(&held, &why) == -EPROTO && strcmp(why, "who has barged in can only leave") == 0 && barge->state == CALL_CONNECTED);
	CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && pd.security == CP_SCCP_SEC_ENCRYPTED);
	gone(&pc, CP_GONE_CLOSED);
	CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_ENCRYPTED);
	be(&pc, CP_PHONE_NONSECURE);
	cp_calls_phone_ops.registered(w.calls, &pc);
	CU_ASSERT_EQUAL(call_security(call_find(w.calls, ref)), CP_SEC_NOT_SECURE);
	CU_ASSERT(pa.security == CP_SCCP_SEC_NOT_AUTH && pc.security == CP_SCCP_SEC_NOT_AUTH && pd.security == CP_SCCP_SEC_NOT_AUTH);
	gone(&pc, CP_GONE_CLOSED);
	be(&pc, CP_PHONE_ENCRYPTED); /* its keys were told in the open meanwhile, perhaps: no lock comes back */
	cp_calls_phone_ops.registered(w.calls, &pc);
	CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_NOT_AUTH);
	onhook(&pa);
	world_end();
}

static CU_TestInfo tests[] = {
	{"who may, and what all are shown", test_table},
	{"streams, legs and keys", test_media},
	{"whoever leaves first", test_leaving},
	{"built_in_bridge", test_setting},
	{"keys that end it, and a target with less", test_others},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	return 0;
}

#include "suite.h"
SUITE_MAIN("barge", tests, setup, NULL)
