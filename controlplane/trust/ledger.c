/* SPDX-License-Identifier: BSD-3-Clause */
/* Phones and lists of the ledger, its start and end: see ledger.h and, for the rest of it, ledgerint.h. */
#include "ledger.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "ledgerint.h"
#include "log.h"
#include "world.h"

#define KEY     "list/"
#define KEY_LEN (sizeof(KEY) - 1)

int64_t cp_ledger_clock(const struct cp_ledger *l)
{
	return l->env.now_us != NULL ? l->env.now_us(l->env.ctx) : cp_wall_us();
}

/* --- phones: only devices of the store are in here, so a plain hash will do; all of them, so that they can be counted --- */

static size_t slot(const struct cp_ledger *l, const char *device)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (const char *p = device; *p != '\0'; p++)
		h = (h ^ (uint8_t)*p) * UINT64_C(1099511628211);
	return (size_t)(h ^ h >> 29) & (l->size - 1);
}

struct entry *cp_ledger_any(const struct cp_ledger *l, const char *device)
{
	struct entry *e = l->size > 0 ? l->bucket[slot(l, device)] : NULL;

	while (e != NULL && strcmp(e->rec.device, device) != 0)
		e = e->next;
	return e;
}

struct entry *cp_ledger_entry(const struct cp_ledger *l, const char *device)
{
	struct entry *e = cp_ledger_any(l, device);

	return e != NULL && e->heard && !e->removed ? e : NULL;
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

static void forget_all(struct cp_ledger *l, struct entry *e)
{
	char device[sizeof(e->rec.device)];

	cp_ledger_lists_gone(e);
	memcpy(device, e->rec.device, sizeof(device));
	cp_ledger_rec_free(&e->rec);
	memcpy(e->rec.device, device, sizeof(device));
	l->heard -= e->heard;
	e->heard = e->removed = false;
	e->seen_written_us = 0;
}

void cp_ledger_drop(struct cp_ledger *l, struct entry *e)
{
	struct entry **at = &l->bucket[slot(l, e->rec.device)];
	bool there = e->holding != NULL; /* a new device of that name: it begins anew */

	forget_all(l, e);
	if (there)
		return;
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	l->cnt--;
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

void cp_ledger_kept_free(struct cp_ledger *l, struct kept *k)
{
	struct kept **at = &l->kept;

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	l->kept_cnt--;
	memset(l->refused, 0, sizeof(l->refused)); /* its place may be another list's next */
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
	    pki_tl_kind_of(tl, &is) < 0 || is != kind || cp_tm_list_of(tl, &k->list, k->signer) < 0) {
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

struct kept *cp_ledger_kept(struct cp_ledger *l, const uint8_t sha[32], enum pki_tl_kind kind, const uint8_t *file, size_t len,
			    int64_t first_us)
{
	struct kept *k = kept_find(l, sha);
	uint8_t *copy;

	if (k != NULL)
		return k->kind == kind ? k : NULL;
	copy = len > 0 && len <= PKI_TL_FILE_MAX ? malloc(len) : NULL;
	if (copy != NULL)
		memcpy(copy, file, len);
	return kept_add(l, sha, kind, (struct cp_buf){copy, len}, first_us);
}

/* --- devices that come, change and go --- */

static void device_class(const struct cp_ledger *l, const struct cp_device *dev, struct entry *e)
{
	e->cls = (uint8_t)pki_tl_class_of_model(dev->model, l->env.default_class);
	e->secure = dev->mode != CP_DEVICE_NONSECURE;
}

static int device_there(struct cp_ledger *l, const struct cp_device *dev)
{
	struct entry *e = cp_ledger_any(l, dev->name);

	if (!cp_device_name_ok(dev->name)) /* voice-mail ports hold no lists */
		return 0;
	if (e == NULL)
		e = add(l, dev->name);
	if (e == NULL)
		return -ENOMEM;
	device_class(l, dev, e);
	return cp_ledger_rehold(l, e, true);
}

static void device_changed(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted)
{
	struct cp_ledger *l = ctx;
	const struct cp_device *dev;
	struct entry *e;
	char name[16];

	(void)cf;
	if (key_len >= sizeof(name))
		return;
	memcpy(name, key, key_len);
	name[key_len] = '\0';
	dev = deleted ? NULL : cp_dir_device(l->env.store, name);
	if (dev != NULL) {
		if (device_there(l, dev) < 0)
			cfg_log_limited(CFG_LOG_ERR, "ledger-no-memory", "device=%s", name);
		return;
	}
	e = cp_ledger_any(l, name);
	if (e == NULL)
		return;
	cp_ledger_rehold(l, e, false);
	if (!e->heard) {
		if (!e->dirty)
			cp_ledger_drop(l, e);
		return;
	}
	forget_all(l, e);
	l->heard++;
	e->heard = e->removed = true; /* until that is on the disk */
	cp_ledger_dirty(l, e);
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
	struct cp_ledger *l = ld->l;
	struct cp_ledger_rec rec;
	struct entry *e;

	if (cp_ledger_rec_parse(val, val_len, &rec) < 0) {
		ld->bad++;
		return true;
	}
	e = cp_ledger_any(l, rec.device);
	if (strlen(rec.device) != key_len || memcmp(rec.device, key, key_len) != 0 || (e != NULL && e->heard)) {
		ld->bad++;
		cp_ledger_rec_free(&rec);
		return true;
	}
	if (e == NULL)
		e = add(l, rec.device);
	if (e == NULL) {
		cp_ledger_rec_free(&rec);
		ld->rc = -ENOMEM;
		return false;
	}
	e->rec = rec;
	e->heard = true;
	l->heard++;
	e->seen_written_us = rec.seen_us;
	e->list[OF_CTL] = take(l, rec.has_ctl, rec.ctl);
	e->list[OF_ITL] = take(l, rec.has_itl, rec.itl);
	for (unsigned i = 0; i < rec.claim_cnt; i++) {
		e->claim[i][OF_CTL] = take(l, rec.claim[i].has_ctl, rec.claim[i].ctl);
		e->claim[i][OF_ITL] = take(l, rec.claim[i].has_itl, rec.claim[i].itl);
	}
	if (e->holding == NULL) { /* the device went while nobody watched */
		cp_ledger_lists_gone(e);
		e->removed = true;
		cp_ledger_dirty(l, e);
	} else if (cp_ledger_rehold(l, e, true) < 0) {
		ld->rc = -ENOMEM;
	}
	return ld->rc == 0;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	cp_ledger_timer(arg);
}

static void load_device(void *ctx, const struct cp_device *dev)
{
	struct load *ld = ctx;

	if (ld->rc == 0)
		ld->rc = device_there(ld->l, dev);
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
	cp_dir_each_device(env->store, load_device, &ld);
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
	cp_ledger_holds_free(l);
	while (l->kept != NULL)
		cp_ledger_kept_free(l, l->kept);
	free(l->flying);
	free(l->bucket);
	free(l);
}

void cp_ledger_stats(const struct cp_ledger *l, struct cp_ledger_stats *ret)
{
	*ret = l->stats;
	ret->phones = (unsigned)l->heard;
	ret->lists = l->kept_cnt;
	ret->idle = l->dirty == NULL && l->flying_cnt == 0;
}
