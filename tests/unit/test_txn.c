/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/mgcp/txn.c: timers, provisional answers, the at-most-once cache, order, bounds; and two
 * engines over a network that loses, doubles and reorders: each command is executed once, each
 * caller gets one result.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "mgcp/txn.h"

#define MS 1000ull
#define S  1000000ull

/* --- one engine, hand-driven --- */

static struct {
	uint64_t now;
	int transmit_rc;
	unsigned tx, ends, responds;
	uint64_t tx_at[64];
	uint32_t tid[64], slot[64], tries;
	struct dp_txn_end end;
	uint32_t end_slot;
	uint32_t resp_tid;
	uint16_t resp_code;
	bool resp_ask;
	struct dp_mgcp_range confirm[DP_TXN_CONFIRM_MAX];
	uint16_t confirm_cnt;
} t;

static int h_transmit(void *ctx, uint32_t peer, uint32_t slot, uint32_t tid, uint32_t try,
                      const struct dp_mgcp_range *confirm, uint16_t n)
{
	(void)ctx;
	(void)peer;
	t.tx_at[t.tx % 64] = t.now;
	t.tid[t.tx % 64] = tid;
	t.slot[t.tx % 64] = slot;
	t.tx++;
	t.tries = try;
	memcpy(t.confirm, confirm, n * sizeof(*confirm));
	t.confirm_cnt = n;
	return t.transmit_rc;
}

static void h_end(void *ctx, uint32_t peer, uint32_t slot, const struct dp_txn_end *end)
{
	(void)ctx;
	(void)peer;
	t.end = *end;
	t.end_slot = slot;
	t.ends++;
}

static void h_respond(void *ctx, uint32_t peer, uint32_t in, uint32_t tid, uint16_t code, bool ask)
{
	(void)ctx;
	(void)peer;
	(void)in;
	t.resp_tid = tid;
	t.resp_code = code;
	t.resp_ask = ask;
	t.responds++;
}

static const struct dp_txn_ops ops = {h_transmit, h_end, h_respond};

static struct dp_txn *engine(uint64_t seed)
{
	memset(&t, 0, sizeof(t));
	t.now = 1 * S;
	return dp_txn_create(&ops, NULL, 4, 512, 4096, seed);
}

static uint32_t start(struct dp_txn *e, uint32_t peer, uint64_t order)
{
	uint32_t slot = UINT32_MAX;

	CU_ASSERT_EQUAL_FATAL(dp_txn_take(e, peer, &slot), 0);
	dp_txn_start(e, slot, order, t.now);
	return slot;
}

static void run_until(struct dp_txn *e, uint64_t end)
{
	for (;;) {
		uint64_t next = dp_txn_tick(e, t.now);

		if (next > end)
			break;
		if (next > t.now)
			t.now = next;
	}
	t.now = end;
}

static bool near(uint64_t us, uint64_t want)
{
	return us >= want - want / 8 - 1 && us <= want + want / 8 + 1;
}

static void test_backoff_and_give_up(void)
{
	struct dp_txn *e = engine(7);
	static const uint64_t want[] = {200 * MS,  400 * MS,  800 * MS,
	                                1600 * MS, 3200 * MS, 4000 * MS};

	start(e, 0, 0);
	run_until(e, 100 * S);
	CU_ASSERT_EQUAL(t.tx, DP_TXN_MAX2);
	for (unsigned i = 1; i < t.tx; i++) {
		CU_ASSERT_TRUE(near(t.tx_at[i] - t.tx_at[i - 1], want[i - 1]));
		CU_ASSERT_EQUAL(t.tid[i], t.tid[0]);
	}
	CU_ASSERT_EQUAL(t.ends, 1);
	CU_ASSERT_EQUAL(t.end.rc, -ETIMEDOUT);
	CU_ASSERT_TRUE(t.end.suspect);
	CU_ASSERT_EQUAL(dp_txn_out_cnt(e), 0);
	CU_ASSERT_EQUAL(dp_txn_tick(e, t.now), UINT64_MAX);
	dp_txn_destroy(e);
}

