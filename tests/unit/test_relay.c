/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/media.c in the worker's round: legs of every pair of suites and both families, modes, payload types, restarted
 * senders, what RTCP reports, rates, and packets that are not the party's: none of them moves media (RTP bleed).
 */
#include "relay_fix.h"

/* --- pairs --- */

static void pair(uint8_t sa, uint8_t sb, bool v6)
{
	const char *a_ip = v6 ? "fd00::2" : A_IP, *us = v6 ? "fd00::1" : "10.0.0.1";
	uint16_t lp = BASE + 60;
	uint32_t a = DP_LEG_ID(v6 ? 2 : 0, lp, BASE), b = DP_LEG_ID(1, lp, BASE);
	struct dp_srtp_key *tx = sa ? party_key(sa, DP_DIR_SEND, 1) : NULL, *rx = sb ? party_key(sb, DP_DIR_RECV, 2) : NULL;
	struct dp_srtp_key *btx = sb ? party_key(sb, DP_DIR_SEND, 3) : NULL, *arx = sa ? party_key(sa, DP_DIR_RECV, 4) : NULL;
	uint8_t p[400], plain[400];
	struct dp_frame f;
	struct out o;

	set((struct dp_leg_set){.leg_id = a, .peer_id = b, .rx_suite = sa, .tx_suite = sa, .dscp = 10, .flags = BOTH}, a_ip, 4000);
	set((struct dp_leg_set){.leg_id = b, .peer_id = a, .rx_suite = sb, .tx_suite = sb, .dscp = 34, .flags = BOTH}, B_IP, 5000);
	leg_key(a, DP_DIR_RECV, sa, 1);
	leg_key(b, DP_DIR_SEND, sb, 2);
	leg_key(b, DP_DIR_RECV, sb, 3);
	leg_key(a, DP_DIR_SEND, sa, 4);
	rounds(1);
	drain_tx();
	for (uint16_t i = 0; i < 20; i++) {
		bool rtcp = i % 10 == 9;
		uint16_t n = rtcp ? rtcp_sr(p, 5) : rtp(p, i, 5, (uint16_t)(i * 9)), len;

		memcpy(plain, p, n);
		send_udp(0, 0, a_ip, (uint16_t)(4000 + rtcp), us, (uint16_t)(lp + rtcp), p, seal(tx, rtcp, p, n));
		CU_ASSERT_TRUE_FATAL(to_b(&o, &f));
		CU_ASSERT_EQUAL(f.tos, 34 << 2);
		CU_ASSERT_EQUAL(f.dst_port, 5000 + rtcp);
		len = f.payload_len;
		CU_ASSERT_TRUE(unseal(rx, rtcp, o.data + f.payload_off, &len));
		CU_ASSERT_EQUAL(len, n);
		CU_ASSERT_EQUAL(memcmp(o.data + f.payload_off, plain, n), 0);
		memcpy(p, plain, n);
		dp_put32(p + (rtcp ? 4 : 8), 6);
		memcpy(plain, p, n);
		send_udp(1, 0, B_IP, (uint16_t)(5000 + rtcp), "10.1.0.1", (uint16_t)(lp + rtcp), p, seal(btx, rtcp, p, n));
		CU_ASSERT_TRUE_FATAL(to_b(&o, &f));
		CU_ASSERT_EQUAL(f.tos, 10 << 2);
		CU_ASSERT_EQUAL(f.family, v6 ? 6 : 4);
		len = f.payload_len;
		CU_ASSERT_TRUE(unseal(arx, rtcp, o.data + f.payload_off, &len));
		CU_ASSERT_EQUAL(len, n);
		CU_ASSERT_EQUAL(memcmp(o.data + f.payload_off, plain, n), 0);
	}
	gone(a, b);
	forget(tx);
	forget(rx);
	forget(btx);
	forget(arx);
}

