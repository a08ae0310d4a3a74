/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared lines: one number at several phones (000:P0-09, P0-10). What one of them does in a call that stands is shown at the
 * others: in use there (call state 13), or on hold, and then any of them may take it. They know the call by the number that the
 * phone knows it by whose call it is. Nothing is kept of them but what they were shown last: who registers is shown what there is.
 */
#include <errno.h>
#include <string.h>

#include "callint.h"

static enum remote_state state_of(const struct party *p)
{
	if (p->kind != PARTY_PHONE || p->agent == NULL || p->fork || p->call->barge)
		return REMOTE_NONE;
	if (p->call->state == CALL_CONNECTING)
		return (enum remote_state)p->shown; /* it is being changed: soon more is known */
	if (p->call->state != CALL_CONNECTED)
		return REMOTE_NONE;
	return p->held ? REMOTE_HELD : REMOTE_IN_USE;
}

/* A phone that is not in the call. */
static void show(const struct party *p, struct agent *a, uint32_t line, enum remote_state now, bool changed)
{
	struct cp_phone *phone = a->phone;
	bool held = now == REMOTE_HELD;

	if (changed) {
		cp_phone_call_state(phone, now == REMOTE_NONE ? CP_SCCP_ONHOOK : held ? CP_SCCP_HOLD : CP_SCCP_REMOTE, line, p->ref);
		if (now != REMOTE_NONE)
			cp_phone_softkeys(phone, held ? CP_SCCP_KEYS_HOLD : CP_SCCP_KEYS_REMOTE, line, p->ref);
		ui_lamp(a, line);
	}
	if (now != REMOTE_NONE)
		ui_callinfo_at(p->call, party_side(p->call, p), phone, line, false);
}

static void tell(struct party *p, enum remote_state now)
{
	struct cp_calls *calls = p->call->calls;
	struct cp_dir_place place[CP_LINE_DEVICES_MAX];
	bool changed = now != p->shown;
	unsigned n = cp_dir_line_devices(calls->env.store, p->number, cp_dir_partition(cp_dir_device(calls->env.store, p->name), p->number), place);

	p->shown = (uint8_t)now;
	for (unsigned i = 0; n > 1 && i < n; i++) {
		struct agent *a = agent_find(calls, place[i].device->name, false);
		unsigned line = a != NULL && a != p->agent && a->phone != NULL ? cp_phone_find_line(a->phone, p->number) : 0;

		if (line != 0 && agent_party(a, p->ref) == NULL)
			show(p, a, line, now, changed);
	}
}

void shared_update(struct party *p)
{
	enum remote_state now = state_of(p);

	if (now != REMOTE_NONE || p->shown != REMOTE_NONE)
		tell(p, now);
}

void shared_clear(struct party *p)
{
	if (p->shown != REMOTE_NONE)
		tell(p, REMOTE_NONE);
}

/* What others do on one line of this phone; 'fn' false: enough. */
static void each_remote(const struct agent *a, uint32_t line, bool (*fn)(void *ctx, struct party *p), void *ctx)
{
	const char *number = cp_phone_line_number(a->phone, line);
	struct cp_dir_place place[CP_LINE_DEVICES_MAX];
	const struct cp_store *store = a->calls->env.store;
	unsigned n = number != NULL ? cp_dir_line_devices(store, number, cp_dir_partition(cp_dir_device(store, a->name), number), place) : 0;

	for (unsigned i = 0; n > 1 && i < n; i++) {
		struct agent *o = agent_find(a->calls, place[i].device->name, false);

		for (struct party *p = o != NULL && o != a ? o->parties : NULL; p != NULL; p = p->ag_next)
			if (strcmp(p->number, number) == 0 && agent_party(a, p->ref) == NULL && !fn(ctx, p))
				return;
	}
}

struct shown {
	struct agent *a;
	uint32_t line, ref;
	enum remote_state most;
	struct party *found;
};

static bool show_one(void *ctx, struct party *p)
{
	struct shown *s = ctx;
	enum remote_state now = state_of(p);

	if (now == REMOTE_NONE)
		return true;
	p->shown = (uint8_t)now; /* after a restart of ours nobody was shown it yet; those who register later are, too */
	show(p, s->a, s->line, now, true);
	return true;
}

