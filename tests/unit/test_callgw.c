/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/call/: calls to a voice gateway, whatever it answers and whenever. */
/* Rows: 001:P1-109, R-17; 004b:MGCP-02, R-39; 004c:MG-02. */
#include "call_steps.h"

static void test_gateway_call(void)
{
	const struct dp_mgcp_cmd *c = NULL;
	const union fake_msg *m = NULL;

	world_begin();
	gw_to(CALL_CONNECTED);
	CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_ENCRYPTED);
	CU_ASSERT_EQUAL(cp_keys_used(w.calls->keys), 4);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, &c), 1);
	CU_ASSERT_EQUAL(c->media.suite, DP_AES_CM_128_HMAC_SHA1_80);
	/* the key that the gateway gave is what its leg receives with; ours, in the CRCX, what it sends with */
	for (unsigned i = 0; i < w.fake.n; i++) {
		m = &w.fake.log[i];
		if (m->hdr.type != DP_MSG_LEG_KEY || m->key.leg_id != the_call()->p[1].leg_id)
			continue;
		CU_ASSERT(m->key.dir == DP_DIR_SEND ? memcmp(m->key.key, c->media.key, 16) == 0 : m->key.salt[0] == 0x22);
	}
	/* another call finds the next endpoint, and a third none */
	CU_ASSERT_STRING_EQUAL(the_call()->p[1].endpoint, "aaln/1");
	cp_calls_phone_ops.enbloc(w.calls, &pb, "9555", 1);
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, &c), 2);
	CU_ASSERT_STRING_EQUAL(c->endpoint, "aaln/2");
	onhook(&pb);
	cp_calls_phone_ops.enbloc(w.calls, &pb, "77", 1); /* that endpoint only */
	CU_ASSERT_EQUAL(pb.tone, CP_SCCP_TONE_BUSY);
	onhook(&pb);
	notify("hu");
	UNTIL(the_state() == -1);
	CU_ASSERT_EQUAL(pa.state, CP_SCCP_ONHOOK);
	world_end();
}

static void test_gateway_answers(void)
{
	static const struct {
		struct reply crcx;
		enum cfg_fallback fallback;
		bool secured;   /* a live SA */
		int state;      /* reached */
		uint8_t suite;  /* of the phone's media */
		unsigned dlcx;  /* while or after it failed */
	} cases[] = {
		{{.code = 200}, CFG_FALLBACK_RTP, true, CALL_ALERTING, 1, 0},
		{{.code = 200, .no_sdp = true}, CFG_FALLBACK_RTP, true, CALL_FAILED, 0, 1},
		{{.code = 200, .no_conn = true}, CFG_FALLBACK_RTP, true, CALL_FAILED, 0, 1},
		{{.code = 200, .suite = DP_AES_CM_128_HMAC_SHA1_32}, CFG_FALLBACK_RTP, true, CALL_FAILED, 0, 1},
		{{.code = 200, .suite = 0xff}, CFG_FALLBACK_RTP, true, CALL_ALERTING, 0, 0},
		{{.code = 200, .suite = 0xff}, CFG_FALLBACK_REFUSE, true, CALL_FAILED, 0, 1},
		{{.code = 200, .pt = 18}, CFG_FALLBACK_RTP, true, CALL_FAILED, 0, 1},
		{{.code = 200, .pt = 8}, CFG_FALLBACK_RTP, true, CALL_ALERTING, 1, 0},
		{{.code = 401}, CFG_FALLBACK_RTP, true, CALL_FAILED, 0, 0},
		{{.code = 502}, CFG_FALLBACK_RTP, true, CALL_FAILED, 0, 0},
		{{.result = DP_MGCP_TIMEOUT}, CFG_FALLBACK_RTP, true, CALL_FAILED, 0, 1},
		{{.result = DP_MGCP_BAD_ANSWER}, CFG_FALLBACK_RTP, true, CALL_FAILED, 0, 1},
		{{.result = DP_MGCP_OVERLOAD}, CFG_FALLBACK_RTP, true, CALL_FAILED, 0, 0},
		{{.result = DP_MGCP_NO_SA}, CFG_FALLBACK_REFUSE, true, CALL_FAILED, 0, 0},
		{{.code = 200}, CFG_FALLBACK_REFUSE, false, CALL_FAILED, 0, 0},
		{{.code = 200}, CFG_FALLBACK_RTP, false, CALL_ALERTING, 0, 0},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct dp_mgcp_cmd *c = NULL;

		world_begin();
		w.cfg->media.fallback = cases[i].fallback;
		w.say[DP_MGCP_CRCX] = cases[i].crcx;
		if (!cases[i].secured)
			cp_gws_sa_changed(w.gws, cp_gw_id(cp_gws_find(w.gws, "gw1")), false);
		dial("9123");
		UNTIL(the_state() == cases[i].state);
		rest();
		CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, &c), cases[i].dlcx);
		if (c != NULL) {
			CU_ASSERT_STRING_EQUAL(c->endpoint, "aaln/1");
			CU_ASSERT_NOT_EQUAL(c->call_id[0], '\0');
		}
		if (cases[i].state == CALL_ALERTING) {
			notify("L/hd");
			UNTIL(pa.orc == 1);
			CU_ASSERT_EQUAL(pa.orc_m.suite != DP_SRTP_NONE, cases[i].suite);
			CU_ASSERT_EQUAL(pa.orc_m.codec, cases[i].crcx.pt == 8 ? CP_SCCP_G711A : CP_SCCP_G711U);
		} else {
			CU_ASSERT_EQUAL(cp_ports_used(w.calls->ports), 0);
			CU_ASSERT_EQUAL(cp_keys_used(w.calls->keys), 0);
		}
		onhook(&pa);
		world_end();
	}
}

