/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctlcmd.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "clock.h"
#include "ctlargs.h"
#include "ctlop.h"
#include "log.h"
#include "upload.h"

struct owner { /* of a lease or draft */
	char who[CP_TEXT_MAX]; /* "": nobody */
	bool local;
	uint64_t session;
	char cert[65];
};

struct draft {
	struct cp_ctl_draft *draft;
	char id[33];
	struct owner of;
	int64_t until_s;
};

struct cp_ctlcmd {
	struct cp_lists *lists;
	struct draft drafts[CP_CTL_DRAFTS];
	struct owner holder; /* of the lease */
	int64_t lease_until_s;
};

struct run { /* an operation under way */
	struct cp_ctlcmd *cmd;
	cp_ctlcmd_fn fn;
	void *ctx;
};

typedef void (*op_fn)(struct cp_ctlcmd *c, const json_t *args, const struct cp_ctl_asker *by, cp_ctlcmd_fn fn, void *ctx);

static void fail(cp_ctlcmd_fn fn, void *ctx, int rc, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void fail(cp_ctlcmd_fn fn, void *ctx, int rc, const char *fmt, ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	fn(ctx, rc, why, NULL);
}

/* --- the lease: one writer at a time --- */

static struct owner owner_of(const struct cp_ctl_asker *by)
{
	struct owner o = {.local = by->local, .session = by->session};

	snprintf(o.who, sizeof(o.who), "%s", by->who);
	snprintf(o.cert, sizeof(o.cert), "%s", by->cert != NULL ? by->cert : "");
	return o;
}

static bool is(const struct owner *o, const struct cp_ctl_asker *by)
{
	struct owner b = owner_of(by);

	return o->local == b.local && o->session == b.session && strcmp(o->who, b.who) == 0 && strcmp(o->cert, b.cert) == 0;
}

static bool leased(const struct cp_ctlcmd *c)
{
	return c->holder.who[0] != '\0' && c->lease_until_s > cp_mono_s();
}

bool cp_ctlcmd_holds(const struct cp_ctlcmd *c, uint64_t session)
{
	return leased(c) && session != 0 && c->holder.session == session;
}

void cp_ctlcmd_gone(struct cp_ctlcmd *c, uint64_t session)
{
	if (cp_ctlcmd_holds(c, session)) {
		cfg_log(CFG_LOG_NOTICE, "ctl-lease-ended", "who=%s reason=\"the session ended\"", cfg_q(c->holder.who));
		c->holder = (struct owner){0};
	}
	for (unsigned i = 0; i < CP_CTL_DRAFTS; i++)
		if (c->drafts[i].draft != NULL && c->drafts[i].of.session == session) {
			cp_lists_draft_free(c->drafts[i].draft);
			c->drafts[i].draft = NULL;
		}
}

static bool lease_free(struct cp_ctlcmd *c, const struct cp_ctl_asker *by, char *why, size_t size)
{
	int64_t left = c->lease_until_s - cp_mono_s();

	if (!leased(c) || is(&c->holder, by))
		return true;
	snprintf(why, size, "the CTL is being configured by %s%s; it is free %lld s after his last request", c->holder.who,
		 strcmp(c->holder.who, by->who) == 0 ? " in another session" : "", (long long)left);
	return false;
}

static void lease_touch(struct cp_ctlcmd *c, const struct cp_ctl_asker *by)
{
	if (leased(c) && is(&c->holder, by))
		c->lease_until_s = cp_mono_s() + CP_CTL_LEASE_S;
}

static void op_lease(struct cp_ctlcmd *c, const json_t *args, const struct cp_ctl_asker *by, cp_ctlcmd_fn fn, void *ctx)
{
	static const char *const names[] = {"action", NULL};
	const char *action = json_string_value(json_object_get(args, "action"));
	char why[256] = "action is take, release or break";

	if (cp_ctlargs_known(args, names, why, sizeof(why)) < 0 || action == NULL) {
		fail(fn, ctx, -EINVAL, "%s", why);
		return;
	}
	if (strcmp(action, "break") == 0) {
		if (!by->local) {
			fail(fn, ctx, -EACCES, "a lease is broken on the appliance itself only");
			return;
		}
		c->holder = (struct owner){0};
	} else if (strcmp(action, "take") == 0 || strcmp(action, "release") == 0) {
		if (!lease_free(c, by, why, sizeof(why))) {
			fail(fn, ctx, -EBUSY, "%s", why);
			return;
		}
		c->holder = action[0] == 't' ? owner_of(by) : (struct owner){0};
		c->lease_until_s = cp_mono_s() + CP_CTL_LEASE_S;
	} else {
		fail(fn, ctx, -EINVAL, "%s", why);
		return;
	}
	fn(ctx, 0, NULL, json_pack("{s:s,s:i}", "holder", c->holder.who, "seconds", c->holder.who[0] != '\0' ? CP_CTL_LEASE_S : 0));
}

/* --- reading --- */

static json_t *b64(const uint8_t *data, size_t len)
{
	char *text = pki_base64_encode(data, len);
	json_t *v = json_string(text); /* NULL of NULL */

	free(text);
	return v;
}

static void op_version(struct cp_ctlcmd *c, const json_t *args, const struct cp_ctl_asker *by, cp_ctlcmd_fn fn, void *ctx)
{
	const struct cp_ctl_rec *r = cp_lists_ctl(c->lists);
	json_t *o = json_pack("{s:i,s:b,s:I,s:s}", "protocol", CP_CTL_PROTOCOL, "ctl", (int)r->made, "serial",
			      (json_int_t)r->serial, "changed_by", r->changed_by);
	json_t *files = json_array();

	(void)args;
	(void)by;
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		json_t *f = cp_list_json(c->lists, PKI_TL_CTL, (enum pki_tl_class)cls);

		if (f != NULL)
			json_array_append_new(files, json_pack("{s:O,s:O,s:O,s:O}", "class", json_object_get(f, "class"), "md5",
							       json_object_get(f, "md5"), "sha256", json_object_get(f, "sha256"),
							       "timestamp", json_object_get(f, "timestamp")));
		json_decref(f);
	}
	json_object_set_new(o, "files", files);
	fn(ctx, 0, NULL, o);
}