static void test_pairs(void)
{
	set((struct dp_leg_set){.leg_id = 1, .peer_id = UINT32_MAX}, A_IP, 4000);
	set((struct dp_leg_set){.leg_id = DP_LEGS_PER_ADDR, .peer_id = UINT32_MAX}, B_IP, 4000);
	set((struct dp_leg_set){.leg_id = 2 * DP_LEGS_PER_ADDR, .peer_id = UINT32_MAX}, "fd00::2", 4000);
	host_speaks(0, A_IP);
	host_speaks(0, "fd00::2");
	host_speaks(1, B_IP);
	for (uint8_t sa = 0; sa < DP_SRTP_SUITE_MAX; sa++)
		for (uint8_t sb = 0; sb < DP_SRTP_SUITE_MAX; sb++)
			pair(sa, sb, (sa + sb) % 3 == 0);
	pair(0, 1, true); /* both families of a plain and of a secure first leg */
	pair(1, 0, false);
	CU_ASSERT_EQUAL(del(2 * DP_LEGS_PER_ADDR), 0);
	gone(1, DP_LEGS_PER_ADDR);
}

/* --- modes --- */

static void test_modes(void)
{
	static const uint8_t modes[] = {BOTH, DP_LEG_F_RECV, DP_LEG_F_SEND, 0};
	uint32_t a = DP_LEG_ID(0, BASE + 62, BASE), b = DP_LEG_ID(1, BASE + 62, BASE);
	uint16_t seq = 1;

	for (int i = 0; i < 4; i++) {
		for (int k = 0; k < 4; k++) {
			uint64_t inactive = drops(DP_DROP_LEG_INACTIVE);
			bool ab = (modes[i] & DP_LEG_F_RECV) && (modes[k] & DP_LEG_F_SEND);
			bool ba = (modes[k] & DP_LEG_F_RECV) && (modes[i] & DP_LEG_F_SEND);
			struct dp_frame f;
			struct out o;
			uint8_t p[64];
			uint16_t n;

			set((struct dp_leg_set){.leg_id = a, .peer_id = b, .flags = modes[i]}, A_IP, 4000);
			set((struct dp_leg_set){.leg_id = b, .peer_id = a, .flags = modes[k]}, B_IP, 5000);
			n = rtp(p, seq++, 5, 20);
			send_udp(0, 0, A_IP, 4000, "10.0.0.1", BASE + 62, p, n);
			CU_ASSERT_EQUAL(to_b(&o, &f), ab);
			send_udp(1, 0, B_IP, 5000, "10.1.0.1", BASE + 62, p, n);
			CU_ASSERT_EQUAL(to_b(&o, &f), ba);
			CU_ASSERT_EQUAL(drops(DP_DROP_LEG_INACTIVE), inactive + !ab + !ba);
		}
	}
	gone(a, b);
}

/* --- payload types, events, growth --- */

