/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelin-bench plan: codec frames, interpolation, and a plan computed by hand. */
#include <math.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "plan_calc.h"

#define NEAR(a, b) CU_ASSERT_DOUBLE_EQUAL(a, b, 1e-6 * fabs((double)(b)) + 1e-9)

static void test_payload(void)
{
	CU_ASSERT_EQUAL(bench_plan_payload("g711", 20), 160);
	CU_ASSERT_EQUAL(bench_plan_payload("g711", 30), 240);
	CU_ASSERT_EQUAL(bench_plan_payload("g722", 10), 80);
	CU_ASSERT_EQUAL(bench_plan_payload("g729", 20), 20);
	CU_ASSERT_EQUAL(bench_plan_payload("g729", 25), 0); /* frames are 10 ms */
	CU_ASSERT_EQUAL(bench_plan_payload("ilbc-20", 20), 38);
	CU_ASSERT_EQUAL(bench_plan_payload("ilbc-30", 20), 0);
	CU_ASSERT_EQUAL(bench_plan_payload("opus", 20), 0);
}

static void test_curve(void)
{
	struct bench_plan_curve c = {0};

	NEAR(bench_plan_cycles(&c, 160), 0);
	CU_ASSERT_TRUE(bench_plan_point(&c, 160, 300));
	NEAR(bench_plan_cycles(&c, 20), 300); /* one point is all that is known */
	CU_ASSERT_TRUE(bench_plan_point(&c, 1200, 820));
	CU_ASSERT_TRUE(bench_plan_point(&c, 20, 230)); /* order of entry does not matter */
	NEAR(bench_plan_cycles(&c, 20), 230);
	NEAR(bench_plan_cycles(&c, 160), 300);
	NEAR(bench_plan_cycles(&c, 90), 265);
	NEAR(bench_plan_cycles(&c, 680), 560);
	NEAR(bench_plan_cycles(&c, 1400), 920); /* beyond: the last slope */
	NEAR(bench_plan_cycles(&c, 0), 220);
	while (c.n < BENCH_PLAN_POINTS)
		CU_ASSERT_TRUE(bench_plan_point(&c, 2000 + c.n, 1000));
	CU_ASSERT_FALSE(bench_plan_point(&c, 1, 1));
}

static void test_wire(void)
{
	/* The frame of G.711 SRTP on the wire is 248 bytes; nothing is shorter than 64 + 20. */
	NEAR(bench_plan_wire_bits(12 + 160 + 10), 248 * 8);
	NEAR(bench_plan_wire_bits(12), 84 * 8);
	NEAR(bench_plan_wire_bits(18), 84 * 8);
	NEAR(bench_plan_wire_bits(19), 85 * 8);
}

static struct bench_plan_in g711(uint32_t calls)
{
	struct bench_plan_in in = {.calls = calls, .payload = 160, .ptime_ms = 20, .tag = 10, .rtcp_tag = 14, .hz = 2e9,
				   .leg_bytes = 1000, .port_gbit = 10};

	(void)bench_plan_point(&in.ways[0], 160, 300);
	(void)bench_plan_point(&in.ways[1], 160, 500);
	return in;
}

static void test_plan(void)
{
	struct bench_plan_in in = g711(50000);
	struct bench_plan p;

	CU_ASSERT_EQUAL_FATAL(bench_plan_make(&in, &p), 0);
	/* 50,000 calls x 50 packets x (300 + 500) cycles = 2e9: one core's worth, two at 70 %. */
	NEAR(p.load, 1.0);
	CU_ASSERT_EQUAL(p.workers, 2);
	NEAR(p.rx_pps, 5e6);
	NEAR(p.tx_pps, 5e6);
	/* 2.5 million of 238 bytes and 2.5 million of 248. */
	NEAR(p.rx_gbit, 2.5e6 * (238 + 248) * 8 / 1e9);
	CU_ASSERT_EQUAL(p.ports, 2); /* 9.72 of 2 x 7 */
	CU_ASSERT_EQUAL(p.legs, 100000);
	CU_ASSERT_EQUAL(p.addresses, 13); /* 8,192 legs each */
	CU_ASSERT_EQUAL(p.mbufs, 2 * 2 * 2 * 1024 + 8192);
	NEAR(p.leg_mb, 100000.0 * 1000 / 1048576);
	NEAR(p.memory_mb, ceil(100000.0 * 1000 / 1048576 + 16384.0 * 2432 / 1048576 + 96));
	CU_ASSERT_EQUAL(p.huge_pages, (uint32_t)ceil(p.memory_mb / 2));
	NEAR(p.page_mb, 13.0 * 8192 * 320 / 1048576);
}

static void test_variants(void)
{
	struct bench_plan_in in = g711(50000);
	struct bench_plan p, q;

	CU_ASSERT_EQUAL_FATAL(bench_plan_make(&in, &p), 0);
	in.both_legs = true;
	CU_ASSERT_EQUAL_FATAL(bench_plan_make(&in, &q), 0);
	NEAR(q.rx_gbit, 5e6 * 248 * 8 / 1e9); /* both sides carry a tag; the cost is in the curves */
	NEAR(q.load, p.load);
	in.both_legs = false;
	in.rtcp = true;
	CU_ASSERT_EQUAL_FATAL(bench_plan_make(&in, &q), 0);
	NEAR(q.rx_pps, 2 * 50000 * 50.2);
	NEAR(q.load, 50000 * (50 + 0.2 * 4) * 800 / 2e9);
	NEAR(q.rx_gbit - p.rx_gbit, 50000 * 0.2 * 8 * (84 + 66 + 84 + 14 + 66) / 1e9);
	in = g711(50000);
	in.ptime_ms = 10;
	in.payload = 80;
	CU_ASSERT_EQUAL_FATAL(bench_plan_make(&in, &q), 0);
	NEAR(q.load, 2.0); /* twice the packets */
	in = g711(1);
	CU_ASSERT_EQUAL_FATAL(bench_plan_make(&in, &q), 0);
	CU_ASSERT_EQUAL(q.workers, 1);
	CU_ASSERT_EQUAL(q.ports, 1);
	CU_ASSERT_EQUAL(q.addresses, 1);
	in = g711(4096); /* what one address has ports for */
	CU_ASSERT_EQUAL_FATAL(bench_plan_make(&in, &q), 0);
	CU_ASSERT_EQUAL(q.addresses, 1);
	in.calls++;
	CU_ASSERT_EQUAL_FATAL(bench_plan_make(&in, &q), 0);
	CU_ASSERT_EQUAL(q.addresses, 2);
}

static void test_nonsense(void)
{
	struct bench_plan p;

	for (int k = 0; k < 6; k++) {
		struct bench_plan_in in = g711(100);

		if (k == 0)
			in.calls = 0;
		else if (k == 1)
			in.ptime_ms = 0;
		else if (k == 2)
			in.payload = 0;
		else if (k == 3)
			in.hz = 0;
		else if (k == 4)
			in.port_gbit = 0;
		else
			in.ways[1].n = 0;
		CU_ASSERT_EQUAL(bench_plan_make(&in, &p), -1);
	}
}

static CU_TestInfo tests[] = {
	{"a codec's frames make the payload", test_payload},
	{"cycles between and beyond measured points", test_curve},
	{"bits on the wire", test_wire},
	{"a plan computed by hand", test_plan},
	{"both legs, RTCP, shorter packets, one call", test_variants},
	{"what makes no sense is refused", test_nonsense},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("plan", tests, NULL, NULL)
