/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/gateway/farm.c, health.c, endpoint.c, audit.c, and what call control makes of them. */
/* Rows: 004b:MGCP-02, 004b:MGCP-06, 004c:MG-06, 004c:MG-11. */
#include "call_fix.h"
#include "gateway/gwint.h"
#include "gateway/health.h"

/* --- the choice itself, beside a slow and obvious one --- */

#define N 60

static struct cp_farm_member members[N];

static struct cp_farm_member *naive(const char (*group)[8], const char *of, struct cp_farm_member *const *but, unsigned n)
{
	struct cp_farm_member *best = NULL;

	for (unsigned i = 0; i < N; i++) {
		struct cp_farm_member *m = &members[i];
		bool skip = !m->able || m->calls >= m->capacity || strcmp(group[i], of) != 0;
		double load = (m->calls + 1.0) / m->weight, least = best != NULL ? (best->calls + 1.0) / best->weight : 0;

		for (unsigned b = 0; b < n; b++)
			skip |= but[b] == m;
		if (!skip && (best == NULL || m->priority < best->priority ||
			      (m->priority == best->priority && (load < least || (load == least && m->turn < best->turn)))))
			best = m;
	}
	return best;
}

static void test_choice(void)
{
	static const char *const names[] = {"a", "b", ""};
	static char group[N][8];
	struct cp_farm *f = cp_farm_create();
	unsigned found = 0, none = 0;

	memset(members, 0, sizeof(members));
	memset(group, 0, sizeof(group));
	srand(7);
	for (unsigned round = 0; round < 40000; round++) {
		unsigned i = (unsigned)rand() % N, what = (unsigned)rand() % 12;
		struct cp_farm_member *m = &members[i], *but[3], *is, *should;

		if (what == 0) {
			strcpy(group[i], names[rand() % 3]);
			CU_ASSERT_EQUAL(cp_farm_join(f, m, group[i], 1 + (unsigned)rand() % 4, 1 << rand() % 6, 1 + (unsigned)rand() % 8), 0);
		} else if (what == 1) {
			cp_farm_able(m, rand() % 3 != 0);
		} else if (what < 5) {
			cp_farm_call(m, -1);
		} else if (what == 5) {
			cp_farm_capacity(m, (unsigned)rand() % 8);
		} else {
			const char *of = names[rand() % 2];
			unsigned n = (unsigned)rand() % 4;

			for (unsigned b = 0; b < n; b++)
				but[b] = &members[rand() % N];
			should = naive((const char(*)[8])group, of, but, n);
			is = cp_farm_pick(f, of, but, n, NULL);
			CU_ASSERT_PTR_EQUAL(is, should);
			found += is != NULL;
			none += is == NULL;
			if (is != NULL)
				cp_farm_call(is, 1);
		}
	}
	CU_ASSERT(found > 5000 && none > 50);
	for (unsigned i = 0; i < N; i++)
		cp_farm_join(f, &members[i], "", 1, 1, 1);
	CU_ASSERT_PTR_NULL(cp_farm_pick(f, "a", NULL, 0, NULL));
	cp_farm_destroy(f);
}

/* By weight: of 600 calls those of weight 1, 2, 3 get 100, 200, 300; the next priority gets none before they are full. */
static void test_proportion(void)
{
	struct cp_farm *f = cp_farm_create();
	struct cp_farm_member m[4] = {{0}};

	for (unsigned i = 0; i < 4; i++) {
		cp_farm_able(&m[i], true);
		cp_farm_join(f, &m[i], "g", i < 3 ? 1 : 2, i < 3 ? i + 1 : 1000, i < 3 ? 100 * (i + 1) : 1000);
	}
	for (unsigned c = 0; c < 600; c++)
		cp_farm_call(cp_farm_pick(f, "g", NULL, 0, NULL), 1);
	CU_ASSERT(m[0].calls == 100 && m[1].calls == 200 && m[2].calls == 300 && m[3].calls == 0);
	CU_ASSERT_PTR_EQUAL(cp_farm_pick(f, "g", NULL, 0, NULL), &m[3]); /* overflow */
	cp_farm_call(&m[1], -1);
	CU_ASSERT_PTR_EQUAL(cp_farm_pick(f, "g", NULL, 0, NULL), &m[1]);
	for (unsigned i = 0; i < 4; i++)
		cp_farm_join(f, &m[i], "", 1, 1, 1);
	cp_farm_destroy(f);
}

