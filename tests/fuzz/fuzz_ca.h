/* SPDX-License-Identifier: BSD-3-Clause */
/* A CA for targets whose input is signed by one, and what must be true of what comes out. */
#ifndef RAVELIN_FUZZ_CA_H
#define RAVELIN_FUZZ_CA_H

#include <stdlib.h>

#include "x509.h"

#define NOW INT64_C(1800000000)

#define REQUIRE(x)                                                                                                           \
	do {                                                                                                                 \
		if (!(x))                                                                                                    \
			abort();                                                                                             \
	} while (0)

static inline const struct pki_ca *issuer(void)
{
	static struct pki_ca ca;

	if (ca.cert == NULL &&
	    (pki_key_create(PKI_EC_P256, &ca.key) < 0 || pki_ca_issue(ca.key, "CAPF", "Fuzz", NOW - 86400, 3650, &ca.cert) < 0))
		abort();
	return &ca;
}

#endif
