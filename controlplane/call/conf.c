/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conferences. An external bridge mixes: each member is an ordinary call of its party with a port of the bridge, a connection of
 * mode confrnce on one endpoint (RFC 3435 s3.2.2.6), so that legs, keys, records and take-over after a crash are those of calls.
 * What is here joins them: the status of all is the least of all (000:P0-21, R-09; 001:P1-119), shown to every phone at every
 * change; two that are left get their own call back; what ends a conference is configured.
 *
 * Nothing is done inside of a change: conf_leave() and others only ask for a review, which runs from the loop when the call that
 * changed is in order again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "confint.h"

#define AGAIN_MS 500 /* something is under way in a member's call */

static void on_review(evutil_socket_t fd, short what, void *arg);

struct conf *call_conf(const struct cp_call *call)
{
	return call->p[0].conf != NULL ? call->p[0].conf : call->p[1].conf;
}

struct party *party_other(const struct party *p)
{
	return &p->call->p[1 - party_side(p->call, p)];
}

static struct conf *by_id(struct cp_calls *calls, uint32_t id)
{
	struct conf *conf = calls->confs;

	while (conf != NULL && conf->id != id)
		conf = conf->next;
	return conf;
}

struct conf *conf_by_number(struct cp_calls *calls, const char *number)
{
	struct conf *conf = calls->confs;

	while (conf != NULL && (!conf->meetme || strcmp(conf->number, number) != 0))
		conf = conf->next;
	return conf;
}

static struct conf *make(struct cp_calls *calls, uint32_t id, const char *gateway)
{
	struct conf *conf = calloc(1, sizeof(*conf));

	if (conf == NULL)
		return NULL;
	conf->timer = evtimer_new(calls->env.base, on_review, conf);
	if (conf->timer == NULL) {
		free(conf);
		return NULL;
	}
	conf->calls = calls;
	conf->id = id;
	snprintf(conf->gateway, sizeof(conf->gateway), "%s", gateway);
	conf->next = calls->confs;
	calls->confs = conf;
	return conf;
}

static void unmake(struct conf *conf)
{
	struct conf **at = &conf->calls->confs;

	while (*at != conf)
		at = &(*at)->next;
	*at = conf->next;
	event_free(conf->timer);
	free(conf->task);
	free(conf);
}

static bool endpoint_free(const struct cp_calls *calls, const char *gateway, const char *endpoint)
{
	for (const struct conf *c = calls->confs; c != NULL; c = c->next)
		if (strcmp(c->gateway, gateway) == 0 && (strcmp(c->endpoint, endpoint) == 0 || strcmp(c->any, endpoint) == 0))
			return false;
	return true;
}

/* One that the bridge chooses, or the first that no conference is on. NULL: none. */
static const char *endpoint_for(const struct cp_calls *calls, const struct cp_gateway *gw)
{
	for (unsigned i = 0; i < gw->endpoint_cnt; i++)
		if (strchr(gw->endpoints[i].name, '$') != NULL || endpoint_free(calls, gw->name, gw->endpoints[i].name))
			return gw->endpoints[i].name;
	return NULL;
}

static unsigned ports_used(const struct cp_calls *calls, const char *gateway)
{
	unsigned n = 0;

	for (const struct conf *c = calls->confs; c != NULL; c = c->next)
		if (strcmp(c->gateway, gateway) == 0)
			n += conf_members(c);
	return n;
}

unsigned conf_members(const struct conf *conf)
{
	unsigned n = 0;

	for (const struct party *p = conf->ports; p != NULL; p = p->cf_next)
		n++;
	return n;
}

bool conf_room(const struct conf *conf, unsigned n)
{
	const struct cp_gateway *gw = cp_dir_gateway(conf->calls->env.store, conf->gateway);

	return gw != NULL && conf_members(conf) + n <= gw->conference_max && ports_used(conf->calls, gw->name) + n <= gw->ports;
}

struct choice {
	struct cp_calls *calls;
	unsigned n, room;
	const struct cp_gateway *best;
};

