/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SCEP (RFC 8894) towards a third party's CA: requests and messages are read by the tests' own CA (bench/sim/scepca.h), whose answers are
 * right, wrong in each field, by somebody else, for somebody else, cut at every length, changed at each byte; and the certificates that
 * operators bring. 004b:CAPF-01, CAPF-03.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include <openssl/provider.h>
#include <openssl/rand.h>

#include "cert_fix.h"
#include "enrol/certin.h"
#include "enrol/scepc.h"
#include "scep.h"
#include "scepca.h"
#include "signer.h"
#include "suite.h"
#include "x509.h"

#define PHONE "SEP001122334455"

static struct cf_id ca, ra_of_ca, stranger, us, other;
static EVP_PKEY *phone;
static struct pki_scep_ca known;
static uint8_t pin[32], nonce[16] = "our own nonce 16", wrong[16] = "somebody else's.";
static char tid[PKI_SCEP_TID_MAX];
static int64_t now;
static char why[300];
static OSSL_LIB_CTX *old_lib;
static OSSL_PROVIDER *providers[2];

static struct cf_id make(const char *cn, const struct cf_id *issuer, const char *basic, const char *ku, int64_t to)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	struct cf_id id = cf_make(&(struct cf_opts){.cn = cn, .issuer = issuer, .key = key, .from = now - 1000, .to = to, .basic = basic, .ku = ku});

	EVP_PKEY_free(key);
	return id;
}

static int setup(void)
{
	size_t len;
	uint8_t *der;

	now = time(NULL);
	ca = make("CA", NULL, "critical,CA:TRUE", CF_CA_KU, now + 100000);
	ra_of_ca = make("RA of the CA", &ca, "critical,CA:FALSE", "critical,digitalSignature,keyEncipherment", now + 100000);
	stranger = make("CA", NULL, "critical,CA:TRUE", CF_CA_KU, now + 100000);
	us = make("CAPF-RA", NULL, "critical,CA:FALSE", "critical,digitalSignature,keyEncipherment", now + 100000);
	other = make("CAPF-RA", NULL, "critical,CA:FALSE", "critical,digitalSignature,keyEncipherment", now + 100000);
	phone = EVP_EC_gen("P-256");
	pki_fingerprint(ca.cert, pin);
	der = cf_der(ca.cert, &len);
	if (pki_scep_ca_parse(der, len, pin, NULL, 0, now, &known, why, sizeof(why)) < 0 || pki_scep_tid(phone, tid) < 0)
		return 1;
	free(der);
	old_lib = OSSL_LIB_CTX_new();
	providers[0] = OSSL_PROVIDER_load(old_lib, "default");
	providers[1] = OSSL_PROVIDER_load(old_lib, "legacy");
	return providers[0] == NULL || providers[1] == NULL;
}

static int teardown(void)
{
	pki_scep_ca_fini(&known);
	cf_free(&ca);
	cf_free(&ra_of_ca);
	cf_free(&stranger);
	cf_free(&us);
	cf_free(&other);
	EVP_PKEY_free(phone);
	OSSL_PROVIDER_unload(providers[1]);
	OSSL_PROVIDER_unload(providers[0]);
	OSSL_LIB_CTX_free(old_lib);
	return 0;
}

/* --- whom we talk to --- */

static int parse_ra(X509 *const *certs, const uint8_t fp[32], uint8_t (*ra)[32], size_t ra_cnt, int64_t at, X509 *to, int signers)
{
	size_t len;
	uint8_t *der = scepca_certs(certs, &len);
	struct pki_scep_ca got;
	int rc = pki_scep_ca_parse(der, len, fp, (const uint8_t (*)[32])ra, ra_cnt, at, &got, why, sizeof(why));

	if (rc == 0) {
		CU_ASSERT_EQUAL(X509_cmp(got.to, to), 0);
		CU_ASSERT_EQUAL(sk_X509_num(got.signers), signers);
		pki_scep_ca_fini(&got);
	}
	OPENSSL_free(der);
	return rc;
}

static int parse_ca(X509 *const *certs, const uint8_t fp[32], int64_t at, X509 *to, int signers)
{
	return parse_ra(certs, fp, NULL, 0, at, to, signers);
}