static void test_payload_types(void)
{
	uint32_t a = DP_LEG_ID(0, BASE + 64, BASE), b = DP_LEG_ID(1, BASE + 64, BASE);
	struct dp_leg_set mb_ = {.leg_id = b, .peer_id = a, .flags = BOTH, .rx_suite = 1, .tx_suite = 1, .pt_map_cnt = 2,
				 .pt_map = {{101, 96}, {8, 0}}};
	struct dp_srtp_key *rx = party_key(1, DP_DIR_RECV, 2);
	static const uint8_t from[] = {101, 101 | 0x80, 8, 0, 18, 96}, to[] = {96, 96 | 0x80, 0, 0, 18, 96};
	uint8_t p[64];
	struct dp_frame f;
	struct out o;

	set((struct dp_leg_set){.leg_id = a, .peer_id = b, .flags = BOTH}, A_IP, 4000);
	set(mb_, B_IP, 5000);
	leg_key(b, DP_DIR_SEND, 1, 2);
	rounds(1);
	for (uint16_t i = 0; i < sizeof(from); i++) {
		/* an RFC 2833 event of four bytes: re-keyed like all else */
		uint16_t n = rtp(p, i, 5, 4), len;

		p[1] = from[i];
		send_udp(0, 0, A_IP, 4000, "10.0.0.1", BASE + 64, p, n);
		CU_ASSERT_TRUE_FATAL(to_b(&o, &f));
		len = f.payload_len;
		CU_ASSERT_TRUE(unseal(rx, false, o.data + f.payload_off, &len));
		CU_ASSERT_EQUAL(o.data[f.payload_off + 1], to[i]);
		o.data[f.payload_off + 1] = from[i];
		CU_ASSERT_EQUAL(memcmp(o.data + f.payload_off, p, n), 0);
	}
	/* RTCP's types are none */
	uint16_t n = rtcp_sr(p, 5), len;

	send_udp(0, 0, A_IP, 4001, "10.0.0.1", BASE + 65, p, n);
	CU_ASSERT_TRUE_FATAL(to_b(&o, &f));
	len = f.payload_len;
	CU_ASSERT_TRUE(unseal(rx, true, o.data + f.payload_off, &len));
	CU_ASSERT_EQUAL(memcmp(o.data + f.payload_off, p, n), 0);
	/* without the map again */
	mb_.pt_map_cnt = 0;
	memset(mb_.pt_map, 0, sizeof(mb_.pt_map));
	set(mb_, B_IP, 5000);
	n = rtp(p, 100, 5, 4);
	p[1] = 101;
	send_udp(0, 0, A_IP, 4000, "10.0.0.1", BASE + 64, p, n);
	CU_ASSERT_TRUE_FATAL(to_b(&o, &f));
	CU_ASSERT_EQUAL(o.data[f.payload_off + 1], 101);
	gone(a, b);
	forget(rx);
}

/* A packet grows by its tag up to the port's MTU, not beyond. */
static void test_growth(void)
{
	uint32_t a = DP_LEG_ID(0, BASE + 66, BASE), b = DP_LEG_ID(1, BASE + 66, BASE);
	uint16_t room = (uint16_t)(node.ports[1].mtu - 28 - 10);
	uint64_t before = drops(DP_DROP_NO_ROOM);
	uint8_t p[1600];
	struct dp_frame f;
	struct out o;

	set((struct dp_leg_set){.leg_id = a, .peer_id = b, .flags = BOTH}, A_IP, 4000);
	set((struct dp_leg_set){.leg_id = b, .peer_id = a, .flags = BOTH, .tx_suite = 1}, B_IP, 5000);
	leg_key(b, DP_DIR_SEND, 1, 2);
	rounds(1);
	for (uint16_t i = 0; i < 20; i++) {
		uint16_t n = rtp(p, i, 5, (uint16_t)(room - 12 - 10 + i));

		send_udp(0, 0, A_IP, 4000, "10.0.0.1", BASE + 66, p, n);
		CU_ASSERT_EQUAL(to_b(&o, &f), i <= 10);
		if (i == 10)
			CU_ASSERT_EQUAL(f.l3_len, node.ports[1].mtu);
	}
	CU_ASSERT_EQUAL(drops(DP_DROP_NO_ROOM), before + 9);
	gone(a, b);
}

/* --- restarted senders --- */

