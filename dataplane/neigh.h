/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Neighbours: ARP (RFC 826), neighbour discovery (RFC 4861) and echo (RFC 792, 4443).
 *
 * The main lcore owns the table: which next hops are wanted, their MAC, when it was last confirmed. Workers read an
 * immutable snapshot, found by index (a leg remembers its) or by (port, address); it is exchanged by pointer and the
 * old one freed once every worker has reported a quiescent state (the caller's business: worker.h, objs.h). An entry
 * keeps its index for as long as the process lives, so an index never names another address.
 *
 * Entries are made for next hops that something of ours wants to send to, never because somebody spoke to us; an
 * existing entry takes over the MAC of what its owner says (replies, requests, gratuitous ARP, NA, NS).
 * Timing: a wanted hop is asked for once a second, 3 times, then every 10 s; confirmed ones again after
 * DP_NEIGH_REFRESH_S; without an answer for DP_NEIGH_STALE_S the MAC is given up.
 * Limits: no duplicate address detection, no router discovery, no redirects.
 */
#ifndef DP_NEIGH_H
#define DP_NEIGH_H

#include <stdbool.h>
#include <stdint.h>

#include "parse.h"

#define DP_NEIGH_MAX       32768 /* next hops; indices are 16 bits */
#define DP_NEIGH_REFRESH_S 30
#define DP_NEIGH_STALE_S   45    /* three unanswered requests after a refresh fell due, and some */
#define DP_NEIGH_NONE      UINT16_MAX

struct dp_nh {
	uint8_t ip[16];
	uint8_t mac[6];
	uint8_t family;
	uint8_t port;   /* index in dp_node.ports */
	uint8_t valid;  /* mac may be used */
	uint8_t zero[7];
};

struct dp_nh_snap {
	uint32_t n;
	uint32_t mask;         /* of the buckets */
	uint16_t *bucket;      /* open addressing: index or DP_NEIGH_NONE */
	struct dp_nh nh[];
};

/** Index of a next hop in a snapshot, or DP_NEIGH_NONE. Any lcore between two quiescent reports. */
uint16_t dp_nh_find(const struct dp_nh_snap *snap, uint8_t port, uint8_t family, const uint8_t *ip);

struct dp_neigh; /* the main lcore's table */

/** 'max' next hops at most (up to DP_NEIGH_MAX). NULL: no memory. destroy takes NULL. */
struct dp_neigh *dp_neigh_create(uint32_t max);
void dp_neigh_destroy(struct dp_neigh *tab);

/** Something wants to send to this next hop: make the entry if there is none. Its index, or -ENOSPC. Main. */
int dp_neigh_want(struct dp_neigh *tab, uint8_t port, uint8_t family, const uint8_t *ip, uint64_t now_ms);

/** Its owner was heard: 'mac' for (port, ip). True if there is such an entry. Main. */
bool dp_neigh_heard(struct dp_neigh *tab, uint8_t port, uint8_t family, const uint8_t *ip, const uint8_t *mac,
		    uint64_t now_ms);

/**
 * Which next hop is to be asked for now? Fills *ret and returns true; call until false. Gives up what is stale.
 * 'budget' limits the entries looked at (all once a second is enough). Main.
 */
bool dp_neigh_due(struct dp_neigh *tab, uint64_t now_ms, struct dp_nh *ret);

/** True if a snapshot would differ from the last one. Main. */
bool dp_neigh_dirty(const struct dp_neigh *tab);

/** A new snapshot (free() it), clears dirty. NULL: no memory. Main. */
struct dp_nh_snap *dp_neigh_snapshot(struct dp_neigh *tab);

uint32_t dp_neigh_cnt(const struct dp_neigh *tab);

/* --- frames. All work on a complete Ethernet frame in 'frame'. --- */

#define DP_NEIGH_FRAME_MAX 86 /* bytes of the longest request: NS */

/** A request for 'ip' from our address 'own' and 'mac': broadcast ARP, or NS to the solicited-node group. Bytes written. */
uint16_t dp_neigh_solicit(uint8_t *frame, uint8_t family, const uint8_t *mac, const uint8_t *own, const uint8_t *ip);

/** Turn a checked ARP request for an address of ours into the reply with 'mac', in place. Bytes of the frame. */
uint16_t dp_neigh_arp_reply(uint8_t *frame, const struct dp_frame *f, const struct dp_arp *arp, const uint8_t *mac);

/* What an ND message says. */
struct dp_nd {
	uint8_t type;       /* 135 NS, 136 NA */
	uint8_t target[16];
	bool has_mac;       /* source (NS) or target (NA) link-layer option */
	uint8_t mac[6];
};

/**
 * Check the ICMPv6 message of a parsed frame as RFC 4861 s7.1 wants: hop limit 255, code 0, checksum, lengths of
 * options. DP_OK: *ret is set (NS, NA); DP_DROP_L4_PROTO: another type; DP_DROP_L4_MALFORMED.
 */
enum dp_drop dp_neigh_nd_check(const uint8_t *frame, const struct dp_frame *f, struct dp_nd *ret);

/** Build the NA that answers a checked NS, over 'frame' ('room' bytes in all). Bytes of the frame, 0: no room. */
uint16_t dp_neigh_na(uint8_t *frame, uint16_t room, const struct dp_frame *f, const struct dp_nd *nd,
		     const uint8_t *mac);

/**
 * Turn an echo request to an address of ours into the reply, in place. Bytes of the frame (l3_off + l3_len), 0 if
 * it is none (*ret_why: DP_DROP_L4_PROTO, DP_DROP_L4_MALFORMED).
 */
uint16_t dp_neigh_echo_reply(uint8_t *frame, const struct dp_frame *f, const uint8_t *mac, enum dp_drop *ret_why);

#endif
