/* SPDX-License-Identifier: BSD-3-Clause */
/* Submission, and delivery on the event loop. The thread is in commit.c, the view of what is synced in view.c. */
#include "store.h"

#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "alarm.h"
#include "clock.h"
#include "internal.h"
#include "log.h"

void batch_list_init(struct batch_list *list)
{
	list->first = NULL;
	list->last = &list->first;
}

void batch_list_add(struct batch_list *list, struct cp_batch *batch)
{
	batch->next = NULL;
	*list->last = batch;
	list->last = &batch->next;
}

void cp_store_kick(struct cp_store *s)
{
	uint64_t one = 1;

	/* full (EAGAIN) means that the loop is to wake anyway */
	if (s->efd >= 0 && write(s->efd, &one, sizeof(one)) < 0)
		return;
}

/* --- batches --- */

struct cp_batch *cp_batch_create(void)
{
	struct cp_batch *b = calloc(1, sizeof(*b));

	if (b != NULL)
		cp_ops_init(&b->ops);
	return b;
}

void cp_batch_destroy(struct cp_batch *b)
{
	if (b == NULL)
		return;
	cp_ops_free(&b->ops);
	free(b);
}

static int batch_add(struct cp_batch *b, enum cp_cf cf, bool del, const void *key, size_t key_len, const void *val,
		     size_t val_len)
{
	int rc = cp_ops_add(&b->ops, cf, del, key, key_len, val, val_len);

	if (rc < 0 && b->err == 0)
		b->err = rc;
	return rc;
}

int cp_batch_put(struct cp_batch *b, enum cp_cf cf, const void *key, size_t key_len, const void *val, size_t val_len)
{
	return batch_add(b, cf, false, key, key_len, val, val_len);
}

int cp_batch_del(struct cp_batch *b, enum cp_cf cf, const void *key, size_t key_len)
{
	return batch_add(b, cf, true, key, key_len, NULL, 0);
}

int cp_batch_audit(struct cp_batch *b, const char *json)
{
	/* the key is set on submission, when the order is known */
	return batch_add(b, CP_CF_AUDIT, false, "00000000", 8, json, strlen(json));
}

int cp_batch_audit_json(struct cp_batch *b, json_t *record)
{
	char *text = record != NULL ? json_dumps(record, JSON_COMPACT) : NULL;
	int rc = b == NULL || text == NULL ? -ENOMEM : cp_batch_audit(b, text);

	free(text);
	json_decref(record);
	return rc;
}

int cp_store_audit_add(struct cp_store *s, json_t *record, cp_store_fn fn, void *ctx)
{
	struct cp_batch *b = cp_batch_create();
	int rc = cp_batch_audit_json(b, record);

	if (rc == 0)
		return cp_store_submit(s, b, fn, ctx);
	cp_batch_destroy(b);
	return rc;
}

static bool last_audit(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_store *s = ctx;

	(void)val;
	(void)len;
	for (size_t i = 0; i < key_len && i < 8; i++)
		s->last_audit_us = s->last_audit_us << 8 | key[i];
	return false;
}

/* --- pending keys --- */

static size_t pending_key(uint8_t *buf, enum cp_cf cf, const void *key, size_t key_len)
{
	buf[0] = (uint8_t)cf;
	memcpy(buf + 1, key, key_len);
	return key_len + 1;
}

bool cp_store_pending(const struct cp_store *s, enum cp_cf cf, const void *key, size_t key_len)
{
	uint8_t buf[CP_STORE_KEY_MAX + 1];
	size_t n = pending_key(buf, cf, key, key_len);

	return cp_tab_find(&s->pending, buf, n) != NULL;
}

static bool tracked(const struct cp_op *op)
{
	return op->cf == CP_CF_DEVICE || op->cf == CP_CF_LINE || op->cf == CP_CF_GATEWAY || op->cf == CP_CF_SA ||
	       op->cf == CP_CF_PROFILE || op->cf == CP_CF_DIAL;
}

