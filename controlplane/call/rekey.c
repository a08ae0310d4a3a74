/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * New keys for a running call, by an operator, by age (gateways), or because a key is nearly used up.
 *
 * Gateway: MDCX inside ESP carries our new sending key, the answer the gateway's. Then its key is set to receive, with
 * the old one good for OVERLAP_MS more, and only when the dataplane has it, ours to send: the answer has said that the
 * gateway has it. Indices go on (RFC 3711 s3.3.1). Nothing is lost if the gateway keeps its old receiving key for a
 * moment, too, and begins to send with its new one no sooner than it hears ours.
 *
 * Phone: SCCP cannot give a new key to a stream that runs. Receive channel and transmission are closed and opened
 * anew; what is under way meanwhile is lost: a gap of a round trip and what the phone takes.
 *
 * Before a party is told, the call's record says that it will be. A party that may or may not have its new keys (we were
 * killed in between; no answer came) gets others, until one way or the other it is known which ones it has.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "callint.h"

#define OVERLAP_MS   5000
#define CONFIRM_S    10 /* a phone that does not open its channel again */
#define RETRY_S      30 /* after one that failed */
#define UNSURE_S     2  /* the same, and nobody knows which keys the party has: it may be that it hears nothing */
#define UNSURE_TRIES 5  /* so often, then as after any that failed */

static const struct {
	const char *id, *text;
	enum cp_alarm_severity severity;
} event_kinds[DP_LEG_EVENT_MAX] = {
	[DP_LEG_KEY_SOON] = {"media-key-soon", "a media key is nearly used up", CP_ALARM_WARNING},
	[DP_LEG_KEY_EXPIRED] = {"media-key-expired", "a media key is used up: its direction stands still", CP_ALARM_MAJOR},
	[DP_LEG_MOVED] = {"media-source-moved", "media comes from another address", CP_ALARM_WARNING},
	[DP_LEG_SSRC_LIMIT] = {"media-ssrc-limit", "a stream more than media.ssrc_max was refused", CP_ALARM_WARNING},
	[DP_LEG_POLICED] = {"media-policed", "packets over the leg's rate were dropped", CP_ALARM_WARNING},
};

int64_t rekey_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void answer(struct cp_call *call)
{
	cp_session_fn fn = call->rekey_fn;
	json_t *list = call->rekey_list;

	call->rekey_fn = NULL;
	call->rekey_list = NULL;
	if (fn != NULL)
		fn(call->rekey_ctx, 0, NULL, list);
	else
		json_decref(list);
}

static void subject_of(const struct cp_call *call, unsigned side, char *buf, size_t size)
{
	const char *name = call->p[side].name;

	snprintf(buf, size, "call %u %s", call->ref, name[0] != '\0' ? name : side == 0 ? "a" : "b");
}

/* What its leg's events raised: 'kinds' are bits of enum dp_leg_event_kind. */
static void alarms_clear(struct cp_call *call, unsigned side, unsigned kinds)
{
	char subject[CP_ALARM_SUBJECT_MAX];

	subject_of(call, side, subject, sizeof(subject));
	for (unsigned k = 1; k < DP_LEG_EVENT_MAX; k++)
		if ((call->p[side].alarms & kinds & 1u << k) != 0)
			cp_alarm_clear(call->calls->env.alarms, event_kinds[k].id, subject);
	call->p[side].alarms &= ~kinds;
}

void rekey_leg_gone(struct cp_call *call, unsigned side)
{
	alarms_clear(call, side, UINT32_MAX);
}

static bool keys_known(const struct party *p)
{
	return p->suite == DP_SRTP_NONE || (p->rx != NULL && p->tx != NULL);
}

