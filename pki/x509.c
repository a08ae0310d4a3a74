/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "spki.h"
#include "x509.h"

#define BACKDATE_S    300 /* phones' clocks differ from ours */
#define PEM_CERTS_MAX 1024

int pki_key_create(enum pki_key_type type, EVP_PKEY **ret_key)
{
	EVP_PKEY *key;

	switch (type) {
	case PKI_RSA_2048:
		key = EVP_RSA_gen(2048);
		break;
	case PKI_RSA_3072:
		key = EVP_RSA_gen(3072);
		break;
	case PKI_RSA_4096:
		key = EVP_RSA_gen(4096);
		break;
	case PKI_EC_P256:
		key = EVP_EC_gen("P-256");
		break;
	case PKI_EC_P384:
		key = EVP_EC_gen("P-384");
		break;
	default:
		return -EINVAL;
	}
	if (key == NULL)
		return -EIO;
	*ret_key = key;
	return 0;
}

static const struct {
	const char *name, *group; /* group NULL: RSA of 'bits' */
	int bits;
	enum pki_key_type type;
} key_names[] = {
	{"rsa-2048", NULL, 2048, PKI_RSA_2048},     {"rsa-3072", NULL, 3072, PKI_RSA_3072},
	{"rsa-4096", NULL, 4096, PKI_RSA_4096},     {"ec-p256", "prime256v1", 256, PKI_EC_P256},
	{"ec-p384", "secp384r1", 384, PKI_EC_P384},
};
#define KEY_NAMES (sizeof(key_names) / sizeof(key_names[0]))

int pki_key_parse(const char *name, enum pki_key_type *ret_type)
{
	for (size_t i = 0; i < KEY_NAMES; i++)
		if (strcmp(key_names[i].name, name) == 0) {
			*ret_type = key_names[i].type;
			return 0;
		}
	return -EINVAL;
}

const char *pki_key_name(EVP_PKEY *key)
{
	bool rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
	char group[32] = "";

	if (!rsa && (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
		     EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1))
		return "other";
	for (size_t i = 0; i < KEY_NAMES; i++)
		if (rsa ? key_names[i].group == NULL && key_names[i].bits == EVP_PKEY_get_bits(key)
			: key_names[i].group != NULL && strcmp(key_names[i].group, group) == 0)
			return key_names[i].name;
	return "other";
}

bool pki_key_acceptable(EVP_PKEY *key)
{
	int bits = EVP_PKEY_get_bits(key);
	BIGNUM *e = NULL;
	char group[32];
	bool ok = false;

	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
		ok = bits >= 2048 && bits <= 4096 &&
		     EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) &&
		     BN_num_bits(e) >= 17 && BN_num_bits(e) <= 64;
		BN_free(e);
	} else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
		ok = EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
		     (strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0);
	}
	return ok;
}

bool pki_lsc_key_acceptable(EVP_PKEY *key, bool old)
{
	struct pki_spki k;
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(key, &der);
	bool ok = len > 0 && pki_spki_parse(der, (size_t)len, &k) == 0 && pki_lsc_spki_acceptable(&k, old);

	OPENSSL_free(der);
	ERR_clear_error();
	return ok;
}

static int add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	int ok;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509V3_set_ctx_nodb(&ctx);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok ? 0 : -EIO;
}

static int set_serial(X509 *cert)
{
	unsigned char raw[16];
	BIGNUM *bn;
	int ok;

	if (RAND_bytes(raw, sizeof(raw)) != 1)
		return -EIO;
	raw[0] = (raw[0] & 0x7f) | 0x40; /* positive, always 16 bytes */
	bn = BN_bin2bn(raw, sizeof(raw), NULL);
	ok = bn != NULL && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL;
	BN_free(bn);
	return ok ? 0 : -EIO;
}

