/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The signer's state: a first start cut short at every file, what is missing, foreign or old, and what follows from the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <CUnit/CUnit.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>

#include "file.h"
#include "kek.h"
#include "serve.h"
#include "signer_fix.h"
#include "state.h"

/* --- first start --- */

static const char *const made_files[] = {
	"kek",
	"CAPF.key.pem",        "CAPF.cert.pem",        "SAST1.key.pem",    "SAST1.cert.pem",    "SAST2.key.pem",
	"SAST2.cert.pem",      "TFTP.key.pem",         "TFTP.cert.pem",    "ITLRecovery.key.pem", "ITLRecovery.cert.pem",
	"CallManager.key.pem", "CallManager.cert.pem", "TVS.key.pem",      "TVS.cert.pem",      "HTTPS.key.pem",
	"HTTPS.cert.pem",      "TFTP-EC.key.pem",      "TFTP-EC.cert.pem", "CAPF-TLS.key.pem",  "CAPF-TLS.cert.pem",
	"IPsec.key.pem",       "IPsec.cert.pem",       "CAPF-RA.key.pem",      "CAPF-RA.cert.pem", "made",             "ca.pem",
};
#define FILES (sizeof(made_files) / sizeof(made_files[0]))

static void prints(const struct pki_state *st, uint8_t fp[PKI_IDENT_MAX][32])
{
	for (int i = 0; i < PKI_IDENT_MAX; i++)
		CU_ASSERT_EQUAL(pki_fingerprint(st->ident[i].cur.cert, fp[i]), 0);
}

static void test_first_start(void)
{
	uint8_t a[PKI_IDENT_MAX][32], b[PKI_IDENT_MAX][32];
	struct pki_state *st, *second = NULL;
	char path[200];
	struct stat sb;

	wipe_dir();
	st = opened();
	CU_ASSERT_PTR_NOT_NULL_FATAL(st);
	prints(st, a);
	CU_ASSERT_EQUAL(pki_state_open(cfg, NOW, &second, err, sizeof(err)), -EBUSY);
	CU_ASSERT_PTR_NULL(second);
	pki_state_close(st);
	for (size_t i = 0; i < FILES; i++) {
		uint8_t *data = NULL;
		size_t len = 0;

		at(path, sizeof(path), made_files[i]);
		CU_ASSERT_EQUAL_FATAL(stat(path, &sb), 0);
		CU_ASSERT_EQUAL(sb.st_mode & 022, 0);
		CU_ASSERT_EQUAL_FATAL(pki_file_read(path, &data, &len), 0);
		if (strstr(made_files[i], "key") != NULL) {
			CU_ASSERT_EQUAL(sb.st_mode & 077, 0);
		} else {
			CU_ASSERT_PTR_NULL(memmem(data, len, "PRIVATE", 7));
		}
		if (strstr(made_files[i], "key.pem") != NULL)
			CU_ASSERT_PTR_NOT_NULL(
				memmem(data, len, "BEGIN ENCRYPTED PRIVATE KEY", 27));
		OPENSSL_clear_free(data, len + 1);
	}
	at(path, sizeof(path), ".tmp-left");
	CU_ASSERT_EQUAL(pki_file_write(path, "x", 1, 0600, true), 0);
	st = opened();
	prints(st, b);
	CU_ASSERT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	CU_ASSERT_FALSE(pki_file_exists(path));
	CU_ASSERT_EQUAL(sk_X509_num(st->trust), 1);
	pki_state_close(st);
}

/* The files appear in the order of made_files: cut behind each of them, the next start completes
 * the rest and keeps what was there. (Kills at any moment of a real start:
 * tests/scenario/signer-first-start.sh.) */
