/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IP headers as ESP needs them: where the header ends, where ESP goes in or begins, checksums. Reads bytes
 * through be16()/be32() only, after the length was checked. RFC 791, RFC 8200, RFC 1071.
 */
#ifndef DP_IPSEC_IPHDR_H
#define DP_IPSEC_IPHDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dp_page.h"

enum {
	IPH_HOPOPTS = 0,
	IPH_IPIP = 4,
	IPH_TCP = 6,
	IPH_UDP = 17,
	IPH_DCCP = 33,
	IPH_IPV6 = 41,
	IPH_ROUTING = 43,
	IPH_FRAGMENT = 44,
	IPH_ESP = 50,
	IPH_NONE = 59,
	IPH_DSTOPTS = 60,
	IPH_SCTP = 132,
	IPH_UDPLITE = 136,
};

struct dp_iphdr {
	uint8_t version; /* 4 or 6 */
	uint8_t proto;   /* of what follows the header: upper layer, or fragment header */
	bool fragment;   /* not a whole datagram */
	uint16_t total;  /* bytes of the packet by its own length field; at most what is there */
	uint16_t len;    /* bytes of header, with options or extension headers */
	uint16_t nh_off; /* offset of the byte that says 'proto' */
	/* Where a sender in transport mode puts ESP: behind hop-by-hop options, before destination options. */
	uint16_t esp_at, esp_nh_off;
};

/** DP_OK with *ret set; DP_DROP_L3_MALFORMED. 'have' bytes are readable at 'ip'. Any. */
enum dp_drop dp_iphdr_parse(const uint8_t *ip, uint16_t have, struct dp_iphdr *ret);

/** Does 'proto' begin with source and destination port? */
static inline bool dp_iphdr_has_ports(uint8_t proto)
{
	return proto == IPH_UDP || proto == IPH_TCP || proto == IPH_SCTP || proto == IPH_UDPLITE ||
	       proto == IPH_DCCP;
}

static inline uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
	put_be16(p, (uint16_t)(v >> 16));
	put_be16(p + 2, (uint16_t)v);
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
	put_be32(p, (uint32_t)(v >> 32));
	put_be32(p + 4, (uint32_t)v);
}

/* One's complement sums: big-endian words, unfolded; fold and complement at the end. */
uint64_t dp_iphdr_sum(const uint8_t *p, size_t len);

static inline uint16_t dp_iphdr_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/** Sum of the pseudo header of a packet whose addresses are those of 'ip', for 'len' bytes of 'proto'. */
uint64_t dp_iphdr_pseudo(const uint8_t *ip, uint8_t proto, uint32_t len);

/** Compute and write the checksum of an IPv4 header of 'hlen' bytes. */
void dp_iphdr_v4_sum(uint8_t *ip, unsigned int hlen);

/** Compute and write the checksum of the UDP datagram of 'len' bytes (8 or more) in packet 'ip'. */
void dp_iphdr_udp_sum(uint8_t *ip, uint8_t *udp, uint32_t len);

#endif
