/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands in the worker. Each takes what is new out of the command and leaves in it what the main lcore is to wipe and
 * free; nothing can fail here that the main lcore could have found out.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "ipout.h"
#include "ipsec/sa.h"
#include "mgcp/deliver.h"
#include "sad.h"
#include "srtp/list.h"
#include "worker.h"

static void leg_set(struct dp_worker *w, struct dp_cmd *cmd)
{
	const struct dp_leg_set *m = &cmd->u.leg_set;
	struct dp_page_leg *pl = &w->page_leg[m->leg_id];

	if (dp_leg_find(w->legs, m->leg_id) == NULL) {
		/* Before the leg is up: from then on the main lcore counts on from what stands here. */
		memset(pl, 0, sizeof(*pl));
		pl->state = DP_PAGE_LEG_UP;
	}
	pl->session = m->session;
	pl->peer = m->peer_id;
	pl->rx_suite = m->rx_suite;
	pl->tx_suite = m->tx_suite;
	pl->codec = m->codec;
	pl->clock_hz = m->clock_hz != 0 ? m->clock_hz : 8000;
	pl->ptime_ms = m->ptime_ms;
	if (dp_leg_apply(w->legs, m, cmd->leg, w->now_s, w->now_cyc))
		cmd->leg = NULL;
	dp_srtp_keys_ssrcs(dp_leg_find(w->legs, m->leg_id)->rx.key, m->ssrc_max);
	dp_srtp_keys_ssrcs(dp_leg_find(w->legs, m->leg_id)->tx.key, m->ssrc_max);
}

static void leg_del(struct dp_worker *w, struct dp_cmd *cmd)
{
	cmd->leg = dp_leg_remove(w->legs, cmd->id);
	if (cmd->leg == NULL)
		return;
	cmd->music = dp_music_remove(w, cmd->leg);
	cmd->key[0] = dp_srtp_keys_clear(&cmd->leg->rx.key);
	cmd->key[1] = dp_srtp_keys_clear(&cmd->leg->tx.key);
	w->page_leg[cmd->id].state = DP_PAGE_LEG_FREE; /* its counters stay to be read until the next one comes */
}

static void sa_set(struct dp_worker *w, struct dp_cmd *cmd)
{
	struct dp_sa *old = dp_sad_find(w->sad, cmd->sa->sa_id);

	dp_ipout_flush(w); /* what waits for 'old' is encrypted with its key while that is there */
	if (old != NULL)
		(void)dp_sa_inherit(cmd->sa, old);
	(void)dp_sa_tick(cmd->sa, w->now_s); /* its life begins */
	cmd->sa = dp_sad_put(w->sad, cmd->sa);
}

/* A command that the MGCP stage refused still gets its one answer. */
static void mgcp_refused(struct dp_worker *w, uint64_t handle, uint32_t gw_id, uint8_t verb)
{
	struct dp_evt *evt = dp_worker_evt_result(w);

	if (evt == NULL)
		return;
	evt->type = DP_EVT_MGCP_DONE;
	evt->u.done = (struct dp_mgcp_done){.handle = handle, .gw_id = gw_id, .verb = verb,
					    .result = DP_MGCP_CANCELED};
	dp_worker_post(w, evt);
}

#define CMD_LEN 448 /* bytes: a message with a description and its key */

void dp_worker_cmd_ahead(struct dp_worker *w, const struct dp_cmd *cmd, unsigned int step)
{
	if (step == 0) { /* the main lcore wrote it last */
		for (size_t at = 0; at < offsetof(struct dp_cmd, u) + sizeof(cmd->u.mgcp); at += 64)
			__builtin_prefetch((const uint8_t *)cmd + at);
		return;
	}
	if (step == 1 || cmd->op != DP_OP_MGCP_CMD)
		return;
	if (step == 2)
		dp_ipout_expect(w);
	step -= 2;
	dp_sad_ahead_out(w->sad, cmd->u.mgcp.gw_id, step, CMD_LEN);
	if (step < 2)
		dp_deliver_ahead(w->deliver, cmd->u.mgcp.gw_id, step);
}

void dp_worker_cmd(struct dp_worker *w, struct dp_cmd *cmd)
{
	struct dp_sa *sa;

	switch (cmd->op) {
	case DP_OP_LEG_SET:
		leg_set(w, cmd);
		break;
	case DP_OP_LEG_KEY:
	case DP_OP_KEY_DEL:
	case DP_OP_KEY_END:
		dp_keys_cmd(w, cmd);
		break;
	case DP_OP_LEG_DEL:
		leg_del(w, cmd);
		break;
	case DP_OP_LEG_MUSIC:
		dp_music_cmd(w, cmd);
		break;
	case DP_OP_SA_SET:
		sa_set(w, cmd);
		break;
	case DP_OP_SA_GRANT:
		sa = dp_sad_find(w->sad, cmd->id);
		if (sa != NULL)
			(void)dp_sa_grant(sa, cmd->u.grant.spi, cmd->u.grant.seq_limit);
		break;
	case DP_OP_SA_DEL:
		dp_ipout_flush(w);
		cmd->sa = dp_sad_take(w->sad, cmd->id);
		break;
	case DP_OP_GW_SET:
		(void)dp_deliver_gw_set(w->deliver, &cmd->u.gw);
		break;
	case DP_OP_GW_DEL:
		(void)dp_deliver_gw_del(w->deliver, cmd->id);
		break;
	case DP_OP_MGCP_CMD:
		if (dp_deliver_cmd(w->deliver, &cmd->u.mgcp, w->now_us) < 0)
			mgcp_refused(w, cmd->u.mgcp.handle, cmd->u.mgcp.gw_id, cmd->u.mgcp.verb);
		break;
	case DP_OP_MGCP_ASK:
		if (dp_deliver_ask(w->deliver, &cmd->u.ask, w->now_us) < 0)
			mgcp_refused(w, cmd->u.ask.handle, cmd->u.ask.gw_id, cmd->u.ask.verb);
		break;
	case DP_OP_MGCP_ACK:
		(void)dp_deliver_ack(w->deliver, &cmd->u.ack, w->now_us);
		break;
	case DP_OP_FORGET:
		dp_deliver_forget_events(w->deliver);
		break;
	case DP_OP_SHARD_TAKE:
		dp_move_take(w);
		break;
	case DP_OP_SHARD_GIVE:
		dp_move_give(w);
		break;
	case DP_OP_SOLICIT:
		dp_local_solicit(w, cmd);
		break;
	default:
		break;
	}
}
