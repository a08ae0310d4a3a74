/* SPDX-License-Identifier: BSD-3-Clause */
/* Received frames: Ethernet, VLAN tags, ARP, IPv4, IPv6, UDP, ND and echo. What parse says must lie inside the frame. */
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

/* Off and on again is the same frame, but for priority and DEI; returns what parse is to see. */
static uint8_t *vlan(uint8_t *frame, uint16_t *len)
{
	uint8_t before[DP_ETH_LEN + DP_VLAN_LEN];
	uint16_t vid, n;

	memcpy(before, frame, *len < sizeof(before) ? *len : sizeof(before));
	n = dp_vlan_untag(frame, *len, &vid);
	if (n == 0) {
		if (vid != 0 || memcmp(before, frame, *len < sizeof(before) ? *len : sizeof(before)) != 0)
			abort();
		return frame;
	}
	if (n != DP_VLAN_LEN || *len < sizeof(before) || vid > DP_VLAN_MAX)
		abort();
	dp_vlan_tag(frame + n, vid);
	before[14] &= 0x0f;
	if (memcmp(before, frame, sizeof(before)) != 0)
		abort();
	(void)dp_vlan_untag(frame, *len, &vid);
	*len = (uint16_t)(*len - n);
	return frame + n;
}

/* The quick way takes nothing that parse does not, and says the same of it. */
static void quick(const uint8_t *frame, uint16_t len)
{
	struct dp_frame q, f;

	if (dp_parse_quick(frame, len, &q) &&
	    (dp_parse_frame(frame, len, &f) != DP_OK || memcmp(&q, &f, sizeof(q)) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	uint8_t *frame, *mem;
	struct dp_frame f;
	enum dp_drop why;
	uint16_t len;

	if (size > 2048)
		return 0;
	len = (uint16_t)size;
	mem = frame = malloc(size > 0 ? size : 1); /* exact, but for an empty one */
	memcpy(frame, data, size);
	ip(frame, len);
	frame = vlan(frame, &len);
	quick(frame, len);
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
	free(mem);
	return 0;
}
