/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/gateway/spd.c: the configuration's list reaches the dataplane whole, each time the channel comes up and ahead of the
 * gateways; what is shown; what happens when the dataplane does not take it.
 */
#include "call_fix.h"
#include "gateway/spd.h"

static struct cfg_policy policies[2] = {
	{.action = CFG_POLICY_PROTECT, .in = true, .out = true, .local = {.family = 4, .plen = 32, .ip = {10, 0, 0, 1}}, .proto = 17,
	 .local_lo = 2727, .local_hi = 2727, .remote_hi = 65535, .icmp_hi = 255, .df = CFG_POLICY_DF_SET, .dscp = 26},
	{.action = CFG_POLICY_DISCARD, .in = true, .remote = {.family = 6, .plen = 32, .ip = {0x20, 1, 0xd, 0xb8}}, .proto = 58,
	 .local_hi = 65535, .remote_hi = 65535, .icmp_lo = 128, .icmp_hi = 129, .dscp = 255},
};
static struct cp_spd *spd;

static void begin(unsigned count)
{
	world_begin();
	w.cfg->ipsec.policies = policies;
	w.cfg->ipsec.policies_count = count;
	spd = cp_spd_create(w.cfg, w.dp, w.gws, w.alarms);
	w.fake.n = 0;
	cp_spd_up(spd);
	rest();
}

static void end(void)
{
	w.cfg->ipsec.policies = NULL;
	w.cfg->ipsec.policies_count = 0;
	world_end();
	cp_spd_destroy(spd);
}

static void test_list(void)
{
	const union fake_msg *m;

	begin(2);
	m = w.fake.log;
	CU_ASSERT_EQUAL_FATAL(w.fake.n, 3);
	CU_ASSERT(m[0].hdr.type == DP_MSG_SPD_SET && m[1].hdr.type == DP_MSG_SPD_SET && m[2].hdr.type == DP_MSG_SPD_COMMIT);
	CU_ASSERT(m[0].spd.pos == 0 && m[0].spd.action == DP_SPD_PROTECT && m[0].spd.dirs == 3 && m[0].spd.proto == 17);
	CU_ASSERT(m[0].spd.local.family == 4 && m[0].spd.local_plen == 32 && m[0].spd.remote.family == 0 && m[0].spd.remote_plen == 0);
	CU_ASSERT(m[0].spd.local_lo == 2727 && m[0].spd.local_hi == 2727 && m[0].spd.remote_lo == 0 && m[0].spd.remote_hi == 65535);
	CU_ASSERT(m[0].spd.df == DP_SPD_DF_SET && m[0].spd.dscp == 26 && m[0].spd.icmp_lo == 0 && m[0].spd.icmp_hi == 255);
	CU_ASSERT(m[1].spd.pos == 1 && m[1].spd.action == DP_SPD_DISCARD && m[1].spd.dirs == DP_SPD_IN && m[1].spd.dscp == 0);
	CU_ASSERT(m[1].spd.remote.family == 6 && m[1].spd.remote_plen == 32 && m[1].spd.icmp_lo == 128 && m[1].spd.icmp_hi == 129);
	CU_ASSERT_EQUAL(m[2].commit.count, 2);
	CU_ASSERT_PTR_NULL(cp_alarm_find(w.alarms, "policies-refused", "dataplane"));
	end();
}

/* No policies is a list too: the dataplane may hold an older one. */
static void test_empty(void)
{
	begin(0);
	CU_ASSERT_EQUAL_FATAL(w.fake.n, 1);
	CU_ASSERT(w.fake.log[0].hdr.type == DP_MSG_SPD_COMMIT && w.fake.log[0].commit.count == 0);
	end();
}

static void test_refused(void)
{
	begin(2);
	w.refuse_type = DP_MSG_SPD_COMMIT;
	w.refuse_rc = -EBADMSG;
	cp_spd_up(spd);
	UNTIL(cp_alarm_find(w.alarms, "policies-refused", "dataplane") != NULL);
	w.refuse_type = DP_MSG_SPD_SET;
	cp_spd_up(spd);
	rest();
	w.refuse_type = 0;
	cp_spd_up(spd);
	UNTIL(cp_alarm_find(w.alarms, "policies-refused", "dataplane") == NULL);
	end();
}

static const char *text(json_t *list, size_t i, const char *key)
{
	const char *s = json_string_value(json_object_get(json_array_get(list, i), key));

	return s != NULL ? s : "-";
}

static void test_show(void)
{
	struct dp_page_worker *pw;
	json_t *list;
	size_t n;

	begin(2);
	pw = (struct dp_page_worker *)(void *)((uint8_t *)w.fake.page + w.fake.page->worker_off);
	pw->spd_hit[1] = 7;
	list = cp_spd_show(spd);
	n = json_array_size(list);
	CU_ASSERT_FATAL(n >= 6);
	CU_ASSERT_STRING_EQUAL(text(list, 0, "from"), "built in");
	CU_ASSERT_STRING_EQUAL(text(list, 1, "action"), "protect");
	CU_ASSERT_STRING_EQUAL(text(list, 1, "local"), "10.0.0.1");
	CU_ASSERT_STRING_EQUAL(text(list, 1, "local_ports"), "2727");
	CU_ASSERT_STRING_EQUAL(text(list, 1, "remote_ports"), "any");
	CU_ASSERT_STRING_EQUAL(text(list, 1, "df"), "set");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_array_get(list, 1), "dscp")), 26);
	CU_ASSERT_STRING_EQUAL(text(list, 2, "protocol"), "icmpv6");
	CU_ASSERT_STRING_EQUAL(text(list, 2, "icmp_types"), "128-129");
	CU_ASSERT_STRING_EQUAL(text(list, 2, "direction"), "in");
	CU_ASSERT_STRING_EQUAL(text(list, 2, "remote"), "2001:db8::/32");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_array_get(list, 2), "hits")), 7);
	CU_ASSERT_STRING_EQUAL(text(list, 3, "gateway"), "gw1");
	CU_ASSERT_STRING_EQUAL(text(list, 3, "keys"), "protect");
	CU_ASSERT(strncmp(text(list, 3, "action"), "protect", 7) == 0);
	CU_ASSERT_STRING_EQUAL(text(list, n - 1, "action"), "discard");
	json_decref(list);
	end();
}

static CU_TestInfo tests[] = {
	{"the list, and that it is whole", test_list},
	{"no policies", test_empty},
	{"the dataplane refuses", test_refused},
	{"what is shown", test_show},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("cpspd", tests, NULL, NULL)
