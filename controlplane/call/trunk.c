/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A call's gateway side. CRCX with our description and key reserves the connection (recvonly), RQNT rings and
 * waits for the answer, MDCX opens it, DLCX ends it. The gateway's key comes in its answer (RFC 4568: each
 * side's line carries the key it encrypts with). An answer without crypto to an offer with it means RTP.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "callint.h"

/* A port whose bridge has not said which endpoint it chose: on every one that it may be (RFC 3435 s2.3.9). */
static void every(struct dp_mgcp_cmd *cmd)
{
	char *any = strchr(cmd->endpoint, '$');

	if (any == NULL)
		return;
	*any = '*';
	cmd->conn_id[0] = '\0';
}

static void command(const struct party *p, uint8_t verb, struct dp_mgcp_cmd *cmd)
{
	memset(cmd, 0, sizeof(*cmd));
	cmd->verb = verb;
	snprintf(cmd->endpoint, sizeof(cmd->endpoint), "%s", p->endpoint);
	if (verb == DP_MGCP_RQNT)
		return; /* is about the endpoint, not about a connection */
	snprintf(cmd->call_id, sizeof(cmd->call_id), "%08X", p->ref);
	if (verb != DP_MGCP_CRCX)
		snprintf(cmd->conn_id, sizeof(cmd->conn_id), "%s", p->conn_id);
	if (verb == DP_MGCP_DLCX)
		every(cmd);
}

#define DISCARD_PORT 9 /* RFC 863: where nothing is sent to */

/* What the gateway is told: where it sends to, and the key that it gets media under. */
static void describe(const struct cp_call *call, const struct party *p, const struct cp_keyset *set,
		     struct dp_mgcp_media *m)
{
	const struct party *other = &call->p[1 - party_side(call, p)];
	struct cfg_addr addr = other->remote;

	if (!call->direct) {
		cp_ports_addr(call->calls->ports, p->leg_id, &addr);
	} else if (addr.family == 0) {
		addr = *cp_phone_peer(party_phone(other));
		addr.port = DISCARD_PORT;
	}
	cp_to_dp_addr(&m->addr, &addr);
	m->audio[0] = cp_codec_info(cp_codec_of_sccp(p->codec))->audio; /* a gateway's codec always has a name in SDP */
	m->pt = cp_codec_info(cp_codec_of_sccp(p->codec))->pt;
	m->ptime_ms = p->packet_ms;
	m->ilbc_ms = p->packet_ms % 30 == 0 ? 30 : 20;
	m->telephone_event = other->event_pt != 0 ? EVENT_PT : 0;
	if (p->suite == DP_SRTP_NONE)
		return;
	m->suite = p->suite;
	m->tag = p->tag;
	m->mki_len = set->mki_len;
	m->mki = set->mki;
	m->kdr = set->kdr;
	m->lifetime = set->lifetime;
	m->flags = set->rtcp_clear ? DP_MGCP_SRTP_RTCP_CLEAR : 0;
	memcpy(m->key, set->key, dp_suite(set->suite)->key_len);
	memcpy(m->salt, set->salt, dp_suite(set->suite)->salt_len);
}

static int send_cmd(struct cp_call *call, struct party *p, struct dp_mgcp_cmd *cmd, enum gw_op op);
static void reopened(struct cp_call *call, unsigned side, const struct dp_mgcp_done *done);
static void secured_still(struct cp_call *call, struct party *p);

struct reopened {
	struct cp_calls *calls;
	uint32_t ref;
	unsigned side;
};

/* At the endpoint that the gateway chose, if it has said so. Without 'conn_id': every connection of the call on it (RFC 3435 s2.3.9). */
static void orphan_dlcx(struct cp_gw *gw, const struct cp_gw_tag *tag, const char *endpoint, const char *conn_id)
{
	struct dp_mgcp_cmd cmd = {.verb = DP_MGCP_DLCX};

	snprintf(cmd.endpoint, sizeof(cmd.endpoint), "%s", endpoint[0] != '\0' ? endpoint : tag->endpoint);
	snprintf(cmd.call_id, sizeof(cmd.call_id), "%08X", tag->callref);
	snprintf(cmd.conn_id, sizeof(cmd.conn_id), "%s", conn_id);
	every(&cmd);
	cp_gw_cmd(gw, &cmd, tag, NULL, NULL);
}

