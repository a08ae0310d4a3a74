/* SPDX-License-Identifier: BSD-3-Clause */
#include "scep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/asn1t.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include "refuse.h"
#include "x509.h"

#define OID_TYPE      "2.16.840.1.113733.1.9.2"
#define OID_STATUS    "2.16.840.1.113733.1.9.3"
#define OID_FAIL      "2.16.840.1.113733.1.9.4"
#define OID_SENDER    "2.16.840.1.113733.1.9.5"
#define OID_RECIPIENT "2.16.840.1.113733.1.9.6"
#define OID_TID       "2.16.840.1.113733.1.9.7"
#define OID_FAIL_TEXT "1.3.6.1.5.5.7.24.1"

/* What CertPoll asks about. */
typedef struct {
	X509_NAME *issuer, *subject;
} SCEP_ISSUER_AND_SUBJECT;

ASN1_SEQUENCE(SCEP_ISSUER_AND_SUBJECT) = {
	ASN1_SIMPLE(SCEP_ISSUER_AND_SUBJECT, issuer, X509_NAME),
	ASN1_SIMPLE(SCEP_ISSUER_AND_SUBJECT, subject, X509_NAME),
} static_ASN1_SEQUENCE_END(SCEP_ISSUER_AND_SUBJECT)

unsigned pki_scep_caps(const uint8_t *text, size_t len)
{
	static const struct {
		const char *word;
		unsigned caps;
	} words[] = {
		{"AES", PKI_SCEP_CAP_AES},	   {"DES3", PKI_SCEP_CAP_DES3},	    {"POSTPKIOperation", PKI_SCEP_CAP_POST},
		{"Renewal", PKI_SCEP_CAP_RENEWAL}, {"SHA-1", PKI_SCEP_CAP_SHA1},    {"SHA-256", PKI_SCEP_CAP_SHA256},
		{"SHA-512", PKI_SCEP_CAP_SHA512},  {"SCEPStandard", PKI_SCEP_CAP_AES | PKI_SCEP_CAP_POST | PKI_SCEP_CAP_SHA256},
	};
	unsigned caps = 0;

	for (size_t at = 0; at < len;) {
		size_t n = 0;

		while (at + n < len && text[at + n] > ' ')
			n++;
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strlen(words[i].word) == n && strncasecmp(words[i].word, (const char *)text + at, n) == 0)
				caps |= words[i].caps;
		at += n + 1;
	}
	return caps;
}

/* --- whom we talk to --- */

void pki_scep_ca_fini(struct pki_scep_ca *ca)
{
	sk_X509_free(ca->signers);
	sk_X509_pop_free(ca->certs, X509_free);
	*ca = (struct pki_scep_ca){0};
}

/* Certificates of one DER certificate, or of a degenerate SignedData. */
static int take_certs(OSSL_LIB_CTX *lib, const uint8_t *data, size_t len, STACK_OF(X509) **ret)
{
	CMS_ContentInfo *cms = CMS_ContentInfo_new_ex(lib, NULL);
	STACK_OF(X509) *certs = NULL;
	const unsigned char *p = data;
	X509 *one = NULL;
	int rc = -EBADMSG;

	if (len == 0 || len > PKI_SCEP_MSG_MAX)
		goto out;
	if (pki_cert_parse(data, len, &one) == 0) {
		certs = sk_X509_new_null();
		if (certs == NULL || sk_X509_push(certs, one) <= 0) {
			X509_free(one);
			rc = -ENOMEM;
			goto out;
		}
	} else {
		if (cms == NULL || d2i_CMS_ContentInfo(&cms, &p, (long)len) == NULL || p != data + len ||
		    OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed)
			goto out;
		certs = CMS_get1_certs(cms);
	}
	if (certs == NULL || sk_X509_num(certs) == 0 || sk_X509_num(certs) > PKI_SCEP_CERTS_MAX)
		goto out;
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (X509_get0_pubkey(sk_X509_value(certs, i)) == NULL)
			goto out;
	*ret = certs;
	certs = NULL;
	rc = 0;
out:
	CMS_ContentInfo_free(cms);
	sk_X509_pop_free(certs, X509_free);
	ERR_clear_error();
	return rc;
}

