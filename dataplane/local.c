/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the dataplane's own addresses receive beside media: ARP, neighbour discovery and echo, ESP, MGCP; and what the
 * worker makes itself. Seldom, so one packet at a time, except ESP's bursts.
 */
#include <errno.h>
#include <string.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "crypto/mb.h"
#include "frag.h"
#include "ipout.h"
#include "ipsec/esp.h"
#include "ipsec/iphdr.h"
#include "ipsec/pmtu.h"
#include "ipsec/sa.h"
#include "mgcp/deliver.h"
#include "policy.h"
#include "sad.h"
#include "worker.h"

#define EVT_RESERVE (DP_MGCP_TXN_MAX + 1024) /* kept from events that are repeated, for results and the others */

static uint16_t headroom(const struct rte_mbuf *m, const uint8_t *data)
{
	return (uint16_t)(data - (const uint8_t *)m->buf_addr);
}

static uint16_t tailroom(const struct rte_mbuf *m, const uint8_t *end)
{
	return (uint16_t)((const uint8_t *)m->buf_addr + m->buf_len - end);
}

static void set_frame(struct rte_mbuf *m, const uint8_t *data, uint16_t len)
{
	m->data_off = headroom(m, data);
	m->data_len = len;
	m->pkt_len = len;
	m->ol_flags = 0;
}

/* --- neighbours and echo --- */

/* Tell the main lcore who spoke, if it is somebody we send to and it is news, or an answer. */
static void heard(struct dp_worker *w, uint8_t port, uint8_t family, const uint8_t *ip, const uint8_t *mac, bool answer)
{
	uint16_t i = dp_nh_find(w->nh, port, family, ip);
	struct dp_evt *evt;

	if (i == DP_NEIGH_NONE || w->neigh_budget == 0)
		return;
	if (!answer && w->nh->nh[i].valid && memcmp(w->nh->nh[i].mac, mac, 6) == 0)
		return;
	w->neigh_budget--;
	evt = dp_worker_evt(w);
	if (evt == NULL)
		return;
	evt->type = DP_EVT_NEIGH_HEARD;
	evt->u.nh = (struct dp_nh){.family = family, .port = port};
	memcpy(evt->u.nh.ip, ip, 16);
	memcpy(evt->u.nh.mac, mac, 6);
	dp_worker_post(w, evt);
}

/* The received packet is used up, and its buffer carries the answer. */
static void answer(struct dp_worker *w, struct rte_mbuf *m, uint8_t port, uint16_t len)
{
	w->cnt->drop[DP_DROP_CONSUMED]++;
	w->cnt->made_pkts++;
	set_frame(m, rte_pktmbuf_mtod(m, uint8_t *), len);
	dp_worker_send(w, port, m);
}

static bool ours_here(const struct dp_worker *w, uint8_t port, uint8_t family, const uint8_t *ip)
{
	const struct dp_local *l = dp_locals_find(&w->node->locals, family, ip);

	return l != NULL && l->port == port;
}

void dp_local_arp(struct dp_worker *w, struct dp_burst *b, uint16_t i)
{
	uint8_t pi = ((struct dp_mbuf_priv *)rte_mbuf_to_priv(b->m[i]))->port;
	const uint8_t *mac = w->node->ports[pi].mac;
	uint8_t spa[16] = {0}, tpa[16] = {0};
	struct dp_arp arp;
	bool for_us;

	if (dp_parse_arp(b->data[i] + b->f[i].l3_off, b->f[i].l3_len, &arp) != DP_OK) {
		dp_worker_drop(w, b->m[i], DP_DROP_L3_MALFORMED);
		return;
	}
	memcpy(spa, arp.spa, 4);
	memcpy(tpa, arp.tpa, 4);
	if (ours_here(w, pi, 4, spa)) { /* somebody else says that he has our address: not believed */
		dp_worker_drop(w, b->m[i], DP_DROP_L3_NOT_OURS);
		return;
	}
	for_us = ours_here(w, pi, 4, tpa);
	if (for_us || memcmp(spa, tpa, 4) == 0) /* to us, or gratuitous */
		heard(w, pi, 4, spa, arp.sha, arp.op == 2);
	if (for_us && arp.op == 1)
		answer(w, b->m[i], pi, dp_neigh_arp_reply(b->data[i], &b->f[i], &arp, mac));
	else /* an answer may be the kernel's as well, if it owns the same address for IKE */
		dp_punt_frame(w, b->m[i], for_us ? DP_DROP_CONSUMED : DP_DROP_L3_NOT_OURS);
}

