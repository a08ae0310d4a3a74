/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TVS over loopback with real TLS: phones with and without a certificate, one question and many, at once and byte by byte; what is
 * none; changes while phones are connected; and what idle ones may hold.
 */
#include <errno.h>
#include <stdio.h>

#include "enrol/tvs.h"
#include "log.h"
#include "net/net.h"
#include "suite.h"
#include "tls_peer.h"

static struct event_base *base;
static struct tp_id ca, server, phone, tftp, other;
static struct cp_net *net;
static struct cp_tls *tls;
static struct cp_tvs *tvs;
static uint16_t port;
static uint64_t clock_ms;
static struct {
	unsigned n, proven;
	char device[CP_TVS_NAME_MAX];
	enum cp_tvs_answer answer;
} told;

static uint64_t test_ms(void *ctx)
{
	(void)ctx;
	return clock_ms;
}

static void answered(void *ctx, const char *device, X509 *cert, const struct cfg_addr *from, const struct cp_tvs_msg *asked,
		     enum cp_tvs_answer answer)
{
	(void)ctx;
	CU_ASSERT_EQUAL(from->ip[0], 127);
	CU_ASSERT(asked->type == CP_TVS_VERIFY_REQUEST || asked->type == CP_TVS_QUERY_REQUEST);
	told.n++;
	told.proven += cert != NULL;
	snprintf(told.device, sizeof(told.device), "%s", device);
	told.answer = answer;
}

static struct cp_tvs_book *book_of(X509 *cert)
{
	struct cp_tvs_book *b = cp_tvs_book_create();

	if (b == NULL || (cert != NULL && cp_tvs_book_add(b, cert, 3) < 0) || cp_tvs_book_close(b) < 0)
		abort();
	return b;
}

static void start(uint32_t max_idle)
{
	const struct cfg_addr any = {.family = 4, .plen = 32, .ip = {127, 0, 0, 1}};
	struct cp_tvs_env env = {.idle_s = 60, .max_idle = max_idle, .answered = answered, .now_ms = test_ms};
	struct cp_net_opts opts = {.max_conns = 256, .max_preauth = 128, .handshake_ms = 60000};
	STACK_OF(X509) *trust = sk_X509_new_null();
	struct cp_tls_identity id = {server.key, server.cert, NULL, trust};
	char err[200];

	sk_X509_push(trust, ca.cert);
	memset(&told, 0, sizeof(told));
	if (cp_tls_create(CP_TLS_MODERN, false, &tls) != 0)
		abort();
	cp_tls_clients(tls, CP_TLS_CLIENTS_MAY);
	if (cp_tls_load(tls, &id, err, sizeof(err)) != 0 || cp_tvs_create(&env, &tvs) != 0 ||
	    cp_net_create(base, &opts, &net) != 0 || cp_tvs_listen(tvs, net, &any, tls, &port) != 0)
		abort();
	sk_X509_free(trust);
	cp_tvs_set_book(tvs, book_of(tftp.cert));
}

static void stop(void)
{
	cp_net_destroy(net);
	cp_tvs_destroy(tvs);
	cp_tls_destroy(tls);
}

/* The loop, until it is true or 5 s are over. */
#define WAIT(cond)                                                                                                           \
	do {                                                                                                                 \
		bool held_ = false; /* asked once more than needed, a taken answer would be gone */                          \
                                                                                                                             \
		TP_PUMP(base, (held_ = (cond)), 60000);                                                                       \
		CU_ASSERT(held_);                                                                                            \
	} while (0)

static int question(uint8_t *buf, size_t room, X509 *cert, uint32_t id)
{
	uint8_t *der = NULL;
	int n = i2d_X509(cert, &der);
	struct cp_tvs_msg m = {.type = CP_TVS_VERIFY_REQUEST,
			       .id = id,
			       .have = CP_TVS_BIT(CP_TVS_DEVICE) | CP_TVS_BIT(CP_TVS_CERT),
			       .device = "CP-8861-SEP001122334455",
			       .cert = der,
			       .cert_len = (size_t)n};

	n = cp_tvs_build(&m, buf, room);
	OPENSSL_free(der);
	return n;
}

