/* SPDX-License-Identifier: BSD-3-Clause */
/* What phones prove to CAPF: signatures of another program's client, bent, by other keys, in other names, at other times. */
/* Rows: 004b:PKI-09, R-27; 004c:CA-08. */
#include <errno.h>

#include <openssl/pem.h>

#include "dialogue.h"
#include "enrol/capfauth.h"
#include "suite.h"
#include "x509.h"

#define DAY 86400

static struct {
	X509_STORE *lsc, *mic;
	int64_t now;
} fix[2]; /* of set-a-sha1 and set-b-sha512 */
static const char *const sets[] = {"set-a-sha1", "set-b-sha512"};

static X509_STORE *store_of(const char *set, const char *pem)
{
	struct blob b = trust_file(set, pem);
	STACK_OF(X509) *certs = NULL;
	X509_STORE *store = NULL;

	if (pki_pem_certs(b.p, b.len, &certs) != 0 || pki_phone_store(certs, true, &store) != 0)
		abort();
	sk_X509_pop_free(certs, X509_free);
	free(b.p);
	return store;
}

struct found {
	struct cp_capf_msg m;
	uint8_t buf[8192];
	size_t len;
};

static void keep_auth(const char *file, const struct dlg_msg *d, void *ctx)
{
	struct found *f = ctx;

	(void)file;
	if (d->from != 'C' || d->buf[1] != CP_CAPF_AUTH_RESPONSE)
		return;
	memcpy(f->buf, d->buf, d->len);
	f->len = d->len;
	CU_ASSERT_EQUAL(cp_capf_parse(f->buf, d->len, &f->m), 0);
}

static int check(const struct cp_capf_msg *m, unsigned set, int64_t now, enum cp_capf_proof *kind, char why[128])
{
	struct cp_capf_trust trust = {.lsc = fix[set].lsc, .mic = fix[set].mic};
	X509 *cert = NULL;
	int rc;

	why[0] = '\0';
	rc = cp_capf_proof_check(m, &trust, now, &cert, kind, why, 128);
	CU_ASSERT((rc == 0) == (cert != NULL));
	CU_ASSERT((rc == 0) == (why[0] == '\0'));
	X509_free(cert);
	return rc;
}

static const struct {
	const char *file;
	enum cp_capf_proof kind;
	int rc;
} recorded[] = {
	{"install-micauth-rsa2048.txt", CP_CAPF_PROOF_MIC, 0},
	{"install-lscauth-rsa2048.txt", CP_CAPF_PROOF_LSC, 0},
	{"install-ecauth-rsa2048.txt", CP_CAPF_PROOF_LSC, 0},
	{"wrong-certificate.txt", 0, -EACCES},
	{"install-password-rsa2048.txt", 0, -ENODATA},
};

/* 004b:CAPF-20, CAPF-21: by LSC, by MIC. The EC one is an LSC of an EC key. */
static void test_recorded(void)
{
	for (unsigned s = 0; s < 2; s++)
		for (size_t i = 0; i < sizeof(recorded) / sizeof(recorded[0]); i++) {
			static struct found f;
			enum cp_capf_proof kind = 99;
			char why[128];
			int rc;

			CU_ASSERT_NOT_EQUAL(dlg_each(sets[s], "capf", recorded[i].file, keep_auth, &f), 0);
			rc = check(&f.m, s, fix[s].now, &kind, why);
			CU_ASSERT_EQUAL(rc, recorded[i].rc);
			if (rc != recorded[i].rc)
				fprintf(stderr, "%s %s: %d, %s\n", sets[s], recorded[i].file, rc, why);
			if (rc == 0)
				CU_ASSERT_EQUAL(kind, recorded[i].kind);
		}
}

