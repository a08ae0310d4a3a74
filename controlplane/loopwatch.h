/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long the event loop is held up: a timer every CP_LOOPWATCH_MS that looks how late it is. What is shorter than that may be
 * missed, and a longer stall is seen up to so much too short. A machine that has no processor for us shows too.
 */
#ifndef CP_LOOPWATCH_H
#define CP_LOOPWATCH_H

#include <stdint.h>

#define CP_LOOPWATCH_MS 10
#define CP_LOOPWATCH_STALL_US 20000 /* what is counted */

struct event_base;
struct cp_loopwatch;

struct cp_loopwatch_stats {
	uint64_t stalls;     /* above CP_LOOPWATCH_STALL_US, since the start */
	uint64_t longest_us; /* since the start */
	uint64_t minute_us;  /* longest of the last minute or two */
};

struct cp_loopwatch *cp_loopwatch_create(struct event_base *base); /* NULL: no memory */
void cp_loopwatch_destroy(struct cp_loopwatch *watch);             /* NULL is allowed */
void cp_loopwatch_stats(const struct cp_loopwatch *watch, struct cp_loopwatch_stats *ret);

#endif
