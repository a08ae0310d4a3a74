/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A call that rings at several phones. p[1] is one of them, so that whoever looks at a ringing call finds somebody; the others
 * are in the call's list of forks. They know the call by its number, as p[1] does. Nothing is agreed with a fork before it
 * answers: then codec, suite and media ports are chosen anew for it.
 */
#include <errno.h>
#include <stdlib.h>

#include "callint.h"

enum route_no ring_add(struct cp_call *call, const char *device, const char *number)
{
	struct cp_calls *calls = call->calls;
	struct agent *a = agent_find(calls, device, false);
	struct party **at = &call->forks, *f;
	struct route_terms terms;
	enum route_no no;
	unsigned line;

	if (a == NULL || a->phone == NULL)
		return ROUTE_NOT_REGISTERED;
	line = cp_phone_find_line(a->phone, number);
	if (line == 0 || a == call->p[0].agent || agent_party(a, call->ref) != NULL ||
	    agent_line_calls(a, line) >= calls->env.cfg->calls.busy_trigger)
		return ROUTE_BUSY;
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return ROUTE_NO_PORT;
	f->call = call;
	f->leg_id = NO_LEG;
	f->fork = true;
	f->stream = 1;
	route_fill_party(f, a, line);
	no = route_terms(call, f, &terms);
	while (*at != NULL)
		at = &(*at)->fork_next;
	*at = f;
	if (no != ROUTE_OK)
		party_drop_fork(f);
	return no;
}

/* The ports of a call that has no media yet: nobody was told of them. */
static void ports_put(struct cp_call *call)
{
	for (unsigned s = 0; s < 2; s++) {
		if (call->p[s].leg_id != NO_LEG)
			cp_ports_put(call->calls->ports, call->p[s].leg_id);
		call->p[s].leg_id = NO_LEG;
	}
}

/* This one is p[1] now; what was agreed with another one is not any more. */
static enum route_no promote(struct party *f)
{
	struct cp_call *call = f->call;

	ports_put(call);
	party_promote(f);
	return route_agree(call);
}

enum route_no ring_begin(struct cp_call *call)
{
	enum route_no no = promote(call->forks);

	if (no != ROUTE_OK) {
		while (call->forks != NULL)
			party_drop_fork(call->forks);
		party_clear(call, 1);
		return no;
	}
	call->state = CALL_ALERTING;
	ui_proceeding(call);
	ui_ringin(&call->p[1]);
	for (struct party *f = call->forks; f != NULL; f = f->fork_next)
		ui_ringin(f);
	ui_ringout(call);
	call_timer(call, forward_ring_ms(call));
	return ROUTE_OK;
}

static void drop(struct party *f)
{
	ui_ringoff(f);
	party_drop_fork(f);
}

void ring_stop(struct cp_call *call)
{
	while (call->forks != NULL)
		drop(call->forks);
}

int ring_answer(struct party *p, const char **why)
{
	struct cp_call *call = p->call;
	struct route_terms terms;

	*why = "what it can do does not fit the caller";
	if (p->fork && route_terms(call, p, &terms) != ROUTE_OK)
		return -EPROTO;
	if (p->fork) {
		ui_ringoff(&call->p[1]);
		party_clear(call, 1);
		if (promote(p) != ROUTE_OK) {
			call_end(call_cause(call, CP_Q850_NO_RESOURCE), "no media port for the phone that answered");
			*why = "no media port";
			return -ENOSPC;
		}
	}
	ring_stop(call);
	return 0;
}

bool ring_leave(struct party *p)
{
	struct cp_call *call = p->call;

	if (call->forks == NULL)
		return false;
	if (p->fork) {
		drop(p);
		return true;
	}
	ui_ringoff(p);
	party_clear(call, 1);
	while (call->forks != NULL) {
		if (promote(call->forks) == ROUTE_OK) {
			ui_callinfo(call, 0);
			return true;
		}
		ui_ringoff(&call->p[1]);
		party_clear(call, 1);
	}
	call_end(call_cause(call, CP_Q850_ABSENT), "nobody is left whom it could ring at");
	return true;
}

void ring_without(struct cp_call *call, const struct agent *a)
{
	struct party *p = call->p[1].agent == a ? &call->p[1] : call->forks;

	while (p != NULL && p->agent != a)
		p = p->fork_next;
	if (p != NULL && call->state == CALL_ALERTING)
		ring_leave(p);
}
