/* SPDX-License-Identifier: BSD-3-Clause */
/* What phones hold, in memory and in the store: see ledger.h. What that means for a change is holds.c. */
#include "ledger.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ledgerint.h"
#include "log.h"
#include "world.h"

#define BATCH_MAX 4096 /* records of one batch */
#define RETRY_MS  1000 /* after the store refused */
#define KEY       "list/"
#define KEY_LEN   (sizeof(KEY) - 1)

static int64_t now_us(const struct cp_ledger *l)
{
	struct timespec ts;

	if (l->env.now_us != NULL)
		return l->env.now_us(l->env.ctx);
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* --- phones: only devices of the store are in here, so a plain hash will do --- */

static size_t slot(const struct cp_ledger *l, const char *device)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (const char *p = device; *p != '\0'; p++)
		h = (h ^ (uint8_t)*p) * UINT64_C(1099511628211);
	return (size_t)(h ^ h >> 29) & (l->size - 1);
}

static struct entry *find_any(const struct cp_ledger *l, const char *device)
{
	struct entry *e = l->size > 0 ? l->bucket[slot(l, device)] : NULL;

	while (e != NULL && strcmp(e->rec.device, device) != 0)
		e = e->next;
	return e;
}

struct entry *cp_ledger_entry(const struct cp_ledger *l, const char *device)
{
	struct entry *e = find_any(l, device);

	return e != NULL && !e->removed ? e : NULL;
}

const struct cp_ledger_rec *cp_ledger_find(const struct cp_ledger *l, const char *device)
{
	const struct entry *e = cp_ledger_entry(l, device);

	return e != NULL ? &e->rec : NULL;
}

static int grow(struct cp_ledger *l)
{
	size_t size = l->size == 0 ? 1024 : 2 * l->size;
	struct entry **old = l->bucket, **b = calloc(size, sizeof(struct entry *));
	size_t old_size = l->size;

	if (b == NULL)
		return -ENOMEM;
	l->bucket = b;
	l->size = size;
	for (size_t i = 0; i < old_size; i++)
		for (struct entry *e = old[i], *next; e != NULL; e = next) {
			size_t s = slot(l, e->rec.device);

			next = e->next;
			e->next = l->bucket[s];
			l->bucket[s] = e;
		}
	free(old);
	return 0;
}

static struct entry *add(struct cp_ledger *l, const char *device)
{
	struct entry *e;
	size_t s;

	if (l->cnt >= l->size && grow(l) < 0 && l->size == 0)
		return NULL;
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return NULL;
	strncpy(e->rec.device, device, sizeof(e->rec.device) - 1);
	s = slot(l, device);
	e->next = l->bucket[s];
	l->bucket[s] = e;
	l->cnt++;
	return e;
}

static void drop(struct cp_ledger *l, struct entry *e)
{
	struct entry **at = &l->bucket[slot(l, e->rec.device)];

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	l->cnt--;
	cp_ledger_rec_free(&e->rec);
	free(e);
}

/* --- lists --- */

static struct kept *kept_find(const struct cp_ledger *l, const uint8_t sha[32])
{
	struct kept *k = l->kept;

	while (k != NULL && memcmp(k->sha, sha, 32) != 0)
		k = k->next;
	return k;
}

static void kept_free(struct cp_ledger *l, struct kept *k)
{
	struct kept **at = &l->kept;

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	l->kept_cnt--;
	free(k->file.data);
	free(k);
}

/* Takes the bytes. NULL: not a list, or no memory. */
static struct kept *kept_add(struct cp_ledger *l, const uint8_t sha[32], enum pki_tl_kind kind, struct cp_buf file, int64_t first_us)
{
	struct kept *k = calloc(1, sizeof(*k));
	struct pki_tl *tl = malloc(sizeof(*tl));
	enum pki_tl_kind is;
	char why[128] = "no memory";

	if (k == NULL || tl == NULL || file.data == NULL || pki_tl_parse(file.data, file.len, tl, why, sizeof(why)) < 0 ||
	    pki_tl_kind_of(tl, &is) < 0 || is != kind || cp_tm_list_of(tl, &k->list, NULL) < 0) {
		cfg_log_limited(CFG_LOG_WARN, "ledger-list-unusable", "reason=%s", cfg_q(why));
		free(file.data);
		free(k);
		free(tl);
		return NULL;
	}
	memcpy(k->sha, sha, 32);
	k->kind = kind;
	k->timestamp = tl->timestamp;
	k->first_us = first_us;
	k->file = file;
	k->next = l->kept;
	l->kept = k;
	l->kept_cnt++;
	free(tl);
	return k;
}

/* --- writing --- */

static void arm(struct cp_ledger *l, unsigned ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	if (l->armed || l->stopping)
		return;
	l->armed = true;
	event_add(l->timer, &tv);
}

static void set_dirty(struct cp_ledger *l, struct entry *e)
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
			set_dirty(l, e);
		else if (e->removed && !e->dirty)
			drop(l, e);
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
			kept_free(l, k);
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

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct cp_ledger *l = arg;

	(void)fd;
	(void)what;
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
			set_dirty(l, l->flying[i]);
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

