/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "refuse.h"
#include "upload.h"
#include "x509.h"

#define NAME_LIMIT   256  /* bytes of issuer, subject, serial number: 004c:CT-08, CT-18 */
#define SIG_LIMIT    1024
#define CHAIN_MAX    8    /* certificates from a leaf to its root */

/* --- words --- */

json_t *cp_upload_pem(X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	json_t *ret = NULL;
	char *data;
	long len;

	if (bio != NULL && PEM_write_bio_X509(bio, cert) == 1 && (len = BIO_get_mem_data(bio, &data)) > 0)
		ret = json_stringn(data, (size_t)len);
	BIO_free(bio);
	return ret;
}

void cp_upload_hex(const uint8_t *data, size_t len, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		ret[2 * i] = digits[data[i] >> 4];
		ret[2 * i + 1] = digits[data[i] & 15];
	}
	ret[2 * len] = '\0';
}

/* Bytes of others as text: what is not printable ASCII becomes \xNN. */
static void quote(const uint8_t *data, size_t len, char *buf, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 5 < size; i++) {
		if (data[i] >= 0x20 && data[i] < 0x7f && data[i] != '\\')
			buf[n++] = (char)data[i];
		else
			n += (size_t)snprintf(buf + n, size - n, "\\x%02x", data[i]);
	}
	buf[n] = '\0';
}

/* RFC 2253's text, escaped to ASCII. */
static void long_name(const X509_NAME *name, char *buf, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long len;

	buf[0] = '\0';
	if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0 && (len = BIO_get_mem_data(bio, &data)) > 0)
		quote((const uint8_t *)data, (size_t)len, buf, size);
	BIO_free(bio);
	ERR_clear_error();
}

static const char *short_name(const X509_NAME *name, char *buf, size_t size)
{
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	unsigned char *utf8 = NULL;
	int len = at < 0 ? -1 : ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));

	if (len > 0)
		quote(utf8, (size_t)len, buf, size);
	else
		long_name(name, buf, size);
	OPENSSL_free(utf8);
	ERR_clear_error();
	return buf;
}

const char *cp_upload_name(X509 *cert, char *buf, size_t size)
{
	return short_name(X509_get_subject_name(cert), buf, size);
}

const char *cp_upload_key(X509 *cert, char buf[24])
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	char group[32];

	if (key == NULL)
		snprintf(buf, 24, "unreadable");
	else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
		snprintf(buf, 24, "rsa-%d", EVP_PKEY_get_bits(key));
	else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
		 EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1)
		snprintf(buf, 24, "ec-%.20s", strcmp(group, "prime256v1") == 0 ? "p256" :
			 strcmp(group, "secp384r1") == 0 ? "p384" : group);
	else
		snprintf(buf, 24, "other-%d", EVP_PKEY_get_bits(key));
	ERR_clear_error();
	return buf;
}

int64_t cp_upload_time(const ASN1_TIME *t)
{
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days = 0, secs = 0;
	int64_t ret = INT64_MAX;

	if (t != NULL && epoch != NULL && ASN1_TIME_check(t) == 1 && ASN1_TIME_diff(&days, &secs, epoch, t) == 1)
		ret = (int64_t)days * 86400 + secs;
	ASN1_TIME_free(epoch);
	ERR_clear_error();
	return ret;
}

bool cp_upload_manufacturer(X509 *cert)
{
	/* as issuers of MICs are named; some write spaces where others write underscores */
	static const char *const names[] = {
		"CAP-RTP-001", "CAP-RTP-002", "Cisco Manufacturing CA", "Cisco Root CA 2048", "Cisco Manufacturing CA SHA2",
		"Cisco Root CA M2", "Cisco Root CA 2099", "High Assurance SUDI CA", "ACT2 SUDI CA",
	};
	char name[80];

	cp_upload_name(cert, name, sizeof(name));
	for (char *p = name; *p != '\0'; p++)
		if (*p == '_')
			*p = ' ';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

static json_t *time_json(const ASN1_TIME *t)
{
	int64_t s = cp_upload_time(t);
	time_t clock = (time_t)s;
	struct tm tm;
	char text[40];

	if (s == INT64_MAX || gmtime_r(&clock, &tm) == NULL || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return json_null();
	return json_string(text);
}

static json_t *fingerprint(X509 *cert, const EVP_MD *md)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned len = 0;

	if (X509_digest(cert, md, digest, &len) != 1)
		return json_null(); /* MD5 where a provider has none */
	cp_upload_hex(digest, len, hex);
	return json_string(hex);
}

static json_t *san_json(X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	json_t *list = json_array();

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		int type;
		const ASN1_STRING *s = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
		const char *kind = type == GEN_DNS ? "DNS:" : type == GEN_URI ? "URI:" : type == GEN_EMAIL ? "email:" : NULL;
		char text[320] = "other", part[300];

		if (kind != NULL) {
			quote(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s), part, sizeof(part));
			snprintf(text, sizeof(text), "%s%s", kind, part);
		} else if (type == GEN_IPADD) {
			int len = ASN1_STRING_length(s);

			if ((len == 4 || len == 16) &&
			    inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(s), part, sizeof(part)) != NULL)
				snprintf(text, sizeof(text), "IP:%s", part);
		} else if (type == GEN_DIRNAME) {
			long_name((const X509_NAME *)(const void *)s, part, sizeof(part));
			snprintf(text, sizeof(text), "DN:%s", part);
		}
		json_array_append_new(list, json_string(text));
	}
	GENERAL_NAMES_free(names);
	ERR_clear_error();
	return list;
}

