/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bursts of crypto jobs behind a small interface: one manager per thread, key preparation, and bursts that are
 * complete when the call returns (no job waits for a later packet). A burst is filled slot by slot and then run:
 *
 *	for (i = 0; i < n; i++)
 *		dp_mb_hmac_set(mb, i, state, data, len, tag[i], 20);
 *	dp_mb_hmac_run(mb, n);
 *
 * Slots are the manager's and stay as they were set until the next set of the same kind. All buffers belong
 * to the caller and must stay until run returned. Nothing here allocates after create. A manager and all its
 * functions belong to one thread (a worker, or the main lcore for its key schedules).
 *
 * HMAC and CTR bursts, and GCM of short packets, run in kernels of our own (hmac16.h, ctrvaes.h, gcmvaes.h) where the CPU has what
 * they need and they were faster in a measurement at the start, and in intel-ipsec-mb otherwise; all else is always the latter's.
 * SHA-NI code of our own does the HMAC-SHA1s of short bursts.
 */
#ifndef DP_CRYPTO_MB_H
#define DP_CRYPTO_MB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <intel-ipsec-mb.h>

#include "crypto/gcmvaes.h"
#include "crypto/job.h"

#define DP_MB_AES128_RK  176 /* bytes of an expanded AES key, one direction; 16-byte aligned */
#define DP_MB_AES192_RK  208
#define DP_MB_AES256_RK  240
#define DP_MB_AES_RK_MAX DP_MB_AES256_RK
#define DP_MB_DES3_KS    384 /* three DES schedules; 16-byte aligned */
#define DP_MB_SHA2_STATE 128 /* bytes: inner, then outer HMAC state; of SHA-256 the first 64 */

enum dp_mb_sha2 { DP_MB_SHA256, DP_MB_SHA384, DP_MB_SHA512 };

struct dp_mb {
	IMB_MGR *mgr; /* for what has no function here; no job may be left in it */
	bool shani;   /* own single-buffer HMAC in use for short bursts, and for what is left of longer ones */
	bool own_hmac, own_ctr; /* kernels of our own chosen: dp_mb_own() */
	size_t own_gcm;         /* GCM below so many bytes is ours; 0: none */
	unsigned int lanes;     /* HMAC jobs that ipsec-mb works on side by side */
	unsigned int few;       /* HMAC jobs that are better done with SHA-NI than in half empty lanes of ours */
	struct dp_mb_ctr ctr[DP_MB_BURST];
	struct dp_mb_hmac hmac;
	IMB_JOB imb_ctr[DP_MB_BURST], imb_hmac[DP_MB_BURST], cbc[DP_MB_BURST]; /* templates, filled from the above */
	IMB_JOB sha2[DP_MB_BURST];
	struct {
		const void *ks[3];
		const uint8_t *iv;
		uint8_t *data, *dst;
		uint32_t len;
	} des3[DP_MB_BURST];
};

/**
 * A manager for the calling thread's use, with the fastest instruction set and kernels of those this CPU has, as measured
 * (about two milliseconds); the instruction set is the first manager's for the whole process, so that GCM keys which one manager
 * made are good in every other. Callable from any thread. NULL: no memory, or the CPU lacks SSE4.2, AES-NI or PCLMULQDQ.
 */
struct dp_mb *dp_mb_create(void);

/** ipsec-mb with the instruction set of that name, no kernel of ours: for tests and comparisons. NULL also: this CPU has it not. */
struct dp_mb *dp_mb_create_isa(const char *name);

/** Clears key material that the manager still holds, frees. Takes NULL. */
void dp_mb_destroy(struct dp_mb *mb);

/** Name of the instruction set that ipsec-mb uses: "avx512", "avx2", "avx", "sse". */
const char *dp_mb_isa(const struct dp_mb *mb);

/** Who does HMAC and CTR bursts: "own16" or "ipsec-mb", "own" or "ipsec-mb". */
const char *dp_mb_hmac_name(const struct dp_mb *mb);
const char *dp_mb_ctr_name(const struct dp_mb *mb);

