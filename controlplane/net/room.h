/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many connections there may be, and how many strangers, in all and of one source address (IPv6: /64). One room may be shared by
 * the nets of several loops: what it counts is what they have together. Any thread.
 */
#ifndef CP_NET_ROOM_H
#define CP_NET_ROOM_H

#include <stdbool.h>
#include <stdint.h>

struct cfg_addr;
struct cp_room;
struct cp_source; /* an address that has strangers here */

struct cp_room_limits {
	uint32_t max_conns;   /* all states */
	uint32_t max_preauth; /* not yet authenticated */
	uint32_t max_source;  /* of these, of one source; 0: 3/4 of max_preauth */
};

int cp_room_create(const struct cp_room_limits *limits, struct cp_room **ret_room); /* 0 or -ENOMEM */
void cp_room_destroy(struct cp_room *room);                                          /* empty; NULL is allowed */

/** As many strangers as there may be: nobody should be accepted. */
bool cp_room_full(struct cp_room *room);
/** A stranger's place, before one is accepted, so that loops do not take more together than there are. False: none is left. */
bool cp_room_reserve(struct cp_room *room);
/** Nobody came. */
void cp_room_give_back(struct cp_room *room);
/** One came for a place that was reserved, which an error gives back. 0: *ret_source is what cp_room_known() takes; -ENFILE: max_conns; -EMFILE: max_source; -ENOMEM. */
int cp_room_enter(struct cp_room *room, const struct cfg_addr *from, struct cp_source **ret_source);
/** Work that a stranger left behind takes a place as one does, until cp_room_known(); while he is still here, so that no limit is asked.
 * NULL: no memory, nothing is taken. */
struct cp_source *cp_room_owe(struct cp_room *room, const struct cfg_addr *from);
/** It is no stranger any more, or it goes. Once. */
void cp_room_known(struct cp_room *room, struct cp_source *source);
/** It goes. After cp_room_known(). */
void cp_room_leave(struct cp_room *room);

#endif
