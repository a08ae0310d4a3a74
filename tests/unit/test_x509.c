/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pki/x509.c: what is issued verifies, with openssl(1) as the stranger; what must not be accepted
 * is not: other issuers, other times, other purposes, other names. Certificates that pki_* would
 * never make are made here with OpenSSL directly.
 * Rows: 000:P0-48, 001:P1-145.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "x509.h"

#define NOW 1800000000 /* 2027-01-15 */
#define DAY 86400

static struct pki_ca ca, other;
static EVP_PKEY *phone_key, *ec_key;
static char dir[] = "/tmp/test-x509-XXXXXX";

static int setup(void)
{
	if (mkdtemp(dir) == NULL || chdir(dir) < 0)
		return -1;
	if (pki_key_create(PKI_RSA_2048, &ca.key) < 0 ||
	    pki_key_create(PKI_EC_P256, &other.key) < 0 ||
	    pki_key_create(PKI_RSA_2048, &phone_key) < 0 ||
	    pki_key_create(PKI_EC_P256, &ec_key) < 0)
		return -1;
	if (pki_ca_issue(ca.key, "CAPF-test", "test", NOW, 3650, &ca.cert) < 0 ||
	    pki_ca_issue(other.key, "CAPF-test", "test", NOW, 3650, &other.cert) < 0)
		return -1;
	return 0;
}

