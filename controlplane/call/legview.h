/* SPDX-License-Identifier: BSD-3-Clause */
/* Legs as operators see them: figures of the counter page, filters, pages. */
#ifndef CP_LEGVIEW_H
#define CP_LEGVIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct cp_calls;

#define CP_LEGS_PAGE 200 /* legs looked at for one answer: a few milliseconds of the event loop */

struct cp_leg_filter {
	uint32_t call;      /* 0: any */
	uint32_t leg;       /* UINT32_MAX: any */
	const char *region; /* NULL: any */
	bool bad;           /* only those with problems */
	uint32_t from;      /* where the page begins: 0, or "next" of the page before */
	uint32_t max;       /* legs to look at, above 0: with 'bad', fewer are shown, or none */
};

/** {"legs": [...], "next": place of the next page or null}. Owned by the caller. */
json_t *cp_calls_show_legs(struct cp_calls *calls, const struct cp_leg_filter *filter);

/** Whose leg is that? False: nobody's. *ret_party is borrowed until the loop runs again. */
bool cp_calls_leg(struct cp_calls *calls, uint32_t leg_id, uint32_t *ret_call, const char **ret_party);

#endif
