/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trust stores: what may be uploaded and what each refusal says, that nothing is acknowledged that is not on the disk, and
 * that listeners take changes. 000:P0-60, P0-62. With a real store, the admin dispatcher without its socket, and a clock of its own.
 * Rows: 000:P0-34; 001:P1-027, P1-028, P1-033.
 */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <CUnit/CUnit.h>

#include "admin/admin.h"
#include "alarm.h"
#include "app.h"
#include "cert_fix.h"
#include "certs_ask.h"
#include "log.h"
#include "net/tls.h"
#include "offload.h"
#include "store/store.h"
#include "store_tmp.h"
#include "trust/certs_int.h"
#include "trust/upload.h"

#define DAY 86400ll
#define T0  1800000000ll

static struct cp_certs *certs;
static int64_t clock_s = T0;
static unsigned watched[CP_TS_MAX];

static struct cf_id root, inter, leaf, old_root, mic_root, mic_leaf;

static int64_t test_clock(void *ctx)
{
	(void)ctx;
	return clock_s;
}

static void on_change(void *ctx, const char *name)
{
	enum cp_trust_store ts;

	(void)ctx;
	if (cp_trust_store_parse(name, &ts) == 0)
		watched[ts]++;
}

static void up(void)
{
	struct cp_store_opts o = {.path = tmp_store};
	char err[256];

	app = (struct cp_app){.base = event_base_new()};
	app.alarms = cp_alarms_create();
	o.base = app.base;
	o.alarms = app.alarms;
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &app.store, err, sizeof(err)), 0);
	app.admin = cp_admin_create(NULL);
	app.offload = cp_offload_create(app.base);
	CU_ASSERT_EQUAL_FATAL(cp_certs_create(&app, &certs), 0);
	cp_certs_clock(certs, test_clock, NULL);
	CU_ASSERT_EQUAL_FATAL(cp_certs_commands(certs), 0);
	CU_ASSERT_EQUAL_FATAL(cp_certs_watch(certs, on_change, NULL), 0);
	memset(watched, 0, sizeof(watched));
}

static void down(void)
{
	cp_offload_destroy(app.offload);
	cp_store_close(app.store);
	cp_admin_destroy(app.admin);
	cp_certs_destroy(certs);
	cp_alarms_destroy(app.alarms);
	event_base_free(app.base);
}

static void begin(void)
{
	clock_s = T0;
	tmp_make();
	up();
}

static void end(void)
{
	down();
	tmp_remove();
}

static json_t *upload(const char *store, X509 *const *list)
{
	char *pem = cf_pem(list);
	json_t *a = ask("cert.upload", json_pack("{s:s, s:s, s:s}", "store", store, "pem", pem, "file", "up.pem"));

	free(pem);
	return a;
}

static json_t *upload1(const char *store, X509 *cert)
{
	return upload(store, (X509 *const[]){cert, NULL});
}

static char *b64(const uint8_t *data, size_t len)
{
	char *text = malloc((len + 2) / 3 * 4 + 1);

	EVP_EncodeBlock((unsigned char *)text, data, (int)len);
	return text;
}

static unsigned in_store(enum cp_trust_store ts)
{
	STACK_OF(X509) *list = cp_certs_trusted(certs, ts);
	unsigned n = (unsigned)sk_X509_num(list);

	sk_X509_pop_free(list, X509_free);
	return n;
}

/* --- the stores --- */

static void test_names(void)
{
	enum cp_trust_store ts = CP_TS_MAX;

	for (unsigned i = 0; i < CP_TS_MAX; i++) {
		CU_ASSERT_EQUAL(cp_trust_store_parse(cp_trust_store_name((enum cp_trust_store)i), &ts), 0);
		CU_ASSERT_EQUAL(ts, i);
	}
	CU_ASSERT_EQUAL(cp_trust_store_parse("capf-TRUST", &ts), 0);
	CU_ASSERT_EQUAL(ts, CP_TS_CAPF);
	CU_ASSERT_EQUAL(cp_trust_store_parse("CAPF", &ts), -EINVAL);
}