static const char *mode_name(const struct cp_ctlcmd *c)
{
	return cp_lists_mode(c->lists) == CP_CLUSTER_MIXED ? "mixed" : "nonsecure";
}

static void op_mode(struct cp_ctlcmd *c, const json_t *args, const struct cp_ctl_asker *by, cp_ctlcmd_fn fn, void *ctx)
{
	(void)args;
	(void)by;
	/* 1 is what CallManager shows for mixed mode (004c:CT-24) */
	fn(ctx, 0, NULL, json_pack("{s:s,s:i}", "mode", mode_name(c), "cluster_security_mode",
				   cp_lists_mode(c->lists) == CP_CLUSTER_MIXED));
}

static json_t *tokens_json(const struct cp_ctl_rec *r)
{
	static const char *const origins[] = {"?", "own", "token", "import"};
	json_t *list = json_array();

	for (unsigned i = 0; i < r->token_cnt; i++) {
		const struct cp_ctl_token *t = &r->tokens[i];
		uint8_t md[EVP_MAX_MD_SIZE];
		char hex[65] = "";
		unsigned n = 0;

		if (EVP_Digest(t->cert.data, t->cert.len, md, &n, EVP_sha256(), NULL) == 1)
			for (unsigned k = 0; k < n; k++)
				snprintf(hex + 2 * k, 3, "%02x", md[k]);
		json_array_append_new(list, json_pack("{s:s%,s:s,s:b,s:s}", "name", t->name, strlen(t->name), "origin",
						      origins[t->origin <= 3 ? t->origin : 0], "may_sign", (int)t->in_file, "sha256",
						      hex));
	}
	return list;
}

