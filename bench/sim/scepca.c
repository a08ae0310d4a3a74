/* SPDX-License-Identifier: BSD-3-Clause */
#include "scepca.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#define ATTR(n) "2.16.840.1.113733.1.9." #n

static const ASN1_STRING *attr(CMS_SignerInfo *si, const char *oid, int type)
{
	ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
	const ASN1_STRING *s = CMS_signed_get0_data_by_OBJ(si, obj, -1, type);

	ASN1_OBJECT_free(obj);
	return s;
}

static void take_text(const ASN1_STRING *s, char *ret, size_t size)
{
	snprintf(ret, size, "%.*s", s != NULL ? ASN1_STRING_length(s) : 0, s != NULL ? (const char *)ASN1_STRING_get0_data(s) : "");
}

static void take_request(struct scepca_req *r)
{
	int at = X509_REQ_get_attr_by_NID(r->csr, NID_pkcs9_challengePassword, -1);

	if (at >= 0) {
		ASN1_TYPE *v = X509_ATTRIBUTE_get0_type(X509_REQ_get_attr(r->csr, at), 0);

		if (v != NULL && (v->type == V_ASN1_UTF8STRING || v->type == V_ASN1_PRINTABLESTRING))
			take_text(v->value.asn1_string, r->challenge, sizeof(r->challenge));
	}
	r->self_signed = X509_REQ_verify(r->csr, X509_REQ_get0_pubkey(r->csr)) == 1;
	ERR_clear_error();
}

int scepca_read(EVP_PKEY *key, X509 *cert, const uint8_t *data, size_t len, struct scepca_req *ret)
{
	const unsigned char *p = data;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)len), *env = NULL;
	BIO *out = BIO_new(BIO_s_mem()), *plain = BIO_new(BIO_s_mem());
	struct scepca_req r = {.type = -1};
	STACK_OF(X509) *certs = NULL;
	char text[16], *d;
	int rc = -1;
	long n;

	if (cms == NULL || CMS_verify(cms, NULL, NULL, NULL, out, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) != 1)
		goto out;
	if (sk_CMS_SignerInfo_num(CMS_get0_SignerInfos(cms)) == 1) {
		CMS_SignerInfo *si = sk_CMS_SignerInfo_value(CMS_get0_SignerInfos(cms), 0);
		const ASN1_STRING *nonce = attr(si, ATTR(5), V_ASN1_OCTET_STRING);

		take_text(attr(si, ATTR(2), V_ASN1_PRINTABLESTRING), text, sizeof(text));
		r.type = atoi(text);
		take_text(attr(si, ATTR(7), V_ASN1_PRINTABLESTRING), r.tid, sizeof(r.tid));
		if (nonce != NULL && ASN1_STRING_length(nonce) == 16)
			memcpy(r.nonce, ASN1_STRING_get0_data(nonce), 16);
	}
	certs = CMS_get0_signers(cms);
	if (certs == NULL || sk_X509_num(certs) != 1)
		goto out;
	r.signer = X509_dup(sk_X509_value(certs, 0));
	env = d2i_CMS_bio(out, NULL);
	if (env == NULL || CMS_decrypt(env, key, cert, NULL, plain, CMS_BINARY) != 1)
		goto out;
	n = BIO_get_mem_data(plain, &d);
	p = (const unsigned char *)d;
	if (r.type == 20) {
		const unsigned char *q = p;
		long body;
		int tag, class;

		r.poll = (ASN1_get_object(&q, &body, &tag, &class, n) & 0x80) == 0 && tag == V_ASN1_SEQUENCE;
	} else {
		r.csr = d2i_X509_REQ(NULL, &p, n);
		if (r.csr == NULL)
			goto out;
		take_request(&r);
	}
	*ret = r;
	r = (struct scepca_req){0};
	rc = 0;
out:
	sk_X509_free(certs);
	scepca_req_free(&r);
	CMS_ContentInfo_free(cms);
	CMS_ContentInfo_free(env);
	BIO_free(out);
	BIO_free(plain);
	ERR_clear_error();
	return rc;
}

void scepca_req_free(struct scepca_req *r)
{
	X509_free(r->signer);
	X509_REQ_free(r->csr);
	*r = (struct scepca_req){0};
}

X509 *scepca_issue(EVP_PKEY *key, X509 *cert, X509_REQ *csr, long serial, int days)
{
	STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(csr);
	X509 *x = X509_new();

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400L * days);
	X509_set_subject_name(x, X509_REQ_get_subject_name(csr));
	X509_set_issuer_name(x, X509_get_subject_name(cert));
	X509_set_pubkey(x, X509_REQ_get0_pubkey(csr));
	for (int i = 0; i < sk_X509_EXTENSION_num(exts); i++)
		X509_add_ext(x, sk_X509_EXTENSION_value(exts, i), -1);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	if (X509_sign(x, key, EVP_sha256()) <= 0)
		abort();
	return x;
}

