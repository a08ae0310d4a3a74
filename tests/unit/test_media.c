/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/call/media.c: who gets which port. Architecture section 4. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "call/media.h"

static char a1[] = "10.0.0.2", a2[] = "10.0.1.2", a3[] = "2001:db8::2", phones[] = "phones", gws[] = "gateways",
	    def[] = "default";

static struct cfg_media media(struct cfg_media_addr *addrs)
{
	struct cfg_media m = {.base_port = 16384, .addresses = addrs, .addresses_count = 3};

	addrs[0] = (struct cfg_media_addr){.address = a1, .region = phones};
	addrs[1] = (struct cfg_media_addr){.address = a2, .region = gws};
	addrs[2] = (struct cfg_media_addr){.address = a3, .region = def};
	cfg_addr_parse(a1, &addrs[0].addr);
	cfg_addr_parse(a2, &addrs[1].addr);
	cfg_addr_parse(a3, &addrs[2].addr);
	return m;
}

static void test_both_legs_share_a_shard(void)
{
	struct cfg_media_addr addrs[3];
	struct cfg_media m = media(addrs);
	struct cp_ports *p = cp_ports_create(&m);
	uint32_t a, b, n = 0;
	struct cfg_addr addr;

	while (cp_ports_take(p, "phones", 4, "gateways", 4, &a, &b) == 0) {
		CU_ASSERT_EQUAL_FATAL(DP_LEG_SHARD(a), DP_LEG_SHARD(b));
		CU_ASSERT_EQUAL_FATAL(DP_LEG_ADDR(a), 0);
		CU_ASSERT_EQUAL_FATAL(DP_LEG_ADDR(b), 1);
		CU_ASSERT_TRUE_FATAL(cp_ports_addr(p, a, &addr));
		CU_ASSERT_EQUAL_FATAL(addr.port % 2, 0);
		CU_ASSERT_EQUAL_FATAL((addr.port - 16384) >> 8, DP_LEG_SHARD(a));
		n++;
	}
	CU_ASSERT_EQUAL(n, 8192); /* every port of both addresses, none twice */
	CU_ASSERT_EQUAL(cp_ports_used(p), 16384);
	CU_ASSERT_EQUAL(cp_ports_take(p, "phones", 4, "gateways", 4, &a, &b), -ENOSPC);
	cp_ports_put(p, 77);
	cp_ports_put(p, 8192 + 77);
	CU_ASSERT_EQUAL(cp_ports_take(p, "phones", 0, "gateways", 0, &a, &b), 0);
	CU_ASSERT_EQUAL(a, 77);
	cp_ports_destroy(p);
}

static void test_legs_on_one_address_are_distinct(void)
{
	struct cfg_media_addr addrs[3];
	struct cfg_media m = media(addrs);
	struct cp_ports *p = cp_ports_create(&m);
	uint8_t seen[DP_LEGS_PER_ADDR] = {0};
	uint32_t a, b, n = 0;

	while (cp_ports_take(p, "phones", 4, "phones", 4, &a, &b) == 0) {
		CU_ASSERT_EQUAL_FATAL(DP_LEG_SHARD(a), DP_LEG_SHARD(b));
		CU_ASSERT_FALSE_FATAL(seen[a]++);
		CU_ASSERT_FALSE_FATAL(seen[b]++);
		n += 2;
	}
	CU_ASSERT_EQUAL(n, DP_LEGS_PER_ADDR);
	cp_ports_destroy(p);
}

static void test_a_returned_pair_rests(void)
{
	struct cfg_media_addr addrs[3];
	struct cfg_media m = media(addrs);
	struct cp_ports *p = cp_ports_create(&m);
	uint32_t a, b, first;

	CU_ASSERT_EQUAL(cp_ports_take(p, "phones", 4, "gateways", 4, &first, &b), 0);
	cp_ports_put(p, first);
	cp_ports_put(p, b);
	/* 64 shards in turn, 128 pairs each: it comes again last */
	for (int i = 0; i < 64 * 128 - 1; i++) {
		CU_ASSERT_EQUAL_FATAL(cp_ports_take(p, "phones", 4, "gateways", 4, &a, &b), 0);
		CU_ASSERT_NOT_EQUAL_FATAL(a, first);
	}
	cp_ports_destroy(p);
}

static void test_regions_and_claims(void)
{
	struct cfg_media_addr addrs[3];
	struct cfg_media m = media(addrs);
	struct cp_ports *p = cp_ports_create(&m);
	uint32_t a, b;

	CU_ASSERT_EQUAL(cp_ports_take(p, "nowhere", 6, "phones", 4, &a, &b), 0);
	CU_ASSERT_EQUAL(DP_LEG_ADDR(a), 2);
	CU_ASSERT_EQUAL(cp_ports_take(p, "nowhere", 4, "phones", 4, &a, &b), -ENOENT);
	CU_ASSERT_EQUAL(cp_ports_claim(p, 500), 0);
	CU_ASSERT_EQUAL(cp_ports_claim(p, 500), -EEXIST);
	CU_ASSERT_EQUAL(cp_ports_claim(p, 3 * DP_LEGS_PER_ADDR), -EINVAL);
	cp_ports_put(p, 500);
	cp_ports_put(p, 500); /* harmless */
	CU_ASSERT_EQUAL(cp_ports_claim(p, 500), 0);
	CU_ASSERT_EQUAL(cp_ports_used(p), 3);
	cp_ports_destroy(p);
}

static CU_TestInfo tests[] = {
	{"both legs share a shard, every port once", test_both_legs_share_a_shard},
	{"legs on one address are distinct", test_legs_on_one_address_are_distinct},
	{"a returned pair rests", test_a_returned_pair_rests},
	{"regions and claims", test_regions_and_claims},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("media", tests, NULL, NULL)
