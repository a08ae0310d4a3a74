/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signed results in the store, so that a restart signs nothing anew: family signed, under "s<digest>/" or "e<digest>/" (signed,
 * encrypted and signed) and the file's stored name. 'input' is SHA-256 over everything the result depends on: name, bytes, digest,
 * certificates, key. A changed file overwrites its record, so there is at most one of each name; what may be lost is
 * only time.
 */
#ifndef CP_PROVISION_SIGNEDCACHE_H
#define CP_PROVISION_SIGNEDCACHE_H

#include "store/records.h"

#define CP_SIGNED_INPUT 32

struct cp_signed {
	struct cp_buf input;  /* CP_SIGNED_INPUT bytes */
	uint32_t timestamp;   /* in the header */
	struct cp_buf sig;    /* signed files: the signature; the rest is built again */
	struct cp_buf file;   /* encrypted ones: the whole file, since its key is random */
	struct cp_buf unknown;
};
int cp_signed_build(const struct cp_signed *rec, struct cp_buf *ret);
int cp_signed_parse(const uint8_t *data, size_t len, struct cp_signed *ret);
void cp_signed_free(struct cp_signed *rec);

#endif
