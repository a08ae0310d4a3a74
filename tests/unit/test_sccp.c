/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/sccp/sccp.c joined with net/ by front.c: phones register over loopback, TLS 1.2, TLS 1.3 and
 * clear, and each refusal, in the handshake or after it, raises its own alarm. 1,000 idle strangers
 * do not disturb a phone.
 * Rows: 001:P1-051; 004a:AUT-03.
 */
#include <errno.h>
#include <stdio.h>

#include <CUnit/CUnit.h>

#include "log.h"
#include "sccp/cursor.h"
#include "sccp/front.h"
#include "sccp/msg.h"
#include "sccp/sccp.h"
#include "tls_peer.h"
#include "x509.h"

#define NAME "SEP0A1B2C3D4E51"

static struct event_base *base;
static struct tp_id ca, other_ca, server, lsc, mic, wrong, stranger, expired;
static struct cp_fronts *fronts;
static struct cp_tls *tls;
static struct cp_sccp *sccp;
static uint16_t clear_port, tls_port;
static struct cp_line line = {.number = "1001", .label = "Alice"};
static struct cp_device device = {
	.name = NAME, .mode = CP_DEVICE_ENCRYPTED, .srtp = true, .lines = &line, .line_cnt = 1};
static char alarm_id[64], alarm_subject[64];
static unsigned raised, registered, gone;
static struct cp_phone *phone;

static void up_registered(void *ctx, struct cp_phone *p)
{
	(void)ctx;
	registered++;
	phone = p;
}
static void up_gone(void *ctx, struct cp_phone *p, enum cp_phone_gone why)
{
	(void)ctx, (void)why;
	gone++;
	if (phone == p)
		phone = NULL;
}
static void up_hook(void *ctx, struct cp_phone *p, uint32_t l, uint32_t ref)
{
	(void)ctx, (void)p, (void)l, (void)ref;
}
static void up_digit(void *ctx, struct cp_phone *p, char digit, uint32_t l, uint32_t ref)
{
	(void)ctx, (void)p, (void)digit, (void)l, (void)ref;
}
static void up_enbloc(void *ctx, struct cp_phone *p, const char *number, uint32_t l)
{
	(void)ctx, (void)p, (void)number, (void)l;
}
static void up_softkey(void *ctx, struct cp_phone *p, uint32_t event, uint32_t l, uint32_t ref)
{
	(void)ctx, (void)p, (void)event, (void)l, (void)ref;
}
static void up_orc(void *ctx, struct cp_phone *p, uint32_t status, const struct cfg_addr *media,
                   uint32_t party, uint32_t ref)
{
	(void)ctx, (void)p, (void)status, (void)media, (void)party, (void)ref;
}
static void up_smt(void *ctx, struct cp_phone *p, uint32_t status, uint32_t party, uint32_t ref)
{
	(void)ctx, (void)p, (void)status, (void)party, (void)ref;
}
static void up_caps(void *ctx, struct cp_phone *p)
{
	(void)ctx, (void)p;
}

static const struct cp_call_ops call_ops = {up_registered, up_gone,   up_hook,    up_hook,
                                            up_digit,      up_enbloc, up_softkey, up_orc,
                                            up_smt,        up_hook,   up_caps,    NULL};

static const struct cp_device *find_device(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, device.name) == 0 ? &device : NULL;
}

static void alarm_cb(void *ctx, const char *id, const char *subject, const char *text)
{
	(void)ctx;
	if (text == NULL)
		return;
	raised++;
	snprintf(alarm_id, sizeof(alarm_id), "%s", id);
	snprintf(alarm_subject, sizeof(alarm_subject), "%s", subject);
}

static void start(enum cp_device_mode mode, uint32_t handshake_ms)
{
	const struct cfg_addr any = {.family = 4, .plen = 32, .ip = {127, 0, 0, 1}};
	struct cp_fronts_opts fopts = {
		.base = base,
		.loops = 3,
		.net = {.max_conns = 4096, .max_preauth = 2048, .handshake_ms = handshake_ms},
	};
	const struct cp_sccp_opts opts = {.base = base,
	                                  .find_device = find_device,
	                                  .cert_name = pki_name_device,
	                                  .alarm = alarm_cb,
	                                  .call = &call_ops,
	                                  .keepalive_s = 30, .grace_s = 45,
	                                  .date_template = "D/M/Y",
	                                  .server_name = "cm1"};
	STACK_OF(X509) *trust = sk_X509_new_null();
	struct cp_tls_identity ident = {server.key, server.cert, NULL, trust};
	char err[200];

	device.mode = mode;
	raised = registered = gone = 0;
	alarm_id[0] = alarm_subject[0] = '\0';
	sk_X509_push(trust, ca.cert);
	if (cp_tls_create(CP_TLS_MODERN, false, &tls) != 0 ||
	    cp_tls_load(tls, &ident, err, sizeof(err)) != 0 ||
	    cp_sccp_create(&opts, &sccp) != 0)
		abort();
	fopts.sccp = sccp;
	if (cp_fronts_create(&fopts, &fronts) != 0 || cp_fronts_listen(fronts, &any, NULL, &clear_port) != 0 ||
	    cp_fronts_listen(fronts, &any, tls, &tls_port) != 0)
		abort();
	sk_X509_free(trust);
}

