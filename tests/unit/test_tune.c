/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/tune.c and wheel.c: files of music cut at every length and changed in every field, G.711 against its decoder,
 * and the wheel against a slow model with a clock of the test's. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "tune.h"
#include "wheel.h"

/* --- files --- */

#define SAMPLES 1000 /* 125 ms */

static void put(uint8_t *p, uint32_t v, int n)
{
	for (int i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* A WAV file with an odd chunk in front of the data. Returns its length. */
static size_t wav(uint8_t *f)
{
	memset(f, 0, 64);
	memcpy(f, "RIFF", 4);
	memcpy(f + 8, "WAVEfmt ", 8);
	put(f + 16, 16, 4);
	put(f + 20, 1, 2);
	put(f + 22, 1, 2);
	put(f + 24, 8000, 4);
	put(f + 28, 16000, 4);
	put(f + 32, 2, 2);
	put(f + 34, 16, 2);
	memcpy(f + 36, "LIST", 4);
	put(f + 40, 3, 4);
	memcpy(f + 48, "data", 4);
	put(f + 52, 2 * SAMPLES, 4);
	for (int i = 0; i < SAMPLES; i++)
		put(f + 56 + 2 * i, (uint32_t)(i * 61 - 30000), 2);
	put(f + 4, 48 + 2 * SAMPLES, 4);
	return 56 + 2 * SAMPLES;
}

static void test_truncated(void)
{
	uint8_t f[64 + 2 * SAMPLES];
	size_t len = wav(f);

	for (size_t n = 0; n <= len; n++) {
		uint8_t *copy = malloc(n > 0 ? n : 1); /* of the exact size, for ASan */
		struct dp_tune *tune = calloc(1, sizeof(*tune));
		const char *why = NULL;
		int rc;

		memcpy(copy, f, n);
		rc = dp_tune_add(tune, DP_MUSIC_F_PCM, copy, n, &why);
		/* a data chunk that is cut counts as far as it goes, if that is 100 ms */
		CU_ASSERT_EQUAL(rc, n >= 56 + 1600 ? 0 : -EINVAL);
		CU_ASSERT_EQUAL(rc == 0, tune->part[DP_MUSIC_PCMA].data != NULL);
		if (rc < 0)
			CU_ASSERT_PTR_NOT_NULL(why);
		dp_tune_free(tune);
		free(copy);
	}
}

static int change(int at, uint32_t v, int n, const char **ret_why)
{
	uint8_t f[64 + 2 * SAMPLES];
	struct dp_tune *tune = calloc(1, sizeof(*tune));
	size_t len = wav(f);
	int rc;

	put(f + at, v, n);
	rc = dp_tune_add(tune, DP_MUSIC_F_PCM, f, len, ret_why);
	dp_tune_free(tune);
	return rc;
}

static void test_format(void)
{
	static const struct {
		int at;
		uint32_t v;
		int n;
		const char *why;
	} bad[] = {
		{20, 7, 2, "not PCM"},  {22, 2, 2, "channel"},  {24, 16000, 4, "8000"}, {34, 8, 2, "16 bits"},
		{16, 15, 4, "fmt"},     {8, 0, 4, "not a WAV"}, {40, 0xffffffff, 4, "longer than the file"},
		{48, 0x20202020, 4, "no data"}, {12, 0x20202020, 4, "no fmt"}, {52, 1598, 4, "100 ms"},
	};
	const char *why = "";

	CU_ASSERT_EQUAL(change(52, 0xffffffff, 4, &why), 0); /* what a pipe writes */
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_EQUAL(change(bad[i].at, bad[i].v, bad[i].n, &why), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, bad[i].why));
	}
}

static void test_parts(void)
{
	static uint8_t raw[4000];
	struct dp_tune *tune = calloc(1, sizeof(*tune));
	const char *why = "";
	uint8_t out[480];

	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)(i * 13 + i / 256);
	CU_ASSERT_EQUAL(dp_tune_add(tune, DP_MUSIC_F_PCM, raw, 2 * 8 * 125, &why), 0);
	CU_ASSERT_EQUAL(dp_tune_add(tune, DP_MUSIC_F_G722, raw, 8 * 119, &why), 0);
	CU_ASSERT_EQUAL(dp_tune_add(tune, DP_MUSIC_F_G729, raw, 109, &why), 0);
	CU_ASSERT_EQUAL(tune->part[DP_MUSIC_PCMU].ms, 120);
	CU_ASSERT_EQUAL(tune->part[DP_MUSIC_G722].ms, 110);
	CU_ASSERT_EQUAL(tune->part[DP_MUSIC_G729].ms, 100);
	/* over the end and on from the beginning, in a repetition far away */
	dp_tune_copy(tune, DP_MUSIC_PCMA, 120ull * 1000000000 + 90, 60, out);
	for (int i = 0; i < 480; i++) {
		int k = (90 * 8 + i) % (120 * 8);

		CU_ASSERT_EQUAL(out[i], dp_tune_alaw((int16_t)(raw[2 * k] | raw[2 * k + 1] << 8)));
	}
	dp_tune_copy(tune, DP_MUSIC_G729, 90, 20, out);
	CU_ASSERT_EQUAL(memcmp(out, raw + 90, 10), 0);
	CU_ASSERT_EQUAL(memcmp(out + 10, raw, 10), 0);
	CU_ASSERT_EQUAL(dp_tune_add(tune, DP_MUSIC_F_G729, raw, 99, &why), -EINVAL);
	CU_ASSERT_EQUAL(dp_tune_add(tune, DP_MUSIC_F_PCM, raw, (size_t)DP_TUNE_FILE_MAX + 1, &why), -EINVAL);
	dp_tune_free(tune);
	dp_tune_free(NULL);
}

