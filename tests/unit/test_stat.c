/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/stat.c and police.c: RFC 3550's counts against a plain model, report blocks, truncated RTCP, meters. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "parse.h"
#include "police.h"
#include "stat.h"

static void header(uint8_t *p, uint16_t seq, uint32_t ts, uint32_t ssrc)
{
	memset(p, 0, 12);
	p[0] = 0x80;
	dp_put16(p + 2, seq);
	dp_put32(p + 4, ts);
	dp_put32(p + 8, ssrc);
}

static struct dp_stat fresh(uint32_t hz)
{
	struct dp_stat s;

	memset(&s, 0, sizeof(s));
	dp_stat_clock(&s, hz);
	return s;
}

static enum dp_stat_seq feed(struct dp_stat *s, uint16_t seq, uint32_t ssrc, uint64_t us)
{
	uint8_t p[12];

	header(p, seq, 0, ssrc);
	return dp_stat_rtp(s, p, us);
}

/* Losses, swaps and twins at random over several turns of the sequence: every count as a list of all packets has it. */
static void test_counts_against_model(void)
{
	enum { N = 400000 };
	static uint8_t came[N + 200];
	struct dp_stat s = fresh(0);
	struct dp_page_rtp page = {0};
	uint64_t received = 0, reordered = 0, top = 0;
	uint32_t start = 65000;

	memset(came, 0, sizeof(came));
	srand(3550);
	CU_ASSERT_EQUAL(feed(&s, (uint16_t)start, 1, 0), DP_STAT_BEGIN);
	came[0] = 1;
	received = 1;
	while (top + 1 < N) {
		int dice = rand() % 100;
		uint64_t at = top + 1;
		enum dp_stat_seq said, must;

		if (dice < 5)
			at = top + 1 + (uint64_t)(rand() % 20); /* lost */
		else if (dice < 10 && top > 31)
			at = top - (uint64_t)(rand() % 31); /* late or twin, as far back as twins are known */
		must = at > top ? DP_STAT_NEXT : came[at] ? DP_STAT_TWIN : DP_STAT_LATE;
		said = feed(&s, (uint16_t)(start + at), 1, 0);
		CU_ASSERT_EQUAL_FATAL(said, must);
		received += must != DP_STAT_TWIN;
		reordered += must == DP_STAT_LATE;
		came[at] = 1;
		top = at > top ? at : top;
		if (top % 1000 == 0)
			dp_stat_page(&s, &page);
	}
	dp_stat_page(&s, &page);
	CU_ASSERT_EQUAL(page.expected, top + 1);
	CU_ASSERT_EQUAL(page.received, received);
	CU_ASSERT_EQUAL(page.reordered, reordered);
	CU_ASSERT_EQUAL(page.ext_seq, start + top);
	CU_ASSERT_EQUAL(page.ssrc, 1);
	CU_ASSERT_EQUAL(page.ssrc_changes, 0);
}

/* A.1: one packet far off is no restart, two in a row are; a long loss is not. */
static void test_jumps(void)
{
	struct dp_stat s = fresh(0);
	struct dp_page_rtp page = {0};

	feed(&s, 100, 7, 0);
	CU_ASSERT_EQUAL(feed(&s, 100 + DP_STAT_DROPOUT - 1, 7, 0), DP_STAT_NEXT);
	CU_ASSERT_EQUAL(feed(&s, 20000, 7, 0), DP_STAT_JUMP);
	CU_ASSERT_EQUAL(feed(&s, 100 + DP_STAT_DROPOUT, 7, 0), DP_STAT_NEXT);
	CU_ASSERT_EQUAL(feed(&s, 20005, 7, 0), DP_STAT_JUMP);
	CU_ASSERT_EQUAL(feed(&s, 20006, 7, 0), DP_STAT_BEGIN);
	CU_ASSERT_EQUAL(feed(&s, 20007, 7, 0), DP_STAT_NEXT);
	/* 65535 and 0 belong together */
	CU_ASSERT_EQUAL(feed(&s, 65535, 7, 0), DP_STAT_JUMP);
	CU_ASSERT_EQUAL(feed(&s, 0, 7, 0), DP_STAT_BEGIN);
	CU_ASSERT_EQUAL(feed(&s, 65535, 7, 0), DP_STAT_TWIN);
	dp_stat_page(&s, &page);
	CU_ASSERT_EQUAL(page.expected, (DP_STAT_DROPOUT + 1) + 3 + 2);
	CU_ASSERT_EQUAL(page.received, 3 + 3 + 2);
	CU_ASSERT_EQUAL(page.ssrc_changes, 0);
	/* another SSRC */
	CU_ASSERT_EQUAL(feed(&s, 5, 8, 0), DP_STAT_BEGIN);
	dp_stat_page(&s, &page);
	CU_ASSERT_EQUAL(page.ssrc, 8);
	CU_ASSERT_EQUAL(page.ssrc_changes, 1);
	CU_ASSERT_EQUAL(page.ext_seq, 5);
	CU_ASSERT_EQUAL(page.expected, (DP_STAT_DROPOUT + 1) + 3 + 2 + 1);
}

