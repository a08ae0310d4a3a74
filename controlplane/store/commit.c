/* SPDX-License-Identifier: BSD-3-Clause */
/* The store thread: group commit, and what happens when the disk does not take it. */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "internal.h"
#include "log.h"

#define KEEP_SLACK 1024  /* trimmed in steps of so many */
#define KEEP_MS    60000 /* ages are looked at that often */

static const uint8_t probe_key[] = "probe";

/* Hand a list back to the loop with one outcome. */
static void complete(struct cp_store *s, struct cp_batch *list, int rc)
{
	pthread_mutex_lock(&s->lock);
	for (struct cp_batch *b = list, *next; b != NULL; b = next) {
		next = b->next;
		b->rc = rc;
		b->done = true;
		s->queue_bytes -= b->ops.bytes;
		s->stats.queued--;
		if (rc == 0) {
			s->stats.batches++;
			s->stats.ops += b->ops.cnt;
		} else {
			s->stats.failed++;
		}
		batch_list_add(&s->finished, b);
	}
	pthread_cond_broadcast(&s->finish);
	pthread_mutex_unlock(&s->lock);
	cp_store_kick(s);
}

static void set_failing(struct cp_store *s, int rc)
{
	pthread_mutex_lock(&s->lock);
	s->stats.failing = rc != 0;
	s->stats.failing_rc = rc;
	if (rc == 0)
		s->stats.reopens++;
	pthread_mutex_unlock(&s->lock);
	cp_store_kick(s);
}

/* The keys of a failed write are in doubt: remember them. Never gives up: forgetting one could show a phantom. */
static void doubt_all(struct cp_store *s, const struct cp_batch *list)
{
	for (const struct cp_batch *b = list; b != NULL; b = b->next)
		for (const struct cp_op *op = b->ops.first; op != NULL; op = op->next)
			while (cp_ops_add(&s->doubt, op->cf, true, op->data, op->key_len, NULL, 0) == -ENOMEM)
				usleep(10000);
}

/*
 * What stood under the keys in doubt before. The handle that failed still answers from its own memory and files, where
 * a failed write never arrives; after a reopen the log may have brought it back.
 */
static int before_images(struct cp_store *s)
{
	struct cp_ops found;
	int rc = 0;

	cp_ops_init(&found);
	for (const struct cp_op *op = s->doubt.first; op != NULL && rc == 0; op = op->next) {
		uint8_t *val = NULL;
		size_t len = 0;

		rc = cp_db_get(s->db, op->cf, op->data, op->key_len, &val, &len);
		if (rc == 0)
			rc = cp_ops_add(&found, op->cf, false, op->data, op->key_len, val, len);
		else if (rc == -ENOENT)
			rc = cp_ops_add(&found, op->cf, true, op->data, op->key_len, NULL, 0);
		if (val != NULL)
			OPENSSL_cleanse(val, len);
		free(val);
	}
	if (rc < 0) {
		cp_ops_free(&found);
		return rc;
	}
	if (found.cnt > 0) {
		*s->undo.last = found.first;
		s->undo.last = found.last;
		s->undo.cnt += found.cnt;
		s->undo.bytes += found.bytes;
	}
	cp_ops_free(&s->doubt);
	return 0;
}

/* One attempt to get a working database back. 0 when a synced write went through. */
static int recover(struct cp_store *s)
{
	const struct cp_ops *lists[2];
	struct cp_ops probe;
	uint64_t stamp = cp_mono_us();
	char err[256] = "";
	int rc = 0;

	if (s->doubt.cnt > 0 && s->db != NULL)
		rc = before_images(s);
	if (rc < 0) {
		cfg_log_limited(CFG_LOG_ERR, "store-unreadable", "rc=%d", rc);
		return rc;
	}
	pthread_rwlock_wrlock(&s->db_lock);
	cp_db_close(s->db);
	s->db = NULL;
	rc = cp_db_open(s->path, NULL, &s->db, err, sizeof(err));
	if (rc < 0) {
		pthread_rwlock_unlock(&s->db_lock);
		cfg_log_limited(CFG_LOG_ERR, "store-reopen-failed", "rc=%d reason=%s", rc, cfg_q(err));
		return rc;
	}
	cp_ops_init(&probe);
	rc = cp_ops_add(&probe, CP_CF_META, false, probe_key, sizeof(probe_key) - 1, &stamp, sizeof(stamp));
	lists[0] = &s->undo;
	lists[1] = &probe;
	if (rc == 0)
		rc = cp_db_write(s->db, lists, 2, true, err, sizeof(err));
	cp_ops_free(&probe);
	if (rc < 0 && s->undo.cnt > 0) {
		/* the log may have brought back what was refused: nobody reads it until it is undone */
		cp_db_close(s->db);
		s->db = NULL;
	}
	pthread_rwlock_unlock(&s->db_lock);
	if (rc < 0) {
		cfg_log_limited(CFG_LOG_ERR, "store-still-failing", "rc=%d reason=%s", rc, cfg_q(err));
		return rc;
	}
	cp_ops_free(&s->undo);
	cfg_log(CFG_LOG_NOTICE, "store-recovered", "path=%s", cfg_q(s->path));
	return 0;
}

