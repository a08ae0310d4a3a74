/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/sccp/session.c, phone.c and the index of sccp.c: who may register and what is raised if not, the start-up dialogue,
 * replacement, records that change, resets, what phones say of themselves. Calls are test_sesscall.c's, timers test_sesstime.c's.
 * Rows: 001:L316, L317; 004a:TFTP-06; 004b:PKI-10, R-23, R-29, SEC-04 to SEC-06, SEC-09, SEC-24;
 * 004c:TR-01 to TR-06.
 */
#include "session_fix.h"

/* --- who may register --- */

static void test_clear_registration(void)
{
	static uint8_t keep[CP_SCCP_FRAME_MAX];
	static struct wire w;
	struct cp_sccp_frame f;
	struct cp_phone *p;

	fresh(CP_DEVICE_NONSECURE);
	p = connect_phone(&w, false, false, NULL);
	say_register(p, NAME, 17);
	CU_ASSERT(next(&w, &f, keep) && f.id == CP_SCCP_REGISTER_ACK && f.version == 0 &&
	          f.body[0] == 30);
	CU_ASSERT(f.body[16] == 17 && f.body[19] == 0xff);
	CU_ASSERT(next(&w, &f, keep) && f.id == CP_SCCP_CAPABILITIES_REQ && f.version == 17);
	CU_ASSERT_STRING_EQUAL(events, "registered:" NAME " ");
	CU_ASSERT(w.authed && !w.closed && raised == 0 && cleared >= CP_SCCP_REF_MAX - 1);
	CU_ASSERT_PTR_EQUAL(cp_sccp_find(sccp, NAME), p);
	CU_ASSERT_EQUAL(cp_phone_security(p), CP_PHONE_NONSECURE);
	CU_ASSERT_FALSE(cp_phone_srtp(p));
	CU_ASSERT(cp_phone_lines(p) == 2 && strcmp(cp_phone_line_number(p, 2), "1002") == 0);
	CU_ASSERT_STRING_EQUAL(cp_phone_line_label(p, 1), "Alice");
	CU_ASSERT_STRING_EQUAL(cp_phone_line_label(p, 2), "1002");
	CU_ASSERT(cp_phone_find_line(p, "1002") == 2 && cp_phone_find_line(p, "9") == 0);
	CU_ASSERT(cp_phone_line_number(p, 0) == NULL && cp_phone_line_number(p, 3) == NULL);
	CU_ASSERT_EQUAL(cp_sccp_stats(sccp)->registered[CP_PHONE_NONSECURE], 1);
	devices[0].line_cnt = 1;
	events[0] = '\0';
	say_register(p, NAME,
	             11); /* again on the same connection: begins anew, with the record of now */
	CU_ASSERT_EQUAL(next_id(&w), CP_SCCP_REGISTER_ACK);
	CU_ASSERT_STRING_EQUAL(events, "gone:3 registered:" NAME " ");
	CU_ASSERT(cp_phone_lines(p) == 1 && cp_phone_protocol(p) == 11 && !w.closed);
	CU_ASSERT_EQUAL(cp_sccp_stats(sccp)->registered[CP_PHONE_NONSECURE], 1);
	events[0] = '\0';
	cp_session_closed(p, CP_GONE_CLOSED);
	CU_ASSERT_STRING_EQUAL(events, "gone:1 ");
	CU_ASSERT_PTR_NULL(cp_sccp_find(sccp, NAME));
	CU_ASSERT_EQUAL(cp_sccp_stats(sccp)->registered[CP_PHONE_NONSECURE], 0);
}

