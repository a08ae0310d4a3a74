/* SPDX-License-Identifier: BSD-3-Clause */
/* The administration service over its real socket, with a store on a temporary directory; a certificate and a seal that are made up. */
#ifndef TESTS_ADMIN_FIX_H
#define TESTS_ADMIN_FIX_H

#include <CUnit/CUnit.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

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

static inline void cmd_hold(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	(void)ctx;
	(void)args;
	held = req;
}

static inline void cmd_big(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static char big[4 << 20];

	(void)ctx;
	(void)args;
	memset(big, 'x', sizeof(big) - 1);
	cp_admin_reply(req, json_string(big));
}

static inline int fake_cert(void *ctx, const char *device, char **key, char **cert, char **ca)
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
static inline int fake_seal(void *ctx, const uint8_t *clear, size_t len, const char *aad, struct cp_buf *ret)
{
	char text[400];

	CU_ASSERT_PTR_NULL(ctx);
	if (seal_rc < 0)
		return seal_rc;
	ret->len = (size_t)snprintf(text, sizeof(text), "%s:%.*s", aad, (int)len, (const char *)clear);
	ret->data = (uint8_t *)strdup(text);
	return 0;
}

static inline void start(void)
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

static inline void stop(void)
{
	cp_admin_destroy(admin);
	cp_store_close(store);
}

static inline void begin(void)
{
	tmp_make();
	snprintf(run_dir, sizeof(run_dir), "%s/run", tmp_dir);
	snprintf(sock_path, sizeof(sock_path), "%s/admin.sock", run_dir);
	base = event_base_new();
	alarms = cp_alarms_create();
	start();
}

static inline void end(void)
{
	stop();
	cp_alarms_destroy(alarms);
	event_base_free(base);
	tmp_remove();
}

static inline int dial(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(sa.sun_path, sock_path);
	CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static inline void turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
	usleep(200);
}

static inline int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* One answer line without newline in a static buffer; NULL: closed, or nothing for 'ms'. */
static inline const char *answer(int fd, int ms)
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

static inline void say(int fd, const char *text, size_t len)
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

static inline const char *ask_fd(int fd, const char *request)
{
	say(fd, request, strlen(request));
	say(fd, "\n", 1);
	return answer(fd, 10000);
}

static inline const char *ask(const char *request)
{
	int fd = dial();
	const char *a = ask_fd(fd, request);

	close(fd);
	return a != NULL ? a : "";
}

#define HAS(text, part) CU_ASSERT_PTR_NOT_NULL(strstr(text, part))
#define DEVICE(name, line) \
	"{\"cmd\":\"device.add\",\"args\":{\"name\":\"" name "\",\"lines\":[\"" line "\"]}}"

static char last[1 << 16];
static unsigned answers;

static inline void on_line(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	answers++;
	snprintf(last, sizeof(last), "%.*s", (int)len, line);
	CU_ASSERT_PTR_NULL(memchr(line, '\n', len));
}

static inline const char *input(const char *data, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1); /* exact size, no terminating zero */
	unsigned before = answers;

	if (len > 0)
		memcpy(copy, data, len);
	cp_admin_input(admin, copy, len, on_line, NULL);
	free(copy);
	for (int64_t until = now_ms() + 60000; answers == before && now_ms() < until;)
		turn();
	CU_ASSERT_EQUAL(answers, before + 1);
	return last;
}

#endif
