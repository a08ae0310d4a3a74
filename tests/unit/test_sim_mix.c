/* SPDX-License-Identifier: BSD-3-Clause */
/* bench/sim/gwmix.c: what a conference's listeners hear is the sum of the others, sample by sample. */
#include <stdlib.h>

#include <CUnit/CUnit.h>

#include "gwmix.h"
#include "suite.h"
#include "wav.h"

#define FRAME 160

static int16_t sample(unsigned who, unsigned frame, unsigned i)
{
	return sim_ulaw_to((uint8_t)((who * 71 + frame * 29 + i * (who + 3)) & 0xff));
}

static void speak(struct sim_mix *m, unsigned who, unsigned frame, uint8_t pt)
{
	uint8_t p[FRAME];

	for (unsigned i = 0; i < FRAME; i++)
		p[i] = pt == SIM_PT_ALAW ? sim_alaw_of(sample(who, frame, i)) : sim_ulaw_of(sample(who, frame, i));
	sim_mix_heard(m, pt, p, FRAME);
}

static int32_t said(unsigned who, unsigned frame, unsigned i, uint8_t pt)
{
	return pt == SIM_PT_ALAW ? sim_alaw_to(sim_alaw_of(sample(who, frame, i))) : sample(who, frame, i);
}

/* Three, one of whom speaks and hears A-law: to each the other two, added, as far as 16 bits go; never itself. */
static void test_sum(void)
{
	static const uint8_t pt[3] = {SIM_PT_ULAW, SIM_PT_ALAW, SIM_PT_ULAW};
	struct sim_mix *m[3];
	uint8_t out[FRAME];
	unsigned loud = 0;

	for (unsigned k = 0; k < 3; k++)
		m[k] = sim_mix_create();
	for (unsigned f = 0; f < 50; f++) {
		for (unsigned k = 0; k < 3; k++)
			speak(m[k], k, f, pt[k]);
		for (unsigned k = 0; k < 3; k++) {
			unsigned a = (k + 1) % 3, b = (k + 2) % 3, from = f - SIM_MIX_DELAY / FRAME + 1;

			sim_mix_next(m[k], m, 3, pt[k], out, FRAME);
			for (unsigned i = 0; i < FRAME; i++) {
				/* two packets wait: before there are so many and the next one, silence */
				int32_t v = f < 2 ? 0 : said(a, from - 1, i, pt[a]) + said(b, from - 1, i, pt[b]);

				loud += v > INT16_MAX || v < INT16_MIN;
				v = v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v;
				CU_ASSERT_EQUAL(out[i], pt[k] == SIM_PT_ALAW ? sim_alaw_of((int16_t)v) : sim_ulaw_of((int16_t)v));
			}
		}
	}
	CU_ASSERT_TRUE(loud > 0);
	for (unsigned k = 0; k < 3; k++) {
		json_t *r = sim_mix_report(m[k]);

		CU_ASSERT(json_integer_value(json_object_get(r, "frames")) == 48 && json_integer_value(json_object_get(r, "most")) == 2 &&
			  json_integer_value(json_object_get(r, "missed")) == 0);
		json_decref(r);
		sim_mix_destroy(m[k]);
	}
}

static bool silent(const uint8_t *p)
{
	for (unsigned i = 0; i < FRAME; i++)
		if (p[i] != 0xff)
			return false;
	return true;
}

/* A speaker who stops, who comes back, who comes in bursts, and one in the place of another. */
static void test_gaps(void)
{
	struct sim_mix *m[2] = {sim_mix_create(), sim_mix_create()}, *none[2] = {NULL, m[1]};
	uint8_t out[FRAME];

	for (unsigned f = 0; f < 3; f++)
		speak(m[0], 0, f, SIM_PT_ULAW);
	for (unsigned k = 0; k < 3; k++) {
		sim_mix_next(m[1], m, 2, SIM_PT_ULAW, out, FRAME);
		CU_ASSERT_FALSE(silent(out));
	}
	sim_mix_next(m[1], m, 2, SIM_PT_ULAW, out, FRAME); /* nothing more comes */
	CU_ASSERT_TRUE(silent(out));
	for (unsigned f = 0; f < 100; f++) /* two seconds at once: it goes on with the newest, not seconds late */
		speak(m[0], 0, f, SIM_PT_ULAW);
	sim_mix_next(m[1], m, 2, SIM_PT_ULAW, out, FRAME);
	CU_ASSERT(out[0] == sim_ulaw_of(sample(0, 97, 0)) && out[FRAME - 1] == sim_ulaw_of(sample(0, 97, FRAME - 1)));
	sim_mix_next(m[1], none, 2, SIM_PT_ULAW, out, FRAME);
	CU_ASSERT_TRUE(silent(out));
	sim_mix_destroy(m[0]);
	m[0] = sim_mix_create();
	sim_mix_forget(m[1], 0);
	speak(m[0], 0, 7, SIM_PT_ULAW);
	sim_mix_next(m[1], m, 2, SIM_PT_ULAW, out, FRAME);
	CU_ASSERT_TRUE(silent(out));
	sim_mix_destroy(m[0]);
	sim_mix_destroy(m[1]);
}

static CU_TestInfo tests[] = {
	{"the sum of the others, sample by sample", test_sum},
	{"speakers who stop and come back", test_gaps},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("sim_mix", tests, NULL, NULL)
