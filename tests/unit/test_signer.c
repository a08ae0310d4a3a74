/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The signer and its client: message codec, sealing, first start cut short at every file, every
 * request in process and over a socket, and what it must refuse.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CUnit/CUnit.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>

#include "config.h"
#include "file.h"
#include "kek.h"
#include "serve.h"
#include "signer.h"
#include "signerc/signerc.h"
#include "state.h"
#include "wire.h"

#define NOW 1800000000

static char dir[] = "/tmp/test-signer-XXXXXX";
static char err[512];
static struct cfg *cfg;

static void at(char *buf, size_t size, const char *name)
{
	snprintf(buf, size, "%s/state/signer/%s", dir, name);
}

static int in_dir(const char *what)
{
	char cmd[300];

	snprintf(cmd, sizeof(cmd), "cd %s && %s", dir, what);
	return system(cmd);
}

static void wipe_dir(void)
{
	CU_ASSERT_EQUAL(in_dir("rm -rf state run kek"), 0);
}

/* A state that is whole, without waiting for its keys again: test_cut_first_start() kept one. */
static void whole_dir(void)
{
	wipe_dir();
	CU_ASSERT_EQUAL(in_dir("if [ -d whole ]; then cp -a whole state; fi"), 0);
}

static int load(const char *more)
{
	char text[1024];
	int n = snprintf(text, sizeof(text),
	                 "paths: {state: %s/state, run: %s/run}\nlog: {level: err}\n"
	                 "signer:\n  server_key: ec-p256\n%s",
	                 dir, dir, more);

	cfg_free(cfg);
	cfg = NULL;
	return cfg_load_data((uint8_t *)text, (size_t)n, &cfg, err, sizeof(err));
}

static int setup(void)
{
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	return mkdtemp(dir) != NULL && load("") == 0 ? 0 : -1;
}

static int teardown(void)
{
	cfg_free(cfg);
	return in_dir("rm -rf state run kek whole") == 0 ? rmdir(dir) : -1;
}

/* --- codec --- */

static struct pki_signer_msg full(uint16_t type, uint8_t reply)
{
	static const uint8_t blob[] = {1, 2, 3, 4, 5};
	struct pki_signer_msg m = {.type = type, .reply = reply, .seq = 0x01020304, .num = 7};

	strcpy(m.name, "SEP0011223344AA");
	m.a = (struct pki_blob){blob, 5};
	m.b = (struct pki_blob){blob, 3};
	m.c = (struct pki_blob){blob, 0};
	return m;
}

static void test_codec_cut_everywhere(void)
{
	uint8_t buf[512];

	for (uint16_t type = 1; type < PKI_SIGNER_TYPE_MAX; type++)
		for (uint8_t reply = 0; reply < 2; reply++) {
			struct pki_signer_msg m = full(type, reply), got;
			int len = pki_signer_build(&m, buf, sizeof(buf));
			uint8_t again[512];

			CU_ASSERT_FATAL(len >= PKI_SIGNER_HDR_LEN);
			CU_ASSERT_EQUAL_FATAL(pki_signer_parse(buf, (size_t)len, &got), 0);
			CU_ASSERT_EQUAL(got.type, type);
			CU_ASSERT_EQUAL(got.seq, m.seq);
			CU_ASSERT_EQUAL(pki_signer_build(&got, again, sizeof(again)), len);
			CU_ASSERT_EQUAL(memcmp(buf, again, (size_t)len), 0);
			for (int n = 0; n < len; n++) {
				uint8_t *exact = malloc(n > 0 ? (size_t)n : 1);

				memcpy(exact, buf, (size_t)n);
				CU_ASSERT_EQUAL(pki_signer_parse(exact, (size_t)n, &got), -EBADMSG);
				CU_ASSERT_EQUAL(got.seq, n >= PKI_SIGNER_HDR_LEN ? m.seq : 0);
				CU_ASSERT_EQUAL(pki_signer_build(&m, again, (size_t)n), -EMSGSIZE);
				free(exact);
			}
			buf[len] = 0; /* one byte too many */
			CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)len + 1, &got), -EBADMSG);
		}
}

