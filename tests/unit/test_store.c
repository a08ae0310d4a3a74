/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/store: store.c, commit.c, db.c, tab.c. Failing disks are in tests/scenario/store-kill.sh. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <CUnit/CUnit.h>

#include "alarm.h"
#include "log.h"
#include "store/change.h"
#include "store/db.h"
#include "store/store.h"
#include "store/tab.h"
#include "store_tmp.h"

static struct event_base *base;
static struct cp_store *store;

static struct cp_store *open_store(struct event_base *b, int *ret_rc)
{
	struct cp_store_opts o = {.path = tmp_store, .base = b};
	struct cp_store *s = NULL;
	char err[256];
	int rc = cp_store_open(&o, &s, err, sizeof(err));

	if (ret_rc != NULL)
		*ret_rc = rc;
	return s;
}

#define FILL "RAVELIN_TEST_FILL" /* run as the process that fills the store at this path, and is killed */
static void fill_and_die(const char *path);

static void begin(void)
{
	if (getenv(FILL) != NULL)
		fill_and_die(getenv(FILL));
	tmp_make();
	base = event_base_new();
	store = open_store(base, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(store);
}

static void end(void)
{
	cp_store_close(store);
	event_base_free(base);
	tmp_remove();
}

static struct cp_batch *one(const char *key, const char *val)
{
	struct cp_batch *b = cp_batch_create();

	CU_ASSERT_EQUAL(cp_batch_put(b, CP_CF_PROFILE, key, strlen(key), val, strlen(val)), 0);
	return b;
}

static bool has(const struct cp_store *s, const char *key, const char *val)
{
	const uint8_t *v;
	size_t n;

	return cp_store_get(s, CP_CF_PROFILE, key, strlen(key), &v, &n) == 0 && n == strlen(val) &&
	       memcmp(v, val, n) == 0;
}

static int order[64], order_cnt, done, last_rc;

static void on_done(void *ctx, int rc)
{
	last_rc = rc;
	if (order_cnt < 64)
		order[order_cnt++] = (int)(intptr_t)ctx;
	done = 1;
}

static void test_view_follows_sync(void)
{
	begin();
	done = 0;
	CU_ASSERT_EQUAL(cp_store_submit(store, one("a", "1"), on_done, NULL), 0);
	CU_ASSERT_FALSE(has(store, "a", "1")); /* before the loop ran, whatever the thread did */
	usleep(20000);
	CU_ASSERT_FALSE(has(store, "a", "1"));
	CU_ASSERT_FALSE(done);
	CU_ASSERT_TRUE(wait_for(base, &done));
	CU_ASSERT_EQUAL(last_rc, 0);
	CU_ASSERT_TRUE(has(store, "a", "1"));
	cp_store_close(store);
	store = open_store(base, NULL);
	CU_ASSERT_TRUE(has(store, "a", "1"));
	end();
}

static void test_order_and_groups(void)
{
	struct cp_store_stats st;

	begin();
	order_cnt = 0;
	for (int i = 0; i < 64; i++) {
		char v[8];

		snprintf(v, sizeof(v), "%d", i);
		CU_ASSERT_EQUAL(cp_store_submit(store, one("k", v), on_done, (void *)(intptr_t)i), 0);
	}
	for (int i = 0; i < 200 && order_cnt < 64; i++) {
		done = 0;
		wait_for(base, &done);
	}
	CU_ASSERT_EQUAL_FATAL(order_cnt, 64);
	for (int i = 0; i < 64; i++)
		CU_ASSERT_EQUAL(order[i], i);
	CU_ASSERT_TRUE(has(store, "k", "63"));
	cp_store_stats(store, &st);
	CU_ASSERT_EQUAL(st.batches, 64);
	CU_ASSERT(st.writes < 64); /* they gathered */
	CU_ASSERT_EQUAL(st.queued, 0);
	end();
}

static void test_commit_waits(void)
{
	begin();
	order_cnt = 0;
	CU_ASSERT_EQUAL(cp_store_submit(store, one("x", "1"), on_done, (void *)1), 0);
	CU_ASSERT_EQUAL(cp_store_commit(store, one("y", "2")), 0);
	CU_ASSERT_TRUE(has(store, "x", "1")); /* what came before is visible too */
	CU_ASSERT_TRUE(has(store, "y", "2"));
	CU_ASSERT_EQUAL(order_cnt, 0); /* but called back from the loop only */
	done = 0;
	CU_ASSERT_TRUE(wait_for(base, &done));
	CU_ASSERT_EQUAL(order_cnt, 1);
	end();
}

static void test_close_commits(void)
{
	begin();
	order_cnt = 0;
	for (int i = 0; i < 20; i++)
		CU_ASSERT_EQUAL(cp_store_submit(store, one("z", "last"), on_done, NULL), 0);
	cp_store_close(store);
	CU_ASSERT_EQUAL(order_cnt, 20);
	CU_ASSERT_EQUAL(last_rc, 0);
	store = open_store(base, NULL);
	CU_ASSERT_TRUE(has(store, "z", "last"));
	end();
}

static void test_no_loop(void)
{
	struct cp_batch *b;
	struct cp_store *s;
	int rc;

	tmp_make();
	s = open_store(NULL, &rc);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	CU_ASSERT_EQUAL(cp_store_commit(s, one("a", "1")), 0);
	CU_ASSERT_TRUE(has(s, "a", "1"));
	b = cp_batch_create();
	cp_batch_del(b, CP_CF_PROFILE, "a", 1);
	CU_ASSERT_EQUAL(cp_store_commit(s, b), 0);
	CU_ASSERT_FALSE(has(s, "a", "1"));
	CU_ASSERT_EQUAL(cp_store_submit(s, one("a", "1"), NULL, NULL), -EINVAL);
	cp_store_close(s);
	tmp_remove();
}

static void test_bad_batches(void)
{
	struct cp_batch *b;
	char key[200] = {0};

	begin();
	b = cp_batch_create();
	CU_ASSERT_EQUAL(cp_batch_put(b, CP_CF_PROFILE, "ok", 2, "v", 1), 0);
	CU_ASSERT_EQUAL(cp_batch_put(b, CP_CF_PROFILE, key, sizeof(key), "v", 1), -EINVAL);
	CU_ASSERT_EQUAL(cp_store_commit(store, b), -EINVAL); /* all or nothing */
	CU_ASSERT_FALSE(has(store, "ok", "v"));
	b = cp_batch_create();
	CU_ASSERT_EQUAL(cp_batch_put(b, CP_CF_PROFILE, "", 0, "v", 1), -EINVAL);
	CU_ASSERT_EQUAL(cp_batch_put(b, CP_CF_MAX, "k", 1, "v", 1), -EINVAL);
	cp_batch_destroy(b);
	cp_batch_destroy(NULL);
	end();
}

static void test_second_opener(void)
{
	int rc;

	begin();
	CU_ASSERT_PTR_NULL(open_store(base, &rc));
	CU_ASSERT_EQUAL(rc, -EBUSY);
	end();
}

static unsigned watched, watched_del;

static void on_watch(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted)
{
	(void)ctx;
	CU_ASSERT_EQUAL(cf, CP_CF_PROFILE);
	CU_ASSERT(key_len == 1 && key[0] == 'w');
	CU_ASSERT_EQUAL(has(store, "w", "1"), !deleted); /* the view is there already */
	watched += !deleted;
	watched_del += deleted;
}

static void test_watch(void)
{
	struct cp_batch *b;

	begin();
	CU_ASSERT_EQUAL(cp_store_watch(store, CP_CF_PROFILE, on_watch, NULL), 0);
	done = 0;
	cp_store_submit(store, one("w", "1"), on_done, NULL);
	wait_for(base, &done);
	CU_ASSERT_EQUAL(watched, 1);
	b = cp_batch_create();
	cp_batch_del(b, CP_CF_PROFILE, "w", 1);
	cp_batch_put(b, CP_CF_META, "other", 5, "1", 1);
	done = 0;
	cp_store_submit(store, b, on_done, NULL);
	wait_for(base, &done);
	CU_ASSERT_EQUAL(watched, 1);
	CU_ASSERT_EQUAL(watched_del, 1);
	end();
}

static char audit_seen[1024];
static int64_t audit_last;

static void on_audit(void *ctx, int64_t t, const char *json)
{
	(void)ctx;
	CU_ASSERT(audit_last == 0 || t < audit_last); /* newest first, no two alike */
	audit_last = t;
	strcat(audit_seen, json);
}

static void test_audit(void)
{
	begin();
	for (int i = 0; i < 5; i++) {
		struct cp_batch *b = one("a", "1");
		char text[8];

		snprintf(text, sizeof(text), "[%d]", i);
		CU_ASSERT_EQUAL(cp_batch_audit(b, text), 0);
		CU_ASSERT_EQUAL(cp_store_commit(store, b), 0);
	}
	audit_seen[0] = '\0';
	audit_last = 0;
	CU_ASSERT_EQUAL(cp_store_audit(store, 3, on_audit, NULL), 0);
	CU_ASSERT_STRING_EQUAL(audit_seen, "[4][3][2]");
	cp_store_close(store);
	store = open_store(base, NULL);
	audit_seen[0] = '\0';
	audit_last = 0;
	CU_ASSERT_EQUAL(cp_store_audit(store, 100, on_audit, NULL), 0);
	CU_ASSERT_STRING_EQUAL(audit_seen, "[4][3][2][1][0]");
	end();
}

static bool count_records(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	(void)key;
	(void)key_len;
	(void)val;
	(void)len;
	++*(unsigned *)ctx;
	return true;
}

static void on_text(void *ctx, int64_t time_us, const char *json)
{
	(void)time_us;
	snprintf(ctx, 32, "%s", json);
}

/* The newest CP_AUDIT_MAX stay, over restarts too. */
static void test_audit_is_trimmed(void)
{
	struct cp_store_opts o = {.path = tmp_store, .no_sync = true};
	char text[32], newest[32], err[256];
	unsigned n = 0, next = 0;

	tmp_make();
	for (unsigned round = 0; round < 2; round++) {
		CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &store, err, sizeof(err)), 0);
		for (unsigned until = next + CP_AUDIT_MAX / 2 + 4000; next < until;) {
			struct cp_batch *b = cp_batch_create();

			for (unsigned i = 0; i < 500; i++) {
				snprintf(text, sizeof(text), "{\"n\":%u}", next++);
				cp_batch_audit(b, text);
			}
			CU_ASSERT_EQUAL_FATAL(cp_store_commit(store, b), 0);
		}
		cp_store_close(store);
	}
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &store, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(cp_store_scan(store, CP_CF_AUDIT, NULL, 0, count_records, &n), 0);
	CU_ASSERT(n >= CP_AUDIT_MAX && n <= CP_AUDIT_MAX + 2500);
	CU_ASSERT_EQUAL(cp_store_audit(store, 1, on_text, newest), 0);
	CU_ASSERT_STRING_EQUAL(newest, text);
	cp_store_close(store);
	tmp_remove();
}