static void test_upload(void)
{
	char *text, *pem, hex[65];
	const char *id;
	uint8_t *der;
	json_t *a;
	size_t len;

	begin();
	a = upload("CAPF-trust", L(mic_root.cert, root.cert));
	CU_ASSERT_STRING_EQUAL(code(a), "ok");
	CU_ASSERT_EQUAL(json_array_size(json_object_get(a, "result")), 2);
	CU_ASSERT_EQUAL(in_store(CP_TS_CAPF), 2);
	CU_ASSERT_EQUAL(in_store(CP_TS_CALLMANAGER), 0); /* 001:P1-036: two separate stores */
	CU_ASSERT(watched[CP_TS_CAPF] == 1 && watched[CP_TS_CALLMANAGER] == 0);
	CU_ASSERT_EQUAL(audited("cert.upload", "Manufacturing"), 1);

	/* DER in base64, in another store */
	der = cf_der(leaf.cert, &len);
	text = b64(der, len);
	CU_ASSERT_STRING_EQUAL(code(ask("cert.upload", json_pack("{s:s, s:s}", "store", "https-trust", "data", text))), "ok");
	CU_ASSERT_EQUAL(in_store(CP_TS_HTTPS), 1);
	text[0] = '*';
	a = ask("cert.upload", json_pack("{s:s, s:s}", "store", "HTTPS-trust", "data", text));
	CU_ASSERT_STRING_EQUAL(code(a), "malformed");
	free(text);
	CU_ASSERT_STRING_EQUAL(code(ask("cert.upload", json_pack("{s:s, s:s}", "store", "HTTPS-trust", "data", "MA"))), "malformed");
	CU_ASSERT_STRING_EQUAL(code(ask("cert.upload", json_pack("{s:s}", "store", "HTTPS-trust"))), "invalid");
	CU_ASSERT_STRING_EQUAL(code(ask("cert.upload", json_pack("{s:s, s:s}", "store", "no-trust", "pem", ""))), "invalid");

	/* it is there after a restart */
	down();
	up();
	CU_ASSERT_EQUAL(in_store(CP_TS_CAPF), 2);
	CU_ASSERT_EQUAL(in_store(CP_TS_HTTPS), 1);

	a = json_object_get(ask("show.certs", NULL), "result");
	CU_ASSERT_EQUAL(json_array_size(a), 3);
	a = json_object_get(ask("show.certs", json_pack("{s:s}", "store", "HTTPS-trust")), "result");
	CU_ASSERT_EQUAL_FATAL(json_array_size(a), 1);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(a, 0), "name")), "server.example");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(a, 0), "state")), "expires");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_array_get(a, 0), "days_left")), 60);
	snprintf(hex, sizeof(hex), "%s", json_string_value(json_object_get(json_array_get(a, 0), "sha256")));

	/* by name, by the first digits, by any whole fingerprint with or without colons */
	hex[12] = '\0';
	a = json_object_get(ask("cert.show", json_pack("{s:s}", "id", hex)), "result");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(a, "subject")), "CN=server.example");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(a, "issuer")), "CN=Inter CA");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(a, "key")), "ec-p256");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(a, "not_after")), "2027-03-16T08:00:00Z");
	text = json_dumps(json_object_get(a, "alt_names"), JSON_COMPACT);
	CU_ASSERT_STRING_EQUAL(text, "[\"DNS:server.example\",\"IP:192.0.2.1\"]");
	free(text);
	text = json_dumps(json_object_get(a, "usages"), JSON_COMPACT);
	CU_ASSERT_STRING_EQUAL(text, "[\"digitalSignature\",\"serverAuth\"]");
	free(text);
	a = json_incref(json_object_get(a, "fingerprints"));
	CU_ASSERT_EQUAL(strlen(json_string_value(json_object_get(a, "sha1"))), 40);
	text = strdup(json_string_value(json_object_get(a, "md5")));
	CU_ASSERT_EQUAL(strlen(text), 32);
	json_decref(a);
	CU_ASSERT_STRING_EQUAL(code(ask("cert.show", json_pack("{s:s}", "id", text))), "ok");
	text[16] = '\0';
	CU_ASSERT_STRING_EQUAL(code(ask("cert.show", json_pack("{s:s}", "id", text))), "not-found");
	free(text);
	CU_ASSERT_STRING_EQUAL(code(ask("cert.show", json_pack("{s:s}", "id", "Root CA"))), "ok");
	CU_ASSERT_STRING_EQUAL(code(ask("cert.show", json_pack("{s:s}", "id", ""))), "not-found");
	CU_ASSERT_STRING_EQUAL(code(ask("cert.show", json_pack("{s:s, s:s}", "id", "Root CA", "store", "HTTPS-trust"))), "not-found");

	/* what comes out is what went in */
	a = json_object_get(ask("cert.export", json_pack("{s:s}", "id", "server.example")), "result");
	pem = cf_pem(L(leaf.cert));
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(a, "pem")), pem);
	text = b64(der, len);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(a, "der")), text);
	free(text);
	free(pem);
	free(der);

	/* one name in two stores must be said which */
	CU_ASSERT_STRING_EQUAL(code(upload1("TVS-trust", root.cert)), "ok");
	CU_ASSERT_STRING_EQUAL(code(ask("cert.show", json_pack("{s:s}", "id", "Root CA"))), "invalid");
	CU_ASSERT_PTR_NOT_NULL(strstr(message(answer), "2 certificates fit"));

	/* deletion */
	id = "Manufacturing CA of phones";
	CU_ASSERT_STRING_EQUAL(code(ask("cert.delete", json_pack("{s:s, s:s}", "store", "TVS-trust", "id", id))), "not-found");
	CU_ASSERT_STRING_EQUAL(code(ask("cert.delete", json_pack("{s:s, s:s}", "store", "CAPF-trust", "id", id))), "ok");
	CU_ASSERT_EQUAL(in_store(CP_TS_CAPF), 1);
	CU_ASSERT_EQUAL(audited("cert.delete", "Manufacturing"), 1);
	CU_ASSERT_STRING_EQUAL(code(ask("cert.delete", json_pack("{s:s, s:s}", "store", "CAPF-trust", "id", id))), "not-found");
	down();
	up();
	CU_ASSERT_EQUAL(in_store(CP_TS_CAPF), 1);
	CU_ASSERT_STRING_EQUAL(code(upload1("CAPF-trust", mic_root.cert)), "ok"); /* and may come back */
	end();
}