static void test_ca(void)
{
	struct cf_id fake = make("RA of the CA", &stranger, "critical,CA:FALSE", "critical,digitalSignature,keyEncipherment", now + 100000);
	struct cf_id late = make("RA of the CA", &ca, "critical,CA:FALSE", "critical,digitalSignature,keyEncipherment", now - 10);
	struct cf_id sub = make("Sub", &ca, "critical,CA:TRUE", CF_CA_KU, now + 1000);
	struct pki_scep_ca got;
	uint8_t none[32] = {0}, leaf[32], *der;
	size_t len;

	CU_ASSERT_EQUAL(parse_ca(L(ca.cert), pin, now, ca.cert, 1), 0);
	CU_ASSERT_EQUAL(parse_ca(L(ra_of_ca.cert, ca.cert), pin, now, ca.cert, 1), 0); /* one with an RA's usages is none unless the operator says so */
	CU_ASSERT_EQUAL(parse_ca(L(fake.cert, late.cert, ca.cert, sub.cert, stranger.cert), pin, now, ca.cert, 1), 0); /* none of them is its */
	CU_ASSERT_EQUAL(parse_ca(L(ca.cert), none, now, NULL, 0), -EACCES);
	CU_ASSERT_EQUAL(parse_ca(L(stranger.cert), pin, now, NULL, 0), -EACCES); /* of the same name */
	CU_ASSERT_EQUAL(parse_ca(L(ca.cert), pin, now + 200000, NULL, 0), -EACCES);
	pki_fingerprint(ra_of_ca.cert, leaf);
	CU_ASSERT_EQUAL(parse_ca(L(ca.cert, ra_of_ca.cert), leaf, now, NULL, 0), -EACCES); /* no CA's */
	CU_ASSERT(strstr(why, "no CA") != NULL);
	CU_ASSERT_EQUAL(pki_scep_ca_parse((const uint8_t *)"<html>", 6, pin, NULL, 0, now, &got, why, sizeof(why)), -EBADMSG);
	der = scepca_certs(L(ra_of_ca.cert, ca.cert), &len);
	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = malloc(n + 1);

		memcpy(cut, der, n);
		CU_ASSERT_EQUAL(pki_scep_ca_parse(cut, n, pin, NULL, 0, now, &got, why, sizeof(why)), -EBADMSG);
		free(cut);
	}
	OPENSSL_free(der);
	cf_free(&fake);
	cf_free(&late);
	cf_free(&sub);
}

static void test_ra(void)
{
	struct cf_id sign = make("RA that signs", &ca, "critical,CA:FALSE", "critical,digitalSignature", now + 1000);
	struct cf_id fake = make("RA of the CA", &stranger, "critical,CA:FALSE", "critical,digitalSignature,keyEncipherment", now + 1000);
	struct cf_id late = make("RA of the CA", &ca, "critical,CA:FALSE", "critical,digitalSignature,keyEncipherment", now - 10);
	struct cf_id lsc = make(PHONE, &ca, "critical,CA:FALSE", "critical,digitalSignature,keyEncipherment", now + 1000);
	const struct cf_id *no[] = {&fake, &late, &lsc};
	uint8_t ra[2][32];

	pki_fingerprint(ra_of_ca.cert, ra[0]);
	pki_fingerprint(sign.cert, ra[1]);
	CU_ASSERT_EQUAL(parse_ra(L(lsc.cert, ra_of_ca.cert, ca.cert), pin, ra, 1, now, ra_of_ca.cert, 2), 0);
	CU_ASSERT_EQUAL(parse_ra(L(sign.cert, ra_of_ca.cert, ca.cert), pin, ra, 2, now, ra_of_ca.cert, 3), 0);
	CU_ASSERT_EQUAL(parse_ra(L(sign.cert, ca.cert), pin, ra, 2, now, ca.cert, 2), 0);
	CU_ASSERT_EQUAL(parse_ra(L(ca.cert), pin, ra, 2, now, NULL, 0), -EACCES);
	CU_ASSERT(strstr(why, "ra_sha256") != NULL);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) { /* pinned, and none all the same */
		pki_fingerprint(no[i]->cert, ra[0]);
		CU_ASSERT_EQUAL(parse_ra(L(no[i]->cert, ca.cert), pin, ra, 1, now, NULL, 0), -EACCES);
	}
	cf_free(&sign);
	cf_free(&fake);
	cf_free(&late);
	cf_free(&lsc);
}

