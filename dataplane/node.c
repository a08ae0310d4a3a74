/* SPDX-License-Identifier: BSD-3-Clause */
#include "node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>

#include "counters.h"
#include "ipsec/sa.h"
#include "objs.h"
#include "steer.h"

#define MBUF_CACHE 250

uint32_t dp_node_leg_bytes(void)
{
	return (uint32_t)(sizeof(struct dp_leg) + sizeof(struct dp_leg_aux) + sizeof(struct dp_leg_cold) +
			  2 * sizeof(struct dp_srtp_key) + sizeof(uint32_t) + DP_MUSIC_LEG_BYTES) + DP_OBJS_LEG_BYTES;
}

/* Replacing a key needs the new one beside the old one for a moment. */
static size_t key_bytes(const struct cfg_dataplane *dc)
{
	return (size_t)dp_objs_key_max(dc->max_legs) * sizeof(struct dp_srtp_key);
}

static int no_memory(const char *what, size_t bytes)
{
	cfg_log(CFG_LOG_ERR, "no-memory", "what=%s bytes=%zu", what, bytes);
	return -ENOMEM;
}

static void *take(const char *what, size_t bytes)
{
	void *mem = rte_zmalloc(what, bytes, 64);

	if (mem == NULL)
		(void)no_memory(what, bytes);
	return mem;
}

/* A pool of dataplane.mbufs buffers that fit every port. */
static struct rte_mempool *buffers(const struct dp_node *node, const char *what)
{
	const struct cfg_dataplane *dc = &node->cfg->dataplane;
	uint16_t size = RTE_MBUF_DEFAULT_BUF_SIZE;
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *pool;

	for (unsigned int i = 0; i < dc->ports_count; i++) {
		uint16_t need = dp_port_buf_size(dc->ports[i].device, dp_port_dev_mtu(dc, dc->ports[i].device));

		if (need > size)
			size = need;
	}
	snprintf(name, sizeof(name), "%s%s", what, node->tag);
	pool = rte_pktmbuf_pool_create(name, dc->mbufs, MBUF_CACHE, sizeof(struct dp_mbuf_priv), size,
				       (int)rte_socket_id());
	if (pool == NULL)
		(void)no_memory("mbufs", (size_t)dc->mbufs * size);
	return pool;
}

static void *slab_grow(size_t bytes)
{
	return rte_malloc("key-ext", bytes, 64);
}

int dp_node_init(struct dp_node *node, const struct cfg *cfg, uint16_t worker_cnt, const char *tag)
{
	const struct cfg_dataplane *dc = &cfg->dataplane;
	struct dp_neigh *none;
	uint32_t streams;
	size_t size;
	int rc;

	memset(node, 0, sizeof(*node));
	node->page_fd = -1;
	node->cfg = cfg;
	node->worker_cnt = worker_cnt;
	node->base_port = cfg->media.base_port;
	node->mgcp_local = cfg->mgcp_local;
	node->media_cnt = (uint16_t)cfg->media.addresses_count;
	node->hz = rte_get_tsc_hz();
	node->start_cyc = rte_rdtsc();
	snprintf(node->tag, sizeof(node->tag), "%s", tag);
	dp_locals_init(&node->locals);
	if (worker_cnt == 0 || worker_cnt > DP_WORKER_MAX || node->media_cnt > DP_MEDIA_ADDR_MAX)
		return -EINVAL;

	node->pool_size = dc->mbufs;
	node->pool = buffers(node, "mbuf");
	if (node->pool == NULL)
		return -ENOMEM;
	rc = dp_page_create(worker_cnt, node->media_cnt * DP_LEGS_PER_ADDR, DP_SA_MAX, &node->page, &node->page_size,
			    &node->page_fd);
	if (rc < 0) {
		cfg_log(CFG_LOG_ERR, "counter-page-failed", "error=%s", strerror(-rc));
		return rc;
	}
	if (getrandom(&node->page->boot_id, 8, 0) != 8)
		return -EIO;
	node->page->tsc_hz = node->hz;
	node->page->mbufs_total = dc->mbufs;
	node->page->leg_bytes = dp_node_leg_bytes();
	node->page->sa_bytes = DP_OBJS_SA_STRIDE;
	rc = dp_shard_init(&node->shard, worker_cnt);
	if (rc < 0)
		return rc;

	size = dp_leg_tab_size(node->media_cnt, dc->max_legs);
	node->leg_mem = take("legs", size);
	node->key_mem = take("leg-keys", key_bytes(dc));
	/* Replacing an SA needs the new one beside the old one for a moment. */
	node->sa_mem = take("sas", ((size_t)dc->max_sas + DP_OBJS_SA_SPARE) * DP_OBJS_SA_STRIDE);
	node->music.max = (dc->max_legs + 1) / 2;
	node->music.mem = take("music", node->music.max * sizeof(struct dp_music));
	node->music.of = take("music-of", dc->max_legs * sizeof(*node->music.of));
	node->music.ms0 = node->start_cyc / (node->hz / 1000);
	streams = cfg->media.streams != 0 ? cfg->media.streams : dc->max_legs / 4;
	/* Shards move: every worker may come to own them all. */
	for (uint16_t i = 0; i < worker_cnt; i++) {
		node->streams[i] = dp_srtp_pool_create(streams + 64, cfg->media.window);
		if (node->streams[i] == NULL)
			return no_memory("streams", streams * dp_srtp_pool_bytes(cfg->media.window));
	}
	node->slab = dp_srtp_slab_create(slab_grow, rte_free);
	if (node->slab == NULL)
		return -ENOMEM;
	node->gw_shard = calloc(DP_GW_MAX, 1);
	node->move = take("move", sizeof(struct dp_move));
	size = rte_rcu_qsbr_get_memsize(worker_cnt);
	node->qs = take("rcu", size);
	if (node->music.mem == NULL || node->music.of == NULL || node->leg_mem == NULL || node->key_mem == NULL || node->sa_mem == NULL ||
	    node->gw_shard == NULL || node->move == NULL || node->qs == NULL)
		return -ENOMEM;
	dp_leg_tab_init(&node->legs, node->leg_mem, node->media_cnt, dc->max_legs, node->base_port);
	node->legs.rate_pps = cfg->media.rate_pps;
	node->legs.hz = node->hz;
	rte_rcu_qsbr_init(node->qs, worker_cnt);
	for (uint16_t i = 0; i < worker_cnt; i++)
		rte_rcu_qsbr_thread_register(node->qs, i);
	none = dp_neigh_create(1);
	node->nh = none != NULL ? dp_neigh_snapshot(none) : NULL;
	dp_neigh_destroy(none);
	return node->nh != NULL ? 0 : -ENOMEM;
}

