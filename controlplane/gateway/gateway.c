/* SPDX-License-Identifier: BSD-3-Clause */
#include "gateway.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "alarm.h"
#include "call/media.h"
#include "dpclient.h"
#include "log.h"
#include "sccp/devtype.h"
#include "store/records.h"
#include "store/store.h"

#define TXN_MAX     16384 /* commands without an answer, all gateways */
#define BACKLOG_MAX 256   /* DLCX kept per gateway while it cannot be told */
#define NAME_HASH   8192
#define AUDIT_S     30    /* AUEP to a gateway that is not up */
#define FIRST_S     1     /* the first one to a gateway whose SAs are still being set */

struct backlog {
	struct backlog *next;
	struct dp_mgcp_cmd cmd; /* DLCX: no keys in it */
};

struct txn {
	uint64_t handle; /* 0: free; low bits are the index */
	struct cp_gws *gws;
	uint32_t gw_id;
	cp_gw_fn fn;
	void *ctx;
	struct cp_gw_tag tag;
	struct backlog *del; /* a DLCX, kept until the gateway has answered it; else NULL */
};

struct cp_gw {
	struct cp_gws *gws;
	struct cp_gw *next; /* of the same hash */
	struct cp_gateway rec; /* copy of the record */
	bool asserted;
	enum cp_gw_state state;
	bool sa_live;
	uint64_t cmds, answers, timeouts, no_sa, events, restarts, media_refused;
	uint32_t rtt_us;
	uint32_t audits;
	struct backlog *backlog;
	unsigned backlog_cnt;
};

struct cp_gws {
	struct event_base *base;
	struct cp_dp *dp;
	struct cp_store *store;
	struct cp_alarms *alarms;
	struct cfg_addr agent;
	const struct cp_gw_ops *ops;
	void *ctx;
	struct cp_gw **gw;     /* by gw_id */
	struct cp_gw **by_name; /* hash chains */
	struct txn *txn;
	uint32_t txn_next, txn_used;
	uint64_t generation;
	struct event *ev_audit, *ev_first;
};

static void audit(struct cp_gw *gw);
static void replay_backlog(struct cp_gw *gw);

static struct cp_gw **chain(struct cp_gws *gws, const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return &gws->by_name[h % NAME_HASH];
}

static bool needs_sa(const struct cp_gw *gw)
{
	return (gw->rec.flags & CP_GW_CLEAR) == 0;
}

/* False: every command would come back with DP_MGCP_NO_SA. */
static bool reachable(const struct cp_gw *gw)
{
	return gw->sa_live || !needs_sa(gw);
}

static void set_state(struct cp_gw *gw, enum cp_gw_state state)
{
	static const char *const names[] = {"unknown", "up", "down", "no-sa"};

	if (gw->state == state)
		return;
	gw->state = state;
	cfg_log(state == CP_GW_UP ? CFG_LOG_NOTICE : CFG_LOG_WARN, "gateway-state", "gateway=%s state=%s",
		gw->rec.name, names[state]);
	if (state == CP_GW_UP) {
		cp_alarm_clear(gw->gws->alarms, "gateway-down", gw->rec.name);
		cp_alarm_clear(gw->gws->alarms, "gateway-no-sa", gw->rec.name);
		replay_backlog(gw);
	} else if (state == CP_GW_DOWN) {
		cp_alarm_raise(gw->gws->alarms, "gateway-down", CP_ALARM_MAJOR, gw->rec.name,
			       "gateway does not answer MGCP");
	} else if (state == CP_GW_NO_SA) {
		cp_alarm_raise(gw->gws->alarms, "gateway-no-sa", CP_ALARM_CRITICAL, gw->rec.name,
			       "no live SA covers the gateway: media keys are held back");
	}
}

static struct txn *txn_new(struct cp_gws *gws)
{
	if (gws->txn_used == TXN_MAX)
		return NULL;
	for (;;) {
		uint32_t i = gws->txn_next++ % TXN_MAX;

		if (gws->txn[i].handle == 0) {
			gws->txn[i].handle = ++gws->generation * TXN_MAX + i;
			gws->txn_used++;
			return &gws->txn[i];
		}
	}
}

static void keep(struct cp_gw *gw, struct backlog *b)
{
	if (gw->backlog_cnt >= BACKLOG_MAX) {
		cfg_log_limited(CFG_LOG_WARN, "connection-left-open", "gateway=%s endpoint=%s call=%s connection=%s",
				gw->rec.name, cfg_q(b->cmd.endpoint), cfg_q(b->cmd.call_id), cfg_q(b->cmd.conn_id));
		free(b);
		return;
	}
	b->next = gw->backlog;
	gw->backlog = b;
	gw->backlog_cnt++;
}