/* The next whole answer that came, 0 if none did. */
static unsigned take(struct tp_client *c, struct cp_tvs_msg *ret)
{
	static uint8_t buf[CP_TVS_MSG_MAX];
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t have = evbuffer_get_length(in);
	int n;

	evbuffer_copyout(in, buf, have < sizeof(buf) ? have : sizeof(buf));
	n = cp_tvs_frame(buf, have < sizeof(buf) ? have : sizeof(buf));
	if (n <= 0 || (size_t)n > have)
		return 0;
	evbuffer_drain(in, (size_t)n);
	CU_ASSERT_EQUAL(cp_tvs_parse(buf, (size_t)n, ret), 0);
	return 1;
}

static void test_answers(void)
{
	struct tp_client c;
	struct cp_tvs_msg m;
	struct cp_tvs_stats st;
	uint8_t buf[CP_TVS_MSG_MAX];
	int n;

	start(0);
	/* who shows no certificate is answered; 002:P2-05 */
	tp_open(&c, base, port, TLS1_3_VERSION, NULL);
	WAIT(c.connected);
	n = question(buf, sizeof(buf), tftp.cert, 41);
	bufferevent_write(c.bev, buf, (size_t)n);
	WAIT(take(&c, &m));
	CU_ASSERT(m.type == CP_TVS_VERIFY_RESPONSE && m.id == 41 && m.status == CP_TVS_VALID && m.ttl_s == CP_TVS_TTL_S);
	CU_ASSERT(m.role_cnt == 1 && m.roles[0] == 3);
	CU_ASSERT(told.n == 1 && told.proven == 0 && told.answer == CP_TVS_VOUCHED);
	CU_ASSERT_STRING_EQUAL(told.device, "CP-8861-SEP001122334455");
	/* the same connection: two at once, one of them about somebody else, and one byte by byte */
	n = question(buf, sizeof(buf), other.cert, 42);
	bufferevent_write(c.bev, buf, (size_t)n);
	n = question(buf, sizeof(buf), tftp.cert, 43);
	bufferevent_write(c.bev, buf, (size_t)n);
	WAIT(take(&c, &m));
	CU_ASSERT(m.id == 42 && m.status == CP_TVS_NOT_VALID && m.have == CP_TVS_BIT(CP_TVS_STATUS));
	WAIT(take(&c, &m));
	CU_ASSERT(m.id == 43 && m.status == CP_TVS_VALID);
	n = question(buf, sizeof(buf), tftp.cert, 44);
	for (int i = 0; i < n; i++) {
		bufferevent_write(c.bev, buf + i, 1);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	WAIT(take(&c, &m));
	CU_ASSERT_EQUAL(m.id, 44);
	/* a change is seen by the next question, without a new connection; 002:P2-08 */
	cp_tvs_set_book(tvs, book_of(other.cert));
	n = question(buf, sizeof(buf), tftp.cert, 45);
	bufferevent_write(c.bev, buf, (size_t)n);
	n = question(buf, sizeof(buf), other.cert, 46);
	bufferevent_write(c.bev, buf, (size_t)n);
	WAIT(take(&c, &m));
	CU_ASSERT(m.id == 45 && m.status == CP_TVS_NOT_VALID);
	WAIT(take(&c, &m));
	CU_ASSERT(m.id == 46 && m.status == CP_TVS_VALID);
	tp_close(&c);
	cp_tvs_stats(tvs, &st);
	CU_ASSERT(st.verify == 6 && st.query == 0 && st.vouched == 4 && st.unknown == 2 && st.malformed == 0 && st.certificates == 1);

	/* who shows one is known by it */
	tp_open(&c, base, port, TLS1_2_VERSION, &phone);
	WAIT(c.connected);
	n = question(buf, sizeof(buf), other.cert, 1);
	bufferevent_write(c.bev, buf, (size_t)n);
	WAIT(take(&c, &m));
	CU_ASSERT_EQUAL(told.proven, 1);
	tp_close(&c);
	stop();
}

/* What is no question ends the connection without an answer, and nobody else's. */
static void test_malformed(void)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{"GET / HTTP/1.0\r\n\r\n", 18},
		{"\x57\x02\1\0\0\0\0\1\0\0", 10},          /* another version */
		{"\x57\x01\1\0\0\0\0\1\xff\xff", 10},        /* longer than any */
		{"\x57\x01\1\0\0\0\0\1\0\0", 10},           /* nothing in it */
		{"\x57\x01\x02\0\0\0\0\1\0\4\x07\0\1\0", 14}, /* an answer */
		{"\x57\x01\x09\0\0\0\0\1\0\4\x02\0\1\0", 14}, /* an unknown type */
		{"\x57\x01\1\0\0\0\0\1\0\3\x02\0\x09", 13},  /* an element longer than its message */
	};
	struct tp_client c, good;
	struct cp_tvs_msg m;
	struct cp_tvs_stats st;
	uint8_t buf[CP_TVS_MSG_MAX];
	int n;

	start(0);
	tp_open(&good, base, port, TLS1_3_VERSION, NULL);
	WAIT(good.connected);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		tp_open(&c, base, port, TLS1_3_VERSION, NULL);
		WAIT(c.connected);
		bufferevent_write(c.bev, bad[i].bytes, bad[i].len);
		WAIT(c.closed);
		CU_ASSERT_EQUAL(evbuffer_get_length(bufferevent_get_input(c.bev)), 0);
		tp_close(&c);
	}
	CU_ASSERT_EQUAL(told.n, 0);
	n = question(buf, sizeof(buf), tftp.cert, 1);
	bufferevent_write(good.bev, buf, (size_t)n);
	WAIT(take(&good, &m));
	/* after a good one a bad one */
	bufferevent_write(good.bev, "\x57\x01\x04\0\0\0\0\1\0\4\x07\0\1\0", 14);
	WAIT(good.closed);
	tp_close(&good);
	WAIT((cp_tvs_stats(tvs, &st), st.conns == 0));
	CU_ASSERT(st.verify == 1 && st.malformed >= 5);
	stop();
}