/* notBefore a little ago, notAfter in 'days', but not behind the issuer's (NULL: self-signed). */
static int set_validity(X509 *cert, X509 *issuer, int64_t now, unsigned days)
{
	ASN1_TIME *from = ASN1_TIME_adj(NULL, (time_t)now, 0, -BACKDATE_S);
	ASN1_TIME *to = ASN1_TIME_adj(NULL, (time_t)now, (int)days, 0);
	const ASN1_TIME *last = issuer != NULL ? X509_get0_notAfter(issuer) : NULL;
	int rc = -EIO;

	if (from == NULL || to == NULL)
		goto out;
	if (last != NULL && ASN1_TIME_cmp_time_t(last, (time_t)now) <= 0) {
		rc = -EACCES; /* the CA has expired */
		goto out;
	}
	if (X509_set1_notBefore(cert, from) != 1 ||
	    X509_set1_notAfter(cert, last != NULL && ASN1_TIME_compare(to, last) > 0 ? last : to) !=
	            1)
		goto out;
	rc = 0;
out:
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	return rc;
}

static int set_subject(X509 *cert, const char *cn, const char *org)
{
	X509_NAME *name = X509_get_subject_name(cert);

	if (X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
	                               (const unsigned char *)cn, -1, -1, 0) != 1)
		return -EINVAL;
	if (org != NULL && X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_ASC,
	                                              (const unsigned char *)org, -1, -1, 0) != 1)
		return -EINVAL;
	return 0;
}

/* What all certificates share; public key, extensions and signature follow. */
static int begin_keyless(X509 *issuer, const char *cn, const char *org, int64_t now, unsigned days, X509 **ret_cert)
{
	X509 *cert = X509_new();
	int rc = -EIO;

	if (days == 0 || days > 36500) {
		rc = -EINVAL;
		goto out;
	}
	if (cert == NULL || X509_set_version(cert, X509_VERSION_3) != 1 || set_serial(cert) < 0)
		goto out;
	rc = set_subject(cert, cn, org);
	if (rc == 0)
		rc = set_validity(cert, issuer, now, days);
	if (rc == 0 &&
	    X509_set_issuer_name(cert, issuer != NULL ? X509_get_subject_name(issuer)
	                                              : X509_get_subject_name(cert)) != 1)
		rc = -EIO;
	if (rc < 0)
		goto out;
	*ret_cert = cert;
	cert = NULL;
out:
	X509_free(cert);
	return rc;
}

static int begin(X509 *issuer, EVP_PKEY *pub, const char *cn, const char *org, int64_t now, unsigned days, X509 **ret_cert)
{
	int rc = begin_keyless(issuer, cn, org, now, days, ret_cert);

	if (rc == 0 && X509_set_pubkey(*ret_cert, pub) != 1) {
		X509_free(*ret_cert);
		rc = -EIO;
	}
	return rc;
}

static int finish(X509 *cert, EVP_PKEY *key, int rc, X509 **ret_cert)
{
	if (rc == 0 && X509_sign(cert, key, EVP_sha256()) <= 0)
		rc = -EIO;
	if (rc == 0)
		*ret_cert = cert;
	else
		X509_free(cert);
	ERR_clear_error();
	return rc;
}

