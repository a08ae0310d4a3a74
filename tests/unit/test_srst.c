/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Certificates of SRST gateways: which chains are taken, what a peer may do instead of showing one, and the commands: shown first,
 * stored only when accepted by fingerprint, gone when the reference is no longer secured. The gateway is a thread with OpenSSL's server.
 * Rows: 001:P1-041; 004a:SRST-01; 004b, SRST-01, SRST-02, SRST-04, SRST-07 to SRST-12; 004c:SR-01 to SR-05.
 */
#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include "admin/admin.h"
#include "cert_fix.h"
#include "config.h"
#include "net/peercert.h"
#include "store/change.h"
#include "store_tmp.h"
#include "suite.h"
#include "x509.h"

#define DAY 86400

/* --- a gateway --- */

enum manner { SHOWS, PLAIN, HANGS, HANGS_UP };

static struct gateway {
	pthread_t thread;
	int fd, quit[2];
	uint16_t port;
	enum manner manner;
	struct cf_id *id;
	X509 *more[3];
	unsigned served, client_certs;
} gw;

static void gw_serve(int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL *ssl;

	SSL_CTX_use_certificate(ctx, gw.id->cert);
	SSL_CTX_use_PrivateKey(ctx, gw.id->key);
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_num_tickets(ctx, 0); /* who hangs up at once does not wait for them */
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL); /* asks for one, takes none too */
	for (unsigned i = 0; i < 3 && gw.more[i] != NULL; i++)
		SSL_CTX_add1_chain_cert(ctx, gw.more[i]);
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1) {
		X509 *client = SSL_get1_peer_certificate(ssl);

		gw.served++;
		gw.client_certs += client != NULL;
		X509_free(client);
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

static void *gw_run(void *arg)
{
	(void)arg;
	for (;;) {
		struct pollfd p[2] = {{.fd = gw.fd, .events = POLLIN}, {.fd = gw.quit[0], .events = POLLIN}};
		char byte;
		int fd;

		poll(p, 2, -1);
		if (p[1].revents != 0)
			return NULL;
		fd = accept(gw.fd, NULL, NULL);
		if (gw.manner == SHOWS)
			gw_serve(fd);
		else if (gw.manner == PLAIN && write(fd, "220 no TLS here\r\n", 17) != 17)
			abort();
		else if (gw.manner == HANGS && read(gw.quit[0], &byte, 1) >= 0) /* until the end */
			return close(fd), NULL;
		shutdown(fd, SHUT_WR);
		while (gw.manner == PLAIN && read(fd, &byte, 1) > 0)
			;
		close(fd);
	}
}

static void gw_up(enum manner manner, struct cf_id *id)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	memset(&gw, 0, sizeof(gw));
	gw.manner = manner;
	gw.id = id;
	gw.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	for (unsigned i = 0; gw.port == 0 && i < 1000; i++) { /* one that a reference may have, and that no client has by chance */
		a.sin_port = htons((uint16_t)(20000 + (getpid() + i) % 10000));
		if (bind(gw.fd, (struct sockaddr *)&a, sizeof(a)) == 0)
			gw.port = ntohs(a.sin_port);
	}
	CU_ASSERT_FATAL(gw.port != 0 && listen(gw.fd, 8) == 0);
	CU_ASSERT_FATAL(pipe(gw.quit) == 0);
	CU_ASSERT_FATAL(pthread_create(&gw.thread, NULL, gw_run, NULL) == 0);
}

static void gw_down(void)
{
	CU_ASSERT(write(gw.quit[1], "", 1) == 1);
	pthread_join(gw.thread, NULL);
	close(gw.fd);
	close(gw.quit[0]);
	close(gw.quit[1]);
}

static struct cf_id root, other, inter, self, leaf, deep, expired, later;

