/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the benches of ravelin-bench share: options, timing, statistics, and the rows they print (JSON lines with
 * -j, a table without). A bench is one function in one file, listed in main.c.
 */
#ifndef RV_BENCH_H
#define RV_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <x86intrin.h>

#include <jansson.h>

#define BENCH_RUNS_MAX 64

struct bench_opts {
	bool json, quick;
	int cpu;            /* pinned to; -1: the last one */
	unsigned int runs;  /* 0: the bench's own choice */
	unsigned int burst; /* 0: the bench's own choice */
	const char *only;   /* "key=value[,key=value]": cases to run; NULL: all */
	double tsc_hz;
};

/* One case against one peer. 'kase' is taken over by bench_row(). */
struct bench_row {
	const char *bench;
	json_t *kase;        /* object: the case keys of the architecture page */
	const char *unit;    /* "packet/s/core", ... */
	const char *peer;    /* NULL: none */
	const double *value; /* per run, in 'unit' */
	const double *peer_value; /* of the same runs, interleaved; peer_runs of them */
	unsigned int runs, peer_runs;
	double cycles;       /* TSC ticks per item, median; 0: not given */
	json_t *more;        /* object of further fields, or NULL; taken over */
};

/** Print a row; compare it with the baseline, if there is one. */
void bench_row(const struct bench_opts *opts, const struct bench_row *row);

/** Is a case wanted (--only)? The object is the caller's. */
bool bench_wanted(const struct bench_opts *opts, const json_t *kase);

/** Quantile 0..1 of v[0..n-1]; v is not changed. n at most BENCH_RUNS_MAX, above 0. */
double bench_quantile(const double *v, unsigned int n, double q);

/** Seconds since some fixed time. */
double bench_now(void);

/** Pin the calling thread. */
void bench_pin(int cpu);

static inline uint64_t bench_tsc(void)
{
	unsigned int aux;
	uint64_t t = __rdtscp(&aux);

	_mm_lfence();
	return t;
}

/* The benches: 0, or 1 if something measured was wrong. */
int bench_srtp(const struct bench_opts *opts);
int bench_mgcp(const struct bench_opts *opts);
int bench_esp(const struct bench_opts *opts);
int bench_register(const struct bench_opts *opts);
int bench_media(const struct bench_opts *opts);
int bench_store(const struct bench_opts *opts);

#endif
