/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registration of many phones: a real signer and controlplane in a directory of their own, ravelin-phonesim with its own
 * TLS and SCCP against them over loopback. Value: registrations per second of the controlplane's CPU time, each a full
 * mutual TLS handshake and the whole start-up of a phone. Peer: OpenSSL's server side of such a handshake alone, both ends in
 * this process, the time of the server's calls. Memory: what the controlplane's resident set grew by while all are there.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "bench.h"
#include "proc.h"
#include "rawtls.h"

#define START_S 20  /* for a daemon to answer */
#define LOAD_S  180 /* for all phones to settle, and again to leave */
#define HOLD_S  "2"

struct place {
	struct bench_place at;
	uint16_t port;
	pid_t signer, cp, phones;
};

struct run {
	double per_core, wall, p50_ms, p99_ms, cpu_us;
	double bytes; /* resident per phone */
};

/* Phones registered with encryption; -1: no answer. */
static long registered(const struct place *p)
{
	json_t *o = bench_admin(&p->at, "status", json_object());
	json_t *v = json_object_get(json_object_get(o, "registered"), "encrypted");
	long cnt = json_is_integer(v) ? (long)json_integer_value(v) : -1;

	json_decref(o);
	return cnt;
}

/* --- certificates --- */

struct id {
	EVP_PKEY *key;
	X509 *cert;
};

static void id_free(struct id *id)
{
	EVP_PKEY_free(id->key);
	X509_free(id->cert);
	*id = (struct id){NULL, NULL};
}

/* Signed by 'ca'; NULL: a CA itself. */
static int make_id(const char *cn, bool rsa, const struct id *ca, struct id *ret)
{
	X509_NAME *name;
	X509 *x = X509_new();

	ret->key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	ret->cert = x;
	if (x == NULL || ret->key == NULL)
		return -1;
	name = X509_get_subject_name(x);
	if (X509_set_version(x, 2) != 1 || ASN1_INTEGER_set(X509_get_serialNumber(x), ca == NULL ? 1 : 2) != 1 ||
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0) != 1 ||
	    X509_set_issuer_name(x, ca == NULL ? name : X509_get_subject_name(ca->cert)) != 1 ||
	    X509_gmtime_adj(X509_getm_notBefore(x), -3600) == NULL ||
	    X509_gmtime_adj(X509_getm_notAfter(x), 86400) == NULL || X509_set_pubkey(x, ret->key) != 1)
		return -1;
	if (ca == NULL) {
		static const struct {
			int nid;
			const char *value;
		} exts[] = {{NID_basic_constraints, "critical,CA:TRUE"},
			    {NID_key_usage, "critical,keyCertSign,cRLSign"}};

		for (size_t i = 0; i < 2; i++) {
			X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, exts[i].nid, exts[i].value);
			int ok = e != NULL && X509_add_ext(x, e, -1) == 1;

			X509_EXTENSION_free(e);
			if (!ok)
				return -1;
		}
	}
	return X509_sign(x, ca == NULL ? ret->key : ca->key, EVP_sha256()) > 0 ? 0 : -1;
}

static int write_ca(const struct place *p, const struct id *ca)
{
	char path[PATH_MAX];
	FILE *f;
	int ok;

	snprintf(path, sizeof(path), "%s/phones-ca.pem", p->at.dir);
	f = fopen(path, "wex");
	if (f == NULL)
		return -1;
	ok = PEM_write_PrivateKey(f, ca->key, NULL, NULL, 0, NULL, NULL) == 1 && PEM_write_X509(f, ca->cert) == 1;
	if (fclose(f) != 0 || !ok)
		return -1;
	snprintf(path, sizeof(path), "%s/trust.pem", p->at.dir);
	f = fopen(path, "wex");
	if (f == NULL)
		return -1;
	ok = PEM_write_X509(f, ca->cert);
	return fclose(f) == 0 && ok == 1 ? 0 : -1;
}

