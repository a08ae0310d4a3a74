/* SPDX-License-Identifier: BSD-3-Clause */
/* A listener's counters for the operator, the same for every protocol. */
#ifndef CP_NET_SHOW_H
#define CP_NET_SHOW_H

#include <jansson.h>

struct cp_net;
struct cp_net_stats;

/** Connections now, accepted, refused and ended since the start, by reason. A new reference; NULL: no memory. */
json_t *cp_net_show(const struct cp_net *net);
/** The same of counters that were added up. */
json_t *cp_net_show_stats(const struct cp_net_stats *stats);

#endif
