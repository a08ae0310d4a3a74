/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/admin: the socket, requests as they should not be, clients that are slow, many, or gone. */
#include "admin_fix.h"

static void test_socket_is_private(void)
{
	struct cp_admin *second;
	struct stat st;
	int fd;

	begin();
	CU_ASSERT_EQUAL(stat(sock_path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	CU_ASSERT_EQUAL(stat(run_dir, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0700);
	second = cp_admin_create(base);
	CU_ASSERT_EQUAL(cp_admin_listen(second, run_dir), -EADDRINUSE);
	cp_admin_destroy(second);
	HAS(ask("{\"cmd\":\"status\"}"), "\"ok\":true"); /* the first still answers */
	stop();
	CU_ASSERT_EQUAL(stat(sock_path, &st), -1);
	/* what a killed process left behind is replaced */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	{
		struct sockaddr_un sa = {.sun_family = AF_UNIX};

		strcpy(sa.sun_path, sock_path);
		CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	}
	close(fd);
	start();
	HAS(ask("{\"cmd\":\"status\"}"), "\"ok\":true");
	/* a directory that others can write is none to listen in */
	second = cp_admin_create(base);
	chmod(tmp_dir, 0777);
	CU_ASSERT_EQUAL(cp_admin_listen(second, tmp_dir), -EACCES);
	cp_admin_destroy(second);
	end();
}

static void test_bad_requests(void)
{
	static const char *const bad[] = {
		"", "x", "{", "[]", "{}", "null", "\"cmd\"", "{\"cmd\":1}", "{\"cmd\":null}", "{\"cmd\":\"\"}",
		"{\"cmd\":\"nope\"}", "{\"cmd\":\"status\",\"cmd\":\"status\"}", "{\"cmd\":\"status\",\"args\":[]}",
		"{\"cmd\":\"status\",\"args\":{\"x\":1}}", "{\"cmd\":\"status\"}}", "{\"cmd\":\"status\"} {}",
		"{\"cmd\":\"sta\\u0000tus\"}", "{\"cmd\":\"\xff\xfe\"}", "\xc3", "{\"cmd\":\"device.add\"}",
		"{\"cmd\":\"device.add\",\"args\":{\"name\":7}}",
		"{\"cmd\":\"device.add\",\"args\":{\"name\":\"SEP00000000000g\"}}",
		"{\"cmd\":\"device.add\",\"args\":{\"name\":\"SEP000000000001\",\"mode\":\"x\"}}",
		"{\"cmd\":\"device.add\",\"args\":{\"name\":\"SEP000000000001\",\"lines\":[1]}}",
		"{\"cmd\":\"device.add\",\"args\":{\"name\":\"SEP000000000001\",\"lines\":[{\"label\":\"x\"}]}}",
		"{\"cmd\":\"device.add\",\"args\":{\"name\":\"SEP000000000001\",\"lines\":\"1\"}}",
		"{\"cmd\":\"device.add\",\"args\":{\"name\":\"SEP000000000001\",\"srtp\":1}}",
		"{\"cmd\":\"device.add\",\"args\":{\"name\":\"SEP000000000001\",\"colour\":\"red\"}}",
		"{\"cmd\":\"device.add\",\"args\":{\"name\":\"SEP000000000001\",\"description\":\"a\\nb\"}}",
		"{\"cmd\":\"line.add\",\"args\":{\"number\":\"1\",\"device\":\"../../etc\"}}",
		"{\"cmd\":\"gateway.add\",\"args\":{\"name\":\"g\",\"address\":\"host\"}}",
		"{\"cmd\":\"gateway.add\",\"args\":{\"name\":\"g\",\"address\":\"1.2.3.4/8\"}}",
		"{\"cmd\":\"gateway.add\",\"args\":{\"name\":\"g\",\"address\":\"1.2.3.4\",\"version\":\"2\"}}",
		"{\"cmd\":\"gateway.add\",\"args\":{\"name\":\"g\",\"address\":\"1.2.3.4\",\"endpoints\":[{}]}}",
		"{\"cmd\":\"gateway.add\",\"args\":{\"name\":\"g\",\"address\":\"1.2.3.4\",\"suite\":\"F8_128_HMAC_SHA1_80\"}}",
		"{\"cmd\":\"gateway.add\",\"args\":{\"name\":\"g\",\"address\":\"1.2.3.4\",\"suite\":\"NULL_HMAC_SHA1_80\"}}",
		"{\"cmd\":\"gateway.add\",\"args\":{\"name\":\"g\",\"address\":\"1.2.3.4\",\"suite\":\"RTP\"}}",
		"{\"cmd\":\"gateway.add\",\"args\":{\"name\":\"g\",\"address\":\"1.2.3.4\",\"mki\":9}}",
		"{\"cmd\":\"gateway.add\",\"args\":{\"name\":\"g\",\"address\":\"1.2.3.4\",\"mki\":\"4\"}}",
		"{\"cmd\":\"gateway.add\",\"args\":{\"name\":\"g\",\"address\":\"1.2.3.4\",\"lifetime\":15}}",
		"{\"cmd\":\"device.add\",\"args\":{\"name\":\"SEP000000000001\",\"suite\":\"AEAD_AES_256_GCM\"}}",
		"{\"cmd\":\"device.add\",\"args\":{\"name\":\"SEP000000000001\",\"trusted\":true}}", /* 000:R-07 */
		"{\"cmd\":\"gateway.add\",\"args\":{\"name\":\"g\",\"address\":\"1.2.3.4\",\"trust\":\"Device Is Trusted\"}}",
		"{\"cmd\":\"region.set\",\"args\":{\"a\":\"x\"}}", "{\"cmd\":\"region.set\",\"args\":{\"a\":\"x\",\"b\":\"y z\"}}",
		"{\"cmd\":\"region.set\",\"args\":{\"a\":\"x\",\"b\":\"y\",\"max_kbps\":513}}",
		"{\"cmd\":\"region.set\",\"args\":{\"a\":\"x\",\"b\":\"y\",\"codecs\":[\"mp3\"]}}",
		"{\"cmd\":\"region.set\",\"args\":{\"a\":\"x\",\"b\":\"y\",\"codecs\":[\"g722\",\"g722\"]}}",
		"{\"cmd\":\"region.set\",\"args\":{\"a\":\"x\",\"b\":\"y\",\"suites\":[\"NULL_HMAC_SHA1_80\"]}}",
		"{\"cmd\":\"region.set\",\"args\":{\"a\":\"x\",\"b\":\"y\",\"media\":\"both\"}}",
		"{\"cmd\":\"region.set\",\"args\":{\"a\":\"x\",\"b\":\"y\",\"colour\":1}}", "{\"cmd\":\"region.del\",\"args\":{\"a\":\"x\",\"b\":\"y\"}}",
		"{\"cmd\":\"devtype.install\",\"args\":{\"name\":\"x\"}}", "{\"cmd\":\"devtype.del\",\"args\":{\"name\":\"x\"}}",
		"{\"cmd\":\"import\",\"args\":{\"regions\":[{\"a\":\"x\"}]}}", "{\"cmd\":\"import\",\"args\":{\"devtypes\":[7]}}",
		"{\"cmd\":\"import\",\"args\":{\"devices\":{}}}", "{\"cmd\":\"import\",\"args\":{\"phones\":[]}}",
		"{\"cmd\":\"import\",\"args\":{\"devices\":[1,[],null]}}",
		"{\"cmd\":\"show.audit\",\"args\":{\"max\":0}}", "{\"cmd\":\"alarm.clear\"}",
		"{\"cmd\":\"alarm.clear\",\"args\":{\"subject\":\"x\"}}",
		"{\"cmd\":\"cert.issue\",\"args\":{\"device\":\"../x\"}}",
	};
	static const char good[] = DEVICE("SEP000000000009", "77");

	begin();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		HAS(input(bad[i], strlen(bad[i])), "{\"ok\":false,\"error\":{\"code\":\"");
	for (size_t len = 0; len < sizeof(good) - 1; len++)
		HAS(input(good, len), "\"ok\":false");
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_DEVICE), 0);
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_GATEWAY), 0);
	CU_ASSERT_EQUAL(cp_store_audit(store, 10, NULL, NULL), 0); /* no record at all: the NULL is not called */
	HAS(input(good, sizeof(good) - 1), "\"ok\":true");
	end();
}

