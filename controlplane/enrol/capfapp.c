/* SPDX-License-Identifier: BSD-3-Clause */
#include "enrol/capfapp.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/admin.h"
#include "admin/bulk.h"
#include "app.h"
#include "base64.h"
#include "clock.h"
#include "enrol/capfcmd.h"
#include "enrol/capfop.h"
#include "enrol/lscs.h"
#include "log.h"
#include "offload.h"
#include "signerc/signerc.h"
#include "store/phonecfg.h"
#include "store/store.h"
#include "trust/upload.h"
#include "x509.h"

#define CSR_MAX 65536 /* bytes of a file */

struct cp_capfapps {
	struct cp_app *app;
	bool issuing; /* one at a time: no string is good for two */
};

enum what { SET, ISSUE };

struct job {
	struct cp_capfapps *c;
	struct cp_admin_req *req;
	enum what what;
	struct cp_capf_app rec;
	char string[CP_CAPF_STRING_MAX + 1]; /* SET: of the profile; ISSUE: what was said */
	X509_REQ *csr;
	X509 *cert;
	bool wrong;
	int rc;
	char why[160];
};

static void job_free(struct job *j)
{
	if (j->what == ISSUE)
		j->c->issuing = false;
	cp_capf_app_free(&j->rec);
	OPENSSL_cleanse(j->string, sizeof(j->string));
	X509_REQ_free(j->csr);
	X509_free(j->cert);
	free(j);
}

static const char *aad_of(const struct cp_capf_app *rec, char buf[128])
{
	snprintf(buf, 128, "capf-app/%s/%016" PRIx64, rec->name, rec->id);
	return buf;
}

static void wipe(struct cp_buf *b)
{
	if (b->data != NULL)
		OPENSSL_cleanse(b->data, b->len);
	free(b->data);
	*b = (struct cp_buf){0};
}

/* On a thread. "" none, "?" it cannot be opened. */
static void open_string(struct cp_signer *signer, const struct cp_capf_app *rec, char ret[CP_CAPF_STRING_MAX + 1])
{
	uint8_t *plain = NULL;
	size_t len = 0;
	char aad[128];

	ret[0] = '\0';
	if (rec->string.len == 0)
		return;
	aad_of(rec, aad);
	if (signer != NULL && cp_signer_unseal(signer, rec->string.data, rec->string.len, aad, strlen(aad), &plain, &len) == 0 &&
	    len <= CP_CAPF_STRING_MAX) {
		memcpy(ret, plain, len);
		ret[len] = '\0';
	} else {
		snprintf(ret, CP_CAPF_STRING_MAX + 1, "?");
	}
	OPENSSL_clear_free(plain, len);
}

/* Which one: false: answered. */
static bool name_arg(struct cp_admin_req *req, const json_t *args, char ret[CP_CAPF_APP_MAX])
{
	const char *user = NULL, *instance = NULL;

	if (cp_admin_arg_str(req, args, "user", true, &user) < 0 || cp_admin_arg_str(req, args, "instance", true, &instance) < 0)
		return false;
	if (snprintf(ret, CP_CAPF_APP_MAX, "%s/%s", user, instance) >= CP_CAPF_APP_MAX || strchr(user, '/') != NULL || !cp_capf_app_name_ok(ret)) {
		cp_admin_fail(req, "invalid", "an application user and an instance id are 1 to 31 of letters, digits and . _ - each");
		return false;
	}
	return true;
}

/* --- add, set --- */

static void set_written(void *ctx, int rc)
{
	struct job *j = ctx;

	if (rc < 0)
		cp_admin_fail_rc(j->req, rc, "not written");
	else
		cp_admin_reply(j->req, json_pack("{s:s,s:s,s:s,s:s,s:s}", "profile", j->rec.name, "status", "Install/Upgrade pending", "auth",
						 cp_capf_auth_name(j->rec.by), "string", j->string, "key", j->rec.key));
	job_free(j);
}

