/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/sigcap/ and controlplane/sccp/tap.c: what an operator may capture of a phone's signalling, to whom it is encrypted, what is
 * in the files, and that media keys are not unless they may be. The real store, admin service and SCCP sessions on a link without
 * sockets; files are decrypted here and their blocks and headers read by a reader that believes nothing.
 * Rows: 004a:WEB-12; 004c:PC-01 to PC-03, PC-05, PC-06, PC-08, PC-09, PC-12, PC-14.
 */
#include <errno.h>
#include <event2/event.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <CUnit/CUnit.h>
#include <jansson.h>
#include <openssl/cms.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "admin/admin.h"
#include "alarm.h"
#include "dp_msg.h"
#include "offload.h"
#include "pcapng.h"
#include "sccp/session.h"
#include "sigcap/record.h"
#include "sigcap/seal.h"
#include "sigcap/sigcap.h"
#include "store/store.h"
#include "store_tmp.h"

#define NAME  "SEP0A1B2C3D4E51"
#define OTHER "SEP0A1B2C3D4E52"

static struct event_base *base;
static struct cfg *cfg;
static struct cp_store *store;
static struct cp_alarms *alarms;
static struct cp_offload *offload;
static struct cp_admin *admin;
static struct cp_sccp *sccp;
static struct cp_sigcaps *caps;
static struct cp_line line = {.number = "1001", .label = "Alice"};
static struct cp_device devices[2];
static json_t *got;
static char dir[512];

/* --- certificates --- */

struct id {
	EVP_PKEY *key;
	X509 *cert;
	char *pem; /* JSON string of it */
};

static struct id rsa, ec, weak, over, sign_only;

static void id_make(struct id *id, EVP_PKEY *key, long valid_s, const char *usage)
{
	BIO *bio = BIO_new(BIO_s_mem());
	json_t *text;
	char *data;
	long len;

	id->key = key;
	id->cert = X509_new();
	X509_set_version(id->cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(id->cert), 7);
	X509_gmtime_adj(X509_getm_notBefore(id->cert), valid_s < 0 ? 2 * valid_s : -60);
	X509_gmtime_adj(X509_getm_notAfter(id->cert), valid_s);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(id->cert), "CN", MBSTRING_ASC, (const unsigned char *)"Auditor", -1, -1, 0);
	X509_set_issuer_name(id->cert, X509_get_subject_name(id->cert));
	X509_set_pubkey(id->cert, key);
	if (usage != NULL) {
		X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage, usage);

		X509_add_ext(id->cert, ext, -1);
		X509_EXTENSION_free(ext);
	}
	if (X509_sign(id->cert, key, EVP_sha256()) <= 0 || PEM_write_bio_X509(bio, id->cert) != 1)
		abort();
	len = BIO_get_mem_data(bio, &data);
	text = json_stringn(data, (size_t)len);
	id->pem = json_dumps(text, JSON_ENCODE_ANY);
	json_decref(text);
	BIO_free(bio);
}

static void id_free(struct id *id)
{
	X509_free(id->cert);
	EVP_PKEY_free(id->key);
	free(id->pem);
}

static int setup(void)
{
	id_make(&rsa, EVP_RSA_gen(2048), 3600, "keyEncipherment");
	id_make(&ec, EVP_EC_gen("P-256"), 3600, NULL);
	id_make(&weak, EVP_RSA_gen(1024), 3600, NULL);
	id_make(&over, EVP_RSA_gen(2048), -60, NULL);
	id_make(&sign_only, EVP_RSA_gen(2048), 3600, "digitalSignature");
	return 0;
}

static int teardown(void)
{
	id_free(&rsa);
	id_free(&ec);
	id_free(&weak);
	id_free(&over);
	id_free(&sign_only);
	return 0;
}

/* --- phones without sockets --- */

