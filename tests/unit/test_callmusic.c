/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a party hears that waits: which leg is told to play which source in which codec, when it ends, and what a phone does where
 * there is none. Rows: 001:P1-111, P1-119, R-18; 004a:CALL-03, CALL-13.
 */
#include "talk.h"

static void source(struct cfg_moh_source *s, const char *name, const char *file, const char *g729)
{
	s->name = strdup(name);
	s->file = file != NULL ? strdup(file) : NULL;
	s->g729 = g729 != NULL ? strdup(g729) : NULL;
}

static void begin(void)
{
	struct cfg_moh *moh;

	world_of_three();
	moh = &w.cfg->moh; /* freed with the configuration */
	moh->sources = calloc(2, sizeof(*moh->sources));
	moh->sources_count = 2;
	source(&moh->sources[0], "people", "people.wav", NULL);
	source(&moh->sources[1], "net", "net.wav", "net.g729");
	moh->user = strdup("people");
	moh->network = strdup("net");
}

/* What the leg was told last; NULL: nothing since 'from' in the fake's log. */
static const struct dp_leg_music *told(uint32_t leg, unsigned from)
{
	const struct dp_leg_music *found = NULL;

	for (unsigned i = from; i < w.fake.n; i++)
		if (w.fake.log[i].hdr.type == DP_MSG_LEG_MUSIC && w.fake.log[i].hears.leg_id == leg)
			found = &w.fake.log[i].hears;
	return found;
}

static bool hears(uint32_t leg, unsigned from, const char *name)
{
	const struct dp_leg_music *m = told(leg, from);

	return m != NULL && strcmp(m->name, name) == 0;
}

static void test_hold(void)
{
	const struct dp_leg_music *m;
	uint32_t ref, la, lb;
	struct cp_call *call;
	unsigned n;

	begin();
	ref = talk(&pa, &pb);
	call = call_find(w.calls, ref);
	la = call->p[0].leg_id;
	lb = call->p[1].leg_id;
	CU_ASSERT_PTR_NULL(told(la, 0));
	key(&pa, CP_SCCP_KEY_HOLD, ref);
	rest();
	m = told(lb, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_STRING_EQUAL(m->name, "people");
	CU_ASSERT(m->codec == DP_MUSIC_PCMU && m->pt == 0 && m->ptime_ms == call->p[1].packet_ms);
	CU_ASSERT_PTR_NULL(told(la, 0));
	CU_ASSERT_EQUAL(pb.tone, 0);
	/* its channel is open and its stream is its leg's, SRTP: the call is as secure as before (001:P1-119, 004a:CALL-03) */
	CU_ASSERT_EQUAL(pb.crc, 0);
	CU_ASSERT_EQUAL(pb.security, CP_SCCP_SEC_ENCRYPTED);
	CU_ASSERT_EQUAL(call_security(call), CP_SEC_ENCRYPTED);
	CU_ASSERT_EQUAL(cp_store_call(w.store, ref)->leg[1].waits, MUSIC_USER);
	/* both: nobody hears anything */
	n = w.fake.n;
	key(&pb, CP_SCCP_KEY_HOLD, ref);
	rest();
	CU_ASSERT_TRUE(hears(lb, n, ""));
	CU_ASSERT_PTR_NULL(told(la, n));
	/* a is back, and waits for b now */
	n = w.fake.n;
	pa.smt = 0;
	key(&pa, CP_SCCP_KEY_RESUME, ref);
	UNTIL(pa.smt == 1);
	ack_media(&pa);
	rest();
	CU_ASSERT_TRUE(hears(la, n, "people"));
	n = w.fake.n;
	pb.smt = 0;
	key(&pb, CP_SCCP_KEY_RESUME, ref);
	UNTIL(pb.smt == 1);
	ack_media(&pb);
	rest();
	CU_ASSERT_TRUE(hears(la, n, ""));
	CU_ASSERT_PTR_NULL(told(lb, n)); /* it had ended already */
	CU_ASSERT_EQUAL(cp_store_call(w.store, ref)->leg[0].waits, MUSIC_NONE);
	onhook(&pa);
	world_end();
}

/* A phone that does not open its channel again holds again, and the other one hears so. */
static void test_not_back(void)
{
	struct cp_call *call;
	uint32_t ref, lb;
	unsigned n;

	begin();
	ref = talk(&pa, &pb);
	call = call_find(w.calls, ref);
	lb = call->p[1].leg_id;
	key(&pa, CP_SCCP_KEY_HOLD, ref);
	rest();
	n = w.fake.n;
	key(&pa, CP_SCCP_KEY_RESUME, ref);
	UNTIL(call->p[0].media_on);
	rest();
	CU_ASSERT_TRUE(hears(lb, n, ""));
	n = w.fake.n;
	event_active(call->timer, EV_TIMEOUT, 0);
	rest();
	CU_ASSERT_TRUE(call->p[0].held);
	CU_ASSERT_TRUE(hears(lb, n, "people"));
	key(&pa, CP_SCCP_KEY_ENDCALL, ref);
	world_end();
}

static void test_transfer(void)
{
	uint32_t first, second, la;
	unsigned n;

	begin();
	first = talk(&pa, &pb);
	la = call_find(w.calls, first)->p[0].leg_id;
	key(&pb, CP_SCCP_KEY_TRANSFER, first);
	rest();
	CU_ASSERT_TRUE(hears(la, 0, "net"));
	second = call_of(&pb)->ref;
	pb.smt = pc.smt = 0;
	cp_calls_phone_ops.enbloc(w.calls, &pb, "1003", 1);
	answers(&pc, &pb, second);
	n = w.fake.n;
	pc.smt = 0;
	key(&pb, CP_SCCP_KEY_TRANSFER, second);
	UNTIL(pc.smt == 1);
	ack_media(&pc);
	rest();
	CU_ASSERT_TRUE(hears(la, n, ""));
	CU_ASSERT_EQUAL(call_find(w.calls, first)->p[0].plays + call_find(w.calls, first)->p[1].plays, 0);
	key(&pc, CP_SCCP_KEY_ENDCALL, second);
	world_end();
}

/* The codec of its leg; a tone where the source does not have it, and where there is no source. */
static void test_codecs(void)
{
	static const struct {
		uint32_t codec;
		const char *name; /* of the network's source; NULL: a tone */
		uint8_t pt;
	} cases[] = {{CP_SCCP_G711A, "net", 8}, {CP_SCCP_G711U, "net", 0}, {CP_SCCP_G729, "net", 18}, {CP_SCCP_G729A, "net", 18}, {CP_SCCP_G722, NULL, 0}, {99, NULL, 0}};
	struct cp_call *call;
	uint32_t ref, lb;
	unsigned n;

	begin();
	ref = talk(&pa, &pb);
	call = call_find(w.calls, ref);
	lb = call->p[1].leg_id;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		n = w.fake.n;
		call->p[1].codec = cases[i].codec;
		CU_ASSERT_EQUAL(music_set(call, 1, MUSIC_NETWORK), 0);
		rest();
		if (cases[i].name != NULL) {
			CU_ASSERT_TRUE(hears(lb, n, cases[i].name));
			CU_ASSERT_EQUAL(told(lb, n)->pt, cases[i].pt);
			CU_ASSERT_EQUAL(pb.tone, 0);
		} else {
			CU_ASSERT_PTR_NULL(told(lb, n));
			CU_ASSERT_EQUAL(pb.tone, CP_SCCP_TONE_HOLD);
		}
		CU_ASSERT_EQUAL(music_set(call, 1, MUSIC_NONE), 0);
		rest();
		CU_ASSERT_EQUAL(pb.tone, 0);
		CU_ASSERT_EQUAL(cases[i].name != NULL, hears(lb, n, ""));
	}
	onhook(&pa);
	world_end();
}

