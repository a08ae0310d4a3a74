/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is called: from dialled digits to a phone that rings, or to a gateway that is asked. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "callint.h"
#include "dial/plan.h"
#include "sccp/devtype.h"

void route_security(struct party *p, const struct cp_phone *phone)
{
	p->untrusted = (p->can & CP_DT_TRUSTED) == 0;
	p->signal_auth = cp_phone_security(phone) != CP_PHONE_NONSECURE;
	p->signal_enc = cp_phone_security(phone) == CP_PHONE_ENCRYPTED;
}

void route_fill_party(struct party *p, struct agent *a, uint32_t line)
{
	const struct cp_device *dev = cp_phone_device(a->phone);

	p->kind = PARTY_PHONE;
	p->ref = p->call->ref;
	p->line = line;
	agent_enter(a, p);
	snprintf(p->name, sizeof(p->name), "%s", a->name);
	snprintf(p->number, sizeof(p->number), "%s", cp_phone_line_number(a->phone, line));
	snprintf(p->label, sizeof(p->label), "%s", cp_phone_line_label(a->phone, line));
	snprintf(p->region, sizeof(p->region), "%s", dev != NULL ? dev->region : "default");
	party_learn(p);
	route_security(p, a->phone);
}

void route_fill(struct cp_call *call, unsigned side, struct agent *a, uint32_t line)
{
	call->p[side].stream = (uint8_t)side;
	route_fill_party(&call->p[side], a, line);
}

bool route_srtp(const struct party *p, const struct cp_media_rule *rule)
{
	const struct cp_phone *phone = party_phone(p);

	if (p->kind == PARTY_PHONE)
		return phone != NULL && cp_phone_srtp(phone) && policy_phone_suite(rule, phone) != DP_SRTP_NONE;
	return p->suite != DP_SRTP_NONE && (p->inbound /* it is offered the rule's */ || !rule->suites_said || memchr(rule->suites, p->suite, sizeof(rule->suites)) != NULL);
}

/* RFC 2833 events, if both can: a gateway says in its answer whether it does. */
static void events_between(struct party *a, struct party *b)
{
	bool both = (a->kind == PARTY_GATEWAY || cp_phone_has_codec(party_phone(a), CP_SCCP_RFC2833)) &&
		    (b->kind == PARTY_GATEWAY || cp_phone_has_codec(party_phone(b), CP_SCCP_RFC2833));

	a->event_pt = both ? EVENT_PT : 0;
	b->event_pt = both && b->kind == PARTY_PHONE ? EVENT_PT : 0;
}

enum route_no route_terms(const struct cp_call *call, const struct party *pb, struct route_terms *ret)
{
	const struct cp_calls *calls = call->calls;
	const struct party *pa = &call->p[0];
	const struct cp_phone *a = party_phone(pa), *b = party_phone(pb);

	if (b == NULL)
		return ROUTE_NOT_REGISTERED;
	if (!conf_takes(pa, pb))
		return ROUTE_NOT_ENCRYPTED;
	cp_rule_find(calls->env.store, &calls->env.cfg->media, pa->region, pb->region, &ret->rule, NULL);
	if (pa->conf != NULL || pb->conf != NULL)
		conf_codecs(&ret->rule);
	ret->secure = route_srtp(pa, &ret->rule) && route_srtp(pb, &ret->rule);
	if (policy_codec(pa, pb, &ret->rule, ret->secure, &ret->choice) < 0) {
		cfg_log(CFG_LOG_NOTICE, "no-common-codec", "call=%u from=%s to=%s region_a=%s region_b=%s max_kbps=%u", call->ref, cfg_q(pa->name),
			cfg_q(pb->name), cfg_q(pa->region), cfg_q(pb->region), ret->rule.codec.max_kbps);
		return ROUTE_NO_CODEC;
	}
	if (!ret->secure && calls->env.cfg->media.fallback == CFG_FALLBACK_REFUSE)
		return ROUTE_NOT_ENCRYPTED;
	ret->direct = a != NULL && pa->ref == call->ref && ret->rule.direct && cp_phone_peer(a)->family == cp_phone_peer(b)->family &&
		      (!ret->secure || policy_common_suite(&ret->rule, a, b) != DP_SRTP_NONE);
	return ROUTE_OK;
}

enum route_no route_agree(struct cp_call *call)
{
	struct party *pa = &call->p[0], *pb = &call->p[1];
	struct route_terms terms;
	enum route_no no = route_terms(call, pb, &terms);

