/* SPDX-License-Identifier: BSD-3-Clause */
/* The CTL provider: who may ask what, sessions, lock-out, bad requests. Rows 004a:CTL-09, CTL-10, CTL-14, CTL-18; 004c:CT-06, CT-07. */
/* Rows: 004a:WEB-11. */
#include <signal.h>

#include "suite.h"

#include "admin/admin.h"
#include "enrol/ctlprov.h"
#include "enrol/ctluser.h"
#include "lists_fix.h"
#include "net/tls.h"
#include "tls_peer.h"

static struct fx f;
static struct cp_users *users;
static struct cp_ctlprov *prov;
static struct cp_admin *admin;
static int64_t clock_s;
static int status;
static const char *from = "192.0.2.5";
static json_t *body;

static int up(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the controlplane */
	return 0;
}

static int down(void)
{
	for (unsigned i = 0; i < 4; i++)
		EVP_PKEY_free(fx_keys[i]);
	return 0;
}

static int64_t now(void *ctx)
{
	(void)ctx;
	return clock_s;
}

static void on_admin(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	json_decref(body);
	body = json_loadb(line, len, 0, NULL);
	f.done = 1;
}

static bool admin_do(const char *line)
{
	f.done = 0;
	cp_admin_input(admin, line, strlen(line), on_admin, NULL);
	return wait_for(f.base, &f.done) && json_is_true(json_object_get(body, "ok"));
}

static void open_all(void)
{
	struct cp_ctlprov_env env = {0};

	fx_up(&f);
	clock_s = 1000;
	admin = cp_admin_create(f.base);
	users = cp_users_create(f.store, f.offload, f.alarms);
	cp_users_clock(users, now, NULL);
	cp_users_commands(users, admin);
	env.base = f.base;
	env.cmd = cp_lists_cmd(f.lists);
	env.users = users;
	CU_ASSERT_EQUAL_FATAL(cp_ctlprov_create_env(&env, &prov), 0);
	CU_ASSERT(admin_do("{\"cmd\":\"user.add\",\"args\":{\"name\":\"alice\",\"password\":\"correct horse\"}}"));
	CU_ASSERT(admin_do("{\"cmd\":\"user.add\",\"args\":{\"name\":\"rita\",\"role\":\"reader\",\"password\":\"battery staple\"}}"));
}

static void close_all(void)
{
	cp_ctlprov_stop(prov);
	fx_close(&f);
	cp_ctlprov_destroy(prov);
	cp_users_destroy(users);
	cp_admin_destroy(admin);
	json_decref(body);
	body = NULL;
	/* what fx_down() would do behind fx_close() */
	cp_alarms_destroy(f.alarms);
	event_base_free(f.base);
	while (f.id_cnt > 0)
		X509_free(f.id[--f.id_cnt].cert);
	tmp_remove();
}

static void on_body(void *ctx, int st, const char *text, size_t len)
{
	(void)ctx;
	status = st;
	json_decref(body);
	body = json_loadb(text, len, 0, NULL);
	f.done = 1;
}

static int post(const char *path, const char *auth, X509 *cert, const char *text)
{
	f.done = 0;
	status = 0;
	cp_ctlprov_input(prov, path, auth, from, cert, text, strlen(text), on_body, NULL);
	return wait_for(f.base, &f.done) ? status : -1;
}

static int login(const char *user, const char *password, char auth[128])
{
	char text[256];
	const char *token = NULL;

	snprintf(text, sizeof(text), "{\"user\":\"%s\",\"password\":\"%s\"}", user, password);
	if (post("/v1/login", NULL, NULL, text) == 200) {
		json_unpack(body, "{s:{s:s}}", "result", "token", &token);
		snprintf(auth, 128, "Bearer %s", token != NULL ? token : "");
	}
	return status;
}

