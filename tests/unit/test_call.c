/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/call/: how calls between phones begin, go on and end, operators' sessions; after each, nothing of it is left. */
#include "call_steps.h"

static void test_phone_to_phone(void)
{
	world_begin();
	to_connected();
	CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_ENCRYPTED);
	CU_ASSERT_EQUAL(pb.security, CP_SCCP_SEC_ENCRYPTED);
	CU_ASSERT_EQUAL(cp_keys_used(w.calls->keys), 4);
	CU_ASSERT_NOT_EQUAL(memcmp(pa.orc_m.key, pa.smt_m.key, 16), 0); /* four keys, all different */
	CU_ASSERT_NOT_EQUAL(memcmp(pa.orc_m.key, pb.orc_m.key, 16), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(pa.orc_m.key, pb.smt_m.key, 16), 0);
	onhook(&pb);
	CU_ASSERT_EQUAL(pa.state, CP_SCCP_ONHOOK);
	CU_ASSERT(pa.crc == 1 && pa.stopmt == 1 && pb.crc == 1 && pb.stopmt == 1);
	rest();
	CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_LEG_DEL, NULL), 2);
	world_end();
}

static void test_plain_call_is_shown_so(void)
{
	world_begin();
	pb.srtp = false;
	pb.sec = CP_PHONE_AUTHENTICATED;
	to_told();
	CU_ASSERT_EQUAL(pa.orc_m.suite, DP_SRTP_NONE);
	CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_AUTH);
	CU_ASSERT_EQUAL(cp_keys_used(w.calls->keys), 0);
	onhook(&pa);
	w.cfg->media.fallback = CFG_FALLBACK_REFUSE;
	dial("1002");
	CU_ASSERT_EQUAL(the_state(), CALL_FAILED);
	CU_ASSERT_FALSE(pb.ringing);
	onhook(&pa);
	world_end();
}

static void test_dialling(void)
{
	static const struct {
		const char *number;
		int state;
		enum cp_sccp_tone tone;
	} enbloc[] = {
		{"1001", CALL_FAILED, CP_SCCP_TONE_BUSY},    /* itself */
		{"1003", CALL_FAILED, CP_SCCP_TONE_REORDER}, /* not registered */
		{"5", CALL_FAILED, CP_SCCP_TONE_REORDER},    /* nobody's */
		{"100", CALL_FAILED, CP_SCCP_TONE_REORDER},
		{"012345678901234567890123456789012345", CALL_FAILED, CP_SCCP_TONE_REORDER}, /* too long */
	};

	world_begin();
	for (unsigned i = 0; i < sizeof(enbloc) / sizeof(enbloc[0]); i++) {
		dial(enbloc[i].number);
		CU_ASSERT_EQUAL(the_state(), enbloc[i].state);
		CU_ASSERT_EQUAL(pa.tone, enbloc[i].tone);
		onhook(&pa);
		CU_ASSERT_EQUAL(the_state(), -1);
	}
	/* digit by digit: complete as soon as nothing longer can follow */
	offhook(&pa);
	CU_ASSERT_EQUAL(pa.tone, CP_SCCP_TONE_DIAL);
	for (const char *d = "1002"; *d; d++) {
		CU_ASSERT_EQUAL(the_state(), CALL_DIALING);
		cp_calls_phone_ops.digit(w.calls, &pa, *d, 1, 0);
	}
	CU_ASSERT_EQUAL(the_state(), CALL_ALERTING);
	onhook(&pa);
	/* a wrong digit at once */
	offhook(&pa);
	cp_calls_phone_ops.digit(w.calls, &pa, '8', 1, 0);
	CU_ASSERT_EQUAL(the_state(), CALL_FAILED);
	timer_fires();
	CU_ASSERT_EQUAL(the_state(), -1);
	/* prefixes wait for more; # or time ends them */
	offhook(&pa);
	cp_calls_phone_ops.digit(w.calls, &pa, '9', 1, 0);
	cp_calls_phone_ops.digit(w.calls, &pa, '1', 1, 0);
	CU_ASSERT_EQUAL(the_state(), CALL_DIALING);
	cp_calls_phone_ops.digit(w.calls, &pa, '#', 1, 0);
	CU_ASSERT_EQUAL(the_state(), CALL_ROUTING);
	onhook(&pa);
	rest();
	offhook(&pa);
	cp_calls_phone_ops.digit(w.calls, &pa, '9', 1, 0);
	timer_fires();
	CU_ASSERT_EQUAL(the_state(), CALL_ALERTING);
	onhook(&pa);
	/* nothing dialled */
	offhook(&pa);
	timer_fires();
	CU_ASSERT_EQUAL(the_state(), CALL_FAILED);
	onhook(&pa);
	world_end();
}

