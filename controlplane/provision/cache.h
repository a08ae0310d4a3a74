/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files kept in memory: a key's file and the stamp that says what it was made of. Bounded in bytes, the longest unused goes
 * first; who still holds a reference keeps his file, and who asks for it meanwhile gets the same (live.h). Any thread.
 */
#ifndef CP_PROVISION_CACHE_H
#define CP_PROVISION_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "files.h"

struct cp_stamp { /* equal stamps: nothing changed */
	uint64_t v[5];
};

struct cp_fcache;

struct cp_fcache_stats {
	size_t bytes, files;
	uint64_t hits, misses, evicted;
};

struct cp_fcache *cp_fcache_create(size_t max_bytes); /* NULL: no memory */
void cp_fcache_destroy(struct cp_fcache *cache);      /* NULL is allowed */

/** A reference, if the key is there under this very stamp; under another one it is dropped. Else NULL. */
struct cp_file *cp_fcache_get(struct cp_fcache *cache, const char *key, const struct cp_stamp *stamp);
/**
 * Keep 'file', instead of what the key had. Takes a reference, gives one back: of the file that is to be used, which another thread may
 * have kept a moment before. A file over half of the bound is not kept, but found while somebody holds it.
 */
struct cp_file *cp_fcache_put(struct cp_fcache *cache, const char *key, const struct cp_stamp *stamp, struct cp_file *file);
void cp_fcache_stats(struct cp_fcache *cache, struct cp_fcache_stats *ret);

/**
 * A file of 'data' (malloc'ed, taken also on error; wiped behind the last reference if 'secret'). 'name' is at most
 * CP_FILE_NAME_MAX - 1 bytes. One reference; NULL: no memory.
 */
struct cp_file *cp_file_create(enum cp_file_kind kind, const char *name, uint8_t *data, size_t len, int64_t mtime,
			       bool secret);

#endif
