/* SPDX-License-Identifier: BSD-3-Clause */
/* Base64 in constant shape: neither time nor the addresses that are touched depend on the bytes. */
#include <errno.h>
#include <string.h>

#include "sdp.h"

/* All ones if lo <= c <= hi, else 0. c, lo, hi below 256. */
static uint32_t in_range(uint32_t c, uint32_t lo, uint32_t hi)
{
	return (((c - lo) | (hi - c)) >> 31) - 1; /* bit 31: one of them is negative */
}

/* 6 bits -> character. */
static char b64_char(uint32_t v)
{
	uint32_t c = 'A' + v;

	c += in_range(v, 26, 63) & (uint32_t)('a' - 26 - 'A');
	c += in_range(v, 52, 63) & (uint32_t)('0' - 52 - ('a' - 26));
	c += in_range(v, 62, 62) & (uint32_t)('+' - 62 - ('0' - 52));
	c += in_range(v, 63, 63) & (uint32_t)('/' - 63 - ('0' - 52));
	return (char)c;
}

/* Character -> 6 bits; *bad gets bits set if it is none. */
static uint32_t b64_value(char ch, uint32_t *bad)
{
	uint32_t c = (unsigned char)ch, v = 0, ok = 0, m;

	m = in_range(c, 'A', 'Z');
	ok |= m;
	v |= m & (c - 'A');
	m = in_range(c, 'a', 'z');
	ok |= m;
	v |= m & (c - 'a' + 26);
	m = in_range(c, '0', '9');
	ok |= m;
	v |= m & (c - '0' + 52);
	m = in_range(c, '+', '+');
	ok |= m;
	v |= m & 62;
	m = in_range(c, '/', '/');
	ok |= m;
	v |= m & 63;
	*bad |= ~ok;
	return v & 63;
}

void dp_b64_encode(char *dst, const uint8_t *src, size_t n)
{
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i; /* lengths are public */
		uint32_t v = (uint32_t)src[i] << 16;

		if (left > 1)
			v |= (uint32_t)src[i + 1] << 8;
		if (left > 2)
			v |= src[i + 2];
		*dst++ = b64_char(v >> 18 & 63);
		*dst++ = b64_char(v >> 12 & 63);
		*dst++ = left > 1 ? b64_char(v >> 6 & 63) : '=';
		*dst++ = left > 2 ? b64_char(v & 63) : '=';
	}
}

int dp_b64_decode(uint8_t *dst, size_t n, const char *src, size_t src_len)
{
	uint32_t bad = 0;

	if (src_len != 4 * ((n + 2) / 3)) {
		memset(dst, 0, n);
		return -EBADMSG;
	}
	for (size_t i = 0; i < n; i += 3, src += 4) {
		size_t left = n - i;
		uint32_t v = b64_value(src[0], &bad) << 18 | b64_value(src[1], &bad) << 12;

		if (left > 1)
			v |= b64_value(src[2], &bad) << 6;
		else
			bad |= (uint32_t)(src[2] ^ '=');
		if (left > 2)
			v |= b64_value(src[3], &bad);
		else
			bad |= (uint32_t)(src[3] ^ '=');
		dst[i] = (uint8_t)(v >> 16);
		if (left > 1)
			dst[i + 1] = (uint8_t)(v >> 8);
		else
			bad |= v &
			       0xffff; /* bits that no byte takes must be 0: one encoding per key */
		if (left > 2)
			dst[i + 2] = (uint8_t)v;
		else
			bad |= v & 0xff;
	}
	if (bad != 0) {
		explicit_bzero(dst, n);
		return -EBADMSG;
	}
	return 0;
}
