/* SPDX-License-Identifier: BSD-3-Clause */
#include "ledgeroff.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "ledgerint.h"
#include "listrec.h"
#include "lists.h"
#include "world.h"
#include "x509.h"

#define BATCH_RECS 4096

struct off {
	const struct cp_ledger_state *state;
	struct cp_ctl_rec ctl;
	struct cp_itl_rec itl;
};

/* What stands behind "[current]" or "[previous]" of an identity's file (pki/signer/ident.c); a file without them is all current. */
static bool section(const uint8_t *pem, size_t len, bool prev, const uint8_t **ret, size_t *ret_len)
{
	const char *name = prev ? "[previous]\n" : "[current]\n";
	const uint8_t *at, *end;

	if (len == 0 || pem[0] != '[') {
		*ret = pem;
		*ret_len = len;
		return !prev;
	}
	at = memmem(pem, len, name, strlen(name));
	if (at == NULL)
		return false;
	at += strlen(name);
	end = memmem(at, len - (size_t)(at - pem), "\n[", 2);
	*ret = at;
	*ret_len = end != NULL ? (size_t)(end + 1 - at) : len - (size_t)(at - pem);
	return true;
}

static X509 *own(void *ctx, const char *name)
{
	const struct off *o = ctx;
	STACK_OF(X509) *certs = NULL;
	size_t len, part_len, n = strlen(name);
	bool prev = n > 5 && strcmp(name + n - 5, ".prev") == 0;
	const uint8_t *part;
	X509 *cert = NULL;
	uint8_t *pem;
	char path[4400];

	snprintf(path, sizeof(path), "%s/%.*s.key.pem", o->state->keys, (int)(prev ? n - 5 : n), name);
	if (pki_file_read(path, &pem, &len) < 0)
		return NULL;
	if (section(pem, len, prev, &part, &part_len) && pki_pem_certs(part, part_len, &certs) == 0)
		cert = sk_X509_shift(certs);
	sk_X509_pop_free(certs, X509_free);
	OPENSSL_clear_free(pem, len);
	return cert;
}

static int off_load(struct off *o, const struct cp_ledger_state *state)
{
	const uint8_t *v;
	size_t len;
	int rc = 0;

	*o = (struct off){.state = state};
	if (cp_store_get(state->store, CP_CF_CTL, CP_CTL_KEY, strlen(CP_CTL_KEY), &v, &len) == 0)
		rc = cp_ctl_rec_parse(v, len, &o->ctl);
	if (rc == 0 && cp_store_get(state->store, CP_CF_TRUST, CP_ITL_KEY, strlen(CP_ITL_KEY), &v, &len) == 0)
		rc = cp_itl_rec_parse(v, len, &o->itl);
	return rc;
}

static void off_free(struct off *o)
{
	cp_ctl_rec_free(&o->ctl);
	cp_itl_rec_free(&o->itl);
}

static int world(void *ctx, enum pki_tl_class cls, struct cp_tm_world *ret)
{
	struct off *o = ctx;
	const struct cp_buf *ctl = cp_list_file_find(o->ctl.files, o->ctl.file_cnt, (uint8_t)cls);
	const struct cp_buf *itl = cp_list_file_find(o->itl.files, o->itl.file_cnt, (uint8_t)cls);
	struct cp_tm_source s = {
		.own = own,
		.ctx = o,
		.cls = cls,
		.mixed = o->ctl.made && o->ctl.mode == CP_CLUSTER_MIXED,
		.rollback = o->itl.rollback,
		.no_tvs = true,
		.with = o->itl.sign_with[0] != '\0' ? o->itl.sign_with : "auto",
		.rec = &o->ctl,
	};

	if (itl == NULL)
		return -EAGAIN;
	s.itl = itl->data;
	s.itl_len = itl->len;
	if (ctl != NULL) {
		s.ctl = ctl->data;
		s.ctl_len = ctl->len;
	}
	return cp_tm_world_make(&s, ret);
}

static int worlds(struct off *o, struct cp_ledger_worlds *ret)
{
	int rc = 0;

	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++) {
		rc = world(o, (enum pki_tl_class)cls, &ret->w[cls]);
		ret->have[cls] = rc == 0;
	}
	return rc;
}

int cp_ledger_restore(const struct cp_ledger_state *now, const struct cp_ledger_state *next, enum pki_tl_class default_class,
		      struct cp_ledger_restored *ret)
{
	struct cp_ledger_worlds *from = calloc(1, sizeof(*from)), *to = calloc(1, sizeof(*to));
	const struct cp_ledger_state *asked = now != NULL ? now : next;
	struct off a = {0}, b = {0};
	struct cp_ledger_toll t = {0};
	struct event_base *base = event_base_new();
	struct cp_ledger *l = NULL;
	struct cp_ledger_env env = {.base = base, .store = asked->store, .world = world, .ctx = &a, .default_class = default_class};
	int rc = from == NULL || to == NULL || base == NULL ? -ENOMEM : off_load(&a, asked);

	memset(ret, 0, sizeof(*ret));
	if (rc == 0)
		rc = off_load(&b, next);
	if (rc == 0)
		rc = worlds(&b, to);
	if (rc == -EAGAIN)
		rc = -ENODATA;
	if (rc == 0 && (rc = worlds(&a, from)) == -EAGAIN)
		rc = -EBADMSG; /* what it served is not known: who could follow it neither */
	if (rc == 0)
		rc = cp_ledger_create_env(&env, &l);
	if (rc == 0)
		rc = cp_ledger_toll(l, from, to, &t);
	if (rc == 0) {
		ret->phones = t.phones;
		ret->stranded = t.stranded;
		ret->lost = t.lost;
		if (t.stranded > 0)
			cp_ledger_toll_text(&t, ret->why, sizeof(ret->why));
	}
	cp_ledger_destroy(l);
	if (base != NULL)
		event_base_free(base);
	off_free(&a);
	off_free(&b);
	free(from);
	free(to);
	return rc;
}

/* --- carrying over --- */

struct carry {
	struct cp_store *next;
	struct cp_batch *b;
	enum cp_cf cf;
	unsigned n;
	int rc;
};

static bool carry_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t val_len)
{
	struct carry *c = ctx;

	if (c->cf == CP_CF_TRUST && (key_len != 5 + 32 || memcmp(key, "list/", 5) != 0))
		return true; /* the ITL's record is the bundle's */
	if (c->b == NULL && (c->b = cp_batch_create()) == NULL)
		c->rc = -ENOMEM;
	if (c->rc == 0)
		c->rc = cp_batch_put(c->b, c->cf, key, key_len, val, val_len);
	if (c->rc == 0 && ++c->n % BATCH_RECS == 0) {
		c->rc = cp_store_commit(c->next, c->b);
		c->b = NULL;
	}
	return c->rc == 0;
}

int cp_ledger_carry(struct cp_store *now, struct cp_store *next)
{
	struct carry c = {.next = next, .cf = CP_CF_TRUST};

	cp_store_each(now, CP_CF_TRUST, carry_one, &c); /* lists first: a record that names one must find it */
	c.cf = CP_CF_LEDGER;
	if (c.rc == 0)
		cp_store_each(now, CP_CF_LEDGER, carry_one, &c);
	if (c.rc == 0 && c.b != NULL) {
		c.rc = cp_store_commit(next, c.b);
		c.b = NULL;
	}
	cp_batch_destroy(c.b);
	return c.rc;
}
