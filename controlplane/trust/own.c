/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our own certificates: a copy of what the signer holds. The signer is asked on a thread; what came back is taken into use on
 * the loop, listeners first, then whoever watches. Changes of them: ownop.c.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "config.h"
#include "offload.h"
#include "own_int.h"

/* between questions to a signer that did not answer */
static const struct timeval retry = {2, 0};

/* --- the copy --- */

void certs_fetch_begin(const struct cp_certs *c, struct certs_fetch *f)
{
	*f = (struct certs_fetch){.signer = c->app->signer, .served_cnt = c->served_cnt};
	for (unsigned i = 0; i < f->served_cnt; i++)
		memcpy(f->served[i].name, c->served[i].name, sizeof(f->served[i].name));
}

void certs_fetch_work(struct certs_fetch *f)
{
	f->rc = cp_signer_idents(f->signer, &f->ident, &f->cnt);
	if (f->rc == 0)
		f->rc = cp_signer_trust(f->signer, &f->lsc_cas);
	for (unsigned i = 0; i < f->served_cnt && f->rc == 0; i++)
		f->rc = cp_signer_server_identity(f->signer, f->served[i].name, &f->served[i].key, &f->served[i].cert,
						  &f->served[i].chain);
	if (f->rc < 0)
		snprintf(f->why, sizeof(f->why), "%s", cp_signer_error(f->signer));
}

void certs_fetch_fini(struct certs_fetch *f)
{
	cp_signer_idents_free(f->ident, f->cnt);
	sk_X509_pop_free(f->lsc_cas, X509_free);
	for (unsigned i = 0; i < f->served_cnt; i++) {
		EVP_PKEY_free(f->served[i].key);
		X509_free(f->served[i].cert);
		sk_X509_pop_free(f->served[i].chain, X509_free);
	}
}

const struct cp_signer_ident *certs_ident(const struct cp_certs *c, const char *name)
{
	for (unsigned i = 0; i < c->ident_cnt; i++)
		if (strcmp(c->ident[i].name, name) == 0)
			return &c->ident[i];
	return NULL;
}

static bool same_stack(STACK_OF(X509) *a, STACK_OF(X509) *b)
{
	int n = a != NULL ? sk_X509_num(a) : 0;

	if (n != (b != NULL ? sk_X509_num(b) : 0))
		return false;
	for (int i = 0; i < n; i++)
		if (X509_cmp(sk_X509_value(a, i), sk_X509_value(b, i)) != 0)
			return false;
	return true;
}

static bool same_ident(const struct cp_signer_ident *a, const struct cp_signer_ident *b)
{
	if ((a->cert == NULL) != (b->cert == NULL) || (a->cert != NULL && X509_cmp(a->cert, b->cert) != 0))
		return false;
	return same_stack(a->chain, b->chain);
}

/* Listeners take the key, certificate and trust that came; their old ones are for living connections only. */
static void serve_new(struct cp_certs *c, struct certs_fetch *f)
{
	bool trust = !same_stack(c->lsc_cas, f->lsc_cas);

	if (trust) {
		sk_X509_pop_free(c->lsc_cas, X509_free);
		c->lsc_cas = f->lsc_cas;
		f->lsc_cas = NULL;
	}
	for (unsigned i = 0; i < f->served_cnt; i++) {
		struct served *s = &c->served[i];
		bool changed = X509_cmp(s->cert, f->served[i].cert) != 0 || !same_stack(s->chain, f->served[i].chain);

		if (changed) {
			EVP_PKEY_free(s->key);
			X509_free(s->cert);
			sk_X509_pop_free(s->chain, X509_free);
			s->key = f->served[i].key;
			s->cert = f->served[i].cert;
			s->chain = f->served[i].chain;
			f->served[i].key = NULL;
			f->served[i].cert = NULL;
			f->served[i].chain = NULL;
		}
		if (changed || (trust && s->lscs))
			(void)certs_reload(c, s);
	}
}

