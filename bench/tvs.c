/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TVS: a real signer and controlplane, asked by threads of this process (sim/tvsask.h) for the roles of a certificate by issuer and
 * serial number: on connections that stay, one question at a time and sixteen at once, and with a connection and a full handshake for
 * each. Value: answers per second of the controlplane's CPU time. Peer: the server's calls of such a handshake, OpenSSL alone, with
 * the same kind of key. An answer that is not "valid" makes the bench fail.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/x509.h>

#include "bench.h"
#include "proc.h"
#include "rawtls.h"
#include "sim/tvsask.h"
#include "trustlist.h"

#define THREADS 16
#define BURST   16

struct load {
	struct sim_addr server;
	unsigned int burst; /* questions at once; 0: a connection for each question */
	double until;
	uint8_t serial[64];
	size_t serial_len;
	char issuer[512];
	atomic_ulong answers;
	atomic_uint failed;
};

static void *asker(void *arg)
{
	struct load *l = arg;
	struct sim_tvs *t = l->burst > 0 ? sim_tvs_open(&l->server, "CP-8861-SEP0000000000AA") : NULL;
	unsigned long n = 0;

	while (bench_now() < l->until && !bench_stopped) {
		struct tp_tvs_answer a;
		unsigned int got;

		if (l->burst == 0)
			t = sim_tvs_open(&l->server, "CP-8861-SEP0000000000AA");
		if (t == NULL)
			break;
		got = l->burst > 1 ? sim_tvs_burst(t, l->serial, l->serial_len, l->issuer, l->burst)
				   : sim_tvs_query(t, l->serial, l->serial_len, l->issuer, &a);
		if (l->burst == 0) {
			sim_tvs_close(t);
			t = NULL;
		}
		if (got != (l->burst > 1 ? l->burst : 1)) {
			atomic_fetch_add(&l->failed, 1);
			break;
		}
		n += got;
	}
	if (l->burst > 0 && t == NULL)
		atomic_fetch_add(&l->failed, 1);
	sim_tvs_close(t);
	atomic_fetch_add(&l->answers, n);
	return NULL;
}

/* What is asked for: the certificate that the server shows. */
static int subject_of(struct load *l)
{
	struct sim_tvs *t = sim_tvs_open(&l->server, "CP-8861-SEP0000000000AA");
	struct tp_blob der = t != NULL ? sim_tvs_cert(t) : (struct tp_blob){NULL, 0};
	const unsigned char *p = der.p;
	X509 *cert = der.len > 0 ? d2i_X509(NULL, &p, (long)der.len) : NULL;
	const ASN1_INTEGER *serial = cert != NULL ? X509_get0_serialNumber(cert) : NULL;
	int rc = -1;

	if (serial != NULL && (size_t)ASN1_STRING_length(serial) <= sizeof(l->serial) &&
	    pki_tl_dn(X509_get_issuer_name(cert), l->issuer, sizeof(l->issuer)) >= 0) {
		l->serial_len = (size_t)ASN1_STRING_length(serial);
		memcpy(l->serial, ASN1_STRING_get0_data(serial), l->serial_len);
		rc = 0;
	}
	X509_free(cert);
	sim_tvs_close(t);
	return rc;
}

static int one_run(struct load *l, pid_t cp, double seconds, double *ret_core, double *ret_wall)
{
	pthread_t th[THREADS];
	double cpu = bench_cpu_of(cp, false), t = bench_now();
	int n = 0;

	atomic_store(&l->answers, 0);
	atomic_store(&l->failed, 0);
	l->until = t + seconds;
	while (n < THREADS && pthread_create(&th[n], NULL, asker, l) == 0)
		n++;
	for (int i = 0; i < n; i++)
		pthread_join(th[i], NULL);
	t = bench_now() - t;
	cpu = bench_cpu_of(cp, false) - cpu;
	if (atomic_load(&l->failed) > 0 || atomic_load(&l->answers) == 0) {
		fprintf(stderr, "ravelin-bench: tvs: %u askers failed\n", atomic_load(&l->failed));
		return -1;
	}
	*ret_core = (double)atomic_load(&l->answers) / cpu;
	*ret_wall = (double)atomic_load(&l->answers) / t;
	return 0;
}

static int one_case(const struct bench_opts *opts, struct load *l, pid_t cp, EVP_PKEY *key, const char *key_name, unsigned int burst)
{
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 1 : 3;
	double value[BENCH_RUNS_MAX], peer[BENCH_RUNS_MAX], wall[BENCH_RUNS_MAX];
	json_t *kase = json_pack("{s:s, s:s, s:i}", "key", key_name, "connection", burst > 0 ? "stays" : "each", "at_once", (int)(burst > 0 ? burst : 1));
	int rc = 0;

	if (!bench_wanted(opts, kase)) {
		json_decref(kase);
		return 0;
	}
	l->burst = burst;
	for (unsigned int i = 0; i < runs && rc == 0; i++) {
		peer[i] = bench_raw_per_s(key, 1, opts->quick ? 300 : 1000);
		rc = peer[i] > 0 ? one_run(l, cp, opts->quick ? 1 : 4, &value[i], &wall[i]) : -1;
	}
	if (rc < 0 || bench_stopped) {
		json_decref(kase);
		return -1;
	}
	bench_row(opts, &(struct bench_row){.bench = "tvs", .kase = kase, .unit = "answer/s/core", .peer = "openssl", .value = value,
					    .peer_value = peer, .runs = runs, .peer_runs = runs,
					    .more = json_pack("{s:f}", "wall_per_s", bench_quantile(wall, runs, 0.5))});
	return 0;
}

static int with_key(const struct bench_opts *opts, const char *key_name)
{
	static const unsigned int bursts[] = {0, 1, BURST};
	struct load l = {0};
	uint16_t port = bench_free_port(SOCK_STREAM);
	EVP_PKEY *key = strcmp(key_name, "rsa-2048") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	struct bench_place at;
	pid_t signer = 0, cp = 0;
	char text[64];
	int rc = -1;

	if (bench_place_make(&at, "tvs") < 0) {
		EVP_PKEY_free(key);
		return 1;
	}
	snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	if (key != NULL && sim_addr_parse(text, port, &l.server) == 0 &&
	    bench_configure(&at, "provision: {tftp_port: 0, http_port: 0, https_port: 0, token_port: 0}\n"
				 "sccp: {listen: 127.0.0.1, port: 0, tls_port: 0}\nlog: {level: err}\nsigner: {server_key: %s}\n"
				 "enrol: {listen: 127.0.0.1, capf_port: 0, tvs_port: %u, max_source: 1024}\n", key_name, port) == 0 &&
	    bench_appliance(&at, &signer, &cp) == 0)
		rc = subject_of(&l);
	for (size_t i = 0; i < sizeof(bursts) / sizeof(bursts[0]) && rc == 0; i++)
		rc = one_case(opts, &l, cp, key, key_name, bursts[i]);
	bench_end(&cp);
	bench_end(&signer);
	bench_place_end(&at, "tvs", rc != 0 && !bench_stopped);
	EVP_PKEY_free(key);
	return rc == 0 ? 0 : 1;
}

int bench_tvs(const struct bench_opts *opts)
{
	int rc = with_key(opts, "rsa-2048");

	return rc != 0 || bench_stopped ? rc : with_key(opts, "ec-p256");
}
