/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/mgcp/msg.c: RFC 3435's examples, both line ends, piggyback, cut and lying input,
 * building. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "mgcp/msg.h"

static struct dp_mgcp_msg m;
static size_t used;

static int parse(const char *text)
{
	size_t n = strlen(text);
	uint8_t *copy =
		malloc(n + (n == 0)); /* exact size: a sanitizer sees the first byte too many */
	static uint8_t *last;
	int rc;

	memcpy(copy, text, n);
	free(last);
	last = copy; /* the views of the message that a test looks at */
	rc = dp_mgcp_parse(copy, n, &m, &used);
	return rc;
}

static bool is(const struct dp_mgcp_str *s, const char *want)
{
	return s != NULL && s->len == strlen(want) && memcmp(s->s, want, s->len) == 0;
}

#define P(id) dp_mgcp_param_find(&m, DP_MGCP_P_##id)

/* RFC 3435 3.2, 3.5, appendix F; wire page 9. */
static const struct {
	const char *text;
	uint8_t verb;
	uint32_t tid;
	const char *local, *domain;
	uint8_t version;
	uint16_t params;
	uint8_t sdp;
} commands[] = {
	{"AUEP 1200 *@rgw-25.att.net MGCP 1.0\r\n", DP_MGCP_AUEP, 1200, "*", "rgw-25.att.net",
         DP_MGCP_V_1_0, 0, 0},
	{"RQNT 1201 aaln/1@rgw-2567.whatever.net MGCP 1.0\r\nN: ca@ca1.whatever.net:5678\r\nX: 0123456789AC\r\n"
         "R: l/hd(N)\r\nS:\r\n",
         DP_MGCP_RQNT, 1201, "aaln/1", "rgw-2567.whatever.net", DP_MGCP_V_1_0, 4, 0},
	{"CRCX 1204 aaln/1@rgw-2567.whatever.net MGCP 1.0\nC: A3C47F21456789F0\nL: p:10, a:PCMU\nM: sendrecv\n"
         "X: 0123456789AD\nR: l/hd\nS: l/rg\n\nv=0\no=- 25678 753849 IN IP4 128.96.41.1\ns=-\n"
         "c=IN IP4 128.96.41.1\nt=0 0\nm=audio 3456 RTP/AVP 0\n",
         DP_MGCP_CRCX, 1204, "aaln/1", "rgw-2567.whatever.net", DP_MGCP_V_1_0, 6, 1},
	{"ntfy 2002 S0/SU0/DS1-0/1@gw MGCP 0.1\r\nx: 0\r\no:\r\n", DP_MGCP_NTFY, 2002,
         "S0/SU0/DS1-0/1", "gw", DP_MGCP_V_0_1, 2, 0},
	{"RSIP 1 a@b@[192.0.2.1] MGCP 1.0 NCS 1.0\r\nRM: restart\r\nRD: 0\r\n", DP_MGCP_RSIP, 1,
         "a@b", "[192.0.2.1]", DP_MGCP_V_1_0, 2, 0},
	{"XYZW 999999999 e MGCP 3.0\r\n", 0, 999999999, "e", "", DP_MGCP_V_OTHER, 0, 0},
	{"EPCF 1200 *@gw MGCP 1.0\r\nB:e:mu\r\nX+foo/bar: 1\r\nR/qa: 2\r\n", DP_MGCP_EPCF, 1200,
         "*", "gw", DP_MGCP_V_1_0, 3, 0},
};

static void test_commands(void)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		CU_ASSERT_EQUAL_FATAL(parse(commands[i].text), 0);
		CU_ASSERT_TRUE(m.command);
		CU_ASSERT_EQUAL(m.verb, commands[i].verb);
		CU_ASSERT_EQUAL(m.tid, commands[i].tid);
		CU_ASSERT_TRUE(is(&m.local, commands[i].local));
		CU_ASSERT_TRUE(is(&m.domain, commands[i].domain));
		CU_ASSERT_EQUAL(m.version, commands[i].version);
		CU_ASSERT_EQUAL(m.param_cnt, commands[i].params);
		CU_ASSERT_EQUAL(m.sdp_cnt, commands[i].sdp);
		CU_ASSERT_EQUAL(used, strlen(commands[i].text));
	}
	parse(commands[2].text);
	CU_ASSERT_TRUE(is(P(C), "A3C47F21456789F0"));
	CU_ASSERT_TRUE(is(P(L), "p:10, a:PCMU"));
	CU_ASSERT_TRUE(is(P(M), "sendrecv"));
	CU_ASSERT_PTR_NULL(P(I));
	CU_ASSERT_EQUAL(m.sdp[0].len, strlen(strstr(commands[2].text, "v=0")));
	parse(commands[3].text);
	CU_ASSERT_TRUE(is(P(O), ""));
	CU_ASSERT_TRUE(is(P(X), "0"));
}

