/* SPDX-License-Identifier: BSD-3-Clause */
#include "leg.h"

#include <string.h>

#include "srtp/srtp.h"

#define UP64(n) (((n) + 63) & ~(size_t)63)

size_t dp_leg_tab_size(uint32_t addr_cnt, uint32_t max)
{
	return UP64(sizeof(struct dp_leg) * (size_t)max) + UP64(sizeof(struct dp_leg_aux) * (size_t)max) +
	       UP64(sizeof(struct dp_leg_cold) * (size_t)max) + UP64(sizeof(uint32_t) * (size_t)addr_cnt * DP_LEGS_PER_ADDR);
}

void dp_leg_tab_init(struct dp_leg_tab *tab, void *mem, uint32_t addr_cnt, uint32_t max, uint16_t base_port)
{
	uint8_t *p = mem;

	tab->legs = (void *)p;
	p += UP64(sizeof(struct dp_leg) * (size_t)max);
	tab->aux = (void *)p;
	p += UP64(sizeof(struct dp_leg_aux) * (size_t)max);
	tab->cold = (void *)p;
	p += UP64(sizeof(struct dp_leg_cold) * (size_t)max);
	tab->slot = (void *)p;
	tab->id_cnt = addr_cnt * DP_LEGS_PER_ADDR;
	tab->max = max;
	tab->base_port = base_port;
	memset(tab->slot, 0xff, sizeof(uint32_t) * tab->id_cnt);
}

/* FNV-1a: tells equal from changed, guards nothing. */
static uint64_t digest(const struct dp_leg_set *set)
{
	const struct dp_sockaddr *a[2] = {&set->remote, &set->remote_rtcp};
	uint64_t h = 0xcbf29ce484222325u;

	for (int k = 0; k < 2; k++) {
		for (int i = 0; i < 16; i++)
			h = (h ^ a[k]->ip[i]) * 0x100000001b3u;
		h = (h ^ a[k]->port) * 0x100000001b3u;
		h = (h ^ a[k]->family) * 0x100000001b3u;
	}
	return (h ^ (set->flags & DP_LEG_F_RTCP_MUX) ^ (uint64_t)set->latch << 8) * 0x100000001b3u;
}

static void set_remote(struct dp_leg *leg, uint8_t family, const uint8_t *ip, uint16_t port)
{
	/* The next hop belongs to the address, not to the port. */
	if (leg->tx.family != family || memcmp(leg->tx.ip, ip, 16) != 0)
		leg->tx.nh = DP_NH_NONE;
	leg->rx.family = family;
	leg->tx.family = family;
	memcpy(leg->rx.ip, ip, 16);
	memcpy(leg->tx.ip, ip, 16);
	leg->rx.rtp_port = port;
	leg->tx.rtp_port = port;
}

static void set_rtcp(struct dp_leg *leg, struct dp_leg_cold *cold, const uint8_t *ip, uint16_t port)
{
	memcpy(cold->rtcp_ip, ip, 16);
	leg->rx.rtcp_port = port;
}

/* RTCP follows RTP: the same port, or the next one. */
static void derive_rtcp(struct dp_leg *leg, struct dp_leg_cold *cold)
{
	bool mux = (leg->rx.flags & DP_LEG_F_RTCP_MUX) != 0;

	set_rtcp(leg, cold, leg->rx.ip, (uint16_t)(leg->rx.rtp_port + (mux ? 0 : 1)));
}

static void unlink_peer(struct dp_leg *leg)
{
	if (leg->rx.peer != NULL)
		leg->rx.peer->rx.peer = NULL;
	leg->rx.peer = NULL;
}

/* A rate that stays keeps its bucket. */
static void set_rate(const struct dp_leg_tab *tab, struct dp_leg *leg, uint32_t pps, uint64_t now_cyc)
{
	struct dp_leg_aux *aux = dp_leg_aux(tab, leg);
	struct dp_rate r = dp_rate_of(pps != 0 ? pps : tab->rate_pps, tab->hz);

	if (r.period != aux->meter_period || r.burst != aux->meter_burst)
		dp_rate_start(&aux->meter, &r, now_cyc);
	aux->meter_period = r.period;
	aux->meter_burst = (uint16_t)r.burst;
	if (r.period != 0)
		leg->rx.state |= DP_LEG_S_RATED;
	else
		leg->rx.state &= ~(uint32_t)DP_LEG_S_RATED;
}

