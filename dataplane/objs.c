/* SPDX-License-Identifier: BSD-3-Clause */
#include "objs.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "counters.h"
#include "crypto/mb.h"
#include "ipsec/sa.h"
#include "log.h"
#include "node.h"
#include "see.h"

static_assert(sizeof(struct dp_sa) <= DP_OBJS_SA_STRIDE, "an SA record");

#define CMDS     (DP_CMD_DEPTH - 1)
#define HELD_MAX (DP_EVT_DEPTH - 1) /* all there are: nothing is dropped while a controlplane is connected */
#define SWEEP_SPARE 256 /* commands that a sweep leaves to others */
#define NO_SLOT  0xffffffu

/* By leg identifier: record in the low 24 bits, epoch's number in the high 8 (0: no such leg). */
static uint32_t leg_entry(uint32_t slot, uint8_t gen)
{
	return (uint32_t)gen << 24 | slot;
}

struct sa_rec {
	uint8_t gen; /* 0: none */
	uint8_t shard;
	uint8_t dir;
	uint32_t spi;
	struct dp_sa *last; /* handed to the worker last: for the counter page */
};

struct per_worker {
	struct dp_cmd *mem;
	struct dp_cmd *free[CMDS];
	uint32_t free_cnt;
	struct dp_evt *held[HELD_MAX]; /* events that the controlplane could not take yet, oldest first */
	uint32_t held_at, held_cnt;
	uint32_t mgcp_open; /* accepted MGCP commands whose result has not been passed on */
};

struct dp_objs {
	struct dp_node *node;
	struct dp_objs_sink sink;
	struct dp_mb *mb; /* the main lcore's */
	struct dp_neigh *neigh;
	struct dp_see *see; /* captures and the trace */
	uint64_t epoch;
	uint8_t gen;
	bool sweeping; /* a SWEEP met a full ring */
	uint32_t swept_legs, swept_sas, swept_gws;
	uint64_t publish_ms, tick_ms, page_ms;
	uint32_t leg_cnt, sa_cnt, gw_cnt;
	uint32_t leg_top; /* records ever used are below */
	uint32_t *leg;    /* by identifier: leg_entry() */
	uint32_t leg_free, leg_fresh; /* list of used ones (through tx.leg_id), then never used ones */
	struct dp_srtp_key *key_mem, *key_free;
	uint32_t key_fresh, key_max;
	uint8_t *sa_free; /* list through the first bytes of a wiped record */
	uint32_t sa_fresh, sa_max;
	struct sa_rec sa[DP_SA_MAX];
	uint8_t gw[DP_GW_MAX]; /* epoch's number; 0: none */
	struct per_worker w[];
};

static uint64_t now_ms(const struct dp_objs *o)
{
	/* Cold path: a division is fine here. */
	return (rte_rdtsc() - o->node->start_cyc) / (o->node->hz / 1000);
}

/* --- free objects --- */

static struct dp_leg *leg_take(struct dp_objs *o)
{
	struct dp_leg *legs = o->node->legs.legs;

	if (o->leg_free != NO_SLOT) {
		struct dp_leg *leg = &legs[o->leg_free];

		o->leg_free = leg->tx.leg_id;
		return leg;
	}
	if (o->leg_fresh == o->node->legs.max)
		return NULL;
	return &legs[o->leg_fresh++];
}

static void leg_give(struct dp_objs *o, struct dp_leg *leg)
{
	if (leg == NULL)
		return;
	leg->rx.state = 0;
	leg->tx.leg_id = o->leg_free;
	o->leg_free = dp_leg_num(&o->node->legs, leg);
}

static struct dp_srtp_key *key_take(struct dp_objs *o)
{
	struct dp_srtp_key *key = o->key_free;

	if (key != NULL) {
		memcpy(&o->key_free, (void *)key, sizeof(void *));
		memset((void *)key, 0, sizeof(void *));
		return key;
	}
	if (o->key_fresh == o->key_max)
		return NULL;
	return &o->key_mem[o->key_fresh++];
}

static void key_give(struct dp_objs *o, struct dp_srtp_key *key)
{
	if (key == NULL)
		return;
	dp_srtp_key_wipe(key);
	memcpy((void *)key, &o->key_free, sizeof(void *));
	o->key_free = key;
}

static struct dp_sa *sa_take(struct dp_objs *o)
{
	uint8_t *sa = o->sa_free;

	if (sa != NULL) {
		memcpy(&o->sa_free, sa, sizeof(o->sa_free));
		return (void *)sa;
	}
	if (o->sa_fresh == o->sa_max)
		return NULL;
	return (void *)((uint8_t *)o->node->sa_mem + (size_t)o->sa_fresh++ * DP_OBJS_SA_STRIDE);
}

