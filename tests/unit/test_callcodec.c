/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Codecs, packet times, payload types and suites in calls: what phones, gateway and dataplane are told, and when a transfer opens
 * streams anew. 001:P1-130, 001:R-19, 004a:CALL-11. The tone of protected phones, icons by model, gateways that are not trusted:
 * 000:P0-11, P0-13, P0-16, P0-18, R-07, R-08.
 */
#include "call_fix.h"
#include "store/change.h"
#include "store/region.h"

static void can(struct cp_phone *p, unsigned n, const struct cp_sccp_cap *caps)
{
	memcpy(p->caps, caps, n * sizeof(*caps));
	p->cap_cnt = n;
}
#define CAN(p, ...)                                                                                   \
	can(p, sizeof((const struct cp_sccp_cap[]){__VA_ARGS__}) / sizeof(struct cp_sccp_cap), \
	    (const struct cp_sccp_cap[]){__VA_ARGS__})

static void rule(const char *a, const char *b, unsigned kbps, unsigned media, const char *suite)
{
	struct cp_region_item item;
	struct cp_region r = {.max_kbps = kbps, .media = (uint8_t)media, .suites = &item, .suite_cnt = suite[0] != '\0'};
	struct cp_change *c = cp_change_create(w.store);

	snprintf(item.name, sizeof(item.name), "%s", suite);
	CU_ASSERT_EQUAL_FATAL(cp_region_pair(&r, a, b, world_why, sizeof(world_why)), 0);
	CU_ASSERT_EQUAL_FATAL(cp_region_put(c, &r, true, world_why, sizeof(world_why)), 0);
	synced(cp_change_submit(c, "region.set", "test", NULL, on_stored, NULL));
}

static void device(const struct cp_phone *p, const char *model, const char *region, uint8_t suite)
{
	struct cp_line line = {0};
	struct cp_device d = {.mode = CP_DEVICE_ENCRYPTED, .srtp = true, .lines = &line, .line_cnt = 1, .suite = suite};

	strcpy(d.name, p->name);
	strcpy(line.number, p->number);
	strcpy(d.model, model);
	strcpy(d.region, region);
	synced(cp_dir_device_put(w.store, &d, true, &dir_ctx));
}

static void key(struct cp_phone *p, uint32_t event, uint32_t ref) { cp_calls_phone_ops.softkey(w.calls, p, event, 1, ref); }

static struct cp_call *call_of(const struct cp_phone *p)
{
	struct agent *a = agent_find(w.calls, p->name, false);

	return a != NULL && agent_active(a) != NULL ? agent_active(a)->call : NULL;
}