static void pending_drop(struct cp_store *s, const struct cp_batch *b, const struct cp_op *end)
{
	uint8_t buf[CP_STORE_KEY_MAX + 1];

	for (const struct cp_op *op = b->ops.first; op != end; op = op->next) {
		size_t n = pending_key(buf, op->cf, op->data, op->key_len);
		struct cp_ent *e = tracked(op) ? cp_tab_find(&s->pending, buf, n) : NULL;

		if (e != NULL && --e->n == 0)
			cp_tab_del(&s->pending, buf, n);
	}
}

static int pending_take(struct cp_store *s, const struct cp_batch *b)
{
	uint8_t buf[CP_STORE_KEY_MAX + 1];

	for (const struct cp_op *op = b->ops.first; op != NULL; op = op->next) {
		struct cp_ent *e;

		if (!tracked(op))
			continue;
		e = cp_tab_put(&s->pending, buf, pending_key(buf, op->cf, op->data, op->key_len));
		if (e == NULL) {
			pending_drop(s, b, op);
			return -ENOMEM;
		}
		e->n++;
	}
	return 0;
}

/* --- submission and delivery --- */

static void stamp_audit(struct cp_store *s, struct cp_batch *b)
{
	for (struct cp_op *op = b->ops.first; op != NULL; op = op->next) {
		int64_t t = cp_wall_us();

		if (op->cf != CP_CF_AUDIT || op->del)
			continue;
		if (t <= s->last_audit_us)
			t = s->last_audit_us + 1; /* order and uniqueness survive a clock that jumps back */
		s->last_audit_us = t;
		for (unsigned i = 0; i < 8; i++)
			op->data[i] = (uint8_t)((uint64_t)t >> (56 - 8 * i));
	}
}

/* To the store thread. Any thread. The batch is freed on error. */
static int enqueue(struct cp_store *s, struct cp_batch *b)
{
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	if (s->queue.first != NULL && s->queue_bytes + b->ops.bytes > QUEUE_BYTES_MAX) {
		rc = -EAGAIN;
	} else {
		s->queue_bytes += b->ops.bytes;
		s->stats.queued++;
		batch_list_add(&s->queue, b);
		if (s->stats.queued >= s->wake_at)
			pthread_cond_signal(&s->work);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static int submit(struct cp_store *s, struct cp_batch *b, cp_store_fn fn, void *ctx)
{
	int rc = b->err;

	b->fn = fn;
	b->ctx = ctx;
	if (rc == 0)
		rc = pending_take(s, b);
	if (rc == 0) {
		stamp_audit(s, b);
		rc = enqueue(s, b);
		if (rc < 0)
			pending_drop(s, b, NULL);
	}
	if (rc < 0)
		cp_batch_destroy(b);
	return rc;
}

int cp_store_post(struct cp_store *s, struct cp_batch *b, cp_store_fn fn, void *ctx)
{
	int rc = s->base == NULL ? -EINVAL : b->err;

	for (const struct cp_op *op = b->ops.first; op != NULL && rc == 0; op = op->next)
		if (tracked(op) || op->cf == CP_CF_AUDIT)
			rc = -EINVAL;
	b->fn = fn;
	b->ctx = ctx;
	if (rc == 0)
		rc = enqueue(s, b);
	if (rc < 0)
		cp_batch_destroy(b);
	return rc;
}

int cp_store_submit(struct cp_store *s, struct cp_batch *b, cp_store_fn fn, void *ctx)
{
	if (s->base == NULL) {
		cp_batch_destroy(b);
		return -EINVAL;
	}
	return submit(s, b, fn, ctx);
}

/* Take what the thread finished, and show it: all that is ready enters the view before anything is called. */
static void apply_finished(struct cp_store *s)
{
	pthread_mutex_lock(&s->lock);
	if (s->finished.first != NULL) {
		*s->ready.last = s->finished.first;
		s->ready.last = s->finished.last;
		batch_list_init(&s->finished);
	}
	pthread_mutex_unlock(&s->lock);
	for (struct cp_batch *b = s->ready.first; b != NULL; b = b->next) {
		if (b->applied)
			continue;
		b->applied = true;
		pending_drop(s, b, NULL);
		for (const struct cp_op *op = b->ops.first; op != NULL && b->rc == 0; op = op->next) {
			int rc = 0;

			if (!cp_view_has((enum cp_cf)op->cf))
				continue;
			if (op->del)
				cp_view_del(s, op->cf, op->data, op->key_len);
			else
				rc = cp_view_put(s, op->cf, op->data, op->key_len, op->data + op->key_len,
						 op->val_len);
			if (rc < 0)
				cp_view_bad(s, op->cf, op->data, op->key_len, rc);
		}
	}
}

static void keep_alarm_text(struct cp_store *s, char *text)
{
	if (s->alarm_ring_cnt == ALARM_RING) {
		free(s->alarm_ring[0]);
		memmove(s->alarm_ring, s->alarm_ring + 1, (ALARM_RING - 1) * sizeof(char *));
		s->alarm_ring_cnt--;
	}
	s->alarm_ring[s->alarm_ring_cnt++] = text;
}

struct alarm_write {
	struct cp_store *s;
	char *text;
};

static void alarm_written(void *ctx, int rc)
{
	struct alarm_write *w = ctx;

	if (rc < 0)
		keep_alarm_text(w->s, w->text); /* again once the store works */
	else
		free(w->text);
	free(w);
}

static void write_alarm(struct cp_store *s, char *text)
{
	struct alarm_write *w = malloc(sizeof(*w));
	struct cp_batch *b = cp_batch_create();

	if (w == NULL || b == NULL || cp_batch_audit(b, text) < 0) {
		cp_batch_destroy(b);
		free(w);
		free(text);
		return;
	}
	*w = (struct alarm_write){s, text};
	if (cp_store_submit(s, b, alarm_written, w) < 0) {
		keep_alarm_text(s, text);
		free(w);
	}
}

static void on_alarm(void *ctx, enum cp_alarm_what what, const struct cp_alarm *a)
{
	json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s}", "event", what == CP_ALARM_RAISED ? "alarm" : "alarm-cleared",
			      "id", a->id, "subject", a->subject, "severity", cp_alarm_severity_name(a->severity),
			      "text", a->text);
	char *text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);

	json_decref(o);
	if (text != NULL)
		write_alarm(ctx, text);
}

