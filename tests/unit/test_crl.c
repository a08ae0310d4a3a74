/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Revocation lists: what OpenSSL's own verification makes of them, what is refused, and 100,000 entries. RFC 5280 section 5.
 */
#include <errno.h>

#include <openssl/x509_vfy.h>

#include "cert_fix.h"
#include "crl.h"
#include "suite.h"

#define NOW INT64_C(1790000000)
#define DAY 86400

static struct cf_id ca, other, no_sign, phone, lost;

static int setup(void)
{
	static const uint8_t serial[16] = {0x40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

	ca = cf_make(&(struct cf_opts){.cn = "CAPF", .from = NOW - DAY, .to = NOW + 900 * DAY, .basic = "critical,CA:TRUE", .ku = CF_CA_KU});
	other = cf_ca("CAPF", NULL, NOW - DAY, NOW + 900 * DAY);
	no_sign = cf_make(&(struct cf_opts){.cn = "X", .from = NOW - DAY, .to = NOW + DAY, .basic = "critical,CA:TRUE", .ku = "critical,keyCertSign"});
	phone = cf_make(&(struct cf_opts){.cn = "SEP001122334455", .issuer = &ca, .from = NOW - DAY, .to = NOW + 300 * DAY});
	lost = cf_make(&(struct cf_opts){.cn = "SEP001122334456", .issuer = &ca, .from = NOW - DAY, .to = NOW + 300 * DAY, .serial = serial,
					 .serial_len = sizeof(serial)});
	return 0;
}

static int teardown(void)
{
	cf_free(&ca);
	cf_free(&other);
	cf_free(&no_sign);
	cf_free(&phone);
	cf_free(&lost);
	return 0;
}

static size_t entry_of(X509 *cert, int64_t at, unsigned reason, uint8_t *buf)
{
	const ASN1_INTEGER *s = X509_get0_serialNumber(cert);
	int n = pki_crl_entry(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s), at, reason, buf);

	CU_ASSERT_FATAL(n > 0);
	return (size_t)n;
}

static X509_CRL *make(const struct cf_id *by, const uint8_t *entries, size_t len)
{
	uint8_t *der = NULL;
	const uint8_t *p;
	size_t n = 0;
	X509_CRL *crl;

	CU_ASSERT_EQUAL_FATAL(pki_crl_issue(&(struct pki_ca){by->key, by->cert}, entries, len, 7, NOW, 7 * DAY, &der, &n), 0);
	p = der;
	crl = d2i_X509_CRL(NULL, &p, (long)n);
	CU_ASSERT_FATAL(crl != NULL && p == der + n);
	OPENSSL_free(der);
	return crl;
}

/* What OpenSSL says of a certificate with this list. */
static int verdict(X509_CRL *crl, X509 *cert, int64_t at)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;
	int err;

	X509_STORE_add_cert(store, ca.cert);
	X509_STORE_add_crl(store, crl);
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
	X509_STORE_CTX_init(ctx, store, cert, NULL);
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_time(param, (time_t)at);
	(void)X509_verify_cert(ctx);
	err = X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return err;
}

