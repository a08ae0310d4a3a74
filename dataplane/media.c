/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The media stages of a burst: leg and source, unprotect, protect, new headers. Every stage runs over the whole burst
 * before the next one starts; what a stage refuses carries its reason to the end. RFC 3550, 3711, 5761.
 */
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <string.h>

#include "capture.h"
#include "rtp.h"
#include "trace.h"
#include "worker.h"

struct media { /* one packet */
	struct dp_leg *in, *out;
	uint8_t *data;     /* RTP or RTCP */
	uint16_t len;      /* bytes there now */
	uint16_t in_len;   /* as received */
	uint16_t i;        /* in the burst */
	enum dp_drop verdict;
	enum dp_drop hold; /* why it goes no further once it is accepted; DP_OK: it does */
	uint8_t rtcp;      /* bool */
	uint8_t latch;     /* bool: take the source over once the packet is accepted */
};

static bool key_ready(const struct dp_srtp_key *key, uint8_t suite)
{
	return key != NULL && key->suite == suite;
}

static uint32_t leg_id_of(const struct dp_worker *w, const struct dp_frame *f, const struct dp_local *l)
{
	return (uint32_t)l->media_idx * DP_LEGS_PER_ADDR + ((uint32_t)f->dst_port - w->node->base_port) / 2;
}

static void prefetch_key(const struct dp_srtp_key *key)
{
	if (key != NULL)
		for (unsigned int l = 0; l < 5; l++)
			rte_prefetch0((const uint8_t *)key + l * 64);
}

/*
 * Among many legs each step to a packet's state is a cache miss that the next one waits for: table entry, leg, peer and
 * key. A pass over the burst for each step lets the misses of all packets overlap.
 */
static void prefetch(struct dp_worker *w, const struct dp_burst *b, const uint16_t *idx, uint16_t n)
{
	const struct dp_leg_tab *tab = w->legs;
	const struct dp_leg *leg[DP_BURST];
	uint32_t id[DP_BURST];

	for (uint16_t i = 0; i < n; i++) {
		id[i] = leg_id_of(w, &b->f[idx[i]], b->local[idx[i]]);
		rte_prefetch0(&tab->slot[id[i]]);
	}
	for (uint16_t i = 0; i < n; i++) {
		leg[i] = dp_leg_find(tab, id[i]);
		if (leg[i] != NULL)
			rte_prefetch0(&leg[i]->rx);
	}
	for (uint16_t i = 0; i < n; i++) {
		if (leg[i] == NULL)
			continue;
		if (leg[i]->rx.peer != NULL)
			rte_prefetch0(&leg[i]->rx.peer->tx);
		if (leg[i]->rx.suite != DP_SRTP_NONE)
			prefetch_key(leg[i]->rx.key);
	}
	for (uint16_t i = 0; i < n; i++) {
		const struct dp_leg_tx *out;

		if (leg[i] == NULL || leg[i]->rx.peer == NULL)
			continue;
		out = &leg[i]->rx.peer->tx;
		if (out->suite == DP_SRTP_NONE)
			continue;
		prefetch_key(out->key);
		rte_prefetch0(&w->page_leg[out->leg_id].tx_reserved);
	}
}

/*
 * Leg, port, source and header of one packet. A secure leg's packet that has nowhere to go (call on hold, peer without
 * key) is authenticated nevertheless: after 2^15 packets that its ROC did not see it would never find it again.
 */
static enum dp_drop lookup(struct dp_worker *w, const struct dp_frame *f, const struct dp_local *l, struct media *p)
{
	uint32_t at = (uint32_t)f->dst_port - w->node->base_port;
	struct dp_leg *leg = dp_leg_find(w->legs, leg_id_of(w, f, l));
	enum dp_leg_src src;
	bool odd = (at & 1) != 0, mux, is_rtcp;
	enum dp_drop why;