static void sa_give(struct dp_objs *o, struct dp_sa *sa)
{
	if (sa == NULL)
		return;
	dp_sa_wipe(sa);
	memcpy((void *)sa, &o->sa_free, sizeof(o->sa_free));
	o->sa_free = (void *)sa;
}

/* --- commands --- */

static uint16_t worker_of(const struct dp_objs *o, uint32_t shard)
{
	return o->node->shard.worker[shard];
}

/* An SA that is gone from its worker and not the one that has its identifier now. */
static void sa_gone(struct dp_objs *o, struct dp_sa *sa)
{
	if (sa == NULL)
		return;
	if (sa->sa_id < DP_SA_MAX && o->sa[sa->sa_id].last == sa) {
		o->sa[sa->sa_id].last = NULL;
		memset(&dp_page_sas(o->node->page)[sa->sa_id], 0, sizeof(struct dp_page_sa));
	}
	sa_give(o, sa);
}

static void leg_count(struct dp_page_leg *pl, const struct dp_leg_tab *tab, const struct dp_leg *leg)
{
	pl->rx_pkts = leg->rx.pkts;
	pl->rx_bytes = leg->rx.bytes;
	pl->tx_pkts = leg->tx.pkts;
	pl->tx_bytes = leg->tx.bytes;
	pl->last_rx_s = leg->rx.pkts > 0 ? leg->rx.last_s : 0;
	dp_stat_page(&dp_leg_aux(tab, leg)->stat, &pl->rtp);
}

static void drain_done(struct dp_objs *o, uint16_t wi)
{
	struct per_worker *pw = &o->w[wi];
	void *done[64];
	unsigned int n;

	while ((n = rte_ring_sc_dequeue_burst(o->node->worker[wi]->done, done, 64, NULL)) > 0) {
		for (unsigned int i = 0; i < n; i++) {
			struct dp_cmd *cmd = done[i];

			if (cmd->op == DP_OP_LEG_DEL && cmd->leg != NULL) {
				struct dp_page_leg *pl = &dp_page_legs(o->node->page)[cmd->id];

				if (pl->state == DP_PAGE_LEG_FREE) /* nobody new there: the last word */
					leg_count(pl, &o->node->legs, cmd->leg);
			}
			leg_give(o, cmd->leg);
			key_give(o, cmd->key[0]);
			key_give(o, cmd->key[1]);
			sa_gone(o, cmd->sa);
			if (cmd->op == DP_OP_MGCP_CMD)
				explicit_bzero(&cmd->u.mgcp.media, sizeof(cmd->u.mgcp.media));
			pw->free[pw->free_cnt++] = cmd;
		}
	}
}

/* A command for a worker, empty; NULL: too many under way. */
static struct dp_cmd *cmd_take(struct dp_objs *o, uint16_t wi, enum dp_op op)
{
	struct per_worker *pw = &o->w[wi];
	struct dp_cmd *cmd;

	if (pw->free_cnt == 0)
		drain_done(o, wi);
	if (pw->free_cnt == 0)
		return NULL;
	cmd = pw->free[--pw->free_cnt];
	cmd->op = (uint8_t)op;
	cmd->leg = NULL;
	cmd->key[0] = NULL;
	cmd->key[1] = NULL;
	cmd->sa = NULL;
	return cmd;
}

static void submit(struct dp_objs *o, uint16_t wi, struct dp_cmd *cmd)
{
	/* Never full: the pool is no larger. */
	(void)rte_ring_sp_enqueue(o->node->worker[wi]->cmd, cmd);
}

static void cmd_give(struct dp_objs *o, uint16_t wi, struct dp_cmd *cmd)
{
	o->w[wi].free[o->w[wi].free_cnt++] = cmd;
}

/* --- neighbours --- */

static void want(struct dp_objs *o, uint8_t port, const struct dp_sockaddr *a)
{
	const uint8_t *hop;

	if (a->family == 0 || !dp_port_next_hop(&o->node->ports[port], a->family, a->ip, &hop))
		return;
	if (dp_neigh_want(o->neigh, port, a->family, hop, now_ms(o)) < 0)
		cfg_log_limited(CFG_LOG_WARN, "neighbours-full", "count=%u", dp_neigh_cnt(o->neigh));
}

static void neighbours(struct dp_objs *o, uint64_t ms)
{
	struct dp_nh nh;

	if (dp_neigh_dirty(o->neigh)) {
		struct dp_nh_snap *snap;

		if (ms - o->publish_ms < 2)
			return;
		snap = dp_neigh_snapshot(o->neigh);
		o->publish_ms = ms;
		if (snap == NULL)
			return;
		dp_node_publish(o->node, snap);
	}
	/* Only now: a worker passes on the answer of somebody that is in its snapshot. */
	for (int i = 0; i < 64 && dp_neigh_due(o->neigh, ms, &nh); i++) {
		const uint8_t *own = dp_port_own(&o->node->ports[nh.port], nh.family, nh.ip);
		struct dp_cmd *cmd = own != NULL ? cmd_take(o, 0, DP_OP_SOLICIT) : NULL;

		if (cmd == NULL)
			continue;
		cmd->u.solicit.nh = nh;
		memcpy(cmd->u.solicit.own, own, 16);
		submit(o, 0, cmd);
	}
}

