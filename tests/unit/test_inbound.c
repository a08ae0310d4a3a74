/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/call/inbound.c: calls that begin at a gateway, analog phones and lines of the network. */
/* Rows: 004b:MGCP-01, 004b:MGCP-02, 004b:MGCP-04, 004c:MG-01, 004c:MG-02. */
#include "call_fix.h"

static uint8_t line = CP_LINE_FXS, quarantine, bearer;
static const char *map = "";

static struct cp_gw *gw1(void)
{
	return cp_gws_find(w.gws, "gw1");
}

static void set_gateway(uint32_t flags, uint8_t admin)
{
	struct cp_endpoint ep[2] = {{.name = "aaln/1"}, {.name = "aaln/2"}};
	struct cp_gw_number n[3] = {{.number = "77", .endpoint = "aaln/1"}, {.number = "78", .endpoint = "aaln/2"}, {.number = "9", .prefix = true}};
	struct cp_gateway g = {.name = "gw1", .region = "default", .endpoints = ep, .endpoint_cnt = 2, .numbers = n, .number_cnt = 3,
			       .line = line, .flags = flags, .admin = admin, .quarantine = quarantine, .bearer = bearer};

	snprintf(g.digit_map, sizeof(g.digit_map), "%s", map);
	if (line == CP_LINE_FXO)
		strcpy(g.incoming, "1001");
	cfg_addr_parse("10.0.0.1:2427", &g.address);
	synced(cp_dir_gateway_put(w.store, &g, true, &dir_ctx));
	cp_gws_changed(w.gws, "gw1");
	rest();
}

/* What was asked of the endpoint last. */
static const struct dp_mgcp_cmd *last_rqnt(const char *endpoint)
{
	const struct dp_mgcp_cmd *c = NULL;

	for (unsigned i = 0; i < w.todo_cnt; i++)
		if (w.todo[i].verb == DP_MGCP_RQNT && strcmp(w.todo[i].endpoint, endpoint) == 0)
			c = &w.todo[i];
	return c;
}

static bool hears(const char *signals)
{
	return last_rqnt("aaln/1") != NULL && strcmp(last_rqnt("aaln/1")->signals, signals) == 0;
}

static bool armed(const char *endpoint)
{
	const struct dp_mgcp_cmd *c = last_rqnt(endpoint);

	return c != NULL && strcmp(c->request_id, CP_GW_ARM_ID) == 0 && strcmp(c->events, line == CP_LINE_FXO ? "H/rg(N)" : "L/hd(N)") == 0;
}

static void says(const char *endpoint, const char *what)
{
	gw_event(DP_MGCP_NTFY, endpoint, last_rqnt(endpoint) != NULL ? last_rqnt(endpoint)->request_id : CP_GW_ARM_ID, what);
	rest();
}

static void begin(uint8_t at)
{
	line = at;
	world_begin();
	set_gateway(0, CP_ADMIN_IN_SERVICE);
	CU_ASSERT(armed("aaln/1") && armed("aaln/2"));
}

/* Off hook, dial tone; digit by digit; it rings there. */
static void dials(const char *digits)
{
	char o[8];

	says("aaln/1", "L/hd");
	CU_ASSERT_TRUE_FATAL(the_state() == CALL_DIALING);
	CU_ASSERT_TRUE(hears("L/dl"));
	CU_ASSERT_PTR_NOT_NULL(strstr(last_rqnt("aaln/1")->events, "D/[0-9*#](N)"));
	for (; *digits != '\0'; digits++) {
		snprintf(o, sizeof(o), "D/%c", *digits);
		says("aaln/1", o);
	}
}

static void to_phone(void)
{
	dials("1001");
	CU_ASSERT_EQUAL_FATAL(the_state(), CALL_ALERTING);
	CU_ASSERT_TRUE(hears("G/rt"));
	CU_ASSERT_TRUE(pa.ringing);
	CU_ASSERT_STRING_EQUAL(pa.calling, "77");
}

static void talk(void)
{
	offhook(&pa);
	UNTIL(pa.smt == 1);
	ack_media(&pa);
	UNTIL(the_state() == CALL_CONNECTED);
	rest();
}

static void test_to_a_phone(void)
{
	const struct dp_mgcp_cmd *c = NULL, *m = NULL;

	begin(CP_LINE_FXS);
	to_phone();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, NULL), 0);
	talk();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, &c), 1);
	CU_ASSERT(c->media.suite != DP_SRTP_NONE && c->mode == DP_MGCP_M_RECVONLY && strcmp(c->endpoint, "aaln/1") == 0);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_MDCX, &m), 1);
	CU_ASSERT_EQUAL(m->mode, DP_MGCP_M_SENDRECV);
	CU_ASSERT_STRING_EQUAL(last_rqnt("aaln/1")->events, "L/hu(N),L/hf(N)");
	CU_ASSERT_EQUAL(pa.security, CP_SEC_ENCRYPTED);
	CU_ASSERT_EQUAL(call_security(the_call()), CP_SEC_ENCRYPTED);
	/* each side's key is another one, and the phone has none of the gateway's */
	CU_ASSERT_NOT_EQUAL(memcmp(the_call()->p[0].rx->key, the_call()->p[0].tx->key, 16), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(pa.orc_m.key, c->media.key, 16), 0);
	says("aaln/1", "L/hf"); /* ignored, and watched for again */
	CU_ASSERT_EQUAL(the_state(), CALL_CONNECTED);
	says("aaln/1", "L/hu");
	CU_ASSERT_EQUAL(the_state(), -1);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, &c), 1);
	CU_ASSERT_STRING_EQUAL(c->conn_id, "C0FFEE");
	CU_ASSERT_TRUE(armed("aaln/1"));
	CU_ASSERT_EQUAL(cp_gw_calls(gw1()), 0);
	/* and the phone hangs up first */
	pa.smt = 0;
	to_phone();
	w.todo_cnt = w.todo_done = 0;
	talk();
	onhook(&pa);
	rest();
	CU_ASSERT_EQUAL(the_state(), -1);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 1);
	CU_ASSERT_TRUE(armed("aaln/1"));
	world_end();
}

