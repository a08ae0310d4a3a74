/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/err.h>

#include "alarm.h"
#include "app.h"
#include "certs_int.h"
#include "config.h"
#include "net/tls.h"
#include "store/fields.h"
#include "store/store.h"
#include "upload.h"
#include "x509.h"

static const char *const store_names[CP_TS_MAX] = {
	[CP_TS_CALLMANAGER] = "CallManager-trust", [CP_TS_CAPF] = "CAPF-trust", [CP_TS_TVS] = "TVS-trust",
	[CP_TS_IPSEC] = "IPsec-trust", [CP_TS_HTTPS] = "HTTPS-trust", [CP_TS_PHONE_EDGE] = "Phone-Edge-trust",
	[CP_TS_DIRECTORY] = "directory-trust",
};

const char *cp_trust_store_name(enum cp_trust_store ts)
{
	return (unsigned)ts < CP_TS_MAX ? store_names[ts] : "?";
}

int cp_trust_store_parse(const char *name, enum cp_trust_store *ret)
{
	for (unsigned i = 0; i < CP_TS_MAX; i++)
		if (strcasecmp(name, store_names[i]) == 0) {
			*ret = (enum cp_trust_store)i;
			return 0;
		}
	return -EINVAL;
}

/* --- the record --- */

static const struct cp_field cert_fields[] = {
	{1, CP_F_BUF, 0, offsetof(struct cert_rec, der), NULL},
	{2, CP_F_STR, sizeof(((struct cert_rec *)0)->label), offsetof(struct cert_rec, label), NULL},
	{3, CP_F_STR, sizeof(((struct cert_rec *)0)->who), offsetof(struct cert_rec, who), NULL},
	{4, CP_F_UINT, sizeof(int64_t), offsetof(struct cert_rec, added_us), NULL},
	{0, CP_F_END, 0, 0, NULL},
};

int cert_rec_build(const struct cert_rec *rec, struct cp_buf *ret)
{
	if (rec->der.len == 0 || rec->der.len > PKI_DER_MAX)
		return -EINVAL;
	return cp_fields_build(CP_KIND_CERT, cert_fields, rec, &rec->unknown, ret);
}

int cert_rec_parse(const uint8_t *data, size_t len, struct cert_rec *ret)
{
	int rc = cp_fields_parse(CP_KIND_CERT, cert_fields, data, len, ret, sizeof(*ret), &ret->unknown);

	if (rc == 0 && (ret->der.len == 0 || ret->der.len > PKI_DER_MAX)) {
		cert_rec_free(ret);
		rc = -EBADMSG;
	}
	return rc;
}

void cert_rec_free(struct cert_rec *rec)
{
	cp_fields_free(cert_fields, rec, sizeof(*rec), &rec->unknown);
}

/* --- trust stores --- */

int64_t certs_now(const struct cp_certs *c)
{
	return c->now != NULL ? c->now(c->now_ctx) : (int64_t)time(NULL);
}

void cp_certs_clock(struct cp_certs *c, int64_t (*now)(void *ctx), void *ctx)
{
	c->now = now;
	c->now_ctx = ctx;
}

bool certs_legacy(const struct cp_certs *c)
{
	return c->app->cfg != NULL && c->app->cfg->sccp.legacy_tls;
}

void certs_key(enum cp_trust_store ts, const uint8_t sha256[32], char ret[CERTS_KEY_MAX])
{
	int n = snprintf(ret, CERTS_KEY_MAX, "%s/", store_names[ts]);

	cp_upload_hex(sha256, 32, ret + n);
}

static int key_parse(const uint8_t *key, size_t len, enum cp_trust_store *ret_ts, uint8_t ret_sha256[32])
{
	char text[CERTS_KEY_MAX], *slash;

	if (len >= sizeof(text))
		return -EBADMSG;
	memcpy(text, key, len);
	text[len] = '\0';
	slash = strchr(text, '/');
	if (slash == NULL)
		return -EBADMSG;
	*slash = '\0';
	if (cp_trust_store_parse(text, ret_ts) < 0 || strlen(slash + 1) != 64 || cfg_hex_parse(slash + 1, ret_sha256, 32) < 0)
		return -EBADMSG;
	return 0;
}

