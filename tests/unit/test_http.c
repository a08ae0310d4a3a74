/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTTP: requests as bytes (RFC 9110, 9112: what is refused, conditions, ranges, names), and the servers over loopback: keep-alive,
 * pipelining, files that come late, TLS that is reloaded, the token port, limits. Clients that nobody here wrote are in the
 * scenario provision-serve.sh.
 */
#include <signal.h>
#include <sys/time.h>

#include "fake_files.h"
#include "log.h"
#include "net/tls.h"
#include "provision/http.h"
#include "provision/httpmsg.h"
#include "suite.h"
#include "tls_peer.h"

#define H "\r\nHost: x\r\n\r\n"

static int parse(const char *text, struct cp_http_req *r)
{
	size_t n = strlen(text), scan = 0;
	static char copy[16384];

	memcpy(copy, text, n);
	CU_ASSERT_EQUAL(cp_http_head_len(copy, n, &scan), n);
	return cp_http_parse(copy, n, r);
}

static void test_requests(void)
{
	static const struct {
		const char *text;
		int status;
		const char *name;
	} cases[] = {
		{"GET /a.xml HTTP/1.1" H, 0, "a.xml"},
		{"HEAD /a.xml HTTP/1.1" H, 0, "a.xml"},
		{"GET /a.xml HTTP/1.0\r\n\r\n", 0, "a.xml"},
		{"GET /a.xml HTTP/1.1\nHost: x\n\n", 0, "a.xml"}, /* RFC 9112 section 2.2 allows it */
		{"GET /d/e/a%2Exml?x=%zz HTTP/1.1" H, 0, "d/e/a.xml"},
		{"GET http://h:6970/a.xml HTTP/1.1" H, 0, "a.xml"},
		{"GET https://h/a.xml HTTP/1.1" H, 0, "a.xml"},
		/* decoded once, and never into something else */
		{"GET /%252e%252e/a HTTP/1.1" H, 0, ""},
		{"GET /%2e%2e/a HTTP/1.1" H, 0, ""},
		{"GET /a%00.xml HTTP/1.1" H, 0, ""},
		{"GET /a%2F%2Fb HTTP/1.1" H, 0, ""},
		{"GET //a HTTP/1.1" H, 0, ""},
		{"GET / HTTP/1.1" H, 0, ""},
		{"GET /d/ HTTP/1.1" H, 0, ""},
		{"GET /a%5cb HTTP/1.1" H, 0, ""},
		{"GET /a%2 HTTP/1.1" H, 400, NULL},
		{"GET /a%g0 HTTP/1.1" H, 400, NULL},
		{"GET /a#b HTTP/1.1" H, 400, NULL},
		{"GET /a\xc3\xa4 HTTP/1.1" H, 400, NULL},
		{"GET a.xml HTTP/1.1" H, 400, NULL},
		{"GET http://h HTTP/1.1" H, 400, NULL},
		{"GET  /a.xml HTTP/1.1" H, 400, NULL},
		{"GET /a.xml  HTTP/1.1" H, 400, NULL},
		{"GET /a.xml" H, 400, NULL},
		{"GET /a.xml HTTP/1.1x" H, 400, NULL},
		{"GET /a.xml http/1.1" H, 400, NULL},
		{"GET /a.xml HTTP/2.0" H, 505, NULL},
		{"G@T /a.xml HTTP/1.1" H, 400, NULL},
		{" GET /a.xml HTTP/1.1" H, 400, NULL},
		{"POST /a.xml HTTP/1.1" H, 405, NULL},
		{"PUT /a.xml HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", 405, NULL},
		{"OPTIONS * HTTP/1.1" H, 405, NULL},
		{"AAAAAAAAAAAAAAAAAAAA / HTTP/1.1" H, 501, NULL},
		{"GET /a.xml HTTP/1.1\r\n\r\n", 400, NULL}, /* no Host */
		{"GET /a.xml HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, NULL},
		{"GET /a.xml HTTP/1.1\r\nHost : a\r\n\r\n", 400, NULL},
		{"GET /a.xml HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400, NULL},
		{"GET /a.xml HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400, NULL},
		{"GET /a.xml HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400, NULL},
		{"GET /a.xml HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400, NULL},
		/* bodies, and what could hide a second request */
		{"GET /a.xml HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 0, "a.xml"},
		{"GET /a.xml HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 413, NULL},
		{"GET /a.xml HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n", 400, NULL},
		{"GET /a.xml HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400, NULL},
		{"GET /a.xml HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 5\r\n\r\n", 400, NULL},
		{"GET /a.xml HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 413, NULL},
		{"GET /a.xml HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", 400, NULL},
	};
	struct cp_http_req r;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = parse(cases[i].text, &r);

		if (status != cases[i].status || (status == 0 && strcmp(r.name, cases[i].name) != 0))
			printf("\n%s: %d %s\n", cases[i].text, status, r.name);
		CU_ASSERT_EQUAL(status, cases[i].status);
		CU_ASSERT_TRUE(status == 0 ? strcmp(r.name, cases[i].name) == 0 : !r.keep_alive);
	}
	CU_ASSERT_EQUAL(parse("GET /a HTTP/1.1\r\nHOST: x\r\nAuthorization:  bearer   abc.def \r\n\r\n", &r), 0);
	CU_ASSERT_TRUE(r.keep_alive && !r.head && r.bearer.len == 7 && memcmp(r.bearer.ptr, "abc.def", 7) == 0);
	parse("GET /a HTTP/1.0\r\nConnection: foo , Keep-Alive\r\n\r\n", &r);
	CU_ASSERT_TRUE(r.keep_alive);
	parse("HEAD /a HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, CLOSE\r\n\r\n", &r);
	CU_ASSERT_TRUE(!r.keep_alive && r.head);
	parse("GET /a HTTP/1.0\r\n\r\n", &r);
	CU_ASSERT_FALSE(r.keep_alive);
}

static void test_large_requests(void)
{
	static char text[16384], line[4096];
	struct cp_http_req r;

	memset(line, 'a', 2100);
	snprintf(text, sizeof(text), "GET /%.2100s HTTP/1.1" H, line);
	CU_ASSERT_EQUAL(parse(text, &r), 414);
	snprintf(text, sizeof(text), "GET /%.2000s HTTP/1.1" H, line);
	CU_ASSERT_EQUAL(parse(text, &r), 0);
	CU_ASSERT_STRING_EQUAL(r.name, "");
	snprintf(text, sizeof(text), "GET /%.128s HTTP/1.1" H, line);
	CU_ASSERT_EQUAL(parse(text, &r), 0);
	CU_ASSERT_EQUAL(strlen(r.name), 128);
	snprintf(text, sizeof(text), "GET /%.129s HTTP/1.1" H, line);
	CU_ASSERT_EQUAL(parse(text, &r), 0);
	CU_ASSERT_STRING_EQUAL(r.name, "");
	strcpy(text, "GET /a HTTP/1.1\r\nHost: x\r\n");
	for (unsigned i = 0; i < 63; i++)
		strcat(text, "X: y\r\n");
	strcat(text, "\r\n");
	CU_ASSERT_EQUAL(parse(text, &r), 0);
	text[strlen(text) - 2] = '\0';
	strcat(text, "X: y\r\n\r\n");
	CU_ASSERT_EQUAL(parse(text, &r), 431);
}

/* Cut at every length, in memory of exactly that size: never whole before its end, and nothing read behind it. */
static void test_truncation(void)
{
	static const char full[] = "GET /d/a%2e.xml?q HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a.b.c\r\nRange: bytes=0-5\r\n"
				   "If-None-Match: W/\"x\", \"y\"\r\nConnection: close\r\n\r\n";
	struct cp_http_req r;
	size_t step = 0;

	for (size_t n = 0; n < sizeof(full); n++) {
		char *b = malloc(n > 0 ? n : 1);
		size_t scan = 0;

		memcpy(b, full, n);
		CU_ASSERT_EQUAL(cp_http_head_len(b, n, &scan), n == sizeof(full) - 1 ? n : 0);
		CU_ASSERT_EQUAL(cp_http_head_len(b, n, &step), n == sizeof(full) - 1 ? n : 0); /* looked at as it grows */
		cp_http_parse(b, n, &r);
		free(b);
	}
}

static struct cp_http_text text(const char *s)
{
	return (struct cp_http_text){s, s != NULL ? strlen(s) : 0};
}

static void test_select(void)
{
	static const struct {
		const char *range, *if_range, *inm, *ims, *im, *ius;
		int status;
		size_t at, len;
	} cases[] = {
		/* RFC 9110 section 14 */
		{"bytes=0-0", NULL, NULL, NULL, NULL, NULL, 206, 0, 1},
		{"bytes=0-99", NULL, NULL, NULL, NULL, NULL, 206, 0, 100},
		{"bytes=10-", NULL, NULL, NULL, NULL, NULL, 206, 10, 90},
		{"BYTES=10-1000", NULL, NULL, NULL, NULL, NULL, 206, 10, 90},
		{"bytes=-10", NULL, NULL, NULL, NULL, NULL, 206, 90, 10},
		{"bytes=-1000", NULL, NULL, NULL, NULL, NULL, 206, 0, 100},
		{"bytes=99-99", NULL, NULL, NULL, NULL, NULL, 206, 99, 1},
		{"bytes=100-", NULL, NULL, NULL, NULL, NULL, 416, 0, 0},
		{"bytes=-0", NULL, NULL, NULL, NULL, NULL, 416, 0, 0},
		{"bytes=5-4", NULL, NULL, NULL, NULL, NULL, 200, 0, 100},
		{"bytes=0-1,5-6", NULL, NULL, NULL, NULL, NULL, 200, 0, 100},
		{"bytes=", NULL, NULL, NULL, NULL, NULL, 200, 0, 100},
		{"bytes=a-b", NULL, NULL, NULL, NULL, NULL, 200, 0, 100},
		{"lines=0-1", NULL, NULL, NULL, NULL, NULL, 200, 0, 100},
		{"bytes=0-99999999999999999999999", NULL, NULL, NULL, NULL, NULL, 200, 0, 100},
		{"bytes=0-9", "\"e100s\"", NULL, NULL, NULL, NULL, 206, 0, 10},
		{"bytes=0-9", "\"other\"", NULL, NULL, NULL, NULL, 200, 0, 100},
		{"bytes=0-9", "W/\"e100s\"", NULL, NULL, NULL, NULL, 200, 0, 100},
		{"bytes=0-9", "Tue, 14 Nov 2023 22:13:20 GMT", NULL, NULL, NULL, NULL, 206, 0, 10},
		{"bytes=0-9", "Tue, 14 Nov 2023 22:13:21 GMT", NULL, NULL, NULL, NULL, 200, 0, 100},
		{"bytes=0-9", "", NULL, NULL, NULL, NULL, 200, 0, 100},
		/* section 13 */
		{NULL, NULL, "\"e100s\"", NULL, NULL, NULL, 304, 0, 0},
		{NULL, NULL, "W/\"e100s\"", NULL, NULL, NULL, 304, 0, 0},
		{NULL, NULL, "\"a\", W/\"b\" , \"e100s\"", NULL, NULL, NULL, 304, 0, 0},
		{NULL, NULL, "*", NULL, NULL, NULL, 304, 0, 0},
		{NULL, NULL, "e100s", NULL, NULL, NULL, 200, 0, 100},
		{NULL, NULL, "\"e100", NULL, NULL, NULL, 200, 0, 100},
		{NULL, NULL, "\"a\"", "Tue, 14 Nov 2023 22:13:20 GMT", NULL, NULL, 200, 0, 100},
		{NULL, NULL, NULL, "Tue, 14 Nov 2023 22:13:20 GMT", NULL, NULL, 304, 0, 0},
		{NULL, NULL, NULL, "Tue, 14 Nov 2023 22:13:19 GMT", NULL, NULL, 200, 0, 100},
		{NULL, NULL, NULL, "yesterday", NULL, NULL, 200, 0, 100},
		{"bytes=0-9", NULL, "\"e100s\"", NULL, NULL, NULL, 304, 0, 0},
		{NULL, NULL, NULL, NULL, "\"e100s\"", NULL, 200, 0, 100},
		{NULL, NULL, NULL, NULL, "W/\"e100s\"", NULL, 412, 0, 0},
		{NULL, NULL, NULL, NULL, NULL, "Tue, 14 Nov 2023 22:13:19 GMT", 412, 0, 0},
		{NULL, NULL, NULL, NULL, NULL, "Tue, 14 Nov 2023 22:13:20 GMT", 200, 0, 100},
	};
	struct cp_file *f = NULL, *empty = NULL;
	struct cp_http_req r;
	size_t at, len;
	char date[30];

	CU_ASSERT_EQUAL_FATAL(ff_make("s100", &f), 0);
	CU_ASSERT_EQUAL_FATAL(ff_make("s0", &empty), 0);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		r = (struct cp_http_req){.http11 = true, .range = text(cases[i].range), .if_range = text(cases[i].if_range),
					 .if_none_match = text(cases[i].inm), .if_modified_since = text(cases[i].ims),
					 .if_match = text(cases[i].im), .if_unmodified_since = text(cases[i].ius)};
		CU_ASSERT_EQUAL(cp_http_select(&r, f, &at, &len), cases[i].status);
		CU_ASSERT_EQUAL(at, cases[i].at);
		CU_ASSERT_EQUAL(len, cases[i].len);
		if (cases[i].range != NULL && cases[i].inm == NULL) {
			int status = cp_http_select(&r, empty, &at, &len);

			CU_ASSERT_TRUE(status == 200 || status == 416);
			CU_ASSERT_EQUAL(len, 0);
		}
	}
	CU_ASSERT_STRING_EQUAL(cp_http_date(784111777, date), "Sun, 06 Nov 1994 08:49:37 GMT"); /* RFC 9110 section 5.6.7 */
	cp_file_put(f);
	cp_file_put(empty);
}

static void test_device_names(void)
{
	char d[16];

	CU_ASSERT_TRUE(cp_http_device("SEP001122AABBCC.cnf.xml", d));
	CU_ASSERT_STRING_EQUAL(d, "SEP001122AABBCC");
	CU_ASSERT_TRUE(cp_http_device("dir/SEP001122AABBCC.cnf.xml.sgn", d));
	CU_ASSERT_TRUE(cp_http_device("CTLSEP001122AABBCC.tlv", d));
	CU_ASSERT_STRING_EQUAL(d, "SEP001122AABBCC");
	CU_ASSERT_TRUE(cp_http_device("ITLSEP001122AABBCC.tlv", d));
	CU_ASSERT_FALSE(cp_http_device("CTLFile.tlv", d));
	CU_ASSERT_FALSE(cp_http_device("SEP001122AABBC", d));
	CU_ASSERT_FALSE(cp_http_device("SEP001122aabbcc.cnf.xml", d));
	CU_ASSERT_FALSE(cp_http_device("SEP", d));
}

/* --- the servers --- */

static struct cp_http *http;
static struct cp_tls *tls, *token_tls;
static struct tp_id ca, server, server2, token_id;
static struct cfg_provision cfg;

static int check_token(void *ctx, const char *token, size_t len, const char *device, const char **ret_why)
{
	(void)ctx;
	if (len == 15 && memcmp(token, device, 15) == 0)
		return 0;
	*ret_why = "wrong device";
	return -EACCES;
}

static bool needs(const char *device)
{
	return strcmp(device, "SEP000000000001") == 0;
}

static void load(struct cp_tls *t, const struct tp_id *id)
{
	struct cp_tls_identity ident = {.key = id->key, .cert = id->cert};
	char err[200];

	if (cp_tls_load(t, &ident, err, sizeof(err)) != 0)
		abort();
}

/* A source for the token port: a device's configuration is 20 bytes; all else is fake_files.h's. */
static int get(void *ctx, const struct cp_file_ask *ask, struct cp_file **ret, cp_file_fn fn, void *fn_ctx)
{
	if (strncmp(ask->name, "SEP", 3) == 0) {
		ff_last = *ask;
		return strstr(ask->name, ".xml.sgn") != NULL ? -ENOENT : ff_make("c20", ret);
	}
	return ff_get(ctx, ask, ret, fn, fn_ctx);
}

static void up_with(uint32_t max, uint32_t max_each, uint32_t idle_s, uint32_t min_rate, uint32_t quick_ms)
{
	static char any[] = "127.0.0.1";
	struct cp_http_opts o = {.cfg = &cfg, .source = ff_source(), .tls = tls, .token_tls = token_tls,
				 .token_check = check_token, .header_ms = quick_ms, .stall_ms = quick_ms};
	uint16_t base = (uint16_t)(20000 + getpid() % 20000);
	int rc = -1;

	cfg = (struct cfg_provision){.listen = any, .threads = 1, .max_connections = max, .max_source = max_each, .idle_s = idle_s,
				     .min_rate = min_rate};
	o.source.get = get;
	ff_gets = ff_fetched = 0;
	/* three ports that are free, whoever else runs */
	for (unsigned tries = 0; tries < 200 && rc < 0; tries++, base += 7) {
		cfg.http_port = base;
		cfg.https_port = base + 1;
		cfg.token_port = base + 2;
		rc = cp_http_create(&o, &http);
	}
	CU_ASSERT_EQUAL_FATAL(rc, 0);
}

static void up(uint32_t max, uint32_t max_each)
{
	up_with(max, max_each, 30, 1024, 0);
}

static void down(void)
{
	cp_http_destroy(http);
	http = NULL;
	CU_ASSERT_EQUAL(ff_living, 0);
}

/* 'room': of the socket's buffer for what comes; 0: the system's */
static int dial_room(enum cp_http_port which, int room)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(cp_http_port(http, which))};
	struct timeval tv = {5, 0};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (room > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		abort();
	return fd;
}

static int dial(enum cp_http_port which)
{
	return dial_room(which, 0);
}

static void say(int fd, const char *s)
{
	if (send(fd, s, strlen(s), MSG_NOSIGNAL) < 0)
		return;
}

static char answer[300000];
static size_t answer_len;

/* One answer, with as much of a body as its Content-Length says. Its status; 0: the connection ended before. */
static int hear_on(int fd, SSL *ssl, bool head)
{
	size_t want = SIZE_MAX;
	int status = 0;

	answer_len = 0;
	while (answer_len < want) {
		/* byte by byte in the header, so that nothing of the next answer is taken */
		size_t n = want == SIZE_MAX ? 1 : want - answer_len;
		ssize_t got = ssl != NULL ? SSL_read(ssl, answer + answer_len, (int)n) : recv(fd, answer + answer_len, n, 0);

		if (got <= 0)
			return 0;
		answer_len += (size_t)got;
		answer[answer_len] = '\0';
		if (want == SIZE_MAX && answer_len > 4 && strcmp(answer + answer_len - 4, "\r\n\r\n") == 0) {
			const char *len = strstr(answer, "Content-Length: ");

			status = atoi(answer + 9);
			want = answer_len + (len != NULL && !head ? (size_t)atol(len + 16) : 0);
		}
	}
	return status;
}
#define hear(fd) hear_on(fd, NULL, false)

static bool body_is(size_t at, size_t n)
{
	const char *b = strstr(answer, "\r\n\r\n") + 4;

	if (answer_len - (size_t)(b - answer) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)b[i] != ff_byte(at + i))
			return false;
	return true;
}

static bool ended(int fd)
{
	char c;

	return recv(fd, &c, 1, 0) == 0;
}

/* What the ledger is told: that a phone has a trust list it has acknowledged, not one that the kernel still holds for it. */
static void test_lists_told(void)
{
	struct linger now = {1, 0};
	struct sockaddr_in sa = {.sin_family = AF_INET};
	int fd, few = 4096;

	up(100, 100);
	fd = dial(CP_HTTP_CLEAR);
	say(fd, "GET /i5000 HTTP/1.1" H);
	CU_ASSERT_EQUAL(hear(fd), 200);
	for (unsigned i = 0; i < 300 && ff_fetched == 0; i++)
		usleep(10000); /* at the latest with the next tick */
	CU_ASSERT_EQUAL(ff_fetched, 1);
	say(fd, "GET /i5001 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	CU_ASSERT_EQUAL(hear(fd), 200);
	CU_ASSERT_TRUE(ended(fd));
	close(fd);
	for (unsigned i = 0; i < 300 && ff_fetched == 1; i++)
		usleep(10000);
	CU_ASSERT_EQUAL(ff_fetched, 2);
	CU_ASSERT_STRING_EQUAL(ff_last_fetched.name, "i5001");
	/* all of it fits into the server's buffer; the client goes away without it */
	fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof(few));
	sa.sin_port = htons(cp_http_port(http, CP_HTTP_CLEAR));
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	say(fd, "GET /i60000 HTTP/1.1" H);
	usleep(700000); /* a tick passes too */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
	usleep(100000);
	fd = dial(CP_HTTP_CLEAR); /* the one before was seen by then */
	say(fd, "GET /none HTTP/1.1" H);
	CU_ASSERT_EQUAL(hear(fd), 404);
	close(fd);
	CU_ASSERT_EQUAL(ff_fetched, 2);
	down();
}

static void test_keep_alive(void)
{
	int fd;

	up(100, 100);
	fd = dial(CP_HTTP_CLEAR);
	say(fd, "GET /s10240 HTTP/1.1" H);
	CU_ASSERT_EQUAL(hear(fd), 200);
	CU_ASSERT_TRUE(body_is(0, 10240));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "ETag: \"e10240s\"\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "Cache-Control: no-cache\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\r\nDate: "));
	say(fd, "GET /c10 HTTP/1.1" H);
	CU_ASSERT_EQUAL(hear(fd), 200);
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "Cache-Control: no-store\r\n"));
	say(fd, "GET /none HTTP/1.1" H);
	CU_ASSERT_EQUAL(hear(fd), 404);
	say(fd, "GET /../s1 HTTP/1.1" H);
	CU_ASSERT_EQUAL(hear(fd), 404);
	say(fd, "GET /err/5 HTTP/1.1" H);
	CU_ASSERT_EQUAL(hear(fd), 503);
	say(fd, "GET /err/13 HTTP/1.1" H);
	CU_ASSERT_EQUAL(hear(fd), 404);
	say(fd, "GET /err/1 HTTP/1.1" H);
	CU_ASSERT_EQUAL(hear(fd), 401);
	say(fd, "HEAD /s10240 HTTP/1.1" H);
	CU_ASSERT_EQUAL(hear_on(fd, NULL, true), 200);
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "Content-Length: 10240\r\n"));
	say(fd, "HEAD /none HTTP/1.1" H);
	CU_ASSERT_EQUAL(hear_on(fd, NULL, true), 404);
	say(fd, "GET /s10240 HTTP/1.1\r\nHost: x\r\nRange: bytes=100-199\r\n\r\n");
	CU_ASSERT_EQUAL(hear(fd), 206);
	CU_ASSERT_TRUE(body_is(100, 100));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "Content-Range: bytes 100-199/10240\r\n"));
	say(fd, "GET /s10240 HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"e10240s\"\r\n\r\n");
	CU_ASSERT_EQUAL(hear(fd), 304);
	say(fd, "GET /s250000 HTTP/1.1" H); /* more than the socket's buffers */
	usleep(100000);
	CU_ASSERT_EQUAL(hear(fd), 200);
	CU_ASSERT_TRUE(body_is(0, 250000));
	say(fd, "GET /s10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	CU_ASSERT_EQUAL(hear(fd), 200);
	CU_ASSERT_TRUE(ended(fd));
	close(fd);
	CU_ASSERT_EQUAL(ff_fetched, 4); /* whole files, not parts, heads or refusals */
	/* what ends a connection does so after the answer has been seen, whatever else was sent */
	fd = dial(CP_HTTP_CLEAR);
	say(fd, "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nGET /s10 HTTP/1.1" H);
	CU_ASSERT_EQUAL(hear(fd), 405);
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "Allow: GET, HEAD\r\n"));
	CU_ASSERT_TRUE(ended(fd));
	close(fd);
	fd = dial(CP_HTTP_CLEAR);
	for (unsigned i = 0; i < 100; i++)
		say(fd, "GETTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT");
	CU_ASSERT_EQUAL(hear(fd), 414);
	close(fd);
	fd = dial(CP_HTTP_CLEAR);
	say(fd, "GET / HTTP/1.1\r\n");
	for (unsigned i = 0; i < 100; i++)
		say(fd, "X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n");
	CU_ASSERT_EQUAL(hear(fd), 431);
	close(fd);
	down();
}

