/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ravelin-bench media: the whole round of a worker, from receive to send, on ports whose queues are rings in memory. The
 * generator runs on the other core: while the worker goes through a batch, it empties the transmit ring and makes the
 * next batch, each packet of the next session in one random order. What is timed is the worker from a full receive ring
 * to an empty one. Legs and keys go in through objs.c, as from the channel.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "bench.h"
#include "counters.h"
#include "crypto/mb.h"
#include "log.h"
#include "neigh.h"
#include "node.h"
#include "objs.h"
#include "worker.h"

#define BATCH       2048 /* packets: as many as the receive rings of two NICs hold */
#define ADDRS       7 /* of each port: 7 * 8192 sessions */
#define LEGS_MAX    100000
#define SESSIONS    (LEGS_MAX / 2)
#define BASE        16384
#define PAYLOAD     160
#define RTP_LEN     (12 + PAYLOAD)
#define MEMORY_MB   256
#define BATCHES_MAX 256

enum mode { ROUNDS, HOLD, HELD, GO, STOP }; /* the worker turns HOLD and the end of GO into HELD */

static struct cfg cfg;
static struct cfg_dp_port pcs[2];
static struct cfg_media_addr medias[2 * ADDRS];
static struct dp_node node;
static struct dp_objs *objs;
static struct rte_ring *rx[2], *tx[2];
static unsigned int mode; /* enum mode; atomic: both sides wait for the other */

static struct dp_mb *mb;             /* the generator's */
static struct dp_srtp_key *gen_key;  /* of the parties that send, by session */
static uint64_t *next_index;         /* of their packets */
static uint32_t *order;              /* sessions in the order they speak */
static uint32_t cursor, session_cnt;
static struct rte_mbuf *staged[BATCH];
static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 0x99};

/* One batch, as the worker saw it. */
struct sample {
	uint64_t cyc, stage[DP_STAGE_MAX];
};
static struct sample samples[BATCHES_MAX];
static unsigned int sample_cnt;

static unsigned int mode_get(void)
{
	return __atomic_load_n(&mode, __ATOMIC_ACQUIRE);
}

static void mode_set(unsigned int m)
{
	__atomic_store_n(&mode, m, __ATOMIC_RELEASE);
}

/* --- the worker's core --- */

static void batch(struct dp_worker *w)
{
	struct sample *s = &samples[sample_cnt];
	uint64_t before[DP_STAGE_MAX], t0;
	unsigned int n = 0;

	memcpy(before, w->cnt->stage_cyc, sizeof(before));
	t0 = bench_tsc();
	while (n < BATCH) {
		n += dp_worker_round(w);
		rte_rcu_qsbr_quiescent(node.qs, w->id);
	}
	s->cyc = bench_tsc() - t0;
	for (unsigned int k = 0; k < DP_STAGE_MAX; k++)
		s->stage[k] = w->cnt->stage_cyc[k] - before[k];
	mode_set(HELD);
}

static int worker_main(void *arg)
{
	struct dp_worker *w = arg;
	unsigned int m;

	rte_rcu_qsbr_thread_online(node.qs, w->id);
	while ((m = mode_get()) != STOP) {
		if (m == GO)
			batch(w);
		else if (m == ROUNDS)
			(void)dp_worker_round(w);
		else if (m == HOLD)
			mode_set(HELD);
		rte_rcu_qsbr_quiescent(node.qs, w->id);
		rte_pause();
	}
	rte_rcu_qsbr_thread_offline(node.qs, w->id);
	return 0;
}

/* --- legs and keys --- */

static uint32_t leg_of(uint32_t session, bool a)
{
	return session + (a ? 0 : ADDRS * DP_LEGS_PER_ADDR);
}

static void master(uint32_t leg_id, uint8_t dir, uint8_t *key, uint8_t *salt)
{
	memset(key, 0x5a, 16);
	memset(salt, 0xa5, 14);
	memcpy(key, &leg_id, 4);
	key[4] = dir;
}