/* A.8 in whole numbers, at several clocks, against the text of the RFC. */
static void test_jitter_and_gap(void)
{
	static const uint32_t clocks[] = {0, 8000, 16000, 48000, 90000};

	for (unsigned int c = 0; c < sizeof(clocks) / sizeof(clocks[0]); c++) {
		struct dp_stat s = fresh(clocks[c]);
		uint32_t hz = clocks[c] != 0 ? clocks[c] : 8000, jitter = 0, transit = 0;
		uint64_t us = 5000000000ull, last = us, gap = 0; /* beyond 2^32 microseconds */
		struct dp_page_rtp page = {0};

		srand(c + 1);
		for (uint32_t i = 0; i < 20000; i++) {
			uint32_t ts = 4294900000u + i * (hz / 50), arrival, t;
			uint8_t p[12];
			int d;

			us = 5000000000ull + i * 20000ull + (uint64_t)(rand() % 15000);
			if (i >= 10000)
				us += 700000; /* one gap */
			header(p, (uint16_t)i, ts, 9);
			dp_stat_rtp(&s, p, us);
			arrival = dp_stat_ticks(&s, us);
			/* the clock itself: a tick off at most */
			t = (uint32_t)((us / 1000000) * hz + (us % 1000000) * hz / 1000000);
			CU_ASSERT_FATAL(t - arrival + 1 <= 2);
			t = arrival - ts;
			d = (int)(t - transit);
			transit = t;
			if (i > 0) {
				jitter += (uint32_t)(d < 0 ? -d : d) - ((jitter + 8) >> 4);
				gap = us - last > gap ? us - last : gap;
			}
			last = us;
			CU_ASSERT_EQUAL_FATAL(s.jitter, jitter);
		}
		dp_stat_page(&s, &page);
		CU_ASSERT_EQUAL(page.jitter, jitter);
		CU_ASSERT(page.jitter > 0);
		CU_ASSERT(page.gap_max_us + 16 >= gap && page.gap_max_us <= gap + 16);
	}
}

/* Counters of 32 bits wrap; the page's go on. */
static void test_page_extends(void)
{
	struct dp_stat s = fresh(0);
	struct dp_page_rtp page = {0};

	feed(&s, 1, 1, 0);
	s.received = 4294967290u;
	s.before = 4294967290u;
	s.changes = 65535;
	dp_stat_page(&s, &page);
	for (uint16_t i = 2; i < 22; i++)
		feed(&s, i, 1, 0);
	feed(&s, 1, 2, 0);
	dp_stat_page(&s, &page);
	CU_ASSERT_EQUAL(page.received, 4294967290u + 21ull);
	CU_ASSERT_EQUAL(page.expected, 4294967290u + 22ull);
	CU_ASSERT_EQUAL(page.ssrc_changes, 65536);
}

/* The page is made while SSRCs change: what it says is never half of a change, which would wrap. */
#define CHANGES 300000

static int changing;

static void *change(void *arg)
{
	struct dp_stat *s = arg;

	for (uint32_t i = 0; i < CHANGES; i++) {
		feed(s, (uint16_t)(i * 7919), i & 1, 0);
		feed(s, (uint16_t)(i * 7919 + 2999), i & 1, 0);
	}
	__atomic_store_n(&changing, 0, __ATOMIC_RELEASE);
	return NULL;
}