static void refused_upload(const char *store, X509 *const *list, const char *want, const char *word)
{
	unsigned before = audited("\"refused\"", word);
	size_t records = cp_store_count(app.store, CP_CF_CERT);
	json_t *a = upload(store, list);

	if (strcmp(code(a), want) != 0 || strstr(message(a), word) == NULL)
		printf("\n%s: %s instead of %s: %s", store, code(a), want, message(a));
	CU_ASSERT_STRING_EQUAL(code(a), want);
	CU_ASSERT_PTR_NOT_NULL(strstr(message(a), word));
	CU_ASSERT_EQUAL(audited("\"refused\"", word), before + 1);
	CU_ASSERT_EQUAL(cp_store_count(app.store, CP_CF_CERT), records); /* no state change */
}

static void test_refusals(void)
{
	struct cf_id future = cf_ca("Future CA", NULL, T0 + DAY, T0 + 2 * DAY), weak;
	EVP_PKEY *r1024 = rsa(1024);
	unsigned seen;

	weak = cf_make(&(struct cf_opts){.cn = "Weak CA", .key = r1024, .from = T0 - DAY, .to = T0 + DAY, .basic = "critical,CA:TRUE", .ku = CF_CA_KU});
	begin();
	CU_ASSERT_STRING_EQUAL(code(upload1("CAPF-trust", root.cert)), "ok");
	seen = watched[CP_TS_CAPF];
	refused_upload("CAPF-trust", L(old_root.cert), "expired", "expired: Old CA ended 100 days ago");
	refused_upload("CAPF-trust", L(future.cert), "not-yet-valid", "not yet valid: Future CA begins in 24 hours");
	refused_upload("CAPF-trust", L(leaf.cert), "wrong-usage", "wrong usage: CAPF-trust takes certificates of CAs");
	refused_upload("CAPF-trust", L(weak.cert), "weak-key", "rsa-1024");
	refused_upload("CAPF-trust", L(root.cert), "duplicate", "duplicate: Root CA is in CAPF-trust already");
	/* one bad one, and none of the file is taken */
	refused_upload("CAPF-trust", L(mic_root.cert, old_root.cert), "expired", "certificate 2 of the file: expired");
	CU_ASSERT_STRING_EQUAL(code(ask("cert.upload", json_pack("{s:s, s:s}", "store", "CAPF-trust", "pem", "rubbish"))), "malformed");
	CU_ASSERT_EQUAL(in_store(CP_TS_CAPF), 1);
	CU_ASSERT_EQUAL(watched[CP_TS_CAPF], seen);
	/* the clock decides */
	clock_s = T0 + DAY + 10;
	CU_ASSERT_STRING_EQUAL(code(upload1("CAPF-trust", future.cert)), "ok");
	end();
	cf_free(&future);
	cf_free(&weak);
	EVP_PKEY_free(r1024);
}