static void test_tones(void)
{
	begin(CP_LINE_FXS);
	dials("5"); /* nobody's */
	CU_ASSERT_EQUAL(the_state(), CALL_FAILED);
	CU_ASSERT_TRUE(hears("L/ro"));
	says("aaln/1", "L/hu");
	CU_ASSERT_EQUAL(the_state(), -1);
	/* busy */
	dials("78");
	UNTIL(the_state() == CALL_ALERTING);
	says("aaln/1", "L/hu");
	CU_ASSERT_EQUAL(the_state(), -1);
	w.say[DP_MGCP_CRCX].code = 401;
	dials("78");
	UNTIL(the_state() == CALL_FAILED);
	rest();
	CU_ASSERT_TRUE(hears("L/bz") || hears("L/ro"));
	w.say[DP_MGCP_CRCX].code = 0;
	says("aaln/1", "L/hu");
	/* not there: congestion or reorder, and the record says why */
	gone(&pa, CP_GONE_UNREGISTERED);
	dials("1001");
	CU_ASSERT_EQUAL(the_state(), CALL_FAILED);
	CU_ASSERT_EQUAL(the_call()->cause, CP_Q850_ABSENT);
	says("aaln/1", "L/hu");
	cp_calls_phone_ops.registered(w.calls, &pa);
	/* nothing dialled */
	says("aaln/1", "L/hd");
	timer_fires();
	CU_ASSERT_EQUAL(the_state(), CALL_FAILED);
	says("aaln/1", "L/hu");
	/* several digits in one notification, and a hang-up behind them */
	says("aaln/1", "L/hd");
	says("aaln/1", "D/1,D/0,0,D/1");
	CU_ASSERT_EQUAL(the_state(), CALL_ALERTING);
	says("aaln/1", "L/hu");
	says("aaln/1", "L/hd");
	says("aaln/1", "D/1,D/0,L/hu,D/0,D/1");
	CU_ASSERT_EQUAL(the_state(), -1);
	/* the caller is answered and has gone meanwhile: 402 */
	to_phone();
	w.say[DP_MGCP_RQNT].code = 402;
	offhook(&pa);
	UNTIL(the_state() == -1);
	w.say[DP_MGCP_RQNT].code = 0;
	world_end();
}

/* From one endpoint to another of the same gateway: two connections, each with keys of its own, and one codec. */
static void test_to_a_gateway(void)
{
	const struct dp_mgcp_cmd *c = NULL;

	begin(CP_LINE_FXS);
	w.every_conn = true;
	dials("78");
	UNTIL(the_state() == CALL_ALERTING);
	rest();
	CU_ASSERT_TRUE(hears("G/rt"));
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, &c), 1);
	CU_ASSERT_STRING_EQUAL(c->endpoint, "aaln/2");
	CU_ASSERT_STRING_EQUAL(last_rqnt("aaln/2")->signals, "L/rg");
	w.say[DP_MGCP_CRCX].pt = 0;
	says("aaln/2", "L/hd");
	UNTIL(the_state() == CALL_CONNECTED);
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, &c), 2);
	CU_ASSERT_STRING_EQUAL(c->endpoint, "aaln/1");
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_MDCX, NULL), 2);
	CU_ASSERT_EQUAL(call_security(the_call()), CP_SEC_ENCRYPTED);
	CU_ASSERT_EQUAL(the_call()->p[0].codec, the_call()->p[1].codec);
	CU_ASSERT_NOT_EQUAL(memcmp(the_call()->p[0].tx->key, the_call()->p[1].tx->key, 16), 0);
	says("aaln/2", "L/hu");
	CU_ASSERT_EQUAL(the_state(), -1);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 2);
	CU_ASSERT(armed("aaln/1") && armed("aaln/2"));
	CU_ASSERT_EQUAL(bridge_conns(), 0);
	world_end();
}

static void test_network_line(void)
{
	begin(CP_LINE_FXO);
	says("aaln/1", "H/rg");
	CU_ASSERT_EQUAL_FATAL(the_state(), CALL_ALERTING);
	CU_ASSERT_TRUE(pa.ringing);
	talk();
	CU_ASSERT_TRUE(hears("H/hd")); /* taken off its hook */
	CU_ASSERT_STRING_EQUAL(last_rqnt("aaln/1")->events, "H/osi(N)");
	says("aaln/1", "H/osi");
	CU_ASSERT_EQUAL(the_state(), -1);
	CU_ASSERT_TRUE(armed("aaln/1"));
	/* the phone hangs up: so does the gateway */
	pa.smt = 0;
	says("aaln/1", "H/rg");
	talk();
	w.todo_cnt = w.todo_done = 0;
	onhook(&pa);
	rest();
	CU_ASSERT(w.todo_cnt >= 2 && w.todo[0].verb == DP_MGCP_RQNT && strcmp(w.todo[0].signals, "H/hu") == 0);
	/* nobody there: no tone to anybody, it is let ring */
	gone(&pa, CP_GONE_UNREGISTERED);
	says("aaln/1", "H/rg");
	CU_ASSERT_EQUAL(the_state(), -1);
	cp_calls_phone_ops.registered(w.calls, &pa);
	world_end();
}

