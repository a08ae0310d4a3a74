/* SPDX-License-Identifier: BSD-3-Clause */
#include "txnint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t pow2_above(uint32_t n)
{
	uint32_t p = 16;

	while (p < n && p < 1u << 30)
		p *= 2;
	return p;
}

static struct txn_list list_empty(void)
{
	return (struct txn_list){NONE, NONE, 0};
}

struct dp_txn *dp_txn_create(const struct dp_txn_ops *ops, void *ctx, uint32_t max_peer,
                             uint32_t max_out, uint32_t max_in, uint64_t seed)
{
	struct dp_txn *e = NULL;
	uint32_t ids = max_out + max_in + max_peer, out_size = pow2_above(2 * max_out),
		 in_size = pow2_above(2 * max_in);

	if (max_peer == 0 || max_out == 0 || max_in == 0 || max_out >= 1u << 24 ||
	    max_in >= 1u << 24 || max_peer >= 1u << 24)
		return NULL;
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return NULL;
	e->ops = *ops;
	e->ctx = ctx;
	e->max_peer = max_peer;
	e->max_out = max_out;
	e->max_in = max_in;
	e->hash_mask = out_size - 1;
	e->in_mask = in_size - 1;
	e->first_tid = 1;
	e->last_tid = DP_MGCP_TID_MAX;
	e->next_tid = (uint32_t)(seed % DP_MGCP_TID_MAX) + 1;
	e->foreign = NONE;
	e->random = seed != 0 ? seed : 1;
	e->peer = calloc(max_peer, sizeof(*e->peer));
	e->out = calloc(max_out, sizeof(*e->out));
	e->in = calloc(max_in, sizeof(*e->in));
	e->out_hash = malloc(out_size * sizeof(*e->out_hash));
	e->in_hash = malloc(in_size * sizeof(*e->in_hash));
	e->heap = calloc(ids, sizeof(*e->heap));
	e->heap_pos = malloc(ids * sizeof(*e->heap_pos));
	e->due_us = calloc(ids, sizeof(*e->due_us));
	if (e->peer == NULL || e->out == NULL || e->in == NULL || e->out_hash == NULL ||
	    e->in_hash == NULL || e->heap == NULL || e->heap_pos == NULL || e->due_us == NULL) {
		dp_txn_destroy(e);
		return NULL;
	}
	for (uint32_t i = 0; i < max_peer; i++) {
		e->peer[i].waiting = list_empty();
		e->peer[i].flying = list_empty();
		e->peer[i].in = list_empty();
	}
	for (uint32_t i = 0; i < max_out; i++)
		e->out[i].next = i + 1 < max_out ? i + 1 : NONE;
	/* Uses are counted from a random start: two engines' tokens do not meet (dp_txn_accept). */
	for (uint32_t i = 0; i < max_in; i++) {
		e->in[i].next = i + 1 < max_in ? i + 1 : NONE;
		e->in[i].gen = (uint32_t)(seed >> 32);
	}
	memset(e->out_hash, 0xff, out_size * sizeof(*e->out_hash));
	memset(e->in_hash, 0xff, in_size * sizeof(*e->in_hash));
	memset(e->heap_pos, 0xff, ids * sizeof(*e->heap_pos));
	return e;
}

void dp_txn_destroy(struct dp_txn *e)
{
	if (e == NULL)
		return;
	free(e->peer);
	free(e->out);
	free(e->in);
	free(e->out_hash);
	free(e->in_hash);
	free(e->heap);
	free(e->heap_pos);
	free(e->due_us);
	free(e);
}

void dp_txn_tids(struct dp_txn *e, uint32_t first, uint32_t last)
{
	e->first_tid = first;
	e->last_tid = last;
	e->next_tid = first + (uint32_t)(e->random % (last - first + 1));
}

/* Where in the range the clock is. */
static uint32_t wall_tid(const struct dp_txn *e, uint64_t wall_us)
{
	uint64_t n = (uint64_t)e->last_tid - e->first_tid + 1;

	return e->first_tid + (uint32_t)(wall_us % DP_TXN_TID_TURN_US * n / DP_TXN_TID_TURN_US);
}

void dp_txn_wall(struct dp_txn *e, uint64_t wall_us)
{
	e->wall_us = wall_us;
	e->base_us = 0;
	e->next_tid = wall_tid(e, wall_us);
}

/* Who sends little falls behind the clock, and catches up here; who sends more than it runs goes on ahead of it. */
static void tid_follow(struct dp_txn *e, uint64_t now_us)
{
	uint32_t n = e->last_tid - e->first_tid + 1, want;

	if (e->base_us == 0)
		e->base_us = now_us != 0 ? now_us : 1;
	want = wall_tid(e, e->wall_us + (now_us - e->base_us));
	if ((want + n - e->next_tid) % n < n / 2)
		e->next_tid = want;
}

void dp_txn_peer_reset(struct dp_txn *e, uint32_t peer)
{
	struct txn_peer *p = &e->peer[peer];

	while (p->waiting.head != NONE)
		dp_txn_out_end(e, p->waiting.head, (struct dp_txn_end){.rc = -ECANCELED});
	while (p->flying.head != NONE)
		dp_txn_out_end(e, p->flying.head, (struct dp_txn_end){.rc = -ECANCELED});
	while (p->in.head != NONE)
		dp_txn_in_free(e, p->in.head);
	p->srtt_us = 0;
	p->rttvar_us = 0;
	p->confirm_cnt = 0;
	p->no_confirm = false;
	p->hold_us = 0;
	p->hold_until_us = 0;
	timer_stop(e, peer_timer(e, peer));
}

uint64_t dp_txn_tick(struct dp_txn *e, uint64_t now_us)
{
	if (e->wall_us != 0)
		tid_follow(e, now_us);
	for (unsigned k = 0; k < DP_TXN_TICK_MAX && e->heap_cnt > 0; k++) {
		uint32_t id = e->heap[0];

		if (e->due_us[id] > now_us)
			break;
		if (id < e->max_out)
			dp_txn_out_due(e, id, now_us);
		else if (id < e->max_out + e->max_in)
			dp_txn_in_due(e, id - e->max_out, now_us);
		else
			dp_txn_hold_due(e, id - e->max_out - e->max_in, now_us);
	}
	return e->heap_cnt > 0 ? e->due_us[e->heap[0]] : UINT64_MAX;
}

void dp_txn_ahead(const struct dp_txn *e, uint32_t peer)
{
	const uint8_t *p = (const uint8_t *)&e->peer[peer];

	for (size_t at = 0; at < sizeof(struct txn_peer); at += 64)
		__builtin_prefetch(p + at);
}

uint32_t dp_txn_ahead_answer(const struct dp_txn *e, uint32_t tid, unsigned step)
{
	const uint32_t *chain = out_chain(e, tid);

	if (step == 0) {
		__builtin_prefetch(chain);
	} else if (*chain != NONE && step == 1) {
		__builtin_prefetch(&e->out[*chain], 1);
		__builtin_prefetch((const uint8_t *)&e->out[*chain] + 64, 1);
	} else if (step == 2) {
		return *chain;
	}
	return NONE;
}

uint32_t dp_txn_next(const struct dp_txn *e)
{
	return e->out_free;
}

uint32_t dp_txn_out_cnt(const struct dp_txn *e)
{
	return e->out_cnt;
}

uint32_t dp_txn_in_cnt(const struct dp_txn *e)
{
	return e->in_cnt;
}

uint32_t dp_txn_in_max(const struct dp_txn *e)
{
	return e->max_in;
}
