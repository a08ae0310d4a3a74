/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our own certificates, with a real signer on a thread: regenerated, requested and imported from a CA, retired; what each refusal
 * says; listeners that show the new one; and the expiry watch with a clock of its own.
 * Rows: 001:P1-028; 002:P2-39; 004a:PKI-02.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include <CUnit/CUnit.h>

#include "admin/admin.h"
#include "alarm.h"
#include "app.h"
#include "cert_fix.h"
#include "certs_ask.h"
#include "config.h"
#include "log.h"
#include "net/tls.h"
#include "offload.h"
#include "serve.h"
#include "signerc/signerc.h"
#include "state.h"
#include "store/store.h"
#include "store_tmp.h"
#include "trust/certs_int.h"
#include "trust/upload.h"

#define DAY 86400ll

static struct cfg *cfg;
static struct pki_state *state;
static struct pki_serve *serve;
static pthread_t thread;
static int stop_fd = -1;
static char run_dir[100];

static struct cp_certs *certs;
static struct cp_tls *tls;
static int64_t clock_s;
static char changed[512]; /* names as they were told, each with a space */
static struct cf_id ca, inter;

static int64_t test_clock(void *ctx)
{
	(void)ctx;
	return clock_s;
}

static void on_change(void *ctx, const char *name)
{
	size_t len = strlen(changed);

	(void)ctx;
	snprintf(changed + len, sizeof(changed) - len, "%s ", name);
}

static void *serving(void *arg)
{
	(void)arg;
	pki_serve_run(serve, stop_fd);
	return NULL;
}

