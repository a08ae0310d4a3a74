/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "crypto/ctrvaes.h"
#include "crypto/hmac16.h"
#include "crypto/mb.h"
#include "crypto/sha1ni.h"

/* Below so many jobs the SHA instructions beat ipsec-mb's lanes run mostly empty: bench/README.md, "short bursts". */
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
		mb->sha2[i] = mb->imb_hmac[i];
	}
}

static void hmac_short(const struct dp_mb_hmac *b, unsigned int i, unsigned int end)
{
	for (; i + 2 <= end; i += 2)
		dp_sha1ni_hmac_pair(b, i, i + 1, NULL, NULL, 0);
	if (i < end)
		dp_sha1ni_hmac(b, i, NULL, 0);
}

#define MEASURE_JOBS 32 /* media packets: 160 bytes encrypted, 172 and the ROC authenticated */
#define MEASURE_STEP 192
#define GCM_CHECK    1040 /* bytes: more than two of gcmvaes.c's segments */
#define GCM_MEASURE  1400 /* the longest packet that is looked at */

struct measure {
	struct gcm_key_data gcm __attribute__((aligned(64)));
	uint8_t text[4][GCM_MEASURE + 200]; /* each elsewhere in its cache line */
	uint8_t data[MEASURE_JOBS * MEASURE_STEP] __attribute__((aligned(64)));
	uint8_t state[DP_MB_HMAC_STATE] __attribute__((aligned(64)));
	uint8_t rk[DP_MB_AES128_RK] __attribute__((aligned(16)));
	uint8_t iv[16] __attribute__((aligned(16)));
	uint8_t tag[MEASURE_JOBS][DP_MB_SHA1_LEN];
};

enum op { HMAC, HMAC_SHANI, CTR };

/* Cycles of the best of some bursts of n jobs. */
static uint64_t measure(struct dp_mb *mb, struct measure *m, enum op op, unsigned int n)
{
	uint64_t best = UINT64_MAX;

	for (unsigned int i = 0; i < n; i++) {
		dp_mb_ctr_set(mb, i, m->rk, 10, m->iv, m->data + i * MEASURE_STEP + 12, 160);
		dp_mb_hmac_set_word(mb, i, m->state, m->data + i * MEASURE_STEP, 172, 0, m->tag[i], 10);
	}
	for (unsigned int round = 0; round < 12; round++) {
		uint64_t t = __rdtsc();

		if (op == HMAC)
			dp_mb_hmac_run(mb, n);
		else if (op == CTR)
			dp_mb_ctr_run(mb, n);
		else
			hmac_short(&mb->hmac, 0, n);
		t = __rdtsc() - t;
		if (t < best)
			best = t;
	}
	return best;
}

/* ipsec-mb's instruction set. */
static bool isa_choose(struct dp_mb *mb, struct measure *m, const char *name)
{
	const struct isa *best = NULL;
	uint64_t best_cyc = UINT64_MAX, features = mb->mgr->features;

	for (unsigned int i = 0; i < ISA_CNT; i++) {
		uint64_t cyc;

		if ((features & isas[i].features) != isas[i].features ||
		    (name != NULL && strcmp(name, isas[i].name) != 0))
			continue;
		isas[i].init(mb->mgr);
		if (imb_get_errno(mb->mgr) != 0 || mb->mgr->used_arch != isas[i].arch)
			continue;
		cyc = measure(mb, m, HMAC, MEASURE_JOBS) + measure(mb, m, CTR, MEASURE_JOBS);
		if (cyc < best_cyc) {
			best_cyc = cyc;
			best = &isas[i];
		}
	}
	if (best == NULL)
		return false;
	best->init(mb->mgr);
	mb->lanes = best->lanes;
	mb->shani = (features & IMB_FEATURE_SHANI) != 0;
	return imb_get_errno(mb->mgr) == 0;
}

/*
 * Ours reads the table that ipsec-mb makes for VAES. Whether it is that one, and all else is right, is seen by what comes out: of every
 * number of blocks up to more than one segment, whole and not, with every key length.
 */
