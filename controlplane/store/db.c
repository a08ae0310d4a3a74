/* SPDX-License-Identifier: BSD-3-Clause */
#include "db.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"

#define SETTLE_RECORDS        5000
#define RECOVER_TOLERATE_TAIL 0 /* kTolerateCorruptedTailRecords: what a cut write leaves is not an error */

struct cp_db {
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_writeoptions_t *sync, *no_sync;
	rocksdb_readoptions_t *read, *scan;
	rocksdb_column_family_handle_t *cf[CP_CF_MAX]; /* NULL: a family that is not open */
	rocksdb_column_family_handle_t *unused;        /* "default", which must be open */
};

static const char *const cf_names[] = {
	"meta", "device", "profile", "line", "gateway", "cert", "trust", "capf", "ctl", "call", "sa", "audit",
	"ledger", "signed", "user", "cdr", "mwi", "dial",
};
static_assert(sizeof(cf_names) / sizeof(cf_names[0]) == CP_CF_MAX, "one name per family");

static const uint8_t schema_key[] = "schema";
#define SCHEMA_KEY_LEN (sizeof(schema_key) - 1)

/* Schema 2 added the families ledger, signed and user; no record changed. */
static int to_schema_2(struct cp_db *db, struct cp_ops *ops)
{
	(void)db;
	(void)ops;
	return 0;
}
/* Schema 3 added the families cdr, mwi and dial, and a line's pickup group, which has no default. */
static int to_schema_3(struct cp_db *db, struct cp_ops *ops)
{
	return to_schema_2(db, ops);
}
static const cp_migrate_fn migrations[] = {to_schema_2, to_schema_3};
static_assert(sizeof(migrations) / sizeof(migrations[0]) == CP_STORE_SCHEMA - 1, "one step per schema");

const struct cp_schema cp_schema = {.version = CP_STORE_SCHEMA, .families = CP_CF_MAX, .migrate = migrations};

void cp_ops_init(struct cp_ops *ops)
{
	*ops = (struct cp_ops){.last = &ops->first};
}

int cp_ops_add(struct cp_ops *ops, enum cp_cf cf, bool del, const void *key, size_t key_len, const void *val,
	       size_t val_len)
{
	struct cp_op *op;

	if (cf >= CP_CF_MAX || key_len == 0 || key_len > CP_STORE_KEY_MAX || val_len > CP_RECORD_MAX)
		return -EINVAL;
	op = malloc(sizeof(*op) + key_len + val_len);
	if (op == NULL)
		return -ENOMEM;
	*op = (struct cp_op){.cf = (uint8_t)cf, .del = del, .key_len = (uint8_t)key_len, .val_len = (uint32_t)val_len};
	memcpy(op->data, key, key_len);
	if (val_len > 0)
		memcpy(op->data + key_len, val, val_len);
	*ops->last = op;
	ops->last = &op->next;
	ops->cnt++;
	ops->bytes += sizeof(*op) + key_len + val_len;
	return 0;
}

void cp_ops_free(struct cp_ops *ops)
{
	for (struct cp_op *op = ops->first, *next; op != NULL; op = next) {
		next = op->next;
		OPENSSL_cleanse(op->data, op->key_len + (size_t)op->val_len);
		free(op);
	}
	cp_ops_init(ops);
}

int cp_db_errno(const char *text)
{
	if (strstr(text, "No space left") != NULL || strstr(text, "NoSpace") != NULL ||
	    strstr(text, "Space limit") != NULL)
		return -ENOSPC;
	if (strstr(text, "lock hold by") != NULL || strstr(text, "While lock file") != NULL)
		return -EBUSY;
	if (strncmp(text, "Corruption", 10) == 0)
		return -EBADMSG;
	return -EIO;
}

/* Take over RocksDB's error text: 0 if there is none. */
static int take(char *text, char *err, size_t err_size)
{
	int rc;

	if (text == NULL)
		return 0;
	rc = cp_db_errno(text);
	if (err != NULL && err_size > 0)
		snprintf(err, err_size, "%s", text);
	rocksdb_free(text);
	return rc;
}

