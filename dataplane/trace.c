/* SPDX-License-Identifier: BSD-3-Clause */
#include "trace.h"

#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "rtp.h"
#include "watch.h"

#define NOTES       256
#define EVT_RESERVE 2048 /* event buffers beyond those kept for results that a trace leaves to others */

static_assert(sizeof(((struct dp_trace_pkt *)0)->stage) == DP_STAGE_MAX, "a verdict of each stage");

struct note {
	const struct rte_mbuf *m;
	uint8_t at; /* enum dp_stage: where the packet is */
	struct dp_trace_pkt pkt;
};

struct dp_tracer {
	uint16_t n;
	struct note note[NOTES];
};

struct dp_tracer *dp_tracer_create(void)
{
	return calloc(1, sizeof(struct dp_tracer));
}

void dp_tracer_destroy(struct dp_tracer *t)
{
	free(t);
}

static bool fits(const struct dp_trace *f, const struct dp_trace_pkt *p)
{
	if (f->leg_id != UINT32_MAX && f->leg_id != p->leg_in)
		return false;
	if (f->dst_port != 0 && f->dst_port != p->dst.port)
		return false;
	if (f->src.family != 0 && (f->src.family != p->src.family || memcmp(f->src.ip, p->src.ip, 16) != 0))
		return false;
	return f->src.port == 0 || f->src.port == p->src.port;
}

/* A frame that the parser refused may still say whom it is from: as far as its headers are there. */
static void addresses(struct dp_trace_pkt *p, const uint8_t *data, uint16_t len)
{
	uint16_t etype = len >= DP_ETH_LEN ? dp_get16(data + 12) : 0;
	uint16_t off = DP_ETH_LEN, l4;
	uint8_t proto;

	if (etype == DP_ETYPE_VLAN && len >= DP_ETH_LEN + 4) {
		etype = dp_get16(data + 16);
		off = DP_ETH_LEN + 4;
	}
	if (etype == DP_ETYPE_IP4 && len >= off + 20) {
		p->src.family = p->dst.family = 4;
		memcpy(p->src.ip, data + off + 12, 4);
		memcpy(p->dst.ip, data + off + 16, 4);
		proto = data[off + 9];
		l4 = (uint16_t)(off + (data[off] & 15) * 4);
		if ((dp_get16(data + off + 6) & 0x1fff) != 0)
			return; /* ports are in the first fragment */
	} else if (etype == DP_ETYPE_IP6 && len >= off + 40) {
		p->src.family = p->dst.family = 6;
		memcpy(p->src.ip, data + off + 8, 16);
		memcpy(p->dst.ip, data + off + 24, 16);
		proto = data[off + 6];
		l4 = (uint16_t)(off + 40);
	} else {
		return;
	}
	if (proto == DP_PROTO_UDP && len >= l4 + 4) {
		p->src.port = dp_get16(data + l4);
		p->dst.port = dp_get16(data + l4 + 2);
	}
}

void dp_trace_begin(struct dp_worker *w, const struct dp_burst *b, uint16_t i, bool media)
{
	const struct dp_trace *f = &w->watch->trace;
	const struct dp_mbuf_priv *priv = rte_mbuf_to_priv(b->m[i]);
	struct dp_tracer *t = w->tracer;
	const struct dp_frame *fr = &b->f[i];
	struct note *n = &t->note[t->n];

	if (f->count == 0 || t->n == NOTES)
		return;
	n->m = b->m[i];
	memset(&n->pkt, 0, sizeof(n->pkt));
	memset(n->pkt.stage, DP_TRACE_NOT_REACHED, sizeof(n->pkt.stage));
	n->pkt.id = f->id;
	n->pkt.at_us = w->now_us;
	n->pkt.len = (uint16_t)RTE_MIN(b->m[i]->pkt_len, UINT16_MAX);
	n->pkt.worker = (uint8_t)w->id;
	n->pkt.port_in = priv->port;
	n->pkt.port_out = UINT16_MAX;
	n->pkt.leg_in = UINT32_MAX;
	n->pkt.leg_out = UINT32_MAX;
	n->pkt.stage[DP_STAGE_RX] = DP_OK;
	addresses(&n->pkt, b->data[i], b->m[i]->data_len);
	n->at = DP_STAGE_PARSE;
	if (b->verdict[i] == DP_OK) {
		n->pkt.stage[DP_STAGE_PARSE] = DP_OK;
		n->at = media ? DP_STAGE_LOOKUP : DP_STAGE_OTHER;
	}
	if (b->verdict[i] == DP_OK && media)
		n->pkt.leg_in = (uint32_t)b->local[i]->media_idx * DP_LEGS_PER_ADDR +
				((uint32_t)fr->dst_port - w->node->base_port) / 2;
	if (fits(f, &n->pkt))
		t->n++;
}

