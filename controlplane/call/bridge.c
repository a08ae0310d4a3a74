/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Barge through the target phone's built-in bridge: a phone joins the call that another phone of its line is in. That phone
 * mixes, so all there is to do is a second stream between the two: a call of its own, with its own legs and keys, whose other party
 * is the target's second place. The barger knows it by the number that the line knows the call by; the target is told of a
 * stream only, and shows nothing but its call. The status of the two is one (001:P1-123 to P1-128). When the barger leaves, the others
 * go on; when the target leaves its call, or holds it, the barger is let go.
 */
#include <errno.h>
#include <stdio.h>

#include "call/barge.h"
#include "callint.h"
#include "sccp/devtype.h"
#include "store/phonecfg.h"
#include "store/typerec.h"

struct party *barge_target(const struct cp_call *barge)
{
	const struct party *p = &barge->p[1];

	return barge->barge && p->agent != NULL ? agent_party(p->agent, p->bridges) : NULL;
}

struct party *barge_at(const struct party *target)
{
	struct party *p = target->agent != NULL && target->bridges == 0 ? target->agent->parties : NULL;

	while (p != NULL && (p->bridges == 0 || p->bridges != target->ref))
		p = p->ag_next;
	return p;
}

static uint8_t can(const struct cp_calls *calls, const struct cp_phone *phone)
{
	const struct cp_device *dev = cp_phone_device(phone);

	return cp_store_devtype(calls->env.store, dev != NULL ? dev->model : "", cp_phone_type(phone)).flags;
}

static bool bridge_on(const struct cp_calls *calls, const struct cp_phone *phone)
{
	const struct cp_device *dev = cp_phone_device(phone);
	struct cp_cluster cl;
	bool on;

	cp_store_cluster(calls->env.store, &cl);
	on = cp_bridge_on(dev != NULL ? dev->bridge : CP_SET_DEFAULT, &cl);
	cp_cluster_free(&cl);
	return on && (can(calls, phone) & CP_DT_BRIDGE) != 0;
}

static bool old_encrypted(const struct cp_calls *calls, const struct cp_phone *phone)
{
	return (can(calls, phone) & CP_DT_OLD_SRTP) != 0 && cp_phone_security(phone) == CP_PHONE_ENCRYPTED;
}

/* A phone that cannot encrypt media is not configured for encryption, whatever its signalling is. */
static enum cp_phone_sec barger_sec(const struct cp_phone *phone)
{
	enum cp_phone_sec sec = cp_phone_security(phone);

	return sec == CP_PHONE_ENCRYPTED && !cp_phone_srtp(phone) ? CP_PHONE_AUTHENTICATED : sec;
}

/* It hears why, until it hangs up. */
static void refuse_with_tone(struct agent *a, uint32_t line, enum cp_barge_result result)
{
	struct cp_call *call = call_new(a->calls);
	bool busy = result == CP_BARGE_BUSY;

	if (call == NULL)
		return;
	route_fill(call, 0, a, line);
	cp_phone_call_state(a->phone, CP_SCCP_OFFHOOK, line, call->ref);
	call_fail(call, busy ? CP_SCCP_BUSY : CP_SCCP_CONGESTION, busy ? CP_SCCP_TONE_BUSY : CP_SCCP_TONE_REORDER,
		  busy ? "Barge: not encrypted" : "Barge: failed");
}

int barge_allowed(const struct party *target, const struct agent *a, uint32_t line, const char **why)
{
	const struct cp_call *call = target->call;

	*why = "it is not connected";
	if (target->shown != REMOTE_IN_USE || call->state != CALL_CONNECTED || target->held || party_phone(target) == NULL)
		return -EPROTO;
	*why = "it is parked";
	if (call->park[0] != '\0')
		return -EPROTO;
	*why = "it is just being changed";
	if (call_busy(call))
		return -EBUSY;
	*why = "the phone is the other party";
	if (call->p[1 - party_side(call, target)].agent == a)
		return -EPROTO;
	*why = "too many calls on this line";
	if (!agent_line_room(a, line))
		return -ENOSPC;
	*why = "the dataplane is not there";
	return cp_dp_up(call->calls->env.dp) ? 0 : -ENOTCONN;
}

