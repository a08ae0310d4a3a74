/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_prefetch.h>
#include <rte_random.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "crypto/mb.h"
#include "frag.h"
#include "ipout.h"
#include "ipsec/esp.h"
#include "ipsec/sa.h"
#include "ipsec/spd.h"
#include "mgcp/deliver.h"
#include "policy.h"
#include "sad.h"
#include "capring.h"
#include "trace.h"

__extension__ typedef unsigned __int128 u128;

/* --- what leaves --- */

void dp_worker_drop(struct dp_worker *w, struct rte_mbuf *m, enum dp_drop why)
{
	w->cnt->drop[why]++;
	if (unlikely(w->watch != NULL))
		dp_trace_drop(w, m, why);
	rte_pktmbuf_free(m);
}

void dp_mbuf_forget(struct rte_mbuf *m)
{
	const struct dp_mbuf_priv *priv = rte_mbuf_to_priv(m);

	if (priv->inner)
		explicit_bzero(rte_pktmbuf_mtod(m, void *), m->data_len);
}

void dp_worker_flush(struct dp_worker *w, uint16_t p)
{
	uint16_t n = w->tx[p].n, sent;
	uint64_t bytes = 0;

	if (n == 0)
		return;
	for (uint16_t i = 0; i < n; i++)
		bytes += w->tx[p].m[i]->pkt_len;
	sent = rte_eth_tx_burst(w->node->ports[p].id, w->id, w->tx[p].m, n);
	w->tx[p].n = 0;
	if (unlikely(w->watch != NULL))
		dp_trace_sent(w, w->tx[p].m, sent);
	for (uint16_t i = sent; i < n; i++) {
		bytes -= w->tx[p].m[i]->pkt_len;
		dp_worker_drop(w, w->tx[p].m[i], DP_DROP_TX_FULL);
	}
	w->cnt->tx_pkts += sent;
	w->cnt->tx_bytes += bytes;
}

bool dp_worker_tag(struct dp_worker *w, struct rte_mbuf *m, uint16_t vlan)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

	if (unlikely(rte_pktmbuf_prepend(m, DP_VLAN_LEN) == NULL)) {
		dp_worker_drop(w, m, DP_DROP_NO_ROOM);
		return false;
	}
	dp_vlan_tag(frame, (uint16_t)(vlan | dp_vlan_pcp(frame, (uint16_t)(m->data_len - DP_VLAN_LEN)) << 13));
	return true;
}

static void flush_handoff(struct dp_worker *w, uint16_t to)
{
	uint16_t n = w->handoff[to].n;
	unsigned int done;

	if (n == 0)
		return;
	/* Counted before the other side can count them. */
	w->cnt->handoff_out += n;
	w->cnt->in_flight += n;
	done = rte_ring_sp_enqueue_burst(w->node->shard.ring[w->id][to], (void **)w->handoff[to].m, n, NULL);
	w->handoff[to].n = 0;
	if (unlikely(w->watch != NULL))
		dp_trace_forget(w, w->handoff[to].m, (uint16_t)done);
	for (unsigned int i = done; i < n; i++) {
		w->cnt->handoff_out--;
		w->cnt->in_flight--;
		dp_mbuf_forget(w->handoff[to].m[i]);
		dp_worker_drop(w, w->handoff[to].m[i], DP_DROP_RING_FULL);
	}
}

void dp_worker_handoff(struct dp_worker *w, uint16_t to, struct rte_mbuf *m)
{
	w->handoff[to].m[w->handoff[to].n++] = m;
	if (w->handoff[to].n == DP_BURST)
		flush_handoff(w, to);
}

unsigned int dp_worker_evt_left(const struct dp_worker *w)
{
	return rte_ring_count(w->evt_free) + (unsigned int)(w->box.n - w->box.at);
}

struct dp_evt *dp_worker_evt(struct dp_worker *w)
{
	if (dp_worker_evt_left(w) > DP_MGCP_TXN_MAX)
		return dp_worker_evt_result(w);
	w->cnt->events_lost++;
	return NULL;
}

#define EVT_AHEAD 3

struct dp_evt *dp_worker_evt_result(struct dp_worker *w)
{
	uint16_t left = (uint16_t)(w->box.n - w->box.at);

