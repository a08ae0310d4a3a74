/* SPDX-License-Identifier: BSD-3-Clause */
#include "objs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include "counters.h"
#include "crypto/mb.h"
#include "due.h"
#include "ipsec/sa.h"
#include "log.h"
#include "node.h"
#include "objs_impl.h"
#include "see.h"

static_assert(sizeof(struct dp_sa) <= DP_OBJS_SA_STRIDE, "an SA record");
static_assert(DP_OBJS_SA_STRIDE % 64 == 0 && sizeof(struct dp_srtp_key) % 64 == 0, "records of two workers share no line");

#define SWEEP_SPARE 256 /* commands that a sweep leaves to others */

/* --- free objects --- */

struct dp_leg *dp_objs_leg_take(struct dp_objs *o)
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

struct dp_srtp_key *dp_objs_key_take(struct dp_objs *o)
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

void dp_objs_key_give(struct dp_objs *o, struct dp_srtp_key *key)
{
	while (key != NULL) {
		struct dp_srtp_key *next = key->next;

		dp_srtp_key_wipe(key);
		memcpy((void *)key, &o->key_free, sizeof(void *));
		o->key_free = key;
		key = next;
	}
}

struct dp_sa *dp_objs_sa_take(struct dp_objs *o)
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

void dp_objs_sa_give(struct dp_objs *o, struct dp_sa *sa)
{
	if (sa == NULL)
		return;
	o->node->page->sa_window_bytes -= dp_sa_window_bytes(sa);
	dp_sa_wipe(sa);
	memcpy((void *)sa, &o->sa_free, sizeof(o->sa_free));
	o->sa_free = (void *)sa;
}

/* --- commands --- */

/* An SA that is gone from its worker and not the one that has its identifier now. */
static void sa_gone(struct dp_objs *o, struct dp_sa *sa)
{
	if (sa == NULL)
		return;
	if (sa->sa_id < DP_SA_MAX && o->sa[sa->sa_id].last == sa) {
		o->sa[sa->sa_id].last = NULL;
		memset(&dp_page_sas(o->node->page)[sa->sa_id], 0, sizeof(struct dp_page_sa));
	}
	dp_objs_sa_give(o, sa);
}

void dp_objs_drain_done(struct dp_objs *o, uint16_t wi)
{
	struct per_worker *pw = &o->w[wi];
	void *done[64];
	unsigned int n;

	while ((n = rte_ring_sc_dequeue_burst(o->node->worker[wi]->done, done, 64, NULL)) > 0) {
		for (unsigned int i = 0; i < n; i++) {
			struct dp_cmd *cmd = done[i];

			if (cmd->op == DP_OP_LEG_DEL && cmd->leg != NULL) {
				struct dp_page_leg *pl = &dp_page_legs(o->node->page)[cmd->id];

				/* Nobody new there, nor on the way there: the last word. */
				if (o->leg[cmd->id] >> 24 == 0 && pl->state == DP_PAGE_LEG_FREE)
					dp_objs_leg_count(pl, &o->node->legs, cmd->leg);
			}
			leg_give(o, cmd->leg);
			dp_objs_key_give(o, cmd->key[0]);
			dp_objs_key_give(o, cmd->key[1]);
			sa_gone(o, cmd->sa);
			dp_objs_music_give(o, cmd->music);
			if (cmd->op == DP_OP_MGCP_CMD)
				explicit_bzero(&cmd->u.mgcp.media, sizeof(cmd->u.mgcp.media));
			pw->free[pw->free_cnt++] = cmd;
		}
	}
}

/* A command for a worker, empty; NULL: too many under way. */
struct dp_cmd *dp_objs_cmd_take(struct dp_objs *o, uint16_t wi, enum dp_op op)
{
	struct per_worker *pw = &o->w[wi];
	struct dp_cmd *cmd;

	if (pw->free_cnt == 0)
		dp_objs_drain_done(o, wi);
	if (pw->free_cnt == 0)
		return NULL;
	cmd = pw->free[--pw->free_cnt];
	cmd->op = (uint8_t)op;
	cmd->leg = NULL;
	cmd->key[0] = NULL;
	cmd->key[1] = NULL;
	cmd->sa = NULL;
	cmd->music = NULL;
	return cmd;
}

void dp_objs_submit(struct dp_objs *o, uint16_t wi, struct dp_cmd *cmd)
{
	/* Never full: the pool is no larger. */
	(void)rte_ring_sp_enqueue(o->node->worker[wi]->cmd, cmd);
}

