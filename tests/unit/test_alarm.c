/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/alarm.c: raised once, cleared once, bounded. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "alarm.h"
#include "log.h"

static unsigned raised, cleared;
static char last_text[CP_ALARM_TEXT_MAX];

static void listen(void *ctx, enum cp_alarm_what what, const struct cp_alarm *a)
{
	(void)ctx;
	if (what == CP_ALARM_RAISED)
		raised++;
	else
		cleared++;
	strcpy(last_text, a->text);
}

static struct cp_alarms *fresh(void)
{
	struct cp_alarms *a = cp_alarms_create();

	raised = cleared = 0;
	cp_alarms_listen(a, listen, NULL);
	return a;
}

static void test_raised_once(void)
{
	struct cp_alarms *a = fresh();
	const struct cp_alarm *al;

	for (int i = 0; i < 5; i++)
		cp_alarm_raise(a, "gateway-no-sa", CP_ALARM_MAJOR, "gw1", "try %d", i);
	cp_alarm_raise(a, "gateway-no-sa", CP_ALARM_MAJOR, "gw2", "x");
	CU_ASSERT_EQUAL(raised, 2);
	CU_ASSERT_EQUAL(cp_alarm_count(a), 2);
	al = cp_alarm_find(a, "gateway-no-sa", "gw1");
	CU_ASSERT_PTR_NOT_NULL_FATAL(al);
	CU_ASSERT_EQUAL(al->count, 5);
	CU_ASSERT_STRING_EQUAL(al->text, "try 4");
	cp_alarm_raise(a, "gateway-no-sa", CP_ALARM_CRITICAL, "gw1", "worse");
	CU_ASSERT_EQUAL(raised, 3); /* a higher severity is news */
	CU_ASSERT_TRUE(cp_alarm_clear(a, "gateway-no-sa", "gw1"));
	CU_ASSERT_FALSE(cp_alarm_clear(a, "gateway-no-sa", "gw1"));
	CU_ASSERT_EQUAL(cleared, 1);
	CU_ASSERT_STRING_EQUAL(last_text, "worse");
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(a, "gateway-no-sa", "gw2"));
	cp_alarms_destroy(a);
}

static void test_bounded(void)
{
	struct cp_alarms *a = fresh();
	char subject[32];

	for (int i = 0; i < CP_ALARM_MAX + 10; i++) {
		snprintf(subject, sizeof(subject), "d%d", i);
		cp_alarm_raise(a, "x", CP_ALARM_WARNING, subject, "t");
	}
	CU_ASSERT_EQUAL(cp_alarm_count(a), CP_ALARM_MAX);
	CU_ASSERT_EQUAL(cp_alarm_dropped(a), 10);
	CU_ASSERT_EQUAL(cp_alarm_clear_all(a, "y"), 0);
	CU_ASSERT_EQUAL(cp_alarm_clear_all(a, "x"), CP_ALARM_MAX);
	CU_ASSERT_EQUAL(cp_alarm_count(a), 0);
	CU_ASSERT_EQUAL(cleared, CP_ALARM_MAX);
	cp_alarms_destroy(a);
}

static unsigned seen;
static void in_order(void *ctx, const struct cp_alarm *a)
{
	(void)ctx;
	CU_ASSERT_EQUAL(atoi(a->subject + 1) % 2, 1);
	CU_ASSERT_EQUAL((unsigned)atoi(a->subject + 1), 2 * seen + 1);
	seen++;
}

/* What is cleared is not looked for among the others, whose order stays. */
static void test_many(void)
{
	const unsigned many = CP_ALARM_MAX + 4 * 1024;
	struct cp_alarms *a = fresh();
	char subject[32];

	cp_alarms_limit(a, many);
	for (unsigned i = 0; i < many + 10; i++) {
		snprintf(subject, sizeof(subject), "d%u", i);
		cp_alarm_raise(a, "x", CP_ALARM_WARNING, subject, "t");
	}
	CU_ASSERT_EQUAL(cp_alarm_count(a), many);
	CU_ASSERT_EQUAL(cp_alarm_dropped(a), 10);
	for (unsigned i = 0; i < many; i += 2) {
		snprintf(subject, sizeof(subject), "d%u", i);
		CU_ASSERT_TRUE(cp_alarm_clear(a, "x", subject));
		CU_ASSERT_PTR_NULL(cp_alarm_find(a, "x", subject));
	}
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(a, "x", "d4097"));
	seen = 0;
	cp_alarm_each(a, in_order, NULL);
	CU_ASSERT_EQUAL(seen, many / 2);
	cp_alarm_raise(a, "y", CP_ALARM_WARNING, "d1", "t");
	CU_ASSERT_EQUAL(cp_alarm_clear_all(a, "x"), many / 2);
	CU_ASSERT_EQUAL(cp_alarm_count(a), 1);
	cp_alarms_destroy(a);
}

static struct cp_alarms *mine;
static void clears_next(void *ctx, enum cp_alarm_what what, const struct cp_alarm *a)
{
	(void)ctx;
	if (what == CP_ALARM_CLEARED && strcmp(a->subject, "d1") == 0) {
		cp_alarm_clear(mine, "x", "d2");
		cp_alarm_clear(mine, "x", "d0");
	}
}

static void test_cleared_by_the_listener(void)
{
	char subject[32];

	mine = fresh();
	cp_alarms_listen(mine, clears_next, NULL);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(subject, sizeof(subject), "d%u", i);
		cp_alarm_raise(mine, i == 0 ? "y" : "x", CP_ALARM_WARNING, subject, "t");
	}
	CU_ASSERT_EQUAL(cp_alarm_clear_all(mine, "x"), 2); /* the third went meanwhile */
	CU_ASSERT_EQUAL(cp_alarm_count(mine), 1);
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(mine, "y", "d0"));
	cp_alarms_destroy(mine);
}

static void test_outside_text(void)
{
	struct cp_alarms *a = fresh();
	char big[4000];

	memset(big, 'A', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	cp_alarm_raise(a, big, CP_ALARM_WARNING, big, "%s", big);
	cp_alarm_raise(a, big, CP_ALARM_WARNING, big, "%s", big);
	CU_ASSERT_EQUAL(cp_alarm_count(a), 1); /* cut the same way each time */
	CU_ASSERT_TRUE(cp_alarm_clear(a, big, big));
	cp_alarm_raise(a, "id", CP_ALARM_WARNING, "a\n\xff", "t\x1b[0m\xc3");
	CU_ASSERT_STRING_EQUAL(last_text, "t?[0m?");
	CU_ASSERT_TRUE(cp_alarm_clear(a, "id", "a\n\xff"));
	cp_alarm_raise(NULL, "id", CP_ALARM_WARNING, "s", "t"); /* allowed */
	CU_ASSERT_FALSE(cp_alarm_clear(NULL, "id", "s"));
	cp_alarms_destroy(a);
}

static CU_TestInfo tests[] = {
	{"raised once, cleared once", test_raised_once},
	{"bounded", test_bounded},
	{"many", test_many},
	{"the listener clears others", test_cleared_by_the_listener},
	{"outside text is cut and cleaned", test_outside_text},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	cfg_log_init("t", CFG_LOG_KV, CFG_LOG_ERR);
	return 0;
}

#include "suite.h"
SUITE_MAIN("alarm", tests, setup, NULL)
