/* SPDX-License-Identifier: BSD-3-Clause */
/* The benches' dataplane: EAL, node, legs and keys. */
#include "loop_priv.h"

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
#include <rte_ring.h>

#include "counters.h"
#include "dp_suite.h"
#include "log.h"
#include "neigh.h"

struct bench_loop bench_l;
const uint8_t bench_peer_mac[6] = {2, 0, 0, 0, 0, 0x99};

#define L bench_l

void bench_mode_all(unsigned int m)
{
	for (unsigned int w = 0; w < L.workers; w++)
		bench_mode_set(w, m);
}

int bench_suite_of(const char *name)
{
	unsigned int s;

	if (strcmp(name, "RTP") == 0)
		return DP_SRTP_NONE;
	s = dp_suite_find(name, strlen(name));
	return s == DP_SRTP_NONE ? -1 : (int)s;
}

json_t *bench_flow_case(const struct bench_flow *f)
{
	json_t *k = json_pack("{s:s, s:s, s:i, s:i}", "from", f->from == DP_SRTP_NONE ? "RTP" : dp_suite(f->from)->name,
			      "to", f->to == DP_SRTP_NONE ? "RTP" : dp_suite(f->to)->name, "payload", (int)f->payload,
			      "legs", (int)f->legs);

	if (f->ip_in == 6 && f->ip_out == 6)
		json_object_set_new(k, "ip", json_string("6"));
	else if (f->ip_in != 4 || f->ip_out != 4)
		json_object_set_new(k, "ip", json_string(f->ip_in == 4 ? "4-6" : "6-4"));
	return k;
}

json_t *bench_loop_memory(void)
{
	struct rte_malloc_socket_stats st = {0};

	(void)rte_malloc_get_socket_stats((int)rte_socket_id(), &st);
	return json_pack("{s:i, s:i, s:b, s:f, s:f}", "leg_bytes", (int)dp_node_leg_bytes(), "memory_mb", (int)L.memory_mb,
			 "hugepages", L.huge, "heap_mb", (double)st.heap_totalsz_bytes / (1 << 20), "heap_used_mb",
			 (double)st.heap_allocsz_bytes / (1 << 20));
}

/* --- legs and keys --- */

static uint32_t leg_of(const struct bench_flow *f, uint32_t session, int port)
{
	uint8_t ip = port == 0 ? f->ip_in : f->ip_out;

	return session + (uint32_t)(port * BENCH_ADDRS + (ip == 6 ? BENCH_ADDRS - 1 : 0)) * DP_LEGS_PER_ADDR;
}

uint32_t bench_leg_of(uint32_t session, int port)
{
	return leg_of(&L.flow, session, port);
}

void bench_remote_of(uint32_t session, int port, uint8_t ip[16])
{
	bool six = (port == 0 ? L.flow.ip_in : L.flow.ip_out) == 6;

	memset(ip, 0, 16);
	ip[0] = six ? 0xfd : 172;
	ip[1] = (uint8_t)(32 + port * 8);
	ip[six ? 13 : 1] = (uint8_t)(ip[six ? 13 : 1] + (session >> 16));
	ip[six ? 14 : 2] = (uint8_t)(session >> 8);
	ip[six ? 15 : 3] = (uint8_t)session;
}

/* Fresh for each flow: a set is never used twice. */
static void master(uint32_t leg_id, uint8_t dir, uint8_t *key, uint8_t *salt)
{
	memset(key, 0x5a, DP_SRTP_KEY_MAX);
	memset(salt, 0xa5, DP_SRTP_SALT_MAX);
	memcpy(key, &leg_id, 4);
	memcpy(key + 4, &L.round, 4);
	key[8] = dir;
}

void bench_keys_of(uint32_t session, int port, uint8_t dir, struct bench_session *ret)
{
	uint8_t key[DP_SRTP_KEY_MAX], salt[DP_SRTP_SALT_MAX];

	master(bench_leg_of(session, port), dir, key, salt);
	bench_session_derive(ret, port == 0 ? L.flow.from : L.flow.to, key, salt);
}

int bench_message(void *msg, uint16_t type, uint16_t len)
{
	struct dp_msg_hdr *hdr = msg;
	uint32_t detail;
	int rc;

	*hdr = (struct dp_msg_hdr){.type = type, .len = len, .seq = 1};
	while ((rc = dp_objs_msg(L.objs, hdr, &detail)) == -EAGAIN) {
		dp_objs_poll(L.objs);
		if (L.self)
			sched_yield();
	}
	return rc;
}

