/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random events at 50 phones, a gateway, a conference bridge and the dataplane, against what must hold whatever happens: nothing crashes, no
 * leg, port, key, connection or record is left over, a phone is active in one call at most, no key is ever given out twice, and no phone is
 * shown more than the model allows. 001:P1-104, P1-119; 000:P0-18, P0-20. What can happen: model_events.h; what holds: model_holds.h.
 *
 * Time, the disk's answers and everything else happen when the test says so: a seed is a run. RAVELIN_SEED: another one; RAVELIN_STEPS, or
 * RAVELIN_FULL for 10^6, instead of 15,000; RAVELIN_TRACE: each event is printed, from that step on.
 */
#include <limits.h>

#include "model_events.h"

#define SEED       "0x5eed"
#define OVERDUE    400 /* steps: an event that has not happened for so long is next */

/* --- time, and when others get a turn --- */

static void turn(void)
{
	event_base_loop(w.base, EVLOOP_NONBLOCK);
}

static void gateways_answer(unsigned n)
{
	for (; n > 0 && w.todo_done < w.todo_cnt; n--)
		gw_answer(&w.todo[w.todo_done++]);
}

/* The store's thread has written what it was given: it is told of now, whenever that was. */
static void disk_answers(void)
{
	while (disk_busy(false))
		machine_waits(20);
	event_active(w.store->ev, EV_READ, 0);
	turn();
}

static void settle(void)
{
	for (unsigned n = 0; n < 12; n++) {
		gateways_answer(UINT_MAX);
		turn();
		turn();
		disk_answers();
	}
}

static void lasts(unsigned ms)
{
	for (unsigned n = 0; n < 40; n++) {
		time_pass(ms / 40);
		gateways_answer(4);
		turn();
		if (n % 8 == 0)
			disk_answers();
	}
}

static void until_up(int before)
{
	for (unsigned ms = 0; ups == before && ms < 10000; ms++) {
		turn();
		time_pass(1);
	}
	CU_ASSERT_TRUE_FATAL(ups > before);
}

static void do_second(void) { lasts(1000); }
static void do_while(void) { lasts(rnd(2) == 0 ? 16000 : 40000); }

static void do_lose_channel(void)
{
	int before = ups;

	fake_hangup(&w.fake);
	for (unsigned n = rnd(20); n > 0; n--)
		turn();
	until_up(before);
}

static void do_restart(void)
{
	int before = ups;

	fake_stop(&w.fake);
	memset(dp_legs, 0, sizeof(dp_legs));
	for (unsigned n = rnd(20); n > 0; n--)
		turn();
	fake_start(&w.fake, w.base, tmp_dir);
	until_up(before);
}

/* --- everything that can happen --- */