static void test_roles(void)
{
	char a[128] = "", r[128] = "", old[128] = "";

	open_all();
	CU_ASSERT_EQUAL(post("/v1/version", NULL, NULL, "{}"), 401);
	CU_ASSERT_EQUAL(post("/v1/version", "Bearer 00", NULL, "{}"), 401);
	CU_ASSERT_EQUAL(post("/v1/version", "Basic YTpi", NULL, "{}"), 401);
	CU_ASSERT_EQUAL(login("alice", "wrong horse", a), 401);
	CU_ASSERT_EQUAL(login("nobody", "wrong horse", a), 401);
	CU_ASSERT_EQUAL(login("", "x", a), 400);
	CU_ASSERT_EQUAL(login("alice", "", a), 400);
	CU_ASSERT_EQUAL(login("rita", "battery staple", r), 200);
	CU_ASSERT_EQUAL(post("/v1/version", r, NULL, "{}"), 200);
	CU_ASSERT_EQUAL(post("/v1/version", r, NULL, ""), 200);
	CU_ASSERT_EQUAL(post("/v1/change", r, NULL, "{\"mode\":\"mixed\"}"), 403);
	CU_ASSERT_EQUAL(post("/v1/lease", r, NULL, "{\"action\":\"take\"}"), 403);
	CU_ASSERT_EQUAL(cp_lists_mode(f.lists), CP_CLUSTER_NONSECURE);
	CU_ASSERT_EQUAL(login("alice", "correct horse", a), 200);
	CU_ASSERT_EQUAL(post("/v1/change", a, NULL, "{\"mode\":\"mixed\"}"), 200);
	CU_ASSERT_EQUAL(cp_lists_mode(f.lists), CP_CLUSTER_MIXED);
	CU_ASSERT_STRING_EQUAL(cp_lists_ctl(f.lists)->changed_by, "alice");
	/* a user who is deleted is out at once */
	CU_ASSERT(admin_do("{\"cmd\":\"user.del\",\"args\":{\"name\":\"alice\"}}"));
	CU_ASSERT_EQUAL(post("/v1/version", a, NULL, "{}"), 401);
	/* so is who took a token, when the password is changed because of that: by the same record, or another of the name */
	CU_ASSERT(admin_do("{\"cmd\":\"user.add\",\"args\":{\"name\":\"alice\",\"password\":\"another horse\"}}"));
	CU_ASSERT_EQUAL(login("alice", "another horse", a), 200);
	CU_ASSERT(admin_do("{\"cmd\":\"user.add\",\"args\":{\"name\":\"alice\",\"password\":\"the third horse\"}}"));
	CU_ASSERT_EQUAL(post("/v1/version", a, NULL, "{}"), 401);
	CU_ASSERT_EQUAL(login("alice", "the third horse", old), 200);
	CU_ASSERT_STRING_NOT_EQUAL(a, old);
	CU_ASSERT(admin_do("{\"cmd\":\"user.del\",\"args\":{\"name\":\"alice\"}}"));
	CU_ASSERT(admin_do("{\"cmd\":\"user.add\",\"args\":{\"name\":\"alice\",\"password\":\"the third horse\"}}"));
	CU_ASSERT_EQUAL(post("/v1/version", old, NULL, "{}"), 401);
	CU_ASSERT_EQUAL(post("/v1/logout", r, NULL, "{}"), 200);
	CU_ASSERT_EQUAL(post("/v1/version", r, NULL, "{}"), 401);
	close_all();
}

static void test_lockout(void)
{
	char a[128];

	open_all();
	for (int i = 0; i < CP_USER_TRIES; i++) {
		CU_ASSERT_EQUAL(login("alice", "wrong horse", a), 401);
		clock_s += 60; /* the source's own wait is not what is tested */
	}
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(f.alarms, "user-locked", "alice"));
	CU_ASSERT_EQUAL(login("alice", "correct horse", a), 429);
	clock_s += CP_USER_LOCK_S - 120;
	CU_ASSERT_EQUAL(login("alice", "correct horse", a), 429);
	clock_s += 120;
	CU_ASSERT_EQUAL(login("alice", "correct horse", a), 200);
	CU_ASSERT_PTR_NULL(cp_alarm_find(f.alarms, "user-locked", "alice"));
	/* strangers lock the name for others, not for who logged in as it where he is now: there only the source's limit counts */
	from = "198.51.100.1";
	for (int i = 0; i < CP_USER_TRIES; i++) {
		CU_ASSERT_EQUAL(login("alice", "wrong horse", a), 401);
		clock_s += 60;
	}
	CU_ASSERT_EQUAL(login("alice", "correct horse", a), 429);
	from = "192.0.2.5";
	CU_ASSERT_EQUAL(login("rita", "wrong staple", a), 401);
	CU_ASSERT_EQUAL(login("alice", "correct horse", a), 200);
	clock_s += CP_USER_LOCK_S;
	/* four good ones in between: no lock; and a source that only fails waits, whatever names it tries */
	for (int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(login("nobody", "wrong horse", a), 401);
	CU_ASSERT_EQUAL(login("nobody else", "wrong horse", a), 429);
	CU_ASSERT_EQUAL(login("rita", "battery staple", a), 429);
	clock_s += 2;
	CU_ASSERT_EQUAL(login("rita", "battery staple", a), 200);
	close_all();
}

