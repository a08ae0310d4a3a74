/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop_priv.h"

#include "gwload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "dp_suite.h"
#include "parse.h"

#define L bench_l

#define KEY  16
#define SALT 4
#define SPI_OUT(gw) (0x1000u + (gw))              /* to the gateway */
#define SPI_IN(gw)  (0x100000u + ((gw) << 6) + (gw) % DP_SHARDS) /* to us: the low bits are the shard */
#define HEAD (DP_ETH_LEN + 20)
#define ESP_HEAD 16 /* SPI, number, IV */
#define ICV  16

struct gw {
	EVP_CIPHER_CTX *open, *seal;
	uint64_t seq;
	uint8_t master; /* of its next command's key */
	bool taken;     /* its last command: on a busy machine the worker repeats some before they are answered */
};

static struct {
	struct gw *gw;
	uint32_t *order, n, cursor;
	uint64_t bad;
	bool spoil;
} g;

struct dp_sockaddr bench_gw_addr(uint32_t gw)
{
	return (struct dp_sockaddr){.ip = {172, (uint8_t)(16 + (gw >> 16)), (uint8_t)(gw >> 8), (uint8_t)gw}, .port = 2427, .family = 4};
}

uint64_t bench_gw_bad(void)
{
	return g.bad;
}

/* Keys of an SA: a pattern of its gateway and direction. */
static void sa_key(uint32_t gw, bool out, uint8_t key[KEY + SALT])
{
	memset(key, out ? 0x11 : 0x77, KEY + SALT);
	memcpy(key, &gw, 4);
	memcpy(key + KEY, &gw, SALT);
}

/* SRTP's: of a gateway's command, counted up, or of its answer. */
static void media_key(uint32_t gw, uint8_t count, bool answer, uint8_t key[30])
{
	memset(key, answer ? 0xa0 : 0x50, 30);
	memcpy(key + 3, &gw, 4);
	key[9] = count;
}

static int set_gateway(uint32_t i)
{
	struct dp_gw_set gw = {.gw_id = i, .shard = (uint8_t)(i % DP_SHARDS), .remote = bench_gw_addr(i)};
	uint8_t key[KEY + SALT];

	memcpy(gw.local.ip, L.cfg.mgcp_local.ip, 16);
	gw.local.port = L.cfg.mgcp_local.port;
	gw.local.family = 4;
	snprintf(gw.domain, sizeof(gw.domain), "gw%u.example.net", i);
	if (bench_message(&gw, DP_MSG_GW_SET, sizeof(gw)) < 0)
		return -1;
	for (int out = 0; out < 2; out++) {
		struct dp_sa_set sa = {.sa_id = 2 * i + (uint32_t)out, .gw_id = i, .spi = out ? SPI_OUT(i) : SPI_IN(i),
				       .dir = out ? DP_DIR_SEND : DP_DIR_RECV, .alg = DP_ESP_AES_GCM_128, .mode = DP_ESP_TRANSPORT,
				       .shard = (uint8_t)(i % DP_SHARDS), .local = gw.local, .remote = gw.remote,
				       .seq_limit = out ? UINT32_MAX : 0};

		sa.local.port = sa.remote.port = 0;
		sa_key(i, out, key);
		memcpy(sa.key, key, KEY);
		memcpy(sa.salt, key + KEY, SALT);
		if (bench_message(&sa, DP_MSG_SA_SET, sizeof(sa)) < 0)
			return -1;
	}
	g.gw[i].open = EVP_CIPHER_CTX_new();
	g.gw[i].seal = EVP_CIPHER_CTX_new();
	sa_key(i, true, key);
	if (g.gw[i].open == NULL || EVP_DecryptInit_ex(g.gw[i].open, EVP_aes_128_gcm(), NULL, key, NULL) != 1)
		return -1;
	sa_key(i, false, key);
	return g.gw[i].seal != NULL && EVP_EncryptInit_ex(g.gw[i].seal, EVP_aes_128_gcm(), NULL, key, NULL) == 1 ? 0 : -1;
}

