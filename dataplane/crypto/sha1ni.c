/* SPDX-License-Identifier: BSD-3-Clause */
#include <immintrin.h>
#include <string.h>

#include "crypto/sha1ni.h"

#define SHANI        __attribute__((target("sha,sse4.1,ssse3")))
#define SHANI_INLINE SHANI static inline __attribute__((always_inline))

struct lane {
	__m128i abcd, e;
	__m128i w[4];
};

/* Rounds 4i .. 4i+3 of every lane. The loop is over a constant: unrolled, lanes interleaved. */
#define ROUNDS(i, f)                                                                               \
	for (int z = 0; z < n; z++) {                                                              \
		__m128i *w = l[z].w;                                                               \
		if ((i) >= 4) {                                                                    \
			__m128i t = _mm_sha1msg1_epu32(w[(i) & 3], w[((i) + 1) & 3]);              \
			t = _mm_xor_si128(t, w[((i) + 2) & 3]);                                    \
			w[(i) & 3] = _mm_sha1msg2_epu32(t, w[((i) + 3) & 3]);                      \
		}                                                                                  \
		__m128i x = (i) == 0 ? _mm_add_epi32(l[z].e, w[0])                                 \
				     : _mm_sha1nexte_epu32(e1[z], w[(i) & 3]);                     \
		e1[z] = l[z].abcd;                                                                 \
		l[z].abcd = _mm_sha1rnds4_epu32(l[z].abcd, x, f);                                  \
	}

/* One block of each lane: words big-endian already turned into w[]. */
SHANI_INLINE void compress(struct lane *l, const int n)
{
	__m128i abcd[2], e0[2], e1[2];

	for (int z = 0; z < n; z++) {
		abcd[z] = l[z].abcd;
		e0[z] = l[z].e;
	}
	ROUNDS(0, 0) ROUNDS(1, 0) ROUNDS(2, 0) ROUNDS(3, 0) ROUNDS(4, 0)
	ROUNDS(5, 1) ROUNDS(6, 1) ROUNDS(7, 1) ROUNDS(8, 1) ROUNDS(9, 1)
	ROUNDS(10, 2) ROUNDS(11, 2) ROUNDS(12, 2) ROUNDS(13, 2) ROUNDS(14, 2)
	ROUNDS(15, 3) ROUNDS(16, 3) ROUNDS(17, 3) ROUNDS(18, 3) ROUNDS(19, 3)
	for (int z = 0; z < n; z++) {
		l[z].e = _mm_sha1nexte_epu32(e1[z], e0[z]);
		l[z].abcd = _mm_add_epi32(l[z].abcd, abcd[z]);
	}
}

SHANI_INLINE void state_load(struct lane *l, const void *state)
{
	uint32_t e;

	memcpy(&e, (const uint8_t *)state + 16, 4);
	l->abcd = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0x1b);
	l->e = _mm_set_epi32((int)e, 0, 0, 0);
}

SHANI_INLINE void block_load(struct lane *l, const uint8_t *p)
{
	const __m128i swap = _mm_set_epi64x(0x0001020304050607ll, 0x08090a0b0c0d0e0fll);

	for (int i = 0; i < 4; i++)
		l->w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(p + 16 * i)), swap);
}

/* What is left of the message behind its whole blocks, padded: 64 or 128 bytes. Returns blocks. */
SHANI_INLINE unsigned int tail_make(uint8_t tail[128], const struct dp_mb_hmac *b, unsigned int i)
{
	size_t left = b->len[i] % 64, blocks = left + (b->total[i] - b->len[i]) < 56 ? 1 : 2;
	uint64_t bits = __builtin_bswap64((64 + (uint64_t)b->total[i]) * 8);

	memcpy(tail, b->data[i] + b->len[i] - left, left);
	memset(tail + left, 0, 128 - left);
	memcpy(tail + left, &b->end[i], 8);
	memcpy(tail + blocks * 64 - 8, &bits, 8);
	return (unsigned int)blocks;
}

