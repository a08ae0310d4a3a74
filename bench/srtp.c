/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SRTP on one core: packets a second, protect and unprotect, of dataplane/srtp and of three others in the same run:
 *  openssl   the best single-buffer code with OpenSSL's functions: one EVP context kept per stream, SHA-1 continued from
 *            copies of the inner and outer state
 *  ipsec-mb  raw cipher and hash bursts, raw GCM calls: no header check, index guess, window or verdict
 *  libsrtp2  as the distribution builds it
 * All work on the same packets under the same keys, in turn within each run; what they make is compared before a
 * case is timed. Timed is the work on a batch; headers (and, for unprotect, wire packets) are made before, by
 * intel-ipsec-mb with keys of its own, so that nobody's are warm.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <srtp2/srtp.h>

#include "peer.h" /* first: see there */

#include "bench.h"
#include "crypto/mb.h"
#include "dp_suite.h"
#include "srtp/srtp.h"

#define BATCH       512 /* packets made ready at a time */
#define SLOT        2048 /* bytes between packets, as in an mbuf pool */
#define HDR         BENCH_RTP_HDR
#define STREAMS     100000
#define BURST       32
#define IMPLS       4
#define RAW         2
#define TAG_MAX     16
#define MIXED       0 /* as a payload: 45 % 32 bytes, 45 % 172, 10 % 1,212 */
#define LIB_STREAMS 1000 /* libsrtp2 at most: its sessions take time that grows with the square of their number */

enum op { PROTECT, UNPROTECT };

struct evp_key { /* of openssl */
	EVP_CIPHER_CTX *ctx;
	struct bench_sha1 sha1;
	uint8_t salt[16];
};

static struct {
	uint8_t *mem;
	uint8_t *data[BATCH];
	uint32_t stream[BATCH], roc[BATCH];
	uint16_t len[BATCH]; /* RTP without tag */
	struct bench_raw_pkt raw[BATCH];
	uint64_t bad;
} pool;

static struct dp_mb *mb;
static struct bench_raw *raw;
static struct dp_srtp_key *tx, *rx;
static uint8_t *raw_keys, *gen_keys;
static struct evp_key *evp;
static srtp_t *lib_tx, *lib_rx;
static uint64_t *index_of[IMPLS][2]; /* next index of each stream, as far as each implementation's op is */
static uint32_t *order;      /* streams are visited in random order */
static unsigned int streams, cursor, tag_len;
static const struct dp_suite *suite;
static uint64_t seed = 88172645463325252ull;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static struct bench_raw_key *raw_key(uint8_t *keys, unsigned int stream)
{
	return (struct bench_raw_key *)(void *)(keys + stream * bench_raw_key_size(suite->gcm));
}

/* --- the four --- */

static void run_ours(enum op op, unsigned int n, unsigned int burst)
{
	struct dp_srtp_pkt pkts[DP_SRTP_BURST];

	for (unsigned int at = 0; at < n; at += burst) {
		uint16_t m = (uint16_t)(n - at < burst ? n - at : burst), ok;

		for (unsigned int i = 0; i < m; i++) {
			pkts[i].data = pool.data[at + i];
			pkts[i].len = (uint16_t)(pool.len[at + i] + (op == UNPROTECT ? tag_len : 0));
			pkts[i].room = 64;
			pkts[i].key = (op == PROTECT ? tx : rx) + pool.stream[at + i];
			pkts[i].tx_reserved = NULL;
			pkts[i].verdict = DP_OK;
		}
		ok = op == PROTECT ? dp_srtp_protect_burst(mb, pkts, m) : dp_srtp_unprotect_burst(mb, pkts, m);
		pool.bad += m - ok;
	}
}