static void test_full(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct cf_id id[CERTS_STORE_MAX + 1];
	char cn[32];

	begin();
	for (int i = 0; i <= CERTS_STORE_MAX; i++) {
		snprintf(cn, sizeof(cn), "CA %d", i);
		id[i] = cf_make(&(struct cf_opts){.cn = cn, .key = key, .from = T0 - DAY, .to = T0 + DAY, .basic = "critical,CA:TRUE", .ku = CF_CA_KU});
	}
	for (int i = 0; i < CERTS_STORE_MAX; i++)
		CU_ASSERT_STRING_EQUAL(code(upload1("TVS-trust", id[i].cert)), "ok");
	refused_upload("TVS-trust", L(id[CERTS_STORE_MAX].cert), "full", "room for 100 certificates");
	CU_ASSERT_STRING_EQUAL(code(upload1("HTTPS-trust", id[CERTS_STORE_MAX].cert)), "ok");
	for (int i = 0; i <= CERTS_STORE_MAX; i++)
		cf_free(&id[i]);
	EVP_PKEY_free(key);
	end();
}

/* 001:P1-034: roots of MICs in CallManager-trust work, but are not wanted there */
static void test_manufacturers(void)
{
	json_t *a;

	begin();
	CU_ASSERT_STRING_EQUAL(code(upload1("CAPF-trust", mic_root.cert)), "ok");
	CU_ASSERT_PTR_NULL(cp_alarm_find(app.alarms, "manufacturer-root-trusted", "CallManager-trust"));
	CU_ASSERT_STRING_EQUAL(code(upload1("CallManager-trust", root.cert)), "ok");
	CU_ASSERT_PTR_NULL(cp_alarm_find(app.alarms, "manufacturer-root-trusted", "CallManager-trust"));
	/* known by being in CAPF-trust too, in any order */
	CU_ASSERT_STRING_EQUAL(code(upload1("CallManager-trust", mic_root.cert)), "ok");
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(app.alarms, "manufacturer-root-trusted", "CallManager-trust"));
	ask("cert.delete", json_pack("{s:s, s:s}", "store", "CAPF-trust", "id", "Manufacturing CA of phones"));
	CU_ASSERT_PTR_NULL(cp_alarm_find(app.alarms, "manufacturer-root-trusted", "CallManager-trust"));
	{ /* or by its name: 001:P1-035 */
		struct cf_id named = cf_ca("Cisco_Manufacturing_CA", NULL, T0 - DAY, T0 + DAY);

		a = upload1("CallManager-trust", named.cert);
		CU_ASSERT_STRING_EQUAL(code(a), "ok");
		CU_ASSERT_PTR_NOT_NULL(json_object_get(json_array_get(json_object_get(a, "result"), 0), "notice"));
		cf_free(&named);
	}
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(app.alarms, "manufacturer-root-trusted", "CallManager-trust"));
	down();
	up();
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(app.alarms, "manufacturer-root-trusted", "CallManager-trust"));
	end();
}

