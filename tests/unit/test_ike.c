/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IKE's steering against a charon that is none: what is loaded and when, who is begun with, what is shown, alarms, and what happens
 * when charon or the signer are away. The real one is in tests/scenario/ike.sh.
 */
#include <CUnit/CUnit.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <signal.h>
#include <sys/un.h>

#include "admin/admin.h"
#include "alarm.h"
#include "cert_fix.h"
#include "clock.h"
#include "ike/ike.h"
#include "ike/vici.h"
#include "offload.h"
#include "store/store.h"
#include "still_time.h"
#include "store_tmp.h"

#define SAID_MAX 65536

static struct {
	struct event_base *base;
	struct cp_store *store;
	struct cp_alarms *alarms;
	struct cp_offload *offload;
	struct cp_admin *admin;
	struct cp_ikes *ikes;
	/* charon */
	struct sockaddr_un addr;
	struct evconnlistener *listener;
	struct bufferevent *bev;
	char said[SAID_MAX]; /* " load-conn:gw1 initiate:gw1": what it was asked, in order */
	json_t *sas, *conns;
	const char *refuse;  /* a command that it refuses */
	/* signer */
	volatile int opened;
	int unseal_rc;
	struct cf_id root, middle, own; /* our certificate, issued by 'middle', that by 'root' */
	char answer[16384];
} t;

static void turn(unsigned ms)
{
	for (unsigned i = 0; i < ms; i++) {
		event_base_loop(t.base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
}

static bool asked(const char *what)
{
	char text[128];

	snprintf(text, sizeof(text), " %s ", what);
	return strstr(t.said, text) != NULL;
}

static unsigned times_asked(const char *what)
{
	char text[128];
	unsigned n = 0;

	snprintf(text, sizeof(text), " %s ", what);
	for (const char *p = t.said; (p = strstr(p, text)) != NULL; p++)
		n++;
	return n;
}

/* Turns the loop until it was asked; a minute: between two beginnings of ours lie up to 40 s. */
static bool soon(const char *what)
{
	for (unsigned i = 0; i < 60000 && !asked(what); i++)
		turn(1);
	return asked(what);
}

/* --- charon --- */

static void put(struct cp_vici_msg *msg)
{
	CU_ASSERT_EQUAL_FATAL(cp_vici_msg_end(msg), 0);
	bufferevent_write(t.bev, msg->wr.buf, msg->wr.len);
	cp_vici_msg_destroy(msg);
}

static void write_json(struct cp_vici_msg *msg, json_t *o)
{
	const char *name;
	json_t *v, *item;
	size_t i;

	json_object_foreach(o, name, v) {
		if (json_is_object(v)) {
			cp_vici_section(msg, name);
			write_json(msg, v);
			cp_vici_section_end(msg);
		} else if (json_is_array(v)) {
			cp_vici_list(msg, name);
			json_array_foreach(v, i, item)
				cp_vici_item(msg, json_string_value(item), json_string_length(item));
			cp_vici_list_end(msg);
		} else {
			cp_vici_str(msg, name, json_string_value(v));
		}
	}
}

static void event(const char *name, json_t *o)
{
	struct cp_vici_msg *msg = cp_vici_msg_create(CP_VICI_EVENT, name, 8192);

	write_json(msg, o);
	put(msg);
	json_decref(o);
}

static void answer(const char *cmd)
{
	struct cp_vici_msg *msg = cp_vici_msg_create(CP_VICI_CMD_RESPONSE, NULL, 8192);
	const char *name;
	json_t *sa;

	if (strcmp(cmd, "list-sas") == 0) {
		json_object_foreach(t.sas, name, sa)
			event("list-sa", json_pack("{s:O}", name, sa));
	} else if (strcmp(cmd, "get-conns") == 0) {
		json_t *o = json_pack("{s:O}", "conns", t.conns);

		write_json(msg, o);
		json_decref(o);
	} else {
		bool no = t.refuse != NULL && strcmp(cmd, t.refuse) == 0;

		cp_vici_str(msg, "success", no ? "no" : "yes");
		if (no)
			cp_vici_str(msg, "errmsg", "charon will not");
	}
	put(msg);
}

/* The name in the certificate that is loaded. */
static const char *cert_name(const uint8_t *body, size_t len)
{
	static char cn[100];
	const uint8_t *der = memmem(body, len, "\x04" "data", 5);
	X509 *cert;

	CU_ASSERT_PTR_NOT_NULL_FATAL(der);
	der += 7;
	cert = d2i_X509(NULL, &der, (long)(body + len - der));
	CU_ASSERT_PTR_NOT_NULL_FATAL(cert);
	X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, cn, sizeof(cn));
	X509_free(cert);
	return cn;
}

/* What of a request names its object. */
static const char *object(const char *cmd, const json_t *o, const uint8_t *body, size_t len)
{
	if (strcmp(cmd, "load-cert") == 0)
		return cert_name(body, len);
	if (strcmp(cmd, "load-conn") == 0)
		return json_object_iter_key(json_object_iter((json_t *)(uintptr_t)o));
	if (strcmp(cmd, "load-shared") == 0)
		return cp_vici_get(o, "data");
	if (strcmp(cmd, "unload-conn") == 0)
		return cp_vici_get(o, "name");
	return strcmp(cmd, "unload-shared") == 0 ? cp_vici_get(o, "id") : cp_vici_get(o, "ike");
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);

	(void)arg;
	while (evbuffer_get_length(in) >= 4) {
		static uint8_t data[65536];
		char name[CP_VICI_NAME_MAX];
		enum cp_vici_type type;
		const uint8_t *body;
		size_t len, body_len, at = strlen(t.said);
		json_t *o;

		evbuffer_copyout(in, data, 4);
		len = (size_t)data[2] << 8 | data[3];
		if (evbuffer_get_length(in) < 4 + len)
			return;
		evbuffer_drain(in, 4);
		evbuffer_remove(in, data, len);
		CU_ASSERT_EQUAL_FATAL(cp_vici_packet(data, len, &type, name, &body, &body_len), 0);
		if (type == CP_VICI_EVENT_REGISTER) {
			put(cp_vici_msg_create(CP_VICI_EVENT_CONFIRM, NULL, 0));
			continue;
		}
		CU_ASSERT_EQUAL_FATAL(cp_vici_parse(body, body_len, &o), 0);
		if (strcmp(name, "list-sas") != 0)
			snprintf(t.said + at, sizeof(t.said) - at, " %s%s%s ", name, object(name, o, body, body_len)[0] != '\0' ? ":" : "",
				 object(name, o, body, body_len));
		json_decref(o);
		answer(name);
	}
}

