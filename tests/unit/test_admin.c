/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/admin: requests as they should be, and as they should not, over the real socket and without one. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include <CUnit/CUnit.h>

#include "admin/admin.h"
#include "admin/internal.h"
#include "alarm.h"
#include "call/security.h"
#include "log.h"
#include "store/cdrrec.h"
#include "store/store.h"
#include "store_tmp.h"

static struct event_base *base;
static struct cp_store *store;
static struct cp_alarms *alarms;
static struct cp_admin *admin;
static char run_dir[80], sock_path[96];
static struct cp_admin_req *held; /* by the command "hold" */

static void cmd_hold(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	(void)ctx;
	(void)args;
	held = req;
}

static void cmd_big(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static char big[4 << 20];

	(void)ctx;
	(void)args;
	memset(big, 'x', sizeof(big) - 1);
	cp_admin_reply(req, json_string(big));
}

static int fake_cert(void *ctx, const char *device, char **key, char **cert, char **ca)
{
	if (strcmp(device, "SEP00000000DEAD") == 0)
		return -ENOTCONN;
	CU_ASSERT_PTR_NULL(ctx);
	*key = strdup("KEY");
	*cert = strdup("CERT");
	*ca = strdup("CA");
	return 0;
}

static int seal_rc;

/* "ike-psk/gw1:the key" */
static int fake_seal(void *ctx, const uint8_t *clear, size_t len, const char *aad, struct cp_buf *ret)
{
	char text[400];

	CU_ASSERT_PTR_NULL(ctx);
	if (seal_rc < 0)
		return seal_rc;
	ret->len = (size_t)snprintf(text, sizeof(text), "%s:%.*s", aad, (int)len, (const char *)clear);
	ret->data = (uint8_t *)strdup(text);
	return 0;
}