/* --- who takes his time --- */

#define QUICK 800 /* ms instead of the 10 s of a header and of a stall; connections are looked at twice a second */

static double clock_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static long long ended_as(const char *why)
{
	json_t *show = cp_http_show(http);
	long long n = json_integer_value(json_object_get(json_object_get(show, "ended"), why));

	json_decref(show);
	return n;
}

/* Seconds until the server ended the connection, to which 'drip' is said ten times a second; above 'most': it did not. */
static double cut_after(int fd, const char *drip, double most)
{
	double from = clock_s();
	bool over = false;
	char c;

	while (!over && clock_s() - from <= most) {
		usleep(100000);
		over = (*drip != '\0' && send(fd, drip, strlen(drip), MSG_NOSIGNAL) < 0) || recv(fd, &c, 1, MSG_DONTWAIT) == 0;
	}
	return clock_s() - from;
}

/* A line end now and then is no request, and gives no time to make one; nor does a header that comes byte by byte, or none. */
static void test_drip(void)
{
	static const char *const drips[] = {"\r\n", "", "a"};
	double s;
	int fd;

	up_with(100, 100, 30, 1024, QUICK);
	for (unsigned i = 0; i < 3; i++) {
		fd = dial(CP_HTTP_CLEAR);
		if (i == 2)
			say(fd, "GET /s10 HTTP/1.1\r\nX: ");
		s = cut_after(fd, drips[i], 60);
		CU_ASSERT_TRUE(s >= QUICK / 1e3 && s < 60);
		CU_ASSERT_EQUAL(ended_as("header_timeout"), i + 1);
		close(fd);
	}
	/* a handshake that does not go on has no other time */
	fd = dial(CP_HTTP_TLS);
	s = cut_after(fd, "", 60);
	CU_ASSERT_TRUE(s >= QUICK / 1e3 && s < 60);
	CU_ASSERT_EQUAL(ended_as("header_timeout"), 4);
	close(fd);
	/* a header in pieces that is whole in time is answered */
	fd = dial(CP_HTTP_CLEAR);
	say(fd, "GET /s10 HT");
	usleep(400000);
	say(fd, "TP/1.1" H);
	CU_ASSERT_EQUAL(hear(fd), 200);
	close(fd);
	down();
}

