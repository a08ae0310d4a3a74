/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ravelin-bench scaling: N workers on N cores, each with its own shards, legs and queues, fed by itself so that no core is
 * left out for a generator: on each core a batch is made, then all cores begin their rounds together, and the time of
 * each from its full receive ring to the empty one counts. What workers share (last-level cache, memory, counter page) they
 * share at that time. For N = 1 the same, so that the rows compare.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "loop.h"

static unsigned int workers;

static json_t *case_of(const struct bench_flow *f)
{
	json_t *k = bench_flow_case(f);

	json_object_set_new(k, "workers", json_integer((json_int_t)workers));
	return k;
}

static int one_case(const struct bench_opts *opts, const struct bench_flow *f)
{
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 3 : 7, batches = opts->quick ? 16 : 64;
	struct bench_sample *s = bench_array((size_t)workers * BENCH_BATCHES_MAX, sizeof(*s));
	double value[BENCH_RUNS_MAX], cyc[BENCH_RUNS_MAX], total[BENCH_RUNS_MAX];
	int rc = 0;

	if (bench_loop_flow(opts, f) < 0)
		rc = 1;
	for (unsigned int r = 0; r < runs && rc == 0; r++) {
		bench_loop_neighbours();
		if (!bench_loop_self(batches, s)) {
			rc = 1;
			break;
		}
		total[r] = 0;
		for (unsigned int w = 0; w < workers; w++)
			total[r] += opts->tsc_hz / bench_loop_median(&s[w * BENCH_BATCHES_MAX],
								      offsetof(struct bench_sample, cyc), batches);
		value[r] = total[r] / workers;
		cyc[r] = opts->tsc_hz / value[r];
	}
	free(s);
	if (rc != 0) {
		fprintf(stderr, "ravelin-bench: scaling: packets were lost or changed\n");
		return rc;
	}
	bench_row(opts, &(struct bench_row){.bench = "scaling", .kase = case_of(f), .unit = "packet/s/core", .value = value,
					    .runs = runs, .cycles = bench_quantile(cyc, runs, 0.5),
					    .more = json_pack("{s:f, s:i}", "total", bench_quantile(total, runs, 0.5), "cores",
							      (int)sysconf(_SC_NPROCESSORS_ONLN))});
	return 0;
}

/* In a process of its own: the number of workers is fixed when a node starts. */
static int with_workers(const struct bench_opts *opts)
{
	static const uint8_t ways[][2] = {{DP_SRTP_NONE, DP_AES_CM_128_HMAC_SHA1_80},
					  {DP_AES_CM_128_HMAC_SHA1_80, DP_AES_CM_128_HMAC_SHA1_80}};
	uint32_t legs = 10000 * workers < BENCH_LEGS_MAX ? 10000 * workers : BENCH_LEGS_MAX;
	int rc = 0;
	bool up = false;

	for (unsigned int k = 0; k < 2 && rc == 0; k++) {
		struct bench_flow f = {ways[k][0], ways[k][1], 4, 4, 160, legs};

		if (!bench_wanted_free(opts, case_of(&f)))
			continue;
		if (!up && bench_loop_up(opts, workers, true) < 0)
			rc = 1;
		up = true;
		if (rc == 0)
			rc = one_case(opts, &f);
	}
	if (up)
		rc |= bench_loop_down();
	return rc;
}

int bench_scaling(const struct bench_opts *opts)
{
	unsigned int cpus = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
	int rc = 0;

	if (cpus > DP_WORKER_MAX)
		cpus = DP_WORKER_MAX;
	for (workers = 1; workers <= cpus; workers = workers < cpus && workers * 2 > cpus ? cpus : workers * 2)
		rc |= bench_isolated(opts, with_workers);
	return rc;
}