static const struct {
	const char *what;
	enum cp_device_mode mode;
	bool tls, encrypts;
	const char *claims, *cert_says;
	long cert_valid_s; /* 0: no certificate */
	const char *alarm; /* NULL: none */
	const char *subject;
	int sec; /* -1: refused */
} admits[] = {
	{"unknown", CP_DEVICE_NONSECURE, false, false, "SEPFFFFFFFFFFFF", "", 0,
         "sccp-unknown-device", "192.0.2.51", -1},
	{"not a name", CP_DEVICE_NONSECURE, false, false, "\"x\n level=err", "", 0,
         "sccp-unknown-device", "192.0.2.51", -1},
	{"16 bytes", CP_DEVICE_NONSECURE, false, false, "SEP0A1B2C3D4E51X", "", 0,
         "sccp-unknown-device", "192.0.2.51", -1},
	{"encrypted on clear", CP_DEVICE_ENCRYPTED, false, false, NAME, "", 0,
         "sccp-clear-registration", NAME, -1},
	{"authenticated on clear", CP_DEVICE_AUTHENTICATED, false, false, NAME, "", 0,
         "sccp-clear-registration", NAME, -1},
	{"other's certificate", CP_DEVICE_ENCRYPTED, true, true, NAME, "SEP000000000002", 99,
         "sccp-cert-name", NAME, -1},
	{"nameless certificate", CP_DEVICE_ENCRYPTED, true, true, NAME, "", 99, "sccp-cert-name",
         NAME, -1},
	{"name is a prefix", CP_DEVICE_ENCRYPTED, true, true, NAME, "SEP0A1B2C3D4E5", 99,
         "sccp-cert-name", NAME, -1},
	{"expired since", CP_DEVICE_ENCRYPTED, true, true, NAME, NAME, -99, "sccp-cert-expired",
         NAME, -1},
	{"no certificate", CP_DEVICE_ENCRYPTED, true, true, NAME, NAME, 0, "sccp-cert-missing",
         NAME, -1},
	{"does not encrypt", CP_DEVICE_ENCRYPTED, true, false, NAME, NAME, 99, "sccp-tls-weak",
         NAME, -1},
	{"unknown with its certificate", CP_DEVICE_ENCRYPTED, true, true, "SEPFFFFFFFFFFFF",
         "SEPFFFFFFFFFFFF", 99, "sccp-unknown-device", "192.0.2.51", -1},
	{"encrypted", CP_DEVICE_ENCRYPTED, true, true, NAME, NAME, 99, NULL, NULL,
         CP_PHONE_ENCRYPTED},
	{"authenticated, NULL suite", CP_DEVICE_AUTHENTICATED, true, false, NAME, NAME, 99, NULL,
         NULL, CP_PHONE_AUTHENTICATED},
	{"authenticated, better suite", CP_DEVICE_AUTHENTICATED, true, true, NAME, NAME, 99, NULL,
         NULL, CP_PHONE_AUTHENTICATED},
	{"non-secure over TLS", CP_DEVICE_NONSECURE, true, true, NAME, NAME, 99,
         "sccp-tls-nonsecure", NAME, CP_PHONE_NONSECURE},
	{"non-secure over TLS, other's", CP_DEVICE_NONSECURE, true, true, NAME, "SEP000000000002",
         99, "sccp-cert-name", NAME, -1},
};

