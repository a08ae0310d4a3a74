/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelin-bench: options, environment, rows, comparison with an earlier output. See bench/README.md. */
#include <ftw.h>
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>
#include <srtp2/srtp.h>

#include "bench.h"
#include "crypto/mb.h"

static const struct {
	const char *name;
	int (*run)(const struct bench_opts *opts);
	const char *what;
	bool own;  /* in a process of its own: starts EAL, or leaves the network namespace */
	bool rows; /* part of 'all' */
} benches[] = {
	{"srtp", bench_srtp, "SRTP protect and unprotect on one core, beside OpenSSL, ipsec-mb and libsrtp2", false, true},
	{"mgcp", bench_mgcp, "CRCX with keys through build, transaction, answer, a worker with ESP, end to end; beside kernel UDP", false, true},
	{"esp", bench_esp, "ESP encapsulation and decapsulation on one core, beside OpenSSL, raw ipsec-mb and librte_ipsec; a worker", false, true},
	{"store", bench_store, "synced puts a second with group commit; beside raw RocksDB calls", false, true},
	{"dial", bench_dial, "look-ups in dial plans of up to 100,000 patterns; beside regexec() on each", false, true},
	{"media", bench_media, "the whole worker loop, RTP and SRTP in and out, over rings in memory", true, true},
	{"moh", bench_moh, "music on hold to so many legs of a worker; beside libsrtp2's protecting alone", true, true},
	{"overload", bench_overload, "a worker offered twice what it can: what it delivers, every drop by cause", true, true},
	{"latency", bench_latency, "microseconds through a worker at 70 % of its load", true, true},
	{"scaling", bench_scaling, "N workers on N cores: the rate of each, and of all", false, true},
	{"farm", bench_farm, "10,000 gateways with 240,000 endpoints (--gateways): memory, up, idle, back after a kill. Needs root", true, true},
	{"enrol", bench_enrol, "phones that get an LSC by CAPF; beside the handshake and the signature that it takes at least", false, true},
	{"tvs", bench_tvs, "questions to TVS; beside the handshakes of OpenSSL alone", false, true},
	{"register", bench_register, "phones over mutual TLS: registrations, handshakes, 30,000 of them idle and back after a restart (--phones); "
	 "beside OpenSSL's handshake", false, true},
	{"call", bench_call, "calls set up a second with relay and keys, and the post-dial delay at half load. Needs root", false, true},
	{"sign", bench_sign, "signed files and lists through the signer process; beside OpenSSL's bare signatures", true, true},
	{"drill", bench_drill, "phones a second through a roll of every certificate, and plans for 100,000 of them", false, true},
	{"tftp", bench_tftp, "files over TFTP from a whole appliance; beside dnsmasq and tftpd-hpa. Needs root", true, true},
	{"http", bench_http, "files over HTTP from a whole appliance; beside nginx. Needs root", true, true},
	{"boot", bench_boot, "thousands of phones fetch lists, configuration and ring list at once (--phones); beside dnsmasq, "
	 "tftpd-hpa and nginx. Needs root", true, true},
	{"plan", bench_plan, "cores, memory and NIC for so many calls, from this machine's own rates", false, false},
};
#define BENCH_CNT (sizeof(benches) / sizeof(benches[0]))

static json_t *baseline; /* array of rows, NULL without --baseline */
static json_t *collected; /* where rows go instead of standard output */
static bool table_head;

static int rm_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void bench_rm(const char *dir)
{
	(void)nftw(dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
}

int bench_by_float(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

double bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

double bench_thread_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void bench_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		cpu = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		perror("ravelin-bench: not pinned");
}

static int cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_quantile(const double *v, unsigned int n, double q)
{
	double s[BENCH_RUNS_MAX], at = q * (double)(n - 1);
	unsigned int i = (unsigned int)at;

	memcpy(s, v, n * sizeof(*s));
	qsort(s, n, sizeof(*s), cmp);
	return i + 1 < n ? s[i] + (s[i + 1] - s[i]) * (at - (double)i) : s[n - 1];
}

static double tsc_hz(void)
{
	double t0 = bench_now(), t1;
	uint64_t c0 = bench_tsc(), c1;

	do {
		t1 = bench_now();
		c1 = bench_tsc();
	} while (t1 - t0 < 0.1);
	return (double)(c1 - c0) / (t1 - t0);
}

static void cpu_model(char *ret, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(ret, size, "unknown");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(ret, size, "%s", colon + 2);
			break;
		}
	}
	if (f != NULL)
		fclose(f);
}