void dp_objs_cmd_give(struct dp_objs *o, uint16_t wi, struct dp_cmd *cmd)
{
	o->w[wi].free[o->w[wi].free_cnt++] = cmd;
}

/* Room for one more removal, and for what others want of this worker meanwhile. */
static bool sweep_may(struct dp_objs *o, uint32_t shard)
{
	uint16_t wi = dp_objs_worker_of(o, shard);

	if (o->w[wi].free_cnt < SWEEP_SPARE)
		dp_objs_drain_done(o, wi);
	return o->w[wi].free_cnt >= SWEEP_SPARE;
}

/* Remove what belongs to another epoch. When a ring is full the rest is done at the next poll. */
static void sweep_on(struct dp_objs *o)
{
	int rc = 0;

	for (uint32_t i = 0; i < o->node->legs.id_cnt && rc == 0; i++) {
		if (o->leg[i] >> 24 == 0 || o->leg[i] >> 24 == o->gen)
			continue;
		rc = sweep_may(o, DP_LEG_SHARD(i)) ? dp_objs_leg_del(o, i) : -EAGAIN;
		o->swept_legs += rc == 0;
	}
	for (uint32_t i = 0; i < DP_SA_MAX && rc == 0; i++) {
		if (o->sa[i].gen == 0 || o->sa[i].gen == o->gen)
			continue;
		rc = sweep_may(o, o->sa[i].shard) ? dp_objs_sa_del(o, i) : -EAGAIN;
		o->swept_sas += rc == 0;
	}
	for (uint32_t i = 0; i < DP_GW_MAX && rc == 0; i++) {
		if (o->gw[i] == 0 || o->gw[i] == o->gen)
			continue;
		rc = sweep_may(o, o->node->gw_shard[i]) ? dp_objs_gw_del(o, i) : -EAGAIN;
		o->swept_gws += rc == 0;
	}
	o->sweeping = rc < 0;
	if (o->sweeping)
		return;
	dp_objs_music_sweep(o);
	cfg_log(CFG_LOG_NOTICE, "swept", "legs=%u sas=%u gateways=%u", o->swept_legs, o->swept_sas, o->swept_gws);
	o->swept_legs = 0;
	o->swept_sas = 0;
	o->swept_gws = 0;
}