static void openssl_gcm(const struct evp_key *k, enum op op, uint8_t *p, int len, uint32_t roc)
{
	uint8_t iv[12];
	int out;

	bench_iv_gcm(iv, k->salt, p, roc);
	EVP_CipherInit_ex(k->ctx, NULL, NULL, NULL, iv, op == PROTECT);
	EVP_CipherUpdate(k->ctx, NULL, &out, p, HDR);
	if (op == UNPROTECT)
		EVP_CIPHER_CTX_ctrl(k->ctx, EVP_CTRL_GCM_SET_TAG, TAG_MAX, p + len);
	EVP_CipherUpdate(k->ctx, p + HDR, &out, p + HDR, len - HDR);
	pool.bad += EVP_CipherFinal_ex(k->ctx, p + len, &out) != 1;
	if (op == PROTECT)
		EVP_CIPHER_CTX_ctrl(k->ctx, EVP_CTRL_GCM_GET_TAG, TAG_MAX, p + len);
}

static void run_openssl(enum op op, unsigned int n, unsigned int burst)
{
	(void)burst;
	for (unsigned int i = 0; i < n; i++) {
		const struct evp_key *k = &evp[pool.stream[i]];
		uint8_t *p = pool.data[i], iv[16], tag[20], had[12];
		size_t len = pool.len[i];
		uint32_t roc = __builtin_bswap32(pool.roc[i]);
		int out;

		if (suite->gcm) {
			openssl_gcm(k, op, p, (int)len, pool.roc[i]);
			continue;
		}
		if (op == UNPROTECT) {
			memcpy(had, p + len, 12);
			memcpy(p + len, &roc, 4);
			bench_sha1_mac(&k->sha1, p, len + 4, tag);
			if (CRYPTO_memcmp(tag, had, tag_len) != 0) {
				pool.bad++;
				continue;
			}
		}
		if (!suite->null_cipher) {
			bench_iv_cm(iv, k->salt, p, pool.roc[i]);
			EVP_EncryptInit_ex(k->ctx, NULL, NULL, NULL, iv);
			EVP_EncryptUpdate(k->ctx, p + HDR, &out, p + HDR, (int)(len - HDR));
		}
		if (op == PROTECT) {
			memcpy(p + len, &roc, 4);
			bench_sha1_mac(&k->sha1, p, len + 4, tag);
			memcpy(p + len, tag, tag_len == 10 ? 10 : 4);
		}
	}
}

static void run_raw(enum op op, unsigned int n, unsigned int burst)
{
	for (unsigned int at = 0; at < n; at += burst) {
		unsigned int m = n - at < burst ? n - at : burst;

		if (op == PROTECT) {
			bench_raw_protect(raw, &pool.raw[at], m);
			continue;
		}
		bench_raw_unprotect(raw, &pool.raw[at], m);
		for (unsigned int i = 0; i < m; i++)
			pool.bad += !pool.raw[at + i].ok;
	}
}

static void run_libsrtp2(enum op op, unsigned int n, unsigned int burst)
{
	(void)burst;
	for (unsigned int i = 0; i < n; i++) {
		int len = pool.len[i] + (op == UNPROTECT ? (int)tag_len : 0);

		pool.bad += op == PROTECT ? srtp_protect(lib_tx[pool.stream[i]], pool.data[i], &len) != srtp_err_status_ok
					  : srtp_unprotect(lib_rx[pool.stream[i]], pool.data[i], &len) != srtp_err_status_ok;
	}
}

static void (*const run[IMPLS])(enum op op, unsigned int n, unsigned int burst) = {
	run_ours, run_openssl, run_raw, run_libsrtp2,
};

/* libsrtp2 has no AES-192 here that RFC 6188's vectors agree with. */
static bool lib_has(void)
{
	return streams <= LIB_STREAMS && suite->key_len != 24;
}

static unsigned int impl_cnt(void)
{
	return lib_has() ? IMPLS : IMPLS - 1;
}

/* --- keys --- */

static void master_of(unsigned int stream, uint8_t *key, uint8_t *salt)
{
	for (unsigned int i = 0; i < suite->key_len; i++)
		key[i] = (uint8_t)(stream * 31 + i * 7 + (stream >> 8));
	for (unsigned int i = 0; i < suite->salt_len; i++)
		salt[i] = (uint8_t)(stream * 29 + i * 11 + (stream >> 8));
}

