/* SPDX-License-Identifier: BSD-3-Clause */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA1_*: the peer is to be the fastest there is */
#include "peer.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/mb.h"
#include "dp_suite.h"

void bench_session_derive(struct bench_session *ret, unsigned int suite, const uint8_t *key, const uint8_t *salt)
{
	const struct dp_suite *s = dp_suite(suite);
	const EVP_CIPHER *prf = s->key_len == 16 ? EVP_aes_128_ctr()
						 : s->key_len == 24 ? EVP_aes_192_ctr() : EVP_aes_256_ctr();
	static __thread EVP_CIPHER_CTX *ctx;
	uint8_t *out[3];
	unsigned int len[3];

	memset(ret, 0, sizeof(*ret));
	ret->key_len = s->key_len;
	ret->salt_len = s->salt_len;
	ret->tag_len = s->rtp_tag;
	ret->gcm = s->gcm;
	ret->null_cipher = s->null_cipher;
	out[0] = ret->key, len[0] = s->key_len;
	out[1] = ret->auth, len[1] = s->gcm ? 0 : 20;
	out[2] = ret->salt, len[2] = s->salt_len;
	if (ctx == NULL)
		ctx = EVP_CIPHER_CTX_new();
	for (unsigned int label = 0; label < 3; label++) {
		uint8_t iv[16] = {0};
		int n;

		memcpy(iv, salt, s->salt_len);
		iv[7] ^= (uint8_t)label;
		if (EVP_EncryptInit_ex(ctx, prf, NULL, key, iv) != 1 ||
		    EVP_EncryptUpdate(ctx, out[label], &n, out[label], (int)len[label]) != 1)
			abort();
	}
}

void bench_sha1_key(struct bench_sha1 *h, const uint8_t *key, size_t len)
{
	for (int outer = 0; outer < 2; outer++) {
		SHA_CTX *c = outer ? &h->outer : &h->inner;
		uint8_t pad[64];

		memset(pad, outer ? 0x5c : 0x36, 64);
		for (size_t i = 0; i < len; i++)
			pad[i] ^= key[i];
		SHA1_Init(c);
		SHA1_Update(c, pad, 64);
	}
}

void bench_sha1_mac(const struct bench_sha1 *h, const uint8_t *data, size_t len, uint8_t md[20])
{
	SHA_CTX c = h->inner;

	SHA1_Update(&c, data, len);
	SHA1_Final(md, &c);
	c = h->outer;
	SHA1_Update(&c, md, 20);
	SHA1_Final(md, &c);
}

/* --- intel-ipsec-mb --- */

struct bench_raw *bench_raw_create(void)
{
	struct bench_raw *raw = aligned_alloc(64, (sizeof(*raw) + 63) / 64 * 64);
	struct dp_mb *ours = dp_mb_create();

	if (raw == NULL || ours == NULL) {
		free(raw);
		dp_mb_destroy(ours);
		return NULL;
	}
	memset(raw, 0, sizeof(*raw));
	raw->mgr = alloc_mb_mgr(0);
	switch (ours->mgr->used_arch) {
	case IMB_ARCH_AVX512:
		init_mb_mgr_avx512(raw->mgr);
		break;
	case IMB_ARCH_AVX2:
		init_mb_mgr_avx2(raw->mgr);
		break;
	case IMB_ARCH_AVX:
		init_mb_mgr_avx(raw->mgr);
		break;
	default:
		init_mb_mgr_sse(raw->mgr);
	}
	dp_mb_destroy(ours);
	for (unsigned int i = 0; i < BENCH_RAW_BURST; i++) {
		raw->cipher[i] = (IMB_JOB){.cipher_mode = IMB_CIPHER_CNTR, .cipher_direction = IMB_DIR_ENCRYPT,
					   .hash_alg = IMB_AUTH_NULL, .chain_order = IMB_ORDER_CIPHER_HASH,
					   .iv_len_in_bytes = 16};
		raw->hash[i] = (IMB_JOB){.cipher_mode = IMB_CIPHER_NULL, .hash_alg = IMB_AUTH_HMAC_SHA_1,
					 .chain_order = IMB_ORDER_HASH_CIPHER, .auth_tag_output_len_in_bytes = 20};
	}
	return raw;
}

void bench_raw_destroy(struct bench_raw *raw)
{
	if (raw == NULL)
		return;
	free_mb_mgr(raw->mgr);
	free(raw);
}

void bench_raw_key_init(struct bench_raw *raw, struct bench_raw_key *key, const struct bench_session *s)
{
	uint8_t unused[240] __attribute__((aligned(16))), block[64];

	memset(key, 0, offsetof(struct bench_raw_key, gcm_key));
	memcpy(key->salt, s->salt, sizeof(s->salt));
	key->tag_len = (uint8_t)s->tag_len;
	key->key_len = (uint8_t)s->key_len;
	key->gcm = s->gcm;
	key->null_cipher = s->null_cipher;
	if (s->gcm) {
		if (s->key_len == 16)
			IMB_AES128_GCM_PRE(raw->mgr, s->key, &key->gcm_key);
		else
			IMB_AES256_GCM_PRE(raw->mgr, s->key, &key->gcm_key);
		return;
	}
	if (s->key_len == 16)
		IMB_AES_KEYEXP_128(raw->mgr, s->key, key->rk, unused);
	else if (s->key_len == 24)
		IMB_AES_KEYEXP_192(raw->mgr, s->key, key->rk, unused);
	else
		IMB_AES_KEYEXP_256(raw->mgr, s->key, key->rk, unused);
	for (int outer = 0; outer < 2; outer++) {
		memset(block, outer ? 0x5c : 0x36, 64);
		for (int i = 0; i < 20; i++)
			block[i] ^= s->auth[i];
		IMB_SHA1_ONE_BLOCK(raw->mgr, block, outer ? key->opad : key->ipad);
	}
}