static void start(void)
{
	struct cp_store_opts o = {.path = tmp_store, .base = base, .alarms = alarms};
	struct cp_admin_backend be = {.alarms = alarms, .cert_issue = fake_cert, .seal = fake_seal, .version = "1"};
	char err[256];

	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &store, err, sizeof(err)), 0);
	be.store = store;
	admin = cp_admin_create(base);
	CU_ASSERT_EQUAL(cp_admin_commands(admin, &be), 0);
	CU_ASSERT_EQUAL(cp_admin_register(admin, "hold", cmd_hold, NULL), 0);
	CU_ASSERT_EQUAL(cp_admin_register(admin, "hold", cmd_hold, NULL), -EEXIST);
	CU_ASSERT_EQUAL(cp_admin_register(admin, "big", cmd_big, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(cp_admin_listen(admin, run_dir), 0);
}

static void stop(void)
{
	cp_admin_destroy(admin);
	cp_store_close(store);
}

static void begin(void)
{
	tmp_make();
	snprintf(run_dir, sizeof(run_dir), "%s/run", tmp_dir);
	snprintf(sock_path, sizeof(sock_path), "%s/admin.sock", run_dir);
	base = event_base_new();
	alarms = cp_alarms_create();
	start();
}

static void end(void)
{
	stop();
	cp_alarms_destroy(alarms);
	event_base_free(base);
	tmp_remove();
}

static int dial(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(sa.sun_path, sock_path);
	CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static void turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
	usleep(200);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* One answer line without newline in a static buffer; NULL: closed, or nothing for 'ms'. */
static const char *answer(int fd, int ms)
{
	static char buf[8 << 20];
	size_t n = 0;

	for (int64_t until = now_ms() + ms; now_ms() < until && n < sizeof(buf) - 1;) {
		ssize_t r = read(fd, buf + n, 1); /* not beyond the line */

		if (r == 0)
			return NULL;
		if (r < 0) {
			turn();
		} else if (buf[n++] == '\n') {
			buf[n - 1] = '\0';
			return buf;
		}
	}
	return NULL;
}

static void say(int fd, const char *text, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t r = send(fd, text + at, len - at, MSG_NOSIGNAL);

		if (r > 0)
			at += (size_t)r;
		else if (errno != EAGAIN)
			return;
		turn();
	}
}

static const char *ask_fd(int fd, const char *request)
{
	say(fd, request, strlen(request));
	say(fd, "\n", 1);
	return answer(fd, 10000);
}

static const char *ask(const char *request)
{
	int fd = dial();
	const char *a = ask_fd(fd, request);

	close(fd);
	return a != NULL ? a : "";
}

#define HAS(text, part) CU_ASSERT_PTR_NOT_NULL(strstr(text, part))
#define DEVICE(name, line) \
	"{\"cmd\":\"device.add\",\"args\":{\"name\":\"" name "\",\"lines\":[\"" line "\"]}}"

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

static void test_acknowledged_is_kept(void)
{
	begin();
	HAS(ask(DEVICE("SEP000000000001", "1000")), "\"ok\":true");
	HAS(ask("{\"cmd\":\"line.add\",\"args\":{\"number\":\"1001\",\"device\":\"SEP000000000001\"}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"gateway.add\",\"args\":{\"name\":\"gw1\",\"address\":\"10.0.0.1\",\"numbers\":[\"9*\"]}}"),
	    "\"ok\":true");
	HAS(ask("{\"cmd\":\"gateway.add\",\"args\":{\"name\":\"gw2\",\"address\":\"10.0.0.2\",\"suite\":\"aead_aes_256_gcm\","
		"\"mki\":4,\"lifetime\":31,\"srtcp_clear\":true}}"),
	    "\"ok\":true");
	stop();
	start();
	HAS(ask("{\"cmd\":\"device.show\",\"args\":{\"name\":\"SEP000000000001\"}}"), "\"1001\"");
	HAS(ask("{\"cmd\":\"gateway.show\",\"args\":{\"name\":\"gw1\"}}"), "10.0.0.1:2427");
	HAS(ask("{\"cmd\":\"gateway.show\",\"args\":{\"name\":\"gw2\"}}"), "\"suite\":\"AEAD_AES_256_GCM\"");
	HAS(ask("{\"cmd\":\"gateway.show\",\"args\":{\"name\":\"gw2\"}}"), "\"mki\":4");
	HAS(ask("{\"cmd\":\"gateway.show\",\"args\":{\"name\":\"gw2\"}}"), "\"lifetime\":31");
	HAS(ask("{\"cmd\":\"gateway.show\",\"args\":{\"name\":\"gw2\"}}"), "\"srtcp_clear\":true");
	/* changed: what is given, the rest stays; and its service */
	HAS(ask("{\"cmd\":\"gateway.change\",\"args\":{\"name\":\"gw2\",\"group\":\"pstn\",\"priority\":2,\"weight\":300,\"capacity\":20,"
		"\"endpoints\":[\"aaln/1\",{\"name\":\"aaln/2\",\"line\":\"fxo\"}],\"line\":\"fxs\",\"incoming\":\"100\"}}"),
	    "\"ok\":true");
	HAS(ask("{\"cmd\":\"gateway.show\",\"args\":{\"name\":\"gw2\"}}"), "\"mki\":4");
	HAS(ask("{\"cmd\":\"gateway.show\",\"args\":{\"name\":\"gw2\"}}"), "\"service\":\"in-service\"");
	HAS(ask("{\"cmd\":\"gateway.drain\",\"args\":{\"name\":\"gw2\"}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"gateway.show\",\"args\":{\"name\":\"gw2\"}}"), "\"service\":\"drain\",\"priority\":2,\"group\":\"pstn\",\"weight\":300,"
		"\"incoming\":\"100\",\"capacity\":20,\"line\":\"fxs\"");
	HAS(ask("{\"cmd\":\"gateway.show\",\"args\":{\"name\":\"gw2\"}}"), "{\"name\":\"aaln/2\",\"line\":\"fxo\"}");
	HAS(ask("{\"cmd\":\"gateway.disable\",\"args\":{\"name\":\"gw2\"}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"gateway.restore\",\"args\":{\"name\":\"gw2\"}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"gateway.drain\",\"args\":{\"name\":\"gw9\"}}"), "\"code\":\"not-found\"");
	HAS(ask("{\"cmd\":\"gateway.change\",\"args\":{\"name\":\"gw2\",\"weight\":1001}}"), "\"code\":\"invalid\"");
	HAS(ask("{\"cmd\":\"gateway.change\",\"args\":{\"name\":\"gw2\",\"service\":\"drain\"}}"), "\"code\":\"invalid\"");
	HAS(ask("{\"cmd\":\"pattern.add\",\"args\":{\"pattern\":\"0!\",\"to\":[\"@pstn\"]}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"pattern.add\",\"args\":{\"pattern\":\"1!\",\"to\":[\"@pstn/aaln/1\"]}}"), "\"code\":\"invalid\"");
	HAS(ask("{\"cmd\":\"pattern.del\",\"args\":{\"pattern\":\"0!\"}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"gateway.del\",\"args\":{\"name\":\"gw2\"}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"show.devices\"}"), "\"mode\":\"encrypted\"");
	HAS(ask("{\"cmd\":\"show.lines\"}"), "\"number\":\"9\",\"prefix\":true");
	HAS(ask("{\"cmd\":\"line.del\",\"args\":{\"number\":\"1001\"}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"device.del\",\"args\":{\"name\":\"SEP000000000001\"}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"device.del\",\"args\":{\"name\":\"SEP000000000001\"}}"), "\"code\":\"not-found\"");
	HAS(ask("{\"cmd\":\"gateway.del\",\"args\":{\"name\":\"gw1\"}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"status\"}"), "\"devices\":0");
	HAS(ask("{\"cmd\":\"show.audit\",\"args\":{\"max\":3}}"), "\"event\":\"gateway.del\",\"who\":\"uid ");
	end();
}

/* The region table and device types: set, changed, shown, exported and taken again, deleted. */
static void test_regions(void)
{
	char *out;

	begin();
	HAS(ask("{\"cmd\":\"region.set\",\"args\":{\"a\":\"main\",\"b\":\"lab\",\"max_kbps\":8,\"codecs\":[\"g729\",\"ilbc\"]}}"), "\"a\":\"lab\",\"b\":\"main\"");
	/* what is not given stays; default takes it away */
	HAS(ask("{\"cmd\":\"region.set\",\"args\":{\"a\":\"lab\",\"b\":\"main\",\"media\":\"direct\",\"suites\":[\"AEAD_AES_128_GCM\"]}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"show.regions\"}"), "\"max_kbps\":8,\"codecs\":[\"g729\",\"ilbc\"],\"media\":\"direct\",\"suites\":[\"AEAD_AES_128_GCM\"]");
	HAS(ask("{\"cmd\":\"region.set\",\"args\":{\"a\":\"lab\",\"b\":\"main\",\"codecs\":[\"default\"],\"media\":\"default\"}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"show.regions\"}"), "\"max_kbps\":8,\"suites\":");
	HAS(ask("{\"cmd\":\"devtype.install\",\"args\":{\"devtype\":1,\"name\":\"ACME 100\",\"security\":{\"authentication\":true}}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"devtype.install\",\"args\":{\"devtype\":1,\"name\":\"acme 100\",\"security\":{}}}"), "\"code\":\"exists\"");
	HAS(ask("{\"cmd\":\"show.devtypes\"}"), "\"name\":\"ACME 100\",\"from\":\"package\",\"modes\":[\"nonsecure\",\"authenticated\"]");
	HAS(ask("{\"cmd\":\"device.add\",\"args\":{\"name\":\"SEP000000000001\",\"model\":\"ACME 100\"}}"), "device type");
	HAS(ask("{\"cmd\":\"device.add\",\"args\":{\"name\":\"SEP000000000001\",\"model\":\"ACME 100\",\"mode\":\"authenticated\"}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"devtype.del\",\"args\":{\"name\":\"ACME 100\"}}"), "is that of SEP000000000001");
	/* an export is an import */
	out = strdup(ask("{\"cmd\":\"export\"}"));
	HAS(ask("{\"cmd\":\"region.del\",\"args\":{\"a\":\"main\",\"b\":\"lab\"}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"show.regions\"}"), "\"result\":[]");
	{
		json_t *all = json_loads(out, 0, NULL), *req = json_pack("{s:s,s:O}", "cmd", "import", "args", json_object_get(all, "result"));
		char *text = json_dumps(req, JSON_COMPACT);

		HAS(ask(text), "\"devtypes\":1,\"regions\":1");
		free(text);
		json_decref(req);
		json_decref(all);
	}
	free(out);
	HAS(ask("{\"cmd\":\"show.regions\"}"), "\"max_kbps\":8,\"suites\":");
	/* and one that replaces nothing leaves rules as they are */
	HAS(ask("{\"cmd\":\"import\",\"args\":{\"regions\":[{\"a\":\"lab\",\"b\":\"main\",\"max_kbps\":64}]}}"), "\"code\":\"exists\"");
	HAS(ask("{\"cmd\":\"show.regions\"}"), "\"max_kbps\":8,\"suites\":");
	HAS(ask("{\"cmd\":\"import\",\"args\":{\"replace\":true,\"regions\":[{\"a\":\"lab\",\"b\":\"main\",\"max_kbps\":64}]}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"show.regions\"}"), "\"max_kbps\":64");
	end();
}

static char last[1 << 16];
static unsigned answers;

static void on_line(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	answers++;
	snprintf(last, sizeof(last), "%.*s", (int)len, line);
	CU_ASSERT_PTR_NULL(memchr(line, '\n', len));
}

static const char *input(const char *data, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1); /* exact size, no terminating zero */
	unsigned before = answers;

	if (len > 0)
		memcpy(copy, data, len);
	cp_admin_input(admin, copy, len, on_line, NULL);
	free(copy);
	for (int i = 0; i < 5000 && answers == before; i++)
		turn();
	CU_ASSERT_EQUAL(answers, before + 1);
	return last;
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

static void test_changes_side_by_side(void)
{
	static const char same[] = DEVICE("SEP000000000001", "1") "\n";
	int a, b, c;

	begin();
	a = dial();
	b = dial();
	c = dial();
	turn();
	say(a, same, sizeof(same) - 1);
	say(b, same, sizeof(same) - 1);
	say(c, DEVICE("SEP000000000002", "2") "\n", strlen(DEVICE("SEP000000000002", "2")) + 1);
	HAS(answer(a, 5000), "\"ok\":true");
	HAS(answer(b, 5000), "\"code\":\"exists\""); /* waited for the first, then was refused */
	HAS(answer(c, 5000), "\"ok\":true");
	close(a);
	close(b);
	close(c);
	end();
}

/* 000:P0-10, 000:R-06, 004b:SEC-14, 004b:R-31: devices of a line that an encrypted phone has are all encrypted, or one is told which are not. */
static void test_shared_line(void)
{
	static const char warn[] = "line 1001 is shared with SEP000000000001, which is encrypted: so must be SEP000000000002";

	begin();
	HAS(ask(DEVICE("SEP000000000001", "1001")), "\"ok\":true");
	HAS(ask("{\"cmd\":\"device.add\",\"args\":{\"name\":\"SEP000000000002\",\"mode\":\"authenticated\"}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"line.add\",\"args\":{\"number\":\"1001\",\"device\":\"SEP000000000002\"}}"), "--shared");
	HAS(ask("{\"cmd\":\"line.add\",\"args\":{\"number\":\"1001\",\"device\":\"SEP000000000002\",\"shared\":true}}"), warn);
	HAS(ask("{\"cmd\":\"device.show\",\"args\":{\"name\":\"SEP000000000001\"}}"), warn);
	/* both encrypted: nothing to say; the profile takes it away again */
	CU_ASSERT_PTR_NULL(strstr(ask("{\"cmd\":\"device.set\",\"args\":{\"name\":\"SEP000000000002\",\"mode\":\"encrypted\"}}"), "warnings"));
	CU_ASSERT_PTR_NULL(strstr(ask("{\"cmd\":\"device.show\",\"args\":{\"name\":\"SEP000000000002\"}}"), "warnings"));
	HAS(ask("{\"cmd\":\"profile.add\",\"args\":{\"name\":\"p\",\"mode\":\"encrypted\"}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"device.set\",\"args\":{\"name\":\"SEP000000000002\",\"profile\":\"p\"}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"profile.set\",\"args\":{\"name\":\"p\",\"mode\":\"nonsecure\"}}"), warn);
	HAS(ask("{\"cmd\":\"import\",\"args\":{\"devices\":[{\"name\":\"SEP000000000003\",\"lines\":[\"1001\"]}]}}"), "--shared");
	HAS(ask("{\"cmd\":\"import\",\"args\":{\"devices\":[{\"name\":\"SEP000000000003\",\"lines\":[\"1001\"]}],\"shared\":true}}"), warn);
	HAS(ask("{\"cmd\":\"line.del\",\"args\":{\"number\":\"1001\"}}"), "--device");
	HAS(ask("{\"cmd\":\"line.del\",\"args\":{\"number\":\"1001\",\"device\":\"SEP000000000002\"}}"), "\"ok\":true");
	CU_ASSERT_PTR_NULL(strstr(ask("{\"cmd\":\"device.show\",\"args\":{\"name\":\"SEP000000000001\"}}"), "warnings"));
	end();
}

/* 001:P1-129, 004a:CALL-10, 004c:BG-01, 004c:BG-02: when the phone is saved, and when the setting of the cluster is. */
static void test_old_bridge(void)
{
	static const char warn[] = "7960 and 7940, those encrypted devices cannot accept a barge request";

	begin();
	CU_ASSERT_PTR_NULL(strstr(ask("{\"cmd\":\"device.add\",\"args\":{\"name\":\"SEP000000000001\",\"model\":\"7970\"}}"), warn));
	HAS(ask("{\"cmd\":\"device.add\",\"args\":{\"name\":\"SEP000000000002\",\"model\":\"7960\"}}"), warn);
	CU_ASSERT_PTR_NULL(strstr(ask("{\"cmd\":\"device.set\",\"args\":{\"name\":\"SEP000000000002\",\"built_in_bridge\":\"off\"}}"), warn));
	HAS(ask("{\"cmd\":\"device.show\",\"args\":{\"name\":\"SEP000000000002\"}}"), "\"built_in_bridge\":\"off\"");
	HAS(ask("{\"cmd\":\"device.set\",\"args\":{\"name\":\"SEP000000000002\",\"built_in_bridge\":\"default\"}}"), warn);
	CU_ASSERT_PTR_NULL(strstr(ask("{\"cmd\":\"cluster.set\",\"args\":{\"built_in_bridge\":\"off\"}}"), warn));
	HAS(ask("{\"cmd\":\"cluster.set\",\"args\":{\"built_in_bridge\":\"on\"}}"), warn);
	HAS(ask("{\"cmd\":\"cluster.set\",\"args\":{\"built_in_bridge\":\"maybe\"}}"), "\"ok\":false");
	CU_ASSERT_PTR_NULL(strstr(ask("{\"cmd\":\"device.set\",\"args\":{\"name\":\"SEP000000000002\",\"mode\":\"authenticated\"}}"), warn));
	end();
}

static void test_import(void)
{
	const char *a;

	begin();
	a = ask("{\"cmd\":\"import\",\"args\":{\"devices\":[{\"name\":\"SEP000000000001\",\"lines\":[\"1\"]},{\"name\":\"bad\"},"
		"{\"name\":\"SEP000000000002\",\"lines\":[\"1\"]}],\"lines\":[{\"number\":\"5\",\"device\":\"SEP000000000009\"}],"
		"\"gateways\":[{\"name\":\"gw1\",\"address\":\"10.0.0.1\"}]}}");
	HAS(a, "3 of 5 items are wrong");
	HAS(a, "\"list\":\"devices\",\"index\":1,\"name\":\"bad\",\"code\":\"invalid\"");
	HAS(a, "\"index\":2,\"name\":\"SEP000000000002\",\"code\":\"exists\"");
	HAS(a, "\"list\":\"lines\",\"index\":0,\"name\":\"5\",\"code\":\"not-found\"");
	HAS(a, "\"wrong\":3");
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_DEVICE) + cp_store_count(store, CP_CF_GATEWAY), 0);
	a = ask("{\"cmd\":\"import\",\"args\":{\"devices\":[{\"name\":\"SEP000000000001\",\"lines\":[\"1\"]}],"
		"\"lines\":[{\"number\":\"5\",\"device\":\"SEP000000000001\"}],"
		"\"gateways\":[{\"name\":\"gw1\",\"address\":\"[2001:db8::1]:2427\",\"endpoints\":[\"aaln/1\"],"
		"\"numbers\":[\"9*\",{\"number\":\"77\",\"endpoint\":\"aaln/1\"}]}]}}");
	HAS(a, "{\"ok\":true,\"result\":{\"devices\":1,\"gateways\":1,\"lines\":1}}");
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_LINE), 4);
	HAS(ask("{\"cmd\":\"import\",\"args\":{\"devices\":[{\"name\":\"SEP000000000001\"}]}}"), "\"code\":\"exists\"");
	HAS(ask("{\"cmd\":\"import\",\"args\":{\"replace\":true,\"devices\":[{\"name\":\"SEP000000000001\"}]}}"), "\"ok\":true");
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_LINE), 2);
	end();
}

