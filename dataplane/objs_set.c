/* SPDX-License-Identifier: BSD-3-Clause */
/* What messages do to legs, SAs and gateways (objs.h). */
#include "objs.h"

#include <errno.h>
#include <string.h>

#include "dp_esp.h"
#include "due.h"
#include "ipsec/sa.h"
#include "log.h"
#include "node.h"
#include "objs_impl.h"
#include "see.h"

static void want(struct dp_objs *o, uint8_t port, const struct dp_sockaddr *a)
{
	const uint8_t *hop;

	if (a->family == 0 || !dp_port_next_hop(&o->node->ports[port], a->family, a->ip, &hop))
		return;
	if (dp_neigh_want(o->neigh, port, a->family, hop, dp_objs_ms(o)) < 0)
		cfg_log_limited(CFG_LOG_WARN, "neighbours-full", "count=%u", dp_neigh_cnt(o->neigh));
}

int dp_objs_leg_set(struct dp_objs *o, const struct dp_leg_set *m, uint32_t *ret_detail)
{
	const struct dp_local *l;
	uint16_t wi = dp_objs_worker_of(o, DP_LEG_SHARD(m->leg_id));
	uint32_t e = o->leg[m->leg_id];
	struct dp_leg *fresh = NULL;
	struct dp_cmd *cmd;

	l = o->node->media[DP_LEG_ADDR(m->leg_id)];
	if (m->remote.family != 0 && m->remote.family != l->family) {
		*ret_detail = DP_OBJS_DETAIL(dp_leg_set, remote);
		return -EBADMSG;
	}
	if (o->sweeping && e >> 24 != 0 && e >> 24 != o->gen) {
		/* To be swept, but not yet: a new leg must not begin with keys of an old call. */
		int rc = dp_objs_leg_del(o, m->leg_id);

		if (rc < 0)
			return rc;
		e = o->leg[m->leg_id];
	}
	cmd = dp_objs_cmd_take(o, wi, DP_OP_LEG_SET);
	if (cmd == NULL)
		return -EAGAIN;
	if (e >> 24 == 0) {
		if (o->leg_cnt == o->node->legs.max) {
			dp_objs_cmd_give(o, wi, cmd);
			return -ENOSPC;
		}
		fresh = dp_objs_leg_take(o);
		if (fresh == NULL) { /* deleted ones have not come back yet */
			dp_objs_cmd_give(o, wi, cmd);
			return -EAGAIN;
		}
		e = dp_leg_num(&o->node->legs, fresh);
		if (e >= o->leg_top)
			o->leg_top = e + 1;
		o->leg_cnt++;
	}
	o->leg[m->leg_id] = dp_objs_leg_entry(e & NO_SLOT, o->gen);
	cmd->id = m->leg_id;
	cmd->leg = fresh;
	cmd->u.leg_set = *m;
	if (m->ssrc_max == 0)
		cmd->u.leg_set.ssrc_max = o->node->cfg->media.ssrc_max;
	o->ssrcs[m->leg_id] = cmd->u.leg_set.ssrc_max;
	dp_objs_submit(o, wi, cmd);
	want(o, l->port, &m->remote);
	want(o, l->port, &m->remote_rtcp);
	return 0;
}

