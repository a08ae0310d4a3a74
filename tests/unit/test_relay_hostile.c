/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/media.c with what networks and attackers do: stray packets far ahead, SSRCs that take turns, jumbo frames up to the
 * last byte, a leg that comes where another just was.
 */
#define FRAME_MAX 10240
#include "relay_fix.h"

#define MTU 9000

static int jumbo_setup(void)
{
	pcs[0].mtu = MTU;
	pcs[1].mtu = MTU;
	return setup();
}

static void test_hosts(void)
{
	set((struct dp_leg_set){.leg_id = 1, .peer_id = UINT32_MAX}, A_IP, 4000);
	set((struct dp_leg_set){.leg_id = DP_LEGS_PER_ADDR, .peer_id = UINT32_MAX}, B_IP, 4000);
	set((struct dp_leg_set){.leg_id = 2 * DP_LEGS_PER_ADDR, .peer_id = UINT32_MAX}, "fd00::2", 4000);
	host_speaks(0, A_IP);
	host_speaks(0, "fd00::2");
	host_speaks(1, B_IP);
	CU_ASSERT_EQUAL(del(2 * DP_LEGS_PER_ADDR), 0);
	gone(1, DP_LEGS_PER_ADDR);
	drain_tx();
}

/* From a party without SRTP to one with it. */
static void legs(uint32_t a, uint32_t b, uint8_t suite)
{
	set((struct dp_leg_set){.leg_id = a, .peer_id = b, .flags = BOTH}, A_IP, 4000);
	set((struct dp_leg_set){.leg_id = b, .peer_id = a, .flags = BOTH, .rx_suite = suite, .tx_suite = suite}, B_IP, 5000);
	leg_key(b, DP_DIR_SEND, suite, 2);
	rounds(1);
}

/* One packet of A's: does B hear it, and with which sequence number? */
static bool heard(uint16_t at, struct dp_srtp_key *rx, uint16_t seq, uint32_t ssrc, uint16_t *ret_seq)
{
	uint8_t p[128];
	struct dp_frame f;
	struct out o;
	uint16_t len;

	send_udp(0, 0, A_IP, 4000, "10.0.0.1", (uint16_t)(BASE + at), p, rtp(p, seq, ssrc, 40));
	if (!to_b(&o, &f))
		return false;
	len = f.payload_len;
	CU_ASSERT_TRUE_FATAL(unseal(rx, false, o.data + f.payload_off, &len));
	*ret_seq = dp_get16(o.data + f.payload_off + 2);
	return true;
}

/* A packet far ahead, of whoever: it is refused, and costs nobody else. Two of them are a restart, and so is the way back. */
static void test_stray(void)
{
	static const uint16_t far[] = {3000, 10000, 32000, 33000, 50000, 65000};
	uint32_t a = DP_LEG_ID(0, BASE + 68, BASE), b = DP_LEG_ID(1, BASE + 68, BASE);

	for (size_t k = 0; k < sizeof(far) / sizeof(far[0]); k++) {
		struct dp_srtp_key *rx = party_key(1, DP_DIR_RECV, 2);
		uint16_t seq = 65000, got, lost = 0;

		legs(a, b, 1);
		for (int i = 0; i < 5; i++)
			CU_ASSERT(heard(68, rx, seq++, 5, &got));
		for (int i = 0; i < 200; i++) {
			CU_ASSERT_FALSE(heard(68, rx, (uint16_t)(seq + far[k]), 5, &got));
			CU_ASSERT(heard(68, rx, seq, 5, &got));
			CU_ASSERT_EQUAL(got, seq++);
		}
		CU_ASSERT_FALSE(heard(68, rx, (uint16_t)(seq + far[k]), 5, &got));
		CU_ASSERT_TRUE(heard(68, rx, (uint16_t)(seq + far[k] + 1), 5, &got));
		for (int i = 0; i < 20; i++)
			lost += !heard(68, rx, seq++, 5, &got);
		CU_ASSERT(lost <= 1);
		gone(a, b);
		forget(rx);
	}
}

