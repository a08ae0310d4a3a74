/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that begin at a gateway. An analog phone (FXS, RFC 3660 package L) goes off hook: it hears dial tone, its digits are asked for
 * one by one and looked up as a phone's; ring back, busy and congestion are signals, too. A line of the telephone network (FXO, package H)
 * rings: its record says which number it is led to, and it is taken off its hook when that one answers.
 *
 * The gateway gets its connection when the called party has answered: by then it is known which codec both speak, and nothing is to be
 * taken back from it. It is negotiated as where a gateway is called (trunk.c); the keys of phones are drawn behind that.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "callint.h"
#include "sccp/devtype.h"

#define FIRST_MS  15000 /* to the first digit */
#define MOST      (CALL_SLOTS - CALL_SLOTS / 8) /* so many calls, and gateways begin no more: the last places are for phones */
#define MAPPED    "D/[0-9*#T](D)" /* accumulated by the map, T is its timer */
#define DIGITS    "D/[0-9*#](N)" /* RFC 3660 s2.2: each one alone, so that the dial plan says when a number is whole */

static bool fxo(const struct party *p)
{
	const struct cp_gw *gw = cp_gws_find(p->call->calls->gws, p->name);

	return gw != NULL && cp_gw_ep_line(gw, p->endpoint) == CP_LINE_FXO;
}

/* What of it is watched for, and what it hears; "": nothing. */
static void ask(struct party *p, const char *events, const char *signals)
{
	snprintf(p->request_id, sizeof(p->request_id), "%08X", p->ref);
	trunk_request(p, events, signals);
}

static const char *hung_up(const struct party *p)
{
	return fxo(p) ? "H/osi(N)" : "L/hu(N)";
}

const char *inbound_events(const struct party *p)
{
	return fxo(p) ? "H/osi(N)" : "L/hu(N),L/hf(N)";
}

const char *inbound_takes(const struct party *p)
{
	return fxo(p) ? "H/hd" : "";
}

const char *inbound_leaves(const struct party *p)
{
	return fxo(p) ? "H/hu" : "";
}

/* By a map the gateway collects them and tells all at once (RFC 3435 s2.1.5); in a loop one request is for all of them (s4.4.1). */
static void ask_digits(struct cp_call *call, const char *signals)
{
	struct party *p = &call->p[0];
	const struct cp_gw *gw = cp_gws_find(call->calls->gws, p->name);
	const struct cp_gateway *rec = gw != NULL ? cp_gw_rec(gw) : NULL;
	char params[DP_MGCP_PARAMS_MAX];
	int n;

	if (rec == NULL || p->plain || (rec->digit_map[0] == '\0' && rec->quarantine == CP_GW_Q_STEP)) {
		ask(p, "L/hu(N)," DIGITS, signals);
		return;
	}
	snprintf(p->request_id, sizeof(p->request_id), "%08X", p->ref);
	n = snprintf(params, sizeof(params), "R: L/hu(N),%s\n", rec->digit_map[0] != '\0' ? MAPPED : DIGITS);
	if (signals[0] != '\0')
		n += snprintf(params + n, sizeof(params) - (size_t)n, "S: %s\n", signals);
	if (rec->quarantine == CP_GW_Q_LOOP)
		n += snprintf(params + n, sizeof(params) - (size_t)n, "Q: process,loop\n");
	if (rec->digit_map[0] != '\0')
		snprintf(params + n, sizeof(params) - (size_t)n, "D: %s\n", rec->digit_map);
	trunk_request_with(p, params);
}

static bool looped(const struct party *p)
{
	const struct cp_gw *gw = cp_gws_find(p->call->calls->gws, p->name);

	return gw != NULL && !p->plain && cp_gw_rec(gw)->quarantine == CP_GW_Q_LOOP;
}

bool inbound_plainly(struct cp_call *call, const struct dp_mgcp_done *done)
{
	struct party *p = &call->p[0];
	const struct cp_gw *gw = cp_gws_find(call->calls->gws, p->name);

	if (!p->inbound || p->plain || call->state != CALL_DIALING || gw == NULL || done->result != DP_MGCP_ANSWERED || done->code < 500 ||
	    (cp_gw_rec(gw)->digit_map[0] == '\0' && cp_gw_rec(gw)->quarantine == CP_GW_Q_STEP))
		return false;
	/* 508: no quarantine handling; 519, 537: no such map. */
	cfg_log_limited(CFG_LOG_WARN, "gateway-takes-no-map", "gateway=%s endpoint=%s code=%u", p->name, p->endpoint, done->code);
	p->plain = true;
	ask_digits(call, call->digit_cnt == 0 ? "L/dl" : "");
	return true;
}

