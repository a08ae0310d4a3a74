/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which worker has which shard, for operators: 'ravelinctl move shard', 'show shards'. Moves go one at a time. What has been
 * moved away from where a start of the dataplane puts it is remembered here, in memory, and done again when the
 * dataplane was restarted; a controlplane that starts anew learns it from the counter page. When both start anew the
 * default is what there is: shard s on worker s modulo their number.
 */
#ifndef CP_SHARDS_H
#define CP_SHARDS_H

#include <jansson.h>
#include <stdbool.h>

#include "api/dp_msg.h"

struct cp_dp;
struct cp_shards;

/** rc 0 with 'ev', -EALREADY, -EBUSY (nothing changed), or why there was no answer. Called once. */
typedef void (*cp_shards_fn)(void *ctx, int rc, const struct dp_shard_moved *ev);

/** 'dp' is set with the first cp_shards_up(). NULL: no memory. destroy takes NULL: what waits gets -ENOTCONN. */
struct cp_shards *cp_shards_create(void);
void cp_shards_destroy(struct cp_shards *sh);

/** The channel is up ('fresh': the dataplane has the default map), or down. */
void cp_shards_up(struct cp_shards *sh, struct cp_dp *dp, bool fresh);
void cp_shards_down(struct cp_shards *sh);

/** The dataplane's event. */
void cp_shards_moved(struct cp_shards *sh, const struct dp_shard_moved *ev);

/** Move a shard. 0: 'fn' will be called; -EBUSY: that shard waits for a move already; -ENOTCONN; -EINVAL. */
int cp_shards_move(struct cp_shards *sh, uint32_t shard, uint32_t worker, cp_shards_fn fn, void *ctx);

/** [{shard, worker, moved}]; NULL while there is no dataplane. */
json_t *cp_shards_show(const struct cp_shards *sh);

#endif
