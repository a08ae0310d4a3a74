/* SPDX-License-Identifier: BSD-3-Clause */
/* Park, pickup, voice mail: calls that go on at another phone than they rang or were held at, and lamps. 004b:VM-01. */
#include "talk.h"

static struct cp_phone port[3];

static void begin(void)
{
	world_of_three();
	w.cfg->calls.park = (struct cfg_range){.first = 8000, .last = 8001, .digits = 4};
	w.cfg->calls.park_reversion_s = 600;
}

/* a and b talk, b parks a. */
static struct cp_call *parked(void)
{
	uint32_t ref = talk(&pa, &pb);

	key(&pb, CP_SCCP_KEY_PARK, ref);
	rest();
	CU_ASSERT_PTR_NOT_NULL_FATAL(call_find(w.calls, ref));
	return call_find(w.calls, ref);
}

static void test_park(void)
{
	struct cp_phone_media orc;
	struct cdr_list *l;
	struct cp_call *call;
	uint32_t ref, leg;

	begin();
	call = parked();
	ref = call->ref;
	leg = call->p[0].leg_id;
	CU_ASSERT_STRING_EQUAL(pb.prompt, "Call park at 8000");
	CU_ASSERT(pb.state == CP_SCCP_ONHOOK && pb.crc == 1 && agent_find(w.calls, pb.name, false)->parties == NULL);
	/* who waits keeps its channel, hears the network's music, which is a tone here, and ages nothing out */
	CU_ASSERT(pa.tone == CP_SCCP_TONE_HOLD && call->p[0].music == MUSIC_NETWORK);
	CU_ASSERT(pa.crc == 0 && pa.state == CP_SCCP_CONNECTED && pa.security == CP_SCCP_SEC_ENCRYPTED);
	CU_ASSERT(last_leg(leg)->peer_id == NO_LEG && last_leg(leg)->idle_s == 0);
	CU_ASSERT(call->p[1].kind == PARTY_PARK && call->p[1].leg_id == NO_LEG && cp_ports_used(w.calls->ports) == 1);
	CU_ASSERT(cp_store_call(w.store, ref)->leg[1].parked == 1);
	CU_ASSERT_STRING_EQUAL(cp_store_call(w.store, ref)->leg[1].number, "8000");
	/* the next one gets the next number; then there is none */
	CU_ASSERT_EQUAL(park_number(w.calls, "80"), SPECIAL_BEGINS);
	CU_ASSERT_EQUAL(park_number(w.calls, "8002"), SPECIAL_NO);
	CU_ASSERT_EQUAL(park_number(w.calls, "80001"), SPECIAL_NO);
	cp_calls_phone_ops.enbloc(w.calls, &pc, "8001", 1);
	CU_ASSERT(call_of(&pc)->state == CALL_FAILED && pc.tone == CP_SCCP_TONE_REORDER);
	onhook(&pc);
	/* c retrieves it, digit by digit */
	orc = pa.orc_m;
	pa.orc = pc.smt = 0;
	cp_calls_phone_ops.offhook(w.calls, &pc, 1, 0);
	for (const char *d = "8000"; *d != '\0'; d++)
		cp_calls_phone_ops.digit(w.calls, &pc, *d, 1, 0);
	UNTIL(pc.smt == 1);
	ack_media(&pc);
	rest();
	CU_ASSERT(call->state == CALL_CONNECTED && pa.orc == 0 && pc.state == CP_SCCP_CONNECTED && pc.security == CP_SCCP_SEC_ENCRYPTED);
	CU_ASSERT(cp_calls_count(w.calls) == 1 && pa.tone == 0 && call->p[0].music == MUSIC_NONE);
	same_key_never(&pc.orc_m, &orc);
	same_key_never(&pc.orc_m, &pb.orc_m);
	same_key_never(&pc.smt_m, &pb.smt_m);
	CU_ASSERT_EQUAL(DP_LEG_SHARD(call->p[0].leg_id), DP_LEG_SHARD(call->p[1].leg_id));
	CU_ASSERT(call->p[0].leg_id == leg && last_leg(leg)->peer_id == call->p[1].leg_id && last_leg(leg)->idle_s == w.cfg->media.idle_s);
	key(&pc, CP_SCCP_KEY_ENDCALL, 0);
	CU_ASSERT_EQUAL(pa.state, CP_SCCP_ONHOOK);
	l = cdrs();
	CU_ASSERT_EQUAL_FATAL(l->n, 5); /* a and b, 8001, a at 8000, c's dialling, a and c */
	CU_ASSERT(l->r[2].party[1].kind == 3 && l->r[2].origin == CP_CDR_PARK && l->r[2].connect_ms != 0 && l->r[2].cause == CP_Q850_SPLIT);
	CU_ASSERT(l->r[3].joined_id == l->r[0].global_id && l->r[4].global_id == l->r[0].global_id && l->r[4].cause == CP_Q850_NORMAL);
	CU_ASSERT_STRING_EQUAL(l->r[4].redirecting, "1002");
	CU_ASSERT_STRING_EQUAL(l->r[4].party[1].number, "1003");
	CU_ASSERT(l->r[4].party[0].leg == l->r[0].party[0].leg && l->r[4].party[1].leg == l->r[3].party[0].leg);
	world_end();
}

