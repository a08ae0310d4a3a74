/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Legs come and go while media flows: a session is made and another ended every thousand packets, keys are renewed in
 * between, and one packet in fifty is a forgery, a copy or rubbish. Every genuine packet leaves, decrypted right, and nothing else
 * does; counters never run backwards and add up; memory at the end is what it was near the beginning. 10^6 packets, 10^8
 * with RAVELIN_FULL=1: at a million packets a second, which is less than a worker does, that is a thousand legs a second.
 */
#include <stdio.h>

#include <rte_malloc.h>

#include "crypto/mb.h"
#include "dp_harness.h"
#include "dp_suite.h"
#include "srtp/srtp.h"

#define SESSIONS 24
#define BURST    48
#define TURN     1000 /* packets from one change of a session to the next */

struct session {
	bool up;
	uint16_t port;
	uint8_t in, out; /* enum dp_srtp_suite */
	struct dp_srtp_key tx, rx; /* the sender's and the hearer's */
	struct dp_srtp_pool *pool;
	uint16_t seq;
	uint8_t last[512]; /* one packet of late, as it was on the wire */
	uint16_t last_len;
	uint64_t sent, heard;
	struct dp_page_leg before[2];
};

static struct session ses[SESSIONS];
static struct dp_mb *mb;
static uint64_t seed = 20261121, made, ended, renewed, bad_sent;
static unsigned int next_port;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull >> 11;
}

static uint32_t leg_a(const struct session *s)
{
	return DP_LEG_ID(0, s->port, BASE);
}

static uint32_t leg_b(const struct session *s)
{
	return DP_LEG_ID(1, s->port, BASE);
}

/* A command, again until there is room for it. */
static int command(void *m, uint16_t type, uint16_t len)
{
	int rc;

	while ((rc = msg(m, type, len)) == -EAGAIN)
		rounds(1);
	return rc;
}

static void fresh_key(const struct session *s, uint32_t leg_id, uint8_t dir, uint8_t suite, struct dp_srtp_key *theirs, bool renew)
{
	struct dp_leg_key m = {.leg_id = leg_id, .suite = suite, .dir = dir, .overlap_ms = renew ? 1000 : 0};
	struct dp_srtp_params par = {.suite = suite, .dir = dir == DP_DIR_RECV ? DP_DIR_SEND : DP_DIR_RECV, .key = m.key,
				     .salt = m.salt, .pool = s->pool};

	for (int i = 0; i < dp_suite(suite)->key_len; i++)
		m.key[i] = (uint8_t)rnd();
	for (int i = 0; i < dp_suite(suite)->salt_len; i++)
		m.salt[i] = (uint8_t)rnd();
	if (renew) {
		dp_srtp_key_leave(theirs);
		dp_srtp_key_wipe(theirs);
		renewed++;
	}
	CU_ASSERT_EQUAL_FATAL(dp_srtp_key_init(mb, theirs, &par), 0);
	CU_ASSERT_EQUAL_FATAL(command(&m, DP_MSG_LEG_KEY, sizeof(m)), 0);
}

static void begin(struct session *s)
{
	struct dp_leg_set m = {.flags = DP_LEG_F_RECV | DP_LEG_F_SEND, .rate_pps = UINT32_MAX};

	s->port = (uint16_t)(BASE + 2 * (next_port++ % DP_LEGS_PER_ADDR));
	s->in = (uint8_t)(rnd() % DP_SRTP_SUITE_MAX);
	s->out = (uint8_t)(rnd() % DP_SRTP_SUITE_MAX);
	s->pool = dp_srtp_pool_create(2, 0);
	s->seq = (uint16_t)(rnd() % 40000);
	s->last_len = 0;
	s->sent = s->heard = 0;
	memset(s->before, 0, sizeof(s->before));
	for (int b = 0; b < 2; b++) {
		m.leg_id = b ? leg_b(s) : leg_a(s);
		m.peer_id = b ? leg_a(s) : leg_b(s);
		m.rx_suite = m.tx_suite = b ? s->out : s->in;
		m.latch = m.rx_suite != DP_SRTP_NONE ? DP_LATCH_AUTH : DP_LATCH_ADDRESS;
		m.session = s->port;
		ip_of(b ? "10.1.0.9" : "10.0.0.2", &m.remote, b ? 5000 : 4000);
		CU_ASSERT_EQUAL_FATAL(command(&m, DP_MSG_LEG_SET, sizeof(m)), 0);
	}
	if (s->in != DP_SRTP_NONE)
		fresh_key(s, leg_a(s), DP_DIR_RECV, s->in, &s->tx, false);
	if (s->out != DP_SRTP_NONE)
		fresh_key(s, leg_b(s), DP_DIR_SEND, s->out, &s->rx, false);
	rounds(2);
	s->up = true;
	made++;
}