static void set_pt_map(struct dp_leg *leg, struct dp_leg_aux *aux, const struct dp_leg_set *set)
{
	memset(aux->pt_from, DP_PT_NONE, sizeof(aux->pt_from));
	for (unsigned int i = 0; i < set->pt_map_cnt && i < DP_PT_MAP_MAX; i++) {
		aux->pt_from[i] = set->pt_map[i].from;
		aux->pt_to[i] = set->pt_map[i].to;
	}
	leg->tx.more = set->pt_map_cnt > 0 ? DP_LEG_T_PT : 0;
}

bool dp_leg_apply(struct dp_leg_tab *tab, const struct dp_leg_set *set, struct dp_leg *fresh, uint32_t now_s,
		  uint64_t now_cyc)
{
	struct dp_leg *leg = dp_leg_find(tab, set->leg_id);
	struct dp_leg_cold *cold;
	struct dp_leg_aux *aux;
	struct dp_leg *peer;
	uint64_t sig = digest(set);
	bool made = leg == NULL;

	if (made) {
		leg = fresh;
		memset(leg, 0, sizeof(*leg));
		memset(dp_leg_cold(tab, leg), 0, sizeof(struct dp_leg_cold));
		memset(dp_leg_aux(tab, leg), 0, sizeof(struct dp_leg_aux));
		leg->tx.nh = DP_NH_NONE;
		leg->tx.leg_id = set->leg_id;
		leg->tx.addr_idx = (uint8_t)DP_LEG_ADDR(set->leg_id);
		leg->tx.local_port = DP_LEG_PORT(set->leg_id, tab->base_port);
	}
	cold = dp_leg_cold(tab, leg);
	aux = dp_leg_aux(tab, leg);
	dp_stat_clock(&aux->stat, set->clock_hz);
	set_rate(tab, leg, set->rate_pps, now_cyc);
	set_pt_map(leg, aux, set);
	leg->rx.suite = set->rx_suite;
	leg->tx.suite = set->tx_suite;
	leg->rx.latch = set->latch;
	leg->rx.flags = set->flags;
	leg->tx.flags = set->flags;
	leg->tx.dscp = set->dscp;
	cold->idle_s = set->idle_s;
	leg->rx.last_s = now_s; /* asserting a leg is a sign of life */
	if (made || cold->sig != sig) {
		cold->sig = sig;
		aux->latch_left = set->latch_max > 0 ? set->latch_max : 1;
		leg->rx.state &= ~(uint32_t)(DP_LEG_S_LATCHED | DP_LEG_S_RTCP_LATCHED | DP_LEG_S_RTCP_OWN);
		set_remote(leg, set->remote.family, set->remote.ip, set->remote.port);
		if (set->remote_rtcp.family != 0) {
			leg->rx.state |= DP_LEG_S_RTCP_OWN;
			set_rtcp(leg, cold, set->remote_rtcp.ip, set->remote_rtcp.port);
		} else {
			derive_rtcp(leg, cold);
		}
	}
	if (leg->rx.peer != NULL && leg->rx.peer->tx.leg_id != set->peer_id)
		unlink_peer(leg);
	cold->peer_id = set->peer_id;
	peer = set->peer_id < tab->id_cnt ? dp_leg_find(tab, set->peer_id) : NULL;
	if (peer != NULL && dp_leg_cold(tab, peer)->peer_id == set->leg_id && peer->rx.peer != leg) {
		unlink_peer(peer);
		peer->rx.peer = leg;
		leg->rx.peer = peer;
	}
	if (made) {
		tab->slot[set->leg_id] = dp_leg_num(tab, leg);
		/* From now on the main lcore reads it. */
		__atomic_store_n(&leg->rx.state, leg->rx.state | DP_LEG_S_UP, __ATOMIC_RELEASE);
	}
	return made;
}

struct dp_leg *dp_leg_remove(struct dp_leg_tab *tab, uint32_t leg_id)
{
	struct dp_leg *leg = dp_leg_find(tab, leg_id);

	if (leg == NULL)
		return NULL;
	unlink_peer(leg);
	tab->slot[leg_id] = DP_LEG_NONE;
	leg->rx.state &= ~(uint32_t)DP_LEG_S_UP;
	return leg;
}