static void lib_init(unsigned int s, const uint8_t *key, const uint8_t *salt)
{
	uint8_t both[46];
	srtp_policy_t pol;

	memset(&pol, 0, sizeof(pol));
	if (suite->gcm && suite->key_len == 16)
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&pol.rtp);
	else if (suite->gcm)
		srtp_crypto_policy_set_aes_gcm_256_16_auth(&pol.rtp);
	else if (suite->null_cipher)
		srtp_crypto_policy_set_null_cipher_hmac_sha1_80(&pol.rtp);
	else if (suite->key_len == 32)
		srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(&pol.rtp);
	else
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&pol.rtp);
	pol.rtcp = pol.rtp;
	pol.rtp.auth_tag_len = (int)tag_len;
	memcpy(both, key, suite->key_len);
	memcpy(both + suite->key_len, salt, suite->salt_len);
	pol.key = both;
	pol.window_size = 128;
	pol.ssrc.type = ssrc_any_outbound;
	if (srtp_create(&lib_tx[s], &pol) != srtp_err_status_ok)
		abort();
	pol.ssrc.type = ssrc_any_inbound;
	if (srtp_create(&lib_rx[s], &pol) != srtp_err_status_ok)
		abort();
}

static void evp_init(struct evp_key *k, const struct bench_session *s)
{
	const EVP_CIPHER *cm = s->key_len == 16 ? EVP_aes_128_ctr() : s->key_len == 24 ? EVP_aes_192_ctr() : EVP_aes_256_ctr();
	const EVP_CIPHER *gcm = s->key_len == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();

	memset(k, 0, sizeof(*k));
	memcpy(k->salt, s->salt, sizeof(s->salt));
	k->ctx = EVP_CIPHER_CTX_new();
	EVP_EncryptInit_ex(k->ctx, s->gcm ? gcm : cm, NULL, s->key, NULL);
	if (!s->gcm)
		bench_sha1_key(&k->sha1, s->auth, 20);
}

