/* SPDX-License-Identifier: BSD-3-Clause */
/* controlplane/dial: patterns, the tree of them, transformations, and what the plan makes of digits. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "api/dp_msg.h"
#include "dial/plan.h"
#include "dial/trie.h"
#include "dial_naive.h"
#include "store/change.h"
#include "store_tmp.h"

static uint32_t seed = 1;

static unsigned rnd(unsigned below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

/* --- patterns --- */

static void test_spelling(void)
{
	static const struct {
		const char *text, *normal; /* NULL: refused */
	} rows[] = {
		{"1001", "1001"},
		{"9.1XXXXXXX", "9.1XXXXXXX"},
		{"9.xx", "9.XX"},
		{"1[4321]", "1[1-4]"},
		{"1[136]", "1[136]"},
		{"1[12]", "1[12]"},
		{"1[^0-8]", "19"},
		{"[^5]1", "[0-46-9]1"},
		{"[0-9]1", "X1"},
		{"[5]1", "51"},
		{"[*#1]", "[1*#]"},
		{"0.!", "0.!"},
		{"0.!#", "0.!#"},
		{"\\+49!", "+49!"},
		{"+49 89-123", "+4989123"},
		{"*21*X", "*21*X"},
		{"12.", "12."},
		{"", NULL},
		{".", NULL},
		{"1..2", NULL},
		{"!1!", NULL},
		{"9.@", NULL},
		{"1?", NULL},
		{"1+", NULL},
		{"A1", NULL},
		{"1[23", NULL},
		{"1[]", NULL},
		{"[^0-9]", NULL},
		{"[4-1]", NULL},
		{"[1-*]", NULL},
		{"[-1]", NULL},
		{"[1-", NULL},
		{"1]", NULL},
		{"\\", NULL},
		{"\\1", NULL},
		{"1\n", NULL},
		{"XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX", "XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"},
		{"XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX", NULL},
		{"[13][13][13][13][13][13][13][13][13][13][13][13][13][13][13][13]", NULL}, /* 64 characters */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char normal[CP_PATTERN_MAX] = "", why[160] = "", again[CP_PATTERN_MAX];
		int rc = cp_pat_normal(rows[i].text, normal, why, sizeof(why));

		CU_ASSERT_EQUAL(rc, rows[i].normal != NULL ? 0 : -EINVAL);
		if (rows[i].normal == NULL) {
			CU_ASSERT_NOT_EQUAL(why[0], '\0');
			continue;
		}
		CU_ASSERT_STRING_EQUAL(normal, rows[i].normal);
		CU_ASSERT_EQUAL(cp_pat_normal(normal, again, why, sizeof(why)), 0);
		CU_ASSERT_STRING_EQUAL(again, normal);
	}
}

/* Every length of a pattern that has everything in it: nothing beyond is read (ASan sees to it), and nothing odd comes out. */
static void test_truncation(void)
{
	static const char whole[] = "\\+9.1[2-46*][^07]X!#";

	for (size_t n = 0; n <= strlen(whole); n++) {
		char *piece = malloc(n > 0 ? n : 1), why[160];
		struct cp_pat pat = {.cnt = 99};
		int rc;

		memcpy(piece, whole, n);
		rc = cp_pat_parse(piece, n, &pat, why, sizeof(why));
		CU_ASSERT_TRUE(rc == 0 ? pat.cnt <= CP_PATTERN_ELEMS && pat.cnt > 0 : rc == -EINVAL && pat.cnt == 99);
		CU_ASSERT_TRUE((n == strlen(whole)) <= (rc == 0));
		free(piece);
	}
}

/* How closely, or 0. */
static long weight_of(const char *text, const char *digits)
{
	struct cp_pat pat;
	cp_weight w = 0;

	CU_ASSERT_EQUAL_FATAL(cp_pat_parse(text, strlen(text), &pat, NULL, 0), 0);
	return cp_pat_match(&pat, digits, &w) ? (long)w : 0;
}

