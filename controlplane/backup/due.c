/* SPDX-License-Identifier: BSD-3-Clause */
#include "backup/due.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "admin/admin.h"
#include "alarm.h"
#include "app.h"
#include "log.h"
#include "signerc/signerc.h"
#include "store/store.h"
#include "trust/certs.h"
#include "trust/listrec.h"

#define ALARM "backup-due"

struct cp_due {
	struct cp_app *app;
	struct event *look_ev;
	json_t *last; /* the record; NULL: no backup was made, or it cannot be read */
	bool due;
};

/* --- fingerprints --- */

static void eat(EVP_MD_CTX *md, const void *p, size_t len)
{
	uint8_t n[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};

	EVP_DigestUpdate(md, n, sizeof(n)); /* so that no two parts read as others */
	EVP_DigestUpdate(md, p, len);
}

static EVP_MD_CTX *begin(void)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	if (md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(md);
		md = NULL;
	}
	return md;
}

/* 16 bytes are enough to tell two states of one machine apart. */
static json_t *end(EVP_MD_CTX *md)
{
	uint8_t sum[EVP_MAX_MD_SIZE];
	char hex[33];
	bool ok = md != NULL && EVP_DigestFinal_ex(md, sum, NULL) == 1;

	EVP_MD_CTX_free(md);
	for (int i = 0; ok && i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", sum[i]);
	return ok ? json_string(hex) : NULL;
}

static void eat_cert(EVP_MD_CTX *md, X509 *cert)
{
	unsigned char *der = NULL;
	int n = cert != NULL ? i2d_X509(cert, &der) : 0;

	eat(md, der, n > 0 ? (size_t)n : 0);
	OPENSSL_free(der);
}

static json_t *ident_print(const struct cp_signer_ident *id)
{
	EVP_MD_CTX *md = begin();

	if (md == NULL)
		return NULL;
	eat_cert(md, id->cert);
	for (int i = 0; i < (id->chain != NULL ? sk_X509_num(id->chain) : 0); i++)
		eat_cert(md, sk_X509_value(id->chain, i));
	eat(md, &id->csr_pending, 1); /* the key of a request is in the bundle too */
	return end(md);
}

static bool eat_record(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t val_len)
{
	eat(ctx, key, key_len);
	eat(ctx, val, val_len);
	return true;
}

static json_t *family_print(const struct cp_store *store, enum cp_cf cf)
{
	EVP_MD_CTX *md = begin();

	if (md != NULL)
		cp_store_each(store, cf, eat_record, md);
	return end(md);
}

/* The ITL's files follow from the certificates; who signs it and whether it is that of a rollback do not. */
static json_t *itl_print(const struct cp_store *store)
{
	EVP_MD_CTX *md = begin();
	struct cp_itl_rec rec = {0};
	const uint8_t *v;
	uint8_t rollback;
	size_t len;

	if (md == NULL)
		return NULL;
	if (cp_store_get(store, CP_CF_TRUST, CP_ITL_KEY, strlen(CP_ITL_KEY), &v, &len) == 0 && cp_itl_rec_parse(v, len, &rec) < 0)
		memset(&rec, 0, sizeof(rec));
	rollback = rec.rollback;
	eat(md, rec.sign_with[0] != '\0' ? rec.sign_with : "auto", rec.sign_with[0] != '\0' ? strlen(rec.sign_with) : 4);
	eat(md, &rollback, 1);
	cp_itl_rec_free(&rec);
	return end(md);
}

json_t *cp_due_ident_prints(const struct cp_signer_ident *ident, unsigned cnt)
{
	json_t *o = json_object();

	for (unsigned i = 0; i < cnt; i++)
		if (json_object_set_new(o, ident[i].name, ident_print(&ident[i])) != 0) {
			json_decref(o);
			return NULL;
		}
	return o;
}

json_t *cp_due_prints(const struct cp_store *store, const struct cp_signer_ident *ident, unsigned cnt)
{
	json_t *o = cp_due_ident_prints(ident, cnt);
	int bad = o == NULL;

	bad |= json_object_set_new(o, "trust stores", family_print(store, CP_CF_CERT));
	bad |= json_object_set_new(o, "CTL", family_print(store, CP_CF_CTL));
	bad |= json_object_set_new(o, "ITL settings", itl_print(store));
	if (bad != 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

char *cp_due_record(const char *time, json_t *prints)
{
	json_t *o = json_pack("{s:s, s:O}", "time", time, "prints", prints);
	char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	return text;
}

/* --- looking --- */

static const char *last_time(const struct cp_due *d)
{
	const char *t = json_string_value(json_object_get(d->last, "time"));

	return t != NULL ? t : "";
}

static void name_it(char *ret, size_t size, const char *name)
{
	size_t n = strlen(ret);

	if (strcmp(n >= 5 ? ret + n - 5 : "", ", ...") == 0)
		return;
	if (n + strlen(name) + 8 > size) /* what does not fit is not kept quiet */
		snprintf(ret + n, size - n, ", ...");
	else
		snprintf(ret + n, size - n, "%s%s", n > 0 ? ", " : "", name);
}

/* What is other than in the last bundle: names, in 'ret'. */
static void differing(const json_t *was, json_t *now, char *ret, size_t size)
{
	const char *name;
	json_t *v;

	ret[0] = '\0';
	json_object_foreach(now, name, v)
		if (!json_equal(v, json_object_get(was, name)))
			name_it(ret, size, name);
	json_object_foreach((json_t *)(uintptr_t)was, name, v)
		if (json_object_get(now, name) == NULL) /* retired: the bundle would bring it back */
			name_it(ret, size, name);
}

static void look(struct cp_due *d)
{
	struct cp_app *app = d->app;
	const json_t *was = json_object_get(d->last, "prints");
	const struct cp_signer_ident *ident;
	char names[150] = "";
	json_t *now;
	unsigned cnt;

	if (app->stopping)
		return;
	ident = cp_certs_idents(app->certs, &cnt);
	now = cp_due_prints(app->store, ident, cnt);
	if (now == NULL)
		return; /* the next look does it */
	if (was == NULL) {
		d->due = true;
		cp_alarm_raise(app->alarms, ALARM, CP_ALARM_WARNING, "trust",
			       "no backup was made: keys that phones trust are on this machine only; run 'ravelinctl backup create'");
	} else {
		differing(was, now, names, sizeof(names));
		d->due = names[0] != '\0';
		if (d->due)
			cp_alarm_raise(app->alarms, ALARM, CP_ALARM_MAJOR, "trust",
				       "changed since the backup of %s: %s; run 'ravelinctl backup create'", last_time(d), names);
		else
			cp_alarm_clear(app->alarms, ALARM, "trust");
	}
	json_decref(now);
}

static void on_look(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	look(ctx);
}

static void cert_changed(void *ctx, const char *name)
{
	struct cp_due *d = ctx;

	(void)name;
	event_active(d->look_ev, EV_TIMEOUT, 0); /* once, however many changed */
}

static void record_changed(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted)
{
	struct cp_due *d = ctx;

	(void)cf;
	(void)key;
	(void)key_len;
	(void)deleted;
	event_active(d->look_ev, EV_TIMEOUT, 0);
}

static void status(void *ctx, json_t *o)
{
	const struct cp_due *d = ctx;

	json_object_set_new(o, "backup", json_pack("{s:b, s:s}", "due", (int)d->due, "last", last_time(d)));
}

/* --- made --- */

struct made {
	struct cp_due *due;
	json_t *last;
	void (*fn)(void *ctx, int rc);
	void *ctx;
};

static void made_stored(void *arg, int rc)
{
	struct made *m = arg;

	if (rc == 0) {
		json_decref(m->due->last);
		m->due->last = json_incref(m->last);
		look(m->due);
	} else {
		cfg_log(CFG_LOG_WARN, "backup-not-noted", "rc=%d hint=\"the store cannot write: backup-due stands on\"", rc);
	}
	m->fn(m->ctx, rc);
	json_decref(m->last);
	free(m);
}

void cp_due_made(struct cp_due *d, const char *time, json_t *prints, void (*fn)(void *ctx, int rc), void *ctx)
{
	struct made *m = calloc(1, sizeof(*m));
	struct cp_batch *b = cp_batch_create();
	char *text = cp_due_record(time, prints);
	int rc = m == NULL || b == NULL || text == NULL ? -ENOMEM : 0;

	if (rc == 0)
		*m = (struct made){d, json_pack("{s:s, s:O}", "time", time, "prints", prints), fn, ctx};
	if (rc == 0)
		rc = cp_batch_put(b, CP_CF_META, CP_BACKUP_KEY, strlen(CP_BACKUP_KEY), text, strlen(text));
	free(text);
	if (rc == 0) {
		rc = cp_store_submit(d->app->store, b, made_stored, m);
		b = NULL;
	}
	cp_batch_destroy(b);
	if (rc == 0)
		return;
	if (m != NULL)
		json_decref(m->last);
	free(m);
	fn(ctx, rc);
}

/* --- start and end --- */

int cp_due_create(struct cp_app *app, struct cp_due **ret)
{
	static const enum cp_cf watched[] = {CP_CF_CERT, CP_CF_CTL, CP_CF_TRUST};
	struct cp_due *d = calloc(1, sizeof(*d));
	const uint8_t *v;
	size_t len;
	int rc = 0;

	if (d == NULL)
		return -ENOMEM;
	d->app = app;
	d->look_ev = event_new(app->base, -1, 0, on_look, d);
	if (d->look_ev == NULL)
		rc = -ENOMEM;
	if (rc == 0 && cp_store_get(app->store, CP_CF_META, CP_BACKUP_KEY, strlen(CP_BACKUP_KEY), &v, &len) == 0) {
		d->last = json_loadb((const char *)v, len, 0, NULL);
		if (!json_is_object(json_object_get(d->last, "prints"))) {
			cfg_log(CFG_LOG_WARN, "backup-record-unreadable", "action=\"as if no backup had been made\"");
			json_decref(d->last);
			d->last = NULL;
		}
	}
	for (size_t i = 0; rc == 0 && i < sizeof(watched) / sizeof(watched[0]); i++)
		rc = cp_store_watch(app->store, watched[i], record_changed, d);
	if (rc == 0)
		rc = cp_certs_watch(app->certs, cert_changed, d);
	if (rc == 0)
		rc = cp_admin_status_add(app->admin, status, d);
	if (rc < 0) {
		cp_due_destroy(d);
		return rc;
	}
	look(d);
	*ret = d;
	return 0;
}

void cp_due_destroy(struct cp_due *d)
{
	if (d == NULL)
		return;
	if (d->look_ev != NULL)
		event_free(d->look_ev);
	json_decref(d->last);
	free(d);
}
