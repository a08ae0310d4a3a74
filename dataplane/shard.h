/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shards: which worker owns a media port or an SPI, and the rings over which a packet that reached another worker
 * goes to it. A media port's shard is (port - base) / 256, an inbound SPI's is its low six bits. At start shard s belongs
 * to worker s % workers; the main lcore changes the map when a shard moves (move.h), the workers read it for packets that
 * are not their own.
 *
 * One ring per ordered pair of workers: one producer, one consumer. It is in the memory of the consumer's socket.
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
	uint8_t worker[DP_SHARDS]; /* dp_shard_worker(), dp_shard_set() */
	struct rte_ring *ring[DP_WORKER_MAX][DP_WORKER_MAX]; /* [from][to] */
};

/** Make the map. 0, -EINVAL. */
int dp_shard_init(struct dp_shard *sh, uint16_t worker_cnt);

/** The rings; lcores[i] is worker i's, 'tag' keeps names of several instances in one process apart. 0, -ENOMEM: call dp_shard_fini(). */
int dp_shard_rings(struct dp_shard *sh, const uint16_t *lcores, const char *tag);

/** Frees the rings, and the packets in them. Workers have stopped. */
void dp_shard_fini(struct dp_shard *sh);

static inline uint8_t dp_shard_worker(const struct dp_shard *sh, uint32_t shard)
{
	return __atomic_load_n(&sh->worker[shard], __ATOMIC_RELAXED);
}

static inline void dp_shard_set(struct dp_shard *sh, uint32_t shard, uint8_t worker)
{
	__atomic_store_n(&sh->worker[shard], worker, __ATOMIC_RELEASE);
}

static inline uint8_t dp_shard_of_spi(uint32_t spi)
{
	return spi % DP_SHARDS;
}

#endif
