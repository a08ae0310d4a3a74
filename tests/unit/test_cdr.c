/* SPDX-License-Identifier: BSD-3-Clause */
/* Call detail records: one for every call, whatever ends it, and us; what is in them; how long they are kept. */
#include "admin/cdr.h"
#include "talk.h"

static struct dp_page_leg *page_leg(const struct cp_call *call, unsigned side)
{
	struct dp_page_leg *legs = (struct dp_page_leg *)(void *)((uint8_t *)w.fake.page + w.fake.page->leg_off);

	return &legs[call->p[side].leg_id];
}

static void test_answered(void)
{
	const struct cp_cdr *r;
	struct cdr_list *l;
	struct cp_call *call;
	int64_t before = (int64_t)time(NULL) * 1000;
	uint32_t ref;

	world_of_three();
	ref = talk(&pa, &pb);
	call = call_find(w.calls, ref);
	*page_leg(call, 0) = (struct dp_page_leg){.session = ref, .state = DP_PAGE_LEG_UP, .rx_pkts = 500, .rx_bytes = 86000, .tx_pkts = 480,
						  .tx_bytes = 82560, .clock_hz = 8000, .rtp = {.expected = 510, .received = 500, .jitter = 16 * 80}};
	key(&pb, CP_SCCP_KEY_ENDCALL, ref);
	l = cdrs();
	CU_ASSERT_EQUAL_FATAL(l->n, 1);
	r = &l->r[0];
	CU_ASSERT(r->call == ref && r->origin == CP_CDR_DIALLED && r->joined_id == 0 && !r->adopted && !r->direct);
	CU_ASSERT(r->setup_ms >= before && r->connect_ms >= r->setup_ms && r->end_us / 1000 >= r->connect_ms);
	CU_ASSERT(r->cause == CP_Q850_NORMAL && r->released == 2);
	CU_ASSERT_STRING_EQUAL(r->dialled, "1002");
	CU_ASSERT_STRING_EQUAL(r->party[0].device, pa.name);
	CU_ASSERT_STRING_EQUAL(r->party[0].number, "1001");
	CU_ASSERT_STRING_EQUAL(r->party[1].device, pb.name);
	CU_ASSERT_STRING_EQUAL(r->party[1].number, "1002");
	CU_ASSERT(r->party[0].leg != 0 && r->party[0].leg != r->party[1].leg && r->party[0].kind == 1);
	CU_ASSERT(r->party[0].codec == CP_SCCP_G711U && r->party[0].suite == DP_AES_CM_128_HMAC_SHA1_32);
	CU_ASSERT(r->security == CP_SEC_ENCRYPTED && r->best == CP_SEC_ENCRYPTED && r->worst == CP_SEC_ENCRYPTED);
	CU_ASSERT(r->party[1].security == CP_SEC_ENCRYPTED && r->party[1].worst == CP_SEC_ENCRYPTED);
	CU_ASSERT(r->party[0].counted && r->party[0].rx_pkts == 500 && r->party[0].tx_bytes == 82560);
	CU_ASSERT(r->party[0].rx_lost == 10 && r->party[0].jitter_us == 10000);
	CU_ASSERT_FALSE(r->party[1].counted); /* the page has nothing of that leg */
	world_end();
}

/* The icon went and came back while they talked: 001:P1-104. */
static void test_status(void)
{
	const struct cp_cdr *r;
	struct cp_call *call;
	uint32_t ref;

	world_of_three();
	ref = talk(&pa, &pb);
	call = call_find(w.calls, ref);
	call->p[1].signal_enc = false;
	ui_callinfo(call, 0);
	CU_ASSERT_EQUAL(pa.security, CP_SCCP_SEC_AUTH);
	call->p[1].signal_enc = true;
	key(&pa, CP_SCCP_KEY_ENDCALL, ref);
	r = &cdrs()->r[0];
	CU_ASSERT(r->security == CP_SEC_ENCRYPTED && r->best == CP_SEC_ENCRYPTED && r->worst == CP_SEC_AUTHENTICATED);
	CU_ASSERT(r->party[0].worst == CP_SEC_ENCRYPTED && r->party[1].worst == CP_SEC_AUTHENTICATED && r->party[1].best == CP_SEC_ENCRYPTED);
	world_end();
}

