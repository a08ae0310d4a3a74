/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The certificate manager's commands about trust stores. A change is answered when it is on the disk and in use: the next
 * handshake of a listener knows it. Who was refused, and why, is in the audit too.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "admin/admin.h"
#include "app.h"
#include "base64.h"
#include "certs_int.h"
#include "clock.h"
#include "config.h"
#include "store/store.h"
#include "upload.h"
#include "x509.h"

/* --- words --- */

const char *certs_code(int rc)
{
	switch (rc) {
	case -EBADMSG:
		return "malformed";
	case -ENOKEY:
		return "weak-key";
	case -ETIME:
		return "not-yet-valid";
	case -EKEYEXPIRED:
		return "expired";
	case -EPERM:
		return "wrong-usage";
	case -EEXIST:
		return "duplicate";
	case -EMSGSIZE:
		return "limit";
	case -EDQUOT:
		return "full";
	case -EKEYREJECTED:
		return "mismatched-key";
	default:
		return cp_admin_code(rc);
	}
}

struct refusal {
	struct cp_admin_req *req;
	const char *code;
	char why[512];
};

static void refused(void *ctx, int rc)
{
	struct refusal *r = ctx;

	(void)rc; /* an audit that could not be written does not make it less refused */
	cp_admin_fail(r->req, r->code, "%s", r->why);
	free(r);
}

void certs_refuse(struct cp_certs *c, struct cp_admin_req *req, const char *what, const char *about, const char *code,
		  const char *why)
{
	struct refusal *r = malloc(sizeof(*r));

	cfg_log_limited(CFG_LOG_WARN, "cert-refused", "command=%s about=%s reason=%s", what, cfg_q(about), cfg_q(why));
	if (r != NULL) {
		json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s}", "who", cp_admin_who(req), "what", what, "about", about, "refused", code,
				      "why", why);

		*r = (struct refusal){.req = req, .code = code};
		snprintf(r->why, sizeof(r->why), "%s", why);
		if (cp_store_audit_add(c->app->store, o, refused, r) == 0)
			return;
	}
	free(r);
	cp_admin_fail(req, code, "%s", why);
}

/* --- what was sent --- */

/* "data" in base64, or "pem" as text, into certificates. */
int certs_arg_file(const json_t *args, STACK_OF(X509) **ret, char *why, size_t size)
{
	const char *data = NULL, *pem = NULL;
	size_t len;
	uint8_t *raw;
	int rc;

	data = json_string_value(json_object_get(args, "data"));
	pem = json_string_value(json_object_get(args, "pem"));
	if ((data == NULL) == (pem == NULL)) {
		snprintf(why, size, "exactly one of data (base64) and pem (text) is needed");
		return -EINVAL;
	}
	if (pem != NULL)
		return cp_upload_parse((const uint8_t *)pem, strlen(pem), ret, why, size);
	rc = pki_base64_decode(data, strlen(data), CP_UPLOAD_MAX, &raw, &len);
	if (rc == -EMSGSIZE)
		snprintf(why, size, "the file has more than %u bytes", CP_UPLOAD_MAX);
	else if (rc == -EBADMSG)
		snprintf(why, size, "malformed: data is not base64");
	if (rc < 0)
		return rc;
	rc = cp_upload_parse(raw, len, ret, why, size);
	free(raw);
	return rc;
}

static json_t *der_json(X509 *cert)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der);
	char *text = len > 0 ? pki_base64_encode(der, (size_t)len) : NULL;
	json_t *ret = json_string(text); /* NULL of NULL */

	free(text);
	OPENSSL_free(der);
	return ret;
}

/* --- changes of trust stores --- */

struct change {
	struct cp_certs *certs;
	struct cp_admin_req *req;
	struct writing *keys; /* in certs->writing meanwhile */
	unsigned cnt;
	json_t *result;
};

static void change_free(struct change *ch)
{
	for (unsigned i = 0; i < ch->cnt; i++) {
		struct writing **p = &ch->certs->writing;

		while (*p != NULL && *p != &ch->keys[i])
			p = &(*p)->next;
		if (*p != NULL)
			*p = ch->keys[i].next;
	}
	free(ch->keys);
	json_decref(ch->result);
	free(ch);
}

