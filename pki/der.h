/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DER (X.690 10) on top of wire.h: one element after the other, definite lengths in their shortest form only, tags of one byte. The
 * error is wire.h's sticky one.
 */
#ifndef PKI_DER_H
#define PKI_DER_H

#include "wire.h"

#define PKI_DER_INTEGER    0x02
#define PKI_DER_BIT_STRING 0x03
#define PKI_DER_NULL       0x05
#define PKI_DER_OID        0x06
#define PKI_DER_UTC_TIME   0x17
#define PKI_DER_GEN_TIME   0x18
#define PKI_DER_SEQUENCE   0x30

/** The content of the next element, which must have this tag; empty and bad if it has not, and 'rd' is bad then too. */
static inline struct pki_rd pki_der_next(struct pki_rd *rd, uint8_t tag)
{
	struct pki_rd in = {0};
	size_t len;

	if (pki_rd_u8(rd) != tag)
		rd->bad = true;
	len = pki_rd_u8(rd);
	if (len >= 0x80) {
		unsigned n = (unsigned)len & 0x7f;

		if (n == 0 || n > 4) {
			rd->bad = true;
		} else {
			len = (size_t)pki_rd_uint(rd, n);
			if (len < 0x80 || (n > 1 && len >> (8 * (n - 1)) == 0))
				rd->bad = true; /* not the shortest */
		}
	}
	in.p = pki_rd_bytes(rd, len);
	in.left = in.p != NULL ? len : 0;
	in.bad = rd->bad;
	return in;
}

/** A positive INTEGER: its bytes without the leading zero. Zero and negative ones are bad. */
static inline struct pki_rd pki_der_positive(struct pki_rd *rd)
{
	struct pki_rd in = pki_der_next(rd, PKI_DER_INTEGER);

	if (in.left == 0 || (in.p[0] & 0x80) != 0 || (in.p[0] == 0 && (in.left == 1 || (in.p[1] & 0x80) == 0)))
		rd->bad = true;
	if (!rd->bad && in.p[0] == 0)
		pki_rd_bytes(&in, 1);
	in.bad = rd->bad;
	return in;
}

static inline bool pki_der_is(const struct pki_rd *in, const void *bytes, size_t len)
{
	return !in->bad && in->left == len && memcmp(in->p, bytes, len) == 0;
}

#endif