int bench_gw_up(const struct bench_opts *opts, unsigned int n)
{
	struct bench_gw_got got[1];
	struct dp_mgcp_cmd c;

	memset(&g, 0, sizeof(g));
	g.n = n;
	g.spoil = opts->spoil;
	g.gw = bench_array(n, sizeof(*g.gw));
	g.order = bench_array(n, sizeof(*g.order));
	if (bench_loop_up_gateways(opts, n) < 0)
		return -1;
	bench_mode_all(BENCH_ROUNDS);
	for (uint32_t i = 0; i < n; i++) {
		g.order[i] = i;
		if (set_gateway(i) < 0) {
			fprintf(stderr, "ravelin-bench: gateway %u is not taken\n", i);
			return -1;
		}
	}
	for (uint32_t i = n; i > 1; i--) {
		uint32_t k = (uint32_t)rand() % i, t = g.order[i - 1];

		g.order[i - 1] = g.order[k];
		g.order[k] = t;
	}
	bench_loop_settle();
	/* A first command, so that the way to them is asked for; its repeat gets through. */
	bench_gw_crcx(&c);
	if (bench_message(&c, DP_MSG_MGCP_CMD, sizeof(c)) < 0)
		return -1;
	bench_loop_settle();
	bench_loop_neighbours();
	for (double limit = bench_now() + 10; bench_now() < limit;) {
		bench_loop_settle();
		if (bench_gw_take(got, 1) == 1) {
			bench_gw_answer(got, 1);
			bench_loop_settle();
			return 0;
		}
	}
	fprintf(stderr, "ravelin-bench: no command reaches a gateway\n");
	return -1;
}

int bench_gw_down(void)
{
	int rc = bench_loop_down();

	for (uint32_t i = 0; i < g.n; i++) {
		EVP_CIPHER_CTX_free(g.gw[i].open);
		EVP_CIPHER_CTX_free(g.gw[i].seal);
	}
	free(g.gw);
	free(g.order);
	return rc;
}

static uint32_t next_gw(void)
{
	uint32_t gw = g.order[g.cursor];

	g.cursor = g.cursor + 1 == g.n ? 0 : g.cursor + 1;
	return gw;
}

void bench_gw_crcx(struct dp_mgcp_cmd *ret)
{
	uint32_t gw = next_gw();
	uint8_t key[30];

	*ret = (struct dp_mgcp_cmd){.handle = gw, .gw_id = gw, .verb = DP_MGCP_CRCX, .mode = DP_MGCP_M_SENDRECV, .call_id = "A1B2C3",
				    .endpoint = "S0/SU0/DS1-0/01",
				    .media = {.addr = {.ip = {10, 0, 0, 2}, .port = 16384, .family = 4},
					      .suite = DP_AES_CM_128_HMAC_SHA1_80, .tag = 1, .ptime_ms = 20}};
	media_key(gw, ++g.gw[gw].master, false, key);
	g.gw[gw].taken = false;
	memcpy(ret->media.key, key, 16);
	memcpy(ret->media.salt, key + 16, 14);
}

/* --- as a gateway --- */

static bool gcm(EVP_CIPHER_CTX *c, uint32_t gw, bool seal, uint8_t *esp, uint8_t *text, int len)
{
	uint8_t nonce[12];
	int n;

	memcpy(nonce, &gw, SALT);
	memcpy(nonce + SALT, esp + 8, 8);
	return EVP_CipherInit_ex(c, NULL, NULL, NULL, nonce, -1) == 1 && EVP_CipherUpdate(c, NULL, &n, esp, 8) == 1 &&
	       (seal || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, ICV, text + len) == 1) &&
	       EVP_CipherUpdate(c, text, &n, text, len) == 1 && EVP_CipherFinal_ex(c, text + n, &n) == 1 &&
	       (!seal || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, ICV, text + len) == 1);
}

/* The key of the gateway's last command, or of an answer, as it stands in a description. */
static void inline_of(uint32_t gw, bool answer, char ret[48])
{
	uint8_t key[30];

	media_key(gw, g.gw[gw].master, answer, key);
	memcpy(ret, "inline:", 7);
	EVP_EncodeBlock((unsigned char *)ret + 7, key, 30);
}

