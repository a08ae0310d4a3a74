/* SPDX-License-Identifier: BSD-3-Clause */
#include "explain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/admin.h"
#include "alarm.h"
#include "app.h"
#include "enrol/enrol.h"
#include "internal.h"
#include "log.h"
#include "trust/ledger.h"
#include "trust/lists.h"
#include "warn.h"

static void row(json_t *list, const char *setting, const char *value, enum cp_from from)
{
	json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "setting", setting, "value", value[0] != '\0' ? value : "-",
					      "from", cp_from_name(from)));
}

void cp_explain_note(json_t *list, const char *fmt, ...)
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

static void condition(json_t *l, const char *what, bool holds, const char *why)
{
	json_array_append_new(l, json_pack("{s:s,s:b,s:s}", "condition", what, "holds", holds, "why", why));
}

/* The four of 004b:SRST-06, R-37 under which a phone tries TLS with its SRST reference; nothing where it has none. */
static json_t *srst(const struct cp_explain *e)
{
	const struct cp_devcfg *c = e->c;
	const unsigned char *at = c->srst.cert.data;
	json_t *l = json_array();
	X509 *cert = NULL;
	time_t now = (time_t)e->now_s;
	const char *why;
	int from = 0, to = 0;

	if (c->srst.name[0] == '\0')
		return l;
	condition(l, "the cluster is in mixed mode", c->mixed, c->mixed ? "it is" : "utils ctl set-cluster mixed-mode");
	condition(l, "its file says authenticated or encrypted", c->mode != CP_DEVICE_NONSECURE,
		  c->mode != c->mode_set ? "demanded, but the cluster is not in mixed mode" : cp_device_mode_name(c->mode));
	condition(l, "the reference is secured", c->srst.secure, c->srst.secure ? "Is SRST Secure? is on" : "srst set --secure");
	if (c->srst.cert.len > 0)
		cert = d2i_X509(NULL, &at, (long)c->srst.cert.len);
	if (cert != NULL) {
		from = X509_cmp_time(X509_get0_notBefore(cert), &now);
		to = X509_cmp_time(X509_get0_notAfter(cert), &now);
	}
	why = cert == NULL ? "none is stored: srst fetch, srst accept" :
	      from > 0	   ? "it is not valid yet" :
	      to <= 0	   ? "it has expired: srst fetch, srst accept" :
	      !c->srst_secure ? "it is stored, and stays out of the file while another condition fails" :
				"it is in its file";
	condition(l, "a valid certificate of the gateway is in its file", cert != NULL && from < 0 && to > 0 && c->srst_secure, why);
	X509_free(cert);
	return l;
}

static json_t *notes(const struct cp_explain *e)
{
	const struct cp_devcfg *c = e->c;
	json_t *l = json_array();

	if (c->mode != c->mode_set)
		cp_explain_note(l, "mode %s is demanded, but the cluster is not in mixed mode: nonsecure holds",
				cp_device_mode_name(c->mode_set));
	if (c->protocol == CP_PROTOCOL_SCCP && c->mode != CP_DEVICE_NONSECURE && c->sccp_tls_port != CP_SCCP_TLS_PORT)
		cp_explain_note(l, "sccp.tls_port is %u: no element of its file says so, and phones try %u", c->sccp_tls_port, CP_SCCP_TLS_PORT);
	if (c->profile_missing)
		cp_explain_note(l, "profile %s cannot be read: the device's own settings hold", c->profile);
	if (c->encrypted_set && c->oauth)
		cp_explain_note(l, "its configuration is fetched with a token: encrypting it is not supported then");
	else if (c->encrypted_set && !c->encrypted && c->cert != NULL)
		cp_explain_note(l, "its configuration cannot be encrypted: its certificate's key is not RSA, and it has no symmetric key");
	else if (c->encrypted_set && !c->encrypted)
		cp_explain_note(l, "its configuration cannot be encrypted: neither its certificate nor a symmetric key is known; it gets the signed "
			"one, without secrets");
	if (c->oauth_set && !c->oauth)
		cp_explain_note(l, "its profile enables OAuth, but the cluster's sip_oauth is off");
	if (c->digest && c->digest_user[0] == '\0')
		cp_explain_note(l, "digest authentication is on and no digest user is set: it cannot register (001:R-08)");
	if (c->digest && c->digest_secret.len > 0 && !cp_devcfg_secret_ok(c, true))
		cp_explain_note(l, "digest credentials are left out of its file: %s",
				c->digest_exclude ? "its profile excludes them" : "it is no SIP phone, or uses a token");
	else if (c->digest && c->digest_secret.len > 0 && !c->encrypted && !cp_devcfg_secret_ok(c, false))
		cp_explain_note(l, "digest credentials are left out of its file: the file is not encrypted");
	if (c->srst.name[0] != '\0' && c->srst.secure && !c->srst_secure)
		cp_explain_note(l, "SRST %s is secure, but this phone goes there in clear: see srst, not all of whose conditions hold", c->srst.name);
	if (e->signer == NULL)
		cp_explain_note(l, "nothing can be signed: there is no signing certificate");
	if (e->doubt != 0)
		cp_explain_note(l, "it fetched %s that the lists it is known to hold would refuse: it is believed to hold the old. If it did take it: "
			"'ravelinctl trust confirm %s'; if it was reset: 'ravelinctl trust forget %s'",
				e->doubt == CP_LEDGER_DOUBT_CTL ? "a CTL" : e->doubt == CP_LEDGER_DOUBT_ITL ? "an ITL" : "a CTL and an ITL", c->device,
				c->device);
	else if (e->claims > 0)
		cp_explain_note(l, "lists were fetched in its name from %u place%s where it has not registered since: it may hold those, or what it was known "
			"to hold", e->claims, e->claims == 1 ? "" : "s");
	return l;
}