static void test_sessions(void)
{
	char a[8][128], line[128], user[16];

	open_all();
	for (int i = 0; i < 5; i++) {
		snprintf(line, sizeof(line), "{\"cmd\":\"user.add\",\"args\":{\"name\":\"u%d\",\"password\":\"password %d\"}}", i, i);
		CU_ASSERT(admin_do(line));
		snprintf(user, sizeof(user), "u%d", i);
		snprintf(line, sizeof(line), "password %d", i);
		CU_ASSERT_EQUAL(login(user, line, a[i]), 200);
	}
	CU_ASSERT_EQUAL(post("/v1/entered", a[0], NULL, "{\"data\":[1,2]}"), 200);
	CU_ASSERT_EQUAL(post("/v1/entered", a[1], NULL, "{\"data\":\"x\"}"), 200);
	CU_ASSERT_EQUAL(post("/v1/entered", a[0], NULL, "{}"), 200);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(json_object_get(body, "result"), "data")), 2);
	CU_ASSERT_EQUAL(login("u0", "password 0", a[6]), 200); /* again: the same session */
	CU_ASSERT_STRING_EQUAL(a[0], a[6]);
	CU_ASSERT_EQUAL(post("/v1/entered", a[0], NULL, "{\"more\":1}"), 400);
	CU_ASSERT_EQUAL(post("/v1/logout", a[4], NULL, "{}"), 200);
	CU_ASSERT_EQUAL(login("alice", "correct horse", a[5]), 200);
	close_all();
}

/* Five is the limit: who comes next gets the seat of whom nobody misses, never that of the one who writes. */
static void test_seats(void)
{
	char a[8][128], line[128], user[16];

	open_all();
	for (int i = 0; i < 7; i++) {
		snprintf(line, sizeof(line), "{\"cmd\":\"user.add\",\"args\":{\"name\":\"u%d\",\"password\":\"password %d\"}}", i, i);
		CU_ASSERT(admin_do(line));
	}
	for (int i = 0; i < 5; i++) {
		snprintf(user, sizeof(user), "u%d", i);
		snprintf(line, sizeof(line), "password %d", i);
		CU_ASSERT_EQUAL(login(user, line, a[i]), 200);
	}
	/* the idlest writes, the next one has entered something */
	CU_ASSERT_EQUAL(post("/v1/lease", a[0], NULL, "{\"action\":\"take\"}"), 200);
	CU_ASSERT_EQUAL(post("/v1/entered", a[1], NULL, "{\"data\":[1,2]}"), 200);
	CU_ASSERT_EQUAL(login("u5", "wrong password", a[5]), 401); /* a stranger takes nobody's */
	for (int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(post("/v1/mode", a[i], NULL, "{}"), 200);
	clock_s += 60;
	CU_ASSERT_EQUAL(login("u5", "password 5", a[5]), 200);
	CU_ASSERT_EQUAL(post("/v1/mode", a[2], NULL, "{}"), 401);
	CU_ASSERT_EQUAL(login("u6", "password 6", a[6]), 200);
	CU_ASSERT_EQUAL(post("/v1/mode", a[3], NULL, "{}"), 401);
	CU_ASSERT_EQUAL(login("alice", "correct horse", a[7]), 200);
	CU_ASSERT_EQUAL(post("/v1/mode", a[4], NULL, "{}"), 401);
	CU_ASSERT_EQUAL(post("/v1/entered", a[1], NULL, "{}"), 200);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(json_object_get(body, "result"), "data")), 2);
	/* the writer is there, and others still wait for him */
	CU_ASSERT_EQUAL(post("/v1/change", a[7], NULL, "{\"mode\":\"mixed\"}"), 409);
	CU_ASSERT_EQUAL(post("/v1/change", a[0], NULL, "{\"mode\":\"mixed\"}"), 200);
	/* his seat ends, his lease with it */
	CU_ASSERT_EQUAL(post("/v1/logout", a[0], NULL, "{}"), 200);
	CU_ASSERT_EQUAL(post("/v1/change", a[7], NULL, "{\"mode\":\"mixed\"}"), 200);
	close_all();
}

