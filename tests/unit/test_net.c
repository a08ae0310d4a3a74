/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/net/ over loopback with real TLS: who gets in and why not, what strangers can hold
 * and for how long, and that those who are known do not notice. The protocol on top is a toy with
 * SCCP's framing: message 1 authenticates, 2 is echoed, 3 asks for last words and the end, 4
 * floods, 5 does so with numbers and at once.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <CUnit/CUnit.h>

#include "log.h"
#include "net/net.h"
#include "sccp/cursor.h"
#include "sccp/msg.h"
#include "tls_peer.h"

static struct event_base *base;
static struct tp_id ca, other_ca, server, phone, stranger, expired, future;
static struct cp_net *net;
static struct cp_tls *tls;
static uint16_t clear_port, tls_port;
static unsigned opened, closed, frames;
static enum cp_close last_close;
static unsigned refusals[CP_TLS_FAIL_MAX];
static char refused_cn[64];
static int flood_rc;
static int asker;
static ssize_t at_once;

static void *toy_opened(void *ctx, struct cp_conn *conn)
{
	(void)ctx;
	opened++;
	return conn;
}

static size_t toy_frame_of(uint8_t *b, uint32_t id, const void *body, size_t len)
{
	struct cp_sccp_w w = {b, 4096, 0, false};

	cp_w_u32(&w, (uint32_t)(4 + len));
	cp_w_u32(&w, 0);
	cp_w_u32(&w, id);
	cp_w_bytes(&w, body, len);
	return w.len;
}

#define NUMBERS 4000

static size_t number_of(uint8_t *b, uint32_t i)
{
	uint8_t body[2048] = {(uint8_t)i, (uint8_t)(i >> 8)};

	memset(body + 2, (int)(i % 251), sizeof(body) - 2);
	return toy_frame_of(b, 10, body, 1024 + i % 1024);
}

static void toy_frame(void *user, const uint8_t *frame, size_t len)
{
	static const uint8_t blob[2048];
	struct cp_conn *conn = user;
	struct cp_sccp_frame f;
	uint8_t b[4096];
	size_t n;

	frames++;
	if (cp_sccp_frame_parse(frame, len, &f) != 0)
		abort();
	switch (f.id) {
	case 1:
		cp_conn_authed(conn);
		break;
	case 2:
		cp_conn_send_secret(conn, frame, len);
		break;
	case 3:
		n = toy_frame_of(b, 9, blob, sizeof(blob));
		for (int i = 0; i < 20; i++)
			cp_conn_send(conn, b, n);
		cp_conn_close(conn);
		CU_ASSERT_EQUAL(cp_conn_send(conn, b, n), -ENOTCONN);
		break;
	case 5:
		for (uint32_t i = 0; i < NUMBERS && flood_rc == 0; i++) {
			n = number_of(b, i);
			flood_rc = i % 7 == 3 ? cp_conn_send(conn, b, n) : cp_conn_send_at_once(conn, b, n);
		}
		break;
	case 6:
		flood_rc = cp_conn_send_at_once(conn, frame, len);
		at_once = recv(asker, b, sizeof(b), MSG_PEEK | MSG_DONTWAIT); /* the other end */
		break;
	default:
		n = toy_frame_of(b, 9, blob, sizeof(blob));
		for (int i = 0; i < 1000 && flood_rc == 0; i++)
			flood_rc = cp_conn_send(conn, b, n);
	}
}

static void toy_closed(void *user, enum cp_close why)
{
	(void)user;
	closed++;
	last_close = why;
}

static void toy_refused(void *ctx, const struct cfg_addr *from, enum cp_tls_fail why, int err,
                        X509 *leaf)
{
	(void)ctx;
	CU_ASSERT_EQUAL(from->ip[0], 127);
	CU_ASSERT_EQUAL(why == CP_TLS_FAIL_NO_CERT || why == CP_TLS_FAIL_INCOMPATIBLE, err == X509_V_OK);
	refusals[why]++;
	refused_cn[0] = '\0';
	if (leaf != NULL)
		X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, refused_cn,
		                          sizeof(refused_cn));
}

