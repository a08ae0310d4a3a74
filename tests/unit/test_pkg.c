/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/mgcp/pkg.c: what may be asked for, what gateways say they can do, and connection parameters. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "mgcp/pkg.h"

#define BIT(p) (1u << DP_PKG_##p)

static struct dp_mgcp_str str(const char *s)
{
	return (struct dp_mgcp_str){s, (uint16_t)strlen(s)};
}

static const struct {
	const char *text;
	bool signals;
	int rc;
	uint32_t pkgs;
} lists[] = {
	{"", false, 0, 0},
	{"L/hd(N),L/hu(N)", false, 0, BIT(L)}, /* what call control sends */
	{"L/hu(N),L/hf(N)", false, 0, BIT(L)},
	{"L/hu(N),D/[0-9*#](N)", false, 0, BIT(L) | BIT(D)},
	{"H/rg(N)", false, 0, BIT(HS)},
	{"H/osi(N)", false, 0, BIT(HS)},
	{"H/hd", true, 0, BIT(HS)},
	{"H/hu", true, 0, BIT(HS)},
	{"G/rt", true, 0, BIT(G)},
	{"G/cg", true, 0, BIT(G)},
	{"L/dl", true, 0, BIT(L)},
	{"L/hu(N)", false, 0, BIT(L)},
	{"L/rg", true, 0, BIT(L)},
	{"L/hd (N, K), D/[0-9#*T](D)", false, 0, BIT(L) | BIT(D)}, /* RFC 3435 s2.1.7, s3.2.2 */
	{"L/hu(N), L/hf(N), D/[0-9#T](D)", false, 0, BIT(L) | BIT(D)},
	{"[0-9#T](D), hu(N)", false, 0, BIT(D)},
	{"D/X(A)", false, 0, BIT(D)},
	{"D/5(N), D/#(N), D/*(N), D/L(N)", false, 0, BIT(D)},
	{"R/qa(N), R/rto(N)(st=im)", false, 0, BIT(R)},
	{"G/ft(N),G/mt(N),G/ld@1A2B(N)", false, 0, BIT(G)},
	{"R/ji@*(N)", false, 0, BIT(R)},
	{"T/co1(N), T/as(I)", false, 0, BIT(T)},
	{"L/all(N)", false, 0, BIT(L)},
	{"*/all(N)", false, 0, 0},
	{"L/hu(E(S(L/dl),R(L/oc,L/hd(N)),D((xxxx|x.T))))", false, 0, BIT(L)},
	{"L/hd(A, E(S(L/dl),R(L/hu, D/[0-9#*T](D)),D(xxxxxxx|x11)))", false, 0, BIT(L) | BIT(D)},
	{"L/dl", true, 0, BIT(L)},
	{"L/rg(to=6000), G/rt@$", true, 0, BIT(L) | BIT(G)},
	{"L/ci(10/14/17/26, \"555 (1212)\", \"some\")", true, 0, BIT(L)},
	{"L/vmwi(+)", true, 0, BIT(L)},
	{"L/r3, L/wt2(-)", true, 0, BIT(L)},
	{"D/5, D/dd(dg=5,to=100)", true, 0, BIT(D)},
	{"T/co2, T/lb, T/sit(1)", true, 0, BIT(T)},
	/* what we do not know is not asked for */
	{"Q/hd(N)", false, -ENOTSUP, 0},
	{"X-foo/bar(N)", false, -ENOTSUP, 0},
	{"L/xx(N)", false, -ENOTSUP, 0},
	{"L/rg(N)", false, -ENOTSUP, 0}, /* a signal */
	{"L/hd", true, -ENOTSUP, 0},     /* an event */
	{"G/hd(N)", false, -ENOTSUP, 0},
	{"SRTP/x(N)", false, -ENOTSUP, 0},
	{"SRTP/all(N)", false, -ENOTSUP, 0},
	{"L/hd(Z)", false, -ENOTSUP, 0},
	{"L/hd(C(m))", false, -ENOTSUP, 0},
	{"L/[0-9](N)", false, -ENOTSUP, 0},
	{"nosuch(N)", false, -ENOTSUP, 0},
	{"L/all", true, -ENOTSUP, 0},
	/* grammar */
	{"L/hd(N", false, -EBADMSG, 0},
	{"L/hd(N))", false, -EBADMSG, 0},
	{"L/hd(N),", false, -EBADMSG, 0},
	{",L/hd(N)", false, -EBADMSG, 0},
	{"L/hd L/hu", false, -EBADMSG, 0},
	{"L/", false, -EBADMSG, 0},
	{"/hd", false, -EBADMSG, 0},
	{"L/hd@(N)", false, -EBADMSG, 0},
	{"L/hd@xyz(N)", false, -EBADMSG, 0},
	{"D/[0-9(N)", false, -EBADMSG, 0},
	{"D/[](N)", false, -EBADMSG, 0},
	{"L/hd(E)", false, -EBADMSG, 0},
	{"L/hd(E(Q(x)))", false, -EBADMSG, 0},
	{"L/hd(E(R(L/hu(E(R(L/hd(N)))))))", false, -EBADMSG, 0}, /* one in another */
	{"L/hd(E(D((x|))))", false, -EBADMSG, 0},
	{"L/hd(E(S(L/xx)))", false, -ENOTSUP, 0},
	{"L/ci(\"555)", true, -EBADMSG, 0},
	{"L/ci(((((1)))))", true, -EBADMSG, 0},
	{"L/rg(", true, -EBADMSG, 0},
};