static void on_gone(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	(void)arg;
	bufferevent_free(bev);
	t.bev = NULL;
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
	(void)l;
	(void)sa;
	(void)len;
	(void)arg;
	t.bev = bufferevent_socket_new(t.base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(t.bev, on_read, NULL, on_gone, NULL);
	bufferevent_enable(t.bev, EV_READ | EV_WRITE);
}

static void charon_starts(void)
{
	unlink(t.addr.sun_path);
	t.said[0] = '\0';
	t.listener = evconnlistener_new_bind(t.base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE, 4, (struct sockaddr *)&t.addr, sizeof(t.addr));
	CU_ASSERT_PTR_NOT_NULL_FATAL(t.listener);
}

static void charon_dies(void)
{
	if (t.listener != NULL)
		evconnlistener_free(t.listener);
	t.listener = NULL;
	if (t.bev != NULL)
		bufferevent_free(t.bev);
	t.bev = NULL;
	unlink(t.addr.sun_path);
}

static json_t *sa(const char *state, const char *child)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:{s:{s:s,s:s,s:s,s:s}}}", "uniqueid", "7", "state", state, "encr-alg", "AES_GCM_16", "encr-keysize", "128",
			 "rekey-time", "600", "child-sas", "c-1", "state", child, "spi-in", "c0000001", "spi-out", "c0000002", "mode", "TRANSPORT");
}

static void updown(const char *name, bool up)
{
	event("ike-updown", up ? json_pack("{s:s,s:{s:s}}", "up", "yes", name, "state", "ESTABLISHED") : json_pack("{s:{s:s}}", name, "state", "DELETING"));
}

static void says(const char *name, const char *id, const char *msg)
{
	event("log", json_pack("{s:s,s:s,s:s,s:s}", "group", "IKE", "ikesa-name", name, "ikesa-uniqueid", id, "msg", msg));
}

/* --- the others --- */

static int unseal(void *ctx, const uint8_t *sealed, size_t len, const char *aad, struct cp_buf *ret)
{
	char text[200];

	(void)ctx;
	__atomic_add_fetch(&t.opened, 1, __ATOMIC_ACQ_REL);
	if (t.unseal_rc < 0)
		return t.unseal_rc;
	snprintf(text, sizeof(text), "%.*s(%s)", (int)len, (const char *)sealed, aad);
	ret->data = (uint8_t *)strdup(text);
	ret->len = strlen(text);
	return 0;
}

