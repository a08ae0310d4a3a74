/* SPDX-License-Identifier: BSD-3-Clause */
#include "srtp_evp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "util.h"

struct stream {
	bool used, started;
	uint32_t ssrc, roc;
	uint16_t s_l;
	uint64_t top, window;           /* SRTP: highest index, bit i: top - i was seen */
	uint64_t rtcp_top, rtcp_window; /* SRTCP; outbound: rtcp_top is the last index sent */
	bool rtcp_started;
};

/* Session keys for SRTP or for SRTCP. */
struct session {
	EVP_CIPHER_CTX *cipher;
	HMAC_CTX *mac;
	uint8_t salt[14];
	size_t tag_len;
	bool gcm;
};

struct sim_srtp_evp {
	struct session rtp, rtcp;
	struct stream streams[SIM_EVP_SSRCS];
	bool inbound;
};

static const EVP_CIPHER *ctr_of(enum sim_srtp_alg alg)
{
	size_t n = sim_srtp_key_len(alg);

	return n == 16 ? EVP_aes_128_ctr() : n == 24 ? EVP_aes_192_ctr() : EVP_aes_256_ctr();
}

/* AES-CM keystream: RFC 3711 4.1.1. iv is 16 octets. cipher and key NULL: as set. */
static int keystream(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, const uint8_t *key, const uint8_t *iv, uint8_t *data,
		     int len)
{
	int n;

	if (EVP_EncryptInit_ex(ctx, cipher, NULL, key, iv) != 1 ||
	    EVP_EncryptUpdate(ctx, data, &n, data, len) != 1)
		return -EPROTO;
	return 0;
}

static int derive(EVP_CIPHER_CTX *ctx, const struct sim_srtp_key *k, uint8_t label, uint8_t *out, int len)
{
	uint8_t iv[16] = {0};

	memcpy(iv, k->salt, sim_srtp_salt_len(k->alg)); /* GCM: zeros behind, RFC 7714 11 */
	iv[7] ^= label;
	memset(out, 0, (size_t)len);
	return keystream(ctx, ctr_of(k->alg), k->key, iv, out, len);
}

/* HMAC_CTX is deprecated in OpenSSL 3, but copying one costs less than EVP_MAC's parameters per packet. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static int session_init(struct session *se, const struct sim_srtp_key *k, uint8_t label, size_t tag_len)
{
	int key_len = (int)sim_srtp_key_len(k->alg);
	const EVP_CIPHER *cipher = ctr_of(k->alg);
	uint8_t key[32], auth[20];
	int rc = -ENOMEM;

	se->tag_len = tag_len;
	se->gcm = sim_srtp_gcm(k->alg);
	if (se->gcm)
		cipher = key_len == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
	se->cipher = EVP_CIPHER_CTX_new();
	se->mac = HMAC_CTX_new();
	if (se->cipher == NULL || se->mac == NULL)
		return rc;
	if (derive(se->cipher, k, label, key, key_len) == 0 &&
	    derive(se->cipher, k, (uint8_t)(label + 1), auth, 20) == 0 &&
	    derive(se->cipher, k, (uint8_t)(label + 2), se->salt, 14) == 0 &&
	    EVP_CipherInit_ex(se->cipher, cipher, NULL, key, NULL, 1) == 1 &&
	    HMAC_Init_ex(se->mac, auth, 20, EVP_sha1(), NULL) == 1)
		rc = 0;
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(auth, sizeof(auth));
	return rc;
}

static int tag(struct session *se, const uint8_t *data, size_t len, const uint8_t *more, size_t more_len,
	       uint8_t out[20])
{
	unsigned int n;

	return HMAC_Init_ex(se->mac, NULL, 0, NULL, NULL) == 1 && HMAC_Update(se->mac, data, len) == 1 &&
			       HMAC_Update(se->mac, more, more_len) == 1 &&
			       HMAC_Final(se->mac, out, &n) == 1
		       ? 0
		       : -EPROTO;
}

static void session_fini(struct session *se)
{
	EVP_CIPHER_CTX_free(se->cipher);
	HMAC_CTX_free(se->mac);
	OPENSSL_cleanse(se, sizeof(*se));
}
#pragma GCC diagnostic pop

struct sim_srtp_evp *sim_srtp_evp_create(const struct sim_srtp_key *key, bool inbound)
{
	struct sim_srtp_evp *s;

	size_t tag_len = 10;

	if (sim_srtp_key_len(key->alg) == 0)
		return NULL;
	if (sim_srtp_gcm(key->alg))
		tag_len = 16;
	else if (key->alg == SIM_SRTP_AES128_SHA1_32 || key->alg == SIM_SRTP_AES192_SHA1_32 ||
		 key->alg == SIM_SRTP_AES256_SHA1_32)
		tag_len = 4;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->inbound = inbound;
	if (session_init(&s->rtp, key, 0, tag_len) < 0 ||
	    session_init(&s->rtcp, key, 3, tag_len == 4 ? 10 : tag_len) < 0) { /* SRTCP keeps 10: RFC 3711 5.2 */
		sim_srtp_evp_destroy(s);
		return NULL;
	}
	return s;
}

