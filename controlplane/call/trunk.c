/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A call's gateway side. CRCX with our description and key reserves the connection (recvonly), RQNT rings and
 * waits for the answer, MDCX opens it, DLCX ends it. The gateway's key comes in its answer (RFC 4568: each
 * side's line carries the key it encrypts with). An answer without crypto to an offer with it means RTP.
 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "callint.h"

static void command(const struct cp_call *call, const struct party *p, uint8_t verb, struct dp_mgcp_cmd *cmd)
{
	memset(cmd, 0, sizeof(*cmd));
	cmd->verb = verb;
	snprintf(cmd->endpoint, sizeof(cmd->endpoint), "%s", p->endpoint);
	if (verb == DP_MGCP_RQNT)
		return; /* is about the endpoint, not about a connection */
	snprintf(cmd->call_id, sizeof(cmd->call_id), "%08X", call->ref);
	if (verb != DP_MGCP_CRCX)
		snprintf(cmd->conn_id, sizeof(cmd->conn_id), "%s", p->conn_id);
}

static void describe(const struct cp_call *call, const struct party *p, struct dp_mgcp_media *m)
{
	struct cfg_addr local;

	cp_ports_addr(call->calls->ports, p->leg_id, &local);
	cp_to_dp_addr(&m->addr, &local);
	m->pt = p->codec == CP_SCCP_G711A ? 8 : 0;
	m->ptime_ms = call->calls->env.cfg->media.ptime_ms;
	if (p->suite != DP_SRTP_NONE) {
		m->suite = p->suite;
		m->tag = 1;
		memcpy(m->key, p->tx->key, cp_suite_key_len(p->suite));
		memcpy(m->salt, p->tx->salt, cp_suite_salt_len(p->suite));
	}
}

static int send_cmd(struct cp_call *call, struct party *p, struct dp_mgcp_cmd *cmd, enum gw_op op);

/* Without 'conn_id': every connection of the call on that endpoint (RFC 3435 s2.3.9). */
static void orphan_dlcx(struct cp_gw *gw, const struct cp_gw_tag *tag, const char *conn_id)
{
	struct dp_mgcp_cmd cmd = {.verb = DP_MGCP_DLCX};

	snprintf(cmd.endpoint, sizeof(cmd.endpoint), "%s", tag->endpoint);
	snprintf(cmd.call_id, sizeof(cmd.call_id), "%08X", tag->callref);
	snprintf(cmd.conn_id, sizeof(cmd.conn_id), "%s", conn_id);
	cp_gw_cmd(gw, &cmd, tag, NULL, NULL);
}

/* What the gateway described becomes the party's: its address, and its key if both sides want SRTP. */
static int take_answer(struct cp_call *call, struct party *p, const struct dp_mgcp_done *done)
{
	struct cp_calls *calls = call->calls;

	struct party *other = &call->p[1 - party_side(call, p)];
	uint32_t codec = done->media.pt == 8 ? CP_SCCP_G711A : CP_SCCP_G711U;

	if (done->media.addr.family == 0 || done->media.addr.port == 0 || (done->media.pt != 0 && done->media.pt != 8))
		return -1;
	/* Nothing is transcoded: the other side speaks what this one chose, or there is no call. */
	if (other->codec != codec) {
		if (party_phone(other) == NULL || !cp_phone_has_codec(party_phone(other), codec))
			return -1;
		other->codec = codec;
	}
	p->codec = codec;
	cp_from_dp_addr(&p->remote, &done->media.addr);
	if (p->suite == DP_SRTP_NONE)
		return done->media.suite == DP_SRTP_NONE ? 0 : -1;
	if (done->media.suite == DP_SRTP_NONE) {
		cfg_log(CFG_LOG_NOTICE, "gateway-declined-srtp", "gateway=%s call=%u", p->name, call->ref);
		if (calls->env.cfg->media.fallback == CFG_FALLBACK_REFUSE)
			return -1;
		call->secure = false;
		p->suite = DP_SRTP_NONE;
		cp_keys_put(calls->keys, p->tx);
		p->tx = NULL;
		return 0;
	}
	if (done->media.suite != p->suite)
		return -1;
	cp_keys_put(calls->keys, p->rx);
	p->rx = cp_keys_take(calls->keys, p->suite, done->media.key, done->media.salt);
	return p->rx != NULL ? 0 : -1;
}

