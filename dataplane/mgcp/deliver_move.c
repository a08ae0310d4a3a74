/* SPDX-License-Identifier: BSD-3-Clause */
/* A gateway and its transactions going over to another instance. */
#include "deliverint.h"

#include <errno.h>
#include <string.h>

static void piece_out(struct dp_deliver *d, uint32_t slot, struct dp_deliver_piece *p)
{
	p->cmd = d->cmd[slot];
	explicit_bzero(&d->cmd[slot], sizeof(d->cmd[slot]));
}

/* What is not in its dp_gw_set. */
static void state_out(const struct deliver_gw *gw, struct dp_deliver_piece *p)
{
	p->heard = gw->heard;
	p->form_known = gw->form_known;
	p->silent = gw->silent;
	p->heard_us = gw->heard_us;
}

static void state_in(struct deliver_gw *gw, const struct dp_deliver_piece *p)
{
	gw->heard = p->heard;
	gw->form_known = p->form_known;
	gw->untold = p->heard; /* once too often rather than never */
	gw->silent = p->silent;
	gw->heard_us = p->heard_us;
}

bool dp_deliver_give(struct dp_deliver *d, uint8_t shard, uint32_t *at, uint32_t look, struct dp_deliver_piece *ret)
{
	uint32_t slot;

	for (; *at < d->max_gw && look > 0; ++*at, look--) {
		struct deliver_gw *gw = &d->gw[*at];

		if (d->slot_of[gw->set.gw_id] != *at || gw->set.shard != shard)
			continue;
		ret->gw_id = gw->set.gw_id;
		if (!gw->going) {
			if (d->piggy_gw == *at)
				dp_deliver_flush(d);
			gw->going = true;
			state_out(gw, ret);
			ret->kind = DP_DELIVER_GW;
			ret->gw = gw->set;
			dp_txn_peer_get(d->txn, *at, &ret->peer);
			return true;
		}
		if (dp_txn_give(d->txn, *at, &ret->rec, &slot)) {
			ret->kind = DP_DELIVER_TXN;
			if (ret->rec.kind != DP_TXN_REC_IN)
				piece_out(d, slot, ret);
			return true;
		}
		ret->kind = DP_DELIVER_END;
		(void)dp_deliver_gw_del(d, gw->set.gw_id);
		return true;
	}
	ret->kind = DP_DELIVER_NONE;
	return *at < d->max_gw;
}

/* No room for a command that goes on: it gets its result now. */
static void cancel(struct dp_deliver *d, const union dp_deliver_cmd *cmd)
{
	struct dp_mgcp_done done = {
		.hdr = {.type = DP_MSG_MGCP_DONE, .len = sizeof(done)},
		.handle = cmd->cmd.handle,
		.gw_id = cmd->cmd.gw_id,
		.verb = cmd->cmd.verb,
		.result = DP_MGCP_CANCELED,
	};

	d->ops.done(d->ctx, &done);
}

void dp_deliver_accept(struct dp_deliver *d, struct dp_deliver_piece *p, uint64_t now_us)
{
	uint32_t peer = gw_find(d, p->gw_id), slot;
	bool out = p->kind == DP_DELIVER_TXN && p->rec.kind != DP_TXN_REC_IN;

	d->now_us = now_us;
	switch (p->kind) {
	case DP_DELIVER_GW:
		if (dp_deliver_gw_set(d, &p->gw) < 0)
			break;
		peer = gw_find(d, p->gw_id);
		d->gw[peer].going = true;
		state_in(&d->gw[peer], p);
		dp_txn_peer_set(d->txn, peer, &p->peer);
		break;
	case DP_DELIVER_TXN:
		if (out)
			p->rec.order = dp_deliver_order(d, p->cmd.cmd.verb, cmd_endpoint(&p->cmd));
		if (peer == NONE || dp_txn_accept(d->txn, peer, &p->rec, &slot) < 0) {
			if (out)
				cancel(d, &p->cmd);
			else
				d->stats.event_full++;
		} else if (out) {
			d->cmd[slot] = p->cmd;
		}
		break;
	case DP_DELIVER_END:
		if (peer == NONE)
			break;
		d->gw[peer].going = false;
		dp_txn_kick(d->txn, peer, now_us);
		break;
	case DP_DELIVER_NONE:
		break;
	}
	if (out)
		explicit_bzero(&p->cmd, sizeof(p->cmd));
}