static void test_responses(void)
{
	CU_ASSERT_EQUAL(
		parse("200 1204 OK\r\nI: FDE234C8\r\n\r\nv=0\r\nm=audio 3456 RTP/AVP 0\r\n"), 0);
	CU_ASSERT_FALSE(m.command);
	CU_ASSERT_EQUAL(m.code, 200);
	CU_ASSERT_EQUAL(m.tid, 1204);
	CU_ASSERT_TRUE(is(&m.comment, "OK"));
	CU_ASSERT_TRUE(is(P(I), "FDE234C8"));
	CU_ASSERT_EQUAL(m.sdp_cnt, 1);
	CU_ASSERT_EQUAL(parse("000 1206\n"), 0);
	CU_ASSERT_EQUAL(m.code, 0);
	CU_ASSERT_EQUAL(parse("800 1206 /FM you shall not\r\n"), 0);
	CU_ASSERT_TRUE(is(&m.package, "FM"));
	CU_ASSERT_TRUE(is(&m.comment, "you shall not"));
	/* two descriptions: answer to an audit of a connection */
	CU_ASSERT_EQUAL(
		parse("200 7 OK\r\nC: A1\r\n\r\nv=0\r\nc=IN IP4 1.2.3.4\r\n\r\nv=0\r\nc=IN IP4 4.3.2.1\r\n"),
		0);
	CU_ASSERT_EQUAL(m.sdp_cnt, 2);
	CU_ASSERT_TRUE(is(&m.sdp[0], "v=0\r\nc=IN IP4 1.2.3.4\r\n"));
	CU_ASSERT_TRUE(is(&m.sdp[1], "v=0\r\nc=IN IP4 4.3.2.1\r\n"));
	CU_ASSERT_EQUAL(parse("200 7 OK\r\n\r\nv=0\r\n\r\nv=1\r\n\r\nv=2\r\n"), -EBADMSG);
}

static void test_piggyback(void)
{
	const char *two = "200 2005 OK\r\n.\r\nDLCX 1210 aaln/1@gw MGCP 1.0\r\nC: A3\r\nI: FD\r\n";

	CU_ASSERT_EQUAL(parse(two), 0);
	CU_ASSERT_EQUAL(m.code, 200);
	CU_ASSERT_EQUAL(used, strlen("200 2005 OK\r\n.\r\n"));
	CU_ASSERT_EQUAL(parse(two + used), 0);
	CU_ASSERT_EQUAL(m.verb, DP_MGCP_DLCX);
	CU_ASSERT_EQUAL(parse("200 2005 OK\r\n.\r\n"), -EBADMSG);
	CU_ASSERT_EQUAL(parse("200 1 OK\n\nv=0\n.\n200 2 OK\n"), 0);
	CU_ASSERT_EQUAL(m.sdp_cnt, 1);
	CU_ASSERT_TRUE(is(&m.sdp[0], "v=0\n"));
}

