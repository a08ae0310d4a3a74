/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The real worker round on net_ring ports: packets are put into the port's receive ring and read from its transmit ring,
 * commands go through objs.c as from the channel. libsrtp2 plays the parties. Two workers where handoff is tested.
 */
#include <CUnit/CUnit.h>
#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dp_harness.h"
#include "srtp/srtp.h"

static int setup(void)
{
	return harness_up() != 0 || srtp_init() != srtp_err_status_ok;
}

static srtp_t party(uint8_t fill, uint8_t suite, bool sends)
{
	static uint8_t k[30];
	srtp_policy_t pol = {0};
	srtp_t s = NULL;

	memset(k, fill, 16);
	memset(k + 16, fill + 1, 14);
	if (suite == DP_AES_CM_128_HMAC_SHA1_32)
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(&pol.rtp);
	else
		srtp_crypto_policy_set_rtp_default(&pol.rtp);
	srtp_crypto_policy_set_rtcp_default(&pol.rtcp);
	pol.ssrc.type = sends ? ssrc_any_outbound : ssrc_any_inbound;
	pol.key = k;
	pol.window_size = 128;
	CU_ASSERT_EQUAL_FATAL(srtp_create(&s, &pol), srtp_err_status_ok);
	return s;
}

/* --- tests --- */