static struct cp_call *talk(struct cp_phone *from, struct cp_phone *to)
{
	from->smt = to->smt = 0;
	cp_calls_phone_ops.enbloc(w.calls, from, to->number, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(call_of(from));
	CU_ASSERT_EQUAL_FATAL(call_of(from)->state, CALL_ALERTING);
	key(to, CP_SCCP_KEY_ANSWER, call_of(from)->ref);
	UNTIL(from->smt == 1 && to->smt == 1);
	ack_media(from);
	ack_media(to);
	CU_ASSERT_EQUAL_FATAL(call_of(from)->state, CALL_CONNECTED);
	rest();
	return call_of(from);
}

static const struct dp_leg_set *leg_told(uint32_t id)
{
	const struct dp_leg_set *found = NULL;

	for (unsigned i = 0; i < w.fake.n; i++)
		if (w.fake.log[i].hdr.type == DP_MSG_LEG_SET && w.fake.log[i].leg.leg_id == id)
			found = &w.fake.log[i].leg;
	CU_ASSERT_PTR_NOT_NULL_FATAL(found);
	return found;
}

#define U711 {CP_SCCP_G711U, 40}
#define WB   {CP_SCCP_WIDEBAND, 120}

/* Each phone is told its own number, both the same packet time; the dataplane the codec and its clock. */
static void test_phones(void)
{
	static const struct {
		struct cp_sccp_cap a[2], b[2];
		uint32_t codec_a, codec_b;
		uint8_t ms, dp, mode, pt;
		uint32_t clock;
	} rows[] = {
		{{U711, {CP_SCCP_G722, 40}}, {{CP_SCCP_G722, 20}, U711}, CP_SCCP_G722, CP_SCCP_G722, 20, DP_CODEC_G722, 0, 0, 8000},
		{{{CP_SCCP_G729, 60}}, {{CP_SCCP_G729AB, 60}}, CP_SCCP_G729, CP_SCCP_G729AB, 20, DP_CODEC_G729, 0, 0, 8000},
		{{{CP_SCCP_G729A, 10}}, {{CP_SCCP_G729B, 60}}, CP_SCCP_G729A, CP_SCCP_G729B, 10, DP_CODEC_G729, 0, 0, 8000},
		{{{CP_SCCP_ILBC, 60}}, {{CP_SCCP_ILBC, 60}}, CP_SCCP_ILBC, CP_SCCP_ILBC, 20, DP_CODEC_OTHER, 20, DP_ILBC_PT, 8000},
		{{{CP_SCCP_G711A, 40}}, {{CP_SCCP_G711A, 40}}, CP_SCCP_G711A, CP_SCCP_G711A, 20, DP_CODEC_G711, 0, 0, 8000},
		{{WB, U711}, {WB}, CP_SCCP_WIDEBAND, CP_SCCP_WIDEBAND, 20, DP_CODEC_OTHER, 0, 0, 16000},
	};

	world_of_three();
	rule("*", "=", 256, CP_REGION_RELAY, "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct dp_leg_set *leg;
		struct cp_call *call;

		can(&pa, 1 + (rows[i].a[1].codec != 0), rows[i].a);
		can(&pb, 1 + (rows[i].b[1].codec != 0), rows[i].b);
		w.fake.n = 0;
		call = talk(&pa, &pb);
		CU_ASSERT(pa.orc_m.codec == rows[i].codec_a && pa.smt_m.codec == rows[i].codec_a);
		CU_ASSERT(pb.orc_m.codec == rows[i].codec_b && pb.smt_m.codec == rows[i].codec_b);
		CU_ASSERT(pa.orc_m.packet_ms == rows[i].ms && pa.smt_m.packet_ms == rows[i].ms && pb.smt_m.packet_ms == rows[i].ms);
		CU_ASSERT(pa.orc_m.codec_mode == rows[i].mode && pa.orc_m.codec_pt == rows[i].pt && pb.smt_m.codec_pt == rows[i].pt);
		leg = leg_told(call->p[1].leg_id);
		CU_ASSERT(leg->codec == rows[i].dp && leg->clock_hz == rows[i].clock && leg->ptime_ms == rows[i].ms && leg->pt_map_cnt == 0);
		CU_ASSERT_EQUAL(cp_store_call(w.store, call->ref)->leg[0].packet_ms, rows[i].ms);
		key(&pa, CP_SCCP_KEY_ENDCALL, call->ref);
		rest();
	}
	world_end();
}

/* The caller hears and reads why; nothing rings. */
static void test_none(void)
{
	world_of_three();
	CAN(&pa, U711);
	CAN(&pb, {CP_SCCP_G729, 60});
	cp_calls_phone_ops.enbloc(w.calls, &pa, "1002", 1);
	CU_ASSERT(call_of(&pa)->state == CALL_FAILED && pa.state == CP_SCCP_CONGESTION && pa.tone == CP_SCCP_TONE_REORDER);
	CU_ASSERT(pb.ringing == 0 && call_of(&pa)->p[1].kind == PARTY_NONE);
	onhook(&pa);
	/* the same by the regions' bit rate */
	CAN(&pb, U711);
	device(&pb, "", "b", 0);
	rule("default", "b", 8, 0, "");
	cp_calls_phone_ops.enbloc(w.calls, &pa, "1002", 1);
	CU_ASSERT(call_of(&pa)->state == CALL_FAILED && pa.tone == CP_SCCP_TONE_REORDER);
	onhook(&pa);
	world_end();
}

/* 001:P1-130, 004a:CALL-11 */
static void test_wideband(void)
{
	struct cp_call *call;

	world_of_three();
	rule("*", "=", 256, 0, "");
	device(&pa, "Cisco 7960", "default", 0);
	CAN(&pa, WB, U711);
	CAN(&pb, WB, U711);
	call = talk(&pa, &pb);
	CU_ASSERT(call->secure && pa.orc_m.codec == CP_SCCP_G711U && pb.orc_m.codec == CP_SCCP_G711U);
	key(&pa, CP_SCCP_KEY_ENDCALL, call->ref);
	rest();
	/* the other one is not set up for encryption: the call may have it */
	pb.sec = CP_PHONE_AUTHENTICATED;
	pb.srtp = false;
	call = talk(&pa, &pb);
	CU_ASSERT(!call->secure && pa.orc_m.codec == CP_SCCP_WIDEBAND && pb.orc_m.codec == CP_SCCP_WIDEBAND);
	key(&pa, CP_SCCP_KEY_ENDCALL, call->ref);
	rest();
	/* of other models encrypted ones have it, too */
	pb.sec = CP_PHONE_ENCRYPTED;
	pb.srtp = true;
	device(&pa, "Cisco 7970", "default", 0);
	call = talk(&pa, &pb);
	CU_ASSERT(call->secure && pa.orc_m.codec == CP_SCCP_WIDEBAND);
	key(&pa, CP_SCCP_KEY_ENDCALL, call->ref);
	world_end();
}

/* The two that are joined speak another codec than either call: who stays is opened anew, too, under keys never used. */
static void test_transfer(void)
{
	struct cp_phone_media before;
	struct cp_call *call;
	uint32_t held, leg;

	world_of_three();
	CAN(&pa, U711, {CP_SCCP_G729, 60});
	CAN(&pb, U711, {CP_SCCP_G722, 40});
	CAN(&pc, {CP_SCCP_G722, 40}, {CP_SCCP_G729A, 30});
	call = talk(&pa, &pb);
	held = call->ref;
	leg = call->p[0].leg_id;
	before = pa.orc_m;
	CU_ASSERT_EQUAL(before.codec, CP_SCCP_G711U);
	key(&pb, CP_SCCP_KEY_TRANSFER, held);
	talk(&pb, &pc);
	CU_ASSERT_EQUAL(pc.orc_m.codec, CP_SCCP_G722);
	pa.smt = pc.smt = pa.crc = 0;
	key(&pb, CP_SCCP_KEY_TRANSFER, 0);
	UNTIL(pa.smt == 1 && pc.smt == 1);
	ack_media(&pa);
	ack_media(&pc);
	rest();
	call = call_of(&pa);
	CU_ASSERT_PTR_NOT_NULL_FATAL(call);
	CU_ASSERT(call->state == CALL_CONNECTED && call == call_of(&pc));
	CU_ASSERT(pa.crc == 1 && pa.orc_m.codec == CP_SCCP_G729 && pa.smt_m.codec == CP_SCCP_G729 && pc.orc_m.codec == CP_SCCP_G729A);
	CU_ASSERT(call->p[0].leg_id == leg && leg_told(leg)->codec == DP_CODEC_G729);
	CU_ASSERT(memcmp(pa.orc_m.key, before.key, sizeof(before.key)) != 0 && pa.security == CP_SCCP_SEC_ENCRYPTED);
	key(&pa, CP_SCCP_KEY_ENDCALL, call->ref);
	world_end();
}

/* No codec between the two that would be joined: nothing changes, and both calls are there still. */
static void test_transfer_refused(void)
{
	struct cp_call *call;

	world_of_three();
	CAN(&pa, U711);
	CAN(&pb, U711, {CP_SCCP_G722, 40});
	CAN(&pc, {CP_SCCP_G722, 40});
	call = talk(&pa, &pb);
	key(&pb, CP_SCCP_KEY_TRANSFER, call->ref);
	talk(&pb, &pc);
	pa.crc = pc.crc = 0;
	key(&pb, CP_SCCP_KEY_TRANSFER, 0);
	rest();
	CU_ASSERT(cp_calls_count(w.calls) == 2 && pa.crc == 0 && pc.crc == 0 && call_of(&pb) == call_of(&pc));
	key(&pc, CP_SCCP_KEY_ENDCALL, 0);
	key(&pa, CP_SCCP_KEY_ENDCALL, 0);
	world_end();
}

/* A gateway is offered all that the phone can, and what it takes is what both speak, under the number that it gave. */
static void test_gateway(void)
{
	static const struct {
		uint8_t audio, pt, ilbc_ms, ptime_ms; /* answered */
		uint32_t codec;                       /* 0: of no use */
		uint8_t ms, map_from;                 /* the phone's packets; map_from 0: no mapping */
	} rows[] = {
		{DP_AUDIO_G722, 9, 0, 20, CP_SCCP_G722, 20, 0},	   {DP_AUDIO_G729, 18, 0, 30, CP_SCCP_G729, 30, 0},
		{DP_AUDIO_G729, 18, 0, 25, CP_SCCP_G729, 20, 0},   {DP_AUDIO_ILBC, 97, 30, 30, CP_SCCP_ILBC, 30, DP_ILBC_PT},
		{DP_AUDIO_ILBC, 116, 20, 20, CP_SCCP_ILBC, 20, 0}, {DP_AUDIO_ILBC, 116, 30, 0, CP_SCCP_ILBC, 30, 0},
		{DP_AUDIO_PCMU, 0, 0, 90, CP_SCCP_G711U, 20, 0},   {DP_AUDIO_PCMU, 96, 0, 20, CP_SCCP_G711U, 20, 255},
		{DP_AUDIO_PCMA, 8, 0, 20, 0, 0, 0}, /* not offered: the phone cannot */
		{DP_AUDIO_NONE, 3, 0, 20, 0, 0, 0},
	};

	world_of_three();
	CAN(&pa, {CP_SCCP_G729, 60}, {CP_SCCP_ILBC, 60}, U711, {CP_SCCP_G722, 40}, WB);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint8_t want[DP_AUDIO_LIST] = {DP_AUDIO_G722, DP_AUDIO_PCMU, DP_AUDIO_ILBC, DP_AUDIO_G729};
		const struct dp_mgcp_cmd *crcx = NULL;
		struct cp_call *call;

		w.say[DP_MGCP_CRCX] = (struct reply){.audio = rows[i].audio, .pt = rows[i].pt, .ilbc_ms = rows[i].ilbc_ms, .ptime_ms = rows[i].ptime_ms};
		w.todo_cnt = w.todo_done = w.fake.n = 0;
		pa.smt = 0;
		dial("77");
		call = the_call();
		CU_ASSERT_PTR_NOT_NULL_FATAL(call);
		UNTIL(call->state == CALL_ALERTING || call->state == CALL_FAILED);
		CU_ASSERT_EQUAL_FATAL(gw_saw(DP_MGCP_CRCX, &crcx), 1);
		CU_ASSERT(memcmp(crcx->media.audio, want, sizeof(want)) == 0 && crcx->media.pt == 9 && crcx->media.ptime_ms == 20);
		if (rows[i].codec == 0) {
			CU_ASSERT_EQUAL(call->state, CALL_FAILED);
			onhook(&pa);
			rest();
			continue;
		}
		notify("L/hd");
		UNTIL(pa.smt == 1);
		ack_media(&pa);
		UNTIL(call->state == CALL_CONNECTED);
		CU_ASSERT(pa.orc_m.codec == rows[i].codec && pa.orc_m.packet_ms == rows[i].ms && pa.smt_m.packet_ms == rows[i].ms);
		CU_ASSERT_EQUAL(pa.orc_m.codec_pt, rows[i].codec == CP_SCCP_ILBC ? DP_ILBC_PT : 0);
		CU_ASSERT_EQUAL(pa.orc_m.codec_mode, rows[i].codec == CP_SCCP_ILBC ? rows[i].ms : 0);
		CU_ASSERT_EQUAL(leg_told(call->p[0].leg_id)->pt_map_cnt, 0);
		CU_ASSERT_EQUAL(leg_told(call->p[1].leg_id)->pt_map_cnt, rows[i].map_from != 0);
		if (rows[i].map_from != 0) {
			const struct dp_leg_set *leg = leg_told(call->p[1].leg_id);

			CU_ASSERT(leg->pt_map[0].to == rows[i].pt && leg->pt_map[0].from == (rows[i].map_from == 255 ? 0 : rows[i].map_from));
		}
		onhook(&pa);
		rest();
	}
	world_end();
}