	if (left <= EVT_AHEAD) {
		memmove(w->box.evt, w->box.evt + w->box.at, left * sizeof(w->box.evt[0]));
		w->box.at = 0;
		w->box.n = (uint16_t)(left + rte_ring_sc_dequeue_burst(w->evt_free, (void **)(w->box.evt + left), DP_EVT_BOX - left, NULL));
		if (w->box.n == 0) {
			w->cnt->events_lost++;
			return NULL;
		}
	}
	if (likely(w->box.at + EVT_AHEAD < w->box.n)) {
		uint8_t *next = (uint8_t *)w->box.evt[w->box.at + EVT_AHEAD];

		for (size_t at = 0; at < offsetof(struct dp_evt, u) + sizeof(struct dp_mgcp_done); at += 64)
			__builtin_prefetch(next + at, 1);
	}
	return w->box.evt[w->box.at++];
}

void dp_worker_post(struct dp_worker *w, struct dp_evt *evt)
{
	/* Never full: the ring has room for the whole pool. */
	(void)rte_ring_sp_enqueue(w->evt, evt);
}

const uint8_t *dp_worker_hop(struct dp_worker *w, uint16_t port_idx, uint8_t family, const uint8_t *dst,
			     uint16_t *ret_nh)
{
	const struct dp_port *port = &w->node->ports[port_idx];
	const uint8_t *hop;
	struct dp_evt *evt;
	uint16_t i;

	if (!dp_port_next_hop(port, family, dst, &hop))
		return NULL;
	i = dp_nh_find(w->nh, (uint8_t)port_idx, family, hop);
	if (i != DP_NEIGH_NONE && w->nh->nh[i].valid) {
		if (ret_nh != NULL)
			*ret_nh = i;
		return w->nh->nh[i].mac;
	}
	/* Half of it is kept for who answers: a fast stream to an unknown hop would ask for ever and hear nothing. */
	if (w->neigh_budget > DP_NEIGH_PER_MS / 2) {
		w->neigh_budget--;
		evt = dp_worker_evt(w);
		if (evt != NULL) {
			evt->type = DP_EVT_NEIGH_WANT;
			evt->u.nh = (struct dp_nh){.family = family, .port = (uint8_t)port_idx};
			memcpy(evt->u.nh.ip, hop, 16);
			dp_worker_post(w, evt);
		}
	}
	return NULL;
}

/* --- what comes in --- */

/* REFUSED: not the dataplane's, perhaps the kernel's. */
enum class { CL_DROP, CL_REFUSED, CL_MEDIA, CL_ESP, CL_ARP, CL_ICMP, CL_MGCP, CL_FRAGMENT };

/* Is the frame addressed to this port? Multicast only for what may be neighbour discovery. */
static bool mac_ours(const struct dp_port *port, const uint8_t *frame, const struct dp_frame *f)
{
	if (memcmp(frame + 6, port->mac, 6) == 0)
		return false; /* our kernel's own packets, seen on the way out */
	if (memcmp(frame, port->mac, 6) == 0)
		return true;
	if (f->etype == DP_ETYPE_ARP)
		return (frame[0] & 1) != 0;
	return frame[0] == 0x33 && frame[1] == 0x33 && f->proto == DP_PROTO_ICMP6;
}

static enum class classify_udp(const struct dp_worker *w, const struct dp_local *l, const struct dp_frame *f)
{
	const struct dp_node *node = w->node;
	struct dp_sockaddr to;

	if (l->media_idx >= 0 && (uint32_t)f->dst_port - node->base_port < DP_PORTS_PER_ADDR)
		return CL_MEDIA;
	if (f->dst_port == DP_ESP_UDP_PORT)
		return CL_ESP;
	if (f->dst_port == node->mgcp_local.port && node->mgcp_local.family == f->family &&
	    memcmp(f->dst, node->mgcp_local.ip, 16) == 0)
		return CL_MGCP;
	to = (struct dp_sockaddr){.port = f->dst_port, .family = f->family};
	memcpy(to.ip, f->dst, 16);
	return dp_deliver_is_local(w->deliver, &to) ? CL_MGCP : CL_DROP;
}

/*
 * Which entry of the device is the frame's? By its tag, which goes (also where a driver or the kernel took it off before
 * us). False: no entry has this VLAN. Tags within tags are nobody's.
 */