static void test_gives_up_at_t_max(void)
{
	struct dp_txn *e = engine(7);
	uint64_t begin = t.now;

	start(e, 0, 0);
	run_until(e, begin + DP_TXN_T_MAX_US - 1);
	CU_ASSERT_EQUAL(t.ends, 0);
	/* an answer in the last moment still counts */
	CU_ASSERT_EQUAL(dp_txn_answer(e, 0, t.tid[0], 200, false, &t, t.now), 0);
	CU_ASSERT(t.ends == 1 && t.end.rc == 0 && t.end.code == 200 && t.end.answer == &t);
	CU_ASSERT_EQUAL(t.end.tries, DP_TXN_MAX2);
	start(e, 0, 0);
	begin = t.now;
	run_until(e, begin + DP_TXN_T_MAX_US);
	CU_ASSERT_EQUAL(t.ends, 2);
	dp_txn_destroy(e);
}

static void test_timer_follows_round_trip(void)
{
	struct dp_txn *e = engine(7);
	unsigned before;

	for (int i = 0; i < 30; i++) {
		start(e, 0, 0);
		run_until(e, t.now + 150 * MS);
		dp_txn_answer(e, 0, t.tid[(t.tx - 1) % 64], 200, false, NULL, t.now);
		CU_ASSERT_EQUAL(t.end.rtt_us, 150 * MS);
	}
	CU_ASSERT_EQUAL(t.tx, 30);
	before = t.tx;
	start(e, 0, 0); /* deviation is about nothing now: repeats after about 200 ms */
	run_until(e, t.now + 170 * MS);
	CU_ASSERT_EQUAL(t.tx, before + 1);
	run_until(e, t.now + 60 * MS);
	CU_ASSERT_EQUAL(t.tx, before + 2);
	/* answers to a repeat are not measured; another peer starts at 200 ms */
	start(e, 1, 0);
	before = t.tx;
	run_until(e, t.now + 170 * MS);
	CU_ASSERT(t.tx <= before + 1);
	/* a slow one raises it */
	dp_txn_peer_reset(e, 0);
	dp_txn_peer_reset(e, 1);
	for (int i = 0; i < 30; i++) {
		start(e, 2, 0);
		t.now += 900 * MS; /* no tick: a single transmission */
		dp_txn_answer(e, 2, t.tid[(t.tx - 1) % 64], 200, false, NULL, t.now);
	}
	before = t.tx;
	start(e, 2, 0);
	run_until(e, t.now + 980 * MS);
	CU_ASSERT_EQUAL(t.tx, before + 1);
	dp_txn_destroy(e);
}

static void test_provisional(void)
{
	struct dp_txn *e = engine(7);
	uint64_t begin = t.now;

	start(e, 0, 0);
	CU_ASSERT_EQUAL(dp_txn_answer(e, 0, t.tid[0], 100, false, NULL, t.now + 50 * MS), 0);
	CU_ASSERT_EQUAL(t.ends, 0);
	run_until(e, begin + 4 * S);
	CU_ASSERT_EQUAL(t.tx, 1);
	run_until(e, begin + 16 * S); /* LONGTRAN */
	CU_ASSERT_EQUAL(t.tx, 4);
	dp_txn_answer(e, 0, t.tid[0], 101, false, NULL, t.now); /* each renews T-MAX */
	run_until(e, begin + 35 * S);
	CU_ASSERT_EQUAL(t.ends, 0);
	CU_ASSERT_EQUAL(dp_txn_answer(e, 0, t.tid[0], 200, true, NULL, t.now),
	                0); /* with an empty K: */
	CU_ASSERT(t.ends == 1 && t.end.code == 200);
	CU_ASSERT(t.responds == 1 && t.resp_code == 0 && t.resp_tid == t.tid[0]);
	CU_ASSERT_EQUAL(dp_txn_answer(e, 0, t.tid[0], 200, true, NULL, t.now),
	                -ENOENT); /* our 000 was lost */
	CU_ASSERT_EQUAL(t.responds, 2);
	CU_ASSERT_EQUAL(dp_txn_answer(e, 0, t.tid[0], 200, false, NULL, t.now), -ENOENT);
	CU_ASSERT_EQUAL(t.responds, 2);
	/* a peer that says 100 for ever does not hold a slot for ever */
	start(e, 0, 0);
	begin = t.now;
	while (t.ends == 1 && t.now < begin + 200 * S) {
		dp_txn_answer(e, 0, t.tid[(t.tx - 1) % 64], 100, false, NULL, t.now);
		run_until(e, t.now + 1 * S);
	}
	CU_ASSERT_EQUAL(t.end.rc, -ETIMEDOUT);
	CU_ASSERT(t.now - begin <= DP_TXN_LONG_MAX_US + 1 * S);
	dp_txn_destroy(e);
}

