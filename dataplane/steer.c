/* SPDX-License-Identifier: BSD-3-Clause */
#include "steer.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_errno.h>
#include <rte_flow.h>

#include "log.h"
#include "worker.h"

struct port_rules {
	bool on;
	uint8_t prio[DP_SHARDS]; /* of the rules that are there: 0 or 1 */
	struct rte_flow *flow[DP_SHARDS][DP_STEER_RULES];
};

struct dp_steer {
	struct port_rules port[DP_PORT_MAX];
};

static const struct dp_steer_ops by_rte_flow = {rte_flow_validate, rte_flow_create, rte_flow_destroy};
static const struct dp_steer_ops *ops = &by_rte_flow;

void dp_steer_use(const struct dp_steer_ops *other)
{
	ops = other != NULL ? other : &by_rte_flow;
}

/* One rule: pattern and action, and what they point to. */
struct rule {
	struct rte_flow_attr attr;
	struct rte_flow_item item[4];
	struct rte_flow_action action[2];
	struct rte_flow_item_udp udp, udp_mask;
	struct rte_flow_item_esp esp, esp_mask;
	struct rte_flow_action_queue queue;
};

static void rule_init(struct rule *r, const struct dp_node *node, uint32_t shard, unsigned int n, uint8_t prio)
{
	bool v6 = (n & 1) != 0, esp = (n & 2) != 0;

	*r = (struct rule){.attr = {.ingress = 1, .priority = prio}};
	r->queue.index = dp_shard_worker(&node->shard, shard);
	r->udp.hdr.dst_port = RTE_BE16((uint16_t)(node->base_port + shard * DP_PORTS_PER_SHARD));
	r->udp_mask.hdr.dst_port = RTE_BE16((uint16_t)~(DP_PORTS_PER_SHARD - 1u));
	r->esp.hdr.spi = RTE_BE32(shard);
	r->esp_mask.hdr.spi = RTE_BE32(DP_SHARDS - 1);
	r->item[0].type = RTE_FLOW_ITEM_TYPE_ETH;
	r->item[1].type = v6 ? RTE_FLOW_ITEM_TYPE_IPV6 : RTE_FLOW_ITEM_TYPE_IPV4;
	r->item[2].type = esp ? RTE_FLOW_ITEM_TYPE_ESP : RTE_FLOW_ITEM_TYPE_UDP;
	r->item[2].spec = esp ? (const void *)&r->esp : &r->udp;
	r->item[2].mask = esp ? (const void *)&r->esp_mask : &r->udp_mask;
	r->item[3].type = RTE_FLOW_ITEM_TYPE_END;
	r->action[0].type = RTE_FLOW_ACTION_TYPE_QUEUE;
	r->action[0].conf = &r->queue;
	r->action[1].type = RTE_FLOW_ACTION_TYPE_END;
}

static void drop_rules(const struct dp_node *node, uint16_t p, struct rte_flow **flow)
{
	struct rte_flow_error err;

	for (unsigned int n = 0; n < DP_STEER_RULES; n++) {
		if (flow[n] != NULL)
			(void)ops->destroy(node->ports[p].id, flow[n], &err);
		flow[n] = NULL;
	}
}

/* All of a shard's, or none. */
static bool make_rules(const struct dp_node *node, uint16_t p, uint32_t shard, uint8_t prio, struct rte_flow **flow)
{
	for (unsigned int n = 0; n < DP_STEER_RULES; n++) {
		struct rte_flow_error err = {0};
		struct rule r;

		rule_init(&r, node, shard, n, prio);
		flow[n] = ops->create(node->ports[p].id, &r.attr, r.item, r.action, &err);
		if (flow[n] == NULL) {
			drop_rules(node, p, flow);
			return false;
		}
	}
	return true;
}

/* Would it take them, at both priorities? Asked of one shard: rules differ in numbers only. */
static int would_take(const struct dp_node *node, uint16_t p)
{
	for (unsigned int n = 0; n < 2 * DP_STEER_RULES; n++) {
		struct rte_flow_error err = {0};
		struct rule r;
		int rc;

		rule_init(&r, node, 0, n % DP_STEER_RULES, (uint8_t)(n / DP_STEER_RULES));
		rc = ops->validate(node->ports[p].id, &r.attr, r.item, r.action, &err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void off(struct dp_node *node, uint16_t p)
{
	struct port_rules *pr = &node->steer->port[p];

	for (uint32_t s = 0; s < DP_SHARDS; s++)
		drop_rules(node, p, pr->flow[s]);
	pr->on = false;
}

static int on(struct dp_node *node, uint16_t p)
{
	struct port_rules *pr = &node->steer->port[p];
	int rc = node->base_port % DP_PORTS_PER_SHARD == 0 ? would_take(node, p) : -EINVAL;

	if (rc < 0)
		return rc;
	for (uint32_t s = 0; s < DP_SHARDS; s++) {
		pr->prio[s] = 1;
		if (!make_rules(node, p, s, 1, pr->flow[s])) {
			rc = rte_errno > 0 ? -rte_errno : -ENOSPC;
			off(node, p);
			return rc;
		}
	}
	pr->on = true;
	node->ports[p].steers = true;
	return 0;
}

void dp_steer_start(struct dp_node *node)
{
	if (node->worker_cnt < 2)
		return;
	node->steer = calloc(1, sizeof(*node->steer));
	for (uint16_t p = 0; p < node->port_cnt; p++) {
		int rc;

		if (node->ports[p].dev != p)
			continue;
		rc = node->steer != NULL ? on(node, p) : -ENOMEM;
		if (rc == 0)
			cfg_log(CFG_LOG_INFO, "port-steers", "device=%s by=rules", node->ports[p].device);
		else
			cfg_log(CFG_LOG_INFO, "port-steers", "device=%s by=%s why=%s", node->ports[p].device,
				node->ports[p].rss ? "rss" : "device", cfg_q(rte_strerror(-rc)));
	}
}

void dp_steer_update(struct dp_node *node, uint32_t shard)
{
	for (uint16_t p = 0; node->steer != NULL && p < node->port_cnt; p++) {
		struct port_rules *pr = &node->steer->port[p];
		struct rte_flow *fresh[DP_STEER_RULES] = {NULL};

		if (!pr->on)
			continue;
		if (!make_rules(node, p, shard, pr->prio[shard] ^ 1, fresh)) {
			/* The handoff rings do it all from now on. 'steers' stays: its queues may have packets yet. */
			cfg_log(CFG_LOG_WARN, "port-steers", "device=%s by=%s why=%s", node->ports[p].device,
				node->ports[p].rss ? "rss" : "device", cfg_q(rte_strerror(rte_errno)));
			off(node, p);
			continue;
		}
		drop_rules(node, p, pr->flow[shard]);
		for (unsigned int n = 0; n < DP_STEER_RULES; n++)
			pr->flow[shard][n] = fresh[n];
		pr->prio[shard] ^= 1;
	}
}

void dp_steer_stop(struct dp_node *node)
{
	for (uint16_t p = 0; node->steer != NULL && p < node->port_cnt; p++)
		if (node->steer->port[p].on)
			off(node, p);
	free(node->steer);
	node->steer = NULL;
}
