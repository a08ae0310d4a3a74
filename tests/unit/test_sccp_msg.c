/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/sccp/msg*.c against tests/vectors/sccp_frames.json (made from the message tables,
 * dissected by tshark): each frame a phone sends is parsed and compared, each it is sent is built
 * and compared byte for byte. Then every message cut at every length, lying counts, and the layouts
 * of all header versions.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>
#include <jansson.h>

#include "dp_msg.h"
#include "sccp/msg.h"

static json_t *vectors;
static unsigned used;

static int setup(void)
{
	const char *dir = getenv("RAVELIN_VECTORS");
	char path[512];

	snprintf(path, sizeof(path), "%s/sccp_frames.json", dir != NULL ? dir : "tests/vectors");
	vectors = json_load_file(path, 0, NULL);
	return vectors == NULL;
}

static int teardown(void)
{
	json_decref(vectors);
	return 0;
}

static size_t hex(const char *text, uint8_t *out, size_t cap)
{
	size_t n = strlen(text) / 2;

	if (n > cap || cfg_hex_parse(text, out, n) != 0)
		abort();
	return n;
}

static size_t vector(const char *name, uint8_t *out)
{
	json_t *v = json_object_get(vectors, name);

	if (v == NULL) {
		fprintf(stderr, "no vector %s\n", name);
		abort();
	}
	if (json_object_get(v, "used") == NULL) {
		json_object_set_new(v, "used", json_true());
		used++;
	}
	return hex(json_string_value(json_object_get(v, "hex")), out, CP_SCCP_FRAME_MAX);
}

static struct cp_sccp_frame frame_of(const char *name)
{
	static uint8_t buf[CP_SCCP_FRAME_MAX];
	struct cp_sccp_frame f = {0};
	size_t n = vector(name, buf), total = 0;

	CU_ASSERT_EQUAL(cp_sccp_frame_len(buf, n, &total), 0);
	CU_ASSERT_EQUAL(total, n);
	CU_ASSERT_EQUAL(cp_sccp_frame_parse(buf, n, &f), 0);
	return f;
}

static void test_register(void)
{
	struct cp_sccp_register r;
	struct cp_sccp_frame f = frame_of("register-v17");

	CU_ASSERT_EQUAL(cp_sccp_parse_register(&f, &r), 0);
	CU_ASSERT_STRING_EQUAL(r.name, "SEP0A1B2C3D4E51");
	CU_ASSERT_EQUAL(r.type, 434);
	CU_ASSERT_EQUAL(r.protocol, 17);
	CU_ASSERT_EQUAL(r.features[1], 0x72);
	CU_ASSERT_EQUAL(r.features[2], 0x85);
	CU_ASSERT_TRUE(r.features[2] & CP_SCCP_FEAT2_DYNAMIC);
	CU_ASSERT_EQUAL(r.max_lines, 2);
	CU_ASSERT_STRING_EQUAL(r.load, "SCCP42.9-4-2SR3-1S");
	f = frame_of("register-v15-ascii-mac");
	CU_ASSERT_EQUAL(cp_sccp_parse_register(&f, &r), 0);
	CU_ASSERT_STRING_EQUAL(r.name, "SEP0A1B2C3D4E51");
	CU_ASSERT_EQUAL(r.type, 497);
	CU_ASSERT_EQUAL(r.protocol, 15);
	CU_ASSERT_STRING_EQUAL(r.load, "");
	f = frame_of("register-v3");
	CU_ASSERT_EQUAL(cp_sccp_parse_register(&f, &r), 0);
	CU_ASSERT_EQUAL(r.type, 7);
	CU_ASSERT_EQUAL(r.protocol, 3);
}

