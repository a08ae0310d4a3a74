/* SPDX-License-Identifier: BSD-3-Clause */
/* Whom TVS vouches for: answers as another program's server gave them, byte for byte, and what phones must not be told. */
#include <errno.h>

#include <openssl/pem.h>

#include "dialogue.h"
#include "enrol/tvsbook.h"
#include "suite.h"
#include "trustlist.h"
#include "x509.h"

#define DAY 86400

static X509 *cert_of(const char *set, const char *name)
{
	struct blob b = trust_file(set, name);
	BIO *bio = BIO_new_mem_buf(b.p, (int)b.len);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	if (cert == NULL)
		abort();
	BIO_free(bio);
	free(b.p);
	return cert;
}

/* What the recording's server was told: its certificates and their roles. */
static const struct {
	const char *name;
	uint8_t role;
} vouched[] = {
	{"keys/sast1.pem", PKI_TL_SAST},	 {"keys/sast1.pem", PKI_TL_TVS},	  {"keys/sast2.pem", PKI_TL_SAST},
	{"keys/tftp.pem", PKI_TL_TFTP},		 {"keys/ccm-tftp.pem", PKI_TL_CCM},	  {"keys/ccm-tftp.pem", PKI_TL_CCM_TFTP},
	{"keys/ccm-tftp.pem", PKI_TL_TFTP},	 {"keys/app-ec.pem", PKI_TL_APP_SERVER}, {"keys/capf.pem", PKI_TL_CAPF},
};

static int64_t time_of(X509 *cert, int64_t days)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(X509_get0_notBefore(cert), &tm) != 1)
		abort();
	return timegm(&tm) + days * DAY;
}

struct play {
	struct cp_tvs_book *book;
	int64_t now;
	struct cp_tvs_msg req;
	uint8_t asked[8192];
	unsigned vouched, unknown;
};

static void replay(const char *file, const struct dlg_msg *d, void *ctx)
{
	struct play *p = ctx;
	struct cp_tvs_msg want, got;
	uint8_t out[CP_TVS_MSG_MAX];
	enum cp_tvs_answer a;
	int len;

	if (d->from == 'C') {
		memcpy(p->asked, d->buf, d->len);
		CU_ASSERT_EQUAL(cp_tvs_parse(p->asked, d->len, &p->req), 0);
		return;
	}
	CU_ASSERT_EQUAL(cp_tvs_parse(d->buf, d->len, &want), 0);
	p->req.id = want.id; /* recorded and constructed ones count alike */
	a = cp_tvs_book_answer(p->book, &p->req, p->now, want.ttl_s, &got);
	CU_ASSERT_EQUAL(a, want.status == CP_TVS_VALID ? CP_TVS_VOUCHED : CP_TVS_UNKNOWN);
	p->vouched += a == CP_TVS_VOUCHED;
	p->unknown += a == CP_TVS_UNKNOWN;
	len = cp_tvs_build(&got, out, sizeof(out));
	CU_ASSERT(len == (int)d->len && memcmp(out, d->buf, d->len) == 0);
	if (len != (int)d->len || memcmp(out, d->buf, d->len) != 0)
		fprintf(stderr, "%s: %s\n", file, d->said);
}

/* 002:P2-05, P2-12: by the whole certificate and by issuer and serial, with the signer's certificate in the second answer. */
static void test_recorded(void)
{
	static const char *const sets[] = {"set-a-sha1", "set-b-sha512"};

	for (unsigned s = 0; s < 2; s++) {
		static struct play p;

		p = (struct play){.book = cp_tvs_book_create()};
		for (size_t i = 0; i < sizeof(vouched) / sizeof(vouched[0]); i++) {
			X509 *cert = cert_of(sets[s], vouched[i].name);

			CU_ASSERT_EQUAL(cp_tvs_book_add(p.book, cert, vouched[i].role), 0);
			p.now = time_of(cert, 30);
			X509_free(cert);
		}
		CU_ASSERT_EQUAL(cp_tvs_book_close(p.book), 0);
		CU_ASSERT_EQUAL(dlg_each(sets[s], "tvs", NULL, replay, &p), 16);
		CU_ASSERT(p.vouched == 6 && p.unknown == 2);
		cp_tvs_book_destroy(p.book);
	}
}