static void test_breaker(void)
{
	struct cp_health h = {0};

	for (int i = 0; i < 4; i++)
		CU_ASSERT_FALSE(cp_health_failed(&h, false, 1000 + i));
	CU_ASSERT_FALSE(cp_health_failed(&h, false, 40000)); /* a window later: counted anew */
	for (int i = 0; i < 3; i++)
		CU_ASSERT_FALSE(cp_health_failed(&h, false, 40001));
	CU_ASSERT_TRUE(cp_health_failed(&h, false, 40002));
	CU_ASSERT_EQUAL(h.state, CP_HEALTH_OPEN);
	CU_ASSERT_FALSE(cp_health_probe(&h, 40002 + CP_HEALTH_FIRST_MS - 1));
	CU_ASSERT_TRUE(cp_health_probe(&h, 40002 + CP_HEALTH_FIRST_MS));
	CU_ASSERT_FALSE(cp_health_probe(&h, 99999)); /* one probe at a time */
	CU_ASSERT_FALSE(cp_health_failed(&h, true, 50000)); /* it failed: twice as long */
	CU_ASSERT_FALSE(cp_health_probe(&h, 50000 + 2 * CP_HEALTH_FIRST_MS - 1));
	CU_ASSERT_TRUE(cp_health_probe(&h, 50000 + 2 * CP_HEALTH_FIRST_MS));
	CU_ASSERT_TRUE(cp_health_answered(&h, 60000));
	CU_ASSERT_FALSE(cp_health_answered(&h, 60000));
	CU_ASSERT_TRUE(cp_health_failed(&h, true, 61000)); /* soon again: it does not begin with the short time */
	CU_ASSERT_EQUAL(h.wait_ms, 4 * CP_HEALTH_FIRST_MS);
	CU_ASSERT_EQUAL(h.opened, 2);
	CU_ASSERT_TRUE(cp_health_probe(&h, 161000));
	CU_ASSERT_TRUE(cp_health_answered(&h, 161000));
	CU_ASSERT_TRUE(cp_health_failed(&h, true, 161000 + CP_HEALTH_CALM_MS));
	CU_ASSERT_EQUAL(h.wait_ms, CP_HEALTH_FIRST_MS);
	/* in a row: a success between them counts */
	h = (struct cp_health){0};
	for (int i = 0; i < 40; i++) {
		CU_ASSERT_FALSE(cp_health_failed(&h, false, 1000 + i));
		if (i % 4 == 3)
			cp_health_worked(&h);
	}
	for (int i = 0; i < 4; i++)
		CU_ASSERT_FALSE(cp_health_failed(&h, false, 2000));
	CU_ASSERT_TRUE(cp_health_failed(&h, false, 2000));
	cp_health_worked(&h); /* of a command from before */
	CU_ASSERT_EQUAL(h.state, CP_HEALTH_OPEN);
}

/* --- in a world --- */

static struct reply own[4][DP_MGCP_VERB_MAX];

static struct cp_gw *gw(const char *name)
{
	return cp_gws_find(w.gws, name);
}

static void put_gw(struct cp_gateway *g, const char *name, unsigned n, bool replace)
{
	struct cp_endpoint ep[8] = {{.name = "aaln/1"}, {.name = "aaln/2"}, {.name = "aaln/3"}, {.name = "aaln/4"}};
	char address[32];

	snprintf(g->name, sizeof(g->name), "%s", name);
	snprintf(address, sizeof(address), "10.0.1.%u:2427", n);
	cfg_addr_parse(address, &g->address);
	snprintf(g->region, sizeof(g->region), "default");
	g->endpoints = ep;
	g->endpoint_cnt = 4;
	synced(cp_dir_gateway_put(w.store, g, replace, &dir_ctx));
	cp_gws_changed(w.gws, name);
}

static void member(const char *name, unsigned n, unsigned priority, unsigned capacity)
{
	struct cp_gateway g = {.priority = (uint8_t)priority, .capacity = (uint16_t)capacity, .group = "pstn"};

	put_gw(&g, name, n, true);
	CU_ASSERT_FATAL(cp_gw_id(gw(name)) < 64 && n < 4);
	memset(own[n], 0, sizeof(own[n]));
	w.say_of[cp_gw_id(gw(name))] = own[n];
}

static void secured(const char *name, bool live)
{
	cp_gws_sa_changed(w.gws, cp_gw_id(gw(name)), live);
	rest();
}

/* Three gateways: f1 and f2 first, f3 if these are full. 8... leads to any of them. */
static void farm_begin(void)
{
	struct cp_pattern_target to = {.gateway = "@pstn"};
	struct cp_pattern p = {.pattern = "8!", .kind = CP_PATTERN_ROUTE, .targets = &to, .target_cnt = 1, .urgent = false};
	struct cp_change *c;

	world_of_three();
	member("f1", 1, 1, 2);
	member("f2", 2, 1, 2);
	member("f3", 3, 2, 1);
	for (int i = 1; i <= 3; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%d", i);
		secured(name, true);
	}
	c = cp_change_create(w.store);
	CU_ASSERT_EQUAL_FATAL(cp_change_pattern_put(c, &p, false, world_why, sizeof(world_why)), 0);
	synced(cp_change_submit(c, "pattern.add", "test", NULL, on_stored, NULL));
	rest();
	w.todo_cnt = w.todo_done = 0;
}

