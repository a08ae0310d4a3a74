/* SPDX-License-Identifier: BSD-3-Clause */
#include <immintrin.h>
#include <string.h>

#include "crypto/hmac16.h"
#include "crypto/sha1ni.h"

/* Run-time dispatch: the rest of the product may be built for any x86-64. */
#define T512        __attribute__((target("avx512f,avx512bw,avx512vl")))
#define T512_INLINE T512 static inline __attribute__((always_inline))

#define LANES 16
#define SIZES 32 /* sorting: messages of as many blocks or more are all the same */

bool dp_hmac16_usable(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl");
}

typedef __m512i vec;

#define ADD(a, b)     _mm512_add_epi32(a, b)
#define ROL(a, n)     _mm512_rol_epi32(a, n)
#define CHOOSE(b, c, d) _mm512_ternarylogic_epi32(b, c, d, 0xca)
#define PARITY(b, c, d) _mm512_ternarylogic_epi32(b, c, d, 0x96)
#define MAJOR(b, c, d)  _mm512_ternarylogic_epi32(b, c, d, 0xe8)

/* 16 bytes of four messages, as they are in memory. */
T512_INLINE vec rows(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d)
{
	vec v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)a));

	v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)b), 1);
	v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)c), 2);
	return _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)d), 3);
}

/* 4 x 4 words in each quarter: row i of quarter j is message 4j + i, afterwards vector k has word k of all 16. */
T512_INLINE void transpose4(vec w[4])
{
	vec ab = _mm512_unpacklo_epi32(w[0], w[1]), cd = _mm512_unpacklo_epi32(w[2], w[3]);
	vec ef = _mm512_unpackhi_epi32(w[0], w[1]), gh = _mm512_unpackhi_epi32(w[2], w[3]);

	w[0] = _mm512_unpacklo_epi64(ab, cd);
	w[1] = _mm512_unpackhi_epi64(ab, cd);
	w[2] = _mm512_unpacklo_epi64(ef, gh);
	w[3] = _mm512_unpackhi_epi64(ef, gh);
}

/* Words of 16 messages: 16 bytes of each from src[] + at. */
T512_INLINE void gather4(vec w[4], const uint8_t *const src[LANES], size_t at)
{
	for (int i = 0; i < 4; i++)
		w[i] = rows(src[i] + at, src[4 + i] + at, src[8 + i] + at, src[12 + i] + at);
}

/* FIPS 180-4 s6.1.3, all lanes. */
#define ROUND(f, k, a, b, c, d, e, i)                                                                        \
	rot = ROL(b, 30);                                                                                    \
	e = ADD(ADD(ADD(e, ADD(w[(i) & 15], _mm512_set1_epi32((int)(k)))), f(b, c, d)), ROL(a, 5));          \
	b = rot;                                                                                             \
	if ((i) < 64)                                                                                        \
		w[(i) & 15] = ROL(_mm512_xor_si512(PARITY(w[(i) & 15], w[((i) + 13) & 15], w[((i) + 8) & 15]), \
						   w[((i) + 2) & 15]), 1);
#define ROUNDS5(f, k, i)                                                                                     \
	ROUND(f, k, a, b, c, d, e, i)                                                                        \
	ROUND(f, k, e, a, b, c, d, (i) + 1)                                                                  \
	ROUND(f, k, d, e, a, b, c, (i) + 2)                                                                  \
	ROUND(f, k, c, d, e, a, b, (i) + 3)                                                                  \
	ROUND(f, k, b, c, d, e, a, (i) + 4)
#define ROUNDS20(f, k, i) ROUNDS5(f, k, i) ROUNDS5(f, k, (i) + 5) ROUNDS5(f, k, (i) + 10) ROUNDS5(f, k, (i) + 15)

/* One block, for the lanes of 'on'. */
T512_INLINE void compress(vec h[5], vec w[16], __mmask16 on)
{
	vec a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], rot;

	ROUNDS20(CHOOSE, 0x5a827999, 0)
	ROUNDS20(PARITY, 0x6ed9eba1, 20)
	ROUNDS20(MAJOR, 0x8f1bbcdc, 40)
	ROUNDS20(PARITY, 0xca62c1d6, 60)
	h[0] = _mm512_mask_add_epi32(h[0], on, h[0], a);
	h[1] = _mm512_mask_add_epi32(h[1], on, h[1], b);
	h[2] = _mm512_mask_add_epi32(h[2], on, h[2], c);
	h[3] = _mm512_mask_add_epi32(h[3], on, h[3], d);
	h[4] = _mm512_mask_add_epi32(h[4], on, h[4], e);
}