static void test_page_while_changing(void)
{
	static struct dp_stat s;
	struct dp_page_rtp page = {0};
	pthread_t worker;
	uint64_t max = 0;

	s = fresh(0);
	changing = 1;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&worker, NULL, change, &s), 0);
	while (__atomic_load_n(&changing, __ATOMIC_ACQUIRE) != 0) {
		dp_stat_page(&s, &page);
		max = page.expected > max ? page.expected : max;
	}
	pthread_join(worker, NULL);
	dp_stat_page(&s, &page);
	CU_ASSERT_EQUAL(page.expected, 3000ull * CHANGES);
	CU_ASSERT(max <= 3000ull * CHANGES);
	CU_ASSERT_EQUAL(page.received, 2ull * CHANGES);
}

/* --- RTCP --- */

static uint16_t block(uint8_t *b, uint32_t ssrc, uint8_t fraction, int32_t lost, uint32_t ext, uint32_t lsr, uint32_t dlsr)
{
	dp_put32(b, ssrc);
	dp_put32(b + 4, (uint32_t)fraction << 24 | ((uint32_t)lost & 0xffffff));
	dp_put32(b + 8, ext);
	dp_put32(b + 12, 55);
	dp_put32(b + 16, lsr);
	dp_put32(b + 20, dlsr);
	return 24;
}

/* SR with two blocks, RR with one, SDES. */
static uint16_t compound(uint8_t *p)
{
	uint16_t n = 28, rr;

	memset(p, 0, 200);
	p[0] = 0x82;
	p[1] = 200;
	dp_put16(p + 2, 18);
	dp_put32(p + 4, 0x11);
	dp_put32(p + 8, 0xaaaabbbb);
	dp_put32(p + 12, 0xccccdddd);
	n += block(p + n, 0x21, 1, 5, 1000, 0, 0);
	n += block(p + n, 0x22, 2, -3, 70000, 0xbbbbcccc, 65536);
	rr = n;
	p[rr] = 0x81;
	p[rr + 1] = 201;
	dp_put16(p + rr + 2, 7);
	dp_put32(p + rr + 4, 0x11);
	n += 8;
	n += block(p + n, 0x23, 200, 0x7fffff, 9, 1, 1);
	p[n] = 0x81;
	p[n + 1] = 202;
	dp_put16(p + n + 2, 2);
	dp_put32(p + n + 4, 0x11);
	n += 12;
	return n;
}

static void test_reports(void)
{
	uint8_t p[256];
	uint16_t n = compound(p);
	struct dp_rtcp_seen r;

	dp_rtcp_read(p, n, 0x22, &r);
	CU_ASSERT(r.sr && r.block);
	CU_ASSERT_EQUAL(r.sr_mid, 0xbbbbcccc);
	CU_ASSERT_EQUAL(r.sr_ssrc, 0x11);
	CU_ASSERT_EQUAL(r.lost, -3);
	CU_ASSERT_EQUAL(r.fraction, 2);
	CU_ASSERT_EQUAL(r.jitter, 55);
	CU_ASSERT_EQUAL(dp_get32(p + r.ext_off), 70000);
	CU_ASSERT_EQUAL(r.lsr, 0xbbbbcccc);
	/* sent at 10 s, heard of 1.25 s later, of which the party held it 1 s */
	CU_ASSERT_EQUAL(dp_rtcp_rtt(&r, 0xbbbbcccc, 10000000, 11250000), 250000);
	CU_ASSERT_EQUAL(dp_rtcp_rtt(&r, 0xbbbbcccc, 10000000, 10999999), 1); /* clocks */
	CU_ASSERT_EQUAL(dp_rtcp_rtt(&r, 0xbbbbcccd, 10000000, 11250000), 0); /* another SR */
	CU_ASSERT_EQUAL(dp_rtcp_rtt(&r, 0xbbbbcccc, 0, 11250000), 0);        /* none was sent */
	dp_rtcp_read(p, n, 0x23, &r);
	CU_ASSERT(r.block);
	CU_ASSERT_EQUAL(r.lost, 0x7fffff);
	CU_ASSERT_EQUAL(r.fraction, 200);
	dp_rtcp_read(p, n, 0x24, &r);
	CU_ASSERT(r.sr && !r.block);
	CU_ASSERT_EQUAL(dp_rtcp_rtt(&r, 0, 1, 2), 0);
}

