/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/srtp/kdf.c: RFC 3711 appendix B.2 and B.3, parameters of a key. */
/* Rows: 004a:SRTP-06, SRTP-07. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "crypto/mb.h"
#include "srtp/kdf.h"
#include "srtp/srtp.h"
#include "srtp_ref.h"
#include "srtp_vectors.h"

static struct dp_mb *mb;

static int setup(void)
{
	mb = dp_mb_create();
	return mb == NULL;
}

static int teardown(void)
{
	dp_mb_destroy(mb);
	return 0;
}

static void test_keystream(void)
{
	for (size_t i = 0; i < sizeof(srtp_keystreams) / sizeof(srtp_keystreams[0]); i++) {
		uint8_t key[32], iv[16] = {0}, rk[DP_MB_AES_RK_MAX] __attribute__((aligned(16))), want[48], digest[32];
		unsigned int len = srtp_keystreams[i].len;
		size_t key_len = unhex(srtp_keystreams[i].key, key);
		uint8_t *data = calloc(1, len);

		unhex(srtp_keystreams[i].salt, iv);
		dp_mb_aes_expand(mb, key, key_len, rk, NULL);
		dp_mb_ctr_set(mb, 0, rk, dp_mb_aes_rounds(key_len), iv, data, len);
		dp_mb_ctr_run(mb, 1);
		unhex(srtp_keystreams[i].first48, want);
		CU_ASSERT_EQUAL(memcmp(data, want, 48), 0);
		unhex(srtp_keystreams[i].last48, want);
		CU_ASSERT_EQUAL(memcmp(data + len - 48, want, 48), 0);
		unhex(srtp_keystreams[i].sha256, want);
		CU_ASSERT_EQUAL(EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL), 1);
		CU_ASSERT_EQUAL(memcmp(digest, want, 32), 0);
		free(data);
	}
}

static void test_derivation(void)
{
	uint8_t key[16], salt[14], rk[DP_MB_AES128_RK] __attribute__((aligned(16))), want[128], out[128];

	unhex(srtp_b3_key, key);
	unhex(srtp_b3_salt, salt);
	dp_mb_aes128_expand(mb, key, rk, NULL);
	for (size_t i = 0; i < sizeof(srtp_b3) / sizeof(srtp_b3[0]); i++) {
		size_t n = unhex(srtp_b3[i].out, want);

		dp_srtp_kdf(mb, rk, 16, salt, (enum dp_srtp_label)srtp_b3[i].label, 0, out, n);
		CU_ASSERT_EQUAL(memcmp(out, want, n), 0);
	}
}

static void test_derivation_6188(void)
{
	for (size_t i = 0; i < sizeof(srtp_kdf6188) / sizeof(srtp_kdf6188[0]); i++) {
		uint8_t key[32], salt[14], rk[DP_MB_AES_RK_MAX] __attribute__((aligned(16))), want[32], out[32];
		const char *const outs[] = {srtp_kdf6188[i].cipher_key, srtp_kdf6188[i].auth_key, srtp_kdf6188[i].cipher_salt};
		size_t key_len = unhex(srtp_kdf6188[i].key, key);

		unhex(srtp_kdf6188[i].salt, salt);
		dp_mb_aes_expand(mb, key, key_len, rk, NULL);
		for (int label = 0; label < 3; label++) {
			size_t n = unhex(outs[label], want);

			dp_srtp_kdf(mb, rk, key_len, salt, (enum dp_srtp_label)label, 0, out, n);
			CU_ASSERT_EQUAL(memcmp(out, want, n), 0);
		}
	}
}

/* With a derivation rate: any label, any r of 48 bits, against the reference; r = 0 is as without. */
static void test_derivation_rate(void)
{
	uint8_t key[32], salt[14], rk[DP_MB_AES_RK_MAX] __attribute__((aligned(16))), want[32], out[32];
	uint64_t r = 99;

	for (int round = 0; round < 300; round++) {
		size_t key_len = 16 + 8 * (rnd(&r) % 3);
		uint64_t at = round < 10 ? 0 : rnd(&r) >> (16 + rnd(&r) % 48);
		int label = round % 6;

		for (int i = 0; i < 32; i++)
			key[i] = (uint8_t)rnd(&r);
		for (int i = 0; i < 14; i++)
			salt[i] = (uint8_t)rnd(&r);
		ref_kdf_at(key, key_len, salt, label, at, want, 32);
		dp_mb_aes_expand(mb, key, key_len, rk, NULL);
		dp_srtp_kdf(mb, rk, key_len, salt, (enum dp_srtp_label)label, at, out, 32);
		CU_ASSERT_EQUAL(memcmp(out, want, 32), 0);
	}
}

