/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls among encrypted phones, relayed: signer, controlplane and dataplane of this build, phones of ravelin-phonesim that call each other,
 * acknowledge their media and hang up as soon as both have it. Each call has two legs and four sets of keys, and its record is synced
 * before keys leave. Value: calls per second of the controlplane's CPU time, over the middle of the run; a call that is not
 * set up, or is not encrypted, makes the bench fail. Then calls come at half the rate that was seen, and the phones' post-dial
 * delay counts: from dialling to hearing that the other one rings.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "phones.h"

#define PHONES  400
#define LIMIT_S 60

struct load {
	double per_core, per_s, p50_ms, p99_ms, set_up_p99_ms;
	long long set_up, clear, failed;
};

static int start(struct bench_phones *p, const struct bench_id *ca)
{
	static const char more[] = "dataplane:\n  main_lcore: 0\n  worker_lcores: [1]\n  huge_pages: auto\n  memory_mb: 256\n  max_legs: 4096\n"
				   "  ports: [{device: ring, addresses: [192.0.2.2/24], gateway: 192.0.2.1}]\n"
				   "media:\n  addresses: [{address: 192.0.2.2, region: default}]\n";
	char dp[PATH_MAX], cfg[PATH_MAX];
	double limit = bench_now() + LIMIT_S;
	bool up = false;

	if (bench_phones_ca(p, ca) < 0 || bench_phones_configure(p, "rsa-2048", PHONES, ", register_rate: 0", more) < 0 || bench_phones_start(p) < 0)
		return -1;
	snprintf(cfg, sizeof(cfg), "%s/ravelin.yaml", p->at.dir);
	p->dp = bench_spawn(&p->at, "dataplane.log",
			    (char *[]){bench_program(&p->at, "../dataplane/ravelin-dataplane", dp, sizeof(dp)), (char *)"-c", cfg, NULL}, -1);
	while (!up && p->dp > 0 && bench_now() < limit && !bench_stopped) {
		json_t *o = bench_admin(&p->at, "status", json_object());

		up = json_is_true(json_object_get(json_object_get(o, "dataplane"), "up"));
		json_decref(o);
		bench_rest(0.1);
	}
	return up ? 0 : -1;
}

/* Calls so far. */
static long long calls(const struct bench_phones *p)
{
	json_t *o = bench_admin(&p->at, "show.counters", json_object());
	long long n = json_integer_value(json_object_get(json_object_get(o, "calls"), "total"));

	json_decref(o);
	return n;
}

/* The middle of the run: once calls come, for 'seconds'. */
static int window(struct bench_phones *p, double seconds, double *ret_per_core)
{
	long long first = calls(p), n;
	double cpu, limit = bench_now() + LIMIT_S;

	while (calls(p) < first + 20) {
		if (bench_now() > limit || bench_stopped || waitpid(p->phones, NULL, WNOHANG) != 0)
			return -1;
		bench_rest(0.05);
	}
	n = calls(p);
	cpu = bench_cpu_of(p->cp, false);
	bench_rest(seconds);
	cpu = bench_cpu_of(p->cp, false) - cpu;
	n = calls(p) - n;
	*ret_per_core = cpu > 0 ? (double)n / cpu : -1;
	return n > 0 ? 0 : -1;
}

static int report(const char *path, struct load *ret)
{
	json_t *o = json_load_file(path, 0, NULL), *c = json_object_get(o, "calls");

	ret->per_s = json_number_value(json_object_get(c, "per_s"));
	ret->set_up = json_integer_value(json_object_get(c, "set_up"));
	ret->clear = json_integer_value(json_object_get(c, "clear"));
	ret->failed = json_integer_value(json_object_get(c, "failed"));
	ret->p50_ms = json_number_value(json_object_get(json_object_get(c, "post_dial"), "p50_ms"));
	ret->p99_ms = json_number_value(json_object_get(json_object_get(c, "post_dial"), "p99_ms"));
	ret->set_up_p99_ms = json_number_value(json_object_get(json_object_get(c, "set_up_time"), "p99_ms"));
	json_decref(o);
	return ret->set_up > 0 ? 0 : -1;
}