/* Start the ethdev, or share it with the entry that did. */
static int start_port(struct dp_node *node, uint16_t id, uint8_t i, const struct cfg_dp_port *pc)
{
	struct dp_port *port = &node->ports[i];
	struct rte_mempool *pool = node->pool;
	int rc;

	port->vlan = pc->vlan;
	port->mtu = pc->mtu;
	for (uint8_t k = 0; k < i; k++)
		if (node->ports[k].id == id && node->ports[k].dev == k)
			return dp_port_share(node->ports, k, i);
	port->dev = i;
	port->mtu = dp_port_dev_mtu(&node->cfg->dataplane, pc->device);
	port->has_mac = pc->mac != NULL;
	memcpy(port->mac, pc->mac_addr, 6);
	if (dp_port_keeps_buffers(pc->device)) {
		if (node->kept_pool == NULL && (node->kept_pool = buffers(node, "kept")) == NULL)
			return -ENOMEM;
		pool = node->kept_pool;
	}
	rc = dp_port_start(port, id, node->worker_cnt, node->cfg->dataplane.ring_desc, pool);
	if (rc == 0 && port->vlan != 0)
		rc = dp_port_tagged(node->ports, i);
	if (pc->mtu != 0 || port->mtu > DP_PORT_MTU)
		port->mtu = pc->mtu != 0 ? pc->mtu : DP_PORT_MTU;
	return rc;
}

int dp_node_port(struct dp_node *node, uint16_t id, const struct cfg_dp_port *pc)
{
	struct dp_port *port = &node->ports[node->port_cnt];
	int rc;

	if (node->port_cnt == DP_PORT_MAX)
		return -ENOSPC;
	snprintf(port->device, sizeof(port->device), "%s", pc->device);
	port->gw4 = pc->gw4;
	port->gw6 = pc->gw6;
	for (unsigned int i = 0; i < pc->addresses_count && i < DP_PORT_ADDR_MAX; i++) {
		int16_t media = -1;

		for (uint16_t k = 0; k < node->media_cnt; k++) {
			const struct cfg_addr *a = &node->cfg->media.addresses[k].addr;

			if (a->family == pc->addr[i].family && memcmp(a->ip, pc->addr[i].ip, 16) == 0)
				media = (int16_t)k;
		}
		port->addr[port->addr_cnt++] = pc->addr[i];
		rc = dp_locals_add(&node->locals, pc->addr[i].family, pc->addr[i].ip, (uint8_t)node->port_cnt, media);
		if (rc < 0) {
			char buf[64];

			cfg_log(CFG_LOG_ERR, "address-twice", "device=%s address=%s", port->device,
				cfg_addr_print(&pc->addr[i], buf, sizeof(buf)));
			return rc;
		}
	}
	node->port_cnt++;
	rc = start_port(node, id, (uint8_t)(node->port_cnt - 1), pc);
	if (rc < 0)
		return rc;
	cfg_log(CFG_LOG_INFO, "port-up",
		"device=%s vlan=%u mac=%02x:%02x:%02x:%02x:%02x:%02x mtu=%u addresses=%u queues=%u", port->device,
		port->vlan, port->mac[0], port->mac[1], port->mac[2], port->mac[3], port->mac[4], port->mac[5],
		port->mtu, port->addr_cnt, node->worker_cnt);
	return 0;
}

