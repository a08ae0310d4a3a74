/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Typed signing and the change of identities, through the client and over the socket: what is signed verifies, what is not of
 * its kind, names another signer or may not be signed by the identity is refused; regeneration, request, import, retiring, and
 * a kill between any two writes of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <CUnit/CUnit.h>
#include <openssl/crypto.h>
#include <openssl/x509v3.h>

#include "change.h"
#include "config.h"
#include "serve.h"
#include "sgn.h"
#include "signer.h"
#include "signerc/signerc.h"
#include "state.h"
#include "trustlist.h"

static char dir[] = "/tmp/test-sign-XXXXXX";
static char err[512], why[256];
static struct cfg *cfg;
static struct pki_serve *serve;
static struct pki_state *served;
static struct cp_signer *client;
static pthread_t thread;
static int stop_fd = -1;

static void *serving(void *arg)
{
	(void)arg;
	pki_serve_run(serve, stop_fd);
	return NULL;
}

static int start(void)
{
	char run[100];

	snprintf(run, sizeof(run), "%s/run", dir);
	stop_fd = eventfd(0, EFD_CLOEXEC);
	if (pki_state_open(cfg, time(NULL), &served, err, sizeof(err)) < 0) {
		fprintf(stderr, "%s\n", err);
		return -1;
	}
	if (pki_serve_create(served, run, &serve) < 0 || pthread_create(&thread, NULL, serving, NULL) != 0)
		return -1;
	return cp_signer_open(run, 20000, &client);
}

static void stop(void)
{
	cp_signer_close(client);
	eventfd_write(stop_fd, 1);
	pthread_join(thread, NULL);
	pki_serve_destroy(serve);
	pki_state_close(served);
	close(stop_fd);
}

static int setup(void)
{
	char text[512];
	int n;

	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	if (mkdtemp(dir) == NULL)
		return -1;
	n = snprintf(text, sizeof(text),
	             "paths: {state: %s/state, run: %s/run}\nlog: {level: err}\n"
	             "signer:\n  server_key: ec-p256\n  keys:\n    - {identity: CAPF, key: ec-p256}\n"
		     "    - {identity: CallManager, key: rsa-2048}\n    - {identity: TVS, key: rsa-3072}\n",
	             dir, dir);
	if (cfg_load_data((uint8_t *)text, (size_t)n, &cfg, err, sizeof(err)) < 0) {
		fprintf(stderr, "%s\n", err);
		return -1;
	}
	return start();
}

