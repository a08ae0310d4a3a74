/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/call/codec.c, rule.c and store/region.c: which codec two parties speak, and what the region table says of them. Tables.
 * 001:P1-130, 001:R-19, 004a:CALL-11.
 */
#include <CUnit/CUnit.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call/codec.h"
#include "call/rule.h"
#include "config.h"
#include "dp_msg.h"
#include "store/change.h"
#include "store_tmp.h"

/* A phone by letters: u a G.711, 7 G.722, 9 A B C G.729 (11, 12, 15, 16), i iLBC, w wideband; "gw" is a gateway; '!' is a 7960, '<' an old SCCP. */
static struct cp_codec_side side_of(const char *letters, struct cp_sccp_cap caps[CP_SCCP_CAPS_MAX])
{
	static const struct {
		char letter;
		uint16_t number, ms;
	} of[] = {{'u', 4, 40}, {'a', 2, 40}, {'7', 6, 40}, {'9', 11, 60}, {'A', 12, 60}, {'B', 15, 60}, {'C', 16, 60}, {'i', 86, 60}, {'w', 25, 120}};
	struct cp_codec_side s = {.caps = caps, .version = 17};

	if (strcmp(letters, "gw") == 0)
		return (struct cp_codec_side){.gateway = true};
	for (; *letters != '\0'; letters++) {
		s.old_srtp |= *letters == '!';
		if (*letters == '<')
			s.version = 10;
		for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
			if (of[i].letter == *letters)
				caps[s.cap_cnt++] = (struct cp_sccp_cap){of[i].number, of[i].ms};
	}
	return s;
}

static const struct {
	const char *a, *b, *list; /* list: "" all, in the usual order */
	unsigned kbps;
	bool secure;
	enum cp_codec codec; /* NONE: they have none */
	uint32_t na, nb;
} pairs[] = {
	/* every codec, alone */
	{"u", "u", "", 64, true, CP_CODEC_G711U, 4, 4},
	{"a", "a", "", 64, true, CP_CODEC_G711A, 2, 2},
	{"7", "7", "", 64, true, CP_CODEC_G722, 6, 6},
	{"9", "9", "", 64, true, CP_CODEC_G729, 11, 11},
	{"i", "i", "", 64, true, CP_CODEC_ILBC, 86, 86},
	{"w", "w", "", 256, true, CP_CODEC_WIDEBAND, 25, 25},
	/* none in common */
	{"u", "a", "", 64, false, CP_CODEC_NONE, 0, 0},
	{"7", "9", "", 256, false, CP_CODEC_NONE, 0, 0},
	{"", "ua", "", 64, false, CP_CODEC_NONE, 0, 0},
	/* the variants of G.729 understand each other; each is told its own number, without annex B if it has one */
	{"9", "A", "", 64, false, CP_CODEC_G729, 11, 12},
	{"9", "B", "", 64, false, CP_CODEC_G729, 11, 15},
	{"C", "A", "", 64, false, CP_CODEC_G729, 16, 12},
	{"BC", "9ABC", "", 64, false, CP_CODEC_G729, 16, 12},
	{"9C", "9C", "", 64, false, CP_CODEC_G729, 11, 11},
	/* the order is the rule's, not the phones' */
	{"ua79", "97au", "", 64, false, CP_CODEC_G722, 6, 6},
	{"ua79", "97au", "g729 g722", 64, false, CP_CODEC_G729, 11, 11},
	{"ua79", "97au", "g711alaw", 64, false, CP_CODEC_G711A, 2, 2},
	{"u7", "a9", "g711ulaw g722", 64, false, CP_CODEC_NONE, 0, 0},
	/* the bit rate */
	{"wu7i9", "wu7i9", "", 256, false, CP_CODEC_WIDEBAND, 25, 25},
	{"wu7i9", "wu7i9", "", 64, false, CP_CODEC_G722, 6, 6},
	{"wu7i9", "wu7i9", "", 63, false, CP_CODEC_ILBC, 86, 86},
	{"wu7i9", "wu7i9", "", 15, false, CP_CODEC_ILBC, 86, 86},
	{"wu7i9", "wu7i9", "", 14, false, CP_CODEC_G729, 11, 11},
	{"wu7i9", "wu7i9", "", 7, false, CP_CODEC_NONE, 0, 0},
	/* 001:P1-130, 004a:CALL-11: the 7940 and 7960 have no wideband in an encrypted call, whichever side they are on */
	{"wu!", "wu", "", 256, true, CP_CODEC_G711U, 4, 4},
	{"wu", "wu!", "", 256, true, CP_CODEC_G711U, 4, 4},
	{"wu!", "wu!", "", 256, true, CP_CODEC_G711U, 4, 4},
	{"wu!", "wu", "", 256, false, CP_CODEC_WIDEBAND, 25, 25},
	{"wu", "wu!", "", 256, false, CP_CODEC_WIDEBAND, 25, 25},
	{"wu", "wu", "", 256, true, CP_CODEC_WIDEBAND, 25, 25}, /* others have */
	{"w!", "w", "", 256, true, CP_CODEC_NONE, 0, 0},
	/* iLBC has no payload type of its own: it must be told */
	{"iu<", "iu", "ilbc g711ulaw", 64, false, CP_CODEC_G711U, 4, 4},
	{"iu", "iu", "ilbc g711ulaw", 64, false, CP_CODEC_ILBC, 86, 86},
	/* gateways do what SDP has a name for */
	{"wu7", "gw", "", 256, false, CP_CODEC_G722, 6, 6},
	{"w", "gw", "", 256, false, CP_CODEC_NONE, 0, 0},
	{"B", "gw", "", 64, false, CP_CODEC_G729, 15, 12},
	{"i", "gw", "", 64, true, CP_CODEC_ILBC, 86, 86},
	{"gw", "gw", "", 64, false, CP_CODEC_G722, 6, 6},
};