static bool valid_at(const X509 *cert, int64_t now)
{
	return ASN1_TIME_cmp_time_t(X509_get0_notBefore(cert), (time_t)now) <= 0 && ASN1_TIME_cmp_time_t(X509_get0_notAfter(cert), (time_t)now) > 0;
}

/*
 * A registration authority of this CA: the operator says which. What the CA issues for anybody, phones first, has the usages that one has,
 * and GetCACert comes over plain HTTP: without the pin whoever holds any certificate of the CA could stand in the middle.
 */
static bool is_ra(X509 *cert, X509 *ca, const uint8_t (*ra)[32], size_t ra_cnt, int64_t now)
{
	char device[PKI_DEVICE_MAX];
	uint8_t fp[32];
	size_t i = 0;
	bool ok;

	if (pki_fingerprint(cert, fp) < 0)
		return false;
	while (i < ra_cnt && memcmp(fp, ra[i], sizeof(fp)) != 0)
		i++;
	ok = i < ra_cnt && pki_name_device(cert, device) < 0 && X509_cmp(cert, ca) != 0 && valid_at(cert, now) && X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(ca)) == 0 &&
		  X509_verify(cert, X509_get0_pubkey(ca)) == 1 && X509_check_ca(cert) != 1;

	ERR_clear_error();
	return ok;
}

static bool is_rsa(const X509 *cert)
{
	return EVP_PKEY_get_base_id(X509_get0_pubkey(cert)) == EVP_PKEY_RSA;
}

int pki_scep_ca_parse(const uint8_t *data, size_t len, const uint8_t pin[32], const uint8_t (*ra)[32], size_t ra_cnt, int64_t now,
		      struct pki_scep_ca *ret, char *why, size_t size)
{
	struct pki_scep_ca ca = {0};
	size_t found = 0;
	uint8_t fp[32];
	int rc = take_certs(NULL, data, len, &ca.certs);

	if (rc < 0)
		return pki_refuse(why, size, rc, "what GetCACert answers are no certificates");
	for (int i = 0; i < sk_X509_num(ca.certs) && ca.ca == NULL; i++)
		if (pki_fingerprint(sk_X509_value(ca.certs, i), fp) == 0 && memcmp(fp, pin, 32) == 0)
			ca.ca = sk_X509_value(ca.certs, i);
	if (ca.ca == NULL)
		rc = pki_refuse(why, size, -EACCES, "GetCACert has no certificate with the SHA-256 of enrol.scep.ca_sha256");
	else if (X509_check_ca(ca.ca) != 1)
		rc = pki_refuse(why, size, -EACCES, "the pinned certificate is no CA's");
	else if (!valid_at(ca.ca, now))
		rc = pki_refuse(why, size, -EACCES, "the CA's certificate is not valid now");
	else if ((ca.signers = sk_X509_new_null()) == NULL || sk_X509_push(ca.signers, ca.ca) <= 0)
		rc = pki_refuse(why, size, -ENOMEM, "no memory");
	for (int i = 0; rc == 0 && i < sk_X509_num(ca.certs); i++) {
		X509 *cert = sk_X509_value(ca.certs, i);
		uint32_t ku;

		if (!is_ra(cert, ca.ca, ra, ra_cnt, now))
			continue;
		found++;
		ku = X509_get_key_usage(cert); /* all bits where there is no such extension */
		if ((ku & KU_DIGITAL_SIGNATURE) != 0 && sk_X509_push(ca.signers, cert) <= 0)
			rc = pki_refuse(why, size, -ENOMEM, "no memory");
		if ((ku & KU_KEY_ENCIPHERMENT) != 0 && is_rsa(cert) && ca.to == NULL)
			ca.to = cert;
	}
	if (rc == 0 && ra_cnt > 0 && found == 0)
		rc = pki_refuse(why, size, -EACCES, "GetCACert has no valid certificate of the CA, and no phone's, with a SHA-256 of "
						       "enrol.scep.ra_sha256");
	if (rc == 0 && ca.to == NULL)
		ca.to = ca.ca;
	if (rc == 0 && !is_rsa(ca.to))
		rc = pki_refuse(why, size, -EACCES, "the CA has no RSA key, and SCEP encrypts to RSA keys only");
	if (rc < 0)
		pki_scep_ca_fini(&ca);
	else
		*ret = ca;
	ERR_clear_error();
	return rc;
}

