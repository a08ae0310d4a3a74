/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conferences of phones over an external bridge: how they come to be, who hears what of their status, how they end, and what is left.
 * 000:P0-21, 000:R-09; 001:P1-116, P1-117, P1-119, R-18; 004a:CALL-03.
 */
#include "conf_fix.h"

static unsigned conn_modes(uint8_t mode)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 256; i++)
		n += w.conns[i].conn_id[0] != '\0' && w.conns[i].mode == mode;
	return n;
}

static unsigned leg_of_conf;
static void count_conf(void *ctx, const struct cp_call_rec *r)
{
	(void)ctx;
	leg_of_conf += r->leg[1].conf != 0 && strcmp(r->leg[1].party, "bridge1") == 0;
}

static void ad_hoc(const char *endpoint)
{
	uint32_t first, second;
	const struct dp_mgcp_cmd *mdcx = NULL;
	const struct cp_call *call;

	begin(endpoint);
	first = talk(&pa, &pb);
	CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_ENCRYPTED);
	second = ask_in(&pa, &pc);
	CU_ASSERT_NOT_EQUAL(first, second);
	CU_ASSERT_EQUAL(cp_calls_count(w.calls), 2);
	key(&pa, CP_SCCP_KEY_CONFRN, second);
	LIVE_UNTIL(members() == 3 && talks(&pa) && talks(&pb) && talks(&pc));
	calm();
	CU_ASSERT_EQUAL(cp_calls_count(w.calls), 3); /* the two calls went into them */
	CU_ASSERT_PTR_NULL(call_find(w.calls, first));
	CU_ASSERT_PTR_NULL(call_find(w.calls, second));
	/* one endpoint, three connections, all of them mixing; each phone keeps the number that it knows its call by */
	CU_ASSERT(bridge_conns() == 3 && conn_modes(DP_MGCP_M_CONFRNCE) == 3);
	for (unsigned i = 0; i < 256; i++)
		CU_ASSERT(w.conns[i].conn_id[0] == '\0' || strcmp(w.conns[i].endpoint, w.calls->confs->endpoint) == 0);
	CU_ASSERT_PTR_NULL(strchr(w.calls->confs->endpoint, '$'));
	CU_ASSERT(place_of(&pa)->ref == first && place_of(&pb)->ref == first && place_of(&pc)->ref == second);
	/* the lock: SRTP to every phone and to every port */
	CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && pb.security == CP_SCCP_SEC_ENCRYPTED && pc.security == CP_SCCP_SEC_ENCRYPTED);
	CU_ASSERT(pa.keys == CP_SCCP_KEYS_CONFERENCE && pc.keys == CP_SCCP_KEYS_CONFERENCE);
	CU_ASSERT_TRUE(gw_saw(DP_MGCP_MDCX, &mdcx) >= 3 && mdcx->mode == DP_MGCP_M_CONFRNCE);
	leg_of_conf = 0;
	cp_store_each_call(w.store, count_conf, NULL);
	CU_ASSERT_EQUAL(leg_of_conf, 3);
	/* a fourth */
	second = ask_in(&pa, &pd);
	CU_ASSERT_EQUAL(members(), 3);
	key(&pa, CP_SCCP_KEY_CONFRN, second);
	LIVE_UNTIL(members() == 4 && talks(&pa) && talks(&pd));
	calm();
	CU_ASSERT(bridge_conns() == 4 && pd.security == CP_SCCP_SEC_ENCRYPTED && pb.security == CP_SCCP_SEC_ENCRYPTED);
	CU_ASSERT_EQUAL(place_of(&pa)->ref, first);
	/* until two are left, who get their own call, without the bridge */
	key(&pd, CP_SCCP_KEY_ENDCALL, 0);
	calm();
	CU_ASSERT(members() == 3 && bridge_conns() == 3);
	key(&pc, CP_SCCP_KEY_ENDCALL, 0);
	LIVE_UNTIL(w.calls->confs == NULL && talks(&pa) && talks(&pb));
	calm();
	CU_ASSERT(cp_calls_count(w.calls) == 1 && bridge_conns() == 0);
	call = place_of(&pa)->call;
	CU_ASSERT(call == place_of(&pb)->call && call->secure && pa.security == CP_SCCP_SEC_ENCRYPTED && pb.security == CP_SCCP_SEC_ENCRYPTED);
	CU_ASSERT_EQUAL(pa.keys, CP_SCCP_KEYS_CONNECTED);
	end_all_calls();
	world_end();
}

static void test_ad_hoc(void) { ad_hoc("cnf/$"); }
static void test_ad_hoc_named(void) { ad_hoc("cnf/1"); }

/* 001:P1-116, P1-117, P1-119; 000:P0-21, R-09: what one member is, all are shown, and when it leaves the lock is back. */
static void test_status(void)
{
	static const struct {
		const char *row;
		enum cp_phone_sec sec;
		bool srtp, untrusted;
		enum cp_sccp_security want;
	} t[] = {
		{"000:P0-18 all encrypted", CP_PHONE_ENCRYPTED, true, false, CP_SCCP_SEC_ENCRYPTED},
		{"001:P1-119 one signs only", CP_PHONE_AUTHENTICATED, false, false, CP_SCCP_SEC_AUTH},
		{"001:P1-119 one is not secure", CP_PHONE_NONSECURE, false, false, CP_SCCP_SEC_NOT_AUTH},
		{"000:P0-21 R-09 one is not trusted", CP_PHONE_ENCRYPTED, true, true, CP_SCCP_SEC_NOT_AUTH},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		begin("cnf/$");
		three();
		CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_ENCRYPTED);
		pd.sec = t[i].sec;
		pd.srtp = t[i].srtp;
		pd.type = t[i].untrusted ? 0x9999 : 0;
		if (t[i].untrusted) {
			struct cp_line line = {.number = "10045"};
			struct cp_device d = {.name = "SEP000000000004", .mode = CP_DEVICE_ENCRYPTED, .region = "default", .srtp = true,
					      .lines = &line, .line_cnt = 1, .model = "ACME 100"};

			add_devtype("ACME 100");
			synced(cp_dir_device_put(w.store, &d, true, &dir_ctx));
		}
		key(&pa, CP_SCCP_KEY_CONFRN, ask_in(&pa, &pd));
		LIVE_UNTIL(members() == 4 && talks(&pa) && talks(&pd));
		calm();
		for (unsigned p = 0; p < 4; p++) {
			if (all[p]->security != (unsigned)t[i].want)
				printf("%s: phone %u is shown %u\n", t[i].row, p, all[p]->security);
			CU_ASSERT_EQUAL(all[p]->security, (unsigned)t[i].want);
		}
		key(&pa, CP_SCCP_KEY_RMLSTC, 0);
		calm();
		CU_ASSERT_EQUAL(members(), 3);
		for (unsigned p = 0; p < 3; p++)
			CU_ASSERT_EQUAL(all[p]->security, CP_SCCP_SEC_ENCRYPTED);
		CU_ASSERT_EQUAL(pd.state, CP_SCCP_ONHOOK);
		end_all_calls();
		world_end();
	}
}