static void test_fits(void)
{
	static const struct {
		const char *text, *digits;
		long weight; /* 0: does not fit */
		unsigned predot;
	} rows[] = {
		{"1001", "1001", 1, 0},		 {"1001", "1002", 0, 0},       {"1001", "100", 0, 0},	 {"1001", "10010", 0, 0},
		{"1XXX", "1311", 1000, 0},	 {"1[2-3]XX", "1311", 200, 0}, {"13!", "1311", 100, 0}, {"9.1X", "915", 10, 1},
		{"9.!", "9123", 1000, 1},	 {"9.!", "9", 0, 0},	       {"!.12", "78912", 1000, 3}, {"9!.#", "9123#", 1000, 4},
		{"9.!#", "9123", 0, 0},		 {"[^5]1", "51", 0, 0},	       {"[^5]1", "41", 9, 0},	 {"+49!", "+498", 10, 0},
		{"XX", "*1", 0, 0},		 {"[*#]1", "#1", 2, 0},	       {"!", "1*2", 0, 0},	 {"XX", "1a", 0, 0},
		{"12.", "12", 1, 2},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cp_pat pat;

		CU_ASSERT_EQUAL(weight_of(rows[i].text, rows[i].digits), rows[i].weight);
		cp_pat_parse(rows[i].text, strlen(rows[i].text), &pat, NULL, 0);
		CU_ASSERT_EQUAL(cp_pat_predot(&pat, rows[i].digits), rows[i].predot);
	}
}

