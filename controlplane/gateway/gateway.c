/* SPDX-License-Identifier: BSD-3-Clause */
/* Gateways: their records asserted in the dataplane, their states, and what they say by themselves. */
#include <errno.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "alarm.h"
#include "call/media.h"
#include "clock.h"
#include "dpclient.h"
#include "gwint.h"
#include "log.h"
#include "store/store.h"

#define NAME_HASH   8192
#define AGAIN_MS    20   /* after a full ring of the dataplane */
#define AGAIN_CNT   512  /* gateways set again at a time */
#define FIRST_S     1     /* the first question to a gateway whose SAs are still being set */

static struct cp_gw **chain(struct cp_gws *gws, const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return &gws->by_name[h % NAME_HASH];
}

static struct cp_gw **host_chain(struct cp_gws *gws, const struct cfg_addr *a)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(a->ip); i++)
		h = (h ^ a->ip[i]) * 16777619u;
	return &gws->by_host[h % NAME_HASH];
}

static void unlink_host(struct cp_gw *gw)
{
	for (struct cp_gw **at = host_chain(gw->gws, &gw->rec.address); *at != NULL; at = &(*at)->next_host) {
		if (*at == gw) {
			*at = gw->next_host;
			break;
		}
	}
}

bool gw_needs_sa(const struct cp_gw *gw)
{
	return (gw->rec.flags & CP_GW_CLEAR) == 0;
}

bool gw_reachable(const struct cp_gw *gw)
{
	return gw->sa_live || !gw_needs_sa(gw);
}

static void closed(struct cp_gw *gw)
{
	if (!cp_health_answered(&gw->health, (int64_t)cp_mono_ms()))
		return;
	cfg_log(CFG_LOG_NOTICE, "gateway-breaker-closed", "gateway=%s", gw->rec.name);
	cp_alarm_clear(gw->gws->alarms, "gateway-breaker", gw->rec.name);
}

void gw_state(struct cp_gw *gw, enum cp_gw_state state)
{
	static const char *const names[] = {"unknown", "up", "down", "no-sa"};

	if (gw->state == state)
		return;
	if (gw->state == CP_GW_DOWN && state == CP_GW_UP) /* it may have been without us for longer than it keeps connections */
		for (unsigned i = 0; i < gw->eps.cnt; i++)
			if (gw->eps.uses[i] > 0)
				eps_todo(&gw->eps, i, EP_CALL, 0);
	if (gw->state == CP_GW_DOWN && state == CP_GW_UP)
		agents_ask(gw, NULL);
	gw->state = state;
	cfg_log(state == CP_GW_UP ? CFG_LOG_NOTICE : CFG_LOG_WARN, "gateway-state", "gateway=%s state=%s",
		gw->rec.name, names[state]);
	if (state == CP_GW_UP) /* it speaks: what was closed to it for its silence is open */
		closed(gw);
	gw_able(gw);
	if (state == CP_GW_UP) {
		cp_alarm_clear(gw->gws->alarms, "gateway-down", gw->rec.name);
		cp_alarm_clear(gw->gws->alarms, "gateway-no-sa", gw->rec.name);
		gw_replay_backlog(gw);
		audit_now(gw);
	} else if (state == CP_GW_DOWN) {
		cp_alarm_raise(gw->gws->alarms, "gateway-down", CP_ALARM_MAJOR, gw->rec.name,
			       "gateway does not answer MGCP");
		audit_later(gw, 1);
	} else if (state == CP_GW_NO_SA) {
		cp_alarm_raise(gw->gws->alarms, "gateway-no-sa", CP_ALARM_CRITICAL, gw->rec.name,
			       "no live SA covers the gateway: media keys are held back");
		if (gw->sa_live) /* a worker does not have it: nobody will say that it came */
			audit_later(gw, AGAIN_S);
	}
}

bool cp_gw_able(const struct cp_gw *gw)
{
	return gw->rec.admin == CP_ADMIN_IN_SERVICE && gw->state != CP_GW_DOWN && gw->state != CP_GW_NO_SA &&
	       gw->health.state == CP_HEALTH_CLOSED && !gw->sweeping && (gw->eps.cnt == 0 || gw->eps.in_service > 0);
}

