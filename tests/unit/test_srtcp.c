/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/srtp/srtcp.c: published packet, index, E bit, window, truncation, forgeries. RFC 3711 s3.4. */
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "crypto/mb.h"
#include "srtp/srtp.h"
#include "srtp_ref.h"
#include "srtp_vectors.h"

static struct dp_mb *mb;
static struct dp_srtp_pool *pool;
static uint8_t mkey[16], msalt[14];
static struct ref ref;
static const struct dp_srtp_key *clear_for; /* E = 0 is policy with this key */

static int setup(void)
{
	mb = dp_mb_create();
	pool = dp_srtp_pool_create(64, 0);
	unhex(srtp_b3_key, mkey);
	unhex(srtp_b3_salt, msalt);
	ref_init(&ref, mkey, msalt, 10);
	return mb == NULL || pool == NULL;
}

static int teardown(void)
{
	dp_srtp_pool_destroy(pool);
	dp_mb_destroy(mb);
	return 0;
}

static struct dp_srtp_key key_new(int suite, int dir, uint64_t floor)
{
	struct dp_srtp_key key;
	struct dp_srtp_params par = {.suite = (uint8_t)suite, .dir = (uint8_t)dir, .rtcp_floor = floor, .key = mkey, .salt = msalt, .pool = pool};

	CU_ASSERT_EQUAL_FATAL(dp_srtp_key_init(mb, &key, &par), 0);
	return key;
}

static size_t rtcp_make(uint8_t *p, uint32_t ssrc, size_t len, uint8_t fill)
{
	memset(p, fill, len);
	p[0] = 0x80;
	p[1] = 201;
	p[2] = 0;
	p[3] = (uint8_t)(len / 4 - 1);
	for (int i = 0; i < 4; i++)
		p[4 + i] = (uint8_t)(ssrc >> (24 - 8 * i));
	return len;
}

static uint8_t one(struct dp_srtp_key *key, uint8_t *data, size_t *len, uint64_t *reserved)
{
	struct dp_srtp_pkt pkt = {.data = data, .len = (uint16_t)*len, .room = 14, .key = key,
				  .tx_reserved = reserved, .clear = key == clear_for};
	uint16_t ok = key->dir == DP_DIR_SEND ? dp_srtcp_protect_burst(mb, &pkt, 1)
					      : dp_srtcp_unprotect_burst(mb, &pkt, 1);

	CU_ASSERT_EQUAL(ok, pkt.verdict == DP_OK);
	if (pkt.verdict != DP_OK)
		CU_ASSERT_EQUAL(pkt.len, *len);
	*len = pkt.len;
	return pkt.verdict;
}

static void test_published(void)
{
	for (int suite = 1; suite <= 2; suite++) { /* the tag is 80 bits with both */
		struct dp_srtp_key tx = key_new(suite, DP_DIR_SEND, 0), rx = key_new(suite, DP_DIR_RECV, 0);
		uint8_t p[64], plain[64], wire[64];
		size_t len = unhex(srtcp_packet.plain, plain), wlen = unhex(srtcp_packet.wire, wire), n = len;

		memcpy(p, plain, len);
		CU_ASSERT_EQUAL(one(&tx, p, &n, NULL), DP_OK);
		CU_ASSERT_EQUAL_FATAL(n, wlen);
		CU_ASSERT_EQUAL(memcmp(p, wire, wlen), 0);
		CU_ASSERT_EQUAL(dp_srtp_key_rtcp_top(&tx), 1);
		CU_ASSERT_EQUAL(one(&rx, p, &n, NULL), DP_OK);
		CU_ASSERT_EQUAL(n, len);
		CU_ASSERT_EQUAL(memcmp(p, plain, len), 0);
		CU_ASSERT_EQUAL(dp_srtp_key_rtcp_top(&rx), 1);
		memcpy(p, wire, wlen);
		n = wlen;
		CU_ASSERT_EQUAL(one(&rx, p, &n, NULL), DP_DROP_REPLAY);
		dp_srtp_key_wipe(&tx);
		dp_srtp_key_wipe(&rx);
	}
}