/* Suites: what the regions' rule allows and the phone knows, each leg for itself; where there is none the call is in clear. */
static void test_suites(void)
{
	static const struct {
		uint8_t a, b; /* records' suites */
		const char *rule;
		uint8_t suite_a, suite_b;
	} rows[] = {
		{0, 0, "", DP_AES_CM_128_HMAC_SHA1_32, DP_AES_CM_128_HMAC_SHA1_32},
		{DP_AES_CM_128_HMAC_SHA1_80, 0, "", DP_AES_CM_128_HMAC_SHA1_80, DP_AES_CM_128_HMAC_SHA1_32},
		{DP_AES_CM_128_HMAC_SHA1_80, 0, "AES_CM_128_HMAC_SHA1_32", DP_AES_CM_128_HMAC_SHA1_32, DP_AES_CM_128_HMAC_SHA1_32},
		{DP_AES_CM_128_HMAC_SHA1_80, 0, "AES_CM_128_HMAC_SHA1_80", DP_SRTP_NONE, DP_SRTP_NONE},
		{DP_AES_CM_128_HMAC_SHA1_80, DP_AEAD_AES_128_GCM, "AES_CM_128_HMAC_SHA1_80", DP_AES_CM_128_HMAC_SHA1_80, DP_AES_CM_128_HMAC_SHA1_80},
		{DP_AEAD_AES_128_GCM, DP_AEAD_AES_128_GCM, "AEAD_AES_128_GCM", DP_AEAD_AES_128_GCM, DP_AEAD_AES_128_GCM},
		{DP_AEAD_AES_128_GCM, DP_AES_CM_128_HMAC_SHA1_80, "AEAD_AES_128_GCM", DP_SRTP_NONE, DP_SRTP_NONE},
	};

	world_of_three();
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		bool direct = i % 2 != 0;
		struct cp_call *call;

		device(&pa, "", "default", rows[i / 2].a);
		device(&pb, "", "default", rows[i / 2].b);
		rule("*", "=", 0, direct ? CP_REGION_DIRECT : CP_REGION_RELAY, rows[i / 2].rule);
		pa.smt = pb.smt = pa.orc = pb.orc = 0;
		cp_calls_phone_ops.enbloc(w.calls, &pa, "1002", 1);
		call = call_of(&pa);
		CU_ASSERT_EQUAL_FATAL(call->state, CALL_ALERTING);
		/* directly only with one key for both */
		CU_ASSERT_EQUAL(call->direct, direct && rows[i / 2].suite_a == rows[i / 2].suite_b);
		key(&pb, CP_SCCP_KEY_ANSWER, call->ref);
		UNTIL(pa.orc == 1 && pb.orc == 1);
		ack_media(&pa);
		ack_media(&pb);
		rest();
		CU_ASSERT(pa.orc_m.suite == rows[i / 2].suite_a && pb.orc_m.suite == rows[i / 2].suite_b);
		CU_ASSERT_EQUAL(pa.security, rows[i / 2].suite_a != DP_SRTP_NONE ? CP_SCCP_SEC_ENCRYPTED : CP_SCCP_SEC_AUTH);
		key(&pa, CP_SCCP_KEY_ENDCALL, call->ref);
		rest();
	}
	world_end();
}