/* Keys of gateways in clear: sealed, each for its gateway, before anything is checked; in no answer. */
static void test_import_psk(void)
{
	static const char *const bad[] = {"\"short\"", "7", "\"a key with \\u0001 in it\""};
	const struct cp_gateway *gw;
	char text[400];
	const char *a;

	begin();
	a = ask("{\"cmd\":\"import\",\"args\":{\"gateways\":[{\"name\":\"gw1\",\"address\":\"10.0.0.1\",\"ike\":\"2\",\"ike_psk\":\"correct horse 1\"},"
		"{\"name\":\"gw2\",\"address\":\"10.0.0.2\"},{\"name\":\"gw3\",\"address\":\"10.0.0.3\",\"ike\":\"2\",\"ike_psk\":\"correct horse 3\"}]}}");
	HAS(a, "\"ok\":true");
	CU_ASSERT_PTR_NULL(strstr(a, "horse"));
	gw = cp_dir_gateway(store, "gw3");
	CU_ASSERT_PTR_NOT_NULL_FATAL(gw);
	CU_ASSERT_EQUAL(gw->ike.psk.len, strlen("ike-psk/gw3:correct horse 3"));
	CU_ASSERT(gw->ike.psk.len > 0 && memcmp(gw->ike.psk.data, "ike-psk/gw3:correct horse 3", gw->ike.psk.len) == 0);
	CU_ASSERT_EQUAL(cp_dir_gateway(store, "gw2")->ike.psk.len, 0);
	/* one that is none: said beside what else is wrong, and nothing is changed */
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "{\"cmd\":\"import\",\"args\":{\"gateways\":[{\"name\":\"gw4\",\"address\":\"10.0.0.4\",\"ike\":\"2\",\"ike_psk\":%s},"
			 "{\"name\":\"gw5\"},7]}}", bad[i]);
		a = ask(text);
		HAS(a, "3 of 3 items are wrong");
		HAS(a, "ike_psk is not 8 to 255 bytes");
		CU_ASSERT_PTR_NULL(strstr(a, "in it"));
	}
	CU_ASSERT_PTR_NULL(cp_dir_gateway(store, "gw4"));
	seal_rc = -ECONNREFUSED;
	a = ask("{\"cmd\":\"import\",\"args\":{\"gateways\":[{\"name\":\"gw6\",\"address\":\"10.0.0.6\",\"ike\":\"2\",\"ike_psk\":\"correct horse 6\"}]}}");
	HAS(a, "the signer does not seal");
	CU_ASSERT_PTR_NULL(cp_dir_gateway(store, "gw6"));
	seal_rc = 0;
	end();
}