/* Two SSRCs in turns: each packet is the first of a sequence to the statistics, and none is lost. One begins anew. */
static void test_turns(void)
{
	uint32_t a = DP_LEG_ID(0, BASE + 70, BASE), b = DP_LEG_ID(1, BASE + 70, BASE);
	const struct dp_page_leg *pa = &dp_page_legs(node.page)[a];
	struct dp_srtp_key *rx = party_key(1, DP_DIR_RECV, 2);
	uint16_t seq[2] = {65500, 300}, want[2] = {65500, 300}, got;

	rx->pool = dp_srtp_pool_create(4, 0);
	legs(a, b, 1);
	for (int i = 0; i < 400; i++) {
		int k = i & 1;

		if (i == 200)
			seq[0] = (uint16_t)(seq[0] - 20000);
		CU_ASSERT(heard(70, rx, seq[k]++, 5 + (uint32_t)k, &got));
		CU_ASSERT_EQUAL(got, want[k]);
		want[k]++;
	}
	for (int i = 0; i < 8; i++) {
		dp_objs_tick(objs);
		usleep(120000);
	}
	CU_ASSERT_EQUAL(pa->rtp.received, 400);
	CU_ASSERT_EQUAL(pa->rtp.expected, 400);
	CU_ASSERT_EQUAL(pa->rtp.ssrc_changes, 399);
	CU_ASSERT_EQUAL(pa->rtp.reordered, 0);
	CU_ASSERT_EQUAL(pa->rtp.ssrc, 6);
	gone(a, b);
	struct dp_srtp_pool *pool = rx->pool;
	forget(rx);
	dp_srtp_pool_destroy(pool);
}

static struct dp_srtp_key *mki_party(uint8_t suite, uint8_t dir, uint8_t fill, uint8_t mki_len)
{
	const struct dp_srtp_params par = {.suite = suite, .dir = dir, .key = (uint8_t[32]){fill, fill, 3},
					   .salt = (uint8_t[14]){fill, 7}, .mki_len = mki_len,
					   .mki = (uint8_t[DP_SRTP_MKI_MAX]){fill}};
	struct dp_srtp_key *k = aligned_alloc(64, sizeof(*k));

	CU_ASSERT_EQUAL_FATAL(dp_srtp_key_init(mb, k, &par), 0);
	return k;
}

