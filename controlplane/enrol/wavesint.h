/* SPDX-License-Identifier: BSD-3-Clause */
/* The waves' own parts, for each other: what runs (waves.c), the rounds that set devices (waveround.c), beginnings and changes (wavechange.c). */
#ifndef RAVELIN_ENROL_WAVESINT_H
#define RAVELIN_ENROL_WAVESINT_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "app.h"
#include "enrol/wave.h"
#include "enrol/waves.h"
#include "store/store.h"
#include "store/tab.h"

#define SLICE     500 /* records of one write */
#define SECOND_US INT64_C(1000000)

struct live { /* a wave at work */
	TAILQ_ENTRY(live) link;
	struct cp_waves *o;
	struct cp_wave *w;
	bool round;      /* devices are being set */
	bool changing;   /* an operator's change is being written */
};

struct old { /* records that nobody needs */
	STAILQ_ENTRY(old) link;
	uint32_t id, cnt, next;
};

struct cp_waves {
	struct cp_app *app;
	TAILQ_HEAD(, live) live;
	unsigned alive;
	STAILQ_HEAD(, old) old;
	bool purging;
	struct cp_tab pending; /* device -> live, n: its place: whose operation is pending */
	struct event *tick;
	uint32_t next_id;
	int64_t looked_us, swept_us, began_us;
};

/** Arms the tick: often while waves are at work. */
void waves_arm(struct cp_waves *o);

/** Raises or clears the wave's alarm, by its state. */
void waves_alarm(struct live *l);

/** The wave's record, as it is now, into a batch, with its audit line, its log line and its alarm. 'who': of the audit line. */
void waves_put(struct live *l, struct cp_batch *b, const char *who);

/** A device's record of the wave into a batch, with why it ended ("": nothing to say). */
void waves_put_item(struct live *l, struct cp_batch *b, uint32_t at, const char *why);

/** Writes a batch that nobody waits for; it is taken over in any case. */
void waves_submit(struct cp_waves *o, struct cp_batch *b);

/** A wave at work, by its record (copied). NULL: no memory. */
struct live *waves_live_new(struct cp_waves *o, const struct cp_wave_rec *rec);

/** The wave at work of that number, or NULL. */
struct live *waves_find(struct cp_waves *o, uint32_t id);

/** All records of a wave of cnt devices go, some at each tick. */
void waves_forget(struct cp_waves *o, uint32_t id, uint32_t cnt);

/** Sets the devices whose turn it is. */
void waves_turns(struct live *l, int64_t now);

#endif
