/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/shards.c against a dataplane's end made here that keeps a map as the real one does: one move at a time, an
 * answer for each that is asked, and what is remembered over a restart of either side.
 */
#include <errno.h>
#include <jansson.h>

#include <CUnit/CUnit.h>

#include "fake_dp.h"
#include "shards.h"

#define WORKERS 3

static struct event_base *base;
static struct fake_dp dp;
static char dir[] = "/tmp/rv-shards-XXXXXX";
static struct cp_dp *client;
static struct cp_shards *shards;
static int ups, downs, moves_running, most_running;
static bool hold;            /* moves are accepted and not ended */
static int end_rc, reply_rc; /* what the dataplane says to the next moves */

/* One that asks. */
struct asked {
	unsigned int calls;
	int rc;
	bool event;
	struct dp_shard_moved ev;
};

static void on_moved(void *ctx, int rc, const struct dp_shard_moved *ev)
{
	struct asked *a = ctx;

	a->calls++;
	a->rc = rc;
	a->event = ev != NULL;
	if (ev != NULL)
		a->ev = *ev;
}

static void on_up(void *ctx, bool fresh)
{
	(void)ctx;
	ups++;
	cp_shards_up(shards, client, fresh);
}

static void on_down(void *ctx)
{
	(void)ctx;
	downs++;
	cp_shards_down(shards);
}

static void on_shard(void *ctx, const struct dp_shard_moved *ev)
{
	(void)ctx;
	cp_shards_moved(shards, ev);
}

static const struct cp_dp_ops ops = {.up = on_up, .down = on_down, .shard_moved = on_shard};

static void ended(uint32_t shard, uint32_t worker)
{
	struct dp_shard_moved ev = {.shard = shard, .from = (uint32_t)dp.page->shard_worker[shard], .to = worker,
				    .took_us = 1000 + shard, .rc = end_rc};

	if (end_rc == 0)
		dp.page->shard_worker[shard] = worker;
	moves_running--;
	fake_send(&dp, &ev, DP_MSG_SHARD_MOVED, sizeof(ev), 0);
}

static int on_command(struct fake_dp *f, const union fake_msg *m)
{
	struct dp_shard_move mv;

	(void)f;
	if (m->hdr.type != DP_MSG_SHARD_MOVE)
		return 0;
	if (reply_rc < 0)
		return reply_rc;
	memcpy(&mv, m, sizeof(mv));
	moves_running++;
	most_running = moves_running > most_running ? moves_running : most_running;
	if (!hold)
		ended(mv.shard, mv.worker);
	return 0;
}

/* A dataplane as it is after its start. */
static void dataplane_up(void)
{
	fake_start(&dp, base, dir);
	dp.hook = on_command;
	dp.page->worker_cnt = WORKERS; /* their blocks reach into the legs', which nobody reads here */
	for (uint32_t s = 0; s < DP_SHARDS; s++)
		dp.page->shard_worker[s] = s % WORKERS;
	moves_running = 0;
}

static void controlplane_up(void)
{
	int had = ups;

	shards = cp_shards_create();
	CU_ASSERT_PTR_NOT_NULL_FATAL(shards);
	client = cp_dp_create(base, dir, 99, 3, 16384, &ops, NULL);
	LOOP_UNTIL(base, ups > had, 20000);
	CU_ASSERT_EQUAL_FATAL(ups, had + 1);
}

static void controlplane_down(void)
{
	cp_dp_close(client); /* in main.c's order */
	cp_shards_destroy(shards);
	shards = NULL;
	cp_dp_destroy(client);
}

static void begin(void)
{
	memset(&dp, 0, sizeof(dp));
	ups = downs = moves_running = most_running = end_rc = reply_rc = 0;
	hold = false;
	dp.media_addrs = 3;
	base = event_base_new();
	dataplane_up();
	controlplane_up();
}

static void end(void)
{
	controlplane_down();
	fake_stop(&dp);
	event_base_free(base);
}

static uint32_t at(uint32_t shard)
{
	return (uint32_t)dp.page->shard_worker[shard];
}

