/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dataplane/ipsec/spd.c: the first policy that fits decides, by every selector; the cache says what the list says, for random
 * lists that are exchanged, against a model that compares bit by bit. RFC 4301 s4.4.1.
 */
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "ipsec/iphdr.h"
#include "ipsec/spd.h"

#define MEDIA 16384

static uint64_t state = 4301;

static uint32_t rnd(uint32_t below)
{
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(state >> 33) % below;
}

static struct dp_spd_set any(uint8_t action)
{
	return (struct dp_spd_set){.dirs = DP_SPD_IN | DP_SPD_OUT, .action = action, .local_hi = UINT16_MAX, .remote_hi = UINT16_MAX,
				   .icmp_hi = UINT8_MAX};
}

static struct dp_sockaddr v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return (struct dp_sockaddr){.family = 4, .ip = {a, b, c, d}};
}

static struct dp_spd_flow flow(uint8_t dir, uint8_t proto, uint16_t lport, uint16_t rport)
{
	return (struct dp_spd_flow){.local = {10, 0, 0, 1}, .remote = {192, 0, 2, 9}, .family = 4, .dir = dir, .proto = proto,
				    .local_port = lport, .remote_port = rport};
}

static void test_order_and_selectors(void)
{
	struct dp_spd spd = {.gen = 1};
	struct dp_spd_set m = any(DP_SPD_DISCARD);
	struct dp_spd_flow f = flow(DP_SPD_IN, 17, 2727, 2427);

	CU_ASSERT_EQUAL(dp_spd_walk(&spd, &f), DP_SPD_NONE);
	m.remote = v4(192, 0, 2, 8);
	m.remote_plen = 30;
	m.proto = 17;
	m.local_lo = m.local_hi = 2727;
	m.remote_lo = 2000;
	m.remote_hi = 2427;
	m.dirs = DP_SPD_IN;
	dp_spd_add(&spd, &m, MEDIA);
	m = any(DP_SPD_BYPASS);
	dp_spd_add(&spd, &m, MEDIA);
	CU_ASSERT_EQUAL(spd.media_dirs, 0); /* neither touches media */
	m = any(DP_SPD_PROTECT);
	dp_spd_add(&spd, &m, MEDIA);
	CU_ASSERT_EQUAL(spd.media_dirs, DP_SPD_IN | DP_SPD_OUT);
	CU_ASSERT_EQUAL(dp_spd_walk(&spd, &f), 0);
	/* each selector alone sends it to the next, never to the third */
	for (int i = 0; i < 9; i++) {
		struct dp_spd_flow g = f;

		g.dir = i == 0 ? DP_SPD_OUT : g.dir;
		g.proto = i == 1 ? 6 : g.proto;
		g.local_port = i == 2 ? 2726 : i == 3 ? 2728 : g.local_port;
		g.remote_port = i == 4 ? 1999 : i == 5 ? 2428 : g.remote_port;
		g.remote[3] = i == 6 ? 12 : i == 7 ? 7 : g.remote[3];
		if (i == 8) { /* the same bytes are another address in the other family */
			g.family = 6;
		}
		CU_ASSERT_EQUAL(dp_spd_walk(&spd, &g), 1);
	}
	f.remote[3] = 11; /* the prefix's last */
	f.remote_port = 2000;
	CU_ASSERT_EQUAL(dp_spd_walk(&spd, &f), 0);
}

static void test_icmp_types(void)
{
	struct dp_spd spd = {.gen = 1};
	struct dp_spd_set m = any(DP_SPD_DISCARD);
	struct dp_spd_flow f = flow(DP_SPD_IN, 1, 8, 0);

	m.proto = 1;
	m.icmp_lo = 8;
	m.icmp_hi = 13;
	dp_spd_add(&spd, &m, MEDIA);
	CU_ASSERT_EQUAL(dp_spd_walk(&spd, &f), 0);
	f.local_port = 7;
	CU_ASSERT_EQUAL(dp_spd_walk(&spd, &f), DP_SPD_NONE);
	f.local_port = 14;
	CU_ASSERT_EQUAL(dp_spd_walk(&spd, &f), DP_SPD_NONE);
	f = flow(DP_SPD_IN, 17, 8, 8);
	CU_ASSERT_EQUAL(dp_spd_walk(&spd, &f), DP_SPD_NONE);
	CU_ASSERT_EQUAL(spd.media_dirs, 0);
}

