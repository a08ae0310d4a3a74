/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is asked of an issued certificate's bytes without making an X509 of them, for which OpenSSL 3.0 also decodes the key (100 us).
 * Says nothing of who signed it.
 */
#ifndef PKI_CERTDER_H
#define PKI_CERTDER_H

#include <stddef.h>
#include <stdint.h>

struct pki_certder { /* points into what was parsed */
	const uint8_t *serial, *spki; /* the number's bytes, without a leading zero; the whole SubjectPublicKeyInfo */
	size_t serial_len, spki_len;
	int64_t not_after; /* seconds since 1970 */
};

/** Exactly 'len' bytes of a DER Certificate, version 3 (RFC 5280 4.1). What is behind the key is only looked at as elements. -EBADMSG. */
int pki_certder_parse(const uint8_t *der, size_t len, struct pki_certder *ret);

#endif