/* What follows the full blocks of each message, without the length field, and where blocks are. */
struct tails {
	uint8_t bytes[LANES][128];
	const uint8_t *at[LANES];  /* bytes[] */
	const uint8_t *src[LANES]; /* lengths mixed: this block's 64 bytes */
	const uint8_t *part[LANES];
	uint8_t *end[LANES];
	uint64_t mask[LANES];
} __attribute__((aligned(64)));

T512_INLINE void tails_make(struct tails *t, const struct dp_mb_hmac *b, unsigned int first, vec len)
{
	const vec one = _mm512_set1_epi64(1), zero = _mm512_setzero_si512();
	const vec step = _mm512_set_epi64(7 * 128, 6 * 128, 5 * 128, 4 * 128, 3 * 128, 2 * 128, 128, 0);

	for (int i = 0; i < 2; i++) {
		vec l = _mm512_cvtepu32_epi64(i == 0 ? _mm512_castsi512_si256(len) : _mm512_extracti64x4_epi64(len, 1));
		vec left = _mm512_and_si512(l, _mm512_set1_epi64(63));
		vec at = _mm512_add_epi64(_mm512_set1_epi64((long long)(uintptr_t)t->bytes[8 * i]), step);
		vec part = _mm512_add_epi64(_mm512_load_si512(b->data + first + 8 * i), _mm512_sub_epi64(l, left));

		_mm512_store_si512(t->at + 8 * i, at);
		_mm512_store_si512(t->part + 8 * i, part);
		_mm512_store_si512(t->mask + 8 * i, _mm512_sub_epi64(_mm512_sllv_epi64(one, left), one));
		_mm512_store_si512(t->end + 8 * i, _mm512_add_epi64(at, left));
	}
	for (int l = 0; l < LANES; l++) {
		_mm512_store_si512(t->bytes[l], _mm512_maskz_loadu_epi8(_cvtu64_mask64(t->mask[l]), t->part[l]));
		_mm512_store_si512(t->bytes[l] + 64, zero);
		memcpy(t->end[l], &b->end[first + l], 8);
	}
}

/* The lanes of 'on' hold inner states after 'from' blocks: one or two messages at a time do the rest. */
T512 static void finish_few(const struct dp_mb_hmac *b, unsigned int first, const vec h[5], unsigned int on, uint32_t from)
{
	uint32_t words[5][LANES] __attribute__((aligned(64))), inner[2][5];
	unsigned int pair[2], have = 0;

	for (int i = 0; i < 5; i++)
		_mm512_store_si512(words[i], h[i]);
	for (; on != 0; on &= on - 1) {
		unsigned int l = (unsigned int)__builtin_ctz(on);

		for (int i = 0; i < 5; i++)
			inner[have][i] = words[i][l];
		pair[have++] = first + l;
		if (have == 2) {
			dp_sha1ni_hmac_pair(b, pair[0], pair[1], inner[0], inner[1], from);
			have = 0;
		}
	}
	if (have != 0)
		dp_sha1ni_hmac(b, pair[0], inner[0], from);
}

/* Lengths mixed: where each lane's block 'blk' is. A lane that is done stays behind its last one, in its tail or the next. */
T512_INLINE void mixed_src(struct tails *t, const uint8_t *const *data, vec full, vec blocks, uint32_t blk)
{
	const vec now = _mm512_set1_epi32((int)blk);
	__mmask16 begin = _mm512_cmpeq_epi32_mask(full, now), go = _mm512_cmpgt_epu32_mask(blocks, now);

	for (int i = 0; i < 2; i++) {
		vec src = _mm512_load_si512(blk == 0 ? data + 8 * i : t->src + 8 * i);

		if (blk > 0)
			src = _mm512_mask_add_epi64(src, (__mmask8)(go >> 8 * i), src, _mm512_set1_epi64(64));
		src = _mm512_mask_mov_epi64(src, (__mmask8)(begin >> 8 * i), _mm512_load_si512(t->at + 8 * i));
		_mm512_store_si512(t->src + 8 * i, src);
	}
}