/* One that comes to nothing; 'number' NULL: nothing was dialled. */
static void fails(const char *number, int cause)
{
	unsigned before = cdrs()->n;
	struct cdr_list *l;

	if (number == NULL)
		cp_calls_phone_ops.offhook(w.calls, &pa, 1, 0);
	else
		cp_calls_phone_ops.enbloc(w.calls, &pa, number, 1);
	if (cause == CP_Q850_NO_ANSWER)
		event_active(call_of(&pa)->timer, EV_TIMEOUT, 0);
	rest();
	onhook(&pa);
	l = cdrs();
	CU_ASSERT_EQUAL_FATAL(l->n, before + (cause != 0));
	if (cause == 0)
		return;
	CU_ASSERT_EQUAL(l->r[before].cause, cause);
	CU_ASSERT(l->r[before].connect_ms == 0 && l->r[before].best == 0);
	CU_ASSERT_STRING_EQUAL(l->r[before].dialled, number);
}

static void test_not_answered(void)
{
	json_t *json;

	world_of_three();
	fails(NULL, 0);
	fails("5", CP_Q850_UNALLOCATED);
	fails("1002", CP_Q850_NORMAL); /* who called hangs up */
	fails("1002", CP_Q850_NO_ANSWER);
	fails("10045", CP_Q850_ABSENT);
	w.cfg->calls.busy_trigger = 1;
	talk(&pb, &pc);
	fails("1002", CP_Q850_BUSY);
	onhook(&pb);
	pb.no_codec = true;
	fails("1002", CP_Q850_INCOMPATIBLE);
	w.say[DP_MGCP_CRCX] = (struct reply){.code = 401};
	fails("77", CP_Q850_BUSY);
	w.say[DP_MGCP_CRCX] = (struct reply){.result = DP_MGCP_TIMEOUT};
	fails("77", CP_Q850_REJECTED);
	CU_ASSERT_FALSE(cdrs()->r[cdrs()->n - 1].no_sa);
	w.say[DP_MGCP_CRCX] = (struct reply){.result = DP_MGCP_NO_SA};
	w.cfg->media.fallback = CFG_FALLBACK_REFUSE;
	fails("77", CP_Q850_NO_BEARER); /* its keys were held back: the record says why */
	CU_ASSERT_TRUE(cdrs()->r[cdrs()->n - 1].no_sa);
	json = cp_cdr_json(&cdrs()->r[cdrs()->n - 1]);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json, "reason")), "no-sa");
	json_decref(json);
	world_end();
}

/* a, b, then b and c, then a and c: three records that are found together. */
static void transfers(bool blind)
{
	const struct cp_cdr *ab, *bc, *ac;
	uint32_t first, second;
	struct cdr_list *l;

	world_of_three();
	first = talk(&pa, &pb);
	key(&pb, CP_SCCP_KEY_TRANSFER, first);
	second = call_of(&pb)->ref;
	cp_calls_phone_ops.enbloc(w.calls, &pb, "1003", 1);
	pa.smt = pb.smt = pc.smt = 0;
	if (!blind) {
		answers(&pc, &pb, second);
		pc.smt = 0;
	}
	key(&pb, CP_SCCP_KEY_TRANSFER, second);
	if (blind)
		key(&pc, CP_SCCP_KEY_ANSWER, second);
	UNTIL(pc.smt == 1 && (!blind || pa.smt == 1));
	ack_media(&pc);
	if (blind)
		ack_media(&pa);
	l = cdrs();
	CU_ASSERT_EQUAL_FATAL(l->n, 2); /* what ended is kept before the rest has */
	key(&pc, CP_SCCP_KEY_ENDCALL, second);
	l = cdrs();
	CU_ASSERT_EQUAL_FATAL(l->n, 3);
	ab = &l->r[blind ? 1 : 0];
	bc = &l->r[blind ? 0 : 1];
	ac = &l->r[2];
	CU_ASSERT(ab->cause == CP_Q850_SPLIT && bc->cause == CP_Q850_SPLIT && ac->cause == CP_Q850_NORMAL && ac->released == (blind ? 2 : 2));
	CU_ASSERT(ab->connect_ms != 0 && (bc->connect_ms != 0) == !blind && ac->connect_ms != 0 && ac->origin == CP_CDR_TRANSFER);
	CU_ASSERT_STRING_EQUAL(ab->party[1].number, "1002");
	CU_ASSERT_STRING_EQUAL(bc->party[0].number, "1002");
	CU_ASSERT_STRING_EQUAL(ac->party[0].number, "1001");
	CU_ASSERT_STRING_EQUAL(ac->party[1].number, "1003");
	CU_ASSERT_STRING_EQUAL(ac->redirecting, "1002");
	CU_ASSERT(ac->party[0].leg == ab->party[0].leg && ac->party[1].leg == bc->party[1].leg);
	/* of the two calls one goes on, and the other one's record says which */
	CU_ASSERT(ac->joined_id == 0 && (blind ? ab : bc)->joined_id == ac->global_id && (blind ? bc : ab)->global_id == ac->global_id);
	world_end();
}

