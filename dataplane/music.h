/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Music on hold: legs whose party is sent a source (tune.h) instead of another party's media. A worker sends the packets
 * of its legs at their packet times, by a wheel of milliseconds (wheel.h) over the time of its rounds; bursts of them go
 * the way that relayed packets go from the leg on: protected under the leg's key, new headers, sent.
 *
 * All who hear a source hear the same place of it: the one that the node's clock says, wherever it was when they came. A
 * leg's packets begin at a millisecond of its own within the packet time, so that legs of one source do not all want
 * to be sent at once. A worker that comes late sends what is due at once; what is due for more than DP_MUSIC_LATE packets
 * it leaves out, as a listener to a broadcast would miss it.
 *
 * The stream has an SSRC of its own. Under a key its sequence numbers go on where the SSRC's stream is (or the floor says that
 * a dataplane before us may have been), so that no index comes twice however often music starts, stops, moves to
 * another worker, or gets another key; and a receiver meets one SSRC, not one more at each hold. It begins at 0, so that it does not
 * raise the leg's floor above what is relayed to the leg. Without a key each start has an SSRC of its own.
 */
#ifndef DP_MUSIC_H
#define DP_MUSIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dp_msg.h"
#include "tune.h"
#include "wheel.h"

struct dp_cmd;
struct dp_leg;
struct dp_worker;

#define DP_MUSIC_LATE  3    /* packets of a leg that are sent after their time, at most */
#define DP_MUSIC_BURSTS 4   /* bursts in a round, at most: what comes in is worth more */

/* A leg that hears music. Its worker's. */
struct dp_music {
	struct dp_beat beat;  /* its next packet */
	struct dp_leg *leg;
	uint32_t ssrc;        /* host order */
	uint32_t ts0;         /* RTP timestamp of millisecond 0 */
	uint32_t tune_id;
	uint16_t seq;         /* next one, where no stream under a key says otherwise */
	uint8_t tune;         /* place in node->music.tune */
	uint8_t codec;        /* enum dp_music_codec */
	uint8_t pt;
	uint8_t ptime_ms;
	uint8_t fresh;        /* bool: nothing sent yet, the first packet has the marker */
} __attribute__((aligned(64))); /* the next record may be another worker's */
static_assert(sizeof(struct dp_music) == 64, "one cache line");

/* Of the node. */
struct dp_musics {
	struct dp_tune *tune[DP_MUSIC_MAX]; /* atomic pointers, or NULL: main lcore writes */
	struct dp_music *mem;  /* max records: handed out by the main lcore */
	uint32_t *of;          /* by leg record: record's number and 1; 0: no music. The leg's worker's */
	uint32_t max;
	uint64_t ms0;          /* the node's start by the machine's clock: timestamps go on after a restart */
};

/** What a leg takes of the tables if it hears nothing; records are for half of the legs: a session has one who waits. */
#define DP_MUSIC_LEG_BYTES sizeof(uint32_t)

/** LEG_MUSIC: cmd->music is a free record, or what is to be freed afterwards. Worker. */
void dp_music_cmd(struct dp_worker *w, struct dp_cmd *cmd);

/** Take a leg's record out of wheel and table; NULL: it has none. Worker. */
struct dp_music *dp_music_remove(struct dp_worker *w, const struct dp_leg *leg);

/** The leg goes to another worker, or has come from one. */
void dp_music_leave(struct dp_worker *w, const struct dp_leg *leg);
void dp_music_enter(struct dp_worker *w, const struct dp_leg *leg);

/** Send what is due. Returns packets made. Worker, once a round. */
unsigned int dp_music_round(struct dp_worker *w);

#endif
