/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Server contexts by themselves, over memory: what clients are asked for, what a reload leaves of tickets, how long phones resume, and handshakes
 * on several threads while contexts are swapped. What connections do with them is test_net's.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include <CUnit/CUnit.h>

#include "log.h"
#include "net/tls.h"
#include "tls_peer.h"

static struct tp_id ca, other_ca, server, server2, phone, stranger, expired;

static int load(struct cp_tls *tls, const struct tp_id *id, X509 *trusted)
{
	STACK_OF(X509) *trust = sk_X509_new_null();
	struct cp_tls_identity ident = {id->key, id->cert, NULL, trust};
	char err[200];
	int rc;

	if (trusted != NULL)
		sk_X509_push(trust, trusted);
	rc = cp_tls_load(tls, &ident, err, sizeof(err));
	if ((rc == 0) != (err[0] == '\0'))
		rc = -EPROTO;
	sk_X509_free(trust);
	return rc;
}

static struct cp_tls *make(enum cp_tls_clients clients, const struct tp_id *id, X509 *trusted)
{
	struct cp_tls *tls;

	if (cp_tls_create(CP_TLS_MODERN, false, &tls) != 0)
		abort();
	cp_tls_clients(tls, clients);
	if (load(tls, id, trusted) != 0)
		abort();
	return tls;
}

struct shake {
	SSL *client, *server;
	SSL_CTX *ctx; /* the client's */
	struct cp_tls_peer peer;
};

/* A handshake, and a byte each way so that tickets arrive. True: both ends are content. */
static bool shake(struct shake *s, struct cp_tls *tls, int version, const struct tp_id *id, SSL_SESSION *session)
{
	BIO *a, *b;
	char c;

	memset(s, 0, sizeof(*s));
	s->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_min_proto_version(s->ctx, version);
	SSL_CTX_set_max_proto_version(s->ctx, version);
	if (id != NULL && (SSL_CTX_use_certificate(s->ctx, id->cert) != 1 || SSL_CTX_use_PrivateKey(s->ctx, id->key) != 1))
		abort();
	s->client = SSL_new(s->ctx);
	s->server = cp_tls_accept(tls, &s->peer);
	if (s->server == NULL || BIO_new_bio_pair(&a, 65536, &b, 65536) != 1)
		abort();
	SSL_set_bio(s->client, a, a);
	SSL_set_bio(s->server, b, b);
	SSL_set_connect_state(s->client);
	if (session != NULL)
		SSL_set_session(s->client, session);
	for (int i = 0; i < 8 && !(SSL_is_init_finished(s->client) && SSL_is_init_finished(s->server)); i++) {
		SSL_do_handshake(s->client);
		SSL_do_handshake(s->server);
	}
	return SSL_write(s->client, "x", 1) == 1 && SSL_read(s->server, &c, 1) == 1 && SSL_write(s->server, "y", 1) == 1 &&
	       SSL_read(s->client, &c, 1) == 1;
}

static void end(struct shake *s)
{
	SSL_free(s->client);
	if (SSL_is_init_finished(s->server))
		cp_tls_part(s->server);
	SSL_free(s->server);
	SSL_CTX_free(s->ctx);
	cp_tls_peer_fini(&s->peer);
}