/* Its own payload type and packets; and a tone, until it waits anew, where the dataplane refuses. */
static void test_as_relayed(void)
{
	struct cp_call *call;
	uint32_t ref, lb;

	begin();
	ref = talk(&pa, &pb);
	call = call_find(w.calls, ref);
	lb = call->p[1].leg_id;
	call->p[1].audio_pt = 96;
	call->p[1].packet_ms = 30;
	CU_ASSERT_EQUAL(music_set(call, 1, MUSIC_USER), 0);
	rest();
	CU_ASSERT(hears(lb, 0, "people") && told(lb, 0)->pt == 96 && told(lb, 0)->ptime_ms == 30);
	CU_ASSERT_EQUAL(music_set(call, 1, MUSIC_NONE), 0);
	call->p[1].packet_ms = 25; /* which the dataplane does not make */
	w.refuse_type = DP_MSG_LEG_MUSIC;
	w.refuse_rc = -ENOENT;
	CU_ASSERT_EQUAL(music_set(call, 1, MUSIC_USER), 0);
	CU_ASSERT_EQUAL(pb.tone, 0);
	rest();
	CU_ASSERT_EQUAL(told(lb, 0)->ptime_ms, w.cfg->media.ptime_ms);
	CU_ASSERT(call->p[1].plays == 0 && pb.tone == CP_SCCP_TONE_HOLD);
	w.refuse_type = 0;
	CU_ASSERT_EQUAL(music_set(call, 1, MUSIC_NONE), 0);
	CU_ASSERT_EQUAL(pb.tone, 0);
	CU_ASSERT_EQUAL(music_set(call, 1, MUSIC_USER), 0);
	rest();
	CU_ASSERT(call->p[1].plays != 0 && pb.tone == 0);
	onhook(&pa);
	world_end();
}

static int refuse_net(struct fake_dp *f, const union fake_msg *m)
{
	(void)f;
	return m->hdr.type == DP_MSG_MUSIC_SET && strcmp(m->music.name, "net") == 0 ? -ENOENT : 0;
}

static json_t *answer;
static int answer_rc;

