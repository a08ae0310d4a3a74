/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/parse.c and rtp.h: good frames read right, every truncation refused without reading past the end. */
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "parse.h"
#include "rtp.h"

static uint8_t frame[512];

static uint16_t udp4(uint16_t payload)
{
	static const uint8_t src[16] = {192, 0, 2, 1}, dst[16] = {192, 0, 2, 2};

	memset(frame, 0xee, sizeof(frame));
	dp_put16(frame + 12, DP_ETYPE_IP4);
	dp_build_udp(frame + 14, 4, src, 1000, dst, 2000, payload, 46, true);
	return (uint16_t)(14 + 28 + payload);
}

static uint16_t udp6(uint16_t payload)
{
	static const uint8_t src[16] = {0x20, 1, [15] = 1}, dst[16] = {0x20, 1, [15] = 2};

	memset(frame, 0xee, sizeof(frame));
	dp_put16(frame + 12, DP_ETYPE_IP6);
	dp_build_udp(frame + 14, 6, src, 1000, dst, 2000, payload, 46, false);
	return (uint16_t)(14 + 48 + payload);
}

/* Parse a copy of the exact size: ASan sees a read past it. */
static enum dp_drop parse(uint16_t len, struct dp_frame *f)
{
	uint8_t *copy = malloc(len ? len : 1);
	enum dp_drop rc;

	memcpy(copy, frame, len);
	rc = dp_parse_frame(copy, len, f);
	free(copy);
	return rc;
}

static void resum(void)
{
	dp_put16(frame + 24, 0);
	dp_put16(frame + 24, dp_sum_fold(dp_sum(frame + 14, (frame[14] & 15) * 4u, 0)));
}

static void test_udp(void)
{
	struct dp_frame f;
	uint16_t len = udp4(100);

	CU_ASSERT_EQUAL(parse(len, &f), DP_OK);
	CU_ASSERT_EQUAL(f.src_port, 1000);
	CU_ASSERT_EQUAL(f.dst_port, 2000);
	CU_ASSERT_EQUAL(f.payload_off, 42);
	CU_ASSERT_EQUAL(f.payload_len, 100);
	CU_ASSERT_EQUAL(f.tos, 46 << 2);
	CU_ASSERT_EQUAL(f.dst[3], 2);
	CU_ASSERT_EQUAL(f.dst[4], 0);
	/* the checksum written is right */
	CU_ASSERT_EQUAL(dp_sum_fold(dp_sum(frame + 34, 108, dp_sum_pseudo(4, f.src, f.dst, 17, 108))), 0);
	CU_ASSERT_EQUAL(parse(len + 9, &f), DP_OK); /* padding of the link */
	CU_ASSERT_EQUAL(f.l3_len, 128);
	len = udp6(100);
	CU_ASSERT_EQUAL(parse(len, &f), DP_OK);
	CU_ASSERT_EQUAL(f.payload_off, 62);
	CU_ASSERT_EQUAL(f.payload_len, 100);
	CU_ASSERT_EQUAL(dp_sum_fold(dp_sum(frame + 54, 108, dp_sum_pseudo(6, f.src, f.dst, 17, 108))), 0);
}

/* The quick way takes what parse takes of its shape, nothing else, and says the same of it. */
static bool quick_agrees(uint16_t len)
{
	struct dp_frame full, quick;
	uint8_t *copy = malloc(len ? len : 1);
	bool shape, taken;

	memset(&full, 0x55, sizeof(full));
	memset(&quick, 0x55, sizeof(quick));
	memcpy(copy, frame, len);
	shape = dp_parse_frame(copy, len, &full) == DP_OK && dp_get16(copy + 12) == DP_ETYPE_IP4 && copy[14] == 0x45 &&
		copy[23] == DP_PROTO_UDP;
	taken = dp_parse_quick(copy, len, &quick);
	free(copy);
	return taken == shape && (!taken || memcmp(&full, &quick, sizeof(full)) == 0);
}

static void test_quick(void)
{
	static const uint16_t payload[] = {0, 1, 160};
	unsigned int bad = 0;

	for (unsigned int k = 0; k < 3; k++) {
		uint16_t len = udp4(payload[k]);

		for (uint16_t l = 0; l <= len + 20; l++)
			bad += !quick_agrees(l);
		/* Each byte of the headers with each value, the checksum wrong and right. */
		for (unsigned int at = 0; at < 42; at++)
			for (unsigned int v = 0; v < 256; v++) {
				(void)udp4(payload[k]);
				frame[at] = (uint8_t)v;
				bad += !quick_agrees(len);
				bad += !quick_agrees((uint16_t)(len + 300));
				if (at < 24 || at > 25)
					resum();
				bad += !quick_agrees(len);
				bad += !quick_agrees((uint16_t)(len + 300));
			}
	}
	(void)udp6(100);
	bad += !quick_agrees(162);
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_TRUE(quick_agrees(udp4(160)));
}

