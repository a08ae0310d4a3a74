/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rx = tx - made + drops + in flight, of every worker, after every round, whatever comes: media that is relayed, policed,
 * forged, for nobody or from nobody, fragments, ESP, MGCP, ARP, echo, tags, chains and rubbish, on any queue; drivers that
 * take nothing for a while, workers that stand still until the handoff rings are full, and shards that move meanwhile. By a
 * seed (RAVELIN_SEED); 40,000 rounds, 4 million with RAVELIN_FULL=1.
 */
#include <stdio.h>

#define WORKERS 3
#include "dp_harness.h"
#include "ipsec/esp.h"

#define SHARDS 7 /* that have legs */

static uint64_t seed, injected, moves;

static uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % below;
}

static uint16_t port_of(uint32_t s, unsigned int pair)
{
	return (uint16_t)(BASE + s * DP_PORTS_PER_SHARD + 2 * pair);
}

/* Five sessions a shard: plain, to SRTP, from SRTP, slow, and a leg without a peer. */
static void legs(void)
{
	const uint8_t none = DP_SRTP_NONE, suite = DP_AES_CM_128_HMAC_SHA1_80;

	for (uint32_t s = 0; s < SHARDS; s++) {
		for (unsigned int k = 0; k < 5; k++) {
			uint16_t port = port_of(s, k);
			uint8_t in = k == 2 ? suite : none, out = k == 1 ? suite : none;
			uint32_t peer = k == 4 ? UINT32_MAX : DP_LEG_ID(1, port, BASE), a;

			a = leg(0, port, peer, "10.0.0.2", 4000, in, in, DP_LATCH_NONE, 0);
			if (k == 3) {
				struct dp_leg_set m = {.leg_id = a, .peer_id = peer, .session = port, .rate_pps = 1,
						       .flags = DP_LEG_F_RECV | DP_LEG_F_SEND};

				ip_of("10.0.0.2", &m.remote, 4000);
				CU_ASSERT_EQUAL_FATAL(msg(&m, DP_MSG_LEG_SET, sizeof(m)), 0);
			}
			if (k < 4)
				(void)leg(1, port, a, k == 0 && s == 0 ? "10.1.0.77" : "10.1.0.9", 5000, out, out,
					  DP_LATCH_NONE, 0);
			rounds(1);
			if (in != none)
				key(a, DP_DIR_RECV, in, 9);
			if (out != none)
				key(DP_LEG_ID(1, port, BASE), DP_DIR_SEND, out, 10);
		}
		rounds(2);
	}
}

/* A frame of any kind at 'f'; its length. */
static uint16_t make(uint8_t *f)
{
	static uint16_t seq, id;
	struct dp_sockaddr src, dst;
	uint32_t kind = rnd(24), s = rnd(SHARDS);
	uint16_t len = 0, dport = port_of(s, kind % 5), sport = 4000, total;
	uint8_t *p = f + 42;

	ip_of("10.0.0.2", &src, 0);
	ip_of(kind == 9 ? "10.0.0.200" : "10.0.0.1", &dst, 0);
	memcpy(f, node.ports[0].mac, 6);
	memcpy(f + 6, peer_mac, 6);
	dp_put16(f + 12, DP_ETYPE_IP4);
	len = rtp(p, seq++, 0x1000 + s, (uint16_t)(20 + rnd(200)));
	switch (kind) {
	case 5:
		dport = port_of(60, rnd(100)); /* nobody's leg */
		break;
	case 6:
		sport = 4444;
		break;
	case 7:
		f[5] ^= 0x55;
		break;
	case 8:
		dport = 9; /* nobody's port */
		break;
	case 10:
		p[0] = (uint8_t)rnd(256);
		break;
	case 11:
		len = (uint16_t)rnd(14);
		break;
	case 12:
		dport++;
		len = rtcp_sr(p, 1);
		break;
	case 13:
		dport = DP_ESP_UDP_PORT;
		break;
	case 14:
		dport = DP_ESP_UDP_PORT;
		len = (uint16_t)rnd(12);
		break;
	case 15:
		dport = 2727;
		break;
	case 16:
		dport = 2727;
		len = (uint16_t)snprintf((char *)p, 100, "200 %u OK\n", 1 + rnd(100000));
		break;
	default:
		break;
	}
	total = (uint16_t)(42 + len);
	dp_build_udp(f + 14, 4, src.ip, sport, dst.ip, dport, len, 0, true);
	switch (kind) {
	case 17: /* the first or the last piece of one: some find each other */
		dp_put16(f + 18, id);
		dp_put16(f + 20, rnd(2) == 0 ? 0x2000 : 4);
		id += rnd(3) == 0;
		total = 14 + 20 + 32;
		dp_put16(f + 16, 52);
		dp_put16(f + 24, 0);
		dp_put16(f + 24, dp_sum_fold(dp_sum(f + 14, 20, 0)));
		break;
	case 18:
		total = (uint16_t)rnd(total);
		break;
	case 19:
		for (unsigned int i = 0; i < 6; i++)
			f[12 + rnd(total - 12u)] = (uint8_t)rnd(256);
		break;
	case 20:
		memmove(f + 16, f + 12, total - 12u);
		dp_put16(f + 12, DP_ETYPE_VLAN);
		dp_put16(f + 14, 7);
		total += 4;
		break;
	case 21:
		total = dp_neigh_solicit(f, 4, peer_mac, src.ip, dst.ip);
		break;
	default:
		break;
	}
	return total;
}