/* The one with most room; the first of several. */
static void choose(void *ctx, const struct cp_gateway *gw)
{
	struct choice *c = ctx;
	struct cp_gw *there = (gw->flags & CP_GW_CONFERENCE) != 0 ? cp_gws_find(c->calls->gws, gw->name) : NULL;
	unsigned used, room;

	if (there == NULL || gw->admin != CP_ADMIN_IN_SERVICE || !cp_gw_works(there) || cp_gw_state(there) == CP_GW_DOWN ||
	    cp_gw_state(there) == CP_GW_NO_SA || gw->conference_max < c->n ||
	    endpoint_for(c->calls, gw) == NULL)
		return;
	used = ports_used(c->calls, gw->name);
	room = used < gw->ports ? gw->ports - used : 0;
	if (room >= c->n && room > c->room) {
		c->best = gw;
		c->room = room;
	}
}

const struct cp_gateway *conf_bridge(struct cp_calls *calls, unsigned n)
{
	struct choice c = {.calls = calls, .n = n};

	if (calls->gws != NULL && cp_dp_up(calls->env.dp))
		cp_dir_each_gateway(calls->env.store, choose, &c);
	return c.best;
}

struct conf *conf_new(struct cp_calls *calls, const struct cp_gateway *bridge)
{
	const char *endpoint = endpoint_for(calls, bridge);
	struct conf *conf;
	uint32_t id = calls->next_slot + 1;

	while (by_id(calls, id) != NULL)
		id++;
	conf = make(calls, id, bridge->name);
	if (conf == NULL)
		return NULL;
	snprintf(conf->any, sizeof(conf->any), "%s", endpoint);
	if (strchr(endpoint, '$') == NULL)
		snprintf(conf->endpoint, sizeof(conf->endpoint), "%s", endpoint);
	return conf;
}

/* --- members --- */

void conf_enter(struct conf *conf, struct party *port)
{
	port->conf = conf;
	port->cf_next = conf->ports;
	conf->ports = port;
}

void conf_moved(struct party *from, struct party *to)
{
	struct party **at;

	if (from->conf == NULL)
		return;
	for (at = &from->conf->ports; *at != from;)
		at = &(*at)->cf_next;
	*at = to;
	conf_review_soon(to->conf, 0);
}

void conf_leave(struct party *port)
{
	struct conf *conf = port->conf;
	struct party **at;

	if (conf == NULL)
		return;
	for (at = &conf->ports; *at != port;)
		at = &(*at)->cf_next;
	*at = port->cf_next;
	port->conf = NULL;
	port->asked = port->reserved = false;
	if (conf->ports != NULL) {
		conf_review_soon(conf, 0);
		return;
	}
	if (conf->task != NULL)
		conf_task_fail(conf, "No conference bridge");
	unmake(conf);
}

bool conf_has(const struct conf *conf, const struct agent *a)
{
	for (const struct party *port = conf != NULL ? conf->ports : NULL; port != NULL; port = port->cf_next)
		if (party_other(port)->agent == a)
			return true;
	return false;
}

/* 'p' is to be across from 'port', and no phone is a member twice: the two that are left would be one. */
static bool takes(const struct party *port, const struct party *p)
{
	for (const struct party *o = port->conf->ports; o != NULL; o = o->cf_next)
		if (o != port && p->agent != NULL && party_other(o)->agent == p->agent)
			return false;
	return conf_allows(port->conf, p);
}

bool conf_takes(const struct party *a, const struct party *b)
{
	if (a->conf != NULL && b->conf != NULL)
		return false;
	return a->conf != NULL ? takes(a, b) : b->conf == NULL || takes(b, a);
}

void conf_drop(struct cp_calls *calls, uint32_t id)
{
	struct conf *conf = by_id(calls, id);

	if (conf != NULL && conf->ports == NULL)
		unmake(conf);
}

void conf_destroy_all(struct cp_calls *calls)
{
	while (calls->confs != NULL)
		unmake(calls->confs);
}

/* --- the record: each port's leg says which conference it is of --- */

void conf_fill(const struct party *port, struct cp_call_leg *l)
{
	const struct conf *conf = port->conf;

	if (conf == NULL)
		return;
	l->conf = conf->id;
	l->conf_flags = (uint8_t)((conf->meetme ? CP_CONF_MEETME : 0) | (conf->shared ? CP_CONF_SHARED : 0) | (unsigned)conf->min << 4);
	snprintf(l->conf_owner, sizeof(l->conf_owner), "%.15s", conf->owner);
}

