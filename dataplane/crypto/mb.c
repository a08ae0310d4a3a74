/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "crypto/mb.h"
#include "crypto/sha1ni.h"

/* Below so many jobs the SHA instructions beat lanes that would run mostly empty: bench/README.md, "short bursts". */
#define HMAC_SHORT 8

static const struct isa {
	uint32_t arch; /* enum IMB_ARCH */
	uint64_t features;
	void (*init)(IMB_MGR *mgr);
	const char *name;
	unsigned int lanes; /* of HMAC-SHA1; 64: whatever they are, a burst is not split */
} isas[] = {
	{IMB_ARCH_AVX512, IMB_CPUFLAGS_AVX512, init_mb_mgr_avx512, "avx512", 16},
	{IMB_ARCH_AVX2, IMB_CPUFLAGS_AVX2, init_mb_mgr_avx2, "avx2", DP_MB_BURST},
	{IMB_ARCH_AVX, IMB_CPUFLAGS_AVX, init_mb_mgr_avx, "avx", DP_MB_BURST},
	{IMB_ARCH_SSE, IMB_CPUFLAGS_SSE, init_mb_mgr_sse, "sse", DP_MB_BURST},
};
#define ISA_CNT (sizeof(isas) / sizeof(isas[0]))

static void templates(struct dp_mb *mb)
{
	for (unsigned int i = 0; i < DP_MB_BURST; i++) {
		mb->imb_ctr[i] = (IMB_JOB){
			.cipher_mode = IMB_CIPHER_CNTR,
			.cipher_direction = IMB_DIR_ENCRYPT,
			.hash_alg = IMB_AUTH_NULL,
			.chain_order = IMB_ORDER_CIPHER_HASH,
			.key_len_in_bytes = IMB_KEY_128_BYTES,
			.iv_len_in_bytes = 16,
		};
		mb->cbc[i] = mb->imb_ctr[i];
		mb->cbc[i].cipher_mode = IMB_CIPHER_CBC;
		mb->imb_hmac[i] = (IMB_JOB){
			.cipher_mode = IMB_CIPHER_NULL,
			.hash_alg = IMB_AUTH_HMAC_SHA_1,
			.chain_order = IMB_ORDER_HASH_CIPHER,
			.auth_tag_output_len_in_bytes = DP_MB_SHA1_LEN,
		};
	}
}

/* Cycles of the best of some bursts of 32 media packets: 160 bytes encrypted, 176 authenticated. */
static uint64_t measure(struct dp_mb *mb, uint8_t *data)
{
	static const uint8_t state[DP_MB_HMAC_STATE] __attribute__((aligned(64)));
	static const uint8_t iv[16] __attribute__((aligned(16)));
	uint8_t rk[DP_MB_AES128_RK] __attribute__((aligned(16)));
	uint8_t tag[32][DP_MB_SHA1_LEN];
	uint64_t best = UINT64_MAX;

	dp_mb_aes128_expand(mb, iv, rk, NULL);
	for (unsigned int round = 0; round < 12; round++) {
		uint64_t t = __rdtsc();

		for (unsigned int i = 0; i < 32; i++) {
			dp_mb_ctr_set(mb, i, rk, 10, iv, data + i * 192, 160);
			dp_mb_hmac_set(mb, i, state, data + i * 192, 176, tag[i], DP_MB_SHA1_LEN);
		}
		dp_mb_ctr_run(mb, 32);
		dp_mb_hmac_run(mb, 32);
		t = __rdtsc() - t;
		if (t < best)
			best = t;
	}
	return best;
}

struct dp_mb *dp_mb_create_isa(const char *name)
{
	struct dp_mb *mb = aligned_alloc(64, (sizeof(*mb) + 63) / 64 * 64);
	uint8_t *data = calloc(32, 192);
	const struct isa *best = NULL;
	uint64_t best_cyc = UINT64_MAX, features;

