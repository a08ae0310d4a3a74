/* SPDX-License-Identifier: BSD-3-Clause */
/* What people do at their phones, and what phones answer. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "callint.h"
#include "dial/plan.h"

#define FIRST_MS 15000 /* to the first digit */

/* The agent's place in a call: the one that it names; else the one that it is in. NULL: none, or that call has ended. */
static struct party *place(struct cp_calls *calls, struct cp_phone *phone, uint32_t callref)
{
	struct agent *a = agent_find(calls, cp_phone_name(phone), false);
	struct party *p;

	if (a == NULL)
		return NULL;
	if (callref != 0)
		return agent_party(a, callref);
	p = agent_active(a);
	if (p == NULL)
		p = agent_ringing(a, 0);
	return p != NULL ? p : agent_held(a, 0);
}

static unsigned side_of(const struct party *p)
{
	return party_side(p->call, p);
}

/* What is said to it from now on goes as it has registered now. Never more than when the call was made: its keys were told then. */
static void lower(struct party *p)
{
	enum cp_phone_sec sec = cp_phone_security(p->agent->phone);
	bool auth = p->signal_auth && sec != CP_PHONE_NONSECURE, enc = p->signal_enc && sec == CP_PHONE_ENCRYPTED;

	if (auth == p->signal_auth && enc == p->signal_enc)
		return;
	p->signal_auth = auth;
	p->signal_enc = enc;
	if (p->call->state != CALL_CONNECTED)
		return; /* shown when it is */
	call_show(p->call);
	barge_changed(barge_target(p->call));
}

/* A call that outlived the connection shows again: the phone may hang it up. */
static void show_again(struct party *p)
{
	struct cp_call *call = p->call;
	unsigned side = side_of(p);

	party_learn(p);
	lower(p);
	if (call->state != CALL_CONNECTED)
		return;
	if (p->bridges != 0) {
		p->media_on = true;
		return;
	}
	if (p->held) {
		ui_held(call, side);
	} else {
		p->media_on = true;
		cp_phone_lamp(p->agent->phone, p->line, CP_SCCP_LAMP_ON);
		cp_phone_call_state(p->agent->phone, CP_SCCP_CONNECTED, p->line, p->ref);
		cp_phone_softkeys(p->agent->phone, call_conf(call) != NULL ? CP_SCCP_KEYS_CONFERENCE : CP_SCCP_KEYS_CONNECTED, p->line, p->ref);
	}
	p->toned = false;
	music_tone(call, side);
	ui_callinfo(call, side);
	conf_changed(call);
	direct_watch(call);
}

static void on_registered(void *ctx, struct cp_phone *phone)
{
	struct cp_calls *calls = ctx;
	struct agent *a = agent_find(calls, cp_phone_name(phone), true);

	if (a == NULL)
		return;
	a->phone = phone;
	vm_registered(a);
	for (struct party *p = a->parties; p != NULL; p = p->ag_next)
		show_again(p);
	shared_registered(a);
}

/* Media does not hang on the signalling connection: an established call goes on. */
static bool outlives(const struct party *p, enum cp_phone_gone why)
{
	return p->call->state == CALL_CONNECTED && !p->rekeying && !p->resuming &&
	       (p->call->calls->stopping || (why != CP_GONE_UNREGISTERED && why != CP_GONE_REMOVED));
}

static void on_gone(void *ctx, struct cp_phone *phone, enum cp_phone_gone why)
{
	struct cp_calls *calls = ctx;
	struct agent *a = agent_find(calls, cp_phone_name(phone), false);
	struct party *p;

	if (a == NULL || a->phone != phone)
		return; /* replaced by a newer registration */
	vm_gone(a);
	a->phone = NULL;
	if (a->parties == NULL) {
		agent_release(calls, a);
		return;
	}
	/* The end of one call may be that of another, where somebody has barged in; the last place to go may take the agent along. */
	p = a->parties;
	while (p != NULL) {
		if (outlives(p, why)) {
			direct_watch(p->call);
			p = p->ag_next;
			continue;
		}
		if (!park_unring(p) && (!party_rings(p) || !ring_leave(p)))
			call_end(call_cause(p->call, CP_Q850_OUT_OF_ORDER), why == CP_GONE_UNREGISTERED ? "phone unregistered" : "phone lost");
		a = agent_find(calls, cp_phone_name(phone), false);
		p = a != NULL ? a->parties : NULL;
	}
}

