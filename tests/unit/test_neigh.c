/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/neigh.c: asking, hearing, ageing by a given clock; ND checks; answers checked by an own reading. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "neigh.h"

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t our6[16] = {0xfd, [15] = 1}, peer6[16] = {0xfd, [15] = 2}, our4[16] = {10, 0, 0, 1},
		     peer4[16] = {10, 0, 0, 2};

static void test_asks_and_gives_up(void)
{
	struct dp_neigh *tab = dp_neigh_create(4);
	struct dp_nh nh;
	uint64_t ms = 1000;
	unsigned asked = 0;
	int i = dp_neigh_want(tab, 0, 4, peer4, ms);

	CU_ASSERT_EQUAL(i, 0);
	CU_ASSERT_EQUAL(dp_neigh_want(tab, 0, 4, peer4, ms), 0);
	CU_ASSERT_EQUAL(dp_neigh_want(tab, 1, 4, peer4, ms), 1); /* another port is another neighbour */
	CU_ASSERT_TRUE(dp_neigh_due(tab, ms, &nh));
	CU_ASSERT_TRUE(dp_neigh_due(tab, ms, &nh));
	CU_ASSERT_FALSE(dp_neigh_due(tab, ms, &nh));
	/* one request a second at first, then one in ten */
	for (; ms < 41000; ms += 50)
		while (dp_neigh_due(tab, ms, &nh))
			asked++;
	CU_ASSERT(asked >= 2 * 4 && asked <= 2 * 6);
	CU_ASSERT_TRUE(dp_neigh_heard(tab, 0, 4, peer4, peer_mac, ms));
	CU_ASSERT_FALSE(dp_neigh_heard(tab, 0, 4, our4, peer_mac, ms)); /* nobody wants it: not learned */
	CU_ASSERT_EQUAL(dp_neigh_cnt(tab), 2);
	CU_ASSERT_EQUAL(dp_neigh_want(tab, 0, 6, peer6, ms), 2);
	CU_ASSERT_EQUAL(dp_neigh_want(tab, 0, 6, our6, ms), 3);
	CU_ASSERT_EQUAL(dp_neigh_want(tab, 0, 4, our4, ms), -ENOSPC);
	dp_neigh_destroy(tab);
}

static void test_refresh_and_stale(void)
{
	struct dp_neigh *tab = dp_neigh_create(4);
	struct dp_nh_snap *snap;
	struct dp_nh nh;
	uint64_t ms = 1000, t;

	dp_neigh_want(tab, 0, 4, peer4, ms);
	CU_ASSERT_TRUE(dp_neigh_due(tab, ms, &nh));
	dp_neigh_heard(tab, 0, 4, peer4, peer_mac, ms);
	CU_ASSERT_TRUE(dp_neigh_dirty(tab));
	snap = dp_neigh_snapshot(tab);
	CU_ASSERT_FALSE(dp_neigh_dirty(tab));
	CU_ASSERT_EQUAL(dp_nh_find(snap, 0, 4, peer4), 0);
	CU_ASSERT_EQUAL(dp_nh_find(snap, 1, 4, peer4), DP_NEIGH_NONE);
	CU_ASSERT_EQUAL(dp_nh_find(snap, 0, 6, peer4), DP_NEIGH_NONE);
	CU_ASSERT_TRUE(snap->nh[0].valid);
	CU_ASSERT_EQUAL(memcmp(snap->nh[0].mac, peer_mac, 6), 0);
	free(snap);
	for (t = ms; t < ms + DP_NEIGH_REFRESH_S * 1000; t += 250)
		CU_ASSERT_FALSE(dp_neigh_due(tab, t, &nh));
	CU_ASSERT_TRUE(dp_neigh_due(tab, t + 250, &nh));
	/* an answer to that keeps it without a new snapshot */
	dp_neigh_heard(tab, 0, 4, peer4, peer_mac, t);
	CU_ASSERT_FALSE(dp_neigh_dirty(tab));
	/* silence: given up, its index stays */
	for (; t < ms + 90000; t += 250)
		(void)dp_neigh_due(tab, t, &nh);
	CU_ASSERT_TRUE(dp_neigh_dirty(tab));
	snap = dp_neigh_snapshot(tab);
	CU_ASSERT_EQUAL(dp_nh_find(snap, 0, 4, peer4), 0);
	CU_ASSERT_FALSE(snap->nh[0].valid);
	free(snap);
	/* back under another MAC */
	dp_neigh_heard(tab, 0, 4, peer4, our_mac, t);
	snap = dp_neigh_snapshot(tab);
	CU_ASSERT_TRUE(snap->nh[0].valid);
	CU_ASSERT_EQUAL(memcmp(snap->nh[0].mac, our_mac, 6), 0);
	free(snap);
	dp_neigh_destroy(tab);
}