int dp_objs_leg_key(struct dp_objs *o, const struct dp_leg_key *m, uint32_t *ret_detail)
{
	uint16_t wi = dp_objs_worker_of(o, DP_LEG_SHARD(m->leg_id));
	const struct dp_srtp_params par = {
		.suite = m->suite, .dir = m->dir, .mki_len = m->mki_len, .kdr = m->kdr,
		.flags = m->flags & (DP_KEY_F_STANDBY | DP_KEY_F_HAVE_ROC), .window = o->node->cfg->media.window,
		.ssrc_max = o->ssrcs[m->leg_id], .roc = m->roc, .ssrc = m->ssrc, .index_floor = m->index_floor,
		.rtcp_floor = m->rtcp_floor, .lifetime = m->lifetime, .from = m->from, .to = m->to, .key = m->key,
		.salt = m->salt, .mki = m->mki, .pool = o->node->streams[wi], .slab = o->node->slab};
	bool overlaps = m->dir == DP_DIR_RECV && (m->flags & DP_KEY_F_ADD) == 0 && m->overlap_ms > 0;
	uint64_t ms = dp_objs_ms(o);
	struct dp_srtp_key *key;
	struct dp_cmd *cmd;
	int rc;

	if (o->leg[m->leg_id] >> 24 == 0)
		return -ENOENT;
	cmd = dp_objs_cmd_take(o, wi, DP_OP_LEG_KEY);
	if (cmd == NULL)
		return -EAGAIN;
	key = dp_objs_key_take(o);
	if (key == NULL) {
		dp_objs_cmd_give(o, wi, cmd);
		return -EAGAIN;
	}
	rc = dp_srtp_key_init(o->mb, key, &par);
	if (rc == 0 && overlaps && !dp_due_add(o->ends, ms + m->overlap_ms, m->leg_id))
		rc = -EAGAIN;
	if (rc < 0) {
		dp_objs_key_give(o, key);
		dp_objs_cmd_give(o, wi, cmd);
		if (rc == -EINVAL)
			*ret_detail = DP_OBJS_DETAIL(dp_leg_key, suite);
		return rc == -EINVAL ? -EBADMSG : rc == -ENOMEM ? -ENOSPC : rc;
	}
	cmd->id = m->leg_id;
	cmd->dir = m->dir;
	cmd->key[0] = key;
	cmd->u.key.flags = m->flags;
	cmd->u.key.overlap_ms = m->overlap_ms;
	cmd->u.key.now_ms = (uint32_t)ms;
	dp_objs_submit(o, wi, cmd);
	return 0;
}

int dp_objs_key_del(struct dp_objs *o, const struct dp_key_del *m)
{
	uint16_t wi = dp_objs_worker_of(o, DP_LEG_SHARD(m->leg_id));
	struct dp_cmd *cmd;

	if (o->leg[m->leg_id] >> 24 == 0)
		return -ENOENT;
	cmd = dp_objs_cmd_take(o, wi, DP_OP_KEY_DEL);
	if (cmd == NULL)
		return -EAGAIN;
	cmd->id = m->leg_id;
	cmd->dir = m->dir;
	cmd->u.key_del = *m;
	dp_objs_submit(o, wi, cmd);
	return 0;
}

void dp_objs_key_ends(struct dp_objs *o, uint64_t ms)
{
	uint32_t id;

	while (dp_due_first(o->ends, ms, &id)) {
		if (o->leg[id] >> 24 != 0) { /* also a new one there: it loses nothing by it */
			uint16_t wi = dp_objs_worker_of(o, DP_LEG_SHARD(id));
			struct dp_cmd *cmd = dp_objs_cmd_take(o, wi, DP_OP_KEY_END);

			if (cmd == NULL) /* at the next poll */
				return;
			cmd->id = id;
			cmd->u.key.now_ms = (uint32_t)ms;
			dp_objs_submit(o, wi, cmd);
		}
		dp_due_drop(o->ends);
	}
}

/* 'cmd' is one of the leg's worker. */
void dp_objs_leg_del_with(struct dp_objs *o, uint32_t id, uint16_t wi, struct dp_cmd *cmd)
{
	o->leg[id] = NO_SLOT;
	o->leg_cnt--;
	dp_see_leg_gone(o->see, id);
	cmd->id = id;
	dp_objs_submit(o, wi, cmd);
}

int dp_objs_leg_del(struct dp_objs *o, uint32_t id)
{
	uint16_t wi = dp_objs_worker_of(o, DP_LEG_SHARD(id));
	struct dp_cmd *cmd;

	if (o->leg[id] >> 24 == 0)
		return -ENOENT;
	cmd = dp_objs_cmd_take(o, wi, DP_OP_LEG_DEL);
	if (cmd == NULL)
		return -EAGAIN;
	dp_objs_leg_del_with(o, id, wi, cmd);
	return 0;
}