static void test_caps(void)
{
	static const struct {
		const char *text;
		unsigned caps;
	} t[] = {
		{"", 0},
		{"AES", PKI_SCEP_CAP_AES},
		{"aes\r\nsha-256\r\npostpkioperation", PKI_SCEP_CAP_AES | PKI_SCEP_CAP_SHA256 | PKI_SCEP_CAP_POST},
		{"SCEPStandard\n", PKI_SCEP_CAP_AES | PKI_SCEP_CAP_SHA256 | PKI_SCEP_CAP_POST},
		{"DES3\nRenewal\nSHA-1\nSHA-512\nAESX\n\nGetNextCACert", PKI_SCEP_CAP_DES3 | PKI_SCEP_CAP_RENEWAL | PKI_SCEP_CAP_SHA1 | PKI_SCEP_CAP_SHA512},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		CU_ASSERT_EQUAL(pki_scep_caps((const uint8_t *)t[i].text, strlen(t[i].text)), t[i].caps);
}

/* --- what is asked --- */

static X509_REQ *phone_request(const char *challenge)
{
	X509_REQ *req = NULL;

	CU_ASSERT_EQUAL_FATAL(pki_scep_request(us.key, PHONE, "Org", phone, false, challenge, &req), 0);
	return req;
}

static void test_request(void)
{
	EVP_PKEY *weak = EVP_RSA_gen(1024);
	X509_REQ *req = phone_request("secret"), *no = NULL;
	X509 *cert;
	char device[16];

	CU_ASSERT_EQUAL(EVP_PKEY_eq(X509_REQ_get0_pubkey(req), phone), 1);
	CU_ASSERT_EQUAL(X509_REQ_verify(req, us.key), 1);
	CU_ASSERT_NOT_EQUAL(X509_REQ_verify(req, phone), 1); /* the phone signed nothing */
	cert = scepca_issue(ca.key, ca.cert, req, 5, 10);
	CU_ASSERT_EQUAL(pki_name_device(cert, device), 0);
	CU_ASSERT_STRING_EQUAL(device, PHONE);
	CU_ASSERT_EQUAL(X509_get_key_usage(cert), KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT);
	CU_ASSERT((X509_get_extended_key_usage(cert) & (XKU_SSL_CLIENT | XKU_SSL_SERVER)) == (XKU_SSL_CLIENT | XKU_SSL_SERVER));
	CU_ASSERT(X509_check_ca(cert) == 0 && X509_get_ext_by_NID(cert, NID_subject_alt_name, -1) >= 0);
	X509_free(cert);
	X509_REQ_free(req);
	CU_ASSERT_EQUAL(pki_scep_request(us.key, "SEPx", NULL, phone, false, NULL, &no), -EINVAL);
	CU_ASSERT_EQUAL(pki_scep_request(us.key, PHONE, NULL, weak, false, NULL, &no), -EACCES);
	CU_ASSERT_EQUAL(pki_scep_request(us.key, PHONE, NULL, weak, true, NULL, &no), 0);
	X509_REQ_free(no);
	EVP_PKEY_free(weak);
}

static void test_message(void)
{
	X509_REQ *req = phone_request("open sesame");
	struct pki_scep_msg m = {.type = PKI_SCEP_PKCSREQ, .caps = PKI_SCEP_CAP_AES | PKI_SCEP_CAP_SHA256, .tid = tid, .nonce = nonce, .req = req};
	struct scepca_req r;
	uint8_t *der = NULL;
	size_t len;

	CU_ASSERT_EQUAL_FATAL(pki_scep_build(&known, us.key, us.cert, &m, &der, &len, why, sizeof(why)), 0);
	CU_ASSERT(memmem(der, len, "open sesame", 11) == NULL);
	CU_ASSERT_EQUAL(scepca_read(stranger.key, stranger.cert, der, len, &r), -1); /* encrypted to the CA */
	CU_ASSERT_EQUAL_FATAL(scepca_read(ca.key, ca.cert, der, len, &r), 0);
	CU_ASSERT(r.type == 19 && strcmp(r.tid, tid) == 0 && memcmp(r.nonce, nonce, 16) == 0 && X509_cmp(r.signer, us.cert) == 0);
	CU_ASSERT(strcmp(r.challenge, "open sesame") == 0 && !r.self_signed && EVP_PKEY_eq(X509_REQ_get0_pubkey(r.csr), phone) == 1);
	scepca_req_free(&r);
	OPENSSL_free(der);
	m.type = PKI_SCEP_CERTPOLL;
	CU_ASSERT_EQUAL_FATAL(pki_scep_build(&known, us.key, us.cert, &m, &der, &len, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL_FATAL(scepca_read(ca.key, ca.cert, der, len, &r), 0);
	CU_ASSERT(r.type == 20 && r.poll && r.csr == NULL);
	scepca_req_free(&r);
	OPENSSL_free(der);
	m.caps = PKI_SCEP_CAP_DES3 | PKI_SCEP_CAP_SHA256;
	CU_ASSERT_EQUAL(pki_scep_build(&known, us.key, us.cert, &m, &der, &len, why, sizeof(why)), -EACCES);
	m.caps = PKI_SCEP_CAP_AES | PKI_SCEP_CAP_SHA1;
	CU_ASSERT_EQUAL(pki_scep_build(&known, us.key, us.cert, &m, &der, &len, why, sizeof(why)), -EACCES);
	m.old = true;
	m.caps = PKI_SCEP_CAP_DES3 | PKI_SCEP_CAP_SHA1;
	CU_ASSERT_EQUAL_FATAL(pki_scep_build(&known, us.key, us.cert, &m, &der, &len, why, sizeof(why)), 0);
	OPENSSL_free(der);
	X509_REQ_free(req);
}

/* --- what is answered --- */

static int open_as(const uint8_t *data, size_t len, bool old, OSSL_LIB_CTX *lib, struct pki_scep_answer *ret)
{
	const struct pki_scep_msg sent = {.old = old, .tid = tid, .nonce = nonce};

	why[0] = '\0';
	return pki_scep_open(&known, us.key, us.cert, &sent, lib, data, len, ret, why, sizeof(why));
}

static int answer(const struct cf_id *by, struct scepca_say say, struct pki_scep_answer *ret)
{
	size_t len;
	uint8_t *der = scepca_say(by->key, by->cert, &say, &len);
	int rc = open_as(der, len, false, NULL, ret);

	OPENSSL_free(der);
	return rc;
}

/* What is right, of which each case changes one member. */
#pragma GCC diagnostic ignored "-Woverride-init"
#define GOOD .type = "3", .status = "0", .tid = tid, .nonce = nonce, .certs = certs, .to = us.cert

static void test_answers(void)
{
	X509_REQ *req = phone_request(NULL);
	X509 *cert = scepca_issue(ca.key, ca.cert, req, 5, 10), *certs[] = {ca.cert, cert, NULL}, *nothing[] = {NULL};
	const uint8_t junk[] = {0x30, 0x03, 0x02, 0x01, 0x05};
	struct pki_scep_answer a;

	CU_ASSERT_EQUAL_FATAL(answer(&ca, (struct scepca_say){GOOD}, &a), 0);
	CU_ASSERT(a.status == PKI_SCEP_SUCCESS && a.fail == -1 && sk_X509_num(a.certs) == 2);
	CU_ASSERT_EQUAL(X509_cmp(pki_scep_find(a.certs, phone), cert), 0);
	CU_ASSERT_PTR_NULL(pki_scep_find(a.certs, other.key));
	pki_scep_answer_fini(&a);
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .cipher = EVP_aes_256_cbc(), .md = EVP_sha512()}, &a), 0);
	pki_scep_answer_fini(&a);
	/* who signs */
	CU_ASSERT_EQUAL(answer(&stranger, (struct scepca_say){GOOD}, &a), -EACCES); /* of the CA's name; its certificate is in the message */
	CU_ASSERT(strstr(why, "signature") != NULL);
	CU_ASSERT_EQUAL(answer(&ra_of_ca, (struct scepca_say){GOOD}, &a), -EACCES); /* the CA did not say that it has one */
	CU_ASSERT_EQUAL(answer(&us, (struct scepca_say){GOOD}, &a), -EACCES);	     /* our own message, mirrored */
	/* for whom */
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .to = other.cert}, &a), -EACCES);
	CU_ASSERT(strstr(why, "not encrypted to us") != NULL);
	/* which message */
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .nonce = wrong}, &a), -EACCES);
	CU_ASSERT(strstr(why, "nonce") != NULL);
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .nonce = NULL}, &a), -EACCES);
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .tid = "1"}, &a), -EACCES);
	CU_ASSERT(strstr(why, "transaction") != NULL);
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .tid = NULL}, &a), -EACCES);
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .type = "19"}, &a), -EACCES);
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .type = NULL}, &a), -EACCES);
	/* what it says */
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .status = "1"}, &a), -EBADMSG);
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .status = "00x"}, &a), -EBADMSG);
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .status = NULL}, &a), -EBADMSG);
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .status = "3", .twice = true}, &a), -EBADMSG);
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .certs = NULL}, &a), -EBADMSG);
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .certs = nothing}, &a), -EBADMSG);
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .raw = junk, .raw_len = sizeof(junk)}, &a), -EBADMSG);
	/* by which means */
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .md = EVP_sha1()}, &a), -EACCES);
	CU_ASSERT(strstr(why, "old_crypto") != NULL);
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .md = EVP_md5()}, &a), -EACCES);
	CU_ASSERT_EQUAL(answer(&ca, (struct scepca_say){GOOD, .cipher = EVP_des_ede3_cbc()}, &a), -EACCES);
	CU_ASSERT(strstr(why, "old_crypto") != NULL);
	X509_free(cert);
	X509_REQ_free(req);
}