enum dp_leg_src dp_leg_source_other(const struct dp_leg_tab *tab, const struct dp_leg *leg, uint8_t family,
				    const uint8_t *src, uint16_t src_port, bool rtcp, uint32_t now_s)
{
	const struct dp_leg_rx *rx = &leg->rx;
	bool own = rtcp && (rx->flags & DP_LEG_F_RTCP_MUX) == 0; /* on one port there is one source for both */
	const uint8_t *ip = rx->ip;
	uint16_t port = rx->rtp_port;
	bool same_ip, may;

	if (own || (rtcp && (rx->state & DP_LEG_S_RTCP_OWN) != 0)) {
		ip = dp_leg_cold(tab, leg)->rtcp_ip;
		port = rx->rtcp_port;
	}
	same_ip = rx->family == family && memcmp(ip, src, 16) == 0;
	if (same_ip && port == src_port)
		return DP_LEG_SRC_KNOWN;
	if (own)
		may = (rx->state & DP_LEG_S_RTCP_LATCHED) == 0;
	else
		may = dp_leg_aux(tab, leg)->latch_left > 0 &&
		      ((rx->state & DP_LEG_S_LATCHED) == 0 ||
		       (now_s > rx->last_s && now_s - rx->last_s > DP_LATCH_QUIET_S));
	switch (rx->latch) {
	case DP_LATCH_AUTH:
		return rx->suite != DP_SRTP_NONE ? DP_LEG_SRC_LATCH : DP_LEG_SRC_BAD;
	case DP_LATCH_ADDRESS:
		return same_ip && may ? DP_LEG_SRC_LATCH : DP_LEG_SRC_BAD;
	case DP_LATCH_ANY:
		/* Where RTP has come from RTCP must come from, too. */
		if (own && (rx->state & DP_LEG_S_LATCHED) != 0 && (rx->family != family || memcmp(rx->ip, src, 16) != 0))
			return DP_LEG_SRC_BAD;
		return may ? DP_LEG_SRC_LATCH : DP_LEG_SRC_BAD;
	default:
		return DP_LEG_SRC_BAD;
	}
}

bool dp_leg_latch(struct dp_leg_tab *tab, struct dp_leg *leg, uint8_t family, const uint8_t *src, uint16_t src_port,
		  bool rtcp)
{
	struct dp_leg_cold *cold = dp_leg_cold(tab, leg);
	struct dp_leg_aux *aux = dp_leg_aux(tab, leg);
	bool mux = (leg->rx.flags & DP_LEG_F_RTCP_MUX) != 0;

	if (rtcp && !mux) {
		/* Another family than RTP's: the leg sends from one local address, so it cannot be. */
		if (leg->rx.family != 0 && leg->rx.family != family)
			return false;
		set_rtcp(leg, cold, src, src_port);
		leg->rx.state |= DP_LEG_S_RTCP_LATCHED;
		return true;
	}
	if (leg->rx.latch != DP_LATCH_AUTH) {
		if (aux->latch_left > 0)
			aux->latch_left--;
		/* Another source of RTP: its RTCP is found anew. */
		if ((leg->rx.state & DP_LEG_S_LATCHED) != 0)
			leg->rx.state &= ~(uint32_t)DP_LEG_S_RTCP_LATCHED;
	}
	set_remote(leg, family, src, src_port);
	leg->rx.state |= DP_LEG_S_LATCHED;
	if (mux) {
		derive_rtcp(leg, cold);
		leg->rx.state &= ~(uint32_t)DP_LEG_S_RTCP_OWN;
	} else if ((leg->rx.state & (DP_LEG_S_RTCP_OWN | DP_LEG_S_RTCP_LATCHED)) == 0) {
		derive_rtcp(leg, cold);
	}
	return true;
}

bool dp_leg_idle(const struct dp_leg_tab *tab, const struct dp_leg *leg, uint32_t now_s)
{
	uint32_t idle_s = dp_leg_cold(tab, leg)->idle_s;
	uint32_t last_s = __atomic_load_n(&leg->rx.last_s, __ATOMIC_RELAXED);

	/* last_s may be a moment ahead of the reader's clock. */
	return idle_s != 0 && now_s > last_s && now_s - last_s > idle_s;
}