static void test_admission(void)
{
	static struct wire w;

	for (size_t i = 0; i < sizeof(admits) / sizeof(admits[0]); i++) {
		X509 *cert = admits[i].cert_valid_s != 0 ? test_cert(admits[i].cert_valid_s) : NULL;
		struct cp_phone *p;
		bool good = true;

		fresh(admits[i].mode);
		strcpy(cert_says, admits[i].cert_says);
		p = connect_phone(&w, admits[i].tls, admits[i].encrypts, cert);
		say_register(p, admits[i].claims, 17);
		good = good && raised == (admits[i].alarm != NULL);
		good = good &&
		       strcmp(last_alarm, admits[i].alarm != NULL ? admits[i].alarm : "") == 0;
		good = good && strcmp(last_subject,
		                      admits[i].subject != NULL ? admits[i].subject : "") == 0;
		good = good && strchr(last_text, '\n') == NULL;
		if (admits[i].sec < 0) {
			good = good && next_id(&w) == CP_SCCP_REGISTER_REJECT && w.closed &&
			       !w.authed;
			good = good && events[0] == '\0' &&
			       cp_sccp_find(sccp, admits[i].claims) == NULL;
			say_register(p, NAME, 17); /* after the refusal nothing is heard */
			good = good && w.len == 0 && raised == 1;
		} else {
			good = good && next_id(&w) == CP_SCCP_REGISTER_ACK && w.authed && !w.closed;
			good = good && (int)cp_phone_security(p) == admits[i].sec;
			good = good && cp_phone_srtp(p) == (admits[i].sec == CP_PHONE_ENCRYPTED);
		}
		if (!good) {
			fprintf(stderr, "admission case '%s' failed: alarm %s subject %s\n",
			        admits[i].what, last_alarm, last_subject);
			CU_FAIL("admission");
		}
		cp_session_closed(p, CP_GONE_CLOSED);
		X509_free(cert);
	}
}

static void test_strangers_cannot_fill_the_alarms(void)
{
	struct cfg_addr from = {.family = 4, .plen = 32, .ip = {198, 51, 100, 0}};

	fresh(CP_DEVICE_NONSECURE);
	for (int i = 0; i < 200; i++) {
		from.ip[3] = (uint8_t)i;
		cp_sccp_refuse(sccp, CP_SCCP_REF_UNKNOWN, "SEPFFFFFFFFFFFF", &from, "x");
		cp_sccp_refuse(sccp, CP_SCCP_REF_CLEAR, "SEPFFFFFFFFFFFF", &from, "x");
	}
	CU_ASSERT_EQUAL(raised, 400);
	CU_ASSERT_EQUAL(cleared, (200 - CP_SCCP_STRANGERS) * CP_SCCP_REF_MAX); /* so 64 stand */
	CU_ASSERT_STRING_EQUAL(last_subject, "198.51.100.199");
}

static void test_replacement(void)
{
	static struct wire w1, w2, w3;
	struct cp_phone *p1, *p2, *p3;
	X509 *cert = test_cert(1000);

	fresh(CP_DEVICE_ENCRYPTED);
	p1 = connect_phone(&w1, true, true, cert);
	say_register(p1, NAME, 17);
	strcpy(events, "");
	/* one that proves nothing does not disturb it */
	p2 = connect_phone(&w2, false, false, NULL);
	say_register(p2, NAME, 17);
	CU_ASSERT(w2.closed && !w1.closed && cp_sccp_find(sccp, NAME) == p1);
	CU_ASSERT_STRING_EQUAL(events, "");
	p3 = connect_phone(&w3, true, true, cert);
	say_register(p3, NAME, 17);
	CU_ASSERT_STRING_EQUAL(events, "gone:3 registered:" NAME " ");
	CU_ASSERT(w1.closed && !w3.closed && cp_sccp_find(sccp, NAME) == p3);
	cp_session_closed(p1, CP_GONE_CLOSED); /* the old connection's end is not the new one's */
	CU_ASSERT_PTR_EQUAL(cp_sccp_find(sccp, NAME), p3);
	CU_ASSERT_STRING_EQUAL(events, "gone:3 registered:" NAME " ");
	cp_session_closed(p2, CP_GONE_CLOSED);
	cp_session_closed(p3, CP_GONE_CLOSED);
	CU_ASSERT_EQUAL(cp_sccp_stats(sccp)->replaced, 1);
	X509_free(cert);
}

/* --- start-up --- */

