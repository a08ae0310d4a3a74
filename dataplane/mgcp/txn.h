/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MGCP transactions, RFC 3435 3.5 and 4.3, both roles, without the messages: the engine decides
 * when something is sent, repeated, given up or answered, its user builds and sends. One engine per
 * worker, one thread, no memory taken after create. Time (microseconds, monotonic) is an argument,
 * randomness a seed.
 *
 * Outgoing: a slot is taken, filled by the user (its array, same index), started. The engine queues
 * it behind commands with the same order key, keeps at most DP_TXN_WINDOW of a peer on their way
 * and DP_TXN_QUEUE waiting, gives it an identifier, has it transmitted at most DP_TXN_MAX2 times
 * (first after 200 ms, then by measured round trip and deviation, doubled, jittered, 4 s at most;
 * every LONGTRAN once a provisional answer came), and ends it exactly once: by the final answer,
 * T-MAX after the first transmission (after the last provisional answer, DP_TXN_LONG_MAX in all),
 * or what transmit() said. Answers are confirmed by the peer's next command (K:). osmo-mgw takes K:
 * for an invalid parameter: a peer that refuses such a command with 510, 511 or 539 gets it again
 * without, as a new transaction, and no K: from then on. With one address per gateway there is
 * nothing to look up after Max1: it is only counted (end.suspect).
 *
 * Incoming: at most once. A repeated identifier is answered from the cache (T-HIST after the
 * answer), unexecuted; while its command executes a repeat gets 100, and the final answer then asks
 * for 000 and is repeated until that comes. Peers that speak MGCP 0.1 know no 000: they get nothing
 * meanwhile. A command that nobody answers is forgotten T-HIST after it came. When more than half of
 * max_in is taken, a peer may have only its share of the rest.
 */
#ifndef DP_TXN_H
#define DP_TXN_H

#include <stdbool.h>
#include <stdint.h>

#include "msg.h"

#define DP_TXN_RTO_FIRST_US 200000u
#define DP_TXN_RTO_MIN_US   100000u
#define DP_TXN_VAR_MIN_US   50000u /* least room above the average round trip, and a quarter of it \
	                            */
#define DP_TXN_RTO_MAX_US   4000000u
#define DP_TXN_LONGTRAN_US  5000000u
#define DP_TXN_MAX1         5
#define DP_TXN_MAX2         7
#define DP_TXN_T_MAX_US     20000000u
#define DP_TXN_LONG_MAX_US  60000000u
#define DP_TXN_T_HIST_US    30000000u
#define DP_TXN_REUSE_US                                                                            \
	180000000u              /* an identifier is not used again within this time after its end */
#define DP_TXN_WINDOW      32   /* per peer, on their way */
#define DP_TXN_QUEUE       128  /* per peer, waiting */
#define DP_TXN_IN_MAX      1024 /* per peer, remembered incoming */
#define DP_TXN_IN_SHARE    16   /* of them a peer may have when there is little room, whatever the others have */
#define DP_TXN_CONFIRM_MAX 8    /* identifiers confirmed by one K: */
#define DP_TXN_TICK_MAX    64   /* timers handled per tick */
#define DP_TXN_HOLD_MIN_US 500000u  /* nothing new to a peer that said 409 (overload), doubled each time ... */
#define DP_TXN_HOLD_MAX_US 8000000u /* ... up to this; a success ends it */
#define DP_TXN_TID_TURN_US 300000000u /* with a wall clock: identifiers go round in so long */
#define DP_TXN_NONE        UINT32_MAX

struct dp_txn;

struct dp_txn_end {
	int rc; /* 0: answered, see code; -ETIMEDOUT, -ECANCELED, or what transmit() returned */
	uint16_t code; /* final response code */
	bool suspect;  /* more than Max1 transmissions were needed */
	uint32_t tid;
	uint32_t tries;
	uint32_t rtt_us;    /* first transmission to answer; 0 without one */
	const void *answer; /* what was given to dp_txn_answer; NULL without one */
};