/* Between requests idle_s counts, from the last answer on; a request that has begun has a header's time. */
static void test_idle(void)
{
	double s;
	int fd, fd2;

	up_with(100, 100, 1, 1024, 30000);
	fd = dial(CP_HTTP_CLEAR);
	for (unsigned i = 0; i < 3; i++) { /* longer than idle_s in all, never at once */
		say(fd, "GET /s10 HTTP/1.1" H);
		CU_ASSERT_EQUAL(hear(fd), 200);
		usleep(600000);
	}
	CU_ASSERT_EQUAL(ended_as("idle"), 0);
	fd2 = dial(CP_HTTP_CLEAR);
	say(fd2, "GET /s10 HTTP/1.1" H "GET /s10 HT");
	CU_ASSERT_EQUAL(hear(fd2), 200);
	s = cut_after(fd, "", 60);
	CU_ASSERT_TRUE(s < 60);
	CU_ASSERT_EQUAL(ended_as("idle"), 1);
	usleep(1500000);
	say(fd2, "TP/1.1" H);
	CU_ASSERT_EQUAL(hear(fd2), 200);
	close(fd);
	close(fd2);
	down();
}

/* Asks for much and has a small buffer: what it does not read the server must hold. */
static int dial_small(size_t bytes)
{
	int fd = dial_room(CP_HTTP_CLEAR, 16384);
	char text[64];

	snprintf(text, sizeof(text), "GET /s%zu HTTP/1.1" H, bytes);
	say(fd, text);
	return fd;
}

