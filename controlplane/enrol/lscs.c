/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enrol/lscs.h"
#include "log.h"
#include "store/store.h"
#include "store/tab.h"
#include "x509.h"

struct lsc { /* of its device: a list, the newest first */
	struct lsc *next;
	struct cp_lscs *l;
	int64_t offered_us, ended_us, expires_us;
	uint8_t state, reason;
	bool external;
	uint8_t sha[32];
	char serial[CP_LSC_SERIAL_MAX];
	char device[CP_CAPF_APP_MAX]; /* or application: those have a '/' */
};

struct cp_lscs {
	struct cp_store *store;
	struct cp_tab by_serial; /* obj: struct lsc, owned */
	struct cp_tab by_device; /* obj: the first of the list */
	struct cp_tab by_sha;    /* obj: struct lsc */
	struct cp_lscs_stats stats;
};

static bool refused(unsigned state)
{
	return state == CP_LSC_DELETED || state == CP_LSC_REVOKED;
}

int cp_lsc_serial_text(const uint8_t *p, size_t n, char ret[CP_LSC_SERIAL_MAX])
{
	static const char hex[] = "0123456789ABCDEF";

	if (n == 0 || n > (CP_LSC_SERIAL_MAX - 1) / 2)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		ret[2 * i] = hex[p[i] >> 4];
		ret[2 * i + 1] = hex[p[i] & 15];
	}
	ret[2 * n] = '\0';
	return 0;
}

int cp_lsc_serial(const X509 *cert, char ret[CP_LSC_SERIAL_MAX])
{
	const ASN1_INTEGER *s = X509_get0_serialNumber(cert);
	int n = ASN1_STRING_length(s);

	return n > 0 ? cp_lsc_serial_text(ASN1_STRING_get0_data(s), (size_t)n, ret) : -EINVAL;
}

/* --- the index --- */

static void unlink_one(struct cp_lscs *l, struct lsc *one)
{
	struct cp_ent *e = cp_tab_find(&l->by_device, one->device, strlen(one->device));
	struct lsc *at;

	if (e != NULL && e->obj == one) {
		e->obj = one->next;
		if (one->next == NULL)
			cp_tab_del(&l->by_device, one->device, strlen(one->device));
	} else if (e != NULL) {
		for (at = e->obj; at != NULL && at->next != one; at = at->next)
			;
		if (at != NULL)
			at->next = one->next;
	}
	e = cp_tab_find(&l->by_sha, one->sha, sizeof(one->sha));
	if (e != NULL && e->obj == one)
		cp_tab_del(&l->by_sha, one->sha, sizeof(one->sha));
	l->stats.by_state[one->state]--;
	l->stats.changes += refused(one->state);
}

static int link_one(struct cp_lscs *l, struct lsc *one)
{
	struct cp_ent *dev = cp_tab_put(&l->by_device, one->device, strlen(one->device));
	struct cp_ent *sha = cp_tab_put(&l->by_sha, one->sha, sizeof(one->sha));
	struct lsc *at;

	if (dev == NULL || sha == NULL)
		return -ENOMEM;
	sha->obj = one;
	at = dev->obj;
	if (at == NULL || at->offered_us <= one->offered_us) {
		one->next = at;
		dev->obj = one;
	} else {
		while (at->next != NULL && at->next->offered_us > one->offered_us)
			at = at->next;
		one->next = at->next;
		at->next = one;
	}
	l->stats.by_state[one->state]++;
	l->stats.changes += refused(one->state);
	return 0;
}

static void forget(struct cp_lscs *l, const char *serial)
{
	struct cp_ent *e = cp_tab_find(&l->by_serial, serial, strlen(serial));
	struct lsc *one = e != NULL ? e->obj : NULL;

	if (one != NULL) {
		unlink_one(l, one);
		e->obj = NULL;
		free(one);
	}
	if (e != NULL)
		cp_tab_del(&l->by_serial, serial, strlen(serial));
}