static const struct cp_net_ops toy = {
	.frame_max = CP_SCCP_FRAME_MAX,
	.frame_len = cp_sccp_frame_len,
	.opened = toy_opened,
	.frame = toy_frame,
	.closed = toy_closed,
	.cert_refused = toy_refused,
};

/* A protocol whose server has the first word. */
static void *greeter_opened(void *ctx, struct cp_conn *conn)
{
	uint8_t b[32];

	(void)ctx;
	opened++;
	CU_ASSERT_EQUAL(cp_conn_send(conn, b, toy_frame_of(b, 7, "hello", 5)), 0);
	return conn;
}

static const struct cp_net_ops greeter = {
	.frame_max = CP_SCCP_FRAME_MAX,
	.frame_len = cp_sccp_frame_len,
	.opened = greeter_opened,
	.frame = toy_frame,
	.closed = toy_closed,
	.cert_refused = toy_refused,
	.server_first = true,
	.dead_s = 24,
};

static void load(struct cp_tls *t, const struct tp_id *id, X509 *trusted)
{
	STACK_OF(X509) *trust = sk_X509_new_null();
	struct cp_tls_identity ident = {id->key, id->cert, NULL, trust};
	char err[200];

	sk_X509_push(trust, trusted);
	if (cp_tls_load(t, &ident, err, sizeof(err)) != 0) {
		fprintf(stderr, "load: %s\n", err);
		abort();
	}
	sk_X509_free(trust);
}

static void start(struct cp_net_opts opts)
{
	const struct cfg_addr any = {.family = 4, .plen = 32, .ip = {127, 0, 0, 1}};

	opened = closed = frames = 0;
	flood_rc = 0;
	memset(refusals, 0, sizeof(refusals));
	if (cp_tls_create(CP_TLS_MODERN, false, &tls) != 0)
		abort();
	load(tls, &server, ca.cert);
	if (cp_net_create(base, &opts, &net) != 0 ||
	    cp_net_listen(net, &any, NULL, &toy, NULL, &clear_port) != 0 ||
	    cp_net_listen(net, &any, tls, &toy, NULL, &tls_port) != 0)
		abort();
}

static const struct cp_net_opts normal = {
	.max_conns = 4096, .max_preauth = 2048, .handshake_ms = 20000};

static void stop(void)
{
	cp_net_destroy(net);
	net = NULL;
	event_base_loop(base, EVLOOP_NONBLOCK);
	cp_tls_destroy(tls);
}

static void say(struct tp_client *c, uint32_t id, const void *body, size_t len)
{
	uint8_t b[4200];
	size_t n = toy_frame_of(b, id, body, len);

	bufferevent_write(c->bev, b, n);
}

/* Send, and wait for the echo. */
static bool echoes(struct tp_client *c)
{
	evbuffer_drain(bufferevent_get_input(c->bev), tp_have(c));
	say(c, 2, "hello", 5);
	TP_PUMP(base, tp_have(c) >= 17 || c->closed, 3000);
	return tp_have(c) == 17;
}

static void test_both_versions(void)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	struct tp_client c;

	for (int i = 0; i < 2; i++) {
		start(normal);
		tp_open(&c, base, tls_port, versions[i], &phone);
		CU_ASSERT_TRUE(echoes(&c));
		CU_ASSERT(opened == 1 && closed == 0 && cp_net_stats(net)->handshakes == 1);
		CU_ASSERT_EQUAL(SSL_version(bufferevent_openssl_get_ssl(c.bev)), versions[i]);
		tp_close(&c);
		TP_PUMP(base, closed == 1, 2000);
		CU_ASSERT(closed == 1 && last_close == CP_CLOSE_PEER &&
		          cp_net_stats(net)->conns == 0);
		stop();
	}
	start(normal);
	tp_open(&c, base, clear_port, 0, NULL);
	CU_ASSERT_TRUE(echoes(&c));
	tp_close(&c);
	stop();
}

/* CAPF's way: the client says nothing until it has heard something. Who hears it and stays silent is reaped as others are, and who
 * does not finish the handshake never hears it. */
