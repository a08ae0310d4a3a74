/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The store: one RocksDB under STATE/store, column families as in the architecture (section 5). Writers hand
 * batches to one store thread, which commits what has gathered in one synced write; a batch is all or nothing.
 * Every batch's callback is delivered once, on the event base, in the order of submission, with 0 only after
 * the sync. Reads come from an in-memory view of what is synced: it never shows what could still be refused.
 * audit, signed and cdr are not in the view.
 *
 * Failure (disk full, I/O error, failing fsync): the batches of that write get the error and leave nothing
 * behind (keys they may have reached on disk are put back before anything else is written); the store is then
 * 'failing': alarm store-failing, every batch is refused with -EIO or -ENOSPC at once, while the thread reopens
 * the database every CP_STORE_RETRY_MS until a synced write works again. The process never ends because of it.
 * Only if the process dies before that can a refused change be found on disk by the next start.
 *
 * All functions run on the event loop's thread but those that say "any thread". Shared records (device, profile,
 * line, gateway, cert, trust, capf, ctl, mwi, dial) and local ones (call, cdr, sa, meta, audit) are kept apart by column family.
 */
#ifndef CP_STORE_H
#define CP_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "records.h"

#define CP_STORE_SCHEMA   3
#define CP_STORE_RETRY_MS 500
#define CP_STORE_KEY_MAX  128 /* bytes */
#define CP_AUDIT_MAX      100000 /* newest records kept, about */

struct event_base;
struct cp_alarms;
struct cp_store;
struct cp_batch;
struct cp_cdr;

enum cp_cf {
	CP_CF_META, /* schema version, epochs */
	CP_CF_DEVICE,
	CP_CF_PROFILE,
	CP_CF_LINE, /* number -> owner; written by cp_dir_* only */
	CP_CF_GATEWAY,
	CP_CF_CERT,
	CP_CF_TRUST,
	CP_CF_CAPF,
	CP_CF_CTL,
	CP_CF_CALL,
	CP_CF_SA,
	CP_CF_AUDIT,
	CP_CF_LEDGER, /* what phones were last known to trust */
	CP_CF_SIGNED, /* signatures of files, so that a restart signs nothing anew; may be lost */
	CP_CF_USER,   /* administrators */
	CP_CF_CDR,    /* calls that have ended (cdrrec.h) */
	CP_CF_MWI,    /* lines with a message waiting: key number */
	CP_CF_DIAL,   /* the dial plan: dialrec.h */
	CP_CF_MAX
};

struct cp_store_opts {
	const char *path;          /* directory, made (0700) if absent; its parent must exist */
	struct event_base *base;   /* callbacks come here; NULL: only cp_store_commit(), for tools */
	struct cp_alarms *alarms;  /* may be NULL */
	uint64_t cdr_max;          /* call detail records kept, about: the newest; 0: all */
	unsigned cdr_days;         /* and for how long; 0: for ever */
	bool no_sync;              /* for benches and tests of what stands on a store: nothing is durable */
};

/**
 * Open, migrate if older (a checkpoint of it as it was is left beside it as PATH.before-N), fill the view. Errors, each with one
 * line in 'err': -ENOTSUP schema newer than ours, -EBUSY another process has it, -EBADMSG damaged database,
 * other negative errno. A single record that cannot be read stays on disk, is not served, and raises store-bad-record.
 */
int cp_store_open(const struct cp_store_opts *opts, struct cp_store **ret_store, char *err, size_t err_size);

/** Commit what was submitted, stop the thread, call outstanding callbacks from here, close. NULL is allowed. */
void cp_store_close(struct cp_store *store);

/* --- writing --- */

typedef void (*cp_store_fn)(void *ctx, int rc);

struct cp_batch *cp_batch_create(void); /* NULL: no memory */
void cp_batch_destroy(struct cp_batch *batch);
/** Key and value are copied. 0, -EINVAL (key empty or over CP_STORE_KEY_MAX, value over CP_RECORD_MAX), -ENOMEM. */
int cp_batch_put(struct cp_batch *batch, enum cp_cf cf, const void *key, size_t key_len, const void *val,
		 size_t val_len);
int cp_batch_del(struct cp_batch *batch, enum cp_cf cf, const void *key, size_t key_len);
/** Add an audit record: a JSON text, time is added by the store. */
int cp_batch_audit(struct cp_batch *batch, const char *json);
/** The same of an object, which is stolen. NULL as either: -ENOMEM. */
int cp_batch_audit_json(struct cp_batch *batch, json_t *record);