static void test_transformations(void)
{
	static const struct {
		const char *number;
		unsigned predot;
		enum cp_discard discard;
		const char *mask, *prefix, *result; /* NULL: no number */
	} rows[] = {
		{"9123", 1, CP_DISCARD_PREDOT, "", "", "123"},
		{"9123", 1, CP_DISCARD_PREDOT, "", "0049", "0049123"},
		{"9123#", 1, CP_DISCARD_PREDOT_POUND, "", "", "123"},
		{"9123#", 1, CP_DISCARD_POUND, "", "", "9123"},
		{"9123", 1, CP_DISCARD_POUND, "", "", "9123"},
		{"9123", 0, CP_DISCARD_ALL, "", "55", "55"},
		{"9123", 0, CP_DISCARD_ALL, "", "", NULL},
		{"1001", 0, CP_DISCARD_NONE, "89555XXXX", "", "895551001"},
		{"1001", 0, CP_DISCARD_NONE, "XX", "", "01"},
		{"12", 0, CP_DISCARD_NONE, "7XXXX", "", "712"},
		{"12", 0, CP_DISCARD_NONE, "7XXXX", "+", "+712"},
		{"+12", 0, CP_DISCARD_NONE, "", "0", NULL}, /* '+' is first or nowhere */
		{"1001", 0, CP_DISCARD_NONE, "12345678901234567890123456789012", "1", NULL},
		{"1", 1, CP_DISCARD_PREDOT, "", "", NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[CP_NUMBER_MAX] = "before";
		int rc = cp_xform(rows[i].number, rows[i].predot, rows[i].discard, rows[i].mask, rows[i].prefix, out, sizeof(out));

		CU_ASSERT_EQUAL(rc, rows[i].result != NULL ? 0 : -EINVAL);
		CU_ASSERT_STRING_EQUAL(out, rows[i].result != NULL ? rows[i].result : "before");
	}
	CU_ASSERT_TRUE(cp_mask_ok("") && cp_mask_ok("+49XX") && cp_mask_ok("*X#"));
	CU_ASSERT_FALSE(cp_mask_ok("4+") || cp_mask_ok("4!") || cp_mask_ok("XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"));
}

/* --- the tree against a matcher that reads the texts --- */

static void random_pattern(char *out)
{
	static const char *const pieces[] = {"1", "2", "3", "X", "[12]", "[^3]", "[1-3]", "*", "#", "[2*]", "12", "X", "1"};
	unsigned n = 1 + rnd(5);
	bool many = false, dot = false;

	out[0] = '\0';
	if (rnd(20) == 0)
		strcat(out, "+");
	for (unsigned i = 0; i < n; i++) {
		if (!many && rnd(8) == 0) {
			strcat(out, "!");
			many = true;
		} else {
			strcat(out, pieces[rnd(sizeof(pieces) / sizeof(pieces[0]))]);
		}
		if (!dot && rnd(6) == 0) {
			strcat(out, ".");
			dot = true;
		}
	}
}

static void random_digits(char *out)
{
	unsigned n = 1 + rnd(7);

	for (unsigned i = 0; i < n; i++)
		out[i] = "1112223334*#+"[rnd(i == 0 ? 13 : 12)];
	out[n] = '\0';
}

#define SET 40

struct heard {
	cp_weight weight[SET]; /* 0: not told of */
	unsigned times;
};

static char texts[SET][64];

static void on_hit(void *ctx, const struct cp_trie_hit *hit)
{
	struct heard *h = ctx;
	size_t i = (size_t)((const char *)hit->owner - texts[0]) / sizeof(texts[0]);

	CU_ASSERT_FATAL(i < SET);
	CU_ASSERT_EQUAL(h->weight[i], 0);
	CU_ASSERT_EQUAL(hit->many, strchr(texts[i], '!') != NULL);
	h->weight[i] = hit->weight;
	h->times++;
}

static void compare_once(const struct cp_trie *trie, unsigned *hits)
{
	struct heard h = {.times = 0};
	char digits[CP_NUMBER_MAX];
	bool longer = false, said;

	random_digits(digits);
	said = cp_trie_match(trie, digits, on_hit, &h);
	*hits += h.times;
	for (unsigned i = 0; i < SET; i++) {
		bool fits = texts[i][0] != '\0' && nv_fits(texts[i], digits, false);

		if (texts[i][0] != '\0')
			longer |= nv_fits(texts[i], digits, true);
		if (h.weight[i] != (fits ? nv_weight(texts[i], digits) : 0)) {
			printf("\n%s with %s: %s", digits, texts[i], fits ? "fits" : "does not fit");
			CU_FAIL("the tree and the text differ");
		}
	}
	if (longer != said) {
		printf("\n%s: longer %d, said %d", digits, longer, said);
		CU_FAIL("the tree knows another length");
	}
}

static void drop_text(struct cp_trie *trie, unsigned i)
{
	struct cp_pat pat;

	if (texts[i][0] == '\0')
		return;
	cp_pat_parse(texts[i], strlen(texts[i]), &pat, NULL, 0);
	CU_ASSERT_PTR_EQUAL(cp_trie_get(trie, &pat), texts[i]);
	CU_ASSERT_EQUAL(cp_trie_set(trie, &pat, NULL), 0);
	CU_ASSERT_PTR_NULL(cp_trie_get(trie, &pat));
	texts[i][0] = '\0';
}

/* 100,000 look-ups in plans that change all the time. */
static void test_tree_against_texts(void)
{
	struct cp_trie *trie = cp_trie_create();
	unsigned hits = 0, there = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(trie);
	memset(texts, 0, sizeof(texts));
	for (unsigned step = 0; step < 100000; step++) {
		if (step % 10 == 0) {
			unsigned i = rnd(SET);
			struct cp_pat pat;

			drop_text(trie, i);
			random_pattern(texts[i]);
			CU_ASSERT_EQUAL_FATAL(cp_pat_parse(texts[i], strlen(texts[i]), &pat, NULL, 0), 0);
			if (cp_trie_get(trie, &pat) != NULL)
				texts[i][0] = '\0'; /* another one of them is the same */
			else
				CU_ASSERT_EQUAL(cp_trie_set(trie, &pat, texts[i]), 0);
		}
		compare_once(trie, &hits);
	}
	for (unsigned i = 0; i < SET; i++)
		there += texts[i][0] != '\0';
	CU_ASSERT_EQUAL(cp_trie_count(trie), there);
	CU_ASSERT_TRUE(hits > 50000);
	for (unsigned i = 0; i < SET; i++)
		drop_text(trie, i);
	CU_ASSERT_EQUAL(cp_trie_count(trie), 0);
	CU_ASSERT_FALSE(cp_trie_match(trie, "1", on_hit, NULL));
	cp_trie_destroy(trie);
}

/* --- the plan --- */

static struct event_base *base;
static struct cp_store *store;
static struct cp_plan *plan;

static int commit_rc;
static int committed;

static void on_commit(void *ctx, int rc)
{
	(void)ctx;
	commit_rc = rc;
	committed = 1;
}

static void write_it(struct cp_batch *b)
{
	committed = 0;
	CU_ASSERT_EQUAL_FATAL(cp_store_submit(store, b, on_commit, NULL), 0);
	CU_ASSERT_TRUE(wait_for(base, &committed));
	CU_ASSERT_EQUAL_FATAL(commit_rc, 0);
}

static void put(const char *key, struct cp_buf *val)
{
	struct cp_batch *b = cp_batch_create();

	CU_ASSERT_EQUAL(cp_batch_put(b, CP_CF_DIAL, key, strlen(key), val->data, val->len), 0);
	write_it(b);
	free(val->data);
}

static void del(const char *key)
{
	struct cp_batch *b = cp_batch_create();

	CU_ASSERT_EQUAL(cp_batch_del(b, CP_CF_DIAL, key, strlen(key)), 0);
	write_it(b);
}

static void put_partition(const char *name)
{
	struct cp_partition p = {0};
	char key[CP_DIAL_KEY_MAX];
	struct cp_buf val;

	strcpy(p.name, name);
	CU_ASSERT_EQUAL_FATAL(cp_partition_build(&p, &val), 0);
	cp_dial_key(key, "partition/", name);
	put(key, &val);
}

static void put_css(const char *name, const char *first, const char *second)
{
	struct cp_css_item items[2] = {{{0}}};
	struct cp_css css = {.partitions = items, .partition_cnt = second != NULL ? 2 : 1};
	char key[CP_DIAL_KEY_MAX];
	struct cp_buf val;

	strcpy(css.name, name);
	strcpy(items[0].partition, first);
	if (second != NULL)
		strcpy(items[1].partition, second);
	CU_ASSERT_EQUAL_FATAL(cp_css_build(&css, &val), 0);
	cp_dial_key(key, "css/", name);
	put(key, &val);
}

static void put_pattern(struct cp_pattern p)
{
	struct cp_pattern_target to = {.gateway = "gw1"};
	char key[CP_DIAL_KEY_MAX], why[200];
	struct cp_buf val;

	if (p.kind == CP_PATTERN_ROUTE && p.target_cnt == 0) {
		p.targets = &to;
		p.target_cnt = 1;
	}
	CU_ASSERT_EQUAL_FATAL(cp_pattern_check(&p, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL_FATAL(cp_pattern_build(&p, &val), 0);
	cp_pattern_key(key, p.partition, p.pattern);
	put(key, &val);
}

#define ROUTE(...) put_pattern((struct cp_pattern){.kind = CP_PATTERN_ROUTE, __VA_ARGS__})
#define BLOCK(...) put_pattern((struct cp_pattern){.kind = CP_PATTERN_BLOCK, __VA_ARGS__})
#define TRANSLATE(...) put_pattern((struct cp_pattern){.kind = CP_PATTERN_TRANSLATE, __VA_ARGS__})

static struct cp_dialled to;

/* What the digits lead to, as one text: "line 1001", "line 1001@lab", "gateway 123", "block", "loop", "none"; '+' behind: wait. */
static const char *dial(const char *css, const char *digits)
{
	struct cp_dial_from from = {.css = css, .number = "1001"};
	static char text[160];

	cp_dial(plan, &from, digits, &to);
	snprintf(text, sizeof(text), "%s%s%s%s%s%s",
		 to.kind == CP_DIAL_LINE      ? "line "
		 : to.kind == CP_DIAL_GATEWAY ? "gateway "
		 : to.kind == CP_DIAL_BLOCK   ? "block"
		 : to.kind == CP_DIAL_LOOP    ? "loop"
					      : "none",
		 to.kind == CP_DIAL_LINE || to.kind == CP_DIAL_GATEWAY ? to.number : "", to.partition[0] != '\0' ? "@" : "", to.partition,
		 to.pattern != NULL && to.kind == CP_DIAL_BLOCK ? " " : "", to.pattern != NULL && to.kind == CP_DIAL_BLOCK ? to.pattern->reason : "");
	if (to.longer)
		strcat(text, " ...");
	return text;
}

static void begin(void)
{
	struct cp_store_opts o = {.path = tmp_store, .no_sync = true};
	struct cp_dir_ctx x = {.who = "test", .fn = on_commit};
	struct cp_line lines[2] = {{.number = "1001"}, {.number = "1002", .partition = "lab"}};
	struct cp_device dev = {.name = "SEP000000000001", .mode = CP_DEVICE_ENCRYPTED, .region = "default", .line_cnt = 2, .lines = lines};
	struct cp_gw_number prefix = {.number = "0", .prefix = true};
	struct cp_gateway gw = {.name = "gw1", .address = {.family = 4, .plen = 32, .port = 2427, .ip = {192, 0, 2, 1}}, .region = "default",
				.number_cnt = 1, .numbers = &prefix};
	char err[256];

	tmp_make();
	base = o.base = event_base_new();
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &store, err, sizeof(err)), 0);
	put_partition("lab");
	put_partition("out");
	put_css("inside", "lab", NULL);
	put_css("all", "lab", "out");
	plan = cp_plan_create(store); /* some of it was there before, some comes */
	CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
	committed = 0;
	CU_ASSERT_EQUAL_FATAL(cp_dir_device_put(store, &dev, false, &x), 0);
	CU_ASSERT_TRUE(wait_for(base, &committed));
	committed = 0;
	CU_ASSERT_EQUAL_FATAL(cp_dir_gateway_put(store, &gw, false, &x), 0);
	CU_ASSERT_TRUE(wait_for(base, &committed));
	CU_ASSERT_EQUAL(commit_rc, 0);
}

static void end(void)
{
	cp_store_close(store);
	cp_plan_destroy(plan);
	event_base_free(base);
	tmp_remove();
}

static void test_partitions(void)
{
	begin();
	CU_ASSERT_STRING_EQUAL(dial("", "1001"), "line 1001");
	CU_ASSERT_STRING_EQUAL(dial("", "1002"), "none");
	CU_ASSERT_STRING_EQUAL(dial("out", "1002"), "none"); /* no such list */
	CU_ASSERT_STRING_EQUAL(dial("inside", "1002"), "line 1002@lab");
	CU_ASSERT_STRING_EQUAL(dial("inside", "1001"), "line 1001"); /* all see it */
	CU_ASSERT_STRING_EQUAL(dial("", "10"), "none ...");
	CU_ASSERT_STRING_EQUAL(dial("", "03"), "gateway 03 ..."); /* the gateway's prefix */
	ROUTE(.pattern = "9.!", .partition = "out", .discard = CP_DISCARD_PREDOT, .calling_mask = "89555XXXX");
	CU_ASSERT_STRING_EQUAL(dial("inside", "9123"), "none");
	CU_ASSERT_STRING_EQUAL(dial("all", "9123"), "gateway 123 ...");
	CU_ASSERT_STRING_EQUAL(to.calling, "895551001");
	CU_ASSERT_STRING_EQUAL(dial("all", "9"), "none ...");
	/* of those that fit as closely the first partition's */
	BLOCK(.pattern = "70", .partition = "out", .reason = "out");
	BLOCK(.pattern = "70", .partition = "lab", .reason = "lab");
	BLOCK(.pattern = "70", .reason = "open");
	CU_ASSERT_STRING_EQUAL(dial("all", "70"), "block lab");
	CU_ASSERT_STRING_EQUAL(dial("", "70"), "block open");
	put_css("all", "out", "lab");
	CU_ASSERT_STRING_EQUAL(dial("all", "70"), "block out");
	del("pattern/out/70");
	CU_ASSERT_STRING_EQUAL(dial("all", "70"), "block lab");
	/* the closer one, though its partition comes later */
	BLOCK(.pattern = "7X", .partition = "out", .reason = "wide");
	CU_ASSERT_STRING_EQUAL(dial("all", "70"), "block lab");
	CU_ASSERT_STRING_EQUAL(dial("all", "71"), "block wide");
	del("css/all");
	CU_ASSERT_STRING_EQUAL(dial("all", "71"), "none");
	end();
}

static void test_closest(void)
{
	begin();
	ROUTE(.pattern = "1XXX");
	ROUTE(.pattern = "1[23]XX");
	ROUTE(.pattern = "13!");
	dial("", "1311");
	CU_ASSERT_STRING_EQUAL(to.pattern->pattern, "13!");
	CU_ASSERT_TRUE(to.longer);
	dial("", "1211");
	CU_ASSERT_STRING_EQUAL(to.pattern->pattern, "1[23]XX");
	CU_ASSERT_FALSE(to.longer);
	CU_ASSERT_STRING_EQUAL(dial("", "1001"), "line 1001");
	/* as close: without '!' first; then by text */
	ROUTE(.pattern = "4!");
	ROUTE(.pattern = "4XX");
	dial("", "412");
	CU_ASSERT_STRING_EQUAL(to.pattern->pattern, "4XX");
	ROUTE(.pattern = "5[12]X");
	ROUTE(.pattern = "5X[12]");
	dial("", "511");
	CU_ASSERT_STRING_EQUAL(to.pattern->pattern, "5X[12]");
	/* urgent does not wait */
	BLOCK(.pattern = "112", .urgent = true, .reason = "urgent");
	ROUTE(.pattern = "112X");
	CU_ASSERT_STRING_EQUAL(dial("", "112"), "block urgent");
	CU_ASSERT_STRING_EQUAL(dial("", "11"), "none ...");
	/* '#' as the last digit of one, though a gateway's prefix would take it as well */
	ROUTE(.pattern = "0.!#", .discard = CP_DISCARD_PREDOT_POUND);
	CU_ASSERT_STRING_EQUAL(dial("", "0123#"), "gateway 123 ...");
	CU_ASSERT_TRUE(cp_dial(plan, &(struct cp_dial_from){.no_prefix = true}, "0123#", &to) && !to.longer);
	CU_ASSERT_FALSE(cp_dial(plan, &(struct cp_dial_from){.no_prefix = true}, "1001#", &to) || to.longer);
	end();
}

static void test_translations(void)
{
	begin();
	TRANSLATE(.pattern = "81XX", .mask = "10XX");
	CU_ASSERT_STRING_EQUAL(dial("", "8101"), "line 1001");
	TRANSLATE(.pattern = "82.XXXX", .discard = CP_DISCARD_PREDOT, .css = "inside", .calling_prefix = "7");
	CU_ASSERT_STRING_EQUAL(dial("", "821002"), "line 1002@lab");
	CU_ASSERT_STRING_EQUAL(to.calling, "71001");
	CU_ASSERT_STRING_EQUAL(dial("", "829999"), "none"); /* and that is the answer */
	CU_ASSERT_TRUE(cp_dial(plan, &(struct cp_dial_from){.css = ""}, "829999", &to));
	/* a circle, one that grows, one that leads to no number, and a chain that is just not too long */
	TRANSLATE(.pattern = "31", .mask = "32");
	TRANSLATE(.pattern = "32", .mask = "31");
	CU_ASSERT_STRING_EQUAL(dial("", "31"), "loop");
	TRANSLATE(.pattern = "33!", .prefix = "33");
	CU_ASSERT_STRING_EQUAL(dial("", "331"), "loop ...");
	TRANSLATE(.pattern = "34", .discard = CP_DISCARD_ALL);
	CU_ASSERT_STRING_EQUAL(dial("", "34"), "loop");
	for (char c = '1'; c <= '9'; c++) {
		char text[3] = {'6', c, 0}, next[3] = {'6', (char)(c - 1), 0};
		struct cp_pattern p = {.kind = CP_PATTERN_TRANSLATE};

		strcpy(p.pattern, text);
		strcpy(p.mask, c == '1' ? "1001" : next);
		put_pattern(p);
	}
	CU_ASSERT_STRING_EQUAL(dial("", "68"), "line 1001"); /* CP_DIAL_DEPTH of them */
	CU_ASSERT_STRING_EQUAL(dial("", "69"), "loop");
	end();
}

static void test_targets(void)
{
	struct cp_pattern_target three[3] = {{.gateway = "gone"}, {.gateway = "gw1", .endpoint = "aaln/1"}, {.gateway = "gw1"}};
	struct cp_dir_hit hit;

	begin();
	ROUTE(.pattern = "9X", .targets = three, .target_cnt = 3);
	CU_ASSERT_STRING_EQUAL(dial("", "91"), "gateway 91");
	CU_ASSERT_TRUE_FATAL(to.hit.gateway != NULL);
	CU_ASSERT_STRING_EQUAL(to.hit.endpoint, "aaln/1"); /* the first that is there */
	CU_ASSERT_FALSE(cp_dial_target(plan, to.pattern, 0, &hit));
	CU_ASSERT_TRUE(cp_dial_target(plan, to.pattern, 2, &hit) && hit.endpoint[0] == '\0');
	CU_ASSERT_FALSE(cp_dial_target(plan, to.pattern, 3, &hit) || cp_dial_target(plan, NULL, 0, &hit));
	end();
}

struct seen {
	unsigned cnt, chosen;
	char text[4][CP_PATTERN_MAX];
};

static void on_seen(void *ctx, const struct cp_dial_seen *s)
{
	struct seen *seen = ctx;

	CU_ASSERT_FATAL(seen->cnt < 4);
	CU_ASSERT_NOT_EQUAL(s->why[0], '\0');
	if (s->chosen)
		seen->chosen = seen->cnt;
	strcpy(seen->text[seen->cnt++], s->text);
}

static void test_explained(void)
{
	struct cp_dial_from from = {.css = "all"};
	struct seen seen = {0};
	struct cp_dialled plain;

	begin();
	ROUTE(.pattern = "9.!", .partition = "out");
	BLOCK(.pattern = "91X", .partition = "lab");
	TRANSLATE(.pattern = "912", .partition = "out", .mask = "1001");
	CU_ASSERT_TRUE(cp_dial_explain(plan, &from, "912", &to, on_seen, &seen));
	CU_ASSERT_EQUAL_FATAL(seen.cnt, 4);
	CU_ASSERT_EQUAL(seen.chosen, 3); /* the line, after the translation */
	CU_ASSERT_STRING_EQUAL(seen.text[0], "91X");
	CU_ASSERT_STRING_EQUAL(seen.text[3], "1001");
	CU_ASSERT_TRUE(cp_dial(plan, &from, "912", &plain));
	CU_ASSERT_EQUAL(memcmp(&plain, &to, sizeof(to)), 0);
	end();
}

static CU_TestInfo tests[] = {
	{"spelling", test_spelling},
	{"truncation", test_truncation},
	{"fits", test_fits},
	{"transformations", test_transformations},
	{"tree against texts", test_tree_against_texts},
	{"partitions", test_partitions},
	{"closest", test_closest},
	{"translations", test_translations},
	{"targets", test_targets},
	{"explained", test_explained},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("dial", tests, NULL, NULL)
