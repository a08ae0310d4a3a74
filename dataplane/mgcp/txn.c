/* SPDX-License-Identifier: BSD-3-Clause */
#include "txn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NONE DP_TXN_NONE

enum out_state { OUT_FREE, OUT_TAKEN, OUT_WAITING, OUT_FLYING };
enum in_state { IN_FREE, IN_EXECUTING, IN_ANSWERED };

struct out {
	uint64_t order;
	uint64_t first_us; /* first transmission */
	uint64_t give_up_us;
	uint32_t peer;
	uint32_t tid;
	uint32_t tries;
	uint32_t rto_us;     /* of the try that is out */
	uint32_t prev, next; /* the peer's waiting or flying list; free list by next */
	uint32_t hnext;
	uint8_t state;
	bool provisional; /* 1xx came: LONGTRAN instead of rto_us, repeats not counted against Max2
	                   */
	uint16_t confirm_cnt;
	struct dp_mgcp_range confirm[DP_TXN_CONFIRM_MAX]; /* repeats are the same message */
};

struct in {
	uint64_t hist_us; /* remembered until */
	uint32_t peer;
	uint32_t tid;
	uint32_t gen;
	uint32_t rto_us;
	uint32_t prev, next; /* the peer's list; free list by next */
	uint32_t hnext;
	uint16_t code;
	uint8_t state;
	uint8_t tries; /* of a final answer that asks for 000 */
	bool ask;      /* 100 was sent: the final answer asks for 000 */
	bool confirmed;
	uint64_t token;  /* executing, and came from another engine: its name there; else 0 */
	uint32_t foreign; /* the next one with a token */
};

struct list {
	uint32_t head, tail, n;
};

struct peer {
	struct list waiting, flying, in;
	uint32_t srtt_us; /* 0: not measured yet */
	uint32_t rttvar_us;
	uint32_t confirm_cnt;
	uint32_t
		confirm[DP_TXN_CONFIRM_MAX]; /* answers seen, to be confirmed by the next command */
	bool no_confirm;                     /* it refused a K: */
};

struct dp_txn {
	struct dp_txn_ops ops;
	void *ctx;
	uint32_t max_peer, max_out, max_in;
	uint32_t out_free, in_free, out_cnt, in_cnt;
	uint32_t next_tid, first_tid, last_tid;
	uint32_t foreign; /* head of the list of executing commands that came from another engine */
	uint64_t random;
	struct peer *peer;
	struct out *out;
	struct in *in;
	uint32_t *out_hash, *in_hash; /* heads of chains; sizes are powers of two */
	uint32_t hash_mask, in_mask;
	/* timers: a binary heap of identifiers (out: slot; in: max_out + slot), the earliest first
	 */
	uint32_t *heap, *heap_pos;
	uint64_t *due_us;
	uint32_t heap_cnt;
};

/* --- timers --- */

static void heap_set(struct dp_txn *e, uint32_t pos, uint32_t id)
{
	e->heap[pos] = id;
	e->heap_pos[id] = pos;
}

static void heap_fix(struct dp_txn *e, uint32_t pos)
{
	uint32_t id = e->heap[pos];

	while (pos > 0 && e->due_us[id] < e->due_us[e->heap[(pos - 1) / 2]]) {
		heap_set(e, pos, e->heap[(pos - 1) / 2]);
		pos = (pos - 1) / 2;
	}
	for (;;) {
		uint32_t child = 2 * pos + 1;

		if (child >= e->heap_cnt)
			break;
		if (child + 1 < e->heap_cnt &&
		    e->due_us[e->heap[child + 1]] < e->due_us[e->heap[child]])
			child++;
		if (e->due_us[id] <= e->due_us[e->heap[child]])
			break;
		heap_set(e, pos, e->heap[child]);
		pos = child;
	}
	heap_set(e, pos, id);
}

static void timer_set(struct dp_txn *e, uint32_t id, uint64_t due_us)
{
	e->due_us[id] = due_us;
	if (e->heap_pos[id] == NONE)
		heap_set(e, e->heap_cnt++, id);
	heap_fix(e, e->heap_pos[id]);
}

static void timer_stop(struct dp_txn *e, uint32_t id)
{
	uint32_t pos = e->heap_pos[id];

	if (pos == NONE)
		return;
	e->heap_pos[id] = NONE;
	if (pos == --e->heap_cnt)
		return;
	heap_set(e, pos, e->heap[e->heap_cnt]);
	heap_fix(e, pos);
}