static void write_set(struct job *j)
{
	struct cp_batch *b = cp_batch_create();
	int rc = b == NULL ? -ENOMEM : cp_batch_capf_app(b, &j->rec);

	if (rc == 0) {
		cp_capfcmd_audit(b, "capf.profile.set", cp_admin_who(j->req), j->rec.name, "Install/Upgrade pending");
		rc = cp_store_submit(j->c->app->store, b, set_written, j);
		b = NULL;
	}
	if (rc < 0) {
		cp_batch_destroy(b);
		cp_admin_fail_rc(j->req, rc, "not written");
		job_free(j);
	}
}

static void seal_work(void *arg)
{
	struct job *j = arg;
	uint8_t *sealed = NULL;
	size_t len = 0;
	char aad[128];

	aad_of(&j->rec, aad);
	j->rc = cp_signer_seal(j->c->app->signer, j->string, strlen(j->string), aad, strlen(aad), &sealed, &len);
	if (j->rc == 0) {
		j->rec.string = (struct cp_buf){malloc(len), len};
		if (j->rec.string.data != NULL) {
			memcpy(j->rec.string.data, sealed, len);
		} else {
			j->rec.string.len = 0;
			j->rc = -ENOMEM;
		}
	}
	OPENSSL_free(sealed);
}

static void seal_done(void *arg)
{
	struct job *j = arg;

	if (j->rc < 0) {
		cp_admin_fail(j->req, "unavailable", "the signer could not seal the string: %s", strerror(-j->rc));
		job_free(j);
	} else {
		write_set(j);
	}
}

static void put(struct cp_capfapps *c, struct cp_admin_req *req, const json_t *args, bool add)
{
	static const char *const known[] = {"user", "instance", "auth", "string", "generate", "key", NULL};
	const char *auth = NULL, *string = NULL, *key = NULL;
	char name[CP_CAPF_APP_MAX], why[300] = "";
	uint8_t kind, curve, by = CP_CAPF_NONE;
	bool generate = false, has_string;
	struct job *j;
	uint16_t bits;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || !name_arg(req, args, name) || cp_admin_arg_str(req, args, "auth", false, &auth) < 0 ||
	    cp_admin_arg_str(req, args, "string", false, &string) < 0 || cp_admin_arg_bool(req, args, "generate", &generate) < 0 ||
	    cp_admin_arg_str(req, args, "key", false, &key) < 0)
		return;
	has_string = string != NULL || generate;
	j = calloc(1, sizeof(*j));
	if (j == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	j->c = c;
	j->req = req;
	j->what = SET;
	rc = cp_store_capf_app(c->app->store, name, &j->rec);
	if (rc == (add ? 0 : -ENOENT) || (rc < 0 && rc != -ENOENT)) {
		cp_admin_fail(req, rc == 0 ? "exists" : rc == -ENOENT ? "not-found" : "failed",
			      rc == 0	      ? "profile %s is there: an instance id is good for one instance; capf profile set changes it" :
			      rc == -ENOENT ? "no profile %s" :
					      "the record of %s cannot be read", name);
		job_free(j);
		return;
	}
	rc = 0;
	if (auth != NULL && (cp_capf_auth_parse(auth, &by) < 0 || (by != CP_CAPF_STRING && by != CP_CAPF_NULL))) {
		snprintf(why, sizeof(why), "an application's request comes as a file: authentication is string or null");
		rc = -EINVAL;
	}
	if (by == CP_CAPF_NONE)
		by = has_string ? CP_CAPF_STRING : CP_CAPF_NULL;
	if (rc == 0 && (by == CP_CAPF_STRING) != has_string) {
		snprintf(why, sizeof(why), has_string ? "a string is for --auth string" : "authentication by string needs --string or --generate");
		rc = -EINVAL;
	}
	if (rc == 0 && string != NULL && generate) {
		snprintf(why, sizeof(why), "a string is given or made, not both");
		rc = -EINVAL;
	}
	if (rc == 0 && string != NULL)
		rc = cp_capf_string_check(string, why, sizeof(why));
	if (rc == 0 && key != NULL && (strlen(key) >= sizeof(j->rec.key) || cp_capf_key_parse(key, &kind, &curve, &bits) < 0)) {
		snprintf(why, sizeof(why), "key %s is not rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384 or ec-p521", cfg_q(key));
		rc = -EINVAL;
	}
	if (rc == 0 && RAND_bytes((uint8_t *)&j->rec.id, sizeof(j->rec.id)) != 1)
		rc = -EIO;
	if (rc == 0) {
		memcpy(j->rec.name, name, sizeof(j->rec.name));
		wipe(&j->rec.string);
		j->rec.status = CP_CAPF_ST_PENDING;
		j->rec.by = by;
		j->rec.wrong = 0;
		j->rec.locked_us = 0;
		j->rec.set_us = cp_wall_us();
		if (key != NULL)
			snprintf(j->rec.key, sizeof(j->rec.key), "%s", key);
		rc = generate ? cp_capf_string_make(j->string) : 0;
		if (string != NULL)
			snprintf(j->string, sizeof(j->string), "%s", string);
	}
	if (rc < 0) {
		cp_admin_fail_rc(req, rc, "%s", why[0] != '\0' ? why : strerror(-rc));
		job_free(j);
	} else if (!has_string) {
		write_set(j);
	} else if (c->app->signer == NULL || (rc = cp_offload_run(c->app->offload, seal_work, seal_done, j)) < 0) {
		cp_admin_fail_rc(req, c->app->signer == NULL ? -ENOTCONN : rc, "the string cannot be sealed now: try again");
		job_free(j);
	}
}

