/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What may happen to the phones of model_holds.h: each kind of event finds somebody to whom it can, or says that there is nobody. One that has
 * not happened for long is what happens next, as soon as it can: no run leaves one out.
 */
#ifndef TESTS_MODEL_EVENTS_H
#define TESTS_MODEL_EVENTS_H

#include "model_holds.h"

#define CALLS_AT_ONCE 60
#define WELL          10 /* of those things that gateways can do wrong: none */

/* Whom it happens to: what can_*() has found. */
static struct {
	unsigned who; /* phone */
	uint32_t ref;
	char number[16];
} it;

static struct cp_phone *his(void) { return &ph[it.who]; }
static struct agent *agent_of(unsigned i) { return agent_find(w.calls, ph[i].name, false); }
static void press(uint32_t key, uint32_t ref) { cp_calls_phone_ops.softkey(w.calls, his(), key, 1, ref); }
static void dials(const char *number) { cp_calls_phone_ops.enbloc(w.calls, his(), number, 1); }

/* A phone's place in a call. */
static bool place(bool (*fits)(const struct party *p))
{
	unsigned first = rnd(PHONES);

	for (unsigned n = 0; n < PHONES; n++) {
		unsigned i = (first + n) % PHONES;
		const struct agent *a = registered[i] ? agent_of(i) : NULL;

		for (const struct party *p = a != NULL ? a->parties : NULL; p != NULL; p = p->ag_next) {
			if (p->bridges != 0 || !fits(p))
				continue;
			it.who = i;
			it.ref = p->ref;
			return true;
		}
	}
	return false;
}

/* A phone that has no call; 'talking': or one that it may put on hold. */
static bool phone(bool talking, bool (*fits)(unsigned i))
{
	unsigned first = rnd(PHONES);

	for (unsigned n = 0; n < PHONES; n++) {
		unsigned i = (first + n) % PHONES;
		const struct agent *a = registered[i] ? agent_of(i) : NULL;
		const struct party *p = a != NULL ? agent_active(a) : NULL;

		if (a == NULL || (!talking && a->parties != NULL) || (p != NULL && p->call->state != CALL_CONNECTED) || !fits(i))
			continue;
		it.who = i;
		return true;
	}
	return false;
}

static bool any(unsigned i) { (void)i; return true; }
static bool idle(void) { return cp_calls_count(w.calls) < CALLS_AT_ONCE && phone(rnd(4) == 0, any); }
static bool no_conference(void) { return w.calls->confs == NULL; }

/* --- places --- */

static bool connected(const struct party *p) { return p->call->state == CALL_CONNECTED && !p->call->barge && p->call->park[0] == '\0'; }
static bool is_active(const struct party *p) { return connected(p) && !p->held && !p->resuming; }
static bool f_rings(const struct party *p) { return party_rings(p); }
static bool f_dials(const struct party *p) { return p->call->state == CALL_DIALING; }
static bool f_any(const struct party *p) { (void)p; return true; }
static bool f_hold(const struct party *p) { return is_active(p) && call_conf(p->call) == NULL; }
static bool f_held(const struct party *p) { return connected(p) && p->held; }
static bool f_begins(const struct party *p) { return is_active(p) && p->consult == 0; }
static bool f_blind(const struct party *p) { return p->consult != 0 && p->call->state == CALL_ALERTING; }
static bool f_attended(const struct party *p) { return p->consult != 0 && is_active(p); }
static bool f_member(const struct party *p) { return is_active(p) && call_conf(p->call) != NULL; }
static bool f_member_held(const struct party *p) { return f_held(p) && call_conf(p->call) != NULL; }
static bool f_acks(const struct party *p) { return p->media_on && !p->ready; }
static bool f_deaf(const struct party *p) { return f_acks(p) && rnd(4) == 0; }

static bool f_owner(const struct party *p)
{
	return f_member(p) && !call_conf(p->call)->meetme && strcmp(call_conf(p->call)->owner, p->name) == 0;
}

