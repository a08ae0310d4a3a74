/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operator's directory: firmware, ring lists, locales, as they lie there. A name never leaves the tree: openat2() with
 * RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, or where the kernel has none, the same walked by hand. Files are read, not
 * mapped: a mapped file that the operator truncates would kill the process. Any thread.
 */
#ifndef CP_PROVISION_DIR_H
#define CP_PROVISION_DIR_H

#include "cache.h"

#define CP_DIR_FILE_MAX (256u << 20) /* bytes of a file that is served */

struct cp_filedir;

/** 'path' may be absent, and may come later. NULL: no memory. */
struct cp_filedir *cp_filedir_create(const char *path, size_t cache_bytes);
void cp_filedir_destroy(struct cp_filedir *dir); /* NULL is allowed */

/** Which bytes the name stands for now: device, inode, size, times. 0, -ENOENT (also what is no plain file), -EIO. */
int cp_filedir_stamp(struct cp_filedir *dir, const char *name, struct cp_stamp *ret);
/** The file, if it is in memory and its stamp is this: a reference, else NULL. Does not block. */
struct cp_file *cp_filedir_cached(struct cp_filedir *dir, const char *name, const struct cp_stamp *stamp);
/** Read it. May block on a disk. *ret_stamp (may be NULL) is that of what was read. -ENOENT, -EFBIG, -EIO, -EAGAIN (it is being
 * written to), -ENOMEM. */
int cp_filedir_read(struct cp_filedir *dir, const char *name, struct cp_file **ret, struct cp_stamp *ret_stamp);
void cp_filedir_stats(struct cp_filedir *dir, struct cp_fcache_stats *ret);

/** For tests: as on a kernel without openat2(). */
void cp_filedir_no_openat2(struct cp_filedir *dir);

#endif