static void change_written(void *ctx, int rc)
{
	struct change *ch = ctx;

	if (rc < 0) {
		cp_admin_fail_rc(ch->req, rc, rc == -ENOSPC ? "the store has no space: nothing was changed" :
				 "the store cannot write: nothing was changed");
	} else {
		certs_apply(ch->certs);
		cp_admin_reply(ch->req, json_incref(ch->result));
	}
	change_free(ch);
}

static bool on_its_way(const struct cp_certs *c, const char *key)
{
	for (const struct writing *w = c->writing; w != NULL; w = w->next)
		if (strcmp(w->key, key) == 0)
			return true;
	return false;
}

static unsigned coming(const struct cp_certs *c, enum cp_trust_store ts)
{
	const char *name = cp_trust_store_name(ts);
	size_t len = strlen(name);
	unsigned n = 0;

	for (const struct writing *w = c->writing; w != NULL; w = w->next)
		n += w->adds && strncmp(w->key, name, len) == 0 && w->key[len] == '/';
	return n;
}

static struct change *change_create(struct cp_certs *c, struct cp_admin_req *req, unsigned cnt)
{
	struct change *ch = calloc(1, sizeof(*ch));

	if (ch == NULL)
		return NULL;
	*ch = (struct change){.certs = c, .req = req, .keys = calloc(cnt, sizeof(*ch->keys))};
	if (ch->keys == NULL) {
		free(ch);
		return NULL;
	}
	return ch;
}

static void change_key(struct change *ch, const char *key, bool adds)
{
	struct writing *w = &ch->keys[ch->cnt++];

	snprintf(w->key, sizeof(w->key), "%s", key);
	w->adds = adds;
	w->next = ch->certs->writing;
	ch->certs->writing = w;
}

static int put_cert(struct cp_batch *b, const char *key, X509 *cert, const char *label, const char *who)
{
	struct cert_rec rec = {0};
	struct cp_buf val = {0};
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der), rc;

	if (len <= 0)
		return -ENOMEM;
	rec.der = (struct cp_buf){der, (size_t)len};
	rec.added_us = cp_wall_us();
	snprintf(rec.label, sizeof(rec.label), "%s", label);
	snprintf(rec.who, sizeof(rec.who), "%s", who);
	rc = cert_rec_build(&rec, &val);
	if (rc == 0)
		rc = cp_batch_put(b, CP_CF_CERT, key, strlen(key), val.data, val.len);
	free(val.data);
	OPENSSL_free(der);
	return rc;
}

/* All of a file or nothing of it. */
static int upload_all(struct cp_certs *c, struct cp_admin_req *req, enum cp_trust_store ts, STACK_OF(X509) *certs,
		      const char *label, char *why, size_t size)
{
	unsigned n = (unsigned)sk_X509_num(certs);
	struct change *ch = change_create(c, req, n);
	struct cp_batch *b = cp_batch_create();
	json_t *list = json_array();
	int rc = ch == NULL || b == NULL || list == NULL ? -ENOMEM : 0;

	if (rc == 0 && c->stores[ts].cnt + coming(c, ts) + n > CERTS_STORE_MAX) {
		snprintf(why, size, "%s has room for %d certificates", cp_trust_store_name(ts), CERTS_STORE_MAX);
		rc = -EDQUOT;
	}
	for (unsigned i = 0; i < n && rc == 0; i++) {
		X509 *cert = sk_X509_value(certs, (int)i);
		char text[400], hex[65], key[CERTS_KEY_MAX], name[80];
		uint8_t sha256[32];

		rc = cp_certs_check(c, ts, cert, certs_now(c), text, sizeof(text));
		if (rc < 0) {
			if (n > 1)
				snprintf(why, size, "certificate %u of the file: %s", i + 1, text);
			else
				snprintf(why, size, "%s", text);
			break;
		}
		pki_fingerprint(cert, sha256);
		certs_key(ts, sha256, key);
		if (on_its_way(c, key)) {
			snprintf(why, size, "the same certificate is being written: try again");
			rc = -EBUSY;
			break;
		}
		change_key(ch, key, true);
		rc = put_cert(b, key, cert, label, cp_admin_who(req));
		cp_upload_hex(sha256, 32, hex);
		cp_upload_name(cert, name, sizeof(name));
		json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "store", cp_trust_store_name(ts), "name", name,
						      "sha256", hex));
		if (rc == 0)
			rc = cp_batch_audit_json(b, json_pack("{s:s, s:s, s:s, s:s, s:s}", "who", cp_admin_who(req), "what", "cert.upload",
						"store", cp_trust_store_name(ts), "name", name, "sha256", hex));
		if (ts == CP_TS_CALLMANAGER && cp_upload_manufacturer(cert))
			json_object_set_new(json_array_get(list, json_array_size(list) - 1), "notice",
					    json_string("a manufacturer's CA: phones may register by their MIC; CAPF-trust is the place "
							"for it"));
	}
	if (rc == 0) {
		ch->result = json_incref(list);
		rc = cp_store_submit(c->app->store, b, change_written, ch);
		b = NULL;
		if (rc < 0)
			snprintf(why, size, "the store does not take it: %s", strerror(-rc));
	}
	if (rc < 0 && ch != NULL)
		change_free(ch);
	cp_batch_destroy(b);
	json_decref(list);
	return rc;
}