static json_t *usages_json(X509 *cert)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} ku[] = {
		{KU_DIGITAL_SIGNATURE, "digitalSignature"}, {KU_NON_REPUDIATION, "nonRepudiation"},
		{KU_KEY_ENCIPHERMENT, "keyEncipherment"}, {KU_DATA_ENCIPHERMENT, "dataEncipherment"},
		{KU_KEY_AGREEMENT, "keyAgreement"}, {KU_KEY_CERT_SIGN, "keyCertSign"}, {KU_CRL_SIGN, "cRLSign"},
	};
	EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
	uint32_t bits = X509_get_key_usage(cert);
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(ku) / sizeof(ku[0]); i++)
		if (bits != UINT32_MAX && (bits & ku[i].bit) != 0)
			json_array_append_new(list, json_string(ku[i].name));
	for (int i = 0; i < sk_ASN1_OBJECT_num(eku); i++) {
		const ASN1_OBJECT *o = sk_ASN1_OBJECT_value(eku, i);
		char oid[80];

		if (OBJ_obj2nid(o) != NID_undef)
			json_array_append_new(list, json_string(OBJ_nid2sn(OBJ_obj2nid(o))));
		else if (OBJ_obj2txt(oid, sizeof(oid), o, 1) > 0)
			json_array_append_new(list, json_string(oid));
	}
	EXTENDED_KEY_USAGE_free(eku);
	ERR_clear_error();
	return list;
}

static json_t *serial_json(X509 *cert)
{
	const ASN1_STRING *s = (const ASN1_STRING *)X509_get0_serialNumber(cert);
	char hex[2 * NAME_LIMIT + 1];
	int len = s != NULL ? ASN1_STRING_length(s) : 0;

	if (len < 0 || len > NAME_LIMIT)
		return json_string("too long");
	cp_upload_hex(ASN1_STRING_get0_data(s), (size_t)len, hex);
	return json_string(hex);
}

json_t *cp_upload_json(X509 *cert, int64_t now)
{
	int64_t to = cp_upload_time(X509_get0_notAfter(cert));
	char subject[1200], issuer[1200], key[24];

	long_name(X509_get_subject_name(cert), subject, sizeof(subject));
	long_name(X509_get_issuer_name(cert), issuer, sizeof(issuer));
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:s, s:s, s:b, s:o, s:{s:o, s:o, s:o}}", "subject", subject,
			 "issuer", issuer, "serial", serial_json(cert), "alt_names", san_json(cert), "not_before",
			 time_json(X509_get0_notBefore(cert)), "not_after", time_json(X509_get0_notAfter(cert)), "days_left",
			 (json_int_t)(to == INT64_MAX ? -1 : (to - now) / 86400), "key", cp_upload_key(cert, key),
			 "signature", OBJ_nid2ln(X509_get_signature_nid(cert)), "ca", X509_check_ca(cert) != 0, "usages",
			 usages_json(cert), "fingerprints", "sha256", fingerprint(cert, EVP_sha256()), "sha1",
			 fingerprint(cert, EVP_sha1()), "md5", fingerprint(cert, EVP_md5()));
}

/* --- reading --- */

/* Length of the DER element at 'p', header included; 0: it does not lie within 'len'. */
static size_t der_len(const uint8_t *p, size_t len)
{
	const unsigned char *q = p;
	int tag, class;
	long body;

	if (len == 0 || len > INT32_MAX || (ASN1_get_object(&q, &body, &tag, &class, (long)len) & 0x80) != 0 || body < 0)
		return 0;
	return (size_t)(q - p) + (size_t)body;
}