/* From A, IPv6 or IPv4, in suite 'sa' or none, to B in 'sb' with an MKI: packets up to the MTU, byte by byte around the end. */
static void jumbo(uint8_t sa, uint8_t sb, uint8_t mki_len, bool v6)
{
	const char *a_ip = v6 ? "fd00::2" : A_IP, *us = v6 ? "fd00::1" : "10.0.0.1";
	uint32_t a = DP_LEG_ID(v6 ? 2 : 0, BASE + 72, BASE), b = DP_LEG_ID(1, BASE + 72, BASE);
	struct dp_srtp_key *tx = sa ? party_key(sa, DP_DIR_SEND, 1) : NULL, *rx = sb ? mki_party(sb, DP_DIR_RECV, 2, mki_len) : NULL;
	uint16_t tag_a = sa ? dp_suite(sa)->rtp_tag : 0, tag_b = sb ? dp_suite(sb)->rtp_tag + mki_len : 0;
	uint16_t in_max = (uint16_t)(MTU - (v6 ? 48 : 28) - tag_a), out_max = (uint16_t)(MTU - 28 - tag_b);
	uint16_t max = in_max < out_max ? in_max : out_max, seq = 1;
	static uint8_t p[FRAME_MAX], plain[FRAME_MAX];
	static struct out o;
	struct dp_frame f;

	set((struct dp_leg_set){.leg_id = a, .peer_id = b, .rx_suite = sa, .tx_suite = sa, .flags = BOTH}, a_ip, 4000);
	set((struct dp_leg_set){.leg_id = b, .peer_id = a, .rx_suite = sb, .tx_suite = sb, .flags = BOTH}, B_IP, 5000);
	leg_key(a, DP_DIR_RECV, sa, 1);
	if (sb != DP_SRTP_NONE) {
		struct dp_leg_key m = {.leg_id = b, .suite = sb, .dir = DP_DIR_SEND, .key = {2, 2, 3}, .salt = {2, 7},
				       .mki_len = mki_len, .mki = {2}};

		if (mki_len == 0)
			m.mki[0] = 0;
		CU_ASSERT_EQUAL_FATAL(msg(&m, DP_MSG_LEG_KEY, sizeof(m)), 0);
	}
	rounds(1);
	for (int n = max - 40; n <= in_max && n <= max + 3; n++, seq++) {
		uint16_t len = rtp(p, seq, 5, (uint16_t)(n - 12));
		uint64_t before = drops(DP_DROP_NO_ROOM);

		memcpy(plain, p, len);
		send_udp(0, 0, a_ip, 4000, us, BASE + 72, p, seal(tx, false, p, len));
		CU_ASSERT_EQUAL(to_b(&o, &f), n <= out_max);
		CU_ASSERT_EQUAL(drops(DP_DROP_NO_ROOM), before + (n > out_max));
		if (n > out_max)
			continue;
		CU_ASSERT_EQUAL(f.l3_len, n + 28 + tag_b);
		len = f.payload_len;
		CU_ASSERT_TRUE(unseal(rx, false, o.data + f.payload_off, &len));
		CU_ASSERT_EQUAL(len, n);
		CU_ASSERT_EQUAL(memcmp(o.data + f.payload_off, plain, (size_t)n), 0);
	}
	CU_ASSERT(seq > 40);
	gone(a, b);
	forget(tx);
	forget(rx);
}

static void test_jumbo(void)
{
	for (uint8_t s = 0; s < DP_SRTP_SUITE_MAX; s++) {
		jumbo(0, s, s ? 128 : 0, false);
		jumbo(s, 0, 0, true);
		jumbo(s, (uint8_t)(s + 1) % DP_SRTP_SUITE_MAX, s + 1 < DP_SRTP_SUITE_MAX ? 4 : 0, s & 1);
	}
}

/* The last word of a leg that is gone is not written where its successor is on the way already. */
static void test_last_word(void)
{
	uint32_t a = DP_LEG_ID(0, BASE + 74, BASE), b = DP_LEG_ID(1, BASE + 74, BASE);
	struct dp_page_leg *pa = &dp_page_legs(node.page)[a];
	struct dp_srtp_key *rx = party_key(1, DP_DIR_RECV, 2);
	struct dp_leg_set again = {.leg_id = a, .peer_id = b, .flags = BOTH};
	uint16_t got;

	for (int next = 0; next < 2; next++) {
		legs(a, b, 1);
		pa->rx_pkts = 0;
		CU_ASSERT(heard(74, rx, (uint16_t)(10 + next), 5, &got));
		CU_ASSERT_EQUAL(pa->rx_pkts, 0);
		CU_ASSERT_EQUAL(del(a), 0);
		for (int w = 0; w < WORKERS; w++)
			dp_worker_round(node.worker[w]);
		CU_ASSERT_EQUAL(pa->state, DP_PAGE_LEG_FREE);
		ip_of(A_IP, &again.remote, 4000);
		if (next)
			CU_ASSERT_EQUAL(msg(&again, DP_MSG_LEG_SET, sizeof(again)), 0);
		dp_objs_poll(objs);
		CU_ASSERT_EQUAL(pa->rx_pkts, !next);
		rounds(1);
		CU_ASSERT_EQUAL(pa->state, next ? DP_PAGE_LEG_UP : DP_PAGE_LEG_FREE);
		if (next)
			CU_ASSERT_EQUAL(del(a), 0);
		CU_ASSERT_EQUAL(del(b), 0);
		rounds(2);
		forget(rx);
		rx = party_key(1, DP_DIR_RECV, 2);
	}
	forget(rx);
}

