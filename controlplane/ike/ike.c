/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarm.h"
#include "clock.h"
#include "ikeint.h"
#include "ikerec.h"
#include "log.h"
#include "store/store.h"
#include "trust/certs.h"

#define TICK_MS    500
#define SWEEP_MS   10000 /* charon's list of SAs, when nothing happens */
#define GRACE_MS   5000  /* down for so long is an alarm: reauthentication is shorter */
#define KEEP_MS    60000

static uint32_t hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h % IKE_HASH;
}

struct ike *ike_find(struct cp_ikes *ikes, const char *name)
{
	struct ike *ike = name != NULL ? ikes->by_name[hash(name)] : NULL;

	while (ike != NULL && strcmp(ike->rec.name, name) != 0)
		ike = ike->next;
	return ike;
}

void ike_each(struct cp_ikes *ikes, void (*fn)(void *ctx, struct ike *ike), void *ctx)
{
	for (unsigned i = 0; i < IKE_HASH; i++)
		for (struct ike *ike = ikes->by_name[i], *next; ike != NULL; ike = next) {
			next = ike->next;
			fn(ctx, ike);
		}
}

/* --- states --- */

void ike_set_state(struct ike *ike, enum ike_state state)
{
	if (ike->state == state)
		return;
	ike->state = state;
	if (state != IKE_CONNECTING)
		ike_not_beginning(ike);
	ike->since_us = cp_wall_us();
	cfg_log(state == IKE_UP ? CFG_LOG_NOTICE : CFG_LOG_INFO, "ike-state", "gateway=%s state=%s", ike->rec.name, ike_state_name(ike));
	if (state == IKE_UP) {
		ike->ups++;
		ike->tries = 0;
		if (ike->next_ms > cp_mono_ms() + IKE_RETRY_MS) /* what it took to come up does not count when it goes */
			ike->next_ms = cp_mono_ms() + IKE_RETRY_MS;
		ike->down_ms = 0;
		ike->error[0] = '\0';
		ike->alarmed = false;
		cp_alarm_clear(ike->ikes->env.alarms, "ike-down", ike->rec.name);
	} else if (ike->down_ms == 0) {
		ike->down_ms = cp_mono_ms();
	}
	ike_waiters(ike->ikes, false);
}

static void raise_down(struct ike *ike)
{
	cp_alarm_raise(ike->ikes->env.alarms, "ike-down", CP_ALARM_MAJOR, ike->rec.name, "no IPsec with the gateway: %s",
		       ike->stopped ? "ended by an operator" : ike->error[0] != '\0' ? ike->error : "IKE is not up");
}

/*
 * Of an attempt the first reason is the one that matters: what follows is that it ends. What we saw ourselves says more than
 * what the gateway notified us of, and stays for a while.
 */
void ike_failed(struct ike *ike, const char *sa, const char *why)
{
	uint64_t now = cp_mono_ms();

	if (ike->error[0] != '\0' && sa[0] != '\0' &&
	    (strcmp(sa, ike->error_sa) == 0 || (strncmp(why, "received ", 9) == 0 && strncmp(ike->error, "received ", 9) != 0 && now - ike->error_ms < KEEP_MS)))
		return;
	ike->error_ms = now;
	ike_not_beginning(ike);
	if (strcmp(ike->error, why) != 0)
		cfg_log_limited(CFG_LOG_WARN, "ike-failed", "gateway=%s reason=%s", ike->rec.name, cfg_q(why));
	snprintf(ike->error, sizeof(ike->error), "%s", why);
	snprintf(ike->error_sa, sizeof(ike->error_sa), "%s", sa);
	if (ike->alarmed)
		raise_down(ike); /* the same alarm, with what it is now */
	ike_waiters(ike->ikes, false);
}

int ike_end(struct ike *ike)
{
	ike_sweep_soon(ike->ikes, 500);
	return cp_vici_send(ike->ikes->vici, cp_ike_plain("terminate", "ike", ike->rec.name, "timeout", "-1", NULL), NULL, NULL);
}

/* --- what charon says --- */

static bool has_child(const json_t *sa)
{
	json_t *child;
	const char *name;

	json_object_foreach(json_object_get(sa, "child-sas"), name, child) {
		const char *state = cp_vici_get(child, "state");

		if (strcmp(state, "INSTALLED") == 0 || strcmp(state, "REKEYING") == 0 || strcmp(state, "REKEYED") == 0)
			return true;
	}
	return false;
}