void sim_srtp_evp_destroy(struct sim_srtp_evp *s)
{
	if (s == NULL)
		return;
	session_fini(&s->rtp);
	session_fini(&s->rtcp);
	free(s);
}

void sim_srtp_evp_carry(struct sim_srtp_evp *to, const struct sim_srtp_evp *from)
{
	memcpy(to->streams, from->streams, sizeof(to->streams));
}

static struct stream *stream_find(struct sim_srtp_evp *s, uint32_t ssrc)
{
	for (size_t i = 0; i < SIM_EVP_SSRCS; i++) {
		if (s->streams[i].used && s->streams[i].ssrc == ssrc)
			return &s->streams[i];
	}
	return NULL;
}

static struct stream *stream_add(struct sim_srtp_evp *s, uint32_t ssrc)
{
	for (size_t i = 0; i < SIM_EVP_SSRCS; i++) {
		if (!s->streams[i].used) {
			s->streams[i] = (struct stream){.used = true, .ssrc = ssrc};
			return &s->streams[i];
		}
	}
	return NULL;
}

static int crypt_at(struct session *se, uint32_t ssrc, uint64_t index, uint8_t *data, int len)
{
	uint8_t iv[16] = {0};

	memcpy(iv, se->salt, 14);
	for (int i = 0; i < 4; i++)
		iv[4 + i] ^= (uint8_t)(ssrc >> (24 - 8 * i));
	for (int i = 0; i < 6; i++)
		iv[8 + i] ^= (uint8_t)(index >> (40 - 8 * i));
	return keystream(se->cipher, NULL, NULL, iv, data, len);
}

/*
 * AES-GCM of RFC 7714 8.1 and 9.1: 'index' is ROC and sequence number, or the SRTCP index. Opening: 0 or -EACCES; the tag
 * stands behind the data, or is written there.
 */
static int gcm(struct session *se, uint32_t ssrc, uint64_t index, bool open, const uint8_t *aad, int aad_len,
	       const uint8_t *more, int more_len, uint8_t *data, int len)
{
	uint8_t iv[12] = {0};
	int n;

	for (int i = 0; i < 4; i++)
		iv[2 + i] = (uint8_t)(ssrc >> (24 - 8 * i));
	for (int i = 0; i < 6; i++)
		iv[6 + i] = (uint8_t)(index >> (40 - 8 * i));
	for (int i = 0; i < 12; i++)
		iv[i] ^= se->salt[i];
	if (EVP_CipherInit_ex(se->cipher, NULL, NULL, NULL, iv, open ? 0 : 1) != 1 ||
	    EVP_CipherUpdate(se->cipher, NULL, &n, aad, aad_len) != 1 ||
	    (more_len > 0 && EVP_CipherUpdate(se->cipher, NULL, &n, more, more_len) != 1) ||
	    (open && EVP_CIPHER_CTX_ctrl(se->cipher, EVP_CTRL_AEAD_SET_TAG, 16, data + len) != 1) ||
	    (len > 0 && EVP_CipherUpdate(se->cipher, data, &n, data, len) != 1))
		return -EPROTO;
	if (EVP_CipherFinal_ex(se->cipher, data + len, &n) != 1)
		return open ? -EACCES : -EPROTO;
	if (!open && EVP_CIPHER_CTX_ctrl(se->cipher, EVP_CTRL_AEAD_GET_TAG, 16, data + len) != 1)
		return -EPROTO;
	return 0;
}

/* Octets before the payload: fixed header, CSRC, extension. -EBADMSG when they do not fit. */
static int header_len(const uint8_t *data, int len)
{
	int n;

	if (len < 12 || data[0] >> 6 != 2)
		return -EBADMSG;
	n = 12 + 4 * (data[0] & 15);
	if ((data[0] & 0x10) != 0) {
		if (len < n + 4)
			return -EBADMSG;
		n += 4 + 4 * (data[n + 2] << 8 | data[n + 3]);
	}
	return n <= len ? n : -EBADMSG;
}

static uint64_t guess(const struct stream *st, uint16_t seq)
{
	uint32_t roc = st->roc;

	if (!st->started)
		return seq;
	if (st->s_l < 32768) {
		if (seq - st->s_l > 32768)
			roc = roc == 0 ? 0 : roc - 1;
	} else if (st->s_l - 32768 > seq) {
		roc++;
	}
	return (uint64_t)roc << 16 | seq;
}

static bool stale(bool started, uint64_t top, uint64_t window, uint64_t index)
{
	if (!started || index > top)
		return false;
	return top - index >= 64 || (window >> (top - index) & 1) != 0;
}

static void accept_index(bool started, uint64_t *top, uint64_t *window, uint64_t index)
{
	if (!started || index > *top) {
		uint64_t by = started ? index - *top : 64;

		*window = by >= 64 ? 1 : *window << by | 1;
		*top = index;
	} else {
		*window |= 1ULL << (*top - index);
	}
}