static void signer_up(void)
{
	char err[512];

	CU_ASSERT_EQUAL_FATAL(pki_state_open(cfg, (int64_t)time(NULL), &state, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL_FATAL(pki_serve_create(state, run_dir, &serve), 0);
	stop_fd = eventfd(0, EFD_CLOEXEC);
	pthread_create(&thread, NULL, serving, NULL);
}

static void signer_down(void)
{
	eventfd_write(stop_fd, 1);
	pthread_join(thread, NULL);
	pki_serve_destroy(serve);
	pki_state_close(state);
	close(stop_fd);
}

static void up(void)
{
	struct cp_store_opts o = {.path = tmp_store};
	char err[256];

	app = (struct cp_app){.base = event_base_new(), .cfg = cfg};
	app.alarms = cp_alarms_create();
	o.base = app.base;
	o.alarms = app.alarms;
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &app.store, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL_FATAL(cp_signer_open(run_dir, 5000, &app.signer), 0);
	app.admin = cp_admin_create(NULL);
	app.offload = cp_offload_create(app.base);
	CU_ASSERT_EQUAL_FATAL(cp_certs_create(&app, &certs), 0);
	CU_ASSERT_EQUAL_FATAL(cp_certs_commands(certs), 0);
	CU_ASSERT_EQUAL_FATAL(cp_certs_watch(certs, on_change, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(cp_tls_create(CP_TLS_MODERN, false, &tls), 0);
	CU_ASSERT_EQUAL_FATAL(cp_certs_serve(certs, tls, "CallManager", 1u << CP_TS_CALLMANAGER, true), 0);
	changed[0] = '\0';
}

static void down(void)
{
	app.stopping = true;
	cp_tls_destroy(tls);
	cp_offload_destroy(app.offload);
	cp_store_close(app.store);
	cp_admin_destroy(app.admin);
	cp_certs_destroy(certs);
	cp_alarms_destroy(app.alarms);
	cp_signer_close(app.signer);
	event_base_free(app.base);
}

/* The keys that a first start makes are made once: each test begins with a copy of that state. */
static char kept[] = "/tmp/ravelin-own-XXXXXX";

static void copy_state(const char *from, const char *to)
{
	char cmd[300];

	snprintf(cmd, sizeof(cmd), "cp -a %s/signer %s/", from, to);
	CU_ASSERT_EQUAL_FATAL(system(cmd), 0);
}

static void begin(void)
{
	static bool made;
	char text[400], err[256];
	int n;

	tmp_make();
	n = snprintf(text, sizeof(text),
		     "paths: {state: %s/state, run: %s/run}\nlog: {level: err}\n"
		     "signer:\n  server_key: ec-p256\n",
		     tmp_dir, tmp_dir);
	CU_ASSERT_EQUAL_FATAL(cfg_load_data((uint8_t *)text, (size_t)n, &cfg, err, sizeof(err)), 0);
	snprintf(run_dir, sizeof(run_dir), "%s/run", tmp_dir);
	mkdir(cfg->paths.state, 0700);
	if (made)
		copy_state(kept, cfg->paths.state);
	signer_up();
	if (!made)
		copy_state(cfg->paths.state, kept);
	made = true;
	up();
}

static void end(void)
{
	down();
	signer_down();
	cfg_free(cfg);
	tmp_remove();
}

static json_t *named(const char *name)
{
	return json_pack("{s:s}", "name", name);
}

static json_t *import(const char *name, X509 *const *list)
{
	char *pem = cf_pem(list);
	json_t *a = ask("cert.import", json_pack("{s:s, s:s}", "name", name, "pem", pem));

	free(pem);
	return a;
}

static bool is_own(const char *name, X509 *cert)
{
	X509 *own = cp_certs_own(certs, name);
	bool is = own != NULL && X509_cmp(own, cert) == 0;

	X509_free(own);
	return is;
}

static bool serves(X509 *cert)
{
	SSL_CTX *ctx = cp_tls_ctx(tls);
	bool is = X509_cmp(SSL_CTX_get0_certificate(ctx), cert) == 0;

	SSL_CTX_free(ctx);
	return is;
}

/* The CA's answer to a request in PEM. */
static X509 *answer_as(const char *pem, const struct cf_id *issuer, int64_t from, int64_t to, bool is_ca, const char *eku)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509_REQ *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
	struct cf_id id;
	X509 *cert;

	CU_ASSERT_PTR_NOT_NULL_FATAL(req);
	CU_ASSERT_EQUAL(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)), 1);
	id = cf_make(&(struct cf_opts){.cn = "replaced below", .issuer = issuer, .from = from, .to = to});
	cert = id.cert;
	X509_set_pubkey(cert, X509_REQ_get0_pubkey(req));
	X509_set_subject_name(cert, X509_REQ_get_subject_name(req));
	cf_ext(cert, issuer->cert, NID_basic_constraints, is_ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE");
	cf_ext(cert, issuer->cert, NID_key_usage, is_ca ? CF_CA_KU : "critical,digitalSignature,keyEncipherment");
	cf_ext(cert, issuer->cert, NID_ext_key_usage, eku);
	X509_sign(cert, issuer->key, EVP_sha256());
	EVP_PKEY_free(id.key);
	X509_REQ_free(req);
	BIO_free(bio);
	return cert;
}

static X509 *answer_to(const char *pem, const struct cf_id *issuer, int64_t from, int64_t to, const char *eku)
{
	return answer_as(pem, issuer, from, to, false, eku);
}

static char *request(const char *name)
{
	json_t *a = ask("cert.csr", named(name));
	const char *pem = json_string_value(json_object_get(json_object_get(a, "result"), "pem"));

	CU_ASSERT_STRING_EQUAL(code(a), "ok");
	CU_ASSERT_PTR_NOT_NULL_FATAL(pem);
	return strdup(pem);
}

/* --- changes --- */

static void test_regenerate(void)
{
	X509 *before, *after, *again;
	json_t *a;

	begin();
	before = cp_certs_own(certs, "CallManager");
	CU_ASSERT_PTR_NOT_NULL_FATAL(before);
	CU_ASSERT_TRUE(serves(before));
	CU_ASSERT_PTR_NULL(cp_certs_own(certs, "CallManager.prev"));
	a = ask("cert.regenerate", json_pack("{s:s, s:s}", "name", "CallManager", "key", "rsa-3072"));
	CU_ASSERT_STRING_EQUAL(code(a), "ok");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_object_get(a, "result"), "key")), "rsa-3072");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_object_get(a, "result"), "previous")), "CallManager.prev");
	after = cp_certs_own(certs, "CallManager");
	/* when it is answered, listeners show it and everybody knows */
	CU_ASSERT_NOT_EQUAL(X509_cmp(before, after), 0);
	CU_ASSERT_TRUE(serves(after));
	CU_ASSERT_EQUAL(cp_tls_generation(tls), 2);
	CU_ASSERT_TRUE(is_own("CallManager.prev", before));
	CU_ASSERT_PTR_NOT_NULL(strstr(changed, "CallManager "));
	CU_ASSERT_PTR_NULL(strstr(changed, "TVS"));
	CU_ASSERT_EQUAL(audited("cert.regenerate", "CallManager"), 2); /* begun, ended */

	/* another identity: the listener has no reason to change */
	changed[0] = '\0';
	CU_ASSERT_STRING_EQUAL(code(ask("cert.regenerate", named("TVS"))), "ok");
	CU_ASSERT_PTR_NOT_NULL(strstr(changed, "TVS "));
	CU_ASSERT_EQUAL(cp_tls_generation(tls), 2);

	/* CAPF: phones' certificates of before and of now are both trusted */
	CU_ASSERT_STRING_EQUAL(code(ask("cert.regenerate", named("CAPF"))), "ok");
	CU_ASSERT_EQUAL(cp_tls_generation(tls), 3);
	CU_ASSERT_EQUAL(sk_X509_num(certs->lsc_cas), 2);

	/* retired: what was before is no more */
	changed[0] = '\0';
	CU_ASSERT_STRING_EQUAL(code(ask("cert.retire", named("CallManager"))), "ok");
	CU_ASSERT_PTR_NULL(cp_certs_own(certs, "CallManager.prev"));
	CU_ASSERT_STRING_EQUAL(changed, "CallManager.prev ");
	CU_ASSERT_TRUE(is_own("CallManager", after));
	CU_ASSERT_STRING_EQUAL(code(ask("cert.retire", named("CallManager"))), "not-found");
	CU_ASSERT_STRING_EQUAL(code(ask("cert.retire", named("CAPF"))), "ok");
	CU_ASSERT_EQUAL(sk_X509_num(certs->lsc_cas), 1);
	CU_ASSERT_EQUAL(cp_tls_generation(tls), 4);

	/* refusals */
	CU_ASSERT_STRING_EQUAL(code(ask("cert.regenerate", named("Nobody"))), "not-found");
	CU_ASSERT_STRING_EQUAL(code(ask("cert.regenerate", named("TVS.prev"))), "not-found");
	CU_ASSERT_STRING_EQUAL(code(ask("cert.regenerate", json_pack("{s:s, s:s}", "name", "TVS", "key", "rsa-1024"))), "invalid");
	a = ask("cert.regenerate", json_pack("{s:s, s:s}", "name", "TFTP", "key", "rsa-4096")); /* 004c:CT-18 */
	CU_ASSERT_STRING_EQUAL(code(a), "limit");
	CU_ASSERT_TRUE(says(a, "public key of 526 bytes, 512 are taken by class 79xx"));
	CU_ASSERT_EQUAL(audited("refused", "526 bytes"), 1);
	again = cp_certs_own(certs, "TFTP");
	X509_free(again);

	/* it is all there with another start of both */
	down();
	signer_down();
	signer_up();
	up();
	CU_ASSERT_TRUE(is_own("CallManager", after));
	CU_ASSERT_TRUE(serves(after));
	X509_free(before);
	X509_free(after);
	end();
}