/* The party without SRTP begins anew under the same SSRC: the secure one hears all of it but the first packet. */
static void test_restart(void)
{
	static const struct {
		uint16_t end, begin;
	} jumps[] = {{20000, 100}, {40000, 100}, {300, 65000}, {50000, 49000}, {1000, 1}};
	uint32_t a = DP_LEG_ID(0, BASE + 68, BASE), b = DP_LEG_ID(1, BASE + 68, BASE);
	uint8_t p[128], plain[128];
	struct dp_frame f;
	struct out o;

	for (unsigned int j = 0; j < sizeof(jumps) / sizeof(jumps[0]); j++) {
		struct dp_srtp_key *rx = party_key(1, DP_DIR_RECV, 2), *tx = party_key(1, DP_DIR_SEND, 3);
		uint64_t refused = drops(DP_DROP_STALE) + drops(DP_DROP_REPLAY);
		uint16_t last = 0, n, len, got = 0;

		set((struct dp_leg_set){.leg_id = a, .peer_id = b, .flags = BOTH}, A_IP, 4000);
		set((struct dp_leg_set){.leg_id = b, .peer_id = a, .flags = BOTH, .rx_suite = 1, .tx_suite = 1}, B_IP, 5000);
		leg_key(b, DP_DIR_SEND, 1, 2);
		leg_key(b, DP_DIR_RECV, 1, 3);
		rounds(1);
		for (uint16_t i = 0; i < 60; i++) {
			uint16_t seq = (uint16_t)(i < 30 ? jumps[j].end - 29 + i : jumps[j].begin + i - 30);

			n = rtp(p, seq, 5, 50);
			memcpy(plain, p, n);
			send_udp(0, 0, A_IP, 4000, "10.0.0.1", BASE + 68, p, n);
			if (!to_b(&o, &f)) {
				CU_ASSERT_EQUAL(i, 30);
				continue;
			}
			got++;
			len = f.payload_len;
			CU_ASSERT_TRUE_FATAL(unseal(rx, false, o.data + f.payload_off, &len));
			if (i > 0 && i != 30 && i != 31)
				CU_ASSERT_EQUAL(dp_get16(o.data + f.payload_off + 2), (uint16_t)(last + 1));
			last = dp_get16(o.data + f.payload_off + 2);
			CU_ASSERT_EQUAL(memcmp(o.data + f.payload_off + 4, plain + 4, (size_t)n - 4), 0);
		}
		CU_ASSERT_EQUAL(got, 59);
		CU_ASSERT_EQUAL(drops(DP_DROP_STALE) + drops(DP_DROP_REPLAY), refused + 60 - got);
		/* the secure party's report of what it heard comes back in the sender's numbers */
		memset(p, 0, 32);
		p[0] = 0x81;
		p[1] = 201;
		dp_put16(p + 2, 7);
		dp_put32(p + 4, 6);
		dp_put32(p + 8, 5);
		dp_put32(p + 16, 0x30000u | last);
		send_udp(1, 0, B_IP, 5001, "10.1.0.1", BASE + 69, p, seal(tx, true, p, 32));
		CU_ASSERT_TRUE_FATAL(to_b(&o, &f));
		CU_ASSERT_EQUAL(dp_get32(o.data + f.payload_off + 16), 0x30000u | (uint16_t)(jumps[j].begin + 29));
		gone(a, b);
		forget(rx);
		forget(tx);
	}
}

/* --- what is measured --- */

