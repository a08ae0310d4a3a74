/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where phones connect: loops of their own, each on a thread, that accept, shake hands, cut bytes into messages and send; and the one
 * loop of call control, where sessions live. Between them go letters (net/mbox.h). So a storm of handshakes takes processors, but
 * never the loop that answers registered phones; what registered phones say overtakes in it what strangers say.
 *
 * What registered phones say most, KeepAlive, their loop answers without a letter, and keeps the time for call control's look at who is
 * silent. Not while signalling is captured: then it is a message as others are.
 *
 * All loops wait at the same listening sockets: who has time accepts, and a connection stays where it was accepted. Nothing about a
 * device is kept there, so it does not matter which loop has it. The limits of net.h hold for all loops together, and a
 * stranger keeps his place until call control has read what he said, though he has gone: so that what waits for it is bounded, too.
 *
 * Everything here is called on call control's loop.
 */
#ifndef CP_SCCP_FRONT_H
#define CP_SCCP_FRONT_H

#include <stdint.h>

#include "net/net.h"

#define CP_FRONTS_MAX 64

struct cp_fronts;
struct cp_sccp;

struct cp_fronts_opts {
	struct event_base *base; /* call control's */
	struct cp_sccp *sccp;
	unsigned loops;        /* 1 to CP_FRONTS_MAX */
	struct cp_net_opts net; /* 'room' is made here */
};

/** Loops that run, and listen nowhere yet. 0 or a negative errno. */
int cp_fronts_create(const struct cp_fronts_opts *opts, struct cp_fronts **ret_fronts);
/** What was sent is written as far as the sockets take it at once; connections are closed, sessions end. NULL is allowed. */
void cp_fronts_destroy(struct cp_fronts *fronts);

/** As cp_net_listen(), on all loops. 'tls' outlives the fronts. */
int cp_fronts_listen(struct cp_fronts *fronts, const struct cfg_addr *addr, struct cp_tls *tls, uint16_t *ret_port);

/** All loops' counters, as they were a moment ago. */
void cp_fronts_stats(struct cp_fronts *fronts, struct cp_net_stats *ret);

#endif
