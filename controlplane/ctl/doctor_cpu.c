/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelinctl doctor: what the CPUs are and how they are kept for the workers. */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "doctor_int.h"

#define IDLE_MAX_US 10 /* a worker that wakes up later has lost packets of a full-speed port */

void doc_machine(struct doc *d)
{
	char all[16384], *p;

	d->flags[0] = '\0';
	if (doc_text(d, all, sizeof(all), "/proc/cpuinfo") && (p = strstr(all, "\nflags")) != NULL &&
	    (p = strchr(p, ':')) != NULL) {
		p[1 + strcspn(p + 1, "\n")] = '\0';
		snprintf(d->flags, sizeof(d->flags), "%s ", p + 1);
	}
	d->vm = doc_flag(d, "hypervisor");
	if (d->flags[0] == '\0')
		doc_say(d, "machine", DOC_UNKNOWN, NULL, "/proc/cpuinfo has no flags: not an x86 machine?");
	else
		doc_say(d, "machine", DOC_OK, NULL, "%s", d->vm ? "a virtual machine: clocks and idle states are its host's as well"
							: "no hypervisor");
}

static void lcores(struct doc *d)
{
	char buf[512], list[512], mend[1800];
	struct doc_cpus c;

	if (!doc_text(d, buf, sizeof(buf), "/sys/devices/system/cpu/online")) {
		doc_say(d, "lcores", DOC_UNKNOWN, NULL, "/sys/devices/system/cpu/online cannot be read");
	} else {
		c = doc_cpulist(buf);
		if (doc_workers(d, &c, list, sizeof(list)) > 0 || !c.has[d->dp->main_lcore])
			doc_say(d, "lcores", DOC_BAD, NULL, "CPUs %s are online; worker_lcores or main_lcore name others (%s%s%u): set them "
			    "to CPUs that there are", buf, list, list[0] != '\0' ? ", main " : "main ", d->dp->main_lcore);
		else
			doc_say(d, "lcores", DOC_OK, NULL, "CPUs %s are online", buf);
	}
	doc_workers(d, NULL, list, sizeof(list));
	snprintf(mend, sizeof(mend), "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&isolcpus=%s nohz_full=%s rcu_nocbs=%s /' /etc/default/grub && "
		 "update-grub && reboot", list, list, list);
	for (int full = 0; full < 2; full++) {
		const char *what = full ? "nohz_full" : "isolated", *check = full ? "nohz-full" : "isolcpus";

		if (!doc_text(d, buf, sizeof(buf), "/sys/devices/system/cpu/%s", what)) {
			doc_say(d, check, DOC_UNKNOWN, full ? NULL : mend, "/sys/devices/system/cpu/%s is not there%s", what,
			    full ? ": the kernel is built without it" : "");
			continue;
		}
		c = doc_cpulist(buf);
		if (doc_workers(d, &c, list, sizeof(list)) == 0)
			doc_say(d, check, DOC_OK, NULL, "%s", buf);
		else
			doc_say(d, check, DOC_WARN, mend, "CPUs %s of workers are not in it (%s): %s", list,
			    buf[0] != '\0' ? buf : "empty", full ? "the tick stops them" : "other tasks run there");
	}
}

