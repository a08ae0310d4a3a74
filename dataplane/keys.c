/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A leg's SRTP keys in its worker: the commands that change them, and what the crypto stages leave to be told or done
 * (srtp/list.h).
 */
#include "srtp/list.h"
#include "worker.h"

static struct dp_srtp_key **list_of(struct dp_leg *leg, uint8_t dir)
{
	return dir == DP_DIR_RECV ? &leg->rx.key : &leg->tx.key;
}

static void key_set(struct dp_worker *w, struct dp_leg *leg, struct dp_cmd *cmd)
{
	struct dp_page_leg *pl = &w->page_leg[cmd->id];
	struct dp_srtp_key **list = list_of(leg, cmd->dir), *before = *list, *mine = cmd->key[0];
	bool fresh;

	mine->pool = w->node->streams[w->id]; /* the shard may have moved since it was made */
	cmd->key[0] = dp_srtp_keys_set(list, mine, cmd->u.key.flags, cmd->u.key.overlap_ms, cmd->u.key.now_ms, &fresh);
	if (*list != before)
		*(cmd->dir == DP_DIR_SEND ? &pl->tx_key_s : &pl->rx_key_s) = w->now_s > 0 ? w->now_s : 1;
	if (fresh && cmd->dir == DP_DIR_SEND) {
		/* What was reserved was reserved under the keys before; else indices go on, and what is reserved stays. */
		leg->tx.reserved = mine->index_floor;
		pl->tx_reserved = mine->index_floor;
		pl->tx_rtcp_reserved = mine->rtcp_next > 0 ? mine->rtcp_next - 1 : 0;
	}
}

void dp_keys_cmd(struct dp_worker *w, struct dp_cmd *cmd)
{
	struct dp_leg *leg = dp_leg_find(w->legs, cmd->id);

	if (leg == NULL) /* deleted in the meantime: a new key goes back */
		return;
	switch (cmd->op) {
	case DP_OP_LEG_KEY:
		key_set(w, leg, cmd);
		break;
	case DP_OP_KEY_DEL:
		cmd->key[0] = dp_srtp_keys_del(list_of(leg, cmd->dir), cmd->u.key_del.mki, cmd->u.key_del.mki_len);
		break;
	default:
		cmd->key[0] = dp_srtp_keys_expire(&leg->rx.key, cmd->u.key.now_ms);
	}
}

void dp_keys_serve(struct dp_worker *w, struct dp_leg *leg, uint8_t dir)
{
	struct dp_srtp_event ev[DP_SRTP_EVENTS];
	struct dp_page_leg *pl = &w->page_leg[leg->tx.leg_id];
	struct dp_srtp_key **list = list_of(leg, dir), *before = *list;
	unsigned int n = dp_srtp_keys_service(list, w->now_s, ev);

	if (*list != before)
		*(dir == DP_DIR_SEND ? &pl->tx_key_s : &pl->rx_key_s) = w->now_s > 0 ? w->now_s : 1;
	for (unsigned int i = 0; i < n; i++) {
		struct dp_evt *evt = dp_worker_evt(w);

		if (evt == NULL) /* counted */
			return;
		evt->type = DP_EVT_LEG;
		evt->u.leg = (struct dp_leg_event){.leg_id = leg->tx.leg_id, .kind = ev[i].kind, .dir = dir,
						   .rtcp = ev[i].rtcp, .session = pl->session, .index = ev[i].index,
						   .ssrc = ev[i].ssrc};
		dp_worker_post(w, evt);
	}
}
