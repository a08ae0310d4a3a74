/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The other end of an SA, for tests: ESP by OpenSSL's EVP and IP by hand, slow and obvious. Shares no code
 * with dataplane/ and includes nothing of it but the message that describes an SA.
 */
#ifndef TESTS_ESP_PEER_H
#define TESTS_ESP_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "dp_msg.h"

#define PEER_PKT_MAX 4096

/* What a test may get wrong on purpose, and what it got. */
struct peer_esp {
	uint64_t seq;        /* all 64 bits; the high half counts with ESN only */
	uint8_t iv[16];      /* as many as the algorithm has */
	uint8_t next;
	unsigned int pad;    /* bytes of padding; seal: at least this many, made up to the alignment */
	unsigned int tfc;    /* seal: zero bytes after the payload, before the padding */
	bool bad_pad;        /* seal: padding is not 1 2 3 */
	int pad_len_lie;     /* seal: added to the pad length field */
};

/* What the numbers of algorithms mean, told here once more and otherwise than dataplane/api has it. */
enum peer_kind { PEER_GCM, PEER_CBC, PEER_CTR, PEER_3DES, PEER_NULL };
struct peer_alg {
	enum peer_kind kind;
	const EVP_CIPHER *cipher;
	const EVP_MD *md;
	size_t key, salt, auth, iv, icv, align;
};

static inline struct peer_alg peer_alg(const struct dp_sa_set *s)
{
	static const EVP_CIPHER *(*const cbcs[])(void) = {EVP_aes_128_cbc, EVP_aes_192_cbc, EVP_aes_256_cbc};
	static const EVP_CIPHER *(*const ctrs[])(void) = {EVP_aes_128_ctr, EVP_aes_192_ctr, EVP_aes_256_ctr};
	static const EVP_CIPHER *(*const gcms[])(void) = {EVP_aes_128_gcm, EVP_aes_192_gcm, EVP_aes_256_gcm};
	static const EVP_MD *(*const mds[])(void) = {EVP_sha1, EVP_sha256, EVP_sha384, EVP_sha512};
	struct peer_alg a = {.kind = PEER_GCM, .salt = 4, .iv = 8, .icv = 16, .align = 4};
	unsigned int alg = s->alg, hash = 0, size = 0;

	if (alg >= DP_ESP_AES_CBC_128_SHA1_96 && alg <= DP_ESP_AES_CTR_256_SHA512_256) {
		unsigned int k = alg - DP_ESP_AES_CBC_128_SHA1_96;

		a.kind = k < 12 ? PEER_CBC : PEER_CTR;
		size = k % 12 / 4;
		hash = 1 + k % 4;
	} else if (alg >= DP_ESP_3DES_CBC_SHA1_96) {
		a.kind = alg < DP_ESP_NULL_SHA1_96 ? PEER_3DES : PEER_NULL;
		hash = 1 + (alg - DP_ESP_3DES_CBC_SHA1_96) % 4;
	} else if (alg == DP_ESP_AES_GCM_192 || alg == DP_ESP_AES_GCM_256) {
		size = alg - DP_ESP_AES_GCM_192 + 1;
	} else if (alg >= DP_ESP_AES_GCM_128_12) {
		size = (alg - DP_ESP_AES_GCM_128_12) % 3;
		a.icv = alg < DP_ESP_AES_GCM_128_8 ? 12 : 8;
	}
	a.key = 16 + 8 * size;
	a.cipher = a.kind == PEER_GCM ? gcms[size]() : a.kind == PEER_CBC ? cbcs[size]() : ctrs[size]();
	if (a.kind == PEER_CBC)
		a.salt = 0, a.iv = a.align = 16;
	if (a.kind == PEER_3DES)
		a.salt = 0, a.iv = a.align = 8, a.key = 24, a.cipher = EVP_des_ede3_cbc();
	if (a.kind == PEER_NULL)
		a.salt = a.iv = a.key = 0, a.cipher = NULL;
	if (hash > 0) {
		a.md = mds[hash - 1]();
		a.auth = (size_t)EVP_MD_get_size(a.md);
		a.icv = hash == 1 ? 12 : a.auth / 2;
	}
	return a;
}

static inline bool peer_gcm(const struct dp_sa_set *s)
{
	return peer_alg(s).kind == PEER_GCM;
}

/* Bytes that ESP has around the ciphertext. */
static inline size_t peer_over(const struct dp_sa_set *s)
{
	return 8 + peer_alg(s).iv + peer_alg(s).icv;
}

static inline void peer_w32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static inline size_t peer_aad(const struct dp_sa_set *s, uint64_t seq, uint8_t aad[12])
{
	size_t n = 0;

	peer_w32(aad, s->spi);
	n += 4;
	if (s->esn) {
		peer_w32(aad + n, (uint32_t)(seq >> 32));
		n += 4;
	}
	peer_w32(aad + n, (uint32_t)seq);
	return n + 4;
}