/* The phone turns to another call: what it is in waits, or ends if there is nobody to wait. False: neither can be. */
static bool put_aside(struct agent *a)
{
	struct party *p = agent_active(a);
	const char *why;

	if (p == NULL)
		return true;
	if (p->call->barge) {
		call_end(call_by(p), "who had barged in turned to another call");
		return true;
	}
	if (p->call->state == CALL_CONNECTED)
		return hold_begin(p->call, side_of(p), &why) == 0;
	if (p->call->state == CALL_CONNECTING)
		return false;
	call_end(call_by(p), "the phone turned to another call");
	return true;
}

/* The same, for a feature: 'why' is what it reads if neither can be, or if what it turns to is not there any more then. */
static bool turn(struct agent *a, const char **why)
{
	*why = "another call is being set up";
	return put_aside(a);
}

struct cp_call *call_dial(struct cp_calls *calls, struct cp_phone *phone, uint32_t line)
{
	struct agent *a = agent_find(calls, cp_phone_name(phone), false);
	struct cp_call *call;

	if (line == 0)
		line = 1;
	if (a == NULL || cp_phone_line_number(phone, line) == NULL)
		return NULL;
	if (agent_line_calls(a, line) >= calls->env.cfg->calls.max_per_line) {
		cp_phone_prompt(phone, "Too many calls", 10, line, 0);
		return NULL;
	}
	if (!put_aside(a))
		return NULL;
	call = call_new(calls);
	if (call == NULL) {
		cfg_log_limited(CFG_LOG_ERR, "too-many-calls", "max=%d", CALL_SLOTS);
		return NULL;
	}
	route_fill(call, 0, a, line);
	call->state = CALL_DIALING;
	ui_dialing(call);
	call_timer(call, FIRST_MS);
	return call;
}

/* The call may have ended under what was tried. */
static void refuse(struct cp_phone *phone, uint32_t line, uint32_t ref, const char *text, const char *why)
{
	cfg_log(CFG_LOG_INFO, "feature-refused", "device=%s text=%s reason=%s", cfg_q(cp_phone_name(phone)), cfg_q(text), cfg_q(why));
	cp_phone_prompt(phone, text, 10, line, ref);
}

static void answer(struct party *p)
{
	struct cp_call *call = p->call;
	struct cp_calls *calls = call->calls;
	struct agent *a = p->agent;
	uint32_t ref = call->ref;
	const char *why;

	if (!party_rings(p) || p->kind != PARTY_PHONE || !put_aside(a) || call_find(calls, ref) != call || (p = agent_party(a, ref)) == NULL)
		return;
	if (ring_answer(p, &why) == 0)
		call_answered(call);
	else if (call_find(calls, ref) == call)
		refuse(a->phone, p->line, ref, "Cannot answer", why);
}

static void resume(struct party *p)
{
	struct cp_phone *phone = p->agent->phone;
	uint32_t line = p->line, ref = p->ref;
	const char *why;

	/* What the phone is in does not wait, or end, for what is refused. */
	if (hold_may_end(p->call, side_of(p), &why) < 0 || !turn(p->agent, &why) || hold_end(p->call, side_of(p), &why) < 0)
		refuse(phone, line, ref, "Cannot resume now", why);
}

static void hold(struct party *p)
{
	struct cp_phone *phone = p->agent->phone;
	uint32_t line = p->line, ref = p->ref;
	const char *why;

	if (hold_begin(p->call, side_of(p), &why) < 0)
		refuse(phone, line, ref, "Cannot hold now", why);
}

static void put_away(struct party *p)
{
	struct cp_phone *phone = p->agent->phone;
	uint32_t line = p->line, ref = p->ref;
	const char *why;

	if (park(p, &why) < 0)
		refuse(phone, line, ref, "Cannot park now", why);
}

static void transfer(struct party *p)
{
	struct cp_phone *phone = p->agent->phone;
	uint32_t line = p->line, ref = p->ref;
	const char *why;

	if ((p->consult != 0 ? transfer_finish(p, &why) : transfer_begin(p, &why)) < 0)
		refuse(phone, line, ref, "Cannot transfer", why);
}

/* A call on hold at another phone of a shared line goes on here. */
static void resume_elsewhere(struct agent *a, struct party *held, uint32_t line)
{
	uint32_t ref = held->ref;
	struct route_terms terms;
	const char *why;

	if (shared_may_resume(held, a, line, &terms, &why) < 0 || !turn(a, &why) || (held = shared_find(a, ref, &line)) == NULL ||
	    shared_resume(held, a, line, &why) < 0)
		refuse(a->phone, line, ref, "Cannot resume now", why);
}