static bool f_adds(const struct party *p)
{
	return f_begins(p) && (call_conf(p->call) == NULL || strcmp(call_conf(p->call)->owner, p->name) == 0);
}

static bool f_joins(const struct party *p)
{
	unsigned n = 0;

	for (const struct party *o = p->agent->parties; o != NULL; o = o->ag_next)
		n += connected(o);
	return is_active(p) && n > 1;
}

static bool can_answer(void) { return place(f_rings); }
static bool can_end(void) { return place(f_any); }
static bool can_digit(void) { return place(f_dials); }
static bool can_hold(void) { return place(f_hold); }
static bool can_resume(void) { return place(f_held); }
static bool can_begin(void) { return cp_calls_count(w.calls) < CALLS_AT_ONCE && place(f_begins); }
static bool can_blind(void) { return place(f_blind); }
static bool can_attended(void) { return place(f_attended); }
static bool can_member(void) { return place(f_member); }
static bool can_member_resume(void) { return place(f_member_held); }
static bool can_owner(void) { return place(f_owner); }
static bool can_join(void) { return place(f_joins); }
static bool can_ack(void) { return place(f_acks); }
static bool can_deaf(void) { return place(f_deaf); }
static bool can_bridge(void) { return cp_gw_state(cp_gws_find(w.gws, "bridge1")) == CP_GW_UP && conf_bridge(w.calls, 3) != NULL; }
static bool can_add(void) { return cp_calls_count(w.calls) < CALLS_AT_ONCE && can_bridge() && place(f_adds); }

static void do_answer(void) { press(CP_SCCP_KEY_ANSWER, it.ref); }
static void do_end(void) { press(CP_SCCP_KEY_ENDCALL, it.ref); }
static void do_hold(void) { press(CP_SCCP_KEY_HOLD, it.ref); }
static void do_resume(void) { press(CP_SCCP_KEY_RESUME, it.ref); }
static void do_transfer(void) { press(CP_SCCP_KEY_TRANSFER, it.ref); }
static void do_park(void) { press(CP_SCCP_KEY_PARK, it.ref); }
static void do_confrn(void) { press(CP_SCCP_KEY_CONFRN, it.ref); }
static void do_join(void) { press(CP_SCCP_KEY_JOIN, it.ref); }
static void do_rmlstc(void) { press(CP_SCCP_KEY_RMLSTC, it.ref); }
static void do_conflist(void) { press(CP_SCCP_KEY_CONFLIST, it.ref); }
static void do_dial_line(void) { snprintf(it.number, sizeof(it.number), "3%03u", LINE(rnd(PHONES))); dials(it.number); }
static void do_dial_gateway(void) { dials(rnd(2) == 0 ? "77" : "9123"); }
static void do_dial_wrong(void) { dials(rnd(2) == 0 ? "5" : "8499"); }
static void do_offhook(void) { cp_calls_phone_ops.offhook(w.calls, his(), rnd(2), rnd(2) == 0 ? it.ref : 0); }
static void do_onhook(void) { cp_calls_phone_ops.onhook(w.calls, his(), 1, rnd(2) == 0 ? it.ref : 0); }
static void do_digit(void) { cp_calls_phone_ops.digit(w.calls, his(), "0123456789*#"[rnd(12)], 1, it.ref); }

/* Asks somebody and, unlike who only begins, says whom. */
static void do_begin(void)
{
	press(CP_SCCP_KEY_TRANSFER, it.ref);
	do_dial_line();
}

static void do_add(void)
{
	press(CP_SCCP_KEY_CONFRN, it.ref);
	if (rnd(6) == 0)
		do_dial_gateway();
	else
		do_dial_line();
}

