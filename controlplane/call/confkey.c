/* SPDX-License-Identifier: BSD-3-Clause */
/* What phones ask of conferences: Confrn, Join, RmLstC, ConfList, MeetMe and its numbers; and cBarge. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "confint.h"

/* --- meet-me numbers --- */

static const struct cfg_meetme *meetme_of(const struct cfg_conference *cfg, const char *digits, bool *ret_longer)
{
	size_t n = strlen(digits);
	const struct cfg_meetme *found = NULL;

	*ret_longer = false;
	if (n == 0 || n > 15 || strspn(digits, "0123456789") != n)
		return NULL;
	for (unsigned i = 0; i < cfg->meetme_count; i++) {
		const struct cfg_meetme *m = &cfg->meetme[i];
		uint64_t v = strtoull(digits, NULL, 10), lo = v, hi = v;

		for (size_t k = n; k < m->numbers.digits; k++) {
			lo *= 10;
			hi = hi * 10 + 9;
		}
		if (m->numbers.digits < n || hi < m->numbers.first || lo > m->numbers.last)
			continue;
		if (m->numbers.digits == n)
			found = m;
		else
			*ret_longer = true;
	}
	return found;
}

bool conf_number(const struct cp_calls *calls, const char *digits, bool *ret_longer)
{
	return meetme_of(&calls->env.cfg->conference, digits, ret_longer) != NULL;
}

static enum cp_security level_of(uint8_t configured)
{
	static const enum cp_security levels[] = {CP_SEC_UNKNOWN, CP_SEC_AUTHENTICATED, CP_SEC_ENCRYPTED};

	return levels[configured];
}

static void busy(struct cp_call *call, const char *text)
{
	call_fail(call_cause(call, CP_Q850_BUSY), CP_SCCP_BUSY, CP_SCCP_TONE_BUSY, text);
}

static void reorder(struct cp_call *call, const char *text)
{
	call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, text);
}

/* conf_port() has failed: what is displayed, and the cause that the call is recorded with. */
static const char *no_port(struct cp_call *call, int rc)
{
	switch (rc) {
	case -EPROTO:
		call_cause(call, CP_Q850_INCOMPATIBLE);
		return "No common codec";
	case -EACCES:
		call_cause(call, CP_Q850_NO_BEARER);
		return "Cannot be encrypted";
	case -ENOSPC:
		call_cause(call, CP_Q850_NO_RESOURCE);
		return "No media port";
	default:
		call_cause(call, CP_Q850_NO_RESOURCE);
		return "No conference bridge";
	}
}

/* The caller becomes a member of 'conf'. A conference that was made for it goes with its port. */
static void dial_in(struct cp_call *call, struct conf *conf)
{
	struct party *p = &call->p[0];
	int rc;

	ui_proceeding(call);
	rc = conf_port(conf, call, p);
	if (rc < 0) {
		conf_drop(call->calls, conf->id);
		reorder(call, no_port(call, rc));
		return;
	}
	conf_ask(conf);
}

static struct conf *start(struct cp_call *call, const struct cfg_meetme *m)
{
	const struct cp_gateway *bridge = conf_bridge(call->calls, 2);
	struct conf *conf = bridge != NULL ? conf_new(call->calls, bridge) : NULL;

	if (conf == NULL)
		return NULL;
	conf->meetme = true;
	conf->min = level_of(m->security);
	snprintf(conf->number, sizeof(conf->number), "%s", call->digits);
	snprintf(conf->owner, sizeof(conf->owner), "%.31s", call->p[0].name);
	return conf;
}

static bool is_member(const struct conf *conf, const struct agent *a)
{
	for (const struct party *port = conf->ports; port != NULL; port = port->cf_next)
		if (party_other(port)->agent == a)
			return true;
	return false;
}