static void test_codec_refuses(void)
{
	struct pki_signer_msg m = full(PKI_SIGNER_LSC, 0), got;
	uint8_t buf[512];
	int len = pki_signer_build(&m, buf, sizeof(buf));

	buf[1] = 2; /* version */
	CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)len, &got), -EOPNOTSUPP);
	CU_ASSERT_EQUAL(got.seq, m.seq);
	buf[1] = PKI_SIGNER_VERSION;
	buf[3] = PKI_SIGNER_TYPE_MAX;
	CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)len, &got), -EOPNOTSUPP);
	buf[3] = 0;
	CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)len, &got), -EOPNOTSUPP);
	buf[3] = PKI_SIGNER_LSC;
	buf[8] = 0xff; /* an error code in a request */
	CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)len, &got), -EBADMSG);
	buf[8] = 0;
	buf[13] = '\n'; /* not printable */
	CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)len, &got), -EBADMSG);
	buf[13] = 'S';
	CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)len, &got), 0);
	for (int i = 0; i < 4; i++) { /* the first blob's length, lying */
		buf[28 + i] ^= 0x80;
		CU_ASSERT_EQUAL(pki_signer_parse(buf, (size_t)len, &got), -EBADMSG);
		buf[28 + i] ^= 0x80;
	}
}

/* --- KEK --- */

static void test_seal(void)
{
	static const uint8_t key[32] = {1}, key2[32] = {2};
	struct pki_kek *kek, *kek2;
	uint8_t plain[300], sealed[300 + PKI_SIGNER_SEAL_OVERHEAD],
		again[300 + PKI_SIGNER_SEAL_OVERHEAD], out[300];
	int len;

	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * 7);
	CU_ASSERT_EQUAL_FATAL(pki_kek_init(key, &kek), 0);
	CU_ASSERT_EQUAL_FATAL(pki_kek_init(key2, &kek2), 0);
	CU_ASSERT_EQUAL(strlen(pki_kek_passphrase(kek)), 64);
	CU_ASSERT_STRING_NOT_EQUAL(pki_kek_passphrase(kek), pki_kek_passphrase(kek2));
	CU_ASSERT_NOT_EQUAL(memcmp(pki_kek_id(kek), pki_kek_id(kek2), 8), 0);
	for (size_t n = 0; n <= sizeof(plain); n += 50) {
		len = pki_kek_seal(kek, plain, n, (const uint8_t *)"sa/1", 4, sealed);
		CU_ASSERT_EQUAL_FATAL(len, (int)(n + PKI_SIGNER_SEAL_OVERHEAD));
		CU_ASSERT_EQUAL(
			pki_kek_unseal(kek, sealed, (size_t)len, (const uint8_t *)"sa/1", 4, out),
			(int)n);
		CU_ASSERT_EQUAL(memcmp(out, plain, n), 0);
	}
	/* never the same bytes twice, nowhere the plain text */
	pki_kek_seal(kek, plain, sizeof(plain), (const uint8_t *)"sa/1", 4, again);
	CU_ASSERT_NOT_EQUAL(memcmp(again, sealed, sizeof(sealed)), 0);
	CU_ASSERT_PTR_NULL(memmem(sealed, sizeof(sealed), plain, 16));
	/* bound to key, bytes and data */
	CU_ASSERT_EQUAL(pki_kek_unseal(kek2, sealed, (size_t)len, (const uint8_t *)"sa/1", 4, out),
	                -EACCES);
	CU_ASSERT_EQUAL(pki_kek_unseal(kek, sealed, (size_t)len, (const uint8_t *)"sa/2", 4, out),
	                -EACCES);
	CU_ASSERT_EQUAL(pki_kek_unseal(kek, sealed, (size_t)len, NULL, 0, out), -EACCES);
	for (int i = 0; i < len; i++) {
		sealed[i] ^= 1;
		memset(out, 0xaa, sizeof(out));
		CU_ASSERT(pki_kek_unseal(kek, sealed, (size_t)len, (const uint8_t *)"sa/1", 4,
		                         out) < 0);
		CU_ASSERT_NOT_EQUAL(memcmp(out + 100, plain + 100, 100), 0);
		sealed[i] ^= 1;
	}
	for (int n = 0; n < len; n++) {
		uint8_t *exact = malloc(n > 0 ? (size_t)n : 1);

		memcpy(exact, sealed, (size_t)n);
		CU_ASSERT(pki_kek_unseal(kek, exact, (size_t)n, (const uint8_t *)"sa/1", 4, out) <
		          0);
		free(exact);
	}
	pki_kek_destroy(kek);
	pki_kek_destroy(kek2);
}