/* A gateway is offered what the rule allows, its own first if that is among it. */
static void test_gateway_suites(void)
{
	const struct dp_mgcp_cmd *crcx = NULL;

	world_of_three();
	rule("*", "=", 0, 0, "AES_CM_128_HMAC_SHA1_32");
	dial("77");
	UNTIL(the_call()->state == CALL_ALERTING);
	CU_ASSERT_EQUAL_FATAL(gw_saw(DP_MGCP_CRCX, &crcx), 1);
	CU_ASSERT_EQUAL(crcx->media.suite, DP_AES_CM_128_HMAC_SHA1_32);
	onhook(&pa);
	world_end();
}

/* 000:P0-13: who is protected hears at the connect what the call is worth, and again when the call is another one. */
static void test_secure_tone(void)
{
	static const struct {
		enum cfg_tone where;
		unsigned tones, to;
	} rows[] = {{CFG_TONE_LOCAL, 1, 0}, {CFG_TONE_REMOTE, 1, 1}, {CFG_TONE_BOTH, 1, 2}, {CFG_TONE_OFF, 0, 0}};
	struct cp_line line = {.number = "1001"};
	struct cp_device d = {.name = "SEP000000000001", .mode = CP_DEVICE_ENCRYPTED, .region = "default", .srtp = true, .lines = &line, .line_cnt = 1,
			      .model = "7962", .secure_tone = true};
	struct cp_call *call;

	world_of_three();
	synced(cp_dir_device_put(w.store, &d, true, &dir_ctx));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		w.cfg->calls.secure_tone = rows[i].where;
		pa.tones = pb.tones = 0;
		call = talk(&pa, &pb);
		CU_ASSERT(pa.tones == rows[i].tones && pb.tones == 0); /* the other one is not protected */
		if (rows[i].tones > 0) {
			CU_ASSERT(pa.secure_tone == CP_SCCP_TONE_SECURE && pa.tone_to == rows[i].to);
		}
		key(&pa, CP_SCCP_KEY_ENDCALL, call->ref);
		rest();
	}
	w.cfg->calls.secure_tone = CFG_TONE_LOCAL;
	/* to a phone that does not encrypt */
	pc.srtp = false;
	pc.sec = CP_PHONE_NONSECURE;
	pa.tones = 0;
	call = talk(&pa, &pc);
	CU_ASSERT(pa.tones == 1 && pa.secure_tone == CP_SCCP_TONE_NONSECURE);
	key(&pa, CP_SCCP_KEY_ENDCALL, call->ref);
	rest();
	/* handed over from an encrypted call to one that is not: said again, and otherwise */
	call = talk(&pa, &pb);
	CU_ASSERT_EQUAL(pa.secure_tone, CP_SCCP_TONE_SECURE);
	key(&pb, CP_SCCP_KEY_TRANSFER, call->ref);
	talk(&pb, &pc);
	pa.tones = pc.smt = 0;
	key(&pb, CP_SCCP_KEY_TRANSFER, 0);
	UNTIL(pc.smt == 1);
	ack_media(&pc);
	rest();
	CU_ASSERT(call_of(&pa) == call_of(&pc) && pa.tones == 1 && pa.secure_tone == CP_SCCP_TONE_NONSECURE);
	key(&pa, CP_SCCP_KEY_ENDCALL, 0);
	world_end();
}