bool conf_route(struct cp_call *call)
{
	struct cp_calls *calls = call->calls;
	bool longer;
	const struct cfg_meetme *m = meetme_of(&calls->env.cfg->conference, call->digits, &longer);
	struct conf *conf = m != NULL ? conf_by_number(calls, call->digits) : NULL;

	if (m == NULL && !call->meetme)
		return false;
	if (m == NULL)
		call_fail(call, CP_SCCP_INVALID_NUMBER, CP_SCCP_TONE_REORDER, "No conference number");
	else if (call->meetme && conf != NULL)
		busy(call, "Conference is in use");
	else if (!call->meetme && conf == NULL) /* nobody has started it: as a line that is taken */
		busy(call, "Conference not started");
	else if (conf != NULL && is_member(conf, call->p[0].agent)) /* on hold: it resumes that */
		busy(call, "Already in this conference");
	else if (conf_level(&call->p[0]) < (conf != NULL ? conf->min : level_of(m->security)))
		reorder(call, "Not secure enough");
	else if (conf != NULL && !conf_room(conf, 1))
		busy(call, "Conference is full");
	else if (conf == NULL && (conf = start(call, m)) == NULL)
		reorder(call, "No conference bridge");
	else
		dial_in(call, conf);
	return true;
}

/* --- Confrn and Join --- */

static bool may_add(const struct conf *conf, const struct party *p)
{
	return conf->calls->env.cfg->conference.add == CFG_ADD_ANYONE || strcmp(conf->owner, p->name) == 0;
}

static struct conf *ad_hoc(struct party *p, unsigned members)
{
	struct cp_calls *calls = p->call->calls;
	const struct cp_gateway *bridge = conf_bridge(calls, members);
	struct conf *conf = bridge != NULL ? conf_new(calls, bridge) : NULL;

	if (conf != NULL) {
		conf->min = level_of(calls->env.cfg->conference.security);
		snprintf(conf->owner, sizeof(conf->owner), "%.31s", p->name);
	}
	return conf;
}

/* The place that is in a conference, if one is, comes first. False: two are. */
static bool sort(struct party **place, unsigned n)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++) {
		struct party *p = place[i];

		if (call_conf(p->call) == NULL)
			continue;
		place[i] = place[0];
		place[0] = p;
		found++;
	}
	return found <= 1;
}

static int fill(struct conf_task *t, struct conf *conf, struct party **place, unsigned n, bool fresh, const char **why)
{
	int rc = 0;

	snprintf(t->agent, sizeof(t->agent), "%.31s", place[0]->name);
	t->keep = place[0]->ref;
	if (fresh)
		rc = conf_want(t, conf, place[0], why);
	for (unsigned i = fresh ? 0 : 1; rc == 0 && i < n; i++)
		rc = conf_want(t, conf, party_other(place[i]), why);
	for (unsigned i = 1; i < n; i++)
		t->drop[t->drop_cnt++] = place[i]->ref;
	*why = rc == 0 ? "Conference is full" : *why;
	return rc < 0 ? rc : conf_room(conf, t->want_cnt) ? 0 : -ENOSPC;
}

/* One phone's places become one, in a conference with all whom it had there. 'why' is for its display. */
static int join(struct party **place, unsigned n, const char **why)
{
	struct cp_calls *calls = place[0]->call->calls;
	struct conf *conf;
	struct conf_task *t;
	uint32_t id;
	bool fresh;
	int rc;

	*why = "Both are conferences";
	if (!sort(place, n))
		return -EPROTO;
	conf = call_conf(place[0]->call);
	fresh = conf == NULL;
	*why = "Only its controller can add";
	if (!fresh && !may_add(conf, place[0]))
		return -EACCES;
	*why = "Cannot conference now";
	if (!fresh && conf->task != NULL)
		return -EBUSY;
	for (unsigned i = 0; i < n; i++)
		if (place[i]->call->state != CALL_CONNECTED || place[i]->call->is_static || place[i]->call->barge)
			return -EPROTO;
	*why = "No conference bridge";
	if (fresh && (conf = ad_hoc(place[0], n + 1)) == NULL)
		return -ENOSPC;
	id = conf->id;
	t = calloc(1, sizeof(*t));
	rc = t != NULL ? fill(t, conf, place, n, fresh, why) : -ENOMEM;
	if (rc < 0) {
		free(t);
		conf_drop(calls, id);
		return rc;
	}
	rc = conf_task_start(conf, t, why);
	conf_drop(calls, id);
	return rc;
}

