/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RocksDB behind a few calls: open with schema check and migration, one atomic write, reads. The store thread's
 * side of the store; private to it, and used by the bench and the tests.
 */
#ifndef CP_STORE_DB_H
#define CP_STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store.h"

struct cp_db;

struct cp_op { /* one put or delete; key and value lie behind one another in 'data' (heap) */
	struct cp_op *next;
	uint8_t cf; /* enum cp_cf */
	bool del;
	uint8_t key_len;
	uint32_t val_len;
	uint8_t data[];
};

struct cp_ops { /* a list, in order */
	struct cp_op *first, **last;
	size_t cnt, bytes;
};

void cp_ops_init(struct cp_ops *ops);
/** Append; key and value are copied. 0, -EINVAL, -ENOMEM. */
int cp_ops_add(struct cp_ops *ops, enum cp_cf cf, bool del, const void *key, size_t key_len, const void *val,
	       size_t val_len);
/** Free; values are wiped. */
void cp_ops_free(struct cp_ops *ops);

/*
 * How schema 'from' becomes from + 1: adds operations to 'ops', which are written in one batch together with the
 * new number. Reads with cp_db_each(). 0 or negative errno.
 */
typedef int (*cp_migrate_fn)(struct cp_db *db, struct cp_ops *ops);
struct cp_schema {
	uint32_t version;              /* what this program writes */
	unsigned families;             /* it knows the first so many of enum cp_cf */
	const cp_migrate_fn *migrate;  /* [0]: from 1 to 2, ...; version - 1 entries */
};
extern const struct cp_schema cp_schema; /* this program's */

/**
 * As cp_store_open(). 'schema' NULL: cp_schema. Before an older store is changed, families included, a checkpoint
 * PATH.before-N (N: schema->version) is made of it, which the older program opens: moved to PATH it undoes the
 * upgrade. One that is there already is kept if it is of the very same state (an upgrade that was cut short), else
 * renamed to PATH.before-N.SEQ, SEQ its last sequence number.
 */
int cp_db_open(const char *path, const struct cp_schema *schema, struct cp_db **ret_db, char *err, size_t err_size);
void cp_db_close(struct cp_db *db);

/** Write all lists of 'n' in one atomic write; 'sync': on disk when it returns. 0, -ENOSPC, -EIO, with text in 'err'. */
int cp_db_write(struct cp_db *db, const struct cp_ops *const *ops, size_t n, bool sync, char *err, size_t err_size);

/** 0, -ENOENT, -EIO, -ENOMEM. Any thread. *ret_val is heap, freed by the caller; may be NULL with length 0. */
int cp_db_get(struct cp_db *db, enum cp_cf cf, const void *key, size_t key_len, uint8_t **ret_val, size_t *ret_len);

/** Each record in key order, or newest (last) first; 'fn' returns false to stop. 0 or -EIO. Any thread. */
int cp_db_each(struct cp_db *db, enum cp_cf cf, bool backwards, cp_store_each_fn fn, void *ctx);
/** The same from the first key not below 'from' on; from_len 0: all. */
int cp_db_scan(struct cp_db *db, enum cp_cf cf, const void *from, size_t from_len, cp_store_each_fn fn, void *ctx);

/** About how many records a family has. */
uint64_t cp_db_count(struct cp_db *db, enum cp_cf cf);

/**
 * Before a close: if much was written lately it becomes tables, so that the next open has no log to go through. Nothing is
 * lost where that fails.
 */
void cp_db_settle(struct cp_db *db);

/** Negative errno for an error text of RocksDB. */
int cp_db_errno(const char *text);

#endif