/* 000:P0-11: a model without icons is told of none; what the other one shows does not depend on it. */
static void test_icons(void)
{
	struct cp_line line = {.number = "1001"};
	struct cp_device d = {.name = "SEP000000000001", .mode = CP_DEVICE_NONSECURE, .region = "default", .lines = &line, .line_cnt = 1, .model = "7912"};
	struct cp_call *call;

	world_of_three();
	call = talk(&pa, &pb);
	CU_ASSERT(pa.security == CP_SCCP_SEC_ENCRYPTED && pb.security == CP_SCCP_SEC_ENCRYPTED);
	key(&pa, CP_SCCP_KEY_ENDCALL, call->ref);
	rest();
	synced(cp_dir_device_put(w.store, &d, true, &dir_ctx));
	pa.sec = CP_PHONE_NONSECURE;
	pa.srtp = false;
	call = talk(&pa, &pb);
	CU_ASSERT(pa.security == CP_SCCP_SEC_UNKNOWN && pb.security == CP_SCCP_SEC_NOT_AUTH);
	key(&pa, CP_SCCP_KEY_ENDCALL, call->ref);
	world_end();
}

static void gateway_type(const char *type)
{
	struct cp_endpoint ep = {.name = "aaln/1"};
	struct cp_gw_number n = {.number = "77"};
	struct cp_gateway g = {.name = "gw1", .region = "default", .endpoints = &ep, .endpoint_cnt = 1, .numbers = &n, .number_cnt = 1};

	cfg_addr_parse("10.0.0.1:2427", &g.address);
	strcpy(g.type, type);
	synced(cp_dir_gateway_put(w.store, &g, true, &dir_ctx));
	cp_gws_changed(w.gws, "gw1");
}