static inline void peer_hmac(const struct dp_sa_set *s, uint64_t seq, const uint8_t *esp, size_t len, uint8_t *icv)
{
	struct peer_alg a = peer_alg(s);
	uint8_t *all = malloc(len + 4), full[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	memcpy(all, esp, len);
	peer_w32(all + len, (uint32_t)(seq >> 32));
	if (HMAC(a.md, s->auth, (int)a.auth, all, len + (s->esn ? 4 : 0), full, &n) == NULL || n != a.auth)
		abort();
	memcpy(icv, full, a.icv);
	free(all);
}

/* Everything but GCM, either way; src and dst apart. */
static inline void peer_cipher(const struct dp_sa_set *s, const uint8_t *iv, const uint8_t *src, uint8_t *dst, size_t n, bool enc)
{
	struct peer_alg a = peer_alg(s);
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t block[16];
	int out = 0;

	if (a.kind == PEER_NULL) {
		memcpy(dst, src, n);
		EVP_CIPHER_CTX_free(c);
		return;
	}
	memcpy(block, iv, a.iv);
	if (a.kind == PEER_CTR) {
		memcpy(block, s->salt, 4);
		memcpy(block + 4, iv, 8);
		peer_w32(block + 12, 1);
	}
	if (EVP_CipherInit_ex(c, a.cipher, NULL, s->key, block, enc) != 1 || EVP_CIPHER_CTX_set_padding(c, 0) != 1 ||
	    EVP_CipherUpdate(c, dst, &out, src, (int)n) != 1 || (size_t)out != n)
		abort();
	EVP_CIPHER_CTX_free(c);
}

/* Writes SPI ... ICV to 'ret'; returns its length. */
static inline size_t peer_seal(const struct dp_sa_set *s, const struct peer_esp *e, const uint8_t *pay, size_t len,
			       uint8_t *ret)
{
	struct peer_alg a = peer_alg(s);
	size_t pad = e->pad, n = 0;
	uint8_t text[PEER_PKT_MAX], nonce[12], aad[12], *to = ret + 8 + a.iv;
	int out = 0, fin = 0;

	memcpy(text, pay, len);
	memset(text + len, 0, e->tfc);
	n = len + e->tfc;
	while ((n + pad + 2) % a.align != 0)
		pad++;
	for (size_t i = 0; i < pad; i++)
		text[n + i] = (uint8_t)(e->bad_pad && i == pad - 1 ? 0xa5 : i + 1);
	n += pad;
	text[n++] = (uint8_t)(pad + (size_t)e->pad_len_lie);
	text[n++] = e->next;

	peer_w32(ret, s->spi);
	peer_w32(ret + 4, (uint32_t)e->seq);
	memcpy(ret + 8, e->iv, a.iv);
	if (a.kind == PEER_GCM) {
		EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

		memcpy(nonce, s->salt, 4);
		memcpy(nonce + 4, e->iv, 8);
		if (EVP_EncryptInit_ex(c, a.cipher, NULL, s->key, nonce) != 1 ||
		    EVP_EncryptUpdate(c, NULL, &out, aad, (int)peer_aad(s, e->seq, aad)) != 1 ||
		    EVP_EncryptUpdate(c, to, &out, text, (int)n) != 1 || EVP_EncryptFinal_ex(c, to + out, &fin) != 1 ||
		    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, (int)a.icv, to + n) != 1)
			abort();
		EVP_CIPHER_CTX_free(c);
	} else {
		peer_cipher(s, e->iv, text, to, n, true);
		peer_hmac(s, e->seq, ret, 8 + a.iv + n, to + n);
	}
	return 8 + a.iv + n + a.icv;
}

/*
 * Opens SPI ... ICV. e->seq is in-out: its high half is what the peer expects, the low half is read. Returns
 * the payload's length, or -1. TFC padding stays in the payload.
 */
