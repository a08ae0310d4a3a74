/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP on one core: packets a second, encapsulation and decapsulation in IPv4 tunnel mode, of dataplane/ipsec and of
 * two others in the same run:
 *  openssl   one EVP context kept per SA; for HMAC, SHA-1 continued from copies of the inner and outer state
 *  ipsec-mb  raw calls and bursts on packets laid out already: no headers, selectors, window, padding or verdict
 * All work on the same packets under the same keys, in turn within each run; what they make is compared before a
 * case is timed. 'size' is the inner IP packet. Timed is the work on a batch; inner packets (and, for decap, what
 * is on the wire) are made before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h" /* first: see there */

#include "bench.h"
#include "crypto/mb.h"
#include "ipsec/esp.h"
#include "ipsec/sa.h"

#define BATCH 256 /* packets timed at a time: short beside a time slice, long beside a clock read */
#define SLOT  2048
#define HEAD  128 /* bytes before an inner packet */
#define SAS   1000
#define BURST 32
#define IMPLS 3

enum op { ENCAP, DECAP };

struct peer_sa { /* of openssl and ipsec-mb */
	struct gcm_key_data gcm __attribute__((aligned(64)));
	uint8_t enc_rk[DP_MB_AES128_RK] __attribute__((aligned(16)));
	uint8_t dec_rk[DP_MB_AES128_RK] __attribute__((aligned(16)));
	uint8_t state[DP_MB_HMAC_STATE], salt[4];
	uint8_t mask[16] __attribute__((aligned(16)));
	uint32_t spi;
	uint64_t seq[IMPLS]; /* outbound, per implementation */
	EVP_CIPHER_CTX *enc, *dec;
	struct bench_sha1 sha1;
};

static struct {
	uint8_t *mem;
	uint8_t *inner[BATCH]; /* HEAD bytes into a slot */
	uint32_t sa[BATCH];
	uint64_t bad;
} pool;

static struct dp_mb *mb, *raw;
static struct dp_sa *tx, *rx, *gen;
static struct peer_sa *peer;
static unsigned int sas, cursor, alg, iv_len, icv_len, text_len;
static uint16_t size;

static void put32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}

static void run_ours(enum op op, unsigned int n, unsigned int burst)
{
	struct dp_esp_pkt pkts[DP_MB_BURST];

	for (unsigned int at = 0; at < n; at += burst) {
		uint16_t m = (uint16_t)(n - at < burst ? n - at : burst), ok;

		for (unsigned int i = 0; i < m; i++) {
			struct dp_esp_pkt *p = &pkts[i];
			uint8_t *in = pool.inner[at + i];
			unsigned int over = op == DECAP ? 20 + 8 + iv_len : 0;

			*p = (struct dp_esp_pkt){.data = in - over, .headroom = (uint16_t)(HEAD - over),
						 .tailroom = 64};
			p->len = (uint16_t)(op == DECAP ? over + text_len + icv_len : size);
			p->sa = op == DECAP ? &rx[pool.sa[at + i]] : &tx[pool.sa[at + i]];
		}
		ok = op == DECAP ? dp_esp_decap_burst(mb, pkts, m) : dp_esp_encap_burst(mb, pkts, m);
		pool.bad += (uint64_t)(m - ok);
	}
}

/* What the peers do alike: sequence, IV (the block that becomes it), trailer. */
static void lay_out(struct peer_sa *s, unsigned int v, uint8_t *text)
{
	uint8_t *esp = text - iv_len - 8;
	uint64_t seq = ++s->seq[v];
	unsigned int pad = text_len - 2 - size;

	put32(esp, s->spi);
	put32(esp + 4, (uint32_t)seq);
	if (iv_len == 16)
		memset(esp + 8, 0, 8);
	put32(esp + iv_len, (uint32_t)(seq >> 32));
	put32(esp + iv_len + 4, (uint32_t)seq);
	for (unsigned int i = 0; i < pad; i++)
		text[size + i] = (uint8_t)(i + 1);
	text[size + pad] = (uint8_t)pad;
	text[size + pad + 1] = 4;
}

