/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A shard goes from one worker to another while traffic flows: no packet is lost or overtakes another of its stream, no
 * object is used by two workers, no index twice. One move at a time. Who does what:
 *
 *     main lcore    TAKE to the new owner: it stops executing commands until all is there
 *                   the map says 'new owner'; NICs that steer by rule get the new rule
 *                   waits until every worker has begun a round after that (rte_rcu_qsbr)
 *                   GIVE to the old owner, behind all commands for the shard; what comes later goes to the new owner's ring
 *     others        hand the shard's packets to the new owner from the round on in which they see the map
 *     new owner     holds them back, in the order they came (dp_move_hold)
 *     old owner     until it has worked off what had been handed to it before GIVE, and what its receive queues had:
 *                   owns the shard as ever (dp_worker.own). Sent, all that is on its tx queues; then the shard is not its
 *                   own any more, and the objects go over in boxes, one per round: SAs, gateways with their transactions, the
 *                   stream tables of 128 legs each. Legs themselves lie in shared memory.
 *     new owner     empties the boxes, one per round; after the last one works off what it held back, then owns the shard
 *
 * So of the packets of one stream, which come in on one queue: those that its worker classified before the map changed are
 * processed, and sent, by the old owner before GIVE is done; all others by the new owner after that.
 *
 * The box is memory of the move that belongs to one side at a time ('turn'); nothing is allocated. A round takes or gives at
 * most one box, so the other shards of both workers do not wait for long. What finds no room among those held back is
 * dropped under DP_DROP_RING_FULL. While it gives, the old owner's MGCP timers stand still.
 */
#ifndef DP_MOVE_H
#define DP_MOVE_H

#include <stdbool.h>
#include <stdint.h>

#include "dp_msg.h"
#include "mgcp/deliver.h"

#define DP_MOVE_HOLD  4096 /* packets held back */
#define DP_MOVE_SAS   32   /* in a box */
#define DP_MOVE_PIECE 32
#define DP_MOVE_FREE  4    /* bursts of held packets worked off in a round */

struct dp_sa;
struct dp_worker;
struct rte_mbuf;

enum dp_move_turn { DP_MOVE_FROM, DP_MOVE_TO };
enum dp_move_what { DP_MOVE_BOX_SAS, DP_MOVE_BOX_GWS, DP_MOVE_BOX_LEGS, DP_MOVE_BOX_LAST };

struct dp_move {
	/* the main lcore's, before TAKE */
	uint8_t shard;
	uint16_t from, to;
	/* set by one side, awaited by another; atomic */
	uint32_t ready;  /* the new owner has executed TAKE */
	uint32_t done;   /* it owns the shard */
	uint32_t left;   /* the old owner has seen that */
	uint32_t turn;   /* whose the rest is: enum dp_move_turn */
	uint8_t what;    /* in the box: enum dp_move_what */
	uint16_t cnt;
	uint16_t addr;   /* BOX_LEGS: of this media address */
	uint32_t outs;   /* commands of MGCP that went over, in all */
	uint32_t gw_at;  /* the old owner's place */
	struct dp_sa *sa[DP_MOVE_SAS];
	struct dp_deliver_piece piece[DP_MOVE_PIECE];
	/* the new owner's */
	uint32_t held;   /* packets that waited, in all */
	uint32_t hold_at, hold_n;
	struct rte_mbuf *hold[DP_MOVE_HOLD];
};

/** TAKE and GIVE, executed. */
void dp_move_take(struct dp_worker *w);
void dp_move_give(struct dp_worker *w);

/** A packet of a shard that is not this worker's now: to its owner, or held back. Consumes it. */
void dp_move_pass(struct dp_worker *w, uint8_t shard, struct rte_mbuf *m);

/** MGCP in clear of a gateway that this worker does not know, but may be on its way: true if it was consumed. */
bool dp_move_clear(struct dp_worker *w, struct rte_mbuf *m);

/** Begin and end of a round while w->move is set: before anything is received, after all was sent. */
void dp_move_begin(struct dp_worker *w);
void dp_move_end(struct dp_worker *w);

/** 'n' packets came from the handoff ring of worker 'from', or from a device (0: it has none). The old owner. */
void dp_move_handed(struct dp_worker *w, uint16_t from, unsigned int n);
void dp_move_received(struct dp_worker *w, uint16_t port, unsigned int n);

/** Free what is held, wipe what may hold a key. After the workers' loops have ended. Takes NULL. */
void dp_move_fini(struct dp_move *mv);

#endif