/* Handset, speaker or a line's button: what rings there is answered, what was held there goes on, else a call begins. */
static void on_offhook(void *ctx, struct cp_phone *phone, uint32_t line, uint32_t callref)
{
	struct agent *a = agent_find(ctx, cp_phone_name(phone), false);
	struct party *p;

	if (a == NULL)
		return;
	p = callref != 0 ? agent_party(a, callref) : agent_ringing(a, line);
	if (p == NULL && callref != 0 && (p = shared_find(a, callref, &line)) != NULL && p->held) {
		resume_elsewhere(a, p, line);
		return;
	}
	if (p != NULL && p->agent != a)
		return; /* in use at another phone */
	if (p != NULL && p->held)
		resume(p);
	else if (p != NULL)
		answer(p);
	else if (agent_active(a) == NULL && (p = agent_held(a, line)) != NULL && line != 0)
		resume(p);
	else if (agent_active(a) == NULL)
		call_dial(ctx, phone, line);
}

static void on_onhook(void *ctx, struct cp_phone *phone, uint32_t line, uint32_t callref)
{
	struct party *p = place(ctx, phone, callref);

	(void)line;
	/* A handset put back while the other phone rings here, or while a call is held, is no refusal. */
	if (p == NULL || p->held || party_rings(p))
		return;
	call_end(call_by(p), "phone hung up");
}

/* '#' is a digit where the plan has a number or a pattern with it in that place; else it ends the dialling. */
static bool pound_ends(const struct cp_call *call)
{
	char digits[DIGITS_MAX + 2];
	struct cp_dialled to;

	if (call->digit_cnt == 0 || call->digit_cnt == DIGITS_MAX)
		return call->digit_cnt > 0;
	snprintf(digits, sizeof(digits), "%s#", call->digits);
	return !route_look(call, digits, true, &to) && !to.longer;
}

void call_digit(struct cp_call *call, char digit)
{
	struct party *p = &call->p[0];
	struct cp_phone *phone = party_phone(p);
	struct cp_dialled to;
	enum special special;
	bool found, more;

	if (call->digit_cnt == 0 && phone != NULL) {
		cp_phone_stop_tone(phone, p->line, call->ref);
		cp_phone_softkeys(phone, CP_SCCP_KEYS_DIGITS, p->line, call->ref);
	}
	if (digit == '#' && call->digit_cnt > 0 && (call->group_pickup || pound_ends(call))) {
		route_digits(call);
		return;
	}
	if (call->digit_cnt == DIGITS_MAX) {
		call_fail(call_cause(call, CP_Q850_BAD_NUMBER), CP_SCCP_INVALID_NUMBER, CP_SCCP_TONE_REORDER, "Number too long");
		return;
	}
	call->digits[call->digit_cnt++] = digit;
	found = route_look(call, call->digits, false, &to);
	more = false;
	if (p->kind == PARTY_PHONE) /* conferences and park numbers are phones' */
		found |= conf_number(call->calls, call->digits, &more);
	to.longer |= more;
	special = p->kind == PARTY_PHONE ? special_number(call, call->digits) : SPECIAL_NO;
	found |= special == SPECIAL_WHOLE;
	to.longer |= special == SPECIAL_BEGINS;
	if (call->group_pickup) /* the groups are not listed anywhere: it ends with #, or in time */
		call_timer(call, call->calls->env.cfg->calls.interdigit_s * 1000u);
	else if (!found && !to.longer)
		call_fail(call, CP_SCCP_INVALID_NUMBER, CP_SCCP_TONE_REORDER, "Unknown number");
	else if (found && !to.longer)
		route_digits(call);
	else
		call_timer(call, call->calls->env.cfg->calls.interdigit_s * 1000u);
}

static void on_digit(void *ctx, struct cp_phone *phone, char digit, uint32_t line, uint32_t callref)
{
	struct party *p = place(ctx, phone, callref);

	(void)line;
	if (p != NULL && p->call->state == CALL_DIALING && p == &p->call->p[0])
		call_digit(p->call, digit);
}

