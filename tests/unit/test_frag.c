/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/frag.c in the worker's round: fragments of both families, in any order, cut, twice, overlapping, too many. */
#include <CUnit/CUnit.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dp_harness.h"
#include "frag.h"

#define LP (BASE + 40)

static uint32_t leg_a, leg_b, leg_6;

static int setup(void)
{
	cfg.dataplane.fragments = CFG_FRAG_REASSEMBLE;
	return harness_up();
}

static void legs(void)
{
	leg_a = leg(0, LP, DP_LEG_ID(1, LP, BASE), "10.0.0.2", 4000, 0, 0, DP_LATCH_NONE, 0);
	leg_b = leg(1, LP, leg_a, "10.1.0.3", 5000, 0, 0, DP_LATCH_NONE, 0);
	leg_6 = leg(2, LP + 2, DP_LEG_ID(1, LP + 2, BASE), "fd00::2", 4000, 0, 0, DP_LATCH_NONE, 0);
	leg(1, LP + 2, leg_6, "10.1.0.3", 5002, 0, 0, DP_LATCH_NONE, 0);
	rounds(2);
	host_speaks(1, "10.1.0.3");
	drain_tx();
}

/* One IP packet around RTP of 'n' bytes, as send_udp() would have it, without Ethernet. Returns its length. */
static uint16_t packet(bool v6, uint8_t *ip, const uint8_t *p, uint16_t n)
{
	struct dp_sockaddr s, d;
	uint16_t h = dp_udp_hdr_len(v6 ? 6 : 4);

	ip_of(v6 ? "fd00::2" : "10.0.0.2", &s, 4000);
	ip_of(v6 ? "fd00::1" : "10.0.0.1", &d, 0);
	memcpy(ip + h, p, n);
	dp_build_udp(ip, s.family, s.ip, 4000, d.ip, v6 ? LP + 2 : LP, n, 0, true);
	return (uint16_t)(h + n);
}

/* Bytes [from, to) of the payload of an IP packet as a fragment with Ethernet header; 'last': no more follow. */
static uint16_t piece(uint8_t *f, const uint8_t *ip, uint16_t from, uint16_t to, bool last, uint16_t id)
{
	bool v6 = ip[0] >> 4 == 6;
	uint16_t h = v6 ? 40 : 20, at = 14, sum;

	memcpy(f, node.ports[0].mac, 6);
	memcpy(f + 6, peer_mac, 6);
	dp_put16(f + 12, v6 ? DP_ETYPE_IP6 : DP_ETYPE_IP4);
	memcpy(f + at, ip, h);
	if (v6) {
		f[at + 6] = 44;
		dp_put16(f + at + 4, (uint16_t)(8 + to - from));
		f[at + 40] = DP_PROTO_UDP;
		f[at + 41] = 0;
		dp_put16(f + at + 42, (uint16_t)(from | !last));
		dp_put32(f + at + 44, id);
		h = 48;
	} else {
		dp_put16(f + at + 2, (uint16_t)(20 + to - from));
		dp_put16(f + at + 4, id);
		dp_put16(f + at + 6, (uint16_t)(from / 8 | (last ? 0 : 0x2000)));
		dp_put16(f + at + 10, 0);
		sum = dp_ip4_sum(f + at);
		memcpy(f + at + 10, &sum, 2);
	}
	memcpy(f + at + h, ip + (v6 ? 40 : 20) + from, (size_t)(to - from));
	return (uint16_t)(at + h + to - from);
}

static bool came_whole(const uint8_t *p, uint16_t n)
{
	struct dp_frame f;
	struct out o;

	if (!next_out(&o))
		return false;
	CU_ASSERT_EQUAL_FATAL(dp_parse_frame(o.data, o.len, &f), DP_OK);
	CU_ASSERT_EQUAL(f.payload_len, n);
	CU_ASSERT_EQUAL(memcmp(o.data + f.payload_off, p, n), 0);
	return true;
}

