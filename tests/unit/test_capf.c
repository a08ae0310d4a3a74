/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The CAPF service over loopback with a simulated phone and a store on disk: phones that vanish at any byte and come back, evidence of
 * what they hold, two clients of one name, connections that never speak, deadlines. 004b:CAPF-04 to CAPF-07; whatever happens, what a
 * phone holds is known and not refused.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "alarm.h"
#include "capfphone.h"
#include "certder.h"
#include "cert_fix.h"
#include "enrol/capf.h"
#include "net/net.h"
#include "net/tls.h"
#include "offload.h"
#include "store/phonecfg.h"
#include "store/store.h"
#include "store_tmp.h"
#include "suite.h"
#include "tls_peer.h"
#include "x509.h"

#define PHONE "SEP001122334455"
#define OTHER "SEP00112233445A"

static struct event_base *base;
static struct cp_store *store;
static struct cp_offload *off;
static struct cp_lscs *lscs;
static struct cp_capf *capf;
static struct cp_net *net;
static struct cp_tls *tls;
static struct tp_id server, server_ca;
static struct cf_id issuer;
static EVP_PKEY *ec, *ec2;
static SSL_CTX *client;
static uint16_t port;
static int64_t shift_us;
static int issue_rc;
static unsigned told;
static char told_serial[CP_LSC_SERIAL_MAX];
static char flash[80];

static int64_t clock_us(void *ctx)
{
	(void)ctx;
	return (int64_t)time(NULL) * 1000000 + shift_us;
}

struct issuing { /* of one certificate: answered from the loop */
	cp_capf_issued_fn *done;
	void *ctx;
	int rc;
	uint8_t *der;
	size_t len;
};

static void answer(evutil_socket_t fd, short what, void *arg)
{
	struct issuing *i = arg;

	(void)fd;
	(void)what;
	i->done(i->ctx, i->rc, i->der, i->len, "the signer is away");
	OPENSSL_free(i->der);
	free(i);
}

static unsigned issue_full; /* refuses so many with -EAGAIN first */

static int issue(void *ctx, const char *device, const struct pki_spki *key, cp_capf_issued_fn *done, void *done_ctx)
{
	static const struct timeval at_once = {0, 0};
	struct issuing *i;

	(void)ctx;
	if (issue_full > 0) {
		issue_full--;
		return -EAGAIN;
	}
	i = calloc(1, sizeof(*i));
	i->done = done;
	i->ctx = done_ctx;
	i->rc = issue_rc < 0 ? issue_rc
			     : pki_lsc_issue_spki(&(struct pki_ca){issuer.key, issuer.cert}, device, key, false, time(NULL), 365, &i->der, &i->len);
	return event_base_once(base, -1, EV_TIMEOUT, answer, i, &at_once);
}

static int unseal(void *ctx, const struct cp_buf *sealed, const char *aad, char ret[CP_CAPF_STRING_MAX + 1])
{
	(void)ctx;
	(void)aad;
	memcpy(ret, sealed->data, sealed->len);
	ret[sealed->len] = '\0';
	return 0;
}

static void trust(void *ctx, struct cp_capf_trust *ret)
{
	static X509_STORE *lsc;

	(void)ctx;
	if (lsc == NULL) {
		STACK_OF(X509) *one = sk_X509_new_null();

		sk_X509_push(one, issuer.cert);
		pki_phone_store(one, false, &lsc);
		sk_X509_free(one);
	}
	ret->lsc = lsc;
}

static void holds(void *ctx, const char *device, const uint8_t *der, size_t len)
{
	struct pki_certder d;

	(void)ctx;
	(void)device;
	told++;
	told_serial[0] = '\0';
	if (len > 0 && pki_certder_parse(der, len, &d) == 0)
		cp_lsc_serial_text(d.serial, d.serial_len, told_serial);
}

