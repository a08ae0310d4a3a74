/* SPDX-License-Identifier: BSD-3-Clause */
#include "esp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "util.h"

#define HDR 8 /* SPI, sequence number */

static size_t iv_len(const struct sim_sa *sa)
{
	return sa->alg == SIM_ESP_GCM ? 8 : 16;
}

static size_t icv_len(const struct sim_sa *sa)
{
	return sa->alg == SIM_ESP_GCM ? 16 : 12;
}

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

const char *sim_sa_alg_name(const struct sim_sa *sa)
{
	return sa->alg == SIM_ESP_GCM ? "aes-gcm-128" : "aes-cbc-128-sha1-96";
}

static int one_field(struct sim_sa *sa, const char *name, const char *value, const char **ret_why)
{
	size_t n = strlen(value);
	char head[73];

	if (strcmp(name, "spi") == 0) {
		unsigned long v = strtoul(value, NULL, 0);

		*ret_why = "spi wants a number above 255";
		sa->spi = (uint32_t)v;
		return v > 255 && v <= UINT32_MAX ? 0 : -EINVAL;
	}
	if (strcmp(name, "alg") == 0) {
		*ret_why = "alg knows aes-gcm-128 and aes-cbc-128-sha1-96";
		sa->alg = strcmp(value, "aes-gcm-128") == 0 ? SIM_ESP_GCM : SIM_ESP_CBC_SHA1;
		return sa->alg == SIM_ESP_GCM || strcmp(value, "aes-cbc-128-sha1-96") == 0 ? 0 : -EINVAL;
	}
	if (strcmp(name, "key") == 0) {
		int rc;

		*ret_why = "key wants 16, 20 (with the salt) or 36 octets (with the authentication key) in hex";
		if (n != 32 && n != 40 && n != 72)
			return -EINVAL;
		memcpy(head, value, 32);
		head[32] = '\0';
		rc = sim_hex(head, sa->key, 16);
		OPENSSL_cleanse(head, sizeof(head));
		if (n == 40 && rc == 0)
			rc = sim_hex(value + 32, sa->salt, 4);
		if (n == 72 && rc == 0)
			rc = sim_hex(value + 32, sa->auth, 20);
		return rc;
	}
	if (strcmp(name, "salt") == 0) {
		*ret_why = "salt wants 4 octets in hex";
		return sim_hex(value, sa->salt, 4);
	}
	if (strcmp(name, "auth") == 0) {
		*ret_why = "auth wants 20 octets in hex";
		return sim_hex(value, sa->auth, 20);
	}
	if (strcmp(name, "mode") == 0) {
		*ret_why = "mode knows transport and tunnel";
		sa->tunnel = strcmp(value, "tunnel") == 0;
		return sa->tunnel || strcmp(value, "transport") == 0 ? 0 : -EINVAL;
	}
	if (strcmp(name, "encap") == 0) {
		*ret_why = "encap knows 4500";
		sa->encap = true;
		return strcmp(value, "4500") == 0 ? 0 : -EINVAL;
	}
	if (strcmp(name, "esn") == 0) {
		sa->esn = true;
		return 0;
	}
	if (strcmp(name, "seq") == 0) {
		sa->seq = strtoull(value, NULL, 0);
		return 0;
	}
	*ret_why = "it has an unknown field";
	return -EINVAL;
}

int sim_sa_parse(const char *spec, struct sim_sa *ret, const char **ret_why)
{
	struct sim_sa sa = {0};
	char *copy = strdup(spec), *save = NULL, *field;
	bool key = false, rest = false;
	int rc = 0;

	if (copy == NULL)
		return -ENOMEM;
	for (field = strtok_r(copy, ",", &save); rc == 0 && field != NULL; field = strtok_r(NULL, ",", &save)) {
		char *eq = strchr(field, '=');

		if (eq != NULL)
			*eq++ = '\0';
		rc = one_field(&sa, field, eq != NULL ? eq : "", ret_why);
		if (strcmp(field, "key") == 0) {
			key = true;
			rest |= strlen(eq != NULL ? eq : "") > 32;
		}
		rest |= strcmp(field, "auth") == 0 || strcmp(field, "salt") == 0;
	}
	if (rc == 0 && (sa.spi == 0 || sa.alg == 0 || !key || !rest)) {
		*ret_why = "it needs spi, alg, key, and with CBC auth, with GCM the salt";
		rc = -EINVAL;
	}
	if (rc == 0 && RAND_bytes(sa.iv_base, sizeof(sa.iv_base)) != 1)
		rc = -EIO;
	if (rc == 0)
		*ret = sa;
	OPENSSL_cleanse(&sa, sizeof(sa));
	OPENSSL_cleanse(copy, strlen(spec));
	free(copy);
	return rc;
}

