/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bounds-checked reading of received frames: Ethernet (802.3, one 802.1Q tag), ARP (RFC 826), IPv4 (RFC 791), IPv6
 * (RFC 8200) and UDP (RFC 768). Works on (pointer, length), never reads past the length, changes nothing but what its name says.
 * Fragments are reported, not reassembled; IPv6 hop-by-hop and destination options are walked (at most
 * DP_PARSE_EXT_MAX), routing headers refused (RFC 5095). UDP checksums are not verified: packets that come from a local
 * kernel over veth carry partial ones.
 */
#ifndef DP_PARSE_H
#define DP_PARSE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "dp_page.h"

#define DP_ETH_LEN       14
#define DP_VLAN_LEN      4
#define DP_VLAN_MAX      4095 /* of an identifier */
#define DP_PARSE_EXT_MAX 4

#define DP_ETYPE_IP4  0x0800
#define DP_ETYPE_ARP  0x0806
#define DP_ETYPE_VLAN 0x8100
#define DP_ETYPE_IP6  0x86dd

#define DP_PROTO_ICMP  1
#define DP_PROTO_UDP   17
#define DP_PROTO_ESP   50
#define DP_PROTO_AH    51
#define DP_PROTO_ICMP6 58

/* What a frame is; offsets are bytes from its start. */
struct dp_frame {
	uint16_t etype;       /* DP_ETYPE_*, behind a priority tag */
	uint8_t family;       /* 4, 6, or 0: not IP */
	uint8_t proto;        /* upper-layer protocol */
	uint8_t ttl;          /* TTL or hop limit as received */
	uint8_t tos;          /* TOS or traffic class */
	uint16_t l3_off;
	uint16_t l3_len;      /* IP packet, header included; link-layer padding is not part of it */
	uint16_t l4_off;
	uint16_t l4_len;      /* bytes behind the IP headers */
	uint16_t src_port;    /* UDP, host order */
	uint16_t dst_port;
	uint16_t payload_off; /* UDP */
	uint16_t payload_len;
	uint8_t src[16];      /* IPv4 in the first four, rest zero: comparable as 16 bytes */
	uint8_t dst[16];
};

struct dp_arp { /* Ethernet and IPv4 */
	uint16_t op;   /* 1 request, 2 reply */
	uint8_t sha[6], spa[4], tha[6], tpa[4];
};

static inline uint16_t dp_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t dp_get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void dp_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void dp_put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

/**
 * Read one frame of 'len' bytes. DP_OK: etype is ARP, IP4 or IP6, and what belongs to it is set; for UDP also ports
 * and payload. DP_DROP_L2_NOT_OURS (short, other ethertype, VLAN other than 0), DP_DROP_L3_MALFORMED,
 * DP_DROP_L3_FRAGMENT, DP_DROP_L4_MALFORMED, DP_DROP_TTL; *f is then undefined. Any.
 */
enum dp_drop dp_parse_frame(const uint8_t *data, uint16_t len, struct dp_frame *f);

/**
 * Take the 802.1Q tag (outermost, 0x8100) off a frame: moves the MAC addresses DP_VLAN_LEN bytes up, so that the frame now
 * begins there. Returns the bytes that went (DP_VLAN_LEN or 0: there is none, or the frame ends in it) and the identifier
 * in *ret_vid (0: none, or a priority tag).
 */
uint16_t dp_vlan_untag(uint8_t *frame, uint16_t len, uint16_t *ret_vid);

/** Put a tag on a frame of at least DP_ETH_LEN bytes with DP_VLAN_LEN writable bytes in front of it: it now begins there. */
void dp_vlan_tag(uint8_t *frame, uint16_t tci);

/** Priority (802.1p) of an untagged frame: the upper three bits of its DSCP, as of old (RFC 2474 s4.2.2): EF is 5; not IP: 0. */
uint8_t dp_vlan_pcp(const uint8_t *frame, uint16_t len);

/** The same from the IP header on (what comes out of an SA): l3_off is 0, etype by version. */
enum dp_drop dp_parse_ip(const uint8_t *data, uint16_t len, struct dp_frame *f);

