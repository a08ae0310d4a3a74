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
		mb->ctr[i] = (IMB_JOB){
			.cipher_mode = IMB_CIPHER_CNTR,
			.cipher_direction = IMB_DIR_ENCRYPT,
			.hash_alg = IMB_AUTH_NULL,
			.chain_order = IMB_ORDER_CIPHER_HASH,
			.key_len_in_bytes = IMB_KEY_128_BYTES,
			.iv_len_in_bytes = 16,
		};
		mb->cbc[i] = mb->ctr[i];
		mb->cbc[i].cipher_mode = IMB_CIPHER_CBC;
		mb->hmac[i] = (IMB_JOB){
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
	static const uint8_t state[DP_MB_SHA1_STATE] __attribute__((aligned(16)));
	static const uint8_t iv[16] __attribute__((aligned(16)));
	uint8_t rk[DP_MB_AES128_RK] __attribute__((aligned(16)));
	uint8_t tag[32][DP_MB_SHA1_LEN];
	uint64_t best = UINT64_MAX;

	dp_mb_aes128_expand(mb, iv, rk, NULL);
	for (unsigned int round = 0; round < 12; round++) {
		uint64_t t = __rdtsc();

		for (unsigned int i = 0; i < 32; i++) {
			dp_mb_ctr_set(mb, i, rk, iv, data + i * 192, 160);
			dp_mb_hmac_set(mb, i, state, state, data + i * 192, 176, tag[i]);
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

void dp_mb_aes128_expand(struct dp_mb *mb, const uint8_t key[16], uint8_t *enc, uint8_t *dec)
{
	uint8_t unused[DP_MB_AES128_RK] __attribute__((aligned(16)));

	IMB_AES_KEYEXP_128(mb->mgr, key, enc, dec != NULL ? dec : unused);
	if (dec == NULL)
		explicit_bzero(unused, sizeof(unused));
}

void dp_mb_hmac_sha1_key(struct dp_mb *mb, const uint8_t *key, size_t len, uint8_t *ipad, uint8_t *opad)
{
	uint8_t block[64];

	memset(block, 0x36, sizeof(block));
	for (size_t i = 0; i < len && i < sizeof(block); i++)
		block[i] ^= key[i];
	IMB_SHA1_ONE_BLOCK(mb->mgr, block, ipad);
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] ^= 0x36 ^ 0x5c;
	IMB_SHA1_ONE_BLOCK(mb->mgr, block, opad);
	explicit_bzero(block, sizeof(block));
}

/*
 * The "nocheck" calls are right here: every field that the checks look at is a template's or set by us, and
 * bursts of the synchronous kind cannot be half done: the manager's lanes are empty before and after.
 */
void dp_mb_ctr_run(struct dp_mb *mb, unsigned int n)
{
	if (n > 0)
		IMB_SUBMIT_CIPHER_BURST_NOCHECK(mb->mgr, mb->ctr, n, IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT,
						IMB_KEY_128_BYTES);
}

static void hmac_short(struct dp_mb *mb, unsigned int first, unsigned int n)
{
	struct dp_sha1ni_msg msg[2];

	for (unsigned int i = 0; i < n; i++) {
		const IMB_JOB *job = &mb->hmac[first + i];

		msg[i & 1] = (struct dp_sha1ni_msg){
			.ipad = job->u.HMAC._hashed_auth_key_xor_ipad,
			.opad = job->u.HMAC._hashed_auth_key_xor_opad,
			.data = job->src,
			.len = job->msg_len_to_hash_in_bytes,
			.tag = job->auth_tag_output,
		};
		if ((i & 1) != 0)
			dp_sha1ni_hmac_pair(msg);
		else if (i + 1 == n)
			dp_sha1ni_hmac(msg);
	}
}

void dp_mb_hmac_run(struct dp_mb *mb, unsigned int n)
{
	/* A few jobs behind full sets of lanes would cost as much as another full set. */
	unsigned int few = n % mb->lanes;

	if (few >= HMAC_SHORT || !mb->shani)
		few = 0;
	if (n > few)
		IMB_SUBMIT_HASH_BURST_NOCHECK(mb->mgr, mb->hmac, n - few, IMB_AUTH_HMAC_SHA_1);
	hmac_short(mb, n - few, few);
}

void dp_mb_cbc_run(struct dp_mb *mb, unsigned int n, bool encrypt)
{
	if (n > 0)
		IMB_SUBMIT_CIPHER_BURST_NOCHECK(mb->mgr, mb->cbc, n, IMB_CIPHER_CBC,
						encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT,
						IMB_KEY_128_BYTES);
}