static struct cp_codec_rule rule_of(const char *list, unsigned kbps)
{
	struct cp_codec_rule r = {.max_kbps = kbps};
	char copy[100], *save = NULL;
	unsigned n = 0;

	snprintf(copy, sizeof(copy), "%s", list);
	for (char *w = strtok_r(copy, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
		r.list[n] = (uint8_t)cp_codec_parse(w);
		CU_ASSERT_NOT_EQUAL_FATAL(r.list[n++], CP_CODEC_NONE);
	}
	if (n == 0)
		memcpy(r.list, cp_codec_order, sizeof(r.list));
	return r;
}

static void test_pairs(void)
{
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct cp_sccp_cap ca[CP_SCCP_CAPS_MAX], cb[CP_SCCP_CAPS_MAX];
		struct cp_codec_side a = side_of(pairs[i].a, ca), b = side_of(pairs[i].b, cb);
		struct cp_codec_rule rule = rule_of(pairs[i].list, pairs[i].kbps);
		struct cp_codec_choice c = {0}, back = {0};
		int rc = cp_codec_choose(&a, &b, &rule, pairs[i].secure, 20, &c);

		if (rc != (pairs[i].codec == CP_CODEC_NONE ? -ENOENT : 0) || c.codec != pairs[i].codec || c.number[0] != pairs[i].na || c.number[1] != pairs[i].nb) {
			printf("row %zu: %s with %s: rc %d codec %d numbers %u %u\n", i, pairs[i].a, pairs[i].b, rc, c.codec, c.number[0], c.number[1]);
			CU_FAIL("pair");
		}
		/* the same from the other end */
		CU_ASSERT_EQUAL(cp_codec_choose(&b, &a, &rule, pairs[i].secure, 20, &back), rc);
		CU_ASSERT(back.codec == c.codec && back.number[0] == c.number[1] && back.number[1] == c.number[0] && back.packet_ms == c.packet_ms);
	}
}

static void test_packets(void)
{
	static const struct {
		uint16_t codec;
		uint16_t limit_a, limit_b;
		unsigned want, ms;
	} rows[] = {
		{CP_SCCP_G711U, 40, 40, 20, 20}, {CP_SCCP_G711U, 40, 40, 60, 40}, {CP_SCCP_G711U, 40, 20, 60, 20}, {CP_SCCP_G711U, 0, 0, 60, 60},
		{CP_SCCP_G711U, 15, 40, 20, 10}, {CP_SCCP_G711U, 1, 40, 20, 10},  {CP_SCCP_G729, 60, 60, 30, 30}, {CP_SCCP_G729, 1000, 60, 60, 60},
		{CP_SCCP_ILBC, 60, 60, 20, 20},	 {CP_SCCP_ILBC, 60, 60, 30, 30},  {CP_SCCP_ILBC, 60, 60, 60, 60}, {CP_SCCP_ILBC, 60, 60, 10, 20},
		{CP_SCCP_ILBC, 60, 20, 30, 20},	 {CP_SCCP_ILBC, 60, 60, 50, 40},
	};
	struct cp_codec_rule rule = rule_of("", 512);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cp_sccp_cap ca = {rows[i].codec, rows[i].limit_a}, cb = {rows[i].codec, rows[i].limit_b};
		struct cp_codec_side a = {.caps = &ca, .cap_cnt = 1, .version = 17}, b = {.caps = &cb, .cap_cnt = 1, .version = 17};
		struct cp_codec_choice c;

		CU_ASSERT_EQUAL_FATAL(cp_codec_choose(&a, &b, &rule, false, rows[i].want, &c), 0);
		if (c.packet_ms != rows[i].ms)
			printf("row %zu: %u ms\n", i, c.packet_ms);
		CU_ASSERT_EQUAL(c.packet_ms, rows[i].ms);
	}
}

