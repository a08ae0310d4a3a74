/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/admin: what commands change and show, and keep over a restart. */
#include "admin_fix.h"

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
	{"what is acknowledged is kept", test_acknowledged_is_kept},
	{"changes of one thing side by side", test_changes_side_by_side},
	{"a shared line, and who must be encrypted", test_shared_line},
	{"regions and device types", test_regions},
	{"encryption and the built-in bridge of old phones", test_old_bridge},
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
SUITE_MAIN("admincmd", tests, setup, NULL)
