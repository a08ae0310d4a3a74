/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dial plan: from who calls and what is dialled to what is called. It follows the store by itself and is never built anew: a
 * record that changes is taken out of its partition's tree and put back (trie.h). One thread: the event loop's.
 *
 * Who calls has a calling search space, an ordered list of partitions; numbers and patterns in others do not exist for him. The
 * partition without a name is at the end of every list, and is all that those without a calling search space see. Of what fits, the one
 * that fits the fewest numbers of the dialled length is taken; of those as close, the one whose partition comes first; then one
 * without '!', then the one whose text is first.
 */
#ifndef CP_DIAL_PLAN_H
#define CP_DIAL_PLAN_H

#include "store/dialrec.h"
#include "store/store.h"

#define CP_DIAL_DEPTH 8 /* translations one after the other */

struct cp_plan;

/** The store is open; it is told of changes until that is closed, which comes before its end. NULL: no memory. */
struct cp_plan *cp_plan_create(struct cp_store *store);
void cp_plan_destroy(struct cp_plan *plan);

enum cp_dial_kind {
	CP_DIAL_NONE,    /* nothing fits */
	CP_DIAL_LINE,
	CP_DIAL_GATEWAY,
	CP_DIAL_BLOCK,
	CP_DIAL_LOOP,    /* translations lead in a circle, or deeper than CP_DIAL_DEPTH, or to what is no number */
};

struct cp_dial_from {
	const char *css;    /* calling search space; "" or NULL: none */
	const char *number; /* of who calls, as it is shown; "" or NULL: none */
	bool no_prefix;     /* a gateway's PREFIX* does not count: is '#' a digit here, or the end of dialling? */
};

/* Pointers are borrowed until the loop runs again. */
struct cp_dialled {
	enum cp_dial_kind kind;
	struct cp_dir_hit hit;            /* LINE; GATEWAY: the first one */
	const struct cp_pattern *pattern; /* that led to it; NULL: a number of a line or gateway */
	char number[CP_NUMBER_MAX];       /* what is called: the line's, or the digits for the gateway */
	char partition[CP_PART_MAX];      /* LINE: of that number */
	char calling[CP_NUMBER_MAX];      /* who calls, as the other side is to see it */
	bool longer;                      /* more digits could fit something: wait for them. Not with an urgent pattern */
};

/** True if the digits lead to something (BLOCK and LOOP included). 'ret' is set in any case. No memory is taken. */
bool cp_dial(const struct cp_plan *plan, const struct cp_dial_from *from, const char *digits, struct cp_dialled *ret);

/** The n-th target of a GATEWAY result (the first is 0) into ret->hit: false if there is no such one. */
bool cp_dial_target(const struct cp_plan *plan, const struct cp_pattern *pattern, unsigned n, struct cp_dir_hit *ret);

/** One thing that fits, as cp_dial() looks at it, told before it goes on. */
struct cp_dial_seen {
	unsigned depth;        /* translations before it */
	const char *digits;    /* looked up here */
	const char *text;      /* pattern or number */
	const char *partition; /* "": the one without a name */
	unsigned rank;         /* of the partition in the list, from 0 */
	const char *kind;      /* "line", "gateway", "route", "translate", "block" */
	cp_weight weight;
	bool many, chosen;
	const char *why;       /* why it was chosen, or not */
};
typedef void (*cp_dial_see_fn)(void *ctx, const struct cp_dial_seen *seen);
/** The same look-up, and what it looked at. */
bool cp_dial_explain(const struct cp_plan *plan, const struct cp_dial_from *from, const char *digits, struct cp_dialled *ret,
		     cp_dial_see_fn see, void *ctx);

/** Calling search space of a device's line (from 1): its own, else the device's; "" none. */
const char *cp_dial_css(const struct cp_device *dev, unsigned line);

bool cp_plan_partition(const struct cp_plan *plan, const char *name); /* there is a record of it */
const struct cp_css *cp_plan_css(const struct cp_plan *plan, const char *name);
const struct cp_pattern *cp_plan_pattern(const struct cp_plan *plan, const char *partition, const char *pattern);

#endif