static void end(struct session *s)
{
	for (int b = 0; b < 2; b++) {
		struct dp_obj m = {.id = b ? leg_b(s) : leg_a(s), .kind = DP_OBJ_LEG};

		CU_ASSERT_EQUAL_FATAL(command(&m, DP_MSG_LEG_DEL, sizeof(m)), 0);
	}
	CU_ASSERT_EQUAL(s->heard, s->sent);
	if (s->in != DP_SRTP_NONE) {
		dp_srtp_key_leave(&s->tx);
		dp_srtp_key_wipe(&s->tx);
	}
	if (s->out != DP_SRTP_NONE) {
		dp_srtp_key_leave(&s->rx);
		dp_srtp_key_wipe(&s->rx);
	}
	dp_srtp_pool_destroy(s->pool);
	s->up = false;
	ended++;
	rounds(1);
}

static void frame(const struct session *s, const uint8_t *payload, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(node.pool);
	static const uint8_t src[16] = {10, 0, 0, 2}, dst[16] = {10, 0, 0, 1};
	uint8_t *f;

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	f = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(42 + len));
	memcpy(f, node.ports[0].mac, 6);
	memcpy(f + 6, peer_mac, 6);
	dp_put16(f + 12, DP_ETYPE_IP4);
	memcpy(f + 42, payload, len);
	dp_build_udp(f + 14, 4, src, 4000, dst, s->port, len, 0, false);
	CU_ASSERT_EQUAL_FATAL(rte_ring_enqueue(rx_ring[0][rnd() % WORKERS], m), 0);
}

/* One packet of the session, or something that looks like one. */
static void send_packet(struct session *s)
{
	uint8_t p[512];
	uint16_t len;

	if (rnd() % 100 == 0 && s->last_len > 0) { /* again, as it was */
		frame(s, s->last, s->last_len);
		bad_sent++;
		return;
	}
	len = rtp(p, s->seq++, s->port, (uint16_t)(20 + rnd() % 180));
	if (s->in != DP_SRTP_NONE) {
		struct dp_srtp_pkt pkt = {.data = p, .key = &s->tx, .len = len, .room = 64};

		CU_ASSERT_EQUAL_FATAL(dp_srtp_protect_burst(mb, &pkt, 1), 1);
		len = pkt.len;
		if (rnd() % 100 == 0) { /* a forgery overtakes the packet */
			uint8_t *at = &p[len - 1 - rnd() % 16];

			*at ^= 0x10;
			frame(s, p, len);
			*at ^= 0x10;
			bad_sent++;
		}
		memcpy(s->last, p, len);
		s->last_len = len;
	}
	frame(s, p, len);
	s->sent++;
}

/* The hosts answer when they are asked, as hosts do. */
static void answer(int port, const uint8_t *ask)
{
	uint8_t f[42];

	memcpy(f, ask + 6, 6);
	memcpy(f + 6, peer_mac, 6);
	memcpy(f + 12, ask + 12, 8);
	dp_put16(f + 20, 2);
	memcpy(f + 22, peer_mac, 6);
	memcpy(f + 28, ask + 38, 4);
	memcpy(f + 32, ask + 22, 10);
	inject(port, 0, f, sizeof(f));
}

static void hear(int port, struct rte_mbuf *m)
{
	struct dp_frame f;
	uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);
	struct session *s = NULL;
	struct dp_srtp_pkt pkt = {.len = 0};

	if (m->data_len >= 42 && dp_get16(data + 12) == DP_ETYPE_ARP && dp_get16(data + 20) == 1) {
		answer(port, data);
		return;
	}
	if ((data[0] & 1) != 0 || dp_parse_frame(data, m->data_len, &f) != DP_OK || f.proto != DP_PROTO_UDP)
		return; /* neighbour discovery of IPv6 */
	for (int i = 0; i < SESSIONS; i++)
		if (ses[i].up && ses[i].port == f.src_port)
			s = &ses[i];
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	pkt.data = data + f.payload_off;
	pkt.len = f.payload_len;
	if (s->out != DP_SRTP_NONE) {
		pkt.key = &s->rx;
		CU_ASSERT_EQUAL_FATAL(dp_srtp_unprotect_burst(mb, &pkt, 1), 1);
	}
	for (uint16_t i = 12; i < pkt.len; i += 37)
		CU_ASSERT_EQUAL(pkt.data[i], (uint8_t)(dp_get16(pkt.data + 2) + (i - 12) * 7));
	s->heard++;
}

static void hear_all(void)
{
	void *m;

	for (int p = 0; p < PORTS; p++)
		for (int q = 0; q < WORKERS; q++)
			while (rte_ring_dequeue(tx_ring[p][q], &m) == 0) {
				hear(p, m);
				rte_pktmbuf_free(m);
			}
}