static void test_arp_and_echo(void)
{
	uint8_t f[128];
	struct dp_sockaddr host;
	struct dp_arp arp;
	struct out o;
	uint16_t len;

	drain_tx();
	ip_of("10.0.0.9", &host, 0);
	len = dp_neigh_solicit(f, 4, peer_mac, host.ip, pcs[0].addr[0].ip);
	inject(0, 0, f, len);
	rounds(1);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_EQUAL(dp_parse_arp(o.data + 14, o.len - 14, &arp), DP_OK);
	CU_ASSERT_EQUAL(arp.op, 2);
	CU_ASSERT_EQUAL(memcmp(arp.sha, node.ports[0].mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(o.data, peer_mac, 6), 0);

	/* somebody else's address is not answered */
	uint8_t other[16] = {10, 0, 0, 77};

	len = dp_neigh_solicit(f, 4, peer_mac, host.ip, other);
	inject(0, 0, f, len);
	/* nor is ours on the wrong port */
	inject(1, 0, f, dp_neigh_solicit(f, 4, peer_mac, host.ip, pcs[0].addr[0].ip));
	rounds(1);
	CU_ASSERT_FALSE(next_out(&o));
	assert_accounts();
}

static void test_plain_relay(void)
{
	uint8_t p[256];
	uint32_t a, b;
	struct out o;
	struct dp_frame f;
	uint16_t len;

	a = leg(0, BASE, DP_LEG_ID(1, BASE, BASE), "10.0.0.2", 4000, 0, 0, DP_LATCH_NONE, 0);
	b = leg(1, BASE, a, "10.9.9.9", 5000, 0, 0, DP_LATCH_NONE, 0);
	rounds(2);
	host_speaks(0, "10.0.0.2");
	host_speaks(1, "10.1.0.254"); /* the gateway: 10.9.9.9 is behind it */
	drain_tx();
	len = rtp(p, 7, 0x1234, 160);
	send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", BASE, p, len);
	rounds(2);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_EQUAL(o.port, 1);
	CU_ASSERT_EQUAL(memcmp(o.data, peer_mac, 6), 0);
	CU_ASSERT_EQUAL_FATAL(dp_parse_frame(o.data, o.len, &f), DP_OK);
	CU_ASSERT_EQUAL(f.src_port, BASE);
	CU_ASSERT_EQUAL(f.dst_port, 5000);
	CU_ASSERT_EQUAL(f.tos, 46 << 2);
	CU_ASSERT_EQUAL(f.dst[1], 9);
	CU_ASSERT_EQUAL(f.payload_len, len);
	CU_ASSERT_EQUAL(memcmp(o.data + f.payload_off, p, len), 0);
	/* RTCP on the next port, the other way, received on the other worker's queue */
	len = rtcp_sr(p, 99);
	send_udp(1, 1, "10.9.9.9", 5001, "10.1.0.1", BASE + 1, p, len);
	rounds(2);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_EQUAL_FATAL(dp_parse_frame(o.data, o.len, &f), DP_OK);
	CU_ASSERT_EQUAL(o.port, 0);
	CU_ASSERT_EQUAL(f.src_port, BASE + 1);
	CU_ASSERT_EQUAL(f.dst_port, 4001);
	CU_ASSERT_EQUAL(memcmp(o.data + f.payload_off, p, len), 0);
	assert_accounts();
	CU_ASSERT_EQUAL(del(a), 0);
	CU_ASSERT_EQUAL(del(b), 0);
	CU_ASSERT_EQUAL(del(b), -ENOENT);
	rounds(2);
	send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", BASE, p, len);
	rounds(2);
	CU_ASSERT_FALSE(next_out(&o));
	CU_ASSERT_EQUAL(drops(DP_DROP_NO_LEG), 1);
}

/* Party A has SRTP with us, B is plain; both directions, RTP and RTCP, reordered, twice. */
static void secure_relay(uint8_t suite, uint16_t port, bool mux)
{
	uint8_t fl = mux ? DP_LEG_F_RTCP_MUX : 0;
	uint16_t lp = port, rtcp_port = (uint16_t)(mux ? lp : lp + 1);
	srtp_t tx = party(0x11, suite, true), rx = party(0x22, suite, false);
	uint32_t a, b;
	struct out o;
	struct dp_frame f;

	a = leg(0, lp, DP_LEG_ID(1, lp, BASE), "10.0.0.2", 4000, suite, suite, DP_LATCH_AUTH, fl);
	b = leg(1, lp, a, "10.1.0.3", 5000, 0, 0, DP_LATCH_ADDRESS, 0);
	rounds(1);
	/* before the keys come nothing passes */
	uint8_t p[512], plain[512];
	int n = rtp(p, 1, 5, 160);

	drain_tx();
	uint64_t no_key = drops(DP_DROP_NO_KEY);
	send_udp(1, 0, "10.1.0.3", 5000, "10.1.0.1", lp, p, (uint16_t)n);
	rounds(3);
	CU_ASSERT_EQUAL(drops(DP_DROP_NO_KEY), no_key + 1);
	key(a, DP_DIR_RECV, suite, 0x11);
	key(a, DP_DIR_SEND, suite, 0x22);
	rounds(1);
	host_speaks(0, "10.0.0.2");
	host_speaks(1, "10.1.0.3");
	drain_tx();
	for (int i = 0; i < 200; i++) {
		uint16_t seq = (uint16_t)(65400 + (i ^ 1)); /* pairs swapped, the sequence wraps */

		n = rtp(p, seq, 0xabcd, (uint16_t)(i % 160));
		memcpy(plain, p, (size_t)n);
		CU_ASSERT_EQUAL_FATAL(srtp_protect(tx, p, &n), srtp_err_status_ok);
		send_udp(0, i % WORKERS, "10.0.0.2", 4000, "10.0.0.1", lp, p, (uint16_t)n);
		rounds(2);
		CU_ASSERT_TRUE_FATAL(next_out(&o));
		CU_ASSERT_EQUAL_FATAL(dp_parse_frame(o.data, o.len, &f), DP_OK);
		CU_ASSERT_EQUAL(o.port, 1);
		CU_ASSERT_EQUAL(f.payload_len, 12 + i % 160);
		CU_ASSERT_EQUAL(memcmp(o.data + f.payload_off, plain, f.payload_len), 0);
		/* the same packet again is a replay */
		uint64_t replays = drops(DP_DROP_REPLAY);

		send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", lp, p, (uint16_t)n);
		/* and with a bit changed a forgery */
		p[n - 11] ^= 1;
		dp_put16(p + 2, (uint16_t)(seq + 50));
		uint64_t auth = drops(DP_DROP_AUTH);

		send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", lp, p, (uint16_t)n);
		rounds(2);
		CU_ASSERT_FALSE(next_out(&o));
		CU_ASSERT_EQUAL(drops(DP_DROP_REPLAY), replays + 1);
		CU_ASSERT_EQUAL(drops(DP_DROP_AUTH), auth + 1);
		/* and back */
		n = rtp(p, (uint16_t)(65500 + i), 0x77, (uint16_t)(i % 160));
		send_udp(1, 0, "10.1.0.3", 5000, "10.1.0.1", lp, p, (uint16_t)n);
		rounds(2);
		CU_ASSERT_TRUE_FATAL(next_out(&o));
		CU_ASSERT_EQUAL_FATAL(dp_parse_frame(o.data, o.len, &f), DP_OK);
		int m = f.payload_len;

		CU_ASSERT_EQUAL(m, n + (suite == DP_AES_CM_128_HMAC_SHA1_32 ? 4 : 10));
		CU_ASSERT_EQUAL(srtp_unprotect(rx, o.data + f.payload_off, &m), srtp_err_status_ok);
		CU_ASSERT_EQUAL(m, n);
		CU_ASSERT_EQUAL(memcmp(o.data + f.payload_off, p, (size_t)n), 0);
	}
	/* RTCP both ways */
	n = rtcp_sr(p, 0xabcd);
	memcpy(plain, p, 28);
	CU_ASSERT_EQUAL_FATAL(srtp_protect_rtcp(tx, p, &n), srtp_err_status_ok);
	send_udp(0, 0, "10.0.0.2", mux ? 4000 : 4001, "10.0.0.1", rtcp_port, p, (uint16_t)n);
	rounds(2);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_EQUAL_FATAL(dp_parse_frame(o.data, o.len, &f), DP_OK);
	CU_ASSERT_EQUAL(f.dst_port, 5001);
	CU_ASSERT_EQUAL(f.payload_len, 28);
	CU_ASSERT_EQUAL(memcmp(o.data + f.payload_off, plain, 28), 0);
	n = rtcp_sr(p, 0x77);
	send_udp(1, 0, "10.1.0.3", 5001, "10.1.0.1", lp + 1, p, (uint16_t)n);
	rounds(2);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_EQUAL_FATAL(dp_parse_frame(o.data, o.len, &f), DP_OK);
	CU_ASSERT_EQUAL(f.dst_port, mux ? 4000 : 4001);
	CU_ASSERT_EQUAL(f.src_port, rtcp_port);
	int m = f.payload_len;

	CU_ASSERT_EQUAL(srtp_unprotect_rtcp(rx, o.data + f.payload_off, &m), srtp_err_status_ok);
	CU_ASSERT_EQUAL(m, 28);
	CU_ASSERT_EQUAL(memcmp(o.data + f.payload_off, p, 28), 0);
	/* the same key asserted again keeps index and window: the next packet still decrypts, an old one is still refused */
	key(a, DP_DIR_RECV, suite, 0x11);
	key(a, DP_DIR_SEND, suite, 0x22);
	rounds(2);
	n = rtp(p, 65400, 0xabcd, 10);
	CU_ASSERT_NOT_EQUAL(dp_page_legs(node.page)[a].tx_reserved, 0);
	n = rtp(p, (uint16_t)(65500 + 199), 0x77, 20);
	uint64_t replays = drops(DP_DROP_REPLAY);

	send_udp(1, 0, "10.1.0.3", 5000, "10.1.0.1", lp, p, (uint16_t)n);
	rounds(2);
	CU_ASSERT_FALSE(next_out(&o));
	CU_ASSERT_EQUAL(drops(DP_DROP_REPLAY), replays + 1);
	CU_ASSERT_EQUAL(del(a), 0);
	CU_ASSERT_EQUAL(del(b), 0);
	rounds(3);
	srtp_dealloc(tx);
	srtp_dealloc(rx);
	assert_accounts();
}

static void test_srtp_80(void)
{
	secure_relay(DP_AES_CM_128_HMAC_SHA1_80, BASE + 2, false);
}

static void test_srtp_32_mux(void)
{
	secure_relay(DP_AES_CM_128_HMAC_SHA1_32, BASE + 256, true); /* another shard: the other worker's */
}

static bool passes(uint16_t lp, const char *src, uint16_t sport)
{
	static uint16_t seq;
	uint8_t p[64];
	struct out o;

	drain_tx();
	send_udp(0, 0, src, sport, "10.0.0.1", lp, p, rtp(p, ++seq, 3, 20));
	rounds(2);
	return next_out(&o);
}

static void test_plain_sources(void)
{
	uint16_t lp = BASE + 8;
	uint32_t a, b = DP_LEG_ID(1, lp, BASE);

	host_speaks(1, "10.1.0.3");
	a = leg(0, lp, b, "10.0.0.2", 4000, 0, 0, DP_LATCH_NONE, 0);
	leg(1, lp, a, "10.1.0.3", 5000, 0, 0, DP_LATCH_NONE, 0);
	rounds(2);
	host_speaks(1, "10.1.0.3");
	CU_ASSERT_TRUE(passes(lp, "10.0.0.2", 4000));
	CU_ASSERT_FALSE(passes(lp, "10.0.0.2", 4002));
	CU_ASSERT_FALSE(passes(lp, "10.0.0.3", 4000));
	a = leg(0, lp, b, "10.0.0.2", 4000, 0, 0, DP_LATCH_ADDRESS, 0);
	CU_ASSERT_FALSE(passes(lp, "10.0.0.3", 4000));
	CU_ASSERT_TRUE(passes(lp, "10.0.0.2", 4002)); /* first port wins */
	CU_ASSERT_FALSE(passes(lp, "10.0.0.2", 4004));
	CU_ASSERT_FALSE(passes(lp, "10.0.0.2", 4000));
	leg(0, lp, b, "10.0.0.2", 4000, 0, 0, DP_LATCH_ADDRESS, 0); /* asserted again: still latched */
	CU_ASSERT_TRUE(passes(lp, "10.0.0.2", 4002));
	leg(0, lp, b, NULL, 0, 0, 0, DP_LATCH_ANY, 0);
	CU_ASSERT_TRUE(passes(lp, "10.0.0.8", 6000));
	CU_ASSERT_FALSE(passes(lp, "10.0.0.9", 6000));
	CU_ASSERT_EQUAL(del(a), 0);
	CU_ASSERT_EQUAL(del(b), 0);
	rounds(2);
	assert_accounts();
}

/* RTPBleed: on a secure leg a source is taken over only by a packet that authenticates. */
static void test_secure_sources(void)
{
	uint16_t lp = BASE + 10;
	uint8_t suite = DP_AES_CM_128_HMAC_SHA1_80, p[256];
	srtp_t tx = party(0x33, suite, true);
	uint32_t a, b = DP_LEG_ID(1, lp, BASE);
	struct out o;
	struct dp_frame f;
	int n;

	a = leg(0, lp, b, "10.0.0.2", 4000, suite, 0, DP_LATCH_AUTH, 0);
	leg(1, lp, a, "10.1.0.3", 5000, 0, 0, DP_LATCH_NONE, 0);
	key(a, DP_DIR_RECV, suite, 0x33);
	rounds(2);
	host_speaks(1, "10.1.0.3");
	host_speaks(0, "10.0.0.2");
	drain_tx();
	/* a forger from elsewhere changes nothing */
	send_udp(0, 0, "10.0.0.66", 6666, "10.0.0.1", lp, p, rtp(p, 1, 3, 100));
	rounds(2);
	n = rtp(p, 1, 8, 20);
	send_udp(1, 0, "10.1.0.3", 5000, "10.1.0.1", lp, p, (uint16_t)n);
	rounds(2);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_EQUAL_FATAL(dp_parse_frame(o.data, o.len, &f), DP_OK);
	CU_ASSERT_EQUAL(f.dst[3], 2);
	CU_ASSERT_EQUAL(f.dst_port, 4000);
	/* the party behind another address does */
	n = rtp(p, 2, 3, 100);
	CU_ASSERT_EQUAL_FATAL(srtp_protect(tx, p, &n), srtp_err_status_ok);
	send_udp(0, 0, "10.0.0.5", 7000, "10.0.0.1", lp, p, (uint16_t)n);
	rounds(2);
	CU_ASSERT_TRUE(next_out(&o));
	n = rtp(p, 2, 8, 20);
	send_udp(1, 0, "10.1.0.3", 5000, "10.1.0.1", lp, p, (uint16_t)n);
	rounds(2);
	drain_tx();
	host_speaks(0, "10.0.0.5"); /* its next hop was asked for */
	drain_tx();
	n = rtp(p, 3, 8, 20);
	send_udp(1, 0, "10.1.0.3", 5000, "10.1.0.1", lp, p, (uint16_t)n);
	rounds(2);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_EQUAL_FATAL(dp_parse_frame(o.data, o.len, &f), DP_OK);
	CU_ASSERT_EQUAL(f.dst[3], 5);
	CU_ASSERT_EQUAL(f.dst_port, 7000);
	CU_ASSERT_EQUAL(del(a), 0);
	CU_ASSERT_EQUAL(del(b), 0);
	rounds(2);
	srtp_dealloc(tx);
	assert_accounts();
}

static void test_ip6_media(void)
{
	uint16_t lp = BASE + 16;
	uint32_t a, b = DP_LEG_ID(1, lp, BASE);
	uint8_t p[64];
	struct out o;
	struct dp_frame f;
	uint16_t n;

	a = leg(2, lp, b, "fd00::2", 4000, 0, 0, DP_LATCH_NONE, 0);
	leg(1, lp, a, "10.1.0.3", 5000, 0, 0, DP_LATCH_NONE, 0);
	rounds(2);
	host_speaks(0, "fd00::2");
	host_speaks(1, "10.1.0.3");
	drain_tx();
	n = rtp(p, 1, 2, 40);
	send_udp(1, 0, "10.1.0.3", 5000, "10.1.0.1", lp, p, n);
	rounds(2);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_EQUAL_FATAL(dp_parse_frame(o.data, o.len, &f), DP_OK);
	CU_ASSERT_EQUAL(f.family, 6);
	CU_ASSERT_EQUAL(memcmp(o.data + f.payload_off, p, n), 0);
	CU_ASSERT_EQUAL(dp_sum_fold(dp_sum(o.data + f.l4_off, f.l4_len,
					   dp_sum_pseudo(6, f.src, f.dst, 17, f.l4_len))), 0);
	send_udp(0, 0, "fd00::2", 4000, "fd00::1", lp, p, n);
	rounds(2);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_EQUAL(o.port, 1);
	CU_ASSERT_EQUAL(del(a), 0);
	CU_ASSERT_EQUAL(del(b), 0);
	rounds(2);
	assert_accounts();
}

/* A call on hold for longer than 2^15 packets: the leg must still know its ROC afterwards. */
static void test_hold_keeps_roc(void)
{
	uint16_t lp = BASE + 24;
	uint8_t suite = DP_AES_CM_128_HMAC_SHA1_80, p[256];
	srtp_t tx = party(0x44, suite, true);
	uint32_t a, b = DP_LEG_ID(1, lp, BASE);
	struct dp_leg_set hold = {.leg_id = b, .session = lp, .flags = DP_LEG_F_RECV};
	struct out o;
	int n;

	a = leg(0, lp, b, "10.0.0.2", 4000, suite, 0, DP_LATCH_AUTH, 0);
	hold.peer_id = a;
	ip_of("10.1.0.3", &hold.remote, 5000);
	leg(1, lp, a, "10.1.0.3", 5000, 0, 0, DP_LATCH_NONE, 0);
	key(a, DP_DIR_RECV, suite, 0x44);
	rounds(2);
	host_speaks(1, "10.1.0.3");
	drain_tx();
	for (int i = 0; i < 3; i++) {
		uint64_t inactive = drops(DP_DROP_LEG_INACTIVE);

		n = rtp(p, (uint16_t)(1000 + i * 30000), 9, 20); /* libsrtp2 keeps its own ROC */
		CU_ASSERT_EQUAL_FATAL(srtp_protect(tx, p, &n), srtp_err_status_ok);
		send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", lp, p, (uint16_t)n);
		rounds(2);
		CU_ASSERT_EQUAL(next_out(&o), i == 0);
		CU_ASSERT_EQUAL(drops(DP_DROP_LEG_INACTIVE), inactive + (i > 0));
		CU_ASSERT_EQUAL_FATAL(msg(&hold, DP_MSG_LEG_SET, sizeof(hold)), 0);
		rounds(1);
		drain_tx();
	}
	leg(1, lp, a, "10.1.0.3", 5000, 0, 0, DP_LATCH_NONE, 0);
	rounds(1);
	n = rtp(p, (uint16_t)(1000 + 3 * 30000), 9, 20);
	CU_ASSERT_EQUAL_FATAL(srtp_protect(tx, p, &n), srtp_err_status_ok);
	send_udp(0, 0, "10.0.0.2", 4000, "10.0.0.1", lp, p, (uint16_t)n);
	rounds(2);
	CU_ASSERT_TRUE(next_out(&o));
	CU_ASSERT_EQUAL(del(a), 0);
	CU_ASSERT_EQUAL(del(b), 0);
	rounds(2);
	srtp_dealloc(tx);
	assert_accounts();
}

/* af_packet and NICs take VLAN tags off: such a frame is not one of the untagged network. */
static void test_vlan_taken_off(void)
{
	uint64_t before = drops(DP_DROP_L2_NOT_OURS);
	struct dp_sockaddr host;
	struct rte_mbuf *m = NULL;
	struct out o;
	uint8_t f[128];

	ip_of("10.0.0.9", &host, 0);
	inject(0, 0, f, dp_neigh_solicit(f, 4, peer_mac, host.ip, pcs[0].addr[0].ip));
	CU_ASSERT_EQUAL_FATAL(rte_ring_dequeue(rx_ring[0][0], (void **)&m), 0);
	m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	m->vlan_tci = 0x6000 | 7;
	CU_ASSERT_EQUAL_FATAL(rte_ring_enqueue(rx_ring[0][0], m), 0);
	rounds(1);
	CU_ASSERT_FALSE(next_out(&o));
	CU_ASSERT_EQUAL(drops(DP_DROP_L2_NOT_OURS), before + 1);
	assert_accounts();
}

/* Random bytes in every header never stop a worker, and every packet is accounted for. */
static void test_garbage_is_counted(void)
{
	uint32_t a = leg(0, BASE + 20, DP_LEG_ID(1, BASE + 20, BASE), "10.0.0.2", 4000, 0, 0, DP_LATCH_ANY, 0);
	uint8_t f[1600];
	uint64_t rx0 = 0, rx1 = 0;

	leg(1, BASE + 20, a, "10.1.0.3", 5000, 1, 1, DP_LATCH_AUTH, 0);
	for (int w = 0; w < WORKERS; w++)
		rx0 += dp_page_workers(node.page)[w].rx_pkts;
	srand(1);
	for (int i = 0; i < 20000; i++) {
		uint16_t len = (uint16_t)(14 + rand() % (i % 10 == 0 ? 1500 : 90));
		struct dp_sockaddr s, d;

		for (int k = 0; k < len; k++)
			f[k] = (uint8_t)rand();
		memcpy(f, node.ports[i % 2].mac, 6);
		if (i % 3 == 0 && len > 60) { /* well-formed down to UDP */
			ip_of("10.0.0.2", &s, 1);
			ip_of(i % 2 ? "10.1.0.1" : "10.0.0.1", &d, 1);
			dp_put16(f + 12, DP_ETYPE_IP4);
			dp_build_udp(f + 14, 4, s.ip, (uint16_t)(i % 7 ? 4000 : rand()), d.ip,
				     (uint16_t)(i % 5 ? BASE + 20 : i % 2 ? 4500 : rand()), (uint16_t)(len - 42), 0, false);
		} else if (i % 3 == 1) {
			dp_put16(f + 12, i % 4 ? DP_ETYPE_IP4 : i % 8 ? DP_ETYPE_IP6 : DP_ETYPE_ARP);
			if (len > 14)
				f[14] = i % 4 ? 0x45 : 0x60;
		}
		inject(i % 2, i % WORKERS, f, len);
		if (i % 16 == 15) {
			rounds(1);
			drain_tx();
		}
	}
	rounds(8);
	drain_tx();
	for (int w = 0; w < WORKERS; w++)
		rx1 += dp_page_workers(node.page)[w].rx_pkts;
	CU_ASSERT_EQUAL(rx1 - rx0, 20000);
	assert_accounts();
	CU_ASSERT_EQUAL(del(a), 0);
	CU_ASSERT_EQUAL(del(DP_LEG_ID(1, BASE + 20, BASE)), 0);
	rounds(2);
}

static void test_table_full_and_reuse(void)
{
	struct dp_leg_set m = {.peer_id = UINT32_MAX};
	struct dp_obj d = {.kind = DP_OBJ_LEG};

	for (int turn = 0; turn < 3; turn++) {
		for (uint32_t i = 0; i < 64; i++) {
			m.leg_id = i + 1000;
			CU_ASSERT_EQUAL(msg(&m, DP_MSG_LEG_SET, sizeof(m)), 0);
			key(m.leg_id, DP_DIR_RECV, 1, (uint8_t)i);
			key(m.leg_id, DP_DIR_SEND, 1, (uint8_t)i);
			rounds(1);
		}
		m.leg_id = 2000;
		CU_ASSERT_EQUAL(msg(&m, DP_MSG_LEG_SET, sizeof(m)), -ENOSPC);
		CU_ASSERT_EQUAL(dp_objs_leg_cnt(objs), 64);
		/* every leg has both keys: asserting one again and exchanging one is possible still */
		for (int i = 0; i < 4; i++) {
			key(1000, DP_DIR_SEND, 1, 0);
			key(1001, DP_DIR_SEND, 1, (uint8_t)(100 + i));
			rounds(2);
		}
		for (uint32_t i = 0; i < 64; i++) {
			d.id = i + 1000;
			CU_ASSERT_EQUAL(msg(&d, DP_MSG_LEG_DEL, sizeof(d)), 0);
		}
		rounds(4);
		CU_ASSERT_EQUAL(dp_objs_leg_cnt(objs), 0);
	}
	/* keys that came back are wiped (their first word links them) */
	for (size_t i = 0; i < 128 + DP_OBJS_KEY_SPARE; i++) {
		const uint8_t *k = (uint8_t *)node.key_mem + i * sizeof(struct dp_srtp_key);
		uint8_t or = 0;

		for (size_t x = 8; x < sizeof(struct dp_srtp_key); x++)
			or |= k[x];
		CU_ASSERT_EQUAL(or, 0);
	}
}

static void test_epoch_and_sweep(void)
{
	struct dp_leg_set m = {.peer_id = UINT32_MAX};
	struct dp_obj ad = {.kind = DP_OBJ_LEG, .id = 10};
	struct dp_sweep sw = {.epoch = 78};
	struct dp_hello_reply r;

	for (m.leg_id = 10; m.leg_id < 14; m.leg_id++)
		CU_ASSERT_EQUAL(msg(&m, DP_MSG_LEG_SET, sizeof(m)), 0);
	rounds(1);
	CU_ASSERT_EQUAL(dp_objs_hello(objs, 78, &r), 0);
	CU_ASSERT_EQUAL(r.last_epoch, 77);
	CU_ASSERT_EQUAL(r.leg_cnt, 4);
	CU_ASSERT_EQUAL(msg(&ad, DP_MSG_ADOPT, sizeof(ad)), 0);
	ad.id = 99;
	CU_ASSERT_EQUAL(msg(&ad, DP_MSG_ADOPT, sizeof(ad)), -ENOENT);
	m.leg_id = 12; /* asserting takes over, too */
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_LEG_SET, sizeof(m)), 0);
	sw.epoch = 77;
	CU_ASSERT_EQUAL(msg(&sw, DP_MSG_SWEEP, sizeof(sw)), -EBADMSG);
	CU_ASSERT_EQUAL(dp_objs_leg_cnt(objs), 4);
	sw.epoch = 78;
	CU_ASSERT_EQUAL(msg(&sw, DP_MSG_SWEEP, sizeof(sw)), 0);
	CU_ASSERT_EQUAL(dp_objs_leg_cnt(objs), 2);
	rounds(2);
	CU_ASSERT_EQUAL(del(10), 0);
	CU_ASSERT_EQUAL(del(12), 0);
	CU_ASSERT_EQUAL(del(11), -ENOENT);
	rounds(2);
}