static int l_send(void *io, const uint8_t *frame, size_t len, bool secret)
{
	(void)frame, (void)len, (void)secret;
	return *(bool *)io ? -ENOTCONN : 0;
}
static void l_close(void *io) { (void)io; }
static void l_authed(void *io) { (void)io; }
static const struct cp_sccp_link link_ops = {l_send, l_close, l_authed, NULL, NULL};

static void up_registered(void *ctx, struct cp_phone *p) { (void)ctx, (void)p; }
static void up_gone(void *ctx, struct cp_phone *p, enum cp_phone_gone why) { (void)ctx, (void)p, (void)why; }
static void up_hook(void *ctx, struct cp_phone *p, uint32_t l, uint32_t ref) { (void)ctx, (void)p, (void)l, (void)ref; }
static const struct cp_call_ops call_ops = {.registered = up_registered, .gone = up_gone, .offhook = up_hook, .onhook = up_hook,
					    .caps = up_registered};

static const struct cp_device *find_device(void *ctx, const char *name)
{
	(void)ctx;
	for (int i = 0; i < 2; i++)
		if (strcmp(devices[i].name, name) == 0)
			return &devices[i];
	return NULL;
}

static int cert_name(X509 *cert, char ret_name[CP_DEVICE_NAME_MAX])
{
	(void)cert;
	strcpy(ret_name, NAME);
	return 0;
}

static void alarm_cb(void *ctx, const char *id, const char *subject, const char *text) { (void)ctx, (void)id, (void)subject, (void)text; }

static bool broken;

static struct cp_phone *connect_phone(bool v6)
{
	struct cp_sccp_peer peer = {.addr = {.family = 4, .plen = 32, .ip = {192, 0, 2, 51}, .port = 50000},
				    .local = {.family = 4, .plen = 32, .ip = {192, 0, 2, 1}, .port = 2443},
				    .tls = true, .encrypts = true, .cert = rsa.cert, .tls_version = "TLSv1.3", .tls_cipher = "X"};

	if (v6) {
		peer.addr = (struct cfg_addr){.family = 6, .plen = 128, .ip = {0x20, 1, 0xd, 0xb8, [15] = 51}, .port = 50001};
		peer.local = (struct cfg_addr){.family = 6, .plen = 128, .ip = {0x20, 1, 0xd, 0xb8, [15] = 1}, .port = 2443};
	}
	return cp_session_open(sccp, &link_ops, &broken, &peer);
}

static void say(struct cp_phone *p, uint32_t id, const void *body, size_t len)
{
	uint8_t frame[256] = {0};
	uint32_t head[3] = {(uint32_t)(4 + len), 0, id};

	memcpy(frame, head, sizeof(head));
	if (len > 0)
		memcpy(frame + sizeof(head), body, len);
	cp_session_frame(p, frame, sizeof(head) + len);
}

static void say_register(struct cp_phone *p, const char *name)
{
	uint8_t body[124] = {0};

	memcpy(body, name, strlen(name));
	body[28] = 0xb2;
	body[29] = 1;
	body[40] = 17;
	say(p, CP_SCCP_REGISTER, body, sizeof(body));
}

static const uint8_t key[16] = {0x4b, 0x45, 0x59, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};

static void media(struct cp_phone *p, uint16_t suite)
{
	struct cp_phone_media m = {.conference = 1, .party = 2, .callref = 3, .packet_ms = 20, .codec = 4, .suite = suite,
				   .remote = {.family = 4, .ip = {192, 0, 2, 2}, .port = 20000}};

	memcpy(m.key, key, sizeof(key));
	memset(m.salt, 0x5a, sizeof(m.salt));
	CU_ASSERT_EQUAL(cp_phone_orc(p, &m), 0);
	CU_ASSERT_EQUAL(cp_phone_smt(p, &m), 0);
}

/* --- the world --- */