/* --- the disk --- */

static void on_late(void *ctx, const char *line, size_t len)
{
	json_t *o = json_loadb(line, len, 0, NULL);

	snprintf(ctx, 32, "%s", code(o));
	json_decref(o);
}

static void test_disk_full(void)
{
	struct rlimit was, none;
	char *pem = cf_pem(L(root.cert)), *text, early[32] = "";
	json_t *req;
	bool ok = false;

	begin();
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &was);
	none = (struct rlimit){0, was.rlim_max};
	setrlimit(RLIMIT_FSIZE, &none); /* no file may grow */
	req = json_pack("{s:s, s:{s:s, s:s}}", "cmd", "cert.upload", "args", "store", "CAPF-trust", "pem", pem);
	text = json_dumps(req, JSON_COMPACT);
	cp_admin_input(app.admin, text, strlen(text), on_late, early);
	CU_ASSERT_STRING_EQUAL(early, ""); /* never before the sync */
	for (int i = 0; i < 2000 && early[0] == '\0'; i++) {
		event_base_loop(app.base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	CU_ASSERT(strcmp(early, "store-failing") == 0 || strcmp(early, "full") == 0);
	CU_ASSERT_EQUAL(in_store(CP_TS_CAPF), 0);
	CU_ASSERT_EQUAL(watched[CP_TS_CAPF], 0);
	/* refused at once now, and a refusal for another reason still says its own */
	CU_ASSERT_STRING_NOT_EQUAL(code(upload1("CAPF-trust", root.cert)), "ok");
	CU_ASSERT_STRING_EQUAL(code(upload1("CAPF-trust", old_root.cert)), "expired");
	CU_ASSERT_EQUAL(in_store(CP_TS_CAPF), 0);
	setrlimit(RLIMIT_FSIZE, &was);
	for (int i = 0; i < 100 && !ok; i++) { /* space returns */
		ok = strcmp(code(upload1("CAPF-trust", root.cert)), "ok") == 0;
		if (!ok)
			usleep(100000);
	}
	CU_ASSERT_TRUE(ok);
	down();
	up();
	CU_ASSERT_EQUAL(in_store(CP_TS_CAPF), 1);
	free(pem);
	free(text);
	json_decref(req);
	end();
}

static void test_bad_records(void)
{
	static const char name[] = "CAPF-trust/00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
	struct cert_rec rec = {.label = "f.pem", .who = "uid 0", .added_us = 1234567890123456}, back;
	struct cp_batch *b = cp_batch_create();
	struct cp_buf val;
	size_t len;

	rec.der.data = cf_der(root.cert, &len);
	rec.der.len = len;
	CU_ASSERT_EQUAL_FATAL(cert_rec_build(&rec, &val), 0);
	CU_ASSERT_EQUAL_FATAL(cert_rec_parse(val.data, val.len, &back), 0);
	CU_ASSERT(back.der.len == len && memcmp(back.der.data, rec.der.data, len) == 0 && back.added_us == rec.added_us);
	CU_ASSERT_STRING_EQUAL(back.label, "f.pem");
	CU_ASSERT_STRING_EQUAL(back.who, "uid 0");
	cert_rec_free(&back);
	for (size_t n = 0; n < val.len; n++)
		if (cert_rec_parse(val.data, n, &back) == 0) { /* between two fields */
			CU_ASSERT(back.der.len == len);
			cert_rec_free(&back);
		}
	begin();
	/* a certificate under another's fingerprint, and rubbish: trusted by nobody, kept, said */
	CU_ASSERT_EQUAL(cp_batch_put(b, CP_CF_CERT, name, strlen(name), val.data, val.len), 0);
	CU_ASSERT_EQUAL(cp_batch_put(b, CP_CF_CERT, "CAPF-trust/x", 12, val.data, val.len), 0);
	CU_ASSERT_EQUAL(cp_batch_put(b, CP_CF_CERT, "nowhere", 7, "x", 1), 0);
	CU_ASSERT_EQUAL(cp_store_commit(app.store, b), 0);
	down();
	up();
	CU_ASSERT_EQUAL(in_store(CP_TS_CAPF), 0);
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(app.alarms, "store-bad-record", "cert"));
	CU_ASSERT_EQUAL(cp_store_count(app.store, CP_CF_CERT), 3);
	free(rec.der.data);
	free(val.data);
	end();
}

