/* SPDX-License-Identifier: BSD-3-Clause */
#include "port.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

/* Behind the IP packet of a frame: tags, CRC and what ciphers append before the length is checked. */
#define LINK_BYTES (RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN)
#define TAIL_BYTES 192
/* af_packet's ring: what the kernel puts in front of a frame, and the pages that blocks are made of. */
#define TPACKET_BYTES 96
#define PAGE_BYTES    4096u

enum kind { K_PCI, K_PACKET, K_XDP, K_TAP, K_MEMIF, K_PCAP, K_RING, K_NULL, KINDS };

/* The kinds of device that 'device: KIND:REST' may name (config's cfg_device_check() has looked at REST). */
static const struct {
	const char *kind;
	const char *vdev; /* driver; NULL: PCI */
	bool kernel;      /* a socket of the kernel */
	bool ptp;         /* the peer is the kernel's end, which has the ethdev's MAC: ours must be another */
} kinds[KINDS] = {
	[K_PCI] = {"pci", NULL, false, false},
	[K_PACKET] = {"af_packet", "net_af_packet", true, false},
	[K_XDP] = {"af_xdp", "net_af_xdp", true, false},
	[K_TAP] = {"tap", "net_tap", true, true},
	[K_MEMIF] = {"memif", "net_memif", false, false},
	[K_PCAP] = {"pcap", "net_pcap", false, false},
	[K_RING] = {"ring", "net_ring", false, false},
	[K_NULL] = {"null", "net_null", false, false},
};

static int kind_of(const char *device, const char **ret_rest)
{
	char why[160];
	size_t len = strcspn(device, ":");

	if (cfg_device_check(device, why, sizeof(why)) < 0)
		return -EINVAL;
	*ret_rest = device[len] == ':' ? device + len + 1 : device + len;
	for (int i = 0; i < KINDS; i++)
		if (strlen(kinds[i].kind) == len && memcmp(kinds[i].kind, device, len) == 0)
			return i;
	return -EINVAL;
}

/*
 * af_packet's frames of a block lie without gaps, so a block is a page with frames of half or the whole of it, or one
 * frame of whole pages.
 */
static uint32_t packet_frame(uint16_t mtu)
{
	uint32_t need = (uint32_t)mtu + LINK_BYTES + TPACKET_BYTES;

	return need <= PAGE_BYTES / 2 ? PAGE_BYTES / 2 : RTE_ALIGN_CEIL(need, PAGE_BYTES);
}

uint16_t dp_port_buf_size(const char *device, uint16_t mtu)
{
	const char *rest;
	uint32_t need;

	if (mtu == 0)
		mtu = DP_PORT_MTU;
	need = RTE_PKTMBUF_HEADROOM + (uint32_t)mtu + LINK_BYTES + TAIL_BYTES;
	/* The driver demands that a whole slot of its ring fits. */
	if (kind_of(device, &rest) == K_PACKET)
		need = RTE_MAX(need, RTE_PKTMBUF_HEADROOM + packet_frame(mtu));
	return (uint16_t)RTE_ALIGN_CEIL(RTE_MAX(need, (uint32_t)RTE_MBUF_DEFAULT_BUF_SIZE), 64);
}

unsigned int dp_port_first(const struct cfg_dataplane *dc, unsigned int i)
{
	for (unsigned int k = 0; k < i; k++)
		if (strcmp(dc->ports[k].device, dc->ports[i].device) == 0)
			return k;
	return i;
}

uint16_t dp_port_dev_mtu(const struct cfg_dataplane *dc, const char *device)
{
	uint16_t mtu = 0;
	bool said = false;

	for (unsigned int i = 0; i < dc->ports_count; i++) {
		if (strcmp(dc->ports[i].device, device) != 0)
			continue;
		said = said || dc->ports[i].mtu != 0;
		if (dc->ports[i].mtu > mtu)
			mtu = dc->ports[i].mtu;
		if (dc->ports[i].mtu == 0 && mtu < DP_PORT_MTU)
			mtu = DP_PORT_MTU;
	}
	return said ? mtu : 0;
}

