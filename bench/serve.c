/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files for phones: a whole appliance (signer and controlplane) in a network namespace of this process, ravelin-bootsim
 * with its own TFTP and HTTP against it, and dnsmasq, tftpd-hpa and nginx on the same files in the same run. The server runs
 * on the last CPU, the load on CPU 0. Value of tftp and http: files per second of the server's CPU time, which is what a
 * core would do if nothing else ran on it; per_s is by the clock. boot: phones that fetch their lists, their signed
 * configuration and a ring list, each once, with nothing in the caches when the first one comes.
 */
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "bench.h"
#include "proc.h"

#define TFTP_PORT 6969
#define HPA_PORT  6900
#define HTTP_PORT 6970
#define NGX_PORT  8080
#define START_S   120 /* a dozen keys are made at the first start */
#define RINGLIST  4096

struct site {
	struct bench_place at;
	pid_t signer, cp, dnsmasq, hpa, nginx;
	int cpu;
};

struct load { /* a report of ravelin-bootsim, and what the server used meanwhile */
	double files, per_s, p50_ms, p99_ms, cpu_s, phone_p99_ms, seconds;
	long long failed, repeats;
	char why[160];
};

/* --- the place --- */

static int own_network(void)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	int fd, rc = -1;

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &ifr) == 0) {
		ifr.ifr_flags |= IFF_UP | IFF_RUNNING;
		rc = ioctl(fd, SIOCSIFFLAGS, &ifr);
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

static int write_file(const struct site *s, const char *name, const void *data, size_t len)
{
	char path[PATH_MAX];
	FILE *f;
	int ok;

	snprintf(path, sizeof(path), "%s/%s", s->at.dir, name);
	f = fopen(path, "we");
	if (f == NULL)
		return -1;
	ok = fwrite(data, 1, len, f) == len;
	return fclose(f) == 0 && ok && chmod(path, 0644) == 0 ? 0 : -1;
}

static int make_files(const struct site *s)
{
	uint8_t data[10240];
	char text[RINGLIST + 1] = "", path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/files", s->at.dir);
	if (RAND_bytes(data, sizeof(data)) != 1 || mkdir(path, 0755) < 0 || chmod(path, 0755) < 0 ||
	    chmod(s->at.dir, 0711) < 0)
		return -1;
	for (size_t n = 0; n < RINGLIST; n += strlen(text + n))
		snprintf(text + n, sizeof(text) - n, "<Ring><DisplayName>Tone %05zu</DisplayName><FileName>t.raw</FileName></Ring>\n", n);
	return write_file(s, "files/f10k.bin", data, sizeof(data)) == 0 &&
	       write_file(s, "files/Ringlist.xml", text, RINGLIST) == 0 ? 0 : -1;
}

static int start_ours(struct site *s)
{
	char signer[PATH_MAX], cp[PATH_MAX], cfg[PATH_MAX], text[4096];
	double limit = bench_now() + START_S;
	json_t *up;
	int n;

	n = snprintf(text, sizeof(text),
		     "paths: {state: %s/state, run: %s/run}\n"
		     "log: {level: warn}\n"
		     "sccp: {listen: 127.0.0.1, port: 2000, tls_port: 2443}\n"
		     "provision: {listen: 127.0.0.1, tftp_port: %d, http_port: %d, https_port: 0, token_port: 0, directory: %s/files,\n"
		     "            max_transfers: 20000}\n",
		     s->at.dir, s->at.dir, TFTP_PORT, HTTP_PORT, s->at.dir);
	if (write_file(s, "ravelin.yaml", text, (size_t)n) < 0)
		return -1;
	snprintf(cfg, sizeof(cfg), "%s/ravelin.yaml", s->at.dir);
	bench_program(&s->at, "../pki/signer/ravelin-signer", signer, sizeof(signer));
	bench_program(&s->at, "../controlplane/ravelin-controlplane", cp, sizeof(cp));
	s->signer = bench_spawn(&s->at, "signer.log", (char *[]){signer, (char *)"-c", cfg, NULL}, s->cpu);
	s->cp = bench_spawn(&s->at, "controlplane.log", (char *[]){cp, (char *)"-c", cfg, NULL}, s->cpu);
	while ((up = bench_admin(&s->at, "status", json_object())) == NULL) {
		if (bench_now() > limit || bench_stopped)
			return -1;
		bench_rest(0.1);
	}
	json_decref(up);
	return 0;
}

static char *find(const char *name, char *ret, size_t size)
{
	static const char *const dirs[] = {"/usr/sbin", "/usr/bin", "/sbin"};

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(ret, size, "%s/%s", dirs[i], name);
		if (access(ret, X_OK) == 0)
			return ret;
	}
	return NULL;
}