static void test_refusals(void)
{
	static const char *const codes[] = {"0", "1", "2", "3", "4", "99", "x", NULL};
	struct pki_scep_answer a;

	for (int i = 0; i < 8; i++) {
		CU_ASSERT_EQUAL_FATAL(answer(&ca, (struct scepca_say){.type = "3", .status = "2", .tid = tid, .nonce = nonce, .fail = codes[i], .text = "no\n\x01"}, &a), 0);
		CU_ASSERT(a.status == PKI_SCEP_FAILURE && a.certs == NULL && a.fail == (i < 5 ? i : i == 5 ? 99 : -1));
		CU_ASSERT(strlen(pki_scep_fail_text(a.fail)) > 5);
		CU_ASSERT_STRING_EQUAL(a.text, "no??");
		pki_scep_answer_fini(&a);
	}
	CU_ASSERT_EQUAL_FATAL(answer(&ca, (struct scepca_say){.type = "3", .status = "3", .tid = tid, .nonce = nonce}, &a), 0);
	CU_ASSERT(a.status == PKI_SCEP_PENDING && a.certs == NULL);
	CU_ASSERT_EQUAL(answer(&stranger, (struct scepca_say){.type = "3", .status = "3", .tid = tid, .nonce = nonce}, &a), -EACCES);
}

