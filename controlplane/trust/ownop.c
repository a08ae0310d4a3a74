/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes of our own certificates. The signer is asked on a thread. One change at a time, and none beside a job of the trust lists
 * or a backup (turn.h): the ledger is asked once it is our turn. A change is written into the audit
 * before it begins (a store that cannot write refuses it), and again when it ended.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "admin/admin.h"
#include "app.h"
#include "base64.h"
#include "config.h"
#include "offload.h"
#include "own_int.h"
#include "store/store.h"
#include "trustlist.h"
#include "upload.h"

/* --- changes --- */

enum op_kind { OP_REGEN, OP_CSR, OP_IMPORT, OP_RETIRE };

struct op {
	struct cp_certs *certs;
	struct cp_admin_req *req;
	enum op_kind kind;
	char name[CP_SIGNER_IDENT_MAX];
	char key[256];         /* kind or pkcs11: URI; "" as it is */
	STACK_OF(X509) *chain; /* import */
	X509_REQ *csr;
	int rc;                /* the signer's */
	char why[200];
	struct certs_fetch fetch;
};

static const char *const op_names[] = {"cert.regenerate", "cert.csr", "cert.import", "cert.retire"};

static void op_free(struct op *op)
{
	certs_fetch_fini(&op->fetch);
	sk_X509_pop_free(op->chain, X509_free);
	X509_REQ_free(op->csr);
	free(op);
}

static void op_work(void *arg)
{
	struct op *op = arg;
	struct cp_signer *s = op->fetch.signer;
	const char *key = op->key[0] != '\0' ? op->key : NULL;
	X509 *cert = NULL;

	switch (op->kind) {
	case OP_REGEN:
		op->rc = cp_signer_regen(s, op->name, key, &cert);
		X509_free(cert);
		break;
	case OP_CSR:
		op->rc = cp_signer_csr(s, op->name, key, &op->csr);
		break;
	case OP_IMPORT:
		op->rc = cp_signer_import(s, op->name, op->chain);
		break;
	case OP_RETIRE:
		op->rc = cp_signer_retire(s, op->name);
		break;
	}
	if (op->rc < 0)
		snprintf(op->why, sizeof(op->why), "%s", cp_signer_error(s));
	/* also behind a failure: one that is only believed to be one must show */
	certs_fetch_work(&op->fetch);
}

static json_t *csr_json(const struct op *op)
{
	BIO *bio = BIO_new(BIO_s_mem());
	unsigned char *der = NULL;
	json_t *o = json_pack("{s:s}", "name", op->name);
	char *data, *text;
	long len;
	int n;

	if (bio != NULL && PEM_write_bio_X509_REQ(bio, op->csr) == 1 && (len = BIO_get_mem_data(bio, &data)) > 0)
		json_object_set_new(o, "pem", json_stringn(data, (size_t)len));
	BIO_free(bio);
	n = i2d_X509_REQ(op->csr, &der);
	text = n > 0 ? pki_base64_encode(der, (size_t)n) : NULL;
	if (text != NULL)
		json_object_set_new(o, "der", json_string(text));
	free(text);
	OPENSSL_free(der);
	return o;
}

static json_t *op_result(const struct op *op)
{
	const struct cp_signer_ident *id = certs_ident(op->certs, op->name);
	char prev[CP_SIGNER_IDENT_MAX + 8];
	json_t *o;

	if (op->kind == OP_CSR)
		return csr_json(op);
	o = id != NULL && id->cert != NULL ? cp_upload_json(id->cert, certs_now(op->certs)) : json_object();
	json_object_set_new(o, "name", json_string(op->name));
	snprintf(prev, sizeof(prev), "%s.prev", op->name);
	if (op->kind != OP_RETIRE && certs_ident(op->certs, prev) != NULL)
		json_object_set_new(o, "previous", json_string(prev));
	if (op->fetch.rc < 0)
		json_object_set_new(o, "notice", json_string("done, but the signer does not answer: it is taken into use when it does"));
	return o;
}

static const char *op_code(const struct op *op)
{
	if (op->rc == -ENOENT && op->fetch.rc < 0)
		return "unavailable"; /* no socket at all, not: no such identity */
	switch (op->rc) {
	case -EACCES: /* everything else was checked here before */
		return op->kind == OP_IMPORT ? "mismatched-key" : "denied";
	case -EPIPE:
	case -ECONNRESET:
	case -ECONNREFUSED:
	case -ETIMEDOUT:
		return "unavailable";
	default:
		return certs_code(op->rc);
	}
}

