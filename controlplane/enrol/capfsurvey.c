/* SPDX-License-Identifier: BSD-3-Clause */
#include "enrol/capfsurvey.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "store/phonecfg.h"
#include "store/store.h"

#define STEP 500 /* records of one look at the disk: store.h */

struct survey {
	struct cp_store *store;
	bool view;
	X509 *capf;
	struct cp_tab *tab;
	struct cp_tab ours; /* SHA-256 of each LSC on record; only with 'mics' */
	bool mics;
	int rc;
	/* of one scan */
	void (*fn)(struct survey *s, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len);
	const char *prefix;
	uint8_t last[CP_STORE_KEY_MAX + 1];
	size_t last_len;
	unsigned left;
};

struct cp_capf_known *cp_capf_known(struct cp_tab *tab, const char *device)
{
	struct cp_ent *e = cp_tab_put(tab, device, strlen(device));

	if (e != NULL && e->obj == NULL)
		e->obj = calloc(1, sizeof(struct cp_capf_known));
	return e != NULL ? e->obj : NULL;
}

static struct cp_capf_known *of(struct survey *s, const char *device)
{
	struct cp_capf_known *k = cp_capf_known(s->tab, device);

	if (k == NULL)
		s->rc = -ENOMEM;
	return k;
}

static void sha_of(const struct cp_buf *der, uint8_t ret[32])
{
	if (EVP_Digest(der->data, der->len, ret, NULL, EVP_sha256(), NULL) != 1)
		memset(ret, 0, 32);
}

static void on_lsc(struct survey *s, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_capf_known *k;
	struct cp_lsc l;

	(void)key;
	(void)key_len;
	if (cp_lsc_parse(val, len, &l) < 0)
		return; /* an alarm tells of it */
	k = l.app[0] == '\0' ? of(s, l.device) : NULL;
	if (k != NULL) {
		k->live |= l.state == CP_LSC_OFFERED || l.state == CP_LSC_HELD || l.state == CP_LSC_SUPERSEDED;
		if (l.state == CP_LSC_HELD && (k->serial[0] == '\0' || l.offered_us >= k->offered_us)) {
			memcpy(k->serial, l.serial, sizeof(k->serial));
			k->offered_us = l.offered_us;
			k->expires_us = l.expires_us;
		}
	}
	if (s->mics) {
		uint8_t sha[32];

		sha_of(&l.cert, sha);
		if (cp_tab_put(&s->ours, sha, sizeof(sha)) == NULL)
			s->rc = -ENOMEM;
	}
	cp_lsc_free(&l);
}

static void on_device(struct survey *s, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_capf_known *k;
	struct cp_device dev;

	(void)key;
	(void)key_len;
	if (cp_device_parse(val, len, &dev) < 0)
		return;
	k = of(s, dev.name);
	if (k != NULL) {
		k->exists = true;
		memcpy(k->model, dev.model, sizeof(k->model));
		memcpy(k->profile, dev.profile, sizeof(k->profile));
	}
	cp_device_free(&dev);
}

static void on_op(struct survey *s, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_capf_known *k;
	struct cp_capf_oprec rec;

	(void)key;
	(void)key_len;
	if (cp_capf_oprec_parse(val, len, &rec) < 0)
		return;
	k = rec.shown == 2 ? of(s, rec.device) : NULL;
	if (k != NULL)
		k->mic = true;
	cp_capf_oprec_free(&rec);
}

/* What its configuration is encrypted for: one of ours, or its MIC. */
static void on_cert(struct survey *s, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_phone_cert pc;
	struct cp_capf_known *k;
	const uint8_t *p;
	uint8_t sha[32];
	X509 *cert;

	if (key_len >= CP_DEVICE_NAME_MAX || memchr(key, '/', key_len) != NULL || cp_phone_cert_parse(val, len, &pc) < 0)
		return;
	sha_of(&pc.cert, sha);
	p = pc.cert.data;
	cert = cp_tab_find(&s->ours, sha, sizeof(sha)) == NULL ? d2i_X509(NULL, &p, (long)pc.cert.len) : NULL;
	if (cert != NULL && (s->capf == NULL || X509_check_issued(s->capf, cert) != X509_V_OK) && (k = of(s, pc.device)) != NULL)
		k->mic = true;
	X509_free(cert);
	cp_phone_cert_free(&pc);
}

static bool one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct survey *s = ctx;
	size_t n = strlen(s->prefix);
	bool ours = key_len >= n && memcmp(key, s->prefix, n) == 0;

	if (s->view) {
		if (ours)
			s->fn(s, key, key_len, val, len);
		return s->rc == 0;
	}
	if (!ours || s->left-- == 0 || key_len >= sizeof(s->last))
		return false;
	memcpy(s->last, key, key_len);
	s->last[key_len] = 0;
	s->last_len = key_len + 1;
	s->fn(s, key, key_len, val, len);
	return s->rc == 0;
}

static void each(struct survey *s, enum cp_cf cf, const char *prefix,
		 void (*fn)(struct survey *s, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len))
{
	if (s->rc < 0)
		return;
	s->fn = fn;
	s->prefix = prefix;
	if (s->view) {
		cp_store_each(s->store, cf, one, s);
		return;
	}
	s->last_len = strlen(prefix);
	memcpy(s->last, prefix, s->last_len);
	do {
		int rc;

		s->left = STEP;
		rc = cp_store_scan(s->store, cf, s->last, s->last_len, one, s);
		if (rc < 0 && s->rc == 0)
			s->rc = rc;
	} while (s->rc == 0 && s->left == UINT_MAX);
}

int cp_capf_survey(struct cp_store *store, bool view, bool mics, X509 *capf, struct cp_tab *ret)
{
	struct survey s = {.store = store, .view = view, .capf = capf, .tab = ret, .mics = mics || capf != NULL};
	int rc = cp_tab_init(ret, free);

	if (rc < 0)
		return rc;
	rc = cp_tab_init(&s.ours, NULL);
	if (rc < 0)
		return rc;
	each(&s, CP_CF_DEVICE, "", on_device);
	each(&s, CP_CF_CAPF, "lsc/", on_lsc);
	if (s.mics) {
		each(&s, CP_CF_CAPF, "op/", on_op);
		each(&s, CP_CF_CAPF, "SEP", on_cert);
	}
	cp_tab_fini(&s.ours);
	return s.rc;
}