/** Read the ARP message behind an Ethernet header. DP_OK or DP_DROP_L3_MALFORMED. */
enum dp_drop dp_parse_arp(const uint8_t *data, uint16_t len, struct dp_arp *ret);

/* Internet checksum (RFC 1071) in pieces: sum of 16-bit words as read, added to 'sum'. */
uint32_t dp_sum(const uint8_t *data, uint32_t len, uint32_t sum);

static inline uint16_t dp_sum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/*
 * Checksum over an IPv4 header without options, in the byte order of memory: 0 if the one in it is right, else (with
 * that field zero) what to put there by memcpy. One's complement sums do not mind the order of bytes.
 */
static inline uint16_t dp_ip4_sum(const uint8_t *ip)
{
	uint32_t w[5];
	uint64_t sum;

	memcpy(w, ip, sizeof(w));
	sum = (uint64_t)w[0] + w[1] + w[2] + w[3] + w[4];
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/**
 * dp_parse_frame() for what media nearly always is: no tag, IPv4 without options, in one piece, UDP. True: DP_OK, and *f is as
 * dp_parse_frame() leaves it. False says nothing of the frame: ask dp_parse_frame(). Any.
 */
static inline bool dp_parse_quick(const uint8_t *data, uint16_t len, struct dp_frame *f)
{
	const uint8_t *ip = data + DP_ETH_LEN, *udp = ip + 20;
	uint64_t addr[2] = {0, 0};
	uint32_t total, ulen;
	uint8_t first[3];

	if (len < DP_ETH_LEN + 28)
		return false;
	memcpy(first, data + 12, sizeof(first));
	total = dp_get16(ip + 2);
	ulen = dp_get16(udp + 4);
	/* One branch for all of it: each is nearly never so. */
	if ((((first[0] ^ (DP_ETYPE_IP4 >> 8)) | first[1] | (first[2] ^ 0x45) | (ip[6] & 0x3f) | ip[7] |
	      (ip[9] ^ DP_PROTO_UDP)) != 0) | (ip[8] == 0) | (ip[12] == 0) | (ip[12] == 127) | (ip[12] >= 224) |
	    (total > len - (uint32_t)DP_ETH_LEN) | (ulen < 8) | (ulen + 20 > total) | (dp_ip4_sum(ip) != 0))
		return false;
	f->etype = DP_ETYPE_IP4;
	f->family = 4;
	f->proto = DP_PROTO_UDP;
	f->ttl = ip[8];
	f->tos = ip[1];
	f->l3_off = DP_ETH_LEN;
	f->l3_len = (uint16_t)total;
	f->l4_off = DP_ETH_LEN + 20;
	f->l4_len = (uint16_t)(total - 20);
	f->src_port = dp_get16(udp);
	f->dst_port = dp_get16(udp + 2);
	f->payload_off = DP_ETH_LEN + 28;
	f->payload_len = (uint16_t)(ulen - 8);
	/* Whole words: what reads them next would wait for several stores to one. */
	memcpy(addr, ip + 12, 4);
	memcpy(f->src, addr, sizeof(f->src));
	memcpy(addr, ip + 16, 4);
	memcpy(f->dst, addr, sizeof(f->dst));
	return true;
}

/** Sum of the pseudo header of 'family' over addresses given as in struct dp_frame. */
uint32_t dp_sum_pseudo(uint8_t family, const uint8_t *src, const uint8_t *dst, uint8_t proto, uint32_t len);

/**
 * Write an IPv4 or IPv6 header and a UDP header in front of 'payload_len' bytes; 'hdr' points at 28 or 48 writable
 * bytes directly before the payload. 'udp_sum' computes the UDP checksum, else it is 0 with IPv4 (always
 * computed with IPv6, RFC 8200 s8.1).
 */
void dp_build_udp(uint8_t *hdr, uint8_t family, const uint8_t *src, uint16_t src_port, const uint8_t *dst,
		  uint16_t dst_port, uint16_t payload_len, uint8_t dscp, bool udp_sum);

static inline uint16_t dp_udp_hdr_len(uint8_t family)
{
	return family == 4 ? 28 : 48;
}

#endif