static void test_the_server_speaks_first(void)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	const struct cfg_addr any = {.family = 4, .plen = 32, .ip = {127, 0, 0, 1}};
	struct cp_net_opts opts = {.max_conns = 64, .max_preauth = 32, .handshake_ms = 4000, .auth_ms = 400};
	struct tp_client c;
	uint16_t port;
	int fd;

	for (int i = 0; i < 2; i++) {
		start(normal);
		CU_ASSERT_EQUAL_FATAL(cp_net_listen(net, &any, tls, &greeter, NULL, &port), 0);
		tp_open(&c, base, port, versions[i], &phone);
		TP_PUMP(base, tp_have(&c) == 17, 3000);
		CU_ASSERT(tp_have(&c) == 17 && opened == 1 && frames == 0);
		CU_ASSERT_TRUE(echoes(&c));
		CU_ASSERT(opened == 1 && frames == 1);
		tp_close(&c);
		TP_PUMP(base, closed == 1, 2000);
		CU_ASSERT(closed == 1 && last_close == CP_CLOSE_PEER);
		stop();
	}
	start(opts);
	CU_ASSERT_EQUAL_FATAL(cp_net_listen(net, &any, tls, &greeter, NULL, &port), 0);
	tp_open(&c, base, port, TLS1_3_VERSION, &phone); /* heard it, says nothing */
	TP_PUMP(base, c.closed, 3000);
	CU_ASSERT(c.closed && opened == 1 && closed == 1 && last_close == CP_CLOSE_TIMEOUT);
	tp_close(&c);
	fd = tp_connect(port, 1); /* never shakes hands */
	TP_PUMP(base, cp_net_stats(net)->preauth == 1, 2000);
	TP_PUMP(base, cp_net_stats(net)->preauth == 0, 3000);
	CU_ASSERT(opened == 1 && cp_net_stats(net)->conns == 0);
	close(fd);
	CU_ASSERT_EQUAL_FATAL(cp_net_listen(net, &any, NULL, &greeter, NULL, &port), 0);
	tp_open(&c, base, port, 0, NULL); /* in clear it is sent with the first byte */
	say(&c, 2, "hello", 5);
	TP_PUMP(base, tp_have(&c) == 34, 2000);
	CU_ASSERT_EQUAL(tp_have(&c), 34);
	tp_close(&c);
	stop();
}

static void test_old_versions_are_refused(void)
{
	struct cp_tls *legacy = NULL;
	struct tp_client c;

	start(normal);
	tp_open(&c, base, tls_port, TLS1_1_VERSION, &phone);
	TP_PUMP(base, c.closed, 2000);
	CU_ASSERT(c.closed && !c.connected && opened == 0);
	CU_ASSERT_EQUAL(cp_net_stats(net)->tls_failed[CP_TLS_FAIL_INCOMPATIBLE], 1);
	tp_close(&c);
	stop();
	CU_ASSERT_EQUAL(cp_tls_create(CP_TLS_LEGACY_79XX, false, &legacy), -EPERM);
	CU_ASSERT_EQUAL(cp_tls_create(CP_TLS_LEGACY_79XX, true, &legacy), 0);
	load(legacy, &server, ca.cert);
	cp_tls_destroy(legacy);
}

static void refused(const struct tp_id *id, int version, enum cp_tls_fail why, const char *cn)
{
	struct tp_client c;

	start(normal);
	tp_open(&c, base, tls_port, version, id);
	TP_PUMP(base, c.closed, 3000);
	CU_ASSERT_TRUE(c.closed);
	CU_ASSERT(refusals[why] == 1 && opened == 0 && cp_net_stats(net)->tls_failed[why] == 1);
	CU_ASSERT_STRING_EQUAL(refused_cn, cn);
	TP_PUMP(base, cp_net_stats(net)->conns == 0, 1000);
	CU_ASSERT(cp_net_stats(net)->conns == 0 && cp_net_stats(net)->preauth == 0);
	tp_close(&c);
	stop();
}

