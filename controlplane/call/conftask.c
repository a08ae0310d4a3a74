/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a conference gets its members. First every port is asked for (CRCX) and answered for, while the calls stay as they are: a
 * bridge that has none changes nothing. Then each party is moved to the call of its port. Its stream is opened anew, with keys that
 * were never used: a key that two had shared the work of belongs to their call.
 *
 *   A holds B and talks to C        ports of the bridge           A presses Confrn
 *     call 1: A (held) -- B           call 3: ? -- port             call 3: A -- port
 *     call 2: A -------- C            call 4: ? -- port    ==>      call 4: B -- port     call 1, 2: gone, in one write with those
 *                                     call 5: ? -- port             call 5: C -- port
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "confint.h"
#include "sccp/devtype.h"

#define PORT_MS   25000 /* T-MAX of MGCP and some: the dataplane always answers before */
#define AGAIN_MS  100   /* something is under way in a call that is to be moved */
#define TRIES_MAX 50

/* At whatever bit rate the regions allow. */
void conf_codecs(struct cp_media_rule *rule)
{
	static const uint8_t mixes[] = {CP_CODEC_G711U, CP_CODEC_G711A};

	memset(rule->codec.list, 0, sizeof(rule->codec.list));
	memcpy(rule->codec.list, mixes, sizeof(mixes));
}

static int agree(struct cp_call *call, const struct party *member)
{
	const struct cp_calls_env *env = &call->calls->env;
	struct cp_codec_choice choice;

	cp_rule_find(env->store, &env->cfg->media, member->region, call->p[1].region, &call->rule, NULL);
	conf_codecs(&call->rule);
	call->secure = route_srtp(member, &call->rule);
	if (policy_codec(member, &(struct party){.kind = PARTY_GATEWAY, .call = call}, &call->rule, call->secure, &choice) < 0)
		return -EPROTO;
	policy_speak(&call->p[0], &call->p[1], &choice);
	return 0;
}

int conf_port(struct conf *conf, struct cp_call *call, const struct party *member)
{
	struct cp_calls *calls = conf->calls;
	struct cp_gw *gw = cp_gws_find(calls->gws, conf->gateway);
	struct party *p = &call->p[1];
	int rc;

	if (gw == NULL)
		return -ENOENT;
	snprintf(p->region, sizeof(p->region), "%s", cp_gw_region(gw));
	rc = agree(call, member);
	if (rc < 0)
		return rc;
	call->secure = call->secure && cp_gw_keys_allowed(gw);
	if (!call->secure && calls->env.cfg->media.fallback == CFG_FALLBACK_REFUSE)
		return -EACCES;
	rc = legs_take(call);
	if (rc < 0)
		return rc;
	p->kind = PARTY_GATEWAY;
	p->ref = call->ref;
	p->stream = 1;
	snprintf(p->name, sizeof(p->name), "%s", conf->gateway);
	snprintf(p->endpoint, sizeof(p->endpoint), "%s", conf->endpoint[0] != '\0' ? conf->endpoint : conf->any);
	snprintf(p->number, sizeof(p->number), "%s", conf->number);
	snprintf(p->label, sizeof(p->label), "Conference");
	p->untrusted = (cp_devtype_gateway(cp_gw_rec(gw)->type)->flags & CP_DT_TRUSTED) == 0;
	p->signal_auth = p->signal_enc = cp_gw_secured(gw);
	endpoint_enter(call, 1);
	conf_enter(conf, p);
	call->state = CALL_ROUTING;
	call_timer(call, PORT_MS);
	return 0;
}

/* The first one chooses the endpoint, if the bridge does: the others wait for its answer. */
static struct party *to_ask(struct conf *conf)
{
	struct party *next = NULL;

	for (struct party *p = conf->ports; p != NULL; p = p->cf_next) {
		if (p->asked && !p->reserved && conf->endpoint[0] == '\0')
			return NULL;
		if (!p->asked)
			next = p;
	}
	return next;
}

