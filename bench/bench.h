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
	unsigned int phones; /* of a boot storm; 0: the bench's own choice */
	unsigned int gateways; /* of a farm; 0: the bench's own choice */
	bool spoil;         /* flip a bit of one packet of ours before it is checked: the bench must fail */
	const char *only;   /* "key=value[,key=value]": cases to run; NULL: all */
	double tsc_hz;
	struct bench_plan_opts {
		unsigned int calls, ptime_ms, port_gbit;
		const char *codec, *suite;
		bool both_legs, rtcp;
	} plan;
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

/** A JSON line of its own (with -j), or text: why cases are missing. {"bench": ..., "note": ...} */
void bench_note(const struct bench_opts *opts, const char *bench, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** Is a case wanted (--only)? The object is the caller's. */
bool bench_wanted(const struct bench_opts *opts, const json_t *kase);

/** The same; takes the object over. */
bool bench_wanted_free(const struct bench_opts *opts, json_t *kase);

/** What --baseline read: an array of rows, or NULL. Borrowed. */
const json_t *bench_baseline(void);

/** Collect rows instead of printing them, until it is given NULL; 'rows' is an array of the caller's. */
void bench_collect(json_t *rows);

/** Memory for n things of 'size' bytes, zeroed, on cache lines; aborts without. free() it. */
void *bench_array(size_t n, size_t size);

/* --- timing, timing.c --- */

/*
 * TSC ticks per item: the median over batches, of at least 'ticks' of work, so that a batch in which the core was taken
 * away does not make the figure. 'prepare' makes a batch ready and returns its items, untimed; 0: not this one. 'work'
 * is timed. n_min batches at least.
 */
double bench_batches(unsigned int (*prepare)(void *arg), void (*work)(void *arg), void *arg, unsigned int n_min,
		     uint64_t ticks);

/*
 * One case in which several do the same work in turn: number 0 is ours, each other one gets a row. 'measure' returns TSC
 * ticks per item of about 'ticks' of work (1: as little as can be).
 */
struct bench_contest {
	const char *bench, *unit;
	unsigned int n;              /* implementations, at most BENCH_IMPLS */
	const char *const *names;
	const unsigned int *runs_max; /* per implementation, 0: as all; such a one gets no more than a batch. May be NULL */
	double (*measure)(unsigned int v, void *ctx, uint64_t ticks);
	void *ctx;
	unsigned int raw;            /* the one that 'over_raw' is counted from; 0: none */
	unsigned int burst;
};
#define BENCH_IMPLS 8

/** Run it and print its rows; 'kase' is taken over. */
void bench_contest_run(const struct bench_opts *opts, const struct bench_contest *c, json_t *kase);

/**
 * Run a bench in a child process: EAL can be started once in a process, and memory that a bench leaves behind is not the
 * next one's. Returns what it returned, 1 if it died.
 */
int bench_isolated(const struct bench_opts *opts, int (*run)(const struct bench_opts *opts));

/** Quantile 0..1 of v[0..n-1]; v is not changed. n at most BENCH_RUNS_MAX, above 0. */
double bench_quantile(const double *v, unsigned int n, double q);

/** Seconds since some fixed time. */
double bench_now(void);
/** CPU time of this thread in seconds. */
double bench_thread_s(void);
/** Remove a directory and all below. */
void bench_rm(const char *dir);
/** For qsort(3): floats, the least first. */
int bench_by_float(const void *a, const void *b);

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
int bench_esp_worker(const struct bench_opts *opts); /* its rows of a whole worker */
int bench_farm(const struct bench_opts *opts);
int bench_register(const struct bench_opts *opts);
int bench_dial(const struct bench_opts *opts);
int bench_call(const struct bench_opts *opts);
int bench_drill(const struct bench_opts *opts);
int bench_enrol(const struct bench_opts *opts);
int bench_tvs(const struct bench_opts *opts);
int bench_sign(const struct bench_opts *opts);
int bench_tftp(const struct bench_opts *opts);
int bench_http(const struct bench_opts *opts);
int bench_boot(const struct bench_opts *opts);
int bench_media(const struct bench_opts *opts);
int bench_moh(const struct bench_opts *opts);
int bench_store(const struct bench_opts *opts);
int bench_overload(const struct bench_opts *opts);
int bench_latency(const struct bench_opts *opts);
int bench_scaling(const struct bench_opts *opts);
int bench_plan(const struct bench_opts *opts);

#endif
