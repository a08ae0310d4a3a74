/* SPDX-License-Identifier: BSD-3-Clause */
/* Certificates that an operator brings (enrol/certin.h): whatever the bytes, each is told once, in order. */
#include <stdlib.h>

#include "enrol/certin.h"

static void one(void *ctx, unsigned at, X509 *cert)
{
	unsigned *n = ctx;

	if (at != *n || (cert != NULL && X509_get0_pubkey(cert) == NULL))
		abort();
	++*n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned n = 0;
	int rc = cp_certs_in(data, size, 8, one, &n);

	if (rc >= 0 ? (unsigned)rc != n || n > 8 : n != 0)
		abort();
	return 0;
}