static void on_answer(void *ctx, int rc, const char *why, json_t *result)
{
	(void)ctx;
	(void)why;
	answer_rc = rc;
	json_decref(answer);
	answer = result;
}

/* Sources go to the dataplane first when it comes, and again when an operator says so; what it could not load is not used. */
static void test_sources(void)
{
	unsigned n, first_leg, sources = 0;
	struct cp_call *call;
	uint32_t ref, lb;

	begin();
	ref = talk(&pa, &pb);
	call = call_find(w.calls, ref);
	lb = call->p[1].leg_id;
	key(&pa, CP_SCCP_KEY_HOLD, ref);
	rest();
	n = w.fake.n;
	cp_calls_music_load(w.calls, NULL, on_answer, NULL);
	rest();
	CU_ASSERT_EQUAL(answer_rc, 0);
	CU_ASSERT_EQUAL(json_array_size(answer), 2);
	CU_ASSERT_TRUE(json_is_true(json_object_get(json_array_get(answer, 1), "loaded")));
	CU_ASSERT_STRING_EQUAL(w.fake.log[n].music.file[DP_MUSIC_F_PCM], "people.wav");
	CU_ASSERT_STRING_EQUAL(w.fake.log[n + 1].music.file[DP_MUSIC_F_G729], "net.g729");
	cp_calls_music_load(w.calls, "none", on_answer, NULL);
	CU_ASSERT_EQUAL(answer_rc, -ENOENT);
	/* the dataplane is killed and comes back: sources, then legs with keys, then what they play */
	w.fake.hook = refuse_net;
	n = w.fake.n;
	fake_hangup(&w.fake);
	w.fake.boot_id++;
	UNTIL(!cp_dp_up(w.dp));
	cp_calls_music_load(w.calls, NULL, on_answer, NULL);
	CU_ASSERT_EQUAL(answer_rc, -ENOTCONN);
	UNTIL(cp_dp_up(w.dp));
	rest();
	for (first_leg = n; first_leg < w.fake.n && w.fake.log[first_leg].hdr.type != DP_MSG_LEG_SET; first_leg++)
		sources += w.fake.log[first_leg].hdr.type == DP_MSG_MUSIC_SET;
	CU_ASSERT_EQUAL(sources, 2);
	CU_ASSERT(first_leg < w.fake.n);
	CU_ASSERT_TRUE(hears(lb, first_leg, "people"));
	/* what is missing is an alarm and a tone, until it is there */
	CU_ASSERT_EQUAL(w.calls->music_bad, 2);
	n = w.fake.n;
	CU_ASSERT_EQUAL(music_set(call, 1, MUSIC_NETWORK), 0);
	rest();
	CU_ASSERT_TRUE(hears(lb, n, ""));
	CU_ASSERT_EQUAL(pb.tone, CP_SCCP_TONE_HOLD);
	w.fake.hook = NULL;
	cp_calls_music_load(w.calls, "net", on_answer, NULL);
	rest();
	CU_ASSERT_EQUAL(w.calls->music_bad, 0);
	json_decref(answer);
	answer = cp_calls_show_music(w.calls);
	CU_ASSERT_TRUE(json_is_true(json_object_get(json_array_get(answer, 1), "loaded")));
	json_decref(answer);
	answer = NULL;
	key(&pa, CP_SCCP_KEY_ENDCALL, ref);
	world_end();
}

/* The controlplane is killed: music goes on in a dataplane that nobody tells anything, and ends with the hold that is taken over. */
static void test_taken_over(void)
{
	uint32_t ref, lb;
	unsigned n;

	begin();
	ref = talk(&pa, &pb);
	lb = call_find(w.calls, ref)->p[1].leg_id;
	key(&pa, CP_SCCP_KEY_HOLD, ref);
	rest();
	n = w.fake.n;
	controlplane_stop(true);
	controlplane_start();
	UNTIL(cp_dp_up(w.dp));
	rest();
	CU_ASSERT_TRUE(hears(lb, n, "people")); /* once more: it goes on */
	CU_ASSERT_PTR_NOT_NULL_FATAL(call_find(w.calls, ref));
	CU_ASSERT_EQUAL(call_find(w.calls, ref)->p[1].music, MUSIC_USER);
	n = w.fake.n;
	CU_ASSERT_EQUAL(music_set(call_find(w.calls, ref), 1, MUSIC_NONE), 0);
	rest();
	CU_ASSERT_TRUE(hears(lb, n, ""));
	CU_ASSERT_EQUAL(cp_calls_hangup(w.calls, ref), 0);
	world_end();
}

static CU_TestInfo tests[] = {
	{"hold: the other one hears", test_hold},
	{"a phone that does not come back", test_not_back},
	{"transfer: the network's source", test_transfer},
	{"codecs, and a tone without", test_codecs},
	{"its payload type and packets; refused", test_as_relayed},
	{"sources are told, refused, told again", test_sources},
	{"a controlplane that was killed", test_taken_over},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("callmusic", tests, NULL, NULL)