static void run_openssl(enum op op, unsigned int n, unsigned int burst)
{
	(void)burst;
	for (unsigned int i = 0; i < n; i++) {
		struct peer_sa *s = &peer[pool.sa[i]];
		uint8_t *text = pool.inner[i], *esp = text - iv_len - 8, *icv = text + text_len, md[20], nonce[12];
		EVP_CIPHER_CTX *c = op == ENCAP ? s->enc : s->dec;
		int out;

		if (op == ENCAP)
			lay_out(s, 1, text);
		if (alg == DP_ESP_AES_GCM_128) {
			memcpy(nonce, s->salt, 4);
			memcpy(nonce + 4, esp + 8, 8);
			EVP_CipherInit_ex(c, NULL, NULL, NULL, nonce, -1);
			EVP_CipherUpdate(c, NULL, &out, esp, 8);
			if (op == DECAP)
				EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, 16, icv);
			EVP_CipherUpdate(c, text, &out, text, (int)text_len);
			pool.bad += EVP_CipherFinal_ex(c, text + out, &out) != 1;
			if (op == ENCAP)
				EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, icv);
		} else if (op == ENCAP) {
			EVP_CipherInit_ex(c, NULL, NULL, NULL, s->mask, -1);
			EVP_CipherUpdate(c, text - 16, &out, text - 16, (int)text_len + 16);
			bench_sha1_mac(&s->sha1, esp, 8 + 16 + text_len, md);
			memcpy(icv, md, 12);
		} else {
			bench_sha1_mac(&s->sha1, esp, 8 + 16 + text_len, md);
			pool.bad += !dp_mb_equal(md, icv, 12);
			EVP_CipherInit_ex(c, NULL, NULL, NULL, esp + 8, -1);
			EVP_CipherUpdate(c, text, &out, text, (int)text_len);
		}
	}
}

static void raw_gcm(enum op op, unsigned int at, unsigned int m)
{
	for (unsigned int i = at; i < at + m; i++) {
		struct peer_sa *s = &peer[pool.sa[i]];
		uint8_t *text = pool.inner[i], nonce[12], tag[16];

		if (op == ENCAP)
			lay_out(s, 2, text);
		memcpy(nonce, s->salt, 4);
		memcpy(nonce + 4, text - 8, 8);
		if (op == ENCAP) {
			dp_mb_gcm128_enc(raw, &s->gcm, nonce, text - 16, 8, text, text, text_len, text + text_len);
			continue;
		}
		dp_mb_gcm128_dec(raw, &s->gcm, nonce, text - 16, 8, text, text, text_len, tag);
		pool.bad += !dp_mb_equal(tag, text + text_len, 16);
	}
}

static void run_raw(enum op op, unsigned int n, unsigned int burst)
{
	uint8_t tag[DP_MB_BURST][DP_MB_SHA1_LEN];

	for (unsigned int at = 0; at < n; at += burst) {
		unsigned int m = n - at < burst ? n - at : burst;

		if (alg == DP_ESP_AES_GCM_128) {
			raw_gcm(op, at, m);
			continue;
		}
		for (unsigned int i = 0; i < m && op == ENCAP; i++) {
			struct peer_sa *s = &peer[pool.sa[at + i]];
			uint8_t *text = pool.inner[at + i];

			lay_out(s, 2, text);
			dp_mb_cbc_set(raw, i, s->enc_rk, s->mask, text - 16, text - 16, text_len + 16);
		}
		if (op == ENCAP)
			dp_mb_cbc_run(raw, m, true);
		for (unsigned int i = 0; i < m; i++) {
			struct peer_sa *s = &peer[pool.sa[at + i]];

			dp_mb_hmac_set(raw, i, s->state, pool.inner[at + i] - 24, 24 + text_len, tag[i], 12);
		}
		dp_mb_hmac_run(raw, m);
		for (unsigned int i = 0; i < m; i++) {
			struct peer_sa *s = &peer[pool.sa[at + i]];
			uint8_t *text = pool.inner[at + i];

			if (op == ENCAP) {
				memcpy(text + text_len, tag[i], 12);
				continue;
			}
			pool.bad += !dp_mb_equal(tag[i], text + text_len, 12);
			dp_mb_cbc_set(raw, i, s->dec_rk, text - 16, text, text, text_len);
		}
		if (op == DECAP)
			dp_mb_cbc_run(raw, m, false);
	}
}