static const struct {
	uint32_t req, res;
	unsigned words;
	size_t body; /* expected, protocol 17; 0: not compared */
} startups[] = {
	{CP_SCCP_KEEPALIVE, CP_SCCP_KEEPALIVE_ACK, 0, 0},
	{CP_SCCP_BUTTON_TEMPLATE_REQ, CP_SCCP_BUTTON_TEMPLATE, 0, 96},
	{CP_SCCP_SOFTKEY_TEMPLATE_REQ, CP_SCCP_SOFTKEY_TEMPLATE, 0, 0},
	{CP_SCCP_SOFTKEY_SET_REQ, CP_SCCP_SOFTKEY_SET, 0, 0},
	{CP_SCCP_CONFIG_STAT_REQ, CP_SCCP_CONFIG_STAT, 0, 112},
	{CP_SCCP_LINE_STAT_REQ, CP_SCCP_LINE_STAT_DYN, 1, 0},
	{CP_SCCP_FORWARD_STAT_REQ, CP_SCCP_FORWARD_STAT, 1, 92},
	{CP_SCCP_SPEED_DIAL_STAT_REQ, CP_SCCP_SPEED_DIAL_STAT, 1, 68},
	{CP_SCCP_TIME_DATE_REQ, CP_SCCP_TIME_DATE, 0, 36},
	{CP_SCCP_VERSION_REQ, CP_SCCP_VERSION, 0, 16},
	{CP_SCCP_SERVER_REQ, CP_SCCP_SERVER_RES, 0, 360},
	{CP_SCCP_TOKEN_REQ, CP_SCCP_TOKEN_ACK, 3, 0}, /* too short a body here: see below */
};

static void test_startup(void)
{
	static uint8_t keep[CP_SCCP_FRAME_MAX];
	static struct wire w;
	struct cp_sccp_frame f;
	struct cp_phone *p;

	fresh(CP_DEVICE_NONSECURE);
	p = registered_phone(&w, 17);
	for (size_t i = 0; i < sizeof(startups) / sizeof(startups[0]); i++) {
		if (startups[i].req == CP_SCCP_TOKEN_REQ)
			say(p, 17, startups[i].req, NAME "\0\0\0\0\0\0\0\0", 20);
		else
			say_words(p, 17, startups[i].req, startups[i].words, 1, 0, 0);
		if (!next(&w, &f, keep) || f.id != startups[i].res ||
		    (startups[i].body != 0 && f.len != startups[i].body)) {
			fprintf(stderr, "request 0x%04x\n", startups[i].req);
			CU_FAIL("start-up answer");
		}
		CU_ASSERT_EQUAL(w.len, 0);
	}
	say_words(p, 17, CP_SCCP_LINE_STAT_REQ, 1, 2, 0, 0);
	CU_ASSERT(next(&w, &f, keep) && memcmp(f.body + 8,
	                                       "1002\0"
	                                       "1002\0"
	                                       "1002",
	                                       15) == 0);
	say_words(p, 17, CP_SCCP_LINE_STAT_REQ, 1, 42, 0, 0); /* no such line: empty, not silence */
	CU_ASSERT(next(&w, &f, keep) && f.id == CP_SCCP_LINE_STAT_DYN && f.body[0] == 42 &&
	          f.body[8] == 0);
	say_words(p, 17, CP_SCCP_LINE_STAT_REQ, 1, 0xffffffff, 0, 0);
	CU_ASSERT_EQUAL(next_id(&w), CP_SCCP_LINE_STAT_DYN);
	say_words(p, 17, CP_SCCP_AVAILABLE_LINES, 1, 2, 0, 0);
	say_words(p, 17, CP_SCCP_HEADSET, 1, 2, 0, 0);
	say_words(p, 17, CP_SCCP_IP_PORT, 1, 20480, 0, 0);
	say(p, 17, CP_SCCP_ALARM, "\2\0\0\0Name=x Load=y\n", 19);
	say(p, 17, CP_SCCP_XML_ALARM, "<x-cisco-alarm/>", 16);
	CU_ASSERT(w.len == 0 && cp_sccp_stats(sccp)->phone_alarms == 2 &&
	          cp_sccp_stats(sccp)->malformed == 0);
	say_words(p, 17, 0x7777, 3, 1, 2, 3);
	CU_ASSERT(cp_sccp_stats(sccp)->unknown_ids == 1 && !w.closed);
	say_words(p, 17, CP_SCCP_LINE_STAT_REQ, 0, 0, 0, 0);
	CU_ASSERT(cp_sccp_stats(sccp)->malformed == 1 && w.len == 0 && !w.closed);
	say_words(p, 17, CP_SCCP_UNREGISTER, 1, 0, 0, 0);
	CU_ASSERT_EQUAL(next_id(&w), CP_SCCP_UNREGISTER_ACK);
	CU_ASSERT(w.closed && cp_sccp_find(sccp, NAME) == NULL);
	CU_ASSERT_STRING_EQUAL(events, "registered:" NAME " gone:0 ");
	cp_session_closed(p, CP_GONE_CLOSED);
}

