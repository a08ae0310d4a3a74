/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Security profiles, SRST references and the cluster's settings: their rules, as records, and as the commands change them; what an
 * export holds is what an import makes.
 * Rows: 000:P0-42; 001:P1-078, P1-140; 004b:SEC-02, SEC-03, SEC-23, SRST-09, SRST-11; 004c:SR-01.
 */
#include <errno.h>
#include <event2/event.h>
#include <jansson.h>

#include "admin/admin.h"
#include "store/change.h"
#include "store/phonecfg.h"
#include "store_tmp.h"
#include "suite.h"

#define PHONE "SEP0A1B2C3D4E51"
#define OTHER "SEP0A1B2C3D4E52"

static struct event_base *base;
static struct cp_store *store;
static struct cp_admin *admin;
static char *answer;
static volatile int answered;

static void got(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	free(answer);
	answer = strndup(line, len);
	answered = 1;
}

/* One request; what it answers. */
static const char *ask(const char *request)
{
	answered = 0;
	cp_admin_input(admin, request, strlen(request), got, NULL);
	wait_for(base, &answered);
	CU_ASSERT_FATAL(answered);
	return answer;
}

#define OK(request) CU_ASSERT_PTR_NOT_NULL(strstr(ask(request), "{\"ok\":true"))
#define NO(request, code, text)                                                                    \
	do {                                                                                       \
		const char *a_ = ask(request);                                                     \
		CU_ASSERT_PTR_NOT_NULL(strstr(a_, "\"code\":\"" code "\""));                       \
		CU_ASSERT_PTR_NOT_NULL(strstr(a_, text));                                          \
	} while (0)

/* Not the signer: the bound name and the secret turned over. */
static int seal(void *ctx, const uint8_t *clear, size_t len, const char *aad, struct cp_buf *ret)
{
	size_t n = strlen(aad);

	(void)ctx;
	ret->data = malloc(n + len);
	memcpy(ret->data, aad, n);
	for (size_t i = 0; i < len; i++)
		ret->data[n + i] = (uint8_t)(clear[i] ^ 0xff);
	ret->len = n + len;
	return 0;
}

static void up(void)
{
	struct cp_admin_backend be = {.version = "test", .seal = seal};
	struct cp_store_opts o = {.path = tmp_store};
	char err[256];

	tmp_make();
	base = event_base_new();
	o.base = base;
	CU_ASSERT_FATAL(cp_store_open(&o, &store, err, sizeof(err)) == 0);
	admin = cp_admin_create(base);
	be.store = store;
	CU_ASSERT_FATAL(cp_admin_commands(admin, &be) == 0);
}

static void down(void)
{
	cp_admin_destroy(admin);
	cp_store_close(store);
	event_base_free(base);
	free(answer);
	answer = NULL;
	tmp_remove();
}

