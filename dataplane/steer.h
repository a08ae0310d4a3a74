/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a NIC puts a packet: the receive queue of the worker that owns its shard, by rte_flow rules, where the NIC takes
 * them; else RSS spreads packets over the queues and the handoff rings bring them to their owners (shard.h).
 *
 * Two rules for each shard and IP version: UDP to the shard's 256 media ports (a mask: a shard begins at a multiple of 256
 * if media.base_port does; else RSS it is), and ESP by the low six bits of the SPI. What no rule is for stays with RSS. A
 * device steers by rule only if it takes all of them at two priorities: half a set would bring packets of one stream by
 * two ways, and when a shard moves its new rules are made at the other priority before the old ones go, so that there
 * is no moment in which RSS has the packets.
 *
 * Written against rte_flow's functions as a table, for no NIC that takes such rules was at hand: tests have a fake.
 */
#ifndef DP_STEER_H
#define DP_STEER_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_flow.h>

#include "dp_msg.h"

struct dp_node;

#define DP_STEER_RULES 4 /* of a shard: UDP and ESP over IPv4 and IPv6 */

/* rte_flow_validate(), rte_flow_create() and rte_flow_destroy(), or a test's. */
struct dp_steer_ops {
	int (*validate)(uint16_t port_id, const struct rte_flow_attr *attr, const struct rte_flow_item pattern[],
			const struct rte_flow_action actions[], struct rte_flow_error *error);
	struct rte_flow *(*create)(uint16_t port_id, const struct rte_flow_attr *attr, const struct rte_flow_item pattern[],
				   const struct rte_flow_action actions[], struct rte_flow_error *error);
	int (*destroy)(uint16_t port_id, struct rte_flow *flow, struct rte_flow_error *error);
};

/** For a test's fake; NULL: rte_flow. Before dp_steer_start(). */
void dp_steer_use(const struct dp_steer_ops *ops);

/** Rules for every shard on every device that takes them; logs which way each port steers. After the ports have started. */
void dp_steer_start(struct dp_node *node);

/** The shard's worker has changed in the map. */
void dp_steer_update(struct dp_node *node, uint32_t shard);

/** Before the ports stop. */
void dp_steer_stop(struct dp_node *node);

#endif
