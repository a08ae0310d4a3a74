/* SPDX-License-Identifier: BSD-3-Clause */
/* Received frames: Ethernet, ARP, IPv4, IPv6, UDP, ND and echo. What parse says must lie inside the frame. */
#include <stdlib.h>
#include <string.h>

#include "neigh.h"
#include "parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ip(const uint8_t *data, uint16_t len)
{
	struct dp_frame f;

	if (dp_parse_ip(data, len, &f) == DP_OK && (f.l3_off + f.l3_len > len || f.l4_off + f.l4_len > len))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	uint8_t *frame;
	struct dp_frame f;
	enum dp_drop why;
	uint16_t len;

	if (size > 2048)
		return 0;
	len = (uint16_t)size;
	frame = malloc(size + 1); /* exact, but for an empty one */
	memcpy(frame, data, size);
	ip(frame, len);
	if (dp_parse_frame(frame, len, &f) == DP_OK) {
		if (f.l3_off + f.l3_len > len)
			abort();
		if (f.etype == DP_ETYPE_ARP) {
			struct dp_arp arp;

			if (dp_parse_arp(frame + f.l3_off, f.l3_len, &arp) == DP_OK &&
			    dp_neigh_arp_reply(frame, &f, &arp, mac) > len)
				abort();
		} else {
			struct dp_nd nd;

			if (f.l4_off + f.l4_len > len)
				abort();
			if (f.proto == DP_PROTO_UDP && f.payload_off + f.payload_len > len)
				abort();
			if (f.proto == DP_PROTO_ICMP6 && dp_neigh_nd_check(frame, &f, &nd) == DP_OK)
				(void)dp_neigh_na(frame, len, &f, &nd, mac);
			else if (f.proto == DP_PROTO_ICMP || f.proto == DP_PROTO_ICMP6)
				(void)dp_neigh_echo_reply(frame, &f, mac, &why);
		}
	}
	free(frame);
	return 0;
}
