/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP in tunnel and transport mode over IPv4 and IPv6, protocol 50 or in UDP (RFC 4303, 3948), with the algorithms of
 * api/dp_esp.h, in bursts; a burst may mix SAs of any of them. Packets are (pointer, length) with room around them and belong to the caller; nothing is
 * kept between calls. Every packet of a burst gets a verdict; of a dropped one nothing but the verdict counts
 * and its bytes are undefined (never released plaintext: it did not authenticate or was refused).
 *
 * Tunnel mode follows RFC 4301 s5.1.2: on the way out DSCP is copied from the inner header or set, DF copied (set for IPv6
 * inside IPv4), set or cleared, as the packet's policy says; TTL is 64, inner packets are not touched. ECN is RFC 6040's normal
 * mode: copied on the way out; on the way in an outer CE or ECT(1) goes into an inner packet that is ECN-capable, and CE on one
 * that is not is a drop. The inner TTL is decremented by who forwards the packet, not here.
 *
 * Fragments of what carries ESP are to be put together before (frag.h), packets that came as fragments out of a tunnel
 * afterwards, by the caller. Transport mode carries whole datagrams only (RFC 4303 s3.1.1). IPv6 extension headers are walked
 * up to DP_ESP_EXT_MAX, routing headers refused.
 */
#ifndef DP_IPSEC_ESP_H
#define DP_IPSEC_ESP_H

#include <stdint.h>

#include "dp_msg.h"
#include "dp_page.h"

#define DP_ESP_EXT_MAX   4    /* IPv6 extension headers before ESP or before the upper layer */
#define DP_ESP_UDP_PORT  4500 /* RFC 3948 */
#define DP_ESP_HEADROOM  80   /* enough before any packet to encapsulate: 40 + 8 + 8 + 16 and spare */
#define DP_ESP_TAILROOM  52   /* enough after it: 15 of padding, 2, 32 and spare */

struct dp_mb;
struct dp_sa;

struct dp_esp_pkt {
	uint8_t *data;     /* first byte of the IP header, in and out */
	uint16_t len;      /* bytes from there */
	uint16_t headroom; /* bytes before data that may be written */
	uint16_t tailroom; /* bytes after data + len that may be written */
	uint8_t verdict;   /* out: enum dp_drop */
	uint8_t df;        /* encap, tunnel mode: enum dp_spd_df for the outer IPv4 header */
	struct dp_sa *sa;  /* of the burst's direction */
	uint8_t dscp;      /* encap, tunnel mode: 0: the inner packet's; else that DSCP, plus one */
	uint8_t dummy;     /* encap: 1: nobody is to read it (RFC 4303 s2.6): not asked about selectors, next header 59 */
	uint8_t fragment;  /* out of decap, tunnel mode: 1: data and len are a fragment, also with DP_DROP_L3_FRAGMENT */
	uint8_t zero[5];
};

/**
 * In: whole IP packets for their SAs (tunnel mode: to go inside; transport mode: to be rewritten). Out, with
 * verdict DP_OK: complete outer IP packets; data, len, headroom and tailroom follow. Bytes behind the IP
 * packet's own length are cut. Drops: DP_DROP_L3_MALFORMED, DP_DROP_L3_FRAGMENT, DP_DROP_ESP_SELECTOR,
 * DP_DROP_ESP_EXPIRED, _BYTES and _PKTS (lifetimes), DP_DROP_ESP_SEQ (see dp_sa_take_events()), DP_DROP_NO_ROOM. A
 * dropped packet used no sequence number. Any n; best 32 or 64. Worker. Returns how many are DP_OK.
 */
uint16_t dp_esp_encap_burst(struct dp_mb *mb, struct dp_esp_pkt *pkts, uint16_t n);

/* A packet on its way out that is laid out and not encrypted yet. */
struct dp_esp_laid {
	uint8_t *esp;      /* SPI field */
	uint8_t *text;     /* first byte behind the IV */
	uint32_t text_len; /* bytes of what will be ciphertext: payload, padding, pad length, next header */
	uint64_t seq;
};

/**
 * The two halves of dp_esp_encap_burst(), for who makes packets one after the other and wants them encrypted together. The first
 * decides and counts, and takes the sequence number; *pkt is then an outer packet with plain text in it. With DP_OK the caller owes
 * it the second half, or to wipe it; until then the packet stays where it is, and its SA too. Worker.
 */
enum dp_drop dp_esp_lay(struct dp_esp_pkt *pkt, struct dp_esp_laid *ret);

/** All 'n' were laid out with DP_OK. Cannot fail. */
void dp_esp_seal_burst(struct dp_mb *mb, const struct dp_esp_pkt *pkts, const struct dp_esp_laid *laid, uint16_t n);

/**
 * In: outer IP packets whose SPI is their SA's. Out, with verdict DP_OK: the inner IP packet, or in transport
 * mode the packet without ESP. A fragment out of a tunnel is said to be one; where the SA's selectors name what it does not show, its
 * verdict is DP_DROP_L3_FRAGMENT: who puts it together with others of the gateway asks dp_sa_select() about the whole. Drops: DP_DROP_L3_MALFORMED, DP_DROP_L3_FRAGMENT, DP_DROP_L4_MALFORMED,
 * DP_DROP_ESP_MALFORMED, DP_DROP_ESP_NO_SA (other SPI, or UDP where protocol 50 is agreed, or the reverse),
 * DP_DROP_ESP_REPLAY, DP_DROP_ESP_STALE, DP_DROP_ESP_AUTH, DP_DROP_ESP_EXPIRED, _BYTES, _PKTS, DP_DROP_ESP_SELECTOR, and
 * DP_DROP_ESP_ECN (tunnel mode), and DP_DROP_ESP_DUMMY for an authentic dummy packet (next header 59). Window and counters change for
 * authenticated packets only; of equal packets in one burst one passes. Worker. Returns how many are DP_OK.
 */
uint16_t dp_esp_decap_burst(struct dp_mb *mb, struct dp_esp_pkt *pkts, uint16_t n);

/** Bytes of the outer packet that an IP packet of 'len' bytes with a header of 'head' becomes, without TFC padding. Any. */
uint32_t dp_esp_outer_len(const struct dp_sa *sa, uint32_t len, uint32_t head);

/** Tunnel mode: bytes of the longest inner packet whose outer one is at most 'mtu'; 0: none. Any. */
uint32_t dp_esp_inner_max(const struct dp_sa *sa, uint32_t mtu);

enum dp_esp_kind {
	DP_ESP_KIND_NONE,      /* neither protocol 50 nor UDP to 'udp_port' */
	DP_ESP_KIND_IP,        /* protocol 50 */
	DP_ESP_KIND_UDP,       /* in UDP */
	DP_ESP_KIND_KEEPALIVE, /* NAT keep-alive: one byte FF; to be dropped */
	DP_ESP_KIND_IKE,       /* non-ESP marker: for the IKE daemon */
};

/**
 * What is this IP packet, and whose? 'udp_port' is the local port of UDP encapsulation (DP_ESP_UDP_PORT).
 * Sets *ret_kind, and *ret_spi (host order, above 255) for the two ESP kinds, when DP_OK is returned. Else
 * DP_DROP_L3_MALFORMED, DP_DROP_L3_FRAGMENT, DP_DROP_L4_MALFORMED or DP_DROP_ESP_MALFORMED. Any.
 */
enum dp_drop dp_esp_peek(const uint8_t *ip, uint16_t len, uint16_t udp_port, enum dp_esp_kind *ret_kind,
			 uint32_t *ret_spi);

#endif