static void check_state(struct cp_store *s)
{
	struct cp_store_stats st;

	cp_store_stats(s, &st);
	if (st.failing && !s->alarm_up) {
		s->alarm_up = true;
		cp_alarm_raise(s->alarms, "store-failing", CP_ALARM_CRITICAL, "store",
			       "%s: changes are refused until a write succeeds",
			       st.failing_rc == -ENOSPC ? "no space" : "I/O error");
	} else if (!st.failing && s->alarm_up) {
		unsigned n = s->alarm_ring_cnt;
		char *texts[ALARM_RING];

		s->alarm_up = false;
		memcpy(texts, s->alarm_ring, n * sizeof(char *));
		s->alarm_ring_cnt = 0;
		for (unsigned i = 0; i < n; i++)
			write_alarm(s, texts[i]);
		cp_alarm_clear(s->alarms, "store-failing", "store");
	}
}

static void deliver(struct cp_store *s)
{
	if (s->delivering)
		return;
	s->delivering = true;
	apply_finished(s);
	while (s->ready.first != NULL) {
		struct cp_batch *b = s->ready.first;

		s->ready.first = b->next;
		if (s->ready.first == NULL)
			s->ready.last = &s->ready.first;
		for (const struct cp_op *op = b->ops.first; op != NULL && b->rc == 0; op = op->next)
			for (unsigned i = 0; i < s->watch_cnt; i++)
				if (s->watch[i].cf == op->cf)
					s->watch[i].fn(s->watch[i].ctx, op->cf, op->data, op->key_len, op->del);
		if (b->fn != NULL)
			b->fn(b->ctx, b->rc);
		cp_batch_destroy(b);
	}
	s->delivering = false;
	check_state(s);
}

static void on_kick(evutil_socket_t fd, short what, void *ctx)
{
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		cfg_log(CFG_LOG_ERR, "store-eventfd", "errno=%d", errno);
	deliver(ctx);
}

int cp_store_commit(struct cp_store *s, struct cp_batch *b)
{
	int rc = submit(s, b, NULL, NULL);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&s->lock);
	while (!b->done)
		pthread_cond_wait(&s->finish, &s->lock);
	rc = b->rc;
	pthread_mutex_unlock(&s->lock);
	if (s->base == NULL)
		deliver(s);
	else
		apply_finished(s); /* callbacks of all come from the loop */
	return rc;
}