static int setup(void)
{
	int64_t now = time(NULL);

	signal(SIGPIPE, SIG_IGN); /* as the appliance does */
	root = cf_ca("Branch CA", NULL, now - DAY, now + 900 * DAY);
	other = cf_ca("Branch CA", NULL, now - DAY, now + 900 * DAY); /* of the same name, with another key */
	inter = cf_ca("Branch sub CA", &root, now - DAY, now + 900 * DAY);
	self = cf_make(&(struct cf_opts){.cn = "srst-self", .from = now - DAY, .to = now + 300 * DAY});
	leaf = cf_make(&(struct cf_opts){.cn = "srst-leaf", .issuer = &root, .from = now - DAY, .to = now + 300 * DAY});
	deep = cf_make(&(struct cf_opts){.cn = "srst-deep", .issuer = &inter, .from = now - DAY, .to = now + 300 * DAY});
	expired = cf_make(&(struct cf_opts){.cn = "srst-old", .from = now - 9 * DAY, .to = now - DAY});
	later = cf_make(&(struct cf_opts){.cn = "srst-new", .from = now + 9 * DAY, .to = now + 90 * DAY});
	return 0;
}

static int teardown(void)
{
	struct cf_id *all[] = {&root, &other, &inter, &self, &leaf, &deep, &expired, &later};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		cf_free(all[i]);
	return 0;
}

/* --- chains --- */

/* 004b:SRST-04, R-36 */
static void test_chains(void)
{
	X509 *bad = X509_dup(self.cert); /* says it is its own issuer, signed by somebody else */
	const struct {
		X509 *chain[4];
		int rc;
		X509 *issuer;
		const char *why;
	} rows[] = {
		{{NULL}, -ENOENT, NULL, "no certificate"},
		{{self.cert}, 0, NULL, NULL},
		{{leaf.cert}, 0, NULL, NULL},
		{{leaf.cert, root.cert}, 0, root.cert, NULL},
		{{deep.cert}, 0, NULL, NULL}, /* its issuer is not shown: that it is no root cannot be seen */
		{{deep.cert, inter.cert}, -EMLINK, NULL, "one issuer only"},
		{{deep.cert, inter.cert, root.cert}, -EMLINK, NULL, "chain of 3"},
		{{leaf.cert, self.cert}, -EMLINK, NULL, "not its issuer's"},
		{{leaf.cert, other.cert}, -EBADMSG, NULL, "not signed by"},
		{{self.cert, root.cert}, -EMLINK, NULL, "no part in it"},
		{{bad}, -EBADMSG, NULL, "signature is wrong"},
	};

	CU_ASSERT_FATAL(X509_sign(bad, root.key, EVP_sha256()) > 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		STACK_OF(X509) *chain = sk_X509_new_null();
		X509 *cert = NULL, *issuer = NULL;
		char why[300] = "";

		for (unsigned k = 0; k < 4 && rows[i].chain[k] != NULL; k++)
			sk_X509_push(chain, rows[i].chain[k]);
		CU_ASSERT_EQUAL(cp_peercert_take(chain, &cert, &issuer, why, sizeof(why)), rows[i].rc);
		CU_ASSERT_PTR_EQUAL(cert, rows[i].rc == 0 ? rows[i].chain[0] : NULL);
		CU_ASSERT_PTR_EQUAL(issuer, rows[i].issuer);
		CU_ASSERT((rows[i].why == NULL && why[0] == '\0') || (rows[i].why != NULL && strstr(why, rows[i].why) != NULL));
		X509_free(cert);
		X509_free(issuer);
		sk_X509_free(chain);
	}
	CU_ASSERT_EQUAL(cp_peercert_take(NULL, NULL, NULL, NULL, 0), -ENOENT);
	X509_free(bad);
}

static int fetch(uint16_t port, unsigned ms, const atomic_bool *stop, X509 **ret, char why[300])
{
	struct cfg_addr to;
	X509 *issuer = NULL;
	int rc;

	cfg_addr_parse("127.0.0.1", &to);
	to.port = port;
	*ret = NULL;
	why[0] = '\0';
	rc = cp_peercert_fetch(&to, ms, stop, ret, &issuer, why, 300);
	X509_free(issuer);
	return rc;
}

