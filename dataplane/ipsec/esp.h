/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP in tunnel and transport mode over IPv4 and IPv6, protocol 50 or in UDP (RFC 4303, 3948, 4106, 3602,
 * 2404), in bursts. Packets are (pointer, length) with room around them and belong to the caller; nothing is
 * kept between calls. Every packet of a burst gets a verdict; of a dropped one nothing but the verdict counts
 * and its bytes are undefined (never released plaintext: it did not authenticate or was refused).
 *
 * Tunnel mode follows RFC 4301 s5.1.2: on the way out DSCP and ECN are copied from the inner header, DF too
 * (set for IPv6 inside IPv4), TTL is 64, inner packets are not touched; on the way in an outer CE mark goes
 * into an inner packet that is ECN-capable. The inner TTL is decremented by who forwards the packet, not here.
 *
 * Limits: fragments are refused, not reassembled (outer ones always; inner ones where a selector names a port
 * and in transport mode); IPv6 extension headers are walked up to DP_ESP_EXT_MAX, routing headers refused.
 */
#ifndef DP_IPSEC_ESP_H
#define DP_IPSEC_ESP_H

#include <stdint.h>

#include "dp_msg.h"
#include "dp_page.h"

#define DP_ESP_EXT_MAX   4    /* IPv6 extension headers before ESP or before the upper layer */
#define DP_ESP_UDP_PORT  4500 /* RFC 3948 */
#define DP_ESP_HEADROOM  80   /* enough before any packet to encapsulate: 40 + 8 + 8 + 16 and spare */
#define DP_ESP_TAILROOM  36   /* enough after it: 15 of padding, 2, 16 and spare */

struct dp_mb;
struct dp_sa;

struct dp_esp_pkt {
	uint8_t *data;     /* first byte of the IP header, in and out */
	uint16_t len;      /* bytes from there */
	uint16_t headroom; /* bytes before data that may be written */
	uint16_t tailroom; /* bytes after data + len that may be written */
	uint8_t verdict;   /* out: enum dp_drop */
	uint8_t zero;
	struct dp_sa *sa;  /* of the burst's direction */
};

/**
 * In: whole IP packets for their SAs (tunnel mode: to go inside; transport mode: to be rewritten). Out, with
 * verdict DP_OK: complete outer IP packets; data, len, headroom and tailroom follow. Bytes behind the IP
 * packet's own length are cut. Drops: DP_DROP_L3_MALFORMED, DP_DROP_L3_FRAGMENT, DP_DROP_ESP_SELECTOR,
 * DP_DROP_ESP_EXPIRED (lifetime, sequence limit: see dp_sa_take_events()), DP_DROP_NO_ROOM. A dropped packet
 * used no sequence number. Any n; best 32 or 64. Worker. Returns how many are DP_OK.
 */
uint16_t dp_esp_encap_burst(struct dp_mb *mb, struct dp_esp_pkt *pkts, uint16_t n);

/**
 * In: outer IP packets whose SPI is their SA's. Out, with verdict DP_OK: the inner IP packet, or in transport
 * mode the packet without ESP. Drops: DP_DROP_L3_MALFORMED, DP_DROP_L3_FRAGMENT, DP_DROP_L4_MALFORMED,
 * DP_DROP_ESP_MALFORMED, DP_DROP_ESP_NO_SA (other SPI, or UDP where protocol 50 is agreed, or the reverse),
 * DP_DROP_ESP_REPLAY, DP_DROP_ESP_STALE, DP_DROP_ESP_AUTH, DP_DROP_ESP_EXPIRED, DP_DROP_ESP_SELECTOR, and
 * DP_DROP_CONSUMED for an authentic dummy packet (next header 59). Window and counters change for
 * authenticated packets only; of equal packets in one burst one passes. Worker. Returns how many are DP_OK.
 */
uint16_t dp_esp_decap_burst(struct dp_mb *mb, struct dp_esp_pkt *pkts, uint16_t n);

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