/* Keys held back at the last step: once more without, if policy says so. The codec is what both can. */
static void test_no_sa_and_codec(void)
{
	const struct dp_mgcp_cmd *c = NULL;

	world_begin();
	w.say[DP_MGCP_CRCX] = (struct reply){.result = DP_MGCP_NO_SA, .silent = true};
	dial("9123");
	UNTIL(w.todo_cnt == 1);
	gw_answer(&w.todo[0]);
	w.say[DP_MGCP_CRCX] = (struct reply){.code = 200};
	UNTIL(the_state() == CALL_ALERTING);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, &c), 2);
	CU_ASSERT_EQUAL(c->media.suite, DP_SRTP_NONE);
	CU_ASSERT_EQUAL(cp_keys_used(w.calls->keys), 0);
	onhook(&pa);
	rest();
	pa.only_codec = CP_SCCP_G711U; /* the gateway chooses A-law: nobody transcodes */
	w.say[DP_MGCP_CRCX] = (struct reply){.code = 200, .pt = 8};
	dial("9123");
	UNTIL(the_state() == CALL_FAILED);
	onhook(&pa);
	world_end();
}

static void test_gateway_late_and_early(void)
{
	const struct dp_mgcp_cmd *c = NULL;
	uint32_t ref;

	world_begin();
	/* the connection is made after the caller has hung up */
	w.say[DP_MGCP_CRCX].silent = true;
	dial("9123");
	UNTIL(w.todo_cnt == 1);
	ref = the_call()->ref;
	onhook(&pa);
	CU_ASSERT_EQUAL(the_state(), -1);
	gw_answer(&w.todo[0]);
	UNTIL(gw_saw(DP_MGCP_DLCX, &c) == 1);
	CU_ASSERT_STRING_EQUAL(c->conn_id, "C0FFEE");
	CU_ASSERT_STRING_EQUAL(c->endpoint, "aaln/1");
	w.say[DP_MGCP_CRCX].silent = false;
	/* its notifications say nothing about the next call on that endpoint */
	gw_to(CALL_ALERTING);
	{
		char old[16];

		snprintf(old, sizeof(old), "%08X", ref);
		gw_event(DP_MGCP_NTFY, "aaln/1", old, "L/hd");
		gw_event(DP_MGCP_NTFY, "aaln/1", old, "L/hu");
		gw_event(DP_MGCP_NTFY, "aaln/1", "", "L/hu");
		rest();
		CU_ASSERT_EQUAL(the_state(), CALL_ALERTING);
	}
	onhook(&pa);
	rest();
	/* answered before the answer to our request has come */
	w.say[DP_MGCP_RQNT].silent = true;
	w.todo_cnt = w.todo_done = 0;
	dial("9123");
	UNTIL(gw_saw(DP_MGCP_RQNT, NULL) == 1);
	w.say[DP_MGCP_RQNT].silent = false;
	notify("L/hd");
	UNTIL(pa.smt == 1);
	onhook(&pa);
	world_end();
}