static int pcap_args(const char *rest, char *buf, size_t size)
{
	int file = (int)strcspn(rest, ","), n = snprintf(buf, size, "rx_pcap=%.*s", file, rest);

	for (const char *p = rest + file; *p == ',' && n >= 0 && (size_t)n < size; p += strcspn(p, ",")) {
		p++;
		if (strncmp(p, "tx=", 3) == 0)
			n += snprintf(buf + n, size - (size_t)n, ",tx_pcap=%.*s", (int)strcspn(p + 3, ","), p + 3);
		else
			n += snprintf(buf + n, size - (size_t)n, ",infinite_rx=1");
	}
	return n;
}

int dp_port_eal_arg(const char *device, unsigned int n, uint16_t queues, uint16_t ring_desc, uint16_t mtu, char *buf,
		    size_t size)
{
	const char *rest;
	int k = kind_of(device, &rest), len;
	char args[600];
	uint32_t frame, block;

	if (k < 0)
		return k;
	if (k == K_PCI) {
		len = snprintf(buf, size, "--allow=%s", rest);
		return len < 0 || (size_t)len >= size ? -EINVAL : 0;
	}
	switch ((enum kind)k) {
	case K_PACKET:
		frame = packet_frame(mtu == 0 ? DP_PORT_MTU : mtu);
		block = RTE_MAX(frame, PAGE_BYTES);
		len = snprintf(args, sizeof(args), ",iface=%s,qpairs=%u,blocksz=%u,framesz=%u,framecnt=%u", rest,
			       queues, block, frame, ring_desc & ~1u);
		break;
	case K_XDP:
		len = snprintf(args, sizeof(args), ",iface=%s,start_queue=0,queue_count=%u", rest, queues);
		break;
	case K_TAP:
		len = snprintf(args, sizeof(args), ",iface=%s", rest);
		break;
	case K_MEMIF: /* a client of DPDK 22.11 dies with its server: we are the server unless told otherwise */
		len = snprintf(args, sizeof(args), ",%s%s%s",
			       strncmp(rest, "role=", 5) == 0 || strstr(rest, ",role=") != NULL ? "" : "role=server,",
			       strstr(rest, "socket-abstract=") != NULL ? "" : "socket-abstract=no,", rest);
		break;
	case K_PCAP:
		args[0] = ',';
		len = pcap_args(rest, args + 1, sizeof(args) - 1) + 1;
		break;
	case K_NULL: /* it would make zeros without end */
		len = snprintf(args, sizeof(args), ",no-rx=1");
		break;
	default:
		args[0] = '\0';
		len = 0;
	}
	if (len < 0 || (size_t)len >= sizeof(args))
		return -EINVAL;
	len = snprintf(buf, size, "--vdev=%s%u%s", kinds[k].vdev, n, args);
	return len < 0 || (size_t)len >= size ? -EINVAL : 0;
}

bool dp_port_is_pci(const char *device)
{
	const char *rest;

	return kind_of(device, &rest) == K_PCI;
}

bool dp_port_keeps_buffers(const char *device)
{
	const char *rest;

	return kind_of(device, &rest) == K_XDP;
}

int dp_port_ethdev(const char *device, unsigned int n, uint16_t *ret_id)
{
	const char *rest;
	int k = kind_of(device, &rest);
	char name[RTE_ETH_NAME_MAX_LEN];

	if (k < 0)
		return k;
	if (kinds[k].vdev == NULL)
		snprintf(name, sizeof(name), "%s", rest);
	else
		snprintf(name, sizeof(name), "%s%u", kinds[k].vdev, n);
	return rte_eth_dev_get_port_by_name(name, ret_id) == 0 ? 0 : -ENODEV;
}

/* The MTU of a kernel's interface: 0 if it cannot be known. */
static uint16_t kernel_mtu(const char *ifname)
{
	struct ifreq ifr = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint16_t mtu = 0;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (fd >= 0 && ioctl(fd, SIOCGIFMTU, &ifr) == 0 && ifr.ifr_mtu > 0)
		mtu = (uint16_t)RTE_MIN(ifr.ifr_mtu, (int)UINT16_MAX);
	if (fd >= 0)
		close(fd);
	return mtu;
}