/* What an imported CTL brought for the phones that come from there. */
static json_t *others_json(const struct cp_ctl_rec *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < r->extra_cnt; i++) {
		uint8_t md[EVP_MAX_MD_SIZE];
		char hex[65] = "";
		unsigned n = 0;

		if (EVP_Digest(r->extras[i].cert.data, r->extras[i].cert.len, md, &n, EVP_sha256(), NULL) == 1)
			for (unsigned k = 0; k < n; k++)
				snprintf(hex + 2 * k, 3, "%02x", md[k]);
		json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "role", pki_tl_role_name(r->extras[i].role), "host",
						      r->extras[i].host, "sha256", hex));
	}
	return list;
}

static void op_read(struct cp_ctlcmd *c, const json_t *args, const struct cp_ctl_asker *by, cp_ctlcmd_fn fn, void *ctx)
{
	static const char *const names[] = {"class", NULL};
	enum pki_tl_class cls = PKI_CLASS_MODERN;
	struct cp_file *f;
	char why[128];
	json_t *o;

	(void)by;
	if (cp_ctlargs_known(args, names, why, sizeof(why)) < 0) {
		fail(fn, ctx, -EINVAL, "%s", why);
		return;
	}
	if (cp_ctlargs_class(json_object_get(args, "class"), &cls) < 0) {
		fail(fn, ctx, -EINVAL, "class is 79xx or modern");
		return;
	}
	f = cp_lists_file(c->lists, PKI_TL_CTL, cls);
	o = f != NULL ? cp_list_json(c->lists, PKI_TL_CTL, cls) : NULL;
	if (o != NULL) {
		json_object_set_new(o, "mode", json_string(mode_name(c)));
		json_object_set_new(o, "tokens", tokens_json(cp_lists_ctl(c->lists)));
		json_object_set_new(o, "others", others_json(cp_lists_ctl(c->lists)));
		json_object_set_new(o, "data", b64(f->data, f->len));
		fn(ctx, 0, NULL, o);
	} else {
		fail(fn, ctx, -ENOENT, "No CTL File.");
	}
	cp_file_put(f);
}

static json_t *cert_json(const char *name, X509 *x)
{
	return json_pack("{s:s,s:o}", "name", name, "cert", cp_upload_pem(x));
}

static void op_servers(struct cp_ctlcmd *c, const json_t *args, const struct cp_ctl_asker *by, cp_ctlcmd_fn fn, void *ctx)
{
	static const char *const names[] = {"CallManager", "TFTP", "TFTP-EC", "CAPF", "CAPF-TLS", "TVS"};
	const struct cp_ctl_rec *r = cp_lists_ctl(c->lists);
	const struct cp_lists_env *env = cp_lists_get_env(c->lists);
	json_t *list = json_array(), *certs = json_array();

	(void)args;
	(void)by;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		X509 *x = env->own(env->ctx, names[i]);

		if (x != NULL)
			json_array_append_new(certs, cert_json(names[i], x));
		X509_free(x);
	}
	json_array_append_new(list, json_pack("{s:s,s:s,s:[s,s,s,s],s:b,s:o}", "server", env->host != NULL ? env->host : "", "kind",
					      "cluster", "functions", "CCM", "TFTP", "CAPF", "TVS", "deletable", 0, "certificates",
					      certs));
	for (unsigned i = 0; i < r->tftp_cnt; i++) {
		const uint8_t *p = r->tftps[i].cert.data;
		X509 *x = d2i_X509(NULL, &p, (long)r->tftps[i].cert.len);
		char text[64] = "";

		if (r->tftps[i].address.family != 0)
			cfg_addr_print(&r->tftps[i].address, text, sizeof(text));
		json_array_append_new(list, json_pack("{s:s,s:s,s:[s],s:b,s:s,s:[o]}", "server", r->tftps[i].host, "kind",
						      "alternate", "functions", "TFTP", "deletable", 1, "address", text, "certificates",
						      x != NULL ? cert_json("TFTP", x) : json_null()));
		X509_free(x);
	}
	fn(ctx, 0, NULL, list);
}