static void test_index_zero_and_lengths(void)
{
	struct dp_srtp_key rx = key_new(1, DP_DIR_RECV, 0), tx = key_new(1, DP_DIR_SEND, 0);
	uint8_t p[400], q[400], plain[400];
	uint32_t index = 0;

	/* a sender may begin at 0 (RFC 3711) or 1 (libsrtp) */
	for (size_t len = 8; len < 300; len += 4, index++) {
		size_t n = ref_rtcp_protect(&ref, p, rtcp_make(p, 1, len, (uint8_t)len), index, 1), m = len;

		rtcp_make(plain, 1, len, (uint8_t)len);
		CU_ASSERT_EQUAL(one(&rx, p, &n, NULL), DP_OK);
		CU_ASSERT(n == len && memcmp(p, plain, len) == 0);
		CU_ASSERT_EQUAL(one(&tx, plain, &m, NULL), DP_OK);
		n = ref_rtcp_protect(&ref, q, rtcp_make(q, 1, len, (uint8_t)len), index + 1, 1);
		CU_ASSERT(n == m && memcmp(q, plain, n) == 0);
	}
	dp_srtp_key_wipe(&rx);
	dp_srtp_key_wipe(&tx);
}

static void test_e_bit(void)
{
	struct dp_srtp_key strict = key_new(1, DP_DIR_RECV, 0), lax = key_new(1, DP_DIR_RECV, 0);
	uint8_t p[64], plain[64];
	size_t n;

	clear_for = &lax;
	rtcp_make(plain, 1, 24, 9);
	n = ref_rtcp_protect(&ref, p, rtcp_make(p, 1, 24, 9), 5, 0);
	CU_ASSERT_EQUAL(one(&strict, p, &n, NULL), DP_DROP_POLICY);
	CU_ASSERT_EQUAL(strict.stream_cnt, 0);
	p[12] ^= 1;
	CU_ASSERT_EQUAL(one(&lax, p, &n, NULL), DP_DROP_AUTH); /* in clear, but not from anyone */
	p[12] ^= 1;
	CU_ASSERT_EQUAL(lax.stream_cnt, 0);
	CU_ASSERT_EQUAL(one(&lax, p, &n, NULL), DP_OK);
	CU_ASSERT(n == 24 && memcmp(p, plain, 24) == 0);
	/* E flipped on the way: the tag covers it */
	n = ref_rtcp_protect(&ref, p, rtcp_make(p, 1, 24, 9), 6, 1);
	p[24] ^= 0x80;
	CU_ASSERT_EQUAL(one(&lax, p, &n, NULL), DP_DROP_AUTH);
	n = ref_rtcp_protect(&ref, p, rtcp_make(p, 1, 24, 9), 6, 0);
	p[24] ^= 0x80;
	CU_ASSERT_EQUAL(one(&strict, p, &n, NULL), DP_DROP_AUTH);
	n = ref_rtcp_protect(&ref, p, rtcp_make(p, 1, 24, 9), 6, 1);
	CU_ASSERT_EQUAL(one(&lax, p, &n, NULL), DP_OK); /* both kinds share a window */
	n = ref_rtcp_protect(&ref, p, rtcp_make(p, 1, 24, 9), 6, 0);
	CU_ASSERT_EQUAL(one(&lax, p, &n, NULL), DP_DROP_REPLAY);
	clear_for = NULL;
	dp_srtp_key_wipe(&strict);
	dp_srtp_key_wipe(&lax);
}