/* What came of it is on the disk, or cannot be: it is done all the same, and that it began is. */
static void op_answer(void *ctx, int rc)
{
	struct op *op = ctx;
	const char *code = op->rc < 0 ? op_code(op) : NULL;

	(void)rc;
	if (op->rc == 0)
		cp_admin_reply(op->req, op_result(op));
	else if (strcmp(code, "unavailable") == 0)
		cp_admin_fail(op->req, code, "the signer did not answer (%s): show certs says whether it was done", op->why);
	else if (strcmp(code, "mismatched-key") == 0)
		cp_admin_fail(op->req, code, "mismatched key: %s", op->why);
	else
		cp_admin_fail(op->req, code, "%s", op->why[0] != '\0' ? op->why : strerror(-op->rc));
	op_free(op);
}

static void op_done(void *arg)
{
	struct op *op = arg;
	struct cp_certs *c = op->certs;
	struct cp_batch *b = cp_batch_create();
	json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "who", cp_admin_who(op->req), "what", op_names[op->kind], "name", op->name,
			      "ended", op->rc < 0 ? op->why : "done");
	int rc = cp_batch_audit_json(b, o);

	c->busy = false;
	certs_fetch_apply(c, &op->fetch);
	cp_turn_give(c->app->turn, &c->turn);
	if (op->fetch.rc < 0 || c->stale)
		certs_refresh(c);
	if (op->rc == 0)
		cfg_log(CFG_LOG_NOTICE, "cert-changed", "command=%s identity=%s who=%s", op_names[op->kind], op->name,
			cfg_q(cp_admin_who(op->req)));
	if (rc == 0) {
		rc = cp_store_submit(c->app->store, b, op_answer, op);
		b = NULL;
	}
	cp_batch_destroy(b);
	if (rc < 0)
		op_answer(op, rc);
}

/* Nothing was changed. */
static void over(struct cp_certs *c)
{
	c->busy = false;
	if (c->stale && !c->app->stopping)
		certs_refresh(c);
	cp_turn_give(c->app->turn, &c->turn);
}

static void op_audited(void *ctx, int rc)
{
	struct op *op = ctx;
	struct cp_certs *c = op->certs;

	if (rc == 0 && !c->app->stopping) {
		certs_fetch_begin(c, &op->fetch);
		rc = cp_offload_run(c->app->offload, op_work, op_done, op);
		if (rc == 0)
			return;
	}
	over(c);
	cp_admin_fail_rc(op->req, rc < 0 ? rc : -ENOTCONN, rc == -ENOSPC ? "the store has no space: nothing was changed" :
			 rc == -EIO ? "the store cannot write: nothing was changed" : "nothing was changed");
	op_free(op);
}

/* From here the operation is answered by itself. True: it began. */
static bool op_start(struct op *op)
{
	struct cp_certs *c = op->certs;
	json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "who", cp_admin_who(op->req), "what", op_names[op->kind], "name", op->name, "key",
			      op->key);
	int rc = cp_store_audit_add(c->app->store, o, op_audited, op);

	if (rc == 0)
		return true;
	cp_admin_fail_rc(op->req, rc, "the store cannot write: nothing was changed");
	op_free(op);
	return false;
}

/* --- whose turn it is --- */

static void go(void *ctx)
{
	struct cp_certs *c = ctx;
	struct cp_admin_req *req = c->next.req;

	c->next.req = NULL;
	if (c->app->stopping) {
		over(c);
		cp_admin_fail_rc(req, -ENOTCONN, "nothing was changed");
	} else if (!c->next.fn(c, req, c->next.args)) {
		over(c);
	}
}

static void in_turn(struct cp_certs *c, struct cp_admin_req *req, const json_t *args, certs_op_fn fn)
{
	if (c->busy) {
		cp_admin_fail(req, "busy", "another change of a certificate is under way");
		return;
	}
	c->busy = true;
	c->next.fn = fn;
	c->next.req = req;
	c->next.args = args;
	c->turn.go = go;
	c->turn.ctx = c;
	if (cp_turn_take(c->app->turn, &c->turn))
		go(c);
}

void certs_op_stop(struct cp_certs *c)
{
	struct cp_admin_req *req = c->next.req;

	c->next.req = NULL;
	cp_turn_give(c->app->turn, &c->turn);
	if (req != NULL)
		cp_admin_fail_rc(req, -ENOTCONN, "nothing was changed");
}

/* --- what is asked before --- */

void cp_certs_allow(struct cp_certs *c, cp_certs_allow_fn fn, void *ctx)
{
	c->allow = fn;
	c->allow_ctx = ctx;
}