static int identity(void *ctx, EVP_PKEY **ret_key, X509 **ret_cert, STACK_OF(X509) **ret_chain)
{
	(void)ctx;
	if (t.own.key == NULL)
		return -ENOENT;
	*ret_key = t.own.key;
	*ret_cert = t.own.cert;
	*ret_chain = sk_X509_new_null();
	EVP_PKEY_up_ref(t.own.key);
	X509_up_ref(t.own.cert);
	X509_up_ref(t.middle.cert);
	X509_up_ref(t.root.cert);
	sk_X509_push(*ret_chain, t.middle.cert);
	sk_X509_push(*ret_chain, t.root.cert);
	return 0;
}

static void synced(void *ctx, int rc)
{
	*(volatile int *)ctx = rc == 0 ? 1 : -1;
}

static void gateway(const char *name, uint32_t flags, const char *psk, const char *esp)
{
	struct cp_gateway g = {.region = "default", .address = {.family = 4, .plen = 32, .port = 2427, .ip = {192, 0, 2, 9}}};
	volatile int done = 0;
	char why[200] = "";
	struct cp_dir_ctx x = {.who = "test", .fn = synced, .ctx = (void *)(uintptr_t)&done, .why = why, .why_size = sizeof(why)};

	snprintf(g.name, sizeof(g.name), "%s", name);
	if (psk != NULL) {
		g.ike.version = 2;
		g.ike.flags = flags;
		if ((flags & CP_IKE_CERT) != 0)
			snprintf(g.ike.remote_id, sizeof(g.ike.remote_id), "%s", name);
		else
			g.ike.psk = (struct cp_buf){(uint8_t *)(uintptr_t)psk, strlen(psk)};
		snprintf(g.ike.esp, sizeof(g.ike.esp), "%s", esp);
	}
	CU_ASSERT_EQUAL_FATAL(cp_dir_gateway_put(t.store, &g, true, &x), 0);
	CU_ASSERT(wait_for(t.base, &done));
	cp_ikes_changed(t.ikes, name);
}

static void no_gateway(const char *name)
{
	volatile int done = 0;
	char why[200];
	struct cp_dir_ctx x = {.who = "test", .fn = synced, .ctx = (void *)(uintptr_t)&done, .why = why, .why_size = sizeof(why)};

	CU_ASSERT_EQUAL_FATAL(cp_dir_gateway_del(t.store, name, &x), 0);
	CU_ASSERT(wait_for(t.base, &done));
	cp_ikes_changed(t.ikes, name);
}

static void on_line(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	snprintf(t.answer, sizeof(t.answer), "%.*s", (int)len, line);
}

/* An answer's result, or its error's message. */
static json_t *ask(const char *cmd, const char *name)
{
	char line[200];
	json_t *o, *r;

	snprintf(line, sizeof(line), name != NULL ? "{\"cmd\":\"%s\",\"args\":{\"name\":\"%s\"}}" : "{\"cmd\":\"%s\"}", cmd, name);
	t.answer[0] = '\0';
	cp_admin_input(t.admin, line, strlen(line), on_line, NULL);
	for (unsigned i = 0; i < 10000 && t.answer[0] == '\0'; i++)
		turn(1);
	o = json_loads(t.answer, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(o);
	r = json_is_true(json_object_get(o, "ok")) ? json_object_get(o, "result") : json_object_get(json_object_get(o, "error"), "message");
	json_incref(r);
	json_decref(o);
	return r;
}

/* A member of what show ike says of a gateway; "" if it is not there. Borrowed until the next. */
static const char *shown(const char *gw, const char *member)
{
	static char text[300];
	json_t *list = ask("show.ike", NULL), *o;
	size_t i;

	text[0] = '\0';
	json_array_foreach(list, i, o)
		if (strcmp(json_string_value(json_object_get(o, "gateway")), gw) == 0)
			snprintf(text, sizeof(text), "%s", json_is_string(json_object_get(o, member)) ? json_string_value(json_object_get(o, member)) : "");
	json_decref(list);
	return text;
}

static bool becomes(const char *gw, const char *state)
{
	for (unsigned i = 0; i < 200 && strcmp(shown(gw, "state"), state) != 0; i++)
		turn(20);
	return strcmp(shown(gw, "state"), state) == 0;
}

static bool alarmed(const char *id, const char *subject)
{
	for (unsigned i = 0; i < 9000 && cp_alarm_find(t.alarms, id, subject) == NULL; i++)
		turn(1);
	return cp_alarm_find(t.alarms, id, subject) != NULL;
}

static void begin(void)
{
	struct cp_store_opts opts = {0};
	struct cp_ikes_env env = {.agent = {.family = 4, .plen = 32, .port = 2727, .ip = {192, 0, 2, 1}}, .unseal = unseal, .identity = identity};
	char err[200];

	memset(&t, 0, sizeof(t));
	signal(SIGPIPE, SIG_IGN);
	tmp_make();
	t.base = event_base_new();
	t.alarms = cp_alarms_create();
	t.offload = cp_offload_create(t.base);
	t.admin = cp_admin_create(t.base);
	t.sas = json_object();
	t.conns = json_array();
	t.addr.sun_family = AF_UNIX;
	snprintf(t.addr.sun_path, sizeof(t.addr.sun_path), "%s/charon", tmp_dir);
	opts.base = t.base;
	opts.alarms = t.alarms;
	opts.path = tmp_store;
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&opts, &t.store, err, sizeof(err)), 0);
	env.base = t.base;
	env.vici = t.addr.sun_path;
	env.store = t.store;
	env.alarms = t.alarms;
	env.offload = t.offload;
	CU_ASSERT_EQUAL_FATAL(cp_ikes_create(&env, &t.ikes), 0);
	CU_ASSERT_EQUAL_FATAL(cp_ikes_commands(t.ikes, t.admin), 0);
}