/* 004c:MG-03, 004b:MGCP-03. A line that waits under keys, for a phone that has none and speaks something else: it is told another codec, in clear. */
static void test_park_gateway(void)
{
	struct party *line;

	begin();
	w.say[DP_MGCP_MDCX].sdp = true;
	cp_calls_phone_ops.enbloc(w.calls, &pa, "77", 1);
	UNTIL(call_of(&pa)->state == CALL_ALERTING);
	line = &call_of(&pa)->p[1];
	gw_event(DP_MGCP_NTFY, "aaln/1", line->request_id, "L/hd");
	UNTIL(pa.smt == 1);
	ack_media(&pa);
	UNTIL(line->call->state == CALL_CONNECTED);
	CU_ASSERT_NOT_EQUAL(line->suite, DP_SRTP_NONE);
	key(&pa, CP_SCCP_KEY_PARK, line->ref);
	rest();
	pc.srtp = false;
	pc.caps[0] = (struct cp_sccp_cap){CP_SCCP_G711A, 40};
	pc.cap_cnt = 1;
	w.say[DP_MGCP_MDCX].pt = 8;
	cp_calls_phone_ops.enbloc(w.calls, &pc, "8000", 1);
	UNTIL(pc.smt == 1);
	ack_media(&pc);
	UNTIL(line->call->state == CALL_CONNECTED);
	CU_ASSERT(line->suite == DP_SRTP_NONE && line->codec == CP_SCCP_G711A && pc.security == CP_SCCP_SEC_AUTH);
	key(&pc, CP_SCCP_KEY_ENDCALL, 0);
	w.say[DP_MGCP_MDCX].pt = 0;
	world_end();
}

/* One that was opened in clear stays so: who retrieves it has keys, and the call no lock. */
static void test_park_gateway_clear(void)
{
	struct party *line;

	begin();
	w.say[DP_MGCP_MDCX].sdp = true;
	pa.srtp = false;
	cp_calls_phone_ops.enbloc(w.calls, &pa, "77", 1);
	UNTIL(call_of(&pa)->state == CALL_ALERTING);
	line = &call_of(&pa)->p[1];
	gw_event(DP_MGCP_NTFY, "aaln/1", line->request_id, "L/hd");
	UNTIL(pa.smt == 1);
	ack_media(&pa);
	UNTIL(line->call->state == CALL_CONNECTED);
	CU_ASSERT(line->suite == DP_SRTP_NONE && pa.security == CP_SCCP_SEC_AUTH);
	key(&pa, CP_SCCP_KEY_PARK, line->ref);
	rest();
	cp_calls_phone_ops.enbloc(w.calls, &pc, "8000", 1);
	UNTIL(pc.smt == 1);
	ack_media(&pc);
	UNTIL(line->call->state == CALL_CONNECTED);
	CU_ASSERT(line->suite == DP_SRTP_NONE && pc.security == CP_SCCP_SEC_AUTH);
	key(&pc, CP_SCCP_KEY_ENDCALL, 0);
	world_end();
}