	if (unlikely(leg == NULL))
		return DP_DROP_NO_LEG;
	p->in = leg;
	mux = (leg->rx.flags & DP_LEG_F_RTCP_MUX) != 0;
	is_rtcp = dp_rtp_is_rtcp(p->data, p->len);
	if (odd && mux)
		return DP_DROP_NO_LEG;
	p->rtcp = odd || (mux && is_rtcp);
	src = dp_leg_source(w->legs, leg, f->family, f->src, f->src_port, p->rtcp);
	if (unlikely(src == DP_LEG_SRC_BAD))
		return DP_DROP_SOURCE;
	p->latch = src == DP_LEG_SRC_LATCH;
	p->out = leg->rx.peer;
	if ((leg->rx.flags & DP_LEG_F_RECV) == 0 || p->out == NULL || (p->out->tx.flags & DP_LEG_F_SEND) == 0)
		p->hold = DP_DROP_LEG_INACTIVE;
	else if (p->out->tx.suite != DP_SRTP_NONE && !key_ready(p->out->tx.key, p->out->tx.suite))
		p->hold = DP_DROP_NO_KEY;
	if (unlikely(p->hold != DP_OK) && leg->rx.suite == DP_SRTP_NONE)
		return p->hold;
	if (p->rtcp)
		why = leg->rx.suite == DP_SRTP_NONE ? dp_rtcp_check(p->data, p->len)
						    : dp_srtcp_check(p->data, p->len);
	else if (unlikely(is_rtcp)) /* RTCP on RTP's own port, which was not agreed */
		why = DP_DROP_RTP_MALFORMED;
	else
		why = dp_rtp_check(p->data, p->len, leg->rx.suite == DP_SRTP_NONE);
	if (unlikely(why != DP_OK))
		return why;
	if (leg->rx.suite != DP_SRTP_NONE && !key_ready(leg->rx.key, leg->rx.suite))
		return DP_DROP_NO_KEY;
	return DP_OK;
}

typedef uint16_t (*srtp_fn)(struct dp_mb *, struct dp_srtp_pkt *, uint16_t);

/* Run the packets of one kind (RTP or RTCP) that need it through one of srtp's bursts. */
static void crypto(struct dp_worker *w, struct dp_burst *b, struct media *p, uint16_t n, bool rtcp, bool send,
		   srtp_fn fn)
{
	struct dp_srtp_pkt sp[DP_BURST];
	uint16_t of[DP_BURST], k = 0;

	for (uint16_t i = 0; i < n; i++) {
		uint8_t suite;

		if (p[i].verdict != DP_OK || p[i].rtcp != rtcp)
			continue;
		suite = send ? p[i].out->tx.suite : p[i].in->rx.suite;
		if (suite == DP_SRTP_NONE)
			continue;
		sp[k].data = p[i].data;
		sp[k].len = p[i].len;
		sp[k].verdict = DP_OK;
		if (send) {
			struct rte_mbuf *m = b->m[p[i].i];
			struct dp_page_leg *pl = &w->page_leg[p[i].out->tx.leg_id];
			const uint8_t *end = (const uint8_t *)m->buf_addr + m->buf_len;

			sp[k].key = p[i].out->tx.key;
			sp[k].tx_reserved = rtcp ? &pl->tx_rtcp_reserved : &pl->tx_reserved;
			sp[k].room = (uint16_t)(end - (p[i].data + p[i].len));
		} else {
			sp[k].key = p[i].in->rx.key;
			sp[k].tx_reserved = NULL;
			sp[k].room = 0;
		}
		of[k++] = i;
	}
	if (k == 0)
		return;
	(void)fn(w->mb, sp, k);
	for (uint16_t j = 0; j < k; j++) {
		if (unlikely(w->watch != NULL) && !send && sp[j].verdict == DP_OK)
			dp_trace_index(w, b->m[p[of[j]].i], sp[j].index);
		p[of[j]].verdict = sp[j].verdict;
		p[of[j]].len = sp[j].len;
	}
}

/* Accepted from its leg: only now may the packet change anything of it. */
static void accept(struct dp_worker *w, const struct dp_burst *b, struct media *p)
{
	struct dp_leg *leg = p->in;

	if (leg->rx.suite != DP_SRTP_NONE) {
		/* What was encrypted can be checked now: an authentic party may still send nonsense. */
		p->verdict = p->rtcp ? dp_rtcp_check(p->data, p->len) : dp_rtp_check(p->data, p->len, true);
		if (p->verdict != DP_OK)
			return;
	}
	if (unlikely(p->latch)) {
		const struct dp_frame *f = &b->f[p->i];
		/* An earlier packet of this burst may have taken the place. */
		enum dp_leg_src src = dp_leg_source(w->legs, leg, f->family, f->src, f->src_port, p->rtcp);

		if (src == DP_LEG_SRC_BAD) {
			p->verdict = DP_DROP_SOURCE;
			return;
		}
		if (src == DP_LEG_SRC_LATCH)
			dp_leg_latch(w->legs, leg, f->family, f->src, f->src_port, p->rtcp);
	}
	leg->rx.pkts++;
	leg->rx.bytes += p->in_len;
	leg->rx.last_s = w->now_s;
	if (p->rtcp)
		w->page_leg[leg->tx.leg_id].rx_rtcp++;
	p->verdict = p->hold;
}