static int take(STACK_OF(X509) *certs, const uint8_t *der, size_t len, char *why, size_t size)
{
	X509 *cert = NULL;
	int n = sk_X509_num(certs) + 1;

	if (n > (int)CP_UPLOAD_CERTS_MAX)
		return pki_refuse(why, size, -EMSGSIZE, "more than %u certificates in one file", CP_UPLOAD_CERTS_MAX);
	if (len > PKI_DER_MAX)
		return pki_refuse(why, size, -EMSGSIZE, "certificate %d has %zu bytes, %d are taken", n, len, PKI_DER_MAX);
	if (pki_cert_parse(der, len, &cert) < 0)
		return pki_refuse(why, size, -EBADMSG, "malformed: certificate %d is no X.509 certificate with a key that can be read", n);
	for (int i = 0; i < n - 1; i++)
		if (X509_cmp(sk_X509_value(certs, i), cert) == 0) {
			X509_free(cert);
			return pki_refuse(why, size, -EEXIST, "duplicate: certificates %d and %d of the file are the same", i + 1, n);
		}
	if (sk_X509_push(certs, cert) <= 0) {
		X509_free(cert);
		return -ENOMEM;
	}
	return 0;
}

static int pem_block(STACK_OF(X509) *certs, const char *name, const char *header, const uint8_t *data, size_t len,
		     char *why, size_t size)
{
	if (strstr(name, "PRIVATE KEY") != NULL)
		return pki_refuse(why, size, -EBADMSG,
				  "the file holds a private key: upload certificates only, and consider whether that key is still secret");
	if (strcmp(name, PEM_STRING_X509) != 0 && strcmp(name, PEM_STRING_X509_OLD) != 0)
		return pki_refuse(why, size, -EBADMSG, "the file holds a %.40s, not only certificates", name);
	if (header[0] != '\0')
		return pki_refuse(why, size, -EBADMSG, "malformed: a certificate in PEM with headers");
	return take(certs, data, len, why, size);
}

static unsigned begins(const uint8_t *data, size_t len)
{
	const uint8_t *p = data;
	unsigned n = 0;

	while ((p = memmem(p, len - (size_t)(p - data), "-----BEGIN ", 11)) != NULL) {
		n++;
		p += 11;
	}
	return n;
}

static int read_pem(STACK_OF(X509) *certs, const uint8_t *data, size_t len, char *why, size_t size)
{
	BIO *bio = BIO_new_mem_buf(data, (int)len);
	int rc = bio != NULL ? 0 : -ENOMEM;

	while (rc == 0) {
		char *name = NULL, *header = NULL;
		unsigned char *body = NULL;
		long n = 0;

		ERR_clear_error();
		if (PEM_read_bio(bio, &name, &header, &body, &n) != 1) {
			/* what is not a block ends the file; a block that ends wrongly is none of it */
			if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
				rc = pki_refuse(why, size, -EBADMSG, "malformed: PEM block %d cannot be read", sk_X509_num(certs) + 1);
			break;
		}
		rc = pem_block(certs, name, header, body, (size_t)n, why, size);
		OPENSSL_cleanse(body, (size_t)n); /* it may have been a key */
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(body);
	}
	BIO_free(bio);
	ERR_clear_error();
	/* OpenSSL takes a block whose first line was cut off for text */
	if (rc == 0 && begins(data, len) != (unsigned)sk_X509_num(certs))
		rc = pki_refuse(why, size, -EBADMSG, "malformed: PEM block %d does not end", sk_X509_num(certs) + 1);
	return rc;
}

static int read_der(STACK_OF(X509) *certs, const uint8_t *data, size_t len, char *why, size_t size)
{
	int rc = 0;

	while (len > 0 && rc == 0) {
		size_t n = der_len(data, len);

		if (n == 0)
			return pki_refuse(why, size, -EBADMSG, sk_X509_num(certs) == 0 ?
					  "malformed: neither PEM nor DER of certificates" : "malformed: rubbish behind certificate %d",
					  sk_X509_num(certs));
		rc = take(certs, data, n, why, size);
		data += n;
		len -= n;
	}
	return rc;
}

