/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SRTP on one core: packets a second, protect and unprotect, of dataplane/srtp and of three others in the same run:
 *  openssl   the best single-buffer code with OpenSSL's functions: one EVP AES-CTR context kept per stream, SHA-1
 *            continued from copies of the inner and outer state
 *  ipsec-mb  raw cipher and hash bursts: no header check, index guess, window or verdict
 *  libsrtp2  as the distribution builds it
 * All work on the same packets under the same keys, in turn within each run; what they make is compared before a
 * case is timed. Timed is the work on a batch; headers (and, for unprotect, wire packets) are made before.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA1_*: the peer is to be the fastest there is */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <srtp2/srtp.h>

#include "bench.h"
#include "crypto/mb.h"
#include "srtp/srtp.h"

#define BATCH     512 /* packets made ready at a time */
#define SLOT      2048 /* bytes between packets, as in an mbuf pool */
#define HDR       12
#define STREAMS   10000
#define BURST     32
#define IMPLS     4
#define BATCHES_MAX 4096
#define LIB_STREAMS 1000 /* libsrtp2 at most: its sessions take time that grows with the square of their number */

enum op { PROTECT, UNPROTECT };

struct peer_key { /* of openssl and ipsec-mb */
	uint8_t rk[DP_MB_AES128_RK] __attribute__((aligned(64)));
	uint8_t state[DP_MB_HMAC_STATE];
	uint8_t salt[16];
	uint32_t roc;
	EVP_CIPHER_CTX *ctr;
	SHA_CTX inner, outer;
};

struct impl {
	const char *name;
	void (*run)(enum op op, unsigned int n, unsigned int burst);
	unsigned int runs_big; /* runs at most when there are many streams; 0: as the others */
	unsigned int limit;    /* packets of a batch that it gets, 0: all */
};

static struct {
	uint8_t *mem;
	uint8_t *data[BATCH];
	uint32_t stream[BATCH];
	uint16_t len[BATCH]; /* RTP without tag */
	uint64_t bad;
} pool;

static struct dp_mb *mb, *raw;
static struct dp_srtp_key *tx, *rx, *gen;
static struct peer_key *peer;
static srtp_t *lib_tx, *lib_rx;
static uint64_t *index_of[IMPLS][2]; /* next index of each stream, as far as each implementation's op is */
static uint32_t *order;      /* streams are visited in random order */
static unsigned int streams, cursor, tag_len;
static uint64_t seed = 88172645463325252ull;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void run_ours(enum op op, unsigned int n, unsigned int burst)
{
	struct dp_srtp_pkt pkts[DP_SRTP_BURST];

	for (unsigned int at = 0; at < n; at += burst) {
		uint16_t m = (uint16_t)(n - at < burst ? n - at : burst), ok;

		for (unsigned int i = 0; i < m; i++) {
			pkts[i].data = pool.data[at + i];
			pkts[i].len = (uint16_t)(pool.len[at + i] + (op == UNPROTECT ? tag_len : 0));
			pkts[i].room = 16;
			pkts[i].key = (op == PROTECT ? tx : rx) + pool.stream[at + i];
			pkts[i].tx_reserved = NULL;
			pkts[i].verdict = DP_OK;
		}
		ok = op == PROTECT ? dp_srtp_protect_burst(mb, pkts, m) : dp_srtp_unprotect_burst(mb, pkts, m);
		pool.bad += m - ok;
	}
}

static inline void iv_of(uint8_t iv[16], const struct peer_key *k, const uint8_t *p)
{
	memcpy(iv, k->salt, 16);
	for (int i = 0; i < 4; i++)
		iv[4 + i] ^= p[8 + i];
	iv[8] ^= (uint8_t)(k->roc >> 24);
	iv[9] ^= (uint8_t)(k->roc >> 16);
	iv[10] ^= (uint8_t)(k->roc >> 8);
	iv[11] ^= (uint8_t)k->roc;
	iv[12] ^= p[2];
	iv[13] ^= p[3];
}

