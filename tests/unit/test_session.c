/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/sccp/session.c, phone.c and the index and timers of sccp.c: who may register and
 * what is raised if not, the start-up dialogue, calls up and down, keep-alive, replacement. A fake
 * link and a fake clock; no sockets.
 * Rows: 001:L316, L317, P1-100, P1-105, R-15; 004a:SRTP-04, TFTP-06; 004b:PKI-10, R-23, R-29, SEC-04 to SEC-06, SEC-09, SEC-24;
 * 004c:TR-01 to TR-06.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "dp_msg.h"
#include "sccp/cursor.h"
#include "sccp/session.h"

#define NAME "SEP0A1B2C3D4E51"

static uint64_t now_ms;
static struct cp_sccp *sccp;
static struct cp_line lines[2] = {{.number = "1001", .label = "Alice"}, {.number = "1002"}};
static struct cp_device devices[3];
static char last_alarm[64], last_subject[64], last_text[512];
static unsigned raised, cleared;
static char cert_says[16];

/* --- the other side of every callback --- */

struct wire {
	uint8_t out[65536];
	size_t len;
	bool closed, authed, broken;
	unsigned secrets;
};

static int w_send(void *io, const uint8_t *frame, size_t len, bool secret)
{
	struct wire *w = io;

	if (w->broken)
		return -ENOTCONN;
	if (w->len + len > sizeof(w->out))
		abort();
	memcpy(w->out + w->len, frame, len);
	w->len += len;
	w->secrets += secret;
	return 0;
}

static void w_close(void *io)
{
	((struct wire *)io)->closed = true;
}

static void w_authed(void *io)
{
	((struct wire *)io)->authed = true;
}

static const struct cp_sccp_link link_ops = {w_send, w_close, w_authed};

/* Next frame that was sent; false: none. */
static bool next(struct wire *w, struct cp_sccp_frame *f, uint8_t *keep)
{
	size_t total = 0;

	if (w->len == 0)
		return false;
	if (cp_sccp_frame_len(w->out, w->len, &total) != 0 || total > w->len)
		abort();
	memcpy(keep, w->out, total);
	memmove(w->out, w->out + total, w->len - total);
	w->len -= total;
	return cp_sccp_frame_parse(keep, total, f) == 0;
}

static uint32_t next_id(struct wire *w)
{
	static uint8_t keep[CP_SCCP_FRAME_MAX];
	struct cp_sccp_frame f;

	return next(w, &f, keep) ? f.id : UINT32_MAX;
}

static char events[512];

static void note(const char *what)
{
	strncat(events, what, sizeof(events) - strlen(events) - 1);
	strncat(events, " ", sizeof(events) - strlen(events) - 1);
}

