/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose turn it is to be asked something. So many questions a second in all, behind a first burst, and so many at a time that are out
 * for less than CP_PACE_AIR_US: gateways that answer at once are asked as fast as they answer, up to the rate; those that say nothing hold
 * up nobody for longer than that. Three lanes: who has to be known to be there, what is left to do at those that are, those that were
 * silent last; each is a queue. Pure: time is an argument, in microseconds, monotonic. One event loop, no locks.
 */
#ifndef CP_PACE_H
#define CP_PACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define CP_PACE_BURST  64     /* questions that need not wait for the rate */
#define CP_PACE_AIR_US 500000 /* out for longer: it is taken for silent */
#define CP_PACE_RATE   4000   /* a second, unless said otherwise */

enum cp_pace_lane { CP_PACE_FIRST, CP_PACE_WORK, CP_PACE_SILENT, CP_PACE_LANES };

struct cp_pace_member { /* all zero: neither waits nor is asked */
	TAILQ_ENTRY(cp_pace_member) wait, air;
	int64_t asked_us;
	uint8_t lane;
	bool waits, out;
};

TAILQ_HEAD(cp_pace_queue, cp_pace_member);

struct cp_pace {
	struct cp_pace_queue lane[CP_PACE_LANES], air;
	uint32_t rate, air_cnt, turn;
	int64_t next_us; /* when the next question may be asked */
};

/** 'rate' above 0. */
void cp_pace_init(struct cp_pace *p, uint32_t rate);
/** It wants to be asked, at the end of a lane; one that waits already stays where it is. */
void cp_pace_wait(struct cp_pace *p, struct cp_pace_member *m, enum cp_pace_lane lane);
/** Neither waits nor is asked any more. */
void cp_pace_leave(struct cp_pace *p, struct cp_pace_member *m);
/**
 * The next one, which does not wait any more: it is asked now, and cp_pace_asked() said, or not. NULL: nobody now; *ret_us: so long until it
 * may be somebody's turn, -1: nobody waits.
 */
struct cp_pace_member *cp_pace_next(struct cp_pace *p, int64_t now_us, int64_t *ret_us);
void cp_pace_asked(struct cp_pace *p, struct cp_pace_member *m, int64_t now_us);
/** Its question has an answer, or will have none. */
void cp_pace_answered(struct cp_pace *p, struct cp_pace_member *m);

#endif
