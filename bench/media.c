/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole worker loop, from receive to send: the dataplane's own node with one worker on its lcore and two net_ring
 * ports; the main lcore is generator and sink on another CPU. Packets are made before the clock starts (SRTP ones
 * protected), copied into mbufs and put into the receive ring as fast as it takes them; the clock stops when the last
 * one came out. Every packet must come out, none may be dropped; in the first batch the content is compared, too.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_launch.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "bench.h"
#include "counters.h"
#include "crypto/mb.h"
#include "node.h"
#include "objs.h"
#include "srtp/srtp.h"
#include "worker.h"

#define BASE    16384
#define BATCH   32768 /* packets timed at once */
#define SLOT    256   /* bytes of a prepared frame */
#define IO      32
#define RING    1024
#define WINDOW  768
#define SUITE   DP_AES_CM_128_HMAC_SHA1_80
#define LEGS_MAX 16000

static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 9};

struct bed { /* one case: a node and its peers */
	struct cfg cfg;
	struct cfg_dp_port ports[2];
	struct cfg_media_addr media[2];
	struct dp_node node;
	struct dp_objs *objs;
	struct rte_ring *rx[2], *tx[2];
	uint8_t *frames; /* BATCH of SLOT */
	uint16_t frame_len;
	uint16_t payload;
	unsigned int sessions;
	bool in_secure, out_secure;
	uint16_t *seq;   /* by session */
	struct dp_srtp_key *key; /* by session: the generator's */
	struct dp_mb *mb;
	uint64_t made;   /* packets so far */
};

static int on_event(void *ctx, const struct dp_msg_hdr *msg)
{
	(void)ctx;
	(void)msg;
	return 0;
}

static int eal_once(int cpu)
{
	static int state; /* 0 not tried, 1 up, -1 failed */
	static char lcores[32];
	static char *argv[] = {(char *)(uintptr_t)"ravelin-bench", (char *)(uintptr_t)"--no-huge",
			       (char *)(uintptr_t)"-m", (char *)(uintptr_t)"192", (char *)(uintptr_t)"--no-pci",
			       (char *)(uintptr_t)"--no-shconf", (char *)(uintptr_t)"--no-telemetry",
			       (char *)(uintptr_t)"--main-lcore=0", (char *)(uintptr_t)"--log-level=*:warning", lcores,
			       NULL};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int worker = cpu >= 0 ? cpu : (int)cpus - 1;

	if (state != 0)
		return state;
	if (cpus < 2) {
		fprintf(stderr, "ravelin-bench: media needs two CPUs\n");
		return state = -1;
	}
	snprintf(lcores, sizeof(lcores), "--lcores=0@%d,1@%d", worker == 0 ? 1 : 0, worker);
	if (rte_eal_init(10, argv) < 0) {
		fprintf(stderr, "ravelin-bench: EAL: %s\n", rte_strerror(rte_errno));
		return state = -1;
	}
	return state = 1;
}

static struct dp_sockaddr addr(const char *text, uint16_t port)
{
	struct dp_sockaddr a = {.port = port};
	struct cfg_addr c;

	(void)cfg_addr_parse(text, &c);
	a.family = c.family;
	memcpy(a.ip, c.ip, 16);
	return a;
}

static int tell(struct bed *b, void *msg, uint16_t type, uint16_t len)
{
	struct dp_msg_hdr *hdr = msg;
	uint32_t detail;
	int rc;

	*hdr = (struct dp_msg_hdr){.type = type, .len = len, .seq = 1};
	while ((rc = dp_objs_msg(b->objs, hdr, &detail)) == -EAGAIN)
		dp_objs_poll(b->objs);
	return rc;
}

static void key_bytes(unsigned int session, bool to_us, uint8_t *key, uint8_t *salt)
{
	memset(key, to_us ? 0x41 : 0x42, 16);
	memset(salt, to_us ? 0x43 : 0x44, 14);
	memcpy(key, &session, sizeof(session));
}