static void test_alarms_are_audited(void)
{
	struct cp_alarms *alarms = cp_alarms_create();
	struct cp_store_opts o = {.path = tmp_store, .alarms = alarms};
	char err[256];

	tmp_make();
	base = event_base_new();
	o.base = base;
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &store, err, sizeof(err)), 0);
	cp_alarm_raise(alarms, "gateway-no-sa", CP_ALARM_MAJOR, "gw1", "no SA");
	cp_alarm_clear(alarms, "gateway-no-sa", "gw1");
	CU_ASSERT_EQUAL(cp_store_commit(store, one("sync", "1")), 0);
	audit_seen[0] = '\0';
	audit_last = 0;
	cp_store_audit(store, 2, on_audit, NULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(audit_seen, "\"alarm-cleared\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(audit_seen, "\"gateway-no-sa\""));
	cp_store_close(store);
	cp_alarm_raise(alarms, "later", CP_ALARM_MAJOR, "x", "the store is gone"); /* must not touch it */
	cp_alarms_destroy(alarms);
	event_base_free(base);
	tmp_remove();
}

/* --- schema --- */

static bool to_upper(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	uint8_t up[64];

	for (size_t i = 0; i < len && i < sizeof(up); i++)
		up[i] = val[i] >= 'a' && val[i] <= 'z' ? (uint8_t)(val[i] - 32) : val[i];
	return cp_ops_add(ctx, CP_CF_PROFILE, false, key, key_len, up, len) == 0;
}

