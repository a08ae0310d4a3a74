/* SPDX-License-Identifier: BSD-3-Clause */
#include "neigh.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	struct dp_nh nh;
	uint64_t heard_ms; /* 0: never */
	uint64_t asked_ms;
	uint32_t tries;    /* since it was heard or wanted */
	int32_t next;      /* of the same bucket */
};

#define BUCKETS 4096

struct dp_neigh {
	uint32_t max, n;
	uint32_t scan;     /* where dp_neigh_due() goes on */
	uint64_t scan_ms;  /* when its round began */
	bool dirty;
	int32_t bucket[BUCKETS];
	struct entry *e;
};

static uint32_t hash(uint8_t port, const uint8_t *ip)
{
	uint64_t a, b;

	memcpy(&a, ip, 8);
	memcpy(&b, ip + 8, 8);
	a = (a ^ (b << 7 | b >> 57) ^ (uint64_t)port << 56) * 0x9e3779b97f4a7c15u;
	return (uint32_t)(a >> 32);
}

uint16_t dp_nh_find(const struct dp_nh_snap *snap, uint8_t port, uint8_t family, const uint8_t *ip)
{
	for (uint32_t at = hash(port, ip) & snap->mask;; at = (at + 1) & snap->mask) {
		uint16_t i = snap->bucket[at];

		if (i == DP_NEIGH_NONE)
			return DP_NEIGH_NONE;
		if (snap->nh[i].port == port && snap->nh[i].family == family && memcmp(snap->nh[i].ip, ip, 16) == 0)
			return i;
	}
}

struct dp_neigh *dp_neigh_create(uint32_t max)
{
	struct dp_neigh *tab;

	if (max == 0 || max > DP_NEIGH_MAX)
		return NULL;
	tab = calloc(1, sizeof(*tab));
	if (tab == NULL)
		return NULL;
	tab->e = calloc(max, sizeof(*tab->e));
	if (tab->e == NULL) {
		free(tab);
		return NULL;
	}
	tab->max = max;
	tab->dirty = true;
	for (int i = 0; i < BUCKETS; i++)
		tab->bucket[i] = -1;
	return tab;
}

void dp_neigh_destroy(struct dp_neigh *tab)
{
	if (tab == NULL)
		return;
	free(tab->e);
	free(tab);
}

static struct entry *find(struct dp_neigh *tab, uint8_t port, uint8_t family, const uint8_t *ip)
{
	int32_t i = tab->bucket[hash(port, ip) % BUCKETS];

	for (; i >= 0; i = tab->e[i].next)
		if (tab->e[i].nh.port == port && tab->e[i].nh.family == family &&
		    memcmp(tab->e[i].nh.ip, ip, 16) == 0)
			return &tab->e[i];
	return NULL;
}

int dp_neigh_want(struct dp_neigh *tab, uint8_t port, uint8_t family, const uint8_t *ip, uint64_t now_ms)
{
	struct entry *e = find(tab, port, family, ip);
	int32_t *head = &tab->bucket[hash(port, ip) % BUCKETS];

	if (e != NULL) {
		/* Wanted again after it was given up: ask soon, but not in a storm. */
		if (!e->nh.valid && e->tries > 3 && now_ms - e->asked_ms >= 1000) {
			e->tries = 0;
			tab->scan_ms = 0;
		}
		return (int)(e - tab->e);
	}
	if (tab->n == tab->max)
		return -ENOSPC;
	e = &tab->e[tab->n];
	*e = (struct entry){.nh = {.family = family, .port = port}, .next = *head};
	memcpy(e->nh.ip, ip, 16);
	*head = (int32_t)tab->n;
	tab->n++;
	tab->dirty = true;
	tab->scan_ms = 0;
	return (int)(e - tab->e);
}

bool dp_neigh_heard(struct dp_neigh *tab, uint8_t port, uint8_t family, const uint8_t *ip, const uint8_t *mac,
		    uint64_t now_ms)
{
	struct entry *e = find(tab, port, family, ip);

	if (e == NULL)
		return false;
	if (!e->nh.valid || memcmp(e->nh.mac, mac, 6) != 0) {
		memcpy(e->nh.mac, mac, 6);
		e->nh.valid = 1;
		tab->dirty = true;
	}
	e->heard_ms = now_ms;
	e->tries = 0;
	return true;
}

bool dp_neigh_due(struct dp_neigh *tab, uint64_t now_ms, struct dp_nh *ret)
{
	if (tab->scan == tab->n || tab->scan_ms == 0) {
		/* A round is over: the next begins a quarter of a second after it began. */
		if (tab->scan_ms != 0 && now_ms - tab->scan_ms < 250)
			return false;
		tab->scan = 0;
		tab->scan_ms = now_ms == 0 ? 1 : now_ms;
	}
	while (tab->scan < tab->n) {
		struct entry *e = &tab->e[tab->scan++];
		uint64_t pause_ms = e->tries < 3 ? 1000 : 10000;

		if (e->nh.valid) {
			if (now_ms - e->heard_ms < DP_NEIGH_REFRESH_S * 1000u)
				continue;
			if (now_ms - e->heard_ms >= DP_NEIGH_STALE_S * 1000u) {
				e->nh.valid = 0;
				tab->dirty = true;
			}
		}
		if (e->tries > 0 && now_ms - e->asked_ms < pause_ms)
			continue;
		e->asked_ms = now_ms;
		e->tries++;
		*ret = e->nh;
		return true;
	}
	return false;
}

