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

static const struct {
	const char *name;
	uint8_t cipher, key_len, salt_len, iv_len, block;
	const EVP_CIPHER *(*evp)(void);
} ciphers[] = {
	{"aes-gcm-128", SIM_ESP_GCM, 16, 4, 8, 4, EVP_aes_128_gcm},
	{"aes-gcm-192", SIM_ESP_GCM, 24, 4, 8, 4, EVP_aes_192_gcm},
	{"aes-gcm-256", SIM_ESP_GCM, 32, 4, 8, 4, EVP_aes_256_gcm},
	{"aes-cbc-128", SIM_ESP_CBC, 16, 0, 16, 16, EVP_aes_128_cbc},
	{"aes-cbc-192", SIM_ESP_CBC, 24, 0, 16, 16, EVP_aes_192_cbc},
	{"aes-cbc-256", SIM_ESP_CBC, 32, 0, 16, 16, EVP_aes_256_cbc},
	{"aes-ctr-128", SIM_ESP_CTR, 16, 4, 8, 4, EVP_aes_128_ctr},
	{"aes-ctr-192", SIM_ESP_CTR, 24, 4, 8, 4, EVP_aes_192_ctr},
	{"aes-ctr-256", SIM_ESP_CTR, 32, 4, 8, 4, EVP_aes_256_ctr},
	{"3des-cbc", SIM_ESP_3DES, 24, 0, 8, 8, EVP_des_ede3_cbc},
	{"null", SIM_ESP_NULL, 0, 0, 0, 4, NULL},
};
#define CIPHERS (sizeof(ciphers) / sizeof(ciphers[0]))

static const struct {
	const char *name, *bits;
	uint8_t mac, key_len, icv_len;
	const EVP_MD *(*evp)(void);
} macs[] = {
	{"-sha1", "-96", SIM_ESP_SHA1, 20, 12, EVP_sha1},
	{"-sha256", "-128", SIM_ESP_SHA256, 32, 16, EVP_sha256},
	{"-sha384", "-192", SIM_ESP_SHA384, 48, 24, EVP_sha384},
	{"-sha512", "-256", SIM_ESP_SHA512, 64, 32, EVP_sha512},
};
#define MACS (sizeof(macs) / sizeof(macs[0]))

static const EVP_CIPHER *evp_of(const struct sim_sa *sa)
{
	for (size_t i = 0; i < CIPHERS; i++)
		if (ciphers[i].cipher == sa->cipher && ciphers[i].key_len == sa->key_len)
			return ciphers[i].evp();
	return NULL;
}

/* What is behind the cipher's name: an ICV's octets (GCM), or a HMAC with or without the bits of its ICV. */
static int rest_of_alg(struct sim_sa *sa, const char *rest)
{
	static const char *const icvs[] = {"", "-16", "-12", "-8"};
	static const uint8_t icv_len[] = {16, 16, 12, 8};

	for (size_t i = 0; sa->cipher == SIM_ESP_GCM && i < 4; i++) {
		if (strcmp(rest, icvs[i]) == 0) {
			sa->icv_len = icv_len[i];
			return 0;
		}
	}
	for (size_t i = 0; sa->cipher != SIM_ESP_GCM && i < MACS; i++) {
		size_t n = strlen(macs[i].name);

		if (strncmp(rest, macs[i].name, n) == 0 && (rest[n] == '\0' || strcmp(rest + n, macs[i].bits) == 0)) {
			sa->mac = macs[i].mac;
			sa->auth_len = macs[i].key_len;
			sa->icv_len = macs[i].icv_len;
			return 0;
		}
	}
	return -EINVAL;
}

static int alg_parse(struct sim_sa *sa, const char *name)
{
	for (size_t i = 0; i < CIPHERS; i++) {
		size_t n = strlen(ciphers[i].name);

		if (strncmp(name, ciphers[i].name, n) != 0 || strlen(name) >= sizeof(sa->alg))
			continue;
		memcpy(sa->alg, name, strlen(name) + 1);
		sa->cipher = ciphers[i].cipher;
		sa->key_len = ciphers[i].key_len;
		sa->salt_len = ciphers[i].salt_len;
		sa->iv_len = ciphers[i].iv_len;
		sa->block = ciphers[i].block;
		return rest_of_alg(sa, name + n);
	}
	return -EINVAL;
}

/* Keys as they were given, until the algorithm says what they are. */
struct given {
	const char *key, *salt, *auth; /* hex, or NULL */
};