static void test_import(void)
{
	int64_t now = (int64_t)time(NULL);
	struct cf_id self = cf_make(&(struct cf_opts){.cn = "other key", .from = now - DAY, .to = now + DAY, .issuer = &inter,
						      .basic = "CA:FALSE", .ku = "digitalSignature", .eku = "serverAuth"});
	struct cf_id dead = cf_ca("Dead CA", NULL, now - 10 * DAY, now - DAY);
	X509 *before, *good, *bad;
	json_t *a, *list, *row;
	bool pending = false;
	char *pem;
	size_t i;

	begin();
	before = cp_certs_own(certs, "CallManager");
	pem = request("CallManager");
	CU_ASSERT_TRUE(is_own("CallManager", before)); /* nothing that anybody sees */
	list = json_object_get(ask("show.certs", json_pack("{s:s}", "store", "own")), "result");
	json_array_foreach(list, i, row)
		pending |= strcmp(json_string_value(json_object_get(row, "name")), "CallManager") == 0 &&
			   strcmp(json_string_value(json_object_get(row, "note")), "a request is out") == 0;
	CU_ASSERT_TRUE(pending);
	good = answer_to(pem, &inter, now - DAY, now + 300 * DAY, "serverAuth,clientAuth");

	/* what a CA's answer can be wrong in, each with its own word; nothing changes */
	a = import("CallManager", L(self.cert, inter.cert, ca.cert));
	CU_ASSERT_STRING_EQUAL(code(a), "mismatched-key");
	CU_ASSERT_TRUE(says(a, "mismatched key: "));
	a = import("CallManager", L(good));
	CU_ASSERT_STRING_EQUAL(code(a), "chain-incomplete");
	CU_ASSERT_TRUE(says(a, "Issuing CA, which issued"));
	a = import("CallManager", L(good, inter.cert));
	CU_ASSERT_STRING_EQUAL(code(a), "chain-incomplete");
	bad = answer_to(pem, &inter, now - 3 * DAY, now - DAY, "serverAuth");
	a = import("CallManager", L(bad, inter.cert, ca.cert));
	CU_ASSERT_STRING_EQUAL(code(a), "expired");
	X509_free(bad);
	bad = answer_to(pem, &inter, now + DAY, now + 2 * DAY, "serverAuth");
	CU_ASSERT_STRING_EQUAL(code(import("CallManager", L(bad, inter.cert, ca.cert))), "not-yet-valid");
	X509_free(bad);
	bad = answer_to(pem, &dead, now - DAY, now + 2 * DAY, "serverAuth");
	a = import("CallManager", L(bad, dead.cert));
	CU_ASSERT_STRING_EQUAL(code(a), "expired");
	CU_ASSERT_TRUE(says(a, "Dead CA: expired"));
	X509_free(bad);
	bad = answer_to(pem, &inter, now - DAY, now + DAY, "codeSigning");
	a = import("CallManager", L(bad, inter.cert, ca.cert));
	CU_ASSERT_STRING_EQUAL(code(a), "wrong-usage");
	CU_ASSERT_TRUE(says(a, "no TLS server"));
	X509_free(bad);
	CU_ASSERT_STRING_EQUAL(code(import("CallManager", L(ca.cert))), "wrong-usage");
	CU_ASSERT_STRING_EQUAL(code(import("CAPF", L(good, inter.cert, ca.cert))), "wrong-usage");
	a = ask("cert.import", json_pack("{s:s, s:s}", "name", "CallManager", "pem", "rubbish"));
	CU_ASSERT_STRING_EQUAL(code(a), "malformed");
	CU_ASSERT_TRUE(is_own("CallManager", before));
	CU_ASSERT_EQUAL(cp_tls_generation(tls), 1);
	CU_ASSERT_EQUAL(audited("cert.import", "\"refused\""), 9);
	CU_ASSERT_STRING_EQUAL(changed, "");

	/* the right one, in any order, and with the root from a trust store */
	a = ask("cert.upload", json_pack("{s:s, s:s}", "store", "HTTPS-trust", "pem", (free(pem), pem = cf_pem(L(ca.cert)))));
	CU_ASSERT_STRING_EQUAL(code(a), "ok");
	a = import("CallManager", L(inter.cert, good));
	CU_ASSERT_STRING_EQUAL(code(a), "ok");
	CU_ASSERT_TRUE(is_own("CallManager", good));
	CU_ASSERT_TRUE(is_own("CallManager.prev", before));
	CU_ASSERT_TRUE(serves(good));
	CU_ASSERT_EQUAL(cp_tls_generation(tls), 2);
	CU_ASSERT_EQUAL(sk_X509_num(certs->served[0].chain), 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(changed, "CallManager "));
	a = import("CallManager", L(inter.cert, good));
	CU_ASSERT_STRING_EQUAL(code(a), "duplicate");
	X509_free(before);
	X509_free(good);
	free(pem);
	cf_free(&self);
	cf_free(&dead);
	end();
}