/* First press: the call waits, its phone dials. Nobody need dial in vain when there is no bridge. */
static int confrn_begin(struct party *p, const char **why)
{
	const struct conf *conf = call_conf(p->call);

	*why = "Only its controller can add";
	if (conf != NULL && !may_add(conf, p))
		return -EACCES;
	*why = conf != NULL ? "Conference is full" : "No conference bridge";
	if (conf != NULL ? !conf_room(conf, 1) : conf_bridge(p->call->calls, 3) == NULL)
		return -ENOSPC;
	*why = "Cannot conference now";
	return transfer_begin(p, why);
}

static int confrn(struct party *p, const char **why)
{
	struct party *place[2] = {p->consult != 0 ? agent_party(p->agent, p->consult) : NULL, p};

	if (p->consult == 0)
		return confrn_begin(p, why);
	*why = "Call has ended";
	return place[0] != NULL ? join(place, 2, why) : -ENOENT;
}

/* All that the phone talks to or holds on this line. */
static int join_all(struct party *p, const char **why)
{
	struct party *place[CONF_PLACES] = {p};
	unsigned n = 1;

	for (struct party *o = p->agent->parties; o != NULL && n < CONF_PLACES; o = o->ag_next)
		if (o != p && o->line == p->line && o->call->state == CALL_CONNECTED)
			place[n++] = o;
	*why = "Nothing to join";
	return n > 1 ? join(place, n, why) : -ENOENT;
}

/* --- RmLstC and ConfList --- */

static int remove_last(struct party *p, const char **why)
{
	const struct conf *conf = call_conf(p->call);

	*why = "No conference";
	if (conf == NULL)
		return -ENOENT;
	*why = "Only its controller can remove";
	if (strcmp(conf->owner, p->name) != 0)
		return -EACCES;
	*why = "Nobody to remove";
	for (const struct party *port = conf->ports; port != NULL; port = port->cf_next) {
		if (port->call == p->call || port->call->state != CALL_CONNECTED)
			continue;
		call_end(port->call, "removed from the conference");
		return 0;
	}
	return -ENOENT;
}

/* One member a press, with what it has of security: the display of the oldest phones holds 31 characters. */
static int list(struct party *p, const char **why)
{
	const struct conf *conf = call_conf(p->call);
	const struct party *port, *m;
	char text[80];
	unsigned n;

	*why = "No conference";
	if (conf == NULL)
		return -ENOENT;
	n = conf_members(conf);
	p->listed = (uint8_t)(p->listed % n + 1);
	port = conf->ports;
	for (unsigned i = n; i > p->listed; i--) /* oldest first */
		port = port->cf_next;
	m = party_other(port);
	snprintf(text, sizeof(text), "%u/%u%s %s %s", p->listed, n, strcmp(m->name, conf->owner) == 0 ? "*" : "",
		 m->kind == PARTY_NONE ? "-" : m->number, cp_security_name(conf_member_security(port)));
	cp_phone_prompt(party_phone(p), text, 10, p->line, p->ref);
	return 0;
}

bool conf_key(struct party *p, uint32_t event)
{
	static const struct {
		uint32_t event;
		int (*fn)(struct party *p, const char **why);
	} keys[] = {{CP_SCCP_KEY_CONFRN, confrn}, {CP_SCCP_KEY_JOIN, join_all}, {CP_SCCP_KEY_RMLSTC, remove_last}, {CP_SCCP_KEY_CONFLIST, list}};
	struct agent *a = p->agent;
	uint32_t ref = p->ref;
	const char *why = "";

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].event != event)
			continue;
		if (keys[i].fn(p, &why) < 0 && (p = agent_party(a, ref)) != NULL) /* the call may have ended under what was tried */
			ui_refused(p, why);
		return true;
	}
	return false;
}

/* --- cBarge --- */