/* AAD of GCM: SPI and sequence number, 32 or 64 bits of it. */
static int aad(const struct sim_sa *sa, uint64_t seq, uint8_t out[12])
{
	put32(out, sa->spi);
	if (sa->esn)
		put32(out + 4, (uint32_t)(seq >> 32));
	put32(out + (sa->esn ? 8 : 4), (uint32_t)seq);
	return sa->esn ? 12 : 8;
}

/* Encrypt or decrypt in place, data behind the IV; GCM: tag at icv is written or checked. */
static int gcm(const struct sim_sa *sa, bool seal, uint64_t seq, const uint8_t *iv, uint8_t *data, size_t len,
	       uint8_t *icv)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t nonce[12], ad[12];
	int n, rc = -EACCES;

	if (ctx == NULL)
		return -ENOMEM;
	memcpy(nonce, sa->salt, 4);
	memcpy(nonce + 4, iv, 8);
	if (EVP_CipherInit_ex(ctx, EVP_aes_128_gcm(), NULL, sa->key, nonce, seal) == 1 &&
	    EVP_CipherUpdate(ctx, NULL, &n, ad, aad(sa, seq, ad)) == 1 &&
	    EVP_CipherUpdate(ctx, data, &n, data, (int)len) == 1 &&
	    (seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, icv) == 1) &&
	    EVP_CipherFinal_ex(ctx, data + n, &n) == 1 &&
	    (!seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, icv) == 1))
		rc = 0;
	EVP_CIPHER_CTX_free(ctx);
	return rc;
}

static int cbc(const struct sim_sa *sa, bool seal, const uint8_t *iv, uint8_t *data, size_t len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n, rc = -EBADMSG;

	if (ctx == NULL)
		return -ENOMEM;
	if (EVP_CipherInit_ex(ctx, EVP_aes_128_cbc(), NULL, sa->key, iv, seal) == 1 &&
	    EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 && EVP_CipherUpdate(ctx, data, &n, data, (int)len) == 1 &&
	    EVP_CipherFinal_ex(ctx, data + n, &n) == 1)
		rc = 0;
	EVP_CIPHER_CTX_free(ctx);
	return rc;
}

/* HMAC-SHA1-96 over everything before the ICV, with ESN also the high sequence number. */
static int mac(const struct sim_sa *sa, uint64_t seq, const uint8_t *esp, size_t len, uint8_t out[12])
{
	uint8_t full[EVP_MAX_MD_SIZE], *copy = malloc(len + 4);
	unsigned int n;
	int rc = -EIO;

	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, esp, len);
	put32(copy + len, (uint32_t)(seq >> 32));
	if (HMAC(EVP_sha1(), sa->auth, 20, copy, len + (sa->esn ? 4 : 0), full, &n) != NULL) {
		memcpy(out, full, 12);
		rc = 0;
	}
	free(copy);
	return rc;
}

int sim_esp_seal_iv(const struct sim_sa *sa, uint64_t seq, const uint8_t *iv, uint8_t next,
		    const uint8_t *payload, size_t len, uint8_t *out, size_t room)
{
	size_t block = sa->alg == SIM_ESP_GCM ? 4 : 16, ivl = iv_len(sa);
	size_t pad = (block - (len + 2) % block) % block, body = len + pad + 2, off = HDR + ivl;
	int rc;

	if (off + body + icv_len(sa) > room || len > 65535)
		return -ENOSPC;
	put32(out, sa->spi);
	put32(out + 4, (uint32_t)seq);
	memcpy(out + HDR, iv, ivl);
	memcpy(out + off, payload, len);
	for (size_t i = 0; i < pad; i++)
		out[off + len + i] = (uint8_t)(i + 1);
	out[off + len + pad] = (uint8_t)pad;
	out[off + len + pad + 1] = next;
	if (sa->alg == SIM_ESP_GCM) {
		rc = gcm(sa, true, seq, iv, out + off, body, out + off + body);
	} else {
		rc = cbc(sa, true, iv, out + off, body);
		if (rc == 0)
			rc = mac(sa, seq, out, off + body, out + off + body);
	}
	return rc < 0 ? rc : (int)(off + body + icv_len(sa));
}