/* The gateways that were asked for a connection, in order: "12" is f1, then f2. */
static const char *asked_order(void)
{
	static char order[32];
	unsigned n = 0;

	for (unsigned i = 0; i < w.todo_cnt && n < 31; i++)
		if (w.todo[i].verb == DP_MGCP_CRCX)
			order[n++] = w.todo[i].gw_id == cp_gw_id(gw("f1")) ? '1' : w.todo[i].gw_id == cp_gw_id(gw("f2")) ? '2' : '3';
	order[n] = '\0';
	return order;
}

static bool alarm_is(const char *id, const char *object)
{
	return cp_alarm_find(w.alarms, id, object) != NULL;
}

static void test_spread_and_overflow(void)
{
	farm_begin();
	/* two of the three places of p1 are enough to see the order: pa, pb, pc call and stay */
	dial("8001");
	UNTIL(gw_saw(DP_MGCP_CRCX, NULL) == 1);
	cp_calls_phone_ops.enbloc(w.calls, &pb, "8002", 1);
	UNTIL(gw_saw(DP_MGCP_CRCX, NULL) == 2);
	rest();
	CU_ASSERT_STRING_EQUAL(asked_order(), "12"); /* spread */
	CU_ASSERT(cp_gw_calls(gw("f1")) == 1 && cp_gw_calls(gw("f2")) == 1);
	member("f1", 1, 1, 1);
	member("f2", 2, 1, 1); /* both are full now */
	cp_calls_phone_ops.enbloc(w.calls, &pc, "8003", 1);
	UNTIL(gw_saw(DP_MGCP_CRCX, NULL) == 3);
	CU_ASSERT_STRING_EQUAL(asked_order(), "123"); /* overflow */
	onhook(&pa);
	onhook(&pb);
	onhook(&pc);
	rest();
	CU_ASSERT(cp_gw_calls(gw("f1")) == 0 && cp_gw_calls(gw("f2")) == 0 && cp_gw_calls(gw("f3")) == 0);
	world_end();
}

/* CRCX fails with what another gateway may do better: it is asked, a bounded number of times; the caller hears nothing of it. */
static void test_retry(void)
{
	static const struct {
		uint8_t result;
		uint16_t code;
		bool again;
	} cases[] = {
		{DP_MGCP_ANSWERED, 403, true}, {DP_MGCP_ANSWERED, 400, true},  {DP_MGCP_ANSWERED, 502, true},
		{DP_MGCP_TIMEOUT, 0, true},    {DP_MGCP_OVERLOAD, 0, true},    {DP_MGCP_NO_SA, 0, true},
		{DP_MGCP_ANSWERED, 500, true}, {DP_MGCP_ANSWERED, 534, false}, {DP_MGCP_ANSWERED, 505, false},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned states;

		farm_begin();
		own[1][DP_MGCP_CRCX].result = own[2][DP_MGCP_CRCX].result = cases[i].result;
		own[1][DP_MGCP_CRCX].code = own[2][DP_MGCP_CRCX].code = cases[i].code;
		dial("8001");
		states = pa.states;
		rest();
		if (cases[i].again) {
			CU_ASSERT_STRING_EQUAL(asked_order(), "123");
			CU_ASSERT_EQUAL(the_state(), CALL_ALERTING);
			CU_ASSERT_STRING_EQUAL(the_call()->p[1].name, "f3");
			CU_ASSERT(pa.state == CP_SCCP_RINGOUT && pa.states <= states + 3);
			notify("X/none");
		} else {
			CU_ASSERT_EQUAL(the_state(), CALL_FAILED);
			for (const char *c = asked_order(); *c != '\0'; c++)
				CU_ASSERT_EQUAL(*c, '1'); /* other suites, but no other gateway */
		}
		/* An endpoint that is unknown there gets no call before it was found again. */
		if (cases[i].code == 500)
			CU_ASSERT_EQUAL(cp_gw_ep_state(gw("f1"), "aaln/1"), CP_EP_OUT);
		onhook(&pa);
		rest();
		world_end();
	}
	/* and where all fail, it ends */
	farm_begin();
	for (int i = 1; i <= 3; i++)
		own[i][DP_MGCP_CRCX].code = 403;
	dial("8001");
	UNTIL(the_state() == CALL_FAILED);
	rest();
	CU_ASSERT_STRING_EQUAL(asked_order(), "123");
	onhook(&pa);
	world_end();
}