int cp_upload_parse(const uint8_t *data, size_t len, STACK_OF(X509) **ret, char *why, size_t why_size)
{
	STACK_OF(X509) *certs;
	int rc;

	why[0] = '\0';
	if (len == 0)
		return pki_refuse(why, why_size, -EBADMSG, "malformed: the file is empty");
	if (len > CP_UPLOAD_MAX)
		return pki_refuse(why, why_size, -EMSGSIZE, "the file has %zu bytes, %u are taken", len, CP_UPLOAD_MAX);
	certs = sk_X509_new_null();
	if (certs == NULL)
		return -ENOMEM;
	/* DER begins with a SEQUENCE longer than 127 bytes; no text has a byte above that behind a '0' */
	if (data[0] == 0x30 && len > 1 && (data[1] & 0x80) != 0)
		rc = read_der(certs, data, len, why, why_size);
	else if (begins(data, len) > 0)
		rc = read_pem(certs, data, len, why, why_size);
	else
		rc = pki_refuse(why, why_size, -EBADMSG, "malformed: neither PEM nor DER of certificates");
	if (rc == 0 && sk_X509_num(certs) == 0)
		rc = pki_refuse(why, why_size, -EBADMSG, "malformed: the file holds no certificate");
	ERR_clear_error();
	if (rc == 0)
		*ret = certs;
	else
		sk_X509_pop_free(certs, X509_free);
	return rc;
}

/* --- rules --- */

static int check_name(const X509_NAME *name, const char *what, char *why, size_t size)
{
	int len = i2d_X509_NAME(name, NULL);

	if (X509_NAME_entry_count(name) == 0 || len <= 0)
		return pki_refuse(why, size, -EBADMSG, "malformed: %s is missing", what);
	if (len > NAME_LIMIT)
		return pki_refuse(why, size, -EMSGSIZE, "%s has %d bytes, %d are taken", what, len, NAME_LIMIT);
	return 0;
}

static int check_key(X509 *cert, bool legacy, char *why, size_t size)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	char text[24];
	bool old;

	if (key == NULL)
		return pki_refuse(why, size, -EBADMSG, "malformed: its key cannot be read");
	old = legacy && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) >= 1024 &&
	      EVP_PKEY_get_bits(key) < 2048;
	if (!old && !pki_key_acceptable(key))
		return pki_refuse(why, size, -ENOKEY,
				  "weak key or a kind that is not taken: %s; RSA of 2048 to 4096 bits, P-256 and P-384 are",
				  cp_upload_key(cert, text));
	return 0;
}

static int check_signature(X509 *cert, bool legacy, char *why, size_t size)
{
	const ASN1_BIT_STRING *sig = NULL;
	const X509_ALGOR *alg = NULL;
	int md = 0, key = 0;

	X509_get0_signature(&sig, &alg, cert);
	if (sig == NULL || ASN1_STRING_length(sig) == 0)
		return pki_refuse(why, size, -EBADMSG, "malformed: it has no signature");
	if (ASN1_STRING_length(sig) > SIG_LIMIT)
		return pki_refuse(why, size, -EMSGSIZE, "its signature has %d bytes, %d are taken", ASN1_STRING_length(sig), SIG_LIMIT);
	if (X509_get_signature_info(cert, &md, &key, NULL, NULL) != 1 || md == NID_undef || key == NID_undef)
		return pki_refuse(why, size, -ENOKEY, "its signature algorithm is not known");
	if ((X509_get_extension_flags(cert) & EXFLAG_SS) != 0) {
		/* Who trusts a root does not rely on its signature, of whatever digest; but a changed one shows. */
		if (X509_verify(cert, X509_get0_pubkey(cert)) != 1)
			return pki_refuse(why, size, -EBADMSG, "malformed: its own signature is wrong");
		return 0;
	}
	if (md == NID_md5 || md == NID_md4 || md == NID_md2 || (md == NID_sha1 && !legacy))
		return pki_refuse(why, size, -ENOKEY, "weak signature: %s", OBJ_nid2ln(md));
	return 0;
}

static int check_times(X509 *cert, int64_t now, char *why, size_t size)
{
	int64_t from = cp_upload_time(X509_get0_notBefore(cert)), to = cp_upload_time(X509_get0_notAfter(cert));
	char name[80];

	if (from == INT64_MAX || to == INT64_MAX || to < from)
		return pki_refuse(why, size, -EBADMSG, "malformed: its validity cannot be read");
	cp_upload_name(cert, name, sizeof(name));
	if (now < from)
		return pki_refuse(why, size, -ETIME, "not yet valid: %s begins in %lld hours", name, (long long)(from - now + 3599) / 3600);
	if (now >= to)
		return pki_refuse(why, size, -EKEYEXPIRED, "expired: %s ended %lld days ago", name, (long long)(now - to) / 86400);
	return 0;
}

