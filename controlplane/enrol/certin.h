/* SPDX-License-Identifier: BSD-3-Clause */
/* Certificates that an operator brings from a CA: one in DER, or any number in PEM, where a broken one says nothing of the others. */
#ifndef CP_ENROL_CERTIN_H
#define CP_ENROL_CERTIN_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

/**
 * Calls 'fn' for each, in order from 0: 'cert' is borrowed, NULL for one that cannot be read. Text between them is skipped. Returns how
 * many; -EBADMSG: none at all; -E2BIG: more than 'max' (then 'fn' was not called).
 */
int cp_certs_in(const uint8_t *data, size_t len, unsigned max, void (*fn)(void *ctx, unsigned at, X509 *cert), void *ctx);

#endif