static int message(void *msg, uint16_t type, uint16_t len)
{
	struct dp_msg_hdr *hdr = msg;
	uint32_t detail;
	int rc;

	*hdr = (struct dp_msg_hdr){.type = type, .len = len, .seq = 1};
	while ((rc = dp_objs_msg(objs, hdr, &detail)) == -EAGAIN)
		dp_objs_poll(objs);
	return rc;
}

static void remote_of(uint32_t session, bool a, uint8_t *ip)
{
	memset(ip, 0, 16);
	ip[0] = a ? 172 : 173;
	ip[1] = (uint8_t)(16 + (session >> 16));
	ip[2] = (uint8_t)(session >> 8);
	ip[3] = (uint8_t)session;
}

static int set_leg(uint32_t session, bool a, uint8_t suite)
{
	struct dp_leg_set m = {.leg_id = leg_of(session, a), .peer_id = leg_of(session, !a), .session = session,
			       .rx_suite = suite, .tx_suite = suite, .dscp = 46,
			       .latch = suite != DP_SRTP_NONE ? DP_LATCH_AUTH : DP_LATCH_ADDRESS,
			       .flags = DP_LEG_F_RECV | DP_LEG_F_SEND};

	remote_of(session, a, m.remote.ip);
	m.remote.family = 4;
	m.remote.port = 4000;
	return message(&m, DP_MSG_LEG_SET, sizeof(m));
}

static int set_key(uint32_t leg_id, uint8_t dir)
{
	struct dp_leg_key m = {.leg_id = leg_id, .suite = DP_AES_CM_128_HMAC_SHA1_80, .dir = dir};

	master(leg_id, dir, m.key, m.salt);
	return message(&m, DP_MSG_LEG_KEY, sizeof(m));
}

static int gen_key_init(struct dp_srtp_key *key, uint32_t leg_id, uint8_t leg_dir, uint8_t dir, uint64_t floor)
{
	uint8_t k[16], s[14];
	const struct dp_srtp_params par = {.suite = DP_AES_CM_128_HMAC_SHA1_80, .dir = dir, .index_floor = floor,
					   .key = k, .salt = s};

	master(leg_id, leg_dir, k, s);
	return dp_srtp_key_init(mb, key, &par);
}

/* All commands executed. */
static void settle(void)
{
	const struct dp_page_worker *c = dp_page_workers(node.page);

	for (int i = 0; i < 3; i++) {
		uint64_t polls = c->polls;

		while (__atomic_load_n(&c->polls, __ATOMIC_RELAXED) < polls + DP_CMD_DEPTH / 16)
			dp_objs_poll(objs);
	}
}

static void free_ring(struct rte_ring *r)
{
	void *m[64];
	unsigned int n;

	while ((n = rte_ring_sc_dequeue_burst(r, m, 64, NULL)) > 0)
		rte_pktmbuf_free_bulk((struct rte_mbuf **)m, n);
}

/* The next hops speak, as they would when asked. */
static void neighbours(void)
{
	mode_set(ROUNDS);
	for (int turn = 0; turn < 2; turn++) {
		settle();
		usleep(3000);
		for (int p = 0; p < 2; p++) {
			struct rte_mbuf *m = rte_pktmbuf_alloc(node.pool);
			uint8_t *f = rte_pktmbuf_mtod(m, uint8_t *);

			m->data_len = dp_neigh_solicit(f, 4, peer_mac, node.ports[p].gw4.ip, node.ports[p].addr[0].ip);
			m->pkt_len = m->data_len;
			/* MACs of ring ports are zero until they are set: an answer goes to the port's. */
			(void)rte_ring_sp_enqueue(rx[p], m);
		}
		settle();
		usleep(3000);
	}
	settle();
	for (int p = 0; p < 2; p++)
		free_ring(tx[p]);
}

/* --- the generator --- */

