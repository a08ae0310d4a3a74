/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP on one core: packets a second, encapsulation and decapsulation in IPv4 tunnel mode, of dataplane/ipsec and of
 * others in the same run:
 *  openssl           one EVP context kept per SA; for HMAC, SHA-1 continued from copies of the inner and outer state
 *  ipsec-mb          raw calls and bursts on packets laid out already: no headers, selectors, window, padding or verdict
 *  librte_ipsec      DPDK's, its crypto through the queue of a cryptodev; librte_ipsec-cpu: at once, on the CPU (espdpdk.c)
 * All work on the same packets under the same keys, in turn within each run; what they make is compared before a
 * case is timed. 'size' is the inner IP packet. Timed is the work on a batch; inner packets (and, for decap, what
 * is on the wire) are made before. Algorithms other than the two of the table are asked for by --only suite=NAME, and have
 * librte_ipsec beside them alone. At the end a whole worker that receives ESP (espworker.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h" /* first: see there */

#include "bench.h"
#include "crypto/mb.h"
#include "dp_esp.h"
#include "espdpdk.h"
#include "ipsec/esp.h"
#include "ipsec/sa.h"
#include "sim/esp.h"

#define BATCH 256 /* packets timed at a time: short beside a time slice, long beside a clock read */
#define SLOT  2048
#define HEAD  BENCH_ESPD_HEAD
#define SAS   BENCH_ESPD_SAS
#define BURST 32
#define IMPLS 5

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
	uint8_t *inner[BATCH]; /* at least HEAD bytes into a buffer */
	uint32_t sa[BATCH];
	uint64_t bad;
} pool;

static struct dp_mb *mb, *raw;
static struct dp_sa *tx, *rx, *gen;
static struct peer_sa *peer;
static struct dp_sa_set *sets;
static const struct dp_esp_suite *suite;
static unsigned int sas, cursor, alg, iv_len, icv_len, text_len;
static bool dpdk; /* it has this algorithm */
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
			dp_mb_gcm_enc(raw, 16, &s->gcm, nonce, text - 16, 8, text, text, text_len, text + text_len);
			continue;
		}
		dp_mb_gcm_dec(raw, 16, &s->gcm, nonce, text - 16, 8, text, text, text_len, tag);
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
			dp_mb_cbc_run(raw, m, 16, true);
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
			dp_mb_cbc_run(raw, m, 16, false);
	}
}

static void run_queue(enum op op, unsigned int n, unsigned int burst)
{
	pool.bad += bench_espd_run(op == ENCAP, false, pool.sa, n, burst);
}

static void run_cpu(enum op op, unsigned int n, unsigned int burst)
{
	pool.bad += bench_espd_run(op == ENCAP, true, pool.sa, n, burst);
}

static const struct {
	const char *name;
	void (*run)(enum op op, unsigned int n, unsigned int burst);
} impls[IMPLS] = {
	{"ours", run_ours}, {"openssl", run_openssl}, {"ipsec-mb", run_raw}, {"librte_ipsec", run_queue}, {"librte_ipsec-cpu", run_cpu},
};

/* The two that all peers know. */
static bool common(void)
{
	return alg == DP_ESP_AES_GCM_128 || alg == DP_ESP_AES_CBC_128_SHA1_96;
}

static bool takes_part(unsigned int v)
{
	return v == 0 || (v < 3 ? common() : dpdk);
}