struct trusted *certs_find(struct cp_certs *c, enum cp_trust_store ts, const uint8_t sha256[32])
{
	for (unsigned i = 0; i < c->stores[ts].cnt; i++)
		if (memcmp(c->stores[ts].list[i].sha256, sha256, 32) == 0)
			return &c->stores[ts].list[i];
	return NULL;
}

static void forget(struct trust_store *s, struct trusted *t)
{
	X509_free(t->cert);
	memmove(t, t + 1, (size_t)(s->list + s->cnt - t - 1) * sizeof(*t));
	s->cnt--;
}

/* A record of the view, as it is now. False: it cannot be used. */
static bool enter(struct cp_certs *c, enum cp_trust_store ts, const uint8_t sha256[32], const uint8_t *val, size_t len)
{
	struct trust_store *s = &c->stores[ts];
	struct trusted *t = certs_find(c, ts, sha256), *grown;
	struct cert_rec rec;
	X509 *cert = NULL;
	uint8_t digest[32];

	if (t != NULL)
		forget(s, t);
	s->changed = true;
	if (cert_rec_parse(val, len, &rec) < 0)
		return false;
	/* what lies under a fingerprint must have it */
	if (pki_cert_parse(rec.der.data, rec.der.len, &cert) < 0 || pki_fingerprint(cert, digest) < 0 ||
	    memcmp(digest, sha256, 32) != 0) {
		X509_free(cert);
		cert_rec_free(&rec);
		return false;
	}
	grown = realloc(s->list, (s->cnt + 1) * sizeof(*grown));
	if (grown == NULL) {
		X509_free(cert);
		cert_rec_free(&rec);
		return false;
	}
	s->list = grown;
	t = &s->list[s->cnt++];
	*t = (struct trusted){.cert = cert, .added_us = rec.added_us};
	memcpy(t->sha256, digest, 32);
	memcpy(t->label, rec.label, sizeof(t->label));
	memcpy(t->who, rec.who, sizeof(t->who));
	cert_rec_free(&rec);
	return true;
}

static bool load_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t val_len)
{
	struct cp_certs *c = ctx;
	uint8_t sha256[32];
	enum cp_trust_store ts;

	if (key_parse(key, key_len, &ts, sha256) < 0 || !enter(c, ts, sha256, val, val_len))
		cp_alarm_raise(c->app->alarms, "store-bad-record", CP_ALARM_MAJOR, "cert",
			       "a record of a trusted certificate cannot be read: it is kept and trusts nobody");
	return true;
}

static void record_changed(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted)
{
	struct cp_certs *c = ctx;
	const uint8_t *val = NULL;
	uint8_t sha256[32];
	enum cp_trust_store ts;
	struct trusted *t;
	size_t len = 0;

	if (key_parse(key, key_len, &ts, sha256) < 0)
		return;
	t = certs_find(c, ts, sha256);
	if (deleted && t != NULL) {
		forget(&c->stores[ts], t);
		c->stores[ts].changed = true;
	} else if (!deleted && cp_store_get(c->app->store, cf, key, key_len, &val, &len) == 0) {
		load_one(c, key, key_len, val, len);
	}
	/* whoever wrote it applies it before he answers; this is for who does not */
	event_active(c->apply_ev, EV_TIMEOUT, 0);
}

STACK_OF(X509) *cp_certs_trusted(const struct cp_certs *c, enum cp_trust_store ts)
{
	STACK_OF(X509) *list = sk_X509_new_null();

	for (unsigned i = 0; list != NULL && i < c->stores[ts].cnt; i++) {
		X509 *cert = c->stores[ts].list[i].cert;

		if (sk_X509_push(list, cert) <= 0) {
			while (sk_X509_num(list) > 0)
				X509_free(sk_X509_pop(list));
			sk_X509_free(list);
			return NULL;
		}
		X509_up_ref(cert);
	}
	return list;
}