static int upper(struct cp_db *db, struct cp_ops *ops)
{
	return cp_db_each(db, CP_CF_PROFILE, false, to_upper, ops);
}

static int fail(struct cp_db *db, struct cp_ops *ops)
{
	(void)db;
	(void)ops;
	return -EBADMSG;
}

static bool db_has(struct cp_db *db, const char *key, const char *val)
{
	uint8_t *v = NULL;
	size_t n = 0;
	bool ok = cp_db_get(db, CP_CF_PROFILE, key, strlen(key), &v, &n) == 0 && n == strlen(val) &&
		  memcmp(v, val, n) == 0;

	free(v);
	return ok;
}

#define NOW CP_STORE_SCHEMA

static void test_migration(void)
{
	static const cp_migrate_fn steps[NOW + 1] = {[NOW - 1] = upper}, broken[NOW + 1] = {[NOW - 1] = upper, fail};
	static const struct cp_schema next = {NOW + 1, CP_CF_MAX, steps}, later = {NOW + 2, CP_CF_MAX, broken};
	char backup[128], err[256], words[80];
	struct cp_db *db = NULL;
	struct stat st;
	int rc;

	begin();
	CU_ASSERT_EQUAL(cp_store_commit(store, one("m", "small")), 0);
	cp_store_close(store);

	CU_ASSERT_EQUAL_FATAL(cp_db_open(tmp_store, &next, &db, err, sizeof(err)), 0);
	CU_ASSERT_TRUE(db_has(db, "m", "SMALL"));
	cp_db_close(db);
	CU_ASSERT_EQUAL_FATAL(cp_db_open(tmp_store, &next, &db, err, sizeof(err)), 0); /* once only */
	cp_db_close(db);

	/* the backup is the store before, and opens with the program before */
	snprintf(backup, sizeof(backup), "%s.before-%d", tmp_store, NOW + 1);
	CU_ASSERT_EQUAL(stat(backup, &st), 0);
	CU_ASSERT_EQUAL_FATAL(cp_db_open(backup, NULL, &db, err, sizeof(err)), 0);
	CU_ASSERT_TRUE(db_has(db, "m", "small"));
	cp_db_close(db);

	/* a newer store is refused, in words, and left as it is */
	CU_ASSERT_PTR_NULL(open_store(base, &rc));
	CU_ASSERT_EQUAL(rc, -ENOTSUP);
	CU_ASSERT_EQUAL(cp_db_open(tmp_store, NULL, &db, err, sizeof(err)), -ENOTSUP);
	snprintf(words, sizeof(words), "schema %d, this program knows up to %d", NOW + 1, NOW);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, words));

	/* a migration that fails leaves the last step that worked */
	CU_ASSERT_EQUAL(cp_db_open(tmp_store, &later, &db, err, sizeof(err)), -EBADMSG);
	CU_ASSERT_EQUAL_FATAL(cp_db_open(tmp_store, &next, &db, err, sizeof(err)), 0);
	CU_ASSERT_TRUE(db_has(db, "m", "SMALL"));
	cp_db_close(db);
	event_base_free(base);
	tmp_remove();
}

