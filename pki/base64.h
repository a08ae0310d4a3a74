/* SPDX-License-Identifier: BSD-3-Clause */
/* Base64 of RFC 4648 section 4, as it comes in requests: strict, bounded. */
#ifndef RAVELIN_BASE64_H
#define RAVELIN_BASE64_H

#include <stddef.h>
#include <stdint.h>

/**
 * The bytes of 'len' characters, into memory that the caller frees (one byte at least, also for none). White space, other alphabets,
 * lengths that are no multiple of 4 and '=' anywhere but in the last two places are refused.
 * -EBADMSG: not base64; -EMSGSIZE: more than 'max' bytes; -ENOMEM.
 */
int pki_base64_decode(const char *text, size_t len, size_t max, uint8_t **ret, size_t *ret_len);

/** The text of 'len' bytes with a NUL, which the caller frees. NULL: no memory, or more than 1 GiB. */
char *pki_base64_encode(const uint8_t *data, size_t len);

#endif