static int set_leg(uint32_t session, int port)
{
	uint8_t suite = port == 0 ? L.flow.from : L.flow.to;
	struct dp_leg_set m = {.leg_id = bench_leg_of(session, port), .peer_id = bench_leg_of(session, !port),
			       .session = session, .rx_suite = suite, .tx_suite = suite, .dscp = 46,
			       .latch = suite != DP_SRTP_NONE ? DP_LATCH_AUTH : DP_LATCH_ADDRESS,
			       .flags = DP_LEG_F_RECV | DP_LEG_F_SEND, .codec = DP_CODEC_G711, .ptime_ms = 20,
			       .rate_pps = UINT32_MAX};

	bench_remote_of(session, port, m.remote.ip);
	m.remote.family = port == 0 ? L.flow.ip_in : L.flow.ip_out;
	m.remote.port = BENCH_PORT;
	return bench_message(&m, DP_MSG_LEG_SET, sizeof(m));
}

static int set_key(uint32_t session, int port, uint8_t dir)
{
	uint8_t suite = port == 0 ? L.flow.from : L.flow.to;
	struct dp_leg_key m = {.leg_id = bench_leg_of(session, port), .suite = suite, .dir = dir};
	uint8_t key[DP_SRTP_KEY_MAX], salt[DP_SRTP_SALT_MAX];

	if (suite == DP_SRTP_NONE)
		return 0;
	master(m.leg_id, dir, key, salt);
	memcpy(m.key, key, dp_suite(suite)->key_len);
	memcpy(m.salt, salt, dp_suite(suite)->salt_len);
	return bench_message(&m, DP_MSG_LEG_KEY, sizeof(m));
}

/* All commands executed, by every worker. */
void bench_loop_settle(void)
{
	for (unsigned int w = 0; w < L.workers; w++) {
		const struct dp_page_worker *c = &dp_page_workers(L.node.page)[w];

		for (int i = 0; i < 3; i++) {
			uint64_t polls = c->polls;

			while (__atomic_load_n(&c->polls, __ATOMIC_RELAXED) < polls + DP_CMD_DEPTH / 16) {
				dp_objs_poll(L.objs);
				if (L.self)
					sched_yield();
			}
		}
	}
}

void bench_ring_free(struct rte_ring *r)
{
	void *m[64];
	unsigned int n;

	while (r != NULL && (n = rte_ring_sc_dequeue_burst(r, m, 64, NULL)) > 0)
		rte_pktmbuf_free_bulk((struct rte_mbuf **)m, n);
}

void bench_loop_neighbours(void)
{
	bench_mode_all(BENCH_ROUNDS);
	for (int turn = 0; turn < 2; turn++) {
		bench_loop_settle();
		usleep(3000);
		for (int k = 0; k < 4; k++) {
			const struct dp_port *port = &L.node.ports[k / 2];
			uint8_t family = k % 2 == 0 ? 4 : 6;
			const uint8_t *gw = family == 4 ? port->gw4.ip : port->gw6.ip;
			const uint8_t *own = port->addr[family == 4 ? 0 : BENCH_ADDRS - 1].ip;
			struct rte_mbuf *m = rte_pktmbuf_alloc(L.node.pool);

			/* As they would ask for ours: the answer goes to where they are, and they are known. */
			m->data_len = dp_neigh_solicit(rte_pktmbuf_mtod(m, uint8_t *), family, bench_peer_mac, gw, own);
			m->pkt_len = m->data_len;
			(void)rte_ring_sp_enqueue(L.rx[k / 2][0], m);
		}
		bench_loop_settle();
		usleep(3000);
	}
	bench_loop_settle();
	for (int p = 0; p < 2; p++)
		for (unsigned int w = 0; w < L.workers; w++)
			bench_ring_free(L.tx[p][w]);
}

static void shuffle(uint32_t *v, uint32_t n)
{
	for (uint32_t i = n; i > 1; i--) {
		uint32_t k = (uint32_t)rand() % i, t = v[i - 1];

		v[i - 1] = v[k];
		v[k] = t;
	}
}

static void legs_away(void)
{
	for (uint32_t s = 0; s < L.had_sessions; s++)
		for (int p = 0; p < 2; p++) {
			struct dp_obj m = {.id = leg_of(&L.had, s, p), .kind = DP_OBJ_LEG};

			(void)bench_message(&m, DP_MSG_LEG_DEL, sizeof(m));
		}
	L.had_sessions = 0;
}