static int teardown(void)
{
	char cmd[100];

	stop();
	cfg_free(cfg);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static X509 *cert_of(const char *name)
{
	struct cp_signer_ident *ids = NULL;
	unsigned cnt = 0;
	X509 *cert = NULL;

	CU_ASSERT_EQUAL_FATAL(cp_signer_idents(client, &ids, &cnt), 0);
	for (unsigned i = 0; i < cnt; i++)
		if (strcmp(ids[i].name, name) == 0) {
			X509_up_ref(ids[i].cert);
			cert = ids[i].cert;
		}
	cp_signer_idents_free(ids, cnt);
	return cert;
}

static void test_idents(void)
{
	static const struct {
		const char *name, *key;
		bool server;
	} want[] = {
		{"CAPF", "ec-p256", false},     {"SAST1", "rsa-2048", false},       {"SAST2", "rsa-2048", false},
		{"TFTP", "rsa-2048", false},    {"ITLRecovery", "rsa-2048", false}, {"CallManager", "rsa-2048", true},
		{"TVS", "rsa-3072", true},       {"HTTPS", "ec-p256", true},         {"TFTP-EC", "ec-p256", true},
		{"CAPF-TLS", "ec-p256", true},  {"IPsec", "ec-p256", true},	  {"CAPF-RA", "rsa-2048", false},
	};
	struct cp_signer_ident *ids = NULL;
	unsigned cnt = 0;

	CU_ASSERT_EQUAL_FATAL(cp_signer_idents(client, &ids, &cnt), 0);
	CU_ASSERT_EQUAL_FATAL(cnt, sizeof(want) / sizeof(want[0]));
	for (unsigned i = 0; i < cnt; i++) {
		CU_ASSERT_STRING_EQUAL(ids[i].name, want[i].name);
		CU_ASSERT_STRING_EQUAL(ids[i].key, want[i].key);
		CU_ASSERT_EQUAL(ids[i].server, want[i].server);
		CU_ASSERT_FALSE(ids[i].hardware || ids[i].absent || ids[i].csr_pending);
		CU_ASSERT_EQUAL(ids[i].chain != NULL, strcmp(ids[i].name, "CAPF-TLS") == 0);
		/* servers are found by name, the others are no servers */
		CU_ASSERT_EQUAL(X509_check_host(ids[i].cert, "ravelin", 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1,
				want[i].server);
		CU_ASSERT_EQUAL((X509_get_extended_key_usage(ids[i].cert) != UINT32_MAX &&
				 (X509_get_extended_key_usage(ids[i].cert) & XKU_SSL_SERVER) != 0),
				want[i].server);
		CU_ASSERT_EQUAL((X509_check_ca(ids[i].cert) == 1), (i == 0));
	}
	cp_signer_idents_free(ids, cnt);
}

/* A file by 'name', signed and put together; *ret is the file. 0 or what signing said. */
static int sign_file(const char *by, X509 *signer, enum pki_digest digest, const uint8_t *enc_sym, size_t body_len,
		     enum cp_sign_kind kind, uint8_t **ret, size_t *ret_len)
{
	static uint8_t random[32] = {1, 2, 3};
	struct pki_sgn_opts o = {.name = "SEP001122334455.cnf.xml.sgn", .digest = digest, .signer = signer,
				 .timestamp = 1700000000, .sym = enc_sym, .random = random};
	uint8_t *plain = malloc(body_len), *head = NULL, *body = NULL, sig[512];
	size_t head_len = 0, n = 0, sig_len = sizeof(sig);
	int rc;

	memset(plain, 'a', body_len);
	CU_ASSERT_EQUAL_FATAL(pki_sgn_build(&o, plain, body_len, &head, &head_len, &body, &n, why, sizeof(why)), 0);
	rc = cp_signer_sign(client, kind, by, head, head_len, body != NULL ? body : plain, body != NULL ? n : body_len, sig,
			    &sig_len);
	if (rc == 0 && ret != NULL)
		CU_ASSERT_EQUAL(pki_sgn_finish(head, head_len, body != NULL ? body : plain, body != NULL ? n : body_len, sig,
					       sig_len, ret, ret_len), 0);
	OPENSSL_free(head);
	OPENSSL_free(body);
	free(plain);
	return rc;
}

static void test_files(void)
{
	static const size_t sizes[] = {1, 5000, 100000, 140000, 4 * 1024 * 1024}; /* in a message, and behind a descriptor */
	static const enum pki_digest digests[] = {PKI_SHA1, PKI_SHA256, PKI_SHA512};
	static const uint8_t sym[16] = {9};
	X509 *tftp = cert_of("TFTP"), *sast = cert_of("SAST1");
	struct pki_sgn f;
	uint8_t *file;
	size_t len;

	for (size_t d = 0; d < 3; d++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			file = NULL;
			CU_ASSERT_EQUAL_FATAL(sign_file("TFTP", tftp, digests[d], NULL, sizes[i], CP_SIGN_FILE, &file, &len), 0);
			CU_ASSERT_EQUAL_FATAL(pki_sgn_parse(file, len, &f, why, sizeof(why)), 0);
			CU_ASSERT_EQUAL(pki_sgn_verify_cert(&f, tftp, why, sizeof(why)), 0);
			CU_ASSERT_EQUAL(f.body_len, sizes[i]);
			file[len - 1] ^= 1;
			CU_ASSERT_EQUAL(pki_sgn_parse(file, len, &f, why, sizeof(why)), 0);
			CU_ASSERT_EQUAL(pki_sgn_verify_cert(&f, tftp, why, sizeof(why)), -EACCES);
			OPENSSL_free(file);
		}
	file = NULL;
	CU_ASSERT_EQUAL_FATAL(sign_file("TFTP", tftp, PKI_SHA1, sym, 5000, CP_SIGN_ENC, &file, &len), 0);
	CU_ASSERT_EQUAL_FATAL(pki_sgn_parse(file, len, &f, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(pki_sgn_verify_cert(&f, tftp, why, sizeof(why)), 0);
	OPENSSL_free(file);
	/* the other kind, another signer's name, an identity that may not */
	CU_ASSERT_EQUAL(sign_file("TFTP", tftp, PKI_SHA1, sym, 5000, CP_SIGN_FILE, NULL, NULL), -EACCES);
	CU_ASSERT_EQUAL(sign_file("TFTP", tftp, PKI_SHA1, NULL, 5000, CP_SIGN_ENC, NULL, NULL), -EACCES);
	CU_ASSERT(sign_file("TFTP", tftp, PKI_SHA1, NULL, 5000, CP_SIGN_ITL, NULL, NULL) < 0);
	CU_ASSERT_EQUAL(sign_file("TFTP", sast, PKI_SHA1, NULL, 5000, CP_SIGN_FILE, NULL, NULL), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(cp_signer_error(client), "another signer"));
	CU_ASSERT_EQUAL(sign_file("SAST1", sast, PKI_SHA1, NULL, 5000, CP_SIGN_FILE, NULL, NULL), -EACCES);
	CU_ASSERT_EQUAL(sign_file("TFTP.prev", tftp, PKI_SHA1, NULL, 5000, CP_SIGN_FILE, NULL, NULL), -ENOENT);
	X509_free(tftp);
	X509_free(sast);
}

#define S PKI_TL_SAST
static const struct {
	const char *what;
	enum pki_tl_kind kind;
	enum cp_sign_kind as;
	const char *by, *names; /* identity, and who the list says signs it (NULL: the same) */
	struct {
		int role;
		const char *cert; /* "": record without certificate */
	} rec[5];
	int rc;
} lists[] = {
	{"CTL", PKI_TL_CTL, CP_SIGN_CTL, "SAST1", NULL, {{S, "SAST1"}, {S, "SAST2"}, {PKI_TL_CCM, "CallManager"}}, 0},
	{"CTL by the other", PKI_TL_CTL, CP_SIGN_CTL, "SAST2", NULL, {{S, "SAST2"}, {S, "SAST1"}}, 0},
	{"one SAST", PKI_TL_CTL, CP_SIGN_CTL, "SAST1", NULL, {{S, "SAST1"}, {PKI_TL_CCM, "CallManager"}}, -EACCES},
	{"one SAST twice", PKI_TL_CTL, CP_SIGN_CTL, "SAST1", NULL, {{S, "SAST1"}, {S, "SAST1"}}, -EACCES},
	{"not of it", PKI_TL_CTL, CP_SIGN_CTL, "SAST1", "SAST2", {{S, "SAST2"}, {S, "SAST1"}}, -EACCES},
	{"tokenless", PKI_TL_CTL, CP_SIGN_CTL, "CallManager", NULL, {{S, "CallManager"}, {PKI_TL_CCM, "CallManager"}}, 0},
	{"by ITLRecovery", PKI_TL_CTL, CP_SIGN_CTL, "ITLRecovery", NULL, {{S, "ITLRecovery"}, {S, "CallManager"}}, 0},
	{"by TFTP", PKI_TL_CTL, CP_SIGN_CTL, "TFTP", NULL, {{S, "TFTP"}, {S, "SAST1"}}, -EACCES},
	{"ITL", PKI_TL_ITL, CP_SIGN_ITL, "TFTP", NULL, {{S, "TFTP"}, {PKI_TL_TFTP, "TFTP"}, {PKI_TL_TVS, "TVS"}}, 0},
	{"ITL by recovery", PKI_TL_ITL, CP_SIGN_ITL, "ITLRecovery", NULL, {{S, "ITLRecovery"}, {S, "TFTP"}}, 0},
	{"ITL by CallManager", PKI_TL_ITL, CP_SIGN_ITL, "CallManager", NULL, {{S, "CallManager"}}, 0},
	{"ITL by a SAST", PKI_TL_ITL, CP_SIGN_ITL, "SAST1", NULL, {{S, "SAST1"}, {S, "SAST2"}}, -EACCES},
	{"ITL as CTL", PKI_TL_ITL, CP_SIGN_CTL, "SAST1", NULL, {{S, "SAST1"}, {S, "SAST2"}}, -EACCES},
	{"CTL as ITL", PKI_TL_CTL, CP_SIGN_ITL, "ITLRecovery", NULL, {{S, "ITLRecovery"}, {S, "SAST2"}}, -EACCES},
	{"empty CTL", PKI_TL_CTL, CP_SIGN_CTL, "SAST1", NULL, {{-1, NULL}}, 0},
};

static void test_lists(void)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		X509 *signer = cert_of(lists[i].names != NULL ? lists[i].names : lists[i].by), *certs[5] = {NULL};
		struct pki_tl_opts o = {.kind = lists[i].kind, .cls = PKI_CLASS_MODERN, .signer = signer, .timestamp = 1};
		struct pki_tl_entry e[5];
		unsigned n = 0;
		uint8_t *tbs = NULL, *file = NULL, sig[512];
		size_t tbs_len = 0, len = 0, sig_len = sizeof(sig);
		static struct pki_tl tl;
		int rc;

		for (; n < 5 && lists[i].rec[n].cert != NULL; n++) {
			certs[n] = cert_of(lists[i].rec[n].cert);
			CU_ASSERT_PTR_NOT_NULL_FATAL(certs[n]);
			e[n] = (struct pki_tl_entry){.role = (uint16_t)lists[i].rec[n].role, .cert = certs[n]};
		}
		rc = pki_tl_build(&o, e, n, &tbs, &tbs_len, why, sizeof(why));
		CU_ASSERT_EQUAL(rc, 0);
		if (rc < 0) {
			fprintf(stderr, "%s: %s\n", lists[i].what, why);
		} else {
			rc = cp_signer_sign(client, lists[i].as, lists[i].by, tbs, tbs_len, NULL, 0, sig, &sig_len);
			CU_ASSERT_EQUAL(rc, lists[i].rc);
			if (rc != lists[i].rc)
				fprintf(stderr, "%s: %d %s\n", lists[i].what, rc, cp_signer_error(client));
		}
		if (rc == 0) {
			CU_ASSERT_EQUAL_FATAL(pki_tl_finish(tbs, tbs_len, sig, sig_len, &file, &len), 0);
			CU_ASSERT_EQUAL_FATAL(pki_tl_parse(file, len, &tl, why, sizeof(why)), 0);
			CU_ASSERT_EQUAL(pki_tl_verify_cert(&tl, signer, why, sizeof(why)), 0);
			/* a byte less and a byte more is no list */
			CU_ASSERT(cp_signer_sign(client, lists[i].as, lists[i].by, tbs, tbs_len - 1, NULL, 0, sig, &sig_len) < 0);
			CU_ASSERT(cp_signer_sign(client, lists[i].as, lists[i].by, file, len, NULL, 0, sig, &sig_len) < 0);
		}
		OPENSSL_free(tbs);
		OPENSSL_free(file);
		for (unsigned k = 0; k < n; k++)
			X509_free(certs[k]);
		X509_free(signer);
	}
}

static void test_regen_retire(void)
{
	X509 *old = cert_of("TFTP"), *fresh = NULL, *prev, *capf = NULL;
	STACK_OF(X509) *trust = NULL;

	CU_ASSERT_EQUAL(cp_signer_regen(client, "TFTP", "ec-p384", &fresh), -EACCES);
	CU_ASSERT_EQUAL_FATAL(cp_signer_regen(client, "TFTP", NULL, &fresh), 0);
	CU_ASSERT_NOT_EQUAL(X509_cmp(old, fresh), 0);
	CU_ASSERT_EQUAL(EVP_PKEY_eq(X509_get0_pubkey(old), X509_get0_pubkey(fresh)), 0);
	CU_ASSERT_EQUAL(sign_file("TFTP", fresh, PKI_SHA1, NULL, 10, CP_SIGN_FILE, NULL, NULL), 0);
	CU_ASSERT_EQUAL(sign_file("TFTP", old, PKI_SHA1, NULL, 10, CP_SIGN_FILE, NULL, NULL), -EACCES);
	CU_ASSERT_EQUAL(sign_file("TFTP.prev", old, PKI_SHA1, NULL, 10, CP_SIGN_FILE, NULL, NULL), 0);
	CU_ASSERT_EQUAL(sign_file("TFTP.prev", fresh, PKI_SHA1, NULL, 10, CP_SIGN_FILE, NULL, NULL), -EACCES);
	prev = cert_of("TFTP.prev");
	CU_ASSERT_PTR_NOT_NULL_FATAL(prev);
	CU_ASSERT_EQUAL(X509_cmp(prev, old), 0);
	X509_free(prev);
	stop(); /* it is on the disk */
	CU_ASSERT_EQUAL_FATAL(start(), 0);
	CU_ASSERT_EQUAL(sign_file("TFTP.prev", old, PKI_SHA1, NULL, 10, CP_SIGN_FILE, NULL, NULL), 0);
	CU_ASSERT_EQUAL(sign_file("TFTP", fresh, PKI_SHA1, NULL, 10, CP_SIGN_FILE, NULL, NULL), 0);
	CU_ASSERT_EQUAL(cp_signer_retire(client, "TFTP"), 0);
	CU_ASSERT_EQUAL(cp_signer_retire(client, "TFTP"), -ENOENT);
	CU_ASSERT_EQUAL(sign_file("TFTP.prev", old, PKI_SHA1, NULL, 10, CP_SIGN_FILE, NULL, NULL), -ENOENT);
	X509_free(old);
	X509_free(fresh);
	/* phones' certificates that the former CAPF issued stay good until it is retired */
	CU_ASSERT_EQUAL_FATAL(cp_signer_regen(client, "CAPF", NULL, &capf), 0);
	CU_ASSERT_EQUAL_FATAL(cp_signer_trust(client, &trust), 0);
	CU_ASSERT_EQUAL(sk_X509_num(trust), 2);
	CU_ASSERT_EQUAL(X509_cmp(sk_X509_value(trust, 0), capf), 0);
	sk_X509_pop_free(trust, X509_free);
	CU_ASSERT_EQUAL(cp_signer_retire(client, "CAPF"), 0);
	CU_ASSERT_EQUAL_FATAL(cp_signer_trust(client, &trust), 0);
	CU_ASSERT_EQUAL(sk_X509_num(trust), 1);
	sk_X509_pop_free(trust, X509_free);
	X509_free(capf);
	/* a server's key may be of another kind afterwards */
	CU_ASSERT_EQUAL_FATAL(cp_signer_regen(client, "TVS", "ec-p384", &fresh), 0);
	CU_ASSERT_STRING_EQUAL(pki_key_name(X509_get0_pubkey(fresh)), "ec-p384");
	X509_free(fresh);
}

/* A third party: root, intermediate, and what it makes of a request. */
static X509 *third(struct pki_ca *root, struct pki_ca *mid, EVP_PKEY *pub, enum pki_use use, unsigned days, int64_t now)
{
	X509 *cert = NULL;

	if (root->key == NULL) {
		CU_ASSERT_EQUAL_FATAL(pki_key_create(PKI_EC_P256, &root->key), 0);
		CU_ASSERT_EQUAL_FATAL(pki_ca_issue(root->key, "Root", "Third", now, 1000, &root->cert), 0);
		CU_ASSERT_EQUAL_FATAL(pki_key_create(PKI_EC_P256, &mid->key), 0);
		CU_ASSERT_EQUAL_FATAL(pki_own_issue(root, mid->key, PKI_USE_CA, "Mid", "Third", NULL, 0, now, 900, &mid->cert), 0);
	}
	CU_ASSERT_EQUAL_FATAL(pki_own_issue(mid, pub, use, "cm.example.com", "Us", NULL, 0, now, days, &cert), 0);
	return cert;
}

static int import(const char *name, X509 *a, X509 *b, X509 *c)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	int rc;

	if (a != NULL)
		sk_X509_push(chain, a);
	if (b != NULL)
		sk_X509_push(chain, b);
	if (c != NULL)
		sk_X509_push(chain, c);
	rc = cp_signer_import(client, name, chain);
	sk_X509_free(chain);
	return rc;
}

static void test_request_import(void)
{
	struct pki_ca root = {0}, mid = {0};
	int64_t now = time(NULL);
	X509_REQ *req = NULL, *req2 = NULL;
	X509 *good, *bad, *old = cert_of("CallManager");
	STACK_OF(X509) *chain = NULL;
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;

	CU_ASSERT_EQUAL_FATAL(cp_signer_csr(client, "CallManager", "rsa-2048", &req2), 0);
	CU_ASSERT_EQUAL_FATAL(cp_signer_csr(client, "CallManager", "ec-p384", &req), 0);
	CU_ASSERT_EQUAL(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)), 1);
	CU_ASSERT_STRING_EQUAL(pki_key_name(X509_REQ_get0_pubkey(req)), "ec-p384");
	good = third(&root, &mid, X509_REQ_get0_pubkey(req), PKI_USE_SERVER, 100, now);
	/* not yet asked for, for a request that was dropped, wrong order, chain missing, wrong usage, expired */
	CU_ASSERT_EQUAL(import("TVS", good, mid.cert, root.cert), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(cp_signer_error(client), "not for our key"));
	bad = third(&root, &mid, X509_REQ_get0_pubkey(req2), PKI_USE_SERVER, 100, now);
	CU_ASSERT_EQUAL(import("CallManager", bad, mid.cert, root.cert), -EACCES);
	X509_free(bad);
	CU_ASSERT_EQUAL(import("CallManager", good, root.cert, mid.cert), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(cp_signer_error(client), "not its issuer"));
	CU_ASSERT_EQUAL(import("CallManager", mid.cert, good, NULL), -EACCES);
	CU_ASSERT_EQUAL(import("CallManager", good, NULL, NULL), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(cp_signer_error(client), "chain is missing"));
	CU_ASSERT_EQUAL(import("CallManager", NULL, NULL, NULL), -EINVAL);
	bad = third(&root, &mid, X509_REQ_get0_pubkey(req), PKI_USE_CA, 100, now);
	CU_ASSERT_EQUAL(import("CallManager", bad, mid.cert, root.cert), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(cp_signer_error(client), "wrong usage"));
	X509_free(bad);
	bad = third(&root, &mid, X509_REQ_get0_pubkey(req), PKI_USE_SERVER, 1, now - 10 * 86400);
	CU_ASSERT_EQUAL(import("CallManager", bad, mid.cert, root.cert), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(cp_signer_error(client), "expired"));
	X509_free(bad);
	/* the request survives a restart, and nothing of the above changed anything */
	stop();
	CU_ASSERT_EQUAL_FATAL(start(), 0);
	cert = cert_of("CallManager");
	CU_ASSERT_EQUAL(X509_cmp(cert, old), 0);
	X509_free(cert);
	cert = NULL;
	CU_ASSERT_EQUAL(import("CallManager", good, mid.cert, root.cert), 0);
	CU_ASSERT_EQUAL(import("CallManager", good, mid.cert, root.cert), -EEXIST);
	CU_ASSERT_EQUAL_FATAL(cp_signer_server_identity(client, "CallManager", &key, &cert, &chain), 0);
	CU_ASSERT_EQUAL(X509_cmp(cert, good), 0);
	CU_ASSERT_EQUAL(sk_X509_num(chain), 2);
	EVP_PKEY_free(key);
	X509_free(cert);
	sk_X509_pop_free(chain, X509_free);
	cert = cert_of("CallManager.prev");
	CU_ASSERT_PTR_NOT_NULL_FATAL(cert);
	CU_ASSERT_EQUAL(X509_cmp(cert, old), 0);
	X509_free(cert);
	stop();
	CU_ASSERT_EQUAL_FATAL(start(), 0);
	cert = cert_of("CallManager");
	CU_ASSERT_EQUAL(X509_cmp(cert, good), 0);
	X509_free(cert);
	X509_free(old);
	X509_free(good);
	X509_REQ_free(req);
	X509_REQ_free(req2);
	EVP_PKEY_free(root.key);
	EVP_PKEY_free(mid.key);
	X509_free(root.cert);
	X509_free(mid.cert);
}