/* More to sweep than a ring holds. */
static void test_sweep_beyond_ring(void)
{
	struct dp_leg_set m = {.peer_id = UINT32_MAX};
	struct dp_sweep sw = {.epoch = 79};
	struct dp_hello_reply r;

	for (m.leg_id = 20; m.leg_id < 40; m.leg_id++)
		CU_ASSERT_EQUAL(msg(&m, DP_MSG_LEG_SET, sizeof(m)), 0);
	key(39, DP_DIR_SEND, 1, 9);
	rounds(1);
	CU_ASSERT_EQUAL(dp_objs_hello(objs, 79, &r), 0);
	m.leg_id = 50;
	for (int i = 0; i < DP_CMD_DEPTH - 8; i++) /* the worker is slow */
		CU_ASSERT_EQUAL(msg(&m, DP_MSG_LEG_SET, sizeof(m)), 0);
	CU_ASSERT_EQUAL(msg(&sw, DP_MSG_SWEEP, sizeof(sw)), 0);
	CU_ASSERT(dp_objs_leg_cnt(objs) > 1);
	/* a leg that it has not reached yet is set for a new call: it does not keep the old one's key */
	m.leg_id = 39;
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_LEG_SET, sizeof(m)), 0);
	rounds(DP_CMD_DEPTH / 32 + 4);
	CU_ASSERT_EQUAL(dp_objs_leg_cnt(objs), 2);
	CU_ASSERT_PTR_NULL(dp_leg_find(&node.legs, 39)->tx.key);
	CU_ASSERT_EQUAL(del(39), 0);
	CU_ASSERT_EQUAL(del(50), 0);
	rounds(2);
}