/* The next batch, ready in 'staged'. */
static void prepare(bool secure)
{
	if (rte_pktmbuf_alloc_bulk(node.pool, staged, BATCH) != 0)
		abort(); /* the pool is sized for three batches */
	for (unsigned int at = 0; at < BATCH; at += 64) {
		struct dp_srtp_pkt pkt[64];
		uint32_t who[64];

		for (unsigned int i = 0; i < 64; i++) {
			uint32_t s = order[cursor];
			uint8_t *p = rte_pktmbuf_mtod_offset(staged[at + i], uint8_t *, 42);

			cursor = cursor + 1 == session_cnt ? 0 : cursor + 1;
			who[i] = s;
			memset(p, 0, 12);
			p[0] = 0x80;
			dp_put16(p + 2, (uint16_t)next_index[s]);
			dp_put32(p + 8, 0x10000000u + s);
			memset(p + 12, (int)(uint8_t)s, PAYLOAD);
			next_index[s]++;
			pkt[i] = (struct dp_srtp_pkt){.data = p, .len = RTP_LEN, .room = 64, .key = &gen_key[s]};
		}
		if (secure && dp_srtp_protect_burst(mb, pkt, 64) != 64)
			abort(); /* by one counter per session */
		for (unsigned int i = 0; i < 64; i++) {
			struct rte_mbuf *m = staged[at + i];
			uint8_t *f = rte_pktmbuf_mtod(m, uint8_t *), ip[16];

			memcpy(f, node.ports[0].mac, 6);
			memcpy(f + 6, peer_mac, 6);
			dp_put16(f + 12, DP_ETYPE_IP4);
			remote_of(who[i], true, ip);
			dp_build_udp(f + 14, 4, ip, 4000, medias[who[i] / DP_LEGS_PER_ADDR].addr.ip,
				     DP_LEG_PORT(who[i], BASE), pkt[i].len, 46, false);
			m->data_len = (uint16_t)(42 + pkt[i].len);
			m->pkt_len = m->data_len;
		}
	}
}