static void test_measured(void)
{
	uint32_t a = DP_LEG_ID(0, BASE + 70, BASE), b = DP_LEG_ID(1, BASE + 70, BASE);
	const struct dp_page_leg *pa = &dp_page_legs(node.page)[a], *pb = &dp_page_legs(node.page)[b];
	uint8_t p[128];
	struct dp_frame f;
	struct out o;
	uint16_t n;

	set((struct dp_leg_set){.leg_id = a, .peer_id = b, .flags = BOTH, .session = 99, .codec = DP_CODEC_G729,
				.ptime_ms = 30, .clock_hz = 16000}, A_IP, 4000);
	set((struct dp_leg_set){.leg_id = b, .peer_id = a, .flags = BOTH, .tx_suite = 1}, B_IP, 5000);
	leg_key(b, DP_DIR_SEND, 1, 2);
	rounds(1);
	for (uint16_t i = 0; i < 50; i++) {
		if (i == 7 || i == 8)
			continue; /* lost */
		n = rtp(p, (uint16_t)(65520 + (i < 20 ? i : i ^ 1)), 5, 20);
		send_udp(0, 0, A_IP, 4000, "10.0.0.1", BASE + 70, p, n);
		rounds(1);
	}
	drain_tx();
	/* an SR of A's goes to B, whose RR answers it */
	n = rtcp_sr(p, 5);
	dp_put32(p + 8, 0x11112222);
	dp_put32(p + 12, 0x33334444);
	send_udp(0, 0, A_IP, 4001, "10.0.0.1", BASE + 71, p, n);
	CU_ASSERT_TRUE(to_b(&o, &f));
	usleep(30000);
	memset(p, 0, 32);
	p[0] = 0x81;
	p[1] = 201;
	dp_put16(p + 2, 7);
	dp_put32(p + 4, 6);
	dp_put32(p + 8, 5);
	dp_put32(p + 12, 0x40fffffe);
	dp_put32(p + 20, 77);
	dp_put32(p + 24, 0x22223333);
	dp_put32(p + 28, 655); /* held for 10 ms */
	send_udp(1, 0, B_IP, 5001, "10.1.0.1", BASE + 71, p, 32);
	CU_ASSERT_TRUE(to_b(&o, &f));
	for (int i = 0; i < 8; i++) {
		dp_objs_tick(objs);
		usleep(120000);
	}
	CU_ASSERT_EQUAL(pa->rtp.ssrc, 5);
	CU_ASSERT_EQUAL(pa->rtp.expected, 50);
	CU_ASSERT_EQUAL(pa->rtp.received, 48);
	CU_ASSERT_EQUAL(pa->rtp.reordered, 15);
	CU_ASSERT_EQUAL(pa->rtp.ext_seq, 65520 + 49);
	CU_ASSERT_EQUAL(pa->session, 99);
	CU_ASSERT_EQUAL(pa->peer, b);
	CU_ASSERT_EQUAL(pa->codec, DP_CODEC_G729);
	CU_ASSERT_EQUAL(pa->ptime_ms, 30);
	CU_ASSERT_EQUAL(pa->clock_hz, 16000);
	CU_ASSERT_EQUAL(pb->clock_hz, 8000);
	CU_ASSERT_EQUAL(pb->tx_suite, 1);
	CU_ASSERT(pb->tx_key_s > 0 && pb->rx_key_s == 0);
	CU_ASSERT_EQUAL(pb->rtcp.reports, 1);
	CU_ASSERT_EQUAL((int64_t)pb->rtcp.lost, -2);
	CU_ASSERT_EQUAL(pb->rtcp.fraction, 0x40);
	CU_ASSERT_EQUAL(pb->rtcp.jitter, 77);
	CU_ASSERT(pb->rtcp.rtt_us >= 19000 && pb->rtcp.rtt_us < 10000000);
	CU_ASSERT_EQUAL(pa->rtcp.reports, 0);
	gone(a, b);
}

/* --- rates --- */