/* --- listeners --- */

struct shake {
	SSL *client, *server;
	SSL_CTX *ctx;
	struct cp_tls_peer peer;
};

static bool shake(struct shake *s, struct cp_tls *tls, const struct cf_id *id, X509 *extra)
{
	BIO *a, *b;
	char c;

	memset(s, 0, sizeof(*s));
	s->ctx = SSL_CTX_new(TLS_client_method());
	if (id != NULL && (SSL_CTX_use_certificate(s->ctx, id->cert) != 1 || SSL_CTX_use_PrivateKey(s->ctx, id->key) != 1))
		abort();
	if (extra != NULL)
		SSL_CTX_add1_chain_cert(s->ctx, extra);
	s->client = SSL_new(s->ctx);
	s->server = cp_tls_accept(tls, &s->peer);
	if (s->server == NULL || BIO_new_bio_pair(&a, 65536, &b, 65536) != 1)
		abort();
	SSL_set_bio(s->client, a, a);
	SSL_set_bio(s->server, b, b);
	SSL_set_connect_state(s->client);
	for (int i = 0; i < 8; i++) {
		SSL_do_handshake(s->client);
		SSL_do_handshake(s->server);
	}
	return SSL_write(s->client, "x", 1) == 1 && SSL_read(s->server, &c, 1) == 1;
}

static void end_shake(struct shake *s)
{
	SSL_free(s->client);
	SSL_free(s->server);
	SSL_CTX_free(s->ctx);
	cp_tls_peer_fini(&s->peer);
}

static bool lets_in(struct cp_tls *tls, const struct cf_id *id, X509 *extra)
{
	struct shake s;
	bool in = shake(&s, tls, id, extra);

	end_shake(&s);
	return in;
}