static enum ike_state state_of(const json_t *sa)
{
	const char *state = cp_vici_get(sa, "state");

	if (strcmp(state, "ESTABLISHED") == 0 || strcmp(state, "REKEYING") == 0 || strcmp(state, "REKEYED") == 0)
		return has_child(sa) ? IKE_UP : IKE_NO_CHILD;
	return strcmp(state, "DELETING") == 0 || strcmp(state, "DESTROYING") == 0 ? IKE_DOWN : IKE_CONNECTING;
}

/*
 * It was authenticated by what the record said before. Who changed the record ends such SAs once charon has what it says now, but may have
 * died first. charon tells whole seconds, of a clock that begins them at another time than ours: one that came within a second behind the change may
 * look older than it. So one of the two seconds before it passes, too.
 */
static bool outlived(const struct ike *ike, const json_t *sa)
{
	const char *up_s = cp_vici_get(sa, "established");

	return up_s[0] != '\0' && cp_wall_us() - ((int64_t)strtoul(up_s, NULL, 10) - 1) * 1000000 < ike->rec.ike.changed_us;
}

static void end_outlived(void *ctx, struct ike *ike)
{
	(void)ctx;
	if (!ike->anew || !ike->loaded) /* what is not loaded yet is ended then */
		return;
	ike->anew = false;
	ike_end(ike);
}

/* One SA of charon's list. Of several of a gateway the best one is shown: the others are on their way in or out. */
static void listed(struct cp_ikes *ikes, const json_t *msg)
{
	const char *name;
	json_t *sa;

	json_object_foreach((json_t *)(uintptr_t)msg, name, sa) {
		struct ike *ike = ike_find(ikes, name);

		if (ike != NULL && json_is_object(sa) && !ikes->judged && outlived(ike, sa))
			ike->anew = true;
		if (ike == NULL || !json_is_object(sa) || (ike->sweep == ikes->sweep && ike->sa != NULL && state_of(ike->sa) >= state_of(sa)))
			continue;
		ike->sweep = ikes->sweep;
		json_decref(ike->sa);
		ike->sa = json_incref(sa);
	}
}

static void swept_one(void *ctx, struct ike *ike)
{
	struct cp_ikes *ikes = ctx;
	bool trying = ike->state == IKE_CONNECTING && ike->error[0] == '\0';

	if (ike->sweep == ikes->sweep) {
		ike->missed = ike->ended = false;
		ike_set_state(ike, state_of(ike->sa));
		return;
	}
	if (trying && (ike->asking || cp_mono_ms() - ike->begun_ms < IKE_FRESH_MS))
		return; /* not in the list yet */
	if ((trying || ike->sa != NULL) && !ike->ended && !ike->missed) {
		/* Whoever charon is busy with just then is not in its list ("noblock"), and is in the next one. */
		ike->missed = true;
		ike_sweep_soon(ikes, ikes->cnt < IKE_MANY ? 200 : 1000);
		return;
	}
	ike->missed = ike->ended = false;
	json_decref(ike->sa);
	ike->sa = NULL;
	ike_set_state(ike, IKE_DOWN);
}

static void sweep_now(struct cp_ikes *ikes);

static void swept(void *ctx, int rc, const json_t *answer)
{
	struct cp_ikes *ikes = ctx;

	(void)answer;
	ikes->sweeping = false;
	if (rc == 0 && !ikes->stopping) {
		ike_each(ikes, swept_one, ikes);
		ikes->swept = true;
		if (!ikes->judged)
			ike_each(ikes, end_outlived, NULL);
		ikes->judged = true;
		ike_begin_some(ikes);
	}
	ike_shown(ikes);
	if (ikes->sweep_again)
		ike_sweep_soon(ikes, 0);
}

static void sweep_now(struct cp_ikes *ikes)
{
	struct timeval tv = {SWEEP_MS / 1000, 0};

	ikes->sweep_ms = cp_mono_ms() + SWEEP_MS;
	event_add(ikes->ev_sweep, &tv);
	if (!cp_vici_up(ikes->vici)) {
		ike_shown(ikes);
		return;
	}
	if (ikes->sweeping) {
		ikes->sweep_again = true;
		return;
	}
	ikes->sweep_again = false;
	ikes->sweep++;
	if (cp_vici_send(ikes->vici, cp_ike_plain("list-sas", "noblock", "yes", NULL), swept, ikes) == 0)
		ikes->sweeping = true;
	else
		ike_shown(ikes);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	sweep_now(arg);
}