/* --- requests --- */

int pki_scep_tid(EVP_PKEY *pub, char ret[PKI_SCEP_TID_MAX])
{
	unsigned char *der = NULL;
	uint8_t md[32];
	int len = i2d_PUBKEY(pub, &der);
	int ok = len > 0 && EVP_Digest(der, (size_t)len, md, NULL, EVP_sha256(), NULL) == 1;

	OPENSSL_free(der);
	for (int i = 0; ok && i < 32; i++)
		snprintf(ret + 2 * i, 3, "%02X", md[i]);
	ERR_clear_error();
	return ok ? 0 : -EIO;
}

static int add_ext(STACK_OF(X509_EXTENSION) *exts, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);

	if (e != NULL && sk_X509_EXTENSION_push(exts, e) > 0)
		return 0;
	X509_EXTENSION_free(e);
	return -EIO;
}

int pki_scep_request(EVP_PKEY *ra, const char *device, const char *org, EVP_PKEY *pub, bool old, const char *challenge, X509_REQ **ret)
{
	static const struct {
		int nid;
		const char *value;
	} list[] = {
		{NID_basic_constraints, "critical,CA:FALSE"},
		{NID_key_usage, "critical,digitalSignature,keyEncipherment"},
		{NID_ext_key_usage, "serverAuth,clientAuth,1.3.6.1.5.5.7.3.5"},
	};
	STACK_OF(X509_EXTENSION) *exts;
	X509_REQ *req;
	X509_NAME *name;
	X509V3_CTX ctx;
	char uri[8 + PKI_DEVICE_MAX];
	int rc = 0;

	if (!pki_device_valid(device))
		return -EINVAL;
	if (!pki_lsc_key_acceptable(pub, old))
		return -EACCES;
	exts = sk_X509_EXTENSION_new_null();
	req = X509_REQ_new();
	X509V3_set_ctx(&ctx, NULL, NULL, req, NULL, 0);
	X509V3_set_ctx_nodb(&ctx);
	snprintf(uri, sizeof(uri), "URI:%s", device);
	if (exts == NULL || req == NULL || X509_REQ_set_version(req, 0) != 1 || X509_REQ_set_pubkey(req, pub) != 1)
		rc = -EIO;
	name = rc == 0 ? X509_REQ_get_subject_name(req) : NULL;
	if (rc == 0 && (X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC, (const unsigned char *)device, -1, -1, 0) != 1 ||
			(org != NULL && X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_ASC, (const unsigned char *)org, -1, -1, 0) != 1)))
		rc = -EIO;
	for (size_t i = 0; rc == 0 && i < sizeof(list) / sizeof(list[0]); i++)
		rc = add_ext(exts, &ctx, list[i].nid, list[i].value);
	if (rc == 0)
		rc = add_ext(exts, &ctx, NID_subject_alt_name, uri);
	if (rc == 0 && X509_REQ_add_extensions(req, exts) != 1)
		rc = -EIO;
	if (rc == 0 && challenge != NULL &&
	    X509_REQ_add1_attr_by_NID(req, NID_pkcs9_challengePassword, MBSTRING_UTF8, (const unsigned char *)challenge, (int)strlen(challenge)) != 1)
		rc = -EIO;
	if (rc == 0 && X509_REQ_sign(req, ra, EVP_sha256()) <= 0)
		rc = -EIO;
	if (rc == 0)
		*ret = req;
	else
		X509_REQ_free(req);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	ERR_clear_error();
	return rc;
}

/* --- messages to the CA --- */