static void test_phone_messages(void)
{
	struct cp_sccp_frame f = frame_of("capabilities-res");
	struct cp_sccp_caps caps;
	struct cp_sccp_softkey_event key;
	struct cp_sccp_hook hook;
	uint32_t v = 0;

	CU_ASSERT_EQUAL(cp_sccp_parse_caps(&f, &caps), 0);
	CU_ASSERT_EQUAL(caps.n, 6);
	CU_ASSERT(caps.cap[0].codec == 25 && caps.cap[1].codec == 4 &&
	          caps.cap[1].max_frames == 40);
	CU_ASSERT(caps.cap[3].codec == 11 && caps.cap[3].max_frames == 60 &&
	          caps.cap[5].codec == 257);
	f = frame_of("ipport");
	CU_ASSERT(cp_sccp_parse_u32(&f, &v) == 0 && v == 20480);
	f = frame_of("line-stat-req");
	CU_ASSERT(cp_sccp_parse_u32(&f, &v) == 0 && v == 1);
	f = frame_of("unregister");
	CU_ASSERT(cp_sccp_parse_u32(&f, &v) == 0 && v == 0);
	f = frame_of("keepalive");
	CU_ASSERT(f.id == CP_SCCP_KEEPALIVE && f.len == 0);
	f = frame_of("softkey-answer");
	CU_ASSERT_EQUAL(cp_sccp_parse_softkey(&f, &key), 0);
	CU_ASSERT(key.event == CP_SCCP_KEY_ANSWER && key.line == 1 && key.callref == 50331649);
	f = frame_of("softkey-endcall");
	CU_ASSERT(cp_sccp_parse_softkey(&f, &key) == 0 && key.event == CP_SCCP_KEY_ENDCALL);
	f = frame_of("offhook");
	CU_ASSERT(cp_sccp_parse_hook(&f, &hook) == 0 && hook.line == 1 && hook.callref == 50331649);
	f = frame_of("onhook");
	CU_ASSERT(cp_sccp_parse_hook(&f, &hook) == 0 && hook.line == 1 && f.id == CP_SCCP_ON_HOOK);
	f.len = 0;
	CU_ASSERT(cp_sccp_parse_hook(&f, &hook) == 0 && hook.line == 0 && hook.callref == 0);
}

static void test_media_acks(void)
{
	static const uint8_t ip[4] = {192, 0, 2, 51};
	static const char *const names[] = {"open-receive-channel-ack-v17",
	                                    "open-receive-channel-ack-v3"};
	struct cp_sccp_media_ack a;
	struct cp_sccp_frame f;

	for (int i = 0; i < 2; i++) {
		f = frame_of(names[i]);
		CU_ASSERT_EQUAL(cp_sccp_parse_orc_ack(&f, &a), 0);
		CU_ASSERT(a.status == 0 && a.addr.family == 4 && a.addr.port == 20480);
		CU_ASSERT(memcmp(a.addr.ip, ip, 4) == 0 && a.party == 33554433 &&
		          a.callref == 50331649);
	}
	f.len -= 4; /* old phones leave the call reference out */
	CU_ASSERT(cp_sccp_parse_orc_ack(&f, &a) == 0 && a.callref == 0 && a.party == 33554433);
	f = frame_of("open-receive-channel-ack-failed");
	CU_ASSERT(cp_sccp_parse_orc_ack(&f, &a) == 0 && a.status == 255);
	f = frame_of("start-media-transmission-ack-v17");
	CU_ASSERT_EQUAL(cp_sccp_parse_smt_ack(&f, &a), 0);
	CU_ASSERT(a.status == 0 && a.addr.port == 20480 && memcmp(a.addr.ip, ip, 4) == 0);
	CU_ASSERT(a.conference == 16777217 && a.party == 33554433 && a.callref == 50331649);
}

static void test_statistics(void)
{
	static const char *const names[] = {"statistics-res-v17", "statistics-res-v17-quality",
	                                    "statistics-res-v22-packed"};
	static struct cp_sccp_quality s;
	uint8_t aligned[256] = {0};
	struct cp_sccp_frame f;

	for (int i = 0; i < 3; i++) {
		f = frame_of(names[i]);
		CU_ASSERT_EQUAL(cp_sccp_parse_stats(&f, &s), 0);
		CU_ASSERT(s.callref == 50331649 && s.mode == 0 && s.tx_pkts == 1502 &&
		          s.tx_bytes == 240320);
		CU_ASSERT(s.rx_pkts == 1499 && s.rx_bytes == 239840 && s.lost == 3 &&
		          s.jitter == 12);
		CU_ASSERT_EQUAL(s.latency, 25);
		CU_ASSERT_STRING_EQUAL(s.number, "1001");
		CU_ASSERT_EQUAL(strncmp(s.quality, "MLQK=4.5000;", 12) == 0, i != 0);
	}
	CU_ASSERT_EQUAL(strlen(s.quality), 111);
	/* the aligned form of a 6901, text of 5 bytes */
	memcpy(aligned, "1001", 4);
	aligned[28] = 7;
	aligned[36] = 9; /* packets sent */
	aligned[60] = 25;
	aligned[64] = 5;
	memcpy(aligned + 68, "MLQK=", 5);
	f = (struct cp_sccp_frame){20, CP_SCCP_STATISTICS_RES, aligned, 73};
	CU_ASSERT_EQUAL(cp_sccp_parse_stats(&f, &s), 0);
	CU_ASSERT(s.callref == 7 && s.tx_pkts == 9 && s.latency == 25);
	CU_ASSERT_STRING_EQUAL(s.quality, "MLQK=");
	/* a lying text length */
	aligned[60] = 0;
	memset(aligned + 60, 0xff, 4);
	f.version = 17;
	f.len = 66;
	CU_ASSERT_EQUAL(cp_sccp_parse_stats(&f, &s), -EBADMSG);
}