static void test_bad_input(void)
{
	static const char *const bad[] = {
		"",
		"\r\n",
		"\n",
		".",
		".\r\n",
		"CRCX",
		"CRCX 1204 e MGCP 1.0",
		"CRCX 0 e MGCP 1.0\n",
		"CRCX 1000000000 e MGCP 1.0\n",
		"CRCX -1 e MGCP 1.0\n",
		"CRCX 1x e MGCP 1.0\n",
		"CRCX 1 e MGCP\n",
		"CRCX 1 e SIP/2.0\n",
		"CRCXX 1 e MGCP 1.0\n",
		"C(CX 1 e MGCP 1.0\n",
		"CRCX 1 @gw MGCP 1.0\n",
		"20 1 OK\n",
		"2000 1 OK\n",
		"2x0 1 OK\n",
		"200 OK\n",
		"200 0 OK\n",
		"200 1 OK\nI\n",
		"200 1 OK\n: 1\n",
		"200 1 OK\nI : 1\n",
		"200 1 OK\nI: 1",
		"200 1 OK\n\001: 1\n",
		"200 1 O\001K\n",
		"200 1 OK\nI: \177\n",
		"\n200 1 OK\n",
		" 200 1 OK\n",
	};
	char many[64 * 8 + 64] = "200 1 OK\n";

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(parse(bad[i]), -EBADMSG);
	CU_ASSERT_EQUAL(dp_mgcp_parse((const uint8_t *)"200 1 O\0K\n", 10, &m, &used), -EBADMSG);
	for (int i = 0; i < DP_MGCP_PARAM_MAX; i++)
		strcat(many, "X-a: 1\n");
	CU_ASSERT_EQUAL(parse(many), 0);
	strcat(many, "X-a: 1\n");
	CU_ASSERT_EQUAL(parse(many), -EBADMSG);
}

/* A cut message is either refused or ends at a line that was whole: never half a value. */
static void test_truncation(void)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		size_t n = strlen(commands[i].text);

		for (size_t cut = 0; cut < n; cut++) {
			uint8_t *copy = malloc(cut + (cut == 0));
			int rc;

			memcpy(copy, commands[i].text, cut);
			rc = dp_mgcp_parse(copy, cut, &m, &used);
			CU_ASSERT_EQUAL(rc, cut > 0 && copy[cut - 1] == '\n' ? 0 : -EBADMSG);
			free(copy);
		}
	}
}

static void test_huge(void)
{
	size_t n = 65535;
	uint8_t *big = malloc(n + 1);

	memset(big, 'A', n + 1);
	CU_ASSERT_EQUAL(dp_mgcp_parse(big, n, &m, &used), -EBADMSG);
	memcpy(big, "200 1 ", 6);
	big[n - 1] = '\n';
	CU_ASSERT_EQUAL(dp_mgcp_parse(big, n, &m, &used), 0);
	CU_ASSERT_EQUAL(m.comment.len, 65535 - 7);
	CU_ASSERT_EQUAL(dp_mgcp_parse(big, n + 1, &m, &used), -EBADMSG);
	memset(big, '\n', n);
	memcpy(big, "200 1 x", 7);
	CU_ASSERT_EQUAL(dp_mgcp_parse(big, n, &m, &used), 0);
	CU_ASSERT_EQUAL(m.sdp_cnt, 0);
	free(big);
}

static void test_ranges(void)
{
	static const struct {
		const char *text;
		int n;
	} t[] = {
		{"6234-6255, 6257", 2},
		{"", 0},
		{"7", 1},
		{"1,2,3", 3},
		{"5-4", -EBADMSG},
		{"1-", -EBADMSG},
		{"-1", -EBADMSG},
		{"1,", -EBADMSG},
		{",", -EBADMSG},
		{"1-999999999", 1},
		{"0", -EBADMSG},
		{"1-2-3", -EBADMSG},
		{"4294967296", -EBADMSG},
		{"1,2,3,4,5", 4},
	};
	struct dp_mgcp_range r[4];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct dp_mgcp_str v = {t[i].text, (uint16_t)strlen(t[i].text)};

		CU_ASSERT_EQUAL(dp_mgcp_ranges_parse(&v, r, 4), t[i].n);
	}
	CU_ASSERT_EQUAL(dp_mgcp_ranges_parse(&(struct dp_mgcp_str){"6234-6255, 6257", 15}, r, 4),
	                2);
	CU_ASSERT(r[0].first == 6234 && r[0].last == 6255 && r[1].first == 6257 &&
	          r[1].last == 6257);
}