/* The three parts of a secure call, the gateway's first: 000:P0-16, P0-18, R-08. Signalling and media are the same each time. */
static void test_gateway_trust(void)
{
	static const struct {
		const char *type;
		enum cp_sccp_security shown;
		const char *text;
	} rows[] = {
		{"", CP_SCCP_SEC_ENCRYPTED, "Device Is Trusted"},	 {"VG224", CP_SCCP_SEC_ENCRYPTED, "Device Is Trusted"},
		{"Cisco 2811", CP_SCCP_SEC_ENCRYPTED, "Device Is Trusted"}, {"ACME 9000", CP_SCCP_SEC_NOT_AUTH, "Device Is Not Trusted"},
	};

	world_of_three();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cp_call *call;
		json_t *list;

		gateway_type(rows[i].type);
		list = cp_gws_show(w.gws);
		CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(list, 0), "trust")), rows[i].text);
		json_decref(list);
		pa.smt = 0;
		dial("77");
		call = the_call();
		UNTIL(call->state == CALL_ALERTING);
		notify("L/hd");
		UNTIL(pa.smt == 1);
		ack_media(&pa);
		UNTIL(call->state == CALL_CONNECTED);
		CU_ASSERT(pa.orc_m.suite != DP_SRTP_NONE && pa.security == rows[i].shown);
		onhook(&pa);
		rest();
	}
	world_end();
}