static struct note *note_of(struct dp_tracer *t, const struct rte_mbuf *m)
{
	for (uint16_t i = 0; i < t->n; i++)
		if (t->note[i].m == m)
			return &t->note[i];
	return NULL;
}

static void remove_note(struct dp_tracer *t, struct note *n)
{
	t->n--;
	if (n != &t->note[t->n])
		*n = t->note[t->n];
}

static void post(struct dp_worker *w, struct note *n, bool left)
{
	struct dp_evt *evt;

	if (!(left && w->watch->trace.drops_only != 0) &&
	    dp_worker_evt_left(w) > DP_MGCP_TXN_MAX + EVT_RESERVE && (evt = dp_worker_evt(w)) != NULL) {
		evt->type = DP_EVT_TRACE;
		evt->u.trace = n->pkt;
		dp_worker_post(w, evt);
	}
	remove_note(w->tracer, n);
}

void dp_trace_pass(struct dp_worker *w, const struct rte_mbuf *m, enum dp_stage stage, uint32_t leg_out, uint16_t port_out)
{
	struct note *n = note_of(w->tracer, m);

	if (n == NULL)
		return;
	n->pkt.stage[stage] = DP_OK;
	n->at = (uint8_t)(stage + 1);
	n->pkt.leg_out = leg_out;
	n->pkt.port_out = port_out;
}

void dp_trace_media(struct dp_worker *w, const struct rte_mbuf *m, bool rtcp, const uint8_t *data, uint16_t len)
{
	struct note *n = note_of(w->tracer, m);

	if (n == NULL)
		return;
	n->pkt.rtcp = rtcp;
	if (rtcp && len >= 8) {
		n->pkt.pt = data[1];
		n->pkt.ssrc = dp_get32(data + 4);
	} else if (!rtcp && len >= 12) {
		n->pkt.pt = data[1] & 0x7f;
		n->pkt.index = dp_get16(data + 2);
		n->pkt.ssrc = dp_get32(data + 8);
	}
}

void dp_trace_index(struct dp_worker *w, const struct rte_mbuf *m, uint64_t index)
{
	struct note *n = note_of(w->tracer, m);

	if (n != NULL)
		n->pkt.index = index;
}

void dp_trace_drop(struct dp_worker *w, const struct rte_mbuf *m, enum dp_drop why)
{
	struct note *n = note_of(w->tracer, m);

	if (n == NULL)
		return;
	n->pkt.stage[n->at] = (uint8_t)why;
	post(w, n, why == DP_DROP_CONSUMED || why == DP_DROP_PUNTED); /* these are not lost */
}

void dp_trace_sent(struct dp_worker *w, struct rte_mbuf *const *m, uint16_t cnt)
{
	for (uint16_t i = 0; i < cnt && w->tracer->n > 0; i++) {
		struct note *n = note_of(w->tracer, m[i]);

		if (n == NULL)
			continue;
		n->pkt.stage[n->at] = DP_OK;
		post(w, n, true);
	}
}

void dp_trace_forget(struct dp_worker *w, struct rte_mbuf *const *m, uint16_t cnt)
{
	for (uint16_t i = 0; i < cnt && w->tracer->n > 0; i++) {
		struct note *n = note_of(w->tracer, m[i]);

		if (n != NULL)
			remove_note(w->tracer, n);
	}
}

void dp_trace_flush(struct dp_worker *w)
{
	while (w->tracer->n > 0)
		post(w, &w->tracer->note[0], true);
}