/* One party is done. */
static void over(struct cp_call *call, unsigned side, int rc, const char *why)
{
	struct party *p = &call->p[side];
	struct cp_keys *keys = call->calls->keys;

	cp_keys_put(keys, p->next_rx);
	cp_keys_put(keys, p->next_tx);
	p->next_rx = p->next_tx = NULL;
	if (!p->rekeying)
		return;
	p->rekeying = false;
	/* What was not answered may have been done. What was refused was not, but one before it may have been. */
	p->unsure = rc != 0 && (p->unsure || rc == -ETIMEDOUT);
	if (rc == 0) {
		p->tries = 0;
		p->keyed_s = rekey_now();
		p->rekeys++;
		/* all known again: after a restart of the dataplane they can be set, not only adopted */
		call->adopted = call->adopted && !(keys_known(p) && keys_known(&call->p[1 - side]));
		alarms_clear(call, side, 1u << DP_LEG_KEY_SOON | 1u << DP_LEG_KEY_EXPIRED);
	}
	/* A call that ends takes its record with it. Not written: they are renewed once more than need be. */
	if (rc != -ECANCELED && !p->unsure && call->stored && record_write(call, NULL, NULL) < 0)
		cfg_log_limited(CFG_LOG_WARN, "call-record-not-updated", "call=%u", call->ref);
	cfg_log(rc == 0 ? CFG_LOG_INFO : CFG_LOG_WARN, rc == 0 ? "rekeyed" : "rekey-failed", "call=%u party=%s rc=%d text=%s",
		call->ref, cfg_q(p->name), rc, cfg_q(why));
	if (rc != -ECANCELED) /* else the call is ending: there is nothing to come back to */
		hold_over(call, side, rc == 0);
	if (call->rekey_left == 0)
		return;
	json_array_append_new(call->rekey_list,
			      json_pack("{s:s, s:b, s:s}", "party", p->name, "done", rc == 0, "text", why));
	if (--call->rekey_left == 0)
		answer(call);
}

void rekey_give_up(struct cp_call *call, unsigned side)
{
	if (call->p[side].rekeying)
		over(call, side, -ETIMEDOUT, "the phone did not open its channel");
	else
		hold_over(call, side, false);
}

void rekey_drop(struct cp_call *call, const char *why)
{
	cp_session_fn fn = call->rekey_fn;

	call->rekey_fn = NULL;
	call->rekey_left = 0;
	json_decref(call->rekey_list);
	call->rekey_list = NULL;
	for (unsigned s = 0; s < 2; s++) {
		over(call, s, -ECANCELED, why);
		alarms_clear(call, s, UINT32_MAX);
	}
	if (fn != NULL)
		fn(call->rekey_ctx, -ECANCELED, why, NULL);
}

/* A step that the dataplane answers; the call may be gone by then. */
struct step {
	struct cp_calls *calls;
	uint32_t ref;
	unsigned side;
};

static struct cp_call *step_call(struct step *s, unsigned *ret_side)
{
	struct cp_call *call = call_find(s->calls, s->ref);

	*ret_side = s->side;
	free(s);
	return call != NULL && call->p[*ret_side].rekeying ? call : NULL;
}

static int step(struct cp_call *call, unsigned side, uint8_t dir, uint8_t flags, uint32_t overlap_ms, cp_dp_reply_fn fn)
{
	struct step *s = malloc(sizeof(*s));
	int rc = s != NULL ? 0 : -ENOMEM;

	if (rc == 0) {
		*s = (struct step){call->calls, call->ref, side};
		rc = legs_key(call, side, dir, flags, overlap_ms, fn, s);
	}
	if (rc < 0)
		free(s);
	return rc;
}

/* The party has the keys already: without them here the two cannot hear each other. */
static bool step_failed(struct cp_call *call, int rc)
{
	if (rc == 0 || rc == -ENOTCONN) /* not there: they are set when it returns */
		return false;
	cfg_log(CFG_LOG_ERR, "rekey-not-set", "call=%u rc=%d", call->ref, rc);
	call_end(call_cause(call, CP_Q850_TEMPORARY), "dataplane refused a new key");
	return true;
}

/* --- gateways --- */

static void on_gw_send(void *ctx, int rc)
{
	unsigned side;
	struct cp_call *call = step_call(ctx, &side);

	if (call != NULL && !step_failed(call, rc))
		over(call, side, 0, "new keys");
}

static void on_gw_recv(void *ctx, int rc)
{
	unsigned side;
	struct cp_call *call = step_call(ctx, &side);

	if (call == NULL || step_failed(call, rc))
		return;
	rc = step(call, side, DP_DIR_SEND, DP_KEY_F_KEEP_ROC, 0, on_gw_send);
	if (rc < 0 && !step_failed(call, rc))
		over(call, side, 0, "new keys");
}