static void test_bad_certificates(void)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	for (int i = 0; i < 2; i++) {
		refused(&stranger, versions[i], CP_TLS_FAIL_UNTRUSTED, "SEP0A1B2C3D4E52");
		refused(&expired, versions[i], CP_TLS_FAIL_EXPIRED, "SEP0A1B2C3D4E53");
		refused(&future, versions[i], CP_TLS_FAIL_EXPIRED, "SEP0A1B2C3D4E54");
		refused(NULL, versions[i], CP_TLS_FAIL_NO_CERT, "");
		refused(&other_ca, versions[i], CP_TLS_FAIL_UNTRUSTED, "other CA");
	}
}

static void test_wrong_port(void)
{
	static const uint8_t junk[64] = {0x16, 0x03, 0x01, 0x00, 0x30, 0xff, 0xff};
	struct tp_client c;

	start(normal);
	tp_open(&c, base, tls_port, 0, NULL); /* SCCP in clear where TLS is spoken */
	say(&c, 1, "", 0);
	TP_PUMP(base, c.closed, 2000);
	CU_ASSERT(c.closed && cp_net_stats(net)->not_tls == 1);
	tp_close(&c);
	tp_open(&c, base, tls_port, 0, NULL); /* looks like TLS, is not */
	bufferevent_write(c.bev, junk, sizeof(junk));
	TP_PUMP(base, c.closed, 2000);
	CU_ASSERT(c.closed && cp_net_stats(net)->tls_failed[CP_TLS_FAIL_PROTOCOL] == 1);
	tp_close(&c);
	tp_open(&c, base, clear_port, TLS1_3_VERSION, &phone); /* TLS where clear is spoken */
	TP_PUMP(base, c.closed, 2000);
	CU_ASSERT(c.closed && !c.connected && cp_net_stats(net)->tls_on_clear == 1);
	tp_close(&c);
	CU_ASSERT(opened == 0 && refusals[CP_TLS_FAIL_PROTOCOL] == 0);
	stop();
}

static void test_frames(void)
{
	uint8_t b[4200], big[4092] = {7};
	struct tp_client c;
	size_t n;

	start(normal);
	tp_open(&c, base, tls_port, TLS1_3_VERSION, &phone);
	n = toy_frame_of(b, 2, "abcdef", 6);
	for (size_t i = 0; i < n; i++) { /* byte by byte */
		bufferevent_write(c.bev, b + i, 1);
		TP_RUN(base, 1);
	}
	TP_PUMP(base, tp_have(&c) >= n, 2000);
	CU_ASSERT_EQUAL(tp_have(&c), n);
	evbuffer_drain(bufferevent_get_input(c.bev), n);
	for (int i = 0; i < 20; i++) { /* many at once, each of the greatest length */
		struct cp_sccp_w w = {b, sizeof(b), 0, false};

		cp_w_u32(&w, 4096);
		cp_w_u32(&w, 0);
		cp_w_u32(&w, 1);
		cp_w_bytes(&w, big, sizeof(big));
		bufferevent_write(c.bev, b, w.len);
	}
	TP_PUMP(base, frames == 21, 3000);
	CU_ASSERT_EQUAL(frames, 21);
	CU_ASSERT_TRUE(echoes(&c));
	b[0] = 1; /* 4097 */
	b[1] = 0x10;
	bufferevent_write(c.bev, b, 12);
	TP_PUMP(base, closed == 1, 2000);
	CU_ASSERT(closed == 1 && last_close == CP_CLOSE_BAD_FRAME);
	tp_close(&c);
	stop();
}

static void test_last_words_arrive(void)
{
	struct tp_client c;

	for (int secure = 0; secure < 2; secure++) {
		start(normal);
		tp_open(&c, base, secure ? tls_port : clear_port, secure ? TLS1_3_VERSION : 0,
		        &phone);
		say(&c, 3, "", 0);
		say(&c, 2, "unheard", 7);
		TP_PUMP(base, c.closed, 3000);
		CU_ASSERT(c.closed && tp_have(&c) == 20 * (2048 + 12));
		CU_ASSERT_EQUAL(frames, 1);
		tp_close(&c);
		TP_PUMP(base, closed == 1, 3000);
		CU_ASSERT(closed == 1 && last_close == CP_CLOSE_LOCAL);
		stop();
	}
}