/* Keys for n streams. False: the dataplane does not have the suite. */
static bool setup(unsigned int id, unsigned int n)
{
	struct bench_session ses;
	uint8_t key[32], salt[14];

	suite = dp_suite(id);
	streams = n;
	cursor = 0;
	tag_len = suite->rtp_tag;
	for (unsigned int s = 0; s < n; s++) {
		struct dp_srtp_params par = {.suite = (uint8_t)id, .key = key, .salt = salt, .dir = DP_DIR_SEND};

		master_of(s, key, salt);
		if (dp_srtp_key_init(mb, &tx[s], &par) < 0)
			return false;
		par.dir = DP_DIR_RECV;
		if (dp_srtp_key_init(mb, &rx[s], &par) < 0)
			return false;
	}
	for (unsigned int s = 0; s < n; s++) { /* one after the other: OpenSSL's contexts lie as close as can be */
		master_of(s, key, salt);
		bench_session_derive(&ses, id, key, salt);
		evp_init(&evp[s], &ses);
		bench_raw_key_init(raw, raw_key(raw_keys, s), &ses);
		bench_raw_key_init(raw, raw_key(gen_keys, s), &ses);
		if (lib_has())
			lib_init(s, key, salt);
		for (unsigned int v = 0; v < IMPLS; v++)
			index_of[v][PROTECT][s] = index_of[v][UNPROTECT][s] = 1;
		order[s] = s;
	}
	for (unsigned int i = n - 1; i > 0; i--) {
		unsigned int j = (unsigned int)(rnd() % (i + 1));
		uint32_t t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
	return true;
}

static void teardown(void)
{
	for (unsigned int s = 0; s < streams; s++) {
		EVP_CIPHER_CTX_free(evp[s].ctx);
		if (lib_has()) {
			srtp_dealloc(lib_tx[s]);
			srtp_dealloc(lib_rx[s]);
		}
		dp_srtp_key_wipe(&tx[s]);
		dp_srtp_key_wipe(&rx[s]);
	}
}

/* --- packets --- */

static unsigned int length_of(unsigned int payload, unsigned int i)
{
	static const uint16_t lens[20] = {32, 172, 32, 172, 1212, 32, 172, 32, 172, 32,
					  172, 32, 172, 32, 1212, 172, 32, 172, 32, 172}; /* of RTP: 9, 9, 2 */

	return payload == MIXED ? lens[i % 20] : HDR + payload;
}

/* RTP headers of the next packets of the next streams, for implementation v. */
static void fill(unsigned int v, enum op op, unsigned int n, unsigned int payload)
{
	for (unsigned int i = 0; i < n; i++) {
		uint32_t s = order[cursor], ssrc = 0x1000 + s;
		uint64_t idx = index_of[v][op][s]++;
		uint8_t *p = pool.data[i];

		cursor = cursor + 1 == streams ? 0 : cursor + 1;
		pool.stream[i] = s;
		pool.roc[i] = (uint32_t)(idx >> 16);
		pool.len[i] = (uint16_t)length_of(payload, i);
		pool.raw[i] = (struct bench_raw_pkt){.data = p, .key = raw_key(raw_keys, s), .roc = pool.roc[i], .len = pool.len[i]};
		p[0] = 0x80;
		p[1] = 0;
		p[2] = (uint8_t)(idx >> 8);
		p[3] = (uint8_t)idx;
		memset(p + 4, 0, 4);
		for (int b = 0; b < 4; b++)
			p[8 + b] = (uint8_t)(ssrc >> (24 - 8 * b));
	}
}

static void make_wire(unsigned int n)
{
	for (unsigned int at = 0; at < n; at += BENCH_RAW_BURST) {
		struct bench_raw_pkt pkts[BENCH_RAW_BURST];
		unsigned int m = n - at < BENCH_RAW_BURST ? n - at : BENCH_RAW_BURST;

		memcpy(pkts, &pool.raw[at], m * sizeof(pkts[0]));
		for (unsigned int i = 0; i < m; i++)
			pkts[i].key = raw_key(gen_keys, pool.stream[at + i]);
		bench_raw_protect(raw, pkts, m);
	}
}

struct timed {
	unsigned int v, n, payload, burst;
	enum op op;
};

static unsigned int prepare(void *arg)
{
	const struct timed *t = arg;

	fill(t->v, t->op, t->n, t->payload);
	if (t->op == UNPROTECT)
		make_wire(t->n);
	return t->n;
}

static void work(void *arg)
{
	const struct timed *t = arg;

	run[t->v](t->op, t->n, t->burst);
}

static double measure(unsigned int v, void *ctx, uint64_t ticks)
{
	struct timed t = *(const struct timed *)ctx;

	t.v = v;
	/* libsrtp2's time among many streams is milliseconds a packet. */
	t.n = v == IMPLS - 1 && streams > 1 ? 64 : BATCH;
	return bench_batches(prepare, work, &t, 1, ticks);
}

/* All make the same of one batch, or the figures mean nothing. */
static int verify(unsigned int payload, unsigned int burst, bool spoil)
{
	static uint8_t plain[BATCH][SLOT], wire[BATCH][SLOT];
	int wrong = 0;

	for (unsigned int i = 0; i < 64; i++)
		for (unsigned int b = 0; b < length_of(payload, i); b++)
			pool.data[i][b] = (uint8_t)rnd();
	fill(0, PROTECT, 64, payload);
	for (unsigned int v = 0; v < IMPLS; v++)
		for (int op = PROTECT; op <= UNPROTECT; op++)
			if (v > 0 || op > 0)
				memcpy(index_of[v][op], index_of[0][0], streams * sizeof(uint64_t));
	for (unsigned int i = 0; i < 64; i++)
		memcpy(plain[i], pool.data[i], SLOT);
	for (unsigned int v = 0; v < impl_cnt(); v++) {
		for (unsigned int i = 0; i < 64; i++)
			memcpy(pool.data[i], plain[i], SLOT);
		run[v](PROTECT, 64, burst);
		for (unsigned int i = 0; i < 64; i++) {
			if (v == 0)
				memcpy(wire[i], pool.data[i], SLOT);
			wire[i][pool.len[i]] ^= (uint8_t)(spoil && v == 0 && i == 63);
			wrong += memcmp(wire[i], pool.data[i], pool.len[i] + tag_len) != 0;
		}
		run[v](UNPROTECT, 64, burst);
		for (unsigned int i = 0; i < 64; i++)
			wrong += memcmp(plain[i], pool.data[i], pool.len[i]) != 0;
	}
	if (wrong != 0 || pool.bad != 0)
		fprintf(stderr, "ravelin-bench srtp: %s: results differ: %d packets, %llu refused\n", suite->name, wrong,
			(unsigned long long)pool.bad);
	return wrong != 0 || pool.bad != 0;
}

/* --- rows --- */

/* Bursts of 32 are what is compared between versions: other bursts have a key of their own. */
static json_t *case_of(unsigned int id, enum op op, unsigned int payload, unsigned int n, unsigned int burst)
{
	json_t *k = json_pack("{s:s, s:s}", "suite", dp_suite(id)->name, "op", op == PROTECT ? "protect" : "unprotect");

	if (payload == MIXED)
		json_object_set_new(k, "payload", json_string("mixed"));
	else
		json_object_set_new(k, "payload", json_integer(payload));
	json_object_set_new(k, "streams", json_integer(n));
	if (burst != BURST)
		json_object_set_new(k, "burst", json_integer(burst));
	return k;
}

static const unsigned int payloads[] = {20, 160, 1200, MIXED}, bursts[] = {32, 1, 2, 4, 8, 16, 64};

/* Short settings, as of 'all': every suite once, the whole table for two of them. */
static bool wanted(const struct bench_opts *opts, unsigned int id, enum op op, unsigned int payload, unsigned int n,
		   unsigned int burst)
{
	bool main_suite = id == DP_AES_CM_128_HMAC_SHA1_80 || id == DP_AEAD_AES_128_GCM;

	if (opts->burst > 0 ? burst != opts->burst : burst != BURST && (payload != 160 || n != 1000))
		return false;
	if (opts->quick && opts->only == NULL && !(payload == 160 && n == 1000 && burst == BURST) &&
	    (!main_suite || n == STREAMS))
		return false;
	return bench_wanted_free(opts, case_of(id, op, payload, n, burst));
}

static void run_case(const struct bench_opts *opts, unsigned int id, enum op op, unsigned int payload, unsigned int burst)
{
	static const char *const names[IMPLS] = {"ours", "openssl", "ipsec-mb", "libsrtp2"};
	const unsigned int runs_max[IMPLS] = {0, 0, 0, streams > 1 ? 3 : 0};
	struct timed t = {.op = op, .payload = payload, .burst = burst};

	bench_contest_run(opts, &(struct bench_contest){.bench = "srtp", .unit = "packet/s/core", .n = impl_cnt(),
							 .names = names, .runs_max = runs_max, .measure = measure,
							 .ctx = &t, .raw = RAW, .burst = burst},
			  case_of(id, op, payload, streams, burst));
}

static bool any_wanted(const struct bench_opts *opts, unsigned int id, unsigned int n)
{
	for (size_t p = 0; p < 2 * sizeof(payloads) / sizeof(*payloads); p++) {
		enum op op = p % 2 == 0 ? PROTECT : UNPROTECT;

		if (opts->burst > 0 && wanted(opts, id, op, payloads[p / 2], n, opts->burst))
			return true;
		for (size_t b = 0; b < sizeof(bursts) / sizeof(*bursts) && opts->burst == 0; b++)
			if (wanted(opts, id, op, payloads[p / 2], n, bursts[b]))
				return true;
	}
	return false;
}

static int run_suite(const struct bench_opts *opts, unsigned int id, unsigned int n)
{
	const unsigned int own = opts->burst > 0 ? opts->burst : 0, burst_cnt = own ? 1 : sizeof(bursts) / sizeof(*bursts);
	const size_t cells = 2 * sizeof(payloads) / sizeof(*payloads) * burst_cnt;
	bool any = false, set = false;
	int rc = 0;

	for (int pass = 0; pass < 2; pass++) {
		for (size_t c = 0; c < cells; c++) {
			enum op op = c % 2 == 0 ? PROTECT : UNPROTECT;
			unsigned int payload = payloads[c / 2 % 4], burst = own ? own : bursts[c / 8];

			if (!wanted(opts, id, op, payload, n, burst))
				continue;
			any = true;
			if (!set && !setup(id, n)) {
				bench_note(opts, "srtp", "%s: not made by this build", dp_suite(id)->name);
				return 0;
			}
			set = true;
			/* First all the comparisons: the four are at the same index still. */
			if (pass == 0 && op == PROTECT)
				rc |= verify(payload, burst, opts->spoil);
			else if (pass == 0 && !wanted(opts, id, PROTECT, payload, n, burst))
				rc |= verify(payload, burst, opts->spoil);
			else if (pass == 1)
				run_case(opts, id, op, payload, burst);
		}
	}
	if (any)
		teardown();
	return rc;
}

int bench_srtp(const struct bench_opts *opts)
{
	static const unsigned int counts[] = {1, 1000, 10000, STREAMS};
	unsigned int most = 1;
	int rc = 0;

	if (opts->burst > DP_SRTP_BURST || opts->burst > BENCH_RAW_BURST) {
		fprintf(stderr, "ravelin-bench srtp: a burst is at most %d packets\n", DP_SRTP_BURST);
		return 1;
	}
	bench_pin(opts->cpu);
	mb = dp_mb_create();
	raw = bench_raw_create();
	if (mb == NULL || raw == NULL || srtp_init() != srtp_err_status_ok)
		return 1;
	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
		for (unsigned int id = DP_SRTP_NONE + 1; id < DP_SRTP_SUITE_MAX; id++)
			if (counts[c] > most && any_wanted(opts, id, counts[c]))
				most = counts[c];
	pool.mem = bench_array(BATCH, SLOT);
	for (unsigned int i = 0; i < BATCH; i++)
		pool.data[i] = pool.mem + (size_t)i * SLOT + (size_t)(i % 8) * 64; /* not all in the same cache sets */
	tx = bench_array(most, sizeof(*tx));
	rx = bench_array(most, sizeof(*rx));
	raw_keys = bench_array(most, sizeof(struct bench_raw_key));
	gen_keys = bench_array(most, sizeof(struct bench_raw_key));
	evp = bench_array(most, sizeof(*evp));
	lib_tx = bench_array(most, sizeof(*lib_tx));
	lib_rx = bench_array(most, sizeof(*lib_rx));
	for (unsigned int v = 0; v < IMPLS; v++)
		for (int op = PROTECT; op <= UNPROTECT; op++)
			index_of[v][op] = bench_array(most, sizeof(uint64_t));
	order = bench_array(most, sizeof(*order));
	for (unsigned int id = DP_SRTP_NONE + 1; id < DP_SRTP_SUITE_MAX; id++)
		for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
			rc |= run_suite(opts, id, counts[c]);
	if (pool.bad != 0) {
		fprintf(stderr, "ravelin-bench srtp: %llu packets refused\n", (unsigned long long)pool.bad);
		rc = 1;
	}
	free(tx);
	free(rx);
	free(raw_keys);
	free(gen_keys);
	free(evp);
	free(lib_tx);
	free(lib_rx);
	for (unsigned int v = 0; v < IMPLS; v++)
		for (int op = PROTECT; op <= UNPROTECT; op++)
			free(index_of[v][op]);
	free(order);
	free(pool.mem);
	srtp_shutdown();
	dp_mb_destroy(mb);
	bench_raw_destroy(raw);
	return rc;
}
