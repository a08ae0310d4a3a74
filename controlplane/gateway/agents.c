/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Other call agents of the same gateways (RFC 3435 s4.4): whom an endpoint notifies, and whether it is taken over. An endpoint has one
 * notified entity (s2.1.4): who has said N: in a command last. It is asked for where an endpoint is asked how it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "alarm.h"
#include "gwint.h"
#include "log.h"

#define AGENT_PORT 2727 /* of a name without one (s3.5) */

struct entity {
	char host[DP_MGCP_NAME_MAX]; /* without brackets */
	unsigned port;
};

/* "[name@]host[:port]"; who it is on its host is nobody's business. False: it is none. */
static bool entity_read(const char *s, struct entity *ret)
{
	const char *at = strrchr(s, '@'), *host = at != NULL ? at + 1 : s, *end, *colon;
	size_t len;

	end = *host == '[' ? strchr(host, ']') : NULL;
	if (*host == '[' && end == NULL)
		return false;
	host += *host == '[';
	colon = end != NULL ? (end[1] == ':' ? end + 1 : NULL) : strrchr(host, ':');
	len = end != NULL ? (size_t)(end - host) : colon != NULL ? (size_t)(colon - host) : strlen(host);
	if (len == 0 || len >= sizeof(ret->host))
		return false;
	*ret = (struct entity){.port = colon != NULL ? (unsigned)strtoul(colon + 1, NULL, 10) : AGENT_PORT};
	memcpy(ret->host, host, len);
	return true;
}

static bool same_host(const char *a, const char *b)
{
	struct cfg_addr x, y;

	if (strcasecmp(a, b) == 0)
		return true;
	return cfg_addr_parse(a, &x) == 0 && cfg_addr_parse(b, &y) == 0 && x.family == y.family && memcmp(x.ip, y.ip, sizeof(x.ip)) == 0;
}

static bool our_host(const struct cp_gws *gws, const char *host)
{
	struct cfg_addr a;
	struct entity us;

	if (entity_read(gws->agents[0], &us) && same_host(us.host, host))
		return true;
	return cfg_addr_parse(host, &a) == 0 && a.family == gws->agent.family && memcmp(a.ip, gws->agent.ip, sizeof(a.ip)) == 0;
}

enum gw_whose agents_whose(const struct cp_gw *gw, const char *who)
{
	const struct cp_gws *gws = gw->gws;
	struct dp_gw_set as = {.local.port = gws->agent.port};
	struct entity e, partner;

	if (who[0] == '\0' || gws->agent_cnt == 0) /* whoever spoke to it last (s4.1) */
		return GW_OURS;
	if (!entity_read(who, &e))
		return GW_OTHERS;
	gw_speak(gw, &as);
	if (our_host(gws, e.host)) /* at another port we do not hear it */
		return e.port == as.local.port || (as.other_port != 0 && e.port == as.other_port) ? GW_OURS : GW_LOST;
	for (unsigned i = 1; i < gws->agent_cnt; i++)
		if (entity_read(gws->agents[i], &partner) && partner.port == e.port && same_host(partner.host, e.host))
			return GW_PARTNERS;
	return GW_OTHERS;
}

void agents_alarm(struct cp_gw *gw)
{
	if (gw->gws->agent_cnt == 0)
		return;
	if (agents_elsewhere(gw) == 0)
		cp_alarm_clear(gw->gws->alarms, "gateway-other-agent", gw->rec.name);
	else
		cp_alarm_raise(gw->gws->alarms, "gateway-other-agent", CP_ALARM_WARNING, gw->rec.name, "endpoints notify another call agent: they get no calls here");
}

unsigned agents_elsewhere(const struct cp_gw *gw)
{
	unsigned n = 0;

	for (unsigned i = 0; i < gw->eps.cnt; i++)
		n += gw->eps.state[i] == CP_EP_ELSEWHERE;
	return n;
}

bool agents_read(const char *text, char *ret, size_t size)
{
	struct dp_mgcp_param p;

	for (const char *nl; text != NULL && (nl = strchr(text, '\n')) != NULL; text = nl + 1)
		if (dp_mgcp_param_line(text, (size_t)(nl - text), &p) == 0 && p.id == DP_MGCP_P_N)
			return dp_mgcp_str_copy(ret, size, &p.value) || p.value.len > 0;
	ret[0] = '\0';
	return false;
}

static bool claims(const struct cp_gw *gw, enum gw_whose whose)
{
	if (gw->rec.admin != CP_ADMIN_IN_SERVICE)
		return false;
	return whose == GW_LOST || gw->gws->claim == CFG_CLAIM_ANY || (whose == GW_PARTNERS && gw->gws->claim == CFG_CLAIM_PARTNERS);
}

bool agents_heard(struct cp_gw *gw, unsigned i, const char *text)
{
	enum gw_whose whose;
	char who[DP_MGCP_NAME_MAX];

	agents_read(text, who, sizeof(who));
	whose = agents_whose(gw, who);
	if (whose == GW_OURS)
		return true;
	snprintf(gw->notified, sizeof(gw->notified), "%s", who);
	if (gw->eps.uses[i] > 0) /* a call of ours is there: its next command says N: */
		return true;
	cfg_log_limited(CFG_LOG_NOTICE, claims(gw, whose) ? "endpoint-claimed" : "endpoint-other-agent", "gateway=%s endpoint=%s agent=%s", gw->rec.name,
			gw->rec.endpoints[i].name, cfg_q(who));
	if (!claims(gw, whose)) {
		eps_set(&gw->eps, i, CP_EP_ELSEWHERE);
		eps_todo(&gw->eps, i, 0, EP_SWEEP | EP_ARM);
		return false;
	}
	/* The request says N:, whether there is something to be watched for or not; what is connected there is nobody's any more. */
	gw->claimed++;
	eps_set(&gw->eps, i, CP_EP_IN_SERVICE);
	eps_todo(&gw->eps, i, EP_ARM | EP_SWEEP, 0);
	return true;
}

void agents_mentioned(struct cp_gw *gw, const struct dp_mgcp_event *ev)
{
	if (ev->notified[0] == '\0' || agents_whose(gw, ev->notified) == GW_OURS)
		return;
	cfg_log_limited(CFG_LOG_NOTICE, "gateway-names-other-agent", "gateway=%s endpoint=%s agent=%s", gw->rec.name, cfg_q(ev->endpoint), cfg_q(ev->notified));
	for (unsigned i = 0; i < gw->eps.cnt; i++)
		if (cp_gw_endpoint_match(ev->endpoint, gw->rec.endpoints[i].name))
			eps_todo(&gw->eps, i, EP_CHECK, 0);
	audit_now(gw);
}

void agents_ask(struct cp_gw *gw, const char *endpoint)
{
	for (unsigned i = 0; gw->gws->agent_cnt > 0 && i < gw->eps.cnt; i++)
		if (endpoint == NULL || strcasecmp(endpoint, gw->rec.endpoints[i].name) == 0)
			eps_todo(&gw->eps, i, EP_CHECK, 0);
}

const char *agents_other(const struct cp_gw *gw)
{
	if (gw->rec.agent[0] != '\0')
		return gw->rec.agent;
	return gw->gws->agent_cnt > 1 ? gw->gws->agents[1] : "";
}

void cp_gws_agents(struct cp_gws *gws, char *const *agents, unsigned n, uint8_t claim)
{
	gws->agents = agents;
	gws->agent_cnt = n;
	gws->claim = claim;
}