static int take(struct cp_lscs *l, const uint8_t *val, size_t len)
{
	struct lsc *one;
	struct cp_ent *e;
	struct cp_lsc rec;
	int rc = cp_lsc_parse(val, len, &rec);

	if (rc < 0)
		return rc;
	forget(l, rec.serial);
	one = calloc(1, sizeof(*one));
	e = one != NULL ? cp_tab_put(&l->by_serial, rec.serial, strlen(rec.serial)) : NULL;
	rc = e == NULL ? -ENOMEM : 0;
	/* pki_fingerprint() without reading the certificate, which takes OpenSSL longer than all the rest here */
	if (rc == 0 && EVP_Digest(rec.cert.data, rec.cert.len, one->sha, NULL, EVP_sha256(), NULL) != 1)
		rc = -EIO;
	if (rc == 0) {
		one->l = l;
		one->state = rec.state;
		one->reason = rec.reason;
		one->external = rec.external;
		one->offered_us = rec.offered_us;
		one->ended_us = rec.ended_us;
		one->expires_us = rec.expires_us;
		memcpy(one->serial, rec.serial, sizeof(one->serial));
		snprintf(one->device, sizeof(one->device), "%s", rec.app[0] != '\0' ? rec.app : rec.device);
		rc = link_one(l, one);
	}
	if (rc == 0) {
		e->obj = one;
	} else {
		if (e != NULL)
			cp_tab_del(&l->by_serial, rec.serial, strlen(rec.serial));
		free(one);
	}
	cp_lsc_free(&rec);
	return rc;
}

static bool is_lsc(const uint8_t *key, size_t len, char serial[CP_LSC_SERIAL_MAX])
{
	if (len <= 4 || len >= 4 + CP_LSC_SERIAL_MAX || memcmp(key, "lsc/", 4) != 0)
		return false;
	memcpy(serial, key + 4, len - 4);
	serial[len - 4] = '\0';
	return true;
}

static void changed(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted)
{
	struct cp_lscs *l = ctx;
	char serial[CP_LSC_SERIAL_MAX];
	const uint8_t *val;
	size_t len;

	if (!is_lsc(key, key_len, serial))
		return;
	if (deleted || cp_store_get(l->store, cf, key, key_len, &val, &len) < 0) {
		forget(l, serial);
	} else if (take(l, val, len) < 0) {
		cfg_log_limited(CFG_LOG_ERR, "lsc-record", "serial=%s reason=\"cannot be read\"", serial);
	}
}

static bool load_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	char serial[CP_LSC_SERIAL_MAX];

	if (is_lsc(key, key_len, serial) && take(ctx, val, len) < 0)
		cfg_log_limited(CFG_LOG_ERR, "lsc-record", "serial=%s reason=\"cannot be read\"", serial);
	return true;
}

int cp_lscs_create(struct cp_store *store, struct cp_lscs **ret)
{
	struct cp_lscs *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return -ENOMEM;
	l->store = store;
	rc = cp_tab_init(&l->by_serial, free);
	if (rc == 0)
		rc = cp_tab_init(&l->by_device, NULL);
	if (rc == 0)
		rc = cp_tab_init(&l->by_sha, NULL);
	if (rc == 0)
		rc = cp_store_watch(store, CP_CF_CAPF, changed, l);
	if (rc < 0) {
		cp_lscs_destroy(l);
		return rc;
	}
	cp_store_each(store, CP_CF_CAPF, load_one, l);
	*ret = l;
	return 0;
}

void cp_lscs_destroy(struct cp_lscs *l)
{
	if (l == NULL)
		return;
	cp_tab_fini(&l->by_sha);
	cp_tab_fini(&l->by_device);
	cp_tab_fini(&l->by_serial);
	free(l);
}

/* --- questions --- */