static void test_old_phone(void)
{
	static uint8_t keep[CP_SCCP_FRAME_MAX];
	static struct wire w;
	struct cp_sccp_frame f;
	struct cp_phone *p;

	fresh(CP_DEVICE_NONSECURE);
	p = registered_phone(&w, 5);
	say_words(p, 0, CP_SCCP_LINE_STAT_REQ, 1, 1, 0, 0);
	CU_ASSERT(next(&w, &f, keep) && f.id == CP_SCCP_LINE_STAT && f.version == 0 &&
	          f.len == 112);
	say_words(p, 0, CP_SCCP_SERVER_REQ, 0, 0, 0, 0);
	CU_ASSERT(next(&w, &f, keep) && f.len == 280 && memcmp(f.body + 260, "\xc0\0\2\1", 4) == 0);
	CU_ASSERT_EQUAL(cp_phone_callinfo(p, &(struct cp_phone_callinfo){.line = 1, .security = 3}),
	                0);
	CU_ASSERT(next(&w, &f, keep) && f.id == CP_SCCP_CALL_INFO && f.body[376] == 3);
	CU_ASSERT_EQUAL(cp_phone_stop_tone(p, 1, 2), 0);
	CU_ASSERT(next(&w, &f, keep) && f.len == 8);
	cp_session_closed(p, CP_GONE_CLOSED);
}

static void test_before_registration(void)
{
	static struct wire w;
	struct cp_phone *p;

	fresh(CP_DEVICE_NONSECURE);
	p = connect_phone(&w, false, false, NULL);
	say_words(p, 0, CP_SCCP_OFF_HOOK, 0, 0, 0, 0);
	say_words(p, 0, CP_SCCP_LINE_STAT_REQ, 1, 1, 0, 0);
	say_words(p, 0, 0x7777, 1, 1, 0, 0);
	CU_ASSERT(w.len == 0 && events[0] == '\0' && cp_sccp_stats(sccp)->early == 3);
	say_words(p, 0, CP_SCCP_KEEPALIVE, 0, 0, 0, 0);
	CU_ASSERT_EQUAL(next_id(&w), CP_SCCP_KEEPALIVE_ACK);
	say(p, 0, CP_SCCP_REGISTER, NAME "\0\0", 17); /* too short to say who */
	CU_ASSERT(cp_sccp_stats(sccp)->malformed == 1 && w.len == 0 && !w.closed);
	for (int i = 0; i < CP_SCCP_EARLY_MAX && !w.closed; i++)
		say_words(p, 0, CP_SCCP_KEEPALIVE, 0, 0, 0, 0);
	CU_ASSERT_TRUE(w.closed); /* talks, but never registers */
	CU_ASSERT_STRING_EQUAL(events, "");
	cp_session_closed(p, CP_GONE_CLOSED);
}

/* --- records, admin --- */