/* A packet that left is what its session's packet became. */
static bool right(const struct rte_mbuf *m, bool secure)
{
	struct dp_srtp_key key;
	struct dp_srtp_pkt pkt = {.key = &key};
	struct dp_frame f;
	uint8_t copy[512];
	uint32_t s;

	if (m->data_len > sizeof(copy))
		return false;
	memcpy(copy, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
	if (dp_parse_frame(copy, m->data_len, &f) != DP_OK || f.proto != DP_PROTO_UDP || f.payload_len < 12)
		return false;
	pkt.data = copy + f.payload_off;
	pkt.len = f.payload_len;
	s = dp_get32(pkt.data + 8) - 0x10000000u;
	if (s >= SESSIONS || f.dst[0] != 173 || f.dst[3] != (uint8_t)s)
		return false;
	if (secure) {
		/* Its index is below the next one, and not far. */
		uint64_t floor = next_index[s] > 1000 ? next_index[s] - 1000 : 0;

		if (gen_key_init(&key, leg_of(s, false), DP_DIR_SEND, DP_DIR_RECV, floor) < 0 ||
		    dp_srtp_unprotect_burst(mb, &pkt, 1) != 1)
			return false;
	}
	if (pkt.len != RTP_LEN)
		return false;
	for (unsigned int i = 0; i < PAYLOAD; i++)
		if (pkt.data[12 + i] != (uint8_t)s)
			return false;
	return true;
}

/* Empty the transmit ring; how many came, -1: one of them is wrong. */
static long drain(bool secure, bool check)
{
	struct rte_mbuf *m[64];
	unsigned int n;
	long total = 0;

	while ((n = rte_ring_sc_dequeue_burst(tx[1], (void **)m, 64, NULL)) > 0) {
		if (check && !right(m[n / 2], secure))
			return -1;
		total += n;
		rte_pktmbuf_free_bulk(m, n);
	}
	return total;
}

/* One run of 'batches'; false: a packet was lost or is wrong. */
static bool run(bool from, bool to, unsigned int batches)
{
	long left = 0, n;

	mode_set(HOLD);
	prepare(from);
	while (mode_get() != HELD) /* the round that was under way would take packets of the batch */
		rte_pause();
	for (sample_cnt = 0; sample_cnt < batches; sample_cnt++) {
		if (rte_ring_sp_enqueue_bulk(rx[0], (void **)staged, BATCH, NULL) != BATCH)
			return false;
		mode_set(GO);
		if (sample_cnt + 1 < batches)
			prepare(from);
		while (mode_get() == GO)
			rte_pause();
		n = drain(to, true);
		if (n < 0)
			return false;
		left += n;
	}
	mode_set(ROUNDS);
	return left == (long)batches * BATCH;
}

static double median_of(size_t offset, unsigned int n)
{
	double v[BATCHES_MAX], s[BENCH_RUNS_MAX];
	unsigned int k = 0;

	for (unsigned int i = 0; i < n; i++)
		v[i] = (double)*(const uint64_t *)((const uint8_t *)&samples[i] + offset) / BATCH;
	/* bench_quantile() takes no more than BENCH_RUNS_MAX: the median of medians of neighbours does. */
	for (unsigned int i = 0; i < n; i += (n + BENCH_RUNS_MAX - 1) / BENCH_RUNS_MAX) {
		unsigned int len = (n + BENCH_RUNS_MAX - 1) / BENCH_RUNS_MAX;

		s[k++] = bench_quantile(&v[i], i + len > n ? n - i : len, 0.5);
	}
	return bench_quantile(s, k, 0.5);
}

static json_t *memory(bool huge)
{
	struct rte_malloc_socket_stats st = {0};

	(void)rte_malloc_get_socket_stats((int)rte_socket_id(), &st);
	return json_pack("{s:i, s:i, s:b, s:f, s:f}", "leg_bytes", (int)dp_node_leg_bytes(), "memory_mb", MEMORY_MB,
			 "hugepages", huge, "heap_mb", (double)st.heap_totalsz_bytes / (1 << 20), "heap_used_mb",
			 (double)st.heap_allocsz_bytes / (1 << 20));
}

static int one_case(const struct bench_opts *opts, bool from, bool to, uint32_t legs, bool huge)
{
	const char *suite = "AES_CM_128_HMAC_SHA1_80";
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 3 : 7, batches = opts->quick ? 32 : BATCHES_MAX;
	double value[BENCH_RUNS_MAX], cyc[BENCH_RUNS_MAX], stage[DP_STAGE_MAX][BENCH_RUNS_MAX];
	json_t *kase = json_pack("{s:s, s:s, s:i, s:i}", "from", from ? suite : "RTP", "to", to ? suite : "RTP", "payload",
				 PAYLOAD, "legs", (int)legs);
	json_t *more, *stages = json_object();

	if (!bench_wanted(opts, kase)) {
		json_decref(kase);
		json_decref(stages);
		return 0;
	}
	session_cnt = legs / 2;
	cursor = 0;
	for (uint32_t i = 0; i < session_cnt; i++)
		order[i] = i;
	for (uint32_t i = session_cnt - 1; i > 0; i--) {
		uint32_t k = (uint32_t)rand() % (i + 1), t = order[i];

		order[i] = order[k];
		order[k] = t;
	}
	mode_set(ROUNDS);
	for (uint32_t s = 0; s < session_cnt; s++)
		if (set_leg(s, true, from) < 0 || set_leg(s, false, to) < 0)
			return 1;
	for (unsigned int r = 0; r < runs; r++) {
		bool ok;

		neighbours(); /* they are forgotten after a while */
		ok = run(from, to, batches);
		if (!ok) {
			fprintf(stderr, "ravelin-bench: media: packets were lost or changed\n");
			for (int d = 1; d < DP_DROP_MAX; d++)
				if (dp_page_workers(node.page)->drop[d] > 0)
					fprintf(stderr, "  %s %lu\n", dp_drop_name((unsigned int)d),
						(unsigned long)dp_page_workers(node.page)->drop[d]);
			return 1;
		}
		cyc[r] = median_of(offsetof(struct sample, cyc), batches);
		value[r] = opts->tsc_hz / cyc[r];
		for (unsigned int k = 0; k < DP_STAGE_MAX; k++)
			stage[k][r] = median_of(offsetof(struct sample, stage) + k * sizeof(uint64_t), batches);
	}
	for (unsigned int k = 0; k < DP_STAGE_MAX; k++)
		json_object_set_new(stages, dp_stage_name(k), json_real(bench_quantile(stage[k], runs, 0.5)));
	more = memory(huge);
	if (!opts->json) {
		const char *name;
		json_t *v;

		printf("media  cycles by stage:");
		json_object_foreach(stages, name, v)
			printf(" %s %.0f", name, json_real_value(v));
		printf("; %d bytes a leg; %.0f MiB of %.0f used, huge pages: %s\n",
		       (int)json_integer_value(json_object_get(more, "leg_bytes")),
		       json_real_value(json_object_get(more, "heap_used_mb")),
		       json_real_value(json_object_get(more, "heap_mb")), huge ? "yes" : "no");
	}
	json_object_set_new(more, "stage_cycles", stages);
	bench_row(opts, &(struct bench_row){.bench = "media", .kase = kase, .unit = "packet/s/core", .value = value,
					    .runs = runs, .cycles = bench_quantile(cyc, runs, 0.5), .more = more});
	return 0;
}

/* --- up and down --- */

static bool huge_free(void)
{
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
	unsigned long n = 0;
	bool enough = f != NULL && fscanf(f, "%lu", &n) == 1 && n >= MEMORY_MB / 2;

	if (f != NULL)
		fclose(f);
	return enough;
}

static int up(const struct bench_opts *opts, bool huge)
{
	static char lcores[32], mem[16];
	/* --socket-limit: not a page more than is said. */
	char *argv[] = {(char *)(uintptr_t)"ravelin-bench", lcores, (char *)(uintptr_t)"--main-lcore=0", (char *)(uintptr_t)"-m",
			mem, (char *)(uintptr_t)"--no-pci", (char *)(uintptr_t)"--no-telemetry",
			(char *)(uintptr_t)"--log-level=*:warning",
			(char *)(uintptr_t)(huge ? "--in-memory" : "--no-huge"),
			(char *)(uintptr_t)(huge ? "--socket-limit=256" : "--no-shconf"), NULL};
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN), cpu = opts->cpu >= 0 ? opts->cpu : cpus - 1;
	static const uint16_t lcore = 1;
	const struct dp_objs_sink sink = {NULL, NULL};
	struct dp_hello_reply hello;
	char text[64];

	snprintf(lcores, sizeof(lcores), "--lcores=0@%d,1@%d", cpu > 0 ? cpu - 1 : cpus - 1, cpu);
	snprintf(mem, sizeof(mem), "%d", MEMORY_MB);
	if (rte_eal_init(10, argv) < 0)
		return -1;
	cfg.dataplane.max_legs = LEGS_MAX;
	cfg.dataplane.max_sas = 256;
	cfg.dataplane.max_gateways = 1024;
	cfg.dataplane.mbufs = 16383;
	cfg.dataplane.ring_desc = 64;
	cfg.dataplane.ports = pcs;
	cfg.dataplane.ports_count = 2;
	cfg.media.base_port = BASE;
	cfg.media.addresses = medias;
	cfg.media.addresses_count = 2 * ADDRS;
	for (int p = 0; p < 2; p++) {
		for (int i = 0; i < ADDRS; i++) {
			snprintf(text, sizeof(text), "10.%d.0.%d/24", p, i + 1);
			cfg_addr_parse(text, &pcs[p].addr[i]);
			snprintf(text, sizeof(text), "10.%d.0.%d", p, i + 1);
			cfg_addr_parse(text, &medias[p * ADDRS + i].addr);
		}
		snprintf(text, sizeof(text), "10.%d.0.254", p);
		cfg_addr_parse(text, &pcs[p].gw4);
		pcs[p].addresses_count = ADDRS;
		pcs[p].device = (char *)(uintptr_t)"ring";
	}
	cfg_addr_parse("10.0.0.1:2727", &cfg.mgcp_local);
	if (dp_node_init(&node, &cfg, 1, "b") < 0)
		return -1;
	for (int p = 0; p < 2; p++) {
		int id;

		snprintf(text, sizeof(text), "brx%d", p);
		rx[p] = rte_ring_create(text, 2 * BATCH, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
		snprintf(text, sizeof(text), "btx%d", p);
		tx[p] = rte_ring_create(text, 2 * BATCH, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (rx[p] == NULL || tx[p] == NULL)
			return -1;
		snprintf(text, sizeof(text), "bport%d", p);
		id = rte_eth_from_rings(text, &rx[p], 1, &tx[p], 1, 0);
		if (id < 0 || dp_node_port(&node, (uint16_t)id, &pcs[p]) < 0)
			return -1;
	}
	if (dp_node_workers(&node, &lcore) < 0)
		return -1;
	objs = dp_objs_create(&node, &sink);
	mb = dp_mb_create();
	gen_key = aligned_alloc(64, SESSIONS * sizeof(*gen_key));
	next_index = calloc(SESSIONS, sizeof(*next_index));
	order = calloc(SESSIONS, sizeof(*order));
	if (objs == NULL || mb == NULL || gen_key == NULL || next_index == NULL || order == NULL ||
	    dp_objs_hello(objs, 1, &hello) < 0)
		return -1;
	mode_set(ROUNDS);
	if (rte_eal_remote_launch(worker_main, node.worker[0], 1) < 0)
		return -1;
	/* All legs there are, with all their keys: what a case does not use lies in memory still. */
	for (uint32_t s = 0; s < SESSIONS; s++) {
		if (set_leg(s, true, DP_SRTP_NONE) < 0 || set_leg(s, false, DP_SRTP_NONE) < 0)
			return -1;
		for (int a = 0; a < 2; a++)
			if (set_key(leg_of(s, a), DP_DIR_RECV) < 0 || set_key(leg_of(s, a), DP_DIR_SEND) < 0)
				return -1;
		if (gen_key_init(&gen_key[s], leg_of(s, true), DP_DIR_RECV, DP_DIR_SEND, 0) < 0)
			return -1;
		next_index[s] = 1;
	}
	return 0;
}

static int down(void)
{
	uint32_t lost = 0;

	mode_set(STOP);
	rte_eal_mp_wait_lcore();
	for (int p = 0; p < 2; p++) {
		if (rx[p] != NULL)
			free_ring(rx[p]);
		if (tx[p] != NULL)
			free_ring(tx[p]);
	}
	if (objs != NULL)
		dp_objs_destroy(objs);
	if (node.cfg != NULL)
		lost = dp_node_fini(&node);
	dp_mb_destroy(mb);
	free(gen_key);
	free(next_index);
	free(order);
	rte_eal_cleanup();
	if (lost > 0)
		fprintf(stderr, "ravelin-bench: media: %u packet buffers did not come back\n", lost);
	return lost > 0;
}

int bench_media(const struct bench_opts *opts)
{
	static const uint32_t legs[] = {1000, 10000, LEGS_MAX};
	static const bool ways[][2] = {{false, true}, {true, false}, {true, true}, {false, false}};
	bool huge = huge_free();
	cpu_set_t had;
	int rc = 0;

	cfg_log_init("bench", CFG_LOG_KV, CFG_LOG_WARN);
	(void)sched_getaffinity(0, sizeof(had), &had);
	if (up(opts, huge) < 0) {
		fprintf(stderr, "ravelin-bench: media: no dataplane of %d MiB\n", MEMORY_MB);
		rc = 1;
	}
	for (unsigned int l = 0; l < 3 && rc == 0; l++)
		for (unsigned int k = 0; k < 4 && rc == 0; k++)
			rc = one_case(opts, ways[k][0], ways[k][1], legs[l], huge);
	rc |= down();
	(void)sched_setaffinity(0, sizeof(had), &had);
	return rc;
}