int trunk_take_key(struct cp_call *call, struct party *p, const struct dp_mgcp_media *m, const struct cp_keyset *offered,
		   struct cp_keyset **ret)
{
	struct cp_keyset *set = cp_keys_take(call->calls->keys, m->suite, m->key, m->salt);
	const char *why = NULL;

	if (set == NULL)
		return -ENOSPC;
	set->mki_len = m->mki_len;
	set->mki = m->mki;
	set->kdr = m->kdr;
	set->lifetime = m->lifetime;
	set->rtcp_clear = (m->flags & DP_MGCP_SRTP_RTCP_CLEAR) != 0;
	/* RFC 4568 s5.1.2: the answer names the line that it takes. The old form has no tags. */
	if (m->tag != 0 && m->tag != p->tag)
		why = "its tag is not the offered one";
	else if (cp_keys_equal(set, offered)) /* one keystream for two streams: RFC 3711 s9.1 */
		why = "it sends our own key back";
	else if (set->rtcp_clear && !offered->rtcp_clear)
		why = "UNENCRYPTED_SRTCP was not offered";
	if (why != NULL) {
		cfg_log(CFG_LOG_WARN, "gateway-key-refused", "gateway=%s call=%u reason=%s", p->name, call->ref, cfg_q(why));
		cp_keys_put(call->calls->keys, set);
		return -EACCES;
	}
	*ret = set;
	return 0;
}

/*
 * What the gateway described becomes the party's: its address, and its key if both sides want SRTP. -EPROTO: it wants
 * of the key what a phone cannot do, and media was to go directly; others: of no use.
 */
static int take_answer(struct cp_call *call, struct party *p, const struct dp_mgcp_done *done)
{
	struct cp_calls *calls = call->calls;
	struct party *other = &call->p[1 - party_side(call, p)];

	if (done->media.addr.family == 0 || done->media.addr.port == 0 || policy_answer(call, p, &done->media) < 0)
		return -EINVAL;
	p->ptime_ms = done->media.ptime_ms;
	p->event_pt = other->event_pt != 0 ? done->media.telephone_event : 0;
	cp_from_dp_addr(&p->remote, &done->media.addr);
	if (p->suite == DP_SRTP_NONE)
		return done->media.suite == DP_SRTP_NONE ? 0 : -EINVAL;
	if (done->media.suite == DP_SRTP_NONE) {
		cfg_log(CFG_LOG_NOTICE, "gateway-declined-srtp", "gateway=%s call=%u", p->name, call->ref);
		if (calls->env.cfg->media.fallback == CFG_FALLBACK_REFUSE)
			return -EACCES;
		call->secure = false;
		p->suite = DP_SRTP_NONE;
		cp_keys_put(calls->keys, p->tx);
		p->tx = NULL;
		return 0;
	}
	if (done->media.suite != p->suite)
		return -EINVAL;
	if (call->direct && (done->media.mki_len != 0 || done->media.kdr != 0 || done->media.flags != 0))
		return -EPROTO;
	cp_keys_put(calls->keys, p->rx);
	p->rx = NULL;
	if (trunk_take_key(call, p, &done->media, p->tx, &p->rx) < 0)
		return -EACCES;
	if (!p->rx->rtcp_clear) /* negotiated: both ways or none */
		p->tx->rtcp_clear = false;
	return 0;
}

int trunk_offer(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct cp_gw *gw = cp_gws_find(call->calls->gws, p->name);

	if (gw == NULL)
		return -ENOTCONN;
	if (!call->secure) {
		p->suite = DP_SRTP_NONE;
	} else {
		if (!call->direct)
			p->suite = policy_suite(call, cp_gw_rec(gw), p->offer);
		else if (p->offer > 0)
			return -ENOENT;
		if (p->suite == DP_SRTP_NONE)
			return -ENOENT;
		p->tag = ++p->offer;
		cp_keys_put(call->calls->keys, p->tx);
		p->tx = policy_draw(call, p, p->suite);
		if (p->tx == NULL)
			return -ENOSPC;
	}
	return trunk_open(call, side);
}

