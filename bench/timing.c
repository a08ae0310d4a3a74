/* SPDX-License-Identifier: BSD-3-Clause */
/* Timed batches, and cases in which several implementations take turns. */
#include <stdlib.h>

#include "bench.h"

#define BATCHES_MAX 4096

static int cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

double bench_batches(unsigned int (*prepare)(void *arg), void (*work)(void *arg), void *arg, unsigned int n_min,
		     uint64_t ticks)
{
	static uint64_t t[BATCHES_MAX];
	unsigned int n = 0, items = 0, size;
	uint64_t spent = 0;

	while (n < n_min || (spent < ticks && n < BATCHES_MAX)) {
		size = prepare(arg);
		if (size == 0)
			continue;
		items = size; /* each is as large as the others */
		t[n] = bench_tsc();
		work(arg);
		t[n] = bench_tsc() - t[n];
		spent += t[n++];
	}
	qsort(t, n, sizeof(t[0]), cmp);
	return (double)t[n / 2] / (double)items;
}

void bench_contest_run(const struct bench_opts *opts, const struct bench_contest *c, json_t *kase)
{
	unsigned int runs = opts->runs > 0 ? opts->runs : opts->quick ? 5 : 9, cnt[BENCH_IMPLS];
	uint64_t ticks = (uint64_t)(opts->tsc_hz * (opts->quick ? 0.003 : 0.012));
	static double tsc[BENCH_IMPLS][BENCH_RUNS_MAX], value[BENCH_IMPLS][BENCH_RUNS_MAX];
	double over[BENCH_RUNS_MAX];

	for (unsigned int v = 0; v < c->n; v++) {
		unsigned int most = c->runs_max != NULL ? c->runs_max[v] : 0;

		cnt[v] = most > 0 && runs > most ? most : runs;
		c->measure(v, c->ctx, most > 0 ? 1 : ticks / 4); /* warm */
	}
	for (unsigned int r = 0; r < runs; r++) {
		for (unsigned int v = 0; v < c->n; v++) {
			if (r >= cnt[v])
				continue;
			tsc[v][r] = c->measure(v, c->ctx, c->runs_max != NULL && c->runs_max[v] > 0 ? 1 : ticks);
			value[v][r] = opts->tsc_hz / tsc[v][r];
		}
		over[r] = c->raw > 0 ? tsc[0][r] - tsc[c->raw][r] : 0;
	}
	for (unsigned int v = 1; v < c->n; v++) {
		json_t *more = json_pack("{s:f, s:i}", "peer_cycles", bench_quantile(tsc[v], cnt[v], 0.5), "burst",
					 (int)c->burst);

		if (c->raw > 0)
			json_object_set_new(more, "over_raw", json_real(bench_quantile(over, runs, 0.5)));
		bench_row(opts, &(struct bench_row){
			.bench = c->bench,
			.kase = json_incref(kase),
			.unit = c->unit,
			.peer = c->names[v],
			.value = value[0],
			.peer_value = value[v],
			.runs = runs,
			.peer_runs = cnt[v],
			.cycles = bench_quantile(tsc[0], runs, 0.5),
			.more = more,
		});
	}
	json_decref(kase);
}