void ike_sweep_soon(struct cp_ikes *ikes, unsigned ms)
{
	struct timeval tv = {ms / 1000, (int)(ms % 1000) * 1000};
	uint64_t due_ms = cp_mono_ms() + ms;

	if (ikes->stopping || due_ms >= ikes->sweep_ms)
		return;
	ikes->sweep_ms = due_ms;
	event_add(ikes->ev_sweep, &tv);
}

/*
 * charon's log is the only place where it says why: a line at its control level that belongs to a connection and has one of
 * these in it is a reason.
 */
static bool is_reason(const char *msg)
{
	static const char *const words[] = {
		"MAC mismatched", "no shared key found", "no trusted", "no issuer certificate", "was revoked", "certificate invalid",
		"constraint", "received AUTHENTICATION_FAILED", "received NO_PROPOSAL_CHOSEN", "received INVALID_ID", "received TS_UNACCEPTABLE",
		"received INVALID_HASH", "received PAYLOAD_MALFORMED", "received INVALID_KE", "no acceptable", "no proposal found",
		"decryption failed", "could not decrypt", "integrity check failed", "calculated HASH does not match", "no private key",
		"giving up after", "unable to install", "error writing to socket", "peer not responding", "no alternative config",
		"signature validation failed", "IDir '", "does not match to", "unacceptable", "unable to add SAD", "failed to establish",
		"authentication failed",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(msg, words[i]) != NULL)
			return true;
	return false;
}

static void on_log(struct cp_ikes *ikes, const json_t *msg)
{
	const char *text = cp_vici_get(msg, "msg");
	struct ike *ike = ike_find(ikes, cp_vici_get(msg, "ikesa-name"));

	if (ike != NULL && is_reason(text))
		ike_failed(ike, cp_vici_get(msg, "ikesa-uniqueid"), text);
	ike_begin_next(ikes);
}

/* An IKE SA ended: if it is the one that is shown, whoever is not in the next list is down. */
static void ike_ended(struct cp_ikes *ikes, const json_t *msg)
{
	const char *name;
	json_t *sa;

	json_object_foreach((json_t *)(uintptr_t)msg, name, sa) {
		struct ike *ike = json_is_object(sa) ? ike_find(ikes, name) : NULL;
		const char *id = cp_vici_get(sa, "uniqueid");

		if (ike != NULL && (id[0] == '\0' || strcmp(id, cp_vici_get(ike->sa, "uniqueid")) == 0))
			ike->ended = true;
	}
}

/*
 * A CHILD_SA came up: the event has what a list of all would say, its siblings aside, so that a thousand of them need no list each.
 * Counted as seen by the list that is under way, which may be of before. False: a list must say what is.
 */
static bool child_up(struct cp_ikes *ikes, const json_t *msg)
{
	bool known = strcmp(cp_vici_get(msg, "up"), "yes") == 0;
	const char *name;
	json_t *sa;

	json_object_foreach((json_t *)(uintptr_t)msg, name, sa) {
		struct ike *ike = json_is_object(sa) ? ike_find(ikes, name) : NULL;

		if (ike == NULL)
			continue;
		known = known && state_of(sa) == IKE_UP && ike->state != IKE_UP;
		if (!known)
			continue;
		ike->sweep = ikes->sweep;
		ike->missed = ike->ended = false;
		json_decref(ike->sa);
		ike->sa = json_incref(sa);
		ike_set_state(ike, IKE_UP);
	}
	ike_begin_next(ikes);
	return known;
}

static void count(struct cp_ikes *ikes, const json_t *msg, bool child)
{
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)msg, name, v) {
		struct ike *ike = json_is_object(v) ? ike_find(ikes, name) : NULL;

		if (ike != NULL)
			*(child ? &ike->child_rekeys : &ike->rekeys) += 1;
	}
}