struct trim {
	const struct cp_keep *keep;
	struct cp_ops ops;
	uint64_t most;   /* of them for their number */
	uint64_t before; /* us: those of a time before it go for their age */
	uint8_t last[8];
	int rc;
};

static bool trim_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t val_len)
{
	struct trim *t = ctx;
	uint64_t at = 0;

	(void)val;
	(void)val_len;
	for (size_t i = 0; i < sizeof(t->last) && i < key_len; i++)
		at = at << 8 | key[i];
	if (t->ops.cnt >= t->most && at >= t->before)
		return false;
	t->rc = cp_ops_add(&t->ops, t->keep->cf, true, key, key_len, NULL, 0);
	memset(t->last, 0, sizeof(t->last));
	memcpy(t->last, key, key_len < sizeof(t->last) ? key_len : sizeof(t->last));
	return t->rc == 0 && t->ops.cnt < KEEP_SLACK;
}

/* Keep the newest, and none that is too old. Not synced: an old record that comes back does no harm, it goes again. */
static void trim(struct cp_store *s, struct cp_keep *k)
{
	const struct cp_ops *lists[1];
	struct trim t = {.keep = k};
	uint64_t now_ms = cp_mono_ms();

	if (k->max != 0 && k->cnt > k->max + KEEP_SLACK)
		t.most = k->cnt - k->max;
	if (k->us != 0 && now_ms >= k->look_at_ms) {
		uint64_t now = (uint64_t)cp_wall_us();

		t.before = now > k->us ? now - k->us : 0; /* a clock that was not set yet must not make all of them old */
	}
	if (t.most == 0 && t.before == 0)
		return;
	cp_ops_init(&t.ops);
	lists[0] = &t.ops;
	/* from where the last time ended: over what was deleted before it the database would go again, ever more of it */
	if (cp_db_scan(s->db, k->cf, k->trimmed, sizeof(k->trimmed), trim_one, &t) == 0 && t.rc == 0 &&
	    (t.ops.cnt == 0 || cp_db_write(s->db, lists, 1, false, NULL, 0) == 0)) {
		k->cnt -= t.ops.cnt < k->cnt ? t.ops.cnt : k->cnt;
		if (t.ops.cnt > 0)
			memcpy(k->trimmed, t.last, sizeof(k->trimmed));
		if (t.before != 0 && t.ops.cnt < KEEP_SLACK)
			k->look_at_ms = now_ms + KEEP_MS;
		else if (t.ops.cnt == 0)
			k->cnt = k->max; /* it was but an estimate */
	}
	cp_ops_free(&t.ops);
}

static bool count_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t val_len)
{
	(void)key;
	(void)key_len;
	(void)val;
	(void)val_len;
	++*(uint64_t *)ctx;
	return true;
}

static int write_group(struct cp_store *s, struct cp_batch *list, size_t n)
{
	const struct cp_ops *lists[GROUP_MAX];
	uint64_t start = cp_mono_us();
	char err[256] = "";
	size_t i = 0;
	int rc;

	for (const struct cp_batch *b = list; b != NULL; b = b->next) {
		lists[i++] = &b->ops;
		for (const struct cp_op *op = b->ops.first; op != NULL; op = op->next) {
			s->audit.cnt += op->cf == CP_CF_AUDIT;
			s->cdr.cnt += op->cf == CP_CF_CDR;
		}
	}
	rc = cp_db_write(s->db, lists, n, !s->no_sync, err, sizeof(err));
	if (rc == 0) {
		pthread_mutex_lock(&s->lock);
		s->stats.writes++;
		s->stats.last_write_us = cp_mono_us() - start;
		pthread_mutex_unlock(&s->lock);
		return 0;
	}
	cfg_log(CFG_LOG_ERR, "store-write-failed", "batches=%zu rc=%d reason=%s", n, rc, cfg_q(err));
	doubt_all(s, list);
	return rc == -ENOSPC ? -ENOSPC : -EIO;
}

