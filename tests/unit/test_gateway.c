/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/gateway/gateway.c: transactions, states and alarms, and the deletes that must not be forgotten. */
/* Rows: 004c:MG-11. */
#include "call_fix.h"
#include "gateway/gwint.h"

static unsigned answers, last_result, last_code;
static struct cp_gw_tag last_tag;

static void on_answer(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done)
{
	CU_ASSERT_PTR_EQUAL(ctx, &answers);
	CU_ASSERT_STRING_EQUAL(cp_gw_name(gw), "gw1");
	answers++;
	last_result = done->result;
	last_code = done->code;
	last_tag = *tag;
}

static struct cp_gw *gw1(void)
{
	return cp_gws_find(w.gws, "gw1");
}

static int cmd(uint8_t verb, uint32_t ref)
{
	struct dp_mgcp_cmd c = {.verb = verb, .endpoint = "aaln/1"};
	struct cp_gw_tag tag = {.callref = ref, .side = 1, .op = 3, .endpoint = "aaln/1"};

	snprintf(c.call_id, sizeof(c.call_id), "%u", ref);
	strcpy(c.conn_id, "C1");
	return cp_gw_cmd(gw1(), &c, &tag, on_answer, &answers);
}

static bool alarm_stands(const char *id)
{
	return cp_alarm_find(w.alarms, id, "gw1") != NULL;
}

static void channel_gap(void (*in_it)(void))
{
	fake_hangup(&w.fake);
	event_del(w.fake.ev_accept);
	UNTIL(!cp_dp_up(w.dp));
	if (in_it != NULL)
		in_it();
	event_add(w.fake.ev_accept, NULL);
	UNTIL(cp_dp_up(w.dp));
	rest();
}

static void test_transactions(void)
{
	struct dp_mgcp_done stray = {.handle = 12345678, .gw_id = 0, .code = 200};

	world_begin();
	answers = 0;
	CU_ASSERT_EQUAL(cmd(DP_MGCP_MDCX, 7), 0);
	UNTIL(answers == 1);
	CU_ASSERT(last_tag.callref == 7 && last_tag.side == 1 && last_tag.op == 3);
	CU_ASSERT_STRING_EQUAL(last_tag.conn_id, "C1");
	/* refused by the channel's other end: answered all the same */
	w.refuse_type = DP_MSG_MGCP_CMD;
	w.refuse_rc = -EAGAIN;
	CU_ASSERT_EQUAL(cmd(DP_MGCP_MDCX, 8), 0);
	UNTIL(answers == 2);
	CU_ASSERT_EQUAL(last_result, DP_MGCP_OVERLOAD);
	w.refuse_rc = -ENOENT;
	CU_ASSERT_EQUAL(cmd(DP_MGCP_MDCX, 9), 0);
	UNTIL(answers == 3);
	CU_ASSERT_EQUAL(last_result, DP_MGCP_CANCELED);
	w.refuse_type = 0;
	/* answers to nothing, and twice the same */
	fake_send(&w.fake, &stray, DP_MSG_MGCP_DONE, sizeof(stray), 0);
	w.todo_cnt = w.todo_done = 0;
	CU_ASSERT_EQUAL(cmd(DP_MGCP_MDCX, 10), 0);
	UNTIL(answers == 4);
	gw_answer(&w.todo[0]);
	rest();
	CU_ASSERT_EQUAL(answers, 4);
	/* the channel goes: every command has its one answer */
	w.say[DP_MGCP_MDCX].silent = true;
	for (unsigned i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(cmd(DP_MGCP_MDCX, i), 0);
	rest();
	channel_gap(NULL);
	CU_ASSERT_EQUAL(answers, 104);
	CU_ASSERT_EQUAL(last_result, DP_MGCP_CANCELED);
	/* late answers of those come to nobody */
	w.say[DP_MGCP_MDCX].silent = false;
	for (unsigned i = 0; i < w.todo_cnt; i++) {
		if (w.todo[i].verb == DP_MGCP_MDCX)
			gw_answer(&w.todo[i]);
		spin();
	}
	rest();
	CU_ASSERT_EQUAL(answers, 104);
	world_end();
}

static void in_gap(void)
{
	for (uint32_t i = 0; i < 300; i++)
		CU_ASSERT_EQUAL(cmd(DP_MGCP_DLCX, i), -ENOTCONN);
	CU_ASSERT_EQUAL(cmd(DP_MGCP_CRCX, 1), -ENOTCONN);
}

/* DLCX are kept over a lost channel and until the SA is back; others are not, and not without end. */
static void test_deletes_are_kept(void)
{
	world_begin();
	w.todo_cnt = w.todo_done = 0;
	cp_gws_sa_changed(w.gws, cp_gw_id(gw1()), false); /* as cp_sas_down() tells it */
	channel_gap(in_gap);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 0); /* the SA is not there yet: they would be lost */
	CU_ASSERT_EQUAL(cmd(DP_MGCP_DLCX, 400), -ENOTCONN);
	cp_gws_sa_changed(w.gws, cp_gw_id(gw1()), true);
	UNTIL(gw_saw(DP_MGCP_DLCX, NULL) == 256 && w.todo_done == w.todo_cnt);
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 256);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, NULL), 0);
	channel_gap(NULL); /* and sent once */
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 256);
	/* a gateway that may be spoken to in clear needs no SA */
	cp_gws_sa_changed(w.gws, cp_gw_id(gw1()), false);
	add_gateway(CP_GW_CLEAR, true);
	CU_ASSERT_EQUAL(cmd(DP_MGCP_DLCX, 5), 0);
	UNTIL(gw_saw(DP_MGCP_DLCX, NULL) == 257);
	world_end();
}