/* 004b:SRST-02; 004c:SR-02: what is there, and what is not */
static void test_fetch(void)
{
	atomic_bool stop = true;
	X509 *cert;
	char why[300];
	uint16_t closed;

	gw_up(SHOWS, &self);
	CU_ASSERT_EQUAL(fetch(gw.port, 10000, NULL, &cert, why), 0);
	CU_ASSERT(cert != NULL && X509_cmp(cert, self.cert) == 0);
	X509_free(cert);
	gw_down();
	CU_ASSERT_EQUAL(gw.served, 1);
	CU_ASSERT_EQUAL(gw.client_certs, 0); /* it asked, and was shown nothing of ours */
	closed = gw.port;
	CU_ASSERT_EQUAL(fetch(closed, 10000, NULL, &cert, why), -ECONNREFUSED);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "credential service"));
	gw_up(PLAIN, NULL);
	CU_ASSERT_EQUAL(fetch(gw.port, 10000, NULL, &cert, why), -EPROTO);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "no TLS"));
	gw_down();
	gw_up(HANGS_UP, NULL);
	CU_ASSERT_EQUAL(fetch(gw.port, 10000, NULL, &cert, why), -EHOSTUNREACH);
	gw_down();
	gw_up(HANGS, NULL);
	CU_ASSERT_EQUAL(fetch(gw.port, 300, NULL, &cert, why), -ETIMEDOUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "did not end"));
	CU_ASSERT_EQUAL(fetch(gw.port, 60000, &stop, &cert, why), -ECANCELED);
	CU_ASSERT_PTR_NULL(cert);
	gw_down();
	gw_up(SHOWS, &deep);
	gw.more[0] = inter.cert;
	gw.more[1] = root.cert;
	CU_ASSERT_EQUAL(fetch(gw.port, 10000, NULL, &cert, why), -EMLINK);
	gw_down();
}

/* --- commands --- */

static struct event_base *base;
static struct cp_store *store;
static struct cp_admin *admin;
static json_t *answer;
static volatile int answered;

static void got(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	json_decref(answer);
	answer = json_loadb(line, len, 0, NULL);
	answered = 1;
}

static void up(void)
{
	struct cp_admin_backend be = {.version = "test"};
	struct cp_store_opts o = {.path = tmp_store};
	char err[256];

	tmp_make();
	base = event_base_new();
	o.base = base;
	CU_ASSERT_FATAL(cp_store_open(&o, &store, err, sizeof(err)) == 0);
	admin = cp_admin_create(base);
	be.store = store;
	CU_ASSERT_FATAL(cp_admin_commands(admin, &be) == 0);
}

static void down(void)
{
	cp_admin_destroy(admin);
	cp_store_close(store);
	event_base_free(base);
	json_decref(answer);
	answer = NULL;
	tmp_remove();
}

static void ask(const char *cmd, const char *args)
{
	char text[2048];

	snprintf(text, sizeof(text), "{\"cmd\":\"%s\",\"args\":%s}", cmd, args);
	answered = 0;
	cp_admin_input(admin, text, strlen(text), got, NULL);
	wait_for(base, &answered);
	CU_ASSERT_FATAL(answered != 0 && answer != NULL);
}

static json_t *result(const char *name)
{
	return json_object_get(json_object_get(answer, "result"), name);
}

static void yes(const char *cmd, const char *args)
{
	ask(cmd, args);
	CU_ASSERT(json_is_true(json_object_get(answer, "ok")));
}

static void refused(const char *cmd, const char *args, const char *code, const char *text)
{
	json_t *e;

	ask(cmd, args);
	e = json_object_get(answer, "error");
	CU_ASSERT(json_is_false(json_object_get(answer, "ok")));
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(e, "code")), code);
	if (strstr(json_string_value(json_object_get(e, "message")), text) == NULL) {
		fprintf(stderr, "%s %s: %s\n", cmd, args, json_string_value(json_object_get(e, "message")));
		CU_FAIL("another reason");
	}
}

