/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waves as rules, with a clock of our own: the rate, how many are pending at once, when it stops and by which failures, and that one
 * which is made anew from its records at any moment sets every device once and decides as one that lived through (004b:CAPF-34).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "enrol/wave.h"
#include "suite.h"

#define S   INT64_C(1000000)
#define NOW (INT64_C(1790000000) * S)

static uint32_t seed = 1;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static struct cp_wave_rec plain(uint32_t cnt)
{
	return (struct cp_wave_rec){.id = 3, .who = "uid 0", .op = 1, .per_minute = 60, .at_once = 50, .stop_at = 20, .window = 20,
				    .within_min = 60, .cnt = cnt, .state = CP_WAVE_RUNNING, .created_us = NOW};
}

static struct cp_wave_item item_of(uint32_t at)
{
	struct cp_wave_item i = {.wave = 3, .at = at};

	snprintf(i.device, sizeof(i.device), "SEP%012X", at + 1);
	return i;
}

static struct cp_wave *begin(const struct cp_wave_rec *rec)
{
	struct cp_wave *w = cp_wave_create(rec);

	CU_ASSERT_PTR_NOT_NULL_FATAL(w);
	for (uint32_t k = 0; k < rec->cnt; k++) {
		struct cp_wave_item i = item_of(k);

		CU_ASSERT_EQUAL(cp_wave_load(w, &i), 0);
	}
	CU_ASSERT_FALSE(cp_wave_loaded(w, NOW));
	return w;
}

static unsigned count(const struct cp_wave *w, unsigned state)
{
	struct cp_wave_counts c;

	cp_wave_count(w, &c);
	return c.by_state[state];
}

static unsigned state(const struct cp_wave *w)
{
	return cp_wave_record(w)->state;
}

static void take(struct cp_wave *w, uint32_t at, int64_t now)
{
	cp_wave_take(w, at, 1000 + at, now);
	cp_wave_taken(w, at, 0, now);
}

static void test_rate(void)
{
	static const uint32_t rates[] = {1, 7, 60, 600, 6000};

	for (unsigned r = 0; r < 5; r++) {
		struct cp_wave_rec rec = plain(20000);
		uint32_t at, last = UINT32_MAX, n = 0;
		int64_t when, t, first = -1;
		struct cp_wave *w;

		rec.per_minute = rates[r];
		rec.at_once = 20000;
		w = begin(&rec);
		/* looked at ten times a second, for two minutes */
		for (t = NOW + 61 * S; t < NOW + 181 * S; t += S / 10)
			while (cp_wave_next(w, t, &at, &when) == 0) {
				CU_ASSERT_EQUAL(at, last + 1); /* in order */
				last = at;
				if (first < 0)
					first = t;
				take(w, at, t);
				n++;
			}
		CU_ASSERT(n <= 2 * rates[r] + rates[r] * CP_WAVE_SLACK_US / (60 * S) + 1);
		CU_ASSERT(n >= 2 * rates[r] - rates[r] / 300 - 1);
		CU_ASSERT_EQUAL(first, NOW + 61 * S);
		cp_wave_destroy(w);
	}
}

static void test_a_pause_is_not_made_good(void)
{
	struct cp_wave_rec rec = plain(1000);
	struct cp_wave *w;
	uint32_t at, n = 0;
	int64_t when;

	rec.per_minute = 600;
	rec.at_once = 1000;
	w = begin(&rec);
	CU_ASSERT_EQUAL_FATAL(cp_wave_next(w, NOW + S, &at, &when), 0);
	take(w, at, NOW + S);
	/* nobody looked for an hour: no more than the slack at once */
	while (cp_wave_next(w, NOW + 3600 * S, &at, &when) == 0) {
		take(w, at, NOW + 3600 * S);
		n++;
	}
	CU_ASSERT(n >= 1 && n <= 4);
	CU_ASSERT(when > NOW + 3600 * S && when <= NOW + 3600 * S + S / 10);
	/* and a clock that went back costs one turn, not hours */
	CU_ASSERT_EQUAL(cp_wave_next(w, NOW, &at, &when), -EAGAIN);
	CU_ASSERT(when <= NOW + S / 10);
	CU_ASSERT_EQUAL(cp_wave_next(w, when, &at, &when), 0);
	cp_wave_destroy(w);
}