/* New Ethernet, IP and UDP headers in front of the packet. */
static enum dp_drop rewrite(struct dp_worker *w, struct rte_mbuf *m, struct media *p, uint16_t *ret_port)
{
	struct dp_leg *out = p->out;
	const struct dp_local *l = w->node->media[out->tx.addr_idx];
	const struct dp_port *port = &w->node->ports[l->port];
	uint16_t hlen = dp_udp_hdr_len(l->family), dport, sport;
	bool mux = (out->tx.flags & DP_LEG_F_RTCP_MUX) != 0;
	const uint8_t *ip, *mac;
	uint8_t *hdr, *frame;

	if (!dp_leg_remote(w->legs, out, p->rtcp, &ip, &dport))
		return DP_DROP_LEG_INACTIVE;
	if (unlikely((uint32_t)hlen + p->len > port->mtu ||
		     p->data - (uint8_t *)m->buf_addr < DP_ETH_LEN + hlen))
		return DP_DROP_NO_ROOM;
	if (likely(!p->rtcp && out->tx.nh < w->nh->n && w->nh->nh[out->tx.nh].valid)) {
		mac = w->nh->nh[out->tx.nh].mac;
	} else {
		uint16_t nh = DP_NH_NONE;

		mac = dp_worker_hop(w, l->port, l->family, ip, &nh);
		if (!p->rtcp)
			out->tx.nh = nh;
		if (mac == NULL)
			return DP_DROP_NO_NEIGH;
	}
	sport = (uint16_t)(out->tx.local_port + (p->rtcp && !mux ? 1 : 0));
	hdr = p->data - hlen;
	dp_build_udp(hdr, l->family, l->ip, sport, ip, dport, p->len, out->tx.dscp, false);
	frame = hdr - DP_ETH_LEN;
	memcpy(frame, mac, 6);
	memcpy(frame + 6, port->mac, 6);
	dp_put16(frame + 12, l->family == 4 ? DP_ETYPE_IP4 : DP_ETYPE_IP6);
	m->data_off = (uint16_t)(frame - (uint8_t *)m->buf_addr);
	m->data_len = (uint16_t)(DP_ETH_LEN + hlen + p->len);
	m->pkt_len = m->data_len;
	m->ol_flags = 0;
	out->tx.pkts++;
	out->tx.bytes += p->len;
	if (p->rtcp)
		w->page_leg[out->tx.leg_id].tx_rtcp++;
	*ret_port = l->port;
	return DP_OK;
}

/* Why a leg lost a packet, for its line in the counter page. */
static void leg_drop(struct dp_worker *w, const struct media *p)
{
	struct dp_page_leg *pl;

	if (p->in == NULL)
		return;
	pl = &w->page_leg[p->in->tx.leg_id];
	switch (p->verdict) {
	case DP_DROP_AUTH:
		pl->auth_fail++;
		break;
	case DP_DROP_REPLAY:
	case DP_DROP_STALE:
		pl->replayed++;
		break;
	default:
		pl->other_drop++;
	}
}

/* A packet in clear, for captures of both its legs: as it came from one party, as it goes to the other. */
static void see_clear(struct dp_worker *w, const struct dp_frame *f, const struct media *p)
{
	const struct dp_local *l = w->node->media[p->out->tx.addr_idx];
	bool mux = (p->out->tx.flags & DP_LEG_F_RTCP_MUX) != 0;
	struct dp_capture_path path = {.family = f->family, .src = f->src, .dst = f->dst, .src_port = f->src_port,
				       .dst_port = f->dst_port};

	dp_capture_clear(w, p->in->tx.leg_id, DP_DIR_RECV, &path, p->data, p->len);
	path.family = l->family;
	path.src = l->ip;
	path.src_port = (uint16_t)(p->out->tx.local_port + (p->rtcp && !mux ? 1 : 0));
	if (dp_leg_remote(w->legs, p->out, p->rtcp, &path.dst, &path.dst_port))
		dp_capture_clear(w, p->out->tx.leg_id, DP_DIR_SEND, &path, p->data, p->len);
}

