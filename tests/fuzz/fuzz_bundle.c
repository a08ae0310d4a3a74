/* SPDX-License-Identifier: BSD-3-Clause */
/* A backup from anywhere: its outer form, and what lies inside once it is authentic (which a fuzzer cannot make). */
#include <stdlib.h>
#include <string.h>

#include "bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t chunk[PKI_BUNDLE_CHUNK_MAX], sealed[65536 + PKI_BUNDLE_OVERHEAD];
	static const uint8_t key[32] = {1};
	struct pki_bundle b;
	struct pki_bundle_entry e;
	struct pki_bundle_record r;
	size_t at = 0, was = 0, len;

	if (pki_bundle_parse(data, size, &b) == 0) {
		if (b.keys_len + b.left + 12 != size)
			abort();
		if (pki_bundle_next_chunk(&b, key, chunk, &len) >= 0)
			abort(); /* authentic, without the key */
	}
	while (pki_bundle_next_entry(data, size, &at, &e) == 1) {
		if (at <= was || at > size || strlen(e.name) == 0 || e.p + e.len != data + at)
			abort();
		was = at;
	}
	at = was = 0;
	while (pki_bundle_next_record(data, size, &at, &r) == 1) {
		if (at - was != pki_bundle_record_len(r.key_len, r.val_len))
			abort();
		pki_bundle_put_record(chunk, &r);
		if (memcmp(chunk, data + was, at - was) != 0)
			abort();
		was = at;
	}
	if (size > 0 && size <= 65536) {
		b = (struct pki_bundle){.chunk = sealed, .left = size + PKI_BUNDLE_OVERHEAD};
		if (pki_bundle_seal_chunk(key, b.id, 0, false, data, size, sealed) < 0 ||
		    pki_bundle_next_chunk(&b, key, chunk, &len) != 1 || len != size || memcmp(chunk, data, size) != 0)
			abort();
		b = (struct pki_bundle){.chunk = sealed, .left = size + PKI_BUNDLE_OVERHEAD};
		sealed[4 + data[0] % (size + 16)] ^= 1;
		if (pki_bundle_next_chunk(&b, key, chunk, &len) >= 0)
			abort();
	}
	return 0;
}
