/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HMAC-SHA1 of one or two messages with the SHA instructions of x86: for bursts too short to fill the lanes of
 * the multi-buffer code. Only where the CPU has SHA-NI and SSE4.1. States as in mb.h; data read only; 20 bytes written.
 * FIPS 180-4, RFC 2104.
 */
#ifndef DP_CRYPTO_SHA1NI_H
#define DP_CRYPTO_SHA1NI_H

#include <stddef.h>
#include <stdint.h>

struct dp_sha1ni_msg {
	const uint8_t *ipad, *opad; /* 20-byte states, words in host order */
	const uint8_t *data;
	size_t len;
	uint8_t *tag; /* 20 bytes */
};

/** One message. Worker or main. */
void dp_sha1ni_hmac(const struct dp_sha1ni_msg *msg);

/** Two messages at once, interleaved: faster than one after the other when lengths are alike. */
void dp_sha1ni_hmac_pair(const struct dp_sha1ni_msg msg[2]);

#endif
