/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is hashed are the additional data, the ciphertext and the lengths, in blocks of 16 bytes; what is encrypted are counters, of
 * which the first is for the tag. Both are worked on in vectors of 4 blocks, and lie alike in them: the first vector has the additional
 * data's (last) block and three of the text, where the counters' has the tag's and three for the text. Products of a whole
 * segment, each block by its own power of the hash key, are summed up and reduced once; what came of it is added to the next segment's
 * first block. No branch and no address depends on a key or the text.
 */
#include "crypto/gcmvaes.h"

#include <assert.h>
#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

/* Run-time dispatch: the rest of the product may be built for any x86-64. */
#define VGCM        __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,aes,pclmul,vaes,vpclmulqdq,bmi2")))
#define VGCM_INLINE VGCM static inline __attribute__((always_inline))

#define STEP    4 /* vectors side by side: the latency of one round is hidden */
#define SEGMENT (DP_GCMVAES_POWERS / 4) /* vectors between reductions */
#define TABLE   48 /* powers in ipsec-mb's table, the highest first */
static_assert(DP_GCMVAES_POWERS <= TABLE && SEGMENT % STEP == 0, "segments");
static_assert(sizeof(((struct gcm_key_data *)0)->ghash_keys.vaes_avx512.shifted_hkey) == 16 * TABLE, "ipsec-mb's table");

bool dp_gcmvaes_usable(void)
{
	unsigned int a, b, c = 0, d;

	/* clang 14 has no name for VAES and VPCLMULQDQ: leaf 7, ECX bits 9 and 10. The operating system's part is in AVX-512's answer. */
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c >> 9 & 3) == 3 && __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
	       __builtin_cpu_supports("bmi2");
}

/* Sums of products that are not reduced. */
struct sum {
	__m512i lo, mid, hi;
};

/* A packet under way. */
struct pass {
	const struct gcm_key_data *key;
	const uint8_t *src;
	uint8_t *dst;
	int64_t len;
	__m512i ctr;      /* the next counters, in the byte order of the lanes' arithmetic */
	__m512i lengths;  /* the last block, in its lane */
	__m128i state;    /* what is hashed so far, or the additional data's last block */
	__m128i tag_mask;
	uint32_t at, end; /* vectors: the next, and all */
	uint32_t power;   /* of the next vector's first block */
};

VGCM_INLINE __m512i round_key(const struct gcm_key_data *key, unsigned int i)
{
	return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)(key->expanded_keys + 16 * (size_t)i)));
}

VGCM_INLINE __m128i power(const struct gcm_key_data *key, uint32_t k)
{
	return _mm_loadu_si128((const __m128i *)(const void *)(key->ghash_keys.vaes_avx512.shifted_hkey + 16 * (size_t)(TABLE - k)));
}

