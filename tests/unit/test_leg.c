/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/leg.c: the table, peers, remote addresses, latching rules by table, memory per leg. */
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "leg.h"
#include "node.h"
#include "srtp/srtp.h"

#define BASE 16384
#define MAX  8

static struct dp_leg_tab tab;
static void *mem;
static uint32_t next_free;

static int setup(void)
{
	size_t size = dp_leg_tab_size(2, MAX);

	mem = aligned_alloc(64, size);
	memset(mem, 0, size);
	dp_leg_tab_init(&tab, mem, 2, MAX, BASE);
	return 0;
}

static int teardown(void)
{
	free(mem);
	return 0;
}

static struct dp_sockaddr at(uint8_t last, uint16_t port)
{
	return (struct dp_sockaddr){.family = 4, .port = port, .ip = {10, 0, 0, last}};
}

static struct dp_leg *put(struct dp_leg_set *m)
{
	struct dp_leg *fresh = &tab.legs[next_free % MAX];

	if (dp_leg_apply(&tab, m, fresh, 1, 0))
		next_free++;
	return dp_leg_find(&tab, m->leg_id);
}

static void test_identifiers(void)
{
	struct dp_leg_set m = {.leg_id = DP_LEG_ID(1, BASE + 300, BASE), .peer_id = UINT32_MAX};
	struct dp_leg *leg = put(&m);

	CU_ASSERT_PTR_NOT_NULL_FATAL(leg);
	CU_ASSERT_EQUAL(leg->tx.local_port, BASE + 300);
	CU_ASSERT_EQUAL(leg->tx.addr_idx, 1);
	CU_ASSERT_EQUAL(DP_LEG_SHARD(m.leg_id), 1);
	CU_ASSERT_PTR_EQUAL(dp_leg_remove(&tab, m.leg_id), leg);
	CU_ASSERT_PTR_NULL(dp_leg_find(&tab, m.leg_id));
	CU_ASSERT_PTR_NULL(dp_leg_remove(&tab, m.leg_id));
	next_free = 0;
}

static void test_peers_need_both(void)
{
	struct dp_leg_set a = {.leg_id = 1, .peer_id = 2}, b = {.leg_id = 2, .peer_id = UINT32_MAX};
	struct dp_leg_set c = {.leg_id = 3, .peer_id = 1};
	struct dp_leg *la = put(&a), *lb = put(&b), *lc = put(&c);

	CU_ASSERT_PTR_NULL(la->rx.peer);
	CU_ASSERT_PTR_NULL(lc->rx.peer); /* 1 does not name 3 */
	b.peer_id = 1;
	put(&b);
	CU_ASSERT_PTR_EQUAL(la->rx.peer, lb);
	CU_ASSERT_PTR_EQUAL(lb->rx.peer, la);
	a.peer_id = 3; /* moves over: the old peer is alone */
	put(&a);
	CU_ASSERT_PTR_EQUAL(la->rx.peer, lc);
	CU_ASSERT_PTR_EQUAL(lc->rx.peer, la);
	CU_ASSERT_PTR_NULL(lb->rx.peer);
	dp_leg_remove(&tab, 3);
	CU_ASSERT_PTR_NULL(la->rx.peer);
	dp_leg_remove(&tab, 1);
	dp_leg_remove(&tab, 2);
	next_free = 0;
}