int dp_objs_sa_set(struct dp_objs *o, const struct dp_sa_set *m, uint32_t *ret_detail)
{
	const struct dp_local *l = dp_locals_find(&o->node->locals, m->local.family, m->local.ip);
	struct sa_rec *r = &o->sa[m->sa_id];
	uint16_t wi = dp_objs_worker_of(o, m->shard);
	struct dp_cmd *cmd;
	struct dp_sa *sa;
	int rc;

	if (l == NULL) {
		*ret_detail = DP_OBJS_DETAIL(dp_sa_set, local);
		return -EBADMSG;
	}
	if (dp_esp_suite(m->alg)->old && !o->node->cfg->ipsec.old_algorithms) {
		*ret_detail = DP_OBJS_DETAIL(dp_sa_set, alg);
		return -EPERM;
	}
	/* Sequence and window would stay behind in the other worker. */
	if (r->gen != 0 && (dp_objs_worker_of(o, r->shard) != wi || r->dir != m->dir))
		return -EPROTO;
	if (r->gen == 0 && o->sa_cnt == o->node->cfg->dataplane.max_sas)
		return -ENOSPC;
	cmd = dp_objs_cmd_take(o, wi, DP_OP_SA_SET);
	if (cmd == NULL)
		return -EAGAIN;
	sa = dp_objs_sa_take(o);
	if (sa == NULL) { /* all replaced ones may be back, and only not looked at: after a controlplane's start they come in one burst */
		for (uint16_t i = 0; i < o->node->worker_cnt; i++)
			dp_objs_drain_done(o, i);
		sa = dp_objs_sa_take(o);
	}
	if (sa == NULL) {
		dp_objs_cmd_give(o, wi, cmd);
		return -EAGAIN;
	}
	rc = dp_sa_init(sa, o->mb, m);
	o->node->page->sa_window_bytes += dp_sa_window_bytes(sa);
	if (rc < 0) {
		dp_objs_sa_give(o, sa);
		dp_objs_cmd_give(o, wi, cmd);
		*ret_detail = DP_OBJS_DETAIL(dp_sa_set, spi);
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
	dp_objs_submit(o, wi, cmd);
	want(o, l->port, &m->remote);
	return 0;
}

int dp_objs_sa_grant(struct dp_objs *o, const struct dp_sa_grant *m)
{
	struct sa_rec *r = &o->sa[m->sa_id];
	struct dp_cmd *cmd;

	if (r->gen == 0 || r->spi != m->spi)
		return -ENOENT;
	if (r->dir != DP_DIR_SEND)
		return -EPROTO;
	cmd = dp_objs_cmd_take(o, dp_objs_worker_of(o, r->shard), DP_OP_SA_GRANT);
	if (cmd == NULL)
		return -EAGAIN;
	cmd->id = m->sa_id;
	cmd->u.grant = *m;
	dp_objs_submit(o, dp_objs_worker_of(o, r->shard), cmd);
	return 0;
}

int dp_objs_sa_del(struct dp_objs *o, uint32_t id)
{
	struct sa_rec *r = &o->sa[id];
	struct dp_cmd *cmd;

	if (r->gen == 0)
		return -ENOENT;
	cmd = dp_objs_cmd_take(o, dp_objs_worker_of(o, r->shard), DP_OP_SA_DEL);
	if (cmd == NULL)
		return -EAGAIN;
	r->gen = 0;
	o->sa_cnt--;
	cmd->id = id;
	dp_objs_submit(o, dp_objs_worker_of(o, r->shard), cmd);
	return 0;
}

int dp_objs_gw_del(struct dp_objs *o, uint32_t id)
{
	uint16_t wi = dp_objs_worker_of(o, o->node->gw_shard[id]);
	struct dp_cmd *cmd;

	if (o->gw[id] == 0)
		return -ENOENT;
	cmd = dp_objs_cmd_take(o, wi, DP_OP_GW_DEL);
	if (cmd == NULL)
		return -EAGAIN;
	o->gw[id] = 0;
	o->gw_cnt--;
	cmd->id = id;
	dp_objs_submit(o, wi, cmd);
	return 0;
}

int dp_objs_gw_set(struct dp_objs *o, const struct dp_gw_set *m, uint32_t *ret_detail)
{
	const struct dp_local *l = dp_locals_find(&o->node->locals, m->local.family, m->local.ip);
	uint16_t wi = dp_objs_worker_of(o, m->shard);
	struct dp_cmd *cmd;
	int rc;

	if (l == NULL) {
		*ret_detail = DP_OBJS_DETAIL(dp_gw_set, local);
		return -EBADMSG;
	}
	if (o->gw[m->gw_id] == 0 && o->gw_cnt == o->node->cfg->dataplane.max_gateways)
		return -ENOSPC;
	cmd = dp_objs_cmd_take(o, wi, DP_OP_GW_SET);
	if (cmd == NULL)
		return -EAGAIN;
	/* From one shard to another it does not go while a shard moves: it might be in a box. */
	if (o->gw[m->gw_id] != 0 && o->node->gw_shard[m->gw_id] != m->shard && o->move.state != DP_OBJS_MOVE_NONE) {
		dp_objs_cmd_give(o, wi, cmd);
		return -EAGAIN;
	}
	/* It moves to another worker: its transactions end there. */
	if (o->gw[m->gw_id] != 0 && dp_objs_worker_of(o, o->node->gw_shard[m->gw_id]) != wi) {
		rc = dp_objs_gw_del(o, m->gw_id);
		if (rc < 0) {
			dp_objs_cmd_give(o, wi, cmd);
			return rc;
		}
	}
	if (o->gw[m->gw_id] == 0)
		o->gw_cnt++;
	o->gw[m->gw_id] = o->gen;
	__atomic_store_n(&o->node->gw_shard[m->gw_id], m->shard, __ATOMIC_RELAXED);
	cmd->id = m->gw_id;
	cmd->u.gw = *m;
	dp_objs_submit(o, wi, cmd);
	want(o, l->port, &m->remote);
	return 0;
}

/* A command for the gateway's worker, and room for its result. */
static int mgcp_take(struct dp_objs *o, uint32_t gw_id, enum dp_op op, uint16_t *ret_wi, struct dp_cmd **ret_cmd)
{
	uint16_t wi;

	if (o->gw[gw_id] == 0)
		return -ENOENT;
	wi = dp_objs_worker_of(o, o->node->gw_shard[gw_id]);
	if (!dp_objs_mgcp_room(o, wi))
		return -EAGAIN;
	*ret_cmd = dp_objs_cmd_take(o, wi, op);
	if (*ret_cmd == NULL)
		return -EAGAIN;
	o->w[wi].mgcp_open++;
	(*ret_cmd)->id = gw_id;
	*ret_wi = wi;
	return 0;
}

int dp_objs_mgcp_cmd(struct dp_objs *o, const struct dp_mgcp_cmd *m)
{
	struct dp_cmd *cmd;
	uint16_t wi;
	int rc = mgcp_take(o, m->gw_id, DP_OP_MGCP_CMD, &wi, &cmd);

	if (rc < 0)
		return rc;
	cmd->u.mgcp = *m;
	dp_objs_submit(o, wi, cmd);
	return 0;
}

int dp_objs_mgcp_ask(struct dp_objs *o, const struct dp_mgcp_ask *m)
{
	struct dp_cmd *cmd;
	uint16_t wi;
	int rc = mgcp_take(o, m->gw_id, DP_OP_MGCP_ASK, &wi, &cmd);

	if (rc < 0)
		return rc;
	cmd->u.ask = *m;
	dp_objs_submit(o, wi, cmd);
	return 0;
}

int dp_objs_mgcp_ack(struct dp_objs *o, const struct dp_mgcp_ack *m, uint32_t *ret_detail)
{
	uint32_t shard = (uint32_t)(m->token >> 24) & 0xff; /* put there by the worker */
	struct dp_cmd *cmd;
	uint16_t wi;

	if (shard >= DP_SHARDS) {
		*ret_detail = DP_OBJS_DETAIL(dp_mgcp_ack, token);
		return -EBADMSG;
	}
	wi = dp_objs_worker_of(o, shard);
	cmd = dp_objs_cmd_take(o, wi, DP_OP_MGCP_ACK);
	if (cmd == NULL)
		return -EAGAIN;
	cmd->u.ack = *m;
	cmd->u.ack.token &= ~((uint64_t)0xff << 24);
	dp_objs_submit(o, wi, cmd);
	return 0;
}

int dp_objs_adopt(struct dp_objs *o, const struct dp_obj *m)
{
	switch (m->kind) {
	case DP_OBJ_LEG:
		if (o->leg[m->id] >> 24 == 0)
			return -ENOENT;
		o->leg[m->id] = dp_objs_leg_entry(o->leg[m->id] & NO_SLOT, o->gen);
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