static long hugepages(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[256];
	long n = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "HugePages_Total: %ld", &n) == 1)
			break;
	if (f != NULL)
		fclose(f);
	return n;
}

static void print_json(json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(6));

	puts(text);
	free(text);
	json_decref(line);
	fflush(stdout);
}

static void environment(const struct bench_opts *opts)
{
	struct dp_mb *mb = dp_mb_create();
	struct utsname un;
	char cpu[256];
	json_t *env;

	cpu_model(cpu, sizeof(cpu));
	uname(&un);
	env = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:i, s:{s:s, s:s, s:s}, s:f, s:{s:s, s:s, s:s, s:s}}", "cpu", cpu, "cores",
			(int)sysconf(_SC_NPROCESSORS_ONLN), "isa", mb != NULL ? dp_mb_isa(mb) : "none", "hmac",
			mb != NULL ? dp_mb_hmac_name(mb) : "none", "ctr", mb != NULL ? dp_mb_ctr_name(mb) : "none", "kernel",
			un.release, "hugepages", (int)hugepages(), "build", "type", RV_BUILDTYPE, "march", RV_MARCH,
			"compiler", __VERSION__, "tsc_hz", round(opts->tsc_hz / 1e6) * 1e6, "versions", "ravelin",
			RV_VERSION, "ipsec-mb", imb_get_version_str(), "openssl", OpenSSL_version(OPENSSL_VERSION_STRING),
			"libsrtp2", srtp_get_version_string());
	json_object_set_new(env, "gcm_own_below", json_integer(mb == NULL ? 0 : (json_int_t)dp_mb_gcm_own(mb))); /* bytes; -1: all */
	dp_mb_destroy(mb);
	if (opts->json) {
		print_json(json_pack("{s:o}", "env", env));
		return;
	}
	char *text = json_dumps(env, JSON_REAL_PRECISION(6));
	printf("%s\n", text);
	free(text);
	json_decref(env);
}

bool bench_wanted(const struct bench_opts *opts, const json_t *kase)
{
	char *list, *save = NULL;
	bool ok = true;

	if (opts->only == NULL)
		return true;
	list = strdup(opts->only);
	for (char *kv = strtok_r(list, ",", &save); kv != NULL; kv = strtok_r(NULL, ",", &save)) {
		char *eq = strchr(kv, '='), have[64];
		const json_t *v;

		if (eq == NULL)
			continue;
		*eq = '\0';
		v = json_object_get(kase, kv);
		if (json_is_string(v))
			snprintf(have, sizeof(have), "%s", json_string_value(v));
		else
			snprintf(have, sizeof(have), "%lld",
				 json_is_boolean(v) ? json_is_true(v) : (long long)json_integer_value(v));
		ok = ok && v != NULL && strcmp(have, eq + 1) == 0;
	}
	free(list);
	return ok;
}

bool bench_wanted_free(const struct bench_opts *opts, json_t *kase)
{
	bool yes = bench_wanted(opts, kase);

	json_decref(kase);
	return yes;
}

const json_t *bench_baseline(void)
{
	return baseline;
}

void bench_collect(json_t *rows)
{
	collected = rows;
}

void *bench_array(size_t n, size_t size)
{
	void *p = aligned_alloc(64, (n * size + 63) / 64 * 64);

	if (p == NULL)
		abort();
	memset(p, 0, n * size);
	return p;
}

void bench_note(const struct bench_opts *opts, const char *bench, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (collected != NULL)
		return;
	if (opts->json)
		print_json(json_pack("{s:s, s:s}", "bench", bench, "note", text));
	else
		printf("%-5s %s\n", bench, text);
}