/* On the loop: what is new is used, then told. */
void certs_fetch_apply(struct cp_certs *c, struct certs_fetch *f)
{
	struct cp_signer_ident *old = c->ident;
	unsigned old_cnt = c->ident_cnt, changed = 0;
	const char *names[64];

	if (f->rc < 0) {
		cfg_log_limited(CFG_LOG_WARN, "signer-not-asked", "reason=%s", cfg_q(f->why));
		return;
	}
	if (!c->app->stopping)
		serve_new(c, f);
	c->ident = f->ident;
	c->ident_cnt = f->cnt;
	f->ident = NULL;
	f->cnt = 0;
	for (unsigned i = 0; i < c->ident_cnt && changed < sizeof(names) / sizeof(names[0]); i++) {
		const struct cp_signer_ident *was = NULL;

		for (unsigned k = 0; k < old_cnt; k++)
			if (strcmp(old[k].name, c->ident[i].name) == 0)
				was = &old[k];
		if (was == NULL || !same_ident(was, &c->ident[i]))
			names[changed++] = c->ident[i].name;
	}
	for (unsigned k = 0; k < old_cnt && changed < sizeof(names) / sizeof(names[0]); k++)
		if (certs_ident(c, old[k].name) == NULL)
			names[changed++] = old[k].name; /* retired */
	if (changed > 0 && !c->app->stopping) {
		certs_expiry(c);
		for (unsigned i = 0; i < changed; i++)
			certs_notify(c, names[i]);
	}
	cp_signer_idents_free(old, old_cnt);
}

/* --- asking again --- */

struct refresh {
	struct cp_certs *certs;
	struct certs_fetch fetch;
};

static void refresh_work(void *arg)
{
	struct refresh *r = arg;

	certs_fetch_work(&r->fetch);
}

static void refresh_done(void *arg)
{
	struct refresh *r = arg;
	struct cp_certs *c = r->certs;

	c->asking = false;
	certs_fetch_apply(c, &r->fetch);
	c->stale |= r->fetch.rc < 0;
	if (c->stale && !c->app->stopping)
		evtimer_add(c->refresh_ev, &retry);
	certs_fetch_fini(&r->fetch);
	free(r);
}

void certs_refresh(struct cp_certs *c)
{
	struct refresh *r;

	c->stale = true;
	if (c->app->signer == NULL || c->asking || c->busy)
		return; /* who is asking will see it */
	r = calloc(1, sizeof(*r));
	if (r != NULL) {
		r->certs = c;
		certs_fetch_begin(c, &r->fetch);
		if (cp_offload_run(c->app->offload, refresh_work, refresh_done, r) == 0) {
			c->asking = true;
			c->stale = false;
			return;
		}
		free(r);
	}
	evtimer_add(c->refresh_ev, &retry);
}

static void on_refresh(evutil_socket_t fd, short what, void *ctx)
{
	struct cp_certs *c = ctx;

	(void)fd;
	(void)what;
	if (c->stale && !c->app->stopping)
		certs_refresh(c);
}

int certs_own_create(struct cp_certs *c)
{
	c->refresh_ev = evtimer_new(c->app->base, on_refresh, c);
	if (c->refresh_ev == NULL)
		return -ENOMEM;
	if (c->app->signer == NULL)
		return 0; /* tests of trust stores alone */
	return cp_signer_idents(c->app->signer, &c->ident, &c->ident_cnt);
}

void certs_own_destroy(struct cp_certs *c)
{
	cp_signer_idents_free(c->ident, c->ident_cnt);
	if (c->refresh_ev != NULL)
		event_free(c->refresh_ev);
}

X509 *cp_certs_own(const struct cp_certs *c, const char *name)
{
	const struct cp_signer_ident *id = certs_ident(c, name);

	if (id == NULL || id->cert == NULL || X509_up_ref(id->cert) != 1)
		return NULL;
	return id->cert;
}

const struct cp_signer_ident *cp_certs_idents(const struct cp_certs *c, unsigned *ret_cnt)
{
	*ret_cnt = c->ident_cnt;
	return c->ident;
}

void certs_own_rows(struct cp_certs *c, json_t *list, certs_row_fn row)
{
	for (unsigned i = 0; i < c->ident_cnt; i++) {
		const struct cp_signer_ident *id = &c->ident[i];
		json_t *o = id->cert != NULL ? row(c, "own", id->cert, id->csr_pending ? "a request is out" : "") : NULL;

		if (o == NULL)
			continue;
		json_object_set_new(o, "name", json_string(id->name)); /* as commands call it */
		json_array_append_new(list, o);
	}
}