static rocksdb_options_t *make_options(void)
{
	rocksdb_options_t *o = rocksdb_options_create(), *full;
	char *text = NULL;

	rocksdb_options_set_create_if_missing(o, 1);
	rocksdb_options_set_create_missing_column_families(o, 1);
	rocksdb_options_set_wal_recovery_mode(o, RECOVER_TOLERATE_TAIL);
	rocksdb_options_set_paranoid_checks(o, 1);
	rocksdb_options_set_max_open_files(o, 256);
	rocksdb_options_set_write_buffer_size(o, 8u << 20);    /* per column family */
	rocksdb_options_set_max_total_wal_size(o, 64u << 20);  /* bounds what a reopen replays */
	rocksdb_options_set_max_background_jobs(o, 2);
	/*
	 * Nothing goes to RocksDB's LOG: Debian's library is built with assertions, and one of them ends the process
	 * when a second line is written to a LOG whose disk was full (WritableFileWriter,
	 * "sync_without_flush_called_"). A level above the highest, 5, silences all; failures are told by status.
	 */
	rocksdb_options_set_info_log_level(o, 6);
	rocksdb_options_set_keep_log_file_num(o, 1);
	/* We reopen ourselves, in one place; RocksDB must not resume behind our back. Not in the C API as a call. */
	full = rocksdb_options_create();
	rocksdb_get_options_from_string(o, "max_bgerror_resume_count=0", full, &text);
	if (text != NULL) {
		rocksdb_free(text);
		rocksdb_options_destroy(full);
		return o;
	}
	rocksdb_options_destroy(o);
	return full;
}

static int read_schema(rocksdb_t *db, rocksdb_readoptions_t *read, rocksdb_column_family_handle_t *meta,
		       uint32_t *ret, char *err, size_t err_size)
{
	char *text = NULL, *val;
	size_t len = 0;
	int rc;

	val = rocksdb_get_cf(db, read, meta, (const char *)schema_key, SCHEMA_KEY_LEN, &len, &text);
	rc = take(text, err, err_size);
	if (rc < 0)
		return rc;
	*ret = 0; /* new */
	if (val != NULL && len == 4) {
		const uint8_t *v = (const uint8_t *)val;

		*ret = (uint32_t)v[0] << 24 | (uint32_t)v[1] << 16 | (uint32_t)v[2] << 8 | v[3];
	} else if (val != NULL) {
		snprintf(err, err_size, "the store's schema number is damaged");
		rc = -EBADMSG;
	}
	rocksdb_free(val);
	return rc;
}

static int add_schema(struct cp_ops *ops, uint32_t v)
{
	uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

	return cp_ops_add(ops, CP_CF_META, false, schema_key, SCHEMA_KEY_LEN, b, sizeof(b));
}

static int newer(const char *path, uint32_t have, uint32_t know, char *err, size_t err_size)
{
	snprintf(err, err_size, "%s has schema %u, this program knows up to %u: run the newer program", path, have,
		 know);
	return -ENOTSUP;
}

/* What lies at a path. */
struct found {
	bool there;             /* a database, families listed */
	bool cf[CP_CF_MAX];     /* which of ours it has */
	bool same;              /* exactly the families of the schema */
	uint32_t have;          /* its schema, read where it is not 'same'; 0: none written yet */
	uint64_t seq;           /* its last sequence number; as 'have' */
};

static int read_state(const char *path, struct found *f, char *err, size_t err_size)
{
	rocksdb_options_t *o = rocksdb_options_create();
	rocksdb_readoptions_t *read = rocksdb_readoptions_create();
	const rocksdb_options_t *os[2] = {o, o};
	const char *names[2] = {"default", "meta"};
	rocksdb_column_family_handle_t *h[2];
	char *text = NULL;
	rocksdb_t *db = rocksdb_open_for_read_only_column_families(o, path, 2, names, os, h, 0, &text);
	int rc = take(text, err, err_size);

	if (rc == 0) {
		rc = read_schema(db, read, h[1], &f->have, err, err_size);
		f->seq = rocksdb_get_latest_sequence_number(db);
		rocksdb_column_family_handle_destroy(h[0]);
		rocksdb_column_family_handle_destroy(h[1]);
		rocksdb_close(db);
	}
	rocksdb_readoptions_destroy(read);
	rocksdb_options_destroy(o);
	return rc;
}

/*
 * Look before writing: a store whose column families are not ours is opened read-only for its schema number, so that
 * a newer one is refused untouched. 0: go on and open.
 */