static bool same(const struct cp_tm_list *a, const struct cp_tm_signed *served)
{
	return served->served && a != NULL && cp_tm_list_same(a, &served->list);
}

/* Can the phone verify a signed file? One word and why. */
static const char *verdict(const struct cp_explain *e, const char **ret_why)
{
	const uint32_t files = cp_tm_role(PKI_TL_TFTP) | cp_tm_role(PKI_TL_CCM_TFTP);
	const struct cp_tm_world *w = e->world;
	struct cp_tm_phone after;
	bool fresh;

	if (e->signer == NULL || w == NULL) {
		*ret_why = e->signer == NULL ? "no signing certificate" : "certificates or lists are not there yet";
		return "no";
	}
	fresh = !cp_tm_list_anchors(e->phone.ctl) && !cp_tm_list_anchors(e->phone.itl);
	if ((cp_tm_boot(w, &e->phone, &after) & CP_TM_NO_CONFIG) != 0) {
		*ret_why = fresh ? "no list that it could get names the signer" :
				   "the list it holds names neither the signer nor who signed the lists in force and it believes no TVS that could: "
				   "it is stranded";
		return "no";
	}
	*ret_why = cp_tm_believes(w, &e->phone, w->ident[CP_TM_TFTP].id, files) ? "the list it holds names the signer" :
		   !cp_tm_believes(w, &after, w->ident[CP_TM_TFTP].id, files) ? "no list that it holds makes it ask for signed files" :
		   fresh ? "no list is known to be in it: it takes the first it gets on faith, and that names the signer" :
			   "it takes the list in force first, which names the signer";
	return "yes";
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

/* Does it take a list? Its boot begins with the CTL, and what that brings may let it take the ITL, and the other way round. */
static const char *list_verdict(const struct cp_explain *e, enum pki_tl_kind kind, const char **ret_why)
{
	const struct cp_tm_world *w = e->world;
	const struct cp_tm_signed *served;
	const struct cp_tm_list *held = kind == PKI_TL_CTL ? e->phone.ctl : e->phone.itl;
	bool anchors = cp_tm_list_anchors(e->phone.ctl) || (kind == PKI_TL_ITL && cp_tm_list_anchors(e->phone.itl));

	if (w == NULL) {
		*ret_why = "certificates or lists are not there yet";
		return "no";
	}
	served = kind == PKI_TL_CTL ? &w->ctl : &w->itl;
	if (cp_tm_boot(w, &e->phone, NULL) & (kind == PKI_TL_CTL ? CP_TM_NO_CTL : CP_TM_NO_ITL)) {
		*ret_why = "nobody whom the lists it holds would believe signed it";
		return "no";
	}
	*ret_why = same(held, served) ? "it holds this one" :
		   !anchors	      ? "it holds no list that could check it: the first is taken on faith" :
		   cp_tm_takes(w, &e->phone, kind, served->signer) ? "whom the lists it holds name signed it" :
								     "it takes the other list first, and that names who signed it";
	return "yes";
}

static void ask_list(struct asks *a, const char *prefix, enum pki_tl_kind kind, const struct pki_tl *list)
{
	char name[40], answer[160];
	const char *why, *v;
	json_t *o;

	snprintf(name, sizeof(name), "%s%s.tlv", prefix, a->e->c->device);
	if (list == NULL) {
		ask(a, name, "not found", false);
		return;
	}
	snprintf(answer, sizeof(answer), "%u records, of %u", list->rec_cnt, list->timestamp);
	v = list_verdict(a->e, kind, &why);
	o = json_pack("{s:s, s:s, s:s*, s:s, s:s, s:s}", "name", name, "answer", answer, "signed_by", list->signer, "digest",
		      pki_digest_name(list->digest), "verifies", v, "why", why);
	json_array_append_new(a->list, o);
}

/* 004a:TFTP-09: only a list with a TFTP server's certificate makes a phone ask for signed files; one of a rollback has none. */
static bool names_tftp(const struct pki_tl *list)
{
	for (unsigned i = 0; list != NULL && i < list->rec_cnt; i++)
		if ((list->rec[i].role == PKI_TL_TFTP || list->rec[i].role == PKI_TL_CCM_TFTP) &&
		    (list->rec[i].cert != NULL || list->rec[i].pubkey_len > 0))
			return true;
	return false;
}

static json_t *next(const struct cp_explain *e)
{
	struct asks a = {.e = e, .list = json_array(), .digest = pki_digest_name(pki_tl_class_limits(e->cls)->digest)};
	const struct cp_devcfg *c = e->c;
	bool verifies = (names_tftp(e->itl) || names_tftp(e->ctl)) && !c->no_verify;
	char name[80];

	if (e->signer == NULL || pki_tl_dn(X509_get_subject_name(e->signer), a.signer, sizeof(a.signer)) < 0)
		strcpy(a.signer, "nobody");
	ask_list(&a, "CTL", PKI_TL_CTL, e->ctl);
	ask_list(&a, "ITL", PKI_TL_ITL, e->itl);
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

/* Is it the one in force? */
static const char *held_name(const struct cp_explain *e, const struct cp_tm_list *held, bool itl)
{
	if (!e->known)
		return "unknown";
	if (held == NULL)
		return "none";
	return e->world != NULL && same(held, itl ? &e->world->itl : &e->world->ctl) ? "current" : "older";
}

json_t *cp_explain(const struct cp_explain *e)
{
	const struct cp_devcfg *c = e->c;

	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:o}", "device", c->device, "model", c->model, "class",
			 pki_tl_class_limits(e->cls)->name, "profile", c->profile, "cluster", c->mixed ? "mixed" : "nonsecure",
			 "ctl_held", held_name(e, e->phone.ctl, false), "itl_held", held_name(e, e->phone.itl, true), "settings", settings(c), "srst", srst(e), "notes", notes(e), "asks", next(e));
}