static struct event_kind {
	const char *what;
	unsigned weight;
	bool (*can)(void);
	void (*happens)(void);
	unsigned cnt, last;
} kinds[] = {
	{"dials a line", 60, idle, do_dial_line, 0, 0},
	{"dials a gateway's number", 10, idle, do_dial_gateway, 0, 0},
	{"dials what leads nowhere", 2, idle, do_dial_wrong, 0, 0},
	{"off hook", 6, idle, do_offhook, 0, 0},
	{"on hook", 4, can_end, do_onhook, 0, 0},
	{"a digit", 8, can_digit, do_digit, 0, 0},
	{"answers", 70, can_answer, do_answer, 0, 0},
	{"opens its channel", 260, can_ack, do_ack, 0, 0},
	{"opens a barger's channel", 40, can_ack_bridge, do_ack, 0, 0},
	{"opens no channel", 3, can_deaf, do_deaf, 0, 0},
	{"sends nothing", 1, can_member, do_mute, 0, 0},
	{"ends a call", 14, can_end, do_end, 0, 0},
	{"holds", 12, can_hold, do_hold, 0, 0},
	{"resumes", 24, can_resume, do_resume, 0, 0},
	{"resumes elsewhere", 6, can_take, do_resume, 0, 0},
	{"asks somebody, to transfer", 14, can_begin, do_begin, 0, 0},
	{"transfers to who rings", 6, can_blind, do_transfer, 0, 0},
	{"transfers to who talks", 6, can_attended, do_transfer, 0, 0},
	{"barges", 10, can_barge, do_barge, 0, 0},
	{"cBarges", 3, can_barge, do_cbarge, 0, 0},
	{"parks", 5, can_hold, do_park, 0, 0},
	{"retrieves", 6, can_retrieve, do_retrieve, 0, 0},
	{"picks up in its group", 3, can_pickup, do_pickup, 0, 0},
	{"picks up in another group", 3, can_gpickup, do_gpickup, 0, 0},
	{"picks up in an associated group", 2, can_opickup, do_opickup, 0, 0},
	{"asks somebody, to confer", 30, can_add, do_add, 0, 0},
	{"confers", 40, can_attended, do_confrn, 0, 0},
	{"joins", 5, can_join, do_join, 0, 0},
	{"starts a meet-me conference", 4, can_meet, do_meet, 0, 0},
	{"dials a meet-me conference", 10, can_dial_in, do_retrieve, 0, 0},
	{"a member leaves", 5, can_member, do_end, 0, 0},
	{"a controller leaves", 2, can_owner, do_end, 0, 0},
	{"a member holds", 3, can_member, do_hold, 0, 0},
	{"a member resumes", 6, can_member_resume, do_resume, 0, 0},
	{"a controller removes the last", 2, can_owner, do_rmlstc, 0, 0},
	{"a member lists", 2, can_member, do_conflist, 0, 0},
	{"forwarding is written", 3, always, do_forward, 0, 0},
	{"forwarding is set at a phone", 2, can_cfwdall, do_cfwdall, 0, 0},
	{"a phone comes", 16, can_come, do_come, 0, 0},
	{"a phone goes", 5, can_go, do_go, 0, 0},
	{"a connection dies", 3, can_end, do_die, 0, 0},
	{"a connection lives", 8, can_live, do_live, 0, 0},
	{"a key that makes no sense", 10, can_end, do_nonsense, 0, 0},
	{"a gateway's line answers", 16, can_gateway, do_lift, 0, 0},
	{"a gateway's line hangs up", 4, can_gateway, do_hang_up, 0, 0},
	{"a gateway loses a connection", 1, can_lose_conn, do_lose_conn, 0, 0},
	{"the gateway restarts", 1, can_gateway, do_gateway_restart, 0, 0},
	{"the bridge restarts", 1, can_bridge_restart, do_bridge_restart, 0, 0},
	{"gateways fall ill", 3, is_well, do_ail, 0, 0},
	{"gateways are well", 10, is_ill, do_heal, 0, 0},
	{"the dataplane refuses legs", 2, refuses_not, do_refuse, 0, 0},
	{"the dataplane takes legs", 30, refuses, do_take, 0, 0},
	{"a leg ages", 1, has_media, do_age, 0, 0},
	{"the channel is lost", 2, always, do_lose_channel, 0, 0},
	{"the dataplane restarts", 1, always, do_restart, 0, 0},
	{"new keys", 8, can_hold, do_rekey, 0, 0},
	{"a second", 6, always, do_second, 0, 0},
	{"a while", 2, always, do_while, 0, 0},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static unsigned trace_from = UINT_MAX;

static void happen(struct event_kind *k)
{
	k->cnt++;
	k->last = step_now;
	note((uint64_t)(k - kinds) << 32 | it.who);
	note(it.ref);
	if (step_now >= trace_from)
		printf("%u: %s phone=%u ref=%u number=%s\n", step_now, k->what, it.who, it.ref, it.number);
	k->happens();
}

static struct event_kind *drawn(void)
{
	unsigned sum = 0, i = 0, at;

	for (size_t k = 0; k < KINDS; k++)
		sum += kinds[k].weight;
	for (at = rnd(sum); at >= kinds[i].weight; i++)
		at -= kinds[i].weight;
	return &kinds[i];
}

static void one_step(void)
{
	struct event_kind *k = &kinds[step_now % KINDS];

	if (k->last + OVERDUE < step_now && k->can()) {
		happen(k);
		return;
	}
	for (unsigned n = 0; n < 6; n++) {
		k = drawn();
		if (!k->can())
			continue;
		happen(k);
		return;
	}
}

/* Between events: nothing, a part of what is on its way, or all of it. */
static void some_turns(void)
{
	switch (rnd(8)) {
	case 0:
		break;
	case 1:
	case 2:
	case 3:
		turn();
		break;
	case 4:
	case 5:
		gateways_answer(1 + rnd(4));
		turn();
		break;
	case 6:
		disk_answers();
		break;
	default:
		gateways_answer(8);
		turn();
		disk_answers();
		turn();
		break;
	}
	time_pass(rnd(5));
}

/* While there is none, conferences may be configured otherwise. */
static void some_policy(void)
{
	w.cfg->conference.drop = (uint8_t)rnd(3);
	w.cfg->conference.add = (uint8_t)rnd(2);
	w.cfg->conference.security = rnd(4) == 0 ? CFG_LEVEL_AUTHENTICATED : CFG_LEVEL_NONE;
}

/* --- a run --- */

static void add_phone(unsigned i)
{
	static struct cp_dir_ctx quiet;
	struct cp_line line = {0};
	struct cp_device d = {.mode = CP_DEVICE_ENCRYPTED, .region = "default", .srtp = true, .lines = &line, .line_cnt = 1};
	char number[16];

	quiet = dir_ctx;
	quiet.shared = true;
	snprintf(d.name, sizeof(d.name), "SEP0000000B%04u", i);
	snprintf(number, sizeof(number), "3%03u", LINE(i));
	snprintf(line.number, sizeof(line.number), "%s", number);
	snprintf(line.pickup, sizeof(line.pickup), "70%u", i % 4);
	if (i % 6 == 5)
		snprintf(d.model, sizeof(d.model), "ACME");
	synced(cp_dir_device_put(w.store, &d, false, &quiet));
	phone_reset(&ph[i], d.name, number);
	/* every phone can G.711 u-law, which keeps all calls possible; what else differs makes transfers change the codec */
	ph[i].caps[0] = (struct cp_sccp_cap){CP_SCCP_G711U, 40};
	ph[i].caps[1] = (struct cp_sccp_cap){i % 2 == 0 ? CP_SCCP_G722 : CP_SCCP_G729A, 60};
	ph[i].caps[2] = (struct cp_sccp_cap){i % 3 == 0 ? CP_SCCP_ILBC : CP_SCCP_G711A, i % 5 == 0 ? 10 : 60};
	ph[i].cap_cnt = 3;
	set_kind(i, i % 6 < 3 ? 0 : i % 6 - 2);
	changes[i] = i % 10 == 9 && kind[i] != 3;
	comes(i);
}

static void model_begin(uint64_t seed)
{
	static char *other[] = {"700 701"};

	rng = seed * 2 + 1;
	history = 0;
	memset(&it, 0, sizeof(it));
	broken = twice = seen_cnt = made_cnt = 0;
	barges = parks = forwards = forks = big_conferences = meetmes = 0;
	memset(conferences, 0, sizeof(conferences));
	memset(dp_legs, 0, sizeof(dp_legs));
	memset(stream_clear, 0, sizeof(stream_clear));
	for (size_t k = 0; k < KINDS; k++)
		kinds[k].cnt = kinds[k].last = 0;
	seen = calloc(1u << SEEN_BITS, sizeof(*seen));
	made = calloc(1u << CALLS_BITS, sizeof(*made));
	CU_ASSERT_FATAL(seen != NULL && made != NULL);
	time_even();
	spin_ms = 0; /* how often the disk is looked at is the machine's */
	world_begin();
	w.calls->generation = 1; /* else the numbers of calls are drawn from the machine */
	add_bridge("cnf/$", 24, 6, 0);
	w.every_conn = true;
	w.fake.hook = model_dp;
	gw_hook = model_gw;
	media_hook = phone_key;
	w.no_record = true; /* the check that goes with it is test_call's */
	w.cfg->calls.park = (struct cfg_range){.first = 8000, .last = 8005, .digits = 4};
	w.cfg->calls.park_reversion_s = 30;
	w.cfg->calls.pickup_other = other;
	w.cfg->calls.pickup_other_count = 1;
	w.cfg->conference.meetme = ranges;
	w.cfg->conference.meetme_count = 2;
	w.cfg->mgcp.answer_s = 30;
	do_heal();
	add_devtype("ACME");
	for (unsigned i = 0; i < PHONES; i++)
		add_phone(i);
	rest();
	w.todo_cnt = w.todo_done = 0;
	event_del(w.store->ev);
	spin_ms = 1;
}

static void steps(unsigned n)
{
	for (step_now = 1; step_now <= n && broken < 10; step_now++) {
		one_step();
		some_turns();
		if (step_now % 4 == 0)
			look_at_calls();
		if (step_now % 256 == 0) {
			settle();
			look_at_calls();
			look_at_sessions(ailment == WELL && cp_gw_state(cp_gws_find(w.gws, "gw1")) == CP_GW_UP && can_bridge());
		}
		if (no_conference() && step_now % 512 < 4)
			some_policy();
		if (w.todo_cnt > 900 && w.todo_done == w.todo_cnt)
			w.todo_cnt = w.todo_done = 0;
		if (step_now % 64 == 0)
			w.fake.n = 0;
	}
}

/* Everybody hangs up, whatever is under way. Then gateways, if they had been away, are told what they have not been told yet. */
static void all_hang_up(void)
{
	do_heal();
	w.refuse_type = 0;
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < PHONES; i++) {
			struct agent *a;

			ph[i].dead = false;
			if (!registered[i])
				comes(i);
			while ((a = agent_of(i)) != NULL && a->parties != NULL)
				call_end(a->parties->call, "the test is over");
		}
		for (unsigned s = 0; s < 15; s++) {
			if (can_gateway()) /* two lines that were left to each other */
				do_hang_up();
			lasts(4000);
			if (w.todo_done == w.todo_cnt)
				w.todo_cnt = w.todo_done = 0;
		}
	}
	settle();
	HOLDS(w.calls->confs == NULL);
	look_at_sessions(true);
	HOLDS(bridge_conns() == 0);
	HOLDS(cp_ports_used(w.calls->ports) == 0 && cp_keys_used(w.calls->keys) == 0);
}