/* One frame. True: a command that is what it should be; false: it was none, a repeat, or (counted) a wrong one. */
static bool open_one(struct rte_mbuf *m, struct bench_gw_got *ret)
{
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *), *esp = p + HEAD, *udp = esp + ESP_HEAD;
	int len = (int)m->data_len - HEAD - ESP_HEAD - ICV;
	char want[48];
	uint32_t gw;

	if (m->data_len < HEAD || dp_get16(p + 12) != DP_ETYPE_IP4)
		return false; /* ARP */
	g.bad++;
	if (len < 10 || p[DP_ETH_LEN] != 0x45 || p[DP_ETH_LEN + 9] != DP_PROTO_ESP)
		return false;
	gw = dp_get32(esp) - SPI_OUT(0);
	if (gw >= g.n || memcmp(p + DP_ETH_LEN + 16, bench_gw_addr(gw).ip, 4) != 0 || !gcm(g.gw[gw].open, gw, false, esp, udp, len) ||
	    udp[len - 1] != DP_PROTO_UDP || (len -= 2 + udp[len - 2]) < 8 + 16 || dp_get16(udp + 4) != len || memcmp(udp + 8, "CRCX ", 5) != 0)
		return false;
	udp[len] = '\0'; /* where the padding was */
	inline_of(gw, false, want);
	if (sscanf((const char *)udp + 13, "%11[0-9]", ret->tid) != 1 || strstr((const char *)udp + 8, want) == NULL)
		return false;
	g.bad--;
	if (g.gw[gw].taken)
		return false;
	g.gw[gw].taken = true;
	ret->gw = gw;
	return true;
}

unsigned int bench_gw_take(struct bench_gw_got *ret, unsigned int max)
{
	struct rte_mbuf *m[32];
	unsigned int n, total = 0;

	while (total + 32 <= max || (max < 32 && total == 0)) {
		n = rte_ring_sc_dequeue_burst(L.tx[0][0], (void **)m, max < 32 ? max : 32, NULL);
		if (n == 0)
			break;
		for (unsigned int i = 0; i < n; i++)
			total += open_one(m[i], &ret[total]);
		rte_pktmbuf_free_bulk(m, n);
	}
	return total;
}

unsigned int bench_gw_text(char *ret, size_t size, const char *tid, uint32_t gw)
{
	char key[48];

	inline_of(gw, true, key);
	return (unsigned int)snprintf(ret, size,
				      "200 %s OK\r\nI: 8C2\r\n\r\nv=0\r\no=- 1 1 IN IP4 10.0.1.1\r\ns=-\r\nc=IN IP4 10.0.1.1\r\nt=0 0\r\n"
				      "m=audio 18000 RTP/SAVP 0\r\na=rtpmap:0 PCMU/8000\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 %s\r\n", tid, key);
}

/* An ESP packet from a gateway around 'len' bytes that stand at their place already. */
static void close_one(struct rte_mbuf *m, uint32_t gw, unsigned int len, uint8_t next, bool spoil)
{
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *), *ip = p + DP_ETH_LEN, *esp = p + HEAD, *text = esp + ESP_HEAD;
	uint16_t sum;
	unsigned int pad = (4 - (len + 2) % 4) % 4;

	for (unsigned int i = 0; i < pad; i++)
		text[len + i] = (uint8_t)(i + 1);
	text[len + pad] = (uint8_t)pad;
	text[len + pad + 1] = next;
	len += pad + 2;
	dp_put32(esp, SPI_IN(gw));
	dp_put32(esp + 4, (uint32_t)++g.gw[gw].seq);
	memset(esp + 8, 0, 4);
	memcpy(esp + 12, esp + 4, 4);
	if (!gcm(g.gw[gw].seal, gw, true, esp, text, (int)len))
		abort();
	text[0] ^= spoil;
	memcpy(p, L.node.ports[0].mac, 6);
	memcpy(p + 6, bench_peer_mac, 6);
	dp_put16(p + 12, DP_ETYPE_IP4);
	memset(ip, 0, 20);
	ip[0] = 0x45;
	dp_put16(ip + 2, (uint16_t)(20 + ESP_HEAD + len + ICV));
	ip[8] = 64;
	ip[9] = DP_PROTO_ESP;
	memcpy(ip + 12, bench_gw_addr(gw).ip, 4);
	memcpy(ip + 16, L.cfg.mgcp_local.ip, 4);
	sum = dp_ip4_sum(ip);
	memcpy(ip + 10, &sum, 2);
	m->data_len = (uint16_t)(HEAD + ESP_HEAD + len + ICV);
	m->pkt_len = m->data_len;
}