static void on_done(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done)
{
	struct cp_calls *calls = ctx;
	struct cp_call *call = call_find(calls, tag->callref);
	bool ok = done->result == DP_MGCP_ANSWERED && done->code >= 200 && done->code < 300;
	struct party *p;

	bool gone = call == NULL || call->p[tag->side].kind != PARTY_GATEWAY;
	/* No answer, or one without a name for the connection: there may be one. */
	bool unsure = ok ? done->conn_id[0] == '\0' : done->result == DP_MGCP_TIMEOUT ||
							done->result == DP_MGCP_CANCELED ||
							done->result == DP_MGCP_BAD_ANSWER;

	if (tag->op == GW_OP_CRCX && (unsure || (ok && gone)))
		orphan_dlcx(gw, tag, done->conn_id);
	if (gone)
		return;
	p = &call->p[tag->side];
	if (!ok)
		cfg_log(CFG_LOG_WARN, "mgcp-refused", "gateway=%s call=%u verb=%u result=%u code=%u comment=%s", p->name,
			call->ref, done->verb, done->result, done->code, cfg_q(done->comment));
	switch (tag->op) {
	case GW_OP_CRCX:
		if (call->state != CALL_ROUTING)
			break;
		snprintf(p->conn_id, sizeof(p->conn_id), "%s", ok ? done->conn_id : "");
		if (done->result == DP_MGCP_NO_SA) {
			/* Keys were held back. Without them the call may go on only as policy says. */
			if (p->suite != DP_SRTP_NONE && calls->env.cfg->media.fallback == CFG_FALLBACK_RTP) {
				call->secure = false;
				p->suite = DP_SRTP_NONE;
				cp_keys_put(calls->keys, p->tx);
				p->tx = NULL;
				if (trunk_open(call) == 0)
					break;
			}
			call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No secure path");
			break;
		}
		if (!ok || p->conn_id[0] == '\0' || take_answer(call, p, done) < 0) {
			call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER,
				  done->code == 401 || done->code == 403 ? "Busy" : "Gateway refused");
			break;
		}
		trunk_ring(call);
		break;
	case GW_OP_RQNT:
		if (call->state == CALL_ROUTING || call->state == CALL_ALERTING) {
			if (!ok) {
				call_fail(call, done->code == 401 ? CP_SCCP_BUSY : CP_SCCP_CONGESTION,
					  done->code == 401 ? CP_SCCP_TONE_BUSY : CP_SCCP_TONE_REORDER,
					  done->code == 401 ? "Busy" : "Gateway refused");
			} else if (call->state == CALL_ROUTING) {
				call->state = CALL_ALERTING;
				ui_ringout(call);
				call_timer(call, calls->env.cfg->mgcp.answer_s * 1000u);
			}
		}
		break;
	case GW_OP_MDCX:
		if (!ok) {
			call_end(call, "gateway refused to open the connection");
			break;
		}
		p->ready = true;
		call_media_ready(call);
		break;
	default:
		break;
	}
}

static int send_cmd(struct cp_call *call, struct party *p, struct dp_mgcp_cmd *cmd, enum gw_op op)
{
	struct cp_gw *gw = cp_gws_find(call->calls->gws, p->name);
	struct cp_gw_tag tag = {.callref = call->ref, .side = (uint8_t)party_side(call, p), .op = (uint8_t)op};
	int rc = gw != NULL ? cp_gw_cmd(gw, cmd, &tag, on_done, call->calls) : -1;

	OPENSSL_cleanse(cmd, sizeof(*cmd));
	return rc;
}

int trunk_open(struct cp_call *call)
{
	struct party *p = &call->p[1];
	struct dp_mgcp_cmd cmd;

	command(call, p, DP_MGCP_CRCX, &cmd);
	cmd.mode = DP_MGCP_M_RECVONLY;
	describe(call, p, &cmd.media);
	return send_cmd(call, p, &cmd, GW_OP_CRCX);
}

void trunk_ring(struct cp_call *call)
{
	struct party *p = &call->p[1];
	struct dp_mgcp_cmd cmd;

	command(call, p, DP_MGCP_RQNT, &cmd);
	snprintf(p->request_id, sizeof(p->request_id), "%08X", call->ref);
	snprintf(cmd.request_id, sizeof(cmd.request_id), "%s", p->request_id);
	snprintf(cmd.events, sizeof(cmd.events), "L/hd(N),L/hu(N)");
	snprintf(cmd.signals, sizeof(cmd.signals), "L/rg");
	if (send_cmd(call, p, &cmd, GW_OP_RQNT) < 0)
		call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Gateway not reachable");
}

