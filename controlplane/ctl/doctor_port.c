/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelinctl doctor: the devices behind dataplane.ports. */
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "doctor_int.h"

/* "pci:3b:00.0" as sysfs calls it. False: another kind. */
static bool pci_address(const char *device, char *buf, size_t size)
{
	if (strncmp(device, "pci:", 4) != 0)
		return false;
	device += 4;
	/* with one colon the domain is left out */
	snprintf(buf, size, "%s%s", strchr(device, ':') == strrchr(device, ':') ? "0000:" : "", device);
	return true;
}

static void pci_port(struct doc *d, unsigned int i, const char *addr)
{
	char check[80], link[PATH_MAX], drv[PATH_MAX] = "", mend[300], cpus[512] = "";
	const char *name;
	int64_t node = -1;
	ssize_t n;

	snprintf(check, sizeof(check), "ports[%u].driver", i);
	if (!doc_there(d, "/sys/bus/pci/devices/%s", addr)) {
		doc_say(d, check, DOC_BAD, "lspci -D | grep -i ethernet", "there is no PCI device %s", addr);
		return;
	}
	n = snprintf(link, sizeof(link), "%s/sys/bus/pci/devices/%s/driver", d->env->root, addr) < PATH_MAX
		    ? readlink(link, drv, sizeof(drv) - 1)
		    : -1;
	drv[n > 0 ? n : 0] = '\0';
	name = strrchr(drv, '/') != NULL ? strrchr(drv, '/') + 1 : drv;
	snprintf(mend, sizeof(mend), "modprobe vfio-pci && dpdk-devbind.py -b vfio-pci %s", addr);
	if (strcmp(name, "vfio-pci") == 0)
		doc_say(d, check, DOC_OK, NULL, "%s: vfio-pci", addr);
	else if (strncmp(name, "mlx", 3) == 0)
		doc_say(d, check, DOC_OK, NULL, "%s: %s, shared with the kernel", addr, name);
	else if (strcmp(name, "uio_pci_generic") == 0 || strcmp(name, "igb_uio") == 0)
		doc_say(d, check, DOC_WARN, mend, "%s: %s, without protection by the IOMMU", addr, name);
	else
		doc_say(d, check, DOC_BAD, mend, "%s: %s%s", addr, name[0] != '\0' ? name : "no driver",
		    name[0] != '\0' ? ", the kernel has it" : "");
	snprintf(check, sizeof(check), "ports[%u].iommu", i);
	if (doc_there(d, "/sys/bus/pci/devices/%s/iommu_group", addr))
		doc_say(d, check, DOC_OK, NULL, "%s is in an IOMMU group", addr);
	else if (doc_text(d, link, sizeof(link), "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode") && link[0] == 'Y')
		doc_say(d, check, DOC_WARN, "echo N >/sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
		    "%s: vfio without IOMMU, the device can write any memory", addr);
	else
		doc_say(d, check, DOC_BAD, "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&intel_iommu=on iommu=pt /' /etc/default/grub && update-grub && reboot",
		    "%s is in no IOMMU group: vfio-pci does not take it", addr);
	snprintf(check, sizeof(check), "ports[%u].numa", i);
	if (!doc_number(d, &node, "/sys/bus/pci/devices/%s/numa_node", addr) || node < 0) {
		doc_say(d, check, doc_there(d, "/sys/devices/system/node/node1") ? DOC_UNKNOWN : DOC_OK, NULL, "%s names no node%s", addr,
		    doc_there(d, "/sys/devices/system/node/node1") ? " though there are several" : ", there is one");
		return;
	}
	(void)doc_text(d, cpus, sizeof(cpus), "/sys/devices/system/node/node%d/cpulist", (int)node);
	for (unsigned int k = 0; k < d->dp->worker_lcores_count; k++) {
		int at = doc_node_of(d, d->dp->worker_lcores[k]);

		if (at >= 0 && at != node) {
			doc_say(d, check, DOC_WARN, NULL, "%s is on node %d, the worker on CPU %u on node %d: name CPUs of %s in worker_lcores",
			    addr, (int)node, d->dp->worker_lcores[k], at, cpus);
			return;
		}
	}
	doc_say(d, check, DOC_OK, NULL, "%s is on node %d like the workers", addr, (int)node);
}

static void kernel_port(struct doc *d, unsigned int i, const char *ifname)
{
	const struct cfg_dp_port *p = &d->dp->ports[i];
	char check[40], buf[32], mend[120];
	int64_t mtu = 0, want = p->mtu != 0 ? p->mtu : 1500;

	snprintf(check, sizeof(check), "ports[%u].interface", i);
	if (!doc_there(d, "/sys/class/net/%s", ifname)) {
		doc_say(d, check, DOC_BAD, "ip -br link", "there is no interface %s", ifname);
		return;
	}
	(void)doc_number(d, &mtu, "/sys/class/net/%s/mtu", ifname);
	if (p->mtu != 0 && mtu < want) {
		snprintf(mend, sizeof(mend), "ip link set dev %s mtu %lld", ifname, (long long)want);
		doc_say(d, check, DOC_BAD, mend, "%s has an MTU of %lld, the port %lld", ifname, (long long)mtu, (long long)want);
	} else if (doc_text(d, buf, sizeof(buf), "/sys/class/net/%s/operstate", ifname) && strcmp(buf, "down") == 0) {
		snprintf(mend, sizeof(mend), "ip link set dev %s up", ifname);
		doc_say(d, check, DOC_BAD, mend, "%s is down", ifname);
	} else {
		doc_say(d, check, DOC_OK, NULL, "%s, MTU %lld", ifname, (long long)mtu);
	}
}

void doc_ports(struct doc *d)
{
	for (unsigned int i = 0; i < d->dp->ports_count; i++) {
		const char *device = d->dp->ports[i].device;
		bool seen = false;
		char addr[64];

		for (unsigned int k = 0; k < i; k++)
			seen = seen || strcmp(d->dp->ports[k].device, device) == 0;
		if (!seen && pci_address(device, addr, sizeof(addr)))
			pci_port(d, i, addr);
		else if (strncmp(device, "af_packet:", 10) == 0 || strncmp(device, "af_xdp:", 7) == 0)
			kernel_port(d, i, strchr(device, ':') + 1);
	}
	if (d->dp->ports_count == 0)
		doc_say(d, "ports", DOC_WARN, NULL, "none is configured: no media");
}
