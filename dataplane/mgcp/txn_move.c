/* SPDX-License-Identifier: BSD-3-Clause */
/* Transactions of a peer going over to another engine. */
#include "txnint.h"

#include <errno.h>
#include <string.h>

void dp_txn_peer_get(const struct dp_txn *e, uint32_t peer, struct dp_txn_peer *ret)
{
	const struct txn_peer *p = &e->peer[peer];

	*ret = (struct dp_txn_peer){p->srtt_us, p->rttvar_us, p->confirm_cnt, {0}, p->no_confirm, p->hold_us, p->hold_until_us};
	memcpy(ret->confirm, p->confirm, sizeof(ret->confirm));
}

void dp_txn_peer_set(struct dp_txn *e, uint32_t peer, const struct dp_txn_peer *from)
{
	struct txn_peer *p = &e->peer[peer];

	p->srtt_us = from->srtt_us;
	p->rttvar_us = from->rttvar_us;
	p->confirm_cnt = from->confirm_cnt;
	memcpy(p->confirm, from->confirm, sizeof(p->confirm));
	p->no_confirm = from->no_confirm;
	p->hold_us = from->hold_us;
	p->hold_until_us = from->hold_until_us;
	if (p->hold_us != 0)
		timer_set(e, peer_timer(e, peer), p->hold_until_us);
}

static void out_give(struct dp_txn *e, uint32_t i, struct dp_txn_rec *ret)
{
	struct txn_out *o = &e->out[i];
	struct txn_peer *p = &e->peer[o->peer];
	bool flying = o->state == OUT_FLYING;

	*ret = (struct dp_txn_rec){.kind = flying ? DP_TXN_REC_FLYING : DP_TXN_REC_WAITING,
	                           .tid = o->tid,
	                           .due_us = flying ? e->due_us[i] : 0,
	                           .order = o->order,
	                           .first_us = o->first_us,
	                           .give_up_us = o->give_up_us,
	                           .tries = o->tries,
	                           .rto_us = o->rto_us,
	                           .confirm_cnt = o->confirm_cnt,
	                           .provisional = o->provisional};
	memcpy(ret->confirm, o->confirm, sizeof(ret->confirm));
	timer_stop(e, i);
	if (flying) {
		out_unhash(e, i);
		out_remove(e, &p->flying, i);
	} else {
		out_remove(e, &p->waiting, i);
	}
	out_free(e, i);
}

bool dp_txn_give(struct dp_txn *e, uint32_t peer, struct dp_txn_rec *ret, uint32_t *ret_slot)
{
	struct txn_peer *p = &e->peer[peer];
	uint32_t i = p->flying.head != NONE ? p->flying.head : p->waiting.head;
	const struct txn_in *n;

	*ret_slot = i;
	if (i != NONE) {
		out_give(e, i, ret);
		return true;
	}
	i = p->in.head;
	if (i == NONE)
		return false;
	n = &e->in[i];
	*ret = (struct dp_txn_rec){.kind = DP_TXN_REC_IN,
	                           .tid = n->tid,
	                           .due_us = e->due_us[e->max_out + i],
	                           .hist_us = n->hist_us,
	                           .token = n->token,
	                           .tries = n->tries,
	                           .rto_us = n->rto_us,
	                           .code = n->code,
	                           .executing = n->state == IN_EXECUTING,
	                           .ask = n->ask,
	                           .confirmed = n->confirmed};
	if (ret->executing && ret->token == 0)
		ret->token = dp_txn_token_of(i, n->gen);
	dp_txn_in_free(e, i);
	return true;
}

static int in_accept(struct dp_txn *e, uint32_t peer, const struct dp_txn_rec *rec)
{
	uint32_t i = in_find(e, peer, rec->tid) == NONE ? dp_txn_in_new(e, peer, rec->tid) : NONE;
	struct txn_in *n;

	if (i == NONE)
		return -ENOSPC;
	n = &e->in[i];
	n->state = rec->executing ? IN_EXECUTING : IN_ANSWERED;
	n->hist_us = rec->hist_us;
	n->rto_us = rec->rto_us;
	n->code = rec->code;
	n->tries = (uint8_t)rec->tries;
	n->ask = rec->ask;
	n->confirmed = rec->confirmed;
	if (rec->executing) {
		n->token = rec->token;
		n->foreign = e->foreign;
		e->foreign = i;
	}
	timer_set(e, e->max_out + i, rec->due_us);
	return 0;
}

int dp_txn_accept(struct dp_txn *e, uint32_t peer, const struct dp_txn_rec *rec, uint32_t *ret_slot)
{
	struct txn_peer *p = &e->peer[peer];
	uint32_t i = e->out_free;
	struct txn_out *o;

	*ret_slot = NONE;
	if (rec->kind == DP_TXN_REC_IN)
		return in_accept(e, peer, rec);
	if (i == NONE)
		return -ENOSPC;
	o = &e->out[i];
	e->out_free = o->next;
	*o = (struct txn_out){.order = rec->order,
	                  .first_us = rec->first_us,
	                  .give_up_us = rec->give_up_us,
	                  .peer = peer,
	                  .tid = rec->tid,
	                  .tries = rec->tries,
	                  .rto_us = rec->rto_us,
	                  .provisional = rec->provisional,
	                  .confirm_cnt = rec->confirm_cnt};
	memcpy(o->confirm, rec->confirm, sizeof(o->confirm));
	e->out_cnt++;
	*ret_slot = i;
	if (rec->kind == DP_TXN_REC_WAITING) {
		o->state = OUT_WAITING;
		out_append(e, &p->waiting, i);
		return 0;
	}
	o->state = OUT_FLYING;
	out_append(e, &p->flying, i);
	o->hnext = *out_chain(e, o->tid);
	*out_chain(e, o->tid) = i;
	timer_set(e, i, rec->due_us);
	return 0;
}

uint32_t dp_txn_token(const struct dp_txn *e, uint64_t token)
{
	uint32_t i = e->foreign;

	while (i != NONE && e->in[i].token != token)
		i = e->in[i].foreign;
	return i;
}
