/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/admin: what is imported at once, and answers that are as large. */
#include <signal.h>
#include <sys/resource.h>

#include "admin_fix.h"

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

/* No file may grow: every commit fails, as on a full disk. */
static void disk_full(bool full)
{
	struct rlimit lim;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &lim);
	lim.rlim_cur = full ? 1 : lim.rlim_max;
	setrlimit(RLIMIT_FSIZE, &lim);
}

/* Keys that were sealed and then found no room: none of the gateways is there, now or at the next start, and the same import is good later. */
static void test_import_psk_full_disk(void)
{
	static const char import[] = "{\"cmd\":\"import\",\"args\":{\"gateways\":["
				     "{\"name\":\"gw1\",\"address\":\"10.0.0.1\",\"ike\":\"2\",\"ike_psk\":\"correct horse 1\"},"
				     "{\"name\":\"gw2\",\"address\":\"10.0.0.2\",\"ike\":\"2\",\"ike_psk\":\"correct horse 2\"}]}}";
	const struct cp_gateway *gw;
	struct cp_store_stats st = {.failing = true};
	const char *a;

	begin();
	disk_full(true);
	for (int i = 0; i < 3; i++) {
		a = ask(import);
		HAS(a, "\"ok\":false");
		CU_ASSERT_PTR_NULL(strstr(a, "correct horse"));
		CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_GATEWAY), 0);
	}
	disk_full(false);
	stop();
	start();
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_GATEWAY), 0);
	disk_full(true);
	HAS(ask(import), "\"ok\":false");
	disk_full(false);
	for (int64_t until = now_ms() + 60000; st.failing && now_ms() < until; turn())
		cp_store_stats(store, &st);
	HAS(ask(import), "\"ok\":true");
	stop();
	start();
	CU_ASSERT_EQUAL(cp_store_count(store, CP_CF_GATEWAY), 2);
	gw = cp_dir_gateway(store, "gw2");
	CU_ASSERT_PTR_NOT_NULL_FATAL(gw);
	CU_ASSERT(gw->ike.psk.len == strlen("ike-psk/gw2:correct horse 2") && memcmp(gw->ike.psk.data, "ike-psk/gw2:correct horse 2", gw->ike.psk.len) == 0);
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

static CU_TestInfo tests[] = {
	{"import: all or nothing, errors by item", test_import},
	{"a large import", test_large_import},
	{"import of pre-shared keys", test_import_psk},
	{"import of pre-shared keys, on a full disk", test_import_psk_full_disk},
	{"answers that grow with the store", test_large_answers},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	cfg_log_init("t", CFG_LOG_KV, CFG_LOG_ERR);
	return 0;
}

#include "suite.h"
SUITE_MAIN("import", tests, setup, NULL)
