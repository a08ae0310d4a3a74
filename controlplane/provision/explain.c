/* SPDX-License-Identifier: BSD-3-Clause */
#include "explain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "app.h"
#include "internal.h"
#include "log.h"
#include "trust/ledger.h"
#include "trust/lists.h"

static void row(json_t *list, const char *setting, const char *value, enum cp_from from)
{
	json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "setting", setting, "value", value[0] != '\0' ? value : "-",
					      "from", cp_from_name(from)));
}

static void note(json_t *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void note(json_t *list, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(list, json_string(text));
}

static json_t *settings(const struct cp_devcfg *c)
{
	static const char *const transports[] = {"?", "tcp", "udp", "tls", "default"};
	json_t *l = json_array();

	row(l, "mode", cp_device_mode_name(c->mode), (enum cp_from)c->from.mode);
	row(l, "protocol", cp_protocol_name(c->protocol), (enum cp_from)c->from.protocol);
	row(l, "transport", transports[c->transport <= 4 ? c->transport : 0], (enum cp_from)c->from.transport);
	row(l, "digest", c->digest ? "on" : "off", (enum cp_from)c->from.digest);
	row(l, "encrypted_config", c->encrypted ? "on" : "off", (enum cp_from)c->from.encrypted);
	row(l, "oauth", c->oauth ? "on" : "off", (enum cp_from)c->from.oauth);
	row(l, "capf_auth", cp_capf_auth_name(c->capf_auth), (enum cp_from)c->from.capf);
	row(l, "load", c->load, (enum cp_from)c->from.load);
	row(l, "user_locale", c->user_locale, (enum cp_from)c->from.user_locale);
	row(l, "network_locale", c->network_locale, (enum cp_from)c->from.network_locale);
	row(l, "srst", c->srst.name, (enum cp_from)c->from.srst);
	for (unsigned i = 0; i < CP_HARDEN_CNT; i++)
		row(l, cp_harden_rows[i].name, cp_set_name((enum cp_set)c->harden.v[i]), (enum cp_from)c->from.harden[i]);
	return l;
}

static json_t *notes(const struct cp_explain *e)
{
	const struct cp_devcfg *c = e->c;
	json_t *l = json_array();

	if (c->mode != c->mode_set)
		note(l, "mode %s is demanded, but the cluster is not in mixed mode: nonsecure holds",
		     cp_device_mode_name(c->mode_set));
	if (c->protocol == CP_PROTOCOL_SCCP && c->mode != CP_DEVICE_NONSECURE && c->sccp_tls_port != CP_SCCP_TLS_PORT)
		note(l, "sccp.tls_port is %u: no element of its file says so, and phones try %u", c->sccp_tls_port, CP_SCCP_TLS_PORT);
	if (c->profile_missing)
		note(l, "profile %s cannot be read: the device's own settings hold", c->profile);
	if (c->encrypted_set && c->oauth)
		note(l, "its configuration is fetched with a token: encrypting it is not supported then");
	else if (c->encrypted_set && !c->encrypted && c->cert != NULL)
		note(l, "its configuration cannot be encrypted: its certificate's key is not RSA, and it has no symmetric key");
	else if (c->encrypted_set && !c->encrypted)
		note(l, "its configuration cannot be encrypted: neither its certificate nor a symmetric key is known; it gets the signed "
			"one, without secrets");
	if (c->oauth_set && !c->oauth)
		note(l, "its profile enables OAuth, but the cluster's sip_oauth is off");
	if (c->digest && c->digest_user[0] == '\0')
		note(l, "digest authentication is on and no digest user is set: it cannot register (001:R-08)");
	if (c->digest && c->digest_secret.len > 0 && !cp_devcfg_secret_ok(c, true))
		note(l, "digest credentials are left out of its file: %s",
		     c->digest_exclude ? "its profile excludes them" : "it is no SIP phone, or uses a token");
	else if (c->digest && c->digest_secret.len > 0 && !c->encrypted && !cp_devcfg_secret_ok(c, false))
		note(l, "digest credentials are left out of its file: the file is not encrypted");
	if (c->srst.name[0] != '\0' && c->srst.secure && !c->srst_secure)
		note(l, "SRST %s is secure, but this phone goes there in clear: %s", c->srst.name,
		     !c->mixed				     ? "the cluster is not in mixed mode"
		     : c->mode == CP_DEVICE_NONSECURE	     ? "its mode is nonsecure"
							     : "no certificate of the gateway is stored");
	if (e->signer == NULL)
		note(l, "nothing can be signed: there is no signing certificate");
	return l;
}

/* Would a phone that holds this list believe files that 'signer' signed? */
static bool believes(const struct pki_tl *list, X509 *signer)
{
	return list != NULL && (pki_tl_find(list, signer, PKI_TL_TFTP) != NULL ||
				pki_tl_find(list, signer, PKI_TL_CCM_TFTP) != NULL);
}

/* Would it take 'list', by the SASTs of what it holds? */
static bool takes(const struct cp_explain *e, const struct pki_tl *list)
{
	return list != NULL && ((e->held_itl != NULL && pki_tl_verify(list, e->held_itl, NULL, NULL, 0) == 0) ||
				(e->held_ctl != NULL && pki_tl_verify(list, e->held_ctl, NULL, NULL, 0) == 0));
}

/* Can the phone verify a signed file? One word and why. */
static const char *verdict(const struct cp_explain *e, const char **ret_why)
{
	if (e->signer == NULL) {
		*ret_why = "no signing certificate";
		return "no";
	}
	if (believes(e->held_itl, e->signer) || believes(e->held_ctl, e->signer)) {
		*ret_why = "the list it holds names the signer";
		return "yes";
	}
	if (strcmp(e->held, "none") == 0 || strcmp(e->held, "unknown") == 0) {
		*ret_why = believes(e->itl, e->signer) ? "no list is known to be in it: it takes the first it gets on faith, and that names "
							 "the signer"
						       : "no list that it could get names the signer";
		return believes(e->itl, e->signer) ? "yes" : "no";
	}
	if ((believes(e->itl, e->signer) && takes(e, e->itl)) || (believes(e->ctl, e->signer) && takes(e, e->ctl))) {
		*ret_why = "it takes the list in force first, which names the signer";
		return "yes";
	}
	*ret_why = "the list it holds names neither the signer nor who signed the lists in force (and nobody answers as TVS): it is stranded";
	return "no";
}

struct asks {
	const struct cp_explain *e;
	json_t *list;
	const char *digest;
	char signer[PKI_TL_NAME_MAX];
};

static void ask(struct asks *a, const char *name, const char *answer, bool is_signed)
{
	json_t *o = json_pack("{s:s,s:s}", "name", name, "answer", answer);

	if (is_signed) {
		const char *why, *v = verdict(a->e, &why);

		json_object_set_new(o, "signed_by", json_string(a->signer));
		json_object_set_new(o, "digest", json_string(a->digest));
		json_object_set_new(o, "verifies", json_string(v));
		json_object_set_new(o, "why", json_string(why));
	}
	json_array_append_new(a->list, o);
}

static void ask_list(struct asks *a, const char *prefix, const struct pki_tl *list, bool holds_one)
{
	char name[40], answer[160];

	snprintf(name, sizeof(name), "%s%s.tlv", prefix, a->e->c->device);
	if (list == NULL) {
		ask(a, name, "not found", false);
		return;
	}
	snprintf(answer, sizeof(answer), "%u records, of %u", list->rec_cnt, list->timestamp);
	{
		json_t *o = json_pack("{s:s,s:s,s:s*,s:s}", "name", name, "answer", answer, "signed_by", list->signer, "digest",
				      pki_digest_name(list->digest));
		const char *v = "yes", *why = "it holds no list: the first is taken on faith";

		if (holds_one) {
			bool ok = takes(a->e, list);

			v = ok ? "yes" : "no";
			why = ok ? "a SAST of the lists it holds signed it" : "no SAST of the lists it holds signed it";
		}
		json_object_set_new(o, "verifies", json_string(v));
		json_object_set_new(o, "why", json_string(why));
		json_array_append_new(a->list, o);
	}
}

static json_t *next(const struct cp_explain *e)
{
	struct asks a = {.e = e, .list = json_array(), .digest = pki_digest_name(pki_tl_class_limits(e->cls)->digest)};
	const struct cp_devcfg *c = e->c;
	bool verifies = (e->itl != NULL || e->ctl != NULL) && !c->no_verify;
	char name[80];

	if (e->signer == NULL || pki_tl_dn(X509_get_subject_name(e->signer), a.signer, sizeof(a.signer)) < 0)
		strcpy(a.signer, "nobody");
	ask_list(&a, "CTL", e->ctl, e->held_ctl != NULL);
	ask_list(&a, "ITL", e->itl, e->held_itl != NULL || e->held_ctl != NULL);
	snprintf(name, sizeof(name), "%s.cnf.xml%s", c->device, verifies ? ".sgn" : "");
	if (c->oauth)
		ask(&a, name, "only over HTTPS on the token port, with its bearer token: the whole configuration", false);
	else if (c->encrypted)
		ask(&a, name, "the short configuration: encrConfig true", verifies);
	else
		ask(&a, name, "the whole configuration", verifies);
	if (c->encrypted && !c->oauth) {
		snprintf(name, sizeof(name), "%s.cnf.xml.enc.sgn", c->device);
		ask(&a, name,
		    c->cert != NULL && c->cert_wraps ? "the whole configuration, for its certificate's key"
						     : "the whole configuration, under its symmetric key",
		    true);
	}
	if (c->load[0] != '\0') {
		snprintf(name, sizeof(name), "%s.loads", c->load);
		ask(&a, name, "from the operator's directory, as it lies there", false);
	}
	return a.list;
}

json_t *cp_explain(const struct cp_explain *e)
{
	const struct cp_devcfg *c = e->c;

	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:o}", "device", c->device, "model", c->model, "class",
			 pki_tl_class_limits(e->cls)->name, "profile", c->profile, "cluster", c->mixed ? "mixed" : "nonsecure",
			 "itl_held", e->held, "settings", settings(c), "notes", notes(e), "asks", next(e));
}