/* NS and NA. True if it was one. */
static bool nd(struct dp_worker *w, struct dp_burst *b, uint16_t i, uint8_t pi)
{
	const struct dp_frame *f = &b->f[i];
	struct rte_mbuf *m = b->m[i];
	struct dp_nd msg;
	uint16_t room = (uint16_t)(m->buf_len - m->data_off), len = 0;
	enum dp_drop why = dp_neigh_nd_check(b->data[i], f, &msg);

	if (why == DP_DROP_L4_PROTO)
		return false;
	if (why != DP_OK) {
		dp_worker_drop(w, m, why);
		return true;
	}
	if (msg.type == 136) {
		if (msg.has_mac)
			heard(w, pi, 6, msg.target, msg.mac, true);
		dp_punt_frame(w, m, DP_DROP_CONSUMED);
		return true;
	}
	if (!ours_here(w, pi, 6, msg.target)) {
		dp_punt_frame(w, m, DP_DROP_L3_NOT_OURS);
		return true;
	}
	if (msg.has_mac)
		heard(w, pi, 6, f->src, msg.mac, false);
	len = dp_neigh_na(b->data[i], room, f, &msg, w->node->ports[pi].mac);
	if (len > 0)
		answer(w, m, pi, len);
	else
		dp_worker_drop(w, m, DP_DROP_NO_ROOM);
	return true;
}

/* A reply, whose addresses are those of the request turned round; the policies may not want it in clear. */
static void echo_answer(struct dp_worker *w, struct dp_burst *b, uint16_t i, uint8_t port, uint16_t len)
{
	struct dp_frame f = b->f[i];
	enum dp_drop why = DP_OK;

	if (unlikely(w->spd != NULL)) {
		memcpy(f.src, b->f[i].dst, sizeof(f.src));
		memcpy(f.dst, b->f[i].src, sizeof(f.dst));
		why = dp_policy_clear_out(w, b->data[i], &f);
	}
	if (why == DP_OK)
		answer(w, b->m[i], port, len);
	else
		dp_worker_drop(w, b->m[i], why);
}

/*
 * A router says that a packet of an SA was too long. True: it is used up. Which worker has an outbound SA its SPI does not
 * say: it goes to those that may, each looks by SPI. Only that is budgeted: messages about nobody's SAs keep none away that are about
 * somebody's.
 */
static bool too_big(struct dp_worker *w, struct dp_burst *b, uint16_t i)
{
	struct dp_mbuf_priv *priv = rte_mbuf_to_priv(b->m[i]);
	const struct dp_frame *f = &b->f[i];
	const uint8_t *icmp = b->data[i] + f->l4_off;
	uint32_t pseudo = f->family == 4 ? 0 : dp_sum_pseudo(6, f->src, f->dst, DP_PROTO_ICMP6, f->l4_len);
	struct dp_pmtu msg;
	struct dp_sa *sa;

	if (dp_pmtu_read(f->family, icmp, f->l4_len, &msg) != DP_OK)
		return false;
	if (dp_sum_fold(dp_sum(icmp, f->l4_len, pseudo)) != 0) {
		w->cnt->pmtu_refused++;
		dp_worker_drop(w, b->m[i], DP_DROP_L4_MALFORMED);
		return true;
	}
	sa = dp_sad_out_spi(w->sad, msg.spi, msg.family, msg.dst);
	for (uint16_t k = 1; sa == NULL && priv->hops + k < w->node->worker_cnt; k++) {
		uint16_t to = (uint16_t)(w->id + k) % w->node->worker_cnt;

		if (!dp_sad_out_maybe(w->node->worker[to]->sad, msg.spi))
			continue;
		if (w->pmtu_budget == 0) {
			w->cnt->pmtu_refused++;
			dp_worker_drop(w, b->m[i], DP_DROP_POLICED);
			return true;
		}
		w->pmtu_budget--;
		priv->hops = (uint8_t)(priv->hops + k);
		dp_worker_handoff(w, to, b->m[i]);
		return true;
	}
	if (sa != NULL && dp_pmtu_apply(sa, &msg, w->now_s))
		w->cnt->pmtu_learnt++;
	else
		w->cnt->pmtu_refused++;
	dp_worker_drop(w, b->m[i], DP_DROP_CONSUMED);
	return true;
}