static void test_at_once(void)
{
	struct cp_wave_rec rec = plain(30);
	struct cp_wave *w;
	uint32_t at;
	int64_t when, t = NOW + 60 * S;

	rec.at_once = 3;
	w = begin(&rec);
	for (int i = 0; i < 3; i++, t += 60 * S) {
		CU_ASSERT_EQUAL_FATAL(cp_wave_next(w, t, &at, &when), 0);
		cp_wave_take(w, at, 1, t); /* being written counts too */
	}
	CU_ASSERT_EQUAL(cp_wave_next(w, t, &at, &when), -EAGAIN);
	CU_ASSERT_EQUAL(when, INT64_MAX);
	cp_wave_taken(w, 0, 0, t);
	CU_ASSERT_FALSE(cp_wave_end(w, 0, CP_WAVE_OK, t));
	CU_ASSERT_EQUAL(cp_wave_next(w, t, &at, &when), 0);
	CU_ASSERT_EQUAL(at, 3);
	/* one that could not be written waits again, for a moment, and is the next then */
	cp_wave_taken(w, 1, -EIO, t);
	CU_ASSERT_EQUAL(count(w, CP_WAVE_SET), 1);
	t += CP_WAVE_RETRY_US;
	CU_ASSERT_EQUAL(cp_wave_next(w, t, &at, &when), 0);
	CU_ASSERT_EQUAL(at, 1);
	cp_wave_destroy(w);
}

static void test_busy(void)
{
	struct cp_wave_rec rec = plain(2);
	struct cp_wave *w;
	uint32_t at;
	int64_t when, t = NOW + 60 * S;

	w = begin(&rec);
	for (int i = 1; i < CP_WAVE_BUSY_TRIES; i++, t += CP_WAVE_BUSY_US) {
		CU_ASSERT_EQUAL_FATAL(cp_wave_next(w, t, &at, &when), 0);
		CU_ASSERT_EQUAL(at, 0);
		CU_ASSERT_FALSE(cp_wave_defer(w, 0, t));
		if (i == 1) { /* others go first, then it waits */
			CU_ASSERT_EQUAL(cp_wave_next(w, t, &at, &when), 0);
			CU_ASSERT_EQUAL(at, 1);
			take(w, 1, t);
			cp_wave_end(w, 1, CP_WAVE_OK, t);
		}
		CU_ASSERT_EQUAL(cp_wave_next(w, t + 2 * S, &at, &when), -EAGAIN);
		CU_ASSERT_EQUAL(when, t + CP_WAVE_BUSY_US);
	}
	CU_ASSERT_EQUAL(cp_wave_next(w, t, &at, &when), 0);
	CU_ASSERT_TRUE(cp_wave_defer(w, 0, t));
	CU_ASSERT_EQUAL(count(w, CP_WAVE_REFUSED), 1);
	CU_ASSERT_EQUAL(state(w), CP_WAVE_DONE);
	CU_ASSERT_FALSE(cp_wave_alive(w));
	cp_wave_destroy(w);
}

/* Results in order: '.' one that went well, 'x' one that failed, 'o' one that was overtaken; how many until it stops. */
static void test_stop(void)
{
	static const struct {
		const char *results;
		unsigned stop_at, window;
		int stops; /* after so many; -1: it does not */
	} rows[] = {
		{"xxxxxxxxxx", 20, 20, 5},           /* not before there are five results */
		{"xxxxxxxxxx", 100, 20, -1},         /* 100: never */
		{"xxxx", 20, 20, -1},
		{"x....x...xx", 20, 20, 6},          /* 1 of 5 is 20 %, not more; 2 of 6 is */
		{"xx........", 20, 20, 5},
		{"..........xx..xx..........", 20, 20, 16}, /* 4 of 16 */
		{"....................xxxx....", 20, 20, -1}, /* 4 of the last 20 is 20 %, not more */
		{"....................xxxxx", 20, 20, 25},
		{"xoooooo....x.....", 20, 20, 12},   /* what was overtaken says nothing: 2 of 6 */
		{"x....", 0, 20, 5},                 /* 0: the first, once there are five */
		{".....x", 0, 20, 6},
		{"xx", 50, 2, 2},                    /* a window below five is all that is waited for */
		{"x.x.x.x.", 50, 4, -1},
		{"x.x.x.x.", 49, 4, 4},
	};

	for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct cp_wave_rec rec = plain(40);
		struct cp_wave *w;
		int64_t t = NOW + 60 * S, when;
		int n = 0, stopped = -1;
		uint32_t at;

		rec.stop_at = (uint8_t)rows[r].stop_at;
		rec.window = rows[r].window;
		w = begin(&rec);
		for (const char *p = rows[r].results; *p != '\0' && stopped < 0; p++, t += 2 * S) {
			CU_ASSERT_EQUAL_FATAL(cp_wave_next(w, t, &at, &when), 0);
			take(w, at, t);
			n++;
			if (cp_wave_end(w, at, *p == '.' ? CP_WAVE_OK : *p == 'x' ? CP_WAVE_FAILED : CP_WAVE_OVERTAKEN, t))
				stopped = n;
		}
		CU_ASSERT_EQUAL(stopped, rows[r].stops);
		if (stopped > 0) {
			CU_ASSERT_EQUAL(state(w), CP_WAVE_STOPPED);
			CU_ASSERT(strstr(cp_wave_record(w)->reason, "failed, more than") != NULL);
			CU_ASSERT_EQUAL(cp_wave_next(w, t + 60 * S, &at, &when), -ENOENT);
		}
		cp_wave_destroy(w);
	}
}