/* Compare what was built with a vector; header version 0 in the vector means 'ver' below 10. */
static void same(const char *name, const uint8_t *built, size_t n)
{
	uint8_t want[CP_SCCP_FRAME_MAX];
	size_t len = vector(name, want);

	if (n != len || memcmp(built, want, n) != 0) {
		fprintf(stderr, "%s: built %zu, want %zu\n", name, n, len);
		for (size_t i = 0; i < n && i < len; i++)
			if (built[i] != want[i]) {
				fprintf(stderr, "first difference at %zu: %02x want %02x\n", i,
				        built[i], want[i]);
				break;
			}
		CU_FAIL("built frame differs from vector");
	}
}

static size_t words(uint8_t *b, unsigned ver, uint32_t id, unsigned n, uint32_t a, uint32_t c,
                    uint32_t d, uint32_t e)
{
	const uint32_t w[6] = {a, c, d, e, 4, 0};

	return cp_sccp_build_words(b, ver, id, w, n);
}

#define REF 50331649u

static void test_built_frames(void)
{
	uint8_t b[CP_SCCP_BUILD_MAX];
	const uint32_t state[6] = {4, 1, REF, 0, 4, 0}, state5[6] = {5, 1, REF, 0, 4, 0},
		       state2[6] = {2, 1, REF, 0, 4, 0};
	struct cp_phone_callinfo info = {.line = 1,
	                                 .callref = REF,
	                                 .type = 1,
	                                 .security = CP_SCCP_SEC_ENCRYPTED,
	                                 .instance = 1,
	                                 .calling_name = "Carol Caller",
	                                 .calling_number = "2002",
	                                 .called_name = "Alice Example",
	                                 .called_number = "1001",
	                                 .orig_called_name = "Alice Example",
	                                 .orig_called_number = "1001"};

	same("register-ack", b, cp_sccp_build_register_ack(b, 17, 30, "D/M/Y", 60));
	same("register-reject", b, cp_sccp_build_register_reject(b, "No Device Entry"));
	same("keepalive-ack", b, cp_sccp_build_empty(b, 0, CP_SCCP_KEEPALIVE_ACK));
	same("unregister-ack", b, words(b, 0, CP_SCCP_UNREGISTER_ACK, 1, 0, 0, 0, 0));
	same("capabilities-req", b, cp_sccp_build_empty(b, 17, CP_SCCP_CAPABILITIES_REQ));
	same("line-stat", b,
	     cp_sccp_build_line_stat(b, 0, false, 1, "1001", "Alice Example", "1001"));
	same("line-stat-v2", b,
	     cp_sccp_build_line_stat(b, 17, true, 1, "1001", "Alice Example", "1001"));
	same("time-date", b, cp_sccp_build_time_date(b, 17, 0x6b00b61a, 0, 0));
	same("call-state-ringin", b, cp_sccp_build_words(b, 17, CP_SCCP_CALL_STATE, state, 6));
	same("call-state-connected", b, cp_sccp_build_words(b, 17, CP_SCCP_CALL_STATE, state5, 6));
	same("call-state-onhook", b, cp_sccp_build_words(b, 17, CP_SCCP_CALL_STATE, state2, 6));
	same("call-info-v2-encrypted", b, cp_sccp_build_callinfo(b, 17, true, true, &info));
	info.orig_called_name = info.orig_called_number = NULL;
	info.instance = 1;
	same("call-info-encrypted", b, cp_sccp_build_callinfo(b, 0, false, false, &info));
	same("set-ringer-inside", b, words(b, 17, CP_SCCP_SET_RINGER, 4, 2, 1, 1, REF));
	same("set-ringer-off", b, words(b, 17, CP_SCCP_SET_RINGER, 4, 1, 1, 1, REF));
	same("set-lamp-blink", b, words(b, 17, CP_SCCP_SET_LAMP, 3, 9, 1, 5, 0));
	same("set-speaker-on", b, words(b, 17, CP_SCCP_SET_SPEAKER, 1, 1, 0, 0, 0));
	same("close-receive-channel", b,
	     words(b, 17, CP_SCCP_CLOSE_RECEIVE, 4, 16777217, 33554433, REF, 0));
	same("stop-media-transmission", b,
	     words(b, 17, CP_SCCP_STOP_MT, 4, 16777217, 33554433, REF, 0));
	same("statistics-req-v17", b, cp_sccp_build_statistics_req(b, 17, "1001", REF, 0));
	same("statistics-req-v22", b, cp_sccp_build_statistics_req(b, 22, "1001", REF, 0));
	same("reset-restart", b, words(b, 17, CP_SCCP_RESET, 1, 2, 0, 0, 0));
	same("reset-reset", b, words(b, 17, CP_SCCP_RESET, 1, 1, 0, 0, 0));
}

