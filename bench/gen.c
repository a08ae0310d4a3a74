/* SPDX-License-Identifier: BSD-3-Clause */
/* The benches' generator: packets made, fed and checked, and what the workers' lcores do meanwhile. */
#include "loop_priv.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "counters.h"
#include "dp_suite.h"
#include "parse.h"

#define L bench_l

#define GROUP 64
#define DESC  1024 /* of a receive ring, when packets come at their own time: dataplane.ring_desc */

/* --- making packets --- */

static unsigned int head_len(uint8_t ip)
{
	return 14u + (ip == 4 ? 28 : 48);
}

static uint32_t next_session(struct bench_gen *g)
{
	uint32_t s = g->order[g->cursor];

	g->cursor = g->cursor + 1 == g->order_n ? 0 : g->cursor + 1;
	return s;
}

/* n frames, at most GROUP, into mbufs; 'stamp' of each goes into RTP's time stamp. */
static void make(struct bench_gen *g, struct rte_mbuf **m, unsigned int n, uint32_t stamp)
{
	const struct bench_flow *f = &L.flow;
	unsigned int head = head_len(f->ip_in), len = BENCH_RTP_HDR + f->payload;
	uint32_t who[GROUP];
	uint8_t *p[GROUP];

	/* The worker has the lines: all of them are on their way before the first one is written. */
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int at = 0; at < head + len; at += 64)
			__builtin_prefetch(rte_pktmbuf_mtod_offset(m[i], uint8_t *, at), 1);
	for (unsigned int i = 0; i < n; i++) {
		uint32_t s = next_session(g);

		who[i] = s;
		p[i] = rte_pktmbuf_mtod_offset(m[i], uint8_t *, head);
		p[i][0] = 0x80;
		p[i][1] = 0;
		dp_put16(p[i] + 2, (uint16_t)L.next_index[s]);
		dp_put32(p[i] + 4, stamp + i);
		dp_put32(p[i] + 8, 0x10000000u + s);
		memset(p[i] + BENCH_RTP_HDR, (int)(uint8_t)s, f->payload);
		L.next_index[s]++;
	}
	if (f->from != DP_SRTP_NONE) {
		struct bench_raw_pkt pkt[GROUP];

		for (unsigned int i = 0; i < n; i++)
			pkt[i] = (struct bench_raw_pkt){.data = p[i], .key = &L.key[who[i]], .len = (uint16_t)len,
							.roc = (uint32_t)((L.next_index[who[i]] - 1) >> 16)};
		bench_raw_protect(g->raw, pkt, n);
		len += dp_suite(f->from)->rtp_tag;
	}
	for (unsigned int i = 0; i < n; i++) {
		uint8_t *b = rte_pktmbuf_mtod(m[i], uint8_t *), ip[16];
		uint32_t leg = bench_leg_of(who[i], 0);

		memcpy(b, L.node.ports[0].mac, 6);
		memcpy(b + 6, bench_peer_mac, 6);
		dp_put16(b + 12, f->ip_in == 4 ? DP_ETYPE_IP4 : DP_ETYPE_IP6);
		bench_remote_of(who[i], 0, ip);
		dp_build_udp(b + 14, f->ip_in, ip, BENCH_PORT, L.medias[DP_LEG_ADDR(leg)].addr.ip, DP_LEG_PORT(leg, BENCH_BASE),
			     (uint16_t)len, 46, false);
		m[i]->data_len = (uint16_t)(head + len);
		m[i]->pkt_len = m[i]->data_len;
	}
}

/* The next batch, ready in 'staged'. */
static void prepare(struct bench_gen *g)
{
	if (rte_pktmbuf_alloc_bulk(L.node.pool, g->staged, BENCH_BATCH) != 0)
		abort(); /* the pool is sized for three batches of each */
	for (unsigned int at = 0; at < BENCH_BATCH; at += GROUP)
		make(g, g->staged + at, GROUP, 0);
}

/* --- checking packets --- */