/* What 'show shards' says of one. */
static bool shown(uint32_t shard, uint32_t worker, bool moved)
{
	json_t *list = cp_shards_show(shards), *o = json_array_get(list, shard);
	bool same = json_array_size(list) == DP_SHARDS && json_integer_value(json_object_get(o, "shard")) == shard &&
		    json_integer_value(json_object_get(o, "worker")) == worker &&
		    json_is_true(json_object_get(o, "moved")) == moved;

	json_decref(list);
	return same;
}

static unsigned int commands(void)
{
	return fake_seen(&dp, DP_MSG_SHARD_MOVE, NULL);
}

static void test_a_move_is_answered(void)
{
	struct asked a = {0}, b = {0};

	begin();
	CU_ASSERT_TRUE(shown(5, 2, false));
	CU_ASSERT_EQUAL(cp_shards_move(shards, 5, 0, on_moved, &a), 0);
	LOOP_UNTIL(base, a.calls > 0, 20000);
	CU_ASSERT_EQUAL(a.calls, 1);
	CU_ASSERT_EQUAL(a.rc, 0);
	CU_ASSERT_TRUE(a.event && a.ev.shard == 5 && a.ev.from == 2 && a.ev.to == 0 && a.ev.took_us == 1005);
	CU_ASSERT_TRUE(shown(5, 0, true));
	CU_ASSERT_TRUE(shown(4, 1, false));
	/* home again: nothing to remember */
	CU_ASSERT_EQUAL(cp_shards_move(shards, 5, 2, on_moved, &b), 0);
	LOOP_UNTIL(base, b.calls > 0, 20000);
	CU_ASSERT_EQUAL(b.rc, 0);
	CU_ASSERT_TRUE(shown(5, 2, false));
	CU_ASSERT_EQUAL(commands(), 2);
	end();
}

static void test_what_cannot_be_is_refused(void)
{
	struct asked a = {0}, b = {0};

	begin();
	CU_ASSERT_EQUAL(cp_shards_move(shards, DP_SHARDS, 0, on_moved, &a), -EINVAL);
	CU_ASSERT_EQUAL(cp_shards_move(shards, UINT32_MAX, 0, on_moved, &a), -EINVAL);
	CU_ASSERT_EQUAL(cp_shards_move(shards, 0, WORKERS, on_moved, &a), -EINVAL);
	hold = true;
	CU_ASSERT_EQUAL(cp_shards_move(shards, 7, 0, on_moved, &a), 0);
	CU_ASSERT_EQUAL(cp_shards_move(shards, 7, 2, on_moved, &b), -EBUSY);
	LOOP_UNTIL(base, moves_running == 1, 20000);
	CU_ASSERT_EQUAL(cp_shards_move(shards, 7, 2, on_moved, &b), -EBUSY);
	ended(7, 0);
	LOOP_UNTIL(base, a.calls > 0, 20000);
	CU_ASSERT_EQUAL(a.calls, 1);
	CU_ASSERT_EQUAL(b.calls, 0);
	CU_ASSERT_EQUAL(cp_shards_move(shards, 7, 2, on_moved, &b), 0);
	LOOP_UNTIL(base, moves_running == 1, 20000);
	ended(7, 2);
	LOOP_UNTIL(base, b.calls > 0, 20000);
	CU_ASSERT_EQUAL(b.rc, 0);
	end();
}

static void test_one_at_a_time_and_all_of_them(void)
{
	static struct asked a[DP_SHARDS];
	unsigned int answered = 0;

	begin();
	memset(a, 0, sizeof(a));
	hold = true;
	for (uint32_t s = 0; s < DP_SHARDS; s++)
		CU_ASSERT_EQUAL_FATAL(cp_shards_move(shards, s, (s + 1) % WORKERS, on_moved, &a[s]), 0);
	for (uint32_t n = 0; n < DP_SHARDS; n++) {
		const union fake_msg *m = NULL;
		struct dp_shard_move mv;

		LOOP_UNTIL(base, commands() == n + 1 && moves_running == 1, 20000);
		CU_ASSERT_EQUAL_FATAL(fake_seen(&dp, DP_MSG_SHARD_MOVE, &m), n + 1);
		memcpy(&mv, m, sizeof(mv));
		ended(mv.shard, mv.worker);
	}
	LOOP_UNTIL(base, a[DP_SHARDS - 1].calls > 0, 20000);
	for (uint32_t s = 0; s < DP_SHARDS; s++) {
		answered += a[s].calls == 1 && a[s].rc == 0;
		CU_ASSERT_EQUAL(at(s), (s + 1) % WORKERS);
	}
	CU_ASSERT_EQUAL(answered, DP_SHARDS);
	CU_ASSERT_EQUAL(most_running, 1);
	end();
}

