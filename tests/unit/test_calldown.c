/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/call/: calls go on, or end whole, when the dataplane refuses or goes, the store fails, or this process ends and comes again. */
#include "call_steps.h"

static void test_dataplane_refuses(void)
{
	world_begin();
	for (int i = 0; i < 2; i++) {
		w.refuse_type = i == 0 ? DP_MSG_LEG_SET : DP_MSG_LEG_KEY;
		w.refuse_rc = -ENOSPC;
		to_ringing();
		offhook(&pb);
		UNTIL(the_state() == -1);
		CU_ASSERT_EQUAL(pa.orc + pb.orc, 0);
		nothing_left();
	}
	w.refuse_type = 0;
	/* once it stands: the leg with the phone's address */
	to_told();
	w.refuse_type = DP_MSG_LEG_SET;
	ack_media(&pa);
	UNTIL(the_state() == -1);
	w.refuse_type = 0;
	/* no answer, no media: nobody is told before the dataplane has the legs */
	pa.orc = pb.orc = 0;
	w.fake.mute = true;
	to_ringing();
	offhook(&pb);
	rest();
	CU_ASSERT_EQUAL(pa.orc + pb.orc, 0);
	CU_ASSERT_EQUAL(the_state(), CALL_CONNECTING);
	timer_fires();
	CU_ASSERT_EQUAL(the_state(), -1);
	w.fake.mute = false;
	fake_hangup(&w.fake); /* that its legs are deleted is heard on the next channel */
	UNTIL(ups == 2);
	/* aged out */
	pa.smt = pb.smt = 0;
	to_connected();
	{
		struct dp_leg_aged ev = {.leg_id = the_call()->p[1].leg_id, .session = the_call()->ref + 1};

		fake_send(&w.fake, &ev, DP_MSG_LEG_AGED, sizeof(ev), 0); /* another session's */
		rest();
		CU_ASSERT_EQUAL(the_state(), CALL_CONNECTED);
		ev.session = the_call()->ref;
		fake_send(&w.fake, &ev, DP_MSG_LEG_AGED, sizeof(ev), 0);
		UNTIL(the_state() == -1);
	}
	world_end();
}

static void test_store_fails(void)
{
	world_begin();
	store_break(true);
	w.no_record = true;
	to_connected(); /* a sick store stops changes, not calls */
	store_break(false);
	onhook(&pa);
	store_recovers();
	w.no_record = false;
	world_end();
}

static unsigned deletes_of(uint32_t leg)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w.fake.n; i++)
		n += w.fake.log[i].hdr.type == DP_MSG_LEG_DEL && w.fake.log[i].obj.id == leg;
	return n;
}

/* What a call that ended leaves in the dataplane, for want of a channel or of an answer, is deleted: its sweep spares what is of our epoch. */
static void test_deleted_later(void)
{
	const union fake_msg *m = NULL;
	uint32_t leg[2];

	world_begin();
	for (unsigned how = 0; how < 3; how++) { /* 0: said, and not heard; 1: nobody to say it to; 2: that, and the dataplane is new */
		pa.smt = pb.smt = 0;
		to_connected();
		leg[0] = the_call()->p[0].leg_id;
		leg[1] = the_call()->p[1].leg_id;
		w.fake.n = 0;
		if (how > 0) {
			fake_hangup(&w.fake);
			UNTIL(!cp_dp_up(w.dp));
		}
		w.fake.mute = how == 0;
		onhook(&pa);
		rest();
		CU_ASSERT_EQUAL(deletes_of(leg[0]) + deletes_of(leg[1]), how == 0 ? 2 : 0);
		w.fake.n = 0;
		w.fake.mute = false;
		channel_returns(how == 2);
		CU_ASSERT_EQUAL(deletes_of(leg[0]) + deletes_of(leg[1]), how == 2 ? 0 : 2);
		if (how == 2)
			continue;
		/* once, and in front of what is asserted */
		CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_LEG_DEL, &m), 2);
		CU_ASSERT_TRUE(w.fake.log[0].hdr.type == DP_MSG_GW_SET && fake_seen(&w.fake, DP_MSG_SWEEP, NULL) == 1);
		w.fake.n = 0;
		for (int i = 0; i < 3; i++)
			legs_tick(w.calls);
		rest();
		CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_LEG_DEL, NULL), 0);
	}
	/* too much is on its way there: a second later. The numbers are nobody else's until it is known. */
	pa.smt = pb.smt = 0;
	to_connected();
	leg[0] = the_call()->p[0].leg_id;
	leg[1] = the_call()->p[1].leg_id;
	w.refuse_type = DP_MSG_LEG_DEL;
	w.refuse_rc = -EAGAIN;
	onhook(&pa);
	rest();
	w.refuse_type = 0;
	w.fake.n = 0;
	CU_ASSERT_EQUAL(cp_ports_used(w.calls->ports), 2);
	CU_ASSERT_EQUAL(cp_ports_claim(w.calls->ports, leg[1]), -EEXIST);
	legs_tick(w.calls);
	rest();
	CU_ASSERT(deletes_of(leg[0]) == 1 && deletes_of(leg[1]) == 1 && cp_ports_used(w.calls->ports) == 0);
	world_end();
}