bool dp_neigh_dirty(const struct dp_neigh *tab)
{
	return tab->dirty;
}

uint32_t dp_neigh_cnt(const struct dp_neigh *tab)
{
	return tab->n;
}

struct dp_nh_snap *dp_neigh_snapshot(struct dp_neigh *tab)
{
	struct dp_nh_snap *snap;
	uint32_t size = 64;

	while (size < 2 * tab->n)
		size *= 2;
	snap = malloc(sizeof(*snap) + tab->n * sizeof(struct dp_nh) + size * sizeof(uint16_t));
	if (snap == NULL)
		return NULL;
	snap->n = tab->n;
	snap->mask = size - 1;
	snap->bucket = (uint16_t *)&snap->nh[tab->n];
	memset(snap->bucket, 0xff, size * sizeof(uint16_t));
	for (uint32_t i = 0; i < tab->n; i++) {
		uint32_t at = hash(tab->e[i].nh.port, tab->e[i].nh.ip) & snap->mask;

		snap->nh[i] = tab->e[i].nh;
		while (snap->bucket[at] != DP_NEIGH_NONE)
			at = (at + 1) & snap->mask;
		snap->bucket[at] = (uint16_t)i;
	}
	tab->dirty = false;
	return snap;
}

/* --- frames --- */

static void eth(uint8_t *frame, const uint8_t *dst, const uint8_t *src, uint16_t etype)
{
	memmove(frame, dst, 6); /* may be the frame's own source */
	memcpy(frame + 6, src, 6);
	dp_put16(frame + 12, etype);
}

/* IPv6 and ICMPv6 headers around 'len' bytes of ICMPv6 that are in place at frame + 54, checksum included. */
static void icmp6_wrap(uint8_t *frame, const uint8_t *src, const uint8_t *dst, uint16_t len)
{
	uint8_t *ip = frame + DP_ETH_LEN, *icmp = ip + 40;

	memset(ip, 0, 8);
	ip[0] = 0x60;
	dp_put16(ip + 4, len);
	ip[6] = DP_PROTO_ICMP6;
	ip[7] = 255;
	memcpy(ip + 8, src, 16);
	memcpy(ip + 24, dst, 16);
	dp_put16(icmp + 2, 0);
	dp_put16(icmp + 2, dp_sum_fold(dp_sum(icmp, len, dp_sum_pseudo(6, ip + 8, ip + 24, DP_PROTO_ICMP6, len))));
}

uint16_t dp_neigh_solicit(uint8_t *frame, uint8_t family, const uint8_t *mac, const uint8_t *own, const uint8_t *ip)
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint8_t group[16] = {0xff, 2, [11] = 1, 0xff}, gmac[6] = {0x33, 0x33, 0xff};
	uint8_t *p = frame + DP_ETH_LEN;

	if (family == 4) {
		eth(frame, all, mac, DP_ETYPE_ARP);
		memcpy(p, "\x00\x01\x08\x00\x06\x04\x00\x01", 8);
		memcpy(p + 8, mac, 6);
		memcpy(p + 14, own, 4);
		memset(p + 18, 0, 6);
		memcpy(p + 24, ip, 4);
		memset(p + 28, 0, 18); /* to the shortest Ethernet frame */
		return 60;
	}
	memcpy(group + 13, ip + 13, 3);
	memcpy(gmac + 3, ip + 13, 3);
	eth(frame, gmac, mac, DP_ETYPE_IP6);
	p += 40;
	memset(p, 0, 32);
	p[0] = 135;
	memcpy(p + 8, ip, 16);
	p[24] = 1; /* source link-layer address */
	p[25] = 1;
	memcpy(p + 26, mac, 6);
	icmp6_wrap(frame, own, group, 32);
	return DP_ETH_LEN + 40 + 32;
}

uint16_t dp_neigh_arp_reply(uint8_t *frame, const struct dp_frame *f, const struct dp_arp *arp, const uint8_t *mac)
{
	uint8_t *p = frame + DP_ETH_LEN;

	/* A priority tag goes: the answer starts at byte 14. f->l3_off + 28 <= the frame's length, so there is room. */
	(void)f;
	eth(frame, arp->sha, mac, DP_ETYPE_ARP);
	memcpy(p, "\x00\x01\x08\x00\x06\x04\x00\x02", 8);
	memcpy(p + 8, mac, 6);
	memcpy(p + 14, arp->tpa, 4);
	memcpy(p + 18, arp->sha, 6);
	memcpy(p + 24, arp->spa, 4);
	return DP_ETH_LEN + 28;
}