static void test_remotes(void)
{
	struct dp_leg_set m = {.leg_id = 4, .peer_id = UINT32_MAX, .remote = at(2, 4000)};
	struct dp_leg *leg = put(&m);
	const uint8_t *ip;
	uint16_t port;

	CU_ASSERT_TRUE(dp_leg_remote(&tab, leg, false, &ip, &port));
	CU_ASSERT_EQUAL(port, 4000);
	CU_ASSERT_TRUE(dp_leg_remote(&tab, leg, true, &ip, &port));
	CU_ASSERT_EQUAL(port, 4001);
	m.flags = DP_LEG_F_RTCP_MUX;
	put(&m);
	CU_ASSERT_TRUE(dp_leg_remote(&tab, leg, true, &ip, &port));
	CU_ASSERT_EQUAL(port, 4000);
	m.flags = 0;
	m.remote_rtcp = at(9, 7777);
	put(&m);
	CU_ASSERT_TRUE(dp_leg_remote(&tab, leg, true, &ip, &port));
	CU_ASSERT_EQUAL(port, 7777);
	CU_ASSERT_EQUAL(ip[3], 9);
	CU_ASSERT_TRUE(dp_leg_remote(&tab, leg, false, &ip, &port));
	CU_ASSERT_EQUAL(ip[3], 2);
	memset(&m.remote, 0, sizeof(m.remote));
	memset(&m.remote_rtcp, 0, sizeof(m.remote_rtcp));
	put(&m);
	CU_ASSERT_FALSE(dp_leg_remote(&tab, leg, false, &ip, &port));
	/* a new address forgets the next hop, a new port does not */
	m.remote = at(2, 4000);
	put(&m);
	leg->tx.nh = 5;
	m.remote = at(2, 4010);
	put(&m);
	CU_ASSERT_EQUAL(leg->tx.nh, 5);
	m.remote = at(3, 4010);
	put(&m);
	CU_ASSERT_EQUAL(leg->tx.nh, DP_NH_NONE);
	dp_leg_remove(&tab, 4);
	next_free = 0;
}

/* What each rule says of a packet from the signalled address (S), its other port (P), another address (O),
 * before (0) and after (1) another port of the signalled address was latched. */
static const struct {
	uint8_t latch, suite;
	enum dp_leg_src s0, p0, o0, s1, p1, o1;
} rules[] = {
	{DP_LATCH_NONE, 0, DP_LEG_SRC_KNOWN, DP_LEG_SRC_BAD, DP_LEG_SRC_BAD, DP_LEG_SRC_BAD, DP_LEG_SRC_KNOWN, DP_LEG_SRC_BAD},
	{DP_LATCH_NONE, 1, DP_LEG_SRC_KNOWN, DP_LEG_SRC_BAD, DP_LEG_SRC_BAD, DP_LEG_SRC_BAD, DP_LEG_SRC_KNOWN, DP_LEG_SRC_BAD},
	{DP_LATCH_ADDRESS, 0, DP_LEG_SRC_KNOWN, DP_LEG_SRC_LATCH, DP_LEG_SRC_BAD, DP_LEG_SRC_BAD, DP_LEG_SRC_KNOWN,
	 DP_LEG_SRC_BAD},
	{DP_LATCH_ANY, 0, DP_LEG_SRC_KNOWN, DP_LEG_SRC_LATCH, DP_LEG_SRC_LATCH, DP_LEG_SRC_BAD, DP_LEG_SRC_KNOWN,
	 DP_LEG_SRC_BAD},
	{DP_LATCH_AUTH, 1, DP_LEG_SRC_KNOWN, DP_LEG_SRC_LATCH, DP_LEG_SRC_LATCH, DP_LEG_SRC_LATCH, DP_LEG_SRC_KNOWN,
	 DP_LEG_SRC_LATCH},
	{DP_LATCH_AUTH, 0, DP_LEG_SRC_KNOWN, DP_LEG_SRC_BAD, DP_LEG_SRC_BAD, DP_LEG_SRC_BAD, DP_LEG_SRC_KNOWN, DP_LEG_SRC_BAD},
};