/* Its caller, if it has one, hears why. */
static void refuse_port(struct cp_call *call, const char *text)
{
	if (call->p[0].kind == PARTY_PHONE)
		call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, text);
	else
		call_end(call, text);
}

void conf_ask(struct conf *conf)
{
	struct party *p;

	while ((p = to_ask(conf)) != NULL) {
		struct cp_call *call = p->call;

		p->asked = true;
		if (conf->endpoint[0] != '\0' && strcmp(p->endpoint, conf->endpoint) != 0)
			endpoint_rename(call, party_side(call, p), conf->endpoint);
		if (trunk_offer(call, 1) < 0) {
			refuse_port(call, "No conference bridge"); /* a review looks at the others */
			return;
		}
		/* Should we be killed now, the next one finds here which connection to delete. */
		if (record_write(call, NULL, NULL) < 0)
			cfg_log_limited(CFG_LOG_WARN, "call-record-not-written", "call=%u", call->ref);
	}
}

/* Every record of it says so: whichever is read first after a restart. */
static void share(struct conf *conf)
{
	if (conf->shared)
		return;
	conf->shared = true;
	for (struct party *p = conf->ports; p != NULL; p = p->cf_next)
		if (p->call->state == CALL_CONNECTED && record_write(p->call, NULL, NULL) < 0)
			cfg_log_limited(CFG_LOG_WARN, "call-record-not-written", "call=%u", p->call->ref);
}

static bool in_task(const struct conf *conf, const struct cp_call *call)
{
	for (unsigned i = 0; conf->task != NULL && i < conf->task->want_cnt; i++)
		if (conf->task->want[i].port == call->ref)
			return true;
	return false;
}

void conf_answered(struct cp_call *call, unsigned side, const char *endpoint)
{
	struct party *p = &call->p[side];
	struct conf *conf = p->conf;
	struct cp_calls *calls = call->calls;
	uint32_t ref = call->ref;

	if (strchr(p->endpoint, '$') != NULL) {
		if (endpoint[0] == '\0') { /* RFC 3435 s3.2.1.4: it must say which one */
			cfg_log(CFG_LOG_WARN, "bridge-names-no-endpoint", "gateway=%s asked=%s", p->name, p->endpoint);
			refuse_port(call, "No conference bridge");
			return;
		}
		endpoint_rename(call, side, endpoint);
		if (conf->endpoint[0] == '\0')
			snprintf(conf->endpoint, sizeof(conf->endpoint), "%s", endpoint);
	}
	p->reserved = true;
	conf_review_soon(conf, 0);
	conf_ask(conf);
	if (call_find(calls, ref) != call || in_task(conf, call))
		return;
	if (conf->min == CP_SEC_ENCRYPTED && !call->secure) {
		refuse_port(call, "Not secure enough");
		return;
	}
	if (call->cbarge)
		share(conf);
	call_answered(call);
}

/* --- tasks --- */

static struct party *wanted(struct cp_calls *calls, const struct conf_want *w)
{
	struct agent *a = w->kind == PARTY_PHONE ? agent_find(calls, w->name, false) : NULL;
	struct cp_call *call;
	unsigned side;

	if (w->kind == PARTY_PHONE)
		return a != NULL ? agent_party(a, w->ref) : NULL;
	call = w->kind == PARTY_GATEWAY ? endpoint_call(calls, w->name, w->endpoint, &side) : NULL;
	return call != NULL ? &call->p[side] : NULL;
}

