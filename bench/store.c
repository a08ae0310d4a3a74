/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many synced puts a second: the store with its group commit, callbacks on an event loop, beside raw RocksDB calls
 * (one synced put after another, the same options that matter), interleaved on the same disk. The directory is
 * RAVELIN_BENCH_DIR, else /var/tmp: on a RAM disk the figures mean nothing.
 */
#include <errno.h>
#include <event2/event.h>
#include <ftw.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "store/store.h"

#define RECORD_BYTES 200
#define RUNS         5

struct load {
	struct cp_store *store;
	struct event_base *base;
	unsigned batch; /* puts in one batch */
	unsigned in_flight, wanted;
	uint64_t acked, next;
	double until;
	int rc;
};

static int rm_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static size_t key_of(char *key, uint64_t n)
{
	return (size_t)snprintf(key, 32, "SEP%012llX", (unsigned long long)(n % 100000));
}

static void fill(struct load *l);

static void on_done(void *ctx, int rc)
{
	struct load *l = ctx;

	l->in_flight--;
	if (rc < 0)
		l->rc = rc;
	else
		l->acked += l->batch;
	if (bench_now() >= l->until || rc < 0) {
		if (l->in_flight == 0)
			event_base_loopbreak(l->base);
		return;
	}
	fill(l);
}

static void fill(struct load *l)
{
	static const char value[RECORD_BYTES] = "value";
	char key[32];

	while (l->in_flight < l->wanted && l->rc == 0) {
		struct cp_batch *b = cp_batch_create();

		for (unsigned i = 0; i < l->batch; i++) {
			size_t n = key_of(key, l->next++);

			cp_batch_put(b, CP_CF_PROFILE, key, n, value, sizeof(value));
		}
		l->rc = cp_store_submit(l->store, b, on_done, l);
		l->in_flight += l->rc == 0;
	}
}

/* Puts a second through the store; negative: failed. */
static double ours(const char *dir, unsigned in_flight, unsigned batch, bool sync, double seconds, double *ret_group)
{
	struct load l = {.batch = batch, .wanted = in_flight};
	struct cp_store_opts o = {.no_sync = !sync};
	struct cp_store_stats st;
	char path[512], err[256];
	double t0, t1;

	snprintf(path, sizeof(path), "%s/store", dir);
	l.base = event_base_new();
	o.path = path;
	o.base = l.base;
	if (cp_store_open(&o, &l.store, err, sizeof(err)) < 0) {
		fprintf(stderr, "ravelin-bench: %s\n", err);
		event_base_free(l.base);
		return -1;
	}
	t0 = bench_now();
	l.until = t0 + seconds;
	fill(&l);
	event_base_dispatch(l.base);
	t1 = bench_now();
	cp_store_stats(l.store, &st);
	*ret_group = st.writes > 0 ? (double)st.batches / (double)st.writes : 0;
	cp_store_close(l.store);
	event_base_free(l.base);
	return l.rc < 0 ? -1 : (double)l.acked / (t1 - t0);
}

/* The same records through rocksdb_put() and one thread. */
static double raw(const char *dir, bool sync, double seconds)
{
	static const char value[RECORD_BYTES] = "value";
	rocksdb_options_t *o = rocksdb_options_create();
	rocksdb_writeoptions_t *w = rocksdb_writeoptions_create();
	uint64_t n = 0;
	char path[512], key[32], *err = NULL;
	double t0, t1;
	rocksdb_t *db;

	snprintf(path, sizeof(path), "%s/raw", dir);
	rocksdb_options_set_create_if_missing(o, 1);
	rocksdb_options_set_write_buffer_size(o, 8u << 20);
	rocksdb_writeoptions_set_sync(w, sync);
	db = rocksdb_open(o, path, &err);
	t0 = t1 = bench_now();
	while (err == NULL && t1 < t0 + seconds) {
		size_t len = key_of(key, n++);

		rocksdb_put(db, w, key, len, value, sizeof(value), &err);
		t1 = bench_now();
	}
	if (err != NULL) {
		fprintf(stderr, "ravelin-bench: %s\n", err);
		rocksdb_free(err);
		n = 0;
	}
	if (db != NULL)
		rocksdb_close(db);
	rocksdb_writeoptions_destroy(w);
	rocksdb_options_destroy(o);
	return n == 0 ? -1 : (double)n / (t1 - t0);
}

int bench_store(const struct bench_opts *opts)
{
	static const struct {
		bool sync;
		unsigned in_flight, batch;
	} cases[] = {
		{true, 1, 1}, {true, 64, 1}, {true, 1024, 1}, {true, 1, 32}, {true, 64, 32}, {false, 64, 1},
	};
	const char *parent = getenv("RAVELIN_BENCH_DIR");
	double seconds = opts->quick ? 0.2 : 1.0;
	unsigned runs = opts->runs > 0 ? opts->runs : RUNS;
	int wrong = 0;

	if (runs > BENCH_RUNS_MAX)
		runs = BENCH_RUNS_MAX;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *k = json_pack("{s:s,s:b,s:i,s:i}", "op", "put", "sync", (int)cases[i].sync, "in_flight",
				      (int)cases[i].in_flight, "batch", (int)cases[i].batch);
		double v[BENCH_RUNS_MAX], p[BENCH_RUNS_MAX], group = 0;
		bool ok = true;

		if (!bench_wanted(opts, k)) {
			json_decref(k);
			continue;
		}
		for (unsigned r = 0; r < runs; r++) {
			char dir[256];

			snprintf(dir, sizeof(dir), "%s/ravelin-bench-XXXXXX", parent != NULL ? parent : "/var/tmp");
			if (mkdtemp(dir) == NULL) {
				perror(dir);
				json_decref(k);
				return 1;
			}
			v[r] = ours(dir, cases[i].in_flight, cases[i].batch, cases[i].sync, seconds, &group);
			p[r] = raw(dir, cases[i].sync, seconds);
			ok = ok && v[r] > 0 && p[r] > 0;
			nftw(dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
		}
		if (!ok) {
			json_decref(k);
			wrong = 1;
			continue;
		}
		bench_row(opts, &(struct bench_row){.bench = "store", .kase = k, .unit = "put/s", .peer = "rocksdb",
						    .value = v, .peer_value = p, .runs = runs, .peer_runs = runs,
						    .more = json_pack("{s:f}", "batches_per_write", group)});
	}
	return wrong;
}
