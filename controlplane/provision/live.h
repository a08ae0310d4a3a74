/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that somebody still holds, found again under key and stamp: what the cache gave up, or is too large for it, is in memory once,
 * however many transfers there are of it. Holds no file alive itself. Any thread.
 */
#ifndef CP_PROVISION_LIVE_H
#define CP_PROVISION_LIVE_H

#include "cache.h"

struct cp_live;

struct cp_live *cp_live_create(void); /* NULL: no memory */
/** Files that are alive stay so. NULL is allowed. */
void cp_live_destroy(struct cp_live *live);

/** A reference, or NULL: nobody holds it. */
struct cp_file *cp_live_get(struct cp_live *live, const char *key, const struct cp_stamp *stamp);
/** Takes a reference, gives one back: of 'file', or of one that came before it under the same key and stamp. */
struct cp_file *cp_live_add(struct cp_live *live, const char *key, const struct cp_stamp *stamp, struct cp_file *file);

#endif