/* Streams beyond a key's first come from a pool that one worker owns: legs of two workers use two. */
static void test_stream_pools(void)
{
	uint32_t a = leg(0, BASE, UINT32_MAX, NULL, 0, 1, 1, DP_LATCH_AUTH, 0);
	uint32_t b = leg(0, BASE + 256, UINT32_MAX, NULL, 0, 1, 1, DP_LATCH_AUTH, 0);

	CU_ASSERT_NOT_EQUAL_FATAL(node.shard.worker[DP_LEG_SHARD(a)], node.shard.worker[DP_LEG_SHARD(b)]);
	key(a, DP_DIR_RECV, 1, 1);
	key(b, DP_DIR_RECV, 1, 2);
	rounds(2);
	CU_ASSERT_PTR_NOT_EQUAL(dp_leg_find(&node.legs, a)->rx.key->pool, dp_leg_find(&node.legs, b)->rx.key->pool);
	CU_ASSERT_EQUAL(del(a), 0);
	CU_ASSERT_EQUAL(del(b), 0);
	rounds(2);
}

static void test_ageing(void)
{
	struct dp_leg_set m = {.leg_id = 40, .peer_id = UINT32_MAX, .idle_s = 1, .session = 4711};

	CU_ASSERT_EQUAL(msg(&m, DP_MSG_LEG_SET, sizeof(m)), 0);
	m.leg_id = 41;
	m.idle_s = 0;
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_LEG_SET, sizeof(m)), 0);
	/* a controlplane that cannot take the event now: the leg waits for it */
	sink_rc = -EAGAIN;
	for (int i = 0; i < 25; i++) {
		rounds(1);
		dp_objs_tick(objs);
		usleep(120000);
	}
	sink_rc = 0;
	CU_ASSERT_EQUAL(dp_objs_leg_cnt(objs), 2);
	for (int i = 0; i < 30 && aged_cnt == 0; i++) {
		rounds(1);
		dp_objs_tick(objs);
		usleep(120000);
	}
	CU_ASSERT_EQUAL(aged_cnt, 1);
	CU_ASSERT_EQUAL(last_aged.leg_id, 40);
	CU_ASSERT_EQUAL(last_aged.session, 4711);
	CU_ASSERT(last_aged.idle_s >= 2 && last_aged.idle_s < 60); /* since when */
	CU_ASSERT_EQUAL(del(40), -ENOENT);
	CU_ASSERT_EQUAL(del(41), 0);
	rounds(2);
}