static void test_states_and_alarms(void)
{
	unsigned seen;
	const union fake_msg *m = NULL;

	world_begin();
	CU_ASSERT_EQUAL(cp_gw_state(gw1()), CP_GW_UP); /* its audit was answered */
	CU_ASSERT_TRUE(cp_gw_secured(gw1()));
	w.say[DP_MGCP_MDCX].result = DP_MGCP_TIMEOUT;
	cmd(DP_MGCP_MDCX, 1);
	UNTIL(cp_gw_state(gw1()) == CP_GW_DOWN);
	CU_ASSERT_TRUE(alarm_stands("gateway-down"));
	gw_event(DP_MGCP_NTFY, "aaln/1", "0", "L/hd"); /* whatever it says: it is there */
	UNTIL(cp_gw_state(gw1()) == CP_GW_UP);
	CU_ASSERT_FALSE(alarm_stands("gateway-down"));
	w.say[DP_MGCP_MDCX].result = DP_MGCP_NO_SA;
	cmd(DP_MGCP_MDCX, 1);
	UNTIL(cp_gw_state(gw1()) == CP_GW_NO_SA);
	CU_ASSERT_TRUE(alarm_stands("gateway-no-sa"));
	cp_gws_sa_changed(w.gws, cp_gw_id(gw1()), false);
	CU_ASSERT_FALSE(cp_gw_keys_allowed(gw1()));
	w.say[DP_MGCP_AUEP].result = DP_MGCP_TIMEOUT;
	cp_gws_sa_changed(w.gws, cp_gw_id(gw1()), true);
	CU_ASSERT_FALSE(alarm_stands("gateway-no-sa")); /* it is there now, whatever else is wrong */
	UNTIL(cp_gw_state(gw1()) == CP_GW_DOWN);
	/* keys held back for a gateway that may be spoken to in clear: ends with the SA, too */
	w.say[DP_MGCP_AUEP].result = DP_MGCP_ANSWERED;
	cp_gws_sa_changed(w.gws, cp_gw_id(gw1()), false);
	add_gateway(CP_GW_CLEAR, true);
	UNTIL(cp_gw_state(gw1()) == CP_GW_UP);
	cmd(DP_MGCP_MDCX, 1);
	UNTIL(alarm_stands("gateway-no-sa"));
	CU_ASSERT_EQUAL(cp_gw_state(gw1()), CP_GW_UP);
	cp_gws_sa_changed(w.gws, cp_gw_id(gw1()), true);
	CU_ASSERT_FALSE(alarm_stands("gateway-no-sa"));
	CU_ASSERT_TRUE(fake_seen(&w.fake, DP_MSG_GW_SET, &m) > 0);
	CU_ASSERT_EQUAL(m->gw.flags, DP_GW_F_CLEAR);
	CU_ASSERT_EQUAL(m->gw.remote.port, 2427);
	/* the dataplane has no room for it now: set again until it has, and then no more */
	seen = fake_seen(&w.fake, DP_MSG_GW_SET, NULL);
	w.refuse_type = DP_MSG_GW_SET;
	w.refuse_rc = -EAGAIN;
	add_gateway(CP_GW_CLEAR, true);
	UNTIL(fake_seen(&w.fake, DP_MSG_GW_SET, NULL) >= seen + 3);
	w.refuse_type = 0;
	seen = fake_seen(&w.fake, DP_MSG_GW_SET, NULL);
	UNTIL(fake_seen(&w.fake, DP_MSG_GW_SET, NULL) > seen);
	seen = fake_seen(&w.fake, DP_MSG_GW_SET, NULL);
	rest();
	CU_ASSERT_EQUAL(fake_seen(&w.fake, DP_MSG_GW_SET, NULL), seen);
	/* a fresh dataplane: nothing is asked before the SA is there, so no false alarm */
	add_gateway(0, true);
	cp_gws_sa_changed(w.gws, cp_gw_id(gw1()), false);
	rest();
	w.todo_cnt = w.todo_done = 0;
	channel_gap(NULL);
	CU_ASSERT_EQUAL(w.todo_cnt, 0);
	/* deleted: its alarms go with it */
	w.say[DP_MGCP_AUEP].result = DP_MGCP_TIMEOUT;
	cp_gws_sa_changed(w.gws, cp_gw_id(gw1()), true);
	UNTIL(alarm_stands("gateway-down"));
	synced(cp_dir_gateway_del(w.store, "gw1", &dir_ctx));
	cp_gws_changed(w.gws, "gw1");
	CU_ASSERT_PTR_NULL(gw1());
	CU_ASSERT_FALSE(alarm_stands("gateway-down"));
	cp_gws_changed(w.gws, "gw1"); /* nothing known, nothing done */
	world_end();
}