static void on_line(void *ctx, const char *text, size_t len)
{
	(void)ctx;
	json_decref(got);
	got = json_loadb(text, len, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(got);
}

static void spin(void)
{
	struct timeval tv = {0, 1000};

	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
}

static json_t *ask(const char *text)
{
	json_decref(got);
	got = NULL;
	cp_admin_input(admin, text, strlen(text), on_line, NULL);
	for (int i = 0; i < 20000 && got == NULL; i++)
		spin();
	CU_ASSERT_PTR_NOT_NULL_FATAL(got);
	return json_object_get(got, "result");
}

static json_t *start(const char *device, const struct id *to, const char *more)
{
	char text[8192];

	snprintf(text, sizeof(text), "{\"cmd\":\"capture.signalling\",\"args\":{\"device\":\"%s\",\"pem\":%s,\"max_mb\":1%s}}", device, to->pem, more);
	return ask(text);
}

static const char *refusal(void)
{
	CU_ASSERT_TRUE(json_is_false(json_object_get(got, "ok")));
	return json_string_value(json_object_get(json_object_get(got, "error"), "code"));
}

static int stored;
static void on_stored(void *ctx, int rc)
{
	(void)ctx;
	CU_ASSERT_EQUAL(rc, 0);
	stored = 1;
}
static char why[200];
static const struct cp_dir_ctx dir_ctx = {.who = "test", .fn = on_stored, .why = why, .why_size = sizeof(why)};

static uint32_t ids;

static uint32_t next_id(void *ctx)
{
	(void)ctx;
	return ++ids;
}

static void show(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	json_t *a = json_array();

	(void)ctx, (void)args;
	cp_sigcaps_show(caps, a);
	cp_admin_reply(req, a);
}

static void stop_one(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	(void)ctx;
	if (!cp_sigcaps_end(caps, req, (uint32_t)json_integer_value(json_object_get(args, "id"))))
		cp_admin_fail(req, "not-found", "none");
}

static json_t *shown(uint32_t id)
{
	json_t *list = ask("{\"cmd\":\"show\"}"), *v;
	size_t i;

	json_array_foreach(list, i, v)
		if (json_integer_value(json_object_get(v, "id")) == id)
			return v;
	return NULL;
}

static json_t *stop(uint32_t id)
{
	char text[100];

	snprintf(text, sizeof(text), "{\"cmd\":\"stop\",\"args\":{\"id\":%u}}", id);
	return ask(text);
}

static void begin(bool enabled, enum cfg_capture_plain signalling)
{
	struct cp_store_opts sopts = {.path = tmp_store, .no_sync = true};
	struct cp_sigcaps_env env = {0};
	const struct cp_sccp_opts opts = {.find_device = find_device, .cert_name = cert_name, .alarm = alarm_cb, .call = &call_ops,
					  .keepalive_s = 30, .grace_s = 45, .date_template = "D/M/Y", .server_name = "cm1"};
	char err[200];

	memset(devices, 0, sizeof(devices));
	strcpy(devices[0].name, NAME);
	strcpy(devices[1].name, OTHER);
	for (int i = 0; i < 2; i++) {
		devices[i].mode = CP_DEVICE_ENCRYPTED;
		devices[i].srtp = true;
		devices[i].lines = &line;
		devices[i].line_cnt = 1;
	}
	broken = false;
	ids = 0;
	got = NULL;
	tmp_make();
	snprintf(dir, sizeof(dir), "%s/captures", tmp_dir);
	base = event_base_new();
	CU_ASSERT_EQUAL_FATAL(cfg_load(NULL, &cfg, err, sizeof(err)), 0);
	cfg->capture.enabled = enabled;
	cfg->capture.signalling = signalling;
	free(cfg->capture.directory);
	cfg->capture.directory = strdup(dir);
	sopts.base = base;
	alarms = cp_alarms_create();
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&sopts, &store, err, sizeof(err)), 0);
	offload = cp_offload_create(base);
	admin = cp_admin_create(base);
	CU_ASSERT_EQUAL_FATAL(cp_sccp_create(&opts, &sccp), 0);
	env = (struct cp_sigcaps_env){.base = base, .cfg = cfg, .store = store, .alarms = alarms, .offload = offload, .sccp = sccp,
				      .next_id = next_id};
	caps = cp_sigcaps_create(&env);
	CU_ASSERT_EQUAL_FATAL(cp_sigcaps_commands(caps, admin), 0);
	cp_admin_register(admin, "show", show, NULL);
	cp_admin_register(admin, "stop", stop_one, NULL);
	for (int i = 0; i < 2; i++) {
		struct cp_device d = {.mode = CP_DEVICE_ENCRYPTED, .region = "default", .srtp = true};

		strcpy(d.name, devices[i].name);
		stored = 0;
		CU_ASSERT_EQUAL_FATAL(cp_dir_device_put(store, &d, false, &dir_ctx), 0);
		CU_ASSERT_TRUE_FATAL(wait_for(base, &stored));
	}
}

