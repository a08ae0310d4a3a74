/* SPDX-License-Identifier: BSD-3-Clause */
#include "ipsec/pmtu.h"

#include <string.h>

#include "ipsec/esp.h"
#include "ipsec/iphdr.h"
#include "ipsec/sa.h"

/* The packet that was too long, as far as it is quoted: 'have' bytes at 'ip'. */
static enum dp_drop quoted(uint8_t family, const uint8_t *ip, uint32_t have, struct dp_pmtu *ret)
{
	uint32_t at = family == 4 ? 20 : 40;
	uint8_t proto;

	if (have < at || ip[0] >> 4 != family)
		return DP_DROP_L4_MALFORMED;
	if (family == 4) {
		at = (ip[0] & 15) * 4u;
		if (at < 20)
			return DP_DROP_L4_MALFORMED;
		ret->total = be16(ip + 2);
		if ((be16(ip + 6) & 0x1fff) != 0)
			return DP_DROP_L4_PROTO; /* a later fragment shows no SPI */
		proto = ip[9];
		memcpy(ret->src, ip + 12, 4);
		memcpy(ret->dst, ip + 16, 4);
	} else {
		ret->total = (uint16_t)(40 + be16(ip + 4));
		proto = ip[6];
		memcpy(ret->src, ip + 8, 16);
		memcpy(ret->dst, ip + 24, 16);
		if (proto == IPH_FRAGMENT) { /* ours are directly behind the fixed header */
			if (have < at + 8 || (be16(ip + at + 2) & 0xfff8) != 0)
				return DP_DROP_L4_PROTO;
			proto = ip[at];
			at += 8;
		}
	}
	ret->udp = proto == IPH_UDP;
	if (!ret->udp && proto != IPH_ESP)
		return DP_DROP_L4_PROTO;
	if (have < at + 8 + (ret->udp ? 8 : 0))
		return DP_DROP_L4_PROTO;
	if (ret->udp) {
		ret->sport = be16(ip + at);
		ret->dport = be16(ip + at + 2);
		at += 8;
	}
	ret->spi = be32(ip + at);
	ret->seq = be32(ip + at + 4);
	return DP_OK;
}

enum dp_drop dp_pmtu_read(uint8_t family, const uint8_t *icmp, uint16_t len, struct dp_pmtu *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->family = family;
	if (len < 8)
		return DP_DROP_L4_MALFORMED;
	if (family == 4 ? icmp[0] != 3 || icmp[1] != 4 : icmp[0] != 2 || icmp[1] != 0)
		return DP_DROP_L4_PROTO;
	ret->mtu = family == 4 ? be16(icmp + 6) : be32(icmp + 4);
	return quoted(family, icmp + 8, len - 8u, ret);
}

/* RFC 1191 s7: what a router without a next-hop MTU will have meant. */
static uint32_t plateau(uint32_t total)
{
	static const uint16_t below[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006};

	for (unsigned int i = 0; i < sizeof(below) / sizeof(below[0]); i++)
		if (below[i] < total)
			return below[i];
	return DP_PMTU_MIN4;
}

bool dp_pmtu_apply(struct dp_sa *sa, const struct dp_pmtu *msg, uint64_t now_s)
{
	uint32_t low = msg->family == 4 ? DP_PMTU_MIN4 : DP_PMTU_MIN6, mtu = msg->mtu;
	uint32_t ago = (uint32_t)sa->seq - msg->seq;

	if (sa->dir != DP_DIR_SEND || sa->spi != msg->spi || sa->family != msg->family || sa->udp != msg->udp ||
	    memcmp(sa->local.ip, msg->src, 16) != 0 || memcmp(sa->remote.ip, msg->dst, 16) != 0)
		return false;
	if (msg->udp && (sa->local.port != msg->sport || sa->remote.port != msg->dport))
		return false;
	if (ago >= DP_PMTU_AGO || ago >= sa->seq)
		return false;
	if (mtu == 0 && msg->family == 4)
		mtu = plateau(msg->total);
	if (mtu < low)
		mtu = low;
	/* A path that takes what did not pass is a lie, and a longer one is found when this has aged. */
	if (mtu >= UINT16_MAX || mtu >= msg->total || (sa->pmtu != 0 && mtu > sa->pmtu))
		return false;
	sa->pmtu = (uint16_t)mtu;
	sa->pmtu_s = (uint32_t)now_s;
	return true;
}