int sim_esp_seal(struct sim_sa *sa, uint8_t next, const uint8_t *payload, size_t len, uint8_t *out, size_t room)
{
	uint8_t iv[16];
	int rc;

	if (!sa->esn && sa->seq >= UINT32_MAX)
		return -EOVERFLOW; /* never twice under one key */
	sa->seq++;
	if (sa->alg == SIM_ESP_GCM) {
		for (size_t i = 0; i < 8; i++)
			iv[i] = sa->iv_base[i] ^ (uint8_t)(sa->seq >> (56 - 8 * i));
	} else if (RAND_bytes(iv, 16) != 1) {
		return -EIO;
	}
	rc = sim_esp_seal_iv(sa, sa->seq, iv, next, payload, len, out, room);
	if (rc > 0)
		sa->packets++;
	return rc;
}

/* The 64-bit number that a received low half stands for: RFC 4303 A2.2. */
static uint64_t full_seq(const struct sim_sa *sa, uint32_t low)
{
	uint32_t tl = (uint32_t)sa->top, th = (uint32_t)(sa->top >> 32), bottom = tl - 63;

	if (!sa->esn)
		return low;
	if (tl >= 63)
		return (uint64_t)(low >= bottom ? th : th + 1) << 32 | low;
	return (uint64_t)(low >= bottom && th > 0 ? th - 1 : th) << 32 | low;
}

static bool stale(const struct sim_sa *sa, uint64_t seq)
{
	if (seq == 0)
		return true;
	if (seq > sa->top)
		return false;
	return sa->top - seq >= 64 || (sa->window >> (sa->top - seq) & 1) != 0;
}

int sim_esp_open(struct sim_sa *sa, const uint8_t *esp, size_t len, uint8_t *out, size_t room, uint8_t *ret_next)
{
	size_t ivl = iv_len(sa), icv = icv_len(sa), block = sa->alg == SIM_ESP_GCM ? 4 : 16, body, pad;
	uint8_t want[12], tag[16];
	uint64_t seq;
	int rc;

	if (len < HDR + ivl + block + icv || (len - HDR - ivl - icv) % block != 0 ||
	    (body = len - HDR - ivl - icv) > room || be32(esp) != sa->spi) {
		sa->malformed++;
		return -EBADMSG;
	}
	seq = full_seq(sa, be32(esp + 4));
	if (stale(sa, seq)) {
		sa->replayed++;
		return -EALREADY;
	}
	memcpy(out, esp + HDR + ivl, body);
	if (sa->alg == SIM_ESP_GCM) {
		memcpy(tag, esp + len - 16, 16);
		rc = gcm(sa, false, seq, esp + HDR, out, body, tag);
	} else {
		rc = mac(sa, seq, esp, len - icv, want);
		if (rc == 0 && CRYPTO_memcmp(want, esp + len - icv, icv) != 0)
			rc = -EACCES;
		if (rc == 0)
			rc = cbc(sa, false, esp + HDR, out, body);
	}
	if (rc < 0) {
		OPENSSL_cleanse(out, body);
		sa->auth_failed++;
		return -EACCES;
	}
	/* Authentic: only now the window moves. */
	if (seq > sa->top) {
		uint64_t by = seq - sa->top;

		sa->window = by >= 64 ? 1 : sa->window << by | 1;
		sa->top = seq;
	} else {
		sa->window |= 1ULL << (sa->top - seq);
	}
	pad = out[body - 2];
	*ret_next = out[body - 1];
	if (pad + 2 > body) {
		sa->malformed++;
		return -EBADMSG;
	}
	for (size_t i = 0; i < pad; i++) {
		if (out[body - 2 - pad + i] != (uint8_t)(i + 1)) {
			sa->malformed++;
			return -EBADMSG;
		}
	}
	sa->packets++;
	return (int)(body - 2 - pad);
}
