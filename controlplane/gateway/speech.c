/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a gateway speaks MGCP: its dialect, set or heard and then remembered in its record; the packages that it lists; its keep-alives;
 * and its commands of late, so that one that it says again after a restart of the dataplane is answered and not executed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "dpclient.h"
#include "gwint.h"
#include "log.h"
#include "store/store.h"

#define MGCP_PORT   2427  /* of gateways, and of ours where both sides have the same */
#define KEEPALIVE_S 15
#define SAVE_MS     60000 /* so often at most a record is written with what was heard */
#define SAVE_AGAIN_S 5
#define SEEN_MS     30000 /* T-HIST: so long it may say one again */

static bool has_heard(const struct cp_gateway *rec)
{
	return rec->dialect == CP_GW_AUTO && (rec->heard & CP_GW_HEARD) != 0;
}

static bool x_crypto(const struct cp_gateway *rec)
{
	return has_heard(rec) ? (rec->heard & CP_GW_HEARD_X) != 0 : (rec->flags & CP_GW_X_CRYPTO) != 0;
}

void gw_speak(const struct cp_gw *gw, struct dp_gw_set *msg)
{
	const struct cp_gateway *rec = &gw->rec;
	bool heard = has_heard(rec);
	uint16_t agent = msg->local.port, other = agent == MGCP_PORT ? 2727 : MGCP_PORT;

	if (rec->dialect == CP_GW_CISCO)
		msg->local.port = MGCP_PORT;
	if (x_crypto(rec))
		msg->flags |= DP_GW_F_X_CRYPTO;
	if (heard ? (rec->heard & CP_GW_HEARD_01) != 0 : (rec->flags & CP_GW_MGCP_01) != 0)
		msg->flags |= DP_GW_F_MGCP_01;
	if (rec->dialect == CP_GW_AUTO) {
		msg->flags |= DP_GW_F_AUTO;
		msg->local.port = heard && rec->heard_port == other ? other : agent;
		msg->other_port = msg->local.port == other ? agent : other;
	}
	if (rec->dialect == CP_GW_CISCO || (heard && (rec->heard & CP_GW_HEARD_01) != 0))
		msg->keepalive_s = KEEPALIVE_S;
	if (rec->piggyback)
		msg->flags |= DP_GW_F_PIGGYBACK;
}

/*
 * Its record remembers how it speaks, for both processes' next start. A gateway says so itself, as often as it likes: that costs neither a
 * write each time nor a line in the audit log, which is for what people did.
 */
void gw_save_heard(struct cp_gw *gw)
{
	const struct cp_gateway *rec = cp_dir_gateway(gw->gws->store, gw->rec.name);
	struct timeval tv = {SAVE_AGAIN_S, 0};
	char why[200];
	struct cp_dir_ctx x = {.who = "gateway-heard", .why = why, .why_size = sizeof(why), .quiet = true};
	uint64_t now_ms = cp_mono_ms();
	int rc = -EAGAIN;

	if (!gw->unsaved)
		return;
	if (!gw->saving && rec != NULL && rec->heard == gw->rec.heard && rec->heard_port == gw->rec.heard_port) {
		gw->unsaved = false; /* it speaks again as it did */
		return;
	}
	if (gw->saved_ms == 0 || now_ms - gw->saved_ms >= SAVE_MS)
		rc = cp_dir_gateway_put(gw->gws->store, &gw->rec, true, &x);
	gw->unsaved = rc == -EBUSY || rc == -EAGAIN;
	if (rc == 0) {
		gw->saving = true;
		gw->saved_ms = now_ms;
	}
	if (gw->unsaved && !event_pending(gw->gws->ev_save, EV_TIMEOUT, NULL))
		event_add(gw->gws->ev_save, &tv);
	if (rc < 0 && !gw->unsaved)
		cfg_log_limited(CFG_LOG_WARN, "gateway-dialect-not-saved", "gateway=%s rc=%d why=%s", gw->rec.name, rc, cfg_q(why));
}

void gw_save_some(evutil_socket_t fd, short what, void *arg)
{
	struct cp_gws *gws = arg;

	(void)fd;
	(void)what;
	for (uint32_t i = 0; i < DP_GW_MAX; i++)
		if (gws->gw[i] != NULL)
			gw_save_heard(gws->gw[i]);
}

void gw_keep_heard(struct cp_gw *gw, struct cp_gateway *rec)
{
	if (rec->dialect != CP_GW_AUTO || ((rec->heard & CP_GW_HEARD) != 0 && !gw->unsaved) || gw->rec.dialect != CP_GW_AUTO || (gw->rec.heard & CP_GW_HEARD) == 0)
		return;
	rec->heard = gw->rec.heard;
	rec->heard_port = gw->rec.heard_port;
	gw->unsaved = true;
}