static void add(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	put(ctx, req, args, true);
}

static void set(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	put(ctx, req, args, false);
}

/* --- issue --- */

static void issue_written(void *ctx, int rc)
{
	struct job *j = ctx;

	if (rc < 0)
		cp_admin_fail_rc(j->req, rc, "it was issued and not written down: nobody has it");
	else if (j->wrong)
		cp_admin_fail(j->req, "denied", "%s", cp_capf_outcome_text(j->rec.locked_us > 0 ? CP_CAPF_OUT_LOCKED : CP_CAPF_OUT_WRONG_STRING));
	else
		cp_admin_reply(j->req, json_pack("{s:s,s:s,s:o}", "profile", j->rec.name, "lsc", j->rec.serial, "pem", cp_upload_pem(j->cert)));
	job_free(j);
}

static int take_cert(struct job *j, struct cp_batch *b, int64_t now)
{
	struct cp_lsc lsc = {.state = CP_LSC_HELD, .op_id = j->rec.id, .offered_us = now, .held_us = now};
	unsigned char *der = NULL;
	struct tm tm;
	int len = i2d_X509(j->cert, &der);
	int rc = len > 0 ? cp_lsc_serial(j->cert, lsc.serial) : -ENOMEM;

	if (rc == 0)
		rc = cp_lscs_change_all(j->c->app->lscs, b, j->rec.name, CP_LSC_LIVE, NULL, CP_LSC_REVOKED, CP_CRL_SUPERSEDED, now);
	if (rc >= 0) {
		memcpy(lsc.app, j->rec.name, sizeof(lsc.app));
		lsc.cert = (struct cp_buf){der, (size_t)len};
		if (ASN1_TIME_to_tm(X509_get0_notAfter(j->cert), &tm) == 1)
			lsc.expires_us = (int64_t)timegm(&tm) * 1000000;
		rc = cp_batch_lsc(b, &lsc);
	}
	OPENSSL_free(der);
	if (rc < 0)
		return rc;
	memcpy(j->rec.serial, lsc.serial, sizeof(j->rec.serial));
	j->rec.status = CP_CAPF_ST_DONE;
	j->rec.issued_us = now;
	j->rec.wrong = 0;
	wipe(&j->rec.string);
	return 0;
}