void dp_local_icmp(struct dp_worker *w, struct dp_burst *b, uint16_t i)
{
	const struct dp_mbuf_priv *priv = rte_mbuf_to_priv(b->m[i]);
	uint8_t pi = priv->port;
	enum dp_drop why = DP_DROP_L4_PROTO;
	uint16_t len = 0;

	if (b->f[i].family == 6 && nd(w, b, i, pi))
		return;
	if (b->local[i] != NULL && unlikely(w->spd != NULL) && priv->hops == 0) {
		enum dp_drop no = dp_policy_clear_in(w, b->data[i], &b->f[i]);

		if (no != DP_OK) {
			dp_worker_drop(w, b->m[i], no);
			return;
		}
	}
	if (b->local[i] != NULL && too_big(w, b, i))
		return;
	if (b->local[i] != NULL) /* an echo to a group is not answered */
		len = dp_neigh_echo_reply(b->data[i], &b->f[i], w->node->ports[pi].mac, &why);
	if (len > 0)
		echo_answer(w, b, i, pi, len);
	else if (b->local[i] == NULL) /* to a group: router discovery, listeners, ... */
		dp_punt_frame(w, b->m[i], why);
	else
		dp_worker_drop(w, b->m[i], why);
}

void dp_local_solicit(struct dp_worker *w, const struct dp_cmd *cmd)
{
	const struct dp_nh *nh = &cmd->u.solicit.nh;
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->node->pool);
	uint8_t *frame;

	if (m == NULL)
		return;
	frame = rte_pktmbuf_mtod(m, uint8_t *);
	w->cnt->made_pkts++;
	set_frame(m, frame,
		  dp_neigh_solicit(frame, nh->family, w->node->ports[nh->port].mac, cmd->u.solicit.own, nh->ip));
	dp_worker_send(w, nh->port, m);
}

/* --- MGCP in --- */

static enum dp_drop deliver(struct dp_worker *w, uint8_t *data, const struct dp_frame *f, enum dp_deliver_way way,
			    uint32_t gw_id)
{
	struct dp_sockaddr from = {.port = f->src_port, .family = f->family};
	struct dp_sockaddr to = {.port = f->dst_port, .family = f->family};

	memcpy(from.ip, f->src, 16);
	memcpy(to.ip, f->dst, 16);
	return dp_deliver_rx(w->deliver, data + f->payload_off, f->payload_len, &from, &to, way, gw_id, w->now_us);
}

/* A message may have held a key: nothing of it stays in a buffer that goes back to the pool. */
static void drop_wiped(struct dp_worker *w, struct rte_mbuf *m, uint8_t *data, uint16_t len, enum dp_drop why)
{
	explicit_bzero(data, len);
	dp_worker_drop(w, m, why);
}

void dp_local_mgcp(struct dp_worker *w, struct dp_burst *b, uint16_t i)
{
	struct dp_mbuf_priv *priv = rte_mbuf_to_priv(b->m[i]);
	enum dp_drop why = deliver(w, b->data[i], &b->f[i], DP_DELIVER_CLEAR, UINT32_MAX);

	/* In clear the gateway is known by its address, and that by its worker alone: it goes around. */
	if (why == DP_DROP_MGCP_UNKNOWN && unlikely(w->move != NULL) && dp_move_clear(w, b->m[i]))
		return;
	if (why == DP_DROP_MGCP_UNKNOWN && priv->hops + 1 < w->node->worker_cnt) {
		priv->hops++;
		dp_worker_handoff(w, (uint16_t)(w->id + 1) % w->node->worker_cnt, b->m[i]);
		return;
	}
	drop_wiped(w, b->m[i], b->data[i], b->m[i]->data_len, why);
}

