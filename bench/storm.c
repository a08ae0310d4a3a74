/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * As many phones as an appliance is for (30,000; --quick 500; --phones), or as many as a process may have files, all over TLS. What they take in memory and, idle, of a
 * core; and how long it takes until all are back when the controlplane was killed and started again. The bound of that is what
 * OpenSSL's handshakes alone would take on all processors; the phones are on them, too.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "phones.h"

#define PHONES    30000
#define LIMIT_S   900
#define RETRY_MS  "1000"
#define SETTLED_S 3
#define FILES     2000 /* of the daemon, besides a phone's: it has room for 1,000 more phones, and a store */

static int simulate(struct bench_phones *p, unsigned int phones)
{
	char sim[PATH_MAX], server[32], ca[PATH_MAX], report[PATH_MAX], cnt[16];

	snprintf(server, sizeof(server), "127.0.0.1:%u", p->port);
	snprintf(ca, sizeof(ca), "%s/phones-ca.pem", p->at.dir);
	snprintf(report, sizeof(report), "%s/report.json", p->at.dir);
	snprintf(cnt, sizeof(cnt), "%u", phones);
	p->phones = bench_spawn(&p->at, "phones.log",
				(char *[]){bench_program(&p->at, "sim/ravelin-phonesim", sim, sizeof(sim)), (char *)"--server", server,
					   (char *)"--tls", (char *)"--insecure", (char *)"--load", cnt, (char *)"--load-ca", ca,
					   (char *)"--parallel", (char *)"64", (char *)"--rate", (char *)"100000", (char *)"--timeout",
					   (char *)"60", (char *)"--retry", (char *)RETRY_MS, (char *)"--give-up", (char *)"0",
					   (char *)"--source-ips", (char *)"127.0.1.1-127.0.1.250", (char *)"--hold", (char *)"86400",
					   (char *)"--report", report, NULL}, -1);
	return p->phones > 0 ? 0 : -1;
}

/* Until so many are there. Seconds since 'since', or -1 and 'why': not in time, or the simulator ended. */
static double until_here(struct bench_phones *p, unsigned int phones, double since, char *why, size_t size)
{
	char words[256];
	long here;

	while ((here = bench_phones_here(p)) < (long)phones) {
		if (bench_stopped)
			return -1;
		if (waitpid(p->phones, NULL, WNOHANG) != 0) {
			p->phones = 0;
			bench_last_words(&p->at, "phones.log", words, sizeof(words));
			snprintf(why, size, "the phones ended, with %ld of %u there: %s", here, phones, words);
			return -1;
		}
		if (bench_now() > since + LIMIT_S) {
			snprintf(why, size, "%ld of %u phones were there after %d s", here, phones, LIMIT_S);
			return -1;
		}
		bench_rest(0.05);
	}
	return bench_now() - since;
}

/* As many as wanted, or as a process may have files, in thousands. 0: fewer than were asked for. */
static unsigned int how_many(const struct bench_opts *opts, unsigned int wanted, unsigned long *ret_files, char *why, size_t size)
{
	unsigned int room;

	*ret_files = bench_files(wanted + FILES);
	room = *ret_files > FILES ? (unsigned int)(*ret_files - FILES) : 0;
	if (room >= wanted)
		return wanted;
	snprintf(why, size, "%u phones need %u open files in a process, %lu are allowed (ulimit -Hn)", wanted, wanted + FILES, *ret_files);
	return opts->phones > 0 ? 0 : room / 1000 * 1000;
}

static json_t *kase_of(const char *what, unsigned int phones)
{
	return json_pack("{s:s, s:s, s:b, s:i}", "what", what, "key", "rsa-2048", "resumed", 0, "phones", (int)phones);
}

static void idle(const struct bench_opts *opts, const struct bench_phones *p, unsigned int phones, double bytes, unsigned long files)
{
	const double seconds = opts->quick ? 3 : 60;
	double cpu = bench_cpu_of(p->cp, false), t = bench_now(), share;

	bench_rest(seconds);
	cpu = bench_cpu_of(p->cp, false) - cpu;
	share = 100 * cpu / (bench_now() - t);
	bench_row(opts, &(struct bench_row){.bench = "register", .kase = kase_of("idle", phones), .unit = "% of a core", .value = &share, .runs = 1,
					    .more = json_pack("{s:f, s:f, s:i, s:I}", "seconds", seconds, "bytes_per_phone", bytes, "keepalive_s", 30,
							      "files_allowed", (json_int_t)files)});
}

/* Killed, started again: all come back. 0 or -1. */
static int restart(const struct bench_opts *opts, struct bench_phones *p, unsigned int phones, const struct bench_id *ca, char *why, size_t size)
{
	double raw = bench_mutual_per_s(true, ca, opts->quick ? 300 : 2000, false), bound, killed, up, p99, all, cpu, value;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	killed = bench_now();
	kill(p->cp, SIGKILL);
	bench_reap(&p->cp, 10);
	if (raw <= 0 || bench_phones_cp(p) < 0) {
		snprintf(why, size, "the controlplane did not come up again");
		return -1;
	}
	up = bench_now() - killed;
	p99 = until_here(p, phones - phones / 100, killed, why, size);
	all = p99 < 0 ? -1 : until_here(p, phones, killed, why, size);
	if (all < 0)
		return -1;
	cpu = bench_cpu_of(p->cp, false);
	value = phones / cpu;
	bound = phones / (raw * (double)(cores > 0 ? cores : 1));
	bench_row(opts, &(struct bench_row){.bench = "register", .kase = kase_of("return", phones), .unit = "registration/s/core", .peer = "openssl",
					    .value = &value, .peer_value = &raw, .runs = 1, .peer_runs = 1,
					    .more = json_pack("{s:f, s:f, s:f, s:f, s:f}", "seconds", all, "p99_s", p99, "up_s", up, "bound_s", bound,
							      "of_bound", bound / all)});
	return 0;
}

int bench_storm(const struct bench_opts *opts, struct bench_phones *p, const struct bench_id *ca)
{
	unsigned int wanted = opts->phones > 0 ? opts->phones : opts->quick ? 500 : PHONES, phones;
	char why[512] = "an appliance could not be started";
	unsigned long files;
	double base, bytes;
	int rc = -1;

	phones = how_many(opts, wanted, &files, why, sizeof(why));
	if (phones == 0) {
		fprintf(stderr, "ravelin-bench: register: %s\n", why);
		return 1;
	}
	if (!bench_wanted_free(opts, kase_of("idle", phones)) && !bench_wanted_free(opts, kase_of("return", phones)))
		return 0;
	if (phones < wanted)
		bench_note(opts, "register", "%s: %u phones", why, phones);
	if (bench_phones_configure(p, "rsa-2048", phones + 1, ", register_rate: 0", "") == 0 && bench_phones_start(p) == 0) {
		bench_rest(0.2);
		base = bench_resident(p->cp);
		if (simulate(p, phones) == 0 && until_here(p, phones, bench_now(), why, sizeof(why)) >= 0) {
			bench_rest(SETTLED_S);
			bytes = (bench_resident(p->cp) - base) / phones;
			if (bench_wanted_free(opts, kase_of("idle", phones)))
				idle(opts, p, phones, bytes, files);
			rc = bench_stopped ? -1 : bench_wanted_free(opts, kase_of("return", phones)) ? restart(opts, p, phones, ca, why, sizeof(why)) : 0;
		}
	}
	bench_phones_end(p);
	if (rc != 0)
		fprintf(stderr, "ravelin-bench: register: %s\n", bench_stopped ? "interrupted" : why);
	return rc != 0;
}
