/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A farm of gateways on a whole appliance: signer, controlplane, dataplane of this build in a network namespace, ravelin-gwsim as all
 * gateways in another, each with 24 endpoints and a pair of SAs (AES-GCM-128, tunnel mode in UDP). 10,000 of them
 * (--gateways; --quick 200). What a gateway, an SA and an endpoint take in memory, how long the farm takes to come up, what it takes
 * of a core when nothing happens, how long it is not whole after a kill of the controlplane, of the dataplane, and after all gateways of
 * the only worker were lost and come back.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <sched.h>

#include <openssl/rand.h>

#include "bench.h"
#include "proc.h"

#define ENDPOINTS 24
#define LIMIT_S   600 /* for the whole farm to be there */
#define THREADS   16  /* that set up SAs: they are signed and synced, each */
#define KEY       20
#define SIMS_MAX  8
#define SIM_GWS   8000 /* of one simulator: it has two sockets for each, and 20,000 files may be all that a process is let have */
#define AGENT     "10.77.2.2"
#define NSENTER   "/usr/bin/nsenter"
#define IP        "/sbin/ip"

static struct farm {
	struct bench_place at;
	pid_t signer, cp, dp, sim[SIMS_MAX], holder;
	unsigned int n, failed;
	uint8_t (*key)[2][KEY];
	const char *what; /* is being done: said when it fails */
} f;

/* --- networks: this process's, with the appliance's end; the holder's, with the gateways' --- */

static int run(char *const argv[])
{
	pid_t pid = bench_spawn(&f.at, "net.log", argv, -1);

	return bench_reap(&pid, 20);
}

#define RUN(...) run((char *[]){__VA_ARGS__, NULL})
#define S(text)  (char *)(uintptr_t)(text)

static int networks(void)
{
	char target[24], ns[40];

	if (unshare(CLONE_NEWNET) < 0)
		return 1;
	f.holder = bench_spawn(&f.at, "net.log", (char *[]){S("/usr/bin/unshare"), S("-n"), S("/bin/sleep"), S("86400"), NULL}, -1);
	snprintf(target, sizeof(target), "%d", (int)f.holder);
	snprintf(ns, sizeof(ns), "--net=/proc/%d/ns/net", (int)f.holder);
	bench_rest(0.3);
	if (f.holder <= 0 || RUN(S(IP), S("link"), S("set"), S("lo"), S("up")) != 0 ||
	    RUN(S(IP), S("link"), S("add"), S("app1"), S("type"), S("veth"), S("peer"), S("name"), S("gw0")) != 0 ||
	    RUN(S(IP), S("link"), S("set"), S("gw0"), S("netns"), target) != 0 ||
	    RUN(S("/bin/sh"), S("-c"), S("echo 1 >/proc/sys/net/ipv6/conf/app1/disable_ipv6")) != 0 ||
	    RUN(S(IP), S("link"), S("set"), S("app1"), S("up")) != 0 ||
	    RUN(S(NSENTER), ns, S(IP), S("link"), S("set"), S("lo"), S("up")) != 0 ||
	    RUN(S(NSENTER), ns, S(IP), S("addr"), S("add"), S("10.77.2.1/24"), S("dev"), S("gw0")) != 0 ||
	    RUN(S(NSENTER), ns, S(IP), S("link"), S("set"), S("gw0"), S("up")) != 0 ||
	    /* every address there is one of a gateway's */
	    RUN(S(NSENTER), ns, S(IP), S("route"), S("add"), S("local"), S("10.128.0.0/14"), S("dev"), S("lo")) != 0)
		return 1;
	/* frames with whole checksums: nobody between the two would complete them */
	(void)RUN(S(NSENTER), ns, S("/sbin/ethtool"), S("-K"), S("gw0"), S("tx"), S("off"));
	return 0;
}

static void address(unsigned int i, char ret[24])
{
	snprintf(ret, 24, "10.%u.%u.%u", 128 + ((i + 1) >> 16), (i + 1) >> 8 & 255, (i + 1) & 255);
}

