/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands of ours: queue, window, order, repeats and their ends (RFC 3435 s3.5). */
#include "txnint.h"

#include <errno.h>
#include <string.h>

int dp_txn_take(struct dp_txn *e, uint32_t peer, uint32_t *ret_slot)
{
	uint32_t i = e->out_free;

	if (i == NONE || e->peer[peer].waiting.n >= DP_TXN_QUEUE)
		return -ENOSPC;
	e->out_free = e->out[i].next;
	if (e->out_free != NONE) {
		__builtin_prefetch(&e->out[e->out_free], 1);
		__builtin_prefetch((const uint8_t *)&e->out[e->out_free] + 64, 1);
	}
	memset(&e->out[i], 0, sizeof(e->out[i]));
	e->out[i].peer = peer;
	e->out[i].state = OUT_TAKEN;
	e->out_cnt++;
	*ret_slot = i;
	return 0;
}

void dp_txn_put(struct dp_txn *e, uint32_t slot)
{
	if (slot < e->max_out && e->out[slot].state == OUT_TAKEN)
		out_free(e, slot);
}

void dp_txn_out_end(struct dp_txn *e, uint32_t i, struct dp_txn_end end)
{
	struct txn_out *o = &e->out[i];
	struct txn_peer *p = &e->peer[o->peer];

	timer_stop(e, i);
	if (o->state == OUT_FLYING) {
		out_unhash(e, i);
		out_remove(e, &p->flying, i);
	} else {
		out_remove(e, &p->waiting, i);
	}
	end.tid = o->tid;
	end.tries = o->tries;
	end.suspect = o->tries > DP_TXN_MAX1;
	e->ops.end(e->ctx, o->peer, i, &end);
	out_free(e, i);
}

/* False if that was its end. */
static bool out_transmit(struct dp_txn *e, uint32_t i, uint64_t now_us)
{
	struct txn_out *o = &e->out[i];
	uint64_t due_us;
	int rc;

	o->tries++;
	rc = e->ops.transmit(e->ctx, o->peer, i, o->tid, o->tries, o->confirm, o->confirm_cnt);
	if (rc != 0 && rc != -EAGAIN) {
		dp_txn_out_end(e, i, (struct dp_txn_end){.rc = rc});
		return false;
	}
	if (o->provisional)
		due_us = now_us + DP_TXN_LONGTRAN_US;
	else if (o->tries >= DP_TXN_MAX2)
		due_us = o->give_up_us;
	else
		due_us = now_us + jitter(e, o->rto_us);
	timer_set(e, i, due_us < o->give_up_us ? due_us : o->give_up_us);
	return true;
}

/* A steady peer's deviation goes to 0: leave room for jitter and for the gateway's own scheduling.
 */
static uint32_t peer_rto(const struct txn_peer *p)
{
	uint64_t floor_us = p->srtt_us / 4 > DP_TXN_VAR_MIN_US ? p->srtt_us / 4 : DP_TXN_VAR_MIN_US;
	uint64_t var_us = 4ull * p->rttvar_us > floor_us ? 4ull * p->rttvar_us : floor_us;
	uint64_t rto_us = p->srtt_us + var_us;

	if (p->srtt_us == 0)
		return DP_TXN_RTO_FIRST_US;
	if (rto_us < DP_TXN_RTO_MIN_US)
		return DP_TXN_RTO_MIN_US;
	return rto_us > DP_TXN_RTO_MAX_US ? DP_TXN_RTO_MAX_US : (uint32_t)rto_us;
}

/* RFC 6298's estimator; only answers to a single transmission are measured (Karn). */
static void peer_measure(struct txn_peer *p, uint32_t rtt_us)
{
	uint32_t diff;

	if (p->srtt_us == 0) {
		p->srtt_us = rtt_us > 0 ? rtt_us : 1;
		p->rttvar_us = rtt_us / 2;
		return;
	}
	diff = rtt_us > p->srtt_us ? rtt_us - p->srtt_us : p->srtt_us - rtt_us;
	p->rttvar_us = (uint32_t)(((uint64_t)p->rttvar_us * 3 + diff) / 4);
	p->srtt_us = (uint32_t)(((uint64_t)p->srtt_us * 7 + rtt_us) / 8);
	if (p->srtt_us == 0)
		p->srtt_us = 1;
}