/* The program before: schema 1 ended with the family audit. */
static const struct cp_schema first = {1, CP_CF_AUDIT + 1, NULL};

static void put_db(struct cp_db *db, enum cp_cf cf, const char *key, int n)
{
	const struct cp_ops *list[1];
	struct cp_ops ops;
	char val[16], err[256];

	cp_ops_init(&ops);
	list[0] = &ops;
	CU_ASSERT_EQUAL(cp_ops_add(&ops, cf, false, key, strlen(key), val, (size_t)sprintf(val, "%d", n)), 0);
	CU_ASSERT_EQUAL(cp_db_write(db, list, 1, true, err, sizeof(err)), 0);
	cp_ops_free(&ops);
}

static bool db_is(struct cp_db *db, const char *key, int n)
{
	char val[16];

	sprintf(val, "%d", n);
	return db_has(db, key, val);
}

static bool reads(struct cp_store *s, enum cp_cf cf, const char *key, const char *val)
{
	uint8_t *v = NULL;
	size_t n = 0;
	bool ok = cp_store_read(s, cf, key, strlen(key), &v, &n) == 0 && n == strlen(val) && memcmp(v, val, n) == 0;

	free(v);
	return ok;
}

/* 20 times up and, by putting the checkpoint back, down again. */
static void test_upgrade_and_downgrade(void)
{
	char backup[128], upgraded[128], err[256], words[80];
	struct cp_db *db = NULL;
	struct stat st;

	tmp_make();
	base = event_base_new();
	snprintf(backup, sizeof(backup), "%s.before-%d", tmp_store, NOW);
	CU_ASSERT_EQUAL_FATAL(cp_db_open(tmp_store, &first, &db, err, sizeof(err)), 0);
	for (int i = 0; i < 20; i++) {
		struct cp_batch *b;
		int rc;

		/* the older program: what it wrote in all rounds is there, nothing of the newer one */
		for (int j = 0; j < i; j++) {
			char key[16];

			sprintf(key, "old%d", j);
			CU_ASSERT_TRUE(db_is(db, key, j));
		}
		CU_ASSERT_FALSE(db_has(db, "new", "1"));
		sprintf(err, "old%d", i);
		put_db(db, CP_CF_PROFILE, err, i);
		cp_db_close(db);

		/* the newer one: all of it, and its own families */
		store = open_store(base, &rc);
		CU_ASSERT_EQUAL_FATAL(rc, 0);
		for (int j = 0; j <= i; j++) {
			char key[16], val[16];

			sprintf(key, "old%d", j);
			sprintf(val, "%d", j);
			CU_ASSERT_TRUE(has(store, key, val));
		}
		b = one("new", "1");
		cp_batch_put(b, CP_CF_LEDGER, "l", 1, "ledger", 6);
		cp_batch_put(b, CP_CF_SIGNED, "s", 1, "signed", 6);
		CU_ASSERT_EQUAL(cp_store_commit(store, b), 0);
		cp_store_close(store);
		store = open_store(base, &rc);
		CU_ASSERT_EQUAL_FATAL(rc, 0);
		CU_ASSERT_TRUE(has(store, "new", "1"));
		CU_ASSERT_TRUE(reads(store, CP_CF_LEDGER, "l", "ledger"));
		CU_ASSERT_TRUE(reads(store, CP_CF_SIGNED, "s", "signed"));
		cp_store_close(store);

		/* the older one refuses it, until the checkpoint is back in its place */
		CU_ASSERT_EQUAL(cp_db_open(tmp_store, &first, &db, err, sizeof(err)), -ENOTSUP);
		snprintf(words, sizeof(words), "schema %d, this program knows up to 1", NOW);
		CU_ASSERT_PTR_NOT_NULL(strstr(err, words));
		CU_ASSERT_EQUAL(stat(backup, &st), 0);
		snprintf(upgraded, sizeof(upgraded), "%s.up-%d", tmp_store, i);
		CU_ASSERT_EQUAL(rename(tmp_store, upgraded), 0);
		CU_ASSERT_EQUAL(rename(backup, tmp_store), 0);
		CU_ASSERT_EQUAL_FATAL(cp_db_open(tmp_store, &first, &db, err, sizeof(err)), 0);
	}
	cp_db_close(db);
	event_base_free(base);
	tmp_remove();
}