/* Two sources race for a leg within one burst: the first wins, the other's packet goes nowhere. */
static void test_race_to_latch(void)
{
	uint32_t a = DP_LEG_ID(0, BASE + 76, BASE), b = DP_LEG_ID(1, BASE + 76, BASE);
	uint64_t refused = drops(DP_DROP_SOURCE);
	struct dp_frame f;
	struct out o;
	uint8_t p[64];

	set((struct dp_leg_set){.leg_id = a, .peer_id = b, .flags = BOTH, .latch = DP_LATCH_ADDRESS}, A_IP, 4000);
	set((struct dp_leg_set){.leg_id = b, .peer_id = a, .flags = BOTH}, B_IP, 5000);
	send_udp(0, 0, A_IP, 4444, "10.0.0.1", BASE + 76, p, rtp(p, 1, 5, 20));
	send_udp(0, 0, A_IP, 4446, "10.0.0.1", BASE + 76, p, rtp(p, 2, 5, 20));
	CU_ASSERT_TRUE(to_b(&o, &f));
	CU_ASSERT_EQUAL(dp_get16(o.data + f.payload_off + 2), 1);
	CU_ASSERT_FALSE(next_out(&o));
	CU_ASSERT_EQUAL(drops(DP_DROP_SOURCE), refused + 1);
	gone(a, b);
}

/* A buffer that begins with its frame has no room for IPv6's longer header in front. */
static void test_headroom(void)
{
	uint32_t a = DP_LEG_ID(0, BASE + 78, BASE), b = DP_LEG_ID(2, BASE + 78, BASE);
	struct dp_sockaddr s, d;
	struct dp_frame f;
	struct out o;

	set((struct dp_leg_set){.leg_id = a, .peer_id = b, .flags = BOTH}, A_IP, 4000);
	set((struct dp_leg_set){.leg_id = b, .peer_id = a, .flags = BOTH}, "fd00::2", 5000);
	ip_of(A_IP, &s, 0);
	ip_of("10.0.0.1", &d, 0);
	for (uint16_t head = 0; head <= 24; head++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(node.pool);
		uint64_t before = drops(DP_DROP_NO_ROOM);
		uint8_t *frame;

		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		m->data_off = head;
		frame = (uint8_t *)rte_pktmbuf_append(m, 14 + 28 + 52);
		memcpy(frame, node.ports[0].mac, 6);
		memcpy(frame + 6, peer_mac, 6);
		dp_put16(frame + 12, DP_ETYPE_IP4);
		(void)rtp(frame + 42, head, 5, 40);
		dp_build_udp(frame + 14, 4, s.ip, 4000, d.ip, BASE + 78, 52, 0, true);
		CU_ASSERT_EQUAL_FATAL(rte_ring_enqueue(rx_ring[0][0], m), 0);
		CU_ASSERT_EQUAL(to_b(&o, &f), head >= 20);
		CU_ASSERT_EQUAL(drops(DP_DROP_NO_ROOM), before + (head < 20));
	}
	gone(a, b);
}

static void test_stop(void)
{
	CU_ASSERT_EQUAL(harness_down(), 0);
	dp_mb_destroy(mb);
}

static CU_TestInfo tests[] = {
	{"hosts", test_hosts},
	{"a stray packet far ahead", test_stray},
	{"SSRCs in turns", test_turns},
	{"jumbo frames through every suite, up to the MTU", test_jumbo},
	{"the last word of a leg", test_last_word},
	{"two sources race within a burst", test_race_to_latch},
	{"no room in front", test_headroom},
	{"all buffers come back", test_stop},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("relay_hostile", tests, jumbo_setup, NULL)
