/* SPDX-License-Identifier: BSD-3-Clause */
/* dataplane/mgcp/digitmap.c: the examples of RFC 3435 s2.1.5, grammar, bounds, every truncation, and a matcher that tries all ways. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "mgcp/digitmap.h"

#define P DP_DIAL_PARTIAL
#define M DP_DIAL_MATCH
#define I DP_DIAL_IMPOSSIBLE
#define RFC_MAP "(0T|00T|[1-7]xxx|8xxxxxxx|#xxxxxxx|*xx|91xxxxxxxxxx|9011x.T)"

static void test_examples(void)
{
	static const struct {
		const char *map, *dialled;
		enum dp_dial is;
		bool timer;
	} cases[] = {
		/* "(xxxxxxx|x11)": 41 matches in part, 411 at once */
		{"(xxxxxxx|x11)", "41", P, false},
		{"(xxxxxxx|x11)", "411", M, false},
		{"(xxxxxxx|x11)", "412", P, false},
		{"(xxxxxxx|x11)", "4155555", M, false},
		/* "(0[12].|00|1[12].1|2x.#)": 0 matches at once, [12]. may be nothing; 11 and 12..1; 2 waits for # */
		{"(0[12].|00|1[12].1|2x.#)", "", P, false},
		{"(0[12].|00|1[12].1|2x.#)", "0", M, false},
		{"(0[12].|00|1[12].1|2x.#)", "1", P, false},
		{"(0[12].|00|1[12].1|2x.#)", "12", P, false},
		{"(0[12].|00|1[12].1|2x.#)", "11", M, false},
		{"(0[12].|00|1[12].1|2x.#)", "121", M, false},
		{"(0[12].|00|1[12].1|2x.#)", "13", I, false},
		{"(0[12].|00|1[12].1|2x.#)", "2", P, false},
		{"(0[12].|00|1[12].1|2x.#)", "2345", P, false},
		{"(0[12].|00|1[12].1|2x.#)", "2345#", M, false},
		{"(0[12].|00|1[12].1|2x.#)", "2#", M, false},
		{"(0[12].|00|1[12].1|2x.#)", "3", I, false},
		/* the dial plan of the same section */
		{RFC_MAP, "0", P, true},
		{RFC_MAP, "0T", M, false},
		{RFC_MAP, "00", P, true},
		{RFC_MAP, "00T", M, false},
		{RFC_MAP, "000", I, false},
		{RFC_MAP, "01", I, false},
		{RFC_MAP, "123", P, false},
		{RFC_MAP, "1234", M, false},
		{RFC_MAP, "123T", I, false}, /* a timer that nobody waits for */
		{RFC_MAP, "8", P, false},
		{RFC_MAP, "81234567", M, false},
		{RFC_MAP, "#1234567", M, false},
		{RFC_MAP, "*71", M, false},
		{RFC_MAP, "91", P, false},
		{RFC_MAP, "912345678901", M, false},
		{RFC_MAP, "9011", P, true},
		{RFC_MAP, "901149301234567890123", P, true},
		{RFC_MAP, "90114930T", M, false},
		{RFC_MAP, "T", I, false},
		{RFC_MAP, "D", I, false},
		{RFC_MAP, "7E", I, false}, /* no symbol at all */
		{"(xT|xx)", "5", P, true},
		{"(xT|xx)", "5t", M, false},
		{"(xT|xx)", "55", M, false},
		{"[0-9#*T]", "#", M, false},
		{"[0-9#*T]", "a", I, false},
		{"(a[b-b]|c)", "A", P, false}, /* [b-b] below: letters have no ranges */
		{"x.", "", P, false},
		{"x.", "5", M, false},
		{"x.x.x.9", "99999", M, false},
		{"x.#x.#", "#", P, false},
		{"x.#x.#", "1#22#", M, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dp_digitmap map;
		bool timer = false;

		if (strstr(cases[i].map, "[b-b]") != NULL) {
			CU_ASSERT_EQUAL(dp_digitmap_compile(cases[i].map, strlen(cases[i].map), &map), -EBADMSG);
			continue;
		}
		CU_ASSERT_EQUAL_FATAL(dp_digitmap_compile(cases[i].map, strlen(cases[i].map), &map), 0);
		CU_ASSERT_EQUAL(dp_digitmap_match(&map, cases[i].dialled, strlen(cases[i].dialled), &timer), cases[i].is);
		CU_ASSERT_EQUAL(timer, cases[i].timer);
	}
}

