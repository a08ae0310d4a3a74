/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controlplane/dial against its words (dial_naive.h): random plans of partitions, calling search spaces, patterns of all kinds, lines and
 * a gateway's prefixes, in a store, which change all the time. What digits lead to is what trying every pattern leads to, and the same
 * after a restart that loads the plan.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "dial/plan.h"
#include "dial_naive.h"
#include "store/change.h"
#include "store_tmp.h"

#define PARTS   3
#define STEPS   250 /* changes */
#define LOOK_UP 120 /* look-ups between two of them */

static const char *const parts[PARTS + 1] = {"", "in", "out", "far"};
static uint32_t seed = 1;

static unsigned rnd(unsigned below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

static struct event_base *base;
static struct cp_store *store;
static struct cp_plan *plan;
static struct nv_world world;
static struct cp_pattern_target target = {.gateway = "gw1"};
static int commit_rc;
static int committed;

static void on_commit(void *ctx, int rc)
{
	(void)ctx;
	commit_rc = rc;
	committed = 1;
}

static void await(void)
{
	CU_ASSERT_TRUE(wait_for(base, &committed));
	CU_ASSERT_EQUAL_FATAL(commit_rc, 0);
}

/* 'val' NULL: it goes. */
static void write_it(const char *key, struct cp_buf *val)
{
	struct cp_batch *b = cp_batch_create();
	int rc;

	committed = 0;
	rc = val != NULL ? cp_batch_put(b, CP_CF_DIAL, key, strlen(key), val->data, val->len) : cp_batch_del(b, CP_CF_DIAL, key, strlen(key));
	CU_ASSERT_EQUAL(rc, 0);
	CU_ASSERT_EQUAL_FATAL(cp_store_submit(store, b, on_commit, NULL), 0);
	await();
	if (val != NULL)
		free(val->data);
}

static void random_text(char *out, const char *const *pieces, unsigned n, unsigned cnt)
{
	out[0] = '\0';
	for (unsigned i = 0; i < cnt; i++)
		strcat(out, pieces[rnd(n)]);
}

static void random_number(char *out, unsigned most)
{
	unsigned n = 1 + rnd(most);

	for (unsigned i = 0; i < n; i++)
		out[i] = "111222334*#+"[rnd(i == 0 && n > 1 ? 12 : 11)];
	out[n] = '\0';
}

static void random_pattern(struct cp_pattern *p)
{
	static const char *const pieces[] = {"1", "2", "3", "X", "[12]", "[^3]", "[1-3]", "*", "X", "1", "!", ".", "#"};
	static const char *const masks[] = {"X", "1", "2", "", "XX", "3"};
	char text[64], why[200];

	do {
		random_text(text, pieces, sizeof(pieces) / sizeof(pieces[0]), 1 + rnd(5));
		memset(p, 0, sizeof(*p));
		strcpy(p->partition, parts[rnd(PARTS + 1)]);
		p->kind = (uint8_t)(CP_PATTERN_ROUTE + rnd(3));
		p->urgent = rnd(6) == 0;
		if (p->kind != CP_PATTERN_BLOCK) {
			p->discard = (uint8_t)rnd(CP_DISCARD_MAX);
			if (rnd(2) == 0)
				random_text(p->mask, masks, 6, 1 + rnd(4));
			if (rnd(3) == 0)
				random_number(p->prefix, 2);
			if (rnd(4) == 0)
				strcpy(p->calling_mask, "7XX");
			if (rnd(4) == 0)
				strcpy(p->calling_prefix, "9");
		}
		if (p->kind == CP_PATTERN_TRANSLATE && rnd(3) == 0)
			strcpy(p->css, rnd(2) == 0 ? "all" : "far");
		if (p->kind == CP_PATTERN_ROUTE) {
			p->targets = &target;
			p->target_cnt = 1;
		}
	} while (cp_pat_normal(text, p->pattern, NULL, 0) < 0 || cp_pattern_check(p, why, sizeof(why)) < 0);
}

static void change_pattern(void)
{
	struct cp_pattern p, *slot = &world.pat[rnd(NV_PATS / 2)];
	char key[CP_DIAL_KEY_MAX], other[CP_DIAL_KEY_MAX];
	struct cp_buf val;

	random_pattern(&p);
	cp_pattern_key(key, p.partition, p.pattern);
	if (slot->kind != 0) {
		cp_pattern_key(other, slot->partition, slot->pattern);
		write_it(other, NULL);
		slot->kind = 0;
	}
	for (unsigned i = 0; i < NV_PATS; i++) {
		cp_pattern_key(other, world.pat[i].partition, world.pat[i].pattern);
		if (world.pat[i].kind != 0 && strcmp(other, key) == 0)
			slot = &world.pat[i]; /* another one of that key: it is replaced */
	}
	CU_ASSERT_EQUAL_FATAL(cp_pattern_build(&p, &val), 0);
	write_it(key, &val);
	*slot = p;
}

static void put_partition(const char *name)
{
	struct cp_partition p = {0};
	char key[CP_DIAL_KEY_MAX];
	struct cp_buf val;

	strcpy(p.name, name);
	CU_ASSERT_EQUAL_FATAL(cp_partition_build(&p, &val), 0);
	cp_dial_key(key, "partition/", name);
	write_it(key, &val);
}

/* Its partitions, in an order that chance made. */
static void put_css(struct nv_css *css, const char *name, unsigned cnt)
{
	struct cp_css_item items[NV_CSS_PART] = {{{0}}};
	struct cp_css rec = {.partitions = items, .partition_cnt = cnt};
	unsigned first = rnd(PARTS), step = 1 + rnd(PARTS - 1);
	char key[CP_DIAL_KEY_MAX];
	struct cp_buf val;

	strcpy(rec.name, name);
	strcpy(css->name, name);
	css->cnt = cnt;
	for (unsigned i = 0; i < cnt; i++) {
		strcpy(items[i].partition, parts[1 + (first + i * step) % PARTS]);
		strcpy(css->part[i], items[i].partition);
	}
	CU_ASSERT_EQUAL_FATAL(cp_css_build(&rec, &val), 0);
	cp_dial_key(key, "css/", name);
	write_it(key, &val);
}

/* Lines of a phone; false: one has the digits of a pattern, which the store refuses. */
static bool put_device(const struct cp_line *lines, unsigned cnt)
{
	struct cp_device dev = {.name = "SEP000000000001", .mode = CP_DEVICE_ENCRYPTED, .region = "default",
				.lines = (struct cp_line *)(uintptr_t)lines, .line_cnt = cnt};
	struct cp_dir_ctx x = {.who = "test", .fn = on_commit};

	committed = 0;
	if (cp_dir_device_put(store, &dev, true, &x) < 0)
		return false;
	await();
	return true;
}

/* All of its lines anew: numbers of the partitions, and of none. */
static void put_lines(void)
{
	struct cp_line lines[8];
	unsigned cnt;

	do {
		cnt = 1 + rnd(8);
		memset(lines, 0, sizeof(lines));
		for (unsigned i = 0; i < cnt; i++) {
			random_number(lines[i].number, 4);
			strcpy(lines[i].partition, parts[rnd(PARTS + 1)]);
		}
	} while (!put_device(lines, cnt));
	for (unsigned i = 0; i < 8; i++) {
		strcpy(world.line[2 + i].number, i < cnt ? lines[i].number : "");
		strcpy(world.line[2 + i].part, i < cnt ? lines[i].partition : "");
	}
}

static unsigned reached[CP_DIAL_LOOP + 1], waited, by_pattern;

static void compare(void)
{
	static const char *const spaces[] = {"", "all", "far", "nobody"};
	struct cp_dial_from from = {.css = spaces[rnd(4)], .number = rnd(3) == 0 ? "" : "1001", .no_prefix = rnd(8) == 0};
	struct cp_dialled to;
	struct nv_result naive;
	char digits[CP_NUMBER_MAX];
	const char *what;

	random_number(digits, 6);
	if (!cp_number_ok(digits))
		return;
	cp_dial(plan, &from, digits, &to);
	nv_dial(&world, &from, digits, &naive);
	what = nv_differ(&naive, &to);
	if (what != NULL) {
		printf("\n%s from \"%s\": %s: kind %d, not %d; longer %d, not %d; %s%s%s, not %s%s%s; number %s, not %s; calling %s, not %s\n", digits,
		       from.css, what, to.kind, naive.kind, to.longer, naive.longer, to.pattern != NULL ? to.pattern->partition : "",
		       to.pattern != NULL ? "/" : "", to.pattern != NULL ? to.pattern->pattern : "none", naive.pat != NULL ? naive.pat->partition : "",
		       naive.pat != NULL ? "/" : "", naive.pat != NULL ? naive.pat->pattern : "none", to.number, naive.number, to.calling, naive.calling);
		CU_FAIL("the plan and its words differ");
	}
	reached[to.kind]++;
	waited += to.longer;
	by_pattern += to.pattern != NULL;
}

static void reopen(void)
{
	struct cp_store_opts o = {.path = tmp_store, .base = base, .no_sync = true};
	char err[256];

	if (store != NULL) {
		cp_store_close(store);
		cp_plan_destroy(plan);
	}
	CU_ASSERT_EQUAL_FATAL(cp_store_open(&o, &store, err, sizeof(err)), 0);
	plan = cp_plan_create(store);
	CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
}

static void put_gateway(void)
{
	struct cp_gw_number numbers[2] = {{.number = "3", .prefix = true}, {.number = "311", .prefix = true}};
	struct cp_gateway gw = {.name = "gw1", .address = {.family = 4, .plen = 32, .port = 2427, .ip = {192, 0, 2, 1}}, .region = "default",
				.number_cnt = 2, .numbers = numbers};
	struct cp_dir_ctx x = {.who = "test", .fn = on_commit};

	committed = 0;
	CU_ASSERT_EQUAL_FATAL(cp_dir_gateway_put(store, &gw, false, &x), 0);
	await();
	for (unsigned i = 0; i < 2; i++) {
		strcpy(world.line[i].number, numbers[i].number);
		world.line[i].prefix = true;
	}
}

static void test_against_words(void)
{
	tmp_make();
	base = event_base_new();
	reopen();
	put_gateway();
	for (unsigned i = 1; i <= PARTS; i++)
		put_partition(parts[i]);
	for (unsigned step = 0; step < STEPS; step++) {
		if (step % 40 == 0) {
			put_css(&world.css[0], "all", PARTS);
			put_css(&world.css[1], "far", 1);
		}
		if (step % 10 == 0)
			put_lines();
		if (step % 100 == 99)
			reopen();
		change_pattern();
		for (unsigned i = 0; i < LOOK_UP; i++)
			compare();
	}
	for (unsigned k = 0; k <= CP_DIAL_LOOP; k++)
		CU_ASSERT_TRUE(reached[k] > STEPS * LOOK_UP / 200); /* each kind of end is one that was seen often */
	CU_ASSERT_TRUE(by_pattern > STEPS * LOOK_UP / 4 && waited > STEPS * LOOK_UP / 10);
	cp_store_close(store);
	cp_plan_destroy(plan);
	event_base_free(base);
	tmp_remove();
}

static CU_TestInfo tests[] = {
	{"random plans against their words", test_against_words},
	CU_TEST_INFO_NULL,
};

#include "suite.h"
SUITE_MAIN("dialplan", tests, NULL, NULL)
