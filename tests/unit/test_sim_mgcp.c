/* SPDX-License-Identifier: BSD-3-Clause */
/* bench/sim/mgcp.c: RFC 3435's grammar, piggybacking, SDP with keys in both forms (RFC 4568's examples), truncation. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "mgcp.h"
#include "suite.h"

static const char crcx[] =
	"crcx 1204 aaln/S1/SU0/0@gw1.example MGCP 0.1\r\n"
	"C: A3C47F21456789F0\r\n"
	"l:p:20, a:PCMU\n"
	"M: sendrecv \r\n"
	"X: 1F\r\n"
	"R: L/hu(N), L/hf\r\n"
	"S:\r\n"
	"\r\n"
	"v=0\r\n"
	"c=IN IP4 192.0.2.7\r\n"
	"m=audio 18000 RTP/SAVP 0 8 101\r\n"
	"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4\r\n"
	"a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^31 WSH=64\r\n"
	"a=ptime:20\r\n";

static const char master[] = "59535f5f5f73656d63746c202829207b", salt[] = "093232303b7d0a7d0a756e6c6573";

/* On the heap, with exactly the one octet behind it that the parser may write. */
static int parse(const char *text, size_t len, char **ret_copy, struct sim_mgcp_msg *m)
{
	*ret_copy = malloc(len + 1);
	memcpy(*ret_copy, text, len);
	return sim_mgcp_parse(*ret_copy, len, m);
}

static void test_command(void)
{
	struct sim_mgcp_msg m;
	struct sim_sdp sdp;
	uint8_t want[16];
	char *copy;

	CU_ASSERT_EQUAL_FATAL(parse(crcx, strlen(crcx), &copy, &m), 0);
	CU_ASSERT_FALSE(m.response);
	CU_ASSERT_STRING_EQUAL(m.verb, "CRCX");
	CU_ASSERT_EQUAL(m.txid, 1204);
	CU_ASSERT_STRING_EQUAL(m.endpoint, "aaln/S1/SU0/0@gw1.example");
	CU_ASSERT_STRING_EQUAL(m.version, "0.1");
	CU_ASSERT_STRING_EQUAL(sim_mgcp_param(&m, "c"), "A3C47F21456789F0");
	CU_ASSERT_STRING_EQUAL(sim_mgcp_param(&m, "L"), "p:20, a:PCMU");
	CU_ASSERT_STRING_EQUAL(sim_mgcp_param(&m, "M"), "sendrecv");
	CU_ASSERT_STRING_EQUAL(sim_mgcp_param(&m, "S"), "");
	CU_ASSERT_PTR_NULL(sim_mgcp_param(&m, "N"));
	CU_ASSERT(sim_mgcp_listed(sim_mgcp_param(&m, "R"), "L/hu"));
	CU_ASSERT(sim_mgcp_listed(sim_mgcp_param(&m, "R"), "l/HF"));
	CU_ASSERT_FALSE(sim_mgcp_listed(sim_mgcp_param(&m, "R"), "L/h"));
	CU_ASSERT_FALSE(sim_mgcp_listed("L/hd(E(R(L/hu)))", "L/hu"));
	CU_ASSERT_EQUAL(sim_sdp_parse(m.sdp, &sdp), 0);
	CU_ASSERT_STRING_EQUAL(sim_addr_str(&sdp.to), "192.0.2.7:18000");
	CU_ASSERT(sdp.secure && sdp.have_crypto);
	CU_ASSERT_EQUAL(sdp.tag, 1);
	CU_ASSERT(sdp.key.mki_len == 4 && memcmp(sdp.key.mki, "\0\0\0\1", 4) == 0 && sdp.key.lifetime == 20);
	CU_ASSERT_EQUAL(sdp.pt_cnt, 3);
	CU_ASSERT_EQUAL(sdp.ptime_ms, 20);
	CU_ASSERT_EQUAL(sdp.key.alg, SIM_SRTP_AES128_SHA1_80);
	sim_hex(master, want, 16);
	CU_ASSERT_EQUAL(memcmp(sdp.key.key, want, 16), 0);
	sim_hex(salt, want, 14);
	CU_ASSERT_EQUAL(memcmp(sdp.key.salt, want, 14), 0);
	free(copy);
}

