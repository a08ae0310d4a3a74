/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls among the phones of a load: the 1st calls the 2nd, the 3rd the 4th, and so on; set up, hung up, again. */
#ifndef SIM_LOADCALLS_H
#define SIM_LOADCALLS_H

#include "phone.h"

struct sim_calls;

struct sim_calls_opts {
	struct event_base *base;
	struct sim_phone **phones;
	unsigned int phones_cnt;
	unsigned long long number; /* of the first phone; the next has the next */
	double seconds;            /* calls begin for so long */
	double rate;               /* a second; 0: as many as 'parallel' allows */
	unsigned int parallel;
	void (*over)(void *ctx);   /* all have ended */
	void *ctx;
};

/** NULL: no memory. */
struct sim_calls *sim_calls_create(const struct sim_calls_opts *opts);
void sim_calls_destroy(struct sim_calls *c); /* NULL is allowed */
void sim_calls_start(struct sim_calls *c);

/* What phones tell; those that have no part in a call of ours are not looked at. */
void sim_calls_ringing(struct sim_calls *c, const struct sim_phone *p); /* it calls, and hears that the other rings */
void sim_calls_media(struct sim_calls *c, const struct sim_phone *p);   /* it sends and receives */
void sim_calls_ended(struct sim_calls *c, const struct sim_phone *p);

/** {"begun", "set_up", "clear" (of these: without keys for both), "failed", "seconds", "per_s", "post_dial": percentiles, "set_up_time": percentiles}: a new reference. */
json_t *sim_calls_report(struct sim_calls *c);

/** Of microseconds: {"count", "p50_ms", "p90_ms", "p99_ms", "max_ms"}, null without any. Sorts the list. */
json_t *sim_percentiles(uint32_t *list, unsigned int cnt);

#endif
