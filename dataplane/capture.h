/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker's part of a capture: copies packets of a watched leg into its ring (capring.h). Called only while
 * something is watched (w->watch). What does not fit is counted (w->cap_lost), never waited for.
 */
#ifndef DP_CAPTURE_H
#define DP_CAPTURE_H

#include "worker.h"

/** A frame as it is on the wire, for the captures of side 'cipher' of a leg. RECV: it came for the leg. Its worker. */
void dp_capture_wire(struct dp_worker *w, uint32_t leg_id, enum dp_dir dir, const struct rte_mbuf *m);

/** Where a decrypted packet comes from and goes to: addresses as in struct dp_frame, ports in host order. */
struct dp_capture_path {
	uint8_t family;
	const uint8_t *src, *dst;
	uint16_t src_port, dst_port;
};

/**
 * RTP or RTCP in clear, 'len' bytes, for the captures of side 'plain' of a leg, behind IP and UDP headers that are made
 * for it (with a UDP checksum). RECV: from the leg's party. Its worker.
 */
void dp_capture_clear(struct dp_worker *w, uint32_t leg_id, enum dp_dir dir, const struct dp_capture_path *path,
		      const uint8_t *data, uint16_t len);

#endif
