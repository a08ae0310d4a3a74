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

#include <openssl/x509.h>

#include "config.h"
#include "signerc/signerc.h"
#include "trustlist.h"

struct cp_alarms;
struct cp_store;
struct event_base;

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

/**
 * The asker has the whole file (last ACK; over TCP all bytes of a trust list acknowledged, of other files all sent). Feeds the
 * trust ledger, unless the device is registered from another address: then a stranger asked by its name. Of a phone that is not
 * registered there is no telling: the ledger is told from where, and believes it when the phone registers from there. Any thread.
 */
void cp_files_fetched(struct cp_files *files, const struct cp_file_ask *ask, const struct cp_file *file);

/*
 * What the files need from elsewhere. 'sign' and 'unseal' may block, and are called on the files' own threads; 'list' on any
 * thread; the others on the event loop's.
 */
struct cp_files_env {
	struct event_base *base;
	struct cp_store *store;
	const struct cfg *cfg;
	struct cp_alarms *alarms; /* may be NULL */
	void *ctx;                /* of the functions */
	/* The list in force for a class: a reference, or NULL. */
	struct cp_file *(*list)(void *ctx, enum pki_tl_kind kind, enum pki_tl_class cls);
	bool (*mixed)(void *ctx); /* the cluster is in mixed mode */
	bool (*auto_registration)(void *ctx); /* unknown phones get the default file: cp_lists_auto_registration() */
	/* Certificate of the identity that signs files ("TFTP"): a reference, or NULL. */
	X509 *(*signer_cert)(void *ctx);
	/* As cp_signer_sign() with that identity. */
	int (*sign)(void *ctx, enum cp_sign_kind kind, const void *head, size_t head_len, const void *body, size_t body_len,
		    uint8_t *sig, size_t *ret_len);
	/* As cp_signer_unseal(). */
	int (*unseal)(void *ctx, const void *sealed, size_t len, const char *aad, uint8_t **ret, size_t *ret_len);
	/* A file of somebody else's making under this very name ("CAPF.crl"): a reference, or NULL: there is none. Any thread. May be NULL. */
	struct cp_file *(*extra)(void *ctx, const char *name);
	/* A phone fetched this list: it itself ('unproven_at' NULL), or somebody there who asked by its name. May be NULL. */
	void (*has_list)(void *ctx, const char *device, enum pki_tl_kind kind, const struct cp_file *file,
			 const struct cfg_addr *unproven_at);
};

/** Starts the threads. 'env' is copied. 0, -ENOMEM, -EAGAIN. */
int cp_files_create(const struct cp_files_env *env, struct cp_files **ret);
/** Ends the threads: who waits gets -EIO, and so does who asks from now on. Before cp_store_close(). NULL is allowed. */
void cp_files_stop(struct cp_files *files);
/** Behind cp_store_close(), when nobody can ask any more. NULL is allowed. */
void cp_files_destroy(struct cp_files *files);

struct cp_app;
/** The files of a controlplane whose store, signer, certificates and lists are open; registers explain and show.files. */
int cp_files_open(struct cp_app *app);

/** This is the certificate that the phone has: it showed it, or got it. Kept if it is another than before. Event loop. */
void cp_files_phone_cert(struct cp_files *files, const char *device, X509 *cert);

/** A trust list, the cluster's mode or the certificate that signs changed: what was made of it is made anew. */
void cp_files_changed(struct cp_files *files);

/** A phone registered from this address (its port does not count), or is gone from it: in pairs. Event loop. */
void cp_files_phone(struct cp_files *files, const char *device, const struct cfg_addr *addr, bool here);

struct cp_files_stats {
	uint64_t gets, hits, made;  /* asked for; answered at once; made anew */
	uint64_t signs;             /* asked of the signer */
	uint64_t sign_cache_hits;   /* signatures found in the store */
	uint64_t sign_failures, failed; /* of the signer; of anything */
	uint64_t refused_foreign, refused_token, not_found, bad_name, overload;
	uint64_t waiting;           /* now */
	size_t cache_bytes, dir_bytes;
};
void cp_files_stats(struct cp_files *files, struct cp_files_stats *ret);

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