/* --- the command --- */

struct held {
	struct cp_file *file; /* kept while the list is looked at */
	struct pki_tl *tl;
};

static void parse_list(struct held *h, const uint8_t *data, size_t len)
{
	h->tl = calloc(1, sizeof(*h->tl));
	if (h->tl != NULL && pki_tl_parse(data, len, h->tl, NULL, 0) == 0)
		return;
	free(h->tl);
	h->tl = NULL;
}

static void current(struct cp_app *app, enum pki_tl_kind kind, enum pki_tl_class cls, struct held *ret)
{
	ret->file = app->lists != NULL ? cp_lists_file(app->lists, kind, cls) : NULL;
	if (ret->file != NULL)
		parse_list(ret, ret->file->data, ret->file->len);
}

static void held_free(struct held *h)
{
	free(h->tl);
	cp_file_put(h->file);
}

struct standing {
	const char *device;
	json_t *list;
};

static void of_device(void *ctx, const struct cp_alarm *a)
{
	const struct standing *s = ctx;

	if (strcmp(a->subject, s->device) == 0)
		json_array_append_new(s->list, json_pack("{s:s,s:s}", "alarm", a->id, "text", a->text));
}

/* What stands against it: each with address, reason and remedy. */
static json_t *alarms_of(const struct cp_app *app, const char *device)
{
	struct standing s = {device, json_array()};

	if (app->alarms != NULL)
		cp_alarm_each(app->alarms, of_device, &s);
	return s.list;
}

static void explain(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"name", NULL};
	struct cp_app *app = ctx;
	struct held ctl = {0}, itl = {0};
	struct cp_explain e = {0};
	struct cp_tm_world *w;
	const struct cp_ledger_rec *rec;
	json_t *all, *capf = NULL, *warnings;
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
	capf = json_array();
	e.c = &c;
	e.cls = pki_tl_class_of_model(c.model, (enum pki_tl_class)app->cfg->provision.default_class);
	e.signer = app->files != NULL ? cp_files_cert(app->files) : NULL;
	current(app, PKI_TL_CTL, e.cls, &ctl);
	current(app, PKI_TL_ITL, e.cls, &itl);
	rec = app->ledger != NULL ? cp_ledger_find(app->ledger, name) : NULL;
	if (rec != NULL) {
		e.doubt = rec->doubt;
		e.claims = rec->claim_cnt;
		e.known = cp_ledger_holds(app->ledger, name, &e.phone);
	}
	e.phone.secure = c.mode != CP_DEVICE_NONSECURE;
	e.now_s = time(NULL);
	w = calloc(1, sizeof(*w));
	if (w != NULL && app->ledger != NULL && cp_ledger_world(app->ledger, e.cls, w) == 0)
		e.world = w;
	e.ctl = ctl.tl;
	e.itl = itl.tl;
	all = cp_explain(&e);
	cp_capf_explain(app, name, capf);
	json_object_set_new(all, "enrolment", capf);
	warnings = cp_warnings(app->store, CP_WARN_DEVICE, name);
	if (warnings != NULL)
		json_object_set_new(all, "warnings", warnings);
	json_object_set_new(all, "alarms", alarms_of(app, name));
	cp_admin_reply(req, all);
	held_free(&ctl);
	held_free(&itl);
	free(w);
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
