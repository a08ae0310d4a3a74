/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HMAC-SHA1 of one or two messages with the SHA instructions of x86: for bursts too short to fill the lanes of
 * the multi-buffer code, and for the few long messages of a mixed one. Only where the CPU has SHA-NI and SSE4.1.
 * FIPS 180-4, RFC 2104.
 */
#ifndef DP_CRYPTO_SHA1NI_H
#define DP_CRYPTO_SHA1NI_H

#include "crypto/job.h"

/**
 * Message i of a burst, its tag. 'inner': state after the first 'from' 64-byte blocks (5 words in host order); NULL with
 * from = 0: the key's. Worker or main.
 */
void dp_sha1ni_hmac(const struct dp_mb_hmac *b, unsigned int i, const uint32_t *inner, uint32_t from);

/** Messages i and j at once, interleaved: faster than one after the other when lengths are alike. */
void dp_sha1ni_hmac_pair(const struct dp_mb_hmac *b, unsigned int i, unsigned int j, const uint32_t *inner_i,
			 const uint32_t *inner_j, uint32_t from);

#endif