/* The outer hash of what the lanes hold, and the tags. */
SHANI_INLINE void finish(struct lane *l, const int n, const struct dp_mb_hmac *b, const unsigned int *job)
{
	const __m128i swap = _mm_set_epi64x(0x0001020304050607ll, 0x08090a0b0c0d0e0fll);

	for (int z = 0; z < n; z++) {
		l[z].w[0] = l[z].abcd;
		l[z].w[1] = _mm_set_epi32(_mm_extract_epi32(l[z].e, 3), (int)0x80000000u, 0, 0);
		l[z].w[2] = _mm_setzero_si128();
		l[z].w[3] = _mm_set_epi32(0, 0, 0, (64 + 20) * 8);
		state_load(&l[z], b->state[job[z]] + DP_MB_HMAC_STATE / 2);
	}
	compress(l, n);
	for (int z = 0; z < n; z++) {
		uint32_t e = __builtin_bswap32((uint32_t)_mm_extract_epi32(l[z].e, 3));
		uint8_t tag[DP_MB_SHA1_LEN];

		_mm_storeu_si128((__m128i *)tag, _mm_shuffle_epi8(l[z].abcd, swap));
		memcpy(tag + 16, &e, 4);
		dp_mb_tag_out(b->tag[job[z]], tag, b->tag_len[job[z]]);
	}
}

/* Inner hash of a lane from block 'from' on. */
SHANI_INLINE void rest(struct lane *l, const struct dp_mb_hmac *b, unsigned int i, size_t from)
{
	size_t full = b->len[i] / 64;
	uint8_t tail[128];
	unsigned int blocks = tail_make(tail, b, i);

	for (size_t k = from; k < full; k++) {
		block_load(l, b->data[i] + k * 64);
		compress(l, 1);
	}
	/* 'from' may lie behind the data: a tail of two blocks, half done */
	for (size_t k = from > full ? from - full : 0; k < blocks; k++) {
		block_load(l, tail + k * 64);
		compress(l, 1);
	}
}

SHANI_INLINE void begin(struct lane *l, const struct dp_mb_hmac *b, unsigned int i, const uint32_t *inner)
{
	if (inner != NULL)
		state_load(l, inner);
	else
		state_load(l, b->state[i]);
}

SHANI void dp_sha1ni_hmac(const struct dp_mb_hmac *b, unsigned int i, const uint32_t *inner, uint32_t from)
{
	struct lane l[1];

	begin(&l[0], b, i, inner);
	rest(&l[0], b, i, from);
	finish(l, 1, b, &i);
}

SHANI void dp_sha1ni_hmac_pair(const struct dp_mb_hmac *b, unsigned int i, unsigned int j, const uint32_t *inner_i,
			       const uint32_t *inner_j, uint32_t from)
{
	const size_t full[2] = {b->len[i] / 64, b->len[j] / 64};
	const unsigned int job[2] = {i, j};
	size_t both = full[0] < full[1] ? full[0] : full[1], k = from;
	struct lane l[2];

	begin(&l[0], b, i, inner_i);
	begin(&l[1], b, j, inner_j);
	for (; k < both; k++) {
		block_load(&l[0], b->data[i] + k * 64);
		block_load(&l[1], b->data[j] + k * 64);
		compress(l, 2);
	}
	if (full[0] == both && full[1] == both) {
		uint8_t tail[2][128];
		unsigned int blocks = tail_make(tail[0], b, i);

		if (tail_make(tail[1], b, j) == blocks) {
			for (size_t t = k - both; t < blocks; t++) {
				block_load(&l[0], tail[0] + t * 64);
				block_load(&l[1], tail[1] + t * 64);
				compress(l, 2);
			}
			finish(l, 2, b, job);
			return;
		}
	}
	rest(&l[0], b, i, k);
	rest(&l[1], b, j, k);
	finish(l, 2, b, job);
}