/* As main.c does. */
static void end(void)
{
	json_decref(got);
	got = NULL;
	cp_sigcaps_stop(caps);
	cp_sccp_destroy(sccp);
	cp_offload_destroy(offload);
	cp_admin_stop(admin);
	cp_store_close(store);
	cp_admin_destroy(admin);
	cp_sigcaps_destroy(caps);
	cp_alarms_destroy(alarms);
	event_base_free(base);
	cfg_free(cfg);
	tmp_remove();
}

static bool alarm_stands(void)
{
	return cp_alarm_find(alarms, "capture-signalling", NAME) != NULL;
}

/* Part 'n' of a capture, with that key, into pcapng. False: it cannot be decrypted. */
static bool open_part(uint32_t id, unsigned n, const struct id *with)
{
	json_t *o = shown(id);
	char path[600], plain[600];
	char *at;
	BIO *in, *out;
	CMS_ContentInfo *cms;
	struct stat st;
	bool ok;

	CU_ASSERT_PTR_NOT_NULL_FATAL(o);
	snprintf(path, sizeof(path), "%s", json_string_value(json_object_get(o, "file")));
	at = strrchr(path, '-');
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	snprintf(at, 20, "-%u.p7m", n);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	snprintf(plain, sizeof(plain), "%s/plain", tmp_dir);
	unlink(plain);
	close(open(plain, O_CREAT | O_WRONLY, 0600));
	in = BIO_new_file(path, "rb");
	cms = in != NULL ? d2i_CMS_bio(in, NULL) : NULL;
	out = BIO_new_file(plain, "wb");
	CU_ASSERT_PTR_NOT_NULL_FATAL(cms);
	CU_ASSERT_EQUAL(OBJ_obj2nid(CMS_get0_type(cms)), NID_pkcs7_enveloped);
	ok = CMS_decrypt(cms, with->key, with->cert, NULL, out, CMS_BINARY) == 1;
	BIO_free(out);
	BIO_free(in);
	CMS_ContentInfo_free(cms);
	if (ok)
		pcapng_read(plain);
	return ok;
}

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The SCCP message of packet 'i': its number; UINT32_MAX: a segment without one. */
static uint32_t msg_of(unsigned i, const uint8_t **ret_body)
{
	const uint8_t *p = pcapng.pkt[i].data;
	size_t ip = p[0] >> 4 == 4 ? 20 : 40;

	CU_ASSERT_EQUAL(pcapng.pkt[i].len, pcapng.pkt[i].orig_len);
	if (pcapng.pkt[i].len == ip + 20)
		return UINT32_MAX;
	CU_ASSERT_EQUAL_FATAL(le32(p + ip + 20) + 8 + ip + 20, pcapng.pkt[i].len);
	if (ret_body != NULL)
		*ret_body = p + ip + 32;
	return le32(p + ip + 28);
}

static bool holds(unsigned i, const void *what, size_t n)
{
	return memmem(pcapng.pkt[i].data, pcapng.pkt[i].len, what, n) != NULL;
}

/* --- tests --- */