/* A listener trusts what its stores have, from the very next handshake; connections stay. The clock is the system's here. */
static void test_listener(void)
{
	int64_t now = (int64_t)time(NULL);
	struct cf_id lsc_ca = cf_ca("CAPF-1", NULL, now - DAY, now + DAY), mics = cf_ca("MIC CA", NULL, now - DAY, now + DAY);
	struct cf_id lsc = cf_make(&(struct cf_opts){.cn = "SEP0A1B2C3D4E51", .issuer = &lsc_ca, .from = now - DAY, .to = now + DAY});
	struct cf_id mic = cf_make(&(struct cf_opts){.cn = "CP-7965-SEP0A1B2C3D4E51", .issuer = &mics, .from = now - DAY, .to = now + DAY});
	struct cf_id vendor = cf_make(&(struct cf_opts){.cn = "SEP0A1B2C3D4E52", .from = now - DAY, .to = now + DAY, .basic = "CA:FALSE"});
	struct cf_id below = cf_make(&(struct cf_opts){.cn = "SEP0A1B2C3D4E53", .issuer = &vendor, .from = now - DAY, .to = now + DAY});
	struct cf_id srv = cf_make(&(struct cf_opts){.cn = "cm", .from = now - DAY, .to = now + DAY});
	struct cp_tls *tls;
	struct served *s;
	struct shake living;
	char c;

	begin();
	cp_certs_clock(certs, NULL, NULL);
	CU_ASSERT_EQUAL_FATAL(cp_tls_create(CP_TLS_MODERN, false, &tls), 0);
	s = &certs->served[certs->served_cnt++];
	*s = (struct served){.tls = tls, .name = "CallManager", .stores = 1u << CP_TS_CALLMANAGER, .lscs = true};
	EVP_PKEY_up_ref(srv.key);
	X509_up_ref(srv.cert);
	X509_up_ref(lsc_ca.cert);
	s->key = srv.key;
	s->cert = srv.cert;
	certs->lsc_cas = sk_X509_new_null();
	sk_X509_push(certs->lsc_cas, lsc_ca.cert);
	CU_ASSERT_EQUAL(certs_reload(certs, s), 0);
	CU_ASSERT_TRUE(lets_in(tls, &lsc, NULL));
	CU_ASSERT_FALSE(lets_in(tls, &mic, NULL));

	/* CAPF-trust is not CallManager-trust */
	CU_ASSERT_STRING_EQUAL(code(upload1("CAPF-trust", mics.cert)), "ok");
	CU_ASSERT_EQUAL(cp_tls_generation(tls), 1);
	CU_ASSERT_FALSE(lets_in(tls, &mic, NULL));
	CU_ASSERT_STRING_EQUAL(code(upload1("CallManager-trust", mics.cert)), "ok");
	CU_ASSERT_EQUAL(cp_tls_generation(tls), 2);
	CU_ASSERT_TRUE(shake(&living, tls, &mic, NULL));
	CU_ASSERT_TRUE(lets_in(tls, &lsc, NULL)); /* who was trusted is */
	ask("cert.delete", json_pack("{s:s, s:s}", "store", "CallManager-trust", "id", "MIC CA"));
	CU_ASSERT_FALSE(lets_in(tls, &mic, NULL));
	CU_ASSERT(SSL_write(living.client, "z", 1) == 1 && SSL_read(living.server, &c, 1) == 1);
	end_shake(&living);

	/* a phone's own certificate lets in that phone, and nobody whom it signed for: 000:P0-26 */
	CU_ASSERT_FALSE(lets_in(tls, &vendor, NULL));
	CU_ASSERT_STRING_EQUAL(code(upload1("CallManager-trust", vendor.cert)), "ok");
	CU_ASSERT_TRUE(lets_in(tls, &vendor, NULL));
	CU_ASSERT_FALSE(lets_in(tls, &below, NULL));
	CU_ASSERT_FALSE(lets_in(tls, &below, vendor.cert));
	end();
	cp_tls_destroy(tls);
	cf_free(&lsc_ca);
	cf_free(&mics);
	cf_free(&lsc);
	cf_free(&mic);
	cf_free(&vendor);
	cf_free(&below);
	cf_free(&srv);
}

static int setup(void)
{
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	root = cf_ca("Root CA", NULL, T0 - DAY, T0 + 3650 * DAY);
	inter = cf_ca("Inter CA", &root, T0 - DAY, T0 + 900 * DAY);
	leaf = cf_make(&(struct cf_opts){.cn = "server.example", .issuer = &inter, .from = T0 - DAY, .to = T0 + 60 * DAY,
					 .basic = "critical,CA:FALSE", .ku = "critical,digitalSignature", .eku = "serverAuth",
					 .san = "DNS:server.example,IP:192.0.2.1"});
	old_root = cf_ca("Old CA", NULL, T0 - 1000 * DAY, T0 - 100 * DAY);
	mic_root = cf_ca("Manufacturing CA of phones", NULL, T0 - DAY, T0 + 3650 * DAY);
	mic_leaf = cf_make(&(struct cf_opts){.cn = "CP-7965-SEP0A1B2C3D4E51", .issuer = &mic_root, .from = T0 - DAY, .to = T0 + DAY});
	return 0;
}

static int teardown(void)
{
	struct cf_id *ids[] = {&root, &inter, &leaf, &old_root, &mic_root, &mic_leaf};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		cf_free(ids[i]);
	json_decref(answer);
	return 0;
}

static CU_TestInfo tests[] = {
	{"names of stores", test_names},
	{"upload, list, show, export, delete", test_upload},
	{"refusals say why, are audited and change nothing", test_refusals},
	{"a store has room for so many", test_full},
	{"manufacturers' roots in CallManager-trust", test_manufacturers},
	{"a full disk acknowledges nothing", test_disk_full},
	{"records that cannot be read", test_bad_records},
	{"a listener takes changes with the next handshake", test_listener},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("certs", tests, setup, teardown)