int pki_ca_issue(EVP_PKEY *key, const char *cn, const char *org, int64_t now, unsigned days,
                 X509 **ret_cert)
{
	static const struct {
		int nid;
		const char *value;
	} ext[] = {
		{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
		{NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature"},
		{NID_subject_key_identifier, "hash"},
	};
	X509 *cert = NULL;
	int rc;

	rc = begin(NULL, key, cn, org, now, days, &cert);
	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < sizeof(ext) / sizeof(ext[0]); i++)
		rc = add_ext(cert, cert, ext[i].nid, ext[i].value);
	return finish(cert, key, rc, ret_cert);
}

static int san_of(const char *const *names, size_t n, GENERAL_NAMES **ret_san)
{
	GENERAL_NAMES *san = sk_GENERAL_NAME_new_null();

	if (san == NULL)
		return -EIO;
	for (size_t i = 0; i < n; i++) {
		GENERAL_NAME *gn;
		unsigned char ip[16];
		bool is_ip = inet_pton(AF_INET, names[i], ip) == 1 ||
		             inet_pton(AF_INET6, names[i], ip) == 1;

		gn = a2i_GENERAL_NAME(NULL, NULL, NULL, is_ip ? GEN_IPADD : GEN_DNS, names[i], 0);
		if (gn == NULL || sk_GENERAL_NAME_push(san, gn) <= 0) {
			GENERAL_NAME_free(gn);
			sk_GENERAL_NAME_pop_free(san, GENERAL_NAME_free);
			return -EINVAL;
		}
	}
	*ret_san = san;
	return 0;
}

static int add_names(X509 *cert, const char *const *names, size_t n)
{
	GENERAL_NAMES *san = NULL;
	int rc = san_of(names, n, &san);

	if (rc == 0 && n > 0 && X509_add1_ext_i2d(cert, NID_subject_alt_name, san, 0, X509V3_ADD_DEFAULT) != 1)
		rc = -EIO;
	sk_GENERAL_NAME_pop_free(san, GENERAL_NAME_free);
	return rc;
}

/* Extensions by use; for an EC key nothing is ever enciphered with it. */
struct ext {
	int nid;
	const char *value;
};

static size_t use_exts(enum pki_use use, EVP_PKEY *key, struct ext ext[4])
{
	bool rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
	size_t n = 0;

	if (use == PKI_USE_CA) {
		ext[n++] = (struct ext){NID_basic_constraints, "critical,CA:TRUE,pathlen:0"};
		ext[n++] = (struct ext){NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature"};
		return n;
	}
	ext[n++] = (struct ext){NID_basic_constraints, "critical,CA:FALSE"};
	ext[n++] = (struct ext){NID_key_usage, use == PKI_USE_SIGN || !rsa
						       ? "critical,digitalSignature"
						       : "critical,digitalSignature,keyEncipherment"};
	/* clientAuth: towards other members, SIP trunks; 1.3.6.1.5.5.7.3.17: IKE, RFC 4945 */
	if (use == PKI_USE_SERVER)
		ext[n++] = (struct ext){NID_ext_key_usage, "serverAuth,clientAuth"};
	else if (use == PKI_USE_IPSEC)
		ext[n++] = (struct ext){NID_ext_key_usage, "serverAuth,clientAuth,1.3.6.1.5.5.7.3.17"};
	return n;
}

int pki_own_issue(const struct pki_ca *ca, EVP_PKEY *key, enum pki_use use, const char *cn, const char *org,
                  const char *const *names, size_t n, int64_t now, unsigned days, X509 **ret_cert)
{
	X509 *cert = NULL;
	struct ext ext[4];
	size_t exts;
	int rc = begin(ca != NULL ? ca->cert : NULL, key, cn, org, now, days, &cert);

	if (rc < 0)
		return rc;
	exts = use_exts(use, key, ext);
	for (size_t i = 0; rc == 0 && i < exts; i++)
		rc = add_ext(cert, cert, ext[i].nid, ext[i].value);
	if (rc == 0)
		rc = add_ext(cert, cert, NID_subject_key_identifier, "hash");
	if (rc == 0 && ca != NULL)
		rc = add_ext(cert, ca->cert, NID_authority_key_identifier, "keyid:always");
	if (rc == 0)
		rc = add_names(cert, names, n);
	return finish(cert, ca != NULL ? ca->key : key, rc, ret_cert);
}

int pki_own_request(EVP_PKEY *key, enum pki_use use, const char *cn, const char *org, const char *const *names,
                    size_t n, const char *challenge, X509_REQ **ret_req)
{
	STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
	X509_REQ *req = X509_REQ_new();
	X509_NAME *name = X509_NAME_new();
	GENERAL_NAMES *san = NULL;
	struct ext ext[4];
	size_t cnt = use_exts(use, key, ext);
	X509V3_CTX ctx;
	int rc = -EIO;

	X509V3_set_ctx(&ctx, NULL, NULL, req, NULL, 0);
	X509V3_set_ctx_nodb(&ctx);
	if (exts == NULL || req == NULL || name == NULL || X509_REQ_set_pubkey(req, key) != 1)
		goto out;
	rc = san_of(names, n, &san);
	if (rc == 0 && (X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC, (const unsigned char *)cn, -1,
						   -1, 0) != 1 ||
			X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_ASC,
						   (const unsigned char *)org, -1, -1, 0) != 1))
		rc = -EINVAL;
	if (rc < 0)
		goto out;
	rc = -EIO;
	for (size_t i = 0; i < cnt; i++) {
		X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, ext[i].nid, ext[i].value);

		if (e == NULL || sk_X509_EXTENSION_push(exts, e) <= 0) {
			X509_EXTENSION_free(e);
			goto out;
		}
	}
	if ((n > 0 && X509V3_add1_i2d(&exts, NID_subject_alt_name, san, 0, X509V3_ADD_APPEND) != 1) ||
	    X509_REQ_set_subject_name(req, name) != 1 || X509_REQ_add_extensions(req, exts) != 1 ||
	    (challenge != NULL && X509_REQ_add1_attr_by_NID(req, NID_pkcs9_challengePassword, MBSTRING_UTF8, (const unsigned char *)challenge,
							    (int)strlen(challenge)) != 1) ||
	    X509_REQ_sign(req, key, EVP_sha256()) <= 0)
		goto out;
	*ret_req = req;
	req = NULL;
	rc = 0;