/* A power cut in the middle of an upgrade: checkpoint there, families there, the number not. */
static void test_upgrade_cut_short(void)
{
	static const cp_migrate_fn steps[NOW - 1] = {fail};
	static const struct cp_schema cut = {NOW, CP_CF_MAX, steps};
	char backup[128], aside[512], err[256];
	struct cp_db *db = NULL;
	struct stat st, st2;
	int rc;

	tmp_make();
	base = event_base_new();
	snprintf(backup, sizeof(backup), "%s.before-%d", tmp_store, NOW);
	CU_ASSERT_EQUAL_FATAL(cp_db_open(tmp_store, &first, &db, err, sizeof(err)), 0);
	put_db(db, CP_CF_PROFILE, "k", 1);
	cp_db_close(db);
	CU_ASSERT_EQUAL(cp_db_open(tmp_store, &cut, &db, err, sizeof(err)), -EBADMSG);
	CU_ASSERT_EQUAL_FATAL(stat(backup, &st), 0);
	store = open_store(base, &rc); /* goes on where it was cut, with the same checkpoint */
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	CU_ASSERT_TRUE(has(store, "k", "1"));
	cp_store_close(store);
	CU_ASSERT_EQUAL(stat(backup, &st2), 0);
	CU_ASSERT_EQUAL(st.st_ino, st2.st_ino);

	/* put back as a copy that stays: the next upgrade does not take it for its own */
	snprintf(aside, sizeof(aside), "rm -r %s && cp -r %s %s", tmp_store, backup, tmp_store);
	CU_ASSERT_EQUAL_FATAL(system(aside), 0);
	CU_ASSERT_EQUAL_FATAL(cp_db_open(tmp_store, &first, &db, err, sizeof(err)), 0);
	put_db(db, CP_CF_PROFILE, "k", 2);
	cp_db_close(db);
	store = open_store(base, &rc);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	CU_ASSERT_TRUE(has(store, "k", "2"));
	cp_store_close(store);
	CU_ASSERT_EQUAL_FATAL(cp_db_open(backup, &first, &db, err, sizeof(err)), 0);
	CU_ASSERT_TRUE(db_is(db, "k", 2));
	cp_db_close(db);
	snprintf(aside, sizeof(aside), "ls -d %s.[0-9]* >/dev/null", backup);
	CU_ASSERT_EQUAL(system(aside), 0); /* and the older one is still there */
	event_base_free(base);
	tmp_remove();
}

/* --- other threads --- */

#define POSTERS 4
#define POSTED  200

static int posted_done;

static void on_posted(void *ctx, int rc)
{
	CU_ASSERT_EQUAL(rc, 0);
	CU_ASSERT_TRUE(reads(store, CP_CF_SIGNED, ctx, "v")); /* what is acknowledged can be read */
	free(ctx);
	done = ++posted_done == POSTERS * POSTED;
}

