/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many synced puts a second: the store with its group commit, callbacks on an event loop, beside raw RocksDB calls
 * (one synced put after another, the same options that matter), interleaved on the same disk; how long an
 * acknowledgement takes, beside what fdatasync takes of a file appended to in the same directory, by as much as one of the
 * store's writes, in turns of a tenth of a second: a disk that is slow for a while is slow for both.
 * Phones from a table through the commands that ravelinctl uses (all but the socket), with the longest time that the
 * event loop was held up; and the time to open the store that holds them, after a close and after a kill. The directory is RAVELIN_BENCH_DIR, else
 * /var/tmp: on a RAM disk the figures mean nothing.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
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
	float *ack; /* seconds from submission to callback, ACKS_MAX; may be NULL */
	size_t ack_cnt;
};

struct put { /* one batch on its way */
	struct load *l;
	double at;
};

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

static bool make_dir(char *dir, size_t size)
{
	const char *parent = getenv("RAVELIN_BENCH_DIR");

	snprintf(dir, size, "%s/ravelin-bench-XXXXXX", parent != NULL ? parent : "/var/tmp");
	if (mkdtemp(dir) != NULL)
		return true;
	perror(dir);
	return false;
}

/* --- how long an acknowledgement takes --- */

#define TURN_S      0.1
#define RECORD_LOG  (RECORD_BYTES + 35) /* bytes of a record in the log: batch and record headers, key */
#define LOG_MAX     65536

struct times { /* seconds */
	float *v;
	size_t n;
};

static double us_of(struct times *t, double q)
{
	return t->n == 0 ? -1 : (double)t->v[(size_t)((double)(t->n - 1) * q)] * 1e6;
}

/* Appends of 'len' bytes, each with fdatasync, for a while. False: failed. */
static bool append_turn(int fd, size_t len, double seconds, struct times *t)
{
	static const char bytes[LOG_MAX];

	for (double until = bench_now() + seconds, at; t->n < ACKS_MAX && (at = bench_now()) < until;) {
		if (write(fd, bytes, len) != (ssize_t)len || fdatasync(fd) < 0)
			return false;
		t->v[t->n++] = (float)(bench_now() - at);
	}
	return true;
}

struct ack_run { /* of one run, us; the store's and fdatasync's */
	double p50, p99, p999, peer_p50, peer_p99, peer_p999, group;
};

/* The store and fdatasync in turns. False: failed. */
static bool ack_run(const char *dir, unsigned in_flight, double seconds, struct ack_run *ret)
{
	struct load l = {.batch = 1, .wanted = in_flight, .ack = malloc(ACKS_MAX * sizeof(float))};
	struct times ours = {.v = l.ack}, peer = {.v = malloc(ACKS_MAX * sizeof(float))};
	struct cp_store_stats st = {0}, before;
	struct cp_store_opts o = {0};
	char path[512], err[256] = "";
	size_t len;
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "%s/append", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	snprintf(path, sizeof(path), "%s/store", dir);
	o.path = path;
	o.base = l.base = event_base_new();
	ok = fd >= 0 && l.ack != NULL && peer.v != NULL && cp_store_open(&o, &l.store, err, sizeof(err)) == 0;
	for (double end = bench_now() + seconds; ok && bench_now() < end;) {
		before = st;
		l.until = bench_now() + TURN_S;
		fill(&l);
		event_base_dispatch(l.base); /* until all are answered */
		cp_store_stats(l.store, &st);
		len = st.writes > before.writes ? (size_t)((st.batches - before.batches) / (st.writes - before.writes)) * RECORD_LOG : 0;
		ok = l.rc == 0 && len > 0 && append_turn(fd, len < LOG_MAX ? len : LOG_MAX, TURN_S, &peer);
	}
	if (!ok)
		fprintf(stderr, "ravelin-bench: store: %s\n", err[0] != '\0' ? err : strerror(l.rc < 0 ? -l.rc : errno));
	cp_store_close(l.store);
	event_base_free(l.base);
	if (fd >= 0)
		close(fd);
	ours.n = l.ack_cnt;
	if (ok) {
		qsort(ours.v, ours.n, sizeof(float), bench_by_float);
		qsort(peer.v, peer.n, sizeof(float), bench_by_float);
		*ret = (struct ack_run){us_of(&ours, 0.5), us_of(&ours, 0.99), us_of(&ours, 0.999), us_of(&peer, 0.5),
					us_of(&peer, 0.99), us_of(&peer, 0.999),
					(double)st.batches / (double)st.writes};
	}
	free(l.ack);
	free(peer.v);
	return ok && ours.n > 0 && peer.n > 0;
}

static double median_of(const struct ack_run *r, unsigned n, size_t off)
{
	double v[BENCH_RUNS_MAX];

	for (unsigned i = 0; i < n; i++)
		v[i] = *(const double *)((const char *)&r[i] + off);
	return bench_quantile(v, n, 0.5);
}