static void test_truncated_and_forged(void)
{
	struct dp_srtp_key rx = key_new(1, DP_DIR_RECV, 0), tx = key_new(1, DP_DIR_SEND, 0), untouched = rx;
	uint8_t full[64], p[64];
	size_t len = ref_rtcp_protect(&ref, full, rtcp_make(full, 1, 28, 4), 3, 1);
	int wrong = 0;

	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *q = malloc(cut > 0 ? cut : 1), v;
		size_t n = cut;

		memcpy(q, full, cut);
		v = one(&rx, q, &n, NULL);
		if (cut < 8 + 14)
			wrong += v != DP_DROP_RTCP_MALFORMED;
		wrong += v == DP_OK;
		free(q);
	}
	for (size_t cut = 0; cut < 8; cut++) {
		uint8_t *q = malloc(cut + 14);
		size_t n = cut;

		memset(q, 0x80, cut + 14);
		wrong += one(&tx, q, &n, NULL) != DP_DROP_RTCP_MALFORMED;
		free(q);
	}
	for (size_t bit = 0; bit < len * 8; bit++) {
		size_t n = len;

		memcpy(p, full, len);
		p[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
		wrong += one(&rx, p, &n, NULL) == DP_OK;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(memcmp(&rx, &untouched, sizeof(rx)), 0);
	CU_ASSERT_EQUAL(tx.rtcp_next, 1);
	uint8_t *q = malloc(len);
	memcpy(q, full, len);
	CU_ASSERT_EQUAL(one(&rx, q, &len, NULL), DP_OK);
	free(q);
	dp_srtp_key_wipe(&rx);
	dp_srtp_key_wipe(&tx);
}

/* Bursts of several keys and streams, disordered, with twins and forgeries; a model says what must come. */
static void test_bursts(void)
{
	enum { KEYS = 3, SPAN = 6000 };
	static bool seen[KEYS][2][SPAN];
	static uint8_t data[DP_SRTP_BURST][64];
	struct dp_srtp_key rx[KEYS];
	struct ref refs[KEYS];
	uint64_t r = 5, top[KEYS][2] = {{0}};
	int wrong = 0, count[DP_DROP_MAX] = {0};

	for (int k = 0; k < KEYS; k++) {
		mkey[0] = (uint8_t)k;
		ref_init(&refs[k], mkey, msalt, 10);
		rx[k] = key_new(1, DP_DIR_RECV, 0);
	}
	unhex(srtp_b3_key, mkey);
	memset(seen, 0, sizeof(seen));
	for (int burst = 0; burst < 1000; burst++) {
		struct dp_srtp_pkt pkts[DP_SRTP_BURST];
		uint8_t want[DP_SRTP_BURST];
		unsigned int n = 1 + rnd(&r) % DP_SRTP_BURST;

		for (unsigned int i = 0; i < n; i++) {
			unsigned int k = rnd(&r) % KEYS, s = rnd(&r) % 2;
			uint64_t at = top[k][s] + rnd(&r) % 3, back = rnd(&r) % 220;
			bool forged = rnd(&r) % 6 == 0;
			size_t len;

			if (rnd(&r) % 3 == 0)
				at = at > back ? at - back : 0;
			if (at >= SPAN)
				at = SPAN - 1;
			len = ref_rtcp_protect(&refs[k], data[i], rtcp_make(data[i], s, 32, 1), (uint32_t)at, 1);
			if (forged)
				data[i][8 + rnd(&r) % 24] ^= 4;
			if (at <= top[k][s] && top[k][s] - at >= DP_REPLAY_WINDOW)
				want[i] = DP_DROP_STALE;
			else if (seen[k][s][at])
				want[i] = DP_DROP_REPLAY;
			else
				want[i] = forged ? DP_DROP_AUTH : DP_OK;
			if (want[i] == DP_OK) {
				seen[k][s][at] = true;
				if (at > top[k][s])
					top[k][s] = at;
			}
			count[want[i]]++;
			pkts[i] = (struct dp_srtp_pkt){.data = data[i], .len = (uint16_t)len, .key = &rx[k]};
		}
		dp_srtcp_unprotect_burst(mb, pkts, (uint16_t)n);
		for (unsigned int i = 0; i < n; i++) {
			/* a forged twin of a packet that comes later in the burst is AUTH, of an earlier one REPLAY */
			wrong += pkts[i].verdict != want[i];
			if (pkts[i].verdict == DP_OK)
				wrong += pkts[i].len != 32 || data[i][31] != 1 || data[i][8] != 1;
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(count[DP_OK] > 5000 && count[DP_DROP_REPLAY] > 1000 && count[DP_DROP_AUTH] > 500 &&
		  count[DP_DROP_STALE] > 50);
	for (int k = 0; k < KEYS; k++)
		dp_srtp_key_wipe(&rx[k]);
}

static void test_protect_bursts(void)
{
	struct dp_srtp_key tx[2] = {key_new(1, DP_DIR_SEND, 0), key_new(2, DP_DIR_SEND, 7)};
	static uint8_t data[DP_SRTP_BURST][64];
	struct dp_srtp_pkt pkts[DP_SRTP_BURST];
	uint32_t next[2] = {1, 8};

	for (int i = 0; i < DP_SRTP_BURST; i++)
		pkts[i] = (struct dp_srtp_pkt){.data = data[i], .len = (uint16_t)rtcp_make(data[i], (uint32_t)i % 3, 20, 6),
					       .room = 14, .key = &tx[i / 5 % 2]};
	CU_ASSERT_EQUAL(dp_srtcp_protect_burst(mb, pkts, DP_SRTP_BURST), DP_SRTP_BURST);
	for (int i = 0; i < DP_SRTP_BURST; i++) { /* no index twice under one key, whatever the SSRC */
		uint8_t want[64];
		size_t n = ref_rtcp_protect(&ref, want, rtcp_make(want, (uint32_t)i % 3, 20, 6), next[i / 5 % 2]++, 1);

		CU_ASSERT(n == pkts[i].len && memcmp(want, data[i], n) == 0);
	}
	pkts[0] = (struct dp_srtp_pkt){.data = data[0], .len = 20, .room = 13, .key = &tx[0]};
	pkts[1] = (struct dp_srtp_pkt){.data = data[1], .len = 20, .room = 14};
	rtcp_make(data[0], 1, 20, 1);
	CU_ASSERT_EQUAL(dp_srtcp_protect_burst(mb, pkts, 2), 0);
	CU_ASSERT_EQUAL(pkts[0].verdict, DP_DROP_NO_ROOM);
	CU_ASSERT_EQUAL(pkts[1].verdict, DP_DROP_NO_KEY);
	CU_ASSERT_EQUAL(tx[0].rtcp_next, next[0]);
	dp_srtp_key_wipe(&tx[0]);
	dp_srtp_key_wipe(&tx[1]);
}

static void test_limits_and_floor(void)
{
	const uint64_t end = ((uint64_t)1 << 31) - 1;
	struct dp_srtp_key tx = key_new(1, DP_DIR_SEND, end - 2), rx = key_new(1, DP_DIR_RECV, end - 2);
	uint64_t reserved = 0;
	uint8_t p[64], q[64];
	size_t n;

	n = ref_rtcp_protect(&ref, q, rtcp_make(q, 1, 20, 1), (uint32_t)end - 2, 1);
	CU_ASSERT_EQUAL(one(&rx, q, &n, NULL), DP_DROP_STALE);
	CU_ASSERT_EQUAL(rx.stream_cnt, 0);
	for (uint64_t i = end - 1; i <= end; i++) {
		n = rtcp_make(p, 1, 20, 1);
		CU_ASSERT_EQUAL(one(&tx, p, &n, &reserved), DP_OK);
		CU_ASSERT_EQUAL(one(&rx, p, &n, NULL), DP_OK);
	}
	CU_ASSERT_EQUAL(reserved, end);
	n = rtcp_make(p, 1, 20, 1);
	CU_ASSERT_EQUAL(one(&tx, p, &n, &reserved), DP_DROP_KEY_LIMIT);
	CU_ASSERT_EQUAL(one(&tx, p, &n, &reserved), DP_DROP_KEY_LIMIT);
	n = ref_rtcp_protect(&ref, q, rtcp_make(q, 1, 20, 1), (uint32_t)end - 2, 1);
	CU_ASSERT_NOT_EQUAL(one(&rx, q, &n, NULL), DP_OK);
	dp_srtp_key_wipe(&tx);
	dp_srtp_key_wipe(&rx);
	tx = key_new(1, DP_DIR_SEND, end);
	n = rtcp_make(p, 1, 20, 1);
	CU_ASSERT_EQUAL(one(&tx, p, &n, NULL), DP_DROP_KEY_LIMIT);
	dp_srtp_key_wipe(&tx);
	tx = key_new(1, DP_DIR_SEND, 0);
	reserved = 0;
	n = rtcp_make(p, 1, 20, 1);
	CU_ASSERT_EQUAL(one(&tx, p, &n, &reserved), DP_OK);
	CU_ASSERT_EQUAL(reserved, 1 + DP_TX_RESERVE);
	dp_srtp_key_wipe(&tx);
}

static CU_TestInfo tests[] = {
	{"published packet, both suites", test_published},
	{"indices from 0, every length", test_index_zero_and_lengths},
	{"E = 0 only where allowed, and authentic", test_e_bit},
	{"truncated at every length, every bit forged: no state", test_truncated_and_forged},
	{"bursts of keys and streams, disordered, twins: model", test_bursts},
	{"protecting bursts uses each index once", test_protect_bursts},
	{"2^31 packets are the end of a key; floors", test_limits_and_floor},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("srtcp", tests, setup, teardown)