static void test_large_import(void)
{
	size_t cap = 8u << 20, n = 0;
	char *text = malloc(cap);

	begin();
	n += (size_t)snprintf(text, cap, "{\"cmd\":\"import\",\"args\":{\"devices\":[");
	for (int i = 0; i < 20000; i++)
		n += (size_t)snprintf(text + n, cap - n, "%s{\"name\":\"SEP%012X\",\"lines\":[\"%d\"],\"description\":\"phone\"}",
				      i > 0 ? "," : "", i, 100000 + i);
	n += (size_t)snprintf(text + n, cap - n, "]}}");
	CU_ASSERT(n > CP_ADMIN_SMALL_MAX);
	HAS(input(text, n), "\"devices\":20000");
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_DEVICE), 20000);
	CU_ASSERT_PTR_NOT_NULL(cp_dir_device(store, "SEP000000004E1F"));
	free(text);
	end();
}

/* --- answers that grow with the store: made away from the loop --- */

static json_t *whole; /* the answer, parsed */
static unsigned wholes;

static void on_whole(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	json_decref(whole);
	whole = json_loadb(line, len, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL(whole);
	wholes++;
}

static void send_whole(const char *cmd)
{
	char text[100];

	snprintf(text, sizeof(text), "{\"cmd\":\"%s\"}", cmd);
	cp_admin_input(admin, text, strlen(text), on_whole, NULL);
}

/* Its result, borrowed until the next one. */
static json_t *ask_whole(const char *cmd)
{
	unsigned before = wholes;

	send_whole(cmd);
	CU_ASSERT_EQUAL(wholes, before); /* never from inside: somebody else is at it */
	for (int i = 0; i < 20000 && wholes == before; i++)
		turn();
	CU_ASSERT_EQUAL_FATAL(wholes, before + 1);
	CU_ASSERT_TRUE(json_is_true(json_object_get(whole, "ok")));
	return json_object_get(whole, "result");
}

static void import_phones(unsigned from, unsigned n)
{
	size_t cap = 100 + n * 100ul, at = 0;
	char *text = malloc(cap);

	at += (size_t)snprintf(text, cap, "{\"cmd\":\"import\",\"args\":{\"devices\":[");
	for (unsigned i = from; i < from + n; i++)
		at += (size_t)snprintf(text + at, cap - at, "%s{\"name\":\"SEP%012X\",\"lines\":[\"%u\"]}", i > from ? "," : "", i,
				       100000 + i);
	at += (size_t)snprintf(text + at, cap - at, "]}}");
	HAS(input(text, at), "\"ok\":true");
	free(text);
}

static void test_large_answers(void)
{
	const char *name = "";
	json_t *r, *o;
	size_t i;
	int fd;

	begin();
	CU_ASSERT_EQUAL(json_array_size(ask_whole("show.devices")), 0);
	import_phones(0, 1201); /* more than two looks at the disk, and one */
	HAS(ask("{\"cmd\":\"gateway.add\",\"args\":{\"name\":\"gw1\",\"address\":\"10.0.0.1\",\"numbers\":[\"9*\"]}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"profile.add\",\"args\":{\"name\":\"p\"}}"), "\"ok\":true");
	HAS(ask("{\"cmd\":\"cluster.set\",\"args\":{\"realm\":\"here\"}}"), "\"ok\":true");
	r = ask_whole("show.devices");
	CU_ASSERT_EQUAL(json_array_size(r), 1201);
	json_array_foreach(r, i, o) { /* once each, in order */
		CU_ASSERT(strcmp(name, json_string_value(json_object_get(o, "name"))) < 0);
		name = json_string_value(json_object_get(o, "name"));
	}
	r = ask_whole("show.lines");
	CU_ASSERT_EQUAL(json_array_size(r), 1202);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(r, 1201), "owner")), "gw1");
	r = ask_whole("export");
	CU_ASSERT_EQUAL(json_array_size(json_object_get(r, "devices")), 1201);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(r, "profiles")), 1);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(r, "srst")), 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_object_get(r, "cluster"), "realm")), "here");
	CU_ASSERT_TRUE(json_is_true(json_object_get(r, "replace")));

	/* changes go on meanwhile, a client goes away, and who stops first has its answer */
	send_whole("show.devices");
	fd = dial();
	say(fd, "{\"cmd\":\"show.devices\"}\n", 23);
	turn();
	close(fd);
	HAS(ask("{\"cmd\":\"device.del\",\"args\":{\"name\":\"SEP000000000001\"}}"), "\"ok\":true");
	wholes = 0;
	send_whole("show.devices");
	send_whole("show.lines");
	cp_admin_stop(admin);
	CU_ASSERT(wholes >= 2);
	cp_store_close(store);
	cp_admin_destroy(admin);
	json_decref(whole);
	whole = NULL;
	start();
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

