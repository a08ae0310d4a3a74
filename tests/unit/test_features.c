/* SPDX-License-Identifier: BSD-3-Clause */
/* What people do with more than one call: hold, resume, call waiting, transfer. 001:P1-104, P1-116, P1-117, P1-119, 004b:MGCP-02, 004b:MGCP-03. */
#include "store/change.h"
#include "talk.h"

static void test_hold_and_resume(void)
{
	struct cp_phone_media orc, smt;
	struct cp_call *call;
	uint32_t ref, leg;

	world_of_three();
	ref = talk(&pa, &pb);
	call = call_find(w.calls, ref);
	leg = call->p[0].leg_id;
	orc = pa.orc_m;
	smt = pa.smt_m;
	key(&pa, CP_SCCP_KEY_HOLD, ref);
	CU_ASSERT(pa.state == CP_SCCP_HOLD && pa.crc == 1 && pa.stopmt == 1);
	CU_ASSERT(pb.crc == 0 && pb.state == CP_SCCP_CONNECTED);
	CU_ASSERT_TRUE(call->p[0].held);
	rest();
	/* the leg neither takes nor sends, and silence ends nothing */
	CU_ASSERT_EQUAL(last_leg(leg)->flags & (DP_LEG_F_RECV | DP_LEG_F_SEND), 0);
	CU_ASSERT_EQUAL(last_leg(leg)->idle_s, 0);
	CU_ASSERT_EQUAL(last_leg(call->p[1].leg_id)->idle_s, 0);
	CU_ASSERT_EQUAL(cp_store_call(w.store, ref)->leg[0].held, 1);
	/* on hook ends no held call, neither does holding it again, nor a digit */
	onhook(&pa);
	key(&pa, CP_SCCP_KEY_HOLD, ref);
	cp_calls_phone_ops.digit(w.calls, &pa, '1', 1, 0);
	CU_ASSERT_EQUAL(call->state, CALL_CONNECTED);
	/* back: a new channel, and keys that were never used */
	pa.orc = pa.smt = 0;
	key(&pa, CP_SCCP_KEY_RESUME, ref);
	CU_ASSERT_EQUAL(pa.state, CP_SCCP_CONNECTED);
	UNTIL(pa.smt == 1);
	CU_ASSERT(pa.orc == 1 && pa.orc_m.suite == orc.suite);
	same_key_never(&pa.orc_m, &orc);
	same_key_never(&pa.smt_m, &smt);
	same_key_never(&pa.orc_m, &pa.smt_m);
	ack_media(&pa);
	UNTIL(!call->p[0].resuming);
	CU_ASSERT(call->p[0].ready && !call->p[0].held);
	rest();
	CU_ASSERT_EQUAL(last_leg(leg)->flags & (DP_LEG_F_RECV | DP_LEG_F_SEND), DP_LEG_F_RECV | DP_LEG_F_SEND);
	CU_ASSERT_EQUAL(last_leg(leg)->idle_s, w.cfg->media.idle_s);
	CU_ASSERT_EQUAL(cp_store_call(w.store, ref)->leg[0].held, 0);
	CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_ENCRYPTED);
	onhook(&pa);
	world_end();
}

static void test_hold_in_clear(void)
{
	struct cp_call *call;
	uint32_t ref;

	world_of_three();
	pa.srtp = pb.srtp = false;
	ref = talk(&pa, &pb);
	call = call_find(w.calls, ref);
	key(&pb, CP_SCCP_KEY_HOLD, ref);
	key(&pa, CP_SCCP_KEY_HOLD, ref); /* both may */
	CU_ASSERT(call->p[0].held && call->p[1].held);
	pb.orc = pb.smt = 0;
	key(&pb, CP_SCCP_KEY_RESUME, ref);
	UNTIL(pb.smt == 1);
	ack_media(&pb);
	CU_ASSERT(!call->p[1].held && !call->p[1].resuming && call->p[0].held);
	/* the phone that does not open its channel is on hold again */
	key(&pa, CP_SCCP_KEY_RESUME, ref);
	UNTIL(call->p[0].media_on);
	event_active(call->timer, EV_TIMEOUT, 0);
	rest();
	CU_ASSERT(call->p[0].held && pa.state == CP_SCCP_HOLD && call->state == CALL_CONNECTED);
	key(&pa, CP_SCCP_KEY_ENDCALL, ref);
	world_end();
}

static void test_hold_refused(void)
{
	uint32_t ref;

	world_of_three();
	cp_calls_phone_ops.enbloc(w.calls, &pa, "1002", 1);
	ref = call_of(&pa)->ref;
	key(&pa, CP_SCCP_KEY_HOLD, ref); /* it rings only */
	CU_ASSERT_EQUAL(call_find(w.calls, ref)->state, CALL_ALERTING);
	key(&pb, CP_SCCP_KEY_RESUME, ref);
	CU_ASSERT_EQUAL(call_find(w.calls, ref)->state, CALL_ALERTING);
	onhook(&pa);
	ref = talk(&pa, &pb);
	key(&pb, CP_SCCP_KEY_RESUME, ref);
	CU_ASSERT_FALSE(call_find(w.calls, ref)->p[1].resuming);
	/* without a dataplane there is nothing to come back to */
	key(&pb, CP_SCCP_KEY_HOLD, ref);
	rest();
	fake_stop(&w.fake);
	UNTIL(!cp_dp_up(w.dp));
	key(&pb, CP_SCCP_KEY_RESUME, ref);
	CU_ASSERT_TRUE(call_find(w.calls, ref)->p[1].held);
	CU_ASSERT_EQUAL(pb.state, CP_SCCP_HOLD);
	key(&pb, CP_SCCP_KEY_ENDCALL, ref);
	CU_ASSERT_EQUAL(cp_calls_count(w.calls), 0);
	fake_start(&w.fake, w.base, tmp_dir);
	UNTIL(ups == 2);
	world_end();
}

