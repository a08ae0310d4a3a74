/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Load and judge for store-kill.sh and power-cut.sh. Every change is one batch of two records, key a and key b, that
 * are put with the same number or, every eighth number, both deleted, so that half a batch shows.
 *
 *   storeload write STORE FIRST COUNT [nosync]   change records with the numbers FIRST, FIRST + 1, ..., until COUNT are
 *       acknowledged (0: until killed). On standard output, each line written before what it announces can be seen by
 *       anybody: "T key number" (tried), "A key number" (acknowledged: printed after the callback), "R key number"
 *       (refused). At the end "FIRED n" (faultfs) and "STATE ok|failing".
 *   storeload check STORE LEDGER   compare with all lines above. Exit 1 and a line for each: lost
 *       (acknowledged, not there), phantom (there, never tried, or refused by a process that lived on), half (records
 *       that differ or are damaged). Then "T key number" and "A key number" of all that is there: a ledger to go on from.
 */
#include <dlfcn.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "store/store.h"

#define KEYS      500
#define IN_FLIGHT 64
#define STUCK_S   60

static bool deletes(uint64_t number)
{
	return number % 8 == 7;
}

struct value { /* what a record holds: 200 bytes made of the number */
	uint64_t word[25];
};

static struct value value_of(uint64_t n)
{
	struct value v;

	for (unsigned i = 0; i < 25; i++)
		v.word[i] = n * UINT64_C(0x9e3779b97f4a7c15) + i * (n + 1);
	v.word[0] = n;
	return v;
}

static struct event_base *base;
static struct cp_store *store;
static uint64_t next_number, acked, want, refused;
static unsigned in_flight;
static time_t last_ack;

struct change {
	unsigned key;
	uint64_t number;
};

static void say(char kind, const struct change *c)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%c %u %llu\n", kind, c->key, (unsigned long long)c->number);

	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		_exit(4);
}

static void put(struct cp_batch *b, char half, const struct change *c)
{
	struct value v = value_of(c->number);
	char key[16];
	int n = snprintf(key, sizeof(key), "%c%u", half, c->key);

	if (deletes(c->number))
		cp_batch_del(b, CP_CF_PROFILE, key, (size_t)n);
	else
		cp_batch_put(b, CP_CF_PROFILE, key, (size_t)n, &v, sizeof(v));
}

static void more(void);

static void on_done(void *ctx, int rc)
{
	struct change *c = ctx;

	in_flight--;
	if (rc == 0) {
		acked++;
		last_ack = time(NULL);
		say('A', c);
	} else {
		refused++;
		say('R', c);
		usleep(1000); /* whoever was refused waits a little */
	}
	free(c);
	if (want != 0 && acked >= want && in_flight == 0)
		event_base_loopbreak(base);
	else
		more();
}

/* One key is written by one change at a time: what is acknowledged last is what must be there. */
static uint8_t key_busy[KEYS];

static void on_key_done(void *ctx, int rc)
{
	key_busy[((struct change *)ctx)->key] = 0;
	on_done(ctx, rc);
}

static void more(void)
{
	while (in_flight < IN_FLIGHT && (want == 0 || acked + in_flight < want)) {
		struct change *c = malloc(sizeof(*c));
		struct cp_batch *b = cp_batch_create();

		do
			c->key = (unsigned)rand() % KEYS;
		while (key_busy[c->key]);
		c->number = next_number++;
		say('T', c);
		put(b, 'a', c);
		put(b, 'b', c);
		if (cp_store_submit(store, b, on_key_done, c) < 0) {
			say('R', c);
			free(c);
			return;
		}
		key_busy[c->key] = 1;
		in_flight++;
	}
}

static void on_second(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	(void)ctx;
	if (time(NULL) - last_ack > STUCK_S) {
		fprintf(stderr, "storeload: nothing acknowledged for %d s\n", STUCK_S);
		_exit(3);
	}
	more();
}

static int run_write(const char *path, bool no_sync)
{
	struct cp_store_opts o = {.path = path, .no_sync = no_sync};
	void (*arm)(void);
	int (*fired)(void);
	struct timeval tv = {1, 0};
	struct cp_store_stats st;
	struct event *ev;
	char err[512];

	base = event_base_new();
	o.base = base;
	if (cp_store_open(&o, &store, err, sizeof(err)) < 0) {
		fprintf(stderr, "storeload: %s\n", err);
		return 2;
	}
	*(void **)&arm = dlsym(RTLD_DEFAULT, "faultfs_arm");
	*(void **)&fired = dlsym(RTLD_DEFAULT, "faultfs_fired");
	if (arm != NULL)
		arm();
	srand((unsigned)next_number);
	last_ack = time(NULL);
	ev = event_new(base, -1, EV_PERSIST, on_second, NULL);
	event_add(ev, &tv);
	more();
	event_base_dispatch(base);
	cp_store_stats(store, &st);
	printf("FIRED %d\nSTATE %s\nREFUSED %llu\nREOPENED %llu\n", fired != NULL ? fired() : 0,
	       st.failing ? "failing" : "ok", (unsigned long long)refused, (unsigned long long)st.reopens);
	cp_store_close(store);
	event_free(ev);
	event_base_free(base);
	return 0;
}

