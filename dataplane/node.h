/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Putting a dataplane together and taking it apart, between EAL's start and its end. Main lcore.
 */
#ifndef DP_NODE_H
#define DP_NODE_H

#include "worker.h"

/**
 * Make pools, counter page, leg table and rings for 'cfg', for 'worker_cnt' workers. 'tag' (up to 6 characters) keeps
 * names of several nodes in one process apart. Ports come next (dp_node_port), then dp_node_workers().
 * 0 or negative errno, logged; after an error call dp_node_fini().
 */
int dp_node_init(struct dp_node *node, const struct cfg *cfg, uint16_t worker_cnt, const char *tag);

/** Take ethdev 'id' as the next port, with the addresses of 'pc', and start it. 0 or negative errno, logged. */
int dp_node_port(struct dp_node *node, uint16_t id, const struct cfg_dp_port *pc);

/** With all ports there: check media addresses, make the workers. lcores[i] is worker i's. 0 or negative errno, logged. */
int dp_node_workers(struct dp_node *node, const uint16_t *lcores);

/**
 * After the workers' loops have ended: stop the ports, free everything. Returns the number of packet buffers that did
 * not come back.
 */
uint32_t dp_node_fini(struct dp_node *node);

/** Exchange the next-hop snapshot; the old one is freed once every worker has passed a quiescent state (waits for it). */
void dp_node_publish(struct dp_node *node, struct dp_nh_snap *snap);

/** The same for the list of policies; NULL: none. */
void dp_node_publish_spd(struct dp_node *node, struct dp_spd *spd);

/** Bytes per leg with an AES-CM suite: record, two keys, shares of the tables. */
uint32_t dp_node_leg_bytes(void);

#endif
