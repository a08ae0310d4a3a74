/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/alarm.c: raised once, cleared once, bounded. */
#include <stdio.h>
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