static void test_kek_file(void)
{
	char path[100];
	struct pki_kek *kek = NULL;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/kek", dir);
	CU_ASSERT_EQUAL(pki_kek_load(path, &kek), -ENOENT);
	CU_ASSERT_EQUAL(pki_kek_make(path), 0);
	CU_ASSERT_EQUAL(pki_kek_make(path), -EEXIST);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0400);
	CU_ASSERT_EQUAL(st.st_size, 32);
	CU_ASSERT_EQUAL_FATAL(pki_kek_load(path, &kek), 0);
	pki_kek_destroy(kek);
	kek = NULL;
	chmod(path, 0440);
	CU_ASSERT_EQUAL(pki_kek_load(path, &kek), -EPERM);
	chmod(path, 0600);
	fd = open(path, O_WRONLY);
	CU_ASSERT_EQUAL(ftruncate(fd, 31), 0);
	CU_ASSERT_EQUAL(pki_kek_load(path, &kek), -EBADMSG);
	CU_ASSERT_EQUAL(ftruncate(fd, 33), 0);
	CU_ASSERT_EQUAL(pki_kek_load(path, &kek), -EBADMSG);
	close(fd);
	unlink(path);
	CU_ASSERT_EQUAL(symlink("/dev/zero", path), 0);
	CU_ASSERT_EQUAL(pki_kek_load(path, &kek), -ELOOP);
	unlink(path);
}

/* --- first start --- */

static const char *const made_files[] = {
	"kek",
	"CAPF.key.pem",        "CAPF.cert.pem",        "SAST1.key.pem",    "SAST1.cert.pem",    "SAST2.key.pem",
	"SAST2.cert.pem",      "TFTP.key.pem",         "TFTP.cert.pem",    "ITLRecovery.key.pem", "ITLRecovery.cert.pem",
	"CallManager.key.pem", "CallManager.cert.pem", "TVS.key.pem",      "TVS.cert.pem",      "HTTPS.key.pem",
	"HTTPS.cert.pem",      "TFTP-EC.key.pem",      "TFTP-EC.cert.pem", "CAPF-TLS.key.pem",  "CAPF-TLS.cert.pem",
	"IPsec.key.pem",       "IPsec.cert.pem",       "made",             "ca.pem",
};
#define FILES (sizeof(made_files) / sizeof(made_files[0]))

static struct pki_state *opened(void)
{
	struct pki_state *st = NULL;
	int rc = pki_state_open(cfg, time(NULL), &st, err, sizeof(err));

	CU_ASSERT_EQUAL(rc, 0);
	if (rc != 0)
		fprintf(stderr, "%s\n", err);
	return st;
}

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

/* --- requests --- */

static uint8_t reply_buf[PKI_SIGNER_MSG_MAX];

static int answer(struct pki_state *st, const struct pki_signer_msg *req,
                  struct pki_signer_msg *ret)
{
	uint8_t buf[4096];
	int len = pki_signer_build(req, buf, sizeof(buf));
	size_t n;

	CU_ASSERT_FATAL(len > 0);
	n = pki_serve_answer(st, buf, (size_t)len, NULL, NOW, 1, reply_buf);
	CU_ASSERT_EQUAL_FATAL(pki_signer_parse(reply_buf, n, ret), 0);
	CU_ASSERT_EQUAL(ret->reply, 1);
	CU_ASSERT_EQUAL(ret->seq, req->seq);
	return ret->rc;
}