static void test_alarms(void)
{
	begin();
	cp_alarm_raise(alarms, "gateway-no-sa", CP_ALARM_CRITICAL, "gw1", "no SA covers %s", "gw1");
	cp_alarm_raise(alarms, "gateway-no-sa", CP_ALARM_CRITICAL, "gw2", "x");
	cp_alarm_raise(alarms, "other", CP_ALARM_WARNING, "gw2", "x");
	HAS(ask("{\"cmd\":\"show.alarms\"}"), "\"severity\":\"critical\",\"id\":\"gateway-no-sa\",\"subject\":\"gw1\"");
	HAS(ask("{\"cmd\":\"alarm.clear\",\"args\":{\"id\":\"gateway-no-sa\",\"subject\":\"gw1\"}}"), "\"cleared\":1");
	HAS(ask("{\"cmd\":\"alarm.clear\",\"args\":{\"id\":\"gateway-no-sa\",\"subject\":\"gw1\"}}"), "not-found");
	HAS(ask("{\"cmd\":\"alarm.clear\",\"args\":{\"all\":true}}"), "\"cleared\":2");
	HAS(ask("{\"cmd\":\"show.alarms\"}"), "\"result\":[]");
	/* the audit follows when it is synced */
	for (int i = 0; i < 5000 && strstr(ask("{\"cmd\":\"show.audit\"}"), "alarm-cleared") == NULL; i++)
		turn();
	HAS(ask("{\"cmd\":\"show.audit\"}"), "\"event\":\"alarm-cleared\"");
	end();
}

