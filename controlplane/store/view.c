/* SPDX-License-Identifier: BSD-3-Clause */
/* What of the store is kept in memory: its records, decoded where the directory or call control use them. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "log.h"

bool cp_view_has(enum cp_cf cf)
{
	return cf != CP_CF_AUDIT && cf != CP_CF_SIGNED && cf != CP_CF_CDR;
}

static void free_device(void *obj)
{
	cp_device_free(obj);
	free(obj);
}

static void free_gateway(void *obj)
{
	cp_gateway_free(obj);
	free(obj);
}

static void free_sa(void *obj)
{
	cp_sa_free(obj);
	free(obj);
}

static void free_call(void *obj)
{
	cp_call_rec_free(obj);
	free(obj);
}

static int decode(enum cp_cf cf, const uint8_t *val, size_t len, void **ret)
{
	size_t size = cf == CP_CF_DEVICE    ? sizeof(struct cp_device)
		      : cf == CP_CF_GATEWAY ? sizeof(struct cp_gateway)
		      : cf == CP_CF_SA      ? sizeof(struct cp_sa)
		      : cf == CP_CF_CALL    ? sizeof(struct cp_call_rec)
		      : cf == CP_CF_LINE    ? sizeof(struct cp_owner)
					    : 0;
	void *obj;
	int rc;

	*ret = NULL;
	if (size == 0)
		return 0;
	obj = malloc(size); /* the parsers set all of it */
	if (obj == NULL)
		return -ENOMEM;
	switch (cf) {
	case CP_CF_DEVICE:
		rc = cp_device_parse(val, len, obj);
		break;
	case CP_CF_GATEWAY:
		rc = cp_gateway_parse(val, len, obj);
		break;
	case CP_CF_SA:
		rc = cp_sa_parse(val, len, obj);
		break;
	case CP_CF_CALL:
		rc = cp_call_rec_parse(val, len, obj);
		break;
	default:
		rc = cp_owner_parse(val, len, obj);
		break;
	}
	if (rc < 0)
		free(obj);
	else
		*ret = obj;
	return rc;
}

/* What hangs on an entry besides the entry: numbers and gateways by number. */
static void unlink_obj(struct cp_store *s, enum cp_cf cf, const struct cp_ent *e)
{
	if (e->obj == NULL)
		return;
	if (cf == CP_CF_LINE)
		cp_dir_number_set(s, e->key, e->key_len, NULL);
	if (cf == CP_CF_GATEWAY) {
		uint32_t id = ((struct cp_gateway *)e->obj)->gw_id;

		if (s->gw_by_id[id] == e->obj)
			s->gw_by_id[id] = NULL;
	}
}

/* What an entry's new object is known by besides its key. */
static int link_obj(struct cp_store *s, enum cp_cf cf, const uint8_t *key, size_t key_len, void *obj)
{
	if (obj != NULL && cf == CP_CF_GATEWAY)
		s->gw_by_id[((struct cp_gateway *)obj)->gw_id] = obj;
	return obj != NULL && cf == CP_CF_LINE ? cp_dir_number_set(s, key, key_len, obj) : 0;
}

int cp_view_put(struct cp_store *s, enum cp_cf cf, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_tab *tab = &s->view[cf];
	struct cp_ent *e = cp_tab_put(tab, key, key_len);
	uint8_t *copy = malloc(len > 0 ? len : 1);
	void *obj = NULL;
	int rc, linked;

	if (e == NULL || copy == NULL) {
		free(copy);
		return -ENOMEM;
	}
	rc = decode(cf, val, len, &obj);
	unlink_obj(s, cf, e);
	if (e->obj != NULL)
		tab->free_obj(e->obj);
	if (len > 0)
		memcpy(copy, val, len);
	cp_ent_set_val(e, copy, len);
	e->obj = obj;
	linked = link_obj(s, cf, key, key_len, obj);
	return rc < 0 ? rc : linked;
}

void cp_view_del(struct cp_store *s, enum cp_cf cf, const uint8_t *key, size_t key_len)
{
	struct cp_ent *e = cp_tab_find(&s->view[cf], key, key_len);

	if (e == NULL)
		return;
	unlink_obj(s, cf, e);
	cp_tab_del(&s->view[cf], key, key_len);
}