void inbound_hears(struct cp_call *call, enum inbound_tone tone)
{
	static const char *const names[] = {[INBOUND_SILENCE] = "", [INBOUND_RINGBACK] = "G/rt", [INBOUND_BUSY] = "L/bz",
					    [INBOUND_REORDER] = "L/ro", [INBOUND_CONGESTION] = "G/cg"};
	struct party *p = &call->p[0];

	if (!p->inbound || p->conn_id[0] != '\0')
		return;
	ask(p, hung_up(p), fxo(p) ? "" : names[tone]); /* what rings from outside hears what its exchange gives it */
}

void inbound_fails(struct cp_call *call, enum cp_sccp_state state, enum cp_sccp_tone tone)
{
	if (fxo(&call->p[0])) { /* nobody is there who would hear why */
		call_end(call, "a line of the network is not led any further");
		return;
	}
	inbound_hears(call, state == CP_SCCP_BUSY || tone == CP_SCCP_TONE_BUSY ? INBOUND_BUSY :
			    call->cause == CP_Q850_NO_RESOURCE || call->cause == CP_Q850_NETWORK || call->cause == CP_Q850_CONGESTION ?
			    INBOUND_CONGESTION : INBOUND_REORDER);
}

bool inbound_asks(struct cp_call *call, unsigned side)
{
	if (side != 0 || !call->p[0].inbound || call->state != CALL_DIALING)
		return false;
	ask_digits(call, call->digit_cnt == 0 && !fxo(&call->p[0]) ? "L/dl" : "");
	return true;
}

bool inbound_left(struct cp_call *call)
{
	struct party *p = &call->p[0];
	struct cp_gw *gw;

	if (!p->inbound || call->state != CALL_FAILED)
		return false;
	/* Its phone was left off its hook: silence, and no new dial tone, until it is put back. The request for that takes this one's place. */
	gw = cp_gws_find(call->calls->gws, p->name);
	p->request_id[0] = '\0';
	if (gw != NULL)
		cp_gw_ep_hook(gw, p->endpoint, true);
	call_end(call, "left off its hook");
	return true;
}

/* The number by which an endpoint is reached is the one that it calls from; else the one by which the gateway is. */
static const char *number_of(const struct cp_gateway *rec, const char *endpoint)
{
	const char *any = "";

	for (unsigned i = 0; i < rec->number_cnt; i++) {
		const struct cp_gw_number *n = &rec->numbers[i];

		if (!n->prefix && strcasecmp(n->endpoint, endpoint) == 0)
			return n->number;
		if (!n->prefix && n->endpoint[0] == '\0' && any[0] == '\0')
			any = n->number;
	}
	return any;
}

static void take_endpoint(struct cp_call *call, struct cp_gw *gw, const char *endpoint)
{
	const struct cp_gateway *rec = cp_gw_rec(gw);
	struct party *p = &call->p[0];

	p->kind = PARTY_GATEWAY;
	p->inbound = true;
	p->ref = call->ref;
	snprintf(p->name, sizeof(p->name), "%s", rec->name);
	snprintf(p->endpoint, sizeof(p->endpoint), "%s", endpoint);
	snprintf(p->number, sizeof(p->number), "%s", number_of(rec, endpoint));
	snprintf(p->label, sizeof(p->label), "%.40s", rec->name);
	snprintf(p->region, sizeof(p->region), "%s", rec->region);
	p->untrusted = (cp_devtype_gateway(rec->type)->flags & CP_DT_TRUSTED) == 0;
	p->event_pt = EVENT_PT;
	endpoint_enter(call, 0);
	inbound_secure(call);
}

void inbound_secure(struct cp_call *call)
{
	struct party *p = &call->p[0];
	struct cp_gw *gw = cp_gws_find(call->calls->gws, p->name);

	if (!p->inbound || gw == NULL)
		return;
	p->signal_auth = p->signal_enc = cp_gw_secured(gw);
	p->suite = cp_gw_keys_allowed(gw) ? policy_suite(call, cp_gw_rec(gw), 0) : DP_SRTP_NONE;
}

static void begin(struct cp_calls *calls, struct cp_gw *gw, const char *endpoint, bool rings)
{
	const struct cp_gateway *rec = cp_gw_rec(gw);
	struct cp_call *call;

	if (calls->stopping || rec->admin != CP_ADMIN_IN_SERVICE || (rings && rec->incoming[0] == '\0')) {
		cfg_log_limited(CFG_LOG_WARN, "gateway-call-not-taken", "gateway=%s endpoint=%s reason=%s", rec->name, cfg_q(endpoint),
				rings && rec->incoming[0] == '\0' ? "no-incoming-number" : "not-in-service");
		return;
	}
	call = calls->count < MOST ? call_new(calls) : NULL;
	if (call == NULL) {
		cfg_log_limited(CFG_LOG_ERR, "too-many-calls", "max=%d gateway=%s endpoint=%s", MOST, rec->name, cfg_q(endpoint));
		cp_gw_ep_again(gw, endpoint);
		return;
	}
	take_endpoint(call, gw, endpoint);
	call->state = CALL_DIALING;
	cfg_log(CFG_LOG_INFO, "gateway-calls", "call=%u gateway=%s endpoint=%s number=%s line=%s", call->ref, rec->name, cfg_q(endpoint),
		call->p[0].number, rings ? "fxo" : "fxs");
	call_timer(call, FIRST_MS);
	if (!rings) {
		ask_digits(call, "L/dl");
		return;
	}
	snprintf(call->digits, sizeof(call->digits), "%s", rec->incoming);
	call->digit_cnt = (unsigned)strlen(call->digits);
	route_digits(call);
}