/* What the peer's answers are confirmed with: identifiers in a row become one range. */
static void take_confirms(struct txn_peer *p, struct txn_out *o)
{
	for (uint32_t i = 0; i < p->confirm_cnt; i++) {
		struct dp_mgcp_range *last =
			o->confirm_cnt > 0 ? &o->confirm[o->confirm_cnt - 1] : NULL;

		if (last != NULL && last->last + 1 == p->confirm[i])
			last->last++;
		else
			o->confirm[o->confirm_cnt++] =
				(struct dp_mgcp_range){p->confirm[i], p->confirm[i]};
	}
	p->confirm_cnt = 0;
}

/* Give a flying command a (new) identifier and transmit it for the first time. False if that was
 * its end. */
static bool out_first(struct dp_txn *e, uint32_t i, uint64_t now_us)
{
	struct txn_out *o = &e->out[i];

	/*
	 * Handed out in a row from a random start: one comes again after 10^9 others, or 3 * 10^7
	 * in a worker's own range, which none can send within DP_TXN_REUSE_US.
	 */
	do {
		o->tid = e->next_tid;
		e->next_tid = e->next_tid < e->last_tid ? e->next_tid + 1 : e->first_tid;
	} while (out_find(e, o->tid) != NONE);
	o->hnext = *out_chain(e, o->tid);
	*out_chain(e, o->tid) = i;
	o->tries = 0;
	o->provisional = false;
	o->first_us = now_us;
	o->give_up_us = now_us + DP_TXN_T_MAX_US;
	o->rto_us = peer_rto(&e->peer[o->peer]);
	return out_transmit(e, i, now_us);
}

static void out_launch(struct dp_txn *e, uint32_t i, uint64_t now_us)
{
	struct txn_out *o = &e->out[i];
	struct txn_peer *p = &e->peer[o->peer];

	out_remove(e, &p->waiting, i);
	out_append(e, &p->flying, i);
	o->state = OUT_FLYING;
	take_confirms(p, o);
	out_first(e, i, now_us);
}

/* A set of order keys, 1,024 bits of their hash: taking two for one only makes the second wait its
 * turn. */
struct keyset {
	uint64_t bits[16];
};

static bool keyset_test_set(struct keyset *k, uint64_t order)
{
	uint64_t h = order * 0x9e3779b97f4a7c15ull >> 54;
	uint64_t bit = 1ull << (h & 63);
	bool was = order != 0 && (k->bits[h >> 6] & bit) != 0;

	if (order != 0)
		k->bits[h >> 6] |= bit;
	return was;
}

/*
 * Start what may start of the peer's queue, oldest first: no older command with the same order key,
 * on its way or waiting. A key blocked here is blocked by one that is on its way, so its end comes
 * back here.
 */
void dp_txn_kick(struct dp_txn *e, uint32_t peer, uint64_t now_us)
{
	struct txn_peer *p = &e->peer[peer];
	struct keyset busy;
	uint32_t i, next;

	if (now_us < p->hold_until_us)
		return; /* its timer comes back here */
	/*
	 * A launch that failed at once left its key marked, and those behind it would wait for an
	 * end that has been: with nothing on its way, look again. Each round takes at least the
	 * oldest.
	 */
	do {
		if (p->waiting.n == 0 || p->flying.n >= DP_TXN_WINDOW)
			return;
		memset(&busy, 0, sizeof(busy));
		for (i = p->flying.head; i != NONE; i = e->out[i].next)
			keyset_test_set(&busy, e->out[i].order);
		for (i = p->waiting.head; i != NONE && p->flying.n < DP_TXN_WINDOW; i = next) {
			next = e->out[i].next;
			if (!keyset_test_set(&busy, e->out[i].order))
				out_launch(e, i, now_us);
		}
	} while (p->flying.n == 0);
}

void dp_txn_start(struct dp_txn *e, uint32_t slot, uint64_t order, uint64_t now_us)
{
	struct txn_out *o = &e->out[slot];

	if (slot >= e->max_out || o->state != OUT_TAKEN)
		return;
	o->order = order;
	o->state = OUT_WAITING;
	out_append(e, &e->peer[o->peer].waiting, slot);
	dp_txn_kick(e, o->peer, now_us);
}