static void cert_upload(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"store", "data", "pem", "file", NULL};
	const char *store = NULL, *file = "";
	STACK_OF(X509) *certs = NULL;
	struct cp_certs *c = ctx;
	enum cp_trust_store ts;
	char why[512] = "";
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "store", true, &store) < 0 ||
	    cp_admin_arg_str(req, args, "file", false, &file) < 0)
		return;
	if (cp_trust_store_parse(store, &ts) < 0) {
		cp_admin_fail(req, "invalid", "there is no trust store of that name");
		return;
	}
	if (!cp_text_ok(file)) {
		cp_admin_fail(req, "invalid", "file is too long, or no text");
		return;
	}
	rc = certs_arg_file(args, &certs, why, sizeof(why));
	if (rc == 0)
		rc = upload_all(c, req, ts, certs, file, why, sizeof(why));
	sk_X509_pop_free(certs, X509_free);
	if (rc < 0)
		certs_refuse(c, req, "cert.upload", cp_trust_store_name(ts), certs_code(rc), why[0] != '\0' ? why : strerror(-rc));
}

/* --- finding --- */

/* Hex digits of a fingerprint, of any hash, colons or not; "" what is none. */
static void hex_of(const char *id, char *buf, size_t size)
{
	size_t n = 0;

	for (; *id != '\0'; id++) {
		if (*id == ':' || *id == ' ')
			continue;
		if (strchr("0123456789abcdefABCDEF", *id) == NULL || n + 1 == size) {
			n = 0;
			break;
		}
		buf[n++] = *id >= 'A' && *id <= 'F' ? (char)(*id - 'A' + 'a') : *id;
	}
	buf[n] = '\0';
}

static bool named(X509 *cert, const char *id, const char *hex)
{
	const EVP_MD *mds[] = {EVP_sha256(), EVP_sha1(), EVP_md5()};
	uint8_t digest[EVP_MAX_MD_SIZE];
	char text[2 * EVP_MAX_MD_SIZE + 1], name[80];
	unsigned len = 0;

	if (strcmp(cp_upload_name(cert, name, sizeof(name)), id) == 0)
		return true;
	for (size_t i = 0; strlen(hex) >= 8 && i < sizeof(mds) / sizeof(mds[0]); i++) {
		if (X509_digest(cert, mds[i], digest, &len) != 1)
			continue;
		cp_upload_hex(digest, len, text);
		/* of SHA-256 the first digits do, as lists show them */
		if (i == 0 ? strncmp(text, hex, strlen(hex)) == 0 : strcmp(text, hex) == 0)
			return true;
	}
	return false;
}

/* The one trusted certificate of that name or fingerprint. 0; -ENOENT, or -EINVAL: several; the request was answered. */
static int find_one(struct cp_certs *c, struct cp_admin_req *req, const char *store, const char *id,
		    enum cp_trust_store *ret_ts, struct trusted **ret)
{
	enum cp_trust_store only = CP_TS_MAX;
	struct trusted *hit = NULL;
	unsigned hits = 0;
	char hex[160];

