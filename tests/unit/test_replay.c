/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/replay.c: edges, and a slow obvious model against random walks. RFC 3711 s3.3.2, RFC 4303 s3.4.3. */
/* Rows: 001:P1-021. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "replay.h"
#include "srtp_ref.h"

#define W DP_REPLAY_WINDOW

static const struct {
	uint64_t idx;
	int rc;
} edges[] = {
	{0, 0},     {0, -EALREADY},
	{40, 0},    {40, -EALREADY},              /* a 32-bit mask would lose bit 40 */
	{W, 0},     {1, 0},          {0, -ESTALE}, /* oldest index still in, next one out */
	{1, -EALREADY}, {W + 1, 0},  {1, -ESTALE}, {2, 0},
	{W + 64, 0}, {W + 63, 0},    {65, 0},      {64, -ESTALE},
	{W + 64 + 4 * 64, 0},                      /* a jump by as many words as are kept: old bits are gone */
	{W + 64 + 4 * 64 - 1, 0},    {W + 64 + 4 * 64 - W + 1, 0}, {W + 64 + 4 * 64 - W, -ESTALE},
	{1000000, 0}, {999999, 0},   {1000000 - W + 1, 0}, {1000000 - W, -ESTALE},
	{UINT64_MAX - 1, 0}, {UINT64_MAX, 0}, {UINT64_MAX, -EALREADY}, {UINT64_MAX - W, -ESTALE},
};

static void test_edges(void)
{
	struct dp_replay win;

	dp_replay_init(&win);
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		struct dp_replay before = win;

		CU_ASSERT_EQUAL(dp_replay_check(&win, edges[i].idx), edges[i].rc);
		CU_ASSERT_EQUAL(memcmp(&before, &win, sizeof(win)), 0);
		CU_ASSERT_EQUAL(dp_replay_commit(&win, edges[i].idx), edges[i].rc);
		if (edges[i].rc != 0)
			CU_ASSERT_EQUAL(memcmp(&before, &win, sizeof(win)), 0);
	}
}

#define SPAN 400000

/* The model remembers every index that was ever accepted. */
static void walk(uint64_t base, uint64_t seed, unsigned int far_one_in)
{
	static bool seen[SPAN];
	struct dp_replay win;
	uint64_t top = 0, r = seed;
	bool any = false;
	int wrong = 0;

	memset(seen, 0, sizeof(seen));
	dp_replay_init(&win);
	if (base > 0) {
		dp_replay_restart(&win, base); /* and what is below counts as accepted */
		seen[0] = true;
		any = true;
	}
	for (int n = 0; n < 200000; n++) {
		uint64_t i = top + rnd(&r) % 8, idx;
		int want;

		if (rnd(&r) % 2 == 0) {
			uint64_t back = rnd(&r) % (W + 20);

			i = top > back ? top - back : 0;
		}
		if (rnd(&r) % far_one_in == 0)
			i = top + rnd(&r) % 600;
		if (i >= SPAN)
			break;
		idx = base + i;
		if (any && i <= top && top - i >= W)
			want = -ESTALE;
		else
			want = seen[i] ? -EALREADY : 0;
		wrong += dp_replay_check(&win, idx) != want;
		wrong += dp_replay_commit(&win, idx) != want;
		if (want == 0) {
			seen[i] = true;
			if (!any || i > top)
				top = i;
			any = true;
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void test_model(void)
{
	for (uint64_t s = 1; s <= 8; s++) {
		walk(0, s * 7919, 50);
		walk(0, s * 104729, 100000);
		walk(((uint64_t)1 << 40) + s * 13, s * 31337, 70);
	}
}

static void test_restart(void)
{
	for (uint64_t top = 1; top < 1000; top++) {
		struct dp_replay win;
		int wrong = 0;

		dp_replay_init(&win);
		dp_replay_restart(&win, top);
		for (uint64_t i = 0; i <= top; i++)
			wrong += dp_replay_check(&win, i) != (top - i >= W ? -ESTALE : -EALREADY);
		for (uint64_t i = top + 1; i < top + 300; i++)
			wrong += dp_replay_check(&win, i) != 0;
		/* out of order right above the floor, each once */
		for (uint64_t i = top + 100; i > top; i--)
			wrong += dp_replay_commit(&win, i) != 0 || dp_replay_commit(&win, i) != -EALREADY;
		CU_ASSERT_EQUAL(wrong, 0);
	}
}

static CU_TestInfo tests[] = {
	{"edges of the window", test_edges},
	{"an index is accepted once, in any order: slow model", test_model},
	{"after a restart nothing at or below the floor passes", test_restart},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("replay", tests, NULL, NULL)