static void issue_done(void *arg)
{
	struct job *j = arg;
	struct cp_app *app = j->c->app;
	int64_t now = cp_wall_us();
	struct cp_batch *b = NULL;
	struct cp_capf_app cur;
	int rc = j->rc;

	if (rc == 0 || j->wrong) { /* set anew, or gone, while that was done? */
		rc = cp_store_capf_app(app->store, j->rec.name, &cur);
		if (rc == 0) {
			if (cur.id != j->rec.id || cur.status != CP_CAPF_ST_PENDING) {
				rc = -EBUSY;
				snprintf(j->why, sizeof(j->why), "the profile was changed meanwhile: try again");
			}
			cp_capf_app_free(&cur);
		}
		b = rc == 0 ? cp_batch_create() : NULL;
		if (rc == 0 && b == NULL)
			rc = -ENOMEM;
	}
	if (rc == 0 && j->wrong) {
		if (++j->rec.wrong >= CP_CAPF_WRONG_MAX) {
			j->rec.wrong = 0;
			j->rec.locked_us = now + CP_CAPF_LOCK_US;
		}
	} else if (rc == 0) {
		rc = take_cert(j, b, now);
	}
	if (rc == 0)
		rc = cp_batch_capf_app(b, &j->rec);
	if (rc == 0) {
		cp_capfcmd_audit(b, "capf.profile.issue", cp_admin_who(j->req), j->rec.name, j->wrong ? "a wrong string" : j->rec.serial);
		rc = cp_store_submit(app->store, b, issue_written, j);
		b = NULL;
	}
	if (rc < 0) {
		cp_batch_destroy(b);
		cp_admin_fail_rc(j->req, rc, "%s", j->why[0] != '\0' ? j->why : strerror(-rc));
		job_free(j);
	}
}

static void issue_work(void *arg)
{
	struct job *j = arg;
	char right[CP_CAPF_STRING_MAX + 1] = "", said[CP_CAPF_STRING_MAX + 1] = "";

	if (j->rec.by == CP_CAPF_STRING) {
		open_string(j->c->app->signer, &j->rec, right);
		memcpy(said, j->string, sizeof(said)); /* both zero-filled: compared whole */
		memset(right + strlen(right), 0, sizeof(right) - strlen(right));
		if (strcmp(right, "?") == 0) {
			j->rc = -ENOTCONN;
			snprintf(j->why, sizeof(j->why), "the signer could not open the string: try again");
		} else {
			j->wrong = CRYPTO_memcmp(right, said, sizeof(right)) != 0;
		}
		OPENSSL_cleanse(right, sizeof(right));
		OPENSSL_cleanse(said, sizeof(said));
		if (j->rc < 0 || j->wrong)
			return;
	}
	j->rc = cp_signer_lsc_issue_csr(j->c->app->signer, j->rec.name, j->csr, &j->cert);
	if (j->rc < 0)
		snprintf(j->why, sizeof(j->why), "%s", cp_signer_error(j->c->app->signer));
}

static X509_REQ *read_csr(const char *text)
{
	uint8_t *raw = NULL;
	const unsigned char *p;
	X509_REQ *csr = NULL;
	size_t len;

	if (pki_base64_decode(text, strlen(text), CSR_MAX, &raw, &len) == 0 && len > 0) {
		BIO *bio = BIO_new_mem_buf(raw, (int)len);

		csr = bio != NULL ? PEM_read_bio_X509_REQ(bio, NULL, pki_no_password, NULL) : NULL;
		BIO_free(bio);
		if (csr == NULL) {
			p = raw;
			csr = d2i_X509_REQ(NULL, &p, (long)len);
			if (csr != NULL && p != raw + len) { /* something follows: it is no request */
				X509_REQ_free(csr);
				csr = NULL;
			}
		}
	}
	free(raw);
	return csr;
}

/* Is it of the kind that the profile asks for? */
static bool key_fits(const struct cp_capf_app *rec, X509_REQ *csr)
{
	EVP_PKEY *pub = X509_REQ_get0_pubkey(csr);
	static const int ec_bits[] = {256, 384, 521};
	uint8_t kind, curve;
	uint16_t bits;

	if (rec->key[0] == '\0')
		return true; /* the signer looks at whether it is good enough */
	if (pub == NULL || cp_capf_key_parse(rec->key, &kind, &curve, &bits) < 0)
		return false;
	if (kind == CP_CAPF_RSA)
		return EVP_PKEY_get_base_id(pub) == EVP_PKEY_RSA && EVP_PKEY_get_bits(pub) == bits;
	return EVP_PKEY_get_base_id(pub) == EVP_PKEY_EC &&
	       EVP_PKEY_get_bits(pub) == ec_bits[curve == CP_CAPF_P256 ? 0 : curve == CP_CAPF_P384 ? 1 : 2];
}