static void txn_end(struct cp_gws *gws, struct txn *t, const struct dp_mgcp_done *done)
{
	struct txn copy = *t;

	t->handle = 0;
	t->del = NULL;
	gws->txn_used--;
	if (copy.del != NULL) {
		/* Whatever the gateway said, it was told. Without an answer it is told again when it can be. */
		if (done->result == DP_MGCP_ANSWERED || done->result == DP_MGCP_BAD_ANSWER ||
		    copy.gw_id >= DP_GW_MAX || gws->gw[copy.gw_id] == NULL)
			free(copy.del);
		else
			keep(gws->gw[copy.gw_id], copy.del);
	}
	if (copy.fn != NULL && copy.gw_id < DP_GW_MAX && gws->gw[copy.gw_id] != NULL)
		copy.fn(copy.ctx, gws->gw[copy.gw_id], &copy.tag, done);
}

static struct backlog *copy_dlcx(const struct dp_mgcp_cmd *cmd)
{
	struct backlog *b = cmd->verb == DP_MGCP_DLCX ? malloc(sizeof(*b)) : NULL;

	if (b != NULL)
		b->cmd = *cmd;
	return b;
}

/* Only refusals matter here: an accepted command ends with its DONE. */
static void cmd_reply(void *ctx, int rc)
{
	struct txn *t = ctx;
	struct dp_mgcp_done done = {.result = rc == -EAGAIN || rc == -ENOSPC ? DP_MGCP_OVERLOAD : DP_MGCP_CANCELED};

	if (rc >= 0 || t->handle == 0)
		return;
	done.handle = t->handle;
	done.gw_id = t->gw_id;
	txn_end(t->gws, t, &done);
}

int cp_gw_cmd(struct cp_gw *gw, const struct dp_mgcp_cmd *cmd, const struct cp_gw_tag *tag, cp_gw_fn fn, void *ctx)
{
	struct cp_gws *gws = gw->gws;
	struct dp_mgcp_cmd msg = *cmd;
	struct backlog *del = copy_dlcx(cmd);
	struct txn *t;
	int rc;

	/* Without its SA a DLCX would be refused: it waits for it instead. */
	if (!gw->asserted || !cp_dp_up(gws->dp) || (del != NULL && !reachable(gw))) {
		if (del != NULL)
			keep(gw, del);
		OPENSSL_cleanse(&msg, sizeof(msg));
		return -ENOTCONN;
	}
	t = txn_new(gws);
	if (t == NULL) {
		if (del != NULL)
			keep(gw, del);
		OPENSSL_cleanse(&msg, sizeof(msg));
		return -EAGAIN;
	}
	t->gws = gws;
	t->del = del;
	t->gw_id = gw->rec.gw_id;
	t->fn = fn;
	t->ctx = ctx;
	t->tag = *tag;
	memcpy(t->tag.conn_id, cmd->conn_id, sizeof(t->tag.conn_id));
	memcpy(t->tag.endpoint, cmd->endpoint, sizeof(t->tag.endpoint));
	msg.gw_id = gw->rec.gw_id;
	msg.handle = t->handle;
	rc = cp_dp_send(gws->dp, DP_MSG_MGCP_CMD, &msg, cmd_reply, t);
	OPENSSL_cleanse(&msg, sizeof(msg));
	if (rc < 0) {
		t->handle = 0;
		t->del = NULL;
		gws->txn_used--;
		if (del != NULL)
			keep(gw, del);
		return rc;
	}
	gw->cmds++;
	return 0;
}

static void audit_done(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done)
{
	(void)ctx;
	(void)tag;
	(void)done; /* cp_gws_mgcp_done() has drawn the state from it */
	if (gw->audits > 0)
		gw->audits--;
}

/* Ask the first endpoint how it is: the answer, whatever it says, shows that the gateway is there. */
static void audit(struct cp_gw *gw)
{
	struct dp_mgcp_cmd cmd = {.verb = DP_MGCP_AUEP};
	struct cp_gw_tag tag = {0};

	if (gw->audits > 0 || gw->rec.endpoint_cnt == 0)
		return;
	snprintf(cmd.endpoint, sizeof(cmd.endpoint), "%s", gw->rec.endpoints[0].name);
	if (strchr(cmd.endpoint, '$') != NULL) /* "any of" is for CRCX (RFC 3435 s2.3.5): all of them are asked */
		*strchr(cmd.endpoint, '$') = '*';
	if (cp_gw_cmd(gw, &cmd, &tag, audit_done, NULL) == 0)
		gw->audits++;
}