/* us, an eighth more or less */
static uint64_t jitter(struct dp_txn *e, uint32_t us)
{
	e->random ^= e->random << 13;
	e->random ^= e->random >> 7;
	e->random ^= e->random << 17;
	return us - us / 8 + (e->random >> 32) * (us / 4) / UINT32_MAX;
}

static uint32_t doubled(uint32_t rto_us)
{
	return rto_us >= DP_TXN_RTO_MAX_US / 2 ? DP_TXN_RTO_MAX_US : 2 * rto_us;
}

/* --- lists and hashes --- */

#define LIST_FUNCS(kind)                                                                           \
	static void kind##_append(struct dp_txn *e, struct list *l, uint32_t i)                    \
	{                                                                                          \
		e->kind[i].prev = l->tail;                                                         \
		e->kind[i].next = NONE;                                                            \
		if (l->tail != NONE)                                                               \
			e->kind[l->tail].next = i;                                                 \
		else                                                                               \
			l->head = i;                                                               \
		l->tail = i;                                                                       \
		l->n++;                                                                            \
	}                                                                                          \
	static void kind##_remove(struct dp_txn *e, struct list *l, uint32_t i)                    \
	{                                                                                          \
		if (e->kind[i].prev != NONE)                                                       \
			e->kind[e->kind[i].prev].next = e->kind[i].next;                           \
		else                                                                               \
			l->head = e->kind[i].next;                                                 \
		if (e->kind[i].next != NONE)                                                       \
			e->kind[e->kind[i].next].prev = e->kind[i].prev;                           \
		else                                                                               \
			l->tail = e->kind[i].prev;                                                 \
		l->n--;                                                                            \
	}
LIST_FUNCS(out)
LIST_FUNCS(in)

/* Identifiers of ours are handed out one after the other: their low bits spread well by themselves.
 */
static uint32_t *out_chain(const struct dp_txn *e, uint32_t tid)
{
	return &e->out_hash[tid & e->hash_mask];
}

static uint32_t *in_chain(const struct dp_txn *e, uint32_t peer, uint32_t tid)
{
	uint64_t h = ((uint64_t)peer << 32 | tid) * 0x9e3779b97f4a7c15ull;

	return &e->in_hash[(uint32_t)(h >> 32) & e->in_mask];
}

static uint32_t out_find(const struct dp_txn *e, uint32_t tid)
{
	uint32_t i = *out_chain(e, tid);

	while (i != NONE && e->out[i].tid != tid)
		i = e->out[i].hnext;
	return i;
}

static uint32_t in_find(const struct dp_txn *e, uint32_t peer, uint32_t tid)
{
	uint32_t i = *in_chain(e, peer, tid);

	while (i != NONE && (e->in[i].tid != tid || e->in[i].peer != peer))
		i = e->in[i].hnext;
	return i;
}

/* --- create, destroy --- */

static uint32_t pow2_above(uint32_t n)
{
	uint32_t p = 16;

	while (p < n && p < 1u << 30)
		p *= 2;
	return p;
}

static struct list list_empty(void)
{
	return (struct list){NONE, NONE, 0};
}

