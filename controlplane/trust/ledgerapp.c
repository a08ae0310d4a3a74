/* SPDX-License-Identifier: BSD-3-Clause */
/* The ledger of the running appliance: what it serves comes from the certificate manager and the lists in force. */
#include <errno.h>

#include "app.h"
#include "certs.h"
#include "config.h"
#include "ledger.h"
#include "listrec.h"
#include "lists.h"
#include "world.h"

#define KNOWN_MAX  16
#define OTHERS_MAX 100

static X509 *own(void *ctx, const char *name)
{
	const struct cp_app *app = ctx;

	return cp_certs_own(app->certs, name);
}

static X509 *from_der(const struct cp_buf *b)
{
	const uint8_t *p = b->data;

	return b->len > 0 ? d2i_X509(NULL, &p, (long)b->len) : NULL;
}

static void add_other(struct cp_tm_source *s, struct pki_tl_entry *e, uint16_t role, const struct cp_buf *der)
{
	X509 *c = s->others_cnt < OTHERS_MAX ? from_der(der) : NULL;

	if (c != NULL)
		e[s->others_cnt++] = (struct pki_tl_entry){.role = role, .cert = c};
}

static int world(void *ctx, enum pki_tl_class cls, struct cp_tm_world *ret)
{
	struct cp_app *app = ctx;
	struct cp_file *ctl, *itl;
	const struct cp_ctl_rec *rec;
	struct pki_tl_entry others[OTHERS_MAX];
	X509 *known[KNOWN_MAX];
	struct cp_tm_source s = {
		.own = own,
		.ctx = app,
		.cls = cls,
		.no_tvs = true, /* ITLs name TVS, so that phones know it when it is there; until then no plan may count on it */
		.known = known,
		.others = others,
	};
	int rc = -EAGAIN;

	if (app->certs == NULL || app->lists == NULL)
		return -EAGAIN;
	ctl = cp_lists_file(app->lists, PKI_TL_CTL, cls);
	itl = cp_lists_file(app->lists, PKI_TL_ITL, cls);
	rec = cp_lists_ctl(app->lists);
	for (unsigned i = 0; rec != NULL && i < rec->token_cnt && s.known_cnt < KNOWN_MAX; i++) {
		known[s.known_cnt] = from_der(&rec->tokens[i].cert);
		s.known_cnt += known[s.known_cnt] != NULL;
	}
	for (unsigned i = 0; rec != NULL && i < rec->extra_cnt; i++)
		add_other(&s, others, rec->extras[i].role, &rec->extras[i].cert);
	for (unsigned i = 0; rec != NULL && i < rec->tftp_cnt; i++)
		add_other(&s, others, PKI_TL_TFTP, &rec->tftps[i].cert);
	s.mixed = cp_lists_mode(app->lists) == CP_CLUSTER_MIXED;
	s.rollback = cp_lists_rollback(app->lists);
	s.with = cp_lists_itl_sign_with(app->lists);
	if (ctl != NULL) {
		s.ctl = ctl->data;
		s.ctl_len = ctl->len;
	}
	if (itl != NULL) { /* without an ITL nothing was served yet */
		s.itl = itl->data;
		s.itl_len = itl->len;
		rc = cp_tm_world_make(&s, ret);
	}
	while (s.known_cnt > 0)
		X509_free(known[--s.known_cnt]);
	while (s.others_cnt > 0)
		X509_free(others[--s.others_cnt].cert);
	cp_file_put(ctl);
	cp_file_put(itl);
	return rc;
}

int cp_ledger_create(struct cp_app *app, struct cp_ledger **ret)
{
	struct cp_ledger_env env = {
		.base = app->base,
		.store = app->store,
		.world = world,
		.ctx = app,
		.default_class = (enum pki_tl_class)app->cfg->provision.default_class,
	};

	return cp_ledger_create_env(&env, ret);
}
