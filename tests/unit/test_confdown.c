/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conferences and transfers while something is away that they need: no dataplane, a controlplane that was killed in the middle, a
 * bridge that has not answered yet. Who talks goes on talking. 001:R-18.
 */
#include "conf_fix.h"

static void channel_lost(void)
{
	fake_hangup(&w.fake);
	event_del(w.fake.ev_accept);
	UNTIL(!cp_dp_up(w.dp));
}

/* 'fresh': it was restarted, and has nothing of us. */
static void channel_back(bool fresh)
{
	if (fresh) {
		fake_stop(&w.fake);
		fake_start(&w.fake, w.base, tmp_dir);
	} else {
		event_add(w.fake.ev_accept, NULL);
	}
	UNTIL(cp_dp_up(w.dp));
	cp_gws_sa_changed(w.gws, w.bridge_id, false);
	cp_gws_sa_changed(w.gws, w.bridge_id, true);
}

static void pass(unsigned ms)
{
	time_pass(ms);
	calm();
}

/* One of three hangs up meanwhile: the other two stay on the bridge until there is something to make their own call with. */
static void test_two_left(void)
{
	for (unsigned fresh = 0; fresh < 2; fresh++) {
		begin("cnf/$");
		three();
		channel_lost();
		onhook(&pc);
		for (unsigned i = 0; i < 4; i++)
			pass(500);
		CU_ASSERT(cp_calls_count(w.calls) == 2 && members() == 2 && talks(&pa) && talks(&pb));
		channel_back(fresh != 0);
		STEP_UNTIL(w.calls->confs == NULL && talks(&pa) && talks(&pb), pass(100));
		calm();
		CU_ASSERT(cp_calls_count(w.calls) == 1 && place_of(&pa)->call == place_of(&pb)->call);
		CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && pb.security == CP_SCCP_SEC_ENCRYPTED);
		end_all_calls();
		world_end();
	}
}

static struct {
	uint8_t key[16];
	size_t len;
	bool deleted;
} wrote[64];
static unsigned wrote_cnt;

static void on_written(void *ctx, enum cp_cf cf, const uint8_t *key, size_t len, bool deleted)
{
	(void)ctx;
	(void)cf;
	if (wrote_cnt == 64 || len > sizeof(wrote[0].key))
		return;
	memcpy(wrote[wrote_cnt].key, key, len);
	wrote[wrote_cnt].len = len;
	wrote[wrote_cnt++].deleted = deleted;
}

/* The call that two new members come from is on disk until both are there as members: a kill between leaves nobody without a record. */
static void test_from_goes_last(void)
{
	uint32_t second, old, fresh[2];
	unsigned gone = 64, first[2] = {64, 64};

	begin("cnf/$");
	talk(&pa, &pb); /* both are moved: who presses is a member from the first call on */
	old = place_of(&pa)->call->ref;
	second = ask_in(&pa, &pc);
	CU_ASSERT_EQUAL_FATAL(cp_store_watch(w.store, CP_CF_CALL, on_written, NULL), 0);
	wrote_cnt = 0;
	key(&pa, CP_SCCP_KEY_CONFRN, second);
	LIVE_UNTIL(members() == 3 && talks(&pa) && talks(&pb) && talks(&pc));
	calm();
	fresh[0] = place_of(&pa)->call->ref;
	fresh[1] = place_of(&pb)->call->ref;
	for (unsigned i = 0; i < wrote_cnt; i++) {
		if (wrote[i].deleted && memcmp(wrote[i].key + wrote[i].len - 4, &(uint32_t){htonl(old)}, 4) == 0)
			gone = i;
	}
	CU_ASSERT_NOT_EQUAL_FATAL(gone, 64);
	for (unsigned k = 0; k < 2; k++) /* as conf_ask() has written it, then with who moved there */
		for (unsigned i = 0, n = 0; i < wrote_cnt; i++)
			if (memcmp(wrote[i].key + wrote[i].len - 4, &(uint32_t){htonl(fresh[k])}, 4) == 0 && ++n == 2)
				first[k] = i;
	CU_ASSERT(first[0] < 64 && first[1] < 64);
	CU_ASSERT(gone > first[0] && gone > first[1]); /* in the last one's batch */
	end_all_calls();
	world_end();
}

static unsigned connected;
static void count_connected(void *ctx, const struct cp_call_rec *r) { (void)ctx; connected += r->state == CALL_CONNECTED; }