static void end(void)
{
	cp_ikes_stop(t.ikes);
	cp_offload_destroy(t.offload);
	cp_ikes_destroy(t.ikes);
	cp_admin_stop(t.admin);
	cp_store_close(t.store);
	cp_admin_destroy(t.admin);
	cp_alarms_destroy(t.alarms);
	charon_dies();
	json_decref(t.sas);
	json_decref(t.conns);
	event_base_free(t.base);
	tmp_remove();
}

/* --- tests --- */

static void test_loading(void)
{
	begin();
	gateway("gw1", 0, "one", "");
	gateway("gw2", 0, "two", "");
	gateway("gw3", CP_IKE_WAIT, "three", "");
	gateway("plain", 0, NULL, "");
	CU_ASSERT(alarmed("ike-daemon", "charon"));
	CU_ASSERT_EQUAL(t.opened, 0); /* no key is opened for nobody */
	CU_ASSERT_STRING_EQUAL(shown("gw1", "state"), "down");
	json_object_set_new(t.sas, "gw2", sa("ESTABLISHED", "INSTALLED"));
	json_array_append_new(t.conns, json_string("gw1"));
	json_array_append_new(t.conns, json_string("ghost"));
	charon_starts();
	/* a key is bound to its gateway, and stands before the connection that needs it */
	CU_ASSERT(soon("load-conn:gw1") && soon("load-conn:gw2") && soon("load-conn:gw3"));
	CU_ASSERT(asked("load-shared:one(ike-psk/gw1)") && asked("load-shared:two(ike-psk/gw2)"));
	CU_ASSERT(strstr(t.said, "load-shared:one(") < strstr(t.said, "load-conn:gw1"));
	CU_ASSERT(strstr(t.said, "clear-creds") < strstr(t.said, "load-shared:"));
	/* what nobody knows goes, with its key and its SAs */
	CU_ASSERT(soon("terminate:ghost") && asked("unload-conn:ghost") && asked("unload-shared:ghost"));
	CU_ASSERT(!asked("unload-conn:gw1") && !asked("load-conn:plain"));
	/* begun where there is nothing, and only there; not where the gateway begins */
	CU_ASSERT(soon("initiate:gw1"));
	turn(1500);
	CU_ASSERT(!asked("initiate:gw2") && !asked("initiate:gw3"));
	CU_ASSERT_EQUAL(times_asked("initiate:gw1"), 1);
	CU_ASSERT_STRING_EQUAL(shown("gw2", "state"), "up");
	CU_ASSERT_STRING_EQUAL(shown("gw2", "algorithm"), "AES_GCM_16-128");
	CU_ASSERT_STRING_EQUAL(shown("plain", "state"), "");
	CU_ASSERT_PTR_NULL(cp_alarm_find(t.alarms, "ike-daemon", "charon"));
	end();
}

