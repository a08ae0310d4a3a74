/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What ICMP says about how long an SA's packets may be. RFC 1191, 8201, RFC 4301 s8.2. An SA's path MTU is lowered only by a message
 * that quotes one of its packets: SPI, addresses, ports in UDP, and a sequence number that was used lately. Who does not see the
 * packets cannot guess that. It is at least DP_PMTU_MIN4 or DP_PMTU_MIN6 and forgotten after DP_SA_PMTU_S.
 *
 * A router that quotes no more than the 64 bits behind the header that RFC 792 asks for says nothing about ESP in UDP.
 */
#ifndef DP_IPSEC_PMTU_H
#define DP_IPSEC_PMTU_H

#include <stdbool.h>
#include <stdint.h>

#include "dp_page.h"

#define DP_PMTU_MIN4 576
#define DP_PMTU_MIN6 1280
#define DP_PMTU_AGO  4096 /* packets: a quoted number may be so many behind the last */

struct dp_sa;

struct dp_pmtu { /* one message */
	uint32_t mtu;           /* of the next hop; 0: it does not say */
	uint16_t total;         /* bytes of the packet that was too long, by its own header */
	uint8_t family;
	bool udp;               /* ESP in UDP */
	uint8_t src[16], dst[16]; /* of that packet: ours, theirs; IPv4 in the first four, rest zero */
	uint16_t sport, dport;  /* in UDP */
	uint32_t spi, seq;      /* host order */
};

/**
 * The ICMP message of 'len' bytes at 'icmp', its checksum right. DP_OK: "fragmentation needed" or "packet too big" about a packet with
 * ESP, *ret is set; DP_DROP_L4_PROTO: something else, or it quotes too little; DP_DROP_L4_MALFORMED. Any.
 */
enum dp_drop dp_pmtu_read(uint8_t family, const uint8_t *icmp, uint16_t len, struct dp_pmtu *ret);

/** Is the message about this outbound SA, and to be believed? Lowers its path MTU then. Worker. */
bool dp_pmtu_apply(struct dp_sa *sa, const struct dp_pmtu *msg, uint64_t now_s);

#endif
