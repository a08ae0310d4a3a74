/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/gateway/agents.c: several call agents of one gateway, whom its endpoints notify (RFC 3435 s2.1.4, s4.4). */
#include "call_fix.h"
#include "gateway/gwint.h"

static char us[] = "ca1@[10.0.0.1]", partner[] = "ca2@ca2.example", third[] = "[10.0.0.3]:2800";
static char *names[] = {us, partner, third};

static struct cp_gw *gw(void)
{
	return cp_gws_find(w.gws, "ag");
}

static void put(uint8_t admin, uint8_t line)
{
	struct cp_endpoint ep[] = {{.name = "aaln/1"}, {.name = "aaln/2"}};
	struct cp_gateway g = {.name = "ag", .region = "default", .endpoints = ep, .endpoint_cnt = 2, .admin = admin, .line = line};

	cfg_addr_parse("10.0.1.9:2427", &g.address);
	synced(cp_dir_gateway_put(w.store, &g, true, &dir_ctx));
	cp_gws_changed(w.gws, "ag");
	rest();
}

/* The answer to each audit of an endpoint. */
static void notifies(const char *who)
{
	static char text[100];

	snprintf(text, sizeof(text), "N: %s\n", who);
	w.lists[DP_MGCP_AUEP] = text;
}

static void begin(const char *who, uint8_t claim, uint8_t line)
{
	world_begin();
	cp_gws_agents(w.gws, names, 3, claim);
	notifies(who);
	w.todo_cnt = w.todo_done = w.fake.n = 0;
	put(CP_ADMIN_IN_SERVICE, line);
	cp_gws_sa_changed(w.gws, cp_gw_id(gw()), true);
	rest();
}

static void end(void)
{
	w.lists[DP_MGCP_AUEP] = NULL;
	world_end();
}

static unsigned sent(uint8_t verb, const char *endpoint)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w.todo_cnt; i++)
		n += w.todo[i].verb == verb && w.todo[i].gw_id == cp_gw_id(gw()) && strcmp(w.todo[i].endpoint, endpoint) == 0;
	return n;
}

static bool alarm_stands(void)
{
	return cp_alarm_find(w.alarms, "gateway-other-agent", "ag") != NULL;
}

static void test_whose(void)
{
	static const struct {
		const char *who;
		enum gw_whose whose;
	} rows[] = {
		{"", GW_OURS},
		{"ca1@[10.0.0.1]:2727", GW_OURS},
		{"10.0.0.1", GW_OURS},
		{"other@10.0.0.1:2727", GW_OURS}, /* who it is on our host is our business */
		{"ca1@[10.0.0.1]:2427", GW_LOST},
		{"[10.0.0.1]:2", GW_LOST},
		{"ca2@ca2.example:2727", GW_PARTNERS},
		{"CA2.EXAMPLE", GW_PARTNERS},
		{"ca2@ca2.example:2728", GW_OTHERS},
		{"x@10.0.0.3:2800", GW_PARTNERS},
		{"x@10.0.0.3", GW_OTHERS},
		{"ca3.example", GW_OTHERS},
		{"[10.0.0.1", GW_OTHERS},
		{"@", GW_OTHERS},
		{"a@:2727", GW_OTHERS},
	};

	begin("", CFG_CLAIM_PARTNERS, CP_LINE_NONE);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (agents_whose(gw(), rows[i].who) != rows[i].whose)
			fprintf(stderr, "%s\n", rows[i].who);
		CU_ASSERT_EQUAL(agents_whose(gw(), rows[i].who), rows[i].whose);
	}
	cp_gws_agents(w.gws, NULL, 0, 0);
	CU_ASSERT_EQUAL(agents_whose(gw(), "ca3.example"), GW_OURS); /* nobody asks */
	end();
}

/* N: is told to the dataplane; who is not served here is sent to the first partner. */
static void test_told(void)
{
	const union fake_msg *m = NULL;

	begin("ca1@[10.0.0.1]:2727", CFG_CLAIM_PARTNERS, CP_LINE_FXS);
	CU_ASSERT_FATAL(fake_seen(&w.fake, DP_MSG_GW_SET, &m) > 0);
	CU_ASSERT_STRING_EQUAL(m->gw.agent, us);
	CU_ASSERT_STRING_EQUAL(m->gw.notified, partner);
	CU_ASSERT(sent(DP_MGCP_RQNT, "aaln/1") == 1 && sent(DP_MGCP_RQNT, "aaln/2") == 1);
	CU_ASSERT_EQUAL(agents_elsewhere(gw()), 0);
	CU_ASSERT_EQUAL(sent(DP_MGCP_DLCX, "*"), 0); /* others may have calls there */
	CU_ASSERT_EQUAL(sent(DP_MGCP_DLCX, "aaln/1"), 1);
	put(CP_ADMIN_DRAIN, CP_LINE_FXS);
	{
		struct dp_mgcp_event e = {.token = 9, .gw_id = cp_gw_id(gw()), .verb = DP_MGCP_RSIP, .endpoint = "*", .restart_method = "restart"};

		fake_send(&w.fake, &e, DP_MSG_MGCP_EVENT, sizeof(e), 0);
		rest();
	}
	CU_ASSERT_FATAL(fake_seen(&w.fake, DP_MSG_MGCP_ACK, &m) > 0);
	CU_ASSERT_EQUAL(m->ack.code, 521);
	end();
}

