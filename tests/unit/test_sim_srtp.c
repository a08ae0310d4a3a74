/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/sim/srtp.c: both engines against the reference packets of RFC 3711's AES-CM with HMAC-SHA1 (as published in
 * libsrtp's driver) and against each other: random sizes, loss, ROC wrap, forgeries, replays.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "srtp.h"
#include "suite.h"
#include "util.h"

static struct sim_srtp_key key_of(enum sim_srtp_alg alg)
{
	struct sim_srtp_key k = {.alg = alg};

	sim_hex("e1f97a0d3e018be0d64fa32c06de4139", k.key, 16);
	sim_hex("0ec675ad498afeebb6960b3aabe6", k.salt, sim_srtp_salt_len(alg));
	for (size_t i = 16; i < sim_srtp_key_len(alg); i++)
		k.key[i] = (uint8_t)(i * 37);
	return k;
}

static const struct {
	enum sim_srtp_alg alg;
	bool rtcp;
	const char *plain, *secured;
} packets[] = {
	{SIM_SRTP_AES128_SHA1_80, false, "800f1234decafbadcafebabeabababababababababababababababab",
	 "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"},
	{SIM_SRTP_AES128_SHA1_32, false, "800f1234decafbadcafebabeabababababababababababababababab",
	 "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc"},
	{SIM_SRTP_AES128_SHA1_80, true, "81c8000bcafebabeabababababababababababababababab",
	 "81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798"},
	{SIM_SRTP_AES128_SHA1_32, true, "81c8000bcafebabeabababababababababababababababab",
	 "81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798"},
};

static void test_published_packets(void)
{
	for (int engine = SIM_SRTP_LIBSRTP; engine <= SIM_SRTP_OPENSSL; engine++) {
		for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
			struct sim_srtp_key k = key_of(packets[i].alg);
			struct sim_srtp *tx = sim_srtp_create((enum sim_srtp_engine)engine, &k, false);
			struct sim_srtp *rx = sim_srtp_create((enum sim_srtp_engine)engine, &k, true);
			int (*fn)(struct sim_srtp *, uint8_t *, int *) = packets[i].rtcp ? sim_srtp_rtcp
											 : sim_srtp_rtp;
			int plain_len = (int)strlen(packets[i].plain) / 2, len = plain_len;
			uint8_t buf[128], plain[128], want[128];

			CU_ASSERT_PTR_NOT_NULL_FATAL(tx);
			CU_ASSERT_PTR_NOT_NULL_FATAL(rx);
			sim_hex(packets[i].plain, plain, (size_t)len);
			sim_hex(packets[i].secured, want, strlen(packets[i].secured) / 2);
			memcpy(buf, plain, (size_t)len);
			CU_ASSERT_EQUAL(fn(tx, buf, &len), 0);
			CU_ASSERT_EQUAL((size_t)len, strlen(packets[i].secured) / 2);
			CU_ASSERT_EQUAL(memcmp(buf, want, (size_t)len), 0);
			CU_ASSERT_EQUAL(fn(rx, buf, &len), 0);
			CU_ASSERT_EQUAL(len, plain_len);
			CU_ASSERT_EQUAL(memcmp(buf, plain, (size_t)len), 0);
			len = (int)strlen(packets[i].secured) / 2;
			CU_ASSERT_EQUAL(fn(rx, want, &len), -EALREADY);
			sim_srtp_destroy(tx);
			sim_srtp_destroy(rx);
		}
	}
}

