/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pickup: what rings at a line of a pickup group is answered at another phone. A group is a number, which a line's record names; the keys
 * take from the group of one's own line, from one that is dialled, or from those that calls.pickup_other associates with one's own, in that
 * order. Of several calls the one that rings longest is taken; the phone that rang is let go, and the codec is chosen anew for the pair.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "callint.h"

/* The group of that line; "" none. Borrowed until the loop runs again. */
static const char *group_of(const struct agent *a, uint32_t line)
{
	const struct cp_device *dev = a->phone != NULL ? cp_phone_device(a->phone) : NULL;

	return dev != NULL && line >= 1 && line <= dev->line_cnt ? dev->lines[line - 1].pickup : "";
}

/* It rings at a line of the group, and can be taken by 'a'. */
static bool rings_in(const struct cp_call *call, const char *group, const struct agent *a)
{
	bool there = false;

	if (call->state != CALL_ALERTING || call->p[1].kind != PARTY_PHONE || call->p[0].agent == a || call->park[0] != '\0')
		return false;
	/* a shared line's call rings at several phones, of which this one must not be one */
	for (const struct party *p = &call->p[1]; p != NULL; p = p == &call->p[1] ? call->forks : p->fork_next) {
		if (p->agent == a)
			return false;
		there |= p->agent != NULL && strcmp(group_of(p->agent, p->line), group) == 0;
	}
	return there;
}

static struct cp_call *longest(struct cp_calls *calls, const char *group, const struct agent *a)
{
	struct cp_call *found = NULL;

	for (uint32_t i = 0; group[0] != '\0' && i < CALL_SLOTS; i++) {
		struct cp_call *c = calls->slot[i];

		if (c != NULL && rings_in(c, group, a) && (found == NULL || c->setup_ms < found->setup_ms))
			found = c;
	}
	return found;
}

/* "7000 7001 7002": who is in 7000 may also take from 7001 and, if nothing rings there, from 7002. */
static struct cp_call *associated(struct cp_calls *calls, const char *group, const struct agent *a)
{
	const struct cfg_calls *cfg = &calls->env.cfg->calls;
	size_t len = strlen(group);

	for (unsigned i = 0; len > 0 && i < cfg->pickup_other_count; i++) {
		const char *at = cfg->pickup_other[i];
		struct cp_call *found = NULL;

		if (strncmp(at, group, len) != 0 || at[len] != ' ')
			continue;
		for (at += len; *at == ' ' && found == NULL;) {
			char other[CP_NUMBER_MAX];
			size_t n = strcspn(++at, " ");

			snprintf(other, sizeof(other), "%.*s", (int)n, at);
			found = longest(calls, other, a);
			at += n;
		}
		return found;
	}
	return NULL;
}

/* The phone is off hook, and hears that nothing is there. */
static void nothing(struct cp_call *dial)
{
	call_fail(call_cause(dial, CP_Q850_UNALLOCATED), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No call to pick up");
}

static int take(struct cp_call *call, struct agent *a, uint32_t line, const char **why)
{
	char by[DIGITS_MAX + 1];
	struct route_terms terms;
	int rc;

	*why = "No common codec";
	switch (party_may_join(&call->p[0], a, &terms)) {
	case CP_Q850_NONE:
		break;
	case CP_Q850_NO_BEARER:
		*why = "Cannot be encrypted";
		return -EACCES;
	default:
		return -EPROTO;
	}
	cdr_split(call, NULL, call);
	snprintf(by, sizeof(by), "%s", call->p[1].number);
	cfg_log(CFG_LOG_INFO, "call-picked-up", "call=%u rang=%s by=%s", call->ref, cfg_q(call->p[1].name), cfg_q(a->name));
	ring_stop(call);
	party_leave(&call->p[1]);
	route_fill(call, 1, a, line);
	cdr_restart(call, CP_CDR_PICKUP, by);
	rc = party_agree(call, 1, &terms);
	if (rc < 0)
		call_end(call_cause(call, CP_Q850_NO_RESOURCE), "no media port for a call that was picked up");
	else
		call_answered(call);
	return 0;
}

/* 'dial': the phone's own call, off hook for this; it ends, and is not to be used afterwards. */
static void pick(struct cp_call *dial, struct cp_call *call)
{
	struct cp_calls *calls = dial->calls;
	struct agent *a = dial->p[0].agent;
	uint32_t line = dial->p[0].line, ref = dial->ref;
	const char *why;

	if (call == NULL) {
		nothing(dial);
		return;
	}
	if (take(call, a, line, &why) < 0) {
		call_fail(call_cause(dial, CP_Q850_REJECTED), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, why);
		return;
	}
	dial = call_find(calls, ref);
	if (dial != NULL)
		call_end(call_cause(dial, CP_Q850_NORMAL), "it picked up another call");
}

void pickup_route(struct cp_call *dial)
{
	pick(dial, longest(dial->calls, dial->digits, dial->p[0].agent));
}

void pickup_key(struct cp_call *dial, uint32_t event)
{
	const struct party *p = &dial->p[0];
	const char *group = group_of(p->agent, p->line);

	if (dial->sets_cfa) /* it is a call after all */
		dial->sets_cfa = dial->billed = false;
	switch (event) {
	case CP_SCCP_KEY_GPICKUP:
		dial->group_pickup = true;
		if (party_phone(p) != NULL)
			cp_phone_prompt(party_phone(p), "Enter group number", 0, p->line, p->ref);
		break;
	case CP_SCCP_KEY_OPICKUP:
		pick(dial, associated(dial->calls, group, p->agent));
		break;
	default:
		pick(dial, longest(dial->calls, group, p->agent));
		break;
	}
}