void cp_gws_heard(struct cp_gws *gws, const struct dp_gw_heard *ev)
{
	struct cp_gw *gw = ev->gw_id < DP_GW_MAX ? gws->gw[ev->gw_id] : NULL;
	uint8_t heard = (uint8_t)(CP_GW_HEARD | ((ev->flags & DP_GW_F_MGCP_01) != 0 ? CP_GW_HEARD_01 : 0) |
				  ((ev->flags & DP_GW_F_X_CRYPTO) != 0 ? CP_GW_HEARD_X : 0));

	if (gw == NULL)
		return;
	if (ev->kind != DP_GW_HEARD_DIALECT) {
		gw->silent = ev->kind == DP_GW_HEARD_SILENT;
		cfg_log_limited(CFG_LOG_NOTICE, gw->silent ? "gateway-silent" : "gateway-heard-again", "gateway=%s", gw->rec.name);
		gw->suspect = true; /* the answer to a question, or that there is none, says how it is */
		audit_now(gw);
		return;
	}
	if (gw->rec.dialect != CP_GW_AUTO || (gw->rec.heard == heard && gw->rec.heard_port == ev->port))
		return;
	cfg_log_limited(CFG_LOG_NOTICE, "gateway-dialect", "gateway=%s version=%s crypto=%s port=%u", gw->rec.name,
		(heard & CP_GW_HEARD_01) != 0 ? "0.1" : "1.0", (heard & CP_GW_HEARD_X) != 0 ? "x" : "rfc", ev->port);
	gw->rec.heard = heard;
	gw->rec.heard_port = ev->port;
	gw->unsaved = true;
	gw_save_heard(gw);
}

/* --- packages --- */

static void caps_done(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done, const char *text)
{
	struct dp_mgcp_caps caps = {0};

	(void)ctx;
	(void)tag;
	for (const char *nl; text != NULL && (nl = strchr(text, '\n')) != NULL; text = nl + 1) {
		struct dp_mgcp_param p;

		if (dp_mgcp_param_line(text, (size_t)(nl - text), &p) == 0 && p.id == DP_MGCP_P_A)
			dp_mgcp_caps_add(&caps, &p.value);
	}
	if (done->result == DP_MGCP_ANSWERED && dp_mgcp_class(done->code) == DP_MGCP_CLASS_DONE)
		gw->caps = caps;
	/* Who speaks, but does not answer this, is not asked it before all else again; else once more when it is up. */
	if (done->result == DP_MGCP_ANSWERED && dp_mgcp_class(done->code) == DP_MGCP_CLASS_LATER && ++gw->caps_put_off < PUT_OFF_MAX) {
		gw->caps_asked = false;
		audit_answered(gw, done);
		return;
	}
	gw->caps_put_off = 0;
	gw->caps_asked = done->result == DP_MGCP_ANSWERED || ((gw->state == CP_GW_UP || gw->plain) &&
							       (done->result == DP_MGCP_TIMEOUT || done->result == DP_MGCP_BAD_ANSWER));
	audit_answered(gw, done);
}

/* A question for all of "aaln/$" is not one for any: asked of the first that has a name. -1: there is none. */
static int caps_endpoint(const struct cp_gw *gw)
{
	for (unsigned i = 0; i < gw->rec.endpoint_cnt; i++)
		if (strpbrk(gw->rec.endpoints[i].name, "*$") == NULL)
			return (int)i;
	return -1;
}

bool gw_wants_caps(const struct cp_gw *gw)
{
	return !gw->caps_asked && gw->state == CP_GW_UP && caps_endpoint(gw) >= 0;
}

bool gw_ask_caps(struct cp_gw *gw)
{
	struct dp_mgcp_ask ask = {.verb = DP_MGCP_AUEP, .params = "F: A\n"};
	struct cp_gw_tag tag = {0};

	if (gw->caps_asked || caps_endpoint(gw) < 0)
		return false;
	snprintf(ask.endpoint, sizeof(ask.endpoint), "%s", gw->rec.endpoints[caps_endpoint(gw)].name);
	gw->caps_asked = true;
	return cp_gw_ask(gw, &ask, &tag, caps_done, NULL) == 0;
}

/* --- what its lines speak --- */

static void bearer_done(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done, const char *text)
{
	bool answer = done->result == DP_MGCP_ANSWERED;

	(void)ctx;
	(void)tag;
	(void)text;
	if (answer && dp_mgcp_class(done->code) == DP_MGCP_CLASS_LATER && ++gw->bearer_put_off < PUT_OFF_MAX) {
		audit_answered(gw, done);
		return;
	}
	gw->bearer_put_off = 0;
	/* Who does not answer this, or cannot be told it, is not before it restarts: it would be taken for silent each time. */
	gw->bearer_told = done->result != DP_MGCP_NO_SA && done->result != DP_MGCP_OVERLOAD && (done->result != DP_MGCP_CANCELED || cp_dp_up(gw->gws->dp));
	if (gw->bearer_told && (!answer || dp_mgcp_class(done->code) != DP_MGCP_CLASS_DONE))
		cfg_log_limited(CFG_LOG_WARN, "gateway-bearer-refused", "gateway=%s result=%u code=%u", gw->rec.name, done->result, done->code);
	audit_answered(gw, done);
}

