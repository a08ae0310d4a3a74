/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a call: its number, its states, its end. */
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "callint.h"
#include "dial/plan.h"

#define FAILED_MS    30000 /* how long a failed call's tone plays */
#define RENEWALS_MAX 1024  /* sets of re-keys at a time */
#define CONNECT_MS   10000 /* from the answer to confirmed media */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct cp_calls *calls = arg;

	rekey_tick(calls);
	cdrs_tick(calls->cdrs);
	ui_tick(calls);
	legs_tick(calls);
}

struct cp_calls *cp_calls_create(const struct cp_calls_env *env)
{
	struct cp_calls *c = calloc(1, sizeof(*c));
	uint32_t rnd;
	struct timeval second = {1, 0};
	int locked = 0;

	if (c == NULL)
		return NULL;
	c->env = *env;
	for (unsigned i = 0; i < env->cfg->media.suites_count && c->suite_cnt < DP_SRTP_SUITE_MAX; i++)
		if (cp_suite_parse(env->cfg->media.suites[i], &c->suites[c->suite_cnt]) == 0)
			c->suite_cnt++;
	c->tick = event_new(env->base, -1, EV_PERSIST, on_tick, c);
	c->cdrs = cdrs_create(c);
	if (vm_create(c) < 0)
		cfg_log(CFG_LOG_ERR, "no-watch", "family=mwi");
	c->ports = cp_ports_create(&env->cfg->media);
	c->plan = cp_plan_create(env->store);
	if (cp_store_watch(env->store, CP_CF_DIAL, cfa_watch, c) < 0) {
		cp_calls_destroy(c);
		return NULL;
	}
	/* two sets per leg, every leg of the dataplane may be secure; and those on their way to replace others */
	c->keys = cp_keys_create((size_t)env->cfg->dataplane.max_legs * 2 + RENEWALS_MAX, &locked);
	if (c->cdrs == NULL || c->ports == NULL || c->plan == NULL || c->keys == NULL || c->tick == NULL || event_add(c->tick, &second) < 0 || RAND_bytes((uint8_t *)&rnd, sizeof(rnd)) != 1) {
		cp_calls_destroy(c);
		return NULL;
	}
	if (!locked)
		cfg_log(CFG_LOG_WARN, "keys-not-locked", "reason=\"mlock refused: raise LimitMEMLOCK\"");
	/* References of an earlier run are not met again soon: generations start anywhere. */
	c->generation = rnd % (UINT32_MAX / CALL_SLOTS / 4) + 1;
	return c;
}

void cp_calls_set_gateways(struct cp_calls *calls, struct cp_gws *gws)
{
	calls->gws = gws;
}

static void call_free(struct cp_call *call)
{
	struct cp_calls *calls = call->calls;

	rekey_drop(call, "the call ended");
	while (call->forks != NULL)
		party_drop_fork(call->forks);
	for (unsigned s = 0; s < 2; s++) {
		struct party *p = &call->p[s];

		cp_keys_put(calls->keys, p->rx);
		cp_keys_put(calls->keys, p->tx);
		if (p->leg_id != NO_LEG)
			cp_ports_put(calls->ports, p->leg_id);
		party_clear(call, s);
	}
	cdr_drop(call);
	forward_free(call);
	event_free(call->timer);
	calls->slot[call->ref % CALL_SLOTS] = NULL;
	calls->count--;
	free(call);
}

void cp_calls_destroy(struct cp_calls *calls)
{
	if (calls == NULL)
		return;
	calls->gws = NULL; /* they are gone, or go with us */
	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		if (calls->slot[i] == NULL)
			continue;
		calls->slot[i]->p[0].shown = calls->slot[i]->p[1].shown = REMOTE_NONE; /* nobody is told any more */
		calls->slot[i]->p[1].bridges = 0;
		call_free(calls->slot[i]);
	}
	again_forget(calls);
	conf_destroy_all(calls);
	legs_forget_gone(calls);
	for (uint32_t i = 0; i < AGENT_HASH; i++) {
		while (calls->agents[i] != NULL) {
			struct agent *a = calls->agents[i];

			calls->agents[i] = a->next;
			free(a);
		}
	}
	if (calls->tick != NULL)
		event_free(calls->tick);
	cdrs_destroy(calls->cdrs);
	cp_ports_destroy(calls->ports);
	cp_plan_destroy(calls->plan);
	cp_keys_destroy(calls->keys);
	free(calls);
}

const struct cp_plan *cp_calls_plan(const struct cp_calls *calls)
{
	return calls->plan;
}

unsigned cp_calls_count(const struct cp_calls *calls)
{
	return calls->count;
}

struct cp_call *call_find(struct cp_calls *calls, uint32_t ref)
{
	struct cp_call *c = calls->slot[ref % CALL_SLOTS];

	return c != NULL && c->ref == ref ? c : NULL;
}

unsigned party_side(const struct cp_call *call, const struct party *party)
{
	return party == &call->p[0] ? 0 : 1;
}

static void on_timer(evutil_socket_t fd, short what, void *arg);

struct cp_call *call_new(struct cp_calls *calls)
{
	struct cp_call *c;