static void log_bad(enum cp_cf cf, const uint8_t *key, size_t key_len, int rc)
{
	char q[160];

	cfg_log_limited(CFG_LOG_ERR, "store-bad-record", "cf=%d key=%s rc=%d", (int)cf,
			cfg_qn(q, sizeof(q), (const char *)key, key_len), rc);
}

void cp_view_bad(struct cp_store *s, enum cp_cf cf, const uint8_t *key, size_t key_len, int rc)
{
	s->bad_records++;
	log_bad(cf, key, key_len, rc);
}

/* --- filling it at the start --- */

/*
 * A store of 100,000 phones has to be open within a second: two threads take one family after the other. A family is one
 * thread's alone, and so is what hangs on it: the numbers' tree on the lines, the gateways by number on the gateways.
 */
#define LOADERS 2

struct load {
	struct cp_store *s;
	pthread_mutex_t lock;
	unsigned next; /* index in 'order' */
	unsigned bad;
	int rc;        /* the first error; nobody begins a family after it */
};

struct loading { /* one family */
	struct load *l;
	enum cp_cf cf;
	unsigned bad;
	int rc;
};

static bool load_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct loading *f = ctx;
	struct cp_store *s = f->l->s;
	struct cp_ent *e = cp_tab_add(&s->view[f->cf], key, key_len, val, len); /* the database has a key once */
	int rc;

	if (e == NULL) {
		f->rc = -ENOMEM;
		return false;
	}
	rc = decode(f->cf, val, len, &e->obj);
	if (rc == 0)
		rc = link_obj(s, f->cf, key, key_len, e->obj);
	if (rc == -ENOMEM) {
		f->rc = rc;
		return false;
	}
	if (rc < 0) { /* kept on disk, not served: one damaged record must not stop the others */
		f->bad++;
		log_bad(f->cf, key, key_len, rc);
	}
	return true;
}

static void *loader(void *arg)
{
	/* the large ones first, so that the threads end together */
	static const enum cp_cf order[] = {
		CP_CF_DEVICE, CP_CF_LINE, CP_CF_LEDGER, CP_CF_CAPF, CP_CF_META, CP_CF_PROFILE, CP_CF_GATEWAY, CP_CF_CERT,
		CP_CF_TRUST, CP_CF_CTL, CP_CF_CALL, CP_CF_SA, CP_CF_USER, CP_CF_MWI, CP_CF_DIAL,
	};
	static_assert(sizeof(order) / sizeof(order[0]) == CP_CF_MAX - 3, "all that cp_view_has()");
	struct load *l = arg;

	pthread_mutex_lock(&l->lock);
	while (l->rc == 0 && l->next < sizeof(order) / sizeof(order[0])) {
		struct loading f = {.l = l, .cf = order[l->next++]};
		int rc;

		pthread_mutex_unlock(&l->lock);
		cp_tab_reserve(&l->s->view[f.cf], cp_db_count(l->s->db, f.cf));
		rc = cp_db_each(l->s->db, f.cf, false, load_one, &f);
		pthread_mutex_lock(&l->lock);
		l->bad += f.bad;
		if (l->rc == 0)
			l->rc = rc < 0 ? rc : f.rc;
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

int cp_view_load(struct cp_store *s)
{
	struct load l = {.s = s};
	pthread_t thread[LOADERS - 1];
	unsigned n = 0;

	pthread_mutex_init(&l.lock, NULL);
	while (n < LOADERS - 1 && pthread_create(&thread[n], NULL, loader, &l) == 0)
		n++;
	loader(&l); /* alone if need be */
	while (n > 0)
		pthread_join(thread[--n], NULL);
	pthread_mutex_destroy(&l.lock);
	s->bad_records += l.bad;
	return l.rc;
}

int cp_view_init(struct cp_store *s)
{
	static void (*const free_obj[CP_CF_MAX])(void *) = {
		[CP_CF_DEVICE] = free_device, [CP_CF_GATEWAY] = free_gateway, [CP_CF_SA] = free_sa,
		[CP_CF_CALL] = free_call, [CP_CF_LINE] = cp_owner_delete,
	};
	int rc = 0;

	for (unsigned cf = 0; cf < CP_CF_MAX && rc == 0; cf++)
		rc = cp_tab_init(&s->view[cf], free_obj[cf]);
	return rc;
}

void cp_view_fini(struct cp_store *s)
{
	for (unsigned cf = 0; cf < CP_CF_MAX; cf++)
		cp_tab_fini(&s->view[cf]);
}
