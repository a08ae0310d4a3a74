/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LSCs asked of the signer from an event loop: many at once, each answered with its own; a signer that refuses, is away, comes back,
 * goes away in the middle, never answers, or answers nonsense.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <event2/event.h>

#include "certder.h"
#include "serve.h"
#include "signer.h"
#include "signer_fix.h"
#include "signerc/lscask.h"
#include "suite.h"

static struct event_base *base;
static struct cp_lscask *ask;
static char run_dir[80];

/* --- a signer of ours, on a thread --- */

static struct pki_serve *serve;
static struct pki_state *served;
static pthread_t thread;
static int stop_fd = -1;

static void *serving(void *arg)
{
	(void)arg;
	pki_serve_run(serve, stop_fd);
	return NULL;
}

static void signer_start(void)
{
	served = opened();
	CU_ASSERT_PTR_NOT_NULL_FATAL(served);
	CU_ASSERT_EQUAL_FATAL(pki_serve_create(served, run_dir, &serve), 0);
	stop_fd = eventfd(0, EFD_CLOEXEC);
	pthread_create(&thread, NULL, serving, NULL);
}

static void signer_stop(void)
{
	eventfd_write(stop_fd, 1);
	pthread_join(thread, NULL);
	pki_serve_destroy(serve);
	pki_state_close(served);
	close(stop_fd);
}

/* --- what was asked --- */

#define KEYS 3
static uint8_t *der[KEYS];
static struct pki_spki key[KEYS];

struct asked {
	unsigned n, key;
	int rc; /* 1: not answered */
	char why[160];
	bool again; /* asks once more when it is answered */
};
static unsigned answered, left;

static int do_ask(struct asked *q);

static void on_answer(void *ctx, int rc, const uint8_t *cert, size_t len, const char *why)
{
	struct asked *q = ctx;
	struct pki_certder d;

	CU_ASSERT_EQUAL(q->rc, 1); /* once */
	q->rc = rc;
	answered++;
	if (rc == 0) {
		CU_ASSERT_EQUAL_FATAL(pki_certder_parse(cert, len, &d), 0);
		CU_ASSERT(d.spki_len == key[q->key].len && memcmp(d.spki, key[q->key].der, d.spki_len) == 0);
	} else {
		snprintf(q->why, sizeof(q->why), "%s", why);
	}
	if (q->again && left > 0) {
		left--;
		q->again = false;
		q->rc = 1;
		q->key = (q->key + 1) % KEYS;
		if (do_ask(q) < 0)
			q->rc = -ENOTCONN;
	}
}

static int do_ask(struct asked *q)
{
	char name[16];

	snprintf(name, sizeof(name), "SEP%012X", q->n);
	q->rc = 1;
	return cp_lscask(ask, name, &key[q->key], on_answer, q);
}

/* The loop, until so many are answered. */
static void run_until(unsigned n, unsigned most_ms)
{
	const struct timeval step = {0, 10000};

	for (unsigned ms = 0; answered < n && ms < most_ms; ms += 10) {
		event_base_loopexit(base, &step);
		event_base_dispatch(base);
	}
	CU_ASSERT_EQUAL(answered, n);
}

static void fresh(unsigned timeout_ms)
{
	answered = left = 0;
	base = event_base_new();
	CU_ASSERT_EQUAL_FATAL(cp_lscask_create(base, run_dir, timeout_ms, &ask), 0);
}

static void finish(void)
{
	cp_lscask_destroy(ask);
	event_base_free(base);
}

/* --- with the signer --- */

static void test_many(void)
{
	static struct asked q[CP_LSCASK_MAX + 1];

	signer_start();
	fresh(20000);
	left = 100;
	for (unsigned i = 0; i < CP_LSCASK_MAX; i++) {
		q[i] = (struct asked){.n = i, .key = i % 2, .again = true};
		CU_ASSERT_EQUAL(do_ask(&q[i]), i + 1 < CP_LSCASK_MAX ? 0 : -EAGAIN); /* the greeting is one of them */
	}
	run_until(2 * (CP_LSCASK_MAX - 1), 60000);
	for (unsigned i = 0; i + 1 < CP_LSCASK_MAX; i++)
		CU_ASSERT_EQUAL(q[i].rc, q[i].key == 2 ? -EACCES : 0);
	finish();
	signer_stop();
}

static void test_refused(void)
{
	struct asked weak = {.n = 1, .key = 2}, good = {.n = 2, .key = 0};

	signer_start();
	fresh(20000);
	CU_ASSERT_EQUAL(do_ask(&weak), 0);
	CU_ASSERT_EQUAL(do_ask(&good), 0);
	run_until(2, 20000);
	CU_ASSERT_EQUAL(weak.rc, -EACCES);
	CU_ASSERT_STRING_EQUAL(weak.why, "the signer refused: key not acceptable");
	CU_ASSERT_EQUAL(good.rc, 0);
	CU_ASSERT_EQUAL(cp_lscask(ask, "SEP0011223344AA and far too long a name, which is longer than what a message of the signer may have "
				       "as a name, for it is of 128 bytes at most", &key[0], on_answer, &good), -EINVAL);
	finish();
	signer_stop();
}

static void test_away_and_back(void)
{
	struct asked q = {.n = 1};
	int rc;

	fresh(20000);
	rc = do_ask(&q);
	CU_ASSERT(rc == -ENOENT || rc == -ECONNREFUSED);
	signer_start();
	CU_ASSERT_EQUAL(do_ask(&q), 0);
	run_until(1, 20000);
	CU_ASSERT_EQUAL(q.rc, 0);
	signer_stop(); /* the loop does not hear of it before the next question */
	signer_start();
	CU_ASSERT_EQUAL(do_ask(&q), 0);
	run_until(2, 20000);
	CU_ASSERT_EQUAL(q.rc, 0);
	finish();
	signer_stop();
}