static const struct {
	uint16_t type;
	const char *name;
	uint32_t num;
	const char *a, *b;
	int rc;
} refused[] = {
	{PKI_SIGNER_SERVER, "CAPF", 0, "", "", -ENOENT}, /* an issuer's key is never handed out */
	{PKI_SIGNER_SERVER, "SAST1", 0, "", "", -ENOENT},
	{PKI_SIGNER_SERVER, "TFTP", 0, "", "", -ENOENT},
	{PKI_SIGNER_SERVER, "ITLRecovery", 0, "", "", -ENOENT},
	{PKI_SIGNER_IDENT, "", PKI_IDENT_MAX, "", "", -ENOENT},
	{PKI_SIGNER_REGEN, "nobody", 0, "", "", -ENOENT},
	{PKI_SIGNER_REGEN, "SAST1.prev", 0, "", "", -ENOENT},
	{PKI_SIGNER_REGEN, "SAST1", 0, "rsa-1024", "", -EINVAL},
	{PKI_SIGNER_REGEN, "SAST1", 0, "ec-p256", "", -EACCES},
	{PKI_SIGNER_REGEN, "TFTP-EC", 0, "rsa-2048", "", -EACCES},
	{PKI_SIGNER_REGEN, "SAST1", 0, "x\n", "", -EBADMSG},
	{PKI_SIGNER_CSR, "nobody", 0, "", "", -ENOENT},
	{PKI_SIGNER_CSR, "TFTP", 0, "ec-p384", "", -EACCES},
	{PKI_SIGNER_IMPORT, "TFTP", 0, "", "", -EBADMSG},
	{PKI_SIGNER_IMPORT, "TFTP", 0, "0\x03\x02\x01", "", -EBADMSG},
	{PKI_SIGNER_RETIRE, "TFTP", 0, "", "", -ENOENT},
	{PKI_SIGNER_RETIRE, "nobody", 0, "", "", -ENOENT},
	{PKI_SIGNER_SIGN, "nobody", PKI_SIGN_FILE, "x", "x", -ENOENT},
	{PKI_SIGNER_SIGN, "TFTP", 0, "x", "x", -EBADMSG},
	{PKI_SIGNER_SIGN, "TFTP", 5, "x", "x", -EBADMSG},
	{PKI_SIGNER_SIGN, "TFTP", PKI_SIGN_FILE, "x", "x", -EBADMSG},
	{PKI_SIGNER_SIGN, "TFTP", PKI_SIGN_ITL, "x", "x", -EBADMSG},
	{PKI_SIGNER_SIGN, "TFTP", PKI_SIGN_ITL, "x", "", -EBADMSG},
	{PKI_SIGNER_SIGN, "TFTP", PKI_SIGN_CTL, "x", "", -EACCES},
	{PKI_SIGNER_SIGN, "SAST1", PKI_SIGN_FILE, "x", "", -EACCES},
	{PKI_SIGNER_SIGN, "TVS", PKI_SIGN_FILE, "x", "", -EACCES},
	{PKI_SIGNER_SIGN, "CAPF", PKI_SIGN_CTL, "x", "", -EACCES},
	{PKI_SIGNER_SERVER, "", 0, "", "", -ENOENT},
	{PKI_SIGNER_TRUST, "", 1, "", "", -ENOENT},
	{PKI_SIGNER_TRUST, "", UINT32_MAX, "", "", -ENOENT},
	{PKI_SIGNER_LSC, "SEP0011223344AA", 0, "", "", -EBADMSG},
	{PKI_SIGNER_LSC, "SEP0011223344AA", 0, "x", "y", -EBADMSG},
	{PKI_SIGNER_LSC, "SEP0011223344AA", 0, "x", "", -EBADMSG},
	{PKI_SIGNER_LSC, "SEP0011223344AA", 0, "", "y", -EBADMSG},
	{PKI_SIGNER_LSC, "CallManager", 0, "x", "", -EBADMSG},
	{PKI_SIGNER_TEST_ID, "CallManager", 2, "", "", -EBADMSG},
	{PKI_SIGNER_TEST_ID, "SEP0011223344AA", 0, "", "", -EBADMSG},
	{PKI_SIGNER_TEST_ID, "SEP0011223344AA", 3, "", "", -EBADMSG},
	{PKI_SIGNER_UNSEAL, "", 0, "", "", -EBADMSG},
	{PKI_SIGNER_UNSEAL, "", 0, "RVS1 but not more of it than that, and so not authentic", "",
         -EACCES},
};