static void test_bad(void)
{
	static const char *const bad[] = {"[]", "{", "1", "{\"a\":1}{", "\"x\"", "{\"mode\":1,\"mode\":2}", "\xff\xfe"};
	char a[128];

	open_all();
	CU_ASSERT_EQUAL(login("alice", "correct horse", a), 200);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(post("/v1/change", a, NULL, bad[i]), 400);
	CU_ASSERT_EQUAL(post("/v2/version", a, NULL, "{}"), 404);
	CU_ASSERT_EQUAL(post("/", a, NULL, "{}"), 404);
	CU_ASSERT_EQUAL(post("/v1/nothing", a, NULL, "{}"), 404);
	CU_ASSERT_EQUAL(post("/v1/login", a, NULL, "{\"user\":1,\"password\":2}"), 400);
	CU_ASSERT_EQUAL(post("/v1/change", a, NULL, "{\"mode\":\"mixed\",\"add_tokens\":[\"no certificate\"]}"), 400);
	CU_ASSERT_EQUAL(post("/v1/change", a, NULL, "{\"add_tftp\":[{\"host\":7}]}"), 404); /* no CTL is said first */
	CU_ASSERT_EQUAL(post("/v1/import", a, NULL, "{\"file\":\"AAAA\"}"), 400);
	CU_ASSERT_EQUAL(cp_lists_ctl(f.lists)->serial, 0);
	close_all();
}

static void test_certificates(void)
{
	X509 *c, *old, *other;
	uint8_t md[32];
	char hex[65], line[256];

	open_all();
	c = fx_cert("carol", fx_key(2));
	old = fx_cert_days("carol", fx_key(2), -20, -10);
	other = fx_cert("carol", fx_key(2)); /* the same name and key: not the same certificate */
	for (int k = 0; k < 2; k++) {
		X509_digest(k == 0 ? c : old, EVP_sha256(), md, NULL);
		for (int i = 0; i < 32; i++)
			snprintf(hex + 2 * i, 3, "%02x", md[i]);
		snprintf(line, sizeof(line), "{\"cmd\":\"user.add\",\"args\":{\"name\":\"c%d\",\"cert\":\"%s\"}}", k, hex);
		CU_ASSERT(admin_do(line));
	}
	CU_ASSERT_EQUAL(post("/v1/version", NULL, c, "{}"), 200);
	CU_ASSERT_EQUAL(post("/v1/version", NULL, old, "{}"), 401);
	CU_ASSERT_EQUAL(post("/v1/version", NULL, other, "{}"), 401);
	CU_ASSERT(!admin_do("{\"cmd\":\"user.add\",\"args\":{\"name\":\"x\",\"cert\":\"00\"}}"));
	CU_ASSERT(!admin_do("{\"cmd\":\"user.add\",\"args\":{\"name\":\"x y\",\"password\":\"long enough\"}}"));
	CU_ASSERT(!admin_do("{\"cmd\":\"user.add\",\"args\":{\"name\":\"x\"}}"));
	X509_free(c);
	X509_free(old);
	X509_free(other);
	close_all();
}

static int dial(uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
		abort();
	return fd;
}

