/* SPDX-License-Identifier: BSD-3-Clause */
#include "ipout.h"

#include <errno.h>
#include <string.h>

#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_random.h>

#include "crypto/mb.h"
#include "ipsec/esp.h"
#include "ipsec/iphdr.h"
#include "ipsec/sa.h"
#include "ipsec/spd.h"
#include "sad.h"

#define FRAG_HDR   8 /* IPv6 */
#define DUMMY_PER_MS 16
#define DUMMY_LOOKS  64 /* SAs looked at in a millisecond */
#define DUMMY_SPARE  64 /* sequence numbers that are not for dummies */
#define DUMMY_MIN  40  /* bytes of UDP payload, where no length is set for all (sa->tfc) */
#define DUMMY_SPAN 256

/* Laid out by ESP, with Ethernet header, and in plain text: neither sent nor freed before it is encrypted or wiped. */
struct dp_ipout {
	uint16_t n, spare_at, spare_n;
	uint16_t port[DP_IPOUT_WAIT];
	struct rte_mbuf *m[DP_IPOUT_WAIT];
	struct rte_mbuf *spare[DP_CMD_STEPS];
	struct dp_esp_laid laid[DP_IPOUT_WAIT];
	struct dp_esp_pkt e[DP_IPOUT_WAIT];
};

struct dp_ipout *dp_ipout_create(int socket)
{
	struct dp_ipout *out = rte_zmalloc_socket("ipout", sizeof(*out), 64, socket);

	return out != NULL ? out : rte_zmalloc("ipout", sizeof(*out), 64);
}

void dp_ipout_destroy(struct dp_ipout *out)
{
	if (out == NULL)
		return;
	for (uint16_t i = 0; i < out->n; i++)
		explicit_bzero(out->m[i]->buf_addr, out->m[i]->buf_len);
	rte_pktmbuf_free_bulk(out->m, out->n);
	rte_pktmbuf_free_bulk(out->spare + out->spare_at, out->spare_n);
	rte_free(out);
}

#define AHEAD 640 /* bytes of a packet that are asked for: a command with a description, and ESP around it */

void dp_ipout_expect(struct dp_worker *w)
{
	struct dp_ipout *out = w->out;
	struct rte_mbuf *m;
	uint8_t *p;

	if (out->spare_at + out->spare_n == DP_CMD_STEPS) {
		if (out->spare_at == 0)
			return;
		memmove(out->spare, out->spare + out->spare_at, out->spare_n * sizeof(out->spare[0]));
		out->spare_at = 0;
	}
	m = rte_pktmbuf_alloc(w->node->pool);
	if (m == NULL)
		return;
	out->spare[out->spare_at + out->spare_n++] = m;
	/* Where the pool's buffers have it: their own record says so too, and is on its way here. */
	p = (uint8_t *)m + sizeof(*m) + sizeof(struct dp_mbuf_priv) + RTE_PKTMBUF_HEADROOM - DP_ESP_HEADROOM;
	for (size_t at = 0; at < AHEAD; at += 64)
		__builtin_prefetch(p + at, 1);
}

struct rte_mbuf *dp_ipout_buffer(struct dp_worker *w)
{
	struct dp_ipout *out = w->out;

	if (out->spare_n == 0)
		return rte_pktmbuf_alloc(w->node->pool);
	out->spare_n--;
	return out->spare[out->spare_at++];
}

/* The one way out of the list. */
static void seal_all(struct dp_worker *w)
{
	struct dp_ipout *out = w->out;
	uint16_t n = out->n;

	if (n == 0)
		return;
	dp_esp_seal_burst(w->mb, out->e, out->laid, n);
	out->n = 0;
	for (uint16_t i = 0; i < n; i++)
		dp_worker_send(w, out->port[i], out->m[i]);
}

void dp_ipout_flush(struct dp_worker *w)
{
	struct dp_ipout *out = w->out;

	seal_all(w);
	if (unlikely(out->spare_n > 0)) {
		rte_pktmbuf_free_bulk(out->spare + out->spare_at, out->spare_n);
		out->spare_n = 0;
	}
	out->spare_at = 0;
}

static uint16_t tailroom(const struct rte_mbuf *m, const uint8_t *end)
{
	return (uint16_t)((const uint8_t *)m->buf_addr + m->buf_len - end);
}

static void give_up(struct dp_worker *w, struct rte_mbuf *m, enum dp_drop why)
{
	explicit_bzero(m->buf_addr, m->buf_len);
	dp_worker_drop(w, m, why);
}