static bool find_port(struct dp_worker *w, struct dp_burst *b, uint16_t i)
{
	struct rte_mbuf *m = b->m[i];
	struct dp_mbuf_priv *priv = rte_mbuf_to_priv(m);
	const struct dp_port *dev = &w->node->ports[priv->port];
	uint16_t vid, tag = dp_vlan_untag(b->data[i], m->data_len, &vid);

	if ((m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 && (m->vlan_tci & DP_VLAN_MAX) != 0) {
		if (vid != 0)
			return false;
		vid = m->vlan_tci & DP_VLAN_MAX;
	}
	if (tag != 0)
		b->data[i] = (uint8_t *)rte_pktmbuf_adj(m, tag);
	if (dev->by_vlan == NULL) {
		if (vid != 0)
			return false;
	} else {
		if (dev->by_vlan[vid] == DP_PORT_NONE)
			return false;
		priv->port = dev->by_vlan[vid];
	}
	priv->known = 1;
	return true;
}

/* True of frames that find_port() has nothing to say to: most. */
static bool plain(const struct dp_worker *w, const struct rte_mbuf *m, const uint8_t *data)
{
	const struct dp_mbuf_priv *priv = rte_mbuf_to_priv((struct rte_mbuf *)(uintptr_t)m);

	if (priv->known)
		return true;
	return (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) == 0 && w->node->ports[priv->port].by_vlan == NULL &&
	       (m->data_len < DP_ETH_LEN || data[12] != DP_ETYPE_VLAN >> 8);
}

/* One frame: verdict and class. Packets of another worker's shard are not told apart here. */
static enum class classify(struct dp_worker *w, struct dp_burst *b, uint16_t i)
{
	const struct dp_mbuf_priv *priv = rte_mbuf_to_priv(b->m[i]);
	const struct dp_port *port;
	struct dp_frame *f = &b->f[i];
	enum class cl;

	if (unlikely(b->m[i]->nb_segs != 1)) {
		b->verdict[i] = DP_DROP_CHAINED;
		return CL_DROP;
	}
	if (unlikely(!plain(w, b->m[i], b->data[i])) && !find_port(w, b, i)) {
		b->verdict[i] = DP_DROP_L2_NOT_OURS;
		return CL_DROP;
	}
	port = &w->node->ports[priv->port];
	b->verdict[i] = (uint8_t)dp_parse_frame(b->data[i], b->m[i]->data_len, f);
	if (b->verdict[i] != DP_OK) {
		if (b->verdict[i] == DP_DROP_L3_FRAGMENT && w->frag != NULL &&
		    dp_frag_ours(w, b->data[i], b->m[i]->data_len, priv->port)) {
			if (!priv->whole)
				return CL_FRAGMENT;
			b->verdict[i] = DP_DROP_L3_MALFORMED; /* fragments of fragments: without end */
		}
		/* Not worth a reason of its own if it was not for us in the first place. */
		if (b->m[i]->data_len >= DP_ETH_LEN && memcmp(b->data[i], port->mac, 6) != 0)
			b->verdict[i] = DP_DROP_L2_NOT_OURS;
		return CL_REFUSED;
	}
	if (!mac_ours(port, b->data[i], f)) {
		b->verdict[i] = DP_DROP_L2_NOT_OURS;
		return CL_REFUSED;
	}
	b->local[i] = NULL;
	if (f->etype == DP_ETYPE_ARP)
		return CL_ARP;
	if (f->family == 6 && f->dst[0] == 0xff) {
		if (f->proto == DP_PROTO_ICMP6)
			return CL_ICMP;
		b->verdict[i] = DP_DROP_L3_NOT_OURS;
		return CL_REFUSED;
	}
	b->local[i] = dp_locals_find(&w->node->locals, f->family, f->dst);
	if (b->local[i] == NULL || b->local[i]->port != priv->port) {
		b->verdict[i] = DP_DROP_L3_NOT_OURS;
		return CL_REFUSED;
	}
	switch (f->proto) {
	case DP_PROTO_UDP:
		cl = classify_udp(w, b->local[i], f);
		break;
	case DP_PROTO_ESP:
		return CL_ESP;
	case DP_PROTO_AH: /* not for the kernel either: who sends it is to be told, not half understood */
		b->verdict[i] = DP_DROP_AH;
		return CL_DROP;
	case DP_PROTO_ICMP:
		cl = f->family == 4 ? CL_ICMP : CL_DROP;
		break;
	case DP_PROTO_ICMP6:
		cl = f->family == 6 ? CL_ICMP : CL_DROP;
		break;
	default:
		cl = CL_DROP;
	}
	if (cl != CL_DROP)
		return cl;
	b->verdict[i] = DP_DROP_L4_PROTO;
	return CL_REFUSED;
}

/*
 * Most packets, told by few compares: IPv4 media in one buffer, to the port's MAC and an address of it. 'p' is the port, on
 * which no tag is looked at or none is left. False: classify() says what it is.
 */
static inline bool quick_media(const struct dp_worker *w, struct dp_burst *b, uint16_t i, uint8_t p)
{
	const struct dp_node *node = w->node;
	const struct rte_mbuf *m = b->m[i];
	const uint8_t *data = b->data[i];
	const struct dp_local *l;

	if (m->nb_segs != 1 || (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 ||
	    !dp_parse_quick(data, m->data_len, &b->f[i]) || memcmp(data, node->ports[p].mac, 6) != 0 ||
	    memcmp(data + 6, node->ports[p].mac, 6) == 0)
		return false;
	l = dp_locals_find(&node->locals, 4, b->f[i].dst);
	if (l == NULL || l->port != p || l->media_idx < 0 ||
	    (uint32_t)b->f[i].dst_port - node->base_port >= DP_PORTS_PER_ADDR)
		return false;
	b->local[i] = l;
	b->verdict[i] = DP_OK;
	return true;
}

static uint8_t shard_of_media(const struct dp_worker *w, const struct dp_frame *f)
{
	return (uint8_t)((uint16_t)(f->dst_port - w->node->base_port) / DP_PORTS_PER_SHARD);
}

/* What the policies say of a packet in clear, once: where its worker is another, there. */
static enum class policed(struct dp_worker *w, struct dp_burst *b, uint16_t i, enum class cl)
{
	const struct dp_mbuf_priv *priv = rte_mbuf_to_priv(b->m[i]);

	if (cl == CL_MEDIA && (w->spd_media & DP_SPD_IN) == 0)
		return cl;
	if (cl == CL_MGCP && priv->hops != 0)
		return cl;
	if (cl == CL_MEDIA && !dp_worker_owns(w, shard_of_media(w, &b->f[i])))
		return cl;
	b->verdict[i] = (uint8_t)dp_policy_clear_in(w, b->data[i], &b->f[i]);
	return b->verdict[i] == DP_OK ? cl : CL_DROP;
}

/*
 * 'from': the port that the packets came in on; only those that are not quick_media() get their priv then, whose line is one
 * of memory that nobody else needs. DP_PORT_NONE: they have one.
 */
static void input(struct dp_worker *w, struct rte_mbuf **m, uint16_t n, uint8_t from)
{
	struct dp_burst *b = &w->burst;
	uint16_t media[DP_BURST], esp[DP_BURST], media_n = 0, esp_n = 0, whole_n = 0;
	struct rte_mbuf *whole[DP_BURST];
	uint64_t t0 = rte_rdtsc(), t1;
	bool look = w->watch != NULL || (w->spd_media & DP_SPD_IN) != 0;

	b->n = n;
	for (uint16_t i = 0; i < n; i++) {
		b->m[i] = m[i];
		b->data[i] = rte_pktmbuf_mtod(m[i], uint8_t *);
		rte_prefetch0(b->data[i]);
	}
	for (uint16_t i = 0; i < n; i++) {
		struct dp_mbuf_priv *priv = rte_mbuf_to_priv(m[i]);
		uint8_t p = from != DP_PORT_NONE ? from : priv->port, shard;
		bool tagless = w->node->ports[p].by_vlan == NULL || (from == DP_PORT_NONE && priv->known), quick;
		enum class cl;

		quick = tagless && quick_media(w, b, i, p);
		if (likely(quick)) {
			shard = shard_of_media(w, &b->f[i]);
			if (likely(dp_worker_owns(w, shard) && !look)) {
				media[media_n++] = i;
				continue;
			}
		}
		if (from != DP_PORT_NONE)
			*priv = (struct dp_mbuf_priv){.port = from};
		cl = quick ? CL_MEDIA : classify(w, b, i);
		if (unlikely(w->spd != NULL) && (cl == CL_MEDIA || cl == CL_MGCP))
			cl = policed(w, b, i, cl);
		if (unlikely(w->watch != NULL))
			dp_trace_begin(w, b, i, cl == CL_MEDIA);
		switch (cl) {
		case CL_MEDIA:
			shard = shard_of_media(w, &b->f[i]);
			if (likely(dp_worker_owns(w, shard)))
				media[media_n++] = i;
			else
				dp_move_pass(w, shard, b->m[i]);
			break;
		case CL_ESP:
			esp[esp_n++] = i;
			break;
		case CL_ARP:
			dp_local_arp(w, b, i);
			break;
		case CL_ICMP:
			dp_local_icmp(w, b, i);
			break;
		case CL_MGCP:
			dp_local_mgcp(w, b, i);
			break;
		case CL_FRAGMENT:
			if (unlikely(w->watch != NULL))
				dp_trace_forget(w, &b->m[i], 1);
			whole[whole_n] = dp_frag_input(w, b->m[i]);
			if (whole[whole_n] != NULL)
				whole_n++;
			break;
		case CL_REFUSED:
			if (w->node->punt != NULL) {
				dp_punt_refused(w, b->m[i], b->verdict[i] == DP_DROP_L4_PROTO ? &b->f[i] : NULL,
						b->verdict[i]);
				break;
			}
			/* fall through */
		default:
			dp_worker_drop(w, b->m[i], b->verdict[i]);
		}
	}
	t1 = rte_rdtsc();
	w->cnt->stage_cyc[DP_STAGE_PARSE] += t1 - t0;
	w->cnt->stage_pkts[DP_STAGE_PARSE] += n;
	if (media_n > 0)
		dp_media_burst(w, b, media, media_n);
	if (esp_n > 0) {
		t0 = rte_rdtsc();
		dp_local_esp(w, b, esp, esp_n);
		w->cnt->stage_cyc[DP_STAGE_OTHER] += rte_rdtsc() - t0;
		w->cnt->stage_pkts[DP_STAGE_OTHER] += esp_n;
	}
	if (unlikely(whole_n > 0)) /* once: what is made of fragments is not taken for one */
		input(w, whole, whole_n, DP_PORT_NONE);
}

void dp_worker_input(struct dp_worker *w, struct rte_mbuf **m, uint16_t n)
{
	input(w, m, n, DP_PORT_NONE);
}

/*
 * Ask for all that is read of a packet up to its leg: the buffer's record and the headers, which begin where the pool's
 * buffers have them. Another core or a NIC wrote them last.
 */
static void prefetch_rx(struct rte_mbuf **m, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		const uint8_t *p = (const uint8_t *)m[i];
		const uint8_t *data = p + sizeof(struct rte_mbuf) + sizeof(struct dp_mbuf_priv) + RTE_PKTMBUF_HEADROOM;

		rte_prefetch0(p);
		rte_prefetch0(data);
	}
}

static unsigned int receive(struct dp_worker *w)
{
	struct rte_mbuf *m[DP_BURST];
	unsigned int total = 0;

	for (uint16_t p = 0; p < w->node->port_cnt; p++) {
		uint64_t t0, bytes = 0;
		uint16_t n;

		if (w->node->ports[p].dev != p) /* a further VLAN of a device that has had its turn */
			continue;
		t0 = rte_rdtsc();
		n = rte_eth_rx_burst(w->node->ports[p].id, w->id, m, DP_BURST);
		if (n == 0) {
			if (unlikely(w->give.state == DP_GIVE_DRAIN))
				dp_move_received(w, p, 0);
			continue;
		}
		prefetch_rx(m, n);
		for (uint16_t i = 0; i < n; i++)
			bytes += m[i]->pkt_len;
		w->cnt->rx_pkts += n;
		w->cnt->rx_bytes += bytes;
		w->cnt->stage_cyc[DP_STAGE_RX] += rte_rdtsc() - t0;
		w->cnt->stage_pkts[DP_STAGE_RX] += n;
		if (unlikely(w->give.state == DP_GIVE_DRAIN))
			dp_move_received(w, p, n);
		input(w, m, n, (uint8_t)p);
		total += n;
	}
	for (uint16_t from = 0; from < w->node->worker_cnt; from++) {
		struct rte_mbuf *in[DP_BURST];
		uint16_t frames = 0;
		unsigned int n;

		if (from == w->id)
			continue;
		n = rte_ring_sc_dequeue_burst(w->node->shard.ring[from][w->id], (void **)in, DP_BURST, NULL);
		if (n == 0)
			continue;
		w->cnt->handoff_in += n;
		w->cnt->in_flight -= n;
		if (unlikely(w->give.state == DP_GIVE_DRAIN))
			dp_move_handed(w, from, n);
		for (unsigned int i = 0; i < n; i++) {
			const struct dp_mbuf_priv *priv = rte_mbuf_to_priv(in[i]);

			if (priv->inner)
				dp_local_inner(w, in[i]);
			else if (priv->punt)
				dp_punt_handed(w, in[i]);
			else
				m[frames++] = in[i];
		}
		if (frames > 0)
			input(w, m, frames, DP_PORT_NONE);
		total += n;
	}
	return total;
}

static unsigned int commands(struct dp_worker *w)
{
	void *cmd[32];
	unsigned int n;

	if (unlikely(w->cmd_wait)) /* what they are for is on its way here; what is older than that has been executed */
		return 0;
	n = rte_ring_sc_dequeue_burst(w->cmd, cmd, 32, NULL);
	for (unsigned int i = 0; n > 0 && i < n + DP_CMD_STEPS; i++) {
		/* Each step to a gateway is a miss that the next one waits for: so they are taken for several commands at a time. */
		for (unsigned int step = 0; step < DP_CMD_STEPS; step++)
			if (i >= step && i - step < n)
				dp_worker_cmd_ahead(w, cmd[i - step], step);
		if (i >= DP_CMD_STEPS)
			dp_worker_cmd(w, cmd[i - DP_CMD_STEPS]);
	}
	if (n > 0) {
		dp_ipout_flush(w);
		(void)rte_ring_sp_enqueue_bulk(w->done, cmd, n, NULL); /* as large as the pool */
		w->cnt->cmds += n;
	}
	return n;
}

/* All SAs once a second, a 512th of them each millisecond: tens of thousands at once would keep packets waiting. */
static void sa_ticks(struct dp_worker *w)
{
	const uint16_t *ids;
	uint32_t n = dp_sad_list(w->sad, &ids);

	/* From above: one that is taken out meanwhile has its place taken by the last. */
	if (w->sa_left > n)
		w->sa_left = n;
	for (uint32_t k = n / 512 + 1; k > 0 && w->sa_left > 0; k--) {
		struct dp_sa *sa = dp_sad_find(w->sad, ids[--w->sa_left]);

		(void)dp_sa_tick(sa, w->now_s);
		if (sa->events != 0)
			dp_local_sa_events(w, sa);
		if (dp_sa_keepalive(sa, w->now_s))
			dp_local_keepalive(w, sa);
	}
}

static void timers(struct dp_worker *w)
{
	const struct dp_deliver_stats *s;

	if (w->now_us - w->tick_us < 1000)
		return;
	w->tick_us = w->now_us;
	w->neigh_budget = DP_NEIGH_PER_MS;
	w->pmtu_budget = DP_PMTU_PER_MS;
	dp_frag_tick(w);
	dp_ipout_dummies(w);
	if (likely(w->give.state != DP_GIVE_BOXES))
		(void)dp_deliver_tick(w->deliver, w->now_us);
	s = dp_deliver_stats(w->deliver);
	w->cnt->mgcp_tx = s->tx;
	w->cnt->mgcp_retx = s->retx;
	w->cnt->mgcp_rx = s->rx;
	w->cnt->mgcp_timeout = s->timeout;
	w->cnt->mgcp_no_sa = s->no_sa;
	w->cnt->mgcp_stale = s->stale;
	w->cnt->mgcp_source = s->source;
	w->cnt->mgcp_bad_answer = s->bad_answer;
	w->cnt->mgcp_repeats = s->repeats;
	w->cnt->mgcp_keepalive = s->keepalive;
	w->cnt->mgcp_overload = s->overload;
	if (w->now_us - w->second_us >= 1000000) {
		w->second_us = w->now_us;
		w->sa_left = UINT32_MAX;
	}
	if (w->sa_left > 0)
		sa_ticks(w);
}

unsigned int dp_worker_round(struct dp_worker *w)
{
	unsigned int n, cmds;
	uint64_t t;

	w->now_cyc = rte_rdtsc();
	w->now_us = (uint64_t)(((u128)(w->now_cyc - w->node->start_cyc) * w->us_mult) >> 32);
	w->nh = __atomic_load_n(&w->node->nh, __ATOMIC_ACQUIRE);
	w->watch = __atomic_load_n(&w->node->watch, __ATOMIC_ACQUIRE);
	w->spd = __atomic_load_n(&w->node->spd, __ATOMIC_ACQUIRE);
	if (unlikely((w->spd != NULL ? w->spd->gen : 0) != w->spd_gen))
		dp_policy_changed(w);
	while (w->now_us >= (uint64_t)(w->now_s + 1) * 1000000)
		w->now_s++;
	cmds = commands(w);
	if (unlikely(w->move != NULL))
		dp_move_begin(w);
	n = receive(w);
	if (w->id == 0 && w->node->punt != NULL)
		n += dp_punt_poll(w);
	n += dp_music_round(w);
	timers(w);
	dp_ipout_flush(w);
	t = rte_rdtsc();
	for (uint16_t p = 0; p < w->node->port_cnt; p++) {
		uint16_t k = w->tx[p].n;

		if (k > 0) {
			dp_worker_flush(w, p);
			w->cnt->stage_pkts[DP_STAGE_TX] += k;
		}
	}
	for (uint16_t to = 0; to < w->node->worker_cnt; to++)
		if (to != w->id)
			flush_handoff(w, to);
	if (unlikely(w->move != NULL))
		dp_move_end(w);
	if (unlikely(w->watch != NULL))
		dp_trace_flush(w);
	w->cnt->polls++;
	if (n > 0 || cmds > 0) {
		uint64_t end = rte_rdtsc();

		w->cnt->busy_polls++;
		w->cnt->busy_cyc += end - w->now_cyc;
		w->cnt->stage_cyc[DP_STAGE_TX] += end - t;
	}
	return n;
}

int dp_worker_main(void *arg)
{
	struct dp_worker *w = arg;
	const struct timespec nap = {.tv_nsec = DP_NAP_US * 1000};

	(void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	rte_rcu_qsbr_thread_online(w->node->qs, w->id);
	while (__atomic_load_n(&w->node->stop, __ATOMIC_RELAXED) == 0) {
		unsigned int n = dp_worker_round(w);

		rte_rcu_qsbr_quiescent(w->node->qs, w->id);
		if (n > 0) {
			w->idle_polls = 0;
		} else if (w->may_nap && w->move == NULL && ++w->idle_polls > DP_NAP_POLLS) {
			/* Asleep it holds no snapshot. */
			rte_rcu_qsbr_thread_offline(w->node->qs, w->id);
			nanosleep(&nap, NULL);
			rte_rcu_qsbr_thread_online(w->node->qs, w->id);
		} else {
			rte_pause();
		}
	}
	/* What is in the queues is not read any more; what is in our hands goes out. */
	w->watch = NULL;
	w->spd = __atomic_load_n(&w->node->spd, __ATOMIC_ACQUIRE); /* the one of the last round may be gone */
	(void)commands(w);
	dp_ipout_flush(w);
	for (uint16_t p = 0; p < w->node->port_cnt; p++)
		dp_worker_flush(w, p);
	rte_rcu_qsbr_thread_offline(w->node->qs, w->id);
	return 0;
}

/* --- main lcore --- */

static struct rte_ring *ring(struct dp_worker *w, const char *what, unsigned int depth)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s%s%u", what, w->node->tag, w->id);
	return rte_ring_create(name, depth, (int)rte_lcore_to_socket_id(w->lcore), RING_F_SP_ENQ | RING_F_SC_DEQ);
}

/* Memory of the worker's own: on its socket if there is some left. */
static void *own_zmalloc(const char *what, size_t bytes, uint16_t lcore)
{
	void *mem = rte_zmalloc_socket(what, bytes, 64, (int)rte_lcore_to_socket_id(lcore));

	return mem != NULL ? mem : rte_zmalloc(what, bytes, 64);
}

struct dp_worker *dp_worker_create(struct dp_node *node, uint16_t id, uint16_t lcore)
{
	struct dp_worker *w = own_zmalloc("dp_worker", sizeof(*w), lcore);

	if (w == NULL)
		return NULL;
	w->node = node;
	w->id = id;
	w->lcore = lcore;
	w->cnt = (struct dp_page_worker *)((uint8_t *)node->page + node->page->worker_off) + id;
	w->page_leg = (struct dp_page_leg *)((uint8_t *)node->page + node->page->leg_off);
	w->legs = &node->legs;
	for (unsigned int s = 0; s < DP_SHARDS; s++)
		w->own[s] = dp_shard_worker(&node->shard, s) == id;
	w->us_mult = (uint64_t)(((u128)1000000 << 32) / node->hz);
	w->may_nap = true;
	for (uint16_t p = 0; p < node->port_cnt; p++)
		w->may_nap = w->may_nap && node->ports[p].kernel;
	w->neigh_budget = DP_NEIGH_PER_MS;
	w->frag_id = (uint32_t)rte_rand();
	dp_wheel_init(&w->wheel, 0);
	if (node->cfg->dataplane.fragments == CFG_FRAG_REASSEMBLE) {
		uint32_t mbufs = node->cfg->dataplane.mbufs / node->worker_cnt;
		int socket = (int)rte_lcore_to_socket_id(lcore);

		w->frag = dp_frag_create(mbufs, node->hz, socket, false);
		w->frag_inner = dp_frag_create(mbufs / 4, node->hz, socket, true);
	}
	w->police = own_zmalloc("police", sizeof(*w->police), lcore);
	w->spd_cache = own_zmalloc("spd-cache", sizeof(*w->spd_cache), lcore);
	w->mb = dp_mb_create();
	w->out = dp_ipout_create((int)rte_lcore_to_socket_id(lcore));
	w->sad = dp_sad_create();
	w->deliver = dp_local_deliver_create(w);
	w->tracer = dp_tracer_create();
	w->cap_ring = dp_capring_create(DP_CAPRING_BYTES);
	w->cmd = ring(w, "cmd", DP_CMD_DEPTH);
	w->done = ring(w, "done", DP_CMD_DEPTH);
	w->evt = ring(w, "evt", DP_EVT_DEPTH);
	w->evt_free = ring(w, "evf", DP_EVT_DEPTH);
	w->evt_mem = own_zmalloc("events", (DP_EVT_DEPTH - 1) * sizeof(struct dp_evt), lcore);
	if ((node->cfg->dataplane.fragments == CFG_FRAG_REASSEMBLE && (w->frag == NULL || w->frag_inner == NULL)) || w->police == NULL || dp_police_init(w->police, node->cfg->media.source_pps, node->hz, rte_rdtsc()) < 0 ||
	    w->spd_cache == NULL || w->tracer == NULL || w->cap_ring == NULL || w->mb == NULL || w->out == NULL || w->evt_mem == NULL || w->sad == NULL ||
	    w->deliver == NULL || w->cmd == NULL || w->done == NULL ||
	    w->evt == NULL || w->evt_free == NULL) {
		dp_worker_destroy(w);
		return NULL;
	}
	for (uint32_t i = 0; i < DP_EVT_DEPTH - 1; i++)
		(void)rte_ring_sp_enqueue(w->evt_free, &w->evt_mem[i]);
	cfg_log(CFG_LOG_INFO, "crypto", "worker=%u isa=%s hmac=%s ctr=%s gcm_own_below=%zd", id, dp_mb_isa(w->mb), dp_mb_hmac_name(w->mb),
		dp_mb_ctr_name(w->mb), (ssize_t)dp_mb_gcm_own(w->mb));
	return w;
}

void dp_worker_destroy(struct dp_worker *w)
{
	if (w == NULL)
		return;
	for (uint16_t p = 0; p < DP_PORT_MAX; p++)
		rte_pktmbuf_free_bulk(w->tx[p].m, w->tx[p].n);
	for (uint16_t to = 0; to < DP_WORKER_MAX; to++) {
		for (uint16_t i = 0; i < w->handoff[to].n; i++)
			dp_mbuf_forget(w->handoff[to].m[i]);
		rte_pktmbuf_free_bulk(w->handoff[to].m, w->handoff[to].n);
	}
	dp_ipout_destroy(w->out);
	dp_deliver_destroy(w->deliver);
	dp_sad_destroy(w->sad);
	dp_mb_destroy(w->mb);
	dp_tracer_destroy(w->tracer);
	dp_capring_destroy(w->cap_ring);
	rte_free(w->police);
	rte_free(w->spd_cache);
	dp_frag_destroy(w->frag);
	dp_frag_destroy(w->frag_inner);
	rte_ring_free(w->cmd);
	rte_ring_free(w->done);
	rte_ring_free(w->evt);
	rte_ring_free(w->evt_free);
	if (w->evt_mem != NULL) /* an MGCP result may hold a key */
		explicit_bzero(w->evt_mem, (DP_EVT_DEPTH - 1) * sizeof(struct dp_evt));
	rte_free(w->evt_mem);
	rte_free(w);
}