static inline void openssl_mac(const struct peer_key *k, const uint8_t *p, size_t len, uint8_t tag[20])
{
	SHA_CTX c = k->inner;

	SHA1_Update(&c, p, len);
	SHA1_Final(tag, &c);
	c = k->outer;
	SHA1_Update(&c, tag, 20);
	SHA1_Final(tag, &c);
}

static void run_openssl(enum op op, unsigned int n, unsigned int burst)
{
	(void)burst;
	for (unsigned int i = 0; i < n; i++) {
		struct peer_key *k = &peer[pool.stream[i]];
		uint8_t *p = pool.data[i], iv[16], tag[20], had[12];
		size_t len = pool.len[i];
		uint32_t roc = __builtin_bswap32(k->roc);
		int out;

		iv_of(iv, k, p);
		if (op == UNPROTECT) {
			memcpy(had, p + len, 12);
			memcpy(p + len, &roc, 4);
			openssl_mac(k, p, len + 4, tag);
			if (CRYPTO_memcmp(tag, had, tag_len) != 0) {
				pool.bad++;
				continue;
			}
		}
		EVP_EncryptInit_ex(k->ctr, NULL, NULL, NULL, iv);
		EVP_EncryptUpdate(k->ctr, p + HDR, &out, p + HDR, (int)(len - HDR));
		if (op == PROTECT) {
			memcpy(p + len, &roc, 4);
			openssl_mac(k, p, len + 4, tag);
			memcpy(p + len, tag, tag_len == 10 ? 10 : 4);
		}
	}
}

/* The library's own jobs, as its user would keep them: all but pointers and lengths set once. */
static IMB_JOB raw_ctr[DP_MB_BURST], raw_hmac[DP_MB_BURST];

static void raw_templates(void)
{
	for (unsigned int i = 0; i < DP_MB_BURST; i++) {
		raw_ctr[i] = (IMB_JOB){
			.cipher_mode = IMB_CIPHER_CNTR,
			.cipher_direction = IMB_DIR_ENCRYPT,
			.hash_alg = IMB_AUTH_NULL,
			.chain_order = IMB_ORDER_CIPHER_HASH,
			.key_len_in_bytes = IMB_KEY_128_BYTES,
			.iv_len_in_bytes = 16,
		};
		raw_hmac[i] = (IMB_JOB){
			.cipher_mode = IMB_CIPHER_NULL,
			.hash_alg = IMB_AUTH_HMAC_SHA_1,
			.chain_order = IMB_ORDER_HASH_CIPHER,
			.auth_tag_output_len_in_bytes = 20,
		};
	}
}