static void on_event(void *ctx, const char *name, const json_t *msg)
{
	struct cp_ikes *ikes = ctx;

	if (strcmp(name, "list-sa") == 0) {
		listed(ikes, msg);
	} else if (strcmp(name, "log") == 0) {
		on_log(ikes, msg);
	} else {
		bool known = strcmp(name, "child-updown") == 0 && child_up(ikes, msg);

		if (strcmp(name, "ike-updown") == 0 && strcmp(cp_vici_get(msg, "up"), "yes") != 0)
			ike_ended(ikes, msg);
		if (strcmp(name, "ike-rekey") == 0 || strcmp(name, "child-rekey") == 0)
			count(ikes, msg, name[0] == 'c');
		if (ikes->cnt < IKE_MANY)
			ike_sweep_soon(ikes, 50);
		else if (!known && strcmp(cp_vici_get(msg, "up"), "yes") != 0)
			ike_sweep_soon(ikes, 1000);
	}
}

static void version_known(void *ctx, int rc, const json_t *answer)
{
	struct cp_ikes *ikes = ctx;

	if (rc == 0)
		snprintf(ikes->version, sizeof(ikes->version), "%s %s", cp_vici_get(answer, "daemon"), cp_vici_get(answer, "version"));
	cfg_log(CFG_LOG_NOTICE, "ike-daemon", "state=up version=%s", cfg_q(ikes->version));
}

static void on_up(void *ctx)
{
	struct cp_ikes *ikes = ctx;
	uint32_t pid = cp_vici_pid(ikes->vici);

	if (pid != 0 && ikes->pid != 0 && pid != ikes->pid && ikes->env.another != NULL)
		ikes->env.another(ikes->env.ctx);
	ikes->pid = pid != 0 ? pid : ikes->pid;
	ikes->lost = false;
	ikes->swept = ikes->sweeping = false;
	cp_alarm_clear(ikes->env.alarms, "ike-daemon", "charon");
	cp_vici_send(ikes->vici, cp_ike_plain("version", NULL), version_known, ikes);
	ike_load_all(ikes);
	sweep_now(ikes);
}

static void gone(void *ctx, struct ike *ike)
{
	(void)ctx;
	ike->loaded = false;
	json_decref(ike->sa);
	ike->sa = NULL;
	ike->tries = 0;
	ike_set_state(ike, IKE_DOWN);
}

static void on_down(void *ctx, const char *why)
{
	struct cp_ikes *ikes = ctx;

	if (ikes->stopping || ikes->lost)
		return;
	ikes->lost = true;
	cp_alarm_raise(ikes->env.alarms, "ike-daemon", CP_ALARM_CRITICAL, "charon",
		       "charon is not there (%s): no IKE, keys of ESP end with their lifetimes", why);
	ike_each(ikes, gone, NULL);
	ike_waiters(ikes, true);
	ike_shown(ikes);
}

/* --- time --- */

