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
#include "policy.h"
#include "rtp.h"
#include "srtp/stream.h"
#include "stat.h"
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

/* Packets of a burst, by their number in it. */
struct list {
	uint16_t n;
	uint8_t i[DP_BURST];
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
		for (unsigned int l = 3; l < 5; l++)
			rte_prefetch0((const uint8_t *)key + l * 64);
}

/*
 * Among many legs each step to a packet's state is a cache miss that the next one waits for: table entry, leg, peer and
 * key. A pass over the burst for each step lets the misses of all packets overlap.
 */
static void prefetch(struct dp_worker *w, const struct dp_burst *b, const uint16_t *idx, uint16_t n, struct media *p)
{
	const struct dp_leg_tab *tab = w->legs;
	uint32_t id[DP_BURST];

	for (uint16_t i = 0; i < n; i++) {
		const struct dp_frame *f = &b->f[idx[i]];
		const uint8_t *data = b->data[idx[i]];

		id[i] = leg_id_of(w, f, b->local[idx[i]]);
		rte_prefetch0(&tab->slot[id[i]]);
		for (uint16_t at = 64; at < f->payload_off + f->payload_len && at < 256; at += 64)
			rte_prefetch0(data + at);
	}
	for (uint16_t i = 0; i < n; i++) {
		p[i].in = dp_leg_find(tab, id[i]);
		if (unlikely(p[i].in == NULL))
			continue;
		rte_prefetch0(&p[i].in->rx);
		rte_prefetch0(dp_leg_aux(tab, p[i].in));
	}
	for (uint16_t i = 0; i < n; i++) {
		const struct dp_leg *leg = p[i].in;

		if (unlikely(leg == NULL))
			continue;
		if (leg->rx.peer != NULL)
			rte_prefetch0(&leg->rx.peer->tx);
		if ((leg->rx.state & DP_LEG_S_RATED) != 0)
			rte_prefetch0(&dp_leg_aux(tab, leg)->meter);
		if (leg->rx.suite != DP_SRTP_NONE)
			prefetch_key(leg->rx.key);
	}
	for (uint16_t i = 0; i < n; i++) {
		const struct dp_leg *leg = p[i].in;

		if (likely(leg != NULL && leg->rx.peer != NULL) && leg->rx.peer->tx.suite != DP_SRTP_NONE)
			prefetch_key(leg->rx.peer->tx.key);
	}
}

/* Something that the controlplane should hear of a leg; when there is no event left it is counted. */
static void leg_event(struct dp_worker *w, const struct dp_leg *leg, enum dp_leg_event_kind kind,
		      const struct dp_frame *f)
{
	struct dp_evt *evt = dp_worker_evt(w);

	if (evt == NULL)
		return;
	evt->type = DP_EVT_LEG;
	evt->u.leg = (struct dp_leg_event){.leg_id = leg->tx.leg_id, .kind = (uint8_t)kind, .dir = DP_DIR_RECV,
					   .session = w->page_leg[leg->tx.leg_id].session};
	if (f != NULL) {
		evt->u.leg.addr.family = f->family;
		evt->u.leg.addr.port = f->src_port;
		memcpy(evt->u.leg.addr.ip, f->src, 16);
	}
	dp_worker_post(w, evt);
}

/* Within what its leg, or its source, may send? Only packets that would cost something come here. */
static bool within_rate(struct dp_worker *w, struct dp_leg *leg, const struct dp_frame *f, bool known)
{
	struct dp_leg_aux *aux = dp_leg_aux(w->legs, leg);
	uint16_t minute;

	if (unlikely(!known))
		return dp_police_source(w->police, f->family, f->src, w->now_cyc);
	if ((leg->rx.state & DP_LEG_S_RATED) == 0 ||
	    likely(dp_rate_pass(&aux->meter, aux->meter_period, aux->meter_burst, w->now_cyc)))
		return true;
	minute = (uint16_t)(w->now_s / 60 + 1);
	if (aux->policed_min != minute) {
		aux->policed_min = minute;
		leg_event(w, leg, DP_LEG_POLICED, f);
	}
	return false;
}

/*
 * Leg, port, source and header of one packet. A secure leg's packet that has nowhere to go (call on hold, peer without
 * key) is authenticated nevertheless: after 2^15 packets that its ROC did not see it would never find it again.
 */
static enum dp_drop lookup(struct dp_worker *w, const struct dp_frame *f, struct media *p)
{
	uint32_t at = (uint32_t)f->dst_port - w->node->base_port;
	struct dp_leg *leg = p->in;
	enum dp_leg_src src;
	bool odd = (at & 1) != 0, mux, is_rtcp;
	enum dp_drop why;