static CMS_ContentInfo *degenerate(X509 *const *certs)
{
	CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, CMS_PARTIAL | CMS_DETACHED);

	for (; cms != NULL && *certs != NULL; certs++)
		if (CMS_add1_cert(cms, *certs) != 1)
			abort();
	return cms;
}

uint8_t *scepca_certs(X509 *const *certs, size_t *ret_len)
{
	CMS_ContentInfo *cms = degenerate(certs);
	unsigned char *der = NULL;
	int len = cms != NULL ? i2d_CMS_ContentInfo(cms, &der) : -1;

	if (len <= 0)
		abort();
	CMS_ContentInfo_free(cms);
	*ret_len = (size_t)len;
	return der;
}

static void put(CMS_SignerInfo *si, const char *oid, int type, const char *text)
{
	if (text != NULL && CMS_signed_add1_attr_by_txt(si, oid, type, text, (int)strlen(text)) != 1)
		abort();
}

static void put_twice(CMS_SignerInfo *si, const char *oid, const char *text)
{
	X509_ATTRIBUTE *a = X509_ATTRIBUTE_create_by_txt(NULL, oid, V_ASN1_PRINTABLESTRING, (const unsigned char *)text, (int)strlen(text));

	if (a == NULL || X509_ATTRIBUTE_set1_data(a, V_ASN1_PRINTABLESTRING, "0", 1) != 1 || CMS_signed_add1_attr(si, a) != 1)
		abort();
	X509_ATTRIBUTE_free(a);
}

uint8_t *scepca_say(EVP_PKEY *key, X509 *cert, const struct scepca_say *say, size_t *ret_len)
{
	static const uint8_t sender[16] = "sixteen bytes ..";
	BIO *in = BIO_new(BIO_s_mem());
	CMS_ContentInfo *cms;
	CMS_SignerInfo *si;
	unsigned char *der = NULL;
	int len;

	if (say->raw != NULL) {
		BIO_write(in, say->raw, (int)say->raw_len);
	} else if (say->certs != NULL) {
		CMS_ContentInfo *inner = degenerate(say->certs), *env;
		BIO *plain = BIO_new(BIO_s_mem());
		STACK_OF(X509) *to = sk_X509_new_null();

		sk_X509_push(to, say->to);
		i2d_CMS_bio(plain, inner);
		env = CMS_encrypt(to, plain, say->cipher != NULL ? say->cipher : EVP_aes_128_cbc(), CMS_BINARY);
		if (env == NULL || i2d_CMS_bio(in, env) != 1)
			abort();
		CMS_ContentInfo_free(inner);
		CMS_ContentInfo_free(env);
		BIO_free(plain);
		sk_X509_free(to);
	}
	cms = CMS_sign(NULL, NULL, NULL, in, CMS_PARTIAL | CMS_BINARY);
	si = cms != NULL ? CMS_add1_signer(cms, cert, key, say->md != NULL ? say->md : EVP_sha256(), CMS_NOSMIMECAP) : NULL;
	if (si == NULL)
		abort();
	put(si, ATTR(2), V_ASN1_PRINTABLESTRING, say->type);
	if (say->twice)
		put_twice(si, ATTR(3), say->status);
	else
		put(si, ATTR(3), V_ASN1_PRINTABLESTRING, say->status);
	put(si, ATTR(4), V_ASN1_PRINTABLESTRING, say->fail);
	put(si, ATTR(7), V_ASN1_PRINTABLESTRING, say->tid);
	put(si, "1.3.6.1.5.5.7.24.1", V_ASN1_UTF8STRING, say->text);
	if (say->nonce != NULL && CMS_signed_add1_attr_by_txt(si, ATTR(6), V_ASN1_OCTET_STRING, say->nonce, 16) != 1)
		abort();
	if (CMS_signed_add1_attr_by_txt(si, ATTR(5), V_ASN1_OCTET_STRING, sender, 16) != 1 || CMS_final(cms, in, NULL, CMS_BINARY) != 1)
		abort();
	len = i2d_CMS_ContentInfo(cms, &der);
	if (len <= 0)
		abort();
	CMS_ContentInfo_free(cms);
	BIO_free(in);
	ERR_clear_error();
	*ret_len = (size_t)len;
	return der;
}
