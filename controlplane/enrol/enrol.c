/* SPDX-License-Identifier: BSD-3-Clause */
#include "enrol/enrol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "config.h"
#include "enrol/capf.h"
#include "log.h"
#include "net/net.h"
#include "net/tls.h"
#include "signerc/signerc.h"
#include "store/store.h"
#include "trust/certs.h"
#include "trust/ledger.h"
#include "trustlist.h"
#include "x509.h"

struct cp_enrol {
	struct cp_net *net;
	struct cp_tls *tls;
	STACK_OF(X509) *cas; /* further issuers of phones' certificates: signer.trust */
	X509_STORE *lsc, *mic;
	bool stale;
	char files[512];
};

/* --- whom CAPF believes --- */

static void add(STACK_OF(X509) *list, X509 *cert) /* takes the reference */
{
	if (cert != NULL && sk_X509_push(list, cert) <= 0)
		X509_free(cert);
}

static void rebuild(struct cp_app *app)
{
	struct cp_enrol *e = app->enrol;
	STACK_OF(X509) *ours = sk_X509_new_null(), *theirs = cp_certs_trusted(app->certs, CP_TS_CAPF);
	X509_STORE *lsc = NULL, *mic = NULL;

	if (ours == NULL)
		goto out;
	add(ours, cp_certs_own(app->certs, "CAPF"));
	add(ours, cp_certs_own(app->certs, "CAPF.prev"));
	for (int i = 0; e->cas != NULL && i < sk_X509_num(e->cas); i++) {
		X509 *ca = sk_X509_value(e->cas, i);

		if (X509_up_ref(ca) == 1)
			add(ours, ca);
	}
	/* Old MICs are signed with SHA-1 by keys of 1,024 bits; what they may do here is ask for a better certificate. */
	if (pki_phone_store(ours, app->cfg->enrol.old_keys, &lsc) < 0 ||
	    (theirs != NULL && sk_X509_num(theirs) > 0 && pki_phone_store(theirs, true, &mic) < 0)) {
		X509_STORE_free(lsc);
		cfg_log(CFG_LOG_ERR, "capf-trust", "reason=\"no memory\"");
		goto out;
	}
	X509_STORE_free(e->lsc);
	X509_STORE_free(e->mic);
	e->lsc = lsc;
	e->mic = mic;
	e->stale = false;
out:
	sk_X509_pop_free(ours, X509_free);
	sk_X509_pop_free(theirs, X509_free);
}

static void trust(void *ctx, struct cp_capf_trust *ret)
{
	struct cp_app *app = ctx;

	if (app->enrol->stale)
		rebuild(app);
	ret->lsc = app->enrol->lsc;
	ret->mic = app->enrol->mic;
}

static void certs_changed(void *ctx, const char *name)
{
	struct cp_app *app = ctx;

	if (app->enrol != NULL && (strcmp(name, "CAPF") == 0 || strcmp(name, cp_trust_store_name(CP_TS_CAPF)) == 0))
		app->enrol->stale = true;
}

/* --- what the service asks for --- */

static int issue(void *ctx, const char *device, EVP_PKEY *pub, X509 **ret, char *why, size_t size)
{
	struct cp_app *app = ctx;
	int rc = cp_signer_lsc_issue(app->signer, device, pub, ret);

	if (rc < 0)
		snprintf(why, size, "%s", cp_signer_error(app->signer));
	return rc;
}

static int unseal(void *ctx, const struct cp_buf *sealed, const char *aad, char ret[CP_CAPF_STRING_MAX + 1])
{
	struct cp_app *app = ctx;
	uint8_t *plain = NULL;
	size_t len = 0;
	int rc = cp_signer_unseal(app->signer, sealed->data, sealed->len, aad, strlen(aad), &plain, &len);

	if (rc < 0)
		return rc;
	rc = len <= CP_CAPF_STRING_MAX ? 0 : -EBADMSG;
	if (rc == 0) {
		memcpy(ret, plain, len);
		ret[len] = '\0';
	}
	OPENSSL_clear_free(plain, len);
	return rc;
}