static void model_end(void)
{
	media_hook = NULL;
	gw_hook = NULL;
	event_add(w.store->ev, NULL);
	rest();
	look_at_records();
	w.cfg->calls.pickup_other = NULL;
	w.cfg->calls.pickup_other_count = 0;
	w.cfg->conference.meetme = NULL;
	w.cfg->conference.meetme_count = 0;
	world_end();
	free(seen);
	free(made);
}

static uint64_t run(uint64_t seed, unsigned n)
{
	uint64_t ret;

	model_begin(seed);
	steps(n);
	all_hang_up();
	ret = history;
	model_end();
	return ret;
}

/* A seed is a run: what happened, and what came of it. */
static void test_repeats(void)
{
	uint64_t first = run(4711, 1000);

	CU_ASSERT_EQUAL(run(4711, 1000), first);
	CU_ASSERT_NOT_EQUAL(run(4712, 1000), first);
}

static unsigned number_of(const char *name, unsigned usual)
{
	return getenv(name) != NULL ? (unsigned)strtoul(getenv(name), NULL, 0) : usual;
}

static void test_random(void)
{
	unsigned n = number_of("RAVELIN_STEPS", getenv("RAVELIN_FULL") != NULL ? 1000000 : 15000);
	const char *seed = getenv("RAVELIN_SEED") != NULL ? getenv("RAVELIN_SEED") : SEED;

	printf("again: RAVELIN_SEED=%s RAVELIN_STEPS=%u tests/unit/test_callmodel\n", seed, n);
	fflush(stdout);
	model_begin(strtoull(seed, NULL, 0));
	steps(n);
	printf("%u rang beside others; barges %u, parked %u, forwarded %u, meet-me %u, more than three %u; conferences: %u %u %u\n", forks, barges,
	       parks, forwards, meetmes, big_conferences, conferences[CP_SEC_NOT_SECURE], conferences[CP_SEC_AUTHENTICATED],
	       conferences[CP_SEC_ENCRYPTED]);
	for (size_t k = 0; k < KINDS; k++) {
		if (kinds[k].cnt == 0)
			printf("never: %s\n", kinds[k].what);
		CU_ASSERT_TRUE(kinds[k].cnt > 0 || n < 15000);
	}
	CU_ASSERT_TRUE((forks > 0 && barges > 0 && parks > 0 && forwards > 0 && meetmes > 0 && big_conferences > 0) || n < 15000);
	CU_ASSERT_TRUE((conferences[1] > 0 && conferences[2] > 0 && conferences[3] > 0) || n < 15000);
	printf("%llu calls, %llu of them connected, %u keys, %u of them twice\n", (unsigned long long)w.calls->total,
	       (unsigned long long)(w.calls->completed[1] + w.calls->completed[2] + w.calls->completed[3]), seen_cnt, twice);
	all_hang_up();
	model_end();
	if (broken > 0)
		printf("failed: RAVELIN_SEED=%s RAVELIN_STEPS=%u RAVELIN_TRACE=1 tests/unit/test_callmodel\n", seed, n);
}

static CU_TestInfo tests[] = {
	{"a seed is a run", test_repeats},
	{"random events", test_random},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	trace_from = number_of("RAVELIN_TRACE", UINT_MAX);
	cfg_log_init("test", CFG_LOG_KV, getenv("RAVELIN_TRACE") != NULL ? CFG_LOG_INFO : CFG_LOG_ERR);
	return 0;
}

#include "suite.h"
SUITE_MAIN("callmodel", tests, setup, NULL)
