/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

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

#define START_S  120 /* a dozen keys are made at the first start */
#define RINGLIST 4096

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

static int write_file(const struct bench_site *s, const char *name, const void *data, size_t len)
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

static int make_files(const struct bench_site *s)
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

static int start_ours(struct bench_site *s)
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
		     s->at.dir, s->at.dir, BENCH_TFTP_PORT, BENCH_HTTP_PORT, s->at.dir);
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

void bench_site_dnsmasq(const struct bench_opts *opts, struct bench_site *s, const char *files)
{
	char bin[PATH_MAX], root[PATH_MAX];

	snprintf(root, sizeof(root), "--tftp-root=%s/%s", s->at.dir, files);
	if (find("dnsmasq", bin, sizeof(bin)) == NULL)
		bench_note(opts, s->name, "dnsmasq is not installed");
	else
		s->dnsmasq = bench_spawn(&s->at, "dnsmasq.log",
					 (char *[]){bin, (char *)"--keep-in-foreground", (char *)"--conf-file=/dev/null",
						    (char *)"--port=0", (char *)"--enable-tftp", root, (char *)"--user=root",
						    (char *)"--listen-address=127.0.0.1", (char *)"--bind-interfaces",
						    (char *)"--tftp-max=4096", (char *)"--quiet-tftp",
						    (char *)"--log-facility=/dev/null", NULL}, s->cpu);
}

void bench_site_hpa(const struct bench_opts *opts, struct bench_site *s, const char *files)
{
	char bin[PATH_MAX], root[PATH_MAX], port[16];

	snprintf(root, sizeof(root), "%s/%s", s->at.dir, files);
	snprintf(port, sizeof(port), ":%d", BENCH_HPA_PORT);
	if (find("in.tftpd", bin, sizeof(bin)) == NULL)
		bench_note(opts, s->name, "tftpd-hpa is not installed");
	else
		s->hpa = bench_spawn(&s->at, "tftpd.log",
				     (char *[]){bin, (char *)"-L", (char *)"-4", (char *)"-u", (char *)"root", (char *)"-s",
						(char *)"-a", port, root, NULL}, s->cpu);
}

void bench_site_nginx(const struct bench_opts *opts, struct bench_site *s, const char *files)
{
	char bin[PATH_MAX], text[4096], conf[PATH_MAX];
	const char *d = s->at.dir;
	int n = snprintf(text, sizeof(text),
			 "daemon off; master_process off; user root; pid %s/nginx.pid; error_log %s/nginx.log;\n"
			 "events { worker_connections 30000; }\n"
			 "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n"
			 "client_body_temp_path %s/n1; proxy_temp_path %s/n2; fastcgi_temp_path %s/n3; uwsgi_temp_path %s/n4;\n"
			 "scgi_temp_path %s/n5; server { listen 127.0.0.1:%d; root %s/%s; } }\n",
			 d, d, d, d, d, d, d, BENCH_NGX_PORT, d, files);

	snprintf(conf, sizeof(conf), "%s/nginx.conf", d);
	if (find("nginx", bin, sizeof(bin)) == NULL || write_file(s, "nginx.conf", text, (size_t)n) < 0)
		bench_note(opts, s->name, "nginx is not installed");
	else
		s->nginx = bench_spawn(&s->at, "nginx.out",
				       (char *[]){bin, (char *)"-e", (char *)"/dev/null", (char *)"-c", conf, NULL}, s->cpu);
}

void bench_site_stop(struct bench_site *s)
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

int bench_site_load(const struct bench_site *s, int port, pid_t pid, pid_t more, char *const *args, struct bench_load *ret)
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
	ret->bytes = number(o, "bytes");
	ret->phones = number(o, "phones");
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

int bench_site_begin(const struct bench_opts *opts, struct bench_site *s, const char *name)
{
	*s = (struct bench_site){.name = name, .cpu = opts->cpu >= 0 ? opts->cpu : (int)sysconf(_SC_NPROCESSORS_ONLN) - 1};
	if (own_network() < 0) {
		bench_note(opts, name, "left out: a network namespace of its own needs root");
		return 1;
	}
	if (bench_place_make(&s->at, name) < 0)
		return -1;
	if (make_files(s) < 0 || start_ours(s) < 0) {
		fprintf(stderr, "ravelin-bench: %s: the appliance does not answer\n", name);
		bench_site_stop(s);
		bench_place_end(&s->at, name, !bench_stopped);
		return -1;
	}
	return 0;
}