static bool mgcp_port(const struct dp_worker *w, const struct dp_frame *f)
{
	const struct cfg_addr *own = &w->node->mgcp_local;
	struct dp_sockaddr to = {.port = f->dst_port, .family = f->family};

	if (f->dst_port == own->port && f->family == own->family && memcmp(f->dst, own->ip, 16) == 0)
		return true;
	memcpy(to.ip, f->dst, 16);
	return dp_deliver_is_local(w->deliver, &to);
}

/*
 * An IP packet out of an SA: MGCP to our call agent, or nothing that we want. 'fresh': it has just been decrypted here, so
 * the policies are asked; by another worker it was, and they have been.
 */
static void inner(struct dp_worker *w, struct rte_mbuf *m, uint8_t *data, uint16_t len, uint32_t gw_id, enum dp_deliver_way way,
		  bool fresh)
{
	struct dp_frame f;
	enum dp_drop why = dp_parse_ip(data, len, &f);

	if (why == DP_OK && fresh && w->spd != NULL)
		why = dp_policy_sealed_in(w, data, &f);
	/* An SA carries the MGCP of the gateway that it was set up for, and of no other that an address inside claims. */
	if (why == DP_OK && gw_id >= DP_GW_MAX)
		why = DP_DROP_POLICY;
	if (why == DP_OK) {
		uint8_t shard = __atomic_load_n(&w->node->gw_shard[gw_id], __ATOMIC_RELAXED) % DP_SHARDS;

		if (!dp_worker_owns(w, shard)) {
			struct dp_mbuf_priv *priv = rte_mbuf_to_priv(m);

			set_frame(m, data, len);
			priv->inner = (uint8_t)way;
			priv->gw_id = gw_id;
			dp_move_pass(w, shard, m);
			return;
		}
	}
	if (why == DP_OK && f.proto != DP_PROTO_UDP)
		why = DP_DROP_L4_PROTO;
	if (why == DP_OK && dp_locals_find(&w->node->locals, f.family, f.dst) == NULL)
		why = DP_DROP_L3_NOT_OURS;
	if (why == DP_OK && !mgcp_port(w, &f))
		why = DP_DROP_L4_PROTO;
	if (why == DP_OK)
		why = deliver(w, data, &f, way, gw_id);
	drop_wiped(w, m, data, len, why);
}

static enum dp_deliver_way way_of(const struct dp_sa *sa)
{
	return sa->crypt == DP_SA_NULL ? DP_DELIVER_READABLE : DP_DELIVER_SEALED;
}

/* A fragment out of an SA: when it has become a packet, that is what selectors and policies are asked about. */
static void inner_piece(struct dp_worker *w, struct rte_mbuf *m, const struct dp_esp_pkt *e)
{
	uint32_t gw_id = e->sa->gw_id;
	struct dp_iphdr h;
	enum dp_drop why;
	uint8_t *ip;

	if (w->frag_inner == NULL) {
		drop_wiped(w, m, e->data, e->len, DP_DROP_L3_FRAGMENT);
		return;
	}
	set_frame(m, e->data, e->len);
	m = dp_frag_inner(w, m, gw_id, (uint8_t)way_of(e->sa));
	if (m == NULL)
		return;
	ip = rte_pktmbuf_mtod(m, uint8_t *);
	why = dp_iphdr_parse(ip, m->data_len, &h);
	if (why == DP_OK && h.fragment)
		why = DP_DROP_L3_MALFORMED; /* a fragment made of fragments */
	if (why == DP_OK)
		why = dp_sa_select(e->sa, ip, &h);
	if (why == DP_OK)
		inner(w, m, ip, m->data_len, gw_id, ((const struct dp_mbuf_priv *)rte_mbuf_to_priv(m))->inner, true);
	else
		drop_wiped(w, m, ip, m->data_len, why);
}

