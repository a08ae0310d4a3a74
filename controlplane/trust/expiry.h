/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When certificates end, and when to look again: arithmetic, with clocks as arguments (seconds). The wall clock may jump; the
 * other never does.
 */
#ifndef CP_EXPIRY_H
#define CP_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

#define EXPIRY_DAY_S  86400
#define EXPIRY_TICK_S 60 /* how often expiry_due() is to be asked */
#define EXPIRY_JUMP_S 30 /* the wall clock went another way than time: set by hand, NTP, a restored machine */

enum expiry_level { EXPIRY_OK, EXPIRY_90, EXPIRY_30, EXPIRY_7, EXPIRY_EXPIRED, EXPIRY_FUTURE, EXPIRY_LEVELS };

/** Of something valid from 'from' to 'to' (INT64_MAX: cannot be read, which is as expired). FUTURE: not yet valid. */
enum expiry_level expiry_level(int64_t now, int64_t from, int64_t to);

/** When the level becomes another one; INT64_MAX: never. */
int64_t expiry_next(int64_t now, int64_t from, int64_t to);

struct expiry_watch {
	bool begun;
	int64_t wall_s, mono_s; /* when it was asked last */
	int64_t looked_s;       /* of the monotonic clock, when it was due last */
	int64_t next_s;         /* wall clock: the next level begins; set by who looked */
};

/** Is it time to look? At the first time, daily, when a level begins, and when the wall clock jumped either way. */
bool expiry_due(struct expiry_watch *w, int64_t wall_s, int64_t mono_s);

#endif