/* --- daemons --- */

static int configure(void)
{
	return bench_configure(&f.at,
			       "log: {level: warn}\n"
			       "sccp: {listen: 127.0.0.1}\n"
			       "enrol: {capf_port: 0, tvs_port: 0}\n"
			       "provision: {tftp_port: 0, http_port: 0, https_port: 0, token_port: 0}\n"
			       "mgcp: {local: %s:2727}\n"
			       "media: {addresses: [{address: %s, region: default}]}\n"
			       "dataplane:\n  main_lcore: 0\n  worker_lcores: [1]\n  huge_pages: never\n  memory_mb: 512\n  max_legs: 1024\n"
			       "  max_sas: %u\n  max_gateways: %u\n  mbufs: 16384\n"
			       "  ports: [{device: \"af_packet:app1\", addresses: [%s/24], gateway: 10.77.2.1}]\n",
			       AGENT, AGENT, 2 * f.n + 512, f.n + 64, AGENT);
}

static void daemon_start(const char *program, const char *log, pid_t *ret)
{
	char path[PATH_MAX], cfg[PATH_MAX];

	snprintf(cfg, sizeof(cfg), "%s/ravelin.yaml", f.at.dir);
	*ret = bench_spawn(&f.at, log, (char *[]){bench_program(&f.at, program, path, sizeof(path)), S("-c"), cfg, NULL}, -1);
}

static void dp_start(void)
{
	daemon_start("../dataplane/ravelin-dataplane", "dataplane.log", &f.dp);
}

static void kill_one(pid_t *pid)
{
	kill(*pid, SIGKILL);
	waitpid(*pid, NULL, 0);
	*pid = 0;
}

static bool dp_up(void)
{
	json_t *o = bench_admin(&f.at, "status", json_object());
	bool up = json_is_true(json_object_get(json_object_get(o, "dataplane"), "up"));

	json_decref(o);
	return up;
}

static int until_dp(void)
{
	double limit = bench_now() + 60;

	while (!dp_up()) {
		if (bench_now() > limit || bench_stopped)
			return -1;
		bench_rest(0.05);
	}
	return 0;
}

/* --- records --- */

static int import(void)
{
	json_t *list = json_array(), *eps = json_array(), *done;
	char name[32], addr[24];

	for (int e = 1; e <= ENDPOINTS; e++) {
		snprintf(name, sizeof(name), "aaln/%d", e);
		json_array_append_new(eps, json_string(name));
	}
	for (unsigned int i = 0; i < f.n; i++) {
		snprintf(name, sizeof(name), "gw%u.farm", i + 1);
		address(i, addr);
		json_array_append_new(list, json_pack("{s:s, s:s, s:O}", "name", name, "address", addr, "endpoints", eps));
	}
	json_decref(eps);
	done = bench_admin(&f.at, "import", json_pack("{s:o}", "gateways", list));
	json_decref(done);
	return done != NULL ? 0 : -1;
}

static void hex(const uint8_t *p, char *ret)
{
	for (unsigned int i = 0; i < KEY; i++)
		snprintf(ret + 2 * i, 3, "%02x", p[i]);
}

static uint32_t spi_of(unsigned int i, int out)
{
	return out ? 0x10000 + i : 0x1000000 + (i << 6) + i % 64;
}