/* --- messages --- */

#define DETAIL(type, field) ((uint32_t)offsetof(struct type, field))

static int leg_del(struct dp_objs *o, uint32_t id);

static int leg_set(struct dp_objs *o, const struct dp_leg_set *m, uint32_t *ret_detail)
{
	const struct dp_local *l;
	uint16_t wi = worker_of(o, DP_LEG_SHARD(m->leg_id));
	uint32_t e = o->leg[m->leg_id];
	struct dp_leg *fresh = NULL;
	struct dp_cmd *cmd;

	l = o->node->media[DP_LEG_ADDR(m->leg_id)];
	if (m->remote.family != 0 && m->remote.family != l->family) {
		*ret_detail = DETAIL(dp_leg_set, remote);
		return -EBADMSG;
	}
	if (o->sweeping && e >> 24 != 0 && e >> 24 != o->gen) {
		/* To be swept, but not yet: a new leg must not begin with keys of an old call. */
		int rc = leg_del(o, m->leg_id);

		if (rc < 0)
			return rc;
		e = o->leg[m->leg_id];
	}
	cmd = cmd_take(o, wi, DP_OP_LEG_SET);
	if (cmd == NULL)
		return -EAGAIN;
	if (e >> 24 == 0) {
		if (o->leg_cnt == o->node->legs.max) {
			cmd_give(o, wi, cmd);
			return -ENOSPC;
		}
		fresh = leg_take(o);
		if (fresh == NULL) { /* deleted ones have not come back yet */
			cmd_give(o, wi, cmd);
			return -EAGAIN;
		}
		e = dp_leg_num(&o->node->legs, fresh);
		if (e >= o->leg_top)
			o->leg_top = e + 1;
		o->leg_cnt++;
	}
	o->leg[m->leg_id] = leg_entry(e & NO_SLOT, o->gen);
	cmd->id = m->leg_id;
	cmd->leg = fresh;
	cmd->u.leg_set = *m;
	submit(o, wi, cmd);
	want(o, l->port, &m->remote);
	want(o, l->port, &m->remote_rtcp);
	return 0;
}

static int leg_key(struct dp_objs *o, const struct dp_leg_key *m, uint32_t *ret_detail)
{
	uint16_t wi = worker_of(o, DP_LEG_SHARD(m->leg_id));
	const struct dp_srtp_params par = {.suite = m->suite, .dir = m->dir, .mki_len = m->mki_len, .ssrc = m->ssrc,
					   .index_floor = m->index_floor, .rtcp_floor = m->rtcp_floor, .key = m->key,
					   .salt = m->salt, .pool = o->node->streams[wi]};
	struct dp_srtp_key *key;
	struct dp_cmd *cmd;

	if (o->leg[m->leg_id] >> 24 == 0)
		return -ENOENT;
	if (m->mki_len != 0 || m->kdr != 0 || m->lifetime != 0 || m->to != 0 || (m->flags & ~DP_KEY_F_KEEP_ROC) != 0) {
		*ret_detail = DETAIL(dp_leg_key, flags);
		return -EBADMSG;
	}
	cmd = cmd_take(o, wi, DP_OP_LEG_KEY);
	if (cmd == NULL)
		return -EAGAIN;
	key = key_take(o);
	if (key == NULL) {
		cmd_give(o, wi, cmd);
		return -EAGAIN;
	}
	if (dp_srtp_key_init(o->mb, key, &par) < 0) {
		key_give(o, key);
		cmd_give(o, wi, cmd);
		*ret_detail = DETAIL(dp_leg_key, suite);
		return -EBADMSG;
	}
	cmd->id = m->leg_id;
	cmd->dir = m->dir;
	cmd->key[0] = key;
	submit(o, wi, cmd);
	return 0;
}

/* 'cmd' is one of the leg's worker. */
static void leg_del_with(struct dp_objs *o, uint32_t id, uint16_t wi, struct dp_cmd *cmd)
{
	o->leg[id] = NO_SLOT;
	o->leg_cnt--;
	dp_see_leg_gone(o->see, id);
	cmd->id = id;
	submit(o, wi, cmd);
}