/* Reads at this rate until 'seconds' are over or all is there. Bytes read; *ret_over: the connection ended, or broke. */
static size_t sip(int fd, size_t rate, double seconds, size_t all, bool *ret_over)
{
	double from = clock_s();
	size_t got = 0;
	char b[65536];

	*ret_over = false;
	while (got < all && clock_s() - from < seconds && !*ret_over) {
		ssize_t n = recv(fd, b, rate / 20 < sizeof(b) ? rate / 20 : sizeof(b), MSG_DONTWAIT);

		if (n > 0)
			got += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
			*ret_over = true;
		usleep(50000);
	}
	return got;
}

/* min_rate: who reads slower is cut off, and so is who stops half-way; who reads at it is not. */
static void test_slow_reader(void)
{
	const size_t rate = 100000, all = 900000;
	size_t got;
	bool over;
	int fd;

	up_with(100, 100, 30, (uint32_t)rate, QUICK);
	fd = dial_small(all); /* nothing at all */
	usleep((QUICK + 1500) * 1000);
	CU_ASSERT_EQUAL(ended_as("slow"), 1);
	close(fd);
	fd = dial_small(all);
	sip(fd, rate / 10, 8, all, &over); /* a tenth of it */
	CU_ASSERT_TRUE(over);
	CU_ASSERT_EQUAL(ended_as("slow"), 2);
	close(fd);
	fd = dial_small(all);
	got = sip(fd, rate * 10, 0.3, all, &over); /* fast at first: three times the credit, and no more */
	CU_ASSERT_TRUE(!over && got > rate && got < all / 2);
	usleep((QUICK * 3 + 1500) * 1000);
	CU_ASSERT_EQUAL(ended_as("slow"), 3);
	close(fd);
	fd = dial_small(all);
	got = sip(fd, rate * 3, 20, all, &over); /* slow, but not too slow */
	CU_ASSERT_TRUE(!over && got >= all);
	CU_ASSERT_EQUAL(ended_as("slow"), 3);
	close(fd);
	down();
	up_with(100, 100, 30, 0, QUICK); /* 0: none is cut off */
	fd = dial_small(all);
	usleep((QUICK + 1500) * 1000);
	CU_ASSERT_EQUAL(ended_as("slow"), 0);
	close(fd);
	down();
}