static void test_events(void)
{
	static const struct {
		uint8_t verb;
		const char *endpoint;
		uint16_t code;
	} cases[] = {
		{DP_MGCP_NTFY, "aaln/1", 200},   {DP_MGCP_NTFY, "AALN/2", 200}, {DP_MGCP_NTFY, "aaln/3", 500},
		{DP_MGCP_RSIP, "*", 200},        {DP_MGCP_RSIP, "aaln/*", 200}, {DP_MGCP_RSIP, "ds1/*", 500},
		{DP_MGCP_DLCX, "aaln/1", 250},   {DP_MGCP_AUEP, "aaln/1", 504}, {0, "aaln/1", 504},
	};
	struct dp_mgcp_event unknown = {.token = 9, .gw_id = 99, .verb = DP_MGCP_RSIP};
	const union fake_msg *m = NULL;

	world_begin();
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		w.fake.n = 0;
		gw_event(cases[i].verb, cases[i].endpoint, "1", "restart");
		UNTIL(fake_seen(&w.fake, DP_MSG_MGCP_ACK, &m) == 1);
		CU_ASSERT_EQUAL(m->ack.code, cases[i].code);
	}
	w.fake.n = 0;
	fake_send(&w.fake, &unknown, DP_MSG_MGCP_EVENT, sizeof(unknown), 0);
	UNTIL(fake_seen(&w.fake, DP_MSG_MGCP_ACK, &m) == 1);
	CU_ASSERT_EQUAL(m->ack.code, 500);
	world_end();
}

