/* SPDX-License-Identifier: BSD-3-Clause */
/* The files joined to the rest of the controlplane. */
#include <errno.h>
#include <libxml/parser.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "clock.h"
#include "enrol/enrol.h"
#include "explain.h"
#include "internal.h"
#include "log.h"
#include "trust/certs.h"
#include "trust/ledger.h"
#include "trust/lists.h"

#define SIGNER "TFTP" /* the identity that signs files */

static struct cp_file *list(void *ctx, enum pki_tl_kind kind, enum pki_tl_class cls)
{
	struct cp_app *app = ctx;

	return app->lists != NULL ? cp_lists_file(app->lists, kind, cls) : NULL;
}

static bool mixed(void *ctx)
{
	struct cp_app *app = ctx;

	return app->lists != NULL && cp_lists_mode(app->lists) == CP_CLUSTER_MIXED;
}

/* Without lists nobody knows that the cluster is not a mixed one. */
static bool auto_registration(void *ctx)
{
	struct cp_app *app = ctx;

	return app->lists != NULL && cp_lists_auto_registration(app->lists);
}

static X509 *signer_cert(void *ctx)
{
	struct cp_app *app = ctx;

	return app->certs != NULL ? cp_certs_own(app->certs, SIGNER) : NULL;
}

/* At start the certificates' keeper may not have heard of it yet: from the signer itself. */
static void first_cert(struct cp_app *app)
{
	struct cp_signer_ident *ids;
	X509 *have = cp_files_cert(app->files);
	unsigned n;

	X509_free(have);
	if (have != NULL || app->signer == NULL || cp_signer_idents(app->signer, &ids, &n) < 0)
		return;
	for (unsigned i = 0; i < n; i++)
		if (strcmp(ids[i].name, SIGNER) == 0 && X509_up_ref(ids[i].cert) == 1)
			cp_files_set_cert(app->files, ids[i].cert);
	cp_signer_idents_free(ids, n);
}

static int sign(void *ctx, enum cp_sign_kind kind, const void *head, size_t head_len, const void *body, size_t body_len,
		uint8_t *sig, size_t *ret_len)
{
	struct cp_app *app = ctx;

	return cp_signer_sign(app->signer, kind, SIGNER, head, head_len, body, body_len, sig, ret_len);
}

static int unseal(void *ctx, const void *sealed, size_t len, const char *aad, uint8_t **ret, size_t *ret_len)
{
	struct cp_app *app = ctx;

	return cp_signer_unseal(app->signer, sealed, len, aad, strlen(aad), ret, ret_len);
}

static void has_list(void *ctx, const char *device, enum pki_tl_kind kind, const struct cp_file *file,
		     const struct cfg_addr *unproven_at)
{
	struct cp_app *app = ctx;

	if (app->ledger != NULL && unproven_at == NULL)
		cp_ledger_list_sha(app->ledger, device, kind, file->sha256, file->data, file->len, CP_LEDGER_FETCHED);
	else if (app->ledger != NULL)
		cp_ledger_claim(app->ledger, device, kind, file->sha256, file->data, file->len, unproven_at);
}

static struct cp_file *extra(void *ctx, const char *name)
{
	return cp_enrol_file(ctx, name);
}

static void cert_changed(void *ctx, const char *name)
{
	struct cp_app *app = ctx;

	if (strcmp(name, SIGNER) == 0)
		cp_files_changed(app->files);
}

static void list_changed(void *ctx, enum pki_tl_kind kind, enum pki_tl_class cls)
{
	struct cp_app *app = ctx;

	(void)kind;
	(void)cls;
	cp_files_changed(app->files); /* the mode may be another */
}

int cp_files_open(struct cp_app *app)
{
	struct cp_files_env env = {
		.base = app->base,
		.store = app->store,
		.cfg = app->cfg,
		.alarms = app->alarms,
		.ctx = app,
		.list = list,
		.mixed = mixed,
		.auto_registration = auto_registration,
		.signer_cert = signer_cert,
		.sign = sign,
		.unseal = unseal,
		.has_list = has_list,
		.extra = extra,
	};
	int rc;

	xmlInitParser(); /* before there are threads */
	rc = cp_files_create(&env, &app->files);
	if (rc == 0 && app->certs != NULL)
		rc = cp_certs_watch(app->certs, cert_changed, app);
	if (rc == 0 && app->lists != NULL)
		rc = cp_lists_watch(app->lists, list_changed, app);
	if (rc == 0)
		first_cert(app);
	return rc == 0 ? cp_explain_commands(app) : rc;
}

void cp_files_phone_cert(struct cp_files *f, const char *device, X509 *cert)
{
	struct cp_phone_cert rec = {0};
	const uint8_t *have;
	uint8_t *der = NULL;
	struct cp_batch *b;
	struct cp_buf val;
	size_t have_len;
	int len = i2d_X509(cert, &der);

	if (len <= 0 || strlen(device) >= sizeof(rec.device)) {
		OPENSSL_free(der);
		return;
	}
	memcpy(rec.device, device, strlen(device) + 1);
	rec.cert = (struct cp_buf){der, (size_t)len};
	if (cp_store_get(f->env.store, CP_CF_CAPF, device, strlen(device), &have, &have_len) == 0) {
		struct cp_phone_cert old;
		bool same = false;

		if (cp_phone_cert_parse(have, have_len, &old) == 0) {
			same = old.cert.len == (size_t)len && memcmp(old.cert.data, der, (size_t)len) == 0;
			cp_phone_cert_free(&old);
		}
		if (same) {
			OPENSSL_free(der);
			return;
		}
	}
	rec.since_us = cp_wall_us();
	b = cp_batch_create();
	if (b != NULL && cp_phone_cert_build(&rec, &val) == 0) {
		cp_batch_put(b, CP_CF_CAPF, device, strlen(device), val.data, val.len);
		free(val.data);
		cp_store_submit(f->env.store, b, NULL, NULL); /* lost if the store fails: the next handshake shows it again */
	} else {
		cp_batch_destroy(b);
	}
	OPENSSL_free(der);
}
