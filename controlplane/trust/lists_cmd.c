/* SPDX-License-Identifier: BSD-3-Clause */
/* The trust lists of the running appliance: what they stand on there, and their administration commands. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "app.h"
#include "certs.h"
#include "config.h"
#include "ctlcmd.h"
#include "ctlop.h"
#include "ledger.h"
#include "log.h"
#include "peers.h"
#include "signerc/signerc.h"

static X509 *own(void *ctx, const char *name)
{
	static const char peer[] = "TVS-trust.";
	struct cp_app *app = ctx;

	if (strncmp(name, peer, sizeof(peer) - 1) == 0)
		return cp_peer_tvs(app->certs, (unsigned)(name[sizeof(peer) - 1] - '1'));
	return cp_certs_own(app->certs, name);
}

static int sign(void *ctx, enum pki_tl_kind kind, const char *ident, const void *tbs, size_t len, uint8_t *sig, size_t *ret_len,
		char *why, size_t why_size)
{
	struct cp_app *app = ctx;
	int rc = cp_signer_sign(app->signer, kind == PKI_TL_CTL ? CP_SIGN_CTL : CP_SIGN_ITL, ident, tbs, len, NULL, 0, sig, ret_len);

	if (rc < 0)
		snprintf(why, why_size, "the signer: %s%s%s", strerror(-rc), cp_signer_error(app->signer)[0] != '\0' ? ": " : "",
			 cp_signer_error(app->signer));
	return rc;
}

static int allow(void *ctx, const struct cp_trust_ask *ask, int64_t strand, unsigned *ret_count, char *why, size_t why_size)
{
	struct cp_app *app = ctx;

	return app->ledger == NULL ? 0 : cp_ledger_allow(app->ledger, ask, strand, ret_count, why, why_size);
}

static void cert_changed(void *ctx, const char *name)
{
	struct cp_app *app = ctx;

	if (app->lists != NULL)
		cp_lists_cert_changed(app->lists, name);
}

int cp_lists_create(struct cp_app *app, struct cp_lists **ret)
{
	const struct cfg *cfg = app->cfg;
	struct cp_lists_env env = {
		.base = app->base,
		.store = app->store,
		.alarms = app->alarms,
		.offload = app->offload,
		.turn = app->turn,
		.own = own,
		.sign = sign,
		.allow = allow,
		.ctx = app,
		.auto_registration = cfg->provision.auto_registration,
	};
	struct cfg_addr a;
	int rc;

	env.host = cfg->provision.call_managers_count > 0 ? cfg->provision.call_managers[0] :
		   cfg->signer.server_names_count > 0	  ? cfg->signer.server_names[0] :
							    cfg->sccp.listen;
	if (cfg_addr_parse(env.host, &a) == 0 && a.family == 4 &&
	    (a.ip[0] | a.ip[1] | a.ip[2] | a.ip[3]) != 0) /* 0.0.0.0 is nobody's */
		env.address = a;
	rc = cp_lists_create_env(&env, ret);
	if (rc == 0 && cp_certs_watch(app->certs, cert_changed, app) < 0) {
		cp_lists_destroy(*ret);
		*ret = NULL;
		rc = -ENOSPC;
	}
	return rc;
}

/* --- commands --- */

static void answered(void *ctx, int rc, const char *why, json_t *result)
{
	struct cp_admin_req *req = ctx;

	if (rc < 0)
		cp_admin_fail_rc(req, rc, "%s", why);
	else
		cp_admin_reply(req, result);
}

static void run(struct cp_lists *l, struct cp_admin_req *req, const char *op, const json_t *args)
{
	struct cp_ctl_asker by = {.who = cp_admin_who(req), .local = true};

	if (!cp_ctlcmd_run(cp_lists_cmd(l), op, args, &by, answered, req))
		cp_admin_fail(req, "not-found", "no such operation");
}

#define OP(name)                                                                                   \
	static void ctl_##name(void *ctx, struct cp_admin_req *req, const json_t *args)            \
	{                                                                                          \
		run(ctx, req, #name, args);                                                        \
	}
OP(version)
OP(read)
OP(servers)
OP(mode)
OP(lease)
OP(change)
OP(prepare)
OP(store)
OP(import)

static void show(struct cp_lists *l, struct cp_admin_req *req, const json_t *args, enum pki_tl_kind kind)
{
	static const char *const known[] = {"class", NULL};
	enum pki_tl_class cls = PKI_CLASS_MODERN;
	const char *name = NULL;
	json_t *o;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "class", false, &name) < 0)
		return;
	if (name != NULL && pki_tl_class_parse(name, &cls) < 0) {
		cp_admin_fail(req, "invalid", "class is 79xx or modern, not %s", cfg_q(name));
		return;
	}
	o = cp_list_json(l, kind, cls);
	if (o == NULL) {
		cp_admin_fail(req, "not-found", kind == PKI_TL_CTL ? "No CTL File.: the cluster is in non-secure mode" :
								     "there is no ITL: see 'show alarms'");
		return;
	}
	if (kind == PKI_TL_CTL) {
		json_object_set_new(o, "mode", json_string(cp_lists_mode(l) == CP_CLUSTER_MIXED ? "mixed" : "nonsecure"));
		/* CallManager shows it so (004c:CT-24) */
		json_object_set_new(o, "cluster_security_mode", json_integer(cp_lists_mode(l) == CP_CLUSTER_MIXED));
		json_object_set_new(o, "serial", json_integer((json_int_t)cp_lists_ctl(l)->serial));
		json_object_set_new(o, "changed_by", json_string(cp_lists_ctl(l)->changed_by));
	} else {
		json_object_set_new(o, "sign_with", json_string(cp_lists_itl_sign_with(l)));
		json_object_set_new(o, "signed_by", json_string(cp_lists_itl_signer(l)));
		json_object_set_new(o, "rollback", json_boolean(cp_lists_rollback(l)));
	}
	cp_admin_reply(req, o);
}

