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

SHANI_INLINE void state_load(struct lane *l, const uint8_t *state)
{
	uint32_t e;

	memcpy(&e, state + 16, 4);
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
SHANI_INLINE unsigned int tail_make(uint8_t tail[128], const uint8_t *data, size_t len)
{
	size_t left = len % 64, blocks = left < 56 ? 1 : 2;
	uint64_t bits = __builtin_bswap64((64 + (uint64_t)len) * 8);

	memcpy(tail, data + len - left, left);
	memset(tail + left, 0, blocks * 64 - left);
	tail[left] = 0x80;
	memcpy(tail + blocks * 64 - 8, &bits, 8);
	return (unsigned int)blocks;
}

/* The outer hash of what the lanes hold, and the tags. */
SHANI_INLINE void finish(struct lane *l, const int n, const struct dp_sha1ni_msg *msg)
{
	const __m128i swap = _mm_set_epi64x(0x0001020304050607ll, 0x08090a0b0c0d0e0fll);

	for (int z = 0; z < n; z++) {
		l[z].w[0] = l[z].abcd;
		l[z].w[1] = _mm_set_epi32(_mm_extract_epi32(l[z].e, 3), (int)0x80000000u, 0, 0);
		l[z].w[2] = _mm_setzero_si128();
		l[z].w[3] = _mm_set_epi32(0, 0, 0, (64 + 20) * 8);
		state_load(&l[z], msg[z].opad);
	}
	compress(l, n);
	for (int z = 0; z < n; z++) {
		uint32_t e = __builtin_bswap32((uint32_t)_mm_extract_epi32(l[z].e, 3));

		_mm_storeu_si128((__m128i *)msg[z].tag, _mm_shuffle_epi8(l[z].abcd, swap));
		memcpy(msg[z].tag + 16, &e, 4);
	}
}

/* Inner hash of lane z from block 'from' on. */
SHANI_INLINE void rest(struct lane *l, const struct dp_sha1ni_msg *msg, size_t from)
{
	uint8_t tail[128];
	unsigned int blocks = tail_make(tail, msg->data, msg->len);

	for (size_t b = from; b < msg->len / 64; b++) {
		block_load(l, msg->data + b * 64);
		compress(l, 1);
	}
	for (unsigned int b = 0; b < blocks; b++) {
		block_load(l, tail + b * 64);
		compress(l, 1);
	}
}

SHANI void dp_sha1ni_hmac(const struct dp_sha1ni_msg *msg)
{
	struct lane l[1];

	state_load(&l[0], msg->ipad);
	rest(&l[0], msg, 0);
	finish(l, 1, msg);
}

SHANI void dp_sha1ni_hmac_pair(const struct dp_sha1ni_msg msg[2])
{
	struct lane l[2];
	size_t both = msg[0].len / 64 < msg[1].len / 64 ? msg[0].len / 64 : msg[1].len / 64;

	state_load(&l[0], msg[0].ipad);
	state_load(&l[1], msg[1].ipad);
	for (size_t b = 0; b < both; b++) {
		block_load(&l[0], msg[0].data + b * 64);
		block_load(&l[1], msg[1].data + b * 64);
		compress(l, 2);
	}
	if (msg[0].len / 64 == both && msg[1].len / 64 == both) {
		uint8_t tail[2][128];
		unsigned int n0 = tail_make(tail[0], msg[0].data, msg[0].len);
		unsigned int n1 = tail_make(tail[1], msg[1].data, msg[1].len);

		if (n0 == n1) {
			for (unsigned int b = 0; b < n0; b++) {
				block_load(&l[0], tail[0] + b * 64);
				block_load(&l[1], tail[1] + b * 64);
				compress(l, 2);
			}
			finish(l, 2, msg);
			return;
		}
	}
	rest(&l[0], &msg[0], both);
	rest(&l[1], &msg[1], both);
	finish(l, 2, msg);
}