/*
 * Between configure and start: the MTU that is wanted. Drivers of sockets know 1,500 only and leave the rest to the
 * interface; those without a wire have none.
 */
static int set_mtu(struct dp_port *port, int k, const char *rest, uint16_t id)
{
	uint16_t want = port->mtu, mtu = 0;
	int rc;

	if (want == 0) {
		if (rte_eth_dev_get_mtu(id, &mtu) < 0 || mtu > DP_PORT_MTU || mtu < 576)
			mtu = DP_PORT_MTU;
		port->mtu = mtu;
		return 0;
	}
	if (k == K_PACKET || k == K_XDP) {
		mtu = kernel_mtu(rest);
		if (mtu != 0 && mtu < want) {
			cfg_log(CFG_LOG_ERR, "port-mtu", "device=%s wanted=%u interface=%u mend=\"ip link set dev %s mtu %u\"",
				port->device, want, mtu, rest, want);
			return -EINVAL;
		}
		return 0;
	}
	rc = rte_eth_dev_set_mtu(id, want);
	return rc == -ENOTSUP ? 0 : rc;
}

static int set_mac(struct dp_port *port, int k, uint16_t id)
{
	struct rte_ether_addr mac;
	int rc;

	if (port->has_mac) {
		memcpy(mac.addr_bytes, port->mac, 6);
		rc = rte_eth_dev_default_mac_addr_set(id, &mac);
		if (k == K_PCI)
			return rc;
		return 0; /* where there is no filter it is enough that we know it */
	}
	rc = rte_eth_macaddr_get(id, &mac);
	if (rc < 0)
		return rc;
	memcpy(port->mac, mac.addr_bytes, 6);
	if (rte_is_zero_ether_addr(&mac) != 0) {
		const uint8_t own[6] = {0x02, 0x72, 0x76, 0, (uint8_t)(id >> 8), (uint8_t)id};

		memcpy(port->mac, own, 6);
	}
	if (k >= 0 && kinds[k].ptp)
		port->mac[5] ^= 1;
	return 0;
}

int dp_port_start(struct dp_port *port, uint16_t id, uint16_t queues, uint16_t desc, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	const char *rest = "", *what = "info";
	int k = kind_of(port->device, &rest);
	int socket = rte_eth_dev_socket_id(id);
	int rc = rte_eth_dev_info_get(id, &info);

	port->id = id;
	port->kernel = k >= 0 && kinds[k].kernel;
	if (rc < 0)
		goto fail;
	if (queues > 1 && info.flow_type_rss_offloads != 0) {
		port->rss = true;
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
			(RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP) & info.flow_type_rss_offloads;
	}
	what = "mtu";
	rc = -EINVAL;
	if (k == K_PCI && port->mtu != 0) {
		if (port->mtu > info.max_mtu)
			goto fail;
		conf.rxmode.mtu = port->mtu;
	}
	what = "configure";
	rc = rte_eth_dev_configure(id, queues, queues, &conf);
	if (rc < 0)
		goto fail;
	what = "mtu";
	rc = set_mtu(port, k, rest, id);
	if (rc < 0)
		goto fail;
	what = "queues";
	for (uint16_t q = 0; q < queues; q++) {
		rc = rte_eth_rx_queue_setup(id, q, desc, (unsigned int)socket, NULL, pool);
		if (rc == 0)
			rc = rte_eth_tx_queue_setup(id, q, desc, (unsigned int)socket, NULL);
		if (rc < 0)
			goto fail;
	}
	what = "start";
	rc = rte_eth_dev_start(id);
	if (rc < 0)
		goto fail;
	port->started = true;
	what = "mac";
	rc = set_mac(port, k, id);
	if (rc < 0)
		goto fail;
	/* Neighbour discovery comes by multicast; a driver that cannot filter delivers it anyway. */
	(void)rte_eth_allmulticast_enable(id);
	return 0;
fail:
	cfg_log(CFG_LOG_ERR, "port-failed", "device=%s step=%s error=%s", port->device, what, rte_strerror(-rc));
	return rc;
}

