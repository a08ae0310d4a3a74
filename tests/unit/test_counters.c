/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/counters.c: the page's seals, names, and what is said about refused packets. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "counters.h"

static struct dp_page *page;
static size_t page_size;
static int page_fd = -1;

static int setup(void)
{
	return dp_page_create(2, 8, 4, &page, &page_size, &page_fd);
}

static int teardown(void)
{
	return munmap(page, page_size) | close(page_fd);
}

static void test_sealed(void)
{
	void *ro = mmap(NULL, page_size, PROT_READ, MAP_SHARED, page_fd, 0);

	CU_ASSERT_PTR_NOT_EQUAL(ro, MAP_FAILED);
	CU_ASSERT_PTR_EQUAL(mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0), MAP_FAILED);
	CU_ASSERT_EQUAL(ftruncate(page_fd, 0), -1);
	CU_ASSERT_EQUAL(ftruncate(page_fd, (off_t)page_size * 2), -1);
	dp_page_workers(page)[1].rx_pkts = 7;
	if (ro != MAP_FAILED) {
		CU_ASSERT_EQUAL(dp_page_workers(ro)[1].rx_pkts, 7);
		munmap(ro, page_size);
	}
}

static void test_names(void)
{
	for (unsigned int i = 0; i < DP_DROP_MAX; i++) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(dp_drop_name(i));
		for (unsigned int k = 0; k < i; k++)
			CU_ASSERT_STRING_NOT_EQUAL(dp_drop_name(i), dp_drop_name(k));
	}
	CU_ASSERT_PTR_NULL(dp_drop_name(DP_DROP_MAX));
	for (unsigned int i = 0; i < DP_STAGE_MAX; i++)
		CU_ASSERT_PTR_NOT_NULL(dp_stage_name(i));
	CU_ASSERT_PTR_NULL(dp_stage_name(DP_STAGE_MAX));
}

static void test_refused(void)
{
	struct dp_page_worker *w = dp_page_workers(page);
	struct dp_drops_seen seen = {0};
	char text[512], small[24];

	page->alive = 10;
	CU_ASSERT_EQUAL(dp_drops_new(&seen, page, text, sizeof(text)), 0);
	CU_ASSERT_STRING_EQUAL(text, "");
	/* not before a second is over, and then once */
	w[0].drop[DP_DROP_AUTH] = 3;
	w[1].drop[DP_DROP_AUTH] = 4;
	w[1].drop[DP_DROP_ESP_REPLAY] = 1;
	page->alive = 11;
	CU_ASSERT_EQUAL(dp_drops_new(&seen, page, text, sizeof(text)), 0);
	page->alive = 12;
	CU_ASSERT_EQUAL(dp_drops_new(&seen, page, text, sizeof(text)), 2);
	CU_ASSERT_STRING_EQUAL(text, "auth=7 esp_replay=1");
	page->alive = 14;
	CU_ASSERT_EQUAL(dp_drops_new(&seen, page, text, sizeof(text)), 0);
	w[0].drop[DP_DROP_AUTH]++;
	page->alive = 16;
	CU_ASSERT_EQUAL(dp_drops_new(&seen, page, text, sizeof(text)), 1);
	CU_ASSERT_STRING_EQUAL(text, "auth=1");
	/* everyday life is no news */
	w[0].drop[DP_DROP_CONSUMED] = w[0].drop[DP_DROP_NO_LEG] = w[0].drop[DP_DROP_L3_NOT_OURS] = 9;
	page->alive = 18;
	CU_ASSERT_EQUAL(dp_drops_new(&seen, page, text, sizeof(text)), 0);
	/* what does not fit is told the next time */
	w[0].drop[DP_DROP_L3_MALFORMED] = w[0].drop[DP_DROP_MGCP_MALFORMED] = 5;
	page->alive = 20;
	CU_ASSERT_EQUAL(dp_drops_new(&seen, page, small, sizeof(small)), 1);
	CU_ASSERT_STRING_EQUAL(small, "l3_malformed=5");
	page->alive = 22;
	CU_ASSERT_EQUAL(dp_drops_new(&seen, page, small, sizeof(small)), 1);
	CU_ASSERT_STRING_EQUAL(small, "mgcp_malformed=5");
	/* all at once fit in the line of main.c */
	for (unsigned int i = 1; i < DP_DROP_MAX; i++)
		w[0].drop[i] += UINT64_MAX / 2;
	page->alive = 24;
	CU_ASSERT_TRUE(dp_drops_new(&seen, page, text, sizeof(text)) > 10);
}

static CU_TestInfo tests[] = {
	{"others map the page, nobody else writes or resizes it", test_sealed},
	{"every reason and stage has a name of its own", test_names},
	{"refused packets are told once a second, by reason", test_refused},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("counters", tests, setup, teardown)