static const struct lsc *by_cert(const struct cp_lscs *l, X509 *cert)
{
	uint8_t sha[32];
	struct cp_ent *e;

	if (l == NULL || cert == NULL || pki_fingerprint(cert, sha) < 0)
		return NULL;
	e = cp_tab_find(&l->by_sha, sha, sizeof(sha));
	return e != NULL ? e->obj : NULL;
}

enum cp_lsc_state cp_lscs_state(const struct cp_lscs *l, X509 *cert)
{
	const struct lsc *one = by_cert(l, cert);

	return one != NULL ? (enum cp_lsc_state)one->state : 0;
}

bool cp_lscs_refused(const struct cp_lscs *l, X509 *cert)
{
	return refused(cp_lscs_state(l, cert));
}

static const struct lsc *first(const struct cp_lscs *l, const char *device)
{
	struct cp_ent *e = cp_tab_find(&l->by_device, device, strlen(device));

	return e != NULL ? e->obj : NULL;
}

bool cp_lscs_of(const struct cp_lscs *l, const char *device, unsigned states, char ret_serial[CP_LSC_SERIAL_MAX])
{
	for (const struct lsc *one = first(l, device); one != NULL; one = one->next)
		if ((CP_LSC_BIT(one->state) & states) != 0) {
			memcpy(ret_serial, one->serial, CP_LSC_SERIAL_MAX);
			return true;
		}
	return false;
}

void cp_lscs_each(const struct cp_lscs *l, const char *device, unsigned states,
		  void (*fn)(void *ctx, const char *serial, enum cp_lsc_state state), void *ctx)
{
	for (const struct lsc *one = first(l, device); one != NULL; one = one->next)
		if ((CP_LSC_BIT(one->state) & states) != 0)
			fn(ctx, one->serial, (enum cp_lsc_state)one->state);
}

void cp_lscs_each_refused(const struct cp_lscs *l, int64_t now_us,
			  void (*fn)(void *ctx, const char *serial, int64_t since_us, unsigned reason), void *ctx)
{
	struct cp_ent **sorted = cp_tab_sorted(&l->by_serial);

	for (size_t i = 0; sorted != NULL && i < l->by_serial.cnt; i++) {
		const struct lsc *one = sorted[i]->obj;

		if (one != NULL && refused(one->state) && !one->external && one->expires_us > now_us)
			fn(ctx, one->serial, one->ended_us, one->reason);
	}
	free(sorted);
}

void cp_lscs_stats(const struct cp_lscs *l, struct cp_lscs_stats *ret)
{
	*ret = l->stats;
}

/* --- changes --- */

int cp_lscs_change(const struct cp_lscs *l, struct cp_batch *b, const char *serial, enum cp_lsc_state state, unsigned reason,
		   int64_t now_us)
{
	struct cp_lsc rec;
	int rc = cp_store_lsc(l->store, serial, &rec);

	if (rc < 0)
		return rc;
	if (refused(rec.state) || rec.state == state) {
		rc = -EALREADY;
	} else {
		rec.state = (uint8_t)state;
		if (state == CP_LSC_HELD)
			rec.held_us = now_us;
		if (refused(state)) {
			rec.reason = (uint8_t)reason;
			rec.ended_us = now_us;
		}
		rc = cp_batch_lsc(b, &rec);
	}
	cp_lsc_free(&rec);
	return rc;
}

int cp_lscs_change_all(const struct cp_lscs *l, struct cp_batch *b, const char *device, unsigned states, const char *except,
		       enum cp_lsc_state state, unsigned reason, int64_t now_us)
{
	int n = 0;

	for (const struct lsc *one = first(l, device); one != NULL; one = one->next) {
		int rc;

		if ((CP_LSC_BIT(one->state) & states) == 0 || (except != NULL && strcmp(one->serial, except) == 0))
			continue;
		rc = cp_lscs_change(l, b, one->serial, state, reason, now_us);
		if (rc < 0 && rc != -EALREADY)
			return rc;
		n += rc == 0;
	}
	return n;
}