static void on_audit(evutil_socket_t fd, short what, void *arg)
{
	struct cp_gws *gws = arg;

	(void)fd;
	(void)what;
	for (uint32_t i = 0; i < DP_GW_MAX; i++)
		if (gws->gw[i] == NULL || !gws->gw[i]->asserted)
			continue;
		else if (gws->gw[i]->state != CP_GW_UP)
			audit(gws->gw[i]);
		else /* what found the dataplane too busy */
			replay_backlog(gws->gw[i]);
}

static void gw_set_done(void *ctx, int rc)
{
	(void)ctx;
	if (rc < 0 && rc != -ENOTCONN)
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
	if ((gw->rec.flags & CP_GW_X_CRYPTO) != 0)
		msg.flags |= DP_GW_F_X_CRYPTO;
	if ((gw->rec.flags & CP_GW_MGCP_01) != 0)
		msg.flags |= DP_GW_F_MGCP_01;
	cp_to_dp_addr(&msg.remote, &remote);
	cp_to_dp_addr(&msg.local, &gw->gws->agent);
	snprintf(msg.domain, sizeof(msg.domain), "%s", gw->rec.name);
	gw->asserted = cp_dp_send(gw->gws->dp, DP_MSG_GW_SET, &msg, gw_set_done, gw) == 0;
}

static void replay_backlog(struct cp_gw *gw)
{
	struct backlog *b = gw->backlog;
	struct cp_gw_tag tag = {0};

	gw->backlog = NULL;
	gw->backlog_cnt = 0;
	while (b != NULL) {
		struct backlog *next = b->next;

		cp_gw_cmd(gw, &b->cmd, &tag, NULL, NULL);
		free(b);
		b = next;
	}
}

void cp_gws_up(struct cp_gws *gws, bool fresh)
{
	struct timeval tv = {FIRST_S, 0};

	(void)fresh; /* GW_SET is idempotent */
	for (uint32_t i = 0; i < DP_GW_MAX; i++) {
		struct cp_gw *gw = gws->gw[i];

		if (gw == NULL)
			continue;
		assert_gw(gw);
		gw->audits = 0;
		if (!reachable(gw))
			continue; /* its SAs follow; if they do not, the first audit finds out */
		replay_backlog(gw);
		audit(gw);
	}
	event_add(gws->ev_first, &tv);
}

void cp_gws_down(struct cp_gws *gws)
{
	struct dp_mgcp_done done = {.result = DP_MGCP_CANCELED};

	for (uint32_t i = 0; i < DP_GW_MAX; i++)
		if (gws->gw[i] != NULL)
			gws->gw[i]->asserted = false;
	for (uint32_t i = 0; i < TXN_MAX; i++) {
		if (gws->txn[i].handle != 0) {
			done.handle = gws->txn[i].handle;
			done.gw_id = gws->txn[i].gw_id;
			txn_end(gws, &gws->txn[i], &done);
		}
	}
}

static void gw_free(struct cp_gw *gw)
{
	while (gw->backlog != NULL) {
		struct backlog *b = gw->backlog;

		gw->backlog = b->next;
		free(b);
	}
	cp_gateway_free(&gw->rec);
	free(gw);
}

