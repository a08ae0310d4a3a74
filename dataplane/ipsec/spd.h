/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The security policy database (RFC 4301 s4.4.1): an ordered list of policies, and who looked in it last.
 *
 * First match, not decorrelated. The order in which an operator wrote the policies is what decides, and what is shown.
 * s4.4.1 asks for decorrelation where a cached entry stands for a range of packets, which could then shadow an earlier policy;
 * here a cached verdict is one exact flow's (addresses, protocol, ports or ICMP type, direction), found by walking the whole
 * list in order, so it says what the list says. The list has DP_SPD_MAX entries at most: a walk costs less than a packet's
 * cryptography, and a flood of flows that miss the cache costs no more than walks.
 *
 * A list is made by the main lcore, published by pointer and never changed (node->spd, under rte_rcu_qsbr, as struct dp_watch).
 * Each has a number of its own, and a cached verdict counts for the list with its number only: a new list needs no flush.
 * The cache is one worker's: no locks, no allocation.
 */
#ifndef DP_IPSEC_SPD_H
#define DP_IPSEC_SPD_H

#include <stdbool.h>
#include <stdint.h>

#include "dp_msg.h"

#define DP_SPD_NONE 255 /* no policy fits */
#define DP_SPD_CACHE 2048 /* flows; 128 KiB */

struct dp_spd_policy {
	uint8_t dirs, action, proto, df, dscp;
	uint8_t family;                    /* 4, 6; 0: both */
	uint8_t icmp_lo, icmp_hi;
	bool any_ports, any_icmp;
	uint16_t local_lo, local_hi, remote_lo, remote_hi;
	uint8_t local[16], local_mask[16]; /* masked; a mask of zeros: any */
	uint8_t remote[16], remote_mask[16];
};

struct dp_spd {
	uint32_t gen; /* never 0 */
	uint8_t n;
	uint8_t media_dirs; /* DP_SPD_IN, DP_SPD_OUT: a policy other than bypass may fit media */
	struct dp_spd_policy pol[DP_SPD_MAX];
};

/* What a packet is looked up by; compared as a whole, so every byte is set. */
struct dp_spd_flow {
	uint8_t local[16], remote[16]; /* ours, theirs; IPv4 in the first four, rest zero */
	uint16_t local_port, remote_port; /* ICMP: type, code; protocols without ports: 0 */
	uint8_t proto, family;
	uint8_t dir;                   /* DP_SPD_IN or DP_SPD_OUT */
	uint8_t zero;
};

struct dp_spd_cache {
	struct dp_spd_seen {
		struct dp_spd_flow flow;
		uint32_t gen; /* 0: none */
		uint8_t pos;
		uint8_t zero[19];
	} seen[DP_SPD_CACHE];
};

/** Add a checked message as the next policy. Main lcore, before the list is published. */
void dp_spd_add(struct dp_spd *spd, const struct dp_spd_set *m, uint16_t media_base);

/** The first policy that fits, without the cache: its place in the list, or DP_SPD_NONE. Any. */
uint8_t dp_spd_walk(const struct dp_spd *spd, const struct dp_spd_flow *f);

/** The same through the cache, which is the caller's alone and begins as zeros. */
uint8_t dp_spd_look(const struct dp_spd *spd, struct dp_spd_cache *cache, const struct dp_spd_flow *f);

#endif