static bool gcm_agrees(struct dp_mb *mb)
{
	static const uint8_t key[32] = {7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5, 2}, nonce[12] = {1, 6, 1, 8}, aad[20] = {3, 3, 9};
	struct gcm_key_data gk __attribute__((aligned(64)));
	uint8_t text[GCM_CHECK] = {0}, a[GCM_CHECK], b[GCM_CHECK], ta[16], tb[16];
	bool right = true;

	if (mb->mgr->used_arch != IMB_ARCH_AVX512 || !dp_gcmvaes_usable())
		return false;
	for (size_t key_len = 16; key_len <= 32; key_len += 8) {
		dp_mb_gcm_key(mb, key, key_len, &gk);
		for (size_t len = 0; len <= GCM_CHECK; len += 13) {
			mb->own_gcm = 0;
			dp_mb_gcm_enc(mb, key_len, &gk, nonce, aad, len % 21, text, a, len, ta);
			mb->own_gcm = SIZE_MAX;
			dp_mb_gcm_enc(mb, key_len, &gk, nonce, aad, len % 21, text, b, len, tb);
			right = right && memcmp(a, b, len) == 0 && memcmp(ta, tb, 16) == 0;
			dp_mb_gcm_dec(mb, key_len, &gk, nonce, aad, len % 21, b, b, len, tb);
			right = right && memcmp(b, text, len) == 0 && memcmp(ta, tb, 16) == 0;
		}
	}
	return right;
}

bool dp_mb_own(struct dp_mb *mb, bool hmac, bool ctr, bool gcm)
{
	size_t was = mb->own_gcm;

	if ((hmac && !dp_hmac16_usable()) || (ctr && !dp_ctrvaes_usable()))
		return false;
	if (gcm && !gcm_agrees(mb)) {
		mb->own_gcm = was;
		return false;
	}
	mb->own_hmac = hmac;
	mb->own_ctr = ctr;
	mb->own_gcm = gcm ? SIZE_MAX : 0;
	return true;
}

/* Is ours faster with packets of 'len' bytes, both ways added? By turns, so that what disturbs one disturbs the other. */
static bool gcm_faster(struct dp_mb *mb, struct measure *m, size_t len)
{
	static const uint8_t aad[8];
	uint64_t best[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};

	for (unsigned int round = 0; round < 4 * 16; round++) {
		unsigned int what = round % 4;
		uint64_t t = __rdtsc();

		mb->own_gcm = what % 2 != 0 ? SIZE_MAX : 0;
		for (unsigned int i = 0; i < 16; i++)
			if (what < 2)
				dp_mb_gcm_enc(mb, 16, &m->gcm, m->iv, aad, sizeof(aad), m->text[i % 4], m->text[i % 4], len, m->tag[i]);
			else
				dp_mb_gcm_dec(mb, 16, &m->gcm, m->iv, aad, sizeof(aad), m->text[i % 4], m->text[i % 4], len, m->tag[i]);
		t = __rdtsc() - t;
		if (t < best[what])
			best[what] = t;
	}
	return best[1] + best[3] < best[0] + best[2];
}

/* From the shortest packets on, as long as ours is faster. */
static void gcm_choose(struct dp_mb *mb, struct measure *m)
{
	static const uint16_t lens[] = {32, 64, 96, 128, 160, 192, 256, 384, 512, 1024, GCM_MEASURE};
	size_t limit = 0;

	if (gcm_agrees(mb)) {
		dp_mb_gcm_key(mb, m->rk, 16, &m->gcm);
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]) && gcm_faster(mb, m, lens[i]); i++)
			limit = lens[i] < GCM_MEASURE ? lens[i] + 16u : SIZE_MAX;
	}
	mb->own_gcm = limit;
}

/* Kernels of ours, where they are faster. */
static void own_choose(struct dp_mb *mb, struct measure *m)
{
	uint64_t imb_hmac = measure(mb, m, HMAC, MEASURE_JOBS), imb_ctr = measure(mb, m, CTR, MEASURE_JOBS);
	bool hmac = dp_mb_own(mb, true, false, false) && measure(mb, m, HMAC, MEASURE_JOBS) < imb_hmac;
	bool ctr = dp_mb_own(mb, false, true, false) && measure(mb, m, CTR, MEASURE_JOBS) < imb_ctr;

	dp_mb_own(mb, hmac, ctr, false);
	gcm_choose(mb, m);
	if (hmac && mb->shani) {
		/* 16 lanes take the same time for 1 job as for 16 */
		uint64_t lanes = measure(mb, m, HMAC, 16), single = measure(mb, m, HMAC_SHANI, 16);

		mb->few = (unsigned int)(16 * lanes / single) + 1;
		mb->few = mb->few < 16 ? mb->few : 16;
	}
}