static void start_dnsmasq(const struct bench_opts *opts, struct site *s)
{
	char bin[PATH_MAX], root[PATH_MAX];

	snprintf(root, sizeof(root), "--tftp-root=%s/files", s->at.dir);
	if (find("dnsmasq", bin, sizeof(bin)) == NULL)
		bench_note(opts, "tftp", "dnsmasq is not installed");
	else
		s->dnsmasq = bench_spawn(&s->at, "dnsmasq.log",
					 (char *[]){bin, (char *)"--keep-in-foreground", (char *)"--conf-file=/dev/null",
						    (char *)"--port=0", (char *)"--enable-tftp", root, (char *)"--user=root",
						    (char *)"--listen-address=127.0.0.1", (char *)"--bind-interfaces",
						    (char *)"--tftp-max=4096", (char *)"--quiet-tftp",
						    (char *)"--log-facility=/dev/null", NULL}, s->cpu);
}

static void start_hpa(const struct bench_opts *opts, struct site *s)
{
	char bin[PATH_MAX], root[PATH_MAX], port[16];

	snprintf(root, sizeof(root), "%s/files", s->at.dir);
	snprintf(port, sizeof(port), ":%d", HPA_PORT);
	if (find("in.tftpd", bin, sizeof(bin)) == NULL)
		bench_note(opts, "tftp", "tftpd-hpa is not installed");
	else
		s->hpa = bench_spawn(&s->at, "tftpd.log",
				     (char *[]){bin, (char *)"-L", (char *)"-4", (char *)"-u", (char *)"root", (char *)"-s",
						(char *)"-a", port, root, NULL}, s->cpu);
}

static void start_nginx(const struct bench_opts *opts, struct site *s)
{
	char bin[PATH_MAX], text[4096], conf[PATH_MAX];
	const char *d = s->at.dir;
	int n = snprintf(text, sizeof(text),
			 "daemon off; master_process off; user root; pid %s/nginx.pid; error_log %s/nginx.log;\n"
			 "events { worker_connections 30000; }\n"
			 "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n"
			 "client_body_temp_path %s/n1; proxy_temp_path %s/n2; fastcgi_temp_path %s/n3; uwsgi_temp_path %s/n4;\n"
			 "scgi_temp_path %s/n5; server { listen 127.0.0.1:%d; root %s/files; } }\n",
			 d, d, d, d, d, d, d, NGX_PORT, d);

	snprintf(conf, sizeof(conf), "%s/nginx.conf", d);
	if (find("nginx", bin, sizeof(bin)) == NULL || write_file(s, "nginx.conf", text, (size_t)n) < 0)
		bench_note(opts, "http", "nginx is not installed");
	else
		s->nginx = bench_spawn(&s->at, "nginx.out",
				       (char *[]){bin, (char *)"-e", (char *)"/dev/null", (char *)"-c", conf, NULL}, s->cpu);
}

static void stop_all(struct site *s)
{
	pid_t *all[] = {&s->cp, &s->signer, &s->dnsmasq, &s->hpa, &s->nginx};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (*all[i] > 0)
			bench_end(all[i]);
}

/* --- load --- */

static double number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* bootsim with these further arguments against 'port'; the CPU time of 'pid', and of 'more' if above 0. 0 or -1. */
static int load(const struct site *s, int port, pid_t pid, pid_t more, char *const *args, struct load *ret)
{
	char sim[PATH_MAX], server[32], report[PATH_MAX], *argv[40];
	double cpu;
	size_t n = 0;
	pid_t child;
	json_t *o;

	snprintf(server, sizeof(server), "127.0.0.1:%d", port);
	snprintf(report, sizeof(report), "%s/report.json", s->at.dir);
	argv[n++] = bench_program(&s->at, "sim/ravelin-bootsim", sim, sizeof(sim));
	argv[n++] = (char *)"--server";
	argv[n++] = server;
	argv[n++] = (char *)"--report";
	argv[n++] = report;
	for (; *args != NULL && n < 38; args++)
		argv[n++] = *args;
	argv[n] = NULL;
	(void)unlink(report);
	cpu = bench_cpu_of(pid, true) + (more > 0 ? bench_cpu_of(more, false) : 0);
	child = bench_spawn(&s->at, "bootsim.log", argv, 0);
	(void)bench_reap(&child, 900);
	ret->cpu_s = bench_cpu_of(pid, true) + (more > 0 ? bench_cpu_of(more, false) : 0) - cpu;
	o = json_load_file(report, 0, NULL);
	if (o == NULL)
		return -1;
	ret->files = number(o, "files");
	ret->per_s = number(o, "files_per_s");
	ret->seconds = number(o, "seconds");
	ret->p50_ms = number(o, "p50_ms");
	ret->p99_ms = number(o, "p99_ms");
	ret->phone_p99_ms = number(o, "phone_p99_ms");
	ret->failed = (long long)number(o, "failed");
	ret->repeats = (long long)number(o, "repeats");
	snprintf(ret->why, sizeof(ret->why), "%s", json_string_value(json_object_get(o, "why")));
	json_decref(o);
	return 0;
}