static void test_grammar(void)
{
	static const char *const bad[] = {"", "()", "(", ")", "(x", "x)", "x|y", "1|2", "(1|)", "(|1)", "(1||2)", "[]", "[1", "1]", "[1-]",
	                                  "[-1]", "[9-1]", "[*-#]", "[1-*]", ".", "(.)", "(1|.)", "x..", "1 2", "e", "(1\n)", "((1))", "[x]", "[[1]]"};
	static const char *const good[] = {"x", "(x)", "0", "*", "#", "T", "t", "[1-3]", "[1-35-7*#AdT]", "X.", "[1].", "(1|2|3)", "(x.T)"};
	char big[DP_DIGITMAP_ALL * 4];
	struct dp_digitmap map;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(dp_digitmap_compile(bad[i], strlen(bad[i]), &map), -EBADMSG);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CU_ASSERT_EQUAL(dp_digitmap_compile(good[i], strlen(good[i]), &map), 0);
	memset(big, 'x', sizeof(big));
	CU_ASSERT_EQUAL(dp_digitmap_compile(big, DP_DIGITMAP_LEN, &map), 0);
	CU_ASSERT_EQUAL(dp_digitmap_match(&map, "111111111111111111111111111111111111111111111111111111111111111", 63, NULL), M);
	CU_ASSERT_EQUAL(dp_digitmap_compile(big, DP_DIGITMAP_LEN + 1, &map), -E2BIG);
	big[0] = '(';
	for (size_t i = 1; i < sizeof(big); i++)
		big[i] = i % 2 == 1 ? 'x' : '|';
	big[2 * DP_DIGITMAP_ALTS] = ')';
	CU_ASSERT_EQUAL(dp_digitmap_compile(big, 2 * DP_DIGITMAP_ALTS + 1, &map), 0);
	big[2 * DP_DIGITMAP_ALTS] = '|';
	big[2 * DP_DIGITMAP_ALTS + 2] = ')';
	CU_ASSERT_EQUAL(dp_digitmap_compile(big, 2 * DP_DIGITMAP_ALTS + 3, &map), -E2BIG);
	for (size_t i = 1; i < sizeof(big); i++)
		big[i] = i % 60 == 0 ? '|' : 'x';
	big[601] = ')';
	CU_ASSERT_EQUAL(dp_digitmap_compile(big, 602, &map), -E2BIG);
}

/* Another way to the same: does 'd' match elements from 'e' on, by trying each number of repetitions? 0 no, 1 part, 2 whole. */
static int naive(const uint32_t *pos, unsigned len, unsigned e, const char *d)
{
	static const char symbols[] = "0123456789*#ABCDT";
	int best = 0, rc;

	if (*d == '\0' && e == len)
		return 2;
	if (e == len)
		return 0;
	if (pos[e] >> 31 != 0) {
		rc = naive(pos, len, e + 1, d);
		best = rc > best ? rc : best;
	}
	if (*d == '\0')
		return best > 1 ? best : 1;
	if (pos[e] >> (strchr(symbols, *d) - symbols) & 1) {
		rc = naive(pos, len, pos[e] >> 31 != 0 ? e : e + 1, d + 1);
		best = rc > best ? rc : best;
	}
	return best;
}

static void test_against_all_ways(void)
{
	static const char *const parts[] = {"x", "1", "[12]", "x.", "[23].", "T", "#", "2.", "*"};
	static const char digits[] = "123#*T";
	unsigned matches = 0, partial = 0;

	srand(42);
	for (unsigned n = 0; n < 20000; n++) {
		char text[80] = "(", dialled[8];
		struct dp_digitmap map;
		unsigned alts = 1 + (unsigned)rand() % 3, len = 1 + (unsigned)rand() % 6;
		int best = 0;
		enum dp_dial is;

		for (unsigned a = 0; a < alts; a++) {
			strcat(text, a > 0 ? "|" : "");
			for (unsigned k = 0; k <= (unsigned)rand() % 4; k++)
				strcat(text, parts[rand() % 9]);
		}
		strcat(text, ")");
		for (unsigned k = 0; k < len; k++)
			dialled[k] = digits[rand() % 6];
		dialled[len] = '\0';
		CU_ASSERT_EQUAL_FATAL(dp_digitmap_compile(text, strlen(text), &map), 0);
		for (unsigned a = 0; a < map.alt_cnt; a++) {
			int rc = naive(&map.pos[map.first[a]], (unsigned)(map.first[a + 1] - map.first[a]), 0, dialled);

			best = rc > best ? rc : best;
		}
		is = dp_digitmap_match(&map, dialled, len, NULL);
		CU_ASSERT_EQUAL(is, best == 2 ? M : best == 1 ? P : I);
		matches += is == M;
		partial += is == P;
	}
	CU_ASSERT(matches > 500 && partial > 500);
}

static void test_cut_anywhere(void)
{
	static const char text[] = RFC_MAP;

	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		char *copy = malloc(n + (n == 0)); /* exact size: reading on would show */
		struct dp_digitmap map;

		memcpy(copy, text, n);
		CU_ASSERT_EQUAL(dp_digitmap_compile(copy, n, &map), -EBADMSG);
		free(copy);
	}
}

static CU_TestInfo tests[] = {
	{"the RFC's examples", test_examples},
	{"grammar and bounds", test_grammar},
	{"against a matcher that tries all ways", test_against_all_ways},
	{"cut anywhere", test_cut_anywhere},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("digitmap", tests, NULL, NULL)