static int look(const char *path, const struct cp_schema *schema, struct found *f, char *err, size_t err_size)
{
	rocksdb_options_t *o = rocksdb_options_create();
	size_t n = 0, known = 0;
	char *text = NULL;
	char **list = rocksdb_list_column_families(o, path, &n, &text);
	int rc = 0;

	*f = (struct found){.there = text == NULL};
	rocksdb_options_destroy(o);
	if (text != NULL) { /* nothing there yet, or opening will say what is wrong */
		rocksdb_free(text);
		rocksdb_list_column_families_destroy(list, n); /* an empty list comes with the error */
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		known += strcmp(list[i], "default") == 0;
		for (size_t j = 0; j < schema->families; j++)
			if (strcmp(list[i], cf_names[j]) == 0) {
				known++;
				f->cf[j] = true;
			}
	}
	rocksdb_list_column_families_destroy(list, n);
	f->same = known == n && n == schema->families + 1u;
	if (f->same || !f->cf[CP_CF_META]) /* without meta: its making was cut short */
		return 0;
	rc = read_state(path, f, err, err_size);
	if (rc == 0 && f->have > schema->version)
		rc = newer(path, f->have, schema->version, err, err_size);
	else if (rc == 0 && known < n) {
		snprintf(err, err_size, "%s holds column families that this program does not know", path);
		rc = -EBADMSG;
	}
	return rc;
}

/* A checkpoint is there already: 0 it is of this state, 1 it was moved out of the way, or negative errno. */
static int keep_older(const char *to, uint64_t seq, char *err, size_t err_size)
{
	struct found f = {0};
	char aside[4160];
	int rc = read_state(to, &f, err, err_size);

	if (rc == 0 && f.seq == seq)
		return 0;
	/* of an upgrade that was undone, or damaged: somebody may want it still */
	snprintf(aside, sizeof(aside), "%s.%llu", to, (unsigned long long)f.seq);
	if (rename(to, aside) < 0) {
		rc = -errno;
		snprintf(err, err_size, "cannot move %s to %s: %s", to, aside, strerror(errno));
		return rc;
	}
	return 1;
}

static int checkpoint(struct cp_db *db, const char *path, uint32_t version, char *err, size_t err_size)
{
	char to[4096], *text = NULL;
	rocksdb_checkpoint_t *cp;
	struct stat st;
	int rc = 1;

	if (snprintf(to, sizeof(to), "%s.before-%u", path, version) >= (int)sizeof(to))
		return -ENAMETOOLONG;
	if (stat(to, &st) == 0)
		rc = keep_older(to, rocksdb_get_latest_sequence_number(db->db), err, err_size);
	if (rc <= 0)
		return rc;
	cp = rocksdb_checkpoint_object_create(db->db, &text);
	rc = take(text, err, err_size);
	if (rc < 0)
		return rc;
	text = NULL;
	rocksdb_checkpoint_create(cp, to, 0, &text);
	rc = take(text, err, err_size);
	rocksdb_checkpoint_object_destroy(cp);
	if (rc == 0)
		cfg_log(CFG_LOG_NOTICE, "store-backup", "path=%s", cfg_q(to));
	return rc;
}

/* 'saved': the checkpoint was made before families were added. */
static int migrate(struct cp_db *db, const char *path, const struct cp_schema *schema, bool saved, char *err,
		   size_t err_size)
{
	struct cp_ops ops;
	const struct cp_ops *list[1] = {&ops};
	uint32_t have;
	int rc = read_schema(db->db, db->read, db->cf[CP_CF_META], &have, err, err_size);

	if (rc < 0 || have == schema->version)
		return rc;
	if (have > schema->version)
		return newer(path, have, schema->version, err, err_size);
	cp_ops_init(&ops);
	if (have > 0 && !saved)
		rc = checkpoint(db, path, schema->version, err, err_size);
	for (uint32_t v = have; v > 0 && v < schema->version && rc == 0; v++) {
		/* one batch per step: a step reads what the one before wrote */
		rc = schema->migrate[v - 1](db, &ops);
		if (rc == 0)
			rc = add_schema(&ops, v + 1);
		if (rc == 0)
			rc = cp_db_write(db, list, 1, true, err, err_size);
		else
			snprintf(err, err_size, "migration from schema %u failed: %s", v, strerror(-rc));
		cp_ops_free(&ops);
		if (rc == 0)
			cfg_log(CFG_LOG_NOTICE, "store-migrated", "from=%u to=%u", v, v + 1);
	}
	if (have == 0 && rc == 0)
		rc = add_schema(&ops, schema->version);
	if (have == 0 && rc == 0)
		rc = cp_db_write(db, list, 1, true, err, err_size);
	cp_ops_free(&ops);
	return rc;
}