static int leg_del(struct dp_objs *o, uint32_t id)
{
	uint16_t wi = worker_of(o, DP_LEG_SHARD(id));
	struct dp_cmd *cmd;

	if (o->leg[id] >> 24 == 0)
		return -ENOENT;
	cmd = cmd_take(o, wi, DP_OP_LEG_DEL);
	if (cmd == NULL)
		return -EAGAIN;
	leg_del_with(o, id, wi, cmd);
	return 0;
}

static int sa_set(struct dp_objs *o, const struct dp_sa_set *m, uint32_t *ret_detail)
{
	const struct dp_local *l = dp_locals_find(&o->node->locals, m->local.family, m->local.ip);
	struct sa_rec *r = &o->sa[m->sa_id];
	uint16_t wi = worker_of(o, m->shard);
	struct dp_cmd *cmd;
	struct dp_sa *sa;
	int rc;

	if (l == NULL) {
		*ret_detail = DETAIL(dp_sa_set, local);
		return -EBADMSG;
	}
	/* Sequence and window would stay behind in the other worker. */
	if (r->gen != 0 && (worker_of(o, r->shard) != wi || r->dir != m->dir))
		return -EPROTO;
	if (r->gen == 0 && o->sa_cnt == o->node->cfg->dataplane.max_sas)
		return -ENOSPC;
	cmd = cmd_take(o, wi, DP_OP_SA_SET);
	if (cmd == NULL)
		return -EAGAIN;
	sa = sa_take(o);
	if (sa == NULL) {
		cmd_give(o, wi, cmd);
		return -EAGAIN;
	}
	rc = dp_sa_init(sa, o->mb, m);
	if (rc < 0) {
		sa_give(o, sa);
		cmd_give(o, wi, cmd);
		*ret_detail = DETAIL(dp_sa_set, spi);
		return rc == -EBADMSG ? rc : -EAGAIN;
	}
	if (r->gen == 0)
		o->sa_cnt++;
	r->gen = o->gen;
	r->shard = m->shard;
	r->dir = m->dir;
	r->spi = m->spi;
	r->last = sa;
	cmd->id = m->sa_id;
	cmd->sa = sa;
	submit(o, wi, cmd);
	want(o, l->port, &m->remote);
	return 0;
}

static int sa_grant(struct dp_objs *o, const struct dp_sa_grant *m)
{
	struct sa_rec *r = &o->sa[m->sa_id];
	struct dp_cmd *cmd;

	if (r->gen == 0 || r->spi != m->spi)
		return -ENOENT;
	if (r->dir != DP_DIR_SEND)
		return -EPROTO;
	cmd = cmd_take(o, worker_of(o, r->shard), DP_OP_SA_GRANT);
	if (cmd == NULL)
		return -EAGAIN;
	cmd->id = m->sa_id;
	cmd->u.grant = *m;
	submit(o, worker_of(o, r->shard), cmd);
	return 0;
}

static int sa_del(struct dp_objs *o, uint32_t id)
{
	struct sa_rec *r = &o->sa[id];
	struct dp_cmd *cmd;

	if (r->gen == 0)
		return -ENOENT;
	cmd = cmd_take(o, worker_of(o, r->shard), DP_OP_SA_DEL);
	if (cmd == NULL)
		return -EAGAIN;
	r->gen = 0;
	o->sa_cnt--;
	cmd->id = id;
	submit(o, worker_of(o, r->shard), cmd);
	return 0;
}

static int gw_del(struct dp_objs *o, uint32_t id)
{
	uint16_t wi = worker_of(o, o->node->gw_shard[id]);
	struct dp_cmd *cmd;

	if (o->gw[id] == 0)
		return -ENOENT;
	cmd = cmd_take(o, wi, DP_OP_GW_DEL);
	if (cmd == NULL)
		return -EAGAIN;
	o->gw[id] = 0;
	o->gw_cnt--;
	cmd->id = id;
	submit(o, wi, cmd);
	return 0;
}

static int gw_set(struct dp_objs *o, const struct dp_gw_set *m, uint32_t *ret_detail)
{
	const struct dp_local *l = dp_locals_find(&o->node->locals, m->local.family, m->local.ip);
	uint16_t wi = worker_of(o, m->shard);
	struct dp_cmd *cmd;
	int rc;

	if (l == NULL) {
		*ret_detail = DETAIL(dp_gw_set, local);
		return -EBADMSG;
	}
	if (o->gw[m->gw_id] == 0 && o->gw_cnt == o->node->cfg->dataplane.max_gateways)
		return -ENOSPC;
	cmd = cmd_take(o, wi, DP_OP_GW_SET);
	if (cmd == NULL)
		return -EAGAIN;
	/* It moves to another worker: its transactions end there. */
	if (o->gw[m->gw_id] != 0 && worker_of(o, o->node->gw_shard[m->gw_id]) != wi) {
		rc = gw_del(o, m->gw_id);
		if (rc < 0) {
			cmd_give(o, wi, cmd);
			return rc;
		}
	}
	if (o->gw[m->gw_id] == 0)
		o->gw_cnt++;
	o->gw[m->gw_id] = o->gen;
	__atomic_store_n(&o->node->gw_shard[m->gw_id], m->shard, __ATOMIC_RELAXED);
	cmd->id = m->gw_id;
	cmd->u.gw = *m;
	submit(o, wi, cmd);
	want(o, l->port, &m->remote);
	return 0;
}