/** GCM below so many bytes is done by a kernel of ours; 0: none, SIZE_MAX: all. */
static inline size_t dp_mb_gcm_own(const struct dp_mb *mb)
{
	return mb->own_gcm;
}

/**
 * Use our kernels for HMAC, for CTR, for GCM (of any length): for tests and comparisons. false, and nothing changed: this CPU cannot
 * run them, or ipsec-mb's keys are not laid out as ours reads them.
 */
bool dp_mb_own(struct dp_mb *mb, bool hmac, bool ctr, bool gcm);

/** Rounds of AES with a key of 16, 24 or 32 bytes: 10, 12 or 14. A schedule has 16 bytes more than 16 for each. */
static inline unsigned int dp_mb_aes_rounds(size_t key_len)
{
	return 6 + (unsigned int)key_len / 4;
}

/**
 * Expand an AES key of 16, 24 or 32 bytes; 'dec' may be NULL. 'enc' and 'dec' DP_MB_AES128_RK, DP_MB_AES192_RK or
 * DP_MB_AES256_RK bytes, 16-byte aligned.
 */
void dp_mb_aes_expand(struct dp_mb *mb, const uint8_t *key, size_t key_len, uint8_t *enc, uint8_t *dec);

static inline void dp_mb_aes128_expand(struct dp_mb *mb, const uint8_t key[16], uint8_t *enc, uint8_t *dec)
{
	dp_mb_aes_expand(mb, key, 16, enc, dec);
}

/** Inner and outer HMAC-SHA1 state, DP_MB_HMAC_STATE bytes, of a key of at most 64 bytes (RFC 2104). */
void dp_mb_hmac_sha1_key(struct dp_mb *mb, const uint8_t *key, size_t len, uint8_t *state);

/** Equal? Takes the same time for every content. */
static inline bool dp_mb_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
	uint8_t diff = 0;

	for (size_t i = 0; i < len; i++)
		diff |= (uint8_t)(a[i] ^ b[i]);
	__asm__("" : "+r"(diff)); /* keeps the compiler from leaving the loop early */
	return diff == 0;
}

/* --- AES-CTR, in place; 'iv' 16 bytes, big-endian block counter in the last 4, which may not wrap; len above 0 --- */

/** 'rk': the encryption schedule of an AES key, 'rounds' dp_mb_aes_rounds() of its length; a burst may mix them. */
static inline void dp_mb_ctr_set(struct dp_mb *mb, unsigned int slot, const uint8_t *rk, unsigned int rounds,
				 const uint8_t *iv, uint8_t *data, size_t len)
{
	struct dp_mb_ctr *job = &mb->ctr[slot];

	job->rk = rk;
	job->iv = iv;
	job->data = data;
	job->len = (uint32_t)len;
	job->rounds = rounds;
}

/** Run slots 0 .. n-1. n at most DP_MB_BURST. */
void dp_mb_ctr_run(struct dp_mb *mb, unsigned int n);

/* --- HMAC-SHA1 --- */

/** The first 'tag_len' bytes (1 to DP_MB_SHA1_LEN) of the HMAC of data go to 'tag'. len above 0. */
static inline void dp_mb_hmac_set(struct dp_mb *mb, unsigned int slot, const uint8_t *state, const uint8_t *data,
				  size_t len, uint8_t *tag, unsigned int tag_len)
{
	struct dp_mb_hmac *b = &mb->hmac;

	b->state[slot] = state;
	b->data[slot] = data;
	b->tag[slot] = tag;
	b->end[slot] = 0x80;
	b->len[slot] = (uint32_t)len;
	b->total[slot] = (uint32_t)len;
	b->tag_len[slot] = (uint8_t)tag_len;
}

/**
 * The same with 32 bits that are not in the packet behind the data: SRTP's ROC, the high half of an ESN. The 4 bytes
 * behind the data must be writable; they are left as they were, or hold the tag if it goes there.
 */
