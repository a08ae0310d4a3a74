/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/sccp/autoreg.c: records for phones that register without one, in a store: the next free number, the end of the range and
 * its alarm, never in mixed mode. 001:R-01; 004b:CTL-17, CTL-18, R-01; line 665 of 004a.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "alarm.h"
#include "sccp/autoreg.h"
#include "store/store.h"
#include "store_tmp.h"

static struct event_base *base;
static struct cp_store *store;
static struct cp_alarms *alarms;
static struct cp_autoreg *reg;
static bool allowed;
static unsigned told;
static int told_rc;
static char told_name[CP_DEVICE_NAME_MAX];

static bool may(void *ctx)
{
	(void)ctx;
	return allowed;
}

static void added(void *ctx, const char *name, int rc)
{
	(void)ctx;
	told++;
	told_rc = rc;
	strcpy(told_name, name);
}

static void begin(uint64_t first, uint64_t last, uint8_t digits)
{
	struct cp_store_opts o = {.path = tmp_store, .base = base, .no_sync = true};
	struct cp_autoreg_env env = {.allowed = may, .added = added, .first = first, .last = last, .digits = digits};
	char err[200];

	tmp_make();
	told = 0;
	allowed = true;
	alarms = cp_alarms_create();
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &store, err, sizeof(err)), 0);
	env.store = store;
	env.alarms = alarms;
	reg = cp_autoreg_create(&env);
	CU_ASSERT_PTR_NOT_NULL_FATAL(reg);
}

static void end(void)
{
	cp_autoreg_stop(reg);
	cp_store_close(store);
	cp_autoreg_destroy(reg);
	cp_alarms_destroy(alarms);
	tmp_remove();
}

static const char *name_of(unsigned i)
{
	static char text[CP_DEVICE_NAME_MAX];

	snprintf(text, sizeof(text), "SEP00000000%04X", i & 0xffff);
	return text;
}

static int add(unsigned i)
{
	char why[128];

	return cp_autoreg_add(reg, name_of(i), 0x1b2, why, sizeof(why));
}

static void until_told(unsigned n)
{
	for (int i = 0; i < 2000 && told < n; i++) {
		struct timeval tv = {0, 5000};

		event_base_loopexit(base, &tv);
		event_base_dispatch(base);
	}
	CU_ASSERT_EQUAL(told, n);
}

static void written(void *ctx, int rc)
{
	CU_ASSERT_EQUAL(rc, 0);
	(*(unsigned *)ctx)++;
}

static void del_line(const char *number)
{
	char why[128];
	unsigned n = 0;
	struct cp_dir_ctx x = {.who = "test", .fn = written, .ctx = &n, .why = why, .why_size = sizeof(why)};

	CU_ASSERT_EQUAL(cp_dir_line_del(store, number, NULL, &x), 0);
	for (int i = 0; i < 2000 && n == 0; i++) {
		struct timeval tv = {0, 5000};

		event_base_loopexit(base, &tv);
		event_base_dispatch(base);
	}
	CU_ASSERT_EQUAL(n, 1);
}

static void test_numbers(void)
{
	const struct cp_device *dev;
	struct cp_dir_hit hit;

	begin(98, 101, 4);
	CU_ASSERT_EQUAL(add(1), 0);
	CU_ASSERT_EQUAL(told, 0); /* not before it is written */
	CU_ASSERT_PTR_NULL(cp_dir_device(store, name_of(1)));
	until_told(1);
	CU_ASSERT(told_rc == 0 && strcmp(told_name, name_of(1)) == 0);
	dev = cp_dir_device(store, name_of(1));
	CU_ASSERT_PTR_NOT_NULL_FATAL(dev);
	CU_ASSERT(dev->mode == CP_DEVICE_NONSECURE && dev->line_cnt == 1 && strcmp(dev->lines[0].number, "0098") == 0);
	CU_ASSERT_STRING_EQUAL(dev->model, "7942");
	CU_ASSERT_STRING_EQUAL(dev->description, "Auto 0098");
	CU_ASSERT(add(2) == 0 && add(3) == 0); /* together: not the same number */
	until_told(3);
	CU_ASSERT(cp_dir_number(store, "0099", &hit, NULL) && strcmp(hit.device->name, name_of(2)) == 0);
	CU_ASSERT(cp_dir_number(store, "0100", &hit, NULL) && strcmp(hit.device->name, name_of(3)) == 0);
	CU_ASSERT_EQUAL(add(4), 0);
	until_told(4);
	CU_ASSERT_EQUAL(add(5), -ENOSPC);
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(alarms, "auto-numbers-used-up", "sccp.auto_numbers"));
	CU_ASSERT_EQUAL(add(5), -ENOSPC);
	del_line("0099");
	CU_ASSERT_PTR_NULL(cp_alarm_find(alarms, "auto-numbers-used-up", "sccp.auto_numbers"));
	CU_ASSERT_EQUAL(add(5), 0);
	until_told(5);
	CU_ASSERT(cp_dir_number(store, "0099", &hit, NULL) && strcmp(hit.device->name, name_of(5)) == 0);
	end();
}

static void test_not_here(void)
{
	char why[128];

	begin(1000, 1999, 4);
	allowed = false; /* mixed mode, or not configured */
	CU_ASSERT_EQUAL(add(1), -EACCES);
	allowed = true;
	CU_ASSERT_EQUAL(cp_autoreg_add(reg, "SEP00000000000g", 1, why, sizeof(why)), -EINVAL);
	CU_ASSERT_EQUAL(cp_autoreg_add(reg, "", 1, why, sizeof(why)), -EINVAL);
	CU_ASSERT_EQUAL(cp_autoreg_add(reg, "SEP00000000000\n", 1, why, sizeof(why)), -EINVAL);
	for (unsigned i = 0; i < CP_AUTOREG_PENDING; i++)
		CU_ASSERT_EQUAL(add(i), 0);
	CU_ASSERT_EQUAL(add(CP_AUTOREG_PENDING), -EBUSY);
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_DEVICE), 0);
	until_told(CP_AUTOREG_PENDING);
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_DEVICE), CP_AUTOREG_PENDING);
	CU_ASSERT_EQUAL(add(1), -EEXIST); /* known meanwhile */
	CU_ASSERT_EQUAL(add(CP_AUTOREG_PENDING), 0);
	cp_autoreg_stop(reg); /* what is on its way is written, and nobody is told */
	end();
	CU_ASSERT_EQUAL(told, CP_AUTOREG_PENDING);
	begin(0, 0, 0);
	CU_ASSERT_EQUAL(add(1), -EACCES); /* no range */
	end();
}

static void test_models(void)
{
	CU_ASSERT_STRING_EQUAL(cp_autoreg_model(0x194), "7962");
	CU_ASSERT_STRING_EQUAL(cp_autoreg_model(0x249), "8945");
	CU_ASSERT_STRING_EQUAL(cp_autoreg_model(0xffffffff), "");
}

static int setup(void)
{
	base = event_base_new();
	return base != NULL ? 0 : -1;
}

static int teardown(void)
{
	event_base_free(base);
	return 0;
}

static CU_TestInfo tests[] = {
	{"the next free number, and the range's end", test_numbers},
	{"where phones do not register by themselves", test_not_here},
	{"models", test_models},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("autoreg", tests, setup, teardown)