void rekey_answered(struct cp_call *call, unsigned side, const struct dp_mgcp_done *done, bool ok)
{
	struct party *p = &call->p[side];
	struct cp_keys *keys = call->calls->keys;
	struct cp_keyset *theirs = NULL;
	struct cfg_addr remote;
	int rc;

	if (!p->rekeying || p->next_tx == NULL)
		return;
	if (done->result == DP_MGCP_BAD_ANSWER) { /* it did what we asked, and we cannot read what it said */
		call_end(call_cause(call, CP_Q850_TEMPORARY), "the answer to new keys cannot be used");
		return;
	}
	if (!ok) {
		if (done->result == DP_MGCP_NO_SA) /* nothing was sent */
			over(call, side, -ENOTCONN, "no SA for the gateway");
		else
			over(call, side, done->result == DP_MGCP_ANSWERED ? -EACCES : -ETIMEDOUT,
			     done->result == DP_MGCP_ANSWERED ? "the gateway refused" : "no answer of the gateway");
		return;
	}
	if (done->media.addr.family != 0) {
		if (done->media.suite != p->suite || trunk_take_key(call, p, &done->media, p->next_tx, &theirs) < 0) {
			call_end(call_cause(call, CP_Q850_TEMPORARY), "the gateway answered new keys with something else");
			return;
		}
		if (theirs != NULL && !theirs->rtcp_clear) /* negotiated: both ways or none */
			p->next_tx->rtcp_clear = false;
		cp_from_dp_addr(&remote, &done->media.addr);
		if (memcmp(&remote, &p->remote, sizeof(remote)) != 0) {
			p->remote = remote;
			legs_assert(call, side, false);
		}
	}
	/* From here on the new ones count: whatever happens to the channel, these are set when it returns. */
	if (theirs != NULL && p->rx != NULL && cp_keys_equal(theirs, p->rx)) {
		cfg_log(CFG_LOG_NOTICE, "gateway-kept-its-key", "call=%u gateway=%s", call->ref, cfg_q(p->name));
		cp_keys_put(keys, theirs);
		theirs = NULL;
	}
	cp_keys_put(keys, p->tx);
	p->tx = p->next_tx;
	p->next_tx = NULL;
	if (theirs != NULL) {
		cp_keys_put(keys, p->rx);
		p->rx = theirs;
		rc = step(call, side, DP_DIR_RECV, DP_KEY_F_KEEP_ROC, OVERLAP_MS, on_gw_recv);
	} else {
		rc = step(call, side, DP_DIR_SEND, DP_KEY_F_KEEP_ROC, 0, on_gw_send);
	}
	if (rc < 0 && !step_failed(call, rc))
		over(call, side, 0, "new keys");
}

/* --- phones --- */

/* What the phone sends under its new key is accepted: tell it. */
static void on_phone_recv(void *ctx, int rc)
{
	unsigned side;
	struct cp_call *call = step_call(ctx, &side);
	struct party *p;

	if (call == NULL || step_failed(call, rc))
		return;
	p = &call->p[side];
	ui_media_stop(call, side);
	cp_keys_put(call->calls->keys, p->tx); /* what the phone will be told to receive with */
	p->tx = p->next_tx;
	p->next_tx = NULL;
	if (ui_media_start(call, side) < 0)
		call_end(call_cause(call, CP_Q850_OUT_OF_ORDER), "phone lost");
}

static void on_phone_send(void *ctx, int rc)
{
	unsigned side;
	struct cp_call *call = step_call(ctx, &side);

	if (call != NULL && !step_failed(call, rc))
		over(call, side, 0, "new keys");
}

void rekey_confirmed(struct cp_call *call, unsigned side)
{
	int rc = step(call, side, DP_DIR_SEND, 0, 0, on_phone_send);

	if (rc < 0 && !step_failed(call, rc))
		over(call, side, 0, "new keys");
}

static int phone_start(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];
	int rc;

	p->next_rx = policy_draw(call, p, p->suite);
	if (p->next_rx == NULL)
		return -ENOSPC;
	cp_keys_put(call->calls->keys, p->rx);
	p->rx = p->next_rx;
	p->next_rx = NULL;
	rc = step(call, side, DP_DIR_RECV, 0, OVERLAP_MS, on_phone_recv);
	if (rc < 0)
		step_failed(call, rc == -ENOTCONN ? -EIO : rc);
	return 0;
}