int cp_certs_check(const struct cp_certs *c, enum cp_trust_store ts, X509 *cert, int64_t now, char *why, size_t why_size)
{
	uint8_t sha256[32];
	char name[80];
	int rc = cp_upload_check(cert, now, certs_legacy(c), why, why_size);

	if (rc == 0)
		rc = cp_upload_usage(ts, cert, why, why_size);
	if (rc == 0)
		rc = pki_fingerprint(cert, sha256);
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < c->stores[ts].cnt; i++)
		if (memcmp(c->stores[ts].list[i].sha256, sha256, 32) == 0) {
			snprintf(why, why_size, "duplicate: %s is in %s already", cp_upload_name(cert, name, sizeof(name)),
				 store_names[ts]);
			return -EEXIST;
		}
	return 0;
}

/* --- listeners --- */

static int add_once(STACK_OF(X509) *list, X509 *cert)
{
	for (int i = 0; i < sk_X509_num(list); i++)
		if (X509_cmp(sk_X509_value(list, i), cert) == 0)
			return 0;
	return sk_X509_push(list, cert) > 0 ? 0 : -ENOMEM; /* borrowed */
}

static int trust_of(const struct cp_certs *c, const struct served *s, STACK_OF(X509) *list)
{
	int rc = 0;

	for (int i = 0; s->lscs && i < sk_X509_num(c->lsc_cas) && rc == 0; i++)
		rc = add_once(list, sk_X509_value(c->lsc_cas, i));
	for (unsigned ts = 0; ts < CP_TS_MAX; ts++)
		for (unsigned i = 0; (s->stores & 1u << ts) != 0 && i < c->stores[ts].cnt && rc == 0; i++)
			rc = add_once(list, c->stores[ts].list[i].cert);
	return rc;
}

int certs_reload(struct cp_certs *c, struct served *s)
{
	STACK_OF(X509) *trust = sk_X509_new_null();
	struct cp_tls_identity id = {s->key, s->cert, s->chain, trust};
	char err[256] = "no memory";
	int rc = trust == NULL ? -ENOMEM : trust_of(c, s, trust);

	if (rc == 0)
		rc = cp_tls_load(s->tls, &id, err, sizeof(err));
	sk_X509_free(trust);
	if (rc < 0) {
		cfg_log(CFG_LOG_ERR, "tls-not-reloaded", "identity=%s reason=%s", s->name, cfg_q(err));
		cp_alarm_raise(c->app->alarms, "tls-not-reloaded", CP_ALARM_MAJOR, s->name,
			       "a listener goes on with what it had before the last change: %s", err);
	} else {
		cp_alarm_clear(c->app->alarms, "tls-not-reloaded", s->name);
		cfg_log(CFG_LOG_INFO, "tls-reloaded", "identity=%s generation=%u", s->name, cp_tls_generation(s->tls));
	}
	return rc;
}

int cp_certs_serve(struct cp_certs *c, struct cp_tls *tls, const char *name, unsigned stores, bool lscs)
{
	struct served *s = &c->served[c->served_cnt];
	int rc = 0;

	if (c->served_cnt == CERTS_SERVED_MAX)
		return -ENOSPC;
	*s = (struct served){.tls = tls, .stores = stores, .lscs = lscs};
	snprintf(s->name, sizeof(s->name), "%s", name);
	if (lscs && c->lsc_cas == NULL)
		rc = cp_signer_trust(c->app->signer, &c->lsc_cas);
	if (rc == 0)
		rc = cp_signer_server_identity(c->app->signer, name, &s->key, &s->cert, &s->chain);
	if (rc < 0)
		cfg_log(CFG_LOG_ERR, "tls-identity-unusable", "identity=%s rc=%d signer=%s", name, rc,
			cfg_q(cp_signer_error(c->app->signer)));
	else
		rc = certs_reload(c, s);
	if (rc == 0) {
		c->served_cnt++;
		return 0;
	}
	EVP_PKEY_free(s->key);
	X509_free(s->cert);
	sk_X509_pop_free(s->chain, X509_free);
	*s = (struct served){0};
	return rc;
}

/* --- changes --- */

int cp_certs_watch(struct cp_certs *c, cp_certs_fn fn, void *ctx)
{
	if (c->watch_cnt == CERTS_WATCH_MAX)
		return -ENOSPC;
	c->watch[c->watch_cnt].fn = fn;
	c->watch[c->watch_cnt++].ctx = ctx;
	return 0;
}

