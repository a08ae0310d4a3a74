/* SPDX-License-Identifier: BSD-3-Clause */
#include "ipout.h"
#include "move.h"

#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "ipsec/sa.h"
#include "sad.h"
#include "trace.h"
#include "worker.h"

#define LOOK 1024 /* places of gateways looked at for a box */

/* --- packets --- */

static void hold(struct dp_worker *w, struct dp_move *mv, struct rte_mbuf *m)
{
	if (mv->hold_n == DP_MOVE_HOLD) {
		dp_mbuf_forget(m);
		dp_worker_drop(w, m, DP_DROP_RING_FULL);
		return;
	}
	mv->hold[(mv->hold_at + mv->hold_n++) % DP_MOVE_HOLD] = m;
	mv->held++;
	w->cnt->in_flight++;
	w->cnt->held++;
	if (unlikely(w->watch != NULL))
		dp_trace_forget(w, &m, 1);
}

void dp_move_pass(struct dp_worker *w, uint8_t shard, struct rte_mbuf *m)
{
	uint16_t to = dp_shard_worker(&w->node->shard, shard);

	if (to != w->id)
		dp_worker_handoff(w, to, m);
	else if (likely(w->move != NULL))
		hold(w, w->move, m);
	else { /* cannot be: what the map says is ours is ours, or on its way */
		dp_mbuf_forget(m);
		dp_worker_drop(w, m, DP_DROP_RING_FULL);
	}
}

bool dp_move_clear(struct dp_worker *w, struct rte_mbuf *m)
{
	struct dp_move *mv = w->move;

	if (mv == NULL || w->freeing)
		return false;
	if (mv->to == w->id) {
		hold(w, mv, m);
		return true;
	}
	if (w->give.state < DP_GIVE_BOXES)
		return false;
	dp_worker_handoff(w, mv->to, m);
	return true;
}

/* Work off some of what was held, as if it came in now. */
static void let_go(struct dp_worker *w, struct dp_move *mv)
{
	struct rte_mbuf *m[DP_BURST];

	w->own[mv->shard] = 1;
	w->freeing = true;
	for (int k = 0; k < DP_MOVE_FREE && mv->hold_n > 0; k++) {
		uint16_t n = 0;

		while (n < DP_BURST && mv->hold_n > 0) {
			struct rte_mbuf *one = mv->hold[mv->hold_at];
			const struct dp_mbuf_priv *priv = rte_mbuf_to_priv(one);

			if (priv->inner && n > 0)
				break; /* in order */
			mv->hold_at = (mv->hold_at + 1) % DP_MOVE_HOLD;
			mv->hold_n--;
			w->cnt->in_flight--;
			if (priv->inner) {
				dp_local_inner(w, one);
				break;
			}
			m[n++] = one;
		}
		if (n > 0)
			dp_worker_input(w, m, n);
	}
	w->freeing = false;
	w->own[mv->shard] = mv->hold_n == 0;
}

/* --- the new owner --- */

void dp_move_take(struct dp_worker *w)
{
	w->move = w->node->move;
	w->cmd_wait = true;
	w->taken = false;
	__atomic_store_n(&w->move->ready, 1, __ATOMIC_RELEASE);
}

static void take_legs(struct dp_worker *w, const struct dp_move *mv, bool enter)
{
	uint32_t id = (uint32_t)mv->addr * DP_LEGS_PER_ADDR + mv->shard * (DP_PORTS_PER_SHARD / 2u);

	for (uint32_t i = 0; i < DP_PORTS_PER_SHARD / 2u; i++) {
		struct dp_leg *leg = dp_leg_find(w->legs, id + i);
		struct dp_srtp_key *lists[2];

		if (leg == NULL)
			continue;
		if (enter)
			dp_music_enter(w, leg);
		else
			dp_music_leave(w, leg);
		lists[0] = leg->rx.key;
		lists[1] = leg->tx.key;
		for (int k = 0; k < 2; k++) {
			for (struct dp_srtp_key *key = lists[k]; key != NULL; key = key->next) {
				if (enter)
					dp_srtp_key_enter(key, w->node->streams[w->id]);
				else
					dp_srtp_key_leave(key);
			}
		}
	}
}

static void empty_box(struct dp_worker *w, struct dp_move *mv)
{
	switch (mv->what) {
	case DP_MOVE_BOX_SAS:
		for (uint16_t i = 0; i < mv->cnt; i++)
			(void)dp_sad_put(w->sad, mv->sa[i]);
		break;
	case DP_MOVE_BOX_GWS:
		for (uint16_t i = 0; i < mv->cnt; i++)
			dp_deliver_accept(w->deliver, &mv->piece[i], w->now_us);
		break;
	case DP_MOVE_BOX_LEGS:
		take_legs(w, mv, true);
		break;
	default:
		w->taken = true;
	}
}