static void show_ctl(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	show(ctx, req, args, PKI_TL_CTL);
}

static void show_itl(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	show(ctx, req, args, PKI_TL_ITL);
}

struct itl_job {
	struct cp_lists *l;
	struct cp_admin_req *req;
};

static void itl_done(void *ctx, int rc, const char *text, unsigned stranded)
{
	struct itl_job *j = ctx;

	(void)stranded; /* the text says it */
	if (rc < 0)
		cp_admin_fail_rc(j->req, rc, "%s", text);
	else
		cp_admin_reply(j->req, json_pack("{s:s,s:s,s:b}", "sign_with", cp_lists_itl_sign_with(j->l), "signed_by",
						 cp_lists_itl_signer(j->l), "rollback", (int)cp_lists_rollback(j->l)));
	free(j);
}

static void itl_change(struct cp_lists *l, struct cp_admin_req *req, const json_t *args, const char *with, int rollback)
{
	struct itl_job *j;
	int64_t strand = -1;
	char why[512] = "";
	int rc;

	if (cp_admin_arg_int(req, args, "strand", false, 0, UINT32_MAX, &strand) < 0)
		return;
	j = malloc(sizeof(*j));
	if (j == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	*j = (struct itl_job){l, req};
	rc = cp_lists_itl_set(l, with, rollback, strand, cp_admin_who(req), itl_done, j, why, sizeof(why));
	if (rc < 0) {
		free(j);
		cp_admin_fail_rc(req, rc, "%s", why[0] != '\0' ? why : strerror(-rc));
	}
}

/* {sign_with, strand} */
static void itl_set(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"sign_with", "strand", NULL};
	const char *with = NULL;

	if (cp_admin_arg_known(req, args, known) == 0 && cp_admin_arg_str(req, args, "sign_with", true, &with) == 0)
		itl_change(ctx, req, args, with, -1);
}

/* {rollback: "on"|"off", strand} */
static void itl_rollback(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"rollback", "strand", NULL};
	const char *on = NULL;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "rollback", true, &on) < 0)
		return;
	if (strcmp(on, "on") != 0 && strcmp(on, "off") != 0)
		cp_admin_fail(req, "invalid", "rollback is on or off, not %s", cfg_q(on));
	else
		itl_change(ctx, req, args, NULL, strcmp(on, "on") == 0);
}

/* {key: "localkey"|"remotekey", strand}: CallManager's spelling */
static void itl_reset(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"key", "strand", NULL};
	const char *key = NULL;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "key", true, &key) < 0)
		return;
	if (strcmp(key, "localkey") == 0)
		itl_change(ctx, req, args, "ITLRecovery", -1);
	else if (strcmp(key, "remotekey") == 0)
		cp_admin_fail(req, "invalid",
			      "the recovery key of another machine is in that machine's backup: restore it here, then reset with localkey");
	else
		cp_admin_fail(req, "invalid", "the key is localkey or remotekey, not %s", cfg_q(key));
}

static void status(void *ctx, json_t *o)
{
	const struct cp_lists *l = ctx;

	json_object_set_new(o, "cluster", json_pack("{s:s,s:b,s:s,s:b}", "mode",
						    cp_lists_mode(l) == CP_CLUSTER_MIXED ? "mixed" : "nonsecure", "ctl",
						    (int)cp_lists_ctl(l)->made, "itl_signed_by", cp_lists_itl_signer(l),
						    "itl_rollback", (int)cp_lists_rollback(l)));
}

int cp_lists_commands(struct cp_lists *lists, struct cp_admin *admin)
{
	static const struct {
		const char *cmd;
		cp_admin_fn fn;
	} all[] = {
		{"ctl.version", ctl_version}, {"ctl.read", ctl_read},     {"ctl.servers", ctl_servers}, {"ctl.mode", ctl_mode},
		{"ctl.lease", ctl_lease},     {"ctl.change", ctl_change}, {"ctl.prepare", ctl_prepare}, {"ctl.store", ctl_store},
		{"ctl.import", ctl_import},   {"show.ctl", show_ctl},     {"show.itl", show_itl},       {"itl.set", itl_set},
		{"itl.rollback", itl_rollback}, {"itl.reset", itl_reset},
	};
	int rc = cp_admin_status_add(admin, status, lists);

	for (size_t i = 0; rc == 0 && i < sizeof(all) / sizeof(all[0]); i++)
		rc = cp_admin_register(admin, all[i].cmd, all[i].fn, lists);
	return rc;
}