VGCM_INLINE __m128i swap16(__m128i x)
{
	return _mm_shuffle_epi8(x, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

VGCM_INLINE __m512i swap64(__m512i x)
{
	return _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

VGCM_INLINE __m512i xor3(__m512i a, __m512i b, __m512i c)
{
	return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

VGCM_INLINE void add_product(struct sum *s, __m512i x, __m512i h)
{
	s->lo = _mm512_xor_si512(s->lo, _mm512_clmulepi64_epi128(x, h, 0x00));
	s->hi = _mm512_xor_si512(s->hi, _mm512_clmulepi64_epi128(x, h, 0x11));
	s->mid = xor3(s->mid, _mm512_clmulepi64_epi128(x, h, 0x01), _mm512_clmulepi64_epi128(x, h, 0x10));
}

VGCM_INLINE __m128i fold(__m512i x)
{
	__m256i y = _mm256_xor_si256(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));

	return _mm_xor_si128(_mm256_castsi256_si128(y), _mm256_extracti128_si256(y, 1));
}

/* Modulo x^128 + x^7 + x^2 + x + 1, whose bits are reflected: the powers are doubled for that. */
VGCM_INLINE __m128i reduce(__m128i lo, __m128i mid, __m128i hi)
{
	const __m128i poly = _mm_set_epi64x((int64_t)0xc200000000000000, 1);

	lo = _mm_xor_si128(lo, _mm_bslli_si128(mid, 8));
	hi = _mm_xor_si128(hi, _mm_bsrli_si128(mid, 8));
	lo = _mm_xor_si128(_mm_clmulepi64_si128(lo, poly, 0x10), _mm_shuffle_epi32(lo, 0x4e));
	lo = _mm_xor_si128(_mm_clmulepi64_si128(lo, poly, 0x10), _mm_shuffle_epi32(lo, 0x4e));
	return _mm_xor_si128(lo, hi);
}

VGCM_INLINE __m128i multiply(__m128i x, __m128i h)
{
	__m128i mid = _mm_xor_si128(_mm_clmulepi64_si128(x, h, 0x01), _mm_clmulepi64_si128(x, h, 0x10));

	return reduce(_mm_clmulepi64_si128(x, h, 0x00), mid, _mm_clmulepi64_si128(x, h, 0x11));
}

/* n vectors of key stream, n constant. */
VGCM_INLINE void key_stream(struct pass *p, __m512i x[STEP], const int n, const unsigned int rounds)
{
	/* the last 4 bytes of each block are swapped, the others in place */
	const __m512i swap = _mm512_set4_epi32(0x0c0d0e0f, 0x0b0a0908, 0x07060504, 0x03020100);
	const __m512i four = _mm512_set4_epi32(4, 0, 0, 0);
	__m512i k = round_key(p->key, 0);

	for (int z = 0; z < n; z++) {
		x[z] = _mm512_xor_si512(_mm512_shuffle_epi8(p->ctr, swap), k);
		p->ctr = _mm512_add_epi32(p->ctr, four);
	}
	for (unsigned int i = 1; i < rounds; i++) {
		k = round_key(p->key, i);
		for (int z = 0; z < n; z++)
			x[z] = _mm512_aesenc_epi128(x[z], k);
	}
	k = round_key(p->key, rounds);
	for (int z = 0; z < n; z++)
		x[z] = _mm512_aesenclast_epi128(x[z], k);
}

/*
 * n vectors of a segment, n constant. 'inner': neither the packet's first vector nor its last is among them, nor one that text ends in.
 * Text is loaded and stored where its vectors lie: 16 bytes in front of the text in the first one, which is masked for that.
 */
VGCM_INLINE void some(struct pass *p, struct sum *s, const int n, const bool inner, const unsigned int rounds, const bool seal)
{
	const uint8_t *powers = p->key->ghash_keys.vaes_avx512.shifted_hkey + 16 * (size_t)(TABLE - p->power);
	__m512i x[STEP];

	key_stream(p, x, n, rounds);
	for (int z = 0; z < n; z++) {
		int64_t off = 64 * (int64_t)(p->at + (uint32_t)z) - 16, left = p->len - off;
		__m512i in, out, h;

		if (inner) {
			in = _mm512_loadu_si512(p->src + off);
			out = _mm512_xor_si512(in, x[z]);
			_mm512_storeu_si512(p->dst + off, out);
			h = _mm512_loadu_si512(powers + 64 * z);
		} else {
			__mmask64 m = _bzhi_u64(~(uint64_t)0, left < 0 ? 0 : left > 64 ? 64 : (unsigned int)left);

			if (p->at == 0 && z == 0) {
				m &= ~(uint64_t)0xffff;
				p->tag_mask = _mm512_castsi512_si128(x[0]);
			}
			in = _mm512_maskz_loadu_epi8(m, p->src + off);
			out = _mm512_maskz_mov_epi8(m, _mm512_xor_si512(in, x[z]));
			_mm512_mask_storeu_epi8(p->dst + off, m, out);
			h = _mm512_maskz_loadu_epi64((__mmask8)_bzhi_u32(0xff, 2 * (p->power - 4 * (uint32_t)z)), powers + 64 * z);
		}
		in = swap64(seal ? out : in);
		if (z == 0)
			in = _mm512_xor_si512(in, _mm512_zextsi128_si512(p->state));
		if (!inner && p->at + (uint32_t)z + 1 == p->end)
			in = _mm512_xor_si512(in, p->lengths);
		add_product(s, in, h);
	}
	p->state = _mm_setzero_si128();
	p->at += (uint32_t)n;
	p->power -= 4 * (uint32_t)n;
}

VGCM_INLINE void segment(struct pass *p, uint32_t stop, const unsigned int rounds, const bool seal)
{
	struct sum s = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};

	while (p->at < stop) {
		uint32_t n = stop - p->at;

		if (n >= STEP && p->at > 0 && 64 * (int64_t)(p->at + STEP) - 16 <= p->len)
			some(p, &s, STEP, true, rounds, seal);
		else if (n >= 4)
			some(p, &s, 4, false, rounds, seal);
		else if (n == 3)
			some(p, &s, 3, false, rounds, seal);
		else if (n == 2)
			some(p, &s, 2, false, rounds, seal);
		else
			some(p, &s, 1, false, rounds, seal);
	}
	p->state = reduce(fold(s.lo), fold(s.mid), fold(s.hi));
}

/* The additional data; what is left of it is the last block. */
VGCM_INLINE __m128i additional(const struct gcm_key_data *key, const uint8_t *aad, size_t len)
{
	__m128i h = power(key, 1), state = _mm_setzero_si128();

	for (; __builtin_expect(len > 16, 0); aad += 16, len -= 16)
		state = multiply(_mm_xor_si128(state, swap16(_mm_loadu_si128((const __m128i *)(const void *)aad))), h);
	return _mm_xor_si128(state, swap16(_mm_maskz_loadu_epi8((__mmask16)_bzhi_u32(0xffff, (unsigned int)len), aad)));
}

VGCM_INLINE void packet(const struct gcm_key_data *key, const unsigned int rounds, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
		       const uint8_t *src, uint8_t *dst, size_t len, uint8_t *tag, size_t tag_len, const bool seal)
{
	uint32_t blocks = (uint32_t)((len + 15) / 16) + 2, lane = (blocks - 1) % 4, n;
	__m128i out;
	struct pass p = {.key = key, .src = src, .dst = dst, .len = (int64_t)len, .end = (blocks + 3) / 4};

	memcpy(&n, nonce + 8, 4);
	p.ctr = _mm512_broadcast_i32x4(_mm_insert_epi32(_mm_loadl_epi64((const __m128i *)(const void *)nonce), (int)n, 2));
	p.ctr = _mm512_add_epi32(p.ctr, _mm512_set_epi32(4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0));
	p.lengths = _mm512_maskz_broadcast_i64x2((__mmask8)(3u << 2 * lane), _mm_set_epi64x((int64_t)aad_len * 8, (int64_t)len * 8));
	p.state = additional(key, aad, aad_len);
	for (uint32_t left = blocks; p.at < p.end; left = blocks - 4 * p.at) {
		bool last = left <= DP_GCMVAES_POWERS;

		p.power = last ? left : DP_GCMVAES_POWERS;
		segment(&p, last ? p.end : p.at + SEGMENT, rounds, seal);
	}
	out = _mm_xor_si128(swap16(p.state), p.tag_mask);
	if (__builtin_expect(tag_len >= 16, 1))
		_mm_storeu_si128((__m128i *)(void *)tag, out);
	else
		_mm_mask_storeu_epi8(tag, (__mmask16)_bzhi_u32(0xffff, (unsigned int)tag_len), out);
}

#define DEFINE(name, rounds, seal)                                                                                                     \
	VGCM static __attribute__((noinline)) void name(const struct gcm_key_data *key, const uint8_t nonce[12], const uint8_t *aad,    \
						       size_t aad_len, const uint8_t *src, uint8_t *dst, size_t len, uint8_t *tag,     \
						       size_t tag_len)                                                                 \
	{                                                                                                                              \
		packet(key, rounds, nonce, aad, aad_len, src, dst, len, tag, tag_len, seal);                                           \
	}
DEFINE(seal_128, 10, true)
DEFINE(seal_192, 12, true)
DEFINE(seal_256, 14, true)
DEFINE(open_128, 10, false)
DEFINE(open_192, 12, false)
DEFINE(open_256, 14, false)

void dp_gcmvaes_seal(const struct gcm_key_data *key, unsigned int rounds, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
		     const uint8_t *src, uint8_t *dst, size_t len, uint8_t *tag, size_t tag_len)
{
	if (__builtin_expect(rounds == 10, 1))
		seal_128(key, nonce, aad, aad_len, src, dst, len, tag, tag_len);
	else if (rounds == 14)
		seal_256(key, nonce, aad, aad_len, src, dst, len, tag, tag_len);
	else
		seal_192(key, nonce, aad, aad_len, src, dst, len, tag, tag_len);
}

void dp_gcmvaes_open(const struct gcm_key_data *key, unsigned int rounds, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
		     const uint8_t *src, uint8_t *dst, size_t len, uint8_t *tag, size_t tag_len)
{
	if (__builtin_expect(rounds == 10, 1))
		open_128(key, nonce, aad, aad_len, src, dst, len, tag, tag_len);
	else if (rounds == 14)
		open_256(key, nonce, aad, aad_len, src, dst, len, tag, tag_len);
	else
		open_192(key, nonce, aad, aad_len, src, dst, len, tag, tag_len);
}
