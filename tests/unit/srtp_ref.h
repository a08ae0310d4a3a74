/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A slow SRTP made of OpenSSL calls and the texts of RFC 3711, 6188 and 7714, for an explicit packet index: what the
 * tests compare with. Shares nothing with dataplane/srtp. Also the random numbers and the hex reader of these suites.
 */
#ifndef SRTP_REF_H
#define SRTP_REF_H

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REF_SUITES 10 /* enum dp_srtp_suite is 1 .. REF_SUITES */

struct ref {
	size_t key_len;
	int gcm, null, tag_len, rtcp_tag;
	int kdr;                 /* 2^kdr packets under each set of keys; 0: no rate. The caller may set it */
	size_t mki_len;          /* and these */
	uint8_t mki[128];
	uint8_t mkey[32], msalt[14];
	uint8_t key[32], auth[20], salt[14];
	uint8_t rtcp_key[32], rtcp_auth[20], rtcp_salt[14];
};

static inline uint64_t rnd(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1dull;
}

static inline size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		char two[3] = {hex[2 * i], hex[2 * i + 1], 0};

		out[i] = (uint8_t)strtoul(two, NULL, 16);
	}
	return n;
}

static inline void ref_ctr_any(const uint8_t *key, size_t key_len, const uint8_t *iv, uint8_t *data, size_t len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	const EVP_CIPHER *cipher = key_len == 16 ? EVP_aes_128_ctr() : key_len == 24 ? EVP_aes_192_ctr() : EVP_aes_256_ctr();
	int out;

	if (ctx == NULL || EVP_EncryptInit_ex(ctx, cipher, NULL, key, iv) != 1 ||
	    EVP_EncryptUpdate(ctx, data, &out, data, (int)len) != 1)
		abort();
	EVP_CIPHER_CTX_free(ctx);
}

static inline void ref_ctr(const uint8_t *key, const uint8_t *iv, uint8_t *data, size_t len)
{
	ref_ctr_any(key, 16, iv, data, len);
}

/* Encrypts in place; 16 bytes of tag. */
static inline void ref_gcm(const uint8_t *key, size_t key_len, const uint8_t *iv, const uint8_t *aad, size_t aad_len,
			   uint8_t *data, size_t len, uint8_t *tag)
{
	const EVP_CIPHER *alg = key_len == 16 ? EVP_aes_128_gcm() : key_len == 24 ? EVP_aes_192_gcm() : EVP_aes_256_gcm();
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int out;

	if (ctx == NULL || EVP_EncryptInit_ex(ctx, alg, NULL, key, iv) != 1 ||
	    EVP_EncryptUpdate(ctx, NULL, &out, aad, (int)aad_len) != 1 ||
	    (len > 0 && EVP_EncryptUpdate(ctx, data, &out, data, (int)len) != 1) ||
	    EVP_EncryptFinal_ex(ctx, data + len, &out) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16, tag) != 1)
		abort();
	EVP_CIPHER_CTX_free(ctx);
}

/* Session key of a label for r = index DIV rate. 'msalt' 14 bytes. */
static inline void ref_kdf_at(const uint8_t *mkey, size_t key_len, const uint8_t *msalt, int label, uint64_t r, uint8_t *out,
			      size_t len)
{
	uint8_t iv[16] = {0};

	memcpy(iv, msalt, 14);
	iv[7] ^= (uint8_t)label;
	for (int i = 0; i < 6; i++)
		iv[8 + i] ^= (uint8_t)(r >> (40 - 8 * i));
	memset(out, 0, len);
	ref_ctr_any(mkey, key_len, iv, out, len);
}

static inline void ref_derive(struct ref *r, uint64_t rtp, uint64_t rtcp)
{
	ref_kdf_at(r->mkey, r->key_len, r->msalt, 0, rtp, r->key, r->key_len);
	ref_kdf_at(r->mkey, r->key_len, r->msalt, 1, rtp, r->auth, 20);
	ref_kdf_at(r->mkey, r->key_len, r->msalt, 2, rtp, r->salt, r->gcm ? 12 : 14);
	ref_kdf_at(r->mkey, r->key_len, r->msalt, 3, rtcp, r->rtcp_key, r->key_len);
	ref_kdf_at(r->mkey, r->key_len, r->msalt, 4, rtcp, r->rtcp_auth, 20);
	ref_kdf_at(r->mkey, r->key_len, r->msalt, 5, rtcp, r->rtcp_salt, r->gcm ? 12 : 14);
}