static void test_openssl_believes_it(void)
{
	uint8_t buf[2 * PKI_CRL_ENTRY_MAX];
	X509_CRL *crl = make(&ca, NULL, 0);
	X509_REVOKED *r = NULL;
	ASN1_INTEGER *number;
	int crit = 0;
	size_t n;

	CU_ASSERT_EQUAL(verdict(crl, lost.cert, NOW), X509_V_OK); /* an empty one: nobody is revoked */
	CU_ASSERT_EQUAL(verdict(crl, lost.cert, NOW + 7 * DAY + 1), X509_V_ERR_CRL_HAS_EXPIRED);
	X509_CRL_free(crl);
	n = entry_of(lost.cert, NOW - 60, 1, buf);
	crl = make(&ca, buf, n);
	CU_ASSERT_EQUAL(verdict(crl, lost.cert, NOW), X509_V_ERR_CERT_REVOKED);
	CU_ASSERT_EQUAL(verdict(crl, phone.cert, NOW), X509_V_OK);
	CU_ASSERT_EQUAL(X509_CRL_get0_by_cert(crl, &r, lost.cert), 1);
	number = X509_CRL_get_ext_d2i(crl, NID_crl_number, &crit, NULL);
	CU_ASSERT(number != NULL && ASN1_INTEGER_get(number) == 7);
	ASN1_INTEGER_free(number);
	CU_ASSERT(X509_CRL_get_ext_by_NID(crl, NID_authority_key_identifier, -1) < 0); /* this issuer has no key identifier */
	X509_CRL_free(crl);
	crl = make(&other, buf, n); /* of the same name, by another key */
	CU_ASSERT(verdict(crl, phone.cert, NOW) != X509_V_OK);
	X509_CRL_free(crl);
}

static void test_refused(void)
{
	uint8_t buf[4 * PKI_CRL_ENTRY_MAX], *der = NULL;
	struct pki_ca by = {ca.key, ca.cert};
	size_t n = entry_of(lost.cert, NOW, 4, buf), len = 0;

	for (size_t cut = 1; cut < n; cut++)
		CU_ASSERT_EQUAL(pki_crl_issue(&by, buf, cut, 1, NOW, DAY, &der, &len), -EBADMSG);
	buf[n - 1] = 11; /* no such reason */
	CU_ASSERT_EQUAL(pki_crl_issue(&by, buf, n, 1, NOW, DAY, &der, &len), -EBADMSG);
	buf[n - 1] = 7; /* nor this */
	CU_ASSERT_EQUAL(pki_crl_issue(&by, buf, n, 1, NOW, DAY, &der, &len), -EBADMSG);
	buf[n - 1] = 4;
	memcpy(buf + n, buf, n);
	CU_ASSERT_EQUAL(pki_crl_issue(&by, buf, 2 * n, 1, NOW, DAY, &der, &len), -EBADMSG); /* twice */
	CU_ASSERT_EQUAL(pki_crl_issue(&by, buf, n, 1, NOW, 0, &der, &len), -EINVAL);
	entry_of(lost.cert, NOW + 2 * DAY, 4, buf);
	CU_ASSERT_EQUAL(pki_crl_issue(&by, buf, n, 1, NOW, DAY, &der, &len), -EBADMSG); /* in the future */
	by = (struct pki_ca){no_sign.key, no_sign.cert};
	CU_ASSERT_EQUAL(pki_crl_issue(&by, buf, 0, 1, NOW, DAY, &der, &len), -EACCES);
	CU_ASSERT(der == NULL && len == 0);
	CU_ASSERT_EQUAL(pki_crl_entry(buf, 0, NOW, 1, buf), -EINVAL);
	CU_ASSERT_EQUAL(pki_crl_entry(buf, 21, NOW, 1, buf), -EINVAL);
	CU_ASSERT_EQUAL(pki_crl_entry(buf, 8, NOW, 7, buf), -EINVAL);
}

static void test_many(void)
{
	size_t cnt = 100000, len = 0;
	uint8_t *buf = malloc(cnt * PKI_CRL_ENTRY_MAX);
	X509_CRL *crl;

	for (size_t i = 0; i < cnt; i++) {
		uint8_t serial[16] = {0x40, (uint8_t)(i * 7), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

		len += (size_t)pki_crl_entry(serial, sizeof(serial), NOW - (int64_t)i, 4, buf + len);
	}
	crl = make(&ca, buf, len);
	CU_ASSERT_EQUAL(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), (int)cnt);
	X509_CRL_free(crl);
	free(buf);
}

static CU_TestInfo tests[] = {
	{"OpenSSL believes it", test_openssl_believes_it},
	{"what is refused", test_refused},
	{"100,000 entries", test_many},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("crl", tests, setup, teardown)