static void test_requests_refused(void)
{
	struct pki_state *st = opened();
	struct pki_signer_msg r;
	uint8_t buf[600];
	uint32_t seed = 5;

	CU_ASSERT_PTR_NOT_NULL_FATAL(st);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct pki_signer_msg m = {
			.type = refused[i].type, .seq = (uint32_t)i + 1, .num = refused[i].num};

		strcpy(m.name, refused[i].name);
		m.a = (struct pki_blob){(const uint8_t *)refused[i].a, strlen(refused[i].a)};
		m.b = (struct pki_blob){(const uint8_t *)refused[i].b, strlen(refused[i].b)};
		CU_ASSERT_EQUAL(answer(st, &m, &r), refused[i].rc);
		CU_ASSERT(strlen(r.name) > 0);
		if (r.rc != refused[i].rc)
			fprintf(stderr, "refused %zu: %d %s\n", i, r.rc, r.name);
	}
	/* every truncation of every request, and random bytes: an error, never an answer */
	for (uint16_t type = 1; type < PKI_SIGNER_TYPE_MAX; type++) {
		struct pki_signer_msg m = full(type, 0);
		int len = pki_signer_build(&m, buf, sizeof(buf));

		for (int n = 0; n < len; n++) {
			uint8_t *exact = malloc(n > 0 ? (size_t)n : 1);
			size_t k;

			memcpy(exact, buf, (size_t)n);
			k = pki_serve_answer(st, exact, (size_t)n, NULL, NOW, 1, reply_buf);
			CU_ASSERT_EQUAL_FATAL(pki_signer_parse(reply_buf, k, &r), 0);
			CU_ASSERT_EQUAL(r.rc, -EBADMSG);
			free(exact);
		}
	}
	for (int i = 0; i < 20000; i++) {
		size_t len, k;

		seed = seed * 1664525 + 1013904223;
		len = (seed >> 8) % 64;
		for (size_t j = 0; j < len; j++) {
			seed = seed * 1664525 + 1013904223;
			buf[j] = (uint8_t)(seed >> 24);
		}
		k = pki_serve_answer(st, buf, len, NULL, NOW, 1, reply_buf);
		CU_ASSERT_EQUAL_FATAL(pki_signer_parse(reply_buf, k, &r), 0);
		CU_ASSERT(r.rc < 0);
	}
	{ /* a reply is no request */
		struct pki_signer_msg m = full(PKI_SIGNER_HELLO, 1);
		int len = pki_signer_build(&m, buf, sizeof(buf));
		size_t k = pki_serve_answer(st, buf, (size_t)len, NULL, NOW, 1, reply_buf);

		CU_ASSERT_EQUAL_FATAL(pki_signer_parse(reply_buf, k, &r), 0);
		CU_ASSERT_EQUAL(r.rc, -EBADMSG);
	}
	pki_state_close(st);
}

/* --- over the socket --- */

static struct pki_serve *serve;
static struct pki_state *served;
static pthread_t thread;
static int stop_fd = -1;
static char run_dir[100];

static void *serving(void *arg)
{
	(void)arg;
	pki_serve_run(serve, stop_fd);
	return NULL;
}

static void start(void)
{
	served = opened();
	CU_ASSERT_PTR_NOT_NULL_FATAL(served);
	snprintf(run_dir, sizeof(run_dir), "%s/run", dir);
	CU_ASSERT_EQUAL_FATAL(pki_serve_create(served, run_dir, &serve), 0);
	stop_fd = eventfd(0, EFD_CLOEXEC);
	pthread_create(&thread, NULL, serving, NULL);
}

static void stop(void)
{
	eventfd_write(stop_fd, 1);
	pthread_join(thread, NULL);
	pki_serve_destroy(serve);
	pki_state_close(served);
	close(stop_fd);
}