/* A second call comes while one is up: answering it holds the first. */
static void test_untrusted(void)
{
	struct cp_line line = {.number = "1003"};
	struct cp_device d = {.name = "SEP000000000003", .mode = CP_DEVICE_ENCRYPTED, .region = "default", .srtp = true, .lines = &line,
			      .line_cnt = 1, .model = "ACME 100"};
	uint32_t ref;

	world_of_three();
	add_devtype("ACME 100");
	synced(cp_dir_device_put(w.store, &d, true, &dir_ctx));
	ref = talk(&pa, &pc);
	/* everything is encrypted, and yet: 000:P0-20 */
	CU_ASSERT(pa.orc_m.suite != DP_SRTP_NONE && pc.orc_m.suite != DP_SRTP_NONE);
	CU_ASSERT(pa.security == CP_SCCP_SEC_NOT_AUTH && pc.security == CP_SCCP_SEC_NOT_AUTH);
	rest();
	CU_ASSERT_EQUAL(cp_store_call(w.store, ref)->leg[1].untrusted, 1);
	key(&pa, CP_SCCP_KEY_ENDCALL, ref);
	world_end();
}

static void test_call_waiting(void)
{
	uint32_t first, second;

	world_of_three();
	first = talk(&pa, &pb);
	cp_calls_phone_ops.enbloc(w.calls, &pc, "1002", 1);
	second = call_of(&pc)->ref;
	CU_ASSERT(pb.tone == CP_SCCP_TONE_CALLWAITING && !pb.ringing);
	/* a third one hears busy: the line has its two */
	w.cfg->calls.busy_trigger = 2;
	add_device("SEP000000000005", "1005");
	struct cp_phone pd;
	phone_reset(&pd, "SEP000000000005", "1005");
	cp_calls_phone_ops.registered(w.calls, &pd);
	cp_calls_phone_ops.enbloc(w.calls, &pd, "1002", 1);
	CU_ASSERT(call_of(&pd)->state == CALL_FAILED && pd.tone == CP_SCCP_TONE_BUSY);
	onhook(&pd);
	cp_calls_phone_ops.gone(w.calls, &pd, CP_GONE_UNREGISTERED);
	pb.smt = pc.smt = 0;
	key(&pb, CP_SCCP_KEY_ANSWER, second);
	CU_ASSERT_TRUE(call_find(w.calls, first)->p[1].held);
	UNTIL(pb.smt == 1 && pc.smt == 1);
	ack_media(&pb);
	ack_media(&pc);
	CU_ASSERT_EQUAL(call_of(&pb)->ref, second);
	/* back and forth */
	pb.smt = 0;
	key(&pb, CP_SCCP_KEY_RESUME, first);
	CU_ASSERT_TRUE(call_find(w.calls, second)->p[1].held);
	UNTIL(pb.smt == 1);
	ack_media(&pb);
	UNTIL(!call_find(w.calls, first)->p[1].resuming);
	/* the other end hangs up: the held one is still there */
	key(&pa, CP_SCCP_KEY_ENDCALL, first);
	CU_ASSERT_EQUAL(cp_calls_count(w.calls), 1);
	CU_ASSERT_TRUE(call_find(w.calls, second)->p[1].held);
	key(&pc, CP_SCCP_KEY_ENDCALL, second);
	world_end();
}