static void test_endpoint_match(void)
{
	static const struct {
		const char *pattern, *name;
		bool is;
	} cases[] = {
		{"*", "aaln/1", true}, {"aaln/*", "aaln/1", true}, {"aaln/*", "aaln/s1/su0/2", true},
		{"*/1", "aaln/1", true}, {"*/2", "aaln/1", false}, {"aaln/1", "AALN/1", true},
		{"aaln/1", "aaln/11", false}, {"aaln", "aaln/1", false}, {"aaln/1/2", "aaln/1", false},
		{"aaln/*/2", "aaln/7/2", true}, {"aaln/*/2", "aaln/7/3", false}, {"", "aaln/1", false},
		{"aaln/1*", "aaln/12", false}, {"aaln/*", "aaln", false},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(cp_gw_endpoint_match(cases[i].pattern, cases[i].name), cases[i].is);
}

/* --- the protocol's settings --- */

static void gateway_of(uint8_t dialect, uint32_t flags)
{
	struct cp_endpoint ep[1] = {{.name = "aaln/1"}};
	struct cp_gateway g = {.name = "gw1", .region = "default", .endpoints = ep, .endpoint_cnt = 1, .flags = flags, .dialect = dialect};

	cfg_addr_parse("10.0.0.1:2427", &g.address);
	synced(cp_dir_gateway_put(w.store, &g, true, &dir_ctx));
	w.fake.n = 0;
	cp_gws_changed(w.gws, "gw1");
}

static const struct dp_gw_set *set_seen(void)
{
	const union fake_msg *m = NULL;

	UNTIL(fake_seen(&w.fake, DP_MSG_GW_SET, &m) > 0);
	return &m->gw;
}

static void heard(uint8_t kind, uint8_t flags, uint16_t port)
{
	struct dp_gw_heard ev = {.gw_id = cp_gw_id(gw1()), .kind = kind, .flags = flags, .port = port};

	fake_send(&w.fake, &ev, DP_MSG_GW_HEARD, sizeof(ev), 0);
}

/* What the dataplane is told of a dialect; what it hears of a gateway comes into its record, and back from there after a restart. */
static void test_dialects(void)
{
	const struct dp_gw_set *m;
	const struct cp_gateway *rec;
	uint16_t agent;
	json_t *show;

	world_begin();
	gateway_of(CP_GW_RFC3435, CP_GW_MGCP_01);
	m = set_seen();
	agent = m->local.port;
	CU_ASSERT(m->flags == DP_GW_F_MGCP_01 && m->other_port == 0 && m->keepalive_s == 0 && agent != 2427);
	gateway_of(CP_GW_CISCO, CP_GW_MGCP_01 | CP_GW_X_CRYPTO);
	m = set_seen();
	CU_ASSERT(m->flags == (DP_GW_F_MGCP_01 | DP_GW_F_X_CRYPTO) && m->local.port == 2427 && m->other_port == 0 && m->keepalive_s == 15);
	gateway_of(CP_GW_AUTO, 0);
	m = set_seen();
	CU_ASSERT(m->flags == DP_GW_F_AUTO && m->local.port == agent && m->other_port == 2427 && m->keepalive_s == 0);
	heard(DP_GW_HEARD_DIALECT, DP_GW_F_MGCP_01 | DP_GW_F_X_CRYPTO, 2427);
	UNTIL((rec = cp_dir_gateway(w.store, "gw1")) != NULL && rec->heard == (CP_GW_HEARD | CP_GW_HEARD_01 | CP_GW_HEARD_X) &&
	      rec->heard_port == 2427);
	rest();
	w.fake.n = 0;
	heard(DP_GW_HEARD_DIALECT, DP_GW_F_MGCP_01 | DP_GW_F_X_CRYPTO, 2427); /* the same again writes nothing */
	rest();
	CU_ASSERT_FALSE(cp_gws_changed(w.gws, "gw1")); /* what was heard is written: nobody has to do anything */
	rest();
	CU_ASSERT_EQUAL(w.fake.n, 0);
	cp_gws_up(w.gws, false);
	m = set_seen();
	CU_ASSERT(m->flags == (DP_GW_F_AUTO | DP_GW_F_MGCP_01 | DP_GW_F_X_CRYPTO) && m->local.port == 2427 && m->other_port == agent &&
		  m->keepalive_s == 15);
	show = cp_gws_show(w.gws);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(show, 0), "dialect")), "auto");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(show, 0), "version")), "0.1");
	CU_ASSERT_TRUE(json_is_true(json_object_get(json_array_get(show, 0), "heard")));
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_array_get(show, 0), "local_port")), 2427);
	json_decref(show);
	/* keep-alives that are missing: asked at once, and the state is what that says */
	w.todo_cnt = w.todo_done = 0;
	w.say[DP_MGCP_AUEP].result = DP_MGCP_TIMEOUT;
	heard(DP_GW_HEARD_SILENT, 0, 2427);
	UNTIL(cp_gw_state(gw1()) == CP_GW_DOWN);
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_AUEP, NULL), 1);
	w.say[DP_MGCP_AUEP].result = DP_MGCP_ANSWERED;
	heard(DP_GW_HEARD_BACK, 0, 2427);
	UNTIL(cp_gw_state(gw1()) == CP_GW_UP);
	heard(0, 0, 0); /* no such kind */
	rest();
	world_end();
}

static unsigned writes, acted;

/* As main.c does. */
static void on_written(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted)
{
	(void)ctx;
	(void)cf;
	(void)deleted;
	CU_ASSERT(key_len == 3 && memcmp(key, "gw1", 3) == 0);
	writes++;
	acted += cp_gws_changed(w.gws, "gw1");
}

static void count_audit(void *ctx, int64_t time_us, const char *json)
{
	(void)time_us;
	(void)json;
	++*(unsigned *)ctx;
}