/* 004c:PC-02, PC-03: two switches, and a third for keys; who tried is on record. */
static void test_permission(void)
{
	static const struct {
		bool enabled;
		enum cfg_capture_plain signalling;
		const char *more;
		bool ok;
	} rows[] = {
		{false, CFG_CAPTURE_DENY, "", false}, {true, CFG_CAPTURE_DENY, "", false}, {true, CFG_CAPTURE_ALLOW, "", true},
		{true, CFG_CAPTURE_ALLOW, ",\"keys\":true", false}, {true, CFG_CAPTURE_KEYS, ",\"keys\":true", true},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stat st;

		begin(rows[i].enabled, rows[i].signalling);
		(void)start(NAME, &rsa, rows[i].more);
		if (rows[i].ok) {
			CU_ASSERT_TRUE(json_is_true(json_object_get(got, "ok")));
		} else {
			CU_ASSERT_STRING_EQUAL(refusal(), "denied");
		}
		CU_ASSERT_EQUAL(alarm_stands(), rows[i].ok);
		CU_ASSERT_EQUAL(sccp->tap != NULL, rows[i].ok);
		CU_ASSERT_EQUAL(stat(dir, &st), -1); /* nothing was heard */
		end();
	}
}

static void test_recipients(void)
{
	static const struct id *const no[] = {&weak, &over, &sign_only};

	begin(true, CFG_CAPTURE_KEYS);
	for (unsigned i = 0; i < 3; i++) {
		(void)start(NAME, no[i], "");
		CU_ASSERT_STRING_EQUAL(refusal(), "invalid");
	}
	(void)start("SEP000000000099", &rsa, "");
	CU_ASSERT_STRING_EQUAL(refusal(), "not-found");
	(void)start(NAME, &rsa, ",\"seconds\":100000");
	CU_ASSERT_STRING_EQUAL(refusal(), "invalid");
	CU_ASSERT_PTR_NULL(sccp->tap);
	for (unsigned i = 0; i < CP_SIGCAP_MAX; i++)
		CU_ASSERT_PTR_NOT_NULL(start(NAME, i % 2 != 0 ? &rsa : &ec, ""));
	(void)start(NAME, &rsa, ""); /* all places are taken */
	CU_ASSERT_TRUE(json_is_false(json_object_get(got, "ok")));
	for (unsigned i = 1; i <= CP_SIGCAP_MAX; i++) {
		CU_ASSERT_TRUE(alarm_stands());
		(void)stop(i);
		CU_ASSERT_TRUE(json_is_true(json_object_get(got, "ok")));
	}
	CU_ASSERT_FALSE(alarm_stands());
	CU_ASSERT_PTR_NULL(sccp->tap);
	end();
}