/* a and b talk; b transfers a to c, who has answered. */
static void attended(bool c_srtp, bool direct)
{
	struct cp_phone_media a_orc, c_orc;
	struct cp_call *call;
	uint32_t first, second;
	unsigned a_orc_cnt;

	world_of_three();
	if (direct)
		w.cfg->media.mode = CFG_MEDIA_DIRECT;
	pc.srtp = c_srtp;
	if (direct) {
		cp_calls_phone_ops.enbloc(w.calls, &pa, "1002", 1);
		first = call_of(&pa)->ref;
		key(&pb, CP_SCCP_KEY_ANSWER, first);
		UNTIL(pa.orc == 1 && pb.orc == 1);
		ack_media(&pa);
		ack_media(&pb);
		rest();
		CU_ASSERT_EQUAL(call_find(w.calls, first)->state, CALL_CONNECTED);
		w.cfg->media.mode = CFG_MEDIA_RELAY;
	} else {
		first = talk(&pa, &pb);
	}
	key(&pb, CP_SCCP_KEY_TRANSFER, first);
	CU_ASSERT(call_find(w.calls, first)->p[1].held);
	second = call_of(&pb)->ref;
	CU_ASSERT(call_of(&pb)->state == CALL_DIALING && call_of(&pb)->p[0].consult == first);
	pb.smt = pc.smt = 0;
	cp_calls_phone_ops.enbloc(w.calls, &pb, "1003", 1);
	answers(&pc, &pb, second);
	a_orc = pa.orc_m;
	c_orc = pc.orc_m;
	a_orc_cnt = pa.orc;
	pc.smt = pc.crc = pa.smt = 0;
	key(&pb, CP_SCCP_KEY_TRANSFER, second);
	UNTIL(pc.smt == 1 && (!direct || pa.smt == 1));
	call = call_find(w.calls, first);
	CU_ASSERT_PTR_NOT_NULL_FATAL(call);
	CU_ASSERT_PTR_NULL(call_find(w.calls, second));
	CU_ASSERT_PTR_NULL(agent_find(w.calls, pb.name, false)->parties);
	CU_ASSERT_EQUAL(pb.state, CP_SCCP_ONHOOK);
	ack_media(&pc);
	if (direct)
		ack_media(&pa);
	CU_ASSERT_EQUAL(call->state, CALL_CONNECTED);
	/* c's stream is a new one under the number that c knows; a's goes on as it was */
	CU_ASSERT(pc.crc == 1 && pc.orc_m.callref == second);
	if (c_srtp) {
		same_key_never(&pc.orc_m, &c_orc);
		CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && pc.security == CP_SCCP_SEC_ENCRYPTED);
	} else {
		CU_ASSERT_EQUAL(pc.orc_m.suite, DP_SRTP_NONE);
		CU_ASSERT_EQUAL(pa.security, pc.security);
		CU_ASSERT(pa.security < CP_SCCP_SEC_ENCRYPTED);
	}
	CU_ASSERT_EQUAL(pa.orc, a_orc_cnt + direct);
	if (direct && c_srtp)
		same_key_never(&pa.orc_m, &a_orc);
	rest();
	CU_ASSERT_EQUAL(DP_LEG_SHARD(call->p[0].leg_id), DP_LEG_SHARD(call->p[1].leg_id));
	CU_ASSERT_EQUAL(last_leg(call->p[0].leg_id)->peer_id, call->p[1].leg_id);
	CU_ASSERT_EQUAL(last_leg(call->p[1].leg_id)->peer_id, call->p[0].leg_id);
	CU_ASSERT_PTR_NULL(cp_store_call(w.store, second));
	CU_ASSERT_STRING_EQUAL(cp_store_call(w.store, first)->leg[1].party, pc.name);
	CU_ASSERT_EQUAL(cp_store_call(w.store, first)->leg[1].callref, second);
	/* either may end it, by the number that it knows */
	key(&pc, CP_SCCP_KEY_ENDCALL, second);
	CU_ASSERT_EQUAL(pa.state, CP_SCCP_ONHOOK);
	world_end();
}

static void test_transfer_attended(void) { attended(true, false); }
static void test_transfer_to_plain(void) { attended(false, false); }
static void test_transfer_direct(void) { attended(true, true); }

/* Before c answers: a hears it ring. */
static void test_transfer_blind(void)
{
	struct cp_call *call;
	uint32_t first, second;

	world_of_three();
	first = talk(&pa, &pb);
	key(&pb, CP_SCCP_KEY_TRANSFER, first);
	second = call_of(&pb)->ref;
	key(&pb, CP_SCCP_KEY_TRANSFER, second); /* nobody dialled yet: nothing happens */
	CU_ASSERT_EQUAL(call_of(&pb)->state, CALL_DIALING);
	cp_calls_phone_ops.enbloc(w.calls, &pb, "1003", 1);
	CU_ASSERT_TRUE(pc.ringing);
	pa.smt = pc.smt = pa.orc = 0;
	key(&pb, CP_SCCP_KEY_TRANSFER, second);
	CU_ASSERT_EQUAL(pb.state, CP_SCCP_ONHOOK);
	CU_ASSERT(pa.state == CP_SCCP_RINGOUT && pa.tone == CP_SCCP_TONE_RINGBACK && pa.crc == 1);
	call = call_find(w.calls, second);
	CU_ASSERT_PTR_NULL(call_find(w.calls, first));
	CU_ASSERT(call != NULL && call->state == CALL_ALERTING && strcmp(call->p[0].name, pa.name) == 0);
	key(&pc, CP_SCCP_KEY_ANSWER, second);
	UNTIL(pa.smt == 1 && pc.smt == 1);
	CU_ASSERT_EQUAL(pa.orc_m.callref, first);
	ack_media(&pa);
	ack_media(&pc);
	CU_ASSERT_EQUAL(call->state, CALL_CONNECTED);
	CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && pc.security == CP_SCCP_SEC_ENCRYPTED);
	/* the one who was transferred ends it */
	key(&pa, CP_SCCP_KEY_ENDCALL, first);
	rest();
	/* and if c never answers, a hears so and is free again */
	first = talk(&pa, &pb);
	key(&pb, CP_SCCP_KEY_TRANSFER, first);
	second = call_of(&pb)->ref;
	cp_calls_phone_ops.enbloc(w.calls, &pb, "1003", 1);
	key(&pb, CP_SCCP_KEY_TRANSFER, second);
	event_active(call_find(w.calls, second)->timer, EV_TIMEOUT, 0);
	rest();
	CU_ASSERT(pb.ringing && !pc.ringing); /* first it rings again where it came from */
	event_active(call_find(w.calls, second)->timer, EV_TIMEOUT, 0);
	rest();
	CU_ASSERT(pa.tone == CP_SCCP_TONE_REORDER && !pc.ringing && !pb.ringing);
	onhook(&pa);
	world_end();
}