int sim_srtp_evp_rtp(struct sim_srtp_evp *s, uint8_t *data, int *len)
{
	int tag_len = (int)s->rtp.tag_len, body = s->inbound ? *len - tag_len : *len;
	int hdr = body < 12 ? -EBADMSG : header_len(data, body);
	struct stream fresh = {0}, *st;
	uint8_t mac[20], roc[4];
	uint64_t index;
	uint32_t ssrc;

	if (hdr < 0)
		return -EBADMSG;
	ssrc = sim_be32(data + 8);
	st = stream_find(s, ssrc);
	index = guess(st != NULL ? st : &fresh, (uint16_t)(data[2] << 8 | data[3]));
	if (st != NULL && stale(st->started, st->top, st->window, index))
		return -EALREADY;
	sim_put32(roc, (uint32_t)(index >> 16));
	if (s->rtp.gcm) {
		int rc = gcm(&s->rtp, ssrc, index, s->inbound, data, hdr, NULL, 0, data + hdr, body - hdr);

		if (rc < 0)
			return rc;
		*len = s->inbound ? body : body + tag_len;
		goto accepted;
	}
	if (!s->inbound && crypt_at(&s->rtp, ssrc, index, data + hdr, body - hdr) < 0)
		return -EPROTO;
	if (tag(&s->rtp, data, (size_t)body, roc, 4, mac) < 0)
		return -EPROTO;
	if (s->inbound) {
		if (CRYPTO_memcmp(mac, data + body, (size_t)tag_len) != 0)
			return -EACCES;
		if (crypt_at(&s->rtp, ssrc, index, data + hdr, body - hdr) < 0)
			return -EPROTO;
		*len = body;
	} else {
		memcpy(data + body, mac, (size_t)tag_len);
		*len = body + tag_len;
	}
accepted:
	if (st == NULL && (st = stream_add(s, ssrc)) == NULL)
		return -EPROTO;
	accept_index(st->started, &st->top, &st->window, index);
	st->started = true;
	st->roc = (uint32_t)(st->top >> 16);
	st->s_l = (uint16_t)st->top;
	return 0;
}

int sim_srtp_evp_rtcp(struct sim_srtp_evp *s, uint8_t *data, int *len)
{
	struct stream *st;
	uint32_t ssrc, index;
	uint8_t mac[20];
	int body;

	int tag_len = (int)s->rtcp.tag_len, rc;
	uint8_t word[4];

	if (*len < (s->inbound ? 8 + 4 + tag_len : 8) || data[0] >> 6 != 2)
		return -EBADMSG;
	ssrc = sim_be32(data + 4);
	st = stream_find(s, ssrc);
	if (!s->inbound) {
		if (st == NULL && (st = stream_add(s, ssrc)) == NULL)
			return -EPROTO;
		body = *len;
		index = (uint32_t)(st->rtcp_top + 1) & 0x7FFFFFFF;
		st->rtcp_top = index;
		if (s->rtcp.gcm) { /* the index stands behind the tag: RFC 7714 9.2 */
			sim_put32(word, 0x80000000U | index);
			if (gcm(&s->rtcp, ssrc, index, false, data, 8, word, 4, data + 8, body - 8) < 0)
				return -EPROTO;
			memcpy(data + body + 16, word, 4);
			*len = body + 20;
			return 0;
		}
		if (crypt_at(&s->rtcp, ssrc, index, data + 8, body - 8) < 0)
			return -EPROTO;
		sim_put32(data + body, 0x80000000U | index);
		if (tag(&s->rtcp, data, (size_t)body + 4, NULL, 0, mac) < 0)
			return -EPROTO;
		memcpy(data + body + 4, mac, 10);
		*len = body + 14;
		return 0;
	}
	body = *len - 4 - tag_len;
	index = sim_be32(data + (s->rtcp.gcm ? body + tag_len : body));
	if (st != NULL && stale(st->rtcp_started, st->rtcp_top, st->rtcp_window, index & 0x7FFFFFFF))
		return -EALREADY;
	if (s->rtcp.gcm) {
		bool enc = (index & 0x80000000U) != 0;

		sim_put32(word, index);
		rc = gcm(&s->rtcp, ssrc, index & 0x7FFFFFFF, true, data, enc ? 8 : body, word, 4, data + (enc ? 8 : body),
			 enc ? body - 8 : 0);
		if (rc < 0)
			return rc;
		goto accepted;
	}
	if (tag(&s->rtcp, data, (size_t)body + 4, NULL, 0, mac) < 0)
		return -EPROTO;
	if (CRYPTO_memcmp(mac, data + body + 4, 10) != 0)
		return -EACCES;
	if ((index & 0x80000000U) != 0 &&
	    crypt_at(&s->rtcp, ssrc, index & 0x7FFFFFFF, data + 8, body - 8) < 0)
		return -EPROTO;
accepted:
	if (st == NULL && (st = stream_add(s, ssrc)) == NULL)
		return -EPROTO;
	accept_index(st->rtcp_started, &st->rtcp_top, &st->rtcp_window, index & 0x7FFFFFFF);
	st->rtcp_started = true;
	*len = body;
	return 0;
}