/**
 * Submit: the batch is the store's from here, also on error. 'fn' (may be NULL) is called later, never from
 * inside, with 0 (synced), -ENOSPC, -EIO. Errors from here, fn not called: -EAGAIN (over 64 MiB wait), -EINVAL
 * (records a failed put, or no base).
 */
int cp_store_submit(struct cp_store *store, struct cp_batch *batch, cp_store_fn fn, void *ctx);
/** An audit record alone, stolen; as cp_store_submit(). */
int cp_store_audit_add(struct cp_store *store, json_t *record, cp_store_fn fn, void *ctx);

/**
 * The same from any thread, for batches without devices, lines, gateways, SAs and audit records (-EINVAL). 'fn' is
 * still called on the event base. The caller sees to it that the store is not closed meanwhile.
 */
int cp_store_post(struct cp_store *store, struct cp_batch *batch, cp_store_fn fn, void *ctx);

/** The same, waiting for the sync (a few hundred microseconds, seconds on a sick disk): tools, tests, start. */
int cp_store_commit(struct cp_store *store, struct cp_batch *batch);

/* Running calls and SAs: typed puts. As cp_store_submit(). */
int cp_store_put_call(struct cp_store *store, const struct cp_call_rec *call, cp_store_fn fn, void *ctx);
/**
 * What happened to calls, in one batch: the record of one that runs (NULL: none), those that do so no more (0 among them: none), and
 * what is kept of calls that ended. All or nothing; -EINVAL if there is nothing to do.
 */
struct cp_call_change {
	const struct cp_call_rec *call;
	uint64_t gone[2];
	const struct cp_cdr *const *cdrs;
	unsigned cdr_cnt;
};
int cp_store_calls(struct cp_store *store, const struct cp_call_change *change, cp_store_fn fn, void *ctx);
int cp_store_del_call(struct cp_store *store, uint64_t call_id, cp_store_fn fn, void *ctx);
/** -EBUSY: its gateway is being changed, and perhaps goes. */
int cp_store_put_sa(struct cp_store *store, const struct cp_sa *sa, const char *audit, cp_store_fn fn, void *ctx);
int cp_store_del_sa(struct cp_store *store, const char *name, const char *audit, cp_store_fn fn, void *ctx);

/* --- reading: the synced view; borrowed until the loop runs again --- */

/** 0, -ENOENT. Not for CP_CF_AUDIT, CP_CF_SIGNED and CP_CF_CDR. */
int cp_store_get(const struct cp_store *store, enum cp_cf cf, const void *key, size_t key_len,
		 const uint8_t **ret_val, size_t *ret_len);
size_t cp_store_count(const struct cp_store *store, enum cp_cf cf);

/** Each record in key order; 'fn' returns false to stop. */
typedef bool (*cp_store_each_fn)(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t val_len);
void cp_store_each(const struct cp_store *store, enum cp_cf cf, cp_store_each_fn fn, void *ctx);

/* --- reading from disk: any thread, of any family, and what is synced only --- */

/**
 * 0, -ENOENT, -EIO (also while the database is being reopened), -EINVAL, -ENOMEM. *ret_val is heap, freed by the
 * caller. Some microseconds for what was written lately, a disk read else.
 */
int cp_store_read(struct cp_store *store, enum cp_cf cf, const void *key, size_t key_len, uint8_t **ret_val,
		  size_t *ret_len);
/**
 * Each record from the first key not below 'from' on (from_len 0: all), in key order, as of one moment. The store
 * cannot recover from a failing disk meanwhile: keep it short, and go on later from the last key.
 * 0, -EIO, -EINVAL.
 */
int cp_store_scan(struct cp_store *store, enum cp_cf cf, const void *from, size_t from_len, cp_store_each_fn fn,
		  void *ctx);

/* --- running SAs and calls --- */

const struct cp_sa *cp_store_sa(const struct cp_store *store, const char *name);
const struct cp_call_rec *cp_store_call(const struct cp_store *store, uint64_t call_id);
void cp_store_each_sa(const struct cp_store *store, void (*fn)(void *ctx, const struct cp_sa *sa), void *ctx);
void cp_store_each_call(const struct cp_store *store, void (*fn)(void *ctx, const struct cp_call_rec *call),
			void *ctx);

/** Newest audit records first, at most 'max', read from disk: time in us and the JSON text. 0 or -EIO. */
int cp_store_audit(struct cp_store *store, unsigned max, void (*fn)(void *ctx, int64_t time_us, const char *json),
		   void *ctx);

/* --- changes seen by others --- */

/** Called after a synced change entered the view, per key, before the batch's own callback. Up to 24 watchers. */
typedef void (*cp_store_watch_fn)(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted);
int cp_store_watch(struct cp_store *store, enum cp_cf cf, cp_store_watch_fn fn, void *ctx);