/* What Debian 12's server speaks, and what is not taken even so. */
static void test_old(void)
{
	X509_REQ *req = phone_request(NULL);
	X509 *cert = scepca_issue(ca.key, ca.cert, req, 5, 10), *certs[] = {cert, NULL};
	struct scepca_say say = {GOOD, .md = EVP_sha1(), .cipher = EVP_des_ede3_cbc()};
	struct pki_scep_answer a;
	EVP_CIPHER *des = EVP_CIPHER_fetch(old_lib, "DES-CBC", NULL);
	uint8_t *der;
	size_t len;

	der = scepca_say(ca.key, ca.cert, &say, &len);
	CU_ASSERT_EQUAL(open_as(der, len, true, NULL, &a), 0);
	pki_scep_answer_fini(&a);
	CU_ASSERT_EQUAL(open_as(der, len, true, old_lib, &a), 0);
	pki_scep_answer_fini(&a);
	OPENSSL_free(der);
	say.md = EVP_md5();
	der = scepca_say(ca.key, ca.cert, &say, &len);
	CU_ASSERT_EQUAL(open_as(der, len, true, old_lib, &a), -EACCES);
	OPENSSL_free(der);
	CU_ASSERT_PTR_NOT_NULL(des);
	EVP_CIPHER_free(des);
	X509_free(cert);
	X509_REQ_free(req);
}