void dp_txn_hold_due(struct dp_txn *e, uint32_t peer, uint64_t now_us)
{
	timer_stop(e, peer_timer(e, peer));
	e->peer[peer].hold_until_us = 0;
	dp_txn_kick(e, peer, now_us);
}

/* A final answer: is the peer overloaded (409, RFC 3435 s4.4.2)? What is on its way to it goes on, what waits does so longer. */
static void peer_load(struct dp_txn *e, uint32_t peer, uint16_t code, uint64_t now_us)
{
	struct txn_peer *p = &e->peer[peer];

	if (code == 409 && now_us >= p->hold_until_us) {
		p->hold_us = p->hold_us == 0                        ? DP_TXN_HOLD_MIN_US
		             : 2 * p->hold_us < DP_TXN_HOLD_MAX_US ? 2 * p->hold_us
		                                                   : DP_TXN_HOLD_MAX_US;
		p->hold_until_us = now_us + jitter(e, p->hold_us);
		timer_set(e, peer_timer(e, peer), p->hold_until_us);
	} else if (code < 300 && p->hold_us != 0 && now_us >= p->hold_until_us) {
		p->hold_us = 0;
	}
}

int dp_txn_answer(struct dp_txn *e, uint32_t peer, uint32_t tid, uint16_t code, bool ask,
                  const void *answer, uint64_t now_us)
{
	uint32_t i = out_find(e, tid);
	struct txn_peer *p = &e->peer[peer];
	struct txn_out *o;
	uint32_t rtt_us;

	if (i == NONE || e->out[i].peer != peer) {
		if (ask && code >= 200)
			e->ops.respond(e->ctx, peer, NONE, tid, 0, false);
		return -ENOENT;
	}
	o = &e->out[i];
	if (code < 200) {
		uint64_t limit_us = o->first_us + DP_TXN_LONG_MAX_US;

		o->provisional = true;
		o->give_up_us =
			now_us + DP_TXN_T_MAX_US < limit_us ? now_us + DP_TXN_T_MAX_US : limit_us;
		timer_set(e, i,
		          now_us + DP_TXN_LONGTRAN_US < o->give_up_us ? now_us + DP_TXN_LONGTRAN_US
		                                                      : o->give_up_us);
		return 0;
	}
	rtt_us = now_us - o->first_us < UINT32_MAX ? (uint32_t)(now_us - o->first_us) : UINT32_MAX;
	if (o->tries == 1 && !o->provisional)
		peer_measure(p, rtt_us);
	if (ask)
		e->ops.respond(e->ctx, peer, NONE, tid, 0, false);
	else if (p->confirm_cnt < DP_TXN_CONFIRM_MAX && !p->no_confirm)
		p->confirm[p->confirm_cnt++] =
			tid; /* those beyond are dropped by the peer after T-HIST */
	if (o->confirm_cnt > 0 && (code == 510 || code == 511 || code == 539)) {
		p->no_confirm = true;
		p->confirm_cnt = 0;
		o->confirm_cnt = 0;
		out_unhash(e, i);
		if (!out_first(e, i, now_us))
			dp_txn_kick(e, peer, now_us);
		return 0;
	}
	peer_load(e, peer, code, now_us);
	dp_txn_out_end(e, i, (struct dp_txn_end){.code = code, .rtt_us = rtt_us, .answer = answer});
	dp_txn_kick(e, peer, now_us);
	return 0;
}

void dp_txn_out_due(struct dp_txn *e, uint32_t i, uint64_t now_us)
{
	struct txn_out *o = &e->out[i];
	uint32_t peer = o->peer;

	if (now_us >= o->give_up_us) {
		dp_txn_out_end(e, i, (struct dp_txn_end){.rc = -ETIMEDOUT});
		dp_txn_kick(e, peer, now_us);
		return;
	}
	o->rto_us = doubled(o->rto_us);
	if (!out_transmit(e, i, now_us))
		dp_txn_kick(e, peer, now_us);
}