/* 001:P1-046, 000:P0-04: who has a CA has it for CallManager and for CAPF, which then issues in its name. */
static void test_import_capf(void)
{
	int64_t now = (int64_t)time(NULL);
	X509 *before, *good, *bad;
	char *pem;
	json_t *a;

	begin();
	before = cp_certs_own(certs, "CAPF");
	pem = request("CAPF");
	bad = answer_to(pem, &inter, now - DAY, now + 300 * DAY, "serverAuth");
	a = import("CAPF", L(bad, inter.cert, ca.cert));
	CU_ASSERT_STRING_EQUAL(code(a), "wrong-usage");
	CU_ASSERT_TRUE(says(a, "not a CA's"));
	CU_ASSERT_TRUE(is_own("CAPF", before));
	good = answer_as(pem, &inter, now - DAY, now + 300 * DAY, true, NULL);
	a = import("CAPF", L(good, inter.cert, ca.cert));
	CU_ASSERT_STRING_EQUAL(code(a), "ok");
	CU_ASSERT_TRUE(is_own("CAPF", good));
	CU_ASSERT_TRUE(is_own("CAPF.prev", before));
	X509_free(before);
	X509_free(good);
	X509_free(bad);
	free(pem);
	end();
}

/* --- who must be asked first --- */

static struct cp_trust_ask asked;
static char asked_subject[64];
static unsigned asks;

