/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Base64 in constant shape: neither time nor the addresses that are touched depend on the bytes. A block of characters is translated
 * at once, by sums of masks in a loop that the compiler makes vectors of.
 */
#include <errno.h>
#include <string.h>

#include "sdp.h"

#define BLOCK 64 /* characters: the longest key is one block */

/* All ones if a < b, else 0. Their difference is within a byte's. */
static inline int8_t below(int8_t a, int8_t b)
{
	return (int8_t)((int8_t)(a - b) >> 7);
}

/* All ones if lo <= c <= hi, else 0; c >= 0. */
static inline int8_t within(int8_t c, int8_t lo, int8_t hi)
{
	return (int8_t)~(below(c, lo) | below(hi, c));
}

/* 6 bits each -> characters. */
static void to_chars(int8_t v[BLOCK])
{
	for (unsigned i = 0; i < BLOCK; i++) {
		int8_t c = (int8_t)('A' + v[i]);

		c = (int8_t)(c + (below(25, v[i]) & ('a' - 26 - 'A')));
		c = (int8_t)(c + (below(51, v[i]) & ('0' - 52 - ('a' - 26))));
		c = (int8_t)(c + (below(61, v[i]) & ('+' - 62 - ('0' - 52))));
		v[i] = (int8_t)(c + (below(62, v[i]) & ('/' - 63 - ('+' - 62))));
	}
}

/* Characters -> 6 bits each. Not 0: at least one of them is no character of the alphabet. */
static int8_t to_bits(int8_t v[BLOCK])
{
	int8_t bad = 0;

	for (unsigned i = 0; i < BLOCK; i++) {
		int8_t over = (int8_t)(v[i] >> 7), c = (int8_t)(v[i] & 0x7f);
		int8_t large = within(c, 'A', 'Z'), small = within(c, 'a', 'z'), digit = within(c, '0', '9');
		int8_t plus = within(c, '+', '+'), slash = within(c, '/', '/');

		bad = (int8_t)(bad | over | (int8_t)~(large | small | digit | plus | slash));
		v[i] = (int8_t)((large & (c - 'A')) | (small & (c - 'a' + 26)) | (digit & (c - '0' + 52)) | (plus & 62) | (slash & 63));
	}
	return bad;
}

static void encode_block(char *dst, const uint8_t *src, size_t n)
{
	uint8_t in[BLOCK / 4 * 3] = {0};
	int8_t v[BLOCK] = {0};

	memcpy(in, src, n);
	for (size_t i = 0, o = 0; i < n; i += 3, o += 4) {
		uint32_t x = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];

		v[o] = (int8_t)(x >> 18);
		v[o + 1] = (int8_t)(x >> 12 & 63);
		v[o + 2] = (int8_t)(x >> 6 & 63);
		v[o + 3] = (int8_t)(x & 63);
	}
	to_chars(v);
	memcpy(dst, v, (n + 2) / 3 * 4);
	for (size_t i = n; i % 3 != 0; i++) /* lengths are public */
		dst[(n + 2) / 3 * 4 - 1 - (i - n)] = '=';
	explicit_bzero(in, sizeof(in));
	explicit_bzero(v, sizeof(v));
}

void dp_b64_encode(char *dst, const uint8_t *src, size_t n)
{
	for (; n > BLOCK / 4 * 3; n -= BLOCK / 4 * 3, src += BLOCK / 4 * 3, dst += BLOCK)
		encode_block(dst, src, BLOCK / 4 * 3);
	encode_block(dst, src, n);
}

/* n bytes out of (n + 2) / 3 * 4 characters. Not 0: they are no base64 of n bytes. */
static uint32_t decode_block(uint8_t *dst, size_t n, const char *src)
{
	size_t chars = (n + 2) / 3 * 4, pad = chars / 4 * 3 - n; /* lengths are public */
	uint8_t out[BLOCK / 4 * 3];
	int8_t v[BLOCK];
	uint32_t bad = 0;

	memset(v, 'A', sizeof(v));
	memcpy(v, src, chars);
	for (size_t i = 0; i < pad; i++) {
		bad |= (uint32_t)(v[chars - 1 - i] ^ '=');
		v[chars - 1 - i] = 'A';
	}
	bad |= (uint32_t)to_bits(v);
	for (size_t i = 0, o = 0; i < chars; i += 4, o += 3) {
		uint32_t x = (uint32_t)v[i] << 18 | (uint32_t)v[i + 1] << 12 | (uint32_t)v[i + 2] << 6 | (uint32_t)v[i + 3];

		out[o] = (uint8_t)(x >> 16);
		out[o + 1] = (uint8_t)(x >> 8);
		out[o + 2] = (uint8_t)x;
	}
	for (size_t i = 0; i < pad; i++)
		bad |= out[n + i]; /* bits that no byte takes must be 0: one encoding per key */
	memcpy(dst, out, n);
	explicit_bzero(out, sizeof(out));
	explicit_bzero(v, sizeof(v));
	return bad;
}

int dp_b64_decode(uint8_t *dst, size_t n, const char *src, size_t src_len)
{
	uint32_t bad = 0;

	if (src_len != 4 * ((n + 2) / 3)) {
		memset(dst, 0, n);
		return -EBADMSG;
	}
	for (size_t at = 0; at < n; at += BLOCK / 4 * 3, src += BLOCK)
		bad |= decode_block(dst + at, n - at < BLOCK / 4 * 3 ? n - at : BLOCK / 4 * 3, src);
	if (bad != 0) {
		explicit_bzero(dst, n);
		return -EBADMSG;
	}
	return 0;
}