static void test_only_the_peer_answers(void)
{
	struct dp_txn *e = engine(7);

	start(e, 0, 0);
	CU_ASSERT_EQUAL(dp_txn_answer(e, 1, t.tid[0], 200, false, NULL, t.now), -ENOENT);
	CU_ASSERT_EQUAL(dp_txn_answer(e, 0, t.tid[0] + 1, 200, false, NULL, t.now), -ENOENT);
	CU_ASSERT_EQUAL(t.ends, 0);
	dp_txn_destroy(e);
}

static void test_answers_are_confirmed(void)
{
	struct dp_txn *e = engine(41);
	uint32_t tid[4];

	for (int i = 0; i < 4; i++) {
		start(e, 0, 0);
		tid[i] = t.tid[i];
	}
	for (int i = 0; i < 4; i++)
		if (i != 2)
			dp_txn_answer(e, 0, tid[i], 200, false, NULL, t.now);
	start(e, 1, 0); /* another peer's command confirms nothing of this one */
	CU_ASSERT_EQUAL(t.confirm_cnt, 0);
	start(e, 0, 0);
	CU_ASSERT_EQUAL(t.confirm_cnt, 2);
	CU_ASSERT(t.confirm[0].first == tid[0] && t.confirm[0].last == tid[1] &&
	          t.confirm[1].first == tid[3]);
	run_until(e, t.now + 300 * MS); /* repeated: the same message */
	start(e, 0, 0);
	CU_ASSERT_EQUAL(t.confirm_cnt, 0);
	dp_txn_destroy(e);
}

/* osmo-mgw does: the command comes again without, once, and no K: from then on. */
static void test_peer_refuses_confirmation(void)
{
	struct dp_txn *e = engine(41);

	start(e, 0, 0);
	dp_txn_answer(e, 0, t.tid[0], 200, false, NULL, t.now);
	start(e, 0, 0);
	CU_ASSERT(t.confirm_cnt == 1 && t.ends == 1);
	dp_txn_answer(e, 0, t.tid[1], 539, false, NULL, t.now);
	CU_ASSERT(t.tx == 3 && t.ends == 1 && t.confirm_cnt == 0 && t.tid[2] != t.tid[1] &&
	          t.slot[2] == t.slot[1]);
	CU_ASSERT_EQUAL(dp_txn_answer(e, 0, t.tid[1], 539, false, NULL, t.now), -ENOENT);
	dp_txn_answer(e, 0, t.tid[2], 539, false, NULL, t.now); /* means it */
	CU_ASSERT(t.tx == 3 && t.ends == 2 && t.end.code == 539);
	start(e, 0, 0);
	CU_ASSERT_EQUAL(t.confirm_cnt, 0);
	/* the second attempt may be the one that must not leave */
	start(e, 1, 0);
	dp_txn_answer(e, 1, t.tid[4], 200, false, NULL, t.now);
	start(e, 1, 9);
	start(e, 1, 9);
	t.transmit_rc = -ENOKEY;
	dp_txn_answer(e, 1, t.tid[5], 511, false, NULL, t.now);
	CU_ASSERT(t.ends == 5 && t.end.rc == -ENOKEY);
	dp_txn_destroy(e);
}

