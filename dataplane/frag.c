/* SPDX-License-Identifier: BSD-3-Clause */
#define ALLOW_EXPERIMENTAL_API /* rte_ip_frag_table_del_expired_entries() */
#include "frag.h"

#include <string.h>

#include <rte_ip_frag.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "worker.h"

#define FRAG_HDR  8 /* IPv6 */
#define BUCKET    4
#define IP_LEN_MAX 65535u

struct dp_frag {
	struct rte_ip_frag_tbl *tbl;
	uint32_t held; /* pieces in it */
	struct rte_ip_frag_death_row row;
};

struct dp_frag *dp_frag_create(uint32_t mbufs, uint64_t hz, int socket)
{
	uint32_t n = mbufs / 64 < 16 ? 16 : mbufs / 64 > 1024 ? 1024 : mbufs / 64;
	struct dp_frag *frag = rte_zmalloc_socket("frag", sizeof(*frag), 64, socket);

	if (frag == NULL)
		return NULL;
	frag->tbl = rte_ip_frag_table_create(n, BUCKET, n, hz / 1000 * DP_FRAG_MS, socket);
	if (frag->tbl == NULL) {
		rte_free(frag);
		return NULL;
	}
	return frag;
}

void dp_frag_destroy(struct dp_frag *frag)
{
	if (frag == NULL)
		return;
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
static void settle(struct dp_worker *w)
{
	struct dp_frag *frag = w->frag;
	uint32_t n = frag->row.cnt;

	if (n == 0)
		return;
	w->cnt->drop[DP_DROP_FRAG_INCOMPLETE] += n;
	w->cnt->in_flight -= n;
	frag->held -= n;
	rte_ip_frag_free_death_row(&frag->row, 0);
}

/* A chain of pieces in one buffer of its own; frees the chain. NULL: too long for a buffer, or there is none. */
static struct rte_mbuf *linear(struct dp_worker *w, struct rte_mbuf *chain)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->node->pool);
	struct dp_mbuf_priv *priv;
	char *at;

	if (m == NULL || chain->pkt_len > rte_pktmbuf_tailroom(m)) {
		rte_pktmbuf_free(m);
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
	rte_pktmbuf_free(chain);
	return m;
}

static struct rte_mbuf *put4(struct dp_frag *frag, struct rte_mbuf *m, uint8_t *ip, uint64_t now)
{
	uint16_t total = dp_get16(ip + 2), field = dp_get16(ip + 6), hlen = (uint16_t)((ip[0] & 15) * 4);
	uint32_t off = (field & 0x1fffu) * 8, len = (uint32_t)total - hlen;
	bool more = (field & 0x2000) != 0;

	/* A first piece holds the ports, others begin and end where they can be joined, none goes beyond the end. */
	if (len == 0 || (more && len % 8 != 0) || off + len + hlen > IP_LEN_MAX || (off == 0 && len < 8))
		return m;
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - DP_ETH_LEN - total));
	m->l2_len = DP_ETH_LEN;
	m->l3_len = hlen & 0x3f;
	frag->held++;
	return rte_ipv4_frag_reassemble_packet(frag->tbl, &frag->row, m, now, (struct rte_ipv4_hdr *)ip);
}

static struct rte_mbuf *put6(struct dp_frag *frag, struct rte_mbuf *m, uint8_t *ip, uint64_t now)
{
	uint16_t total = (uint16_t)(40 + dp_get16(ip + 4)), field = dp_get16(ip + 42);
	uint32_t off = field & 0xfff8u, len = (uint32_t)total - 40 - FRAG_HDR;
	bool more = (field & 1) != 0;

	if (total <= 40 + FRAG_HDR || (more && len % 8 != 0) || off + len > IP_LEN_MAX || (off == 0 && len < 8))
		return m;
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - DP_ETH_LEN - total));
	m->l2_len = DP_ETH_LEN;
	m->l3_len = 40 + FRAG_HDR;
	frag->held++;
	return rte_ipv6_frag_reassemble_packet(frag->tbl, &frag->row, m, now, (struct rte_ipv6_hdr *)ip,
					       (struct rte_ipv6_fragment_ext *)(ip + 40));
}

struct rte_mbuf *dp_frag_input(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_frag *frag = w->frag;
	uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *), *ip = data + DP_ETH_LEN;
	bool v4 = dp_get16(data + 12) == DP_ETYPE_IP4;
	uint32_t held = frag->held, pieces;
	struct rte_mbuf *whole;

	whole = v4 ? put4(frag, m, ip, w->now_cyc) : put6(frag, m, ip, w->now_cyc);
	if (frag->held == held) { /* not taken */
		dp_worker_drop(w, m, DP_DROP_L3_MALFORMED);
		return NULL;
	}
	w->cnt->in_flight++;
	settle(w);
	if (whole == NULL)
		return NULL;
	pieces = whole->nb_segs;
	frag->held -= pieces;
	w->cnt->in_flight -= pieces;
	w->cnt->drop[DP_DROP_CONSUMED] += pieces - 1;
	whole = linear(w, whole);
	if (whole != NULL && v4) {
		uint16_t sum;

		ip = rte_pktmbuf_mtod_offset(whole, uint8_t *, DP_ETH_LEN);
		dp_put16(ip + 10, 0);
		sum = dp_sum_fold(dp_sum(ip, (ip[0] & 15u) * 4u, 0));
		dp_put16(ip + 10, sum);
	}
	return whole;
}

void dp_frag_tick(struct dp_worker *w)
{
	if (w->frag == NULL || w->frag->held == 0)
		return;
	rte_ip_frag_table_del_expired_entries(w->frag->tbl, &w->frag->row, w->now_cyc);
	settle(w);
}