static inline void dp_mb_hmac_set_word(struct dp_mb *mb, unsigned int slot, const uint8_t *state, uint8_t *data,
				       size_t len, uint32_t word, uint8_t *tag, unsigned int tag_len)
{
	struct dp_mb_hmac *b = &mb->hmac;

	b->state[slot] = state;
	b->data[slot] = data;
	b->tag[slot] = tag;
	b->end[slot] = (uint64_t)0x80 << 32 | __builtin_bswap32(word);
	b->len[slot] = (uint32_t)len;
	b->total[slot] = (uint32_t)len + 4;
	b->tag_len[slot] = (uint8_t)tag_len;
}

/** Run slots 0 .. n-1. n at most DP_MB_BURST. No tag may lie in the data of another job of the burst. */
void dp_mb_hmac_run(struct dp_mb *mb, unsigned int n);

/* --- HMAC-SHA2: the message in one piece; tags of half the hash's length (RFC 4868) --- */

/** Inner and outer state, DP_MB_SHA2_STATE bytes, 8-byte aligned, of a key of at most 64 bytes. */
void dp_mb_sha2_key(struct dp_mb *mb, enum dp_mb_sha2 hash, const uint8_t *key, size_t len, uint8_t *state);

/** 16, 24 or 32 bytes of the HMAC of data go to 'tag', which may lie behind the data. len above 0. */
static inline void dp_mb_sha2_set(struct dp_mb *mb, unsigned int slot, enum dp_mb_sha2 hash, const uint8_t *state,
				  const uint8_t *data, size_t len, uint8_t *tag)
{
	IMB_JOB *job = &mb->sha2[slot];

	job->u.HMAC._hashed_auth_key_xor_ipad = state;
	job->u.HMAC._hashed_auth_key_xor_opad = state + (hash == DP_MB_SHA256 ? 32 : 64);
	job->src = data;
	job->msg_len_to_hash_in_bytes = len;
	job->auth_tag_output = tag;
}

/** Run slots 0 .. n-1, all of one hash. n at most DP_MB_BURST. No tag may lie in the data of another job of the burst. */
void dp_mb_sha2_run(struct dp_mb *mb, enum dp_mb_sha2 hash, unsigned int n);

/* --- AES-CBC, no padding: len a multiple of 16, above 0; src and dst equal or apart --- */

/** 'rk': the encryption schedule for an encrypting run, the decryption schedule for a decrypting one. */
static inline void dp_mb_cbc_set(struct dp_mb *mb, unsigned int slot, const uint8_t *rk, const uint8_t *iv,
				 const uint8_t *src, uint8_t *dst, size_t len)
{
	IMB_JOB *job = &mb->cbc[slot];

	job->enc_keys = rk;
	job->dec_keys = rk;
	job->iv = iv;
	job->src = src;
	job->dst = dst;
	job->msg_len_to_cipher_in_bytes = len;
}

/** Run slots 0 .. n-1, all with keys of 16, 24 or 32 bytes and in one direction. n at most DP_MB_BURST. */
void dp_mb_cbc_run(struct dp_mb *mb, unsigned int n, size_t key_len, bool encrypt);

/* --- 3DES-CBC (EDE, three keys), no padding: len a multiple of 8, above 0; src and dst equal or apart --- */

/** Schedules of a key of 24 bytes, whose parity is not looked at: DP_MB_DES3_KS bytes, for both directions. */
void dp_mb_des3_key(struct dp_mb *mb, const uint8_t key[24], uint8_t *ks);

static inline void dp_mb_des3_set(struct dp_mb *mb, unsigned int slot, const uint8_t *ks, const uint8_t iv[8], uint8_t *src,
				  uint8_t *dst, size_t len)
{
	for (unsigned int i = 0; i < 3; i++)
		mb->des3[slot].ks[i] = ks + i * (DP_MB_DES3_KS / 3);
	mb->des3[slot].iv = iv;
	mb->des3[slot].data = src;
	mb->des3[slot].dst = dst;
	mb->des3[slot].len = (uint32_t)len;
}

/** Run slots 0 .. n-1, all in one direction. n at most DP_MB_BURST. */
void dp_mb_des3_run(struct dp_mb *mb, unsigned int n, bool encrypt);