/* 004c:PC-06: both ways, from Register on, with addresses and directions; keys are zeros, or not. */
static void content(const struct id *to, bool v6, bool keys)
{
	const uint8_t *body = NULL;
	struct cp_phone *p, *other;
	unsigned media_seen = 0;

	begin(true, keys ? CFG_CAPTURE_KEYS : CFG_CAPTURE_ALLOW);
	CU_ASSERT_PTR_NOT_NULL_FATAL(start(NAME, to, keys ? ",\"keys\":true" : ""));
	other = connect_phone(false);
	say_register(other, OTHER); /* another one's: refused here, and in no record */
	cp_session_closed(other, CP_GONE_CLOSED);
	p = connect_phone(v6);
	say_register(p, NAME);
	say(p, CP_SCCP_OFF_HOOK, NULL, 0);
	media(p, DP_AES_CM_128_HMAC_SHA1_80);
	media(p, DP_SRTP_NONE);
	cp_session_closed(p, CP_GONE_CLOSED);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(stop(1), "end")), "stopped");
	CU_ASSERT_FALSE(open_part(1, 1, to == &rsa ? &over : &rsa)); /* somebody else's key */
	CU_ASSERT_TRUE_FATAL(open_part(1, 1, to));
	CU_ASSERT_EQUAL(pcapng.link, 101);
	CU_ASSERT_EQUAL_FATAL(pcapng.n, 9); /* Register, Ack, CapabilitiesReq, OffHook, 4 of media, the end */
	CU_ASSERT_EQUAL(pcapng.recv, 8);
	CU_ASSERT_EQUAL(pcapng.drop, 0);
	CU_ASSERT_EQUAL(msg_of(0, &body), CP_SCCP_REGISTER);
	CU_ASSERT_EQUAL(memcmp(body, NAME, 15), 0);
	CU_ASSERT_EQUAL(msg_of(1, NULL), CP_SCCP_REGISTER_ACK);
	CU_ASSERT_EQUAL(msg_of(3, NULL), CP_SCCP_OFF_HOOK);
	CU_ASSERT_EQUAL(msg_of(8, NULL), UINT32_MAX);
	for (unsigned i = 0; i < 9; i++) {
		bool sent = i != 0 && i != 3;
		const uint8_t *d = pcapng.pkt[i].data, *tcp = d + (v6 ? 40 : 20);
		unsigned to_port = (unsigned)tcp[2] << 8 | tcp[3], from_port = (unsigned)tcp[0] << 8 | tcp[1];

		CU_ASSERT_EQUAL(pcapng.pkt[i].flags, sent ? 2 : 1);
		CU_ASSERT_EQUAL(sent ? from_port : to_port, 2000);
		CU_ASSERT_EQUAL(sent ? to_port : from_port, v6 ? 50001 : 50000);
		CU_ASSERT_EQUAL(d[v6 ? (sent ? 39 : 23) : (sent ? 19 : 15)], 51);
		CU_ASSERT_TRUE(i == 0 || pcapng.pkt[i].ns >= pcapng.pkt[i - 1].ns);
		if (msg_of(i, NULL) == CP_SCCP_ORC || msg_of(i, NULL) == CP_SCCP_SMT) {
			CU_ASSERT_EQUAL(holds(i, key, sizeof(key)), keys && media_seen < 2);
			CU_ASSERT_EQUAL(holds(i, "ZZZZZZZZZZZZZZ", 14), keys && media_seen < 2); /* the salt */
			media_seen++;
		}
	}
	CU_ASSERT_EQUAL(media_seen, 4);
	end();
}

static void test_content(void)
{
	content(&rsa, false, false);
	content(&rsa, true, true);
	content(&ec, false, true);
}

/* It is of the device, not of a connection; and of a phone that was there before it began. */
static void test_reconnect(void)
{
	struct cp_phone *p;

	begin(true, CFG_CAPTURE_ALLOW);
	p = connect_phone(false);
	say_register(p, NAME);
	CU_ASSERT_PTR_NOT_NULL_FATAL(start(NAME, &rsa, ""));
	say(p, CP_SCCP_KEEPALIVE, NULL, 0);
	broken = true; /* what cannot be sent is not in the record */
	say(p, CP_SCCP_KEEPALIVE, NULL, 0);
	cp_session_closed(p, CP_GONE_CLOSED);
	broken = false;
	p = connect_phone(true);
	say_register(p, NAME);
	(void)stop(1);
	cp_session_closed(p, CP_GONE_CLOSED);
	CU_ASSERT_TRUE_FATAL(open_part(1, 1, &rsa));
	CU_ASSERT_EQUAL_FATAL(pcapng.n, 7);
	CU_ASSERT_EQUAL(msg_of(0, NULL), CP_SCCP_KEEPALIVE);
	CU_ASSERT_EQUAL(msg_of(1, NULL), CP_SCCP_KEEPALIVE_ACK);
	CU_ASSERT_EQUAL(msg_of(2, NULL), CP_SCCP_KEEPALIVE);
	CU_ASSERT_EQUAL(msg_of(3, NULL), UINT32_MAX);
	CU_ASSERT_EQUAL(msg_of(4, NULL), CP_SCCP_REGISTER);
	CU_ASSERT_EQUAL(pcapng.pkt[4].data[0] >> 4, 6);
	end();
}