void conf_load(struct party *port, const struct cp_call_leg *l)
{
	struct cp_calls *calls = port->call->calls;
	struct conf *conf = by_id(calls, l->conf);

	if (conf == NULL)
		conf = make(calls, l->conf, l->party);
	if (conf == NULL)
		return; /* its status is then that of a call with a gateway, which is all that we know */
	if (strchr(l->endpoint, '$') == NULL) /* else a port that was not answered for */
		snprintf(conf->endpoint, sizeof(conf->endpoint), "%s", l->endpoint);
	snprintf(conf->owner, sizeof(conf->owner), "%s", l->conf_owner);
	conf->meetme = (l->conf_flags & CP_CONF_MEETME) != 0;
	conf->shared |= (l->conf_flags & CP_CONF_SHARED) != 0;
	conf->min = (enum cp_security)(l->conf_flags >> 4 & CP_SEC_ENCRYPTED);
	snprintf(port->label, sizeof(port->label), "Conference");
	if (conf->meetme)
		snprintf(conf->number, sizeof(conf->number), "%.*s", DIGITS_MAX, l->number);
	port->asked = port->reserved = true;
	conf_enter(conf, port);
	conf_review_soon(conf, 0);
}

/* --- the status --- */

enum cp_security conf_level(const struct party *p)
{
	static const struct cp_media_rule any = {0}; /* what regions forbid shows when there is a port */
	struct cp_party_security s = {.authenticated = p->signal_auth, .signal_encrypted = p->signal_enc, .untrusted = p->untrusted,
				      .media_encrypted = route_srtp(p, &any)};

	return cp_security_party(&s);
}

bool conf_allows(const struct conf *conf, const struct party *p)
{
	return conf->min == CP_SEC_UNKNOWN || conf_level(p) >= conf->min;
}

/* What a member is by itself; that its stream is clear because the bridge's is, is the path's fault. */
static struct cp_party_security member(const struct party *port)
{
	const struct party *p = party_other(port);
	bool secure = p->suite != DP_SRTP_NONE || (port->suite == DP_SRTP_NONE && p->signal_enc);

	return (struct cp_party_security){.authenticated = p->signal_auth, .signal_encrypted = p->signal_enc, .untrusted = p->untrusted,
					  .media_encrypted = secure && port->call->media_started};
}

enum cp_security conf_member_security(const struct party *port)
{
	struct cp_party_security s[2] = {
		member(port),
		{.authenticated = port->signal_auth, .signal_encrypted = port->signal_enc, .untrusted = port->untrusted,
		 .media_encrypted = port->suite != DP_SRTP_NONE},
	};

	return cp_security_call(s, 2, NULL);
}

/*
 * Who does not hear anything yet does not count for the others. The bridge is a party, too, as far as signalling goes; that a
 * port of it is clear is a clear stream in what would be a lock (001:P1-111, P1-119; 004a:CALL-03, CALL-13), not a phone's lack.
 */
enum cp_security conf_security(const struct conf *conf, const struct cp_call *call)
{
	struct cp_path_security path = {.shared_bridge = conf->shared};
	struct cp_party_security s[2 * CP_CONFERENCE_MAX];
	unsigned n = 0;

	for (const struct party *port = conf->ports; port != NULL; port = port->cf_next) {
		bool started = port->call->media_started;

		if (port->call != call && !started)
			continue;
		if (n + 2 > sizeof(s) / sizeof(s[0]) || barge_at(party_other(port)) != NULL) /* who hears it there is not counted */
			return CP_SEC_NOT_SECURE;
		path.clear_stream |= port->suite == DP_SRTP_NONE && started;
		s[n++] = (struct cp_party_security){.authenticated = port->signal_auth, .signal_encrypted = port->signal_enc,
						    .untrusted = port->untrusted, .media_encrypted = started};
		if (party_other(port)->kind != PARTY_NONE)
			s[n++] = member(port);
	}
	return cp_security_call(s, n, &path);
}