static int deny(void *ctx, const struct cp_trust_ask *ask_, int64_t strand, unsigned *ret_count, char *why, size_t size)
{
	(void)ctx;
	asked = *ask_;
	snprintf(asked_subject, sizeof(asked_subject), "%s", ask_->subject);
	asks++;
	*ret_count = 42;
	if (strand == 42)
		return 0;
	snprintf(why, size, "42 phones would be stranded");
	return -EPERM;
}

static void test_allow(void)
{
	X509 *before;
	json_t *a;

	begin();
	before = cp_certs_own(certs, "TFTP");
	cp_certs_allow(certs, deny, NULL);
	asks = 0;
	a = ask("cert.regenerate", named("TFTP"));
	CU_ASSERT_STRING_EQUAL(code(a), "strands-phones");
	CU_ASSERT_TRUE(says(a, "42 phones"));
	CU_ASSERT(asks == 1 && asked.change == CP_TRUST_REGEN && asked.to == NULL);
	CU_ASSERT_STRING_EQUAL(asked_subject, "TFTP");
	CU_ASSERT_STRING_EQUAL(code(ask("cert.regenerate", json_pack("{s:s, s:i}", "name", "TFTP", "strand", 41))), "strands-phones");
	CU_ASSERT_TRUE(is_own("TFTP", before));
	CU_ASSERT_EQUAL(audited("refused", "42 phones"), 2);
	CU_ASSERT_STRING_EQUAL(code(ask("cert.csr", named("TFTP"))), "ok"); /* changes nothing yet */
	CU_ASSERT_EQUAL(asks, 2);
	CU_ASSERT_STRING_EQUAL(code(ask("cert.regenerate", json_pack("{s:s, s:i}", "name", "TFTP", "strand", 42))), "ok");
	CU_ASSERT_TRUE(is_own("TFTP.prev", before));
	CU_ASSERT_STRING_EQUAL(code(ask("cert.retire", named("TFTP"))), "strands-phones");
	CU_ASSERT_TRUE(is_own("TFTP.prev", before));
	CU_ASSERT_STRING_EQUAL(code(ask("cert.retire", json_pack("{s:s, s:i}", "name", "TFTP", "strand", 42))), "ok");
	X509_free(before);
	end();
}

/* --- what fails --- */

static void test_failures(void)
{
	struct rlimit was, none;
	X509 *before;
	json_t *a;
	bool ok = false;

	begin();
	before = cp_certs_own(certs, "TVS");
	/* a store that cannot write the audit: the signer is not even asked */
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &was);
	none = (struct rlimit){0, was.rlim_max};
	setrlimit(RLIMIT_FSIZE, &none);
	a = ask("cert.regenerate", named("TVS"));
	CU_ASSERT(strcmp(code(a), "store-failing") == 0 || strcmp(code(a), "full") == 0);
	CU_ASSERT_TRUE(says(a, "nothing was changed"));
	CU_ASSERT_PTR_NULL(certs_ident(certs, "TVS.prev"));
	setrlimit(RLIMIT_FSIZE, &was);
	for (int i = 0; i < 100 && !ok; i++) {
		ok = strcmp(code(ask("cert.csr", named("TVS"))), "ok") == 0;
		if (!ok)
			usleep(100000);
	}
	CU_ASSERT_TRUE(ok);
	CU_ASSERT_TRUE(is_own("TVS", before));

	/* a signer that is not there: said so, and what changed behind our back is seen when it is back */
	signer_down();
	a = ask("cert.regenerate", named("TVS"));
	CU_ASSERT_STRING_EQUAL(code(a), "unavailable");
	CU_ASSERT_TRUE(says(a, "the signer did not answer"));
	signer_up();
	{
		struct cp_signer *other;
		X509 *fresh = NULL;

		CU_ASSERT_EQUAL_FATAL(cp_signer_open(run_dir, 5000, &other), 0);
		CU_ASSERT_EQUAL(cp_signer_regen(other, "CallManager", NULL, &fresh), 0);
		cp_signer_close(other);
		for (int i = 0; i < 60 && !serves(fresh); i++) {
			struct timeval tv = {0, 100000};

			event_base_loopexit(app.base, &tv);
			event_base_dispatch(app.base);
		}
		CU_ASSERT_TRUE(serves(fresh));
		X509_free(fresh);
	}
	CU_ASSERT_STRING_EQUAL(code(ask("cert.regenerate", named("TVS"))), "ok");
	X509_free(before);
	end();
}