/* No counter of a worker is below what it was; no counter of a leg, as long as it is the same session's. */
static void monotonic(void)
{
	static struct dp_page_worker before[WORKERS];

	dp_objs_tick(objs);
	for (int w = 0; w < WORKERS; w++) {
		const struct dp_page_worker *c = &dp_page_workers(node.page)[w];
		const uint64_t *now = (const uint64_t *)c, *was = (const uint64_t *)&before[w];

		for (size_t i = 0; i < sizeof(*c) / sizeof(uint64_t); i++)
			if (&now[i] != &c->in_flight) /* the one that goes both ways */
				CU_ASSERT(now[i] >= was[i]);
		before[w] = *c;
	}
	for (int i = 0; i < SESSIONS; i++) {
		for (int b = 0; b < 2 && ses[i].up; b++) {
			const struct dp_page_leg *l = &dp_page_legs(node.page)[b ? leg_b(&ses[i]) : leg_a(&ses[i])];
			struct dp_page_leg *was = &ses[i].before[b];

			CU_ASSERT(l->rx_pkts >= was->rx_pkts && l->tx_pkts >= was->tx_pkts && l->rx_bytes >= was->rx_bytes &&
				  l->tx_bytes >= was->tx_bytes && l->auth_fail >= was->auth_fail && l->replayed >= was->replayed &&
				  l->rtp.received >= was->rtp.received && l->rtp.expected >= was->rtp.expected &&
				  l->rx_rtcp >= was->rx_rtcp && l->other_drop >= was->other_drop);
			*was = *l;
		}
	}
	assert_accounts();
}

static size_t heap_bytes(void)
{
	struct rte_malloc_socket_stats st = {0};

	(void)rte_malloc_get_socket_stats((int)rte_socket_id(), &st);
	return st.heap_allocsz_bytes;
}

static size_t rss_bytes(void)
{
	unsigned long size = 0, rss = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL(fscanf(f, "%lu %lu", &size, &rss), 2);
	fclose(f);
	return rss * 4096;
}

static void test_soak(void)
{
	const char *full = getenv("RAVELIN_FULL");
	uint64_t packets = full != NULL && strcmp(full, "1") == 0 ? 100000000 : 1000000, done = 0, turn = 0;
	size_t heap = 0, rss = 0;
	uint64_t auth;

	mb = dp_mb_create();
	CU_ASSERT_PTR_NOT_NULL_FATAL(mb);
	for (int i = 0; i < SESSIONS; i++)
		begin(&ses[i]);
	while (done < packets) {
		if (done == 0) {
			host_speaks(1, "10.1.0.9");
			host_speaks(0, "10.0.0.2");
			hear_all();
		}
		for (int i = 0; i < BURST; i++)
			send_packet(&ses[rnd() % SESSIONS]);
		done += BURST;
		rounds(3); /* one hands over, the other one sends */
		hear_all();
		if (done / TURN != turn) {
			struct session *s = &ses[rnd() % SESSIONS];

			turn = done / TURN;
			if (rnd() % 4 == 0 && s->in != DP_SRTP_NONE && s->out != DP_SRTP_NONE) {
				s->last_len = 0; /* under the old key it would be good no more */
				fresh_key(s, leg_a(s), DP_DIR_RECV, s->in, &s->tx, true);
				fresh_key(s, leg_b(s), DP_DIR_SEND, s->out, &s->rx, true);
				rounds(2);
			}
			s = &ses[rnd() % SESSIONS];
			end(s);
			begin(s);
			if (turn % 16 == 0)
				monotonic();
		}
		if (heap == 0 && done > packets / 10) {
			heap = heap_bytes();
			rss = rss_bytes();
		}
	}
	monotonic();
	CU_ASSERT(heap_bytes() <= heap + (256 << 10)); /* a slab more, if many GCM keys are up now */
	CU_ASSERT(rss_bytes() <= rss + (4 << 20));
	auth = drops(DP_DROP_AUTH) + drops(DP_DROP_REPLAY) + drops(DP_DROP_STALE) + drops(DP_DROP_RTP_MALFORMED) + drops(DP_DROP_NO_KEY);
	CU_ASSERT_EQUAL(auth, bad_sent);
	CU_ASSERT(bad_sent > packets / 200);
	for (int i = 0; i < SESSIONS; i++)
		end(&ses[i]);
	rounds(4);
	CU_ASSERT_EQUAL(dp_objs_leg_cnt(objs), 0);
	CU_ASSERT_EQUAL(made, ended);
	CU_ASSERT(renewed > 0);
	for (int d = 1; d < DP_DROP_MAX; d++)
		if (drops((enum dp_drop)d) > 0)
			printf("%s %lu ", dp_drop_name((unsigned int)d), drops((enum dp_drop)d));
	dp_mb_destroy(mb);
	printf("%lu packets, %lu sessions, %lu keys renewed, %lu refused; heap %zu, was %zu; resident %zu, was %zu\n", done, made, renewed,
	       bad_sent, heap_bytes(), heap, rss_bytes(), rss);
	CU_ASSERT_EQUAL(harness_down(), 0);
}

static CU_TestInfo tests[] = {{"legs come and go while media flows", test_soak}, CU_TEST_INFO_NULL};

#include "suite.h"
SUITE_MAIN("soak", tests, harness_up, NULL)