static void test_refused_transmission_ends(void)
{
	struct dp_txn *e = engine(7);

	t.transmit_rc = -ENOKEY;
	start(e, 0, 5);
	CU_ASSERT(t.ends == 1 && t.end.rc == -ENOKEY && t.end.tries == 1);
	t.transmit_rc = -EAGAIN; /* lost on the way */
	start(e, 0, 5);
	start(e, 0, 5);
	start(e, 0, 5);
	CU_ASSERT(t.ends == 1 && t.tx == 2);
	t.transmit_rc = -ENOKEY; /* the SA died: this one, and those behind it at once */
	run_until(e, t.now + 300 * MS);
	CU_ASSERT(t.ends == 4 && t.tx == 5);
	CU_ASSERT_EQUAL(dp_txn_out_cnt(e), 0);
	dp_txn_destroy(e);
}

static void test_order_and_window(void)
{
	struct dp_txn *e = engine(7);
	uint32_t a = start(e, 0, 11), b = start(e, 0, 11), c = start(e, 0, 12), slot;

	CU_ASSERT_EQUAL(t.tx, 2);
	CU_ASSERT(t.slot[0] == a && t.slot[1] == c);
	dp_txn_answer(e, 0, t.tid[0], 400, false, NULL, t.now);
	CU_ASSERT(t.tx == 3 && t.slot[2] == b);
	dp_txn_peer_reset(e, 0);
	CU_ASSERT(t.ends == 3 && t.end.rc == -ECANCELED);
	t.tx = 0;
	for (unsigned i = 0; i < DP_TXN_WINDOW + DP_TXN_QUEUE; i++)
		start(e, 0, 0);
	CU_ASSERT_EQUAL(t.tx, DP_TXN_WINDOW);
	CU_ASSERT_EQUAL(dp_txn_take(e, 0, &slot), -ENOSPC);
	CU_ASSERT_EQUAL(dp_txn_take(e, 1, &slot), 0); /* other peers do not notice */
	dp_txn_put(e, slot);
	t.ends = 0;
	dp_txn_peer_reset(e, 0);
	CU_ASSERT_EQUAL(t.ends, DP_TXN_WINDOW + DP_TXN_QUEUE);
	CU_ASSERT_EQUAL(dp_txn_out_cnt(e), 0);
	dp_txn_destroy(e);
}

static void test_identifiers_wrap(void)
{
	struct dp_txn *e = engine(DP_MGCP_TID_MAX - 3); /* first one: seed % max + 1 */

	for (int i = 0; i < 5; i++)
		start(e, 0, 0);
	CU_ASSERT_EQUAL(t.tid[0], DP_MGCP_TID_MAX - 2);
	CU_ASSERT_EQUAL(t.tid[2], DP_MGCP_TID_MAX);
	CU_ASSERT_EQUAL(t.tid[3], 1);
	dp_txn_destroy(e);
}

static void test_at_most_once(void)
{
	struct dp_txn *e = engine(7);
	uint32_t in, gen, peer;

	CU_ASSERT_EQUAL(dp_txn_command(e, 0, 77, true, t.now, &in), DP_TXN_NEW);
	CU_ASSERT_TRUE(dp_txn_executing(e, in, &gen, &peer));
	CU_ASSERT_EQUAL(dp_txn_respond(e, in, 200, t.now), 0);
	CU_ASSERT(t.responds == 1 && t.resp_code == 200 && t.resp_tid == 77 && !t.resp_ask);
	CU_ASSERT_EQUAL(dp_txn_respond(e, in, 200, t.now), -ENOENT);
	CU_ASSERT_EQUAL(dp_txn_command(e, 0, 77, true, t.now + 29 * S, &in), DP_TXN_REPEATED);
	CU_ASSERT_EQUAL(t.responds, 2);
	CU_ASSERT_EQUAL(dp_txn_command(e, 1, 77, true, t.now, &in),
	                DP_TXN_NEW); /* another peer's */
	dp_txn_forget(e, in);
	CU_ASSERT_EQUAL(dp_txn_command(e, 1, 77, true, t.now, &in), DP_TXN_NEW);
	run_until(e, t.now + 31 * S);
	CU_ASSERT_EQUAL(dp_txn_in_cnt(e), 0);
	CU_ASSERT_EQUAL(dp_txn_command(e, 0, 77, true, t.now, &in), DP_TXN_NEW);
	dp_txn_destroy(e);
}