/* --- writing --- */

/* Per server what became of its file: ours is served from the store, an alternate one's is its operator's to fetch. */
static json_t *result_json(struct cp_ctlcmd *c, const char *text)
{
	const struct cp_ctl_rec *r = cp_lists_ctl(c->lists);
	const struct cp_lists_env *env = cp_lists_get_env(c->lists);
	json_t *list = json_array();

	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		json_t *f = cp_list_json(c->lists, PKI_TL_CTL, (enum pki_tl_class)cls);

		if (f != NULL)
			json_array_append_new(list, json_pack("{s:s,s:s,s:O,s:s,s:O}", "server", env->host != NULL ? env->host : "",
							      "file", "CTLFile.tlv", "class", json_object_get(f, "class"), "status",
							      "stored", "md5", json_object_get(f, "md5")));
		json_decref(f);
	}
	for (unsigned i = 0; i < r->tftp_cnt; i++)
		json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:s}", "server", r->tftps[i].host, "file", "CTLFile.tlv", "class",
						      "", "status", "not written: fetch it with 'ctl get' and put it there", "md5",
						      ""));
	return json_pack("{s:s,s:s,s:I,s:s,s:o}", "message", text, "mode", mode_name(c), "serial", (json_int_t)r->serial, "signer",
			 r->signer, "servers", list);
}

static void written(void *ctx, int rc, const char *text, unsigned stranded)
{
	struct run *r = ctx;

	(void)stranded; /* named in the text */
	if (rc < 0)
		r->fn(r->ctx, rc, text, NULL);
	else
		r->fn(r->ctx, 0, NULL, result_json(r->cmd, text));
	free(r);
}

static struct run *run_make(struct cp_ctlcmd *c, cp_ctlcmd_fn fn, void *ctx)
{
	struct run *r = malloc(sizeof(*r));

	if (r == NULL)
		fail(fn, ctx, -ENOMEM, "out of memory");
	else
		*r = (struct run){c, fn, ctx};
	return r;
}

static void op_change(struct cp_ctlcmd *c, const json_t *args, const struct cp_ctl_asker *by, cp_ctlcmd_fn fn, void *ctx)
{
	struct cp_ctl_change ch = {.who = by->who};
	char why[512] = "";
	struct run *r;
	int64_t strand;
	int rc = cp_ctlargs_change(args, &ch, &strand, why, sizeof(why));

	if (rc == 0 && ch.signer_cert != NULL) {
		snprintf(why, sizeof(why), "a change that is signed elsewhere is prepared and stored");
		rc = -EINVAL;
	}
	if (rc == 0 && !lease_free(c, by, why, sizeof(why)))
		rc = -EBUSY;
	if (rc < 0) {
		fail(fn, ctx, rc, "%s", why);
	} else if ((r = run_make(c, fn, ctx)) != NULL) {
		rc = cp_lists_ctl_change(c->lists, &ch, strand, written, r, why, sizeof(why));
		if (rc < 0) {
			free(r);
			fail(fn, ctx, rc, "%s", why);
		}
	}
	cp_ctlargs_drop(&ch);
}

static struct draft *draft_slot(struct cp_ctlcmd *c)
{
	struct draft *free_one = NULL;

	for (unsigned i = 0; i < CP_CTL_DRAFTS; i++) {
		struct draft *d = &c->drafts[i];

		if (d->draft != NULL && d->until_s <= cp_mono_s()) {
			cp_lists_draft_free(d->draft);
			d->draft = NULL;
		}
		if (d->draft == NULL)
			free_one = d;
	}
	return free_one;
}

