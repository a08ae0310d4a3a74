/* SPDX-License-Identifier: BSD-3-Clause */
/* What of a CTL is not so any more: rows 004a:CTL-21, 004b:CTL-09. */
#include "suite.h"

#include "lists_fix.h"

static struct fx f;

static int up(void)
{
	return 0;
}

static int down(void)
{
	for (unsigned i = 0; i < 4; i++)
		EVP_PKEY_free(fx_keys[i]);
	return 0;
}

#define MIXED ((struct cp_ctl_change){.set_mode = true, .mode = CP_CLUSTER_MIXED})
#define CLEAR ((struct cp_ctl_change){.set_mode = true, .mode = CP_CLUSTER_NONSECURE})
#define UPDATE ((struct cp_ctl_change){0})

static struct cp_trust_own own; /* what is asked against */
static const char *host;
static const uint8_t *ip;

static const char *stale(void)
{
	static char text[256];

	cp_ctl_stale(cp_lists_ctl(f.lists), &own, host, ip, text, sizeof(text));
	return text;
}

/* 004a:CTL-21, 004b:CTL-09: after each of these the CTL must be made anew, and until then it is said what is not so any more. */
static void test_ctl_stale_names(void)
{
	static const uint8_t ours[4] = {192, 0, 2, 1}, other[4] = {192, 0, 2, 77};
	struct cp_ctl_change ch = MIXED, del = UPDATE;
	struct cp_ctl_rec *rec;
	X509 *x, *y;

	fx_up(&f);
	x = fx_cert("far tftp", fx_key(2));
	y = fx_cert("token x", fx_key(3));
	ch.tftp[0] = (struct cp_ctl_tftp_add){"far.example", "198.51.100.7", x};
	ch.tftp_cnt = 1;
	CU_ASSERT_EQUAL_FATAL(fx_change(&f, ch, -1), 0);
	cp_trust_own_get(&own, fx_own, &f);
	host = cp_lists_get_env(f.lists)->host;
	ip = ours;
	CU_ASSERT_STRING_EQUAL(stale(), "");
	ip = other;
	CU_ASSERT_STRING_EQUAL(stale(), "address of CallManager, address of TFTP, address of CAPF, address of CAPF-TLS");
	ip = NULL;
	CU_ASSERT(strstr(stale(), "address of CallManager") != NULL);
	ip = ours;
	host = "renamed.example";
	CU_ASSERT(strstr(stale(), "name of CallManager, name of TFTP") != NULL);
	host = cp_lists_get_env(f.lists)->host;
	/* a record that is ahead of its file: what the next operation would add, drop or move */
	rec = (struct cp_ctl_rec *)(uintptr_t)cp_lists_ctl(f.lists);
	rec->tftps[0].address.ip[3] ^= 1;
	CU_ASSERT_STRING_EQUAL(stale(), "address of far.example");
	rec->tftps[0].address.ip[3] ^= 1;
	strcpy(rec->tftps[0].host, "near.example");
	CU_ASSERT_STRING_EQUAL(stale(), "name of near.example");
	rec->tftp_cnt = 0;
	CU_ASSERT_STRING_EQUAL(stale(), "former server far.example");
	rec->tftp_cnt = 1;
	strcpy(rec->tftps[0].host, "far.example");
	CU_ASSERT_STRING_EQUAL(stale(), "");
	rec->tftps[0].cert.data[rec->tftps[0].cert.len - 1] ^= 1;
	CU_ASSERT(strstr(stale(), "alternate TFTP server far.example") != NULL);
	rec->tftps[0].cert.data[rec->tftps[0].cert.len - 1] ^= 1;
	/* our own token made anew */
	X509_free(own.sast2);
	own.sast2 = y;
	CU_ASSERT_STRING_EQUAL(stale(), "token SAST2");
	/* what does not fit is not kept quiet */
	{
		char tight[40];

		cp_ctl_stale(rec, &own, "renamed.example", other, tight, sizeof(tight));
		CU_ASSERT(strlen(tight) < sizeof(tight) && strcmp(tight + strlen(tight) - 3, "...") == 0);
	}
	cp_trust_own_free(&own);
	/* the operation puts it right; the alarm is of the lists in force */
	del.del_tftp[0] = "far.example";
	del.del_tftp_cnt = 1;
	CU_ASSERT_EQUAL(fx_change(&f, del, -1), 0);
	CU_ASSERT_PTR_NULL(cp_alarm_find(f.alarms, "ctl-stale", "ctl"));
	fx_close(&f);
	fx_host = "moved.example"; /* another name in the configuration, another start */
	CU_ASSERT_EQUAL(fx_open(&f), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(cp_alarm_find(f.alarms, "ctl-stale", "ctl"));
	CU_ASSERT(strstr(cp_alarm_find(f.alarms, "ctl-stale", "ctl")->text, "name of CallManager") != NULL);
	CU_ASSERT_EQUAL(fx_change(&f, UPDATE, -1), 0);
	CU_ASSERT_PTR_NULL(cp_alarm_find(f.alarms, "ctl-stale", "ctl"));
	/* a list without certificates says nothing that could be stale */
	CU_ASSERT_EQUAL(fx_change(&f, CLEAR, -1), 0);
	fx_close(&f);
	fx_host = NULL;
	CU_ASSERT_EQUAL(fx_open(&f), 0);
	CU_ASSERT_PTR_NULL(cp_alarm_find(f.alarms, "ctl-stale", "ctl"));
	X509_free(x);
	fx_down(&f);
}

static CU_TestInfo tests[] = {
	{"a CTL that names servers of yesterday", test_ctl_stale_names},
	CU_TEST_INFO_NULL,
};
SUITE_MAIN("ctlstale", tests, up, down)