static void test_deep_and_large(void)
{
	static char big[3u << 20];
	size_t n = sizeof(big);

	begin();
	memset(big, '[', n);
	HAS(input(big, n), "nested too deeply");
	for (size_t i = 0; i + 5 <= n; i += 5)
		memcpy(big + i, "{\"a\":", 5);
	HAS(input(big, n / 5 * 5), "nested too deeply");
	/* quotes and escapes do not hide or add depth */
	memset(big, '[', 100);
	memcpy(big, "{\"cmd\":\"", 8);
	memcpy(big + 98, "\\\\\"}", 4);
	HAS(input(big, 102), "unknown-command");
	/* a large request that is no import */
	memset(big, ' ', n);
	memcpy(big, "{\"cmd\":\"status\"", 15);
	big[n - 1] = '}';
	HAS(input(big, n), "too-large");
	memcpy(big, "{\"cmd\":\"import\"", 15);
	HAS(input(big, n), "\"ok\":true");
	end();
}

static void test_endless_request(void)
{
	static char chunk[1 << 20];
	const char *a;
	size_t sent = 0;
	int fd;

	begin();
	fd = dial();
	memset(chunk, 'a', sizeof(chunk));
	while (sent < CP_ADMIN_REQUEST_MAX + 2 * sizeof(chunk)) {
		ssize_t r = send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL);

		if (r > 0)
			sent += (size_t)r;
		else if (errno != EAGAIN)
			break;
		else
			event_base_loop(base, EVLOOP_NONBLOCK);
		if (recv(fd, last, 1, MSG_PEEK) == 1)
			break; /* it has had enough */
	}
	a = answer(fd, 5000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	HAS(a, "too-large");
	CU_ASSERT_PTR_NULL(answer(fd, 1000)); /* and closed */
	close(fd);
	HAS(ask("{\"cmd\":\"status\"}"), "\"ok\":true");
	end();
}