static struct cp_phone_media media_of(unsigned suite, uint8_t key0, uint8_t salt0)
{
	struct cp_phone_media m = {.conference = 16777217,
	                           .party = 33554433,
	                           .callref = REF,
	                           .codec = 4,
	                           .packet_ms = 20,
	                           .dtmf_pt = 101,
	                           .dscp = 46,
	                           .suite = (uint8_t)suite,
	                           .remote = {.family = 4, .ip = {192, 0, 2, 99}, .port = 16384}};

	for (uint8_t i = 0; i < 16; i++)
		m.key[i] = (uint8_t)(key0 + i);
	for (uint8_t i = 0; i < 14; i++)
		m.salt[i] = (uint8_t)(salt0 + i);
	return m;
}

static void test_media_keys(void)
{
	uint8_t b[CP_SCCP_BUILD_MAX];
	struct cp_phone_media m = media_of(DP_AES_CM_128_HMAC_SHA1_32, 0x10, 0x30);

	m.remote = (struct cfg_addr){.port = 4000};
	same("open-receive-channel-v17-sha1-32", b, cp_sccp_build_orc(b, 17, &m));
	same("open-receive-channel-v8-sha1-32", b, cp_sccp_build_orc(b, 8, &m));
	m.suite = DP_AES_CM_128_HMAC_SHA1_80;
	same("open-receive-channel-v17-sha1-80", b, cp_sccp_build_orc(b, 17, &m));
	m.suite = DP_SRTP_NONE; /* keys that lie in the struct must not leave then */
	same("open-receive-channel-v17-clear", b, cp_sccp_build_orc(b, 17, &m));
	m = media_of(DP_AES_CM_128_HMAC_SHA1_32, 0x50, 0x70);
	same("start-media-transmission-v17-sha1-32", b, cp_sccp_build_smt(b, 17, &m));
	m.suite = DP_AES_CM_128_HMAC_SHA1_80;
	same("start-media-transmission-v17-sha1-80", b, cp_sccp_build_smt(b, 17, &m));
	m.suite = DP_SRTP_SUITE_MAX;
	CU_ASSERT_EQUAL(cp_sccp_build_smt(b, 17, &m), 0);
	CU_ASSERT_EQUAL(cp_sccp_build_orc(b, 17, &m), 0);
}

static const struct {
	unsigned ver;
	uint32_t orc, smt; /* length fields */
	unsigned smt_key;  /* offset of the key in the body */
} layouts[] = {
	{3, 0x60, 0x74, 52},  {10, 0x60, 0x74, 52}, {11, 0x70, 0x74, 52},
	{15, 0x70, 0x78, 52}, {16, 0x74, 0x78, 52}, {17, 0x84, 0x88, 68},
	{20, 0x84, 0x88, 68}, {21, 0xac, 0xac, 68}, {22, 0xac, 0xac, 68},
};

