/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * intel-ipsec-mb behind a small interface: one manager per thread, key preparation, and bursts of jobs that
 * are complete when the call returns (no job waits for a later packet). A burst is filled slot by slot and
 * then run:
 *
 *	for (i = 0; i < n; i++)
 *		dp_mb_hmac_set(mb, i, ipad, opad, data, len, tag[i]);
 *	dp_mb_hmac_run(mb, n);
 *
 * Slots are the manager's and stay as they were set until the next set of the same kind. All buffers belong
 * to the caller and must stay until run returned. Nothing here allocates after create. A manager and all its
 * functions belong to one thread (a worker, or the main lcore for its key schedules).
 */
#ifndef DP_CRYPTO_MB_H
#define DP_CRYPTO_MB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <intel-ipsec-mb.h>

#define DP_MB_BURST      64  /* slots of each kind */
#define DP_MB_AES128_RK  176 /* bytes of an expanded AES-128 key, one direction; 16-byte aligned */
#define DP_MB_SHA1_STATE 20  /* bytes of an HMAC-SHA1 inner or outer state; 4-byte aligned */
#define DP_MB_SHA1_LEN   20  /* bytes that each HMAC job writes */

struct dp_mb {
	IMB_MGR *mgr; /* for what has no function here; no job may be left in it */
	bool shani;   /* own single-buffer HMAC in use for short bursts, and for what is left of longer ones */
	unsigned int lanes; /* HMAC jobs that the manager works on side by side */
	IMB_JOB ctr[DP_MB_BURST];
	IMB_JOB hmac[DP_MB_BURST];
	IMB_JOB cbc[DP_MB_BURST];
};

/**
 * A manager for the calling thread's use, with the fastest instruction set of those this CPU has, as measured
 * (about a millisecond). NULL: no memory, or the CPU lacks SSE4.2, AES-NI or PCLMULQDQ.
 */
struct dp_mb *dp_mb_create(void);

/** The same with the instruction set of that name, for tests. NULL also: this CPU has it not. */
struct dp_mb *dp_mb_create_isa(const char *name);

/** Clears key material that the manager still holds, frees. Takes NULL. */
void dp_mb_destroy(struct dp_mb *mb);

/** Name of the instruction set chosen: "avx512", "avx2", "avx", "sse". */
const char *dp_mb_isa(const struct dp_mb *mb);

/** Expand an AES-128 key; 'dec' may be NULL. Both DP_MB_AES128_RK bytes, 16-byte aligned. */
void dp_mb_aes128_expand(struct dp_mb *mb, const uint8_t key[16], uint8_t *enc, uint8_t *dec);

/** Inner and outer HMAC-SHA1 state of a key of at most 64 bytes (RFC 2104). DP_MB_SHA1_STATE bytes each. */
void dp_mb_hmac_sha1_key(struct dp_mb *mb, const uint8_t *key, size_t len, uint8_t *ipad, uint8_t *opad);

/** Equal? Takes the same time for every content. */
static inline bool dp_mb_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
	uint8_t diff = 0;

	for (size_t i = 0; i < len; i++)
		diff |= (uint8_t)(a[i] ^ b[i]);
	__asm__("" : "+r"(diff)); /* keeps the compiler from leaving the loop early */
	return diff == 0;
}

/* --- AES-128-CTR, in place; 'iv' 16 bytes, big-endian block counter in the last 4; len above 0 --- */

static inline void dp_mb_ctr_set(struct dp_mb *mb, unsigned int slot, const uint8_t *enc_rk, const uint8_t *iv,
				 uint8_t *data, size_t len)
{
	IMB_JOB *job = &mb->ctr[slot];

	job->enc_keys = enc_rk;
	job->dec_keys = enc_rk;
	job->iv = iv;
	job->src = data;
	job->dst = data;
	job->msg_len_to_cipher_in_bytes = len;
}

/** Run slots 0 .. n-1. n at most DP_MB_BURST. */
void dp_mb_ctr_run(struct dp_mb *mb, unsigned int n);

/* --- HMAC-SHA1: DP_MB_SHA1_LEN bytes to 'tag'; the caller compares or copies the part it wants --- */

static inline void dp_mb_hmac_set(struct dp_mb *mb, unsigned int slot, const uint8_t *ipad, const uint8_t *opad,
				  const uint8_t *data, size_t len, uint8_t *tag)
{
	IMB_JOB *job = &mb->hmac[slot];

	job->u.HMAC._hashed_auth_key_xor_ipad = ipad;
	job->u.HMAC._hashed_auth_key_xor_opad = opad;
	job->src = data;
	job->msg_len_to_hash_in_bytes = len;
	job->auth_tag_output = tag;
}

/** Run slots 0 .. n-1. n at most DP_MB_BURST; len of each job above 0. */
void dp_mb_hmac_run(struct dp_mb *mb, unsigned int n);

/* --- AES-128-CBC, no padding: len a multiple of 16, above 0; src and dst equal or apart --- */

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

/** Run slots 0 .. n-1, all in one direction. n at most DP_MB_BURST. */
void dp_mb_cbc_run(struct dp_mb *mb, unsigned int n, bool encrypt);

/* --- AES-128-GCM, one packet a call: as fast as a burst (12-byte nonce, 16-byte tag) --- */

/** Key schedule and hash key powers. The struct is 16-byte aligned memory of the caller. */
static inline void dp_mb_gcm128_key(struct dp_mb *mb, const uint8_t key[16], struct gcm_key_data *ret)
{
	IMB_AES128_GCM_PRE(mb->mgr, key, ret);
}

/** Encrypt 'len' bytes from src to dst (equal or apart; len may be 0), write the 16-byte tag. */
static inline void dp_mb_gcm128_enc(struct dp_mb *mb, const struct gcm_key_data *key, const uint8_t nonce[12],
				    const uint8_t *aad, size_t aad_len, const uint8_t *src, uint8_t *dst,
				    size_t len, uint8_t tag[16])
{
	struct gcm_context_data ctx;

	IMB_AES128_GCM_ENC(mb->mgr, key, &ctx, dst, src, len, nonce, aad, aad_len, tag, 16);
}

/** The reverse. Writes the tag that the packet should have had; the caller compares with dp_mb_equal(). */
static inline void dp_mb_gcm128_dec(struct dp_mb *mb, const struct gcm_key_data *key, const uint8_t nonce[12],
				    const uint8_t *aad, size_t aad_len, const uint8_t *src, uint8_t *dst,
				    size_t len, uint8_t tag[16])
{
	struct gcm_context_data ctx;

	IMB_AES128_GCM_DEC(mb->mgr, key, &ctx, dst, src, len, nonce, aad, aad_len, tag, 16);
}

#endif
