/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the workers are asked to look at: captures of legs, a trace of packets. The main lcore publishes a whole new
 * struct by pointer (node->watch, under rte_rcu_qsbr) and frees the old one after every worker has passed it; a worker
 * takes the pointer once a round. While nobody looks it is NULL, and that test is all that a packet pays.
 */
#ifndef DP_WATCH_H
#define DP_WATCH_H

#include <stdint.h>

#include "dp_msg.h"

struct dp_watch_capture {
	uint32_t leg_id;
	uint32_t snap_len; /* bytes of each packet; UINT32_MAX: all */
	uint8_t side;      /* enum dp_capture_side */
	uint8_t slot;      /* which of the DP_CAPTURE_MAX */
};

struct dp_watch {
	uint32_t capture_cnt;
	struct dp_watch_capture capture[DP_CAPTURE_MAX];
	struct dp_trace trace; /* count 0: none */
};

#endif