/* 001:R-18, P1-111; 004a:CALL-03: a bridge without SRTP. From encrypted to not secure, and back when it is not needed any more. */
static void test_clear_bridge(void)
{
	begin("cnf/$");
	w.say[DP_MGCP_CRCX].suite = 0xff; /* it declines SRTP */
	three();
	CU_ASSERT(pa.security == CP_SCCP_SEC_NOT_AUTH && pb.security == CP_SCCP_SEC_NOT_AUTH && pc.security == CP_SCCP_SEC_NOT_AUTH);
	CU_ASSERT_EQUAL(pa.orc_m.suite, DP_SRTP_NONE);
	key(&pb, CP_SCCP_KEY_ENDCALL, 0);
	LIVE_UNTIL(w.calls->confs == NULL && talks(&pa) && talks(&pc));
	calm();
	CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && pc.security == CP_SCCP_SEC_ENCRYPTED);
	CU_ASSERT(pa.orc_m.suite != DP_SRTP_NONE && pc.orc_m.suite != DP_SRTP_NONE);
	end_all_calls();
	/* phones that sign keep their shield over a clear stream (001:P1-114) */
	for (unsigned i = 0; i < 3; i++) {
		all[i]->sec = CP_PHONE_AUTHENTICATED;
		all[i]->srtp = false;
	}
	three();
	CU_ASSERT(pa.security == CP_SCCP_SEC_AUTH && pb.security == CP_SCCP_SEC_AUTH && pc.security == CP_SCCP_SEC_AUTH);
	end_all_calls();
	/* and lose it when nobody protects what the bridge is told */
	add_bridge("cnf/$", 8, 4, CP_GW_CLEAR);
	cp_gws_sa_changed(w.gws, w.bridge_id, false);
	three();
	CU_ASSERT(pa.security == CP_SCCP_SEC_NOT_AUTH && pb.security == CP_SCCP_SEC_NOT_AUTH && pc.security == CP_SCCP_SEC_NOT_AUTH);
	end_all_calls();
	world_end();
}

/* 000:P0-20, R-09: all are encrypted, and the bridge is of a type that is not trusted. */
static void test_untrusted_bridge(void)
{
	begin("cnf/$");
	add_bridge_of("ACME Mixer", "cnf/$", 8, 4, 0);
	three();
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT(all[i]->security == CP_SCCP_SEC_NOT_AUTH && all[i]->orc_m.suite != DP_SRTP_NONE);
	key(&pc, CP_SCCP_KEY_ENDCALL, 0);
	LIVE_UNTIL(w.calls->confs == NULL && talks(&pa) && talks(&pb));
	calm();
	CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && pb.security == CP_SCCP_SEC_ENCRYPTED);
	end_all_calls();
	world_end();
}

/* Somebody leaves while the bridge is asked for one more: the others are shown what they are without, at once. */
static void test_leaves_meanwhile(void)
{
	const struct dp_mgcp_cmd *cmd = NULL;
	uint32_t second;

	begin("cnf/$");
	w.say[DP_MGCP_CRCX].suite = 0xff; /* clear: a lock falls to nothing, a shield stays */
	pc.sec = CP_PHONE_AUTHENTICATED;
	pc.srtp = false;
	three();
	CU_ASSERT_EQUAL(pb.security, CP_SCCP_SEC_AUTH);
	second = ask_in(&pa, &pd);
	w.say[DP_MGCP_CRCX].silent = true;
	key(&pa, CP_SCCP_KEY_CONFRN, second);
	calm();
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf_of(&pb)->task);
	key(&pc, CP_SCCP_KEY_ENDCALL, 0);
	calm();
	CU_ASSERT(conf_of(&pb)->task != NULL && pb.security == CP_SCCP_SEC_NOT_AUTH);
	w.say[DP_MGCP_CRCX].silent = false;
	gw_saw(DP_MGCP_CRCX, &cmd);
	gw_answer(cmd);
	LIVE_UNTIL(members() == 3 && talks(&pa) && talks(&pb) && talks(&pd));
	calm();
	CU_ASSERT(pa.security == CP_SCCP_SEC_NOT_AUTH && pd.security == CP_SCCP_SEC_NOT_AUTH);
	end_all_calls();
	world_end();
}

/* Whose connection is gone goes on in its call, and can open no stream: it is not moved to another one. */
static void test_away(void)
{
	uint32_t first, second;

	for (unsigned how = 0; how < 3; how++) { /* 0: before the key; 1: while the bridge is asked; 2: a transfer */
		begin("cnf/$");
		first = talk(&pa, &pb);
		second = ask_in(&pa, &pc);
		w.todo_cnt = w.todo_done = 0;
		w.say[DP_MGCP_CRCX].silent = how == 1;
		if (how == 1)
			key(&pa, CP_SCCP_KEY_CONFRN, second);
		calm();
		gone(how == 2 ? &pc : &pb, CP_GONE_CLOSED);
		if (how != 1)
			key(&pa, how == 0 ? CP_SCCP_KEY_CONFRN : CP_SCCP_KEY_TRANSFER, second);
		CU_ASSERT_EQUAL(gw_saw(DP_MGCP_CRCX, NULL), how == 1 ? 1 : 0);
		w.say[DP_MGCP_CRCX].silent = false;
		if (how == 1)
			gw_answer(&w.todo[0]);
		calm();
		CU_ASSERT_STRING_EQUAL(pa.prompt, how == 0 ? "one of them is not registered" : how == 1 ? "Call has ended" : "Cannot transfer");
		/* as they were, and so they go on when it is back */
		CU_ASSERT(cp_calls_count(w.calls) == 2 && w.calls->confs == NULL && bridge_conns() == 0);
		CU_ASSERT(call_find(w.calls, first)->p[0].held && place_of(&pa)->ref == second && talks(&pa));
		cp_calls_phone_ops.registered(w.calls, how == 2 ? &pc : &pb);
		key(&pa, CP_SCCP_KEY_CONFRN, second);
		LIVE_UNTIL(members() == 3 && talks(&pa) && talks(&pb) && talks(&pc));
		end_all_calls();
		world_end();
	}
}