/* --- AES-GCM, keys of 16, 24 or 32 bytes, one packet a call: as fast as a burst (12-byte nonce, 16-byte tag) --- */

/** Key schedule and hash key powers. The struct is 64-byte aligned memory of the caller. */
static inline void dp_mb_gcm_key(struct dp_mb *mb, const uint8_t *key, size_t key_len, struct gcm_key_data *ret)
{
	if (key_len == 16)
		IMB_AES128_GCM_PRE(mb->mgr, key, ret);
	else if (key_len == 32)
		IMB_AES256_GCM_PRE(mb->mgr, key, ret);
	else
		IMB_AES192_GCM_PRE(mb->mgr, key, ret);
}

/** Encrypt 'len' bytes from src to dst (equal or apart; len may be 0), write the first 'tag_len' bytes of the tag. */
static inline void dp_mb_gcm_seal(struct dp_mb *mb, size_t key_len, const struct gcm_key_data *key, const uint8_t nonce[12],
				  const uint8_t *aad, size_t aad_len, const uint8_t *src, uint8_t *dst, size_t len,
				  uint8_t *tag, size_t tag_len)
{
	struct gcm_context_data ctx;

	if (len < mb->own_gcm)
		dp_gcmvaes_seal(key, dp_mb_aes_rounds(key_len), nonce, aad, aad_len, src, dst, len, tag, tag_len);
	else if (key_len == 16)
		IMB_AES128_GCM_ENC(mb->mgr, key, &ctx, dst, src, len, nonce, aad, aad_len, tag, tag_len);
	else if (key_len == 32)
		IMB_AES256_GCM_ENC(mb->mgr, key, &ctx, dst, src, len, nonce, aad, aad_len, tag, tag_len);
	else
		IMB_AES192_GCM_ENC(mb->mgr, key, &ctx, dst, src, len, nonce, aad, aad_len, tag, tag_len);
}

/** The reverse. Writes what the packet's tag should have been; the caller compares with dp_mb_equal(). */
static inline void dp_mb_gcm_open(struct dp_mb *mb, size_t key_len, const struct gcm_key_data *key, const uint8_t nonce[12],
				  const uint8_t *aad, size_t aad_len, const uint8_t *src, uint8_t *dst, size_t len,
				  uint8_t *tag, size_t tag_len)
{
	struct gcm_context_data ctx;

	if (len < mb->own_gcm)
		dp_gcmvaes_open(key, dp_mb_aes_rounds(key_len), nonce, aad, aad_len, src, dst, len, tag, tag_len);
	else if (key_len == 16)
		IMB_AES128_GCM_DEC(mb->mgr, key, &ctx, dst, src, len, nonce, aad, aad_len, tag, tag_len);
	else if (key_len == 32)
		IMB_AES256_GCM_DEC(mb->mgr, key, &ctx, dst, src, len, nonce, aad, aad_len, tag, tag_len);
	else
		IMB_AES192_GCM_DEC(mb->mgr, key, &ctx, dst, src, len, nonce, aad, aad_len, tag, tag_len);
}

/** Both with the whole tag. */
static inline void dp_mb_gcm_enc(struct dp_mb *mb, size_t key_len, const struct gcm_key_data *key,
				 const uint8_t nonce[12], const uint8_t *aad, size_t aad_len, const uint8_t *src,
				 uint8_t *dst, size_t len, uint8_t tag[16])
{
	dp_mb_gcm_seal(mb, key_len, key, nonce, aad, aad_len, src, dst, len, tag, 16);
}

static inline void dp_mb_gcm_dec(struct dp_mb *mb, size_t key_len, const struct gcm_key_data *key,
				 const uint8_t nonce[12], const uint8_t *aad, size_t aad_len, const uint8_t *src,
				 uint8_t *dst, size_t len, uint8_t tag[16])
{
	dp_mb_gcm_open(mb, key_len, key, nonce, aad, aad_len, src, dst, len, tag, 16);
}

#endif