static void test_park_refused(void)
{
	uint32_t ref;

	begin();
	w.cfg->calls.park.digits = 0;
	ref = talk(&pa, &pb);
	key(&pb, CP_SCCP_KEY_PARK, ref);
	CU_ASSERT_STRING_EQUAL(pb.prompt, "Cannot park now");
	CU_ASSERT(call_find(w.calls, ref)->state == CALL_CONNECTED && pb.crc == 0);
	w.cfg->calls.park.digits = 4;
	key(&pb, CP_SCCP_KEY_HOLD, ref);
	key(&pa, CP_SCCP_KEY_PARK, ref); /* the other one has it on hold */
	CU_ASSERT_STRING_EQUAL(pa.prompt, "Cannot park now");
	key(&pb, CP_SCCP_KEY_ENDCALL, ref);
	/* who waits can hang up, and cannot transfer what is nobody */
	ref = parked()->ref;
	key(&pa, CP_SCCP_KEY_TRANSFER, ref);
	key(&pa, CP_SCCP_KEY_TRANSFER, call_of(&pa)->ref);
	CU_ASSERT_PTR_NOT_NULL(call_find(w.calls, ref));
	onhook(&pa);
	key(&pa, CP_SCCP_KEY_ENDCALL, ref);
	world_end();
}

/* Nobody dials it: the phone that parked rings, and again. */
static void test_park_reverts(void)
{
	struct cp_call *call;

	begin();
	call = parked();
	event_active(call->timer, EV_TIMEOUT, 0);
	rest();
	CU_ASSERT(call->state == CALL_ALERTING && pb.ringing && pa.state == CP_SCCP_CONNECTED);
	event_active(call->timer, EV_TIMEOUT, 0); /* nobody answers */
	rest();
	CU_ASSERT(call->state == CALL_CONNECTED && call->p[1].kind == PARTY_PARK && !pb.ringing);
	event_active(call->timer, EV_TIMEOUT, 0);
	rest();
	gone(&pb, CP_GONE_CLOSED); /* the phone is away: it waits on */
	CU_ASSERT(call->state == CALL_CONNECTED && call->p[1].kind == PARTY_PARK);
	event_active(call->timer, EV_TIMEOUT, 0);
	rest();
	CU_ASSERT(call->state == CALL_CONNECTED);
	cp_calls_phone_ops.registered(w.calls, &pb);
	event_active(call->timer, EV_TIMEOUT, 0);
	rest();
	pb.smt = pa.smt = 0;
	key(&pb, CP_SCCP_KEY_ANSWER, 0);
	UNTIL(pb.smt == 1);
	ack_media(&pb);
	rest();
	CU_ASSERT(call->state == CALL_CONNECTED && pa.smt == 0 && pb.security == CP_SCCP_SEC_ENCRYPTED && call->park[0] == '\0');
	key(&pb, CP_SCCP_KEY_ENDCALL, 0);
	/* the service stops while it rings: it is parked, and not ended */
	call = parked();
	event_active(call->timer, EV_TIMEOUT, 0);
	rest();
	CU_ASSERT(call->state == CALL_ALERTING && pb.ringing);
	cp_calls_stop(w.calls);
	rest();
	CU_ASSERT(cp_calls_count(w.calls) == 1 && call->state == CALL_CONNECTED && call->p[1].kind == PARTY_PARK && !pb.ringing);
	CU_ASSERT(cp_store_call(w.store, call->ref) != NULL && cp_store_call(w.store, call->ref)->leg[1].parked == 1);
	onhook(&pa);
	world_end();
}