static void test_rules(void)
{
	for (unsigned i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		for (int rtcp = 0; rtcp < 2; rtcp++) {
			struct dp_leg_set m = {.leg_id = 5, .peer_id = UINT32_MAX, .remote = at(2, 4000),
					       .latch = rules[i].latch, .rx_suite = rules[i].suite};
			struct dp_leg *leg = put(&m);
			struct dp_sockaddr s = at(2, 4000 + rtcp), p = at(2, 5000), o = at(3, 4000 + rtcp);

			CU_ASSERT_EQUAL(dp_leg_source(&tab, leg, 4, s.ip, s.port, rtcp, 1), rules[i].s0);
			CU_ASSERT_EQUAL(dp_leg_source(&tab, leg, 4, p.ip, p.port, rtcp, 1), rules[i].p0);
			CU_ASSERT_EQUAL(dp_leg_source(&tab, leg, 4, o.ip, o.port, rtcp, 1), rules[i].o0);
			CU_ASSERT_EQUAL(dp_leg_source(&tab, leg, 6, s.ip, s.port, rtcp, 1) == DP_LEG_SRC_KNOWN, false);
			dp_leg_latch(&tab, leg, 4, p.ip, p.port, rtcp);
			CU_ASSERT_EQUAL(dp_leg_source(&tab, leg, 4, s.ip, s.port, rtcp, 1), rules[i].s1);
			CU_ASSERT_EQUAL(dp_leg_source(&tab, leg, 4, p.ip, p.port, rtcp, 1), rules[i].p1);
			CU_ASSERT_EQUAL(dp_leg_source(&tab, leg, 4, o.ip, o.port, rtcp, 1), rules[i].o1);
			/* RTP and RTCP latch apart, but RTCP follows RTP until it latches itself */
			const uint8_t *ip;
			uint16_t port;

			CU_ASSERT_TRUE(dp_leg_remote(&tab, leg, !rtcp, &ip, &port));
			CU_ASSERT_EQUAL(port, rtcp ? 4000 : 5001);
			/* the same signalled address again keeps what was latched, another one does not */
			put(&m);
			CU_ASSERT_EQUAL(dp_leg_source(&tab, leg, 4, p.ip, p.port, rtcp, 1), DP_LEG_SRC_KNOWN);
			m.remote = at(2, 4100);
			put(&m);
			CU_ASSERT_EQUAL(dp_leg_source(&tab, leg, 4, p.ip, p.port, rtcp, 1), rules[i].p0);
			dp_leg_remove(&tab, 5);
			next_free = 0;
		}
	}
}

static void test_ageing(void)
{
	struct dp_leg_set m = {.leg_id = 6, .peer_id = UINT32_MAX, .idle_s = 10};
	struct dp_leg *leg = put(&m); /* at second 1 */

	CU_ASSERT_FALSE(dp_leg_idle(&tab, leg, 11));
	CU_ASSERT_TRUE(dp_leg_idle(&tab, leg, 12));
	CU_ASSERT_FALSE(dp_leg_idle(&tab, leg, 0)); /* the worker's clock is a moment ahead */
	m.idle_s = 0;
	put(&m);
	CU_ASSERT_FALSE(dp_leg_idle(&tab, leg, 1000000));
	dp_leg_remove(&tab, 6);
	next_free = 0;
}

static void test_memory(void)
{
	CU_ASSERT(dp_node_leg_bytes() <= 1200);
	/* hot part: one line in, one line out */
	CU_ASSERT_EQUAL(offsetof(struct dp_leg, rx), 0);
	CU_ASSERT_EQUAL(offsetof(struct dp_leg, tx), 64);
	/* 100,000 legs and their table in 256 MiB */
	CU_ASSERT(dp_leg_tab_size(13, 100000) + 200000 * sizeof(struct dp_srtp_key) < 128u << 20);
}

static CU_TestInfo tests[] = {
	{"an identifier is a local address", test_identifiers},
	{"legs are peers when both say so", test_peers_need_both},
	{"where RTP and RTCP go", test_remotes},
	{"rules for sources", test_rules},
	{"idle legs", test_ageing},
	{"memory per leg", test_memory},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("leg", tests, setup, teardown)