static void test_states(void)
{
	begin();
	charon_starts();
	gateway("gw1", 0, "one", "");
	CU_ASSERT(soon("initiate:gw1"));
	CU_ASSERT_STRING_EQUAL(shown("gw1", "state"), "connecting");
	/* the first reason of an attempt is the one that counts */
	says("gw1", "1", "no trusted RSA public key found for 'gw1'");
	says("gw1", "1", "received AUTHENTICATION_FAILED notify error");
	says("gw1", "1", "sending keep alive");
	says("other", "1", "no shared key found");
	turn(50);
	CU_ASSERT_STRING_EQUAL(shown("gw1", "error"), "no trusted RSA public key found for 'gw1'");
	/* what the gateway notifies says less than what we saw; what we see next counts */
	says("gw1", "2", "received AUTHENTICATION_FAILED notify error");
	turn(50);
	CU_ASSERT_STRING_EQUAL(shown("gw1", "error"), "no trusted RSA public key found for 'gw1'");
	says("gw1", "3", "tried 1 shared key, but MAC mismatched");
	turn(50);
	CU_ASSERT_STRING_EQUAL(shown("gw1", "error"), "tried 1 shared key, but MAC mismatched");
	CU_ASSERT(alarmed("ike-down", "gw1"));
	CU_ASSERT_PTR_NOT_NULL(strstr(cp_alarm_find(t.alarms, "ike-down", "gw1")->text, "MAC mismatched"));
	CU_ASSERT_EQUAL(cp_alarm_find(t.alarms, "ike-down", "gw1")->count, 1);
	/* authenticated is not enough */
	json_object_set_new(t.sas, "gw1", sa("ESTABLISHED", "CREATED"));
	updown("gw1", true);
	CU_ASSERT(becomes("gw1", "no-child"));
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(t.alarms, "ike-down", "gw1"));
	json_object_set_new(t.sas, "gw1", sa("ESTABLISHED", "INSTALLED"));
	updown("gw1", true);
	CU_ASSERT(becomes("gw1", "up"));
	CU_ASSERT_STRING_EQUAL(shown("gw1", "error"), "");
	CU_ASSERT_PTR_NULL(cp_alarm_find(t.alarms, "ike-down", "gw1"));
	/* where charon has it: its record has another address, which a NAT has changed */
	json_object_set_new(json_object_get(t.sas, "gw1"), "remote-host", json_string("198.51.100.7"));
	json_object_set_new(json_object_get(t.sas, "gw1"), "remote-port", json_string("31234"));
	CU_ASSERT_STRING_EQUAL(shown("gw1", "peer"), "198.51.100.7:31234");
	json_object_set_new(json_object_get(t.sas, "gw1"), "remote-host", json_string("%any"));
	CU_ASSERT_STRING_EQUAL(shown("gw1", "peer"), shown("gw1", "remote"));
	/* gone, and begun again by ourselves */
	t.said[0] = '\0';
	json_object_clear(t.sas);
	updown("gw1", false);
	CU_ASSERT(soon("initiate:gw1"));
	end();
}

static void test_records(void)
{
	json_t *r;

	begin();
	charon_starts();
	gateway("gw1", 0, "one", "");
	json_object_set_new(t.sas, "gw1", sa("ESTABLISHED", "INSTALLED"));
	CU_ASSERT(soon("load-conn:gw1"));
	CU_ASSERT(becomes("gw1", "up"));
	/* the same again: nothing is said */
	t.said[0] = '\0';
	gateway("gw1", 0, "one", "");
	turn(100);
	CU_ASSERT_STRING_EQUAL(t.said, "");
	/* another key: told, and what was made with the old one ends */
	gateway("gw1", 0, "another", "");
	CU_ASSERT(soon("load-shared:another(ike-psk/gw1)") && soon("load-conn:gw1") && soon("terminate:gw1"));
	json_object_clear(t.sas);
	/* refused by charon: it says why, and is tried again */
	t.refuse = "load-conn";
	t.said[0] = '\0';
	gateway("gw1", 0, "another", "aes-gcm-256");
	CU_ASSERT(soon("load-conn:gw1"));
	turn(50);
	CU_ASSERT_STRING_EQUAL(shown("gw1", "error"), "charon will not");
	t.refuse = NULL;
	t.said[0] = '\0';
	CU_ASSERT(soon("load-conn:gw1"));
	/* an old algorithm in a record of a time when it was allowed */
	t.said[0] = '\0';
	gateway("gw1", 0, "another", "3des-cbc-sha1");
	turn(100);
	CU_ASSERT(!asked("load-conn:gw1"));
	CU_ASSERT_PTR_NOT_NULL(strstr(shown("gw1", "error"), "ipsec.old_algorithms"));
	/* the signer does not open */
	t.unseal_rc = -EACCES;
	gateway("gw1", 0, "closed", "");
	for (unsigned i = 0; i < 100 && strstr(shown("gw1", "error"), "signer") == NULL; i++)
		turn(20);
	CU_ASSERT_PTR_NOT_NULL(strstr(shown("gw1", "error"), "signer"));
	CU_ASSERT(!asked("load-conn:gw1"));
	t.unseal_rc = 0;
	CU_ASSERT(soon("load-shared:closed(ike-psk/gw1)"));
	/* IKE is taken away; the gateway goes */
	t.said[0] = '\0';
	gateway("gw1", 0, NULL, "");
	CU_ASSERT(soon("terminate:gw1") && asked("unload-conn:gw1") && asked("unload-shared:gw1"));
	gateway("gw1", 0, "back", "");
	CU_ASSERT(soon("load-conn:gw1"));
	t.said[0] = '\0';
	no_gateway("gw1");
	CU_ASSERT(soon("terminate:gw1"));
	CU_ASSERT_STRING_EQUAL(shown("gw1", "state"), "");
	r = ask("ike.up", "gw1");
	CU_ASSERT_PTR_NOT_NULL(strstr(json_string_value(r), "no gateway"));
	json_decref(r);
	end();
}