static void on_enbloc(void *ctx, struct cp_phone *phone, const char *number, uint32_t line)
{
	struct party *p = place(ctx, phone, 0);
	struct cp_call *call = p != NULL && p->call->state == CALL_DIALING ? p->call : call_dial(ctx, phone, line);

	if (call == NULL)
		return;
	call->group_pickup = false;
	if (strlen(number) > DIGITS_MAX) {
		call_fail(call_cause(call, CP_Q850_BAD_NUMBER), CP_SCCP_INVALID_NUMBER, CP_SCCP_TONE_REORDER, "Number too long");
		return;
	}
	snprintf(call->digits, sizeof(call->digits), "%s", number);
	call->digit_cnt = (unsigned)strlen(call->digits);
	route_digits(call);
}

static void barge(struct agent *a, struct party *target, uint32_t line, bool shared)
{
	uint32_t ref = target->ref;
	const char *why;

	if (conf_has(call_conf(target->call), a)) {
		refuse(a->phone, line, ref, "Cannot barge", "the phone is a member already");
		return;
	}
	if ((shared ? conf_may_barge : barge_may)(target, a, line, &why) < 0 || !turn(a, &why) ||
	    (target = shared_find(a, ref, &line)) == NULL || (shared ? conf_barge : barge_begin)(target, a, line, &why) < 0)
		refuse(a->phone, line, ref, "Cannot barge", why);
}

/* A key at a call of another phone of a shared line. */
static void remote_key(struct cp_calls *calls, struct cp_phone *phone, uint32_t event, uint32_t callref)
{
	struct agent *a = agent_find(calls, cp_phone_name(phone), false);
	uint32_t line = 0;
	struct party *p = a != NULL ? shared_find(a, callref, &line) : NULL;

	if (p != NULL && event == CP_SCCP_KEY_RESUME)
		resume_elsewhere(a, p, line);
	else if (p != NULL && (event == CP_SCCP_KEY_BARGE || event == CP_SCCP_KEY_CBARGE))
		barge(a, p, line, event == CP_SCCP_KEY_CBARGE);
}

static void pickup(struct cp_calls *calls, struct cp_phone *phone, uint32_t event, uint32_t line)
{
	const struct agent *a = agent_find(calls, cp_phone_name(phone), false);
	struct party *p = a != NULL ? agent_active(a) : NULL;
	struct cp_call *dial = p != NULL && p->call->state == CALL_DIALING ? p->call : call_dial(calls, phone, line);

	if (dial != NULL)
		pickup_key(dial, event);
}

/* The Messages key calls the pilot, if there is one. */
static void messages(struct cp_calls *calls, struct cp_phone *phone, uint32_t line)
{
	const char *pilot = calls->env.cfg->calls.voicemail;

	if (pilot != NULL)
		on_enbloc(calls, phone, pilot, line);
	else
		cp_phone_prompt(phone, "No voice mail", 10, line, 0);
}

/* The number that is dialled next starts a conference. */
static void meetme(struct cp_calls *calls, struct cp_phone *phone, uint32_t line, const struct party *p)
{
	struct cp_call *call = p != NULL && p->call->state == CALL_DIALING && p->call->digit_cnt == 0 ? p->call : NULL;

	if (call == NULL && (p == NULL || p->call->state == CALL_CONNECTED))
		call = call_dial(calls, phone, line);
	if (call == NULL)
		return;
	if (call->sets_cfa) /* it is a call after all */
		call->sets_cfa = call->billed = false;
	call->group_pickup = false;
	call->meetme = true;
	cp_phone_prompt(phone, "Conference number", 0, call->p[0].line, call->p[0].ref);
}