/* As it was before: dialling, with nobody across. */
static void unport(struct cp_call *call)
{
	if (call->p[1].conf == NULL)
		return;
	legs_drop(call);
	party_clear(call, 1);
	call->state = CALL_DIALING;
	call_timer(call, 0);
}

static int barge_new(struct conf *conf, struct cp_call *call, struct cp_call *target, const char **why)
{
	struct conf_task *t = calloc(1, sizeof(*t));
	int rc = t != NULL ? 0 : -ENOMEM;

	conf->shared = true;
	for (unsigned s = 0; rc == 0 && s < 2; s++)
		rc = conf_want(t, conf, &target->p[s], why);
	if (rc == 0) {
		rc = conf_port(conf, call, &call->p[0]);
		*why = rc < 0 ? no_port(call, rc) : *why;
	}
	if (rc < 0) {
		free(t);
		return rc;
	}
	t->want[t->want_cnt++] = (struct conf_want){.kind = PARTY_NONE, .port = call->ref};
	return conf_task_start(conf, t, why);
}

static int barge_more(struct conf *conf, struct cp_call *call, const char **why)
{
	int rc;

	*why = "Conference is full";
	if (!conf_room(conf, 1))
		return -ENOSPC;
	rc = conf_port(conf, call, &call->p[0]);
	if (rc < 0)
		*why = no_port(call, rc);
	else
		conf_ask(conf); /* the call may have failed in it */
	return rc;
}

/* A conference that asks something of its members is not made one that is not secure. */
int conf_may_barge(const struct party *target, const struct agent *a, uint32_t line, const char **why)
{
	const struct conf *conf = call_conf(target->call);
	int rc = barge_allowed(target, a, line, why);

	if (rc < 0)
		return rc;
	*why = "members are being added";
	if (conf != NULL && conf->task != NULL)
		return -EBUSY;
	*why = "its media goes to a gateway directly";
	if (target->call->direct && party_other(target)->kind == PARTY_GATEWAY)
		return -EPROTO;
	*why = "the conference must be secure";
	if ((conf != NULL ? conf->min : level_of(a->calls->env.cfg->conference.security)) != CP_SEC_UNKNOWN)
		return -EACCES;
	*why = "the phone is a member already";
	return conf_has(conf, a) ? -EEXIST : 0;
}

int conf_barge(struct party *target, struct agent *a, uint32_t line, const char **why)
{
	struct cp_calls *calls = a->calls;
	struct conf *conf = call_conf(target->call);
	bool fresh = conf == NULL;
	const struct cp_gateway *bridge;
	struct cp_call *call;
	uint32_t id = 0;
	int rc = conf_may_barge(target, a, line, why);

	if (rc < 0)
		return rc;
	*why = "too many calls";
	call = call_new(calls);
	if (call == NULL)
		return -ENOSPC;
	call->cbarge = true;
	snprintf(call->digits, sizeof(call->digits), "%s", target->number);
	call->digit_cnt = 1;
	route_fill(call, 0, a, line);
	cdr_restart(call, CP_CDR_BARGE, target->number);
	cfg_log(CFG_LOG_INFO, "cbarge", "call=%u device=%s target=%s of=%u", call->ref, cfg_q(a->name), cfg_q(target->name), target->call->ref);
	cp_phone_call_state(a->phone, CP_SCCP_OFFHOOK, line, call->ref);
	cp_phone_planes(a->phone, line);
	cp_phone_softkeys(a->phone, CP_SCCP_KEYS_DIGITS, line, call->ref);
	ui_proceeding(call);
	bridge = fresh ? conf_bridge(calls, 3) : NULL;
	if (bridge != NULL && (conf = conf_new(calls, bridge)) != NULL)
		id = conf->id;
	*why = "No conference bridge";
	rc = conf == NULL ? -ENOSPC : fresh ? barge_new(conf, call, target->call, why) : barge_more(conf, call, why);
	if (rc < 0) {
		unport(call);
		conf_drop(calls, id);
		reorder(call, *why);
	}
	return 0;
}
