/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The external CA by hand: requests that wait, out; certificates, in. Many requests are listed by name first and then taken in pieces, so
 * that neither an answer nor the loop's time for it grows with the number of phones.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "app.h"
#include "base64.h"
#include "config.h"
#include "enrol/capf.h"
#include "enrol/capfcmd.h"
#include "enrol/certin.h"
#include "enrol/enrol.h"
#include "log.h"
#include "scep.h"
#include "store/store.h"
#include "x509.h"

#define PIECE_MAX 100 /* requests, or certificates, at once */

static const char *const state_names[CP_CAPF_REQ_STATES] = {"unknown", "waiting", "ready", "refused"};

/* Is the operation that it is for still pending? */
static bool is_current(struct cp_app *app, const struct cp_capf_req *r)
{
	struct cp_capf_oprec op;
	bool is;

	if (cp_store_capf_op(app->store, r->device, &op) < 0)
		return false;
	is = op.id == r->op_id && op.status == CP_CAPF_ST_PENDING;
	cp_capf_oprec_free(&op);
	return is;
}

struct list {
	struct cp_app *app;
	json_t *rows;
	bool all;
};

static bool list_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct list *l = ctx;
	struct cp_capf_req r;
	char since[32], last[32];

	if (key_len <= 4 || memcmp(key, "req/", 4) != 0 || cp_capf_req_parse(val, len, &r) < 0)
		return true;
	if ((l->all || (r.state == CP_CAPF_REQ_WAITING && !r.scep)) && is_current(l->app, &r))
		json_array_append_new(l->rows, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "device", r.device, "state", state_names[r.state], "by",
							 r.scep ? "scep" : "batch", "since", cp_capfcmd_iso(r.since_us, since), "asked",
							 r.asked > 0 ? cp_capfcmd_iso(r.last_us, last) : "", "note", r.note));
	cp_capf_req_free(&r);
	return true;
}

static void requests(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"all", NULL};
	struct list l = {.app = ctx, .rows = json_array()};

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_bool(req, args, "all", &l.all) < 0) {
		json_decref(l.rows);
		return;
	}
	cp_store_each(l.app->store, CP_CF_CAPF, list_one, &l);
	cp_admin_reply(req, l.rows);
}

static json_t *one_request(struct cp_app *app, const char *device)
{
	struct cp_capf_req r;
	char tid[PKI_SCEP_TID_MAX] = "", since[32], *pem = NULL;
	const uint8_t *p;
	X509_REQ *csr;
	EVP_PKEY *pub;
	json_t *o = NULL;
	BIO *bio;
	long n = 0;

	if (!cp_device_name_ok(device) || cp_store_capf_req(app->store, device, &r) < 0)
		return NULL;
	p = r.csr.data;
	csr = d2i_X509_REQ(NULL, &p, (long)r.csr.len);
	pub = csr != NULL ? X509_REQ_get0_pubkey(csr) : NULL;
	bio = BIO_new(BIO_s_mem());
	if (pub != NULL && bio != NULL && PEM_write_bio_X509_REQ(bio, csr) == 1 && pki_scep_tid(pub, tid) == 0)
		n = BIO_get_mem_data(bio, &pem);
	if (n > 0)
		o = json_pack("{s:s,s:s,s:s,s:s#}", "device", r.device, "since", cp_capfcmd_iso(r.since_us, since), "key_sha256", tid, "pem", pem, (int)n);
	BIO_free(bio);
	X509_REQ_free(csr);
	cp_capf_req_free(&r);
	return o;
}

static void request(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"devices", NULL};
	const json_t *names = json_object_get(args, "devices");
	json_t *list, *one;
	size_t i;

	if (cp_admin_arg_known(req, args, known) < 0)
		return;
	if (!json_is_array(names) || json_array_size(names) > PIECE_MAX) {
		cp_admin_fail(req, "invalid", "devices is an array of up to %d names", PIECE_MAX);
		return;
	}
	list = json_array();
	for (i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));

		one = name != NULL ? one_request(ctx, name) : NULL;
		if (one != NULL)
			json_array_append_new(list, one);
	}
	cp_admin_reply(req, list);
}