/* Policies that may and may not fit media: ports of media are [MEDIA, MEDIA + 16384). */
static void test_media_flag(void)
{
	static const struct {
		uint8_t action, proto, dirs;
		uint16_t lo, hi;
		uint8_t want;
	} cases[] = {
		{DP_SPD_DISCARD, 17, DP_SPD_IN, MEDIA - 1, MEDIA - 1, 0},
		{DP_SPD_DISCARD, 17, DP_SPD_IN, 1, MEDIA, DP_SPD_IN},
		{DP_SPD_PROTECT, 17, DP_SPD_OUT, MEDIA + 16383, 65535, DP_SPD_OUT},
		{DP_SPD_PROTECT, 17, DP_SPD_OUT, MEDIA + 16384, 65535, 0},
		{DP_SPD_PROTECT, 6, DP_SPD_OUT, 0, 65535, 0},
		{DP_SPD_DISCARD, 0, DP_SPD_IN, 0, 65535, DP_SPD_IN},
		{DP_SPD_BYPASS, 17, DP_SPD_IN, MEDIA, MEDIA, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dp_spd spd = {.gen = 1};
		struct dp_spd_set m = any(cases[i].action);

		m.proto = cases[i].proto;
		m.dirs = cases[i].dirs;
		m.local_lo = cases[i].lo;
		m.local_hi = cases[i].hi;
		dp_spd_add(&spd, &m, MEDIA);
		CU_ASSERT_EQUAL(spd.media_dirs, cases[i].want);
	}
}

/* --- against a model --- */

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if ((a[i / 8] >> (7 - i % 8) & 1) != (b[i / 8] >> (7 - i % 8) & 1))
			return false;
	return true;
}

static uint8_t model(const struct dp_spd_set *list, unsigned int n, const struct dp_spd_flow *f)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct dp_spd_set *m = &list[i];
		bool ok = (m->dirs & f->dir) != 0 && (m->proto == 0 || m->proto == f->proto);

		ok = ok && (m->local.family == 0 ||
			    (m->local.family == f->family && bits_equal(m->local.ip, f->local, m->local_plen)));
		ok = ok && (m->remote.family == 0 ||
			    (m->remote.family == f->family && bits_equal(m->remote.ip, f->remote, m->remote_plen)));
		if (dp_iphdr_has_ports(m->proto))
			ok = ok && f->local_port >= m->local_lo && f->local_port <= m->local_hi && f->remote_port >= m->remote_lo &&
			     f->remote_port <= m->remote_hi;
		if (m->proto == 1 || m->proto == 58)
			ok = ok && f->local_port >= m->icmp_lo && f->local_port <= m->icmp_hi;
		if (ok)
			return (uint8_t)i;
	}
	return DP_SPD_NONE;
}

static void random_addr(uint8_t *ip, uint8_t family)
{
	memset(ip, 0, 16);
	for (int i = 0; i < (family == 4 ? 4 : 16); i++)
		ip[i] = (uint8_t)(rnd(3) == 0 ? rnd(256) : rnd(2));
}

static void random_prefix(struct dp_sockaddr *a, uint8_t *plen, uint8_t family)
{
	uint8_t bits = family == 4 ? 32 : 128;

	if (rnd(3) == 0)
		return;
	a->family = family;
	random_addr(a->ip, family);
	*plen = (uint8_t)(rnd(4) == 0 ? rnd(bits + 1u) : rnd(18));
	for (unsigned int i = *plen; i < 128; i++)
		a->ip[i / 8] &= (uint8_t)~(0x80 >> i % 8);
}

static struct dp_spd_set random_policy(void)
{
	static const uint8_t protos[] = {0, 1, 6, 17, 17, 17, 50, 58, 132};
	struct dp_spd_set m = any((uint8_t)(1 + rnd(3)));
	uint8_t family = rnd(2) ? 4 : 6;