static void *add_sas(void *arg)
{
	unsigned int t = (unsigned int)(uintptr_t)arg;

	for (unsigned int k = t; k < 2 * f.n && !bench_stopped; k += THREADS) {
		unsigned int i = k / 2;
		int out = (int)k % 2;
		char name[48], gw[32], addr[24], remote[32], key[2 * KEY + 1];
		json_t *done;

		snprintf(name, sizeof(name), "gw%u-%s", i + 1, out ? "out" : "in");
		snprintf(gw, sizeof(gw), "gw%u.farm", i + 1);
		address(i, addr);
		snprintf(remote, sizeof(remote), "%s:4500", addr);
		hex(f.key[i][out], key);
		done = bench_admin(&f.at, "sa.add", json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s}", "name", name, "gateway", gw, "direction",
							      out ? "out" : "in", "spi", (json_int_t)spi_of(i, out), "mode", "tunnel", "algorithm",
							      "aes-gcm-128", "local", AGENT ":4500", "remote", remote, "key", key));
		if (done == NULL)
			__atomic_add_fetch(&f.failed, 1, __ATOMIC_RELAXED);
		json_decref(done);
	}
	return NULL;
}

static int sas(void)
{
	pthread_t t[THREADS];

	f.failed = 0;
	for (uintptr_t k = 0; k < THREADS; k++)
		if (pthread_create(&t[k], NULL, add_sas, (void *)k) != 0)
			return -1;
	for (unsigned int k = 0; k < THREADS; k++)
		pthread_join(t[k], NULL);
	return f.failed == 0 ? 0 : -1;
}

/* --- the gateways --- */

static pid_t simulator(unsigned int first, unsigned int cnt, char *sas)
{
	char sim[PATH_MAX], n[16], number[16], listen[24], over[16], ns[40], eps[ENDPOINTS][16], *argv[64 + 2 * ENDPOINTS];
	unsigned int k = 0;

	address(first, listen);
	snprintf(n, sizeof(n), "%u", cnt);
	snprintf(number, sizeof(number), "%u", first + 1);
	snprintf(over, sizeof(over), "%.1f", f.n / 1000.0);
	snprintf(ns, sizeof(ns), "--net=/proc/%d/ns/net", (int)f.holder);
	argv[k++] = S(NSENTER);
	argv[k++] = ns;
	argv[k++] = bench_program(&f.at, "sim/ravelin-gwsim", sim, sizeof(sim));
	argv[k++] = S("--listen");
	argv[k++] = listen;
	argv[k++] = S("--agent");
	argv[k++] = S(AGENT ":2727");
	argv[k++] = S("--name");
	argv[k++] = S("gw%d.farm");
	argv[k++] = S("--farm");
	argv[k++] = n;
	argv[k++] = S("--number");
	argv[k++] = number;
	argv[k++] = S("--start-over");
	argv[k++] = over;
	argv[k++] = S("--sa-file");
	argv[k++] = sas;
	for (unsigned int e = 0; e < ENDPOINTS; e++) {
		snprintf(eps[e], sizeof(eps[e]), "aaln/%u", e + 1);
		argv[k++] = S("--endpoint");
		argv[k++] = eps[e];
	}
	argv[k] = NULL;
	return bench_spawn(&f.at, "gateways.log", argv, -1);
}

/* 'seq': their first number, above all that they used before: keys are set by hand. */
static int gateways(uint64_t seq)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/sas", f.at.dir);
	file = fopen(path, "we");
	if (file == NULL)
		return -1;
	for (unsigned int i = 0; i < f.n; i++)
		for (int out = 0; out < 2; out++) {
			char key[2 * KEY + 1];

			hex(f.key[i][out], key);
			fprintf(file, "gw=gw%u.farm %s spi=%u,alg=aes-gcm-128,mode=tunnel,encap=4500,key=%s,seq=%llu\n", i + 1, out ? "in" : "out",
				spi_of(i, out), key, (unsigned long long)(out ? 0 : seq));
		}
	if (fclose(file) != 0)
		return -1;
	for (unsigned int i = 0; i < SIMS_MAX && i * SIM_GWS < f.n; i++) {
		unsigned int left = f.n - i * SIM_GWS;

		f.sim[i] = simulator(i * SIM_GWS, left < SIM_GWS ? left : SIM_GWS, path);
		if (f.sim[i] <= 0)
			return -1;
	}
	return 0;
}

