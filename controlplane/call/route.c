/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is called: from dialled digits to a phone that rings, or to a gateway that is asked. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "callint.h"
#include "sccp/devtype.h"

static uint32_t common_codec(const struct cp_phone *a, const struct cp_phone *b)
{
	static const uint32_t ours[] = {CP_SCCP_G711U, CP_SCCP_G711A};

	for (unsigned i = 0; i < 2; i++)
		if (cp_phone_has_codec(a, ours[i]) && (b == NULL || cp_phone_has_codec(b, ours[i])))
			return ours[i];
	return 0;
}

uint8_t route_suite(const struct cp_phone *phone)
{
	const struct cp_device *dev = cp_phone_device(phone);

	/* No SCCP field says which suites a phone knows: the record does, else the one that all secure phones know. */
	return dev != NULL && dev->suite != DP_SRTP_NONE ? dev->suite : DP_AES_CM_128_HMAC_SHA1_32;
}

void route_fill(struct cp_call *call, unsigned side, struct agent *a, uint32_t line)
{
	struct party *p = &call->p[side];
	const struct cp_device *dev = cp_phone_device(a->phone);

	p->kind = PARTY_PHONE;
	p->ref = call->ref;
	p->stream = (uint8_t)side;
	p->line = line;
	agent_enter(a, p);
	snprintf(p->name, sizeof(p->name), "%s", a->name);
	snprintf(p->number, sizeof(p->number), "%s", cp_phone_line_number(a->phone, line));
	snprintf(p->label, sizeof(p->label), "%s", cp_phone_line_label(a->phone, line));
	snprintf(p->region, sizeof(p->region), "%s", dev != NULL ? dev->region : "default");
	p->untrusted = (cp_devtype_find(dev != NULL ? dev->model : "", cp_phone_type(a->phone))->flags & CP_DT_TRUSTED) == 0;
	p->signal_auth = cp_phone_security(a->phone) != CP_PHONE_NONSECURE;
	p->signal_enc = cp_phone_security(a->phone) == CP_PHONE_ENCRYPTED;
}

/* RFC 2833 events, if both can: a gateway says in its answer whether it does. */
static void events_between(struct party *a, struct party *b)
{
	bool both = cp_phone_has_codec(party_phone(a), CP_SCCP_RFC2833) &&
		    (b->kind == PARTY_GATEWAY || cp_phone_has_codec(party_phone(b), CP_SCCP_RFC2833));

	a->event_pt = both ? EVENT_PT : 0;
	b->event_pt = both && b->kind == PARTY_PHONE ? EVENT_PT : 0;
}

