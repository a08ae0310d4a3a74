/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A revocation list (RFC 5280 section 5) of what an issuer of ours revoked: made from entries, never from bytes that somebody else
 * formatted as a CRL. Works on objects in memory; the time is an argument.
 *
 * An entry as bytes, as the signer is asked with: u8 length of the serial number (1 to 20), its bytes, u64 time of revocation (seconds
 * since 1970), u8 reason of RFC 5280 5.3.1; one after the other, big-endian.
 */
#ifndef PKI_CRL_H
#define PKI_CRL_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "x509.h"

#define PKI_CRL_SERIAL_MAX 20
#define PKI_CRL_ENTRY_MAX  (1 + PKI_CRL_SERIAL_MAX + 8 + 1)
#define PKI_CRL_ENTRIES    200000 /* in one list */

/** Append an entry's bytes to 'buf', which has PKI_CRL_ENTRY_MAX. Returns their number, or -EINVAL. */
int pki_crl_entry(const uint8_t *serial, size_t len, int64_t at, unsigned reason, uint8_t *buf);

/**
 * The list, signed with SHA-256: issuer is the CA's subject, with its number, valid from 'now' (a little earlier: phones' clocks) for
 * 'valid_s' seconds. *ret_der: OPENSSL_free(). 0; -EBADMSG: entries malformed, twice the same, unknown reason, or in the future by more
 * than a day; -EINVAL: no validity; -EACCES: the CA may not sign lists; -EMSGSIZE: too many; -EIO.
 */
int pki_crl_issue(const struct pki_ca *ca, const uint8_t *entries, size_t len, uint32_t number, int64_t now, uint32_t valid_s,
		  uint8_t **ret_der, size_t *ret_len);

#endif