static void run_raw(enum op op, unsigned int n, unsigned int burst)
{
	uint8_t iv[DP_MB_BURST][16] __attribute__((aligned(64))), tag[DP_MB_BURST][20], had[DP_MB_BURST][12];

	for (unsigned int at = 0; at < n; at += burst) {
		unsigned int m = n - at < burst ? n - at : burst;

		for (unsigned int i = 0; i < m; i++) {
			struct peer_key *k = &peer[pool.stream[at + i]];
			uint8_t *p = pool.data[at + i];
			size_t len = pool.len[at + i];
			uint32_t roc = __builtin_bswap32(k->roc);

			iv_of(iv[i], k, p);
			if (op == UNPROTECT)
				memcpy(had[i], p + len, 12);
			memcpy(p + len, &roc, 4);
			raw_ctr[i].enc_keys = k->rk;
			raw_ctr[i].dec_keys = k->rk;
			raw_ctr[i].iv = iv[i];
			raw_ctr[i].src = p + HDR;
			raw_ctr[i].dst = p + HDR;
			raw_ctr[i].msg_len_to_cipher_in_bytes = len - HDR;
			raw_hmac[i].u.HMAC._hashed_auth_key_xor_ipad = k->state;
			raw_hmac[i].u.HMAC._hashed_auth_key_xor_opad = k->state + DP_MB_HMAC_STATE / 2;
			raw_hmac[i].src = p;
			raw_hmac[i].msg_len_to_hash_in_bytes = len + 4;
			raw_hmac[i].auth_tag_output = tag[i];
		}
		if (op == PROTECT)
			IMB_SUBMIT_CIPHER_BURST_NOCHECK(raw->mgr, raw_ctr, m, IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT, 16);
		IMB_SUBMIT_HASH_BURST_NOCHECK(raw->mgr, raw_hmac, m, IMB_AUTH_HMAC_SHA_1);
		for (unsigned int i = 0; i < m; i++) {
			if (op == PROTECT)
				memcpy(pool.data[at + i] + pool.len[at + i], tag[i], tag_len == 10 ? 10 : 4);
			else
				pool.bad += memcmp(tag[i], had[i], tag_len) != 0;
		}
		if (op == UNPROTECT)
			IMB_SUBMIT_CIPHER_BURST_NOCHECK(raw->mgr, raw_ctr, m, IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT, 16);
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

static const struct impl impls[IMPLS] = {
	{"ours", run_ours, 0, 0},
	{"openssl", run_openssl, 0, 0},
	{"ipsec-mb", run_raw, 0, 0},
	{"libsrtp2", run_libsrtp2, 3, 64},
};

static unsigned int impl_cnt(void)
{
	return streams > LIB_STREAMS ? IMPLS - 1 : IMPLS;
}

static void master_of(unsigned int stream, uint8_t master[30])
{
	for (unsigned int i = 0; i < 30; i++)
		master[i] = (uint8_t)(stream * 31 + i * 7 + (stream >> 8));
}

static void peer_init(struct peer_key *k, unsigned int stream)
{
	uint8_t master[30], mrk[DP_MB_AES128_RK] __attribute__((aligned(16)));
	uint8_t out[3][20], pad[64];

	master_of(stream, master);
	dp_mb_aes128_expand(raw, master, mrk, NULL);
	for (unsigned int label = 0; label < 3; label++) {
		uint8_t iv[16] __attribute__((aligned(16))) = {0};

		memcpy(iv, master + 16, 14);
		iv[7] ^= (uint8_t)label;
		memset(out[label], 0, 20);
		dp_mb_ctr_set(raw, 0, mrk, 10, iv, out[label], 20);
		dp_mb_ctr_run(raw, 1);
	}
	memset(k, 0, sizeof(*k));
	dp_mb_aes128_expand(raw, out[0], k->rk, NULL);
	dp_mb_hmac_sha1_key(raw, out[1], 20, k->state);
	memcpy(k->salt, out[2], 14);
	k->ctr = EVP_CIPHER_CTX_new();
	EVP_EncryptInit_ex(k->ctr, EVP_aes_128_ctr(), NULL, out[0], NULL);
	for (int outer = 0; outer < 2; outer++) {
		SHA_CTX *c = outer ? &k->outer : &k->inner;

		memset(pad, outer ? 0x5c : 0x36, 64);
		for (int i = 0; i < 20; i++)
			pad[i] ^= out[1][i];
		SHA1_Init(c);
		SHA1_Update(c, pad, 64);
	}
}

static void setup(int suite, unsigned int n)
{
	streams = n;
	cursor = 0;
	tag_len = suite == DP_AES_CM_128_HMAC_SHA1_32 ? 4 : 10;
	for (unsigned int s = 0; s < n; s++) /* one after the other: OpenSSL's contexts lie as close as can be */
		peer_init(&peer[s], s);
	for (unsigned int s = 0; s < n; s++) {
		uint8_t master[30];
		struct dp_srtp_params par = {.suite = (uint8_t)suite, .key = master, .salt = master + 16};
		srtp_policy_t pol;

		master_of(s, master);
		par.dir = DP_DIR_SEND;
		dp_srtp_key_init(mb, &tx[s], &par);
		dp_srtp_key_init(mb, &gen[s], &par);
		par.dir = DP_DIR_RECV;
		dp_srtp_key_init(mb, &rx[s], &par);
		memset(&pol, 0, sizeof(pol));
		if (suite == DP_AES_CM_128_HMAC_SHA1_32)
			srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(&pol.rtp);
		else
			srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&pol.rtp);
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&pol.rtcp);
		pol.key = master;
		pol.window_size = DP_REPLAY_WINDOW;
		pol.ssrc.type = ssrc_any_outbound;
		if (n <= LIB_STREAMS && srtp_create(&lib_tx[s], &pol) != srtp_err_status_ok)
			abort();
		pol.ssrc.type = ssrc_any_inbound;
		if (n <= LIB_STREAMS && srtp_create(&lib_rx[s], &pol) != srtp_err_status_ok)
			abort();
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
}

static void teardown(void)
{
	for (unsigned int s = 0; s < streams; s++) {
		EVP_CIPHER_CTX_free(peer[s].ctr);
		if (streams <= LIB_STREAMS) {
			srtp_dealloc(lib_tx[s]);
			srtp_dealloc(lib_rx[s]);
		}
		dp_srtp_key_wipe(&tx[s]);
		dp_srtp_key_wipe(&rx[s]);
		dp_srtp_key_wipe(&gen[s]);
	}
}

/*
 * RTP headers of the next packets of the next streams, for implementation v. Those that take one ROC per stream and
 * batch could not follow if it turned inside: then the indices are left out. False: nothing made.
 */
static bool fill(unsigned int v, enum op op, unsigned int n, unsigned int payload)
{
	for (unsigned int i = 0; i < n; i++) {
		uint32_t s = order[cursor], ssrc = 0x1000 + s;
		uint64_t idx = index_of[v][op][s]++;
		uint8_t *p = pool.data[i];

		if (i == 0 && streams < n && (idx & 0xffff) + n > 0x10000) {
			index_of[v][op][s] += n;
			return false;
		}
		cursor = cursor + 1 == streams ? 0 : cursor + 1;
		if (i < streams) { /* the generator goes where this implementation is */
			gen[s].first = (struct dp_srtp_stream){.ssrc = ssrc, .valid = 1, .rtp = {.top = idx - 1}};
			gen[s].stream_cnt = 1;
		}
		peer[s].roc = (uint32_t)(idx >> 16);
		pool.stream[i] = s;
		pool.len[i] = (uint16_t)(HDR + payload);
		p[0] = 0x80;
		p[1] = 0;
		p[2] = (uint8_t)(idx >> 8);
		p[3] = (uint8_t)idx;
		memset(p + 4, 0, 4);
		for (int b = 0; b < 4; b++)
			p[8 + b] = (uint8_t)(ssrc >> (24 - 8 * b));
	}
	return true;
}

static void make_wire(unsigned int n)
{
	struct dp_srtp_pkt pkts[DP_SRTP_BURST];

	for (unsigned int at = 0; at < n; at += DP_SRTP_BURST) {
		uint16_t m = (uint16_t)(n - at < DP_SRTP_BURST ? n - at : DP_SRTP_BURST);

		for (unsigned int i = 0; i < m; i++)
			pkts[i] = (struct dp_srtp_pkt){.data = pool.data[at + i], .len = pool.len[at + i], .room = 16,
						       .key = &gen[pool.stream[at + i]]};
		pool.bad += m - dp_srtp_protect_burst(mb, pkts, m);
	}
}

static int cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/*
 * TSC ticks per packet: the median over batches, at least 'ticks' of work. A batch is some 50 us, so that one in which
 * another process had the core is an outlier and not an average.
 */
static double measure(unsigned int v, enum op op, unsigned int payload, unsigned int burst, uint64_t ticks)
{
	static uint64_t batch[BATCHES_MAX];
	const struct impl *impl = &impls[v];
	unsigned int n = impl->limit > 0 && streams > 1 ? impl->limit : BATCH, cnt = 0;
	uint64_t spent = 0;

	do {
		if (!fill(v, op, n, payload))
			continue;
		if (op == UNPROTECT)
			make_wire(n);
		batch[cnt] = bench_tsc();
		impl->run(op, n, burst);
		batch[cnt] = bench_tsc() - batch[cnt];
		spent += batch[cnt++];
	} while (cnt == 0 || (spent < ticks && cnt < BATCHES_MAX));
	qsort(batch, cnt, sizeof(*batch), cmp);
	return (double)batch[cnt / 2] / (double)n;
}

/* All make the same of one batch, or the figures mean nothing. */
static int verify(unsigned int payload, unsigned int burst)
{
	static uint8_t plain[BATCH][SLOT], wire[BATCH][SLOT];
	int wrong = 0;

	for (unsigned int i = 0; i < BATCH; i++)
		for (unsigned int b = 0; b < HDR + payload; b++)
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
		impls[v].run(PROTECT, 64, burst);
		for (unsigned int i = 0; i < 64; i++) {
			if (v == 0)
				memcpy(wire[i], pool.data[i], SLOT);
			wrong += memcmp(wire[i], pool.data[i], HDR + payload + tag_len) != 0;
		}
		impls[v].run(UNPROTECT, 64, burst);
		for (unsigned int i = 0; i < 64; i++)
			wrong += memcmp(plain[i], pool.data[i], HDR + payload) != 0;
	}
	if (wrong != 0 || pool.bad != 0)
		fprintf(stderr, "ravelin-bench srtp: results differ: %d packets, %llu refused\n", wrong,
			(unsigned long long)pool.bad);
	return wrong != 0 || pool.bad != 0;
}