static int mgcp_cmd(struct dp_objs *o, const struct dp_mgcp_cmd *m)
{
	struct dp_cmd *cmd;
	uint16_t wi;

	if (o->gw[m->gw_id] == 0)
		return -ENOENT;
	wi = worker_of(o, o->node->gw_shard[m->gw_id]);
	if (o->w[wi].mgcp_open == DP_MGCP_TXN_MAX)
		return -EAGAIN;
	cmd = cmd_take(o, wi, DP_OP_MGCP_CMD);
	if (cmd == NULL)
		return -EAGAIN;
	o->w[wi].mgcp_open++;
	cmd->id = m->gw_id;
	cmd->u.mgcp = *m;
	submit(o, wi, cmd);
	return 0;
}

static int mgcp_ack(struct dp_objs *o, const struct dp_mgcp_ack *m, uint32_t *ret_detail)
{
	uint32_t wi = (uint32_t)(m->token >> 24) & 0xff; /* put there by the worker */
	struct dp_cmd *cmd;

	if (wi >= o->node->worker_cnt) {
		*ret_detail = DETAIL(dp_mgcp_ack, token);
		return -EBADMSG;
	}
	cmd = cmd_take(o, (uint16_t)wi, DP_OP_MGCP_ACK);
	if (cmd == NULL)
		return -EAGAIN;
	cmd->u.ack = *m;
	cmd->u.ack.token &= ~((uint64_t)0xff << 24);
	submit(o, (uint16_t)wi, cmd);
	return 0;
}

static int adopt(struct dp_objs *o, const struct dp_obj *m)
{
	switch (m->kind) {
	case DP_OBJ_LEG:
		if (o->leg[m->id] >> 24 == 0)
			return -ENOENT;
		o->leg[m->id] = leg_entry(o->leg[m->id] & NO_SLOT, o->gen);
		return 0;
	case DP_OBJ_SA:
		if (o->sa[m->id].gen == 0)
			return -ENOENT;
		o->sa[m->id].gen = o->gen;
		return 0;
	default:
		if (o->gw[m->id] == 0)
			return -ENOENT;
		o->gw[m->id] = o->gen;
		return 0;
	}
}

/* Room for one more removal, and for what others want of this worker meanwhile. */
static bool sweep_may(struct dp_objs *o, uint32_t shard)
{
	uint16_t wi = worker_of(o, shard);

	if (o->w[wi].free_cnt < SWEEP_SPARE)
		drain_done(o, wi);
	return o->w[wi].free_cnt >= SWEEP_SPARE;
}

/* Remove what belongs to another epoch. When a ring is full the rest is done at the next poll. */
static void sweep_on(struct dp_objs *o)
{
	int rc = 0;

	for (uint32_t i = 0; i < o->node->legs.id_cnt && rc == 0; i++) {
		if (o->leg[i] >> 24 == 0 || o->leg[i] >> 24 == o->gen)
			continue;
		rc = sweep_may(o, DP_LEG_SHARD(i)) ? leg_del(o, i) : -EAGAIN;
		o->swept_legs += rc == 0;
	}
	for (uint32_t i = 0; i < DP_SA_MAX && rc == 0; i++) {
		if (o->sa[i].gen == 0 || o->sa[i].gen == o->gen)
			continue;
		rc = sweep_may(o, o->sa[i].shard) ? sa_del(o, i) : -EAGAIN;
		o->swept_sas += rc == 0;
	}
	for (uint32_t i = 0; i < DP_GW_MAX && rc == 0; i++) {
		if (o->gw[i] == 0 || o->gw[i] == o->gen)
			continue;
		rc = sweep_may(o, o->node->gw_shard[i]) ? gw_del(o, i) : -EAGAIN;
		o->swept_gws += rc == 0;
	}
	o->sweeping = rc < 0;
	if (o->sweeping)
		return;
	cfg_log(CFG_LOG_NOTICE, "swept", "legs=%u sas=%u gateways=%u", o->swept_legs, o->swept_sas, o->swept_gws);
	o->swept_legs = 0;
	o->swept_sas = 0;
	o->swept_gws = 0;
}

static int sweep(struct dp_objs *o, const struct dp_sweep *m, uint32_t *ret_detail)
{
	if (m->epoch != o->epoch) {
		*ret_detail = DETAIL(dp_sweep, epoch);
		return -EBADMSG;
	}
	sweep_on(o);
	return 0;
}