int bench_isolated(const struct bench_opts *opts, int (*run)(const struct bench_opts *opts))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return 1;
	if (pid == 0) {
		int rc = run(opts);

		json_decref(baseline);
		exit(rc);
	}
	if (waitpid(pid, &status, 0) != pid)
		return 1;
	if (!WIFEXITED(status))
		fprintf(stderr, "ravelin-bench: a bench died of signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static const json_t *baseline_of(const struct bench_row *row)
{
	size_t i;
	json_t *b;

	json_array_foreach(baseline, i, b) {
		const char *bench = json_string_value(json_object_get(b, "bench"));
		const char *peer = json_string_value(json_object_get(b, "peer"));

		if (bench != NULL && strcmp(bench, row->bench) == 0 &&
		    json_equal(json_object_get(b, "case"), row->kase) &&
		    strcmp(peer != NULL ? peer : "", row->peer != NULL ? row->peer : "") == 0)
			return b;
	}
	return NULL;
}

static void print_table(const struct bench_row *row, double value, double peer, double ratio, double spread, double change)
{
	char text[160] = "";
	const char *key;
	json_t *v;

	if (!table_head)
		printf("%-64s %11s %8s  %-9s %11s %7s %6s\n", "case", "value", "cycles", "peer", "value", "ratio",
		       "spread");
	table_head = true;
	json_object_foreach(row->kase, key, v) {
		size_t n = strlen(text);

		if (json_is_string(v))
			snprintf(text + n, sizeof(text) - n, "%s ", json_string_value(v));
		else
			snprintf(text + n, sizeof(text) - n, "%s=%lld ", key,
				      json_is_boolean(v) ? json_is_true(v) : (long long)json_integer_value(v));
	}
	printf("%-5s %-58s %11.4g %8.1f  %-9s %11.4g %7.2f %5.1f%%", row->bench, text, value, row->cycles,
	       row->peer != NULL ? row->peer : "-", peer, ratio, spread * 100);
	if (!isnan(change))
		printf("  %+.1f%% to baseline", (change - 1) * 100);
	putchar('\n');
}

void bench_row(const struct bench_opts *opts, const struct bench_row *row)
{
	double value = bench_quantile(row->value, row->runs, 0.5), peer = NAN, ratio = NAN, change = NAN;
	double spread = (bench_quantile(row->value, row->runs, 0.9) - bench_quantile(row->value, row->runs, 0.1)) / value;
	const json_t *base = baseline != NULL ? baseline_of(row) : NULL;

	if (row->peer != NULL) {
		double paired[BENCH_RUNS_MAX];

		peer = bench_quantile(row->peer_value, row->peer_runs, 0.5);
		for (unsigned int i = 0; i < row->peer_runs; i++)
			paired[i] = row->value[i < row->runs ? i : row->runs - 1] / row->peer_value[i];
		ratio = bench_quantile(paired, row->peer_runs, 0.5);
	}
	if (base != NULL)
		change = value / json_number_value(json_object_get(base, "value"));
	if (!opts->json && collected == NULL) {
		print_table(row, value, peer, ratio, spread, change);
		json_decref(row->kase);
		json_decref(row->more);
	} else {
		json_t *line = json_pack("{s:s, s:o, s:f, s:s}", "bench", row->bench, "case", row->kase, "value", value,
					 "unit", row->unit);

		if (row->cycles > 0)
			json_object_set_new(line, "cycles", json_real(row->cycles));
		if (row->peer != NULL) {
			json_object_set_new(line, "peer", json_string(row->peer));
			json_object_set_new(line, "peer_value", json_real(peer));
			json_object_set_new(line, "ratio", json_real(ratio));
			json_object_set_new(line, "peer_runs", json_integer(row->peer_runs));
		}
		json_object_set_new(line, "runs", json_integer(row->runs));
		json_object_set_new(line, "spread", json_real(spread));
		if (row->more != NULL)
			json_object_update_new(line, row->more);
		if (!isnan(change))
			json_object_set_new(line, "baseline_ratio", json_real(change));
		if (collected != NULL)
			json_array_append_new(collected, line);
		else
			print_json(line);
	}
	fflush(stdout);
}

static int baseline_load(const char *file)
{
	FILE *f = fopen(file, "re");
	char *line = NULL;
	size_t size = 0;

	if (f == NULL) {
		perror(file);
		return -1;
	}
	baseline = json_array();
	while (getline(&line, &size, f) > 0) {
		json_t *row = json_loads(line, 0, NULL);

		if (row != NULL)
			json_array_append_new(baseline, row);
	}
	free(line);
	fclose(f);
	return 0;
}

static int usage(FILE *out)
{
	fprintf(out, "usage: ravelin-bench NAME|all [-j] [--quick] [--runs N] [--burst N] [--cpu N] [--only KEY=VALUE,...]\n"
		     "                     [--baseline FILE] [--spoil] [--phones N] [--gateways N]\n"
		     "       ravelin-bench plan --calls N [--codec NAME] [--ptime MS] [--suite NAME|RTP] [--both-legs-srtp] [--rtcp]\n"
		     "                     [--port-gbit N] [-j] [--baseline FILE]\n");
	for (size_t i = 0; i < BENCH_CNT; i++)
		fprintf(out, "  %-8s %s\n", benches[i].name, benches[i].what);
	return out == stderr ? 2 : 0;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'},           {"quick", no_argument, NULL, 'q'},
		{"runs", required_argument, NULL, 'r'},     {"burst", required_argument, NULL, 'b'},
		{"cpu", required_argument, NULL, 'c'},      {"only", required_argument, NULL, 'o'},
		{"baseline", required_argument, NULL, 'B'}, {"help", no_argument, NULL, 'h'},
		{"spoil", no_argument, NULL, 'S'},          {"calls", required_argument, NULL, 'n'},
		{"codec", required_argument, NULL, 'C'},    {"ptime", required_argument, NULL, 'p'},
		{"suite", required_argument, NULL, 's'},    {"both-legs-srtp", no_argument, NULL, '2'},
		{"rtcp", no_argument, NULL, 'R'},           {"port-gbit", required_argument, NULL, 'g'},
		{"phones", required_argument, NULL, 'P'},   {"gateways", required_argument, NULL, 'G'},
		{NULL, 0, NULL, 0},
	};
	struct bench_opts opts = {.cpu = -1, .plan = {.ptime_ms = 20, .port_gbit = 10, .codec = "g711",
						       .suite = "AES_CM_128_HMAC_SHA1_80"}};
	const char *name;
	int opt, rc = 0, found = 0;

	while ((opt = getopt_long(argc, argv, "jh", longs, NULL)) != -1) {
		switch (opt) {
		case 'j':
			opts.json = true;
			break;
		case 'q':
			opts.quick = true;
			break;
		case 'r':
			opts.runs = (unsigned int)atoi(optarg);
			break;
		case 'b':
			opts.burst = (unsigned int)atoi(optarg);
			break;
		case 'c':
			opts.cpu = atoi(optarg);
			break;
		case 'o':
			opts.only = optarg;
			break;
		case 'B':
			if (baseline_load(optarg) < 0)
				return 2;
			break;
		case 'S':
			opts.spoil = true;
			break;
		case 'n':
			opts.plan.calls = (unsigned int)atoi(optarg);
			break;
		case 'C':
			opts.plan.codec = optarg;
			break;
		case 'p':
			opts.plan.ptime_ms = (unsigned int)atoi(optarg);
			break;
		case 's':
			opts.plan.suite = optarg;
			break;
		case '2':
			opts.plan.both_legs = true;
			break;
		case 'R':
			opts.plan.rtcp = true;
			break;
		case 'g':
			opts.plan.port_gbit = (unsigned int)atoi(optarg);
			break;
		case 'P':
			opts.phones = (unsigned int)atoi(optarg);
			break;
		case 'G':
			opts.gateways = (unsigned int)atoi(optarg);
			break;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	if (optind + 1 != argc || opts.runs > BENCH_RUNS_MAX)
		return usage(stderr);
	name = argv[optind];
	if (strcmp(name, "all") == 0)
		opts.quick = true;
	for (size_t i = 0; i < BENCH_CNT; i++)
		found += strcmp(name, "all") == 0 || strcmp(name, benches[i].name) == 0;
	if (found == 0)
		return usage(stderr);
	opts.tsc_hz = tsc_hz();
	environment(&opts);
	for (size_t i = 0; i < BENCH_CNT; i++)
		if ((strcmp(name, "all") == 0 && benches[i].rows) || strcmp(name, benches[i].name) == 0)
			rc |= benches[i].own ? bench_isolated(&opts, benches[i].run) : benches[i].run(&opts);
	json_decref(baseline);
	return rc;
}