	if (unlikely(leg == NULL))
		return DP_DROP_NO_LEG;
	mux = (leg->rx.flags & DP_LEG_F_RTCP_MUX) != 0;
	is_rtcp = dp_rtp_is_rtcp(p->data, p->len);
	if (odd && mux)
		return DP_DROP_NO_LEG;
	p->rtcp = odd || (mux && is_rtcp);
	src = dp_leg_source(w->legs, leg, f->family, f->src, f->src_port, p->rtcp, w->now_s);
	if (unlikely(src == DP_LEG_SRC_BAD))
		return DP_DROP_SOURCE;
	p->latch = src == DP_LEG_SRC_LATCH;
	p->out = leg->rx.peer;
	if (unlikely((leg->rx.flags & DP_LEG_F_RECV) == 0 || p->out == NULL ||
		     (p->out->tx.flags & DP_LEG_F_SEND) == 0))
		p->hold = DP_DROP_LEG_INACTIVE;
	else if (p->out->tx.suite != DP_SRTP_NONE && !key_ready(p->out->tx.key, p->out->tx.suite))
		p->hold = DP_DROP_NO_KEY;
	if (unlikely(p->hold != DP_OK) && leg->rx.suite == DP_SRTP_NONE)
		return p->hold;
	if (unlikely(p->rtcp))
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
	return within_rate(w, leg, f, src == DP_LEG_SRC_KNOWN) ? DP_OK : DP_DROP_POLICED;
}

typedef uint16_t (*srtp_fn)(struct dp_mb *, struct dp_srtp_pkt *, uint16_t);

/* Run the packets of a list through one of srtp's bursts, with the keys of the legs they go to or came from. */
static void crypto(struct dp_worker *w, struct dp_burst *b, struct media *p, const struct list *l, bool rtcp, bool send,
		   srtp_fn fn)
{
	struct dp_srtp_pkt sp[DP_BURST];
	uint64_t before[DP_BURST];

	if (l->n == 0)
		return;
	for (uint16_t k = 0; k < l->n; k++) {
		struct media *m = &p[l->i[k]];

		sp[k].data = m->data;
		sp[k].len = m->len;
		sp[k].verdict = DP_OK;
		if (send) {
			const struct rte_mbuf *mb = b->m[m->i];
			struct dp_leg_tx *tx = &m->out->tx;
			const uint8_t *end = (const uint8_t *)mb->buf_addr + mb->buf_len;

			sp[k].key = tx->key;
			sp[k].clear = (tx->flags & DP_LEG_F_RTCP_CLEAR_TX) != 0;
			sp[k].tx_reserved = rtcp ? &w->page_leg[tx->leg_id].tx_rtcp_reserved : &tx->reserved;
			sp[k].room = (uint16_t)(end - (m->data + m->len));
			before[k] = tx->reserved;
		} else {
			sp[k].key = m->in->rx.key;
			sp[k].clear = (m->in->rx.flags & DP_LEG_F_RTCP_CLEAR_RX) != 0;
			sp[k].tx_reserved = NULL;
			sp[k].room = 0;
		}
	}
	(void)fn(w->mb, sp, l->n);
	for (uint16_t k = 0; k < l->n; k++) {
		struct media *m = &p[l->i[k]];

		if (unlikely(w->watch != NULL) && !send && sp[k].verdict == DP_OK)
			dp_trace_index(w, b->m[m->i], sp[k].index);
		m->verdict = sp[k].verdict;
		m->len = sp[k].len;
		if (unlikely(sp[k].key->pending != 0))
			dp_keys_serve(w, send ? m->out : m->in, send ? DP_DIR_SEND : DP_DIR_RECV);
		/* Before the packet leaves the page says that its index may have been used; once in DP_TX_RESERVE. */
		if (send && !rtcp && unlikely(m->out->tx.reserved != before[k]))
			__atomic_store_n(&w->page_leg[m->out->tx.leg_id].tx_reserved, m->out->tx.reserved,
					 __ATOMIC_RELEASE);
	}
}

/*
 * A party without SRTP that began its sequence anew under the same SSRC (a restarted phone, a transfer inside a gateway)
 * would send indices that were used under the peer's key already: refused for hours. So the peer gets the sequence
 * numbers of this stream shifted, to go on where it was. Returns the shift; 0: none is needed.
 */
static uint16_t shift_of(struct dp_srtp_key *key, const uint8_t *rtp)
{
	const struct dp_srtp_stream *stream = dp_srtp_stream_find(key, dp_get32(rtp + 8));
	uint16_t seq = dp_get16(rtp + 2);
	uint64_t top = stream != NULL ? stream->rtp.top : 0;

	if (stream == NULL || dp_srtp_guess(top, seq) + DP_STAT_MISORDER > top)
		return 0;
	return (uint16_t)(top + 1 - seq);
}

