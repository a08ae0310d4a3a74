/* SPDX-License-Identifier: BSD-3-Clause */
/* What gateways say by themselves: that they restart, what happens at their endpoints, that a connection is gone. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "dpclient.h"
#include "gwint.h"
#include "log.h"

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

/*
 * RFC 3435 s2.3.12. forced: its connections are gone, and it is. restart: they are gone, it is there, now or in RD seconds. graceful: it
 * will be gone; who talks goes on. disconnected: it was without us, and has kept what it had: asked before it is used. Others: as restart
 * without the loss.
 */
static void restarted(struct cp_gw *gw, const struct dp_mgcp_event *ev)
{
	const char *how = ev->restart_method;
	enum cp_ep_state state = CP_EP_IN_SERVICE;
	bool lost = strcasecmp(how, "restart") == 0 || strcasecmp(how, "forced") == 0;
	const unsigned delay_s = ev->delay_s;
	unsigned back_s = delay_s != 0 && delay_s < 600 ? delay_s : 30;
	uint8_t todo = EP_ARM;
	unsigned n = 0;

	gw->restarts++;
	gw->caps_asked = gw->plain = gw->bearer_told = false; /* perhaps with other software */
	if (strcasecmp(how, "forced") == 0 || (lost && delay_s != 0)) {
		state = CP_EP_OUT;
		todo = EP_AGAIN;
	} else if (strcasecmp(how, "graceful") == 0) {
		state = CP_EP_LEAVING;
		todo = EP_AGAIN;
		back_s += 300; /* it says itself when it has gone, and when it is back */
	} else if (strcasecmp(how, "disconnected") == 0) {
		state = CP_EP_DISCONNECTED;
		todo = EP_CHECK;
	}
	for (unsigned i = 0; i < gw->eps.cnt; i++) {
		if (!cp_gw_endpoint_match(ev->endpoint, gw->rec.endpoints[i].name))
			continue;
		n++;
		eps_set(&gw->eps, i, state);
		eps_todo(&gw->eps, i, todo, EP_CHECK | EP_AGAIN | EP_ARM);
		if (state == CP_EP_DISCONNECTED)
			eps_todo(&gw->eps, i, gw->eps.uses[i] > 0 ? EP_CALL : EP_SWEEP, 0);
		else if (todo == EP_ARM && (eps_line(&gw->rec, i) == CP_LINE_NONE || (gw->eps.uses[i] > 0 && !lost)))
			eps_todo(&gw->eps, i, 0, EP_ARM);
	}
	if (lost && n == gw->eps.cnt) /* there is nothing left from before us */
		gw->sweep = false;
	if (todo == EP_AGAIN) { /* when it is said to be back; at the latest as any endpoint that is out */
		int64_t at = (int64_t)cp_mono_ms() + (int64_t)back_s * 1000;

		if (gw->again_ms == 0 || at < gw->again_ms)
			gw->again_ms = at;
	}
	cfg_log_limited(CFG_LOG_NOTICE, "gateway-restart", "gateway=%s endpoint=%s method=%s delay_s=%u endpoints=%u", gw->rec.name,
		cfg_q(ev->endpoint), cfg_q(how), delay_s, n);
	gw_able(gw);
	if (lost)
		gw->gws->ops->lost(gw->gws->ctx, gw, ev->endpoint, "");
	if (todo == EP_AGAIN)
		audit_later(gw, back_s + back_s / 2);
	else
		audit_now(gw);
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
	bool again, all = strcmp(ev->endpoint, "*") == 0; /* also of a gateway without endpoints */

	if (gw == NULL) {
		ack.code = 500;
		cp_dp_send(gws->dp, DP_MSG_MGCP_ACK, &ack, NULL, NULL);
		return;
	}
	gw->events++;
	gw->heard_ms = (int64_t)cp_mono_ms();
	again = gw_seen_before(gw, ev, &ack.code);
	if (again) {
		/* as before */
	} else if (!all && !endpoint_known(gw, ev->endpoint)) {
		cfg_log_limited(CFG_LOG_WARN, "mgcp-unknown-endpoint", "gateway=%s endpoint=%s", gw->rec.name,
				cfg_q(ev->endpoint));
		ack.code = 500;
	} else if (ev->verb == DP_MGCP_DLCX) {
		ack.code = 250;
	} else if (ev->verb != DP_MGCP_NTFY && ev->verb != DP_MGCP_RSIP) {
		ack.code = 504;
	} else if (ev->verb == DP_MGCP_RSIP && gw->rec.admin != CP_ADMIN_IN_SERVICE && agents_other(gw)[0] != '\0' &&
		   (strcasecmp(ev->restart_method, "restart") == 0 || strcasecmp(ev->restart_method, "disconnected") == 0)) {
		ack.code = 521; /* it asks for an agent: another one serves it (RFC 3435 s2.4, s4.4.7) */
	}
	if (!again)
		gw_remember(gw, ev, ack.code);
	/* Accepted now: the repeat of what was lost is the gateway's as long as this is not sent. */
	cp_dp_send(gws->dp, DP_MSG_MGCP_ACK, &ack, NULL, NULL);
	if (again || (ack.code != 200 && ack.code != 250 && ack.code != 521))
		return;
	if (gw->state != CP_GW_UP)
		gw_state(gw, CP_GW_UP);
	agents_mentioned(gw, ev);
	switch (ev->verb) {
	case DP_MGCP_NTFY:
		gws->ops->notified(gws->ctx, gw, ev->endpoint, ev->request_id, ev->observed);
		break;
	case DP_MGCP_DLCX:
		gws->ops->lost(gws->ctx, gw, ev->endpoint, ev->conn_id);
		break;
	case DP_MGCP_RSIP:
		restarted(gw, ev);
		break;
	default:
		break;
	}
}