static void open_all(uint32_t max_preauth)
{
	const struct cfg_addr any = {.family = 4, .plen = 32, .ip = {127, 0, 0, 1}};
	struct cp_store_opts so = {.path = tmp_store, .base = base, .no_sync = true};
	struct cp_net_opts no = {.max_conns = 1024, .max_preauth = max_preauth, .max_source = 24, .handshake_ms = 8000, .auth_ms = 3000};
	struct cp_tls_identity id = {server.key, server.cert, NULL, NULL};
	struct cp_capf_env env = {.base = base, .files = NULL, .issue = issue, .unseal = unseal, .trust = trust, .holds = holds, .now_us = clock_us};
	char err[256];

	if (cp_store_open(&so, &store, err, sizeof(err)) < 0 || cp_lscs_create(store, &lscs) < 0)
		abort();
	off = cp_offload_create(base);
	env.store = store;
	env.offload = off;
	env.lscs = lscs;
	if (cp_capf_create(&env, &capf) < 0 || cp_tls_create(CP_TLS_MODERN, false, &tls) < 0)
		abort();
	cp_tls_clients(tls, CP_TLS_CLIENTS_NOT_ASKED);
	if (cp_tls_load(tls, &id, err, sizeof(err)) < 0 || cp_net_create(base, &no, &net) < 0 || cp_capf_listen(capf, net, &any, tls, &port) < 0)
		abort();
}

static void close_all(void)
{
	cp_net_destroy(net);
	cp_offload_destroy(off);
	cp_store_close(store);
	cp_capf_destroy(capf);
	cp_lscs_destroy(lscs);
	cp_tls_destroy(tls);
}

static void committed(void *ctx, int rc)
{
	CU_ASSERT_EQUAL(rc, 0);
	*(int *)ctx = 1;
}

static void submit(struct cp_batch *b)
{
	int done = 0;

	CU_ASSERT_EQUAL_FATAL(cp_store_submit(store, b, committed, &done), 0);
	CU_ASSERT_FATAL(wait_for(base, &done));
}

static void put_device(const char *name)
{
	struct cp_device dev = {.mode = CP_DEVICE_NONSECURE, .region = "default"};
	int done = 0;
	char why[200];
	const struct cp_dir_ctx c = {.who = "test", .fn = committed, .ctx = &done, .why = why, .why_size = sizeof(why)};

	strcpy(dev.name, name);
	CU_ASSERT_EQUAL_FATAL(cp_dir_device_put(store, &dev, true, &c), 0);
	CU_ASSERT_FATAL(wait_for(base, &done));
}

static void put_op(const char *name, uint8_t op, uint8_t by, const char *string)
{
	static uint64_t id = 100;
	struct cp_capf_set s = {.device = name, .op = op, .by = by, .has_string = string != NULL, .key = "ec-p256", .id = ++id,
				.mode = CP_DEVICE_NONSECURE, .has_lsc = true, .deadline_us = clock_us(NULL) + INT64_C(3600000000)};
	struct cp_capf_oprec rec = {0};
	struct cp_batch *b = cp_batch_create();
	char why[300];

	CU_ASSERT_EQUAL_FATAL(cp_capf_op_set(&rec, &s, clock_us(NULL), why, sizeof(why)), 0);
	if (string != NULL)
		rec.string = (struct cp_buf){(uint8_t *)strdup(string), strlen(string)};
	CU_ASSERT_EQUAL_FATAL(cp_batch_capf_op(b, &rec), 0);
	cp_capf_oprec_free(&rec);
	submit(b);
}

struct phone {
	struct capfp_opts o;
	struct capfp_result r;
	int rc;
	atomic_int done;
	pthread_t thread;
};

static void *phone_main(void *arg)
{
	struct phone *p = arg;

	p->rc = capfp_run(&p->o, &p->r);
	atomic_store(&p->done, 1);
	return NULL;
}

static void phone_start(struct phone *p, const char *name)
{
	p->o.server = "127.0.0.1";
	p->o.port = port;
	p->o.tls = client;
	p->o.name = name;
	p->o.key = p->o.key != NULL ? p->o.key : ec;
	p->o.timeout_ms = 20000;
	atomic_init(&p->done, 0);
	if (pthread_create(&p->thread, NULL, phone_main, p) != 0)
		abort();
}