/* Hold in a conference, ConfList, Join, and a member that transfers its place to somebody else. */
static void test_keys(void)
{
	struct cp_call *call;
	uint32_t ref;

	begin("cnf/$");
	three();
	call = place_of(&pb)->call;
	key(&pb, CP_SCCP_KEY_HOLD, 0);
	calm();
	CU_ASSERT(call->p[0].held && members() == 3 && pb.state == CP_SCCP_HOLD);
	CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && talks(&pa) && talks(&pc));
	key(&pb, CP_SCCP_KEY_RESUME, 0);
	LIVE_UNTIL(talks(&pb));
	CU_ASSERT_EQUAL(pb.security, CP_SCCP_SEC_ENCRYPTED);
	key(&pb, CP_SCCP_KEY_CONFLIST, 0);
	CU_ASSERT_EQUAL(strncmp(pb.prompt, "1/3", 3), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(pb.prompt, "encrypted"));
	for (unsigned i = 0, owner = 0; i < 3; i++) { /* the owner is one of them */
		owner += strstr(pb.prompt, "* 1001 ") != NULL;
		key(&pb, CP_SCCP_KEY_CONFLIST, 0);
		CU_ASSERT_TRUE(i < 2 || owner == 1);
	}
	CU_ASSERT_EQUAL(strncmp(pb.prompt, "1/3", 3), 0);
	/* only who made it adds and removes */
	key(&pb, CP_SCCP_KEY_RMLSTC, 0);
	CU_ASSERT(strcmp(pb.prompt, "Only its controller can remove") == 0 && pb.tone == CP_SCCP_TONE_REORDER);
	key(&pb, CP_SCCP_KEY_CONFRN, 0);
	CU_ASSERT_STRING_EQUAL(pb.prompt, "Only its controller can add");
	CU_ASSERT_EQUAL(members(), 3);
	for (int i = 0; i < 3; i++)
		ui_tick(w.calls);
	CU_ASSERT_EQUAL(pb.tone, 0);
	w.cfg->conference.add = CFG_ADD_ANYONE;
	/* c gives its place to d */
	ref = place_of(&pc)->ref;
	key(&pc, CP_SCCP_KEY_TRANSFER, ref);
	talk(&pc, &pd);
	key(&pc, CP_SCCP_KEY_TRANSFER, place_of(&pc)->ref);
	LIVE_UNTIL(members() == 3 && talks(&pd));
	calm();
	CU_ASSERT(pc.state == CP_SCCP_ONHOOK && conf_of(&pd) != NULL && bridge_conns() == 3 && conn_modes(DP_MGCP_M_CONFRNCE) == 3);
	CU_ASSERT(pd.security == CP_SCCP_SEC_ENCRYPTED && pd.keys == CP_SCCP_KEYS_CONFERENCE);
	end_all_calls();
	/* Join: what is held on the line comes to what is talked in */
	talk(&pa, &pb);
	key(&pa, CP_SCCP_KEY_JOIN, 0);
	CU_ASSERT_STRING_EQUAL(pa.prompt, "Nothing to join");
	key(&pa, CP_SCCP_KEY_HOLD, 0);
	talk(&pa, &pc);
	key(&pa, CP_SCCP_KEY_HOLD, 0);
	talk(&pa, &pd);
	ref = place_of(&pa)->ref;
	key(&pa, CP_SCCP_KEY_JOIN, ref);
	LIVE_UNTIL(members() == 4 && talks(&pa));
	calm();
	CU_ASSERT(place_of(&pa)->ref == ref && talks(&pb) && talks(&pc) && talks(&pd) && cp_calls_count(w.calls) == 4);
	end_all_calls();
	world_end();
}

/* A gateway party that was called, and the conference beside it. */
static void test_gateway_member(void)
{
	struct party *gw;
	uint32_t first;

	begin("cnf/$");
	cp_calls_phone_ops.enbloc(w.calls, &pa, "77", 1);
	UNTIL(place_of(&pa) != NULL && place_of(&pa)->call->state == CALL_ALERTING);
	first = place_of(&pa)->ref;
	notify("L/hd");
	LIVE_UNTIL(talks(&pa));
	calm();
	key(&pa, CP_SCCP_KEY_CONFRN, ask_in(&pa, &pb));
	LIVE_UNTIL(members() == 3 && talks(&pa) && talks(&pb));
	calm();
	CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && place_of(&pa)->ref == first);
	/* the line's connection is the one that it had, opened to another leg under another key; it hangs up */
	CU_ASSERT_PTR_NOT_NULL_FATAL(endpoint_call(w.calls, "gw1", "aaln/1", &(unsigned){0}));
	gw = &endpoint_call(w.calls, "gw1", "aaln/1", &(unsigned){0})->p[0];
	CU_ASSERT(strcmp(gw->conn_id, "C0FFEE") == 0 && gw->ready && !gw->reopen && party_other(gw)->conf != NULL);
	gw_event(DP_MGCP_NTFY, "aaln/1", gw->request_id, "L/hu");
	LIVE_UNTIL(w.calls->confs == NULL && talks(&pa) && talks(&pb));
	CU_ASSERT_EQUAL(cp_calls_count(w.calls), 1);
	calm();
	end_all_calls();
	/* toll fraud: two lines are not left alone with each other, unless it is allowed */
	for (unsigned never = 0; never < 2; never++) {
		w.cfg->conference.drop = never != 0 ? CFG_DROP_NEVER : CFG_DROP_ONNET;
		cp_calls_phone_ops.enbloc(w.calls, &pa, "77", 1);
		UNTIL(place_of(&pa) != NULL && place_of(&pa)->call->state == CALL_ALERTING);
		notify("L/hd");
		LIVE_UNTIL(talks(&pa));
		calm();
		key(&pa, CP_SCCP_KEY_CONFRN, 0);
		cp_calls_phone_ops.enbloc(w.calls, &pa, "9123", 1);
		UNTIL(place_of(&pa)->call->state == CALL_ALERTING);
		char id[16];

		snprintf(id, sizeof(id), "%08X", place_of(&pa)->call->ref);
		gw_event(DP_MGCP_NTFY, place_of(&pa)->call->p[1].endpoint, id, "L/hd");
		LIVE_UNTIL(talks(&pa));
		calm();
		key(&pa, CP_SCCP_KEY_CONFRN, 0);
		LIVE_UNTIL(members() == 3 && talks(&pa));
		calm();
		key(&pa, CP_SCCP_KEY_ENDCALL, 0);
		calm();
		CU_ASSERT_EQUAL(cp_calls_count(w.calls), never);
		while (the_call() != NULL)
			call_end(the_call(), "the test is over");
		rest();
	}
	end_all_calls();
	world_end();
}