/* 000, P0-57, P0-59; 001:P1-137; 004b:R-22; wire formats section 3 */
static void test_rules(void)
{
	static const struct {
		struct cp_profile p;
		const char *why; /* NULL: fine */
	} rows[] = {
		{{.mode = 3}, NULL},
		{{.mode = 0}, "unknown"},
		{{.mode = 3, .protocol = CP_PROTOCOL_SIP, .transport = CP_TRANSPORT_TLS, .oauth = true}, NULL},
		{{.mode = 3, .protocol = CP_PROTOCOL_SIP, .transport = CP_TRANSPORT_TLS, .oauth = true, .digest = true},
		 "OAuth and digest"},
		{{.mode = 3, .protocol = CP_PROTOCOL_SIP, .transport = CP_TRANSPORT_TLS, .oauth = true, .encrypted_config = true},
		 "OAuth and encrypted"},
		{{.mode = 2, .protocol = CP_PROTOCOL_SIP, .transport = CP_TRANSPORT_TLS, .oauth = true}, "OAuth needs"},
		{{.mode = 3, .protocol = CP_PROTOCOL_SIP, .oauth = true}, "OAuth needs"},
		{{.mode = 3, .protocol = CP_PROTOCOL_SCCP, .digest = true}, "protocol sip"},
		{{.mode = 3, .protocol = CP_PROTOCOL_SIP, .transport = CP_TRANSPORT_TCP}, "needs transport tls"},
		{{.mode = 1, .protocol = CP_PROTOCOL_SIP, .transport = CP_TRANSPORT_TLS}, "needs mode"},
		{{.mode = 1, .protocol = CP_PROTOCOL_SIP, .transport = CP_TRANSPORT_UDP, .digest = true}, NULL},
		{{.mode = 1, .capf_auth = CP_CAPF_STRING}, NULL},
		{{.mode = 2, .capf_auth = CP_CAPF_STRING}, "authentication string"},
		{{.mode = 3, .encrypted_config = true, .capf_key = "ec-p256"}, "cannot unwrap"},
		{{.mode = 3, .encrypted_config = true, .capf_key = "rsa-2048"}, NULL},
		{{.mode = 3, .capf_key = "dsa"}, "CAPF key"},
		{{.mode = 3, .capf_key = "ec-p384", .capf_backup = "rsa-2048"}, NULL},
		{{.mode = 3, .capf_key = "ec-p384", .capf_backup = "ec-p256"}, "CAPF backup"},
		{{.mode = 3, .capf_key = "rsa-2048", .capf_backup = "rsa-2048"}, "CAPF backup"},
		{{.mode = 3, .capf_backup = "rsa-2048"}, "CAPF backup"},
		{{.mode = 3, .load = "../x"}, "no file name"},
		{{.mode = 3, .user_locale = "a/b"}, "no file name"},
		{{.mode = 3, .ciphers_off = "1;2"}, "ciphers"},
		{{.mode = 3, .harden = {{9}}}, "pcPort"},
		{{.mode = 3, .harden = {{CP_SET_RESTRICTED}}}, "pcPort"},
		{{.mode = 3, .nonce_s = 86401}, "nonce"},
	};
	char why[300];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cp_profile p = rows[i].p;
		struct cp_buf b = {0};

		strcpy(p.name, "x");
		why[0] = '\0';
		CU_ASSERT_EQUAL(cp_profile_check(&p, why, sizeof(why)), rows[i].why == NULL ? 0 : -EINVAL);
		CU_ASSERT(rows[i].why == NULL || strstr(why, rows[i].why) != NULL);
		CU_ASSERT_EQUAL(cp_profile_build(&p, &b), rows[i].why == NULL ? 0 : -EINVAL); /* nothing wrong is ever written */
		if (rows[i].why == NULL)
			free(b.data);
	}
}

static void cut_everywhere(const struct cp_buf *v, int (*parse)(const uint8_t *data, size_t len))
{
	for (size_t n = 0; n < v->len; n++) {
		uint8_t *cut = malloc(n > 0 ? n : 1);

		memcpy(cut, v->data, n);
		parse(cut, n); /* a record without its last fields may be valid: it must only not run past its end */
		free(cut);
	}
	CU_ASSERT(parse(v->data, 1) < 0 && parse(v->data, v->len - 1) < 0);
}

#define PARSER(st)                                                 \
	static int parse_##st(const uint8_t *data, size_t len)     \
	{                                                          \
		struct st rec;                                     \
		int rc = st##_parse(data, len, &rec);              \
                                                                   \
		if (rc == 0)                                       \
			st##_free(&rec);                           \
		return rc;                                         \
	}
PARSER(cp_profile)
PARSER(cp_srst)
PARSER(cp_cluster)

