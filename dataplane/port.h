/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports: ethdevs made from configuration, the addresses that the dataplane answers for on each, and where a packet to
 * an address goes next. One queue pair per worker on every port. Main lcore at start and stop; read-only in between.
 */
#ifndef DP_PORT_H
#define DP_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "config.h"

#define DP_PORT_MAX      32
#define DP_PORT_ADDR_MAX 8
#define DP_PORT_NONE     UINT8_MAX
#define DP_PORT_MTU      1500 /* where nothing else is configured */
#define DP_LOCAL_MAX     (DP_PORT_MAX * DP_PORT_ADDR_MAX)
#define DP_LOCAL_NONE    UINT16_MAX
#define DP_LOCAL_BUCKETS 1024

struct rte_mempool;

/* One entry of dataplane.ports. Entries of one device share an ethdev and differ by VLAN. */
struct dp_port {
	uint16_t id;      /* ethdev */
	uint8_t mac[6];
	uint16_t mtu;     /* bytes of the largest IP packet */
	uint16_t vlan;    /* 802.1Q identifier of its frames; 0: untagged */
	uint8_t dev;      /* index of the device's first entry, which receives and sends for all of them */
	bool kernel;      /* a socket of the kernel behind it: an idle worker may sleep */
	bool rss;         /* its queues are filled by RSS */
	bool steers;      /* it was told by rule which queue a shard is for: steer.h */
	bool started;     /* this entry started the ethdev, and stops it */
	bool has_mac;     /* configured: mac */
	bool punt;        /* what is not ours goes to the kernel: punt.h */
	uint8_t *by_vlan; /* of a device with VLANs, at its first entry: [4096] index of the port or DP_PORT_NONE; else NULL */
	uint8_t addr_cnt;
	struct cfg_addr addr[DP_PORT_ADDR_MAX]; /* with prefix length */
	struct cfg_addr gw4, gw6;
	char device[256]; /* as configured */
};

/* An address of ours. */
struct dp_local {
	uint8_t ip[16];
	uint8_t family;
	uint8_t port;      /* index of its port */
	int16_t media_idx; /* index in media.addresses; -1: none */
};

struct dp_locals {
	uint16_t n;
	uint16_t bucket[DP_LOCAL_BUCKETS]; /* open addressing: index or DP_LOCAL_NONE */
	struct dp_local a[DP_LOCAL_MAX];
};

/**
 * Print EAL's argument for a configured device into 'buf': "--vdev=..." or "--allow=...". 'n' numbers the vdevs, 'mtu'
 * is the largest of the device's entries (0: DP_PORT_MTU). 0; -EINVAL: unknown kind or unusable name.
 */
int dp_port_eal_arg(const char *device, unsigned int n, uint16_t queues, uint16_t ring_desc, uint16_t mtu, char *buf,
		    size_t size);

/** Index of the first entry that names the device of entry i: it makes the ethdev. */
unsigned int dp_port_first(const struct cfg_dataplane *dc, unsigned int i);

/** The MTU to set at a device: the largest of its entries. 0: none says one. */
uint16_t dp_port_dev_mtu(const struct cfg_dataplane *dc, const char *device);

/** Bytes of a packet buffer, headroom included, that a device needs for 'mtu' (0: DP_PORT_MTU). Tags and new headers fit. */
uint16_t dp_port_buf_size(const char *device, uint16_t mtu);

/** Is a device of this kind a PCI device (then EAL must probe the bus)? */
bool dp_port_is_pci(const char *device);

/**
 * Does the driver keep the buffers of its receive ring for ever, even when it is closed (af_xdp of DPDK 22.11)? Then it gets a
 * pool of its own, which nobody expects to be full at the end.
 */
bool dp_port_keeps_buffers(const char *device);

/** The ethdev that EAL made for device number 'n'. 0, -EINVAL, -ENODEV. */
int dp_port_ethdev(const char *device, unsigned int n, uint16_t *ret_id);

/**
 * Configure and start ethdev 'id' with 'queues' queue pairs of 'desc' descriptors. On entry mtu (0: the driver's, at most
 * DP_PORT_MTU) and mac with has_mac say what is wanted; fills id, kernel, mac, mtu, started.
 * 0 or the driver's negative errno, logged.
 */
int dp_port_start(struct dp_port *port, uint16_t id, uint16_t queues, uint16_t desc, struct rte_mempool *pool);

/** Stop and close: the driver gives its mbufs back. Frees by_vlan. */
void dp_port_stop(struct dp_port *port);

/**
 * Take ports[i], whose vlan is set, as a further entry of the ethdev that ports[first] has started: sets what they share
 * and enters both VLANs in the first entry's table. 0, -EEXIST (that VLAN has an entry), -ENOMEM.
 */
int dp_port_share(struct dp_port *ports, uint8_t first, uint8_t i);

/** ports[i], alone on its device so far, has a VLAN: make the table. 0, -ENOMEM. */
int dp_port_tagged(struct dp_port *ports, uint8_t i);

/** Enter an address; -EEXIST, -ENOSPC. */
int dp_locals_add(struct dp_locals *l, uint8_t family, const uint8_t *ip, uint8_t port, int16_t media_idx);

void dp_locals_init(struct dp_locals *l);

static inline uint32_t dp_locals_bucket(const uint8_t *ip)
{
	uint64_t a, b;

	memcpy(&a, ip, 8);
	memcpy(&b, ip + 8, 8);
	return (uint32_t)(((a ^ (b << 9 | b >> 55)) * 0x9e3779b97f4a7c15u) >> 40) % DP_LOCAL_BUCKETS;
}

/** Ours? 'ip' with IPv4 in the first four bytes, rest zero. NULL: no. Any lcore. */
static inline const struct dp_local *dp_locals_find(const struct dp_locals *l, uint8_t family, const uint8_t *ip)
{
	for (uint32_t at = dp_locals_bucket(ip); l->bucket[at] != DP_LOCAL_NONE; at = (at + 1) % DP_LOCAL_BUCKETS) {
		const struct dp_local *a = &l->a[l->bucket[at]];

		if (a->family == family && memcmp(a->ip, ip, 16) == 0)
			return a;
	}
	return NULL;
}

/**
 * Next hop on this port for a destination: itself if on link, else the port's gateway. *ret_hop is 16 bytes as in
 * struct dp_frame. False: no way. Any lcore.
 */
bool dp_port_next_hop(const struct dp_port *port, uint8_t family, const uint8_t *dst, const uint8_t **ret_hop);

/** An address of ours on this port to ask for 'ip' from: on its link if there is one. NULL: no address of the family. */
const uint8_t *dp_port_own(const struct dp_port *port, uint8_t family, const uint8_t *ip);

#endif