/* Ethernet header in front of one packet that fits. 0, -EAGAIN: the packet is gone. */
static int frame_one(struct dp_worker *w, uint16_t port, struct rte_mbuf *m, uint8_t *ip, uint16_t len)
{
	uint8_t dst[16] = {0}, family = ip[0] >> 4;
	const uint8_t *mac;

	memcpy(dst, ip + (family == 4 ? 16 : 24), family == 4 ? 4 : 16);
	mac = dp_worker_hop(w, port, family, dst, NULL);
	if (mac == NULL) {
		give_up(w, m, DP_DROP_NO_NEIGH);
		return -EAGAIN;
	}
	ip -= DP_ETH_LEN;
	memcpy(ip, mac, 6);
	memcpy(ip + 6, w->node->ports[port].mac, 6);
	dp_put16(ip + 12, family == 4 ? DP_ETYPE_IP4 : DP_ETYPE_IP6);
	m->data_off = (uint16_t)(ip - (uint8_t *)m->buf_addr);
	m->data_len = (uint16_t)(len + DP_ETH_LEN);
	m->pkt_len = m->data_len;
	m->ol_flags = 0;
	return 0;
}

static int send_one(struct dp_worker *w, uint16_t port, struct rte_mbuf *m, uint8_t *ip, uint16_t len)
{
	int rc = frame_one(w, port, m, ip, len);

	if (rc == 0)
		dp_worker_send(w, port, m);
	return rc;
}

/* --- pieces --- */

struct cut {
	struct rte_mbuf *m[DP_CUT_MAX];
	uint8_t *ip[DP_CUT_MAX];
	uint16_t len[DP_CUT_MAX];
	uint16_t n;
};

/* Header of piece 'at' of 'body' bytes; 'more' follow. IPv4: of a header without options; IPv6: behind the fixed header. */
static uint16_t piece_header(uint8_t *to, const uint8_t *ip, uint32_t at, uint32_t body, bool more, uint32_t id)
{
	if (ip[0] >> 4 == 4) {
		memcpy(to, ip, 20);
		put_be16(to + 2, (uint16_t)(20 + body));
		put_be16(to + 4, (uint16_t)id);
		put_be16(to + 6, (uint16_t)(at / 8 | (more ? 0x2000 : 0))); /* DF goes: it has been cut by who may */
		dp_iphdr_v4_sum(to, 20);
		return 20;
	}
	memcpy(to, ip, 40);
	put_be16(to + 4, (uint16_t)(FRAG_HDR + body));
	to[6] = IPH_FRAGMENT;
	to[40] = ip[6];
	to[41] = 0;
	put_be16(to + 42, (uint16_t)(at | more));
	put_be32(to + 44, id);
	return 40 + FRAG_HDR;
}

/* A packet of ours (no options, no extension headers) in pieces of at most 'mtu' bytes. 0, -EMSGSIZE, -ENOBUFS: nothing was taken. */
static int cut(struct dp_worker *w, const uint8_t *ip, uint16_t len, uint32_t mtu, struct cut *c)
{
	uint32_t head = ip[0] >> 4 == 4 ? 20 : 40, add = head == 20 ? 20 : 40 + FRAG_HDR, each;
	uint32_t id = head == 20 ? ++w->frag_id : (uint32_t)rte_rand(); /* IPv6: not to be guessed (RFC 7739) */

	c->n = 0;
	if (mtu < add + 8 || (head == 20 && ip[0] != 0x45))
		return -EMSGSIZE;
	each = (mtu - add) & ~7u;
	if ((len - head + each - 1) / each > DP_CUT_MAX)
		return -EMSGSIZE;
	for (uint32_t at = 0; at < len - head; at += each) {
		uint32_t body = len - head - at < each ? len - head - at : each;
		struct rte_mbuf *m = rte_pktmbuf_alloc(w->node->pool);
		uint8_t *to;

		if (m == NULL) {
			for (uint16_t i = 0; i < c->n; i++) /* not sealed yet */
				explicit_bzero(c->ip[i], c->len[i]);
			rte_pktmbuf_free_bulk(c->m, c->n);
			return -ENOBUFS;
		}
		to = rte_pktmbuf_mtod(m, uint8_t *);
		c->len[c->n] = (uint16_t)(piece_header(to, ip, at, body, at + body < len - head, id) + body);
		memcpy(to + add, ip + head + at, body);
		c->m[c->n] = m;
		c->ip[c->n++] = to;
	}
	w->cnt->made_pkts += c->n;
	w->cnt->frag_made += c->n;
	return 0;
}

/* What is left of a packet that was cut, its copies in 'c': the first that does not leave ends it. */
static int send_pieces(struct dp_worker *w, uint16_t port, struct rte_mbuf *m, struct cut *c, int rc)
{
	give_up(w, m, rc < 0 ? DP_DROP_NO_ROOM : DP_DROP_CONSUMED);
	for (uint16_t i = 0; rc == 0 && i < c->n; i++) {
		rc = send_one(w, port, c->m[i], c->ip[i], c->len[i]);
		for (uint16_t k = (uint16_t)(i + 1); rc < 0 && k < c->n; k++)
			give_up(w, c->m[k], DP_DROP_NO_NEIGH);
	}
	return rc;
}

