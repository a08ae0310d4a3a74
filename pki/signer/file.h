/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of the signer: written whole or not at all. A file appears under its name only after its bytes are on
 * the disk, and the call succeeds only after its name is: a kill or a power cut at any time leaves the old
 * file, the new one, or none, and perhaps a ".tmp-" file that pki_file_sweep() removes.
 */
#ifndef PKI_FILE_H
#define PKI_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PKI_FILE_MAX (4 * 1024 * 1024) /* bytes read at most */

/** Make a directory, mode 0700, and its parents, 0755. It must be ours and not writable by others: else -EPERM. */
int pki_dir_make(const char *path);

/** Write 'path' atomically. 'fresh': it must not exist, -EEXIST. 0 or a negative errno; nothing changed then, also for who reads it
 * later, or starts anew. -EUCLEAN: neither to the disk nor back: which of both is there must be looked up. */
int pki_file_write(const char *path, const void *data, size_t len, mode_t mode, bool fresh);

/** Read a regular file whole. *ret_data is OPENSSL_malloc'ed, with a NUL behind: OPENSSL_clear_free(). */
int pki_file_read(const char *path, uint8_t **ret_data, size_t *ret_len);

/** First line of a file that only we may read (not open to group or others), or "credential:NAME" of systemd. 0; -EPERM: others may read it;
 * -EBADMSG: it is empty; others as open(2). The caller wipes 'ret'. */
int pki_file_secret(const char *path, char *ret, size_t size);

/** Remove what writes that were cut short left in 'dir'. Nobody else may be writing there. */
int pki_file_sweep(const char *dir);

/** True if something has this name. */
bool pki_file_exists(const char *path);

#endif
