/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A dataplane for suites: two workers that are driven round by round from the test's thread, two net_ring ports whose
 * rings the test fills and empties, commands through objs.c as from the channel. Everything is static inline or
 * static: include once.
 */
#ifndef TESTS_DP_HARNESS_H
#define TESTS_DP_HARNESS_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "counters.h"
#include "neigh.h"
#include "node.h"
#include "objs.h"
#include "worker.h"

#define BASE    16384
#ifndef WORKERS
#define WORKERS 2
#endif
#define PORTS   2
#ifndef FRAME_MAX
#define FRAME_MAX 2048
#endif

static struct cfg cfg;
static struct cfg_dp_port pcs[PORTS + 2];
static struct cfg_media_addr medias[5];
static unsigned int more_ports, more_medias; /* set before harness_up(): entries of pcs, on the same devices, and of medias */
static struct dp_node node;
static struct dp_objs *objs;
static struct rte_ring *rx_ring[PORTS][WORKERS], *tx_ring[PORTS][WORKERS];
static uint16_t eth[PORTS];
static struct dp_leg_aged last_aged;
static struct dp_mgcp_done last_done;
static struct dp_mgcp_event last_event;
static struct dp_sa_event last_sa_event;
static struct dp_leg_event last_leg_event;
static unsigned int leg_event_cnt;
static int sink_rc; /* what the controlplane's end says to events: 0, -EAGAIN or -ENOTCONN */
static unsigned int aged_cnt, done_cnt, mgcp_event_cnt, sa_event_cnt;
#define TRACES 64
static struct dp_capture_done last_capture;
static struct dp_trace_pkt traced[TRACES];
static unsigned int capture_cnt, trace_cnt;

static bool one_tx; /* set before harness_up(): what leaves a port is in one ring, in the order in which it left */
static struct dp_shard_moved last_moved;
static unsigned int moved_cnt;

static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 0x99};

static inline int on_event(void *ctx, const struct dp_msg_hdr *msg)
{
	(void)ctx;
	if (sink_rc < 0)
		return sink_rc;
	switch (msg->type) {
	case DP_MSG_LEG_AGED:
		memcpy(&last_aged, msg, sizeof(last_aged));
		aged_cnt++;
		break;
	case DP_MSG_MGCP_DONE:
		memcpy(&last_done, msg, sizeof(last_done));
		done_cnt++;
		break;
	case DP_MSG_MGCP_EVENT:
		memcpy(&last_event, msg, sizeof(last_event));
		mgcp_event_cnt++;
		break;
	case DP_MSG_SA_EVENT:
		memcpy(&last_sa_event, msg, sizeof(last_sa_event));
		sa_event_cnt++;
		break;
	case DP_MSG_CAPTURE_DONE:
		memcpy(&last_capture, msg, sizeof(last_capture));
		capture_cnt++;
		break;
	case DP_MSG_TRACE_PKT:
		if (trace_cnt < TRACES)
			memcpy(&traced[trace_cnt], msg, sizeof(traced[0]));
		trace_cnt++;
		break;
	case DP_MSG_SHARD_MOVED:
		memcpy(&last_moved, msg, sizeof(last_moved));
		moved_cnt++;
		break;
	case DP_MSG_LEG_EVENT:
		memcpy(&last_leg_event, msg, sizeof(last_leg_event));
		leg_event_cnt++;
		break;
	default:
		CU_FAIL("unknown event");
	}
	return 0;
}