static void test_records(void)
{
	struct cp_profile p = {.name = "p", .description = "d", .protocol = 2, .mode = 1, .transport = 2, .digest = true,
			       .digest_exclude = true, .no_verify = true, .capf_auth = 1, .capf_key = "ec-p256", .capf_backup = "rsa-1024", .port = 5070,
			       .nonce_s = 60, .load = "l", .user_locale = "u", .network_locale = "n", .srst = "s",
			       .ciphers_off = "1", .changed_us = 5};
	struct cp_srst_addr addr[3] = {0};
	struct cp_srst s = {.name = "s", .addr_cnt = 3, .addrs = addr, .secure = true, .cert_port = 2446};
	struct cp_cluster c = {.sip_oauth = true, .realm = "r", .resumption_s = 9, .url = {"http://a/"}}, c2;
	struct cp_profile p2;
	struct cp_srst s2;
	struct cp_buf v;

	for (unsigned i = 0; i < CP_HARDEN_CNT; i++)
		p.harden.v[i] = CP_SET_ON;
	CU_ASSERT_FATAL(cp_profile_build(&p, &v) == 0);
	CU_ASSERT_FATAL(cp_profile_parse(v.data, v.len, &p2) == 0);
	CU_ASSERT(memcmp(&p, &p2, sizeof(p)) == 0);
	cut_everywhere(&v, parse_cp_profile);
	free(v.data);
	for (unsigned i = 0; i < 3; i++) {
		cfg_addr_parse("192.0.2.1:2000", &addr[i].sccp);
		cfg_addr_parse("[2001:db8::1]:5061", &addr[i].sip);
	}
	CU_ASSERT_FATAL(cp_srst_build(&s, &v) == 0);
	CU_ASSERT_FATAL(cp_srst_parse(v.data, v.len, &s2) == 0);
	CU_ASSERT(s2.addr_cnt == 3 && memcmp(s2.addrs, addr, sizeof(addr)) == 0 && s2.cert_port == 2446 && s2.secure);
	cp_srst_free(&s2);
	cut_everywhere(&v, parse_cp_srst);
	free(v.data);
	CU_ASSERT_FATAL(cp_cluster_build(&c, &v) == 0);
	CU_ASSERT_FATAL(cp_cluster_parse(v.data, v.len, &c2) == 0);
	CU_ASSERT(memcmp(&c, &c2, sizeof(c)) == 0);
	cut_everywhere(&v, parse_cp_cluster);
	free(v.data);
}

static void test_commands(void)
{
	const struct cp_device *d;

	up();
	OK("{\"cmd\":\"profile.add\",\"args\":{\"name\":\"std\",\"mode\":\"authenticated\",\"harden\":{\"garp\":\"off\"}}}");
	NO("{\"cmd\":\"profile.add\",\"args\":{\"name\":\"std\"}}", "exists", "std");
	NO("{\"cmd\":\"profile.add\",\"args\":{\"name\":\"a b\"}}", "invalid", "a b");
	NO("{\"cmd\":\"profile.add\",\"args\":{\"name\":\"x\",\"colour\":\"red\"}}", "invalid", "colour");
	NO("{\"cmd\":\"profile.add\",\"args\":{\"name\":\"x\",\"port\":-1}}", "invalid", "port");
	NO("{\"cmd\":\"profile.add\",\"args\":{\"name\":\"x\",\"harden\":{\"garp\":\"maybe\"}}}", "invalid", "maybe");
	NO("{\"cmd\":\"profile.set\",\"args\":{\"name\":\"none\",\"mode\":\"encrypted\"}}", "not-found", "none");
	NO("{\"cmd\":\"device.add\",\"args\":{\"name\":\"" PHONE "\",\"profile\":\"none\"}}", "invalid", "no profile none");
	OK("{\"cmd\":\"device.add\",\"args\":{\"name\":\"" PHONE "\",\"profile\":\"std\",\"lines\":[\"1001\"]}}");
	OK("{\"cmd\":\"device.add\",\"args\":{\"name\":\"" OTHER "\",\"mode\":\"nonsecure\"}}");
	d = cp_dir_device(store, PHONE);
	CU_ASSERT_FATAL(d != NULL);
	CU_ASSERT_EQUAL(d->mode, CP_DEVICE_AUTHENTICATED); /* the profile's */
	NO("{\"cmd\":\"profile.del\",\"args\":{\"name\":\"std\"}}", "in-use", PHONE);
	/* a profile's mode takes its devices along, and only them */
	OK("{\"cmd\":\"profile.set\",\"args\":{\"name\":\"std\",\"mode\":\"encrypted\"}}");
	CU_ASSERT_EQUAL(cp_dir_device(store, PHONE)->mode, CP_DEVICE_ENCRYPTED);
	CU_ASSERT_EQUAL(cp_dir_device(store, PHONE)->line_cnt, 1);
	CU_ASSERT_EQUAL(cp_dir_device(store, OTHER)->mode, CP_DEVICE_NONSECURE);
	CU_ASSERT_PTR_NOT_NULL(strstr(ask("{\"cmd\":\"profile.show\",\"args\":{\"name\":\"std\"}}"), "\"devices\":1"));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\"garp\":\"off\"")); /* what was not given stayed */
	/* a SIP profile is not for an SCCP phone, nor becomes one under its phones */
	OK("{\"cmd\":\"profile.add\",\"args\":{\"name\":\"sip\",\"protocol\":\"sip\",\"transport\":\"tls\",\"digest\":true}}");
	OK("{\"cmd\":\"device.set\",\"args\":{\"name\":\"" OTHER "\",\"protocol\":\"sccp\"}}");
	NO("{\"cmd\":\"device.set\",\"args\":{\"name\":\"" OTHER "\",\"profile\":\"sip\"}}", "invalid", "sccp phone");
	NO("{\"cmd\":\"profile.set\",\"args\":{\"name\":\"std\",\"protocol\":\"sip\"}}", "in-use", PHONE);
	OK("{\"cmd\":\"device.set\",\"args\":{\"name\":\"" PHONE "\",\"profile\":\"\"}}");
	CU_ASSERT_EQUAL(cp_dir_device(store, PHONE)->mode, CP_DEVICE_ENCRYPTED); /* what it had */
	OK("{\"cmd\":\"profile.del\",\"args\":{\"name\":\"std\"}}");
	NO("{\"cmd\":\"profile.show\",\"args\":{\"name\":\"std\"}}", "not-found", "std");
	down();
}