static void test_layouts_by_version(void)
{
	uint8_t b[CP_SCCP_BUILD_MAX];
	struct cp_phone_media m = media_of(DP_AES_CM_128_HMAC_SHA1_80, 0xa0, 0xc0);
	struct cp_sccp_frame f;

	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		size_t n = cp_sccp_build_orc(b, layouts[i].ver, &m);

		CU_ASSERT_EQUAL(n, layouts[i].orc + 8);
		CU_ASSERT_EQUAL(cp_sccp_frame_parse(b, n, &f), 0);
		CU_ASSERT_EQUAL(f.version, layouts[i].ver >= 10 ? layouts[i].ver : 0);
		CU_ASSERT_EQUAL(memcmp(f.body + 36, m.key, 16), 0);
		CU_ASSERT_EQUAL(memcmp(f.body + 52, m.salt, 14), 0);
		n = cp_sccp_build_smt(b, layouts[i].ver, &m);
		CU_ASSERT_EQUAL(n, layouts[i].smt + 8);
		CU_ASSERT_EQUAL(cp_sccp_frame_parse(b, n, &f), 0);
		CU_ASSERT_EQUAL(memcmp(f.body + layouts[i].smt_key, m.key, 16), 0);
		CU_ASSERT_EQUAL(memcmp(f.body + (layouts[i].ver >= 17 ? 12 : 8), m.remote.ip, 4),
		                0);
	}
	m.remote.family = 6;
	CU_ASSERT_EQUAL(cp_sccp_build_smt(b, 16, &m), 0); /* no room for IPv6 before 17 */
	CU_ASSERT_EQUAL(cp_sccp_build_smt(b, 17, &m), 0x90);
	CU_ASSERT(b[CP_SCCP_HDR + 8] == 1 && memcmp(b + CP_SCCP_HDR + 12, m.remote.ip, 16) == 0);
}

static void test_negotiation(void)
{
	CU_ASSERT(cp_sccp_negotiate(0) == 3 && cp_sccp_negotiate(3) == 3 &&
	          cp_sccp_negotiate(9) == 9);
	CU_ASSERT(cp_sccp_negotiate(13) == 11 && cp_sccp_negotiate(17) == 17 &&
	          cp_sccp_negotiate(200) == 22);
}

static void test_templates_and_strings(void)
{
	uint8_t b[CP_SCCP_BUILD_MAX];
	const struct cp_sccp_button buttons[2] = {{1, 9}, {2, 9}};
	struct cp_sccp_frame f;
	char text[200];
	size_t n = cp_sccp_build_button_template(b, 17, buttons, 2);

	CU_ASSERT_EQUAL(n, CP_SCCP_HDR + 12 + 84);
	CU_ASSERT(b[CP_SCCP_HDR + 12] == 1 && b[CP_SCCP_HDR + 13] == 9 &&
	          b[CP_SCCP_HDR + 17] == 0xff);
	n = cp_sccp_build_softkey_template(b, 17);
	CU_ASSERT_EQUAL(cp_sccp_frame_parse(b, n, &f), 0);
	n = f.len; /* the last key has its name, and the number that the phone is to answer with */
	CU_ASSERT(n == 12 + 18 * 20 && memcmp(f.body + n - 20, "cBarge", 7) == 0 && f.body[n - 4] == CP_SCCP_KEY_CBARGE);
	n = cp_sccp_build_softkey_sets(b, 17);
	CU_ASSERT_EQUAL(cp_sccp_frame_parse(b, n, &f), 0);
	CU_ASSERT_EQUAL(f.len, 12 + 11 * 48);
	CU_ASSERT_EQUAL(f.body[12 + 3 * 48], 3); /* ring in: answer comes first */
	CU_ASSERT(f.body[12 + 10 * 48] == 12 && f.body[12 + 10 * 48 + 1] == 18); /* in use elsewhere: Barge, cBarge */
	/* UTF-8 is not cut inside a character */
	memset(text, 'x', sizeof(text));
	text[30] = (char)0xc3;
	text[31] = (char)0xa4;
	text[199] = '\0';
	n = cp_sccp_build_prompt(b, 9, false, text, 0, 1, 2);
	CU_ASSERT_EQUAL(b[CP_SCCP_HDR + 4 + 29], 'x');
	CU_ASSERT_EQUAL(b[CP_SCCP_HDR + 4 + 30], 0);
	n = cp_sccp_build_prompt(b, 17, true, text, 0, 1, 2);
	CU_ASSERT_EQUAL(n, CP_SCCP_HDR + 12 + 100);
	CU_ASSERT_EQUAL(cp_sccp_build_forward_stat(b, 18, 1, (const char *const[3]){NULL, "", NULL}), CP_SCCP_HDR + 96);
	CU_ASSERT_EQUAL(b[CP_SCCP_HDR], 0);
	CU_ASSERT_EQUAL(cp_sccp_build_forward_stat(b, 17, 3, (const char *const[3]){"1003", NULL, "77"}), CP_SCCP_HDR + 92);
	CU_ASSERT(b[CP_SCCP_HDR] == 1 && b[CP_SCCP_HDR + 4] == 3 && b[CP_SCCP_HDR + 8] == 1 && b[CP_SCCP_HDR + 36] == 0 && b[CP_SCCP_HDR + 64] == 1);
	CU_ASSERT_STRING_EQUAL((const char *)b + CP_SCCP_HDR + 12, "1003");
	CU_ASSERT_STRING_EQUAL((const char *)b + CP_SCCP_HDR + 68, "77");
	CU_ASSERT_EQUAL(cp_sccp_build_server_res(b, 11, "cm", &(struct cfg_addr){.family = 4}),
	                CP_SCCP_HDR + 280);
	CU_ASSERT_EQUAL(cp_sccp_build_server_res(b, 17, "cm", &(struct cfg_addr){.family = 6}),
	                CP_SCCP_HDR + 360);
}