static void test_up_and_down(void)
{
	static const char up[] = "{\"cmd\":\"ike.up\",\"args\":{\"name\":\"gw1\"}}";
	json_t *r;

	begin();
	charon_starts();
	gateway("gw1", CP_IKE_WAIT, "one", "");
	CU_ASSERT(soon("load-conn:gw1"));
	turn(600);
	CU_ASSERT(!asked("initiate:gw1"));
	json_object_set_new(t.sas, "gw1", sa("ESTABLISHED", "INSTALLED"));
	r = ask("ike.up", "gw1");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(r, "state")), "up");
	json_decref(r);
	CU_ASSERT(asked("initiate:gw1"));
	r = ask("ike.down", "gw1");
	CU_ASSERT(soon("terminate:gw1"));
	json_decref(r);
	json_object_clear(t.sas);
	updown("gw1", false);
	CU_ASSERT(becomes("gw1", "stopped"));
	/* charon dies under one who waits */
	json_object_clear(t.sas);
	t.answer[0] = '\0';
	cp_admin_input(t.admin, up, strlen(up), on_line, NULL);
	turn(20);
	CU_ASSERT_STRING_EQUAL(t.answer, "");
	charon_dies();
	for (unsigned i = 0; i < 5000 && t.answer[0] == '\0'; i++)
		turn(1);
	CU_ASSERT_PTR_NOT_NULL(strstr(t.answer, "charon is not there"));
	r = ask("ike.up", "gw1");
	CU_ASSERT_STRING_EQUAL(json_string_value(r), "charon is not there");
	json_decref(r);
	end();
}

static void on_first(void *ctx, const char *line, size_t len)
{
	static const char next[] = "{\"cmd\":\"ike.up\",\"args\":{\"name\":\"gw2\"}}";

	(void)line;
	(void)len;
	++*(unsigned *)ctx;
	cp_admin_input(t.admin, next, strlen(next), on_line, NULL);
}

static void on_other(void *ctx, const char *line, size_t len)
{
	(void)line;
	(void)len;
	++*(unsigned *)ctx;
}

/* Two wait for one gateway. When it is up, the first that is answered asks for another one, from within its answer. */
static void test_up_after_up(void)
{
	static const char up[] = "{\"cmd\":\"ike.up\",\"args\":{\"name\":\"gw1\"}}";
	unsigned first = 0, other = 0;

	begin();
	charon_starts();
	gateway("gw1", CP_IKE_WAIT, "one", "");
	gateway("gw2", CP_IKE_WAIT, "two", "");
	CU_ASSERT(soon("load-conn:gw1") && soon("load-conn:gw2"));
	CU_ASSERT(becomes("gw1", "down") && becomes("gw2", "down"));
	cp_admin_input(t.admin, up, strlen(up), on_other, &other);
	cp_admin_input(t.admin, up, strlen(up), on_first, &first);
	CU_ASSERT(soon("initiate:gw1"));
	t.answer[0] = '\0';
	json_object_set_new(t.sas, "gw1", sa("ESTABLISHED", "INSTALLED"));
	updown("gw1", true);
	CU_ASSERT(soon("initiate:gw2"));
	CU_ASSERT_EQUAL(first, 1);
	CU_ASSERT_EQUAL(other, 1);
	CU_ASSERT_STRING_EQUAL(t.answer, "");
	json_object_set_new(t.sas, "gw2", sa("ESTABLISHED", "INSTALLED"));
	updown("gw2", true);
	for (unsigned i = 0; i < 10000 && t.answer[0] == '\0'; i++)
		turn(1);
	CU_ASSERT_PTR_NOT_NULL(strstr(t.answer, "\"gw2\""));
	end();
}