static unsigned capacity(const struct cp_gw *gw)
{
	unsigned most = gw->eps.in_service - gw->eps.off_hook;

	if ((gw->rec.flags & CP_GW_CONFERENCE) != 0)
		return gw->rec.ports;
	return gw->rec.capacity != 0 && gw->rec.capacity < most ? gw->rec.capacity : most;
}

/* Of its group nobody is left who could take a call, but for being full: an alarm that one of them has, by the group's name. */
static void group_alarm(struct cp_gw *gw)
{
	unsigned members, able;

	cp_farm_count(&gw->farm, &members, &able);
	if (members == 0)
		return;
	if (able > 0)
		cp_alarm_clear(gw->gws->alarms, "gateway-group-out", gw->rec.group);
	else
		cp_alarm_raise(gw->gws->alarms, "gateway-group-out", CP_ALARM_CRITICAL, gw->rec.group, "no gateway of the group can take calls");
}

void gw_able(struct cp_gw *gw)
{
	cp_farm_capacity(&gw->farm, capacity(gw));
	cp_farm_able(&gw->farm, cp_gw_able(gw));
	cp_farm_no_sa(&gw->farm, gw->state == CP_GW_NO_SA && gw->rec.admin == CP_ADMIN_IN_SERVICE);
	group_alarm(gw);
	agents_alarm(gw);
}

/* 'ctx' is the gateway's place in gws->gw: it may be another's, or nobody's, by now. */
static void gw_set_done(void *ctx, int rc)
{
	struct cp_gw *const *place = ctx;
	struct timeval tv = {0, AGAIN_MS * 1000};

	if (rc == -EAGAIN && *place != NULL) { /* its ring is full: in a moment it is not */
		(*place)->set_again = true;
		event_add((*place)->gws->ev_again, &tv);
	} else if (rc < 0 && rc != -ENOTCONN)
		cfg_log_limited(CFG_LOG_ERR, "gateway-not-asserted", "rc=%d", rc);
}

static void assert_gw(struct cp_gw *gw)
{
	struct dp_gw_set msg = {.gw_id = gw->rec.gw_id, .shard = (uint8_t)(gw->rec.gw_id % DP_SHARDS)};
	struct cfg_addr remote = gw->rec.address;

	if (remote.port == 0)
		remote.port = 2427;
	if ((gw->rec.flags & CP_GW_KEYS_WITHOUT_IPSEC) != 0) {
		msg.flags |= DP_GW_F_KEYS_CLEAR;
		cfg_log(CFG_LOG_WARN, "keys-without-ipsec", "gateway=%s note=\"media keys may leave in clear\"",
			gw->rec.name);
	}
	if ((gw->rec.flags & CP_GW_CLEAR) != 0)
		msg.flags |= DP_GW_F_CLEAR;
	cp_to_dp_addr(&msg.remote, &remote);
	cp_to_dp_addr(&msg.local, &gw->gws->agent);
	snprintf(msg.domain, sizeof(msg.domain), "%s", gw->rec.name);
	snprintf(msg.notified, sizeof(msg.notified), "%s", agents_other(gw));
	if (gw->gws->agent_cnt > 0)
		snprintf(msg.agent, sizeof(msg.agent), "%s", gw->gws->agents[0]);
	gw_speak(gw, &msg);
	gw->asserted = cp_dp_send(gw->gws->dp, DP_MSG_GW_SET, &msg, gw_set_done, &gw->gws->gw[gw->rec.gw_id]) == 0;
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = {0, AGAIN_MS * 1000};
	struct cp_gws *gws = arg;
	unsigned left = AGAIN_CNT;

	(void)fd;
	(void)what;
	for (uint32_t i = 0; i < DP_GW_MAX; i++) {
		struct cp_gw *gw = gws->gw[i];

		if (gw == NULL || !gw->set_again)
			continue;
		if (left == 0) {
			event_add(gws->ev_again, &tv);
			break;
		}
		gw->set_again = false;
		if (cp_dp_up(gws->dp)) { /* else its return asserts all */
			left--;
			assert_gw(gw);
		}
	}
}