/* Who only says the name, in clear: why he is refused, up to a bound; and the phone's own is still taken. */
static void test_claims(void)
{
	struct cp_sccp_peer peer = {.addr = {.family = 4, .plen = 32, .ip = {192, 0, 2, 66}, .port = 50002},
				    .local = {.family = 4, .plen = 32, .ip = {192, 0, 2, 1}, .port = 2000}};
	unsigned bytes = 0, claims = 0, off_hook = 0, keepalives = 0;
	struct cp_phone *p;

	begin(true, CFG_CAPTURE_ALLOW);
	CU_ASSERT_PTR_NOT_NULL_FATAL(start(NAME, &rsa, ""));
	for (unsigned i = 0; i < 2000; i++) {
		uint8_t token[32] = NAME;

		p = cp_session_open(sccp, &link_ops, &broken, &peer);
		say(p, CP_SCCP_TOKEN_REQ, token, sizeof(token));
		say(p, CP_SCCP_KEEPALIVE, NULL, 0);
		say(p, CP_SCCP_OFF_HOOK, NULL, 0);
		say_register(p, NAME);
		cp_session_closed(p, CP_GONE_CLOSED);
	}
	CU_ASSERT_PTR_NOT_NULL(sccp->tap); /* it runs */
	p = connect_phone(false);
	say_register(p, NAME);
	say(p, CP_SCCP_OFF_HOOK, NULL, 0);
	cp_session_closed(p, CP_GONE_CLOSED);
	CU_ASSERT(json_integer_value(json_object_get(stop(1), "lost")) > 0);
	CU_ASSERT_TRUE_FATAL(open_part(1, 1, &rsa));
	for (unsigned i = 0; i < pcapng.n; i++) {
		uint32_t id = msg_of(i, NULL);

		claims += id == CP_SCCP_REGISTER;
		off_hook += id == CP_SCCP_OFF_HOOK;
		keepalives += id == CP_SCCP_KEEPALIVE;
		bytes += (unsigned)pcapng.pkt[i].len;
	}
	CU_ASSERT(claims > 10 && off_hook == 1 && keepalives == 0); /* that of the phone itself */
	CU_ASSERT(msg_of(pcapng.n - 2, NULL) == CP_SCCP_OFF_HOOK && bytes < CP_SIGCAP_CLAIM + 2048);
	end();
}

/* 004c:PC-08: its size, in parts with a key of each; 004c:PC-09, PC-14: its time, and nothing stands afterwards. */
static void test_bounds(void)
{
	struct cp_phone *p;
	unsigned parts, msgs = 0;
	json_t *o;

	begin(true, CFG_CAPTURE_ALLOW);
	p = connect_phone(false);
	say_register(p, NAME);
	CU_ASSERT_PTR_NOT_NULL_FATAL(start(NAME, &rsa, ""));
	for (unsigned i = 0; i < 20000 && sccp->tap != NULL; i++) {
		say(p, CP_SCCP_KEEPALIVE, NULL, 0);
		if (i % 1000 == 0)
			spin();
	}
	for (int i = 0; i < 20000 && alarm_stands(); i++)
		spin();
	o = shown(1);
	CU_ASSERT_STRING_EQUAL_FATAL(json_string_value(json_object_get(o, "end")), "full");
	parts = (unsigned)json_integer_value(json_object_get(o, "parts"));
	msgs = (unsigned)json_integer_value(json_object_get(o, "packets"));
	CU_ASSERT_TRUE(parts >= 1 && msgs > 5000);
	CU_ASSERT_TRUE(json_integer_value(json_object_get(o, "bytes")) <= (1 << 20) + 8192);
	CU_ASSERT_PTR_NULL(sccp->tap);
	CU_ASSERT_PTR_NOT_NULL_FATAL(start(NAME, &rsa, ",\"seconds\":1"));
	say(p, CP_SCCP_KEEPALIVE, NULL, 0);
	for (int i = 0; i < 20000 && alarm_stands(); i++)
		spin();
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(shown(2), "end")), "time");
	CU_ASSERT_TRUE(open_part(2, 1, &rsa));
	CU_ASSERT_EQUAL(pcapng.n, 2);
	cp_session_closed(p, CP_GONE_CLOSED);
	end();
}

