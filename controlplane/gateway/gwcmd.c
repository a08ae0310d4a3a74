/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands to gateways with one answer each, and the deletes that must not be forgotten. */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "dpclient.h"
#include "gwint.h"
#include "log.h"

static struct txn *txn_new(struct cp_gws *gws)
{
	if (gws->txn_used == TXN_MAX)
		return NULL;
	for (;;) {
		uint32_t i = gws->txn_next++ % TXN_MAX;

		if (gws->txn[i].handle == 0) {
			gws->txn[i].handle = ++gws->generation * TXN_MAX + i;
			gws->txn_used++;
			return &gws->txn[i];
		}
	}
}

static void keep(struct cp_gw *gw, struct backlog *b)
{
	if (gw->backlog_cnt >= BACKLOG_MAX) {
		cfg_log_limited(CFG_LOG_WARN, "connection-left-open", "gateway=%s endpoint=%s call=%s connection=%s",
				gw->rec.name, cfg_q(b->cmd.endpoint), cfg_q(b->cmd.call_id), cfg_q(b->cmd.conn_id));
		free(b);
		return;
	}
	b->next = gw->backlog;
	gw->backlog = b;
	gw->backlog_cnt++;
}

static void txn_end(struct cp_gws *gws, struct txn *t, const struct dp_mgcp_done *done)
{
	struct txn copy = *t;

	t->handle = 0;
	t->del = NULL;
	t->text = NULL;
	gws->txn_used--;
	if (copy.tfn != NULL && copy.gw_id < DP_GW_MAX && gws->gw[copy.gw_id] != NULL)
		copy.tfn(copy.ctx, gws->gw[copy.gw_id], &copy.tag, done,
			 copy.text != NULL && copy.text_len == done->text_len ? copy.text : NULL);
	free(copy.text);
	if (copy.del != NULL) {
		/* Whatever the gateway said, it was told. Without an answer it is told again when it can be. */
		if (done->result == DP_MGCP_ANSWERED || done->result == DP_MGCP_BAD_ANSWER ||
		    copy.gw_id >= DP_GW_MAX || gws->gw[copy.gw_id] == NULL)
			free(copy.del);
		else
			keep(gws->gw[copy.gw_id], copy.del);
	}
	if (copy.fn != NULL && copy.gw_id < DP_GW_MAX && gws->gw[copy.gw_id] != NULL)
		copy.fn(copy.ctx, gws->gw[copy.gw_id], &copy.tag, done);
}

static struct backlog *copy_dlcx(const struct dp_mgcp_cmd *cmd)
{
	/* One that names no call is for what was there when it was sent: audit.c sees to it. */
	struct backlog *b = cmd->verb == DP_MGCP_DLCX && cmd->call_id[0] != '\0' ? malloc(sizeof(*b)) : NULL;

	if (b != NULL)
		b->cmd = *cmd;
	return b;
}

/* Only refusals matter here: an accepted command ends with its DONE. */
static void cmd_reply(void *ctx, int rc)
{
	struct txn *t = ctx;
	struct dp_mgcp_done done = {.result = rc == -EAGAIN || rc == -ENOSPC ? DP_MGCP_OVERLOAD : DP_MGCP_CANCELED};

	if (rc >= 0 || t->handle == 0)
		return;
	done.handle = t->handle;
	done.gw_id = t->gw_id;
	txn_end(t->gws, t, &done);
}

int cp_gw_cmd(struct cp_gw *gw, const struct dp_mgcp_cmd *cmd, const struct cp_gw_tag *tag, cp_gw_fn fn, void *ctx)
{
	struct cp_gws *gws = gw->gws;
	struct dp_mgcp_cmd msg = *cmd;
	struct backlog *del = copy_dlcx(cmd);
	struct txn *t;
	int rc;

	/* Without its SA a DLCX would be refused: it waits for it instead. */
	if (!gw->asserted || !cp_dp_up(gws->dp) || (del != NULL && !gw_reachable(gw))) {
		if (del != NULL)
			keep(gw, del);
		OPENSSL_cleanse(&msg, sizeof(msg));
		return -ENOTCONN;
	}
	t = txn_new(gws);
	if (t == NULL) {
		if (del != NULL)
			keep(gw, del);
		OPENSSL_cleanse(&msg, sizeof(msg));
		return -EAGAIN;
	}
	t->gws = gws;
	t->began_ms = (int64_t)cp_mono_ms();
	t->del = del;
	t->gw_id = gw->rec.gw_id;
	t->fn = fn;
	t->tfn = NULL;
	t->ctx = ctx;
	t->tag = *tag;
	memcpy(t->tag.conn_id, cmd->conn_id, sizeof(t->tag.conn_id));
	memcpy(t->tag.endpoint, cmd->endpoint, sizeof(t->tag.endpoint));
	msg.gw_id = gw->rec.gw_id;
	msg.handle = t->handle;
	gw_fit_list(gw, msg.events, false);
	gw_fit_list(gw, msg.signals, true);
	rc = cp_dp_send(gws->dp, DP_MSG_MGCP_CMD, &msg, cmd_reply, t);
	OPENSSL_cleanse(&msg, sizeof(msg));
	if (rc < 0) {
		t->handle = 0;
		t->del = NULL;
		gws->txn_used--;
		if (del != NULL)
			keep(gw, del);
		return rc;
	}
	gw->cmds++;
	return 0;
}