out:
	X509_REQ_free(req);
	X509_NAME_free(name);
	sk_GENERAL_NAME_pop_free(san, GENERAL_NAME_free);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	ERR_clear_error();
	return rc;
}

static int __attribute__((format(printf, 3, 4))) refuse(char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return -EACCES;
}

int pki_own_check(STACK_OF(X509) *chain, EVP_PKEY *key, enum pki_use use, int64_t now, char *why, size_t why_size)
{
	X509 *leaf = sk_X509_value(chain, 0);
	uint32_t ku, xku;

	if (leaf == NULL)
		return refuse(why, why_size, "no certificate");
	if (X509_check_private_key(leaf, key) != 1) {
		ERR_clear_error();
		return refuse(why, why_size, "not for our key: the answer to another request?");
	}
	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *cert = sk_X509_value(chain, i), *issuer = sk_X509_value(chain, i + 1);
		const char *what = i == 0 ? "certificate" : "certificate of the chain";

		if (ASN1_TIME_cmp_time_t(X509_get0_notAfter(cert), (time_t)now) <= 0)
			return refuse(why, why_size, "%s %d: expired", what, i);
		if (ASN1_TIME_cmp_time_t(X509_get0_notBefore(cert), (time_t)now) > 0)
			return refuse(why, why_size, "%s %d: not valid yet", what, i);
		if (i > 0 && (X509_check_ca(cert) != 1 || (X509_get_key_usage(cert) & KU_KEY_CERT_SIGN) == 0))
			return refuse(why, why_size, "%s %d: is no CA's", what, i);
		if (issuer == NULL) {
			issuer = cert; /* a root, or the chain ends below one */
			if (X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(cert)) != 0) {
				if (i == 0)
					return refuse(why, why_size, "its chain is missing: issuer first behind it");
				continue;
			}
		}
		if (X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(issuer)) != 0)
			return refuse(why, why_size, "%s %d: the next one is not its issuer", what, i);
		if (X509_verify(cert, X509_get0_pubkey(issuer)) != 1) {
			ERR_clear_error();
			return refuse(why, why_size, "%s %d: its signature is not by the next one's key", what, i);
		}
	}
	ku = X509_get_key_usage(leaf);
	xku = X509_get_extended_key_usage(leaf);
	if (use == PKI_USE_CA) {
		if (X509_check_ca(leaf) != 1 || (ku & KU_KEY_CERT_SIGN) == 0)
			return refuse(why, why_size, "wrong usage: it may not issue certificates");
		return 0;
	}
	if (X509_check_ca(leaf) == 1)
		return refuse(why, why_size, "wrong usage: it is a CA's");
	if ((ku & KU_DIGITAL_SIGNATURE) == 0)
		return refuse(why, why_size, "wrong usage: digitalSignature is missing");
	if (use == PKI_USE_RA)
		return (ku & KU_KEY_ENCIPHERMENT) != 0 ? 0 : refuse(why, why_size, "wrong usage: keyEncipherment is missing");
	if (use != PKI_USE_SIGN && (xku & XKU_SSL_SERVER) == 0)
		return refuse(why, why_size, "wrong usage: serverAuth is missing");
	return 0;
}

