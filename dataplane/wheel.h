/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker does again and again at its own time: a wheel of lists, one for each millisecond of the next 128. Entries
 * are the caller's and hold their own links, so that putting one in, taking it out and finding what is due take the
 * same time however many there are. One worker, no memory of its own. Times are milliseconds of any clock that only goes up.
 */
#ifndef DP_WHEEL_H
#define DP_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define DP_WHEEL_MS 128 /* an entry is due sooner than that, or it is done too early */

struct dp_beat {
	struct dp_beat *next, *prev; /* NULL: in no wheel */
	uint64_t due;                /* ms */
};

struct dp_wheel {
	uint64_t at; /* what is due before has been given out */
	uint32_t n;  /* entries */
	struct dp_beat slot[DP_WHEEL_MS]; /* heads of circular lists */
};

/** Empty, from 'now' on. */
void dp_wheel_init(struct dp_wheel *w, uint64_t now);

/** Put an entry that is in no wheel in, at beat->due; one that is past is due at once. */
void dp_wheel_put(struct dp_wheel *w, struct dp_beat *beat);

/** Take an entry out, if it is in this wheel; else nothing happens. */
void dp_wheel_take(struct dp_wheel *w, struct dp_beat *beat);

/** The next one that is due at 'now' or was before, taken out; in order of time, among equals as they were put in. NULL: none. */
struct dp_beat *dp_wheel_next(struct dp_wheel *w, uint64_t now);

#endif