void cp_gws_changed(struct cp_gws *gws, const char *name)
{
	const struct cp_gateway *rec = cp_dir_gateway(gws->store, name);
	struct cp_gw *gw = cp_gws_find(gws, name);
	struct cp_gateway copy;

	if (rec == NULL) {
		struct dp_obj del = {.kind = DP_OBJ_GW};

		if (gw == NULL)
			return;
		gws->ops->lost(gws->ctx, gw, "*", "");
		for (uint32_t i = 0; i < TXN_MAX; i++)
			if (gws->txn[i].handle != 0 && gws->txn[i].gw_id == gw->rec.gw_id)
				gws->txn[i].fn = NULL;
		cp_alarm_clear(gws->alarms, "gateway-down", gw->rec.name);
		cp_alarm_clear(gws->alarms, "gateway-no-sa", gw->rec.name);
		for (struct cp_gw **at = chain(gws, name); *at != NULL; at = &(*at)->next) {
			if (*at == gw) {
				*at = gw->next;
				break;
			}
		}
		del.id = gw->rec.gw_id;
		cp_dp_send(gws->dp, DP_MSG_GW_DEL, &del, NULL, NULL);
		gws->gw[gw->rec.gw_id] = NULL;
		gw_free(gw);
		return;
	}
	if (rec->gw_id >= DP_GW_MAX) {
		cfg_log(CFG_LOG_ERR, "gateway-number-too-high", "gateway=%s", name);
		return;
	}
	if (cp_gateway_copy(rec, &copy) < 0)
		return; /* the old record, if any, goes on to serve */
	if (gw == NULL) {
		gw = calloc(1, sizeof(*gw));
		if (gw == NULL) {
			cp_gateway_free(&copy);
			return;
		}
		gw->gws = gws;
		gws->gw[rec->gw_id] = gw;
		gw->next = *chain(gws, name);
		*chain(gws, name) = gw;
	}
	cp_gateway_free(&gw->rec);
	gw->rec = copy;
	if (cp_dp_up(gws->dp)) {
		assert_gw(gw);
		if (reachable(gw)) {
			replay_backlog(gw);
			audit(gw);
		}
	}
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
	struct timeval tv = {AUDIT_S, 0};

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
	gws->txn = calloc(TXN_MAX, sizeof(*gws->txn));
	gws->ev_audit = event_new(base, -1, EV_PERSIST, on_audit, gws);
	gws->ev_first = event_new(base, -1, 0, on_audit, gws);
	if (gws->gw == NULL || gws->by_name == NULL || gws->txn == NULL || gws->ev_audit == NULL || gws->ev_first == NULL) {
		cp_gws_destroy(gws);
		return NULL;
	}
	event_add(gws->ev_audit, &tv);
	cp_dir_each_gateway(store, on_record, gws);
	return gws;
}

void cp_gws_destroy(struct cp_gws *gws)
{
	if (gws == NULL)
		return;
	for (uint32_t i = 0; gws->gw != NULL && i < DP_GW_MAX; i++)
		if (gws->gw[i] != NULL)
			gw_free(gws->gw[i]);
	for (uint32_t i = 0; gws->txn != NULL && i < TXN_MAX; i++)
		free(gws->txn[i].del);
	if (gws->ev_audit != NULL)
		event_free(gws->ev_audit);
	if (gws->ev_first != NULL)
		event_free(gws->ev_first);
	free(gws->gw);
	free(gws->by_name);
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
	return gw->sa_live || (gw->rec.flags & CP_GW_KEYS_WITHOUT_IPSEC) != 0;
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
		set_state(gw, CP_GW_UNKNOWN);
	if (!live && needs_sa(gw))
		set_state(gw, CP_GW_NO_SA);
	if (live && gw->asserted) {
		gw->audits = 0;
		replay_backlog(gw);
		audit(gw);
	}
}

void cp_gws_mgcp_done(struct cp_gws *gws, struct dp_mgcp_done *ev)
{
	struct txn *t = &gws->txn[ev->handle % TXN_MAX];
	struct cp_gw *gw = ev->gw_id < DP_GW_MAX ? gws->gw[ev->gw_id] : NULL;

	if (gw != NULL) {
		switch (ev->result) {
		case DP_MGCP_ANSWERED:
		case DP_MGCP_BAD_ANSWER:
			gw->answers++;
			gw->rtt_us = ev->rtt_us;
			if (ev->result == DP_MGCP_BAD_ANSWER && ev->comment[0] != '\0') {
				gw->media_refused++;
				cfg_log_limited(CFG_LOG_WARN, "gateway-media-refused", "gateway=%s code=%u reason=%s",
						gw->rec.name, ev->code, cfg_q(ev->comment));
			}
			set_state(gw, CP_GW_UP);
			break;
		case DP_MGCP_TIMEOUT:
			gw->timeouts++;
			set_state(gw, CP_GW_DOWN);
			break;
		case DP_MGCP_NO_SA:
			gw->no_sa++;
			if (needs_sa(gw))
				set_state(gw, CP_GW_NO_SA);
			else
				cp_alarm_raise(gws->alarms, "gateway-no-sa", CP_ALARM_CRITICAL, gw->rec.name,
					       "media keys held back: no live SA covers the gateway");
			break;
		default:
			break;
		}
	}
	if (t->handle == ev->handle && ev->handle != 0)
		txn_end(gws, t, ev);
	OPENSSL_cleanse(&ev->media, sizeof(ev->media));
}

