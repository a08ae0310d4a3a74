/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The policies of the configuration (ipsec.policies), asserted in the dataplane as one list whenever the channel is up, ahead of
 * gateways, SAs and legs; and all that is in force, for who asks: that list, what follows from gateways' records, what is built in.
 */
#ifndef CP_SPD_H
#define CP_SPD_H

#include <jansson.h>

#include "config.h"

struct cp_alarms;
struct cp_dp;
struct cp_gws;
struct cp_spd;

struct cp_spd *cp_spd_create(const struct cfg *cfg, struct cp_dp *dp, struct cp_gws *gws, struct cp_alarms *alarms);
void cp_spd_destroy(struct cp_spd *spd);

/** The channel is up. The dataplane refuses the list as a whole or takes it as a whole; alarm policies-refused. */
void cp_spd_up(struct cp_spd *spd);

/** Array of objects for 'show policies', in the order in which they are looked at. */
json_t *cp_spd_show(const struct cp_spd *spd);

#endif
