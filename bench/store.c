/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many synced puts a second: the store with its group commit, callbacks on an event loop, beside raw RocksDB calls
 * (one synced put after another, the same options that matter), interleaved on the same disk; how long an
 * acknowledgement takes, beside what fdatasync takes of a file appended to in the same directory in the same run.
 * Phones from a table through the commands that ravelinctl uses (all but the socket), with the longest time that the
 * event loop was held up; and the time to open the store that holds them. The directory is RAVELIN_BENCH_DIR, else
 * /var/tmp: on a RAM disk the figures mean nothing.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/admin.h"
#include "bench.h"
#include "store/store.h"

#define RECORD_BYTES 200
#define RUNS         5
#define ACKS_MAX     (1u << 20) /* latencies kept of a run */

struct load {
	struct cp_store *store;
	struct event_base *base;
	unsigned batch; /* puts in one batch */
	unsigned in_flight, wanted;
	uint64_t acked, next;
	double until;
	int rc;
	float *ack; /* seconds from submission to callback; may be NULL */
	size_t ack_cnt;
};

struct put { /* one batch on its way */
	struct load *l;
	double at;
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
	struct put *put = ctx;
	struct load *l = put->l;

	if (l->ack != NULL && l->ack_cnt < ACKS_MAX)
		l->ack[l->ack_cnt++] = (float)(bench_now() - put->at);
	free(put);
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
		struct put *put = malloc(sizeof(*put));

		for (unsigned i = 0; i < l->batch; i++) {
			size_t n = key_of(key, l->next++);

			cp_batch_put(b, CP_CF_PROFILE, key, n, value, sizeof(value));
		}
		*put = (struct put){l, l->ack != NULL ? bench_now() : 0};
		l->rc = cp_store_submit(l->store, b, on_done, put);
		l->in_flight += l->rc == 0;
		if (l->rc < 0)
			free(put);
	}
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Puts a second through the store; negative: failed. *ret_ack: p50 and p99 of the acknowledgement in us. */
static double ours(const char *dir, unsigned in_flight, unsigned batch, bool sync, double seconds, double *ret_group,
		   double *ret_ack)
{
	struct load l = {.batch = batch, .wanted = in_flight, .ack = ret_ack != NULL ? malloc(ACKS_MAX * sizeof(float)) : NULL};
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
	if (ret_ack != NULL && l.ack_cnt > 0) {
		qsort(l.ack, l.ack_cnt, sizeof(float), by_value);
		ret_ack[0] = (double)l.ack[l.ack_cnt / 2] * 1e6;
		ret_ack[1] = (double)l.ack[l.ack_cnt * 99 / 100] * 1e6;
	}
	free(l.ack);
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

/* The median of an append of a record and fdatasync, in us; negative: failed. */
static double fdatasync_us(const char *dir, double seconds)
{
	static const char record[RECORD_BYTES + 150];
	static float took[20000];
	char path[512];
	size_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/append", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	for (double until = bench_now() + seconds; fd >= 0 && n < 20000 && bench_now() < until; n++) {
		double t = bench_now();

		if (write(fd, record, sizeof(record)) != (ssize_t)sizeof(record) || fdatasync(fd) < 0)
			break;
		took[n] = (float)(bench_now() - t);
	}
	if (fd >= 0)
		close(fd);
	qsort(took, n, sizeof(float), by_value);
	return n == 0 ? -1 : (double)took[n / 2] * 1e6;
}

static bool make_dir(char *dir, size_t size)
{
	const char *parent = getenv("RAVELIN_BENCH_DIR");

	snprintf(dir, size, "%s/ravelin-bench-XXXXXX", parent != NULL ? parent : "/var/tmp");
	if (mkdtemp(dir) != NULL)
		return true;
	perror(dir);
	return false;
}

