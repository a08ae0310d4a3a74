/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The punt path: what reaches a port and is not the dataplane's goes to the kernel through a tap interface, and what the
 * kernel sends there leaves by the port. So TLS, SSH, BGP and IKE run on a NIC that DPDK owns.
 *
 * Tap and not net_tap or virtio-user: those are ports that a worker polls, and each packet to the kernel is a system call of
 * several microseconds in the middle of media (and virtio-user needs vhost-net, which a container or a small VM lacks). Here
 * a thread of its own beside the main lcore makes the system calls; it and worker 0 exchange buffers over four rings of one
 * producer and one consumer, and it never touches the pool:
 *
 *     worker 0 --out--> thread --write--> tap      and back by 'done', where worker 0 counts and frees it
 *     tap --read--> thread --in--> worker 0 --> port      into buffers that worker 0 laid into 'empty'
 *
 * Other workers hand their frames to worker 0 over the handoff rings. dataplane.punt_pps bounds each worker's share before
 * the ring and the sum at worker 0, by token buckets of a tenth of a second: a flood costs a worker a look at the frame,
 * and is counted (punt_full). From the kernel at most DP_PUNT_IN frames go out in a round.
 *
 * What goes to the kernel, of frames with the port's MAC or a group as destination and in the port's VLAN (the tag is off):
 * - IP to addresses that are not the dataplane's, groups and broadcasts among them, however it is formed;
 * - UDP to port 500, and to 4500 with the non-ESP marker (RFC 3948), to addresses of the dataplane: IKE;
 * - ARP and ND for others' addresses; answers (ARP reply, NA) to addresses of the dataplane as well, for the kernel may
 *   own them too, for IKE;
 * - every other ethertype but a further VLAN tag.
 * All else to addresses of the dataplane stays here, dropped under its reason.
 *
 * Limits: the kernel does not reach the dataplane's addresses over its punt interface (both are on the same side of the
 * wire); one bucket for all ports.
 */
#ifndef DP_PUNT_H
#define DP_PUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "dp_page.h"

#define DP_PUNT_DEPTH 512 /* frames on their way to the kernel */
#define DP_PUNT_IN    32  /* frames from the kernel in a round */
#define DP_PUNT_EMPTY 256 /* buffers laid out for the kernel's frames */

struct dp_frame;
struct dp_node;
struct dp_port;
struct dp_punt;
struct dp_worker;
struct rte_mbuf;

/* A token bucket in millionths of a packet. Starts full. */
struct dp_punt_rate {
	uint64_t credit, us;
	bool begun;
};

/** One packet at time 'now_us', 'pps' a second allowed: take a token. False: none left. */
bool dp_punt_rate_take(struct dp_punt_rate *r, uint32_t pps, uint64_t now_us);

/* --- main lcore --- */

/**
 * Make (or take over, if the operator made it persistent) the tap 'ifname' with MAC and MTU of a port, up. Its descriptor
 * is non-blocking. Negative errno: -EPERM, -ENOENT (no /dev/net/tun), -EBUSY (used by another process), -EINVAL (no tap).
 */
int dp_punt_tap(const char *ifname, const uint8_t *mac, uint16_t mtu);

/** Rings for the node's worker 0, no interface yet. NULL: no memory. */
struct dp_punt *dp_punt_create(struct dp_node *node);

/** The interface of a port: 'fd' carries one frame per read and write; it becomes ours. 0, -ENOSPC. Before start. */
int dp_punt_add(struct dp_punt *p, uint8_t port, int fd);

/** Start the thread. 0 or negative errno. */
int dp_punt_start(struct dp_punt *p);

/** After the workers' loops have ended: ends the thread, closes the interfaces, frees what is in the rings. Takes NULL. */
void dp_punt_destroy(struct dp_punt *p);

/* --- worker --- */

/** A frame that is the kernel's: there, or dropped under punt_full, or under 'why' if its port has no punt interface. Consumes it. */
void dp_punt_frame(struct dp_worker *w, struct rte_mbuf *m, enum dp_drop why);

/**
 * A frame of the port's VLAN that the dataplane refused under 'why': is it the kernel's? 'f' is NULL if it could not be
 * parsed. Consumes it: to the kernel, or dropped under 'why'.
 */
void dp_punt_refused(struct dp_worker *w, struct rte_mbuf *m, const struct dp_frame *f, enum dp_drop why);

/** Worker 0: a frame that another worker handed over for the kernel. Consumes it. */
void dp_punt_handed(struct dp_worker *w, struct rte_mbuf *m);

/** Worker 0, once a round: count what the kernel has, send what it gave. Returns packets moved. */
unsigned int dp_punt_poll(struct dp_worker *w);

#endif