static void test_busy_and_refusals(void)
{
	world_begin();
	w.cfg->calls.busy_trigger = 1;
	offhook(&pb);
	dial("1002");
	CU_ASSERT_EQUAL(pa.tone, CP_SCCP_TONE_BUSY);
	onhook(&pa);
	onhook(&pb);
	pb.no_codec = true;
	dial("1002");
	CU_ASSERT_EQUAL(the_state(), CALL_FAILED);
	onhook(&pa);
	pb.no_codec = false;
	/* the key of an earlier call does nothing to this one */
	to_ringing();
	cp_calls_phone_ops.softkey(w.calls, &pb, CP_SCCP_KEY_ENDCALL, 1, the_call()->ref - 1);
	CU_ASSERT_EQUAL(the_state(), CALL_ALERTING);
	onhook(&pb); /* neither does a handset put back */
	CU_ASSERT_EQUAL(the_state(), CALL_ALERTING);
	cp_calls_phone_ops.softkey(w.calls, &pb, CP_SCCP_KEY_ENDCALL, 1, the_call()->ref);
	CU_ASSERT_EQUAL(the_state(), -1);
	/* no answer */
	to_ringing();
	timer_fires();
	CU_ASSERT_EQUAL(the_state(), CALL_FAILED);
	CU_ASSERT_FALSE(pb.ringing);
	onhook(&pa);
	/* nobody confirms its media */
	pa.smt = pb.smt = 0;
	to_told();
	timer_fires();
	CU_ASSERT_EQUAL(the_state(), -1);
	/* a phone that cannot open its channel */
	pa.smt = pb.smt = 0;
	to_told();
	cp_calls_phone_ops.orc_ack(w.calls, &pb, 1, NULL, pb.orc_m.party, 0);
	CU_ASSERT_EQUAL(the_state(), -1);
	/* an acknowledgement of another call */
	pa.smt = pb.smt = 0;
	to_told();
	pa.orc_m.party ^= 2;
	ack_media(&pa);
	CU_ASSERT_FALSE(the_call()->p[0].ready);
	cp_calls_phone_ops.smt_ack(w.calls, &pb, 2, pb.smt_m.party, 0);
	CU_ASSERT_EQUAL(the_state(), -1);
	world_end();
}