static void test_copies(void)
{
	char dst[8];

	CU_ASSERT_TRUE(dp_mgcp_str_copy(dst, sizeof(dst), &(struct dp_mgcp_str){"1234567", 7}));
	CU_ASSERT_FALSE(dp_mgcp_str_copy(dst, sizeof(dst), &(struct dp_mgcp_str){"12345678", 8}));
	CU_ASSERT_STRING_EQUAL(dst, "1234567");
	CU_ASSERT_TRUE(dp_mgcp_str_copy(dst, sizeof(dst), &(struct dp_mgcp_str){"a\x80\x01", 3}));
	CU_ASSERT_EQUAL(memcmp(dst, "a??\0\0\0\0", 8), 0);
	CU_ASSERT_TRUE(
		dp_mgcp_id_valid(&(struct dp_mgcp_str){"0123456789abcdefABCDEF0123456789", 32}));
	CU_ASSERT_FALSE(
		dp_mgcp_id_valid(&(struct dp_mgcp_str){"0123456789abcdefABCDEF01234567890", 33}));
	CU_ASSERT_FALSE(dp_mgcp_id_valid(&(struct dp_mgcp_str){"", 0}));
	CU_ASSERT_FALSE(dp_mgcp_id_valid(&(struct dp_mgcp_str){"8G", 2}));
}

/* What is built is what is read again, and a buffer of every smaller size turns bad without an
 * overrun. */
static void test_build(void)
{
	static const struct dp_mgcp_range k[] = {{6234, 6255}, {6257, 6257}};
	uint16_t whole = 0;

	for (int size = 400; size >= 0; size = size == 400 ? (int)whole : size - 1) {
		uint8_t *data = malloc((size_t)size + (size == 0));
		struct dp_mgcp_buf b;

		dp_mgcp_buf_init(&b, data, (uint16_t)size);
		dp_mgcp_put_command(&b, DP_MGCP_MDCX, 77, "aaln/1", "gw.example", true);
		dp_mgcp_put_ranges(&b, k, 2);
		dp_mgcp_put_param(&b, "C", "A1");
		dp_mgcp_put_param(&b, "S", "");
		dp_mgcp_put(&b, "\r\nv=0\r\n");
		if (size == 400) {
			whole = b.len;
			CU_ASSERT_FALSE(b.bad);
			CU_ASSERT_EQUAL(
				memcmp(data,
			               "MDCX 77 aaln/1@gw.example MGCP 0.1\r\nK: 6234-6255, 6257\r\nC: A1\r\n"
			               "S:\r\n\r\nv=0\r\n",
			               whole),
				0);
			CU_ASSERT_EQUAL(dp_mgcp_parse(data, whole, &m, &used), 0);
			CU_ASSERT(m.verb == DP_MGCP_MDCX && m.version == DP_MGCP_V_0_1 &&
			          m.sdp_cnt == 1);
		} else {
			CU_ASSERT_EQUAL(b.bad, size < whole);
		}
		free(data);
	}
}

static void test_build_refuses_injection(void)
{
	uint8_t data[256];
	struct dp_mgcp_buf b;

	dp_mgcp_buf_init(&b, data, sizeof(data));
	dp_mgcp_put_command(&b, DP_MGCP_DLCX, 1, "a b", "gw", false);
	CU_ASSERT_TRUE(b.bad);
	dp_mgcp_buf_init(&b, data, sizeof(data));
	dp_mgcp_put_param(&b, "X", "1\r\nS: l/rg");
	CU_ASSERT_TRUE(b.bad);
	dp_mgcp_buf_init(&b, data, sizeof(data));
	dp_mgcp_put_command(&b, DP_MGCP_DLCX, 0, "a", "gw", false);
	CU_ASSERT_TRUE(b.bad);
	dp_mgcp_buf_init(&b, data, sizeof(data));
	dp_mgcp_put_response(&b, 0, 42, "");
	CU_ASSERT(!b.bad && b.len == 8 && memcmp(data, "000 42\r\n", 8) == 0);
}

static CU_TestInfo tests[] = {
	{"commands of RFC 3435", test_commands},
	{"responses", test_responses},
	{"piggyback", test_piggyback},
	{"bad input", test_bad_input},
	{"truncation at every length", test_truncation},
	{"huge lines", test_huge},
	{"K: ranges", test_ranges},
	{"copies are cut, filled, printable", test_copies},
	{"built is read again, small buffers turn bad", test_build},
	{"values cannot add lines", test_build_refuses_injection},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("msg", tests, NULL, NULL)