static void issue(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"user", "instance", "string", "data", "file", NULL};
	const char *string = NULL, *data = NULL, *code = NULL, *why = NULL;
	struct cp_capfapps *c = ctx;
	char name[CP_CAPF_APP_MAX];
	struct job *j;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || !name_arg(req, args, name) || cp_admin_arg_str(req, args, "string", false, &string) < 0 ||
	    cp_admin_arg_str(req, args, "data", true, &data) < 0)
		return;
	if (c->issuing) {
		cp_admin_fail(req, "busy", "another certificate is being issued: try again");
		return;
	}
	j = calloc(1, sizeof(*j));
	if (j == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	j->c = c;
	j->req = req;
	j->what = ISSUE;
	c->issuing = true;
	rc = cp_store_capf_app(c->app->store, name, &j->rec);
	if (rc < 0) {
		code = rc == -ENOENT ? "not-found" : "failed";
		why = rc == -ENOENT ? "there is no such profile: capf profile add" : "its record cannot be read";
	} else if (j->rec.status != CP_CAPF_ST_PENDING) {
		code = "invalid";
		why = "no operation is pending: capf profile set begins one";
	} else if (j->rec.locked_us > cp_wall_us()) {
		code = "denied";
		why = "wrong authentication strings came too often: wait ten minutes, or set a new one";
	} else if ((j->rec.by == CP_CAPF_STRING) != (string != NULL)) {
		code = "invalid";
		why = string != NULL ? "it has no string" : "it needs its authentication string: --string";
	} else if (string != NULL && strlen(string) > CP_CAPF_STRING_MAX) {
		code = "invalid";
		why = "no string is that long";
	} else if ((j->csr = read_csr(data)) == NULL) {
		code = "invalid";
		why = "the file is no PKCS#10 request, PEM or DER";
	} else if (!key_fits(&j->rec, j->csr)) {
		code = "invalid";
		why = "the request's key is not what the profile asks for";
	} else {
		j->rec.locked_us = 0;
		if (string != NULL)
			snprintf(j->string, sizeof(j->string), "%s", string);
		rc = c->app->signer == NULL ? -ENOTCONN : cp_offload_run(c->app->offload, issue_work, issue_done, j);
		if (rc == 0)
			return;
		code = cp_admin_code(rc);
		why = "the signer cannot be asked now: try again";
	}
	cp_admin_fail(req, code, "%s: %s", name, why);
	job_free(j);
}

/* --- revoke --- */

struct revoking {
	struct cp_admin_req *req;
	char name[CP_CAPF_APP_MAX];
	int cnt;
};

static void revoked(void *ctx, int rc)
{
	struct revoking *r = ctx;

	if (rc < 0)
		cp_admin_fail_rc(r->req, rc, "not written");
	else
		cp_admin_reply(r->req, json_pack("{s:s,s:i}", "profile", r->name, "revoked", r->cnt));
	free(r);
}