static void (*const impls[IMPLS])(enum op op, unsigned int n, unsigned int burst) = {run_ours, run_openssl, run_raw};

static void peer_init(struct peer_sa *s, const struct dp_sa_set *set, const uint8_t mask[16])
{
	memset(s, 0, sizeof(*s));
	s->spi = set->spi;
	memcpy(s->mask, mask, 16);
	s->enc = EVP_CIPHER_CTX_new();
	s->dec = EVP_CIPHER_CTX_new();
	if (alg == DP_ESP_AES_GCM_128) {
		memcpy(s->salt, set->auth, 4);
		dp_mb_gcm128_key(raw, set->key, &s->gcm);
		EVP_EncryptInit_ex(s->enc, EVP_aes_128_gcm(), NULL, set->key, NULL);
		EVP_DecryptInit_ex(s->dec, EVP_aes_128_gcm(), NULL, set->key, NULL);
		return;
	}
	dp_mb_aes128_expand(raw, set->key, s->enc_rk, s->dec_rk);
	dp_mb_hmac_sha1_key(raw, set->auth, 20, s->state);
	EVP_EncryptInit_ex(s->enc, EVP_aes_128_cbc(), NULL, set->key, NULL);
	EVP_DecryptInit_ex(s->dec, EVP_aes_128_cbc(), NULL, set->key, NULL);
	EVP_CIPHER_CTX_set_padding(s->enc, 0);
	EVP_CIPHER_CTX_set_padding(s->dec, 0);
	bench_sha1_key(&s->sha1, set->auth, 20);
}

static int setup(unsigned int algorithm, unsigned int n)
{
	static const uint8_t a[4] = {192, 0, 2, 1}, b[4] = {198, 51, 100, 7};
	int rc = 0;

	alg = algorithm;
	sas = n;
	cursor = 0;
	iv_len = alg == DP_ESP_AES_GCM_128 ? 8 : 16;
	icv_len = alg == DP_ESP_AES_GCM_128 ? 16 : 12;
	for (unsigned int i = 0; i < n; i++) {
		struct dp_sa_set set = {.spi = 0x1000 + i, .gw_id = UINT32_MAX, .dir = DP_DIR_SEND, .alg = (uint8_t)alg,
					.mode = DP_ESP_TUNNEL, .seq_limit = UINT64_MAX};

		memcpy(set.local.ip, a, 4);
		memcpy(set.remote.ip, b, 4);
		set.local.family = set.remote.family = 4;
		set.sel_local.family = set.sel_remote.family = 4; /* 10.0.0.0/8, UDP */
		set.sel_local.ip[0] = set.sel_remote.ip[0] = 10;
		set.sel_local_plen = set.sel_remote_plen = 8;
		set.sel_proto = 17;
		for (unsigned int k = 0; k < 16; k++)
			set.key[k] = (uint8_t)(i * 31 + k * 7 + (i >> 8));
		for (unsigned int k = 0; k < (alg == DP_ESP_AES_GCM_128 ? 4u : 20u); k++)
			set.auth[k] = (uint8_t)(i * 13 + k * 5 + (i >> 8));
		rc |= dp_sa_init(&tx[i], mb, &set);
		rc |= dp_sa_init(&gen[i], mb, &set);
		peer_init(&peer[i], &set, tx[i].iv_mask);
		set.dir = DP_DIR_RECV;
		rc |= dp_sa_init(&rx[i], mb, &set);
	}
	return rc;
}

