/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VLANs through the worker: port 2 of the harness is VLAN 100 on the device of port 0, which itself is untagged. Frames
 * with and without tags go in, bytes that come out are looked at.
 */
#include <CUnit/CUnit.h>

#include "dp_harness.h"

#define VID   100
#define VPORT 2

static int setup(void)
{
	more_ports = 1;
	more_medias = 1;
	pcs[VPORT].device = (char *)(uintptr_t)"ring:0";
	pcs[VPORT].vlan = VID;
	cfg_addr_parse("10.2.0.1/24", &pcs[VPORT].addr[0]);
	cfg_addr_parse("fd02::1/64", &pcs[VPORT].addr[1]);
	pcs[VPORT].addresses_count = 2;
	cfg_addr_parse("10.2.0.1", &medias[3].addr);
	return harness_up();
}

static uint16_t tagged(uint8_t *out, const uint8_t *frame, uint16_t len, uint16_t tci)
{
	memcpy(out + 4, frame, len);
	dp_vlan_tag(out + 4, tci);
	return (uint16_t)(len + 4);
}

static uint16_t arp_for(uint8_t *f, const char *from, const char *ip)
{
	struct dp_sockaddr a, b;

	ip_of(from, &a, 0);
	ip_of(ip, &b, 0);
	return dp_neigh_solicit(f, a.family, peer_mac, a.ip, b.ip);
}

/* One frame in, the reasons it may be dropped under, out. */
static uint64_t put(const uint8_t *f, uint16_t len, enum dp_drop why)
{
	uint64_t before = drops(why);

	inject(0, 0, f, len);
	rounds(1);
	return drops(why) - before;
}

