/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/srtp/srtp.c, stream.c: published packets, bursts against the slow reference of srtp_ref.h and an exact
 * model of index guess and window, bursts against the same packets one by one. RFC 3711.
 * Rows: 001:P1-021, P1-099; 004a:SRTP-02.
 */
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "crypto/mb.h"
#include "srtp/srtp.h"
#include "srtp/stream.h"
#include "srtp_ref.h"
#include "srtp_vectors.h"

static struct dp_mb *mb;
static struct dp_srtp_pool *pool;
static uint8_t mkey[16], msalt[14];

static int setup(void)
{
	mb = dp_mb_create();
	pool = dp_srtp_pool_create(64, 0);
	unhex(srtp_b3_key, mkey);
	unhex(srtp_b3_salt, msalt);
	return mb == NULL || pool == NULL;
}

static int teardown(void)
{
	dp_srtp_pool_destroy(pool);
	dp_srtp_pool_destroy(NULL);
	dp_mb_destroy(mb);
	return 0;
}

static struct dp_srtp_key key_new(int suite, int dir, uint32_t ssrc, uint64_t floor)
{
	struct dp_srtp_key key;
	struct dp_srtp_params par = {.suite = (uint8_t)suite, .dir = (uint8_t)dir, .ssrc = ssrc, .index_floor = floor,
				     .key = mkey, .salt = msalt, .pool = pool};

	CU_ASSERT_EQUAL_FATAL(dp_srtp_key_init(mb, &key, &par), 0);
	return key;
}

static size_t rtp_make(uint8_t *p, uint32_t ssrc, uint16_t seq, size_t payload, uint8_t fill)
{
	memset(p, 0, 12);
	p[0] = 0x80;
	p[2] = (uint8_t)(seq >> 8);
	p[3] = (uint8_t)seq;
	for (int i = 0; i < 4; i++)
		p[8 + i] = (uint8_t)(ssrc >> (24 - 8 * i));
	memset(p + 12, fill, payload);
	return 12 + payload;
}

static struct dp_srtp_pkt pkt_of(uint8_t *data, size_t len, struct dp_srtp_key *key)
{
	return (struct dp_srtp_pkt){.data = data, .len = (uint16_t)len, .room = 16, .key = key};
}

static uint8_t unprotect_one(struct dp_srtp_key *key, uint8_t *data, size_t *len)
{
	struct dp_srtp_pkt pkt = pkt_of(data, *len, key);
	uint16_t ok = dp_srtp_unprotect_burst(mb, &pkt, 1);

	CU_ASSERT_EQUAL(ok, pkt.verdict == DP_OK);
	if (pkt.verdict != DP_OK)
		CU_ASSERT_EQUAL(pkt.len, *len);
	*len = pkt.len;
	return pkt.verdict;
}

static uint8_t protect_one(struct dp_srtp_key *key, uint8_t *data, size_t *len, uint64_t *reserved)
{
	struct dp_srtp_pkt pkt = pkt_of(data, *len, key);
	uint16_t ok;

	pkt.tx_reserved = reserved;
	ok = dp_srtp_protect_burst(mb, &pkt, 1);
	CU_ASSERT_EQUAL(ok, pkt.verdict == DP_OK);
	*len = pkt.len;
	return pkt.verdict;
}

static void test_published(void)
{
	for (size_t i = 0; i < sizeof(srtp_packets) / sizeof(srtp_packets[0]); i++) {
		uint64_t before = srtp_packets[i].before;
		struct dp_srtp_key tx = key_new(srtp_packets[i].suite, DP_DIR_SEND, 0, before);
		struct dp_srtp_key rx = key_new(srtp_packets[i].suite, DP_DIR_RECV, 0, before);
		uint8_t p[64], plain[64], wire[64];
		size_t plen = unhex(srtp_packets[i].plain, plain), wlen = unhex(srtp_packets[i].wire, wire);
		size_t len = plen;

		memcpy(p, plain, plen);
		CU_ASSERT_EQUAL(protect_one(&tx, p, &len, NULL), DP_OK);
		CU_ASSERT_EQUAL_FATAL(len, wlen);
		CU_ASSERT_EQUAL(memcmp(p, wire, wlen), 0);
		CU_ASSERT_EQUAL(unprotect_one(&rx, p, &len), DP_OK);
		CU_ASSERT_EQUAL(len, plen);
		CU_ASSERT_EQUAL(memcmp(p, plain, plen), 0);
		CU_ASSERT_EQUAL(dp_srtp_key_top(&rx), dp_srtp_key_top(&tx));
		memcpy(p, wire, wlen);
		len = wlen;
		CU_ASSERT_EQUAL(unprotect_one(&rx, p, &len), DP_DROP_REPLAY);
		dp_srtp_key_wipe(&tx);
		dp_srtp_key_wipe(&rx);
	}
}

