/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/ctl/doctor*.c on trees of files: a machine that is as it should be, and for every check what is wrong with it, one
 * thing at a time. Each finding that something can be done about says with which command.
 */
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "doctor.h"

static char root[64];
static struct cfg *cfg;
static int64_t sync_is;

static const char yaml[] =
	"dataplane:\n  main_lcore: 0\n  worker_lcores: [2, 3]\n  memory_mb: 1024\n  huge_pages: require\n  ports:\n"
	"    - device: pci:3b:00.0\n      punt: p0\n"
	"    - device: pci:3b:00.0\n      vlan: 5\n"
	"    - device: af_xdp:eth1\n      mtu: 3000\n"
	"    - device: af_packet:eth2\n";

static int64_t fake_sync(const char *dir)
{
	CU_ASSERT_STRING_EQUAL(dir, "/var/lib/ravelin");
	return sync_is;
}

static void put(const char *path, const char *content)
{
	char whole[300];
	FILE *f;

	snprintf(whole, sizeof(whole), "%s%s", root, path);
	for (char *p = whole + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		(void)mkdir(whole, 0700);
		*p = '/';
	}
	if (content == NULL) {
		(void)mkdir(whole, 0700);
		return;
	}
	f = fopen(whole, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(content, f);
	fclose(f);
}

static int gone(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void drop(const char *path)
{
	char whole[300];

	snprintf(whole, sizeof(whole), "%s%s", root, path);
	(void)nftw(whole, gone, 8, FTW_DEPTH | FTW_PHYS);
}

static void point(const char *path, const char *to)
{
	char whole[300];

	drop(path);
	snprintf(whole, sizeof(whole), "%s%s", root, path);
	CU_ASSERT_EQUAL(symlink(to, whole), 0);
}

#define CPU  "/sys/devices/system/cpu/"
#define PCI  "/sys/bus/pci/devices/0000:3b:00.0/"
#define HUGE_ "/sys/kernel/mm/hugepages/hugepages-"
#define FLAGS " fpu aes pclmulqdq avx2 avx512f avx512dq avx512cd avx512bw avx512vl vaes vpclmulqdq sha_ni constant_tsc nonstop_tsc"

/* Two nodes of two cores with two threads each: 0,4 1,5 | 2,6 3,7; threads 6 and 7 are off. */
static void good(void)
{
	put("/proc/cpuinfo", "processor\t: 0\nvendor_id\t: X\nflags\t\t:" FLAGS "\nbugs\t:\n");
	put("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
	put("/proc/sys/net/core/xfrm_acq_expires", "30\n");
	put("/proc/net/protocols", "protocol  size sockets\nUDP   1024  3\nXDP   960  0\n");
	put("/dev/net/tun", "");
	put(CPU "online", "0-5\n");
	put(CPU "isolated", "2-3\n");
	put(CPU "nohz_full", "2-3\n");
	put(CPU "cpu2/topology/thread_siblings_list", "2,6\n");
	put(CPU "cpu3/topology/thread_siblings_list", "3,7\n");
	for (int c = 2; c < 4; c++) {
		char path[120];

		snprintf(path, sizeof(path), CPU "cpu%d/cpufreq/scaling_governor", c);
		put(path, "performance\n");
		for (int s = 0; s < 3; s++) {
			snprintf(path, sizeof(path), CPU "cpu%d/cpuidle/state%d/latency", c, s);
			put(path, s == 0 ? "0\n" : s == 1 ? "2\n" : "133\n");
			snprintf(path, sizeof(path), CPU "cpu%d/cpuidle/state%d/disable", c, s);
			put(path, s == 2 ? "1\n" : "0\n");
			snprintf(path, sizeof(path), CPU "cpu%d/cpuidle/state%d/name", c, s);
			put(path, s == 0 ? "POLL\n" : s == 1 ? "C1\n" : "C6\n");
		}
	}
	put("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
	put("/sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet acpi_pm\n");
	put(HUGE_ "2048kB/free_hugepages", "512\n");
	put(HUGE_ "2048kB/nr_hugepages", "512\n");
	put(HUGE_ "1048576kB/free_hugepages", "0\n");
	put(HUGE_ "1048576kB/nr_hugepages", "0\n");
	put("/sys/devices/system/node/node0/cpulist", "0-1,4-5\n");
	put("/sys/devices/system/node/node1/cpulist", "2-3,6-7\n");
	put("/sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages", "512\n");
	put("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
	put("/proc/self/limits", "Limit  Soft Limit  Hard Limit Units\nMax locked memory         unlimited            unlimited   bytes\n");
	put("/proc/1/comm", "systemd\n");
	put("/proc/77/comm", "charon\n");
	put("/sys/bus/pci/drivers/vfio-pci", NULL);
	put(PCI "numa_node", "1\n");
	put(PCI "iommu_group", NULL);
	point(PCI "driver", "../../drivers/vfio-pci");
	put("/sys/class/net/eth1/mtu", "3000\n");
	put("/sys/class/net/eth1/operstate", "up\n");
	put("/sys/class/net/eth2/mtu", "1500\n");
	put("/sys/class/net/eth2/operstate", "unknown\n");
	sync_is = 900;
}

static int setup(void)
{
	char err[200];

	strcpy(root, "/tmp/doctor.XXXXXX");
	return mkdtemp(root) == NULL ||
	       cfg_load_data((const uint8_t *)yaml, sizeof(yaml) - 1, &cfg, err, sizeof(err)) < 0;
}

static int teardown(void)
{
	cfg_free(cfg);
	return nftw(root, gone, 8, FTW_DEPTH | FTW_PHYS);
}

static json_t *run(void)
{
	const struct ctl_doctor_env env = {.root = root, .sync_us = fake_sync};
	json_t *list = ctl_doctor(cfg, &env);

	CU_ASSERT_PTR_NOT_NULL_FATAL(list);
	return list;
}

/* Level of one check, and whether found and mend hold these words (NULL: there is no mend). */
static const char *is(const char *check, const char *found, const char *mend)
{
	static char level[32];
	json_t *list = run();
	const json_t *o;
	size_t i;

	strcpy(level, "none");
	json_array_foreach(list, i, o)
	{
		const char *f = json_string_value(json_object_get(o, "found"));
		const char *m = json_string_value(json_object_get(o, "mend"));

		if (strcmp(json_string_value(json_object_get(o, "check")), check) != 0)
			continue;
		snprintf(level, sizeof(level), "%s", json_string_value(json_object_get(o, "level")));
		if (strstr(f, found) == NULL || (mend == NULL) != (m == NULL) || (mend != NULL && strstr(m, mend) == NULL)) {
			fprintf(stderr, "%s: found \"%s\" mend \"%s\"\n", check, f, m != NULL ? m : "-");
			strcpy(level, "other words");
		}
		break;
	}
	json_decref(list);
	return level;
}

static void test_good(void)
{
	json_t *list;
	const json_t *o;
	size_t i, n = 0;

	good();
	list = run();
	json_array_foreach(list, i, o)
	{
		n++;
		if (strcmp(json_string_value(json_object_get(o, "level")), "ok") != 0) {
			fprintf(stderr, "%s: %s\n", json_string_value(json_object_get(o, "check")),
				json_string_value(json_object_get(o, "found")));
			CU_FAIL("a good machine is found wanting");
		}
		CU_ASSERT_PTR_NULL(json_object_get(o, "mend"));
	}
	CU_ASSERT_EQUAL(n, 24);
	CU_ASSERT_EQUAL(ctl_doctor_print(NULL, list), 0);
	json_decref(list);
	CU_ASSERT_STRING_EQUAL(is("crypto", "AVX-512 with VAES, SHA-NI", NULL), "ok");
	CU_ASSERT_STRING_EQUAL(is("huge-pages", "node 1: 512 of 2 MiB", NULL), "ok");
	/* the entry with a VLAN is the same device: looked at once */
	CU_ASSERT_STRING_EQUAL(is("ports[1].driver", "", NULL), "none");
}

/* One file of the good machine is something else (NULL: not there). */
static const struct {
	const char *path, *content, *check, *level, *found, *mend;
} cases[] = {
	{"/proc/cpuinfo", "a\nflags\t:" FLAGS " hypervisor\n", "machine", "ok", "virtual machine", NULL},
	{"/proc/cpuinfo", "processor\n", "machine", "unknown", "no flags", NULL},
	{"/proc/cpuinfo", "processor\n", "crypto", "unknown", "flags", NULL},
	{"/proc/cpuinfo", "processor\n", "tsc", "unknown", "flags", NULL},
	{"/proc/cpuinfo", "a\nflags\t: sse2\n", "crypto", "bad", "no AES", NULL},
	{"/proc/cpuinfo", "a\nflags\t: sse2 hypervisor\n", "crypto", "bad", "no AES", "host-passthrough"},
	{"/proc/cpuinfo", "a\nflags\t: aes pclmulqdq avx2\n", "crypto", "warn", "AVX2, no SHA-NI", NULL},
	{"/proc/cpuinfo", "a\nflags\t: aes pclmulqdq\n", "crypto", "warn", "SSE", NULL},
	{"/proc/cpuinfo", "a\nflags\t: aes pclmulqdq avx512f avx512dq avx512cd avx512bw avx512vl\n", "crypto", "ok", "without VAES", NULL},
	{"/proc/cpuinfo", "a\nflags\t: aes constant_tsc\n", "tsc", "bad", "not invariant", NULL},
	{"/proc/cpuinfo", "a\nflags\t: aes hypervisor\n", "tsc", "warn", "not invariant", "invtsc"},
	{"/proc/sys/kernel/osrelease", "4.19.0\n", "kernel", "warn", "4.19.0", NULL},
	{"/proc/sys/kernel/osrelease", NULL, "kernel", "unknown", "cannot be read", NULL},
	{"/proc/sys/net/core/xfrm_acq_expires", NULL, "kernel-ipsec", "warn", "no XFRM", "modprobe xfrm_user esp4 esp6"},
	{"/proc/net/protocols", "UDP 1\n", "kernel-af-xdp", "bad", "a port is af_xdp", "linux-image"},
	{"/proc/net/protocols", NULL, "kernel-af-xdp", "unknown", "cannot be read", NULL},
	{"/dev/net/tun", NULL, "kernel-tun", "bad", "punt interface", "modprobe tun"},
	{CPU "online", "0-2\n", "lcores", "bad", "others (3, main 0)", NULL},
	{CPU "online", "1-3\n", "lcores", "bad", "(main 0)", NULL},
	{CPU "online", NULL, "lcores", "unknown", "cannot be read", NULL},
	{CPU "isolated", "\n", "isolcpus", "warn", "CPUs 2,3 of workers are not in it (empty)", "isolcpus=2,3 nohz_full=2,3"},
	{CPU "isolated", "3\n", "isolcpus", "warn", "CPUs 2 of workers", "isolcpus=2,3"},
	{CPU "isolated", NULL, "isolcpus", "unknown", "not there", "isolcpus=2,3"},
	{CPU "nohz_full", "0-2\n", "nohz-full", "warn", "CPUs 3 of workers", "nohz_full=2,3"},
	{CPU "nohz_full", NULL, "nohz-full", "unknown", "built without", NULL},
	{CPU "online", "0-7\n", "hyperthreads", "warn", "CPU 2 of a worker shares its core with CPU 6", "cpu6/online"},
	{CPU "cpu3/topology/thread_siblings_list", "2-3\n", "hyperthreads", "warn", "also a worker's", NULL},
	{CPU "cpu3/topology/thread_siblings_list", "0,3\n", "hyperthreads", "warn", "the main lcore's", "cpu0/online"},
	{CPU "cpu3/cpufreq/scaling_governor", "powersave\n", "governor", "warn", "CPUs 3: powersave", "for c in $(echo 3 "},
	{CPU "cpu3/cpuidle/state2/disable", "0\n", "idle-states", "warn", "CPUs 3 may go to C6, 133 us", "cpupower -c 3 idle-set -D 10"},
	{"/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n", "clocksource", "warn", "hpet", "echo tsc"},
	{"/sys/devices/system/clocksource/clocksource0/current_clocksource", "kvm-clock\n", "clocksource", "ok", "kvm-clock", NULL},
	{"/sys/devices/system/clocksource/clocksource0/current_clocksource", NULL, "clocksource", "unknown", "does not say", NULL},
	{HUGE_ "2048kB/free_hugepages", "511\n", "huge-pages", "bad", "1022 MiB free, 1024 wanted: the dataplane does not start",
	 "vm.nr_hugepages=513"},
	{"/sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages", "0\n", "huge-pages", "warn",
	 "none on node 1, where the worker on CPU 2 is",
	 "echo 512 >/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages"},
	{HUGE_ "2048kB/free_hugepages", "0\n", "huge-pages", "bad", "0 MiB free", "vm.nr_hugepages=1024"},
	{"/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n", "transparent-huge-pages", "warn", "always",
	 "echo madvise"},
	{"/sys/kernel/mm/transparent_hugepage/enabled", NULL, "transparent-huge-pages", "unknown", "does not say", NULL},
	{"/proc/self/limits", "Max locked memory  8388608  8388608 bytes\n", "memlock", "warn", "8192 KiB", "ulimit -l unlimited"},
	{"/proc/self/limits", "Max locked memory  2147483648  2147483648 bytes\n", "memlock", "ok", "2048 MiB", NULL},
	{"/proc/self/limits", "Max open files 1\n", "memlock", "unknown", "cannot be read", NULL},
	{"/proc/77/comm", "irqbalance\n", "irqbalance", "warn", "it runs", "systemctl disable --now irqbalance"},
	{PCI "numa_node", "0\n", "ports[0].numa", "warn", "on node 0, the worker on CPU 2 on node 1: name CPUs of 0-1,4-5", NULL},
	{PCI "numa_node", "-1\n", "ports[0].numa", "unknown", "names no node though", NULL},
	{PCI "iommu_group", NULL, "ports[0].iommu", "bad", "no IOMMU group", "intel_iommu=on iommu=pt"},
	{PCI "driver", NULL, "ports[0].driver", "bad", "no driver", "dpdk-devbind.py -b vfio-pci 0000:3b:00.0"},
	{"/sys/class/net/eth1", NULL, "ports[2].interface", "bad", "no interface eth1", "ip -br link"},
	{"/sys/class/net/eth1/mtu", "1500\n", "ports[2].interface", "bad", "MTU of 1500, the port 3000", "ip link set dev eth1 mtu 3000"},
	{"/sys/class/net/eth2/operstate", "down\n", "ports[3].interface", "bad", "eth2 is down", "ip link set dev eth2 up"},
};

static void test_cases(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *level;

		good();
		if (cases[i].content == NULL)
			drop(cases[i].path);
		else
			put(cases[i].path, cases[i].content);
		level = is(cases[i].check, cases[i].found, cases[i].mend);
		if (strcmp(level, cases[i].level) != 0)
			fprintf(stderr, "case %zu, %s: %s\n", i, cases[i].check, level);
		CU_ASSERT_STRING_EQUAL(level, cases[i].level);
	}
}

static void test_drivers(void)
{
	static const struct {
		const char *driver, *level, *mend;
	} t[] = {{"mlx5_core", "ok", NULL}, {"vfio-pci", "ok", NULL}, {"ixgbe", "bad", "dpdk-devbind"},
		 {"uio_pci_generic", "warn", "dpdk-devbind"}, {"igb_uio", "warn", "dpdk-devbind"}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char to[60];

		good();
		snprintf(to, sizeof(to), "../../drivers/%s", t[i].driver);
		point(PCI "driver", to);
		CU_ASSERT_STRING_EQUAL(is("ports[0].driver", t[i].driver, t[i].mend), t[i].level);
	}
	good();
	drop(PCI "iommu_group");
	put("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
	CU_ASSERT_STRING_EQUAL(is("ports[0].iommu", "without IOMMU", "noiommu"), "warn");
	drop("/sys/module");
	drop("/sys/bus/pci/devices");
	CU_ASSERT_STRING_EQUAL(is("ports[0].driver", "no PCI device 0000:3b:00.0", "lspci"), "bad");
	good();
	drop("/sys/devices/system/node/node1");
	put(PCI "numa_node", "-1\n");
	CU_ASSERT_STRING_EQUAL(is("ports[0].numa", "there is one", NULL), "ok");
}

static void test_several_files(void)
{
	char path[100];

	good();
	for (int c = 2; c < 4; c++) {
		snprintf(path, sizeof(path), CPU "cpu%d/cpufreq", c);
		drop(path);
		snprintf(path, sizeof(path), CPU "cpu%d/cpuidle", c);
		drop(path);
		snprintf(path, sizeof(path), CPU "cpu%d/topology", c);
		drop(path);
	}
	CU_ASSERT_STRING_EQUAL(is("governor", "the firmware decides", NULL), "unknown");
	CU_ASSERT_STRING_EQUAL(is("idle-states", "the firmware decides", NULL), "unknown");
	CU_ASSERT_STRING_EQUAL(is("hyperthreads", "cannot be read", NULL), "unknown");
	put("/proc/cpuinfo", "a\nflags\t:" FLAGS " hypervisor\n");
	CU_ASSERT_STRING_EQUAL(is("governor", "the host decides", NULL), "unknown");
	CU_ASSERT_STRING_EQUAL(is("idle-states", "the host decides", NULL), "unknown");
	/* somebody asks for short wake-ups: 10 us, as the kernel gives it */
	good();
	put(CPU "cpu2/cpuidle/state2/disable", "0\n");
	snprintf(path, sizeof(path), "%s/dev/cpu_dma_latency", root);
	FILE *f = fopen(path, "w");
	const int32_t us = 10;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fwrite(&us, sizeof(us), 1, f);
	fclose(f);
	CU_ASSERT_STRING_EQUAL(is("idle-states", "within 10 us", NULL), "ok");
	drop("/dev/cpu_dma_latency");
	/* a running dataplane holds what is missing */
	good();
	put(HUGE_ "2048kB/free_hugepages", "0\n");
	put("/run/ravelin/dataplane.sock", "");
	CU_ASSERT_STRING_EQUAL(is("huge-pages", "by a running dataplane", NULL), "ok");
	drop("/run");
	/* 1 GiB pages count */
	put(HUGE_ "1048576kB/free_hugepages", "1\n");
	CU_ASSERT_STRING_EQUAL(is("huge-pages", "1024 MiB free", NULL), "ok");
	drop("/sys/kernel/mm/hugepages");
	CU_ASSERT_STRING_EQUAL(is("huge-pages", "a container", NULL), "bad");
	cfg->dataplane.huge_pages = CFG_HUGE_AUTO;
	CU_ASSERT_STRING_EQUAL(is("huge-pages", "a container", NULL), "unknown");
	good();
	put(HUGE_ "1048576kB/free_hugepages", "0\n");
	put(HUGE_ "2048kB/free_hugepages", "3\n");
	CU_ASSERT_STRING_EQUAL(is("huge-pages", "ordinary pages are used", "nr_hugepages=1021"), "warn");
	cfg->dataplane.huge_pages = CFG_HUGE_NEVER;
	CU_ASSERT_STRING_EQUAL(is("huge-pages", "never", "huge_pages: auto"), "warn");
	cfg->dataplane.huge_pages = CFG_HUGE_REQUIRE;
	/* nothing there at all: nothing is ok but what nobody needs, and nothing crashes */
	drop("/proc");
	drop("/sys");
	drop("/dev");
	CU_ASSERT_STRING_EQUAL(is("irqbalance", "cannot be read", NULL), "unknown");
	CU_ASSERT_STRING_EQUAL(is("ports[0].driver", "no PCI device", "lspci"), "bad");
}

static void test_disk(void)
{
	char dir[] = "/tmp/doctor-disk.XXXXXX";

	good();
	sync_is = 9999;
	CU_ASSERT_STRING_EQUAL(is("state-disk", "9999 us", NULL), "ok");
	sync_is = 10000;
	CU_ASSERT_STRING_EQUAL(is("state-disk", "calls wait", NULL), "warn");
	sync_is = 100000;
	CU_ASSERT_STRING_EQUAL(is("state-disk", "calls wait", NULL), "bad");
	sync_is = -ENOENT;
	CU_ASSERT_STRING_EQUAL(is("state-disk", "not there yet", "install -d -m 0700 -o ravelin -g ravelin /var/lib/ravelin"), "unknown");
	sync_is = -EACCES;
	CU_ASSERT_STRING_EQUAL(is("state-disk", "as root or ravelin", NULL), "unknown");
	sync_is = -EROFS;
	CU_ASSERT_STRING_EQUAL(is("state-disk", "Read-only", NULL), "bad");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	CU_ASSERT(ctl_doctor_sync_us(dir) > 0);
	CU_ASSERT_EQUAL(rmdir(dir), 0); /* it left nothing */
	CU_ASSERT_EQUAL(ctl_doctor_sync_us(dir), -ENOENT);
}

static void test_print(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	json_t *list = json_pack("[{s:s,s:s,s:s},{s:s,s:s,s:s,s:s}]", "check", "a", "level", "ok", "found", "fine", "check", "b",
				 "level", "bad", "found", "broken", "mend", "do this");

	CU_ASSERT_EQUAL(ctl_doctor_print(f, list), 1);
	fclose(f);
	CU_ASSERT_STRING_EQUAL(text, "ok       a                       fine\n"
				     "bad      b                       broken\n"
				     "                                 mend: do this\n");
	free(text);
	json_decref(list);
}

static CU_TestInfo tests[] = {
	{"a good machine", test_good},
	{"one thing wrong at a time", test_cases},
	{"drivers, IOMMU, nodes", test_drivers},
	{"what takes several files", test_several_files},
	{"the disk", test_disk},
	{"printing", test_print},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("doctor", tests, setup, teardown)