static void test_cut_first_start(void)
{
	uint8_t first[PKI_IDENT_MAX][32], now[PKI_IDENT_MAX][32];
	struct pki_state *st;
	char path[200];

	wipe_dir();
	st = opened();
	CU_ASSERT_PTR_NOT_NULL_FATAL(st);
	prints(st, first);
	pki_state_close(st);
	CU_ASSERT_EQUAL(in_dir("cp -a state whole"), 0);
	for (size_t keep = 0; keep < FILES; keep += keep < 6 || keep > FILES - 4 ? 1 : 3) {
		CU_ASSERT_EQUAL(in_dir("rm -rf state && cp -a whole state"), 0);
		for (size_t i = keep; i < FILES; i++) {
			at(path, sizeof(path), made_files[i]);
			CU_ASSERT_EQUAL(unlink(path), 0);
		}
		st = opened();
		CU_ASSERT_PTR_NOT_NULL_FATAL(st);
		prints(st, now);
		for (int i = 0; i < PKI_IDENT_MAX; i++) /* key and certificate are file 1 + 2 i */
			CU_ASSERT_EQUAL(memcmp(first[i], now[i], 32) == 0, keep > (size_t)(1 + 2 * i));
		pki_state_close(st);
	}
}

/* Once made, nothing that is missing is made again in silence. */
static void test_missing_is_an_error(void)
{
	struct pki_state *st;
	char path[200], aside[220];

	whole_dir();
	st = opened();
	CU_ASSERT_PTR_NOT_NULL_FATAL(st);
	pki_state_close(st);
	for (size_t i = 0; i + 2 < FILES; i++) {
		if (strstr(made_files[i], ".cert.pem") != NULL)
			continue; /* follows from the key's file: test_derived() */
		at(path, sizeof(path), made_files[i]);
		snprintf(aside, sizeof(aside), "%s.aside", path);
		CU_ASSERT_EQUAL(rename(path, aside), 0);
		st = NULL;
		CU_ASSERT_EQUAL(pki_state_open(cfg, NOW, &st, err, sizeof(err)), -ENOENT);
		CU_ASSERT_PTR_NULL(st);
		CU_ASSERT_PTR_NOT_NULL(strstr(err, made_files[i]));
		CU_ASSERT_FALSE(pki_file_exists(path));
		CU_ASSERT_EQUAL(rename(aside, path), 0);
	}
	/* another KEK, another's identity */
	at(path, sizeof(path), "kek");
	snprintf(aside, sizeof(aside), "%s.aside", path);
	CU_ASSERT_EQUAL(rename(path, aside), 0);
	CU_ASSERT_EQUAL(pki_kek_make(path), 0);
	CU_ASSERT_EQUAL(pki_state_open(cfg, NOW, &st, err, sizeof(err)), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "kek"));
	CU_ASSERT_EQUAL(rename(aside, path), 0);
}

/* A certificate of the right key that another CA signed, and one of another key. */
static void test_foreign_certificate(void)
{
	struct pki_state *st;
	struct pki_ident id = {0};
	X509 *cert = NULL;
	struct pki_ca ca;

	whole_dir();
	st = opened();
	CU_ASSERT_PTR_NOT_NULL_FATAL(st);
	ca = (struct pki_ca){st->ident[PKI_IDENT_CAPF].cur.key, st->ident[PKI_IDENT_CAPF].cur.cert};
	CU_ASSERT_EQUAL(pki_server_issue(&ca, st->ident[PKI_IDENT_TVS].cur.key, "x", "x", NULL, 0, time(NULL), 10, &cert), 0);
	id.name = "TVS";
	id.cur.key = st->ident[PKI_IDENT_TVS].cur.key;
	EVP_PKEY_up_ref(id.cur.key);
	id.cur.cert = cert;
	CU_ASSERT_EQUAL(pki_state_commit(st, &id), 0);
	pki_state_close(st);
	CU_ASSERT_EQUAL(pki_state_open(cfg, time(NULL), &st, err, sizeof(err)), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "TVS.key.pem: not issued by itself"));

	whole_dir();
	st = opened();
	CU_ASSERT_PTR_NOT_NULL_FATAL(st);
	id = (struct pki_ident){.name = "TVS"};
	id.cur.key = st->ident[PKI_IDENT_TVS].cur.key;
	id.cur.cert = st->ident[PKI_IDENT_HTTPS].cur.cert;
	EVP_PKEY_up_ref(id.cur.key);
	X509_up_ref(id.cur.cert);
	CU_ASSERT_EQUAL(pki_state_commit(st, &id), 0);
	pki_state_close(st);
	CU_ASSERT_EQUAL(pki_state_open(cfg, time(NULL), &st, err, sizeof(err)), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "TVS.key.pem: the certificate does not belong"));
}