	if (store != NULL && cp_trust_store_parse(store, &only) < 0) {
		cp_admin_fail(req, "invalid", "there is no trust store of that name");
		return -EINVAL;
	}
	hex_of(id, hex, sizeof(hex));
	for (unsigned ts = 0; ts < CP_TS_MAX; ts++)
		for (unsigned i = 0; (only == CP_TS_MAX || only == ts) && i < c->stores[ts].cnt; i++)
			if (named(c->stores[ts].list[i].cert, id, hex)) {
				hit = &c->stores[ts].list[i];
				*ret_ts = (enum cp_trust_store)ts;
				hits++;
			}
	if (hits == 1) {
		*ret = hit;
		return 0;
	}
	if (hits == 0)
		cp_admin_fail(req, "not-found", "no trusted certificate has that name or fingerprint");
	else
		cp_admin_fail(req, "invalid", "%u certificates fit: name the store, and more digits of the SHA-256 fingerprint", hits);
	return hits == 0 ? -ENOENT : -EINVAL;
}

static void cert_delete(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"store", "id", NULL};
	const char *store = NULL, *id = NULL;
	char key[CERTS_KEY_MAX], hex[65], name[80];
	struct cp_certs *c = ctx;
	struct trusted *t = NULL;
	enum cp_trust_store ts;
	struct cp_batch *b;
	struct change *ch;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "store", true, &store) < 0 ||
	    cp_admin_arg_str(req, args, "id", true, &id) < 0 || find_one(c, req, store, id, &ts, &t) < 0)
		return;
	certs_key(ts, t->sha256, key);
	if (on_its_way(c, key)) {
		cp_admin_fail(req, "busy", "this certificate is being changed: try again");
		return;
	}
	cp_upload_hex(t->sha256, 32, hex);
	cp_upload_name(t->cert, name, sizeof(name));
	b = cp_batch_create();
	ch = change_create(c, req, 1);
	rc = b == NULL || ch == NULL ? -ENOMEM : cp_batch_del(b, CP_CF_CERT, key, strlen(key));
	if (rc == 0)
		rc = cp_batch_audit_json(b, json_pack("{s:s, s:s, s:s, s:s, s:s}", "who", cp_admin_who(req), "what", "cert.delete", "store",
					cp_trust_store_name(ts), "name", name, "sha256", hex));
	if (rc == 0) {
		change_key(ch, key, false);
		ch->result = json_pack("{s:s, s:s, s:s}", "store", cp_trust_store_name(ts), "name", name, "sha256", hex);
		rc = cp_store_submit(c->app->store, b, change_written, ch);
		b = NULL;
	}
	if (rc < 0) {
		if (ch != NULL)
			change_free(ch);
		cp_admin_fail_rc(req, rc, NULL);
	}
	cp_batch_destroy(b);
}

/* --- looking --- */

static json_t *row(struct cp_certs *c, const char *store, X509 *cert, const char *note)
{
	char name[80], key[24], hex[65] = "", when[40] = "?";
	int64_t to = cp_upload_time(X509_get0_notAfter(cert));
	int64_t now = certs_now(c), left = to == INT64_MAX ? 0 : (to - now) / 86400;
	time_t clock = (time_t)to;
	uint8_t sha256[32];
	struct tm tm;

	if (pki_fingerprint(cert, sha256) == 0)
		cp_upload_hex(sha256, 32, hex);
	if (to != INT64_MAX && gmtime_r(&clock, &tm) != NULL)
		strftime(when, sizeof(when), "%Y-%m-%d", &tm);
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s}", "store", store, "name",
			 cp_upload_name(cert, name, sizeof(name)), "key", cp_upload_key(cert, key), "not_after", when,
			 "days_left", (json_int_t)left, "state",
			 certs_state(cert, now), "sha256", hex, "note", note);
}