static void test_response(void)
{
	static const char text[] = "200 4711 OK\nI: 8C2\n\nv=0\nc=IN IP4 192.0.2.7\nm=audio 18000 RTP/SAVP 0\n"
				   "a=X-crypto:AES_CM_128_HMAC_SHA1_32 "
				   "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz||\n";
	struct sim_mgcp_msg m;
	struct sim_sdp sdp;
	char *copy;

	CU_ASSERT_EQUAL_FATAL(parse(text, strlen(text), &copy, &m), 0);
	CU_ASSERT(m.response);
	CU_ASSERT_EQUAL(m.code, 200);
	CU_ASSERT_EQUAL(m.txid, 4711);
	CU_ASSERT_EQUAL(sim_sdp_parse(m.sdp, &sdp), 0);
	CU_ASSERT_EQUAL(sdp.form, SIM_CRYPTO_X);
	CU_ASSERT_EQUAL(sdp.key.alg, SIM_SRTP_AES128_SHA1_32);
	free(copy);
}

static void test_built_sdp_reads_back(void)
{
	for (int form = SIM_CRYPTO_RFC; form <= SIM_CRYPTO_X; form++) {
		struct sim_sdp a = {.secure = true, .pts = {8}, .pt_cnt = 1, .ptime_ms = 20,
				    .form = (enum sim_crypto_form)form, .tag = form == SIM_CRYPTO_RFC ? 7 : 0};
		struct sim_sdp b;
		char text[1024];
		int n;

		sim_addr_parse("[2001:db8::7]:20000", 0, &a.to);
		a.key.alg = SIM_SRTP_AES128_SHA1_80;
		sim_hex(master, a.key.key, 16);
		sim_hex(salt, a.key.salt, 14);
		if (form == SIM_CRYPTO_RFC) {
			a.key.lifetime = 31;
			a.key.mki_len = 3;
			memcpy(a.key.mki, "\1\2\3", 3);
		}
		n = sim_sdp_build(&a, 1, text, sizeof(text));
		CU_ASSERT(n > 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"));
		CU_ASSERT_EQUAL(strstr(text, "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^31|66051:3\r\n") != NULL,
				form == SIM_CRYPTO_RFC);
		CU_ASSERT_EQUAL(sim_sdp_parse(text, &b), 0);
		CU_ASSERT_STRING_EQUAL(sim_addr_str(&b.to), "[2001:db8::7]:20000");
		CU_ASSERT_EQUAL(b.tag, a.tag);
		CU_ASSERT_EQUAL(b.form, a.form);
		CU_ASSERT_EQUAL(memcmp(&b.key, &a.key, sizeof(a.key)), 0);
		for (int room = 0; room < n; room++)
			CU_ASSERT_EQUAL(sim_sdp_build(&a, 1, text, (size_t)room), -ENOSPC);
	}
}

/* What stands behind a key: lifetime, MKI, both; what cannot be used is not used. */
static void test_behind_the_key(void)
{
	static const struct {
		const char *text;
		int rc;
		uint8_t lifetime, mki_len, first, last;
	} cases[] = {
		{"", 0, 0, 0, 0, 0}, {"||", 0, 0, 0, 0, 0}, {"|2^20", 0, 20, 0, 0, 0}, {"|1048576", 0, 0, 0, 0, 0},
		{"|2^48|513:2", 0, 48, 2, 2, 1}, {"|7:1", 0, 0, 1, 7, 7}, {"|2^20|18446744073709551615:8", 0, 20, 8, 255, 255},
		{"|2^20|256:1", -ENOTSUP, 0, 0, 0, 0}, {"|2^20|1:0", -ENOTSUP, 0, 0, 0, 0}, {"|2^20|1:9", -ENOTSUP, 0, 0, 0, 0}, {"|2^20|:4", -ENOTSUP, 0, 0, 0, 0},
		{"|2^20|1:", -ENOTSUP, 0, 0, 0, 0}, {"|2^20|1:4x", -ENOTSUP, 0, 0, 0, 0}, {"|2^20|-1:4", -ENOTSUP, 0, 0, 0, 0}, {"|1:4|1:4", -ENOTSUP, 0, 0, 0, 0},
		{"|2^20|18446744073709551616:8", -ENOTSUP, 0, 0, 0, 0}, {"|2^20|1:4;inline:x", -ENOTSUP, 0, 0, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sim_srtp_key k = {0};
		char text[256];
		uint32_t tag = 0;

		snprintf(text, sizeof(text), "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz%s",
			 cases[i].text);
		CU_ASSERT_EQUAL(sim_crypto_parse(text, SIM_CRYPTO_RFC, &tag, &k), cases[i].rc);
		if (cases[i].rc == 0)
			CU_ASSERT(tag == 1 && k.lifetime == cases[i].lifetime && k.mki_len == cases[i].mki_len &&
				  (k.mki_len == 0 || (k.mki[0] == cases[i].first && k.mki[k.mki_len - 1] == cases[i].last)));
	}
}

static void test_malformed(void)
{
	static const char *const bad[] = {
		"", "\r\n", "CRCX\r\n", "CRCX 0 a@b MGCP 1.0\r\n", "CRCX 1000000000 a@b MGCP 1.0\r\n",
		"CRCX x a@b MGCP 1.0\r\n", "CRC 1 a@b MGCP 1.0\r\n", "CRCX 1 a@b SIP 2.0\r\n", "CRCX 1 a@b\r\n",
		"RQNT 1 a@b MGCP 1.0\r\nno colon\r\n", "RQNT 1 a@b MGCP 1.0\r\n: no name\r\n",
	};
	static const char short_key[] =
		"v=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 18000 RTP/SAVP 0\r\n"
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9\r\n";
	static const char *const bad_sdp[] = {
		"", "v=0\r\n", "v=0\r\nc=IN IP4 192.0.2.7\r\n", "v=0\r\nm=audio 18000 RTP/AVP 0\r\n",
		"v=0\r\nc=IN IP4 host\r\nm=audio 18000 RTP/AVP 0\r\n",
		"v=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 70000 RTP/AVP 0\r\n",
		"v=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 18000 RTP/AVP\r\n",
		short_key,
	};
	struct sim_mgcp_msg m;
	struct sim_sdp sdp;
	char *copy;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_EQUAL(parse(bad[i], strlen(bad[i]), &copy, &m), -EBADMSG);
		free(copy);
	}
	CU_ASSERT_EQUAL(parse("RQNT 9 a@b MGCP 1.0\r\nX: 1\0\r\n", 29, &copy, &m), -EBADMSG);
	free(copy);
	for (size_t i = 0; i < sizeof(bad_sdp) / sizeof(bad_sdp[0]); i++)
		CU_ASSERT_EQUAL(sim_sdp_parse(bad_sdp[i], &sdp), -EBADMSG);
}

static void test_truncated_everywhere(void)
{
	for (size_t cut = 0; cut < strlen(crcx); cut++) {
		struct sim_mgcp_msg m;
		struct sim_sdp sdp;
		char *copy;

		if (parse(crcx, cut, &copy, &m) == 0 && m.sdp != NULL)
			sim_sdp_parse(m.sdp, &sdp);
		free(copy);
	}
}

static void test_piggyback(void)
{
	static const char two[] = "200 1 OK\r\n.\r\nRQNT 2 a@b MGCP 1.0\r\nX: 1\r\n";
	size_t len, next = sim_mgcp_next(two, strlen(two), &len);

	CU_ASSERT_EQUAL(len, 10);
	CU_ASSERT_EQUAL(next, 13);
	next += sim_mgcp_next(two + next, strlen(two) - next, &len);
	CU_ASSERT_EQUAL(next, strlen(two));
	for (size_t cut = 0; cut < strlen(two); cut++) {
		char *p = malloc(cut + 1);

		memcpy(p, two, cut);
		CU_ASSERT(sim_mgcp_next(p, cut, &len) <= cut);
		CU_ASSERT(len <= cut);
		free(p);
	}
}

static CU_TestInfo tests[] = {
	{"a command with SDP and keys", test_command},
	{"a response with the old key form", test_response},
	{"what we build reads back", test_built_sdp_reads_back},
	{"lifetime and MKI behind a key", test_behind_the_key},
	{"malformed messages and descriptions", test_malformed},
	{"truncation at every length", test_truncated_everywhere},
	{"piggybacked messages", test_piggyback},
	CU_TEST_INFO_NULL,
};

SUITE_MAIN("sim_mgcp", tests, NULL, NULL)