void dp_local_inner(struct dp_worker *w, struct rte_mbuf *m)
{
	const struct dp_mbuf_priv *priv = rte_mbuf_to_priv(m);

	inner(w, m, rte_pktmbuf_mtod(m, uint8_t *), m->data_len, priv->gw_id, priv->inner, false);
}

/* --- ESP --- */

void dp_local_sa_events(struct dp_worker *w, struct dp_sa *sa)
{
	uint32_t ev = dp_sa_take_events(sa);

	for (uint32_t kind = DP_SA_WANT_GRANT; ev != 0 && kind < DP_SA_EVENT_MAX; kind++) {
		struct dp_evt *evt;

		if ((ev & DP_SA_EV(kind)) == 0)
			continue;
		evt = dp_worker_evt(w);
		if (evt == NULL) {
			sa->events |= DP_SA_EV(kind); /* again after the next packet or tick */
			continue;
		}
		evt->type = DP_EVT_SA;
		evt->u.sa = (struct dp_sa_event){.sa_id = sa->sa_id, .spi = sa->spi, .kind = kind,
						 .seq = dp_sa_seq(sa)};
		if (kind == DP_SA_HARD_EXPIRED)
			evt->u.sa.why = sa->dead;
		else if (kind == DP_SA_SOFT_EXPIRED)
			evt->u.sa.why = sa->soft;
		else if (kind == DP_SA_MOVED)
			evt->u.sa.from = sa->peer.from;
		dp_worker_post(w, evt);
	}
}

void dp_local_esp(struct dp_worker *w, struct dp_burst *b, const uint16_t *idx, uint16_t n)
{
	struct dp_esp_pkt e[DP_BURST];
	struct rte_mbuf *m[DP_BURST];
	uint32_t spis[DP_BURST];
	uint16_t k = 0, all;

	for (uint16_t j = 0; j < n; j++) {
		uint16_t i = idx[j];
		const struct dp_frame *f = &b->f[i];
		uint8_t *ip = b->data[i] + f->l3_off;
		enum dp_esp_kind kind = DP_ESP_KIND_NONE;
		uint32_t spi = 0;
		enum dp_drop why = dp_esp_peek(ip, f->l3_len, DP_ESP_UDP_PORT, &kind, &spi);

		if (why == DP_OK && kind == DP_ESP_KIND_KEEPALIVE)
			why = DP_DROP_CONSUMED;
		else if (why == DP_OK && kind != DP_ESP_KIND_IP && kind != DP_ESP_KIND_UDP)
			why = DP_DROP_L4_PROTO;
		if (kind == DP_ESP_KIND_IKE) {
			dp_punt_frame(w, b->m[i], why);
			continue;
		}
		if (why != DP_OK) {
			dp_worker_drop(w, b->m[i], why);
			continue;
		}
		if (!dp_worker_owns(w, dp_shard_of_spi(spi))) {
			dp_move_pass(w, dp_shard_of_spi(spi), b->m[i]);
			continue;
		}
		dp_sad_ahead_in(w->sad, spi, 0, 0);
		spis[k] = spi;
		m[k] = b->m[i];
		e[k++] = (struct dp_esp_pkt){.data = ip, .len = f->l3_len, .headroom = headroom(b->m[i], ip),
					     .tailroom = tailroom(b->m[i], ip + f->l3_len)};
	}
	/* Among many SAs each step to one is a cache miss that the next one waits for: a pass for each lets those of all packets overlap. */
	for (unsigned int step = 1; step <= 3; step++)
		for (uint16_t j = 0; j < k; j++)
			dp_sad_ahead_in(w->sad, spis[j], step, e[j].len);
	all = k;
	k = 0;
	for (uint16_t j = 0; j < all; j++) {
		struct dp_sa *sa = dp_sad_in(w->sad, spis[j]);

		if (sa == NULL) {
			dp_worker_drop(w, m[j], DP_DROP_ESP_NO_SA);
			continue;
		}
		dp_deliver_ahead(w->deliver, sa->gw_id, 0);
		m[k] = m[j];
		e[k] = e[j];
		e[k++].sa = sa;
	}
	if (k == 0)
		return;
	(void)dp_esp_decap_burst(w->mb, e, k);
	for (unsigned int step = 0; step <= 2; step++)
		for (uint16_t j = 0; j < k; j++) {
			uint16_t hlen = dp_udp_hdr_len(e[j].data[0] >> 4);

			if (step == 0)
				dp_deliver_ahead(w->deliver, e[j].sa->gw_id, 1);
			if (e[j].verdict == DP_OK && e[j].len > hlen)
				dp_deliver_ahead_answer(w->deliver, e[j].data + hlen, (uint16_t)(e[j].len - hlen), step);
		}
	for (uint16_t j = 0; j < k; j++) {
		if (unlikely(e[j].sa->events != 0))
			dp_local_sa_events(w, e[j].sa);
		if (e[j].verdict == DP_OK || (e[j].fragment && e[j].verdict == DP_DROP_L3_FRAGMENT)) {
			w->cnt->esp_in++;
			if (unlikely(e[j].fragment))
				inner_piece(w, m[j], &e[j]);
			else
				inner(w, m[j], e[j].data, e[j].len, e[j].sa->gw_id, way_of(e[j].sa), true);
		} else {
			drop_wiped(w, m[j], e[j].data, e[j].len, e[j].verdict);
		}
	}
}

