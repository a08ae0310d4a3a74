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

static void forget(struct cp_gws *gws, uint32_t gw_id)
{
	struct dp_obj del = {.kind = DP_OBJ_GW, .id = gw_id};

	cp_dp_send(gws->dp, DP_MSG_GW_DEL, &del, NULL, NULL);
}

/* The gateway was told, and has not said "not now" (4xx), or has said that too often. */
static bool told(const struct backlog *del, const struct dp_mgcp_done *done)
{
	return done->result == DP_MGCP_BAD_ANSWER ||
	       (done->result == DP_MGCP_ANSWERED && (dp_mgcp_class(done->code) != DP_MGCP_CLASS_LATER || del->put_off >= PUT_OFF_MAX));
}

static void txn_end(struct cp_gws *gws, struct txn *t, const struct dp_mgcp_done *done)
{
	struct txn copy = *t;

	t->handle = 0;
	t->del = NULL;
	t->text = NULL;
	t->leaves = false;
	gws->txn_used--;
	if (copy.leaves) {
		gws->leaving--;
		forget(gws, copy.gw_id);
	}
	if (copy.tfn != NULL && copy.gw_id < DP_GW_MAX && gws->gw[copy.gw_id] != NULL)
		copy.tfn(copy.ctx, gws->gw[copy.gw_id], &copy.tag, done,
			 copy.text != NULL && copy.text_len == done->text_len ? copy.text : NULL);
	free(copy.text);
	if (copy.del != NULL) {
		/* Without an answer it is told again when it can be. */
		if (told(copy.del, done) || copy.gw_id >= DP_GW_MAX || gws->gw[copy.gw_id] == NULL) {
			free(copy.del);
		} else {
			copy.del->put_off = (uint8_t)(copy.del->put_off + (done->result == DP_MGCP_ANSWERED));
			keep(gws->gw[copy.gw_id], copy.del);
			if (done->result == DP_MGCP_ANSWERED)
				audit_later(gws->gw[copy.gw_id], AGAIN_S);
		}
	}
	if (copy.fn != NULL && copy.gw_id < DP_GW_MAX && gws->gw[copy.gw_id] != NULL)
		copy.fn(copy.ctx, gws->gw[copy.gw_id], &copy.tag, done);
}

static struct backlog *copy_dlcx(const struct dp_mgcp_cmd *cmd)
{
	/* One that names no call is for what was there when it was sent: audit.c sees to it. */
	struct backlog *b = cmd->verb == DP_MGCP_DLCX && cmd->call_id[0] != '\0' ? malloc(sizeof(*b)) : NULL;

	if (b != NULL)
		*b = (struct backlog){.cmd = *cmd};
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

/* 'del': takes it, what is sent is a copy of it. */
static int send_cmd(struct cp_gw *gw, const struct dp_mgcp_cmd *cmd, struct backlog *del, const struct cp_gw_tag *tag, cp_gw_fn fn, void *ctx)
{
	struct cp_gws *gws = gw->gws;
	struct dp_mgcp_cmd msg = *cmd;
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

int cp_gw_cmd(struct cp_gw *gw, const struct dp_mgcp_cmd *cmd, const struct cp_gw_tag *tag, cp_gw_fn fn, void *ctx)
{
	return send_cmd(gw, cmd, copy_dlcx(cmd), tag, fn, ctx);
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

		send_cmd(gw, &b->cmd, b, &tag, NULL, NULL);
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

void gw_leave(struct cp_gw *gw)
{
	struct dp_mgcp_cmd cmd = {.verb = DP_MGCP_DLCX, .endpoint = "*"};
	struct cp_gws *gws = gw->gws;
	bool left = gw->backlog != NULL; /* of calls that have ended: one that has some is not deleted */
	struct cp_gw_tag tag = {0};

	for (uint32_t i = 0; !left && i < TXN_MAX; i++)
		left = gws->txn[i].handle != 0 && gws->txn[i].gw_id == gw->rec.gw_id && gws->txn[i].del != NULL;
	/* All of a bridge, or of a gateway that another agent serves now, is not ours to delete. */
	if (left && (gw->rec.flags & CP_GW_CONFERENCE) == 0 && agents_other(gw)[0] == '\0' && gw_reachable(gw) &&
	    send_cmd(gw, &cmd, NULL, &tag, NULL, NULL) == 0) {
		gws->txn[(gws->txn_next - 1) % TXN_MAX].leaves = true; /* the one that was just taken */
		gws->leaving++;
	} else {
		forget(gws, gw->rec.gw_id);
	}
}

void gw_left(struct cp_gws *gws, uint32_t gw_id)
{
	for (uint32_t i = 0; gws->leaving > 0 && i < TXN_MAX; i++) {
		if (gws->txn[i].handle == 0 || gws->txn[i].gw_id != gw_id || !gws->txn[i].leaves)
			continue;
		gws->txn[i].leaves = false;
		gws->leaving--;
		forget(gws, gw_id);
	}
}