void dp_move_begin(struct dp_worker *w)
{
	struct dp_move *mv = w->move;

	if (mv->to != w->id) {
		if (__atomic_load_n(&mv->done, __ATOMIC_ACQUIRE) != 0) {
			w->give.state = DP_GIVE_NOT;
			w->move = NULL;
			__atomic_store_n(&mv->left, 1, __ATOMIC_RELEASE);
		}
		return;
	}
	if (!w->taken) {
		if (__atomic_load_n(&mv->turn, __ATOMIC_ACQUIRE) != DP_MOVE_TO)
			return;
		empty_box(w, mv);
		__atomic_store_n(&mv->turn, DP_MOVE_FROM, __ATOMIC_RELEASE);
		if (!w->taken)
			return;
	}
	let_go(w, mv);
	if (mv->hold_n > 0)
		return;
	w->cmd_wait = false;
	w->move = NULL;
	__atomic_store_n(&mv->done, 1, __ATOMIC_RELEASE);
}

/* --- the old owner --- */

void dp_move_give(struct dp_worker *w)
{
	struct dp_give *g = &w->give;

	w->move = w->node->move;
	g->state = DP_GIVE_DRAIN;
	g->what = DP_MOVE_BOX_SAS;
	g->addr = 0;
	for (uint16_t i = 0; i < w->node->worker_cnt; i++)
		g->ring_left[i] = i != w->id ? rte_ring_count(w->node->shard.ring[i][w->id]) : 0;
	/* Only a NIC that was told to send the shard elsewhere may have packets here that are older than some there. */
	for (uint16_t p = 0; p < w->node->port_cnt; p++)
		g->port_left[p] = w->node->ports[p].steers && w->node->ports[p].dev == p ?
					  w->node->cfg->dataplane.ring_desc : 0;
}

void dp_move_handed(struct dp_worker *w, uint16_t from, unsigned int n)
{
	w->give.ring_left[from] -= n < w->give.ring_left[from] ? n : w->give.ring_left[from];
}

void dp_move_received(struct dp_worker *w, uint16_t port, unsigned int n)
{
	w->give.port_left[port] -= n > 0 && n < w->give.port_left[port] ? n : w->give.port_left[port];
}

static bool drained(const struct dp_worker *w)
{
	uint32_t left = 0;

	for (uint16_t i = 0; i < w->node->worker_cnt; i++)
		left |= w->give.ring_left[i];
	for (uint16_t p = 0; p < w->node->port_cnt; p++)
		left |= w->give.port_left[p];
	return left == 0;
}

static void sas(struct dp_worker *w, struct dp_move *mv)
{
	const uint16_t *ids;
	uint32_t n = dp_sad_list(w->sad, &ids);

	dp_ipout_flush(w); /* what waits for an SA is encrypted while that is here */
	/* Backwards: taking one puts the last in its place. */
	for (uint32_t i = n; i-- > 0 && mv->cnt < DP_MOVE_SAS;) {
		uint16_t id = ids[i];

		if (dp_sad_shard(w->sad, id) == mv->shard)
			mv->sa[mv->cnt++] = dp_sad_take(w->sad, id);
	}
}

/* False: these were the last. */
static bool gateways(struct dp_worker *w, struct dp_move *mv)
{
	while (mv->cnt < DP_MOVE_PIECE) {
		struct dp_deliver_piece *p = &mv->piece[mv->cnt];

		if (!dp_deliver_give(w->deliver, mv->shard, &mv->gw_at, LOOK, p))
			return false;
		if (p->kind == DP_DELIVER_NONE)
			return true;
		mv->outs += p->kind == DP_DELIVER_TXN && p->rec.kind != DP_TXN_REC_IN;
		mv->cnt++;
	}
	return true;
}

static void fill_box(struct dp_worker *w, struct dp_move *mv)
{
	struct dp_give *g = &w->give;

	mv->cnt = 0;
	mv->what = g->what;
	switch (g->what) {
	case DP_MOVE_BOX_SAS:
		sas(w, mv);
		if (mv->cnt < DP_MOVE_SAS)
			g->what = DP_MOVE_BOX_GWS;
		break;
	case DP_MOVE_BOX_GWS:
		if (!gateways(w, mv))
			g->what = DP_MOVE_BOX_LEGS;
		break;
	case DP_MOVE_BOX_LEGS:
		mv->addr = g->addr++;
		take_legs(w, mv, false);
		if (g->addr == w->node->media_cnt)
			g->what = DP_MOVE_BOX_LAST;
		break;
	default:
		g->state = DP_GIVE_GIVEN;
	}
}

void dp_move_end(struct dp_worker *w)
{
	struct dp_move *mv = w->move;

	if (w->give.state == DP_GIVE_DRAIN && drained(w)) {
		w->own[mv->shard] = 0;
		w->give.state = DP_GIVE_BOXES;
	}
	if (w->give.state != DP_GIVE_BOXES || __atomic_load_n(&mv->turn, __ATOMIC_ACQUIRE) != DP_MOVE_FROM)
		return;
	fill_box(w, mv);
	__atomic_store_n(&mv->turn, DP_MOVE_TO, __ATOMIC_RELEASE);
}

void dp_move_fini(struct dp_move *mv)
{
	if (mv == NULL)
		return;
	for (; mv->hold_n > 0; mv->hold_n--, mv->hold_at++) {
		struct rte_mbuf *m = mv->hold[mv->hold_at % DP_MOVE_HOLD];

		dp_mbuf_forget(m);
		rte_pktmbuf_free(m);
	}
	explicit_bzero(mv->piece, sizeof(mv->piece));
}
