/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared lines: one number at several phones. All ring and one answers; what it does is shown at the others, who take what it holds.
 * 000:P0-09, 004b:SEC-13: the status is that of the call's parties, whatever line they use.
 */
#include "talk.h"

static struct cp_phone pc, pd, pe; /* c, d and e have the number 2000 */

static void begin(void)
{
	static const char *const names[] = {"SEP000000000A03", "SEP000000000A04", "SEP000000000A05"};
	struct cp_phone *const phones[] = {&pc, &pd, &pe};

	world_begin();
	for (unsigned i = 0; i < 3; i++) {
		add_device_shared(names[i], "2000", true);
		phone_reset(phones[i], names[i], "2000");
		cp_calls_phone_ops.registered(w.calls, phones[i]);
	}
	rest();
}

static unsigned ringing(void) { return pc.ringing + pd.ringing + pe.ringing; }

static void test_all_ring(void)
{
	struct cp_call *call;
	uint32_t ref;

	for (unsigned who = 0; who < 3; who++) {
		struct cp_phone *p = who == 0 ? &pc : who == 1 ? &pd : &pe;

		begin();
		dial("2000");
		CU_ASSERT_EQUAL(ringing(), 3);
		call = the_call();
		ref = call->ref;
		CU_ASSERT_EQUAL(call->state, CALL_ALERTING);
		key(p, CP_SCCP_KEY_ANSWER, ref);
		UNTIL(pa.smt == 1 && p->smt == 1);
		CU_ASSERT(ringing() == 0 && p->state == CP_SCCP_CONNECTED);
		ack_media(&pa);
		ack_media(p);
		CU_ASSERT(call->state == CALL_CONNECTED && strcmp(call->p[1].name, p->name) == 0);
		CU_ASSERT_PTR_NULL(call->forks);
		CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && p->security == CP_SCCP_SEC_ENCRYPTED);
		/* shown at the two others, with the call's status; they are not in it */
		for (unsigned o = 0; o < 3; o++) {
			struct cp_phone *q = o == 0 ? &pc : o == 1 ? &pd : &pe;

			if (q == p)
				continue;
			CU_ASSERT(q->state == CP_SCCP_REMOTE && q->callref == ref && q->info_ref == ref);
			CU_ASSERT_EQUAL(q->security, CP_SCCP_SEC_ENCRYPTED);
			CU_ASSERT(q->orc == 0 && q->smt == 0);
			key(q, CP_SCCP_KEY_ENDCALL, ref); /* nor may they end it, or take it */
			key(q, CP_SCCP_KEY_RESUME, ref);
			onhook(q);
		}
		CU_ASSERT_EQUAL(call->state, CALL_CONNECTED);
		rest();
		CU_ASSERT_STRING_EQUAL(cp_store_call(w.store, ref)->leg[1].party, p->name);
		key(&pa, CP_SCCP_KEY_ENDCALL, ref);
		CU_ASSERT(pc.state == CP_SCCP_ONHOOK && pd.state == CP_SCCP_ONHOOK && pe.state == CP_SCCP_ONHOOK);
		world_end();
	}
}