int cp_gw_ask(struct cp_gw *gw, const struct dp_mgcp_ask *ask, const struct cp_gw_tag *tag, cp_gw_text_fn fn, void *ctx)
{
	struct cp_gws *gws = gw->gws;
	struct dp_mgcp_ask msg = *ask;
	struct txn *t;
	int rc;

	if (!gw->asserted || !cp_dp_up(gws->dp))
		return -ENOTCONN;
	t = txn_new(gws);
	if (t == NULL)
		return -EAGAIN;
	t->gws = gws;
	t->began_ms = (int64_t)cp_mono_ms();
	t->gw_id = gw->rec.gw_id;
	t->fn = NULL;
	t->tfn = fn;
	t->ctx = ctx;
	t->text_len = 0;
	t->tag = *tag;
	memcpy(t->tag.conn_id, ask->conn_id, sizeof(t->tag.conn_id));
	memcpy(t->tag.endpoint, ask->endpoint, sizeof(t->tag.endpoint));
	msg.gw_id = gw->rec.gw_id;
	msg.handle = t->handle;
	rc = cp_dp_send(gws->dp, DP_MSG_MGCP_ASK, &msg, cmd_reply, t);
	if (rc < 0) {
		t->handle = 0;
		gws->txn_used--;
		return rc;
	}
	gw->cmds++;
	return 0;
}

void cp_gws_mgcp_text(struct cp_gws *gws, const struct dp_mgcp_text *ev)
{
	struct txn *t = &gws->txn[ev->handle % TXN_MAX];

	if (t->handle != ev->handle || ev->handle == 0 || t->tfn == NULL || ev->off != t->text_len || t->text_len + ev->len >= TEXT_MAX)
		return; /* a piece is missing: its length will not fit the result */
	if (t->text == NULL)
		t->text = malloc(TEXT_MAX);
	if (t->text == NULL)
		return;
	memcpy(t->text + t->text_len, ev->text, ev->len);
	t->text_len += ev->len;
	t->text[t->text_len] = '\0';
}

void gw_replay_backlog(struct cp_gw *gw)
{
	struct backlog *b = gw->backlog;
	struct cp_gw_tag tag = {0};

	gw->backlog = NULL;
	gw->backlog_cnt = 0;
	while (b != NULL) {
		struct backlog *next = b->next;

		cp_gw_cmd(gw, &b->cmd, &tag, NULL, NULL);
		free(b);
		b = next;
	}
}

void gw_txns_cancel(struct cp_gws *gws)
{
	struct dp_mgcp_done done = {.result = DP_MGCP_CANCELED};

	for (uint32_t i = 0; i < TXN_MAX; i++) {
		if (gws->txn[i].handle != 0) {
			done.handle = gws->txn[i].handle;
			done.gw_id = gws->txn[i].gw_id;
			txn_end(gws, &gws->txn[i], &done);
		}
	}
}

void gw_txns_forget(struct cp_gws *gws, uint32_t gw_id)
{
	for (uint32_t i = 0; i < TXN_MAX; i++)
		if (gws->txn[i].handle != 0 && gws->txn[i].gw_id == gw_id) {
			gws->txn[i].fn = NULL;
			gws->txn[i].tfn = NULL;
		}
}

void gw_txn_done(struct cp_gws *gws, const struct dp_mgcp_done *done)
{
	struct txn *t = &gws->txn[done->handle % TXN_MAX];

	if (t->handle == done->handle && done->handle != 0)
		txn_end(gws, t, done);
}