int cp_upload_check(X509 *cert, int64_t now, bool legacy, char *why, size_t size)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	uint32_t flags = X509_get_extension_flags(cert);
	int rc;

	why[0] = '\0';
	ERR_clear_error();
	if ((flags & EXFLAG_INVALID) != 0)
		return pki_refuse(why, size, -EBADMSG, "malformed: its extensions cannot be read");
	if (serial == NULL || ASN1_STRING_length((const ASN1_STRING *)serial) == 0)
		return pki_refuse(why, size, -EBADMSG, "malformed: it has no serial number");
	if (ASN1_STRING_length((const ASN1_STRING *)serial) > NAME_LIMIT)
		return pki_refuse(why, size, -EMSGSIZE, "its serial number has %d bytes, %d are taken",
				  ASN1_STRING_length((const ASN1_STRING *)serial), NAME_LIMIT);
	rc = check_name(X509_get_issuer_name(cert), "its issuer", why, size);
	if (rc == 0)
		rc = check_name(X509_get_subject_name(cert), "its subject", why, size);
	if (rc == 0)
		rc = check_key(cert, legacy, why, size);
	if (rc == 0)
		rc = check_signature(cert, legacy, why, size);
	if (rc == 0)
		rc = check_times(cert, now, why, size);
	if (rc == 0 && (flags & EXFLAG_CRITICAL) != 0)
		rc = pki_refuse(why, size, -EPERM, "wrong usage: it has a critical extension that is not known here");
	ERR_clear_error();
	return rc;
}

static bool is_ca(X509 *cert)
{
	return X509_check_ca(cert) != 0 && (X509_get_key_usage(cert) & KU_KEY_CERT_SIGN) != 0;
}

static bool has_eku(X509 *cert, uint32_t which)
{
	/* without the extension: any */
	return (X509_get_extension_flags(cert) & EXFLAG_XKUSAGE) == 0 ||
	       (X509_get_extended_key_usage(cert) & (which | XKU_ANYEKU)) != 0;
}

/* IPsec has purposes of its own, which OpenSSL's flags do not tell. RFC 4945 s5.1.3.12 */
static bool has_ike(X509 *cert)
{
	EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
	bool found = false;

	for (int i = 0; i < sk_ASN1_OBJECT_num(eku); i++) {
		int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(eku, i));

		found |= nid == NID_ipsec_IKE || nid == NID_ipsecEndSystem || nid == NID_ipsecTunnel || nid == NID_ipsecUser;
	}
	EXTENDED_KEY_USAGE_free(eku);
	return found;
}

int cp_upload_usage(enum cp_trust_store ts, X509 *cert, char *why, size_t size)
{
	const char *store = cp_trust_store_name(ts);

	if (is_ca(cert))
		return 0;
	if ((X509_get_extension_flags(cert) & EXFLAG_CA) != 0)
		return pki_refuse(why, size, -EPERM, "wrong usage: its key usage does not allow a CA to sign certificates");
	if (ts == CP_TS_CAPF || ts == CP_TS_PHONE_EDGE)
		return pki_refuse(why, size, -EPERM, "wrong usage: %s takes certificates of CAs, this is not one", store);
	if ((X509_get_key_usage(cert) & (KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT)) == 0)
		return pki_refuse(why, size, -EPERM, "wrong usage: its key usage allows neither signatures nor key exchange");
	switch (ts) {
	case CP_TS_CALLMANAGER: /* peers of SIP trunks, and phones that have but this certificate: 000:P0-26, 001:P1-045 */
		if (!has_eku(cert, XKU_SSL_CLIENT | XKU_SSL_SERVER))
			return pki_refuse(why, size, -EPERM, "wrong usage: its extended key usage has neither TLS client nor TLS server");
		return 0;
	case CP_TS_IPSEC:
		if (!has_eku(cert, XKU_SSL_CLIENT | XKU_SSL_SERVER) && !has_ike(cert))
			return pki_refuse(why, size, -EPERM, "wrong usage: its extended key usage has neither IPsec nor TLS");
		return 0;
	default: /* servers: TVS, HTTPS, LDAP */
		if (!has_eku(cert, XKU_SSL_SERVER))
			return pki_refuse(why, size, -EPERM, "wrong usage: its extended key usage has no TLS server, which %s is for", store);
		return 0;
	}
}