/* Who cannot be rung is passed over; nobody is left: the caller hears the best of the reasons. */
static void test_some_cannot(void)
{
	uint32_t ref;

	begin();
	w.cfg->calls.busy_trigger = 1;
	gone(&pd, CP_GONE_CLOSED);
	dial("2000");
	CU_ASSERT(pc.ringing && pe.ringing && !pd.ringing);
	ref = the_call()->ref;
	key(&pc, CP_SCCP_KEY_ENDCALL, ref); /* it declines: the other one rings on */
	CU_ASSERT(!pc.ringing && pe.ringing && the_state() == CALL_ALERTING);
	gone(&pe, CP_GONE_CLOSED); /* the last one */
	CU_ASSERT_EQUAL(cp_calls_count(w.calls), 0);
	cp_calls_phone_ops.registered(w.calls, &pe);
	/* the first one goes, as a fork or as the one that stands for all */
	for (unsigned i = 0; i < 2; i++) {
		dial("2000");
		gone(i == 0 ? &pc : &pe, CP_GONE_UNREGISTERED);
		CU_ASSERT(the_state() == CALL_ALERTING && the_call()->forks == NULL);
		CU_ASSERT_STRING_EQUAL(the_call()->p[1].name, i == 0 ? pe.name : pc.name);
		onhook(&pa);
		cp_calls_phone_ops.registered(w.calls, i == 0 ? &pc : &pe);
	}
	/* busy at each phone by itself */
	ref = talk(&pb, &pc);
	dial("2000");
	CU_ASSERT(!pc.ringing && pe.ringing);
	key(&pe, CP_SCCP_KEY_ANSWER, call_of(&pa)->ref);
	UNTIL(pe.smt == 1);
	ack_media(&pa);
	ack_media(&pe);
	cp_calls_phone_ops.registered(w.calls, &pd);
	CU_ASSERT_EQUAL(pd.state, CP_SCCP_REMOTE);
	gone(&pd, CP_GONE_CLOSED);
	add_device("SEP000000000005", "1005");
	struct cp_phone pf;
	phone_reset(&pf, "SEP000000000005", "1005");
	cp_calls_phone_ops.registered(w.calls, &pf);
	cp_calls_phone_ops.enbloc(w.calls, &pf, "2000", 1);
	CU_ASSERT(call_of(&pf)->state == CALL_FAILED && pf.tone == CP_SCCP_TONE_BUSY);
	onhook(&pf);
	gone(&pf, CP_GONE_CLOSED);
	onhook(&pa);
	onhook(&pb);
	cp_calls_phone_ops.registered(w.calls, &pd);
	/* nobody answers */
	dial("2000");
	timer_fires();
	CU_ASSERT(ringing() == 0 && pa.tone == CP_SCCP_TONE_REORDER);
	onhook(&pa);
	/* each has its own codecs and may or may not encrypt: what is agreed is with the one who answers */
	pc.srtp = false;
	pe.only_codec = CP_SCCP_G711A;
	dial("2000");
	ref = the_call()->ref;
	CU_ASSERT_FALSE(the_call()->secure);
	pa.smt = pe.smt = 0;
	key(&pe, CP_SCCP_KEY_ANSWER, ref);
	UNTIL(pa.smt == 1 && pe.smt == 1);
	ack_media(&pa);
	ack_media(&pe);
	CU_ASSERT(pe.orc_m.suite != DP_SRTP_NONE && pe.orc_m.codec == CP_SCCP_G711A && pa.orc_m.codec == CP_SCCP_G711A);
	CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_ENCRYPTED);
	onhook(&pa);
	w.cfg->media.fallback = CFG_FALLBACK_REFUSE; /* who cannot encrypt does not ring */
	dial("2000");
	CU_ASSERT(!pc.ringing && pd.ringing && pe.ringing);
	onhook(&pa);
	CU_ASSERT_EQUAL(ringing(), 0);
	world_end();
}