	if (mb == NULL || data == NULL)
		goto fail;
	memset(mb, 0, sizeof(*mb));
	mb->lanes = DP_MB_BURST;
	mb->mgr = alloc_mb_mgr(0);
	if (mb->mgr == NULL)
		goto fail;
	features = mb->mgr->features;
	templates(mb);
	for (unsigned int i = 0; i < ISA_CNT; i++) {
		uint64_t cyc;

		if ((features & isas[i].features) != isas[i].features ||
		    (name != NULL && strcmp(name, isas[i].name) != 0))
			continue;
		isas[i].init(mb->mgr);
		if (imb_get_errno(mb->mgr) != 0 || mb->mgr->used_arch != isas[i].arch)
			continue;
		cyc = measure(mb, data);
		if (cyc < best_cyc) {
			best_cyc = cyc;
			best = &isas[i];
		}
	}
	if (best == NULL)
		goto fail;
	best->init(mb->mgr);
	if (imb_get_errno(mb->mgr) != 0)
		goto fail;
	templates(mb); /* the measurement's pointers are gone */
	mb->lanes = best->lanes;
	mb->shani = (features & IMB_FEATURE_SHANI) != 0;
	free(data);
	return mb;
fail:
	free(data);
	dp_mb_destroy(mb);
	return NULL;
}

struct dp_mb *dp_mb_create(void)
{
	return dp_mb_create_isa(NULL);
}

void dp_mb_destroy(struct dp_mb *mb)
{
	if (mb == NULL)
		return;
	if (mb->mgr != NULL) {
		/* Initialising anew clears the lanes, which hold hash states and copies of partial blocks. */
		for (unsigned int i = 0; i < ISA_CNT; i++)
			if (mb->mgr->used_arch == isas[i].arch)
				isas[i].init(mb->mgr);
		free_mb_mgr(mb->mgr);
	}
	explicit_bzero(mb, sizeof(*mb));
	free(mb);
}

const char *dp_mb_isa(const struct dp_mb *mb)
{
	for (unsigned int i = 0; i < ISA_CNT; i++)
		if (mb->mgr->used_arch == isas[i].arch)
			return isas[i].name;
	return "unknown";
}

void dp_mb_aes_expand(struct dp_mb *mb, const uint8_t *key, size_t key_len, uint8_t *enc, uint8_t *dec)
{
	uint8_t unused[DP_MB_AES_RK_MAX] __attribute__((aligned(16)));
	uint8_t *d = dec != NULL ? dec : unused;

	if (key_len == 16)
		IMB_AES_KEYEXP_128(mb->mgr, key, enc, d);
	else if (key_len == 24)
		IMB_AES_KEYEXP_192(mb->mgr, key, enc, d);
	else
		IMB_AES_KEYEXP_256(mb->mgr, key, enc, d);
	if (dec == NULL)
		explicit_bzero(unused, sizeof(unused));
}

void dp_mb_hmac_sha1_key(struct dp_mb *mb, const uint8_t *key, size_t len, uint8_t *state)
{
	uint8_t block[64];

	memset(block, 0x36, sizeof(block));
	for (size_t i = 0; i < len && i < sizeof(block); i++)
		block[i] ^= key[i];
	IMB_SHA1_ONE_BLOCK(mb->mgr, block, state);
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] ^= 0x36 ^ 0x5c;
	IMB_SHA1_ONE_BLOCK(mb->mgr, block, state + DP_MB_HMAC_STATE / 2);
	explicit_bzero(block, sizeof(block));
}

/*
 * The "nocheck" calls are right here: every field that the checks look at is a template's or set by us, and
 * bursts of the synchronous kind cannot be half done: the manager's lanes are empty before and after.
 */
void dp_mb_ctr_run(struct dp_mb *mb, unsigned int n)
{
	/* A burst of the manager's has one key length. */
	for (unsigned int first = 0, end; first < n; first = end) {
		unsigned int rounds = mb->ctr[first].rounds;

		for (end = first; end < n && mb->ctr[end].rounds == rounds; end++) {
			const struct dp_mb_ctr *job = &mb->ctr[end];
			IMB_JOB *imb = &mb->imb_ctr[end];

			imb->enc_keys = job->rk;
			imb->dec_keys = job->rk;
			imb->key_len_in_bytes = (uint64_t)(rounds - 6) * 4;
			imb->iv = job->iv;
			imb->src = job->data;
			imb->dst = job->data;
			imb->msg_len_to_cipher_in_bytes = job->len;
		}
		IMB_SUBMIT_CIPHER_BURST_NOCHECK(mb->mgr, mb->imb_ctr + first, end - first, IMB_CIPHER_CNTR,
						IMB_DIR_ENCRYPT, (IMB_KEY_SIZE_BYTES)((rounds - 6) * 4));
	}
}

