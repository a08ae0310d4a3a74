/* SPDX-License-Identifier: BSD-3-Clause */
#include <cpuid.h>
#include <immintrin.h>

#include "crypto/ctrvaes.h"

/* Run-time dispatch: the rest of the product may be built for any x86-64. */
#define VAES        __attribute__((target("avx512f,avx512bw,avx512vl,aes,vaes,bmi2")))
#define VAES_INLINE VAES static inline __attribute__((always_inline))

#define STEP 4 /* vectors of 4 blocks side by side: the latency of one round is hidden */

bool dp_ctrvaes_usable(void)
{
	unsigned int a, b, c = 0, d;

	/* clang 14 has no name for VAES: leaf 7, ECX bit 9. The operating system's part is in AVX-512's answer. */
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c & 1u << 9) != 0 && __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
}

VAES_INLINE __m512i round_key(const uint8_t *rk, unsigned int i)
{
	return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(rk + 16 * (size_t)i)));
}

/* n vectors of counter blocks, n constant: from *ctr on, in the byte order of the lanes' arithmetic. */
VAES_INLINE void key_stream(__m512i x[STEP], const int n, const uint8_t *rk, const unsigned int rounds, __m512i *ctr)
{
	/* the last 4 bytes of each block are swapped, the others in place */
	const __m512i swap = _mm512_set4_epi32(0x0c0d0e0f, 0x0b0a0908, 0x07060504, 0x03020100);
	const __m512i four = _mm512_set4_epi32(4, 0, 0, 0);
	__m512i k = round_key(rk, 0);

	for (int z = 0; z < n; z++) {
		x[z] = _mm512_xor_si512(_mm512_shuffle_epi8(*ctr, swap), k);
		*ctr = _mm512_add_epi32(*ctr, four);
	}
	for (unsigned int i = 1; i < rounds; i++) {
		k = round_key(rk, i);
		for (int z = 0; z < n; z++)
			x[z] = _mm512_aesenc_epi128(x[z], k);
	}
	k = round_key(rk, rounds);
	for (int z = 0; z < n; z++)
		x[z] = _mm512_aesenclast_epi128(x[z], k);
}

/* At most n vectors, more than n - 1. */
VAES_INLINE void some(uint8_t *p, uint32_t len, const int n, const uint8_t *rk, const unsigned int rounds, __m512i *ctr)
{
	__mmask64 m = ~(uint64_t)0 >> (64 * (uint32_t)n - len);
	__m512i x[STEP];

	key_stream(x, n, rk, rounds, ctr);
	for (int z = 0; z < n - 1; z++)
		_mm512_storeu_si512(p + 64 * z, _mm512_xor_si512(x[z], _mm512_loadu_si512(p + 64 * z)));
	p += 64 * (n - 1);
	_mm512_mask_storeu_epi8(p, m, _mm512_xor_si512(x[n - 1], _mm512_maskz_loadu_epi8(m, p)));
}

VAES_INLINE void packet(const struct dp_mb_ctr *job, const unsigned int rounds)
{
	const __m512i swap = _mm512_set4_epi32(0x0c0d0e0f, 0x0b0a0908, 0x07060504, 0x03020100);
	const __m512i first = _mm512_set_epi32(3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);
	__m512i ctr = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)job->iv));
	uint32_t left = job->len;
	uint8_t *p = job->data;

	ctr = _mm512_add_epi32(_mm512_shuffle_epi8(ctr, swap), first);
	for (; left > 64 * STEP; left -= 64 * STEP, p += 64 * STEP)
		some(p, 64 * STEP, STEP, job->rk, rounds, &ctr);
	if (left > 128) {
		if (left > 192)
			some(p, left, 4, job->rk, rounds, &ctr);
		else
			some(p, left, 3, job->rk, rounds, &ctr);
	} else if (left > 64) {
		some(p, left, 2, job->rk, rounds, &ctr);
	} else {
		some(p, left, 1, job->rk, rounds, &ctr);
	}
}

VAES void dp_ctrvaes_run(const struct dp_mb_ctr *jobs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (__builtin_expect(jobs[i].rounds == 10, 1))
			packet(&jobs[i], 10);
		else if (jobs[i].rounds == 14)
			packet(&jobs[i], 14);
		else
			packet(&jobs[i], 12);
	}
}
