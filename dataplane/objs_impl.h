/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the main lcore's object table (objs.h) share: objs.c has the table, its free objects and the way of a
 * command; objs_set.c what messages do to objects; objs_evt.c what comes back: events, ageing, counters, neighbours;
 * objs_move.c moves shards.
 */
#ifndef DP_OBJS_IMPL_H
#define DP_OBJS_IMPL_H

#include <stddef.h>

#include <rte_cycles.h>

#include "objs.h"
#include "worker.h"

#define DP_OBJS_DETAIL(type, field) ((uint32_t)offsetof(struct type, field))

#define CMDS     (DP_CMD_DEPTH - 1)
#define HELD_MAX (DP_EVT_DEPTH - 1) /* all there are: nothing is dropped while a controlplane is connected */
#define NO_SLOT  0xffffffu

/* By leg identifier: record in the low 24 bits, epoch's number in the high 8 (0: no such leg). */
static inline uint32_t dp_objs_leg_entry(uint32_t slot, uint8_t gen)
{
	return (uint32_t)gen << 24 | slot;
}

struct sa_rec {
	uint8_t gen; /* 0: none */
	uint8_t shard;
	uint8_t dir;
	uint32_t spi;
	struct dp_sa *last; /* handed to the worker last: for the counter page */
};

struct per_worker {
	struct dp_cmd *mem;
	struct dp_cmd *free[CMDS];
	uint32_t free_cnt;
	struct dp_evt *held[HELD_MAX]; /* events that the controlplane could not take yet, oldest first */
	uint32_t held_at, held_cnt;
	int32_t mgcp_open; /* accepted MGCP commands whose result has not been passed on */
};

/* The one move of a shard that there may be at a time. */
enum dp_objs_move_state { DP_OBJS_MOVE_NONE, DP_OBJS_MOVE_TAKE, DP_OBJS_MOVE_GIVE, DP_OBJS_MOVE_TELL };

struct dp_objs_move {
	uint8_t state; /* enum dp_objs_move_state */
	uint16_t from, to;
	uint32_t shard;
	uint64_t start_cyc;
	struct dp_shard_moved ev; /* TELL: what the controlplane has to be told */
};

struct dp_objs {
	struct dp_node *node;
	struct dp_objs_sink sink;
	struct dp_mb *mb; /* the main lcore's */
	struct dp_neigh *neigh;
	struct dp_see *see; /* captures and the trace */
	uint64_t epoch;
	uint8_t gen;
	bool sweeping; /* a SWEEP met a full ring */
	uint32_t swept_legs, swept_sas, swept_gws;
	uint64_t publish_ms, tick_ms, page_ms;
	uint32_t leg_at; /* record that dp_objs_legs() goes on with */
	uint32_t leg_cnt, sa_cnt, gw_cnt;
	uint32_t leg_top; /* records ever used are below */
	uint32_t *leg;    /* by identifier: dp_objs_leg_entry() */
	uint32_t leg_free, leg_fresh; /* list of used ones (through tx.leg_id), then never used ones */
	struct dp_srtp_key *key_mem, *key_free;
	uint32_t key_fresh, key_max;
	struct dp_due *ends; /* legs: when keys that were replaced are to go */
	uint16_t *ssrcs;     /* by leg identifier: how many it may have */
	struct dp_music *music_free; /* list through beat.next, then never used ones */
	uint32_t music_fresh, music_id;
	struct {
		char name[DP_MUSIC_NAME_MAX]; /* empty: none here */
		uint32_t id;
		uint8_t gen;
	} music[DP_MUSIC_MAX]; /* sources, as in node->music.tune */
	uint8_t *sa_free; /* list through the first bytes of a wiped record */
	uint32_t sa_fresh, sa_max;
	uint8_t owner[DP_SHARDS]; /* worker whose ring takes commands for the shard */
	struct dp_objs_move move;
	struct dp_spd *spd_next; /* a list of policies that has not been committed; NULL: none */
	uint32_t spd_gen;
	struct sa_rec sa[DP_SA_MAX];
	uint8_t gw[DP_GW_MAX]; /* epoch's number; 0: none */
	struct per_worker w[];
};

static inline uint64_t dp_objs_ms(const struct dp_objs *o)
{
	/* Cold path: a division is fine here. */
	return (rte_rdtsc() - o->node->start_cyc) / (o->node->hz / 1000);
}

static inline uint16_t dp_objs_worker_of(const struct dp_objs *o, uint32_t shard)
{
	return o->owner[shard];
}

/* --- free objects. NULL: none left, or not back yet --- */

struct dp_leg *dp_objs_leg_take(struct dp_objs *o);
struct dp_srtp_key *dp_objs_key_take(struct dp_objs *o);
struct dp_sa *dp_objs_sa_take(struct dp_objs *o);