/* SRTP as where a gateway is called: declined, refused, and without an SA. */
static void test_srtp(void)
{
	const struct dp_mgcp_cmd *c = NULL;

	begin(CP_LINE_FXS);
	w.say[DP_MGCP_CRCX].suite = 0xff; /* an answer in RTP: both legs are */
	to_phone();
	talk();
	CU_ASSERT_EQUAL(call_security(the_call()), CP_SEC_AUTHENTICATED); /* who they are is known: no lock */
	CU_ASSERT_EQUAL(pa.orc_m.suite, DP_SRTP_NONE);
	CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_LEG_KEY, NULL), 0);
	says("aaln/1", "L/hu");
	nothing_left();
	/* refused by policy: ends for the phone, and who calls hears so */
	w.cfg->media.fallback = CFG_FALLBACK_REFUSE;
	to_phone();
	offhook(&pa);
	UNTIL(the_state() == CALL_FAILED);
	rest();
	CU_ASSERT_EQUAL(pa.state, CP_SCCP_ONHOOK);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 2); /* that connection is deleted */
	CU_ASSERT_TRUE(hears("L/ro"));
	says("aaln/1", "L/hu");
	nothing_left();
	/* the next suite, where the description was refused */
	w.cfg->media.fallback = CFG_FALLBACK_RTP;
	w.say[DP_MGCP_CRCX].suite = 0;
	w.say[DP_MGCP_CRCX].code = 534;
	w.todo_cnt = w.todo_done = 0;
	says("aaln/1", "L/hd");
	says("aaln/1", "D/1,D/0,D/0,D/1");
	offhook(&pa);
	UNTIL(the_state() == CALL_FAILED);
	rest();
	CU_ASSERT_TRUE(gw_saw(DP_MGCP_CRCX, NULL) > 1);
	says("aaln/1", "L/hu");
	w.say[DP_MGCP_CRCX].code = 0;
	nothing_left();
	/* the SA goes while it rings: keys are held back, and by policy there is no call */
	w.cfg->media.fallback = CFG_FALLBACK_REFUSE;
	says("aaln/1", "L/hd");
	says("aaln/1", "D/1,D/0,D/0,D/1");
	w.say[DP_MGCP_CRCX].result = DP_MGCP_NO_SA;
	w.todo_cnt = w.todo_done = 0;
	offhook(&pa);
	w.say[DP_MGCP_RQNT].silent = true; /* the worker would let none through, either */
	UNTIL(the_state() == CALL_FAILED);
	CU_ASSERT_PTR_NOT_NULL(cp_alarm_find(w.alarms, "gateway-no-sa", "gw1"));
	w.say[DP_MGCP_RQNT].silent = false;
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_MDCX, NULL), 0);
	CU_ASSERT_EQUAL(the_call()->cause, CP_Q850_NO_BEARER);
	w.say[DP_MGCP_CRCX].result = DP_MGCP_ANSWERED;
	says("aaln/1", "L/hu");
	nothing_left();
	/* a gateway without an SA may call, where its record says so: in clear, and no key is drawn for it */
	w.cfg->media.fallback = CFG_FALLBACK_RTP;
	set_gateway(CP_GW_CLEAR, CP_ADMIN_IN_SERVICE);
	cp_gws_sa_changed(w.gws, cp_gw_id(gw1()), false);
	rest();
	pa.smt = 0;
	w.todo_cnt = w.todo_done = 0;
	gw_event(DP_MGCP_NTFY, "aaln/1", CP_GW_ARM_ID, "L/hd");
	rest();
	says("aaln/1", "D/1,D/0,D/0,D/1");
	talk();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, &c), 1);
	CU_ASSERT_EQUAL(c->media.suite, DP_SRTP_NONE);
	CU_ASSERT_EQUAL(call_security(the_call()), CP_SEC_NOT_SECURE);
	onhook(&pa);
	world_end();
}

static unsigned rekeyed;
static int rekey_rc;
static void on_rekeyed(void *ctx, int rc, const char *why, json_t *result)
{
	(void)ctx;
	(void)why;
	rekeyed++;
	rekey_rc = rc;
	json_decref(result);
}

/* New keys by MDCX, for a call that began at the gateway, and for one that goes there. */
static void test_rekey(void)
{
	const struct dp_mgcp_cmd *m = NULL;
	uint8_t was[2][16];

	for (int inbound = 0; inbound < 2; inbound++) {
		struct party *p;

		begin(CP_LINE_FXS);
		if (inbound) {
			to_phone();
			talk();
		} else {
			dial("78");
			UNTIL(the_state() == CALL_ALERTING);
			rest();
			says("aaln/2", "L/hd");
			UNTIL(pa.smt == 1);
			ack_media(&pa);
			UNTIL(the_state() == CALL_CONNECTED);
			rest();
		}
		p = &the_call()->p[inbound ? 0 : 1];
		CU_ASSERT_EQUAL_FATAL(p->kind, PARTY_GATEWAY);
		memcpy(was[0], p->rx->key, 16);
		memcpy(was[1], p->tx->key, 16);
		w.say[DP_MGCP_MDCX].sdp = true;
		rekeyed = 0;
		w.todo_cnt = w.todo_done = 0;
		cp_calls_rekey(w.calls, the_call()->ref, "gateway", on_rekeyed, NULL);
		UNTIL(rekeyed == 1);
		rest();
		CU_ASSERT_EQUAL(rekey_rc, 0);
		CU_ASSERT_EQUAL(gw_saw(DP_MGCP_MDCX, &m), 1);
		CU_ASSERT_STRING_EQUAL(m->endpoint, p->endpoint);
		CU_ASSERT_NOT_EQUAL(memcmp(was[0], p->rx->key, 16), 0);
		CU_ASSERT_NOT_EQUAL(memcmp(was[1], p->tx->key, 16), 0);
		CU_ASSERT_EQUAL(memcmp(m->media.key, p->tx->key, 16), 0);
		CU_ASSERT_EQUAL(the_state(), CALL_CONNECTED);
		onhook(&pa);
		world_end();
	}
}