/* --- expiry --- */

static void test_levels(void)
{
	static const struct {
		int64_t left;
		enum expiry_level level;
	} at[] = {
		{91 * DAY, EXPIRY_OK}, {90 * DAY + 1, EXPIRY_OK}, {90 * DAY, EXPIRY_90}, {30 * DAY + 1, EXPIRY_90}, {30 * DAY, EXPIRY_30},
		{7 * DAY + 1, EXPIRY_30}, {7 * DAY, EXPIRY_7}, {1, EXPIRY_7}, {0, EXPIRY_EXPIRED}, {-DAY, EXPIRY_EXPIRED},
	};
	int64_t to = 2000000000, from = to - 1000 * DAY, now, next;

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		CU_ASSERT_EQUAL(expiry_level(to - at[i].left, from, to), at[i].level);
	CU_ASSERT_EQUAL(expiry_level(from - 1, from, to), EXPIRY_FUTURE);
	CU_ASSERT_EQUAL(expiry_level(0, 0, INT64_MAX), EXPIRY_EXPIRED);
	/* next() names the very second at which level() changes, all the way */
	for (now = from - 10; (next = expiry_next(now, from, to)) != INT64_MAX; now = next) {
		CU_ASSERT_FATAL(next > now);
		CU_ASSERT_EQUAL(expiry_level(next - 1, from, to), expiry_level(now, from, to));
		CU_ASSERT_NOT_EQUAL(expiry_level(next, from, to), expiry_level(now, from, to));
	}
	CU_ASSERT_EQUAL(now, to);
}

static void test_due(void)
{
	struct expiry_watch w = {.next_s = INT64_MAX};
	int64_t wall = 1800000000, mono = 1000;
	unsigned due = 0;

	CU_ASSERT_TRUE(expiry_due(&w, wall, mono));
	for (int i = 1; i <= 3 * 24 * 60; i++) /* three days, each minute */
		due += expiry_due(&w, wall + i * 60, mono + i * 60);
	CU_ASSERT_EQUAL(due, 3);
	wall += 3 * DAY;
	mono += 3 * DAY;
	CU_ASSERT_FALSE(expiry_due(&w, wall + 29, mono)); /* a clock that is slewed is none that jumped */
	CU_ASSERT_TRUE(expiry_due(&w, wall + 29 + 31, mono));
	CU_ASSERT_FALSE(expiry_due(&w, wall + 120, mono + 60));
	CU_ASSERT_TRUE(expiry_due(&w, wall - 365 * DAY, mono + 120)); /* back */
	CU_ASSERT_FALSE(expiry_due(&w, wall - 365 * DAY + 60, mono + 180));
	w.next_s = wall - 365 * DAY + 200;
	CU_ASSERT_FALSE(expiry_due(&w, wall - 365 * DAY + 120, mono + 240));
	CU_ASSERT_TRUE(expiry_due(&w, wall - 365 * DAY + 200, mono + 320)); /* a level begins */
}

static const struct cp_alarm *own_alarm(void)
{
	return cp_alarm_find(app.alarms, "cert-expiry", "own/CallManager");
}