static void test_channel_lost(void)
{
	const union fake_msg *m = NULL;

	world_begin();
	for (int fresh = 0; fresh < 2; fresh++) {
		to_ringing(); /* no leg yet: goes on */
		channel_returns(fresh);
		CU_ASSERT_EQUAL(the_state(), CALL_ALERTING);
		onhook(&pa);
		/* legs on their way: ends */
		w.fake.mute = true;
		to_ringing();
		offhook(&pb);
		rest();
		channel_returns(fresh);
		CU_ASSERT_EQUAL(the_state(), -1);
		w.fake.mute = false;
		/* established: legs and keys are asserted again, above what may have been used */
		pa.smt = pb.smt = 0;
		to_connected();
		fake_leg(&w.fake, the_call()->p[0].leg_id)->tx_reserved = 70000;
		fake_leg(&w.fake, the_call()->p[0].leg_id)->session = the_call()->ref;
		fake_leg(&w.fake, the_call()->p[1].leg_id)->rx_top = 500; /* of an older session: not its */
		fake_leg(&w.fake, the_call()->p[1].leg_id)->session = the_call()->ref - 1;
		w.fake.n = 0;
		channel_returns(fresh);
		CU_ASSERT_EQUAL(the_state(), CALL_CONNECTED);
		CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_LEG_SET, NULL), 2);
		CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_LEG_KEY, &m), 4);
		for (unsigned i = 0; i < w.fake.n; i++) {
			const struct dp_leg_key *k = &w.fake.log[i].key;

			if (w.fake.log[i].hdr.type != DP_MSG_LEG_KEY)
				continue;
			CU_ASSERT_EQUAL(k->index_floor, k->leg_id == the_call()->p[0].leg_id && k->dir == DP_DIR_SEND ? 70000 : 0);
		}
		CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_SWEEP, NULL), 1);
		/* refused when it comes back: nobody waits for ever */
		w.refuse_type = DP_MSG_LEG_SET;
		w.refuse_rc = -ENOSPC;
		channel_returns(fresh);
		UNTIL(the_state() == -1);
		w.refuse_type = 0;
		nothing_left();
	}
	/* no dataplane, no call; a call is hung up without it */
	pa.smt = pb.smt = 0;
	to_connected();
	fake_hangup(&w.fake);
	event_del(w.fake.ev_accept);
	UNTIL(!cp_dp_up(w.dp));
	onhook(&pa);
	dial("1002");
	CU_ASSERT_EQUAL(the_state(), CALL_FAILED);
	onhook(&pa);
	event_add(w.fake.ev_accept, NULL);
	UNTIL(cp_dp_up(w.dp));
	world_end();
}