static void test_idle(void)
{
	struct tp_client c[4];
	struct cp_tvs_msg m;
	struct cp_tvs_stats st;
	uint8_t buf[CP_TVS_MSG_MAX];
	int n;

	start(3);
	n = question(buf, sizeof(buf), tftp.cert, 1);
	for (unsigned i = 0; i < 3; i++) {
		tp_open(&c[i], base, port, TLS1_3_VERSION, NULL);
		WAIT(c[i].connected);
		bufferevent_write(c[i].bev, buf, (size_t)n);
		WAIT(take(&c[i], &m));
		clock_ms += 1000;
	}
	/* the first asks again: the second is the idlest, and gives way to a fourth */
	bufferevent_write(c[0].bev, buf, (size_t)n);
	WAIT(take(&c[0], &m));
	tp_open(&c[3], base, port, TLS1_3_VERSION, NULL);
	WAIT(c[3].connected);
	bufferevent_write(c[3].bev, buf, (size_t)n);
	WAIT(take(&c[3], &m));
	WAIT(c[1].closed);
	CU_ASSERT(!c[0].closed && !c[2].closed);
	WAIT((cp_tvs_stats(tvs, &st), st.conns == 3));
	CU_ASSERT_EQUAL(st.idle_closed, 1);
	/* a minute without a question */
	clock_ms += 59500;
	cp_tvs_tick(tvs);
	WAIT(c[2].closed);
	CU_ASSERT(!c[0].closed && !c[3].closed);
	clock_ms += 1000;
	cp_tvs_tick(tvs);
	WAIT(c[0].closed && c[3].closed);
	WAIT((cp_tvs_stats(tvs, &st), st.conns == 0));
	CU_ASSERT_EQUAL(st.idle_closed, 4);
	for (unsigned i = 0; i < 4; i++)
		tp_close(&c[i]);
	stop();
}

static int setup(void)
{
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	base = event_base_new();
	ca = tp_issue("CA", NULL, -60, 3600);
	server = tp_issue("TVS", &ca, -60, 3600);
	phone = tp_issue("SEP001122334455", &ca, -60, 3600);
	tftp = tp_issue("TFTP", NULL, -60, 200000);
	other = tp_issue("Other", NULL, -60, 200000);
	return base == NULL;
}

static int teardown(void)
{
	tp_id_free(&ca);
	tp_id_free(&server);
	tp_id_free(&phone);
	tp_id_free(&tftp);
	tp_id_free(&other);
	event_base_free(base);
	return 0;
}

static CU_TestInfo tests[] = {
	{"questions and answers", test_answers},
	{"what is no question", test_malformed},
	{"idle ones", test_idle},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("tvs", tests, setup, teardown)
