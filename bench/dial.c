/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long a look-up of the dial plan takes with so many patterns: cp_dial() of a plan in a store, from a calling search space of three
 * partitions, beside the same question put to every pattern of the plan: to glibc's regexec(), each compiled once as an extended
 * expression, and to cp_pat_match(). By the processor's time of this thread: what else runs on the machine does not count. All three
 * must find the same pattern, or the bench fails.
 */
#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "dial/plan.h"
#include "store/dialrec.h"

#define PARTS      3
#define NUMBERS    4096
#define CHECKS     200  /* numbers of which all three must say the same */
#define GROUP      32   /* look-ups between two readings of the clock */
#define GROUPS_MAX 65536
#define RUNS       5

static const char *const parts[PARTS + 1] = {"near", "far", "abroad", ""}; /* in their order; the last is at the end of every list */

struct one {
	struct cp_pattern rec;
	struct cp_pat pat;
	regex_t re;
	unsigned rank;
};

struct dialler {
	unsigned cnt;
	struct one *all;
	char (*number)[CP_NUMBER_MAX];
	struct event_base *base;
	struct cp_store *store;
	struct cp_plan *plan;
	char dir[64];
	unsigned left; /* batches on their way */
	int rc;
};

static uint32_t seed = 1;

static unsigned rnd(unsigned below)
{
	seed = seed * 1664525u + 1013904223u;
	return (unsigned)(((uint64_t)(seed >> 4) * below) >> 28);
}

/* --- the plan: what a carrier's or a large site's has, and two kinds that a tree likes least, which begin with what fits many digits --- */

static void text_of(unsigned i, char *out, size_t size)
{
	unsigned n = (unsigned)(((uint64_t)i * 7919 + 13) % 1000000);

	switch (i % 10) {
	case 0:
		snprintf(out, size, "0.%06uXXXX", n);
		break;
	case 1:
		snprintf(out, size, "9.%06u[2-9]XX", n);
		break;
	case 2:
		snprintf(out, size, "+%06u!", n);
		break;
	case 3:
		snprintf(out, size, "00.%06u!", n);
		break;
	case 4:
		snprintf(out, size, "0.%03u[1-57]%03uX", n / 1000, n % 1000);
		break;
	case 5:
		snprintf(out, size, "%06u", n);
		break;
	case 6:
		snprintf(out, size, "*%06uX", n);
		break;
	case 7:
		snprintf(out, size, "X%06uX", n);
		break;
	case 8:
		snprintf(out, size, "[2-8]%06uXX", n);
		break;
	default:
		snprintf(out, size, "8%06uX!", n);
		break;
	}
}

/* Digits that fit it. */
static void number_of(const struct cp_pat *p, char out[CP_NUMBER_MAX])
{
	size_t n = 0;

	for (unsigned i = 0; i < p->cnt; i++) {
		unsigned more = p->many == (int)i ? rnd(4) : 0, d;

		do {
			do
				d = rnd(CP_SYM_CNT);
			while ((p->mask[i] >> d & 1) == 0);
			out[n++] = cp_sym_char(d);
		} while (more-- > 0);
	}
	out[n] = '\0';
}

static void expression_of(const struct cp_pat *p, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "^");

	for (unsigned i = 0; i < p->cnt; i++) {
		n += (size_t)snprintf(out + n, size - n, "[");
		for (unsigned d = 0; d < CP_SYM_CNT; d++)
			if ((p->mask[i] >> d & 1) != 0)
				n += (size_t)snprintf(out + n, size - n, "%c", cp_sym_char(d));
		n += (size_t)snprintf(out + n, size - n, "]%s", p->many == (int)i ? "+" : "");
	}
	snprintf(out + n, size - n, "$");
}

static void on_done(void *ctx, int rc)
{
	struct dialler *d = ctx;

	d->left--;
	if (rc < 0)
		d->rc = rc;
}

static int submit(struct dialler *d, struct cp_batch *b)
{
	int rc = cp_store_submit(d->store, b, on_done, d);

	d->left += rc == 0;
	while (rc == 0 && d->left > 0)
		event_base_loop(d->base, EVLOOP_ONCE);
	return rc < 0 ? rc : d->rc;
}

