/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What gateways are asked without a call: whether they are there (AUEP), whether an endpoint that was out of service is back, whether a
 * call's connection still exists (AUCX), to delete what is left from before us (DLCX), to tell when a phone goes off hook (RQNT). One
 * question at a time to a gateway, in its turn (pace.h): ten thousand gateways that come back together are met by no flood, and send
 * none, and whether each is there is asked of all of them before anything else. Repeats are spread by a quarter around their time.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarm.h"
#include "clock.h"
#include "dpclient.h"
#include "gwint.h"
#include "log.h"

#define ROUND 512 /* of those whose turn it is, before others of the loop have theirs */

enum { ASK_PROBE, ASK_SWEEP, ASK_CHECK, ASK_ARM, ASK_EP_SWEEP, ASK_CONNS };

static void on_timer(evutil_socket_t fd, short what, void *arg);

int audit_init(struct cp_gw *gw)
{
	gw->ev_audit = event_new(gw->gws->base, -1, 0, on_timer, gw);
	gw->sweep = true;
	return gw->ev_audit != NULL ? 0 : -1;
}

static void fire_in(struct cp_gw *gw, int64_t us)
{
	struct timeval tv = {us / 1000000, us % 1000000};

	event_add(gw->ev_audit, &tv);
}

static void pump_in(struct cp_gws *gws, int64_t us)
{
	struct timeval tv = {us / 1000000, us % 1000000};

	event_add(gws->ev_pump, &tv);
}

static enum cp_pace_lane lane(const struct cp_gw *gw)
{
	return gw->state == CP_GW_DOWN ? CP_PACE_SILENT : gw->state != CP_GW_UP || gw->suspect ? CP_PACE_FIRST : CP_PACE_WORK;
}

void audit_now(struct cp_gw *gw)
{
	if (gw->asking || gw->pace.waits || !gw->asserted)
		return;
	event_del(gw->ev_audit);
	cp_pace_wait(&gw->gws->pace, &gw->pace, lane(gw));
	pump_in(gw->gws, 0);
}

void audit_later(struct cp_gw *gw, unsigned s)
{
	if (!gw->pace.waits && !evtimer_pending(gw->ev_audit, NULL))
		fire_in(gw, (int64_t)s * 750000 + (int64_t)s * (rand() % 500000));
}

void audit_stop(struct cp_gw *gw)
{
	event_del(gw->ev_audit);
	cp_pace_leave(&gw->gws->pace, &gw->pace);
	gw->asking = gw->probing = gw->sweeping = false;
}

void audit_all(struct cp_gw *gw, uint8_t todo)
{
	for (unsigned i = 0; i < gw->eps.cnt; i++) {
		uint8_t set = todo;

		if ((todo & EP_ARM) != 0 && (eps_line(&gw->rec, i) == CP_LINE_NONE || gw->eps.uses[i] != 0))
			set &= (uint8_t)~EP_ARM;
		eps_todo(&gw->eps, i, set, 0);
	}
}

static void answered(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done);
static void whose_told(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done, const char *text);
static void landed(struct cp_gw *gw);
static bool wants(const struct cp_gw *gw);

static bool ask(struct cp_gw *gw, struct dp_mgcp_cmd *cmd, uint8_t what, unsigned i)
{
	struct cp_gw_tag tag = {.callref = i, .op = what};

	gw->asking = cp_gw_cmd(gw, cmd, &tag, answered, NULL) == 0;
	gw->gws->asked += gw->asking;
	return gw->asking;
}

/*
 * The first endpoint is asked how it is: the answer, whatever it says, shows that the gateway is there. What it can is asked with it, unless
 * it has been silent to that before.
 */
static void probe(struct cp_gw *gw)
{
	struct dp_mgcp_cmd cmd = {.verb = DP_MGCP_AUEP};

	if (gw->rec.endpoint_cnt == 0)
		return;
	if (!gw->plain && gw_ask_caps(gw)) {
		gw->asking = gw->probing = true;
		gw->gws->asked++;
		return;
	}
	snprintf(cmd.endpoint, sizeof(cmd.endpoint), "%s", gw->rec.endpoints[0].name);
	if (strchr(cmd.endpoint, '$') != NULL) /* "any of" is for CRCX (RFC 3435 s2.3.5): all of them are asked */
		*strchr(cmd.endpoint, '$') = '*';
	if (!ask(gw, &cmd, ASK_PROBE, 0))
		audit_later(gw, AGAIN_S);
}