/* --- with one that is not as it should be --- */

enum fault { MUTE, CLOSES, NONSENSE, OTHER_SEQ, OTHER_TYPE, TOO_LONG, REFUSES_HELLO };

static int fake_listen(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/signer.sock", run_dir);
	unlink(addr.sun_path);
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(fd, 4), 0);
	return fd;
}

static void reply(int fd, struct pki_signer_msg m)
{
	uint8_t buf[2048];
	int n;

	m.reply = 1;
	n = pki_signer_build(&m, buf, sizeof(buf));
	CU_ASSERT(n > 0 && send(fd, buf, (size_t)n, 0) == n);
}

static struct pki_signer_msg next(int fd)
{
	static uint8_t buf[4096];
	struct pki_signer_msg m = {0};
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	CU_ASSERT(n > 0 && pki_signer_parse(buf, (size_t)n, &m) == 0);
	return m;
}

static void test_faults(void)
{
	static const struct {
		enum fault fault;
		int rc;
	} t[] = {{MUTE, -ETIMEDOUT}, {CLOSES, -ECONNRESET}, {NONSENSE, -EPROTO}, {OTHER_SEQ, -EPROTO}, {OTHER_TYPE, -EPROTO},
		 {TOO_LONG, -EPROTO}, {REFUSES_HELLO, -EACCES}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct asked q[3] = {{.n = 1}, {.n = 2, .key = 1}, {.n = 3, .again = true}};
		static uint8_t big[40000];
		struct pki_signer_msg hello, m;
		int fd = fake_listen(), c;

		fresh(t[i].fault == MUTE ? 500 : 20000);
		left = 1;
		for (unsigned k = 0; k < 3; k++)
			CU_ASSERT_EQUAL(do_ask(&q[k]), 0);
		c = accept(fd, NULL, NULL);
		hello = next(c);
		CU_ASSERT_EQUAL(hello.type, PKI_SIGNER_HELLO);
		reply(c, (struct pki_signer_msg){.type = hello.type, .seq = hello.seq, .rc = t[i].fault == REFUSES_HELLO ? -EACCES : 0});
		m = next(c);
		CU_ASSERT(m.type == PKI_SIGNER_LSC && strcmp(m.name, "SEP000000000001") == 0);
		switch (t[i].fault) {
		case MUTE:
		case REFUSES_HELLO: break;
		case CLOSES: close(c); c = -1; break;
		case NONSENSE: CU_ASSERT_EQUAL(send(c, "hello there, signer", 19, 0), 19); break;
		case OTHER_SEQ: reply(c, (struct pki_signer_msg){.type = m.type, .seq = m.seq + 1, .a = {big, 10}}); break;
		case OTHER_TYPE: reply(c, (struct pki_signer_msg){.type = PKI_SIGNER_SIGN, .seq = m.seq, .a = {big, 10}}); break;
		case TOO_LONG: CU_ASSERT_EQUAL(send(c, big, sizeof(big), 0), (ssize_t)sizeof(big)); break;
		}
		/* the third asks again from its callback, on a new connection, and hears of that one's end too */
		run_until(3, 10000);
		for (unsigned k = 0; k < 2; k++) {
			CU_ASSERT_EQUAL(q[k].rc, t[i].rc);
			CU_ASSERT_NOT_EQUAL(q[k].why[0], '\0');
		}
		CU_ASSERT_EQUAL(q[2].rc, 1);
		close(fd);
		if (c >= 0)
			close(c);
		finish(); /* with one outstanding */
		CU_ASSERT_EQUAL(q[2].rc, -ECANCELED);
	}
}

static void test_stopping(void)
{
	struct asked q[2] = {{.n = 1, .again = true}, {.n = 2}};
	int fd = fake_listen();

	fresh(20000);
	left = 1;
	CU_ASSERT_EQUAL(do_ask(&q[0]), 0);
	CU_ASSERT_EQUAL(do_ask(&q[1]), 0);
	finish(); /* who asks again from there is refused */
	CU_ASSERT_EQUAL(answered, 2);
	CU_ASSERT_EQUAL(q[0].rc, -ENOTCONN);
	CU_ASSERT_EQUAL(q[1].rc, -ECANCELED);
	close(fd);
}

static int with_keys(void)
{
	static const unsigned bits[KEYS] = {0, 2048, 512};

	if (setup() != 0)
		return -1;
	snprintf(run_dir, sizeof(run_dir), "%s/run", dir);
	for (unsigned i = 0; i < KEYS; i++) {
		EVP_PKEY *k = bits[i] == 0 ? EVP_EC_gen("P-256") : EVP_RSA_gen(bits[i]);
		int n = i2d_PUBKEY(k, &der[i]);

		EVP_PKEY_free(k);
		if (n <= 0 || pki_spki_parse(der[i], (size_t)n, &key[i]) != 0)
			return -1;
	}
	return 0;
}

static int without(void)
{
	for (unsigned i = 0; i < KEYS; i++)
		OPENSSL_free(der[i]);
	return teardown();
}

static CU_TestInfo tests[] = {
	{"many at once, each answered with its own", test_many},
	{"refused", test_refused},
	{"a signer that is away, and back", test_away_and_back},
	{"mute, broken, nonsense", test_faults},
	{"the end", test_stopping},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("lscask", tests, with_keys, without)