static uint32_t rnd(void)
{
	static uint32_t x = 2463534242;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

static void fill(uint8_t *p, uint16_t seq, int len)
{
	for (int i = 0; i < len; i++)
		p[i] = (uint8_t)rnd();
	p[0] = 0x80;
	p[1] = 0;
	p[2] = (uint8_t)(seq >> 8);
	p[3] = (uint8_t)seq;
	memcpy(p + 8, "\1\2\3\4", 4);
}

/* 70,000 packets cross the wrap of the sequence number; one in eight is lost, so ROC must be guessed. */
static void engines_agree(enum sim_srtp_alg alg)
{
	struct sim_srtp_key k = key_of(alg);
	struct sim_srtp *lib = sim_srtp_create(SIM_SRTP_LIBSRTP, &k, false);
	struct sim_srtp *own = sim_srtp_create(SIM_SRTP_OPENSSL, &k, false);
	struct sim_srtp *lib_in = sim_srtp_create(SIM_SRTP_LIBSRTP, &k, true);
	struct sim_srtp *own_in = sim_srtp_create(SIM_SRTP_OPENSSL, &k, true);
	unsigned int differ = 0, refused = 0, forged = 0, replayed = 0;

	for (uint32_t i = 0; i < 70000; i++) {
		uint8_t a[512], b[512], bad[512];
		int len = 12 + (int)(rnd() % 400), la = len, lb = len, n;

		fill(a, (uint16_t)(30000 + i), len);
		memcpy(b, a, (size_t)len);
		if (sim_srtp_rtp(lib, a, &la) != 0 || sim_srtp_rtp(own, b, &lb) != 0 || la != lb ||
		    memcmp(a, b, (size_t)la) != 0)
			differ++;
		if (rnd() % 8 == 0)
			continue;
		memcpy(bad, a, (size_t)la);
		bad[8 + rnd() % (uint32_t)(la - 8)] ^= (uint8_t)(1 << rnd() % 8);
		n = la;
		forged += sim_srtp_rtp(own_in, bad, &n) == 0;
		memcpy(bad, a, (size_t)la);
		n = la;
		refused += sim_srtp_rtp(own_in, bad, &n) != 0 || n != len;
		n = la;
		refused += sim_srtp_rtp(lib_in, b, &n) != 0 || n != len || memcmp(b, bad, (size_t)n) != 0;
		n = la;
		replayed += sim_srtp_rtp(own_in, a, &n) == 0;
	}
	CU_ASSERT_EQUAL(differ, 0);
	CU_ASSERT_EQUAL(refused, 0);
	CU_ASSERT_EQUAL(forged, 0);
	CU_ASSERT_EQUAL(replayed, 0);
	sim_srtp_destroy(lib);
	sim_srtp_destroy(own);
	sim_srtp_destroy(lib_in);
	sim_srtp_destroy(own_in);
}

static void test_engines_agree(void)
{
	static const enum sim_srtp_alg algs[] = {SIM_SRTP_AES128_SHA1_80, SIM_SRTP_AES256_SHA1_80, SIM_SRTP_AES128_GCM,
						 SIM_SRTP_AES256_GCM};

	for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++)
		engines_agree(algs[i]);
}