/* Fail closed: no keyed CRCX to a gateway whose SA went; another one, or by policy RTP or none, with the reason and an alarm. */
static void test_no_sa(void)
{
	const struct dp_mgcp_cmd *c = NULL;

	farm_begin();
	w.cfg->media.fallback = CFG_FALLBACK_REFUSE;
	secured("f1", false);
	CU_ASSERT_TRUE(alarm_is("gateway-no-sa", "f1"));
	for (int i = 0; i < 3; i++) {
		dial("8001");
		UNTIL(the_state() == CALL_ALERTING);
		CU_ASSERT_STRING_EQUAL(the_call()->p[1].name, "f2");
		onhook(&pa);
		rest();
	}
	CU_ASSERT_STRING_EQUAL(asked_order(), "222");
	/* goes between the choice and the sending: the worker says so, the next one is asked */
	own[2][DP_MGCP_CRCX].result = DP_MGCP_NO_SA;
	w.todo_cnt = w.todo_done = 0;
	dial("8001");
	UNTIL(the_state() == CALL_ALERTING);
	CU_ASSERT_STRING_EQUAL(asked_order(), "23");
	CU_ASSERT_TRUE(alarm_is("gateway-no-sa", "f2"));
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 0);
	onhook(&pa);
	rest();
	/* goes before a repeat: what the first one may have made is deleted there */
	secured("f2", false);
	secured("f2", true);
	own[2][DP_MGCP_CRCX].tries = 2;
	w.todo_cnt = w.todo_done = 0;
	dial("8001");
	UNTIL(the_state() == CALL_ALERTING);
	CU_ASSERT_STRING_EQUAL(asked_order(), "23");
	secured("f2", false);
	secured("f2", true);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, &c), 1);
	CU_ASSERT(c->gw_id == cp_gw_id(gw("f2")) && c->conn_id[0] == '\0');
	own[2][DP_MGCP_CRCX].tries = 0;
	onhook(&pa);
	rest();
	/* nobody has one: refused, and who asks for the group is told why */
	secured("f2", false);
	secured("f3", false);
	w.todo_cnt = w.todo_done = 0;
	dial("8001");
	UNTIL(the_state() == CALL_FAILED);
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, NULL), 0);
	CU_ASSERT_STRING_EQUAL(pa.prompt, "No secure path");
	CU_ASSERT_EQUAL(the_call()->cause, CP_Q850_NO_BEARER);
	CU_ASSERT_TRUE(alarm_is("gateway-group-out", "pstn"));
	onhook(&pa);
	rest();
	secured("f3", true);
	CU_ASSERT_FALSE(alarm_is("gateway-group-out", "pstn"));
	secured("f3", false);
	/* policy RTP, and a gateway that may be spoken to without an SA: without any key */
	w.cfg->media.fallback = CFG_FALLBACK_RTP;
	{
		struct cp_gateway g = {.group = "pstn", .flags = CP_GW_CLEAR};

		put_gw(&g, "f2", 2, true);
	}
	own[2][DP_MGCP_CRCX].result = DP_MGCP_ANSWERED;
	rest();
	w.todo_cnt = w.todo_done = 0;
	dial("8001");
	UNTIL(the_state() == CALL_ALERTING);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, &c), 1);
	CU_ASSERT_EQUAL(c->gw_id, cp_gw_id(gw("f2")));
	CU_ASSERT_EQUAL(c->media.suite, DP_SRTP_NONE);
	for (unsigned i = 0; i < sizeof(c->media.key); i++)
		CU_ASSERT_EQUAL(c->media.key[i], 0);
	CU_ASSERT_EQUAL(call_security(the_call()), CP_SEC_NOT_SECURE);
	onhook(&pa);
	world_end();
}

/* Failures open it, it gets no calls; a probe closes it. Also one that nobody answered. */
static void test_breaker_routes(void)
{
	farm_begin();
	own[1][DP_MGCP_CRCX].code = 403;
	for (int i = 0; i < 40 && !alarm_is("gateway-breaker", "f1"); i++) {
		dial("8001");
		UNTIL(the_state() == CALL_ALERTING);
		onhook(&pa);
		rest();
	}
	CU_ASSERT_TRUE_FATAL(alarm_is("gateway-breaker", "f1"));
	CU_ASSERT_FALSE(cp_gw_able(gw("f1")));
	w.todo_cnt = w.todo_done = 0;
	for (int i = 0; i < 4; i++) {
		dial("8001");
		UNTIL(the_state() == CALL_ALERTING);
		onhook(&pa);
		rest();
	}
	CU_ASSERT_STRING_EQUAL(asked_order(), "2222");
	own[1][DP_MGCP_CRCX].code = 0;
	STEP_UNTIL(!alarm_is("gateway-breaker", "f1"), (time_pass(20), spin())); /* probed in its time */
	CU_ASSERT_TRUE(cp_gw_able(gw("f1")));
	CU_ASSERT_TRUE(gw_saw(DP_MGCP_AUEP, NULL) > 0);
	world_end();
}