int dp_ipout_clear(struct dp_worker *w, uint16_t port, struct rte_mbuf *m, uint8_t *ip, uint16_t len)
{
	struct cut c;

	if (likely(len <= w->node->ports[port].mtu))
		return send_one(w, port, m, ip, len);
	return send_pieces(w, port, m, &c, cut(w, ip, len, w->node->ports[port].mtu, &c));
}

/* --- through an SA --- */

/* 'mtu': padding that hides lengths goes no further. A packet that is longer anyway has all the room there is. */
static void esp_pkt(struct dp_esp_pkt *e, const struct rte_mbuf *m, uint8_t *ip, uint16_t len, struct dp_sa *sa,
		    const struct dp_spd_policy *policy, uint32_t mtu)
{
	uint32_t head = ip[0] >> 4 == 4 ? 20 : 40, fixed = sa->outer_len + 8u + sa->iv_len + len;

	*e = (struct dp_esp_pkt){.data = ip, .len = len, .headroom = (uint16_t)(ip - (const uint8_t *)m->buf_addr), .sa = sa};
	e->tailroom = tailroom(m, ip + len);
	if (dp_esp_outer_len(sa, len, head) <= mtu && mtu - fixed < e->tailroom)
		e->tailroom = (uint16_t)(mtu - fixed);
	if (policy != NULL) {
		e->df = policy->df;
		e->dscp = policy->dscp == DP_SPD_DSCP_COPY ? 0 : (uint8_t)(policy->dscp + 1);
	}
}

/* Will the outer packet be one that may be fragmented on its way? */
static bool df_clear(const struct dp_sa *sa, const uint8_t *ip, const struct dp_spd_policy *policy)
{
	uint8_t df = policy != NULL ? policy->df : DP_SPD_DF_COPY;

	if (sa->family != 4)
		return false;
	if (sa->mode == DP_ESP_TUNNEL && df != DP_SPD_DF_COPY)
		return df == DP_SPD_DF_CLEAR;
	return ip[0] >> 4 == 4 && (ip[6] & 0x40) == 0;
}

/* Can the far end check a later piece of this packet by itself? dp_sa_select() has the same rule. */
static bool pieces_fit(const struct dp_sa *sa, const uint8_t *ip)
{
	return sa->mode == DP_ESP_TUNNEL && !sa->sel_ports && (sa->sel_proto == 0 || ip[0] >> 4 == 4);
}

/* Inner pieces, each through ESP. */
static int seal_pieces(struct dp_worker *w, uint16_t port, struct cut *c, struct dp_sa *sa, const struct dp_spd_policy *policy,
		       uint32_t mtu, enum dp_drop *ret_why)
{
	struct dp_esp_pkt e[DP_CUT_MAX];
	int rc = 0;

	for (uint16_t i = 0; i < c->n; i++)
		esp_pkt(&e[i], c->m[i], c->ip[i], c->len[i], sa, policy, mtu);
	(void)dp_esp_encap_burst(w->mb, e, c->n);
	for (uint16_t i = 0; i < c->n; i++) {
		int one = -EIO;

		if (e[i].verdict == DP_OK) {
			w->cnt->esp_out++;
			one = send_one(w, port, c->m[i], e[i].data, e[i].len);
		} else {
			*ret_why = e[i].verdict;
			give_up(w, c->m[i], e[i].verdict);
		}
		rc = rc == 0 ? one : rc;
	}
	return rc;
}