static BIO *payload(const struct pki_scep_ca *ca, const struct pki_scep_msg *m)
{
	SCEP_ISSUER_AND_SUBJECT is = {0};
	unsigned char *der = NULL;
	BIO *bio = NULL;
	int len;

	if (m->type == PKI_SCEP_CERTPOLL) {
		is.issuer = X509_NAME_dup(X509_get_subject_name(ca->ca));
		is.subject = X509_NAME_dup(X509_REQ_get_subject_name(m->req));
		len = is.issuer != NULL && is.subject != NULL ? ASN1_item_i2d((const ASN1_VALUE *)&is, &der, ASN1_ITEM_rptr(SCEP_ISSUER_AND_SUBJECT)) :
								-1;
		X509_NAME_free(is.issuer);
		X509_NAME_free(is.subject);
	} else {
		len = i2d_X509_REQ(m->req, &der);
	}
	if (len > 0 && (bio = BIO_new(BIO_s_mem())) != NULL && BIO_write(bio, der, len) != len) {
		BIO_free(bio);
		bio = NULL;
	}
	OPENSSL_clear_free(der, len > 0 ? (size_t)len : 0); /* the password is in it */
	return bio;
}

static int put_attr(CMS_SignerInfo *si, const char *oid, int type, const void *value, int len)
{
	return CMS_signed_add1_attr_by_txt(si, oid, type, value, len) == 1;
}

int pki_scep_build(const struct pki_scep_ca *ca, EVP_PKEY *key, X509 *cert, const struct pki_scep_msg *m, uint8_t **ret_der, size_t *ret_len,
		   char *why, size_t size)
{
	const EVP_CIPHER *cipher = (m->caps & PKI_SCEP_CAP_AES) != 0 ? EVP_aes_128_cbc() : m->old ? EVP_des_ede3_cbc() : NULL;
	const EVP_MD *md = (m->caps & PKI_SCEP_CAP_SHA256) != 0 ? EVP_sha256() : (m->caps & PKI_SCEP_CAP_SHA512) != 0 ? EVP_sha512() : m->old ? EVP_sha1() : NULL;
	CMS_ContentInfo *env = NULL, *cms = NULL;
	STACK_OF(X509) *to = sk_X509_new_null();
	BIO *plain = payload(ca, m), *inner = BIO_new(BIO_s_mem());
	CMS_SignerInfo *si;
	unsigned char *der = NULL;
	char type[8];
	int len, rc = -EIO;

	if (cipher == NULL || md == NULL) {
		rc = pki_refuse(why, size, -EACCES, "the CA says that it knows no %s: enrol.scep.old_crypto would allow what it knows",
				cipher == NULL ? "AES" : "SHA-256");
		goto out;
	}
	snprintf(type, sizeof(type), "%d", (int)m->type);
	if (to == NULL || plain == NULL || inner == NULL || sk_X509_push(to, ca->to) <= 0)
		goto out;
	env = CMS_encrypt(to, plain, cipher, CMS_BINARY);
	if (env == NULL || i2d_CMS_bio(inner, env) != 1)
		goto out;
	cms = CMS_sign(NULL, NULL, NULL, inner, CMS_PARTIAL | CMS_BINARY);
	si = cms != NULL ? CMS_add1_signer(cms, cert, key, md, CMS_NOSMIMECAP) : NULL;
	if (si == NULL || !put_attr(si, OID_TID, V_ASN1_PRINTABLESTRING, m->tid, (int)strlen(m->tid)) || !put_attr(si, OID_TYPE, V_ASN1_PRINTABLESTRING, type, (int)strlen(type)) ||
	    !put_attr(si, OID_SENDER, V_ASN1_OCTET_STRING, m->nonce, PKI_SCEP_NONCE) || CMS_final(cms, inner, NULL, CMS_BINARY) != 1)
		goto out;
	len = i2d_CMS_ContentInfo(cms, &der);
	if (len <= 0)
		goto out;
	*ret_der = der;
	*ret_len = (size_t)len;
	rc = 0;
out:
	if (rc == -EIO)
		pki_refuse(why, size, rc, "no message could be made");
	CMS_ContentInfo_free(env);
	CMS_ContentInfo_free(cms);
	sk_X509_free(to);
	BIO_free(plain);
	BIO_free(inner);
	ERR_clear_error();
	return rc;
}