void cp_gws_up(struct cp_gws *gws, bool fresh)
{
	(void)fresh; /* GW_SET is idempotent */
	for (uint32_t i = 0; i < DP_GW_MAX; i++) {
		struct cp_gw *gw = gws->gw[i];

		if (gw == NULL)
			continue;
		assert_gw(gw);
		audit_stop(gw);
		if (!gw_reachable(gw)) {
			audit_later(gw, FIRST_S); /* its SAs follow; if they do not, that finds out */
			continue;
		}
		gw_replay_backlog(gw);
		audit_now(gw);
	}
}

void cp_gws_down(struct cp_gws *gws)
{
	for (uint32_t i = 0; i < DP_GW_MAX; i++) {
		if (gws->gw[i] == NULL)
			continue;
		gws->gw[i]->asserted = false;
		audit_stop(gws->gw[i]);
	}
	gw_txns_cancel(gws);
}

static void gw_free(struct cp_gw *gw)
{
	while (gw->backlog != NULL) {
		struct backlog *b = gw->backlog;

		gw->backlog = b->next;
		free(b);
	}
	if (gw->ev_audit != NULL) {
		audit_stop(gw);
		event_free(gw->ev_audit);
	}
	eps_free(&gw->eps);
	cp_gateway_free(&gw->rec);
	free(gw);
}

/* A new record for it, with what is known of what stays. 'copy' is taken, also with -ENOMEM: then it has its old one. */
static int take_record(struct cp_gw *gw, struct cp_gateway *copy)
{
	struct eps eps;

	if (eps_build(&eps, copy, gw->eps.cnt > 0 ? &gw->eps : NULL, &gw->rec) < 0) {
		cp_gateway_free(copy);
		return -ENOMEM;
	}
	if (gw->farm.group != NULL) { /* the last one of a group takes its alarm along */
		unsigned members, able;

		cp_farm_count(&gw->farm, &members, &able);
		if (members == 1)
			cp_alarm_clear(gw->gws->alarms, "gateway-group-out", gw->rec.group);
	}
	gw_keep_heard(gw, copy);
	eps_free(&gw->eps);
	unlink_host(gw);
	cp_gateway_free(&gw->rec);
	gw->eps = eps;
	gw->rec = *copy;
	gw->next_host = *host_chain(gw->gws, &gw->rec.address);
	*host_chain(gw->gws, &gw->rec.address) = gw;
	gw->at = 0;
	if (cp_farm_join(gw->gws->farm, &gw->farm, copy->group, copy->priority, copy->weight != 0 ? copy->weight : CP_GW_WEIGHT, capacity(gw)) < 0)
		cfg_log(CFG_LOG_ERR, "gateway-in-no-group", "gateway=%s group=%s reason=memory", copy->name, copy->group);
	gw_able(gw);
	return 0;
}

/* Its place among the others is nobody's any more. */
static void unlink_gw(struct cp_gws *gws, struct cp_gw *gw)
{
	unsigned members, able;

	for (struct cp_gw **at = chain(gws, gw->rec.name); *at != NULL; at = &(*at)->next) {
		if (*at == gw) {
			*at = gw->next;
			break;
		}
	}
	gws->gw[gw->rec.gw_id] = NULL;
	cp_farm_count(&gw->farm, &members, &able);
	if (members == 1)
		cp_alarm_clear(gws->alarms, "gateway-group-out", gw->rec.group);
	cp_farm_able(&gw->farm, false);
	if (members > 1)
		group_alarm(gw);
	cp_farm_join(gws->farm, &gw->farm, "", 1, 1, 1);
}