/* A key of a call that has ended meanwhile is not for the one that came after it. */
static void on_softkey(void *ctx, struct cp_phone *phone, uint32_t event, uint32_t line, uint32_t callref)
{
	struct party *p = place(ctx, phone, callref);

	if (event == CP_SCCP_KEY_CFWDALL) {
		if (p == NULL || p->call->state == CALL_DIALING)
			cfa_key(ctx, phone, line, p != NULL ? p->call : NULL);
		return;
	}
	if (event == CP_SCCP_KEY_MESSAGES) {
		messages(ctx, phone, line);
		return;
	}
	if (event == CP_SCCP_KEY_PICKUP || event == CP_SCCP_KEY_GPICKUP || event == CP_SCCP_KEY_OPICKUP) {
		pickup(ctx, phone, event, line);
		return;
	}
	if (event == CP_SCCP_KEY_MEETME) {
		meetme(ctx, phone, line, p); /* 'p' may be gone with its call */
		return;
	}
	if (p == NULL && event != CP_SCCP_KEY_NEWCALL) {
		remote_key(ctx, phone, event, callref);
		return;
	}
	switch (event) {
	case CP_SCCP_KEY_NEWCALL:
		if (p == NULL || p->call->state != CALL_DIALING)
			call_dial(ctx, phone, line);
		break;
	case CP_SCCP_KEY_ANSWER:
		answer(p);
		break;
	case CP_SCCP_KEY_ENDCALL:
		if (!party_rings(p) || (!ring_leave(p) && !park_unring(p)))
			call_end(call_by(p), "phone ended the call");
		break;
	case CP_SCCP_KEY_HOLD:
		hold(p);
		break;
	case CP_SCCP_KEY_TRANSFER:
		transfer(p);
		break;
	case CP_SCCP_KEY_RESUME:
		resume(p);
		break;
	case CP_SCCP_KEY_PARK:
		put_away(p);
		break;
	default:
		if (!conf_key(p, event))
			cfg_log(CFG_LOG_DEBUG, "softkey-ignored", "device=%s event=%u", cp_phone_name(phone), event);
		break;
	}
}

/* The place whose stream the phone speaks of. */
static struct party *stream(struct cp_calls *calls, struct cp_phone *phone, uint32_t party)
{
	struct agent *a = agent_find(calls, cp_phone_name(phone), false);
	struct party *p = a != NULL ? agent_party(a, party >> 1) : NULL;

	return p != NULL && (party & 1) == p->stream ? p : NULL;
}

static void on_orc_ack(void *ctx, struct cp_phone *phone, uint32_t status, const struct cfg_addr *media,
		       uint32_t party, uint32_t callref)
{
	struct party *p = stream(ctx, phone, party);
	struct cp_call *call = p != NULL ? p->call : NULL;
	unsigned side = p != NULL ? side_of(p) : 0;
	int rc;

	(void)callref;
	if (p == NULL || !p->media_on)
		return;
	if (status != 0 || media == NULL || media->port == 0) {
		/* A secure channel that cannot be opened is not opened in clear instead. */
		cfg_log(CFG_LOG_WARN, "receive-channel-refused", "device=%s call=%u status=%u", cp_phone_name(phone),
			call->ref, status);
		call_end(call_cause(call, CP_Q850_OUT_OF_ORDER), "phone opened no receive channel");
		return;
	}
	if (call->direct && p->ready)
		return; /* told already: the other party sends there */
	p->remote = *media;
	p->ready = true;
	rc = call->direct ? direct_confirmed(call, side) : legs_assert(call, side, false);
	if (rc == -ENOTCONN && !call->direct && call->media_started) /* asserted when the dataplane returns */
		rc = 0;
	if (rc < 0) {
		call_end(call_cause(call, CP_Q850_TEMPORARY), call->direct ? "phone lost" : "dataplane not reachable");
		return;
	}
	if (p->rekeying)
		rekey_confirmed(call, side);
	else if (p->resuming)
		hold_over(call, side, true);
	else
		call_media_ready(call);
}

static void on_smt_ack(void *ctx, struct cp_phone *phone, uint32_t status, uint32_t party, uint32_t callref)
{
	struct party *p = stream(ctx, phone, party);

	(void)callref;
	if (p != NULL && status != 0 && !p->fork)
		call_end(call_cause(p->call, CP_Q850_OUT_OF_ORDER), "phone cannot send media");
}

static void on_media_failed(void *ctx, struct cp_phone *phone, uint32_t party, uint32_t callref)
{
	on_smt_ack(ctx, phone, 1, party, callref);
}

static void on_caps(void *ctx, struct cp_phone *phone)
{
	(void)ctx; /* read when a call is routed */
	(void)phone;
}

static void on_forward_stat(void *ctx, struct cp_phone *phone, uint32_t line)
{
	cfa_show(ctx, phone, line);
}

const struct cp_call_ops cp_calls_phone_ops = {
	.registered = on_registered,
	.gone = on_gone,
	.offhook = on_offhook,
	.onhook = on_onhook,
	.digit = on_digit,
	.enbloc = on_enbloc,
	.softkey = on_softkey,
	.orc_ack = on_orc_ack,
	.smt_ack = on_smt_ack,
	.media_failed = on_media_failed,
	.caps = on_caps,
	.forward_stat = on_forward_stat,
};