/* With direct media who waits has no channel: both get one when somebody is there. */
static void test_park_direct(void)
{
	uint32_t ref;

	begin();
	w.cfg->media.mode = CFG_MEDIA_DIRECT;
	cp_calls_phone_ops.enbloc(w.calls, &pa, "1002", 1);
	ref = call_of(&pa)->ref;
	key(&pb, CP_SCCP_KEY_ANSWER, ref);
	UNTIL(pa.orc == 1 && pb.orc == 1);
	ack_media(&pa);
	ack_media(&pb);
	rest();
	key(&pa, CP_SCCP_KEY_PARK, ref);
	CU_ASSERT(pb.crc == 1 && call_find(w.calls, ref)->p[0].kind == PARTY_PARK);
	event_active(call_find(w.calls, ref)->timer, EV_TIMEOUT, 0);
	rest();
	CU_ASSERT(pa.ringing && call_find(w.calls, ref)->p[0].agent->phone == &pb);
	pb.smt = pc.smt = 0;
	cp_calls_phone_ops.enbloc(w.calls, &pc, "8000", 1); /* it is taken from under its bell */
	UNTIL(pb.smt == 1 && pc.smt == 1);
	CU_ASSERT_FALSE(pa.ringing);
	ack_media(&pb);
	ack_media(&pc);
	rest();
	CU_ASSERT(call_find(w.calls, ref)->state == CALL_CONNECTED && !call_find(w.calls, ref)->direct);
	key(&pb, CP_SCCP_KEY_ENDCALL, ref);
	world_end();
}

static void test_park_killed(void)
{
	struct cp_call *call;
	uint32_t ref;

	begin();
	ref = parked()->ref;
	controlplane_stop(true);
	controlplane_start();
	UNTIL(ups == 2);
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	cp_calls_phone_ops.registered(w.calls, &pc);
	rest();
	call = call_find(w.calls, ref);
	CU_ASSERT_PTR_NOT_NULL_FATAL(call);
	CU_ASSERT(call->p[1].kind == PARTY_PARK && strcmp(call->park, "8000") == 0 && strcmp(call->park_device, pb.name) == 0);
	pc.smt = 0;
	cp_calls_phone_ops.enbloc(w.calls, &pc, "8000", 1);
	UNTIL(pc.smt == 1);
	ack_media(&pc);
	rest();
	CU_ASSERT_EQUAL(call->state, CALL_CONNECTED);
	key(&pc, CP_SCCP_KEY_ENDCALL, 0);
	CU_ASSERT_EQUAL(cdrs()->r[cdrs()->n - 1].party[0].number[0], '1');
	world_end();
}

/* --- pickup --- */

static void group(const char *name, const char *number, const char *pickup)
{
	struct cp_line line = {0};
	struct cp_device d = {.mode = CP_DEVICE_ENCRYPTED, .region = "default", .srtp = true, .lines = &line, .line_cnt = 1};

	strcpy(d.name, name);
	strcpy(line.number, number);
	strcpy(line.pickup, pickup);
	synced(cp_dir_device_put(w.store, &d, true, &dir_ctx));
}

