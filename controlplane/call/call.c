/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a call: from off-hook to the end, and what phones may do to it on the way. */
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "callint.h"

#define INTERDIGIT_MS 4000  /* after the last digit, when more could follow */
#define FIRST_MS      15000 /* to the first digit */
#define FAILED_MS     30000 /* how long a failed call's tone plays */
#define RENEWALS_MAX  1024  /* sets of re-keys at a time */
#define CONNECT_MS    10000 /* from the answer to confirmed media */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	rekey_tick(arg);
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
	c->ports = cp_ports_create(&env->cfg->media);
	/* two sets per leg, every leg of the dataplane may be secure; and those on their way to replace others */
	c->keys = cp_keys_create((size_t)env->cfg->dataplane.max_legs * 2 + RENEWALS_MAX, &locked);
	if (c->ports == NULL || c->keys == NULL || c->tick == NULL || event_add(c->tick, &second) < 0 || RAND_bytes((uint8_t *)&rnd, sizeof(rnd)) != 1) {
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
	for (unsigned s = 0; s < 2; s++) {
		struct party *p = &call->p[s];

		cp_keys_put(calls->keys, p->rx);
		cp_keys_put(calls->keys, p->tx);
		if (p->leg_id != NO_LEG)
			cp_ports_put(calls->ports, p->leg_id);
		party_clear(call, s);
	}
	event_free(call->timer);
	calls->slot[call->ref % CALL_SLOTS] = NULL;
	calls->count--;
	free(call);
}