/* --- the command --- */

struct held {
	struct cp_file *file; /* kept while the list is looked at */
	struct cp_buf buf;
	struct pki_tl *tl;
};

static bool parse_list(struct held *h, const uint8_t *data, size_t len)
{
	h->tl = calloc(1, sizeof(*h->tl));
	if (h->tl != NULL && pki_tl_parse(data, len, h->tl, NULL, 0) == 0)
		return true;
	free(h->tl);
	h->tl = NULL;
	return false;
}

static void current(struct cp_app *app, enum pki_tl_kind kind, enum pki_tl_class cls, struct held *ret)
{
	ret->file = app->lists != NULL ? cp_lists_file(app->lists, kind, cls) : NULL;
	if (ret->file != NULL)
		parse_list(ret, ret->file->data, ret->file->len);
}

/* The list with this hash: the one in force, or as the ledger kept it. */
static const char *by_hash(const struct cp_app *app, const uint8_t sha[32], const struct held *now, struct held *ret)
{
	struct cp_ledger_file kept;
	const uint8_t *val;
	uint8_t key[37];
	size_t len;

	if (now->file != NULL && memcmp(now->file->sha256, sha, 32) == 0) {
		parse_list(ret, now->file->data, now->file->len);
		return "current";
	}
	memcpy(key, "list/", 5);
	memcpy(key + 5, sha, 32);
	if (cp_store_get(app->store, CP_CF_TRUST, key, sizeof(key), &val, &len) == 0 && cp_ledger_file_parse(val, len, &kept) == 0) {
		ret->buf = kept.file;
		kept.file = (struct cp_buf){0};
		cp_ledger_file_free(&kept);
		parse_list(ret, ret->buf.data, ret->buf.len);
	}
	return "older";
}

