/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Resets that wait, over the end of the process: phone.reset and what changes ask for is in the store before it is answered, goes when the
 * phone was told or has left, and is gone on with after a kill and after an orderly stop (004a:SVC-02). Commands and sessions on a real store.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>
#include <jansson.h>

#include "admin/admin.h"
#include "log.h"
#include "sccp/resetcmd.h"
#include "sccp/resetkeep.h"
#include "sccp/session.h"
#include "store/store.h"
#include "store_tmp.h"

#define PHONES 4

static const char *const names[PHONES] = {"SEP000000000001", "SEP000000000002", "SEP000000000003", "SEP000000000004"};
static struct event_base *base;
static struct cp_store *store;
static struct cp_admin *admin;
static struct cp_sccp *sccp;
static struct cp_resetkeep *keep;
static struct cp_resetcmd *cmd;
static uint64_t now_ms;
static char *last;
static int answered;

/* What a phone was told: Reset's types as digits, "1" reset, "2" restart. */
static struct wire {
	struct cp_phone *p;
	char told[256];
} wires[PHONES];

static int w_send(void *io, const uint8_t *frame, size_t len, bool secret)
{
	struct wire *w = io;
	struct cp_sccp_frame f;

	(void)secret;
	if (cp_sccp_frame_parse(frame, len, &f) == 0 && f.id == CP_SCCP_RESET)
		w->told[strlen(w->told)] = (char)('0' + f.body[0]);
	return 0;
}

static void w_nothing(void *io)
{
	(void)io;
}

static const struct cp_sccp_link link_ops = {w_send, w_nothing, w_nothing, NULL, NULL};

static void up_registered(void *ctx, struct cp_phone *p)
{
	(void)ctx;
	(void)p;
}

static void up_gone(void *ctx, struct cp_phone *p, enum cp_phone_gone why)
{
	(void)ctx;
	(void)p;
	(void)why;
}

static const struct cp_call_ops call_ops = {.registered = up_registered, .gone = up_gone};

static const struct cp_device *find_device(void *ctx, const char *name)
{
	(void)ctx;
	return cp_dir_device(store, name);
}

static int cert_name(X509 *cert, char ret_name[CP_DEVICE_NAME_MAX])
{
	(void)cert;
	(void)ret_name;
	return -EINVAL;
}

static void alarm_cb(void *ctx, const char *id, const char *subject, const char *text)
{
	(void)ctx;
	(void)id;
	(void)subject;
	(void)text;
}

static uint64_t fake_now(void *ctx)
{
	(void)ctx;
	return now_ms;
}

/* --- commands --- */

static void on_answer(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	free(last);
	last = strndup(line, len);
	answered = 1;
}

/* In JSON with ' for "; not yet answered when it returns. */
static void say(const char *text)
{
	char *line = strdup(text);

	for (char *c = line; *c != '\0'; c++)
		if (*c == '\'')
			*c = '"';
	answered = 0;
	cp_admin_input(admin, line, strlen(line), on_answer, NULL);
	free(line);
}

static const char *ask(const char *text)
{
	say(text);
	CU_ASSERT_TRUE_FATAL(wait_for(base, &answered));
	for (char *c = last; *c != '\0'; c++)
		if (*c == '"')
			*c = '\'';
	return last;
}

#define HAS(text, part) CU_ASSERT_PTR_NOT_NULL(strstr(text, part))

/* --- the process --- */

static void start(void)
{
	struct cp_sccp_opts opts = {.find_device = find_device, .cert_name = cert_name, .alarm = alarm_cb, .call = &call_ops, .keepalive_s = 30,
				    .grace_s = 45, .date_template = "D/M/Y", .server_name = "cm1", .reset_rate = 100, .now_ms = fake_now,
				    .reset_keep = cp_resetkeep_set, .reset_left = cp_resetkeep_left};
	struct cp_store_opts o = {.path = tmp_store, .base = base};
	struct cp_admin_backend be = {.version = "1", .reset = cp_resetcmd_after};
	char err[256];

	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &store, err, sizeof(err)), 0);
	keep = cp_resetkeep_create(base, store);
	CU_ASSERT_PTR_NOT_NULL_FATAL(keep);
	opts.reset_ctx = keep;
	CU_ASSERT_EQUAL_FATAL(cp_sccp_create(&opts, &sccp), 0);
	admin = cp_admin_create(base);
	cmd = cp_resetcmd_create(sccp, store, keep, admin);
	CU_ASSERT_PTR_NOT_NULL_FATAL(cmd);
	be.store = store;
	be.reset_ctx = cmd;
	CU_ASSERT_EQUAL_FATAL(cp_admin_commands(admin, &be), 0);
	memset(wires, 0, sizeof(wires));
}

static void leave(unsigned i)
{
	cp_session_closed(wires[i].p, CP_GONE_CLOSED);
	wires[i].p = NULL;
}

