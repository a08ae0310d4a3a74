/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One file over TFTP and HTTP, again and again, from the appliance and from dnsmasq, tftpd-hpa and nginx in turn. Value: files
 * per second of the server's CPU time, which is what a core would do if nothing else ran on it; per_s is by the clock.
 */
#include <stdio.h>
#include <string.h>

#include "site.h"

struct peer {
	const char *name;
	int port;
	pid_t pid;
	bool by_clock; /* its children's CPU time is not to be had: both are counted by the clock */
	double value[BENCH_RUNS_MAX], wall[BENCH_RUNS_MAX], p99[BENCH_RUNS_MAX];
};

/* One case: ours and the peers in turn, 'runs' times; a row for each peer. */
static int contest(const struct bench_opts *opts, struct bench_site *s, const char *bench, const char *unit, json_t *kase,
		   struct peer *peers, size_t n, char *const *args)
{
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 2 : 5;

	for (unsigned int r = 0; r < runs; r++) {
		for (size_t i = 0; i < n; i++) {
			struct bench_load l = {0};

			if (peers[i].pid <= 0)
				continue;
			if (bench_site_load(s, peers[i].port, peers[i].pid, 0, args, &l) < 0 || l.failed > 0 || l.files < 1 ||
			    bench_stopped) {
				fprintf(stderr, "ravelin-bench: %s: %s: %lld failed: %s\n", bench, peers[i].name, l.failed, l.why);
				json_decref(kase);
				return 1;
			}
			peers[i].value[r] = l.files / (l.cpu_s > 0.01 ? l.cpu_s : 0.01);
			peers[i].wall[r] = l.per_s;
			peers[i].p99[r] = l.p99_ms;
		}
	}
	for (size_t i = 1; i < n || i == 1; i++) {
		bool have = i < n && peers[i].pid > 0;

		if (!have && i > 1)
			continue;
		bench_row(opts, &(struct bench_row){
					.bench = bench,
					.kase = json_deep_copy(kase),
					.unit = unit,
					.peer = have ? peers[i].name : NULL,
					.value = have && peers[i].by_clock ? peers[0].wall : peers[0].value,
					.peer_value = have ? peers[i].by_clock ? peers[i].wall : peers[i].value : NULL,
					.runs = runs,
					.peer_runs = have ? runs : 0,
					.more = json_pack("{s:s, s:f, s:f, s:f}", "by",
							  have && peers[i].by_clock ? "clock" : "cpu", "per_s", bench_quantile(peers[0].wall, runs, 0.5),
							  "peer_per_s", have ? bench_quantile(peers[i].wall, runs, 0.5) : 0.0,
							  "p99_ms", bench_quantile(peers[0].p99, runs, 0.5)),
				});
	}
	json_decref(kase);
	return 0;
}

int bench_tftp(const struct bench_opts *opts)
{
	static const struct {
		int clients, blksize;
	} cases[] = {{32, 512}, {1, 512}, {100, 512}, {32, 1428}};
	char file[PATH_MAX];
	struct bench_site s;
	int rc = bench_site_begin(opts, &s, "tftp");

	if (rc != 0)
		return rc < 0;
	bench_site_dnsmasq(opts, &s, "files");
	bench_site_hpa(opts, &s, "files");
	bench_rest(1);
	snprintf(file, sizeof(file), "%s/files/f10k.bin", s.at.dir);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) && rc == 0 && !bench_stopped; i++) {
		struct peer peers[] = {{.name = "ravelin", .port = BENCH_TFTP_PORT, .pid = s.cp},
				       {.name = "dnsmasq", .port = 69, .pid = s.dnsmasq},
				       {.name = "tftpd-hpa", .port = BENCH_HPA_PORT, .pid = s.hpa,
					.by_clock = true}}; /* it ignores SIGCHLD */
		json_t *kase = json_pack("{s:i, s:i, s:i}", "file_bytes", 10240, "clients", cases[i].clients, "blksize",
					 cases[i].blksize);
		char clients[16], blksize[16], *args[16];
		size_t n = 0;

		if (!bench_wanted(opts, kase) || (opts->quick && i > 0 && opts->only == NULL)) {
			json_decref(kase);
			continue;
		}
		snprintf(clients, sizeof(clients), "%d", cases[i].clients);
		snprintf(blksize, sizeof(blksize), "%d", cases[i].blksize);
		args[n++] = (char *)"--name";
		args[n++] = (char *)"f10k.bin";
		args[n++] = (char *)"--compare";
		args[n++] = opts->spoil ? (char *)"/dev/null" : file;
		args[n++] = (char *)"--parallel";
		args[n++] = clients;
		args[n++] = (char *)"--seconds";
		args[n++] = (char *)"1.5";
		if (cases[i].blksize != 512) {
			args[n++] = (char *)"--blksize";
			args[n++] = blksize;
		}
		args[n] = NULL;
		rc = contest(opts, &s, "tftp", "transfer/s/core", kase, peers, i == 0 ? 3 : 2, args); /* hpa: one case shows it */
	}
	bench_site_stop(&s);
	bench_place_end(&s.at, "tftp", rc != 0 && !bench_stopped);
	return rc;
}

int bench_http(const struct bench_opts *opts)
{
	char file[PATH_MAX];
	struct bench_site s;
	int rc = bench_site_begin(opts, &s, "http");

	if (rc != 0)
		return rc < 0;
	bench_site_nginx(opts, &s, "files");
	bench_rest(1);
	snprintf(file, sizeof(file), "%s/files/f10k.bin", s.at.dir);
	for (int keep = 1; keep >= 0 && rc == 0 && !bench_stopped; keep--) {
		struct peer peers[] = {{.name = "ravelin", .port = BENCH_HTTP_PORT, .pid = s.cp},
				       {.name = "nginx", .port = BENCH_NGX_PORT, .pid = s.nginx}};
		json_t *kase = json_pack("{s:i, s:i, s:b}", "file_bytes", 10240, "clients", 32, "keep_alive", keep);
		char *args[] = {(char *)"--http", (char *)"--name", (char *)"f10k.bin", (char *)"--compare",
				opts->spoil ? (char *)"/dev/null" : file, (char *)"--parallel", (char *)"32",
				(char *)"--seconds", (char *)"1.5",
				keep ? NULL : (char *)"--close", NULL};

		if (!bench_wanted(opts, kase)) {
			json_decref(kase);
			continue;
		}
		rc = contest(opts, &s, "http", "request/s/core", kase, peers, 2, args);
	}
	bench_site_stop(&s);
	bench_place_end(&s.at, "http", rc != 0 && !bench_stopped);
	return rc;
}