static void test_one_name_per_connection(void)
{
	static struct wire w;
	struct cp_phone *p;

	fresh(CP_DEVICE_NONSECURE);
	p = registered_phone(&w, 17);
	events[0] = '\0';
	say_register(p, "SEP000000000002", 17);
	CU_ASSERT_STRING_EQUAL(events, "gone:5 ");
	CU_ASSERT(w.closed && cp_sccp_find(sccp, "SEP000000000002") == NULL);
	cp_session_closed(p, CP_GONE_CLOSED);
}

static void test_record_changes(void)
{
	static struct wire w;
	struct cp_phone *p;

	fresh(CP_DEVICE_NONSECURE);
	p = registered_phone(&w, 17);
	cp_sccp_device_changed(sccp, "SEP000000000002"); /* not here: nothing */
	cp_sccp_device_changed(sccp, NAME);
	CU_ASSERT_EQUAL(next_id(&w), CP_SCCP_RESET);
	devices[0].mode = CP_DEVICE_ENCRYPTED; /* the clear connection is no longer good enough */
	cp_sccp_device_changed(sccp, NAME);
	CU_ASSERT_EQUAL(next_id(&w), CP_SCCP_RESET); /* so that it loads its file and comes back as it must */
	CU_ASSERT(w.closed && strstr(events, "gone:4") != NULL);
	cp_session_closed(p, CP_GONE_CLOSED);
	fresh(CP_DEVICE_NONSECURE);
	p = registered_phone(&w, 17);
	devices[0].name[0] = '\0'; /* deleted */
	CU_ASSERT_PTR_NULL(cp_phone_device(p));
	cp_sccp_device_changed(sccp, NAME);
	CU_ASSERT_TRUE(w.closed);
	cp_session_closed(p, CP_GONE_CLOSED);
}

static void add_name(void *ctx, const char *name)
{
	char (**at)[CP_DEVICE_NAME_MAX] = ctx;

	strcpy(*(*at)++, name);
}

/* All registered phones, as a command asks for it; how many. */
static unsigned reset_all(uint8_t type, unsigned per_second)
{
	static char all[3][CP_DEVICE_NAME_MAX];
	char (*at)[CP_DEVICE_NAME_MAX] = all;

	cp_sccp_each(sccp, NULL, NULL, add_name, &at);
	return cp_sccp_reset(sccp, type, (const char (*)[CP_DEVICE_NAME_MAX])all, (size_t)(at - all), per_second);
}