int cp_store_watch(struct cp_store *s, enum cp_cf cf, cp_store_watch_fn fn, void *ctx)
{
	if (s->watch_cnt == WATCH_MAX)
		return -ENOSPC;
	s->watch[s->watch_cnt++] = (struct watch){cf, fn, ctx};
	return 0;
}

/* --- open and close --- */

static void store_free(struct cp_store *s)
{
	if (s->ev != NULL)
		event_free(s->ev);
	if (s->efd >= 0)
		close(s->efd);
	cp_view_fini(s);
	cp_tab_fini(&s->pending);
	cp_dir_fini(s);
	for (unsigned i = 0; i < s->alarm_ring_cnt; i++)
		free(s->alarm_ring[i]);
	cp_ops_free(&s->doubt);
	cp_ops_free(&s->undo);
	cp_db_close(s->db);
	pthread_rwlock_destroy(&s->db_lock);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->finish);
	free(s->path);
	free(s);
}

static int start(struct cp_store *s, char *err, size_t err_size)
{
	int rc = cp_db_open(s->path, NULL, &s->db, err, err_size);

	if (rc == 0)
		rc = cp_view_load(s);
	if (rc == 0)
		rc = cp_db_each(s->db, CP_CF_AUDIT, true, last_audit, s);
	if (rc < 0) {
		if (err[0] == '\0')
			snprintf(err, err_size, "cannot read %s: %s", s->path, strerror(-rc));
		return rc;
	}
	if (s->base != NULL) {
		s->efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		s->ev = s->efd < 0 ? NULL : event_new(s->base, s->efd, EV_READ | EV_PERSIST, on_kick, s);
		if (s->ev == NULL || event_add(s->ev, NULL) < 0)
			return -ENOMEM;
	}
	rc = -pthread_create(&s->thread, NULL, cp_store_thread, s);
	s->thread_runs = rc == 0;
	return rc;
}

int cp_store_open(const struct cp_store_opts *opts, struct cp_store **ret_store, char *err, size_t err_size)
{
	struct cp_store *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;
	int rc = 0;

	if (err_size > 0)
		err[0] = '\0';
	if (s == NULL)
		return -ENOMEM;
	s->efd = -1;
	s->base = opts->base;
	s->alarms = opts->alarms;
	s->no_sync = opts->no_sync;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->work, &attr);
	pthread_cond_init(&s->finish, NULL);
	pthread_condattr_destroy(&attr);
	pthread_rwlock_init(&s->db_lock, NULL);
	batch_list_init(&s->queue);
	batch_list_init(&s->finished);
	batch_list_init(&s->ready);
	cp_ops_init(&s->doubt);
	cp_ops_init(&s->undo);
	s->audit = (struct cp_keep){.cf = CP_CF_AUDIT, .max = CP_AUDIT_MAX};
	s->cdr = (struct cp_keep){.cf = CP_CF_CDR, .max = opts->cdr_max, .us = opts->cdr_days * UINT64_C(86400000000)};
	s->path = strdup(opts->path);
	rc = cp_view_init(s);
	if (rc == 0)
		rc = cp_tab_init(&s->pending, NULL);
	if (rc == 0)
		rc = cp_dir_init(s);
	if (rc == 0)
		rc = s->path == NULL ? -ENOMEM : start(s, err, err_size);
	if (rc < 0) {
		if (err_size > 0 && err[0] == '\0')
			snprintf(err, err_size, "cannot open the store: %s", strerror(-rc));
		store_free(s);
		return rc;
	}
	if (s->alarms != NULL && s->base != NULL)
		cp_alarms_listen(s->alarms, on_alarm, s);
	if (s->bad_records > 0)
		cp_alarm_raise(s->alarms, "store-bad-record", CP_ALARM_MAJOR, "store",
			       "%u records cannot be read and are not served", s->bad_records);
	*ret_store = s;
	return 0;
}