static void test_slow_reader(void)
{
	struct tp_client c;

	start(normal);
	tp_open(&c, base, clear_port, 0, NULL);
	bufferevent_disable(c.bev, EV_READ);
	say(&c, 1, "", 0);
	say(&c, 4, "", 0);
	TP_PUMP(base, closed == 1, 2000);
	CU_ASSERT(closed == 1 && last_close == CP_CLOSE_SLOW && flood_rc == -ENOTCONN);
	tp_close(&c);
	stop();
}

/* Answers that do not wait for the loop: there when the call returns; and in order, whatever the socket takes of them. */
static void test_at_once(void)
{
	static const int versions[] = {0, TLS1_2_VERSION, TLS1_3_VERSION};
	struct cp_net_opts wide = normal;
	struct tp_client c;
	uint8_t want[4096];
	unsigned wrong;
	uint32_t i;

	wide.out_max = 32 << 20;
	for (int v = 0; v < 3; v++) {
		start(wide);
		tp_open(&c, base, versions[v] == 0 ? clear_port : tls_port, versions[v], &phone);
		CU_ASSERT_TRUE(echoes(&c));
		evbuffer_drain(bufferevent_get_input(c.bev), tp_have(&c));
		bufferevent_disable(c.bev, EV_READ);
		at_once = 0;
		asker = bufferevent_getfd(c.bev);
		say(&c, 6, "hello", 5);
		TP_PUMP(base, frames == 2, 3000);
		CU_ASSERT(at_once >= 17);
		bufferevent_enable(c.bev, EV_READ);
		TP_PUMP(base, tp_have(&c) == 17, 3000);
		CU_ASSERT_EQUAL(tp_have(&c), 17);
		evbuffer_drain(bufferevent_get_input(c.bev), tp_have(&c));
		bufferevent_disable(c.bev, EV_READ);
		say(&c, 5, "", 0);
		TP_PUMP(base, frames == 3, 3000);
		CU_ASSERT(frames == 3 && flood_rc == 0);
		bufferevent_enable(c.bev, EV_READ);
		for (i = 0, wrong = 0; i < NUMBERS; i++) {
			size_t n = number_of(want, i);
			struct evbuffer *in = bufferevent_get_input(c.bev);

			TP_PUMP(base, evbuffer_get_length(in) >= n || c.closed, 3000);
			if (evbuffer_get_length(in) < n)
				break;
			wrong += memcmp(evbuffer_pullup(in, (ev_ssize_t)n), want, n) != 0;
			evbuffer_drain(in, n);
		}
		CU_ASSERT(i == NUMBERS && wrong == 0);
		tp_close(&c);
		TP_PUMP(base, closed == 1, 3000);
		CU_ASSERT(closed == 1 && last_close == CP_CLOSE_PEER);
		stop();
	}
}

static void test_reaping(void)
{
	struct cp_net_opts quick = normal;
	static const uint8_t hello_part[] = {0x16, 0x03, 0x01, 0x01, 0x00, 0x01,
	                                     0x00, 0x00, 0xfc, 0x03, 0x03};
	struct tp_client idle, half, silent, talker, known;
	uint64_t began;

	quick.handshake_ms = 2000;
	quick.auth_ms = 5000;
	start(quick);
	tp_open(&known, base, tls_port, TLS1_3_VERSION, &phone);
	say(&known, 1, "", 0);
	TP_PUMP(base, frames == 1, 2000);
	began = tp_ms();
	tp_open(&idle, base, tls_port, 0, NULL); /* not a byte */
	tp_open(&half, base, tls_port, 0, NULL); /* half a ClientHello */
	bufferevent_write(half.bev, hello_part, sizeof(hello_part));
	tp_open(&silent, base, tls_port, TLS1_3_VERSION, &phone); /* handshake, then nothing */
	tp_open(&talker, base, clear_port, 0, NULL);              /* talks, never authenticates */
	while (tp_ms() - began < 60000 &&
	       !(idle.closed && half.closed && silent.closed && talker.closed)) {
		say(&talker, 2, "x", 1);
		TP_RUN(base, 20);
		if (idle.closed && half.closed && silent.closed && tp_ms() - began < 4500)
			CU_ASSERT_FALSE(talker.closed); /* it has longer */
	}
	CU_ASSERT(idle.closed && half.closed && silent.closed && talker.closed);
	CU_ASSERT_TRUE(silent.connected);
	CU_ASSERT_EQUAL(cp_net_stats(net)->closed[CP_CLOSE_TIMEOUT], 4);
	CU_ASSERT_TRUE(echoes(&known));
	CU_ASSERT(cp_net_stats(net)->conns == 1 && cp_net_stats(net)->preauth == 0);
	tp_close(&idle);
	tp_close(&half);
	tp_close(&silent);
	tp_close(&talker);
	tp_close(&known);
	stop();
}