static void print_of(X509 *cert, char ret[65])
{
	uint8_t sha[32];

	pki_fingerprint(cert, sha);
	for (unsigned i = 0; i < 32; i++)
		snprintf(ret + 2 * i, 3, "%02X", sha[i]);
}

static void accept_args(char args[200], X509 *cert)
{
	char print[65];

	print_of(cert, print);
	snprintf(args, 200, "{\"name\":\"b\",\"fingerprint\":\"%s\"}", print);
}

static bool stored(X509 *cert)
{
	struct cp_srst s;
	size_t n = 0;
	uint8_t *der = cert != NULL ? cf_der(cert, &n) : NULL;
	bool same;

	CU_ASSERT_FATAL(cp_store_srst(store, "b", &s) == 0);
	same = s.cert.len == n && (n == 0 || (der != NULL && memcmp(s.cert.data, der, n) == 0));
	cp_srst_free(&s);
	free(der);
	return same;
}

static void point_at(uint16_t port)
{
	char args[200];

	snprintf(args, sizeof(args), "{\"name\":\"b\",\"cert_port\":%u}", port);
	yes("srst.set", args);
}

/* 004b:SRST-11, R-38 and 004c section 4.9: ports, and what is asked before anything is fetched */
static void test_ports(void)
{
	up();
	refused("srst.fetch", "{\"name\":\"b\"}", "not-found", "no SRST reference \"b\"");
	refused("srst.accept", "{\"name\":\"b\",\"fingerprint\":\"00\"}", "not-found", "no SRST reference \"b\"");
	for (unsigned i = 0; i < 5; i++) {
		static const char *const wrong[] = {"\"24x\"", "\"\"", "\"-1\"", "1.5", "true"};
		char args[200];

		snprintf(args, sizeof(args), "{\"name\":\"b\",\"addresses\":[\"127.0.0.1\"],\"cert_port\":%s}", wrong[i]);
		refused("srst.add", args, "invalid", "Port Numbers can only contain digits.");
	}
	refused("srst.add", "{\"name\":\"b\",\"addresses\":[\"127.0.0.1\"],\"cert_port\":\"1023\"}", "invalid", "1024 to 49151");
	refused("srst.add", "{\"name\":\"b\",\"addresses\":[\"127.0.0.1\"],\"cert_port\":49152}", "invalid", "1024 to 49151");
	refused("srst.add", "{\"name\":\"b\",\"addresses\":[\"127.0.0.1\"],\"cert_port\":\"12345678901\"}", "invalid", "1024 to 49151");
	yes("srst.add", "{\"name\":\"b\",\"addresses\":[\"127.0.0.1\"],\"cert_port\":\"1024\"}");
	yes("srst.set", "{\"name\":\"b\",\"cert_port\":\"49151\"}");
	refused("srst.fetch", "{\"name\":\"b\"}", "invalid", "not secured");
	refused("srst.cert", "{\"name\":\"b\",\"data\":\"AAAA\"}", "invalid", "not secured");
	refused("srst.fetch", "{\"name\":\"b\",\"timeout_s\":61}", "invalid", "1 to 60");
	refused("srst.reject", "{\"name\":\"b\"}", "not-found", "no certificate was fetched");
	down();
}