static void *poster(void *ctx)
{
	for (int i = 0; i < POSTED; i++) {
		struct cp_batch *b = cp_batch_create();
		char key[32], *copy;
		uint8_t *v;
		size_t n;
		int rc;

		snprintf(key, sizeof(key), "%c%d", (char)(intptr_t)ctx, i);
		copy = strdup(key);
		cp_batch_put(b, CP_CF_SIGNED, key, strlen(key), "v", 1);
		CU_ASSERT_EQUAL(cp_store_post(store, b, on_posted, copy), 0);
		rc = cp_store_read(store, CP_CF_SIGNED, key, strlen(key), &v, &n);
		CU_ASSERT(rc == 0 || rc == -ENOENT);
		if (rc == 0)
			free(v);
	}
	return NULL;
}

static bool scan_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	char *seen = ctx;

	(void)val;
	(void)len;
	strncat(seen, (const char *)key, key_len);
	strcat(seen, " ");
	return strlen(seen) < 16;
}

static void test_other_threads(void)
{
	char seen[64] = "";
	struct cp_batch *b;
	pthread_t t[POSTERS];
	const uint8_t *w;
	uint8_t *v;
	size_t n;

	begin();
	posted_done = done = 0;
	for (intptr_t i = 0; i < POSTERS; i++)
		pthread_create(&t[i], NULL, poster, (void *)('a' + i));
	CU_ASSERT_TRUE(wait_for(base, &done));
	for (int i = 0; i < POSTERS; i++)
		pthread_join(t[i], NULL);
	CU_ASSERT_EQUAL(cp_store_get(store, CP_CF_SIGNED, "a0", 2, &w, &n), -ENOENT); /* no view */
	CU_ASSERT_EQUAL(cp_store_read(store, CP_CF_SIGNED, "nil", 3, &v, &n), -ENOENT);
	CU_ASSERT_EQUAL(cp_store_read(store, CP_CF_MAX, "nil", 3, &v, &n), -EINVAL);
	CU_ASSERT_EQUAL(cp_store_scan(store, CP_CF_SIGNED, "c98", 3, scan_one, seen), 0);
	CU_ASSERT_STRING_EQUAL(seen, "c98 c99 d0 d1 d10 ");
	b = one("x", "1");
	cp_batch_put(b, CP_CF_DEVICE, "SEP000000000001", 15, "x", 1); /* what the directory checks is not posted */
	CU_ASSERT_EQUAL(cp_store_post(store, b, NULL, NULL), -EINVAL);
	b = one("x", "1");
	cp_batch_audit(b, "{}");
	CU_ASSERT_EQUAL(cp_store_post(store, b, NULL, NULL), -EINVAL);
	end();
}

static void test_bad_record_is_not_served(void)
{
	struct cp_batch *b = cp_batch_create();
	struct cp_alarms *alarms = cp_alarms_create();
	struct cp_store_opts o = {.path = tmp_store, .alarms = alarms};
	char err[256];

	begin();
	cp_batch_put(b, CP_CF_DEVICE, "SEP000000000001", 15, "rubbish", 7);
	CU_ASSERT_EQUAL(cp_store_commit(store, b), 0);
	CU_ASSERT_PTR_NULL(cp_dir_device(store, "SEP000000000001"));
	cp_store_close(store);
	o.base = base;
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &store, err, sizeof(err)), 0);
	CU_ASSERT_PTR_NULL(cp_dir_device(store, "SEP000000000001"));
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(alarms, "store-bad-record", "store"));
	end();
	cp_alarms_destroy(alarms);
}

static void test_damaged_files(void)
{
	char path[160];
	FILE *f;
	int rc;

	begin();
	cp_store_close(store);
	snprintf(path, sizeof(path), "%s/CURRENT", tmp_store);
	f = fopen(path, "w");
	fputs("nonsense\n", f);
	fclose(f);
	CU_ASSERT_PTR_NULL(open_store(base, &rc));
	CU_ASSERT(rc < 0);
	event_base_free(base);
	tmp_remove();
}

static off_t log_bytes;

static int count_log(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	const char *name = path + ftw->base, *dot = strrchr(name, '.');

	if (flag == FTW_F && dot != NULL && strcmp(dot, ".log") == 0)
		log_bytes += st->st_size;
	return 0;
}

#define MANY 3000

