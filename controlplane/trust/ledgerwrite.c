/* SPDX-License-Identifier: BSD-3-Clause */
/* What the ledger heard, gathered into synced batches: see ledger.h. */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "ledgerint.h"
#include "log.h"

#define BATCH_MAX 4096 /* records of one batch */
#define RETRY_MS  1000 /* after the store refused */
#define KEY       "list/"
#define KEY_LEN   (sizeof(KEY) - 1)

static void arm(struct cp_ledger *l, unsigned ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	if (l->armed || l->stopping)
		return;
	l->armed = true;
	event_add(l->timer, &tv);
}

void cp_ledger_dirty(struct cp_ledger *l, struct entry *e)
{
	if (!e->dirty) {
		e->dirty = true;
		e->dirty_next = NULL;
		*l->dirty_last = e;
		l->dirty_last = &e->dirty_next;
	}
	if (l->flying_cnt == 0)
		arm(l, CP_LEDGER_GATHER_MS);
}

static int put_entry(struct cp_batch *b, struct entry *e)
{
	struct cp_buf buf;
	int rc;

	if (e->removed)
		return cp_batch_del(b, CP_CF_LEDGER, e->rec.device, strlen(e->rec.device));
	rc = cp_ledger_rec_build(&e->rec, &buf);
	if (rc < 0)
		return rc;
	rc = cp_batch_put(b, CP_CF_LEDGER, e->rec.device, strlen(e->rec.device), buf.data, buf.len);
	free(buf.data);
	return rc;
}

static void list_key(const struct kept *k, uint8_t key[KEY_LEN + 32])
{
	memcpy(key, KEY, KEY_LEN);
	memcpy(key + KEY_LEN, k->sha, 32);
}

static int put_list(struct cp_batch *b, const struct kept *k)
{
	struct cp_ledger_file rec = {.kind = (uint8_t)k->kind, .first_us = k->first_us, .file = k->file};
	uint8_t key[KEY_LEN + 32];
	struct cp_buf buf;
	int rc = cp_ledger_file_build(&rec, &buf);

	if (rc < 0)
		return rc;
	list_key(k, key);
	rc = cp_batch_put(b, CP_CF_TRUST, key, sizeof(key), buf.data, buf.len);
	free(buf.data);
	return rc;
}

/*
 * The next batch: records, lists that are new, and, if no other record waits, lists that nobody holds any more (a record that
 * still names one on disk is written by the same batch or an earlier one). Fills l->flying.
 */
static int gather(struct cp_ledger *l, struct cp_batch *b, unsigned max)
{
	unsigned n = 0;
	int rc = 0;

	for (struct entry *e = l->dirty; e != NULL && n < max; e = e->dirty_next)
		n++;
	l->flying = n > 0 ? malloc(n * sizeof(struct entry *)) : NULL;
	if (n > 0 && l->flying == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		struct entry *e = l->dirty;

		l->dirty = e->dirty_next;
		if (l->dirty == NULL)
			l->dirty_last = &l->dirty;
		e->dirty = false;
		l->flying[l->flying_cnt++] = e;
		if (rc == 0)
			rc = put_entry(b, e);
	}
	for (struct kept *k = l->kept; rc == 0 && k != NULL; k = k->next) {
		if (k->refs > 0 && !k->stored) {
			rc = put_list(b, k);
			k->stored = true;
			k->op = KEPT_PUT;
		} else if (k->refs == 0 && k->stored && l->dirty == NULL) {
			uint8_t key[KEY_LEN + 32];

			list_key(k, key);
			rc = cp_batch_del(b, CP_CF_TRUST, key, sizeof(key));
			k->stored = false;
			k->op = KEPT_DEL;
		}
	}
	return rc;
}

/* A batch is over. What it took is safe, or waits again. */
static void landed(struct cp_ledger *l, int rc)
{
	unsigned n = l->flying_cnt;

	for (unsigned i = 0; i < n; i++) {
		struct entry *e = l->flying[i];

		if (rc < 0)
			cp_ledger_dirty(l, e);
		else if (e->removed && !e->dirty)
			cp_ledger_drop(l, e);
		else
			e->seen_written_us = e->rec.seen_us;
	}
	free(l->flying);
	l->flying = NULL;
	l->flying_cnt = 0;
	for (struct kept *k = l->kept, *next; k != NULL; k = next) {
		next = k->next;
		if (rc < 0 && k->op != KEPT_REST)
			k->stored = k->op == KEPT_DEL; /* nothing of it happened */
		k->op = KEPT_REST;
		if (k->refs == 0 && !k->stored)
			cp_ledger_kept_free(l, k);
	}
	if (rc < 0) {
		l->stats.failed++;
		cfg_log_limited(CFG_LOG_WARN, "ledger-not-written", "records=%u rc=%d", n, rc);
	}
	if (l->dirty != NULL)
		arm(l, rc < 0 ? RETRY_MS : CP_LEDGER_GATHER_MS);
}

static void written(void *ctx, int rc)
{
	landed(ctx, rc);
}

void cp_ledger_flush(struct cp_ledger *l)
{
	struct cp_batch *b;
	int rc;

	if (l->flying_cnt > 0 || l->dirty == NULL)
		return;
	b = cp_batch_create();
	rc = b != NULL ? gather(l, b, BATCH_MAX) : -ENOMEM;
	l->stats.batches++;
	l->stats.writes += l->flying_cnt;
	if (rc == 0)
		rc = cp_store_submit(l->env.store, b, written, l);
	else
		cp_batch_destroy(b);
	if (rc < 0)
		landed(l, rc);
}

void cp_ledger_timer(struct cp_ledger *l)
{
	l->armed = false;
	cp_ledger_flush(l);
}

void cp_ledger_stop(struct cp_ledger *l)
{
	struct cp_batch *b;
	int rc;

	if (l == NULL || l->stopping)
		return;
	l->stopping = true;
	event_del(l->timer);
	/* A batch on its way keeps its own flying ones: their records are written once more, which does no harm. */
	for (unsigned i = 0; i < l->flying_cnt; i++)
		if (!l->flying[i]->dirty && !l->flying[i]->removed)
			cp_ledger_dirty(l, l->flying[i]);
	if (l->dirty == NULL)
		return;
	b = cp_batch_create();
	rc = b != NULL ? 0 : -ENOMEM;
	for (struct entry *e = l->dirty; rc == 0 && e != NULL; e = e->dirty_next)
		rc = put_entry(b, e);
	for (struct kept *k = l->kept; rc == 0 && k != NULL; k = k->next)
		if (k->refs > 0)
			rc = put_list(b, k);
	if (rc == 0)
		rc = cp_store_commit(l->env.store, b);
	else
		cp_batch_destroy(b);
	if (rc < 0)
		cfg_log(CFG_LOG_WARN, "ledger-not-written", "rc=%d", rc);
}