/* What it has from before us, and nobody here knows of: without a call on it all of it at once (RFC 3435 s2.3.9). */
static bool sweep(struct cp_gw *gw)
{
	struct dp_mgcp_cmd cmd = {.verb = DP_MGCP_DLCX, .endpoint = "*"};

	if (!gw->sweep)
		return false;
	gw->sweep = false;
	if (gw->rec.endpoint_cnt == 0 || (gw->rec.flags & CP_GW_CONFERENCE) != 0)
		return false;
	audit_all(gw, EP_CHECK); /* what it said of its endpoints to who was here before us is not written anywhere: it is asked */
	if (gw->farm.calls == 0 && gw->gws->agent_cnt < 2) { /* else others may have calls there, too: endpoint by endpoint, if they are not theirs */
		gw->sweep = !ask(gw, &cmd, ASK_SWEEP, 0);
		gw->sweeping = !gw->sweep;
		gw_able(gw);
		return gw->sweeping;
	}
	for (unsigned i = 0; i < gw->eps.cnt; i++)
		eps_todo(&gw->eps, i, gw->eps.uses[i] == 0 ? EP_SWEEP : EP_CALL, 0);
	return false;
}

const char *cp_gw_arm_events(uint8_t line)
{
	return line == CP_LINE_FXO ? "H/rg(N)" : "L/hd(N)";
}

/* 'what', of EP_NOW, is still to come. */
static void later(struct cp_gw *gw, unsigned i, uint8_t what)
{
	eps_todo(&gw->eps, i, (uint8_t)(what << EP_LATER), what);
	if (gw->again_ms == 0)
		gw->again_ms = (int64_t)cp_mono_ms() + AGAIN_S * 750;
}

void cp_gw_ep_again(struct cp_gw *gw, const char *endpoint)
{
	int i = eps_find(&gw->eps, &gw->rec, endpoint);

	if (i < 0 || eps_line(&gw->rec, (unsigned)i) == CP_LINE_NONE)
		return;
	later(gw, (unsigned)i, EP_ARM);
	audit_later(gw, AGAIN_S);
}

/* Who was left off the hook is watched for being put back: its next dial tone comes behind that. */
static const char *events_for(const struct cp_gw *gw, unsigned i)
{
	if (eps_line(&gw->rec, i) == CP_LINE_NONE) /* the request is for its N: alone */
		return "";
	return gw->eps.state[i] == CP_EP_OFF_HOOK ? "L/hu(N)" : cp_gw_arm_events(eps_line(&gw->rec, i));
}

/* --- which connections it has (conns.c) --- */

static bool is_ok(const struct dp_mgcp_done *done);
static bool channel_gone(const struct cp_gw *gw, const struct dp_mgcp_done *done);

static bool put_off(const struct dp_mgcp_done *done)
{
	return done->result == DP_MGCP_ANSWERED && dp_mgcp_class(done->code) == DP_MGCP_CLASS_LATER;
}

static void conns_told(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done, const char *text)
{
	const struct cp_gw_ops *ops = gw->gws->ops;
	char id[CP_GW_CONNS][DP_MGCP_ID_MAX];
	const char(*list)[DP_MGCP_ID_MAX] = (const char(*)[DP_MGCP_ID_MAX])id;
	unsigned i = tag->callref;
	bool here = i < gw->eps.cnt && strcmp(gw->rec.endpoints[i].name, tag->endpoint) == 0, gone = channel_gone(gw, done);
	int n;

	(void)ctx;
	landed(gw);
	if (here && (gone || done->result == DP_MGCP_CANCELED || put_off(done)))
		later(gw, i, EP_CALL);
	if (gone)
		return;
	n = is_ok(done) ? conns_listed(text, id, CP_GW_CONNS) : -1;
	if (n >= 0 && ops->conns != NULL)
		conns_strange(gw, tag->endpoint, list, ops->conns(gw->gws->ctx, gw, tag->endpoint, list, (unsigned)n));
	else if (done->result != DP_MGCP_CANCELED && !put_off(done) && ops->check != NULL)
		ops->check(gw->gws->ctx, gw, tag->endpoint); /* it lists none: its call asks for its own */
	if (wants(gw))
		audit_now(gw);
}