/* "L/hd,D/5,hf": the next one, without its package and what is in brackets. False: no more. */
static bool next_event(const char **list, char *name, size_t size)
{
	const char *slash, *end;
	size_t len;

	*list += strspn(*list, ", ");
	if (**list == '\0')
		return false;
	end = *list + strcspn(*list, ",");
	slash = memchr(*list, '/', (size_t)(end - *list));
	slash = slash != NULL ? slash + 1 : *list;
	len = strcspn(slash, ",( ");
	snprintf(name, size, "%.*s", (int)(len < size ? len : size - 1), slash);
	*list = end;
	return true;
}

void inbound_begins(struct cp_calls *calls, struct cp_gw *gw, const char *endpoint, const char *request_id, const char *observed)
{
	uint8_t line = cp_gw_ep_line(gw, endpoint);
	bool ours = strcasecmp(request_id, CP_GW_ARM_ID) == 0 && line != CP_LINE_NONE, begins = false, back = false;
	char name[16];

	for (const char *at = observed; ours && next_event(&at, name, sizeof(name));) {
		begins |= strcasecmp(name, line == CP_LINE_FXO ? "rg" : "hd") == 0;
		back |= strcasecmp(name, "hu") == 0;
	}
	back = (back || begins) && cp_gw_ep_state(gw, endpoint) == CP_EP_OFF_HOOK;
	if (back)
		cp_gw_ep_hook(gw, endpoint, false);
	if (begins) {
		begin(calls, gw, endpoint, line == CP_LINE_FXO);
	} else if (!back) {
		cfg_log_limited(CFG_LOG_INFO, "mgcp-notify-without-call", "gateway=%s endpoint=%s observed=%s", cp_gw_name(gw),
				cfg_q(endpoint), cfg_q(observed));
		if (ours) /* it has used up its request (RFC 3435 s4.4.1) */
			cp_gw_ep_again(gw, endpoint);
	}
}

void inbound_notified(struct party *p, const char *observed)
{
	struct cp_calls *calls = p->call->calls;
	uint32_t ref = p->call->ref;
	struct cp_call *call;
	bool more = false, timer = false;
	char name[16];

	/* Any of them may end the call. */
	for (const char *at = observed; (call = call_find(calls, ref)) != NULL && next_event(&at, name, sizeof(name));) {
		if (strcasecmp(name, "hu") == 0 || strcasecmp(name, "osi") == 0) {
			call_end(call_by(p), "gateway hung up");
			return;
		}
		if (strcasecmp(name, "hf") == 0) {
			cfg_log(CFG_LOG_INFO, "hook-flash-ignored", "gateway=%s endpoint=%s call=%u", p->name, p->endpoint, ref);
		} else if (name[0] != '\0' && name[1] == '\0' && strchr("0123456789*#", name[0]) != NULL && call->state == CALL_DIALING) {
			more = true;
			call_digit(call, name[0]);
		} else {
			timer |= strcasecmp(name, "T") == 0;
		}
	}
	if (call == NULL)
		return;
	if (call->state == CALL_DIALING && timer && call->digit_cnt > 0) { /* no more is coming */
		route_digits(call);
		return;
	}
	if (call->state == CALL_DIALING && (more || timer) && !looped(p))
		ask_digits(call, ""); /* an event uses up its request (RFC 3435 s4.4.1): and dial tone ends with the first digit */
	else if (call->state == CALL_CONNECTED)
		trunk_request(p, inbound_events(p), "");
}

bool inbound_reserve(struct cp_call *call)
{
	struct party *p = &call->p[0];

	if (!p->inbound || p->conn_id[0] != '\0' || p->kind != PARTY_GATEWAY)
		return false;
	inbound_hears(call, INBOUND_SILENCE);
	call->state = CALL_CONNECTING;
	call->reserving = true;
	call_timer(call, 25000); /* T-MAX of MGCP and some: the dataplane always answers before */
	if (trunk_offer(call, 0) < 0) {
		call->reserving = false;
		call_fail(call_cause(call, CP_Q850_NETWORK), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Gateway not reachable");
	}
	return true;
}