/*
 * Who was just answered asks again within microseconds, and a write that begins before that takes only who came late: two groups
 * would chase each other, each of half the writers. So after a write of several batches the thread waits for as many as were
 * under way, but for no more than a fraction of what a write takes. A single writer never waits. Under the lock.
 */
static void linger(struct cp_store *s)
{
	uint64_t most = s->stats.last_write_us / LINGER_PART, until;
	struct timespec ts;

	if (s->group < 2 || s->stop || s->stats.failing || s->stats.queued >= s->group)
		return;
	until = cp_mono_us() + (most < LINGER_MAX_US ? most : LINGER_MAX_US);
	ts.tv_sec = (time_t)(until / 1000000);
	ts.tv_nsec = (long)(until % 1000000) * 1000;
	s->wake_at = s->group;
	while (s->stats.queued < s->group && !s->stop)
		if (pthread_cond_timedwait(&s->work, &s->lock, &ts) == ETIMEDOUT)
			break;
	s->wake_at = 1;
}

/* Take what has gathered, up to a bound. Waits if there is nothing to do; NULL: stop, or time to retry. */
static struct cp_batch *gather(struct cp_store *s, size_t *ret_n, bool *ret_stop)
{
	struct cp_batch *list = NULL, **last = &list;
	size_t n = 0, bytes = 0;

	pthread_mutex_lock(&s->lock);
	linger(s);
	while (s->queue.first == NULL && !s->stop) {
		if (s->stats.failing) {
			struct timespec ts;
			uint64_t at = s->retry_at_ms;

			ts.tv_sec = (time_t)(at / 1000);
			ts.tv_nsec = (long)(at % 1000) * 1000000;
			if (pthread_cond_timedwait(&s->work, &s->lock, &ts) == ETIMEDOUT)
				break;
		} else if (s->cdr.us != 0) { /* records grow old while nothing is written */
			struct timespec ts;
			uint64_t at = cp_mono_ms() + KEEP_MS;

			ts = (struct timespec){(time_t)(at / 1000), (long)(at % 1000) * 1000000};
			if (pthread_cond_timedwait(&s->work, &s->lock, &ts) == ETIMEDOUT)
				break;
		} else {
			pthread_cond_wait(&s->work, &s->lock);
		}
	}
	while (s->queue.first != NULL && n < GROUP_MAX && (n == 0 || bytes < GROUP_BYTES_MAX)) {
		struct cp_batch *b = s->queue.first;

		s->queue.first = b->next;
		b->next = NULL;
		*last = b;
		last = &b->next;
		bytes += b->ops.bytes;
		n++;
	}
	if (s->queue.first == NULL)
		s->queue.last = &s->queue.first;
	*ret_stop = s->stop && list == NULL;
	s->group = 0; /* until it is written */
	pthread_mutex_unlock(&s->lock);
	*ret_n = n;
	return list;
}

void *cp_store_thread(void *arg)
{
	struct cp_store *s = arg;
	bool stop = false;
	int failing = 0, rc;

	/* here, so that the start does not wait for it; too few only means that some more are kept */
	rc = cp_db_each(s->db, CP_CF_AUDIT, false, count_one, &s->audit.cnt);
	if (rc < 0)
		cfg_log(CFG_LOG_ERR, "store-audit-unreadable", "read=%llu rc=%d", (unsigned long long)s->audit.cnt, rc);
	s->cdr.cnt = cp_db_count(s->db, CP_CF_CDR);
	while (!stop) {
		size_t n;
		struct cp_batch *list = gather(s, &n, &stop);

		if (failing == 0 && list != NULL) {
			failing = write_group(s, list, n);
			if (failing != 0) {
				s->retry_at_ms = cp_mono_ms() + CP_STORE_RETRY_MS;
				set_failing(s, failing);
			}
		}
		if (list != NULL) {
			pthread_mutex_lock(&s->lock);
			s->group = failing == 0 ? s->stats.queued : 0; /* what was written, and what came meanwhile */
			pthread_mutex_unlock(&s->lock);
			complete(s, list, failing);
		}
		if (failing != 0 && (stop || cp_mono_ms() >= s->retry_at_ms)) {
			if (recover(s) == 0) {
				failing = 0;
				set_failing(s, 0);
			}
			s->retry_at_ms = cp_mono_ms() + CP_STORE_RETRY_MS;
		}
		if (failing == 0) {
			trim(s, &s->audit);
			trim(s, &s->cdr);
		}
	}
	return NULL;
}