static void test_many(void)
{
	struct dp_neigh *tab = dp_neigh_create(5000);
	struct dp_nh_snap *snap;
	uint8_t ip[16] = {10};

	for (uint32_t i = 0; i < 5000; i++) {
		dp_put32(ip, 0x0a000000 + i);
		CU_ASSERT_EQUAL(dp_neigh_want(tab, i % 3, 4, ip, 1), (int)i);
	}
	snap = dp_neigh_snapshot(tab);
	for (uint32_t i = 0; i < 5000; i++) {
		dp_put32(ip, 0x0a000000 + i);
		CU_ASSERT_EQUAL(dp_nh_find(snap, i % 3, 4, ip), i);
	}
	free(snap);
	dp_neigh_destroy(tab);
}

static void test_arp_frames(void)
{
	uint8_t f[DP_NEIGH_FRAME_MAX + 8];
	struct dp_frame fr;
	struct dp_arp arp;

	CU_ASSERT_EQUAL(dp_neigh_solicit(f, 4, peer_mac, peer4, our4), 60);
	CU_ASSERT_EQUAL_FATAL(dp_parse_frame(f, 60, &fr), DP_OK);
	CU_ASSERT_EQUAL_FATAL(dp_parse_arp(f + fr.l3_off, fr.l3_len, &arp), DP_OK);
	CU_ASSERT_EQUAL(arp.op, 1);
	CU_ASSERT_EQUAL(dp_neigh_arp_reply(f, &fr, &arp, our_mac), 42);
	CU_ASSERT_EQUAL(memcmp(f, peer_mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(f + 6, our_mac, 6), 0);
	CU_ASSERT_EQUAL_FATAL(dp_parse_arp(f + 14, 28, &arp), DP_OK);
	CU_ASSERT_EQUAL(arp.op, 2);
	CU_ASSERT_EQUAL(memcmp(arp.sha, our_mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(arp.spa, our4, 4), 0);
	CU_ASSERT_EQUAL(memcmp(arp.tha, peer_mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(arp.tpa, peer4, 4), 0);
}

static void test_nd_frames(void)
{
	uint8_t f[DP_NEIGH_FRAME_MAX + 8], g[DP_NEIGH_FRAME_MAX + 8];
	struct dp_frame fr, ans;
	struct dp_nd nd, na;
	uint16_t len = dp_neigh_solicit(f, 6, peer_mac, peer6, our6);

	CU_ASSERT_EQUAL(f[0], 0x33);
	CU_ASSERT_EQUAL_FATAL(dp_parse_frame(f, len, &fr), DP_OK);
	CU_ASSERT_EQUAL_FATAL(dp_neigh_nd_check(f, &fr, &nd), DP_OK);
	CU_ASSERT_EQUAL(nd.type, 135);
	CU_ASSERT_EQUAL(memcmp(nd.target, our6, 16), 0);
	CU_ASSERT_TRUE(nd.has_mac);
	CU_ASSERT_EQUAL(memcmp(nd.mac, peer_mac, 6), 0);
	memcpy(g, f, len);
	CU_ASSERT_EQUAL(dp_neigh_na(g, 85, &fr, &nd, our_mac), 0); /* no room */
	CU_ASSERT_EQUAL(dp_neigh_na(g, sizeof(g), &fr, &nd, our_mac), 86);
	CU_ASSERT_EQUAL(memcmp(g, peer_mac, 6), 0);
	CU_ASSERT_EQUAL_FATAL(dp_parse_frame(g, 86, &ans), DP_OK);
	CU_ASSERT_EQUAL_FATAL(dp_neigh_nd_check(g, &ans, &na), DP_OK);
	CU_ASSERT_EQUAL(na.type, 136);
	CU_ASSERT_EQUAL(memcmp(ans.dst, peer6, 16), 0);
	CU_ASSERT_EQUAL(memcmp(na.mac, our_mac, 6), 0);
	/* a hop limit below 255 came from beyond the link */
	f[21] = 254;
	CU_ASSERT_EQUAL_FATAL(dp_parse_frame(f, len, &fr), DP_OK);
	CU_ASSERT_EQUAL(dp_neigh_nd_check(f, &fr, &nd), DP_DROP_L4_MALFORMED);
	f[21] = 255;
	CU_ASSERT_EQUAL_FATAL(dp_parse_frame(f, len, &fr), DP_OK);
	/* every single bit of the message matters */
	for (unsigned bit = 0; bit < 32 * 8; bit++) {
		f[54 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		CU_ASSERT_NOT_EQUAL(dp_neigh_nd_check(f, &fr, &nd), DP_OK);
		f[54 + bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CU_ASSERT_EQUAL(dp_neigh_nd_check(f, &fr, &nd), DP_OK);
}

/* Cut at every length, with a checksum that fits, on heap copies of the exact size. */
static void test_nd_truncated(void)
{
	uint8_t f[DP_NEIGH_FRAME_MAX + 8];
	struct dp_frame fr;
	struct dp_nd nd;

	for (uint16_t cut = 0; cut < 32; cut++) {
		uint8_t *copy = malloc(54u + cut);

		(void)dp_neigh_solicit(f, 6, peer_mac, peer6, our6);
		dp_put16(f + 18, cut);
		if (cut >= 4) {
			dp_put16(f + 56, 0);
			dp_put16(f + 56, dp_sum_fold(dp_sum(f + 54, cut, dp_sum_pseudo(6, f + 22, f + 38, 58, cut))));
		}
		memcpy(copy, f, 54u + cut);
		CU_ASSERT_EQUAL_FATAL(dp_parse_frame(copy, (uint16_t)(54 + cut), &fr), DP_OK);
		CU_ASSERT_EQUAL(dp_neigh_nd_check(copy, &fr, &nd), cut == 24 ? DP_OK : DP_DROP_L4_MALFORMED);
		free(copy);
	}
}

static void test_echo(void)
{
	uint8_t f[14 + 20 + 40];
	struct dp_frame fr;
	enum dp_drop why;

	memset(f, 7, sizeof(f));
	dp_put16(f + 12, DP_ETYPE_IP4);
	dp_build_udp(f + 14, 4, peer4, 0, our4, 0, 32, 0, false);
	f[23] = DP_PROTO_ICMP;
	dp_put16(f + 24, 0);
	dp_put16(f + 24, dp_sum_fold(dp_sum(f + 14, 20, 0)));
	f[34] = 8;
	f[35] = 0;
	dp_put16(f + 36, 0);
	dp_put16(f + 36, dp_sum_fold(dp_sum(f + 34, 40, 0)));
	CU_ASSERT_EQUAL_FATAL(dp_parse_frame(f, sizeof(f), &fr), DP_OK);
	CU_ASSERT_EQUAL(dp_neigh_echo_reply(f, &fr, our_mac, &why), sizeof(f));
	CU_ASSERT_EQUAL(f[34], 0);
	CU_ASSERT_EQUAL(dp_sum_fold(dp_sum(f + 34, 40, 0)), 0);
	CU_ASSERT_EQUAL(dp_sum_fold(dp_sum(f + 14, 20, 0)), 0);
	CU_ASSERT_EQUAL(memcmp(f + 26, our4, 4), 0);
	CU_ASSERT_EQUAL(memcmp(f + 30, peer4, 4), 0);
	/* a reply is not answered again, a bad checksum neither */
	CU_ASSERT_EQUAL(dp_neigh_echo_reply(f, &fr, our_mac, &why), 0);
	CU_ASSERT_EQUAL(why, DP_DROP_L4_PROTO);
	f[34] = 8;
	CU_ASSERT_EQUAL(dp_neigh_echo_reply(f, &fr, our_mac, &why), 0);
	CU_ASSERT_EQUAL(why, DP_DROP_L4_MALFORMED);
	fr.l4_len = 7;
	CU_ASSERT_EQUAL(dp_neigh_echo_reply(f, &fr, our_mac, &why), 0);
}

static CU_TestInfo tests[] = {
	{"a wanted hop is asked for, in measure", test_asks_and_gives_up},
	{"confirmed, refreshed, given up, back", test_refresh_and_stale},
	{"many neighbours are found", test_many},
	{"ARP request and reply", test_arp_frames},
	{"NS and NA", test_nd_frames},
	{"ND cut at every length", test_nd_truncated},
	{"echo", test_echo},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("neigh", tests, NULL, NULL)