void certs_notify(struct cp_certs *c, const char *name)
{
	for (unsigned i = 0; i < c->watch_cnt; i++)
		c->watch[i].fn(c->watch[i].ctx, name);
}

/* MIC roots belong into CAPF-trust; who keeps them out of CallManager-trust must not find one there unawares. 001:P1-034 */
static void manufacturer_alarms(struct cp_certs *c)
{
	const struct trust_store *cm = &c->stores[CP_TS_CALLMANAGER];
	const struct trust_store *capf = &c->stores[CP_TS_CAPF];
	unsigned n = 0;
	char first[80] = "";

	for (unsigned i = 0; i < cm->cnt; i++) {
		bool is = cp_upload_manufacturer(cm->list[i].cert);

		for (unsigned k = 0; k < capf->cnt && !is; k++)
			is = EVP_PKEY_eq(X509_get0_pubkey(cm->list[i].cert), X509_get0_pubkey(capf->list[k].cert)) == 1;
		if (is && n++ == 0)
			cp_upload_name(cm->list[i].cert, first, sizeof(first));
	}
	if (n > 0)
		cp_alarm_raise(c->app->alarms, "manufacturer-root-trusted", CP_ALARM_WARNING, "CallManager-trust",
			       "%u CAs of phones' manufacturers (%s%s) may let phones register by their MIC: keep them in CAPF-trust only",
			       n, first, n > 1 ? ", ..." : "");
	else
		cp_alarm_clear(c->app->alarms, "manufacturer-root-trusted", "CallManager-trust");
}

void certs_apply(struct cp_certs *c)
{
	unsigned changed = 0;

	for (unsigned ts = 0; ts < CP_TS_MAX; ts++) {
		changed |= c->stores[ts].changed ? 1u << ts : 0;
		c->stores[ts].changed = false;
	}
	if (changed == 0 || c->app->stopping)
		return;
	for (unsigned i = 0; i < c->served_cnt; i++)
		if ((c->served[i].stores & changed) != 0)
			(void)certs_reload(c, &c->served[i]); /* has raised its alarm */
	manufacturer_alarms(c);
	certs_expiry(c);
	for (unsigned ts = 0; ts < CP_TS_MAX; ts++)
		if ((changed & 1u << ts) != 0)
			certs_notify(c, store_names[ts]);
}

static void on_apply(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	certs_apply(ctx);
}

int cp_certs_create(struct cp_app *app, struct cp_certs **ret)
{
	struct cp_certs *c = calloc(1, sizeof(*c));
	int rc = -ENOMEM;

	if (c == NULL)
		return -ENOMEM;
	c->app = app;
	c->apply_ev = event_new(app->base, -1, 0, on_apply, c);
	if (c->apply_ev == NULL)
		goto fail;
	rc = cp_store_watch(app->store, CP_CF_CERT, record_changed, c);
	if (rc < 0)
		goto fail;
	cp_store_each(app->store, CP_CF_CERT, load_one, c);
	for (unsigned ts = 0; ts < CP_TS_MAX; ts++)
		c->stores[ts].changed = false; /* nobody has used the stores yet */
	rc = certs_own_create(c);
	if (rc == 0)
		rc = certs_watch_create(c);
	if (rc < 0)
		goto fail;
	manufacturer_alarms(c);
	*ret = c;
	return 0;
fail:
	cp_certs_destroy(c);
	return rc;
}

void cp_certs_destroy(struct cp_certs *c)
{
	if (c == NULL)
		return;
	for (unsigned ts = 0; ts < CP_TS_MAX; ts++) {
		for (unsigned i = 0; i < c->stores[ts].cnt; i++)
			X509_free(c->stores[ts].list[i].cert);
		free(c->stores[ts].list);
	}
	for (unsigned i = 0; i < c->served_cnt; i++) {
		EVP_PKEY_free(c->served[i].key);
		X509_free(c->served[i].cert);
		sk_X509_pop_free(c->served[i].chain, X509_free);
	}
	sk_X509_pop_free(c->lsc_cas, X509_free);
	certs_op_stop(c);
	certs_watch_destroy(c);
	certs_own_destroy(c);
	if (c->apply_ev != NULL)
		event_free(c->apply_ev);
	free(c);
}
