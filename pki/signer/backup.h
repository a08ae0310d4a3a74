/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keys' part of a backup (bundle.h): "kek", "made", "cluster", "records" (a fresh key for the records) and each identity's
 * file as it lies on the disk. Of a key in a token there is its URI: the token itself must be brought along.
 */
#ifndef PKI_BACKUP_H
#define PKI_BACKUP_H

#include "state.h"

/** *ret: OPENSSL_free(). Blocks for half a second and takes 128 MiB meanwhile. -EACCES: passphrase too short; 'why' gets a line. */
int pki_backup(struct pki_state *state, const char *pass, uint8_t **ret, size_t *ret_len, uint8_t records_key[32], char *why,
	       size_t why_size);

#endif
