/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Media ports: which local address and port a leg gets. The unit is a pair (RTP even, RTCP odd); 128 pairs
 * make a block of 256 ports, and the block's number is the shard. Both legs of a session come from the same
 * shard, from the addresses of their regions. A pair that was given back rests behind all others of its
 * block, so that late packets of an ended call do not meet a new one.
 */
#ifndef CP_MEDIA_H
#define CP_MEDIA_H

#include <stdbool.h>
#include <stdint.h>

#include "api/dp_msg.h"
#include "config.h"

struct cp_ports;

/** Allocator over the configured addresses. 'media' must outlive it. NULL on no memory. */
struct cp_ports *cp_ports_create(const struct cfg_media *media);
void cp_ports_destroy(struct cp_ports *ports);

/**
 * Take a leg for each of two regions, same shard, address family as asked (4, 6, or 0: any). An unknown
 * region uses "default". 0, -ENOENT (no address for a region), -ENOSPC (all ports in use).
 */
int cp_ports_take(struct cp_ports *ports, const char *region_a, uint8_t family_a, const char *region_b,
		  uint8_t family_b, uint32_t *ret_leg_a, uint32_t *ret_leg_b);

/** One leg in a given shard, beside another one there. As above. */
int cp_ports_take_in(struct cp_ports *ports, const char *region, uint8_t family, unsigned shard, uint32_t *ret_leg);

/** Mark a leg as used, as found in the store after a restart. 0, -EEXIST, -EINVAL (not ours). */
int cp_ports_claim(struct cp_ports *ports, uint32_t leg_id);

/** Give a leg back. */
void cp_ports_put(struct cp_ports *ports, uint32_t leg_id);

uint32_t cp_ports_used(const struct cp_ports *ports);

/** Local RTP address of a leg: as configured, with its port. False if leg_id is out of range. */
bool cp_ports_addr(const struct cp_ports *ports, uint32_t leg_id, struct cfg_addr *ret_addr);

/** Conversions between the configuration's and the channel's form. */
void cp_to_dp_addr(struct dp_sockaddr *out, const struct cfg_addr *in);
void cp_from_dp_addr(struct cfg_addr *out, const struct dp_sockaddr *in);

#endif