/* b called a gateway and transfers it to c: the gateway is told of another leg and another key by MDCX. */
static void test_transfer_gateway(void)
{
	const struct dp_mgcp_cmd *crcx = NULL, *mdcx = NULL;
	struct cp_call *call;
	uint32_t first, second;
	unsigned n;

	for (int blind = 0; blind < 2; blind++) {
		world_of_three();
		w.say[DP_MGCP_MDCX].sdp = true;
		cp_calls_phone_ops.enbloc(w.calls, &pb, "77", 1);
		UNTIL(call_of(&pb) != NULL && call_of(&pb)->state == CALL_ALERTING);
		first = call_of(&pb)->ref;
		notify("L/hd");
		UNTIL(pb.smt == 1);
		ack_media(&pb);
		UNTIL(call_find(w.calls, first)->state == CALL_CONNECTED);
		key(&pb, CP_SCCP_KEY_TRANSFER, first);
		second = call_of(&pb)->ref;
		pb.smt = pc.smt = 0;
		cp_calls_phone_ops.enbloc(w.calls, &pb, "1003", 1);
		if (blind)
			key(&pb, CP_SCCP_KEY_TRANSFER, second);
		key(&pc, CP_SCCP_KEY_ANSWER, second);
		UNTIL(pc.smt == 1);
		ack_media(&pc);
		if (!blind) {
			UNTIL(pb.smt == 1);
			ack_media(&pb);
			rest();
			pc.smt = 0;
			key(&pb, CP_SCCP_KEY_TRANSFER, second);
			UNTIL(pc.smt == 1);
			ack_media(&pc);
		}
		call = call_find(w.calls, blind ? second : first);
		CU_ASSERT_PTR_NOT_NULL_FATAL(call);
		UNTIL(call->state == CALL_CONNECTED);
		CU_ASSERT_EQUAL(pb.state, CP_SCCP_ONHOOK);
		CU_ASSERT_EQUAL(pc.security, CP_SCCP_SEC_ENCRYPTED);
		CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, &crcx), 1);
		n = gw_saw(DP_MGCP_MDCX, &mdcx);
		if (blind) { /* it moved: another port, another key, the connection that it has */
			CU_ASSERT_EQUAL(n, 2);
			CU_ASSERT_STRING_EQUAL(mdcx->conn_id, "C0FFEE");
			CU_ASSERT_STRING_EQUAL(mdcx->call_id, crcx->call_id);
			CU_ASSERT_NOT_EQUAL(memcmp(mdcx->media.key, crcx->media.key, 16), 0);
			CU_ASSERT_NOT_EQUAL(mdcx->media.addr.port, crcx->media.addr.port);
		} else { /* it stayed */
			CU_ASSERT_EQUAL(n, 1);
		}
		key(&pc, CP_SCCP_KEY_ENDCALL, second);
		UNTIL(gw_saw(DP_MGCP_DLCX, NULL) == 1);
		world_end();
	}
}

/* Everything that can go away while a transfer is under way. */
/* b has two calls with a: it cannot make a talk to itself, ringing or answered. */
static void test_transfer_to_the_same(void)
{
	uint32_t first, second;

	world_of_three();
	first = talk(&pa, &pb);
	key(&pb, CP_SCCP_KEY_TRANSFER, first);
	second = call_of(&pb)->ref;
	cp_calls_phone_ops.enbloc(w.calls, &pb, "1001", 1);
	CU_ASSERT_EQUAL(call_find(w.calls, second)->state, CALL_ALERTING);
	key(&pb, CP_SCCP_KEY_TRANSFER, second);
	CU_ASSERT(cp_calls_count(w.calls) == 2 && call_find(w.calls, second)->state == CALL_ALERTING);
	pa.smt = pb.smt = 0;
	key(&pa, CP_SCCP_KEY_ANSWER, second); /* holds its first one */
	UNTIL(pa.smt == 1 && pb.smt == 1);
	ack_media(&pa);
	ack_media(&pb);
	rest();
	key(&pb, CP_SCCP_KEY_TRANSFER, second);
	CU_ASSERT_EQUAL(cp_calls_count(w.calls), 2);
	key(&pb, CP_SCCP_KEY_ENDCALL, second);
	/* a call on hold whose phones are both away for good ends by itself */
	gone(&pa, CP_GONE_CLOSED);
	gone(&pb, CP_GONE_CLOSED);
	CU_ASSERT_TRUE(evtimer_pending(call_find(w.calls, first)->timer, NULL));
	event_active(call_find(w.calls, first)->timer, EV_TIMEOUT, 0);
	rest();
	CU_ASSERT_EQUAL(cp_calls_count(w.calls), 0);
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	world_end();
}