/* Open with the families that are marked; those that are not there are made. */
static int open_families(const char *path, const bool *with, struct cp_db **ret, char *err, size_t err_size)
{
	rocksdb_column_family_handle_t *h[CP_CF_MAX + 1];
	const rocksdb_options_t *os[CP_CF_MAX + 1];
	const char *names[CP_CF_MAX + 1];
	struct cp_db *db = calloc(1, sizeof(*db));
	char *text = NULL;
	int n = 0, rc;

	if (db == NULL)
		return -ENOMEM;
	db->options = make_options();
	db->sync = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(db->sync, 1);
	db->no_sync = rocksdb_writeoptions_create();
	db->read = rocksdb_readoptions_create();
	db->scan = rocksdb_readoptions_create();
	rocksdb_readoptions_set_fill_cache(db->scan, 0); /* what is gone through once */
	for (size_t i = 0; i < CP_CF_MAX; i++)
		if (with[i])
			names[n++] = cf_names[i];
	names[n++] = "default";
	for (int i = 0; i < n; i++)
		os[i] = db->options;
	db->db = rocksdb_open_column_families(db->options, path, n, names, os, h, &text);
	rc = take(text, err, err_size);
	if (rc < 0) {
		db->db = NULL;
		cp_db_close(db);
		return rc;
	}
	db->unused = h[--n];
	for (size_t i = CP_CF_MAX; i-- > 0;)
		if (with[i])
			db->cf[i] = h[--n];
	*ret = db;
	return 0;
}

/* The store as it is, with its own families only, saved beside itself: so the older program opens the copy. */
static int save_older(const char *path, const struct cp_schema *schema, const bool *with, char *err, size_t err_size)
{
	struct cp_db *db;
	int rc = open_families(path, with, &db, err, err_size);

	if (rc < 0)
		return rc;
	rc = checkpoint(db, path, schema->version, err, err_size);
	cp_db_close(db);
	return rc;
}

int cp_db_open(const char *path, const struct cp_schema *schema, struct cp_db **ret_db, char *err, size_t err_size)
{
	bool all[CP_CF_MAX] = {false}, saved = false;
	struct cp_db *db = NULL;
	struct found f;
	int rc;

	if (schema == NULL)
		schema = &cp_schema;
	if (err_size > 0)
		err[0] = '\0';
	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		rc = -errno;
		snprintf(err, err_size, "cannot make %s: %s", path, strerror(errno));
		return rc;
	}
	rc = look(path, schema, &f, err, err_size);
	if (rc == 0 && f.there && !f.same && f.have > 0 && f.have < schema->version) {
		rc = save_older(path, schema, f.cf, err, err_size);
		saved = rc == 0;
	}
	for (unsigned i = 0; i < schema->families; i++)
		all[i] = true;
	if (rc == 0)
		rc = open_families(path, all, &db, err, err_size);
	if (rc == 0)
		rc = migrate(db, path, schema, saved, err, err_size);
	if (rc < 0) {
		cp_db_close(db);
		return rc;
	}
	*ret_db = db;
	return 0;
}

void cp_db_close(struct cp_db *db)
{
	if (db == NULL)
		return;
	for (size_t i = 0; i < CP_CF_MAX; i++)
		if (db->cf[i] != NULL)
			rocksdb_column_family_handle_destroy(db->cf[i]);
	if (db->unused != NULL)
		rocksdb_column_family_handle_destroy(db->unused);
	if (db->db != NULL)
		rocksdb_close(db->db);
	rocksdb_readoptions_destroy(db->scan);
	rocksdb_readoptions_destroy(db->read);
	rocksdb_writeoptions_destroy(db->no_sync);
	rocksdb_writeoptions_destroy(db->sync);
	rocksdb_options_destroy(db->options);
	free(db);
}

