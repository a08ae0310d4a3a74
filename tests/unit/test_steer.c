/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/steer.c against a NIC that is made here: which rules it gets, all or none, and new before old in a move. */
#define WORKERS 2
#include "dp_harness.h"
#include "steer.h"

#define RULES 1024

static struct fake {
	bool there;
	uint16_t port, queue, udp, udp_mask;
	uint32_t prio, spi, spi_mask;
	bool esp, v6;
} rule[RULES];
static unsigned int made, gone, limit = RULES, least;
static int says;

static unsigned int alive(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < RULES; i++)
		n += rule[i].there;
	return n;
}

static int f_validate(uint16_t port, const struct rte_flow_attr *attr, const struct rte_flow_item pattern[],
		      const struct rte_flow_action actions[], struct rte_flow_error *err)
{
	(void)port;
	(void)pattern;
	(void)actions;
	(void)err;
	return attr->ingress == 1 ? says : -EINVAL;
}

static struct rte_flow *f_create(uint16_t port, const struct rte_flow_attr *attr, const struct rte_flow_item pattern[],
				 const struct rte_flow_action actions[], struct rte_flow_error *err)
{
	struct fake *f = &rule[made % RULES];

	(void)err;
	if (alive() >= limit)
		return NULL;
	made++;
	*f = (struct fake){.there = true, .port = port, .prio = attr->priority};
	f->v6 = pattern[1].type == RTE_FLOW_ITEM_TYPE_IPV6;
	f->esp = pattern[2].type == RTE_FLOW_ITEM_TYPE_ESP;
	if (f->esp) {
		f->spi = rte_be_to_cpu_32(((const struct rte_flow_item_esp *)pattern[2].spec)->hdr.spi);
		f->spi_mask = rte_be_to_cpu_32(((const struct rte_flow_item_esp *)pattern[2].mask)->hdr.spi);
	} else {
		f->udp = rte_be_to_cpu_16(((const struct rte_flow_item_udp *)pattern[2].spec)->hdr.dst_port);
		f->udp_mask = rte_be_to_cpu_16(((const struct rte_flow_item_udp *)pattern[2].mask)->hdr.dst_port);
	}
	CU_ASSERT_EQUAL(pattern[3].type, RTE_FLOW_ITEM_TYPE_END);
	CU_ASSERT_EQUAL(actions[0].type, RTE_FLOW_ACTION_TYPE_QUEUE);
	f->queue = ((const struct rte_flow_action_queue *)actions[0].conf)->index;
	return (struct rte_flow *)f;
}

static int f_destroy(uint16_t port, struct rte_flow *flow, struct rte_flow_error *err)
{
	struct fake *f = (struct fake *)flow;

	(void)err;
	CU_ASSERT_TRUE(f->there);
	CU_ASSERT_EQUAL(f->port, port);
	f->there = false;
	gone++;
	if (alive() < least)
		least = alive();
	return 0;
}

static const struct dp_steer_ops ops = {f_validate, f_create, f_destroy};

static int setup(void)
{
	return harness_up();
}

/* The queue that a packet to a UDP port, or with an SPI, is put into; -1: no rule, -2: two of one priority. */
static int queue_of(uint16_t port, bool v6, bool esp, uint32_t n)
{
	int q = -1;
	uint32_t best = UINT32_MAX;

	for (unsigned int i = 0; i < RULES; i++) {
		const struct fake *f = &rule[i];

		if (!f->there || f->port != port || f->v6 != v6 || f->esp != esp ||
		    (esp ? (n & f->spi_mask) != f->spi : ((uint16_t)n & f->udp_mask) != f->udp))
			continue;
		q = f->prio == best ? -2 : f->prio < best ? f->queue : q;
		best = f->prio < best ? f->prio : best;
	}
	return q;
}

static void test_falls_back(void)
{
	/* net_ring takes no rules */
	CU_ASSERT_FALSE(node.ports[0].steers);
	dp_steer_stop(&node);
	dp_steer_use(&ops);
	says = -ENOTSUP;
	dp_steer_start(&node);
	CU_ASSERT_EQUAL(made, 0);
	CU_ASSERT_FALSE(node.ports[0].steers);
	dp_steer_stop(&node);
	/* one that has room for some only gets none */
	says = 0;
	limit = 100;
	dp_steer_start(&node);
	CU_ASSERT_FALSE(node.ports[0].steers);
	CU_ASSERT_EQUAL(alive(), 0);
	dp_steer_stop(&node);
	/* nor when a shard's ports are no mask */
	limit = RULES;
	node.base_port = BASE + 2;
	made = 0;
	dp_steer_start(&node);
	CU_ASSERT_EQUAL(made, 0);
	dp_steer_stop(&node);
	node.base_port = BASE;
}

static void test_rules(void)
{
	memset(rule, 0, sizeof(rule));
	made = 0;
	dp_steer_start(&node);
	CU_ASSERT_TRUE(node.ports[0].steers);
	CU_ASSERT_EQUAL(alive(), PORTS * DP_SHARDS * DP_STEER_RULES);
	for (uint32_t n = 0; n < DP_PORTS_PER_ADDR; n++)
		CU_ASSERT_EQUAL(queue_of(node.ports[1].id, n & 1, false, BASE + n), (int)(n / 256 % WORKERS));
	CU_ASSERT_EQUAL(queue_of(node.ports[0].id, false, false, BASE - 1), -1);
	for (uint32_t spi = 256; spi < 1024; spi++)
		CU_ASSERT_EQUAL(queue_of(node.ports[0].id, spi & 1, true, spi * 0x10001u),
				(int)((spi * 0x10001u) % 64 % WORKERS));
}

static void test_follow_a_move(void)
{
	struct dp_shard_move m = {.shard = 5, .worker = 0};

	for (int i = 0; i < 3; i++) {
		least = RULES;
		m.worker = (uint32_t)(i & 1);
		CU_ASSERT_EQUAL(msg(&m, DP_MSG_SHARD_MOVE, sizeof(m)), 0);
		rounds(30);
		CU_ASSERT_EQUAL(last_moved.rc, 0);
		CU_ASSERT_EQUAL(queue_of(node.ports[0].id, false, false, BASE + 5 * 256 + 8), (int)m.worker);
		CU_ASSERT_EQUAL(queue_of(node.ports[1].id, true, true, 0x1005), (int)m.worker);
		/* the new ones are there before the old ones go */
		CU_ASSERT(least >= PORTS * DP_SHARDS * DP_STEER_RULES);
	}
	/* a NIC that has no room for them: no rules at all from then on */
	limit = alive();
	m.worker = 1;
	CU_ASSERT_EQUAL(msg(&m, DP_MSG_SHARD_MOVE, sizeof(m)), 0);
	rounds(30);
	CU_ASSERT_EQUAL(last_moved.rc, 0);
	CU_ASSERT_EQUAL(queue_of(node.ports[0].id, false, false, BASE), -1);
	CU_ASSERT_EQUAL(harness_down(), 0);
	CU_ASSERT_EQUAL(alive(), 0);
}

static CU_TestInfo tests[] = {
	{"a device that does not take them all gets none", test_falls_back},
	{"each media port and SPI to its owner's queue", test_rules},
	{"rules follow a move", test_follow_a_move},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("steer", tests, setup, NULL)