void dp_port_stop(struct dp_port *port)
{
	free(port->by_vlan);
	port->by_vlan = NULL;
	if (!port->started)
		return;
	(void)rte_eth_dev_stop(port->id);
	(void)rte_eth_dev_close(port->id);
	port->started = false;
}

int dp_port_tagged(struct dp_port *ports, uint8_t i)
{
	uint8_t *tab = malloc(4096);

	if (tab == NULL)
		return -ENOMEM;
	memset(tab, DP_PORT_NONE, 4096);
	tab[ports[i].vlan] = i;
	ports[i].by_vlan = tab;
	return 0;
}

int dp_port_share(struct dp_port *ports, uint8_t first, uint8_t i)
{
	struct dp_port *a = &ports[first], *b = &ports[i];
	int rc = a->by_vlan != NULL ? 0 : dp_port_tagged(ports, first);

	if (rc < 0)
		return rc;
	if (a->by_vlan[b->vlan] != DP_PORT_NONE)
		return -EEXIST;
	a->by_vlan[b->vlan] = i;
	b->id = a->id;
	b->dev = first;
	b->kernel = a->kernel;
	memcpy(b->mac, a->mac, 6);
	if (b->mtu == 0)
		b->mtu = a->mtu < DP_PORT_MTU ? a->mtu : DP_PORT_MTU;
	return 0;
}

/* --- addresses --- */

void dp_locals_init(struct dp_locals *l)
{
	memset(l, 0, sizeof(*l));
	memset(l->bucket, 0xff, sizeof(l->bucket));
}

int dp_locals_add(struct dp_locals *l, uint8_t family, const uint8_t *ip, uint8_t port, int16_t media_idx)
{
	uint32_t at = dp_locals_bucket(ip);

	if (dp_locals_find(l, family, ip) != NULL)
		return -EEXIST;
	if (l->n == DP_LOCAL_MAX)
		return -ENOSPC;
	while (l->bucket[at] != DP_LOCAL_NONE)
		at = (at + 1) % DP_LOCAL_BUCKETS;
	l->bucket[at] = l->n;
	l->a[l->n] = (struct dp_local){.family = family, .port = port, .media_idx = media_idx};
	memcpy(l->a[l->n].ip, ip, 16);
	l->n++;
	return 0;
}

static bool on_link(const struct cfg_addr *net, const uint8_t *ip)
{
	unsigned int bytes = net->plen / 8, bits = net->plen % 8;

	if (memcmp(net->ip, ip, bytes) != 0)
		return false;
	return bits == 0 || ((net->ip[bytes] ^ ip[bytes]) & (0xff00 >> bits) & 0xff) == 0;
}

bool dp_port_next_hop(const struct dp_port *port, uint8_t family, const uint8_t *dst, const uint8_t **ret_hop)
{
	const struct cfg_addr *gw = family == 4 ? &port->gw4 : &port->gw6;

	if (family == 6 && dst[0] == 0xfe && (dst[1] & 0xc0) == 0x80) { /* link-local */
		*ret_hop = dst;
		return true;
	}
	for (unsigned int i = 0; i < port->addr_cnt; i++) {
		if (port->addr[i].family == family && on_link(&port->addr[i], dst)) {
			*ret_hop = dst;
			return true;
		}
	}
	if (gw->family == 0)
		return false;
	*ret_hop = gw->ip;
	return true;
}

const uint8_t *dp_port_own(const struct dp_port *port, uint8_t family, const uint8_t *ip)
{
	const uint8_t *any = NULL;

	for (unsigned int i = 0; i < port->addr_cnt; i++) {
		if (port->addr[i].family != family)
			continue;
		if (on_link(&port->addr[i], ip))
			return port->addr[i].ip;
		if (any == NULL)
			any = port->addr[i].ip;
	}
	return any;
}