static void test_pipelining(void)
{
	int fd;

	up(100, 100);
	fd = dial(CP_HTTP_CLEAR);
	say(fd, "\r\nGET /s10 HTTP/1.1" H "GET /s250000 HTTP/1.1" H "GET /late/s30 HTTP/1.1" H "HEAD /s40 HTTP/1.1" H "GET /s50 HT");
	CU_ASSERT_EQUAL(hear(fd), 200);
	CU_ASSERT_TRUE(body_is(0, 10));
	CU_ASSERT_EQUAL(hear(fd), 200);
	CU_ASSERT_TRUE(body_is(0, 250000));
	for (unsigned i = 0; i < 500 && ff_late_n == 0; i++)
		usleep(10000);
	ff_deliver();
	CU_ASSERT_EQUAL(hear(fd), 200);
	CU_ASSERT_TRUE(body_is(0, 30));
	CU_ASSERT_EQUAL(hear_on(fd, NULL, true), 200);
	say(fd, "TP/1.1" H);
	CU_ASSERT_EQUAL(hear(fd), 200);
	CU_ASSERT_TRUE(body_is(0, 50));
	/* in single bytes */
	for (const char *p = "GET /s60 HTTP/1.1" H; *p != '\0'; p++) {
		char one[2] = {*p, '\0'};

		say(fd, one);
		if (p[0] == '\n')
			usleep(1000);
	}
	CU_ASSERT_EQUAL(hear(fd), 200);
	CU_ASSERT_TRUE(body_is(0, 60));
	/* the server ends while a file is waited for */
	say(fd, "GET /late/s30 HTTP/1.1" H);
	for (unsigned i = 0; i < 500 && ff_late_n == 0; i++)
		usleep(10000);
	down();
	CU_ASSERT_TRUE(ended(fd));
	close(fd);
	ff_deliver();
	CU_ASSERT_EQUAL(ff_living, 0);
}