static int write_plan(struct dialler *d)
{
	struct cp_batch *b = cp_batch_create();
	struct cp_css_item items[PARTS] = {{{0}}};
	struct cp_css css = {.name = "all", .partitions = items, .partition_cnt = PARTS};
	char key[CP_DIAL_KEY_MAX];
	struct cp_buf val;
	int rc = 0;

	for (unsigned i = 0; i < PARTS; i++) {
		struct cp_partition p = {0};

		strcpy(items[i].partition, parts[i]);
		strcpy(p.name, parts[i]);
		cp_dial_key(key, "partition/", parts[i]);
		rc |= cp_partition_build(&p, &val) < 0 || cp_batch_put(b, CP_CF_DIAL, key, strlen(key), val.data, val.len) < 0;
		free(val.data);
	}
	cp_dial_key(key, "css/", "all");
	rc |= cp_css_build(&css, &val) < 0 || cp_batch_put(b, CP_CF_DIAL, key, strlen(key), val.data, val.len) < 0;
	free(val.data);
	for (unsigned i = 0; i < d->cnt && rc == 0; i++) {
		size_t n = cp_pattern_key(key, d->all[i].rec.partition, d->all[i].rec.pattern);

		rc = cp_pattern_build(&d->all[i].rec, &val);
		if (rc == 0)
			rc = cp_batch_put(b, CP_CF_DIAL, key, n, val.data, val.len);
		free(val.data);
		if (i % 1000 == 999 && rc == 0) {
			rc = submit(d, b);
			b = cp_batch_create();
		}
	}
	return rc != 0 ? -EINVAL : submit(d, b);
}

/* 0, or -1 and said why. */
static int make(struct dialler *d, unsigned cnt)
{
	struct cp_store_opts o = {.no_sync = true};
	char path[80], err[256] = "", text[2 * CP_PATTERN_MAX * CP_SYM_CNT];

	*d = (struct dialler){.cnt = cnt, .all = bench_array(cnt, sizeof(*d->all)), .number = bench_array(NUMBERS, CP_NUMBER_MAX)};
	for (unsigned i = 0; i < cnt; i++) {
		struct one *p = &d->all[i];

		p->rank = rnd(PARTS + 1);
		p->rec.kind = CP_PATTERN_BLOCK;
		strcpy(p->rec.partition, parts[p->rank]);
		text_of(i, text, CP_PATTERN_MAX);
		if (cp_pat_normal(text, p->rec.pattern, err, sizeof(err)) < 0 ||
		    cp_pat_parse(p->rec.pattern, strlen(p->rec.pattern), &p->pat, err, sizeof(err)) < 0) {
			fprintf(stderr, "ravelin-bench: dial: %s: %s\n", text, err);
			return -1;
		}
		expression_of(&p->pat, text, sizeof(text));
		if (regcomp(&p->re, text, REG_EXTENDED | REG_NOSUB) != 0) {
			fprintf(stderr, "ravelin-bench: dial: regcomp of %s\n", text);
			return -1;
		}
	}
	for (unsigned i = 0; i < NUMBERS; i++) {
		number_of(&d->all[rnd(cnt)].pat, d->number[i]);
		for (unsigned k = 0; i % 10 == 0 && d->number[i][k] != '\0'; k++) /* a tenth of them fits something by chance only */
			d->number[i][k] = cp_sym_char(rnd(10));
	}
	strcpy(d->dir, "/tmp/ravelin-dial-XXXXXX");
	if (mkdtemp(d->dir) == NULL) {
		perror(d->dir);
		return -1;
	}
	snprintf(path, sizeof(path), "%s/store", d->dir);
	o.path = path;
	o.base = d->base = event_base_new();
	if (cp_store_open(&o, &d->store, err, sizeof(err)) < 0 || write_plan(d) < 0) {
		fprintf(stderr, "ravelin-bench: dial: the plan cannot be stored: %s\n", err);
		return -1;
	}
	return 0;
}

static void unmake(struct dialler *d)
{
	cp_store_close(d->store);
	cp_plan_destroy(d->plan);
	event_base_free(d->base);
	bench_rm(d->dir);
	for (unsigned i = 0; i < d->cnt; i++)
		regfree(&d->all[i].re);
	free(d->all);
	free(d->number);
}

/* --- the three --- */

static const struct cp_pattern *by_plan(const struct dialler *d, const char *digits)
{
	struct cp_dialled to;

	cp_dial(d->plan, &(struct cp_dial_from){.css = "all"}, digits, &to);
	return to.pattern;
}

/* plan.h: the closest; of those as close the first partition's; one without '!'; the first text. */
static bool better(const struct one *a, cp_weight wa, const struct one *b, cp_weight wb)
{
	if (b == NULL || wa != wb)
		return b == NULL || wa < wb;
	if (a->rank != b->rank)
		return a->rank < b->rank;
	if ((a->pat.many >= 0) != (b->pat.many >= 0))
		return b->pat.many >= 0;
	return strcmp(a->rec.pattern, b->rec.pattern) < 0;
}

static const struct cp_pattern *by_match(const struct dialler *d, const char *digits)
{
	const struct one *best = NULL;
	cp_weight w, least = 0;

	for (unsigned i = 0; i < d->cnt; i++)
		if (cp_pat_match(&d->all[i].pat, digits, &w) && better(&d->all[i], w, best, least)) {
			best = &d->all[i];
			least = w;
		}
	return best != NULL ? &best->rec : NULL;
}