/* p99 of the acknowledgement beside fdatasync's median. */
static int acks(const struct bench_opts *opts, unsigned runs, double seconds)
{
	double v[BENCH_RUNS_MAX], p[BENCH_RUNS_MAX];
	struct ack_run a[BENCH_RUNS_MAX];
	json_t *k = json_pack("{s:s,s:b,s:i,s:i}", "op", "ack-p99", "sync", 1, "in_flight", 32, "batch", 1);

	if (!bench_wanted(opts, k)) {
		json_decref(k);
		return 0;
	}
	for (unsigned r = 0; r < runs; r++) {
		char dir[256];
		bool ok;

		if (!make_dir(dir, sizeof(dir))) {
			json_decref(k);
			return 1;
		}
		ok = ack_run(dir, 32, seconds, &a[r]);
		bench_rm(dir);
		if (!ok) {
			json_decref(k);
			return 1;
		}
		v[r] = a[r].p99;
		p[r] = a[r].peer_p50;
	}
#define MEDIAN(member) median_of(a, runs, offsetof(struct ack_run, member))
	bench_row(opts, &(struct bench_row){.bench = "store", .kase = k, .unit = "us", .peer = "fdatasync", .value = v,
					    .peer_value = p, .runs = runs, .peer_runs = runs,
					    .more = json_pack("{s:f,s:f,s:f,s:f,s:f}", "ack_p50_us", MEDIAN(p50), "ack_p999_us",
							      MEDIAN(p999), "fdatasync_p99_us", MEDIAN(peer_p99),
							      "fdatasync_p999_us", MEDIAN(peer_p999), "batches_per_write",
							      MEDIAN(group))});
#undef MEDIAN
	return 0;
}

/* --- phones from a table --- */

struct importing {
	struct event_base *base;
	struct cp_admin *admin;
	json_t *answer;
	double stall, stall_cpu; /* longest turn of the loop, s: by the clock, and of the processor: its own doing */
};

static double thread_cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void on_answer(void *ctx, const char *line, size_t len)
{
	((struct importing *)ctx)->answer = json_loadb(line, len, 0, NULL);
}

/* One request; its result, owned, or NULL. */
static json_t *ask(struct importing *im, const char *cmd, json_t *args)
{
	json_t *request = json_pack("{s:s,s:o}", "cmd", cmd, "args", args), *result;
	char *text = json_dumps(request, JSON_COMPACT);
	double t = bench_now(), c = thread_cpu();

	im->answer = NULL;
	cp_admin_input(im->admin, text, strlen(text), on_answer, im);
	for (;;) {
		double now = bench_now(), cpu = thread_cpu();

		im->stall = now - t > im->stall ? now - t : im->stall;
		im->stall_cpu = cpu - c > im->stall_cpu ? cpu - c : im->stall_cpu;
		if (im->answer != NULL)
			break;
		t = now;
		c = cpu;
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

/* A store at 'path' with the table's phones: seconds for the import, left open in *ret; negative: failed. */
static double filled(const char *path, bool sync, const char *table, size_t len, unsigned n, struct cp_store **ret, double ret_stall[2])
{
	struct cp_store_opts so = {.path = path, .no_sync = !sync};
	struct cp_admin_backend be = {.version = "bench"};
	struct importing im = {.stall = 0};
	char err[256];
	double t;
	bool ok;

	so.base = im.base = event_base_new();
	ok = cp_store_open(&so, &be.store, err, sizeof(err)) == 0;
	im.admin = cp_admin_create(im.base);
	ok = ok && cp_admin_commands(im.admin, &be) == 0;
	t = ok ? import(&im, table, len, n) : -1;
	ret_stall[0] = im.stall;
	ret_stall[1] = im.stall_cpu;
	cp_admin_destroy(im.admin);
	*ret = be.store;
	return t;
}

/* Seconds to open it; negative: failed, or phones are missing. *ret_cpu: of the processors. */
static double reopened(const char *path, unsigned n, double *ret_cpu)
{
	struct event_base *base = event_base_new();
	struct cp_store_opts so = {.path = path, .base = base};
	struct cp_store *store = NULL;
	struct timespec c0, c1;
	char err[256] = "";
	double t = bench_now();
	bool ok;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &c0);
	ok = cp_store_open(&so, &store, err, sizeof(err)) == 0;
	t = bench_now() - t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &c1);
	*ret_cpu = (double)(c1.tv_sec - c0.tv_sec) + (double)(c1.tv_nsec - c0.tv_nsec) * 1e-9;
	ok = ok && cp_store_count(store, CP_CF_DEVICE) == n;
	if (!ok)
		fprintf(stderr, "ravelin-bench: reopen: %s\n", err[0] != '\0' ? err : "phones are missing");
	cp_store_close(store);
	event_base_free(base);
	return ok ? t : -1;
}