/* What an HMAC burst's code that wants its message in one piece needs: the words put behind it, and whole tags. */
struct scratch {
	uint32_t had[DP_MB_BURST]; /* where a job's word went */
	uint8_t tag[DP_MB_BURST][DP_MB_SHA1_LEN];
};

/* The job has a word, so its data is writable: dp_mb_hmac_set_word(). */
static inline uint8_t *word_at(const struct dp_mb_hmac *job)
{
	return (uint8_t *)(uintptr_t)job->data + job->len;
}

static void hmac_imb(struct dp_mb *mb, struct scratch *s, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct dp_mb_hmac *job = &mb->hmac[i];
		IMB_JOB *imb = &mb->imb_hmac[i];

		imb->u.HMAC._hashed_auth_key_xor_ipad = job->state;
		imb->u.HMAC._hashed_auth_key_xor_opad = job->state + DP_MB_HMAC_STATE / 2;
		imb->src = job->data;
		imb->msg_len_to_hash_in_bytes = job->len + job->word_len;
		imb->auth_tag_output = s->tag[i];
	}
	IMB_SUBMIT_HASH_BURST_NOCHECK(mb->mgr, mb->imb_hmac, n, IMB_AUTH_HMAC_SHA_1);
}

/* memcpy(), without the call for the lengths that protocols have. */
static inline void tag_out(uint8_t *dst, const uint8_t *tag, unsigned int len)
{
	memcpy(dst, tag, len < 4 ? len : 4);
	if (len == 10)
		memcpy(dst + 4, tag + 4, 6);
	else if (len == 12)
		memcpy(dst + 4, tag + 4, 8);
	else if (len > 4)
		memcpy(dst + 4, tag + 4, len - 4);
}

static void hmac_short(struct dp_mb *mb, struct scratch *s, unsigned int first, unsigned int n)
{
	struct dp_sha1ni_msg msg[2];

	for (unsigned int i = first; i < n; i++) {
		const struct dp_mb_hmac *job = &mb->hmac[i];
		unsigned int at = (i - first) & 1;

		msg[at] = (struct dp_sha1ni_msg){
			.ipad = job->state,
			.opad = job->state + DP_MB_HMAC_STATE / 2,
			.data = job->data,
			.len = job->len + job->word_len,
			.tag = s->tag[i],
		};
		if (at == 1)
			dp_sha1ni_hmac_pair(msg);
		else if (i + 1 == n)
			dp_sha1ni_hmac(msg);
	}
}

void dp_mb_hmac_run(struct dp_mb *mb, unsigned int n)
{
	/* A few jobs behind full sets of lanes would cost as much as another full set. */
	unsigned int few = n % mb->lanes;
	struct scratch s;

	if (few >= HMAC_SHORT || !mb->shani)
		few = 0;
	for (unsigned int i = 0; i < n; i++) {
		const struct dp_mb_hmac *job = &mb->hmac[i];
		uint32_t word = __builtin_bswap32(job->word);

		if (job->word_len == 0)
			continue;
		memcpy(&s.had[i], word_at(job), 4);
		memcpy(word_at(job), &word, 4);
	}
	if (n > few)
		hmac_imb(mb, &s, n - few);
	hmac_short(mb, &s, n - few, n);
	for (unsigned int i = 0; i < n; i++) {
		const struct dp_mb_hmac *job = &mb->hmac[i];

		if (job->word_len != 0)
			memcpy(word_at(job), &s.had[i], 4);
		tag_out(job->tag, s.tag[i], job->tag_len);
	}
}

void dp_mb_cbc_run(struct dp_mb *mb, unsigned int n, bool encrypt)
{
	if (n > 0)
		IMB_SUBMIT_CIPHER_BURST_NOCHECK(mb->mgr, mb->cbc, n, IMB_CIPHER_CBC,
						encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT,
						IMB_KEY_128_BYTES);
}
