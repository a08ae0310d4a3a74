/* SPDX-License-Identifier: BSD-3-Clause */
/* The channel to the dataplane is away, and people go on: what they did meanwhile is told when it is back. */
#include "talk.h"

/* Both open their channels while nobody can be told where they hear. */
static void test_confirmed(void)
{
	struct cp_call *call;
	uint32_t ref;

	world_begin();
	dial("1002");
	call = the_call();
	ref = call->ref;
	key(&pb, CP_SCCP_KEY_ANSWER, ref);
	UNTIL(pa.smt == 1 && pb.smt == 1);
	fake_stop(&w.fake);
	UNTIL(!cp_dp_up(w.dp));
	ack_media(&pa);
	ack_media(&pb);
	rest();
	CU_ASSERT_FATAL(call_find(w.calls, ref) == call && call->state == CALL_CONNECTED);
	w.fake.n = 0;
	fake_start(&w.fake, w.base, tmp_dir);
	UNTIL(ups == 2);
	rest();
	for (unsigned s = 0; s < 2; s++)
		CU_ASSERT(last_leg(call->p[s].leg_id) != NULL && last_leg(call->p[s].leg_id)->remote.port == 20000);
	CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_LEG_KEY, NULL), 4);
	onhook(&pa);
	world_end();
}

/* A call that was taken over, whose keys are not known here: adopted, and then what it has become. */
static void test_adopted(void)
{
	struct cp_call *call;
	uint32_t ref, legs[2];

	world_begin();
	ref = talk(&pa, &pb);
	controlplane_stop(true);
	w.alarms = NULL;
	controlplane_start();
	UNTIL(ups == 2);
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	rest();
	call = call_find(w.calls, ref);
	for (int held = 0; held < 2; held++) {
		fake_stop(&w.fake);
		UNTIL(!cp_dp_up(w.dp));
		if (held)
			key(&pa, CP_SCCP_KEY_HOLD, ref);
		w.fake.n = 0;
		fake_start(&w.fake, w.base, tmp_dir);
		UNTIL(ups == 3 + held);
		rest();
		CU_ASSERT_FATAL(call_find(w.calls, ref) == call && call->adopted);
		CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_ADOPT, NULL), 2);
		CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_LEG_KEY, NULL), 0);
		CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_LEG_SET, NULL), held ? 2 : 0);
		for (unsigned s = 0; s < 2; s++)
			legs[s] = call->p[s].leg_id;
	}
	CU_ASSERT(last_leg(legs[0]) != NULL && (last_leg(legs[0])->flags & (DP_LEG_F_RECV | DP_LEG_F_SEND)) == 0);
	CU_ASSERT(last_leg(legs[1]) != NULL && last_leg(legs[1])->idle_s == 0);
	key(&pb, CP_SCCP_KEY_ENDCALL, ref);
	world_end();
}

static CU_TestInfo tests[] = {
	{"channels are opened meanwhile", test_confirmed},
	{"an adopted call is held meanwhile", test_adopted},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	return 0;
}

#include "suite.h"
SUITE_MAIN("gap", tests, setup, NULL)