static json_t *sa_up(const char *up_s)
{
	json_t *o = sa("ESTABLISHED", "INSTALLED");

	json_object_set_new(o, "established", json_string(up_s));
	return o;
}

/* Whoever changed the record died before it ended what was authenticated by the old one: ended now, and nothing else. */
static void test_outlived(void)
{
	int64_t changed_us;

	begin();
	gateway("gw1", 0, "one", "");
	gateway("gw2", 0, "two", "");
	gateway("gw3", 0, "three", "");
	json_object_set_new(t.sas, "gw1", sa_up("100"));
	json_object_set_new(t.sas, "gw2", sa_up("1")); /* behind the change, by a clock whose second began just before */
	charon_starts();
	CU_ASSERT(soon("load-conn:gw1") && soon("load-conn:gw2") && soon("load-conn:gw3"));
	CU_ASSERT(soon("terminate:gw1"));
	CU_ASSERT(strstr(t.said, "load-conn:gw1") < strstr(t.said, "terminate:gw1")); /* not before charon knows better */
	CU_ASSERT(soon("initiate:gw3"));
	/* once: what is there later was made under our eyes */
	turn(1500);
	CU_ASSERT(becomes("gw2", "up"));
	CU_ASSERT_EQUAL(times_asked("terminate:gw1"), 1);
	CU_ASSERT(!asked("terminate:gw2"));
	/* when it was changed: of IKE, and not of all else */
	changed_us = cp_dir_gateway(t.store, "gw1")->ike.changed_us;
	CU_ASSERT(changed_us > 0);
	gateway("gw1", 0, "one", "");
	CU_ASSERT_EQUAL(cp_dir_gateway(t.store, "gw1")->ike.changed_us, changed_us);
	gateway("gw1", 0, "other", "");
	CU_ASSERT(cp_dir_gateway(t.store, "gw1")->ike.changed_us > changed_us);
	gateway("plain", 0, NULL, "");
	CU_ASSERT_EQUAL(cp_dir_gateway(t.store, "plain")->ike.changed_us, 0);
	end();
}

static void test_charon_comes_back(void)
{
	begin();
	charon_starts();
	gateway("gw1", 0, "one", "");
	json_object_set_new(t.sas, "gw1", sa("ESTABLISHED", "INSTALLED"));
	CU_ASSERT(soon("load-conn:gw1"));
	CU_ASSERT(becomes("gw1", "up"));
	charon_dies();
	CU_ASSERT(alarmed("ike-daemon", "charon"));
	CU_ASSERT_STRING_EQUAL(shown("gw1", "state"), "down");
	CU_ASSERT_PTR_NULL(cp_alarm_find(t.alarms, "ike-down", "gw1")); /* one alarm says it */
	json_object_clear(t.sas);
	charon_starts();
	CU_ASSERT(soon("load-shared:one(ike-psk/gw1)") && soon("load-conn:gw1") && soon("initiate:gw1"));
	CU_ASSERT_PTR_NULL(cp_alarm_find(t.alarms, "ike-daemon", "charon"));
	/* stopped while a key is being opened: nobody is called */
	gateway("gw1", 0, "two", "");
	end();
}

/* Ours goes to gateways with what stands between it and its root. The root is trusted by charon wherever it comes from: it stays here. */
static void test_own_issuer(void)
{
	int64_t now = cp_wall_us() / 1000000;
	struct cf_opts o = {.cn = "Own Root", .from = now - 3600, .to = now + 86400, .basic = "critical,CA:TRUE", .ku = "critical,keyCertSign"};
	struct cf_id *ids[] = {&t.root, &t.middle, &t.own};

	begin();
	t.root = cf_make(&o);
	o.cn = "Own Middle";
	o.issuer = &t.root;
	t.middle = cf_make(&o);
	o = (struct cf_opts){.cn = "Own", .issuer = &t.middle, .from = o.from, .to = o.to};
	t.own = cf_make(&o);
	gateway("gw1", CP_IKE_CERT, "", "");
	charon_starts();
	CU_ASSERT(soon("load-conn:gw1"));
	CU_ASSERT(asked("load-key") && asked("load-cert:Own Middle"));
	CU_ASSERT(!asked("load-cert:Own Root"));
	end();
	for (size_t i = 0; i < 3; i++) {
		EVP_PKEY_free(ids[i]->key);
		X509_free(ids[i]->cert);
	}
}

/* --- many gateways: the clock is the test's --- */

