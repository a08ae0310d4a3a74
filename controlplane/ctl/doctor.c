/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "doctor_int.h"

#define SYNC_WARN_US 10000 /* a call's record is synced before it is answered */
#define SYNC_BAD_US  100000

void doc_say(struct doc *d, const char *check, enum doc_level level, const char *mend, const char *fmt, ...)
{
	static const char *const names[] = {"ok", "warn", "bad", "unknown"};
	char found[512];
	va_list ap;
	json_t *o;

	va_start(ap, fmt);
	vsnprintf(found, sizeof(found), fmt, ap);
	va_end(ap);
	o = json_pack("{s:s,s:s,s:s}", "check", check, "level", names[level], "found", found);
	if (mend != NULL && mend[0] != '\0')
		json_object_set_new(o, "mend", json_string(mend));
	json_array_append_new(d->list, o);
}

/* --- reading --- */

bool doc_text(const struct doc *d, char *buf, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s", d->env->root), fd;
	va_list ap;
	ssize_t len;

	buf[0] = '\0';
	if (n < 0 || n >= PATH_MAX)
		return false;
	va_start(ap, fmt);
	vsnprintf(path + n, sizeof(path) - (size_t)n, fmt, ap);
	va_end(ap);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	len = read(fd, buf, size - 1);
	close(fd);
	if (len < 0)
		return false;
	buf[len] = '\0';
	while (len > 0 && isspace((unsigned char)buf[len - 1]))
		buf[--len] = '\0';
	return true;
}

bool doc_number(const struct doc *d, int64_t *ret, const char *fmt, ...)
{
	char path[PATH_MAX], buf[32], *end;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	if (!doc_text(d, buf, sizeof(buf), "%s", path) || buf[0] == '\0')
		return false;
	*ret = strtoll(buf, &end, 10);
	return *end == '\0';
}