static const struct cp_pattern *by_regexec(const struct dialler *d, const char *digits)
{
	const struct one *best = NULL;
	cp_weight w, least = 0;

	for (unsigned i = 0; i < d->cnt; i++)
		if (regexec(&d->all[i].re, digits, 0, NULL, 0) == 0 && cp_pat_match(&d->all[i].pat, digits, &w) &&
		    better(&d->all[i], w, best, least)) {
			best = &d->all[i];
			least = w;
		}
	return best != NULL ? &best->rec : NULL;
}

typedef const struct cp_pattern *(*look_fn)(const struct dialler *d, const char *digits);

static bool same(const struct cp_pattern *a, const struct cp_pattern *b)
{
	return (a == NULL) == (b == NULL) && (a == NULL || (strcmp(a->pattern, b->pattern) == 0 && strcmp(a->partition, b->partition) == 0));
}

static bool agree(const struct bench_opts *opts, struct dialler *d)
{
	unsigned none = 0;

	if (opts->spoil)
		d->number[0][0] = d->number[0][0] == '1' ? '2' : '1';
	for (unsigned i = 0; i < CHECKS; i++) {
		const struct cp_pattern *ours = by_plan(d, d->number[i]), *other = by_match(d, d->number[i]);

		none += ours == NULL;
		if (opts->spoil && i == 0)
			other = ours != NULL ? NULL : &d->all[0].rec;
		if (same(ours, other) && same(ours, by_regexec(d, d->number[i])))
			continue;
		fprintf(stderr, "ravelin-bench: dial: %s leads to %s, not to %s\n", d->number[i], ours != NULL ? ours->pattern : "nothing",
			other != NULL ? other->pattern : "nothing");
		return false;
	}
	return none < CHECKS / 4;
}

/* What this process has of the heap, in bytes, with what is mapped for it. */
static size_t heap(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static volatile uintptr_t sink;

/* Seconds of the processor per look-up, over about 'seconds' of them; *ret_p99 (may be NULL): of groups. */
static double measure(const struct dialler *d, look_fn look, unsigned group, double seconds, double *ret_p99)
{
	static float took[GROUPS_MAX];
	double begin = bench_thread_s(), at = begin, now;
	unsigned n = 0, groups = 0;

	do {
		for (unsigned i = 0; i < group; i++)
			sink = (uintptr_t)look(d, d->number[n++ % NUMBERS]);
		now = bench_thread_s();
		if (groups < GROUPS_MAX)
			took[groups++] = (float)((now - at) / group);
		at = now;
	} while (now - begin < seconds);
	if (ret_p99 != NULL) {
		qsort(took, groups, sizeof(took[0]), bench_by_float);
		*ret_p99 = (double)took[(size_t)((groups - 1) * 0.99)];
	}
	return (now - begin) / n;
}

static int run(const struct bench_opts *opts, unsigned cnt)
{
	static const struct {
		const char *name;
		look_fn look;
	} peers[] = {{"regexec", by_regexec}, {"every pattern", by_match}};
	double ours[BENCH_RUNS_MAX], p99[BENCH_RUNS_MAX], value[2][BENCH_RUNS_MAX], load, grown;
	unsigned runs = opts->runs > 0 ? opts->runs : opts->quick ? 2 : RUNS;
	double seconds = opts->quick ? 0.05 : 0.3;
	struct dialler d;
	size_t before;

	if (make(&d, cnt) < 0)
		return 1;
	before = heap();
	load = bench_thread_s();
	d.plan = cp_plan_create(d.store);
	load = bench_thread_s() - load;
	grown = (double)(heap() - before) / cnt;
	if (d.plan == NULL || !agree(opts, &d)) {
		unmake(&d);
		return 1;
	}
	for (unsigned r = 0; r < runs; r++) {
		ours[r] = 1 / measure(&d, by_plan, GROUP, seconds, &p99[r]);
		for (unsigned k = 0; k < 2; k++)
			value[k][r] = 1 / measure(&d, peers[k].look, 1, seconds, NULL);
	}
	for (unsigned k = 0; k < 2; k++)
		bench_row(opts, &(struct bench_row){.bench = "dial", .kase = json_pack("{s:i}", "patterns", (int)cnt), .unit = "look-up/s/core",
						    .peer = peers[k].name, .value = ours, .peer_value = value[k], .runs = runs, .peer_runs = runs,
						    .more = json_pack("{s:f, s:f, s:f}", "p99_us", 1e6 * bench_quantile(p99, runs, 0.5), "load_s",
								      load, "bytes_per_pattern", grown)});
	unmake(&d);
	return 0;
}

int bench_dial(const struct bench_opts *opts)
{
	static const unsigned sizes[] = {100, 10000, 100000};
	int rc = 0;

	bench_pin(opts->cpu);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (bench_wanted_free(opts, json_pack("{s:i}", "patterns", (int)sizes[i])))
			rc |= run(opts, sizes[i]);
	return rc;
}