static int legs(struct bed *b)
{
	int rc = 0;

	for (unsigned int s = 0; s < b->sessions && rc == 0; s++) {
		uint16_t port = (uint16_t)(BASE + 2 * s);
		struct dp_leg_set in = {.leg_id = DP_LEG_ID(0, port, BASE), .peer_id = DP_LEG_ID(1, port, BASE),
					.flags = DP_LEG_F_RECV | DP_LEG_F_SEND, .dscp = 46};
		struct dp_leg_set out = {.leg_id = DP_LEG_ID(1, port, BASE), .peer_id = DP_LEG_ID(0, port, BASE),
					 .flags = DP_LEG_F_RECV | DP_LEG_F_SEND, .dscp = 46};
		struct dp_leg_key key = {.suite = SUITE};

		in.remote = addr("10.0.0.2", port);
		out.remote = addr("10.1.0.2", port);
		in.rx_suite = in.tx_suite = b->in_secure ? SUITE : DP_SRTP_NONE;
		out.rx_suite = out.tx_suite = b->out_secure ? SUITE : DP_SRTP_NONE;
		rc = tell(b, &in, DP_MSG_LEG_SET, sizeof(in));
		rc = rc != 0 ? rc : tell(b, &out, DP_MSG_LEG_SET, sizeof(out));
		if (b->in_secure) {
			struct dp_srtp_params par = {.suite = SUITE, .dir = DP_DIR_SEND, .key = key.key,
						     .salt = key.salt};

			key.leg_id = in.leg_id;
			key.dir = DP_DIR_RECV;
			key_bytes(s, true, key.key, key.salt);
			rc = rc != 0 ? rc : dp_srtp_key_init(b->mb, &b->key[s], &par);
			rc = rc != 0 ? rc : tell(b, &key, DP_MSG_LEG_KEY, sizeof(key));
		}
		if (b->out_secure) {
			key.leg_id = out.leg_id;
			key.dir = DP_DIR_SEND;
			key_bytes(s, false, key.key, key.salt);
			rc = rc != 0 ? rc : tell(b, &key, DP_MSG_LEG_KEY, sizeof(key));
		}
		dp_objs_poll(b->objs);
	}
	return rc;
}

static unsigned int drain(struct rte_ring *r)
{
	void *m[IO];
	unsigned int n = rte_ring_dequeue_burst(r, m, IO, NULL);

	rte_pktmbuf_free_bulk((struct rte_mbuf **)m, n);
	return n;
}

/* The peers answer ARP, until the worker has heard it. */
static int speak(struct bed *b)
{
	static const char *const hosts[2] = {"10.0.0.2", "10.1.0.2"};

	for (int round = 0; round < 10000; round++) {
		int known = 0;

		for (int p = 0; p < 2; p++) {
			struct dp_sockaddr host = addr(hosts[p], 0);
			uint16_t i = dp_nh_find(b->node.nh, (uint8_t)p, 4, host.ip);
			struct rte_mbuf *m;

			if (i != DP_NEIGH_NONE && b->node.nh->nh[i].valid) {
				known++;
				continue;
			}
			m = round % 20 == 10 ? rte_pktmbuf_alloc(b->node.pool) : NULL;
			if (m == NULL)
				continue;
			(void)dp_neigh_solicit((uint8_t *)rte_pktmbuf_append(m, 60), 4, peer_mac, host.ip,
					       b->ports[p].addr[0].ip);
			(void)rte_ring_enqueue(b->rx[p], m);
		}
		while (drain(b->tx[0]) + drain(b->tx[1]) > 0)
			;
		if (known == 2 && rte_ring_empty(b->rx[0]) && rte_ring_empty(b->rx[1]) && round > 50)
			return 0;
		dp_objs_poll(b->objs);
		usleep(500);
	}
	return -1;
}