/* Headers of every shape, payloads from 0 up; the packet is protected by ours and by the reference. */
static void test_shapes(void)
{
	for (int suite = 1; suite <= 2; suite++) {
		struct dp_srtp_key tx = key_new(suite, DP_DIR_SEND, 0, 0), rx = key_new(suite, DP_DIR_RECV, 0, 0);
		struct ref ref;
		uint16_t seq = 0;
		int wrong = 0;

		ref_init(&ref, mkey, msalt, suite == 1 ? 10 : 4);
		for (unsigned int cc = 0; cc < 16; cc += 5)
			for (unsigned int ext = 0; ext < 4; ext++)
				for (unsigned int payload = 0; payload < 70; payload += payload < 5 ? 1 : 13) {
					uint8_t *p = malloc(400), *q = malloc(400), *plain = malloc(400);
					size_t hdr = 12 + 4 * cc + (ext > 0 ? 4 + 4 * (ext - 1) : 0), len, want;

					seq++;
					rtp_make(p, 7, seq, 300, (uint8_t)seq);
					p[0] = (uint8_t)(0x80 | cc | (ext > 0 ? 0x10 : 0));
					if (ext > 0) {
						p[12 + 4 * cc + 2] = 0;
						p[12 + 4 * cc + 3] = (uint8_t)(ext - 1);
					}
					len = hdr + payload;
					if (payload > 3) {
						p[0] |= 0x20;
						p[len - 1] = (uint8_t)(seq % 2 ? 1 : payload);
					}
					memcpy(q, p, 400);
					memcpy(plain, p, 400);
					want = ref_protect(&ref, q, len, hdr, seq);
					wrong += protect_one(&tx, p, &len, NULL) != DP_OK;
					wrong += len != want || memcmp(p, q, len) != 0;
					wrong += unprotect_one(&rx, p, &len) != DP_OK;
					wrong += len != hdr + payload || memcmp(p, plain, len) != 0;
					free(p);
					free(q);
					free(plain);
				}
		CU_ASSERT_EQUAL(wrong, 0);
		dp_srtp_key_wipe(&tx);
		dp_srtp_key_wipe(&rx);
	}
}

static void test_padding_lies(void)
{
	static const struct {
		unsigned int payload;
		uint8_t pad;
		int ok;
	} cases[] = {{0, 0, 0}, {10, 0, 0}, {10, 1, 1}, {10, 10, 1}, {10, 11, 0}, {10, 255, 0}, {1, 1, 1}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dp_srtp_key tx = key_new(1, DP_DIR_SEND, 0, 0), rx = key_new(1, DP_DIR_RECV, 0, 0);
		struct ref ref;
		uint8_t p[64], q[64];
		size_t len = rtp_make(p, 9, 1, cases[i].payload, 3), qlen;

		p[0] |= 0x20;
		if (cases[i].payload > 0)
			p[len - 1] = cases[i].pad;
		memcpy(q, p, sizeof(p));
		ref_init(&ref, mkey, msalt, 10);
		qlen = ref_protect(&ref, q, len, 12, 1);
		CU_ASSERT_EQUAL(protect_one(&tx, p, &len, NULL), cases[i].ok ? DP_OK : DP_DROP_RTP_MALFORMED);
		CU_ASSERT_EQUAL(unprotect_one(&rx, q, &qlen), cases[i].ok ? DP_OK : DP_DROP_RTP_MALFORMED);
		dp_srtp_key_wipe(&tx);
		dp_srtp_key_wipe(&rx);
	}
}