bool cp_gws_changed(struct cp_gws *gws, const char *name)
{
	const struct cp_gateway *rec = cp_dir_gateway(gws->store, name);
	struct cp_gw *gw = cp_gws_find(gws, name);
	struct cp_gateway copy;
	uint8_t was;

	if (rec == NULL) {
		if (gw == NULL)
			return true;
		gws->ops->lost(gws->ctx, gw, "*", "");
		gw_txns_forget(gws, gw->rec.gw_id);
		cp_alarm_clear(gws->alarms, "gateway-down", gw->rec.name);
		cp_alarm_clear(gws->alarms, "gateway-no-sa", gw->rec.name);
		cp_alarm_clear(gws->alarms, "gateway-breaker", gw->rec.name);
		cp_alarm_clear(gws->alarms, "gateway-other-agent", gw->rec.name);
		gw_leave(gw);
		unlink_host(gw);
		unlink_gw(gws, gw);
		gw_free(gw);
		return true;
	}
	if (rec->gw_id >= DP_GW_MAX) {
		cfg_log(CFG_LOG_ERR, "gateway-number-too-high", "gateway=%s", name);
		return true;
	}
	if (gw != NULL && gw->saving) {
		gw->saving = false;
		if (cp_gateway_same(rec, &gw->rec)) { /* what we wrote, with what its own dataplane told us */
			gw->rec.changed_us = rec->changed_us;
			gw_save_heard(gw); /* what came meanwhile */
			return false;
		}
	}
	if (cp_gateway_copy(rec, &copy) < 0)
		return true; /* the old record, if any, goes on to serve */
	if (gw == NULL) {
		gw = calloc(1, sizeof(*gw));
		if (gw == NULL) {
			cp_gateway_free(&copy);
			return true;
		}
		gw->gws = gws;
		if (audit_init(gw) < 0 || take_record(gw, &copy) < 0) {
			gw_free(gw);
			return true;
		}
		gw_left(gws, rec->gw_id);
		gws->gw[rec->gw_id] = gw;
		gw->next = *chain(gws, name);
		*chain(gws, name) = gw;
		was = CP_ADMIN_IN_SERVICE;
	} else {
		was = gw->rec.admin;
		if (gw->rec.bearer != copy.bearer)
			gw->bearer_told = false;
		if (take_record(gw, &copy) < 0)
			return true; /* the old one goes on to serve */
		gw_save_heard(gw);
	}
	if (gw->rec.admin != was)
		cfg_log(CFG_LOG_NOTICE, "gateway-service", "gateway=%s service=%u calls=%u", gw->rec.name, gw->rec.admin, gw->farm.calls);
	if (gw->rec.admin == CP_ADMIN_OUT && gw->farm.calls > 0 && gws->ops->stopped != NULL)
		gws->ops->stopped(gws->ctx, gw);
	audit_all(gw, EP_ARM);
	if (gw->rec.admin == CP_ADMIN_IN_SERVICE && was != CP_ADMIN_IN_SERVICE) /* what was not taken over then is now */
		agents_ask(gw, NULL);
	if (cp_dp_up(gws->dp)) {
		assert_gw(gw);
		if (gw_reachable(gw)) {
			gw_replay_backlog(gw);
			audit_now(gw);
		} else {
			audit_later(gw, FIRST_S);
		}
	}
	return true;
}

static void on_record(void *ctx, const struct cp_gateway *rec)
{
	cp_gws_changed(ctx, rec->name);
}