static void test_bent(void)
{
	static struct found f;
	char why[128];
	enum cp_capf_proof kind;

	CU_ASSERT_NOT_EQUAL(dlg_each(sets[0], "capf", "install-micauth-rsa2048.txt", keep_auth, &f), 0);
	CU_ASSERT_EQUAL(check(&f.m, 0, fix[0].now, &kind, why), 0);
	/* any byte of anything that is signed, or is a signature */
	for (size_t i = CP_CAPF_HDR_LEN; i < f.len; i += 3) {
		struct cp_capf_msg m;

		f.buf[i] ^= 0x20;
		if (cp_capf_parse(f.buf, f.len, &m) == 0 && m.have == f.m.have &&
		    memcmp(m.device, f.m.device, sizeof(m.device)) != 0)
			CU_ASSERT(check(&m, 0, fix[0].now, &kind, why) < 0);
		f.buf[i] ^= 0x20;
	}
	for (unsigned e = 0; e < 4; e++) {
		const struct cp_capf_bytes *all[] = {&f.m.cert, &f.m.signed_data, &f.m.sha2, &f.m.sudi};

		for (size_t i = 0; i < all[e]->len; i += 7) {
			uint8_t *p = f.buf + (all[e]->p - f.buf) + i;

			*p ^= 1;
			CU_ASSERT(check(&f.m, 0, fix[0].now, &kind, why) < 0);
			*p ^= 1;
		}
	}
	/* another session's */
	f.m.session++;
	CU_ASSERT_EQUAL(check(&f.m, 0, fix[0].now, &kind, why), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "session"));
	f.m.session--;
	/* another device's: the reference takes it */
	strcpy(f.m.device, "SEP0A1B2C3D4E52");
	CU_ASSERT_EQUAL(check(&f.m, 0, fix[0].now, &kind, why), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "another device"));
	strcpy(f.m.device, "SEP0A1B2C3D4E51");
	/* before and after its time: the reference takes both */
	CU_ASSERT_EQUAL(check(&f.m, 0, fix[0].now - 400 * DAY, &kind, why), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "not-yet-valid"));
	CU_ASSERT_EQUAL(check(&f.m, 0, fix[0].now + 20 * 366 * DAY, &kind, why), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "expired"));
	/* element 20 is missing: only where old phones are allowed; element 6 always */
	f.m.sha2 = (struct cp_capf_bytes){NULL, 0};
	f.m.have &= ~CP_CAPF_BIT(CP_CAPF_SHA2_SIGNED_DATA);
	CU_ASSERT_EQUAL(check(&f.m, 0, fix[0].now, &kind, why), -EACCES);
	{
		struct cp_capf_trust trust = {.mic = fix[0].mic, .old_phones = true};
		X509 *cert = NULL;

		CU_ASSERT_EQUAL(cp_capf_proof_check(&f.m, &trust, fix[0].now, &cert, &kind, why, sizeof(why)), 0);
		X509_free(cert);
		f.m.have &= ~CP_CAPF_BIT(CP_CAPF_SIGNED_DATA);
		CU_ASSERT_EQUAL(cp_capf_proof_check(&f.m, &trust, fix[0].now, &cert, &kind, why, sizeof(why)), -EACCES);
		trust = (struct cp_capf_trust){.lsc = fix[0].lsc, .old_phones = true}; /* a MIC where none are believed */
		f.m.have |= CP_CAPF_BIT(CP_CAPF_SIGNED_DATA);
		CU_ASSERT_EQUAL(cp_capf_proof_check(&f.m, &trust, fix[0].now, &cert, &kind, why, sizeof(why)), -EACCES);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "untrusted"));
	}
}

static void test_string(void)
{
	struct cp_capf_msg m = {.have = CP_CAPF_BIT(CP_CAPF_PASSWORD), .password = {(const uint8_t *)"123456", 6}};

	CU_ASSERT(cp_capf_string_ok(&m, "123456"));
	CU_ASSERT(!cp_capf_string_ok(&m, "123457"));
	CU_ASSERT(!cp_capf_string_ok(&m, "12345"));
	CU_ASSERT(!cp_capf_string_ok(&m, "1234567"));
	CU_ASSERT(!cp_capf_string_ok(&m, ""));
	CU_ASSERT(!cp_capf_string_ok(&m, "1234567890123456"));
	m.password.len = 0;
	CU_ASSERT(cp_capf_string_ok(&m, ""));
	CU_ASSERT(!cp_capf_string_ok(&m, "1"));
	m.have = 0;
	CU_ASSERT(!cp_capf_string_ok(&m, "")); /* no string is not the null string */
}

static int setup(void)
{
	for (unsigned s = 0; s < 2; s++) {
		struct blob b = trust_file(sets[s], "keys/mic.pem");
		BIO *bio = BIO_new_mem_buf(b.p, (int)b.len);
		X509 *mic = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		struct tm tm;

		fix[s].lsc = store_of(sets[s], "keys/capf.pem");
		fix[s].mic = store_of(sets[s], "keys/mfg-ca.pem");
		/* LSCs of the recordings were issued within days of it */
		if (mic == NULL || ASN1_TIME_to_tm(X509_get0_notBefore(mic), &tm) != 1)
			return 1;
		fix[s].now = timegm(&tm) + 30 * DAY;
		X509_free(mic);
		BIO_free(bio);
		free(b.p);
	}
	return 0;
}

static int teardown(void)
{
	for (unsigned s = 0; s < 2; s++) {
		X509_STORE_free(fix[s].lsc);
		X509_STORE_free(fix[s].mic);
	}
	return 0;
}

static CU_TestInfo tests[] = {
	{"recorded proofs", test_recorded},
	{"bent, of others, at other times", test_bent},
	{"strings", test_string},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("capfauth", tests, setup, teardown)