int dp_ipout_sealed(struct dp_worker *w, uint16_t port, struct rte_mbuf *m, uint8_t *ip, uint16_t len, struct dp_sa *sa,
		    const struct dp_spd_policy *policy, enum dp_drop *ret_why)
{
	uint8_t df = policy != NULL ? policy->df : DP_SPD_DF_COPY, dscp = policy != NULL ? policy->dscp : DP_SPD_DSCP_COPY;
	uint32_t mtu = w->node->ports[port].mtu;
	struct dp_ipout *out = w->out;
	struct dp_esp_pkt *e = &out->e[out->n];
	struct cut c;
	int rc;

	*ret_why = DP_OK;
	if (sa->pmtu != 0 && sa->pmtu < mtu)
		mtu = sa->pmtu;
	if (unlikely(sa->last_df != df || sa->last_dscp != dscp)) { /* the line is one that is only read otherwise */
		sa->last_df = df;
		sa->last_dscp = dscp;
	}
	if (unlikely(dp_esp_outer_len(sa, len, ip[0] >> 4 == 4 ? 20 : 40) > mtu) && pieces_fit(sa, ip) && !df_clear(sa, ip, policy)) {
		seal_all(w); /* in the order of their numbers */
		rc = cut(w, ip, len, dp_esp_inner_max(sa, mtu), &c);
		give_up(w, m, rc < 0 ? DP_DROP_NO_ROOM : DP_DROP_CONSUMED);
		rc = rc < 0 ? rc : seal_pieces(w, port, &c, sa, policy, mtu, ret_why);
		if (sa->events != 0)
			dp_local_sa_events(w, sa);
		return rc;
	}
	esp_pkt(e, m, ip, len, sa, policy, mtu);
	e->verdict = (uint8_t)dp_esp_lay(e, &out->laid[out->n]);
	if (sa->events != 0)
		dp_local_sa_events(w, sa);
	if (e->verdict != DP_OK) {
		*ret_why = e->verdict;
		give_up(w, m, e->verdict);
		return -EIO;
	}
	w->cnt->esp_out++;
	if (unlikely(e->len > mtu)) {
		struct dp_esp_pkt one = *e;
		struct dp_esp_laid laid = out->laid[out->n];

		seal_all(w);
		dp_esp_seal_burst(w->mb, &one, &laid, 1);
		return send_pieces(w, port, m, &c, cut(w, one.data, one.len, mtu, &c));
	}
	rc = frame_one(w, port, m, e->data, e->len); /* no way there: wiped, as it was never encrypted */
	if (rc < 0)
		return rc;
	out->m[out->n] = m;
	out->port[out->n++] = port;
	if (out->n == DP_IPOUT_WAIT)
		seal_all(w);
	return 0;
}

/* --- dummies --- */

/* One packet that says nothing, with the outer header of the last that said something, as long as any. */
static void dummy(struct dp_worker *w, struct dp_sa *sa)
{
	const struct dp_spd_policy as_last = {.df = sa->last_df, .dscp = sa->last_dscp};
	const struct dp_local *l = dp_locals_find(&w->node->locals, sa->local.family, sa->local.ip);
	uint16_t hlen = dp_udp_hdr_len(sa->local.family), len = (uint16_t)(DUMMY_MIN + rte_rand_max(DUMMY_SPAN));
	struct rte_mbuf *m = l != NULL ? rte_pktmbuf_alloc(w->node->pool) : NULL;
	struct dp_esp_pkt e;
	uint8_t *ip;

	if (m == NULL)
		return;
	w->cnt->made_pkts++;
	ip = rte_pktmbuf_mtod(m, uint8_t *);
	memset(ip + hlen, 0, len);
	dp_build_udp(ip, sa->local.family, sa->local.ip, 0, sa->remote.ip, 0, len, 0, false);
	esp_pkt(&e, m, ip, (uint16_t)(hlen + len), sa, &as_last,
		sa->pmtu != 0 && sa->pmtu < w->node->ports[l->port].mtu ? sa->pmtu : w->node->ports[l->port].mtu);
	e.dummy = 1;
	seal_all(w);
	(void)dp_esp_encap_burst(w->mb, &e, 1);
	if (sa->events != 0)
		dp_local_sa_events(w, sa);
	if (e.verdict != DP_OK) {
		give_up(w, m, e.verdict);
		return;
	}
	w->cnt->esp_dummy++;
	(void)send_one(w, l->port, m, e.data, e.len);
}

void dp_ipout_dummies(struct dp_worker *w)
{
	uint32_t pps = w->node->cfg->ipsec.dummy_pps, sent = 0;
	const uint16_t *ids;
	uint32_t n = dp_sad_list(w->sad, &ids);
	uint64_t ms = w->now_us / 1000;

	if (pps == 0 || n == 0) {
		w->dummy_ms = ms;
		return;
	}
	/* A look at each SA so often a second, one after the other, so that they are spread over it. */
	w->dummy_due += (ms - w->dummy_ms) * n * pps;
	w->dummy_ms = ms;
	if (w->dummy_due > DUMMY_LOOKS * 1000)
		w->dummy_due = DUMMY_LOOKS * 1000;
	for (; w->dummy_due >= 1000 && sent < DUMMY_PER_MS; w->dummy_due -= 1000) {
		struct dp_sa *sa = dp_sad_find(w->sad, ids[w->dummy_at++ % n]);

		/* Those that are in use, and have numbers to spare. */
		if (sa->dir != DP_DIR_SEND || sa->seq_limit - sa->seq <= DUMMY_SPARE || !dp_sa_live(sa) ||
		    (sa->gw_id < DP_GW_MAX && dp_sad_out(w->sad, sa->gw_id) != sa))
			continue;
		dummy(w, sa);
		sent++;
	}
}