static void once(const struct dp_mgcp_cmd *c, const struct dp_mgcp_done *d)
{
	(void)d;
	w.say[c->verb].code = 0;
}

static void killed(void)
{
	controlplane_stop(true);
	controlplane_start();
	UNTIL(cp_dp_up(w.dp));
	cp_gws_sa_changed(w.gws, cp_gw_id(gw1()), true);
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	rest();
}

/* Who calls is a caller still after the controlplane was killed. */
static void test_caller_still(void)
{
	char id[16];

	begin(CP_LINE_FXS);
	to_phone();
	talk();
	killed();
	CU_ASSERT_EQUAL_FATAL(the_state(), CALL_CONNECTED);
	snprintf(id, sizeof(id), "%08X1", the_call()->ref);
	w.todo_cnt = w.todo_done = 0;
	gw_event(DP_MGCP_NTFY, "aaln/1", id, "L/hf");
	rest();
	CU_ASSERT_TRUE_FATAL(last_rqnt("aaln/1") != NULL); /* it used up its request */
	CU_ASSERT_STRING_EQUAL(last_rqnt("aaln/1")->events, "L/hu(N),L/hf(N)");
	says("aaln/1", "L/hu");
	CU_ASSERT_EQUAL(the_state(), -1);
	world_end();
	/* a line of the network: its end is heard, and it is put back on its hook */
	for (int by = 0; by < 2; by++) {
		begin(CP_LINE_FXO);
		says("aaln/1", "H/rg");
		talk();
		killed();
		CU_ASSERT_EQUAL_FATAL(the_state(), CALL_CONNECTED);
		snprintf(id, sizeof(id), "%08X1", the_call()->ref);
		w.todo_cnt = w.todo_done = 0;
		if (by == 0)
			gw_event(DP_MGCP_NTFY, "aaln/1", id, "H/osi");
		else
			onhook(&pa);
		rest();
		CU_ASSERT_EQUAL(the_state(), -1);
		CU_ASSERT(w.todo_cnt >= 2 && w.todo[0].verb == DP_MGCP_RQNT && strcmp(w.todo[0].signals, "H/hu") == 0);
		CU_ASSERT_TRUE(armed("aaln/1"));
		if (by == 0)
			onhook(&pa);
		world_end();
	}
}

/* Killed: the call that stands goes on, and ends by either side; who was dialling hears dial tone anew. */
static void test_restart(void)
{
	begin(CP_LINE_FXS);
	to_phone();
	talk();
	w.todo_cnt = w.todo_done = 0;
	killed();
	CU_ASSERT_EQUAL(the_state(), CALL_CONNECTED);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_AUCX, NULL), 1); /* its connection is asked for */
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 0);
	CU_ASSERT_TRUE(armed("aaln/2"));
	CU_ASSERT_PTR_NULL(last_rqnt("aaln/1")); /* nothing is asked there that would touch it */
	{
		char id[16];

		snprintf(id, sizeof(id), "%08X1", the_call()->ref);
		gw_event(DP_MGCP_NTFY, "aaln/1", id, "L/hu");
	}
	UNTIL(the_state() == -1);
	rest();
	CU_ASSERT_TRUE(armed("aaln/1"));
	nothing_left();
	/* who never answers an audit of a connection is not taken for dead, nor is its call */
	to_phone();
	pa.smt = 0;
	talk();
	w.say[DP_MGCP_AUCX].result = DP_MGCP_TIMEOUT;
	killed();
	CU_ASSERT_EQUAL(the_state(), CALL_CONNECTED);
	CU_ASSERT_EQUAL(cp_gw_state(gw1()), CP_GW_UP);
	w.say[DP_MGCP_AUCX].result = DP_MGCP_ANSWERED;
	onhook(&pa);
	rest();
	/* a connection that is not there any more: its call ends */
	to_phone();
	pa.smt = 0;
	talk();
	w.say[DP_MGCP_AUCX].code = 515;
	w.lists[DP_MGCP_AUEP] = "I:\n"; /* it lists none: asked for by name, as the list may be older than the connection */
	controlplane_stop(true);
	controlplane_start();
	UNTIL(cp_dp_up(w.dp));
	cp_gws_sa_changed(w.gws, cp_gw_id(gw1()), true);
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	UNTIL(the_state() == -1);
	rest();
	/* off its hook when it is to be watched */
	w.say[DP_MGCP_RQNT].code = 401;
	gw_hook = once;
	gw_event(DP_MGCP_RSIP, "aaln/1", "", "restart");
	UNTIL(the_state() == CALL_DIALING);
	gw_hook = NULL;
	UNTIL(last_rqnt("aaln/1") != NULL && hears("L/dl"));
	says("aaln/1", "L/hu");
	world_end();
}