/* The lanes' tags from h[], for those in 'on'. */
T512_INLINE void tags_out(const struct dp_mb_hmac *b, unsigned int first, vec h[5], unsigned int on)
{
	const vec swap = _mm512_set4_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203);
	uint8_t row[4][4][16] __attribute__((aligned(64))); /* first 16 bytes, [job % 4][job / 4] */
	uint8_t last[LANES][4] __attribute__((aligned(64)));

	transpose4(h);
	for (int i = 0; i < 4; i++)
		_mm512_store_si512(row[i], _mm512_shuffle_epi8(h[i], swap));
	_mm512_store_si512(last, _mm512_shuffle_epi8(h[4], swap));
	for (unsigned int l = 0; l < LANES; l++) {
		const uint8_t *r = row[l % 4][l / 4];
		unsigned int len = b->tag_len[first + l];
		uint8_t *tag = b->tag[first + l];

		if ((on >> l & 1) == 0)
			continue;
		if (__builtin_expect(len == 10, 1)) {
			memcpy(tag, r, 8);
			memcpy(tag + 8, r + 8, 2);
		} else if (__builtin_expect(len == 20, 1)) {
			memcpy(tag, r, 16);
			memcpy(tag + 16, last[l], 4);
		} else {
			dp_mb_tag_out(tag, r, len < 16 ? len : 16);
			if (len > 16)
				memcpy(tag + 16, last[l], len - 16);
		}
	}
}

/* 16 jobs of a burst from 'first' on, of which the lanes in 'store' are wanted. */
struct group {
	const struct dp_mb_hmac *b;
	unsigned int first;
	__mmask16 store;
	struct tails t;
};

T512_INLINE void group_begin(struct group *g, const struct dp_mb_hmac *b, unsigned int first, unsigned int lanes)
{
	g->b = b;
	g->first = first;
	g->store = (__mmask16)((1u << lanes) - 1);
	tails_make(&g->t, b, first, _mm512_load_si512(b->len + first));
}

/*
 * HMACs of a group, and the beginning of the next, if any: the outer hash leaves all but the vector units idle, its
 * memory work costs nothing there.
 */
T512 static void group_run(struct group *g, unsigned int few, struct group *next, const struct dp_mb_hmac *next_b,
			   unsigned int next_lanes)
{
	const vec swap = _mm512_set4_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203);
	const struct dp_mb_hmac *b = g->b;
	const unsigned int first = g->first;
	__mmask16 store = g->store;
	vec h[5], outer[5], w[16], full, blocks, bits;
	uint32_t one_full, one_blocks;
	bool mixed;

	full = _mm512_load_si512(b->len + first);
	bits = _mm512_load_si512(b->total + first);
	full = _mm512_srli_epi32(full, 6);
	blocks = ADD(_mm512_srli_epi32(ADD(bits, _mm512_set1_epi32(8)), 6), _mm512_set1_epi32(1));
	bits = _mm512_slli_epi32(ADD(bits, _mm512_set1_epi32(64)), 3);
	one_full = b->len[first] / 64;
	one_blocks = (b->total[first] + 8) / 64 + 1;
	mixed = (_mm512_cmpneq_epi32_mask(full, _mm512_set1_epi32((int)one_full)) |
		 _mm512_cmpneq_epi32_mask(blocks, _mm512_set1_epi32((int)one_blocks))) != 0;
	for (unsigned int i = 0; i < 2; i++) {
		gather4(w + 4 * i, b->state + first, 16 * i);
		transpose4(w + 4 * i);
	}
	gather4(w + 8, b->state + first, 24);
	transpose4(w + 8);
	for (int i = 0; i < 5; i++)
		h[i] = w[i];
	for (int i = 0; i < 3; i++)
		outer[i] = w[5 + i];
	outer[3] = w[10];
	outer[4] = w[11];

	for (uint32_t blk = 0;; blk++) {
		const uint8_t *const *src = blk < one_full ? b->data + first : g->t.at;
		size_t at = 64 * (size_t)(blk < one_full ? blk : blk - one_full);
		__mmask16 on = store, last = blk + 1 == one_blocks ? 0xffff : 0;

		if (mixed) {
			on = (__mmask16)(_mm512_cmpgt_epu32_mask(blocks, _mm512_set1_epi32((int)blk)) & store);
			last = _mm512_cmpeq_epi32_mask(blocks, _mm512_set1_epi32((int)blk + 1));
			if (on == 0)
				break;
			if ((unsigned int)__builtin_popcount(on) < few) {
				finish_few(b, first, h, on, blk);
				store = (__mmask16)(store & ~on);
				break;
			}
			mixed_src(&g->t, b->data + first, full, blocks, blk);
			src = g->t.src;
			at = 0;
		} else if (blk == one_blocks) {
			break;
		}
		for (unsigned int i = 0; i < 4; i++) {
			gather4(w + 4 * i, src, at + 16 * i);
			for (int j = 0; j < 4; j++)
				w[4 * i + j] = _mm512_shuffle_epi8(w[4 * i + j], swap);
			transpose4(w + 4 * i);
		}
		w[15] = _mm512_mask_mov_epi32(w[15], last, bits);
		compress(h, w, on);
	}

	if (next_lanes > 0)
		group_begin(next, next_b, first + LANES, next_lanes);
	/* The outer hash, over 20 bytes. */
	for (int i = 0; i < 5; i++) {
		w[i] = h[i];
		h[i] = outer[i];
	}
	w[5] = _mm512_set1_epi32((int)0x80000000);
	for (int i = 6; i < 15; i++)
		w[i] = _mm512_setzero_si512();
	w[15] = _mm512_set1_epi32((64 + 20) * 8);
	compress(h, w, 0xffff);
	tags_out(b, first, h, store);
}