bool gw_wants_bearer(const struct cp_gw *gw)
{
	return !gw->bearer_told && gw->state == CP_GW_UP && gw->rec.bearer != CP_GW_B_NONE && gw->rec.endpoint_cnt > 0;
}

bool gw_tell_bearer(struct cp_gw *gw)
{
	struct dp_mgcp_ask ask = {.verb = DP_MGCP_EPCF, .endpoint = "*"};
	struct cp_gw_tag tag = {0};

	snprintf(ask.params, sizeof(ask.params), "B: %s\n", gw->rec.bearer == CP_GW_B_A ? "e:A" : "e:mu");
	return cp_gw_ask(gw, &ask, &tag, bearer_done, NULL) == 0;
}

/*
 * Gateways of a=X-crypto say by their SRTP package that they do SRTP (004b:MGCP-01). a=crypto (RFC 4568) needs no package: whoever speaks
 * that and lists others is offered keys all the same, and answers without if it cannot.
 */
bool gw_lacks_srtp(const struct cp_gw *gw)
{
	return x_crypto(&gw->rec) && gw->caps.listed && (gw->caps.pkgs >> DP_PKG_SRTP & 1) == 0;
}

void gw_fit_list(const struct cp_gw *gw, char *list, bool signals)
{
	struct dp_mgcp_str s = {list, (uint16_t)strnlen(list, DP_MGCP_EVENTS_MAX)};
	uint32_t pkgs = 0;

	if (s.len == 0 || !gw->caps.listed || (signals ? dp_pkg_signals(&s, &pkgs) : dp_pkg_events(&s, &pkgs)) < 0 ||
	    (pkgs & ~gw->caps.pkgs) == 0)
		return;
	cfg_log_limited(CFG_LOG_NOTICE, "gateway-lacks-package", "gateway=%s left_out=%s", gw->rec.name, cfg_q(list));
	memset(list, 0, DP_MGCP_EVENTS_MAX);
}

/* --- commands of its own, once --- */

bool gw_seen_before(struct cp_gw *gw, const struct dp_mgcp_event *ev, uint16_t *ret_code)
{
	uint64_t now_ms = cp_mono_ms();

	for (unsigned i = 0; ev->tid != 0 && i < GW_SEEN; i++) {
		if (gw->seen[i].tid == ev->tid && gw->seen[i].verb == ev->verb && now_ms - gw->seen[i].at_ms < SEEN_MS) {
			*ret_code = gw->seen[i].code;
			gw->repeats++;
			return true;
		}
	}
	return false;
}

void gw_remember(struct cp_gw *gw, const struct dp_mgcp_event *ev, uint16_t code)
{
	unsigned i = gw->seen_at++ % GW_SEEN;

	gw->seen[i].tid = ev->tid;
	gw->seen[i].verb = ev->verb;
	gw->seen[i].code = code;
	gw->seen[i].at_ms = cp_mono_ms();
}

void gw_show_speech(const struct cp_gw *gw, json_t *o)
{
	static const char *const dialects[CP_GW_DIALECT_CNT] = {"rfc3435", "cisco", "auto"};
	struct dp_gw_set as = {.local.port = gw->gws->agent.port};
	json_t *packages = json_array();

	gw_speak(gw, &as);
	for (unsigned p = 0; p < DP_PKG_CNT; p++)
		if ((gw->caps.pkgs >> p & 1) != 0)
			json_array_append_new(packages, json_string(dp_pkg_name(p)));
	json_object_set_new(o, "dialect", json_string(dialects[gw->rec.dialect]));
	json_object_set_new(o, "heard", json_boolean(gw->rec.dialect == CP_GW_AUTO && (gw->rec.heard & CP_GW_HEARD) != 0));
	json_object_set_new(o, "version", json_string((as.flags & DP_GW_F_MGCP_01) != 0 ? "0.1" : "1.0"));
	json_object_set_new(o, "crypto", json_string((as.flags & DP_GW_F_X_CRYPTO) != 0 ? "x" : "rfc"));
	json_object_set_new(o, "local_port", json_integer(as.local.port));
	json_object_set_new(o, "silent", json_boolean(gw->silent));
	json_object_set_new(o, "packages", packages);
	json_object_set_new(o, "repeats", json_integer((json_int_t)gw->repeats));
}