/* Now so, now so: one write, of which nobody is told, neither the dataplane nor the audit log; the operator's next change keeps the last. */
static void test_dialect_turns(void)
{
	unsigned before = 0, after = 0;
	const struct cp_gateway *rec;

	world_begin();
	gateway_of(CP_GW_AUTO, 0);
	set_seen();
	rest();
	writes = acted = 0;
	CU_ASSERT_EQUAL_FATAL(cp_store_watch(w.store, CP_CF_GATEWAY, on_written, NULL), 0);
	cp_store_audit(w.store, 1000, count_audit, &before);
	w.fake.n = 0;
	for (unsigned i = 0; i < 100; i++) {
		heard(DP_GW_HEARD_DIALECT, i % 2 == 0 ? DP_GW_F_MGCP_01 | DP_GW_F_X_CRYPTO : 0, 2427);
		if (i < 3)
			rest();
	}
	UNTIL(writes > 0);
	rest();
	CU_ASSERT_EQUAL(writes, 1);
	CU_ASSERT_EQUAL(acted, 0);
	CU_ASSERT_EQUAL(w.fake.n, 0);
	cp_store_audit(w.store, 1000, count_audit, &after);
	CU_ASSERT_EQUAL(after, before);
	rec = cp_dir_gateway(w.store, "gw1");
	CU_ASSERT_EQUAL(rec->heard, CP_GW_HEARD | CP_GW_HEARD_01 | CP_GW_HEARD_X);
	gateway_of(CP_GW_AUTO, CP_GW_SRTCP_CLEAR);
	CU_ASSERT_EQUAL(set_seen()->flags & (DP_GW_F_AUTO | DP_GW_F_MGCP_01 | DP_GW_F_X_CRYPTO), DP_GW_F_AUTO);
	CU_ASSERT(acted > 0);
	world_end();
}

/* A command of the gateway that comes up again, as it does after a restart of the dataplane: the same answer, not executed again. */
static void test_events_once(void)
{
	struct dp_mgcp_event e = {.token = 1, .verb = DP_MGCP_RSIP, .endpoint = "*", .restart_method = "restart", .tid = 4711};
	const union fake_msg *m = NULL;
	json_t *show;

	world_begin();
	e.gw_id = cp_gw_id(gw1());
	for (unsigned i = 0; i < 5; i++) {
		w.fake.n = 0;
		e.token = i + 1;
		fake_send(&w.fake, &e, DP_MSG_MGCP_EVENT, sizeof(e), 0);
		UNTIL(fake_seen(&w.fake, DP_MSG_MGCP_ACK, &m) == 1);
		CU_ASSERT(m->ack.code == 200 && m->ack.token == i + 1);
	}
	show = cp_gws_show(w.gws);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_array_get(show, 0), "repeats")), 4);
	json_decref(show);
	e.tid = 4712; /* another one */
	w.fake.n = 0;
	fake_send(&w.fake, &e, DP_MSG_MGCP_EVENT, sizeof(e), 0);
	UNTIL(fake_seen(&w.fake, DP_MSG_MGCP_ACK, &m) == 1);
	show = cp_gws_show(w.gws);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_array_get(show, 0), "repeats")), 4);
	json_decref(show);
	time_pass(31000); /* T-HIST is over: the number may be anything */
	e.tid = 4711;
	fake_send(&w.fake, &e, DP_MSG_MGCP_EVENT, sizeof(e), 0);
	rest();
	show = cp_gws_show(w.gws);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_array_get(show, 0), "repeats")), 4);
	json_decref(show);
	world_end();
}

static char audit_text[512];
static unsigned audits;

static void on_text(void *ctx, struct cp_gw *gw, const struct cp_gw_tag *tag, const struct dp_mgcp_done *done, const char *text)
{
	(void)ctx;
	(void)tag;
	CU_ASSERT_PTR_EQUAL(gw, gw1());
	CU_ASSERT(done->handle != 0);
	snprintf(audit_text, sizeof(audit_text), "%s", text != NULL ? text : "-");
	audits++;
}

/* The answer to the last question, in pieces of so many bytes; 'lose': without the first. */
static void tell(const char *text, unsigned piece, bool lose)
{
	const union fake_msg *m = NULL;
	struct dp_mgcp_done d = {.verb = DP_MGCP_AUEP, .code = 200, .text_len = (uint16_t)strlen(text)};

	UNTIL(fake_seen(&w.fake, DP_MSG_MGCP_ASK, &m) > 0);
	d.handle = ((const struct dp_mgcp_ask *)m)->handle;
	d.gw_id = ((const struct dp_mgcp_ask *)m)->gw_id;
	for (size_t off = 0; off < strlen(text); off += piece) {
		struct dp_mgcp_text t = {.handle = d.handle, .gw_id = d.gw_id, .off = (uint16_t)off};

		t.len = (uint16_t)(strlen(text) - off < piece ? strlen(text) - off : piece);
		memcpy(t.text, text + off, t.len);
		if (off > 0 || !lose)
			fake_send(&w.fake, &t, DP_MSG_MGCP_TEXT, sizeof(t), 0);
	}
	fake_send(&w.fake, &d, DP_MSG_MGCP_DONE, sizeof(d), 0);
}