static void test_rates(void)
{
	uint32_t a = DP_LEG_ID(0, BASE + 72, BASE), b = DP_LEG_ID(1, BASE + 72, BASE);
	struct dp_leg_set ma = {.leg_id = a, .peer_id = b, .flags = BOTH, .rate_pps = 1, .session = 7};
	struct dp_srtp_key *tx = party_key(1, DP_DIR_SEND, 1);
	unsigned int events = leg_event_cnt, passed = 0;
	uint64_t policed = drops(DP_DROP_POLICED), auth;
	struct dp_frame f;
	struct out o;
	uint8_t p[128];

	set(ma, A_IP, 4000);
	set((struct dp_leg_set){.leg_id = b, .peer_id = a, .flags = BOTH}, B_IP, 5000);
	for (uint16_t i = 0; i < 500; i++) {
		uint16_t n = rtp(p, i, 5, 20);

		send_udp(0, 0, A_IP, 4000, "10.0.0.1", BASE + 72, p, n);
		passed += to_b(&o, &f);
	}
	CU_ASSERT(passed >= DP_POLICE_BURST && passed < DP_POLICE_BURST + 10);
	CU_ASSERT_EQUAL(drops(DP_DROP_POLICED), policed + 500 - passed);
	CU_ASSERT_EQUAL(dp_page_legs(node.page)[a].policed, 500 - passed);
	CU_ASSERT_EQUAL(leg_event_cnt, events + 1); /* once a minute */
	CU_ASSERT_EQUAL(last_leg_event.kind, DP_LEG_POLICED);
	CU_ASSERT_EQUAL(last_leg_event.leg_id, a);
	CU_ASSERT_EQUAL(last_leg_event.session, 7);
	/* no limit */
	ma.rate_pps = UINT32_MAX;
	ma.rx_suite = 1;
	ma.latch = DP_LATCH_AUTH;
	set(ma, A_IP, 4000);
	leg_key(a, DP_DIR_RECV, 1, 1);
	rounds(1);
	/* forgeries from one address: no more crypto than its rate, and the party is not touched */
	auth = drops(DP_DROP_AUTH);
	policed = drops(DP_DROP_POLICED);
	for (uint16_t i = 0; i < 1000; i++) {
		uint16_t n = rtp(p, i, 5, 60);

		send_udp(0, 0, "10.0.0.66", (uint16_t)(1000 + i), "10.0.0.1", BASE + 72, p, n);
		n = rtp(p, i, 5, 20);
		send_udp(0, 0, A_IP, 4000, "10.0.0.1", BASE + 72, p, seal(tx, false, p, n));
		CU_ASSERT_TRUE_FATAL(to_b(&o, &f));
	}
	auth = drops(DP_DROP_AUTH) - auth;
	policed = drops(DP_DROP_POLICED) - policed;
	CU_ASSERT_EQUAL(auth + policed, 1000);
	CU_ASSERT(auth >= DP_POLICE_BURST && auth < 500);
	gone(a, b);
	forget(tx);
}

/* --- RTP bleed --- */

static const char *const strangers[] = {"10.0.0.66", "10.0.0.3", "10.0.0.129", "192.0.2.1", "10.1.0.3"};

static struct dp_sockaddr where(uint32_t leg_id, bool rtcp)
{
	const struct dp_leg *l = dp_leg_find(&node.legs, leg_id);
	struct dp_sockaddr a = {.family = l->tx.family};
	const uint8_t *ip;

	CU_ASSERT_TRUE_FATAL(dp_leg_remote(&node.legs, l, rtcp, &ip, &a.port));
	memcpy(a.ip, ip, 16);
	return a;
}

/* Sources have their rates again, however little time went by since they used them up. */
static void police_anew(void)
{
	for (int w = 0; w < WORKERS; w++)
		CU_ASSERT_EQUAL(dp_police_init(node.worker[w]->police, 50, node.hz, rte_rdtsc()), 0);
}

/*
 * Off-path packets to a leg by each rule: other addresses, other ports, with SSRC, numbers and times of the party's own;
 * RTP, RTCP, garbage; also recorded packets of the party itself from elsewhere. Its own packets go on between them. Not
 * one moves a leg, and not one reaches the peer.
 */