static void test_frame_limits(void)
{
	static const struct {
		uint32_t len;
		int rc;
	} edges[] = {{0, -EBADMSG},
	             {3, -EBADMSG},
	             {4, 0},
	             {4096, 0},
	             {4097, -EBADMSG},
	             {0x80000000, -EBADMSG},
	             {0xffffffff, -EBADMSG},
	             {0x02010316, -EBADMSG}};
	size_t total;

	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		uint8_t b[4] = {(uint8_t)edges[i].len, (uint8_t)(edges[i].len >> 8),
		                (uint8_t)(edges[i].len >> 16), (uint8_t)(edges[i].len >> 24)};

		CU_ASSERT_EQUAL(cp_sccp_frame_len(b, 4, &total), edges[i].rc);
		CU_ASSERT_EQUAL(cp_sccp_frame_len(b, 3, &total), -EAGAIN);
	}
}

static void test_lying_counts(void)
{
	uint8_t b[400] = {19};
	struct cp_sccp_frame f = {17, CP_SCCP_CAPABILITIES_RES, b, sizeof(b)};
	struct cp_sccp_caps caps;
	struct cp_sccp_keypad key;
	struct cp_sccp_enbloc call;

	CU_ASSERT_EQUAL(cp_sccp_parse_caps(&f, &caps), -EBADMSG); /* over 18 */
	b[0] = 18;
	f.len = 4 + 17 * 16;
	CU_ASSERT_EQUAL(cp_sccp_parse_caps(&f, &caps), -EBADMSG); /* not there */
	f.len = 4 + 17 * 16 + 8;
	CU_ASSERT_EQUAL(cp_sccp_parse_caps(&f, &caps), 0);
	b[0] = 2;
	b[312] = 4;
	b[328] = 8;
	f.id = CP_SCCP_UPDATE_CAPS3;
	f.len = 336;
	CU_ASSERT(cp_sccp_parse_caps(&f, &caps) == 0 && caps.n == 2 && caps.cap[1].codec == 8);
	f.len = 335;
	CU_ASSERT_EQUAL(cp_sccp_parse_caps(&f, &caps), -EBADMSG);
	b[0] = 10;
	CU_ASSERT_EQUAL(cp_sccp_parse_keypad(&f, &key), -EBADMSG);
	b[0] = 0xe;
	CU_ASSERT(cp_sccp_parse_keypad(&f, &key) == 0 && key.digit == '*');
	memset(b, 0, sizeof(b));
	f.len = 36;
	CU_ASSERT_EQUAL(cp_sccp_parse_enbloc(&f, &call), -EBADMSG); /* empty */
	memcpy(b, "1001", 4);
	b[24] = 2;
	CU_ASSERT(cp_sccp_parse_enbloc(&f, &call) == 0 && call.line == 2);
	f.version = 22;
	b[24] = 0;
	b[25] = 3;
	CU_ASSERT(cp_sccp_parse_enbloc(&f, &call) == 0 && call.line == 3);
	b[25] = 0;
	b[28] = 4;
	CU_ASSERT(cp_sccp_parse_enbloc(&f, &call) == 0 && call.line == 4);
	b[1] = ';';
	CU_ASSERT_EQUAL(cp_sccp_parse_enbloc(&f, &call), -EBADMSG);
}

