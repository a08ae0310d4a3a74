/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/sim/sccp.c against vectors/sccp_frames.json (made from the byte tables, dissected by tshark): what we build
 * is equal octet by octet, what we read has the values that went in, and no truncation reads past the end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>
#include <jansson.h>

#include "sccp.h"
#include "suite.h"

static json_t *frames;

static int setup(void)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/sccp_frames.json", getenv("RAVELIN_VECTORS"));
	frames = json_load_file(path, 0, NULL);
	return frames == NULL;
}

static int teardown(void)
{
	json_decref(frames);
	return 0;
}

/* The frame on the heap at exactly its size: a sanitizer sees every step too far. */
static uint8_t *frame(const char *name, size_t *len)
{
	const char *hex = json_string_value(json_object_get(json_object_get(frames, name), "hex"));
	uint8_t *p;

	if (hex == NULL) {
		fprintf(stderr, "no frame %s\n", name);
		abort();
	}
	*len = strlen(hex) / 2;
	p = malloc(*len);
	if (sim_hex(hex, p, *len) < 0)
		abort();
	return p;
}

static bool same(const char *name, const uint8_t *out, size_t len)
{
	size_t want_len;
	uint8_t *want = frame(name, &want_len);
	bool ok = len == want_len && memcmp(out, want, len) == 0;

	if (!ok) {
		char a[2048], b[2048];

		sim_hex_str(out, len, a);
		sim_hex_str(want, want_len, b);
		fprintf(stderr, "%s\n built %s\n want  %s\n", name, a, b);
	}
	free(want);
	return ok;
}

static struct sim_sccp_msg parsed(const char *name)
{
	struct sim_sccp_msg m;
	size_t len;
	uint8_t *p = frame(name, &len);

	CU_ASSERT_EQUAL(sim_sccp_frame_len(p, len), (long)len);
	CU_ASSERT_EQUAL(sim_sccp_parse(p, len, &m), 0);
	free(p);
	return m;
}

static void test_builds(void)
{
	static const uint32_t words[] = {20480};
	uint8_t out[SIM_SCCP_OUT_MAX];
	struct sim_sccp_register reg = {.name = "SEP0A1B2C3D4E51", .device_type = 434, .max_streams = 5,
					.protocol = 17, .line_max = 2, .load = "SCCP42.9-4-2SR3-1S"};
	struct sim_addr local;
	uint32_t party = 33554433, callref = 50331649, conference = 16777217;
	uint32_t stats[7] = {1502, 240320, 1499, 239840, 3, 12, 25};

	CU_ASSERT_EQUAL(sim_addr_parse("192.0.2.51", 0, &reg.ip), 0);
	CU_ASSERT(same("register-v17", out, sim_sccp_register(out, &reg)));
	reg.load = NULL;
	reg.mac_ascii = true;
	reg.protocol = 3;
	reg.device_type = 7;
	CU_ASSERT_EQUAL(sim_sccp_register(out, &reg), 80);
	CU_ASSERT_EQUAL(out[SIM_SCCP_HDR + 40], 3);
	CU_ASSERT(same("keepalive", out, sim_sccp_empty(out, 0, SIM_KEEPALIVE)));
	CU_ASSERT(same("ipport", out, sim_sccp_words(out, 17, SIM_IP_PORT, words, 1)));
	CU_ASSERT(same("unregister", out, sim_sccp_words(out, 0, SIM_UNREGISTER, (uint32_t[]){0}, 1)));
	CU_ASSERT(same("line-stat-req", out, sim_sccp_words(out, 17, SIM_LINE_STAT_REQ, (uint32_t[]){1}, 1)));
	CU_ASSERT_EQUAL(sim_addr_parse("192.0.2.51:20480", 0, &local), 0);
	CU_ASSERT(same("open-receive-channel-ack-v17", out, sim_sccp_orc_ack(out, 17, 0, &local, party, callref)));
	CU_ASSERT(same("open-receive-channel-ack-v3", out, sim_sccp_orc_ack(out, 0, 0, &local, party, callref)));
	CU_ASSERT(same("start-media-transmission-ack-v17", out,
		       sim_sccp_smt_ack(out, 17, 0, &local, conference, party, callref)));
	CU_ASSERT(same("softkey-answer", out,
		       sim_sccp_words(out, 17, SIM_SOFTKEY_EVENT, (uint32_t[]){11, 1, callref}, 3)));
	CU_ASSERT(same("onhook", out, sim_sccp_words(out, 17, SIM_ONHOOK, (uint32_t[]){1, callref}, 2)));
	CU_ASSERT(same("statistics-res-v17", out, sim_sccp_stats(out, 17, "1001", callref, 0, stats)));
	CU_ASSERT(same("capabilities-res", out,
		       sim_sccp_caps(out, 17,
				     (const uint32_t[][2]){{25, 40}, {4, 40}, {2, 40}, {11, 60}, {12, 60},
							   {257, 1}}, 6)));
}