#define IDLE 1000

static void test_idle_crowd(void)
{
	static int fds[IDLE];
	struct cp_net_opts opts = normal;
	struct tp_client known, late;
	size_t before, each;
	unsigned i;

	opts.handshake_ms = 6000;
	cp_net_fd_room(2 * IDLE + 200, NULL);
	start(opts);
	tp_open(&known, base, tls_port, TLS1_2_VERSION, &phone);
	say(&known, 1, "", 0);
	TP_PUMP(base, frames == 1, 2000);
	before = mallinfo2().uordblks;
	for (i = 0; i < IDLE; i++) {
		fds[i] = tp_connect(tls_port, 2 + (int)(i % 50));
		if (i % 100 == 99)
			event_base_loop(base, EVLOOP_NONBLOCK);
	}
	TP_PUMP(base, cp_net_stats(net)->conns == IDLE + 1, 2000);
	CU_ASSERT_EQUAL(cp_net_stats(net)->preauth, IDLE);
	each = (mallinfo2().uordblks - before) / IDLE;
	CU_ASSERT(each < 1024); /* an idle stranger costs no buffers and no TLS state */
	fprintf(stderr, "idle connection: %zu bytes\n", each);
	CU_ASSERT_TRUE(echoes(&known));
	tp_open(&late, base, tls_port, TLS1_3_VERSION, &phone); /* the crowd keeps nobody out */
	CU_ASSERT_TRUE(echoes(&late));
	say(&late, 1, "", 0);
	TP_PUMP(base, cp_net_stats(net)->closed[CP_CLOSE_TIMEOUT] == IDLE, 5000);
	CU_ASSERT_EQUAL(cp_net_stats(net)->closed[CP_CLOSE_TIMEOUT], IDLE);
	CU_ASSERT(cp_net_stats(net)->conns == 2 && cp_net_stats(net)->preauth == 0);
	CU_ASSERT(echoes(&known) && echoes(&late));
	for (i = 0; i < IDLE; i++)
		close(fds[i]);
	tp_close(&known);
	tp_close(&late);
	stop();
}

static void still_there(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	++*(unsigned *)arg;
}

/* Something of the known is always to be done: handshakes and first messages get done all the same. */
static void test_handshakes_beside_the_known(void)
{
	const struct cfg_addr any = {.family = 4, .plen = 32, .ip = {127, 0, 0, 1}};
	struct event_base *busy = cp_net_base();
	struct cp_net_opts opts = normal;
	struct tp_client c[12];
	struct event *ev;
	struct cp_net *mine;
	unsigned rounds = 0;
	uint16_t port;
	int p[2];

	start(normal); /* for its TLS */
	CU_ASSERT_EQUAL_FATAL(pipe(p), 0);
	CU_ASSERT_EQUAL_FATAL(cp_net_create(busy, &opts, &mine), 0);
	CU_ASSERT_EQUAL_FATAL(cp_net_listen(mine, &any, tls, &toy, NULL, &port), 0);
	for (unsigned i = 0; i < 4; i++)
		tp_open(&c[i], busy, port, i % 2 ? TLS1_3_VERSION : TLS1_2_VERSION, &phone);
	TP_PUMP(busy, cp_net_stats(mine)->handshakes == 4, 3000); /* so far there was time for them */
	CU_ASSERT_EQUAL(cp_net_stats(mine)->handshakes, 4);
	ev = event_new(busy, p[0], EV_READ | EV_PERSIST, still_there, &rounds);
	CU_ASSERT(event_add(ev, NULL) == 0 && write(p[1], "!", 1) == 1);
	for (unsigned i = 0; i < 12; i++) {
		if (i >= 4)
			tp_open(&c[i], busy, port, i % 2 ? TLS1_3_VERSION : TLS1_2_VERSION, &phone);
		say(&c[i], 1, "", 0);
	}
	for (uint64_t end = tp_ms() + 60000; tp_ms() < end && frames < 12;) {
		event_base_loopexit(busy, &(struct timeval){0, 5000});
		event_base_loop(busy, 0);
	}
	CU_ASSERT(frames == 12 && opened == 12 && closed == 0);
	CU_ASSERT(cp_net_stats(mine)->handshakes == 12 && cp_net_stats(mine)->preauth == 0);
	CU_ASSERT(rounds > 100);
	event_free(ev);
	for (unsigned i = 0; i < 12; i++)
		tp_close(&c[i]);
	TP_PUMP(busy, closed == 12, 3000);
	CU_ASSERT_EQUAL(closed, 12);
	close(p[0]);
	close(p[1]);
	cp_net_destroy(mine);
	event_base_loop(busy, EVLOOP_NONBLOCK);
	event_base_free(busy);
	stop();
}