#define FILL_PATH  "RAVELIN_BENCH_FILL"
#define FILL_COUNT "RAVELIN_BENCH_FILL_COUNT"

/* What is to be killed: a process that fills the store and is gone without closing it. */
static void fill_and_die(const char *path)
{
	const char *count = getenv(FILL_COUNT);
	unsigned n = count != NULL ? (unsigned)strtoul(count, NULL, 10) : 0;
	struct cp_store *store;
	double stall[2];
	size_t len;
	char *table = make_table(n, &len);

	_exit(table != NULL && filled(path, false, table, len, n, &store, stall) > 0 ? 0 : 1);
}

static int phones(const struct bench_opts *opts, unsigned runs)
{
	unsigned n = opts->quick ? 10000 : 100000;
	json_t *ki = json_pack("{s:s,s:b,s:i}", "op", "import", "sync", 1, "devices", (int)n);
	json_t *ko[2] = {json_pack("{s:s,s:b,s:i}", "op", "reopen", "sync", 1, "devices", (int)n),
			 json_pack("{s:s,s:b,s:i}", "op", "reopen-killed", "sync", 0, "devices", (int)n)};
	double v[BENCH_RUNS_MAX], o[2][BENCH_RUNS_MAX], cpu[2][BENCH_RUNS_MAX], stall[2][BENCH_RUNS_MAX];
	bool want_import = bench_wanted(opts, ki), want[2] = {bench_wanted(opts, ko[0]), bench_wanted(opts, ko[1])}, ok = true;
	char *table = NULL;
	size_t len = 0;

	if (want_import || want[0] || want[1])
		table = make_table(n, &len);
	for (unsigned r = 0; table != NULL && r < runs && ok; r++) {
		struct cp_store *store = NULL;
		char dir[256], path[512];
		int status;
		pid_t pid;

		if (!make_dir(dir, sizeof(dir))) {
			ok = false;
			break;
		}
		snprintf(path, sizeof(path), "%s/store", dir);
		if (want_import || want[0]) {
			double held[2];

			v[r] = filled(path, true, table, len, n, &store, held);
			stall[0][r] = held[0] * 1e3;
			stall[1][r] = held[1] * 1e3;
			ok = v[r] > 0;
			cp_store_close(store);
			o[0][r] = ok ? reopened(path, n, &cpu[0][r]) : -1;
			ok = ok && o[0][r] > 0;
		}
		if (want[1] && ok) {
			snprintf(path, sizeof(path), "%s/killed", dir);
			pid = fork();
			if (pid == 0) { /* anew: RocksDB's threads do not survive a fork */
				char count[16];

				snprintf(count, sizeof(count), "%u", n);
				setenv(FILL_PATH, path, 1);
				setenv(FILL_COUNT, count, 1);
				execl("/proc/self/exe", "ravelin-bench", "store", (char *)NULL);
				_exit(127);
			}
			ok = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
			o[1][r] = ok ? reopened(path, n, &cpu[1][r]) : -1;
			ok = ok && o[1][r] > 0;
		}
		bench_rm(dir);
	}
	free(table);
	if (ok && want_import)
		bench_row(opts, &(struct bench_row){.bench = "store", .kase = json_incref(ki), .unit = "s", .value = v, .runs = runs,
						    .more = json_pack("{s:f,s:f}", "longest_stall_ms", bench_quantile(stall[0], runs, 1),
								      "longest_stall_cpu_ms", bench_quantile(stall[1], runs, 1))});
	for (unsigned i = 0; i < 2; i++)
		if (ok && want[i])
			bench_row(opts, &(struct bench_row){.bench = "store", .kase = json_incref(ko[i]), .unit = "s", .value = o[i],
							    .runs = runs,
							    .more = json_pack("{s:f}", "cpu_s", bench_quantile(cpu[i], runs, 0.5))});
	json_decref(ki);
	json_decref(ko[0]);
	json_decref(ko[1]);
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
	const char *fill_path = getenv(FILL_PATH);
	unsigned runs = opts->runs > 0 ? opts->runs : RUNS;
	int wrong = 0;

	if (fill_path != NULL)
		fill_and_die(fill_path);
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
			v[r] = ours(dir, cases[i].in_flight, cases[i].batch, cases[i].sync, seconds, &group);
			p[r] = raw(dir, cases[i].sync, seconds);
			ok = ok && v[r] > 0 && p[r] > 0;
			bench_rm(dir);
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
	wrong |= acks(opts, runs, opts->quick ? 1.0 : 4.0);
	wrong |= phones(opts, runs > 3 ? 3 : runs);
	return wrong;
}