void shared_registered(struct agent *a)
{
	struct shown s = {.a = a};

	for (s.line = 1; cp_phone_line_number(a->phone, s.line) != NULL; s.line++)
		each_remote(a, s.line, show_one, &s);
	for (struct party *p = a->parties; p != NULL; p = p->ag_next)
		shared_update(p);
}

static bool most_lively(void *ctx, struct party *p)
{
	struct shown *s = ctx;

	if (p->shown != REMOTE_NONE && s->most != REMOTE_IN_USE)
		s->most = (enum remote_state)p->shown;
	return true;
}

enum remote_state shared_lamp(const struct agent *a, uint32_t line)
{
	struct shown s = {.most = REMOTE_NONE};

	each_remote(a, line, most_lively, &s);
	return s.most;
}

static bool is_it(void *ctx, struct party *p)
{
	struct shown *s = ctx;

	if (p->ref == s->ref && p->shown != REMOTE_NONE)
		s->found = p;
	return s->found == NULL;
}

struct party *shared_find(const struct agent *a, uint32_t ref, uint32_t *ret_line)
{
	struct shown s = {.ref = ref};

	for (uint32_t line = 1; s.found == NULL && cp_phone_line_number(a->phone, line) != NULL; line++) {
		each_remote(a, line, is_it, &s);
		*ret_line = line;
	}
	return s.found;
}

/* The party is another phone now: under the number that the line knows the call by, and with nothing of the media that was. */
static void replace(struct cp_call *call, unsigned side, struct agent *a, uint32_t line)
{
	struct party *p = &call->p[side];
	uint32_t ref = p->ref;
	uint8_t stream = p->stream;

	ui_idle(call, side);
	party_clear(call, side);
	*p = (struct party){.call = call, .leg_id = NO_LEG, .stream = stream};
	route_fill_party(p, a, line);
	p->ref = ref;
}

int shared_may_resume(struct party *held, struct agent *a, uint32_t line, struct route_terms *ret, const char **why)
{
	struct cp_call *call = held->call;
	struct party *other = party_other(held);
	struct party here = {.kind = PARTY_PHONE, .call = call, .agent = a}; /* as it will be */
	const struct cp_device *dev = cp_phone_device(a->phone);
	int rc;

	*why = "it is not on hold";
	if (held->shown != REMOTE_HELD || call->state != CALL_CONNECTED)
		return -EALREADY;
	*why = "it is parked";
	if (call->park[0] != '\0')
		return -EPROTO;
	*why = "it is just being changed";
	if (call_busy(call))
		return -EBUSY;
	*why = "the phone is the other party";
	if (other->agent == a)
		return -EPROTO;
	*why = "too many calls on this line";
	if (!agent_line_room(a, line))
		return -ENOSPC;
	snprintf(here.region, sizeof(here.region), "%s", dev != NULL ? dev->region : "default");
	party_learn(&here);
	route_security(&here, a->phone);
	rc = party_terms(other, &here, ret, why);
	if (rc < 0)
		return rc;
	*why = "the dataplane is not there";
	return cp_dp_up(call->calls->env.dp) ? 0 : -ENOTCONN;
}

int shared_resume(struct party *held, struct agent *a, uint32_t line, const char **why)
{
	struct cp_call *call = held->call;
	unsigned side = party_side(call, held);
	struct route_terms terms;
	int rc = shared_may_resume(held, a, line, &terms, why);

	if (rc < 0)
		return rc;
	cdr_split(call, NULL, call);
	party_unplug(held);
	replace(call, side, a, line);
	cdr_restart(call, CP_CDR_SHARED, call->p[side].number);
	if (party_agree(call, side, &terms) < 0) {
		call_end(call_cause(call, CP_Q850_NO_RESOURCE), "no media port for a call that was resumed elsewhere");
		*why = "no media port";
		return -ENOSPC;
	}
	cfg_log(CFG_LOG_INFO, "call-resumed-elsewhere", "call=%u by=%s", call->ref, cfg_q(a->name));
	ui_resumed(call, side);
	call_connect(call);
	return 0;
}