/* b rings, and c has it. */
static void picked_up(uint32_t event, const char *dials)
{
	uint32_t ref;

	cp_calls_phone_ops.enbloc(w.calls, &pa, "1002", 1);
	ref = call_of(&pa)->ref;
	CU_ASSERT_TRUE(pb.ringing);
	pa.smt = pc.smt = 0;
	key(&pc, event, 0);
	if (dials != NULL) {
		for (; *dials != '\0'; dials++)
			cp_calls_phone_ops.digit(w.calls, &pc, *dials, 1, 0);
		cp_calls_phone_ops.digit(w.calls, &pc, '#', 1, 0);
	}
	CU_ASSERT(!pb.ringing && pb.state == CP_SCCP_ONHOOK);
	UNTIL(pa.smt == 1 && pc.smt == 1);
	ack_media(&pa);
	ack_media(&pc);
	rest();
	CU_ASSERT(call_find(w.calls, ref)->state == CALL_CONNECTED && cp_calls_count(w.calls) == 1);
	CU_ASSERT(pc.state == CP_SCCP_CONNECTED && pc.callref == ref && pc.security == CP_SCCP_SEC_ENCRYPTED);
	key(&pc, CP_SCCP_KEY_ENDCALL, 0);
	rest();
}

static void none_there(uint32_t event)
{
	key(&pc, event, 0);
	CU_ASSERT(call_of(&pc)->state == CALL_FAILED && pc.tone == CP_SCCP_TONE_REORDER);
	CU_ASSERT_STRING_EQUAL(pc.prompt, "No call to pick up");
	onhook(&pc);
	rest();
}

static void test_pickup(void)
{
	static char *other[] = {"7001 7009 7000"};
	struct cdr_list *l;

	begin();
	group(pb.name, pb.number, "7000");
	none_there(CP_SCCP_KEY_PICKUP); /* its line is in no group */
	group(pc.name, pc.number, "7000");
	none_there(CP_SCCP_KEY_PICKUP); /* nothing rings */
	picked_up(CP_SCCP_KEY_PICKUP, NULL);
	l = cdrs();
	CU_ASSERT_EQUAL_FATAL(l->n, 2);
	CU_ASSERT(l->r[0].cause == CP_Q850_SPLIT && l->r[0].connect_ms == 0 && l->r[1].origin == CP_CDR_PICKUP && l->r[1].connect_ms != 0);
	CU_ASSERT_STRING_EQUAL(l->r[1].redirecting, "1002");
	CU_ASSERT(l->r[0].party[1].leg != l->r[1].party[1].leg && l->r[0].party[0].leg == l->r[1].party[0].leg);
	picked_up(CP_SCCP_KEY_GPICKUP, "7000");
	group(pc.name, pc.number, "7001");
	none_there(CP_SCCP_KEY_OPICKUP);
	w.cfg->calls.pickup_other = other;
	w.cfg->calls.pickup_other_count = 1;
	picked_up(CP_SCCP_KEY_OPICKUP, NULL);
	w.cfg->calls.pickup_other = NULL;
	w.cfg->calls.pickup_other_count = 0;
	/* one that cannot encrypt may not, where that is demanded; the call rings on */
	w.cfg->media.fallback = CFG_FALLBACK_REFUSE;
	group(pc.name, pc.number, "7000");
	pc.srtp = false;
	cp_calls_phone_ops.enbloc(w.calls, &pa, "1002", 1);
	key(&pc, CP_SCCP_KEY_PICKUP, 0);
	CU_ASSERT_STRING_EQUAL(pc.prompt, "Cannot be encrypted");
	CU_ASSERT_TRUE(pb.ringing);
	onhook(&pc);
	onhook(&pa);
	world_end();
}