static inline int harness_up(void)
{
	static char *argv[] = {"t", "--no-huge", "-m", "96", "--no-pci", "--no-shconf", "--no-telemetry", "-l", "0",
			       "--log-level=*:warning", NULL};
	static const uint16_t lcores[WORKERS] = {0};

	if (rte_eal_init(10, argv) < 0)
		return 1;
	cfg.dataplane.max_legs = 64;
	cfg.dataplane.max_sas = 16;
	cfg.dataplane.max_gateways = 16;
	cfg.dataplane.mbufs = 2047;
	cfg.dataplane.ring_desc = 64;
	cfg.dataplane.ports = pcs;
	cfg.dataplane.ports_count = PORTS + more_ports;
	cfg.media.base_port = BASE;
	cfg.media.addresses = medias;
	cfg.media.addresses_count = 3 + more_medias;
	cfg_addr_parse("10.0.0.1/24", &pcs[0].addr[0]);
	cfg_addr_parse("fd00::1/64", &pcs[0].addr[1]);
	pcs[0].addresses_count = 2;
	pcs[0].device = (char *)(uintptr_t)"ring:0";
	cfg_addr_parse("10.1.0.1/24", &pcs[1].addr[0]);
	cfg_addr_parse("10.1.0.254", &pcs[1].gw4);
	pcs[1].addresses_count = 1;
	pcs[1].device = (char *)(uintptr_t)"ring:1";
	cfg_addr_parse("10.0.0.1", &medias[0].addr);
	cfg_addr_parse("10.1.0.1", &medias[1].addr);
	cfg_addr_parse("fd00::1", &medias[2].addr);
	cfg_addr_parse("10.0.0.1:2727", &cfg.mgcp_local);
	if (dp_node_init(&node, &cfg, WORKERS, "t") < 0)
		return 1;
	for (int p = 0; p < PORTS; p++) {
		char name[32];

		for (int q = 0; q < WORKERS; q++) {
			snprintf(name, sizeof(name), "rx%d_%d", p, q);
			rx_ring[p][q] = rte_ring_create(name, 1024, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
			snprintf(name, sizeof(name), "tx%d_%d", p, q);
			tx_ring[p][q] = one_tx && q > 0 ? tx_ring[p][0] :
					rte_ring_create(name, 1024, 0, (one_tx ? 0 : RING_F_SP_ENQ) | RING_F_SC_DEQ);
		}
		snprintf(name, sizeof(name), "port%d", p);
		eth[p] = (uint16_t)rte_eth_from_rings(name, rx_ring[p], WORKERS, tx_ring[p], WORKERS, 0);
		if (dp_node_port(&node, eth[p], &pcs[p]) < 0)
			return 1;
	}
	for (unsigned int p = PORTS; p < cfg.dataplane.ports_count; p++)
		if (dp_node_port(&node, eth[dp_port_first(&cfg.dataplane, p)], &pcs[p]) < 0)
			return 1;
	if (dp_node_workers(&node, lcores) < 0)
		return 1;
	objs = dp_objs_create(&node, &(struct dp_objs_sink){.event = on_event});
	struct dp_hello_reply r;

	return objs == NULL || dp_objs_hello(objs, 77, &r) != 0;
}

/* --- helpers --- */

static inline void drain_tx(void)
{
	void *m;

	for (int p = 0; p < PORTS; p++)
		for (int q = 0; q < WORKERS; q++)
			while (rte_ring_dequeue(tx_ring[p][q], &m) == 0)
				rte_pktmbuf_free(m);
}

static inline void rounds(int n)
{
	while (n-- > 0) {
		for (int w = 0; w < WORKERS; w++)
			dp_worker_round(node.worker[w]);
		dp_objs_poll(objs);
	}
}

struct out { /* one packet that left */
	int port, queue;
	uint16_t len;
	uint8_t data[FRAME_MAX];
};

static inline bool next_out(struct out *o)
{
	struct rte_mbuf *m;

	for (o->port = 0; o->port < PORTS; o->port++) {
		for (o->queue = 0; o->queue < WORKERS; o->queue++) {
			if (rte_ring_dequeue(tx_ring[o->port][o->queue], (void **)&m) != 0)
				continue;
			o->len = m->data_len;
			memcpy(o->data, rte_pktmbuf_mtod(m, uint8_t *), m->data_len);
			rte_pktmbuf_free(m);
			if ((o->data[0] & 1) != 0) { /* requests for next hops go to groups */
				o->queue--;
				continue;
			}
			return true;
		}
	}
	return false;
}

static inline void inject(int port, int queue, const uint8_t *frame, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(node.pool);

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	memcpy(rte_pktmbuf_append(m, len), frame, len);
	CU_ASSERT_EQUAL_FATAL(rte_ring_enqueue(rx_ring[port][queue], m), 0);
}

static inline void ip_of(const char *text, struct dp_sockaddr *a, uint16_t port)
{
	struct cfg_addr c;

	memset(a, 0, sizeof(*a));
	if (text == NULL)
		return;
	CU_ASSERT_EQUAL_FATAL(cfg_addr_parse(text, &c), 0);
	a->family = c.family;
	a->port = port;
	memcpy(a->ip, c.ip, 16);
}

static inline void send_udp(int port, int queue, const char *src, uint16_t sport, const char *dst, uint16_t dport,
		     const uint8_t *payload, uint16_t len)
{
	uint8_t frame[FRAME_MAX];
	struct dp_sockaddr s, d;
	uint16_t h;

	ip_of(src, &s, sport);
	ip_of(dst, &d, dport);
	h = dp_udp_hdr_len(s.family);
	memcpy(frame, node.ports[port].mac, 6);
	memcpy(frame + 6, peer_mac, 6);
	dp_put16(frame + 12, s.family == 4 ? DP_ETYPE_IP4 : DP_ETYPE_IP6);
	memcpy(frame + 14 + h, payload, len);
	dp_build_udp(frame + 14, s.family, s.ip, sport, d.ip, dport, len, 0, true);
	inject(port, queue, frame, (uint16_t)(14 + h + len));
}

/* A host answers ARP or NS for 'ip'. */
static inline void host_speaks(int port, const char *ip)
{
	struct dp_sockaddr a;
	uint8_t f[128];
	uint16_t len;

	ip_of(ip, &a, 0);
	len = dp_neigh_solicit(f, a.family, peer_mac, a.ip, node.ports[port].addr[a.family == 4 ? 0 : 1].ip);
	usleep(3000); /* snapshots are exchanged every 2 ms at most */
	rounds(2);
	inject(port, 0, f, len);
	rounds(2);
	usleep(3000);
	rounds(2);
}

static inline uint16_t rtp(uint8_t *p, uint16_t seq, uint32_t ssrc, uint16_t payload)
{
	memset(p, 0, 12);
	p[0] = 0x80;
	dp_put16(p + 2, seq);
	dp_put32(p + 4, seq * 160u);
	dp_put32(p + 8, ssrc);
	for (uint16_t i = 0; i < payload; i++)
		p[12 + i] = (uint8_t)(seq + i * 7);
	return (uint16_t)(12 + payload);
}

static inline uint16_t rtcp_sr(uint8_t *p, uint32_t ssrc)
{
	memset(p, 0, 28);
	p[0] = 0x80;
	p[1] = 200;
	dp_put16(p + 2, 6);
	dp_put32(p + 4, ssrc);
	return 28;
}

static inline int msg(void *m, uint16_t type, uint16_t len)
{
	struct dp_msg_hdr *hdr = m;
	uint32_t detail;

	hdr->type = type;
	hdr->len = len;
	hdr->seq = 1;
	return dp_objs_msg(objs, m, &detail);
}

static inline uint32_t leg(int addr, uint16_t port, uint32_t peer, const char *remote, uint16_t rport, uint8_t rx, uint8_t tx,
		    uint8_t latch, uint8_t flags)
{
	struct dp_leg_set m = {.leg_id = DP_LEG_ID(addr, port, BASE), .peer_id = peer, .session = port, .rx_suite = rx,
			       .tx_suite = tx, .latch = latch, .dscp = 46,
			       .flags = (uint8_t)(flags | DP_LEG_F_RECV | DP_LEG_F_SEND)};

	ip_of(remote, &m.remote, rport);
	CU_ASSERT_EQUAL_FATAL(msg(&m, DP_MSG_LEG_SET, sizeof(m)), 0);
	return m.leg_id;
}

static inline void key(uint32_t leg_id, uint8_t dir, uint8_t suite, uint8_t fill)
{
	struct dp_leg_key m = {.leg_id = leg_id, .suite = suite, .dir = dir};

	memset(m.key, fill, 16);
	memset(m.salt, fill + 1, 14);
	CU_ASSERT_EQUAL_FATAL(msg(&m, DP_MSG_LEG_KEY, sizeof(m)), 0);
}

static inline int del(uint32_t leg_id)
{
	struct dp_obj m = {.id = leg_id, .kind = DP_OBJ_LEG};

	return msg(&m, DP_MSG_LEG_DEL, sizeof(m));
}

static inline uint64_t drops(enum dp_drop why)
{
	uint64_t sum = 0;

	for (int w = 0; w < WORKERS; w++)
		sum += dp_page_workers(node.page)[w].drop[why];
	return sum;
}

static uint64_t frags_held[WORKERS]; /* fragments that wait for others: what the test knows of them */

/* Packets that a worker holds back for a shard that is on its way to it. */
static inline uint64_t held_now(int w)
{
	return node.move->to == w ? node.move->hold_n : 0;
}

/* rx = tx - made + drops + in_flight, per worker. */
static inline void assert_accounts(void)
{
	for (int w = 0; w < WORKERS; w++) {
		const struct dp_page_worker *c = &dp_page_workers(node.page)[w];
		uint64_t d = 0;

		for (int i = 1; i < DP_DROP_MAX; i++)
			d += c->drop[i];
		CU_ASSERT_EQUAL(c->rx_pkts, c->tx_pkts - c->made_pkts + d + c->in_flight);
		CU_ASSERT_EQUAL(c->drop[DP_OK], 0);
		CU_ASSERT_EQUAL(c->in_flight, c->handoff_out - c->handoff_in + frags_held[w] + held_now(w));
	}
}

/* Take everything down; returns packet buffers that did not come back. */
static inline uint32_t harness_down(void)
{
	void *m;

	drain_tx();
	for (int p = 0; p < PORTS; p++)
		for (int q = 0; q < WORKERS; q++)
			while (rte_ring_dequeue(rx_ring[p][q], &m) == 0)
				rte_pktmbuf_free(m);
	dp_objs_destroy(objs);
	return dp_node_fini(&node);
}

#endif