static void test_who_answers(void)
{
	uint8_t f[128], t[128], tt[128];
	struct out o;
	uint16_t len = arp_for(f, "10.2.0.7", "10.2.0.1"), n;

	/* in its VLAN, whatever the priority */
	n = tagged(t, f, len, 0xe000 | VID);
	CU_ASSERT_EQUAL(put(t, n, DP_DROP_CONSUMED), 1);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_EQUAL(o.port, 0);
	CU_ASSERT_EQUAL(o.len, 46);
	CU_ASSERT_EQUAL(memcmp(o.data, peer_mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(o.data + 6, node.ports[0].mac, 6), 0);
	CU_ASSERT_EQUAL(dp_get16(o.data + 12), DP_ETYPE_VLAN);
	CU_ASSERT_EQUAL(dp_get16(o.data + 14), VID);
	CU_ASSERT_EQUAL(dp_get16(o.data + 16), DP_ETYPE_ARP);
	CU_ASSERT_EQUAL(dp_get16(o.data + 24), 2); /* a reply */
	/* without tag, in another VLAN, within a second tag: nobody's */
	CU_ASSERT_EQUAL(put(f, len, DP_DROP_L3_NOT_OURS), 1);
	n = tagged(t, f, len, VID + 1);
	CU_ASSERT_EQUAL(put(t, n, DP_DROP_L2_NOT_OURS), 1);
	n = tagged(t, f, len, VID);
	n = tagged(tt, t, n, VID);
	CU_ASSERT_EQUAL(put(tt, n, DP_DROP_L2_NOT_OURS), 1);
	/* the untagged address: without tag and with a priority tag, the answer without */
	len = arp_for(f, "10.0.0.7", "10.0.0.1");
	CU_ASSERT_EQUAL(put(f, len, DP_DROP_CONSUMED), 1);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_EQUAL(dp_get16(o.data + 12), DP_ETYPE_ARP);
	n = tagged(t, f, len, 0xa000);
	CU_ASSERT_EQUAL(put(t, n, DP_DROP_CONSUMED), 1);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_EQUAL(dp_get16(o.data + 12), DP_ETYPE_ARP);
	n = tagged(t, f, len, VID);
	CU_ASSERT_EQUAL(put(t, n, DP_DROP_L3_NOT_OURS), 1);
	/* a device without VLANs */
	inject(1, 0, t, n);
	rounds(1);
	CU_ASSERT_FALSE(next_out(&o));
	assert_accounts();
}

static void test_driver_took_it_off(void)
{
	uint8_t f[128], t[128];
	struct rte_mbuf *m = NULL;
	struct out o;
	uint16_t len = arp_for(f, "10.2.0.7", "10.2.0.1");

	for (int again = 0; again < 2; again++) { /* the second time another tag is left in the frame */
		uint64_t before = drops(DP_DROP_L2_NOT_OURS);

		inject(0, 0, again ? t : f, again ? tagged(t, f, len, VID) : len);
		CU_ASSERT_EQUAL_FATAL(rte_ring_dequeue(rx_ring[0][0], (void **)&m), 0);
		m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
		m->vlan_tci = 0x6000 | VID;
		CU_ASSERT_EQUAL_FATAL(rte_ring_enqueue(rx_ring[0][0], m), 0);
		rounds(1);
		CU_ASSERT_EQUAL(next_out(&o), !again);
		CU_ASSERT_EQUAL(drops(DP_DROP_L2_NOT_OURS), before + again);
		if (!again)
			CU_ASSERT_EQUAL(dp_get16(o.data + 14), VID);
	}
	/* no room in front for the answer's tag */
	inject(0, 0, f, len);
	CU_ASSERT_EQUAL_FATAL(rte_ring_dequeue(rx_ring[0][0], (void **)&m), 0);
	m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	m->vlan_tci = VID;
	memmove((uint8_t *)m->buf_addr + 3, rte_pktmbuf_mtod(m, uint8_t *), len);
	m->data_off = 3;
	CU_ASSERT_EQUAL_FATAL(rte_ring_enqueue(rx_ring[0][0], m), 0);
	rounds(1);
	CU_ASSERT_EQUAL(drops(DP_DROP_NO_ROOM), 1);
	assert_accounts();
}

static void test_ipv6_and_echo(void)
{
	uint8_t f[128], t[128], icmp[14 + 20 + 16] = {0};
	static const uint8_t a[4] = {10, 2, 0, 7}, b[4] = {10, 2, 0, 1};
	struct out o;
	uint16_t len = arp_for(f, "fd02::7", "fd02::1"), n = tagged(t, f, len, VID), sum;

	CU_ASSERT_EQUAL(put(t, n, DP_DROP_CONSUMED), 1);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_EQUAL(dp_get16(o.data + 14), VID);
	CU_ASSERT_EQUAL(o.data[4 + 14 + 40], 136);
	/* ping */
	memcpy(icmp, node.ports[0].mac, 6);
	memcpy(icmp + 6, peer_mac, 6);
	dp_put16(icmp + 12, DP_ETYPE_IP4);
	icmp[14] = 0x45;
	icmp[17] = 36;
	icmp[22] = 9;
	icmp[23] = 1;
	memcpy(icmp + 26, a, 4);
	memcpy(icmp + 30, b, 4);
	sum = dp_ip4_sum(icmp + 14);
	memcpy(icmp + 24, &sum, 2);
	icmp[34] = 8;
	dp_put16(icmp + 36, dp_sum_fold(dp_sum(icmp + 34, 16, 0)));
	n = tagged(t, icmp, sizeof(icmp), 0x3000 | VID); /* DEI set */
	CU_ASSERT_EQUAL(put(t, n, DP_DROP_CONSUMED), 1);
	CU_ASSERT_TRUE_FATAL(next_out(&o));
	CU_ASSERT_EQUAL(o.len, n);
	CU_ASSERT_EQUAL(dp_get16(o.data + 14), VID);
	CU_ASSERT_EQUAL(o.data[18 + 20], 0);
	assert_accounts();
}

/* The peer's address in the VLAN is learnt from what it says there. */
static void vlan_host_speaks(const char *ip)
{
	uint8_t f[128], t[128];
	uint16_t n = tagged(t, f, arp_for(f, ip, "10.2.0.1"), VID);

	usleep(3000);
	rounds(2);
	inject(0, 0, t, n);
	rounds(2);
	usleep(3000);
	rounds(2);
	drain_tx();
}

static void test_relay(void)
{
	uint32_t a = leg(3, BASE, DP_LEG_ID(1, BASE, BASE), "10.2.0.7", 4000, 0, 0, DP_LATCH_NONE, 0);
	uint8_t p[200], f[400], t[400];
	struct dp_sockaddr src, dst;
	struct out o;

	leg(1, BASE, a, "10.1.0.7", 5000, 0, 0, DP_LATCH_NONE, 0);
	rounds(2);
	vlan_host_speaks("10.2.0.7");
	host_speaks(1, "10.1.0.7");
	drain_tx();
	ip_of("10.2.0.7", &src, 0);
	ip_of("10.2.0.1", &dst, 0);
	for (int q = 0; q < WORKERS; q++) { /* from the wrong worker's queue it goes over, tag and all */
		uint16_t len = rtp(p, (uint16_t)(7 + q), 5, 160), n;

		memcpy(f, node.ports[0].mac, 6);
		memcpy(f + 6, peer_mac, 6);
		dp_put16(f + 12, DP_ETYPE_IP4);
		memcpy(f + 42, p, len);
		dp_build_udp(f + 14, 4, src.ip, 4000, dst.ip, BASE, len, 0, true);
		n = tagged(t, f, (uint16_t)(42 + len), VID);
		inject(0, q, t, n);
		rounds(2);
		CU_ASSERT_TRUE_FATAL(next_out(&o));
		CU_ASSERT_EQUAL(o.port, 1);
		CU_ASSERT_EQUAL(o.len, 42 + len);
		CU_ASSERT_EQUAL(dp_get16(o.data + 12), DP_ETYPE_IP4);
		CU_ASSERT_EQUAL(memcmp(o.data + 42, p, len), 0);
		/* and with a tag that the driver has taken off */
		struct rte_mbuf *m = NULL;

		dp_put16(f + 44, (uint16_t)(90 + q)); /* RTP's sequence number */
		dp_put16(p + 2, (uint16_t)(90 + q));
		inject(0, q, f, (uint16_t)(42 + len));
		CU_ASSERT_EQUAL_FATAL(rte_ring_dequeue(rx_ring[0][q], (void **)&m), 0);
		m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
		m->vlan_tci = VID;
		CU_ASSERT_EQUAL_FATAL(rte_ring_enqueue(rx_ring[0][q], m), 0);
		rounds(2);
		CU_ASSERT_TRUE_FATAL(next_out(&o));
		CU_ASSERT_EQUAL(o.port, 1);
		CU_ASSERT_EQUAL(memcmp(o.data + 42, p, len), 0);
		/* the same without its tag is for an address that the untagged network does not have */
		CU_ASSERT_EQUAL(put(f, (uint16_t)(42 + len), DP_DROP_L3_NOT_OURS), 1);
		/* back */
		send_udp(1, q, "10.1.0.7", 5000, "10.1.0.1", BASE, p, len);
		rounds(2);
		CU_ASSERT_TRUE_FATAL(next_out(&o));
		CU_ASSERT_EQUAL(o.port, 0);
		CU_ASSERT_EQUAL(o.len, 46 + len);
		CU_ASSERT_EQUAL(memcmp(o.data, peer_mac, 6), 0);
		CU_ASSERT_EQUAL(memcmp(o.data + 6, node.ports[0].mac, 6), 0);
		CU_ASSERT_EQUAL(dp_get16(o.data + 12), DP_ETYPE_VLAN);
		CU_ASSERT_EQUAL(dp_get16(o.data + 14), 5 << 13 | VID); /* the leg's DSCP is 46 */
		CU_ASSERT_EQUAL(dp_get16(o.data + 16), DP_ETYPE_IP4);
		CU_ASSERT_EQUAL(memcmp(o.data + 46, p, len), 0);
	}
	assert_accounts();
}

/* A fast stream to a next hop that is not known asks for it, and the answer in the middle of it is heard. */
static void test_answer_in_a_flood(void)
{
	uint32_t a = leg(0, BASE + 60, DP_LEG_ID(1, BASE + 60, BASE), "10.0.0.7", 4000, 0, 0, DP_LATCH_NONE, 0);
	uint64_t before = drops(DP_DROP_NO_NEIGH);
	uint8_t p[200], f[128];
	struct dp_sockaddr host;
	struct out o;

	leg(1, BASE + 60, a, "10.1.0.77", 5000, 0, 0, DP_LATCH_NONE, 0);
	rounds(2);
	usleep(3000);
	rounds(2);
	drain_tx();
	ip_of("10.1.0.77", &host, 0);
	for (uint16_t i = 0; i < 60; i++)
		send_udp(0, 0, "10.0.0.7", 4000, "10.0.0.1", BASE + 60, p, rtp(p, i, 5, 160));
	inject(1, 0, f, dp_neigh_solicit(f, 4, peer_mac, host.ip, pcs[1].addr[0].ip));
	rounds(1); /* both in one round: 60 packets without a next hop, then the answer */
	CU_ASSERT_EQUAL(drops(DP_DROP_NO_NEIGH), before + 60);
	rounds(1);
	usleep(3000);
	rounds(2);
	drain_tx();
	send_udp(0, 0, "10.0.0.7", 4000, "10.0.0.1", BASE + 60, p, rtp(p, 60, 5, 160));
	rounds(2);
	CU_ASSERT_TRUE(next_out(&o));
	CU_ASSERT_EQUAL(drops(DP_DROP_NO_NEIGH), before + 60);
	assert_accounts();
}

/* Tagged frames cut at every length: counted, never answered with more than there was. */
static void test_truncation(void)
{
	uint8_t f[400], t[400], p[100] = {0};
	struct dp_sockaddr src, dst;
	uint16_t n;

	ip_of("10.2.0.7", &src, 0);
	ip_of("10.2.0.1", &dst, 0);
	memcpy(f, node.ports[0].mac, 6);
	memcpy(f + 6, peer_mac, 6);
	dp_put16(f + 12, DP_ETYPE_IP4);
	memcpy(f + 42, p, 100);
	dp_build_udp(f + 14, 4, src.ip, 4000, dst.ip, 9, 100, 0, true);
	n = tagged(t, f, 142, VID);
	for (uint16_t cut = 1; cut <= n; cut++) {
		uint64_t before = 0, after = 0;

		for (int i = 1; i < DP_DROP_MAX; i++)
			before += drops(i);
		inject(0, 0, t, cut);
		rounds(1);
		for (int i = 1; i < DP_DROP_MAX; i++)
			after += drops(i);
		CU_ASSERT_EQUAL(after, before + 1);
	}
	assert_accounts();
}

static void test_all_buffers_back(void)
{
	CU_ASSERT_EQUAL(harness_down(), 0);
}

static CU_TestInfo tests[] = {
	{"who answers in which VLAN", test_who_answers},
	{"tags that a driver took off", test_driver_took_it_off},
	{"ND and echo with tags", test_ipv6_and_echo},
	{"media between a VLAN and a network without", test_relay},
	{"an answer in a flood", test_answer_in_a_flood},
	{"truncation", test_truncation},
	{"all buffers come back", test_all_buffers_back},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("vlan", tests, setup, NULL)