static void test_reads_keys(void)
{
	static const struct {
		const char *orc, *smt;
		enum sim_srtp_alg alg;
	} table[] = {
		{"open-receive-channel-v17-sha1-32", "start-media-transmission-v17-sha1-32", SIM_SRTP_AES128_SHA1_32},
		{"open-receive-channel-v17-sha1-80", "start-media-transmission-v17-sha1-80", SIM_SRTP_AES128_SHA1_80},
		{"open-receive-channel-v17-gcm128", "start-media-transmission-v17-gcm128", SIM_SRTP_AES128_GCM},
		{"open-receive-channel-v8-sha1-32", NULL, SIM_SRTP_AES128_SHA1_32},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct sim_sccp_msg m = parsed(table[i].orc);

		CU_ASSERT_EQUAL(m.id, SIM_ORC);
		CU_ASSERT_EQUAL(m.conference, 16777217);
		CU_ASSERT_EQUAL(m.party, 33554433);
		CU_ASSERT_EQUAL(m.callref, 50331649);
		CU_ASSERT_EQUAL(m.codec, 4);
		CU_ASSERT_EQUAL(m.packet_ms, 20);
		CU_ASSERT_EQUAL(m.key.alg, table[i].alg);
		CU_ASSERT_FALSE(m.key_unknown);
		CU_ASSERT_EQUAL(m.key.key[0], 0x10);
		CU_ASSERT_EQUAL(m.key.key[15], 0x1F);
		CU_ASSERT_EQUAL(m.key.salt[0], 0x30);
		if (table[i].smt == NULL)
			continue;
		m = parsed(table[i].smt);
		CU_ASSERT_EQUAL(m.id, SIM_SMT);
		CU_ASSERT_EQUAL(m.callref, 50331649);
		CU_ASSERT_EQUAL(m.key.alg, table[i].alg);
		CU_ASSERT_EQUAL(m.key.key[0], 0x50);
		CU_ASSERT_EQUAL(m.key.salt[11], 0x7B);
		CU_ASSERT_EQUAL(sim_addr_port(&m.remote), 16384);
	}
	CU_ASSERT_EQUAL(parsed("open-receive-channel-v17-clear").key.alg, SIM_SRTP_NONE);
}

static void test_refuses_keys_it_cannot_use(void)
{
	size_t len;
	uint8_t *p = frame("open-receive-channel-v17-sha1-80", &len);
	struct sim_sccp_msg m;

	p[SIM_SCCP_HDR + 28] = 6; /* AES-256-GCM: the layout of its key is not known */
	CU_ASSERT_EQUAL(sim_sccp_parse(p, len, &m), 0);
	CU_ASSERT(m.key_unknown);
	p[SIM_SCCP_HDR + 28] = 2;
	p[SIM_SCCP_HDR + 32] = 32;
	CU_ASSERT_EQUAL(sim_sccp_parse(p, len, &m), 0);
	CU_ASSERT(m.key_unknown);
	CU_ASSERT_EQUAL(m.key.alg, SIM_SRTP_NONE);
	free(p);
}