static void copy(struct dp_mb_hmac *to, unsigned int j, const struct dp_mb_hmac *b, unsigned int i)
{
	to->state[j] = b->state[i];
	to->data[j] = b->data[i];
	to->tag[j] = b->tag[i];
	to->end[j] = b->end[i];
	to->len[j] = b->len[i];
	to->total[j] = b->total[i];
	to->tag_len[j] = b->tag_len[i];
}

/* Jobs by number of blocks, the longest first, so that lanes that work together end together. */
static void sort(struct dp_mb_hmac *to, const struct dp_mb_hmac *b, unsigned int n)
{
	uint8_t size[DP_MB_BURST], cnt[SIZES] = {0};
	unsigned int at = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint32_t blocks = (b->total[i] + 8) / 64;

		size[i] = (uint8_t)(SIZES - 1 - (blocks < SIZES ? blocks : SIZES - 1));
		cnt[size[i]]++;
	}
	for (unsigned int s = 0; s < SIZES; s++) {
		unsigned int have = cnt[s];

		cnt[s] = (uint8_t)at;
		at += have;
	}
	for (unsigned int i = 0; i < n; i++)
		copy(to, cnt[size[i]]++, b, i);
}

static bool mixed(const struct dp_mb_hmac *b, unsigned int n)
{
	uint32_t diff = 0;

	for (unsigned int i = 1; i < n; i++)
		diff |= ((b->total[i] + 8) ^ (b->total[0] + 8)) & ~(uint32_t)63;
	return diff != 0;
}

/* n above 0 jobs, in groups. */
T512 static void groups_run(const struct dp_mb_hmac *b, unsigned int n, unsigned int few)
{
	struct dp_mb_hmac rest;
	struct group g[2];

	/* Lanes without a job work on copies of one. */
	for (unsigned int i = n & ~(LANES - 1u), l = i; n % LANES != 0 && l < i + LANES; l++)
		copy(&rest, l, b, l < n ? l : i);
	group_begin(&g[0], n < LANES ? &rest : b, 0, n < LANES ? n : LANES);
	for (unsigned int i = 0, k = 0; i < n; i += LANES, k ^= 1) {
		unsigned int left = n - i > LANES ? n - i - LANES : 0;

		group_run(&g[k], few, &g[k ^ 1], left < LANES ? &rest : b, left < LANES ? left : LANES);
	}
}

void dp_hmac16_run(const struct dp_mb_hmac *b, unsigned int n, unsigned int few)
{
	struct dp_mb_hmac own;
	unsigned int i;

	if (n > LANES && mixed(b, n)) {
		sort(&own, b, n);
		b = &own;
	}
	i = n % LANES < few ? n & ~(LANES - 1u) : n; /* what is left over is too little for a group */
	if (i > 0)
		groups_run(b, i, few);
	for (; i + 2 <= n; i += 2)
		dp_sha1ni_hmac_pair(b, i, i + 1, NULL, NULL, 0);
	if (i < n)
		dp_sha1ni_hmac(b, i, NULL, 0);
}
