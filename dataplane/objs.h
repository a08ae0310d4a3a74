/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What exists, as the main lcore sees it: legs, SAs and gateways with the epoch they belong to, and the free objects that
 * commands carry to the workers. Messages arrive here checked field by field (chan.h); what needs the node's
 * configuration is checked here. A command is accepted once it is in its worker's ring, and the ring keeps order: a
 * leg deleted and set again in one datagram is two records.
 *
 * Keys are derived here, and wiped here when a worker gives them back.
 */
#ifndef DP_OBJS_H
#define DP_OBJS_H

#include <stdbool.h>
#include <stdint.h>

#include "dp_msg.h"

struct dp_node;
struct dp_objs;

#define DP_OBJS_LEG_BYTES 4    /* of ours per leg: record number and epoch */
#define DP_OBJS_SA_SPARE  64   /* SA records beyond max_sas, for replacement */
#define DP_OBJS_KEY_SPARE 256  /* keys beyond two per leg and those of a 16th of the legs, for the same */
#define DP_OBJS_SA_STRIDE 1600 /* bytes from one SA record to the next: an odd number of cache lines, which spreads them over the sets */

/* Where events go. */
struct dp_objs_sink {
	/* 0: taken; -EAGAIN: not now, keep it; -ENOTCONN: nobody there, it is dropped and counted. */
	int (*event)(void *ctx, const struct dp_msg_hdr *msg);
	void *ctx;
};

/** Keys there are for so many legs: both directions, and some for replacement, overlap and standby. */
static inline uint32_t dp_objs_key_max(uint32_t legs)
{
	return 2 * legs + legs / 16 + DP_OBJS_KEY_SPARE;
}

/** Everything is free. The workers exist, their loops may run already. NULL: no memory. */
struct dp_objs *dp_objs_create(struct dp_node *node, const struct dp_objs_sink *sink);

/** After the workers' loops have ended. Wipes keys. Takes NULL. */
void dp_objs_destroy(struct dp_objs *o);

/** A controlplane says hello. Fills the reply but its header. 0, -EAGAIN (a worker's ring is full). */
int dp_objs_hello(struct dp_objs *o, uint64_t epoch, struct dp_hello_reply *ret);

/**
 * Execute a checked command. 0; -EBADMSG with *ret_detail the offending field's offset (does not fit this node);
 * -ENOENT; -ENOSPC; -EAGAIN: ring full or records on their way back, try again; -EPROTO.
 * Nothing has changed after an error. A SWEEP that finds a ring full goes on in dp_objs_poll(). An MGCP_CMD is -EAGAIN
 * while its worker owes DP_MGCP_TXN_MAX results. The caller wipes the message.
 */
int dp_objs_msg(struct dp_objs *o, const struct dp_msg_hdr *msg, uint32_t *ret_detail);

/** Take back what workers are done with, pass their events on. As often as possible. */
void dp_objs_poll(struct dp_objs *o);

/** Ageing, counter page. As often as possible; a share of the legs every 10 ms, all of them twice a second. */
void dp_objs_tick(struct dp_objs *o);

/** Objects alive, and whether a leg is; for tests and replies. */
uint32_t dp_objs_leg_cnt(const struct dp_objs *o);
uint32_t dp_objs_sa_cnt(const struct dp_objs *o);
uint32_t dp_objs_gw_cnt(const struct dp_objs *o);

#endif