static void test_hostile_bytes(void)
{
	X509_REQ *req = phone_request(NULL);
	X509 *cert = scepca_issue(ca.key, ca.cert, req, 5, 10), *certs[] = {cert, NULL};
	const struct scepca_say say = {GOOD};
	struct pki_scep_answer a;
	size_t len, taken = 0;
	uint8_t *der = scepca_say(ca.key, ca.cert, &say, &len);

	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = malloc(n + 1);
		int rc;

		memcpy(cut, der, n);
		rc = open_as(cut, n, false, NULL, &a);
		CU_ASSERT(rc == -EBADMSG && why[0] != '\0');
		free(cut);
	}
	for (size_t n = 0; n < len; n++) {
		der[n] ^= 0x41;
		/* The CA's certificate in the message is not looked at, the rest is signed: what is taken is what was said. */
		if (open_as(der, len, false, NULL, &a) == 0) {
			taken++;
			CU_ASSERT(a.status == PKI_SCEP_SUCCESS && sk_X509_num(a.certs) == 1 && X509_cmp(sk_X509_value(a.certs, 0), cert) == 0);
			pki_scep_answer_fini(&a);
		}
		der[n] ^= 0x41;
	}
	CU_ASSERT(taken < len / 2);
	CU_ASSERT_EQUAL(open_as(der, len, false, NULL, &a), 0);
	pki_scep_answer_fini(&a);
	der = OPENSSL_realloc(der, len + 1);
	der[len] = 0;
	CU_ASSERT_EQUAL(open_as(der, len + 1, false, NULL, &a), -EBADMSG); /* nothing may follow */
	OPENSSL_free(der);
	X509_free(cert);
	X509_REQ_free(req);
}

/* --- certificates of an operator --- */

struct seen {
	unsigned n, good;
};

static void count(void *ctx, unsigned at, X509 *cert)
{
	struct seen *s = ctx;

	CU_ASSERT_EQUAL(at, s->n);
	s->n++;
	s->good += cert != NULL;
}

static int certs_in(const void *data, size_t len, struct seen *s)
{
	uint8_t *own = malloc(len + 1);
	int rc;

	memcpy(own, data, len);
	*s = (struct seen){0};
	rc = cp_certs_in(own, len, 3, count, s);
	free(own);
	return rc;
}

static void test_certs_in(void)
{
	char *one = cf_pem(L(us.cert)), *two = cf_pem(L(us.cert, ca.cert)), *four = cf_pem(L(us.cert, ca.cert, us.cert, ca.cert)), *broken;
	struct seen s;
	size_t len;
	uint8_t *der = cf_der(us.cert, &len);

	CU_ASSERT(certs_in(der, len, &s) == 1 && s.good == 1);
	CU_ASSERT(certs_in(one, strlen(one), &s) == 1 && s.good == 1);
	CU_ASSERT(certs_in(two, strlen(two), &s) == 2 && s.good == 2);
	CU_ASSERT(certs_in(four, strlen(four), &s) == -E2BIG && s.n == 0);
	CU_ASSERT_EQUAL(certs_in("", 0, &s), -EBADMSG);
	CU_ASSERT_EQUAL(certs_in("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", 41, &s), -EBADMSG);
	broken = strdup(two);
	memset(broken + 100, '#', 20);
	CU_ASSERT(certs_in(broken, strlen(broken), &s) == 2 && s.n == 2 && s.good == 1); /* the other is as good as ever */
	for (size_t n = 0; n < strlen(two); n++) {
		int rc = certs_in(two, n, &s);

		CU_ASSERT(rc == -EBADMSG || (rc == (int)s.n && s.n <= 2));
	}
	for (size_t n = 1; n < len; n++)
		CU_ASSERT_EQUAL(certs_in(der, n, &s), -EBADMSG);
	free(one);
	free(two);
	free(four);
	free(broken);
	free(der);
}

/* --- a CA that does not answer --- */

struct asked {
	unsigned calls;
	int rc;
	char why[200];
};

static void on_asked(void *ctx, const struct cp_scepc_result *r)
{
	struct asked *a = ctx;

	a->calls++;
	a->rc = r->rc;
	snprintf(a->why, sizeof(a->why), "%s", r->why);
}