static void notef(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void notef(const char *fmt, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	note(text);
}

static void up_registered(void *ctx, struct cp_phone *p)
{
	(void)ctx;
	notef("registered:%s", cp_phone_name(p));
}
static void up_gone(void *ctx, struct cp_phone *p, enum cp_phone_gone why)
{
	(void)ctx;
	CU_ASSERT_EQUAL(cp_phone_speaker(p, false), -ENOTCONN); /* allowed, ignored */
	notef("gone:%d", why);
}
static void up_offhook(void *ctx, struct cp_phone *p, uint32_t line, uint32_t ref)
{
	(void)ctx, (void)p;
	notef("offhook:%u:%u", line, ref);
}
static void up_onhook(void *ctx, struct cp_phone *p, uint32_t line, uint32_t ref)
{
	(void)ctx, (void)p;
	notef("onhook:%u:%u", line, ref);
}
static void up_digit(void *ctx, struct cp_phone *p, char digit, uint32_t line, uint32_t ref)
{
	(void)ctx, (void)p;
	notef("digit:%c:%u:%u", digit, line, ref);
}
static void up_enbloc(void *ctx, struct cp_phone *p, const char *number, uint32_t line)
{
	(void)ctx, (void)p;
	notef("enbloc:%s:%u", number, line);
}
static void up_softkey(void *ctx, struct cp_phone *p, uint32_t event, uint32_t line, uint32_t ref)
{
	(void)ctx, (void)p;
	notef("softkey:%u:%u:%u", event, line, ref);
}
static void up_orc_ack(void *ctx, struct cp_phone *p, uint32_t status, const struct cfg_addr *media,
                       uint32_t party, uint32_t ref)
{
	char text[64] = "none";

	(void)ctx, (void)p;
	if (media != NULL)
		cfg_addr_print(media, text, sizeof(text));
	notef("orc:%u:%s:%u:%u", status, text, party, ref);
}
static void up_smt_ack(void *ctx, struct cp_phone *p, uint32_t status, uint32_t party, uint32_t ref)
{
	(void)ctx, (void)p;
	notef("smt:%u:%u:%u", status, party, ref);
}
static void up_media_failed(void *ctx, struct cp_phone *p, uint32_t party, uint32_t ref)
{
	(void)ctx, (void)p;
	notef("failed:%u:%u", party, ref);
}
static void up_caps(void *ctx, struct cp_phone *p)
{
	unsigned n;

	(void)ctx;
	cp_phone_caps(p, &n);
	notef("caps:%u", n);
}

static const struct cp_call_ops call_ops = {up_registered, up_gone,         up_offhook, up_onhook,
                                            up_digit,      up_enbloc,       up_softkey, up_orc_ack,
                                            up_smt_ack,    up_media_failed, up_caps,    NULL};

static const struct cp_device *find_device(void *ctx, const char *name)
{
	(void)ctx;
	for (int i = 0; i < 3; i++)
		if (strcmp(devices[i].name, name) == 0)
			return &devices[i];
	return NULL;
}

static int cert_name(X509 *cert, char ret_name[CP_DEVICE_NAME_MAX])
{
	(void)cert;
	if (cert_says[0] == '\0')
		return -EINVAL;
	snprintf(ret_name, CP_DEVICE_NAME_MAX, "%s", cert_says);
	return 0;
}

static void alarm_cb(void *ctx, const char *id, const char *subject, const char *text)
{
	(void)ctx;
	if (text == NULL) {
		cleared++;
		return;
	}
	raised++;
	snprintf(last_alarm, sizeof(last_alarm), "%s", id);
	snprintf(last_subject, sizeof(last_subject), "%s", subject);
	snprintf(last_text, sizeof(last_text), "%s", text);
}

static uint64_t fake_now(void *ctx)
{
	(void)ctx;
	return now_ms;
}

static int64_t fake_wall(void *ctx)
{
	(void)ctx;
	return 1700000000000; /* 2023-11-14T22:13:20Z */
}

static void fresh(enum cp_device_mode mode)
{
	const struct cp_sccp_opts opts = {.find_device = find_device,
	                                  .cert_name = cert_name,
	                                  .alarm = alarm_cb,
	                                  .call = &call_ops,
	                                  .keepalive_s = 30, .grace_s = 45,
	                                  .date_template = "D/M/Y",
	                                  .server_name = "cm1",
	                                  .now_ms = fake_now,
	                                  .wall_ms = fake_wall};

	cp_sccp_destroy(sccp);
	now_ms = 1000;
	memset(devices, 0, sizeof(devices));
	strcpy(devices[0].name, NAME);
	devices[0].mode = mode;
	devices[0].srtp = true;
	devices[0].lines = lines;
	devices[0].line_cnt = 2;
	strcpy(devices[1].name, "SEP000000000002");
	devices[1].mode = CP_DEVICE_NONSECURE;
	events[0] = last_alarm[0] = last_subject[0] = last_text[0] = '\0';
	raised = cleared = 0;
	strcpy(cert_says, NAME);
	if (cp_sccp_create(&opts, &sccp) != 0)
		abort();
}

/* The "certificate": X509_get0_notAfter() needs a real object. */
static X509 *test_cert(long valid_s)
{
	X509 *x = X509_new();

	X509_time_adj_ex(X509_getm_notAfter(x), 0, valid_s, &(time_t){1700000000});
	return x;
}

static struct cp_phone *connect_phone(struct wire *w, bool tls, bool encrypts, X509 *cert)
{
	struct cp_sccp_peer peer = {
		.addr = {.family = 4, .plen = 32, .ip = {192, 0, 2, 51}, .port = 50000},
		.local = {.family = 4, .plen = 32, .ip = {192, 0, 2, 1}, .port = 2000},
		.tls = tls,
		.encrypts = encrypts,
		.cert = cert,
		.tls_version = "TLSv1.3",
		.tls_cipher = "TLS_AES_256_GCM_SHA384"};

	memset(w, 0, sizeof(*w));
	return cp_session_open(sccp, &link_ops, w, &peer);
}

static void say(struct cp_phone *p, unsigned ver, uint32_t id, const void *body, size_t len)
{
	uint8_t *frame = malloc(CP_SCCP_HDR + len); /* exact size: a read past it is seen */
	struct cp_sccp_w w = {frame, CP_SCCP_HDR + len, 0, false};

	cp_w_u32(&w, (uint32_t)(4 + len));
	cp_w_u32(&w, ver);
	cp_w_u32(&w, id);
	cp_w_bytes(&w, body, len);
	cp_session_frame(p, frame, CP_SCCP_HDR + len);
	free(frame);
}

static void say_words(struct cp_phone *p, unsigned ver, uint32_t id, unsigned n, uint32_t a,
                      uint32_t b, uint32_t c)
{
	uint8_t body[12];
	struct cp_sccp_w w = {body, sizeof(body), 0, false};

	cp_w_u32(&w, a);
	cp_w_u32(&w, b);
	cp_w_u32(&w, c);
	say(p, ver, id, body, 4 * n);
}

static void say_register(struct cp_phone *p, const char *name, uint8_t protocol)
{
	uint8_t body[124] = {0};

	memcpy(body, name, strlen(name) < 16 ? strlen(name) : 16);
	body[28] = 0xb2;
	body[29] = 1;
	body[40] = protocol;
	body[42] = 0x72;
	body[43] = 0x85;
	memcpy(body + 92, "SCCP42.9", 8);
	say(p, 0, CP_SCCP_REGISTER, body, sizeof(body));
}

static struct cp_phone *registered_phone(struct wire *w, uint8_t protocol)
{
	struct cp_phone *p = connect_phone(w, false, false, NULL);

	say_register(p, NAME, protocol);
	CU_ASSERT_EQUAL(next_id(w), CP_SCCP_REGISTER_ACK);
	CU_ASSERT_EQUAL(next_id(w), CP_SCCP_CAPABILITIES_REQ);
	CU_ASSERT_EQUAL(w->len, 0);
	return p;
}

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

/* --- calls --- */

static void test_up_calls(void)
{
	static struct wire w;
	uint8_t caps[4 + 32] = {2, 0, 0, 0, 4, 0, 0, 0, 40};
	uint8_t ack[40] = {0};
	struct cp_phone *p;

	fresh(CP_DEVICE_NONSECURE);
	p = registered_phone(&w, 17);
	caps[20] = 2;
	say(p, 17, CP_SCCP_CAPABILITIES_RES, caps, sizeof(caps));
	CU_ASSERT(cp_phone_has_codec(p, CP_SCCP_G711U) && cp_phone_has_codec(p, CP_SCCP_G711A));
	CU_ASSERT_FALSE(cp_phone_has_codec(p, CP_SCCP_G729));
	caps[0] = 3; /* lies: what was known stays */
	say(p, 17, CP_SCCP_CAPABILITIES_RES, caps, sizeof(caps));
	CU_ASSERT_TRUE(cp_phone_has_codec(p, CP_SCCP_G711A));
	events[0] = '\0';
	say_words(p, 17, CP_SCCP_OFF_HOOK, 0, 0, 0, 0);
	say_words(p, 17, CP_SCCP_OFF_HOOK, 2, 1, 7, 0);
	say_words(p, 17, CP_SCCP_STIMULUS, 2, 9, 2, 0);
	say_words(p, 17, CP_SCCP_STIMULUS, 2, 1, 2, 0);
	say_words(p, 17, CP_SCCP_KEYPAD, 3, 5, 1, 7);
	say_words(p, 17, CP_SCCP_KEYPAD, 3, 0xf, 1, 7);
	say_words(p, 17, CP_SCCP_KEYPAD, 3, 0xa, 1, 7);
	say(p, 17, CP_SCCP_ENBLOC, "2002\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0", 28);
	say_words(p, 17, CP_SCCP_SOFTKEY_EVENT, 3, 11, 1, 7);
	say_words(p, 17, CP_SCCP_ON_HOOK, 2, 1, 7, 0);
	CU_ASSERT_STRING_EQUAL(
		events, "offhook:0:0 offhook:1:7 offhook:2:0 digit:5:1:7 digit:#:1:7 enbloc:2002:1 "
			"softkey:11:1:7 onhook:1:7 ");
	events[0] = '\0';
	memcpy(ack + 8, "\xc0\0\2\x33", 4);
	ack[24] = 0x10;
	ack[25] = 0x50;
	ack[28] = 9;
	ack[32] = 7;
	say(p, 17, CP_SCCP_ORC_ACK, ack, 36);
	ack[0] = 2;
	say(p, 17, CP_SCCP_ORC_ACK, ack, 36);
	ack[0] = 0;
	ack[24] = ack[25] = 0; /* ok, but no port */
	say(p, 17, CP_SCCP_ORC_ACK, ack, 36);
	say(p, 17, CP_SCCP_ORC_ACK, ack, 31);
	memset(ack, 0, sizeof(ack));
	ack[4] = 9;
	ack[8] = 7;
	ack[36] = 3;
	say(p, 17, CP_SCCP_SMT_ACK, ack, 40);
	say(p, 17, CP_SCCP_MEDIA_FAILURE, ack, 8);
	CU_ASSERT_STRING_EQUAL(
		events,
		"orc:0:192.0.2.51:20496:9:7 orc:2:none:9:7 orc:1:none:9:7 smt:3:9:7 failed:9:0 ");
	CU_ASSERT_EQUAL(cp_sccp_stats(sccp)->malformed, 4);
	cp_session_closed(p, CP_GONE_CLOSED);
}

static void test_down_calls(void)
{
	static const uint32_t want[] = {CP_SCCP_CALL_STATE,
	                                CP_SCCP_CALL_INFO_DYN,
	                                CP_SCCP_START_TONE,
	                                CP_SCCP_STOP_TONE,
	                                CP_SCCP_SET_RINGER,
	                                CP_SCCP_SET_LAMP,
	                                CP_SCCP_SET_SPEAKER,
	                                CP_SCCP_SELECT_SOFTKEYS,
	                                CP_SCCP_PROMPT_DYN,
	                                CP_SCCP_CLEAR_PROMPT,
	                                CP_SCCP_DIALED_NUMBER,
	                                CP_SCCP_ACTIVATE_PLANE,
	                                CP_SCCP_DEACTIVATE_PLANE,
	                                CP_SCCP_CLOSE_RECEIVE,
	                                CP_SCCP_STOP_MT,
	                                CP_SCCP_STATISTICS_REQ,
	                                CP_SCCP_RESET};
	static struct wire w;
	struct cp_phone *p;

	fresh(CP_DEVICE_NONSECURE);
	p = registered_phone(&w, 17);
	CU_ASSERT_EQUAL(cp_phone_call_state(p, CP_SCCP_CONNECTED, 1, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_callinfo(p, &(struct cp_phone_callinfo){.line = 1, .callref = 7}),
	                0);
	CU_ASSERT_EQUAL(cp_phone_tone(p, CP_SCCP_TONE_DIAL, 1, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_stop_tone(p, 1, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_ringer(p, CP_SCCP_RING_INSIDE, 1, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_lamp(p, 1, CP_SCCP_LAMP_BLINK), 0);
	CU_ASSERT_EQUAL(cp_phone_speaker(p, true), 0);
	CU_ASSERT_EQUAL(cp_phone_softkeys(p, CP_SCCP_KEYS_RINGIN, 1, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_prompt(p, "From 2002", 0, 1, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_clear_prompt(p, 1, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_dialed(p, "2002", 1, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_planes(p, 1), 0);
	CU_ASSERT_EQUAL(cp_phone_planes(p, 0), 0);
	CU_ASSERT_EQUAL(cp_phone_crc(p, 1, 9, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_stopmt(p, 1, 9, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_stats(p, "1001", 7), 0);
	CU_ASSERT_EQUAL(cp_phone_reset(p, 2), 0);
	CU_ASSERT_EQUAL(cp_phone_reset(p, 9), -EINVAL);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		CU_ASSERT_EQUAL(next_id(&w), want[i]);
	CU_ASSERT_EQUAL(w.len, 0);
	w.broken = true; /* the link fails inside a down-call: no up-call, gone follows with the
	                    link's end */
	events[0] = '\0';
	CU_ASSERT_EQUAL(cp_phone_speaker(p, true), -ENOTCONN);
	CU_ASSERT_STRING_EQUAL(events, "");
	cp_session_closed(p, CP_GONE_PROTOCOL);
	CU_ASSERT_STRING_EQUAL(events, "gone:5 ");
}

static void test_keys_only_when_encrypted(void)
{
	static const enum cp_device_mode modes[] = {CP_DEVICE_NONSECURE, CP_DEVICE_AUTHENTICATED,
	                                            CP_DEVICE_ENCRYPTED};
	struct cp_phone_media m = {.conference = 1,
	                           .party = 9,
	                           .callref = 7,
	                           .codec = 4,
	                           .packet_ms = 20,
	                           .suite = DP_AES_CM_128_HMAC_SHA1_80,
	                           .key = {1, 2, 3},
	                           .salt = {4, 5},
	                           .remote = {.family = 4, .ip = {192, 0, 2, 9}, .port = 16384}};
	static struct wire w;
	X509 *cert = test_cert(1000);

	for (int i = 0; i < 3; i++) {
		struct cp_phone *p;

		fresh(modes[i]);
		p = connect_phone(&w, true, true, cert);
		say_register(p, NAME, 17);
		w.len = 0;
		m.suite = DP_AES_CM_128_HMAC_SHA1_80;
		CU_ASSERT_EQUAL(cp_phone_orc(p, &m), modes[i] == CP_DEVICE_ENCRYPTED ? 0 : -EACCES);
		CU_ASSERT_EQUAL(cp_phone_smt(p, &m), modes[i] == CP_DEVICE_ENCRYPTED ? 0 : -EACCES);
		CU_ASSERT_EQUAL(w.secrets, modes[i] == CP_DEVICE_ENCRYPTED ? 2 : 0);
		CU_ASSERT_EQUAL(w.len > 0, modes[i] == CP_DEVICE_ENCRYPTED);
		m.suite = DP_SRTP_NONE;
		CU_ASSERT_EQUAL(cp_phone_orc(p, &m), 0);
		m.remote.port = 0;
		CU_ASSERT_EQUAL(cp_phone_smt(p, &m), -EINVAL);
		m.remote.port = 16384;
		cp_session_closed(p, CP_GONE_CLOSED);
	}
	X509_free(cert);
}

/* --- time, records, admin --- */

static void test_keepalive_timeout(void)
{
	static struct wire w1, w2;
	struct cp_phone *p1, *p2;

	fresh(CP_DEVICE_NONSECURE);
	p1 = registered_phone(&w1, 17);
	p2 = connect_phone(&w2, false, false, NULL);
	say_register(p2, "SEP000000000002", 17);
	for (int i = 0; i < 10; i++) { /* p1 keeps alive, p2 falls silent */
		now_ms += 30000;
		say_words(p1, 17, CP_SCCP_KEEPALIVE, 0, 0, 0, 0);
		cp_sccp_tick(sccp);
		CU_ASSERT_FALSE(w1.closed);
		CU_ASSERT_EQUAL(w2.closed, i >= 2); /* 2.5 intervals: gone at the third */
	}
	CU_ASSERT(cp_sccp_find(sccp, NAME) == p1 && cp_sccp_find(sccp, "SEP000000000002") == NULL);
	CU_ASSERT_EQUAL(cp_sccp_stats(sccp)->timeouts, 1);
	now_ms += 74999;
	cp_sccp_tick(sccp);
	CU_ASSERT_FALSE(w1.closed);
	now_ms++;
	cp_sccp_tick(sccp);
	CU_ASSERT_TRUE(w1.closed);
	CU_ASSERT_PTR_NOT_NULL(strstr(events, "gone:2 gone:2 "));
	cp_session_closed(p1, CP_GONE_CLOSED);
	cp_session_closed(p2, CP_GONE_CLOSED);
}

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
	CU_ASSERT_EQUAL(cp_sccp_reset(sccp, CP_SCCP_RESET_RESTART, NULL, NULL, 1), 2);
	CU_ASSERT_EQUAL(cp_sccp_resets_waiting(sccp), 1); /* one each second */
	CU_ASSERT_EQUAL((w[0].len > 0) + (w[1].len > 0), 1);
	CU_ASSERT_EQUAL(cp_sccp_reset(sccp, CP_SCCP_RESET_RESET, NULL, NULL, 0), 2); /* who waits is not told twice */
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
	CU_ASSERT_EQUAL(cp_sccp_reset(sccp, CP_SCCP_RESET_RESTART, NULL, NULL, 0), 2); /* the usual rate again: both at once */
	CU_ASSERT_EQUAL(cp_sccp_resets_waiting(sccp), 0);
	now_ms += 1000;
	cp_sccp_reset(sccp, CP_SCCP_RESET_RESTART, NULL, NULL, 1);
	cp_session_closed(p[0], CP_GONE_CLOSED); /* one of them waits: gone, with its place */
	cp_session_closed(p[1], CP_GONE_CLOSED);
	CU_ASSERT_EQUAL(cp_sccp_resets_waiting(sccp), 0);
	CU_ASSERT_FALSE(cp_sccp_reset_one(sccp, NAME, CP_SCCP_RESET_RESET));
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

static int teardown(void)
{
	cp_sccp_destroy(sccp);
	return 0;
}

static CU_TestInfo tests[] = {
	{"clear registration", test_clear_registration},
	{"admission: every refusal and its alarm", test_admission},
	{"strangers cannot fill the alarm list", test_strangers_cannot_fill_the_alarms},
	{"a new registration takes over only when proven", test_replacement},
	{"start-up requests are answered", test_startup},
	{"an old phone gets old layouts", test_old_phone},
	{"before registration little is heard", test_before_registration},
	{"up-calls", test_up_calls},
	{"down-calls", test_down_calls},
	{"keys only to encrypted phones", test_keys_only_when_encrypted},
	{"keep-alive timeout", test_keepalive_timeout},
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