/* --- call detail records --- */

#define DAY INT64_C(1795305600000000) /* 2026-11-22, in us */

static void put_record(unsigned i)
{
	struct cp_cdr r = {.global_id = i + 1, .call = 7, .end_us = DAY + i * 1000000, .connect_ms = i == 1 ? 0 : DAY / 1000, .cause = 16, .party_cnt = 2,
			   .dialled = "1002", .security = CP_SEC_ENCRYPTED,
			   .party = {{.kind = 1, .device = "SEP000000000001", .number = "1001", .counted = true, .rx_pkts = 50}, {.kind = 2, .device = "gw1"}}};
	const struct cp_cdr *list = &r;
	struct cp_call_change change = {.cdrs = &list, .cdr_cnt = 1};

	if (i % 2 == 1)
		strcpy(r.party[0].number, "2001");
	CU_ASSERT_EQUAL(cp_store_calls(store, &change, NULL, NULL), 0);
	if (i % 100 == 0)
		CU_ASSERT_EQUAL(cp_store_commit(store, cp_batch_create()), 0);
}

/* Of the records that 'args' choose: how many, page by page; they come once each and in order. */
static unsigned records(const char *args, unsigned *ret_pages)
{
	char next[64] = "", request[256], before[32] = "";
	unsigned n = 0;

	for (*ret_pages = 0; *ret_pages < 100; (*ret_pages)++) {
		json_t *o, *r, *list;
		size_t i;

		snprintf(request, sizeof(request), "{\"cmd\":\"cdr.list\",\"args\":{%s%s%s%s%s}}", args, args[0] != '\0' && next[0] != '\0' ? "," : "",
			 next[0] != '\0' ? "\"after\":\"" : "", next, next[0] != '\0' ? "\"" : "");
		o = json_loads(ask(request), 0, NULL);
		list = json_object_get(json_object_get(o, "result"), "records");
		CU_ASSERT_FATAL(json_is_array(list) && json_array_size(list) <= 500);
		json_array_foreach(list, i, r) {
			const char *end = json_string_value(json_object_get(r, "end"));

			CU_ASSERT(strcmp(before, end) < 0);
			snprintf(before, sizeof(before), "%s", end);
			n++;
		}
		r = json_object_get(json_object_get(o, "result"), "next");
		snprintf(next, sizeof(next), "%s", json_is_string(r) ? json_string_value(r) : "");
		json_decref(o);
		if (next[0] == '\0') {
			++*ret_pages;
			return n;
		}
	}
	return 0;
}