static int teardown(void)
{
	char cmd[100];

	EVP_PKEY_free(ca.key);
	EVP_PKEY_free(other.key);
	EVP_PKEY_free(phone_key);
	EVP_PKEY_free(ec_key);
	X509_free(ca.cert);
	X509_free(other.cert);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static X509_STORE *store_of(X509 *cert, bool legacy)
{
	STACK_OF(X509) *sk = sk_X509_new_null();
	X509_STORE *store = NULL;

	sk_X509_push(sk, cert);
	if (pki_phone_store(sk, legacy, &store) < 0)
		store = NULL;
	sk_X509_free(sk);
	return store;
}

static void test_lsc_verifies(void)
{
	X509_STORE *store = store_of(ca.cert, false);
	X509 *lsc = NULL, *ec = NULL;
	char name[PKI_DEVICE_MAX] = "";
	int error = -1;

	CU_ASSERT_PTR_NOT_NULL_FATAL(store);
	CU_ASSERT_EQUAL_FATAL(pki_lsc_issue(&ca, "SEP0011223344AA", phone_key, false, NOW, 365, &lsc), 0);
	CU_ASSERT_EQUAL(pki_phone_verify(store, lsc, NULL, NOW, &error), 0);
	CU_ASSERT_EQUAL(error, X509_V_OK);
	CU_ASSERT_EQUAL(pki_name_device(lsc, name), 0);
	CU_ASSERT_STRING_EQUAL(name, "SEP0011223344AA");
	CU_ASSERT_EQUAL(X509_get_version(lsc), X509_VERSION_3);
	CU_ASSERT_EQUAL(ASN1_STRING_length(X509_get0_serialNumber(lsc)), 16);
	CU_ASSERT_EQUAL_FATAL(pki_lsc_issue(&ca, "SEP0011223344AB", ec_key, false, NOW, 365, &ec), 0);
	CU_ASSERT_EQUAL(pki_phone_verify(store, ec, NULL, NOW, NULL), 0);
	CU_ASSERT_NOT_EQUAL(
		ASN1_INTEGER_cmp(X509_get0_serialNumber(lsc), X509_get0_serialNumber(ec)), 0);
	X509_free(lsc);
	X509_free(ec);
	X509_STORE_free(store);
}

static void expect(X509_STORE *store, X509 *cert, int64_t now, const char *word)
{
	int error = 0, rc = pki_phone_verify(store, cert, NULL, now, &error);

	CU_ASSERT_EQUAL(rc, -EACCES);
	CU_ASSERT_STRING_EQUAL(pki_verify_word(error), word);
}

static void test_time_and_issuer(void)
{
	X509_STORE *store = store_of(ca.cert, false), *stranger = store_of(other.cert, false);
	X509 *lsc = NULL;

	CU_ASSERT_EQUAL_FATAL(pki_lsc_issue(&ca, "SEP0011223344AA", phone_key, false, NOW, 365, &lsc), 0);
	CU_ASSERT_EQUAL(pki_phone_verify(store, lsc, NULL, NOW - 300, NULL), 0);
	expect(store, lsc, NOW - 302, "not-yet-valid");
	CU_ASSERT_EQUAL(pki_phone_verify(store, lsc, NULL, NOW + 365 * DAY - 1, NULL), 0);
	expect(store, lsc, NOW + 365LL * DAY + 1, "expired");
	expect(store, lsc, NOW + 40LL * 365 * DAY, "expired");
	/* the same subject, another key: the name alone is worth nothing */
	expect(stranger, lsc, NOW, "untrusted");
	expect(store, other.cert, NOW, "untrusted");
	X509_free(lsc);
	X509_STORE_free(store);
	X509_STORE_free(stranger);
}

/* One bit of the DER changed anywhere: never accepted as the same device under the same issuer. */
static void test_changed_bits(void)
{
	X509_STORE *store = store_of(ca.cert, false);
	unsigned char *der = NULL;
	X509 *lsc = NULL;
	int len, accepted = 0;

	CU_ASSERT_EQUAL_FATAL(pki_lsc_issue(&ca, "SEP0011223344AA", ec_key, false, NOW, 365, &lsc), 0);
	len = i2d_X509(lsc, &der);
	for (int bit = 0; bit < len * 8; bit += 3) {
		X509 *cert = NULL;

		der[bit / 8] ^= (unsigned char)(1 << (bit % 8));
		if (pki_cert_parse(der, (size_t)len, &cert) == 0 &&
		    pki_phone_verify(store, cert, NULL, NOW, NULL) == 0)
			accepted++;
		X509_free(cert);
		der[bit / 8] ^= (unsigned char)(1 << (bit % 8));
	}
	CU_ASSERT_EQUAL(accepted, 0);
	OPENSSL_free(der);
	X509_free(lsc);
	X509_STORE_free(store);
}

/* A certificate with a subject, extended key usage and signer of choice. */
static X509 *make(const struct pki_ca *by, EVP_PKEY *key, const char *const *cns, int n, int type,
                  const char *eku, const EVP_MD *md)
{
	X509 *cert = X509_new();
	X509_EXTENSION *ext;

	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
	X509_set_pubkey(cert, key);
	for (int i = 0; i < n; i++) {
		const char *cn = cns[i];
		int len = cn[0] == '\1' ? 17
		                        : (int)strlen(cn); /* \1: a NUL inside, 16 bytes + more */

		unsigned char raw[80]; /* \1 stands for a NUL inside */

		memcpy(raw, cn, (size_t)len);
		for (int k = 0; k < len; k++)
			raw[k] = raw[k] == 1 ? 0 : raw[k];
		X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), NID_commonName, type, raw,
		                           len, -1, 0);
	}
	X509_set_issuer_name(cert, X509_get_subject_name(by->cert));
	ASN1_TIME_set(X509_getm_notBefore(cert), NOW - 10);
	ASN1_TIME_set(X509_getm_notAfter(cert), NOW + DAY);
	if (eku != NULL) {
		ext = X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, eku);
		X509_add_ext(cert, ext, -1);
		X509_EXTENSION_free(ext);
	}
	X509_sign(cert, by->key, md);
	return cert;
}