static void put_many(struct cp_store *s)
{
	struct cp_change *c = cp_change_create(s);
	struct cp_batch *b = cp_batch_create();
	struct cp_line lines[2] = {0};
	struct cp_device d = {.mode = CP_DEVICE_ENCRYPTED, .region = "default", .srtp = true, .lines = lines, .line_cnt = 2};

	for (int i = 0; i < MANY; i++) {
		snprintf(d.name, sizeof(d.name), "SEP%012X", i);
		snprintf(lines[0].number, sizeof(lines[0].number), "1%05d", i);
		snprintf(lines[1].number, sizeof(lines[1].number), "2%05d", i);
		CU_ASSERT_EQUAL_FATAL(cp_change_device_put(c, &d, false, NULL, 0), 0);
	}
	done = 0;
	CU_ASSERT_EQUAL(cp_change_submit(c, "test", "test", NULL, on_done, NULL), 0);
	CU_ASSERT_TRUE(wait_for(base, &done));
	cp_batch_put(b, CP_CF_DEVICE, "SEPFFFFFFFFFFFF", 15, "rubbish", 7);
	cp_batch_put(b, CP_CF_LINE, "E3", 2, "rubbish", 7);
	cp_batch_put(b, CP_CF_LEDGER, "x", 1, "", 0); /* no object, and no value either */
	CU_ASSERT_EQUAL(cp_store_commit(s, b), 0);
}