/* None of them may call back into the engine. */
struct dp_txn_ops {
	/*
	 * Transmit outgoing command 'slot' under 'tid', confirming n identifiers (K:). 'try' counts
	 * from 1. 0; -EAGAIN: lost on the way, the timer repeats it; any other negative errno ends
	 * the transaction with it.
	 */
	int (*transmit)(void *ctx, uint32_t peer, uint32_t slot, uint32_t tid, uint32_t try,
	                const struct dp_mgcp_range *confirm, uint16_t n);
	/* The end of an outgoing command, exactly once per start; the slot is the engine's again
	 * afterwards. */
	void (*end)(void *ctx, uint32_t peer, uint32_t slot, const struct dp_txn_end *end);
	/*
	 * Send a response: final, provisional (100) or acknowledgement (000); 'ask': with an empty
	 * K:. 'in' is the incoming slot, DP_TXN_NONE for 000. Losing it is allowed.
	 */
	void (*respond)(void *ctx, uint32_t peer, uint32_t in, uint32_t tid, uint16_t code,
	                bool ask);
};

/** 'max_out' commands at once, waiting ones included; 'max_in' remembered. NULL: no memory. */
struct dp_txn *dp_txn_create(const struct dp_txn_ops *ops, void *ctx, uint32_t max_peer,
                             uint32_t max_out, uint32_t max_in, uint64_t seed);
void dp_txn_destroy(struct dp_txn *e);

/* --- outgoing --- */

/** Take a slot for a command to 'peer' (below max_peer). -ENOSPC: pool or the peer's queue is full.
 */
int dp_txn_take(struct dp_txn *e, uint32_t peer, uint32_t *ret_slot);

/** Give back a slot that was not started. */
void dp_txn_put(struct dp_txn *e, uint32_t slot);

/**
 * Start a taken slot. Commands of one peer with the same 'order' (a hash of endpoint and kind; 0:
 * none) run one after the other in the order of their start. transmit() and end() may be called
 * from within.
 */
void dp_txn_start(struct dp_txn *e, uint32_t slot, uint64_t order, uint64_t now_us);

/**
 * A response arrived from 'peer'. 'ask': it has an empty K:. 'answer' is handed to end(). 0: used;
 * -ENOENT: no such transaction of that peer (a late repeat; 000 is sent all the same if asked for).
 */
int dp_txn_answer(struct dp_txn *e, uint32_t peer, uint32_t tid, uint16_t code, bool ask,
                  const void *answer, uint64_t now_us);

/* --- incoming --- */

enum dp_txn_seen {
	DP_TXN_NEW,      /* execute it: *ret_in, then dp_txn_respond or dp_txn_forget */
	DP_TXN_REPEATED, /* done with: answered from the cache, 100, or nothing */
	DP_TXN_FULL,     /* no room to remember it: drop it, its repeat may find some */
};

/** A command 'tid' arrived from 'peer'. 'provisional': the peer knows 100 and 000. */
enum dp_txn_seen dp_txn_command(struct dp_txn *e, uint32_t peer, uint32_t tid, bool provisional,
                                uint64_t now_us, uint32_t *ret_in);

/** Final answer of an executing command. -ENOENT: 'in' is not executing. */
int dp_txn_respond(struct dp_txn *e, uint32_t in, uint16_t code, uint64_t now_us);

/** Forget an executing command unanswered: its repeat is new. */
void dp_txn_forget(struct dp_txn *e, uint32_t in);

/** Token of an executing command: the use of the engine's slot, and the slot. Bits 24 to 31 are zero; never 0. */
static inline uint64_t dp_txn_token_of(uint32_t in, uint32_t gen)
{
	return (uint64_t)gen << 32 | (in + 1);
}

/** True while 'in' executes, and did not come from another engine; changes with each use of the slot: 'gen' tells uses apart. */
bool dp_txn_executing(const struct dp_txn *e, uint32_t in, uint32_t *ret_gen, uint32_t *ret_peer);

/** The peer confirmed responses (K: of a command, or 000). */
void dp_txn_confirmed(struct dp_txn *e, uint32_t peer, const struct dp_mgcp_range *range,
                      uint16_t n, uint64_t now_us);

/* --- going over to another engine --- */