struct peer {
	const char *name;
	int port;
	pid_t pid;
	bool by_clock; /* its children's CPU time is not to be had: both are counted by the clock */
	double value[BENCH_RUNS_MAX], wall[BENCH_RUNS_MAX], p99[BENCH_RUNS_MAX];
};

/* One case: ours and the peers in turn, 'runs' times; a row for each peer. */
static int contest(const struct bench_opts *opts, struct site *s, const char *bench, const char *unit, json_t *kase,
		   struct peer *peers, size_t n, char *const *args)
{
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 2 : 5;

	for (unsigned int r = 0; r < runs; r++) {
		for (size_t i = 0; i < n; i++) {
			struct load l = {0};

			if (peers[i].pid <= 0)
				continue;
			if (load(s, peers[i].port, peers[i].pid, 0, args, &l) < 0 || l.failed > 0 || l.files < 1 ||
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

static int begin(const struct bench_opts *opts, struct site *s, const char *name)
{
	*s = (struct site){.cpu = opts->cpu >= 0 ? opts->cpu : (int)sysconf(_SC_NPROCESSORS_ONLN) - 1};
	if (own_network() < 0) {
		bench_note(opts, name, "left out: a network namespace of its own needs root");
		return 1;
	}
	if (bench_place_make(&s->at, name) < 0)
		return -1;
	if (make_files(s) < 0 || start_ours(s) < 0) {
		fprintf(stderr, "ravelin-bench: %s: the appliance does not answer\n", name);
		stop_all(s);
		bench_place_end(&s->at, name, !bench_stopped);
		return -1;
	}
	return 0;
}

int bench_tftp(const struct bench_opts *opts)
{
	static const struct {
		int clients, blksize;
	} cases[] = {{32, 512}, {1, 512}, {100, 512}, {32, 1428}};
	char file[PATH_MAX];
	struct site s;
	int rc = begin(opts, &s, "tftp");

	if (rc != 0)
		return rc < 0;
	start_dnsmasq(opts, &s);
	start_hpa(opts, &s);
	bench_rest(1);
	snprintf(file, sizeof(file), "%s/files/f10k.bin", s.at.dir);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) && rc == 0 && !bench_stopped; i++) {
		struct peer peers[] = {{.name = "ravelin", .port = TFTP_PORT, .pid = s.cp},
				       {.name = "dnsmasq", .port = 69, .pid = s.dnsmasq},
				       {.name = "tftpd-hpa", .port = HPA_PORT, .pid = s.hpa,
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
		args[n++] = opts->quick ? (char *)"1.5" : (char *)"3";
		if (cases[i].blksize != 512) {
			args[n++] = (char *)"--blksize";
			args[n++] = blksize;
		}
		args[n] = NULL;
		rc = contest(opts, &s, "tftp", "transfer/s/core", kase, peers, 3, args);
	}
	stop_all(&s);
	bench_place_end(&s.at, "tftp", rc != 0 && !bench_stopped);
	return rc;
}

int bench_http(const struct bench_opts *opts)
{
	char file[PATH_MAX];
	struct site s;
	int rc = begin(opts, &s, "http");

	if (rc != 0)
		return rc < 0;
	start_nginx(opts, &s);
	bench_rest(1);
	snprintf(file, sizeof(file), "%s/files/f10k.bin", s.at.dir);
	for (int keep = 1; keep >= 0 && rc == 0 && !bench_stopped; keep--) {
		struct peer peers[] = {{.name = "ravelin", .port = HTTP_PORT, .pid = s.cp},
				       {.name = "nginx", .port = NGX_PORT, .pid = s.nginx}};
		json_t *kase = json_pack("{s:i, s:i, s:b}", "file_bytes", 10240, "clients", 32, "keep_alive", keep);
		char *args[] = {(char *)"--http", (char *)"--name", (char *)"f10k.bin", (char *)"--compare",
				opts->spoil ? (char *)"/dev/null" : file, (char *)"--parallel", (char *)"32",
				(char *)"--seconds", opts->quick ? (char *)"1.5" : (char *)"3",
				keep ? NULL : (char *)"--close", NULL};

		if (!bench_wanted(opts, kase)) {
			json_decref(kase);
			continue;
		}
		rc = contest(opts, &s, "http", "request/s/core", kase, peers, 2, args);
	}
	stop_all(&s);
	bench_place_end(&s.at, "http", rc != 0 && !bench_stopped);
	return rc;
}

/* --- the boot storm --- */

static int import(struct site *s, unsigned int phones)
{
	char ctl[PATH_MAX], sock[PATH_MAX], path[PATH_MAX];
	pid_t pid;
	FILE *f;

	snprintf(path, sizeof(path), "%s/phones.json", s->at.dir);
	snprintf(sock, sizeof(sock), "%s/run/admin.sock", s->at.dir);
	f = fopen(path, "we");
	if (f == NULL)
		return -1;
	fputs("{\"devices\":[", f);
	for (unsigned int i = 1; i <= phones; i++)
		fprintf(f, "%s{\"name\":\"SEP%012X\",\"lines\":[{\"number\":\"%u\"}]}", i > 1 ? "," : "", i, 100000 + i);
	fputs("]}\n", f);
	if (fclose(f) != 0)
		return -1;
	bench_program(&s->at, "../controlplane/ctl/ravelinctl", ctl, sizeof(ctl));
	pid = bench_spawn(&s->at, "import.log", (char *[]){ctl, (char *)"-s", sock, (char *)"import", path, NULL}, -1);
	return bench_reap(&pid, 120);
}

static int storm(const struct bench_opts *opts, unsigned int phones, bool http, bool warm, struct site *s)
{
	char cnt[16], *args[] = {(char *)"--phones", cnt, (char *)"--parallel", (char *)"1000", (char *)"--name",
				 (char *)"CTLSEP%s.tlv", (char *)"--name", (char *)"ITLSEP%s.tlv", (char *)"--name",
				 (char *)"SEP%s.cnf.xml.sgn", (char *)"--name", (char *)"Ringlist.xml.sgn", (char *)"--timeout",
				 http ? (char *)"30000" : (char *)"2000", (char *)"--tries", (char *)"8",
				 http ? (char *)"--http" : NULL, NULL};
	json_t *kase = json_pack("{s:s, s:i, s:b}", "via", http ? "http" : "tftp", "phones", (int)phones, "warm", warm);
	struct load l = {0};
	double value;

	if (!bench_wanted(opts, kase)) {
		json_decref(kase);
		return 0;
	}
	snprintf(cnt, sizeof(cnt), "%u", phones);
	if (load(s, http ? HTTP_PORT : TFTP_PORT, s->cp, s->signer, args, &l) < 0 || l.failed > 0 || l.files < phones * 4.0) {
		fprintf(stderr, "ravelin-bench: boot: %.0f files, %lld failed: %s\n", l.files, l.failed, l.why);
		json_decref(kase);
		return 1;
	}
	value = l.files / (l.cpu_s > 0.01 ? l.cpu_s : 0.01);
	bench_row(opts, &(struct bench_row){.bench = "boot", .kase = kase, .unit = "file/s/core", .value = &value, .runs = 1,
					    .more = json_pack("{s:f, s:f, s:f, s:f, s:I, s:f, s:f}", "per_s", l.per_s, "p50_ms",
							      l.p50_ms, "p99_ms", l.p99_ms, "phone_p99_ms", l.phone_p99_ms,
							      "repeats", (json_int_t)l.repeats, "rss_mb",
							      bench_resident(s->cp) / 1e6, "seconds", l.seconds)});
	if (!opts->json)
		printf("      %.0f files/s by the clock, p50 %.1f ms, p99 %.1f ms of a file, p99 %.0f ms of a phone's four; "
		       "%lld repetitions; controlplane %.0f MB\n",
		       l.per_s, l.p50_ms, l.p99_ms, l.phone_p99_ms, l.repeats, bench_resident(s->cp) / 1e6);
	return 0;
}

int bench_boot(const struct bench_opts *opts)
{
	unsigned int phones = opts->phones > 0 ? opts->phones : opts->quick ? 1000 : 20000;
	struct site s;
	json_t *mixed;
	int rc = begin(opts, &s, "boot");

	if (rc != 0)
		return rc < 0;
	mixed = bench_admin(&s.at, "ctl.change", json_pack("{s:s}", "mode", "mixed"));
	if (mixed == NULL || import(&s, phones) != 0) {
		fprintf(stderr, "ravelin-bench: boot: %s\n", mixed == NULL ? "no CTL can be made" : "the import was refused");
		rc = 1;
	}
	json_decref(mixed);
	/* everything on all CPUs: this asks what a machine does, not a core */
	for (int http = 0; http < 2 && rc == 0; http++)
		rc = storm(opts, phones, http, http, &s);
	stop_all(&s);
	bench_place_end(&s.at, "boot", rc != 0 && !bench_stopped);
	return rc;
}