/* So many commands whose answers are on their way. */
static void crowd(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		CU_ASSERT_EQUAL_FATAL(cp_dp_sweep(w.dp), 0);
}

/* A channel or a dataplane that is full takes legs and keys later: who talks is not cut off for that. */
static void test_asserted_later(void)
{
	static const uint16_t full[] = {DP_MSG_LEG_SET, DP_MSG_LEG_KEY};

	world_begin();
	to_connected();
	for (unsigned i = 0; i < 2; i++) { /* the dataplane says so */
		w.refuse_type = full[i];
		w.refuse_rc = -EAGAIN;
		channel_returns(true);
		CU_ASSERT_EQUAL_FATAL(the_state(), CALL_CONNECTED);
		w.refuse_type = 0;
		w.fake.n = 0;
		legs_tick(w.calls);
		rest();
		CU_ASSERT(fake_seen(&w.fake, DP_MSG_LEG_SET, NULL) == 2 && fake_seen(&w.fake, DP_MSG_LEG_KEY, NULL) == 4);
		w.fake.n = 0;
		legs_tick(w.calls);
		rest();
		CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_LEG_SET, NULL), 0);
	}
	/* a leg that it had no room for has no keys */
	w.refuse_type = DP_MSG_LEG_KEY;
	w.refuse_rc = -ENOENT;
	channel_returns(true);
	CU_ASSERT_EQUAL_FATAL(the_state(), CALL_CONNECTED);
	w.refuse_type = 0;
	/* the channel is full; then only crowded: calls leave room in it */
	for (unsigned i = 0; i < 2; i++) {
		crowd(i == 0 ? 65536 - cp_dp_waiting(w.dp) : 40000);
		cp_calls_up(w.calls, false);
		CU_ASSERT_EQUAL_FATAL(the_state(), CALL_CONNECTED);
		CU_ASSERT_EQUAL(cp_dp_waiting(w.dp), i == 0 ? 65536 : 40000);
		CU_ASSERT_TRUE(i > 0 || legs_assert(the_call(), 0, false) == 0);
		UNTIL(cp_dp_waiting(w.dp) == 0);
		w.fake.n = 0;
		legs_tick(w.calls);
		rest();
		CU_ASSERT(fake_seen(&w.fake, DP_MSG_LEG_SET, NULL) == 2 && fake_seen(&w.fake, DP_MSG_LEG_KEY, NULL) == 4);
	}
	onhook(&pa);
	world_end();
}

static void test_restart_adopts(void)
{
	for (int killed = 0; killed < 2; killed++) {
		const struct dp_mgcp_cmd *c = NULL;
		uint32_t ref;

		world_begin();
		gw_to(CALL_CONNECTED);
		ref = the_call()->ref;
		w.fake.n = 0;
		restart(killed);
		CU_ASSERT_EQUAL_FATAL(the_state(), CALL_CONNECTED);
		CU_ASSERT_EQUAL(the_call()->ref, ref);
		CU_ASSERT_TRUE(the_call()->adopted);
		CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_ADOPT, NULL), 2);
		CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_LEG_DEL, NULL), 0);
		CU_ASSERT_EQUAL(cp_keys_used(w.calls->keys), 0);
		CU_ASSERT_EQUAL(cp_ports_used(w.calls->ports), 2);
		cp_calls_phone_ops.registered(w.calls, &pa);
		cp_calls_phone_ops.registered(w.calls, &pb);
		CU_ASSERT_EQUAL(pa.state, CP_SCCP_CONNECTED);
		CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_ENCRYPTED);
		w.todo_cnt = w.todo_done = 0;
		if (killed) /* the gateway hangs up: it was asked to say so before the restart */
			notify("L/hu");
		else
			onhook(&pa);
		UNTIL(the_state() == -1);
		rest();
		CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, &c), 1);
		CU_ASSERT(c != NULL && strcmp(c->conn_id, "C0FFEE") == 0);
		world_end();
	}
}

