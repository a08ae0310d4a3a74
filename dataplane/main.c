/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelin-dataplane: start, the main lcore's loop, stop. */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "chan.h"
#include "config.h"
#include "counters.h"
#include "node.h"
#include "nodump.h"
#include "objs.h"
#include "worker.h"

#define ARG_MAX_CNT (16 + DP_PORT_MAX)
#define ARG_LEN     768

static volatile sig_atomic_t stopping;

static void on_signal(int sig)
{
	(void)sig;
	stopping = 1;
}

/* --- EAL --- */

struct args {
	int n;
	char text[ARG_MAX_CNT][ARG_LEN];
	char *argv[ARG_MAX_CNT + 1];
};

static void arg(struct args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void arg(struct args *a, const char *fmt, ...)
{
	va_list ap;

	if (a->n == ARG_MAX_CNT)
		return;
	va_start(ap, fmt);
	vsnprintf(a->text[a->n], ARG_LEN, fmt, ap);
	va_end(ap);
	a->argv[a->n] = a->text[a->n];
	a->n++;
}

/* Free huge pages of one size, in MiB. */
static uint64_t huge_free_mb(unsigned int kb)
{
	char path[96];
	unsigned long n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%ukB/free_hugepages", kb);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	if (fscanf(f, "%lu", &n) != 1)
		n = 0;
	fclose(f);
	return (uint64_t)n * kb / 1024;
}

/* CPU to pin an lcore to: the one of its number, or, on a smaller machine, another one that there is. */
static int cpu_for(unsigned int lcore, const cpu_set_t *have, unsigned int nth)
{
	unsigned int k = nth % (unsigned int)CPU_COUNT(have);

	if (lcore < CPU_SETSIZE && CPU_ISSET(lcore, have))
		return (int)lcore;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, have) && k-- == 0)
			return cpu;
	return 0;
}

static int start_eal(const struct cfg *cfg)
{
	const struct cfg_dataplane *dc = &cfg->dataplane;
	static struct args a;
	char lcores[ARG_LEN];
	cpu_set_t have;
	bool pci = false, huge, shared = false;
	int len, rc;

	if (sched_getaffinity(0, sizeof(have), &have) < 0)
		return -errno;
	huge = dc->huge_pages != CFG_HUGE_NEVER &&
	       huge_free_mb(2048) + huge_free_mb(1048576) >= dc->memory_mb;
	if (!huge && dc->huge_pages == CFG_HUGE_REQUIRE) {
		cfg_log(CFG_LOG_ERR, "no-huge-pages", "wanted_mb=%u free_mb=%lu", dc->memory_mb,
			(unsigned long)(huge_free_mb(2048) + huge_free_mb(1048576)));
		return -ENOMEM;
	}
	arg(&a, "ravelin-dataplane");
	/* lcore numbers are the configuration's; what they are pinned to is written behind the @. */
	len = snprintf(lcores, sizeof(lcores), "%u@%d", dc->main_lcore, cpu_for(dc->main_lcore, &have, 0));
	shared = !CPU_ISSET(dc->main_lcore, &have);
	for (unsigned int i = 0; i < dc->worker_lcores_count && len < (int)sizeof(lcores) - 16; i++) {
		unsigned int lc = dc->worker_lcores[i];

		len += snprintf(lcores + len, sizeof(lcores) - (size_t)len, ",%u@%d", lc, cpu_for(lc, &have, i + 1));
		shared = shared || !CPU_ISSET(lc, &have);
	}
	if (shared)
		cfg_log(CFG_LOG_WARN, "lcores-moved", "cpus=%d lcores=%s", CPU_COUNT(&have), lcores);
	arg(&a, "--lcores=%s", lcores);
	arg(&a, "--main-lcore=%u", dc->main_lcore);
	arg(&a, "--file-prefix=%s", dc->file_prefix);
	arg(&a, "--log-level=*:warning");
	if (huge) {
		arg(&a, "--in-memory"); /* no files in hugetlbfs, nothing to clean up */
	} else {
		arg(&a, "--no-huge");
		arg(&a, "--no-shconf");
	}
	arg(&a, "-m");
	arg(&a, "%u", dc->memory_mb);
	for (unsigned int i = 0; i < dc->ports_count; i++) {
		char dev[ARG_LEN];

		if (dp_port_first(dc, i) != i)
			continue;
		if (dp_port_eal_arg(dc->ports[i].device, i, (uint16_t)dc->worker_lcores_count, dc->ring_desc,
				    dp_port_dev_mtu(dc, dc->ports[i].device), dev, sizeof(dev)) < 0) {
			cfg_log(CFG_LOG_ERR, "device-unknown", "device=%s", cfg_q(dc->ports[i].device));
			return -EINVAL;
		}
		arg(&a, "%s", dev);
		pci = pci || dp_port_is_pci(dc->ports[i].device);
	}
	if (!pci) /* without an allow-list EAL would probe NICs that the kernel holds */
		arg(&a, "--no-pci");
	cfg_log(CFG_LOG_NOTICE, "memory", "huge_pages=%s memory_mb=%u", huge ? "yes" : "no", dc->memory_mb);
	rc = rte_eal_init(a.n, a.argv);
	if (rc < 0) {
		cfg_log(CFG_LOG_ERR, "eal-failed", "error=%s", cfg_q(rte_strerror(rte_errno)));
		return -rte_errno;
	}
	return 0;
}