bool cp_gw_endpoint_match(const char *pattern, const char *endpoint)
{
	for (;;) {
		size_t pl = strcspn(pattern, "/"), el = strcspn(endpoint, "/");
		bool any = pl == 1 && pattern[0] == '*', each = el == 1 && endpoint[0] == '$';

		if (any && pattern[1] == '\0')
			return true;
		if (!any && !each && (pl != el || strncasecmp(pattern, endpoint, pl) != 0))
			return false;
		if (pattern[pl] == '\0' || endpoint[el] == '\0')
			return pattern[pl] == endpoint[el];
		pattern += pl + 1;
		endpoint += el + 1;
	}
}

static bool endpoint_known(const struct cp_gw *gw, const char *endpoint)
{
	for (unsigned i = 0; i < gw->rec.endpoint_cnt; i++)
		if (cp_gw_endpoint_match(endpoint, gw->rec.endpoints[i].name))
			return true;
	return false;
}

void cp_gws_mgcp_event(struct cp_gws *gws, const struct dp_mgcp_event *ev)
{
	struct cp_gw *gw = ev->gw_id < DP_GW_MAX ? gws->gw[ev->gw_id] : NULL;
	struct dp_mgcp_ack ack = {.token = ev->token, .code = 200};
	bool all = strcmp(ev->endpoint, "*") == 0; /* also of a gateway without endpoints */

	if (gw == NULL) {
		ack.code = 500;
		cp_dp_send(gws->dp, DP_MSG_MGCP_ACK, &ack, NULL, NULL);
		return;
	}
	gw->events++;
	if (!all && !endpoint_known(gw, ev->endpoint)) {
		cfg_log_limited(CFG_LOG_WARN, "mgcp-unknown-endpoint", "gateway=%s endpoint=%s", gw->rec.name,
				cfg_q(ev->endpoint));
		ack.code = 500;
	} else if (ev->verb == DP_MGCP_DLCX) {
		ack.code = 250;
	} else if (ev->verb != DP_MGCP_NTFY && ev->verb != DP_MGCP_RSIP) {
		ack.code = 504;
	}
	/* Accepted now: the repeat of what was lost is the gateway's as long as this is not sent. */
	cp_dp_send(gws->dp, DP_MSG_MGCP_ACK, &ack, NULL, NULL);
	if (ack.code != 200 && ack.code != 250)
		return;
	if (gw->state != CP_GW_UP)
		set_state(gw, CP_GW_UP);
	switch (ev->verb) {
	case DP_MGCP_NTFY:
		gws->ops->notified(gws->ctx, gw, ev->endpoint, ev->request_id, ev->observed);
		break;
	case DP_MGCP_DLCX:
		gws->ops->lost(gws->ctx, gw, ev->endpoint, ev->conn_id);
		break;
	case DP_MGCP_RSIP:
		gw->restarts++;
		cfg_log(CFG_LOG_NOTICE, "gateway-restart", "gateway=%s endpoint=%s method=%s", gw->rec.name,
			cfg_q(ev->endpoint), cfg_q(ev->restart_method));
		/* restart and forced: its connections are gone. graceful, disconnected: they are not. */
		if (strcasecmp(ev->restart_method, "restart") == 0 || strcasecmp(ev->restart_method, "forced") == 0)
			gws->ops->lost(gws->ctx, gw, ev->endpoint, "");
		break;
	default:
		break;
	}
}

json_t *cp_gws_show(struct cp_gws *gws)
{
	static const char *const names[] = {"unknown", "up", "down", "no-sa"};
	json_t *list = json_array();
	char buf[80];

	for (uint32_t i = 0; i < DP_GW_MAX; i++) {
		const struct cp_gw *gw = gws->gw[i];

		if (gw == NULL)
			continue;
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:b, s:b, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:i}", "name",
					gw->rec.name, "type", gw->rec.type, "trust",
					cp_devtype_trust_text(cp_devtype_gateway(gw->rec.type)), "id", (int)gw->rec.gw_id, "address",
					cfg_addr_print(&gw->rec.address, buf, sizeof(buf)), "region", gw->rec.region,
					"state", names[gw->state], "sa", gw->sa_live, "keys_without_ipsec",
					(gw->rec.flags & CP_GW_KEYS_WITHOUT_IPSEC) != 0, "endpoints",
					(int)gw->rec.endpoint_cnt, "commands", (json_int_t)gw->cmds, "answers",
					(json_int_t)gw->answers, "timeouts", (json_int_t)gw->timeouts, "no_sa",
					(json_int_t)gw->no_sa, "media_refused", (json_int_t)gw->media_refused, "events", (json_int_t)gw->events, "rtt_us",
					(int)gw->rtt_us));
	}
	return list;
}