	if (calls->count == CALL_SLOTS)
		return NULL;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->timer = evtimer_new(calls->env.base, on_timer, c);
	if (c->timer == NULL) {
		free(c);
		return NULL;
	}
	do {
		if (++calls->next_slot == CALL_SLOTS) {
			calls->next_slot = 0;
			calls->generation++;
		}
	} while (calls->slot[calls->next_slot] != NULL);
	/* 31 bits: the media identifiers of both sides are made from it */
	c->ref = (calls->generation * CALL_SLOTS + calls->next_slot) & 0x7fffffff;
	if (c->ref == 0)
		c->ref = CALL_SLOTS;
	c->calls = calls;
	c->p[0].leg_id = c->p[1].leg_id = NO_LEG;
	c->p[0].call = c->p[1].call = c;
	cdr_begin(c);
	calls->slot[c->ref % CALL_SLOTS] = c;
	calls->count++;
	calls->total++;
	return c;
}

void call_timer(struct cp_call *call, unsigned ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	if (ms == 0)
		event_del(call->timer);
	else
		event_add(call->timer, &tv);
}

struct cp_party_security party_security(const struct cp_call *call, const struct party *p)
{
	return (struct cp_party_security){
		.authenticated = p->signal_auth,
		.untrusted = p->untrusted,
		.signal_encrypted = p->signal_enc,
		.guest = p->guest,
		/* SRTP agreed and running; before that a lock would be a promise */
		.media_encrypted = p->suite != DP_SRTP_NONE && call->media_started,
	};
}

enum cp_security call_security(const struct cp_call *call)
{
	struct cp_party_security s[BARGE_PARTIES_MAX];
	enum cp_security cap, is;

	if (call_conf(call) != NULL)
		return conf_security(call_conf(call), call);
	is = cp_security_call(s, barge_parties(call, s, &cap), NULL);
	return is < cap ? is : cap;
}

void call_show(struct cp_call *call)
{
	for (unsigned s = 0; s < 2; s++) {
		music_tone(call, s);
		ui_callinfo(call, s);
	}
	if (call_conf(call) != NULL)
		conf_show(call_conf(call));
}

/* --- the end --- */

void call_end(struct cp_call *call, const char *why)
{
	struct party *target = barge_target(call);

	barge_drop(&call->p[0]);
	barge_drop(&call->p[1]);
	if (call->since_s != 0 && !call->is_static && !call->barge)
		call->calls->completed[call_security(call)]++;
	cfg_log(CFG_LOG_INFO, "call-end", "call=%u from=%s to=%s security=%s reason=%s", call->ref,
		cfg_q(call->p[0].number), cfg_q(call->p[1].number), cp_security_name(call_security(call)), cfg_q(why));
	cdr_cut(call, CP_Q850_NORMAL);
	for (unsigned s = 0; s < 2; s++) {
		if (call->p[s].kind == PARTY_PHONE) {
			ui_media_stop(call, s);
			ui_idle(call, s);
		} else if (call->p[s].kind == PARTY_GATEWAY) {
			trunk_close(call, s);
		}
	}
	ring_stop(call);
	legs_drop(call);
	record_end(call);
	if (call->joined != NULL)
		call_vanish(call->joined);
	if (call->session_fn != NULL)
		call->session_fn(call->session_ctx, -ECANCELED, why, NULL);
	call_free(call);
	barge_changed(target);
}

void call_vanish(struct cp_call *call)
{
	legs_put(call, 0);
	legs_put(call, 1);
	call_free(call);
}

/* The caller hears why and hangs up by itself; the called side is let go at once. */
void call_fail(struct cp_call *call, enum cp_sccp_state state, enum cp_sccp_tone tone, const char *text)
{
	if (forward_instead(call, state == CP_SCCP_BUSY))
		return;
	cfg_log(CFG_LOG_NOTICE, "call-failed", "call=%u from=%s dialled=%s reason=%s", call->ref,
		cfg_q(call->p[0].number), cfg_q(call->digits), cfg_q(text));
	call->calls->failed++;
	call_cause(call, state == CP_SCCP_BUSY ? CP_Q850_BUSY : state == CP_SCCP_INVALID_NUMBER ? CP_Q850_UNALLOCATED : CP_Q850_CONGESTION);
	if ((party_phone(&call->p[0]) == NULL && !call->p[0].inbound) || call->p[0].media_on) {
		call_end(call, text);
		return;
	}
	cdr_cut(call, CP_Q850_CONGESTION);
	ring_stop(call);
	if (call->p[1].kind == PARTY_PHONE)
		ui_idle(call, 1);
	trunk_close(call, 1);
	legs_drop(call);
	record_end(call);
	call->stored = false;
	party_clear(call, 1);
	call->state = CALL_FAILED;
	call->reserving = false;
	call_timer(call, FAILED_MS);
	if (call->p[0].inbound && call->p[0].conn_id[0] != '\0')
		trunk_close(call, 0);
	if (call->p[0].inbound)
		inbound_fails(call, state, tone);
	else
		ui_failed(call, state, tone, text);
}