static void test_claimed(void)
{
	static const struct {
		const char *who;
		uint8_t claim;
		bool claimed;
	} rows[] = {
		{"ca2@ca2.example:2727", CFG_CLAIM_PARTNERS, true}, {"ca3.example", CFG_CLAIM_PARTNERS, false}, {"ca3.example", CFG_CLAIM_ANY, true},
		{"ca2@ca2.example:2727", CFG_CLAIM_NONE, false},    {"[10.0.0.1]:9", CFG_CLAIM_NONE, true},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(rows[i].who, rows[i].claim, CP_LINE_NONE);
		CU_ASSERT_EQUAL(sent(DP_MGCP_RQNT, "aaln/1"), rows[i].claimed); /* says N:, watches for nothing */
		CU_ASSERT_EQUAL(sent(DP_MGCP_DLCX, "aaln/1"), rows[i].claimed);
		CU_ASSERT_EQUAL(gw()->claimed, rows[i].claimed ? 2 : 0);
		for (unsigned k = 0; k < w.todo_cnt; k++)
			if (w.todo[k].verb == DP_MGCP_RQNT && w.todo[k].gw_id == cp_gw_id(gw()))
				CU_ASSERT_STRING_EQUAL(w.todo[k].events, "");
		CU_ASSERT_EQUAL(cp_gw_ep_state(gw(), "aaln/1"), rows[i].claimed ? CP_EP_IN_SERVICE : CP_EP_ELSEWHERE);
		CU_ASSERT_EQUAL(cp_gw_able(gw()), rows[i].claimed);
		CU_ASSERT_EQUAL(alarm_stands(), !rows[i].claimed);
		CU_ASSERT_STRING_EQUAL(gw()->notified, rows[i].who);
		end();
	}
}

/* Left to another agent: gets no call, no request, no delete; is asked again, and is ours when it says so. */
static void test_left_and_back(void)
{
	begin("ca3.example", CFG_CLAIM_PARTNERS, CP_LINE_FXS);
	CU_ASSERT_EQUAL(agents_elsewhere(gw()), 2);
	CU_ASSERT_PTR_NULL(cp_gw_free_endpoint(gw(), ""));
	CU_ASSERT_EQUAL(sent(DP_MGCP_RQNT, "aaln/1") + sent(DP_MGCP_DLCX, "aaln/1") + sent(DP_MGCP_DLCX, "*"), 0);
	CU_ASSERT_TRUE(alarm_stands());
	notifies("ca1@10.0.0.1");
	STEP_UNTIL(cp_gw_ep_state(gw(), "aaln/2") == CP_EP_IN_SERVICE && cp_gw_ep_state(gw(), "aaln/1") == CP_EP_IN_SERVICE, (time_pass(100), spin()));
	rest();
	CU_ASSERT_EQUAL(sent(DP_MGCP_RQNT, "aaln/1"), 1);
	CU_ASSERT_FALSE(alarm_stands());
	end();
}

/* A gateway names another agent in what it says by itself, or refuses a call as another's: it is asked. */
static void test_mentioned(void)
{
	struct dp_mgcp_event e = {.token = 5, .verb = DP_MGCP_NTFY, .endpoint = "aaln/2", .request_id = "77", .observed = "L/hu", .notified = "ca3.example"};
	struct dp_mgcp_done d = {.verb = DP_MGCP_CRCX, .code = 521};
	uint64_t failures;

	begin("ca1@10.0.0.1:2727", CFG_CLAIM_PARTNERS, CP_LINE_NONE);
	CU_ASSERT_EQUAL(agents_elsewhere(gw()), 0);
	notifies("ca3.example");
	e.gw_id = cp_gw_id(gw());
	fake_send(&w.fake, &e, DP_MSG_MGCP_EVENT, sizeof(e), 0);
	UNTIL(cp_gw_ep_state(gw(), "aaln/2") == CP_EP_ELSEWHERE);
	rest();
	CU_ASSERT_EQUAL(cp_gw_ep_state(gw(), "aaln/1"), CP_EP_IN_SERVICE);
	CU_ASSERT_TRUE(alarm_stands());
	/* 521 to a command of ours: only RSIP is sent elsewhere by it; no failure of the gateway */
	failures = gw()->failures;
	d.gw_id = cp_gw_id(gw());
	cp_gws_mgcp_done(w.gws, &d);
	UNTIL(cp_gw_ep_state(gw(), "aaln/1") == CP_EP_ELSEWHERE);
	CU_ASSERT_EQUAL(gw()->failures, failures);
	/* its record goes: the alarm with it */
	synced(cp_dir_gateway_del(w.store, "ag", &dir_ctx));
	cp_gws_changed(w.gws, "ag");
	CU_ASSERT_FALSE(alarm_stands());
	end();
}

/* Drained: nothing is taken over; restored: it is, though nobody else has said anything. */
static void test_takeover(void)
{
	begin("ca1@10.0.0.1:2727", CFG_CLAIM_PARTNERS, CP_LINE_NONE);
	put(CP_ADMIN_DRAIN, CP_LINE_NONE);
	notifies("ca2@ca2.example:2727");
	gw()->state = CP_GW_DOWN;
	gw_state(gw(), CP_GW_UP); /* it was away: asked again */
	UNTIL(agents_elsewhere(gw()) == 2);
	CU_ASSERT_EQUAL(gw()->claimed, 0);
	put(CP_ADMIN_IN_SERVICE, CP_LINE_NONE);
	UNTIL(gw()->claimed == 2);
	rest();
	CU_ASSERT_EQUAL(agents_elsewhere(gw()), 0);
	CU_ASSERT_FALSE(alarm_stands());
	end();
}

static CU_TestInfo tests[] = {
	{"whose an endpoint is", test_whose},
	{"N: and 521", test_told},
	{"taken over by policy", test_claimed},
	{"left, and back", test_left_and_back},
	{"another agent is mentioned", test_mentioned},
	{"taken over when an operator says so", test_takeover},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	(void)timer_fires;
	return 0;
}

#include "suite.h"
SUITE_MAIN("agents", tests, setup, NULL)