static const struct {
	const char *cn[2];
	int n, type;
	const char *device; /* NULL: none */
} names[] = {
	{{"SEP0011223344AA"}, 1, MBSTRING_ASC, "SEP0011223344AA"},
	{{"CP-7961G-SEP0011223344AA"}, 1, MBSTRING_ASC, "SEP0011223344AA"},
	{{"CP-7941G-GE-SEP0011223344AA"}, 1, MBSTRING_ASC, "SEP0011223344AA"},
	{{"CP-8861-SEP0011223344AA"}, 1, V_ASN1_T61STRING, "SEP0011223344AA"},
	{{"CP-8861-SEP0011223344AA"}, 1, V_ASN1_UTF8STRING, "SEP0011223344AA"},
	{{"CP-8861-SEP0011223344AA"}, 1, V_ASN1_BMPSTRING, NULL},
	{{"SEP0011223344AA", "SEP0011223344AB"}, 2, MBSTRING_ASC, NULL},
	{{""}, 0, MBSTRING_ASC, NULL},
	{{"SEP0011223344AA\1"}, 1, V_ASN1_UTF8STRING, NULL},
	{{"SEP0011223344AA\1-SEP0011223344AB"}, 1, V_ASN1_UTF8STRING, NULL},
	{{"CP-79\1x-SEP0011223344AA"}, 1, V_ASN1_UTF8STRING, NULL},
	{{"CP-7961-SEP0011223344AA\1SEP0011223344AB"}, 1, V_ASN1_UTF8STRING, NULL},
	{{"SEP0011223344A"}, 1, MBSTRING_ASC, NULL},
	{{"SEP0011223344AAA"}, 1, MBSTRING_ASC, NULL},
	{{"SEP0011223344aa"}, 1, MBSTRING_ASC, NULL},
	{{"SEP0011223344AG"}, 1, MBSTRING_ASC, NULL},
	{{"sep0011223344AA"}, 1, MBSTRING_ASC, NULL},
	{{" SEP0011223344AA"}, 1, MBSTRING_ASC, NULL},
	{{"xSEP0011223344AA"}, 1, MBSTRING_ASC, NULL},
	{{"-SEP0011223344AA"}, 1, MBSTRING_ASC, NULL},
	{{"CP-SEP0011223344AA"}, 1, MBSTRING_ASC, NULL},
	{{"CP--SEP0011223344AA"}, 1, MBSTRING_ASC, NULL},
	{{"XX-7961-SEP0011223344AA"}, 1, MBSTRING_ASC, NULL},
	{{"CP-79 61-SEP0011223344AA"}, 1, MBSTRING_ASC, NULL},
	{{"CP-7961-SEP0011223344AA "}, 1, MBSTRING_ASC, NULL},
	{{"CP-7961-SEP0011223344AA-SEP0011223344AB"}, 1, MBSTRING_ASC, "SEP0011223344AB"},
	{{"CallManager-ravelin"}, 1, MBSTRING_ASC, NULL},
};

static void test_names(void)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		X509 *cert = make(&ca, ec_key, names[i].cn, names[i].n, names[i].type, NULL,
		                  EVP_sha256());
		char name[PKI_DEVICE_MAX] = "unset";
		int rc = pki_name_device(cert, name);

		CU_ASSERT_EQUAL(rc, names[i].device != NULL ? 0 : -EACCES);
		CU_ASSERT_STRING_EQUAL(name, names[i].device != NULL ? names[i].device : "unset");
		if (rc != (names[i].device != NULL ? 0 : -EACCES))
			fprintf(stderr, "name %zu: %s\n", i, names[i].cn[0]);
		X509_free(cert);
	}
}

static void test_purpose_and_strength(void)
{
	static const char *const cn[] = {"SEP0011223344AA"};
	X509_STORE *store = store_of(ca.cert, false), *legacy = store_of(ca.cert, true);
	X509 *server = make(&ca, ec_key, cn, 1, MBSTRING_ASC, "serverAuth", EVP_sha256());
	X509 *sha1 = make(&ca, ec_key, cn, 1, MBSTRING_ASC, "clientAuth", EVP_sha1());
	EVP_PKEY *small = EVP_RSA_gen(1024);
	X509 *weak = make(&ca, small, cn, 1, MBSTRING_ASC, "clientAuth", EVP_sha256());
	X509 *none = NULL;

	expect(store, server, NOW, "wrong-purpose");
	expect(store, sha1, NOW, "weak");
	expect(store, weak, NOW, "weak");
	CU_ASSERT_EQUAL(pki_phone_verify(legacy, weak, NULL, NOW, NULL), 0);
	CU_ASSERT_EQUAL(pki_phone_verify(legacy, sha1, NULL, NOW, NULL), 0);
	expect(legacy, server, NOW, "wrong-purpose");
	CU_ASSERT_EQUAL(pki_lsc_issue(&ca, "SEP0011223344AA", small, false, NOW, 365, &none), -EACCES);
	CU_ASSERT_PTR_NULL(none);
	CU_ASSERT_EQUAL_FATAL(pki_lsc_issue(&ca, "SEP0011223344AA", small, true, NOW, 365, &none), 0); /* old phones, if enabled */
	X509_free(none);
	none = NULL;
	{
		EVP_PKEY *p521 = EVP_EC_gen("P-521"), *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

		CU_ASSERT_FALSE(pki_key_acceptable(p521)); /* for LSCs alone */
		CU_ASSERT_EQUAL_FATAL(pki_lsc_issue(&ca, "SEP0011223344AA", p521, false, NOW, 365, &none), 0);
		CU_ASSERT_EQUAL(X509_get_signature_nid(none), NID_sha256WithRSAEncryption);
		X509_free(none);
		none = NULL;
		CU_ASSERT_EQUAL(pki_lsc_issue(&ca, "SEP0011223344AA", ed, true, NOW, 365, &none), -EACCES);
		EVP_PKEY_free(p521);
		EVP_PKEY_free(ed);
	}
	/* a phone's own certificate is no anchor */
	CU_ASSERT_PTR_NULL(store_of(server, false));
	X509_free(server);
	X509_free(sha1);
	X509_free(weak);
	EVP_PKEY_free(small);
	X509_STORE_free(store);
	X509_STORE_free(legacy);
}

