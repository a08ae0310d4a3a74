/* SPDX-License-Identifier: BSD-3-Clause */
/* What the counters of a leg mean: shares, times, and what the E-model makes of them. */
#ifndef DP_QUALITY_H
#define DP_QUALITY_H

#include <stdint.h>

#include "api/dp_page.h"

struct dp_quality {
	uint64_t rx_lost;
	double rx_loss, tx_loss; /* shares, 0 to 1; tx as the party's RTCP reports it */
	double rx_jitter_ms, tx_jitter_ms;
	double rtt_ms;
	double rx_r, tx_r;       /* R factor; NAN: codec without published figures, or nothing heard yet */
};

/**
 * What a leg's counters mean. R of each direction takes this leg's network only: loss, jitter, half the round trip.
 * Some microseconds: not for the worker.
 */
void dp_quality_of(const struct dp_page_leg *leg, struct dp_quality *ret);

#endif