static bool old_phone(void *ctx, const struct cp_device *dev)
{
	struct cp_app *app = ctx;

	return pki_tl_class_of_model(dev->model, (enum pki_tl_class)app->cfg->provision.default_class) == PKI_CLASS_79XX;
}

static void holds(void *ctx, const char *device, X509 *cert)
{
	struct cp_app *app = ctx;

	if (app->ledger != NULL && !app->stopping)
		cp_ledger_lsc(app->ledger, device, cert, CP_LEDGER_CAPF);
}

/* --- opening --- */

static int listen_on(struct cp_app *app)
{
	const struct cfg_enrol *cfg = &app->cfg->enrol;
	struct cp_net_opts net = {
		.max_conns = cfg->max_connections,
		.max_preauth = cfg->max_preauth,
		.max_source = cfg->max_source,
		.handshake_ms = cfg->handshake_s * 1000u,
		.auth_ms = CP_CAPF_AUTH_S * 1000u,
	};
	bool legacy = app->cfg->sccp.legacy_tls;
	struct cfg_addr addr;
	uint16_t got;
	int rc;

	if (cfg->capf_port == 0)
		return 0;
	cp_net_fd_room(app->cfg->sccp.max_connections + app->cfg->provision.max_connections + app->cfg->provision.max_transfers +
		       cfg->max_connections + 1024);
	if (cfg_addr_parse(cfg->listen, &addr) < 0)
		return -EINVAL;
	addr.port = cfg->capf_port;
	rc = cp_tls_create(legacy ? CP_TLS_LEGACY_79XX : CP_TLS_MODERN, legacy, &app->enrol->tls);
	if (rc < 0)
		return rc;
	cp_tls_clients(app->enrol->tls, CP_TLS_CLIENTS_NOT_ASKED);
	rc = cp_certs_serve(app->certs, app->enrol->tls, "CAPF-TLS", 0, false);
	if (rc == 0)
		rc = cp_net_create(app->base, &net, &app->enrol->net);
	return rc == 0 ? cp_capf_listen(app->capf, app->enrol->net, &addr, app->enrol->tls, &got) : rc;
}

int cp_enrol_open(struct cp_app *app)
{
	struct cp_capf_env env = {
		.base = app->base,
		.store = app->store,
		.offload = app->offload,
		.lscs = app->lscs,
		.alarms = app->alarms,
		.issue = issue,
		.unseal = unseal,
		.trust = trust,
		.old_phone = old_phone,
		.holds = holds,
		.ctx = app,
	};
	int rc;

	app->enrol = calloc(1, sizeof(*app->enrol));
	if (app->enrol == NULL)
		return -ENOMEM;
	snprintf(app->enrol->files, sizeof(app->enrol->files), "%s/capf", app->cfg->paths.state);
	env.files = app->enrol->files;
	app->enrol->stale = true;
	if (app->signer != NULL && cp_signer_trust(app->signer, &app->enrol->cas) < 0)
		app->enrol->cas = NULL; /* only our own issuer's then */
	rc = cp_capf_create(&env, &app->capf);
	if (rc == 0)
		rc = cp_certs_watch(app->certs, certs_changed, app);
	if (rc == 0)
		rc = cp_capf_commands(app);
	if (rc == 0)
		rc = listen_on(app);
	if (rc < 0)
		cfg_log(CFG_LOG_ERR, "cannot-serve", "what=CAPF listen=%s port=%u reason=%s", app->cfg->enrol.listen,
			app->cfg->enrol.capf_port, cfg_q(strerror(-rc)));
	return rc;
}

void cp_enrol_stop(struct cp_app *app)
{
	if (app->enrol == NULL)
		return;
	cp_net_destroy(app->enrol->net);
	app->enrol->net = NULL;
}

void cp_enrol_destroy(struct cp_app *app)
{
	struct cp_enrol *e = app->enrol;

	cp_capf_destroy(app->capf);
	app->capf = NULL;
	cp_lscs_destroy(app->lscs);
	app->lscs = NULL;
	if (e == NULL)
		return;
	X509_STORE_free(e->lsc);
	X509_STORE_free(e->mic);
	sk_X509_pop_free(e->cas, X509_free);
	cp_tls_destroy(e->tls);
	free(e);
	app->enrol = NULL;
}