static void test_repeat_while_executing(void)
{
	struct dp_txn *e = engine(7);
	uint32_t in;

	/* 0.1: nothing, and a plain answer */
	dp_txn_command(e, 0, 1, false, t.now, &in);
	CU_ASSERT_EQUAL(dp_txn_command(e, 0, 1, false, t.now, &in), DP_TXN_REPEATED);
	CU_ASSERT_EQUAL(t.responds, 0);
	dp_txn_respond(e, in, 200, t.now);
	CU_ASSERT(t.responds == 1 && !t.resp_ask);
	/* 1.0: 100, and an answer repeated until 000 */
	t.responds = 0;
	dp_txn_command(e, 0, 2, true, t.now, &in);
	CU_ASSERT_EQUAL(dp_txn_command(e, 0, 2, true, t.now, &in), DP_TXN_REPEATED);
	CU_ASSERT(t.responds == 1 && t.resp_code == 100 && !t.resp_ask);
	dp_txn_respond(e, in, 250, t.now);
	CU_ASSERT(t.responds == 2 && t.resp_code == 250 && t.resp_ask);
	run_until(e, t.now + 1 * S);
	CU_ASSERT(t.responds >= 4);
	dp_txn_confirmed(e, 0, &(struct dp_mgcp_range){2, 2}, 1, t.now);
	t.responds = 0;
	run_until(e, t.now + 10 * S);
	CU_ASSERT_EQUAL(t.responds, 0);
	/* confirmed: a late twin is neither executed nor answered */
	CU_ASSERT_EQUAL(dp_txn_command(e, 0, 2, true, t.now, &in), DP_TXN_REPEATED);
	CU_ASSERT_EQUAL(t.responds, 0);
	dp_txn_destroy(e);
}

static void test_confirm_ranges(void)
{
	struct dp_txn *e = engine(7);
	uint32_t in;

	for (uint32_t tid = 100; tid < 200; tid++) {
		dp_txn_command(e, 0, tid, true, t.now, &in);
		dp_txn_respond(e, in, 200, t.now);
	}
	dp_txn_command(e, 0, 300, true, t.now, &in); /* executing: cannot be confirmed */
	dp_txn_confirmed(e, 0, &(struct dp_mgcp_range){150, DP_MGCP_TID_MAX}, 1, t.now);
	t.responds = 0;
	for (uint32_t tid = 100; tid < 200; tid++)
		CU_ASSERT_EQUAL(dp_txn_command(e, 0, tid, true, t.now, &in), DP_TXN_REPEATED);
	CU_ASSERT_EQUAL(t.responds, 50);
	dp_txn_confirmed(e, 1, &(struct dp_mgcp_range){1, DP_MGCP_TID_MAX}, 1,
	                 t.now); /* not its own */
	CU_ASSERT_EQUAL(dp_txn_command(e, 0, 100, true, t.now, &in), DP_TXN_REPEATED);
	CU_ASSERT_EQUAL(t.responds, 51);
	dp_txn_destroy(e);
}

static void test_incoming_bounds(void)
{
	struct dp_txn *e = engine(7);
	uint32_t in;

	for (uint32_t tid = 1; tid <= DP_TXN_IN_MAX; tid++)
		CU_ASSERT_EQUAL(dp_txn_command(e, 0, tid, true, t.now, &in), DP_TXN_NEW);
	CU_ASSERT_EQUAL(dp_txn_command(e, 0, DP_TXN_IN_MAX + 1, true, t.now, &in), DP_TXN_FULL);
	CU_ASSERT_EQUAL(dp_txn_command(e, 1, 1, true, t.now, &in), DP_TXN_NEW);
	run_until(e, t.now + 31 * S); /* nobody answered: forgotten */
	CU_ASSERT_EQUAL(dp_txn_in_cnt(e), 0);
	dp_txn_destroy(e);
}