static void test_limits(void)
{
	int fd[6];

	up(5, 3);
	for (unsigned i = 0; i < 3; i++) {
		fd[i] = dial(CP_HTTP_CLEAR);
		say(fd[i], "GET /s1 HTTP/1.1" H);
		CU_ASSERT_EQUAL(hear(fd[i]), 200);
	}
	fd[3] = dial(CP_HTTP_CLEAR);
	CU_ASSERT_EQUAL(hear(fd[3]), 503);
	CU_ASSERT_TRUE(ended(fd[3]));
	say(fd[0], "GET /s1 HTTP/1.1" H);
	CU_ASSERT_EQUAL(hear(fd[0]), 200);
	close(fd[0]);
	usleep(200000);
	fd[0] = dial(CP_HTTP_CLEAR);
	say(fd[0], "GET /s1 HTTP/1.1" H);
	CU_ASSERT_EQUAL(hear(fd[0]), 200);
	for (unsigned i = 0; i < 4; i++)
		close(fd[i]);
	down();
}

/* --- TLS --- */

static SSL *shake(int fd, X509 **ret_cert)
{
	static SSL_CTX *ctx;
	SSL *ssl;

	if (ctx == NULL)
		ctx = SSL_CTX_new(TLS_client_method());
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	if (SSL_connect(ssl) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	*ret_cert = SSL_get1_peer_certificate(ssl);
	return ssl;
}

static int ask_tls(SSL *ssl, const char *request)
{
	SSL_write(ssl, request, (int)strlen(request));
	return hear_on(-1, ssl, false);
}

static void test_tls(void)
{
	X509 *cert = NULL;
	int fd, fd2;
	SSL *ssl, *ssl2;

	up(100, 100);
	fd = dial(CP_HTTP_TLS);
	ssl = shake(fd, &cert);
	CU_ASSERT_PTR_NOT_NULL_FATAL(ssl);
	CU_ASSERT_EQUAL(X509_cmp(cert, server.cert), 0);
	X509_free(cert);
	CU_ASSERT_EQUAL(ask_tls(ssl, "GET /s10240 HTTP/1.1" H), 200);
	CU_ASSERT_TRUE(body_is(0, 10240));
	CU_ASSERT_EQUAL(ff_last.via, CP_VIA_HTTPS);
	CU_ASSERT_EQUAL(ask_tls(ssl, "GET /s250000 HTTP/1.1" H "GET /s20 HTTP/1.1" H "GET /s30 HTTP/1.1" H), 200);
	CU_ASSERT_TRUE(body_is(0, 250000));
	CU_ASSERT_EQUAL(hear_on(-1, ssl, false), 200);
	CU_ASSERT_TRUE(body_is(0, 20));
	CU_ASSERT_EQUAL(hear_on(-1, ssl, false), 200);
	CU_ASSERT_TRUE(body_is(0, 30));
	/* a new certificate serves the next handshake, and drops nobody */
	load(tls, &server2);
	fd2 = dial(CP_HTTP_TLS);
	ssl2 = shake(fd2, &cert);
	CU_ASSERT_PTR_NOT_NULL_FATAL(ssl2);
	CU_ASSERT_EQUAL(X509_cmp(cert, server2.cert), 0);
	X509_free(cert);
	CU_ASSERT_EQUAL(ask_tls(ssl, "GET /s40 HTTP/1.1" H), 200);
	CU_ASSERT_EQUAL(ask_tls(ssl2, "GET /s40 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 200);
	CU_ASSERT_EQUAL(hear_on(-1, ssl2, false), 0);
	CU_ASSERT_EQUAL(SSL_get_shutdown(ssl2) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
	SSL_free(ssl);
	SSL_free(ssl2);
	close(fd);
	close(fd2);
	load(tls, &server);
	fd = dial(CP_HTTP_TLS);
	say(fd, "GET /s10 HTTP/1.1" H); /* clear text at the TLS port */
	CU_ASSERT_EQUAL(hear(fd), 0);
	close(fd);
	down();
}

static void test_token_port(void)
{
	X509 *cert = NULL;
	int fd;
	SSL *ssl;

	ff_needs = needs;
	up(100, 100);
	fd = dial(CP_HTTP_TOKEN);
	ssl = shake(fd, &cert);
	CU_ASSERT_PTR_NOT_NULL_FATAL(ssl);
	CU_ASSERT_EQUAL(X509_cmp(cert, token_id.cert), 0);
	X509_free(cert);
	CU_ASSERT_EQUAL(ask_tls(ssl, "GET /SEP000000000001.cnf.xml HTTP/1.1" H), 401);
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\r\nWWW-Authenticate: Bearer realm=\"ravelin\"\r\n"));
	CU_ASSERT_EQUAL(ask_tls(ssl, "GET /SEP000000000001.cnf.xml.sgn HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
				     "SEP000000000002\r\n\r\n"),
			401);
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "error=\"invalid_token\", error_description=\"wrong device\"\r\n"));
	CU_ASSERT_EQUAL(ask_tls(ssl, "GET /SEP000000000001.cnf.xml HTTP/1.1\r\nHost: x\r\nAuthorization: Basic "
				     "SEP000000000001\r\n\r\n"),
			401);
	CU_ASSERT_EQUAL(ask_tls(ssl, "GET /SEP000000000001.cnf.xml.sgn HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
				     "SEP000000000001\r\n\r\n"),
			200); /* the unsigned file: wire-formats.md section 8.2 */
	CU_ASSERT_STRING_EQUAL(ff_last.name, "SEP000000000001.cnf.xml");
	CU_ASSERT_STRING_EQUAL(ff_last.device, "SEP000000000001");
	CU_ASSERT_EQUAL(ff_last.via, CP_VIA_TOKEN);
	CU_ASSERT_EQUAL(ask_tls(ssl, "GET /SEP000000000003.cnf.xml HTTP/1.1" H), 200); /* needs none */
	CU_ASSERT_STRING_EQUAL(ff_last.device, "");
	CU_ASSERT_EQUAL(ask_tls(ssl, "GET /s100 HTTP/1.1" H), 200);
	SSL_free(ssl);
	close(fd);
	down();
	ff_needs = NULL;
}