bool doc_there(const struct doc *d, const char *fmt, ...)
{
	char path[PATH_MAX], whole[PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	return snprintf(whole, sizeof(whole), "%s%s", d->env->root, path) < PATH_MAX && access(whole, F_OK) == 0;
}

struct doc_cpus doc_cpulist(const char *p)
{
	struct doc_cpus c = {.n = 0};

	while (isdigit((unsigned char)*p)) {
		char *end;
		unsigned long a = strtoul(p, &end, 10), b = a;

		if (*end == '-')
			b = strtoul(end + 1, &end, 10);
		for (; a <= b && a < DOC_CPU_MAX; a++) {
			c.n += !c.has[a];
			c.has[a] = true;
		}
		p = *end == ',' ? end + 1 : end;
	}
	return c;
}

unsigned int doc_workers(const struct doc *d, const struct doc_cpus *without, char *buf, size_t size)
{
	unsigned int n = 0;

	buf[0] = '\0';
	for (unsigned int i = 0; i < d->dp->worker_lcores_count; i++) {
		size_t at = strlen(buf);

		if (without != NULL && without->has[d->dp->worker_lcores[i]])
			continue;
		snprintf(buf + at, size - at, "%s%u", n++ > 0 ? "," : "", d->dp->worker_lcores[i]);
	}
	return n;
}

bool doc_flag(const struct doc *d, const char *name)
{
	char word[40];

	snprintf(word, sizeof(word), " %s ", name);
	return strstr(d->flags, word) != NULL;
}

int doc_node_of(const struct doc *d, unsigned int cpu)
{
	for (int node = 0; node < 64; node++) {
		char buf[512];

		if (doc_text(d, buf, sizeof(buf), "/sys/devices/system/node/node%d/cpulist", node) && cpu < DOC_CPU_MAX &&
		    doc_cpulist(buf).has[cpu])
			return node;
	}
	return -1;
}

/* --- kernel and memory --- */

static void kernel(struct doc *d)
{
	char buf[8192];
	bool xdp = false, tun = false;

	if (doc_text(d, buf, sizeof(buf), "/proc/sys/kernel/osrelease"))
		doc_say(d, "kernel", atoi(buf) >= 5 ? DOC_OK : DOC_WARN, NULL, "%s", buf);
	else
		doc_say(d, "kernel", DOC_UNKNOWN, NULL, "/proc/sys/kernel/osrelease cannot be read");
	for (unsigned int i = 0; i < d->dp->ports_count; i++) {
		xdp = xdp || strncmp(d->dp->ports[i].device, "af_xdp:", 7) == 0;
		tun = tun || strncmp(d->dp->ports[i].device, "tap:", 4) == 0 || d->dp->ports[i].punt != NULL;
	}
	if (doc_there(d, "/proc/sys/net/core/xfrm_acq_expires"))
		doc_say(d, "kernel-ipsec", DOC_OK, NULL, "XFRM is there");
	else
		doc_say(d, "kernel-ipsec", DOC_WARN, "modprobe xfrm_user esp4 esp6", "no XFRM: an IKE daemon cannot keep SAs in this kernel");
	if (!doc_text(d, buf, sizeof(buf), "/proc/net/protocols"))
		doc_say(d, "kernel-af-xdp", DOC_UNKNOWN, NULL, "/proc/net/protocols cannot be read");
	else if (strstr(buf, "\nXDP ") != NULL)
		doc_say(d, "kernel-af-xdp", DOC_OK, NULL, "XDP sockets are there");
	else
		doc_say(d, "kernel-af-xdp", xdp ? DOC_BAD : DOC_OK, xdp ? "apt-get install linux-image-amd64 && reboot" : NULL,
		    "no XDP sockets%s", xdp ? ", and a port is af_xdp" : "; no port needs them");
	if (doc_there(d, "/dev/net/tun"))
		doc_say(d, "kernel-tun", DOC_OK, NULL, "/dev/net/tun is there");
	else
		doc_say(d, "kernel-tun", tun ? DOC_BAD : DOC_OK, tun ? "modprobe tun" : NULL, "no /dev/net/tun%s",
		    tun ? ", and a port has a punt interface or is a tap" : "; no port needs it");
}

static int64_t huge(const struct doc *d, const char *where, const char *what, unsigned int kb)
{
	int64_t n;

	return doc_number(d, &n, "%s/hugepages-%ukB/%s", where, kb, what) ? n : 0;
}

/* There are enough, but are there any where the workers are? */
static void huge_pages_near(struct doc *d, int64_t mb, const char *nodes)
{
	for (unsigned int i = 0; i < d->dp->worker_lcores_count; i++) {
		int node = doc_node_of(d, d->dp->worker_lcores[i]);
		char path[80], mend[160];

		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/hugepages", node);
		if (node < 0 || !doc_there(d, "%s", path) || huge(d, path, "free_hugepages", 2048) > 0 ||
		    huge(d, path, "free_hugepages", 1048576) > 0)
			continue;
		snprintf(mend, sizeof(mend), "echo %u >%s/hugepages-2048kB/nr_hugepages", (d->dp->memory_mb + 1) / 2, path);
		doc_say(d, "huge-pages", DOC_WARN, mend, "%lld MiB free, none on node %d, where the worker on CPU %u is (%s)",
			(long long)mb, node, d->dp->worker_lcores[i], nodes);
		return;
	}
	doc_say(d, "huge-pages", DOC_OK, NULL, "%lld MiB free, %u wanted (%s)", (long long)mb, d->dp->memory_mb, nodes);
}

static void huge_pages(struct doc *d)
{
	static const char where[] = "/sys/kernel/mm/hugepages";
	int64_t want = d->dp->memory_mb, mb = huge(d, where, "free_hugepages", 2048) * 2 +
					      huge(d, where, "free_hugepages", 1048576) * 1024;
	char mend[160], nodes[256] = "";

	if (d->dp->huge_pages == CFG_HUGE_NEVER) {
		doc_say(d, "huge-pages", DOC_WARN, "sed -i 's/huge_pages: never/huge_pages: auto/' /etc/ravelin/ravelin.yaml",
		    "dataplane.huge_pages is never: every packet costs TLB misses");
		return;
	}
	if (!doc_there(d, "%s", where)) {
		doc_say(d, "huge-pages", d->dp->huge_pages == CFG_HUGE_REQUIRE ? DOC_BAD : DOC_UNKNOWN, NULL,
		    "%s is not there: a container, or a kernel without huge pages", where);
		return;
	}
	for (int node = 0; node < 64; node++) {
		char path[80];
		size_t at = strlen(nodes);

		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/hugepages", node);
		if (doc_there(d, "%s", path))
			snprintf(nodes + at, sizeof(nodes) - at, "%snode %d: %lld of 2 MiB, %lld of 1 GiB", at > 0 ? "; " : "", node,
				 (long long)huge(d, path, "free_hugepages", 2048),
				 (long long)huge(d, path, "free_hugepages", 1048576));
	}
	snprintf(mend, sizeof(mend), "sysctl -w vm.nr_hugepages=%lld",
		 (long long)(huge(d, where, "nr_hugepages", 2048) + (want - mb + 1) / 2));
	if (mb >= want)
		huge_pages_near(d, mb, nodes);
	else if (doc_there(d, "%s/dataplane.sock", d->cfg->paths.run) && mb + want <= huge(d, where, "nr_hugepages", 2048) * 2 +
									      huge(d, where, "nr_hugepages", 1048576) * 1024)
		doc_say(d, "huge-pages", DOC_OK, NULL, "%lld MiB free, at least %lld taken: by a running dataplane, as it seems (%s)",
		    (long long)mb, (long long)want, nodes);
	else
		doc_say(d, "huge-pages", d->dp->huge_pages == CFG_HUGE_REQUIRE ? DOC_BAD : DOC_WARN, mend,
		    "%lld MiB free, %lld wanted%s (%s)", (long long)mb, (long long)want,
		    d->dp->huge_pages == CFG_HUGE_REQUIRE ? ": the dataplane does not start" : ": ordinary pages are used", nodes);
}

static void thp(struct doc *d)
{
	char buf[80];

	if (!doc_text(d, buf, sizeof(buf), "/sys/kernel/mm/transparent_hugepage/enabled"))
		doc_say(d, "transparent-huge-pages", DOC_UNKNOWN, NULL, "the kernel does not say");
	else if (strstr(buf, "[always]") != NULL)
		doc_say(d, "transparent-huge-pages", DOC_WARN, "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled",
		    "always: pages are moved under running threads");
	else
		doc_say(d, "transparent-huge-pages", DOC_OK, NULL, "%s", buf);
}

static void memlock(struct doc *d)
{
	char buf[4096], *p;

	if (!doc_text(d, buf, sizeof(buf), "/proc/self/limits") || (p = strstr(buf, "Max locked memory")) == NULL) {
		doc_say(d, "memlock", DOC_UNKNOWN, NULL, "/proc/self/limits cannot be read");
		return;
	}
	p += strlen("Max locked memory");
	p += strspn(p, " ");
	if (strncmp(p, "unlimited", 9) == 0)
		doc_say(d, "memlock", DOC_OK, NULL, "unlimited, for what this shell starts");
	else if (strtoull(p, NULL, 10) / 1048576 >= d->dp->memory_mb + 256u)
		doc_say(d, "memlock", DOC_OK, NULL, "%llu MiB, for what this shell starts", strtoull(p, NULL, 10) / 1048576);
	else
		doc_say(d, "memlock", DOC_WARN, "ulimit -l unlimited   # the systemd unit has LimitMEMLOCK=infinity",
		    "%llu KiB, for what this shell starts: memory with keys would not be locked", strtoull(p, NULL, 10) / 1024);
}

static void irqbalance(struct doc *d)
{
	char path[PATH_MAX];
	bool runs = false;
	struct dirent *e;
	DIR *dir = NULL;

	if (snprintf(path, sizeof(path), "%s/proc", d->env->root) < PATH_MAX)
		dir = opendir(path);
	if (dir == NULL) {
		doc_say(d, "irqbalance", DOC_UNKNOWN, NULL, "/proc cannot be read");
		return;
	}
	while (!runs && (e = readdir(dir)) != NULL) {
		char buf[32];

		runs = isdigit((unsigned char)e->d_name[0]) && doc_text(d, buf, sizeof(buf), "/proc/%s/comm", e->d_name) &&
		       strcmp(buf, "irqbalance") == 0;
	}
	closedir(dir);
	if (runs)
		doc_say(d, "irqbalance", DOC_WARN, "systemctl disable --now irqbalance", "it runs: interrupts may move to workers' CPUs");
	else
		doc_say(d, "irqbalance", DOC_OK, NULL, "it does not run");
}

/* --- disk --- */

int64_t ctl_doctor_sync_us(const char *dir)
{
	char path[PATH_MAX], block[4096] = {0};
	int64_t us[16], rc = 0;
	int fd;

	if (snprintf(path, sizeof(path), "%s/.doctor.XXXXXX", dir) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	for (int i = 0; i < 16 && rc == 0; i++) {
		struct timespec a, b;
		int k = i;

		clock_gettime(CLOCK_MONOTONIC, &a);
		if (pwrite(fd, block, sizeof(block), i * (off_t)sizeof(block)) != (ssize_t)sizeof(block) || fdatasync(fd) < 0)
			rc = errno != 0 ? -errno : -EIO;
		clock_gettime(CLOCK_MONOTONIC, &b);
		us[i] = (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
		for (; k > 0 && us[k] < us[k - 1]; k--) { /* in order */
			int64_t t = us[k];

			us[k] = us[k - 1];
			us[k - 1] = t;
		}
	}
	close(fd);
	return rc < 0 ? rc : us[8];
}

static void disk(struct doc *d)
{
	const char *dir = d->cfg->paths.state;
	int64_t us = d->env->sync_us(dir);
	char mend[600];

	snprintf(mend, sizeof(mend), "install -d -m 0700 -o ravelin -g ravelin %s", dir);
	if (us == -ENOENT)
		doc_say(d, "state-disk", DOC_UNKNOWN, mend, "%s is not there yet", dir);
	else if (us < 0)
		doc_say(d, "state-disk", us == -EACCES || us == -EPERM ? DOC_UNKNOWN : DOC_BAD, NULL, "%s: %s%s", dir, strerror((int)-us),
		    us == -EACCES || us == -EPERM ? "; run as root or ravelin" : "");
	else
		doc_say(d, "state-disk", us >= SYNC_BAD_US ? DOC_BAD : us >= SYNC_WARN_US ? DOC_WARN : DOC_OK, NULL, "%s: a synced write takes %lld us%s",
		    dir, (long long)us,
		    us >= SYNC_WARN_US ? "; calls wait for it: put paths.state on a disk with a write cache that survives power cuts" : "");
}

json_t *ctl_doctor(const struct cfg *cfg, const struct ctl_doctor_env *env)
{
	struct doc d = {.cfg = cfg, .dp = &cfg->dataplane, .env = env, .list = json_array()};

	if (d.list == NULL)
		return NULL;
	doc_machine(&d);
	kernel(&d);
	doc_cpus(&d);
	huge_pages(&d);
	thp(&d);
	memlock(&d);
	irqbalance(&d);
	doc_ports(&d);
	disk(&d);
	return d.list;
}

unsigned int ctl_doctor_print(FILE *out, const json_t *findings)
{
	unsigned int bad = 0;
	const json_t *o;
	size_t i;

	json_array_foreach(findings, i, o)
	{
		const char *level = json_string_value(json_object_get(o, "level"));
		const char *mend = json_string_value(json_object_get(o, "mend"));

		bad += strcmp(level, "bad") == 0;
		if (out == NULL)
			continue;
		fprintf(out, "%-7s  %-22s  %s\n", level, json_string_value(json_object_get(o, "check")),
			json_string_value(json_object_get(o, "found")));
		if (mend != NULL)
			fprintf(out, "%-7s  %-22s  mend: %s\n", "", "", mend);
	}
	return bad;
}