static void do_ack(void)
{
	struct agent *a = agent_of(it.who);
	struct party *p = a != NULL ? agent_party(a, it.ref) : NULL;
	struct cfg_addr at = v4;

	at.port = (uint16_t)(20000 + 2 * rnd(1000));
	if (p != NULL)
		cp_calls_phone_ops.orc_ack(w.calls, his(), 0, &at, p->ref << 1 | p->stream, p->ref);
}

/* A barger's target is asked to open a stream, too, in a place of its own. */
static bool can_ack_bridge(void)
{
	for (unsigned i = 0; i < PHONES; i++) {
		const struct agent *a = registered[i] ? agent_of(i) : NULL;

		for (const struct party *p = a != NULL ? a->parties : NULL; p != NULL; p = p->ag_next) {
			if (p->bridges == 0 || !p->media_on || p->ready)
				continue;
			it.who = i;
			it.ref = p->ref;
			return true;
		}
	}
	return false;
}

static void do_deaf(void) { cp_calls_phone_ops.orc_ack(w.calls, his(), 1, NULL, it.ref << 1, it.ref); }
static void do_mute(void) { cp_calls_phone_ops.smt_ack(w.calls, his(), 1, it.ref << 1, 0); }

/* A number and the three keys after it that nobody should press. */
static void do_nonsense(void)
{
	static const uint32_t keys[] = {CP_SCCP_KEY_ANSWER, CP_SCCP_KEY_HOLD, CP_SCCP_KEY_TRANSFER, CP_SCCP_KEY_ENDCALL, CP_SCCP_KEY_RESUME,
					CP_SCCP_KEY_BARGE, CP_SCCP_KEY_PARK, CP_SCCP_KEY_PICKUP, CP_SCCP_KEY_CONFRN, CP_SCCP_KEY_JOIN,
					CP_SCCP_KEY_RMLSTC, CP_SCCP_KEY_CONFLIST, CP_SCCP_KEY_CBARGE, CP_SCCP_KEY_NEWCALL, CP_SCCP_KEY_OPICKUP, 99};
	uint32_t ref = it.ref;

	it.who = rnd(PHONES);
	if (!registered[it.who])
		return;
	press(keys[rnd(sizeof(keys) / sizeof(keys[0]))], rnd(3) == 0 ? rnd(1000000) : rnd(3) == 0 ? 0 : ref);
}

/* --- shared lines --- */

static bool other_of_line(enum remote_state state)
{
	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		const struct cp_call *c = w.calls->slot[i];

		for (unsigned s = 0; c != NULL && s < 2; s++) {
			int k = c->p[s].shown == state ? index_of(c->p[s].name) : -1;
			unsigned who = k >= 30 ? (unsigned)k / 4 * 4 + ((unsigned)k + 1 + rnd(3)) % 4 : PHONES;

			if (who >= PHONES || !registered[who] || agent_party(agent_of(who), c->p[s].ref) != NULL || rnd(3) == 0)
				continue;
			it.who = who;
			it.ref = c->p[s].ref;
			return true;
		}
	}
	return false;
}

static bool can_barge(void) { return other_of_line(REMOTE_IN_USE); }
static bool can_take(void) { return other_of_line(REMOTE_HELD); }
static void do_barge(void) { press(CP_SCCP_KEY_BARGE, it.ref); }
static void do_cbarge(void) { press(CP_SCCP_KEY_CBARGE, it.ref); }

/* --- park, pickup --- */

static bool can_retrieve(void)
{
	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		if (w.calls->slot[i] == NULL || w.calls->slot[i]->park[0] == '\0' || rnd(3) == 0)
			continue;
		snprintf(it.number, sizeof(it.number), "%.15s", w.calls->slot[i]->park);
		return idle();
	}
	return false;
}

static void do_retrieve(void) { dials(it.number); }

static unsigned rings_in;
static bool in_group(unsigned i) { return i % 4 == rings_in; }
static bool not_in_group(unsigned i) { return i % 4 != rings_in; }