static void put(struct rte_mbuf **m, unsigned int n)
{
	if (rte_ring_sp_enqueue_bulk(L.rx[0][0], (void **)m, n, NULL) != n)
		abort(); /* it holds two batches */
}

void bench_gw_answer(const struct bench_gw_got *got, unsigned int n)
{
	struct rte_mbuf *m[32];

	for (unsigned int at = 0; at < n; at += 32) {
		unsigned int k = n - at < 32 ? n - at : 32;

		if (rte_pktmbuf_alloc_bulk(L.node.pool, m, k) != 0)
			abort(); /* the pool is sized for several batches */
		for (unsigned int i = 0; i < k; i++) {
			uint32_t gw = got[at + i].gw;
			uint8_t *udp = rte_pktmbuf_mtod_offset(m[i], uint8_t *, HEAD + ESP_HEAD);
			unsigned int len = bench_gw_text((char *)udp + 8, 512, got[at + i].tid, gw);

			dp_put16(udp, 2427);
			dp_put16(udp + 2, L.cfg.mgcp_local.port);
			dp_put16(udp + 4, (uint16_t)(8 + len));
			dp_put16(udp + 6, 0);
			close_one(m[i], gw, 8 + len, DP_PROTO_UDP, false);
		}
		put(m, k);
	}
}

void bench_gw_flood(unsigned int n, unsigned int size)
{
	struct rte_mbuf *m[32];

	for (unsigned int at = 0; at < n; at += 32) {
		unsigned int k = n - at < 32 ? n - at : 32;

		if (rte_pktmbuf_alloc_bulk(L.node.pool, m, k) != 0)
			abort();
		for (unsigned int i = 0; i < k; i++) {
			uint8_t *udp = rte_pktmbuf_mtod_offset(m[i], uint8_t *, HEAD + ESP_HEAD);

			/* Transport mode: the inner packet's IP header is the outer one. UDP to a port of nobody's. */
			memset(udp, 0x5a, size - 20);
			dp_put16(udp, 2427);
			dp_put16(udp + 2, 9);
			dp_put16(udp + 4, (uint16_t)(size - 20));
			dp_put16(udp + 6, 0);
			close_one(m[i], next_gw(), size - 20, DP_PROTO_UDP, g.spoil && at + i == 0);
		}
		put(m, k);
	}
}

/* --- the worker's lcore --- */

static struct {
	bool commands;
	unsigned int n;
} phase;

static void go(struct dp_worker *w, struct bench_sample *s)
{
	uint64_t t0 = bench_tsc(), cmds = w->cnt->cmds;
	unsigned int n = 0;

	while (n < phase.n) {
		unsigned int rx = dp_worker_round(w);

		n = phase.commands ? (unsigned int)(w->cnt->cmds - cmds) : n + rx;
		rte_rcu_qsbr_quiescent(L.node.qs, w->id);
	}
	s->cyc = bench_tsc() - t0;
}

double bench_gw_phase(bool commands, unsigned int n)
{
	struct bench_sample s = {0};

	phase.commands = commands;
	phase.n = n;
	L.go = go;
	L.lcore[0].s = &s;
	bench_mode_set(0, BENCH_GO);
	while (bench_mode_get(0) == BENCH_GO)
		rte_pause();
	L.go = NULL;
	return (double)s.cyc / n;
}

double bench_gw_phase_here(unsigned int n)
{
	struct bench_sample s = {0};

	phase.commands = false;
	phase.n = n;
	go(L.node.worker[0], &s);
	return (double)s.cyc / n;
}

bool bench_gw_right(const struct dp_mgcp_done *done)
{
	uint8_t key[30];

	if (done->gw_id >= g.n)
		return false;
	media_key(done->gw_id, g.gw[done->gw_id].master, true, key);
	key[0] ^= g.spoil;
	return done->result == DP_MGCP_ANSWERED && done->code == 200 && done->handle == done->gw_id &&
	       done->media.suite == DP_AES_CM_128_HMAC_SHA1_80 && memcmp(done->media.key, key, 16) == 0 &&
	       memcmp(done->media.salt, key + 16, 14) == 0;
}