/* --- what is heard --- */

static struct entry *heard(struct cp_ledger *l, const char *device)
{
	struct entry *e = find_any(l, device);

	if (e == NULL) {
		if (!cp_device_name_ok(device) || cp_dir_device(l->env.store, device) == NULL)
			return NULL;
		e = add(l, device);
		if (e == NULL)
			return NULL;
	}
	e->removed = false;
	e->rec.seen_us = now_us(l);
	if (e->rec.seen_us - e->seen_written_us >= CP_LEDGER_SEEN_US)
		set_dirty(l, e);
	return e;
}

void cp_ledger_list_sha(struct cp_ledger *l, const char *device, enum pki_tl_kind kind, const uint8_t sha[32],
			const uint8_t *file, size_t len, enum cp_ledger_how how)
{
	struct entry *e = heard(l, device);
	struct cp_ledger_rec *r;
	struct kept *k, **of;
	bool ctl = kind == PKI_TL_CTL;

	if (e == NULL || (kind != PKI_TL_CTL && kind != PKI_TL_ITL))
		return;
	r = &e->rec;
	of = ctl ? &e->ctl : &e->itl;
	if (*of != NULL && memcmp((*of)->sha, sha, 32) == 0) { /* it has it already: when, is enough in memory */
		*(ctl ? &r->ctl_us : &r->itl_us) = r->seen_us;
		return;
	}
	k = kept_find(l, sha);
	if (k == NULL) {
		uint8_t *copy = len > 0 && len <= PKI_TL_FILE_MAX ? malloc(len) : NULL;

		if (copy != NULL)
			memcpy(copy, file, len);
		k = kept_add(l, sha, kind, (struct cp_buf){copy, len}, r->seen_us);
		if (k == NULL)
			return;
	}
	k->refs++;
	if (*of != NULL)
		(*of)->refs--;
	*of = k;
	memcpy(ctl ? r->ctl : r->itl, sha, 32);
	*(ctl ? &r->has_ctl : &r->has_itl) = true;
	*(ctl ? &r->ctl_how : &r->itl_how) = (uint8_t)how;
	*(ctl ? &r->ctl_us : &r->itl_us) = r->seen_us;
	r->blank = false;
	set_dirty(l, e);
}

void cp_ledger_list(struct cp_ledger *l, const char *device, enum pki_tl_kind kind, const uint8_t *file, size_t len,
		    enum cp_ledger_how how)
{
	uint8_t sha[32];

	SHA256(file, len, sha);
	cp_ledger_list_sha(l, device, kind, sha, file, len, how);
}

static void lists_gone(struct entry *e)
{
	if (e->ctl != NULL)
		e->ctl->refs--;
	if (e->itl != NULL)
		e->itl->refs--;
	e->ctl = e->itl = NULL;
	e->rec.has_ctl = e->rec.has_itl = false;
	memset(e->rec.ctl, 0, sizeof(e->rec.ctl));
	memset(e->rec.itl, 0, sizeof(e->rec.itl));
}

int cp_ledger_forget(struct cp_ledger *l, const char *device)
{
	struct entry *e = heard(l, device);

	if (e == NULL)
		return -ENOENT;
	lists_gone(e);
	e->rec.blank = true;
	set_dirty(l, e);
	return 0;
}

void cp_ledger_handshake(struct cp_ledger *l, const char *device, X509 *ours)
{
	struct entry *e = heard(l, device);
	uint8_t id[CP_TM_ID];

	if (e == NULL || ours == NULL || cp_tm_cert_id(ours, id) < 0)
		return;
	e->rec.ccm_us = e->rec.seen_us;
	if (e->rec.has_ccm && memcmp(e->rec.ccm, id, sizeof(id)) == 0)
		return;
	e->rec.has_ccm = true;
	memcpy(e->rec.ccm, id, sizeof(id));
	set_dirty(l, e);
}

void cp_ledger_tvs(struct cp_ledger *l, const char *device)
{
	heard(l, device);
}

void cp_ledger_lsc(struct cp_ledger *l, const char *device, X509 *cert, enum cp_ledger_how how)
{
	struct entry *e = heard(l, device);
	struct cp_ledger_rec *r;
	uint8_t id[CP_TM_ID] = {0};
	struct tm tm;

	(void)how;
	if (e == NULL || (cert != NULL && cp_tm_cert_id(cert, id) < 0))
		return;
	r = &e->rec;
	if (r->has_lsc == (cert != NULL) && memcmp(r->lsc, id, sizeof(id)) == 0)
		return;
	r->has_lsc = cert != NULL;
	memcpy(r->lsc, id, sizeof(id));
	r->lsc_us = r->seen_us;
	r->lsc_expires_us = 0;
	if (cert != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1) {
		time_t t = timegm(&tm);

		r->lsc_expires_us = t > 0 ? (int64_t)t * 1000000 : 0;
	}
	set_dirty(l, e);
}