int pki_server_issue(const struct pki_ca *ca, EVP_PKEY *key, const char *cn, const char *org,
                     const char *const *names, size_t n, int64_t now, unsigned days,
                     X509 **ret_cert)
{
	static const struct {
		int nid;
		const char *value;
	} ext[] = {
		{NID_basic_constraints, "critical,CA:FALSE"},
		{NID_key_usage, "critical,digitalSignature,keyEncipherment"},
		{NID_ext_key_usage,
	         "serverAuth,clientAuth"}, /* clientAuth: towards other members, SIP trunks */
		{NID_subject_key_identifier, "hash"},
		{NID_authority_key_identifier, "keyid:always"},
	};
	X509 *cert = NULL;
	int rc;

	rc = begin(ca->cert, key, cn, org, now, days, &cert);
	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < sizeof(ext) / sizeof(ext[0]); i++)
		rc = add_ext(cert, ca->cert, ext[i].nid, ext[i].value);
	if (rc == 0)
		rc = add_names(cert, names, n);
	return finish(cert, ca->key, rc, ret_cert);
}

int pki_lsc_issue_spki(const struct pki_ca *ca, const char *device, const struct pki_spki *key, bool old, int64_t now, unsigned days,
		       uint8_t **ret_der, size_t *ret_len)
{
	static const struct {
		int nid;
		const char *value;
	} ext[] = {
		{NID_basic_constraints, "critical,CA:FALSE"},
		{NID_key_usage, "critical,digitalSignature,keyEncipherment"},
		{NID_ext_key_usage, "serverAuth,clientAuth,1.3.6.1.5.5.7.3.5"},
		{NID_subject_key_identifier, "hash"},
		{NID_authority_key_identifier, "keyid:always"},
	};
	char uri[8 + PKI_DEVICE_MAX], org[65];
	bool app = pki_app_valid(device);
	unsigned char *der = NULL;
	X509 *cert = NULL;
	int rc, len;

	if (!app && !pki_device_valid(device))
		return -EINVAL;
	if (!pki_lsc_spki_acceptable(key, old))
		return -EACCES;
	if (X509_NAME_get_text_by_NID(X509_get_subject_name(ca->cert), NID_organizationName, org,
	                              sizeof(org)) <= 0)
		org[0] = '\0';
	rc = begin_keyless(ca->cert, device, org[0] != '\0' ? org : NULL, now, days, &cert);
	if (rc < 0)
		return rc;
	rc = pki_spki_set(cert, key);
	for (size_t i = 0; rc == 0 && i < sizeof(ext) / sizeof(ext[0]); i++)
		rc = add_ext(cert, ca->cert, ext[i].nid, app && ext[i].nid == NID_ext_key_usage ? "clientAuth" : ext[i].value);
	if (rc == 0 && !app) {
		memcpy(uri, "URI:", 4);
		memcpy(uri + 4, device, strlen(device) + 1);
		rc = add_ext(cert, ca->cert, NID_subject_alt_name, uri);
	}
	rc = finish(cert, ca->key, rc, &cert);
	if (rc < 0)
		return rc;
	len = i2d_X509(cert, &der);
	X509_free(cert);
	if (len <= 0)
		return -EIO;
	*ret_der = der;
	*ret_len = (size_t)len;
	return 0;
}

