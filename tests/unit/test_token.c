/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys in PKCS#11 tokens: SoftHSM2 in a directory of its own, its keys made by pkcs11-tool, behind a module that counts logins
 * (p11_shim.c). What is signed with them verifies; a PIN that is refused is tried once, over restarts too; a token that
 * locked itself is left alone. 004c:CT-01, CT-03.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CUnit/CUnit.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>

#include "change.h"
#include "config.h"
#include "file.h"
#include "sign.h"
#include "signer.h"
#include "state.h"
#include "trustlist.h"

static char dir[] = "/tmp/test-token-XXXXXX";
static char err[512], why[256];
static struct cfg *cfg;

static int sh(const char *what)
{
	char cmd[1024];

	snprintf(cmd, sizeof(cmd), "cd %s && D=%s && %s", dir, dir, what);
	return system(cmd);
}

static int set_pin(const char *pin)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/pin", dir);
	return pki_file_write(path, pin, strlen(pin), 0400, false);
}

static int logins(void)
{
	char path[100];
	struct stat st;

	snprintf(path, sizeof(path), "%s/logins", dir);
	return stat(path, &st) == 0 ? (int)st.st_size : 0;
}

#define P11 "pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --token-label ravelin --login --pin 1234 "

static int setup(void)
{
	char text[1024], path[100];
	int n;

	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/softhsm2.conf", dir);
	setenv("SOFTHSM2_CONF", path, 1);
	snprintf(path, sizeof(path), "%s/logins", dir);
	setenv("P11_SHIM_LOG", path, 1);
	if (sh("mkdir tokens && printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' $D "
	       ">softhsm2.conf") != 0 ||
	    sh("softhsm2-util --init-token --free --label ravelin --pin 1234 --so-pin 5678 >log 2>&1") != 0 ||
	    sh("for k in SAST1 SAST2 other; do " P11
	       "--keypairgen --key-type rsa:2048 --label $k --id $(printf %s $k | od -An -tx1 | tr -d ' ') >>log 2>&1 || exit 1; done") != 0) {
		sh("cat log");
		return -1;
	}
	n = snprintf(text, sizeof(text),
		     "paths: {state: %s/state, run: %s/run}\nlog: {level: err}\nsigner:\n  server_key: ec-p256\n"
		     "  pkcs11_uri: 'pkcs11:token=ravelin'\n  pkcs11_module: %s\n  pkcs11_pin: %s/pin\n",
		     dir, dir, getenv("RAVELIN_P11_SHIM"), dir);
	if (cfg_load_data((uint8_t *)text, (size_t)n, &cfg, err, sizeof(err)) < 0) {
		fprintf(stderr, "%s\n", err);
		return -1;
	}
	return set_pin("1234\n");
}

static int teardown(void)
{
	cfg_free(cfg);
	return sh("rm -rf $D");
}

static struct pki_state *opened(void)
{
	struct pki_state *st = NULL;

	if (pki_state_open(cfg, time(NULL), &st, err, sizeof(err)) < 0) {
		fprintf(stderr, "%s\n", err);
		CU_FAIL("state");
	}
	return st;
}

/* A CTL with both SASTs, signed by SAST1. 0 and verified, or why not. */
static int sign_ctl(struct pki_state *st)
{
	struct pki_tl_opts o = {.kind = PKI_TL_CTL, .cls = PKI_CLASS_MODERN, .timestamp = 1};
	struct pki_tl_entry e[2] = {{.role = PKI_TL_SAST}, {.role = PKI_TL_SAST}};
	uint8_t *tbs = NULL, *file = NULL, sig[PKI_SIGN_MAX];
	size_t tbs_len, len, sig_len;
	static struct pki_tl tl;
	char what[256];
	int rc;

	o.signer = e[0].cert = st->ident[PKI_IDENT_SAST1].cur.cert;
	e[1].cert = st->ident[PKI_IDENT_SAST2].cur.cert;
	CU_ASSERT_EQUAL_FATAL(pki_tl_build(&o, e, 2, &tbs, &tbs_len, why, sizeof(why)), 0);
	rc = pki_sign(st, "SAST1", PKI_SIGN_CTL, (struct pki_blob){tbs, tbs_len}, (struct pki_blob){0}, sig, &sig_len, what,
		      sizeof(what), why, sizeof(why));
	if (rc == 0) {
		CU_ASSERT_EQUAL_FATAL(pki_tl_finish(tbs, tbs_len, sig, sig_len, &file, &len), 0);
		CU_ASSERT_EQUAL_FATAL(pki_tl_parse(file, len, &tl, why, sizeof(why)), 0);
		CU_ASSERT_EQUAL(pki_tl_verify(&tl, NULL, NULL, why, sizeof(why)), 0);
	}
	OPENSSL_free(tbs);
	OPENSSL_free(file);
	return rc;
}

