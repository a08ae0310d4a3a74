/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pki/spki.c and pki/certder.c: what they accept OpenSSL reads, and reads the same; what is no key, or not in DER, is refused; a
 * certificate that has a key's bytes is the one that OpenSSL would have made for the key.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>

#include "certder.h"
#include "spki.h"
#include "x509.h"

#define NOW 1800000000 /* 2027-01-15 */

static const struct {
	const char *curve; /* NULL: RSA of 'bits' */
	unsigned bits;
	int nid;
	bool lsc, old; /* acceptable */
} kinds[] = {
	{NULL, 512, NID_rsaEncryption, false, true},	 {NULL, 1024, NID_rsaEncryption, false, true},
	{NULL, 2048, NID_rsaEncryption, true, true},	 {NULL, 1536, NID_rsaEncryption, false, true},
	{"P-256", 256, NID_X9_62_prime256v1, true, true}, {"P-384", 384, NID_secp384r1, true, true},
	{"P-521", 521, NID_secp521r1, true, true},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static uint8_t *der[KINDS];
static size_t der_len[KINDS];
static EVP_PKEY *key[KINDS];

static int setup(void)
{
	for (size_t i = 0; i < KINDS; i++) {
		int n;

		key[i] = kinds[i].curve != NULL ? EVP_EC_gen(kinds[i].curve) : EVP_RSA_gen(kinds[i].bits);
		n = key[i] != NULL ? i2d_PUBKEY(key[i], &der[i]) : -1;
		if (n <= 0)
			return -1;
		der_len[i] = (size_t)n;
	}
	return 0;
}

static int teardown(void)
{
	for (size_t i = 0; i < KINDS; i++) {
		OPENSSL_free(der[i]);
		EVP_PKEY_free(key[i]);
	}
	return 0;
}

/* An exact copy on the heap, so that the sanitizer sees a byte too far. */
static int parse(const uint8_t *p, size_t len, struct pki_spki *ret)
{
	uint8_t *exact = malloc(len > 0 ? len : 1);
	int rc;

	memcpy(exact, p, len);
	rc = pki_spki_parse(exact, len, ret);
	free(exact);
	return rc;
}

static void test_kinds(void)
{
	for (size_t i = 0; i < KINDS; i++) {
		struct pki_spki k = {0};

		CU_ASSERT_EQUAL_FATAL(pki_spki_parse(der[i], der_len[i], &k), 0);
		CU_ASSERT_EQUAL(k.nid, kinds[i].nid);
		CU_ASSERT_EQUAL(k.bits, kinds[i].bits);
		CU_ASSERT_EQUAL(k.e_bits, kinds[i].curve != NULL ? 0 : 17);
		CU_ASSERT_PTR_EQUAL(k.der, der[i]);
		CU_ASSERT_EQUAL(k.len, der_len[i]);
		CU_ASSERT_EQUAL(pki_lsc_spki_acceptable(&k, false), kinds[i].lsc);
		CU_ASSERT_EQUAL(pki_lsc_spki_acceptable(&k, true), kinds[i].old);
		CU_ASSERT_EQUAL(pki_lsc_key_acceptable(key[i], false), kinds[i].lsc);
	}
}

static void test_exponents(void)
{
	static const struct {
		unsigned bits, e_bits;
		bool lsc, old;
	} t[] = {
		{2048, 16, false, false}, {2048, 17, true, true},  {2048, 64, true, true}, {2048, 65, false, false}, {4096, 17, true, true},
		{4097, 17, false, false}, {2047, 2, false, true}, {511, 17, false, false}, {1024, 65, false, false},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct pki_spki k = {.nid = NID_rsaEncryption, .bits = t[i].bits, .e_bits = t[i].e_bits};

		CU_ASSERT_EQUAL(pki_lsc_spki_acceptable(&k, false), t[i].lsc);
		CU_ASSERT_EQUAL(pki_lsc_spki_acceptable(&k, true), t[i].old);
	}
}

static void test_truncated(void)
{
	struct pki_spki k;

	for (size_t i = 0; i < KINDS; i++) {
		uint8_t *more = malloc(der_len[i] + 1);

		for (size_t n = 0; n < der_len[i]; n++)
			CU_ASSERT_EQUAL(parse(der[i], n, &k), -EBADMSG);
		memcpy(more, der[i], der_len[i]);
		more[der_len[i]] = 0;
		CU_ASSERT_EQUAL(parse(more, der_len[i] + 1, &k), -EBADMSG);
		free(more);
	}
}

/* Each bit in turn: what is still accepted OpenSSL accepts too, as a key of the same size. */
static void test_changed_bits(void)
{
	unsigned accepted = 0, refused = 0;

	for (size_t i = 0; i < KINDS; i++) {
		if (kinds[i].bits == 1536 || kinds[i].bits == 512) /* nothing that 2,048 and 1,024 have not */
			continue;
		for (size_t bit = 0; bit < der_len[i] * 8; bit += bit < 256 ? 1 : 7) {
			struct pki_spki k;

			der[i][bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (parse(der[i], der_len[i], &k) == 0) {
				const unsigned char *p = der[i];
				EVP_PKEY *theirs = d2i_PUBKEY(NULL, &p, (long)der_len[i]);

				CU_ASSERT_PTR_NOT_NULL_FATAL(theirs);
				CU_ASSERT_EQUAL((unsigned)EVP_PKEY_get_bits(theirs), k.bits);
				CU_ASSERT_EQUAL(EVP_PKEY_get_base_id(theirs), k.nid == NID_rsaEncryption ? EVP_PKEY_RSA : EVP_PKEY_EC);
				EVP_PKEY_free(theirs);
				accepted++;
			} else {
				refused++;
			}
			der[i][bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
	ERR_clear_error();
	CU_ASSERT(accepted > 100); /* another modulus is a modulus */
	CU_ASSERT(refused > 500);
}

static void test_rsa_that_is_none(void)
{
	size_t i = 2, len = der_len[i], at = len - 6; /* ... n, INTEGER 3 bytes 01 00 01 */
	uint8_t *d = malloc(len);
	struct pki_spki k;

	memcpy(d, der[i], len);
	CU_ASSERT_EQUAL_FATAL(d[len - 5], 2);
	d[at] &= 0xfe; /* an even modulus */
	CU_ASSERT_EQUAL(parse(d, len, &k), -EACCES);
	memcpy(d, der[i], len);
	d[len - 1] = 0; /* an even exponent */
	CU_ASSERT_EQUAL(parse(d, len, &k), -EACCES);
	d[len - 1] = 1;
	d[len - 3] = 0; /* 1 in three bytes: not the shortest */
	CU_ASSERT_EQUAL(parse(d, len, &k), -EBADMSG);
	memcpy(d, der[i], len);
	d[len - 3] = 0x81; /* negative */
	CU_ASSERT_EQUAL(parse(d, len, &k), -EBADMSG);
	memcpy(d, der[i], len);
	CU_ASSERT_FATAL(d[1] == 0x82 && d[5] == 0x0d && d[17] == 0x05 && d[18] == 0x00);
	d[17] = 0x06; /* the NULL of the algorithm: another tag */
	CU_ASSERT_EQUAL(parse(d, len, &k), -EBADMSG);
	for (uint8_t extra = 1; extra <= 3; extra++) { /* a NULL with content, all lengths around it right */
		size_t all = ((size_t)der[i][2] << 8 | der[i][3]) + extra;
		uint8_t *more = calloc(1, len + extra);

		memcpy(more, der[i], 19);
		memcpy(more + 19 + extra, der[i] + 19, len - 19);
		more[2] = (uint8_t)(all >> 8);
		more[3] = (uint8_t)all;
		more[5] = (uint8_t)(0x0d + extra);
		more[18] = extra;
		for (size_t n = 0; n <= len + extra; n++)
			CU_ASSERT_EQUAL(parse(more, n, &k), -EBADMSG);
		free(more);
	}
	free(d);
}

static void test_ec_that_is_none(void)
{
	static const uint8_t infinity[] = {0x30, 0x15, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
					   0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x02, 0x00, 0x00};
	size_t i = 4, len = der_len[i];
	uint8_t d[200];
	struct pki_spki k;

	memcpy(d, der[i], len);
	d[len - 1] ^= 1; /* beside the curve */
	CU_ASSERT_EQUAL(parse(d, len, &k), -EACCES);
	memcpy(d, der[i], len);
	memset(d + len - 64, 0xff, 64); /* outside the field */
	CU_ASSERT_EQUAL(parse(d, len, &k), -EACCES);
	memcpy(d, der[i], len);
	d[len - 65] = 6 + (d[len - 1] & 1); /* hybrid */
	CU_ASSERT_EQUAL(parse(d, len, &k), -EBADMSG);
	CU_ASSERT_EQUAL(parse(infinity, sizeof(infinity), &k), -EBADMSG);
	memcpy(d, der[i], len);
	d[22] = 0x01; /* prime192v1: a point of another length, and a curve that nobody asks for */
	CU_ASSERT_EQUAL(parse(d, len, &k), -ENOTSUP);
	memcpy(d, der[i], len);
	CU_ASSERT_EQUAL_FATAL(EVP_PKEY_set_utf8_string_param(key[i], OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed"), 1);
	{
		uint8_t *c = NULL;
		int n = i2d_PUBKEY(key[i], &c);

		CU_ASSERT_EQUAL_FATAL(parse(c, (size_t)n, &k), 0);
		CU_ASSERT_EQUAL(k.bits, 256);
		OPENSSL_free(c);
	}
	EVP_PKEY_set_utf8_string_param(key[i], OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed");
}

static void test_other_kinds(void)
{
	static const char *const names[] = {"ED25519", "X25519"};
	struct pki_spki k;

	for (size_t i = 0; i < 2; i++) {
		EVP_PKEY *other = EVP_PKEY_Q_keygen(NULL, NULL, names[i]);
		uint8_t *d = NULL;
		int n = i2d_PUBKEY(other, &d);

		CU_ASSERT_EQUAL(parse(d, (size_t)n, &k), -ENOTSUP);
		CU_ASSERT_FALSE(pki_lsc_key_acceptable(other, true));
		OPENSSL_free(d);
		EVP_PKEY_free(other);
	}
	{
		EVP_PKEY *explicit_ = EVP_PKEY_dup(key[4]);
		uint8_t *d = NULL;
		int n;

		EVP_PKEY_set_utf8_string_param(explicit_, OSSL_PKEY_PARAM_EC_ENCODING, "explicit");
		n = i2d_PUBKEY(explicit_, &d);
		CU_ASSERT_EQUAL(parse(d, (size_t)n, &k), -EBADMSG);
		CU_ASSERT_FALSE(pki_lsc_key_acceptable(explicit_, true));
		OPENSSL_free(d);
		EVP_PKEY_free(explicit_);
	}
}

/* Lengths longer than they need be, no parameters, a modulus without its leading zero: OpenSSL reads them, and so does canon(). */
static void test_canon(void)
{
	size_t i = 2, len = der_len[i];
	uint8_t *d = malloc(len + 1), *out = NULL;
	size_t out_len = 0;
	struct pki_spki k;

	memcpy(d, der[i], 1);
	CU_ASSERT_EQUAL_FATAL(der[i][1], 0x82);
	d[1] = 0x83;
	d[2] = 0;
	memcpy(d + 3, der[i] + 2, len - 2);
	CU_ASSERT_EQUAL(parse(d, len + 1, &k), -EBADMSG);
	CU_ASSERT_EQUAL_FATAL(pki_spki_canon(d, len + 1, &out, &out_len), 0);
	CU_ASSERT_EQUAL_FATAL(out_len, len);
	CU_ASSERT_EQUAL(memcmp(out, der[i], len), 0);
	OPENSSL_free(out);
	CU_ASSERT_EQUAL(pki_spki_canon(d, len, &out, &out_len), -EBADMSG);
	CU_ASSERT_EQUAL(pki_spki_canon(d, 0, &out, &out_len), -EBADMSG);
	free(d);
}

/* The bytes of the key, and with them all that follows from the key, are as OpenSSL would have put them. */
static void test_in_a_certificate(void)
{
	for (size_t i = 0; i < KINDS; i++) {
		X509 *ours = X509_new(), *theirs = X509_new();
		uint8_t *a = NULL, *b = NULL;
		struct pki_spki k;
		int n, m;

		CU_ASSERT_EQUAL_FATAL(pki_spki_parse(der[i], der_len[i], &k), 0);
		CU_ASSERT_EQUAL_FATAL(pki_spki_set(ours, &k), 0);
		CU_ASSERT_EQUAL_FATAL(X509_set_pubkey(theirs, key[i]), 1);
		n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(ours), &a);
		m = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(theirs), &b);
		CU_ASSERT_EQUAL_FATAL(n, m);
		CU_ASSERT_EQUAL(memcmp(a, b, (size_t)n), 0);
		CU_ASSERT_EQUAL((size_t)n, der_len[i]);
		OPENSSL_free(a);
		OPENSSL_free(b);
		X509_free(ours);
		X509_free(theirs);
	}
}

/* --- certder.c --- */

static void test_certificates(void)
{
	struct pki_ca ca = {0};

	CU_ASSERT_EQUAL_FATAL(pki_key_create(PKI_EC_P256, &ca.key), 0);
	CU_ASSERT_EQUAL_FATAL(pki_ca_issue(ca.key, "CAPF-test", "test", NOW, 36500, &ca.cert), 0);
	for (unsigned days = 1; days < 36500; days = days * 3 + 1) { /* to both kinds of time */
		for (size_t i = 2; i < KINDS; i += 2) {
			struct pki_certder c = {0};
			struct pki_spki k;
			X509 *read = NULL;
			uint8_t *d = NULL;
			size_t n = 0;

			CU_ASSERT_EQUAL_FATAL(pki_spki_parse(der[i], der_len[i], &k), 0);
			CU_ASSERT_EQUAL_FATAL(pki_lsc_issue_spki(&ca, "SEP0011223344AA", &k, false, NOW, days, &d, &n), 0);
			CU_ASSERT_EQUAL_FATAL(pki_certder_parse(d, n, &c), 0);
			CU_ASSERT_EQUAL(c.not_after, NOW + (int64_t)days * 86400);
			CU_ASSERT_EQUAL_FATAL(c.serial_len, 16);
			CU_ASSERT_EQUAL_FATAL(c.spki_len, der_len[i]);
			CU_ASSERT_EQUAL(memcmp(c.spki, der[i], der_len[i]), 0);
			CU_ASSERT_EQUAL_FATAL(pki_cert_parse(d, n, &read), 0); /* with its key decoded */
			CU_ASSERT_EQUAL(memcmp(c.serial, ASN1_STRING_get0_data(X509_get0_serialNumber(read)), 16), 0);
			CU_ASSERT_EQUAL(EVP_PKEY_eq(X509_get0_pubkey(read), key[i]), 1);
			CU_ASSERT_EQUAL(X509_verify(read, ca.key), 1);
			for (size_t cut = 0; days == 1 && cut < n; cut++) {
				uint8_t *exact = malloc(cut > 0 ? cut : 1);

				memcpy(exact, d, cut);
				CU_ASSERT_EQUAL(pki_certder_parse(exact, cut, &c), -EBADMSG);
				free(exact);
			}
			X509_free(read);
			OPENSSL_free(d);
		}
	}
	EVP_PKEY_free(ca.key);
	X509_free(ca.cert);
}

static void test_certificate_bits(void)
{
	struct pki_ca ca = {0};
	struct pki_certder c;
	X509 *cert = NULL;
	uint8_t *d = NULL;
	unsigned agreed = 0;
	int n;

	CU_ASSERT_EQUAL_FATAL(pki_key_create(PKI_EC_P256, &ca.key), 0);
	CU_ASSERT_EQUAL_FATAL(pki_ca_issue(ca.key, "CAPF-test", "test", NOW, 3650, &ca.cert), 0);
	CU_ASSERT_EQUAL_FATAL(pki_lsc_issue(&ca, "SEP0011223344AA", key[4], false, NOW, 365, &cert), 0);
	n = i2d_X509(cert, &d);
	for (int bit = 0; bit < n * 8; bit++) {
		d[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (pki_certder_parse(d, (size_t)n, &c) == 0) {
			const unsigned char *p = d;
			X509 *theirs = d2i_X509(NULL, &p, n);

			if (theirs != NULL) {
				CU_ASSERT_EQUAL(ASN1_TIME_cmp_time_t(X509_get0_notAfter(theirs), (time_t)c.not_after), 0);
				CU_ASSERT_EQUAL((size_t)ASN1_STRING_length(X509_get0_serialNumber(theirs)), c.serial_len);
				CU_ASSERT_EQUAL(memcmp(ASN1_STRING_get0_data(X509_get0_serialNumber(theirs)), c.serial, c.serial_len), 0);
				agreed++;
			}
			X509_free(theirs);
		}
		d[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ERR_clear_error();
	CU_ASSERT(agreed > 1000);
	OPENSSL_free(d);
	X509_free(cert);
	EVP_PKEY_free(ca.key);
	X509_free(ca.cert);
}

static CU_TestInfo tests[] = {
	{"keys of every kind", test_kinds},
	{"sizes and exponents that are certified", test_exponents},
	{"a key cut at every length", test_truncated},
	{"a bit changed anywhere: OpenSSL agrees", test_changed_bits},
	{"RSA that is none", test_rsa_that_is_none},
	{"a point that is none", test_ec_that_is_none},
	{"other kinds of keys", test_other_kinds},
	{"what only OpenSSL reads", test_canon},
	{"a key's bytes in a certificate", test_in_a_certificate},
	{"certificates by their bytes", test_certificates},
	{"certificates with a bit changed: OpenSSL agrees", test_certificate_bits},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("spki", tests, setup, teardown)
