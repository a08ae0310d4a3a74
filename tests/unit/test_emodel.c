/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/quality/emodel.c against the figures that ITU-T publishes. */
#include <math.h>

#include <CUnit/CUnit.h>

#include "quality/emodel.h"

#define NEAR(a, b, eps) CU_ASSERT_DOUBLE_EQUAL(a, b, eps)

/* G.107 s7.7: with every default value R is 93.2. */
static void test_default(void)
{
	NEAR(dp_emodel_r_of(0, 0), 93.2, 0.05);
}

/* G.107 annex B, table B.1: R and MOS. */
static void test_mos(void)
{
	static const struct {
		double r, mos;
	} tab[] = {{93.2, 4.41}, {90, 4.34}, {80, 4.03}, {70, 3.60}, {60, 3.10}, {50, 2.58}};

	for (size_t i = 0; i < sizeof(tab) / sizeof(tab[0]); i++)
		NEAR(dp_emodel_mos(tab[i].r), tab[i].mos, 0.01);
	NEAR(dp_emodel_mos(0), 1, 0);
	NEAR(dp_emodel_mos(-5), 1, 0);
	NEAR(dp_emodel_mos(100), 4.5, 0);
	NEAR(dp_emodel_mos(120), 4.5, 0);
	for (double r = 0; r <= 100; r += 0.1) {
		CU_ASSERT_TRUE(dp_emodel_mos(r) >= 1 && dp_emodel_mos(r) <= 4.5);
		CU_ASSERT_TRUE(r < 6.6 || dp_emodel_mos(r) > dp_emodel_mos(r - 0.1));
	}
}

/*
 * Delay. G.107 s7.4: Idd is 0 up to 100 ms and grows from there (its own value at 200 ms, x = 1: 25 (2^(1/6) - 3
 * (1 + 3^-6)^(1/6) + 2)); G.114's planning values: 150 ms does hardly harm, 400 ms is the limit for which most plan.
 */
static void test_delay(void)
{
	double idd200 = 25 * (pow(2, 1.0 / 6) - 3 * pow(1 + pow(1 / 3.0, 6), 1.0 / 6) + 2);
	double last = dp_emodel_r_of(0, 0);

	NEAR(idd200, 3.04, 0.01);
	for (double ta = 1; ta <= 1000; ta++) {
		double r = dp_emodel_r_of(0, ta);

		/* sidetone and talker echo trade places in the first milliseconds */
		CU_ASSERT_TRUE(r < last + (ta < 10 ? 0.2 : 0));
		last = r;
	}
	CU_ASSERT_TRUE(dp_emodel_r_of(0, 100) > 90);
	CU_ASSERT_TRUE(dp_emodel_r_of(0, 150) > 88 && dp_emodel_r_of(0, 150) < 91);
	CU_ASSERT_TRUE(dp_emodel_r_of(0, 400) > 55 && dp_emodel_r_of(0, 400) < 65);
	/* what is subtracted is subtracted once, and never below zero */
	NEAR(dp_emodel_r_of(0, 50) - dp_emodel_r_of(11, 50), 11, 1e-9);
	NEAR(dp_emodel_r_of(200, 50), 0, 0);
}

/* G.113 appendix I: G.711 with concealment Ie 0, Bpl 25.1; G.729A with silence suppression Ie 11, Bpl 19. G.107 s7-6. */
static void test_loss(void)
{
	NEAR(dp_emodel_ie_eff(DP_CODEC_G711, 0), 0, 1e-9);
	NEAR(dp_emodel_ie_eff(DP_CODEC_G729, 0), 11, 1e-9);
	NEAR(dp_emodel_ie_eff(DP_CODEC_G711, 1), 95 / 26.1, 1e-9);
	NEAR(dp_emodel_ie_eff(DP_CODEC_G729, 1), 11 + 84 / 20.0, 1e-9);
	/* half of what there is to lose at as much percent as the codec bears */
	NEAR(dp_emodel_ie_eff(DP_CODEC_G711, 25.1), 47.5, 1e-9);
	NEAR(dp_emodel_ie_eff(DP_CODEC_G729, 19), 53, 1e-9);
	CU_ASSERT_TRUE(dp_emodel_ie_eff(DP_CODEC_G711, 100) < 95);
	CU_ASSERT_TRUE(dp_emodel_has(DP_CODEC_G711));
	CU_ASSERT_TRUE(dp_emodel_has(DP_CODEC_G729));
	CU_ASSERT_FALSE(dp_emodel_has(DP_CODEC_OTHER));
	CU_ASSERT_FALSE(dp_emodel_has(DP_CODEC_G722));
	CU_ASSERT_FALSE(dp_emodel_has(DP_CODEC_MAX));
}

static void test_path(void)
{
	struct dp_emodel_in in = {.codec = DP_CODEC_G711};

	/* 20 ms of speech are collected, a buffer holds one packet */
	NEAR(dp_emodel_codec_ms(&in), 40, 1e-9);
	in.ptime_ms = 30;
	NEAR(dp_emodel_codec_ms(&in), 60, 1e-9);
	in.codec = DP_CODEC_G729; /* 5 ms look-ahead */
	NEAR(dp_emodel_codec_ms(&in), 65, 1e-9);
	in.jitter_ms = 40;
	NEAR(dp_emodel_codec_ms(&in), 30 + 5 + 80, 1e-9);
	in = (struct dp_emodel_in){.codec = DP_CODEC_G711, .ptime_ms = 20, .network_ms = 60, .loss = 0.01};
	NEAR(dp_emodel_r(&in), dp_emodel_r_of(95 / 26.1, 100), 1e-9);
	in.loss = 7; /* nonsense of a party's report does no harm */
	CU_ASSERT_TRUE(dp_emodel_r(&in) >= 0 && dp_emodel_r(&in) < 20);
	in.loss = -1;
	NEAR(dp_emodel_r(&in), dp_emodel_r_of(0, 100), 1e-9);
}

static CU_TestInfo tests[] = {
	{"default values give 93.2", test_default},
	{"MOS of table B.1", test_mos},
	{"delay", test_delay},
	{"loss and codec", test_loss},
	{"a path", test_path},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("emodel", tests, NULL, NULL)