static void test_token(void)
{
	struct pki_state *st = opened();
	BIGNUM *d = NULL;
	X509 *cert;

	CU_ASSERT_PTR_NOT_NULL_FATAL(st);
	CU_ASSERT_STRING_EQUAL(st->ident[PKI_IDENT_SAST1].cur.uri, "pkcs11:token=ravelin;object=SAST1");
	CU_ASSERT_PTR_NULL(st->ident[PKI_IDENT_TFTP].cur.uri);
	CU_ASSERT_NOT_EQUAL(EVP_PKEY_eq(st->ident[PKI_IDENT_SAST1].cur.key, st->ident[PKI_IDENT_SAST2].cur.key), 1);
	/* self-signed by the token, and its private part is not here */
	CU_ASSERT_EQUAL(X509_verify(st->ident[PKI_IDENT_SAST1].cur.cert, X509_get0_pubkey(st->ident[PKI_IDENT_SAST1].cur.cert)), 1);
	CU_ASSERT_NOT_EQUAL(EVP_PKEY_get_bn_param(st->ident[PKI_IDENT_SAST1].cur.key, OSSL_PKEY_PARAM_RSA_D, &d), 1);
	CU_ASSERT_PTR_NULL(d);
	CU_ASSERT_EQUAL(sh("! grep -q PRIVATE state/signer/SAST1.key.pem && grep -q '^uri pkcs11:' state/signer/SAST1.key.pem"), 0);
	CU_ASSERT_EQUAL(sign_ctl(st), 0);
	cert = X509_dup(st->ident[PKI_IDENT_SAST1].cur.cert);
	pki_state_close(st);
	st = opened();
	CU_ASSERT_PTR_NOT_NULL_FATAL(st);
	CU_ASSERT_EQUAL(X509_cmp(cert, st->ident[PKI_IDENT_SAST1].cur.cert), 0);
	CU_ASSERT_EQUAL(sign_ctl(st), 0);
	/* a new key is one that was made in the token, and named */
	CU_ASSERT_EQUAL(pki_change_regen(st, "SAST1", "", time(NULL), why, sizeof(why)), -EINVAL);
	CU_ASSERT_EQUAL(pki_change_regen(st, "TVS", "pkcs11:token=ravelin;object=other", time(NULL), why, sizeof(why)), -EACCES);
	CU_ASSERT_EQUAL(pki_change_regen(st, "SAST1", "pkcs11:token=ravelin;object=nobody", time(NULL), why, sizeof(why)), -ENOKEY);
	CU_ASSERT_EQUAL(pki_change_regen(st, "SAST1", "pkcs11:token=ravelin;object=other", time(NULL), why, sizeof(why)), 0);
	CU_ASSERT_NOT_EQUAL(X509_cmp(cert, st->ident[PKI_IDENT_SAST1].cur.cert), 0);
	CU_ASSERT_EQUAL(X509_cmp(cert, st->ident[PKI_IDENT_SAST1].prev.cert), 0);
	CU_ASSERT_EQUAL(sign_ctl(st), 0);
	X509_free(cert);
	pki_state_close(st);
}

/* A signer that is started anew, as often as 'times': what signing says there, 1 if other identities do not work. A process of its
 * own: the module keeps a login for as long as its process lives. */
static int in_new_process(int times)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct pki_state *st = NULL;
		int rc = 0;

		alarm(30);
		cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
		if (freopen("/dev/null", "w", stderr) == NULL || pki_state_open(cfg, time(NULL), &st, err, sizeof(err)) < 0 ||
		    st->ident[PKI_IDENT_TFTP].cur.key == NULL)
			_exit(1);
		while (times-- > 0)
			rc = sign_ctl(st);
		_exit(-rc);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : 1;
}

static void test_first_start(void)
{
	CU_ASSERT_EQUAL(in_new_process(1), 0);
	CU_ASSERT(logins() > 0);
}

static void test_wrong_pin(void)
{
	int before = logins();

	CU_ASSERT_EQUAL(set_pin("4321"), 0);
	CU_ASSERT_EQUAL(in_new_process(5), -ENOKEY); /* the rest works */
	CU_ASSERT_EQUAL(logins(), before + 1);       /* three keys and five signatures, one try */
	for (int i = 0; i < 3; i++)                  /* a service that is restarted and restarted */
		CU_ASSERT_EQUAL(in_new_process(1), -ENOKEY);
	CU_ASSERT_EQUAL(logins(), before + 1);
	CU_ASSERT_EQUAL(set_pin("1234"), 0);
	CU_ASSERT_EQUAL(in_new_process(1), 0);
	CU_ASSERT(logins() > before + 1);
}

static void test_locked(void)
{
	int before = logins();

	setenv("P11_SHIM_LOCKED", "1", 1);
	CU_ASSERT_EQUAL(in_new_process(2), -ENOKEY);
	CU_ASSERT_EQUAL(logins(), before + 1);
	CU_ASSERT_EQUAL(in_new_process(2), -ENOKEY);
	CU_ASSERT_EQUAL(logins(), before + 1);
	unsetenv("P11_SHIM_LOCKED");
	/* its administrator has unlocked it, and gives the same PIN again: removing what was remembered is his to say */
	CU_ASSERT_EQUAL(in_new_process(1), -ENOKEY);
	CU_ASSERT_EQUAL(sh("rm state/signer/pin-refused"), 0);
	CU_ASSERT_EQUAL(in_new_process(1), 0);
}

static void test_absent(void)
{
	int before = logins();

	CU_ASSERT_EQUAL(sh("mv tokens away && mkdir tokens"), 0);
	CU_ASSERT_EQUAL(in_new_process(1), -ENOKEY);
	CU_ASSERT_EQUAL(sh("rmdir tokens && mv away tokens && chmod 0440 pin"), 0);
	CU_ASSERT_EQUAL(in_new_process(1), -ENOKEY); /* a PIN that others can read is none */
	CU_ASSERT_EQUAL(logins(), before);
	CU_ASSERT_EQUAL(set_pin("1234"), 0);
	CU_ASSERT_EQUAL(in_new_process(1), 0);
}

static CU_TestInfo tests[] = {
	{"first start", test_first_start},
	{"a token that is not there", test_absent},
	{"a wrong PIN is tried once", test_wrong_pin},
	{"a token that locked itself", test_locked},
	{"keys in a token sign", test_token}, /* last: from here on this process is logged in, and its children would be */
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("token", tests, setup, teardown)