/* A secure phone that does not open its channel again is on hold again, and so is the call: nobody loses anything. */
static void test_resume_unanswered(void)
{
	struct cp_call *call;
	const char *why;
	uint32_t ref;

	world_of_three();
	ref = talk(&pa, &pb);
	call = call_find(w.calls, ref);
	key(&pa, CP_SCCP_KEY_HOLD, ref);
	CU_ASSERT_EQUAL(rekey_party(call, 0, &why), -EPROTO); /* on hold nothing is opened behind its back */
	pa.smt = 0;
	key(&pa, CP_SCCP_KEY_RESUME, ref);
	UNTIL(pa.smt == 1);
	key(&pb, CP_SCCP_KEY_HOLD, ref);
	key(&pb, CP_SCCP_KEY_RESUME, ref); /* one at a time */
	CU_ASSERT_TRUE(call->p[1].held);
	event_active(call->timer, EV_TIMEOUT, 0);
	rest();
	CU_ASSERT(call_find(w.calls, ref) == call && call->p[0].held && !call->p[0].rekeying && !call->p[0].resuming);
	CU_ASSERT_EQUAL(pa.state, CP_SCCP_HOLD);
	pa.smt = 0;
	key(&pa, CP_SCCP_KEY_RESUME, ref);
	UNTIL(pa.smt == 1);
	ack_media(&pa);
	UNTIL(!call->p[0].resuming);
	CU_ASSERT_TRUE(call->p[0].ready);
	key(&pa, CP_SCCP_KEY_ENDCALL, ref);
	world_end();
}

/* Direct media, taken over after a kill: its keys are known to nobody here, and resuming makes new ones. */
static void test_direct_taken_over(void)
{
	uint32_t ref;

	world_of_three();
	w.cfg->media.mode = CFG_MEDIA_DIRECT;
	cp_calls_phone_ops.enbloc(w.calls, &pa, "1002", 1);
	ref = call_of(&pa)->ref;
	key(&pb, CP_SCCP_KEY_ANSWER, ref);
	UNTIL(pa.orc == 1 && pb.orc == 1);
	ack_media(&pa);
	ack_media(&pb);
	rest();
	controlplane_stop(true);
	w.alarms = NULL;
	controlplane_start();
	UNTIL(ups == 2);
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	CU_ASSERT_TRUE(call_find(w.calls, ref)->secure);
	key(&pa, CP_SCCP_KEY_HOLD, ref);
	pa.orc = pb.orc = 0;
	key(&pa, CP_SCCP_KEY_RESUME, ref);
	UNTIL(pa.orc == 1 && pb.orc == 1);
	CU_ASSERT(pa.orc_m.suite != DP_SRTP_NONE && pb.orc_m.suite != DP_SRTP_NONE);
	same_key_never(&pa.orc_m, &pb.orc_m);
	ack_media(&pa);
	ack_media(&pb);
	rest();
	key(&pa, CP_SCCP_KEY_ENDCALL, ref);
	world_end();
}

/* A gateway's party is handed to a phone that rings: the gateway cannot answer for it, and a kill leaves no connection behind. */
static void test_handed_gateway(void)
{
	uint32_t first, second;
	char id[16];

	world_of_three();
	w.say[DP_MGCP_MDCX].sdp = true;
	cp_calls_phone_ops.enbloc(w.calls, &pb, "77", 1);
	UNTIL(call_of(&pb) != NULL && call_of(&pb)->state == CALL_ALERTING);
	first = call_of(&pb)->ref;
	notify("L/hd");
	UNTIL(pb.smt == 1);
	ack_media(&pb);
	UNTIL(call_find(w.calls, first)->state == CALL_CONNECTED);
	key(&pb, CP_SCCP_KEY_TRANSFER, first);
	second = call_of(&pb)->ref;
	cp_calls_phone_ops.enbloc(w.calls, &pb, "1003", 1);
	key(&pb, CP_SCCP_KEY_TRANSFER, second);
	CU_ASSERT_TRUE(pc.ringing);
	snprintf(id, sizeof(id), "%08X1", first);
	gw_event(DP_MGCP_NTFY, "aaln/1", id, "L/hd");
	rest();
	CU_ASSERT_EQUAL(call_find(w.calls, second)->state, CALL_ALERTING);
	CU_ASSERT_PTR_NULL(cp_store_call(w.store, first));
	CU_ASSERT_PTR_NOT_NULL_FATAL(cp_store_call(w.store, second));
	CU_ASSERT_STRING_EQUAL(cp_store_call(w.store, second)->leg[0].conn_id, "C0FFEE");
	w.todo_cnt = w.todo_done = 0;
	controlplane_stop(true);
	w.alarms = NULL;
	controlplane_start();
	UNTIL(ups == 2);
	cp_gws_sa_changed(w.gws, cp_gw_id(cp_gws_find(w.gws, "gw1")), true);
	UNTIL(gw_saw(DP_MGCP_DLCX, NULL) >= 1);
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	cp_calls_phone_ops.registered(w.calls, &pc);
	world_end();
}

