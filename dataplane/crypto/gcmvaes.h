/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AES-GCM with VAES and VPCLMULQDQ (NIST SP 800-38D), one packet a call. It takes intel-ipsec-mb's keys as they are: round keys, and the
 * table of the hash key's powers as its code for these instructions lays it out; mb.c compares the two before it is used.
 * Of the table it reads as many powers as the packet has blocks and two, DP_GCMVAES_POWERS at most, from the end: so few cache lines where packets are short.
 */
#ifndef DP_CRYPTO_GCMVAES_H
#define DP_CRYPTO_GCMVAES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <intel-ipsec-mb.h>

#define DP_GCMVAES_POWERS 32

/** Has the CPU what it takes? */
bool dp_gcmvaes_usable(void);

/**
 * Encrypt 'len' bytes from src to dst (equal, or apart), and write the first 'tag_len' (at most 16) bytes of the tag. 'rounds' as
 * dp_mb_aes_rounds() says; 'len' below 2^32 - 64. Only where dp_gcmvaes_usable().
 */
void dp_gcmvaes_seal(const struct gcm_key_data *key, unsigned int rounds, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
		     const uint8_t *src, uint8_t *dst, size_t len, uint8_t *tag, size_t tag_len);

/** The reverse: decrypts, and writes what the tag should be; the caller compares. */
void dp_gcmvaes_open(const struct gcm_key_data *key, unsigned int rounds, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
		     const uint8_t *src, uint8_t *dst, size_t len, uint8_t *tag, size_t tag_len);

#endif