/* What is not the gateway's fault, or has successes beside it, does not open it. */
static void test_breaker_stays(void)
{
	static const struct {
		uint8_t result;
		uint16_t code;
		bool but_one; /* in four */
	} cases[] = {{DP_MGCP_OVERLOAD, 0, false}, {DP_MGCP_BAD_ANSWER, 200, false}, {DP_MGCP_ANSWERED, 409, false}, {DP_MGCP_ANSWERED, 403, true}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned failed = 0;

		farm_begin();
		secured("f2", false);
		secured("f3", false);
		for (unsigned n = 0; n < 9; n++) {
			bool good = cases[i].but_one && n % 4 == 3;

			own[1][DP_MGCP_CRCX].result = good ? DP_MGCP_ANSWERED : cases[i].result;
			own[1][DP_MGCP_CRCX].code = good ? 0 : cases[i].code;
			w.todo_cnt = w.todo_done = 0;
			dial("8001");
			UNTIL(the_state() == (good ? CALL_ALERTING : CALL_FAILED));
			failed += gw_saw(DP_MGCP_CRCX, NULL) > 0 && !good;
			onhook(&pa);
			rest();
		}
		CU_ASSERT_EQUAL(failed, cases[i].but_one ? 7 : 9); /* it was asked each time */
		CU_ASSERT_TRUE(cp_gw_works(gw("f1")));
		CU_ASSERT_FALSE(alarm_is("gateway-breaker", "f1"));
		world_end();
	}
}

/* A worker says that it has no SA, though both are said to be live: nothing about them will change, so it is asked again. */
static void test_no_sa_once(void)
{
	farm_begin();
	own[1][DP_MGCP_CRCX].result = own[1][DP_MGCP_AUEP].result = DP_MGCP_NO_SA;
	dial("8001");
	UNTIL(the_state() == CALL_ALERTING);
	onhook(&pa);
	rest();
	CU_ASSERT_EQUAL(cp_gw_state(gw("f1")), CP_GW_NO_SA);
	w.todo_cnt = w.todo_done = 0;
	STEP_UNTIL(gw_saw(DP_MGCP_AUEP, NULL) >= 2, (time_pass(500), spin())); /* and once more */
	CU_ASSERT_EQUAL(cp_gw_state(gw("f1")), CP_GW_NO_SA);
	CU_ASSERT_TRUE(alarm_is("gateway-no-sa", "f1"));
	own[1][DP_MGCP_CRCX].result = own[1][DP_MGCP_AUEP].result = DP_MGCP_ANSWERED;
	STEP_UNTIL(cp_gw_state(gw("f1")) == CP_GW_UP, (time_pass(500), spin()));
	CU_ASSERT_TRUE(cp_gw_able(gw("f1")));
	CU_ASSERT_FALSE(alarm_is("gateway-no-sa", "f1"));
	world_end();
}

static bool all_asked(uint8_t verb)
{
	char name[8];
	bool all = true;

	for (int i = 1; i <= 4; i++) {
		bool one = false;

		snprintf(name, sizeof(name), "aaln/%d", i);
		for (unsigned k = 0; k < w.todo_cnt; k++)
			one |= w.todo[k].verb == verb && w.todo[k].gw_id == cp_gw_id(gw("f1")) && strcmp(w.todo[k].endpoint, name) == 0;
		all &= one;
	}
	return all;
}

/* A question that the dataplane refuses ends that question, not all of them; it comes up again. So does a probe. */
static void test_refused_question(void)
{
	struct cp_gateway g = {.group = "pstn", .priority = 1, .line = CP_LINE_FXS};

	farm_begin();
	own[1][DP_MGCP_RQNT].result = DP_MGCP_CANCELED;
	put_gw(&g, "f1", 1, true);
	STEP_UNTIL(all_asked(DP_MGCP_RQNT), (time_pass(10), spin()));
	rest();
	w.todo_cnt = w.todo_done = 0;
	own[1][DP_MGCP_RQNT].result = DP_MGCP_ANSWERED;
	STEP_UNTIL(all_asked(DP_MGCP_RQNT), (time_pass(500), spin()));
	rest();
	own[1][DP_MGCP_CRCX].result = own[1][DP_MGCP_DLCX].result = DP_MGCP_TIMEOUT;
	own[1][DP_MGCP_AUEP].result = DP_MGCP_CANCELED;
	secured("f2", false);
	secured("f3", false);
	time_pass(1000);
	dial("8001");
	UNTIL(the_state() == CALL_FAILED);
	onhook(&pa);
	rest();
	CU_ASSERT_TRUE(alarm_is("gateway-breaker", "f1"));
	w.todo_cnt = w.todo_done = 0;
	STEP_UNTIL(gw_saw(DP_MGCP_AUEP, NULL) >= 2, (time_pass(500), spin()));
	own[1][DP_MGCP_AUEP].result = own[1][DP_MGCP_DLCX].result = DP_MGCP_ANSWERED;
	STEP_UNTIL(!alarm_is("gateway-breaker", "f1"), (time_pass(500), spin()));
	CU_ASSERT_TRUE(cp_gw_able(gw("f1")));
	world_end();
}

static void rsip(const char *name, const char *endpoint, const char *method)
{
	struct dp_mgcp_event e = {.token = 1, .gw_id = cp_gw_id(gw(name)), .verb = DP_MGCP_RSIP};

	snprintf(e.endpoint, sizeof(e.endpoint), "%s", endpoint);
	snprintf(e.restart_method, sizeof(e.restart_method), "%s", method);
	fake_send(&w.fake, &e, DP_MSG_MGCP_EVENT, sizeof(e), 0);
	rest();
}