/* Every length, on memory of exactly that length; a block is told only if all of it is there. */
static void test_truncated(void)
{
	uint8_t full[256];
	uint16_t n = compound(full);

	for (uint16_t len = 0; len <= n; len++) {
		uint8_t *p = malloc(len > 0 ? len : 1);
		struct dp_rtcp_seen r;

		memcpy(p, full, len);
		dp_rtcp_read(p, len, 0x22, &r);
		CU_ASSERT_EQUAL(r.block, len >= 76); /* the SR's own length covers both blocks */
		CU_ASSERT_EQUAL(r.sr, len >= 76);
		dp_rtcp_read(p, len, 0x23, &r);
		CU_ASSERT_EQUAL(r.block, len >= 108);
		/* and a count of blocks that lies */
		if (len >= 76) {
			p[0] = 0x9f;
			dp_rtcp_read(p, len, 0x23, &r);
			CU_ASSERT(!r.block || r.ext_off + 16 <= len);
		}
		free(p);
	}
}

/* --- meters --- */

static void test_rate(void)
{
	const uint64_t hz = 1000000000;
	struct dp_rate r = dp_rate_of(400, hz);
	struct rte_meter_srtcm m;
	unsigned int pass = 0;

	CU_ASSERT_EQUAL(r.burst, 200);
	CU_ASSERT_EQUAL(dp_rate_of(0, hz).period, 0);
	CU_ASSERT_EQUAL(dp_rate_of(UINT32_MAX, hz).period, 0);
	CU_ASSERT_EQUAL(dp_rate_of(1, (uint64_t)5e9).period, UINT32_MAX);
	CU_ASSERT_EQUAL(dp_rate_of(10, hz).burst, DP_POLICE_BURST);
	/* ten seconds at 4,000 packets a second: the burst, and 400 a second */
	dp_rate_start(&m, &r, 77);
	for (uint64_t i = 0; i < 40000; i++)
		pass += dp_rate_pass(&m, r.period, r.burst, 77 + i * (hz / 4000));
	CU_ASSERT(pass >= 4000 + 200 - 1 && pass <= 4000 + 200 + 1);
	/* below the rate nothing is refused */
	dp_rate_start(&m, &r, 0);
	for (uint64_t i = 0; i < 10000; i++)
		CU_ASSERT_TRUE_FATAL(dp_rate_pass(&m, r.period, r.burst, i * (hz / 399)));
}

static void test_sources(void)
{
	static struct dp_police p;
	const uint64_t hz = 1000000000;
	uint8_t flood[16] = {10, 9, 9, 9}, src[16] = {10, 0, 0, 0};
	unsigned int pass = 0, hit = 0;

	CU_ASSERT_EQUAL(dp_police_init(&p, 100, hz, 0), 0);
	for (unsigned int i = 0; i < 100000; i++)
		pass += dp_police_source(&p, 4, flood, i);
	CU_ASSERT_EQUAL(pass, DP_POLICE_BURST);
	/* others are not hit, but for those few that share its slot: 4 of 4096 at most likely, 40 never */
	for (unsigned int i = 0; i < 4096; i++) {
		src[2] = (uint8_t)(i >> 8);
		src[3] = (uint8_t)i;
		hit += !dp_police_source(&p, 4, src, 100000);
	}
	CU_ASSERT(hit < 40);
	CU_ASSERT_EQUAL(dp_police_init(&p, 0, hz, 0), 0);
	for (unsigned int i = 0; i < 1000; i++)
		CU_ASSERT_TRUE(dp_police_source(&p, 4, flood, i));
}

static CU_TestInfo tests[] = {
	{"expected, received, reordered as a model counts them", test_counts_against_model},
	{"jumps, restarts, another SSRC", test_jumps},
	{"jitter and the largest gap", test_jitter_and_gap},
	{"the page's counters do not wrap", test_page_extends},
	{"the page while SSRCs change", test_page_while_changing},
	{"report blocks and round trip", test_reports},
	{"RTCP cut at every length", test_truncated},
	{"a rate", test_rate},
	{"a source that floods", test_sources},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("stat", tests, NULL, NULL)