/* Descriptors that are not what they should be: the peer is cut off, others are served. */
static void test_descriptors(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	uint8_t buf[200];
	struct pki_signer_msg m = {.type = PKI_SIGNER_SIGN, .num = PKI_SIGN_FILE, .name = "TFTP", .seq = 1};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/run/signer.sock", dir);
	for (int i = 0; i < 5; i++) {
		int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), len, pass;
		union {
			char buf[CMSG_SPACE(2 * sizeof(int))];
			struct cmsghdr align;
		} ctl = {0};
		struct iovec iov = {buf, 0};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl,
				     .msg_controllen = i == 4 ? CMSG_SPACE(2 * sizeof(int)) : CMSG_SPACE(sizeof(int))};
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		ssize_t n;

		m.num2 = i == 3 ? 101 : 50;
		m.type = i == 2 ? PKI_SIGNER_HELLO : PKI_SIGNER_SIGN;
		len = pki_signer_build(&m, buf, sizeof(buf));
		iov.iov_len = (size_t)len;
		pass = i == 0 ? open("/dev/null", O_RDONLY) : memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		CU_ASSERT(i == 0 || ftruncate(pass, 100) == 0);
		if (i > 1)
			CU_ASSERT_EQUAL(fcntl(pass, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((i == 4 ? 2 : 1) * sizeof(int));
		memcpy(CMSG_DATA(c), &pass, sizeof(int));
		if (i == 4)
			memcpy(CMSG_DATA(c) + sizeof(int), &pass, sizeof(int));
		CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
		CU_ASSERT_EQUAL(sendmsg(fd, &msg, 0), len);
		n = recv(fd, buf, sizeof(buf), 0);
		if (i < 2 || i == 4) { /* no memfd, not sealed, two of them */
			CU_ASSERT_EQUAL(n, 0);
		} else { /* not asked for, lengths that lie: told so */
			CU_ASSERT_FATAL(n > 0);
			CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)n, &m), 0);
			CU_ASSERT_EQUAL(m.rc, -EBADMSG);
			m = (struct pki_signer_msg){.num = PKI_SIGN_FILE, .name = "TFTP", .seq = 1};
		}
		close(pass);
		close(fd);
	}
}

static void *sign_loop(void *arg)
{
	for (int i = 0; i < 25; i++)
		if (sign_file("TFTP", arg, PKI_SHA512, NULL, 5000, CP_SIGN_FILE, NULL, NULL) != 0)
			return arg;
	return NULL;
}

/* More threads than there are connections. */
static void test_threads(void)
{
	X509 *tftp = cert_of("TFTP");
	pthread_t t[12];

	for (size_t i = 0; i < 12; i++)
		pthread_create(&t[i], NULL, sign_loop, tftp);
	for (size_t i = 0; i < 12; i++) {
		void *failed;

		pthread_join(t[i], &failed);
		CU_ASSERT_PTR_NULL(failed);
	}
	X509_free(tftp);
}

static CU_TestInfo tests[] = {
	{"the identities and what they are for", test_idents},
	{"files", test_files},
	{"trust lists", test_lists},
	{"regenerate and retire", test_regen_retire},
	{"request and import", test_request_import},
	{"descriptors", test_descriptors},
	{"many threads", test_threads},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("sign", tests, setup, teardown)
