/* SPDX-License-Identifier: BSD-3-Clause */
#include "ipsec/iphdr.h"

#include "ipsec/esp.h"

static enum dp_drop parse_v4(const uint8_t *ip, uint16_t have, struct dp_iphdr *ret)
{
	uint16_t hlen = (uint16_t)((ip[0] & 15) * 4);

	if (have < 20 || hlen < 20)
		return DP_DROP_L3_MALFORMED;
	ret->version = 4;
	ret->total = be16(ip + 2);
	if (ret->total > have || ret->total < hlen)
		return DP_DROP_L3_MALFORMED;
	ret->len = hlen;
	ret->nh_off = 9;
	ret->proto = ip[9];
	ret->fragment = (be16(ip + 6) & 0x3fff) != 0; /* MF or an offset */
	ret->esp_at = hlen;
	ret->esp_nh_off = 9;
	return DP_OK;
}

static enum dp_drop parse_v6(const uint8_t *ip, uint16_t have, struct dp_iphdr *ret)
{
	uint32_t total, off = 40;
	uint16_t nh_off = 6;

	if (have < 40)
		return DP_DROP_L3_MALFORMED;
	total = 40u + be16(ip + 4); /* no jumbograms: with length 0 the walk below finds nothing */
	if (total > have)
		return DP_DROP_L3_MALFORMED;
	ret->version = 6;
	ret->total = (uint16_t)total;
	ret->fragment = false;
	ret->esp_at = 40;
	ret->esp_nh_off = 6;
	for (int i = 0;; i++) {
		uint8_t nh = ip[nh_off];
		uint32_t ext;

		if (nh == IPH_FRAGMENT) {
			ret->fragment = true;
			break;
		}
		if (nh != IPH_HOPOPTS && nh != IPH_DSTOPTS && nh != IPH_ROUTING)
			break;
		/* A routing header names other destinations than the one that selectors look at. */
		if (nh == IPH_ROUTING || i == DP_ESP_EXT_MAX || total - off < 8)
			return DP_DROP_L3_MALFORMED;
		if (nh == IPH_HOPOPTS && i != 0)
			return DP_DROP_L3_MALFORMED;
		ext = 8u + 8u * ip[off + 1];
		if (ext > total - off)
			return DP_DROP_L3_MALFORMED;
		nh_off = (uint16_t)off;
		off += ext;
		if (nh == IPH_HOPOPTS) {
			ret->esp_at = (uint16_t)off;
			ret->esp_nh_off = nh_off;
		}
	}
	ret->len = (uint16_t)off;
	ret->nh_off = nh_off;
	ret->proto = ip[nh_off];
	return DP_OK;
}

enum dp_drop dp_iphdr_parse(const uint8_t *ip, uint16_t have, struct dp_iphdr *ret)
{
	if (have == 0)
		return DP_DROP_L3_MALFORMED;
	if (ip[0] >> 4 == 4)
		return parse_v4(ip, have, ret);
	if (ip[0] >> 4 == 6)
		return parse_v6(ip, have, ret);
	return DP_DROP_L3_MALFORMED;
}

uint64_t dp_iphdr_sum(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;

	for (; len >= 4; p += 4, len -= 4)
		sum += be32(p); /* 2^16 = 1 modulo 2^16 - 1: a 32-bit word counts as its two halves */
	if (len >= 2) {
		sum += be16(p);
		p += 2;
		len -= 2;
	}
	if (len == 1)
		sum += (uint64_t)p[0] << 8;
	return sum;
}

uint64_t dp_iphdr_pseudo(const uint8_t *ip, uint8_t proto, uint32_t len)
{
	uint64_t sum = (uint64_t)proto + len;

	return sum + (ip[0] >> 4 == 4 ? dp_iphdr_sum(ip + 12, 8) : dp_iphdr_sum(ip + 8, 32));
}

void dp_iphdr_v4_sum(uint8_t *ip, unsigned int hlen)
{
	put_be16(ip + 10, 0);
	put_be16(ip + 10, (uint16_t)~dp_iphdr_fold(dp_iphdr_sum(ip, hlen)));
}

void dp_iphdr_udp_sum(uint8_t *ip, uint8_t *udp, uint32_t len)
{
	uint16_t sum;

	put_be16(udp + 6, 0);
	sum = (uint16_t)~dp_iphdr_fold(dp_iphdr_pseudo(ip, IPH_UDP, len) + dp_iphdr_sum(udp, len));
	put_be16(udp + 6, sum == 0 ? 0xffff : sum);
}
