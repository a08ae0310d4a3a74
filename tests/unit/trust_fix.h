/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys made once, certificates and lists of them as often as wanted; devices in a store. For the ledger's and the drill's tests. */
#ifndef TESTS_TRUST_FIX_H
#define TESTS_TRUST_FIX_H

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"
#include "store_tmp.h"
#include "trustlist.h"

#define FIX_KEYS 24

static EVP_PKEY *fix_keys[FIX_KEYS];
static unsigned fix_serial;

/* RSA-2048, made when first asked for. Certificates differ by serial number; so many keys that no two living ones share one. */
static inline EVP_PKEY *fix_key(unsigned i)
{
	i %= FIX_KEYS;
	if (fix_keys[i] == NULL)
		fix_keys[i] = EVP_RSA_gen(2048);
	if (fix_keys[i] == NULL)
		abort();
	return fix_keys[i];
}

static inline void fix_keys_free(void)
{
	for (unsigned i = 0; i < FIX_KEYS; i++) {
		EVP_PKEY_free(fix_keys[i]);
		fix_keys[i] = NULL;
	}
}

static inline X509 *fix_cert(const char *name, EVP_PKEY *key)
{
	X509 *c = X509_new();
	X509_NAME *n = c != NULL ? X509_get_subject_name(c) : NULL;

	if (n == NULL || X509_set_version(c, 2) != 1 || ASN1_INTEGER_set(X509_get_serialNumber(c), (long)(0x10000 + ++fix_serial)) != 1 ||
	    X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) != 1 ||
	    X509_NAME_add_entry_by_txt(n, "O", MBSTRING_ASC, (const unsigned char *)"Drill", -1, -1, 0) != 1 ||
	    X509_set_issuer_name(c, n) != 1 || X509_gmtime_adj(X509_getm_notBefore(c), -3600) == NULL ||
	    X509_gmtime_adj(X509_getm_notAfter(c), 10L * 365 * 86400) == NULL || X509_set_pubkey(c, key) != 1 ||
	    X509_sign(c, key, EVP_sha256()) == 0)
		abort();
	return c;
}

/* RSA PKCS#1 v1.5 over head and body. */
static inline void fix_sign(EVP_PKEY *key, unsigned digest, const void *head, size_t head_len, const void *body, size_t body_len,
			    uint8_t *sig, size_t *len)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	if (md == NULL || EVP_DigestSignInit(md, NULL, pki_digest_md(digest), NULL, key) != 1 ||
	    EVP_DigestSignUpdate(md, head, head_len) != 1 || (body_len > 0 && EVP_DigestSignUpdate(md, body, body_len) != 1) ||
	    EVP_DigestSignFinal(md, sig, len) != 1)
		abort();
	EVP_MD_CTX_free(md);
}

static inline void fix_list(const struct pki_tl_opts *o, EVP_PKEY *key, const struct pki_tl_entry *e, unsigned n, struct cp_buf *ret)
{
	uint8_t *tbs = NULL, sig[PKI_TL_SIG_MAX];
	size_t tbs_len = 0, sig_len = sizeof(sig);
	char why[200] = "";

	if (pki_tl_build(o, e, n, &tbs, &tbs_len, why, sizeof(why)) < 0) {
		fprintf(stderr, "%s\n", why);
		abort();
	}
	fix_sign(key, pki_tl_class_limits(o->cls)->digest, tbs, tbs_len, NULL, 0, sig, &sig_len);
	if (pki_tl_finish(tbs, tbs_len, sig, sig_len, &ret->data, &ret->len) < 0)
		abort();
	OPENSSL_free(tbs);
}

static inline void fix_name(unsigned i, char ret[16])
{
	snprintf(ret, 16, "SEP%012X", i + 1);
}

struct fix_wait {
	int left, rc;
};

static inline void fix_stored(void *ctx, int rc)
{
	struct fix_wait *w = ctx;

	w->left--;
	if (rc < 0)
		w->rc = rc;
}

/* 'n' devices from number 'from' on. */
static inline int fix_devices(struct cp_store *store, struct event_base *base, unsigned from, unsigned n, const char *model)
{
	struct fix_wait w = {0};

	for (unsigned i = from; i < from + n; i++) {
		struct cp_device d = {.mode = CP_DEVICE_ENCRYPTED, .region = "default", .srtp = true};
		char why[160] = "";
		struct cp_dir_ctx c = {.who = "test", .fn = fix_stored, .ctx = &w, .why = why, .why_size = sizeof(why)};

		fix_name(i, d.name);
		snprintf(d.model, sizeof(d.model), "%s", model);
		w.left++;
		if (cp_dir_device_put(store, &d, false, &c) < 0) {
			fprintf(stderr, "%s: %s\n", d.name, why);
			return -1;
		}
		while (w.left > 512)
			event_base_loop(base, EVLOOP_ONCE);
	}
	while (w.left > 0)
		event_base_loop(base, EVLOOP_ONCE);
	return w.rc;
}

#endif
