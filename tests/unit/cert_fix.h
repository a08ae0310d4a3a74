/* SPDX-License-Identifier: BSD-3-Clause */
/* Certificates of every kind, right and wrong, made with OpenSSL for suites about certificates. */
#ifndef TESTS_CERT_FIX_H
#define TESTS_CERT_FIX_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct cf_id {
	EVP_PKEY *key;
	X509 *cert;
};

struct cf_opts {
	const char *cn;             /* NULL: no subject at all */
	const struct cf_id *issuer; /* NULL: self-signed */
	EVP_PKEY *key;              /* NULL: a new P-256 one */
	int64_t from, to;           /* seconds since 1970 */
	const char *basic, *ku, *eku, *san; /* extensions; NULL: absent */
	const char *odd;            /* value of a critical extension that nobody knows */
	const EVP_MD *md;           /* NULL: SHA-256 */
	const uint8_t *serial;
	size_t serial_len;
};

static inline void cf_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	if (value == NULL)
		return;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509V3_set_ctx_nodb(&ctx);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (ext == NULL || X509_add_ext(cert, ext, -1) != 1)
		abort();
	X509_EXTENSION_free(ext);
}

static inline struct cf_id cf_make(const struct cf_opts *o)
{
	static long serial = 1000;
	struct cf_id id = {o->key != NULL ? o->key : EVP_EC_gen("P-256"), X509_new()};
	X509_NAME *name = X509_get_subject_name(id.cert);
	X509 *issuer = o->issuer != NULL ? o->issuer->cert : id.cert;

	if (o->key != NULL)
		EVP_PKEY_up_ref(o->key);
	X509_set_version(id.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(id.cert), serial++);
	if (o->serial != NULL)
		ASN1_STRING_set(X509_get_serialNumber(id.cert), o->serial, (int)o->serial_len);
	ASN1_TIME_set(X509_getm_notBefore(id.cert), (time_t)o->from);
	ASN1_TIME_set(X509_getm_notAfter(id.cert), (time_t)o->to);
	if (o->cn != NULL &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)o->cn, -1, -1, 0) != 1)
		abort();
	X509_set_issuer_name(id.cert, X509_get_subject_name(issuer));
	X509_set_pubkey(id.cert, id.key);
	cf_ext(id.cert, issuer, NID_basic_constraints, o->basic);
	cf_ext(id.cert, issuer, NID_key_usage, o->ku);
	cf_ext(id.cert, issuer, NID_ext_key_usage, o->eku);
	cf_ext(id.cert, issuer, NID_subject_alt_name, o->san);
	if (o->odd != NULL) {
		ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1);
		ASN1_OCTET_STRING *s = ASN1_OCTET_STRING_new();
		X509_EXTENSION *ext;

		ASN1_OCTET_STRING_set(s, (const unsigned char *)o->odd, (int)strlen(o->odd));
		ext = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, s);
		X509_add_ext(id.cert, ext, -1);
		X509_EXTENSION_free(ext);
		ASN1_OCTET_STRING_free(s);
		ASN1_OBJECT_free(oid);
	}
	if (X509_sign(id.cert, o->issuer != NULL ? o->issuer->key : id.key, o->md != NULL ? o->md : EVP_sha256()) <= 0)
		abort();
	return id;
}

static inline void cf_free(struct cf_id *id)
{
	EVP_PKEY_free(id->key);
	X509_free(id->cert);
	*id = (struct cf_id){0};
}

#define CF_CA_KU "critical,keyCertSign,cRLSign"

static inline struct cf_id cf_ca(const char *cn, const struct cf_id *issuer, int64_t from, int64_t to)
{
	return cf_make(&(struct cf_opts){.cn = cn, .issuer = issuer, .from = from, .to = to, .basic = "critical,CA:TRUE",
					 .ku = CF_CA_KU});
}

/* PEM of several, NULL ends; heap. */
static inline char *cf_pem(X509 *const *certs)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *ret;
	long len;

	for (; *certs != NULL; certs++)
		if (PEM_write_bio_X509(bio, *certs) != 1)
			abort();
	len = BIO_get_mem_data(bio, &data);
	ret = malloc((size_t)len + 1);
	memcpy(ret, data, (size_t)len);
	ret[len] = '\0';
	BIO_free(bio);
	return ret;
}

/* DER, heap. */
static inline uint8_t *cf_der(X509 *cert, size_t *ret_len)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der);
	uint8_t *ret = malloc((size_t)len);

	memcpy(ret, der, (size_t)len);
	OPENSSL_free(der);
	*ret_len = (size_t)len;
	return ret;
}

static inline EVP_PKEY *rsa(unsigned bits)
{
	return EVP_RSA_gen(bits);
}

/** A list of certificates, as many functions take it. */
#define L(...) ((X509 *const[]){__VA_ARGS__, NULL})

#endif