void cp_store_close(struct cp_store *s)
{
	if (s == NULL)
		return;
	if (s->alarms != NULL && s->base != NULL)
		cp_alarms_listen(s->alarms, NULL, NULL);
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	deliver(s);
	/* what callbacks submitted just now finds no thread any more */
	while (s->queue.first != NULL) {
		struct cp_batch *b = s->queue.first;

		s->queue.first = b->next;
		if (b->fn != NULL)
			b->fn(b->ctx, -EIO);
		cp_batch_destroy(b);
	}
	if (!s->stats.failing)
		cp_db_settle(s->db);
	store_free(s);
}

/* --- reads --- */

int cp_store_get(const struct cp_store *s, enum cp_cf cf, const void *key, size_t key_len, const uint8_t **ret_val,
		 size_t *ret_len)
{
	const struct cp_ent *e = cf < CP_CF_MAX ? cp_tab_find(&s->view[cf], key, key_len) : NULL;

	if (e == NULL)
		return -ENOENT;
	*ret_val = e->val;
	*ret_len = e->val_len;
	return 0;
}

size_t cp_store_count(const struct cp_store *s, enum cp_cf cf)
{
	return s->view[cf].cnt;
}

void cp_store_each(const struct cp_store *s, enum cp_cf cf, cp_store_each_fn fn, void *ctx)
{
	struct cp_ent **all = cp_tab_sorted(&s->view[cf]);
	size_t n = all == NULL ? 0 : s->view[cf].cnt;

	for (size_t i = 0; i < n; i++)
		if (!fn(ctx, all[i]->key, all[i]->key_len, all[i]->val, all[i]->val_len))
			break;
	free(all);
}

void cp_store_stats(const struct cp_store *s, struct cp_store_stats *ret)
{
	/* the lock is no part of what const promises */
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&s->lock;

	pthread_mutex_lock(lock);
	*ret = s->stats;
	pthread_mutex_unlock(lock);
}

/* The database, held open; NULL while it is being reopened. */
static struct cp_db *hold_db(struct cp_store *s)
{
	if (pthread_rwlock_tryrdlock(&s->db_lock) != 0)
		return NULL;
	if (s->db != NULL)
		return s->db;
	pthread_rwlock_unlock(&s->db_lock);
	return NULL;
}

int cp_store_read(struct cp_store *s, enum cp_cf cf, const void *key, size_t key_len, uint8_t **ret_val,
		  size_t *ret_len)
{
	struct cp_db *db = hold_db(s);
	int rc;

	if (db == NULL)
		return -EIO;
	rc = cf >= CP_CF_MAX || key_len == 0 ? -EINVAL : cp_db_get(db, cf, key, key_len, ret_val, ret_len);
	pthread_rwlock_unlock(&s->db_lock);
	return rc;
}

int cp_store_scan(struct cp_store *s, enum cp_cf cf, const void *from, size_t from_len, cp_store_each_fn fn, void *ctx)
{
	struct cp_db *db = hold_db(s);
	int rc;

	if (db == NULL)
		return -EIO;
	rc = cf >= CP_CF_MAX ? -EINVAL : cp_db_scan(db, cf, from, from_len, fn, ctx);
	pthread_rwlock_unlock(&s->db_lock);
	return rc;
}

struct audit_read {
	unsigned left;
	void (*fn)(void *ctx, int64_t time_us, const char *json);
	void *ctx;
};

static bool audit_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct audit_read *r = ctx;
	char *text = strndup((const char *)val, len);
	uint64_t t = 0;

	if (text == NULL || r->left == 0) {
		free(text);
		return false;
	}
	for (size_t i = 0; i < key_len && i < 8; i++)
		t = t << 8 | key[i];
	r->fn(r->ctx, (int64_t)t, text);
	free(text);
	return --r->left > 0;
}

int cp_store_audit(struct cp_store *s, unsigned max, void (*fn)(void *ctx, int64_t time_us, const char *json), void *ctx)
{
	struct audit_read r = {max, fn, ctx};
	struct cp_db *db = hold_db(s);
	int rc;

	if (db == NULL)
		return -EIO;
	rc = cp_db_each(db, CP_CF_AUDIT, true, audit_one, &r);
	pthread_rwlock_unlock(&s->db_lock);
	return rc;
}