/* c holds, d goes on: a new leg in the same shard, new keys, the call's number on the line. Also where media went directly. */
static void resume_elsewhere(bool direct, bool srtp)
{
	struct cp_phone_media c_orc, a_orc;
	struct cp_call *call;
	uint32_t ref;
	unsigned a_cnt;

	begin();
	w.cfg->media.mode = direct ? CFG_MEDIA_DIRECT : CFG_MEDIA_RELAY;
	pd.srtp = srtp;
	dial("2000");
	ref = the_call()->ref;
	call = the_call();
	key(&pc, CP_SCCP_KEY_ANSWER, ref);
	UNTIL(pa.orc == 1 && pc.orc == 1);
	ack_media(&pa);
	ack_media(&pc);
	rest();
	c_orc = pc.orc_m;
	a_orc = pa.orc_m;
	a_cnt = pa.orc;
	key(&pc, CP_SCCP_KEY_HOLD, ref);
	CU_ASSERT(pd.state == CP_SCCP_HOLD && pd.callref == ref && pe.state == CP_SCCP_HOLD);
	key(&pd, CP_SCCP_KEY_RESUME, ref);
	UNTIL(pd.smt == 1);
	CU_ASSERT(pc.state == CP_SCCP_ONHOOK || pc.state == CP_SCCP_REMOTE);
	ack_media(&pd);
	if (direct)
		ack_media(&pa);
	rest();
	CU_ASSERT(call->state == CALL_CONNECTED && strcmp(call->p[1].name, pd.name) == 0 && !call->p[1].held);
	CU_ASSERT(pd.state == CP_SCCP_CONNECTED && pd.callref == ref && pc.state == CP_SCCP_REMOTE && pe.state == CP_SCCP_REMOTE);
	CU_ASSERT_PTR_NULL(agent_find(w.calls, pc.name, false)->parties);
	CU_ASSERT_EQUAL(DP_LEG_SHARD(call->p[0].leg_id), DP_LEG_SHARD(call->p[1].leg_id));
	CU_ASSERT_EQUAL(last_leg(call->p[0].leg_id)->peer_id, call->p[1].leg_id);
	CU_ASSERT_EQUAL(last_leg(call->p[1].leg_id)->peer_id, call->p[0].leg_id);
	CU_ASSERT_STRING_EQUAL(cp_store_call(w.store, ref)->leg[1].party, pd.name);
	if (srtp)
		same_key_never(&pd.orc_m, &c_orc);
	if (direct)
		same_key_never(&pa.orc_m, &a_orc);
	CU_ASSERT_EQUAL(pa.orc, a_cnt + direct); /* its stream went on */
	CU_ASSERT_EQUAL(call->p[1].event_pt, EVENT_PT);
	/* 000:P0-09: the least of who is in it now, and that is what the line shows */
	CU_ASSERT_EQUAL(pa.security, srtp ? CP_SCCP_SEC_ENCRYPTED : CP_SCCP_SEC_AUTH);
	CU_ASSERT(pd.security == pa.security && pc.security == pa.security && pe.security == pa.security);
	/* and it survives a kill; the phones are shown it again, and one of them may take it again */
	controlplane_stop(true);
	w.alarms = NULL;
	controlplane_start();
	UNTIL(ups == 2);
	pe.state = pd.state = 0;
	cp_calls_phone_ops.registered(w.calls, &pe);
	CU_ASSERT_EQUAL(pe.state, CP_SCCP_REMOTE);
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	cp_calls_phone_ops.registered(w.calls, &pc);
	cp_calls_phone_ops.registered(w.calls, &pd);
	CU_ASSERT_EQUAL(pd.state, CP_SCCP_CONNECTED);
	key(&pd, CP_SCCP_KEY_HOLD, ref);
	CU_ASSERT_EQUAL(pe.state, CP_SCCP_HOLD);
	cp_calls_phone_ops.offhook(w.calls, &pe, 1, ref); /* the line's button does it as well */
	UNTIL(pe.smt == 1);
	ack_media(&pe);
	rest();
	CU_ASSERT_STRING_EQUAL(call_find(w.calls, ref)->p[1].name, pe.name);
	key(&pe, CP_SCCP_KEY_ENDCALL, ref);
	CU_ASSERT(pa.state == CP_SCCP_ONHOOK && pd.state == CP_SCCP_ONHOOK);
	world_end();
}

static void test_resume_elsewhere(void) { resume_elsewhere(false, true); }
static void test_resume_elsewhere_clear(void) { resume_elsewhere(false, false); }
static void test_resume_elsewhere_direct(void) { resume_elsewhere(true, true); }

