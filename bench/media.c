/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ravelin-bench media: the whole round of a worker, from receive to send, on ports whose queues are rings in memory
 * (loop.h). The generator runs on the other core: while the worker goes through a batch, it empties the transmit ring and
 * makes the next batch. What is timed is the worker from a full receive ring to an empty one, in all and by stage.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "counters.h"
#include "dp_suite.h"
#include "loop.h"

#define CM  DP_AES_CM_128_HMAC_SHA1_80
#define GCM DP_AEAD_AES_128_GCM

static bool huge_said;

static void print_stages(const json_t *stages, const json_t *more)
{
	const char *name;
	json_t *v;

	printf("media  cycles by stage:");
	json_object_foreach((json_t *)(uintptr_t)stages, name, v)
		printf(" %s %.0f", name, json_real_value(v));
	if (!huge_said)
		printf("; %d bytes a leg; %.0f MiB of %.0f used, huge pages: %s",
		       (int)json_integer_value(json_object_get(more, "leg_bytes")),
		       json_real_value(json_object_get(more, "heap_used_mb")), json_real_value(json_object_get(more, "heap_mb")),
		       json_is_true(json_object_get(more, "hugepages")) ? "yes" : "no");
	huge_said = true;
	putchar('\n');
}

static int one_case(const struct bench_opts *opts, const struct bench_flow *flow)
{
	static struct bench_sample s[BENCH_BATCHES_MAX];
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 3 : 7, batches = opts->quick ? 32 : BENCH_BATCHES_MAX;
	double value[BENCH_RUNS_MAX], cyc[BENCH_RUNS_MAX], stage[DP_STAGE_MAX][BENCH_RUNS_MAX];
	json_t *more, *stages;

	if (!bench_wanted_free(opts, bench_flow_case(flow)))
		return 0;
	if (bench_loop_flow(opts, flow) < 0) {
		bench_note(opts, "media", "%s to %s: not taken by this build",
			   flow->from == DP_SRTP_NONE ? "RTP" : dp_suite(flow->from)->name,
			   flow->to == DP_SRTP_NONE ? "RTP" : dp_suite(flow->to)->name);
		return 0;
	}
	for (unsigned int r = 0; r < runs; r++) {
		bench_loop_neighbours();
		if (!bench_loop_run(batches, s)) {
			fprintf(stderr, "ravelin-bench: media: packets were lost or changed\n");
			return 1;
		}
		cyc[r] = bench_loop_median(s, offsetof(struct bench_sample, cyc), batches);
		value[r] = opts->tsc_hz / cyc[r];
		for (unsigned int k = 0; k < DP_STAGE_MAX; k++)
			stage[k][r] = bench_loop_median(s, offsetof(struct bench_sample, stage) + k * sizeof(uint64_t), batches);
	}
	stages = json_object();
	for (unsigned int k = 0; k < DP_STAGE_MAX; k++)
		json_object_set_new(stages, dp_stage_name(k), json_real(bench_quantile(stage[k], runs, 0.5)));
	more = bench_loop_memory();
	if (!opts->json)
		print_stages(stages, more);
	json_object_set_new(more, "stage_cycles", stages);
	bench_row(opts, &(struct bench_row){.bench = "media", .kase = bench_flow_case(flow), .unit = "packet/s/core",
					    .value = value, .runs = runs, .cycles = bench_quantile(cyc, runs, 0.5),
					    .more = more});
	return 0;
}

/* What is measured when nothing is asked for: a table that says what each property costs, not every combination. */
static int table(const struct bench_opts *opts)
{
	static const uint8_t ways[][2] = {{DP_SRTP_NONE, CM}, {CM, DP_SRTP_NONE}, {CM, CM}, {DP_SRTP_NONE, DP_SRTP_NONE}};
	static const uint32_t legs[] = {10000, 1000, BENCH_LEGS_MAX};
	struct bench_flow f = {.ip_in = 4, .ip_out = 4, .payload = 160};
	int rc = 0;

	for (unsigned int l = 0; l < 3; l++) /* legs */
		for (unsigned int w = 0; w < 4; w++) {
			f.legs = legs[l], f.from = ways[w][0], f.to = ways[w][1];
			rc |= one_case(opts, &f);
		}
	f.legs = 10000;
	for (unsigned int k = 0; k < 8; k++) { /* sizes */
		f.payload = k < 4 ? 20 : 1200, f.from = ways[k % 4][0], f.to = ways[k % 4][1];
		rc |= one_case(opts, &f);
	}
	f.payload = 160;
	for (unsigned int s = CM + 1; s < DP_SRTP_SUITE_MAX; s++) /* suites; in --quick the other two that matter */
		for (unsigned int w = 0; w < 3; w++) {
			if (opts->quick && s != GCM && s != DP_AES_256_CM_HMAC_SHA1_80)
				continue;
			f.from = w == 0 ? DP_SRTP_NONE : (uint8_t)s, f.to = w == 1 ? DP_SRTP_NONE : (uint8_t)s;
			rc |= one_case(opts, &f);
		}
	for (unsigned int k = 0; k < 2; k++) { /* from one suite to another */
		f.from = k == 0 ? CM : GCM, f.to = k == 0 ? GCM : CM;
		rc |= one_case(opts, &f);
	}
	for (unsigned int k = 0; k < 9; k++) { /* IPv6, and between the two */
		f.ip_in = k / 3 == 1 ? 4 : 6, f.ip_out = k / 3 == 2 ? 4 : 6;
		f.from = ways[k % 3][0], f.to = ways[k % 3][1];
		rc |= one_case(opts, &f);
	}
	return rc;
}

/* --only names what it wants: every combination may be it. */
static int combinations(const struct bench_opts *opts)
{
	static const uint32_t legs[] = {1000, 10000, BENCH_LEGS_MAX};
	static const uint16_t payloads[] = {20, 160, 1200};
	static const uint8_t ips[][2] = {{4, 4}, {6, 6}, {4, 6}, {6, 4}};
	unsigned int n = DP_SRTP_SUITE_MAX * DP_SRTP_SUITE_MAX * 3 * 3 * 4;
	int rc = 0;

	for (unsigned int k = 0; k < n; k++) {
		unsigned int ip = k % 4, r = k / 4;
		struct bench_flow f = {.ip_in = ips[ip][0], .ip_out = ips[ip][1], .payload = payloads[r % 3],
				       .legs = legs[r / 3 % 3], .from = (uint8_t)(r / 9 / DP_SRTP_SUITE_MAX),
				       .to = (uint8_t)(r / 9 % DP_SRTP_SUITE_MAX)};

		if (ip == 0 || f.legs <= BENCH_LEGS_IP6)
			rc |= one_case(opts, &f);
	}
	return rc;
}

/* Are from, to, payload and legs all said? Else the table is searched for what fits. */
static bool one_named(const struct bench_opts *opts)
{
	static const char *const keys[] = {"from=", "to=", "payload=", "legs="};
	unsigned int n = 0;

	for (unsigned int i = 0; i < 4 && opts->only != NULL; i++)
		n += strstr(opts->only, keys[i]) != NULL;
	return n == 4;
}

int bench_media(const struct bench_opts *opts)
{
	cpu_set_t had;
	int rc = 1;

	(void)sched_getaffinity(0, sizeof(had), &had);
	if (bench_loop_up(opts, 1, false) == 0)
		rc = one_named(opts) ? combinations(opts) : table(opts);
	rc |= bench_loop_down();
	(void)sched_setaffinity(0, sizeof(had), &had);
	return rc;
}