static void siblings(struct doc *d)
{
	char buf[128], isolated[512], online[512];
	struct doc_cpus iso, on;
	unsigned int bad = 0, known = 0;

	(void)doc_text(d, isolated, sizeof(isolated), "/sys/devices/system/cpu/isolated");
	(void)doc_text(d, online, sizeof(online), "/sys/devices/system/cpu/online");
	iso = doc_cpulist(isolated);
	on = doc_cpulist(online);
	for (unsigned int i = 0; i < d->dp->worker_lcores_count; i++) {
		unsigned int cpu = d->dp->worker_lcores[i];
		struct doc_cpus s;

		if (!doc_text(d, buf, sizeof(buf), "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu))
			continue;
		known++;
		s = doc_cpulist(buf);
		for (unsigned int k = 0; k < DOC_CPU_MAX; k++) {
			bool worker = false;
			char mend[80];

			if (!s.has[k] || k == cpu || !on.has[k])
				continue;
			for (unsigned int j = 0; j < d->dp->worker_lcores_count; j++)
				worker = worker || (d->dp->worker_lcores[j] == k && j < i);
			snprintf(mend, sizeof(mend), "echo 0 >/sys/devices/system/cpu/cpu%u/online", k);
			if (worker || k == d->dp->main_lcore || !iso.has[k]) {
				doc_say(d, "hyperthreads", DOC_WARN, worker ? NULL : mend, "CPU %u of a worker shares its core with CPU %u, %s", cpu, k,
				    worker ? "also a worker's: name one of them only" :
				    k == d->dp->main_lcore ? "the main lcore's" : "where other tasks run");
				bad++;
			}
		}
	}
	if (known == 0)
		doc_say(d, "hyperthreads", DOC_UNKNOWN, NULL, "the topology of the workers' CPUs cannot be read");
	else if (bad == 0)
		doc_say(d, "hyperthreads", DOC_OK, NULL, "no worker shares its core");
}

static void governor(struct doc *d)
{
	char buf[64], mend[700], list[512] = "", kind[64] = "";
	unsigned int known = 0;

	for (unsigned int i = 0; i < d->dp->worker_lcores_count; i++) {
		unsigned int cpu = d->dp->worker_lcores[i];
		size_t at = strlen(list);

		if (!doc_text(d, buf, sizeof(buf), "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor", cpu))
			continue;
		known++;
		if (strcmp(buf, "performance") == 0)
			continue;
		snprintf(kind, sizeof(kind), "%s", buf);
		snprintf(list + at, sizeof(list) - at, "%s%u", at > 0 ? "," : "", cpu);
	}
	snprintf(mend, sizeof(mend), "for c in $(echo %s | tr , ' '); do echo performance "
		 ">/sys/devices/system/cpu/cpu$c/cpufreq/scaling_governor; done", list);
	if (known == 0)
		doc_say(d, "governor", DOC_UNKNOWN, NULL, "no cpufreq: %s decides", d->vm ? "the host" : "the firmware");
	else if (list[0] != '\0')
		doc_say(d, "governor", DOC_WARN, mend, "CPUs %s: %s, the clock follows the load", list, kind);
	else
		doc_say(d, "governor", DOC_OK, NULL, "performance");
}

static void idle_states(struct doc *d)
{
	char list[512] = "", mend[700], path[PATH_MAX], name[64] = "";
	int64_t worst = 0;
	unsigned int known = 0;
	int32_t limit = INT32_MAX;
	int fd;

	if (snprintf(path, sizeof(path), "%s/dev/cpu_dma_latency", d->env->root) < PATH_MAX &&
	    (fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) >= 0) {
		if (read(fd, &limit, sizeof(limit)) != (ssize_t)sizeof(limit))
			limit = INT32_MAX;
		close(fd);
	}
	for (unsigned int i = 0; i < d->dp->worker_lcores_count; i++) {
		unsigned int cpu = d->dp->worker_lcores[i];
		bool deep = false;

		for (int s = 0; s < 16; s++) {
			int64_t us, off = 0;

			if (!doc_number(d, &us, "/sys/devices/system/cpu/cpu%u/cpuidle/state%d/latency", cpu, s))
				break;
			known++;
			(void)doc_number(d, &off, "/sys/devices/system/cpu/cpu%u/cpuidle/state%d/disable", cpu, s);
			if (off != 0 || us <= IDLE_MAX_US || us > limit)
				continue;
			deep = true;
			if (us > worst) {
				worst = us;
				(void)doc_text(d, name, sizeof(name), "/sys/devices/system/cpu/cpu%u/cpuidle/state%d/name", cpu, s);
			}
		}
		if (deep)
			snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%u", list[0] != '\0' ? "," : "", cpu);
	}
	snprintf(mend, sizeof(mend), "cpupower -c %s idle-set -D %d   # apt-get install linux-cpupower", list, IDLE_MAX_US);
	if (known == 0)
		doc_say(d, "idle-states", DOC_UNKNOWN, NULL, "no cpuidle: %s decides", d->vm ? "the host" : "the firmware");
	else if (list[0] != '\0')
		doc_say(d, "idle-states", DOC_WARN, mend, "CPUs %s may go to %s, %lld us to wake", list, name, (long long)worst);
	else if (limit <= IDLE_MAX_US)
		doc_say(d, "idle-states", DOC_OK, NULL, "/dev/cpu_dma_latency keeps wake-ups within %d us", limit);
	else
		doc_say(d, "idle-states", DOC_OK, NULL, "none above %d us is enabled", IDLE_MAX_US);
}

static void clocks(struct doc *d)
{
	char buf[64], all[128];

	if (d->flags[0] != '\0' && !(doc_flag(d, "constant_tsc") && doc_flag(d, "nonstop_tsc")))
		doc_say(d, "tsc", d->vm ? DOC_WARN : DOC_BAD, d->vm ? "virsh edit DOMAIN   # <feature policy='require' name='invtsc'/>" : NULL,
		    "not invariant: timers of the dataplane may run wrong");
	else
		doc_say(d, "tsc", d->flags[0] != '\0' ? DOC_OK : DOC_UNKNOWN, NULL, "%s",
		    d->flags[0] != '\0' ? "invariant" : "the CPU's flags cannot be read");
	if (!doc_text(d, buf, sizeof(buf), "/sys/devices/system/clocksource/clocksource0/current_clocksource"))
		doc_say(d, "clocksource", DOC_UNKNOWN, NULL, "the kernel does not say");
	else if (strcmp(buf, "tsc") == 0 || strcmp(buf, "kvm-clock") == 0 || strcmp(buf, "hyperv_clocksource_tsc_page") == 0)
		doc_say(d, "clocksource", DOC_OK, NULL, "%s", buf);
	else if (doc_text(d, all, sizeof(all), "/sys/devices/system/clocksource/clocksource0/available_clocksource") &&
		 strstr(all, "tsc") != NULL)
		doc_say(d, "clocksource", DOC_WARN, "echo tsc >/sys/devices/system/clocksource/clocksource0/current_clocksource",
		    "%s: reading it leaves the CPU", buf);
	else
		doc_say(d, "clocksource", DOC_WARN, NULL, "%s: reading it leaves the CPU; the kernel does not trust the TSC", buf);
}

static void cpu_features(struct doc *d)
{
	bool avx512 = doc_flag(d, "avx512f") && doc_flag(d, "avx512dq") && doc_flag(d, "avx512cd") && doc_flag(d, "avx512bw") &&
		      doc_flag(d, "avx512vl");
	bool vaes = doc_flag(d, "vaes") && doc_flag(d, "vpclmulqdq");
	const char *sha = doc_flag(d, "sha_ni") ? "SHA-NI" : "no SHA-NI (short bursts cost more)";

	if (d->flags[0] == '\0')
		doc_say(d, "crypto", DOC_UNKNOWN, NULL, "the CPU's flags cannot be read");
	else if (!doc_flag(d, "aes") || !doc_flag(d, "pclmulqdq"))
		doc_say(d, "crypto", DOC_BAD, d->vm ? "virsh edit DOMAIN   # <cpu mode='host-passthrough'/>" : NULL,
		    "no AES instructions: every packet is encrypted by table");
	else if (avx512)
		doc_say(d, "crypto", DOC_OK, NULL, "ipsec-mb uses AVX-512%s, %s", vaes ? " with VAES" : " without VAES", sha);
	else
		doc_say(d, "crypto", DOC_WARN, d->vm ? "virsh edit DOMAIN   # <cpu mode='host-passthrough'/>" : NULL,
		    "ipsec-mb uses %s, %s: no AVX-512, a third of the rate or less", doc_flag(d, "avx2") ? "AVX2" : "SSE", sha);
}

void doc_cpus(struct doc *d)
{
	cpu_features(d);
	lcores(d);
	siblings(d);
	governor(d);
	idle_states(d);
	clocks(d);
}