static void stop(void)
{
	cp_fronts_destroy(fronts);
	cp_sccp_destroy(sccp);
	event_base_loop(base, EVLOOP_NONBLOCK);
	cp_tls_destroy(tls);
}

static struct cp_net_stats now(void)
{
	struct cp_net_stats st;

	cp_fronts_stats(fronts, &st);
	return st;
}

static void say(struct tp_client *c, uint32_t id, const void *body, size_t len)
{
	uint8_t b[512];
	struct cp_sccp_w w = {b, sizeof(b), 0, false};

	cp_w_u32(&w, (uint32_t)(4 + len));
	cp_w_u32(&w, 0);
	cp_w_u32(&w, id);
	cp_w_bytes(&w, body, len);
	bufferevent_write(c->bev, b, w.len);
}

static void say_register(struct tp_client *c, const char *name)
{
	uint8_t body[124] = {0};

	memcpy(body, name, strlen(name));
	body[40] = 17;
	body[43] = 0x85;
	say(c, CP_SCCP_REGISTER, body, sizeof(body));
}

/* Id of the first frame that comes back; UINT32_MAX: none, closed or silent. */
static uint32_t answer(struct tp_client *c)
{
	uint8_t head[12];
	struct cp_sccp_r r = {head, sizeof(head), false};

	TP_PUMP(base, tp_have(c) >= 12 || c->closed, 3000);
	if (tp_have(c) < 12)
		return UINT32_MAX;
	evbuffer_copyout(bufferevent_get_input(c->bev), head, sizeof(head));
	cp_r_skip(&r, 8);
	return cp_r_u32(&r);
}

/* A frame that is all there goes. */
static bool skip_frame(struct tp_client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	uint8_t head[4];
	struct cp_sccp_r r = {head, sizeof(head), false};
	size_t len;

	if (evbuffer_copyout(in, head, sizeof(head)) != sizeof(head))
		return false;
	len = 8 + cp_r_u32(&r);
	return evbuffer_get_length(in) >= len && evbuffer_drain(in, len) == 0;
}

/* It gets its answer, among whatever else it is told. */
static bool alive(struct tp_client *c)
{
	uint32_t id;

	say(c, CP_SCCP_KEEPALIVE, "", 0);
	while ((id = answer(c)) != CP_SCCP_KEEPALIVE_ACK && id != UINT32_MAX) {
		TP_PUMP(base, skip_frame(c), 3000);
	}
	skip_frame(c);
	return id == CP_SCCP_KEEPALIVE_ACK;
}

static void test_good_certificates(void)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	for (int i = 0; i < 4; i++) {
		struct tp_client c;
		json_t *list;

		start(CP_DEVICE_ENCRYPTED, 60000);
		tp_open(&c, base, tls_port, versions[i % 2], i < 2 ? &lsc : &mic);
		say_register(&c, NAME);
		CU_ASSERT_EQUAL(answer(&c), CP_SCCP_REGISTER_ACK);
		CU_ASSERT(registered == 1 && raised == 0 && phone != NULL);
		CU_ASSERT(phone != NULL && cp_phone_security(phone) == CP_PHONE_ENCRYPTED);
		CU_ASSERT_TRUE(alive(&c));
		list = cp_sccp_show_registrations(sccp);
		CU_ASSERT_STRING_EQUAL(
			json_string_value(json_object_get(json_array_get(list, 0), "tls_version")),
			i % 2 ? "TLSv1.3" : "TLSv1.2");
		json_decref(list);
		TP_PUMP(base, now().preauth == 0, 3000);
		CU_ASSERT_EQUAL(now().preauth, 0);
		tp_close(&c);
		TP_PUMP(base, gone == 1, 2000);
		CU_ASSERT_EQUAL(gone, 1);
		stop();
	}
}

