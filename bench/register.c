/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registration of many phones: a real signer and controlplane in a directory of their own, ravelin-phonesim with its own
 * TLS and SCCP against them over loopback. Value: registrations per second of the controlplane's CPU time, each a full
 * mutual TLS handshake and the whole start-up of a phone. Peer: OpenSSL's server side of such a handshake alone, both ends in
 * this process, the time of the server's calls. Memory: what the controlplane's resident set grew by while all are there.
 * listener.c has bare handshakes, storm.c 30,000 phones.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "bench.h"
#include "phones.h"

#define LOAD_S  180 /* for all phones to settle, and again to leave */
#define HOLD_S  "2"

struct run {
	double per_core, wall, p50_ms, p99_ms, cpu_us;
	double bytes; /* resident per phone */
};

static int number(const json_t *o, const char *key, double *ret)
{
	const json_t *v = json_object_get(o, key);

	*ret = json_number_value(v);
	return json_is_number(v) ? 0 : -1;
}

/* All phones come, stay, go. 'base': resident bytes before the first came. */
static int load(struct bench_phones *p, unsigned int phones, double base, struct run *ret)
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
	while (bench_phones_here(p) < (long)phones) {
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
	while (bench_phones_here(p) > 0 && bench_now() < limit + LOAD_S && !bench_stopped)
		bench_rest(0.05); /* gone before the next ones come */
	return rc;
}

/* 'phones' come and go in each run, beside OpenSSL. Takes 'kase' over. */
static int registrations(const struct bench_opts *opts, struct bench_phones *p, const char *key, const struct bench_id *ca,
			 unsigned int phones, json_t *kase)
{
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 1 : 3;
	double value[BENCH_RUNS_MAX], peer[BENCH_RUNS_MAX], wall[BENCH_RUNS_MAX], p50[BENCH_RUNS_MAX], p99[BENCH_RUNS_MAX];
	double base = bench_resident(p->cp), bytes = 0;

	for (unsigned int i = 0; i < runs; i++) {
		struct run r = {0};

		peer[i] = bench_mutual_per_s(strcmp(key, "rsa-2048") == 0, ca, opts->quick ? 300 : 1000, false);
		if (peer[i] <= 0 || load(p, phones, base, &r) < 0) {
			json_decref(kase);
			return -1;
		}
		value[i] = r.per_core;
		wall[i] = r.wall;
		p50[i] = r.p50_ms;
		p99[i] = r.p99_ms;
		if (i == 0)
			bytes = r.bytes; /* later ones find memory that was used already */
	}
	bench_row(opts, &(struct bench_row){
				.bench = "register",
				.kase = kase,
				.unit = "registration/s/core",
				.peer = "openssl",
				.value = value,
				.peer_value = peer,
				.runs = runs,
				.peer_runs = runs,
				.more = json_pack("{s:f, s:f, s:f, s:f, s:f}", "registrations_per_s", bench_quantile(wall, runs, 0.5), "p50_ms",
						  bench_quantile(p50, runs, 0.5), "p99_ms", bench_quantile(p99, runs, 0.5),
						  "bytes_per_phone", bytes, "cpu_us", 1e6 / bench_quantile(value, runs, 0.5)),
			});
	return 0;
}

static int one_key(const struct bench_opts *opts, struct bench_phones *p, const char *key, const struct bench_id *ca)
{
	unsigned int phones = opts->quick ? 500 : 5000;
	json_t *kase = json_pack("{s:s, s:s, s:b, s:i}", "what", "registration", "key", key, "resumed", 0, "phones", (int)phones);
	int rc = -1;

	if (!bench_wanted(opts, kase) && !bench_wanted_free(opts, json_pack("{s:s, s:s, s:b}", "what", "handshake", "key", key, "resumed", 0)) &&
	    !bench_wanted_free(opts, json_pack("{s:s, s:s, s:b}", "what", "handshake", "key", key, "resumed", 1))) {
		json_decref(kase);
		return 0;
	}
	if (bench_phones_configure(p, key, phones, "", "") == 0)
		rc = bench_phones_start(p);
	bench_rest(0.2);
	if (rc != 0 || !bench_wanted(opts, kase))
		json_decref(kase);
	else
		rc = registrations(opts, p, key, ca, phones, kase);
	if (rc == 0 && !bench_stopped)
		rc = bench_listener(opts, p, key, ca);
	bench_phones_end(p);
	if (rc != 0)
		fprintf(stderr, "ravelin-bench: register: %s: %s\n", key, bench_stopped ? "interrupted" : "not every phone was registered");
	return rc != 0;
}

int bench_register(const struct bench_opts *opts)
{
	static const char *const keys[] = {"rsa-2048", "ec-p256"};
	struct bench_phones p = {0};
	struct bench_id ca = {0};
	int rc = 0;

	if (bench_place_make(&p.at, "register") < 0)
		return 1;
	if (bench_id_make("bench phones CA", false, NULL, &ca) < 0 || bench_phones_ca(&p, &ca) < 0) {
		fprintf(stderr, "ravelin-bench: register: no CA\n");
		rc = 1;
	}
	for (size_t i = 0; i < 2 && rc == 0 && !bench_stopped; i++)
		rc = one_key(opts, &p, keys[i], &ca);
	if (rc == 0 && !bench_stopped)
		rc = bench_storm(opts, &p, &ca);
	bench_id_free(&ca);
	bench_place_end(&p.at, "register", rc != 0 && !bench_stopped);
	return rc;
}