static bool served(const struct shake *s, const struct tp_id *id)
{
	X509 *seen = SSL_get1_peer_certificate(s->client);
	bool is = seen != NULL && X509_cmp(seen, id->cert) == 0;

	X509_free(seen);
	return is;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void test_clients(void)
{
	struct cp_tls *must = make(CP_TLS_CLIENTS_MUST, &server, ca.cert);
	struct cp_tls *may = make(CP_TLS_CLIENTS_MAY, &server, ca.cert);
	struct cp_tls *not_asked = make(CP_TLS_CLIENTS_NOT_ASKED, &server, NULL);
	struct cp_tls *may_none = make(CP_TLS_CLIENTS_MAY, &server, NULL);
	struct shake s;

	for (int v = 0; v < 2; v++) {
		CU_ASSERT_FALSE(shake(&s, must, versions[v], NULL, NULL));
		end(&s);
		CU_ASSERT_TRUE(shake(&s, must, versions[v], &phone, NULL));
		CU_ASSERT_PTR_NOT_NULL(SSL_get0_peer_certificate(s.server));
		end(&s);
		CU_ASSERT_TRUE(shake(&s, may, versions[v], NULL, NULL));
		CU_ASSERT_PTR_NULL(SSL_get0_peer_certificate(s.server));
		end(&s);
		CU_ASSERT_TRUE(shake(&s, may, versions[v], &phone, NULL));
		CU_ASSERT_FATAL(SSL_get0_peer_certificate(s.server) != NULL);
		CU_ASSERT_EQUAL(X509_cmp(SSL_get0_peer_certificate(s.server), phone.cert), 0);
		end(&s);
		/* optional is not: whatever it is */
		CU_ASSERT_FALSE(shake(&s, may, versions[v], &stranger, NULL));
		CU_ASSERT_EQUAL(cp_tls_why(&s.peer, 0), CP_TLS_FAIL_UNTRUSTED);
		end(&s);
		CU_ASSERT_FALSE(shake(&s, may, versions[v], &expired, NULL));
		CU_ASSERT_EQUAL(cp_tls_why(&s.peer, 0), CP_TLS_FAIL_EXPIRED);
		end(&s);
		CU_ASSERT_TRUE(shake(&s, not_asked, versions[v], &stranger, NULL));
		CU_ASSERT_PTR_NULL(SSL_get0_peer_certificate(s.server));
		end(&s);
		CU_ASSERT_TRUE(shake(&s, may_none, versions[v], &stranger, NULL));
		CU_ASSERT_PTR_NULL(SSL_get0_peer_certificate(s.server));
		end(&s);
	}
	/* who must show one cannot without a trust list; the context that was stays */
	CU_ASSERT_EQUAL(load(must, &server2, NULL), -EINVAL);
	CU_ASSERT_EQUAL(cp_tls_generation(must), 1);
	CU_ASSERT_EQUAL(load(may, &server2, NULL), 0);
	CU_ASSERT_EQUAL(cp_tls_generation(may), 2);
	cp_tls_destroy(must);
	cp_tls_destroy(may);
	cp_tls_destroy(not_asked);
	cp_tls_destroy(may_none);
	cp_tls_destroy(NULL);
}

/* A ticket is good for its own context, and for none after it or beside it. */
static void test_tickets(void)
{
	for (int v = 0; v < 2; v++) {
		struct cp_tls *tls = make(CP_TLS_CLIENTS_MUST, &server, ca.cert);
		struct cp_tls *beside = make(CP_TLS_CLIENTS_MUST, &server, ca.cert);
		SSL_SESSION *session;
		struct shake s;

		CU_ASSERT_TRUE(shake(&s, tls, versions[v], &phone, NULL));
		session = SSL_get1_session(s.client);
		SSL_set_shutdown(s.client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		end(&s);
		CU_ASSERT_TRUE(shake(&s, tls, versions[v], &phone, session));
		CU_ASSERT_EQUAL(SSL_session_reused(s.server), 1); /* else what follows shows nothing */
		SSL_set_shutdown(s.client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		end(&s);
		CU_ASSERT_TRUE(shake(&s, beside, versions[v], &phone, session));
		CU_ASSERT_EQUAL(SSL_session_reused(s.server), 0);
		SSL_set_shutdown(s.client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		end(&s);
		CU_ASSERT_EQUAL(load(tls, &server, ca.cert), 0); /* the very same identity */
		CU_ASSERT_TRUE(shake(&s, tls, versions[v], &phone, session));
		CU_ASSERT_EQUAL(SSL_session_reused(s.server), 0);
		end(&s);
		/* nor does it help whom the new trust list leaves out */
		CU_ASSERT_EQUAL(load(tls, &server, other_ca.cert), 0);
		CU_ASSERT_FALSE(shake(&s, tls, versions[v], &phone, session));
		end(&s);
		SSL_SESSION_free(session);
		cp_tls_destroy(tls);
		cp_tls_destroy(beside);
	}
}

/* Everybody's clock in this program, OpenSSL's too: by it sessions end. */
static time_t ahead_s;

time_t time(time_t *ret)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += __atomic_load_n(&ahead_s, __ATOMIC_RELAXED);
	if (ret != NULL)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}

/* One connection of a phone that keeps what it was given for the next one. True: it was resumed. */
static bool again(struct cp_tls *tls, int version, SSL_SESSION **kept)
{
	struct shake s;
	bool reused;

	CU_ASSERT_TRUE(shake(&s, tls, version, &phone, *kept));
	reused = SSL_session_reused(s.server) == 1;
	CU_ASSERT_PTR_NOT_NULL(SSL_get0_peer_certificate(s.server));
	SSL_SESSION_free(*kept);
	*kept = SSL_get1_session(s.client);
	SSL_set_shutdown(s.client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	end(&s);
	return reused;
}

static const enum cp_tls_clients kinds[] = {CP_TLS_CLIENTS_MUST, CP_TLS_CLIENTS_MAY}; /* kept here; in the ticket */

/* A phone that comes every 50 minutes for three days shows its certificate once a day. */
static void test_chain(void)
{
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct cp_tls *tls = make(kinds[k], &server, ca.cert);
		SSL_SESSION *kept = NULL;
		time_t began = 0;
		unsigned whole = 1;

		CU_ASSERT_FALSE(again(tls, TLS1_3_VERSION, &kept));
		while (ahead_s < 3 * CP_TLS_CHAIN_S) {
			ahead_s += 3000;
			if (again(tls, TLS1_3_VERSION, &kept)) {
				CU_ASSERT_TRUE(ahead_s - began <= CP_TLS_CHAIN_S);
				continue;
			}
			CU_ASSERT_TRUE(ahead_s - began > CP_TLS_CHAIN_S && ahead_s - began < CP_TLS_CHAIN_S + 3600);
			began = ahead_s;
			whole++;
		}
		CU_ASSERT_EQUAL(whole, 4);
		ahead_s = 0;
		SSL_SESSION_free(kept);
		cp_tls_destroy(tls);
	}
}

/* In TLS 1.2 a resumed session is the one that it was, and ends with its hour. A clock that is put back makes none longer. */
static void test_hour(void)
{
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct cp_tls *tls = make(kinds[k], &server, ca.cert);
		SSL_SESSION *kept = NULL;

		CU_ASSERT_FALSE(again(tls, TLS1_2_VERSION, &kept));
		ahead_s = 1800;
		CU_ASSERT_TRUE(again(tls, TLS1_2_VERSION, &kept));
		ahead_s = 3500;
		CU_ASSERT_TRUE(again(tls, TLS1_2_VERSION, &kept));
		ahead_s = 3700;
		CU_ASSERT_FALSE(again(tls, TLS1_2_VERSION, &kept));
		SSL_SESSION_free(kept);
		kept = NULL;
		CU_ASSERT_FALSE(again(tls, TLS1_3_VERSION, &kept));
		for (int i = 0; i < 4; i++) { /* put back, but not behind the first handshake */
			ahead_s += 3000;
			CU_ASSERT_TRUE(again(tls, TLS1_3_VERSION, &kept));
		}
		ahead_s -= 6000;
		SSL_SESSION_set_time(kept, time(NULL));
		CU_ASSERT_TRUE(again(tls, TLS1_3_VERSION, &kept));
		ahead_s += 2;
		CU_ASSERT_FALSE(again(tls, TLS1_3_VERSION, &kept));
		SSL_SESSION_free(kept);
		kept = NULL;
		CU_ASSERT_FALSE(again(tls, TLS1_3_VERSION, &kept));
		ahead_s -= 600; /* and what it is given then is worth nothing two seconds later */
		SSL_SESSION_set_time(kept, time(NULL)); /* else OpenSSL's client does not offer it */
		CU_ASSERT_TRUE(again(tls, TLS1_3_VERSION, &kept));
		ahead_s += 2;
		CU_ASSERT_FALSE(again(tls, TLS1_3_VERSION, &kept));
		ahead_s = 0;
		SSL_SESSION_free(kept);
		cp_tls_destroy(tls);
	}
}

struct worker {
	pthread_t thread;
	struct cp_tls *tls;
	unsigned done, failed, odd;
	volatile int *stop;
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct shake s;

	while (!__atomic_load_n(w->stop, __ATOMIC_ACQUIRE) || w->done == 0) {
		w->failed += !shake(&s, w->tls, versions[w->done & 1], &phone, NULL);
		w->odd += !served(&s, &server) && !served(&s, &server2);
		w->done++;
		end(&s);
	}
	return NULL;
}

static void test_threads(void)
{
	struct cp_tls *tls = make(CP_TLS_CLIENTS_MUST, &server, ca.cert);
	volatile int stop = 0;
	struct worker w[3];
	struct shake before, s;
	SSL_CTX *ctx;
	char c;

	CU_ASSERT_TRUE(shake(&before, tls, TLS1_3_VERSION, &phone, NULL));
	ctx = cp_tls_ctx(tls);
	for (int i = 0; i < 3; i++) {
		w[i] = (struct worker){.tls = tls, .stop = &stop};
		CU_ASSERT_EQUAL_FATAL(pthread_create(&w[i].thread, NULL, worker_main, &w[i]), 0);
	}
	for (int i = 0; i < 300; i++) {
		const struct tp_id *id = i % 2 == 0 ? &server2 : &server;

		CU_ASSERT_EQUAL(load(tls, id, ca.cert), 0);
		if (i % 10 == 0) { /* the very next handshake */
			CU_ASSERT_TRUE(shake(&s, tls, TLS1_3_VERSION, &phone, NULL));
			CU_ASSERT_TRUE(served(&s, id));
			end(&s);
		}
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < 3; i++) {
		pthread_join(w[i].thread, NULL);
		CU_ASSERT(w[i].done > 0 && w[i].failed == 0 && w[i].odd == 0);
	}
	CU_ASSERT_EQUAL(cp_tls_generation(tls), 301);
	/* a connection, and a context, outlive all of it and their owner */
	cp_tls_destroy(tls);
	CU_ASSERT(SSL_write(before.client, "z", 1) == 1 && SSL_read(before.server, &c, 1) == 1 && c == 'z');
	CU_ASSERT_EQUAL(X509_cmp(SSL_CTX_get0_certificate(ctx), server.cert), 0);
	SSL_CTX_free(ctx);
	end(&before);
}

static void test_nothing_loaded(void)
{
	struct cp_tls_peer peer = {0};
	struct cp_tls *tls;

	CU_ASSERT_EQUAL_FATAL(cp_tls_create(CP_TLS_MODERN, false, &tls), 0);
	CU_ASSERT_PTR_NULL(cp_tls_ctx(tls));
	CU_ASSERT_PTR_NULL(cp_tls_accept(tls, &peer));
	CU_ASSERT_EQUAL(cp_tls_generation(tls), 0);
	cp_tls_destroy(tls);
}

static int setup(void)
{
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	ca = tp_issue("CAPF-test", NULL, -1000, 1000000);
	other_ca = tp_issue("other CA", NULL, -1000, 1000000);
	server = tp_issue("cm1", &ca, -1000, 1000000);
	server2 = tp_issue("cm2", &ca, -1000, 1000000);
	phone = tp_issue("SEP0A1B2C3D4E51", &ca, -1000, 1000000);
	stranger = tp_issue("SEP0A1B2C3D4E52", &other_ca, -1000, 1000000);
	expired = tp_issue("SEP0A1B2C3D4E53", &ca, -1000, -10);
	return 0;
}

static int teardown(void)
{
	struct tp_id *ids[] = {&ca, &other_ca, &server, &server2, &phone, &stranger, &expired};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		tp_id_free(ids[i]);
	return 0;
}

static CU_TestInfo tests[] = {
	{"what clients are asked for", test_clients},
	{"tickets do not outlive their context", test_tickets},
	{"a chain of resumptions ends after a day", test_chain},
	{"in TLS 1.2 after an hour", test_hour},
	{"handshakes on threads while contexts are swapped", test_threads},
	{"nothing loaded, nothing accepted", test_nothing_loaded},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("tls", tests, setup, teardown)