static void test_truncation(void)
{
	struct dp_frame f;

	for (uint16_t len = 0; len < 14 + 28 + 100; len++) {
		udp4(100);
		CU_ASSERT_NOT_EQUAL(parse(len, &f), DP_OK);
	}
	for (uint16_t len = 0; len < 14 + 48 + 100; len++) {
		udp6(100);
		CU_ASSERT_NOT_EQUAL(parse(len, &f), DP_OK);
	}
}

static void test_bad_ip4(void)
{
	static const struct {
		uint16_t at;
		uint8_t val;
		enum dp_drop rc;
	} t[] = {
		{14, 0x44, DP_DROP_L3_MALFORMED}, /* header shorter than a header */
		{14, 0x55, DP_DROP_L3_MALFORMED}, /* version */
		{14, 0x4f, DP_DROP_L3_MALFORMED}, /* options beyond what follows; the sum is wrong as well */
		{16, 0xff, DP_DROP_L3_MALFORMED}, /* total length */
		{17, 19, DP_DROP_L3_MALFORMED},
		{20, 0x20, DP_DROP_L3_FRAGMENT},  /* more fragments */
		{21, 1, DP_DROP_L3_FRAGMENT},     /* offset */
		{22, 0, DP_DROP_TTL},
		{26, 127, DP_DROP_L3_MALFORMED},  /* sources that cannot be */
		{26, 224, DP_DROP_L3_MALFORMED},
		{26, 0, DP_DROP_L3_MALFORMED},
		{38, 0xff, DP_DROP_L4_MALFORMED}, /* UDP length beyond the packet */
	};
	struct dp_frame f;
	uint16_t len;

	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		len = udp4(20);
		frame[t[i].at] = t[i].val;
		resum();
		CU_ASSERT_EQUAL(parse(len, &f), t[i].rc);
	}
	len = udp4(20);
	dp_put16(frame + 38, 7); /* UDP length below its header */
	CU_ASSERT_EQUAL(parse(len, &f), DP_DROP_L4_MALFORMED);
	len = udp4(20);
	frame[25] ^= 1; /* checksum */
	CU_ASSERT_EQUAL(parse(len, &f), DP_DROP_L3_MALFORMED);
	/* options are skipped */
	len = udp4(20);
	memmove(frame + 38, frame + 34, 28);
	frame[14] = 0x46;
	memset(frame + 34, 1, 4);
	dp_put16(frame + 16, 52);
	resum();
	CU_ASSERT_EQUAL(parse((uint16_t)(len + 4), &f), DP_OK);
	CU_ASSERT_EQUAL(f.payload_off, 46);
}

static void test_ip6_extensions(void)
{
	struct dp_frame f;
	uint16_t len = udp6(60);

	/* hop-by-hop of 8 bytes, then UDP */
	memmove(frame + 62, frame + 54, 68);
	frame[20] = 0;
	memset(frame + 54, 0, 8);
	frame[54] = 17;
	dp_put16(frame + 18, 76);
	CU_ASSERT_EQUAL(parse((uint16_t)(len + 8), &f), DP_OK);
	CU_ASSERT_EQUAL(f.dst_port, 2000);
	frame[55] = 9; /* longer than what is there */
	CU_ASSERT_EQUAL(parse((uint16_t)(len + 8), &f), DP_DROP_L3_MALFORMED);
	frame[55] = 0;
	frame[54] = 43; /* routing */
	CU_ASSERT_EQUAL(parse((uint16_t)(len + 8), &f), DP_DROP_L3_MALFORMED);
	frame[54] = 44;
	CU_ASSERT_EQUAL(parse((uint16_t)(len + 8), &f), DP_DROP_L3_FRAGMENT);
	/* endless options end */
	len = udp6(80);
	memset(frame + 54, 0, 88);
	frame[20] = 0;
	CU_ASSERT_EQUAL(parse(len, &f), DP_DROP_L3_MALFORMED);
	len = udp6(10);
	frame[22] = 0xff; /* multicast source */
	CU_ASSERT_EQUAL(parse(len, &f), DP_DROP_L3_MALFORMED);
}