/* Somebody watches: what 'stage' (LOOKUP, UNPROTECT, PROTECT) let through. */
static void see(struct dp_worker *w, const struct dp_burst *b, const struct media *p, uint16_t n, enum dp_stage stage)
{
	for (uint16_t i = 0; i < n; i++) {
		const struct rte_mbuf *m = b->m[p[i].i];

		if (stage == DP_STAGE_LOOKUP) {
			dp_capture_wire(w, leg_id_of(w, &b->f[p[i].i], b->local[p[i].i]), DP_DIR_RECV, m);
			dp_trace_media(w, m, p[i].rtcp != 0, p[i].data, p[i].len);
		}
		if (p[i].verdict != DP_OK)
			continue;
		if (stage == DP_STAGE_UNPROTECT)
			see_clear(w, &b->f[p[i].i], &p[i]);
		dp_trace_pass(w, m, stage, p[i].out != NULL ? p[i].out->tx.leg_id : UINT32_MAX, UINT16_MAX);
	}
}

void dp_media_burst(struct dp_worker *w, struct dp_burst *b, const uint16_t *idx, uint16_t n)
{
	struct media p[DP_BURST];
	uint64_t t[6], *cyc = w->cnt->stage_cyc, *pkts = w->cnt->stage_pkts;

	t[0] = rte_rdtsc();
	prefetch(w, b, idx, n);
	for (uint16_t i = 0; i < n; i++) {
		const struct dp_frame *f = &b->f[idx[i]];

		p[i] = (struct media){.data = b->data[idx[i]] + f->payload_off, .len = f->payload_len,
				      .in_len = f->payload_len, .i = idx[i]};
		p[i].verdict = lookup(w, f, b->local[idx[i]], &p[i]);
	}
	if (unlikely(w->watch != NULL))
		see(w, b, p, n, DP_STAGE_LOOKUP);
	t[1] = rte_rdtsc();
	crypto(w, b, p, n, false, false, dp_srtp_unprotect_burst);
	crypto(w, b, p, n, true, false, dp_srtcp_unprotect_burst);
	for (uint16_t i = 0; i < n; i++)
		if (p[i].verdict == DP_OK)
			accept(w, b, &p[i]);
	if (unlikely(w->watch != NULL))
		see(w, b, p, n, DP_STAGE_UNPROTECT);
	t[2] = rte_rdtsc();
	crypto(w, b, p, n, false, true, dp_srtp_protect_burst);
	crypto(w, b, p, n, true, true, dp_srtcp_protect_burst);
	if (unlikely(w->watch != NULL))
		see(w, b, p, n, DP_STAGE_PROTECT);
	t[3] = rte_rdtsc();
	for (uint16_t i = 0; i < n; i++) {
		uint16_t port = 0;

		if (p[i].verdict == DP_OK)
			p[i].verdict = rewrite(w, b->m[p[i].i], &p[i], &port);
		if (likely(p[i].verdict == DP_OK)) {
			if (unlikely(w->watch != NULL)) {
				dp_capture_wire(w, p[i].out->tx.leg_id, DP_DIR_SEND, b->m[p[i].i]);
				dp_trace_pass(w, b->m[p[i].i], DP_STAGE_REWRITE, p[i].out->tx.leg_id, port);
			}
			dp_worker_send(w, port, b->m[p[i].i]);
		} else {
			leg_drop(w, &p[i]);
			dp_worker_drop(w, b->m[p[i].i], p[i].verdict);
		}
	}
	t[4] = rte_rdtsc();
	cyc[DP_STAGE_LOOKUP] += t[1] - t[0];
	cyc[DP_STAGE_UNPROTECT] += t[2] - t[1];
	cyc[DP_STAGE_PROTECT] += t[3] - t[2];
	cyc[DP_STAGE_REWRITE] += t[4] - t[3];
	for (int s = DP_STAGE_LOOKUP; s <= DP_STAGE_REWRITE; s++)
		pkts[s] += n;
}