/* Whatever the bridge does wrong, the calls are as they were, and who pressed is told. */
static void test_no_bridge(void)
{
	uint32_t first, second;

	for (unsigned how = 0; how < 6; how++) {
		begin("cnf/$");
		first = talk(&pa, &pb);
		second = ask_in(&pa, &pc);
		memset(pa.prompt, 0, sizeof(pa.prompt));
		switch (how) {
		case 0:
			w.say[DP_MGCP_CRCX].code = 403;
			break;
		case 1:
			w.say[DP_MGCP_CRCX].result = DP_MGCP_TIMEOUT;
			break;
		case 2:
			w.say[DP_MGCP_CRCX].no_endpoint = true;
			break;
		case 3: /* all its ports but two are taken */
			add_bridge("cnf/$", 3, 3, 0);
			synced(cp_dir_gateway_del(w.store, "bridge1", &dir_ctx));
			break;
		case 4: /* the bridge restarts while it is asked */
			w.say[DP_MGCP_CRCX].silent = true;
			break;
		default:
			w.cfg->conference.security = CFG_LEVEL_ENCRYPTED;
			w.say[DP_MGCP_CRCX].suite = 0xff;
		}
		key(&pa, CP_SCCP_KEY_CONFRN, second);
		if (how == 4) {
			rest();
			CU_ASSERT_EQUAL(cp_calls_count(w.calls), 5);
			while (w.calls->confs != NULL) {
				event_active(w.calls->confs->ports->call->timer, EV_TIMEOUT, 0);
				rest();
			}
		}
		calm();
		if (strcmp(pa.prompt, how == 5 ? "Not secure enough" : "No conference bridge") != 0)
			printf("case %u: %s\n", how, pa.prompt);
		CU_ASSERT_STRING_EQUAL(pa.prompt, how == 5 ? "Not secure enough" : "No conference bridge");
		CU_ASSERT_EQUAL(pa.tone, CP_SCCP_TONE_REORDER);
		/* as they were: one waits, one talks */
		CU_ASSERT(cp_calls_count(w.calls) == 2 && w.calls->confs == NULL && bridge_conns() == 0);
		CU_ASSERT(call_find(w.calls, first)->p[0].held && place_of(&pa)->ref == second && talks(&pa) && talks(&pc));
		CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && pc.security == CP_SCCP_SEC_ENCRYPTED);
		memset(&w.say[DP_MGCP_CRCX], 0, sizeof(w.say[0]));
		end_all_calls();
		world_end();
	}
	/* none configured: the first press says so */
	world_begin();
	phone_reset(&pc, "SEP000000000003", "1003");
	talk(&pa, &pb);
	key(&pa, CP_SCCP_KEY_CONFRN, 0);
	CU_ASSERT(strcmp(pa.prompt, "No conference bridge") == 0 && pa.tone == CP_SCCP_TONE_REORDER && talks(&pa));
	end_all_calls();
	world_end();
	/* drained: it gets no new one */
	begin("cnf/$");
	{
		struct cp_endpoint ep[1] = {{.name = "cnf/$"}};
		struct cp_gateway g = {.name = "bridge1", .region = "default", .endpoints = ep, .endpoint_cnt = 1, .ports = 8,
				       .conference_max = 4, .flags = CP_GW_CONFERENCE, .admin = CP_ADMIN_DRAIN};

		cfg_addr_parse("10.0.0.2:2427", &g.address);
		synced(cp_dir_gateway_put(w.store, &g, true, &dir_ctx));
		cp_gws_changed(w.gws, "bridge1");
	}
	talk(&pa, &pb);
	key(&pa, CP_SCCP_KEY_CONFRN, 0);
	CU_ASSERT(strcmp(pa.prompt, "No conference bridge") == 0 && talks(&pa) && w.calls->confs == NULL);
	end_all_calls();
	world_end();
}

/* Somebody hangs up while the bridge is asked; a member is not secure enough; a conference is full. */
static void dial_to(struct cp_phone *p, const char *number) { cp_calls_phone_ops.enbloc(w.calls, p, number, 1); }

