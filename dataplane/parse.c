/* SPDX-License-Identifier: BSD-3-Clause */
#include "parse.h"

static enum dp_drop parse_udp(const uint8_t *data, struct dp_frame *f)
{
	const uint8_t *udp = data + f->l4_off;
	uint16_t ulen;

	if (f->l4_len < 8)
		return DP_DROP_L4_MALFORMED;
	ulen = dp_get16(udp + 4);
	if (ulen < 8 || ulen > f->l4_len)
		return DP_DROP_L4_MALFORMED;
	f->src_port = dp_get16(udp);
	f->dst_port = dp_get16(udp + 2);
	f->payload_off = (uint16_t)(f->l4_off + 8);
	f->payload_len = (uint16_t)(ulen - 8);
	return DP_OK;
}

static enum dp_drop parse_ip4(const uint8_t *data, uint16_t off, uint16_t len, struct dp_frame *f)
{
	const uint8_t *ip = data + off;
	uint16_t total, frag;
	uint8_t hlen;

	if (len < 20 || ip[0] >> 4 != 4)
		return DP_DROP_L3_MALFORMED;
	hlen = (uint8_t)((ip[0] & 15) * 4);
	total = dp_get16(ip + 2);
	if (hlen < 20 || total < hlen || total > len)
		return DP_DROP_L3_MALFORMED;
	/* A source that cannot be answered: 0/8, 127/8, multicast and above. */
	if (ip[12] == 0 || ip[12] == 127 || ip[12] >= 224)
		return DP_DROP_L3_MALFORMED;
	if (hlen == 20 ? dp_ip4_sum(ip) != 0 : dp_sum_fold(dp_sum(ip, hlen, 0)) != 0)
		return DP_DROP_L3_MALFORMED;
	frag = dp_get16(ip + 6);
	if ((frag & 0x3fff) != 0) /* more fragments, or an offset */
		return DP_DROP_L3_FRAGMENT;
	if (ip[8] == 0)
		return DP_DROP_TTL;
	f->family = 4;
	f->tos = ip[1];
	f->ttl = ip[8];
	f->proto = ip[9];
	f->l3_off = off;
	f->l3_len = total;
	f->l4_off = (uint16_t)(off + hlen);
	f->l4_len = (uint16_t)(total - hlen);
	memset(f->src, 0, sizeof(f->src));
	memset(f->dst, 0, sizeof(f->dst));
	memcpy(f->src, ip + 12, 4);
	memcpy(f->dst, ip + 16, 4);
	return DP_OK;
}

static enum dp_drop parse_ip6(const uint8_t *data, uint16_t off, uint16_t len, struct dp_frame *f)
{
	const uint8_t *ip = data + off;
	uint16_t left, at = 40;
	uint8_t next;

	if (len < 40 || ip[0] >> 4 != 6)
		return DP_DROP_L3_MALFORMED;
	left = dp_get16(ip + 4);
	if (left > len - 40)
		return DP_DROP_L3_MALFORMED;
	if (ip[8] == 0xff) /* a multicast source */
		return DP_DROP_L3_MALFORMED;
	if (ip[7] == 0)
		return DP_DROP_TTL;
	f->l3_len = (uint16_t)(40 + left);
	next = ip[6];
	for (int n = 0;; n++) {
		uint16_t elen;

		if (next == 44)
			return DP_DROP_L3_FRAGMENT;
		if (next != 0 && next != 60)
			break;
		if (n == DP_PARSE_EXT_MAX || left < 8)
			return DP_DROP_L3_MALFORMED;
		elen = (uint16_t)((ip[at + 1] + 1) * 8);
		if (elen > left)
			return DP_DROP_L3_MALFORMED;
		next = ip[at];
		at = (uint16_t)(at + elen);
		left = (uint16_t)(left - elen);
	}
	if (next == 43)
		return DP_DROP_L3_MALFORMED;
	f->family = 6;
	f->tos = (uint8_t)((ip[0] & 15) << 4 | ip[1] >> 4);
	f->ttl = ip[7];
	f->proto = next;
	f->l3_off = off;
	f->l4_off = (uint16_t)(off + at);
	f->l4_len = left;
	memcpy(f->src, ip + 8, 16);
	memcpy(f->dst, ip + 24, 16);
	return DP_OK;
}

static enum dp_drop parse_l3(const uint8_t *data, uint16_t off, uint16_t len, struct dp_frame *f)
{
	enum dp_drop rc;

	rc = f->etype == DP_ETYPE_IP4 ? parse_ip4(data, off, len, f) : parse_ip6(data, off, len, f);
	if (rc == DP_OK && f->proto == DP_PROTO_UDP)
		rc = parse_udp(data, f);
	return rc;
}

enum dp_drop dp_parse_frame(const uint8_t *data, uint16_t len, struct dp_frame *f)
{
	uint16_t off = DP_ETH_LEN;

	if (len < DP_ETH_LEN)
		return DP_DROP_L2_NOT_OURS;
	f->etype = dp_get16(data + 12);
	if (f->etype == DP_ETYPE_VLAN) {
		/* A priority tag is no VLAN; those of VLANs are taken off before (dp_vlan_untag). */
		if (len < DP_ETH_LEN + 4 || (dp_get16(data + 14) & 0xfff) != 0)
			return DP_DROP_L2_NOT_OURS;
		f->etype = dp_get16(data + 16);
		off += 4;
	}
	f->family = 0;
	f->proto = 0;
	if (f->etype == DP_ETYPE_ARP) {
		f->l3_off = off;
		f->l3_len = (uint16_t)(len - off);
		return DP_OK;
	}
	if (f->etype != DP_ETYPE_IP4 && f->etype != DP_ETYPE_IP6)
		return DP_DROP_L2_NOT_OURS;
	return parse_l3(data, off, (uint16_t)(len - off), f);
}