int cp_db_write(struct cp_db *db, const struct cp_ops *const *ops, size_t n, bool sync, char *err, size_t err_size)
{
	rocksdb_writebatch_t *wb = rocksdb_writebatch_create();
	char *text = NULL;

	for (size_t i = 0; i < n; i++)
		for (const struct cp_op *op = ops[i]->first; op != NULL; op = op->next) {
			const char *key = (const char *)op->data;

			if (op->del)
				rocksdb_writebatch_delete_cf(wb, db->cf[op->cf], key, op->key_len);
			else
				rocksdb_writebatch_put_cf(wb, db->cf[op->cf], key, op->key_len,
							  key + op->key_len, op->val_len);
		}
	rocksdb_write(db->db, sync ? db->sync : db->no_sync, wb, &text);
	rocksdb_writebatch_destroy(wb);
	return take(text, err, err_size);
}

int cp_db_get(struct cp_db *db, enum cp_cf cf, const void *key, size_t key_len, uint8_t **ret_val, size_t *ret_len)
{
	char *text = NULL;
	rocksdb_pinnableslice_t *s = rocksdb_get_pinned_cf(db->db, db->read, db->cf[cf], key, key_len, &text);
	const char *v;
	size_t len = 0;
	uint8_t *copy;

	if (text != NULL) {
		rocksdb_free(text);
		return -EIO;
	}
	if (s == NULL)
		return -ENOENT;
	v = rocksdb_pinnableslice_value(s, &len);
	copy = malloc(len > 0 ? len : 1);
	if (copy != NULL && len > 0)
		memcpy(copy, v, len);
	rocksdb_pinnableslice_destroy(s);
	if (copy == NULL)
		return -ENOMEM;
	*ret_val = copy;
	*ret_len = len;
	return 0;
}

static int each(struct cp_db *db, enum cp_cf cf, bool backwards, const void *from, size_t from_len, cp_store_each_fn fn,
		void *ctx)
{
	rocksdb_iterator_t *it = rocksdb_create_iterator_cf(db->db, db->scan, db->cf[cf]);
	char *text = NULL;

	if (backwards)
		rocksdb_iter_seek_to_last(it);
	else if (from_len > 0)
		rocksdb_iter_seek(it, from, from_len);
	else
		rocksdb_iter_seek_to_first(it);
	while (rocksdb_iter_valid(it)) {
		size_t klen, vlen;
		const char *k = rocksdb_iter_key(it, &klen), *v = rocksdb_iter_value(it, &vlen);

		if (!fn(ctx, (const uint8_t *)k, klen, (const uint8_t *)v, vlen))
			break;
		if (backwards)
			rocksdb_iter_prev(it);
		else
			rocksdb_iter_next(it);
	}
	rocksdb_iter_get_error(it, &text);
	rocksdb_iter_destroy(it);
	return take(text, NULL, 0) < 0 ? -EIO : 0;
}

int cp_db_each(struct cp_db *db, enum cp_cf cf, bool backwards, cp_store_each_fn fn, void *ctx)
{
	return each(db, cf, backwards, NULL, 0, fn, ctx);
}

int cp_db_scan(struct cp_db *db, enum cp_cf cf, const void *from, size_t from_len, cp_store_each_fn fn, void *ctx)
{
	return each(db, cf, false, from, from_len, fn, ctx);
}

static uint64_t property(struct cp_db *db, enum cp_cf cf, const char *name)
{
	uint64_t v = 0;

	return db->cf[cf] != NULL && rocksdb_property_int_cf(db->db, db->cf[cf], name, &v) == 0 ? v : 0;
}

uint64_t cp_db_count(struct cp_db *db, enum cp_cf cf)
{
	return property(db, cf, "rocksdb.estimate-num-keys");
}

void cp_db_settle(struct cp_db *db)
{
	rocksdb_flushoptions_t *o;
	uint64_t records = 0;

	for (unsigned i = 0; db != NULL && i < CP_CF_MAX; i++)
		records += property(db, (enum cp_cf)i, "rocksdb.num-entries-active-mem-table");
	if (records < SETTLE_RECORDS)
		return;
	o = rocksdb_flushoptions_create();
	/* all of them: the log is needed for as long as one family has something in it alone */
	for (unsigned i = 0; i < CP_CF_MAX; i++) {
		char err[256] = "", *text = NULL;

		if (property(db, (enum cp_cf)i, "rocksdb.num-entries-active-mem-table") == 0)
			continue;
		rocksdb_flush_cf(db->db, o, db->cf[i], &text);
		if (take(text, err, sizeof(err)) < 0) {
			cfg_log(CFG_LOG_WARN, "store-not-settled", "reason=%s", cfg_q(err));
			break;
		}
	}
	rocksdb_flushoptions_destroy(o);
}
