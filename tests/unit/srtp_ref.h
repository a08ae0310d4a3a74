/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A slow SRTP made of OpenSSL calls and RFC 3711's text, for an explicit packet index: what the tests compare
 * with. Shares nothing with dataplane/srtp. Also the random numbers and the hex reader of these suites.
 */
#ifndef SRTP_REF_H
#define SRTP_REF_H

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct ref {
	uint8_t key[16], auth[20], salt[14];
	uint8_t rtcp_key[16], rtcp_auth[20], rtcp_salt[14];
	int tag_len;
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

static inline void ref_ctr(const uint8_t *key, const uint8_t *iv, uint8_t *data, size_t len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int out;

	if (ctx == NULL || EVP_EncryptInit_ex(ctx, EVP_aes_128_ctr(), NULL, key, iv) != 1 ||
	    EVP_EncryptUpdate(ctx, data, &out, data, (int)len) != 1)
		abort();
	EVP_CIPHER_CTX_free(ctx);
}

static inline void ref_kdf(const uint8_t *mkey, const uint8_t *msalt, int label, uint8_t *out, size_t len)
{
	uint8_t iv[16] = {0};

	memcpy(iv, msalt, 14);
	iv[7] ^= (uint8_t)label;
	memset(out, 0, len);
	ref_ctr(mkey, iv, out, len);
}

static inline void ref_init(struct ref *r, const uint8_t *mkey, const uint8_t *msalt, int tag_len)
{
	ref_kdf(mkey, msalt, 0, r->key, 16);
	ref_kdf(mkey, msalt, 1, r->auth, 20);
	ref_kdf(mkey, msalt, 2, r->salt, 14);
	ref_kdf(mkey, msalt, 3, r->rtcp_key, 16);
	ref_kdf(mkey, msalt, 4, r->rtcp_auth, 20);
	ref_kdf(mkey, msalt, 5, r->rtcp_salt, 14);
	r->tag_len = tag_len;
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

static inline void ref_mac(const uint8_t *auth, const uint8_t *data, size_t len, uint8_t *tag)
{
	unsigned int n;

	if (HMAC(EVP_sha1(), auth, 20, data, len, tag, &n) == NULL)
		abort();
}

/* 'p' has room for 24 bytes more. Returns the new length. */
static inline size_t ref_protect(const struct ref *r, uint8_t *p, size_t len, size_t hdr, uint64_t index)
{
	uint8_t iv[16], tag[20];

	ref_iv(iv, r->salt, p + 8, index);
	if (len > hdr)
		ref_ctr(r->key, iv, p + hdr, len - hdr);
	for (int i = 0; i < 4; i++)
		p[len + (size_t)i] = (uint8_t)(index >> (40 - 8 * i));
	ref_mac(r->auth, p, len + 4, tag);
	memcpy(p + len, tag, (size_t)r->tag_len);
	return len + (size_t)r->tag_len;
}

static inline size_t ref_rtcp_protect(const struct ref *r, uint8_t *p, size_t len, uint32_t index, int e)
{
	uint8_t iv[16], tag[20];
	uint32_t word = index | (e ? 0x80000000u : 0);

	ref_iv(iv, r->rtcp_salt, p + 4, index);
	if (e && len > 8)
		ref_ctr(r->rtcp_key, iv, p + 8, len - 8);
	for (int i = 0; i < 4; i++)
		p[len + (size_t)i] = (uint8_t)(word >> (24 - 8 * i));
	ref_mac(r->rtcp_auth, p, len + 4, tag);
	memcpy(p + len + 4, tag, 10);
	return len + 14;
}

#endif
