/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the list of policies (ipsec/spd.h) says of a worker's packets. RFC 4301 s5.1, s5.2. Without a list (w->spd is NULL)
 * everything is as the defaults have it: media, ICMP and what is IPsec's own (ESP, IKE, keep-alives) in clear; a gateway's MGCP
 * by its record, which mgcp/deliver.c sees to: inside the gateway's SA, in clear only where the record allows it. A policy
 * can refuse more than that, never allow more: what a gateway's record demands is demanded whatever the list says.
 * ARP, neighbour discovery, ESP and IKE are not looked up. All: worker.
 */
#ifndef DP_POLICY_H
#define DP_POLICY_H

#include "ipsec/spd.h"
#include "worker.h"

/** Another list than in the round before: what is kept of it, and the counters, begin anew. */
void dp_policy_changed(struct dp_worker *w);

/** The policy for a flow, counted; NULL: none fits. */
const struct dp_spd_policy *dp_policy_find(struct dp_worker *w, const struct dp_spd_flow *flow);

/** A packet that came in clear; 'data' is where f's offsets count from. DP_OK, DP_DROP_POLICY, DP_DROP_POLICY_DISCARD. */
enum dp_drop dp_policy_clear_in(struct dp_worker *w, const uint8_t *data, const struct dp_frame *f);

/** A packet that is about to leave in clear: the same verdicts. */
enum dp_drop dp_policy_clear_out(struct dp_worker *w, const uint8_t *data, const struct dp_frame *f);
enum dp_drop dp_policy_clear_flow(struct dp_worker *w, const struct dp_spd_flow *flow);

/** A packet that came out of an SA. DP_OK, DP_DROP_POLICY_SEALED, DP_DROP_POLICY_DISCARD. */
enum dp_drop dp_policy_sealed_in(struct dp_worker *w, const uint8_t *data, const struct dp_frame *f);

/** UDP of ours to somebody. Addresses as in struct dp_frame: 16 bytes. */
static inline struct dp_spd_flow dp_policy_udp_out(uint8_t family, const uint8_t *local, uint16_t local_port, const uint8_t *remote,
						   uint16_t remote_port)
{
	struct dp_spd_flow flow = {.local_port = local_port, .remote_port = remote_port, .proto = DP_PROTO_UDP,
				   .family = family, .dir = DP_SPD_OUT};

	memcpy(flow.local, local, 16);
	memcpy(flow.remote, remote, 16);
	return flow;
}

#endif