struct cp_gws *cp_gws_create(struct event_base *base, struct cp_dp *dp, struct cp_store *store,
			     struct cp_alarms *alarms, const struct cfg_addr *agent, const struct cp_gw_ops *ops,
			     void *ctx)
{
	struct cp_gws *gws = calloc(1, sizeof(*gws));

	if (gws == NULL)
		return NULL;
	*gws = (struct cp_gws){.base = base, .dp = dp, .store = store, .alarms = alarms, .agent = *agent,
			       .ops = ops, .ctx = ctx};
	/* A result that a controlplane before us was owed must not pass for one of ours. */
	if (getrandom(&gws->generation, 5, 0) != 5) {
		free(gws);
		return NULL;
	}
	gws->gw = calloc(DP_GW_MAX, sizeof(struct cp_gw *));
	gws->by_name = calloc(NAME_HASH, sizeof(struct cp_gw *));
	gws->by_host = calloc(NAME_HASH, sizeof(struct cp_gw *));
	gws->txn = calloc(TXN_MAX, sizeof(*gws->txn));
	gws->farm = cp_farm_create();
	gws->ev_again = evtimer_new(base, on_again, gws);
	gws->ev_pump = evtimer_new(base, audit_pump, gws);
	cp_pace_init(&gws->pace, CP_PACE_RATE);
	gws->ev_save = evtimer_new(base, gw_save_some, gws);
	if (gws->ev_again == NULL || gws->ev_pump == NULL || gws->ev_save == NULL || gws->gw == NULL || gws->by_name == NULL || gws->by_host == NULL || gws->txn == NULL || gws->farm == NULL) {
		cp_gws_destroy(gws);
		return NULL;
	}
	cp_dir_each_gateway(store, on_record, gws);
	return gws;
}

void cp_gws_pace(struct cp_gws *gws, unsigned rate)
{
	gws->pace.rate = rate;
}

void cp_gws_destroy(struct cp_gws *gws)
{
	if (gws == NULL)
		return;
	for (uint32_t i = 0; gws->gw != NULL && i < DP_GW_MAX; i++)
		if (gws->gw[i] != NULL) {
			cp_farm_join(gws->farm, &gws->gw[i]->farm, "", 1, 1, 1);
			gw_free(gws->gw[i]);
		}
	for (uint32_t i = 0; gws->txn != NULL && i < TXN_MAX; i++) {
		free(gws->txn[i].del);
		free(gws->txn[i].text);
	}
	cp_farm_destroy(gws->farm);
	if (gws->ev_again != NULL)
		event_free(gws->ev_again);
	if (gws->ev_pump != NULL)
		event_free(gws->ev_pump);
	if (gws->ev_save != NULL)
		event_free(gws->ev_save);
	free(gws->gw);
	free(gws->by_name);
	free(gws->by_host);
	free(gws->txn);
	free(gws);
}

struct cp_gw *cp_gws_find(struct cp_gws *gws, const char *name)
{
	struct cp_gw *gw = *chain(gws, name);

	while (gw != NULL && strcmp(gw->rec.name, name) != 0)
		gw = gw->next;
	return gw;
}

struct cp_gw *cp_gws_by_host(struct cp_gws *gws, const struct cfg_addr *host)
{
	struct cp_gw *first = NULL;

	for (struct cp_gw *gw = *host_chain(gws, host); gw != NULL; gw = gw->next_host) {
		if (gw->rec.address.family != host->family || memcmp(gw->rec.address.ip, host->ip, sizeof(host->ip)) != 0)
			continue;
		if (host->port != 0 && gw->rec.address.port == host->port)
			return gw;
		if (first == NULL)
			first = gw;
	}
	return first;
}

static bool in_net(const struct cfg_addr *a, const struct cfg_addr *net)
{
	unsigned whole = net->plen / 8, rest = net->plen % 8;

	return a->family == net->family && memcmp(a->ip, net->ip, whole) == 0 &&
	       (rest == 0 || (a->ip[whole] ^ net->ip[whole]) >> (8 - rest) == 0);
}

struct cp_gw *cp_gws_in_net(struct cp_gws *gws, const struct cfg_addr *net)
{
	for (uint32_t i = 0; i < DP_GW_MAX; i++)
		if (gws->gw[i] != NULL && in_net(&gws->gw[i]->rec.address, net))
			return gws->gw[i];
	return NULL;
}

const char *cp_gw_name(const struct cp_gw *gw)
{
	return gw->rec.name;
}

const struct cp_gateway *cp_gw_rec(const struct cp_gw *gw)
{
	return &gw->rec;
}

uint32_t cp_gw_id(const struct cp_gw *gw)
{
	return gw->rec.gw_id;
}

enum cp_gw_state cp_gw_state(const struct cp_gw *gw)
{
	return gw->state;
}

