/* SPDX-License-Identifier: BSD-3-Clause */
/* The main lcore's part in moving a shard from one worker to another: move.h says who does what. */
#include "objs.h"

#include <errno.h>

#include <rte_rcu_qsbr.h>

#include "log.h"
#include "node.h"
#include "objs_impl.h"
#include "steer.h"

static void report(struct dp_objs *o, int32_t rc)
{
	struct dp_objs_move *mv = &o->move;
	struct dp_shard_moved ev = {.hdr = {.type = DP_MSG_SHARD_MOVED, .len = sizeof(ev)}, .shard = mv->shard,
				    .from = mv->from, .to = mv->to, .rc = rc};

	if (rc == 0) {
		ev.took_us = (uint32_t)((rte_rdtsc() - mv->start_cyc) / (o->node->hz / 1000000 + 1));
		ev.held = o->node->move->held;
	}
	mv->ev = ev;
	mv->state = DP_OBJS_MOVE_TELL;
	if (rc == 0)
		cfg_log(CFG_LOG_NOTICE, "shard-moved", "shard=%u from=%u to=%u took_us=%u held=%u", ev.shard, ev.from,
			ev.to, ev.took_us, ev.held);
}

bool dp_objs_mgcp_room(const struct dp_objs *o, uint16_t wi)
{
	const struct dp_objs_move *mv = &o->move;

	/* Commands go over with their gateways: both workers must be able to end them all. */
	if (mv->state != DP_OBJS_MOVE_NONE && (wi == mv->from || wi == mv->to))
		return o->w[mv->from].mgcp_open + o->w[mv->to].mgcp_open < DP_MGCP_TXN_MAX;
	return o->w[wi].mgcp_open < DP_MGCP_TXN_MAX;
}

int dp_objs_shard_move(struct dp_objs *o, const struct dp_shard_move *m, uint32_t *ret_detail)
{
	struct dp_objs_move *mv = &o->move;
	struct dp_move *box = o->node->move;
	struct dp_cmd *cmd;

	if (m->worker >= o->node->worker_cnt) {
		*ret_detail = DP_OBJS_DETAIL(dp_shard_move, worker);
		return -EBADMSG;
	}
	if (mv->state != DP_OBJS_MOVE_NONE)
		return -EAGAIN;
	mv->shard = m->shard;
	mv->from = o->owner[m->shard];
	mv->to = (uint16_t)m->worker;
	mv->start_cyc = rte_rdtsc();
	if (mv->from == mv->to) {
		report(o, -EALREADY);
		return 0;
	}
	if (o->w[mv->from].mgcp_open + o->w[mv->to].mgcp_open > DP_MGCP_TXN_MAX) {
		report(o, -EBUSY);
		return 0;
	}
	cmd = dp_objs_cmd_take(o, mv->to, DP_OP_SHARD_TAKE);
	if (cmd == NULL)
		return -EAGAIN;
	box->shard = (uint8_t)mv->shard;
	box->from = mv->from;
	box->to = mv->to;
	box->ready = 0;
	box->done = 0;
	box->left = 0;
	box->turn = DP_MOVE_FROM;
	box->outs = 0;
	box->gw_at = 0;
	box->held = 0;
	mv->state = DP_OBJS_MOVE_TAKE;
	dp_objs_submit(o, mv->to, cmd);
	return 0;
}

/* The new owner waits for the shard: from now on it gets its packets and commands. */
static void give(struct dp_objs *o)
{
	struct dp_objs_move *mv = &o->move;
	struct dp_cmd *cmd = dp_objs_cmd_take(o, mv->from, DP_OP_SHARD_GIVE);

	if (cmd == NULL) /* next time; nothing is held back yet */
		return;
	dp_shard_set(&o->node->shard, mv->shard, (uint8_t)mv->to);
	dp_steer_update(o->node, mv->shard);
	/* Rounds are microseconds, and a sleeping worker is offline. */
	rte_rcu_qsbr_synchronize(o->node->qs, RTE_QSBR_THRID_INVALID);
	dp_objs_submit(o, mv->from, cmd);
	o->owner[mv->shard] = (uint8_t)mv->to;
	o->node->page->shard_worker[mv->shard] = mv->to;
	mv->state = DP_OBJS_MOVE_GIVE;
}

void dp_objs_move_poll(struct dp_objs *o)
{
	struct dp_objs_move *mv = &o->move;
	const struct dp_move *box = o->node->move;
	int rc;

	if (mv->state == DP_OBJS_MOVE_TAKE && __atomic_load_n(&box->ready, __ATOMIC_ACQUIRE) != 0)
		give(o);
	if (mv->state == DP_OBJS_MOVE_GIVE && __atomic_load_n(&box->done, __ATOMIC_ACQUIRE) != 0 &&
	    __atomic_load_n(&box->left, __ATOMIC_ACQUIRE) != 0) {
		o->w[mv->from].mgcp_open -= (int32_t)box->outs;
		o->w[mv->to].mgcp_open += (int32_t)box->outs;
		report(o, 0);
	}
	if (mv->state != DP_OBJS_MOVE_TELL)
		return;
	rc = o->sink.event(o->sink.ctx, &mv->ev.hdr);
	if (rc == -EAGAIN)
		return;
	if (rc < 0)
		o->node->page->events_dropped++;
	mv->state = DP_OBJS_MOVE_NONE;
}