/* Something rings in a group; the phone is of it, or not. */
static bool rings_for(bool (*fits)(unsigned i))
{
	unsigned rang;

	if (!place(f_rings))
		return false;
	rang = it.who;
	rings_in = rang % 4;
	return phone(false, fits) && it.who != rang;
}

static bool can_pickup(void) { return rings_for(in_group); }
static bool can_gpickup(void) { return rings_for(not_in_group); }
static bool zero_of_one(unsigned i) { return rings_in == 1 && i % 4 == 0; }
static bool can_opickup(void) { return rings_for(zero_of_one); }
static void do_pickup(void) { press(CP_SCCP_KEY_PICKUP, 0); }
static void do_opickup(void) { press(CP_SCCP_KEY_OPICKUP, 0); }

static void do_gpickup(void)
{
	press(CP_SCCP_KEY_GPICKUP, 0);
	for (const char *d = (char[]){'7', '0', (char)('0' + rings_in), '#', '\0'}; *d != '\0'; d++)
		cp_calls_phone_ops.digit(w.calls, his(), *d, 1, 0);
}

/* --- meet-me --- */

static struct cfg_meetme ranges[] = {{.numbers = {8500, 8503, 4}, .security = CFG_LEVEL_AUTHENTICATED},
				     {.numbers = {8600, 8601, 4}, .security = CFG_LEVEL_ENCRYPTED}};

static bool can_meet(void)
{
	snprintf(it.number, sizeof(it.number), rnd(3) == 0 ? "860%u" : "850%u", rnd(2));
	return can_bridge() && idle();
}

static bool can_dial_in(void)
{
	for (const struct conf *conf = w.calls->confs; conf != NULL; conf = conf->next) {
		if (!conf->meetme || rnd(3) == 0)
			continue;
		snprintf(it.number, sizeof(it.number), "%.15s", conf->number);
		return idle();
	}
	return false;
}

static void do_meet(void)
{
	press(CP_SCCP_KEY_MEETME, 0);
	dials(it.number);
}

/* --- forwarding --- */

static void on_forward(void *ctx, int rc)
{
	(void)ctx;
	HOLDS(rc == 0);
}

static void write_forward(struct cp_forward *f)
{
	struct cp_change *c = cp_change_create(w.store);

	if (cp_change_forward_put(c, f, world_why, sizeof(world_why)) == 0)
		(void)cp_change_submit(c, "forward.set", "test", NULL, on_forward, NULL);
	else
		cp_change_destroy(c);
}

static void some_number(char *ret, size_t size)
{
	if (rnd(6) == 0)
		snprintf(ret, size, "%s", rnd(2) == 0 ? "77" : "8500");
	else
		snprintf(ret, size, "3%03u", LINE(rnd(PHONES)));
}

/* Of all lines a quarter is forwarded somehow, most of them only at times. */
static void do_forward(void)
{
	struct cp_forward f = {.ring_s = 5 + rnd(20)};

	snprintf(f.number, sizeof(f.number), "3%03u", LINE(rnd(PHONES)));
	if (rnd(4) == 0 && rnd(2) == 0)
		some_number(f.all, sizeof(f.all));
	if (rnd(2) == 0)
		some_number(f.busy, sizeof(f.busy));
	if (rnd(2) == 0)
		some_number(f.no_answer, sizeof(f.no_answer));
	if (rnd(2) == 0)
		some_number(f.unregistered, sizeof(f.unregistered));
	write_forward(&f);
}

static bool can_cfwdall(void) { return phone(false, any); }

static void do_cfwdall(void)
{
	const struct agent *a = agent_of(it.who);

	press(CP_SCCP_KEY_CFWDALL, 0);
	if (a != NULL && agent_active(a) != NULL) /* else it is off now */
		do_dial_line();
}

/* --- phones come and go --- */

static bool gone_one(unsigned i)
{
	const struct agent *a = agent_of(i);

	return a != NULL && (a->parties != NULL || rnd(8) == 0);
}