int conf_want(struct conf_task *task, const struct conf *conf, const struct party *p, const char **why)
{
	struct conf_want *w = &task->want[task->want_cnt];
	const struct cp_phone *phone = party_phone(p);

	*why = "too many at once";
	if (task->want_cnt == sizeof(task->want) / sizeof(task->want[0]))
		return -ENOSPC;
	*why = "one of them is not registered";
	if (p->kind == PARTY_PHONE && phone == NULL)
		return -ENOTCONN;
	*why = "one of them cannot be a member";
	if (p->conf != NULL || p->call->barge || (p->kind != PARTY_PHONE && p->kind != PARTY_GATEWAY))
		return -EPROTO;
	*why = "a gateway's media is direct"; /* it may keep the key that a phone knows who does not remain */
	if (p->kind == PARTY_GATEWAY && p->call->direct)
		return -EPROTO;
	*why = "one of them is not secure enough";
	if (!conf_allows(conf, p))
		return -EACCES;
	for (unsigned i = 0; i < task->want_cnt; i++) {
		*why = "one phone cannot be a member twice";
		if (task->want[i].kind == PARTY_PHONE && p->kind == PARTY_PHONE && strcmp(task->want[i].name, p->name) == 0)
			return -EEXIST;
	}
	for (const struct party *o = conf->ports; o != NULL; o = o->cf_next)
		if (p->agent != NULL && party_other(o)->agent == p->agent && party_other(o) != p)
			return -EEXIST;
	*w = (struct conf_want){.kind = p->kind, .ref = p->ref};
	snprintf(w->name, sizeof(w->name), "%s", p->name);
	snprintf(w->endpoint, sizeof(w->endpoint), "%s", p->endpoint);
	task->want_cnt++;
	return 0;
}

static int port_for(struct conf *conf, struct conf_want *w)
{
	struct party *p = wanted(conf->calls, w);
	struct cp_call *call = p != NULL ? call_new(conf->calls) : NULL;
	int rc;

	if (call == NULL)
		return p == NULL ? -ENOENT : -ENOSPC;
	call->p[0].remote.family = party_phone(p) != NULL ? cp_phone_peer(party_phone(p))->family : p->remote.family;
	snprintf(call->p[0].region, sizeof(call->p[0].region), "%s", p->region);
	rc = conf_port(conf, call, p);
	if (rc < 0)
		call_end(call, "no port of a conference bridge");
	else
		w->port = call->ref;
	return rc;
}

int conf_task_start(struct conf *conf, struct conf_task *task, const char **why)
{
	struct cp_calls *calls = conf->calls;
	uint32_t ports[CONF_PLACES + 2];
	unsigned n = 0;
	int rc = 0;

	*why = "no port for one of them";
	for (unsigned i = 0; rc == 0 && i < task->want_cnt; i++)
		if (task->want[i].kind != PARTY_NONE && (rc = port_for(conf, &task->want[i])) == 0)
			ports[n++] = task->want[i].port;
	if (rc == 0) {
		conf->task = task;
		conf_ask(conf);
		return 0;
	}
	free(task);
	for (unsigned i = 0; i < n; i++) {
		struct cp_call *call = call_find(calls, ports[i]);

		if (call != NULL)
			call_end(call, "no port of a conference bridge");
	}
	return rc;
}

/* Where the phone that pressed reads and hears that nothing came of it. */
static void tell(struct conf *conf, const struct conf_task *t, const char *text)
{
	struct agent *a = t->agent[0] != '\0' ? agent_find(conf->calls, t->agent, false) : NULL;
	struct party *p = a != NULL ? agent_active(a) : NULL;

	cfg_log(CFG_LOG_NOTICE, "conference-failed", "device=%s bridge=%s reason=%s", cfg_q(t->agent), conf->gateway, cfg_q(text));
	if (a == NULL || a->phone == NULL)
		return;
	if (p == NULL)
		p = agent_party(a, t->keep);
	if (p != NULL)
		ui_refused(p, text);
}

void conf_task_fail(struct conf *conf, const char *text)
{
	struct conf_task *t = conf->task;
	struct cp_calls *calls = conf->calls;
	const struct conf *was = conf;

	conf->task = NULL;
	tell(conf, t, text);
	for (unsigned i = 0; i < t->want_cnt; i++) {
		struct cp_call *call = call_find(calls, t->want[i].port);

		if (call != NULL && call->p[1].conf == was && call->state == CALL_ROUTING)
			refuse_port(call, text);
	}
	free(t);
}