/* In a process of its own, which then has lost what lets root go beyond the hard limit. */
static int fd_room_child(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};
	struct rlimit lim = {300, 1000};
	uint32_t room = 0;

	if (setrlimit(RLIMIT_NOFILE, &lim) != 0 || syscall(SYS_capset, &head, none) != 0)
		return 1;
	if (cp_net_fd_room(20, &room) != 0 || room != 20 || getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur != 300)
		return 2; /* enough already */
	if (cp_net_fd_room(700, &room) != 0 || room != 700 || getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur != 700 + CP_NET_FD_SPARE)
		return 3;
	if (cp_net_fd_room(5000, &room) != -EPERM || room != 1000 - CP_NET_FD_SPARE || getrlimit(RLIMIT_NOFILE, &lim) != 0 ||
	    lim.rlim_cur != 1000)
		return 4; /* as far as it goes */
	return cp_net_fd_room(5000, NULL) == -EPERM ? 0 : 5;
}

static void test_fd_room(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fd_room_child());
	CU_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid);
	CU_ASSERT_EQUAL(status, 0);
}

static void test_limits(void)
{
	struct cp_net_opts opts = normal;
	struct tp_client known, last;
	int fds[12], n = 0;

	opts.max_preauth = 8;
	opts.max_source = 5;
	opts.max_conns = 10;
	start(opts);
	tp_open(&known, base, clear_port, 0, NULL);
	say(&known, 1, "", 0);
	TP_PUMP(base, frames == 1, 1000);
	for (; n < 7; n++)
		fds[n] = tp_connect(clear_port, 2);
	TP_PUMP(base, cp_net_stats(net)->refused_source == 2, 1000);
	CU_ASSERT(cp_net_stats(net)->refused_source == 2 && cp_net_stats(net)->preauth == 5);
	for (; n < 12; n++)
		fds[n] = tp_connect(clear_port, 3 + n);
	TP_PUMP(base, cp_net_stats(net)->pauses == 1, 1000);
	CU_ASSERT(cp_net_stats(net)->preauth == 8 && cp_net_stats(net)->pauses == 1);
	tp_open(&last, base, clear_port, 0, NULL);
	TP_RUN(base, 50);
	CU_ASSERT_EQUAL(cp_net_stats(net)->conns, 9); /* the rest waits in the backlog */
	CU_ASSERT_TRUE(echoes(&known));
	for (int i = 0; i < 12; i++)
		close(fds[i]);
	CU_ASSERT_TRUE(echoes(&last)); /* and gets in once there is room */
	tp_close(&known);
	tp_close(&last);
	TP_PUMP(base, cp_net_stats(net)->conns == 0, 1000);
	CU_ASSERT_EQUAL(cp_net_stats(net)->conns, 0);
	stop();
}