/* A state of the version that knew server-ca, CAPF and CallManager, each as a key's and a certificate's file: kept, completed. */
static void test_older_state(void)
{
	EVP_PKEY *key[3] = {NULL};
	X509 *cert[3] = {NULL};
	static const char *const names[] = {"server-ca", "CAPF", "CallManager"};
	char path[200], pass[65], *text;
	struct pki_kek *kek;
	struct pki_state *st;
	struct pki_ca ca;
	int64_t now = time(NULL);
	BIO *bio;
	long len;

	wipe_dir();
	snprintf(path, sizeof(path), "%s/state/signer", dir);
	CU_ASSERT_EQUAL_FATAL(pki_dir_make(path), 0);
	at(path, sizeof(path), "kek");
	CU_ASSERT_EQUAL_FATAL(pki_kek_make(path), 0);
	CU_ASSERT_EQUAL_FATAL(pki_kek_load(path, &kek), 0);
	memcpy(pass, pki_kek_passphrase(kek), sizeof(pass));
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL_FATAL(pki_key_create(PKI_EC_P256, &key[i]), 0);
	CU_ASSERT_EQUAL(pki_ca_issue(key[0], "x CA", "x", now, 10, &cert[0]), 0);
	CU_ASSERT_EQUAL(pki_ca_issue(key[1], "CAPF-x", "x", now, 10, &cert[1]), 0);
	ca = (struct pki_ca){key[0], cert[0]};
	CU_ASSERT_EQUAL(pki_server_issue(&ca, key[2], "CallManager-x", "x", NULL, 0, now, 10, &cert[2]), 0);
	for (int i = 0; i < 3; i++) {
		char name[60];

		bio = BIO_new(BIO_s_mem());
		PEM_write_bio_PKCS8PrivateKey(bio, key[i], EVP_aes_256_cbc(), pass, 64, NULL, NULL);
		len = BIO_get_mem_data(bio, &text);
		snprintf(name, sizeof(name), "%s.key.pem", names[i]);
		at(path, sizeof(path), name);
		CU_ASSERT_EQUAL(pki_file_write(path, text, (size_t)len, 0400, true), 0);
		BIO_free(bio);
		bio = BIO_new(BIO_s_mem());
		PEM_write_bio_X509(bio, cert[i]);
		len = BIO_get_mem_data(bio, &text);
		snprintf(name, sizeof(name), "%s.cert.pem", names[i]);
		at(path, sizeof(path), name);
		CU_ASSERT_EQUAL(pki_file_write(path, text, (size_t)len, 0644, true), 0);
		BIO_free(bio);
	}
	at(path, sizeof(path), "made");
	CU_ASSERT_EQUAL(pki_file_write(path, "server-ca\nCAPF\nCallManager\n", 27, 0600, true), 0);
	for (int round = 0; round < 2; round++) {
		st = opened();
		CU_ASSERT_PTR_NOT_NULL_FATAL(st);
		CU_ASSERT_EQUAL(X509_cmp(st->ident[PKI_IDENT_CAPF].cur.cert, cert[1]), 0);
		CU_ASSERT_EQUAL(X509_cmp(st->ident[PKI_IDENT_CALLMANAGER].cur.cert, cert[2]), 0);
		CU_ASSERT_EQUAL_FATAL(sk_X509_num(st->ident[PKI_IDENT_CALLMANAGER].cur.chain), 1);
		CU_ASSERT_EQUAL(X509_cmp(sk_X509_value(st->ident[PKI_IDENT_CALLMANAGER].cur.chain, 0), cert[0]), 0);
		CU_ASSERT_EQUAL(EVP_PKEY_eq(st->ident[PKI_IDENT_CALLMANAGER].cur.key, key[2]), 1);
		CU_ASSERT_PTR_NOT_NULL(st->ident[PKI_IDENT_SAST1].cur.key);
		pki_state_close(st);
		/* the second time it stands without the files of the older version */
		if (round == 0)
			CU_ASSERT_EQUAL(in_dir("rm state/signer/server-ca.* state/signer/CallManager.cert.pem"), 0);
	}
	for (int i = 0; i < 3; i++) {
		EVP_PKEY_free(key[i]);
		X509_free(cert[i]);
	}
	pki_kek_destroy(kek);
}

