/* SPDX-License-Identifier: BSD-3-Clause */
#include "quality.h"

#include <math.h>

#include "emodel.h"

static double share(uint64_t part, uint64_t whole)
{
	return whole == 0 ? 0 : (double)part / (double)whole;
}

void dp_quality_of(const struct dp_page_leg *pg, struct dp_quality *q)
{
	double hz = pg->clock_hz != 0 ? (double)pg->clock_hz : 8000;
	uint64_t sent = pg->tx_pkts > pg->tx_rtcp ? pg->tx_pkts - pg->tx_rtcp : 0;
	struct dp_emodel_in in = {.codec = pg->codec < DP_CODEC_MAX ? (enum dp_codec)pg->codec : DP_CODEC_OTHER,
				  .ptime_ms = (unsigned)pg->ptime_ms};
	int64_t away = (int64_t)pg->rtcp.lost;

	*q = (struct dp_quality){.rx_r = NAN, .tx_r = NAN};
	q->rx_lost = pg->rtp.expected > pg->rtp.received ? pg->rtp.expected - pg->rtp.received : 0;
	q->rx_loss = share(q->rx_lost, pg->rtp.expected);
	q->rx_jitter_ms = (double)pg->rtp.jitter / 16 * 1000 / hz;
	/* RFC 3550 lets duplicates make the loss negative. */
	q->tx_loss = away > 0 && sent > 0 ? fmin(1, (double)away / (double)sent) : 0;
	q->tx_jitter_ms = (double)pg->rtcp.jitter * 1000 / hz;
	q->rtt_ms = (double)pg->rtcp.rtt_us / 1000;
	if (!dp_emodel_has(in.codec))
		return;
	in.network_ms = q->rtt_ms / 2;
	if (pg->rtp.expected > 0) {
		in.loss = q->rx_loss;
		in.jitter_ms = q->rx_jitter_ms;
		q->rx_r = dp_emodel_r(&in);
	}
	if (pg->rtcp.reports > 0) {
		in.loss = q->tx_loss;
		in.jitter_ms = q->tx_jitter_ms;
		q->tx_r = dp_emodel_r(&in);
	}
}