/* 'queue' WORKERS: any. */
static void inject_any(uint32_t queue)
{
	uint8_t f[2048];
	uint16_t len = make(f);
	struct rte_mbuf *m, *more = NULL;

	if (rte_mempool_avail_count(node.pool) < 200)
		return;
	m = rte_pktmbuf_alloc(node.pool);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	memcpy(rte_pktmbuf_append(m, len), f, len);
	if (rnd(100) == 0 && (more = rte_pktmbuf_alloc(node.pool)) != NULL) {
		(void)rte_pktmbuf_append(more, 10);
		CU_ASSERT_EQUAL_FATAL(rte_pktmbuf_chain(m, more), 0);
	}
	if (rte_ring_enqueue(rx_ring[0][queue < WORKERS ? queue : rnd(WORKERS)], m) == 0)
		injected++;
	else
		rte_pktmbuf_free(m);
}

static void identity(int w, uint64_t round)
{
	const struct dp_page_worker *c = &dp_page_workers(node.page)[w];
	uint64_t d = 0;

	for (int i = 0; i < DP_DROP_MAX; i++)
		d += c->drop[i];
	if (c->rx_pkts != c->tx_pkts - c->made_pkts + d + c->in_flight) {
		printf("round %lu, worker %d, RAVELIN_SEED: rx %lu tx %lu made %lu drops %lu in flight %ld\n",
		       (unsigned long)round, w, c->rx_pkts, c->tx_pkts, c->made_pkts, d, (long)c->in_flight);
		CU_FAIL_FATAL("a packet is not accounted for");
	}
}

/* What is in flight is where it can be: in rings, or held back; the rest are fragments that wait. */
static void flights(void)
{
	uint64_t sum = 0, known = 0;

	for (int a = 0; a < WORKERS; a++) {
		sum += dp_page_workers(node.page)[a].in_flight;
		known += held_now(a);
		for (int b = 0; b < WORKERS; b++)
			known += a != b ? rte_ring_count(node.shard.ring[a][b]) : 0;
	}
	CU_ASSERT_FATAL(sum >= known && sum - known <= 3 * 1024);
}