/* A reset is of what a phone loads at its start (001:L316, L317; 004a:SVC-04; 004b:SEC-09), and so many a second. */
static void test_resets(void)
{
	static uint8_t keep[CP_SCCP_FRAME_MAX];
	static struct wire w[3];
	struct cp_sccp_frame f;
	struct cp_phone *p[2];

	fresh(CP_DEVICE_NONSECURE);
	p[0] = registered_phone(&w[0], 17);
	p[1] = connect_phone(&w[1], false, false, NULL);
	say_register(p[1], "SEP000000000002", 17);
	w[1].len = 0;
	devices[0].line_cnt = 1;
	cp_sccp_device_changed(sccp, NAME);
	CU_ASSERT(next(&w[0], &f, keep) && f.id == CP_SCCP_RESET && f.body[0] == 2);
	strcpy(devices[0].load, "SCCP45.9-4-2SR3-1S");
	cp_sccp_device_changed(sccp, NAME);
	CU_ASSERT(next(&w[0], &f, keep) && f.id == CP_SCCP_RESET && f.body[0] == 1);
	CU_ASSERT(cp_sccp_stats(sccp)->restarts == 1 && cp_sccp_stats(sccp)->resets == 1);

	now_ms += 1000;
	CU_ASSERT_EQUAL(reset_all(CP_SCCP_RESET_RESTART, 1), 2);
	CU_ASSERT_EQUAL(cp_sccp_resets_waiting(sccp), 1); /* one each second */
	CU_ASSERT_EQUAL((w[0].len > 0) + (w[1].len > 0), 1);
	CU_ASSERT_EQUAL(reset_all(CP_SCCP_RESET_RESET, 0), 2); /* who waits is not told twice */
	CU_ASSERT_EQUAL(cp_sccp_resets_waiting(sccp), 2);
	w[0].len = w[1].len = 0;
	now_ms += 999;
	cp_sccp_tick(sccp);
	CU_ASSERT_EQUAL(w[0].len + w[1].len, 0);
	for (int i = 0; i < 2; i++) {
		now_ms += 1000;
		cp_sccp_tick(sccp);
		CU_ASSERT_EQUAL(cp_sccp_resets_waiting(sccp), 1 - (unsigned)i);
	}
	CU_ASSERT(next(&w[0], &f, keep) && f.id == CP_SCCP_RESET && f.body[0] == 1 && w[0].len == 0); /* the heavier of both */
	CU_ASSERT(next(&w[1], &f, keep) && f.id == CP_SCCP_RESET && f.body[0] == 1 && w[1].len == 0);
	now_ms += 1000;
	CU_ASSERT_EQUAL(reset_all(CP_SCCP_RESET_RESTART, 0), 2); /* the usual rate again: both at once */
	CU_ASSERT_EQUAL(cp_sccp_resets_waiting(sccp), 0);
	now_ms += 1000;
	reset_all(CP_SCCP_RESET_RESTART, 1);
	cp_session_closed(p[0], CP_GONE_CLOSED); /* one of them waits: gone, with its place */
	cp_session_closed(p[1], CP_GONE_CLOSED);
	CU_ASSERT_EQUAL(cp_sccp_resets_waiting(sccp), 0);
	CU_ASSERT_EQUAL(cp_sccp_reset(sccp, CP_SCCP_RESET_RESET, (const char[1][CP_DEVICE_NAME_MAX]){NAME}, 1, 0), 0);
}

static void test_show(void)
{
	static struct wire w;
	struct cp_phone *p;
	json_t *list, *o;

	fresh(CP_DEVICE_NONSECURE);
	p = registered_phone(&w, 17);
	now_ms += 5000;
	list = cp_sccp_show_registrations(sccp);
	CU_ASSERT_EQUAL(json_array_size(list), 1);
	o = json_array_get(list, 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "device")), NAME);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "security")), "nonsecure");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "transport")), "tcp");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "address")),
	                       "192.0.2.51:50000");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(o, "registered_s")), 5);
	/* 000:P0-17 */
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "trust")), "Device Is Trusted");
	CU_ASSERT_EQUAL(json_array_size(json_object_get(o, "lines")), 2);
	json_decref(list);
	o = cp_sccp_show_counters(sccp, NULL);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(o, "registered_nonsecure")), 1);
	json_decref(o);
	cp_session_closed(p, CP_GONE_CLOSED);
}

/* It begins anew on its connection, but not for ever. */
static void test_over_and_over(void)
{
	static struct wire w;
	struct cp_phone *p;
	unsigned n = 0;

	fresh(CP_DEVICE_NONSECURE);
	p = registered_phone(&w, 17);
	for (; n < 100 && !w.closed; n++) {
		say_register(p, NAME, 17);
		w.len = 0;
	}
	CU_ASSERT_EQUAL(n, CP_SCCP_AGAIN_MAX + 1);
	CU_ASSERT_EQUAL(cp_sccp_stats(sccp)->registered[CP_PHONE_NONSECURE], 0);
	cp_session_closed(p, CP_GONE_CLOSED);
	p = registered_phone(&w, 17);
	for (n = 0; n < 100 && !w.closed; n++) { /* one that has time */
		now_ms += CP_SCCP_AGAIN_MS / CP_SCCP_AGAIN_MAX;
		say_register(p, NAME, 17);
		w.len = 0;
	}
	CU_ASSERT_FALSE(w.closed);
	cp_session_closed(p, CP_GONE_CLOSED);
}

static void say_alarm(struct cp_phone *p, const char *text)
{
	uint8_t body[92] = {2};

	memcpy(body + 4, text, strlen(text));
	say(p, 17, CP_SCCP_ALARM, body, sizeof(body));
}