static void test_rules(void)
{
	struct cp_tvs_book *book = cp_tvs_book_create();
	X509 *tftp = cert_of("set-a-sha1", "keys/tftp.pem"), *rogue = cert_of("set-a-sha1", "keys/rogue.pem");
	int64_t now = time_of(tftp, 30);
	uint8_t *der = NULL, zeros[CP_TVS_SERIAL_MAX] = {0};
	size_t serial_len = (size_t)ASN1_STRING_length(X509_get0_serialNumber(tftp));
	struct cp_tvs_msg req = {.type = CP_TVS_VERIFY_REQUEST, .id = 7}, out;
	char issuer[CP_TVS_DN_MAX];
	int len = i2d_X509(tftp, &der);

	req.cert = der;
	req.cert_len = (size_t)len;
	/* nobody yet */
	CU_ASSERT_EQUAL(cp_tvs_book_close(book), 0);
	CU_ASSERT_EQUAL(cp_tvs_book_answer(book, &req, now, 100, &out), CP_TVS_UNKNOWN);
	CU_ASSERT(out.have == CP_TVS_BIT(CP_TVS_STATUS) && out.status == CP_TVS_NOT_VALID && out.id == 7);
	/* two roles of one certificate, in the order they were given, each once */
	CU_ASSERT_EQUAL(cp_tvs_book_add(book, tftp, PKI_TL_SAST), 0);
	CU_ASSERT_EQUAL(cp_tvs_book_add(book, tftp, PKI_TL_TFTP), 0);
	CU_ASSERT_EQUAL(cp_tvs_book_add(book, tftp, PKI_TL_SAST), 0);
	CU_ASSERT_EQUAL(cp_tvs_book_close(book), 0);
	CU_ASSERT_EQUAL(cp_tvs_book_count(book), 1);
	CU_ASSERT_EQUAL(cp_tvs_book_answer(book, &req, now, CP_TVS_TTL_S, &out), CP_TVS_VOUCHED);
	CU_ASSERT(out.role_cnt == 2 && out.roles[0] == PKI_TL_SAST && out.roles[1] == PKI_TL_TFTP && out.ttl_s == CP_TVS_TTL_S);
	CU_ASSERT((out.have & CP_TVS_BIT(CP_TVS_CERT)) == 0);
	/* any byte of it is another certificate */
	for (int i = 0; i < len; i += 11) {
		der[i] ^= 1;
		CU_ASSERT_EQUAL(cp_tvs_book_answer(book, &req, now, 100, &out), CP_TVS_UNKNOWN);
		der[i] ^= 1;
	}
	/* not before and not after its time; and no answer outlives it */
	CU_ASSERT_EQUAL(cp_tvs_book_answer(book, &req, time_of(tftp, -1), 100, &out), CP_TVS_EXPIRED);
	CU_ASSERT(out.status == CP_TVS_NOT_VALID && out.have == CP_TVS_BIT(CP_TVS_STATUS));
	CU_ASSERT_EQUAL(cp_tvs_book_answer(book, &req, time_of(tftp, 4000), 100, &out), CP_TVS_EXPIRED);
	{
		struct tm tm;
		int64_t end;

		ASN1_TIME_to_tm(X509_get0_notAfter(tftp), &tm);
		end = timegm(&tm);
		CU_ASSERT_EQUAL(cp_tvs_book_answer(book, &req, end - 60, CP_TVS_TTL_S, &out), CP_TVS_VOUCHED);
		CU_ASSERT_EQUAL(out.ttl_s, 60);
		CU_ASSERT_EQUAL(cp_tvs_book_answer(book, &req, end, CP_TVS_TTL_S, &out), CP_TVS_EXPIRED);
	}
	/* by name and serial: a leading zero is no other number; another issuer's number is */
	CU_ASSERT(pki_tl_dn(X509_get_issuer_name(tftp), issuer, sizeof(issuer)) > 0);
	req = (struct cp_tvs_msg){.type = CP_TVS_QUERY_REQUEST, .issuer = issuer, .serial = zeros, .serial_len = serial_len + 1};
	memcpy(zeros + 1, ASN1_STRING_get0_data(X509_get0_serialNumber(tftp)), serial_len);
	CU_ASSERT_EQUAL(cp_tvs_book_answer(book, &req, now, 100, &out), CP_TVS_VOUCHED);
	CU_ASSERT(out.cert_len == (size_t)len && memcmp(out.cert, der, out.cert_len) == 0);
	req.issuer = "CN=somebody else";
	CU_ASSERT_EQUAL(cp_tvs_book_answer(book, &req, now, 100, &out), CP_TVS_UNKNOWN);
	req.issuer = issuer;
	zeros[serial_len] ^= 1;
	CU_ASSERT_EQUAL(cp_tvs_book_answer(book, &req, now, 100, &out), CP_TVS_UNKNOWN);
	/* an answer is no question */
	req = (struct cp_tvs_msg){.type = CP_TVS_VERIFY_RESPONSE};
	CU_ASSERT_EQUAL(cp_tvs_book_answer(book, &req, now, 100, &out), CP_TVS_NO_REQUEST);
	/* more roles than an answer has room for */
	for (unsigned r = 0; r < CP_TVS_ROLES_MAX; r++)
		CU_ASSERT_EQUAL(cp_tvs_book_add(book, rogue, (uint8_t)(100 + r)), 0);
	CU_ASSERT_EQUAL(cp_tvs_book_add(book, rogue, 99), -ENOSPC);
	OPENSSL_free(der);
	X509_free(tftp);
	X509_free(rogue);
	cp_tvs_book_destroy(book);
	cp_tvs_book_destroy(NULL);
}