static int running(const struct cp_scepc *c)
{
	json_t *show = cp_scepc_show(c);
	int n = (int)json_integer_value(json_object_get(show, "running"));

	json_decref(show);
	return n;
}

/* Asks; there is no signer, which nothing here comes to. */
static void ask_at(struct event_base *base, char *url, unsigned cnt, struct asked *ret)
{
	static char none[] = "";
	const struct cfg_scep cfg = {.url = url, .identifier = none, .timeout_s = 1};
	static const struct timeval slice = {0, 20000};
	struct cp_scepc *c = NULL;

	*ret = (struct asked){0};
	CU_ASSERT_EQUAL_FATAL(cp_scepc_create(base, NULL, NULL, &cfg, &c), 0);
	for (unsigned i = 0; i < cnt; i++)
		CU_ASSERT_EQUAL(cp_scepc_ask(c, PHONE, PKI_RA_ENROL, phone, on_asked, ret), 0);
	for (unsigned i = 0; i < 1000 && ret->calls < cnt; i++) {
		event_base_loopexit(base, &slice);
		event_base_dispatch(base);
	}
	CU_ASSERT_EQUAL(ret->calls, cnt);
	CU_ASSERT_EQUAL(running(c), 0); /* the slots are free again */
	cp_scepc_stop(c);
	cp_scepc_destroy(c);
}

static struct bufferevent *slow[16];
static unsigned slow_cnt;

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *ctx)
{
	(void)sa, (void)len, (void)ctx;
	CU_ASSERT_FATAL(slow_cnt < 16);
	slow[slow_cnt] = bufferevent_socket_new(evconnlistener_get_base(l), fd, BEV_OPT_CLOSE_ON_FREE);
	evbuffer_add_printf(bufferevent_get_output(slow[slow_cnt++]), "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n");
}

static void on_drop(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd, (void)what, (void)ctx;
	for (unsigned i = 0; i < slow_cnt; i++)
		bufferevent_write(slow[i], "a", 1);
}

static void test_no_answer(void)
{
	static const struct timeval often = {0, 100000};
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct event_base *base = event_base_new();
	struct event *drop = event_new(base, -1, EV_PERSIST, on_drop, NULL);
	struct evconnlistener *l = evconnlistener_new_bind(base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE, 8, (struct sockaddr *)&sin, sizeof(sin));
	socklen_t len = sizeof(sin);
	struct asked a;
	char url[64];

	CU_ASSERT_FATAL(l != NULL && drop != NULL && getsockname(evconnlistener_get_fd(l), (struct sockaddr *)&sin, &len) == 0);
	/* connect() refuses at once: no TCP goes there */
	snprintf(url, sizeof(url), "http://255.255.255.255/scep");
	ask_at(base, url, CP_SCEPC_RUNS + 2, &a);
	CU_ASSERT(a.rc < 0 && strstr(a.why, "255.255.255.255:80") != NULL);
	/* never silent for long, and never done */
	event_add(drop, &often);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/scep", ntohs(sin.sin_port));
	ask_at(base, url, 2, &a);
	CU_ASSERT(a.rc < 0 && strstr(a.why, "does not answer") != NULL);
	/* nobody listens */
	for (unsigned i = 0; i < slow_cnt; i++)
		bufferevent_free(slow[i]);
	slow_cnt = 0;
	evconnlistener_free(l);
	ask_at(base, url, 2, &a);
	CU_ASSERT(a.rc < 0 && strstr(a.why, "does not answer") != NULL);
	event_free(drop);
	event_base_free(base);
}

static CU_TestInfo tests[] = {
	{"the CA is known by its hash", test_ca},
	{"so is a registration authority, which no phone is", test_ra},
	{"a CA that does not answer", test_no_answer},
	{"what a CA says that it can", test_caps},
	{"a request has the phone's key and our signature", test_request},
	{"a message is for the CA alone", test_message},
	{"an answer counts if the CA signed it, for us, to this message", test_answers},
	{"refusals, and requests that wait", test_refusals},
	{"old cryptography only where it is allowed, MD5 never", test_old},
	{"answers that are cut or changed", test_hostile_bytes},
	{"certificates in PEM and DER, one by one", test_certs_in},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("scep", tests, setup, teardown)