static void test_gateway_refuses_later(void)
{
	world_begin();
	w.say[DP_MGCP_RQNT].code = 401;
	dial("9123");
	UNTIL(the_state() == CALL_FAILED);
	CU_ASSERT_EQUAL(pa.tone, CP_SCCP_TONE_BUSY);
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 1);
	onhook(&pa);
	w.say[DP_MGCP_RQNT].code = 0;
	w.say[DP_MGCP_MDCX].code = 510;
	dial("9123");
	UNTIL(the_state() == CALL_ALERTING);
	notify("L/hd");
	UNTIL(the_state() == -1);
	w.say[DP_MGCP_MDCX].code = 0;
	nothing_left();
	/* ways a gateway loses its connections */
	for (int i = 0; i < 7; i++) {
		static const struct {
			uint8_t verb;
			const char *endpoint, *what;
			bool ends;
		} how[] = {
			{DP_MGCP_RSIP, "*", "restart", true}, {DP_MGCP_RSIP, "aaln/*", "restart", true},
			{DP_MGCP_RSIP, "AALN/1", "forced", true}, {DP_MGCP_RSIP, "aaln/2", "restart", false},
			{DP_MGCP_RSIP, "*", "graceful", false}, {DP_MGCP_DLCX, "aaln/1", "", true},
			{DP_MGCP_RSIP, "*", "disconnected", false},
		};

		pa.smt = 0;
		gw_to(CALL_CONNECTED);
		gw_event(how[i].verb, how[i].endpoint, "C0FFEE", how[i].what);
		rest();
		CU_ASSERT_EQUAL(the_state(), how[i].ends ? -1 : CALL_CONNECTED);
		if (!how[i].ends)
			onhook(&pa);
		gw_event(DP_MGCP_RSIP, "*", "", "restart"); /* whatever is out is back */
		nothing_left();
	}
	world_end();
}

/* The channel goes while the gateway works on something: it is told to let go once the channel is back. */
static void test_gateway_channel_lost(void)
{
	static const int states[] = {CALL_ROUTING, CALL_ALERTING, CALL_CONNECTED};

	for (unsigned i = 0; i < 3; i++) {
		for (int fresh = 0; fresh < 2; fresh++) {
			world_begin();
			w.say[DP_MGCP_CRCX].silent = states[i] == CALL_ROUTING;
			gw_to(states[i]);
			rest();
			if (i == 2) { /* and the hang-up falls into the gap */
				fake_hangup(&w.fake);
				event_del(w.fake.ev_accept);
				UNTIL(!cp_dp_up(w.dp));
				onhook(&pa);
				event_add(w.fake.ev_accept, NULL);
				UNTIL(cp_dp_up(w.dp));
				rest();
			} else {
				channel_returns(fresh);
				CU_ASSERT_EQUAL(the_state(), states[i] == CALL_ROUTING ? CALL_FAILED : states[i]);
				onhook(&pa);
				rest();
			}
			CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 1);
			world_end();
		}
	}
}

static CU_TestInfo tests[] = {
	{"gateway call", test_gateway_call},
	{"gateway answers", test_gateway_answers},
	{"no SA, and the codec", test_no_sa_and_codec},
	{"gateway late and early", test_gateway_late_and_early},
	{"gateway refuses later", test_gateway_refuses_later},
	{"gateway, channel lost", test_gateway_channel_lost},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	return 0;
}

#include "suite.h"
SUITE_MAIN("callgw", tests, setup, NULL)
