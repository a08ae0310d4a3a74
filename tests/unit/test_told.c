/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A call that is worth less from now on: its parties are told before anybody new hears them; and who has left a call knows no key of
 * it. 001:P1-116, P1-117, P1-119, P1-124, 004a:CALL-03, CALL-05.
 */
#include "store/change.h"
#include "talk.h"

static struct cp_phone pc, pd;

static void begin(void)
{
	world_begin();
	phone_reset(&pc, "SEP000000000003", "1003");
	cp_calls_phone_ops.registered(w.calls, &pc);
	rest();
}

/* Every leg that is set up while 'p' still has its lock. */
static const struct cp_phone *locked;
static unsigned opened;

static int watch_legs(struct fake_dp *f, const union fake_msg *m)
{
	if (m->hdr.type == DP_MSG_LEG_SET && locked->security == CP_SCCP_SEC_ENCRYPTED)
		opened += (m->leg.flags & DP_LEG_F_SEND) != 0 && m->leg.tx_suite == DP_SRTP_NONE;
	return world_hook(f, m);
}

/* The first message of a leg since the log was emptied. */
static const struct dp_leg_set *first_leg(uint32_t leg_id)
{
	for (unsigned i = 0; i < w.fake.n; i++)
		if (w.fake.log[i].hdr.type == DP_MSG_LEG_SET && w.fake.log[i].leg.leg_id == leg_id)
			return &w.fake.log[i].leg;
	return NULL;
}

/* a and b talk with the lock, b asks c, who cannot encrypt, or a gateway without keys, and hands a over. */
static void to_clear(bool gateway)
{
	struct cp_call *call;
	uint32_t first, second;
	const struct dp_leg_set *leg;

	begin();
	w.say[DP_MGCP_MDCX].sdp = true;
	w.say[DP_MGCP_CRCX] = (struct reply){.suite = 0xff};
	pc.srtp = false;
	first = talk(&pa, &pb);
	call = call_find(w.calls, first);
	CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_ENCRYPTED);
	key(&pb, CP_SCCP_KEY_TRANSFER, first);
	second = call_of(&pb)->ref;
	pb.smt = pc.smt = 0;
	cp_calls_phone_ops.enbloc(w.calls, &pb, gateway ? "77" : "1003", 1);
	if (gateway) {
		char id[16];

		UNTIL(call_find(w.calls, second)->state == CALL_ALERTING);
		snprintf(id, sizeof(id), "%08X", second);
		gw_event(DP_MGCP_NTFY, "aaln/1", id, "L/hd");
	} else {
		key(&pc, CP_SCCP_KEY_ANSWER, second);
		UNTIL(pc.smt == 1);
		ack_media(&pc);
	}
	UNTIL(pb.smt == 1);
	ack_media(&pb);
	UNTIL(call_find(w.calls, second)->state == CALL_CONNECTED);
	rest();
	w.fake.n = 0;
	opened = 0;
	locked = &pa;
	w.fake.hook = watch_legs;
	pc.smt = 0;
	key(&pb, CP_SCCP_KEY_TRANSFER, second);
	CU_ASSERT_NOT_EQUAL(pa.security, CP_SCCP_SEC_ENCRYPTED); /* at once: a's leg goes on */
	if (!gateway) {
		UNTIL(pc.smt == 1);
		CU_ASSERT_EQUAL(last_leg(call->p[1].leg_id)->flags & DP_LEG_F_SEND, 0);
		ack_media(&pc);
	}
	UNTIL(call->state == CALL_CONNECTED);
	rest();
	CU_ASSERT_EQUAL(opened, 0);
	leg = first_leg(call->p[1].leg_id);
	CU_ASSERT_FATAL(leg != NULL && leg->tx_suite == DP_SRTP_NONE && leg->remote.port != 0);
	CU_ASSERT_EQUAL(leg->flags & DP_LEG_F_SEND, 0);
	CU_ASSERT_EQUAL(last_leg(call->p[1].leg_id)->flags & (DP_LEG_F_RECV | DP_LEG_F_SEND), DP_LEG_F_RECV | DP_LEG_F_SEND);
	CU_ASSERT_EQUAL(last_leg(call->p[0].leg_id)->flags & (DP_LEG_F_RECV | DP_LEG_F_SEND), DP_LEG_F_RECV | DP_LEG_F_SEND);
	w.fake.hook = world_hook;
	onhook(&pa);
	world_end();
}

static void test_transfer_to_phone(void) { to_clear(false); }
static void test_transfer_to_gateway(void) { to_clear(true); }

/* Two in an authenticated call have lost their shield by the time that the third one's streams are opened. */
static void on_media(struct cp_phone *p, const struct cp_phone_media *m, bool receive)
{
	(void)m;
	if (p == &pd || receive)
		CU_ASSERT(pa.security == CP_SCCP_SEC_NOT_AUTH && pc.security == CP_SCCP_SEC_NOT_AUTH);
}

static void put(const char *name)
{
	struct cp_line line = {.number = "2000"};
	struct cp_device d = {.mode = CP_DEVICE_ENCRYPTED, .region = "default", .srtp = true, .lines = &line, .line_cnt = 1};
	struct cp_dir_ctx x = dir_ctx;

	x.shared = true;
	strcpy(d.name, name);
	synced(cp_dir_device_put(w.store, &d, true, &x));
}

