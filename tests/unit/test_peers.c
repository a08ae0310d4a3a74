/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Other nodes' certificates of TVS-trust: which is a TVS, which signs lists, and what an ITL says of them. Rows: 002:P2-12, P2-13.
 */
#include "suite.h"
#include "trust/itl.h"
#include "trust/peers.h"
#include "x509.h"

#define NOW INT64_C(1800000000)

static EVP_PKEY *key, *big;

static X509 *make(EVP_PKEY *k, enum pki_use use, const char *cn)
{
	X509 *cert = NULL;

	CU_ASSERT_EQUAL_FATAL(pki_own_issue(NULL, k, use, cn, "Peers", NULL, 0, NOW, 30, &cert), 0);
	return cert;
}

static void test_kinds(void)
{
	static const struct {
		enum pki_use use;
		enum cp_peer kind;
	} rows[] = {
		{PKI_USE_SERVER, CP_PEER_TVS},
		{PKI_USE_IPSEC, CP_PEER_TVS}, /* it says TLS server */
		{PKI_USE_SIGN, CP_PEER_SIGNER},
		{PKI_USE_CA, CP_PEER_OTHER},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		X509 *c = make(key, rows[i].use, "node");

		CU_ASSERT_EQUAL(cp_peer_kind(c), rows[i].kind);
		X509_free(c);
	}
}

static void test_names(void)
{
	static const struct {
		const char *cn;
		bool fits;
	} rows[] = {{"node2.example", true}, {"10.77.1.3", true}, {"two words", false}, {"n\xc3\xb6" "de", false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		X509 *c = make(key, PKI_USE_SERVER, rows[i].cn);
		const char *name = cp_peer_name(c);

		CU_ASSERT((name != NULL) == rows[i].fits && (name == NULL || strcmp(name, rows[i].cn) == 0));
		X509_free(c);
	}
}

/* How many TVS records there are; *ret_last: the certificate of the last. */
static unsigned tvs_of(const struct cp_trust_own *own, bool rollback, struct pki_tl_entry *ret_last)
{
	struct cp_itl_in in = {.own = own, .cls = PKI_CLASS_MODERN, .sign_with = "auto", .host = "us.example", .rollback = rollback};
	struct cp_itl_out out;
	char why[200] = "";
	unsigned n = 0;

	CU_ASSERT_EQUAL_FATAL(cp_itl_entries(&in, &out, why, sizeof(why)), 0);
	for (unsigned i = 0; i < out.cnt; i++)
		if (out.entry[i].role == PKI_TL_TVS) {
			*ret_last = out.entry[i];
			n++;
		}
	return n;
}

static void test_itl(void)
{
	struct cp_trust_own own = {.tftp = make(key, PKI_USE_SIGN, "TFTP"), .recovery = make(key, PKI_USE_SIGN, "ITLRecovery"),
				   .tvs = make(key, PKI_USE_SERVER, "us.example")};
	struct cp_trust_own before = own;
	struct pki_tl_entry last = {0};

	CU_ASSERT_EQUAL(tvs_of(&own, false, &last), 1);
	CU_ASSERT(last.cert == own.tvs && strcmp(last.dns, "us.example") == 0);
	own.tvs_peer[0] = make(key, PKI_USE_SERVER, "node2.example");
	CU_ASSERT_FALSE(cp_trust_own_same(&own, &before)); /* the list is made anew for it */
	CU_ASSERT_EQUAL(tvs_of(&own, false, &last), 2);
	CU_ASSERT(last.cert == own.tvs_peer[0] && last.ip == NULL && strcmp(last.dns, "node2.example") == 0); /* its name and not ours */
	own.tvs_peer[1] = make(big, PKI_USE_SERVER, "node3.example");
	CU_ASSERT_EQUAL(tvs_of(&own, false, &last), 2); /* a list cannot carry it, and is made all the same */
	own.tvs_peer[2] = make(key, PKI_USE_SERVER, "node4.example");
	own.tvs_peer[3] = make(key, PKI_USE_SERVER, "node5.example");
	CU_ASSERT_EQUAL(tvs_of(&own, false, &last), 4);
	CU_ASSERT_EQUAL(tvs_of(&own, true, &last), 1);
	CU_ASSERT_PTR_NULL(last.cert); /* phones that are to forget are told nobody's */
	cp_trust_own_free(&own);
	CU_ASSERT_PTR_NULL(own.tvs_peer[3]);
}

static int init(void)
{
	return pki_key_create(PKI_EC_P256, &key) < 0 || pki_key_create(PKI_RSA_4096, &big) < 0;
}

static int fini(void)
{
	EVP_PKEY_free(key);
	EVP_PKEY_free(big);
	return 0;
}

static CU_TestInfo tests[] = {
	{"what a certificate is to phones", test_kinds},
	{"a node's name", test_names},
	{"an ITL names them", test_itl},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("other nodes", tests, init, fini)