static void test_l2(void)
{
	struct dp_frame f;
	uint16_t len = udp4(20);

	memmove(frame + 18, frame + 14, len - 14);
	dp_put16(frame + 12, DP_ETYPE_VLAN);
	dp_put16(frame + 14, 0xe000); /* priority 7, VLAN 0 */
	dp_put16(frame + 16, DP_ETYPE_IP4);
	CU_ASSERT_EQUAL(parse((uint16_t)(len + 4), &f), DP_OK);
	CU_ASSERT_EQUAL(f.l3_off, 18);
	dp_put16(frame + 14, 5);
	CU_ASSERT_EQUAL(parse((uint16_t)(len + 4), &f), DP_DROP_L2_NOT_OURS);
	dp_put16(frame + 12, 0x88cc);
	CU_ASSERT_EQUAL(parse(len, &f), DP_DROP_L2_NOT_OURS);
}

/* A tag goes on and off; nothing that is cut within it is touched. */
static void test_vlan(void)
{
	uint8_t plain[200];
	struct dp_frame f;
	uint16_t len = udp4(20), vid = 1;

	memcpy(plain, frame, len);
	memmove(frame + 4, frame, len);
	dp_vlan_tag(frame + 4, 4094);
	CU_ASSERT_EQUAL(memcmp(frame, plain, 12), 0);
	CU_ASSERT_EQUAL(dp_get16(frame + 12), DP_ETYPE_VLAN);
	CU_ASSERT_EQUAL(dp_get16(frame + 14), 4094);
	CU_ASSERT_EQUAL(memcmp(frame + 16, plain + 12, len - 12), 0);
	CU_ASSERT_EQUAL(parse((uint16_t)(len + 4), &f), DP_DROP_L2_NOT_OURS);
	for (uint16_t cut = 0; cut < len + 4; cut++) {
		uint8_t *copy = malloc(cut ? cut : 1);

		memcpy(copy, frame, cut);
		CU_ASSERT_EQUAL(dp_vlan_untag(copy, cut, &vid), cut < 18 ? 0 : 4);
		CU_ASSERT_EQUAL(vid, cut < 18 ? 0 : 4094);
		if (cut < 18)
			CU_ASSERT_EQUAL(memcmp(copy, frame, cut), 0);
		free(copy);
	}
	frame[14] |= 0xf0; /* priority and DEI are no part of the identifier */
	CU_ASSERT_EQUAL(dp_vlan_untag(frame, (uint16_t)(len + 4), &vid), 4);
	CU_ASSERT_EQUAL(vid, 4094);
	CU_ASSERT_EQUAL(memcmp(frame + 4, plain, len), 0);
	/* untagged, and one whose type only begins like a tag's */
	CU_ASSERT_EQUAL(dp_vlan_untag(plain, len, &vid), 0);
	CU_ASSERT_EQUAL(vid, 0);
	dp_put16(plain + 12, 0x8101);
	CU_ASSERT_EQUAL(dp_vlan_untag(plain, len, &vid), 0);
}

static void test_vlan_priority(void)
{
	static const uint8_t want[][2] = {{46, 5}, {0, 0}, {63, 7}, {56, 7}, {7, 0}, {8, 1}, {34, 4}};
	uint8_t f[16] = {0};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		dp_put16(f + 12, DP_ETYPE_IP4);
		f[14] = 0x45;
		f[15] = (uint8_t)(want[i][0] << 2 | 3); /* ECN has no say */
		CU_ASSERT_EQUAL(dp_vlan_pcp(f, sizeof(f)), want[i][1]);
		dp_put16(f + 12, DP_ETYPE_IP6);
		dp_put16(f + 14, (uint16_t)(0x6000 | want[i][0] << 6 | 0x3f));
		CU_ASSERT_EQUAL(dp_vlan_pcp(f, sizeof(f)), want[i][1]);
	}
	memset(f + 14, 0xff, 2);
	for (uint16_t len = 14; len < 16; len++) /* too short for an answer */
		CU_ASSERT_EQUAL(dp_vlan_pcp(f, len), 0);
	dp_put16(f + 12, DP_ETYPE_ARP);
	CU_ASSERT_EQUAL(dp_vlan_pcp(f, sizeof(f)), 0);
}

