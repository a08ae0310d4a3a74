/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What gateways are asked without a call: whether they are there (AUEP), whether an endpoint that was out of service is back, whether a
 * call's connection still exists (AUCX), to delete what is left from before us (DLCX), to tell when a phone goes off hook (RQNT). One
 * question at a time to a gateway; in all RATE a second, behind a first burst: ten thousand gateways that come back
 * together are met by no flood, and send none. Repeats are spread by a quarter around their time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarm.h"
#include "clock.h"
#include "dpclient.h"
#include "gwint.h"
#include "log.h"

#define BURST    64 /* questions that need not wait */
#define RATE     1000

enum { ASK_PROBE, ASK_SWEEP, ASK_CHECK, ASK_ARM, ASK_EP_SWEEP };

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

void audit_now(struct cp_gw *gw)
{
	if (gw->asking || gw->slot || !gw->asserted)
		return;
	fire_in(gw, 0);
}

void audit_later(struct cp_gw *gw, unsigned s)
{
	if (!gw->slot && !evtimer_pending(gw->ev_audit, NULL))
		fire_in(gw, (int64_t)s * 750000 + (int64_t)s * (rand() % 500000));
}

void audit_stop(struct cp_gw *gw)
{
	event_del(gw->ev_audit);
	gw->asking = gw->slot = gw->sweeping = false;
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

/* A place in the row of all questions. False: the timer is set for when it is its turn. */
static bool turn(struct cp_gw *gw)
{
	struct cp_gws *gws = gw->gws;
	int64_t now = (int64_t)cp_mono_us(), gap = 1000000 / RATE;

	if (gw->slot) {
		gw->slot = false;
		return true;
	}
	if (gws->next_us < now - BURST * gap)
		gws->next_us = now - BURST * gap;
	gws->next_us += gap;
	if (gws->next_us <= now)
		return true;
	gw->slot = true;
	fire_in(gw, gws->next_us - now);
	return false;
}

static void answered(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done);

static bool ask(struct cp_gw *gw, struct dp_mgcp_cmd *cmd, uint8_t what, unsigned i)
{
	struct cp_gw_tag tag = {.callref = i, .op = what};

	gw->asking = cp_gw_cmd(gw, cmd, &tag, answered, NULL) == 0;
	gw->gws->asked += gw->asking;
	return gw->asking;
}

/* The first endpoint is asked how it is: the answer, whatever it says, shows that the gateway is there. */
static void probe(struct cp_gw *gw)
{
	struct dp_mgcp_cmd cmd = {.verb = DP_MGCP_AUEP};

	if (gw->rec.endpoint_cnt == 0)
		return;
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
	if (gw->farm.calls == 0) {
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

/* Which of EP_AGAIN and EP_REARM it is that is still to come. */
static void later(struct cp_gw *gw, unsigned i, uint8_t bit)
{
	eps_todo(&gw->eps, i, bit, bit == EP_REARM ? EP_ARM : 0);
	if (gw->again_ms == 0)
		gw->again_ms = (int64_t)cp_mono_ms() + AGAIN_S * 750;
}

void cp_gw_ep_again(struct cp_gw *gw, const char *endpoint)
{
	int i = eps_find(&gw->eps, &gw->rec, endpoint);

	if (i < 0 || eps_line(&gw->rec, (unsigned)i) == CP_LINE_NONE)
		return;
	later(gw, (unsigned)i, EP_REARM);
	audit_later(gw, AGAIN_S);
}

/* Who was left off the hook is watched for being put back: its next dial tone comes behind that. */
static const char *events_for(const struct cp_gw *gw, unsigned i)
{
	return gw->eps.state[i] == CP_EP_OFF_HOOK ? "L/hu(N)" : cp_gw_arm_events(eps_line(&gw->rec, i));
}

static bool ask_endpoint(struct cp_gw *gw, unsigned i)
{
	struct dp_mgcp_cmd cmd = {0};
	uint8_t todo = gw->eps.todo[i];

	snprintf(cmd.endpoint, sizeof(cmd.endpoint), "%s", gw->rec.endpoints[i].name);
	if ((todo & EP_CALL) != 0) { /* its call asks for its connection */
		eps_todo(&gw->eps, i, 0, EP_CALL);
		if (gw->gws->ops->check != NULL && gw->eps.uses[i] > 0)
			gw->gws->ops->check(gw->gws->ctx, gw, cmd.endpoint);
		return false;
	}
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
			uint8_t due = gw->eps.todo[i] & (EP_AGAIN | EP_REARM);

			if (due != 0)
				eps_todo(&gw->eps, i, (uint8_t)((due & EP_AGAIN ? EP_CHECK : 0) | (due & EP_REARM ? EP_ARM : 0)), due);
		}
	}
	for (unsigned n = 0; n < gw->eps.cnt && gw->eps.work > 0; n++) {
		unsigned i = gw->at % gw->eps.cnt;

		gw->at = i + 1;
		if ((gw->eps.todo[i] & ~(EP_AGAIN | EP_REARM)) != 0 && ask_endpoint(gw, i))
			return true;
	}
	return false;
}

static bool wants(const struct cp_gw *gw)
{
	return gw->state != CP_GW_UP || gw->suspect || gw_wants_caps(gw) || gw->health.state != CP_HEALTH_CLOSED || gw->sweep || gw->eps.work > 0 || gw->backlog != NULL;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct cp_gw *gw = arg;

	(void)fd;
	(void)what;
	if (!gw->asserted || gw->asking || !cp_dp_up(gw->gws->dp)) {
		gw->slot = false;
		return; /* the channel's return, or the answer, begins anew */
	}
	if (!gw_reachable(gw)) {
		gw->slot = false;
		gw_state(gw, CP_GW_NO_SA); /* the SA's return begins anew */
		return;
	}
	if (!wants(gw) || !turn(gw))
		return;
	gw_save_heard(gw);
	if (gw->state != CP_GW_UP || gw->suspect) {
		gw->suspect = false;
		probe(gw);
	} else if (gw_ask_caps(gw)) {
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

/* Then its return begins anew. While it is there, "canceled" is the dataplane's word for a command that it refused, or had no room for. */
static bool channel_gone(const struct cp_gw *gw, const struct dp_mgcp_done *done)
{
	return done->result == DP_MGCP_CANCELED && (!gw->asserted || !cp_dp_up(gw->gws->dp));
}

void audit_answered(struct cp_gw *gw, const struct dp_mgcp_done *done)
{
	gw->asking = false;
	if (channel_gone(gw, done) || !wants(gw))
		return;
	if (done->result == DP_MGCP_ANSWERED)
		audit_now(gw);
	else
		audit_later(gw, AGAIN_S);
}

/* 4xx and 5xx say that it can do nothing now: asked again. 500 and 501: unknown, not ready. */
static bool is_ok(const struct dp_mgcp_done *done)
{
	return done->result == DP_MGCP_ANSWERED && done->code >= 200 && done->code < 300;
}

static void checked(struct cp_gw *gw, unsigned i, const struct dp_mgcp_done *done)
{
	eps_todo(&gw->eps, i, 0, EP_CHECK);
	if (is_ok(done)) {
		if (gw->eps.state[i] == CP_EP_OFF_HOOK)
			return;
		if (gw->eps.state[i] != CP_EP_IN_SERVICE)
			cfg_log_limited(CFG_LOG_NOTICE, "endpoint-in-service", "gateway=%s endpoint=%s", gw->rec.name,
					gw->rec.endpoints[i].name);
		eps_set(&gw->eps, i, CP_EP_IN_SERVICE);
		if (eps_line(&gw->rec, i) != CP_LINE_NONE && gw->eps.uses[i] == 0)
			eps_todo(&gw->eps, i, EP_ARM, 0);
		gw_able(gw);
	} else if (gw->eps.state[i] != CP_EP_IN_SERVICE || (done->result == DP_MGCP_ANSWERED && (done->code == 500 || done->code == 501))) {
		cfg_log_limited(CFG_LOG_WARN, "endpoint-still-out", "gateway=%s endpoint=%s result=%u code=%u", gw->rec.name,
				gw->rec.endpoints[i].name, done->result, done->code);
		if (gw->eps.state[i] == CP_EP_IN_SERVICE)
			eps_set(&gw->eps, i, CP_EP_OUT);
		gw_able(gw);
		later(gw, i, EP_AGAIN);
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
		later(gw, i, EP_REARM);
}

static void answered(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done)
{
	unsigned i = tag->callref;
	bool here = i < gw->eps.cnt && strcmp(gw->rec.endpoints[i].name, tag->endpoint) == 0; /* its record may be another one now */
	bool wait = false;

	(void)ctx;
	gw->asking = gw->sweeping = false;
	if (tag->op == ASK_SWEEP) {
		gw->sweep = done->result != DP_MGCP_ANSWERED;
		gw_able(gw);
	}
	if (channel_gone(gw, done))
		return;
	if (done->result == DP_MGCP_CANCELED) {
		cfg_log_limited(CFG_LOG_WARN, "gateway-question-refused", "gateway=%s endpoint=%s question=%u", gw->rec.name,
				cfg_q(tag->endpoint), tag->op);
		/* One endpoint does not keep the others from their turn; whatever it is that is not taken comes up again later. */
		if (here && (tag->op == ASK_CHECK || tag->op == ASK_ARM)) {
			eps_todo(&gw->eps, i, 0, tag->op == ASK_CHECK ? EP_CHECK : 0);
			later(gw, i, tag->op == ASK_CHECK ? EP_AGAIN : EP_REARM);
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
		if (done->result == DP_MGCP_ANSWERED && !is_ok(done) && done->code != 515 && done->code != 516)
			audit_all(gw, EP_SWEEP); /* it takes no wildcard */
		break;
	case ASK_CHECK:
		if (here)
			checked(gw, i, done);
		break;
	case ASK_EP_SWEEP:
		if (here)
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