/* --- channel --- */

struct front {
	struct dp_node node;
	struct dp_objs *objs;
	struct dp_chan *chan;
};

static int on_hello(void *ctx, uint64_t epoch, struct dp_hello_reply *ret)
{
	struct front *f = ctx;
	int rc = dp_objs_hello(f->objs, epoch, ret);

	if (rc == 0)
		cfg_log(CFG_LOG_NOTICE, "controlplane-hello", "epoch=%016lx last_epoch=%016lx legs=%u sas=%u gateways=%u",
			(unsigned long)epoch, (unsigned long)ret->last_epoch, ret->leg_cnt, ret->sa_cnt, ret->gw_cnt);
	return rc;
}

static int on_cmd(void *ctx, const struct dp_msg_hdr *msg, uint32_t *ret_detail)
{
	struct front *f = ctx;

	return dp_objs_msg(f->objs, msg, ret_detail);
}

static void on_bad(void *ctx)
{
	struct front *f = ctx;

	f->node.page->chan_bad++;
}

static int on_event(void *ctx, const struct dp_msg_hdr *msg)
{
	struct front *f = ctx;

	return f->chan != NULL ? dp_chan_event(f->chan, msg) : -ENOTCONN;
}

/* --- start and stop --- */

static int make_dir(const char *path)
{
	char buf[256];

	if (snprintf(buf, sizeof(buf), "%s", path) >= (int)sizeof(buf))
		return -ENAMETOOLONG;
	for (char *p = buf + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(buf, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(buf, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int start(struct front *f, const struct cfg *cfg)
{
	const struct dp_objs_sink sink = {.event = on_event, .ctx = f};
	const struct dp_chan_ops ops = {.hello = on_hello, .cmd = on_cmd, .bad = on_bad, .ctx = f};
	struct dp_chan_lim lim;
	char path[256];
	int rc;

	rc = dp_node_init(&f->node, cfg, (uint16_t)cfg->dataplane.worker_lcores_count, "");
	for (unsigned int i = 0; i < cfg->dataplane.ports_count && rc == 0; i++) {
		uint16_t id;

		rc = dp_port_ethdev(cfg->dataplane.ports[i].device, dp_port_first(&cfg->dataplane, i), &id);
		if (rc < 0)
			cfg_log(CFG_LOG_ERR, "device-missing", "device=%s", cfg_q(cfg->dataplane.ports[i].device));
		else
			rc = dp_node_port(&f->node, id, &cfg->dataplane.ports[i]);
	}
	if (rc == 0)
		rc = dp_node_workers(&f->node, cfg->dataplane.worker_lcores);
	if (rc < 0)
		return rc;
	f->objs = dp_objs_create(&f->node, &sink);
	if (f->objs == NULL)
		return -ENOMEM;
	rc = make_dir(cfg->paths.run);
	if (rc < 0) {
		cfg_log(CFG_LOG_ERR, "run-dir-failed", "path=%s error=%s", cfg_q(cfg->paths.run), strerror(-rc));
		return rc;
	}
	snprintf(path, sizeof(path), "%s/dataplane.sock", cfg->paths.run);
	lim.leg_id_cnt = f->node.legs.id_cnt;
	rc = dp_chan_create(path, &lim, &ops, f->node.page_fd, &f->chan);
	if (rc < 0) {
		cfg_log(CFG_LOG_ERR, "channel-failed", "path=%s error=%s", cfg_q(path), strerror(-rc));
		return rc;
	}
	if (dp_telemetry_init(f->node.page) < 0)
		cfg_log(CFG_LOG_WARN, "telemetry-failed", "commands=none");
	for (uint16_t i = 0; i < f->node.worker_cnt && rc == 0; i++)
		rc = rte_eal_remote_launch(dp_worker_main, f->node.worker[i], f->node.worker[i]->lcore);
	return rc;
}

static int stop(struct front *f)
{
	uint32_t lost;

	__atomic_store_n(&f->node.stop, 1, __ATOMIC_RELAXED);
	rte_eal_mp_wait_lcore();
	(void)dp_telemetry_init(NULL);
	dp_chan_destroy(f->chan);
	dp_objs_destroy(f->objs);
	lost = dp_node_fini(&f->node);
	cfg_log(lost == 0 ? CFG_LOG_NOTICE : CFG_LOG_ERR, "stopped", "mbufs_leaked=%u", lost);
	return lost == 0 ? 0 : 1;
}

static int usage(FILE *out)
{
	fprintf(out, "usage: ravelin-dataplane [-c FILE] [--check-config]\n"
		     "  -c, --config FILE   default /etc/ravelin/ravelin.yaml\n"
		     "  --check-config      read the file, say what is wrong with it, exit\n");
	return out == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
	static const struct option opts[] = {{"config", required_argument, NULL, 'c'},
					     {"check-config", no_argument, NULL, 'C'},
					     {"help", no_argument, NULL, 'h'},
					     {NULL, 0, NULL, 0}};
	const struct sigaction sa = {.sa_handler = on_signal};
	const char *file = "/etc/ravelin/ravelin.yaml";
	static struct front front;
	struct dp_drops_seen refused = {0};
	struct cfg *cfg = NULL;
	bool check = false;
	char err[512], text[512];
	int c, rc;

	while ((c = getopt_long(argc, argv, "c:h", opts, NULL)) != -1) {
		switch (c) {
		case 'c':
			file = optarg;
			break;
		case 'C':
			check = true;
			break;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	if (optind != argc)
		return usage(stderr);
	rc = cfg_load(file, &cfg, err, sizeof(err));
	if (rc < 0) {
		fprintf(stderr, "ravelin-dataplane: %s\n", err);
		return 2;
	}
	if (check) {
		cfg_free(cfg);
		return 0;
	}
	cfg_log_init("dataplane", cfg->log.format, cfg->log.level);
	/* Session keys live here: no core dumps, no debugger of another user. */
	if (cfg_no_dump() < 0)
		cfg_log(CFG_LOG_WARN, "harden", "hint=\"a core dump might hold session keys\"");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a capture over RLIMIT_FSIZE is an error of that capture */
	if (start_eal(cfg) < 0) {
		cfg_free(cfg);
		return 1;
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	rc = start(&front, cfg);
	if (rc == 0) {
		/* Keys go to no swap, and no page fault waits for a disk. Without huge pages this is where they are. */
		if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
			cfg_log(CFG_LOG_WARN, "memory-not-locked", "error=%s", cfg_q(strerror(errno)));
		cfg_log(CFG_LOG_NOTICE, "ready", "workers=%u ports=%u media_addresses=%u max_legs=%u leg_bytes=%u",
			front.node.worker_cnt, front.node.port_cnt, front.node.media_cnt, front.node.legs.max,
			dp_node_leg_bytes());
		while (stopping == 0) {
			if (dp_chan_poll(front.chan, 1) < 0)
				cfg_log_limited(CFG_LOG_ERR, "poll-failed", "error=%s", strerror(errno));
			dp_objs_poll(front.objs);
			dp_objs_tick(front.objs);
			if (dp_drops_new(&refused, front.node.page, text, sizeof(text)) > 0)
				cfg_log(CFG_LOG_WARN, "packets-refused", "%s", text);
		}
	}
	rc = stop(&front) != 0 || rc < 0 ? 1 : 0;
	rte_eal_cleanup();
	cfg_free(cfg);
	return rc;
}
