/* SPDX-License-Identifier: BSD-3-Clause */
#include "serve.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "app.h"
#include "config.h"
#include "files.h"
#include "http.h"
#include "log.h"
#include "net/net.h"
#include "net/tls.h"
#include "oauth.h"
#include "tftp.h"
#include "trust/certs.h"

static void show_provision(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const no_args[] = {NULL};
	struct cp_app *app = ctx;
	json_t *o;

	if (cp_admin_arg_known(req, args, no_args) < 0)
		return;
	o = json_object();
	if (app->tftp != NULL)
		json_object_set_new(o, "tftp", cp_tftp_show(app->tftp));
	if (app->http != NULL)
		json_object_set_new(o, "http", cp_http_show(app->http));
	if (app->oauth != NULL)
		json_object_set_new(o, "tokens", cp_oauth_show(app->oauth));
	cp_admin_reply(req, o);
}

/* TLS with an identity of ours, that follows it; clients are not asked who they are. */
static int open_tls(struct cp_app *app, const char *identity, struct cp_tls **ret)
{
	int rc = cp_tls_create(CP_TLS_MODERN, false, ret);

	if (rc < 0)
		return rc;
	cp_tls_clients(*ret, CP_TLS_CLIENTS_NOT_ASKED);
	return cp_certs_serve(app->certs, *ret, identity, 0, false);
}

static int failed(const struct cp_app *app, const char *what, int rc)
{
	cfg_log(CFG_LOG_ERR, "cannot-serve", "what=%s listen=%s reason=%s", what, app->cfg->provision.listen,
		cfg_q(strerror(-rc)));
	return rc;
}

int cp_serve_open(struct cp_app *app)
{
	const struct cfg_provision *cfg = &app->cfg->provision;
	struct cp_http_opts http = {.cfg = cfg};
	struct cp_file_source source;
	int rc = cp_admin_register(app->admin, "show.provision", show_provision, app);

	if (rc < 0 || app->files == NULL)
		return rc;
	source = cp_files_source(app->files);
	rc = cp_oauth_create(app->base, &cfg->oauth, &app->oauth);
	if (rc < 0)
		return failed(app, "tokens", rc);
	if (cfg->https_port != 0)
		rc = open_tls(app, "HTTPS", &app->https_tls);
	if (rc == 0 && cfg->token_port != 0)
		rc = open_tls(app, "TFTP-EC", &app->token_tls);
	if (rc < 0)
		return failed(app, "TLS", rc);
	if (cfg->tftp_port != 0) {
		rc = cp_tftp_create(cfg, &source, &app->tftp);
		if (rc < 0)
			return failed(app, "TFTP", rc);
	}
	if (cfg->http_port == 0 && cfg->https_port == 0 && cfg->token_port == 0)
		return 0;
	http.source = source;
	http.tls = app->https_tls;
	http.token_tls = app->token_tls;
	http.token_check = cp_oauth_check;
	http.token_ctx = app->oauth;
	rc = cp_http_create(&http, &app->http);
	return rc < 0 ? failed(app, "HTTP", rc) : 0;
}

void cp_serve_close(struct cp_app *app)
{
	cp_tftp_destroy(app->tftp);
	cp_http_destroy(app->http);
	cp_oauth_destroy(app->oauth);
	app->tftp = NULL;
	app->http = NULL;
	app->oauth = NULL;
}