static void test_refusals_reach_who_asked_and_the_next_goes_on(void)
{
	struct asked a = {0}, b = {0}, c = {0}, d = {0};

	begin();
	/* by the event: nothing was changed */
	end_rc = -EBUSY;
	CU_ASSERT_EQUAL(cp_shards_move(shards, 3, 1, on_moved, &a), 0);
	LOOP_UNTIL(base, a.calls > 0, 20000);
	CU_ASSERT_EQUAL(a.rc, -EBUSY);
	CU_ASSERT_TRUE(shown(3, 0, false));
	/* by the answer */
	end_rc = 0;
	reply_rc = -EAGAIN;
	CU_ASSERT_EQUAL(cp_shards_move(shards, 3, 1, on_moved, &b), 0);
	CU_ASSERT_EQUAL(cp_shards_move(shards, 4, 2, on_moved, &c), 0);
	LOOP_UNTIL(base, b.calls > 0, 20000);
	reply_rc = 0;
	LOOP_UNTIL(base, c.calls > 0, 20000);
	CU_ASSERT_EQUAL(b.rc, -EAGAIN);
	CU_ASSERT_FALSE(b.event);
	CU_ASSERT_EQUAL(c.calls, 1);
	CU_ASSERT_TRUE(shown(3, 0, false));
	/* it is there already */
	dp.page->shard_worker[9] = 1;
	end_rc = -EALREADY;
	CU_ASSERT_EQUAL(cp_shards_move(shards, 9, 1, on_moved, &d), 0);
	LOOP_UNTIL(base, d.calls > 0, 20000);
	CU_ASSERT_EQUAL(d.rc, -EALREADY);
	CU_ASSERT_TRUE(d.event);
	CU_ASSERT_TRUE(shown(9, 1, true));
	end();
}

static void test_a_dataplane_that_goes_ends_what_waits(void)
{
	struct asked a = {0}, b = {0}, c = {0}, d = {0};
	struct dp_shard_moved none = {.shard = DP_SHARDS, .to = 1};

	begin();
	hold = true;
	CU_ASSERT_EQUAL(cp_shards_move(shards, 10, 0, on_moved, &a), 0);
	CU_ASSERT_EQUAL(cp_shards_move(shards, 11, 0, on_moved, &b), 0);
	LOOP_UNTIL(base, moves_running == 1, 20000);
	fake_hangup(&dp);
	LOOP_UNTIL(base, downs == 1, 20000);
	CU_ASSERT_EQUAL(a.calls, 1);
	CU_ASSERT_EQUAL(b.calls, 1);
	CU_ASSERT_EQUAL(a.rc, -ENOTCONN);
	CU_ASSERT_EQUAL(b.rc, -ENOTCONN);
	CU_ASSERT_EQUAL(cp_shards_move(shards, 12, 1, on_moved, &c), -ENOTCONN);
	CU_ASSERT_PTR_NULL(cp_shards_show(shards));
	LOOP_UNTIL(base, ups == 2, 20000);
	/* its move went on without us: the event of one that nobody waits for counts as what there is, and ends no other */
	CU_ASSERT_EQUAL(cp_shards_move(shards, 13, 0, on_moved, &d), 0);
	LOOP_UNTIL(base, moves_running == 2, 20000);
	dp.n = 0;
	ended(10, 0);
	fake_send(&dp, &none, DP_MSG_SHARD_MOVED, sizeof(none), 0); /* no shard at all */
	LOOP_UNTIL(base, false, 50);
	CU_ASSERT_EQUAL(d.calls, 0);
	CU_ASSERT_EQUAL(commands(), 0);
	ended(13, 0);
	LOOP_UNTIL(base, d.calls > 0, 20000);
	CU_ASSERT_EQUAL(d.calls, 1);
	CU_ASSERT_EQUAL(d.rc, 0);
	CU_ASSERT_EQUAL(a.calls, 1);
	CU_ASSERT_TRUE(shown(10, 0, true));
	CU_ASSERT_EQUAL(c.calls, 0);
	end();
}

