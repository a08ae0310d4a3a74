/* SPDX-License-Identifier: BSD-3-Clause */
#include "secheap.h"

#include <errno.h>

#include <openssl/crypto.h>

int cp_secheap_init(uint32_t conns, uint32_t *ret_conns)
{
	const size_t need = CP_SECHEAP_MIN + (size_t)conns * CP_SECHEAP_EACH;
	size_t want = CP_SECHEAP_MIN, size;
	int rc = 0;

	while (want < need) /* OpenSSL takes powers of two */
		want *= 2;
	for (size = want; size >= CP_SECHEAP_MIN; size /= 2) {
		rc = CRYPTO_secure_malloc_init(size, CP_SECHEAP_EACH);
		if (rc == 1)
			break;
		CRYPTO_secure_malloc_done();
	}
	if (rc != 1) { /* rather room for all than a little that is not locked either */
		size = want;
		rc = CRYPTO_secure_malloc_init(size, CP_SECHEAP_EACH);
	}
	size -= CP_SECHEAP_MIN;
	*ret_conns = rc == 0 || size / CP_SECHEAP_EACH > conns ? conns : (uint32_t)(size / CP_SECHEAP_EACH);
	return rc == 1 ? 0 : rc == 0 ? -EIO : -ENOMEM;
}