/* A gateway says what it lost: the calls there end, also those at an endpoint that its record has no more; nobody else's do. */
static void test_lost(void)
{
	static const struct {
		const char *endpoint;
		bool ends;
	} says_it[] = {{"AALN/1", true}, {"aaln/2", false}, {"*", true}, {"aaln/*", true}, {"aaln/1/*", false}};
	struct cp_endpoint ep[1] = {{.name = "aaln/2"}};
	struct cp_gateway g = {.name = "gw1", .region = "default", .endpoints = ep, .endpoint_cnt = 1, .line = CP_LINE_FXS};
	const struct cp_gw_ops *ops = &cp_calls_gateway_ops;

	begin(CP_LINE_FXS);
	cfg_addr_parse("10.0.0.1:2427", &g.address);
	for (int stray = 0; stray < 2; stray++) {
		for (unsigned i = 0; i < sizeof(says_it) / sizeof(says_it[0]); i++) {
			set_gateway(0, CP_ADMIN_IN_SERVICE);
			to_phone();
			pa.smt = 0;
			talk();
			if (stray) {
				synced(cp_dir_gateway_put(w.store, &g, true, &dir_ctx));
				cp_gws_changed(w.gws, "gw1");
				rest();
			}
			CU_ASSERT_EQUAL(cp_gw_strays(gw1()), (unsigned)stray);
			ops->lost(w.calls, gw1(), says_it[i].endpoint, "BEEF"); /* another connection */
			CU_ASSERT_EQUAL(the_state(), CALL_CONNECTED);
			ops->lost(w.calls, gw1(), says_it[i].endpoint, i == 0 ? "c0ffee" : "");
			CU_ASSERT_EQUAL(the_state(), says_it[i].ends ? -1 : CALL_CONNECTED);
			if (!says_it[i].ends)
				onhook(&pa);
			nothing_left();
			CU_ASSERT_EQUAL(cp_gw_calls(gw1()), 0);
		}
	}
	world_end();
}

static void test_not_taken(void)
{
	begin(CP_LINE_FXS);
	gw_event(DP_MGCP_NTFY, "aaln/1", "1234", "L/hd"); /* of a request that was never made */
	rest();
	CU_ASSERT_EQUAL(the_state(), -1);
	gw_event(DP_MGCP_NTFY, "aaln/1", CP_GW_ARM_ID, "L/hu");
	rest();
	CU_ASSERT_EQUAL(the_state(), -1);
	set_gateway(0, CP_ADMIN_DRAIN);
	gw_event(DP_MGCP_NTFY, "aaln/1", CP_GW_ARM_ID, "L/hd");
	rest();
	CU_ASSERT_EQUAL(the_state(), -1);
	line = CP_LINE_NONE;
	set_gateway(0, CP_ADMIN_IN_SERVICE);
	gw_event(DP_MGCP_NTFY, "aaln/1", CP_GW_ARM_ID, "L/hd");
	rest();
	CU_ASSERT_EQUAL(the_state(), -1);
	/* the endpoint is used by one call at a time, whichever way */
	line = CP_LINE_FXS;
	set_gateway(0, CP_ADMIN_IN_SERVICE);
	to_phone();
	CU_ASSERT_PTR_NULL(cp_gw_free_endpoint(gw1(), "aaln/1"));
	CU_ASSERT_STRING_EQUAL(cp_gw_free_endpoint(gw1(), ""), "aaln/2");
	gw_event(DP_MGCP_RSIP, "aaln/1", "", "restart"); /* gone with its call */
	UNTIL(the_state() == -1);
	rest();
	CU_ASSERT_TRUE(armed("aaln/1"));
	world_end();
}

static enum cp_ep_state state_of(const char *endpoint)
{
	return cp_gw_ep_state(gw1(), endpoint);
}

/* Until something is asked of it, as long as that takes. */
static void asked_again(void)
{
	w.todo_cnt = w.todo_done = 0;
	spin_ms = 100;
	UNTIL(last_rqnt("aaln/1") != NULL);
	spin_ms = 1;
	rest();
}