/* The record of a call that was interrupted names the legs of one that stands: they are that one's, whichever is read first. */
static void test_restart_same_legs(void)
{
	struct cp_call_rec rec;
	uint32_t leg;

	world_begin();
	gw_to(CALL_CONNECTED);
	rest();
	leg = the_call()->p[0].leg_id;
	rec = *cp_store_call(w.store, the_call()->ref);
	rec.call_id = 7;
	rec.state = CALL_CONNECTING;
	rec.leg[1].conn_id[0] = '\0';
	synced(cp_store_put_call(w.store, &rec, on_stored, NULL));
	w.fake.n = 0;
	restart(true);
	CU_ASSERT_EQUAL_FATAL(the_state(), CALL_CONNECTED);
	CU_ASSERT(cp_calls_count(w.calls) == 1 && the_call()->p[0].leg_id == leg);
	CU_ASSERT(fake_seen(&w.fake, DP_MSG_ADOPT, NULL) == 2 && fake_seen(&w.fake, DP_MSG_LEG_DEL, NULL) == 0);
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	onhook(&pa);
	world_end();
}

static int refuse_adopt(struct fake_dp *f, const union fake_msg *m)
{
	return m->hdr.type == DP_MSG_ADOPT ? -ENOENT : world_hook(f, m);
}

static void test_restart_of_both(void)
{
	world_begin();
	gw_to(CALL_CONNECTED);
	w.fake.hook = refuse_adopt; /* the dataplane had restarted too: nobody has the keys */
	w.todo_cnt = w.todo_done = 0;
	restart(true);
	UNTIL(the_state() == -1);
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 1);
	CU_ASSERT_EQUAL(w.calls->dropped_adopt, 1);
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	w.fake.hook = world_hook;
	/* killed while a call is set up: its record is there, but it was never a call */
	pa.smt = 0;
	gw_to(CALL_CONNECTING);
	/* on a slow disk the record may still be on its way; what is not synced is not promised */
	UNTIL((records = 0, cp_store_each_call(w.store, count_record, NULL), records) > 0);
	w.todo_cnt = w.todo_done = 0;
	controlplane_stop(true);
	ups = 0;
	controlplane_start();
	UNTIL(ups > 0);
	cp_gws_sa_changed(w.gws, cp_gw_id(cp_gws_find(w.gws, "gw1")), true);
	CU_ASSERT_EQUAL(the_state(), -1);
	UNTIL(gw_saw(DP_MGCP_DLCX, NULL) == 1);
	world_end();
}

/* A clean stop lets established calls live and leaves nobody waiting in the others. */
static void test_stop(void)
{
	const struct dp_mgcp_cmd *c = NULL;

	world_begin();
	gw_to(CALL_ALERTING);
	w.todo_cnt = w.todo_done = 0;
	cp_calls_stop(w.calls);
	CU_ASSERT_EQUAL(pa.state, CP_SCCP_ONHOOK);
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, &c), 1);
	w.calls->stopping = false;
	pa.smt = pb.smt = 0;
	to_connected();
	cp_calls_stop(w.calls);
	gone(&pa, CP_GONE_REMOVED);
	gone(&pb, CP_GONE_REMOVED);
	CU_ASSERT_EQUAL(the_state(), CALL_CONNECTED);
	restart(false);
	CU_ASSERT_EQUAL(the_state(), CALL_CONNECTED);
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	onhook(&pa);
	world_end();
}

static CU_TestInfo tests[] = {
	{"the dataplane refuses", test_dataplane_refuses},
	{"the store fails", test_store_fails},
	{"legs are deleted later", test_deleted_later},
	{"legs are taken later", test_asserted_later},
	{"channel lost", test_channel_lost},
	{"restart adopts", test_restart_adopts},
	{"restart: two records name one leg", test_restart_same_legs},
	{"restart of both", test_restart_of_both},
	{"stop", test_stop},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	return 0;
}

#include "suite.h"
SUITE_MAIN("calldown", tests, setup, NULL)