static int bed_up(struct bed *b, unsigned int leg_cnt)
{
	static unsigned int nth;
	const struct dp_objs_sink sink = {.event = on_event};
	const uint16_t lcore = 1;
	struct dp_hello_reply r;
	char tag[8], name[32];

	b->sessions = leg_cnt / 2;
	b->cfg.dataplane.max_legs = leg_cnt;
	b->cfg.dataplane.max_sas = 1;
	b->cfg.dataplane.max_gateways = 1;
	b->cfg.dataplane.mbufs = 8191;
	b->cfg.dataplane.ring_desc = RING;
	b->cfg.media.base_port = BASE;
	b->cfg.media.addresses = b->media;
	b->cfg.media.addresses_count = 2;
	for (int p = 0; p < 2; p++) {
		snprintf(name, sizeof(name), "10.%d.0.1/24", p);
		(void)cfg_addr_parse(name, &b->ports[p].addr[0]);
		(void)cfg_addr_parse(p == 0 ? "10.0.0.1" : "10.1.0.1", &b->media[p].addr);
		b->ports[p].addresses_count = 1;
		b->ports[p].device = (char *)(uintptr_t)"ring";
	}
	b->mb = dp_mb_create();
	b->frames = aligned_alloc(64, (size_t)BATCH * SLOT);
	b->seq = calloc(b->sessions, sizeof(*b->seq));
	b->key = aligned_alloc(64, (b->sessions * sizeof(*b->key) + 63) & ~(size_t)63);
	snprintf(tag, sizeof(tag), "b%u", nth++);
	if (b->mb == NULL || b->frames == NULL || b->seq == NULL || b->key == NULL ||
	    dp_node_init(&b->node, &b->cfg, 1, tag) < 0)
		return -1;
	for (int p = 0; p < 2; p++) {
		int id;

		snprintf(name, sizeof(name), "rx%s%d", tag, p);
		b->rx[p] = rte_ring_create(name, RING, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
		snprintf(name, sizeof(name), "tx%s%d", tag, p);
		b->tx[p] = rte_ring_create(name, RING, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
		snprintf(name, sizeof(name), "bp%s%d", tag, p);
		id = rte_eth_from_rings(name, &b->rx[p], 1, &b->tx[p], 1, 0);
		if (id < 0 || dp_node_port(&b->node, (uint16_t)id, &b->ports[p]) < 0)
			return -1;
	}
	if (dp_node_workers(&b->node, &lcore) < 0)
		return -1;
	b->objs = dp_objs_create(&b->node, &sink);
	if (b->objs == NULL || rte_eal_remote_launch(dp_worker_main, b->node.worker[0], 1) < 0)
		return -1;
	if (dp_objs_hello(b->objs, 1, &r) < 0 || legs(b) < 0)
		return -1;
	return speak(b);
}

static int bed_down(struct bed *b)
{
	uint32_t lost = 0;

	__atomic_store_n(&b->node.stop, 1, __ATOMIC_RELAXED);
	rte_eal_mp_wait_lcore();
	for (int p = 0; p < 2; p++)
		while (b->rx[p] != NULL && drain(b->rx[p]) + drain(b->tx[p]) > 0)
			;
	dp_objs_destroy(b->objs);
	if (b->node.pool != NULL)
		lost = dp_node_fini(&b->node);
	for (int p = 0; p < 2; p++) {
		rte_ring_free(b->rx[p]);
		rte_ring_free(b->tx[p]);
	}
	dp_mb_destroy(b->mb);
	free(b->frames);
	free(b->seq);
	free(b->key);
	return lost == 0 ? 0 : 1;
}

/* Session of the nth packet: all in turn, in one order that the hardware cannot guess. */
static unsigned int session_of(const struct bed *b, uint64_t n)
{
	return (unsigned int)(n * 40503u % 65537u * 7919u % b->sessions);
}

static void plain(const struct bed *b, uint8_t *p, unsigned int s, uint16_t seq)
{
	memset(p, 0, 12);
	p[0] = 0x80;
	p[1] = 8;
	dp_put16(p + 2, seq);
	dp_put32(p + 4, seq * 160u);
	dp_put32(p + 8, s + 1);
	memset(p + 12, seq & 0xff, b->payload);
}

/* Make the frames of the next batch. */
static int prepare(struct bed *b)
{
	const struct dp_sockaddr from = addr("10.0.0.2", 0), to = addr("10.0.0.1", 0);
	uint16_t rtp_len = (uint16_t)(12 + b->payload), len = rtp_len;

	for (uint32_t i = 0; i < BATCH; i += IO) {
		struct dp_srtp_pkt sp[IO];

		for (uint32_t k = 0; k < IO; k++) {
			unsigned int s = session_of(b, b->made + i + k);
			uint8_t *p = b->frames + (size_t)(i + k) * SLOT + 42;

			plain(b, p, s, b->seq[s]++);
			sp[k] = (struct dp_srtp_pkt){.data = p, .key = &b->key[s], .len = rtp_len, .room = 32};
		}
		if (b->in_secure && dp_srtp_protect_burst(b->mb, sp, IO) != IO)
			return -1;
		if (b->in_secure)
			len = sp[0].len;
		for (uint32_t k = 0; k < IO; k++) {
			unsigned int s = session_of(b, b->made + i + k);
			uint8_t *f = b->frames + (size_t)(i + k) * SLOT;
			uint16_t port = (uint16_t)(BASE + 2 * s);

			memcpy(f, b->node.ports[0].mac, 6);
			memcpy(f + 6, peer_mac, 6);
			dp_put16(f + 12, DP_ETYPE_IP4);
			dp_build_udp(f + 14, 4, from.ip, port, to.ip, port, len, 46, false);
		}
	}
	b->frame_len = (uint16_t)(42 + len);
	b->made += BATCH;
	return 0;
}

/* What came out: the n-th packet of the batch, in order, and what it should be. */
static bool right(struct bed *b, const struct rte_mbuf *m, uint64_t n, struct dp_srtp_key *keys)
{
	uint8_t want[SLOT], *got = rte_pktmbuf_mtod(m, uint8_t *) + 42;
	uint64_t at = b->made - BATCH + n;
	unsigned int s = session_of(b, at);
	const uint8_t *f = b->frames + n * SLOT + 42;
	uint16_t len = (uint16_t)(m->data_len - 42);

	if (b->out_secure) {
		struct dp_srtp_pkt sp = {.data = got, .key = &keys[s], .len = len};

		if (dp_srtp_unprotect_burst(b->mb, &sp, 1) != 1)
			return false;
		len = sp.len;
	}
	plain(b, want, s, dp_get16(f + 2));
	return len == 12 + b->payload && memcmp(got, want, len) == 0;
}

static int keys_to_check(struct bed *b, struct dp_srtp_key *keys)
{
	for (unsigned int s = 0; s < b->sessions && b->out_secure; s++) {
		uint8_t key[16], salt[14];
		struct dp_srtp_params par = {.suite = SUITE, .dir = DP_DIR_RECV, .key = key, .salt = salt};

		key_bytes(s, false, key, salt);
		if (dp_srtp_key_init(b->mb, &keys[s], &par) < 0)
			return -1;
	}
	return 0;
}

/* Through the worker with the batch. Seconds, or negative: something was lost or wrong. */
static double run(struct bed *b, bool check, struct dp_srtp_key *keys)
{
	double start = bench_now();
	uint32_t in = 0, out = 0, polls = 0;

	while (out < BATCH) {
		struct rte_mbuf *m[IO];
		unsigned int n;

		/* No more under way than the transmit ring holds: a sink that is held up costs time, not packets. */
		if (in < BATCH && in - out <= WINDOW &&
		    rte_pktmbuf_alloc_bulk(b->node.pool, m, IO) == 0) {
			for (unsigned int k = 0; k < IO; k++) {
				memcpy(rte_pktmbuf_mtod(m[k], uint8_t *), b->frames + (size_t)(in + k) * SLOT,
				       b->frame_len);
				m[k]->data_len = b->frame_len;
				m[k]->pkt_len = b->frame_len;
			}
			(void)rte_ring_enqueue_bulk(b->rx[0], (void **)m, IO, NULL);
			in += IO;
		}
		n = rte_ring_dequeue_burst(b->tx[1], (void **)m, IO, NULL);
		for (unsigned int k = 0; k < n && check; k++)
			if (!right(b, m[k], out + k, keys))
				return -1;
		rte_pktmbuf_free_bulk(m, n);
		out += n;
		if (n == 0 && (++polls & 0xffff) == 0 && bench_now() - start > 10)
			return -1;
		if (in == BATCH && n == 0 && (polls & 0xfff) == 0)
			(void)drain(b->tx[0]); /* ARP requests */
	}
	return bench_now() - start;
}

static uint64_t lost(const struct bed *b)
{
	const struct dp_page_worker *w = dp_page_workers(b->node.page);
	uint64_t sum = 0;

	for (int i = 1; i < DP_DROP_MAX; i++)
		sum += i == DP_DROP_CONSUMED ? 0 : w->drop[i];
	return sum;
}

static int one_case(const struct bench_opts *opts, bool in_secure, bool out_secure, uint16_t payload,
		    unsigned int leg_cnt)
{
	static const char suite[] = "AES_CM_128_HMAC_SHA1_80";
	struct bed *b = calloc(1, sizeof(*b));
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 5 : 15;
	double value[BENCH_RUNS_MAX], cycles[BENCH_RUNS_MAX], stage[DP_STAGE_MAX][BENCH_RUNS_MAX];
	struct dp_srtp_key *keys = aligned_alloc(64, sizeof(*keys) * LEGS_MAX);
	json_t *kase, *by_stage = json_object();
	int rc = 1;

	kase = json_pack("{s:s, s:s, s:i, s:i}", "from", in_secure ? suite : "RTP", "to", out_secure ? suite : "RTP",
			 "payload", payload, "legs", (int)leg_cnt);
	if (!bench_wanted(opts, kase)) {
		rc = 0;
		goto skip;
	}
	b->in_secure = in_secure;
	b->out_secure = out_secure;
	b->payload = payload;
	if (bed_up(b, leg_cnt) < 0 || keys_to_check(b, keys) < 0 || prepare(b) < 0 || run(b, true, keys) < 0) {
		fprintf(stderr, "ravelin-bench: media: a packet came out wrong, or the node did not start\n");
		goto down;
	}
	for (unsigned int r = 0; r < runs; r++) {
		const struct dp_page_worker *w = dp_page_workers(b->node.page);
		struct dp_page_worker before;
		double s;

		if (prepare(b) < 0)
			goto down;
		before = *w;
		s = run(b, false, keys);
		if (s < 0 || lost(b) != 0) {
			fprintf(stderr, "ravelin-bench: media: packets lost:");
			for (unsigned int i = 1; i < DP_DROP_MAX; i++)
				if (w->drop[i] > 0)
					fprintf(stderr, " %s=%lu", dp_drop_name(i), (unsigned long)w->drop[i]);
			fprintf(stderr, "%s\n", s < 0 ? " (10 s passed)" : "");
			goto down;
		}
		usleep(1000); /* the last round's counters */
		value[r] = BATCH / s;
		cycles[r] = (double)(w->busy_cyc - before.busy_cyc) / BATCH;
		for (int k = 0; k < DP_STAGE_MAX; k++)
			stage[k][r] = (double)(w->stage_cyc[k] - before.stage_cyc[k]) / BATCH;
	}
	for (unsigned int k = 0; k < DP_STAGE_OTHER; k++)
		json_object_set_new(by_stage, dp_stage_name(k),
				    json_real(round(bench_quantile(stage[k], runs, 0.5) * 10) / 10));
	if (!opts->json) {
		char *text = json_dumps(by_stage, JSON_COMPACT | JSON_REAL_PRECISION(4));

		printf("stages %s\n", text);
		free(text);
	}
	bench_row(opts, &(struct bench_row){.bench = "media", .kase = kase, .unit = "packet/s/core", .value = value,
					    .runs = runs, .cycles = bench_quantile(cycles, runs, 0.5),
					    .more = json_pack("{s:O}", "stage_cycles", by_stage)});
	kase = NULL;
	rc = 0;
down:
	rc |= bed_down(b);
skip:
	json_decref(kase);
	json_decref(by_stage);
	free(keys);
	free(b);
	return rc;
}

int bench_media(const struct bench_opts *opts)
{
	static const struct {
		bool in, out;
	} way[] = {{false, false}, {false, true}, {true, false}, {true, true}};
	static const unsigned int legs_of[] = {1000, 10000};
	int rc = 0;

	if (eal_once(opts->cpu) < 0)
		return 1;
	cfg_log_init("bench", CFG_LOG_KV, CFG_LOG_ERR);
	for (unsigned int l = 0; l < (opts->quick ? 1u : 2u); l++)
		for (unsigned int k = 0; k < sizeof(way) / sizeof(way[0]); k++)
			rc |= one_case(opts, way[k].in, way[k].out, 160, legs_of[l]);
	return rc;
}