int pki_lsc_issue(const struct pki_ca *ca, const char *device, EVP_PKEY *pub, bool old, int64_t now, unsigned days, X509 **ret_cert)
{
	struct pki_spki key;
	uint8_t *spki = NULL, *der = NULL;
	int n = i2d_PUBKEY(pub, &spki), rc;
	size_t len = 0;

	if (!pki_device_valid(device) && !pki_app_valid(device))
		rc = -EINVAL;
	else if (n <= 0 || pki_spki_parse(spki, (size_t)n, &key) != 0)
		rc = -EACCES; /* of another kind, or none that can be written */
	else
		rc = pki_lsc_issue_spki(ca, device, &key, old, now, days, &der, &len);
	if (rc == 0 && pki_cert_parse(der, len, ret_cert) != 0)
		rc = -EIO;
	OPENSSL_free(der);
	OPENSSL_free(spki);
	ERR_clear_error();
	return rc;
}

int pki_csr_pubkey(const uint8_t *der, size_t len, EVP_PKEY **ret_pub)
{
	const unsigned char *p = der;
	X509_REQ *csr = NULL;
	EVP_PKEY *pub;
	int rc = -EBADMSG;

	if (len == 0 || len > PKI_DER_MAX)
		return -EBADMSG;
	csr = d2i_X509_REQ(NULL, &p, (long)len);
	if (csr == NULL || p != der + len)
		goto out;
	pub = X509_REQ_get0_pubkey(csr); /* borrowed */
	if (pub == NULL)
		goto out;
	rc = -EACCES;
	if (!pki_key_acceptable(pub) || X509_REQ_verify(csr, pub) != 1)
		goto out;
	EVP_PKEY_up_ref(pub);
	*ret_pub = pub;
	rc = 0;
out:
	X509_REQ_free(csr);
	ERR_clear_error();
	return rc;
}

int pki_cert_parse(const uint8_t *der, size_t len, X509 **ret_cert)
{
	const unsigned char *p = der;
	X509 *cert = NULL;

	if (len > 0 && len <= PKI_DER_MAX)
		cert = d2i_X509(NULL, &p, (long)len);
	/* X509_get0_pubkey: what has no usable key is of no use to anyone. */
	if (cert == NULL || p != der + len || X509_get0_pubkey(cert) == NULL) {
		X509_free(cert);
		ERR_clear_error();
		return -EBADMSG;
	}
	*ret_cert = cert;
	return 0;
}

int pki_no_password(char *buf, int size, int rw, void *ctx)
{
	(void)buf, (void)size, (void)rw, (void)ctx;
	return -1;
}

int pki_pem_certs(const uint8_t *pem, size_t len, STACK_OF(X509) * *ret_certs)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	BIO *bio = len <= INT32_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	int rc = -EBADMSG;
	X509 *cert;

	ERR_clear_error();
	while (bio != NULL && certs != NULL && sk_X509_num(certs) < PEM_CERTS_MAX) {
		cert = PEM_read_bio_X509(bio, NULL, pki_no_password, NULL);
		if (cert == NULL) {
			if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE &&
			    sk_X509_num(certs) > 0)
				rc = 0;
			break;
		}
		if (sk_X509_push(certs, cert) <= 0) {
			X509_free(cert);
			break;
		}
	}
	BIO_free(bio);
	ERR_clear_error();
	if (rc == 0)
		*ret_certs = certs;
	else
		sk_X509_pop_free(certs, X509_free);
	return rc;
}

bool pki_device_valid(const char *name)
{
	if (strlen(name) != PKI_DEVICE_MAX - 1 || strncmp(name, "SEP", 3) != 0)
		return false;
	for (const char *p = name + 3; *p != '\0'; p++)
		if (!(*p >= '0' && *p <= '9') && !(*p >= 'A' && *p <= 'F'))
			return false;
	return true;
}

bool pki_app_valid(const char *name)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t user = strspn(name, set), inst;

	if (user < 1 || user > 31 || name[user] != '/')
		return false;
	inst = strspn(name + user + 1, set);
	return inst >= 1 && inst <= 31 && name[user + 1 + inst] == '\0';
}

