/* SPDX-License-Identifier: BSD-3-Clause */
#include "shard.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "worker.h"

int dp_shard_init(struct dp_shard *sh, uint16_t worker_cnt)
{
	memset(sh, 0, sizeof(*sh));
	if (worker_cnt == 0 || worker_cnt > DP_WORKER_MAX)
		return -EINVAL;
	sh->worker_cnt = worker_cnt;
	for (unsigned int s = 0; s < DP_SHARDS; s++)
		sh->worker[s] = (uint8_t)(s % worker_cnt);
	return 0;
}

int dp_shard_rings(struct dp_shard *sh, const uint16_t *lcores, const char *tag)
{
	for (unsigned int a = 0; a < sh->worker_cnt; a++) {
		for (unsigned int b = 0; b < sh->worker_cnt; b++) {
			char name[RTE_RING_NAMESIZE];

			if (a == b)
				continue;
			snprintf(name, sizeof(name), "ho%s%u_%u", tag, a, b);
			sh->ring[a][b] = rte_ring_create(name, DP_HANDOFF_DEPTH, (int)rte_lcore_to_socket_id(lcores[b]),
							 RING_F_SP_ENQ | RING_F_SC_DEQ);
			if (sh->ring[a][b] == NULL)
				return -ENOMEM;
		}
	}
	return 0;
}

void dp_shard_fini(struct dp_shard *sh)
{
	for (unsigned int a = 0; a < DP_WORKER_MAX; a++) {
		for (unsigned int b = 0; b < DP_WORKER_MAX; b++) {
			void *m;

			while (sh->ring[a][b] != NULL && rte_ring_dequeue(sh->ring[a][b], &m) == 0) {
				dp_mbuf_forget(m);
				rte_pktmbuf_free(m);
			}
			rte_ring_free(sh->ring[a][b]);
			sh->ring[a][b] = NULL;
		}
	}
}
