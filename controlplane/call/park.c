/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Park: a phone puts a call on a number of calls.park, and whoever dials that number has it. The party that waits keeps its leg, over
 * which it hears the network's music meanwhile; the place beside it is the number's (PARTY_PARK), and goes to the phone that
 * retrieves, with a leg in the same shard and keys that were never used. After calls.park_reversion_s the phone that parked rings, again and
 * again. The call's record says all of it: a parked call is there after a restart as a held one is.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "callint.h"

#define SHOW_S 10 /* how long the number is shown to who parked */

static struct party *slot_of(struct cp_call *call)
{
	for (unsigned s = 0; s < 2; s++)
		if (call->p[s].kind == PARTY_PARK)
			return &call->p[s];
	return NULL;
}

static struct cp_call *find(struct cp_calls *calls, const char *number)
{
	for (uint32_t i = 0; i < CALL_SLOTS; i++)
		if (calls->slot[i] != NULL && strcmp(calls->slot[i]->park, number) == 0)
			return calls->slot[i];
	return NULL;
}

/* The lowest number that nothing is parked at. False: all are taken, or there are none. */
static bool free_number(struct cp_calls *calls, char ret[DIGITS_MAX + 1])
{
	const struct cfg_range *r = &calls->env.cfg->calls.park;

	for (uint64_t n = r->first; r->digits != 0 && n <= r->last; n++) {
		snprintf(ret, DIGITS_MAX + 1, "%0*llu", r->digits, (unsigned long long)n);
		if (find(calls, ret) == NULL)
			return true;
	}
	return false;
}

enum special park_number(const struct cp_calls *calls, const char *digits)
{
	const struct cfg_range *r = &calls->env.cfg->calls.park;
	char first[DIGITS_MAX + 1], last[DIGITS_MAX + 1];
	size_t n = strlen(digits);

	if (r->digits == 0 || n > r->digits || strspn(digits, "0123456789") != n)
		return SPECIAL_NO;
	snprintf(first, sizeof(first), "%0*llu", r->digits, (unsigned long long)r->first);
	snprintf(last, sizeof(last), "%0*llu", r->digits, (unsigned long long)r->last);
	if (strncmp(digits, first, n) < 0 || strncmp(digits, last, n) > 0)
		return SPECIAL_NO;
	return n == r->digits ? SPECIAL_WHOLE : SPECIAL_BEGINS;
}

static void wait_for_retrieval(struct cp_call *call)
{
	call_timer(call, call->calls->env.cfg->calls.park_reversion_s * 1000u);
}

/* That side of the call is the number's now. */
static void fill_slot(struct cp_call *call, unsigned side)
{
	struct party *p = &call->p[side];

	p->kind = PARTY_PARK;
	p->held = true;
	p->ready = false;
	p->suite = DP_SRTP_NONE;
	p->codec = 0;
	p->line = call->park_line;
	snprintf(p->name, sizeof(p->name), "%s", call->park_device);
	snprintf(p->number, sizeof(p->number), "%s", call->park);
	snprintf(p->label, sizeof(p->label), "Park %.30s", call->park);
}

static void note(struct cp_call *call)
{
	if (call->stored && record_write(call, NULL, NULL) < 0)
		cfg_log_limited(CFG_LOG_WARN, "call-record-not-updated", "call=%u", call->ref);
}

static int can_park(struct party *p, char number[DIGITS_MAX + 1], const char **why)
{
	struct cp_call *call = p->call;
	const struct party *other = &call->p[1 - party_side(call, p)];

	*why = "the call is not connected";
	if (call->state != CALL_CONNECTED || p->kind != PARTY_PHONE || p->held || (other->kind != PARTY_PHONE && other->kind != PARTY_GATEWAY))
		return -EPROTO;
	*why = "who has barged in can only leave";
	if (call->barge)
		return -EPROTO;
	*why = "it is a conference";
	if (call_conf(call) != NULL)
		return -EPROTO;
	*why = "something else is under way";
	if (call_busy(call) || other->held)
		return -EBUSY;
	*why = "its media goes to a gateway directly";
	if (call->direct && other->kind == PARTY_GATEWAY)
		return -EPROTO;
	*why = "no park number is free";
	return free_number(call->calls, number) ? 0 : -ENOSPC;
}