int pki_name_device(X509 *cert, char ret_name[PKI_DEVICE_MAX])
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	char cn[65], *device;
	const ASN1_STRING *s;
	int len, type;

	if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return -EACCES;
	s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
	len = ASN1_STRING_length(s);
	type = ASN1_STRING_type(s);
	if (type != V_ASN1_UTF8STRING && type != V_ASN1_PRINTABLESTRING &&
	    type != V_ASN1_IA5STRING && type != V_ASN1_T61STRING)
		return -EACCES;
	if (len < PKI_DEVICE_MAX - 1 || len >= (int)sizeof(cn))
		return -EACCES;
	memcpy(cn, ASN1_STRING_get0_data(s), (size_t)len);
	cn[len] = '\0';
	if (strlen(cn) != (size_t)len)
		return -EACCES; /* a NUL inside */
	device = cn + len - (PKI_DEVICE_MAX - 1);
	if (!pki_device_valid(device))
		return -EACCES;
	if (device != cn) {
		/* CP-<model>-SEP<MAC>, the model not empty */
		if (len < 3 + 1 + 1 + PKI_DEVICE_MAX - 1 || strncmp(cn, "CP-", 3) != 0 ||
		    device[-1] != '-')
			return -EACCES;
		for (const char *p = cn + 3; p < device - 1; p++)
			if (!isascii(*p) ||
			    (!isalnum((unsigned char)*p) && strchr("+-._", *p) == NULL))
				return -EACCES;
	}
	memcpy(ret_name, device, PKI_DEVICE_MAX);
	return 0;
}

int pki_phone_store(STACK_OF(X509) * trust, bool legacy, X509_STORE **ret_store)
{
	X509_STORE *store = X509_STORE_new();
	X509_VERIFY_PARAM *param = store != NULL ? X509_STORE_get0_param(store) : NULL;
	int rc = -EIO;

	if (param == NULL)
		goto out;
	for (int i = 0; i < sk_X509_num(trust); i++) {
		/* A phone's own certificate must not become an anchor by partial chains. */
		if (X509_check_ca(sk_X509_value(trust, i)) != 1) {
			rc = -EACCES;
			goto out;
		}
		if (X509_STORE_add_cert(store, sk_X509_value(trust, i)) != 1)
			goto out;
	}
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_depth(param, 4);
	X509_VERIFY_PARAM_set_auth_level(param, legacy ? 0 : 2);
	if (X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT) != 1)
		goto out;
	*ret_store = store;
	store = NULL;
	rc = 0;
out:
	X509_STORE_free(store);
	ERR_clear_error();
	return rc;
}

int pki_phone_verify(X509_STORE *store, X509 *cert, STACK_OF(X509) * chain, int64_t now,
                     int *ret_error)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int error = X509_V_ERR_UNSPECIFIED, ok = 0;

	if (ctx != NULL && X509_STORE_CTX_init(ctx, store, cert, chain) == 1) {
		X509_STORE_CTX_set_time(ctx, 0, (time_t)now);
		ok = X509_verify_cert(ctx) == 1;
		error = X509_STORE_CTX_get_error(ctx);
		if (ok && error != X509_V_OK)
			ok = 0;
		if (!ok && error == X509_V_OK)
			error = X509_V_ERR_UNSPECIFIED;
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	if (ret_error != NULL)
		*ret_error = error;
	return ok ? 0 : -EACCES;
}

const char *pki_verify_word(int error)
{
	switch (error) {
	case X509_V_OK:
		return "ok";
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return "expired";
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return "not-yet-valid";
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_CHAIN_TOO_LONG:
	case X509_V_ERR_CERT_UNTRUSTED:
		return "untrusted";
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
	case X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE:
		return "bad-signature";
	case X509_V_ERR_INVALID_PURPOSE:
	case X509_V_ERR_INVALID_CA:
	case X509_V_ERR_PATH_LENGTH_EXCEEDED:
		return "wrong-purpose";
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
	case X509_V_ERR_CA_MD_TOO_WEAK:
		return "weak";
	case X509_V_ERR_CERT_REVOKED:
		return "revoked";
	default:
		return "invalid";
	}
}

int pki_fingerprint(const X509 *cert, uint8_t ret_sha256[32])
{
	unsigned int n = 32;

	return X509_digest(cert, EVP_sha256(), ret_sha256, &n) == 1 && n == 32 ? 0 : -EIO;
}