/* Noise, cut requests, sudden ends: the server lives, and holds nothing afterwards. */
static void test_noise(void)
{
	unsigned seed = 7;
	json_t *show;

	up(100, 100);
	for (unsigned i = 0; i < 300; i++) {
		int fd = dial(i % 3);
		char b[600];
		size_t n = 0;

		for (; n < sizeof(b) - 1; n++) {
			seed = seed * 1103515245u + 12345u;
			b[n] = (char)(seed >> 16);
		}
		if (i % 2 == 0)
			memcpy(b, "GET /s250000 HTTP/1.1\r\nHost: x\r\n\r\nGET ", 38);
		if (send(fd, b, seed % sizeof(b), MSG_NOSIGNAL) < 0)
			CU_FAIL("send");
		if (i % 5 == 0) {
			struct linger l = {1, 0};

			setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
		}
		close(fd);
	}
	for (unsigned i = 0; i < 300; i++) {
		int fd = dial(CP_HTTP_CLEAR), status;

		say(fd, "GET /s10 HTTP/1.1" H);
		status = hear(fd);
		close(fd);
		show = cp_http_show(http);
		if (status == 200 && json_integer_value(json_object_get(show, "active")) <= 1) {
			json_decref(show);
			break;
		}
		json_decref(show);
		CU_ASSERT_TRUE(i < 299);
		usleep(20000);
	}
	down();
}