static void bleed(uint8_t latch, uint8_t suite, uint16_t latch_max, bool mux, unsigned int n)
{
	uint16_t lp = BASE + 74;
	uint32_t a = DP_LEG_ID(0, lp, BASE), b = DP_LEG_ID(1, lp, BASE);
	uint8_t flags = (uint8_t)(BOTH | (mux ? DP_LEG_F_RTCP_MUX : 0)), old[200];
	struct dp_leg_set ma = {.leg_id = a, .peer_id = b, .flags = flags, .rx_suite = suite, .tx_suite = suite, .latch = latch,
				.latch_max = latch_max};
	struct dp_srtp_key *tx = suite ? party_key(suite, DP_DIR_SEND, 1) : NULL;
	struct dp_sockaddr rtp_at, rtcp_at;
	uint16_t old_len = 0, seq = 100, sport = latch == DP_LATCH_NONE ? 4000 : 4444;
	unsigned int out = 0, own = 0, latches;
	struct out o;

	police_anew();
	set(ma, A_IP, 4000);
	set((struct dp_leg_set){.leg_id = b, .peer_id = a, .flags = BOTH}, B_IP, 5000);
	leg_key(a, DP_DIR_RECV, suite, 1);
	leg_key(a, DP_DIR_SEND, suite, 2);
	rounds(1);
	for (unsigned int i = 0; i < n; i++) {
		uint8_t p[200];
		uint16_t len;
		int kind = rand() % 8;
		const char *from = strangers[(unsigned int)rand() % 5];
		uint16_t port = (uint16_t)(rand() % 4 ? 4000 + rand() % 3 : rand());

		if (i % 64 == 0) { /* the party, which latches with its first packet */
			len = rtp(p, seq++, 5, 20);
			len = seal(tx, false, p, len);
			memcpy(old, p, len);
			old_len = len;
			send_udp(0, 0, A_IP, sport, "10.0.0.1", lp, p, len);
			rounds(1);
			while (next_out(&o))
				own++;
			if (i == 0 && !mux) { /* and its RTCP */
				len = seal(tx, true, p, rtcp_sr(p, 5));
				send_udp(0, 0, A_IP, (uint16_t)(sport + 1), "10.0.0.1", (uint16_t)(lp + 1), p, len);
				rounds(1);
				while (next_out(&o))
					;
			}
			if (i == 0) {
				rtp_at = where(a, false);
				rtcp_at = where(a, true);
				CU_ASSERT_EQUAL_FATAL(rtp_at.port, sport);
			}
			continue;
		}
		if (kind >= 6 && latch != DP_LATCH_AUTH) {
			from = A_IP; /* the right address, a wrong port */
			port = port == sport || port == sport + 1 ? 9 : port;
		}
		switch (kind) {
		case 0: /* the party's next packet, forged */
			len = rtp(p, seq, 5, 20);
			break;
		case 1:
			len = rtp(p, (uint16_t)rand(), (uint32_t)rand(), (uint16_t)(rand() % 100));
			break;
		case 2:
			len = rtcp_sr(p, 5);
			break;
		case 3: /* recorded */
			memcpy(p, old, old_len);
			len = old_len;
			break;
		case 4:
			len = (uint16_t)(rand() % 100);
			for (uint16_t k = 0; k < len; k++)
				p[k] = (uint8_t)rand();
			break;
		default:
			len = rtp(p, (uint16_t)(seq + rand() % 10), 5, 30);
			p[1] = (uint8_t)rand();
		}
		send_udp(0, 0, from, port, "10.0.0.1", (uint16_t)(lp + (rand() % 3 == 0)), p, len);
		if (i % 16 == 0) {
			rounds(1);
			while (next_out(&o))
				out++;
		}
		if (i % 4096 == 4095) { /* asserted again, and the source's rate comes back */
			set(ma, A_IP, 4000);
			police_anew();
		}
	}
	rounds(4);
	while (next_out(&o))
		out++;
	latches = (unsigned int)dp_page_legs(node.page)[a].latches;
	CU_ASSERT_EQUAL(out, 0);
	CU_ASSERT_EQUAL(own, (n + 63) / 64);
	CU_ASSERT_EQUAL(latches, latch != DP_LATCH_NONE);
	struct dp_sockaddr now = where(a, false), now_rtcp = where(a, true);

	CU_ASSERT_EQUAL(memcmp(&now, &rtp_at, sizeof(now)), 0);
	CU_ASSERT_EQUAL(memcmp(&now_rtcp, &rtcp_at, sizeof(now)), 0);
	gone(a, b);
	forget(tx);
}