int cp_upload_own_usage(const char *name, X509 *cert, char *why, size_t size)
{
	static const char *const servers[] = {"CallManager", "TVS", "HTTPS", "TFTP-EC", "CAPF-TLS"};

	if (strcmp(name, "CAPF") == 0) {
		if (!is_ca(cert) || X509_check_ca(cert) != 1)
			return pki_refuse(why, size, -EPERM, "wrong usage: CAPF issues certificates, this one is not a CA's");
		return 0;
	}
	if (X509_check_ca(cert) == 1)
		return pki_refuse(why, size, -EPERM, "wrong usage: it is a CA's, and %s issues nothing", name);
	if ((X509_get_key_usage(cert) & KU_DIGITAL_SIGNATURE) == 0)
		return pki_refuse(why, size, -EPERM, "wrong usage: its key usage does not allow signatures");
	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
		if (strcmp(name, servers[i]) == 0 && !has_eku(cert, XKU_SSL_SERVER))
			return pki_refuse(why, size, -EPERM, "wrong usage: its extended key usage has no TLS server, which %s is", name);
	return 0;
}

/* --- chains --- */

static bool same_key_signs(X509 *issuer, X509 *cert)
{
	bool ok = X509_check_issued(issuer, cert) == X509_V_OK && X509_verify(cert, X509_get0_pubkey(issuer)) == 1;

	ERR_clear_error();
	return ok;
}

static X509 *find_issuer(STACK_OF(X509) *in, X509 *cert)
{
	for (int i = 0; i < sk_X509_num(in); i++)
		if (sk_X509_value(in, i) != cert && same_key_signs(sk_X509_value(in, i), cert))
			return sk_X509_value(in, i);
	return NULL;
}

/* The one that issued none of the others; NULL: not one. A single certificate is it, be it a CA's. */
static X509 *find_leaf(STACK_OF(X509) *certs)
{
	X509 *leaf = NULL;

	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *cert = sk_X509_value(certs, i);
		bool issuer = false;

		for (int k = 0; k < sk_X509_num(certs) && !issuer; k++)
			issuer = k != i && X509_check_issued(cert, sk_X509_value(certs, k)) == X509_V_OK;
		if (issuer)
			continue;
		if (leaf != NULL)
			return NULL;
		leaf = cert;
	}
	ERR_clear_error();
	return leaf;
}

int cp_upload_chain(STACK_OF(X509) *certs, STACK_OF(X509) *more, STACK_OF(X509) **ret, char *why, size_t size)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *at = find_leaf(certs);
	char name[80], issuer[80];
	int used = 0, rc = 0;

	why[0] = '\0';
	if (chain == NULL)
		return -ENOMEM;
	if (at == NULL)
		rc = pki_refuse(why, size, -EBADMSG, "the certificates of the file are not one chain");
	while (rc == 0 && at != NULL) {
		X509 *next;

		if (sk_X509_num(chain) == CHAIN_MAX) {
			rc = pki_refuse(why, size, -EMSGSIZE, "the chain has more than %d certificates", CHAIN_MAX);
			break;
		}
		if (X509_up_ref(at) != 1 || sk_X509_push(chain, at) <= 0) {
			rc = -ENOMEM;
			break;
		}
		for (int i = 0; i < sk_X509_num(certs); i++)
			used += sk_X509_value(certs, i) == at;
		if ((X509_get_extension_flags(at) & EXFLAG_SS) != 0) {
			if (!same_key_signs(at, at))
				rc = pki_refuse(why, size, -EBADMSG, "the signature of %s is wrong", cp_upload_name(at, name, sizeof(name)));
			break;
		}
		next = find_issuer(certs, at);
		if (next == NULL && more != NULL)
			next = find_issuer(more, at);
		if (next == NULL) {
			rc = pki_refuse(why, size, -ENOENT, "chain incomplete: %s, which issued %s, is neither in the file nor in a trust store",
					short_name(X509_get_issuer_name(at), issuer, sizeof(issuer)),
					cp_upload_name(at, name, sizeof(name)));
		} else if (!is_ca(next)) {
			rc = pki_refuse(why, size, -EBADMSG, "%s issued a certificate of the chain, but is no CA",
					cp_upload_name(next, name, sizeof(name)));
		}
		at = next;
	}
	if (rc == 0 && used != sk_X509_num(certs))
		rc = pki_refuse(why, size, -EBADMSG, "%d of the file's certificates are not part of the chain", sk_X509_num(certs) - used);
	if (rc == 0)
		*ret = chain;
	else
		sk_X509_pop_free(chain, X509_free);
	return rc;
}
