/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which order of changes strands nobody. Phones are counted by what they hold (a group: all that hold the same), so the
 * work does not grow with their number. Pure functions, like model.h.
 */
#ifndef CP_TRUST_PLAN_H
#define CP_TRUST_PLAN_H

#include "model.h"

#define CP_TM_STEPS_MAX  6
#define CP_TM_GROUPS_MAX 4096

struct cp_tm_group {
	struct cp_tm_phone phone;
	unsigned cnt;   /* phones that hold this; 0: nobody is known to, but it must not be stranded all the same */
	unsigned why;   /* out: what the change takes from it; 0: nothing */
	bool lost;      /* out: stranded already, before the change */
};

struct cp_tm_toll {
	unsigned stranded; /* phones that could follow before the change and can never again behind it */
	unsigned lost;     /* stranded before it; not counted above */
	bool unseen;       /* a group of nobody is stranded: phones never heard of may be in it */
};

/** What going from one world to the next does to phones that stay away in between. Sets why and lost of each group. */
void cp_tm_count(const struct cp_tm_world *from, const struct cp_tm_world *to, struct cp_tm_group *groups, unsigned n,
		 struct cp_tm_toll *ret);

struct cp_tm_plan {
	unsigned n;
	unsigned order[CP_TM_STEPS_MAX]; /* indices of the steps given */
	bool wait[CP_TM_STEPS_MAX];      /* before this one every phone must have fetched what is served by then */
	unsigned waits;
};

/**
 * The order, and the waits in between, by which 'n' steps strand nobody, with as few waits as possible; of equals the one nearest to
 * the order given. 0; -ENOENT: there is none; -EPROTO with 'why': a step means nothing in any order; -EINVAL: too many;
 * -ENOMEM. A wait is worth what is said of it only if the phones do come: who stays away is stranded by the step behind it.
 */
int cp_tm_search(const struct cp_tm_world *from, const struct cp_tm_step *steps, unsigned n, const struct cp_tm_group *groups,
		 unsigned groups_n, struct cp_tm_plan *ret, char *why, size_t why_size);

#endif