/* A command from before it came is over now: that it was not answered says nothing of who has spoken meanwhile. */
static void test_spoke_meanwhile(void)
{
	farm_begin();
	own[1][DP_MGCP_AUEP].result = DP_MGCP_TIMEOUT;
	w.say[DP_MGCP_AUEP].silent = true;
	rsip("f1", "aaln/4", "disconnected"); /* it is asked, and does not answer */
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_AUEP, NULL), 1);
	time_pass(1000);
	rsip("f1", "aaln/1", "restart");
	w.say[DP_MGCP_AUEP].silent = false;
	for (unsigned i = 0; i < w.todo_cnt; i++)
		if (w.todo[i].verb == DP_MGCP_AUEP)
			gw_answer(&w.todo[i]);
	rest();
	CU_ASSERT_EQUAL(gw("f1")->timeouts, 1);
	CU_ASSERT_EQUAL(cp_gw_state(gw("f1")), CP_GW_UP);
	CU_ASSERT_TRUE(cp_gw_able(gw("f1")));
	world_end();
}

static void test_service(void)
{
	struct cp_gateway g = {.group = "pstn", .capacity = 2, .admin = CP_ADMIN_DRAIN};

	farm_begin();
	own[2][DP_MGCP_CRCX].code = own[3][DP_MGCP_CRCX].code = 403;
	dial("8001");
	UNTIL(the_state() == CALL_ALERTING);
	CU_ASSERT_STRING_EQUAL(the_call()->p[1].name, "f1");
	put_gw(&g, "f1", 1, true); /* drained: goes on, gets no other */
	rest();
	CU_ASSERT_EQUAL(the_state(), CALL_ALERTING);
	w.todo_cnt = w.todo_done = 0;
	own[2][DP_MGCP_CRCX].code = 0;
	cp_calls_phone_ops.enbloc(w.calls, &pb, "8002", 1);
	UNTIL(gw_saw(DP_MGCP_CRCX, NULL) >= 1);
	rest();
	CU_ASSERT_STRING_EQUAL(asked_order(), "2");
	onhook(&pb);
	rest();
	g.admin = CP_ADMIN_OUT; /* out of service: ends, and is told so */
	w.todo_cnt = w.todo_done = 0;
	put_gw(&g, "f1", 1, true);
	UNTIL(cp_calls_count(w.calls) == 0);
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 1);
	CU_ASSERT_EQUAL(cp_gw_calls(gw("f1")), 0);
	world_end();
}

/* RSIP, RFC 3435 s2.3.12: what each method does to endpoints, and how they come back. */
static void test_endpoints(void)
{
	const struct dp_mgcp_cmd *c = NULL;

	farm_begin();
	CU_ASSERT_EQUAL(cp_gw_ep_state(gw("f1"), "AALN/3"), CP_EP_IN_SERVICE);
	rsip("f1", "aaln/3", "forced");
	CU_ASSERT_EQUAL(cp_gw_ep_state(gw("f1"), "aaln/3"), CP_EP_OUT);
	CU_ASSERT_PTR_NULL(cp_gw_free_endpoint(gw("f1"), "aaln/3"));
	rsip("f1", "aaln/3", "restart");
	CU_ASSERT_EQUAL(cp_gw_ep_state(gw("f1"), "aaln/3"), CP_EP_IN_SERVICE);
	rsip("f1", "*", "graceful");
	CU_ASSERT_EQUAL(cp_gw_ep_state(gw("f1"), "aaln/1"), CP_EP_LEAVING);
	CU_ASSERT_FALSE(cp_gw_able(gw("f1")));
	rsip("f1", "aaln/2", "cancel-graceful");
	CU_ASSERT_TRUE(cp_gw_able(gw("f1")));
	CU_ASSERT_STRING_EQUAL(cp_gw_free_endpoint(gw("f1"), ""), "aaln/2");
	rsip("f1", "aaln/*", "cancel-graceful");
	/* disconnected: asked, swept of what nobody owns, then in service */
	w.todo_cnt = w.todo_done = 0;
	rsip("f1", "aaln/4", "disconnected");
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_AUEP, &c), 2); /* the first one is what the gateway can */
	CU_ASSERT_STRING_EQUAL(c->endpoint, "aaln/4");
	CU_ASSERT(w.todo_cnt == 3 && w.todo[2].verb == DP_MGCP_DLCX && strcmp(w.todo[2].endpoint, "aaln/4") == 0);
	CU_ASSERT_EQUAL(cp_gw_ep_state(gw("f1"), "aaln/4"), CP_EP_IN_SERVICE);
	/* forced, and not back when it is asked: asked again in its time, until it is */
	own[1][DP_MGCP_AUEP].code = 501;
	rsip("f1", "aaln/4", "forced");
	w.todo_cnt = w.todo_done = 0;
	STEP_UNTIL(gw_saw(DP_MGCP_AUEP, NULL) >= 2, (time_pass(100), spin()));
	CU_ASSERT_EQUAL(cp_gw_ep_state(gw("f1"), "aaln/4"), CP_EP_OUT);
	own[1][DP_MGCP_AUEP].code = 0;
	STEP_UNTIL(cp_gw_ep_state(gw("f1"), "aaln/4") == CP_EP_IN_SERVICE, (time_pass(100), spin()));
	world_end();
}