/* p99 of the acknowledgement beside fdatasync's median. */
static int acks(const struct bench_opts *opts, unsigned runs, double seconds)
{
	double v[BENCH_RUNS_MAX], p[BENCH_RUNS_MAX], half[BENCH_RUNS_MAX], group;
	json_t *k = json_pack("{s:s,s:b,s:i,s:i}", "op", "ack-p99", "sync", 1, "in_flight", 32, "batch", 1);

	if (!bench_wanted(opts, k)) {
		json_decref(k);
		return 0;
	}
	for (unsigned r = 0; r < runs; r++) {
		double ack[2] = {0};
		char dir[256];

		if (!make_dir(dir, sizeof(dir))) {
			json_decref(k);
			return 1;
		}
		p[r] = fdatasync_us(dir, seconds / 2);
		v[r] = ours(dir, 32, 1, true, seconds, &group, ack) < 0 ? -1 : ack[1];
		half[r] = ack[0];
		nftw(dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
		if (v[r] <= 0 || p[r] <= 0) {
			json_decref(k);
			return 1;
		}
	}
	bench_row(opts, &(struct bench_row){.bench = "store", .kase = k, .unit = "us", .peer = "fdatasync", .value = v,
					    .peer_value = p, .runs = runs, .peer_runs = runs,
					    .more = json_pack("{s:f}", "ack_p50_us", bench_quantile(half, runs, 0.5))});
	return 0;
}

/* --- phones from a table --- */

struct importing {
	struct event_base *base;
	struct cp_admin *admin;
	json_t *answer;
	double stall; /* longest turn of the loop, s */
};

static void on_answer(void *ctx, const char *line, size_t len)
{
	((struct importing *)ctx)->answer = json_loadb(line, len, 0, NULL);
}

/* One request; its result, owned, or NULL. */
static json_t *ask(struct importing *im, const char *cmd, json_t *args)
{
	json_t *request = json_pack("{s:s,s:o}", "cmd", cmd, "args", args), *result;
	char *text = json_dumps(request, JSON_COMPACT);
	double t = bench_now();

	im->answer = NULL;
	cp_admin_input(im->admin, text, strlen(text), on_answer, im);
	for (;;) {
		double now = bench_now();

		im->stall = now - t > im->stall ? now - t : im->stall;
		if (im->answer != NULL)
			break;
		t = now;
		event_base_loop(im->base, EVLOOP_NONBLOCK);
	}
	free(text);
	json_decref(request);
	result = json_incref(json_object_get(im->answer, "result"));
	if (!json_is_true(json_object_get(im->answer, "ok"))) {
		text = json_dumps(im->answer, JSON_COMPACT);
		fprintf(stderr, "ravelin-bench: %s\n", text);
		free(text);
		json_decref(result);
		result = NULL;
	}
	json_decref(im->answer);
	return result;
}

static char *make_table(unsigned n, size_t *ret_len)
{
	char *text = malloc(200 + (size_t)n * 160);
	size_t len;

	if (text == NULL)
		return NULL;
	len = (size_t)sprintf(text, "name,mode,description,model,region,line1,label1,line2,label2\n");

	for (unsigned i = 0; i < n; i++)
		len += (size_t)sprintf(text + len, "SEP%012X,%s,\"Room %u, \"\"east\"\"\",Cisco 7962,phones,1%07u,Desk %u,2%07u,\n",
				       i * 7, i % 3 == 0 ? "nonsecure" : "encrypted", i, i, i, i);
	*ret_len = len;
	return text;
}

/* Seconds for 'n' phones, all of them right; negative: failed. */
static double import(struct importing *im, const char *table, size_t len, unsigned n)
{
	static char text[65536 / 3 * 4 + 8];
	double t = bench_now();
	json_t *r = ask(im, "import.phones.begin", json_object());
	json_int_t id = json_integer_value(json_object_get(r, "id")), got;

	for (size_t at = 0; r != NULL && at < len; at += 49152) {
		size_t piece = len - at < 49152 ? len - at : 49152;

		json_decref(r);
		EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)table + at, (int)piece);
		r = ask(im, "import.phones.data", json_pack("{s:I,s:s}", "id", id, "data", text));
	}
	if (r == NULL)
		return -1;
	json_decref(r);
	r = ask(im, "import.phones.end", json_pack("{s:I}", "id", id));
	got = json_integer_value(json_object_get(r, "phones"));
	json_decref(r);
	return got == (json_int_t)n ? bench_now() - t : -1;
}

static int phones(const struct bench_opts *opts, unsigned runs)
{
	unsigned n = opts->quick ? 10000 : 100000;
	json_t *ki = json_pack("{s:s,s:b,s:i}", "op", "import", "sync", 1, "devices", (int)n);
	json_t *ko = json_pack("{s:s,s:b,s:i}", "op", "reopen", "sync", 1, "devices", (int)n);
	double v[BENCH_RUNS_MAX], o[BENCH_RUNS_MAX], stall[BENCH_RUNS_MAX];
	bool want_import = bench_wanted(opts, ki), want_open = bench_wanted(opts, ko), ok = true;
	char *table = NULL;
	size_t len = 0;

	if (want_import || want_open)
		table = make_table(n, &len);
	for (unsigned r = 0; table != NULL && r < runs && ok; r++) {
		struct cp_store_opts so = {.path = NULL};
		struct cp_admin_backend be = {.version = "bench"};
		struct importing im = {.stall = 0};
		char dir[256], path[512], err[256];
		double t;

		if (!make_dir(dir, sizeof(dir))) {
			ok = false;
			break;
		}
		snprintf(path, sizeof(path), "%s/store", dir);
		so.path = path;
		so.base = im.base = event_base_new();
		ok = cp_store_open(&so, &be.store, err, sizeof(err)) == 0;
		im.admin = cp_admin_create(im.base);
		ok = ok && cp_admin_commands(im.admin, &be) == 0;
		v[r] = ok ? import(&im, table, len, n) : -1;
		stall[r] = im.stall * 1e3;
		cp_admin_destroy(im.admin);
		cp_store_close(be.store);
		be.store = NULL;
		t = bench_now();
		ok = ok && v[r] > 0 && cp_store_open(&so, &be.store, err, sizeof(err)) == 0 &&
		     cp_store_count(be.store, CP_CF_DEVICE) == n;
		o[r] = bench_now() - t;
		cp_store_close(be.store);
		event_base_free(im.base);
		nftw(dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	}
	free(table);
	if (ok && want_import)
		bench_row(opts, &(struct bench_row){.bench = "store", .kase = json_incref(ki), .unit = "s", .value = v, .runs = runs,
						    .more = json_pack("{s:f}", "longest_stall_ms", bench_quantile(stall, runs, 1))});
	if (ok && want_open)
		bench_row(opts, &(struct bench_row){.bench = "store", .kase = json_incref(ko), .unit = "s", .value = o, .runs = runs});
	json_decref(ki);
	json_decref(ko);
	return ok ? 0 : 1;
}

int bench_store(const struct bench_opts *opts)
{
	static const struct {
		bool sync;
		unsigned in_flight, batch;
	} cases[] = {
		{true, 1, 1}, {true, 32, 1}, {true, 64, 1}, {true, 1024, 1}, {true, 1, 32}, {true, 64, 32}, {false, 64, 1},
	};
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

			if (!make_dir(dir, sizeof(dir))) {
				json_decref(k);
				return 1;
			}
			v[r] = ours(dir, cases[i].in_flight, cases[i].batch, cases[i].sync, seconds, &group, NULL);
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
	wrong |= acks(opts, runs, seconds);
	wrong |= phones(opts, runs > 3 ? 3 : runs);
	return wrong;
}