static void held_free(struct held *h)
{
	free(h->tl);
	free(h->buf.data);
	cp_file_put(h->file);
}

static void explain(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"name", NULL};
	struct cp_app *app = ctx;
	struct held ctl = {0}, itl = {0}, held_ctl = {0}, held_itl = {0};
	struct cp_explain e = {.held = "unknown"};
	const struct cp_ledger_rec *rec;
	struct cp_devcfg c;
	const char *name = NULL;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "name", true, &name) < 0)
		return;
	rc = cp_devcfg_gather(app->store, app->cfg, app->lists != NULL && cp_lists_mode(app->lists) == CP_CLUSTER_MIXED, name,
			      &c);
	if (rc < 0) {
		cp_admin_fail_rc(req, rc, "no device %s", cfg_q(name));
		return;
	}
	e.c = &c;
	e.cls = pki_tl_class_of_model(c.model, (enum pki_tl_class)app->cfg->provision.default_class);
	e.signer = app->files != NULL ? cp_files_cert(app->files) : NULL;
	current(app, PKI_TL_CTL, e.cls, &ctl);
	current(app, PKI_TL_ITL, e.cls, &itl);
	rec = app->ledger != NULL ? cp_ledger_find(app->ledger, name) : NULL;
	if (rec != NULL) {
		e.held = "none";
		if (rec->has_ctl)
			by_hash(app, rec->ctl, &ctl, &held_ctl);
		if (rec->has_itl)
			e.held = by_hash(app, rec->itl, &itl, &held_itl);
	}
	e.ctl = ctl.tl;
	e.itl = itl.tl;
	e.held_ctl = held_ctl.tl;
	e.held_itl = held_itl.tl;
	cp_admin_reply(req, cp_explain(&e));
	held_free(&ctl);
	held_free(&itl);
	held_free(&held_ctl);
	held_free(&held_itl);
	X509_free(e.signer);
	cp_devcfg_free(&c);
}

static void show_files(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const none[] = {NULL};
	struct cp_app *app = ctx;
	struct cp_files_stats s;

	if (cp_admin_arg_known(req, args, none) < 0)
		return;
	cp_files_stats(app->files, &s);
	cp_admin_reply(req, json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "gets", (json_int_t)s.gets, "hits",
				      (json_int_t)s.hits, "made", (json_int_t)s.made, "failed", (json_int_t)s.failed, "signs",
				      (json_int_t)s.signs, "sign_cache_hits", (json_int_t)s.sign_cache_hits, "sign_failures",
				      (json_int_t)s.sign_failures, "not_found", (json_int_t)s.not_found, "bad_name",
				      (json_int_t)s.bad_name, "refused_foreign", (json_int_t)s.refused_foreign, "refused_token",
				      (json_int_t)s.refused_token, "overload", (json_int_t)s.overload, "waiting",
				      (json_int_t)s.waiting, "cache_bytes", (json_int_t)s.cache_bytes, "directory_bytes",
				      (json_int_t)s.dir_bytes));
}

int cp_explain_commands(struct cp_app *app)
{
	int rc = cp_admin_register(app->admin, "explain", explain, app);

	return rc < 0 ? rc : cp_admin_register(app->admin, "show.files", show_files, app);
}