/* --- all is there --- */

struct moves {
	struct cp_call *port[CONF_PLACES + 2];
	struct party *who[CONF_PLACES + 2]; /* NULL: there already */
	struct party *drop[CONF_PLACES];
	struct party *keep;
};

static bool goes(const struct conf_task *t, const struct moves *m, const struct party *p, bool drops_too)
{
	for (unsigned i = 0; i < t->want_cnt; i++)
		if (m->who[i] == p)
			return true;
	for (unsigned i = 0; drops_too && i < t->drop_cnt; i++)
		if (m->drop[i] == p)
			return true;
	return false;
}

static bool usable(const struct party *p)
{
	return p != NULL && p->call->state == CALL_CONNECTED && (p->kind != PARTY_PHONE || party_phone(p) != NULL);
}

/* The calls as they are now: nobody may be left behind in one. -EBUSY: later. */
static int gather(struct conf *conf, struct moves *m, const char **why)
{
	struct conf_task *t = conf->task;
	struct agent *a = t->agent[0] != '\0' ? agent_find(conf->calls, t->agent, false) : NULL;
	bool busy = !cp_dp_up(conf->calls->env.dp);

	*why = "Call has ended";
	for (unsigned i = 0; i < t->want_cnt; i++) {
		m->port[i] = call_find(conf->calls, t->want[i].port);
		m->who[i] = wanted(conf->calls, &t->want[i]);
		if (t->want[i].kind != PARTY_NONE && !usable(m->who[i]))
			return -ENOENT;
		busy |= m->who[i] != NULL && call_busy(m->who[i]->call);
	}
	for (unsigned i = 0; i < t->drop_cnt; i++) {
		m->drop[i] = a != NULL ? agent_party(a, t->drop[i]) : NULL;
		if (!usable(m->drop[i]))
			return -ENOENT;
	}
	m->keep = a != NULL ? agent_party(a, t->keep) : NULL;
	if (a != NULL && (!usable(m->keep) || (!goes(t, m, m->keep, false) && party_other(m->keep)->conf != conf)))
		return -ENOENT;
	busy |= m->keep != NULL && call_busy(m->keep->call);
	for (unsigned i = 0; i < t->want_cnt; i++)
		if (m->who[i] != NULL && !goes(t, m, party_other(m->who[i]), true))
			return -ENOENT;
	for (unsigned i = 0; i < t->drop_cnt; i++)
		if (!goes(t, m, party_other(m->drop[i]), false))
			return -ENOENT;
	return busy ? -EBUSY : 0;
}

static void move_in(struct cp_call *port, struct party *who)
{
	struct cp_call *from = who->call;
	struct party *p = &port->p[0];
	uint32_t leg = p->leg_id, codec = p->codec;
	uint8_t packet_ms = p->packet_ms, pt = p->audio_pt;

	barge_drop(who);
	party_unplug(who);
	party_move(port, 0, from, party_side(from, who));
	p->leg_id = leg;
	p->codec = codec;
	p->packet_ms = packet_ms;
	p->audio_pt = pt;
	p->consult = 0;
	if (!port->secure)
		p->suite = DP_SRTP_NONE;
	else if (p->kind == PARTY_PHONE)
		p->suite = policy_phone_suite(&port->rule, party_phone(p));
}

/* It has not turned to a call meanwhile that is none of these. */
static bool idle_beside(const struct agent *a, const struct conf_task *t, const struct moves *m)
{
	const struct party *p = agent_active(a);

	if (p == NULL || p == m->keep)
		return true;
	for (unsigned i = 0; i < t->drop_cnt; i++)
		if (m->drop[i] == p)
			return true;
	return false;
}