static void test_records(void)
{
	unsigned n;

	begin();
	CU_ASSERT(records("", &n) == 0 && n == 1);
	for (unsigned i = 0; i <= 1200; i++)
		put_record(i);
	CU_ASSERT(records("", &n) == 1201 && n == 3);
	CU_ASSERT(records("\"max\":400", &n) == 1201 && n == 4);
	CU_ASSERT_EQUAL(records("\"number\":\"2001\"", &n), 600);
	CU_ASSERT_EQUAL(records("\"number\":\"1002\"", &n), 1201); /* dialled */
	CU_ASSERT_EQUAL(records("\"number\":\"100\"", &n), 0);
	CU_ASSERT_EQUAL(records("\"device\":\"gw1\"", &n), 1201);
	CU_ASSERT_EQUAL(records("\"device\":\"gw2\"", &n), 0);
	CU_ASSERT_EQUAL(records("\"from\":\"2026-11-22T00:10:00Z\"", &n), 601);
	CU_ASSERT_EQUAL(records("\"to\":\"2026-11-22T00:00:09.999\"", &n), 10);
	CU_ASSERT_EQUAL(records("\"from\":\"2026-11-22T00:00:02\",\"to\":\"2026-11-22T00:00:04\"", &n), 3);
	CU_ASSERT_EQUAL(records("\"from\":\"2026-11-23\"", &n), 0);
	HAS(ask("{\"cmd\":\"cdr.list\",\"args\":{\"max\":1}}"), "\"end\":\"2026-11-22T00:00:00.000Z\",");
	HAS(ask("{\"cmd\":\"cdr.list\",\"args\":{\"max\":1}}"), "\"security\":\"encrypted\",");
	HAS(ask("{\"cmd\":\"cdr.list\",\"args\":{\"max\":1}}"), "\"a_rx_packets\":50,");
	HAS(ask("{\"cmd\":\"cdr.list\",\"args\":{\"max\":1}}"), "\"b_rx_packets\":null,"); /* not counted: not nothing */
	/* not answered: no time of it, and no duration */
	HAS(ask("{\"cmd\":\"cdr.list\",\"args\":{\"max\":1,\"number\":\"2001\"}}"), "\"connect\":null,\"duration_ms\":0,");
	HAS(ask("{\"cmd\":\"cdr.list\",\"args\":{\"from\":\"yesterday\"}}"), "is not YYYY-MM-DD, or with THH:MM:SS");
	HAS(ask("{\"cmd\":\"cdr.list\",\"args\":{\"to\":\"2026-11-22T10\"}}"), "\"code\":\"invalid\"");
	HAS(ask("{\"cmd\":\"cdr.list\",\"args\":{\"after\":\"00zz\"}}"), "after is not what an answer had in next");
	HAS(ask("{\"cmd\":\"cdr.list\",\"args\":{\"max\":501}}"), "\"ok\":false");
	HAS(ask("{\"cmd\":\"cdr.list\",\"args\":{\"nope\":1}}"), "\"ok\":false");
	end();
}