/* --- state --- */

struct cp_store_stats {
	uint64_t batches, ops, writes; /* committed; batches / writes is the group size */
	uint64_t failed;               /* batches refused */
	uint64_t reopens;
	uint64_t queued;               /* now */
	uint64_t last_write_us;        /* of the last synced write */
	bool failing;
	int failing_rc;
};
void cp_store_stats(const struct cp_store *store, struct cp_store_stats *ret);

/* --- the directory: devices, gateways and who owns which number (dir.c) --- */

const struct cp_device *cp_dir_device(const struct cp_store *store, const char *name);
const struct cp_gateway *cp_dir_gateway(const struct cp_store *store, const char *name);
const struct cp_gateway *cp_dir_gateway_id(const struct cp_store *store, uint32_t gw_id);
void cp_dir_each_device(const struct cp_store *store, void (*fn)(void *ctx, const struct cp_device *dev), void *ctx);
void cp_dir_each_gateway(const struct cp_store *store, void (*fn)(void *ctx, const struct cp_gateway *gw), void *ctx);

enum cp_dir_kind { CP_DIR_NONE, CP_DIR_LINE, CP_DIR_GATEWAY };

struct cp_dir_hit {
	enum cp_dir_kind kind;
	const struct cp_device *device; /* LINE */
	unsigned line;                  /* LINE: from 1 */
	const struct cp_gateway *gateway; /* GATEWAY */
	const char *endpoint;             /* GATEWAY: "" any endpoint */
	const char *group;                /* GATEWAY: any of these, and 'gateway' is NULL; else NULL */
	bool prefix;                      /* matched by a prefix of prefix_len digits */
	unsigned prefix_len;
};

/**
 * Who answers 'number' of the partition that all see (the whole dial plan: dial/plan.h): an exact owner first, else the gateway with the longest matching prefix. False: nobody.
 * *ret_longer (may be NULL): true if a longer number that begins with these digits has an owner or may have
 * one (a prefix), so that the dialler waits for more digits.
 */
bool cp_dir_number(const struct cp_store *store, const char *number, struct cp_dir_hit *ret, bool *ret_longer);
/** The owner of this number of this partition ("": the one that all see). */
bool cp_dir_line(const struct cp_store *store, const char *number, const char *partition, struct cp_dir_hit *ret);

/* A shared line: one number on several devices (000:P0-10). */
#define CP_LINE_DEVICES_MAX 32

struct cp_dir_place {
	const struct cp_device *device;
	unsigned line; /* from 1 */
};

/** The devices that have this number of this partition as a line, in the order in which they got it. How many; 0: it is no device's. */
unsigned cp_dir_line_devices(const struct cp_store *store, const char *number, const char *partition,
			     struct cp_dir_place ret[CP_LINE_DEVICES_MAX]);
/** The partition that a line's number of this device is in: a device has a number once. "" also without such a line. */
const char *cp_dir_partition(const struct cp_device *dev, const char *number);

/*
 * Changes. Checked against the view and what is on its way; 'why' says what is wrong. Return 0 (fn will be
 * called), -EINVAL (not valid), -EEXIST (name, or number already owned), -ENOENT, -EBUSY (the same object or number is
 * being written: try again after the next callback), or as cp_store_submit(). 'who' goes into the audit.
 */
struct cp_dir_ctx {
	const char *who; /* "uid 0", "import" */
	cp_store_fn fn;
	void *ctx;
	char *why;
	size_t why_size;
	bool shared; /* a number that other devices have may become a line of this one, too */
	bool quiet;  /* what we noticed ourselves: nothing for the audit log */
};
int cp_dir_device_put(struct cp_store *store, const struct cp_device *dev, bool replace, const struct cp_dir_ctx *c);
int cp_dir_device_del(struct cp_store *store, const char *name, const struct cp_dir_ctx *c);
int cp_dir_line_add(struct cp_store *store, const char *device, const struct cp_line *line,
		    const struct cp_dir_ctx *c);
/** 'number' as NUMBER or NUMBER@PARTITION. 'device' NULL: the one that has it; -EINVAL where several have. */
int cp_dir_line_del(struct cp_store *store, const char *number, const char *device, const struct cp_dir_ctx *c);
/** gw->gw_id is ignored: kept from the record there is, or a free one. */
int cp_dir_gateway_put(struct cp_store *store, const struct cp_gateway *gw, bool replace,
		       const struct cp_dir_ctx *c);
/** -EPROTO: an SA still names the gateway. */
int cp_dir_gateway_del(struct cp_store *store, const char *name, const struct cp_dir_ctx *c);

#endif