static void lists(const char *text)
{
	w.fake.n = 0;
	gw_event(DP_MGCP_RSIP, "*", "", "restart");
	tell(text, 488, false);
	rest();
}

/* 004b:MGCP-01: one of a=X-crypto that lists its packages does SRTP if that one is among them; one of a=crypto needs none. */
static void test_srtp_package(void)
{
	world_begin();
	w.ask_silent = true;
	lists("A: a:PCMU, v:L;D\n");
	CU_ASSERT_TRUE(cp_gw_keys_allowed(gw1()));
	add_gateway(CP_GW_X_CRYPTO, true);
	lists("A: a:PCMU, v:L;D\n");
	CU_ASSERT_FALSE(cp_gw_keys_allowed(gw1()));
	CU_ASSERT_TRUE(cp_gw_secured(gw1())); /* its signalling is */
	lists("A: a:PCMU, v:L;SRTP;D\n");
	CU_ASSERT_TRUE(cp_gw_keys_allowed(gw1()));
	world_end();
}

/* Audits are answered whole or not at all; a gateway that lists its packages is not asked for events of others. */
static void test_audits(void)
{
	struct dp_mgcp_ask ask = {.verb = DP_MGCP_AUEP, .endpoint = "aaln/1", .params = "F: I\n"};
	struct dp_mgcp_cmd c = {.verb = DP_MGCP_RQNT, .endpoint = "aaln/1", .request_id = "1", .events = "L/hu(N)", .signals = "L/rg"};
	const struct dp_mgcp_cmd *seen = NULL;
	const union fake_msg *m = NULL;
	struct cp_gw_tag tag = {0};
	json_t *show, *list;

	world_begin();
	w.ask_silent = true;
	audits = 0;
	CU_ASSERT_EQUAL(cp_gw_ask(gw1(), &ask, &tag, on_text, NULL), 0);
	tell("I: 1,2,3\nES: L/hd\n", 5, false);
	UNTIL(audits == 1);
	CU_ASSERT_STRING_EQUAL(audit_text, "I: 1,2,3\nES: L/hd\n");
	w.fake.n = 0;
	CU_ASSERT_EQUAL(cp_gw_ask(gw1(), &ask, &tag, on_text, NULL), 0);
	tell("I: 1,2,3\nES: L/hd\n", 5, true);
	UNTIL(audits == 2);
	CU_ASSERT_STRING_EQUAL(audit_text, "-");
	w.fake.n = 0;
	CU_ASSERT_EQUAL(cp_gw_ask(gw1(), &ask, &tag, on_text, NULL), 0); /* nothing in it */
	tell("", 5, false);
	UNTIL(audits == 3);
	CU_ASSERT_STRING_EQUAL(audit_text, "-");
	/* nothing known of its packages: asked for everything */
	cp_gw_cmd(gw1(), &c, &tag, NULL, NULL);
	UNTIL(gw_saw(DP_MGCP_RQNT, &seen) == 1);
	CU_ASSERT_STRING_EQUAL(seen->events, "L/hu(N)");
	/* it restarts, is asked what it can, and lists its packages: L is not among them */
	w.fake.n = 0;
	gw_event(DP_MGCP_RSIP, "*", "", "restart");
	tell("A: a:PCMU, v:G;T;SRTP, m:sendrecv\nA: v:D\n", 488, false);
	rest();
	show = cp_gws_show(w.gws);
	list = json_object_get(json_array_get(show, 0), "packages");
	CU_ASSERT_EQUAL(json_array_size(list), 4);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(list, 3)), "SRTP");
	json_decref(show);
	cp_gw_cmd(gw1(), &c, &tag, NULL, NULL);
	UNTIL(gw_saw(DP_MGCP_RQNT, &seen) == 2);
	CU_ASSERT(seen->events[0] == '\0' && seen->signals[0] == '\0' && strcmp(seen->request_id, "1") == 0);
	strcpy(c.events, "G/ft(N)");
	cp_gw_cmd(gw1(), &c, &tag, NULL, NULL);
	UNTIL(gw_saw(DP_MGCP_RQNT, &seen) == 3);
	CU_ASSERT_STRING_EQUAL(seen->events, "G/ft(N)");
	/* the channel goes with a question open: answered once, without text */
	w.fake.n = 0;
	CU_ASSERT_EQUAL(cp_gw_ask(gw1(), &ask, &tag, on_text, NULL), 0);
	UNTIL(fake_seen(&w.fake, DP_MSG_MGCP_ASK, &m) == 1);
	channel_gap(NULL);
	CU_ASSERT_EQUAL(audits, 4);
	CU_ASSERT_STRING_EQUAL(audit_text, "-");
	world_end();
}

