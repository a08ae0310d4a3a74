/* SPDX-License-Identifier: BSD-3-Clause */
#define ALLOW_EXPERIMENTAL_API /* rte_ip_frag_table_del_expired_entries() */
#include "frag.h"

#include <string.h>

#include <rte_ip_frag.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "mgcp/deliver.h"
#include "worker.h"

#define FRAG_HDR  8 /* IPv6 */
#define BUCKET    4
#define IP_LEN_MAX 65535u

struct dp_frag {
	struct rte_ip_frag_tbl *tbl;
	uint32_t held; /* pieces in it */
	bool secret;   /* they came out of SAs: wiped before their buffers go back */
	struct rte_ip_frag_death_row row;
};

struct dp_frag *dp_frag_create(uint32_t mbufs, uint64_t hz, int socket, bool secret)
{
	uint32_t n = mbufs / 64 < 16 ? 16 : mbufs / 64 > 1024 ? 1024 : mbufs / 64;
	struct dp_frag *frag = rte_zmalloc_socket("frag", sizeof(*frag), 64, socket);

	if (frag == NULL)
		return NULL;
	frag->tbl = rte_ip_frag_table_create(n, BUCKET, n, hz / 1000 * DP_FRAG_MS, socket);
	frag->secret = secret;
	if (frag->tbl == NULL) {
		rte_free(frag);
		return NULL;
	}
	return frag;
}

static void wipe(struct rte_mbuf *chain)
{
	for (struct rte_mbuf *s = chain; s != NULL; s = s->next)
		explicit_bzero(rte_pktmbuf_mtod(s, void *), s->data_len);
}

void dp_frag_destroy(struct dp_frag *frag)
{
	if (frag == NULL)
		return;
	/* All that waits is too old at the end of time; the library gives up as many at once as the row has room for. */
	while (frag->secret) {
		rte_ip_frag_table_del_expired_entries(frag->tbl, &frag->row, UINT64_MAX);
		if (frag->row.cnt == 0)
			break;
		for (uint32_t i = 0; i < frag->row.cnt; i++)
			wipe(frag->row.row[i]);
		rte_ip_frag_free_death_row(&frag->row, 0);
	}
	rte_ip_frag_table_destroy(frag->tbl);
	rte_free(frag);
}

bool dp_frag_ours(const struct dp_worker *w, const uint8_t *data, uint16_t len, uint8_t port)
{
	const uint8_t *ip = data + DP_ETH_LEN;
	const struct dp_local *l;
	uint8_t dst[16] = {0}, proto, family;

	if (memcmp(data, w->node->ports[port].mac, 6) != 0)
		return false;
	if (dp_get16(data + 12) == DP_ETYPE_IP4) {
		family = 4;
		proto = ip[9];
		memcpy(dst, ip + 16, 4);
	} else {
		/* The library takes the fragment header only where it is first. */
		if (len < DP_ETH_LEN + 40 + FRAG_HDR || ip[6] != 44)
			return false;
		family = 6;
		proto = ip[40];
		memcpy(dst, ip + 24, 16);
	}
	if (proto != DP_PROTO_UDP && proto != DP_PROTO_ESP)
		return false;
	l = dp_locals_find(&w->node->locals, family, dst);
	return l != NULL && l->port == port;
}

/* What the library put aside is given up. */
static void settle(struct dp_worker *w, struct dp_frag *frag)
{
	uint32_t n = frag->row.cnt;

	if (n == 0)
		return;
	for (uint32_t i = 0; frag->secret && i < n; i++)
		wipe(frag->row.row[i]);
	w->cnt->drop[DP_DROP_FRAG_INCOMPLETE] += n;
	w->cnt->in_flight -= n;
	frag->held -= n;
	rte_ip_frag_free_death_row(&frag->row, 0);
}

/* A chain of pieces in one buffer of its own; frees the chain. NULL: too long for a buffer, or there is none. */
static struct rte_mbuf *linear(struct dp_worker *w, struct rte_mbuf *chain, bool secret)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->node->pool);
	struct dp_mbuf_priv *priv;
	char *at;

	if (m == NULL || chain->pkt_len > rte_pktmbuf_tailroom(m)) {
		rte_pktmbuf_free(m);
		if (secret)
			wipe(chain);
		dp_worker_drop(w, chain, DP_DROP_NO_ROOM);
		return NULL;
	}
	priv = rte_mbuf_to_priv(m);
	*priv = *(struct dp_mbuf_priv *)rte_mbuf_to_priv(chain);
	priv->whole = 1;
	at = rte_pktmbuf_append(m, (uint16_t)chain->pkt_len);
	for (const struct rte_mbuf *s = chain; s != NULL; s = s->next) {
		memcpy(at, rte_pktmbuf_mtod(s, const char *), s->data_len);
		at += s->data_len;
	}
	if (secret)
		wipe(chain);
	rte_pktmbuf_free(chain);
	return m;
}

/* 'l2': bytes in front of the IP header. */
static struct rte_mbuf *put4(struct dp_frag *frag, struct rte_mbuf *m, uint8_t *ip, uint64_t now, uint16_t l2)
{
	uint16_t total = dp_get16(ip + 2), field = dp_get16(ip + 6), hlen = (uint16_t)((ip[0] & 15) * 4);
	uint32_t off = (field & 0x1fffu) * 8, len = (uint32_t)total - hlen;
	bool more = (field & 0x2000) != 0;