static void teardown(void)
{
	for (unsigned int i = 0; i < sas; i++) {
		EVP_CIPHER_CTX_free(peer[i].enc);
		EVP_CIPHER_CTX_free(peer[i].dec);
		dp_sa_wipe(&tx[i]);
		dp_sa_wipe(&gen[i]);
		dp_sa_wipe(&rx[i]);
	}
}

static void set_size(uint16_t bytes)
{
	unsigned int align = alg == DP_ESP_AES_GCM_128 ? 4 : 16;

	size = bytes;
	text_len = (size + 2 + align - 1) / align * align;
}

/* Inner packets for the next SAs; their headers are what the last round encrypted. */
static void fill(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		uint8_t *p = pool.inner[i];

		pool.sa[i] = cursor;
		cursor = cursor + 1 == sas ? 0 : cursor + 1;
		memset(p, 0, 20);
		p[0] = 0x45;
		p[2] = (uint8_t)(size >> 8);
		p[3] = (uint8_t)size;
		p[8] = 64;
		p[9] = 17;
		p[12] = p[16] = 10;
	}
}

/* What is on the wire, from SAs of its own: numbers go on from round to round. */
static void make_wire(unsigned int n)
{
	struct dp_esp_pkt pkts[BATCH];

	for (unsigned int i = 0; i < n; i++)
		pkts[i] = (struct dp_esp_pkt){.data = pool.inner[i], .len = size, .headroom = HEAD, .tailroom = 64,
					      .sa = &gen[pool.sa[i]]};
	pool.bad += (uint64_t)(n - dp_esp_encap_burst(mb, pkts, (uint16_t)n));
}

struct timed {
	unsigned int v, burst;
	enum op op;
};

static unsigned int prepare(void *arg)
{
	const struct timed *t = arg;

	fill(BATCH);
	if (t->op == DECAP)
		make_wire(BATCH);
	return BATCH;
}

static void work(void *arg)
{
	const struct timed *t = arg;

	impls[t->v](t->op, BATCH, t->burst);
}

static double measure(unsigned int v, void *ctx, uint64_t ticks)
{
	struct timed t = *(const struct timed *)ctx;

	t.v = v;
	return bench_batches(prepare, work, &t, 15, ticks);
}

/* All make the same ESP of one batch, and each opens it. */
static int verify(unsigned int burst, bool spoil)
{
	static uint8_t plain[BATCH][SLOT], wire[BATCH][SLOT];
	unsigned int esp_len = 8 + iv_len + text_len + icv_len, wrong = 0;

	for (unsigned int i = 0; i < BATCH; i++)
		for (unsigned int b = 0; b < size; b++)
			pool.inner[i][b] = (uint8_t)(i * 7 + b * 3);
	fill(BATCH);
	for (unsigned int s = 0; s < sas; s++)
		for (unsigned int v = 1; v < IMPLS; v++)
			peer[s].seq[v] = tx[s].seq;
	for (unsigned int i = 0; i < BATCH; i++)
		memcpy(plain[i], pool.inner[i], size);
	for (unsigned int v = 0; v < IMPLS; v++) {
		for (unsigned int i = 0; i < BATCH; i++)
			memcpy(pool.inner[i], plain[i], size);
		impls[v](ENCAP, BATCH, burst);
		for (unsigned int i = 0; i < BATCH; i++) {
			uint8_t *esp = pool.inner[i] - iv_len - 8;

			if (v == 0)
				memcpy(wire[i], esp, esp_len);
			wire[i][esp_len - 1] ^= (uint8_t)(spoil && v == 0 && i == 0);
			wrong += memcmp(wire[i], esp, esp_len) != 0;
		}
	}
	for (unsigned int v = 0; v < IMPLS; v++) {
		for (unsigned int i = 0; i < BATCH; i++)
			memcpy(pool.inner[i], plain[i], size);
		make_wire(BATCH);
		impls[v](DECAP, BATCH, burst);
		for (unsigned int i = 0; i < BATCH; i++)
			wrong += memcmp(pool.inner[i], plain[i], size) != 0;
	}
	if (wrong != 0 || pool.bad != 0)
		fprintf(stderr, "ravelin-bench esp: results differ: %u packets, %llu refused\n", wrong,
			(unsigned long long)pool.bad);
	return wrong != 0 || pool.bad != 0;
}

