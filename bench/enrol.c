/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Enrolment: a real signer and controlplane, and simulated CAPF phones (sim/capfphone.h) on threads of this process, each of which
 * installs an LSC by null string, end to end over TLS with synced records. Keys are made beforehand: phones make them, not we. Value:
 * LSCs per second of CPU time of controlplane and signer together. Peer: the OpenSSL operations that an LSC takes at least, in this
 * process: the server's calls of a TLS 1.3 handshake without a client certificate, and a signature by the issuer's kind of key; the second
 * one also reads the phone's key.
 * Afterwards each phone's LSC must be the one that the appliance says it holds.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "bench.h"
#include "sim/capfphone.h"
#include "proc.h"
#include "rawtls.h"

#define THREADS 64

struct site {
	struct bench_place at;
	uint16_t port;
	pid_t signer, cp;
	EVP_PKEY *key;
	SSL_CTX *tls;
	unsigned int phones;
	atomic_uint next, failed;
	char (*serial)[64];
};

/* --- the peer --- */

/*
 * LSCs per second if there were nothing but these operations: the handshake and the issuer's signature; and with OpenSSL's reading of the
 * phone's key, once.
 */
static int raw_per_s(EVP_PKEY *server, EVP_PKEY *issuer, EVP_PKEY *phone, unsigned int cnt, double *ret, double *ret_key)
{
	double handshakes = bench_raw_per_s(server, 0, cnt), sign = 0, key = 0, t;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	static uint8_t tbs[900]; /* about what is signed of a certificate */
	uint8_t sig[512], *der = NULL;
	int len = i2d_PUBKEY(phone, &der), rc = handshakes > 0 && md != NULL && len > 0 ? 0 : -1;

	for (unsigned int i = 0; i < cnt && rc == 0; i++) {
		const unsigned char *p = der;
		size_t n = sizeof(sig);
		EVP_PKEY *read;

		t = bench_thread_s();
		if (EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, issuer) != 1 || EVP_DigestSign(md, sig, &n, tbs, sizeof(tbs)) != 1)
			rc = -1;
		sign += bench_thread_s() - t;
		EVP_MD_CTX_reset(md);
		t = bench_thread_s();
		read = d2i_PUBKEY(NULL, &p, len);
		key += bench_thread_s() - t;
		rc = read != NULL ? rc : -1;
		EVP_PKEY_free(read);
	}
	EVP_MD_CTX_free(md);
	OPENSSL_free(der);
	*ret = 1 / (1 / handshakes + sign / cnt);
	*ret_key = 1 / (1 / handshakes + (sign + key) / cnt);
	return rc;
}

/* --- ours --- */

static void name_of(unsigned int i, char ret[16])
{
	snprintf(ret, 16, "SEP%012X", i + 1);
}

static int start(struct site *s)
{
	json_t *up, *list;

	s->port = bench_free_port(SOCK_STREAM);
	if (bench_configure(&s->at,
			    "log: {level: err}\nsccp: {listen: 127.0.0.1, port: 0, tls_port: 0}\n"
			    "provision: {tftp_port: 0, http_port: 0, https_port: 0, token_port: 0}\nsigner: {server_key: ec-p256}\n"
			    "enrol: {listen: 127.0.0.1, capf_port: %u, tvs_port: 0, max_source: 1024}\n",
			    s->port) < 0 ||
	    bench_appliance(&s->at, &s->signer, &s->cp) < 0)
		return -1;
	list = json_array();
	for (unsigned int i = 0; i < s->phones; i++) {
		char name[16];

		name_of(i, name);
		json_array_append_new(list, json_pack("{s:s,s:s}", "name", name, "mode", "nonsecure"));
	}
	up = bench_admin(&s->at, "import", json_pack("{s:o}", "devices", list));
	json_decref(up);
	return up != NULL ? 0 : -1;
}

static int set_all(struct site *s, const char *key)
{
	for (unsigned int i = 0; i < s->phones && !bench_stopped; i++) {
		char name[16];
		json_t *o;

		name_of(i, name);
		o = bench_admin(&s->at, "capf.set", json_pack("{s:s,s:s,s:s,s:s}", "device", name, "op", "install", "auth", "null", "key", key));
		if (o == NULL)
			return -1;
		json_decref(o);
	}
	return bench_stopped ? -1 : 0;
}

static void *phones(void *arg)
{
	struct site *s = arg;
	unsigned int i;

	while ((i = atomic_fetch_add(&s->next, 1)) < s->phones && !bench_stopped) {
		struct capfp_result r;
		struct capfp_opts o = {.server = "127.0.0.1", .port = s->port, .tls = s->tls, .key = s->key, .timeout_ms = 30000};
		char name[16];

		name_of(i, name);
		o.name = name;
		if (capfp_run(&o, &r) < 0 || r.reason != 1 || !r.stored) {
			if (atomic_fetch_add(&s->failed, 1) == 0)
				fprintf(stderr, "ravelin-bench: enrol: %s: reason %d %s\n", name, r.reason, r.error);
		}
		memcpy(s->serial[i], r.serial, sizeof(s->serial[i]));
	}
	return NULL;
}