/* --- what the MGCP stage is given --- */

static bool op_sa_live(void *ctx, uint32_t gw_id)
{
	const struct dp_worker *w = ctx;

	const struct dp_sa *sa = dp_sad_out(w->sad, gw_id);

	/* Without encryption it hides no key: it is used, and counts for nothing. */
	return sa != NULL && sa->crypt != DP_SA_NULL;
}

static int op_send(void *ctx, uint32_t gw_id, const struct dp_sockaddr *from, const struct dp_sockaddr *to,
		   const uint8_t *payload, uint16_t len, bool need_sa)
{
	struct dp_worker *w = ctx;
	const struct dp_local *l = dp_locals_find(&w->node->locals, from->family, from->ip);
	struct dp_sa *sa = dp_sad_out_udp(w->sad, gw_id, from, to);
	uint16_t hlen = dp_udp_hdr_len(from->family);
	const struct dp_spd_policy *policy = NULL;
	enum dp_drop why = DP_OK;
	struct rte_mbuf *m;
	uint8_t *ip;
	int rc;

	if (unlikely(w->spd != NULL)) {
		struct dp_spd_flow flow = dp_policy_udp_out(from->family, from->ip, from->port, to->ip, to->port);

		policy = dp_policy_find(w, &flow);
	}
	if (policy != NULL && policy->action == DP_SPD_DISCARD) {
		w->cnt->made_pkts++;
		w->cnt->drop[DP_DROP_POLICY_DISCARD]++;
		return -EPERM;
	}
	/* What the list bypasses goes in clear, or, where the gateway's record or its keys demand an SA, not at all. */
	if (policy != NULL && policy->action == DP_SPD_BYPASS)
		sa = NULL;
	if (sa == NULL && policy != NULL && policy->action == DP_SPD_PROTECT)
		return -ENOKEY;
	if (need_sa && (sa == NULL || sa->crypt == DP_SA_NULL))
		return -ENOKEY;
	if (l == NULL || from->family != to->family)
		return -EADDRNOTAVAIL;
	m = dp_ipout_buffer(w);
	if (m == NULL)
		return -ENOBUFS;
	ip = rte_pktmbuf_mtod(m, uint8_t *);
	if ((uint32_t)hlen + len + DP_ESP_TAILROOM > rte_pktmbuf_tailroom(m)) { /* a packet is made in one buffer, and cut there */
		rte_pktmbuf_free(m);
		return -EMSGSIZE;
	}
	w->cnt->made_pkts++;
	memcpy(ip + hlen, payload, len);
	dp_build_udp(ip, from->family, from->ip, from->port, to->ip, to->port, len, 0, true);
	if (sa == NULL)
		return dp_ipout_clear(w, l->port, m, ip, (uint16_t)(hlen + len));
	rc = dp_ipout_sealed(w, l->port, m, ip, (uint16_t)(hlen + len), sa, policy, &why);
	return rc == -EIO && need_sa && (sa->dead != 0 || why == DP_DROP_ESP_SEQ) ? -ENOKEY : rc;
}

