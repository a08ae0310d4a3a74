/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mutual TLS handshakes on the phones' listener and nothing behind them: threads of this process connect, shake hands, read the ticket
 * and hang up. Value: handshakes per second of the controlplane's CPU time. Peer: OpenSSL's server side alone, in memory. One
 * that is not what the case says (full, resumed) makes the bench fail, as does a count that is not the controlplane's own.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "phones.h"

#define THREADS 8

struct load {
	SSL_CTX *ctx;
	uint16_t port;
	bool resumed;
	double until;
	atomic_ulong done, failed;
};

static int dial(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct timeval patience = {10, 0};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* One connection. *session is resumed and replaced, or (resumed false) left alone. 0 or -1. */
static int once(struct load *l, SSL_SESSION **session)
{
	SSL *ssl = SSL_new(l->ctx);
	int fd = dial(l->port), rc = -1, n;
	char byte;

	if (ssl == NULL || fd < 0 || SSL_set_fd(ssl, fd) != 1)
		goto out;
	if (l->resumed && *session != NULL)
		SSL_set_session(ssl, *session);
	if (SSL_connect(ssl) != 1)
		goto out;
	/* Without auto-retry it comes back when it has read a message that is no data: the ticket. */
	n = SSL_read(ssl, &byte, 1);
	if (n > 0 || SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ)
		goto out;
	if (SSL_session_reused(ssl) != (l->resumed && *session != NULL))
		goto out;
	if (l->resumed) {
		SSL_SESSION_free(*session);
		*session = SSL_get1_session(ssl);
	}
	SSL_shutdown(ssl);
	rc = 0;
out:
	ERR_clear_error();
	SSL_free(ssl);
	if (fd >= 0)
		close(fd);
	return rc;
}

static void *client(void *arg)
{
	struct load *l = arg;
	SSL_SESSION *session = NULL;

	if (l->resumed && once(l, &session) < 0)
		atomic_fetch_add(&l->failed, 1);
	while (bench_now() < l->until && !bench_stopped && atomic_load(&l->failed) == 0)
		atomic_fetch_add(once(l, &session) == 0 ? &l->done : &l->failed, 1);
	SSL_SESSION_free(session);
	return NULL;
}

static long long counted(const struct bench_phones *p)
{
	json_t *o = bench_admin(&p->at, "show.counters", json_object());
	long long n = json_integer_value(json_object_get(json_object_get(json_object_get(o, "sccp"), "net"), "handshakes"));

	json_decref(o);
	return n;
}

static int one_run(struct load *l, const struct bench_phones *p, double seconds, double *ret_core, double *ret_wall)
{
	pthread_t th[THREADS];
	long long before = counted(p), after;
	double cpu = bench_cpu_of(p->cp, false), t = bench_now();
	unsigned long first; /* of each thread, to have something to resume */
	int n = 0;

	atomic_store(&l->done, 0);
	atomic_store(&l->failed, 0);
	l->until = t + seconds;
	while (n < THREADS && pthread_create(&th[n], NULL, client, l) == 0)
		n++;
	for (int i = 0; i < n; i++)
		pthread_join(th[i], NULL);
	t = bench_now() - t;
	bench_rest(0.2); /* the last ones' ends */
	cpu = bench_cpu_of(p->cp, false) - cpu;
	after = counted(p);
	first = l->resumed ? (unsigned long)n : 0;
	if (atomic_load(&l->failed) > 0 || atomic_load(&l->done) == 0 || after - before != (long long)(atomic_load(&l->done) + first)) {
		fprintf(stderr, "ravelin-bench: register: %lu handshakes, %lu failed, the controlplane counts %lld\n", atomic_load(&l->done),
			atomic_load(&l->failed), after - before);
		return -1;
	}
	*ret_core = (double)atomic_load(&l->done) / cpu;
	*ret_wall = (double)atomic_load(&l->done) / t;
	return 0;
}

static int one_case(const struct bench_opts *opts, struct load *l, const struct bench_phones *p, const char *key, const struct bench_id *ca)
{
	const bool rsa = strcmp(key, "rsa-2048") == 0;
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 1 : 5;
	double value[BENCH_RUNS_MAX], peer[BENCH_RUNS_MAX], wall[BENCH_RUNS_MAX];
	json_t *kase = json_pack("{s:s, s:s, s:b}", "what", "handshake", "key", key, "resumed", l->resumed);

	if (!bench_wanted(opts, kase)) {
		json_decref(kase);
		return 0;
	}
	for (unsigned int i = 0; i < runs; i++) {
		peer[i] = bench_mutual_per_s(rsa, ca, opts->quick ? 300 : 2000, l->resumed);
		if (peer[i] <= 0 || bench_stopped || one_run(l, p, opts->quick ? 1 : 5, &value[i], &wall[i]) < 0) {
			json_decref(kase);
			return -1;
		}
	}
	bench_row(opts, &(struct bench_row){.bench = "register", .kase = kase, .unit = "handshake/s/core", .peer = "openssl", .value = value,
					    .peer_value = peer, .runs = runs, .peer_runs = runs,
					    .more = json_pack("{s:f}", "wall_per_s", bench_quantile(wall, runs, 0.5))});
	return 0;
}

int bench_listener(const struct bench_opts *opts, struct bench_phones *p, const char *key, const struct bench_id *ca)
{
	struct load l = {.ctx = SSL_CTX_new(TLS_client_method()), .port = p->port};
	struct bench_id phone = {0};
	int rc = -1;

	if (l.ctx != NULL && bench_id_make("SEP000000000001", false, ca, &phone) == 0 && SSL_CTX_use_certificate(l.ctx, phone.cert) == 1 &&
	    SSL_CTX_use_PrivateKey(l.ctx, phone.key) == 1) {
		SSL_CTX_clear_mode(l.ctx, SSL_MODE_AUTO_RETRY);
		rc = one_case(opts, &l, p, key, ca);
		l.resumed = true;
		if (rc == 0)
			rc = one_case(opts, &l, p, key, ca);
	}
	bench_id_free(&phone);
	SSL_CTX_free(l.ctx);
	return rc;
}