/* Each side goes away in each state, in each way. */
static void test_phone_lost(void)
{
	static const enum cp_phone_gone whys[] = {CP_GONE_CLOSED, CP_GONE_UNREGISTERED, CP_GONE_REMOVED};

	world_begin();
	for (unsigned why = 0; why < 3; why++) {
		for (int state = CALL_DIALING; state <= CALL_CONNECTED; state++) {
			for (int side = 0; side < 2; side++) {
				struct cp_phone *p = side == 0 ? &pa : &pb;
				bool lives = state == CALL_CONNECTED && whys[why] == CP_GONE_CLOSED;

				if (state == CALL_ROUTING || (state == CALL_DIALING && side == 1))
					continue;
				pa.smt = pb.smt = pa.orc = pb.orc = 0;
				if (state == CALL_DIALING)
					offhook(&pa);
				else if (state == CALL_ALERTING)
					to_ringing();
				else if (state == CALL_CONNECTED)
					to_connected();
				else {
					to_ringing();
					offhook(&pb);
				}
				gone(p, whys[why]);
				CU_ASSERT_EQUAL(the_state(), lives ? CALL_CONNECTED : -1);
				cp_calls_phone_ops.registered(w.calls, p);
				if (lives) { /* it is back, sees its call and ends it */
					CU_ASSERT_EQUAL(p->state, CP_SCCP_CONNECTED);
					CU_ASSERT_EQUAL(p->callref, the_call()->ref);
					onhook(p);
				}
				nothing_left();
			}
		}
	}
	/* gone for good in mid-call, then the other hangs up: not even its name is kept */
	pa.smt = pb.smt = 0;
	to_connected();
	gone(&pb, CP_GONE_CLOSED);
	onhook(&pa);
	CU_ASSERT_PTR_NULL(agent_find(w.calls, pb.name, false));
	cp_calls_phone_ops.registered(w.calls, &pb);
	/* it cannot be told of its media: the connection failed unnoticed */
	pa.smt = pa.orc = pa.crc = 0;
	to_ringing();
	pb.dead = true;
	offhook(&pb);
	UNTIL(the_state() == -1);
	CU_ASSERT_EQUAL(pa.crc, pa.orc);
	pb.dead = false;
	world_end();
}

/* Records go while their call is up. */
static void test_deleted_under_a_call(void)
{
	world_begin();
	for (unsigned i = 0; i < 2; i++) {
		const int state = i == 0 ? CALL_CONNECTED : CALL_ALERTING;

		gw_to(state);
		CU_ASSERT_EQUAL(cp_dir_gateway_del(w.store, "gw1", &dir_ctx), -EPROTO); /* its connection would stay there */
		CU_ASSERT_PTR_NOT_NULL(strstr(world_why, "has 1 calls"));
		CU_ASSERT_EQUAL(the_state(), state);
		onhook(&pa);
		nothing_left();
		CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), i + 1);
	}
	synced(cp_dir_gateway_del(w.store, "gw1", &dir_ctx));
	cp_gws_changed(w.gws, "gw1");
	rest();
	CU_ASSERT_PTR_NULL(cp_gws_find(w.gws, "gw1"));
	dial("9123");
	CU_ASSERT_EQUAL(the_state(), CALL_FAILED);
	onhook(&pa);
	add_gateway(0, false);
	pa.smt = pb.smt = 0;
	to_ringing();
	synced(cp_dir_device_del(w.store, pb.name, &dir_ctx));
	gone(&pb, CP_GONE_REMOVED);
	CU_ASSERT_EQUAL(the_state(), -1);
	world_end();
}

static json_t *answer;
static int session_rc, session_answers;
static void on_session(void *ctx, int rc, const char *why, json_t *result)
{
	(void)ctx;
	(void)why;
	session_answers++;
	session_rc = rc;
	answer = result;
}

static void session(const char *text)
{
	json_t *spec = json_loads(text, 0, NULL);

	CU_ASSERT_PTR_NOT_NULL_FATAL(spec);
	session_answers = 0;
	answer = NULL;
	cp_calls_session_add(w.calls, spec, on_session, NULL);
	json_decref(spec);
	UNTIL(session_answers == 1);
}

#define K1 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define K2 "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"