static bool ask_conns(struct cp_gw *gw, unsigned i)
{
	struct dp_mgcp_ask ask = {.verb = DP_MGCP_AUEP, .params = "F: I\n"};
	struct cp_gw_tag tag = {.callref = i, .op = ASK_CONNS};

	snprintf(ask.endpoint, sizeof(ask.endpoint), "%s", gw->rec.endpoints[i].name);
	gw->asking = cp_gw_ask(gw, &ask, &tag, conns_told, NULL) == 0;
	gw->gws->asked += gw->asking;
	if (!gw->asking)
		later(gw, i, EP_CALL);
	return gw->asking;
}

/* How it is, and whom it notifies. */
static bool ask_whose(struct cp_gw *gw, unsigned i)
{
	struct dp_mgcp_ask ask = {.verb = DP_MGCP_AUEP, .params = "F: N\n"};
	struct cp_gw_tag tag = {.callref = i, .op = ASK_CHECK};

	snprintf(ask.endpoint, sizeof(ask.endpoint), "%s", gw->rec.endpoints[i].name);
	gw->asking = cp_gw_ask(gw, &ask, &tag, whose_told, NULL) == 0;
	gw->gws->asked += gw->asking;
	return gw->asking;
}

static bool ask_endpoint(struct cp_gw *gw, unsigned i)
{
	struct dp_mgcp_cmd cmd = {0};
	uint8_t todo = gw->eps.todo[i];

	snprintf(cmd.endpoint, sizeof(cmd.endpoint), "%s", gw->rec.endpoints[i].name);
	if ((todo & EP_CALL) != 0) {
		eps_todo(&gw->eps, i, 0, EP_CALL);
		return gw->eps.uses[i] > 0 && ask_conns(gw, i);
	}
	if ((todo & EP_CHECK) != 0 && gw->gws->agent_cnt > 0 && strpbrk(cmd.endpoint, "*$") == NULL)
		return ask_whose(gw, i);
	if ((todo & EP_CHECK) != 0) {
		cmd.verb = DP_MGCP_AUEP;
		return ask(gw, &cmd, ASK_CHECK, i);
	}
	if ((todo & EP_SWEEP) != 0 && gw->eps.uses[i] == 0) {
		cmd.verb = DP_MGCP_DLCX;
		return ask(gw, &cmd, ASK_EP_SWEEP, i);
	}
	if ((todo & EP_ARM) != 0 && gw->eps.uses[i] == 0 && gw->rec.admin == CP_ADMIN_IN_SERVICE &&
	    (gw->eps.state[i] == CP_EP_IN_SERVICE || gw->eps.state[i] == CP_EP_OFF_HOOK)) {
		cmd.verb = DP_MGCP_RQNT;
		snprintf(cmd.request_id, sizeof(cmd.request_id), "%s", CP_GW_ARM_ID);
		snprintf(cmd.events, sizeof(cmd.events), "%s", events_for(gw, i));
		return ask(gw, &cmd, ASK_ARM, i);
	}
	eps_todo(&gw->eps, i, 0, EP_SWEEP | EP_ARM); /* a call came in between */
	return false;
}

static bool next_endpoint(struct cp_gw *gw)
{
	if (gw->again_ms != 0 && (int64_t)cp_mono_ms() >= gw->again_ms) {
		gw->again_ms = 0;
		for (unsigned i = 0; i < gw->eps.cnt; i++) {
			uint8_t due = gw->eps.todo[i] & (EP_NOW << EP_LATER);

			eps_todo(&gw->eps, i, due >> EP_LATER, due);
		}
	}
	for (unsigned n = 0; n < gw->eps.cnt && gw->eps.work > 0; n++) {
		unsigned i = gw->at % gw->eps.cnt;

		gw->at = i + 1;
		if ((gw->eps.todo[i] & EP_NOW) != 0 && ask_endpoint(gw, i))
			return true;
	}
	return false;
}

static bool wants(const struct cp_gw *gw)
{
	return gw->state != CP_GW_UP || gw->suspect || gw_wants_caps(gw) || gw_wants_bearer(gw) || gw->health.state != CP_HEALTH_CLOSED || gw->sweep || gw->eps.work > 0 || gw->backlog != NULL;
}