static void op_prepare(struct cp_ctlcmd *c, const json_t *args, const struct cp_ctl_asker *by, cp_ctlcmd_fn fn, void *ctx)
{
	struct cp_ctl_change ch = {.who = by->who};
	struct draft *d = draft_slot(c);
	unsigned stranded = 0;
	uint8_t id[16];
	char why[512] = "";
	json_t *files;
	int64_t strand;
	int rc = cp_ctlargs_change(args, &ch, &strand, why, sizeof(why));

	if (rc == 0 && ch.signer_cert == NULL) {
		snprintf(why, sizeof(why), "No Certificate in Security Token.: signer_cert says which token will sign");
		rc = -EINVAL;
	}
	if (rc == 0 && !lease_free(c, by, why, sizeof(why)))
		rc = -EBUSY;
	if (rc == 0 && d == NULL) {
		snprintf(why, sizeof(why), "%d prepared changes wait for their signatures already", CP_CTL_DRAFTS);
		rc = -EAGAIN;
	}
	if (rc == 0 && RAND_bytes(id, sizeof(id)) != 1)
		rc = -EIO;
	if (rc == 0)
		rc = cp_lists_ctl_prepare(c->lists, &ch, strand, &d->draft, &stranded, why, sizeof(why));
	cp_ctlargs_drop(&ch);
	if (rc < 0) {
		fail(fn, ctx, rc, "%s", why[0] != '\0' ? why : strerror(-rc));
		return;
	}
	for (unsigned i = 0; i < sizeof(id); i++)
		snprintf(d->id + 2 * i, 3, "%02x", id[i]);
	d->of = owner_of(by);
	d->until_s = cp_mono_s() + CP_CTL_DRAFT_S;
	files = json_array();
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++) {
		const struct cp_buf *b = cp_lists_draft_tbs(d->draft, (enum pki_tl_class)cls);
		const struct pki_tl_limits *lim = pki_tl_class_limits((enum pki_tl_class)cls);

		json_array_append_new(files, json_pack("{s:s,s:s,s:o}", "class", lim->name, "digest", pki_digest_name(lim->digest),
						       "tbs", b64(b->data, b->len)));
	}
	fn(ctx, 0, NULL, json_pack("{s:s,s:i,s:o}", "draft", d->id, "seconds", CP_CTL_DRAFT_S, "files", files));
}

static void op_store(struct cp_ctlcmd *c, const json_t *args, const struct cp_ctl_asker *by, cp_ctlcmd_fn fn, void *ctx)
{
	static const char *const names[] = {"draft", "signatures", NULL};
	const char *id = json_string_value(json_object_get(args, "draft"));
	const json_t *list = json_object_get(args, "signatures");
	struct cp_buf sig[PKI_CLASS_MAX] = {{0}};
	struct cp_ctl_draft *draft = NULL;
	struct draft *d = NULL;
	char why[512] = "";
	struct run *r;
	json_t *item;
	size_t i;
	int rc = cp_ctlargs_known(args, names, why, sizeof(why));

	draft_slot(c); /* drops what is too old */
	for (unsigned k = 0; id != NULL && k < CP_CTL_DRAFTS; k++)
		if (c->drafts[k].draft != NULL && strcmp(c->drafts[k].id, id) == 0 && is(&c->drafts[k].of, by))
			d = &c->drafts[k];
	if (rc == 0 && d == NULL) {
		snprintf(why, sizeof(why), "there is no such draft of yours, or it is too old: prepare it again");
		rc = -ENOENT;
	}
	if (rc == 0 && !lease_free(c, by, why, sizeof(why)))
		rc = -EBUSY;
	json_array_foreach(list, i, item) {
		enum pki_tl_class cls = PKI_CLASS_MODERN;
		const json_t *v = json_object_get(item, "signature");

		if (rc < 0)
			break;
		if (json_object_get(item, "class") == NULL || cp_ctlargs_class(json_object_get(item, "class"), &cls) < 0 ||
		    sig[cls].data != NULL || cp_ctlargs_b64(v != NULL ? v : json_object_get(item, "file"), &sig[cls]) < 0) {
			snprintf(why, sizeof(why), "signatures holds what is no class with a signature or file in base64");
			rc = -EINVAL;
		}
	}
	for (int cls = 1; rc == 0 && cls < PKI_CLASS_MAX; cls++)
		if (sig[cls].data == NULL) {
			snprintf(why, sizeof(why), "No Signature.: for class %s", pki_tl_class_limits((enum pki_tl_class)cls)->name);
			rc = -EINVAL;
		}
	if (rc < 0) {
		fail(fn, ctx, rc, "%s", why);
	} else if ((r = run_make(c, fn, ctx)) != NULL) {
		draft = d->draft;
		d->draft = NULL;
		rc = cp_lists_ctl_store(c->lists, draft, sig, written, r, why, sizeof(why));
		if (rc < 0) {
			free(r);
			fail(fn, ctx, rc, "%s", why[0] != '\0' ? why : strerror(-rc));
		}
	}
	for (int cls = 1; cls < PKI_CLASS_MAX; cls++)
		free(sig[cls].data);
}