/* enum dp_srtp_suite: CM 128, 192, 256, then GCM 128, 256, then NULL; _80 before _32. */
static inline void ref_suite(struct ref *r, int suite, const uint8_t *mkey, const uint8_t *msalt)
{
	static const struct {
		size_t key_len;
		int gcm, null, tag_len;
	} tab[REF_SUITES + 1] = {
		{0, 0, 0, 0}, {16, 0, 0, 10}, {16, 0, 0, 4},  {24, 0, 0, 10}, {24, 0, 0, 4},  {32, 0, 0, 10},
		{32, 0, 0, 4}, {16, 1, 0, 16}, {32, 1, 0, 16}, {16, 0, 1, 10}, {16, 0, 1, 4},
	};

	memset(r, 0, sizeof(*r));
	r->key_len = tab[suite].key_len;
	r->gcm = tab[suite].gcm;
	r->null = tab[suite].null;
	r->tag_len = tab[suite].tag_len;
	r->rtcp_tag = r->gcm ? 16 : 10;
	memcpy(r->mkey, mkey, r->key_len);
	memcpy(r->msalt, msalt, r->gcm ? 12 : 14);
	ref_derive(r, 0, 0);
}

/* AES_CM_128 by the length of its tag. */
static inline void ref_init(struct ref *r, const uint8_t *mkey, const uint8_t *msalt, int tag_len)
{
	ref_suite(r, tag_len == 10 ? 1 : 2, mkey, msalt);
}

static inline void ref_iv(uint8_t *iv, const uint8_t *salt, const uint8_t *ssrc, uint64_t index)
{
	memset(iv, 0, 16);
	memcpy(iv, salt, 14);
	for (int i = 0; i < 4; i++)
		iv[4 + i] ^= ssrc[i];
	for (int i = 0; i < 6; i++)
		iv[8 + i] ^= (uint8_t)(index >> (40 - 8 * i));
}

static inline void ref_gcm_iv(uint8_t *iv, const uint8_t *salt, const uint8_t *ssrc, uint64_t index)
{
	memcpy(iv, salt, 12);
	for (int i = 0; i < 4; i++)
		iv[2 + i] ^= ssrc[i];
	for (int i = 0; i < 6; i++)
		iv[6 + i] ^= (uint8_t)(index >> (40 - 8 * i));
}

static inline void ref_mac(const uint8_t *auth, const uint8_t *data, size_t len, uint8_t *tag)
{
	unsigned int n;

	if (HMAC(EVP_sha1(), auth, 20, data, len, tag, &n) == NULL)
		abort();
}

/* 'p' has room for 24 bytes more, and the MKI. Returns the new length. */
static inline size_t ref_protect(struct ref *r, uint8_t *p, size_t len, size_t hdr, uint64_t index)
{
	uint8_t iv[16], tag[20];

	if (r->kdr > 0)
		ref_derive(r, index >> r->kdr, 0);
	if (r->gcm) {
		ref_gcm_iv(iv, r->salt, p + 8, index);
		ref_gcm(r->key, r->key_len, iv, p, hdr, p + hdr, len - hdr, tag);
		memcpy(p + len, tag, 16);
		memcpy(p + len + 16, r->mki, r->mki_len);
		return len + 16 + r->mki_len;
	}
	ref_iv(iv, r->salt, p + 8, index);
	if (len > hdr && !r->null)
		ref_ctr_any(r->key, r->key_len, iv, p + hdr, len - hdr);
	for (int i = 0; i < 4; i++)
		p[len + (size_t)i] = (uint8_t)(index >> (40 - 8 * i));
	ref_mac(r->auth, p, len + 4, tag);
	memcpy(p + len, r->mki, r->mki_len);
	memcpy(p + len + r->mki_len, tag, (size_t)r->tag_len);
	return len + r->mki_len + (size_t)r->tag_len;
}

static inline size_t ref_rtcp_protect(struct ref *r, uint8_t *p, size_t len, uint32_t index, int e)
{
	uint8_t iv[16], tag[20], word[4], aad[12];

	for (int i = 0; i < 4; i++)
		word[i] = (uint8_t)((index | (e ? 0x80000000u : 0)) >> (24 - 8 * i));
	if (r->kdr > 0)
		ref_derive(r, 0, index >> r->kdr);
	if (r->gcm) {
		ref_gcm_iv(iv, r->rtcp_salt, p + 4, index);
		memcpy(aad, p, 8);
		memcpy(aad + 8, word, 4);
		memcpy(p + len, word, 4);
		if (e)
			ref_gcm(r->rtcp_key, r->key_len, iv, aad, 12, p + 8, len - 8, tag);
		else
			ref_gcm(r->rtcp_key, r->key_len, iv, p, len + 4, NULL, 0, tag);
		memcpy(p + len, tag, 16);
		memcpy(p + len + 16, word, 4);
		memcpy(p + len + 20, r->mki, r->mki_len);
		return len + 20 + r->mki_len;
	}
	ref_iv(iv, r->rtcp_salt, p + 4, index);
	if (e && len > 8 && !r->null)
		ref_ctr_any(r->rtcp_key, r->key_len, iv, p + 8, len - 8);
	memcpy(p + len, word, 4);
	ref_mac(r->rtcp_auth, p, len + 4, tag);
	memcpy(p + len + 4, r->mki, r->mki_len);
	memcpy(p + len + 4 + r->mki_len, tag, 10);
	return len + 14 + r->mki_len;
}

#endif