/* --- answers --- */

void pki_scep_answer_fini(struct pki_scep_answer *a)
{
	sk_X509_pop_free(a->certs, X509_free);
	*a = (struct pki_scep_answer){0};
}

const char *pki_scep_fail_text(int fail)
{
	switch (fail) {
	case 0: return "badAlg: it does not know an algorithm that we used";
	case 1: return "badMessageCheck: it could not verify our signature: it must know our registration authority";
	case 2: return "badRequest: wrong challenge password, or a name that it has issued for or does not allow";
	case 3: return "badTime: our clock or its clock is wrong";
	case 4: return "badCertId: it knows no request of ours that waits";
	default: return "without a reason";
	}
}

/* The one value of the one attribute of this kind, NULL: none, or more. */
static const ASN1_STRING *get_attr(const CMS_SignerInfo *si, const char *oid, int type)
{
	ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
	const ASN1_STRING *s = obj != NULL ? CMS_signed_get0_data_by_OBJ(si, obj, -3, type) : NULL;

	ASN1_OBJECT_free(obj);
	return s;
}

static bool is_bytes(const ASN1_STRING *s, const void *p, size_t len)
{
	return s != NULL && (size_t)ASN1_STRING_length(s) == len && memcmp(ASN1_STRING_get0_data(s), p, len) == 0;
}

/* A number of one or two digits. */
static int number(const ASN1_STRING *s)
{
	const uint8_t *p = s != NULL ? ASN1_STRING_get0_data(s) : NULL;
	int len = s != NULL ? ASN1_STRING_length(s) : 0, v = 0;

	if (len < 1 || len > 2)
		return -1;
	for (int i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = v * 10 + p[i] - '0';
	}
	return v;
}

static bool digest_allowed(CMS_SignerInfo *si, bool old)
{
	X509_ALGOR *md = NULL;
	const ASN1_OBJECT *obj;
	int nid;

	CMS_SignerInfo_get0_algs(si, NULL, NULL, &md, NULL);
	X509_ALGOR_get0(&obj, NULL, NULL, md);
	nid = OBJ_obj2nid(obj);
	return nid == NID_sha256 || nid == NID_sha384 || nid == NID_sha512 || (old && nid == NID_sha1);
}

/* One step into or over an element of DER: its content. */
static bool step(const uint8_t **p, const uint8_t *end, int tag, int class, const uint8_t **ret_content, const uint8_t **ret_end)
{
	const unsigned char *q = *p;
	long len;
	int got, got_class, rc = ASN1_get_object(&q, &len, &got, &got_class, end - *p);

	if ((rc & 0x80) != 0 || (rc & 1) != 0 || len < 0 || len > end - q || (tag >= 0 && (got != tag || got_class != class)))
		return false;
	if (ret_content != NULL) {
		*ret_content = q;
		*ret_end = q + len;
	}
	*p = q + len;
	return true;
}

/* The content cipher of EnvelopedData, which OpenSSL tells nobody. 'der' as OpenSSL writes it. NID_undef: not found. */
static int cipher_of(const uint8_t *der, size_t len)
{
	const uint8_t *p = der, *end = der + len, *in, *in_end;
	ASN1_OBJECT *obj = NULL;
	int nid = NID_undef;

	if (!step(&p, end, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL, &in, &in_end) || !step(&in, in_end, V_ASN1_OBJECT, V_ASN1_UNIVERSAL, NULL, NULL) ||
	    !step(&in, in_end, 0, V_ASN1_CONTEXT_SPECIFIC, &p, &end) || !step(&p, end, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL, &in, &in_end) ||
	    !step(&in, in_end, V_ASN1_INTEGER, V_ASN1_UNIVERSAL, NULL, NULL))
		return NID_undef;
	p = in;
	if (!step(&in, in_end, V_ASN1_SET, V_ASN1_UNIVERSAL, NULL, NULL)) { /* originatorInfo comes first, perhaps */
		in = p;
		if (!step(&in, in_end, 0, V_ASN1_CONTEXT_SPECIFIC, NULL, NULL) || !step(&in, in_end, V_ASN1_SET, V_ASN1_UNIVERSAL, NULL, NULL))
			return NID_undef;
	}
	if (!step(&in, in_end, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL, &p, &end) || !step(&p, end, V_ASN1_OBJECT, V_ASN1_UNIVERSAL, NULL, NULL) ||
	    !step(&p, end, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL, &in, &in_end))
		return NID_undef;
	if (d2i_ASN1_OBJECT(&obj, &in, in_end - in) != NULL)
		nid = OBJ_obj2nid(obj);
	ASN1_OBJECT_free(obj);
	return nid;
}