const char *cp_gw_region(const struct cp_gw *gw)
{
	return gw->rec.region;
}

bool cp_gw_secured(const struct cp_gw *gw)
{
	return gw->sa_live;
}

bool cp_gw_keys_allowed(const struct cp_gw *gw)
{
	return (gw->sa_live || (gw->rec.flags & CP_GW_KEYS_WITHOUT_IPSEC) != 0) && !gw_lacks_srtp(gw);
}

void cp_gws_sa_changed(struct cp_gws *gws, uint32_t gw_id, bool live)
{
	struct cp_gw *gw = gw_id < DP_GW_MAX ? gws->gw[gw_id] : NULL;

	if (gw == NULL || gw->sa_live == live)
		return;
	gw->sa_live = live;
	if (live)
		cp_alarm_clear(gws->alarms, "gateway-no-sa", gw->rec.name);
	if (live && gw->state == CP_GW_NO_SA)
		gw_state(gw, CP_GW_UNKNOWN);
	if (!live && gw_needs_sa(gw))
		gw_state(gw, CP_GW_NO_SA);
	if (live && gw->asserted) {
		gw_replay_backlog(gw);
		audit_now(gw);
	}
}

bool cp_gw_works(const struct cp_gw *gw)
{
	return gw->health.state == CP_HEALTH_CLOSED;
}

unsigned cp_gw_calls(const struct cp_gw *gw)
{
	return gw->farm.calls;
}

struct cp_gw *cp_gws_pick(struct cp_gws *gws, const char *group, const uint32_t *but, unsigned n, bool *ret_no_sa)
{
	struct cp_farm_member *skip[CP_FARM_TRIES] = {NULL}, *m;

	for (unsigned i = 0; i < n && i < CP_FARM_TRIES; i++)
		skip[i] = but[i] < DP_GW_MAX && gws->gw[but[i]] != NULL ? &gws->gw[but[i]]->farm : NULL;
	m = cp_farm_pick(gws->farm, group, skip, n < CP_FARM_TRIES ? n : CP_FARM_TRIES, NULL);
	*ret_no_sa = m == NULL && cp_farm_keyless(gws->farm, group);
	return m != NULL ? (struct cp_gw *)(void *)((char *)m - offsetof(struct cp_gw, farm)) : NULL;
}

/* RFC 3435 s2.4. 401, 402: what a phone's hook is. 505, 509, 517, 534, 535: what was described, whoever gets it. */
bool cp_gw_elsewhere(const struct dp_mgcp_done *done)
{
	if (done->result != DP_MGCP_ANSWERED)
		return true;
	switch (done->code) {
	case 505:
	case 509:
	case 517:
	case 534:
	case 535:
		return false;
	default:
		return done->code >= 400 && done->code < 600;
	}
}

static void failed(struct cp_gw *gw, bool dead)
{
	gw->failures++;
	if (!cp_health_failed(&gw->health, dead, (int64_t)cp_mono_ms()))
		return;
	cfg_log(CFG_LOG_WARN, "gateway-breaker-open", "gateway=%s probe_ms=%u", gw->rec.name, gw->health.wait_ms);
	cp_alarm_raise(gw->gws->alarms, "gateway-breaker", CP_ALARM_MAJOR, gw->rec.name, "commands to the gateway fail: it gets no calls");
	gw_able(gw);
	audit_later(gw, gw->health.wait_ms / 1000 * 5 / 4 + 1);
}

void gw_probe_done(struct cp_gw *gw, const struct dp_mgcp_done *done)
{
	if (done->result != DP_MGCP_ANSWERED && done->result != DP_MGCP_BAD_ANSWER) {
		if (gw->health.state == CP_HEALTH_HALF)
			cp_health_failed(&gw->health, true, (int64_t)cp_mono_ms());
		return;
	}
	closed(gw);
	gw_able(gw);
}

/*
 * That a CRCX failed for what is the gateway's own. Not: a full queue of ours to it, what it was sent or said that cannot be used, that
 * it asks for a pause (409), what a phone's hook is (401, 402).
 */