static void test_lists(void)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct dp_mgcp_str list = str(lists[i].text);
		uint32_t pkgs = 0xdead;
		int rc = lists[i].signals ? dp_pkg_signals(&list, &pkgs) : dp_pkg_events(&list, &pkgs);

		CU_ASSERT_EQUAL(rc, lists[i].rc);
		CU_ASSERT_EQUAL(pkgs, rc == 0 ? lists[i].pkgs : 0xdead);
		if (rc != lists[i].rc)
			fprintf(stderr, "[%s] is %d\n", lists[i].text, rc);
	}
}

static void test_params(void)
{
	static const struct {
		uint8_t verb;
		const char *text;
		int rc;
		uint32_t pkgs;
	} cases[] = {
		{DP_MGCP_RQNT, "", 0, 0},
		{DP_MGCP_RQNT, "R: L/hu(N), D/[0-9#*T](D)\nS: L/dl\nD: (0T|00T|xxxx)\nQ: loop, process\nT: L/hf\nN: ca@agent.example:2727\n", 0,
		 BIT(L) | BIT(D)},
		{DP_MGCP_RQNT, "r: l/HU(n)\n", 0, BIT(L)},
		{DP_MGCP_DLCX, "R: L/hd(N)\n", 0, BIT(L)},
		{DP_MGCP_AUEP, "F: A, ES, R,D,S,X,N,I,T,O,Q,B,RM,RD,E,PL,MD\n", 0, 0},
		{DP_MGCP_AUEP, "", 0, 0},
		{DP_MGCP_AUEP, "F:\n", 0, 0},
		{DP_MGCP_AUCX, "F: C,N,L,M,P\n", 0, 0},
		{DP_MGCP_EPCF, "B: e:mu\n", 0, 0},
		{DP_MGCP_EPCF, "B: e:A\n", 0, 0},
		{DP_MGCP_EPCF, "", -EBADMSG, 0},
		{DP_MGCP_EPCF, "B: e:x\n", -ENOTSUP, 0},
		{DP_MGCP_RQNT, "R: L/hu(N)", -EBADMSG, 0}, /* no end */
		{DP_MGCP_RQNT, "R: L/hu(N)\nR: L/hd(N)\n", -EBADMSG, 0},
		{DP_MGCP_RQNT, "R L/hu(N)\n", -EBADMSG, 0},
		{DP_MGCP_RQNT, "\n", -EBADMSG, 0},
		{DP_MGCP_RQNT, "F: A\n", -EBADMSG, 0},
		{DP_MGCP_RQNT, "C: 1\n", -EBADMSG, 0},
		{DP_MGCP_RQNT, "X-foo: 1\n", -EBADMSG, 0},
		{DP_MGCP_RQNT, "D: (1|\n", -EBADMSG, 0},
		{DP_MGCP_RQNT, "Q: sometimes\n", -ENOTSUP, 0},
		{DP_MGCP_RQNT, "Q: loop,\n", -EBADMSG, 0},
		{DP_MGCP_RQNT, "Q: loop process\n", -EBADMSG, 0},
		{DP_MGCP_RQNT, "N: a b\n", -EBADMSG, 0},
		{DP_MGCP_RQNT, "N:\n", -EBADMSG, 0},
		{DP_MGCP_RQNT, "R: FXR/t38(N)\n", -ENOTSUP, 0},
		{DP_MGCP_AUCX, "F: LC\n", -ENOTSUP, 0}, /* would bring a key */
		{DP_MGCP_AUEP, "F: RC\n", -ENOTSUP, 0},
		{DP_MGCP_AUEP, "F: A;B\n", -EBADMSG, 0},
		{DP_MGCP_AUEP, "D: x\n", -EBADMSG, 0},
		{DP_MGCP_CRCX, "R: L/hu(N)\n", -EBADMSG, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t pkgs = 0;

		CU_ASSERT_EQUAL(dp_mgcp_params_check(cases[i].verb, cases[i].text, strlen(cases[i].text) + 1, &pkgs), cases[i].rc);
		CU_ASSERT_EQUAL(pkgs & (0u - (cases[i].rc == 0)), cases[i].pkgs);
		CU_ASSERT_EQUAL(dp_mgcp_params_check(cases[i].verb, cases[i].text, strlen(cases[i].text), &pkgs), -EBADMSG); /* no end */
	}
}

static void test_caps(void)
{
	struct dp_mgcp_caps caps = {0};
	struct dp_mgcp_str a = str("a:PCMU;G729, p:10-40, e:on, s:off, t:1, v:L;S;SRTP, m:sendonly;recvonly;sendrecv;inactive");
	struct dp_mgcp_str b = str("a:pcma, v: d ; g ;fxr, m:confrnce"), junk = str(",,;:v,v:,;;m:;a:,:::,x");

	dp_mgcp_caps_add(&caps, &a);
	CU_ASSERT(caps.listed && caps.pkgs == (BIT(L) | BIT(SRTP)) && caps.others == 1);
	CU_ASSERT_EQUAL(caps.audio, 1u << DP_AUDIO_PCMU | 1u << DP_AUDIO_G729);
	CU_ASSERT_EQUAL(caps.modes, 1u << DP_MGCP_M_SENDONLY | 1u << DP_MGCP_M_RECVONLY | 1u << DP_MGCP_M_SENDRECV | 1u << DP_MGCP_M_INACTIVE);
	dp_mgcp_caps_add(&caps, &b);
	CU_ASSERT_EQUAL(caps.pkgs, BIT(L) | BIT(SRTP) | BIT(D) | BIT(G));
	CU_ASSERT_EQUAL(caps.others, 2);
	CU_ASSERT((caps.audio & 1u << DP_AUDIO_PCMA) != 0 && (caps.modes & 1u << DP_MGCP_M_CONFRNCE) != 0);
	memset(&caps, 0, sizeof(caps));
	dp_mgcp_caps_add(&caps, &junk);
	CU_ASSERT(!caps.listed && caps.pkgs == 0 && caps.others == 0 && caps.modes == 0 && caps.audio == 0);
	CU_ASSERT_STRING_EQUAL(dp_pkg_name(DP_PKG_SRTP), "SRTP");
	CU_ASSERT_STRING_EQUAL(dp_pkg_name(DP_PKG_CNT), "");
}

static void test_stat(void)
{
	static const struct {
		const char *text;
		int rc;
		uint32_t have, ps, la;
	} cases[] = {
		{"PS=1245, OS=62345, PR=780, OR=45123, PL=10, JI=27, LA=48", 0, 0x7f, 1245, 48},
		{"ps=1,la=2", 0, 0x41, 1, 2},
		{"", 0, 0, 0, 0},
		{"PS=1245, XR/foo=bar, LA=3", 0, 0x41, 1245, 3},
		{"PS=99999999999999999999", 0, 1, UINT32_MAX, 0},
		{"PS=-1", -EBADMSG, 0, 0, 0},
		{"PS=", -EBADMSG, 0, 0, 0},
		{"PS=1x", -EBADMSG, 0, 0, 0},
		{"PS=1,,LA=2", -EBADMSG, 0, 0, 0},
		{"=1", -EBADMSG, 0, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dp_mgcp_str v = str(cases[i].text);
		struct dp_mgcp_stat stat = {0};

		CU_ASSERT_EQUAL(dp_mgcp_stat_parse(&v, &stat), cases[i].rc);
		CU_ASSERT_EQUAL(stat.have, cases[i].have);
		CU_ASSERT_EQUAL(stat.value[DP_MGCP_PS], cases[i].ps);
		CU_ASSERT_EQUAL(stat.value[DP_MGCP_LA], cases[i].la);
	}
}

/* Cut at every length, in memory of exactly that size: refused or read, never past the end. */
static void test_cut_anywhere(void)
{
	static const char *const stats = "PS=1245, OS=62345, PR=780, OR=45123, PL=10, JI=27, LA=48, XR/a=b";
	static const char *const caps_text = "a:PCMU;G729, p:10-40, v:L;S;SRTP, m:sendonly;recvonly";
	static const char *const params = "R: L/hu(N), D/[0-9#*T](D)\nS: L/ci(1,\"a\")\nD: (0T|00T|xxxx)\nQ: loop, process\nT: L/hf\nN: ca@agent:2727\n";
	unsigned refused = 0;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]) + 3; i++) {
		size_t k = sizeof(lists) / sizeof(lists[0]);
		const char *text = i < k ? lists[i].text : i == k ? stats : i == k + 1 ? caps_text : params;

		for (size_t n = 0; n <= strlen(text); n++) {
			char *copy = malloc(n + (n == 0));
			struct dp_mgcp_str v = {copy, (uint16_t)n};
			struct dp_mgcp_stat stat;
			struct dp_mgcp_caps caps = {0};
			uint32_t pkgs;

			memcpy(copy, text, n);
			if (i < k)
				refused += (lists[i].signals ? dp_pkg_signals(&v, &pkgs) : dp_pkg_events(&v, &pkgs)) < 0;
			else if (i == k)
				(void)dp_mgcp_stat_parse(&v, &stat);
			else if (i == k + 1)
				dp_mgcp_caps_add(&caps, &v);
			else
				CU_ASSERT_EQUAL(dp_mgcp_params_check(DP_MGCP_RQNT, copy, n, &pkgs), -EBADMSG); /* no NUL */
			free(copy);
		}
	}
	CU_ASSERT(refused > 200);
}

