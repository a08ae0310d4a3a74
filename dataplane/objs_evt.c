/* SPDX-License-Identifier: BSD-3-Clause */
/* What comes back from the workers (objs.h): events, counters, legs that aged; and the next hops. */
#include "objs.h"

#include <errno.h>
#include <string.h>

#include <rte_ring.h>

#include "counters.h"
#include "ipsec/sa.h"
#include "log.h"
#include "node.h"
#include "objs_impl.h"
#include "see.h"

/* --- neighbours --- */

void dp_objs_neighbours(struct dp_objs *o, uint64_t ms)
{
	struct dp_nh nh;

	if (dp_neigh_dirty(o->neigh)) {
		struct dp_nh_snap *snap;

		if (ms - o->publish_ms < 2)
			return;
		snap = dp_neigh_snapshot(o->neigh);
		o->publish_ms = ms;
		if (snap == NULL)
			return;
		dp_node_publish(o->node, snap);
	}
	/* Only now: a worker passes on the answer of somebody that is in its snapshot. */
	for (int i = 0; i < 64 && dp_neigh_due(o->neigh, ms, &nh); i++) {
		const uint8_t *own = dp_port_own(&o->node->ports[nh.port], nh.family, nh.ip);
		struct dp_cmd *cmd = own != NULL ? dp_objs_cmd_take(o, 0, DP_OP_SOLICIT) : NULL;

		if (cmd == NULL)
			continue;
		cmd->u.solicit.nh = nh;
		memcpy(cmd->u.solicit.own, own, 16);
		dp_objs_submit(o, 0, cmd);
	}
}

/* --- events --- */

/* Pass one event on. False: the controlplane cannot take it now. */
static bool pass_on(struct dp_objs *o, struct dp_evt *evt)
{
	struct dp_msg_hdr *hdr = NULL;
	int rc;

	switch (evt->type) {
	case DP_EVT_MGCP_DONE:
		hdr = &evt->u.done.hdr;
		*hdr = (struct dp_msg_hdr){.type = DP_MSG_MGCP_DONE, .len = sizeof(evt->u.done)};
		break;
	case DP_EVT_MGCP_EVENT:
		hdr = &evt->u.event.hdr;
		*hdr = (struct dp_msg_hdr){.type = DP_MSG_MGCP_EVENT, .len = sizeof(evt->u.event)};
		break;
	case DP_EVT_MGCP_TEXT:
		hdr = &evt->u.text.hdr;
		*hdr = (struct dp_msg_hdr){.type = DP_MSG_MGCP_TEXT, .len = sizeof(evt->u.text)};
		break;
	case DP_EVT_GW_HEARD:
		hdr = &evt->u.heard.hdr;
		*hdr = (struct dp_msg_hdr){.type = DP_MSG_GW_HEARD, .len = sizeof(evt->u.heard)};
		break;
	case DP_EVT_SA:
		hdr = &evt->u.sa.hdr;
		*hdr = (struct dp_msg_hdr){.type = DP_MSG_SA_EVENT, .len = sizeof(evt->u.sa)};
		break;
	case DP_EVT_TRACE:
		return dp_see_trace_pkt(o->see, &evt->u.trace);
	case DP_EVT_LEG:
		hdr = &evt->u.leg.hdr;
		*hdr = (struct dp_msg_hdr){.type = DP_MSG_LEG_EVENT, .len = sizeof(evt->u.leg)};
		break;
	default:
		return true;
	}
	rc = o->sink.event(o->sink.ctx, hdr);
	if (rc == -EAGAIN)
		return false;
	if (rc < 0)
		o->node->page->events_dropped++;
	return true;
}

static void evt_give(struct dp_objs *o, uint16_t wi, struct dp_evt *evt)
{
	if (evt->type == DP_EVT_MGCP_DONE)
		o->w[wi].mgcp_open--;
	explicit_bzero(evt, sizeof(*evt)); /* an MGCP result may hold a key */
	(void)rte_ring_sp_enqueue(o->node->worker[wi]->evt_free, evt);
}

void dp_objs_drain_events(struct dp_objs *o, uint16_t wi, uint64_t ms)
{
	struct per_worker *pw = &o->w[wi];
	void *evts[64];
	unsigned int n;

	while (pw->held_cnt > 0 && pass_on(o, pw->held[pw->held_at])) {
		evt_give(o, wi, pw->held[pw->held_at]);
		pw->held_at = (pw->held_at + 1) % HELD_MAX;
		pw->held_cnt--;
	}
	n = rte_ring_sc_dequeue_burst(o->node->worker[wi]->evt, evts, 64, NULL);
	for (unsigned int i = 0; i < n; i++) {
		struct dp_evt *evt = evts[i];

		if (evt->type == DP_EVT_NEIGH_HEARD) {
			(void)dp_neigh_heard(o->neigh, evt->u.nh.port, evt->u.nh.family, evt->u.nh.ip,
					     evt->u.nh.mac, ms);
		} else if (evt->type == DP_EVT_NEIGH_WANT) {
			if (dp_neigh_want(o->neigh, evt->u.nh.port, evt->u.nh.family, evt->u.nh.ip, ms) < 0)
				cfg_log_limited(CFG_LOG_WARN, "neighbours-full", "count=%u", dp_neigh_cnt(o->neigh));
		} else if (pw->held_cnt > 0 || !pass_on(o, evt)) {
			pw->held[(pw->held_at + pw->held_cnt++) % HELD_MAX] = evt;
			continue;
		}
		evt_give(o, wi, evt);
	}
}