static bool cipher_allowed(int nid, bool old)
{
	return nid == NID_aes_128_cbc || nid == NID_aes_192_cbc || nid == NID_aes_256_cbc ||
	       (old && (nid == NID_des_ede3_cbc || nid == NID_des_cbc));
}

/* SUCCESS: the certificates inside. */
static int open_envelope(EVP_PKEY *key, X509 *cert, bool old, OSSL_LIB_CTX *lib, const uint8_t *data, size_t len, STACK_OF(X509) **ret, char *why,
			 size_t size)
{
	CMS_ContentInfo *env = CMS_ContentInfo_new_ex(lib, NULL);
	BIO *out = BIO_new(BIO_s_mem());
	const unsigned char *p = data;
	unsigned char *der = NULL;
	char *plain;
	long n;
	int nid, der_len, rc = 0;

	if (env == NULL || out == NULL || d2i_CMS_ContentInfo(&env, &p, (long)len) == NULL || p != data + len ||
	    OBJ_obj2nid(CMS_get0_type(env)) != NID_pkcs7_enveloped) {
		rc = pki_refuse(why, size, -EBADMSG, "what is in the CA's answer is not encrypted to anybody");
		goto out;
	}
	der_len = i2d_CMS_ContentInfo(env, &der);
	nid = der_len > 0 ? cipher_of(der, (size_t)der_len) : NID_undef;
	if (!cipher_allowed(nid, old)) {
		const char *name = nid != NID_undef ? OBJ_nid2sn(nid) : NULL;

		rc = pki_refuse(why, size, -EACCES, "the CA's answer is encrypted with %s%s", name != NULL ? name : "something unknown",
				nid == NID_des_cbc || nid == NID_des_ede3_cbc ? ": enrol.scep.old_crypto would allow that" : "");
		goto out;
	}
	if (CMS_decrypt(env, key, cert, NULL, out, CMS_BINARY | CMS_DEBUG_DECRYPT) != 1) {
		rc = pki_refuse(why, size, -EACCES, "the CA's answer is not encrypted to us%s",
				nid == NID_des_cbc ? ", or its DES is not to be had here" : "");
		goto out;
	}
	n = BIO_get_mem_data(out, &plain);
	rc = n > 0 ? take_certs(lib, (const uint8_t *)plain, (size_t)n, ret) : -EBADMSG;
	if (rc < 0)
		pki_refuse(why, size, rc, "there is no certificate in the CA's answer");
out:
	OPENSSL_free(der);
	CMS_ContentInfo_free(env);
	BIO_free(out);
	ERR_clear_error();
	return rc;
}