/* Peers that flood leave room for all others; and get it back when it is there. */
static void test_incoming_shares(void)
{
	struct dp_txn *e;
	uint32_t in, taken[64] = {0};

	memset(&t, 0, sizeof(t));
	t.now = 1 * S;
	e = dp_txn_create(&ops, NULL, 64, 64, 2048, 7);
	for (uint32_t tid = 1; tid <= 2000; tid++) /* thirteen at once */
		for (uint32_t peer = 0; peer < 13; peer++)
			taken[peer] += dp_txn_command(e, peer, tid, true, t.now, &in) == DP_TXN_NEW;
	for (uint32_t peer = 0; peer < 13; peer++)
		CU_ASSERT(taken[peer] >= 2048 / 2 / 13 && taken[peer] <= 2048 / 13);
	for (uint32_t peer = 13; peer < 64; peer++) {
		for (uint32_t tid = 1; tid <= DP_TXN_IN_SHARE; tid++)
			CU_ASSERT_EQUAL(dp_txn_command(e, peer, tid, true, t.now, &in), DP_TXN_NEW);
	}
	for (uint32_t tid = 1; tid <= DP_TXN_IN_SHARE; tid++) /* known is what has come */
		CU_ASSERT_EQUAL(dp_txn_command(e, 63, tid, true, t.now, &in), DP_TXN_REPEATED);
	run_until(e, t.now + 31 * S);
	CU_ASSERT_EQUAL(dp_txn_in_cnt(e), 0);
	for (uint32_t tid = 1; tid <= DP_TXN_IN_MAX; tid++) /* alone: as much as ever */
		CU_ASSERT_EQUAL(dp_txn_command(e, 5, 10000 + tid, true, t.now, &in), DP_TXN_NEW);
	dp_txn_destroy(e);
}

/* --- two engines and a bad network --- */

#define PEERS 5
#define CMDS  4000
#define NET   20000

struct packet {
	uint64_t at;
	uint32_t peer, tid, cmd;
	uint16_t code, n;
	bool is_cmd, ask;
	struct dp_mgcp_range k[DP_TXN_CONFIRM_MAX];
};

struct job { /* an execution going on */
	uint64_t at;
	uint32_t in;
};

struct side {
	struct dp_txn *e;
	struct side *other;
	uint32_t by_slot[1024]; /* command in a slot */
	uint8_t executed[CMDS], results[CMDS], answered[CMDS], started[CMDS];
	uint64_t order[CMDS];
	uint32_t peer[CMDS];
	uint32_t last_done[PEERS][4]; /* highest command executed by peer and order */
	uint32_t running[PEERS][4];
	uint32_t in_cmd[8192];  /* command of an incoming slot */
	struct packet net[NET]; /* on their way to this side */
	uint32_t net_cnt;
	struct job job[4096];
	uint32_t job_cnt;
	uint64_t tid_end[1 << 16]; /* by low bits: when the identifier's transaction ended */
	uint32_t tid_last[1 << 16];
	uint32_t flying[PEERS];
	bool misordered, reused, window;
};

static struct side side_a, side_b;
static uint64_t sim_now, rnd_state;
static unsigned loss_pct, dup_pct;
static uint64_t delay_max;

static uint32_t rnd(uint32_t below)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return (uint32_t)(rnd_state >> 20) % below;
}

static void net_send(struct side *to, struct packet p)
{
	unsigned copies = rnd(100) < loss_pct ? 0 : rnd(100) < dup_pct ? 2 : 1;

	while (copies-- > 0 && to->net_cnt < NET) {
		p.at = sim_now + 1000 + rnd((uint32_t)delay_max);
		to->net[to->net_cnt++] = p;
	}
}