/* The same serial number of many issuers, and many numbers of one: each finds its own. */
static void test_many(void)
{
	struct cp_tvs_book *book = cp_tvs_book_create();
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert[40];
	struct cp_tvs_msg out;
	int64_t now = 1800000000;

	for (unsigned i = 0; i < 40; i++) {
		char cn[32];

		snprintf(cn, sizeof(cn), "Server %u", i / 4);
		CU_ASSERT_EQUAL(pki_own_issue(NULL, key, PKI_USE_SERVER, cn, "O", NULL, 0, now, 30, &cert[i]), 0);
		ASN1_INTEGER_set(X509_get_serialNumber(cert[i]), (long)(i % 4) * 1000 + 5);
		X509_sign(cert[i], key, EVP_sha256());
		CU_ASSERT_EQUAL(cp_tvs_book_add(book, cert[i], (uint8_t)(i + 1)), 0);
	}
	CU_ASSERT_EQUAL(cp_tvs_book_close(book), 0);
	CU_ASSERT_EQUAL(cp_tvs_book_count(book), 40);
	for (unsigned i = 0; i < 40; i++) {
		const ASN1_INTEGER *serial = X509_get0_serialNumber(cert[i]);
		char issuer[CP_TVS_DN_MAX];
		struct cp_tvs_msg req = {.type = CP_TVS_QUERY_REQUEST,
					 .issuer = issuer,
					 .serial = ASN1_STRING_get0_data(serial),
					 .serial_len = (size_t)ASN1_STRING_length(serial)};

		pki_tl_dn(X509_get_issuer_name(cert[i]), issuer, sizeof(issuer));
		CU_ASSERT_EQUAL(cp_tvs_book_answer(book, &req, now + DAY, 100, &out), CP_TVS_VOUCHED);
		CU_ASSERT(out.role_cnt == 1 && out.roles[0] == i + 1);
	}
	for (unsigned i = 0; i < 40; i++)
		X509_free(cert[i]);
	EVP_PKEY_free(key);
	cp_tvs_book_destroy(book);
}

static CU_TestInfo tests[] = {
	{"recorded questions get the recorded answers", test_recorded},
	{"rules", test_rules},
	{"many issuers, many numbers", test_many},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("tvsbook", tests, NULL, NULL)