static void test_pipelined_in_order(void)
{
	static const char three[] = "{\"cmd\":\"hold\"}\n{\"cmd\":\"status\"}\n{\"cmd\":\"nope\"}\n";
	int fd;

	begin();
	fd = dial();
	held = NULL;
	say(fd, three, sizeof(three) - 1);
	CU_ASSERT_PTR_NULL(answer(fd, 100)); /* the first is not answered: nor are the others */
	CU_ASSERT_PTR_NOT_NULL_FATAL(held);
	cp_admin_reply(held, json_string("held"));
	HAS(answer(fd, 5000), "held");
	HAS(answer(fd, 5000), "\"version\"");
	HAS(answer(fd, 5000), "unknown-command");
	/* a peer that shuts its side down still gets its answer */
	say(fd, "{\"cmd\":\"status\"}\n", 17);
	shutdown(fd, SHUT_WR);
	HAS(answer(fd, 5000), "\"version\"");
	CU_ASSERT_PTR_NULL(answer(fd, 1000));
	close(fd);
	end();
}

static void test_client_goes_away(void)
{
	int fd;

	begin();
	for (int reply_late = 0; reply_late < 2; reply_late++) {
		fd = dial();
		held = NULL;
		say(fd, "{\"cmd\":\"hold\"}\n", 15);
		for (int i = 0; i < 1000 && held == NULL; i++)
			turn();
		CU_ASSERT_PTR_NOT_NULL_FATAL(held);
		close(fd);
		for (int i = 0; i < 20; i++)
			turn();
		if (!reply_late)
			cp_admin_fail(held, "failed", "too late");
	}
	HAS(ask("{\"cmd\":\"status\"}"), "\"ok\":true");
	/* a change that is synced when nobody listens any more is made all the same */
	fd = dial();
	say(fd, DEVICE("SEP000000000001", "1") "\n", strlen(DEVICE("SEP000000000001", "1")) + 1);
	close(fd);
	for (int i = 0; i < 5000 && cp_dir_device(store, "SEP000000000001") == NULL; i++)
		turn();
	CU_ASSERT_PTR_NOT_NULL(cp_dir_device(store, "SEP000000000001"));
	cp_admin_destroy(admin);
	cp_admin_reply(held, NULL); /* into nothing */
	admin = NULL;
	end();
}