/* A phone must not be able to issue for others: its certificate in the chain is of no use. */
static void test_lsc_cannot_issue(void)
{
	static const char *const cn[] = {"SEP0011223344AB"};
	X509_STORE *store = store_of(ca.cert, false);
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *lsc = NULL, *forged;
	int error = 0;

	CU_ASSERT_EQUAL_FATAL(pki_lsc_issue(&ca, "SEP0011223344AA", phone_key, false, NOW, 365, &lsc), 0);
	forged = make(&(struct pki_ca){phone_key, lsc}, ec_key, cn, 1, MBSTRING_ASC, "clientAuth",
	              EVP_sha256());
	sk_X509_push(chain, lsc);
	CU_ASSERT_EQUAL(pki_phone_verify(store, forged, chain, NOW, &error), -EACCES);
	CU_ASSERT_STRING_NOT_EQUAL(pki_verify_word(error), "ok");
	/* nor does sending the CA make it trusted */
	sk_X509_push(chain, other.cert);
	X509_free(forged);
	forged = make(&other, ec_key, cn, 1, MBSTRING_ASC, "clientAuth", EVP_sha256());
	CU_ASSERT_EQUAL(pki_phone_verify(store, forged, chain, NOW, &error), -EACCES);
	sk_X509_free(chain);
	X509_free(lsc);
	X509_free(forged);
	X509_STORE_free(store);
}

static void test_issue_refuses(void)
{
	static const char *const bad[] = {"",
	                                  "SEP",
	                                  "SEP0011223344A",
	                                  "SEP0011223344AAB",
	                                  "SEP0011223344Aa",
	                                  "ATA0011223344AA"};
	X509 *cert = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(pki_lsc_issue(&ca, bad[i], phone_key, false, NOW, 365, &cert), -EINVAL);
	CU_ASSERT_EQUAL(pki_lsc_issue(&ca, "SEP0011223344AA", phone_key, false, NOW, 0, &cert), -EINVAL);
	CU_ASSERT_EQUAL(
		pki_lsc_issue(&ca, "SEP0011223344AA", phone_key, false, NOW + 3651LL * DAY, 1, &cert),
		-EACCES);
	CU_ASSERT_PTR_NULL(cert);
	/* an LSC ends with its issuer at the latest */
	CU_ASSERT_EQUAL_FATAL(pki_lsc_issue(&ca, "SEP0011223344AA", phone_key, false, NOW, 36500, &cert),
	                      0);
	CU_ASSERT_EQUAL(ASN1_TIME_compare(X509_get0_notAfter(cert), X509_get0_notAfter(ca.cert)),
	                0);
	X509_free(cert);
}