/* Identities that phones find in their lists: a certificate that no list can hold would end them. */
static bool listed(const char *name)
{
	static const char *const names[] = {"CallManager", "TVS", "TFTP", "TFTP-EC", "CAPF", "CAPF-TLS", "SAST1", "SAST2", "ITLRecovery"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static int check_class_limits(const char *name, X509 *cert, char *why, size_t size)
{
	for (unsigned cls = 1; listed(name) && cls < PKI_CLASS_MAX; cls++) {
		const struct pki_tl_limits *lim = pki_tl_class_limits((enum pki_tl_class)cls);
		char text[200];
		int rc = pki_tl_check_cert(lim, cert, text, sizeof(text));

		if (rc < 0) {
			snprintf(why, size, "%s could not be in a trust list of class %s: %s", name, lim->name, text);
			return rc;
		}
	}
	return 0;
}

/* A kind of key whose certificates no trust list takes. An RSA-4096 key is 526 bytes there: 004c:CT-18. */
static int check_key_kind(const char *name, const char *key, char *why, size_t size)
{
	const struct pki_tl_limits *lim = pki_tl_class_limits(PKI_CLASS_79XX);

	if (strcmp(key, "rsa-4096") != 0 || !listed(name) || lim->pubkey >= 526)
		return 0;
	snprintf(why, size, "%s could not be in a trust list: public key of 526 bytes, %zu are taken by class %s", name, lim->pubkey,
		 lim->name);
	return -EMSGSIZE;
}

struct asked {
	const char *name, *key;
	int64_t strand;
};

/* Arguments that all of them have. Negative: the request was answered. */
static int asked_of(struct cp_certs *c, struct cp_admin_req *req, const json_t *args, bool key, struct asked *ret)
{
	*ret = (struct asked){.key = "", .strand = -1};
	if (cp_admin_arg_str(req, args, "name", true, &ret->name) < 0 ||
	    (key && cp_admin_arg_str(req, args, "key", false, &ret->key) < 0) ||
	    cp_admin_arg_int(req, args, "strand", false, 0, INT32_MAX, &ret->strand) < 0)
		return -EINVAL;
	if (c->app->signer == NULL) {
		cp_admin_fail(req, "unavailable", "there is no signer");
		return -ENOTCONN;
	}
	if (certs_ident(c, ret->name) == NULL || strstr(ret->name, ".prev") != NULL) {
		cp_admin_fail(req, "not-found", "we have no certificate of that name; show certs --store own lists them");
		return -ENOENT;
	}
	if (strlen(ret->key) >= sizeof(((struct op *)0)->key)) {
		cp_admin_fail(req, "invalid", "key is too long");
		return -EINVAL;
	}
	return 0;
}

static int allowed(struct cp_certs *c, struct cp_admin_req *req, const char *what, enum cp_trust_change change, const char *name,
		   X509 *to, int64_t strand)
{
	struct cp_trust_ask ask = {.change = change, .subject = name, .to = to};
	char why[512] = "";
	unsigned count = 0;
	int rc = c->allow != NULL ? c->allow(c->allow_ctx, &ask, strand, &count, why, sizeof(why)) : 0;

	if (rc < 0)
		certs_refuse(c, req, what, name, rc == -EPERM ? "strands-phones" : certs_code(rc), why[0] != '\0' ? why : strerror(-rc));
	return rc;
}

static struct op *op_make(struct cp_certs *c, struct cp_admin_req *req, enum op_kind kind, const struct asked *a)
{
	struct op *op = calloc(1, sizeof(*op));

	if (op == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return NULL;
	}
	op->certs = c;
	op->req = req;
	op->kind = kind;
	snprintf(op->name, sizeof(op->name), "%s", a->name);
	snprintf(op->key, sizeof(op->key), "%s", a->key);
	return op;
}

static bool regenerate(struct cp_certs *c, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"name", "key", "strand", NULL};
	struct asked a;
	char why[256];
	struct op *op;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || asked_of(c, req, args, true, &a) < 0)
		return false;
	rc = check_key_kind(a.name, a.key, why, sizeof(why));
	if (rc < 0) {
		certs_refuse(c, req, op_names[OP_REGEN], a.name, certs_code(rc), why);
		return false;
	}
	if (allowed(c, req, op_names[OP_REGEN], CP_TRUST_REGEN, a.name, NULL, a.strand) < 0)
		return false;
	op = op_make(c, req, OP_REGEN, &a);
	return op != NULL && op_start(op);
}

static void cert_regenerate(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	in_turn(ctx, req, args, regenerate);
}

/* Changes nothing that phones see: the key waits. */
static bool csr(struct cp_certs *c, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"name", "key", NULL};
	struct asked a;
	char why[256];
	struct op *op;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || asked_of(c, req, args, true, &a) < 0)
		return false;
	rc = check_key_kind(a.name, a.key, why, sizeof(why));
	if (rc < 0) {
		certs_refuse(c, req, op_names[OP_CSR], a.name, certs_code(rc), why);
		return false;
	}
	op = op_make(c, req, OP_CSR, &a);
	return op != NULL && op_start(op);
}

