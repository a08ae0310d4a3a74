/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Policing of what comes in, by rte_meter (RFC 2697 with packets for bytes and no excess burst), before any crypto.
 *
 * A leg's own rate holds for packets from its known source. A packet from anywhere else, which a secure leg would have to
 * authenticate to find out whether its party moved, is metered by where it comes from: a table of fixed size, by a keyed
 * hash of the source address, so that one source, or one forged address, gets no more crypto out of a worker than its
 * rate, and whoever floods does not touch the meter of a leg.
 */
#ifndef DP_POLICE_H
#define DP_POLICE_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_meter.h>

#define DP_POLICE_NONE  UINT32_MAX /* packets a second: no limit */
#define DP_POLICE_SLOTS 1024       /* sources per worker that are told apart, as far as the hash does */
#define DP_POLICE_BURST 64         /* packets at once, at least */

/* A rate. period 0: no limit. */
struct dp_rate {
	uint32_t period; /* TSC cycles for one packet */
	uint32_t burst;  /* packets: half a second's, at least DP_POLICE_BURST */
};

struct dp_police {
	struct dp_rate rate;
	uint64_t secret[2];
	struct rte_meter_srtcm slot[DP_POLICE_SLOTS];
};

/** 'pps' packets a second, 0 or DP_POLICE_NONE: no limit. 'hz' is the TSC's. */
struct dp_rate dp_rate_of(uint32_t pps, uint64_t hz);

/** A full bucket. */
static inline void dp_rate_start(struct rte_meter_srtcm *m, const struct dp_rate *r, uint64_t now_cyc)
{
	m->time = now_cyc;
	m->tc = r->burst;
	m->te = 0;
}

/** One packet: within the rate? Worker. */
static inline bool dp_rate_pass(struct rte_meter_srtcm *m, uint32_t period, uint32_t burst, uint64_t now_cyc)
{
	struct rte_meter_srtcm_profile p = {.cbs = burst, .ebs = 0, .cir_period = period, .cir_bytes_per_period = 1};

	return rte_meter_srtcm_color_blind_check(m, &p, now_cyc, 1) == RTE_COLOR_GREEN;
}

/** For one worker. 0 or -EIO (no random numbers). */
int dp_police_init(struct dp_police *p, uint32_t pps, uint64_t hz, uint64_t now_cyc);

/** A packet from a source that is not known: within its rate? 'src' as in struct dp_frame. Worker. */
bool dp_police_source(struct dp_police *p, uint8_t family, const uint8_t *src, uint64_t now_cyc);

#endif