/* It is its turn: one question, or none. */
static void go(struct cp_gw *gw)
{
	if (!gw->asserted || gw->asking || !cp_dp_up(gw->gws->dp))
		return; /* the channel's return, or the answer, begins anew */
	if (!gw_reachable(gw)) {
		gw_state(gw, CP_GW_NO_SA); /* the SA's return begins anew */
		return;
	}
	if (!wants(gw))
		return;
	gw_save_heard(gw);
	if (gw->state != CP_GW_UP || gw->suspect) {
		gw->suspect = false;
		probe(gw);
	} else if (gw_wants_caps(gw) && gw_ask_caps(gw)) {
		gw->asking = true;
		gw->gws->asked++;
	} else if (gw_wants_bearer(gw) && gw_tell_bearer(gw)) {
		gw->asking = true;
		gw->gws->asked++;
	} else if (gw->health.state == CP_HEALTH_HALF || cp_health_probe(&gw->health, (int64_t)cp_mono_ms())) {
		probe(gw);
	} else if (!sweep(gw) && !next_endpoint(gw)) {
		if (gw->backlog != NULL) /* what found the dataplane too busy */
			gw_replay_backlog(gw);
		if (gw->health.state == CP_HEALTH_OPEN)
			fire_in(gw, (int64_t)gw->health.wait_ms * 1000);
		else if (wants(gw))
			audit_later(gw, AGAIN_S);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	audit_now(arg);
}

void audit_pump(evutil_socket_t fd, short what, void *arg)
{
	struct cp_gws *gws = arg;
	struct cp_pace_member *m;
	int64_t us = 0;

	(void)fd;
	(void)what;
	for (unsigned n = 0; n < ROUND; n++) {
		int64_t now = (int64_t)cp_mono_us();
		struct cp_gw *gw;

		m = cp_pace_next(&gws->pace, now, &us);
		if (m == NULL)
			break;
		gw = (struct cp_gw *)(void *)((char *)m - offsetof(struct cp_gw, pace));
		go(gw);
		if (gw->asking)
			cp_pace_asked(&gws->pace, m, now);
		us = 0;
	}
	if (us >= 0)
		pump_in(gws, us);
}

/* Its question is over: another one may go out. */
static void landed(struct cp_gw *gw)
{
	gw->asking = false;
	cp_pace_answered(&gw->gws->pace, &gw->pace);
	pump_in(gw->gws, 0);
}

/* Then its return begins anew. While it is there, "canceled" is the dataplane's word for a command that it refused, or had no room for. */
static bool channel_gone(const struct cp_gw *gw, const struct dp_mgcp_done *done)
{
	return done->result == DP_MGCP_CANCELED && (!gw->asserted || !cp_dp_up(gw->gws->dp));
}

void audit_answered(struct cp_gw *gw, const struct dp_mgcp_done *done)
{
	bool probing = gw->probing, silent = done->result == DP_MGCP_TIMEOUT || done->result == DP_MGCP_BAD_ANSWER;

	landed(gw);
	gw->probing = false;
	if (channel_gone(gw, done))
		return;
	if (probing) {
		gw->plain = silent; /* perhaps it is only this that it does not answer */
		gw_probe_done(gw, done);
	}
	if (!wants(gw))
		return;
	if (done->result == DP_MGCP_ANSWERED && !put_off(done))
		audit_now(gw);
	else
		audit_later(gw, AGAIN_S);
}

/* 4xx and 5xx say that it can do nothing now: asked again. 500 and 501: unknown, not ready. */
static bool is_ok(const struct dp_mgcp_done *done)
{
	return done->result == DP_MGCP_ANSWERED && done->code >= 200 && done->code < 300;
}

static void checked(struct cp_gw *gw, unsigned i, const struct dp_mgcp_done *done, const char *text)
{
	eps_todo(&gw->eps, i, 0, EP_CHECK);
	if (is_ok(done) && !agents_heard(gw, i, text)) { /* in a while it may be ours */
		gw_able(gw);
		later(gw, i, EP_CHECK);
	} else if (is_ok(done)) {
		if (gw->eps.state[i] == CP_EP_OFF_HOOK)
			return;
		if (gw->eps.state[i] != CP_EP_IN_SERVICE)
			cfg_log_limited(CFG_LOG_NOTICE, "endpoint-in-service", "gateway=%s endpoint=%s", gw->rec.name,
					gw->rec.endpoints[i].name);
		eps_set(&gw->eps, i, CP_EP_IN_SERVICE);
		if (eps_line(&gw->rec, i) != CP_LINE_NONE && gw->eps.uses[i] == 0)
			eps_todo(&gw->eps, i, EP_ARM, 0);
		gw_able(gw);
	} else if (gw->eps.state[i] == CP_EP_IN_SERVICE && put_off(done)) {
		later(gw, i, EP_CHECK);
	} else if (gw->eps.state[i] != CP_EP_IN_SERVICE || (done->result == DP_MGCP_ANSWERED && (done->code == 500 || done->code == 501))) {
		cfg_log_limited(CFG_LOG_WARN, "endpoint-still-out", "gateway=%s endpoint=%s result=%u code=%u", gw->rec.name,
				gw->rec.endpoints[i].name, done->result, done->code);
		if (gw->eps.state[i] == CP_EP_IN_SERVICE)
			eps_set(&gw->eps, i, CP_EP_OUT);
		gw_able(gw);
		later(gw, i, EP_CHECK);
	}
}

/*
 * RFC 3435 s2.4: 4xx, and 501, may go by themselves; other 5xx do not. 401, 402: the hook is not where it was thought to be. Without an
 * answer it is still to be asked.
 */
static void watched(struct cp_gw *gw, unsigned i, const struct dp_mgcp_done *done)
{
	bool off = gw->eps.state[i] == CP_EP_OFF_HOOK, answer = done->result == DP_MGCP_ANSWERED;

	if (!answer && done->result != DP_MGCP_BAD_ANSWER)
		return;
	eps_todo(&gw->eps, i, 0, EP_ARM);
	if (is_ok(done))
		return;
	if (answer && off && done->code == 402) {
		cp_gw_ep_hook(gw, gw->rec.endpoints[i].name, false);
		return;
	}
	if (answer && !off && done->code == 401 && eps_line(&gw->rec, i) == CP_LINE_FXS && gw->gws->ops->notified != NULL) {
		gw->gws->ops->notified(gw->gws->ctx, gw, gw->rec.endpoints[i].name, CP_GW_ARM_ID, "L/hd");
		return;
	}
	cfg_log_limited(CFG_LOG_WARN, "endpoint-not-watched", "gateway=%s endpoint=%s code=%u", gw->rec.name, gw->rec.endpoints[i].name, done->code);
	if (off || !answer || done->code < 500 || done->code == 501)
		later(gw, i, EP_ARM);
}

static void answered_text(struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done, const char *text)
{
	unsigned i = tag->callref;
	bool here = i < gw->eps.cnt && strcmp(gw->rec.endpoints[i].name, tag->endpoint) == 0; /* its record may be another one now */
	bool wait = false;

	landed(gw);
	gw->sweeping = false;
	if (tag->op == ASK_SWEEP) {
		gw->sweep = done->result != DP_MGCP_ANSWERED || put_off(done);
		gw_able(gw);
	}
	if (channel_gone(gw, done))
		return;
	if (done->result == DP_MGCP_CANCELED) {
		cfg_log_limited(CFG_LOG_WARN, "gateway-question-refused", "gateway=%s endpoint=%s question=%u", gw->rec.name,
				cfg_q(tag->endpoint), tag->op);
		/* One endpoint does not keep the others from their turn; whatever it is that is not taken comes up again later. */
		if (here && (tag->op == ASK_CHECK || tag->op == ASK_ARM)) {
			later(gw, i, tag->op == ASK_CHECK ? EP_CHECK : EP_ARM);
			audit_now(gw);
		} else {
			audit_later(gw, AGAIN_S);
		}
		return;
	}
	switch (tag->op) {
	case ASK_PROBE: /* cp_gws_mgcp_done() has drawn the state from it */
		gw_probe_done(gw, done);
		wait = gw->state != CP_GW_UP;
		break;
	case ASK_SWEEP:
		wait = put_off(done);
		if (done->result == DP_MGCP_ANSWERED && !wait && !is_ok(done) && done->code != 515 && done->code != 516)
			audit_all(gw, EP_SWEEP); /* it takes no wildcard */
		break;
	case ASK_CHECK:
		if (here)
			checked(gw, i, done, text);
		break;
	case ASK_EP_SWEEP:
		if (here && put_off(done))
			later(gw, i, EP_SWEEP);
		else if (here)
			eps_todo(&gw->eps, i, 0, EP_SWEEP);
		break;
	case ASK_ARM:
		if (here)
			watched(gw, i, done);
		wait = done->result != DP_MGCP_ANSWERED && done->result != DP_MGCP_BAD_ANSWER;
		break;
	default:
		break;
	}
	if (!wants(gw))
		return;
	if (wait)
		audit_later(gw, AGAIN_S);
	else
		audit_now(gw);
}

static void answered(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done)
{
	(void)ctx;
	answered_text(gw, tag, done, NULL);
}

static void whose_told(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done, const char *text)
{
	(void)ctx;
	answered_text(gw, tag, done, text);
}