/* Would this one move the window of its stream ahead? */
static bool ahead_of(struct dp_srtp_key *key, const uint8_t *rtp, uint16_t seq_off)
{
	const struct dp_srtp_stream *stream = dp_srtp_stream_find(key, dp_get32(rtp + 8));

	return stream != NULL && dp_srtp_guess(stream->rtp.top, (uint16_t)(dp_get16(rtp + 2) + seq_off)) > stream->rtp.top;
}

/* Statistics of an accepted RTP packet, and what is changed in it for its peer. Why it goes no further, or DP_OK. */
static enum dp_drop accept_rtp(struct dp_worker *w, struct media *p, struct dp_leg_aux *aux)
{
	enum dp_stat_seq seq = dp_stat_rtp(&aux->stat, p->data, w->now_us);
	const struct dp_leg_tx *out;

	if (unlikely(p->hold != DP_OK))
		return p->hold;
	out = &p->out->tx;
	if (p->in->rx.suite == DP_SRTP_NONE && out->suite != DP_SRTP_NONE) {
		/* One packet far ahead, perhaps not even the party's, would leave all that are due behind the peer's window. */
		if (unlikely(seq == DP_STAT_JUMP) && ahead_of(out->key, p->data, aux->stat.seq_off))
			return DP_DROP_STALE;
		if (unlikely(seq == DP_STAT_BEGIN))
			aux->stat.seq_off = shift_of(out->key, p->data);
		if (unlikely(aux->stat.seq_off != 0))
			dp_put16(p->data + 2, (uint16_t)(dp_get16(p->data + 2) + aux->stat.seq_off));
	}
	if (unlikely((out->more & DP_LEG_T_PT) != 0))
		p->data[1] = (uint8_t)((p->data[1] & 0x80) |
				       dp_leg_pt(dp_leg_aux(w->legs, p->out), p->data[1] & 0x7f));
	return DP_OK;
}

/* What the party reports of what it hears, and the SR that its peer will answer to. */
static void accept_rtcp(struct dp_worker *w, struct media *p, struct dp_leg_aux *aux)
{
	struct dp_page_leg *pl = &w->page_leg[p->in->tx.leg_id];
	struct dp_leg_aux *peer;
	struct dp_rtcp_seen seen;
	uint64_t rtt;

	pl->rx_rtcp++;
	if (p->out == NULL)
		return;
	peer = dp_leg_aux(w->legs, p->out);
	dp_rtcp_read(p->data, p->len, peer->stat.ssrc, &seen);
	if (seen.block && peer->stat.begun) {
		pl->rtcp.reports++;
		pl->rtcp.lost = (uint64_t)(int64_t)seen.lost;
		pl->rtcp.fraction = seen.fraction;
		pl->rtcp.jitter = seen.jitter;
		rtt = dp_rtcp_rtt(&seen, aux->sr_mid, aux->sr_us, w->now_us);
		if (rtt != 0)
			pl->rtcp.rtt_us = rtt;
		/* It heard shifted numbers; the sender knows its own. The count of cycles above them stays. */
		if (unlikely(peer->stat.seq_off != 0)) {
			uint8_t *seq = p->data + seen.ext_off + 2;

			dp_put16(seq, (uint16_t)(dp_get16(seq) - peer->stat.seq_off));
		}
	}
	if (seen.sr && p->hold == DP_OK) {
		peer->sr_mid = seen.sr_mid;
		peer->sr_us = w->now_us;
	}
}

/* A source was latched. A party that keeps moving is one event a second. */
static void moved(struct dp_worker *w, const struct dp_leg *leg, const struct dp_frame *f, bool rtcp)
{
	struct dp_leg_aux *aux = dp_leg_aux(w->legs, leg);
	uint16_t second = (uint16_t)(w->now_s + 1);

	if (rtcp && (leg->rx.flags & DP_LEG_F_RTCP_MUX) == 0)
		return;
	w->page_leg[leg->tx.leg_id].latches++;
	if (aux->moved_s == second)
		return;
	aux->moved_s = second;
	leg_event(w, leg, DP_LEG_MOVED, f);
}