static int one_field(struct sim_sa *sa, struct given *g, const char *name, const char *value, const char **ret_why)
{
	if (strcmp(name, "spi") == 0) {
		unsigned long v = strtoul(value, NULL, 0);

		*ret_why = "spi wants a number above 255";
		sa->spi = (uint32_t)v;
		return v > 255 && v <= UINT32_MAX ? 0 : -EINVAL;
	}
	if (strcmp(name, "alg") == 0) {
		*ret_why = "alg is none of those that it knows";
		return alg_parse(sa, value);
	}
	if (strcmp(name, "key") == 0 || strcmp(name, "salt") == 0 || strcmp(name, "auth") == 0) {
		*(name[0] == 'k' ? &g->key : name[0] == 's' ? &g->salt : &g->auth) = value;
		return 0;
	}
	if (strcmp(name, "mode") == 0) {
		*ret_why = "mode knows transport and tunnel";
		sa->tunnel = strcmp(value, "tunnel") == 0;
		return sa->tunnel || strcmp(value, "transport") == 0 ? 0 : -EINVAL;
	}
	if (strcmp(name, "peer") == 0) {
		*ret_why = "peer is an address";
		return sim_addr_parse(value, 0, &sa->peer);
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

/* 'len' octets from the front of *text, or from a text of their own. */
static int take(const char **text, const char *own, uint8_t *ret, size_t len)
{
	const char *from = own != NULL ? own : *text;
	char part[2 * 64 + 1];
	int rc = -EINVAL;

	if (from != NULL && (own != NULL ? strlen(own) == 2 * len : strlen(from) >= 2 * len)) {
		memcpy(part, from, 2 * len);
		part[2 * len] = '\0';
		rc = sim_hex(part, ret, len);
		OPENSSL_cleanse(part, sizeof(part));
	} else if (len == 0 && own == NULL) {
		rc = 0;
	}
	if (own == NULL && from != NULL && rc == 0)
		*text += 2 * len;
	return rc;
}

static int keys(struct sim_sa *sa, struct given *g)
{
	if (take(&g->key, NULL, sa->key, sa->key_len) < 0 || take(&g->key, g->salt, sa->salt, sa->salt_len) < 0 ||
	    take(&g->key, g->auth, sa->auth, sa->auth_len) < 0)
		return -EINVAL;
	return g->key == NULL || *g->key == '\0' ? 0 : -EINVAL;
}

int sim_sa_parse(const char *spec, struct sim_sa *ret, const char **ret_why)
{
	struct sim_sa sa = {0};
	struct given g = {0};
	char *copy = strdup(spec), *save = NULL, *field;
	int rc = 0;

	if (copy == NULL)
		return -ENOMEM;
	for (field = strtok_r(copy, ",", &save); rc == 0 && field != NULL; field = strtok_r(NULL, ",", &save)) {
		char *eq = strchr(field, '=');

		if (eq != NULL)
			*eq++ = '\0';
		rc = one_field(&sa, &g, field, eq != NULL ? eq : "", ret_why);
	}
	if (rc == 0 && (sa.spi == 0 || sa.cipher == 0 || keys(&sa, &g) < 0)) {
		*ret_why = "it needs spi, alg, and as many octets of key, salt (GCM, CTR) and auth (all but GCM) as alg has, in hex";
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
	sim_put32(out, sa->spi);
	if (sa->esn)
		sim_put32(out + 4, (uint32_t)(seq >> 32));
	sim_put32(out + (sa->esn ? 8 : 4), (uint32_t)seq);
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
	if (EVP_CipherInit_ex(ctx, evp_of(sa), NULL, sa->key, nonce, seal) == 1 &&
	    EVP_CipherUpdate(ctx, NULL, &n, ad, aad(sa, seq, ad)) == 1 &&
	    EVP_CipherUpdate(ctx, data, &n, data, (int)len) == 1 &&
	    (seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sa->icv_len, icv) == 1) &&
	    EVP_CipherFinal_ex(ctx, data + n, &n) == 1 &&
	    (!seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, sa->icv_len, icv) == 1))
		rc = 0;
	EVP_CIPHER_CTX_free(ctx);
	return rc;
}

/* The ciphers without authentication, in place. */
static int crypt(const struct sim_sa *sa, bool seal, const uint8_t *iv, uint8_t *data, size_t len)
{
	uint8_t block[16] = {0}; /* CTR: nonce, IV, block counter from 1 on (RFC 3686 s4) */
	EVP_CIPHER_CTX *ctx;
	int n, rc = -EBADMSG;

	if (sa->cipher == SIM_ESP_NULL)
		return 0;
	ctx = EVP_CIPHER_CTX_new();
	if (ctx == NULL)
		return -ENOMEM;
	if (sa->cipher == SIM_ESP_CTR) {
		memcpy(block, sa->salt, 4);
		memcpy(block + 4, iv, 8);
		block[15] = 1;
	}
	if (EVP_CipherInit_ex(ctx, evp_of(sa), NULL, sa->key, sa->cipher == SIM_ESP_CTR ? block : iv, seal) == 1 &&
	    EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 && EVP_CipherUpdate(ctx, data, &n, data, (int)len) == 1 &&
	    EVP_CipherFinal_ex(ctx, data + n, &n) == 1)
		rc = 0;
	EVP_CIPHER_CTX_free(ctx);
	return rc;
}

/* HMAC over everything before the ICV, with ESN also the high sequence number; icv_len octets of it. */
static int mac(const struct sim_sa *sa, uint64_t seq, const uint8_t *esp, size_t len, uint8_t *out)
{
	uint8_t full[EVP_MAX_MD_SIZE], *copy = malloc(len + 4);
	unsigned int n;
	int rc = -EIO;

	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, esp, len);
	sim_put32(copy + len, (uint32_t)(seq >> 32));
	for (size_t i = 0; i < MACS; i++) {
		if (macs[i].mac == sa->mac &&
		    HMAC(macs[i].evp(), sa->auth, sa->auth_len, copy, len + (sa->esn ? 4 : 0), full, &n) != NULL) {
			memcpy(out, full, sa->icv_len);
			rc = 0;
		}
	}
	free(copy);
	return rc;
}