/* Every prefix of a packet with CSRC list, extension and padding, on exact-size heap copies. */
static void test_truncated(void)
{
	for (int suite = 1; suite <= 2; suite++) {
		struct dp_srtp_key tx = key_new(suite, DP_DIR_SEND, 0, 0), rx = key_new(suite, DP_DIR_RECV, 0, 0);
		struct dp_srtp_key untouched;
		uint8_t full[128];
		size_t hdr = 12 + 8 + 4 + 8, plen = hdr + 20, len;
		struct ref ref;

		rtp_make(full, 1, 100, 100, 0xaa);
		full[0] = 0xb2; /* P, X, CC 2 */
		full[22] = 0;
		full[23] = 2;
		full[plen - 1] = 4;
		for (size_t cut = 0; cut < plen; cut++) { /* the plain packet, to be protected */
			uint8_t *p = malloc(cut + 16);
			uint8_t v;

			memcpy(p, full, cut);
			memset(p + cut, 0, 16);
			len = cut;
			v = protect_one(&tx, p, &len, NULL);
			if (cut < hdr)
				CU_ASSERT_EQUAL(v, DP_DROP_RTP_MALFORMED);
			free(p);
		}
		ref_init(&ref, mkey, msalt, suite == 1 ? 10 : 4);
		len = ref_protect(&ref, full, plen, hdr, 100);
		untouched = rx;
		for (size_t cut = 0; cut < len; cut++) {
			uint8_t *p = malloc(cut > 0 ? cut : 1);
			size_t n = cut;
			uint8_t v;

			memcpy(p, full, cut);
			v = unprotect_one(&rx, p, &n);
			CU_ASSERT(v == DP_DROP_AUTH || v == DP_DROP_RTP_MALFORMED);
			if (cut < hdr + (size_t)ref.tag_len)
				CU_ASSERT_EQUAL(v, DP_DROP_RTP_MALFORMED);
			free(p);
		}
		CU_ASSERT_EQUAL(memcmp(&rx, &untouched, sizeof(rx)), 0);
		uint8_t *p = malloc(len); /* whole and of the exact size: nothing is read or written behind it */
		memcpy(p, full, len);
		CU_ASSERT_EQUAL(unprotect_one(&rx, p, &len), DP_OK);
		free(p);
		dp_srtp_key_wipe(&tx);
		dp_srtp_key_wipe(&rx);
	}
}