static void test_certificates(void)
{
	begin();
	HAS(ask("{\"cmd\":\"cert.issue\",\"args\":{\"device\":\"SEP000000000001\"}}"),
	    "{\"device\":\"SEP000000000001\",\"key\":\"KEY\",\"cert\":\"CERT\",\"ca\":\"CA\"}");
	HAS(ask("{\"cmd\":\"cert.issue\",\"args\":{\"device\":\"SEP00000000DEAD\"}}"), "\"code\":\"unavailable\"");
	for (int i = 0; i < 1000 && strstr(ask("{\"cmd\":\"show.audit\"}"), "cert.issue") == NULL; i++)
		turn();
	HAS(ask("{\"cmd\":\"show.audit\"}"), "\"event\":\"cert.issue\"");
	end();
}

static CU_TestInfo tests[] = {
	{"the socket is private, stale ones are replaced", test_socket_is_private},
	{"what is acknowledged is kept", test_acknowledged_is_kept},
	{"bad requests change nothing", test_bad_requests},
	{"deep and large requests", test_deep_and_large},
	{"a request without end", test_endless_request},
	{"pipelined requests are answered in order", test_pipelined_in_order},
	{"clients that go away", test_client_goes_away},
	{"slow clients are cut off, others undisturbed", test_slow_clients},
	{"connections are bounded", test_connections_are_bounded},
	{"changes of one thing side by side", test_changes_side_by_side},
	{"a shared line, and who must be encrypted", test_shared_line},
	{"regions and device types", test_regions},
	{"encryption and the built-in bridge of old phones", test_old_bridge},
	{"import: all or nothing, errors by item", test_import},
	{"a large import", test_large_import},
	{"import of pre-shared keys", test_import_psk},
	{"answers that grow with the store", test_large_answers},
	{"how long the loop is held up", test_loop_is_watched},
	{"alarms", test_alarms},
	{"call detail records, by pages", test_records},
	{"certificates", test_certificates},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	cfg_log_init("t", CFG_LOG_KV, CFG_LOG_ERR);
	return 0;
}

#include "suite.h"
SUITE_MAIN("admin", tests, setup, NULL)