static void route_phone(struct cp_call *call, const struct cp_dir_hit *to)
{
	struct cp_calls *calls = call->calls;
	struct agent *b = agent_find(calls, to->device->name, false);
	struct party *pa = &call->p[0], *pb = &call->p[1];
	unsigned line;
	int rc;

	if (b == NULL || b->phone == NULL) {
		call_fail(call_cause(call, CP_Q850_ABSENT), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Not registered");
		return;
	}
	line = cp_phone_find_line(b->phone, call->digits);
	if (line == 0 || b == pa->agent || agent_line_calls(b, line) >= calls->env.cfg->calls.busy_trigger) {
		call_fail(call, CP_SCCP_BUSY, CP_SCCP_TONE_BUSY, "Busy");
		return;
	}
	pa->codec = pb->codec = common_codec(pa->agent->phone, b->phone);
	if (pa->codec == 0) {
		call_fail(call_cause(call, CP_Q850_INCOMPATIBLE), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No common codec");
		return;
	}
	route_fill(call, 1, b, line);
	call->secure = cp_phone_srtp(pa->agent->phone) && cp_phone_srtp(b->phone);
	if (!call->secure && calls->env.cfg->media.fallback == CFG_FALLBACK_REFUSE) {
		party_clear(call, 1);
		call_fail(call_cause(call, CP_Q850_NO_BEARER), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Cannot be encrypted");
		return;
	}
	events_between(pa, pb);
	call->direct = policy_direct(calls, pa, pb) &&
		       cp_phone_peer(pa->agent->phone)->family == cp_phone_peer(b->phone)->family &&
		       (!call->secure || route_suite(pa->agent->phone) == route_suite(b->phone));
	rc = call->direct ? 0 : legs_take(call);
	if (rc < 0) {
		party_clear(call, 1);
		call_fail(call_cause(call, CP_Q850_NO_RESOURCE), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No media port");
		return;
	}
	call->state = CALL_ALERTING;
	ui_proceeding(call);
	ui_ringin(call);
	ui_ringout(call);
	call_timer(call, calls->env.cfg->mgcp.answer_s * 1000u);
}

static bool endpoint_used(struct cp_calls *calls, const char *gateway, const char *endpoint)
{
	unsigned side;

	return endpoint_call(calls, gateway, endpoint, &side) != NULL;
}

/* The route's endpoint, or the gateway's first one that no call uses. NULL: all busy. */
static const char *free_endpoint(struct cp_calls *calls, const struct cp_dir_hit *to)
{
	const struct cp_gateway *gw = to->gateway;

	if (to->endpoint[0] != '\0')
		return endpoint_used(calls, gw->name, to->endpoint) ? NULL : to->endpoint;
	for (unsigned e = 0; e < gw->endpoint_cnt; e++)
		if (!endpoint_used(calls, gw->name, gw->endpoints[e].name))
			return gw->endpoints[e].name;
	return NULL;
}

static void route_gateway(struct cp_call *call, const struct cp_dir_hit *to)
{
	struct cp_calls *calls = call->calls;
	struct party *pa = &call->p[0], *pb = &call->p[1];
	struct cp_gw *gw = calls->gws != NULL ? cp_gws_find(calls->gws, to->gateway->name) : NULL;
	const char *endpoint = free_endpoint(calls, to);

	if (gw == NULL || endpoint == NULL) {
		call_fail(call, CP_SCCP_BUSY, CP_SCCP_TONE_BUSY, gw == NULL ? "No gateway" : "All lines busy");
		return;
	}
	pa->codec = pb->codec = common_codec(pa->agent->phone, NULL);
	if (pa->codec == 0) {
		call_fail(call_cause(call, CP_Q850_INCOMPATIBLE), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No common codec");
		return;
	}
	pb->kind = PARTY_GATEWAY;
	pb->ref = call->ref;
	snprintf(pb->name, sizeof(pb->name), "%s", to->gateway->name);
	snprintf(pb->endpoint, sizeof(pb->endpoint), "%s", endpoint);
	snprintf(pb->number, sizeof(pb->number), "%s", call->digits);
	snprintf(pb->label, sizeof(pb->label), "%.40s", to->gateway->name);
	snprintf(pb->region, sizeof(pb->region), "%s", cp_gw_region(gw));
	endpoint_enter(call, 1);
	pb->signal_auth = pb->signal_enc = cp_gw_secured(gw);
	/* Fails closed in the worker whatever is decided here: keys leave only inside a live SA. */
	call->secure = cp_phone_srtp(pa->agent->phone) && cp_gw_keys_allowed(gw);
	if (!call->secure && calls->env.cfg->media.fallback == CFG_FALLBACK_REFUSE) {
		party_clear(call, 1);
		call_fail(call_cause(call, CP_Q850_NO_BEARER), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Cannot be encrypted");
		return;
	}
	events_between(pa, pb);
	pb->suite = route_suite(pa->agent->phone);
	call->direct = policy_direct(calls, pa, pb) &&
		       cp_phone_peer(pa->agent->phone)->family == cp_gw_rec(gw)->address.family &&
		       (!call->secure || policy_direct_suite(call, cp_gw_rec(gw), pb->suite) != DP_SRTP_NONE);
	if (!call->direct && legs_take(call) < 0) {
		party_clear(call, 1);
		call_fail(call_cause(call, CP_Q850_NO_RESOURCE), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No media port");
		return;
	}
	call->state = CALL_ROUTING;
	ui_proceeding(call);
	call_timer(call, 25000); /* T-MAX of MGCP and some: the dataplane always answers before */
	if (trunk_offer(call, 1) < 0) {
		call_fail(call_cause(call, CP_Q850_NETWORK), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Gateway not reachable");
		return;
	}
	/* Should we be killed while it rings, the next one finds here which connection to delete. */
	if (record_write(call, NULL, NULL) < 0)
		cfg_log_limited(CFG_LOG_WARN, "call-record-not-written", "call=%u", call->ref);
}

void route_digits(struct cp_call *call)
{
	struct cp_dir_hit to;

	call_timer(call, 0);
	if (!cp_dp_up(call->calls->env.dp)) {
		call_fail(call_cause(call, CP_Q850_TEMPORARY), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No media service");
		return;
	}
	if (!cp_dir_number(call->calls->env.store, call->digits, &to, NULL)) {
		call_fail(call, CP_SCCP_INVALID_NUMBER, CP_SCCP_TONE_REORDER, "Unknown number");
		return;
	}
	if (to.kind == CP_DIR_LINE)
		route_phone(call, &to);
	else
		route_gateway(call, &to);
}