static void test_watch(void)
{
	int64_t to, from, mono = 5000;
	const struct cp_alarm *al;
	char subject[96], hex[65];
	X509 *own;
	char *pem;

	begin();
	cp_certs_clock(certs, test_clock, NULL);
	own = cp_certs_own(certs, "CallManager");
	from = cp_upload_time(X509_get0_notBefore(own));
	to = cp_upload_time(X509_get0_notAfter(own));
	clock_s = to - 91 * DAY;
	certs_tick(certs, mono);
	CU_ASSERT_PTR_NULL(own_alarm());
	CU_ASSERT_EQUAL(cp_alarm_count(app.alarms), 0);
	/* day by day: each level with its severity, not before its time and not a day late */
	for (int left = 91; left >= -1; left--) {
		clock_s = to - left * DAY;
		mono += DAY;
		certs_tick(certs, mono);
		al = own_alarm();
		if (left > 90)
			CU_ASSERT_PTR_NULL(al);
		if (left > 90)
			continue;
		CU_ASSERT_PTR_NOT_NULL_FATAL(al);
		CU_ASSERT_EQUAL(al->severity, left > 30 ? CP_ALARM_WARNING : left > 7 ? CP_ALARM_MINOR : left > 0 ? CP_ALARM_MAJOR : CP_ALARM_CRITICAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(al->text, left > 0 ? "expires in" : "expired on"));
	}
	/* minutes after a level began, not only the next day */
	clock_s = to - 90 * DAY - 30;
	certs_tick(certs, mono); /* the clock jumped back: mended at once */
	CU_ASSERT_PTR_NULL(own_alarm());
	clock_s += 60;
	mono += 60;
	certs_tick(certs, mono);
	CU_ASSERT_PTR_NOT_NULL(own_alarm());
	/* a clock far back: said, and gone when it is set right */
	clock_s = from - 1000 * DAY;
	certs_tick(certs, mono);
	al = own_alarm();
	CU_ASSERT(al != NULL && strstr(al->text, "is the clock right?") != NULL);
	clock_s = to - DAY;
	certs_tick(certs, mono);
	CU_ASSERT(own_alarm() != NULL && own_alarm()->severity == CP_ALARM_MAJOR);
	/* mended by a new one. The signer's clock is the system's, so ours must be too */
	cp_certs_clock(certs, NULL, NULL);
	CU_ASSERT_STRING_EQUAL(code(ask("cert.regenerate", named("CallManager"))), "ok");
	CU_ASSERT_PTR_NULL(own_alarm());

	/* a trust store's: until it is deleted */
	pem = cf_pem(L(inter.cert));
	cp_certs_clock(certs, test_clock, NULL);
	clock_s = cp_upload_time(X509_get0_notAfter(inter.cert)) - 20 * DAY;
	CU_ASSERT_STRING_EQUAL(code(ask("cert.upload", json_pack("{s:s, s:s}", "store", "TVS-trust", "pem", pem))), "ok");
	cp_upload_hex(certs->stores[CP_TS_TVS].list[0].sha256, 32, hex);
	snprintf(subject, sizeof(subject), "TVS-trust/%.16s", hex);
	al = cp_alarm_find(app.alarms, "cert-expiry", subject);
	CU_ASSERT(al != NULL && al->severity == CP_ALARM_MINOR && strstr(al->text, "Issuing CA expires in 20 days") != NULL);
	CU_ASSERT_STRING_EQUAL(code(ask("cert.delete", json_pack("{s:s, s:s}", "store", "TVS-trust", "id", "Issuing CA"))), "ok");
	CU_ASSERT_PTR_NULL(cp_alarm_find(app.alarms, "cert-expiry", subject));
	free(pem);
	X509_free(own);
	end();
}

/* --- LSCs --- */

static void phone(unsigned n, int64_t expires_s)
{
	struct cp_ledger_rec rec = {.has_lsc = expires_s != 0, .lsc_us = 1, .lsc_expires_us = expires_s * 1000000, .seen_us = 1};
	struct cp_batch *b = cp_batch_create();
	struct cp_buf val;

	snprintf(rec.device, sizeof(rec.device), "SEP%012X", n);
	memset(rec.lsc, expires_s != 0 ? 1 : 0, sizeof(rec.lsc));
	CU_ASSERT_EQUAL_FATAL(cp_ledger_rec_build(&rec, &val), 0);
	CU_ASSERT_EQUAL(cp_batch_put(b, CP_CF_LEDGER, rec.device, strlen(rec.device), val.data, val.len), 0);
	CU_ASSERT_EQUAL(cp_store_commit(app.store, b), 0);
	free(val.data);
}

static void test_lscs(void)
{
	const struct cp_alarm *al;
	bool row = false;
	json_t *list, *o;
	size_t i;

	begin();
	clock_s = 1900000000;
	cp_certs_clock(certs, test_clock, NULL);
	certs_lscs(certs);
	CU_ASSERT_PTR_NULL(cp_alarm_find(app.alarms, "lsc-expiry", "phones"));
	phone(1, clock_s + 100 * DAY);
	phone(2, 0); /* has none */
	certs_lscs(certs);
	CU_ASSERT_PTR_NULL(cp_alarm_find(app.alarms, "lsc-expiry", "phones"));
	phone(3, clock_s + 80 * DAY);
	phone(4, clock_s + 29 * DAY);
	certs_lscs(certs);
	al = cp_alarm_find(app.alarms, "lsc-expiry", "phones");
	CU_ASSERT(al != NULL && al->severity == CP_ALARM_MINOR);
	phone(5, clock_s + 6 * DAY);
	phone(6, clock_s - 1);
	phone(7, clock_s - 400 * DAY);
	clock_s += 1;
	certs_tick(certs, 1); /* by the daily look */
	al = cp_alarm_find(app.alarms, "lsc-expiry", "phones");
	CU_ASSERT_FATAL(al != NULL);
	CU_ASSERT_EQUAL(al->severity, CP_ALARM_CRITICAL);
	CU_ASSERT_STRING_EQUAL(al->text,
			       "of 6 phones' LSCs 2 have expired, 1 expire within 7 days, 2 within 30, 3 within 90");
	list = json_object_get(ask("show.certs", NULL), "result");
	json_array_foreach(list, i, o)
		row |= strcmp(json_string_value(json_object_get(o, "store")), "LSCs") == 0 &&
		       strcmp(json_string_value(json_object_get(o, "note")), "2 expired, 3 end within 90 days") == 0 &&
		       json_integer_value(json_object_get(o, "days_left")) == -400;
	CU_ASSERT_TRUE(row);
	/* mended: they got new ones */
	for (unsigned n = 3; n <= 7; n++)
		phone(n, clock_s + 1000 * DAY);
	certs_lscs(certs);
	CU_ASSERT_PTR_NULL(cp_alarm_find(app.alarms, "lsc-expiry", "phones"));
	end();
}