	/* A first piece holds the ports, others begin and end where they can be joined, none goes beyond the end. */
	if (len == 0 || (more && len % 8 != 0) || off + len + hlen > IP_LEN_MAX || (off == 0 && len < 8))
		return m;
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - l2 - total));
	m->l2_len = l2 == 0 ? 0 : DP_ETH_LEN;
	m->l3_len = hlen & 0x3f;
	frag->held++;
	return rte_ipv4_frag_reassemble_packet(frag->tbl, &frag->row, m, now, (struct rte_ipv4_hdr *)ip);
}

static struct rte_mbuf *put6(struct dp_frag *frag, struct rte_mbuf *m, uint8_t *ip, uint64_t now, uint16_t l2)
{
	uint16_t total = (uint16_t)(40 + dp_get16(ip + 4)), field = dp_get16(ip + 42);
	uint32_t off = field & 0xfff8u, len = (uint32_t)total - 40 - FRAG_HDR;
	bool more = (field & 1) != 0;

	if (total <= 40 + FRAG_HDR || (more && len % 8 != 0) || off + len > IP_LEN_MAX || (off == 0 && len < 8))
		return m;
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - l2 - total));
	m->l2_len = l2 == 0 ? 0 : DP_ETH_LEN;
	m->l3_len = 40 + FRAG_HDR;
	frag->held++;
	return rte_ipv6_frag_reassemble_packet(frag->tbl, &frag->row, m, now, (struct rte_ipv6_hdr *)ip,
					       (struct rte_ipv6_fragment_ext *)(ip + 40));
}

/* A packet that is whole now, in one buffer. 'v4': its checksum is made anew. */
static struct rte_mbuf *finish(struct dp_worker *w, struct dp_frag *frag, struct rte_mbuf *whole, bool v4, uint16_t l2)
{
	uint16_t pieces = whole->nb_segs, sum;
	uint8_t *ip;

	frag->held -= pieces;
	w->cnt->in_flight -= pieces;
	w->cnt->drop[DP_DROP_CONSUMED] += pieces - 1u;
	whole = linear(w, whole, frag->secret);
	if (whole != NULL && v4) {
		ip = rte_pktmbuf_mtod_offset(whole, uint8_t *, l2);
		dp_put16(ip + 10, 0);
		sum = dp_sum_fold(dp_sum(ip, (ip[0] & 15u) * 4u, 0));
		dp_put16(ip + 10, sum);
	}
	return whole;
}

struct rte_mbuf *dp_frag_input(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_frag *frag = w->frag;
	uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *), *ip = data + DP_ETH_LEN;
	bool v4 = dp_get16(data + 12) == DP_ETYPE_IP4;
	uint32_t held = frag->held;
	struct rte_mbuf *whole;

	whole = v4 ? put4(frag, m, ip, w->now_cyc, DP_ETH_LEN) : put6(frag, m, ip, w->now_cyc, DP_ETH_LEN);
	if (frag->held == held) { /* not taken */
		dp_worker_drop(w, m, DP_DROP_L3_MALFORMED);
		return NULL;
	}
	w->cnt->in_flight++;
	settle(w, frag);
	return whole != NULL ? finish(w, frag, whole, v4, DP_ETH_LEN) : NULL;
}

struct rte_mbuf *dp_frag_inner(struct dp_worker *w, struct rte_mbuf *m, uint32_t gw_id, uint8_t way)
{
	struct dp_mbuf_priv *priv = rte_mbuf_to_priv(m);
	struct dp_frag *frag = w->frag_inner;
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	bool v4 = ip[0] >> 4 == 4;
	uint32_t held = frag->held, strangers = 0;
	struct rte_mbuf *whole = NULL;

	priv->gw_id = gw_id;
	priv->inner = way;
	/* dp_iphdr_parse() has seen a whole IP header, and a fragment header somewhere behind an IPv6 one. */
	if (v4)
		whole = put4(frag, m, ip, w->now_cyc, 0);
	else if (m->data_len >= 40 + FRAG_HDR && ip[6] == 44)
		whole = put6(frag, m, ip, w->now_cyc, 0);
	if (frag->held == held) {
		wipe(m);
		dp_worker_drop(w, m, DP_DROP_L3_MALFORMED);
		return NULL;
	}
	w->cnt->in_flight++;
	settle(w, frag);
	if (whole == NULL)
		return NULL;
	/* Of one gateway, whatever addresses another one writes inside its SA; and what others could read of it they know. */
	for (struct rte_mbuf *s = whole; s != NULL; s = s->next) {
		const struct dp_mbuf_priv *its = rte_mbuf_to_priv(s);

		strangers += its->gw_id != gw_id;
		way = its->inner == DP_DELIVER_READABLE ? DP_DELIVER_READABLE : way;
	}
	whole = finish(w, frag, whole, v4, 0);
	if (whole != NULL) {
		priv = rte_mbuf_to_priv(whole);
		priv->inner = way;
	}
	if (whole != NULL && strangers > 0) {
		wipe(whole);
		dp_worker_drop(w, whole, DP_DROP_POLICY);
		return NULL;
	}
	return whole;
}

static void tick(struct dp_worker *w, struct dp_frag *frag)
{
	if (frag == NULL || frag->held == 0)
		return;
	rte_ip_frag_table_del_expired_entries(frag->tbl, &frag->row, w->now_cyc);
	settle(w, frag);
}

void dp_frag_tick(struct dp_worker *w)
{
	tick(w, w->frag);
	tick(w, w->frag_inner);
}