static bool sim_ended(void)
{
	bool ended = false;

	for (unsigned int i = 0; i < SIMS_MAX; i++)
		if (f.sim[i] > 0 && waitpid(f.sim[i], NULL, WNOHANG) != 0) {
			f.sim[i] = 0;
			ended = true;
		}
	return ended;
}

/* Gateways that are up with a live SA, all endpoints in service, and at least so many restarts. */
static unsigned int whole(json_int_t restarts)
{
	json_t *list = bench_admin(&f.at, "show.gateways", json_object()), *o;
	unsigned int n = 0;
	size_t i;

	json_array_foreach(list, i, o) {
		const char *state = json_string_value(json_object_get(o, "state"));

		n += state != NULL && strcmp(state, "up") == 0 && json_is_true(json_object_get(o, "sa")) &&
		     json_integer_value(json_object_get(o, "endpoints_in_service")) == ENDPOINTS &&
		     json_integer_value(json_object_get(o, "restarts")) >= restarts;
	}
	json_decref(list);
	return n;
}

/* Seconds from 'since' until the farm is whole; below 0: it is not. */
static double until_whole(double since, json_int_t restarts)
{
	unsigned int n;

	while ((n = whole(restarts)) < f.n) {
		if (bench_stopped || bench_now() > since + LIMIT_S || sim_ended()) {
			fprintf(stderr, "ravelin-bench: farm: %s: %u of %u gateways are whole after %.0f s\n", f.what, n, f.n, bench_now() - since);
			return -1;
		}
		bench_rest(f.n > 2000 ? 0.5 : 0.05); /* what it says of 10,000 gateways is megabytes */
	}
	return bench_now() - since;
}

/* --- the run --- */

struct result {
	double import_s, sas_s, up_s, idle_cp, idle_dp, back_cp_s, back_dp_s, back_gw_s;
	double gw_cp, gw_dp, sa_cp, sa_dp; /* bytes each */
	double cp_mb, dp_mb, sim_mb;
};

static int measure(const struct bench_opts *opts, struct result *r)
{
	double t, cp, dp, idle = opts->quick ? 2 : 20;

	f.what = "import";
	dp_start();
	if (until_dp() < 0)
		return -1;
	bench_rest(1);
	cp = bench_resident(f.cp);
	dp = bench_resident(f.dp);
	t = bench_now();
	if (import() < 0)
		return -1;
	r->import_s = bench_now() - t;
	bench_rest(2); /* the last of them is asserted */
	r->gw_cp = (bench_resident(f.cp) - cp) / f.n;
	r->gw_dp = (bench_resident(f.dp) - dp) / f.n;
	f.what = "SAs";
	cp = bench_resident(f.cp);
	dp = bench_resident(f.dp);
	t = bench_now();
	if (sas() < 0)
		return -1;
	r->sas_s = bench_now() - t;
	bench_rest(2);
	r->sa_cp = (bench_resident(f.cp) - cp) / (2 * f.n);
	r->sa_dp = (bench_resident(f.dp) - dp) / (2 * f.n);
	f.what = "coming up";
	t = bench_now();
	if (gateways(0) < 0 || (r->up_s = until_whole(t, 1)) < 0)
		return -1;
	bench_rest(3);
	cp = bench_cpu_of(f.cp, false);
	dp = bench_cpu_of(f.dp, false);
	bench_rest(idle);
	r->idle_cp = (bench_cpu_of(f.cp, false) - cp) / idle;
	r->idle_dp = (bench_cpu_of(f.dp, false) - dp) / idle;
	r->cp_mb = bench_resident(f.cp) / 1e6;
	r->dp_mb = bench_resident(f.dp) / 1e6;
	for (unsigned int i = 0; i < SIMS_MAX; i++)
		r->sim_mb += f.sim[i] > 0 ? bench_resident(f.sim[i]) / 1e6 : 0;
	f.what = "after a kill of the controlplane";
	t = bench_now();
	kill_one(&f.cp);
	daemon_start("../controlplane/ravelin-controlplane", "controlplane.log", &f.cp);
	if ((r->back_cp_s = until_whole(t, 0)) < 0)
		return -1;
	f.what = "after a kill of the dataplane";
	t = bench_now();
	kill_one(&f.dp);
	bench_rest(0.1); /* that is seen */
	dp_start();
	if (until_dp() < 0 || (r->back_dp_s = until_whole(t, 0)) < 0)
		return -1;
	f.what = "after all gateways were gone";
	for (unsigned int i = 0; i < SIMS_MAX; i++)
		if (f.sim[i] > 0)
			kill_one(&f.sim[i]);
	bench_rest(1);
	t = bench_now();
	/* the controlplane counts restarts from its own start on */
	return gateways(1000000) < 0 || (r->back_gw_s = until_whole(t, 1)) < 0 ? -1 : 0;
}