/* Three pieces in every order, both families, in one burst and one by one. */
static void test_orders(void)
{
	static const uint8_t order[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	uint64_t consumed;
	uint16_t id = 1, turns = 0;

	legs();
	consumed = drops(DP_DROP_CONSUMED);
	for (int v6 = 0; v6 < 2; v6++) {
		for (int o = 0; o < 6; o++) {
			for (int slow = 0; slow < 2; slow++) {
				uint8_t p[1300], ip[1400], f[1500];
				uint16_t n = rtp(p, id, 7, 1001), len = packet(v6, ip, p, n);
				uint16_t all = (uint16_t)(len - (v6 ? 40 : 20)), cut[4] = {0, 400, 808, all};

				for (int i = 0; i < 3; i++) {
					int k = order[o][i];

					inject(0, 0, f, piece(f, ip, cut[k], cut[k + 1], k == 2, id));
					if (slow) {
						rounds(1);
						CU_ASSERT_EQUAL(came_whole(p, n), i == 2);
						frags_held[0] = i < 2 ? (uint64_t)(i + 1) : 0;
						assert_accounts();
					}
				}
				rounds(1);
				CU_ASSERT_EQUAL(came_whole(p, n), !slow);
				id++;
				turns++;
				assert_accounts();
			}
		}
	}
	CU_ASSERT_EQUAL(drops(DP_DROP_CONSUMED), consumed + turns * 2);
	CU_ASSERT_EQUAL(drops(DP_DROP_FRAG_INCOMPLETE), 0);
}

/* Padding that Ethernet puts behind a short last piece is none of it. */
static void test_padding(void)
{
	uint8_t p[200], ip[300], f[400];
	uint16_t n = rtp(p, 1, 7, 100), len = packet(false, ip, p, n), k;

	inject(0, 0, f, piece(f, ip, 0, 112, false, 900));
	k = piece(f, ip, 112, (uint16_t)(len - 20), true, 900);
	CU_ASSERT(k < 60);
	memset(f + k, 0xee, 60u - k);
	inject(0, 0, f, 60);
	rounds(1);
	CU_ASSERT_TRUE(came_whole(p, n));
	assert_accounts();
}

static void wait_out(void)
{
	for (int i = 0; i < 10; i++) {
		usleep(DP_FRAG_MS * 1000 / 8);
		rounds(1);
	}
	frags_held[0] = 0;
	frags_held[1] = 0;
}

static void test_incomplete(void)
{
	uint8_t p[600], ip[700], f[800];
	uint16_t n = rtp(p, 1, 7, 500), len = packet(false, ip, p, n);
	uint64_t before = drops(DP_DROP_FRAG_INCOMPLETE);

	inject(0, 0, f, piece(f, ip, 0, 200, false, 1000));
	inject(0, 0, f, piece(f, ip, 400, (uint16_t)(len - 20), true, 1000));
	rounds(1);
	frags_held[0] = 2;
	assert_accounts();
	wait_out();
	CU_ASSERT_EQUAL(drops(DP_DROP_FRAG_INCOMPLETE), before + 2);
	assert_accounts();
	/* too late: it waits alone */
	inject(0, 0, f, piece(f, ip, 200, 400, false, 1000));
	rounds(1);
	CU_ASSERT_FALSE(came_whole(p, n));
	wait_out();
	CU_ASSERT_EQUAL(drops(DP_DROP_FRAG_INCOMPLETE), before + 3);
	/* overlapping ones never become a packet */
	for (uint16_t id = 1001; id < 1004; id++) {
		inject(0, 0, f, piece(f, ip, 0, 200, false, id));
		inject(0, 0, f, piece(f, ip, id == 1001 ? 192 : id == 1002 ? 0 : 208, 400, false, id));
		inject(0, 0, f, piece(f, ip, 400, (uint16_t)(len - 20), true, id));
	}
	rounds(1);
	CU_ASSERT_FALSE(came_whole(p, n));
	wait_out();
	CU_ASSERT_EQUAL(drops(DP_DROP_FRAG_INCOMPLETE), before + 12);
	assert_accounts();
}

static void test_malformed(void)
{
	uint8_t p[600], ip[700], f[800];
	uint16_t k;
	uint64_t bad = drops(DP_DROP_L3_MALFORMED), frag = drops(DP_DROP_L3_FRAGMENT);

	packet(false, ip, p, rtp(p, 1, 7, 500));
	/* not in eights, nothing in it, beyond 65,535 */
	inject(0, 0, f, piece(f, ip, 0, 201, false, 1));
	inject(0, 0, f, piece(f, ip, 0, 0, false, 2));
	k = piece(f, ip, 0, 200, true, 3);
	dp_put16(f + 14 + 6, 0x1fff);
	dp_put16(f + 14 + 10, 0);
	uint16_t sum = dp_ip4_sum(f + 14);
	memcpy(f + 24, &sum, 2);
	inject(0, 0, f, k);
	rounds(1);
	CU_ASSERT_EQUAL(drops(DP_DROP_L3_MALFORMED), bad + 3);
	CU_ASSERT_EQUAL(drops(DP_DROP_L3_FRAGMENT), frag);
	/* of another protocol, for another address */
	k = piece(f, ip, 0, 200, false, 4);
	f[14 + 9] = 6;
	dp_put16(f + 24, 0);
	sum = dp_ip4_sum(f + 14);
	memcpy(f + 24, &sum, 2);
	inject(0, 0, f, k);
	k = piece(f, ip, 0, 200, false, 5);
	f[14 + 19] = 77;
	dp_put16(f + 24, 0);
	sum = dp_ip4_sum(f + 14);
	memcpy(f + 24, &sum, 2);
	inject(0, 0, f, k);
	rounds(1);
	CU_ASSERT_EQUAL(drops(DP_DROP_L3_FRAGMENT), frag + 2);
	/* IPv6: a fragment inside a fragment */
	uint8_t inner[400];
	uint16_t ilen, m = rtp(p, 1, 7, 60);

	ilen = packet(true, ip, p, m);
	k = piece(f, ip, 0, (uint16_t)(ilen - 40), true, 6); /* an atomic fragment, inside ... */
	memcpy(inner, f + 14, 40);
	memcpy(inner + 40, f + 14 + 40, (size_t)(k - 54));
	inner[6] = 44;
	k = piece(f, inner, 0, (uint16_t)(k - 54), true, 7);
	f[14 + 40] = 44; /* ... another one */
	inject(0, 0, f, k);
	rounds(2);
	CU_ASSERT_FALSE(came_whole(p, m));
	/* not even begun: only UDP and ESP behind the header */
	CU_ASSERT_EQUAL(drops(DP_DROP_L3_FRAGMENT), frag + 3);
	assert_accounts();
}

/* What is longer than a buffer, or than the next port's MTU, is counted. */
static void test_too_long(void)
{
	static uint8_t p[4000], ip[4100];
	uint8_t f[2000];
	uint16_t n = rtp(p, 1, 7, 3000), len = packet(false, ip, p, n);
	uint64_t room = drops(DP_DROP_NO_ROOM);

	for (uint16_t at = 0; at < len - 20; at += 1000)
		inject(0, 0, f, piece(f, ip, at, at + 1000 < len - 20 ? at + 1000 : len - 20, at + 1000 >= len - 20, 2000));
	rounds(1);
	CU_ASSERT_EQUAL(drops(DP_DROP_NO_ROOM), room + 1);
	n = rtp(p, 1, 7, 1700);
	len = packet(false, ip, p, n);
	inject(0, 0, f, piece(f, ip, 0, 1000, false, 2001));
	inject(0, 0, f, piece(f, ip, 1000, (uint16_t)(len - 20), true, 2001));
	rounds(1);
	CU_ASSERT_EQUAL(drops(DP_DROP_NO_ROOM), room + 2);
	assert_accounts();
}

/* A flood of first pieces: the table takes what it takes, media goes on, and so do fragments afterwards. */
static void test_flood(void)
{
	uint8_t p[600], ip[700], f[800], voice[200];
	uint16_t n = rtp(p, 1, 7, 500), len = packet(false, ip, p, n), vn;
	uint64_t before = drops(DP_DROP_FRAG_INCOMPLETE), sent = 0;

	for (uint16_t i = 0; i < 5000; i++) {
		inject(0, 0, f, piece(f, ip, 0, 200, false, (uint16_t)(3000 + i)));
		sent++;
		if (i % 50 == 0) {
			vn = rtp(voice, i, 9, 160);
			send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", LP, voice, vn);
			rounds(2);
			CU_ASSERT_TRUE(came_whole(voice, vn));
		}
	}
	rounds(100);
	/* held at most: the table's number */
	CU_ASSERT(rte_mempool_in_use_count(node.pool) < 200);
	wait_out();
	CU_ASSERT_EQUAL(drops(DP_DROP_FRAG_INCOMPLETE), before + sent);
	assert_accounts();
	inject(0, 0, f, piece(f, ip, 0, 200, false, 9000));
	inject(0, 0, f, piece(f, ip, 200, (uint16_t)(len - 20), true, 9000));
	rounds(1);
	CU_ASSERT_TRUE(came_whole(p, n));
	assert_accounts();
}

/* Random pieces, some twice, some missing, some overlapping: every buffer is accounted for. */
static void test_random(void)
{
	srand(791);
	for (int i = 0; i < 20000; i++) {
		uint8_t p[1200], ip[1300], f[1400];
		uint16_t n = rtp(p, 1, 7, (uint16_t)(rand() % 1000)), len = packet(i % 3 == 0, ip, p, n);
		uint16_t all = (uint16_t)(len - (i % 3 == 0 ? 40 : 20));
		uint16_t from = (uint16_t)(rand() % all & ~7), to = (uint16_t)(from + 8 + (rand() % 600 & ~7));
		bool last = to >= all;

		to = last ? all : to;
		inject(0, i % WORKERS, f, piece(f, ip, from, to, last != (rand() % 20 == 0), (uint16_t)(rand() % 16)));
		if (i % 16 == 0) {
			rounds(1);
			drain_tx();
		}
	}
	rounds(4);
	drain_tx();
	wait_out();
	assert_accounts();
}

static void test_stop(void)
{
	uint8_t p[600], ip[700], f[800];

	rtp(p, 1, 7, 500);
	packet(false, ip, p, 512);
	inject(0, 0, f, piece(f, ip, 0, 200, false, 1));
	rounds(1); /* one waits in the table */
	CU_ASSERT_EQUAL(harness_down(), 0);
}

static CU_TestInfo tests[] = {
	{"three pieces in every order, both families", test_orders},
	{"padding behind a short piece", test_padding},
	{"pieces that are missing or overlap", test_incomplete},
	{"malformed and other people's fragments", test_malformed},
	{"too long for a buffer or the next port", test_too_long},
	{"a flood of first pieces", test_flood},
	{"random pieces", test_random},
	{"all buffers come back", test_stop},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("frag", tests, setup, NULL)
