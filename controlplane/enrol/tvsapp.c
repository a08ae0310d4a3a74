/* SPDX-License-Identifier: BSD-3-Clause */
/* TVS joined to the rest of the controlplane: its listener, what it vouches for as certificates change, what it tells the ledger. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "app.h"
#include "config.h"
#include "enrol/tvs.h"
#include "enrol/tvsapp.h"
#include "enrol/tvsfeed.h"
#include "log.h"
#include "net/net.h"
#include "net/show.h"
#include "net/tls.h"
#include "sccp/sccp.h"
#include "trust/certs.h"
#include "trust/ledger.h"

struct cp_tvs_app {
	struct cp_net *net;
	struct cp_tls *tls;
	struct cp_tvs *tvs;
};

static void refill(struct cp_app *app)
{
	struct cp_tvs_source src = cp_tvs_source_of(app->certs);
	struct cp_tvs_book *book = cp_tvs_feed(&src);

	if (book == NULL) { /* yesterday's answers are better than none; the next change tries again */
		cfg_log(CFG_LOG_ERR, "tvs-not-refilled", "reason=\"no memory\"");
		return;
	}
	cp_tvs_set_book(app->tvs->tvs, book);
}

/* After the change is synced, before whoever asked for it is answered: the next question sees it (002:P2-08). */
static void certs_changed(void *ctx, const char *name)
{
	struct cp_app *app = ctx;

	(void)name;
	if (app->tvs != NULL && app->tvs->tvs != NULL)
		refill(app);
}

/* "CP-8861-SEP001122334455" */
static const char *device_of(const char *name)
{
	const char *dash = strrchr(name, '-');

	return dash != NULL ? dash + 1 : name;
}

static void answered(void *ctx, const char *device, X509 *cert, const struct cfg_addr *from, const struct cp_tvs_msg *asked,
		     enum cp_tvs_answer answer)
{
	struct cp_app *app = ctx;
	const struct cp_phone *phone;
	char text[64];

	(void)cert;
	(void)asked;
	if (answer != CP_TVS_VOUCHED)
		cfg_log_limited(CFG_LOG_NOTICE, "tvs-not-vouched", "from=%s device=%s why=%s", cfg_addr_print(from, text, sizeof(text)),
				cfg_q(device), answer == CP_TVS_EXPIRED ? "not-valid-now" : "unknown");
	/* A name proves nothing: it is the phone's if the phone is registered from there. */
	phone = app->sccp != NULL && app->ledger != NULL ? cp_sccp_find(app->sccp, device_of(device)) : NULL;
	if (phone != NULL && cp_phone_peer(phone)->family == from->family &&
	    memcmp(cp_phone_peer(phone)->ip, from->ip, from->family == 4 ? 4 : 16) == 0)
		cp_ledger_tvs(app->ledger, device_of(device));
}

static void show_tvs(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_app *app = ctx;
	struct cp_tvs_stats st = {0};
	json_t *o;

	(void)args;
	if (app->tvs != NULL && app->tvs->tvs != NULL)
		cp_tvs_stats(app->tvs->tvs, &st);
	o = json_pack("{s:b,s:i,s:i,s:I,s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "serving", app->tvs->net != NULL, "port",
				      app->cfg->enrol.tvs_port, "ttl_s", (json_int_t)app->cfg->enrol.tvs_ttl_s, "certificates",
				      (int)st.certificates, "connections", (json_int_t)st.conns, "verify", (json_int_t)st.verify, "query",
				      (json_int_t)st.query, "vouched", (json_int_t)st.vouched, "unknown", (json_int_t)st.unknown,
				      "not_valid_now", (json_int_t)st.expired, "malformed", (json_int_t)st.malformed, "idle_closed",
				      (json_int_t)st.idle_closed);
	if (app->tvs != NULL && app->tvs->net != NULL)
		json_object_set_new(o, "net", cp_net_show(app->tvs->net));
	cp_admin_reply(req, o);
}

static int listen_on(struct cp_app *app)
{
	const struct cfg_enrol *cfg = &app->cfg->enrol;
	struct cp_net_opts net = {
		.max_conns = cfg->max_connections,
		.max_preauth = cfg->max_preauth,
		.max_source = cfg->max_source,
		.handshake_ms = cfg->handshake_s * 1000u,
	};
	bool legacy = app->cfg->sccp.legacy_tls;
	struct cfg_addr addr;
	uint16_t got;
	int rc;

	if (cfg->tvs_port == 0)
		return 0;
	if (cfg_addr_parse(cfg->listen, &addr) < 0)
		return -EINVAL;
	addr.port = cfg->tvs_port;
	rc = cp_tls_create(legacy ? CP_TLS_LEGACY_79XX : CP_TLS_MODERN, legacy, &app->tvs->tls);
	if (rc < 0)
		return rc;
	/* Phones may offer a certificate and are not asked: one that we do not know would end a handshake that is to help it. */
	cp_tls_clients(app->tvs->tls, CP_TLS_CLIENTS_NOT_ASKED);
	rc = cp_certs_serve(app->certs, app->tvs->tls, "TVS", 0, false);
	if (rc == 0)
		rc = cp_net_create(app->base, &net, &app->tvs->net);
	return rc == 0 ? cp_tvs_listen(app->tvs->tvs, app->tvs->net, &addr, app->tvs->tls, &got) : rc;
}

int cp_tvs_open(struct cp_app *app)
{
	struct cp_tvs_env env = {.base = app->base, .ttl_s = app->cfg->enrol.tvs_ttl_s, .answered = answered, .ctx = app};
	int rc;

	app->tvs = calloc(1, sizeof(*app->tvs));
	if (app->tvs == NULL)
		return -ENOMEM;
	rc = cp_tvs_create(&env, &app->tvs->tvs);
	if (rc == 0) {
		refill(app);
		rc = cp_certs_watch(app->certs, certs_changed, app);
	}
	if (rc == 0)
		rc = cp_admin_register(app->admin, "show.tvs", show_tvs, app);
	if (rc == 0)
		rc = listen_on(app);
	if (rc < 0)
		cfg_log(CFG_LOG_ERR, "cannot-serve", "what=TVS listen=%s port=%u reason=%s", app->cfg->enrol.listen,
			app->cfg->enrol.tvs_port, cfg_q(strerror(-rc)));
	return rc;
}

void cp_tvs_close(struct cp_app *app)
{
	if (app->tvs == NULL)
		return;
	cp_net_destroy(app->tvs->net);
	cp_tvs_destroy(app->tvs->tvs);
	app->tvs->net = NULL;
	app->tvs->tvs = NULL;
}

void cp_tvs_free(struct cp_app *app)
{
	if (app->tvs == NULL)
		return;
	cp_tls_destroy(app->tvs->tls); /* the certificate manager loads into it until its end */
	free(app->tvs);
	app->tvs = NULL;
}