static int s_transmit(void *ctx, uint32_t peer, uint32_t slot, uint32_t tid, uint32_t try,
                      const struct dp_mgcp_range *confirm, uint16_t n)
{
	struct side *s = ctx;
	struct packet p = {
		.is_cmd = true, .peer = peer, .tid = tid, .cmd = s->by_slot[slot], .n = n};

	if (try == 1) {
		uint32_t h = tid & 0xffff;

		if (s->tid_last[h] == tid && sim_now < s->tid_end[h] + DP_TXN_REUSE_US)
			s->reused = true;
		s->started[p.cmd] = 1;
		if (++s->flying[peer] > DP_TXN_WINDOW)
			s->window = true;
	}
	memcpy(p.k, confirm, n * sizeof(*confirm));
	net_send(s->other, p);
	return 0;
}

static void s_end(void *ctx, uint32_t peer, uint32_t slot, const struct dp_txn_end *end)
{
	struct side *s = ctx;
	uint32_t cmd = s->by_slot[slot];

	s->flying[peer]--;
	s->results[cmd]++;
	s->answered[cmd] = end->rc == 0;
	s->tid_last[end->tid & 0xffff] = end->tid;
	s->tid_end[end->tid & 0xffff] = sim_now;
}

static void s_respond(void *ctx, uint32_t peer, uint32_t in, uint32_t tid, uint16_t code, bool ask)
{
	struct side *s = ctx;
	(void)in;

	net_send(s->other, (struct packet){.peer = peer, .tid = tid, .code = code, .ask = ask});
}

static void s_receive(struct side *s, const struct packet *p)
{
	uint32_t in, o;

	if (!p->is_cmd) {
		if (p->code < 100)
			dp_txn_confirmed(s->e, p->peer, &(struct dp_mgcp_range){p->tid, p->tid}, 1,
			                 sim_now);
		else
			dp_txn_answer(s->e, p->peer, p->tid, p->code, p->ask, p, sim_now);
		return;
	}
	dp_txn_confirmed(s->e, p->peer, p->k, p->n, sim_now);
	if (dp_txn_command(s->e, p->peer, p->tid, true, sim_now, &in) != DP_TXN_NEW)
		return;
	s->other->executed[p->cmd]++;
	o = (uint32_t)s->other->order[p->cmd];
	if (o != 0 && (p->cmd < s->last_done[p->peer][o] || s->running[p->peer][o]++ > 0))
		s->misordered = true;
	if (o != 0)
		s->last_done[p->peer][o] = p->cmd;
	s->in_cmd[in] = p->cmd;
	s->job[s->job_cnt++] =
		(struct job){sim_now + (rnd(50) == 0 ? 1 + rnd(8000000) : rnd(150000)), in};
}

/* Everything that is due on one side; returns when the next thing is. */
static uint64_t s_run(struct side *s)
{
	uint64_t next = UINT64_MAX;

	for (uint32_t i = 0; i < s->job_cnt;) {
		struct job j = s->job[i];
		uint32_t cmd;

		if (j.at > sim_now) {
			next = j.at < next ? j.at : next;
			i++;
			continue;
		}
		s->job[i] = s->job[--s->job_cnt];
		cmd = s->in_cmd[j.in];
		s->running[s->other->peer[cmd]][s->other->order[cmd]] = 0;
		CU_ASSERT_EQUAL(dp_txn_respond(s->e, j.in, 200, sim_now), 0);
	}
	for (uint32_t i = 0; i < s->net_cnt;) {
		struct packet p = s->net[i];

		if (p.at > sim_now) {
			next = p.at < next ? p.at : next;
			i++;
			continue;
		}
		s->net[i] = s->net[--s->net_cnt];
		s_receive(s, &p);
	}
	for (;;) {
		uint64_t due = dp_txn_tick(s->e, sim_now);

		if (due > sim_now)
			return due < next ? due : next;
	}
}

static void s_init(struct side *s, struct side *other, uint64_t seed)
{
	static const struct dp_txn_ops sim_ops = {s_transmit, s_end, s_respond};

	memset(s, 0, sizeof(*s));
	s->other = other;
	s->e = dp_txn_create(&sim_ops, s, PEERS, 1024, 8192, seed);
}