static void test_arp(void)
{
	uint8_t a[28] = {0, 1, 8, 0, 6, 4, 0, 1, 2, 1, 1, 1, 1, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2};
	static const uint8_t at[] = {1, 2, 4, 5, 7, 8}; /* each makes it something else */
	struct dp_arp arp;

	CU_ASSERT_EQUAL(dp_parse_arp(a, 28, &arp), DP_OK);
	CU_ASSERT_EQUAL(arp.tpa[3], 2);
	for (uint16_t len = 0; len < 28; len++) {
		uint8_t *copy = malloc(len ? len : 1);

		memcpy(copy, a, len);
		CU_ASSERT_EQUAL(dp_parse_arp(copy, len, &arp), DP_DROP_L3_MALFORMED);
		free(copy);
	}
	for (unsigned i = 0; i < sizeof(at); i++) {
		a[at[i]] ^= 0x09;
		CU_ASSERT_EQUAL(dp_parse_arp(a, 28, &arp), DP_DROP_L3_MALFORMED);
		a[at[i]] ^= 0x09;
	}
}

static enum dp_drop check(const uint8_t *p, uint16_t len, bool rtcp)
{
	uint8_t *copy = malloc(len ? len : 1);
	enum dp_drop rc;

	memcpy(copy, p, len);
	rc = rtcp ? dp_rtcp_check(copy, len) : dp_rtp_check(copy, len, true);
	free(copy);
	return rc;
}

static void test_rtp(void)
{
	/* two CSRCs, extension of one word, three bytes of payload and padding of 2 */
	uint8_t p[] = {0xb2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 1, 1, 1, 2, 2, 2, 2, 0xbe, 0xde, 0, 1, 5, 5, 5, 5,
		       7, 7, 7, 0, 2};

	CU_ASSERT_EQUAL(check(p, sizeof(p), false), DP_OK);
	for (uint16_t len = 0; len < 28; len++)
		CU_ASSERT_EQUAL(check(p, len, false), DP_DROP_RTP_MALFORMED);
	p[sizeof(p) - 1] = 6; /* padding longer than the payload */
	CU_ASSERT_EQUAL(check(p, sizeof(p), false), DP_DROP_RTP_MALFORMED);
	CU_ASSERT_EQUAL(dp_rtp_check(p, sizeof(p), false), DP_OK); /* not to be seen when encrypted */
	p[sizeof(p) - 1] = 0;
	CU_ASSERT_EQUAL(check(p, sizeof(p), false), DP_DROP_RTP_MALFORMED);
	p[0] = 0x72;
	CU_ASSERT_EQUAL(check(p, sizeof(p), false), DP_DROP_RTP_MALFORMED);
	p[0] = 0x92;
	p[22] = 0xff; /* extension longer than the packet */
	CU_ASSERT_EQUAL(check(p, sizeof(p), false), DP_DROP_RTP_MALFORMED);
}

static void test_rtcp(void)
{
	/* SR without blocks, SDES of two words padded by four */
	uint8_t p[48] = {0x80, 200, 0, 6, [28] = 0xa1, 202, 0, 4, [47] = 4};

	CU_ASSERT_EQUAL(check(p, 48, true), DP_OK);
	CU_ASSERT_EQUAL(check(p, 28, true), DP_OK);
	for (uint16_t len = 0; len < 48; len++)
		if (len != 28)
			CU_ASSERT_EQUAL(check(p, len, true), DP_DROP_RTCP_MALFORMED);
	p[47] = 17; /* more padding than packet */
	CU_ASSERT_EQUAL(check(p, 48, true), DP_DROP_RTCP_MALFORMED);
	p[47] = 4;
	p[0] = 0xa0; /* padding not in the last */
	CU_ASSERT_EQUAL(check(p, 48, true), DP_DROP_RTCP_MALFORMED);
	p[0] = 0x80;
	p[29] = 100;
	CU_ASSERT_EQUAL(check(p, 48, true), DP_DROP_RTCP_MALFORMED);
	/* RFC 5761 */
	for (int pt = 0; pt < 256; pt++) {
		uint8_t q[2] = {0x80, (uint8_t)pt};

		CU_ASSERT_EQUAL(dp_rtp_is_rtcp(q, 2), (pt & 0x7f) >= 64 && (pt & 0x7f) <= 95 && pt >= 128);
	}
}

static CU_TestInfo tests[] = {
	{"UDP over IPv4 and IPv6", test_udp},
	{"media's quick way", test_quick},
	{"every truncation is refused", test_truncation},
	{"IPv4 fields that lie", test_bad_ip4},
	{"IPv6 extension headers", test_ip6_extensions},
	{"Ethernet and VLAN", test_l2},
	{"VLAN tags on and off", test_vlan},
	{"priority of a VLAN tag", test_vlan_priority},
	{"ARP", test_arp},
	{"RTP headers", test_rtp},
	{"RTCP compounds, and RTCP on RTP's port", test_rtcp},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("parse", tests, NULL, NULL)