static void test_a_dataplane_that_starts_anew_gets_its_moves_again(void)
{
	struct asked a = {0}, b = {0}, c = {0};

	begin();
	CU_ASSERT_EQUAL(cp_shards_move(shards, 20, 0, on_moved, &a), 0);
	CU_ASSERT_EQUAL(cp_shards_move(shards, 21, 1, on_moved, &b), 0);
	CU_ASSERT_EQUAL(cp_shards_move(shards, 22, 0, on_moved, &c), 0);
	LOOP_UNTIL(base, a.calls + b.calls + c.calls == 3, 20000);
	CU_ASSERT_EQUAL(cp_shards_move(shards, 22, 22 % WORKERS, on_moved, &c), 0); /* home */
	LOOP_UNTIL(base, c.calls == 2, 20000);
	fake_stop(&dp);
	dp.n = 0;
	dataplane_up();
	LOOP_UNTIL(base, ups == 2 && at(20) == 0 && at(21) == 1, 20000);
	CU_ASSERT_EQUAL(at(20), 0);
	CU_ASSERT_EQUAL(at(21), 1);
	CU_ASSERT_EQUAL(commands(), 2);
	LOOP_UNTIL(base, false, 20);
	CU_ASSERT_TRUE(shown(20, 0, true));
	CU_ASSERT_TRUE(shown(21, 1, true));
	CU_ASSERT_TRUE(shown(22, 1, false));
	CU_ASSERT_EQUAL(a.calls + b.calls + c.calls, 4); /* nobody asked for these */
	/* one worker less: what cannot be done is not tried, and is remembered */
	fake_stop(&dp);
	dp.n = 0;
	dataplane_up();
	dp.page->worker_cnt = 1;
	for (uint32_t s = 0; s < DP_SHARDS; s++)
		dp.page->shard_worker[s] = 0;
	LOOP_UNTIL(base, ups == 3, 20000);
	LOOP_UNTIL(base, false, 50);
	CU_ASSERT_EQUAL(commands(), 0);
	end();
}

static void test_a_controlplane_that_starts_anew_knows(void)
{
	struct asked a = {0};

	begin();
	CU_ASSERT_EQUAL(cp_shards_move(shards, 30, 2, on_moved, &a), 0);
	LOOP_UNTIL(base, a.calls == 1, 20000);
	controlplane_down();
	dp.n = 0;
	controlplane_up();
	CU_ASSERT_TRUE(shown(30, 2, true));
	CU_ASSERT_TRUE(shown(31, 1, false));
	CU_ASSERT_EQUAL(commands(), 0);
	/* and does it again for the next dataplane */
	fake_stop(&dp);
	dp.n = 0;
	dataplane_up();
	LOOP_UNTIL(base, at(30) == 2, 20000);
	CU_ASSERT_EQUAL(at(30), 2);
	CU_ASSERT_EQUAL(commands(), 1);
	end();
}

static void test_an_end_tells_who_waits(void)
{
	struct asked a = {0};

	begin();
	hold = true;
	CU_ASSERT_EQUAL(cp_shards_move(shards, 1, 0, on_moved, &a), 0);
	end();
	CU_ASSERT_EQUAL(a.calls, 1);
	CU_ASSERT_EQUAL(a.rc, -ENOTCONN);
}

static int setup(void)
{
	return mkdtemp(dir) == NULL;
}

static int teardown(void)
{
	return rmdir(dir);
}

static CU_TestInfo tests[] = {
	{"a move is answered", test_a_move_is_answered},
	{"what cannot be is refused", test_what_cannot_be_is_refused},
	{"one at a time, and all of them", test_one_at_a_time_and_all_of_them},
	{"refusals reach who asked, and the next goes on", test_refusals_reach_who_asked_and_the_next_goes_on},
	{"a dataplane that goes ends what waits", test_a_dataplane_that_goes_ends_what_waits},
	{"a dataplane that starts anew gets its moves again", test_a_dataplane_that_starts_anew_gets_its_moves_again},
	{"a controlplane that starts anew knows", test_a_controlplane_that_starts_anew_knows},
	{"an end tells who waits", test_an_end_tells_who_waits},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("shards", tests, setup, teardown)