static struct dp_mb *create(const char *name, bool own)
{
	struct dp_mb *mb = aligned_alloc(64, (sizeof(*mb) + 63) / 64 * 64);
	struct measure *m = aligned_alloc(64, (sizeof(*m) + 63) / 64 * 64);

	if (mb != NULL)
		memset(mb, 0, sizeof(*mb));
	if (mb == NULL || m == NULL)
		goto fail;
	memset(m, 0, sizeof(*m));
	mb->lanes = DP_MB_BURST;
	mb->mgr = alloc_mb_mgr(0);
	if (mb->mgr == NULL)
		goto fail;
	templates(mb);
	if (!isa_choose(mb, m, name))
		goto fail;
	if (own)
		own_choose(mb, m);
	/* the measurement's pointers go */
	templates(mb);
	memset(&mb->hmac, 0, sizeof(mb->hmac));
	memset(mb->ctr, 0, sizeof(mb->ctr));
	free(m);
	return mb;
fail:
	free(m);
	dp_mb_destroy(mb);
	return NULL;
}

/*
 * The process's instruction set. Keys are expanded by the main thread's manager and used by the workers', and a GCM table is
 * laid out for one instruction set: managers that measured for themselves would now and then, on a disturbed machine, not agree,
 * and every tag under such a key would be wrong.
 */
static pthread_mutex_t chosen_lock = PTHREAD_MUTEX_INITIALIZER;
static char chosen[8];

struct dp_mb *dp_mb_create(void)
{
	struct dp_mb *mb;

	pthread_mutex_lock(&chosen_lock);
	mb = create(chosen[0] != '\0' ? chosen : NULL, true);
	if (mb != NULL && chosen[0] == '\0')
		snprintf(chosen, sizeof(chosen), "%s", dp_mb_isa(mb));
	pthread_mutex_unlock(&chosen_lock);
	return mb;
}