/* Its certificate, and what is pending: the profile stays, for a new operation. */
static void revoke(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"user", "instance", NULL};
	struct cp_capfapps *c = ctx;
	struct cp_batch *b = NULL;
	struct cp_capf_app rec;
	struct revoking *r;
	char name[CP_CAPF_APP_MAX];
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || !name_arg(req, args, name))
		return;
	rc = cp_store_capf_app(c->app->store, name, &rec);
	if (rc < 0) {
		cp_admin_fail(req, rc == -ENOENT ? "not-found" : "failed", "no profile %s", name);
		return;
	}
	r = calloc(1, sizeof(*r));
	b = cp_batch_create();
	rc = r == NULL || b == NULL ? -ENOMEM
				    : cp_lscs_change_all(c->app->lscs, b, name, CP_LSC_LIVE, NULL, CP_LSC_REVOKED, CP_CRL_LOST, cp_wall_us());
	if (rc >= 0) {
		r->req = req;
		memcpy(r->name, name, sizeof(r->name));
		r->cnt = rc;
		wipe(&rec.string);
		rec.status = CP_CAPF_ST_NONE;
		rec.serial[0] = '\0';
		rc = cp_batch_capf_app(b, &rec);
	}
	if (rc == 0) {
		cp_capfcmd_audit(b, "capf.profile.revoke", cp_admin_who(req), name, "");
		rc = cp_store_submit(c->app->store, b, revoked, r);
		b = NULL;
	}
	if (rc < 0) {
		cp_batch_destroy(b);
		free(r);
		cp_admin_fail_rc(req, rc, "not written");
	}
	cp_capf_app_free(&rec);
}

/* --- list --- */

static void on_app(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_capfapps *c = cp_bulk_ctx(b);
	char string[CP_CAPF_STRING_MAX + 1] = "", at[32], until[32], lsc[64];
	const char *status, *state = "";
	struct cp_capf_app rec;
	struct cp_lsc l = {.state = 0};
	struct cp_buf buf;
	size_t user;

	(void)key;
	(void)key_len;
	if (cp_capf_app_parse(val, len, &rec) < 0)
		return;
	snprintf(lsc, sizeof(lsc), "lsc/%s", rec.serial);
	if (rec.serial[0] != '\0' && cp_bulk_get(b, CP_CF_CAPF, lsc, strlen(lsc), &buf) == 0) {
		if (cp_lsc_parse(buf.data, buf.len, &l) == 0)
			state = cp_lsc_state_name(l.state);
		free(buf.data);
	}
	open_string(cp_bulk_on_loop(b) ? NULL : c->app->signer, &rec, string);
	status = rec.status == CP_CAPF_ST_PENDING ? "Install/Upgrade pending" :
		 rec.status == CP_CAPF_ST_DONE	  ? "Install/Upgrade successful" :
						    "No Pending Operation";
	user = strcspn(rec.name, "/");
	cp_bulk_item(b, json_pack("{s:s%,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "user", rec.name, user, "instance", rec.name + user + 1, "status",
				  status, "auth", cp_capf_auth_name(rec.by), "string", string, "key", rec.key, "lsc", rec.serial, "lsc_state", state,
				  "lsc_expires", cp_capfcmd_iso(l.expires_us, until), "set", cp_capfcmd_iso(rec.set_us, at)));
	OPENSSL_cleanse(string, sizeof(string));
	if (l.state != 0)
		cp_lsc_free(&l);
	cp_capf_app_free(&rec);
}

static void make_list(struct cp_bulk *b)
{
	cp_bulk_array(b);
	cp_bulk_each(b, CP_CF_CAPF, "app/", on_app);
	cp_bulk_text(b, "]");
}

static void list(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const none[] = {NULL};
	struct cp_capfapps *c = ctx;

	if (cp_admin_arg_known(req, args, none) == 0)
		cp_bulk_run(req, &(struct cp_bulk_job){c->app->store, c->app->offload, make_list, NULL, c});
}

int cp_capfapps_create(struct cp_app *app, struct cp_capfapps **ret)
{
	static const struct {
		const char *cmd;
		cp_admin_fn fn;
	} cmds[] = {
		{"capf.profile.add", add}, {"capf.profile.set", set}, {"capf.profile.list", list}, {"capf.profile.issue", issue},
		{"capf.profile.revoke", revoke},
	};
	struct cp_capfapps *c = calloc(1, sizeof(*c));
	int rc = 0;

	if (c == NULL)
		return -ENOMEM;
	c->app = app;
	*ret = c;
	for (size_t i = 0; i < sizeof(cmds) / sizeof(cmds[0]) && rc == 0; i++)
		rc = cp_admin_register(app->admin, cmds[i].cmd, cmds[i].fn, c);
	return rc;
}

void cp_capfapps_destroy(struct cp_capfapps *c)
{
	free(c);
}
