/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of the transaction engine: txn.c has its tables and clock, txn_out.c what we ask and repeat, txn_in.c what we were asked and answered
 * once, txn_move.c the way of both to another engine. What each message needs is inline. Private to txn*.c.
 */
#ifndef DP_TXN_INT_H
#define DP_TXN_INT_H

#include "txn.h"

#define NONE DP_TXN_NONE

enum txn_out_state { OUT_FREE, OUT_TAKEN, OUT_WAITING, OUT_FLYING };
enum txn_in_state { IN_FREE, IN_EXECUTING, IN_ANSWERED };

struct txn_out {
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
	bool provisional; /* 1xx came: LONGTRAN instead of rto_us, repeats not counted against Max2 */
	uint16_t confirm_cnt;
	struct dp_mgcp_range confirm[DP_TXN_CONFIRM_MAX]; /* repeats are the same message */
};

struct txn_in {
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

struct txn_list {
	uint32_t head, tail, n;
};

struct txn_peer {
	struct txn_list waiting, flying, in;
	uint32_t srtt_us; /* 0: not measured yet */
	uint32_t rttvar_us;
	uint32_t confirm_cnt;
	uint32_t confirm[DP_TXN_CONFIRM_MAX]; /* answers seen, to be confirmed by the next command */
	bool no_confirm;                      /* it refused a K: */
	uint32_t hold_us;                     /* it said 409: nothing new before hold_until_us */
	uint64_t hold_until_us;
};

struct dp_txn {
	struct dp_txn_ops ops;
	void *ctx;
	uint32_t max_peer, max_out, max_in;
	uint32_t out_free, in_free, out_cnt, in_cnt;
	uint32_t in_peers; /* of which something is remembered */
	uint32_t next_tid, first_tid, last_tid;
	uint32_t foreign; /* head of the list of executing commands that came from another engine */
	uint64_t random;
	uint64_t wall_us; /* at base_us; 0: identifiers do not follow a clock */
	uint64_t base_us; /* of the first tick; 0: none was */
	struct txn_peer *peer;
	struct txn_out *out;
	struct txn_in *in;
	uint32_t *out_hash, *in_hash; /* heads of chains; sizes are powers of two */
	uint32_t hash_mask, in_mask;
	/* timers: a binary heap of identifiers (out: slot; in: max_out + slot; peer: max_out + max_in + peer), the earliest first */
	uint32_t *heap, *heap_pos;
	uint64_t *due_us;
	uint32_t heap_cnt;
};

/* --- timers --- */

static inline void heap_set(struct dp_txn *e, uint32_t pos, uint32_t id)
{
	e->heap[pos] = id;
	e->heap_pos[id] = pos;
}

static inline void heap_fix(struct dp_txn *e, uint32_t pos)
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

static inline void timer_set(struct dp_txn *e, uint32_t id, uint64_t due_us)
{
	e->due_us[id] = due_us;
	if (e->heap_pos[id] == NONE)
		heap_set(e, e->heap_cnt++, id);
	heap_fix(e, e->heap_pos[id]);
}

static inline void timer_stop(struct dp_txn *e, uint32_t id)
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
static inline uint64_t jitter(struct dp_txn *e, uint32_t us)
{
	e->random ^= e->random << 13;
	e->random ^= e->random >> 7;
	e->random ^= e->random << 17;
	return us - us / 8 + (e->random >> 32) * (us / 4) / UINT32_MAX;
}

static inline uint32_t doubled(uint32_t rto_us)
{
	return rto_us >= DP_TXN_RTO_MAX_US / 2 ? DP_TXN_RTO_MAX_US : 2 * rto_us;
}

static inline uint32_t peer_timer(const struct dp_txn *e, uint32_t peer)
{
	return e->max_out + e->max_in + peer;
}

/* --- lists and hashes --- */

#define LIST_FUNCS(kind)								\
	static inline void kind##_append(struct dp_txn *e, struct txn_list *l, uint32_t i)\
	{										\
		e->kind[i].prev = l->tail;						\
		e->kind[i].next = NONE;							\
		if (l->tail != NONE)							\
			e->kind[l->tail].next = i;					\
		else									\
			l->head = i;							\
		l->tail = i;								\
		l->n++;									\
	}										\
	static inline void kind##_remove(struct dp_txn *e, struct txn_list *l, uint32_t i)\
	{										\
		if (e->kind[i].prev != NONE)						\
			e->kind[e->kind[i].prev].next = e->kind[i].next;		\
		else									\
			l->head = e->kind[i].next;					\
		if (e->kind[i].next != NONE)						\
			e->kind[e->kind[i].next].prev = e->kind[i].prev;		\
		else									\
			l->tail = e->kind[i].prev;					\
		l->n--;									\
	}
LIST_FUNCS(out)
LIST_FUNCS(in)

/* Identifiers of ours are handed out one after the other: their low bits spread well by themselves. */
static inline uint32_t *out_chain(const struct dp_txn *e, uint32_t tid)
{
	return &e->out_hash[tid & e->hash_mask];
}

static inline uint32_t *in_chain(const struct dp_txn *e, uint32_t peer, uint32_t tid)
{
	uint64_t h = ((uint64_t)peer << 32 | tid) * 0x9e3779b97f4a7c15ull;

	return &e->in_hash[(uint32_t)(h >> 32) & e->in_mask];
}

static inline uint32_t out_find(const struct dp_txn *e, uint32_t tid)
{
	uint32_t i = *out_chain(e, tid);

	while (i != NONE && e->out[i].tid != tid)
		i = e->out[i].hnext;
	return i;
}

static inline uint32_t in_find(const struct dp_txn *e, uint32_t peer, uint32_t tid)
{
	uint32_t i = *in_chain(e, peer, tid);

	while (i != NONE && (e->in[i].tid != tid || e->in[i].peer != peer))
		i = e->in[i].hnext;
	return i;
}

static inline void out_free(struct dp_txn *e, uint32_t i)
{
	e->out[i].state = OUT_FREE;
	e->out[i].next = e->out_free;
	e->out_free = i;
	e->out_cnt--;
}

static inline void out_unhash(struct dp_txn *e, uint32_t i)
{
	uint32_t *link = out_chain(e, e->out[i].tid);

	while (*link != i)
		link = &e->out[*link].hnext;
	*link = e->out[i].hnext;
}

/* --- txn_out.c --- */

/** Unlink, report, free. Does not start what waited: the caller kicks the peer's queue. */
void dp_txn_out_end(struct dp_txn *e, uint32_t i, struct dp_txn_end end);
/** Its timer is due. */
void dp_txn_out_due(struct dp_txn *e, uint32_t i, uint64_t now_us);
/** The peer may be asked again. */
void dp_txn_hold_due(struct dp_txn *e, uint32_t peer, uint64_t now_us);

/* --- txn_in.c --- */

/** An executing command without a timer; NONE: no room. */
uint32_t dp_txn_in_new(struct dp_txn *e, uint32_t peer, uint32_t tid);
void dp_txn_in_free(struct dp_txn *e, uint32_t i);
void dp_txn_in_due(struct dp_txn *e, uint32_t i, uint64_t now_us);

#endif