static void test_refused(void)
{
	uint32_t second;
	char id[16];

	begin("cnf/$");
	talk(&pa, &pb);
	second = ask_in(&pa, &pc);
	w.say[DP_MGCP_CRCX].silent = true;
	key(&pa, CP_SCCP_KEY_CONFRN, second);
	key(&pc, CP_SCCP_KEY_ENDCALL, 0);
	w.say[DP_MGCP_CRCX].silent = false;
	for (unsigned i = 0; i < w.todo_cnt; i++)
		if (w.todo[i].verb == DP_MGCP_CRCX && i < w.todo_done)
			gw_answer(&w.todo[i]);
	calm();
	CU_ASSERT(w.calls->confs == NULL && cp_calls_count(w.calls) == 1 && bridge_conns() == 0);
	CU_ASSERT_TRUE(the_call()->p[0].held);
	end_all_calls();
	/* the least that members must have (001:P1-116) */
	w.cfg->conference.security = CFG_LEVEL_ENCRYPTED;
	pc.sec = CP_PHONE_AUTHENTICATED;
	pc.srtp = false;
	talk(&pa, &pb);
	second = ask_in(&pa, &pc);
	key(&pa, CP_SCCP_KEY_CONFRN, second);
	CU_ASSERT_STRING_EQUAL(pa.prompt, "one of them is not secure enough");
	calm();
	CU_ASSERT(w.calls->confs == NULL && cp_calls_count(w.calls) == 2);
	key(&pc, CP_SCCP_KEY_ENDCALL, 0);
	key(&pa, CP_SCCP_KEY_RESUME, 0);
	LIVE_UNTIL(talks(&pa));
	key(&pa, CP_SCCP_KEY_CONFRN, ask_in(&pa, &pd));
	LIVE_UNTIL(members() == 3 && talks(&pa) && talks(&pd));
	calm();
	/* nor does it come in by transfer */
	second = place_of(&pd)->ref;
	key(&pd, CP_SCCP_KEY_TRANSFER, second);
	talk(&pd, &pc);
	key(&pd, CP_SCCP_KEY_TRANSFER, place_of(&pd)->ref);
	calm();
	CU_ASSERT(members() == 3 && conf_of(&pc) == NULL && pa.security == CP_SCCP_SEC_ENCRYPTED);
	key(&pc, CP_SCCP_KEY_ENDCALL, 0);
	pc.sec = CP_PHONE_ENCRYPTED;
	pc.srtp = true;
	/* full */
	add_bridge("cnf/$", 8, 3, 0);
	key(&pa, CP_SCCP_KEY_CONFRN, 0);
	CU_ASSERT_STRING_EQUAL(pa.prompt, "Conference is full");
	CU_ASSERT_EQUAL(members(), 3);
	end_all_calls();
	/* who made it leaves, and it ends, if so configured */
	w.cfg->conference.drop = CFG_DROP_CONTROLLER;
	add_bridge("cnf/$", 8, 4, 0);
	three();
	key(&pa, CP_SCCP_KEY_CONFRN, ask_in(&pa, &pd));
	LIVE_UNTIL(members() == 4 && talks(&pa));
	calm();
	key(&pa, CP_SCCP_KEY_ENDCALL, 0);
	calm();
	CU_ASSERT(cp_calls_count(w.calls) == 0 && bridge_conns() == 0 && pd.state == CP_SCCP_ONHOOK);
	/* a gateway that may keep a key which a phone has */
	talk(&pa, &pb);
	key(&pa, CP_SCCP_KEY_CONFRN, place_of(&pa)->ref);
	w.cfg->media.mode = CFG_MEDIA_DIRECT;
	w.say[DP_MGCP_MDCX].sdp = false;
	dial_to(&pa, "77");
	second = place_of(&pa)->ref;
	UNTIL(place_of(&pa)->call->state == CALL_ALERTING);
	snprintf(id, sizeof(id), "%08X", second);
	gw_event(DP_MGCP_NTFY, "aaln/1", id, "L/hd");
	LIVE_UNTIL(talks(&pa));
	CU_ASSERT_TRUE(place_of(&pa)->call->direct);
	key(&pa, CP_SCCP_KEY_CONFRN, second);
	CU_ASSERT_STRING_EQUAL(pa.prompt, "a gateway's media is direct");
	calm();
	CU_ASSERT(w.calls->confs == NULL && cp_calls_count(w.calls) == 2 && talks(&pa));
	end_all_calls();
	world_end();
}

/* Who asked turns to somebody else before the bridge has answered: it is a member that holds, and comes back when it likes. */
static void test_turned(void)
{
	unsigned active = 0;
	uint32_t ref = 0;

	begin("cnf/$");
	talk(&pa, &pb);
	key(&pa, CP_SCCP_KEY_CONFRN, ask_in(&pa, &pc));
	dial_to(&pa, "10045");
	LIVE_UNTIL(members() == 3 && talks(&pb) && talks(&pc));
	calm();
	for (const struct party *p = agent_find(w.calls, pa.name, false)->parties; p != NULL; p = p->ag_next) {
		active += !p->held;
		ref = call_conf(p->call) != NULL ? p->ref : ref;
	}
	CU_ASSERT(active == 1 && ref != 0 && pd.ringing != 0);
	CU_ASSERT_EQUAL(place_of(&pa)->call->state, CALL_ALERTING);
	key(&pa, CP_SCCP_KEY_ENDCALL, place_of(&pa)->ref);
	key(&pa, CP_SCCP_KEY_RESUME, ref);
	LIVE_UNTIL(talks(&pa) && conf_of(&pa) != NULL);
	end_all_calls();
	world_end();
}