static void test_srst(void)
{
	up();
	NO("{\"cmd\":\"srst.add\",\"args\":{\"name\":\"b\"}}", "invalid", "1 to 3 addresses");
	NO("{\"cmd\":\"srst.add\",\"args\":{\"name\":\"b\",\"addresses\":[\"x\"]}}", "invalid", "address");
	NO("{\"cmd\":\"srst.add\",\"args\":{\"name\":\"b\",\"addresses\":[\"192.0.2.1\"],\"cert_port\":80}}", "invalid", "1024 to 49151");
	OK("{\"cmd\":\"srst.add\",\"args\":{\"name\":\"b\",\"addresses\":[\"192.0.2.1:2000/192.0.2.2\"],\"secure\":true}}");
	CU_ASSERT_PTR_NOT_NULL(strstr(ask("{\"cmd\":\"srst.show\",\"args\":{\"name\":\"b\"}}"), "192.0.2.1:2000/192.0.2.2"));
	NO("{\"cmd\":\"srst.cert\",\"args\":{\"name\":\"b\",\"data\":\"bm8gY2VydGlmaWNhdGU=\"}}", "invalid", "no certificate");
	NO("{\"cmd\":\"device.add\",\"args\":{\"name\":\"" PHONE "\",\"srst\":\"c\"}}", "invalid", "no SRST reference c");
	OK("{\"cmd\":\"device.add\",\"args\":{\"name\":\"" PHONE "\",\"srst\":\"b\"}}");
	NO("{\"cmd\":\"srst.del\",\"args\":{\"name\":\"b\"}}", "in-use", PHONE);
	OK("{\"cmd\":\"device.set\",\"args\":{\"name\":\"" PHONE "\",\"srst\":\"\"}}");
	OK("{\"cmd\":\"cluster.set\",\"args\":{\"srst\":\"b\",\"realm\":\"example\"}}");
	NO("{\"cmd\":\"srst.del\",\"args\":{\"name\":\"b\"}}", "in-use", "the cluster");
	OK("{\"cmd\":\"cluster.set\",\"args\":{\"srst\":\"\"}}");
	CU_ASSERT_PTR_NOT_NULL(strstr(ask("{\"cmd\":\"cluster.show\"}"), "\"realm\":\"example\""));
	OK("{\"cmd\":\"srst.del\",\"args\":{\"name\":\"b\"}}");
	down();
}

/* 001:P1-131, P1-134. Never in clear in a record, an answer or the audit; bound to the device. */
static void stored(void *ctx, int rc)
{
	(void)ctx;
	CU_ASSERT_EQUAL(rc, 0);
	answered = 1;
}

static struct cp_change *change(void)
{
	return cp_change_create(store);
}

/* On its way to the store: nothing of it is in the view yet. */
static void begin_change(struct cp_change *c, int rc)
{
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	answered = 0;
	CU_ASSERT_EQUAL_FATAL(cp_change_submit(c, "test", "test", NULL, stored, NULL), 0);
}