/* 'rate' 0: as many as 64 at a time make. */
static int load(struct bench_phones *p, double seconds, double rate, struct load *ret)
{
	char sim[PATH_MAX], server[32], ca[PATH_MAX], path[PATH_MAX], cnt[16], secs[16], per_s[16];

	snprintf(server, sizeof(server), "127.0.0.1:%u", p->port);
	snprintf(ca, sizeof(ca), "%s/phones-ca.pem", p->at.dir);
	snprintf(path, sizeof(path), "%s/calls.json", p->at.dir);
	snprintf(cnt, sizeof(cnt), "%d", PHONES);
	snprintf(secs, sizeof(secs), "%.1f", seconds);
	snprintf(per_s, sizeof(per_s), "%.1f", rate);
	p->phones = bench_spawn(&p->at, "phones.log",
				(char *[]){bench_program(&p->at, "sim/ravelin-phonesim", sim, sizeof(sim)), (char *)"--server", server,
					   (char *)"--tls", (char *)"--insecure", (char *)"--load", cnt, (char *)"--load-ca", ca,
					   (char *)"--parallel", (char *)"64", (char *)"--timeout", (char *)"60", (char *)"--retry", (char *)"0",
					   (char *)"--media-ip", (char *)"192.0.2.10", (char *)"--number", (char *)"100001",
					   (char *)"--calls-s", secs, (char *)"--calls-rate", per_s, (char *)"--calls-parallel", (char *)"64",
					   (char *)"--report", path, NULL}, 0);
	if (p->phones <= 0 || window(p, seconds * 0.6, &ret->per_core) < 0 || bench_reap(&p->phones, LIMIT_S + seconds) != 0 ||
	    report(path, ret) < 0)
		return -1;
	if (ret->failed == 0 && ret->clear == 0)
		return 0;
	fprintf(stderr, "ravelin-bench: call: %lld set up, %lld of them without keys, %lld failed\n", ret->set_up, ret->clear, ret->failed);
	return -1;
}

static int measure(const struct bench_opts *opts, struct bench_phones *p)
{
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 1 : 3;
	double value[BENCH_RUNS_MAX], wall[BENCH_RUNS_MAX], p50[BENCH_RUNS_MAX], p99[BENCH_RUNS_MAX], up[BENCH_RUNS_MAX];

	for (unsigned int i = 0; i < runs; i++) {
		struct load full = {0}, half = {0};

		if (load(p, opts->quick ? 3 : 15, 0, &full) < 0 || load(p, opts->quick ? 3 : 15, full.per_s / 2, &half) < 0)
			return -1;
		value[i] = full.per_core;
		wall[i] = full.per_s;
		p50[i] = half.p50_ms;
		p99[i] = half.p99_ms;
		up[i] = half.set_up_p99_ms;
	}
	bench_row(opts, &(struct bench_row){.bench = "call", .kase = json_pack("{s:s}", "media", "relay"), .unit = "call/s/core", .value = value,
					    .runs = runs,
					    .more = json_pack("{s:f, s:f, s:f, s:f, s:i}", "wall_per_s", bench_quantile(wall, runs, 0.5),
							      "half_post_dial_p50_ms", bench_quantile(p50, runs, 0.5), "half_post_dial_p99_ms",
							      bench_quantile(p99, runs, 0.5), "half_set_up_p99_ms", bench_quantile(up, runs, 0.5),
							      "phones", PHONES)});
	return 0;
}

int bench_call(const struct bench_opts *opts)
{
	struct bench_phones p = {0};
	struct bench_id ca = {0};
	int rc = -1;

	if (!bench_wanted_free(opts, json_pack("{s:s}", "media", "relay")))
		return 0;
	if (bench_place_make(&p.at, "call") < 0)
		return 1;
	if (bench_id_make("bench phones CA", false, NULL, &ca) == 0 && start(&p, &ca) == 0)
		rc = measure(opts, &p);
	bench_phones_end(&p);
	bench_id_free(&ca);
	if (rc != 0)
		fprintf(stderr, "ravelin-bench: call: %s\n", bench_stopped ? "interrupted" : "calls were not set up");
	bench_place_end(&p.at, "call", rc != 0 && !bench_stopped);
	return rc != 0;
}
