/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Call control and a phone's session: what goes up (off-hook, digits, keys, acknowledgements) and what goes down as messages.
 * Rows: 001:P1-100, P1-105, R-15; 004a:SRTP-04.
 */
#include "session_fix.h"

static void test_up_calls(void)
{
	static struct wire w;
	uint8_t caps[4 + 32] = {2, 0, 0, 0, 4, 0, 0, 0, 40};
	uint8_t ack[40] = {0};
	struct cp_phone *p;

	fresh(CP_DEVICE_NONSECURE);
	p = registered_phone(&w, 17);
	caps[20] = 2;
	say(p, 17, CP_SCCP_CAPABILITIES_RES, caps, sizeof(caps));
	CU_ASSERT(cp_phone_has_codec(p, CP_SCCP_G711U) && cp_phone_has_codec(p, CP_SCCP_G711A));
	CU_ASSERT_FALSE(cp_phone_has_codec(p, CP_SCCP_G729));
	caps[0] = 3; /* lies: what was known stays */
	say(p, 17, CP_SCCP_CAPABILITIES_RES, caps, sizeof(caps));
	CU_ASSERT_TRUE(cp_phone_has_codec(p, CP_SCCP_G711A));
	events[0] = '\0';
	say_words(p, 17, CP_SCCP_OFF_HOOK, 0, 0, 0, 0);
	say_words(p, 17, CP_SCCP_OFF_HOOK, 2, 1, 7, 0);
	say_words(p, 17, CP_SCCP_STIMULUS, 2, 9, 2, 0);
	say_words(p, 17, CP_SCCP_STIMULUS, 2, 1, 2, 0);
	say_words(p, 17, CP_SCCP_KEYPAD, 3, 5, 1, 7);
	say_words(p, 17, CP_SCCP_KEYPAD, 3, 0xf, 1, 7);
	say_words(p, 17, CP_SCCP_KEYPAD, 3, 0xa, 1, 7);
	say(p, 17, CP_SCCP_ENBLOC, "2002\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0", 28);
	say_words(p, 17, CP_SCCP_SOFTKEY_EVENT, 3, 11, 1, 7);
	say_words(p, 17, CP_SCCP_ON_HOOK, 2, 1, 7, 0);
	CU_ASSERT_STRING_EQUAL(
		events, "offhook:0:0 offhook:1:7 offhook:2:0 digit:5:1:7 digit:#:1:7 enbloc:2002:1 "
			"softkey:11:1:7 onhook:1:7 ");
	events[0] = '\0';
	memcpy(ack + 8, "\xc0\0\2\x33", 4);
	ack[24] = 0x10;
	ack[25] = 0x50;
	ack[28] = 9;
	ack[32] = 7;
	say(p, 17, CP_SCCP_ORC_ACK, ack, 36);
	ack[0] = 2;
	say(p, 17, CP_SCCP_ORC_ACK, ack, 36);
	ack[0] = 0;
	ack[24] = ack[25] = 0; /* ok, but no port */
	say(p, 17, CP_SCCP_ORC_ACK, ack, 36);
	say(p, 17, CP_SCCP_ORC_ACK, ack, 31);
	memset(ack, 0, sizeof(ack));
	ack[4] = 9;
	ack[8] = 7;
	ack[36] = 3;
	say(p, 17, CP_SCCP_SMT_ACK, ack, 40);
	say(p, 17, CP_SCCP_MEDIA_FAILURE, ack, 8);
	CU_ASSERT_STRING_EQUAL(
		events,
		"orc:0:192.0.2.51:20496:9:7 orc:2:none:9:7 orc:1:none:9:7 smt:3:9:7 failed:9:0 ");
	CU_ASSERT_EQUAL(cp_sccp_stats(sccp)->malformed, 4);
	cp_session_closed(p, CP_GONE_CLOSED);
}