void trunk_connect(struct cp_call *call)
{
	struct party *p = &call->p[1];
	struct dp_mgcp_cmd cmd;

	/* Events go on being watched; the ring ends. */
	command(call, p, DP_MGCP_RQNT, &cmd);
	snprintf(p->request_id, sizeof(p->request_id), "%08X1", call->ref);
	snprintf(cmd.request_id, sizeof(cmd.request_id), "%s", p->request_id);
	snprintf(cmd.events, sizeof(cmd.events), "L/hu(N)");
	send_cmd(call, p, &cmd, GW_OP_RQNT);

	command(call, p, DP_MGCP_MDCX, &cmd);
	cmd.mode = DP_MGCP_M_SENDRECV;
	if (send_cmd(call, p, &cmd, GW_OP_MDCX) < 0)
		call_end(call, "gateway not reachable");
	else
		p->media_on = true;
}

void trunk_close(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct dp_mgcp_cmd cmd;

	if (p->kind != PARTY_GATEWAY || p->endpoint[0] == '\0')
		return;
	if (p->request_id[0] != '\0') { /* stop ringing and watching */
		command(call, p, DP_MGCP_RQNT, &cmd);
		snprintf(cmd.request_id, sizeof(cmd.request_id), "%08X2", call->ref);
		send_cmd(call, p, &cmd, GW_OP_RQNT);
	}
	/* Taken over before it was answered: its connection is not known by name, but by the call's. */
	if (p->conn_id[0] != '\0' || (call->adopted && call->state == CALL_FAILED)) {
		command(call, p, DP_MGCP_DLCX, &cmd);
		send_cmd(call, p, &cmd, GW_OP_DLCX);
	}
	p->conn_id[0] = p->request_id[0] = '\0';
	p->media_on = false;
}

/* True if 'event' (package/event, the package L may be left out) is in a list like "L/hd,D/5". */
static bool observed_has(const char *list, const char *event)
{
	size_t len = strlen(event);

	while (*list != '\0') {
		const char *end = list + strcspn(list, ",( ");
		const char *name = memchr(list, '/', (size_t)(end - list));

		name = name != NULL ? name + 1 : list;
		if ((size_t)(end - name) == len && strncasecmp(name, event, len) == 0)
			return true;
		list += strcspn(list, ",");
		list += strspn(list, ", ");
	}
	return false;
}

/* A notification for an older request of this endpoint says nothing about this call. */
static bool asked(const struct cp_call *call, const struct party *p, const char *request_id)
{
	char ours[16];

	snprintf(ours, sizeof(ours), "%08X", call->ref);
	return p->request_id[0] != '\0' && strncasecmp(request_id, ours, 8) == 0 &&
	       (request_id[8] == '\0' || strcmp(request_id + 8, "1") == 0);
}

static void on_notified(void *ctx, struct cp_gw *gw, const char *endpoint, const char *request_id,
			const char *observed)
{
	unsigned side;
	struct cp_call *call = endpoint_call(ctx, cp_gw_name(gw), endpoint, &side);

	if (call == NULL) {
		cfg_log(CFG_LOG_INFO, "mgcp-notify-without-call", "gateway=%s endpoint=%s observed=%s", cp_gw_name(gw),
			cfg_q(endpoint), cfg_q(observed));
		return;
	}
	if (!asked(call, &call->p[side], request_id))
		return;
	if (observed_has(observed, "hu"))
		call_end(call, "gateway hung up");
	else if (observed_has(observed, "hd") && (call->state == CALL_ALERTING || call->state == CALL_ROUTING))
		call_answered(call); /* routing: the notification came before the answer to our request */
}

static void on_lost(void *ctx, struct cp_gw *gw, const char *endpoint, const char *conn_id)
{
	struct cp_calls *calls = ctx;
	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		struct cp_call *c = calls->slot[i];

		for (unsigned s = 0; c != NULL && s < 2; s++) {
			struct party *p = &c->p[s];

			if (p->kind != PARTY_GATEWAY || strcmp(p->name, cp_gw_name(gw)) != 0 ||
			    !cp_gw_endpoint_match(endpoint, p->endpoint) ||
			    (conn_id[0] != '\0' && strcasecmp(p->conn_id, conn_id) != 0))
				continue;
			p->conn_id[0] = '\0'; /* nothing left there to delete */
			call_end(c, "gateway lost the connection");
			break;
		}
	}
}

const struct cp_gw_ops cp_calls_gateway_ops = {.notified = on_notified, .lost = on_lost};