/* Every parser on every vector, cut at every length, on heap copies that end exactly there. */
static void test_truncation(void)
{
	static union {
		struct cp_sccp_register r;
		struct cp_sccp_hook h;
		struct cp_sccp_softkey_event s;
		struct cp_sccp_keypad k;
		struct cp_sccp_enbloc e;
		struct cp_sccp_stimulus st;
		struct cp_sccp_caps c;
		struct cp_sccp_media_ack m;
		struct cp_sccp_media_failure mf;
		struct cp_sccp_quality stats;
		struct cp_sccp_alarm a;
		uint32_t u;
	} out;
	static uint8_t whole[CP_SCCP_FRAME_MAX];
	const char *name;
	json_t *v;

	json_object_foreach (vectors, name, v) {
		size_t n = hex(json_string_value(json_object_get(v, "hex")), whole, sizeof(whole)),
		       total;
		struct cp_sccp_frame f;

		for (size_t cut = 0; cut < n; cut++) {
			uint8_t *copy = malloc(cut > 0 ? cut : 1);

			memcpy(copy, whole, cut);
			CU_ASSERT_EQUAL(cp_sccp_frame_len(copy, cut, &total),
			                cut < 4 ? -EAGAIN : 0);
			CU_ASSERT_EQUAL(cp_sccp_frame_parse(copy, cut, &f),
			                -EBADMSG); /* not whole */
			free(copy);
		}
		for (size_t cut = 0; cut <= n - CP_SCCP_HDR; cut++) {
			uint8_t *copy = malloc(cut > 0 ? cut : 1);

			memcpy(copy, whole + CP_SCCP_HDR, cut);
			for (unsigned ver = 0; ver <= 22; ver += 11) {
				f = (struct cp_sccp_frame){ver, CP_SCCP_UPDATE_CAPS2, copy, cut};
				cp_sccp_parse_caps(&f, &out.c);
				f.id = CP_SCCP_CAPABILITIES_RES;
				cp_sccp_parse_caps(&f, &out.c);
				CU_ASSERT_EQUAL(cp_sccp_parse_register(&f, &out.r),
				                cut < 32 ? -EBADMSG : 0);
				cp_sccp_parse_token(&f, &out.r);
				CU_ASSERT_EQUAL(cp_sccp_parse_u32(&f, &out.u),
				                cut < 4 ? -EBADMSG : 0);
				cp_sccp_parse_hook(&f, &out.h);
				cp_sccp_parse_softkey(&f, &out.s);
				cp_sccp_parse_keypad(&f, &out.k);
				cp_sccp_parse_enbloc(&f, &out.e);
				cp_sccp_parse_stimulus(&f, &out.st);
				CU_ASSERT_EQUAL(cp_sccp_parse_orc_ack(&f, &out.m),
				                cut < (ver >= 17 ? 32u : 16u) ? -EBADMSG : 0);
				cp_sccp_parse_smt_ack(&f, &out.m);
				cp_sccp_parse_media_failure(&f, &out.mf);
				cp_sccp_parse_stats(&f, &out.stats);
				cp_sccp_parse_alarm(&f, &out.a);
			}
			free(copy);
		}
	}
}

static void test_all_vectors_used(void)
{
	const char *name;
	json_t *v;

	json_object_foreach (vectors, name, v) {
		/* GCM is not offered: no SCCP phone here is sent such a key */
		if (json_object_get(v, "used") == NULL && strstr(name, "gcm128") == NULL) {
			fprintf(stderr, "vector %s was not compared\n", name);
			CU_FAIL("unused vector");
		}
	}
	CU_ASSERT_EQUAL(used, json_object_size(vectors) - 2);
}

static CU_TestInfo tests[] = {
	{"register in its lengths", test_register},
	{"phone messages", test_phone_messages},
	{"media acknowledgements", test_media_acks},
	{"three layouts of statistics", test_statistics},
	{"built frames equal the vectors", test_built_frames},
	{"media with keys equals the vectors", test_media_keys},
	{"media layouts by version", test_layouts_by_version},
	{"protocol negotiation", test_negotiation},
	{"templates and strings", test_templates_and_strings},
	{"frame length limits", test_frame_limits},
	{"lying counts", test_lying_counts},
	{"cut at every length", test_truncation},
	{"all vectors were used", test_all_vectors_used},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("sccp_msg", tests, setup, teardown)