static void test_names(void)
{
	for (unsigned c = 0; c <= CP_CODEC_MAX; c++) {
		const struct cp_codec_info *i = cp_codec_info((enum cp_codec)c);

		CU_ASSERT_EQUAL(i != NULL, c > CP_CODEC_NONE && c < CP_CODEC_MAX);
		if (i == NULL)
			continue;
		CU_ASSERT_EQUAL(cp_codec_parse(i->name), c);
		CU_ASSERT(i->clock_hz == (c == CP_CODEC_WIDEBAND ? 16000u : 8000u)); /* RFC 3551 s4.5.2: G.722's too */
		CU_ASSERT_EQUAL(cp_codec_of_audio(i->audio), i->audio == DP_AUDIO_NONE ? CP_CODEC_NONE : c);
		CU_ASSERT_NOT_EQUAL(memchr(cp_codec_order, (int)c, sizeof(cp_codec_order)), NULL);
	}
	CU_ASSERT(cp_codec_parse("G729") == CP_CODEC_G729 && cp_codec_parse("g7") == CP_CODEC_NONE && cp_codec_parse("") == CP_CODEC_NONE);
	CU_ASSERT(cp_codec_of_sccp(9) == CP_CODEC_NONE && cp_codec_of_sccp(257) == CP_CODEC_NONE && cp_codec_of_sccp(0) == CP_CODEC_NONE);
	CU_ASSERT_STRING_EQUAL(cp_codec_sccp_name(16), "G.729 AB");
	CU_ASSERT_STRING_EQUAL(cp_codec_sccp_name(0), "none");
	CU_ASSERT_STRING_EQUAL(cp_codec_why_text(CP_CODEC_WHY_MAX), "unknown");
}

/* --- the region table --- */

static struct cp_region_item items[8][8];
static unsigned items_used;