struct taking {
	struct cp_admin_req *req;
	struct cp_app *app;
	struct cp_batch *b;
	json_t *refused, *devices;
	unsigned n, taken, same;
};

static void refuse_one(struct taking *t, unsigned at, const char *device, const char *why)
{
	t->n++;
	json_array_append_new(t->refused, json_pack("{s:i,s:s,s:s}", "certificate", (int)at + 1, "device", device, "reason", why));
}

static bool has(const json_t *list, const char *text)
{
	const json_t *v;
	size_t i;

	json_array_foreach(list, i, v)
		if (strcmp(json_string_value(v), text) == 0)
			return true;
	return false;
}

static void take_one(void *ctx, unsigned at, X509 *cert)
{
	struct taking *t = ctx;
	char device[16] = "", why[200] = "";
	int rc;

	if (cert == NULL) {
		refuse_one(t, at, "", "it cannot be read");
		return;
	}
	if (pki_name_device(cert, device) == 0 && has(t->devices, device)) { /* both would be in one batch */
		refuse_one(t, at, device, "there is another for this device before it");
		return;
	}
	rc = cp_capf_take(t->app->capf, t->b, cert, NULL, device, why, sizeof(why));
	if (rc == 0) {
		t->taken++;
		json_array_append_new(t->devices, json_string(device));
	} else if (rc == -EALREADY) {
		t->same++;
	} else {
		refuse_one(t, at, device, why[0] != '\0' ? why : strerror(-rc));
	}
}

static void taken(void *ctx, int rc)
{
	struct taking *t = ctx;

	if (rc < 0)
		cp_admin_fail_rc(t->req, rc, "not written");
	else
		cp_admin_reply(t->req, json_pack("{s:i,s:i,s:O,s:O}", "taken", (int)t->taken, "known", (int)t->same, "devices", t->devices, "refused",
						 t->refused));
	json_decref(t->refused);
	json_decref(t->devices);
	free(t);
}

static void certificates(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"data", "file", NULL};
	struct cp_app *app = ctx;
	struct taking *t;
	const char *data = NULL, *file = NULL;
	uint8_t *raw;
	size_t len;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "data", true, &data) < 0 ||
	    cp_admin_arg_str(req, args, "file", false, &file) < 0)
		return;
	if (pki_base64_decode(data, strlen(data), SIZE_MAX, &raw, &len) < 0)
		raw = NULL;
	t = calloc(1, sizeof(*t));
	if (raw == NULL || len == 0 || t == NULL) {
		free(raw);
		free(t);
		cp_admin_fail(req, "invalid", "data is no base64, or empty");
		return;
	}
	t->req = req;
	t->app = app;
	t->b = cp_batch_create();
	t->refused = json_array();
	t->devices = json_array();
	rc = t->b == NULL ? -ENOMEM : cp_certs_in(raw, len, PIECE_MAX, take_one, t);
	free(raw);
	if (rc < 0) {
		cp_batch_destroy(t->b);
		json_decref(t->refused);
		json_decref(t->devices);
		free(t);
		cp_admin_fail(req, "invalid", rc == -E2BIG ? "more than %d certificates at once" : "there is no certificate in it, in PEM or DER", PIECE_MAX);
		return;
	}
	if (t->taken == 0) {
		cp_batch_destroy(t->b);
		taken(t, 0);
		return;
	}
	cfg_log(CFG_LOG_NOTICE, "capf-certificates", "who=%s taken=%u known=%u refused=%u", cfg_q(cp_admin_who(req)), t->taken, t->same, t->n);
	rc = cp_store_submit(app->store, t->b, taken, t);
	if (rc < 0)
		taken(t, rc);
}

int cp_capf_req_commands(struct cp_app *app)
{
	int rc = cp_admin_register(app->admin, "capf.requests", requests, app);

	if (rc == 0)
		rc = cp_admin_register(app->admin, "capf.request", request, app);
	return rc == 0 ? cp_admin_register(app->admin, "capf.certificates", certificates, app) : rc;
}