static void cert_csr(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	in_turn(ctx, req, args, csr);
}

/* All trust stores together: an issuer of a chain may be in any. Borrowed certificates. */
static STACK_OF(X509) *all_trusted(const struct cp_certs *c)
{
	STACK_OF(X509) *all = sk_X509_new_null();

	for (unsigned ts = 0; all != NULL && ts < CP_TS_MAX; ts++)
		for (unsigned i = 0; i < c->stores[ts].cnt; i++)
			if (sk_X509_push(all, c->stores[ts].list[i].cert) <= 0)
				break;
	return all;
}

/* Whatever can be said against it without its key. */
static int check_import(struct cp_certs *c, const char *name, STACK_OF(X509) *certs, STACK_OF(X509) **ret, char *why, size_t size)
{
	STACK_OF(X509) *more = all_trusted(c), *chain = NULL;
	const struct cp_signer_ident *cur = certs_ident(c, name);
	int rc = more == NULL ? -ENOMEM : 0;
	char text[300], who[80];

	if (rc == 0)
		rc = cp_upload_chain(certs, more, &chain, why, size);
	for (int i = 0; rc == 0 && i < sk_X509_num(chain); i++) {
		X509 *cert = sk_X509_value(chain, i);

		rc = cp_upload_check(cert, certs_now(c), false, text, sizeof(text));
		if (rc < 0)
			snprintf(why, size, "%s: %s", cp_upload_name(cert, who, sizeof(who)), text);
	}
	if (rc == 0)
		rc = cp_upload_own_usage(name, sk_X509_value(chain, 0), why, size);
	if (rc == 0)
		rc = check_class_limits(name, sk_X509_value(chain, 0), why, size);
	if (rc == 0 && cur->cert != NULL && X509_cmp(cur->cert, sk_X509_value(chain, 0)) == 0) {
		snprintf(why, size, "duplicate: this is %s's certificate already", name);
		rc = -EEXIST;
	}
	sk_X509_free(more);
	if (rc == 0)
		*ret = chain;
	else
		sk_X509_pop_free(chain, X509_free);
	return rc;
}

static bool import(struct cp_certs *c, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"name", "data", "pem", "file", "strand", NULL};
	STACK_OF(X509) *certs = NULL, *chain = NULL;
	char why[512] = "";
	struct asked a;
	struct op *op;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || asked_of(c, req, args, false, &a) < 0)
		return false;
	rc = certs_arg_file(args, &certs, why, sizeof(why));
	if (rc == 0)
		rc = check_import(c, a.name, certs, &chain, why, sizeof(why));
	sk_X509_pop_free(certs, X509_free);
	if (rc < 0) {
		certs_refuse(c, req, op_names[OP_IMPORT], a.name, rc == -ENOENT ? "chain-incomplete" : certs_code(rc),
			     why[0] != '\0' ? why : strerror(-rc));
		return false;
	}
	op = allowed(c, req, op_names[OP_IMPORT], CP_TRUST_REGEN, a.name, sk_X509_value(chain, 0), a.strand) < 0 ? NULL :
	     op_make(c, req, OP_IMPORT, &a);
	if (op == NULL) {
		sk_X509_pop_free(chain, X509_free);
		return false;
	}
	op->chain = chain;
	return op_start(op);
}

static void cert_import(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	in_turn(ctx, req, args, import);
}

static bool retire(struct cp_certs *c, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"name", "strand", NULL};
	char prev[CP_SIGNER_IDENT_MAX + 8];
	struct asked a;
	struct op *op;

	if (cp_admin_arg_known(req, args, known) < 0 || asked_of(c, req, args, false, &a) < 0)
		return false;
	snprintf(prev, sizeof(prev), "%s.prev", a.name);
	if (certs_ident(c, prev) == NULL) {
		cp_admin_fail(req, "not-found", "nothing is kept of what %s was before", a.name);
		return false;
	}
	if (allowed(c, req, op_names[OP_RETIRE], CP_TRUST_RETIRE, a.name, NULL, a.strand) < 0)
		return false;
	op = op_make(c, req, OP_RETIRE, &a);
	return op != NULL && op_start(op);
}

static void cert_retire(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	in_turn(ctx, req, args, retire);
}

int certs_own_commands(struct cp_certs *c)
{
	static const struct {
		const char *cmd;
		cp_admin_fn fn;
	} list[] = {
		{"cert.regenerate", cert_regenerate}, {"cert.csr", cert_csr}, {"cert.import", cert_import}, {"cert.retire", cert_retire},
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int rc = cp_admin_register(c->app->admin, list[i].cmd, list[i].fn, c);

		if (rc < 0)
			return rc;
	}
	return 0;
}