static const struct {
	const char *what;
	struct tp_id *id;
	int version; /* 0: clear */
	enum cp_device_mode mode;
	const char *name, *alarm, *subject;
	bool rejected; /* by a message; else in the handshake */
} refusals[] = {
	{"wrong name", &wrong, TLS1_2_VERSION, CP_DEVICE_ENCRYPTED, NAME, "sccp-cert-name", NAME,
         true},
	{"wrong name", &wrong, TLS1_3_VERSION, CP_DEVICE_ENCRYPTED, NAME, "sccp-cert-name", NAME,
         true},
	{"untrusted", &stranger, TLS1_2_VERSION, CP_DEVICE_ENCRYPTED, NAME, "sccp-cert-untrusted",
         NAME, false},
	{"untrusted", &stranger, TLS1_3_VERSION, CP_DEVICE_ENCRYPTED, NAME, "sccp-cert-untrusted",
         NAME, false},
	{"expired", &expired, TLS1_2_VERSION, CP_DEVICE_ENCRYPTED, NAME, "sccp-cert-expired", NAME,
         false},
	{"expired", &expired, TLS1_3_VERSION, CP_DEVICE_ENCRYPTED, NAME, "sccp-cert-expired", NAME,
         false},
	{"no certificate", NULL, TLS1_2_VERSION, CP_DEVICE_ENCRYPTED, NAME, "sccp-cert-missing",
         "127.0.0.1", false},
	{"no certificate", NULL, TLS1_3_VERSION, CP_DEVICE_ENCRYPTED, NAME, "sccp-cert-missing",
         "127.0.0.1", false},
	{"encrypted device in clear", NULL, 0, CP_DEVICE_ENCRYPTED, NAME, "sccp-clear-registration",
         NAME, true},
	{"unknown device", NULL, 0, CP_DEVICE_ENCRYPTED, "SEPFFFFFFFFFFFF", "sccp-unknown-device",
         "127.0.0.1", true},
};

static void test_refusals(void)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		struct tp_client c;

		start(refusals[i].mode, 60000);
		tp_open(&c, base, refusals[i].version != 0 ? tls_port : clear_port,
		        refusals[i].version, refusals[i].id);
		say_register(&c, refusals[i].name);
		TP_PUMP(base, raised == 1, 3000);
		if (answer(&c) != (refusals[i].rejected ? CP_SCCP_REGISTER_REJECT : UINT32_MAX) ||
		    raised != 1 || registered != 0 || strcmp(alarm_id, refusals[i].alarm) != 0 ||
		    strcmp(alarm_subject, refusals[i].subject) != 0) {
			fprintf(stderr, "%s: alarm %s of %s\n", refusals[i].what, alarm_id,
			        alarm_subject);
			CU_FAIL("refusal");
		}
		TP_PUMP(base, c.closed, 3000);
		CU_ASSERT_TRUE(c.closed);
		tp_close(&c);
		TP_PUMP(base, now().conns == 0, 3000);
		CU_ASSERT_EQUAL(now().conns, 0);
		stop();
	}
}

static void test_replaced_over_tls(void)
{
	struct tp_client first, second;

	start(CP_DEVICE_ENCRYPTED, 60000);
	tp_open(&first, base, tls_port, TLS1_3_VERSION, &lsc);
	say_register(&first, NAME);
	CU_ASSERT_EQUAL(answer(&first), CP_SCCP_REGISTER_ACK);
	tp_open(&second, base, tls_port, TLS1_3_VERSION, &mic);
	say_register(&second, NAME);
	CU_ASSERT_EQUAL(answer(&second), CP_SCCP_REGISTER_ACK);
	TP_PUMP(base, first.closed, 3000);
	CU_ASSERT(first.closed && registered == 2 && gone == 1);
	CU_ASSERT_TRUE(alive(&second));
	CU_ASSERT_PTR_EQUAL(cp_sccp_find(sccp, NAME), phone);
	tp_close(&first);
	tp_close(&second);
	stop();
}

