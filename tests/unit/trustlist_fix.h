/* SPDX-License-Identifier: BSD-3-Clause */
/* Trust lists that a test makes: keys, certificates, entries, and what a phone would say of the file. */
#ifndef TESTS_TRUSTLIST_FIX_H
#define TESTS_TRUSTLIST_FIX_H

#include <arpa/inet.h>
#include <errno.h>
#include <time.h>

#include "trust_files.h"
#include "x509.h"

#define WHY 256

static struct pki_tl tl; /* 25 KB: the last one that was read */

/* What a phone does with a file: parse and verify by its own list. */
static inline int judge(const uint8_t *p, size_t len)
{
	char why[WHY] = "";
	int rc = pki_tl_parse(p, len, &tl, why, sizeof(why));

	if (rc == 0)
		rc = pki_tl_verify(&tl, NULL, NULL, why, sizeof(why));
	if (rc < 0)
		CU_ASSERT_NOT_EQUAL(why[0], '\0');
	return rc;
}

struct made {
	struct pki_tl_entry e[PKI_TL_REC_MAX];
	unsigned n;
	struct pki_tl_opts opts;
	EVP_PKEY *key;
};

static inline int build(const struct made *m, struct blob *ret, char why[WHY])
{
	uint8_t *tbs, *out, sig[512];
	size_t len, sig_len;
	int rc = pki_tl_build(&m->opts, m->e, m->n, &tbs, &len, why, WHY);

	if (rc < 0)
		return rc;
	CU_ASSERT_EQUAL(pki_tl_parse_tbs(tbs, len, &tl, why, WHY), 0);
	CU_ASSERT_EQUAL(tl.rec_cnt, m->n);
	CU_ASSERT_PTR_NULL(tl.sig);
	sig_len = sign_with(m->key, tl.digest, tbs, len, "", 0, sig);
	CU_ASSERT_EQUAL(tl.sig_len, sig_len);
	CU_ASSERT_EQUAL(pki_tl_finish(tbs, len, sig, sig_len - 1, &out, &ret->len), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(pki_tl_finish(tbs, len, sig, sig_len, &out, &ret->len), 0);
	*ret = blob_of(out, ret->len);
	OPENSSL_free(out);
	OPENSSL_free(tbs);
	return 0;
}

static inline X509 *cert_of(EVP_PKEY *key, EVP_PKEY *signer, const char *cn, const char *ou, const uint8_t *serial, int serial_len)
{
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);
	ASN1_INTEGER *n = X509_get_serialNumber(cert);

	X509_set_version(cert, 2);
	ASN1_STRING_set(n, serial, serial_len);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	for (; ou != NULL && *ou != '\0'; ou += strlen(ou) > 60 ? 60 : strlen(ou)) {
		int len = strlen(ou) > 60 ? 60 : (int)strlen(ou);

		X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_UTF8, (const unsigned char *)ou, len, -1, 0);
	}
	X509_set_issuer_name(cert, name);
	X509_set_pubkey(cert, key);
	if (X509_sign(cert, signer, EVP_sha256()) <= 0)
		abort();
	return cert;
}

static inline EVP_PKEY *rsa_key(unsigned bits)
{
	static EVP_PKEY *keys[5]; /* of 1024, 2048, 3072, 4096 bits */

	if (keys[bits / 1024] == NULL)
		keys[bits / 1024] = EVP_RSA_gen(bits);
	return keys[bits / 1024];
}

static const uint8_t serial16[16] = {0x7f, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static inline struct made made_of(X509 *signer, EVP_PKEY *key, enum pki_tl_kind kind, enum pki_tl_class cls)
{
	struct made m = {.n = 1, .key = key};

	m.e[0] = (struct pki_tl_entry){.role = PKI_TL_SAST, .cert = signer};
	m.opts = (struct pki_tl_opts){.kind = kind, .cls = cls, .signer = signer, .timestamp = 1800000000};
	return m;
}

#endif