static bool can_come(void)
{
	unsigned first = rnd(PHONES);

	for (unsigned n = 0; n < PHONES; n++) {
		it.who = (first + n) % PHONES;
		if (!registered[it.who])
			return true;
	}
	return false;
}

static bool can_go(void) { return phone(true, gone_one); }

static void comes(unsigned i)
{
	ph[i].info_ref = 0;
	cp_calls_phone_ops.registered(w.calls, &ph[i]);
	registered[i] = true;
}

static void set_kind(unsigned i, unsigned k)
{
	kind[i] = k;
	ph[i].srtp = k == 0 || k == 3;
	ph[i].sec = k == 1 ? CP_PHONE_AUTHENTICATED : k == 2 ? CP_PHONE_NONSECURE : CP_PHONE_ENCRYPTED;
}

/* As something else; to its calls it is no more than it was, whatever it has become. */
static void do_come(void)
{
	const struct agent *a = agent_of(it.who);
	unsigned k = rnd(3);

	if (changes[it.who] && (a == NULL || a->parties == NULL || k > kind[it.who]))
		set_kind(it.who, k);
	comes(it.who);
}

static void do_go(void)
{
	static const enum cp_phone_gone whys[] = {CP_GONE_CLOSED, CP_GONE_UNREGISTERED, CP_GONE_REMOVED, CP_GONE_TIMEOUT};

	registered[it.who] = false;
	gone(&ph[it.who], whys[rnd(4)]);
}

/* Its connection is gone, if not its registration yet: what its display showed last says nothing. */
static void do_die(void)
{
	his()->dead = true;
	his()->info_ref = 0;
}

static bool can_live(void)
{
	for (it.who = 0; it.who < PHONES; it.who++)
		if (ph[it.who].dead)
			return true;
	return false;
}

static void do_live(void) { his()->dead = false; }

/* --- gateways, the bridge, the dataplane --- */

static unsigned ailment = WELL;

static void do_ail(void)
{
	memset(w.say, 0, sizeof(w.say));
	w.say[DP_MGCP_MDCX].sdp = true;
	switch (ailment = rnd(WELL)) {
	case 0:
		w.say[DP_MGCP_CRCX].code = 403;
		break;
	case 1:
		w.say[DP_MGCP_CRCX].code = 505; /* another suite, please */
		break;
	case 2:
		w.say[DP_MGCP_CRCX].result = DP_MGCP_TIMEOUT;
		break;
	case 3:
		w.say[DP_MGCP_CRCX].lost = true;
		break;
	case 4:
	case 5:
		w.say[DP_MGCP_CRCX].suite = 0xff; /* it declines SRTP */
		break;
	case 6:
		w.say[DP_MGCP_MDCX].code = 510;
		break;
	case 7:
		w.say[DP_MGCP_MDCX].lost = true;
		break;
	case 8:
		w.say[DP_MGCP_RQNT].code = 401;
		break;
	default:
		w.say[DP_MGCP_DLCX].result = DP_MGCP_TIMEOUT;
		break;
	}
}

static bool is_well(void) { return ailment == WELL; }
static bool is_ill(void) { return ailment != WELL; }

static void do_heal(void)
{
	memset(w.say, 0, sizeof(w.say));
	w.say[DP_MGCP_MDCX].sdp = true;
	ailment = WELL;
}

/* A party of the gateway, or a port of the bridge, at random. */
static const struct party *gateway_party(bool port)
{
	const struct party *found = NULL;

	for (uint32_t i = 0; i < CALL_SLOTS; i++) {
		const struct cp_call *c = w.calls->slot[i];

		for (unsigned s = 0; c != NULL && s < 2; s++)
			if (c->p[s].kind == PARTY_GATEWAY && (c->p[s].conf != NULL) == port && (found == NULL || rnd(2) == 0))
				found = &c->p[s];
	}
	return found;
}