static unsigned take(const char *list, struct cp_region_item **ret)
{
	char copy[200], *save = NULL;
	unsigned n = 0;

	*ret = items[items_used++ % 8];
	snprintf(copy, sizeof(copy), "%s", list);
	for (char *w = strtok_r(copy, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
		snprintf((*ret)[n++].name, sizeof((*ret)->name), "%s", w);
	return n;
}

static struct cp_region region(const char *a, const char *b, unsigned kbps, const char *codecs, unsigned media, const char *suites)
{
	struct cp_region r = {.max_kbps = kbps, .media = (uint8_t)media};
	char why[200];

	CU_ASSERT_EQUAL_FATAL(cp_region_pair(&r, a, b, why, sizeof(why)), 0);
	r.codec_cnt = take(codecs, &r.codecs);
	r.suite_cnt = take(suites, &r.suites);
	return r;
}

static void test_region_pair(void)
{
	static const struct {
		const char *a, *b, *ra, *rb; /* ra NULL: no pair */
	} rows[] = {
		{"main", "lab", "lab", "main"}, {"lab", "main", "lab", "main"}, {"lab", "lab", "lab", "lab"}, {"lab", "=", "lab", "lab"},
		{"*", "lab", "lab", "*"},	{"lab", "*", "lab", "*"},	{"*", "*", "*", "*"},	      {"*", "=", "*", "="},
		{"=", "lab", NULL, NULL},	{"la b", "x", NULL, NULL},	{"", "x", NULL, NULL},	      {"x", "", NULL, NULL},
		{"=", "=", NULL, NULL},		{"x", "a/b", NULL, NULL},
		{"x", "123456789012345678901234567890123456789012345678901234567890", NULL, NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cp_region r = {0};
		char why[200] = "";
		int rc = cp_region_pair(&r, rows[i].a, rows[i].b, why, sizeof(why));

		CU_ASSERT_EQUAL_FATAL(rc, rows[i].ra == NULL ? -EINVAL : 0);
		if (rc < 0) {
			CU_ASSERT_NOT_EQUAL(why[0], '\0');
			continue;
		}
		CU_ASSERT_STRING_EQUAL(r.a, rows[i].ra);
		CU_ASSERT_STRING_EQUAL(r.b, rows[i].rb);
	}
}

static void test_region_record(void)
{
	struct cp_region r = region("main", "lab", 64, "g722 g729", CP_REGION_DIRECT, "AEAD_AES_128_GCM"), back;
	struct cp_buf out;
	char why[200];

	CU_ASSERT_EQUAL_FATAL(cp_region_build(&r, &out), 0);
	CU_ASSERT_EQUAL_FATAL(cp_region_parse(out.data, out.len, &back), 0);
	CU_ASSERT(strcmp(back.a, "lab") == 0 && strcmp(back.b, "main") == 0 && back.max_kbps == 64 && back.media == CP_REGION_DIRECT);
	CU_ASSERT(back.codec_cnt == 2 && strcmp(back.codecs[1].name, "g729") == 0 && back.suite_cnt == 1);
	cp_region_free(&back);
	/* cut at every length: refused, or a rule that says less, never read past the end */
	for (size_t n = 0; n < out.len; n++) {
		uint8_t *cut = malloc(n + (n == 0));

		memcpy(cut, out.data, n);
		if (cp_region_parse(cut, n, &back) == 0)
			cp_region_free(&back);
		free(cut);
	}
	free(out.data);
	r.max_kbps = CP_REGION_KBPS + 1;
	CU_ASSERT_EQUAL(cp_region_check(&r, why, sizeof(why)), -EINVAL);
	r = region("lab", "main", 0, "g722 g722", 0, "");
	CU_ASSERT_EQUAL(cp_region_check(&r, why, sizeof(why)), -EINVAL);
	r = region("lab", "main", 0, "", 3, "");
	CU_ASSERT_EQUAL(cp_region_check(&r, why, sizeof(why)), -EINVAL);
	r = region("lab", "main", 0, "", 0, "");
	strcpy(r.a, "zoo"); /* out of order: it would never be found */
	CU_ASSERT_EQUAL(cp_region_check(&r, why, sizeof(why)), -EINVAL);
}

static int stored, stored_rc;

static void on_stored(void *ctx, int rc)
{
	(void)ctx;
	stored_rc = rc;
	stored = 1;
}

static void put_rule(struct event_base *base, struct cp_store *store, const struct cp_region *r, bool del)
{
	struct cp_change *c = cp_change_create(store);
	char why[200] = "";
	int rc = del ? cp_region_del(c, r, why, sizeof(why)) : cp_region_put(c, r, true, why, sizeof(why));

	CU_ASSERT_EQUAL_FATAL(rc, 0);
	stored = 0;
	CU_ASSERT_EQUAL_FATAL(cp_change_submit(c, "region.set", "test", NULL, on_stored, NULL), 0);
	CU_ASSERT_TRUE_FATAL(wait_for(base, &stored));
	CU_ASSERT_EQUAL_FATAL(stored_rc, 0);
}

/* What holds for a pair of regions: rules of the store over the configuration. */
static void test_rules(void)
{
	struct event_base *base = event_base_new();
	struct cp_store_opts o = {.base = base, .no_sync = true};
	struct cfg_region direct[2] = {{"lab", CFG_MEDIA_DIRECT}, {"main", CFG_MEDIA_DIRECT}};
	struct cfg_media cfg = {.mode = CFG_MEDIA_RELAY, .regions = direct, .regions_count = 2};
	struct cp_media_rule m;
	struct cp_rule_from from;
	struct cp_region r[8], parsed;
	struct cp_store *store;
	char err[256];

	tmp_make();
	o.path = tmp_store;
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &store, err, sizeof(err)), 0);
	/* no rule: all codecs up to 64 kbit/s, media as the configuration says */
	cp_rule_find(store, &cfg, "main", "lab", &m, &from);
	CU_ASSERT(m.codec.max_kbps == 64 && m.codec.list[0] == CP_CODEC_WIDEBAND && m.direct && !m.suites_said);
	CU_ASSERT_STRING_EQUAL(from.media, "configuration");
	cp_rule_find(store, &cfg, "main", "other", &m, NULL);
	CU_ASSERT_FALSE(m.direct);
	/* the widest: between any two, and within any */
	r[0] = region("*", "*", 8, "", 0, "");
	r[1] = region("*", "=", 256, "", CP_REGION_DIRECT, "");
	put_rule(base, store, &r[0], false);
	put_rule(base, store, &r[1], false);
	cp_rule_find(store, &cfg, "main", "lab", &m, &from);
	CU_ASSERT(m.codec.max_kbps == 8 && m.direct);
	CU_ASSERT_STRING_EQUAL(from.kbps, "* *");
	cp_rule_find(store, &cfg, "x", "x", &m, &from);
	CU_ASSERT(m.codec.max_kbps == 256 && m.direct);
	CU_ASSERT_STRING_EQUAL(from.media, "* =");
	/* one region with any other: narrower; and of both sides both hold */
	r[2] = region("main", "*", 64, "g722 g711ulaw g729", CP_REGION_DIRECT, "AES_CM_128_HMAC_SHA1_80 AES_CM_128_HMAC_SHA1_32");
	r[3] = region("lab", "*", 80, "g729 g711ulaw", CP_REGION_RELAY, "AES_CM_128_HMAC_SHA1_32");
	put_rule(base, store, &r[2], false);
	put_rule(base, store, &r[3], false);
	cp_rule_find(store, &cfg, "main", "lab", &m, &from);
	CU_ASSERT(m.codec.max_kbps == 64 && !m.direct && m.suites_said);
	CU_ASSERT(m.codec.list[0] == CP_CODEC_G729 && m.codec.list[1] == CP_CODEC_G711U && m.codec.list[2] == CP_CODEC_NONE);
	CU_ASSERT(m.suites[0] == DP_AES_CM_128_HMAC_SHA1_32 && m.suites[1] == DP_SRTP_NONE);
	cp_rule_find(store, &cfg, "main", "x", &m, &from);
	CU_ASSERT(m.codec.list[0] == CP_CODEC_G722 && m.direct && m.suites[0] == DP_AES_CM_128_HMAC_SHA1_80);
	CU_ASSERT_STRING_EQUAL(from.codecs, "main *");
	/* the pair itself: what it says goes before, what it does not say comes from the wider ones */
	r[4] = region("main", "lab", 0, "ilbc", 0, "");
	put_rule(base, store, &r[4], false);
	cp_rule_find(store, &cfg, "lab", "main", &m, &from);
	CU_ASSERT(m.codec.list[0] == CP_CODEC_ILBC && m.codec.list[1] == CP_CODEC_NONE && m.codec.max_kbps == 64 && !m.direct);
	CU_ASSERT_STRING_EQUAL(from.codecs, "lab main");
	/* within main nothing of that counts */
	cp_rule_find(store, &cfg, "main", "main", &m, NULL);
	CU_ASSERT(m.codec.max_kbps == 256 && m.codec.list[0] == CP_CODEC_WIDEBAND && !m.suites_said);
	/* names that a later release knows are passed over, and a list of them alone allows nothing */
	r[5] = region("main", "lab", 0, "opus g729", 0, "NULL_HMAC_SHA1_80");
	put_rule(base, store, &r[5], false);
	cp_rule_find(store, &cfg, "main", "lab", &m, NULL);
	CU_ASSERT(m.codec.list[0] == CP_CODEC_G729 && m.codec.list[1] == CP_CODEC_NONE && m.suites_said && m.suites[0] == DP_SRTP_NONE);
	put_rule(base, store, &r[5], true);
	CU_ASSERT_EQUAL(cp_store_region(store, "lab", "main", &parsed), -ENOENT);
	cp_store_close(store);
	event_base_free(base);
	tmp_remove();
}

static CU_TestInfo tests[] = {
	{"every pair, both ways", test_pairs},
	{"packet times", test_packets},
	{"names and numbers", test_names},
	{"pairs of regions", test_region_pair},
	{"a region's record", test_region_record},
	{"which rule holds", test_rules},
	CU_TEST_INFO_NULL,
};

static int setup(void)
{
	return 0;
}

#include "suite.h"
SUITE_MAIN("codec", tests, setup, NULL)