static void test_barge(void)
{
	uint32_t ref;

	world_begin();
	put("SEP000000000A03");
	put("SEP000000000A04");
	phone_reset(&pc, "SEP000000000A03", "2000");
	phone_reset(&pd, "SEP000000000A04", "2000");
	pa.sec = pc.sec = CP_PHONE_AUTHENTICATED;
	pa.srtp = pc.srtp = false;
	cp_calls_phone_ops.registered(w.calls, &pc);
	cp_calls_phone_ops.registered(w.calls, &pd);
	dial("2000");
	ref = the_call()->ref;
	key(&pc, CP_SCCP_KEY_ANSWER, ref);
	UNTIL(pa.smt == 1 && pc.smt == 1);
	ack_media(&pa);
	ack_media(&pc);
	rest();
	CU_ASSERT(pa.security == CP_SCCP_SEC_AUTH && pc.security == CP_SCCP_SEC_AUTH);
	for (int confirmed = 0; confirmed < 2; confirmed++) {
		pc.smt = pd.smt = 0;
		media_hook = on_media;
		key(&pd, CP_SCCP_KEY_BARGE, ref);
		UNTIL(pc.smt == 1 && pd.smt == 1);
		media_hook = NULL;
		if (confirmed) {
			ack_media(&pc);
			ack_media(&pd);
			rest();
			CU_ASSERT(pa.security == CP_SCCP_SEC_NOT_AUTH && pc.security == CP_SCCP_SEC_NOT_AUTH);
			key(&pd, CP_SCCP_KEY_ENDCALL, ref);
		} else { /* nothing comes of it: they have it back */
			event_active(agent_party(agent_find(w.calls, pd.name, false), ref)->call->timer, EV_TIMEOUT, 0);
			rest();
		}
		CU_ASSERT(pa.security == CP_SCCP_SEC_AUTH && pc.security == CP_SCCP_SEC_AUTH && pd.state == CP_SCCP_REMOTE);
	}
	onhook(&pa);
	world_end();
}

/* A gateway that is asked for a key, and whose SA is gone by then: neither lock nor shield is left for what goes in clear. */
static void test_no_sa(void)
{
	world_begin();
	w.say[DP_MGCP_CRCX] = (struct reply){.result = DP_MGCP_NO_SA, .silent = true};
	dial("9123");
	UNTIL(w.todo_cnt == 1);
	CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_AUTH);
	gw_answer(&w.todo[0]);
	w.say[DP_MGCP_CRCX] = (struct reply){.code = 200};
	UNTIL(the_state() == CALL_ALERTING);
	notify("L/hd");
	UNTIL(pa.smt == 1);
	ack_media(&pa);
	UNTIL(the_state() == CALL_CONNECTED);
	CU_ASSERT(pa.security == CP_SCCP_SEC_NOT_AUTH && !the_call()->p[1].signal_auth && !the_call()->p[1].signal_enc);
	onhook(&pa);
	rest();
	/* one that rings when its SA goes */
	dial("9123");
	UNTIL(the_state() == CALL_ALERTING);
	CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_AUTH);
	cp_gws_sa_changed(w.gws, cp_gw_id(cp_gws_find(w.gws, "gw1")), false);
	notify("L/hd");
	UNTIL(pa.smt == 2);
	ack_media(&pa);
	UNTIL(the_state() == CALL_CONNECTED);
	CU_ASSERT(pa.security == CP_SCCP_SEC_NOT_AUTH && !the_call()->p[1].signal_auth);
	onhook(&pa);
	world_end();
}

/* A gateway may keep its key when it is told of another leg: with direct media the phone that leaves has it. */
static void test_direct_gateway(void)
{
	uint32_t first, second;
	char id[16];

	begin();
	first = talk(&pa, &pb);
	key(&pb, CP_SCCP_KEY_TRANSFER, first);
	second = call_of(&pb)->ref;
	w.cfg->media.mode = CFG_MEDIA_DIRECT;
	pb.smt = 0;
	cp_calls_phone_ops.enbloc(w.calls, &pb, "77", 1);
	UNTIL(call_of(&pb)->state == CALL_ALERTING);
	snprintf(id, sizeof(id), "%08X", second);
	gw_event(DP_MGCP_NTFY, "aaln/1", id, "L/hd");
	UNTIL(pb.smt == 1);
	ack_media(&pb);
	UNTIL(call_of(&pb)->state == CALL_CONNECTED);
	CU_ASSERT_TRUE_FATAL(call_of(&pb)->direct && call_of(&pb)->secure);
	key(&pb, CP_SCCP_KEY_TRANSFER, second);
	rest();
	CU_ASSERT_STRING_EQUAL(pb.prompt, "Cannot transfer");
	CU_ASSERT_FATAL(cp_calls_count(w.calls) == 2 && call_of(&pb) != NULL && call_of(&pb)->ref == second && call_of(&pb)->state == CALL_CONNECTED);
	CU_ASSERT_TRUE(call_find(w.calls, first)->p[1].held);
	key(&pb, CP_SCCP_KEY_ENDCALL, second);
	key(&pb, CP_SCCP_KEY_ENDCALL, first);
	world_end();
}

static CU_TestInfo tests[] = {
	{"attended transfer to a phone without SRTP", test_transfer_to_phone},
	{"attended transfer to a gateway without keys", test_transfer_to_gateway},
	{"an encrypted phone barges into an authenticated call", test_barge},
	{"a gateway whose SA is gone", test_no_sa},
	{"no transfer of a gateway whose media is direct", test_direct_gateway},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	return 0;
}

#include "suite.h"
SUITE_MAIN("told", tests, setup, NULL)