/* There and back, one bit wrong anywhere. */
static void test_every_suite(void)
{
	static const enum sim_srtp_alg algs[] = {SIM_SRTP_AES128_SHA1_80, SIM_SRTP_AES128_SHA1_32, SIM_SRTP_AES192_SHA1_80,
						 SIM_SRTP_AES192_SHA1_32, SIM_SRTP_AES256_SHA1_80, SIM_SRTP_AES256_SHA1_32,
						 SIM_SRTP_AES128_GCM,     SIM_SRTP_AES256_GCM};

	for (size_t i = 0; i < 4 * sizeof(algs) / sizeof(algs[0]); i++) {
		struct sim_srtp_key k = key_of(algs[i / 4]);
		/* without and with an MKI, one way and the other; our own engine for what libsrtp2 lacks */
		unsigned int way = i % 4 / 2;
		struct sim_srtp *tx, *rx;

		if (i % 2 != 0) {
			k.mki_len = (uint8_t)(1 + i % SIM_SRTP_MKI_MAX);
			memcpy(k.mki, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
		}
		tx = sim_srtp_create(way == 0 ? SIM_SRTP_OPENSSL : SIM_SRTP_LIBSRTP, &k, false);
		rx = sim_srtp_create(way == 0 ? SIM_SRTP_LIBSRTP : SIM_SRTP_OPENSSL, &k, true);
		CU_ASSERT_EQUAL(sim_srtp_alg_of(sim_srtp_name(algs[i / 4]), strlen(sim_srtp_name(algs[i / 4]))), algs[i / 4]);
		for (int n = 0; n < 40; n++) {
			int (*fn)(struct sim_srtp *, uint8_t *, int *) = n % 2 != 0 ? sim_srtp_rtcp : sim_srtp_rtp;
			uint8_t a[160], b[160], bad[160];
			int len = 12 + 4 * (n % 8), la = len, lb;

			fill(a, (uint16_t)n, len);
			if (n % 2 != 0) {
				a[1] = 200;
				memcpy(a + 4, "\1\2\3\4", 4);
				a[2] = 0;
				a[3] = (uint8_t)(len / 4 - 1);
			}
			memcpy(b, a, (size_t)len);
			CU_ASSERT_EQUAL(fn(tx, a, &la), 0);
			CU_ASSERT(la > len + k.mki_len && la <= len + SIM_SRTP_OVERHEAD);
			CU_ASSERT_EQUAL(len > 12, memcmp(a + 12, b + 12, (size_t)(len - 12)) != 0); /* not as it was */
			for (int at = 4; at < la; at++) { /* one bit anywhere */
				memcpy(bad, a, (size_t)la);
				bad[at] ^= 1;
				lb = la;
				CU_ASSERT_NOT_EQUAL(fn(rx, bad, &lb), 0);
			}
			lb = la;
			CU_ASSERT_EQUAL(fn(rx, a, &lb), 0);
			CU_ASSERT(lb == len && memcmp(a, b, (size_t)len) == 0);
		}
		sim_srtp_destroy(tx);
		sim_srtp_destroy(rx);
	}
}

/* Behind a wrap, under another key: ROC goes on at both ends. */
static void test_carry(void)
{
	struct sim_srtp_key k = key_of(SIM_SRTP_AES128_SHA1_80), k2 = k;
	struct sim_srtp *tx = sim_srtp_create(SIM_SRTP_OPENSSL, &k, false), *tx2;
	struct sim_srtp *rx = sim_srtp_create(SIM_SRTP_OPENSSL, &k, true), *rx2, *fresh;
	uint8_t a[64], b[64];
	int n, m;

	for (uint32_t i = 65000; i < 66000; i++) {
		fill(a, (uint16_t)i, 32);
		n = 32;
		CU_ASSERT_EQUAL(sim_srtp_rtp(tx, a, &n), 0);
		CU_ASSERT_EQUAL(sim_srtp_rtp(rx, a, &n), 0);
	}
	k2.key[0] ^= 1;
	tx2 = sim_srtp_create(SIM_SRTP_OPENSSL, &k2, false);
	rx2 = sim_srtp_create(SIM_SRTP_OPENSSL, &k2, true);
	fresh = sim_srtp_create(SIM_SRTP_OPENSSL, &k2, true);
	sim_srtp_carry(tx2, tx);
	sim_srtp_carry(rx2, rx);
	fill(a, (uint16_t)66000, 32);
	n = m = 32;
	CU_ASSERT_EQUAL(sim_srtp_rtp(tx2, a, &n), 0);
	m = n;
	memcpy(b, a, (size_t)n);
	CU_ASSERT_EQUAL(sim_srtp_rtp(fresh, b, &m), -EACCES); /* it guesses ROC 0 */
	CU_ASSERT_EQUAL(sim_srtp_rtp(rx2, a, &n), 0);
	sim_srtp_destroy(tx);
	sim_srtp_destroy(rx);
	sim_srtp_destroy(tx2);
	sim_srtp_destroy(rx2);
	sim_srtp_destroy(fresh);
}

static void test_short_packets(void)
{
	struct sim_srtp_key k = key_of(SIM_SRTP_AES128_SHA1_80);
	struct sim_srtp *in = sim_srtp_create(SIM_SRTP_OPENSSL, &k, true);

	for (int len = 0; len < 64; len++) {
		uint8_t *p = calloc(1, (size_t)len + 1);
		int n = len;

		if (len > 0)
			p[0] = 0x9F; /* extension and 15 CSRC: do not fit */
		CU_ASSERT_NOT_EQUAL(sim_srtp_rtp(in, p, &n), 0);
		n = len;
		CU_ASSERT_NOT_EQUAL(sim_srtp_rtcp(in, p, &n), 0);
		free(p);
	}
	sim_srtp_destroy(in);
}

static CU_TestInfo tests[] = {
	{"published packets, both engines", test_published_packets},
	{"both engines agree over a ROC wrap with loss, forgeries and replays", test_engines_agree},
	{"every suite, there and back", test_every_suite},
	{"a stream goes on under another key", test_carry},
	{"short packets are refused", test_short_packets},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("sim_srtp", tests, NULL, NULL)