	m.dirs = (uint8_t)(1 + rnd(3));
	m.proto = protos[rnd(sizeof(protos))];
	random_prefix(&m.local, &m.local_plen, family);
	random_prefix(&m.remote, &m.remote_plen, family);
	if (dp_iphdr_has_ports(m.proto) && rnd(2)) {
		m.local_lo = (uint16_t)rnd(8);
		m.local_hi = (uint16_t)(m.local_lo + rnd(4));
		m.remote_lo = (uint16_t)rnd(8);
		m.remote_hi = (uint16_t)(m.remote_lo + rnd(60000));
	}
	if ((m.proto == 1 || m.proto == 58) && rnd(2)) {
		m.icmp_lo = (uint8_t)rnd(6);
		m.icmp_hi = (uint8_t)(m.icmp_lo + rnd(6));
	}
	return m;
}

static struct dp_spd_flow random_flow(void)
{
	static const uint8_t protos[] = {1, 6, 17, 17, 50, 58, 132};
	struct dp_spd_flow f = {.family = rnd(2) ? 4 : 6, .dir = rnd(2) ? DP_SPD_IN : DP_SPD_OUT, .proto = protos[rnd(sizeof(protos))]};

	random_addr(f.local, f.family);
	random_addr(f.remote, f.family);
	if (f.proto != 50) {
		f.local_port = (uint16_t)rnd(12);
		f.remote_port = (uint16_t)rnd(12);
	}
	return f;
}

static void test_model(void)
{
	struct dp_spd_cache *cache = calloc(1, sizeof(*cache));
	unsigned int fitted = 0, wrong = 0, hits = 0;

	for (uint32_t gen = 1; gen <= 60; gen++) {
		struct dp_spd spd = {.gen = gen};
		struct dp_spd_set list[DP_SPD_MAX];
		struct dp_spd_flow flows[100];
		unsigned int n = gen % 8 == 0 ? DP_SPD_MAX : 1 + rnd(20);

		for (unsigned int i = 0; i < n; i++) {
			list[i] = random_policy();
			dp_spd_add(&spd, &list[i], MEDIA);
		}
		CU_ASSERT_EQUAL(spd.n, n);
		for (unsigned int i = 0; i < 100; i++)
			flows[i] = random_flow();
		/* each a few times: from the list and from the cache, which holds verdicts of the lists before */
		for (unsigned int i = 0; i < 3000; i++) {
			const struct dp_spd_flow *f = &flows[rnd(100)];
			uint8_t want = model(list, n, f);

			fitted += want != DP_SPD_NONE;
			wrong += dp_spd_walk(&spd, f) != want;
			wrong += dp_spd_look(&spd, cache, f) != want;
			hits++;
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(fitted > hits / 20 && fitted < hits); /* the test is about something */
	free(cache);
}

/* The same flow under a new list is looked up anew, and under the old number it is not. */
static void test_generation(void)
{
	struct dp_spd_cache *cache = calloc(1, sizeof(*cache));
	struct dp_spd one = {.gen = 1}, two = {.gen = 2};
	struct dp_spd_set m = any(DP_SPD_BYPASS);
	struct dp_spd_flow f = flow(DP_SPD_OUT, 17, 1, 2);

	dp_spd_add(&one, &m, MEDIA);
	m.dirs = DP_SPD_IN;
	dp_spd_add(&two, &m, MEDIA);
	CU_ASSERT_EQUAL(dp_spd_look(&one, cache, &f), 0);
	CU_ASSERT_EQUAL(dp_spd_look(&two, cache, &f), DP_SPD_NONE);
	CU_ASSERT_EQUAL(dp_spd_look(&one, cache, &f), 0);
	/* a change of the list that keeps its number shows that the cache is asked at all */
	one.pol[0].dirs = DP_SPD_IN;
	CU_ASSERT_EQUAL(dp_spd_look(&one, cache, &f), 0);
	CU_ASSERT_EQUAL(dp_spd_walk(&one, &f), DP_SPD_NONE);
	free(cache);
}

static CU_TestInfo tests[] = {
	{"order, and every selector", test_order_and_selectors},
	{"ICMP types", test_icmp_types},
	{"which policies media has to ask", test_media_flag},
	{"random lists and flows: a model", test_model},
	{"a new list ends what the cache knows", test_generation},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("spd", tests, NULL, NULL)