/* --- begin --- */

/* A renewal that waits for the record; both the call and the renewal may be gone by then. */
struct noted {
	struct cp_calls *calls;
	uint32_t ref, seq;
	unsigned side;
};

/* The record says what may happen from here on: now the party may be told. */
static void on_noted(void *ctx, int rc)
{
	struct noted n = *(struct noted *)ctx;
	struct cp_call *call = call_find(n.calls, n.ref);
	struct party *p = call != NULL ? &call->p[n.side] : NULL;

	free(ctx);
	if (call == NULL || !p->rekeying || p->rekey_seq != n.seq)
		return;
	if (rc < 0) /* a sick store stops changes, not calls */
		cfg_log_limited(CFG_LOG_WARN, "call-record-not-updated", "call=%u rc=%d", call->ref, rc);
	if (p->kind == PARTY_PHONE) {
		if (party_phone(p) == NULL)
			over(call, n.side, -ENOTCONN, "the phone is not registered");
		else if (phone_start(call, n.side) < 0)
			over(call, n.side, -ENOSPC, "no place for more keys");
	} else if (trunk_rekey(call, n.side) < 0) {
		over(call, n.side, -ENOTCONN, "the gateway cannot be reached");
	}
}

static int note(struct cp_call *call, unsigned side)
{
	struct noted *n = malloc(sizeof(*n));
	int rc = -ENOMEM;

	if (n == NULL)
		return -ENOMEM;
	*n = (struct noted){call->calls, call->ref, call->p[side].rekey_seq, side};
	if (call->stored)
		rc = record_write(call, on_noted, n);
	if (rc < 0)
		on_noted(n, call->stored ? rc : 0);
	return 0;
}

int rekey_party(struct cp_call *call, unsigned side, const char **why)
{
	struct party *p = &call->p[side];
	int rc;

	*why = "the call is not connected";
	if (call->state != CALL_CONNECTED)
		return -EPROTO;
	*why = "its media goes between the parties: the keys are theirs";
	if (call->direct)
		return -EPROTO;
	*why = "a session's keys are the operator's: end it and make another";
	if (p->kind == PARTY_STATIC)
		return -EPROTO;
	*why = "its leg is RTP";
	if (p->suite == DP_SRTP_NONE)
		return -EPROTO;
	*why = "it is on hold: it gets new keys when it comes back";
	if (p->held)
		return -EPROTO;
	*why = "new keys are under way";
	if (p->rekeying)
		return -EBUSY;
	*why = "the dataplane is not there";
	if (!cp_dp_up(call->calls->env.dp))
		return -ENOTCONN;
	*why = "the phone is not registered";
	if (p->kind == PARTY_PHONE && party_phone(p) == NULL)
		return -ENOTCONN;
	*why = "no place for more keys";
	p->rekey_s = rekey_now();
	p->next_tx = policy_draw(call, p, p->suite);
	if (p->next_tx == NULL)
		return -ENOSPC;
	p->rekeying = true;
	p->rekey_seq++;
	if (p->unsure && p->tries < UNSURE_TRIES)
		p->tries++;
	rc = note(call, side);
	if (rc < 0) {
		p->rekeying = false;
		over(call, side, rc, *why);
	}
	return rc;
}

void cp_calls_rekey(struct cp_calls *calls, uint32_t callref, const char *which, cp_session_fn fn, void *ctx)
{
	struct cp_call *call = call_find(calls, callref);
	bool gateway = strcmp(which, "phone") != 0, phone = strcmp(which, "gateway") != 0;
	const char *why = "no such call";
	int rc = -EINVAL;
	unsigned n = 0;

	if (call == NULL || call->rekey_fn != NULL) {
		fn(ctx, call == NULL ? -ENOENT : -EBUSY, call == NULL ? why : "new keys are under way", NULL);
		return;
	}
	call->rekey_list = json_array();
	call->rekey_fn = fn;
	call->rekey_ctx = ctx;
	call->rekey_left = 3; /* nothing answers while parties are still being told */
	why = "it has no such party";
	for (unsigned s = 0; s < 2 && call_find(calls, callref) == call; s++) {
		if ((call->p[s].kind == PARTY_GATEWAY && !gateway) || (call->p[s].kind == PARTY_PHONE && !phone) ||
		    call->p[s].kind == PARTY_NONE)
			continue;
		rc = rekey_party(call, s, &why);
		n += rc == 0;
	}
	if (call_find(calls, callref) != call)
		return; /* ended meanwhile, and answered so */
	if (n == 0) {
		json_decref(call->rekey_list);
		call->rekey_list = NULL;
		call->rekey_fn = NULL;
		call->rekey_left = 0;
		fn(ctx, rc, why, NULL);
		return;
	}
	call->rekey_left -= 3 - n;
	if (call->rekey_left == 0)
		answer(call);
}