enum dp_drop dp_neigh_nd_check(const uint8_t *frame, const struct dp_frame *f, struct dp_nd *ret)
{
	const uint8_t *m = frame + f->l4_off;
	uint16_t len = f->l4_len, at = 24;
	uint8_t want;

	if (len < 8)
		return DP_DROP_L4_MALFORMED;
	if (m[0] != 135 && m[0] != 136)
		return DP_DROP_L4_PROTO;
	if (len < 24 || f->ttl != 255 || m[1] != 0 || m[8] == 0xff)
		return DP_DROP_L4_MALFORMED;
	if (dp_sum_fold(dp_sum(m, len, dp_sum_pseudo(6, f->src, f->dst, DP_PROTO_ICMP6, len))) != 0)
		return DP_DROP_L4_MALFORMED;
	ret->type = m[0];
	memcpy(ret->target, m + 8, 16);
	ret->has_mac = false;
	want = m[0] == 135 ? 1 : 2;
	while (at < len) {
		uint16_t olen;

		if (len - at < 8)
			return DP_DROP_L4_MALFORMED;
		olen = (uint16_t)(m[at + 1] * 8);
		if (olen == 0 || olen > len - at)
			return DP_DROP_L4_MALFORMED;
		if (m[at] == want && olen == 8) {
			memcpy(ret->mac, m + at + 2, 6);
			ret->has_mac = (ret->mac[0] & 1) == 0;
		}
		at = (uint16_t)(at + olen);
	}
	return DP_OK;
}

uint16_t dp_neigh_na(uint8_t *frame, uint16_t room, const struct dp_frame *f, const struct dp_nd *nd,
		     const uint8_t *mac)
{
	static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1}, all_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
	static const uint8_t none[16];
	bool dad = memcmp(f->src, none, 16) == 0; /* somebody checks whether the address is free: it is not */
	uint8_t dst[16], dmac[6];
	uint8_t *p = frame + DP_ETH_LEN + 40;

	if (room < DP_ETH_LEN + 40 + 32)
		return 0;
	memcpy(dst, dad ? all_nodes : f->src, 16);
	memcpy(dmac, dad ? all_mac : frame + 6, 6);
	eth(frame, dmac, mac, DP_ETYPE_IP6);
	memset(p, 0, 32);
	p[0] = 136;
	p[4] = dad ? 0x20 : 0x60; /* override; solicited */
	memcpy(p + 8, nd->target, 16);
	p[24] = 2; /* target link-layer address */
	p[25] = 1;
	memcpy(p + 26, mac, 6);
	icmp6_wrap(frame, nd->target, dst, 32);
	return DP_ETH_LEN + 40 + 32;
}

uint16_t dp_neigh_echo_reply(uint8_t *frame, const struct dp_frame *f, const uint8_t *mac, enum dp_drop *ret_why)
{
	uint8_t *ip = frame + f->l3_off, *m = frame + f->l4_off;
	uint8_t smac[6];

	*ret_why = DP_DROP_L4_PROTO;
	if (f->l4_len < 8) {
		*ret_why = DP_DROP_L4_MALFORMED;
		return 0;
	}
	if (m[0] != (f->family == 4 ? 8 : 128) || m[1] != 0)
		return 0;
	if (f->family == 4) {
		uint8_t a[4];

		if (dp_sum_fold(dp_sum(m, f->l4_len, 0)) != 0) {
			*ret_why = DP_DROP_L4_MALFORMED;
			return 0;
		}
		m[0] = 0;
		dp_put16(m + 2, 0);
		dp_put16(m + 2, dp_sum_fold(dp_sum(m, f->l4_len, 0)));
		memcpy(a, ip + 12, 4);
		memcpy(ip + 12, ip + 16, 4);
		memcpy(ip + 16, a, 4);
		ip[8] = 64;
		dp_put16(ip + 10, 0);
		dp_put16(ip + 10, dp_sum_fold(dp_sum(ip, (uint32_t)(f->l4_off - f->l3_off), 0)));
	} else {
		uint32_t pseudo = dp_sum_pseudo(6, f->src, f->dst, DP_PROTO_ICMP6, f->l4_len);

		if (dp_sum_fold(dp_sum(m, f->l4_len, pseudo)) != 0) {
			*ret_why = DP_DROP_L4_MALFORMED;
			return 0;
		}
		m[0] = 129; /* the pseudo header's sum is the same in both directions */
		dp_put16(m + 2, 0);
		dp_put16(m + 2, dp_sum_fold(dp_sum(m, f->l4_len, pseudo)));
		memcpy(ip + 8, f->dst, 16);
		memcpy(ip + 24, f->src, 16);
		ip[7] = 64;
	}
	memcpy(smac, frame + 6, 6);
	memcpy(frame, smac, 6);
	memcpy(frame + 6, mac, 6);
	return (uint16_t)(f->l3_off + f->l3_len);
}