static void phone_wait(struct phone *p)
{
	TP_PUMP(base, atomic_load(&p->done) != 0, 15000);
	pthread_join(p->thread, NULL);
}

static struct phone run(const char *name, struct capfp_opts o)
{
	struct phone p = {.o = o};

	phone_start(&p, name);
	phone_wait(&p);
	return p;
}

/* All sessions are over, and what they wrote is written. */
static void settle(void)
{
	struct cp_capf_stats st;

	TP_PUMP(base, (cp_capf_tick(capf), cp_capf_stats(capf, &st), st.conns == 0 && st.jobs == 0), 5000);
	cp_capf_stats(capf, &st);
	CU_ASSERT(st.conns == 0 && st.devices == 0);
}

static uint8_t status_of(const char *name)
{
	struct cp_capf_oprec rec;
	uint8_t st;

	CU_ASSERT_EQUAL_FATAL(cp_store_capf_op(store, name, &rec), 0);
	st = rec.status;
	cp_capf_oprec_free(&rec);
	return st;
}

static enum cp_lsc_state state_of(const char *serial)
{
	struct cp_lsc l;
	enum cp_lsc_state st;

	if (cp_store_lsc(store, serial, &l) < 0)
		return 0;
	st = (enum cp_lsc_state)l.state;
	cp_lsc_free(&l);
	return st;
}

static X509 *flash_cert(const char *name)
{
	char path[200];
	X509 *cert;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.lsc.pem", flash, name);
	f = fopen(path, "re");
	if (f == NULL)
		return NULL;
	cert = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	return cert;
}

static bool full(void)
{
	return getenv("RAVELIN_FULL") != NULL && strcmp(getenv("RAVELIN_FULL"), "0") != 0;
}

/* A phone that vanishes after any number of bytes, and comes back. */
static void test_vanishing(void)
{
	char serial[64], held[CP_LSC_SERIAL_MAX];
	long step = full() ? 1 : 23;
	unsigned stages[4] = {0};

	open_all(256);
	put_device(PHONE);
	for (long at = 1;; at += step) {
		struct phone p;
		bool over;

		put_op(PHONE, CP_CAPF_OP_INSTALL, CP_CAPF_STRING, "4711");
		p = run(PHONE, (struct capfp_opts){.flash = flash, .string = "4711", .vanish = at});
		over = !p.r.vanished;
		settle();
		if (capfp_holds(flash, PHONE, serial)) {
			enum cp_lsc_state st = state_of(serial);

			CU_ASSERT(st == CP_LSC_OFFERED || st == CP_LSC_HELD || st == CP_LSC_SUPERSEDED);
			CU_ASSERT(!p.r.stored || st != CP_LSC_SUPERSEDED);
		}
		stages[p.r.op == 0 ? 0 : !p.r.stored ? 1 : status_of(PHONE) == CP_CAPF_ST_PENDING ? 2 : 3]++;
		if (status_of(PHONE) == CP_CAPF_ST_PENDING) {
			struct phone again = run(PHONE, (struct capfp_opts){.flash = flash, .string = "4711", .key = ec2});

			CU_ASSERT_EQUAL(again.r.reason, 1); /* the string is good for all attempts of the operation */
			settle();
		}
		CU_ASSERT_EQUAL(status_of(PHONE), CP_CAPF_ST_DONE);
		CU_ASSERT_TRUE(capfp_holds(flash, PHONE, serial));
		CU_ASSERT_TRUE(cp_lscs_of(lscs, PHONE, CP_LSC_BIT(CP_LSC_HELD), held));
		CU_ASSERT_STRING_EQUAL(serial, held);
		CU_ASSERT_STRING_EQUAL(told_serial, held);
		CU_ASSERT_FALSE(cp_lscs_of(lscs, PHONE, CP_LSC_BIT(CP_LSC_OFFERED) | CP_LSC_BIT(CP_LSC_SUPERSEDED), held));
		if (over)
			break;
	}
	CU_ASSERT(stages[0] > 0 && stages[1] > 0 && stages[3] > 0); /* before, in the middle, behind */
	close_all();
	/* what a restart reads */
	open_all(256);
	CU_ASSERT_TRUE(cp_lscs_of(lscs, PHONE, CP_LSC_BIT(CP_LSC_HELD), held));
	CU_ASSERT_STRING_EQUAL(serial, held);
	close_all();
}