/* Killed while the third one's stream is opened: that one is let go, and the two that were connected are before the channel is there. */
static void test_killed_adding(void)
{
	begin("cnf/$");
	talk(&pa, &pb);
	uint32_t second = ask_in(&pa, &pc);

	deaf = &pc;
	key(&pa, CP_SCCP_KEY_CONFRN, second);
	LIVE_UNTIL(members() == 2 && talks(&pa) && talks(&pb));
	UNTIL((connected = 0, cp_store_each_call(w.store, count_connected, NULL), connected) == 2);
	deaf = NULL;
	controlplane_stop(true);
	controlplane_start();
	cp_gws_sa_changed(w.gws, w.bridge_id, true);
	for (unsigned i = 0; i < 4; i++)
		cp_calls_phone_ops.registered(w.calls, all[i]);
	UNTIL(ups == 2);
	CU_ASSERT_EQUAL(cp_calls_count(w.calls), 2);
	STEP_UNTIL(w.calls->confs == NULL && talks(&pa) && talks(&pb), pass(100));
	calm();
	CU_ASSERT(cp_calls_count(w.calls) == 1 && place_of(&pa)->call == place_of(&pb)->call && bridge_conns() == 0);
	end_all_calls();
	world_end();
}

static void bridge_answers(unsigned from)
{
	for (unsigned i = from, end = w.todo_cnt; i < end; i++)
		if (w.todo[i].verb == DP_MGCP_CRCX && w.todo[i].gw_id == w.bridge_id)
			gw_answer(&w.todo[i]);
}

/* The channel is lost behind the last port's answer: nobody is moved until it is back. */
static void test_lost_adding(void)
{
	begin("cnf/1");
	talk(&pa, &pb);
	uint32_t second = ask_in(&pa, &pc);

	w.say[DP_MGCP_CRCX].silent = true;
	key(&pa, CP_SCCP_KEY_CONFRN, second);
	rest();
	w.say[DP_MGCP_CRCX].silent = false;
	bridge_answers(0);
	channel_lost();
	for (unsigned i = 0; i < 4; i++)
		pass(100);
	CU_ASSERT(cp_calls_count(w.calls) == 5 && members() == 0 && talks(&pa) && talks(&pc));
	channel_back(false);
	STEP_UNTIL(members() == 3 && talks(&pa) && talks(&pb) && talks(&pc), pass(100));
	calm();
	CU_ASSERT(cp_calls_count(w.calls) == 3 && bridge_conns() == 3);
	end_all_calls();
	world_end();
}

/* A transfer without a dataplane is refused, and done when there is one again. */
static void test_transfer(void)
{
	begin("cnf/$");
	talk(&pa, &pb);
	key(&pa, CP_SCCP_KEY_TRANSFER, place_of(&pa)->ref);
	uint32_t second = talk(&pa, &pc);

	channel_lost();
	key(&pa, CP_SCCP_KEY_TRANSFER, second);
	calm();
	CU_ASSERT(cp_calls_count(w.calls) == 2 && talks(&pa) && talks(&pc));
	channel_back(false);
	calm();
	key(&pa, CP_SCCP_KEY_TRANSFER, second);
	LIVE_UNTIL(cp_calls_count(w.calls) == 1 && talks(&pb) && talks(&pc));
	CU_ASSERT(place_of(&pb)->call == place_of(&pc)->call && place_of(&pa) == NULL);
	end_all_calls();
	world_end();
}

static void dial_to(struct cp_phone *p, const char *number) { cp_calls_phone_ops.enbloc(w.calls, p, number, 1); }

/* Who dialled in while the first one's port chooses the endpoint is asked for when that one has hung up. */
static void test_first_leaves(void)
{
	static struct cfg_meetme range = {.numbers = {8500, 8549, 4}, .security = CFG_LEVEL_AUTHENTICATED};

	begin("cnf/$");
	w.cfg->conference.meetme = &range;
	w.cfg->conference.meetme_count = 1;
	w.say[DP_MGCP_CRCX].silent = true;
	key(&pa, CP_SCCP_KEY_MEETME, 0);
	dial_to(&pa, "8512");
	rest();
	dial_to(&pb, "8512");
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, NULL), 1);
	onhook(&pa);
	w.say[DP_MGCP_CRCX].silent = false;
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, NULL), 2);
	LIVE_UNTIL(members() == 1 && talks(&pb));
	calm();
	onhook(&pb);
	calm();
	CU_ASSERT_PTR_NULL(w.calls->confs);
	w.cfg->conference.meetme = NULL;
	w.cfg->conference.meetme_count = 0;
	world_end();
}

static CU_TestInfo tests[] = {
	{"two are left without a dataplane", test_two_left},
	{"the call that members come from goes last", test_from_goes_last},
	{"killed while one is added", test_killed_adding},
	{"the channel is lost while one is added", test_lost_adding},
	{"a transfer without a dataplane", test_transfer},
	{"meet-me: the first one leaves before the answer", test_first_leaves},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("confdown", tests, NULL, NULL)