/* The description was refused, or cannot be used: the next suite; directly there is one, then through us. */
static int offer_again(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];

	if (!call->secure)
		return -ENOENT;
	p->conn_id[0] = '\0';
	if (call->direct) {
		call->direct = false;
		p->offer = 0;
		if (legs_take(call) < 0)
			return -ENOSPC;
	}
	return trunk_offer(call, side);
}

/* RFC 3435 s2.4: what says that another description might do. */
static bool description_refused(const struct dp_mgcp_done *done)
{
	return done->result == DP_MGCP_ANSWERED && (done->code == 505 || done->code == 509 || done->code == 534);
}

static void on_done(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done)
{
	struct cp_calls *calls = ctx;
	struct cp_call *call = call_find(calls, tag->callref);
	bool ok = done->result == DP_MGCP_ANSWERED && done->code >= 200 && done->code < 300;
	struct party *p;
	int rc;

	bool gone = call == NULL || call->p[tag->side].kind != PARTY_GATEWAY;
	/* No answer, or one without a name for the connection: there may be one. So where the SA was gone for a repeat. */
	bool unsure = ok ? done->conn_id[0] == '\0' : done->result == DP_MGCP_TIMEOUT ||
							done->result == DP_MGCP_CANCELED ||
							done->result == DP_MGCP_BAD_ANSWER ||
							(done->result == DP_MGCP_NO_SA && done->tries > 1);

	if (tag->op == GW_OP_CRCX && (unsure || (ok && gone)))
		orphan_dlcx(gw, tag, done->endpoint, done->conn_id);
	if (gone)
		return;
	p = &call->p[tag->side];
	if (tag->op == GW_OP_AUCX) {
		if (done->result == DP_MGCP_ANSWERED && (done->code == 500 || done->code == 515) && strcmp(p->conn_id, tag->conn_id) == 0) {
			p->conn_id[0] = '\0';
			call_end(call_cause(call, CP_Q850_NETWORK), "gateway has the connection no more");
		}
		return;
	}
	if (!ok)
		cfg_log(CFG_LOG_WARN, "mgcp-refused", "gateway=%s call=%u verb=%u result=%u code=%u comment=%s", p->name,
			call->ref, done->verb, done->result, done->code, cfg_q(done->comment));
	if (ok)
		p->put_off = 0;
	else if (again_later(call, tag->side, tag->op, done))
		return;
	if (done->result == DP_MGCP_NO_SA && (tag->op == GW_OP_MDCX || tag->op == GW_OP_REOPEN || tag->op == GW_OP_REKEY))
		call->no_sa = true;
	switch (tag->op) {
	case GW_OP_CRCX:
		if (tag->side == 0 ? !call->reserving : call->state != CALL_ROUTING)
			break;
		snprintf(p->conn_id, sizeof(p->conn_id), "%s", ok ? done->conn_id : "");
		if (done->result == DP_MGCP_NO_SA) {
			cfg_log(CFG_LOG_WARN, "keys-held-back", "gateway=%s call=%u reason=no-sa", p->name, call->ref);
			if (tag->side == 1 && route_farm_next(call)) /* one that has an SA; not for the caller's own port */
				break;
			call->no_sa = true;
			/* Keys were held back. Without them the call may go on only as policy says. */
			if (p->suite != DP_SRTP_NONE && calls->env.cfg->media.fallback == CFG_FALLBACK_RTP) {
				call->secure = false;
				cp_keys_put(calls->keys, p->tx);
				p->tx = NULL;
				p->signal_auth = p->signal_enc = false; /* from here on its signalling is in clear, too */
				call_show(call);
				if (trunk_offer(call, tag->side) == 0)
					break;
			}
			call_fail(call_cause(call, CP_Q850_NO_BEARER), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No secure path");
			break;
		}
		if (description_refused(done) && offer_again(call, tag->side) == 0)
			break;
		rc = ok && p->conn_id[0] != '\0' ? take_answer(call, p, done) : -EINVAL;
		if (rc == -EPROTO) {
			orphan_dlcx(gw, tag, done->endpoint, p->conn_id);
			if (offer_again(call, tag->side) == 0)
				break;
		}
		if (rc < 0) {
			call->farm_stop = ok || !cp_gw_elsewhere(done); /* what it said cannot be used: nor could another's */
			call_fail(call_cause(call, done->code == 401 || done->code == 403 ? CP_Q850_BUSY : CP_Q850_REJECTED), CP_SCCP_CONGESTION,
				  CP_SCCP_TONE_REORDER,
				  p->conf != NULL			 ? "No conference bridge" :
				  done->code == 401 || done->code == 403 ? "Busy" :
									   "Gateway refused");
			break;
		}
		if (p->conf != NULL) {
			conf_answered(call, tag->side, done->endpoint);
		} else if (tag->side == 0) {
			call->reserving = false;
			call_answered(call);
		} else
			trunk_ring(call);
		break;
	case GW_OP_ASK:
		if (done->result == DP_MGCP_ANSWERED && done->code == 402) /* on hook meanwhile */
			call_end(call_by(p), "gateway hung up");
		else if (!ok && inbound_plainly(call, done))
			break;
		else if (!ok && call->state == CALL_DIALING)
			call_end(call_cause(call, CP_Q850_NETWORK), "gateway refused to watch who calls");
		break;
	case GW_OP_RQNT:
		if (call->state == CALL_ROUTING || call->state == CALL_ALERTING) {
			if (!ok) {
				call_fail(call_cause(call, done->code == 401 ? CP_Q850_BUSY : CP_Q850_REJECTED), done->code == 401 ? CP_SCCP_BUSY : CP_SCCP_CONGESTION,
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
			call_end(call_cause(call, CP_Q850_NETWORK), "gateway refused to open the connection");
			break;
		}
		/* The phone has its key already: one that is new now was of no use to anybody. */
		if (call->direct && p->rx != NULL && done->media.suite != DP_SRTP_NONE &&
		    CRYPTO_memcmp(p->rx->key, done->media.key, sizeof(p->rx->key)) != 0) {
			call_end(call_cause(call, CP_Q850_TEMPORARY), "gateway changed its key");
			break;
		}
		p->ready = true;
		call_media_ready(call);
		break;
	case GW_OP_REOPEN:
		if (!ok)
			call_end(call_cause(call, CP_Q850_NETWORK), "gateway refused another leg");
		else
			reopened(call, tag->side, done);
		break;
	case GW_OP_REKEY:
		rekey_answered(call, tag->side, done, ok);
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

int trunk_open(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct dp_mgcp_cmd cmd;

	command(p, DP_MGCP_CRCX, &cmd);
	cmd.mode = DP_MGCP_M_RECVONLY;
	describe(call, p, p->tx, &cmd.media);
	policy_offer(call, p, &cmd.media);
	return send_cmd(call, p, &cmd, GW_OP_CRCX);
}

int trunk_rekey(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct dp_mgcp_cmd cmd;

	secured_still(call, p);
	p->tag = (uint8_t)(p->tag % 255 + 1); /* a new line: not the one that is in force */
	command(p, DP_MGCP_MDCX, &cmd);
	describe(call, p, p->next_tx, &cmd.media);
	return send_cmd(call, p, &cmd, GW_OP_REKEY);
}

void trunk_ring(struct cp_call *call)
{
	struct party *p = &call->p[1];
	struct dp_mgcp_cmd cmd;

	command(p, DP_MGCP_RQNT, &cmd);
	snprintf(p->request_id, sizeof(p->request_id), "%08X", p->ref);
	snprintf(cmd.request_id, sizeof(cmd.request_id), "%s", p->request_id);
	snprintf(cmd.events, sizeof(cmd.events), "L/hd(N),L/hu(N)");
	snprintf(cmd.signals, sizeof(cmd.signals), "L/rg");
	if (send_cmd(call, p, &cmd, GW_OP_RQNT) < 0)
		call_fail(call_cause(call, CP_Q850_NETWORK), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Gateway not reachable");
}

void trunk_request(struct party *p, const char *events, const char *signals)
{
	struct dp_mgcp_cmd cmd;

	command(p, DP_MGCP_RQNT, &cmd);
	snprintf(cmd.request_id, sizeof(cmd.request_id), "%s", p->request_id);
	snprintf(cmd.events, sizeof(cmd.events), "%s", events);
	snprintf(cmd.signals, sizeof(cmd.signals), "%s", signals);
	if (events != p->watched) {
		snprintf(p->watched, sizeof(p->watched), "%s", events);
		snprintf(p->heard, sizeof(p->heard), "%s", signals);
	}
	send_cmd(p->call, p, &cmd, GW_OP_ASK);
}

void trunk_request_again(struct party *p)
{
	trunk_request(p, p->watched, p->heard);
}

static void on_asked(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done, const char *text)
{
	(void)text;
	on_done(ctx, gw, tag, done);
}

void trunk_request_with(struct party *p, const char *params)
{
	struct cp_gw *gw = cp_gws_find(p->call->calls->gws, p->name);
	struct cp_gw_tag tag = {.callref = p->call->ref, .side = (uint8_t)party_side(p->call, p), .op = GW_OP_ASK};
	struct dp_mgcp_ask ask = {.verb = DP_MGCP_RQNT};

	snprintf(ask.endpoint, sizeof(ask.endpoint), "%s", p->endpoint);
	snprintf(ask.request_id, sizeof(ask.request_id), "%s", p->request_id);
	snprintf(ask.params, sizeof(ask.params), "%s", params);
	if (gw != NULL)
		cp_gw_ask(gw, &ask, &tag, on_asked, p->call->calls);
}

/* A bridge mixes what comes in on connections of this mode to all the others of its endpoint (RFC 3435 s3.2.2.6). */
static uint8_t open_mode(const struct party *p)
{
	return p->conf != NULL ? DP_MGCP_M_CONFRNCE : DP_MGCP_M_SENDRECV;
}

void trunk_connect_again(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct dp_mgcp_cmd cmd;

	secured_still(call, p);
	command(p, DP_MGCP_MDCX, &cmd);
	cmd.mode = open_mode(p);
	if (call->direct) /* the phone has said where it receives */
		describe(call, p, p->tx, &cmd.media);
	if (send_cmd(call, p, &cmd, GW_OP_MDCX) < 0)
		call_end(call_cause(call, CP_Q850_NETWORK), "gateway not reachable");
	else
		p->media_on = true;
}

void trunk_connect(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];

	if (p->conf == NULL) { /* Events go on being watched; the ring ends. A bridge has neither. */
		snprintf(p->request_id, sizeof(p->request_id), "%08X1", p->ref);
		trunk_request(p, p->inbound ? inbound_events(p) : "L/hu(N)", p->inbound ? inbound_takes(p) : "");
	}
	trunk_connect_again(call, side);
}

/* Its SA may have gone since the call was made, and what is sent now goes as it is now. */
static void secured_still(struct cp_call *call, struct party *p)
{
	struct cp_gw *gw = cp_gws_find(call->calls->gws, p->name);

	if ((gw != NULL && cp_gw_secured(gw)) || !p->signal_auth)
		return;
	p->signal_auth = p->signal_enc = false;
	call_show(call);
}

void trunk_reopen(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct dp_mgcp_cmd cmd;

	secured_still(call, p);
	p->tag = (uint8_t)(p->tag % 255 + 1);
	command(p, DP_MGCP_MDCX, &cmd);
	cmd.mode = open_mode(p);
	describe(call, p, p->tx, &cmd.media);
	if (send_cmd(call, p, &cmd, GW_OP_REOPEN) < 0)
		call_end(call_cause(call, CP_Q850_NETWORK), "gateway not reachable");
	else
		p->media_on = true;
}

/* With the dataplane's word that it has the key that the gateway sends with. */
static void on_reopened(void *ctx, int rc)
{
	struct reopened r = *(struct reopened *)ctx;
	struct cp_call *call = call_find(r.calls, r.ref);

	free(ctx);
	if (call == NULL || !call->p[r.side].reopen)
		return;
	if (rc < 0) {
		call_end(call_cause(call, CP_Q850_TEMPORARY), "dataplane refused a key");
		return;
	}
	call->p[r.side].reopen = false;
	call->p[r.side].ready = true;
	call_media_ready(call);
}

/* It was told one codec: an answer with another one is none. The number may be its own. */
static bool spoken(struct party *p, const struct dp_mgcp_media *m)
{
	if (cp_codec_of_audio(m->audio[0]) != cp_codec_of_sccp(p->codec))
		return false;
	p->audio_pt = m->pt;
	return true;
}

/* What it says now counts: where it receives, and under which key it sends. */
static void reopened(struct cp_call *call, unsigned side, const struct dp_mgcp_done *done)
{
	struct party *p = &call->p[side];
	struct cp_keyset *theirs = NULL;
	struct reopened *r;

	if (!p->reopen || call->state != CALL_CONNECTING)
		return;
	if (done->media.addr.family == 0 || done->media.addr.port == 0 || done->media.suite != p->suite || !spoken(p, &done->media) ||
	    (p->suite != DP_SRTP_NONE && trunk_take_key(call, p, &done->media, p->tx, &theirs) < 0)) {
		call_end(call_cause(call, CP_Q850_TEMPORARY), "the gateway's answer to another leg cannot be used");
		return;
	}
	cp_from_dp_addr(&p->remote, &done->media.addr);
	if (theirs != NULL && !theirs->rtcp_clear) /* negotiated: both ways or none */
		p->tx->rtcp_clear = false;
	cp_keys_put(call->calls->keys, p->rx);
	p->rx = theirs;
	r = malloc(sizeof(*r));
	if (r != NULL)
		*r = (struct reopened){call->calls, call->ref, side};
	if (r == NULL || legs_assert(call, side, false) < 0) {
		free(r);
		call_end(call_cause(call, CP_Q850_TEMPORARY), "dataplane not reachable");
		return;
	}
	if (theirs == NULL)
		on_reopened(r, 0);
	else if (legs_key(call, side, DP_DIR_RECV, 0, 0, on_reopened, r) < 0)
		on_reopened(r, -EIO);
}

void trunk_close(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	struct dp_mgcp_cmd cmd;

	if (p->kind != PARTY_GATEWAY || p->endpoint[0] == '\0')
		return;
	if (p->request_id[0] != '\0') { /* stop ringing and watching */
		command(p, DP_MGCP_RQNT, &cmd);
		snprintf(cmd.request_id, sizeof(cmd.request_id), "%08X2", p->ref);
		if (p->inbound && call->media_started)
			snprintf(cmd.signals, sizeof(cmd.signals), "%s", inbound_leaves(p));
		send_cmd(call, p, &cmd, GW_OP_DLCX); /* its answer says nothing about who is called next */
	}
	/* Taken over before it was answered: its connection is not known by name, but by the call's. */
	if (p->conn_id[0] != '\0' || (call->adopted && call->state == CALL_FAILED)) {
		command(p, DP_MGCP_DLCX, &cmd);
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
static bool asked(const struct party *p, const char *request_id)
{
	char ours[16];

	snprintf(ours, sizeof(ours), "%08X", p->ref);
	return p->request_id[0] != '\0' && strncasecmp(request_id, ours, 8) == 0 &&
	       (request_id[8] == '\0' || strcmp(request_id + 8, "1") == 0);
}

static void on_notified(void *ctx, struct cp_gw *gw, const char *endpoint, const char *request_id,
			const char *observed)
{
	unsigned side;
	struct cp_call *call = endpoint_call(ctx, cp_gw_name(gw), endpoint, &side);

	if (call == NULL) {
		inbound_begins(ctx, gw, endpoint, request_id, observed);
		return;
	}
	if (!asked(&call->p[side], request_id))
		return;
	if (call->p[side].inbound)
		inbound_notified(&call->p[side], observed);
	else if (observed_has(observed, "hu"))
		call_end(call_by(&call->p[side]), "gateway hung up");
	else if (observed_has(observed, "hd") && side == 1 && (call->state == CALL_ALERTING || call->state == CALL_ROUTING))
		call_answered(call); /* routing: the notification came before the answer to our request */
}

static void lose(struct party *p)
{
	p->conn_id[0] = '\0'; /* nothing left there to delete */
	call_end(call_cause(p->call, CP_Q850_NETWORK), "gateway lost the connection");
}

static void lose_at(struct cp_calls *calls, struct cp_gw *gw, const char *endpoint, const char *conn_id)
{
	struct party *p;

	while ((p = endpoint_party(calls, cp_gw_name(gw), endpoint, conn_id)) != NULL)
		lose(p);
}

/* Wherever its calls are: a bridge may not have said yet at which endpoint; a record may have endpoints of calls no more. */
static void lose_anywhere(struct cp_calls *calls, struct cp_gw *gw, const char *endpoint, const char *conn_id)
{
	for (uint32_t i = 0; cp_gw_calls(gw) > 0 && i < CALL_SLOTS; i++) {
		struct cp_call *c = calls->slot[i];

		for (unsigned s = 0; c != NULL && s < 2; s++) {
			struct party *p = &c->p[s];

			if (p->kind != PARTY_GATEWAY || strcmp(p->name, cp_gw_name(gw)) != 0 ||
			    !cp_gw_endpoint_match(endpoint, p->endpoint) ||
			    (conn_id[0] != '\0' && strcasecmp(p->conn_id, conn_id) != 0))
				continue;
			lose(p);
			break;
		}
	}
}

/* A farm that restarts says so thousand times: calls are found by their endpoints' names, not looked for among all. */
static void on_lost(void *ctx, struct cp_gw *gw, const char *endpoint, const char *conn_id)
{
	const struct cp_gateway *rec = cp_gw_rec(gw);

	if (cp_gw_calls(gw) == 0)
		return;
	if ((rec->flags & CP_GW_CONFERENCE) != 0) {
		lose_anywhere(ctx, gw, endpoint, conn_id);
		return;
	}
	if (strchr(endpoint, '*') == NULL) {
		lose_at(ctx, gw, endpoint, conn_id);
		return;
	}
	for (unsigned i = 0; cp_gw_calls(gw) > 0 && i < rec->endpoint_cnt; i++)
		if (cp_gw_endpoint_match(endpoint, rec->endpoints[i].name))
			lose_at(ctx, gw, rec->endpoints[i].name, conn_id);
	if (cp_gw_strays(gw) > 0)
		lose_anywhere(ctx, gw, endpoint, conn_id);
}

static void on_stopped(void *ctx, struct cp_gw *gw)
{
	struct cp_calls *calls = ctx;

	for (uint32_t i = 0; i < CALL_SLOTS; i++)
		for (unsigned s = 0; calls->slot[i] != NULL && s < 2; s++)
			if (calls->slot[i]->p[s].kind == PARTY_GATEWAY && strcmp(calls->slot[i]->p[s].name, cp_gw_name(gw)) == 0)
				call_end(call_cause(calls->slot[i], CP_Q850_TEMPORARY), "gateway out of service");
}

/* Whether its connection is still there; the answer says it (GW_OP_AUCX). */
static void ask_for(struct party *p)
{
	struct dp_mgcp_cmd cmd;

	if (p->conn_id[0] == '\0' || p->call->state != CALL_CONNECTED)
		return;
	command(p, DP_MGCP_AUCX, &cmd);
	memset(cmd.call_id, 0, sizeof(cmd.call_id)); /* it has none (RFC 3435 s2.3.11) */
	send_cmd(p->call, p, &cmd, GW_OP_AUCX);
}

static void on_check(void *ctx, struct cp_gw *gw, const char *endpoint)
{
	for (struct party *p = endpoint_party(ctx, cp_gw_name(gw), endpoint, ""); p != NULL; p = endpoint_after(p))
		ask_for(p);
}

static uint32_t on_conns(void *ctx, struct cp_gw *gw, const char *endpoint, const char (*id)[DP_MGCP_ID_MAX], unsigned n)
{
	uint32_t known = 0;
	bool making = false; /* one of those listed may be the one that is being made */

	for (struct party *p = endpoint_party(ctx, cp_gw_name(gw), endpoint, ""); p != NULL; p = endpoint_after(p)) {
		bool listed = false;

		making |= p->conn_id[0] == '\0';
		for (unsigned i = 0; i < n; i++) {
			if (strcasecmp(id[i], p->conn_id) != 0)
				continue;
			listed = true;
			known |= UINT32_C(1) << i;
		}
		if (!listed) /* the list may be older than its connection */
			ask_for(p);
	}
	return making ? 0 : ~known & (n < 32 ? (UINT32_C(1) << n) - 1 : UINT32_MAX);
}

const struct cp_gw_ops cp_calls_gateway_ops = {.notified = on_notified, .lost = on_lost, .check = on_check, .conns = on_conns, .stopped = on_stopped};
