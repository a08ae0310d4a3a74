/* SPDX-License-Identifier: BSD-3-Clause */
/* Steps of calls in the world of call_fix.h: of a phone's and of a gateway's, to where a test begins; what goes and comes back under them. */
#ifndef TESTS_CALL_STEPS_H
#define TESTS_CALL_STEPS_H

#include "call_fix.h"

static inline void to_ringing(void)
{
	dial("1002");
	CU_ASSERT_EQUAL_FATAL(the_state(), CALL_ALERTING);
	CU_ASSERT_TRUE(pb.ringing);
	CU_ASSERT_EQUAL(pa.state, CP_SCCP_RINGOUT);
	CU_ASSERT_EQUAL(pb.state, CP_SCCP_RINGIN);
}

static inline void to_told(void)
{
	to_ringing();
	offhook(&pb);
	CU_ASSERT_EQUAL(the_state(), CALL_CONNECTING);
	UNTIL(pa.smt == 1 && pb.smt == 1);
}

static inline void to_connected(void)
{
	to_told();
	ack_media(&pa);
	CU_ASSERT_EQUAL(the_state(), CALL_CONNECTING);
	ack_media(&pb);
	CU_ASSERT_EQUAL_FATAL(the_state(), CALL_CONNECTED);
	rest();
}

static inline void gw_to(int state)
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

static inline void store_recovers(void)
{
	struct cp_store_stats st = {.failing = true};

	UNTIL((cp_store_stats(w.store, &st), !st.failing));
}

static inline void channel_returns(bool fresh)
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

static inline void restart(bool killed)
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

#endif