/* The kernel's interfaces, and the thread that serves them. */
static int start_punt(struct dp_node *node)
{
	const struct cfg_dataplane *dc = &node->cfg->dataplane;

	for (uint8_t i = 0; i < node->port_cnt && i < dc->ports_count; i++) {
		const char *name = dc->ports[i].punt;
		int fd;

		if (name == NULL)
			continue;
		if (node->punt == NULL && (node->punt = dp_punt_create(node)) == NULL)
			return no_memory("punt", 0);
		fd = dp_punt_tap(name, node->ports[i].mac, node->ports[i].mtu);
		if (fd < 0) {
			cfg_log(CFG_LOG_ERR, "punt-failed", "interface=%s error=%s", cfg_q(name), strerror(-fd));
			return fd;
		}
		(void)dp_punt_add(node->punt, i, fd); /* there is room for every port */
		cfg_log(CFG_LOG_INFO, "punt-up", "device=%s interface=%s pps=%u", node->ports[i].device, name, dc->punt_pps);
	}
	return node->punt != NULL ? dp_punt_start(node->punt) : 0;
}

int dp_node_workers(struct dp_node *node, const uint16_t *lcores)
{
	int rc;

	for (uint16_t k = 0; k < node->media_cnt; k++) {
		const struct cfg_addr *a = &node->cfg->media.addresses[k].addr;

		node->media[k] = dp_locals_find(&node->locals, a->family, a->ip);
		if (node->media[k] == NULL) {
			cfg_log(CFG_LOG_ERR, "media-address-nowhere", "address=%s",
				cfg_q(node->cfg->media.addresses[k].address));
			return -EINVAL;
		}
	}
	rc = dp_shard_rings(&node->shard, lcores, node->tag);
	if (rc < 0)
		return no_memory("handoff", 0);
	dp_steer_start(node);
	for (uint16_t i = 0; i < node->worker_cnt; i++) {
		node->worker[i] = dp_worker_create(node, i, lcores[i]);
		if (node->worker[i] == NULL)
			return no_memory("worker", sizeof(struct dp_worker));
	}
	return start_punt(node);
}

void dp_node_publish(struct dp_node *node, struct dp_nh_snap *snap)
{
	struct dp_nh_snap *old = node->nh;

	__atomic_store_n(&node->nh, snap, __ATOMIC_RELEASE);
	/* A round of a worker is microseconds, and a sleeping one is offline. */
	rte_rcu_qsbr_synchronize(node->qs, RTE_QSBR_THRID_INVALID);
	free(old);
}

void dp_node_publish_spd(struct dp_node *node, struct dp_spd *spd)
{
	struct dp_spd *old = node->spd;

	__atomic_store_n(&node->spd, spd, __ATOMIC_RELEASE);
	rte_rcu_qsbr_synchronize(node->qs, RTE_QSBR_THRID_INVALID);
	free(old);
}

uint32_t dp_node_fini(struct dp_node *node)
{
	uint32_t lost = 0;

	for (uint16_t i = 0; i < DP_WORKER_MAX; i++) {
		dp_worker_destroy(node->worker[i]);
		node->worker[i] = NULL;
	}
	dp_punt_destroy(node->punt);
	node->punt = NULL;
	dp_steer_stop(node);
	for (uint16_t p = 0; p < node->port_cnt; p++)
		dp_port_stop(&node->ports[p]);
	dp_shard_fini(&node->shard);
	dp_move_fini(node->move);
	rte_free(node->move);
	if (node->pool != NULL) {
		lost = node->pool_size - rte_mempool_avail_count(node->pool);
		rte_mempool_free(node->pool);
	}
	rte_mempool_free(node->kept_pool); /* takes NULL */
	rte_free(node->music.mem);
	rte_free(node->music.of);
	rte_free(node->leg_mem);
	if (node->key_mem != NULL)
		explicit_bzero(node->key_mem, key_bytes(&node->cfg->dataplane));
	rte_free(node->key_mem);
	if (node->sa_mem != NULL)
		explicit_bzero(node->sa_mem,
			       ((size_t)node->cfg->dataplane.max_sas + DP_OBJS_SA_SPARE) * DP_OBJS_SA_STRIDE);
	rte_free(node->sa_mem);
	for (uint16_t i = 0; i < DP_WORKER_MAX; i++)
		dp_srtp_pool_destroy(node->streams[i]);
	dp_srtp_slab_destroy(node->slab);
	free(node->gw_shard);
	rte_free(node->qs);
	free(node->nh);
	free(node->spd);
	if (node->page != NULL)
		munmap(node->page, node->page_size);
	if (node->page_fd >= 0)
		close(node->page_fd);
	memset(node, 0, sizeof(*node));
	return lost;
}