/* Left off its hook: silence, no new dial tone, and no call that waits for it; whatever happens, that it is put back is noticed. */
static void test_left_off_hook(void)
{
	begin(CP_LINE_FXS);
	dials("5");
	CU_ASSERT_EQUAL(the_state(), CALL_FAILED);
	timer_fires();
	CU_ASSERT_EQUAL(the_state(), -1);
	nothing_left();
	CU_ASSERT_EQUAL(cp_gw_calls(gw1()), 0);
	CU_ASSERT(hears("") && strcmp(last_rqnt("aaln/1")->events, "L/hu(N)") == 0);
	CU_ASSERT_EQUAL(state_of("aaln/1"), CP_EP_OFF_HOOK);
	CU_ASSERT_PTR_NULL(cp_gw_free_endpoint(gw1(), "aaln/1"));
	CU_ASSERT_STRING_EQUAL(cp_gw_free_endpoint(gw1(), ""), "aaln/2");
	CU_ASSERT_TRUE(cp_gw_able(gw1()));
	says("aaln/1", "L/hu");
	CU_ASSERT_TRUE(armed("aaln/1"));
	CU_ASSERT_EQUAL(state_of("aaln/1"), CP_EP_IN_SERVICE);
	/* the gateway does not take the request; then the phone is on its hook already */
	dials("5");
	w.say[DP_MGCP_RQNT].code = 405;
	timer_fires();
	CU_ASSERT_EQUAL(the_state(), -1);
	CU_ASSERT_EQUAL(state_of("aaln/1"), CP_EP_OFF_HOOK);
	w.say[DP_MGCP_RQNT].code = 402;
	gw_hook = once;
	asked_again();
	gw_hook = NULL;
	CU_ASSERT_EQUAL(state_of("aaln/1"), CP_EP_IN_SERVICE);
	CU_ASSERT_TRUE(armed("aaln/1"));
	/* its SA goes at that moment */
	dials("5");
	cp_gws_sa_changed(w.gws, cp_gw_id(gw1()), false);
	timer_fires();
	CU_ASSERT_EQUAL(the_state(), -1);
	w.todo_cnt = w.todo_done = 0;
	cp_gws_sa_changed(w.gws, cp_gw_id(gw1()), true);
	UNTIL(last_rqnt("aaln/1") != NULL);
	rest();
	CU_ASSERT_STRING_EQUAL(last_rqnt("aaln/1")->events, "L/hu(N)");
	/* and it restarts: what its hook is, it says */
	gw_event(DP_MGCP_RSIP, "*", "", "restart");
	rest();
	CU_ASSERT_EQUAL(state_of("aaln/1"), CP_EP_IN_SERVICE);
	CU_ASSERT_TRUE(armed("aaln/1"));
	/* no analog phone any more */
	dials("5");
	timer_fires();
	CU_ASSERT_EQUAL(state_of("aaln/1"), CP_EP_OFF_HOOK);
	line = CP_LINE_NONE;
	set_gateway(0, CP_ADMIN_IN_SERVICE);
	CU_ASSERT_EQUAL(state_of("aaln/1"), CP_EP_IN_SERVICE);
	CU_ASSERT_STRING_EQUAL(cp_gw_free_endpoint(gw1(), "aaln/1"), "aaln/1");
	world_end();
}

/* An event uses up its request: whatever comes of it, who calls next is heard. */
static void test_not_deaf(void)
{
	begin(CP_LINE_FXS);
	/* no room for a call of a gateway */
	w.calls->count += CALL_SLOTS * 7 / 8;
	w.todo_cnt = w.todo_done = 0;
	gw_event(DP_MGCP_NTFY, "aaln/1", CP_GW_ARM_ID, "L/hd");
	rest();
	CU_ASSERT_EQUAL(the_state(), -1);
	CU_ASSERT_PTR_NULL(last_rqnt("aaln/1")); /* not at once: it would be said again at once */
	w.calls->count -= CALL_SLOTS * 7 / 8;
	asked_again();
	CU_ASSERT_TRUE(armed("aaln/1"));
	/* nothing that begins a call */
	gw_event(DP_MGCP_NTFY, "aaln/1", CP_GW_ARM_ID, "L/hu");
	rest();
	asked_again();
	CU_ASSERT_TRUE(armed("aaln/1"));
	/* 4xx pass by */
	w.say[DP_MGCP_RQNT].code = 409;
	gw_event(DP_MGCP_RSIP, "aaln/1", "", "restart");
	rest();
	w.say[DP_MGCP_RQNT].code = 0;
	asked_again();
	CU_ASSERT_TRUE(armed("aaln/1"));
	/* 5xx do not */
	w.say[DP_MGCP_RQNT].code = 512;
	gw_event(DP_MGCP_RSIP, "aaln/1", "", "restart");
	rest();
	w.say[DP_MGCP_RQNT].code = 0;
	w.todo_cnt = w.todo_done = 0;
	spin_ms = 1000;
	for (int i = 0; i < 120; i++)
		spin();
	spin_ms = 1;
	CU_ASSERT_PTR_NULL(last_rqnt("aaln/1"));
	world_end();
}

/* --- digits by a map, or in a loop --- */

/* The requests with more than events and signals, and the last of them. */
static unsigned asks_of(uint8_t verb, struct dp_mgcp_ask *ret)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w.fake.n; i++) {
		struct dp_mgcp_ask a;

		memcpy(&a, &w.fake.log[i], sizeof(a));
		if (a.hdr.type != DP_MSG_MGCP_ASK || a.verb != verb)
			continue;
		*ret = a;
		n++;
	}
	return n;
}

static unsigned asks(struct dp_mgcp_ask *ret)
{
	return asks_of(DP_MGCP_RQNT, ret);
}

static void observed(const struct dp_mgcp_ask *a, const char *what)
{
	w.fake.n = 0;
	w.todo_cnt = w.todo_done = 0;
	gw_event(DP_MGCP_NTFY, a->endpoint, a->request_id, what);
	rest();
}

/* A phone goes off its hook; what its gateway is asked. */
static void off_hook(const char *digit_map, uint8_t q, struct dp_mgcp_ask *ret, const char *params)
{
	map = digit_map;
	quarantine = q;
	begin(CP_LINE_FXS);
	w.fake.n = 0;
	says("aaln/1", "L/hd");
	CU_ASSERT_EQUAL_FATAL(the_state(), CALL_DIALING);
	CU_ASSERT_EQUAL_FATAL(asks(ret), 1);
	CU_ASSERT_STRING_EQUAL(ret->params, params);
	CU_ASSERT_STRING_EQUAL(ret->endpoint, "aaln/1");
}

static void back(void)
{
	if (the_state() != -1) {
		gw_event(DP_MGCP_NTFY, "aaln/1", the_call()->p[0].request_id, "L/hu");
		rest();
	}
	CU_ASSERT_EQUAL(the_state(), -1);
	map = "";
	quarantine = CP_GW_Q_STEP;
	w.ask_code[DP_MGCP_RQNT] = 0;
	world_end();
}