/* a is at the gateway: it was handed over while b rings. */
static void test_pickup_gateway(void)
{
	uint32_t first, second;

	begin();
	group(pb.name, pb.number, "7000");
	group("SEP000000000004", "10045", "7000");
	static struct cp_phone pd;
	phone_reset(&pd, "SEP000000000004", "10045");
	cp_calls_phone_ops.registered(w.calls, &pd);
	w.say[DP_MGCP_MDCX].sdp = true;
	pc.smt = 0;
	cp_calls_phone_ops.enbloc(w.calls, &pc, "77", 1);
	first = call_of(&pc)->ref;
	UNTIL(call_of(&pc)->state == CALL_ALERTING);
	gw_event(DP_MGCP_NTFY, "aaln/1", call_find(w.calls, first)->p[1].request_id, "L/hd");
	UNTIL(pc.smt == 1);
	ack_media(&pc);
	UNTIL(call_find(w.calls, first)->state == CALL_CONNECTED);
	key(&pc, CP_SCCP_KEY_TRANSFER, first);
	second = call_of(&pc)->ref;
	cp_calls_phone_ops.enbloc(w.calls, &pc, "1002", 1);
	key(&pc, CP_SCCP_KEY_TRANSFER, second);
	CU_ASSERT_TRUE(pb.ringing);
	pd.smt = 0;
	key(&pd, CP_SCCP_KEY_PICKUP, 0);
	CU_ASSERT_FALSE(pb.ringing);
	UNTIL(pd.smt == 1);
	ack_media(&pd);
	UNTIL(call_find(w.calls, second)->state == CALL_CONNECTED);
	CU_ASSERT(call_find(w.calls, second)->p[0].kind == PARTY_GATEWAY && pd.security == CP_SCCP_SEC_ENCRYPTED);
	key(&pd, CP_SCCP_KEY_ENDCALL, 0);
	gone(&pd, CP_GONE_UNREGISTERED);
	world_end();
}

/* c and d have one line, at which it rings; b takes it. */
static void test_pickup_shared(void)
{
	static struct cp_phone pd;
	struct cdr_list *l;
	uint32_t ref;

	begin();
	add_device_shared("SEP000000000005", "2000", true);
	add_device_shared("SEP000000000006", "2000", true);
	group(pb.name, pb.number, "7000");
	for (unsigned who = 0; who < 2; who++) { /* the group is that of the one that stands for all, or of the other */
		struct cp_line line = {.number = "2000", .pickup = "7000"}, none = {.number = "2000"};
		struct cp_device d = {.name = "SEP000000000005", .mode = CP_DEVICE_ENCRYPTED, .region = "default", .srtp = true, .lines = who == 0 ? &line : &none, .line_cnt = 1};
		struct cp_dir_ctx x = dir_ctx;

		x.shared = true;
		synced(cp_dir_device_put(w.store, &d, true, &x));
		strcpy(d.name, "SEP000000000006");
		d.lines = who == 0 ? &none : &line;
		synced(cp_dir_device_put(w.store, &d, true, &x));
		phone_reset(&port[0], "SEP000000000005", "2000");
		phone_reset(&pd, "SEP000000000006", "2000");
		cp_calls_phone_ops.registered(w.calls, &port[0]);
		cp_calls_phone_ops.registered(w.calls, &pd);
		rest();
		cp_calls_phone_ops.enbloc(w.calls, &pa, "2000", 1);
		ref = call_of(&pa)->ref;
		CU_ASSERT(port[0].ringing && pd.ringing && call_find(w.calls, ref)->forks != NULL);
		/* one of the two at which it rings answers, it does not pick up */
		key(&pd, CP_SCCP_KEY_PICKUP, 0);
		CU_ASSERT_STRING_EQUAL(pd.prompt, "No call to pick up");
		onhook(&pd);
		pa.smt = pb.smt = 0;
		key(&pb, CP_SCCP_KEY_PICKUP, 0);
		CU_ASSERT(!port[0].ringing && !pd.ringing && port[0].state == CP_SCCP_ONHOOK && pd.state == CP_SCCP_ONHOOK);
		UNTIL(pa.smt == 1 && pb.smt == 1);
		ack_media(&pa);
		ack_media(&pb);
		rest();
		CU_ASSERT(call_find(w.calls, ref)->state == CALL_CONNECTED && call_find(w.calls, ref)->forks == NULL && cp_calls_count(w.calls) == 1);
		CU_ASSERT(pb.callref == ref && pb.security == CP_SCCP_SEC_ENCRYPTED && port[0].orc == 0 && pd.orc == 0);
		CU_ASSERT_EQUAL(cp_ports_used(w.calls->ports), 2);
		key(&pb, CP_SCCP_KEY_ENDCALL, ref);
		l = cdrs();
		CU_ASSERT(l->r[l->n - 1].origin == CP_CDR_PICKUP && strcmp(l->r[l->n - 1].redirecting, "2000") == 0);
		CU_ASSERT_STRING_EQUAL(l->r[l->n - 1].party[1].number, "1002");
		gone(&port[0], CP_GONE_UNREGISTERED);
		gone(&pd, CP_GONE_UNREGISTERED);
	}
	world_end();
}