static void test_transfer_cut_short(void)
{
	for (int step = 0; step < 6; step++) {
		uint32_t first, second;

		world_of_three();
		first = talk(&pa, &pb);
		key(&pb, CP_SCCP_KEY_TRANSFER, first);
		second = call_of(&pb)->ref;
		if (step == 0) { /* a hangs up while b dials */
			key(&pa, CP_SCCP_KEY_ENDCALL, first);
			key(&pb, CP_SCCP_KEY_TRANSFER, second);
			CU_ASSERT_EQUAL(call_of(&pb)->ref, second);
			onhook(&pb);
		}
		if (step == 1) { /* b changes its mind: the held call is there */
			key(&pb, CP_SCCP_KEY_ENDCALL, second);
			CU_ASSERT_TRUE(call_find(w.calls, first)->p[1].held);
			key(&pb, CP_SCCP_KEY_ENDCALL, first);
		}
		if (step >= 2) {
			pb.smt = pc.smt = 0;
			cp_calls_phone_ops.enbloc(w.calls, &pb, "1003", 1);
			answers(&pc, &pb, second);
		}
		if (step == 2) { /* a is gone when b joins: with its connection, or for good */
			gone(&pa, CP_GONE_UNREGISTERED);
			key(&pb, CP_SCCP_KEY_TRANSFER, second);
			CU_ASSERT_EQUAL(cp_calls_count(w.calls), 1);
			onhook(&pb);
			cp_calls_phone_ops.registered(w.calls, &pa);
		}
		if (step == 3) { /* policy: no call in clear */
			w.cfg->media.fallback = CFG_FALLBACK_REFUSE;
			pc.srtp = false;
			key(&pb, CP_SCCP_KEY_TRANSFER, second);
			CU_ASSERT_EQUAL(cp_calls_count(w.calls), 2);
			key(&pb, CP_SCCP_KEY_ENDCALL, second);
			key(&pb, CP_SCCP_KEY_ENDCALL, first);
		}
		if (step == 4) { /* the dataplane refuses the leg that c would get */
			w.refuse_type = DP_MSG_LEG_SET;
			w.refuse_rc = -ENOSPC;
			key(&pb, CP_SCCP_KEY_TRANSFER, second);
			UNTIL(cp_calls_count(w.calls) == 0);
			CU_ASSERT(pa.state == CP_SCCP_ONHOOK && pc.state == CP_SCCP_ONHOOK && pb.state == CP_SCCP_ONHOOK);
			w.refuse_type = 0;
		}
		if (step == 5) { /* killed at once: what the record says is taken over */
			pc.smt = 0;
			key(&pb, CP_SCCP_KEY_TRANSFER, second);
			UNTIL(pc.smt == 1);
			ack_media(&pc);
			rest();
			controlplane_stop(true);
			w.alarms = NULL;
			controlplane_start();
			CU_ASSERT_EQUAL(cp_calls_count(w.calls), 1);
			UNTIL(ups == 2);
			cp_calls_phone_ops.registered(w.calls, &pc);
			cp_calls_phone_ops.registered(w.calls, &pa);
			cp_calls_phone_ops.registered(w.calls, &pb);
			key(&pc, CP_SCCP_KEY_ENDCALL, second);
			CU_ASSERT_EQUAL(cp_calls_count(w.calls), 0);
		}
		world_end();
	}
}

/* What a table of numbers says; 004c:TR-06. */
static json_int_t counter(const char *group, const char *name)
{
	json_t *o = cp_calls_show_counters(w.calls);
	json_int_t v = json_integer_value(name != NULL ? json_object_get(json_object_get(o, group), name) : json_object_get(o, group));

	json_decref(o);
	return v;
}

static void test_counters(void)
{
	uint32_t ref;

	world_of_three();
	ref = talk(&pa, &pb);
	CU_ASSERT(counter("active", "encrypted") == 1 && counter("completed", "encrypted") == 0);
	key(&pa, CP_SCCP_KEY_ENDCALL, ref);
	CU_ASSERT(counter("active", "encrypted") == 0 && counter("completed", "encrypted") == 1);
	pb.srtp = false;
	ref = talk(&pa, &pb);
	CU_ASSERT_EQUAL(counter("active", "authenticated"), 1);
	key(&pb, CP_SCCP_KEY_ENDCALL, ref);
	CU_ASSERT_EQUAL(counter("completed", "authenticated"), 1);
	pb.sec = CP_PHONE_NONSECURE;
	ref = talk(&pa, &pb);
	key(&pb, CP_SCCP_KEY_ENDCALL, ref);
	CU_ASSERT_EQUAL(counter("completed", "not-secure"), 1);
	/* one that nobody answered is none of them */
	cp_calls_phone_ops.enbloc(w.calls, &pa, "1002", 1);
	onhook(&pa);
	cp_calls_phone_ops.enbloc(w.calls, &pa, "5", 1);
	onhook(&pa);
	CU_ASSERT(counter("total", NULL) == 5 && counter("failed", NULL) == 1);
	CU_ASSERT_EQUAL(counter("completed", "encrypted") + counter("completed", "authenticated") + counter("completed", "not-secure"), 3);
	world_end();
}

/* --- forwarding --- */