int dp_objs_msg(struct dp_objs *o, const struct dp_msg_hdr *msg, uint32_t *ret_detail)
{
	const struct dp_obj *obj = (const struct dp_obj *)msg;

	*ret_detail = 0;
	switch (msg->type) {
	case DP_MSG_LEG_SET:
		return leg_set(o, (const struct dp_leg_set *)msg, ret_detail);
	case DP_MSG_LEG_KEY:
		return leg_key(o, (const struct dp_leg_key *)msg, ret_detail);
	case DP_MSG_LEG_DEL:
		return leg_del(o, obj->id);
	case DP_MSG_SA_SET:
		return sa_set(o, (const struct dp_sa_set *)msg, ret_detail);
	case DP_MSG_SA_GRANT:
		return sa_grant(o, (const struct dp_sa_grant *)msg);
	case DP_MSG_SA_DEL:
		return sa_del(o, obj->id);
	case DP_MSG_GW_SET:
		return gw_set(o, (const struct dp_gw_set *)msg, ret_detail);
	case DP_MSG_GW_DEL:
		return gw_del(o, obj->id);
	case DP_MSG_MGCP_CMD:
		return mgcp_cmd(o, (const struct dp_mgcp_cmd *)msg);
	case DP_MSG_MGCP_ACK:
		return mgcp_ack(o, (const struct dp_mgcp_ack *)msg, ret_detail);
	case DP_MSG_ADOPT:
		return adopt(o, obj);
	case DP_MSG_SWEEP:
		return sweep(o, (const struct dp_sweep *)msg, ret_detail);
	case DP_MSG_CAPTURE:
		return dp_see_capture(o->see, (const struct dp_capture *)msg,
				      o->leg[((const struct dp_capture *)msg)->leg_id] >> 24 != 0);
	case DP_MSG_TRACE:
		return dp_see_trace(o->see, (const struct dp_trace *)msg);
	default:
		return -EBADMSG;
	}
}

int dp_objs_hello(struct dp_objs *o, uint64_t epoch, struct dp_hello_reply *ret)
{
	struct dp_cmd *cmd[DP_WORKER_MAX];
	struct dp_node *node = o->node;
	uint8_t gen = (uint8_t)(o->gen == 255 ? 1 : o->gen + 1);

	for (uint16_t i = 0; i < node->worker_cnt; i++) {
		cmd[i] = cmd_take(o, i, DP_OP_FORGET);
		if (cmd[i] == NULL) {
			while (i-- > 0)
				cmd_give(o, i, cmd[i]);
			return -EAGAIN;
		}
	}
	for (uint16_t i = 0; i < node->worker_cnt; i++)
		submit(o, i, cmd[i]);
	ret->last_epoch = o->epoch;
	if (epoch != o->epoch) {
		/* After 255 epochs a number comes again; what still has it must not pass for new. */
		for (uint32_t i = 0; i < node->legs.id_cnt; i++)
			if (o->leg[i] >> 24 == gen)
				o->leg[i] = leg_entry(o->leg[i] & NO_SLOT, o->gen);
		for (uint32_t i = 0; i < DP_SA_MAX; i++)
			if (o->sa[i].gen == gen)
				o->sa[i].gen = o->gen;
		for (uint32_t i = 0; i < DP_GW_MAX; i++)
			if (o->gw[i] == gen)
				o->gw[i] = o->gen;
		o->gen = gen;
		o->epoch = epoch;
		o->sweeping = false; /* the new one adopts first */
		dp_see_forget(o->see);
		node->page->epoch = epoch;
	}
	ret->version = DP_MSG_VERSION;
	ret->boot_id = node->page->boot_id;
	ret->page_size = node->page_size;
	ret->worker_cnt = node->worker_cnt;
	ret->media_addr_cnt = node->media_cnt;
	ret->leg_cnt = o->leg_cnt;
	ret->sa_cnt = o->sa_cnt;
	ret->gw_cnt = o->gw_cnt;
	ret->base_port = node->base_port;
	return 0;
}

/* --- events --- */