void dp_local_keepalive(struct dp_worker *w, const struct dp_sa *sa)
{
	const struct dp_local *l = dp_locals_find(&w->node->locals, sa->local.family, sa->local.ip);
	uint16_t hlen = dp_udp_hdr_len(sa->local.family);
	struct rte_mbuf *m = l != NULL ? rte_pktmbuf_alloc(w->node->pool) : NULL;
	uint8_t *ip;

	if (m == NULL)
		return;
	w->cnt->made_pkts++;
	w->cnt->esp_keepalive++;
	ip = rte_pktmbuf_mtod(m, uint8_t *);
	ip[hlen] = 0xff;
	dp_build_udp(ip, sa->local.family, sa->local.ip, sa->local.port, sa->remote.ip, sa->remote.port, 1, 0, true);
	(void)dp_ipout_clear(w, l->port, m, ip, (uint16_t)(hlen + 1));
}

static void op_done(void *ctx, const struct dp_mgcp_done *done)
{
	struct dp_worker *w = ctx;
	struct dp_evt *evt = dp_worker_evt_result(w);

	if (evt == NULL)
		return;
	evt->type = DP_EVT_MGCP_DONE;
	evt->u.done = *done;
	dp_worker_post(w, evt);
}

static int op_event(void *ctx, const struct dp_mgcp_event *event)
{
	struct dp_worker *w = ctx;
	struct dp_evt *evt;

	if (dp_worker_evt_left(w) < EVT_RESERVE)
		return -EAGAIN;
	evt = dp_worker_evt(w);
	if (evt == NULL)
		return -EAGAIN;
	evt->type = DP_EVT_MGCP_EVENT;
	evt->u.event = *event;
	/* So that the answer finds its worker, which may be another one by then: the shard is in bits 24..31, zero until now. */
	if (event->token != 0)
		evt->u.event.token |= (uint64_t)w->node->gw_shard[event->gw_id] << 24;
	dp_worker_post(w, evt);
	return 0;
}

/* An event that others come without: an audit is done again, a gateway's way of speaking told again. */
static struct dp_evt *evt_spare(struct dp_worker *w, uint8_t type)
{
	struct dp_evt *evt = dp_worker_evt_left(w) < EVT_RESERVE ? NULL : dp_worker_evt(w);

	if (evt != NULL)
		evt->type = type;
	return evt;
}

static int op_text(void *ctx, const struct dp_mgcp_text *text)
{
	struct dp_worker *w = ctx;
	struct dp_evt *evt = evt_spare(w, DP_EVT_MGCP_TEXT);

	if (evt == NULL)
		return -EAGAIN;
	evt->u.text = *text;
	dp_worker_post(w, evt);
	return 0;
}

static int op_heard(void *ctx, const struct dp_gw_heard *heard)
{
	struct dp_worker *w = ctx;
	struct dp_evt *evt = evt_spare(w, DP_EVT_GW_HEARD);

	if (evt == NULL)
		return -EAGAIN;
	evt->u.heard = *heard;
	dp_worker_post(w, evt);
	return 0;
}

struct dp_deliver *dp_local_deliver_create(struct dp_worker *w)
{
	const struct dp_deliver_ops ops = {.send = op_send, .sa_live = op_sa_live, .done = op_done,
					   .event = op_event, .text = op_text, .heard = op_heard, .part = (uint8_t)w->id,
					   .parts = (uint8_t)w->node->worker_cnt};

	return dp_deliver_create(&ops, w, w->node->cfg->dataplane.max_gateways, DP_MGCP_TXN_MAX);
}
