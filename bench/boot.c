/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The boot storm: phones that fetch their trust lists, their signed configuration and a ring list, each once, a thousand at a
 * time. From the appliance with nothing made or signed before; then, all being in its cache, from it and from dnsmasq, tftpd-hpa
 * and nginx in turn, which have the very same files in a directory. Value: files per second of the server's CPU time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "site.h"

#define PEER_S 10 /* no phone of a peer's storm begins after that: some servers would take minutes */
#define FILES  4  /* of a phone */

struct server {
	const char *name;
	int port;
	pid_t pid;
	bool ours;     /* whose files must all come */
	bool by_clock; /* a process for each file, which nobody waits for: no CPU time to be had */
	double value[BENCH_RUNS_MAX], wall[BENCH_RUNS_MAX], mb;
	struct bench_load last;
};

static int import(const struct bench_site *s, unsigned int phones)
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

/* One storm; 'how': further arguments of bootsim, or NULL. */
static int storm(const struct bench_site *s, struct server *v, unsigned int phones, bool http, const char *how, const char *what,
		 pid_t signer)
{
	char cnt[16], *args[32];
	static const char *const names[FILES] = {"CTLSEP%s.tlv", "ITLSEP%s.tlv", "SEP%s.cnf.xml.sgn", "Ringlist.xml.sgn"};
	size_t n = 0;

	snprintf(cnt, sizeof(cnt), "%u", phones);
	args[n++] = (char *)"--phones";
	args[n++] = cnt;
	args[n++] = (char *)"--parallel";
	args[n++] = (char *)"1000";
	args[n++] = (char *)"--timeout";
	args[n++] = http ? (char *)"30000" : (char *)"2000";
	args[n++] = (char *)"--tries";
	args[n++] = (char *)"8";
	for (unsigned int i = 0; i < FILES; i++) {
		args[n++] = (char *)"--name";
		args[n++] = (char *)(uintptr_t)names[i];
	}
	if (http)
		args[n++] = (char *)"--http";
	if (how != NULL) {
		args[n++] = (char *)(uintptr_t)how;
		args[n++] = (char *)(uintptr_t)what;
	}
	args[n] = NULL;
	if (bench_site_load(s, v->port, v->pid, signer, args, &v->last) < 0 || (v->last.failed > 0 && v->ours) || v->last.phones < 1) {
		fprintf(stderr, "ravelin-bench: boot: %s: %.0f files, %lld failed: %s\n", v->name, v->last.files, v->last.failed,
			v->last.why);
		return 1;
	}
	v->mb = bench_resident(v->pid) / 1e6;
	return 0;
}

static void note_run(struct server *v, unsigned int r)
{
	v->value[r] = v->last.files / (v->last.cpu_s > 0.01 ? v->last.cpu_s : 0.01);
	v->wall[r] = v->last.per_s;
}

/* A row of ours, beside 'peer' or, NULL, beside nobody. Times and memory are those of the last run. */
static void row(const struct bench_opts *opts, const json_t *kase, const struct server *us, const struct server *peer,
		unsigned int runs)
{
	bool clock = peer != NULL && peer->by_clock;
	json_t *more = json_pack("{s:s, s:f, s:f, s:f, s:f, s:I, s:f, s:f}", "by", clock ? "clock" : "cpu", "per_s", us->last.per_s,
				 "p50_ms", us->last.p50_ms, "p99_ms", us->last.p99_ms, "phone_p99_ms", us->last.phone_p99_ms,
				 "repeats", (json_int_t)us->last.repeats, "rss_mb", us->mb, "seconds", us->last.seconds);

	if (peer != NULL) {
		json_t *p = json_pack("{s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:f}", "peer_phones", (json_int_t)peer->last.phones,
				      "peer_failed", (json_int_t)peer->last.failed, "peer_per_s", peer->last.per_s, "peer_p50_ms", peer->last.p50_ms, "peer_p99_ms", peer->last.p99_ms,
				      "peer_phone_p99_ms", peer->last.phone_p99_ms, "peer_repeats", (json_int_t)peer->last.repeats,
				      "peer_seconds", peer->last.seconds);

		if (!clock)
			json_object_set_new(p, "peer_rss_mb", json_real(peer->mb));
		json_object_update_new(more, p);
	}
	bench_row(opts, &(struct bench_row){.bench = "boot", .kase = json_deep_copy(kase), .unit = "file/s/core",
					    .peer = peer != NULL ? peer->name : NULL, .value = clock ? us->wall : us->value,
					    .peer_value = peer == NULL ? NULL : clock ? peer->wall : peer->value, .runs = runs,
					    .peer_runs = peer != NULL ? runs : 0, .more = more});
	if (!opts->json)
		printf("      %.0f files/s by the clock, p50 %.1f ms, p99 %.1f ms of a file, p99 %.0f ms of a phone's four; "
		       "%lld repetitions; %.0f MB\n",
		       us->last.per_s, us->last.p50_ms, us->last.p99_ms, us->last.phone_p99_ms, us->last.repeats, us->mb);
	if (!opts->json && peer != NULL)
		printf("      %s: %.0f files/s, p50 %.1f ms, p99 %.1f ms, p99 %.0f ms; %lld repetitions, %lld failed; %.0f phones in %.1f s\n",
		       peer->name, peer->last.per_s, peer->last.p50_ms, peer->last.p99_ms, peer->last.phone_p99_ms,
		       peer->last.repeats, peer->last.failed, peer->last.phones, peer->last.seconds);
}