/* As main.c stops; or as a kill does: nothing is written any more. */
static void stop(bool killed)
{
	if (!killed)
		cp_resetkeep_stop(keep);
	for (unsigned i = 0; i < PHONES; i++) /* connections end, and phones with them */
		if (wires[i].p != NULL)
			leave(i);
	cp_resetcmd_stop(cmd);
	cp_sccp_destroy(sccp);
	if (killed) {
		cp_resetkeep_destroy(keep); /* what it has not submitted is lost with it */
		keep = NULL;
	}
	cp_store_close(store);
	cp_admin_destroy(admin);
	cp_resetcmd_destroy(cmd);
	cp_resetkeep_destroy(keep);
	keep = NULL;
}

static void come(unsigned i)
{
	struct cp_sccp_peer peer = {.addr = {.family = 4, .plen = 32, .ip = {192, 0, 2, 51}, .port = (uint16_t)(50000 + i)},
				    .local = {.family = 4, .plen = 32, .ip = {192, 0, 2, 1}, .port = 2000}};
	uint8_t frame[12 + 124] = {4 + 124, [8] = CP_SCCP_REGISTER}; /* little-endian: length, version, message */

	memset(&wires[i], 0, sizeof(wires[i]));
	wires[i].p = cp_session_open(sccp, &link_ops, &wires[i], &peer);
	memcpy(frame + 12, names[i], strlen(names[i]));
	frame[12 + 40] = 17;
	cp_session_frame(wires[i].p, frame, sizeof(frame));
	CU_ASSERT_TRUE_FATAL(cp_sccp_registered_ms(sccp, names[i]) >= 0);
}

/* So many wishes are synced, once all that was on its way is. */
static bool count_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	(void)val;
	*(unsigned *)ctx += key_len == 6 + 15 && memcmp(key, "reset/", 6) == 0 && len == 3;
	return true;
}

static unsigned on_disk(void)
{
	unsigned n = 0;

	CU_ASSERT_EQUAL(cp_store_scan(store, CP_CF_META, "reset/", 6, count_one, &n), 0);
	return n;
}

static unsigned settled(void)
{
	ask("{'cmd':'partition.add','args':{'name':'any','replace':true}}"); /* behind it in the store's order */
	event_base_loop(base, EVLOOP_NONBLOCK);
	ask("{'cmd':'partition.add','args':{'name':'any','replace':true}}");
	return on_disk();
}

static void begin(void)
{
	char text[200];

	tmp_make();
	base = event_base_new();
	now_ms = 1000;
	start();
	for (unsigned i = 0; i < PHONES; i++) {
		snprintf(text, sizeof(text), "{'cmd':'device.add','args':{'name':'%s','mode':'nonsecure'}}", names[i]);
		HAS(ask(text), "'ok':true");
	}
}

static void end(void)
{
	stop(false);
	event_base_free(base);
	free(last);
	last = NULL;
	tmp_remove();
}

static void seconds(unsigned n)
{
	now_ms += 1000ull * n;
	cp_sccp_tick(sccp);
}