static int ulaw_to(uint8_t octet)
{
	int u = (uint8_t)~octet, v = ((u & 15) * 8 + 132) << (u >> 4 & 7);

	return (u & 0x80) != 0 ? 132 - v : v - 132;
}

static int alaw_to(uint8_t octet)
{
	int a = octet ^ 0x55, seg = a >> 4 & 7, v = (a & 15) << 4;

	v = seg == 0 ? v + 8 : (v + 264) << (seg - 1);
	return (a & 0x80) != 0 ? v : -v;
}

/* G.711: every value that is sent comes back as itself, and no sample is further from its value than its segment is coarse. */
static void test_g711(void)
{
	int wrong = 0;

	for (int o = 0; o < 256; o++) {
		wrong += ulaw_to(dp_tune_ulaw((int16_t)ulaw_to((uint8_t)o))) != ulaw_to((uint8_t)o);
		wrong += alaw_to(dp_tune_alaw((int16_t)alaw_to((uint8_t)o))) != alaw_to((uint8_t)o);
	}
	for (int s = -32768; s <= 32767; s++) {
		int u = ulaw_to(dp_tune_ulaw((int16_t)s)), a = alaw_to(dp_tune_alaw((int16_t)s)), m = abs(s);

		wrong += m <= 32635 && abs(u - s) > (m + 132) / 32 + 4;
		wrong += abs(a - s) > m / 32 + 16;
		wrong += abs(u) > 32124 || abs(a) > 32256;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

/* --- the wheel --- */

#define BEATS 300

static uint32_t seed = 1;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* Everything comes at its millisecond, once, however far the wheel has turned; what is taken out does not come. */
static void test_wheel(void)
{
	static struct dp_wheel w;
	static struct dp_beat b[BEATS];
	uint64_t now = 0xffffffffull * 1000 - 500; /* the low 32 bits wrap meanwhile */
	unsigned int early = 0, missed = 0, in;

	memset(b, 0, sizeof(b));
	dp_wheel_init(&w, now);
	for (int round = 0; round < 20000; round++) {
		struct dp_beat *got;
		uint64_t last = 0;
		uint32_t k = rnd(BEATS);

		if (b[k].next == NULL) {
			b[k].due = now + 1 + rnd(DP_WHEEL_MS - 2);
			dp_wheel_put(&w, &b[k]);
		} else if (rnd(4) == 0) {
			dp_wheel_take(&w, &b[k]);
			dp_wheel_take(&w, &b[k]);
		}
		now += rnd(3);
		while ((got = dp_wheel_next(&w, now)) != NULL) {
			early += got->due > now || got->due < last;
			last = got->due;
		}
		in = 0;
		for (int i = 0; i < BEATS; i++) {
			missed += b[i].next != NULL && b[i].due <= now;
			in += b[i].next != NULL;
		}
		CU_ASSERT_EQUAL(w.n, in);
	}
	CU_ASSERT_EQUAL(early, 0);
	CU_ASSERT_EQUAL(missed, 0);
	/* a stall of many turns: all of them come, at once */
	in = w.n;
	CU_ASSERT_TRUE(in > 10);
	while (dp_wheel_next(&w, now + 100 * DP_WHEEL_MS + 7) != NULL)
		in--;
	CU_ASSERT_EQUAL(in, 0);
}

static void test_wheel_edges(void)
{
	static struct dp_wheel w;
	struct dp_beat a = {.due = 5}, b = {.due = 1000000}, c = {.due = 100};

	dp_wheel_init(&w, 100);
	dp_wheel_put(&w, &a); /* past: at once */
	dp_wheel_put(&w, &c);
	CU_ASSERT_PTR_EQUAL(dp_wheel_next(&w, 100), &a);
	CU_ASSERT_PTR_EQUAL(dp_wheel_next(&w, 100), &c);
	CU_ASSERT_PTR_NULL(dp_wheel_next(&w, 100));
	dp_wheel_put(&w, &b); /* too far: too early, but never lost */
	CU_ASSERT_PTR_NULL(dp_wheel_next(&w, 200));
	CU_ASSERT_PTR_EQUAL(dp_wheel_next(&w, 100 + DP_WHEEL_MS), &b);
	CU_ASSERT_EQUAL(w.n, 0);
	/* nothing in it: time passes */
	CU_ASSERT_PTR_NULL(dp_wheel_next(&w, 5000));
	a.due = 5001;
	dp_wheel_put(&w, &a);
	CU_ASSERT_PTR_NULL(dp_wheel_next(&w, 5000));
	CU_ASSERT_PTR_EQUAL(dp_wheel_next(&w, 5001), &a);
}

static CU_TestInfo tests[] = {
	{"a file cut at every length", test_truncated},
	{"a file of another format", test_format},
	{"codecs and the repetition", test_parts},
	{"G.711 against its decoder", test_g711},
	{"the wheel against a slow model", test_wheel},
	{"edges of the wheel", test_wheel_edges},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("tune", tests, NULL, NULL)