/* --- devices that go --- */

static void device_changed(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted)
{
	struct cp_ledger *l = ctx;
	struct entry *e;
	char name[16];

	(void)cf;
	if (!deleted || key_len >= sizeof(name))
		return;
	memcpy(name, key, key_len);
	name[key_len] = '\0';
	e = cp_ledger_entry(l, name);
	if (e == NULL)
		return;
	lists_gone(e);
	e->removed = true;
	set_dirty(l, e);
}

/* --- start --- */

struct load {
	struct cp_ledger *l;
	unsigned bad;
	int rc;
};

static bool load_list(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t val_len)
{
	struct load *ld = ctx;
	struct cp_ledger_file rec;
	struct kept *k;
	uint8_t sha[32];

	if (key_len != KEY_LEN + 32 || memcmp(key, KEY, KEY_LEN) != 0)
		return true; /* the family is not ours alone */
	if (cp_ledger_file_parse(val, val_len, &rec) < 0) {
		ld->bad++;
		return true;
	}
	SHA256(rec.file.data, rec.file.len, sha);
	k = memcmp(sha, key + KEY_LEN, 32) == 0 ? kept_add(ld->l, sha, (enum pki_tl_kind)rec.kind, rec.file, rec.first_us) : NULL;
	if (k != NULL)
		rec.file = (struct cp_buf){0}; /* it is k's */
	else if (memcmp(sha, key + KEY_LEN, 32) == 0)
		rec.file = (struct cp_buf){0}; /* kept_add() freed it */
	if (k == NULL)
		ld->bad++;
	else
		k->stored = true;
	cp_ledger_file_free(&rec);
	return true;
}

static struct kept *take(const struct cp_ledger *l, bool has, const uint8_t sha[32])
{
	struct kept *k = has ? kept_find(l, sha) : NULL;

	if (k != NULL)
		k->refs++;
	return k;
}

static bool load_rec(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t val_len)
{
	struct load *ld = ctx;
	struct cp_ledger_rec rec;
	struct entry *e;

	if (cp_ledger_rec_parse(val, val_len, &rec) < 0) {
		ld->bad++;
		return true;
	}
	if (strlen(rec.device) != key_len || memcmp(rec.device, key, key_len) != 0 || find_any(ld->l, rec.device) != NULL) {
		ld->bad++;
		cp_ledger_rec_free(&rec);
		return true;
	}
	e = add(ld->l, rec.device);
	if (e == NULL) {
		cp_ledger_rec_free(&rec);
		ld->rc = -ENOMEM;
		return false;
	}
	e->rec = rec;
	e->seen_written_us = rec.seen_us;
	e->ctl = take(ld->l, rec.has_ctl, rec.ctl);
	e->itl = take(ld->l, rec.has_itl, rec.itl);
	if (cp_dir_device(ld->l->env.store, rec.device) == NULL) { /* went while nobody watched */
		lists_gone(e);
		e->removed = true;
		set_dirty(ld->l, e);
	}
	return true;
}

int cp_ledger_create_env(const struct cp_ledger_env *env, struct cp_ledger **ret)
{
	struct cp_ledger *l = calloc(1, sizeof(*l));
	struct load ld = {.l = l};

	if (l == NULL)
		return -ENOMEM;
	l->env = *env;
	if (l->env.default_class == 0)
		l->env.default_class = PKI_CLASS_MODERN;
	l->dirty_last = &l->dirty;
	l->timer = event_new(env->base, -1, 0, on_timer, l);
	if (l->timer == NULL || cp_store_watch(env->store, CP_CF_DEVICE, device_changed, l) < 0) {
		cp_ledger_destroy(l);
		return -ENOMEM;
	}
	cp_store_each(env->store, CP_CF_TRUST, load_list, &ld);
	cp_store_each(env->store, CP_CF_LEDGER, load_rec, &ld);
	if (ld.bad > 0)
		cfg_log(CFG_LOG_ERR, "ledger-records-unusable", "count=%u", ld.bad);
	if (ld.rc < 0) {
		cp_ledger_destroy(l);
		return ld.rc;
	}
	*ret = l;
	return 0;
}

void cp_ledger_destroy(struct cp_ledger *l)
{
	if (l == NULL)
		return;
	if (l->timer != NULL)
		event_free(l->timer);
	for (size_t i = 0; i < l->size; i++)
		for (struct entry *e = l->bucket[i], *next; e != NULL; e = next) {
			next = e->next;
			cp_ledger_rec_free(&e->rec);
			free(e);
		}
	while (l->kept != NULL)
		kept_free(l, l->kept);
	free(l->flying);
	free(l->bucket);
	free(l);
}

void cp_ledger_stats(const struct cp_ledger *l, struct cp_ledger_stats *ret)
{
	*ret = l->stats;
	ret->phones = (unsigned)l->cnt;
	ret->lists = l->kept_cnt;
	ret->idle = l->dirty == NULL && l->flying_cnt == 0;
}