static bool can_gateway(void) { return gateway_party(false) != NULL; }

static void do_line_event(const char *what)
{
	const struct party *p = gateway_party(false);
	char id[DP_MGCP_ID_MAX];

	snprintf(id, sizeof(id), "%s", p->request_id);
	gw_event(DP_MGCP_NTFY, p->endpoint, id, what);
}

static void do_lift(void) { do_line_event("L/hd"); }
static void do_hang_up(void) { do_line_event("L/hu"); }

static void forget_conns(bool ports)
{
	for (unsigned i = 0; i < 256; i++)
		if ((strncmp(w.conns[i].endpoint, "cnf/", 4) == 0) == ports)
			memset(&w.conns[i], 0, sizeof(w.conns[i]));
}

static void gateway_says(bool bridge, uint8_t verb, const char *endpoint, const char *conn)
{
	struct dp_mgcp_event e = {.token = 1, .verb = verb};

	e.gw_id = bridge ? w.bridge_id : cp_gw_id(cp_gws_find(w.gws, "gw1"));
	snprintf(e.endpoint, sizeof(e.endpoint), "%s", endpoint);
	snprintf(e.conn_id, sizeof(e.conn_id), "%s", conn);
	if (verb == DP_MGCP_RSIP)
		snprintf(e.restart_method, sizeof(e.restart_method), "restart");
	fake_send(&w.fake, &e, DP_MSG_MGCP_EVENT, sizeof(e), 0);
}

/* It has lost one connection; or all. */
static bool can_lose_conn(void)
{
	for (unsigned i = 0; i < 256; i++)
		if (w.conns[i].conn_id[0] != '\0')
			return true;
	return false;
}

static void do_lose_conn(void)
{
	for (unsigned n = 0, i = rnd(256); n < 256; n++, i = (i + 1) % 256) {
		struct bridge_conn b = w.conns[i];

		if (b.conn_id[0] == '\0')
			continue;
		memset(&w.conns[i], 0, sizeof(b));
		gateway_says(strncmp(b.endpoint, "cnf/", 4) == 0, DP_MGCP_DLCX, b.endpoint, b.conn_id);
		return;
	}
}

static bool can_bridge_restart(void) { return w.calls->confs != NULL; }

static void do_bridge_restart(void)
{
	forget_conns(true);
	gateway_says(true, DP_MGCP_RSIP, "*", "");
}

static void do_gateway_restart(void)
{
	forget_conns(false);
	gateway_says(false, DP_MGCP_RSIP, "*", "");
}

static bool refuses_not(void) { return w.refuse_type == 0; }
static bool refuses(void) { return w.refuse_type != 0; }
static void do_refuse(void) { w.refuse_type = DP_MSG_LEG_SET; w.refuse_rc = -ENOSPC; }
static void do_take(void) { w.refuse_type = 0; }

static bool has_media(void)
{
	for (uint32_t id = 0; id < FAKE_LEGS; id++)
		if (dp_legs[id].session != 0)
			return true;
	return false;
}

/* A leg has heard nothing for too long: the dataplane has deleted it. */
static void do_age(void)
{
	for (uint32_t n = 0, id = rnd(FAKE_LEGS); n < FAKE_LEGS; n++, id = (id + 1) % FAKE_LEGS) {
		struct dp_leg_aged ev = {.leg_id = id, .idle_s = 30, .session = dp_legs[id].session};

		if (ev.session == 0)
			continue;
		dp_legs[id].session = 0;
		fake_send(&w.fake, &ev, DP_MSG_LEG_AGED, sizeof(ev), 0);
		return;
	}
}

static void do_rekey(void)
{
	struct agent *a = agent_of(it.who);
	struct party *p = a != NULL ? agent_party(a, it.ref) : NULL;
	const char *why;

	if (p != NULL)
		rekey_party(p->call, rnd(2), &why);
}

static bool always(void) { return true; }

#endif