static int sweep(struct dp_objs *o, const struct dp_sweep *m, uint32_t *ret_detail)
{
	if (m->epoch != o->epoch) {
		*ret_detail = DP_OBJS_DETAIL(dp_sweep, epoch);
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
		return dp_objs_leg_set(o, (const struct dp_leg_set *)msg, ret_detail);
	case DP_MSG_LEG_KEY:
		return dp_objs_leg_key(o, (const struct dp_leg_key *)msg, ret_detail);
	case DP_MSG_KEY_DEL:
		return dp_objs_key_del(o, (const struct dp_key_del *)msg);
	case DP_MSG_LEG_DEL:
		return dp_objs_leg_del(o, obj->id);
	case DP_MSG_SA_SET:
		return dp_objs_sa_set(o, (const struct dp_sa_set *)msg, ret_detail);
	case DP_MSG_SA_GRANT:
		return dp_objs_sa_grant(o, (const struct dp_sa_grant *)msg);
	case DP_MSG_SA_DEL:
		return dp_objs_sa_del(o, obj->id);
	case DP_MSG_GW_SET:
		return dp_objs_gw_set(o, (const struct dp_gw_set *)msg, ret_detail);
	case DP_MSG_GW_DEL:
		return dp_objs_gw_del(o, obj->id);
	case DP_MSG_MGCP_CMD:
		return dp_objs_mgcp_cmd(o, (const struct dp_mgcp_cmd *)msg);
	case DP_MSG_MGCP_ASK:
		return dp_objs_mgcp_ask(o, (const struct dp_mgcp_ask *)msg);
	case DP_MSG_MGCP_ACK:
		return dp_objs_mgcp_ack(o, (const struct dp_mgcp_ack *)msg, ret_detail);
	case DP_MSG_ADOPT:
		return dp_objs_adopt(o, obj);
	case DP_MSG_SWEEP:
		return sweep(o, (const struct dp_sweep *)msg, ret_detail);
	case DP_MSG_SHARD_MOVE:
		return dp_objs_shard_move(o, (const struct dp_shard_move *)msg, ret_detail);
	case DP_MSG_CAPTURE:
		return dp_see_capture(o->see, (const struct dp_capture *)msg,
				      o->leg[((const struct dp_capture *)msg)->leg_id] >> 24 != 0);
	case DP_MSG_TRACE:
		return dp_see_trace(o->see, (const struct dp_trace *)msg);
	case DP_MSG_MUSIC_SET:
		return dp_objs_music_set(o, (const struct dp_music_set *)msg);
	case DP_MSG_LEG_MUSIC:
		return dp_objs_leg_music(o, (const struct dp_leg_music *)msg);
	case DP_MSG_SPD_SET:
		return dp_objs_spd_set(o, (const struct dp_spd_set *)msg, ret_detail);
	case DP_MSG_SPD_COMMIT:
		return dp_objs_spd_commit(o, (const struct dp_spd_commit *)msg, ret_detail);
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
		cmd[i] = dp_objs_cmd_take(o, i, DP_OP_FORGET);
		if (cmd[i] == NULL) {
			while (i-- > 0)
				dp_objs_cmd_give(o, i, cmd[i]);
			return -EAGAIN;
		}
	}
	for (uint16_t i = 0; i < node->worker_cnt; i++)
		dp_objs_submit(o, i, cmd[i]);
	ret->last_epoch = o->epoch;
	if (epoch != o->epoch) {
		/* After 255 epochs a number comes again; what still has it must not pass for new. */
		for (uint32_t i = 0; i < node->legs.id_cnt; i++)
			if (o->leg[i] >> 24 == gen)
				o->leg[i] = dp_objs_leg_entry(o->leg[i] & NO_SLOT, o->gen);
		for (uint32_t i = 0; i < DP_SA_MAX; i++)
			if (o->sa[i].gen == gen)
				o->sa[i].gen = o->gen;
		for (uint32_t i = 0; i < DP_GW_MAX; i++)
			if (o->gw[i] == gen)
				o->gw[i] = o->gen;
		for (uint32_t i = 0; i < DP_MUSIC_MAX; i++)
			if (o->music[i].gen == gen)
				o->music[i].gen = o->gen;
		o->gen = gen;
		o->epoch = epoch;
		o->sweeping = false; /* the new one adopts first */
		dp_see_forget(o->see);
		dp_objs_spd_forget(o); /* the list in force stays until this one says its own */
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

void dp_objs_poll(struct dp_objs *o)
{
	uint64_t ms = dp_objs_ms(o);

	for (uint16_t i = 0; i < o->node->worker_cnt; i++) {
		dp_objs_drain_done(o, i);
		dp_objs_drain_events(o, i, ms);
	}
	dp_objs_key_ends(o, ms);
	dp_objs_move_poll(o);
	if (o->sweeping)
		sweep_on(o);
	dp_see_poll(o->see);
	dp_objs_neighbours(o, ms);
}

void dp_objs_tick(struct dp_objs *o)
{
	uint64_t ms = dp_objs_ms(o);

	uint64_t since = ms - o->tick_ms;

	if (since < 10)
		return;
	o->tick_ms = ms;
	/* Every leg twice a second, a share of them each time: a turn over 100,000 is milliseconds. */
	dp_objs_legs(o, (uint32_t)(ms / 1000), (uint32_t)(o->leg_top * (since < 500 ? since : 500) / 500 + 1));
	if (ms - o->page_ms < 500 && o->page_ms != 0)
		return;
	o->page_ms = ms;
	dp_objs_sas(o);
	o->node->page->mbufs_used = rte_mempool_in_use_count(o->node->pool);
	o->node->page->now_s = ms / 1000;
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
	for (uint32_t s = 0; s < DP_SHARDS; s++) {
		o->owner[s] = dp_shard_worker(&node->shard, s);
		node->page->shard_worker[s] = o->owner[s];
	}
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
	o->key_max = dp_objs_key_max(node->legs.max);
	o->ends = dp_due_create(o->key_max);
	o->ssrcs = calloc(node->legs.id_cnt + 1, sizeof(*o->ssrcs));
	if (o->ends == NULL || o->ssrcs == NULL)
		goto fail;
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
		dp_objs_drain_done(o, i);
		explicit_bzero(o->w[i].mem, CMDS * sizeof(struct dp_cmd));
		free(o->w[i].mem);
	}
	/* Keys still in legs give their streams back. */
	for (uint32_t k = 0; k < o->key_fresh; k++)
		if (o->key_mem[k].suite != DP_SRTP_NONE)
			dp_srtp_key_wipe(&o->key_mem[k]);
	dp_objs_music_free(o);
	dp_objs_spd_forget(o);
	dp_see_destroy(o->see);
	dp_neigh_destroy(o->neigh);
	dp_mb_destroy(o->mb);
	dp_due_destroy(o->ends);
	free(o->ssrcs);
	free(o->leg);
	free(o);
}