/* What is not served here is told who serves it; RSIP with a delay. */
static void test_other_agent(void)
{
	struct cp_gateway g = {.group = "pstn", .admin = CP_ADMIN_DRAIN, .agent = "ca@ca2.example:2727"};
	const union fake_msg *m = NULL;
	struct dp_mgcp_event e = {.token = 1, .verb = DP_MGCP_RSIP, .endpoint = "*", .restart_method = "restart", .delay_s = 20};

	farm_begin();
	w.fake.n = 0;
	put_gw(&g, "f1", 1, true);
	rest();
	CU_ASSERT_EQUAL_FATAL(fake_seen(&w.fake, DP_MSG_GW_SET, &m), 1);
	CU_ASSERT_STRING_EQUAL(m->gw.notified, "ca@ca2.example:2727");
	rsip("f1", "*", "restart");
	CU_ASSERT_EQUAL_FATAL(fake_seen(&w.fake, DP_MSG_MGCP_ACK, &m), 1);
	CU_ASSERT_EQUAL(m->ack.code, 521);
	rsip("f1", "*", "forced"); /* asks for nothing */
	fake_seen(&w.fake, DP_MSG_MGCP_ACK, &m);
	CU_ASSERT_EQUAL(m->ack.code, 200);
	g.admin = CP_ADMIN_IN_SERVICE;
	put_gw(&g, "f1", 1, true);
	rsip("f1", "*", "restart");
	fake_seen(&w.fake, DP_MSG_MGCP_ACK, &m);
	CU_ASSERT_EQUAL(m->ack.code, 200);
	CU_ASSERT_EQUAL(cp_gw_ep_state(gw("f1"), "aaln/1"), CP_EP_IN_SERVICE);
	/* in 20 s: until then it is out */
	e.gw_id = cp_gw_id(gw("f1"));
	fake_send(&w.fake, &e, DP_MSG_MGCP_EVENT, sizeof(e), 0);
	rest();
	CU_ASSERT_EQUAL(cp_gw_ep_state(gw("f1"), "aaln/1"), CP_EP_OUT);
	w.todo_cnt = w.todo_done = 0;
	time_pass(15000);
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_AUEP, NULL), 0);
	STEP_UNTIL(cp_gw_ep_state(gw("f1"), "aaln/1") == CP_EP_IN_SERVICE, (time_pass(100), spin()));
	world_end();
}

/* --- pace.c --- */

static struct cp_pace_member many[600];

/* So many turns until somebody has to wait for 'us'. */
static unsigned turns(struct cp_pace *p, int64_t now, bool answer, int64_t *ret_us)
{
	struct cp_pace_member *m;
	unsigned n = 0;

	while ((m = cp_pace_next(p, now, ret_us)) != NULL) {
		n++;
		cp_pace_asked(p, m, now);
		if (answer)
			cp_pace_answered(p, m);
	}
	return n;
}

static void test_pace(void)
{
	struct cp_pace p;
	int64_t us, now = 5000000;
	unsigned n;

	cp_pace_init(&p, 1000);
	memset(many, 0, sizeof(many));
	CU_ASSERT_PTR_NULL(cp_pace_next(&p, now, &us));
	CU_ASSERT_EQUAL(us, -1);
	for (unsigned i = 0; i < 600; i++)
		cp_pace_wait(&p, &many[i], CP_PACE_WORK);
	cp_pace_wait(&p, &many[599], CP_PACE_WORK); /* once */
	CU_ASSERT_EQUAL(turns(&p, now, true, &us), CP_PACE_BURST);
	CU_ASSERT_EQUAL(us, 1000); /* the rate */
	CU_ASSERT_EQUAL(turns(&p, now + 10000, true, &us), 10);
	/* nobody answers: a quarter of a second's are out, then they are taken for silent, and others have their turn */
	n = 0;
	for (now += 20000; n < 250 && us > 0; now += us)
		n += turns(&p, now, false, &us);
	CU_ASSERT_EQUAL(n, 250);
	CU_ASSERT_EQUAL(p.air_cnt, 250);
	CU_ASSERT_EQUAL(turns(&p, now, false, &us), 0);
	CU_ASSERT(us > 0 && us <= CP_PACE_AIR_US);
	now += us;
	CU_ASSERT(turns(&p, now, false, &us) > 0);
	/* who is there, before all else; those that were silent last behind it, but for every eighth turn */
	for (unsigned i = 0; i < 600; i++)
		cp_pace_leave(&p, &many[i]);
	CU_ASSERT_EQUAL(p.air_cnt, 0);
	now += 1000000;
	for (unsigned i = 0; i < 30; i++)
		cp_pace_wait(&p, &many[i], i < 10 ? CP_PACE_SILENT : i < 20 ? CP_PACE_WORK : CP_PACE_FIRST);
	for (n = 0; n < 20;) {
		struct cp_pace_member *m = cp_pace_next(&p, now, &us);

		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		cp_pace_asked(&p, m, now);
		if (m >= &many[10])
			CU_ASSERT_PTR_EQUAL(m, n < 10 ? &many[20 + n] : &many[n]);
		n += m >= &many[10];
	}
	for (n = 0; n < 10 && !many[n].waits; n++)
		;
	CU_ASSERT(n == 2 || n == 3); /* of 22 turns */
	cp_pace_wait(&p, &many[25], CP_PACE_WORK);
	cp_pace_leave(&p, &many[25]);
	for (n = 0; n < 10; n++)
		cp_pace_leave(&p, &many[n]);
	CU_ASSERT_PTR_NULL(cp_pace_next(&p, now, &us));
	CU_ASSERT_EQUAL(us, -1);
}