#define MAP "(0T|1xxx|2x.T)"

static void test_digit_map(void)
{
	struct dp_mgcp_ask a = {0}, b = {0};

	/* all digits in one notification */
	off_hook(MAP, CP_GW_Q_STEP, &a, "R: L/hu(N),D/[0-9*#T](D)\nS: L/dl\nD: " MAP "\n");
	observed(&a, "D/1,D/0,D/0,D/1");
	CU_ASSERT_EQUAL_FATAL(the_state(), CALL_ALERTING);
	CU_ASSERT_TRUE(hears("G/rt"));
	CU_ASSERT_EQUAL(asks(&b), 0); /* nothing more is collected */
	says("aaln/1", "L/hu");
	CU_ASSERT_EQUAL(the_state(), -1);
	CU_ASSERT_TRUE(armed("aaln/1"));
	back();
	/* its map is shorter than the number: the rest is collected by it, too, without another dial tone */
	off_hook(MAP, CP_GW_Q_STEP, &a, "R: L/hu(N),D/[0-9*#T](D)\nS: L/dl\nD: " MAP "\n");
	observed(&a, "D/1,D/0");
	CU_ASSERT_EQUAL(the_state(), CALL_DIALING);
	CU_ASSERT_EQUAL_FATAL(asks(&b), 1);
	CU_ASSERT_STRING_EQUAL(b.params, "R: L/hu(N),D/[0-9*#T](D)\nD: " MAP "\n");
	observed(&b, "D/0,D/1");
	CU_ASSERT_EQUAL(the_state(), CALL_ALERTING);
	back();
	/* its timer: that is all, whatever longer numbers there are */
	off_hook(MAP, CP_GW_Q_STEP, &a, "R: L/hu(N),D/[0-9*#T](D)\nS: L/dl\nD: " MAP "\n");
	observed(&a, "D/1,D/0,T");
	CU_ASSERT_EQUAL(the_state(), CALL_FAILED);
	CU_ASSERT_TRUE(hears("L/ro"));
	back();
	/* the timer alone: asked again */
	off_hook(MAP, CP_GW_Q_STEP, &a, "R: L/hu(N),D/[0-9*#T](D)\nS: L/dl\nD: " MAP "\n");
	observed(&a, "D/T");
	CU_ASSERT_EQUAL(the_state(), CALL_DIALING);
	CU_ASSERT_EQUAL(asks(&b), 1);
	back();
}

/* A gateway that takes no map tells each digit, as one without. */
static void test_no_map(void)
{
	static const uint16_t codes[] = {508, 511, 519, 537};

	for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		map = MAP;
		begin(CP_LINE_FXS);
		w.ask_code[DP_MGCP_RQNT] = codes[i];
		dials("1001");
		CU_ASSERT_EQUAL(the_state(), CALL_ALERTING);
		back();
	}
	/* "not now" is no such answer */
	map = MAP;
	begin(CP_LINE_FXS);
	w.ask_code[DP_MGCP_RQNT] = 400;
	says("aaln/1", "L/hd");
	CU_ASSERT_EQUAL(the_state(), CALL_DIALING);
	spin_ms = 100;
	UNTIL(the_state() == -1);
	spin_ms = 1;
	rest();
	back();
}

static void test_loop(void)
{
	struct dp_mgcp_ask a = {0}, b = {0};

	off_hook("", CP_GW_Q_LOOP, &a, "R: L/hu(N),D/[0-9*#](N)\nS: L/dl\nQ: process,loop\n");
	for (const char *d = "100"; *d != '\0'; d++) {
		char o[] = {'D', '/', *d, '\0'};

		observed(&a, o);
		CU_ASSERT_EQUAL(the_state(), CALL_DIALING);
		CU_ASSERT_EQUAL(asks(&b) + w.todo_cnt, 0); /* the request stands */
	}
	observed(&a, "D/1");
	CU_ASSERT_EQUAL(the_state(), CALL_ALERTING);
	CU_ASSERT_TRUE(hears("G/rt"));
	back();
	off_hook(MAP, CP_GW_Q_LOOP, &a, "R: L/hu(N),D/[0-9*#T](D)\nS: L/dl\nQ: process,loop\nD: " MAP "\n");
	back();
}