static void test_every_packet_every_round(void)
{
	static const uint8_t must[] = {
		DP_DROP_L2_NOT_OURS, DP_DROP_L3_MALFORMED, DP_DROP_L3_NOT_OURS, DP_DROP_L4_MALFORMED, DP_DROP_L4_PROTO,
		DP_DROP_CHAINED, DP_DROP_NO_LEG, DP_DROP_LEG_INACTIVE, DP_DROP_SOURCE, DP_DROP_RTP_MALFORMED, DP_DROP_AUTH,
		DP_DROP_POLICED, DP_DROP_ESP_NO_SA, DP_DROP_ESP_MALFORMED, DP_DROP_MGCP_UNKNOWN,
		DP_DROP_NO_NEIGH, DP_DROP_TX_FULL, DP_DROP_RING_FULL, DP_DROP_FRAG_INCOMPLETE, DP_DROP_CONSUMED,
	};
	uint64_t n = getenv("RAVELIN_FULL") != NULL ? 4000000 : 40000, rx = 0, left = 0, held = 0, handed = 0;
	unsigned int idle = 0, deaf = 0;
	int sleeper = 0;

	legs();
	host_speaks(0, "10.0.0.2");
	host_speaks(1, "10.1.0.9");
	injected = 0;
	for (int w = 0; w < WORKERS; w++)
		injected += dp_page_workers(node.page)[w].rx_pkts;
	for (uint64_t r = 0; r < n; r++) {
		int w = (int)rnd(WORKERS);

		for (uint32_t k = rnd(40); k > 0; k--)
			inject_any(idle > 0 ? (uint32_t)(sleeper + 1) % WORKERS : WORKERS);
		if (idle > 0) {
			idle--;
		} else if (rnd(4000) == 0) { /* stands still while another hands it packets */
			idle = 1500;
			sleeper = (int)rnd(WORKERS);
		}
		if (rnd(4000) == 0) /* a driver that takes no more */
			deaf = 1500;
		if (rnd(20) == 0) {
			struct dp_shard_move m = {.shard = rnd(SHARDS + 1), .worker = rnd(WORKERS)};

			moves += msg(&m, DP_MSG_SHARD_MOVE, sizeof(m)) == 0;
		}
		if (idle > 0 && w == sleeper)
			continue;
		(void)dp_worker_round(node.worker[w]);
		identity(w, r);
		if (rnd(8) == 0)
			dp_objs_poll(objs);
		if (deaf > 0)
			deaf--;
		else if (rnd(4) == 0)
			drain_tx();
		if (r % 64 == 0)
			flights();
	}
	/* at rest */
	for (int i = 0; i < 4; i++) {
		usleep(600 * 1000); /* fragments give up, and are looked through */
		for (int k = 0; k < 200; k++) {
			rounds(1);
			drain_tx();
		}
	}
	for (int w = 0; w < WORKERS; w++) {
		const struct dp_page_worker *c = &dp_page_workers(node.page)[w];

		identity(w, n);
		rx += c->rx_pkts;
		left += c->in_flight;
		held += c->held;
		handed += c->handoff_in;
	}
	CU_ASSERT_EQUAL(rx, injected);
	CU_ASSERT_EQUAL(left, 0);
	for (unsigned int i = 0; i < sizeof(must); i++) {
		if (drops(must[i]) == 0)
			printf("none was dropped under %s\n", dp_drop_name(must[i]));
		CU_ASSERT(drops(must[i]) > 0);
	}
	CU_ASSERT(moves > n / 1000 && moved_cnt > n / 2000);
	CU_ASSERT(held > 0);
	CU_ASSERT(handed > n / 10);
	printf("%lu packets, %lu moves, %lu held back, %lu handed over\n", (unsigned long)rx, (unsigned long)moved_cnt,
	       (unsigned long)held, (unsigned long)handed);
}

static int setup(void)
{
	const char *s = getenv("RAVELIN_SEED");

	seed = s != NULL ? strtoull(s, NULL, 0) | 1 : 20261121;
	one_tx = true; /* a smaller ring for all */
	cfg.dataplane.fragments = CFG_FRAG_REASSEMBLE;
	return harness_up() != 0;
}

static int teardown(void)
{
	uint32_t lost = harness_down();

	if (lost != 0)
		printf("%u packet buffers did not come back\n", lost);
	return lost != 0;
}

static CU_TestInfo tests[] = {
	{"every packet, every round", test_every_packet_every_round},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("identity", tests, setup, teardown)