/* Every bit of a packet flipped: none accepted, nothing changed; then the packet itself passes. */
static void test_forged(void)
{
	for (int suite = 1; suite <= 2; suite++) {
		struct dp_srtp_key rx = key_new(suite, DP_DIR_RECV, 0, 0), untouched;
		struct ref ref;
		uint8_t full[64], p[64];
		size_t len, n;
		int wrong = 0;

		ref_init(&ref, mkey, msalt, suite == 1 ? 10 : 4);
		len = ref_protect(&ref, full, rtp_make(full, 0xcafebabe, 0x1234, 20, 5), 12, 0x1234);
		untouched = rx;
		for (size_t bit = 0; bit < len * 8; bit++) {
			uint8_t v;

			memcpy(p, full, len);
			p[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
			n = len;
			v = unprotect_one(&rx, p, &n);
			wrong += v == DP_OK;
			if (bit >= 96)
				wrong += v != DP_DROP_AUTH;
		}
		CU_ASSERT_EQUAL(wrong, 0);
		CU_ASSERT_EQUAL(memcmp(&rx, &untouched, sizeof(rx)), 0);
		CU_ASSERT_EQUAL(rx.stream_cnt, 0);
		n = len;
		CU_ASSERT_EQUAL(unprotect_one(&rx, full, &n), DP_OK);
		CU_ASSERT_EQUAL(rx.stream_cnt, 1);
		dp_srtp_key_wipe(&rx);
	}
}

static void test_twins_in_one_burst(void)
{
	struct dp_srtp_key rx = key_new(1, DP_DIR_RECV, 0, 0), tx = key_new(1, DP_DIR_SEND, 0, 0);
	struct dp_srtp_pkt pkts[DP_SRTP_BURST];
	static uint8_t data[DP_SRTP_BURST][64];
	struct ref ref;
	int ok = 0;

	ref_init(&ref, mkey, msalt, 10);
	for (int i = 0; i < DP_SRTP_BURST; i++) {
		uint16_t seq = (uint16_t)(500 + i / 4); /* each four times */
		size_t len = ref_protect(&ref, data[i], rtp_make(data[i], 3, seq, 20, 1), 12, seq);

		if (i % 4 == 0)
			data[i][20] ^= 1; /* a forged one first: it must not take its twins' place */
		pkts[i] = pkt_of(data[i], len, &rx);
	}
	ok = dp_srtp_unprotect_burst(mb, pkts, DP_SRTP_BURST);
	CU_ASSERT_EQUAL(ok, DP_SRTP_BURST / 4);
	for (int i = 0; i < DP_SRTP_BURST; i++)
		CU_ASSERT_EQUAL(pkts[i].verdict, i % 4 == 0 ? DP_DROP_AUTH : i % 4 == 1 ? DP_OK : DP_DROP_REPLAY);
	for (int i = 0; i < DP_SRTP_BURST; i++) {
		size_t len = rtp_make(data[i], 3, (uint16_t)(i / 2), 20, (uint8_t)i);

		pkts[i] = pkt_of(data[i], len, &tx);
	}
	CU_ASSERT_EQUAL(dp_srtp_protect_burst(mb, pkts, DP_SRTP_BURST), DP_SRTP_BURST / 2);
	for (int i = 0; i < DP_SRTP_BURST; i++)
		CU_ASSERT_EQUAL(pkts[i].verdict, i % 2 == 0 ? DP_OK : DP_DROP_REPLAY);
	dp_srtp_key_wipe(&rx);
	dp_srtp_key_wipe(&tx);
}

/* The nearest index that ends in seq, by trying all three; RFC 3711 s3.3.1. A tie stays in the same ROC. */
static uint64_t model_guess(uint64_t top, uint16_t seq)
{
	uint64_t roc = top >> 16, best = roc << 16 | seq, dist = best > top ? best - top : top - best;

	for (int d = -1; d <= 1; d += 2) {
		uint64_t cand, far;

		if (d < 0 && roc == 0)
			continue;
		cand = (roc + (uint64_t)d) << 16 | seq;
		far = cand > top ? cand - top : top - cand;
		if (far < dist) {
			best = cand;
			dist = far;
		}
	}
	return best;
}

static void test_guess(void)
{
	static const uint32_t near[] = {0, 1, 2, 32766, 32767, 32768, 32769, 32770, 65534, 65535};
	uint64_t r = 3;
	int wrong = 0;

	for (uint64_t roc = 0; roc < 3; roc++)
		for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++)
			for (uint32_t seq = 0; seq < 65536; seq++) {
				uint64_t top = roc << 16 | near[i];

				wrong += dp_srtp_guess(top, (uint16_t)seq) != model_guess(top, (uint16_t)seq);
			}
	for (int i = 0; i < 3000000; i++) {
		uint64_t top = rnd(&r) >> (16 + rnd(&r) % 33);
		uint16_t seq = (uint16_t)rnd(&r);

		wrong += dp_srtp_guess(top, seq) != model_guess(top, seq);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

#define MODEL_SPAN (64u << 16)

/*
 * Packets of known true index, protected by the reference, arrive in wild order in bursts; the model knows what an
 * exact receiver says of each. ROC turns dozens of times.
 */
static void test_exact_model(void)
{
	static bool seen[MODEL_SPAN];
	static uint8_t data[DP_SRTP_BURST][64];
	struct dp_srtp_key rx = key_new(2, DP_DIR_RECV, 0, 0);
	struct dp_srtp_pkt pkts[DP_SRTP_BURST];
	uint8_t want[DP_SRTP_BURST];
	struct ref ref;
	uint64_t r = 20011, top = 65000, accepted = 0;
	int wrong = 0, begun = 0, verdicts[DP_DROP_MAX] = {0};

	ref_init(&ref, mkey, msalt, 4);
	memset(seen, 0, sizeof(seen));
	for (int burst = 0; burst < 2000 && top < MODEL_SPAN - 70000; burst++) {
		unsigned int n = 1 + rnd(&r) % DP_SRTP_BURST;

		for (unsigned int i = 0; i < n; i++) {
			uint64_t idx, guess, step = rnd(&r) % 1000;
			size_t len;

			if (step < 500)
				idx = top + rnd(&r) % 5;
			else if (step < 800)
				idx = top - rnd(&r) % 200;
			else if (step < 996 || !begun)
				idx = top + rnd(&r) % 300;
			else
				idx = top - 60000 + rnd(&r) % 120000; /* some beyond what a guess can reach */
			len = ref_protect(&ref, data[i], rtp_make(data[i], 5, (uint16_t)idx, rnd(&r) % 30, 1), 12, idx);
			guess = begun ? model_guess(top, (uint16_t)idx) : (uint16_t)idx;
			if (begun && guess <= top && top - guess >= DP_REPLAY_WINDOW)
				want[i] = DP_DROP_STALE;
			else if (seen[guess])
				want[i] = DP_DROP_REPLAY;
			else if (guess != idx)
				want[i] = DP_DROP_AUTH;
			else
				want[i] = DP_OK;
			if (want[i] == DP_OK) {
				seen[idx] = true;
				if (!begun || idx > top)
					top = idx;
				begun = 1;
				accepted++;
			}
			verdicts[want[i]]++;
			pkts[i] = pkt_of(data[i], len, &rx);
		}
		dp_srtp_unprotect_burst(mb, pkts, (uint16_t)n);
		for (unsigned int i = 0; i < n; i++)
			wrong += pkts[i].verdict != want[i];
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(dp_srtp_key_top(&rx), top);
	CU_ASSERT(top >> 16 >= 20 && accepted > 20000);
	CU_ASSERT(verdicts[DP_DROP_STALE] > 100 && verdicts[DP_DROP_REPLAY] > 1000 && verdicts[DP_DROP_AUTH] > 30);
	dp_srtp_key_wipe(&rx);
}

/* A random stew of streams, forgeries, twins and turns: in one burst and one by one the same comes out. */
static void test_burst_is_sequence(void)
{
	static uint8_t a[DP_SRTP_BURST][128], b[DP_SRTP_BURST][128];
	uint64_t r = 77;
	int wrong = 0;

	for (int round = 0; round < 60; round++) {
		struct dp_srtp_key key[2] = {key_new(1 + round % 2, DP_DIR_RECV, 0, 0),
					     key_new(1 + round % 2, DP_DIR_RECV, 0, 0)};
		struct dp_srtp_key tx[2] = {key_new(1 + round % 2, DP_DIR_SEND, 0, 0),
					    key_new(1 + round % 2, DP_DIR_SEND, 0, 0)};
		uint64_t idx[4] = {65530, 3, 32760, 131070}, reserved[2] = {0, 0};
		struct ref ref;

		ref_init(&ref, mkey, msalt, round % 2 ? 4 : 10);
		for (int burst = 0; burst < 20; burst++) {
			struct dp_srtp_pkt pkts[DP_SRTP_BURST], out[DP_SRTP_BURST];
			unsigned int n = 1 + rnd(&r) % DP_SRTP_BURST;

			for (unsigned int i = 0; i < n; i++) {
				unsigned int s = rnd(&r) % 4;
				uint64_t at;
				size_t len;

				idx[s] += rnd(&r) % 9 == 0 ? rnd(&r) % 32000 : rnd(&r) % 2;
				at = idx[s] - rnd(&r) % 3;
				len = ref_protect(&ref, a[i], rtp_make(a[i], s, (uint16_t)at, rnd(&r) % 90, 1), 12, at);
				if (rnd(&r) % 5 == 0)
					a[i][rnd(&r) % len] ^= (uint8_t)(1 + rnd(&r) % 255);
				memcpy(b[i], a[i], len);
				pkts[i] = pkt_of(a[i], len, rnd(&r) % 50 == 0 ? NULL : &key[0]);
				if (rnd(&r) % 50 == 0)
					pkts[i].verdict = DP_DROP_POLICED; /* not for us: left alone */
				out[i] = pkts[i];
				out[i].data = b[i];
				if (out[i].key != NULL)
					out[i].key = &key[1];
			}
			dp_srtp_unprotect_burst(mb, pkts, (uint16_t)n);
			for (unsigned int i = 0; i < n; i++) {
				dp_srtp_unprotect_burst(mb, &out[i], 1);
				wrong += pkts[i].verdict != out[i].verdict || pkts[i].len != out[i].len;
				if (pkts[i].verdict == DP_OK)
					wrong += memcmp(a[i], b[i], pkts[i].len) != 0 || pkts[i].index != out[i].index;
			}
			/* what passed is protected again, in the order it came */
			for (unsigned int i = 0; i < n; i++) {
				pkts[i].key = &tx[0];
				out[i].key = &tx[1];
				pkts[i].tx_reserved = &reserved[0];
				out[i].tx_reserved = &reserved[1];
			}
			dp_srtp_protect_burst(mb, pkts, (uint16_t)n);
			for (unsigned int i = 0; i < n; i++) {
				dp_srtp_protect_burst(mb, &out[i], 1);
				wrong += pkts[i].verdict != out[i].verdict || pkts[i].len != out[i].len;
				if (pkts[i].verdict == DP_OK)
					wrong += memcmp(a[i], b[i], pkts[i].len) != 0;
			}
			wrong += reserved[0] != reserved[1];
		}
		for (int i = 0; i < 2; i++) {
			dp_srtp_key_wipe(&key[i]);
			dp_srtp_key_wipe(&tx[i]);
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void test_streams_are_bounded(void)
{
	struct ref ref;

	ref_init(&ref, mkey, msalt, 10);
	for (int pass = 0; pass < 20; pass++) { /* again and again: the pool gets its streams back */
		struct dp_srtp_key rx = key_new(1, DP_DIR_RECV, 0, 0), tx = key_new(1, DP_DIR_SEND, 0, 0);
		uint8_t p[64];
		size_t len;

		for (uint32_t s = 0; s < DP_SRTP_SSRCS + 3; s++) {
			uint8_t want = s < DP_SRTP_SSRCS ? DP_OK : DP_DROP_NO_STREAM;

			len = rtp_make(p, 100 + s, 10, 20, 2);
			CU_ASSERT_EQUAL(protect_one(&tx, p, &len, NULL), want);
			len = ref_protect(&ref, p, rtp_make(p, 100 + s, 10, 20, 2), 12, 10);
			p[len - 1] ^= 1;
			CU_ASSERT_EQUAL(unprotect_one(&rx, p, &len), DP_DROP_AUTH);
			p[len - 1] ^= 1;
			len = ref_protect(&ref, p, rtp_make(p, 100 + s, 10, 20, 2), 12, 10);
			CU_ASSERT_EQUAL(unprotect_one(&rx, p, &len), want);
		}
		/* those that have begun go on, and have each a window of their own */
		for (uint32_t s = 0; s < DP_SRTP_SSRCS; s++) {
			len = ref_protect(&ref, p, rtp_make(p, 100 + s, 11, 20, 2), 12, 11);
			CU_ASSERT_EQUAL(unprotect_one(&rx, p, &len), DP_OK);
			len = ref_protect(&ref, p, rtp_make(p, 100 + s, 10, 20, 2), 12, 10);
			CU_ASSERT_EQUAL(unprotect_one(&rx, p, &len), DP_DROP_REPLAY);
			len = rtp_make(p, 100 + s, 10, 20, 2);
			CU_ASSERT_EQUAL(protect_one(&tx, p, &len, NULL), DP_DROP_REPLAY);
		}
		dp_srtp_key_wipe(&rx);
		dp_srtp_key_wipe(&tx);
	}
	/* a pool that is empty, and none at all */
	struct dp_srtp_pool *small = dp_srtp_pool_create(1, 0);
	for (int with = 0; with < 2; with++) {
		struct dp_srtp_key tx;
		struct dp_srtp_params par = {.suite = 1, .dir = DP_DIR_SEND, .key = mkey, .salt = msalt,
					     .pool = with ? small : NULL};
		uint8_t p[64];

		CU_ASSERT_EQUAL(dp_srtp_key_init(mb, &tx, &par), 0);
		for (int s = 0; s < 4; s++) {
			size_t len = rtp_make(p, (uint32_t)s, 1, 5, 1);

			CU_ASSERT_EQUAL(protect_one(&tx, p, &len, NULL), s <= with ? DP_OK : DP_DROP_NO_STREAM);
		}
		dp_srtp_key_wipe(&tx);
	}
	dp_srtp_pool_destroy(small);
}

static void test_restart_never_repeats(void)
{
	const uint64_t last = 0x1fffe; /* highest used before */
	uint64_t reserved = 0;
	struct dp_srtp_key tx = key_new(1, DP_DIR_SEND, 0, last - 10);
	struct ref ref;
	uint8_t p[64], q[64];
	size_t len, qlen;

	len = rtp_make(p, 1, (uint16_t)last, 20, 1);
	CU_ASSERT_EQUAL(protect_one(&tx, p, &len, &reserved), DP_OK);
	CU_ASSERT_EQUAL(reserved, last + DP_TX_RESERVE);
	len = rtp_make(p, 1, (uint16_t)(last + DP_TX_RESERVE), 20, 1);
	CU_ASSERT_EQUAL(protect_one(&tx, p, &len, &reserved), DP_OK);
	CU_ASSERT_EQUAL(reserved, last + DP_TX_RESERVE); /* still covered */
	len = rtp_make(p, 1, (uint16_t)(last + DP_TX_RESERVE + 1), 20, 1);
	CU_ASSERT_EQUAL(protect_one(&tx, p, &len, &reserved), DP_OK);
	CU_ASSERT_EQUAL(reserved, last + 2 * DP_TX_RESERVE + 1);
	dp_srtp_key_wipe(&tx);

	ref_init(&ref, mkey, msalt, 10);
	for (uint32_t named = 0; named <= 1; named++) { /* the process died; floor = what was reserved */
		tx = key_new(1, DP_DIR_SEND, named, reserved);
		for (uint64_t i = reserved - 300; i <= reserved; i++) {
			uint8_t v;

			len = rtp_make(p, 1, (uint16_t)i, 20, 1);
			v = protect_one(&tx, p, &len, NULL);
			CU_ASSERT(v == DP_DROP_REPLAY || v == DP_DROP_STALE);
			len = rtp_make(p, 99, (uint16_t)i, 20, 1); /* another SSRC, named or not */
			v = protect_one(&tx, p, &len, NULL);
			CU_ASSERT(v == DP_DROP_REPLAY || v == DP_DROP_STALE);
		}
		len = rtp_make(p, 1, (uint16_t)(reserved + 1), 20, 1);
		qlen = ref_protect(&ref, q, rtp_make(q, 1, (uint16_t)(reserved + 1), 20, 1), 12, reserved + 1);
		CU_ASSERT_EQUAL(protect_one(&tx, p, &len, NULL), DP_OK);
		CU_ASSERT(len == qlen && memcmp(p, q, len) == 0); /* in the right ROC */
		len = rtp_make(p, 1, (uint16_t)reserved, 20, 1); /* the floor stays when the window has begun */
		CU_ASSERT_EQUAL(protect_one(&tx, p, &len, NULL), DP_DROP_REPLAY);
		dp_srtp_key_wipe(&tx);

		struct dp_srtp_key rx = key_new(1, DP_DIR_RECV, named, last);
		qlen = ref_protect(&ref, q, rtp_make(q, 1, (uint16_t)last, 20, 1), 12, last);
		uint8_t v = unprotect_one(&rx, q, &qlen);
		CU_ASSERT(v == DP_DROP_REPLAY || v == DP_DROP_STALE);
		qlen = ref_protect(&ref, q, rtp_make(q, 1, (uint16_t)(last + 5), 20, 1), 12, last + 5);
		CU_ASSERT_EQUAL(unprotect_one(&rx, q, &qlen), DP_OK);
		qlen = ref_protect(&ref, q, rtp_make(q, 1, (uint16_t)(last + 1), 20, 1), 12, last + 1);
		CU_ASSERT_EQUAL(unprotect_one(&rx, q, &qlen), DP_OK);
		for (uint64_t i = last - 150; i <= last; i++) {
			qlen = ref_protect(&ref, q, rtp_make(q, 1, (uint16_t)i, 20, 1), 12, i);
			CU_ASSERT_EQUAL(unprotect_one(&rx, q, &qlen), DP_DROP_REPLAY);
		}
		dp_srtp_key_wipe(&rx);
	}
}

static void test_key_limit(void)
{
	const uint64_t end = ((uint64_t)1 << 48) - 1;
	struct dp_srtp_key tx = key_new(1, DP_DIR_SEND, 0, end - 2), rx = key_new(1, DP_DIR_RECV, 0, end - 2);
	uint64_t reserved = end - 2;
	uint8_t p[64];
	size_t len;

	for (uint64_t i = end - 1; i <= end; i++) {
		len = rtp_make(p, 1, (uint16_t)i, 20, 1);
		CU_ASSERT_EQUAL(protect_one(&tx, p, &len, &reserved), DP_OK);
		CU_ASSERT_EQUAL(unprotect_one(&rx, p, &len), DP_OK);
	}
	CU_ASSERT_EQUAL(reserved, end);
	for (int i = 0; i < 3; i++) {
		len = rtp_make(p, 1, (uint16_t)i, 20, 1);
		CU_ASSERT_EQUAL(protect_one(&tx, p, &len, &reserved), DP_DROP_KEY_LIMIT);
		len = 42;
		CU_ASSERT_EQUAL(unprotect_one(&rx, p, &len), DP_DROP_KEY_LIMIT);
	}
	CU_ASSERT_EQUAL(dp_srtp_key_top(&tx), end);
	dp_srtp_key_wipe(&tx);
	dp_srtp_key_wipe(&rx);
}

static void test_no_room_no_key(void)
{
	struct dp_srtp_key tx = key_new(1, DP_DIR_SEND, 0, 0);
	uint8_t p[64];
	struct dp_srtp_pkt pkt = pkt_of(p, rtp_make(p, 1, 1, 20, 1), &tx);

	pkt.room = 9;
	CU_ASSERT_EQUAL(dp_srtp_protect_burst(mb, &pkt, 1), 0);
	CU_ASSERT_EQUAL(pkt.verdict, DP_DROP_NO_ROOM);
	CU_ASSERT_EQUAL(tx.stream_cnt, 0); /* and the index is still free */
	pkt.verdict = DP_OK;
	pkt.key = NULL;
	CU_ASSERT_EQUAL(dp_srtp_protect_burst(mb, &pkt, 1), 0);
	CU_ASSERT_EQUAL(pkt.verdict, DP_DROP_NO_KEY);
	pkt.verdict = DP_OK;
	CU_ASSERT_EQUAL(dp_srtp_unprotect_burst(mb, &pkt, 1), 0);
	CU_ASSERT_EQUAL(pkt.verdict, DP_DROP_NO_KEY);
	pkt.verdict = DP_OK;
	pkt.key = &tx;
	pkt.room = 10;
	CU_ASSERT_EQUAL(dp_srtp_protect_burst(mb, &pkt, 1), 1);
	CU_ASSERT_EQUAL(dp_srtp_protect_burst(mb, &pkt, 0), 0);
	dp_srtp_key_wipe(&tx);
	CU_ASSERT(128 + 2 * sizeof(struct dp_srtp_key) <= 1024);
}

static CU_TestInfo tests[] = {
	{"published packets, both ways", test_published},
	{"CSRC list, extension, padding, payload of 0 and up", test_shapes},
	{"padding that does not fit", test_padding_lies},
	{"truncated at every length", test_truncated},
	{"every bit forged, wrong SSRC: no state", test_forged},
	{"of twins in one burst one passes", test_twins_in_one_burst},
	{"index guess: every edge, random tops", test_guess},
	{"index guess and window: exact model, ROC turning", test_exact_model},
	{"a burst is its packets one by one", test_burst_is_sequence},
	{"streams are bounded and given back", test_streams_are_bounded},
	{"after a restart no index twice", test_restart_never_repeats},
	{"2^48 packets are the end of a key", test_key_limit},
	{"no room, no key", test_no_room_no_key},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("srtp", tests, setup, teardown)