struct dp_txn *dp_txn_create(const struct dp_txn_ops *ops, void *ctx, uint32_t max_peer,
                             uint32_t max_out, uint32_t max_in, uint64_t seed)
{
	struct dp_txn *e = NULL;
	uint32_t ids = max_out + max_in, out_size = pow2_above(2 * max_out),
		 in_size = pow2_above(2 * max_in);

	if (max_peer == 0 || max_out == 0 || max_in == 0 || max_out >= 1u << 24 ||
	    max_in >= 1u << 24)
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

/* --- outgoing --- */

int dp_txn_take(struct dp_txn *e, uint32_t peer, uint32_t *ret_slot)
{
	uint32_t i = e->out_free;

	if (i == NONE || e->peer[peer].waiting.n >= DP_TXN_QUEUE)
		return -ENOSPC;
	e->out_free = e->out[i].next;
	memset(&e->out[i], 0, sizeof(e->out[i]));
	e->out[i].peer = peer;
	e->out[i].state = OUT_TAKEN;
	e->out_cnt++;
	*ret_slot = i;
	return 0;
}

static void out_free(struct dp_txn *e, uint32_t i)
{
	e->out[i].state = OUT_FREE;
	e->out[i].next = e->out_free;
	e->out_free = i;
	e->out_cnt--;
}

void dp_txn_put(struct dp_txn *e, uint32_t slot)
{
	if (slot < e->max_out && e->out[slot].state == OUT_TAKEN)
		out_free(e, slot);
}

static void out_unhash(struct dp_txn *e, uint32_t i)
{
	uint32_t *link = out_chain(e, e->out[i].tid);

	while (*link != i)
		link = &e->out[*link].hnext;
	*link = e->out[i].hnext;
}

/* Unlink, report, free. Does not start what waited: the caller kicks the peer's queue. */
static void out_end(struct dp_txn *e, uint32_t i, struct dp_txn_end end)
{
	struct out *o = &e->out[i];
	struct peer *p = &e->peer[o->peer];

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
	struct out *o = &e->out[i];
	uint64_t due_us;
	int rc;

	o->tries++;
	rc = e->ops.transmit(e->ctx, o->peer, i, o->tid, o->tries, o->confirm, o->confirm_cnt);
	if (rc != 0 && rc != -EAGAIN) {
		out_end(e, i, (struct dp_txn_end){.rc = rc});
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
static uint32_t peer_rto(const struct peer *p)
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
static void peer_measure(struct peer *p, uint32_t rtt_us)
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
static void take_confirms(struct peer *p, struct out *o)
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
	struct out *o = &e->out[i];

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
	struct out *o = &e->out[i];
	struct peer *p = &e->peer[o->peer];

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
static void kick(struct dp_txn *e, uint32_t peer, uint64_t now_us)
{
	struct peer *p = &e->peer[peer];
	struct keyset busy;
	uint32_t i, next;

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
	struct out *o = &e->out[slot];

	if (slot >= e->max_out || o->state != OUT_TAKEN)
		return;
	o->order = order;
	o->state = OUT_WAITING;
	out_append(e, &e->peer[o->peer].waiting, slot);
	kick(e, o->peer, now_us);
}

int dp_txn_answer(struct dp_txn *e, uint32_t peer, uint32_t tid, uint16_t code, bool ask,
                  const void *answer, uint64_t now_us)
{
	uint32_t i = out_find(e, tid);
	struct peer *p = &e->peer[peer];
	struct out *o;
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
			kick(e, peer, now_us);
		return 0;
	}
	out_end(e, i, (struct dp_txn_end){.code = code, .rtt_us = rtt_us, .answer = answer});
	kick(e, peer, now_us);
	return 0;
}

static void out_due(struct dp_txn *e, uint32_t i, uint64_t now_us)
{
	struct out *o = &e->out[i];
	uint32_t peer = o->peer;

	if (now_us >= o->give_up_us) {
		out_end(e, i, (struct dp_txn_end){.rc = -ETIMEDOUT});
		kick(e, peer, now_us);
		return;
	}
	o->rto_us = doubled(o->rto_us);
	if (!out_transmit(e, i, now_us))
		kick(e, peer, now_us);
}

/* --- incoming --- */

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

static void in_free(struct dp_txn *e, uint32_t i)
{
	struct in *n = &e->in[i];
	uint32_t *link = in_chain(e, n->peer, n->tid);

	in_own(e, i);

	timer_stop(e, e->max_out + i);
	while (*link != i)
		link = &e->in[*link].hnext;
	*link = n->hnext;
	in_remove(e, &e->peer[n->peer].in, i);
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

/* An executing command without a timer; NONE: no room. */
static uint32_t in_new(struct dp_txn *e, uint32_t peer, uint32_t tid)
{
	uint32_t i = e->in_free, gen;
	struct in *n;

	if (i == NONE || e->peer[peer].in.n >= DP_TXN_IN_MAX)
		return NONE;
	n = &e->in[i];
	e->in_free = n->next;
	gen = n->gen;
	*n = (struct in){.peer = peer, .tid = tid, .gen = gen, .state = IN_EXECUTING};
	n->hnext = *in_chain(e, peer, tid);
	*in_chain(e, peer, tid) = i;
	in_append(e, &e->peer[peer].in, i);
	e->in_cnt++;
	return i;
}

enum dp_txn_seen dp_txn_command(struct dp_txn *e, uint32_t peer, uint32_t tid, bool provisional,
                                uint64_t now_us, uint32_t *ret_in)
{
	uint32_t i = in_find(e, peer, tid);

	if (i != NONE) {
		struct in *n = &e->in[i];

		if (n->state == IN_ANSWERED && !n->confirmed) {
			in_respond(e, i);
		} else if (n->state == IN_EXECUTING && provisional) {
			n->ask = true;
			e->ops.respond(e->ctx, peer, i, tid, 100, false);
		}
		return DP_TXN_REPEATED;
	}
	i = in_new(e, peer, tid);
	if (i == NONE)
		return DP_TXN_FULL;
	timer_set(e, e->max_out + i, now_us + DP_TXN_T_HIST_US);
	*ret_in = i;
	return DP_TXN_NEW;
}

int dp_txn_respond(struct dp_txn *e, uint32_t in, uint16_t code, uint64_t now_us)
{
	struct in *n = &e->in[in];

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
		in_free(e, in);
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
	struct in *n = &e->in[i];

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

static void in_due(struct dp_txn *e, uint32_t i, uint64_t now_us)
{
	struct in *n = &e->in[i];

	if (n->state == IN_EXECUTING || now_us >= n->hist_us) {
		in_free(e, i);
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

/* --- going over to another engine --- */

void dp_txn_peer_get(const struct dp_txn *e, uint32_t peer, struct dp_txn_peer *ret)
{
	const struct peer *p = &e->peer[peer];

	*ret = (struct dp_txn_peer){p->srtt_us, p->rttvar_us, p->confirm_cnt, {0}, p->no_confirm};
	memcpy(ret->confirm, p->confirm, sizeof(ret->confirm));
}

void dp_txn_peer_set(struct dp_txn *e, uint32_t peer, const struct dp_txn_peer *from)
{
	struct peer *p = &e->peer[peer];

	p->srtt_us = from->srtt_us;
	p->rttvar_us = from->rttvar_us;
	p->confirm_cnt = from->confirm_cnt;
	memcpy(p->confirm, from->confirm, sizeof(p->confirm));
	p->no_confirm = from->no_confirm;
}

static void out_give(struct dp_txn *e, uint32_t i, struct dp_txn_rec *ret)
{
	struct out *o = &e->out[i];
	struct peer *p = &e->peer[o->peer];
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
	struct peer *p = &e->peer[peer];
	uint32_t i = p->flying.head != NONE ? p->flying.head : p->waiting.head;
	const struct in *n;

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
	in_free(e, i);
	return true;
}

static int in_accept(struct dp_txn *e, uint32_t peer, const struct dp_txn_rec *rec)
{
	uint32_t i = in_find(e, peer, rec->tid) == NONE ? in_new(e, peer, rec->tid) : NONE;
	struct in *n;

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
	struct peer *p = &e->peer[peer];
	uint32_t i = e->out_free;
	struct out *o;

	*ret_slot = NONE;
	if (rec->kind == DP_TXN_REC_IN)
		return in_accept(e, peer, rec);
	if (i == NONE)
		return -ENOSPC;
	o = &e->out[i];
	e->out_free = o->next;
	*o = (struct out){.order = rec->order,
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

void dp_txn_kick(struct dp_txn *e, uint32_t peer, uint64_t now_us)
{
	kick(e, peer, now_us);
}

uint32_t dp_txn_token(const struct dp_txn *e, uint64_t token)
{
	uint32_t i = e->foreign;

	while (i != NONE && e->in[i].token != token)
		i = e->in[i].foreign;
	return i;
}

void dp_txn_tids(struct dp_txn *e, uint32_t first, uint32_t last)
{
	e->first_tid = first;
	e->last_tid = last;
	e->next_tid = first + (uint32_t)(e->random % (last - first + 1));
}

/* --- both --- */

void dp_txn_peer_reset(struct dp_txn *e, uint32_t peer)
{
	struct peer *p = &e->peer[peer];

	while (p->waiting.head != NONE)
		out_end(e, p->waiting.head, (struct dp_txn_end){.rc = -ECANCELED});
	while (p->flying.head != NONE)
		out_end(e, p->flying.head, (struct dp_txn_end){.rc = -ECANCELED});
	while (p->in.head != NONE)
		in_free(e, p->in.head);
	p->srtt_us = 0;
	p->rttvar_us = 0;
	p->confirm_cnt = 0;
	p->no_confirm = false;
}

uint64_t dp_txn_tick(struct dp_txn *e, uint64_t now_us)
{
	for (unsigned k = 0; k < DP_TXN_TICK_MAX && e->heap_cnt > 0; k++) {
		uint32_t id = e->heap[0];

		if (e->due_us[id] > now_us)
			break;
		if (id < e->max_out)
			out_due(e, id, now_us);
		else
			in_due(e, id - e->max_out, now_us);
	}
	return e->heap_cnt > 0 ? e->due_us[e->heap[0]] : UINT64_MAX;
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