/* Accepted from its leg: only now may the packet change anything of it. */
static void accept(struct dp_worker *w, const struct dp_burst *b, struct media *p)
{
	struct dp_leg *leg = p->in;

	if (leg->rx.suite != DP_SRTP_NONE) {
		/* What was encrypted can be checked now: an authentic party may still send nonsense. */
		p->verdict = p->rtcp ? dp_rtcp_check(p->data, p->len) : dp_rtp_check(p->data, p->len, true);
		if (unlikely(p->verdict != DP_OK))
			return;
	}
	if (unlikely(p->latch)) {
		const struct dp_frame *f = &b->f[p->i];
		/* An earlier packet of this burst may have taken the place. */
		enum dp_leg_src src = dp_leg_source(w->legs, leg, f->family, f->src, f->src_port, p->rtcp, w->now_s);

		if (src == DP_LEG_SRC_BAD) {
			p->verdict = DP_DROP_SOURCE;
			return;
		}
		if (src == DP_LEG_SRC_LATCH &&
		    dp_leg_latch(w->legs, leg, f->family, f->src, f->src_port, p->rtcp))
			moved(w, leg, f, p->rtcp);
	}
	leg->rx.pkts++;
	leg->rx.bytes += p->in_len;
	leg->rx.last_s = w->now_s;
	if (unlikely(p->rtcp)) {
		accept_rtcp(w, p, dp_leg_aux(w->legs, leg));
		p->verdict = p->hold;
	} else {
		p->verdict = accept_rtp(w, p, dp_leg_aux(w->legs, leg));
	}
}

static inline uint64_t load16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t load32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/*
 * Ethernet header, and what dp_build_udp() writes for IPv4 without a UDP checksum: 42 bytes by whole words that are put
 * together in registers. One's complement sums do not mind the order of bytes, so the sum is over words as they lie in memory.
 */
static inline void build_eth4(uint8_t *frame, const uint8_t *to_mac, const uint8_t *mac, const uint8_t *src, uint16_t sport,
			      const uint8_t *dst, uint16_t dport, uint16_t len, uint8_t dscp)
{
	const uint64_t ttl = 64u | DP_PROTO_UDP << 8, df = 0x40, etype = DP_ETYPE_IP4 >> 8, version = 0x45;
	uint64_t tos = (uint8_t)(dscp << 2), total = __builtin_bswap16((uint16_t)(len + 28)), s = load32(src), d = load32(dst);
	uint64_t w[5], sum = (version | tos << 8) + total + df + ttl + s + d;

	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	w[0] = load32(to_mac) | load16(to_mac + 4) << 32 | load16(mac) << 48;
	w[1] = load32(mac + 2) | etype << 32 | (version | tos << 8) << 48;
	w[2] = total | df << 32 | ttl << 48;
	w[3] = (sum ^ 0xffff) | s << 16 | d << 48;
	w[4] = d >> 16 | (uint64_t)__builtin_bswap16(sport) << 16 | (uint64_t)__builtin_bswap16(dport) << 32 |
	       (uint64_t)__builtin_bswap16((uint16_t)(len + 8)) << 48;
	for (unsigned int k = 0; k < 5; k++)
		memcpy(frame + 8 * k, &w[k], 8);
	memset(frame + 40, 0, 2); /* UDP's checksum */
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
	if (unlikely((w->spd_media & DP_SPD_OUT) != 0)) {
		struct dp_spd_flow flow = dp_policy_udp_out(l->family, l->ip, sport, ip, dport);
		enum dp_drop why = dp_policy_clear_flow(w, &flow);

		if (why != DP_OK)
			return why;
	}
	hdr = p->data - hlen;
	frame = hdr - DP_ETH_LEN;
	if (likely(l->family == 4)) {
		build_eth4(frame, mac, port->mac, l->ip, sport, ip, dport, p->len, out->tx.dscp);
	} else {
		memcpy(frame, mac, 6);
		memcpy(frame + 6, port->mac, 6);
		dp_put16(frame + 12, DP_ETYPE_IP6);
		dp_build_udp(hdr, 6, l->ip, sport, ip, dport, p->len, out->tx.dscp, false);
	}
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
	case DP_DROP_POLICED:
		pl->policed++;
		break;
	default:
		pl->other_drop++;
	}
}

/* A packet in clear, for a capture of the leg that it goes to. */
static void see_clear_out(struct dp_worker *w, const struct media *p)
{
	const struct dp_local *l = w->node->media[p->out->tx.addr_idx];
	bool mux = (p->out->tx.flags & DP_LEG_F_RTCP_MUX) != 0;
	struct dp_capture_path path = {.family = l->family, .src = l->ip,
				       .src_port = (uint16_t)(p->out->tx.local_port + (p->rtcp && !mux ? 1 : 0))};

	if (dp_leg_remote(w->legs, p->out, p->rtcp, &path.dst, &path.dst_port))
		dp_capture_clear(w, p->out->tx.leg_id, DP_DIR_SEND, &path, p->data, p->len);
}