void cp_calls_destroy(struct cp_calls *calls)
{
	if (calls == NULL)
		return;
	for (uint32_t i = 0; i < CALL_SLOTS; i++)
		if (calls->slot[i] != NULL)
			call_free(calls->slot[i]);
	for (uint32_t i = 0; i < AGENT_HASH; i++) {
		while (calls->agents[i] != NULL) {
			struct agent *a = calls->agents[i];

			calls->agents[i] = a->next;
			free(a);
		}
	}
	if (calls->tick != NULL)
		event_free(calls->tick);
	cp_ports_destroy(calls->ports);
	cp_keys_destroy(calls->keys);
	free(calls);
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

enum cp_security call_security(const struct cp_call *call)
{
	struct cp_party_security s[2];
	unsigned n = 0;

	for (unsigned i = 0; i < 2; i++) {
		const struct party *p = &call->p[i];

		if (p->kind == PARTY_NONE || p->kind == PARTY_STATIC)
			continue;
		s[n++] = (struct cp_party_security){
			.authenticated = p->signal_auth,
			.signal_encrypted = p->signal_enc,
			/* SRTP agreed and running; before that a lock would be a promise */
			.media_encrypted = p->suite != DP_SRTP_NONE && call->media_started,
		};
	}
	return cp_security_call(s, n);
}

/* --- the end --- */

void call_end(struct cp_call *call, const char *why)
{
	cfg_log(CFG_LOG_INFO, "call-end", "call=%u from=%s to=%s security=%s reason=%s", call->ref,
		cfg_q(call->p[0].number), cfg_q(call->p[1].number), cp_security_name(call_security(call)), cfg_q(why));
	for (unsigned s = 0; s < 2; s++) {
		if (call->p[s].kind == PARTY_PHONE) {
			ui_media_stop(call, s);
			ui_idle(call, s);
		} else if (call->p[s].kind == PARTY_GATEWAY) {
			trunk_close(call, s);
		}
	}
	legs_drop(call);
	if (call->session_fn != NULL)
		call->session_fn(call->session_ctx, -ECANCELED, why, NULL);
	if (call->stored)
		record_delete(call);
	call_free(call);
}

/* The caller hears why and hangs up by itself; the called side is let go at once. */
void call_fail(struct cp_call *call, enum cp_sccp_state state, enum cp_sccp_tone tone, const char *text)
{
	cfg_log(CFG_LOG_NOTICE, "call-failed", "call=%u from=%s dialled=%s reason=%s", call->ref,
		cfg_q(call->p[0].number), cfg_q(call->digits), cfg_q(text));
	call->calls->failed++;
	if (party_phone(&call->p[0]) == NULL || call->p[0].media_on) {
		call_end(call, text);
		return;
	}
	if (call->p[1].kind == PARTY_PHONE)
		ui_idle(call, 1);
	trunk_close(call, 1);
	legs_drop(call);
	if (call->stored)
		record_delete(call);
	call->stored = false;
	party_clear(call, 1);
	call->state = CALL_FAILED;
	ui_failed(call, state, tone, text);
	call_timer(call, FAILED_MS);
}

void cp_calls_stop(struct cp_calls *calls)
{
	calls->stopping = true;
	for (uint32_t i = 0; i < CALL_SLOTS; i++)
		if (calls->slot[i] != NULL && calls->slot[i]->state != CALL_CONNECTED)
			call_end(calls->slot[i], "the service stops");
}

/* --- the called party --- */

static uint32_t common_codec(const struct cp_phone *a, const struct cp_phone *b)
{
	static const uint32_t ours[] = {CP_SCCP_G711U, CP_SCCP_G711A};

	for (unsigned i = 0; i < 2; i++)
		if (cp_phone_has_codec(a, ours[i]) && (b == NULL || cp_phone_has_codec(b, ours[i])))
			return ours[i];
	return 0;
}

static uint8_t device_suite(const struct cp_phone *phone)
{
	const struct cp_device *dev = cp_phone_device(phone);

	/* No SCCP field says which suites a phone knows: the record does, else the one that all secure phones know. */
	return dev != NULL && dev->suite != DP_SRTP_NONE ? dev->suite : DP_AES_CM_128_HMAC_SHA1_32;
}

static void fill_phone(struct party *p, struct agent *a, uint32_t line)
{
	const struct cp_device *dev = cp_phone_device(a->phone);

	p->kind = PARTY_PHONE;
	p->agent = a;
	p->line = line;
	snprintf(p->name, sizeof(p->name), "%s", a->name);
	snprintf(p->number, sizeof(p->number), "%s", cp_phone_line_number(a->phone, line));
	snprintf(p->label, sizeof(p->label), "%s", cp_phone_line_label(a->phone, line));
	snprintf(p->region, sizeof(p->region), "%s", dev != NULL ? dev->region : "default");
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
		call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Not registered");
		return;
	}
	line = cp_phone_find_line(b->phone, call->digits);
	if (line == 0 || b->callref != 0) {
		call_fail(call, CP_SCCP_BUSY, CP_SCCP_TONE_BUSY, "Busy");
		return;
	}
	pa->codec = pb->codec = common_codec(pa->agent->phone, b->phone);
	if (pa->codec == 0) {
		call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No common codec");
		return;
	}
	fill_phone(pb, b, line);
	call->secure = cp_phone_srtp(pa->agent->phone) && cp_phone_srtp(b->phone);
	if (!call->secure && calls->env.cfg->media.fallback == CFG_FALLBACK_REFUSE) {
		party_clear(call, 1);
		call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Cannot be encrypted");
		return;
	}
	events_between(pa, pb);
	call->direct = policy_direct(calls, pa, pb) &&
		       cp_phone_peer(pa->agent->phone)->family == cp_phone_peer(b->phone)->family &&
		       (!call->secure || device_suite(pa->agent->phone) == device_suite(b->phone));
	rc = call->direct ? 0 : legs_take(call);
	if (rc < 0) {
		party_clear(call, 1);
		call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No media port");
		return;
	}
	b->callref = call->ref;
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
		call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No common codec");
		return;
	}
	pb->kind = PARTY_GATEWAY;
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
		call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Cannot be encrypted");
		return;
	}
	events_between(pa, pb);
	pb->suite = device_suite(pa->agent->phone);
	call->direct = policy_direct(calls, pa, pb) &&
		       cp_phone_peer(pa->agent->phone)->family == cp_gw_rec(gw)->address.family &&
		       (!call->secure || policy_direct_suite(call, cp_gw_rec(gw), pb->suite) != DP_SRTP_NONE);
	if (!call->direct && legs_take(call) < 0) {
		party_clear(call, 1);
		call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No media port");
		return;
	}
	call->state = CALL_ROUTING;
	ui_proceeding(call);
	call_timer(call, 25000); /* T-MAX of MGCP and some: the dataplane always answers before */
	if (trunk_offer(call, 1) < 0) {
		call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "Gateway not reachable");
		return;
	}
	/* Should we be killed while it rings, the next one finds here which connection to delete. */
	if (record_write(call, NULL, NULL) < 0)
		cfg_log_limited(CFG_LOG_WARN, "call-record-not-written", "call=%u", call->ref);
}