static void test_pools_full_at_stop(void)
{
	uint32_t lost;

	/* packets in every queue at the moment of stopping */
	for (int i = 0; i < 50; i++) {
		uint8_t p[64];

		send_udp(0, i % WORKERS, "10.0.0.2", 4000, "10.0.0.1", BASE + 256, p, rtp(p, 1, 1, 20));
	}
	dp_worker_round(node.worker[0]); /* leaves packets on the handoff ring */
	assert_accounts();
	lost = harness_down();
	CU_ASSERT_EQUAL(lost, 0);
	srtp_shutdown();
}

static CU_TestInfo tests[] = {
	{"ARP for our address on its port is answered", test_arp_and_echo},
	{"RTP and RTCP pass between plain legs, across workers", test_plain_relay},
	{"SRTP SHA1_80 to RTP and back, as libsrtp2 sees it", test_srtp_80},
	{"SRTP SHA1_32 with RTCP on one port", test_srtp_32_mux},
	{"plain legs take what their rule allows", test_plain_sources},
	{"secure legs latch authenticated sources only", test_secure_sources},
	{"IPv6 on one side", test_ip6_media},
	{"a held call finds its ROC again", test_hold_keeps_roc},
	{"a VLAN frame whose tag was taken off is not ours", test_vlan_taken_off},
	{"garbage is counted, packet by packet", test_garbage_is_counted},
	{"a full table says so, deleted legs are wiped and used again", test_table_full_and_reuse},
	{"epochs: adopted and asserted legs survive a sweep", test_epoch_and_sweep},
	{"a sweep larger than a ring ends", test_sweep_beyond_ring},
	{"each worker has its own streams", test_stream_pools},
	{"idle legs age, others do not, and the controlplane hears of it", test_ageing},
	{"all buffers come back at stop", test_pools_full_at_stop},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("worker", tests, setup, NULL)