/* Pass one event on. False: the controlplane cannot take it now. */
static bool pass_on(struct dp_objs *o, struct dp_evt *evt)
{
	struct dp_msg_hdr *hdr = NULL;
	int rc;

	switch (evt->type) {
	case DP_EVT_MGCP_DONE:
		hdr = &evt->u.done.hdr;
		*hdr = (struct dp_msg_hdr){.type = DP_MSG_MGCP_DONE, .len = sizeof(evt->u.done)};
		break;
	case DP_EVT_MGCP_EVENT:
		hdr = &evt->u.event.hdr;
		*hdr = (struct dp_msg_hdr){.type = DP_MSG_MGCP_EVENT, .len = sizeof(evt->u.event)};
		break;
	case DP_EVT_SA:
		hdr = &evt->u.sa.hdr;
		*hdr = (struct dp_msg_hdr){.type = DP_MSG_SA_EVENT, .len = sizeof(evt->u.sa)};
		break;
	case DP_EVT_TRACE:
		return dp_see_trace_pkt(o->see, &evt->u.trace);
	case DP_EVT_LEG:
		hdr = &evt->u.leg.hdr;
		*hdr = (struct dp_msg_hdr){.type = DP_MSG_LEG_EVENT, .len = sizeof(evt->u.leg)};
		break;
	default:
		return true;
	}
	rc = o->sink.event(o->sink.ctx, hdr);
	if (rc == -EAGAIN)
		return false;
	if (rc < 0)
		o->node->page->events_dropped++;
	return true;
}

static void evt_give(struct dp_objs *o, uint16_t wi, struct dp_evt *evt)
{
	if (evt->type == DP_EVT_MGCP_DONE)
		o->w[wi].mgcp_open--;
	explicit_bzero(evt, sizeof(*evt)); /* an MGCP result may hold a key */
	(void)rte_ring_sp_enqueue(o->node->worker[wi]->evt_free, evt);
}

static void drain_events(struct dp_objs *o, uint16_t wi, uint64_t ms)
{
	struct per_worker *pw = &o->w[wi];
	void *evts[64];
	unsigned int n;

	while (pw->held_cnt > 0 && pass_on(o, pw->held[pw->held_at])) {
		evt_give(o, wi, pw->held[pw->held_at]);
		pw->held_at = (pw->held_at + 1) % HELD_MAX;
		pw->held_cnt--;
	}
	n = rte_ring_sc_dequeue_burst(o->node->worker[wi]->evt, evts, 64, NULL);
	for (unsigned int i = 0; i < n; i++) {
		struct dp_evt *evt = evts[i];

		if (evt->type == DP_EVT_NEIGH_HEARD) {
			(void)dp_neigh_heard(o->neigh, evt->u.nh.port, evt->u.nh.family, evt->u.nh.ip,
					     evt->u.nh.mac, ms);
		} else if (evt->type == DP_EVT_NEIGH_WANT) {
			if (dp_neigh_want(o->neigh, evt->u.nh.port, evt->u.nh.family, evt->u.nh.ip, ms) < 0)
				cfg_log_limited(CFG_LOG_WARN, "neighbours-full", "count=%u", dp_neigh_cnt(o->neigh));
		} else if (pw->held_cnt > 0 || !pass_on(o, evt)) {
			pw->held[(pw->held_at + pw->held_cnt++) % HELD_MAX] = evt;
			continue;
		}
		evt_give(o, wi, evt);
	}
}

void dp_objs_poll(struct dp_objs *o)
{
	uint64_t ms = now_ms(o);

	for (uint16_t i = 0; i < o->node->worker_cnt; i++) {
		drain_done(o, i);
		drain_events(o, i, ms);
	}
	if (o->sweeping)
		sweep_on(o);
	dp_see_poll(o->see);
	neighbours(o, ms);
}

/* --- ageing and the counter page --- */

static void legs(struct dp_objs *o, uint32_t now_s)
{
	struct dp_leg_tab *tab = &o->node->legs;
	struct dp_page_leg *pl = dp_page_legs(o->node->page);

	for (uint32_t n = 0; n < o->leg_top; n++) {
		const struct dp_leg *leg = &tab->legs[n];
		uint32_t id = leg->tx.leg_id;
		struct dp_page_leg *p;

		/* Not linked yet, free, or deleted and on its way back. */
		if ((__atomic_load_n(&leg->rx.state, __ATOMIC_ACQUIRE) & DP_LEG_S_UP) == 0 || id >= tab->id_cnt ||
		    o->leg[id] >> 24 == 0 || (o->leg[id] & NO_SLOT) != n)
			continue;
		p = &pl[id];
		leg_count(p, tab, leg);
		p->state = (leg->rx.state & DP_LEG_S_LATCHED) != 0 ? DP_PAGE_LEG_LATCHED : DP_PAGE_LEG_UP;
		if (leg->rx.key != NULL) { /* only we free keys */
			p->rx_top = dp_srtp_key_top(leg->rx.key);
			p->rx_rtcp_top = dp_srtp_key_rtcp_top(leg->rx.key);
		}
		if (dp_leg_idle(tab, leg, now_s)) {
			struct dp_leg_aged ev = {.hdr = {.type = DP_MSG_LEG_AGED, .len = sizeof(ev)}, .leg_id = id,
						 .idle_s = now_s - leg->rx.last_s, .session = p->session};

			/* The controlplane must learn of it: if it cannot now, the leg stays until it can. */
			uint16_t wi = worker_of(o, DP_LEG_SHARD(id));
			struct dp_cmd *cmd = cmd_take(o, wi, DP_OP_LEG_DEL);
			int rc = cmd != NULL ? o->sink.event(o->sink.ctx, &ev.hdr) : 0;

			if (cmd == NULL)
				continue;
			if (rc == -EAGAIN) {
				cmd_give(o, wi, cmd);
				continue;
			}
			if (rc < 0)
				o->node->page->events_dropped++;
			leg_del_with(o, id, wi, cmd);
		}
	}
}

