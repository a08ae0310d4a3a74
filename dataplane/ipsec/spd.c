/* SPDX-License-Identifier: BSD-3-Clause */
#include "ipsec/spd.h"

#include <assert.h>
#include <string.h>

#include "ipsec/iphdr.h"


static_assert(sizeof(struct dp_spd_flow) == 40 && sizeof(struct dp_spd_seen) == 64, "a cache line for each flow");

static void mask(uint8_t *ip, uint8_t *m, const struct dp_sockaddr *a, uint8_t plen)
{
	for (int i = 0; i < 16 && a->family != 0; i++) {
		int n = plen - 8 * i;

		m[i] = (uint8_t)(n >= 8 ? 0xff : n <= 0 ? 0 : 0xff << (8 - n));
		ip[i] = a->ip[i] & m[i];
	}
}

void dp_spd_add(struct dp_spd *spd, const struct dp_spd_set *m, uint16_t media_base)
{
	struct dp_spd_policy *p = &spd->pol[spd->n++];

	*p = (struct dp_spd_policy){
		.dirs = m->dirs, .action = m->action, .proto = m->proto, .df = m->df, .dscp = m->dscp,
		.family = m->local.family != 0 ? m->local.family : m->remote.family,
		.icmp_lo = m->icmp_lo, .icmp_hi = m->icmp_hi, .any_icmp = m->icmp_lo == 0 && m->icmp_hi == UINT8_MAX,
		.local_lo = m->local_lo, .local_hi = m->local_hi, .remote_lo = m->remote_lo, .remote_hi = m->remote_hi,
		.any_ports = m->local_lo == 0 && m->remote_lo == 0 && m->local_hi == UINT16_MAX && m->remote_hi == UINT16_MAX};
	mask(p->local, p->local_mask, &m->local, m->local_plen);
	mask(p->remote, p->remote_mask, &m->remote, m->remote_plen);
	if (p->action != DP_SPD_BYPASS && (p->proto == 0 || p->proto == IPH_UDP) && p->local_hi >= media_base &&
	    p->local_lo <= (uint32_t)media_base + DP_PORTS_PER_ADDR - 1)
		spd->media_dirs |= p->dirs;
}

static bool in(const uint8_t *ip, const uint8_t *want, const uint8_t *m)
{
	uint64_t a[2], w[2], k[2];

	memcpy(a, ip, 16);
	memcpy(w, want, 16);
	memcpy(k, m, 16);
	return (((a[0] & k[0]) ^ w[0]) | ((a[1] & k[1]) ^ w[1])) == 0;
}

static bool fits(const struct dp_spd_policy *p, const struct dp_spd_flow *f)
{
	if ((p->dirs & f->dir) == 0 || (p->family != 0 && p->family != f->family) || (p->proto != 0 && p->proto != f->proto))
		return false;
	/* A policy that names ports or types names their protocol as well: the channel's check sees to that. */
	if (!p->any_ports && (f->local_port < p->local_lo || f->local_port > p->local_hi || f->remote_port < p->remote_lo ||
			      f->remote_port > p->remote_hi))
		return false;
	if (!p->any_icmp && (f->local_port < p->icmp_lo || f->local_port > p->icmp_hi))
		return false;
	return in(f->local, p->local, p->local_mask) && in(f->remote, p->remote, p->remote_mask);
}

uint8_t dp_spd_walk(const struct dp_spd *spd, const struct dp_spd_flow *f)
{
	for (uint8_t i = 0; i < spd->n; i++)
		if (fits(&spd->pol[i], f))
			return i;
	return DP_SPD_NONE;
}

uint8_t dp_spd_look(const struct dp_spd *spd, struct dp_spd_cache *cache, const struct dp_spd_flow *f)
{
	struct dp_spd_seen *s;
	uint64_t w[5], h = 0;

	memcpy(w, f, sizeof(w));
	for (int i = 0; i < 5; i++)
		h = (h ^ w[i]) * UINT64_C(0x9e3779b97f4a7c15) ^ h >> 29;
	s = &cache->seen[h >> 40 & (DP_SPD_CACHE - 1)];
	if (s->gen != spd->gen || memcmp(&s->flow, f, sizeof(*f)) != 0) {
		s->flow = *f;
		s->gen = spd->gen;
		s->pos = dp_spd_walk(spd, f);
	}
	return s->pos;
}