static void test_sessions(void)
{
	static const char good[] = "{\"leg_a\":{\"remote\":\"10.1.1.1:5000\",\"suite\":\"AES_CM_128_HMAC_SHA1_80\",\"rx_key\":\"" K1
				   "\",\"tx_key\":\"" K2 "\"},\"leg_b\":{\"remote\":\"10.1.1.2:5002\"}}";
	static const char *const bad[] = {
		"{}", "{\"leg_a\":{\"remote\":\"x\"}}", "{\"leg_a\":{\"remote\":\"10.1.1.1:1\"}}",
		"{\"leg_a\":{\"remote\":\"10.1.1.1:1\",\"rx_key\":\"" K1 "\"},\"leg_b\":{\"remote\":\"10.1.1.2:5002\"}}",
		"{\"leg_a\":{\"remote\":\"10.1.1.1:1\",\"suite\":\"AES_CM_128_HMAC_SHA1_80\",\"rx_key\":\"" K1 "\",\"tx_key\":\"" K1
		"\"},\"leg_b\":{\"remote\":\"10.1.1.2:5002\"}}",
		"{\"leg_a\":{\"remote\":\"[::1]:1\"},\"leg_b\":{\"remote\":\"10.1.1.2:5002\"}}",
		"{\"leg_a\":{\"remote\":\"10.1.1.1:1\",\"latch\":\"authenticated\"},\"leg_b\":{\"remote\":\"10.1.1.2:5002\"}}",
	};

	world_begin();
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		session(bad[i]);
		CU_ASSERT_TRUE(session_rc < 0);
		nothing_left();
	}
	session(good);
	CU_ASSERT_EQUAL(session_rc, 0);
	CU_ASSERT_PTR_NOT_NULL(answer);
	json_decref(answer);
	restart(true); /* an operator's session survives too */
	CU_ASSERT_EQUAL_FATAL(the_state(), CALL_CONNECTED);
	CU_ASSERT_EQUAL(cp_calls_hangup(w.calls, the_call()->ref), 0);
	CU_ASSERT_EQUAL(cp_calls_hangup(w.calls, 12345), -ENOENT);
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	/* what is not on disk is not acknowledged */
	store_break(true);
	session(good);
	CU_ASSERT_TRUE(session_rc < 0);
	store_break(false);
	store_recovers();
	w.refuse_type = DP_MSG_LEG_SET;
	w.refuse_rc = -ENOSPC;
	session(good);
	CU_ASSERT_TRUE(session_rc < 0);
	w.refuse_type = 0;
	/* the service stops before the dataplane has answered: the operator hears it, once */
	w.fake.mute = true;
	session_answers = 0;
	{
		json_t *spec = json_loads(good, 0, NULL);

		cp_calls_session_add(w.calls, spec, on_session, NULL);
		json_decref(spec);
	}
	world_close();
	CU_ASSERT_EQUAL(session_answers, 1);
	CU_ASSERT_TRUE(session_rc < 0);
}

/* What comes into no call at all. */
static void test_strays(void)
{
	struct cfg_addr a = v4;

	world_begin();
	onhook(&pa);
	cp_calls_phone_ops.digit(w.calls, &pa, '1', 1, 0);
	cp_calls_phone_ops.softkey(w.calls, &pa, CP_SCCP_KEY_ENDCALL, 1, 5);
	cp_calls_phone_ops.softkey(w.calls, &pa, 99, 1, 5);
	cp_calls_phone_ops.orc_ack(w.calls, &pa, 0, &a, 7, 0);
	cp_calls_phone_ops.smt_ack(w.calls, &pa, 1, 7, 0);
	cp_calls_phone_ops.media_failed(w.calls, &pa, 7, 0);
	cp_calls_phone_ops.caps(w.calls, &pa);
	gw_event(DP_MGCP_NTFY, "aaln/1", "0", "L/hd");
	gw_event(DP_MGCP_NTFY, "nosuch/1", "0", "L/hd");
	gw_event(DP_MGCP_RSIP, "*", "", "restart");
	rest();
	to_ringing();
	onhook(&pa);
	CU_ASSERT_EQUAL(the_state(), -1);
	world_end();
}

static CU_TestInfo tests[] = {
	{"phone to phone", test_phone_to_phone},
	{"a plain call is shown so", test_plain_call_is_shown_so},
	{"dialling", test_dialling},
	{"busy and refusals", test_busy_and_refusals},
	{"phone lost in each state", test_phone_lost},
	{"records deleted under a call", test_deleted_under_a_call},
	{"sessions", test_sessions},
	{"strays", test_strays},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	return 0;
}

#include "suite.h"
SUITE_MAIN("call", tests, setup, NULL)