static void test_down_calls(void)
{
	static const uint32_t want[] = {CP_SCCP_CALL_STATE,
	                                CP_SCCP_CALL_INFO_DYN,
	                                CP_SCCP_START_TONE,
	                                CP_SCCP_STOP_TONE,
	                                CP_SCCP_SET_RINGER,
	                                CP_SCCP_SET_LAMP,
	                                CP_SCCP_SET_SPEAKER,
	                                CP_SCCP_SELECT_SOFTKEYS,
	                                CP_SCCP_PROMPT_DYN,
	                                CP_SCCP_CLEAR_PROMPT,
	                                CP_SCCP_DIALED_NUMBER,
	                                CP_SCCP_ACTIVATE_PLANE,
	                                CP_SCCP_DEACTIVATE_PLANE,
	                                CP_SCCP_CLOSE_RECEIVE,
	                                CP_SCCP_STOP_MT,
	                                CP_SCCP_STATISTICS_REQ,
	                                CP_SCCP_RESET};
	static struct wire w;
	struct cp_phone *p;

	fresh(CP_DEVICE_NONSECURE);
	p = registered_phone(&w, 17);
	CU_ASSERT_EQUAL(cp_phone_call_state(p, CP_SCCP_CONNECTED, 1, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_callinfo(p, &(struct cp_phone_callinfo){.line = 1, .callref = 7}),
	                0);
	CU_ASSERT_EQUAL(cp_phone_tone(p, CP_SCCP_TONE_DIAL, 1, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_stop_tone(p, 1, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_ringer(p, CP_SCCP_RING_INSIDE, 1, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_lamp(p, 1, CP_SCCP_LAMP_BLINK), 0);
	CU_ASSERT_EQUAL(cp_phone_speaker(p, true), 0);
	CU_ASSERT_EQUAL(cp_phone_softkeys(p, CP_SCCP_KEYS_RINGIN, 1, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_prompt(p, "From 2002", 0, 1, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_clear_prompt(p, 1, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_dialed(p, "2002", 1, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_planes(p, 1), 0);
	CU_ASSERT_EQUAL(cp_phone_planes(p, 0), 0);
	CU_ASSERT_EQUAL(cp_phone_crc(p, 1, 9, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_stopmt(p, 1, 9, 7), 0);
	CU_ASSERT_EQUAL(cp_phone_stats(p, "1001", 7), 0);
	CU_ASSERT_EQUAL(cp_phone_reset(p, 2), 0);
	CU_ASSERT_EQUAL(cp_phone_reset(p, 9), -EINVAL);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		CU_ASSERT_EQUAL(next_id(&w), want[i]);
	CU_ASSERT_EQUAL(w.len, 0);
	w.broken = true; /* the link fails inside a down-call: no up-call, gone follows with the
	                    link's end */
	events[0] = '\0';
	CU_ASSERT_EQUAL(cp_phone_speaker(p, true), -ENOTCONN);
	CU_ASSERT_STRING_EQUAL(events, "");
	cp_session_closed(p, CP_GONE_PROTOCOL);
	CU_ASSERT_STRING_EQUAL(events, "gone:5 ");
}

static void test_keys_only_when_encrypted(void)
{
	static const enum cp_device_mode modes[] = {CP_DEVICE_NONSECURE, CP_DEVICE_AUTHENTICATED,
	                                            CP_DEVICE_ENCRYPTED};
	struct cp_phone_media m = {.conference = 1,
	                           .party = 9,
	                           .callref = 7,
	                           .codec = 4,
	                           .packet_ms = 20,
	                           .suite = DP_AES_CM_128_HMAC_SHA1_80,
	                           .key = {1, 2, 3},
	                           .salt = {4, 5},
	                           .remote = {.family = 4, .ip = {192, 0, 2, 9}, .port = 16384}};
	static struct wire w;
	X509 *cert = test_cert(1000);

	for (int i = 0; i < 3; i++) {
		struct cp_phone *p;

		fresh(modes[i]);
		p = connect_phone(&w, true, true, cert);
		say_register(p, NAME, 17);
		w.len = 0;
		m.suite = DP_AES_CM_128_HMAC_SHA1_80;
		CU_ASSERT_EQUAL(cp_phone_orc(p, &m), modes[i] == CP_DEVICE_ENCRYPTED ? 0 : -EACCES);
		CU_ASSERT_EQUAL(cp_phone_smt(p, &m), modes[i] == CP_DEVICE_ENCRYPTED ? 0 : -EACCES);
		CU_ASSERT_EQUAL(w.secrets, modes[i] == CP_DEVICE_ENCRYPTED ? 2 : 0);
		CU_ASSERT_EQUAL(w.len > 0, modes[i] == CP_DEVICE_ENCRYPTED);
		m.suite = DP_SRTP_NONE;
		CU_ASSERT_EQUAL(cp_phone_orc(p, &m), 0);
		m.remote.port = 0;
		CU_ASSERT_EQUAL(cp_phone_smt(p, &m), -EINVAL);
		m.remote.port = 16384;
		cp_session_closed(p, CP_GONE_CLOSED);
	}
	X509_free(cert);
}

static CU_TestInfo tests[] = {
	{"up-calls", test_up_calls},
	{"down-calls", test_down_calls},
	{"keys only to encrypted phones", test_keys_only_when_encrypted},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("sesscall", tests, NULL, teardown)