/* All is in the cache: ours and the others in turn. v[0] is ours; who is not there has no pid. */
static int contest(const struct bench_opts *opts, const struct bench_site *s, struct server *v, size_t n, unsigned int phones,
		   bool http)
{
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 1 : 2;
	json_t *kase = json_pack("{s:s, s:i, s:b}", "via", http ? "http" : "tftp", "phones", (int)phones, "warm", true);
	bool alone = true;
	char most[16];
	int rc = 0;

	snprintf(most, sizeof(most), "%d", opts->quick ? PEER_S / 5 : PEER_S);
	for (unsigned int r = 0; r < runs && rc == 0; r++) {
		for (size_t i = 0; i < n && rc == 0; i++) {
			if (v[i].pid <= 0)
				continue;
			rc = storm(s, &v[i], phones, http, i > 0 ? "--seconds" : NULL, most, 0);
			/* of our files all phones' are of the same lengths: a server that sends others does other work */
			if (rc == 0 && v[i].last.failed == 0 && v[i].last.bytes / v[i].last.phones != v[0].last.bytes / v[0].last.phones) {
				fprintf(stderr, "ravelin-bench: boot: %s: %.1f bytes of a phone, not what it should be, %.1f\n",
					v[i].name, v[i].last.bytes / v[i].last.phones, v[0].last.bytes / v[0].last.phones);
				rc = 1;
			}
			note_run(&v[i], r);
		}
	}
	for (size_t i = 1; i < n && rc == 0; i++) {
		if (v[i].pid > 0)
			row(opts, kase, &v[0], &v[i], runs);
		alone = alone && v[i].pid <= 0;
	}
	if (rc == 0 && alone)
		row(opts, kase, &v[0], NULL, runs);
	json_decref(kase);
	return rc;
}

/* What the phones got, into the directory dump/ of the place. */
static int dump(const struct bench_opts *opts, const struct bench_site *s, unsigned int phones)
{
	struct server us = {.name = "ravelin", .ours = true, .port = BENCH_HTTP_PORT, .pid = s->cp};
	char dir[PATH_MAX], ring[PATH_MAX + 32];

	snprintf(dir, sizeof(dir), "%s/dump", s->at.dir);
	snprintf(ring, sizeof(ring), "%s/Ringlist.xml.sgn", dir);
	if (mkdir(dir, 0755) < 0 || chmod(dir, 0755) < 0)
		return -1;
	if (storm(s, &us, phones, true, "--save", dir, 0) != 0)
		return -1;
	return opts->spoil ? truncate(ring, 100) : 0;
}

int bench_boot(const struct bench_opts *opts)
{
	unsigned int phones = opts->phones > 0 ? opts->phones : opts->quick ? 1000 : 20000;
	struct bench_site s;
	json_t *mixed;
	int rc = bench_site_begin(opts, &s, "boot");

	if (rc != 0)
		return rc < 0;
	mixed = bench_admin(&s.at, "ctl.change", json_pack("{s:s}", "mode", "mixed"));
	if (mixed == NULL || import(&s, phones) != 0) {
		fprintf(stderr, "ravelin-bench: boot: %s\n", mixed == NULL ? "no CTL can be made" : "the import was refused");
		rc = 1;
	}
	json_decref(mixed);
	if (rc == 0) {
		struct server us = {.name = "ravelin", .ours = true, .port = BENCH_TFTP_PORT, .pid = s.cp};
		json_t *kase = json_pack("{s:s, s:i, s:b}", "via", "tftp", "phones", (int)phones, "warm", false);

		rc = storm(&s, &us, phones, false, NULL, NULL, s.signer);
		note_run(&us, 0);
		if (rc == 0 && bench_wanted(opts, kase))
			row(opts, kase, &us, NULL, 1);
		json_decref(kase);
	}
	if (rc == 0 && dump(opts, &s, phones) < 0) {
		fprintf(stderr, "ravelin-bench: boot: the files cannot be kept\n");
		rc = 1;
	}
	if (rc == 0) {
		bench_site_dnsmasq(opts, &s, "dump");
		bench_site_hpa(opts, &s, "dump");
		bench_site_nginx(opts, &s, "dump");
		bench_rest(1);
	}
	if (rc == 0) {
		struct server tftp[] = {{.name = "ravelin", .ours = true, .port = BENCH_TFTP_PORT, .pid = s.cp},
					{.name = "dnsmasq", .port = 69, .pid = s.dnsmasq},
					{.name = "tftpd-hpa", .port = BENCH_HPA_PORT, .pid = s.hpa, .by_clock = true}};
		struct server http[] = {{.name = "ravelin", .ours = true, .port = BENCH_HTTP_PORT, .pid = s.cp},
					{.name = "nginx", .port = BENCH_NGX_PORT, .pid = s.nginx}};

		if (bench_wanted_free(opts, json_pack("{s:s, s:i, s:b}", "via", "tftp", "phones", (int)phones, "warm", true)))
			rc = contest(opts, &s, tftp, 3, phones, false);
		if (rc == 0 && bench_wanted_free(opts, json_pack("{s:s, s:i, s:b}", "via", "http", "phones", (int)phones, "warm", true)))
			rc = contest(opts, &s, http, 2, phones, true);
	}
	bench_site_stop(&s);
	bench_place_end(&s.at, "boot", rc != 0 && !bench_stopped);
	return rc;
}