static void sas(struct dp_objs *o)
{
	struct dp_page_sa *ps = dp_page_sas(o->node->page);

	for (uint32_t i = 0; i < DP_SA_MAX; i++) {
		const struct dp_sa *sa = o->sa[i].last;

		if (o->sa[i].gen == 0 || sa == NULL)
			continue;
		ps[i].spi = sa->spi;
		ps[i].seq = dp_sa_seq(sa);
		ps[i].pkts = sa->pkts;
		ps[i].bytes = sa->bytes;
		ps[i].auth_fail = sa->auth_fail;
		ps[i].replayed = sa->replayed;
	}
}

void dp_objs_tick(struct dp_objs *o)
{
	uint64_t ms = now_ms(o);

	if (ms - o->page_ms < 500 && o->page_ms != 0)
		return;
	o->page_ms = ms;
	legs(o, (uint32_t)(ms / 1000));
	sas(o);
	o->node->page->mbufs_used = rte_mempool_in_use_count(o->node->pool);
	o->node->page->alive++;
}

uint32_t dp_objs_leg_cnt(const struct dp_objs *o)
{
	return o->leg_cnt;
}

uint32_t dp_objs_sa_cnt(const struct dp_objs *o)
{
	return o->sa_cnt;
}

uint32_t dp_objs_gw_cnt(const struct dp_objs *o)
{
	return o->gw_cnt;
}

struct dp_objs *dp_objs_create(struct dp_node *node, const struct dp_objs_sink *sink)
{
	struct dp_objs *o = calloc(1, sizeof(*o) + node->worker_cnt * sizeof(struct per_worker));

	if (o == NULL)
		return NULL;
	o->node = node;
	o->sink = *sink;
	o->gen = 1;
	o->mb = dp_mb_create();
	o->neigh = dp_neigh_create(DP_NEIGH_MAX);
	o->leg = malloc(sizeof(*o->leg) * (node->legs.id_cnt + 1));
	o->see = dp_see_create(node, sink);
	if (o->mb == NULL || o->neigh == NULL || o->leg == NULL || o->see == NULL)
		goto fail;
	for (uint32_t i = 0; i < node->legs.id_cnt; i++)
		o->leg[i] = NO_SLOT;
	o->leg_free = NO_SLOT;
	o->key_mem = node->key_mem;
	o->key_max = 2 * node->legs.max + DP_OBJS_KEY_SPARE;
	o->sa_max = node->cfg->dataplane.max_sas + DP_OBJS_SA_SPARE;
	for (uint16_t i = 0; i < node->worker_cnt; i++) {
		o->w[i].mem = calloc(CMDS, sizeof(struct dp_cmd));
		if (o->w[i].mem == NULL)
			goto fail;
		for (uint32_t k = 0; k < CMDS; k++)
			o->w[i].free[o->w[i].free_cnt++] = &o->w[i].mem[k];
	}
	for (uint16_t p = 0; p < node->port_cnt; p++) {
		const struct cfg_addr *gws[2] = {&node->ports[p].gw4, &node->ports[p].gw6};

		for (int k = 0; k < 2; k++)
			if (gws[k]->family != 0)
				(void)dp_neigh_want(o->neigh, (uint8_t)p, gws[k]->family, gws[k]->ip, 0);
	}
	return o;
fail:
	dp_objs_destroy(o);
	return NULL;
}

void dp_objs_destroy(struct dp_objs *o)
{
	if (o == NULL)
		return;
	for (uint16_t i = 0; i < o->node->worker_cnt; i++) {
		if (o->w[i].mem == NULL)
			continue;
		drain_done(o, i);
		explicit_bzero(o->w[i].mem, CMDS * sizeof(struct dp_cmd));
		free(o->w[i].mem);
	}
	/* Keys still in legs give their streams back. */
	for (uint32_t k = 0; k < o->key_fresh; k++)
		if (o->key_mem[k].suite != DP_SRTP_NONE)
			dp_srtp_key_wipe(&o->key_mem[k]);
	dp_see_destroy(o->see);
	dp_neigh_destroy(o->neigh);
	dp_mb_destroy(o->mb);
	free(o->leg);
	free(o);
}