/* The LSC is one of an external CA, offered; a request is on record, of its operation or of a later one. */
static void wait_for_ca(const char *serial, uint64_t later)
{
	static uint8_t csr[] = {0x30, 0x00};
	struct cp_batch *b = cp_batch_create();
	struct cp_capf_req req = {.state = CP_CAPF_REQ_WAITING, .csr = {csr, sizeof(csr)}, .since_us = 1};
	struct cp_lsc lsc;

	CU_ASSERT_EQUAL_FATAL(cp_store_lsc(store, serial, &lsc), 0);
	lsc.external = true;
	lsc.state = CP_LSC_OFFERED;
	snprintf(req.device, sizeof(req.device), "%s", PHONE);
	req.op_id = lsc.op_id + later;
	CU_ASSERT(cp_batch_lsc(b, &lsc) == 0 && cp_batch_capf_req(b, &req) == 0);
	submit(b);
	cp_lsc_free(&lsc);
}

static bool waits_for_ca(void)
{
	struct cp_capf_req req;
	int rc = cp_store_capf_req(store, PHONE, &req);

	if (rc == 0)
		cp_capf_req_free(&req);
	return rc == 0;
}

/* An offered LSC is resolved by what the phone shows. */
static void test_evidence(void)
{
	struct phone p;
	char first[64], second[64];
	X509 *cert;

	open_all(256);
	put_device(PHONE);
	put_op(PHONE, CP_CAPF_OP_INSTALL, CP_CAPF_NULL, NULL);
	p = run(PHONE, (struct capfp_opts){.flash = flash});
	CU_ASSERT_EQUAL_FATAL(p.r.reason, 1);
	settle();
	/* it stores, and is gone before it can say so */
	put_op(PHONE, CP_CAPF_OP_INSTALL, CP_CAPF_NULL, NULL);
	p = run(PHONE, (struct capfp_opts){.flash = flash, .vanish = p.r.bytes - 20});
	CU_ASSERT(p.r.stored && p.r.vanished);
	settle();
	CU_ASSERT_TRUE(capfp_holds(flash, PHONE, first));
	CU_ASSERT_EQUAL(state_of(first), CP_LSC_OFFERED);
	CU_ASSERT_EQUAL(status_of(PHONE), CP_CAPF_ST_PENDING);
	/* another session offers another one, and it is gone before that is stored */
	p = run(PHONE, (struct capfp_opts){.flash = flash, .vanish = 300});
	CU_ASSERT(!p.r.stored && p.r.vanished);
	settle();
	CU_ASSERT_TRUE(capfp_holds(flash, PHONE, second));
	CU_ASSERT_STRING_EQUAL(first, second);
	CU_ASSERT_EQUAL(state_of(first), CP_LSC_SUPERSEDED);
	CU_ASSERT_TRUE(cp_lscs_of(lscs, PHONE, CP_LSC_BIT(CP_LSC_OFFERED), second));
	cert = flash_cert(PHONE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(cert);
	CU_ASSERT_FALSE(cp_lscs_refused(lscs, cert)); /* it may register with it */
	told = 0;
	cp_capf_seen(capf, OTHER, cert); /* not its own */
	CU_ASSERT_EQUAL(told, 0);
	wait_for_ca(first, 1); /* of an external CA, and a newer operation's request waits at it */
	cp_capf_seen(capf, PHONE, cert);
	TP_PUMP(base, told == 1, 3000);
	CU_ASSERT_TRUE(waits_for_ca());
	CU_ASSERT(told == 1 && strcmp(told_serial, first) == 0);
	CU_ASSERT_EQUAL(state_of(first), CP_LSC_HELD);
	CU_ASSERT_EQUAL(state_of(second), CP_LSC_REVOKED); /* it never got there */
	CU_ASSERT_EQUAL(status_of(PHONE), CP_CAPF_ST_DONE);
	cp_capf_seen(capf, PHONE, cert); /* no news */
	wait_for_ca(first, 0);
	cp_capf_seen(capf, PHONE, cert);
	TP_PUMP(base, told == 2, 3000);
	CU_ASSERT_FALSE(waits_for_ca()); /* its own request has served */
	X509_free(cert);
	/* it says that it could not store: that one is nobody's */
	put_op(PHONE, CP_CAPF_OP_INSTALL, CP_CAPF_LSC, NULL);
	p = run(PHONE, (struct capfp_opts){.flash = flash, .fail_store = true, .show = CAPFP_SHOW_LSC, .key = ec});
	CU_ASSERT_EQUAL(p.r.reason, 7);
	settle();
	CU_ASSERT_EQUAL(status_of(PHONE), CP_CAPF_ST_FAILED);
	CU_ASSERT_EQUAL(state_of(first), CP_LSC_HELD);
	CU_ASSERT_FALSE(cp_lscs_of(lscs, PHONE, CP_LSC_BIT(CP_LSC_OFFERED) | CP_LSC_BIT(CP_LSC_SUPERSEDED), second));
	/* our fault costs it nothing */
	put_op(PHONE, CP_CAPF_OP_INSTALL, CP_CAPF_LSC, NULL);
	issue_rc = -ECONNREFUSED;
	for (unsigned i = 0; i < 5; i++) {
		p = run(PHONE, (struct capfp_opts){.flash = flash, .show = CAPFP_SHOW_LSC});
		CU_ASSERT_EQUAL(p.r.reason, 7);
	}
	issue_rc = 0;
	settle();
	CU_ASSERT_EQUAL(status_of(PHONE), CP_CAPF_ST_PENDING);
	issue_full = 1; /* asked again by the tick */
	p = run(PHONE, (struct capfp_opts){.flash = flash, .show = CAPFP_SHOW_LSC});
	CU_ASSERT_EQUAL(p.r.reason, 1);
	settle();
	/* what was revoked proves nothing */
	cert = flash_cert(PHONE);
	put_op(PHONE, CP_CAPF_OP_DELETE, CP_CAPF_LSC, NULL);
	{
		struct cp_batch *b = cp_batch_create();

		CU_ASSERT_EQUAL(cp_lscs_change_all(lscs, b, PHONE, CP_LSC_LIVE, NULL, CP_LSC_REVOKED, CP_CRL_LOST, clock_us(NULL)), 1);
		submit(b);
	}
	CU_ASSERT_TRUE(cp_lscs_refused(lscs, cert));
	p = run(PHONE, (struct capfp_opts){.flash = flash, .show = CAPFP_SHOW_LSC});
	CU_ASSERT_EQUAL(p.r.reason, 7);
	CU_ASSERT_FALSE(p.r.deleted);
	X509_free(cert);
	settle();
	close_all();
}

static void test_two_of_one_name(void)
{
	struct phone slow = {.o = {.flash = flash, .slow_ms = 700}}, second, third;
	struct cp_capf_stats st;

	open_all(256);
	put_device(PHONE);
	put_device(OTHER);
	put_op(PHONE, CP_CAPF_OP_INSTALL, CP_CAPF_NULL, NULL);
	put_op(OTHER, CP_CAPF_OP_INSTALL, CP_CAPF_NULL, NULL);
	phone_start(&slow, PHONE);
	TP_PUMP(base, (cp_capf_stats(capf, &st), st.devices == 1), 5000);
	second = run(PHONE, (struct capfp_opts){0});
	CU_ASSERT(second.r.reason == 7 && second.r.op == 0);
	third = run(OTHER, (struct capfp_opts){0});
	CU_ASSERT_EQUAL(third.r.reason, 1); /* nobody else is held up */
	phone_wait(&slow);
	CU_ASSERT(slow.r.reason == 1 && slow.r.stored);
	settle();
	cp_capf_stats(capf, &st);
	CU_ASSERT_EQUAL(st.outcome[CP_CAPF_OUT_BUSY], 1);
	CU_ASSERT_EQUAL(status_of(PHONE), CP_CAPF_ST_DONE);
	close_all();
}

/* Connections that never finish a handshake, and some that do and say nothing: bounded, and a phone gets through. */
static void test_half_open(void)
{
	enum { FULL = 10000 };
	static int fd[FULL];
	const int N = full() && cp_net_fd_room(3 * FULL, NULL) == 0 ? FULL : 600;
	struct cp_net_stats st;
	struct phone p;
	uint32_t most = 0;

	open_all(48);
	put_device(PHONE);
	put_op(PHONE, CP_CAPF_OP_INSTALL, CP_CAPF_NULL, NULL);
	for (int i = 0; i < N; i++) {
		fd[i] = tp_connect(port, 3);
		event_base_loop(base, EVLOOP_NONBLOCK);
		st = *cp_net_stats(net);
		most = st.preauth > most ? st.preauth : most;
	}
	CU_ASSERT(most <= 24 && st.refused_source > (uint64_t)N / 2); /* one address has half of the room */
	p = run(PHONE, (struct capfp_opts){.source = "127.0.0.9"});
	CU_ASSERT_EQUAL(p.r.reason, 1);
	TP_PUMP(base, cp_net_stats(net)->preauth == 0, 5000);
	CU_ASSERT_EQUAL(cp_net_stats(net)->preauth, 0); /* reaped */
	for (int i = 0; i < N; i++)
		close(fd[i]);
	settle();
	close_all();
}

static void test_deadline(void)
{
	struct phone p;

	open_all(256);
	put_device(PHONE);
	put_op(PHONE, CP_CAPF_OP_INSTALL, CP_CAPF_NULL, NULL);
	shift_us = INT64_C(3601000000);
	p = run(PHONE, (struct capfp_opts){0});
	CU_ASSERT_EQUAL(p.r.reason, 0); /* too late: nothing is pending */
	settle();
	close_all();
	open_all(256); /* the first tick sweeps */
	cp_capf_tick(capf);
	TP_PUMP(base, status_of(PHONE) == CP_CAPF_ST_FAILED, 3000);
	CU_ASSERT_EQUAL(status_of(PHONE), CP_CAPF_ST_FAILED);
	shift_us = 0;
	close_all();
}

static int setup(void)
{
	char err[100];
	int64_t now = time(NULL);

	signal(SIGPIPE, SIG_IGN); /* as the controlplane */
	tmp_make();
	snprintf(flash, sizeof(flash), "%s/flash", tmp_dir);
	mkdir(flash, 0700);
	base = event_base_new();
	server_ca = tp_issue("CA", NULL, -100, 86400);
	server = tp_issue("capf", &server_ca, -100, 86400);
	issuer = cf_make(&(struct cf_opts){.cn = "CAPF", .from = now - 86400, .to = now + 900 * 86400, .basic = "critical,CA:TRUE",
					   .ku = CF_CA_KU});
	cf_ext(issuer.cert, issuer.cert, NID_subject_key_identifier, "hash");
	X509_sign(issuer.cert, issuer.key, EVP_sha256());
	ec = EVP_EC_gen("P-256");
	ec2 = EVP_EC_gen("P-256");
	client = capfp_tls(NULL, false, err, sizeof(err));
	return 0;
}

static int teardown(void)
{
	struct cp_capf_trust t = {0};

	trust(NULL, &t);
	X509_STORE_free(t.lsc);
	SSL_CTX_free(client);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(ec2);
	cf_free(&issuer);
	tp_id_free(&server);
	tp_id_free(&server_ca);
	event_base_free(base);
	tmp_remove();
	return 0;
}

static CU_TestInfo tests[] = {
	{"vanishing at any byte, and coming back", test_vanishing},
	{"an offered LSC is resolved by evidence", test_evidence},
	{"two of one name", test_two_of_one_name},
	{"connections that say nothing", test_half_open},
	{"the deadline", test_deadline},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("capf", tests, setup, teardown)
