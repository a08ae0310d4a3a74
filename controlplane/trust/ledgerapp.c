/* SPDX-License-Identifier: BSD-3-Clause */
/* The ledger of the running appliance: what it serves comes from the certificate manager and the lists in force. */
#include <errno.h>

#include "app.h"
#include "certs.h"
#include "config.h"
#include "ledger.h"
#include "lists.h"
#include "world.h"

static X509 *own(void *ctx, const char *name)
{
	const struct cp_app *app = ctx;

	return cp_certs_own(app->certs, name);
}

static int world(void *ctx, enum pki_tl_class cls, struct cp_tm_world *ret)
{
	struct cp_app *app = ctx;
	struct cp_file *ctl, *itl;
	struct cp_tm_source s = {
		.own = own,
		.ctx = app,
		.cls = cls,
		.no_tvs = app->cfg->enrol.tvs_port == 0, /* ITLs name it all the same: phones know it when it comes */
	};
	int rc = -EAGAIN;

	if (app->certs == NULL || app->lists == NULL)
		return -EAGAIN;
	ctl = cp_lists_file(app->lists, PKI_TL_CTL, cls);
	itl = cp_lists_file(app->lists, PKI_TL_ITL, cls);
	s.rec = cp_lists_ctl(app->lists);
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
	cp_file_put(ctl);
	cp_file_put(itl);
	return rc;
}

int cp_ledger_create(struct cp_app *app, struct cp_ledger **ret)
{
	struct cp_ledger_env env = {
		.base = app->base,
		.offload = app->offload,
		.store = app->store,
		.world = world,
		.ctx = app,
		.default_class = (enum pki_tl_class)app->cfg->provision.default_class,
	};

	return cp_ledger_create_env(&env, ret);
}
