/* SPDX-License-Identifier: BSD-3-Clause */
#include "port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

/* The kinds of device that 'device: KIND:REST' may name. A new one is a line here. */
static const struct {
	const char *kind;
	const char *vdev;   /* driver; NULL: PCI */
	const char *args;   /* what is put before REST; NULL: REST is not used */
	const char *extra;  /* behind REST; %1$u queue pairs, %2$u descriptors */
	bool kernel;
} kinds[] = {
	{"pci:", NULL, "", "", false},
	{"af_packet:", "net_af_packet", ",iface=", ",qpairs=%1$u,blocksz=4096,framesz=2048,framecnt=%2$u", true},
	{"af_xdp:", "net_af_xdp", ",iface=", ",start_queue=0,queue_count=%1$u", true},
	{"tap:", "net_tap", ",iface=", "", true},
	{"memif:", "net_memif", ",", "", false}, /* REST: memif's own arguments */
	{"pcap:", "net_pcap", ",rx_pcap=", "", false},
	{"ring", "net_ring", NULL, "", false},
	{"null", "net_null", NULL, "", false},
};
#define KIND_CNT (sizeof(kinds) / sizeof(kinds[0]))

static int kind_of(const char *device, const char **ret_rest)
{
	for (unsigned int i = 0; i < KIND_CNT; i++) {
		size_t len = strlen(kinds[i].kind);

		if (strncmp(device, kinds[i].kind, len) != 0)
			continue;
		*ret_rest = device + len;
		if (kinds[i].args == NULL ? **ret_rest != '\0' : **ret_rest == '\0')
			return -EINVAL;
		/* A comma would end the name and begin an argument of its own. */
		if (strcmp(kinds[i].kind, "memif:") != 0 && strchr(*ret_rest, ',') != NULL)
			return -EINVAL;
		return (int)i;
	}
	return -EINVAL;
}

int dp_port_eal_arg(const char *device, unsigned int n, uint16_t queues, uint16_t ring_desc, char *buf, size_t size)
{
	const char *rest;
	int k = kind_of(device, &rest);
	char extra[128];
	int len;

	if (k < 0)
		return k;
	if (kinds[k].vdev == NULL) {
		len = snprintf(buf, size, "--allow=%s", rest);
	} else {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* both formats are in the table above */
#pragma GCC diagnostic ignored "-Wformat-extra-args"
		snprintf(extra, sizeof(extra), kinds[k].extra, (unsigned int)queues, (unsigned int)ring_desc & ~1u);
#pragma GCC diagnostic pop
		len = snprintf(buf, size, "--vdev=%s%u%s%s%s", kinds[k].vdev, n, kinds[k].args ? kinds[k].args : "",
			       rest, extra);
	}
	return len < 0 || (size_t)len >= size ? -EINVAL : 0;
}

bool dp_port_is_pci(const char *device)
{
	const char *rest;
	int k = kind_of(device, &rest);

	return k >= 0 && kinds[k].vdev == NULL;
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

int dp_port_start(struct dp_port *port, uint16_t id, uint16_t queues, uint16_t desc, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	const char *rest, *what = "info";
	int k = kind_of(port->device, &rest);
	int socket = rte_eth_dev_socket_id(id);
	int rc = rte_eth_dev_info_get(id, &info);

	port->id = id;
	port->kernel = k >= 0 && kinds[k].kernel;
	if (rc < 0)
		goto fail;
	if (queues > 1 && info.flow_type_rss_offloads != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
			(RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP) & info.flow_type_rss_offloads;
	}
	what = "configure";
	rc = rte_eth_dev_configure(id, queues, queues, &conf);
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
	rc = rte_eth_macaddr_get(id, &mac);
	if (rc < 0)
		goto fail;
	memcpy(port->mac, mac.addr_bytes, 6);
	if (rte_eth_dev_get_mtu(id, &port->mtu) < 0 || port->mtu > 1500 || port->mtu < 576)
		port->mtu = 1500;
	/* Neighbour discovery comes by multicast; a driver that cannot filter delivers it anyway. */
	(void)rte_eth_allmulticast_enable(id);
	return 0;
fail:
	cfg_log(CFG_LOG_ERR, "port-failed", "device=%s step=%s error=%s", port->device, what, rte_strerror(-rc));
	return rc;
}

void dp_port_stop(struct dp_port *port)
{
	if (!port->started)
		return;
	(void)rte_eth_dev_stop(port->id);
	(void)rte_eth_dev_close(port->id);
	port->started = false;
}

/* --- addresses --- */

static uint32_t hash(const uint8_t *ip)
{
	uint64_t a, b;

	memcpy(&a, ip, 8);
	memcpy(&b, ip + 8, 8);
	return (uint32_t)(((a ^ (b << 9 | b >> 55)) * 0x9e3779b97f4a7c15u) >> 40);
}

void dp_locals_init(struct dp_locals *l)
{
	memset(l, 0, sizeof(*l));
	memset(l->bucket, 0xff, sizeof(l->bucket));
}

int dp_locals_add(struct dp_locals *l, uint8_t family, const uint8_t *ip, uint8_t port, int16_t media_idx)
{
	uint32_t at = hash(ip) % 1024;

	if (dp_locals_find(l, family, ip) != NULL)
		return -EEXIST;
	if (l->n == DP_LOCAL_MAX)
		return -ENOSPC;
	while (l->bucket[at] != DP_LOCAL_NONE)
		at = (at + 1) % 1024;
	l->bucket[at] = l->n;
	l->a[l->n] = (struct dp_local){.family = family, .port = port, .media_idx = media_idx};
	memcpy(l->a[l->n].ip, ip, 16);
	l->n++;
	return 0;
}

const struct dp_local *dp_locals_find(const struct dp_locals *l, uint8_t family, const uint8_t *ip)
{
	for (uint32_t at = hash(ip) % 1024; l->bucket[at] != DP_LOCAL_NONE; at = (at + 1) % 1024) {
		const struct dp_local *a = &l->a[l->bucket[at]];

		if (a->family == family && memcmp(a->ip, ip, 16) == 0)
			return a;
	}
	return NULL;
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
