/* SPDX-License-Identifier: BSD-3-Clause */
/* Whom TVS vouches for: answers as another program's server gave them, byte for byte, and what phones must not be told. */
#include <errno.h>

#include <openssl/pem.h>

#include "dialogue.h"
#include "enrol/tvsbook.h"
#include "enrol/tvsfeed.h"
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

/* --- what a cluster vouches for --- */

static struct {
	EVP_PKEY *key;
	X509 *own[16], *store[CP_TS_MAX];
	const char *name[16];
	unsigned cnt;
} cluster;

static X509 *make(const char *cn)
{
	X509 *cert = NULL;

	if (pki_own_issue(NULL, cluster.key, PKI_USE_SERVER, cn, "O", NULL, 0, 1800000000, 30, &cert) != 0)
		abort();
	return cert;
}

static X509 *own_of(void *ctx, const char *name)
{
	(void)ctx;
	for (unsigned i = 0; i < cluster.cnt; i++)
		if (strcmp(cluster.name[i], name) == 0) {
			X509_up_ref(cluster.own[i]);
			return cluster.own[i];
		}
	return NULL;
}

static STACK_OF(X509) *trusted_of(void *ctx, enum cp_trust_store ts)
{
	STACK_OF(X509) *list = sk_X509_new_null();

	(void)ctx;
	X509_up_ref(cluster.store[ts]);
	sk_X509_push(list, cluster.store[ts]);
	return list;
}

static unsigned roles_of(struct cp_tvs_book *book, X509 *cert, uint8_t roles[CP_TVS_ROLES_MAX])
{
	struct cp_tvs_msg req = {.type = CP_TVS_VERIFY_REQUEST}, out;
	uint8_t *der = NULL;
	int len = i2d_X509(cert, &der);

	req.cert = der;
	req.cert_len = (size_t)len;
	(void)cp_tvs_book_answer(book, &req, 1800000000 + DAY, 100, &out);
	OPENSSL_free(der);
	memcpy(roles, out.roles, sizeof(out.roles));
	return out.role_cnt;
}

/* 002:P2-08, P2-12: own certificates, what they replaced, and every store whose members a phone may meet. */
static void test_feed(void)
{
	static const struct {
		const char *name;
		unsigned cnt;
		uint8_t roles[2];
	} want[] = {
		{"SAST1", 1, {PKI_TL_SAST}},	      {"ITLRecovery", 1, {PKI_TL_SAST}}, {"TFTP", 2, {PKI_TL_SAST, PKI_TL_TFTP}},
		{"TFTP.prev", 2, {PKI_TL_SAST, PKI_TL_TFTP}}, {"TFTP-EC", 1, {PKI_TL_TFTP}},  {"CallManager", 1, {PKI_TL_CCM}},
		{"CAPF", 1, {PKI_TL_CAPF}},	      {"CAPF-TLS", 1, {PKI_TL_CAPF}},	  {"TVS", 1, {PKI_TL_TVS}},
		{"HTTPS", 1, {PKI_TL_APP_SERVER}},
	};
	static const int store_role[CP_TS_MAX] = {PKI_TL_CCM,	     PKI_TL_CAPF,	 PKI_TL_TVS,	   -1,
						  PKI_TL_APP_SERVER, PKI_TL_APP_SERVER, PKI_TL_APP_SERVER};
	const struct cp_tvs_source src = {own_of, trusted_of, NULL};
	uint8_t roles[CP_TVS_ROLES_MAX];
	struct cp_tvs_book *book;

	cluster.key = EVP_EC_gen("P-256");
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		cluster.name[cluster.cnt] = want[i].name;
		cluster.own[cluster.cnt++] = make(want[i].name);
	}
	for (unsigned ts = 0; ts < CP_TS_MAX; ts++)
		cluster.store[ts] = make(cp_trust_store_name((enum cp_trust_store)ts));
	book = cp_tvs_feed(&src);
	CU_ASSERT_PTR_NOT_NULL_FATAL(book);
	CU_ASSERT_EQUAL(cp_tvs_book_count(book), cluster.cnt + CP_TS_MAX - 1);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		CU_ASSERT_EQUAL(roles_of(book, cluster.own[i], roles), want[i].cnt);
		CU_ASSERT_EQUAL(memcmp(roles, want[i].roles, want[i].cnt), 0);
	}
	for (unsigned ts = 0; ts < CP_TS_MAX; ts++) {
		CU_ASSERT_EQUAL(roles_of(book, cluster.store[ts], roles), store_role[ts] < 0 ? 0 : 1);
		CU_ASSERT(store_role[ts] < 0 || roles[0] == store_role[ts]);
	}
	cp_tvs_book_destroy(book);
	/* one that is in two stores has both roles */
	X509_free(cluster.store[CP_TS_HTTPS]);
	cluster.store[CP_TS_HTTPS] = cluster.store[CP_TS_TVS];
	X509_up_ref(cluster.store[CP_TS_TVS]);
	book = cp_tvs_feed(&src);
	CU_ASSERT(roles_of(book, cluster.store[CP_TS_TVS], roles) == 2 && roles[0] == PKI_TL_TVS && roles[1] == PKI_TL_APP_SERVER);
	cp_tvs_book_destroy(book);
	/* another node's signer: it has no extended key usage, and signs lists and files */
	X509_free(cluster.store[CP_TS_TVS]);
	if (pki_own_issue(NULL, cluster.key, PKI_USE_SIGN, "TFTP of another", "O", NULL, 0, 1800000000, 30, &cluster.store[CP_TS_TVS]) != 0)
		abort();
	book = cp_tvs_feed(&src);
	CU_ASSERT(roles_of(book, cluster.store[CP_TS_TVS], roles) == 2 && roles[0] == PKI_TL_SAST && roles[1] == PKI_TL_TFTP);
	cp_tvs_book_destroy(book);
	for (unsigned i = 0; i < cluster.cnt; i++)
		X509_free(cluster.own[i]);
	for (unsigned ts = 0; ts < CP_TS_MAX; ts++)
		X509_free(cluster.store[ts]);
	EVP_PKEY_free(cluster.key);
}

static CU_TestInfo tests[] = {
	{"recorded questions get the recorded answers", test_recorded},
	{"rules", test_rules},
	{"many issuers, many numbers", test_many},
	{"what a cluster vouches for", test_feed},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("tvsbook", tests, NULL, NULL)