static inline void gcm(struct bench_raw *raw, struct bench_raw_pkt *p, bool protect)
{
	const struct bench_raw_key *k = p->key;
	uint8_t iv[12], tag[16], *text = p->data + BENCH_RTP_HDR;
	uint64_t len = p->len - BENCH_RTP_HDR;
	struct gcm_context_data ctx;

	bench_iv_gcm(iv, k->salt, p->data, p->roc);
	if (protect && k->key_len == 16)
		IMB_AES128_GCM_ENC(raw->mgr, &k->gcm_key, &ctx, text, text, len, iv, p->data, BENCH_RTP_HDR, text + len, 16);
	else if (protect)
		IMB_AES256_GCM_ENC(raw->mgr, &k->gcm_key, &ctx, text, text, len, iv, p->data, BENCH_RTP_HDR, text + len, 16);
	else if (k->key_len == 16)
		IMB_AES128_GCM_DEC(raw->mgr, &k->gcm_key, &ctx, text, text, len, iv, p->data, BENCH_RTP_HDR, tag, 16);
	else
		IMB_AES256_GCM_DEC(raw->mgr, &k->gcm_key, &ctx, text, text, len, iv, p->data, BENCH_RTP_HDR, tag, 16);
	if (!protect)
		p->ok = memcmp(tag, text + len, 16) == 0;
}

static inline void burst(struct bench_raw *raw, struct bench_raw_pkt *pkts, unsigned int n, bool protect)
{
	uint8_t iv[BENCH_RAW_BURST][16] __attribute__((aligned(64))), tag[BENCH_RAW_BURST][20], had[BENCH_RAW_BURST][12];
	bool cipher = !pkts[0].key->null_cipher;
	IMB_KEY_SIZE_BYTES size = (IMB_KEY_SIZE_BYTES)pkts[0].key->key_len;
	unsigned int c = 0;

	for (unsigned int i = 0; i < n; i++) {
		const struct bench_raw_key *k = pkts[i].key;
		uint8_t *p = pkts[i].data;
		uint16_t len = pkts[i].len;
		uint32_t roc = __builtin_bswap32(pkts[i].roc);

		if (!protect)
			memcpy(had[i], p + len, 12);
		memcpy(p + len, &roc, 4);
		if (cipher && len > BENCH_RTP_HDR) {
			IMB_JOB *job = &raw->cipher[c];

			bench_iv_cm(iv[c], k->salt, p, pkts[i].roc);
			job->enc_keys = job->dec_keys = k->rk;
			job->key_len_in_bytes = size;
			job->iv = iv[c++];
			job->src = job->dst = p + BENCH_RTP_HDR;
			job->msg_len_to_cipher_in_bytes = len - BENCH_RTP_HDR;
		}
		raw->hash[i].u.HMAC._hashed_auth_key_xor_ipad = k->ipad;
		raw->hash[i].u.HMAC._hashed_auth_key_xor_opad = k->opad;
		raw->hash[i].src = p;
		raw->hash[i].msg_len_to_hash_in_bytes = len + 4u;
		raw->hash[i].auth_tag_output = tag[i];
	}
	if (protect && c > 0)
		IMB_SUBMIT_CIPHER_BURST_NOCHECK(raw->mgr, raw->cipher, c, IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT, size);
	IMB_SUBMIT_HASH_BURST_NOCHECK(raw->mgr, raw->hash, n, IMB_AUTH_HMAC_SHA_1);
	for (unsigned int i = 0; i < n; i++) {
		uint8_t *end = pkts[i].data + pkts[i].len;

		if (protect)
			memcpy(end, tag[i], pkts[i].key->tag_len == 10 ? 10 : 4);
		else
			pkts[i].ok = memcmp(tag[i], had[i], pkts[i].key->tag_len == 10 ? 10 : 4) == 0;
	}
	if (!protect && c > 0)
		IMB_SUBMIT_CIPHER_BURST_NOCHECK(raw->mgr, raw->cipher, c, IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT, size);
}

void bench_raw_protect(struct bench_raw *raw, struct bench_raw_pkt *pkts, unsigned int n)
{
	if (!pkts[0].key->gcm) {
		burst(raw, pkts, n, true);
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		gcm(raw, &pkts[i], true);
}

void bench_raw_unprotect(struct bench_raw *raw, struct bench_raw_pkt *pkts, unsigned int n)
{
	if (!pkts[0].key->gcm) {
		burst(raw, pkts, n, false);
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		gcm(raw, &pkts[i], false);
}