int barge_may(const struct party *target, const struct agent *a, uint32_t line, const char **why)
{
	int rc = barge_allowed(target, a, line, why);

	if (rc < 0)
		return rc;
	*why = "it is a conference";
	if (call_conf(target->call) != NULL)
		return -EPROTO;
	*why = "somebody has barged in already";
	if (barge_at(target) != NULL)
		return -EBUSY;
	*why = "the built-in bridge is off, or the phone has none";
	return bridge_on(target->call->calls, party_phone(target)) ? 0 : -EPROTO;
}

/* The new call's two: who barges in, and the target's bridge. */
static void fill(struct cp_call *call, struct party *target, struct agent *a, uint32_t line)
{
	struct party *in = &call->p[0], *bridge = &call->p[1];

	call->barge = true;
	snprintf(call->digits, sizeof(call->digits), "%s", target->number);
	call->digit_cnt = 1;
	route_fill(call, 0, a, line);
	in->ref = target->ref; /* what the line knows it by */
	route_fill(call, 1, target->agent, target->line);
	bridge->bridges = target->ref;
	cdr_restart(call, CP_CDR_BARGE, target->number);
}

int barge_begin(struct party *target, struct agent *a, uint32_t line, const char **why)
{
	struct cp_calls *calls = a->calls;
	struct cp_barge_ask ask;
	struct cp_barge d;
	struct cp_call *call;
	int rc = barge_may(target, a, line, why);

	if (rc < 0)
		return rc;
	ask = (struct cp_barge_ask){.barger = barger_sec(a->phone), .call = call_security(target->call),
				    .target_old = old_encrypted(calls, party_phone(target))};
	d = cp_barge_decide(&ask);
	if (d.result != CP_BARGE_OK) {
		cfg_log(CFG_LOG_NOTICE, "barge-refused", "call=%u device=%s target=%s security=%s", target->call->ref, cfg_q(a->name),
			cfg_q(target->name), cp_security_name(ask.call));
		refuse_with_tone(a, line, d.result);
		return 0;
	}
	*why = "too many calls";
	call = call_new(calls);
	if (call == NULL)
		return -ENOSPC;
	fill(call, target, a, line);
	call->p[0].guest = d.guest;
	call->cap = (uint8_t)d.call;
	*why = "no common codec, no encryption or no media port between the two";
	if (route_agree(call) != ROUTE_OK) {
		call_vanish(call);
		return -ENOSPC;
	}
	cfg_log(CFG_LOG_INFO, "barge", "call=%u device=%s target=%s of=%u", call->ref, cfg_q(a->name), cfg_q(target->name), target->call->ref);
	ui_resumed(call, 0);
	call_answered(call);
	return 0;
}

void barge_drop(const struct party *target)
{
	struct party *p = barge_at(target);

	if (p != NULL)
		call_end(p->call, "the phone that was barged in to left its call");
}

void barge_show(struct cp_call *barge)
{
	struct party *target = barge_target(barge);
	struct party *in = &barge->p[0];
	struct cp_phone *phone = party_phone(in);

	if (target != NULL && phone != NULL)
		ui_callinfo_at(target->call, party_side(target->call, target), phone, in->line, in->guest);
}

void barge_changed(struct party *target)
{
	if (target == NULL || target->call->state != CALL_CONNECTED)
		return;
	target->shown = REMOTE_NONE; /* all are shown it again: who has left sees it as the others do */
	ui_callinfo(target->call, 0);
	ui_callinfo(target->call, 1);
}

unsigned barge_parties(const struct cp_call *call, struct cp_party_security s[BARGE_PARTIES_MAX], enum cp_security *ret_cap)
{
	const struct party *target = barge_target(call);
	unsigned n = 0;

	*ret_cap = CP_SEC_ENCRYPTED;
	if (target != NULL)
		call = target->call;
	for (unsigned i = 0; i < 2; i++) {
		const struct party *p = &call->p[i], *b = barge_at(p);

		if (p->kind != PARTY_PHONE && p->kind != PARTY_GATEWAY)
			continue;
		s[n++] = party_security(call, p);
		for (unsigned k = 0; b != NULL && k < 2; k++) {
			s[n] = party_security(b->call, &b->call->p[k]);
			if (b->call->state == CALL_CONNECTING) /* what it will be: nothing is claimed in between that is more */
				s[n].media_encrypted = b->call->secure;
			n++;
		}
		if (b != NULL && b->call->cap < *ret_cap)
			*ret_cap = (enum cp_security)b->call->cap;
	}
	return n;
}