/* A packet that left is what its session's packet became. */
static bool right(struct bench_gen *g, const struct rte_mbuf *m)
{
	const struct bench_flow *f = &L.flow;
	uint8_t copy[2048], want[16];
	struct bench_raw_key key;
	struct dp_frame fr;
	uint8_t *p;
	uint16_t len;
	uint32_t s;

	if (m->data_len > sizeof(copy) - 32)
		return false;
	memcpy(copy, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
	copy[m->data_len - 1] ^= L.spoil;
	if (dp_parse_frame(copy, m->data_len, &fr) != DP_OK || fr.proto != DP_PROTO_UDP || fr.payload_len < BENCH_RTP_HDR ||
	    fr.family != f->ip_out)
		return false;
	p = copy + fr.payload_off;
	len = fr.payload_len;
	s = dp_get32(p + 8) - 0x10000000u;
	if (s >= L.sessions)
		return false;
	bench_remote_of(s, 1, want);
	if (memcmp(fr.dst, want, 16) != 0 || fr.dst_port != BENCH_PORT ||
	    fr.src_port != DP_LEG_PORT(bench_leg_of(s, 1), BENCH_BASE))
		return false;
	if (f->to != DP_SRTP_NONE) {
		/* Its index is below the next one, and not far. */
		uint64_t next = L.next_index[s], index = (next & ~0xffffull) | dp_get16(p + 2);
		struct bench_raw_pkt pkt = {.data = p, .key = &key};
		struct bench_session keys;

		if (index >= next && index >= 0x10000)
			index -= 0x10000;
		if (len != BENCH_RTP_HDR + f->payload + dp_suite(f->to)->rtp_tag)
			return false;
		len = BENCH_RTP_HDR + f->payload;
		bench_keys_of(s, 1, DP_DIR_SEND, &keys);
		bench_raw_key_init(g->raw, &key, &keys);
		pkt.len = len;
		pkt.roc = (uint32_t)(index >> 16);
		bench_raw_unprotect(g->raw, &pkt, 1);
		if (!pkt.ok)
			return false;
	}
	if (len != BENCH_RTP_HDR + f->payload)
		return false;
	for (unsigned int i = BENCH_RTP_HDR; i < len; i++)
		if (p[i] != (uint8_t)s)
			return false;
	return true;
}

/* Empty the transmit ring, at most 'most' packets; one in 'every' bursts has one checked. Returns how many there were. */
static unsigned int drain(struct bench_gen *g, unsigned int most, struct bench_offer *lat, const uint64_t *due, uint32_t mask)
{
	struct rte_mbuf *m[GROUP];
	unsigned int n, total = 0;

	while (total < most && (n = rte_ring_sc_dequeue_burst(L.tx[1][g->worker], (void **)m, GROUP, NULL)) > 0) {
		if (lat != NULL && lat->lat != NULL) {
			unsigned int head = head_len(L.flow.ip_out);
			uint64_t now = bench_tsc();

			for (unsigned int i = 0; i < n && lat->lat_n < lat->lat_max; i++) {
				uint32_t id = dp_get32(rte_pktmbuf_mtod_offset(m[i], const uint8_t *, head + 4));

				lat->lat[lat->lat_n++] = (uint32_t)(now - due[id & mask]);
			}
		}
		/* While packets wait behind it, a check would be part of their time: one in many then. */
		if (lat == NULL || (g->left & 0xffff) < n)
			g->bad = g->bad || !right(g, m[n / 2]);
		total += n;
		g->left += n;
		rte_pktmbuf_free_bulk(m, n);
	}
	return total;
}

/* --- the workers' lcores --- */

static void batch(struct dp_worker *w, struct bench_sample *s)
{
	uint64_t before[DP_STAGE_MAX], t0;
	unsigned int n = 0;

	memcpy(before, w->cnt->stage_cyc, sizeof(before));
	t0 = bench_tsc();
	while (n < BENCH_BATCH) {
		n += dp_worker_round(w);
		rte_rcu_qsbr_quiescent(L.node.qs, w->id);
	}
	s->cyc = bench_tsc() - t0;
	for (unsigned int k = 0; k < DP_STAGE_MAX; k++)
		s->stage[k] = w->cnt->stage_cyc[k] - before[k];
}

/* All lcores of a run begin their batches together: what they share is shared then. */
static void barrier(void)
{
	unsigned int mine = __atomic_add_fetch(&L.barrier, 1, __ATOMIC_ACQ_REL);
	unsigned int all = (mine + L.workers - 1) / L.workers * L.workers;

	while ((int)(__atomic_load_n(&L.barrier, __ATOMIC_ACQUIRE) - all) < 0)
		rte_pause();
}

static void self(struct dp_worker *w)
{
	struct bench_gen *g = &L.gen[w->id];

	for (unsigned int b = 0; b < L.batches; b++) {
		prepare(g);
		if (rte_ring_sp_enqueue_bulk(L.rx[0][w->id], (void **)g->staged, BENCH_BATCH, NULL) != BENCH_BATCH)
			abort(); /* it holds two batches */
		g->fed += BENCH_BATCH;
		barrier();
		batch(w, &L.lcore[w->id].s[b]);
		barrier();
		(void)drain(g, UINT32_MAX, NULL, NULL, 0);
	}
}

int bench_lcore_main(void *arg)
{
	struct dp_worker *w = arg;
	unsigned int m;

	rte_rcu_qsbr_thread_online(L.node.qs, w->id);
	while ((m = bench_mode_get(w->id)) != BENCH_STOP) {
		if (m == BENCH_GO)
			(L.go != NULL ? L.go : batch)(w, L.lcore[w->id].s);
		else if (m == BENCH_SELF)
			self(w);
		if (m == BENCH_ROUNDS) {
			(void)dp_worker_round(w);
			if (L.self) /* the main lcore may have no other CPU */
				sched_yield();
		} else if (m != BENCH_HELD) {
			bench_mode_set(w->id, BENCH_HELD);
		}
		rte_rcu_qsbr_quiescent(L.node.qs, w->id);
		rte_pause();
	}
	rte_rcu_qsbr_thread_offline(L.node.qs, w->id);
	return 0;
}

/* --- runs --- */

void bench_loop_hold(void)
{
	bench_mode_all(BENCH_HOLD);
	/* The round that was under way would take packets of the batch. */
	for (unsigned int w = 0; w < L.workers; w++)
		while (bench_mode_get(w) != BENCH_HELD)
			sched_yield();
}

static void begin(void)
{
	bench_loop_hold();
	memcpy(L.start, dp_page_workers(L.node.page), L.workers * sizeof(L.start[0]));
	for (unsigned int w = 0; w < L.workers; w++) {
		L.gen[w].fed = L.gen[w].left = 0;
		L.gen[w].bad = false;
	}
}

/*
 * With the workers held: every packet was received, and left or was dropped under a reason. 'drop' gets the reasons'
 * counts, may be NULL. False: a counter is wrong or a packet was.
 */
static bool accounted(uint64_t *drop)
{
	bool ok = true;

	for (unsigned int w = 0; w < L.workers; w++) {
		const struct dp_page_worker *c = &dp_page_workers(L.node.page)[w], *was = &L.start[w];
		uint64_t rx = c->rx_pkts - was->rx_pkts, tx = c->tx_pkts - was->tx_pkts, made = c->made_pkts - was->made_pkts;
		uint64_t sum = 0;

		for (unsigned int d = 1; d < DP_DROP_MAX; d++) {
			sum += c->drop[d] - was->drop[d];
			if (drop != NULL)
				drop[d] += c->drop[d] - was->drop[d];
		}
		if (rx != tx - made + sum + (c->in_flight - was->in_flight) || rx != L.gen[w].fed ||
		    tx - made != L.gen[w].left || L.gen[w].bad) {
			fprintf(stderr,
				"ravelin-bench: worker %u: %lu fed, %lu received, %lu sent, %lu made, %lu dropped, %lu seen%s\n",
				w, (unsigned long)L.gen[w].fed, (unsigned long)rx, (unsigned long)tx, (unsigned long)made,
				(unsigned long)sum, (unsigned long)L.gen[w].left, L.gen[w].bad ? ", a wrong one too" : "");
			ok = false;
		}
	}
	return ok;
}

/* In a run that is not to lose anything. */
static bool complete(void)
{
	uint64_t drop[DP_DROP_MAX] = {0}, lost = 0;
	bool ok = accounted(drop);

	for (unsigned int d = 1; d < DP_DROP_MAX; d++) {
		lost += drop[d];
		if (drop[d] > 0)
			fprintf(stderr, "ravelin-bench: lost: %s %lu\n", dp_drop_name(d), (unsigned long)drop[d]);
	}
	bench_mode_all(BENCH_ROUNDS);
	return ok && lost == 0;
}

bool bench_loop_run(unsigned int batches, struct bench_sample *s)
{
	struct bench_gen *g = &L.gen[0];

	begin();
	prepare(g);
	for (unsigned int b = 0; b < batches; b++) {
		L.lcore[0].s = &s[b];
		if (rte_ring_sp_enqueue_bulk(L.rx[0][0], (void **)g->staged, BENCH_BATCH, NULL) != BENCH_BATCH)
			return false;
		g->fed += BENCH_BATCH;
		bench_mode_set(0, BENCH_GO);
		if (b + 1 < batches)
			prepare(g);
		while (bench_mode_get(0) == BENCH_GO)
			rte_pause();
		(void)drain(g, UINT32_MAX, NULL, NULL, 0);
	}
	return complete();
}

bool bench_loop_self(unsigned int batches, struct bench_sample *s)
{
	begin();
	L.batches = batches;
	for (unsigned int w = 0; w < L.workers; w++)
		L.lcore[w].s = &s[w * BENCH_BATCHES_MAX];
	bench_mode_all(BENCH_SELF);
	for (unsigned int w = 0; w < L.workers; w++)
		while (bench_mode_get(w) == BENCH_SELF)
			usleep(1000);
	return complete();
}

/* Up to n packets, due at 'first' and 'step' ticks after one another, as far as the ring has room. */
static void offer(struct bench_gen *g, struct bench_offer *o, unsigned int n, uint64_t *due, uint32_t mask, double first,
		  double step)
{
	struct rte_mbuf *m[GROUP];

	if (rte_pktmbuf_alloc_bulk(L.node.pool, m, n) != 0) {
		/* Cannot be: rings and hands together are smaller than the pool. */
		abort();
	}
	if (due != NULL)
		for (unsigned int i = 0; i < n; i++)
			due[(uint32_t)(o->offered + i) & mask] = (uint64_t)(first + i * step);
	make(g, m, n, (uint32_t)o->offered);
	(void)rte_ring_sp_enqueue_bulk(L.rx[0][0], (void **)m, n, NULL);
	g->fed += n;
	o->offered += n;
}

bool bench_loop_offer(double rate, double seconds, struct bench_offer *ret)
{
	struct bench_gen *g = &L.gen[0];
	struct bench_offer *o = ret;
	const uint32_t slots = 1u << 18;
	uint64_t *due = o->lat != NULL ? bench_array(slots, sizeof(*due)) : NULL;
	double hz = (double)L.node.hz, step = hz / rate;
	uint64_t t0, end, now;
	bool ok;

	begin();
	bench_mode_all(BENCH_ROUNDS);
	o->offered = o->missed = o->delivered = o->lat_n = 0;
	memset(o->drop, 0, sizeof(o->drop));
	t0 = bench_tsc();
	end = t0 + (uint64_t)(hz * seconds);
	while ((now = bench_tsc()) < end) {
		uint64_t owed = (uint64_t)((double)(now - t0) / step), n;
		unsigned int room;

		if (owed > o->offered) {
			n = owed - o->offered;
			room = rte_ring_count(L.rx[0][0]);
			room = room < DESC ? DESC - room : 0;
			if (n > room) { /* came to a full ring */
				for (uint64_t i = room; i < n; i++)
					L.next_index[next_session(g)]++;
				o->missed += n - room;
				o->offered += n - room;
				n = room;
			}
			if (n > 0)
				offer(g, o, n < GROUP ? (unsigned int)n : GROUP, due, slots - 1,
				      (double)t0 + (double)o->offered * step, step);
		}
		(void)drain(g, 2 * GROUP, o, due, slots - 1);
	}
	o->seconds = (double)(now - t0) / hz;
	o->delivered = g->left;
	/* What is still under way is no part of the rate, but of the account. */
	while (rte_ring_count(L.rx[0][0]) > 0 || rte_ring_count(L.tx[1][0]) > 0)
		(void)drain(g, UINT32_MAX, NULL, NULL, 0);
	bench_loop_hold();
	(void)drain(g, UINT32_MAX, NULL, NULL, 0);
	ok = accounted(o->drop);
	bench_mode_all(BENCH_ROUNDS);
	free(due);
	return ok;
}

/* --- figures --- */

double bench_loop_median(const struct bench_sample *s, size_t offset, unsigned int n)
{
	double v[BENCH_BATCHES_MAX], m[BENCH_RUNS_MAX];
	unsigned int k = 0, step = (n + BENCH_RUNS_MAX - 1) / BENCH_RUNS_MAX;

	for (unsigned int i = 0; i < n; i++)
		v[i] = (double)*(const uint64_t *)(const void *)((const uint8_t *)&s[i] + offset) / BENCH_BATCH;
	/* bench_quantile() takes no more than BENCH_RUNS_MAX: the median of medians of neighbours does. */
	for (unsigned int i = 0; i < n; i += step)
		m[k++] = bench_quantile(&v[i], i + step > n ? n - i : step, 0.5);
	return bench_quantile(m, k, 0.5);
}

json_t *bench_loop_drops(const uint64_t *drop)
{
	json_t *o = json_object();

	for (unsigned int d = 1; d < DP_DROP_MAX; d++)
		if (drop[d] > 0)
			json_object_set_new(o, dp_drop_name(d), json_integer((json_int_t)drop[d]));
	return o;
}