static void test_operators(void)
{
	struct cp_wave_rec rec = plain(20), to;
	char why[200];
	struct cp_wave *w = begin(&rec);
	int64_t t = NOW + 60 * S, when;
	uint32_t at;

	for (int i = 0; i < 5; i++, t += 2 * S) {
		CU_ASSERT_EQUAL_FATAL(cp_wave_next(w, t, &at, &when), 0);
		take(w, at, t);
	}
	CU_ASSERT_EQUAL(cp_wave_pause(cp_wave_record(w), &to, why, sizeof(why)), 0);
	CU_ASSERT_FALSE(cp_wave_put(w, &to, t));
	CU_ASSERT_EQUAL(cp_wave_next(w, t, &at, &when), -ENOENT);
	CU_ASSERT_EQUAL(cp_wave_pause(cp_wave_record(w), &to, why, sizeof(why)), -EPROTO);
	/* a paused one does not stop, but what fails meanwhile is not forgotten */
	for (uint32_t k = 0; k < 5; k++)
		CU_ASSERT_FALSE(cp_wave_end(w, k, CP_WAVE_FAILED, t));
	CU_ASSERT_EQUAL(cp_wave_resume(cp_wave_record(w), t, &to, why, sizeof(why)), 0);
	CU_ASSERT_TRUE(cp_wave_put(w, &to, t));
	CU_ASSERT_EQUAL(state(w), CP_WAVE_STOPPED);
	/* resumed from there it begins to count anew */
	CU_ASSERT_EQUAL(cp_wave_resume(cp_wave_record(w), t, &to, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(to.judged_us, t);
	CU_ASSERT_FALSE(cp_wave_put(w, &to, t));
	t += 60 * S;
	CU_ASSERT_EQUAL_FATAL(cp_wave_next(w, t, &at, &when), 0);
	CU_ASSERT_EQUAL(at, 5);
	take(w, at, t);
	CU_ASSERT_FALSE(cp_wave_end(w, at, CP_WAVE_FAILED, t));
	t += 60 * S;
	CU_ASSERT_EQUAL_FATAL(cp_wave_next(w, t, &at, &when), 0);
	take(w, at, t);
	CU_ASSERT_EQUAL(cp_wave_cancel(cp_wave_record(w), t, &to, why, sizeof(why)), 0);
	CU_ASSERT_FALSE(cp_wave_put(w, &to, t));
	CU_ASSERT_TRUE(cp_wave_alive(w)); /* one is pending still */
	CU_ASSERT_FALSE(cp_wave_end(w, at, CP_WAVE_OK, t));
	CU_ASSERT_EQUAL(state(w), CP_WAVE_CANCELLED);
	CU_ASSERT_FALSE(cp_wave_alive(w));
	CU_ASSERT_EQUAL(count(w, CP_WAVE_WAITING), 13);
	CU_ASSERT_EQUAL(cp_wave_cancel(cp_wave_record(w), t, &to, why, sizeof(why)), -EPROTO);
	CU_ASSERT_EQUAL(cp_wave_resume(cp_wave_record(w), t, &to, why, sizeof(why)), -EPROTO);
	CU_ASSERT(strstr(why, "cancelled") != NULL);
	cp_wave_destroy(w);
}

/*
 * A store of a wave: what was written. After each step the wave is thrown away with some chance and made anew from it, sometimes between
 * a decision and its write; in the end each device was set once, in order, and has the result that its phone gave.
 */
struct disk {
	struct cp_wave_rec rec;
	struct cp_wave_item item[400];
	unsigned sets[400];
};

static struct cp_wave *again(const struct disk *d, int64_t now)
{
	struct cp_wave *w = cp_wave_create(&d->rec);
	int rc = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(w);
	for (uint32_t k = d->rec.cnt; k-- > 0 && rc == 0;) /* in any order */
		rc = cp_wave_load(w, &d->item[k]);
	CU_ASSERT_EQUAL(rc, 0);
	cp_wave_loaded(w, now);
	return w;
}

static void test_made_anew(void)
{
	static struct disk d;
	unsigned restarts = 0, lost = 0;

	for (unsigned round = 0; round < 24; round++) {
		struct cp_wave_rec rec = plain(50 + rnd(350)), to;
		char why[200];
		int64_t t = NOW + 60 * S, when;
		uint32_t at, last_set = 0;
		struct cp_wave *w;
		unsigned steps = 0;

		memset(&d, 0, sizeof(d));
		rec.per_minute = 60 + rnd(3000);
		rec.at_once = 1 + rnd(60);
		rec.stop_at = (uint8_t)rnd(60);
		rec.window = 1 + rnd(40);
		d.rec = rec;
		for (uint32_t k = 0; k < rec.cnt; k++)
			d.item[k] = item_of(k);
		w = again(&d, t);
		for (; steps < 200000 && cp_wave_alive(w); steps++) {
			t += 1 + rnd(200000);
			if (cp_wave_next(w, t, &at, &when) == 0) {
				cp_wave_take(w, at, 1 + at, t);
				if (rnd(10) == 0) { /* killed before it was written */
					cp_wave_destroy(w);
					w = again(&d, t);
					lost++;
					continue;
				}
				if (rnd(10) == 0) { /* the store refused */
					cp_wave_taken(w, at, -EIO, t);
					continue;
				}
				cp_wave_item_get(w, at, &d.item[at]);
				d.sets[at]++;
				CU_ASSERT(last_set <= at || d.sets[at] == 1);
				last_set = at;
				cp_wave_taken(w, at, 0, t);
			}
			at = rnd(rec.cnt);
			if (d.item[at].state == CP_WAVE_SET) {
				enum cp_wave_item_state how = rnd(100) < 15 ? CP_WAVE_FAILED : rnd(50) == 0 ? CP_WAVE_OVERTAKEN : CP_WAVE_OK;
				struct cp_wave *twin;

				cp_wave_end(w, at, how, t);
				cp_wave_item_get(w, at, &d.item[at]);
				/* written, and the wave's own record not: what is made of it says the same */
				twin = again(&d, t);
				CU_ASSERT_EQUAL(state(twin), state(w));
				{
					struct cp_wave_counts a, b;

					cp_wave_count(twin, &a);
					cp_wave_count(w, &b);
					CU_ASSERT_EQUAL(memcmp(&a, &b, sizeof(a)), 0);
				}
				cp_wave_destroy(twin);
				d.rec = *cp_wave_record(w);
			}
			if (state(w) == CP_WAVE_STOPPED && rnd(5) == 0 && cp_wave_resume(cp_wave_record(w), t, &to, why, sizeof(why)) == 0) {
				d.rec = to;
				cp_wave_put(w, &to, t);
			}
			if (rnd(30) == 0) {
				cp_wave_destroy(w);
				w = again(&d, t);
				restarts++;
			}
		}
		CU_ASSERT_EQUAL(state(w), CP_WAVE_DONE);
		for (uint32_t k = 0; k < rec.cnt; k++)
			CU_ASSERT_EQUAL(d.sets[k], 1);
		CU_ASSERT_EQUAL(count(w, CP_WAVE_OK) + count(w, CP_WAVE_FAILED) + count(w, CP_WAVE_OVERTAKEN), rec.cnt);
		cp_wave_destroy(w);
	}
	CU_ASSERT(restarts > 100 && lost > 100);
}

static void test_the_rate_outlives_a_restart(void)
{
	struct cp_wave_rec rec = plain(10);
	struct cp_wave *w = cp_wave_create(&rec);
	struct cp_wave_item i;
	uint32_t at;
	int64_t when;

	CU_ASSERT_PTR_NOT_NULL_FATAL(w);
	for (uint32_t k = 0; k < 10; k++) {
		i = item_of(k);
		if (k == 0) {
			i.state = CP_WAVE_SET;
			i.op_id = 9;
			i.set_us = NOW;
		}
		CU_ASSERT_EQUAL(cp_wave_load(w, &i), 0);
		CU_ASSERT_EQUAL(cp_wave_load(w, &i), -EINVAL); /* twice */
	}
	i = item_of(10);
	CU_ASSERT_EQUAL(cp_wave_load(w, &i), -EINVAL);
	i = item_of(1);
	i.wave = 4;
	CU_ASSERT_EQUAL(cp_wave_load(w, &i), -EINVAL);
	CU_ASSERT_FALSE(cp_wave_loaded(w, NOW + S / 2));
	CU_ASSERT_EQUAL(cp_wave_next(w, NOW + S / 2, &at, &when), -EAGAIN);
	CU_ASSERT_EQUAL(when, NOW + S);
	CU_ASSERT_EQUAL(cp_wave_next(w, NOW + S, &at, &when), 0);
	CU_ASSERT_EQUAL(at, 1);
	cp_wave_destroy(w);
}

static void test_records(void)
{
	struct cp_wave_rec rec = plain(5), back;
	struct cp_wave_item item = item_of(4), iback;
	struct cp_buf buf;

	snprintf(rec.what, sizeof(rec.what), "expiring in 30 days");
	CU_ASSERT_EQUAL_FATAL(cp_wave_rec_build(&rec, &buf), 0);
	CU_ASSERT_EQUAL_FATAL(cp_wave_rec_parse(buf.data, buf.len, &back), 0);
	CU_ASSERT_STRING_EQUAL(back.what, rec.what);
	CU_ASSERT_EQUAL(back.per_minute, 60);
	CU_ASSERT_EQUAL(back.cnt, 5);
	cp_wave_rec_free(&back);
	for (size_t n = 0; n < buf.len; n++) /* cut between two fields it is a shorter record; nowhere else one */
		if (cp_wave_rec_parse(buf.data, n, &back) == 0) {
			struct cp_buf same;

			CU_ASSERT_EQUAL_FATAL(cp_wave_rec_build(&back, &same), 0);
			CU_ASSERT(same.len >= n && memcmp(same.data, buf.data, n) == 0);
			free(same.data);
			cp_wave_rec_free(&back);
		}
	free(buf.data);
	item.state = CP_WAVE_SET;
	CU_ASSERT_EQUAL(cp_wave_item_build(&item, &buf), -EINVAL); /* of no operation */
	item.op_id = 7;
	snprintf(item.why, sizeof(item.why), "because");
	CU_ASSERT_EQUAL_FATAL(cp_wave_item_build(&item, &buf), 0);
	CU_ASSERT_EQUAL_FATAL(cp_wave_item_parse(buf.data, buf.len, &iback), 0);
	CU_ASSERT_STRING_EQUAL(iback.device, item.device);
	CU_ASSERT_STRING_EQUAL(iback.why, "because");
	CU_ASSERT_EQUAL(iback.op_id, 7);
	cp_wave_item_free(&iback);
	for (size_t n = 0; n < buf.len; n++)
		if (cp_wave_item_parse(buf.data, n, &iback) == 0) {
			struct cp_buf same;

			CU_ASSERT_EQUAL_FATAL(cp_wave_item_build(&iback, &same), 0);
			CU_ASSERT(same.len >= n && memcmp(same.data, buf.data, n) == 0);
			free(same.data);
			cp_wave_item_free(&iback);
		}
	free(buf.data);
	rec.stop_at = 101;
	CU_ASSERT_EQUAL(cp_wave_rec_build(&rec, &buf), -EINVAL);
	rec.stop_at = 20;
	rec.cnt = CP_WAVE_MAX + 1;
	CU_ASSERT_EQUAL(cp_wave_rec_build(&rec, &buf), -EINVAL);
}

static CU_TestInfo tests[] = {
	{"so many a minute, in order", test_rate},
	{"a pause is not made good", test_a_pause_is_not_made_good},
	{"so many at once", test_at_once},
	{"a device that is busy", test_busy},
	{"failures stop it", test_stop},
	{"pause, resume, cancel", test_operators},
	{"made anew at any moment", test_made_anew},
	{"the rate outlives a restart", test_the_rate_outlives_a_restart},
	{"records", test_records},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("wave", tests, NULL, NULL)