/* 004b:SRST-08; 004c:SR-01: shown, then accepted or not; never stored unseen. SRST-07, SR-03 to SR-05: gone again. */
static void test_accept(void)
{
	char args[200], hex[65];

	up();
	gw_up(SHOWS, &self);
	yes("srst.add", "{\"name\":\"b\",\"addresses\":[\"127.0.0.1\"],\"secure\":true}");
	yes("device.add", "{\"name\":\"SEP0A1B2C3D4E51\"}");
	yes("device.set", "{\"name\":\"SEP0A1B2C3D4E51\",\"srst\":\"b\"}");
	yes("device.add", "{\"name\":\"SEP0A1B2C3D4E52\"}");
	point_at(gw.port);
	accept_args(args, self.cert);
	refused("srst.accept", args, "not-found", "no certificate was fetched");
	yes("srst.fetch", "{\"name\":\"b\"}");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(result("certificate"), "stored")), "none");
	CU_ASSERT(json_is_true(json_object_get(result("certificate"), "can_be_accepted")));
	for (unsigned i = 0; i < 4; i++) {
		static const char *const must[] = {"subject", "issuer", "serial", "not_after"};

		CU_ASSERT(json_object_get(result("certificate"), must[i]) != NULL);
	}
	print_of(self.cert, hex);
	CU_ASSERT(strcasecmp(json_string_value(result("fingerprint")), hex) == 0);
	CU_ASSERT(stored(NULL)); /* only shown */
	/* the gateway changes its certificate: what was seen is what is stored, and nothing else can be */
	gw.id = &leaf;
	gw.more[0] = root.cert;
	refused("srst.accept", "{\"name\":\"b\",\"fingerprint\":\"00\"}", "denied", "look at it first");
	accept_args(args, leaf.cert);
	refused("srst.accept", args, "denied", "look at it first");
	CU_ASSERT(stored(NULL));
	accept_args(args, self.cert);
	yes("srst.accept", args);
	CU_ASSERT(stored(self.cert));
	CU_ASSERT_EQUAL(json_integer_value(result("phones")), 1); /* SRST-12: who must be reset */
	CU_ASSERT_PTR_NOT_NULL(strstr(json_string_value(result("notice")), "1 phone uses it: until reset"));
	refused("srst.accept", args, "not-found", "changed since"); /* once */
	/* a new one: rejected, then accepted */
	yes("srst.fetch", "{\"name\":\"b\"}");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(result("certificate"), "stored")), "another");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(result("certificate"), "issuer_shown")), "Branch CA");
	yes("srst.show", "{\"name\":\"b\"}");
	CU_ASSERT(json_is_string(result("waits_for_acceptance")));
	yes("srst.reject", "{\"name\":\"b\"}");
	accept_args(args, leaf.cert);
	refused("srst.accept", args, "not-found", "no certificate was fetched");
	CU_ASSERT(stored(self.cert));
	yes("srst.fetch", "{\"name\":\"b\"}");
	yes("srst.set", "{\"name\":\"b\",\"user_modifiable\":true}"); /* SRST-09: editing fetches nothing, and what was seen is of the old record */
	CU_ASSERT(stored(self.cert));
	refused("srst.accept", args, "not-found", "changed since");
	yes("srst.fetch", "{\"name\":\"b\"}");
	yes("srst.accept", args);
	CU_ASSERT(stored(leaf.cert));
	yes("srst.fetch", "{\"name\":\"b\"}");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(result("certificate"), "stored")), "the same");
	/* the box off */
	yes("srst.set", "{\"name\":\"b\",\"secure\":false}");
	CU_ASSERT_PTR_NOT_NULL(strstr(json_string_value(result("notice")), "disable the gateway's credential service"));
	CU_ASSERT(stored(NULL));
	refused("srst.accept", args, "not-found", "changed since");
	yes("srst.set", "{\"name\":\"b\",\"secure\":true}");
	CU_ASSERT(stored(NULL)); /* SRST-10: secured again, everything is asked again */
	gw_down();
	down();
}

/* 004b:SRST-06: a certificate out of its validity is shown, not stored; chains of more than one issuer are not even shown. */
static void test_unfit(void)
{
	struct {
		struct cf_id *id;
		const char *why;
	} rows[] = {{&expired, "it has expired"}, {&later, "it is not valid yet"}};
	char args[200];

	up();
	gw_up(SHOWS, &self);
	yes("srst.add", "{\"name\":\"b\",\"addresses\":[\"127.0.0.1\"],\"secure\":true}");
	point_at(gw.port);
	for (unsigned i = 0; i < 2; i++) {
		gw.id = rows[i].id;
		yes("srst.fetch", "{\"name\":\"b\"}");
		CU_ASSERT(json_is_false(json_object_get(result("certificate"), "can_be_accepted")));
		accept_args(args, rows[i].id->cert);
		refused("srst.accept", args, "denied", rows[i].why);
		CU_ASSERT(stored(NULL));
	}
	gw.id = &deep;
	gw.more[0] = inter.cert;
	refused("srst.fetch", "{\"name\":\"b\"}", "denied", "one issuer only");
	accept_args(args, deep.cert);
	refused("srst.accept", args, "denied", "look at it first");
	gw_down();
	refused("srst.fetch", "{\"name\":\"b\"}", "unreachable", "nothing is changed");
	down();
}

