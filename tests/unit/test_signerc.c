/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The signer over its socket, and its client: identities, phones, sealing, a restart; peers that are hostile, mute, or another user.
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

#include "serve.h"
#include "crl.h"
#include "signer.h"
#include "signerc/signerc.h"
#include "signer_fix.h"
#include "state.h"

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
	X509_REQ_set_pubkey(csr, key);
	X509_REQ_sign(csr, key, EVP_sha256());
	CU_ASSERT_EQUAL_FATAL(cp_signer_lsc_issue_csr(s, "SEP0011223344AC", csr, &cert), 0);
	CU_ASSERT_EQUAL(pki_phone_verify(store, cert, NULL, now, NULL), 0);
	CU_ASSERT_EQUAL(X509_check_private_key(cert, key), 1);
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

/* A revocation list: entries in the message, and so many that they are passed along and the answer comes in pieces. */
static void check_crl(struct cp_signer *s)
{
	static const size_t cnt[] = {0, 3, 20000};
	X509 *server_ca = NULL, *capf = NULL;
	uint8_t *der = NULL, junk[4] = {16, 1, 2, 3};
	size_t len = 0;

	CU_ASSERT_EQUAL_FATAL(cp_signer_cas(s, &server_ca, &capf), 0);
	for (size_t i = 0; i < 3; i++) {
		uint8_t *entries = malloc(cnt[i] * PKI_CRL_ENTRY_MAX + 1);
		size_t n = 0;
		const uint8_t *p;
		X509_CRL *crl;

		for (size_t k = 0; k < cnt[i]; k++) {
			uint8_t serial[16] = {0x41, (uint8_t)(k >> 16), (uint8_t)(k >> 8), (uint8_t)k};

			n += (size_t)pki_crl_entry(serial, sizeof(serial), 1700000000 + (int64_t)k, 1, entries + n);
		}
		CU_ASSERT_EQUAL_FATAL(cp_signer_crl(s, "CAPF", entries, n, 42, 60, &der, &len), 0);
		p = der;
		crl = d2i_X509_CRL(NULL, &p, (long)len);
		CU_ASSERT_FATAL(crl != NULL && p == der + len);
		CU_ASSERT_EQUAL(X509_CRL_verify(crl, X509_get0_pubkey(capf)), 1);
		CU_ASSERT_EQUAL(X509_CRL_get_REVOKED(crl) != NULL ? sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)) : 0, (int)cnt[i]);
		CU_ASSERT(X509_CRL_get_ext_by_NID(crl, NID_authority_key_identifier, -1) >= 0);
		X509_CRL_free(crl);
		OPENSSL_free(der);
		free(entries);
	}
	der = NULL;
	CU_ASSERT_EQUAL(cp_signer_crl(s, "CAPF", junk, sizeof(junk), 42, 60, &der, &len), -EBADMSG);
	CU_ASSERT_EQUAL(cp_signer_crl(s, "TFTP", NULL, 0, 42, 60, &der, &len), -ENOENT);
	CU_ASSERT_EQUAL(cp_signer_crl(s, "CAPF", NULL, 0, 42, 525601, &der, &len), -EBADMSG);
	CU_ASSERT_PTR_NULL(der);
	X509_free(server_ca);
	X509_free(capf);
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
	check_crl(s);
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
	{"client: identity, phones, sealing, restart", test_client},
	{"hostile peers", test_hostile_peers},
	{"a mute or lying signer", test_client_is_not_led_on},
	{"a peer of another user", test_peer_of_another_user},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("signerc", tests, setup, teardown)
