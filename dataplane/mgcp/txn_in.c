/* SPDX-License-Identifier: BSD-3-Clause */
/* The gateways' commands: each executed at most once, its answer remembered and repeated (RFC 3435 s3.5.1). */
#include "txnint.h"

#include <errno.h>

/* It is not executing any more. */
static void in_own(struct dp_txn *e, uint32_t i)
{
	uint32_t *link = &e->foreign;

	if (e->in[i].token == 0)
		return;
	while (*link != i)
		link = &e->in[*link].foreign;
	*link = e->in[i].foreign;
	e->in[i].token = 0;
}

void dp_txn_in_free(struct dp_txn *e, uint32_t i)
{
	struct txn_in *n = &e->in[i];
	uint32_t *link = in_chain(e, n->peer, n->tid);

	in_own(e, i);

	timer_stop(e, e->max_out + i);
	while (*link != i)
		link = &e->in[*link].hnext;
	*link = n->hnext;
	in_remove(e, &e->peer[n->peer].in, i);
	e->in_peers -= e->peer[n->peer].in.n == 0;
	n->state = IN_FREE;
	n->gen++;
	n->next = e->in_free;
	e->in_free = i;
	e->in_cnt--;
}

static void in_respond(struct dp_txn *e, uint32_t i)
{
	e->ops.respond(e->ctx, e->in[i].peer, i, e->in[i].tid, e->in[i].code, e->in[i].ask);
}

uint32_t dp_txn_in_new(struct dp_txn *e, uint32_t peer, uint32_t tid)
{
	uint32_t i = e->in_free, gen;
	struct txn_in *n;

	if (i == NONE || e->peer[peer].in.n >= DP_TXN_IN_MAX)
		return NONE;
	n = &e->in[i];
	e->in_free = n->next;
	gen = n->gen;
	*n = (struct txn_in){.peer = peer, .tid = tid, .gen = gen, .state = IN_EXECUTING};
	n->hnext = *in_chain(e, peer, tid);
	*in_chain(e, peer, tid) = i;
	e->in_peers += e->peer[peer].in.n == 0;
	in_append(e, &e->peer[peer].in, i);
	e->in_cnt++;
	return i;
}

/*
 * Half of the room is anybody's. Of the other half a peer gets no more than its share among those that have something there: who
 * floods fills the first half, and finds the others served.
 */
static bool has_share(const struct dp_txn *e, uint32_t peer)
{
	uint32_t share = e->max_in / 2 / (e->in_peers != 0 ? e->in_peers : 1);

	return e->in_cnt < e->max_in / 2 || e->peer[peer].in.n < (share > DP_TXN_IN_SHARE ? share : DP_TXN_IN_SHARE);
}

enum dp_txn_seen dp_txn_command(struct dp_txn *e, uint32_t peer, uint32_t tid, bool provisional,
                                uint64_t now_us, uint32_t *ret_in)
{
	uint32_t i = in_find(e, peer, tid);

	if (i != NONE) {
		struct txn_in *n = &e->in[i];

		if (n->state == IN_ANSWERED && !n->confirmed) {
			in_respond(e, i);
		} else if (n->state == IN_EXECUTING && provisional) {
			n->ask = true;
			e->ops.respond(e->ctx, peer, i, tid, 100, false);
		}
		return DP_TXN_REPEATED;
	}
	i = has_share(e, peer) ? dp_txn_in_new(e, peer, tid) : NONE;
	if (i == NONE)
		return DP_TXN_FULL;
	timer_set(e, e->max_out + i, now_us + DP_TXN_T_HIST_US);
	*ret_in = i;
	return DP_TXN_NEW;
}

int dp_txn_respond(struct dp_txn *e, uint32_t in, uint16_t code, uint64_t now_us)
{
	struct txn_in *n = &e->in[in];

	if (in >= e->max_in || n->state != IN_EXECUTING)
		return -ENOENT;
	in_own(e, in);
	n->state = IN_ANSWERED;
	n->code = code;
	n->hist_us = now_us + DP_TXN_T_HIST_US;
	n->tries = 1;
	n->rto_us = DP_TXN_RTO_FIRST_US;
	timer_set(e, e->max_out + in, n->ask ? now_us + jitter(e, n->rto_us) : n->hist_us);
	in_respond(e, in);
	return 0;
}

void dp_txn_forget(struct dp_txn *e, uint32_t in)
{
	if (in < e->max_in && e->in[in].state == IN_EXECUTING)
		dp_txn_in_free(e, in);
}

bool dp_txn_executing(const struct dp_txn *e, uint32_t in, uint32_t *ret_gen, uint32_t *ret_peer)
{
	if (in >= e->max_in || e->in[in].state != IN_EXECUTING || e->in[in].token != 0)
		return false;
	*ret_gen = e->in[in].gen;
	*ret_peer = e->in[in].peer;
	return true;
}

static void in_confirm(struct dp_txn *e, uint32_t i)
{
	struct txn_in *n = &e->in[i];

	if (n->state != IN_ANSWERED || n->confirmed)
		return;
	n->confirmed = true; /* the identifier stays, so that a late twin is not executed */
	timer_set(e, e->max_out + i, n->hist_us);
}

void dp_txn_confirmed(struct dp_txn *e, uint32_t peer, const struct dp_mgcp_range *range,
                      uint16_t n, uint64_t now_us)
{
	(void)now_us;
	for (uint16_t r = 0; r < n; r++) {
		if (range[r].last - range[r].first < 32) {
			for (uint32_t tid = range[r].first; tid <= range[r].last; tid++) {
				uint32_t i = in_find(e, peer, tid);

				if (i != NONE)
					in_confirm(e, i);
			}
			continue;
		}
		/* a wide range, perhaps a lie: what we remember of the peer is less */
		for (uint32_t i = e->peer[peer].in.head; i != NONE; i = e->in[i].next)
			if (e->in[i].tid >= range[r].first && e->in[i].tid <= range[r].last)
				in_confirm(e, i);
	}
}

void dp_txn_in_due(struct dp_txn *e, uint32_t i, uint64_t now_us)
{
	struct txn_in *n = &e->in[i];

	if (n->state == IN_EXECUTING || now_us >= n->hist_us) {
		dp_txn_in_free(e, i);
		return;
	}
	if (n->tries >= DP_TXN_MAX2) {
		timer_set(e, e->max_out + i, n->hist_us);
		return;
	}
	n->tries++;
	n->rto_us = doubled(n->rto_us);
	timer_set(e, e->max_out + i, now_us + jitter(e, n->rto_us));
	in_respond(e, i);
}