static void test_slow_clients(void)
{
	int drip, deaf, ok;

	begin();
	admin->idle_ms = 300;
	drip = dial();
	deaf = dial();
	ok = dial();
	turn();
	say(drip, "{\"cmd\":", 7);
	for (int i = 0; i < 20; i++)
		say(deaf, "{\"cmd\":\"big\"}\n", 14); /* asks and never reads */
	for (int64_t until = now_ms() + 1500; now_ms() < until;) {
		HAS(ask_fd(ok, "{\"cmd\":\"status\"}"), "\"ok\":true"); /* undisturbed */
		if (now_ms() % 4 == 0)
			send(drip, " ", 1, MSG_NOSIGNAL);
		usleep(10000);
	}
	CU_ASSERT_PTR_NULL(answer(drip, 100));
	CU_ASSERT_EQUAL(send(drip, " ", 1, MSG_NOSIGNAL), -1); /* closed, though it never stopped */
	{
		char c[65536];
		ssize_t n, got = 0;

		for (int i = 0; i < 1000; i++) {
			n = read(deaf, c, sizeof(c));
			if (n == 0)
				break;
			got += n > 0 ? n : 0;
			turn();
		}
		CU_ASSERT(got < 4 << 20); /* cut off in the first answer */
	}
	CU_ASSERT_PTR_NULL(answer(ok, 500)); /* silence between requests is no offence */
	HAS(ask_fd(ok, "{\"cmd\":\"status\"}"), "\"ok\":true");
	close(drip);
	close(deaf);
	close(ok);
	end();
}

static void test_connections_are_bounded(void)
{
	int fds[CP_ADMIN_CONN_MAX + 4];

	begin();
	for (int i = 0; i < CP_ADMIN_CONN_MAX + 4; i++) {
		fds[i] = dial();
		turn();
	}
	CU_ASSERT_PTR_NULL(ask_fd(fds[CP_ADMIN_CONN_MAX + 3], "{\"cmd\":\"status\"}"));
	HAS(ask_fd(fds[0], "{\"cmd\":\"status\"}"), "\"ok\":true");
	for (int i = 0; i < CP_ADMIN_CONN_MAX + 4; i++)
		close(fds[i]);
	for (int i = 0; i < 50; i++)
		turn();
	HAS(ask("{\"cmd\":\"status\"}"), "\"ok\":true");
	end();
}

static void sleep_on_loop(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	(void)ctx;
	usleep(80000);
}

static void test_loop_is_watched(void)
{
	struct timeval now = {0, 0};
	json_t *o;
	const char *a;

	begin();
	for (int i = 0; i < 50; i++)
		turn();
	event_base_once(base, -1, EV_TIMEOUT, sleep_on_loop, NULL, &now);
	for (int i = 0; i < 50; i++)
		turn();
	a = ask("{\"cmd\":\"status\"}");
	o = json_loads(a, 0, NULL);
	a = "longest_us";
	for (int i = 0; i < 2; i++, a = "minute_us")
		CU_ASSERT(json_integer_value(json_object_get(json_object_get(json_object_get(o, "result"), "loop"), a)) >= 60000);
	CU_ASSERT(json_integer_value(json_object_get(json_object_get(json_object_get(o, "result"), "loop"), "stalls")) >= 1);
	json_decref(o);
	end();
}

static CU_TestInfo tests[] = {
	{"the socket is private, stale ones are replaced", test_socket_is_private},
	{"bad requests change nothing", test_bad_requests},
	{"deep and large requests", test_deep_and_large},
	{"a request without end", test_endless_request},
	{"pipelined requests are answered in order", test_pipelined_in_order},
	{"clients that go away", test_client_goes_away},
	{"slow clients are cut off, others undisturbed", test_slow_clients},
	{"connections are bounded", test_connections_are_bounded},
	{"how long the loop is held up", test_loop_is_watched},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	cfg_log_init("t", CFG_LOG_KV, CFG_LOG_ERR);
	return 0;
}

#include "suite.h"
SUITE_MAIN("admin", tests, setup, NULL)
