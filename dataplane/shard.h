/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shards: which worker owns a media port or an SPI, and the rings over which a packet that reached another worker
 * goes to it. A media port's shard is (port - base) / 256, an inbound SPI's is its low six bits. The map is fixed at
 * start: shard s belongs to worker s % workers.
 *
 * One ring per ordered pair of workers: one producer, one consumer.
 */
#ifndef DP_SHARD_H
#define DP_SHARD_H

#include <stdint.h>

#include "dp_msg.h"

#define DP_WORKER_MAX    32
#define DP_HANDOFF_DEPTH 1024 /* packets per pair of workers */

struct rte_ring;

struct dp_shard {
	uint16_t worker_cnt;
	uint8_t worker[DP_SHARDS];
	struct rte_ring *ring[DP_WORKER_MAX][DP_WORKER_MAX]; /* [from][to] */
};

/** Make the map and the rings; 'tag' keeps ring names of several instances in one process apart. 0, -EINVAL, -ENOMEM. */
int dp_shard_init(struct dp_shard *sh, uint16_t worker_cnt, const char *tag);

/** Frees the rings, and the packets in them. Workers have stopped. */
void dp_shard_fini(struct dp_shard *sh);

static inline uint8_t dp_shard_of_spi(uint32_t spi)
{
	return spi % DP_SHARDS;
}

#endif