/* --- ageing and the counter page --- */

void dp_objs_leg_count(struct dp_page_leg *pl, const struct dp_leg_tab *tab, const struct dp_leg *leg)
{
	pl->rx_pkts = leg->rx.pkts;
	pl->rx_bytes = leg->rx.bytes;
	pl->tx_pkts = leg->tx.pkts;
	pl->tx_bytes = leg->tx.bytes;
	pl->last_rx_s = leg->rx.pkts > 0 ? leg->rx.last_s : 0;
	dp_stat_page(&dp_leg_aux(tab, leg)->stat, &pl->rtp);
}

/* Only we free keys. The streams may go over to another key while they are read: then once more. */
static void tops(struct dp_page_leg *p, const struct dp_leg *leg)
{
	const struct dp_srtp_key *key = __atomic_load_n(&leg->rx.key, __ATOMIC_ACQUIRE), *was;

	do {
		uint64_t top, rtcp_top;

		was = key;
		if (key == NULL)
			return;
		top = dp_srtp_key_top(key);
		rtcp_top = dp_srtp_key_rtcp_top(key);
		key = __atomic_load_n(&leg->rx.key, __ATOMIC_ACQUIRE);
		if (key == was) {
			p->rx_top = top;
			p->rx_rtcp_top = rtcp_top;
		}
	} while (key != was);
}

void dp_objs_legs(struct dp_objs *o, uint32_t now_s, uint32_t share)
{
	struct dp_leg_tab *tab = &o->node->legs;
	struct dp_page_leg *pl = dp_page_legs(o->node->page);
	uint32_t from = o->leg_at < o->leg_top ? o->leg_at : 0, to = o->leg_top - from > share ? from + share : o->leg_top;

	o->leg_at = to;
	for (uint32_t n = from; n < to; n++) {
		const struct dp_leg *leg = &tab->legs[n];
		uint32_t id = leg->tx.leg_id;
		struct dp_page_leg *p;

		/* Not linked yet, free, or deleted and on its way back. */
		if ((__atomic_load_n(&leg->rx.state, __ATOMIC_ACQUIRE) & DP_LEG_S_UP) == 0 || id >= tab->id_cnt ||
		    o->leg[id] >> 24 == 0 || (o->leg[id] & NO_SLOT) != n)
			continue;
		p = &pl[id];
		dp_objs_leg_count(p, tab, leg);
		p->state = (leg->rx.state & DP_LEG_S_LATCHED) != 0 ? DP_PAGE_LEG_LATCHED : DP_PAGE_LEG_UP;
		tops(p, leg);
		if (dp_leg_idle(tab, leg, now_s)) {
			struct dp_leg_aged ev = {.hdr = {.type = DP_MSG_LEG_AGED, .len = sizeof(ev)}, .leg_id = id,
						 .idle_s = now_s - leg->rx.last_s, .session = p->session};

			/* The controlplane must learn of it: if it cannot now, the leg stays until it can. */
			uint16_t wi = dp_objs_worker_of(o, DP_LEG_SHARD(id));
			struct dp_cmd *cmd = dp_objs_cmd_take(o, wi, DP_OP_LEG_DEL);
			int rc = cmd != NULL ? o->sink.event(o->sink.ctx, &ev.hdr) : 0;

			if (cmd == NULL)
				continue;
			if (rc == -EAGAIN) {
				dp_objs_cmd_give(o, wi, cmd);
				continue;
			}
			if (rc < 0)
				o->node->page->events_dropped++;
			dp_objs_leg_del_with(o, id, wi, cmd);
		}
	}
}

void dp_objs_sas(struct dp_objs *o)
{
	struct dp_page_sa *ps = dp_page_sas(o->node->page);

	for (uint32_t i = 0; i < DP_SA_MAX; i++) {
		const struct dp_sa *sa = o->sa[i].last;

		if (o->sa[i].gen == 0 || sa == NULL)
			continue;
		ps[i].spi = sa->spi;
		ps[i].seq = dp_sa_seq(sa);
		ps[i].pkts = sa->pkts;
		ps[i].bytes = sa->bytes;
		ps[i].auth_fail = sa->auth_fail;
		ps[i].replayed = sa->replayed;
		ps[i].expired = sa->dead | (uint64_t)sa->soft << 8 | (uint64_t)sa->pmtu << 16;
		ps[i].dead_drop = sa->dead_drop;
	}
}
