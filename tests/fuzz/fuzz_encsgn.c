/* SPDX-License-Identifier: BSD-3-Clause */
/* Encrypted configurations: parsed and decrypted with a key that is not theirs, or, made here, with the right one. */
#include <stdlib.h>
#include <string.h>

#include "sgn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t sym[16] = "0123456789abcdef";
	struct pki_sgn f;
	char why[128];
	uint8_t *out;
	size_t len;

	if (pki_sgn_parse(data, size, &f, why, sizeof(why)) != 0 || !f.encrypted)
		return 0;
	if (f.cut < 1 || f.cut > 16 || f.cut > f.body_len || f.body_len % 16 != 0 || f.body_len == 0)
		abort();
	if (f.iv < data || f.iv + 16 > data + size || f.hash < data || f.hash + f.hash_len > data + size)
		abort();
	if (f.wrapped != NULL && (f.wrapped < data || f.wrapped + f.wrapped_len > data + size))
		abort();
	if (pki_sgn_decrypt(&f, NULL, sym, &out, &len) == 0) {
		if (f.wrapped != NULL || len + f.cut != f.body_len)
			abort();
		OPENSSL_clear_free(out, len);
	}
	return 0;
}