/* The same for captures of both its legs: as it came from one party, as it goes to the other. */
static void see_clear(struct dp_worker *w, const struct dp_frame *f, const struct media *p)
{
	struct dp_capture_path path = {.family = f->family, .src = f->src, .dst = f->dst, .src_port = f->src_port,
				       .dst_port = f->dst_port};

	dp_capture_clear(w, p->in->tx.leg_id, DP_DIR_RECV, &path, p->data, p->len);
	see_clear_out(w, p);
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

/* New headers, and out; or the end of it. */
static void leave(struct dp_worker *w, struct dp_burst *b, struct media *p, uint16_t n)
{
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
}

void dp_media_send(struct dp_worker *w, struct rte_mbuf *const *m, struct dp_leg *const *to, uint16_t n)
{
	struct dp_burst *b = &w->burst; /* nobody else's between two bursts that came in */
	struct list out = {.n = 0};
	struct media p[DP_BURST];

	for (uint16_t i = 0; i < n; i++) {
		b->m[i] = m[i];
		p[i] = (struct media){.out = to[i], .data = rte_pktmbuf_mtod(m[i], uint8_t *), .len = m[i]->data_len, .i = i,
				      .verdict = DP_OK, .hold = DP_OK};
		if (to[i]->tx.suite != DP_SRTP_NONE)
			out.i[out.n++] = (uint8_t)i;
		if (unlikely(w->watch != NULL))
			see_clear_out(w, &p[i]);
	}
	w->cnt->made_pkts += n;
	crypto(w, b, p, &out, false, true, dp_srtp_protect_burst);
	leave(w, b, p, n);
}

void dp_media_burst(struct dp_worker *w, struct dp_burst *b, const uint16_t *idx, uint16_t n)
{
	struct media p[DP_BURST];
	struct list in[2], out[2]; /* to unprotect, to protect: RTP, RTCP */
	uint64_t t[6], *cyc = w->cnt->stage_cyc, *pkts = w->cnt->stage_pkts;

	t[0] = rte_rdtsc();
	in[0].n = in[1].n = out[0].n = out[1].n = 0;
	prefetch(w, b, idx, n, p);
	for (uint16_t i = 0; i < n; i++) {
		const struct dp_frame *f = &b->f[idx[i]];

		p[i].out = NULL;
		p[i].data = b->data[idx[i]] + f->payload_off;
		p[i].len = f->payload_len;
		p[i].in_len = f->payload_len;
		p[i].i = idx[i];
		p[i].hold = DP_OK;
		p[i].rtcp = 0;
		p[i].latch = 0;
		p[i].verdict = lookup(w, f, &p[i]);
		if (p[i].verdict == DP_OK && p[i].in->rx.suite != DP_SRTP_NONE) {
			struct list *l = &in[p[i].rtcp];

			l->i[l->n++] = (uint8_t)i;
		}
	}
	if (unlikely(w->watch != NULL))
		see(w, b, p, n, DP_STAGE_LOOKUP);
	t[1] = rte_rdtsc();
	crypto(w, b, p, &in[0], false, false, dp_srtp_unprotect_burst);
	crypto(w, b, p, &in[1], true, false, dp_srtcp_unprotect_burst);
	for (uint16_t i = 0; i < n; i++) {
		if (p[i].verdict == DP_OK)
			accept(w, b, &p[i]);
		if (p[i].verdict == DP_OK && p[i].out->tx.suite != DP_SRTP_NONE) {
			struct list *l = &out[p[i].rtcp];

			l->i[l->n++] = (uint8_t)i;
		}
	}
	if (unlikely(w->watch != NULL))
		see(w, b, p, n, DP_STAGE_UNPROTECT);
	t[2] = rte_rdtsc();
	crypto(w, b, p, &out[0], false, true, dp_srtp_protect_burst);
	crypto(w, b, p, &out[1], true, true, dp_srtcp_protect_burst);
	if (unlikely(w->watch != NULL))
		see(w, b, p, n, DP_STAGE_PROTECT);
	t[3] = rte_rdtsc();
	leave(w, b, p, n);
	t[4] = rte_rdtsc();
	cyc[DP_STAGE_LOOKUP] += t[1] - t[0];
	cyc[DP_STAGE_UNPROTECT] += t[2] - t[1];
	cyc[DP_STAGE_PROTECT] += t[3] - t[2];
	cyc[DP_STAGE_REWRITE] += t[4] - t[3];
	for (int s = DP_STAGE_LOOKUP; s <= DP_STAGE_REWRITE; s++)
		pkts[s] += n;
}