/* --- voice mail --- */

static void ports(void)
{
	static const char *const names[] = {"CiscoUM-VI10", "CiscoUM-VI2", "CiscoUM-VI1"};

	w.cfg->calls.voicemail = "8500";
	w.cfg->calls.mwi_on = "8501";
	w.cfg->calls.mwi_off = "8502";
	for (unsigned i = 0; i < 3; i++) {
		char number[8];

		snprintf(number, sizeof(number), "85%u", 20 + i);
		group(names[i], number, "");
		phone_reset(&port[i], names[i], number);
		cp_calls_phone_ops.registered(w.calls, &port[i]);
	}
}

static void no_ports(void)
{
	w.cfg->calls.voicemail = w.cfg->calls.mwi_on = w.cfg->calls.mwi_off = NULL;
	for (unsigned i = 0; i < 3; i++)
		gone(&port[i], CP_GONE_UNREGISTERED);
}

static void test_pilot(void)
{
	begin();
	ports();
	/* the lowest port first, then the next, then none */
	cp_calls_phone_ops.softkey(w.calls, &pa, CP_SCCP_KEY_MESSAGES, 0, 0);
	CU_ASSERT_TRUE(port[2].ringing);
	pa.smt = port[2].smt = 0;
	key(&port[2], CP_SCCP_KEY_ANSWER, 0);
	UNTIL(pa.smt == 1 && port[2].smt == 1);
	ack_media(&pa);
	ack_media(&port[2]);
	CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && port[2].orc_m.suite != DP_SRTP_NONE); /* 004b:VM-01 */
	cp_calls_phone_ops.enbloc(w.calls, &pb, "8500", 1);
	CU_ASSERT(port[1].ringing && !port[0].ringing);
	gone(&port[0], CP_GONE_CLOSED);
	cp_calls_phone_ops.enbloc(w.calls, &pc, "8500", 1);
	CU_ASSERT(call_of(&pc)->state == CALL_FAILED && pc.tone == CP_SCCP_TONE_BUSY);
	onhook(&pc);
	onhook(&pb);
	onhook(&pa);
	cp_calls_phone_ops.registered(w.calls, &port[0]);
	CU_ASSERT_STRING_EQUAL(cdrs()->r[0].dialled, "8500");
	no_ports();
	w.cfg->calls.voicemail = "8500";
	cp_calls_phone_ops.enbloc(w.calls, &pa, "8500", 1);
	CU_ASSERT_STRING_EQUAL(pa.prompt, "No voice mail");
	onhook(&pa);
	w.cfg->calls.voicemail = NULL;
	world_end();
}