	if (no != ROUTE_OK)
		return no;
	policy_speak(pa, pb, &terms.choice);
	call->rule = terms.rule;
	call->secure = terms.secure;
	call->direct = terms.direct;
	if (party_phone(pa) != NULL || pa->inbound)
		events_between(pa, pb);
	return terms.direct || legs_take(call) == 0 ? ROUTE_OK : ROUTE_NO_PORT;
}

void route_refuse(struct cp_call *call, enum route_no no)
{
	static const struct {
		enum cp_sccp_state state;
		enum cp_sccp_tone tone;
		const char *text;
		unsigned cause; /* 0: as the state says */
	} says[] = {
		[ROUTE_OK] = {CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Not registered", CP_Q850_ABSENT},
		[ROUTE_NOT_REGISTERED] = {CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Not registered", CP_Q850_ABSENT},
		[ROUTE_NOT_ENCRYPTED] = {CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Cannot be encrypted", CP_Q850_NO_BEARER},
		[ROUTE_NO_CODEC] = {CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No common codec", CP_Q850_INCOMPATIBLE},
		[ROUTE_BUSY] = {CP_SCCP_BUSY, CP_SCCP_TONE_BUSY, "Busy", 0},
		[ROUTE_NO_PORT] = {CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No media port", CP_Q850_NO_RESOURCE},
	};

	if (says[no].cause != 0)
		call_cause(call, says[no].cause);
	call_fail(call, says[no].state, says[no].tone, says[no].text);
}

/* All phones that have the number, and are not busy, ring. What the caller is told otherwise: the best reason of all. */
static void route_phone(struct cp_call *call, const struct cp_dialled *to)
{
	struct cp_dir_place place[CP_LINE_DEVICES_MAX];
	unsigned n = cp_dir_line_devices(call->calls->env.store, to->number, to->partition, place);
	enum route_no worst = ROUTE_OK;

	for (unsigned i = 0; i < n; i++) {
		enum route_no no = ring_add(call, place[i].device->name, to->number);

		worst = no > worst ? no : worst;
	}
	if (call->forks != NULL)
		worst = ring_begin(call);
	if (call->state != CALL_ALERTING)
		route_refuse(call, worst);
}

static void route_at(struct cp_call *call, const struct cp_dir_hit *to, const char *number)
{
	struct cp_calls *calls = call->calls;
	struct party *pa = &call->p[0], *pb = &call->p[1];
	struct cp_gw *gw = calls->gws != NULL && to->gateway != NULL ? cp_gws_find(calls->gws, to->gateway->name) : NULL;
	const char *endpoint = gw != NULL ? cp_gw_free_endpoint(gw, to->endpoint) : NULL;
	const struct cp_phone *a = party_phone(pa);
	struct cp_codec_choice choice;

	if (gw == NULL || endpoint == NULL) {
		call_fail(call, CP_SCCP_BUSY, CP_SCCP_TONE_BUSY, gw == NULL ? "No gateway" : "All lines busy");
		return;
	}
	if (!cp_gw_works(gw)) {
		call_fail(call_cause(call, CP_Q850_NETWORK), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Gateway not reachable");
		return;
	}
	pb->kind = PARTY_GATEWAY;
	pb->ref = call->ref;
	snprintf(pb->name, sizeof(pb->name), "%s", to->gateway->name);
	snprintf(pb->endpoint, sizeof(pb->endpoint), "%s", endpoint);
	snprintf(pb->number, sizeof(pb->number), "%s", number);
	snprintf(pb->label, sizeof(pb->label), "%.40s", to->gateway->name);
	snprintf(pb->region, sizeof(pb->region), "%s", cp_gw_region(gw));
	endpoint_enter(call, 1);
	pb->untrusted = (cp_devtype_gateway(cp_gw_rec(gw)->type)->flags & CP_DT_TRUSTED) == 0;
	pb->signal_auth = pb->signal_enc = cp_gw_secured(gw);
	/* Fails closed in the worker whatever is decided here: keys leave only inside a live SA. */
	cp_rule_find(calls->env.store, &calls->env.cfg->media, pa->region, pb->region, &call->rule, NULL);
	call->secure = route_srtp(pa, &call->rule) && cp_gw_keys_allowed(gw);
	if (!call->secure && calls->env.cfg->media.fallback == CFG_FALLBACK_REFUSE) {
		party_clear(call, 1);
		call_fail(call_cause(call, CP_Q850_NO_BEARER), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Cannot be encrypted");
		return;
	}
	if (policy_codec(pa, pb, &call->rule, call->secure, &choice) < 0) {
		party_clear(call, 1);
		route_refuse(call, ROUTE_NO_CODEC);
		return;
	}
	policy_speak(pa, pb, &choice);
	events_between(pa, pb);
	call->direct = call->rule.direct && a != NULL && cp_phone_peer(a)->family == cp_gw_rec(gw)->address.family;
	if (call->direct) {
		pb->suite = policy_direct_suite(call, a, cp_gw_rec(gw));
		call->direct = !call->secure || pb->suite != DP_SRTP_NONE;
	}
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

bool route_farm_next(struct cp_call *call)
{
	struct cp_gws *gws = call->calls->gws;
	struct cp_dir_hit hit = {.kind = CP_DIR_GATEWAY, .endpoint = ""};
	char number[CP_NUMBER_MAX];
	bool no_sa;

	/* Who has heard it ring is told nothing else. */
	if (gws == NULL || call->farm[0] == '\0' || call->farm_stop || call->state == CALL_ALERTING)
		return false;
	memcpy(number, call->list_number, sizeof(number));
	while (call->farm_tries < CP_FARM_TRIES) {
		struct cp_gw *gw = cp_gws_pick(gws, call->farm, call->farm_tried, call->farm_tries, &no_sa);

		if (gw == NULL)
			return false;
		call->farm_tried[call->farm_tries++] = cp_gw_id(gw);
		if (cp_gw_free_endpoint(gw, "") == NULL)
			continue;
		if (call->farm_tries > 1)
			cfg_log(CFG_LOG_NOTICE, "route-retried", "call=%u group=%s gateway=%s try=%u", call->ref, call->farm, cp_gw_name(gw),
				call->farm_tries);
		hit.gateway = cp_gw_rec(gw);
		forward_unroute(call);
		route_at(call, &hit, number);
		return true;
	}
	return false;
}

/* A group's best gateway. Why there is none is said once, and how many more it may be offered to is counted anew. */
static void route_farm(struct cp_call *call, const char *group)
{
	struct cp_gws *gws = call->calls->gws;
	bool no_sa = false;

	snprintf(call->farm, sizeof(call->farm), "%s", group);
	call->farm_tries = 0;
	call->farm_stop = false;
	if (route_farm_next(call))
		return;
	if (gws != NULL && cp_gws_pick(gws, group, NULL, 0, &no_sa) != NULL)
		no_sa = false;
	cfg_log_limited(CFG_LOG_WARN, "group-takes-no-call", "call=%u group=%s reason=%s", call->ref, group, no_sa ? "no-sa" : "full-or-down");
	call->farm[0] = '\0';
	call->no_sa |= no_sa;
	if (no_sa)
		call_fail(call_cause(call, CP_Q850_NO_BEARER), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No secure path");
	else
		call_fail(call_cause(call, CP_Q850_NETWORK), CP_SCCP_BUSY, CP_SCCP_TONE_BUSY, "All lines busy");
}

static void route_gateway(struct cp_call *call, const struct cp_dir_hit *to, const char *number)
{
	call->farm[0] = '\0';
	if (number != call->list_number)
		snprintf(call->list_number, sizeof(call->list_number), "%s", number);
	if (to->group != NULL)
		route_farm(call, to->group);
	else
		route_at(call, to, call->list_number);
}

/* What the caller may dial: by its line, or by its gateway's record. */
static const char *caller_css(const struct party *p)
{
	const struct cp_gw *gw = p->inbound ? cp_gws_find(p->call->calls->gws, p->name) : NULL;

	if (gw != NULL)
		return cp_gw_rec(gw)->css;
	return cp_dial_css(party_phone(p) != NULL ? cp_phone_device(party_phone(p)) : NULL, p->line);
}

bool route_look(const struct cp_call *call, const char *digits, bool no_prefix, struct cp_dialled *ret)
{
	const struct party *p = &call->p[0];
	struct cp_dial_from from = {.css = caller_css(p), .number = p->number, .no_prefix = no_prefix};

	return cp_dial(call->calls->plan, &from, digits, ret);
}

static void route_block(struct cp_call *call, const struct cp_pattern *rec)
{
	const char *text = rec->reason[0] != '\0' ? rec->reason : "Not allowed";

	if (rec->busy_tone)
		call_fail(call, CP_SCCP_BUSY, CP_SCCP_TONE_BUSY, text);
	else
		call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, text);
}

void route_device(struct cp_call *call, const char *device, const char *number)
{
	enum route_no no = ring_add(call, device, number);

	call->line_number[0] = call->list_pattern[0] = call->farm[0] = '\0';
	if (no == ROUTE_OK)
		no = ring_begin(call);
	if (call->state != CALL_ALERTING)
		route_refuse(call, no);
}

void route_line(struct cp_call *call, const struct cp_dialled *to)
{
	memcpy(call->line_number, to->number, sizeof(call->line_number));
	memcpy(call->line_partition, to->partition, sizeof(call->line_partition));
	call->list_pattern[0] = call->farm[0] = '\0'; /* it is not offered to another gateway any more */
	if (!forward_all(call))
		route_phone(call, to);
}

bool route_next(struct cp_call *call)
{
	const struct cp_pattern *rec = call->list_pattern[0] != '\0' ?
					       cp_plan_pattern(call->calls->plan, call->list_partition, call->list_pattern) : NULL;
	struct cp_dir_hit hit;

	if (route_farm_next(call))
		return true;
	while (rec != NULL && call->list_next < rec->target_cnt) {
		if (cp_dial_target(call->calls->plan, rec, call->list_next++, &hit)) {
			char number[CP_NUMBER_MAX];

			memcpy(number, call->list_number, sizeof(number));
			cfg_log(CFG_LOG_INFO, "route-next", "call=%u pattern=%s gateway=%s endpoint=%s", call->ref, rec->pattern,
				hit.group != NULL ? hit.group : hit.gateway->name, cfg_q(hit.endpoint));
			forward_unroute(call);
			route_gateway(call, &hit, number);
			return true;
		}
	}
	return false;
}

/* To the gateways of a pattern, one after the other; or to the one that has the number. */
static void route_trunk(struct cp_call *call, const struct cp_dialled *to)
{
	struct cp_dir_hit hit = to->hit;

	call->line_number[0] = call->list_pattern[0] = '\0';
	if (to->pattern != NULL) {
		snprintf(call->list_pattern, sizeof(call->list_pattern), "%s", to->pattern->pattern);
		snprintf(call->list_partition, sizeof(call->list_partition), "%s", to->pattern->partition);
		memcpy(call->list_number, to->number, sizeof(call->list_number));
		for (call->list_next = 0; call->list_next < to->pattern->target_cnt;)
			if (cp_dial_target(call->calls->plan, to->pattern, call->list_next++, &hit))
				break;
	}
	route_gateway(call, &hit, to->number);
}

void route_to(struct cp_call *call, const char *digits, const char *css)
{
	struct cp_dial_from from = {.css = css != NULL ? css : caller_css(&call->p[0]), .number = call->p[0].number};
	struct cp_dialled to;

	if (vm_route(call, digits))
		return;
	cp_dial(call->calls->plan, &from, digits, &to);
	snprintf(call->p[0].calling, sizeof(call->p[0].calling), "%s", to.calling);
	if (to.kind != CP_DIAL_LINE)
		call->line_number[0] = '\0';
	switch (to.kind) {
	case CP_DIAL_LINE:
		route_line(call, &to);
		break;
	case CP_DIAL_GATEWAY:
		route_trunk(call, &to);
		break;
	case CP_DIAL_BLOCK:
		route_block(call, to.pattern);
		break;
	case CP_DIAL_LOOP:
		call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Translation loop");
		break;
	case CP_DIAL_NONE:
		call_fail(call, CP_SCCP_INVALID_NUMBER, CP_SCCP_TONE_REORDER, "Unknown number");
		break;
	}
}

void route_digits(struct cp_call *call)
{
	if (call->sets_cfa) {
		cfa_dialled(call);
		return;
	}
	call_timer(call, 0);
	if (!cp_dp_up(call->calls->env.dp)) {
		call_fail(call_cause(call, CP_Q850_TEMPORARY), CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No media service");
		return;
	}
	inbound_secure(call);
	if (call->p[0].inbound)
		route_to(call, call->digits, NULL);
	else if (call->group_pickup)
		pickup_route(call);
	else if (!conf_route(call) && !special_route(call))
		route_to(call, call->digits, NULL);
}
