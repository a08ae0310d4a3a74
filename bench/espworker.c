/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ravelin-bench esp, a whole worker that receives ESP (AES-GCM-128, transport mode, 1,000 gateways): the receive ring, headers, the SA by
 * its SPI, decryption, what is within. That is UDP to a port of nobody's, so each ends as l4_proto, its buffer wiped: the
 * worker's own part is the same for what it keeps. 'feeder' is the core that wrote the packets: another one, whose lines have to
 * come over, which no NIC asks for; or the worker's own, as if a NIC had put them into its cache.
 */
#include "loop_priv.h" /* first: see peer.h */

#include <stdio.h>

#include "counters.h"
#include "gwload.h"

#define GATEWAYS 1000
#define BATCHES  BENCH_RUNS_MAX

static json_t *case_of(unsigned int size, bool own)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:s}", "suite", "AES_GCM_128", "op", "decap", "size", (int)size, "sas", GATEWAYS, "feeder",
			 own ? "own" : "other");
}

/* Ticks per packet. 0: not every packet authenticated, and ended as it should. */
static double run(unsigned int size, bool own, unsigned int batches)
{
	const struct dp_page_worker *c = &dp_page_workers(bench_l.node.page)[0];
	double v[BENCH_RUNS_MAX];

	bench_loop_hold();
	/* Of one's own as many as stay in a cache of 2 MB. */
	for (unsigned int b = 0, n = own ? BENCH_GW_BATCH / 4 : BENCH_GW_BATCH; b < batches; b++) {
		uint64_t in = c->esp_in, drop = c->drop[DP_DROP_L4_PROTO];

		bench_gw_flood(n, size);
		v[b] = own ? bench_gw_phase_here(n) : bench_gw_phase(false, n);
		if (c->esp_in - in != n || c->drop[DP_DROP_L4_PROTO] - drop != n) {
			fprintf(stderr, "ravelin-bench esp: results differ: of %u packets %lu authenticated\n", n,
				(unsigned long)(c->esp_in - in));
			return 0;
		}
	}
	bench_mode_all(BENCH_ROUNDS);
	return bench_quantile(v, batches, 0.5);
}

static int rows(const struct bench_opts *opts)
{
	static const unsigned int sizes[] = {64, 256, 512, 1400};
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 3 : 9, batches = opts->quick ? 8 : BATCHES;
	int rc = bench_gw_up(opts, GATEWAYS) < 0;

	for (size_t k = 0; k < 8 && rc == 0; k++) {
		double value[BENCH_RUNS_MAX], tsc[BENCH_RUNS_MAX];
		unsigned int size = sizes[k / 2];
		bool own = k % 2 == 0;

		if (!bench_wanted_free(opts, case_of(size, own)))
			continue;
		for (unsigned int r = 0; r < runs && rc == 0; r++) {
			tsc[r] = run(size, own, batches);
			value[r] = opts->tsc_hz / tsc[r];
			rc = tsc[r] == 0;
		}
		if (rc == 0)
			bench_row(opts, &(struct bench_row){.bench = "esp", .kase = case_of(size, own), .unit = "packet/s/core", .value = value, .runs = runs,
							    .cycles = bench_quantile(tsc, runs, 0.5),
							    .more = json_pack("{s:f, s:b}", "gbit_s", bench_quantile(value, runs, 0.5) * size * 8 / 1e9,
											      "hugepages", bench_l.huge)});
	}
	return rc | bench_gw_down();
}

int bench_esp_worker(const struct bench_opts *opts)
{
	static const unsigned int sizes[] = {64, 256, 512, 1400};
	bool any = false;

	for (size_t k = 0; k < 8; k++)
		any = bench_wanted_free(opts, case_of(sizes[k / 2], k % 2 == 0)) || any;
	return any ? bench_isolated(opts, rows) : 0;
}