/* Nobody answers at b: a port does, and is told whom the call was for. And a phone's key may say the pilot's number. */
static void test_forwarded_to_pilot(void)
{
	struct cp_forward f = {.number = "1002", .no_answer = "8500", .busy = "8000"};
	struct cp_change *c;

	begin();
	ports();
	c = cp_change_create(w.store);
	CU_ASSERT_EQUAL_FATAL(cp_change_forward_put(c, &f, world_why, sizeof(world_why)), 0);
	synced(cp_change_submit(c, "forward.set", "test", NULL, on_stored, NULL));
	cp_calls_phone_ops.enbloc(w.calls, &pa, "1002", 1);
	CU_ASSERT_TRUE(pb.ringing);
	event_active(call_of(&pa)->timer, EV_TIMEOUT, 0);
	rest();
	CU_ASSERT(!pb.ringing && port[2].ringing);
	CU_ASSERT_STRING_EQUAL(port[2].called_first, "1002");
	pa.smt = port[2].smt = 0;
	key(&port[2], CP_SCCP_KEY_ANSWER, 0);
	UNTIL(pa.smt == 1 && port[2].smt == 1);
	ack_media(&pa);
	ack_media(&port[2]);
	CU_ASSERT_EQUAL(call_of(&pa)->state, CALL_CONNECTED);
	/* a park number is no place to forward to */
	w.cfg->calls.busy_trigger = 1;
	cp_calls_phone_ops.enbloc(w.calls, &pb, "1003", 1);
	cp_calls_phone_ops.enbloc(w.calls, &pc, "1002", 1);
	CU_ASSERT_EQUAL(call_of(&pc)->state, CALL_FAILED);
	onhook(&pb);
	onhook(&pc);
	onhook(&pa);
	key(&pc, CP_SCCP_KEY_CFWDALL, 0);
	for (const char *d = "8500"; *d != '\0'; d++)
		cp_calls_phone_ops.digit(w.calls, &pc, *d, 1, 0);
	UNTIL(strcmp(pc.forward_all, "8500") == 0);
	rest();
	cp_calls_phone_ops.enbloc(w.calls, &pa, "1003", 1);
	CU_ASSERT_TRUE(port[2].ringing);
	onhook(&pa);
	no_ports();
	world_end();
}

static void dials(struct cp_phone *p, const char *number)
{
	cp_calls_phone_ops.enbloc(w.calls, p, number, 1);
	rest();
}

static void test_lamps(void)
{
	begin();
	ports();
	dials(&port[0], "85011001");
	CU_ASSERT(port[0].state == CP_SCCP_ONHOOK && pa.mwi && !pb.mwi);
	/* known after a restart, and shown to who registers */
	controlplane_stop(true);
	controlplane_start();
	pa.mwi = false;
	pb.mwi = true;
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	cp_calls_phone_ops.registered(w.calls, &pc);
	for (unsigned i = 0; i < 3; i++)
		cp_calls_phone_ops.registered(w.calls, &port[i]);
	CU_ASSERT(pa.mwi && !pb.mwi);
	UNTIL(ups == 2);
	/* a number that is nobody's, and a phone that is no port */
	dials(&port[0], "85015555");
	CU_ASSERT(call_of(&port[0])->state == CALL_FAILED);
	onhook(&port[0]);
	dials(&pb, "85021001");
	CU_ASSERT(call_of(&pb)->state == CALL_FAILED && pa.mwi);
	onhook(&pb);
	/* digit by digit */
	cp_calls_phone_ops.offhook(w.calls, &port[1], 1, 0);
	for (const char *d = "85021001"; *d != '\0'; d++)
		cp_calls_phone_ops.digit(w.calls, &port[1], *d, 1, 0);
	rest();
	CU_ASSERT_FALSE(pa.mwi);
	CU_ASSERT_EQUAL(cp_store_count(w.store, CP_CF_MWI), 0);
	no_ports();
	world_end();
}

static CU_TestInfo tests[] = {
	{"park and retrieve", test_park},
	{"a gateway's line is parked", test_park_gateway},
	{"and one without keys", test_park_gateway_clear},
	{"what cannot be parked", test_park_refused},
	{"a parked call reverts", test_park_reverts},
	{"park with direct media", test_park_direct},
	{"a parked call survives", test_park_killed},
	{"pickup", test_pickup},
	{"pickup of a gateway's call", test_pickup_gateway},
	{"pickup from a shared line", test_pickup_shared},
	{"voice mail pilot", test_pilot},
	{"forwarded to voice mail", test_forwarded_to_pilot},
	{"message lamps", test_lamps},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	return 0;
}

#include "suite.h"
SUITE_MAIN("park", tests, setup, NULL)