static unsigned s_check(struct side *s, bool all_answered)
{
	unsigned bad = 0, unanswered = 0;

	for (uint32_t i = 0; i < CMDS; i++) {
		bad += s->results[i] != 1;                    /* one result each */
		bad += s->executed[i] > 1;                    /* at most once */
		bad += s->answered[i] && s->executed[i] != 1; /* answered: exactly once */
		unanswered += !s->answered[i];
	}
	CU_ASSERT_EQUAL(bad, 0);
	if (all_answered)
		CU_ASSERT_EQUAL(unanswered, 0);
	CU_ASSERT_FALSE(s->reused);
	CU_ASSERT_FALSE(s->window);
	CU_ASSERT_EQUAL(dp_txn_out_cnt(s->e), 0);
	CU_ASSERT_EQUAL(dp_txn_in_cnt(s->e), 0);
	dp_txn_destroy(s->e);
	return unanswered;
}

static void simulate(unsigned loss, unsigned dup, uint64_t delay, bool all_answered)
{
	struct side *both[2] = {&side_a, &side_b};
	uint32_t next_cmd[2] = {0, 0};
	uint64_t a, b;

	loss_pct = loss;
	dup_pct = dup;
	delay_max = delay;
	rnd_state = 0x1234567 + loss * 1000 + dup;
	sim_now = 1 * S;
	s_init(&side_a, &side_b, 999999000);
	s_init(&side_b, &side_a, 5);
	for (;;) {
		for (int k = 0; k < 2; k++) {
			struct side *s = both[k];
			uint32_t slot, c = next_cmd[k], peer = rnd(PEERS);

			if (c == CMDS || dp_txn_take(s->e, peer, &slot) < 0)
				continue;
			s->by_slot[slot] = c;
			s->peer[c] = peer;
			s->order[c] = rnd(4);
			next_cmd[k]++;
			dp_txn_start(s->e, slot, s->order[c], sim_now);
		}
		a = s_run(&side_a);
		b = s_run(&side_b);
		if (b < a)
			a = b;
		if (next_cmd[0] < CMDS ||
		    next_cmd[1] < CMDS) /* at most 20 ms until the next command */
			a = a < sim_now + 20 * MS ? a : sim_now + rnd(20000);
		if (a == UINT64_MAX)
			break;
		sim_now = a > sim_now ? a : sim_now + 1;
	}
	s_check(&side_a, all_answered);
	s_check(&side_b, all_answered);
	/* a command's twin that ran into the next one of its key would show in an intact order */
	if (all_answered)
		CU_ASSERT(!side_a.misordered && !side_b.misordered);
}

static void test_network(void)
{
	simulate(0, 0, 50 * MS, true);
	simulate(2, 20, 300 * MS, true);
	simulate(10, 30, 150 * MS, true);
	simulate(50, 50, 900 * MS, false);
	simulate(95, 0, 50 * MS, false);
}

static CU_TestInfo tests[] = {
	{"back-off, Max2, one identifier", test_backoff_and_give_up},
	{"gives up at T-MAX", test_gives_up_at_t_max},
	{"the timer follows the round trip", test_timer_follows_round_trip},
	{"provisional answers", test_provisional},
	{"only the peer answers", test_only_the_peer_answers},
	{"answers are confirmed by K:", test_answers_are_confirmed},
	{"a peer that refuses K:", test_peer_refuses_confirmation},
	{"a refused transmission ends it", test_refused_transmission_ends},
	{"order, window, queue", test_order_and_window},
	{"identifiers wrap", test_identifiers_wrap},
	{"at most once", test_at_most_once},
	{"a repeat while executing", test_repeat_while_executing},
	{"K: drops answers, not identifiers", test_confirm_ranges},
	{"incoming is bounded", test_incoming_bounds},
	{"peers that flood leave room", test_incoming_shares},
	{"loss, twins, reordering", test_network},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("txn", tests, NULL, NULL)