/* --- the peer: OpenSSL alone --- */

static double openssl_per_s(bool rsa, const struct id *ca, unsigned int cnt)
{
	SSL_CTX *sctx = SSL_CTX_new(TLS_server_method()), *cctx = SSL_CTX_new(TLS_client_method());
	struct id server = {0}, client = {0};
	double s = 0, rate = -1;
	unsigned int i;

	if (sctx == NULL || cctx == NULL || make_id("server", rsa, ca, &server) < 0 ||
	    make_id("SEP000000000001", false, ca, &client) < 0 || SSL_CTX_use_certificate(sctx, server.cert) != 1 ||
	    SSL_CTX_use_PrivateKey(sctx, server.key) != 1 || SSL_CTX_use_certificate(cctx, client.cert) != 1 ||
	    SSL_CTX_use_PrivateKey(cctx, client.key) != 1 ||
	    X509_STORE_add_cert(SSL_CTX_get_cert_store(sctx), ca->cert) != 1 ||
	    X509_STORE_add_cert(SSL_CTX_get_cert_store(cctx), ca->cert) != 1)
		goto out;
	SSL_CTX_set_verify(sctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_verify(cctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(sctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(sctx, 1); /* as ours */
	/* or OpenSSL would look for the issuers of its own certificate, and verify them, in each handshake */
	SSL_CTX_set_mode(sctx, SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_mode(cctx, SSL_MODE_NO_AUTO_CHAIN);
	for (i = 0; i < 10; i++)
		if (bench_raw_handshake(sctx, cctx, true, &s) < 0)
			goto out;
	s = 0;
	for (i = 0; i < cnt; i++)
		if (bench_raw_handshake(sctx, cctx, true, &s) < 0)
			goto out;
	rate = cnt / s;
out:
	id_free(&server);
	id_free(&client);
	SSL_CTX_free(sctx);
	SSL_CTX_free(cctx);
	return rate;
}

/* --- the appliance --- */

static int configure(struct place *p, const char *key, unsigned int phones)
{
	char path[PATH_MAX];
	FILE *f;

	p->port = bench_free_port(SOCK_STREAM);
	snprintf(path, sizeof(path), "%s/ravelin.yaml", p->at.dir);
	f = p->port != 0 ? fopen(path, "we") : NULL;
	if (f == NULL)
		return -1;
	fprintf(f, "paths: {state: %s/state-%s, run: %s/run}\n", p->at.dir, key, p->at.dir);
	fprintf(f, "log: {level: warn}\n");
	fprintf(f, "sccp: {listen: 127.0.0.1, port: 0, tls_port: %u, max_connections: %u}\n", p->port, phones + 1000);
	fprintf(f, "enrol: {capf_port: 0, tvs_port: 0}\n");
	fprintf(f, "signer: {server_key: %s, trust: [%s/trust.pem]}\n", key, p->at.dir);
	if (fclose(f) != 0)
		return -1;
	snprintf(path, sizeof(path), "%s/phones.json", p->at.dir);
	f = fopen(path, "we");
	if (f == NULL)
		return -1;
	fputs("{\"devices\":[", f);
	for (unsigned int i = 1; i <= phones; i++)
		fprintf(f, "%s{\"name\":\"SEP%012X\",\"lines\":[{\"number\":\"%u\"}]}", i > 1 ? "," : "", i, 100000 + i);
	fputs("]}\n", f);
	return fclose(f);
}

static int start(struct place *p)
{
	char signer[PATH_MAX], cp[PATH_MAX], ctl[PATH_MAX], cfg[PATH_MAX], sock[PATH_MAX], json[PATH_MAX];
	double limit = bench_now() + START_S;
	pid_t import;

	snprintf(cfg, sizeof(cfg), "%s/ravelin.yaml", p->at.dir);
	snprintf(sock, sizeof(sock), "%s/run/admin.sock", p->at.dir);
	snprintf(json, sizeof(json), "%s/phones.json", p->at.dir);
	bench_program(&p->at, "../pki/signer/ravelin-signer", signer, sizeof(signer));
	bench_program(&p->at, "../controlplane/ravelin-controlplane", cp, sizeof(cp));
	bench_program(&p->at, "../controlplane/ctl/ravelinctl", ctl, sizeof(ctl));
	p->signer = bench_spawn(&p->at, "signer.log", (char *[]){signer, (char *)"-c", cfg, NULL}, -1);
	p->cp = bench_spawn(&p->at, "controlplane.log", (char *[]){cp, (char *)"-c", cfg, NULL}, -1);
	while (registered(p) < 0) {
		if (bench_now() > limit || bench_stopped)
			return -1;
		bench_rest(0.05);
	}
	/* mixed mode: without it a phone's security counts for nothing, and each that comes over TLS is an alarm */
	import = bench_spawn(&p->at, "mode.log", (char *[]){ctl, (char *)"-s", sock, (char *)"ctl", (char *)"set-mode", (char *)"mixed", NULL},
			     -1);
	if (bench_reap(&import, 60) != 0)
		return -1;
	import = bench_spawn(&p->at, "import.log", (char *[]){ctl, (char *)"-s", sock, (char *)"import", json, NULL}, -1);
	return bench_reap(&import, 60) == 0 ? 0 : -1;
}

static int number(const json_t *o, const char *key, double *ret)
{
	const json_t *v = json_object_get(o, key);

	*ret = json_number_value(v);
	return json_is_number(v) ? 0 : -1;
}

/* All phones come, stay, go. 'base': resident bytes before the first came. */
static int load(struct place *p, unsigned int phones, double base, struct run *ret)
{
	char sim[PATH_MAX], server[32], ca[PATH_MAX], report[PATH_MAX], cnt[16];
	double cpu = bench_cpu_of(p->cp, false), limit = bench_now() + LOAD_S;
	json_t *o;
	int rc;

	snprintf(server, sizeof(server), "127.0.0.1:%u", p->port);
	snprintf(ca, sizeof(ca), "%s/phones-ca.pem", p->at.dir);
	snprintf(report, sizeof(report), "%s/report.json", p->at.dir);
	snprintf(cnt, sizeof(cnt), "%u", phones);
	p->phones = bench_spawn(&p->at, "phones.log",
			  (char *[]){bench_program(&p->at, "sim/ravelin-phonesim", sim, sizeof(sim)), (char *)"--server", server,
				     (char *)"--tls", (char *)"--insecure", (char *)"--load", cnt, (char *)"--load-ca", ca,
				     (char *)"--parallel", (char *)"64", (char *)"--rate", (char *)"100000",
				     (char *)"--timeout", (char *)"60", (char *)"--retry", (char *)"0", (char *)"--hold",
				     (char *)HOLD_S, (char *)"--report", report, NULL}, -1);
	while (registered(p) < (long)phones) {
		if (bench_now() > limit || bench_stopped || p->phones <= 0 || waitpid(p->phones, NULL, WNOHANG) != 0)
			return -1;
		bench_rest(0.05);
	}
	bench_rest(0.3); /* buttons, softkeys and the like of the last ones */
	ret->bytes = (bench_resident(p->cp) - base) / phones;
	cpu = bench_cpu_of(p->cp, false) - cpu;
	ret->per_core = phones / cpu;
	ret->cpu_us = cpu / phones * 1e6;
	if (bench_reap(&p->phones, LOAD_S) != 0)
		return -1;
	o = json_load_file(report, 0, NULL);
	rc = number(o, "registrations_per_s", &ret->wall) | number(json_object_get(o, "register"), "p50_ms", &ret->p50_ms) |
	     number(json_object_get(o, "register"), "p99_ms", &ret->p99_ms) |
	     (json_integer_value(json_object_get(o, "registered_at_end")) != (json_int_t)phones ? -1 : 0);
	json_decref(o);
	while (registered(p) > 0 && bench_now() < limit + LOAD_S && !bench_stopped)
		bench_rest(0.05); /* gone before the next ones come */
	return rc;
}

static int one_key(const struct bench_opts *opts, struct place *p, const char *key, const struct id *ca)
{
	const bool rsa = strcmp(key, "rsa-2048") == 0;
	unsigned int phones = opts->quick ? 500 : 5000, runs = opts->runs > 0 ? opts->runs : opts->quick ? 1 : 3;
	double value[BENCH_RUNS_MAX], peer[BENCH_RUNS_MAX], wall[BENCH_RUNS_MAX], p50[BENCH_RUNS_MAX], p99[BENCH_RUNS_MAX];
	double base, bytes = 0;
	json_t *kase = json_pack("{s:s, s:b, s:i}", "key", key, "resumed", 0, "phones", (int)phones);
	int rc = -1;

	if (!bench_wanted(opts, kase)) {
		json_decref(kase);
		return 0;
	}
	if (configure(p, key, phones) == 0)
		rc = start(p);
	bench_rest(0.2);
	base = bench_resident(p->cp);
	for (unsigned int i = 0; i < runs && rc == 0; i++) {
		struct run r = {0};

		peer[i] = openssl_per_s(rsa, ca, opts->quick ? 300 : 1000);
		rc = peer[i] > 0 ? load(p, phones, base, &r) : -1;
		value[i] = r.per_core;
		wall[i] = r.wall;
		p50[i] = r.p50_ms;
		p99[i] = r.p99_ms;
		if (i == 0)
			bytes = r.bytes; /* later ones find memory that was used already */
	}
	bench_end(&p->phones);
	bench_end(&p->cp);
	bench_end(&p->signer);
	if (rc != 0) {
		fprintf(stderr, "ravelin-bench: register: %s: %s\n", key,
			bench_stopped ? "interrupted" : "not every phone was registered");
		json_decref(kase);
		return 1;
	}
	const double per_s = bench_quantile(wall, runs, 0.5), q50 = bench_quantile(p50, runs, 0.5),
		     q99 = bench_quantile(p99, runs, 0.5);

	bench_row(opts, &(struct bench_row){
				.bench = "register",
				.kase = kase,
				.unit = "registration/s/core",
				.peer = "openssl",
				.value = value,
				.peer_value = peer,
				.runs = runs,
				.peer_runs = runs,
				.more = json_pack("{s:f, s:f, s:f, s:f, s:f}", "registrations_per_s", per_s, "p50_ms", q50,
						  "p99_ms", q99, "bytes_per_phone", bytes, "cpu_us",
						  1e6 / bench_quantile(value, runs, 0.5)),
			});
	if (!opts->json)
		printf("      %.0f registrations/s in all, p50 %.1f ms, p99 %.1f ms, 64 at a time; %.0f bytes of the "
		       "controlplane per phone\n",
		       per_s, q50, q99, bytes);
	return 0;
}

int bench_register(const struct bench_opts *opts)
{
	static const char *const keys[] = {"rsa-2048", "ec-p256"};
	struct place p = {0};
	struct id ca = {0};
	int rc = 0;

	if (bench_place_make(&p.at, "register") < 0)
		return 1;
	if (make_id("bench phones CA", false, NULL, &ca) < 0 || write_ca(&p, &ca) < 0) {
		fprintf(stderr, "ravelin-bench: register: no CA\n");
		rc = 1;
	}
	for (size_t i = 0; i < 2 && rc == 0 && !bench_stopped; i++)
		rc = one_key(opts, &p, keys[i], &ca);
	id_free(&ca);
	bench_place_end(&p.at, "register", rc != 0 && !bench_stopped);
	return rc;
}