int bench_loop_flow(const struct bench_opts *opts, const struct bench_flow *flow)
{
	L.flow = *flow;
	L.spoil = opts->spoil;
	L.sessions = flow->legs / 2;
	L.round++;
	bench_mode_all(BENCH_ROUNDS);
	legs_away();
	L.had = *flow;
	L.had_sessions = L.sessions;
	for (unsigned int w = 0; w < L.workers; w++)
		L.gen[w].order_n = L.gen[w].cursor = 0;
	for (uint32_t s = 0; s < L.sessions; s++) {
		struct bench_gen *g = &L.gen[L.node.shard.worker[DP_LEG_SHARD(bench_leg_of(s, 0))]];
		struct bench_session keys;

		g->order[g->order_n++] = s;
		L.next_index[s] = 1;
		for (int p = 0; p < 2; p++)
			if (set_leg(s, p) < 0 || set_key(s, p, DP_DIR_RECV) < 0 || set_key(s, p, DP_DIR_SEND) < 0)
				return -EINVAL;
		if (flow->from == DP_SRTP_NONE)
			continue;
		bench_keys_of(s, 0, DP_DIR_RECV, &keys);
		bench_raw_key_init(L.gen[0].raw, &L.key[s], &keys);
	}
	for (unsigned int w = 0; w < L.workers; w++)
		shuffle(L.gen[w].order, L.gen[w].order_n);
	bench_loop_settle();
	bench_loop_neighbours();
	return 0;
}

/* --- up and down --- */

static bool huge_free(unsigned int mb)
{
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
	unsigned long n = 0;
	bool enough = f != NULL && fscanf(f, "%lu", &n) == 1 && n >= (mb + 1) / 2;

	if (f != NULL)
		fclose(f);
	return enough;
}

static int start_eal(const struct bench_opts *opts, unsigned int workers, bool self)
{
	static char lcores[512], mem[16], limit[32];
	char *argv[] = {(char *)(uintptr_t)"ravelin-bench", lcores, (char *)(uintptr_t)"--main-lcore=0", (char *)(uintptr_t)"-m",
			mem, (char *)(uintptr_t)"--no-pci", (char *)(uintptr_t)"--no-telemetry",
			(char *)(uintptr_t)"--log-level=*:warning",
			(char *)(uintptr_t)(L.huge ? "--in-memory" : "--no-huge"),
			L.huge ? limit : (char *)(uintptr_t)"--no-shconf", NULL};
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN), cpu = opts->cpu >= 0 ? opts->cpu : cpus - 1, len;

	/* The main lcore has a CPU of its own, or, when each has a worker, sleeps on any of them. */
	if ((int)workers < cpus || !self)
		len = snprintf(lcores, sizeof(lcores), "--lcores=0@%d", cpu > 0 ? cpu - 1 : cpus - 1);
	else
		len = snprintf(lcores, sizeof(lcores), "--lcores=0@(0-%d)", cpus - 1);
	for (unsigned int w = 0; w < workers; w++)
		len += snprintf(lcores + len, sizeof(lcores) - (size_t)len, ",%u@%d", w + 1, (cpu + (int)w) % cpus);
	snprintf(mem, sizeof(mem), "%u", L.memory_mb);
	snprintf(limit, sizeof(limit), "--socket-limit=%u", L.memory_mb); /* not a page more than is said */
	return rte_eal_init(10, argv);
}

static void configure(void)
{
	char text[64];

	L.cfg.dataplane.max_legs = L.gateways > 0 ? 1024 : BENCH_LEGS_MAX;
	L.cfg.dataplane.max_sas = L.gateways > 0 ? 2 * L.gateways : 256;
	L.cfg.dataplane.max_gateways = L.gateways > 0 ? L.gateways : 1024;
	L.cfg.dataplane.mbufs = L.self ? 8192 * (L.workers + 1) - 1 : 16383;
	L.cfg.dataplane.ring_desc = 64;
	L.cfg.dataplane.ports = L.pcs;
	L.cfg.dataplane.ports_count = 2;
	L.cfg.media.base_port = BENCH_BASE;
	L.cfg.media.addresses = L.medias;
	L.cfg.media.addresses_count = 2 * BENCH_ADDRS;
	cfg_addr_parse("10.0.0.1:2727", &L.cfg.mgcp_local);
	for (int p = 0; p < 2; p++) {
		struct cfg_dp_port *pc = &L.pcs[p];

		for (int i = 0; i < BENCH_ADDRS; i++) {
			bool six = i == BENCH_ADDRS - 1;

			snprintf(text, sizeof(text), six ? "fd00:%d::%d/64" : "10.%d.0.%d/24", p, i + 1);
			cfg_addr_parse(text, &pc->addr[i]);
			*strchr(text, '/') = '\0';
			cfg_addr_parse(text, &L.medias[p * BENCH_ADDRS + i].addr);
		}
		snprintf(text, sizeof(text), "10.%d.0.254", p);
		cfg_addr_parse(text, &pc->gw4);
		snprintf(text, sizeof(text), "fd00:%d::fe", p);
		cfg_addr_parse(text, &pc->gw6);
		pc->addresses_count = BENCH_ADDRS;
		pc->device = (char *)(uintptr_t)"ring";
	}
}