static void peer_init(struct peer_sa *s, const struct dp_sa_set *set, const uint8_t mask[16])
{
	memset(s, 0, sizeof(*s));
	s->spi = set->spi;
	memcpy(s->mask, mask, 16);
	if (!common())
		return;
	s->enc = EVP_CIPHER_CTX_new();
	s->dec = EVP_CIPHER_CTX_new();
	if (alg == DP_ESP_AES_GCM_128) {
		memcpy(s->salt, set->salt, 4);
		dp_mb_gcm_key(raw, set->key, 16, &s->gcm);
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

static int setup(const struct bench_opts *opts, unsigned int algorithm, unsigned int n)
{
	static const uint8_t a[4] = {192, 0, 2, 1}, b[4] = {198, 51, 100, 7};
	int rc = 0;

	alg = algorithm;
	sas = n;
	cursor = 0;
	suite = dp_esp_suite(alg);
	iv_len = suite->iv_len;
	icv_len = suite->icv_len;
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
		for (unsigned int k = 0; k < suite->key_len; k++)
			set.key[k] = (uint8_t)(i * 31 + k * 7 + (i >> 8));
		for (unsigned int k = 0; k < suite->salt_len; k++)
			set.salt[k] = (uint8_t)(i * 13 + k * 5 + (i >> 8));
		for (unsigned int k = 0; k < suite->auth_len; k++)
			set.auth[k] = (uint8_t)(i * 13 + k * 5 + (i >> 8));
		sets[i] = set;
		rc |= dp_sa_init(&tx[i], mb, &set);
		rc |= dp_sa_init(&gen[i], mb, &set);
		peer_init(&peer[i], &set, tx[i].iv_mask);
		set.dir = DP_DIR_RECV;
		rc |= dp_sa_init(&rx[i], mb, &set);
	}
	dpdk = bench_espd_sas(opts, sets, n);
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
	bench_espd_sas_end();
}

static void set_size(uint16_t bytes)
{
	size = bytes;
	text_len = (size + 2u + suite->align - 1) / suite->align * suite->align;
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
	unsigned int impl[IMPLS]; /* of those that take part */
};

static void lay(unsigned int v, enum op op)
{
	unsigned int over = op == DECAP ? 20 + 8 + iv_len : 0;

	if (v >= 3)
		bench_espd_lay(BATCH, over, op == DECAP ? over + text_len + icv_len : size);
}

static unsigned int prepare(void *arg)
{
	const struct timed *t = arg;

	fill(BATCH);
	if (t->op == DECAP)
		make_wire(BATCH);
	lay(t->impl[t->v], t->op);
	return BATCH;
}

static void work(void *arg)
{
	const struct timed *t = arg;

	impls[t->impl[t->v]].run(t->op, BATCH, t->burst);
}

static double measure(unsigned int v, void *ctx, uint64_t ticks)
{
	struct timed t = *(const struct timed *)ctx;

	t.v = v;
	return bench_batches(prepare, work, &t, 15, ticks);
}

/* Packet i of the batch, opened by code that has nothing to do with any of them. */
static bool stranger_opens(unsigned int i, const uint8_t *plain)
{
	const struct dp_sa_set *set = &sets[pool.sa[i]];
	char spec[512], hex[2 * SIM_ESP_KEY_MAX + 1] = "";
	uint8_t all[SIM_ESP_KEY_MAX], out[SLOT], next;
	unsigned int n = suite->key_len, len = 8 + iv_len + text_len + icv_len;
	const char *why;
	struct sim_sa sa;

	memcpy(all, set->key, n);
	memcpy(all + n, set->salt, suite->salt_len);
	n += suite->salt_len;
	memcpy(all + n, set->auth, suite->auth_len);
	n += suite->auth_len;
	for (unsigned int k = 0; k < n; k++)
		snprintf(hex + 2 * k, 3, "%02x", all[k]);
	snprintf(spec, sizeof(spec), "spi=%u,alg=%s,key=%s", set->spi, suite->name, hex);
	return sim_sa_parse(spec, &sa, &why) == 0 &&
	       sim_esp_open(&sa, pool.inner[i] - iv_len - 8, len, out, sizeof(out), &next) == size && next == 4 &&
	       memcmp(out, plain, size) == 0;
}

/* What each makes is opened by a stranger, those that choose IVs alike make the same bytes, and each opens ours. */
static int verify(unsigned int burst, bool spoil)
{
	static uint8_t plain[BATCH][SLOT], wire[BATCH][SLOT];
	unsigned int esp_len = 8 + iv_len + text_len + icv_len, wrong = 0;

	for (unsigned int i = 0; i < BATCH; i++)
		for (unsigned int b = 0; b < size; b++)
			pool.inner[i][b] = (uint8_t)(i * 7 + b * 3);
	fill(BATCH);
	for (unsigned int s = 0; s < sas; s++)
		for (unsigned int v = 1; v < 3; v++)
			peer[s].seq[v] = tx[s].seq;
	for (unsigned int i = 0; i < BATCH; i++)
		memcpy(plain[i], pool.inner[i], size);
	for (unsigned int v = 0; v < IMPLS; v++) {
		if (!takes_part(v))
			continue;
		for (unsigned int i = 0; i < BATCH; i++)
			memcpy(pool.inner[i], plain[i], size);
		lay(v, ENCAP);
		impls[v].run(ENCAP, BATCH, burst);
		for (unsigned int i = 0; i < BATCH; i++) {
			uint8_t *esp = pool.inner[i] - iv_len - 8;

			if (v == 0)
				memcpy(wire[i], esp, esp_len);
			if (spoil && v == 0 && i == 0)
				esp[esp_len - 1] ^= 1;
			wrong += !stranger_opens(i, plain[i]) || (v > 0 && v < 3 && memcmp(wire[i], esp, esp_len) != 0);
		}
	}
	for (unsigned int v = 0; v < IMPLS; v++) {
		if (!takes_part(v))
			continue;
		for (unsigned int i = 0; i < BATCH; i++)
			memcpy(pool.inner[i], plain[i], size);
		make_wire(BATCH);
		lay(v, DECAP);
		impls[v].run(DECAP, BATCH, burst);
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
			 algorithm == DP_ESP_AES_GCM_128           ? "AES_GCM_128"
			 : algorithm == DP_ESP_AES_CBC_128_SHA1_96 ? "AES_CBC_128_HMAC_SHA1_96"
								   : dp_esp_suite(algorithm)->name,
			 "op", op == ENCAP ? "encap" : "decap", "size", (int)bytes, "sas", (int)n);
}

static void run_case(const struct bench_opts *opts, enum op op, unsigned int burst)
{
	const char *names[IMPLS];
	struct timed t = {.op = op, .burst = burst};
	unsigned int n = 0;

	for (unsigned int v = 0; v < IMPLS; v++)
		if (takes_part(v)) {
			names[n] = impls[v].name;
			t.impl[n++] = v;
		}
	if (n == 1) { /* nobody beside us */
		double value[BENCH_RUNS_MAX], tsc[BENCH_RUNS_MAX];
		unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 5 : 9;

		for (unsigned int r = 0; r < runs; r++) {
			tsc[r] = measure(0, &t, (uint64_t)(opts->tsc_hz * 0.003));
			value[r] = opts->tsc_hz / tsc[r];
		}
		bench_row(opts, &(struct bench_row){.bench = "esp", .kase = case_of(alg, op, size, sas), .unit = "packet/s/core", .value = value,
						    .runs = runs, .cycles = bench_quantile(tsc, runs, 0.5),
						    .more = json_pack("{s:i}", "burst", (int)burst)});
		return;
	}
	bench_contest_run(opts, &(struct bench_contest){.bench = "esp", .unit = "packet/s/core", .n = n, .names = names,
							 .measure = measure, .ctx = &t, .raw = common() ? 2 : 0, .burst = burst},
			  case_of(alg, op, size, sas));
}

/* One algorithm among so many SAs. */
static int algorithm(const struct bench_opts *opts, unsigned int a, unsigned int n, unsigned int burst)
{
	static const uint16_t sizes[] = {64, 256, 512, 1400};
	bool ready = false;
	int rc = 0;

	for (size_t k = 0; k < 2 * sizeof(sizes) / sizeof(*sizes); k++) {
		enum op op = k % 2 == 0 ? ENCAP : DECAP;

		if (!bench_wanted_free(opts, case_of(a, op, sizes[k / 2], n)))
			continue;
		if (!ready && setup(opts, a, n) != 0)
			return 1;
		ready = true;
		set_size(sizes[k / 2]);
		rc |= verify(burst, opts->spoil);
		run_case(opts, op, burst);
	}
	if (ready)
		teardown();
	return rc;
}

static int stages(const struct bench_opts *opts)
{
	static const unsigned int counts[] = {1, SAS};
	unsigned int burst = opts->burst > 0 ? opts->burst : BURST;
	bool all = opts->only != NULL && strstr(opts->only, "suite=") != NULL;
	int rc = 0;

	bench_pin(opts->cpu);
	if (bench_espd_up(opts, BATCH, pool.inner) < 0)
		return 1;
	mb = dp_mb_create();
	raw = dp_mb_create();
	if (raw != NULL)
		dp_mb_own(raw, false, false, false);
	if (mb == NULL || raw == NULL)
		return 1;
	pool.bad = 0;
	tx = bench_array(SAS, sizeof(*tx));
	rx = bench_array(SAS, sizeof(*rx));
	gen = bench_array(SAS, sizeof(*gen));
	peer = bench_array(SAS, sizeof(*peer));
	sets = bench_array(SAS, sizeof(*sets));
	for (unsigned int a = 1; a < DP_ESP_ALG_MAX; a++)
		for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++)
			if (all || a == DP_ESP_AES_GCM_128 || a == DP_ESP_AES_CBC_128_SHA1_96)
				rc |= algorithm(opts, a, counts[c], burst);
	if (pool.bad != 0) {
		fprintf(stderr, "ravelin-bench esp: %llu packets refused\n", (unsigned long long)pool.bad);
		rc = 1;
	}
	bench_espd_down();
	free(tx);
	free(rx);
	free(gen);
	free(peer);
	free(sets);
	dp_mb_destroy(mb);
	dp_mb_destroy(raw);
	return rc;
}

int bench_esp(const struct bench_opts *opts)
{
	int rc;

	if (opts->burst > DP_MB_BURST) {
		fprintf(stderr, "ravelin-bench esp: a burst is at most %d packets\n", DP_MB_BURST);
		return 1;
	}
	rc = bench_isolated(opts, stages);
	return rc | bench_esp_worker(opts);
}