/* One a second: the first is told, the process is killed, and the others are told by the next one, as the asker wanted. */
static void test_killed(void)
{
	begin();
	for (unsigned i = 0; i < 3; i++)
		come(i);
	say("{'cmd':'phone.restart','args':{'all':true,'per_second':1}}");
	CU_ASSERT_EQUAL(on_disk(), 0);
	CU_ASSERT(wires[0].told[0] == '\0' && answered == 0); /* nobody, before it is synced */
	while (!answered)
		event_base_loop(base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(on_disk(), 3); /* with the answer all are there */
	HAS(last, "\"phones\":3,\"waiting\":2,\"not_registered\":[]");
	CU_ASSERT_STRING_EQUAL(wires[0].told, "2");
	CU_ASSERT_EQUAL(settled(), 2);
	stop(true);

	start();
	CU_ASSERT_EQUAL(on_disk(), 2);
	now_ms += 5000;
	come(0);
	come(2);
	come(1);
	CU_ASSERT(wires[0].told[0] == '\0' && strcmp(wires[2].told, "2") == 0 && wires[1].told[0] == '\0');
	CU_ASSERT_EQUAL(cp_sccp_resets_waiting(sccp), 1);
	CU_ASSERT_EQUAL(settled(), 1);
	stop(true); /* and again */

	start();
	come(0);
	come(1);
	CU_ASSERT(wires[0].told[0] == '\0' && strcmp(wires[1].told, "2") == 0);
	CU_ASSERT_EQUAL(settled(), 0);
	leave(1);
	come(1);
	CU_ASSERT_STRING_EQUAL(wires[1].told, ""); /* once */
	end();
}

/* Killed between the sync and the answer: nobody was told, and all are by the next process. */
static void test_killed_unanswered(void)
{
	begin();
	come(0);
	come(1);
	say("{'cmd':'phone.reset','args':{'devices':['SEP000000000001','SEP000000000002','SEP000000000003']}}");
	while (on_disk() == 0) /* without the loop: the answer cannot come */
		usleep(1000);
	CU_ASSERT(answered == 0 && wires[0].told[0] == '\0');
	stop(true);
	start();
	for (unsigned i = 0; i < 3; i++)
		come(i);
	CU_ASSERT(strcmp(wires[0].told, "1") == 0 && strcmp(wires[1].told, "1") == 0 && wires[2].told[0] == '\0'); /* the third was not registered */
	CU_ASSERT_EQUAL(settled(), 0);
	end();
}

static void test_gone(void)
{
	begin();
	for (unsigned i = 0; i < 3; i++)
		come(i);
	HAS(ask("{'cmd':'phone.restart','args':{'all':true,'per_second':1}}"), "'waiting':2");
	leave(1); /* it comes back with its new file */
	CU_ASSERT_EQUAL(settled(), 1);
	come(1);
	CU_ASSERT_STRING_EQUAL(wires[1].told, "");
	/* the heavier of two wishes counts, in the store too, whichever is said last */
	HAS(ask("{'cmd':'phone.reset','args':{'devices':['SEP000000000003']}}"), "'phones':1");
	HAS(ask("{'cmd':'phone.restart','args':{'devices':['SEP000000000003']}}"), "'phones':1");
	CU_ASSERT_EQUAL(settled(), 1);
	stop(false); /* an orderly one: phones go with the service, and are told by the next */
	start();
	now_ms += 5000;
	come(2);
	CU_ASSERT_STRING_EQUAL(wires[2].told, "1");
	CU_ASSERT_EQUAL(settled(), 0);
	end();
}

/* A device that is deleted before it has come back, a record that makes no sense. */
static void test_left(void)
{
	struct cp_batch *b;

	begin();
	come(0);
	come(1);
	HAS(ask("{'cmd':'phone.restart','args':{'all':true,'per_second':1}}"), "'waiting':1");
	CU_ASSERT_EQUAL(settled(), 1);
	stop(true);
	start();
	HAS(ask("{'cmd':'device.del','args':{'name':'SEP000000000002'}}"), "'ok':true");
	CU_ASSERT_EQUAL(settled(), 0);
	b = cp_batch_create();
	for (size_t len = 0; len <= 4; len++) {
		char key[40];

		snprintf(key, sizeof(key), "reset/%s", names[len % PHONES]);
		CU_ASSERT_EQUAL(cp_batch_put(b, CP_CF_META, key, strlen(key), "\3\0\1\0", len), 0); /* no such type; too short; too long */
	}
	CU_ASSERT_EQUAL(cp_batch_put(b, CP_CF_META, "reset/ABCDEFGHIJKLMNOPQRSTUVWXYZ", 32, "\1\0\1", 3), 0);
	CU_ASSERT_EQUAL(cp_store_commit(store, b), 0);
	stop(true);
	start();
	come(0);
	come(2);
	come(3);
	CU_ASSERT(wires[0].told[0] == '\0' && wires[2].told[0] == '\0' && wires[3].told[0] == '\0');
	end();
}

/* What changes ask for: with --reset it is synced before the answer; by itself right behind the change. */
static void test_changes(void)
{
	begin();
	for (unsigned i = 0; i < PHONES; i++)
		come(i);
	HAS(ask("{'cmd':'phone.restart','args':{'all':true,'per_second':1}}"), "'waiting':3");
	HAS(ask("{'cmd':'cluster.set','args':{'load':'L2','reset':true}}"), "'told':4");
	CU_ASSERT_EQUAL(on_disk(), 4);
	CU_ASSERT_EQUAL(settled(), cp_sccp_resets_waiting(sccp));
	cp_sccp_device_changed(sccp, names[0]); /* waits already */
	stop(true);
	start();
	now_ms += 5000;
	for (unsigned i = 0; i < PHONES; i++)
		come(i);
	seconds(1);
	for (unsigned i = 0; i < PHONES; i++)
		CU_ASSERT_STRING_EQUAL(wires[i].told, "1"); /* the heavier one, of each */
	CU_ASSERT_EQUAL(settled(), 0);
	/* nobody is there: nothing to be told, and an answer */
	for (unsigned i = 0; i < PHONES; i++)
		leave(i);
	HAS(ask("{'cmd':'cluster.set','args':{'load':'L3','reset':true}}"), "'told':0");
	/* by itself: while the second is full */
	come(0);
	come(1);
	HAS(ask("{'cmd':'phone.restart','args':{'devices':['SEP000000000001']}}"), "'phones':1");
	settled();
	for (unsigned i = 0; i < 100; i++)
		cp_sccp_device_changed(sccp, names[0]);
	cp_sccp_device_changed(sccp, names[1]);
	CU_ASSERT(wires[1].told[0] == '\0' && cp_sccp_resets_waiting(sccp) == 2);
	CU_ASSERT_EQUAL(settled(), 2);
	stop(true);
	start();
	now_ms += 5000;
	come(1);
	CU_ASSERT_STRING_EQUAL(wires[1].told, "2");
	end();
}

static CU_TestInfo tests[] = {
	{"killed while phones wait", test_killed},
	{"killed before the answer", test_killed_unanswered},
	{"who leaves, two wishes, an orderly stop", test_gone},
	{"who does not come back, records that make no sense", test_left},
	{"what changes ask for", test_changes},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	cfg_log_init("t", CFG_LOG_KV, CFG_LOG_ERR);
	return 0;
}

#include "suite.h"
SUITE_MAIN("resetkeep", tests, setup, NULL)