struct dp_mb *dp_mb_create_isa(const char *name)
{
	return create(name, false);
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

const char *dp_mb_hmac_name(const struct dp_mb *mb)
{
	return mb->own_hmac ? "own16" : "ipsec-mb";
}

const char *dp_mb_ctr_name(const struct dp_mb *mb)
{
	return mb->own_ctr ? "own" : "ipsec-mb";
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
static void ctr_imb(struct dp_mb *mb, unsigned int n)
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

void dp_mb_ctr_run(struct dp_mb *mb, unsigned int n)
{
	if (mb->own_ctr)
		dp_ctrvaes_run(mb->ctr, n);
	else
		ctr_imb(mb, n);
}

/* Jobs with a word have writable data: dp_mb_hmac_set_word(). */
static inline uint8_t *word_at(const struct dp_mb_hmac *b, unsigned int i)
{
	return (uint8_t *)(uintptr_t)b->data[i] + b->len[i];
}

/* ipsec-mb wants messages in one piece: words are put behind the data for as long as it takes. */
static void hmac_imb(struct dp_mb *mb, unsigned int n)
{
	const struct dp_mb_hmac *b = &mb->hmac;
	uint8_t tag[DP_MB_BURST][DP_MB_SHA1_LEN];
	uint32_t had[DP_MB_BURST];

	for (unsigned int i = 0; i < n; i++) {
		IMB_JOB *imb = &mb->imb_hmac[i];

		if (b->total[i] != b->len[i]) {
			memcpy(&had[i], word_at(b, i), 4);
			memcpy(word_at(b, i), &b->end[i], 4);
		}
		imb->u.HMAC._hashed_auth_key_xor_ipad = b->state[i];
		imb->u.HMAC._hashed_auth_key_xor_opad = b->state[i] + DP_MB_HMAC_STATE / 2;
		imb->src = b->data[i];
		imb->msg_len_to_hash_in_bytes = b->total[i];
		imb->auth_tag_output = tag[i];
	}
	IMB_SUBMIT_HASH_BURST_NOCHECK(mb->mgr, mb->imb_hmac, n, IMB_AUTH_HMAC_SHA_1);
	for (unsigned int i = 0; i < n; i++) {
		if (b->total[i] != b->len[i])
			memcpy(word_at(b, i), &had[i], 4);
		dp_mb_tag_out(b->tag[i], tag[i], b->tag_len[i]);
	}
}

void dp_mb_hmac_run(struct dp_mb *mb, unsigned int n)
{
	/* A few jobs behind full sets of lanes would cost as much as another full set. */
	unsigned int few = n % mb->lanes;

	if (mb->own_hmac) {
		dp_hmac16_run(&mb->hmac, n, mb->few);
		return;
	}
	if (few >= HMAC_SHORT || !mb->shani)
		few = 0;
	if (n > few)
		hmac_imb(mb, n - few);
	hmac_short(&mb->hmac, n - few, n);
}

void dp_mb_cbc_run(struct dp_mb *mb, unsigned int n, size_t key_len, bool encrypt)
{
	if (n > 0)
		IMB_SUBMIT_CIPHER_BURST_NOCHECK(mb->mgr, mb->cbc, n, IMB_CIPHER_CBC,
						encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT,
						(IMB_KEY_SIZE_BYTES)key_len);
}

static const struct sha2 {
	IMB_HASH_ALG alg;
	unsigned int block, tag; /* bytes */
} sha2s[] = {
	[DP_MB_SHA256] = {IMB_AUTH_HMAC_SHA_256, 64, 16},
	[DP_MB_SHA384] = {IMB_AUTH_HMAC_SHA_384, 128, 24},
	[DP_MB_SHA512] = {IMB_AUTH_HMAC_SHA_512, 128, 32},
};

static void sha2_block(struct dp_mb *mb, enum dp_mb_sha2 hash, const uint8_t *block, uint8_t *state)
{
	if (hash == DP_MB_SHA256)
		IMB_SHA256_ONE_BLOCK(mb->mgr, block, state);
	else if (hash == DP_MB_SHA384)
		IMB_SHA384_ONE_BLOCK(mb->mgr, block, state);
	else
		IMB_SHA512_ONE_BLOCK(mb->mgr, block, state);
}

void dp_mb_sha2_key(struct dp_mb *mb, enum dp_mb_sha2 hash, const uint8_t *key, size_t len, uint8_t *state)
{
	unsigned int n = sha2s[hash].block;
	uint8_t block[128];

	memset(block, 0x36, sizeof(block));
	for (size_t i = 0; i < len && i < 64; i++)
		block[i] ^= key[i];
	sha2_block(mb, hash, block, state);
	for (size_t i = 0; i < n; i++)
		block[i] ^= 0x36 ^ 0x5c;
	sha2_block(mb, hash, block, state + n / 2);
	explicit_bzero(block, sizeof(block));
}

void dp_mb_sha2_run(struct dp_mb *mb, enum dp_mb_sha2 hash, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		mb->sha2[i].hash_alg = sha2s[hash].alg;
		mb->sha2[i].auth_tag_output_len_in_bytes = sha2s[hash].tag;
	}
	if (n > 0)
		IMB_SUBMIT_HASH_BURST_NOCHECK(mb->mgr, mb->sha2, n, sha2s[hash].alg);
}

void dp_mb_des3_key(struct dp_mb *mb, const uint8_t key[24], uint8_t *ks)
{
	for (unsigned int i = 0; i < 3; i++)
		IMB_DES_KEYSCHED(mb->mgr, (uint64_t *)(void *)(ks + i * (DP_MB_DES3_KS / 3)), key + 8 * i);
}

/* ipsec-mb has no burst of one kind for it: jobs one after the other, all taken out again before the call returns. */
void dp_mb_des3_run(struct dp_mb *mb, unsigned int n, bool encrypt)
{
	for (unsigned int i = 0; i < n; i++) {
		IMB_JOB *job = IMB_GET_NEXT_JOB(mb->mgr);

		*job = (IMB_JOB){
			.cipher_mode = IMB_CIPHER_DES3,
			.cipher_direction = encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT,
			.hash_alg = IMB_AUTH_NULL,
			.chain_order = encrypt ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER,
			.key_len_in_bytes = 24,
			.iv_len_in_bytes = 8,
			.enc_keys = mb->des3[i].ks,
			.dec_keys = mb->des3[i].ks,
			.iv = mb->des3[i].iv,
			.src = mb->des3[i].data,
			.dst = mb->des3[i].dst,
			.msg_len_to_cipher_in_bytes = mb->des3[i].len,
		};
		IMB_SUBMIT_JOB_NOCHECK(mb->mgr);
	}
	while (IMB_FLUSH_JOB(mb->mgr) != NULL)
		;
}