/* A resumed TLS session proves the same device; tickets of an old context prove nothing. */
static void test_resumption(void)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	for (int i = 0; i < 2; i++) {
		STACK_OF(X509) *trust = sk_X509_new_null();
		struct cp_tls_identity ident = {server.key, server.cert, NULL, trust};
		SSL_SESSION *ticket;
		struct tp_client c;
		char err[200];

		start(CP_DEVICE_ENCRYPTED, 60000);
		tp_open(&c, base, tls_port, versions[i], &lsc);
		say_register(&c, NAME);
		CU_ASSERT_EQUAL(answer(&c), CP_SCCP_REGISTER_ACK);
		CU_ASSERT_TRUE(alive(&c));
		ticket = SSL_get1_session(bufferevent_openssl_get_ssl(c.bev));
		tp_close(&c);
		tp_open(&c, base, tls_port, versions[i], &lsc);
		SSL_set_session(bufferevent_openssl_get_ssl(c.bev), ticket);
		say_register(&c, "SEP0A1B2C3D4E52"); /* what it proves is still the first name */
		CU_ASSERT_EQUAL(answer(&c), CP_SCCP_REGISTER_REJECT);
		CU_ASSERT_EQUAL(SSL_session_reused(bufferevent_openssl_get_ssl(c.bev)), 1);
		CU_ASSERT_STRING_EQUAL(alarm_id, "sccp-cert-name");
		tp_close(&c);
		tp_open(&c, base, tls_port, versions[i], &lsc);
		SSL_set_session(bufferevent_openssl_get_ssl(c.bev), ticket);
		say_register(&c, NAME);
		CU_ASSERT_EQUAL(answer(&c), CP_SCCP_REGISTER_ACK);
		tp_close(&c);
		sk_X509_push(trust, other_ca.cert);
		CU_ASSERT_EQUAL(cp_tls_load(tls, &ident, err, sizeof(err)), 0);
		tp_open(&c, base, tls_port, versions[i], &lsc);
		SSL_set_session(bufferevent_openssl_get_ssl(c.bev), ticket);
		say_register(&c, NAME);
		CU_ASSERT_EQUAL(answer(&c), UINT32_MAX);
		TP_PUMP(base, strcmp(alarm_id, "sccp-cert-untrusted") == 0, 3000);
		CU_ASSERT_STRING_EQUAL(alarm_id, "sccp-cert-untrusted");
		tp_close(&c);
		SSL_SESSION_free(ticket);
		sk_X509_free(trust);
		stop();
	}
}

#define IDLE 1000

static void test_crowd_does_not_disturb(void)
{
	static int fds[IDLE];
	struct tp_client c;

	cp_net_fd_room(2 * IDLE + 200, NULL);
	start(CP_DEVICE_ENCRYPTED, 4000);
	tp_open(&c, base, tls_port, TLS1_3_VERSION, &lsc);
	say_register(&c, NAME);
	CU_ASSERT_EQUAL(answer(&c), CP_SCCP_REGISTER_ACK);
	for (int i = 0; i < IDLE; i++) {
		fds[i] = tp_connect(tls_port, 2 + i % 50);
		if (i % 3 == 0 &&
		    write(fds[i], "\x16\x03\x01", 3) != 3) /* every third begins a handshake */
			abort();
		if (i % 100 == 99)
			CU_ASSERT_TRUE(alive(&c));
	}
	TP_PUMP(base, now().closed[CP_CLOSE_TIMEOUT] == IDLE, 60000);
	CU_ASSERT_EQUAL(now().closed[CP_CLOSE_TIMEOUT], IDLE);
	CU_ASSERT(alive(&c) && gone == 0 && raised == 0 && now().conns == 1);
	for (int i = 0; i < IDLE; i++)
		close(fds[i]);
	tp_close(&c);
	stop();
}

static int setup(void)
{
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	base = event_base_new();
	ca = tp_issue("CAPF-test", NULL, -1000, 100000);
	other_ca = tp_issue("other CA", NULL, -1000, 100000);
	server = tp_issue("cm1", &ca, -1000, 100000);
	lsc = tp_issue(NAME, &ca, -1000, 100000);
	mic = tp_issue("CP-7942G-" NAME, &ca, -1000, 100000);
	wrong = tp_issue("SEP0A1B2C3D4E52", &ca, -1000, 100000);
	stranger = tp_issue(NAME, &other_ca, -1000, 100000);
	expired = tp_issue(NAME, &ca, -1000, -10);
	return base == NULL;
}

static int teardown(void)
{
	struct tp_id *ids[] = {&ca, &other_ca, &server, &lsc, &mic, &wrong, &stranger, &expired};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		tp_id_free(ids[i]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_free(base);
	return 0;
}

static CU_TestInfo tests[] = {
	{"LSC and MIC register over TLS 1.2 and 1.3", test_good_certificates},
	{"each refusal raises its alarm", test_refusals},
	{"a second registration replaces the first", test_replaced_over_tls},
	{"resumption proves no more and no less", test_resumption},
	{"a crowd of idle strangers does not disturb", test_crowd_does_not_disturb},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("sccp", tests, setup, teardown)