/* NAME.cert.pem and ca.pem follow from the rest: gone or changed, they are written again. */
static void test_derived(void)
{
	struct pki_state *st;
	char path[200];
	uint8_t *a = NULL, *b = NULL;
	size_t a_len = 0, b_len = 0;

	for (int i = 0; i < 2; i++) {
		at(path, sizeof(path), i == 0 ? "TFTP.cert.pem" : "ca.pem");
		st = opened();
		pki_state_close(st);
		CU_ASSERT_EQUAL_FATAL(pki_file_read(path, &a, &a_len), 0);
		CU_ASSERT_EQUAL(pki_file_write(path, "x", 1, 0644, false), 0);
		st = opened();
		pki_state_close(st);
		CU_ASSERT_EQUAL_FATAL(pki_file_read(path, &b, &b_len), 0);
		CU_ASSERT(a_len == b_len && memcmp(a, b, a_len) == 0);
		OPENSSL_free(a);
		OPENSSL_free(b);
	}
}

static void test_bad_configuration(void)
{
	struct pki_state *st = NULL;
	char more[300], path[200];

	wipe_dir();
	CU_ASSERT_EQUAL_FATAL(load("  pkcs11_uri: pkcs11:token=x\n"), 0);
	CU_ASSERT_EQUAL(pki_state_open(cfg, NOW, &st, err, sizeof(err)), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "SAST1: signer.pkcs11_pin is not set"));
	at(path, sizeof(path), "SAST1.key.pem");
	CU_ASSERT_FALSE(pki_file_exists(path));
	CU_ASSERT_EQUAL_FATAL(load("  trust: [/nonexistent.pem]\n"), 0);
	CU_ASSERT_EQUAL(pki_state_open(cfg, NOW, &st, err, sizeof(err)), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "signer.trust[0]: /nonexistent.pem"));
	/* a server's certificate is no issuer */
	at(path, sizeof(path), "CallManager.cert.pem");
	snprintf(more, sizeof(more), "  trust: [%s]\n", path);
	CU_ASSERT_EQUAL_FATAL(load(more), 0);
	CU_ASSERT_EQUAL(pki_state_open(cfg, NOW, &st, err, sizeof(err)), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "no CA"));
	at(path, sizeof(path), "CAPF.cert.pem");
	snprintf(more, sizeof(more), "  trust: [%s]\n", path);
	CU_ASSERT_EQUAL_FATAL(load(more), 0);
	st = opened();
	CU_ASSERT_PTR_NOT_NULL_FATAL(st);
	CU_ASSERT_EQUAL(sk_X509_num(st->trust), 2);
	pki_state_close(st);
	CU_ASSERT_EQUAL(load(""), 0);
}

static CU_TestInfo tests[] = {
	{"first start", test_first_start},
	{"a first start cut short is completed", test_cut_first_start},
	{"what is missing is not made again", test_missing_is_an_error},
	{"a certificate of another CA, or of another key", test_foreign_certificate},
	{"a state of an older version", test_older_state},
	{"what follows from the rest", test_derived},
	{"bad configuration", test_bad_configuration},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("signerstate", tests, setup, teardown)