/* The last port that gets a party of this one's call. Records are written in the ports' order: the call that these parties were in goes
 * with the last of them, so that a kill between two leaves it to be ended at its gateways, rather than a party that no record names. */
static struct cp_call *last_of(const struct conf_task *t, const struct moves *m, unsigned i)
{
	unsigned last = i;

	for (unsigned k = i + 1; k < t->want_cnt; k++)
		if (m->who[k] != NULL && m->who[k]->call == m->who[i]->call)
			last = k;
	return m->port[last];
}

static void commit(struct conf *conf, struct moves *m)
{
	struct conf_task *t = conf->task;
	struct cp_call *from[CONF_PLACES + 2] = {NULL}, *last[CONF_PLACES + 2] = {NULL};
	struct cp_calls *calls = conf->calls;
	uint32_t keep = t->keep;
	struct agent *a = m->keep != NULL ? m->keep->agent : NULL;
	struct party *p;
	char by[DIGITS_MAX + 1];
	const char *why;

	conf->task = NULL;
	snprintf(by, sizeof(by), "%s", m->keep != NULL ? m->keep->number : m->port[t->want_cnt - 1]->p[0].number);
	cfg_log(CFG_LOG_INFO, "conference", "conference=%u bridge=%s endpoint=%s members=%u new=%u by=%s", conf->id, conf->gateway,
		conf->endpoint, conf_members(conf), t->want_cnt, cfg_q(t->agent));
	if (m->keep != NULL && goes(t, m, m->keep, false) && idle_beside(a, t, m))
		m->keep->held = false;
	for (unsigned i = 0; i < t->want_cnt; i++)
		if (m->who[i] != NULL)
			last[i] = last_of(t, m, i);
	for (unsigned i = 0; i < t->want_cnt; i++) {
		if (m->who[i] == NULL)
			continue;
		from[i] = m->who[i]->call;
		if (!from[i]->billed) /* what it was until now; its parties go on as others */
			cdr_split(from[i], last[i], last[i]);
		move_in(m->port[i], m->who[i]);
		cdr_restart(m->port[i], CP_CDR_CONFERENCE, by);
	}
	for (unsigned i = 0; i < t->drop_cnt; i++)
		party_leave(m->drop[i]);
	for (unsigned i = 0; i < t->want_cnt; i++)
		if (last[i] != NULL)
			last[i]->joined = from[i];
	for (unsigned i = 0; i < t->want_cnt; i++) {
		if (m->who[i] != NULL)
			call_connect(m->port[i]);
		else
			call_answered(m->port[i]);
	}
	free(t);
	/* Who was a member already, and only asked somebody else meanwhile, comes back. */
	p = a != NULL && agent_find(calls, a->name, false) == a ? agent_party(a, keep) : NULL;
	if (p != NULL && p->held && agent_active(a) == NULL)
		hold_end(p->call, party_side(p->call, p), &why);
}

void conf_task_step(struct conf *conf)
{
	struct conf_task *t = conf->task;
	struct moves m = {0};
	const char *why;
	bool all = true;
	int rc;

	for (unsigned i = 0; i < t->want_cnt; i++) {
		const struct cp_call *c = call_find(conf->calls, t->want[i].port);

		if (c == NULL || c->p[1].conf != conf || c->state != CALL_ROUTING) {
			conf_task_fail(conf, "No conference bridge");
			return;
		}
		all &= c->p[1].reserved;
		if (c->p[1].reserved && conf->min == CP_SEC_ENCRYPTED && !c->secure) {
			conf_task_fail(conf, "Not secure enough");
			return;
		}
	}
	if (!all)
		return;
	rc = gather(conf, &m, &why);
	if (rc == 0)
		commit(conf, &m);
	else if (rc == -EBUSY && t->tries++ < TRIES_MAX)
		conf_review_soon(conf, AGAIN_MS);
	else
		conf_task_fail(conf, rc == -EBUSY ? "Cannot conference now" : why);
}