uint16_t dp_vlan_untag(uint8_t *frame, uint16_t len, uint16_t *ret_vid)
{
	*ret_vid = 0;
	if (len < DP_ETH_LEN + DP_VLAN_LEN || dp_get16(frame + 12) != DP_ETYPE_VLAN)
		return 0;
	*ret_vid = dp_get16(frame + 14) & DP_VLAN_MAX;
	memmove(frame + DP_VLAN_LEN, frame, 12);
	return DP_VLAN_LEN;
}

void dp_vlan_tag(uint8_t *frame, uint16_t tci)
{
	memmove(frame - DP_VLAN_LEN, frame, 12);
	dp_put16(frame + 12 - DP_VLAN_LEN, DP_ETYPE_VLAN);
	dp_put16(frame + 14 - DP_VLAN_LEN, tci);
}

uint8_t dp_vlan_pcp(const uint8_t *frame, uint16_t len)
{
	if (len < DP_ETH_LEN + 2)
		return 0;
	switch (dp_get16(frame + 12)) {
	case DP_ETYPE_IP4:
		return frame[DP_ETH_LEN + 1] >> 5;
	case DP_ETYPE_IP6: /* the traffic class lies across two bytes */
		return frame[DP_ETH_LEN] >> 1 & 7;
	default:
		return 0;
	}
}

enum dp_drop dp_parse_ip(const uint8_t *data, uint16_t len, struct dp_frame *f)
{
	if (len < 1)
		return DP_DROP_L3_MALFORMED;
	f->etype = data[0] >> 4 == 4 ? DP_ETYPE_IP4 : DP_ETYPE_IP6;
	f->proto = 0;
	return parse_l3(data, 0, len, f);
}

enum dp_drop dp_parse_arp(const uint8_t *data, uint16_t len, struct dp_arp *ret)
{
	if (len < 28 || dp_get16(data) != 1 || dp_get16(data + 2) != DP_ETYPE_IP4 || data[4] != 6 || data[5] != 4)
		return DP_DROP_L3_MALFORMED;
	ret->op = dp_get16(data + 6);
	if (ret->op != 1 && ret->op != 2)
		return DP_DROP_L3_MALFORMED;
	memcpy(ret->sha, data + 8, 6);
	memcpy(ret->spa, data + 14, 4);
	memcpy(ret->tha, data + 18, 6);
	memcpy(ret->tpa, data + 24, 4);
	if ((ret->sha[0] & 1) != 0) /* a group address has no owner */
		return DP_DROP_L3_MALFORMED;
	return DP_OK;
}

uint32_t dp_sum(const uint8_t *data, uint32_t len, uint32_t sum)
{
	uint64_t acc = sum;
	uint32_t i = 0;

	for (; i + 2 <= len; i += 2)
		acc += dp_get16(data + i);
	if (i < len)
		acc += (uint32_t)data[i] << 8;
	acc = (acc & 0xffffffff) + (acc >> 32);
	acc = (acc & 0xffff) + (acc >> 16);
	return (uint32_t)acc;
}

uint32_t dp_sum_pseudo(uint8_t family, const uint8_t *src, const uint8_t *dst, uint8_t proto, uint32_t len)
{
	uint32_t alen = family == 4 ? 4 : 16;
	uint32_t sum = dp_sum(src, alen, 0);

	sum = dp_sum(dst, alen, sum);
	return sum + proto + (len >> 16) + (len & 0xffff);
}

void dp_build_udp(uint8_t *hdr, uint8_t family, const uint8_t *src, uint16_t src_port, const uint8_t *dst,
		  uint16_t dst_port, uint16_t payload_len, uint8_t dscp, bool udp_sum)
{
	uint16_t ulen = (uint16_t)(payload_len + 8);
	uint8_t *udp;

	if (family == 4) {
		static const uint8_t fixed[4] = {0, 0, 0x40, 0}; /* id 0 with DF: RFC 6864 */
		uint16_t sum;

		hdr[0] = 0x45;
		hdr[1] = (uint8_t)(dscp << 2);
		dp_put16(hdr + 2, (uint16_t)(ulen + 20));
		memcpy(hdr + 4, fixed, 4);
		hdr[8] = 64;
		hdr[9] = DP_PROTO_UDP;
		dp_put16(hdr + 10, 0);
		memcpy(hdr + 12, src, 4);
		memcpy(hdr + 16, dst, 4);
		sum = dp_ip4_sum(hdr);
		memcpy(hdr + 10, &sum, 2);
		udp = hdr + 20;
	} else {
		uint8_t tc = (uint8_t)(dscp << 2);

		hdr[0] = (uint8_t)(0x60 | tc >> 4);
		hdr[1] = (uint8_t)(tc << 4);
		hdr[2] = 0;
		hdr[3] = 0;
		dp_put16(hdr + 4, ulen);
		hdr[6] = DP_PROTO_UDP;
		hdr[7] = 64;
		memcpy(hdr + 8, src, 16);
		memcpy(hdr + 24, dst, 16);
		udp = hdr + 40;
	}
	dp_put16(udp, src_port);
	dp_put16(udp + 2, dst_port);
	dp_put16(udp + 4, ulen);
	dp_put16(udp + 6, 0);
	if (udp_sum || family == 6) {
		uint32_t sum = dp_sum_pseudo(family, src, dst, DP_PROTO_UDP, ulen);
		uint16_t c = dp_sum_fold(dp_sum(udp, ulen, sum));

		dp_put16(udp + 6, c == 0 ? 0xffff : c);
	}
}
