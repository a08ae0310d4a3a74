/* SPDX-License-Identifier: BSD-3-Clause */
/* Signed files from anywhere, and headers that a signer is asked to sign. */
#include <stdlib.h>
#include <string.h>

#include "sgn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t sig[512];
	struct pki_sgn f, g;
	char why[128] = "";
	uint8_t *out;
	size_t len;

	if (pki_sgn_parse(data, size, &f, why, sizeof(why)) == 0) {
		if (f.header_len + f.body_len != size || f.body + f.body_len != data + size)
			abort();
		if (f.sig_tlv_off + 3 + f.sig_len > f.header_len || f.sig != data + f.sig_tlv_off + 3)
			abort();
		if (!pki_sgn_name_is(&f, f.filename))
			abort();
	} else if (why[0] == '\0') {
		abort();
	}
	if (pki_sgn_parse_tbs(data, size, &f, why, sizeof(why)) == 0) {
		size_t head = size - f.body_len;

		if (pki_sgn_finish(data, head, f.body, f.body_len, sig, f.sig_len, &out, &len) != 0)
			abort();
		if (pki_sgn_parse(out, len, &g, why, sizeof(why)) != 0 ? !f.encrypted || f.body_len > 0 :
		    g.body_len != f.body_len || g.digest != f.digest || g.encrypted != f.encrypted)
			abort(); /* an encrypted file is one only with its body */
		OPENSSL_free(out);
	}
	return 0;
}