static const char *say(const json_t *o, const char *a, const char *b)
{
	const json_t *v = json_object_get(o, a);

	return json_string_value(b != NULL ? json_object_get(v, b) : v);
}

/* explain says what the call then gets. */
static void test_explain(void)
{
	const char *why = NULL;
	struct cp_call *call;
	json_t *o;

	world_of_three();
	device(&pa, "7960", "default", 0);
	CAN(&pa, WB, U711, {CP_SCCP_G729, 60});
	CAN(&pb, WB, U711, {CP_SCCP_G729A, 60});
	rule("*", "=", 256, CP_REGION_DIRECT, "");
	CU_ASSERT_EQUAL_FATAL(cp_calls_explain(w.calls, pa.name, pb.name, &o, &why), 0);
	CU_ASSERT_STRING_EQUAL(say(o, "codec", "name"), "g711ulaw");
	CU_ASSERT_STRING_EQUAL(say(json_array_get(json_object_get(o, "codecs"), 0), "says", NULL), cp_codec_why_text(CP_CODEC_OLD_SRTP));
	CU_ASSERT_STRING_EQUAL(say(o, "rule", "max_kbps_from"), "* =");
	CU_ASSERT_STRING_EQUAL(say(o, "path", NULL), "direct");
	CU_ASSERT_STRING_EQUAL(say(o, "srtp", "why"), "both can");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(o, "suites_a"), 0)), "AES_CM_128_HMAC_SHA1_32");
	json_decref(o);
	cp_calls_phone_ops.enbloc(w.calls, &pa, "1002", 1);
	call = call_of(&pa);
	CU_ASSERT(call->direct && call->secure && call->p[0].codec == CP_SCCP_G711U);
	onhook(&pa);
	rest();
	rule("default", "=", 8, CP_REGION_RELAY, "AES_CM_128_HMAC_SHA1_80"); /* narrower: it goes before */
	CU_ASSERT_EQUAL_FATAL(cp_calls_explain(w.calls, pb.name, pa.name, &o, &why), 0);
	CU_ASSERT_STRING_EQUAL(say(o, "codec", "name"), "g729");
	CU_ASSERT_STRING_EQUAL(say(o, "codec", "a"), "G.729 A");
	CU_ASSERT_STRING_EQUAL(say(o, "rule", "media_from"), "default default");
	CU_ASSERT_STRING_EQUAL(say(o, "srtp", "why"), "the rule allows no suite that they know");
	json_decref(o);
	/* a gateway, named first or last; one that is not registered; what is none */
	CU_ASSERT_EQUAL_FATAL(cp_calls_explain(w.calls, "gw1", pa.name, &o, &why), 0);
	CU_ASSERT_STRING_EQUAL(say(o, "b", "kind"), "gateway");
	json_decref(o);
	CU_ASSERT_EQUAL_FATAL(cp_calls_explain(w.calls, "SEP000000000004", pa.name, &o, &why), 0);
	CU_ASSERT_STRING_EQUAL(say(o, "codec", NULL), "not known: one is not registered");
	json_decref(o);
	CU_ASSERT_EQUAL(cp_calls_explain(w.calls, "SEP0000000000FF", pa.name, &o, &why), -ENOENT);
	CU_ASSERT_EQUAL(cp_calls_explain(w.calls, "gw1", "gw1", &o, &why), -EINVAL);
	world_end();
}

static CU_TestInfo tests[] = {
	{"the tone of a protected phone", test_secure_tone},
	{"icons by model", test_icons},
	{"a gateway's trust", test_gateway_trust},
	{"what explain says", test_explain},
	{"between phones", test_phones},
	{"no common codec", test_none},
	{"wideband and the 7960", test_wideband},
	{"a transfer to another codec", test_transfer},
	{"a transfer without a common codec", test_transfer_refused},
	{"what a gateway is offered and takes", test_gateway},
	{"suites by region", test_suites},
	{"a gateway's suites by region", test_gateway_suites},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	return 0;
}

#include "suite.h"
SUITE_MAIN("callcodec", tests, setup, NULL)