static int ports(void)
{
	char text[32];

	for (int p = 0; p < 2; p++) {
		int id;

		for (unsigned int w = 0; w < L.workers; w++) {
			snprintf(text, sizeof(text), "brx%d_%u", p, w);
			L.rx[p][w] = rte_ring_create(text, 2 * BENCH_BATCH, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
			snprintf(text, sizeof(text), "btx%d_%u", p, w);
			L.tx[p][w] = rte_ring_create(text, 2 * BENCH_BATCH, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
			if (L.rx[p][w] == NULL || L.tx[p][w] == NULL)
				return -1;
		}
		snprintf(text, sizeof(text), "bport%d", p);
		id = rte_eth_from_rings(text, L.rx[p], L.workers, L.tx[p], L.workers, 0);
		if (id < 0 || dp_node_port(&L.node, (uint16_t)id, &L.pcs[p]) < 0)
			return -1;
	}
	return 0;
}

static int on_event(void *ctx, const struct dp_msg_hdr *msg)
{
	(void)ctx;
	return L.on_event != NULL ? L.on_event(msg) : 0;
}

static int start(void)
{
	const struct dp_objs_sink sink = {on_event, NULL};
	uint16_t lcore[DP_WORKER_MAX];
	struct dp_hello_reply hello;

	configure();
	for (uint16_t w = 0; w < DP_WORKER_MAX; w++)
		lcore[w] = (uint16_t)(w + 1);
	if (dp_node_init(&L.node, &L.cfg, (uint16_t)L.workers, "b") < 0 || ports() < 0 || dp_node_workers(&L.node, lcore) < 0)
		return -1;
	L.objs = dp_objs_create(&L.node, &sink);
	if (L.objs == NULL || dp_objs_hello(L.objs, 1, &hello) < 0)
		return -1;
	L.key = bench_array(BENCH_SESSIONS, sizeof(*L.key));
	L.next_index = bench_array(BENCH_SESSIONS, sizeof(*L.next_index));
	for (unsigned int w = 0; w < L.workers; w++) {
		L.gen[w].worker = (uint16_t)w;
		L.gen[w].raw = bench_raw_create();
		L.gen[w].order = bench_array(BENCH_SESSIONS, sizeof(uint32_t));
		if (L.gen[w].raw == NULL || rte_eal_remote_launch(bench_lcore_main, L.node.worker[w], w + 1) < 0)
			return -1;
	}
	return 0;
}

int bench_loop_up(const struct bench_opts *opts, unsigned int workers, bool self)
{
	cfg_log_init("bench", CFG_LOG_KV, CFG_LOG_WARN);
	L.workers = workers;
	L.self = self;
	/* Legs with all that an AES-CM suite takes, packet buffers, and 96 MiB for the rest. */
	L.memory_mb = (unsigned int)((uint64_t)(L.gateways > 0 ? 1024 : BENCH_LEGS_MAX) * dp_node_leg_bytes() >> 20) +
		      (unsigned int)((uint64_t)L.gateways * 2 * DP_OBJS_SA_STRIDE >> 20) + (self ? 20 * (workers + 1) : 40) + 96;
	L.huge = huge_free(L.memory_mb);
	if (start_eal(opts, workers, self) >= 0 && start() == 0)
		return 0;
	fprintf(stderr, "ravelin-bench: no dataplane of %u MiB and %u workers\n", L.memory_mb, workers);
	return -1;
}

int bench_loop_up_gateways(const struct bench_opts *opts, unsigned int gateways)
{
	L.gateways = gateways;
	return bench_loop_up(opts, 1, false);
}

int bench_loop_down(void)
{
	uint32_t lost = 0;

	bench_mode_all(BENCH_STOP);
	rte_eal_mp_wait_lcore();
	for (unsigned int w = 0; w < L.workers; w++) {
		for (int p = 0; p < 2; p++) {
			bench_ring_free(L.rx[p][w]);
			bench_ring_free(L.tx[p][w]);
		}
		bench_raw_destroy(L.gen[w].raw);
		free(L.gen[w].order);
	}
	if (L.objs != NULL)
		dp_objs_destroy(L.objs);
	if (L.node.cfg != NULL)
		lost = dp_node_fini(&L.node);
	free(L.key);
	free(L.next_index);
	rte_eal_cleanup();
	if (lost > 0)
		fprintf(stderr, "ravelin-bench: %u packet buffers did not come back\n", lost);
	return lost > 0;
}