static int raw_connect(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/run/signer.sock", dir);
	CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void check_server_identity(struct cp_signer *s)
{
	STACK_OF(X509) *chain = NULL;
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;

	CU_ASSERT_EQUAL(cp_signer_server_identity(s, "Nobody", &key, &cert, &chain), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(cp_signer_error(s), "no such server role"));
	CU_ASSERT_EQUAL_FATAL(cp_signer_server_identity(s, "CallManager", &key, &cert, &chain), 0);
	CU_ASSERT_EQUAL(X509_check_private_key(cert, key), 1);
	CU_ASSERT_EQUAL(sk_X509_num(chain), 0);
	CU_ASSERT_EQUAL(X509_verify(cert, X509_get0_pubkey(cert)), 1);
	EVP_PKEY_free(key);
	X509_free(cert);
	sk_X509_pop_free(chain, X509_free);
	CU_ASSERT_EQUAL_FATAL(cp_signer_server_identity(s, "CAPF-TLS", &key, &cert, &chain), 0);
	CU_ASSERT_EQUAL_FATAL(sk_X509_num(chain), 1);
	CU_ASSERT_EQUAL(X509_verify(cert, X509_get0_pubkey(sk_X509_value(chain, 0))), 1);
	EVP_PKEY_free(key);
	X509_free(cert);
	sk_X509_pop_free(chain, X509_free);
}

static void check_phone(struct cp_signer *s)
{
	STACK_OF(X509) *trust = NULL;
	X509_STORE *store = NULL;
	X509 *cert = NULL, *ca = NULL, *server_ca = NULL, *capf = NULL;
	X509_REQ *csr = X509_REQ_new();
	char name[PKI_DEVICE_MAX];
	EVP_PKEY *key = NULL;
	int64_t now = time(NULL);

	CU_ASSERT_EQUAL_FATAL(cp_signer_trust(s, &trust), 0);
	CU_ASSERT_EQUAL(sk_X509_num(trust), 1);
	CU_ASSERT_EQUAL_FATAL(pki_phone_store(trust, false, &store), 0);
	CU_ASSERT_EQUAL_FATAL(cp_signer_cas(s, &server_ca, &capf), 0);
	CU_ASSERT_EQUAL(X509_cmp(capf, sk_X509_value(trust, 0)), 0);
	CU_ASSERT_NOT_EQUAL(X509_cmp(capf, server_ca), 0);
	CU_ASSERT_EQUAL(cp_signer_test_identity(s, "nobody", PKI_EC_P256, &key, &cert, &ca),
	                -EBADMSG);
	CU_ASSERT_EQUAL_FATAL(
		cp_signer_test_identity(s, "SEP0011223344AA", PKI_EC_P256, &key, &cert, &ca), 0);
	CU_ASSERT_EQUAL(X509_cmp(ca, capf), 0);
	CU_ASSERT_EQUAL(pki_phone_verify(store, cert, NULL, now, NULL), 0);
	CU_ASSERT_EQUAL(pki_name_device(cert, name), 0);
	CU_ASSERT_STRING_EQUAL(name, "SEP0011223344AA");
	X509_free(cert);
	cert = NULL;
	CU_ASSERT_EQUAL_FATAL(cp_signer_lsc_issue(s, "SEP0011223344AB", key, &cert), 0);
	CU_ASSERT_EQUAL(pki_phone_verify(store, cert, NULL, now, NULL), 0);
	CU_ASSERT_EQUAL(X509_check_private_key(cert, key), 1);
	X509_free(cert);
	cert = NULL;
	X509_REQ_set_pubkey(csr, key);
	X509_REQ_sign(csr, key, EVP_sha256());
	CU_ASSERT_EQUAL_FATAL(cp_signer_lsc_issue_csr(s, "SEP0011223344AC", csr, &cert), 0);
	CU_ASSERT_EQUAL(pki_name_device(cert, name), 0);
	CU_ASSERT_STRING_EQUAL(name, "SEP0011223344AC");
	X509_free(cert);
	cert = NULL;
	X509_REQ_set_pubkey(csr, X509_get0_pubkey(ca)); /* signed with another key than it shows */
	CU_ASSERT_EQUAL(cp_signer_lsc_issue_csr(s, "SEP0011223344AC", csr, &cert), -EACCES);
	CU_ASSERT_PTR_NULL(cert);
	X509_REQ_free(csr);
	EVP_PKEY_free(key);
	X509_free(ca);
	X509_free(server_ca);
	X509_free(capf);
	X509_STORE_free(store);
	sk_X509_pop_free(trust, X509_free);
}

static void check_seal(struct cp_signer *s)
{
	uint8_t *big = calloc(1, PKI_SIGNER_SEAL_MAX + 1), *sealed = NULL, *plain = NULL;
	size_t len = 0, plain_len = 0;

	memset(big, 0x5a, PKI_SIGNER_SEAL_MAX);
	CU_ASSERT_EQUAL_FATAL(cp_signer_seal(s, big, PKI_SIGNER_SEAL_MAX, "k", 1, &sealed, &len),
	                      0);
	CU_ASSERT_EQUAL(cp_signer_unseal(s, sealed, len, "l", 1, &plain, &plain_len), -EACCES);
	CU_ASSERT_PTR_NULL(plain);
	CU_ASSERT_EQUAL_FATAL(cp_signer_unseal(s, sealed, len, "k", 1, &plain, &plain_len), 0);
	CU_ASSERT_EQUAL(plain_len, PKI_SIGNER_SEAL_MAX);
	CU_ASSERT_EQUAL(memcmp(plain, big, plain_len), 0);
	OPENSSL_clear_free(plain, plain_len);
	OPENSSL_free(sealed);
	CU_ASSERT_EQUAL(cp_signer_seal(s, big, PKI_SIGNER_SEAL_MAX + 1, "k", 1, &sealed, &len),
	                -EMSGSIZE);
	CU_ASSERT_EQUAL(cp_signer_seal(s, big, PKI_SIGNER_SEAL_MAX + 100, "k", 1, &sealed, &len),
	                -EMSGSIZE);
	CU_ASSERT_EQUAL_FATAL(cp_signer_seal(s, "", 0, NULL, 0, &sealed, &len), 0);
	CU_ASSERT_EQUAL_FATAL(cp_signer_unseal(s, sealed, len, NULL, 0, &plain, &plain_len), 0);
	CU_ASSERT_EQUAL(plain_len, 0);
	OPENSSL_free(plain);
	OPENSSL_free(sealed);
	free(big);
}

static void test_client(void)
{
	struct cp_signer *s = NULL;
	struct pki_serve *second = NULL;
	char path[200];
	struct stat st;
	X509 *a = NULL, *b = NULL;

	whole_dir();
	snprintf(run_dir, sizeof(run_dir), "%s/run", dir);
	CU_ASSERT_EQUAL(cp_signer_open(run_dir, 1000, &s), -ENOENT);
	start();
	snprintf(path, sizeof(path), "%s/signer.sock", run_dir);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	CU_ASSERT_EQUAL(stat(run_dir, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0700);
	CU_ASSERT_EQUAL(pki_serve_create(served, run_dir, &second), -EADDRINUSE);
	CU_ASSERT_EQUAL_FATAL(cp_signer_open(run_dir, 5000, &s), 0);
	check_server_identity(s);
	check_phone(s);
	check_seal(s);
	/* the signer goes and comes back: errors between, then as before */
	stop();
	CU_ASSERT(cp_signer_cas(s, &a, &b) < 0);
	CU_ASSERT(strlen(cp_signer_error(s)) > 0);
	start();
	CU_ASSERT_EQUAL(cp_signer_cas(s, &a, &b), 0);
	X509_free(a);
	X509_free(b);
	stop();
	CU_ASSERT_NOT_EQUAL(stat(path, &st), 0);
	cp_signer_close(s);
	cp_signer_close(NULL);
}

static void *client_loop(void *arg)
{
	for (int i = 0; i < 50; i++) {
		uint8_t *sealed = NULL, *plain = NULL;
		size_t len = 0, plain_len = 0;

		if (cp_signer_seal(arg, &i, sizeof(i), "t", 1, &sealed, &len) == 0 &&
		    cp_signer_unseal(arg, sealed, len, "t", 1, &plain, &plain_len) == 0 &&
		    plain_len == sizeof(i) && memcmp(plain, &i, sizeof(i)) == 0)
			OPENSSL_free(plain);
		else
			return arg;
		OPENSSL_free(sealed);
	}
	return NULL;
}

/* Peers that misbehave do not disturb one that does not; threads share a client. */
static void test_hostile_peers(void)
{
	static uint8_t big[PKI_SIGNER_MSG_MAX + 1];
	struct cp_signer *s = NULL;
	pthread_t t[4];
	int fd[20], rude, n = 0;
	char c;

	start();
	CU_ASSERT_EQUAL_FATAL(cp_signer_open(run_dir, 5000, &s), 0);
	rude = raw_connect();
	CU_ASSERT_EQUAL(send(rude, big, sizeof(big), 0), (ssize_t)sizeof(big));
	CU_ASSERT_EQUAL(recv(rude, &c, 1, 0), 0); /* hung up on */
	close(rude);
	rude = raw_connect();
	CU_ASSERT_EQUAL(send(rude, "garbage", 7, 0), 7);
	CU_ASSERT_EQUAL(recv(rude, big, sizeof(big), 0) > 0, 1); /* told so, and may go on */
	close(rude);
	/* asks and asks and never listens */
	rude = raw_connect();
	for (int i = 0; i < 20000; i++)
		if (send(rude, "garbage", 7, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EPIPE)
			break;
	for (size_t i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, client_loop, s);
	for (size_t i = 0; i < 4; i++) {
		void *failed;

		pthread_join(t[i], &failed);
		CU_ASSERT_PTR_NULL(failed);
	}
	close(rude);
	/* more than 16 at once: the rest is turned away, those inside are served */
	for (size_t i = 0; i < 20; i++)
		fd[i] = raw_connect();
	usleep(100000);
	for (size_t i = 0; i < 20; i++) {
		struct pollfd p = {.fd = fd[i], .events = POLLIN};

		n += poll(&p, 1, 0) == 1 && recv(fd[i], &c, 1, MSG_DONTWAIT) == 0;
	}
	CU_ASSERT(n >= 4 && n <= 9); /* the client keeps one to four of the places */
	CU_ASSERT_PTR_NULL(client_loop(s));
	for (size_t i = 0; i < 20; i++)
		close(fd[i]);
	cp_signer_close(s);
	stop();
}

/* One that accepts and says nothing, and one that answers nonsense: an error in bounded time. */
static void *mute(void *arg)
{
	int *l = arg, fd = accept(*l, NULL, NULL), n;
	struct pki_signer_msg m;
	char buf[100];

	CU_ASSERT(recv(fd, buf, sizeof(buf), 0) > 0);
	CU_ASSERT_EQUAL(recv(fd, buf, sizeof(buf), 0), 0); /* until the client gives up */
	close(fd);
	fd = accept(*l, NULL, NULL);
	CU_ASSERT(recv(fd, buf, sizeof(buf), 0) > 0);
	/* a good answer to another question */
	m = (struct pki_signer_msg){.type = PKI_SIGNER_HELLO, .reply = 1, .seq = 99};
	n = pki_signer_build(&m, (uint8_t *)buf, sizeof(buf));
	send(fd, buf, (size_t)n, MSG_NOSIGNAL);
	CU_ASSERT_EQUAL(recv(fd, buf, sizeof(buf), 0), 0);
	close(fd);
	return NULL;
}

static void test_client_is_not_led_on(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct cp_signer *s = NULL;
	int l = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	pthread_t t;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/run/signer.sock", dir);
	CU_ASSERT_EQUAL_FATAL(bind(l, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CU_ASSERT_EQUAL(cp_signer_open(run_dir, 100, &s), -ECONNREFUSED);
	listen(l, 4);
	pthread_create(&t, NULL, mute, &l);
	CU_ASSERT_EQUAL(cp_signer_open(run_dir, 100, &s), -ETIMEDOUT);
	CU_ASSERT_EQUAL(cp_signer_open(run_dir, 5000, &s), -EPROTO);
	CU_ASSERT_PTR_NULL(s);
	pthread_join(t, NULL);
	close(l);
	unlink(addr.sun_path);
}

/* Another user's process that got hold of a connection is refused. Only root can play two users. */
static void test_peer_of_another_user(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct pki_state *st;
	int l, fd, status;
	pid_t pid;

	if (geteuid() != 0)
		return;
	st = opened();
	l = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	/* abstract name: reachable without any directory */
	snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "%s", dir);
	CU_ASSERT_EQUAL_FATAL(bind(l, (struct sockaddr *)&addr, sizeof(addr)), 0);
	listen(l, 1);
	pid = fork();
	if (pid == 0) {
		int c = socket(AF_UNIX, SOCK_SEQPACKET, 0);
		char b;

		alarm(5); /* served instead of refused: neither side would ever end */
		if (setuid(65534) < 0 || connect(c, (struct sockaddr *)&addr, sizeof(addr)) < 0)
			_exit(3);
		_exit(recv(c, &b, 1, 0) == 0 ? 0 : 1);
	}
	fd = accept(l, NULL, NULL);
	CU_ASSERT_EQUAL(pki_serve_fd(st, fd), -EACCES);
	close(fd);
	waitpid(pid, &status, 0);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(l);
	pki_state_close(st);
}

static CU_TestInfo tests[] = {
	{"messages cut at every length", test_codec_cut_everywhere},
	{"messages that are refused", test_codec_refuses},
	{"sealing binds key, bytes and data", test_seal},
	{"the KEK's file", test_kek_file},
	{"first start", test_first_start},
	{"a first start cut short is completed", test_cut_first_start},
	{"what is missing is not made again", test_missing_is_an_error},
	{"a certificate of another CA, or of another key", test_foreign_certificate},
	{"a state of an older version", test_older_state},
	{"what follows from the rest", test_derived},
	{"bad configuration", test_bad_configuration},
	{"requests that are refused", test_requests_refused},
	{"client: identity, phones, sealing, restart", test_client},
	{"hostile peers", test_hostile_peers},
	{"a mute or lying signer", test_client_is_not_led_on},
	{"a peer of another user", test_peer_of_another_user},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("signer", tests, setup, teardown)