/* A reference that is not secured has no certificate, whoever writes it; one that goes takes its own along. */
static void test_gone(void)
{
	struct cp_srst_addr addr = {0};
	struct cp_srst s = {.name = "b", .addr_cnt = 1, .addrs = &addr};
	struct cp_change *c;
	char why[300];

	up();
	cfg_addr_parse("127.0.0.1", &addr.sccp);
	s.cert.data = cf_der(self.cert, &s.cert.len);
	c = cp_change_create(store);
	CU_ASSERT_EQUAL(cp_change_srst_put(c, &s, false, why, sizeof(why)), 0); /* as an import would */
	CU_ASSERT_EQUAL(cp_change_submit(c, "import", "test", NULL, NULL, NULL), 0);
	for (unsigned i = 0; i < 100; i++) {
		struct cp_srst got_it;

		event_base_loop(base, EVLOOP_NONBLOCK);
		if (cp_store_srst(store, "b", &got_it) == 0) {
			cp_srst_free(&got_it);
			break;
		}
		usleep(10000);
	}
	CU_ASSERT(stored(NULL));
	free(s.cert.data);
	down();
}

/* A peer that hangs does not keep the appliance from stopping. */
static void test_stop(void)
{
	static const char text[] = "{\"cmd\":\"srst.fetch\",\"args\":{\"name\":\"b\",\"timeout_s\":60}}";

	up();
	gw_up(HANGS, NULL);
	yes("srst.add", "{\"name\":\"b\",\"addresses\":[\"127.0.0.1\"],\"secure\":true}");
	point_at(gw.port);
	answered = 0;
	cp_admin_input(admin, text, strlen(text), got, NULL);
	CU_ASSERT_EQUAL(answered, 0); /* the loop did not wait */
	down(); /* ends long before the minute: the suite's time limit is the test */
	CU_ASSERT_EQUAL(answered, 1);
	gw_down();
	json_decref(answer);
	answer = NULL;
}

/* One that is given by hand is looked at, too. */
static void test_given(void)
{
	const struct {
		X509 *cert;
		bool ok;
	} rows[] = {{expired.cert, false}, {self.cert, true}, {later.cert, true}};

	up();
	yes("srst.add", "{\"name\":\"b\",\"addresses\":[\"127.0.0.1\"],\"secure\":true}");
	for (unsigned i = 0; i < 3; i++) {
		unsigned char text[4096];
		char args[4200];
		size_t n = 0;
		uint8_t *der = cf_der(rows[i].cert, &n);

		CU_ASSERT_FATAL(der != NULL && n < 3000);
		EVP_EncodeBlock(text, der, (int)n);
		snprintf(args, sizeof(args), "{\"name\":\"b\",\"cert\":\"%s\"}", (char *)text);
		if (rows[i].ok)
			yes("srst.set", args);
		else
			refused("srst.set", args, "invalid", "has expired");
		CU_ASSERT_EQUAL(stored(rows[i].cert), rows[i].ok);
		free(der);
	}
	yes("srst.set", "{\"name\":\"b\",\"user_modifiable\":true}"); /* it is not looked at again */
	down();
}

static CU_TestInfo tests[] = {
	{"chains", test_chains},
	{"what a peer may do", test_fetch},
	{"ports, and references that cannot fetch", test_ports},
	{"shown, accepted, rejected, deleted", test_accept},
	{"certificates that are not taken", test_unfit},
	{"no certificate without the box", test_gone},
	{"a certificate given by hand", test_given},
	{"stopping while a peer hangs", test_stop},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("srst", tests, setup, teardown)
