/* SPDX-License-Identifier: BSD-3-Clause */
/* config/log.c: what a peer sends cannot forge a line, formats, rate limit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "log.h"

static char out[8192];

static const char *captured(void (*fn)(void))
{
	int fds[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	if (pipe(fds) < 0)
		abort();
	dup2(fds[1], STDERR_FILENO);
	fn();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	n = read(fds[0], out, sizeof(out) - 1);
	close(fds[0]);
	out[n > 0 ? n : 0] = '\0';
	return out;
}

static void say_forged(void)
{
	cfg_log(CFG_LOG_WARN, "peer-said", "name=%s n=%d", cfg_q("a\nlevel=err event=\"x\" \\"), 7);
}

static void test_outside_strings_stay_values(void)
{
	cfg_log_init("t", CFG_LOG_KV, CFG_LOG_INFO);
	CU_ASSERT_PTR_NOT_NULL(strstr(captured(say_forged),
				      "event=peer-said name=\"a\\x0alevel=err event=\\x22x\\x22 \\x5c\" n=7\n"));
	CU_ASSERT_PTR_EQUAL(strchr(out, '\n'), out + strlen(out) - 1);
}

static void test_json_members(void)
{
	cfg_log_init("t", CFG_LOG_JSON, CFG_LOG_INFO);
	captured(say_forged);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "\"event\":\"peer-said\",\"name\":\"a\\\\x0alevel=err"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, ",\"n\":7}\n"));
	cfg_log_init("t", CFG_LOG_KV, CFG_LOG_INFO);
}

static void say_debug(void)
{
	cfg_log(CFG_LOG_DEBUG, "quiet", "a=1");
}

static void test_level_filters(void)
{
	CU_ASSERT_STRING_EQUAL(captured(say_debug), "");
}

static void test_rate_holds_back_and_counts(void)
{
	struct cfg_log_rate rate = {0};
	uint32_t skipped, passed = 0, told = 0;

	for (int i = 0; i < 100; i++)
		if (cfg_log_allow(&rate, 5, 1000, &skipped)) {
			passed++;
			told += skipped;
		}
	CU_ASSERT(passed >= 5);
	usleep(50000);
	CU_ASSERT_TRUE(cfg_log_allow(&rate, 5, 1000, &skipped));
	CU_ASSERT_EQUAL(told + skipped, 100 - passed); /* every line held back is told of once */
}

static void test_quote_is_cut_not_overrun(void)
{
	char buf[16];
	char *big = malloc(5000);

	memset(big, 1, 4999);
	big[4999] = '\0';
	cfg_qn(buf, sizeof(buf), big, SIZE_MAX);
	CU_ASSERT(strlen(buf) < sizeof(buf));
	CU_ASSERT_EQUAL(buf[strlen(buf) - 1], '"');
	CU_ASSERT_STRING_EQUAL(cfg_qn(buf, sizeof(buf), "ab\0c", 4), "\"ab\\x00c\"");
	free(big);
}

static CU_TestInfo tests[] = {
	{"outside strings stay values", test_outside_strings_stay_values},
	{"json members", test_json_members},
	{"level filters", test_level_filters},
	{"rate holds back and counts", test_rate_holds_back_and_counts},
	{"a quote is cut, not overrun", test_quote_is_cut_not_overrun},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("log", tests, NULL, NULL)