static void test_csr(void)
{
	X509_REQ *csr = X509_REQ_new();
	unsigned char *der = NULL;
	EVP_PKEY *pub = NULL;
	int len;

	X509_REQ_set_pubkey(csr, ec_key);
	X509_REQ_sign(csr, ec_key, EVP_sha256());
	len = i2d_X509_REQ(csr, &der);
	CU_ASSERT_EQUAL_FATAL(pki_csr_pubkey(der, (size_t)len, &pub), 0);
	CU_ASSERT_EQUAL(EVP_PKEY_eq(pub, ec_key), 1);
	EVP_PKEY_free(pub);
	pub = NULL;
	for (int n = 0; n < len; n++) {
		uint8_t *exact = malloc(n > 0 ? (size_t)n : 1);

		memcpy(exact, der, (size_t)n);
		CU_ASSERT_EQUAL(pki_csr_pubkey(exact, (size_t)n, &pub), -EBADMSG);
		free(exact);
	}
	for (int i = 0; i < len; i++) { /* signed by another than the key it shows, or broken */
		der[i] ^= 1;
		CU_ASSERT(pki_csr_pubkey(der, (size_t)len, &pub) < 0);
		der[i] ^= 1;
	}
	CU_ASSERT_PTR_NULL(pub);
	OPENSSL_free(der);
	X509_REQ_free(csr);
}

static void test_parse_cut(void)
{
	unsigned char *der = NULL;
	int len = i2d_X509(ca.cert, &der);
	uint8_t fp[32];
	X509 *cert = NULL;

	for (int n = 0; n < len; n++) {
		uint8_t *exact = malloc(n > 0 ? (size_t)n : 1);

		memcpy(exact, der, (size_t)n);
		CU_ASSERT_EQUAL(pki_cert_parse(exact, (size_t)n, &cert), -EBADMSG);
		free(exact);
	}
	der = OPENSSL_realloc(der, (size_t)len + 1);
	der[len] = 0;
	CU_ASSERT_EQUAL(pki_cert_parse(der, (size_t)len + 1, &cert), -EBADMSG);
	CU_ASSERT_EQUAL_FATAL(pki_cert_parse(der, (size_t)len, &cert), 0);
	CU_ASSERT_EQUAL(pki_fingerprint(cert, fp), 0);
	X509_free(cert);
	OPENSSL_free(der);
}