/* What its lines speak is said when it comes up, and when it restarts; not without end. */
static void test_bearer(void)
{
	struct cp_gateway g = {.name = "x", .region = "r"};
	struct dp_mgcp_ask a = {0};
	char why[200];

	begin(CP_LINE_FXS);
	CU_ASSERT_EQUAL(asks_of(DP_MGCP_EPCF, &a), 0);
	bearer = CP_GW_B_A;
	w.fake.n = 0;
	set_gateway(0, CP_ADMIN_IN_SERVICE);
	CU_ASSERT_EQUAL_FATAL(asks_of(DP_MGCP_EPCF, &a), 1);
	CU_ASSERT_STRING_EQUAL(a.endpoint, "*");
	CU_ASSERT_STRING_EQUAL(a.params, "B: e:A\n");
	set_gateway(0, CP_ADMIN_IN_SERVICE); /* as before */
	CU_ASSERT_EQUAL(asks_of(DP_MGCP_EPCF, &a), 1);
	bearer = CP_GW_B_MU;
	w.fake.n = 0;
	w.ask_code[DP_MGCP_EPCF] = 400;
	set_gateway(0, CP_ADMIN_IN_SERVICE);
	CU_ASSERT_EQUAL_FATAL(asks_of(DP_MGCP_EPCF, &a), 1);
	CU_ASSERT_STRING_EQUAL(a.params, "B: e:mu\n");
	w.ask_code[DP_MGCP_EPCF] = 0;
	spin_ms = 100;
	UNTIL(asks_of(DP_MGCP_EPCF, &a) == 2);
	spin_ms = 1;
	rest();
	/* refused for good, by the gateway and by the dataplane: not before its next restart, and nothing else waits for it */
	for (int refused = 0; refused < 2; refused++) {
		w.fake.n = 0;
		w.ask_code[DP_MGCP_EPCF] = refused == 0 ? 504 : 0;
		w.refuse_type = refused == 0 ? 0 : DP_MSG_MGCP_ASK;
		w.refuse_rc = -EBADMSG;
		if (refused == 0) {
			gw_event(DP_MGCP_RSIP, "*", "", "restart");
			rest();
		} else {
			bearer = CP_GW_B_A;
			set_gateway(0, CP_ADMIN_IN_SERVICE);
		}
		w.refuse_type = 0;
		spin_ms = 1000;
		for (int i = 0; i < 120; i++)
			spin();
		spin_ms = 1;
		CU_ASSERT_EQUAL(asks_of(DP_MGCP_EPCF, &a), 1);
		CU_ASSERT_TRUE(armed("aaln/1"));
	}
	bearer = CP_GW_B_NONE;
	world_end();
	/* records */
	cfg_addr_parse("10.0.0.1:2427", &g.address);
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), 0);
	strcpy(g.digit_map, "1xxx|0T");
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), -EINVAL);
	strcpy(g.digit_map, "(1xxx|0T)");
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), 0);
	g.bearer = CP_GW_B_CNT;
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), -EINVAL);
	g.bearer = 0;
	g.quarantine = CP_GW_Q_CNT;
	CU_ASSERT_EQUAL(cp_gateway_check(&g, why, sizeof(why)), -EINVAL);
}

/* "Not now" to what rings, watches or opens a connection: said again, three times, and then it is an answer. */
static void test_said_again(void)
{
	static const uint8_t verbs[] = {DP_MGCP_RQNT, DP_MGCP_MDCX};
	struct dp_mgcp_ask a = {0};

	for (unsigned i = 0; i < 4; i++) {
		uint8_t verb = verbs[i % 2];
		bool for_good = i >= 2;

		begin(CP_LINE_FXS);
		w.say[verb].code = 400;
		w.todo_cnt = w.todo_done = 0;
		cp_calls_phone_ops.enbloc(w.calls, &pa, "77", 1);
		if (verb == DP_MGCP_MDCX) {
			UNTIL(the_state() == CALL_ALERTING);
			gw_event(DP_MGCP_NTFY, the_call()->p[1].endpoint, the_call()->p[1].request_id, "L/hd");
			UNTIL(pa.smt == 1);
			ack_media(&pa);
		}
		UNTIL(gw_saw(verb, NULL) >= 1);
		rest();
		if (!for_good)
			w.say[verb].code = 0;
		spin_ms = 50;
		if (for_good)
			UNTIL(the_state() == CALL_FAILED || the_state() == -1);
		else
			UNTIL(the_state() == (verb == DP_MGCP_MDCX ? CALL_CONNECTED : CALL_ALERTING));
		spin_ms = 1;
		rest();
		onhook(&pa);
		rest();
		w.say[verb].code = 0;
		world_end();
	}
	/* digits */
	map = MAP;
	begin(CP_LINE_FXS);
	w.ask_code[DP_MGCP_RQNT] = 409;
	w.fake.n = 0;
	says("aaln/1", "L/hd");
	CU_ASSERT_EQUAL(asks(&a), 1);
	w.ask_code[DP_MGCP_RQNT] = 0;
	spin_ms = 50;
	UNTIL(asks(&a) == 2);
	spin_ms = 1;
	rest();
	CU_ASSERT_PTR_NOT_NULL(strstr(a.params, "S: L/dl"));
	observed(&a, "D/1,D/0,D/0,D/1");
	CU_ASSERT_EQUAL(the_state(), CALL_ALERTING);
	back();
	/* hung up meanwhile: nothing is left of it */
	begin(CP_LINE_FXS);
	w.say[DP_MGCP_RQNT].code = 400;
	cp_calls_phone_ops.enbloc(w.calls, &pa, "77", 1);
	UNTIL(gw_saw(DP_MGCP_RQNT, NULL) >= 1);
	rest();
	onhook(&pa);
	rest();
	CU_ASSERT_EQUAL(the_state(), -1);
	w.say[DP_MGCP_RQNT].code = 0;
	world_end();
}

static CU_TestInfo tests[] = {
	{"an analog phone calls a phone", test_to_a_phone},
	{"tones", test_tones},
	{"an analog phone calls another", test_to_a_gateway},
	{"a line of the network", test_network_line},
	{"SRTP, RTP, none", test_srtp},
	{"new keys in both directions", test_rekey},
	{"restart", test_restart},
	{"who called is a caller after a restart", test_caller_still},
	{"left off its hook", test_left_off_hook},
	{"not deaf", test_not_deaf},
	{"what is lost", test_lost},
	{"what is not taken", test_not_taken},
	{"digits by a map", test_digit_map},
	{"a gateway without maps", test_no_map},
	{"digits in a loop", test_loop},
	{"what its lines speak", test_bearer},
	{"not now", test_said_again},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("inbound", tests, NULL, NULL)