void rekey_tick(struct cp_calls *calls)
{
	uint32_t every = calls->env.cfg->media.rekey_s;
	int64_t now = rekey_now();
	const char *why;

	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		for (unsigned s = 0; calls->slot[i] != NULL && s < 2; s++) {
			struct party *p = &calls->slot[i]->p[s];
			int64_t after = p->unsure && p->tries < UNSURE_TRIES ? UNSURE_S : RETRY_S;

			if (p->resuming && p->rekeying && now - p->rekey_s > CONFIRM_S)
				rekey_give_up(calls->slot[i], s);
			else if (p->rekeying && p->kind == PARTY_PHONE && now - p->rekey_s > CONFIRM_S)
				call_end(call_cause(calls->slot[i], CP_Q850_OUT_OF_ORDER), "phone did not open its channel with a new key");
			else if (p->unsure && !p->rekeying && !p->held && now - p->rekey_s >= after)
				rekey_party(calls->slot[i], s, &why);
			else if (every != 0 && p->kind == PARTY_GATEWAY && p->suite != DP_SRTP_NONE && !p->rekeying &&
				 calls->slot[i]->state == CALL_CONNECTED && !calls->slot[i]->direct &&
				 now - p->keyed_s >= every && now - p->rekey_s >= (every < RETRY_S ? every : RETRY_S))
				rekey_party(calls->slot[i], s, &why);
		}
	}
}

/* --- what the dataplane says of keys and sources --- */

void cp_calls_leg_event(struct cp_calls *calls, const struct dp_leg_event *ev)
{
	struct cp_call *call = call_find(calls, (uint32_t)ev->session);
	char subject[CP_ALARM_SUBJECT_MAX], text[64] = "";
	const char *why = "";
	struct cfg_addr from;
	struct party *p;
	unsigned side = 0;

	if (call == NULL || ev->kind == 0 || ev->kind >= DP_LEG_EVENT_MAX)
		return;
	while (side < 2 && call->p[side].leg_id != ev->leg_id)
		side++;
	if (side == 2)
		return;
	p = &call->p[side];
	if (ev->kind == DP_LEG_MOVED) {
		cp_from_dp_addr(&from, &ev->addr);
		/* The first packet of a party that sends before it has said from where, or from just there: no news. */
		if (p->remote.family == 0 || memcmp(&from, &p->remote, sizeof(from)) == 0)
			return;
		cfg_addr_print(&from, text, sizeof(text));
	}
	cfg_log_limited(CFG_LOG_NOTICE, event_kinds[ev->kind].id, "call=%u leg=%u party=%s direction=%s %s=%llu ssrc=%08x from=%s",
			call->ref, ev->leg_id, cfg_q(p->name), ev->dir == DP_DIR_SEND ? "send" : "receive",
			ev->rtcp ? "rtcp_index" : "index", (unsigned long long)ev->index, ev->ssrc, text);
	/* Another port of the address that was signalled is for the log alone. */
	if (ev->kind == DP_LEG_MOVED && from.family == p->remote.family && memcmp(from.ip, p->remote.ip, sizeof(from.ip)) == 0)
		return;
	/* In time: the keys are renewed, and nobody need know. */
	if (ev->kind == DP_LEG_KEY_SOON && (p->rekeying || rekey_party(call, side, &why) == 0))
		return;
	subject_of(call, side, subject, sizeof(subject));
	p->alarms |= 1u << ev->kind;
	cp_alarm_raise(calls->env.alarms, event_kinds[ev->kind].id, event_kinds[ev->kind].severity, subject, "%s%s%s%s%s",
		       event_kinds[ev->kind].text, text[0] != '\0' ? ": " : "", text, why[0] != '\0' ? ", not renewed: " : "", why);
}