struct dp_music *dp_objs_music_take(struct dp_objs *o);
void dp_objs_music_give(struct dp_objs *o, struct dp_music *mu); /* takes NULL */

/** Wiped, and free again. Take NULL; keys may be a list. */
void dp_objs_key_give(struct dp_objs *o, struct dp_srtp_key *key);
void dp_objs_sa_give(struct dp_objs *o, struct dp_sa *sa);

/* --- commands --- */

/** A command for worker 'wi', empty; NULL: too many under way. Then submit it (never fails), or give it back unused. */
struct dp_cmd *dp_objs_cmd_take(struct dp_objs *o, uint16_t wi, enum dp_op op);
void dp_objs_submit(struct dp_objs *o, uint16_t wi, struct dp_cmd *cmd);
void dp_objs_cmd_give(struct dp_objs *o, uint16_t wi, struct dp_cmd *cmd);

/** Take back what worker 'wi' is done with. */
void dp_objs_drain_done(struct dp_objs *o, uint16_t wi);

/* --- messages, as dp_objs_msg(). objs_set.c --- */

int dp_objs_leg_set(struct dp_objs *o, const struct dp_leg_set *m, uint32_t *ret_detail);
int dp_objs_leg_key(struct dp_objs *o, const struct dp_leg_key *m, uint32_t *ret_detail);
int dp_objs_key_del(struct dp_objs *o, const struct dp_key_del *m);
int dp_objs_leg_del(struct dp_objs *o, uint32_t id);
int dp_objs_sa_set(struct dp_objs *o, const struct dp_sa_set *m, uint32_t *ret_detail);
int dp_objs_sa_grant(struct dp_objs *o, const struct dp_sa_grant *m);
int dp_objs_sa_del(struct dp_objs *o, uint32_t id);
int dp_objs_gw_set(struct dp_objs *o, const struct dp_gw_set *m, uint32_t *ret_detail);
int dp_objs_gw_del(struct dp_objs *o, uint32_t id);
int dp_objs_mgcp_cmd(struct dp_objs *o, const struct dp_mgcp_cmd *m);
int dp_objs_mgcp_ask(struct dp_objs *o, const struct dp_mgcp_ask *m);
int dp_objs_mgcp_ack(struct dp_objs *o, const struct dp_mgcp_ack *m, uint32_t *ret_detail);
int dp_objs_adopt(struct dp_objs *o, const struct dp_obj *m);

/* objs_music.c */
int dp_objs_music_set(struct dp_objs *o, const struct dp_music_set *m);
int dp_objs_leg_music(struct dp_objs *o, const struct dp_leg_music *m);

/** Unload the sources that this epoch has not set. */
void dp_objs_music_sweep(struct dp_objs *o);

/** At the end: no worker runs. */
void dp_objs_music_free(struct dp_objs *o);

/** End the keys that were replaced and whose time is over. */
void dp_objs_key_ends(struct dp_objs *o, uint64_t ms);

/** Delete a leg with a command taken for its worker 'wi'. */
void dp_objs_leg_del_with(struct dp_objs *o, uint32_t id, uint16_t wi, struct dp_cmd *cmd);

/* objs_spd.c */
int dp_objs_spd_set(struct dp_objs *o, const struct dp_spd_set *m, uint32_t *ret_detail);
int dp_objs_spd_commit(struct dp_objs *o, const struct dp_spd_commit *m, uint32_t *ret_detail);

/** What was set and not committed: it was another controlplane's, or the end is here. */
void dp_objs_spd_forget(struct dp_objs *o);

/* --- moves. objs_move.c --- */

int dp_objs_shard_move(struct dp_objs *o, const struct dp_shard_move *m, uint32_t *ret_detail);
void dp_objs_move_poll(struct dp_objs *o);

/** May worker 'wi' get one more MGCP command? */
bool dp_objs_mgcp_room(const struct dp_objs *o, uint16_t wi);

/* --- what comes back. objs_evt.c --- */

/** Pass worker 'wi's events on. */
void dp_objs_drain_events(struct dp_objs *o, uint16_t wi, uint64_t ms);

/** Publish the next hops if they changed, ask for those that are due. */
void dp_objs_neighbours(struct dp_objs *o, uint64_t ms);

/** A leg's counters into its line of the page. */
void dp_objs_leg_count(struct dp_page_leg *pl, const struct dp_leg_tab *tab, const struct dp_leg *leg);

/** Copy counters of the next 'share' records to the page; idle legs age. */
void dp_objs_legs(struct dp_objs *o, uint32_t now_s, uint32_t share);
void dp_objs_sas(struct dp_objs *o);

#endif