static void test_meetme(void)
{
	static struct cfg_meetme ranges[] = {{.numbers = {8500, 8549, 4}, .security = CFG_LEVEL_AUTHENTICATED},
					     {.numbers = {8600, 8609, 4}, .security = CFG_LEVEL_ENCRYPTED}};

	begin("cnf/$");
	w.cfg->conference.meetme = ranges;
	w.cfg->conference.meetme_count = 2;
	/* before it is started */
	dial_to(&pb, "8512");
	CU_ASSERT(place_of(&pb)->call->state == CALL_FAILED && pb.tone == CP_SCCP_TONE_BUSY && strcmp(pb.prompt, "Conference not started") == 0);
	onhook(&pb);
	/* a number that is none */
	key(&pa, CP_SCCP_KEY_MEETME, 0);
	dial_to(&pa, "1002");
	CU_ASSERT(place_of(&pa)->call->state == CALL_FAILED && strcmp(pa.prompt, "No conference number") == 0 && !pb.ringing);
	onhook(&pa);
	/* digit by digit; what was to be a forward target is a call after all */
	key(&pa, CP_SCCP_KEY_CFWDALL, 0);
	CU_ASSERT_TRUE(place_of(&pa)->call->sets_cfa);
	key(&pa, CP_SCCP_KEY_MEETME, 0);
	CU_ASSERT(!place_of(&pa)->call->sets_cfa && !place_of(&pa)->call->billed);
	CU_ASSERT_STRING_EQUAL(pa.prompt, "Conference number");
	for (const char *d = "8512"; *d != '\0'; d++)
		cp_calls_phone_ops.digit(w.calls, &pa, *d, 1, 0);
	LIVE_UNTIL(members() == 1 && talks(&pa));
	calm();
	CU_ASSERT(members() == 1 && pa.security == CP_SCCP_SEC_ENCRYPTED && pa.keys == CP_SCCP_KEYS_CONFERENCE);
	dial_to(&pb, "8512");
	LIVE_UNTIL(members() == 2 && talks(&pb));
	calm();
	CU_ASSERT(members() == 2 && bridge_conns() == 2 && conn_modes(DP_MGCP_M_CONFRNCE) == 2 && conf_of(&pa) == conf_of(&pb)); /* it stays on the bridge */
	/* nobody is a member twice */
	key(&pb, CP_SCCP_KEY_HOLD, 0);
	calm();
	dial_to(&pb, "8512");
	CU_ASSERT(pb.tone == CP_SCCP_TONE_BUSY && strcmp(pb.prompt, "Already in this conference") == 0 && members() == 2);
	onhook(&pb);
	key(&pb, CP_SCCP_KEY_RESUME, 0);
	LIVE_UNTIL(talks(&pb));
	/* in use; not secure enough; and one that only signs is, and takes the lock */
	key(&pc, CP_SCCP_KEY_MEETME, 0);
	dial_to(&pc, "8512");
	CU_ASSERT(pc.tone == CP_SCCP_TONE_BUSY && strcmp(pc.prompt, "Conference is in use") == 0);
	onhook(&pc);
	pc.sec = CP_PHONE_NONSECURE;
	pc.srtp = false;
	dial_to(&pc, "8512");
	CU_ASSERT(place_of(&pc)->call->state == CALL_FAILED && strcmp(pc.prompt, "Not secure enough") == 0);
	onhook(&pc);
	CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_ENCRYPTED);
	pc.sec = CP_PHONE_AUTHENTICATED;
	dial_to(&pc, "8512");
	LIVE_UNTIL(members() == 3 && talks(&pc));
	calm();
	CU_ASSERT(pa.security == CP_SCCP_SEC_AUTH && pb.security == CP_SCCP_SEC_AUTH && pc.security == CP_SCCP_SEC_AUTH);
	onhook(&pc);
	calm();
	CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && pb.security == CP_SCCP_SEC_ENCRYPTED);
	/* who started it leaves, and it goes on */
	onhook(&pa);
	calm();
	CU_ASSERT(members() == 1 && talks(&pb));
	onhook(&pb);
	calm();
	CU_ASSERT(w.calls->confs == NULL && bridge_conns() == 0);
	/* encrypted from the pattern, and the bridge cannot */
	w.say[DP_MGCP_CRCX].suite = 0xff;
	key(&pa, CP_SCCP_KEY_MEETME, 0);
	dial_to(&pa, "8600");
	calm();
	CU_ASSERT(place_of(&pa)->call->state == CALL_FAILED && strcmp(pa.prompt, "Not secure enough") == 0 && bridge_conns() == 0);
	onhook(&pa);
	w.cfg->conference.meetme = NULL;
	w.cfg->conference.meetme_count = 0;
	world_end();
}