static inline int peer_open(const struct dp_sa_set *s, struct peer_esp *e, const uint8_t *esp, size_t len,
			    uint8_t *pay)
{
	struct peer_alg a = peer_alg(s);
	uint8_t want[4], nonce[12], aad[12], tag[32];
	int out = 0, fin = 0;
	size_t n;

	peer_w32(want, s->spi);
	if (len < 8 + a.iv + a.icv + 2 || memcmp(esp, want, 4) != 0)
		return -1;
	n = len - 8 - a.iv - a.icv;
	if (n % a.align != 0)
		return -1;
	e->seq = (e->seq >> 32 << 32) | ((uint32_t)esp[4] << 24 | (uint32_t)esp[5] << 16 | (uint32_t)esp[6] << 8 | esp[7]);
	memset(e->iv, 0, sizeof(e->iv));
	memcpy(e->iv, esp + 8, a.iv);
	if (a.kind == PEER_GCM) {
		EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
		bool ok;

		memcpy(nonce, s->salt, 4);
		memcpy(nonce + 4, e->iv, 8);
		memcpy(tag, esp + len - a.icv, a.icv);
		ok = EVP_DecryptInit_ex(c, a.cipher, NULL, s->key, nonce) == 1 &&
		     EVP_DecryptUpdate(c, NULL, &out, aad, (int)peer_aad(s, e->seq, aad)) == 1 &&
		     EVP_DecryptUpdate(c, pay, &out, esp + 8 + a.iv, (int)n) == 1 &&
		     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, (int)a.icv, tag) == 1 &&
		     EVP_DecryptFinal_ex(c, pay + out, &fin) == 1;
		EVP_CIPHER_CTX_free(c);
		if (!ok)
			return -1;
	} else {
		peer_hmac(s, e->seq, esp, len - a.icv, tag);
		if (memcmp(tag, esp + len - a.icv, a.icv) != 0)
			return -1;
		peer_cipher(s, e->iv, esp + 8 + a.iv, pay, n, false);
	}
	e->next = pay[n - 1];
	e->pad = pay[n - 2];
	if (e->pad + 2 > n)
		return -1;
	for (size_t i = 0; i < e->pad; i++)
		if (pay[n - 2 - e->pad + i] != i + 1)
			return -1;
	return (int)(n - 2 - e->pad);
}

/* --- IP by hand --- */

static inline uint16_t peer_sum(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < alen + blen; i++) {
		uint8_t v = i < alen ? a[i] : b[i - alen]; /* alen is even */

		sum += i % 2 == 0 ? (uint32_t)v << 8 : v;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)~sum;
}

/* Checksum over pseudo header and 'len' bytes at 'l4'; 0 when the one inside is right. */
static inline uint16_t peer_l4_sum(const uint8_t *ip, uint8_t proto, const uint8_t *l4, size_t len)
{
	uint8_t ph[40] = {0};
	size_t n;

	if (ip[0] >> 4 == 4) {
		memcpy(ph, ip + 12, 8);
		ph[9] = proto;
		ph[10] = (uint8_t)(len >> 8);
		ph[11] = (uint8_t)len;
		n = 12;
	} else {
		memcpy(ph, ip + 8, 32);
		peer_w32(ph + 32, (uint32_t)len);
		ph[39] = proto;
		n = 40;
	}
	return peer_sum(ph, n, l4, len);
}

struct peer_ip {
	uint8_t family;     /* 4 or 6 */
	const uint8_t *src, *dst;
	uint8_t tos, ttl, proto;
	uint16_t frag;      /* IPv4: flags and offset */
	uint8_t opts;       /* IPv4: bytes of options; IPv6: 1: hop-by-hop, 2: destination options, 3: both */
};

/* A header in 'ret' for 'len' bytes that the caller puts behind it; returns the header's length. */
static inline size_t peer_ip(const struct peer_ip *d, size_t len, uint8_t *ret)
{
	static const uint8_t padn[8] = {0, 0, 1, 4, 0, 0, 0, 0}; /* next header, length, PadN */
	size_t h, total;

	if (d->family == 4) {
		h = 20u + d->opts;
		total = h + len;
		memset(ret, 0, h);
		memset(ret + 20, 1, d->opts); /* NOP */
		ret[0] = (uint8_t)(0x40 | h / 4);
		ret[1] = d->tos;
		ret[2] = (uint8_t)(total >> 8);
		ret[3] = (uint8_t)total;
		ret[4] = 0x12;
		ret[5] = 0x34;
		ret[6] = (uint8_t)(d->frag >> 8);
		ret[7] = (uint8_t)d->frag;
		ret[8] = d->ttl;
		ret[9] = d->proto;
		memcpy(ret + 12, d->src, 4);
		memcpy(ret + 16, d->dst, 4);
		total = peer_sum(ret, h, NULL, 0);
		ret[10] = (uint8_t)(total >> 8);
		ret[11] = (uint8_t)total;
		return h;
	}
	h = 40;
	memset(ret, 0, 40);
	ret[0] = (uint8_t)(0x60 | d->tos >> 4);
	ret[1] = (uint8_t)(d->tos << 4 | 0xb);
	ret[2] = 0xcd;
	ret[3] = 0xef;
	ret[6] = d->proto;
	ret[7] = d->ttl;
	memcpy(ret + 8, d->src, 16);
	memcpy(ret + 24, d->dst, 16);
	if (d->opts & 1) {
		memcpy(ret + h, padn, 8);
		ret[h] = ret[6];
		ret[6] = 0;
		h += 8;
	}
	if (d->opts & 2) {
		uint8_t *nh = d->opts & 1 ? &ret[40] : &ret[6];

		memcpy(ret + h, padn, 8);
		ret[h] = *nh;
		*nh = 60;
		h += 8;
	}
	ret[4] = (uint8_t)((h - 40 + len) >> 8);
	ret[5] = (uint8_t)(h - 40 + len);
	return h;
}

#endif