int park(struct party *p, const char **why)
{
	struct cp_call *call = p->call;
	struct cp_calls *calls = call->calls;
	unsigned side = party_side(call, p);
	struct party *waits = &call->p[1 - side];
	struct cp_phone *phone = party_phone(p);
	uint32_t ref = call->ref, line = p->line;
	char number[DIGITS_MAX + 1], by[DIGITS_MAX + 1], text[64];
	int rc = can_park(p, number, why);

	if (rc < 0)
		return rc;
	cdr_split(call, NULL, call);
	snprintf(by, sizeof(by), "%s", p->number);
	snprintf(call->park, sizeof(call->park), "%s", number);
	snprintf(call->park_device, sizeof(call->park_device), "%.31s", p->name);
	call->park_line = line;
	party_leave(p);
	barge_drop(waits);
	if (call->direct) /* nobody is there whom it could speak to: its channel is opened anew when somebody is */
		party_unplug(waits);
	fill_slot(call, side);
	cdr_restart(call, CP_CDR_PARK, by);
	cdr_connected(call);
	(void)music_set(call, 1 - side, MUSIC_NETWORK);
	*why = "the dataplane refused";
	if (!call->direct && legs_assert(call, 1 - side, false) < 0 && cp_dp_up(calls->env.dp)) {
		call_end(call_cause(call, CP_Q850_TEMPORARY), "dataplane not reachable");
		return -EIO;
	}
	if (call_find(calls, ref) != call)
		return -EIO;
	note(call);
	ui_callinfo(call, 1 - side);
	wait_for_retrieval(call);
	snprintf(text, sizeof(text), "Call park at %s", number);
	if (phone != NULL)
		cp_phone_prompt(phone, text, SHOW_S, line, 0);
	cfg_log(CFG_LOG_INFO, "call-parked", "call=%u at=%s by=%s", ref, number, cfg_q(call->park_device));
	return 0;
}

/* --- somebody else takes it --- */

enum cp_q850 party_may_join(const struct party *waits, struct agent *a, struct route_terms *ret)
{
	const struct cp_device *dev = cp_phone_device(a->phone);
	struct party joins = {.kind = PARTY_PHONE, .agent = a, .call = waits->call, .leg_id = NO_LEG};
	const char *why;

	snprintf(joins.region, sizeof(joins.region), "%s", dev != NULL ? dev->region : "default");
	party_learn(&joins);
	route_security(&joins, a->phone);
	switch (party_terms(waits, &joins, ret, &why)) {
	case 0:
		return CP_Q850_NONE;
	case -EACCES:
		return CP_Q850_NO_BEARER;
	default:
		return CP_Q850_INCOMPATIBLE;
	}
}

int party_agree(struct cp_call *call, unsigned side, const struct route_terms *terms)
{
	struct party *p = &call->p[side];
	const struct party *waits = &call->p[1 - side];

	party_meet(call, side, terms);
	p->event_pt = waits->event_pt != 0 && cp_phone_has_codec(party_phone(p), CP_SCCP_RFC2833) ? EVENT_PT : 0;
	return party_replug(call, 1 - side);
}

static void ring_no_more(struct cp_call *call);

void park_retrieve(struct cp_call *dial)
{
	struct cp_call *call = find(dial->calls, dial->digits);
	enum cp_q850 no;
	char by[DIGITS_MAX + 1];
	unsigned side;
	struct route_terms terms;

	if (call != NULL && call->state == CALL_ALERTING)
		ring_no_more(call);
	if (call == NULL || slot_of(call) == NULL || call_busy(call) || call->p[0].agent == dial->p[0].agent || call->p[1].agent == dial->p[0].agent) {
		call_fail(call_cause(dial, CP_Q850_UNALLOCATED), CP_SCCP_INVALID_NUMBER, CP_SCCP_TONE_REORDER, "Nothing parked here");
		return;
	}
	side = party_side(call, slot_of(call));
	no = party_may_join(&call->p[1 - side], dial->p[0].agent, &terms);
	if (no != CP_Q850_NONE) {
		call_fail(call_cause(dial, no), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER,
			  no == CP_Q850_NO_BEARER ? "Cannot be encrypted" : "No common codec");
		return;
	}
	ui_proceeding(dial);
	cdr_split(call, NULL, call);
	cdr_split(dial, call, call);
	snprintf(by, sizeof(by), "%s", call->redirecting);
	cfg_log(CFG_LOG_INFO, "call-retrieved", "call=%u at=%s by=%s", call->ref, call->park, cfg_q(dial->p[0].name));
	call->park[0] = '\0';
	party_clear(call, side);
	party_move(call, side, dial, 0);
	call_vanish(dial);
	cdr_restart(call, CP_CDR_PARK, by);
	if (party_agree(call, side, &terms) < 0)
		call_end(call_cause(call, CP_Q850_NO_RESOURCE), "no media port for a parked call");
	else
		call_connect(call);
}