/* Phones whose idea of their LSC is another than ours. */
static int differing(struct site *s)
{
	json_t *list = bench_admin(&s->at, "capf.report", json_object()), *row;
	int n = 0;
	size_t i;

	if (list == NULL || json_array_size(list) != s->phones) {
		json_decref(list);
		return -1;
	}
	json_array_foreach(list, i, row) {
		const char *name = json_string_value(json_object_get(row, "device")), *lsc = json_string_value(json_object_get(row, "lsc"));
		unsigned long at = name != NULL ? strtoul(name + 3, NULL, 16) : 0;

		n += at == 0 || at > s->phones || lsc == NULL || strcmp(lsc, s->serial[at - 1]) != 0;
	}
	json_decref(list);
	return n;
}

static int one_run(struct site *s, const char *key, double *ret_rate, double *ret_wall)
{
	pthread_t thread[THREADS];
	double cpu, t;
	int n, started = 0;

	atomic_store(&s->next, 0);
	atomic_store(&s->failed, 0);
	if (set_all(s, key) < 0)
		return -1;
	cpu = bench_cpu_of(s->cp, false) + bench_cpu_of(s->signer, false);
	t = bench_now();
	while (started < THREADS && pthread_create(&thread[started], NULL, phones, s) == 0)
		started++;
	for (int i = 0; i < started; i++)
		pthread_join(thread[i], NULL);
	t = bench_now() - t;
	cpu = bench_cpu_of(s->cp, false) + bench_cpu_of(s->signer, false) - cpu;
	n = differing(s);
	if (atomic_load(&s->failed) > 0 || n != 0) {
		fprintf(stderr, "ravelin-bench: enrol: %u failed, %d differ\n", atomic_load(&s->failed), n);
		return -1;
	}
	*ret_rate = s->phones / cpu;
	*ret_wall = s->phones / t;
	return 0;
}

static int one_case(const struct bench_opts *opts, const char *key)
{
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 1 : 3;
	double value[BENCH_RUNS_MAX], peer[BENCH_RUNS_MAX], keyed[BENCH_RUNS_MAX], wall[BENCH_RUNS_MAX], base = 0, grown = 0;
	struct site s = {.phones = opts->phones > 0 ? opts->phones : opts->quick ? 200 : 2000};
	json_t *kase = json_pack("{s:s, s:i}", "key", key, "phones", (int)s.phones);
	EVP_PKEY *server = NULL, *issuer = NULL;
	char err[200] = "";
	int rc = -1;

	if (!bench_wanted(opts, kase)) {
		json_decref(kase);
		return 0;
	}
	if (bench_place_make(&s.at, "enrol") < 0) {
		json_decref(kase);
		return 1;
	}
	s.key = strcmp(key, "rsa-2048") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	server = EVP_EC_gen("P-256");
	issuer = EVP_RSA_gen(2048);
	s.serial = calloc(s.phones, sizeof(*s.serial));
	s.tls = capfp_tls(NULL, false, err, sizeof(err));
	if (s.key != NULL && server != NULL && issuer != NULL && s.serial != NULL && s.tls != NULL)
		rc = start(&s);
	for (unsigned int i = 0; i < runs && rc == 0; i++) {
		rc = raw_per_s(server, issuer, s.key, opts->quick ? 200 : 1000, &peer[i], &keyed[i]);
		if (rc == 0)
			rc = one_run(&s, key, &value[i], &wall[i]);
		if (i == 0)
			base = bench_resident(s.cp); /* from the second run on nothing more is kept but the records */
		grown = bench_resident(s.cp) - base;
	}
	bench_end(&s.cp);
	bench_end(&s.signer);
	for (int p = 0; p < 2 && rc == 0; p++)
		bench_row(opts, &(struct bench_row){
					.bench = "enrol",
					.kase = json_incref(kase),
					.unit = "LSC/s/core",
					.peer = p == 0 ? "openssl" : "openssl-key",
					.value = value,
					.peer_value = p == 0 ? peer : keyed,
					.runs = runs,
					.peer_runs = runs,
					.more = json_pack("{s:f, s:f}", "wall_per_s", bench_quantile(wall, runs, 0.5), "grown_per_lsc",
							  runs > 1 ? grown / ((double)s.phones * (runs - 1)) : 0.0),
				});
	json_decref(kase);
	bench_place_end(&s.at, "enrol", rc != 0 && !bench_stopped);
	EVP_PKEY_free(s.key);
	EVP_PKEY_free(server);
	EVP_PKEY_free(issuer);
	SSL_CTX_free(s.tls);
	free(s.serial);
	return rc == 0 ? 0 : 1;
}

int bench_enrol(const struct bench_opts *opts)
{
	int rc = one_case(opts, "rsa-2048");

	return rc != 0 ? rc : one_case(opts, "ec-p256");
}