static void tick_one(void *ctx, struct ike *ike)
{
	struct cp_ikes *ikes = ike->ikes;
	uint64_t now = cp_mono_ms();

	(void)ctx;
	if (ike->beginning && !ike->asking && now - ike->begun_ms > IKE_SLOW_MS)
		ike_not_beginning(ike);
	if (!ikes->swept || ike->state == IKE_UP)
		return;
	if (ike->down_ms == 0)
		ike->down_ms = now;
	if (!ike->alarmed && now - ike->down_ms > GRACE_MS && (ike->rec.ike.flags & CP_IKE_TRAP) == 0) {
		ike->alarmed = true;
		raise_down(ike);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct cp_ikes *ikes = arg;

	(void)fd;
	(void)what;
	if (cp_vici_up(ikes->vici)) {
		if (!ikes->have_identity)
			ike_ask_identity(ikes);
		ike_load_some(ikes);
		ike_each(ikes, tick_one, NULL);
		ike_begin_some(ikes);
	}
	ike_waiters(ikes, false);
}

/* --- records --- */

static void ike_free(struct ike *ike)
{
	cp_gateway_free(&ike->rec);
	json_decref(ike->sa);
	free(ike);
}

static void forget(struct cp_ikes *ikes, const char *name)
{
	for (struct ike **at = &ikes->by_name[hash(name)]; *at != NULL; at = &(*at)->next) {
		struct ike *ike = *at;

		if (strcmp(ike->rec.name, name) != 0)
			continue;
		*at = ike->next;
		ikes->cnt--;
		cp_alarm_clear(ikes->env.alarms, "ike-down", name);
		ike_not_beginning(ike);
		ike_unload(ikes, name);
		ike_free(ike);
		break;
	}
	ike_waiters(ikes, false);
}

/* What of a record matters here: a copy of the rest would be of a thousand endpoints. */
static int copy_rec(const struct cp_gateway *rec, struct cp_gateway *ret)
{
	struct cp_gateway some = *rec;

	some.endpoint_cnt = some.number_cnt = 0;
	some.endpoints = NULL;
	some.numbers = NULL;
	some.unknown = (struct cp_buf){NULL, 0};
	return cp_gateway_copy(&some, ret);
}

void cp_ikes_changed(struct cp_ikes *ikes, const char *name)
{
	const struct cp_gateway *rec = ikes != NULL ? cp_dir_gateway(ikes->env.store, name) : NULL;
	struct ike *ike;
	struct cp_gateway copy;

	if (ikes == NULL || ikes->stopping)
		return;
	if (rec == NULL || rec->ike.version == 0) {
		forget(ikes, name);
		return;
	}
	ike = ike_find(ikes, name);
	if ((ike != NULL && cp_ike_same(&ike->rec, rec)) || copy_rec(rec, &copy) < 0)
		return;
	if (ike == NULL) {
		ike = calloc(1, sizeof(*ike));
		if (ike == NULL) {
			cp_gateway_free(&copy);
			return;
		}
		ike->ikes = ikes;
		ike->since_us = cp_wall_us();
		ike->next = ikes->by_name[hash(name)];
		ikes->by_name[hash(name)] = ike;
		ikes->cnt++;
	} else {
		cp_gateway_free(&ike->rec);
		ike->anew = true;
		ike->stopped = false;
	}
	ike->rec = copy;
	ike->wanted = true;
	ike->loaded = false;
	ike->next_ms = 0;
	ike->tries = 0;
	ike->error[0] = '\0';
	if ((copy.ike.flags & CP_IKE_CERT) != 0 && ikes->own == NULL && cp_vici_up(ikes->vici))
		ike_ask_identity(ikes);
	ike_load_some(ikes);
}

static void on_record(void *ctx, const struct cp_gateway *rec)
{
	if (rec->ike.version != 0)
		cp_ikes_changed(ctx, rec->name);
}

/* Ours was renewed, or theirs are other ones. */
static void on_certs(void *ctx, const char *name)
{
	struct cp_ikes *ikes = ctx;

	if (strcmp(name, "IPsec") == 0 || strcmp(name, cp_trust_store_name(CP_TS_IPSEC)) == 0)
		ike_load_all(ikes);
}

int cp_ikes_create(const struct cp_ikes_env *env, struct cp_ikes **ret)
{
	static const char *const events[] = {"list-sa", "log", "ike-updown", "child-updown", "ike-rekey", "child-rekey", NULL};
	static const struct cp_vici_ops ops = {events, on_up, on_down, on_event};
	struct timeval tv = {0, TICK_MS * 1000};
	struct cp_ikes *ikes = calloc(1, sizeof(*ikes));

	if (ikes == NULL)
		return -ENOMEM;
	ikes->env = *env;
	ikes->sweep_ms = UINT64_MAX; /* none yet */
	ikes->ev_tick = event_new(env->base, -1, EV_PERSIST, on_tick, ikes);
	ikes->ev_sweep = evtimer_new(env->base, on_sweep, ikes);
	ikes->vici = cp_vici_create(env->base, env->vici, &ops, ikes);
	if (ikes->ev_tick == NULL || ikes->ev_sweep == NULL || ikes->vici == NULL ||
	    (env->certs != NULL && cp_certs_watch(env->certs, on_certs, ikes) < 0)) {
		cp_ikes_destroy(ikes);
		return -ENOMEM;
	}
	event_add(ikes->ev_tick, &tv);
	cp_dir_each_gateway(env->store, on_record, ikes);
	*ret = ikes;
	return 0;
}

void cp_ikes_stop(struct cp_ikes *ikes)
{
	if (ikes == NULL)
		return;
	ikes->stopping = true;
	event_del(ikes->ev_tick);
	event_del(ikes->ev_sweep);
	ike_waiters(ikes, true);
	ike_shown(ikes);
}

static void free_one(void *ctx, struct ike *ike)
{
	(void)ctx;
	ike_free(ike);
}

void cp_ikes_destroy(struct cp_ikes *ikes)
{
	if (ikes == NULL)
		return;
	cp_vici_destroy(ikes->vici);
	ike_each(ikes, free_one, NULL);
	if (ikes->ev_tick != NULL)
		event_free(ikes->ev_tick);
	if (ikes->ev_sweep != NULL)
		event_free(ikes->ev_sweep);
	X509_free(ikes->own);
	free(ikes);
}