static void test_attended(void) { transfers(false); }
static void test_blind(void) { transfers(true); }

/* Killed wherever it is: there is the running call or its record, never both, and after the next end just one record. */
static void test_killed(void)
{
	struct cdr_list *l;
	uint32_t ref;

	world_of_three();
	ref = talk(&pa, &pb);
	controlplane_stop(true);
	controlplane_start();
	CU_ASSERT_EQUAL(cdrs()->n, 0);
	UNTIL(ups == 2);
	CU_ASSERT_EQUAL(cp_calls_hangup(w.calls, ref), 0);
	l = cdrs();
	CU_ASSERT_EQUAL_FATAL(l->n, 1);
	CU_ASSERT(l->r[0].adopted && l->r[0].cause == CP_Q850_NORMAL && l->r[0].connect_ms != 0 && l->r[0].best == CP_SEC_ENCRYPTED);
	CU_ASSERT_STRING_EQUAL(l->r[0].dialled, "1002");
	CU_ASSERT_PTR_NULL(cp_store_call(w.store, ref));

	/* between answer and confirmation: nobody would ever hear anything in it */
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	cp_calls_phone_ops.enbloc(w.calls, &pa, "1002", 1);
	ref = call_of(&pa)->ref;
	pa.smt = 0;
	key(&pb, CP_SCCP_KEY_ANSWER, ref);
	UNTIL(pa.smt == 1);
	CU_ASSERT_PTR_NOT_NULL(cp_store_call(w.store, ref));
	controlplane_stop(true);
	controlplane_start();
	l = cdrs();
	CU_ASSERT_EQUAL_FATAL(l->n, 2);
	CU_ASSERT(l->r[1].call == ref && l->r[1].cause == CP_Q850_TEMPORARY && l->r[1].connect_ms == 0);
	CU_ASSERT_PTR_NULL(cp_store_call(w.store, ref));
	/* and nothing comes twice */
	controlplane_stop(true);
	controlplane_start();
	CU_ASSERT_EQUAL(cdrs()->n, 2);
	UNTIL(ups == 4);
	cp_calls_phone_ops.registered(w.calls, &pa);
	cp_calls_phone_ops.registered(w.calls, &pb);
	world_end();
}

/* A full disk: what was not written is, once it can be. */
static void test_store_fails(void)
{
	struct cp_store_stats st;
	struct cdr_list *l;
	uint32_t ref;

	world_of_three();
	ref = talk(&pa, &pb);
	store_break(true);
	key(&pa, CP_SCCP_KEY_ENDCALL, ref);
	do {
		spin();
		cp_store_stats(w.store, &st);
	} while (!st.failing);
	rest();
	CU_ASSERT_EQUAL(cp_calls_count(w.calls), 0);
	store_break(false);
	do {
		spin();
		cp_store_stats(w.store, &st);
	} while (st.failing);
	cdrs_tick(w.calls->cdrs);
	l = cdrs();
	CU_ASSERT_EQUAL_FATAL(l->n, 1);
	CU_ASSERT(l->r[0].call == ref && l->r[0].cause == CP_Q850_NORMAL);
	CU_ASSERT_PTR_NULL(cp_store_call(w.store, ref));
	world_end();
}

/* --- how long they are kept --- */

static bool count(void *ctx, const uint8_t *k, size_t key_len, const uint8_t *val, size_t len)
{
	uint64_t **at = ctx, us = 0;

	(void)val;
	(void)len;
	for (size_t i = 0; i < 8 && i < key_len; i++)
		us = us << 8 | k[i];
	if (*at[0] == 0)
		*at[1] = us;
	++*at[0];
	return true;
}

static uint64_t kept(struct cp_store *s, uint64_t *ret_oldest)
{
	uint64_t n = 0, *at[2] = {&n, ret_oldest};

	CU_ASSERT_EQUAL(cp_store_scan(s, CP_CF_CDR, NULL, 0, count, at), 0);
	return n;
}

static void put(struct cp_store *s, int64_t end_us)
{
	struct cp_cdr r = {.global_id = (uint64_t)end_us, .call = 7, .end_us = end_us, .party_cnt = 2};
	const struct cp_cdr *list = &r;
	struct cp_call_change change = {.cdrs = &list, .cdr_cnt = 1};

	CU_ASSERT_EQUAL(cp_store_calls(s, &change, NULL, NULL), 0);
}