static void test_key_holds_them(void)
{
	uint8_t mkey[16], msalt[14], want[20], rk[DP_MB_AES128_RK] __attribute__((aligned(16))), st[40];
	struct dp_srtp_key key, other, zero;
	struct dp_srtp_params par = {.suite = DP_AES_CM_128_HMAC_SHA1_32, .dir = DP_DIR_SEND, .key = mkey, .salt = msalt};

	unhex(srtp_b3_key, mkey);
	unhex(srtp_b3_salt, msalt);
	CU_ASSERT_EQUAL_FATAL(dp_srtp_key_init(mb, &key, &par), 0);
	unhex(srtp_b3[0].out, want);
	dp_mb_aes128_expand(mb, want, rk, NULL);
	CU_ASSERT_EQUAL(memcmp(key.rk, rk, sizeof(rk)), 0);
	unhex(srtp_b3[1].out, want);
	CU_ASSERT_EQUAL(memcmp(key.salt, want, 14), 0);
	uint8_t auth[94];
	unhex(srtp_b3[2].out, auth);
	dp_mb_hmac_sha1_key(mb, auth, 20, st);
	CU_ASSERT_EQUAL(memcmp(key.state, st, sizeof(st)), 0);
	unhex(srtp_b3[3].out, want);
	CU_ASSERT_EQUAL(memcmp(key.rtcp_key, want, 16), 0);
	unhex(srtp_b3[4].out, want);
	CU_ASSERT_EQUAL(memcmp(key.rtcp_auth, want, 20), 0);
	unhex(srtp_b3[5].out, want);
	CU_ASSERT_EQUAL(memcmp(key.rtcp_salt, want, 14), 0);
	CU_ASSERT_EQUAL(key.tag_len, 4);

	/* the same key, and every way to differ */
	CU_ASSERT_EQUAL(dp_srtp_key_init(mb, &other, &par), 0);
	CU_ASSERT_TRUE(dp_srtp_key_same(&key, &other));
	par.dir = DP_DIR_RECV;
	CU_ASSERT_EQUAL(dp_srtp_key_init(mb, &other, &par), 0);
	CU_ASSERT_FALSE(dp_srtp_key_same(&key, &other));
	par.dir = DP_DIR_SEND;
	par.suite = DP_AES_CM_128_HMAC_SHA1_80;
	CU_ASSERT_EQUAL(dp_srtp_key_init(mb, &other, &par), 0);
	CU_ASSERT_FALSE(dp_srtp_key_same(&key, &other));
	par.suite = DP_AES_CM_128_HMAC_SHA1_32;
	mkey[15] ^= 1;
	CU_ASSERT_EQUAL(dp_srtp_key_init(mb, &other, &par), 0);
	CU_ASSERT_FALSE(dp_srtp_key_same(&key, &other));
	mkey[15] ^= 1;
	msalt[13] ^= 1;
	CU_ASSERT_EQUAL(dp_srtp_key_init(mb, &other, &par), 0);
	CU_ASSERT_FALSE(dp_srtp_key_same(&key, &other));

	memset(&zero, 0, sizeof(zero));
	dp_srtp_key_wipe(&key);
	CU_ASSERT_EQUAL(memcmp(&key, &zero, sizeof(key)), 0);
	dp_srtp_key_wipe(&other);
}

static void test_refused_parameters(void)
{
	uint8_t bytes[16] = {0};
	const struct dp_srtp_params good = {.suite = DP_AES_CM_128_HMAC_SHA1_80, .dir = DP_DIR_RECV, .key = bytes,
					    .salt = bytes};
	struct dp_srtp_params bad[] = {good, good, good, good, good, good, good, good, good, good, good, good, good, good};
	struct dp_srtp_key key, before;

	bad[0].suite = DP_SRTP_NONE;
	bad[1].suite = DP_SRTP_SUITE_MAX;
	bad[2].dir = 2;
	bad[3].mki_len = DP_SRTP_MKI_MAX + 1;
	bad[4].flags = DP_KEY_F_ADD;
	bad[5].index_floor = (uint64_t)1 << 48;
	bad[6].rtcp_floor = (uint64_t)1 << 31;
	bad[7].kdr = 25;
	bad[8].lifetime = ((uint64_t)1 << 48) + 1;
	bad[9].from = 2;
	bad[9].to = 1;
	bad[10].to = (uint64_t)1 << 48;
	bad[11].window = DP_REPLAY_MIN - 1;
	bad[12].window = DP_REPLAY_MAX + 1;
	bad[13].ssrc_max = DP_SSRC_MAX + 1;
	memset(&key, 0x5a, sizeof(key));
	before = key;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_EQUAL(dp_srtp_key_init(mb, &key, &bad[i]), -EINVAL);
		CU_ASSERT_EQUAL(memcmp(&key, &before, sizeof(key)), 0);
	}
	CU_ASSERT_EQUAL(dp_srtp_key_init(mb, &key, &good), 0);
	dp_srtp_key_wipe(&key);
}

static CU_TestInfo tests[] = {
	{"AES-CM keystreams of RFC 3711 B.2, RFC 6188 s7.1 and s7.3", test_keystream},
	{"session keys of RFC 3711 B.3, all labels", test_derivation},
	{"session keys of RFC 6188 s7.2 and s7.4", test_derivation_6188},
	{"a derivation rate: r is in the right place", test_derivation_rate},
	{"a key holds them, compares by them, is wiped", test_key_holds_them},
	{"bad parameters change nothing", test_refused_parameters},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("kdf", tests, setup, teardown)