static void imported(void *ctx, int rc, const char *text, unsigned stranded)
{
	struct run *r = ctx;

	(void)stranded;
	if (rc < 0)
		r->fn(r->ctx, rc, text, NULL);
	else
		r->fn(r->ctx, 0, NULL, json_pack("{s:s,s:o}", "message", text, "tokens", tokens_json(cp_lists_ctl(r->cmd->lists))));
	free(r);
}

static void op_import(struct cp_ctlcmd *c, const json_t *args, const struct cp_ctl_asker *by, cp_ctlcmd_fn fn, void *ctx)
{
	static const char *const names[] = {"file", NULL};
	struct cp_buf file = {0};
	char why[512] = "";
	struct run *r;
	int rc = cp_ctlargs_known(args, names, why, sizeof(why));

	if (rc == 0 && cp_ctlargs_b64(json_object_get(args, "file"), &file) < 0) {
		snprintf(why, sizeof(why), "file is no file of at most 75 KB in base64");
		rc = -EINVAL;
	}
	if (rc == 0 && !lease_free(c, by, why, sizeof(why)))
		rc = -EBUSY;
	if (rc < 0) {
		fail(fn, ctx, rc, "%s", why);
	} else if ((r = run_make(c, fn, ctx)) != NULL) {
		rc = cp_lists_ctl_import(c->lists, file.data, file.len, by->who, imported, r, why, sizeof(why));
		if (rc < 0) {
			free(r);
			fail(fn, ctx, rc, "%s", why[0] != '\0' ? why : strerror(-rc));
		}
	}
	free(file.data);
}

static const struct {
	const char *name;
	op_fn fn;
	bool writes;
} ops[] = {
	{"version", op_version, false}, {"read", op_read, false},     {"servers", op_servers, false},
	{"mode", op_mode, false},       {"lease", op_lease, true},    {"change", op_change, true},
	{"prepare", op_prepare, true},  {"store", op_store, true},    {"import", op_import, true},
};

bool cp_ctlcmd_writes(const char *op)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (strcmp(ops[i].name, op) == 0)
			return ops[i].writes;
	return false;
}

bool cp_ctlcmd_run(struct cp_ctlcmd *c, const char *op, const json_t *args, const struct cp_ctl_asker *by, cp_ctlcmd_fn fn,
		   void *ctx)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (strcmp(ops[i].name, op) != 0)
			continue;
		lease_touch(c, by);
		ops[i].fn(c, args, by, fn, ctx);
		return true;
	}
	return false;
}

struct cp_ctlcmd *cp_ctlcmd_create(struct cp_lists *lists)
{
	struct cp_ctlcmd *c = calloc(1, sizeof(*c));

	if (c != NULL)
		c->lists = lists;
	return c;
}

void cp_ctlcmd_destroy(struct cp_ctlcmd *c)
{
	if (c == NULL)
		return;
	for (unsigned i = 0; i < CP_CTL_DRAFTS; i++)
		cp_lists_draft_free(c->drafts[i].draft);
	free(c);
}