static void take_text(const ASN1_STRING *s, char *ret, size_t size)
{
	size_t n = 0;

	for (int i = 0; s != NULL && i < ASN1_STRING_length(s) && n + 1 < size; i++) {
		uint8_t c = ASN1_STRING_get0_data(s)[i];

		ret[n++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	ret[n] = '\0';
}

int pki_scep_open(const struct pki_scep_ca *ca, EVP_PKEY *key, X509 *cert, const struct pki_scep_msg *sent, OSSL_LIB_CTX *lib,
		  const uint8_t *data, size_t len, struct pki_scep_answer *ret, char *why, size_t size)
{
	CMS_ContentInfo *cms = CMS_ContentInfo_new_ex(lib, NULL);
	struct pki_scep_answer a = {.fail = -1};
	BIO *out = BIO_new(BIO_s_mem()), *empty = NULL;
	const unsigned char *p = data;
	ASN1_OCTET_STRING **content;
	CMS_SignerInfo *si;
	char *inner;
	long n;
	int rc;

	if (cms == NULL || out == NULL) {
		rc = pki_refuse(why, size, -ENOMEM, "no memory");
		goto out;
	}
	if (len == 0 || len > PKI_SCEP_MSG_MAX || d2i_CMS_ContentInfo(&cms, &p, (long)len) == NULL || p != data + len ||
	    OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed || sk_CMS_SignerInfo_num(CMS_get0_SignerInfos(cms)) != 1) {
		rc = pki_refuse(why, size, -EBADMSG, "what the CA answers is no SCEP message");
		goto out;
	}
	si = sk_CMS_SignerInfo_value(CMS_get0_SignerInfos(cms), 0);
	if (!digest_allowed(si, sent->old)) {
		rc = pki_refuse(why, size, -EACCES, "the CA signs its answers with an old hash: enrol.scep.old_crypto would allow SHA-1");
		goto out;
	}
	content = CMS_get0_content(cms);
	if (content == NULL || *content == NULL) /* PENDING and FAILURE carry nothing */
		empty = BIO_new_mem_buf("", 0);
	/* Certificates in the message count for nothing: who may sign is known. */
	if (CMS_verify(cms, ca->signers, NULL, empty, out, CMS_NO_SIGNER_CERT_VERIFY | CMS_NOINTERN | CMS_BINARY) != 1) {
		rc = pki_refuse(why, size, -EACCES, "the answer's signature is not the CA's");
		goto out;
	}
	if (number(get_attr(si, OID_TYPE, V_ASN1_PRINTABLESTRING)) != PKI_SCEP_CERTREP)
		rc = pki_refuse(why, size, -EACCES, "the CA's message is no answer");
	else if (!is_bytes(get_attr(si, OID_TID, V_ASN1_PRINTABLESTRING), sent->tid, strlen(sent->tid)))
		rc = pki_refuse(why, size, -EACCES, "the CA answers another transaction");
	else if (!is_bytes(get_attr(si, OID_RECIPIENT, V_ASN1_OCTET_STRING), sent->nonce, PKI_SCEP_NONCE))
		rc = pki_refuse(why, size, -EACCES, "the CA answers another message: the nonce is not ours");
	else
		rc = 0;
	if (rc < 0)
		goto out;
	switch (number(get_attr(si, OID_STATUS, V_ASN1_PRINTABLESTRING))) {
	case PKI_SCEP_SUCCESS:
		a.status = PKI_SCEP_SUCCESS;
		n = BIO_get_mem_data(out, &inner);
		rc = n > 0 ? open_envelope(key, cert, sent->old, lib, (const uint8_t *)inner, (size_t)n, &a.certs, why, size) :
			     pki_refuse(why, size, -EBADMSG, "the CA says success and sends no certificate");
		break;
	case PKI_SCEP_FAILURE:
		a.status = PKI_SCEP_FAILURE;
		a.fail = number(get_attr(si, OID_FAIL, V_ASN1_PRINTABLESTRING));
		take_text(get_attr(si, OID_FAIL_TEXT, V_ASN1_UTF8STRING), a.text, sizeof(a.text));
		break;
	case PKI_SCEP_PENDING:
		a.status = PKI_SCEP_PENDING;
		break;
	default:
		rc = pki_refuse(why, size, -EBADMSG, "the CA's answer says neither success nor failure");
	}
out:
	if (rc == 0)
		*ret = a;
	BIO_free(out);
	BIO_free(empty);
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	return rc;
}

X509 *pki_scep_find(STACK_OF(X509) *certs, EVP_PKEY *pub)
{
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (EVP_PKEY_eq(X509_get0_pubkey(sk_X509_value(certs, i)), pub) == 1)
			return sk_X509_value(certs, i);
	ERR_clear_error();
	return NULL;
}