static void show_certs(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"store", NULL};
	enum cp_trust_store only = CP_TS_MAX;
	const char *store = NULL;
	struct cp_certs *c = ctx;
	bool own = true;
	json_t *list;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "store", false, &store) < 0)
		return;
	if (store != NULL && strcmp(store, "own") != 0) {
		if (cp_trust_store_parse(store, &only) < 0) {
			cp_admin_fail(req, "invalid", "there is no trust store of that name");
			return;
		}
		own = false;
	}
	list = json_array();
	if (own)
		certs_own_rows(c, list, row);
	for (unsigned ts = 0; ts < CP_TS_MAX; ts++)
		for (unsigned i = 0; (store == NULL || only == ts) && i < c->stores[ts].cnt; i++)
			json_array_append_new(list, row(c, cp_trust_store_name((enum cp_trust_store)ts),
							c->stores[ts].list[i].cert, c->stores[ts].list[i].label));
	if (store == NULL)
		certs_lsc_row(c, list);
	cp_admin_reply(req, list);
}

/* Own certificates by the signer's name, trusted ones by name or fingerprint. Answered if not found. */
static X509 *cert_arg(struct cp_certs *c, struct cp_admin_req *req, const json_t *args, struct trusted **ret_t,
		      enum cp_trust_store *ret_ts)
{
	const char *store = NULL, *id = NULL;
	X509 *own;

	if (cp_admin_arg_str(req, args, "store", false, &store) < 0 || cp_admin_arg_str(req, args, "id", true, &id) < 0)
		return NULL;
	own = store == NULL || strcmp(store, "own") == 0 ? cp_certs_own(c, id) : NULL;
	if (own != NULL)
		return own;
	if (store != NULL && strcmp(store, "own") == 0) {
		cp_admin_fail(req, "not-found", "we have no certificate of that name");
		return NULL;
	}
	if (find_one(c, req, store, id, ret_ts, ret_t) < 0)
		return NULL;
	X509_up_ref((*ret_t)->cert);
	return (*ret_t)->cert;
}

static void cert_show(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"store", "id", NULL};
	enum cp_trust_store ts = CP_TS_MAX;
	struct trusted *t = NULL;
	struct cp_certs *c = ctx;
	X509 *cert;
	json_t *o;

	if (cp_admin_arg_known(req, args, known) < 0)
		return;
	cert = cert_arg(c, req, args, &t, &ts);
	if (cert == NULL)
		return;
	o = cp_upload_json(cert, certs_now(c));
	if (o != NULL && t != NULL) {
		json_object_set_new(o, "store", json_string(cp_trust_store_name(ts)));
		json_object_set_new(o, "file", json_string(t->label));
		json_object_set_new(o, "uploaded_by", json_string(t->who));
		json_object_set_new(o, "uploaded_us", json_integer(t->added_us));
	} else if (o != NULL) {
		json_object_set_new(o, "store", json_string("own"));
	}
	X509_free(cert);
	if (o != NULL)
		cp_admin_reply(req, o);
	else
		cp_admin_fail_rc(req, -ENOMEM, NULL);
}

static void cert_export(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"store", "id", NULL};
	enum cp_trust_store ts = CP_TS_MAX;
	struct trusted *t = NULL;
	X509 *cert;
	char name[80];
	json_t *o;

	if (cp_admin_arg_known(req, args, known) < 0)
		return;
	cert = cert_arg(ctx, req, args, &t, &ts);
	if (cert == NULL)
		return;
	o = json_pack("{s:s, s:o, s:o}", "name", cp_upload_name(cert, name, sizeof(name)), "pem", cp_upload_pem(cert), "der",
		      der_json(cert));
	X509_free(cert);
	if (o != NULL)
		cp_admin_reply(req, o);
	else
		cp_admin_fail_rc(req, -ENOMEM, NULL);
}

int cp_certs_commands(struct cp_certs *c)
{
	static const struct {
		const char *cmd;
		cp_admin_fn fn;
	} list[] = {
		{"cert.upload", cert_upload}, {"cert.delete", cert_delete}, {"cert.show", cert_show},
		{"cert.export", cert_export}, {"show.certs", show_certs},
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int rc = cp_admin_register(c->app->admin, list[i].cmd, list[i].fn, c);

		if (rc < 0)
			return rc;
	}
	return certs_own_commands(c);
}