static void run_case(const struct bench_opts *opts, int suite, enum op op, unsigned int payload)
{
	static const char *const suites[] = {"", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"};
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 5 : 9, burst = opts->burst > 0 ? opts->burst : BURST;
	uint64_t ticks = (uint64_t)(opts->tsc_hz * (opts->quick ? 0.003 : 0.012));
	double tsc[IMPLS][BENCH_RUNS_MAX], value[IMPLS][BENCH_RUNS_MAX];
	unsigned int cnt[IMPLS];

	for (unsigned int v = 0; v < impl_cnt(); v++) {
		cnt[v] = impls[v].runs_big > 0 && streams > 1 && runs > impls[v].runs_big ? impls[v].runs_big : runs;
		measure(v, op, payload, burst, cnt[v] == runs ? ticks / 4 : 1); /* warm */
	}
	for (unsigned int r = 0; r < runs; r++)
		for (unsigned int v = 0; v < impl_cnt(); v++)
			if (r < cnt[v]) {
				tsc[v][r] = measure(v, op, payload, burst, cnt[v] == runs ? ticks : 1);
				value[v][r] = opts->tsc_hz / tsc[v][r];
			}
	for (unsigned int v = 1; v < impl_cnt(); v++)
		bench_row(opts, &(struct bench_row){
			.bench = "srtp",
			.kase = json_pack("{s:s, s:s, s:i, s:i}", "suite", suites[suite], "op",
					  op == PROTECT ? "protect" : "unprotect", "payload", (int)payload, "streams",
					  (int)streams),
			.unit = "packet/s/core",
			.peer = impls[v].name,
			.value = value[0],
			.peer_value = value[v],
			.runs = runs,
			.peer_runs = cnt[v],
			.cycles = bench_quantile(tsc[0], runs, 0.5),
			.more = json_pack("{s:f, s:i}", "peer_cycles", bench_quantile(tsc[v], cnt[v], 0.5), "burst",
					  (int)burst),
		});
}

static void *array(size_t n, size_t size)
{
	void *p = aligned_alloc(64, (n * size + 63) / 64 * 64);

	if (p == NULL)
		abort();
	memset(p, 0, n * size);
	return p;
}

static bool wanted(const struct bench_opts *opts, int suite, int op, int payload, int n)
{
	json_t *k = json_pack("{s:s, s:s, s:i, s:i}", "suite",
			      suite == DP_AES_CM_128_HMAC_SHA1_32 ? "AES_CM_128_HMAC_SHA1_32" : "AES_CM_128_HMAC_SHA1_80",
			      "op", op == PROTECT ? "protect" : "unprotect", "payload", payload, "streams", n);
	bool yes = bench_wanted(opts, k);

	json_decref(k);
	return yes;
}

int bench_srtp(const struct bench_opts *opts)
{
	static const unsigned int counts[] = {1, 1000, STREAMS}, payloads[] = {20, 160, 1200};
	int rc = 0;

	if (opts->burst > DP_SRTP_BURST) {
		fprintf(stderr, "ravelin-bench srtp: a burst is at most %d packets\n", DP_SRTP_BURST);
		return 1;
	}
	bench_pin(opts->cpu);
	mb = dp_mb_create();
	raw = dp_mb_create();
	raw_templates();
	if (mb == NULL || raw == NULL || srtp_init() != srtp_err_status_ok)
		return 1;
	pool.mem = array(BATCH, SLOT);
	for (unsigned int i = 0; i < BATCH; i++)
		pool.data[i] = pool.mem + (size_t)i * SLOT + (size_t)(i % 8) * 64; /* not all in the same cache sets */
	tx = array(STREAMS, sizeof(*tx));
	rx = array(STREAMS, sizeof(*rx));
	gen = array(STREAMS, sizeof(*gen));
	peer = array(STREAMS, sizeof(*peer));
	lib_tx = array(STREAMS, sizeof(*lib_tx));
	lib_rx = array(STREAMS, sizeof(*lib_rx));
	for (unsigned int v = 0; v < IMPLS; v++)
		for (int op = PROTECT; op <= UNPROTECT; op++)
			index_of[v][op] = array(STREAMS, sizeof(uint64_t));
	order = array(STREAMS, sizeof(*order));
	for (int suite = DP_AES_CM_128_HMAC_SHA1_80; suite <= DP_AES_CM_128_HMAC_SHA1_32; suite++)
		for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
			bool any = false;

			for (size_t p = 0; p < 6; p++)
				any = any || wanted(opts, suite, (int)(p % 2), (int)payloads[p / 2], (int)counts[c]);
			if (!any)
				continue;
			setup(suite, counts[c]);
			for (size_t p = 0; p < 3; p++) /* first: all are at the same index still */
				rc |= verify(payloads[p], opts->burst > 0 ? opts->burst : BURST);
			for (size_t p = 0; p < 3; p++) {
				for (int op = PROTECT; op <= UNPROTECT; op++)
					if (wanted(opts, suite, op, (int)payloads[p], (int)counts[c]))
						run_case(opts, suite, (enum op)op, payloads[p]);
			}
			teardown();
		}
	if (pool.bad != 0) {
		fprintf(stderr, "ravelin-bench srtp: %llu packets refused\n", (unsigned long long)pool.bad);
		rc = 1;
	}
	free(tx);
	free(rx);
	free(gen);
	free(peer);
	free(lib_tx);
	free(lib_rx);
	for (unsigned int v = 0; v < IMPLS; v++)
		for (int op = PROTECT; op <= UNPROTECT; op++)
			free(index_of[v][op]);
	free(order);
	free(pool.mem);
	srtp_shutdown();
	dp_mb_destroy(mb);
	dp_mb_destroy(raw);
	return rc;
}