static void write_pem(const char *file, X509 *cert)
{
	FILE *f = fopen(file, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	PEM_write_X509(f, cert);
	fclose(f);
}

static void test_pem(void)
{
	static const char junk[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
	static const char locked[] =
		"-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"
		"DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n-----END CERTIFICATE-----\n";
	BIO *bio = BIO_new(BIO_s_mem());
	STACK_OF(X509) *certs = NULL;
	char *text;
	long len;

	PEM_write_bio_X509(bio, ca.cert);
	PEM_write_bio_X509(bio, other.cert);
	BIO_puts(bio, "trailing text\n");
	len = BIO_get_mem_data(bio, &text);
	CU_ASSERT_EQUAL_FATAL(pki_pem_certs((uint8_t *)text, (size_t)len, &certs), 0);
	CU_ASSERT_EQUAL(sk_X509_num(certs), 2);
	sk_X509_pop_free(certs, X509_free);
	certs = NULL;
	BIO_puts(bio, junk);
	len = BIO_get_mem_data(bio, &text);
	CU_ASSERT_EQUAL(pki_pem_certs((uint8_t *)text, (size_t)len, &certs), -EBADMSG);
	CU_ASSERT_EQUAL(pki_pem_certs((const uint8_t *)locked, sizeof(locked) - 1, &certs),
	                -EBADMSG);
	CU_ASSERT_EQUAL(pki_pem_certs((const uint8_t *)"", 0, &certs), -EBADMSG);
	CU_ASSERT_PTR_NULL(certs);
	BIO_free(bio);
}

/* openssl(1) shares the library, not our code: it reads the files and has its own idea of purposes
 * and names. */
static void test_stranger_agrees(void)
{
	static const char *const san[] = {"ravelin", "appliance.example", "192.0.2.1",
	                                  "2001:db8::1"};
	X509 *lsc = NULL, *server = NULL;

	CU_ASSERT_EQUAL_FATAL(pki_lsc_issue(&ca, "SEP0011223344AA", phone_key, false, NOW, 365, &lsc), 0);
	CU_ASSERT_EQUAL_FATAL(pki_server_issue(&ca, ec_key, "CallManager-test", "test", san, 4, NOW,
	                                       365, &server),
	                      0);
	write_pem("ca.pem", ca.cert);
	write_pem("lsc.pem", lsc);
	write_pem("server.pem", server);
#define VERIFY "openssl verify -x509_strict -attime 1800000000 -CAfile ca.pem -purpose "
#define QUIET  " >/dev/null 2>&1"
	CU_ASSERT_EQUAL(system(VERIFY "sslclient lsc.pem" QUIET), 0);
	CU_ASSERT_EQUAL(
		system(VERIFY "sslserver -verify_hostname appliance.example server.pem" QUIET), 0);
	CU_ASSERT_EQUAL(system(VERIFY "sslserver -verify_ip 192.0.2.1 server.pem" QUIET), 0);
	CU_ASSERT_EQUAL(system(VERIFY "sslserver -verify_ip 2001:db8::1 server.pem" QUIET), 0);
	CU_ASSERT_NOT_EQUAL(system(VERIFY "sslserver -verify_ip 192.0.2.2 server.pem" QUIET), 0);
	CU_ASSERT_NOT_EQUAL(
		system("openssl verify -attime 1900000000 -CAfile ca.pem lsc.pem" QUIET), 0);
	CU_ASSERT_EQUAL(
		system("openssl x509 -in lsc.pem -noout -subject -ext subjectAltName,extendedKeyUsage > text"),
		0);
	CU_ASSERT_EQUAL(
		system("grep -q 'CN = SEP0011223344AA' text && grep -q URI:SEP0011223344AA text"),
		0);
	CU_ASSERT_EQUAL(system("grep -q 'TLS Web Client Authentication, IPSec End System' text"),
	                0);
	X509_free(lsc);
	X509_free(server);
}

/* What is issued to an application is a TLS client's, and never a phone's, whatever it is called (001:P1-145). */
static void test_applications(void)
{
	static const char *const yes[] = {"jtapi/1", "CP-1/2-SEP001122334455", "SEP001122334455/SEP001122334455", "a/SEP001122334455",
					  "0123456789012345678901234567890/0123456789012345678901234567890"};
	static const char *const no[] = {"", "/", "a", "a/", "/a", "a/b/c", "a b/c", "a/b\n", "a/b,CN=x", "SEP00112233445",
					 "01234567890123456789012345678901/a", "a/01234567890123456789012345678901"};
	X509 *cert = NULL;
	char name[PKI_DEVICE_MAX];

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		CU_ASSERT_TRUE(pki_app_valid(yes[i]));
		CU_ASSERT_FALSE(pki_device_valid(yes[i]));
		CU_ASSERT_EQUAL_FATAL(pki_lsc_issue(&ca, yes[i], ec_key, false, NOW, 365, &cert), 0);
		CU_ASSERT_EQUAL(pki_name_device(cert, name), -EACCES);
		CU_ASSERT_EQUAL(X509_get_extended_key_usage(cert), XKU_SSL_CLIENT);
		CU_ASSERT_EQUAL(X509_get_signature_nid(cert), NID_sha256WithRSAEncryption);
		X509_free(cert);
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		CU_ASSERT_FALSE(pki_app_valid(no[i]));
		CU_ASSERT_EQUAL(pki_lsc_issue(&ca, no[i], ec_key, false, NOW, 365, &cert), -EINVAL);
	}
}

static CU_TestInfo tests[] = {
	{"an LSC verifies and names its device", test_lsc_verifies},
	{"not before, not after, not from another issuer", test_time_and_issuer},
	{"no changed bit is accepted", test_changed_bits},
	{"only one exact form names a device", test_names},
	{"applications", test_applications},
	{"wrong purpose and weak keys and digests", test_purpose_and_strength},
	{"a phone cannot issue", test_lsc_cannot_issue},
	{"what is not issued", test_issue_refuses},
	{"requests: cut, changed, signed by another", test_csr},
	{"certificates cut at every length", test_parse_cut},
	{"PEM bundles", test_pem},
	{"openssl(1) agrees", test_stranger_agrees},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("x509", tests, setup, teardown)