static void test_retention(void)
{
	int64_t now = (int64_t)time(NULL) * 1000000;
	struct cp_store_opts o = {.path = tmp_store, .no_sync = true, .cdr_max = 2000};
	uint64_t oldest = 0;
	struct cp_store *s;
	char err[256];

	tmp_make();
	o.base = event_base_new();
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &s, err, sizeof(err)), 0);
	for (int i = 0; i < 6000; i++) {
		put(s, now - 6000 + i);
		if (i % 500 == 0)
			CU_ASSERT_EQUAL(cp_store_commit(s, cp_batch_create()), 0);
	}
	CU_ASSERT_EQUAL(cp_store_commit(s, cp_batch_create()), 0);
	cp_store_close(s);
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &s, err, sizeof(err)), 0);
	CU_ASSERT(kept(s, &oldest) >= 2000 && kept(s, &oldest) <= 2000 + 1024 + 500);
	CU_ASSERT(oldest > (uint64_t)now - 6000); /* the oldest go */
	put(s, now - 2 * INT64_C(86400000000));
	CU_ASSERT_EQUAL(cp_store_commit(s, cp_batch_create()), 0);
	kept(s, &oldest);
	CU_ASSERT_EQUAL(oldest, (uint64_t)now - UINT64_C(2) * 86400000000);
	cp_store_close(s);
	/* none is too old where the clock says less than they are kept: as one that begins in 1970 */
	o.cdr_max = 0;
	o.cdr_days = (uint32_t)(now / INT64_C(86400000000)) + 10;
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &s, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(cp_store_commit(s, cp_batch_create()), 0);
	cp_store_close(s);
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &s, err, sizeof(err)), 0);
	kept(s, &oldest);
	CU_ASSERT_EQUAL(oldest, (uint64_t)now - UINT64_C(2) * 86400000000);
	cp_store_close(s);
	/* and those that are too old, however few there are */
	o.cdr_days = 1;
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &s, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(cp_store_commit(s, cp_batch_create()), 0);
	cp_store_close(s);
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &s, err, sizeof(err)), 0);
	CU_ASSERT(kept(s, &oldest) >= 2000 && oldest > (uint64_t)now - 6000);
	cp_store_close(s);
	event_base_free(o.base);
	tmp_remove();
}

static void test_record(void)
{
	struct cp_cdr r = {.global_id = UINT64_C(0x6561abcd00004001), .joined_id = 5, .call = 16385, .origin = CP_CDR_TRANSFER, .setup_ms = 1, .connect_ms = 2,
			   .end_us = 3, .dialled = "1002", .redirecting = "1003", .cause = 126, .released = 1, .security = 3, .best = 3, .worst = 1, .direct = true, .no_sa = true,
			   .party_cnt = 2, .party = {{.kind = 1, .device = "SEP000000000001", .number = "1001", .leg = 9, .counted = true, .rx_pkts = 1}}}, back;
	struct cp_buf v;
	unsigned whole = 0;

	CU_ASSERT_EQUAL_FATAL(cp_cdr_build(&r, &v), 0);
	CU_ASSERT_EQUAL_FATAL(cp_cdr_parse(v.data, v.len, &back), 0);
	CU_ASSERT_EQUAL(memcmp(&r, &back, sizeof(r)), 0);
	cp_cdr_free(&back);
	for (size_t n = 0; n < v.len; n++) {
		uint8_t *cut = malloc(n > 0 ? n : 1);

		memcpy(cut, v.data, n);
		if (cp_cdr_parse(cut, n, &back) == 0) {
			whole++; /* both parties are the last of its fields */
			cp_cdr_free(&back);
		}
		free(cut);
	}
	CU_ASSERT_EQUAL(whole, 0);
	free(v.data);
	r.global_id = 0;
	CU_ASSERT_EQUAL(cp_cdr_build(&r, &v), -EINVAL);
}

static CU_TestInfo tests[] = {
	{"an answered call", test_answered},
	{"the status while it was up", test_status},
	{"calls that nobody answered", test_not_answered},
	{"an attended transfer", test_attended},
	{"a blind transfer", test_blind},
	{"killed meanwhile", test_killed},
	{"the store fails", test_store_fails},
	{"retention", test_retention},
	{"the record's encoding", test_record},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	cfg_log_init("test", CFG_LOG_KV, CFG_LOG_ERR);
	return 0;
}

#include "suite.h"
SUITE_MAIN("cdr", tests, setup, NULL)