static bool over(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

/* What strangers cannot do: keep connections by a byte now and then, or take all of them. */
static void test_strangers(void)
{
	static const uint8_t hello[] = {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc}; /* the rest never comes */
	struct tp_id ca = tp_issue("ca", NULL, 0, 3600), id = tp_issue("server", &ca, 0, 3600);
	struct cp_tls_identity ident = {.key = id.key, .cert = id.cert};
	struct cp_ctlprov_env env = {.request_s = 6, .source = 3};
	struct cp_tls *tls = NULL;
	struct cp_ctlprov *listening;
	unsigned cut = 0;
	char err[200];
	uint16_t port = 0;
	int fd[5];

	open_all();
	CU_ASSERT_EQUAL_FATAL(cp_tls_create(CP_TLS_MODERN, false, &tls), 0);
	cp_tls_clients(tls, CP_TLS_CLIENTS_MAY);
	CU_ASSERT_EQUAL_FATAL(cp_tls_load(tls, &ident, err, sizeof(err)), 0);
	env.base = f.base;
	env.tls = tls;
	env.cmd = cp_lists_cmd(f.lists);
	env.users = users;
	CU_ASSERT_EQUAL_FATAL(cp_ctlprov_create_env(&env, &listening), 0);
	CU_ASSERT_EQUAL_FATAL(cp_ctlprov_listen(listening, "127.0.0.1", 0, &port), 0);
	for (unsigned i = 0; i < 5; i++)
		fd[i] = dial(port);
	/* the two newest are too many of one address, long before anyone's time is over */
	for (unsigned t = 0; t < 200 && !(over(fd[3]) && over(fd[4])); t++) {
		event_base_loop(f.base, EVLOOP_NONBLOCK);
		usleep(10000);
	}
	CU_ASSERT_TRUE(over(fd[3]) && over(fd[4]));
	CU_ASSERT_TRUE(!over(fd[0]) && !over(fd[1]) && !over(fd[2]));
	for (unsigned t = 0; t < 200 && cut < 3; t++) {
		cut = 0;
		for (unsigned i = 0; i < 3; i++) {
			if (t < sizeof(hello))
				(void)!send(fd[i], hello + t, 1, MSG_NOSIGNAL);
			else
				(void)!send(fd[i], "", 1, MSG_NOSIGNAL);
			cut += over(fd[i]);
		}
		for (unsigned k = 0; k < 10; k++) {
			event_base_loop(f.base, EVLOOP_NONBLOCK);
			usleep(10000);
		}
	}
	CU_ASSERT_EQUAL(cut, 3); /* not one of them was silent for long */
	for (unsigned i = 0; i < 5; i++)
		close(fd[i]);
	cp_ctlprov_destroy(listening);
	for (unsigned t = 0; t < 20; t++) /* what evhttp closes later */
		event_base_loop(f.base, EVLOOP_NONBLOCK);
	cp_tls_destroy(tls);
	tp_id_free(&id);
	tp_id_free(&ca);
	close_all();
}

static void test_user_record(void)
{
	struct cp_user_rec r = {.name = "a", .role = CP_USER_ADMIN, .log_n = 15}, s;
	struct cp_buf b;

	r.salt = (struct cp_buf){calloc(1, 16), 16};
	r.hash = (struct cp_buf){calloc(1, 32), 32};
	CU_ASSERT_EQUAL_FATAL(cp_user_rec_build(&r, &b), 0);
	for (size_t n = 0; n < b.len; n++) {
		uint8_t *cut = malloc(n > 0 ? n : 1);

		memcpy(cut, b.data, n);
		if (cp_user_rec_parse(cut, n, &s) == 0)
			cp_user_rec_free(&s);
		free(cut);
	}
	CU_ASSERT_EQUAL(cp_user_rec_parse(b.data, b.len, &s), 0);
	cp_user_rec_free(&s);
	free(b.data);
	r.log_n = 40; /* would take a terabyte */
	CU_ASSERT_EQUAL_FATAL(cp_user_rec_build(&r, &b), 0);
	CU_ASSERT_EQUAL(cp_user_rec_parse(b.data, b.len, &s), -EBADMSG);
	free(b.data);
	cp_user_rec_free(&r);
}

static CU_TestInfo tests[] = {
	{"who may what", test_roles},
	{"lock-out", test_lockout},
	{"five sessions, and what they entered", test_sessions},
	{"who comes sixth", test_seats},
	{"bad requests change nothing", test_bad},
	{"client certificates", test_certificates},
	{"slow strangers, and many of one", test_strangers},
	{"user records", test_user_record},
	CU_TEST_INFO_NULL,
};
SUITE_MAIN("ctlprov", tests, up, down)