int sim_esp_seal_iv(const struct sim_sa *sa, uint64_t seq, const uint8_t *iv, uint8_t next,
		    const uint8_t *payload, size_t len, uint8_t *out, size_t room)
{
	size_t block = sa->block, ivl = sa->iv_len;
	size_t pad = (block - (len + 2) % block) % block, body = len + pad + 2, off = HDR + ivl;
	int rc;

	if (off + body + sa->icv_len > room || len > 65535)
		return -ENOSPC;
	sim_put32(out, sa->spi);
	sim_put32(out + 4, (uint32_t)seq);
	memcpy(out + HDR, iv, ivl);
	memcpy(out + off, payload, len);
	for (size_t i = 0; i < pad; i++)
		out[off + len + i] = (uint8_t)(i + 1);
	out[off + len + pad] = (uint8_t)pad;
	out[off + len + pad + 1] = next;
	if (sa->cipher == SIM_ESP_GCM) {
		rc = gcm(sa, true, seq, iv, out + off, body, out + off + body);
	} else {
		rc = crypt(sa, true, iv, out + off, body);
		if (rc == 0)
			rc = mac(sa, seq, out, off + body, out + off + body);
	}
	return rc < 0 ? rc : (int)(off + body + sa->icv_len);
}

int sim_esp_seal(struct sim_sa *sa, uint8_t next, const uint8_t *payload, size_t len, uint8_t *out, size_t room)
{
	uint8_t iv[16];
	int rc;

	if (!sa->esn && sa->seq >= UINT32_MAX)
		return -EOVERFLOW; /* never twice under one key */
	sa->seq++;
	if (sa->cipher == SIM_ESP_GCM || sa->cipher == SIM_ESP_CTR) { /* unique is enough, and needed */
		for (size_t i = 0; i < 8; i++)
			iv[i] = sa->iv_base[i] ^ (uint8_t)(sa->seq >> (56 - 8 * i));
	} else if (RAND_bytes(iv, sizeof(iv)) != 1) {
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
	size_t ivl = sa->iv_len, icv = sa->icv_len, block = sa->block, body, pad;
	uint8_t want[32], tag[16];
	uint64_t seq;
	int rc;

	if (len < HDR + ivl + block + icv || (len - HDR - ivl - icv) % block != 0 ||
	    (body = len - HDR - ivl - icv) > room || sim_be32(esp) != sa->spi) {
		sa->malformed++;
		return -EBADMSG;
	}
	seq = full_seq(sa, sim_be32(esp + 4));
	if (stale(sa, seq)) {
		sa->replayed++;
		return -EALREADY;
	}
	memcpy(out, esp + HDR + ivl, body);
	if (sa->cipher == SIM_ESP_GCM) {
		memcpy(tag, esp + len - icv, icv);
		rc = gcm(sa, false, seq, esp + HDR, out, body, tag);
	} else {
		rc = mac(sa, seq, esp, len - icv, want);
		if (rc == 0 && CRYPTO_memcmp(want, esp + len - icv, icv) != 0)
			rc = -EACCES;
		if (rc == 0)
			rc = crypt(sa, false, esp + HDR, out, body);
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