static void test_reads_the_rest(void)
{
	struct sim_sccp_msg m = parsed("register-ack");

	CU_ASSERT_EQUAL(m.keepalive_s, 30);
	CU_ASSERT_EQUAL(m.secondary_s, 60);
	CU_ASSERT_EQUAL(m.protocol, 17);
	CU_ASSERT_STRING_EQUAL(parsed("register-reject").text, "No Device Entry");
	CU_ASSERT_EQUAL(parsed("call-state-ringin").state, 4);
	CU_ASSERT_EQUAL(parsed("call-state-connected").state, 5);
	m = parsed("call-state-onhook");
	CU_ASSERT_EQUAL(m.state, 2);
	CU_ASSERT_EQUAL(m.callref, 50331649);
	CU_ASSERT_EQUAL(parsed("call-info-encrypted").security, 3);
	CU_ASSERT_EQUAL(parsed("call-info-encrypted").callref, 50331649);
	CU_ASSERT_EQUAL(parsed("call-info-v2-encrypted").security, 3);
	CU_ASSERT_EQUAL(parsed("call-info-v2-encrypted").type, 1);
	CU_ASSERT_EQUAL(parsed("set-ringer-inside").state, 2);
	CU_ASSERT_STRING_EQUAL(parsed("line-stat").text, "1001");
	CU_ASSERT_STRING_EQUAL(parsed("line-stat-v2").text, "1001");
	CU_ASSERT_EQUAL(parsed("statistics-req-v17").callref, 50331649);
	CU_ASSERT_EQUAL(parsed("reset-restart").state, 2);
	CU_ASSERT_EQUAL(parsed("unregister-ack").state, 0);
}

/* Every frame, cut at every length with the length field made to fit: any answer, but no step outside. */
static void test_truncated_everywhere(void)
{
	const char *name;
	json_t *value;

	json_object_foreach(frames, name, value)
	{
		size_t len;
		uint8_t *whole = frame(name, &len);

		for (size_t cut = 0; cut < len; cut++) {
			uint8_t *p = malloc(cut > 0 ? cut : 1);
			struct sim_sccp_msg m;

			memcpy(p, whole, cut);
			CU_ASSERT_EQUAL(sim_sccp_parse(p, cut, &m), -EBADMSG);
			if (cut >= SIM_SCCP_HDR) {
				p[0] = (uint8_t)(cut - 8);
				p[1] = (uint8_t)((cut - 8) >> 8);
				sim_sccp_parse(p, cut, &m);
			}
			free(p);
		}
		free(whole);
	}
}

static void test_impossible_lengths(void)
{
	static const uint8_t small[] = {3, 0, 0, 0}, big[] = {0xF9, 0x3F, 0, 0}, huge[] = {0xFF, 0xFF, 0xFF, 0xFF};

	CU_ASSERT_EQUAL(sim_sccp_frame_len(small, 3), 0);
	CU_ASSERT_EQUAL(sim_sccp_frame_len(small, 4), -EBADMSG);
	CU_ASSERT_EQUAL(sim_sccp_frame_len(big, 4), -EBADMSG);
	CU_ASSERT_EQUAL(sim_sccp_frame_len(huge, 4), -EBADMSG);
}

static CU_TestInfo tests[] = {
	{"what we build equals the vectors", test_builds},
	{"keys of OpenReceiveChannel and StartMediaTransmission", test_reads_keys},
	{"unknown algorithms and key lengths are refused", test_refuses_keys_it_cannot_use},
	{"other messages", test_reads_the_rest},
	{"truncation at every length", test_truncated_everywhere},
	{"impossible length fields", test_impossible_lengths},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("sim_sccp", tests, setup, teardown)