/* What is known of a peer itself. */
struct dp_txn_peer {
	uint32_t srtt_us, rttvar_us;
	uint32_t confirm_cnt;
	uint32_t confirm[DP_TXN_CONFIRM_MAX];
	bool no_confirm;
	uint32_t hold_us; /* back-off of a peer that is overloaded; 0: it is not */
	uint64_t hold_until_us;
};

/* A command on its way, waiting, or remembered. Of one struct, so that it can lie in a box. */
struct dp_txn_rec {
	enum { DP_TXN_REC_FLYING, DP_TXN_REC_WAITING, DP_TXN_REC_IN } kind;
	uint32_t tid;
	uint64_t due_us; /* of its timer; waiting ones have none */
	uint64_t order;  /* outgoing; the hash may be keyed: the receiver puts in its own */
	uint64_t first_us, give_up_us;
	uint64_t hist_us, token; /* incoming */
	uint32_t tries, rto_us;
	uint16_t code, confirm_cnt;
	bool provisional, executing, ask, confirmed;
	struct dp_mgcp_range confirm[DP_TXN_CONFIRM_MAX];
};

void dp_txn_peer_get(const struct dp_txn *e, uint32_t peer, struct dp_txn_peer *ret);
void dp_txn_peer_set(struct dp_txn *e, uint32_t peer, const struct dp_txn_peer *from);

/**
 * Take the peer's next record out: those on their way, then the waiting ones, then what is remembered of the
 * peer, each oldest first. Nothing ends and nothing is sent. *ret_slot: outgoing slot it had. False: none is left.
 */
bool dp_txn_give(struct dp_txn *e, uint32_t peer, struct dp_txn_rec *ret, uint32_t *ret_slot);

/**
 * Put a record of another engine in, in the order that dp_txn_give() had; both have the same clock, and identifiers of
 * their own (dp_txn_tids()). 'token' names an executing command to its executor, see dp_txn_token(). -ENOSPC.
 */
int dp_txn_accept(struct dp_txn *e, uint32_t peer, const struct dp_txn_rec *rec, uint32_t *ret_slot);

/** Start what of the peer's queue may start: after the last record. */
void dp_txn_kick(struct dp_txn *e, uint32_t peer, uint64_t now_us);

/** The executing command that came with this token from another engine; DP_TXN_NONE: there is none. */
uint32_t dp_txn_token(const struct dp_txn *e, uint64_t token);

/** Identifiers are drawn from [first, last] only. Before the first command. */
void dp_txn_tids(struct dp_txn *e, uint32_t first, uint32_t last);

/**
 * Identifiers follow the wall clock, which shows 'wall_us' at the first tick: they go round once in DP_TXN_TID_TURN_US, wherever a
 * process before this one had stopped. So none comes again within DP_TXN_REUSE_US of its end, over restarts too and without anything
 * stored, as long as the clock is not set back meanwhile and no more than a range's size go out in that time (3.3 million a
 * second of all engines together). After dp_txn_tids().
 */
void dp_txn_wall(struct dp_txn *e, uint64_t wall_us);

/* --- both --- */

/** End all of a peer's commands with -ECANCELED, forget all it sent and its round trip. */
void dp_txn_peer_reset(struct dp_txn *e, uint32_t peer);

/** Handle at most DP_TXN_TICK_MAX timers that are due; returns when the next is (UINT64_MAX: none).
 */
uint64_t dp_txn_tick(struct dp_txn *e, uint64_t now_us);

/** Ask the cache for what is known of a peer, which a command to it or a message of it is going to need. */
void dp_txn_ahead(const struct dp_txn *e, uint32_t peer);

/**
 * And for what an answer with this identifier is going to need, step after step: 0 and 1 ask, 2 says which slot that may be, or
 * DP_TXN_NONE. A hint: nothing is compared.
 */
uint32_t dp_txn_ahead_answer(const struct dp_txn *e, uint32_t tid, unsigned step);

/** The slot that dp_txn_take() gives next, or DP_TXN_NONE. */
uint32_t dp_txn_next(const struct dp_txn *e);

/** Taken outgoing slots; remembered incoming ones. */
uint32_t dp_txn_out_cnt(const struct dp_txn *e);
uint32_t dp_txn_in_cnt(const struct dp_txn *e);
uint32_t dp_txn_in_max(const struct dp_txn *e);

#endif
