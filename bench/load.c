/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker that runs freely while the generator, on the other core, offers packets at a steady rate (loop.h):
 *  overload  the peak is the highest rate delivered on a way up; then twice as much is offered. What the receive ring has
 *            no room for is missed, as a NIC would; what the worker drops it drops under a reason
 *  latency   at 70 % of that peak, from when a packet was due to when the generator found it sent. The clock of what is
 *            due does not wait for anybody, so a stall counts in full for every packet it held up
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"

static const struct bench_flow flows[] = {
	{DP_SRTP_NONE, DP_AES_CM_128_HMAC_SHA1_80, 4, 4, 160, 10000},
	{DP_AES_CM_128_HMAC_SHA1_80, DP_AES_CM_128_HMAC_SHA1_80, 4, 4, 160, 10000},
	{DP_SRTP_NONE, DP_AEAD_AES_128_GCM, 4, 4, 160, 10000},
};
#define FLOW_CNT (sizeof(flows) / sizeof(flows[0]))

/* Where to look for the peak: a worker's own rate in batches. 0: something is wrong. */
static double own_rate(const struct bench_opts *opts)
{
	static struct bench_sample s[BENCH_BATCHES_MAX];
	unsigned int n = opts->quick ? 32 : 128;

	return bench_loop_run(n, s) ? opts->tsc_hz / bench_loop_median(s, offsetof(struct bench_sample, cyc), n) : 0;
}

/* The highest rate that was delivered. 0: something is wrong. */
static double peak_of(double own, double seconds)
{
	double peak = 0;

	for (unsigned int k = 5; k <= 13; k++) {
		struct bench_offer o = {0};

		bench_loop_neighbours();
		if (!bench_loop_offer(own * k / 10, seconds, &o))
			return 0;
		if ((double)o.delivered / o.seconds > peak)
			peak = (double)o.delivered / o.seconds;
	}
	return peak;
}

static json_t *case_of(const struct bench_flow *f, const char *key, int percent)
{
	json_t *k = bench_flow_case(f);

	json_object_set_new(k, key, json_integer(percent));
	return k;
}

static int overload(const struct bench_opts *opts, const struct bench_flow *f)
{
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 3 : 7;
	double seconds = opts->quick ? 0.05 : 0.25, value[BENCH_RUNS_MAX], share[BENCH_RUNS_MAX], peaks[BENCH_RUNS_MAX];
	double times[BENCH_RUNS_MAX];
	uint64_t missed = 0, offered = 0, drop[DP_DROP_MAX] = {0};

	for (unsigned int r = 0; r < runs; r++) {
		struct bench_offer o = {0};
		double own = own_rate(opts), peak = own > 0 ? peak_of(own, seconds) : 0;

		bench_loop_neighbours();
		if (peak <= 0 || !bench_loop_offer(2 * peak, seconds, &o))
			return 1;
		value[r] = (double)o.delivered / o.seconds;
		share[r] = value[r] / peak;
		peaks[r] = peak;
		times[r] = (double)o.offered / o.seconds / peak;
		missed += o.missed;
		offered += o.offered;
		for (unsigned int d = 1; d < DP_DROP_MAX; d++)
			drop[d] += o.drop[d];
	}
	bench_row(opts, &(struct bench_row){
		.bench = "overload", .kase = case_of(f, "offered", 200), .unit = "packet/s/core", .value = value, .runs = runs,
		.more = json_pack("{s:f, s:f, s:f, s:I, s:I, s:o, s:b}", "share", bench_quantile(share, runs, 0.5), "peak",
				  bench_quantile(peaks, runs, 0.5), "offered_times", bench_quantile(times, runs, 0.5),
				  "offered", (json_int_t)offered, "rx_missed", (json_int_t)missed, "drops",
				  bench_loop_drops(drop), "accounted", 1)});
	if (!opts->json)
		printf("overload  %.1f %% of the peak of %.4g delivered at %.2f times the peak; %.1f %% missed at the ring\n",
		       bench_quantile(share, runs, 0.5) * 100, bench_quantile(peaks, runs, 0.5),
		       bench_quantile(times, runs, 0.5), (double)missed / (double)offered * 100);
	return 0;
}

static int cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int latency(const struct bench_opts *opts, const struct bench_flow *f)
{
	static const double at[4] = {0.5, 0.99, 0.999, 1.0};
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 3 : 7;
	double seconds = opts->quick ? 0.1 : 0.5, us[4][BENCH_RUNS_MAX], rates[BENCH_RUNS_MAX];
	struct bench_offer o = {.lat_max = 16u << 20};
	int rc = 0;

	o.lat = bench_array(o.lat_max, sizeof(*o.lat));
	for (unsigned int r = 0; r < runs && rc == 0; r++) {
		double own = own_rate(opts), peak = own > 0 ? peak_of(own, seconds / 4) : 0;

		bench_loop_neighbours();
		if (peak <= 0 || !bench_loop_offer(0.7 * peak, seconds, &o) || o.lat_n == 0) {
			rc = 1;
			break;
		}
		qsort(o.lat, o.lat_n, sizeof(*o.lat), cmp);
		for (unsigned int q = 0; q < 4; q++)
			us[q][r] = o.lat[(uint32_t)(at[q] * (o.lat_n - 1))] / opts->tsc_hz * 1e6;
		rates[r] = (double)o.offered / o.seconds;
	}
	if (rc == 0) {
		double p50 = bench_quantile(us[0], runs, 0.5), p99 = bench_quantile(us[1], runs, 0.5);
		double p999 = bench_quantile(us[2], runs, 0.5);

		bench_row(opts, &(struct bench_row){
			.bench = "latency", .kase = case_of(f, "load", 70), .unit = "us p99", .value = us[1], .runs = runs,
			.more = json_pack("{s:f, s:f, s:f, s:f, s:f}", "p50_us", p50, "p99_us", p99, "p999_us", p999, "max_us",
					  bench_quantile(us[3], runs, 0.5), "rate", bench_quantile(rates, runs, 0.5))});
		if (!opts->json)
			printf("latency  p50 %.1f us, p99 %.1f us, p99.9 %.1f us at %.4g packets a second\n", p50, p99, p999,
			       bench_quantile(rates, runs, 0.5));
	}
	free(o.lat);
	return rc;
}

static int each(const struct bench_opts *opts, const char *key, int percent,
		int (*one)(const struct bench_opts *opts, const struct bench_flow *f))
{
	cpu_set_t had;
	int rc = 0;

	(void)sched_getaffinity(0, sizeof(had), &had);
	if (bench_loop_up(opts, 1, false) < 0)
		rc = 1;
	for (unsigned int k = 0; k < FLOW_CNT && rc == 0; k++) {
		if (!bench_wanted_free(opts, case_of(&flows[k], key, percent)))
			continue;
		if (bench_loop_flow(opts, &flows[k]) < 0)
			bench_note(opts, percent == 70 ? "latency" : "overload", "a suite is not taken by this build");
		else
			rc = one(opts, &flows[k]);
	}
	rc |= bench_loop_down();
	(void)sched_setaffinity(0, sizeof(had), &had);
	return rc;
}

int bench_overload(const struct bench_opts *opts)
{
	return each(opts, "offered", 200, overload);
}

int bench_latency(const struct bench_opts *opts)
{
	return each(opts, "load", 70, latency);
}
