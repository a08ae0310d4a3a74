/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which gateway of a group gets a call. Of the members that can take one, those of the first priority that has any; of
 * these the one with the least load for its weight; of equals the one that was chosen longest ago. Each priority of a group is a
 * heap: to choose costs a look at its top, a call that comes or goes O(log n) (004b:MGCP farm routing). Knows neither
 * clock nor gateway: a member lies in what it stands for. One event loop, no locks.
 */
#ifndef CP_FARM_H
#define CP_FARM_H

#include <stdbool.h>
#include <stdint.h>

#define CP_FARM_TRIES 4 /* gateways of a group that one call is offered to, at most */

struct cp_farm;
struct cp_farm_group;

struct cp_farm_member { /* all zero: in no group */
	struct cp_farm_group *group;
	uint32_t calls, capacity, weight, place; /* place: in its heap, from 1; 0: it is in none */
	uint64_t turn;                           /* when it was chosen last */
	uint8_t priority;                        /* from 0 */
	bool able;                               /* as cp_farm_able() was told */
	bool no_sa;                              /* cp_farm_no_sa() */
};

struct cp_farm *cp_farm_create(void);
/** The members must have left. NULL is allowed. */
void cp_farm_destroy(struct cp_farm *farm);

/**
 * Put it into a group ("": none), out of the one that it was in. 'priority' from 1, 'weight' and 'capacity' above 0. 0, -ENOMEM: it is
 * in no group.
 */
int cp_farm_join(struct cp_farm *farm, struct cp_farm_member *m, const char *group, unsigned priority, uint32_t weight, uint32_t capacity);

/** Its capacity is another one. */
void cp_farm_capacity(struct cp_farm_member *m, uint32_t capacity);

/** It may get calls, or not. Where it has no group, too. */
void cp_farm_able(struct cp_farm_member *m, bool able);

/** It is not able for want of an SA: to say why a group takes no call. */
void cp_farm_no_sa(struct cp_farm_member *m, bool no_sa);
/** Nobody of the group is able, and one of them for want of an SA. */
bool cp_farm_keyless(struct cp_farm *farm, const char *group);

/** A call more, or one less. */
void cp_farm_call(struct cp_farm_member *m, int more);

/** True if it may get another call: able, and not full. */
bool cp_farm_free(const struct cp_farm_member *m);

/**
 * The best one of the group but for the 'n' (at most CP_FARM_TRIES) of 'but'. NULL: there is none. *ret_members, unless NULL: how many
 * the group has at all. Its turn is over with this.
 */
struct cp_farm_member *cp_farm_pick(struct cp_farm *farm, const char *group, struct cp_farm_member *const *but, unsigned n,
				    unsigned *ret_members);

/** Members of m's group, and those of them that can take calls, but for being full. 0, 0: none. */
void cp_farm_count(const struct cp_farm_member *m, unsigned *ret_members, unsigned *ret_able);

#endif