/* --- nobody took it: back to who parked --- */

/* The caller is on side 0, as of every call that rings. */
static void turn(struct cp_call *call)
{
	unsigned side = party_side(call, slot_of(call));

	party_clear(call, side);
	call->p[side].held = false;
	if (side == 0)
		party_move(call, 0, call, 1);
}

static bool ring_back(struct cp_call *call)
{
	struct cp_calls *calls = call->calls;
	struct agent *a = agent_find(calls, call->park_device, false);
	struct party *waits = &call->p[1 - party_side(call, slot_of(call))];
	struct route_terms terms;

	if (a == NULL || a->phone == NULL || a == waits->agent || cp_phone_line_number(a->phone, call->park_line) == NULL ||
	    agent_line_calls(a, call->park_line) >= calls->env.cfg->calls.busy_trigger || party_may_join(waits, a, &terms) != CP_Q850_NONE ||
	    call_busy(call) || waits->held || !cp_dp_up(calls->env.dp))
		return false;
	turn(call);
	route_fill(call, 1, a, call->park_line);
	if (party_agree(call, 1, &terms) < 0) {
		call_end(call_cause(call, CP_Q850_NO_RESOURCE), "no media port for a parked call");
		return true;
	}
	call->state = CALL_ALERTING;
	cfg_log(CFG_LOG_INFO, "call-park-reverts", "call=%u at=%s to=%s", call->ref, call->park, cfg_q(a->name));
	ui_ringin(&call->p[1]);
	ui_callinfo(call, 0);
	call_timer(call, calls->env.cfg->mgcp.answer_s * 1000u);
	return true;
}

/* Parked again, where it was. */
static void ring_no_more(struct cp_call *call)
{
	party_leave(&call->p[1]);
	if (!call->p[0].ready) { /* its media was direct: nobody is there again whom it could speak to */
		legs_put(call, 0);
		call->direct = true;
	}
	fill_slot(call, 1);
	call->state = CALL_CONNECTED;
	if (legs_assert(call, 0, false) < 0)
		cfg_log_limited(CFG_LOG_WARN, "leg-not-asserted", "call=%u", call->ref);
	note(call);
	ui_callinfo(call, 0);
	wait_for_retrieval(call);
}

void park_watch(struct cp_call *call)
{
	if (slot_of(call) != NULL)
		wait_for_retrieval(call);
}

bool park_unring(struct party *p)
{
	if (p->call->park[0] == '\0' || p->call->state != CALL_ALERTING || p != &p->call->p[1])
		return false;
	ring_no_more(p->call);
	return true;
}

bool park_expired(struct cp_call *call)
{
	const struct party *slot = slot_of(call), *waits;

	if (call->park[0] == '\0')
		return false;
	if (slot == NULL) {
		if (call->state != CALL_ALERTING)
			return false;
		ring_no_more(call);
		return true;
	}
	waits = &call->p[1 - party_side(call, slot)];
	if (waits->resuming)
		return false; /* the timer was that of its channel */
	if (waits->kind == PARTY_PHONE && party_phone(waits) == NULL)
		call_end(call_cause(call, CP_Q850_OUT_OF_ORDER), "parked, and nobody is there any more");
	else if (!ring_back(call))
		wait_for_retrieval(call);
	return true;
}

void park_answered(struct cp_call *call)
{
	char by[DIGITS_MAX + 1];

	if (call->park[0] == '\0')
		return;
	snprintf(by, sizeof(by), "%s", call->redirecting);
	cdr_split(call, NULL, call);
	cdr_restart(call, CP_CDR_PARK, by);
	call->park[0] = '\0';
}

void park_loaded(struct cp_call *call)
{
	const struct party *slot = slot_of(call);

	if (slot == NULL)
		return;
	snprintf(call->park, sizeof(call->park), "%s", slot->number);
	snprintf(call->park_device, sizeof(call->park_device), "%.31s", slot->name);
	call->park_line = slot->line;
	if (call->direct)
		call->p[1 - party_side(call, slot)].ready = false;
	wait_for_retrieval(call);
}
