/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/srtp/kdf.c: RFC 3711 appendix B.2 and B.3, parameters of a key. */
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
	uint8_t key[16], iv[16] = {0}, rk[DP_MB_AES128_RK] __attribute__((aligned(16))), want[48];
	uint8_t *data = calloc(1, srtp_b2.len);

	unhex(srtp_b2.key, key);
	unhex(srtp_b2.salt, iv);
	dp_mb_aes128_expand(mb, key, rk, NULL);
	dp_mb_ctr_set(mb, 0, rk, 10, iv, data, srtp_b2.len);
	dp_mb_ctr_run(mb, 1);
	unhex(srtp_b2.first48, want);
	CU_ASSERT_EQUAL(memcmp(data, want, 48), 0);
	unhex(srtp_b2.last48, want);
	CU_ASSERT_EQUAL(memcmp(data + srtp_b2.len - 48, want, 48), 0);
	free(data);
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
	bad[13].ssrc_max = DP_SRTP_SSRCS_MAX + 1;
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
	{"AES-CM keystream of RFC 3711 B.2", test_keystream},
	{"session keys of RFC 3711 B.3, all labels", test_derivation},
	{"a key holds them, compares by them, is wiped", test_key_holds_them},
	{"bad parameters change nothing", test_refused_parameters},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("kdf", tests, setup, teardown)
