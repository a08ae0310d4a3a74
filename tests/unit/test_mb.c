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
		uint8_t key[64], data[64], want[20], st[DP_MB_HMAC_STATE], tag[20][20];
		size_t klen = unhex(rfc2202[i].key, key), len = unhex(rfc2202[i].data, data);

		unhex(rfc2202[i].digest, want);
		dp_mb_hmac_sha1_key(mb, key, klen, st);
		for (unsigned int n = 1; n <= 20; n++) {
			memset(tag, 0, sizeof(tag));
			for (unsigned int j = 0; j < n; j++)
				dp_mb_hmac_set(mb, j, st, data, len, tag[j], 20);
			dp_mb_hmac_run(mb, n);
			for (unsigned int j = 0; j < n; j++)
				CU_ASSERT_EQUAL(memcmp(tag[j], want, 20), 0);
		}
	}
}

#define LEN_MAX 2048

/* Exact-size heap copies, so that a read behind the data shows under ASan. */
static uint8_t *some(uint64_t *r, size_t len)
{
	uint8_t *p = malloc(len > 0 ? len : 1);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)rnd(r);
	return p;
}

/* Random lengths, with and without a word behind the data, tags of every length, in a row of their own or in the packet. */
static void test_hmac_bursts(void)
{
	uint64_t r = 4711;
	int wrong = 0;

	for (unsigned int n = 1; n <= DP_MB_BURST; n++) {
		uint8_t *data[DP_MB_BURST], *had[DP_MB_BURST], key[DP_MB_BURST][20], st[DP_MB_BURST][DP_MB_HMAC_STATE];
		uint8_t tag[DP_MB_BURST][24];
		unsigned int len[DP_MB_BURST], tag_len[DP_MB_BURST];
		uint32_t word[DP_MB_BURST];
		bool in[DP_MB_BURST], with[DP_MB_BURST];

		memset(tag, 0xee, sizeof(tag));
		for (unsigned int i = 0; i < n; i++) {
			len[i] = 1 + (unsigned int)rnd(&r) % (n % 3 == 0 ? 200 : LEN_MAX);
			with[i] = rnd(&r) % 2 != 0;
			in[i] = rnd(&r) % 2 != 0;
			tag_len[i] = 1 + (unsigned int)rnd(&r) % 20;
			word[i] = (uint32_t)rnd(&r);
			data[i] = some(&r, len[i] + 20);
			had[i] = malloc(len[i] + 20);
			memcpy(had[i], data[i], len[i] + 20);
			for (int b = 0; b < 20; b++)
				key[i][b] = (uint8_t)rnd(&r);
			dp_mb_hmac_sha1_key(mb, key[i], 20, st[i]);
			if (with[i])
				dp_mb_hmac_set_word(mb, i, st[i], data[i], len[i], word[i],
						    in[i] ? data[i] + len[i] : tag[i], tag_len[i]);
			else
				dp_mb_hmac_set(mb, i, st[i], data[i], len[i], in[i] ? data[i] + len[i] : tag[i],
					       tag_len[i]);
		}
		dp_mb_hmac_run(mb, n);
		for (unsigned int i = 0; i < n; i++) {
			uint8_t want[20], *got = in[i] ? data[i] + len[i] : tag[i];
			uint8_t *msg = malloc(len[i] + 4);

			memcpy(msg, had[i], len[i]);
			for (int b = 0; b < 4; b++)
				msg[len[i] + (unsigned int)b] = (uint8_t)(word[i] >> (24 - 8 * b));
			ref_mac(key[i], msg, len[i] + (with[i] ? 4 : 0), want);
			wrong += memcmp(want, got, tag_len[i]) != 0;
			/* nothing else was written */
			wrong += memcmp(data[i], had[i], len[i]) != 0;
			if (in[i]) {
				wrong += memcmp(got + tag_len[i], had[i] + len[i] + tag_len[i], 20 - tag_len[i]) != 0;
			} else {
				wrong += memcmp(data[i], had[i], len[i] + 20) != 0;
				for (unsigned int b = tag_len[i]; b < 24; b++)
					wrong += tag[i][b] != 0xee;
			}
			free(msg);
			free(data[i]);
			free(had[i]);
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
		uint8_t key[20] = {(uint8_t)len, 1, 2}, st[2 * 20], want[2][20], tag[2][20];
		size_t other = rnd(&r) % 3 == 0 ? len : rnd(&r) % 400;
		uint8_t *a = some(&r, len), *b = some(&r, other);

		dp_mb_hmac_sha1_key(mb, key, 20, st);
		dp_mb_hmac_set(mb, 0, st, a, len, tag[0], 20);
		dp_mb_hmac_set(mb, 1, st, b, other, tag[1], 20);
		ref_mac(key, a, len, want[0]);
		ref_mac(key, b, other, want[1]);
		dp_sha1ni_hmac(&mb->hmac, 0, NULL, 0);
		wrong += memcmp(tag[0], want[0], 20) != 0;
		dp_sha1ni_hmac_pair(&mb->hmac, 0, 1, NULL, NULL, 0);
		wrong += memcmp(tag, want, 40) != 0;
		free(a);
		free(b);
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

static void test_ctr_bursts(void)
{
	const EVP_CIPHER *const algs[] = {EVP_aes_128_ctr(), EVP_aes_192_ctr(), EVP_aes_256_ctr()};
	uint64_t r = 17;
	int wrong = 0;

	for (unsigned int n = 1; n <= DP_MB_BURST; n++) {
		uint8_t *data[DP_MB_BURST], *want[DP_MB_BURST];
		uint8_t iv[DP_MB_BURST][16], rk[DP_MB_BURST][DP_MB_AES_RK_MAX] __attribute__((aligned(16)));
		size_t len[DP_MB_BURST];

		for (unsigned int i = 0; i < n; i++) {
			/* one key size, then runs of them, then any */
			unsigned int size = n < 4 ? n - 1 : n < 24 ? i / 5 % 3 : (unsigned int)rnd(&r) % 3;
			uint8_t key[32];

			len[i] = 1 + rnd(&r) % LEN_MAX;
			data[i] = some(&r, len[i]);
			want[i] = malloc(len[i]);
			for (int b = 0; b < 32; b++)
				key[b] = (uint8_t)rnd(&r);
			for (int b = 0; b < 16; b++)
				iv[i][b] = b < 14 ? (uint8_t)rnd(&r) : 0;
			if (n % 4 == 0) { /* a counter that begins anywhere */
				iv[i][14] = (uint8_t)rnd(&r);
				iv[i][15] = (uint8_t)(0xf0 | rnd(&r));
			}
			evp(algs[size], 1, key, iv[i], data[i], want[i], len[i], NULL, 0, NULL);
			dp_mb_aes_expand(mb, key, 16 + 8 * size, rk[i], NULL);
			dp_mb_ctr_set(mb, i, rk[i], dp_mb_aes_rounds(16 + 8 * size), iv[i], data[i], len[i]);
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
		dp_mb_cbc_run(mb, n, 16, true);
		for (unsigned int i = 0; i < n; i++) {
			wrong += memcmp(want[i], out[i], len[i]) != 0;
			dp_mb_cbc_set(mb, i, dec[i], iv[i], out[i], out[i], len[i]); /* in place */
		}
		dp_mb_cbc_run(mb, n, 16, false);
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

	for (int t = 0; t < 600; t++) {
		size_t key_len = t % 2 ? 16 : 32, len = t < 6 ? 0 : rnd(&r) % (LEN_MAX + 1), aad_len = rnd(&r) % 80;
		const EVP_CIPHER *alg = key_len == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
		uint8_t key[32], nonce[12], tag[16], want_tag[16];
		uint8_t *p = some(&r, len), *aad = some(&r, aad_len), *out = malloc(len + 1), *want = malloc(len + 16);

		for (int b = 0; b < 32; b++) {
			key[b] = (uint8_t)rnd(&r);
			nonce[b % 12] = (uint8_t)rnd(&r);
		}
		evp(alg, 1, key, nonce, p, want, len, aad, aad_len, want_tag);
		dp_mb_gcm_key(mb, key, key_len, &gk);
		dp_mb_gcm_enc(mb, key_len, &gk, nonce, aad, aad_len, p, out, len, tag);
		wrong += memcmp(out, want, len) != 0 || !dp_mb_equal(tag, want_tag, 16);
		dp_mb_gcm_dec(mb, key_len, &gk, nonce, aad, aad_len, out, out, len, tag);
		wrong += memcmp(out, p, len) != 0 || !dp_mb_equal(tag, want_tag, 16);
		dp_mb_gcm_enc(mb, key_len, &gk, nonce, aad, aad_len, out, out, len, tag); /* in place */
		wrong += memcmp(out, want, len) != 0 || !dp_mb_equal(tag, want_tag, 16);
		if (key_len == 16) {
			dp_mb_gcm_key(mb, key, 16, &gk);
			dp_mb_gcm_dec(mb, 16, &gk, nonce, aad, aad_len, out, out, len, tag);
			wrong += memcmp(out, p, len) != 0 || !dp_mb_equal(tag, want_tag, 16);
			dp_mb_gcm_enc(mb, 16, &gk, nonce, aad, aad_len, out, out, len, tag);
			wrong += memcmp(out, want, len) != 0 || !dp_mb_equal(tag, want_tag, 16);
		}
		free(p);
		free(aad);
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
		CU_ASSERT_STRING_EQUAL(dp_mb_hmac_name(mb), "ipsec-mb");
		CU_ASSERT_STRING_EQUAL(dp_mb_ctr_name(mb), "ipsec-mb");
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

/* Keys are made by one thread's manager and used by another's, and a table for GCM is good for its instruction set only. */
static void test_one_isa_for_all(void)
{
	static const uint8_t key[16] = {1, 2, 3}, nonce[12] = {4}, aad[8] = {5};
	uint8_t text[64] = {0}, want[64], got[64], want_tag[16], got_tag[16];
	struct gcm_key_data table __attribute__((aligned(64)));
	int differ = 0;

	for (int i = 0; i < 64; i++) {
		struct dp_mb *other = dp_mb_create();

		CU_ASSERT_PTR_NOT_NULL_FATAL(other);
		CU_ASSERT_STRING_EQUAL(dp_mb_isa(other), dp_mb_isa(mb));
		dp_mb_gcm_key(mb, key, 16, &table);
		dp_mb_gcm_enc(mb, 16, &table, nonce, aad, sizeof(aad), text, want, sizeof(text), want_tag);
		dp_mb_gcm_enc(other, 16, &table, nonce, aad, sizeof(aad), text, got, sizeof(text), got_tag);
		differ += memcmp(want, got, sizeof(want)) != 0 || memcmp(want_tag, got_tag, sizeof(want_tag)) != 0;
		dp_mb_destroy(other);
	}
	CU_ASSERT_EQUAL(differ, 0);
}

static CU_TestInfo tests[] = {
	{"HMAC-SHA1 of RFC 2202, alone and in bursts", test_rfc2202},
	{"HMAC-SHA1 bursts of every size equal OpenSSL's, and write the tag alone", test_hmac_bursts},
	{"SHA-NI HMAC of every length equals OpenSSL's", test_sha1ni_every_length},
	{"CTR bursts of every size, key sizes mixed, equal OpenSSL's", test_ctr_bursts},
	{"CBC bursts equal OpenSSL's, both ways", test_cbc_bursts},
	{"GCM with both key sizes equals OpenSSL's, both ways", test_gcm},
	{"all of this with every instruction set of this CPU", test_every_isa},
	{"every manager of a process takes the same instruction set, and the others' GCM keys", test_one_isa_for_all},
	{"the compare sees every bit", test_equal},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("mb", tests, setup, teardown)