/* --- judge --- */

static uint64_t last_acked[KEYS], last_tried[KEYS];
static struct {
	uint32_t key;
	uint64_t number;
} *refusals;
static size_t refusals_n;
static unsigned wrong, seen;

static void verdict(const char *what, unsigned key, uint64_t number)
{
	printf("%s key=%u number=%llu acknowledged=%llu tried=%llu\n", what, key, (unsigned long long)number,
	       (unsigned long long)last_acked[key], (unsigned long long)last_tried[key]);
	wrong++;
}

static bool get(char half, unsigned key, struct value *ret)
{
	const uint8_t *val;
	size_t len;
	char k[16];
	int n = snprintf(k, sizeof(k), "%c%u", half, key);

	if (cp_store_get(store, CP_CF_PROFILE, k, (size_t)n, &val, &len) < 0)
		return false;
	if (len != sizeof(*ret)) {
		verdict("half", key, 0);
		return false;
	}
	memcpy(ret, val, sizeof(*ret));
	return true;
}

static void judge(unsigned key)
{
	struct value a, b, sane;

	if (!get('a', key, &a)) {
		/* rightly gone if it was deleted last, or that was on its way */
		if (last_acked[key] != 0 && !deletes(last_acked[key]) && !deletes(last_tried[key]))
			verdict("lost", key, 0);
		if (get('b', key, &b))
			verdict("half", key, b.word[0]);
		return;
	}
	seen++;
	sane = value_of(a.word[0]);
	if (!get('b', key, &b) || memcmp(&a, &b, sizeof(a)) != 0 || memcmp(&a, &sane, sizeof(a)) != 0)
		verdict("half", key, a.word[0]);
	if (a.word[0] < last_acked[key])
		verdict("lost", key, a.word[0]);
	if (a.word[0] > last_tried[key])
		verdict("phantom", key, a.word[0]);
	for (size_t i = 0; i < refusals_n; i++)
		if (refusals[i].key == key && refusals[i].number == a.word[0])
			verdict("phantom (refused)", key, a.word[0]);
}

static int run_check(const char *path, const char *ledger)
{
	struct cp_store_opts o = {.path = path};
	struct timespec t0, t1;
	FILE *f = fopen(ledger, "r");
	unsigned long long number;
	char err[512], line[128], kind;
	unsigned key;

	if (f == NULL) {
		perror(ledger);
		return 2;
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		if (line[strlen(line) - 1] != '\n' || sscanf(line, "%c %u %llu", &kind, &key, &number) != 3 || key >= KEYS)
			continue; /* the last line of a process that was killed */
		if (kind == 'T')
			last_tried[key] = number;
		else if (kind == 'A')
			last_acked[key] = number;
		else if (kind == 'R') {
			refusals = realloc(refusals, (refusals_n + 1) * sizeof(*refusals));
			refusals[refusals_n].key = key;
			refusals[refusals_n++].number = number;
		}
	}
	fclose(f);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	if (cp_store_open(&o, &store, err, sizeof(err)) < 0) {
		printf("cannot open: %s\n", err);
		return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &t1);
	for (key = 0; key < KEYS; key++)
		judge(key);
	printf("checked keys=%u wrong=%u refused=%zu open_ms=%.1f\n", seen, wrong, refusals_n,
	       (double)(t1.tv_sec - t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e6);
	for (key = 0; key < KEYS; key++) {
		/* what may have been on its way is settled now */
		struct value v;
		uint64_t n = get('a', key, &v) ? v.word[0] : deletes(last_tried[key]) ? last_tried[key] : last_acked[key];

		if (n != 0)
			printf("T %u %llu\nA %u %llu\n", key, (unsigned long long)n, key, (unsigned long long)n);
	}
	cp_store_close(store);
	free(refusals);
	return wrong == 0 && seen > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	cfg_log_init("storeload", CFG_LOG_KV, CFG_LOG_ERR);
	if ((argc == 5 || (argc == 6 && strcmp(argv[5], "nosync") == 0)) && strcmp(argv[1], "write") == 0) {
		next_number = strtoull(argv[3], NULL, 10);
		want = strtoull(argv[4], NULL, 10);
		return run_write(argv[2], argc == 6);
	}
	if (argc == 4 && strcmp(argv[1], "check") == 0)
		return run_check(argv[2], argv[3]);
	fputs("usage: storeload write STORE FIRST COUNT [nosync] | check STORE LEDGER\n", stderr);
	return 2;
}
