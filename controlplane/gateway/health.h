/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A gateway's circuit breaker. Closed: it gets calls. So many failures in a window with no success between them, or one command that
 * nobody answered, open it: it gets none. After a while a probe (AUEP) is due: half open. An answer closes it, another failure opens it for twice as long, up to a
 * limit. Pure: time is an argument, in ms, monotonic.
 */
#ifndef CP_HEALTH_H
#define CP_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#define CP_HEALTH_FAILURES  5     /* in */
#define CP_HEALTH_WINDOW_MS 30000
#define CP_HEALTH_FIRST_MS  2000  /* to the first probe */
#define CP_HEALTH_MOST_MS   30000 /* between two of them, at most */
#define CP_HEALTH_CALM_MS   300000 /* closed for so long: it begins anew */

enum cp_health_state { CP_HEALTH_CLOSED, CP_HEALTH_OPEN, CP_HEALTH_HALF };

struct cp_health { /* all zero: closed */
	uint8_t state;    /* enum cp_health_state */
	uint8_t failures; /* in a row, in the window that began at 'since_ms' */
	uint32_t wait_ms; /* open: for so long */
	int64_t since_ms;
	int64_t closed_ms;
	uint64_t opened;  /* so often, since the start */
};

/** A command failed; 'dead': nobody answered. True: it has opened with this. */
bool cp_health_failed(struct cp_health *h, bool dead, int64_t now_ms);
/** A command succeeded: failures are counted anew. One that was on its way when it opened closes nothing. */
void cp_health_worked(struct cp_health *h);
/** The probe was answered. True: it has closed with this. One that opens again soon stays so for longer. */
bool cp_health_answered(struct cp_health *h, int64_t now_ms);
/** Open, and it is time to ask: it is half open from here on. */
bool cp_health_probe(struct cp_health *h, int64_t now_ms);
const char *cp_health_name(const struct cp_health *h);

#endif