static void test_bleed(void)
{
	/* 10^6 in all with RAVELIN_FULL, a tenth else */
	unsigned int n = getenv("RAVELIN_FULL") != NULL ? 100000 : 10000;

	srand(2017);
	bleed(DP_LATCH_NONE, 0, 0, false, n);
	bleed(DP_LATCH_NONE, 1, 0, true, n);
	bleed(DP_LATCH_ADDRESS, 0, 0, false, n);
	bleed(DP_LATCH_ADDRESS, 0, 5, false, n); /* while the party speaks no further source is taken */
	bleed(DP_LATCH_ADDRESS, 0, 5, true, n);
	bleed(DP_LATCH_ANY, 0, 0, false, n);
	bleed(DP_LATCH_ANY, 0, 5, true, n);
	bleed(DP_LATCH_AUTH, DP_AES_CM_128_HMAC_SHA1_80, 0, false, n);
	bleed(DP_LATCH_AUTH, DP_AEAD_AES_128_GCM, 0, true, n);
	bleed(DP_LATCH_AUTH, DP_AES_CM_128_HMAC_SHA1_80, 3, false, n);
}

/* A party that moves: by its packets that authenticate at once, without SRTP only after silence and as often as allowed. */
static void test_moves(void)
{
	uint32_t a = DP_LEG_ID(0, BASE + 76, BASE), b = DP_LEG_ID(1, BASE + 76, BASE);
	struct dp_leg_set ma = {.leg_id = a, .peer_id = b, .flags = BOTH, .latch = DP_LATCH_ADDRESS, .latch_max = 2, .session = 3};
	unsigned int events = leg_event_cnt;
	struct dp_frame f;
	struct out o;
	uint8_t p[64];
	uint16_t seq = 0;
	static const struct {
		uint16_t port;
		uint8_t later; /* seconds */
		bool passes;
	} steps[] = {{4444, 0, true}, {4446, 0, false}, {4446, 1, false}, {4446, 3, true}, {4448, 4, false}, {4446, 0, true}};

	police_anew();
	set(ma, A_IP, 4000);
	set((struct dp_leg_set){.leg_id = b, .peer_id = a, .flags = BOTH}, B_IP, 5000);
	for (unsigned int i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		node.start_cyc -= node.hz * steps[i].later; /* instead of waiting */
		dp_leg_aux(&node.legs, dp_leg_find(&node.legs, a))->moved_s = 0;
		send_udp(0, 0, A_IP, steps[i].port, "10.0.0.1", BASE + 76, p, rtp(p, seq++, 5, 20));
		CU_ASSERT_EQUAL(to_b(&o, &f), steps[i].passes);
	}
	CU_ASSERT_EQUAL(leg_event_cnt, events + 2);
	CU_ASSERT_EQUAL(last_leg_event.kind, DP_LEG_MOVED);
	CU_ASSERT_EQUAL(last_leg_event.addr.port, 4446);
	CU_ASSERT_EQUAL(last_leg_event.session, 3);
	CU_ASSERT_EQUAL(dp_page_legs(node.page)[a].latches, 2);
	gone(a, b);
}

static void test_stop(void)
{
	CU_ASSERT_EQUAL(harness_down(), 0);
	dp_mb_destroy(mb);
}

static CU_TestInfo tests[] = {
	{"legs of every pair of suites, IPv4 and IPv6", test_pairs},
	{"receive only, send only, inactive, in every pair", test_modes},
	{"payload types and events", test_payload_types},
	{"a packet grows up to the MTU", test_growth},
	{"a sender that begins anew under its SSRC", test_restart},
	{"statistics, reports, round trip in the counter page", test_measured},
	{"rates of a leg and of sources", test_rates},
	{"off-path packets move nothing", test_bleed},
	{"a party that moves", test_moves},
	{"all buffers come back", test_stop},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("relay", tests, setup, NULL)