/* A farm's return: never more than the burst and what the rate allows. */
static void test_paced(void)
{
	unsigned first;

	world_begin();
	for (unsigned i = 0; i < 200; i++) {
		struct cp_gateway g = {.flags = CP_GW_CLEAR};
		char name[16];

		snprintf(name, sizeof(name), "many%u", i);
		put_gw(&g, name, i, false);
	}
	for (int i = 0; i < 2000; i++) {
		time_pass(10);
		spin();
	}
	cp_gws_pace(w.gws, 1000);
	spin_ms = 0; /* no time passes */
	w.todo_cnt = w.todo_done = 0;
	cp_gws_down(w.gws);
	cp_gws_up(w.gws, false);
	for (unsigned i = 0; i < 200; i++) {
		char name[16];

		snprintf(name, sizeof(name), "many%u", i);
		gw(name)->state = CP_GW_UNKNOWN;
	}
	for (int i = 0; i < 50; i++)
		spin();
	first = gw_saw(DP_MGCP_AUEP, NULL);
	CU_ASSERT(first > 32 && first <= 66);
	spin_ms = 1;
	for (int i = 0; i < 300; i++)
		spin();
	CU_ASSERT(gw_saw(DP_MGCP_AUEP, NULL) >= 200);
	world_end();
}

/* RSIP that was answered 200, then a kill -9: what it said is asked for, before calls go there. */
static void test_kill(void)
{
	const struct dp_mgcp_cmd *c = NULL;

	farm_begin();
	rsip("f1", "*", "forced");
	CU_ASSERT_FALSE(cp_gw_able(gw("f1")));
	own[1][DP_MGCP_AUEP].code = 501;
	w.todo_cnt = w.todo_done = 0;
	controlplane_stop(true);
	controlplane_start();
	UNTIL(cp_dp_up(w.dp));
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	cp_calls_phone_ops.registered(w.calls, &pc);
	for (int i = 1; i <= 3; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%d", i);
		secured(name, true);
	}
	STEP_UNTIL(!cp_gw_able(gw("f1")), (time_pass(10), spin()));
	rest();
	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(gw("f1")->eps.state[i], CP_EP_OUT);
	CU_ASSERT_TRUE(cp_gw_able(gw("f2")) && cp_gw_able(gw("f3")));
	w.todo_cnt = w.todo_done = 0;
	dial("8001");
	UNTIL(gw_saw(DP_MGCP_CRCX, &c) == 1);
	rest();
	CU_ASSERT_STRING_EQUAL(asked_order(), "2");
	onhook(&pa);
	own[1][DP_MGCP_AUEP].code = 0;
	STEP_UNTIL(cp_gw_able(gw("f1")), (time_pass(100), spin()));
	world_end();
}

static CU_TestInfo tests[] = {
	{"the choice is the obvious one", test_choice},
	{"in proportion to weight, then overflow", test_proportion},
	{"circuit breaker", test_breaker},
	{"calls are spread, and overflow", test_spread_and_overflow},
	{"a call is offered to another gateway", test_retry},
	{"fails closed without an SA", test_no_sa},
	{"the breaker keeps calls away", test_breaker_routes},
	{"the breaker counts what is the gateway's", test_breaker_stays},
	{"an SA that a worker does not have", test_no_sa_once},
	{"a question that the dataplane refuses", test_refused_question},
	{"who spoke meanwhile is there", test_spoke_meanwhile},
	{"drain and out of service", test_service},
	{"endpoints go and come back", test_endpoints},
	{"whose turn it is", test_pace},
	{"questions are paced", test_paced},
	{"another agent, and a restart to come", test_other_agent},
	{"what was answered is known after a kill", test_kill},
	CU_TEST_INFO_NULL,
};

/* Of call_fix.h, what only calls need. */
static int setup(void)
{
	(void)timer_fires;
	return 0;
}

#include "suite.h"
SUITE_MAIN("farm", tests, setup, NULL)