/* "I: 8C2, 9D1", at every length; what is no such list is none. */
static void test_conns(void)
{
	static const struct {
		const char *text;
		int n;
	} cases[] = {{"I: 8C2, 9D1\n", 2}, {"A: v:L\ni:8C2\n", 1},  {"I:\n", 0},	      {"I: 8C2\nI: 9D1\n", 2}, {"", -1},   {"Z: a@b\n", -1},
		     {"I: 8C2,,9\n", -1},  {"I: 8C2, XYZ\n", -1}, {"I: 1,2,3,4,5\n", -1}, {"I 8C2\n", -1},	      {"I: 8C2", -1}};
	char id[4][DP_MGCP_ID_MAX];

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(conns_listed(cases[i].text, id, 4), cases[i].n);
	CU_ASSERT_EQUAL(conns_listed("I: 8C2,\t9D1 \n", id, 4), 2);
	CU_ASSERT_STRING_EQUAL(id[0], "8C2");
	CU_ASSERT_STRING_EQUAL(id[1], "9D1");
	CU_ASSERT_EQUAL(conns_listed(NULL, id, 4), -1);
	for (size_t n = 0; n <= strlen(cases[0].text); n++) {
		char *cut = strndup(cases[0].text, n);

		CU_ASSERT_EQUAL(conns_listed(cut, id, 4), n == strlen(cases[0].text) ? 2 : -1);
		free(cut);
	}
}

/* It was without us, and lists what it has: our call's stays, one that no call knows is deleted under the call that it names. */
static void test_strange_connection(void)
{
	const struct dp_mgcp_cmd *c = NULL;
	const union fake_msg *m = NULL;
	struct dp_mgcp_cmd crcx;

	world_begin();
	dial("77");
	UNTIL(the_state() == CALL_ALERTING);
	CU_ASSERT_STRING_EQUAL_FATAL(the_call()->p[1].conn_id, "C0FFEE");
	w.lists[DP_MGCP_AUEP] = "I: c0ffee, AB12\n";
	w.lists[DP_MGCP_AUCX] = "C: 77AA\n";
	w.todo_cnt = w.todo_done = w.fake.n = 0;
	gw_event(DP_MGCP_RSIP, the_call()->p[1].endpoint, "", "disconnected");
	UNTIL(gw_saw(DP_MGCP_DLCX, &c) == 1);
	CU_ASSERT(strcmp(c->call_id, "77AA") == 0 && strcmp(c->conn_id, "AB12") == 0 && strcmp(c->endpoint, the_call()->p[1].endpoint) == 0);
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 1);
	CU_ASSERT_EQUAL(the_state(), CALL_ALERTING);
	/* one that names no call stays */
	w.lists[DP_MGCP_AUCX] = NULL;
	w.todo_cnt = w.todo_done = w.fake.n = 0;
	gw_event(DP_MGCP_RSIP, the_call()->p[1].endpoint, "", "disconnected");
	UNTIL(fake_seen(&w.fake, DP_MSG_MGCP_ASK, &m) >= 3); /* what it can, its list, whose it is */
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 0);
	/* while a connection is being made, one that is listed may be that */
	onhook(&pa);
	rest();
	w.say[DP_MGCP_CRCX].silent = true;
	w.todo_cnt = w.todo_done = 0;
	dial("77");
	UNTIL(gw_saw(DP_MGCP_CRCX, &c) > 0);
	crcx = *c;
	w.lists[DP_MGCP_AUCX] = "C: 77AA\n";
	w.todo_cnt = w.todo_done = w.fake.n = 0;
	gw_event(DP_MGCP_RSIP, the_call()->p[1].endpoint, "", "disconnected");
	UNTIL(fake_seen(&w.fake, DP_MSG_MGCP_ASK, &m) >= 2);
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 0);
	onhook(&pa);
	gw_answer(&crcx);
	rest();
	world_end();
}