static void test_reload(void)
{
	struct tp_id server2 = tp_issue("cm2", &ca, -10, 1000);
	STACK_OF(X509) *none = sk_X509_new_null();
	struct cp_tls_identity bad = {server2.key, server.cert, NULL, none};
	struct tp_client before, after, old;
	char err[200] = "";
	X509 *seen;

	start(normal);
	tp_open(&before, base, tls_port, TLS1_3_VERSION, &phone);
	CU_ASSERT_TRUE(echoes(&before));
	CU_ASSERT_EQUAL(cp_tls_load(tls, &bad, err, sizeof(err)), -EINVAL); /* no trust */
	CU_ASSERT(err[0] != '\0');
	sk_X509_push(none, ca.cert);
	CU_ASSERT_EQUAL(cp_tls_load(tls, &bad, err, sizeof(err)),
	                -EINVAL); /* key of another certificate */
	CU_ASSERT_EQUAL(cp_tls_generation(tls), 1);
	load(tls, &server2, ca.cert);
	CU_ASSERT_EQUAL(cp_tls_generation(tls), 2);
	CU_ASSERT_TRUE(echoes(&before)); /* the living one stays */
	tp_open(&after, base, tls_port, TLS1_3_VERSION, &phone);
	CU_ASSERT_TRUE(echoes(&after));
	seen = SSL_get1_peer_certificate(bufferevent_openssl_get_ssl(after.bev));
	CU_ASSERT_EQUAL(X509_cmp(seen, server2.cert), 0);
	X509_free(seen);
	load(tls, &server2, other_ca.cert); /* trust changed: the phone's CA is out */
	tp_open(&old, base, tls_port, TLS1_3_VERSION, &phone);
	TP_PUMP(base, old.closed, 2000);
	CU_ASSERT(old.closed && refusals[CP_TLS_FAIL_UNTRUSTED] == 1);
	CU_ASSERT_TRUE(echoes(&before));
	tp_close(&before);
	tp_close(&after);
	tp_close(&old);
	sk_X509_free(none);
	tp_id_free(&server2);
	stop();
}

static void test_stop_with_connections(void)
{
	struct tp_client c;

	start(normal);
	tp_open(&c, base, tls_port, TLS1_3_VERSION, &phone);
	CU_ASSERT_TRUE(echoes(&c));
	stop();
	CU_ASSERT(closed == 1 && last_close == CP_CLOSE_STOP);
	TP_PUMP(base, c.closed, 1000);
	CU_ASSERT_TRUE(c.closed);
	tp_close(&c);
}

static int setup(void)
{
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	base = event_base_new();
	ca = tp_issue("CAPF-test", NULL, -1000, 100000);
	other_ca = tp_issue("other CA", NULL, -1000, 100000);
	server = tp_issue("cm1", &ca, -1000, 100000);
	phone = tp_issue("SEP0A1B2C3D4E51", &ca, -1000, 100000);
	stranger = tp_issue("SEP0A1B2C3D4E52", &other_ca, -1000, 100000);
	expired = tp_issue("SEP0A1B2C3D4E53", &ca, -1000, -10);
	future = tp_issue("SEP0A1B2C3D4E54", &ca, 1000, 2000);
	return base == NULL;
}

static int teardown(void)
{
	struct tp_id *ids[] = {&ca, &other_ca, &server, &phone, &stranger, &expired, &future};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		tp_id_free(ids[i]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_free(base);
	return 0;
}

static CU_TestInfo tests[] = {
	{"TLS 1.2, TLS 1.3 and clear", test_both_versions},
	{"the server speaks first", test_the_server_speaks_first},
	{"old versions are refused", test_old_versions_are_refused},
	{"bad certificates", test_bad_certificates},
	{"wrong port", test_wrong_port},
	{"frames in pieces and in heaps", test_frames},
	{"last words arrive", test_last_words_arrive},
	{"a slow reader is closed", test_slow_reader},
	{"answers at once", test_at_once},
	{"what stalls is reaped", test_reaping},
	{"a thousand idle connections", test_idle_crowd},
	{"handshakes beside the known", test_handshakes_beside_the_known},
	{"room for descriptors", test_fd_room},
	{"limits", test_limits},
	{"reload", test_reload},
	{"stop with connections", test_stop_with_connections},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("net", tests, setup, teardown)
