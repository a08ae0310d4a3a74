/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that were not at hand, brought back to the serving thread that asked: cp_file_source.get() calls back on any
 * thread, perhaps after the transfer or even the server is gone. One inbox per serving thread; it lives until the last
 * answer has come.
 */
#ifndef CP_PROVISION_INBOX_H
#define CP_PROVISION_INBOX_H

#include "files.h"

struct cp_inbox;
struct cp_wait; /* one question under way */

struct cp_inbox *cp_inbox_create(void); /* NULL: no memory or descriptor */
/** No callback any more; what still comes is let go. By the asking thread, or when it has ended. NULL is allowed. */
void cp_inbox_close(struct cp_inbox *in);
/** Readable when cp_inbox_drain() has something to do. */
int cp_inbox_fd(const struct cp_inbox *in);

/**
 * Ask. 0: *ret_file is the caller's reference. -EINPROGRESS: *ret_wait is valid until it is drained or cancelled. Else the
 * source's error, or -ENOMEM. The asking thread.
 */
int cp_inbox_ask(struct cp_inbox *in, const struct cp_file_source *source, const struct cp_file_ask *ask, void *owner,
		 struct cp_file **ret_file, struct cp_wait **ret_wait);
void cp_inbox_cancel(struct cp_wait *wait);
/** 'fn' for each answer that has come, with the file's reference (rc 0) or NULL. The asking thread. */
void cp_inbox_drain(struct cp_inbox *in, void (*fn)(void *ctx, void *owner, int rc, struct cp_file *file), void *ctx);

#endif
