/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/crypto/mb.c and sha1ni.c: against OpenSSL and RFC 2202, every burst size, ragged lengths. */
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "crypto/mb.h"
#include "crypto/sha1ni.h"
#include "srtp_ref.h"

static struct dp_mb *mb;

static int setup(void)
{
	mb = dp_mb_create();
	return mb == NULL;
}

static int teardown(void)
{
	dp_mb_destroy(mb);
	dp_mb_destroy(NULL);
	return 0;
}

/* RFC 2202 s3, cases 1, 2, 3 and 5 (keys of at most 64 bytes). */
static const struct {
	const char *key, *data, *digest;
} rfc2202[] = {
	{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265", "b617318655057264e28bc0b6fb378c8ef146be00"},
	{"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
	 "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
	{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	 "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
	 "dddddddddddddddddddddddddddddddd", "125d7342b9ac11cd91a39af48aa17b4f63f175d3"},
	{"0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c", "546573742057697468205472756e636174696f6e",
	 "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"},
};

static void test_rfc2202(void)
{
	for (size_t i = 0; i < sizeof(rfc2202) / sizeof(rfc2202[0]); i++) {
		uint8_t key[64], data[64], want[20], ipad[20], opad[20], tag[20][20];
		size_t klen = unhex(rfc2202[i].key, key), len = unhex(rfc2202[i].data, data);

		unhex(rfc2202[i].digest, want);
		dp_mb_hmac_sha1_key(mb, key, klen, ipad, opad);
		for (unsigned int n = 1; n <= 20; n++) {
			memset(tag, 0, sizeof(tag));
			for (unsigned int j = 0; j < n; j++)
				dp_mb_hmac_set(mb, j, ipad, opad, data, len, tag[j]);
			dp_mb_hmac_run(mb, n);
			for (unsigned int j = 0; j < n; j++)
				CU_ASSERT_EQUAL(memcmp(tag[j], want, 20), 0);
		}
	}
}

#define LEN_MAX 1500

/* Exact-size heap copies, so that a read behind the data shows under ASan. */
static uint8_t *some(uint64_t *r, size_t len)
{
	uint8_t *p = malloc(len > 0 ? len : 1);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)rnd(r);
	return p;
}

static void test_hmac_bursts(void)
{
	uint64_t r = 4711;
	int wrong = 0;

	for (unsigned int n = 1; n <= DP_MB_BURST; n++) {
		uint8_t *data[DP_MB_BURST], key[DP_MB_BURST][20], st[DP_MB_BURST][2][20], tag[DP_MB_BURST][20];
		size_t len[DP_MB_BURST];

		for (unsigned int i = 0; i < n; i++) {
			len[i] = 1 + rnd(&r) % (n % 3 == 0 ? 200 : LEN_MAX);
			data[i] = some(&r, len[i]);
			for (int b = 0; b < 20; b++)
				key[i][b] = (uint8_t)rnd(&r);
			dp_mb_hmac_sha1_key(mb, key[i], 20, st[i][0], st[i][1]);
			dp_mb_hmac_set(mb, i, st[i][0], st[i][1], data[i], len[i], tag[i]);
		}
		dp_mb_hmac_run(mb, n);
		for (unsigned int i = 0; i < n; i++) {
			uint8_t want[20];

			ref_mac(key[i], data[i], len[i], want);
			wrong += memcmp(want, tag[i], 20) != 0;
			free(data[i]);
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void test_sha1ni_every_length(void)
{
	uint64_t r = 99;
	int wrong = 0;

	if (!mb->shani)
		return; /* the CPU has no SHA instructions: the lanes do all, tested above */
	for (size_t len = 0; len <= 400; len++) {
		uint8_t key[20] = {(uint8_t)len, 1, 2}, st[2][20], want[2][20], tag[2][20];
		size_t other = rnd(&r) % 3 == 0 ? len : rnd(&r) % 400;
		uint8_t *a = some(&r, len), *b = some(&r, other);
		struct dp_sha1ni_msg msg[2];

		dp_mb_hmac_sha1_key(mb, key, 20, st[0], st[1]);
		msg[0] = (struct dp_sha1ni_msg){st[0], st[1], a, len, tag[0]};
		msg[1] = (struct dp_sha1ni_msg){st[0], st[1], b, other, tag[1]};
		ref_mac(key, a, len, want[0]);
		ref_mac(key, b, other, want[1]);
		dp_sha1ni_hmac(msg);
		wrong += memcmp(tag[0], want[0], 20) != 0;
		dp_sha1ni_hmac_pair(msg);
		wrong += memcmp(tag, want, 40) != 0;
		free(a);
		free(b);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void test_ctr_bursts(void)
{
	uint64_t r = 17;
	int wrong = 0;

	for (unsigned int n = 1; n <= DP_MB_BURST; n++) {
		uint8_t *data[DP_MB_BURST], *want[DP_MB_BURST];
		uint8_t iv[DP_MB_BURST][16], rk[DP_MB_BURST][DP_MB_AES128_RK] __attribute__((aligned(16)));
		size_t len[DP_MB_BURST];

		for (unsigned int i = 0; i < n; i++) {
			uint8_t key[16];

			len[i] = 1 + rnd(&r) % LEN_MAX;
			data[i] = some(&r, len[i]);
			want[i] = malloc(len[i]);
			memcpy(want[i], data[i], len[i]);
			for (int b = 0; b < 16; b++) {
				key[b] = (uint8_t)rnd(&r);
				iv[i][b] = b < 14 ? (uint8_t)rnd(&r) : 0;
			}
			ref_ctr(key, iv[i], want[i], len[i]);
			dp_mb_aes128_expand(mb, key, rk[i], NULL);
			dp_mb_ctr_set(mb, i, rk[i], iv[i], data[i], len[i]);
		}
		dp_mb_ctr_run(mb, n);
		for (unsigned int i = 0; i < n; i++) {
			wrong += memcmp(want[i], data[i], len[i]) != 0;
			free(data[i]);
			free(want[i]);
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void evp(const EVP_CIPHER *alg, int enc, const uint8_t *key, const uint8_t *iv, const uint8_t *src,
		uint8_t *dst, size_t len, const uint8_t *aad, size_t aad_len, uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	EVP_CipherInit_ex(ctx, alg, NULL, key, iv, enc);
	EVP_CIPHER_CTX_set_padding(ctx, 0);
	if (aad_len > 0)
		EVP_CipherUpdate(ctx, NULL, &n, aad, (int)aad_len);
	EVP_CipherUpdate(ctx, dst, &n, src, (int)len);
	if (tag != NULL) {
		EVP_CipherFinal_ex(ctx, dst + len, &n);
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16, tag);
	}
	EVP_CIPHER_CTX_free(ctx);
}

static void test_cbc_bursts(void)
{
	uint64_t r = 23;
	int wrong = 0;

	for (unsigned int n = 1; n <= DP_MB_BURST; n += n < 20 ? 1 : 11) {
		uint8_t *plain[DP_MB_BURST], *out[DP_MB_BURST], *want[DP_MB_BURST];
		uint8_t iv[DP_MB_BURST][16], enc[DP_MB_BURST][DP_MB_AES128_RK] __attribute__((aligned(16)));
		uint8_t dec[DP_MB_BURST][DP_MB_AES128_RK] __attribute__((aligned(16)));
		size_t len[DP_MB_BURST];

		for (unsigned int i = 0; i < n; i++) {
			uint8_t key[16];

			len[i] = 16 * (1 + rnd(&r) % 90);
			plain[i] = some(&r, len[i]);
			out[i] = malloc(len[i]);
			want[i] = malloc(len[i]);
			for (int b = 0; b < 16; b++) {
				key[b] = (uint8_t)rnd(&r);
				iv[i][b] = (uint8_t)rnd(&r);
			}
			evp(EVP_aes_128_cbc(), 1, key, iv[i], plain[i], want[i], len[i], NULL, 0, NULL);
			dp_mb_aes128_expand(mb, key, enc[i], dec[i]);
			dp_mb_cbc_set(mb, i, enc[i], iv[i], plain[i], out[i], len[i]);
		}
		dp_mb_cbc_run(mb, n, true);
		for (unsigned int i = 0; i < n; i++) {
			wrong += memcmp(want[i], out[i], len[i]) != 0;
			dp_mb_cbc_set(mb, i, dec[i], iv[i], out[i], out[i], len[i]); /* in place */
		}
		dp_mb_cbc_run(mb, n, false);
		for (unsigned int i = 0; i < n; i++) {
			wrong += memcmp(plain[i], out[i], len[i]) != 0;
			free(plain[i]);
			free(out[i]);
			free(want[i]);
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void test_gcm(void)
{
	static struct gcm_key_data gk;
	uint64_t r = 31;
	int wrong = 0;

	for (int t = 0; t < 300; t++) {
		uint8_t key[16], nonce[12], aad[12], tag[16], want_tag[16];
		size_t len = rnd(&r) % LEN_MAX, aad_len = t % 2 ? 8 : 12;
		uint8_t *p = some(&r, len), *out = malloc(len + 1), *want = malloc(len + 16);

		if (t < 3)
			len = 0;
		for (int b = 0; b < 16; b++) {
			key[b] = (uint8_t)rnd(&r);
			nonce[b % 12] = (uint8_t)rnd(&r);
			aad[b % 12] = (uint8_t)rnd(&r);
		}
		evp(EVP_aes_128_gcm(), 1, key, nonce, p, want, len, aad, aad_len, want_tag);
		dp_mb_gcm128_key(mb, key, &gk);
		dp_mb_gcm128_enc(mb, &gk, nonce, aad, aad_len, p, out, len, tag);
		wrong += memcmp(out, want, len) != 0 || !dp_mb_equal(tag, want_tag, 16);
		dp_mb_gcm128_dec(mb, &gk, nonce, aad, aad_len, out, out, len, tag);
		wrong += memcmp(out, p, len) != 0 || !dp_mb_equal(tag, want_tag, 16);
		free(p);
		free(out);
		free(want);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void test_equal(void)
{
	uint8_t a[10] = {1, 2, 3}, b[10];

	for (int bit = 0; bit < 80; bit++) {
		memcpy(b, a, 10);
		CU_ASSERT_TRUE(dp_mb_equal(a, b, 10));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CU_ASSERT_FALSE(dp_mb_equal(a, b, 10));
		CU_ASSERT_EQUAL(dp_mb_equal(a, b, 4), bit >= 32);
	}
	CU_ASSERT_STRING_NOT_EQUAL(dp_mb_isa(mb), "unknown");
}

static void test_every_isa(void)
{
	static const char *const names[] = {"avx512", "avx2", "avx", "sse"};
	struct dp_mb *chosen = mb;
	int ran = 0;

	for (int i = 0; i < 4; i++) {
		mb = dp_mb_create_isa(names[i]);
		if (mb == NULL)
			continue;
		CU_ASSERT_STRING_EQUAL(dp_mb_isa(mb), names[i]);
		test_rfc2202();
		test_hmac_bursts();
		test_ctr_bursts();
		test_cbc_bursts();
		test_gcm();
		mb->shani = false; /* and without its help */
		test_hmac_bursts();
		dp_mb_destroy(mb);
		ran++;
	}
	mb = chosen;
	CU_ASSERT(ran > 0);
	CU_ASSERT_PTR_NULL(dp_mb_create_isa("none"));
}

static CU_TestInfo tests[] = {
	{"HMAC-SHA1 of RFC 2202, alone and in bursts", test_rfc2202},
	{"HMAC-SHA1 bursts of every size equal OpenSSL's", test_hmac_bursts},
	{"SHA-NI HMAC of every length equals OpenSSL's", test_sha1ni_every_length},
	{"CTR bursts of every size equal OpenSSL's", test_ctr_bursts},
	{"CBC bursts equal OpenSSL's, both ways", test_cbc_bursts},
	{"GCM equals OpenSSL's, both ways", test_gcm},
	{"all of this with every instruction set of this CPU", test_every_isa},
	{"the compare sees every bit", test_equal},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("mb", tests, setup, teardown)
