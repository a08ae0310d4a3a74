/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Anti-replay window shared by SRTP, SRTCP and ESP. One per stream or SA, owned by one worker: no locks.
 * check() runs before decryption and changes nothing; commit() runs after the packet authenticated and
 * alone accepts an index, so twins in one burst cannot both pass. A sender uses commit() to refuse an index
 * that it has used before. RFC 3711 s3.3.2, RFC 4303 s3.4.3; bitmap layout after RFC 6479.
 *
 * Indices are host order, any width up to 64 bits; the caller keeps them from wrapping. In the window are
 * top and the DP_REPLAY_WINDOW - 1 indices below it.
 */
#ifndef DP_REPLAY_H
#define DP_REPLAY_H

#include <stdint.h>

#define DP_REPLAY_WORDS  4                            /* 64-bit words kept */
#define DP_REPLAY_WINDOW ((DP_REPLAY_WORDS - 1) * 64) /* packets; one word is always in reuse */

struct dp_replay {
	uint64_t top;                   /* highest accepted index; 0 also when nothing was accepted */
	uint64_t seen[DP_REPLAY_WORDS]; /* bit i%64 of word (i/64)%WORDS: index i was accepted */
};

/** Nothing accepted yet: every index is welcome, 0 too. Any. */
void dp_replay_init(struct dp_replay *win);

/**
 * After a restart: 'idx' and all below it count as accepted. They are refused with -EALREADY inside the
 * window and -ESTALE left of it. Any, before the owner's first packet.
 */
void dp_replay_restart(struct dp_replay *win, uint64_t idx);

/** Would 'idx' be accepted? Changes nothing. Worker. 0, -EALREADY (seen), -ESTALE (too old). */
int dp_replay_check(const struct dp_replay *win, uint64_t idx);

/** Accept authenticated 'idx', move the window. Worker. 0, -EALREADY (seen), -ESTALE (too old). */
int dp_replay_commit(struct dp_replay *win, uint64_t idx);

#endif