static void set_forward(struct cp_forward f)
{
	struct cp_change *c = cp_change_create(w.store);

	CU_ASSERT_EQUAL_FATAL(cp_change_forward_put(c, &f, world_why, sizeof(world_why)), 0);
	synced(cp_change_submit(c, "forward.set", "test", NULL, on_stored, NULL));
}

#define FORWARD(n, ...) set_forward((struct cp_forward){.number = n, __VA_ARGS__})

static struct cp_call *dial_from(struct cp_phone *p, const char *number)
{
	cp_calls_phone_ops.enbloc(w.calls, p, number, 1);
	return call_of(p);
}

/* Every reason, one after the other: who rings, and what caller and called are shown. */
static void test_forward(void)
{
	struct cp_call *call;

	world_of_three();
	FORWARD("1002", .all = "1003");
	CU_ASSERT(pb.forward_stats == 1 && strcmp(pb.forward_all, "1003") == 0);
	call = dial_from(&pa, "1002");
	CU_ASSERT(call->state == CALL_ALERTING && pc.ringing && !pb.ringing);
	CU_ASSERT(pc.info_type == CP_SCCP_FORWARD && pc.redirect_reason == 15);
	CU_ASSERT(strcmp(pc.called_first, "1002") == 0 && strcmp(pa.called_first, "1002") == 0);
	CU_ASSERT_STRING_EQUAL(call->redirecting, "1002");
	onhook(&pa);
	/* busy */
	FORWARD("1002", .busy = "1003");
	w.cfg->calls.busy_trigger = 1;
	key(&pb, CP_SCCP_KEY_NEWCALL, 0);
	call = dial_from(&pa, "1002");
	CU_ASSERT(call->state == CALL_ALERTING && pc.ringing && pc.redirect_reason == 1);
	onhook(&pa);
	onhook(&pb);
	w.cfg->calls.busy_trigger = 2;
	/* nobody answers: what rang rings no more, and the one who answers then talks */
	FORWARD("1002", .no_answer = "1003", .ring_s = 7);
	call = dial_from(&pa, "1002");
	CU_ASSERT(pb.ringing && !pc.ringing);
	event_active(call->timer, EV_TIMEOUT, 0);
	rest();
	CU_ASSERT(!pb.ringing && pb.state == CP_SCCP_ONHOOK && pc.ringing && pc.redirect_reason == 2);
	CU_ASSERT_PTR_NULL(agent_find(w.calls, pb.name, false)->parties);
	pa.smt = pc.smt = 0;
	key(&pc, CP_SCCP_KEY_ANSWER, call->ref);
	UNTIL(pa.smt == 1 && pc.smt == 1);
	ack_media(&pa);
	ack_media(&pc);
	CU_ASSERT(call->state == CALL_CONNECTED && pa.security == CP_SCCP_SEC_ENCRYPTED);
	onhook(&pa);
	rest();
	/* not registered */
	FORWARD("1002", .unregistered = "1003");
	cp_calls_phone_ops.gone(w.calls, &pb, CP_GONE_UNREGISTERED);
	call = dial_from(&pa, "1002");
	CU_ASSERT(call->state == CALL_ALERTING && pc.ringing && pc.redirect_reason == 9);
	onhook(&pa);
	/* no reason that is set: as ever */
	FORWARD("1002", .busy = "1003");
	call = dial_from(&pa, "1002");
	CU_ASSERT(call->state == CALL_FAILED && pa.tone == CP_SCCP_TONE_REORDER);
	onhook(&pa);
	world_end();
}

static void test_forward_loops(void)
{
	world_of_three();
	FORWARD("1002", .all = "1003");
	FORWARD("1003", .all = "1002");
	CU_ASSERT(dial_from(&pa, "1002")->state == CALL_FAILED && !pb.ringing && !pc.ringing);
	onhook(&pa);
	FORWARD("1003", .all = "1001"); /* back to who calls */
	CU_ASSERT_EQUAL(dial_from(&pa, "1002")->state, CALL_FAILED);
	onhook(&pa);
	/* as many as are allowed, and one more */
	FORWARD("1003", .css = "");
	w.cfg->calls.forward_hops = 1;
	CU_ASSERT(dial_from(&pa, "1002")->state == CALL_ALERTING && pc.ringing);
	onhook(&pa);
	w.cfg->calls.forward_hops = 0;
	CU_ASSERT(dial_from(&pa, "1002")->state == CALL_FAILED && !pc.ringing);
	onhook(&pa);
	world_end();
}