static void row(const struct bench_opts *opts, const char *what, double value, const char *unit, json_t *more)
{
	json_t *kase = json_pack("{s:s, s:i, s:i}", "what", what, "gateways", (int)f.n, "endpoints", (int)f.n * ENDPOINTS);

	bench_row(opts, &(struct bench_row){.bench = "farm", .kase = kase, .unit = unit, .value = &value, .runs = 1, .more = more});
}

static void rows(const struct bench_opts *opts, const struct result *r)
{
	row(opts, "up", r->up_s, "s", json_pack("{s:f, s:f, s:f}", "import_s", r->import_s, "sas_s", r->sas_s, "sas_per_s", 2 * f.n / r->sas_s));
	row(opts, "controlplane killed", r->back_cp_s, "s", json_object());
	row(opts, "dataplane killed", r->back_dp_s, "s", json_object());
	row(opts, "gateways lost", r->back_gw_s, "s", json_object());
	row(opts, "memory", r->cp_mb + r->dp_mb, "MB",
	    json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "controlplane_mb", r->cp_mb, "dataplane_mb", r->dp_mb, "gateway_cp_bytes", r->gw_cp,
		      "gateway_dp_bytes", r->gw_dp, "sa_cp_bytes", r->sa_cp, "sa_dp_bytes", r->sa_dp, "gateways_mb", r->sim_mb));
	row(opts, "idle", (r->idle_cp + r->idle_dp) * 100, "% of a core",
	    json_pack("{s:f, s:f}", "controlplane", r->idle_cp * 100, "dataplane", r->idle_dp * 100));
}

int bench_farm(const struct bench_opts *opts)
{
	struct result r = {0};
	int rc = -1;

	f.n = opts->gateways > 0 ? opts->gateways : opts->quick ? 200 : 10000;
	f.n = f.n < SIMS_MAX * SIM_GWS ? f.n : SIMS_MAX * SIM_GWS;
	f.what = "start";
	f.key = bench_array(f.n, sizeof(*f.key));
	(void)bench_files(4UL * SIM_GWS); /* of a simulator */
	if (RAND_bytes((unsigned char *)f.key, (int)(f.n * sizeof(*f.key))) != 1 || bench_place_make(&f.at, "farm") < 0)
		return 1;
	if (networks() != 0) {
		bench_note(opts, "farm", "left out: network namespaces need root, iproute2 and util-linux");
		rc = 1;
	} else if (configure() == 0 && bench_appliance(&f.at, &f.signer, &f.cp) == 0 && measure(opts, &r) == 0) {
		rows(opts, &r);
		rc = 0;
	}
	for (unsigned int i = 0; i < SIMS_MAX; i++)
		bench_end(&f.sim[i]);
	bench_end(&f.dp);
	bench_end(&f.cp);
	bench_end(&f.signer);
	if (f.holder > 0)
		kill_one(&f.holder);
	if (rc < 0)
		fprintf(stderr, "ravelin-bench: farm: %s: %s\n", f.what, bench_stopped ? "interrupted" : "it did not come about");
	bench_place_end(&f.at, "farm", rc < 0 && !bench_stopped);
	free(f.key);
	return rc < 0;
}