/* A place that is not ours alone is not written to; and what cannot be written ends it. */
static void test_directory(void)
{
	struct cp_phone *p;

	begin(true, CFG_CAPTURE_ALLOW);
	CU_ASSERT_EQUAL(mkdir(dir, 0700), 0);
	CU_ASSERT_EQUAL(chmod(dir, 0777), 0);
	p = connect_phone(false);
	say_register(p, NAME);
	CU_ASSERT_PTR_NOT_NULL_FATAL(start(NAME, &rsa, ""));
	say(p, CP_SCCP_KEEPALIVE, NULL, 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(stop(1), "end")), "failed");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(shown(1), "parts")), 0);
	CU_ASSERT_FALSE(alarm_stands());
	cp_session_closed(p, CP_GONE_CLOSED);
	end();
}

static sem_t go;
static void busy_work(void *job)
{
	(void)job;
	while (sem_wait(&go) < 0)
		;
}
static void busy_done(void *job) { (void)job; }

/* All threads are busy: the loop writes nothing itself; the part waits for one of them, or for the controlplane's end. */
static void test_busy(void)
{
	static const char stop_text[] = "{\"cmd\":\"stop\",\"args\":{\"id\":1}}";

	for (unsigned i = 0; i < 2; i++) {
		char path[600];
		struct cp_phone *p;
		struct stat st;

		begin(true, CFG_CAPTURE_ALLOW);
		p = connect_phone(false);
		say_register(p, NAME);
		snprintf(path, sizeof(path), "%s", json_string_value(json_object_get(start(NAME, &rsa, ""), "file")));
		say(p, CP_SCCP_KEEPALIVE, NULL, 0);
		CU_ASSERT_EQUAL_FATAL(sem_init(&go, 0, 0), 0);
		while (cp_offload_run(offload, busy_work, busy_done, NULL) == 0)
			;
		json_decref(got);
		got = NULL;
		cp_admin_input(admin, stop_text, strlen(stop_text), on_line, NULL);
		for (int n = 0; n < 50; n++)
			spin();
		CU_ASSERT_PTR_NULL(got);
		CU_ASSERT_EQUAL(stat(path, &st), -1);
		if (i == 1)
			cp_sigcaps_stop(caps);
		for (int n = 0; n < CP_OFFLOAD_MAX; n++)
			sem_post(&go);
		for (int n = 0; n < 5000 && got == NULL; n++)
			spin();
		CU_ASSERT_PTR_NOT_NULL_FATAL(got);
		CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(shown(1), "end")), "stopped");
		CU_ASSERT_EQUAL(stat(path, &st), 0);
		CU_ASSERT_TRUE(open_part(1, 1, &rsa));
		cp_session_closed(p, CP_GONE_CLOSED);
		end();
		sem_destroy(&go);
	}
}

/* The controlplane stops: what it has is written. */
static void test_stop(void)
{
	char path[600];
	struct cp_phone *p;
	struct stat st;

	begin(true, CFG_CAPTURE_ALLOW);
	p = connect_phone(false);
	say_register(p, NAME);
	snprintf(path, sizeof(path), "%s", json_string_value(json_object_get(start(NAME, &rsa, ""), "file")));
	say(p, CP_SCCP_KEEPALIVE, NULL, 0);
	cp_session_closed(p, CP_GONE_CLOSED);
	cp_sigcaps_stop(caps);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(shown(1), "end")), "the controlplane stopped");
	end();
}

static CU_TestInfo tests[] = {
	{"who may", test_permission},     {"to whom", test_recipients},	    {"what is in it", test_content},
	{"of the device", test_reconnect}, {"who says that name", test_claims}, {"size and time", test_bounds}, {"the directory", test_directory},
	{"all threads are busy", test_busy}, {"the controlplane stops", test_stop}, CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("sigcap", tests, setup, teardown)