/* What is refused leaves the call where it is. */
static void test_resume_refused(void)
{
	struct cp_call *call;
	uint32_t ref, other;

	begin();
	dial("2000");
	ref = the_call()->ref;
	call = the_call();
	key(&pc, CP_SCCP_KEY_ANSWER, ref);
	UNTIL(pc.smt == 1);
	ack_media(&pa);
	ack_media(&pc);
	rest();
	key(&pc, CP_SCCP_KEY_HOLD, ref);
	pd.no_codec = true;
	key(&pd, CP_SCCP_KEY_RESUME, ref);
	pd.no_codec = false;
	w.cfg->media.fallback = CFG_FALLBACK_REFUSE;
	pd.srtp = false;
	key(&pd, CP_SCCP_KEY_RESUME, ref);
	pd.srtp = true;
	w.cfg->calls.max_per_line = 0;
	key(&pd, CP_SCCP_KEY_RESUME, ref);
	w.cfg->calls.max_per_line = 4;
	key(&pb, CP_SCCP_KEY_RESUME, ref); /* not its line */
	strcpy(call->park, "8000"); /* who holds is parked */
	key(&pd, CP_SCCP_KEY_RESUME, ref);
	call->park[0] = '\0';
	CU_ASSERT(call->p[1].held && strcmp(call->p[1].name, pc.name) == 0 && pc.state == CP_SCCP_HOLD);
	/* who talks holds that first; the dataplane that refuses the new leg ends it for all */
	other = talk(&pb, &pd);
	CU_ASSERT_NOT_EQUAL(other, ref);
	w.refuse_type = DP_MSG_LEG_SET;
	w.refuse_rc = -ENOSPC;
	call_find(w.calls, other)->p[0].page = (struct dp_page_leg){0};
	key(&pe, CP_SCCP_KEY_RESUME, ref);
	UNTIL(call_find(w.calls, ref) == NULL);
	w.refuse_type = 0;
	CU_ASSERT(pa.state == CP_SCCP_ONHOOK && pe.state == CP_SCCP_ONHOOK);
	key(&pb, CP_SCCP_KEY_ENDCALL, other);
	world_end();
}

/* A party that waits for a blind transfer cannot be rung by it, but the other phones of its line can. */
static void test_transfer_to_own_line(void)
{
	uint32_t first, second;

	begin();
	dial("2000"); /* a calls c */
	first = the_call()->ref;
	answers(&pc, &pa, first);
	key(&pa, CP_SCCP_KEY_TRANSFER, first);
	second = call_of(&pa)->ref;
	cp_calls_phone_ops.enbloc(w.calls, &pa, "2000", 1);
	CU_ASSERT(pd.ringing && pe.ringing);
	key(&pa, CP_SCCP_KEY_TRANSFER, second);
	CU_ASSERT(pd.ringing && pe.ringing && !pc.ringing);
	CU_ASSERT_STRING_EQUAL(call_find(w.calls, second)->p[0].name, pc.name);
	pc.smt = 0;
	answers(&pe, &pc, second);
	CU_ASSERT(call_find(w.calls, second)->state == CALL_CONNECTED && pc.security == CP_SCCP_SEC_ENCRYPTED);
	CU_ASSERT_FALSE(pd.ringing);
	key(&pe, CP_SCCP_KEY_ENDCALL, second);
	world_end();
}

/* And none of the others of that line can take it: the call has ended under the key that was pressed. */
static void test_transfer_to_nobody(void)
{
	uint32_t first, second;

	begin();
	dial("2000");
	first = the_call()->ref;
	answers(&pc, &pa, first);
	key(&pa, CP_SCCP_KEY_TRANSFER, first);
	second = call_of(&pa)->ref;
	cp_calls_phone_ops.enbloc(w.calls, &pa, "2000", 1);
	CU_ASSERT(pd.ringing && pe.ringing && strcmp(call_find(w.calls, second)->p[1].name, pc.name) == 0);
	pd.only_codec = pe.only_codec = CP_SCCP_G729A; /* not what the caller speaks */
	key(&pa, CP_SCCP_KEY_TRANSFER, second);
	CU_ASSERT(ringing() == 0 && call_find(w.calls, second) == NULL && strcmp(pa.prompt, "Cannot transfer") == 0);
	CU_ASSERT(call_find(w.calls, first)->p[0].held && call_find(w.calls, first)->state == CALL_CONNECTED);
	key(&pa, CP_SCCP_KEY_ENDCALL, first);
	world_end();
}

static CU_TestInfo tests[] = {
	{"all ring, one answers, the others see it", test_all_ring},
	{"some cannot be rung", test_some_cannot},
	{"resumed at another phone", test_resume_elsewhere},
	{"resumed at another phone, in clear", test_resume_elsewhere_clear},
	{"resumed at another phone, direct media", test_resume_elsewhere_direct},
	{"resuming refused", test_resume_refused},
	{"a transfer to one's own line", test_transfer_to_own_line},
	{"a transfer to one's own line, where nobody can", test_transfer_to_nobody},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	return 0;
}

#include "suite.h"
SUITE_MAIN("shared", tests, setup, NULL)