/* The soft key: digits, and the phone is told once it is on the disk; the key again ends it. */
static void test_forward_key(void)
{
	struct cp_change *c;
	struct cp_forward f;
	char why[200];

	world_of_three();
	key(&pb, CP_SCCP_KEY_CFWDALL, 0);
	for (const char *d = "1003"; *d != '\0'; d++)
		cp_calls_phone_ops.digit(w.calls, &pb, *d, 1, 0);
	CU_ASSERT_EQUAL(pb.forward_stats, 0); /* not yet */
	UNTIL(pb.forward_stats == 1);
	CU_ASSERT_STRING_EQUAL(pb.forward_all, "1003");
	cp_forward_get(w.store, "1002", "", &f);
	CU_ASSERT_STRING_EQUAL(f.all, "1003");
	rest();
	CU_ASSERT(pb.state == CP_SCCP_ONHOOK && cp_calls_count(w.calls) == 0);
	CU_ASSERT_EQUAL(cdrs()->n, 0);
	CU_ASSERT(dial_from(&pa, "1002")->state == CALL_ALERTING && pc.ringing);
	onhook(&pa);
	pb.forward_all[0] = 'x';
	cp_calls_phone_ops.forward_stat(w.calls, &pb, 1); /* as at the start of a phone */
	CU_ASSERT_STRING_EQUAL(pb.forward_all, "1003");
	key(&pb, CP_SCCP_KEY_CFWDALL, 0);
	UNTIL(pb.forward_all[0] == '\0');
	CU_ASSERT(dial_from(&pa, "1002")->state == CALL_ALERTING && pb.ringing);
	onhook(&pa);
	/* off while it dials: what is dialled meanwhile leads nowhere; and a pickup key makes a call of a setting */
	key(&pb, CP_SCCP_KEY_CFWDALL, 0);
	dial_from(&pb, "1003");
	UNTIL(pb.forward_all[0] != '\0');
	cp_calls_phone_ops.offhook(w.calls, &pb, 1, 0);
	key(&pb, CP_SCCP_KEY_CFWDALL, 0);
	CU_ASSERT(call_of(&pb)->state == CALL_FAILED);
	cp_calls_phone_ops.digit(w.calls, &pb, '1', 1, 0);
	CU_ASSERT_EQUAL(call_of(&pb)->digit_cnt, 0);
	UNTIL(pb.forward_all[0] == '\0');
	rest();
	CU_ASSERT_EQUAL(cp_calls_count(w.calls), 0);
	key(&pb, CP_SCCP_KEY_CFWDALL, 0);
	CU_ASSERT(call_of(&pb)->sets_cfa && call_of(&pb)->billed);
	key(&pb, CP_SCCP_KEY_GPICKUP, 0);
	CU_ASSERT(!call_of(&pb)->sets_cfa && !call_of(&pb)->billed && call_of(&pb)->group_pickup);
	onhook(&pb);
	/* to itself, or to nobody: refused, and nothing is written */
	key(&pb, CP_SCCP_KEY_CFWDALL, 0);
	dial_from(&pb, "1002");
	CU_ASSERT_EQUAL(call_of(&pb)->state, CALL_FAILED);
	onhook(&pb);
	key(&pb, CP_SCCP_KEY_CFWDALL, 0);
	dial_from(&pb, "5555");
	CU_ASSERT_EQUAL(call_of(&pb)->state, CALL_FAILED);
	onhook(&pb);
	rest();
	cp_forward_get(w.store, "1002", "", &f);
	CU_ASSERT_EQUAL(f.all[0], '\0');
	/* its line goes: what is being written goes with it, and nothing comes behind */
	key(&pb, CP_SCCP_KEY_CFWDALL, 0);
	dial_from(&pb, "1003");
	c = cp_change_create(w.store);
	CU_ASSERT_EQUAL(cp_change_line_del(c, "1002", NULL, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(cp_change_submit(c, "line.del", "test", NULL, NULL, NULL), 0);
	cp_calls_phone_ops.offhook(w.calls, &pb, 1, 0);
	key(&pb, CP_SCCP_KEY_CFWDALL, 0);
	dial_from(&pb, "1003");
	rest();
	cp_forward_get(w.store, "1002", "", &f);
	CU_ASSERT_EQUAL(f.all[0], '\0');
	onhook(&pb);
	onhook(&pb);
	c = cp_change_create(w.store);
	CU_ASSERT_EQUAL(cp_change_line_del(c, "1003", NULL, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(cp_change_submit(c, "line.del", "test", NULL, NULL, NULL), 0);
	key(&pc, CP_SCCP_KEY_CFWDALL, 0);
	CU_ASSERT_EQUAL(dial_from(&pc, "1001")->state, CALL_FAILED);
	rest();
	cp_forward_get(w.store, "1003", "", &f);
	CU_ASSERT_EQUAL(f.all[0], '\0');
	onhook(&pc);
	world_end();
}

static CU_TestInfo tests[] = {
	{"hold and resume", test_hold_and_resume},
	{"hold in clear, and a phone that does not come back", test_hold_in_clear},
	{"hold refused", test_hold_refused},
	{"a device that is not trusted", test_untrusted},
	{"call waiting", test_call_waiting},
	{"attended transfer", test_transfer_attended},
	{"attended transfer to a phone without SRTP", test_transfer_to_plain},
	{"attended transfer of direct media", test_transfer_direct},
	{"blind transfer", test_transfer_blind},
	{"transfer of a gateway's party", test_transfer_gateway},
	{"transfer cut short", test_transfer_cut_short},
	{"transfer to the same phone", test_transfer_to_the_same},
	{"a phone that does not come back from hold", test_resume_unanswered},
	{"direct media taken over", test_direct_taken_over},
	{"a gateway handed over", test_handed_gateway},
	{"counters", test_counters},
	{"forward", test_forward},
	{"forward loops", test_forward_loops},
	{"forward key", test_forward_key},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	return 0;
}

#include "suite.h"
SUITE_MAIN("features", tests, setup, NULL)