/* 004c:TR-04, TR-05: what the phone raises itself has device, address, reason, remedy; it stands while the phone goes on saying it. */
static void test_own_alarms(void)
{
	static struct wire w;
	X509 *cert = test_cert(99);
	json_t *list, *o;
	struct cp_phone *p;

	fresh(CP_DEVICE_ENCRYPTED);
	p = connect_phone(&w, true, true, cert); /* before it registers, its certificate says who it is */
	say_alarm(p, "TFTP Not Authorized: 10.1.1.1");
	CU_ASSERT_STRING_EQUAL(last_alarm, "phone-tftp-not-authorized");
	CU_ASSERT_STRING_EQUAL(last_subject, NAME);
	CU_ASSERT(strstr(last_text, "192.0.2.51") != NULL && strstr(last_text, "10.1.1.1") != NULL && strstr(last_text, "ctl tftp add") != NULL);
	say_alarm(p, "TFTP Not Authorized: 10.1.1.2"); /* 004c:TR-04: twice, for two addresses */
	CU_ASSERT(strstr(last_text, "10.1.1.2") != NULL);
	CU_ASSERT_EQUAL(cp_sccp_stats(sccp)->refused[CP_SCCP_REF_PHONE_TFTP], 2);
	cleared = 0;
	say_register(p, NAME, 17);
	CU_ASSERT_EQUAL(next_id(&w), CP_SCCP_REGISTER_ACK);
	CU_ASSERT_EQUAL(cleared, CP_SCCP_REF_MAX - 1 /* this one stands */);
	list = cp_sccp_show_registrations(sccp);
	o = json_array_get(list, 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "last_alarm")), "TFTP Not Authorized: 10.1.1.2");
	json_decref(list);
	cp_session_closed(p, CP_GONE_CLOSED);
	p = connect_phone(&w, true, true, cert);
	say_alarm(p, "14: Name=SEP000000000002 Load=x Last=cm-closed-tcp"); /* of no account */
	cleared = raised = 0;
	say_register(p, NAME, 17);
	CU_ASSERT(cleared == CP_SCCP_REF_MAX && raised == 0);
	list = cp_sccp_show_registrations(sccp);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(list, 0), "last_alarm_reason")), "we closed its connection");
	json_decref(list);
	cp_session_closed(p, CP_GONE_CLOSED);
	p = connect_phone(&w, false, false, NULL); /* in clear, whom it says */
	say_alarm(p, "Name=SEP000000000002 Load=x Last=File-Auth-Fail");
	CU_ASSERT_STRING_EQUAL(last_alarm, "phone-file-auth");
	CU_ASSERT_STRING_EQUAL(last_subject, "SEP000000000002");
	say_alarm(p, "File Auth Failed");
	CU_ASSERT_STRING_EQUAL(last_subject, "192.0.2.51");
	CU_ASSERT_EQUAL(cp_sccp_stats(sccp)->refused[CP_SCCP_REF_PHONE_FILE], 2);
	cp_session_closed(p, CP_GONE_CLOSED);
	X509_free(cert);
}

static CU_TestInfo tests[] = {
	{"clear registration", test_clear_registration},
	{"admission: every refusal and its alarm", test_admission},
	{"strangers cannot fill the alarm list", test_strangers_cannot_fill_the_alarms},
	{"a new registration takes over only when proven", test_replacement},
	{"start-up requests are answered", test_startup},
	{"an old phone gets old layouts", test_old_phone},
	{"before registration little is heard", test_before_registration},
	{"one name per connection", test_one_name_per_connection},
	{"record changes", test_record_changes},
	{"resets, and how many a second", test_resets},
	{"show registrations", test_show},
	{"what phones say of themselves", test_own_alarms},
	{"over and over on one connection", test_over_and_over},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("session", tests, NULL, teardown)
