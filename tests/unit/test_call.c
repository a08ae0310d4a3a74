/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/call/: every way a call begins, goes on and ends; after each, nothing of it is left. */
/* Rows: 001:P1-109, R-17; 004b:MGCP-02, R-39; 004c:MG-02. */
#include "call_fix.h"

static void to_ringing(void)
{
	dial("1002");
	CU_ASSERT_EQUAL_FATAL(the_state(), CALL_ALERTING);
	CU_ASSERT_TRUE(pb.ringing);
	CU_ASSERT_EQUAL(pa.state, CP_SCCP_RINGOUT);
	CU_ASSERT_EQUAL(pb.state, CP_SCCP_RINGIN);
}

static void to_told(void)
{
	to_ringing();
	offhook(&pb);
	CU_ASSERT_EQUAL(the_state(), CALL_CONNECTING);
	UNTIL(pa.smt == 1 && pb.smt == 1);
}

static void to_connected(void)
{
	to_told();
	ack_media(&pa);
	CU_ASSERT_EQUAL(the_state(), CALL_CONNECTING);
	ack_media(&pb);
	CU_ASSERT_EQUAL_FATAL(the_state(), CALL_CONNECTED);
	rest();
}

static void gw_to(int state)
{
	dial("9123");
	if (state == CALL_ROUTING)
		return;
	UNTIL(the_state() == CALL_ALERTING);
	if (state == CALL_ALERTING)
		return;
	notify("L/hd");
	UNTIL(pa.smt == 1);
	if (state == CALL_CONNECTING)
		return;
	ack_media(&pa);
	UNTIL(the_state() == CALL_CONNECTED);
	rest();
}

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

static void store_recovers(void)
{
	struct cp_store_stats st = {.failing = true};

	UNTIL((cp_store_stats(w.store, &st), !st.failing));
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

static void channel_returns(bool fresh)
{
	int before = ups;

	if (fresh) {
		fake_stop(&w.fake);
		rest();
		fake_start(&w.fake, w.base, tmp_dir);
	} else {
		fake_hangup(&w.fake);
	}
	UNTIL(ups > before);
	cp_gws_sa_changed(w.gws, cp_gw_id(cp_gws_find(w.gws, "gw1")), false);
	cp_gws_sa_changed(w.gws, cp_gw_id(cp_gws_find(w.gws, "gw1")), true);
	rest();
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

static void restart(bool killed)
{
	int before = ups;

	rest();
	cp_calls_phone_ops.gone(w.calls, &pa, CP_GONE_CLOSED);
	cp_calls_phone_ops.gone(w.calls, &pb, CP_GONE_CLOSED);
	rest();
	controlplane_stop(killed);
	memset(w.acked, 0, sizeof(w.acked));
	controlplane_start();
	UNTIL(ups > before);
	cp_gws_sa_changed(w.gws, cp_gw_id(cp_gws_find(w.gws, "gw1")), true);
	rest();
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
	{"the dataplane refuses", test_dataplane_refuses},
	{"the store fails", test_store_fails},
	{"legs are deleted later", test_deleted_later},
	{"legs are taken later", test_asserted_later},
	{"channel lost", test_channel_lost},
	{"restart adopts", test_restart_adopts},
	{"restart: two records name one leg", test_restart_same_legs},
	{"restart of both", test_restart_of_both},
	{"stop", test_stop},
	{"gateway call", test_gateway_call},
	{"gateway answers", test_gateway_answers},
	{"no SA, and the codec", test_no_sa_and_codec},
	{"gateway late and early", test_gateway_late_and_early},
	{"gateway refuses later", test_gateway_refuses_later},
	{"gateway, channel lost", test_gateway_channel_lost},
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