static void check_many(const struct cp_store *s)
{
	const uint8_t *v;
	unsigned wrong = 0;
	size_t n;

	for (int i = 0; i < MANY; i++) {
		struct cp_dir_hit hit;
		char number[16], name[16];

		snprintf(name, sizeof(name), "SEP%012X", i);
		snprintf(number, sizeof(number), "%d%05d", 1 + i % 2, i);
		wrong += !cp_dir_number(s, number, &hit, NULL) || hit.device != cp_dir_device(s, name) || hit.line != 1u + (unsigned)(i % 2);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(cp_store_count(s, CP_CF_DEVICE), MANY + 1);
	CU_ASSERT_EQUAL(cp_store_count(s, CP_CF_LINE), 2 * MANY + 1);
	CU_ASSERT_PTR_NULL(cp_dir_device(s, "SEPFFFFFFFFFFFF"));
	CU_ASSERT_EQUAL(cp_store_get(s, CP_CF_LEDGER, "x", 1, &v, &n), 0);
	CU_ASSERT_EQUAL(n, 0);
}

static void fill_and_die(const char *path)
{
	snprintf(tmp_store, sizeof(tmp_store), "%s", path);
	base = event_base_new();
	store = open_store(base, NULL);
	put_many(store);
	raise(SIGKILL);
}

/* After a close there are tables and an empty log; after a kill the log. The view is the same: several threads fill it. */
static void test_many_after_close_and_kill(void)
{
	struct cp_alarms *alarms = cp_alarms_create();
	struct cp_store_opts o = {.path = tmp_store, .alarms = alarms};
	const struct cp_alarm *a;
	struct cp_batch *b;
	char err[256];
	int status = 0;
	pid_t pid;

	begin();
	put_many(store);
	check_many(store);
	b = cp_batch_create();
	cp_batch_audit(b, "{\"event\":\"last\"}");
	CU_ASSERT_EQUAL(cp_store_commit(store, b), 0);
	cp_store_close(store);
	log_bytes = 0;
	nftw(tmp_store, count_log, 16, FTW_PHYS);
	CU_ASSERT(log_bytes < 1000);
	o.base = base;
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &store, err, sizeof(err)), 0);
	check_many(store);
	a = cp_alarm_find(alarms, "store-bad-record", "store");
	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	CU_ASSERT_STRING_EQUAL(a->text, "2 records cannot be read and are not served");
	/* what was loaded is changed and deleted like what was written since */
	CU_ASSERT_EQUAL(cp_dir_line_del(store, "100000", NULL, &(struct cp_dir_ctx){.who = "test", .fn = on_done}), 0);
	done = 0;
	CU_ASSERT_TRUE(wait_for(base, &done));
	CU_ASSERT_EQUAL(last_rc, 0);
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_LINE), 2 * MANY);
	CU_ASSERT_EQUAL(cp_dir_device(store, "SEP000000000000")->line_cnt, 1);
	cp_store_close(store);
	event_base_free(base);
	tmp_remove();
	cp_alarms_destroy(alarms);

	tmp_make();
	fflush(NULL);
	pid = fork(); /* RocksDB's threads do not live in a child of ours: it begins anew */
	if (pid == 0) {
		setenv(FILL, tmp_store, 1);
		execl("/proc/self/exe", "test_store", (char *)NULL);
		_exit(127);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	log_bytes = 0;
	nftw(tmp_store, count_log, 16, FTW_PHYS);
	CU_ASSERT(log_bytes > 100000);
	base = event_base_new();
	store = open_store(base, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(store);
	check_many(store);
	end();
}

static void test_table_in_bulk(void)
{
	static const uint8_t val[] = "a value behind the key";
	struct cp_tab t;
	struct cp_ent *e;
	char key[16];

	CU_ASSERT_EQUAL_FATAL(cp_tab_init(&t, NULL), 0);
	cp_tab_reserve(&t, 1000);
	CU_ASSERT_EQUAL(cp_tab_buckets(&t), 1000);
	cp_tab_reserve(&t, 10); /* never shrinks */
	CU_ASSERT_EQUAL(cp_tab_buckets(&t), 1000);
	for (int i = 0; i < 3000; i++) { /* more than there was room for */
		size_t len = (size_t)snprintf(key, sizeof(key), "%d", i);

		e = cp_tab_add(&t, key, len, val, (size_t)i % sizeof(val));
		CU_ASSERT_PTR_NOT_NULL_FATAL(e);
		CU_ASSERT_EQUAL(e->val_len, (uint32_t)i % sizeof(val));
	}
	CU_ASSERT_EQUAL(t.cnt, 3000);
	CU_ASSERT_EQUAL(cp_tab_buckets(&t), 3000); /* one more for each */
	for (int i = 0; i < 3000; i++) {
		size_t len = (size_t)snprintf(key, sizeof(key), "%d", i);

		CU_ASSERT_PTR_NOT_NULL(cp_tab_find(&t, key, len));
	}
	e = cp_tab_find(&t, "22", 2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	CU_ASSERT_EQUAL(memcmp(e->val, val, 22), 0);
	cp_ent_set_val(e, (uint8_t *)strdup("other"), 5); /* from behind the key to the heap, and again */
	CU_ASSERT_EQUAL(memcmp(e->val, "other", 5), 0);
	cp_ent_set_val(e, (uint8_t *)strdup("third"), 5);
	CU_ASSERT_PTR_EQUAL(cp_tab_find(&t, "22", 2), e);
	CU_ASSERT_TRUE(cp_tab_del(&t, "22", 2));
	CU_ASSERT_TRUE(cp_tab_del(&t, "23", 2));
	CU_ASSERT_EQUAL(t.cnt, 2998);
	cp_tab_fini(&t);
}

static void test_table_against_array(void)
{
	static uint8_t there[5000];
	struct cp_tab t;
	struct cp_ent **all;
	size_t n = 0;

	CU_ASSERT_EQUAL_FATAL(cp_tab_init(&t, NULL), 0);
	srand(1);
	for (int i = 0; i < 200000; i++) {
		unsigned k = (unsigned)rand() % 5000;
		char key[16];
		size_t len = (size_t)snprintf(key, sizeof(key), "%u", k);

		if (rand() % 2) {
			CU_ASSERT_PTR_NOT_NULL(cp_tab_put(&t, key, len));
			n += !there[k];
			there[k] = 1;
		} else {
			CU_ASSERT_EQUAL(cp_tab_del(&t, key, len), there[k]);
			n -= there[k];
			there[k] = 0;
		}
		CU_ASSERT_EQUAL(t.cnt, n);
	}
	all = cp_tab_sorted(&t);
	for (size_t i = 1; i < t.cnt; i++) {
		size_t m = all[i]->key_len < all[i - 1]->key_len ? all[i]->key_len : all[i - 1]->key_len;
		int c = memcmp(all[i - 1]->key, all[i]->key, m);

		CU_ASSERT(c < 0 || (c == 0 && all[i - 1]->key_len < all[i]->key_len));
	}
	free(all);
	cp_tab_fini(&t);
}

static CU_TestInfo tests[] = {
	{"the view shows what is synced, when the loop runs", test_view_follows_sync},
	{"callbacks in order, writes in groups", test_order_and_groups},
	{"commit waits and shows", test_commit_waits},
	{"close commits what was submitted", test_close_commits},
	{"without an event loop", test_no_loop},
	{"a batch with a bad put is refused whole", test_bad_batches},
	{"one process at a time", test_second_opener},
	{"watchers", test_watch},
	{"audit: newest first, unique times, over restarts", test_audit},
	{"old audit records go", test_audit_is_trimmed},
	{"alarms are kept in the audit", test_alarms_are_audited},
	{"migration, backup, newer refused", test_migration},
	{"20 times up and down again", test_upgrade_and_downgrade},
	{"an upgrade that is cut short", test_upgrade_cut_short},
	{"other threads post and read", test_other_threads},
	{"an unreadable record is an alarm, not served", test_bad_record_is_not_served},
	{"damaged files are an error", test_damaged_files},
	{"many records, after a close and after a kill", test_many_after_close_and_kill},
	{"the table against an array", test_table_against_array},
	{"the table filled in bulk", test_table_in_bulk},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	cfg_log_init("t", CFG_LOG_KV, CFG_LOG_ERR);
	return 0;
}

#include "suite.h"
SUITE_MAIN("store", tests, setup, NULL)