static void route(struct cp_call *call)
{
	struct cp_dir_hit to;

	call_timer(call, 0);
	if (!cp_dp_up(call->calls->env.dp)) {
		call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No media service");
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

void call_answered(struct cp_call *call)
{
	call->state = CALL_CONNECTING;
	call_timer(call, CONNECT_MS);
	if (call->secure && party_phone(&call->p[0]) == NULL) {
		call_end(call, "phone lost");
		return;
	}
	call->p[0].suite = call->secure ? device_suite(party_phone(&call->p[0])) : DP_SRTP_NONE;
	if (call->direct && direct_keys(call) < 0) {
		call_end(call, "no key");
		return;
	}
	if (call->secure && !call->direct) {
		for (unsigned s = 0; s < 2; s++) {
			struct party *p = &call->p[s];

			if (p->kind == PARTY_PHONE &&
			    legs_keys(call, s, party_phone(p) != NULL ? device_suite(party_phone(p)) : 0) < 0) {
				call_end(call, "no key");
				return;
			}
		}
	}
	legs_start(call);
}

/* One more side has confirmed its media. */
void call_media_ready(struct cp_call *call)
{
	if (call->state != CALL_CONNECTING || !call->p[0].ready || !call->p[1].ready)
		return;
	call->state = CALL_CONNECTED;
	call->since_s = time(NULL);
	call_timer(call, 0);
	cfg_log(CFG_LOG_INFO, "call-connected", "call=%u from=%s to=%s security=%s", call->ref,
		cfg_q(call->p[0].number), cfg_q(call->p[1].number), cp_security_name(call_security(call)));
	for (unsigned s = 0; s < 2; s++)
		ui_callinfo(call, s);
	direct_watch(call);
	if (record_write(call, NULL, NULL) < 0)
		cfg_log(CFG_LOG_WARN, "call-record-not-updated", "call=%u", call->ref);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct cp_call *call = arg;

	(void)fd;
	(void)what;
	switch (call->state) {
	case CALL_DIALING:
		if (call->digit_cnt > 0)
			route(call);
		else
			call_fail(call, CP_SCCP_INVALID_NUMBER, CP_SCCP_TONE_REORDER, "No number");
		break;
	case CALL_ALERTING:
		call_fail(call, CP_SCCP_CONGESTION, CP_SCCP_TONE_REORDER, "No answer");
		break;
	case CALL_ROUTING:
	case CALL_CONNECTING:
		call_end(call, "no confirmation of media in time");
		break;
	default:
		call_end(call, "abandoned");
		break;
	}
}

/* --- what phones do --- */

static struct cp_call *phone_call(struct cp_calls *calls, struct cp_phone *phone, unsigned *side)
{
	struct agent *a = agent_find(calls, cp_phone_name(phone), false);
	struct cp_call *call = a != NULL && a->callref != 0 ? call_find(calls, a->callref) : NULL;

	if (call != NULL)
		*side = call->p[0].agent == a ? 0 : 1;
	return call;
}

static void on_registered(void *ctx, struct cp_phone *phone)
{
	struct cp_calls *calls = ctx;
	struct agent *a = agent_find(calls, cp_phone_name(phone), true);

	if (a == NULL)
		return;
	a->phone = phone;
	/* A call that outlived the connection shows again: the phone may hang it up. */
	if (a->callref != 0) {
		struct cp_call *call = call_find(calls, a->callref);
		unsigned side = call != NULL && call->p[0].agent == a ? 0 : 1;

		if (call != NULL && call->state == CALL_CONNECTED) {
			struct party *p = &call->p[side];

			p->media_on = true;
			cp_phone_lamp(phone, p->line, CP_SCCP_LAMP_ON);
			cp_phone_call_state(phone, CP_SCCP_CONNECTED, p->line, call->ref);
			cp_phone_softkeys(phone, CP_SCCP_KEYS_CONNECTED, p->line, call->ref);
			ui_callinfo(call, side);
			direct_watch(call);
		}
	}
}

static void on_gone(void *ctx, struct cp_phone *phone, enum cp_phone_gone why)
{
	struct cp_calls *calls = ctx;
	struct agent *a = agent_find(calls, cp_phone_name(phone), false);
	struct cp_call *call;

	if (a == NULL || a->phone != phone)
		return; /* replaced by a newer registration */
	a->phone = NULL;
	call = a->callref != 0 ? call_find(calls, a->callref) : NULL;
	if (call == NULL) {
		agent_release(calls, a);
		return;
	}
	/* Media does not hang on the signalling connection: an established call goes on. */
	if (call->state == CALL_CONNECTED && !call->p[call->p[0].agent == a ? 0 : 1].rekeying)
		direct_watch(call);
	if (call->state == CALL_CONNECTED && !call->p[call->p[0].agent == a ? 0 : 1].rekeying &&
	    (calls->stopping || (why != CP_GONE_UNREGISTERED && why != CP_GONE_REMOVED)))
		return;
	call_end(call, why == CP_GONE_UNREGISTERED ? "phone unregistered" : "phone lost");
}

static struct cp_call *dial_start(struct cp_calls *calls, struct cp_phone *phone, uint32_t line)
{
	struct agent *a = agent_find(calls, cp_phone_name(phone), false);
	struct cp_call *call;

	if (line == 0)
		line = 1;
	if (a == NULL || a->callref != 0 || cp_phone_line_number(phone, line) == NULL)
		return NULL;
	call = call_new(calls);
	if (call == NULL) {
		cfg_log_limited(CFG_LOG_ERR, "too-many-calls", "max=%d", CALL_SLOTS);
		return NULL;
	}
	fill_phone(&call->p[0], a, line);
	a->callref = call->ref;
	call->state = CALL_DIALING;
	ui_dialing(call);
	call_timer(call, FIRST_MS);
	return call;
}

static void answer(struct cp_call *call, unsigned side)
{
	if (call->state == CALL_ALERTING && side == 1 && call->p[1].kind == PARTY_PHONE)
		call_answered(call);
}

static void on_offhook(void *ctx, struct cp_phone *phone, uint32_t line, uint32_t callref)
{
	unsigned side;
	struct cp_call *call = phone_call(ctx, phone, &side);

	(void)callref;
	if (call == NULL)
		dial_start(ctx, phone, line);
	else
		answer(call, side);
}

static void on_onhook(void *ctx, struct cp_phone *phone, uint32_t line, uint32_t callref)
{
	unsigned side;
	struct cp_call *call = phone_call(ctx, phone, &side);

	(void)line;
	if (call == NULL || (callref != 0 && callref != call->ref))
		return;
	/* A handset put back while the other phone rings here is no refusal. */
	if (call->state == CALL_ALERTING && side == 1)
		return;
	call_end(call, "phone hung up");
}

static void take_digit(struct cp_call *call, char digit)
{
	struct party *p = &call->p[0];
	struct cp_phone *phone = party_phone(p);
	struct cp_dir_hit hit;
	bool found, longer;

	if (call->digit_cnt == 0 && phone != NULL) {
		cp_phone_stop_tone(phone, p->line, call->ref);
		cp_phone_softkeys(phone, CP_SCCP_KEYS_DIGITS, p->line, call->ref);
	}
	if (digit == '#' && call->digit_cnt > 0) {
		route(call);
		return;
	}
	if (call->digit_cnt == DIGITS_MAX) {
		call_fail(call, CP_SCCP_INVALID_NUMBER, CP_SCCP_TONE_REORDER, "Number too long");
		return;
	}
	call->digits[call->digit_cnt++] = digit;
	found = cp_dir_number(call->calls->env.store, call->digits, &hit, &longer);
	if (!found && !longer)
		call_fail(call, CP_SCCP_INVALID_NUMBER, CP_SCCP_TONE_REORDER, "Unknown number");
	else if (found && !longer)
		route(call);
	else
		call_timer(call, INTERDIGIT_MS);
}

static void on_digit(void *ctx, struct cp_phone *phone, char digit, uint32_t line, uint32_t callref)
{
	unsigned side;
	struct cp_call *call = phone_call(ctx, phone, &side);

	(void)line;
	(void)callref;
	if (call != NULL && call->state == CALL_DIALING && side == 0)
		take_digit(call, digit);
}

static void on_enbloc(void *ctx, struct cp_phone *phone, const char *number, uint32_t line)
{
	unsigned side = 0;
	struct cp_call *call = phone_call(ctx, phone, &side);

	if (call == NULL)
		call = dial_start(ctx, phone, line);
	if (call == NULL || call->state != CALL_DIALING || side != 0)
		return;
	if (strlen(number) > DIGITS_MAX) {
		call_fail(call, CP_SCCP_INVALID_NUMBER, CP_SCCP_TONE_REORDER, "Number too long");
		return;
	}
	snprintf(call->digits, sizeof(call->digits), "%s", number);
	call->digit_cnt = (unsigned)strlen(call->digits);
	route(call);
}

static void on_softkey(void *ctx, struct cp_phone *phone, uint32_t event, uint32_t line, uint32_t callref)
{
	unsigned side;
	struct cp_call *call = phone_call(ctx, phone, &side);

	/* A key of a call that has ended meanwhile is not for the one that came after it. */
	if (call != NULL && callref != 0 && callref != call->ref)
		return;
	switch (event) {
	case CP_SCCP_KEY_NEWCALL:
		if (call == NULL)
			dial_start(ctx, phone, line);
		break;
	case CP_SCCP_KEY_ANSWER:
		if (call != NULL)
			answer(call, side);
		break;
	case CP_SCCP_KEY_ENDCALL:
		if (call != NULL)
			call_end(call, "phone ended the call");
		break;
	default:
		cfg_log(CFG_LOG_DEBUG, "softkey-ignored", "device=%s event=%u", cp_phone_name(phone), event);
		break;
	}
}

static void on_orc_ack(void *ctx, struct cp_phone *phone, uint32_t status, const struct cfg_addr *media,
		       uint32_t party, uint32_t callref)
{
	unsigned side;
	struct cp_call *call = phone_call(ctx, phone, &side);

	(void)callref;
	if (call == NULL || party != (call->ref << 1 | side) || !call->p[side].media_on)
		return;
	if (status != 0 || media == NULL || media->port == 0) {
		/* A secure channel that cannot be opened is not opened in clear instead. */
		cfg_log(CFG_LOG_WARN, "receive-channel-refused", "device=%s call=%u status=%u", cp_phone_name(phone),
			call->ref, status);
		call_end(call, "phone opened no receive channel");
		return;
	}
	if (call->direct && call->p[side].ready)
		return; /* told already: the other party sends there */
	call->p[side].remote = *media;
	call->p[side].ready = true;
	if (call->direct ? direct_confirmed(call, side) < 0 : legs_assert(call, side, false) < 0) {
		call_end(call, call->direct ? "phone lost" : "dataplane not reachable");
		return;
	}
	if (call->p[side].rekeying)
		rekey_confirmed(call, side);
	else
		call_media_ready(call);
}

static void on_smt_ack(void *ctx, struct cp_phone *phone, uint32_t status, uint32_t party, uint32_t callref)
{
	unsigned side;
	struct cp_call *call = phone_call(ctx, phone, &side);

	(void)callref;
	if (call != NULL && status != 0 && party == (call->ref << 1 | side))
		call_end(call, "phone cannot send media");
}

static void on_media_failed(void *ctx, struct cp_phone *phone, uint32_t party, uint32_t callref)
{
	on_smt_ack(ctx, phone, 1, party, callref);
}

static void on_caps(void *ctx, struct cp_phone *phone)
{
	(void)ctx; /* read when a call is routed */
	(void)phone;
}

const struct cp_call_ops cp_calls_phone_ops = {
	.registered = on_registered,
	.gone = on_gone,
	.offhook = on_offhook,
	.onhook = on_onhook,
	.digit = on_digit,
	.enbloc = on_enbloc,
	.softkey = on_softkey,
	.orc_ack = on_orc_ack,
	.smt_ack = on_smt_ack,
	.media_failed = on_media_failed,
	.caps = on_caps,
};