static bool its_fault(const struct dp_mgcp_done *ev)
{
	return ev->result == DP_MGCP_TIMEOUT ||
	       (ev->result == DP_MGCP_ANSWERED && cp_gw_elsewhere(ev) && ev->code != 401 && ev->code != 402 && ev->code != 409);
}

/* What the answer to a CRCX says of the gateway, and of the endpoint. */
static void judge(struct cp_gw *gw, const struct dp_mgcp_done *ev, const struct txn *t, bool dead)
{
	int i;

	if (dead) {
		failed(gw, true);
		return;
	}
	if (ev->verb != DP_MGCP_CRCX)
		return;
	if (ev->result == DP_MGCP_ANSWERED && ev->code >= 200 && ev->code < 300)
		cp_health_worked(&gw->health);
	if (ev->result == DP_MGCP_ANSWERED && ev->code == 521) { /* it is another agent's, it says; only RSIP can be sent elsewhere (RFC 3435 s2.4) */
		agents_ask(gw, t->handle == ev->handle ? t->tag.endpoint : NULL);
		audit_now(gw);
		return;
	}
	if (!its_fault(ev))
		return;
	failed(gw, false);
	if (t->handle != ev->handle || ev->result != DP_MGCP_ANSWERED || (ev->code != 500 && ev->code != 501))
		return;
	/* Unknown, or not ready: nobody else is led there before it says otherwise. */
	i = eps_find(&gw->eps, &gw->rec, t->tag.endpoint);
	if (i < 0)
		return;
	cfg_log_limited(CFG_LOG_WARN, "endpoint-out", "gateway=%s endpoint=%s code=%u", gw->rec.name, t->tag.endpoint, ev->code);
	eps_set(&gw->eps, (unsigned)i, CP_EP_OUT);
	eps_todo(&gw->eps, (unsigned)i, EP_CHECK, 0);
	gw_able(gw);
	audit_later(gw, 1);
}

void cp_gws_mgcp_done(struct cp_gws *gws, struct dp_mgcp_done *ev)
{
	struct cp_gw *gw = ev->gw_id < DP_GW_MAX ? gws->gw[ev->gw_id] : NULL;
	const struct txn *t = &gws->txn[ev->handle % TXN_MAX];
	bool dead = ev->result == DP_MGCP_TIMEOUT;

	/* Who has spoken since is there: it may have come while the last repeat was gone already. AUCX: some never answer it, osmo-mgw among them. */
	if (dead && gw != NULL && (ev->verb == DP_MGCP_AUCX || (t->handle == ev->handle && gw->heard_ms > t->began_ms)))
		dead = false;
	if (gw != NULL) {
		switch (ev->result) {
		case DP_MGCP_ANSWERED:
		case DP_MGCP_BAD_ANSWER:
			gw->answers++;
			gw->heard_ms = (int64_t)cp_mono_ms();
			gw->rtt_us = ev->rtt_us;
			if (ev->result == DP_MGCP_BAD_ANSWER && ev->comment[0] != '\0') {
				gw->media_refused++;
				cfg_log_limited(CFG_LOG_WARN, "gateway-media-refused", "gateway=%s code=%u reason=%s",
						gw->rec.name, ev->code, cfg_q(ev->comment));
			}
			gw_state(gw, CP_GW_UP);
			break;
		case DP_MGCP_TIMEOUT:
			gw->timeouts++;
			if (dead)
				gw_state(gw, CP_GW_DOWN);
			break;
		case DP_MGCP_NO_SA:
			gw->no_sa++;
			if (gw_needs_sa(gw))
				gw_state(gw, CP_GW_NO_SA);
			else
				cp_alarm_raise(gws->alarms, "gateway-no-sa", CP_ALARM_CRITICAL, gw->rec.name,
					       "media keys held back: no live SA covers the gateway");
			break;
		default:
			break;
		}
		judge(gw, ev, t, dead);
	}
	gw_txn_done(gws, ev);
	OPENSSL_cleanse(&ev->media, sizeof(ev->media));
}