static void refused_until_stored(struct cp_change *c, int rc)
{
	CU_ASSERT_EQUAL(rc, -EBUSY);
	cp_change_destroy(c);
	CU_ASSERT(wait_for(base, &answered));
}

/* What uses what, while one of the two is on its way: whichever comes second waits. */
static void test_in_flight(void)
{
	struct cp_profile p = {.name = "p", .mode = CP_DEVICE_ENCRYPTED}, sip = {.name = "p", .mode = CP_DEVICE_ENCRYPTED, .protocol = CP_PROTOCOL_SIP};
	struct cp_profile with = {.name = "q", .mode = CP_DEVICE_ENCRYPTED, .srst = "b"};
	struct cp_device d = {.name = PHONE, .region = "default", .mode = CP_DEVICE_ENCRYPTED, .profile = "p"};
	struct cp_device away = {.name = OTHER, .region = "default", .mode = CP_DEVICE_ENCRYPTED, .srst = "b"};
	struct cp_cluster cl = {.srst = "b"}, none = {.srst = ""};
	struct cp_change *c, *then;
	char why[200];

	up();
	OK("{\"cmd\":\"srst.add\",\"args\":{\"name\":\"b\",\"addresses\":[\"192.0.2.1\"]}}");
	OK("{\"cmd\":\"profile.add\",\"args\":{\"name\":\"p\",\"mode\":\"encrypted\"}}");
	/* it goes: nobody begins to use it */
	c = change();
	begin_change(c, cp_change_srst_del(c, "b", why, sizeof(why)));
	then = change();
	CU_ASSERT_EQUAL(cp_change_cluster_put(then, &cl, why, sizeof(why)), -EBUSY);
	CU_ASSERT_EQUAL(cp_change_profile_put(then, &with, false, why, sizeof(why)), -EBUSY);
	refused_until_stored(then, cp_change_device_put(then, &away, false, why, sizeof(why)));
	OK("{\"cmd\":\"srst.add\",\"args\":{\"name\":\"b\",\"addresses\":[\"192.0.2.1\"]}}");
	/* somebody begins to use it: it stays */
	c = change();
	begin_change(c, cp_change_cluster_put(c, &cl, why, sizeof(why)));
	then = change();
	refused_until_stored(then, cp_change_srst_del(then, "b", why, sizeof(why)));
	c = change();
	CU_ASSERT_EQUAL(cp_change_srst_del(c, "b", why, sizeof(why)), -EPROTO);
	begin_change(c, cp_change_cluster_put(c, &none, why, sizeof(why)));
	CU_ASSERT(wait_for(base, &answered));
	c = change();
	begin_change(c, cp_change_profile_put(c, &with, false, why, sizeof(why)));
	then = change();
	refused_until_stored(then, cp_change_srst_del(then, "b", why, sizeof(why)));
	/* in one change: as it will be */
	c = change();
	CU_ASSERT_EQUAL(cp_change_cluster_put(c, &cl, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(cp_change_profile_del(c, "q", why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(cp_change_srst_del(c, "b", why, sizeof(why)), -EPROTO);
	CU_ASSERT_EQUAL(cp_change_cluster_put(c, &none, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(cp_change_srst_del(c, "b", why, sizeof(why)), 0);
	cp_change_destroy(c);
	/* a phone comes to a profile whose protocol changes under it */
	c = change();
	begin_change(c, cp_change_device_put(c, &d, false, why, sizeof(why)));
	then = change();
	refused_until_stored(then, cp_change_profile_put(then, &sip, true, why, sizeof(why)));
	then = change();
	CU_ASSERT_EQUAL(cp_change_profile_put(then, &p, true, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(cp_change_profile_put(then, &sip, true, why, sizeof(why)), -EPROTO);
	cp_change_destroy(then);
	down();
}

static void test_secrets(void)
{
	const struct cp_device *d;

	up();
	OK("{\"cmd\":\"device.add\",\"args\":{\"name\":\"" PHONE "\"}}");
	NO("{\"cmd\":\"device.set\",\"args\":{\"name\":\"" PHONE "\",\"config_key_hex\":\"12\"}}", "invalid", "32 hex digits");
	OK("{\"cmd\":\"device.set\",\"args\":{\"name\":\"" PHONE "\",\"digest_user\":\"ann\",\"digest_password\":\"s3cr3t-w0rd\","
	   "\"config_key_hex\":\"000102030405060708090a0b0c0d0e0f\"}}");
	CU_ASSERT_PTR_NULL(strstr(answer, "s3cr3t"));
	d = cp_dir_device(store, PHONE);
	CU_ASSERT(d->digest_secret.len == strlen("digest/" PHONE) + 11 &&
		  memcmp(d->digest_secret.data, "digest/" PHONE, strlen("digest/" PHONE)) == 0);
	CU_ASSERT(d->config_key.len == strlen("config-key/" PHONE) + 16);
	CU_ASSERT_PTR_NULL(strstr(ask("{\"cmd\":\"device.show\",\"args\":{\"name\":\"" PHONE "\"}}"), "s3cr3t"));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "digest_secret"));
	CU_ASSERT_PTR_NULL(strstr(ask("{\"cmd\":\"show.audit\"}"), "s3cr3t"));
	OK("{\"cmd\":\"device.set\",\"args\":{\"name\":\"" PHONE "\",\"digest_user\":\"\"}}"); /* nobody's secret */
	CU_ASSERT_EQUAL(cp_dir_device(store, PHONE)->digest_secret.len, 0);
	CU_ASSERT(cp_dir_device(store, PHONE)->config_key.len > 0);
	down();
}

/* What an export holds, an import makes: all or nothing. */
static void test_import(void)
{
	json_t *o, *result, *args;
	char *text, *before;

	up();
	OK("{\"cmd\":\"import\",\"args\":{\"cluster\":{\"sip_oauth\":true,\"time_zone\":\"X\"},"
	   "\"srst\":[{\"name\":\"b\",\"addresses\":[\"192.0.2.1\"]}],"
	   "\"profiles\":[{\"name\":\"std\",\"mode\":\"authenticated\",\"srst\":\"b\",\"harden\":{\"webAccess\":\"off\"}}],"
	   "\"devices\":[{\"name\":\"" PHONE "\",\"profile\":\"std\",\"load\":\"x\",\"lines\":[\"1001\"],\"harden\":{\"garp\":\"off\"}}]}}");
	OK("{\"cmd\":\"device.set\",\"args\":{\"name\":\"" PHONE "\",\"digest_user\":\"ann\",\"digest_password\":\"pw\"}}");
	before = strdup(ask("{\"cmd\":\"export\"}"));
	o = json_loads(before, 0, NULL);
	result = json_object_get(o, "result");
	CU_ASSERT_FATAL(json_is_object(result));
	down();
	up(); /* an empty store */
	args = json_pack("{s:s,s:O}", "cmd", "import", "args", result);
	text = json_dumps(args, JSON_COMPACT);
	OK(text);
	CU_ASSERT_EQUAL(cp_dir_device(store, PHONE)->mode, CP_DEVICE_AUTHENTICATED);
	{
		json_t *again = json_loads(ask("{\"cmd\":\"export\"}"), 0, NULL), *a, *b;
		static const char *const lists[] = {"profiles", "srst", "devices"};

		for (unsigned i = 0; i < 3; i++) {
			a = json_array_get(json_object_get(result, lists[i]), 0);
			b = json_array_get(json_object_get(json_object_get(again, "result"), lists[i]), 0);
			json_object_del(a, "changed_us");
			json_object_del(b, "changed_us");
			CU_ASSERT(json_equal(a, b));
		}
		json_decref(again);
	}
	/* one wrong, none written */
	NO("{\"cmd\":\"import\",\"args\":{\"profiles\":[{\"name\":\"new\"},{\"name\":\"bad\",\"digest\":true}]}}", "invalid", "1 of 2");
	NO("{\"cmd\":\"profile.show\",\"args\":{\"name\":\"new\"}}", "not-found", "new");
	free(text);
	free(before);
	json_decref(args);
	json_decref(o);
	down();
}

static CU_TestInfo tests[] = {
	{"rules of profiles", test_rules},
	{"records, cut anywhere", test_records},
	{"profiles by command, applied to devices", test_commands},
	{"SRST references and the cluster", test_srst},
	{"what is on its way is used, or goes", test_in_flight},
	{"secrets are sealed", test_secrets},
	{"export and import", test_import},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("profile", tests, NULL, NULL)