static void child_updown(const char *name)
{
	event("child-updown", json_pack("{s:s,s:o}", "up", "yes", name, sa("ESTABLISHED", "INSTALLED")));
}

static int up_now(void)
{
	json_t *o = ask("status", NULL), *ike = json_object_get(o, "ike");
	int n = (int)json_integer_value(json_object_get(ike, "up"));

	CU_ASSERT(json_is_true(json_object_get(ike, "charon")));
	json_decref(o);
	return n;
}

static unsigned begun(void)
{
	unsigned n = 0;

	for (const char *p = t.said; (p = strstr(p, " initiate:")) != NULL; p++)
		n++;
	return n;
}

/* Turns the loop until so many were begun with, and a while longer for those that should not be. */
static unsigned begun_soon(unsigned want)
{
	for (unsigned i = 0; i < 20000 && begun() < want; i++)
		turn(1);
	turn(50);
	return begun();
}

static void test_many(void)
{
	char name[16];

	begin();
	CU_ASSERT_EQUAL(cp_admin_commands(t.admin, &(struct cp_admin_backend){.store = t.store, .alarms = t.alarms, .version = "1"}), 0);
	for (int i = 0; i < 150; i++) {
		snprintf(name, sizeof(name), "gw%d", i);
		gateway(name, 0, "key", "");
	}
	charon_starts();
	for (unsigned i = 0; i < 20000 && t.bev == NULL; i++)
		turn(1);
	time_still();
	for (unsigned i = 0; i < 2000 && times_asked("version") == 0; i++)
		turn(1);
	/* all are loaded, whatever the time; then as many are begun with as charon gets through at once, and not the others */
	for (unsigned i = 0; i < 20000 && begun() == 0; i++) {
		turn(1);
		if (i % 100 == 99)
			time_pass(60);
	}
	CU_ASSERT_EQUAL(begun_soon(64), 64);
	/* each that comes up makes room for another one; it is up by what the event says: charon's list, which has none, is not asked for */
	for (int i = 0; i < 150; i++) {
		snprintf(name, sizeof(name), "initiate:gw%d", i);
		if (asked(name))
			child_updown(name + 9);
	}
	CU_ASSERT_EQUAL(begun_soon(128), 128);
	CU_ASSERT_EQUAL(up_now(), 64);
	/* who does not answer holds up nobody */
	time_pass(1100);
	CU_ASSERT_EQUAL(begun_soon(150), 150);
	end();
	still = false;
}

/* Whoever charon is busy with is not in its list: only who is not there twice, or is told to have ended, is down. */
static void test_busy(void)
{
	begin();
	charon_starts();
	gateway("gw1", 0, "one", "");
	json_object_set_new(t.sas, "gw1", sa("ESTABLISHED", "INSTALLED"));
	CU_ASSERT(soon("load-conn:gw1"));
	CU_ASSERT(becomes("gw1", "up"));
	time_still();
	turn(50);
	json_object_clear(t.sas);
	CU_ASSERT_STRING_EQUAL(shown("gw1", "state"), "up");
	json_object_set_new(t.sas, "gw1", sa("ESTABLISHED", "INSTALLED"));
	CU_ASSERT_STRING_EQUAL(shown("gw1", "state"), "up");
	json_object_clear(t.sas);
	CU_ASSERT_STRING_EQUAL(shown("gw1", "state"), "up");
	CU_ASSERT(!asked("initiate:gw1"));
	CU_ASSERT_STRING_EQUAL(shown("gw1", "state"), "connecting"); /* down, and begun with */
	CU_ASSERT(soon("initiate:gw1"));
	/* told to have ended */
	json_object_set_new(t.sas, "gw1", sa("ESTABLISHED", "INSTALLED"));
	CU_ASSERT_STRING_EQUAL(shown("gw1", "state"), "up");
	json_object_clear(t.sas);
	updown("gw1", false);
	turn(50);
	CU_ASSERT_STRING_EQUAL(shown("gw1", "state"), "down");
	end();
	still = false;
}

static CU_TestInfo tests[] = {
	{"what is loaded, and who is begun with", test_loading},
	{"states, reasons, alarms", test_states},
	{"records change", test_records},
	{"ike up, ike down", test_up_and_down},
	{"ike up out of the answer to ike up", test_up_after_up},
	{"what outlived a change", test_outlived},
	{"charon goes and comes back", test_charon_comes_back},
	{"our certificate's issuers", test_own_issuer},
	{"many at once", test_many},
	{"busy SAs", test_busy},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("ike", tests, NULL, NULL)