static int setup(void)
{
	int64_t now = (int64_t)time(NULL);

	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	if (mkdtemp(kept) == NULL)
		return -1;
	ca = cf_ca("Company Root CA", NULL, now - DAY, now + 3650 * DAY);
	inter = cf_ca("Issuing CA", &ca, now - DAY, now + 900 * DAY);
	return 0;
}

static int teardown(void)
{
	cf_free(&ca);
	cf_free(&inter);
	json_decref(answer);
	nftw(kept, tmp_rm_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static bool asked_of_ledger;

static int ledger(void *ctx, const struct cp_trust_ask *ask, int64_t strand, unsigned *ret_count, char *why, size_t why_size)
{
	(void)ctx, (void)ask, (void)strand, (void)ret_count, (void)why, (void)why_size;
	asked_of_ledger = true;
	return 0;
}

static void list_goes(void *ctx)
{
	(void)ctx;
}

/* While a list is signed or a backup made no certificate is changed, and the ledger is asked of what those have left. */
static void test_its_turn(void)
{
	static const char cmd[] = "{\"cmd\":\"cert.regenerate\",\"args\":{\"name\":\"TVS\"}}";
	struct cp_turn_wait list = {.go = list_goes};
	struct cp_turn *turn = cp_turn_create();
	X509 *before;

	begin();
	app.turn = turn;
	cp_certs_allow(certs, ledger, NULL);
	before = cp_certs_own(certs, "TVS");
	asked_of_ledger = false;
	CU_ASSERT_TRUE(cp_turn_take(turn, &list));
	json_decref(answer); /* the last test's */
	answer = NULL;
	answered = 0;
	cp_admin_input(app.admin, cmd, strlen(cmd), on_answer, NULL);
	for (int i = 0; i < 50; i++) {
		event_base_loop(app.base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	CU_ASSERT_EQUAL(answered, 0);
	CU_ASSERT_FALSE(asked_of_ledger);
	CU_ASSERT_TRUE(is_own("TVS", before));
	cp_turn_give(turn, &list);
	CU_ASSERT_TRUE(asked_of_ledger);
	CU_ASSERT_FALSE(cp_turn_take(turn, &list)); /* now it is ours */
	CU_ASSERT_TRUE(wait_for(app.base, &answered));
	CU_ASSERT_STRING_EQUAL(code(answer), "ok");
	CU_ASSERT_FALSE(is_own("TVS", before));
	CU_ASSERT_TRUE(list.has); /* given back before it was answered */
	/* one that waits when everything ends is answered */
	json_decref(answer);
	answer = NULL;
	answered = 0;
	cp_admin_input(app.admin, cmd, strlen(cmd), on_answer, NULL);
	end();
	CU_ASSERT_EQUAL(answered, 1);
	CU_ASSERT_STRING_EQUAL(code(answer), "unavailable");
	X509_free(before);
	cp_turn_destroy(turn);
}

static CU_TestInfo tests[] = {
	{"regenerated, served, retired", test_regenerate},
	{"a third party's answer", test_import},
	{"a CA above CAPF", test_import_capf},
	{"the ledger is asked first", test_allow},
	{"a store or a signer that fails", test_failures},
	{"levels of expiry", test_levels},
	{"when to look", test_due},
	{"the expiry watch", test_watch},
	{"phones' LSCs", test_lscs},
	{"a change waits for its turn", test_its_turn},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("own", tests, setup, teardown)