static void test_classes(void)
{
	static const struct {
		uint16_t code;
		enum dp_mgcp_class class;
		const char *text;
	} cases[] = {
		{0, DP_MGCP_CLASS_ACK, ""},          {100, DP_MGCP_CLASS_WAIT, "executing"}, {101, DP_MGCP_CLASS_WAIT, "queued"},
		{200, DP_MGCP_CLASS_DONE, "OK"},     {250, DP_MGCP_CLASS_DONE, "deleted"},   {400, DP_MGCP_CLASS_LATER, "transient error"},
		{407, DP_MGCP_CLASS_LATER, "aborted by another command"},                    {409, DP_MGCP_CLASS_LATER, "overload"},
		{408, DP_MGCP_CLASS_LATER, "error"}, {499, DP_MGCP_CLASS_LATER, "error"},    {500, DP_MGCP_CLASS_PERMANENT, "unknown endpoint"},
		{521, DP_MGCP_CLASS_PERMANENT, "go to another agent"},                       {541, DP_MGCP_CLASS_PERMANENT, "invalid local option"},
		{599, DP_MGCP_CLASS_PERMANENT, "error"},                                     {800, DP_MGCP_CLASS_PACKAGE, "package error"},
		{901, DP_MGCP_CLASS_PERMANENT, "error"},                                     {1000, DP_MGCP_CLASS_PERMANENT, "error"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(dp_mgcp_class(cases[i].code), cases[i].class);
		CU_ASSERT_STRING_EQUAL(dp_mgcp_code_text(cases[i].code), cases[i].text);
	}
}

static CU_TestInfo tests[] = {
	{"lists of events and signals", test_lists},
	{"parameters of commands", test_params},
	{"capabilities", test_caps},
	{"connection parameters", test_stat},
	{"cut anywhere", test_cut_anywhere},
	{"response codes by class", test_classes},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("pkg", tests, NULL, NULL)