void cp_calls_stop(struct cp_calls *calls)
{
	calls->stopping = true;
	for (uint32_t i = 0; i < CALL_SLOTS; i++)
		if (calls->slot[i] != NULL && calls->slot[i]->state != CALL_CONNECTED && !park_unring(&calls->slot[i]->p[1]))
			call_end(call_cause(calls->slot[i], CP_Q850_TEMPORARY), "the service stops");
}

bool party_up(const struct party *p)
{
	return p->ready || p->held;
}

void call_answered(struct cp_call *call)
{
	struct party *p = &call->p[0];

	park_answered(call);
	if (inbound_reserve(call))
		return;
	if (call->secure && p->kind == PARTY_PHONE && party_phone(p) == NULL) {
		call_end(call_cause(call, CP_Q850_OUT_OF_ORDER), "phone lost");
		return;
	}
	if (party_up(p)) /* it waited, and goes on under the keys that it has */
		p->reopen = false;
	else if (p->kind == PARTY_PHONE)
		p->suite = !call->secure   ? DP_SRTP_NONE :
			   call->direct && party_phone(&call->p[1]) != NULL ?
				     policy_common_suite(&call->rule, party_phone(p), party_phone(&call->p[1])) :
				     policy_phone_suite(&call->rule, party_phone(p));
	else if (!call->secure)
		p->suite = DP_SRTP_NONE;
	call_connect(call);
}

void call_connect(struct cp_call *call)
{
	call->state = CALL_CONNECTING;
	call_timer(call, CONNECT_MS);
	for (unsigned s = 0; s < 2; s++) {
		if (call->p[s].music != MUSIC_NONE && !call->p[1 - s].held) /* who waited is spoken to now */
			(void)music_set(call, s, MUSIC_NONE);
		else if (call->p[s].music == MUSIC_NONE && call->p[1 - s].held) /* left to one who holds: its leg's assertion begins it */
			call->p[s].music = MUSIC_USER;
	}
	if (call->direct && direct_keys(call) < 0) {
		call_end(call_cause(call, CP_Q850_TEMPORARY), "no key");
		return;
	}
	if (call->secure && !call->direct) {
		for (unsigned s = 0; s < 2; s++) {
			struct party *p = &call->p[s];

			if (p->kind == PARTY_PHONE && !party_up(p) &&
			    legs_keys(call, s, party_phone(p) != NULL ? policy_phone_suite(&call->rule, party_phone(p)) : 0) < 0) {
				call_end(call_cause(call, CP_Q850_TEMPORARY), "no key");
				return;
			}
			if (p->reopen && p->suite != DP_SRTP_NONE && (p->tx = policy_draw(call, p, p->suite)) == NULL) {
				call_end(call_cause(call, CP_Q850_TEMPORARY), "no key");
				return;
			}
		}
	}
	/* Whose stream goes on hears and is heard by somebody else soon: what the call is worth then is told before. */
	for (unsigned s = 0; call->media_started && s < 2; s++)
		if (party_up(&call->p[s]))
			ui_callinfo(call, s);
	legs_start(call);
}

/* One more side has confirmed its media. */
void call_media_ready(struct cp_call *call)
{
	if (call->state != CALL_CONNECTING || !party_up(&call->p[0]) || !party_up(&call->p[1]))
		return;
	call->state = CALL_CONNECTED;
	if (call->since_s == 0)
		call->since_s = time(NULL);
	cdr_connected(call);
	call_timer(call, 0);
	cfg_log(CFG_LOG_INFO, "call-connected", "call=%u from=%s to=%s security=%s", call->ref,
		cfg_q(call->p[0].number), cfg_q(call->p[1].number), cp_security_name(call_security(call)));
	call_show(call);
	conf_changed(call);
	for (unsigned s = 0; s < 2; s++)
		ui_secure_tone(call, s);
	barge_changed(barge_target(call));
	direct_watch(call);
	if (record_write(call, NULL, NULL) < 0)
		cfg_log(CFG_LOG_WARN, "call-record-not-updated", "call=%u", call->ref);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct cp_call *call = arg;

	(void)fd;
	(void)what;
	if (park_expired(call) || inbound_left(call))
		return;
	switch (call->state) {
	case CALL_DIALING:
		if (call->digit_cnt > 0)
			route_digits(call);
		else
			call_fail(call_cause(call, CP_Q850_BAD_NUMBER), CP_SCCP_INVALID_NUMBER, CP_SCCP_TONE_REORDER, "No number");
		break;
	case CALL_ALERTING:
		call_fail(call_cause(call, CP_Q850_NO_ANSWER), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No answer");
		break;
	case CALL_ROUTING:
	case CALL_CONNECTING:
		call_end(call_cause(call, CP_Q850_OUT_OF_ORDER), "no confirmation of media in time");
		break;
	case CALL_CONNECTED:
		if (call->p[0].resuming || call->p[1].resuming) {
			rekey_give_up(call, 0);
			rekey_give_up(call, 1);
			break;
		}
		/* fall through */
	default:
		call_end(call_cause(call, CP_Q850_OUT_OF_ORDER), "abandoned");
		break;
	}
}