static CU_TestInfo tests[] = {
	{"requests", test_requests},
	{"large requests", test_large_requests},
	{"requests cut at every length", test_truncation},
	{"conditions and ranges", test_select},
	{"devices in names", test_device_names},
	{"keep-alive, answers of every kind", test_keep_alive},
	{"trust lists are told of when they are acknowledged", test_lists_told},
	{"pipelining, late files", test_pipelining},
	{"limits of a source", test_limits},
	{"headers that drip, line ends, silence", test_drip},
	{"idle connections", test_idle},
	{"readers that drip or stop", test_slow_reader},
	{"TLS, reloaded", test_tls},
	{"the token port", test_token_port},
	{"noise", test_noise},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	ca = tp_issue("ca", NULL, 0, 3600);
	server = tp_issue("server", &ca, 0, 3600);
	server2 = tp_issue("server2", &ca, 0, 3600);
	token_id = tp_issue("tftp", &ca, 0, 3600);
	if (cp_tls_create(CP_TLS_MODERN, false, &tls) < 0 || cp_tls_create(CP_TLS_MODERN, false, &token_tls) < 0)
		return 1;
	cp_tls_clients(tls, CP_TLS_CLIENTS_NOT_ASKED);
	cp_tls_clients(token_tls, CP_TLS_CLIENTS_NOT_ASKED);
	load(tls, &server);
	load(token_tls, &token_id);
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static int teardown(void)
{
	cp_tls_destroy(tls);
	cp_tls_destroy(token_tls);
	tp_id_free(&ca);
	tp_id_free(&server);
	tp_id_free(&server2);
	tp_id_free(&token_id);
	return 0;
}

SUITE_MAIN("http", tests, setup, teardown)
