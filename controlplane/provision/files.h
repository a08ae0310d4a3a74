/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What phones can fetch: trust lists, generated configurations, and the operator's directory, each under the names
 * phones ask for, signed and encrypted as the name's ending says. Files are immutable, counted objects that any number
 * of serving threads share; a change of a record makes a new object and touches no transfer that runs.
 *
 * Threads: cp_files_get() and cp_file_put() are called by any thread. Records are read and ledger notes written on
 * the controlplane's event loop; XML, hashing and the signer's answers are waited for on threads of the files' own. Nothing
 * generated is ever written to the file system: the cache of signed results is records of the store.
 */
#ifndef CP_FILES_H
#define CP_FILES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define CP_FILE_NAME_MAX 129 /* bytes with NUL */

enum cp_file_via { CP_VIA_TFTP, CP_VIA_HTTP, CP_VIA_HTTPS, CP_VIA_TOKEN, CP_VIA_MAX };

enum cp_file_kind { /* what the trust ledger learns from a fetch */
	CP_FILE_PLAIN,
	CP_FILE_CTL,
	CP_FILE_ITL,
	CP_FILE_CONFIG,
};

struct cp_file { /* constant from the moment others see it, but for 'refs' */
	atomic_uint refs;
	enum cp_file_kind kind;
	char name[CP_FILE_NAME_MAX]; /* as asked for */
	const uint8_t *data;
	size_t len;
	char etag[36];       /* strong entity tag with its quotes */
	int64_t mtime;       /* seconds since 1970 */
	bool secret;         /* per device: no shared cache may keep it */
	uint8_t sha256[32];  /* of data */
	void (*destroy)(struct cp_file *file); /* called by the last put */
};

static inline struct cp_file *cp_file_take(struct cp_file *file)
{
	atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
	return file;
}

static inline void cp_file_put(struct cp_file *file) /* NULL is allowed */
{
	if (file != NULL && atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel) == 1)
		file->destroy(file);
}

struct cp_file_ask {
	char name[CP_FILE_NAME_MAX]; /* decoded; cp_file_name_ok() */
	enum cp_file_via via;
	struct cfg_addr from;
	char device[16]; /* SEP..., proven by a token or client certificate; "" not known */
};

/** 1 to 128 of A-Z a-z 0-9 . _ - /, no empty, "." or ".." component, no leading '/'. */
bool cp_file_name_ok(const char *name);

/** rc 0: 'file' is a reference of the callee's; else NULL. Called on any thread, once. */
typedef void (*cp_file_fn)(void *ctx, int rc, struct cp_file *file);

struct cp_files;

/**
 * Get a file. 0: *ret is a reference (cp_file_put()), 'fn' is not called. -EINPROGRESS: 'fn' will be. Else an error, also given
 * to 'fn': -ENOENT, -EACCES (not for this asker: answered as "not found" to the asker, and logged), -EPERM (this name needs a
 * token: HTTP answers 401), -EAGAIN (too many wait), -EIO (store or signer fails: try again).
 */
int cp_files_get(struct cp_files *files, const struct cp_file_ask *ask, struct cp_file **ret, cp_file_fn fn, void *ctx);

/** The asker has the whole file (last ACK, or the last byte accepted by its TCP). Feeds the trust ledger. Any thread. */
void cp_files_fetched(struct cp_files *files, const struct cp_file_ask *ask, const struct cp_file *file);

/**
 * A server's view of the files, so that the servers can be tested and fuzzed without the rest: everything above through three
 * functions. cp_files_source() gives the real one.
 */
struct cp_file_source {
	int (*get)(void *ctx, const struct cp_file_ask *ask, struct cp_file **ret, cp_file_fn fn, void *fn_ctx);
	void (*fetched)(void *ctx, const struct cp_file_ask *ask, const struct cp_file *file);
	/** True if the device's profile demands a bearer token for HTTPS on the token port. Any thread. */
	bool (*needs_token)(void *ctx, const char *device);
	void *ctx;
};
struct cp_file_source cp_files_source(struct cp_files *files);

#endif