/* "Not now" to a delete is not the end of it, nor is it said without end. */
static void test_put_off(void)
{
	world_begin();
	w.say[DP_MGCP_DLCX].code = 400;
	CU_ASSERT_EQUAL(cmd(DP_MGCP_DLCX, 1), 0);
	rest();
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 1);
	STEP_UNTIL(gw_saw(DP_MGCP_DLCX, NULL) == 2, (time_pass(500), spin()));
	w.say[DP_MGCP_DLCX].code = 0;
	STEP_UNTIL(gw_saw(DP_MGCP_DLCX, NULL) == 3, (time_pass(500), spin()));
	for (int i = 0; i < 300; i++) {
		time_pass(500);
		spin();
	}
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 3);
	w.say[DP_MGCP_DLCX].code = 409;
	CU_ASSERT_EQUAL(cmd(DP_MGCP_DLCX, 2), 0);
	for (int i = 0; i < 1000; i++) {
		time_pass(500);
		spin();
	}
	CU_ASSERT_EQUAL(gw_saw(DP_MGCP_DLCX, NULL), 3 + 1 + 5);
	world_end();
}

static unsigned deleted(void)
{
	return fake_seen(&w.fake, DP_MSG_GW_DEL, NULL);
}

static void remove_gateway(void)
{
	synced(cp_dir_gateway_del(w.store, "gw1", &dir_ctx));
	cp_gws_changed(w.gws, "gw1");
}

/* A gateway is removed right behind its calls' end: the dataplane forgets it once it was told of what it has of us. */
static void test_removed(void)
{
	uint32_t id;

	world_begin();
	w.say[DP_MGCP_DLCX].silent = true;
	CU_ASSERT_EQUAL(cmd(DP_MGCP_DLCX, 1), 0);
	rest();
	w.fake.n = 0;
	remove_gateway();
	rest();
	CU_ASSERT_EQUAL(deleted(), 0);
	CU_ASSERT_PTR_NULL(gw1());
	CU_ASSERT_STRING_EQUAL(w.todo[w.todo_cnt - 1].endpoint, "*");
	CU_ASSERT_EQUAL(w.todo[w.todo_cnt - 1].verb, DP_MGCP_DLCX);
	gw_answer(&w.todo[w.todo_cnt - 1]);
	UNTIL(deleted() == 1);
	rest();
	CU_ASSERT_EQUAL(deleted(), 1);
	/* another one with its number comes meanwhile: first the dataplane forgets the old one */
	add_gateway(CP_GW_CLEAR, false);
	rest();
	CU_ASSERT_EQUAL(cmd(DP_MGCP_DLCX, 2), 0);
	rest();
	w.fake.n = 0;
	id = cp_gw_id(gw1());
	remove_gateway();
	rest();
	CU_ASSERT(deleted() == 0 && w.gws->leaving == 1);
	gw_left(w.gws, id + 1); /* not that one's */
	CU_ASSERT_EQUAL(w.gws->leaving, 1);
	gw_left(w.gws, id);
	UNTIL(deleted() == 1);
	CU_ASSERT_EQUAL(w.gws->leaving, 0);
	add_gateway(CP_GW_CLEAR, false);
	w.say[DP_MGCP_DLCX].silent = false;
	for (unsigned i = 0; i < w.todo_cnt; i++)
		if (w.todo[i].verb == DP_MGCP_DLCX)
			gw_answer(&w.todo[i]);
	rest();
	CU_ASSERT_EQUAL(deleted(), 1);
	/* nothing of us is there: at once */
	w.fake.n = 0;
	w.todo_cnt = w.todo_done = 0;
	remove_gateway();
	UNTIL(deleted() == 1);
	for (unsigned i = 0; i < w.todo_cnt; i++)
		CU_ASSERT_NOT_EQUAL(w.todo[i].verb, DP_MGCP_DLCX);
	world_end();
}

static CU_TestInfo tests[] = {
	{"lists of connections", test_conns},
	{"a connection that no call knows", test_strange_connection},
	{"deletes that are put off", test_put_off},
	{"a gateway is removed", test_removed},
	{"dialects", test_dialects},
	{"a dialect that turns", test_dialect_turns},
	{"events once", test_events_once},
	{"audits and packages", test_audits},
	{"SRTP package", test_srtp_package},
	{"transactions", test_transactions},
	{"deletes are kept", test_deletes_are_kept},
	{"states and alarms", test_states_and_alarms},
	{"events", test_events},
	{"endpoint match", test_endpoint_match},
	CU_TEST_INFO_NULL,
};

/* Of call_fix.h, what only calls need. */
static int setup(void)
{
	(void)timer_fires;
	return 0;
}

#include "suite.h"
SUITE_MAIN("gateway", tests, setup, NULL)