void conf_show(struct conf *conf)
{
	enum cp_security now = conf_security(conf, NULL);
	unsigned n = conf_members(conf);

	if (now == conf->shown && n == conf->shown_cnt)
		return;
	if (now != conf->shown)
		cfg_log(CFG_LOG_INFO, "conference-status", "conference=%u members=%u security=%s was=%s", conf->id, n,
			cp_security_name(now), cp_security_name(conf->shown));
	conf->shown = now;
	conf->shown_cnt = n;
	for (struct party *port = conf->ports; port != NULL; port = port->cf_next) {
		if (!port->call->media_started)
			continue;
		ui_callinfo(port->call, 1 - party_side(port->call, port));
	}
}

/* --- the review --- */

void conf_review_soon(struct conf *conf, unsigned ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	event_add(conf->timer, &tv);
}

void conf_changed(struct cp_call *call)
{
	struct conf *conf = call_conf(call);

	if (conf != NULL)
		conf_review_soon(conf, 0);
}

/* All of them. The conference is gone then. */
static void end_all(struct conf *conf, const char *why)
{
	struct cp_calls *calls = conf->calls;
	uint32_t id = conf->id;

	cfg_log(CFG_LOG_INFO, "conference-ends", "conference=%u members=%u reason=%s", id, conf_members(conf), cfg_q(why));
	while ((conf = by_id(calls, id)) != NULL)
		call_end(conf->ports->call, why);
}

static bool settled(const struct conf *conf)
{
	for (const struct party *p = conf->ports; p != NULL; p = p->cf_next)
		if (p->call->state != CALL_CONNECTED || call_busy(p->call))
			return false;
	return true;
}

/* A configured reason to end what still has members. NULL: there is none. */
static const char *drops(const struct conf *conf)
{
	uint8_t drop = conf->calls->env.cfg->conference.drop;
	bool owner = false, onnet = false;

	for (const struct party *port = conf->ports; port != NULL; port = port->cf_next) {
		const struct party *p = party_other(port);

		onnet |= p->kind == PARTY_PHONE;
		owner |= p->kind == PARTY_PHONE && strcmp(p->name, conf->owner) == 0;
	}
	if (drop == CFG_DROP_CONTROLLER && !owner && !conf->meetme && conf->owner[0] != '\0')
		return "who made the conference has left";
	return drop != CFG_DROP_NEVER && !onnet ? "no phone is left in the conference" : NULL;
}

/* Two need no bridge. Who is not registered now cannot open another stream: it must be the one that stays. */
static void unbridge(struct conf *conf)
{
	struct party *a = conf->ports, *b = a->cf_next;
	const char *why;
	uint32_t id = conf->id;

	if (party_other(b)->kind == PARTY_PHONE && party_phone(party_other(b)) == NULL) {
		b = a;
		a = a->cf_next;
	}
	if (party_other(a)->agent != NULL && party_other(a)->agent == party_other(b)->agent) {
		end_all(conf, "one phone is all that is left in the conference");
		return;
	}
	if (transfer_join(a, b, &why) < 0)
		cfg_log(CFG_LOG_INFO, "conference-stays", "conference=%u reason=%s", id, cfg_q(why));
	else
		cfg_log(CFG_LOG_INFO, "conference-ends", "conference=%u members=2 reason=\"two are left: they have their own call\"", id);
}

static void on_review(evutil_socket_t fd, short what, void *arg)
{
	struct conf *conf = arg;
	struct cp_calls *calls = conf->calls;
	uint32_t id = conf->id;
	const char *why;
	unsigned n;

	(void)fd;
	(void)what;
	if (conf->task != NULL) {
		conf_show(conf); /* who has left is not waited for */
		conf_task_step(conf);
		return;
	}
	if (calls->stopping)
		return;
	conf_ask(conf); /* who waited for an answer that another one's port does not wait for any more */
	conf = by_id(calls, id);
	if (conf == NULL)
		return;
	why = drops(conf);
	n = conf_members(conf);
	if (why == NULL && n == 1 && !conf->meetme)
		why = "nobody else is in the conference";
	if (why != NULL) {
		end_all(conf, why);
		return;
	}
	conf_show(conf);
	if (n != 2 || conf->meetme)
		return;
	/* Without a dataplane their own call cannot be made, and the conference that they have goes on. */
	if (cp_dp_up(calls->env.dp) && settled(conf))
		unbridge(conf);
	else
		conf_review_soon(conf, AGAIN_MS);
}