static json_t *case_of(unsigned int algorithm, enum op op, unsigned int bytes, unsigned int n)
{
	return json_pack("{s:s, s:s, s:i, s:i}", "suite",
			 algorithm == DP_ESP_AES_GCM_128 ? "AES_GCM_128" : "AES_CBC_128_HMAC_SHA1_96", "op",
			 op == ENCAP ? "encap" : "decap", "size", (int)bytes, "sas", (int)n);
}

static void run_case(const struct bench_opts *opts, enum op op, unsigned int burst)
{
	static const char *const names[IMPLS] = {"ours", "openssl", "ipsec-mb"};
	struct timed t = {.op = op, .burst = burst};

	bench_contest_run(opts, &(struct bench_contest){.bench = "esp", .unit = "packet/s/core", .n = IMPLS, .names = names,
							 .measure = measure, .ctx = &t, .raw = 2, .burst = burst},
			  case_of(alg, op, size, sas));
}

int bench_esp(const struct bench_opts *opts)
{
	static const unsigned int counts[] = {1, SAS};
	static const uint16_t sizes[] = {64, 200, 600, 1400};
	unsigned int burst = opts->burst > 0 ? opts->burst : BURST;
	int rc = 0;

	if (burst > DP_MB_BURST) {
		fprintf(stderr, "ravelin-bench esp: a burst is at most %d packets\n", DP_MB_BURST);
		return 1;
	}
	bench_pin(opts->cpu);
	mb = dp_mb_create();
	raw = dp_mb_create();
	if (raw != NULL)
		dp_mb_own(raw, false, false);
	if (mb == NULL || raw == NULL)
		return 1;
	pool.bad = 0;
	pool.mem = bench_array(BATCH, SLOT);
	for (unsigned int i = 0; i < BATCH; i++)
		pool.inner[i] = pool.mem + (size_t)i * SLOT + HEAD + (size_t)(i % 6) * 64; /* spread over cache sets */
	tx = bench_array(SAS, sizeof(*tx));
	rx = bench_array(SAS, sizeof(*rx));
	gen = bench_array(SAS, sizeof(*gen));
	peer = bench_array(SAS, sizeof(*peer));
	for (unsigned int a = DP_ESP_AES_GCM_128; a < DP_ESP_ALG_MAX; a++)
		for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++) {
			if (setup(a, counts[c]) != 0)
				return 1;
			for (size_t k = 0; k < 2 * sizeof(sizes) / sizeof(*sizes); k++) {
				enum op op = k % 2 == 0 ? ENCAP : DECAP;

				if (!bench_wanted_free(opts, case_of(a, op, sizes[k / 2], counts[c])))
					continue;
				set_size(sizes[k / 2]);
				rc |= verify(burst, opts->spoil);
				run_case(opts, op, burst);
			}
			teardown();
		}
	if (pool.bad != 0) {
		fprintf(stderr, "ravelin-bench esp: %llu packets refused\n", (unsigned long long)pool.bad);
		rc = 1;
	}
	free(tx);
	free(rx);
	free(gen);
	free(peer);
	free(pool.mem);
	dp_mb_destroy(mb);
	dp_mb_destroy(raw);
	return rc;
}