/* What a transfer makes of a port's call: who had barged in is let go, no phone is a member twice, and it is G.711. */
static void test_transferred(void)
{
	static struct cfg_meetme range = {.numbers = {8500, 8549, 4}};
	const struct dp_mgcp_cmd *cmd = NULL;
	const char *why = "";
	struct party *p;
	uint32_t ref;

	begin("cnf/$");
	w.cfg->conference.meetme = &range;
	w.cfg->conference.meetme_count = 1;
	key(&pc, CP_SCCP_KEY_MEETME, 0);
	dial_to(&pc, "8512");
	LIVE_UNTIL(members() == 1 && talks(&pc));
	calm();
	/* a connection that is there when nobody wants it any more is deleted at the endpoint that the bridge chose */
	w.say[DP_MGCP_CRCX].silent = true;
	key(&pb, CP_SCCP_KEY_MEETME, 0);
	dial_to(&pb, "8513");
	LIVE_UNTIL(gw_saw(DP_MGCP_CRCX, &cmd) == 2 && w.todo_done == w.todo_cnt);
	CU_ASSERT_STRING_EQUAL(cmd->endpoint, "cnf/$");
	onhook(&pb);
	calm();
	w.say[DP_MGCP_CRCX].silent = false;
	gw_answer(cmd);
	CU_ASSERT_EQUAL(bridge_conns(), 2);
	calm();
	gw_saw(DP_MGCP_DLCX, &cmd);
	CU_ASSERT(bridge_conns() == 1 && strcmp(cmd->endpoint, "cnf/2") == 0 && cmd->conn_id[0] != '\0');
	/* d barges in at a, who talks to b, who transfers a into the conference */
	ref = talk(&pa, &pb);
	CU_ASSERT_EQUAL_FATAL(barge_begin(place_of(&pa), agent_find(w.calls, pd.name, false), 1, &why), 0);
	LIVE_UNTIL(place_of(&pd) != NULL && place_of(&pd)->call->barge && talks(&pd));
	key(&pb, CP_SCCP_KEY_TRANSFER, ref);
	dial_to(&pb, "8512");
	LIVE_UNTIL(members() == 2 && talks(&pb));
	calm();
	CU_ASSERT(place_of(&pd) != NULL && talks(&pd));
	key(&pb, CP_SCCP_KEY_TRANSFER, place_of(&pb)->ref);
	LIVE_UNTIL(place_of(&pb) == NULL && conf_of(&pa) != NULL && talks(&pa));
	calm();
	CU_ASSERT(place_of(&pd) == NULL && members() == 2 && pa.security == CP_SCCP_SEC_ENCRYPTED && conf_of(&pa) == conf_of(&pc));
	/* a dials c, who is there already: it cannot take a's place, too */
	key(&pa, CP_SCCP_KEY_TRANSFER, place_of(&pa)->ref);
	ref = talk(&pa, &pc);
	key(&pa, CP_SCCP_KEY_TRANSFER, ref);
	calm();
	CU_ASSERT(place_of(&pa) != NULL && place_of(&pa)->ref == ref && strcmp(pa.prompt, "Cannot transfer") == 0 && members() == 2);
	onhook(&pa);
	calm();
	/* to d, which prefers what a bridge cannot mix */
	pa.caps[0] = pd.caps[0] = (struct cp_sccp_cap){CP_SCCP_G722, 40};
	pa.caps[1] = pd.caps[1] = (struct cp_sccp_cap){CP_SCCP_G711U, 40};
	pa.cap_cnt = pd.cap_cnt = 2;
	ref = talk(&pa, &pd);
	CU_ASSERT(place_of(&pd)->codec == CP_SCCP_G722);
	p = agent_held(agent_find(w.calls, pa.name, false), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_EQUAL(transfer_join(p, place_of(&pa), &why), 0);
	LIVE_UNTIL(conf_of(&pd) != NULL && talks(&pd));
	calm();
	CU_ASSERT(place_of(&pd)->codec == CP_SCCP_G711U && party_other(place_of(&pd))->codec == CP_SCCP_G711U && members() == 2);
	end_all_calls();
	w.cfg->conference.meetme = NULL;
	w.cfg->conference.meetme_count = 0;
	world_end();
}

/* kill -9: every member's call is taken over, and they are one conference again, with its status and its rules. */
static void test_killed(void)
{
	begin("cnf/$");
	pc.sec = CP_PHONE_AUTHENTICATED;
	pc.srtp = false;
	three();
	key(&pa, CP_SCCP_KEY_CONFRN, ask_in(&pa, &pd));
	LIVE_UNTIL(members() == 4 && talks(&pa) && talks(&pd));
	calm();
	CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_AUTH);
	controlplane_stop(true);
	controlplane_start();
	UNTIL(ups == 2);
	cp_gws_sa_changed(w.gws, w.bridge_id, true);
	for (unsigned i = 0; i < 4; i++) {
		all[i]->security = 0;
		cp_calls_phone_ops.registered(w.calls, all[i]);
	}
	calm();
	CU_ASSERT(cp_calls_count(w.calls) == 4 && members() == 4 && w.calls->confs != NULL && w.calls->confs->next == NULL);
	CU_ASSERT_STRING_EQUAL(w.calls->confs->owner, pa.name);
	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT(all[i]->security == CP_SCCP_SEC_AUTH && all[i]->keys == CP_SCCP_KEYS_CONFERENCE);
	/* who took the lock leaves: it was the only one */
	onhook(&pc);
	calm();
	CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && pb.security == CP_SCCP_SEC_ENCRYPTED && pd.security == CP_SCCP_SEC_ENCRYPTED);
	onhook(&pd);
	LIVE_UNTIL(w.calls->confs == NULL && cp_calls_count(w.calls) == 1);
	calm();
	CU_ASSERT_EQUAL(bridge_conns(), 0);
	end_all_calls();
	/* killed while the bridge is asked: what it gave is deleted */
	pc.sec = CP_PHONE_ENCRYPTED;
	pc.srtp = true;
	talk(&pa, &pb);
	uint32_t second = ask_in(&pa, &pc);
	w.say[DP_MGCP_CRCX].silent = true;
	key(&pa, CP_SCCP_KEY_CONFRN, second);
	rest();
	for (unsigned i = 0; i < w.todo_cnt; i++)
		if (w.todo[i].verb == DP_MGCP_CRCX && w.todo[i].gw_id == w.bridge_id && i + 1 == w.todo_done)
			bridge_does(&w.todo[i], &(struct dp_mgcp_done){0});
	w.say[DP_MGCP_CRCX].silent = false;
	controlplane_stop(true);
	controlplane_start();
	UNTIL(ups == 3);
	cp_gws_sa_changed(w.gws, w.bridge_id, true);
	for (unsigned i = 0; i < 4; i++)
		cp_calls_phone_ops.registered(w.calls, all[i]);
	calm();
	CU_ASSERT(cp_calls_count(w.calls) == 2 && w.calls->confs == NULL && bridge_conns() == 0);
	end_all_calls();
	world_end();
}

/* After a kill legs are where they would have been: at the address of their party's region. 2 of 10.9.0.2 is region b's. */
static void test_killed_region(void)
{
	static const char *const numbers[] = {"1001", "1002", "1003"};
	struct cfg_addr at;

	begin("cnf/$");
	for (unsigned i = 0; i < 3; i++) {
		struct cp_line line = {0};
		struct cp_device d = {.mode = CP_DEVICE_ENCRYPTED, .region = "b", .srtp = true, .lines = &line, .line_cnt = 1};

		snprintf(d.name, sizeof(d.name), "%s", all[i]->name);
		snprintf(line.number, sizeof(line.number), "%s", numbers[i]);
		synced(cp_dir_device_put(w.store, &d, true, &dir_ctx));
	}
	three();
	CU_ASSERT_TRUE(cp_ports_addr(w.calls->ports, place_of(&pa)->leg_id, &at) && at.ip[3] == 2);
	controlplane_stop(true);
	controlplane_start();
	UNTIL(ups == 2);
	cp_gws_sa_changed(w.gws, w.bridge_id, true);
	for (unsigned i = 0; i < 4; i++)
		cp_calls_phone_ops.registered(w.calls, all[i]);
	calm();
	CU_ASSERT_EQUAL(place_of(&pa)->call->rule.codec.list[0], CP_CODEC_G711U); /* what a bridge mixes */
	onhook(&pc);
	LIVE_UNTIL(w.calls->confs == NULL && talks(&pa) && talks(&pb));
	calm();
	CU_ASSERT_TRUE(cp_ports_addr(w.calls->ports, place_of(&pa)->leg_id, &at) && at.ip[3] == 2);
	CU_ASSERT_TRUE(cp_ports_addr(w.calls->ports, place_of(&pb)->leg_id, &at) && at.ip[3] == 2);
	end_all_calls();
	world_end();
}

static const char *text_of(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }

/* show conferences: while the bridge is asked, three with their lock, one of them on hold, and the ports that are left. */
static void test_show(void)
{
	static struct cfg_meetme range = {.numbers = {8500, 8549, 4}, .security = CFG_LEVEL_ENCRYPTED};
	static const char *const numbers[] = {"1001", "1002", "1003"};
	const json_t *c, *m;
	json_t *o;
	uint32_t ref;

	begin("cnf/$");
	o = cp_calls_show_conferences(w.calls);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(o, "conferences")), 0);
	m = json_array_get(json_object_get(o, "bridges"), 0);
	CU_ASSERT_EQUAL_FATAL(json_array_size(json_object_get(o, "bridges")), 1); /* gw1 is none */
	CU_ASSERT(strcmp(text_of(m, "name"), "bridge1") == 0 && strcmp(text_of(m, "state"), "up") == 0 && json_integer_value(json_object_get(m, "ports")) == 8 &&
		  json_integer_value(json_object_get(m, "free")) == 8 && json_integer_value(json_object_get(m, "conference_max")) == 4);
	json_decref(o);
	talk(&pa, &pb);
	ref = ask_in(&pa, &pc);
	w.say[DP_MGCP_CRCX].silent = true;
	key(&pa, CP_SCCP_KEY_CONFRN, ref);
	rest();
	o = cp_calls_show_conferences(w.calls);
	c = json_array_get(json_object_get(o, "conferences"), 0);
	CU_ASSERT(c != NULL && json_is_true(json_object_get(c, "adding")) && strcmp(text_of(c, "endpoint"), "cnf/$") == 0);
	m = json_array_get(json_object_get(c, "members"), 2);
	CU_ASSERT(m != NULL && strcmp(text_of(m, "state"), "routing") == 0 && strncmp(text_of(m, "device"), "SEP", 3) == 0 && text_of(m, "number")[0] == '\0');
	json_decref(o);
	w.say[DP_MGCP_CRCX].silent = false;
	for (unsigned i = 0; i < w.todo_cnt; i++)
		if (w.todo[i].verb == DP_MGCP_CRCX && w.todo[i].gw_id == w.bridge_id)
			gw_answer(&w.todo[i]);
	LIVE_UNTIL(members() == 3 && talks(&pa) && talks(&pb) && talks(&pc));
	calm();
	key(&pb, CP_SCCP_KEY_HOLD, 0);
	calm();
	w.cfg->conference.meetme = &range;
	w.cfg->conference.meetme_count = 1;
	key(&pd, CP_SCCP_KEY_MEETME, 0);
	dial_to(&pd, "8512");
	LIVE_UNTIL(talks(&pd));
	calm();
	o = cp_calls_show_conferences(w.calls);
	CU_ASSERT_EQUAL_FATAL(json_array_size(json_object_get(o, "conferences")), 2);
	c = json_array_get(json_object_get(o, "conferences"), 0);
	CU_ASSERT(strcmp(text_of(c, "kind"), "adhoc") == 0 && strcmp(text_of(c, "controller"), pa.name) == 0 && strcmp(text_of(c, "bridge"), "bridge1") == 0);
	CU_ASSERT(strcmp(text_of(c, "security"), "encrypted") == 0 && strncmp(text_of(c, "endpoint"), "cnf/", 4) == 0 && text_of(c, "endpoint")[4] != '$' &&
		  json_is_false(json_object_get(c, "adding")) && text_of(c, "minimum")[0] == '\0' && text_of(c, "number")[0] == '\0');
	CU_ASSERT_EQUAL_FATAL(json_array_size(json_object_get(c, "members")), 3);
	for (unsigned i = 0, found = 0; i < 3; i++) {
		m = json_array_get(json_object_get(c, "members"), i);
		for (unsigned k = 0; k < 3; k++)
			if (strcmp(text_of(m, "number"), numbers[k]) == 0) {
				found |= 1u << k;
				CU_ASSERT_STRING_EQUAL(text_of(m, "state"), k == 1 ? "held" : "connected");
				CU_ASSERT(strcmp(text_of(m, "device"), all[k]->name) == 0 && strcmp(text_of(m, "security"), "encrypted") == 0);
				CU_ASSERT_EQUAL(json_is_true(json_object_get(m, "controller")), k == 0);
			}
		CU_ASSERT_TRUE(i < 2 || found == 7);
	}
	c = json_array_get(json_object_get(o, "conferences"), 1);
	CU_ASSERT(strcmp(text_of(c, "kind"), "meetme") == 0 && strcmp(text_of(c, "number"), "8512") == 0 && strcmp(text_of(c, "minimum"), "encrypted") == 0);
	m = json_array_get(json_object_get(o, "bridges"), 0);
	CU_ASSERT(json_integer_value(json_object_get(m, "conferences")) == 2 && json_integer_value(json_object_get(m, "used")) == 4 &&
		  json_integer_value(json_object_get(m, "free")) == 4);
	json_decref(o);
	end_all_calls();
	w.cfg->conference.meetme = NULL;
	w.cfg->conference.meetme_count = 0;
	world_end();
}

/* The bridge restarts: all its connections are gone, and the calls with them. */
static void test_bridge_lost(void)
{
	struct dp_mgcp_event e = {.token = 1, .verb = DP_MGCP_RSIP, .endpoint = "*", .restart_method = "restart"};

	begin("cnf/$");
	three();
	e.gw_id = w.bridge_id;
	memset(w.conns, 0, sizeof(w.conns));
	fake_send(&w.fake, &e, DP_MSG_MGCP_EVENT, sizeof(e), 0);
	LIVE_UNTIL(cp_calls_count(w.calls) == 0);
	CU_ASSERT(w.calls->confs == NULL && pa.state == CP_SCCP_ONHOOK && pb.state == CP_SCCP_ONHOOK && pc.state == CP_SCCP_ONHOOK);
	world_end();
}

static CU_TestInfo tests[] = {
	{"ad hoc: three, four, and two again", test_ad_hoc},
	{"ad hoc on an endpoint by name", test_ad_hoc_named},
	{"status is the least of all", test_status},
	{"a bridge without SRTP", test_clear_bridge},
	{"a bridge that is not trusted", test_untrusted_bridge},
	{"one that is away", test_away},
	{"one leaves while another is asked in", test_leaves_meanwhile},
	{"hold, list, join, transfer", test_keys},
	{"a gateway's party is a member", test_gateway_member},
	{"no bridge: the calls stay", test_no_bridge},
	{"refused members", test_refused},
	{"who asked turns to somebody else", test_turned},
	{"meet-me", test_meetme},
	{"a port's call that is transferred", test_transferred},
	{"taken over after a kill", test_killed},
	{"where legs are after a kill", test_killed_region},
	{"show conferences", test_show},
	{"the bridge is lost", test_bridge_lost},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("conference", tests, NULL, NULL)
