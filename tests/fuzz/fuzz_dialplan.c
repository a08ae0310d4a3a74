/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dial/plan.c over a store that is an array: what it makes of digits is what its words say (dial_naive.h), while records come and go, and
 * again after a restart that loads them all. Lines of words, of which "-" is an empty one:
 *     p NAME | P NAME                       a partition comes, goes
 *     c NAME PARTITION... | C NAME          a calling search space
 *     r|t|b PARTITION PATTERN MASK PREFIX DISCARD CALLING-MASK CALLING-PREFIX CSS URGENT    route, translation, block; the end may be left out
 *     x PARTITION PATTERN                   which goes
 *     l PARTITION NUMBER | L PARTITION NUMBER    a line;   g NUMBER | G NUMBER    a gateway's NUMBER*
 *     d CSS DIGITS | D CSS DIGITS           dialled; D: gateways' prefixes do not count
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dial/plan.h"
#include "dial_naive.h"
#include "log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)               \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

#define RECS  128
#define WORDS 10

/* --- the store --- */

struct rec {
	enum cp_cf cf;
	char key[CP_DIAL_KEY_MAX];
	struct cp_buf val;
	bool there;
};

static struct rec recs[RECS];
static struct {
	cp_store_watch_fn fn;
	void *ctx;
	enum cp_cf cf;
} watches[4];
static unsigned watch_cnt;
static struct nv_world world;
static struct cp_device device = {.name = "SEP000000000001"};
static struct cp_gateway gateway = {.name = "gw1"};

static struct rec *find(enum cp_cf cf, const void *key, size_t len)
{
	for (unsigned i = 0; i < RECS; i++)
		if (recs[i].there && recs[i].cf == cf && strlen(recs[i].key) == len && memcmp(recs[i].key, key, len) == 0)
			return &recs[i];
	return NULL;
}

int cp_store_watch(struct cp_store *s, enum cp_cf cf, cp_store_watch_fn fn, void *ctx)
{
	(void)s;
	REQUIRE(watch_cnt < 4);
	watches[watch_cnt].fn = fn;
	watches[watch_cnt].ctx = ctx;
	watches[watch_cnt++].cf = cf;
	return 0;
}

int cp_store_get(const struct cp_store *s, enum cp_cf cf, const void *key, size_t len, const uint8_t **ret_val, size_t *ret_len)
{
	const struct rec *r = find(cf, key, len);

	(void)s;
	if (r == NULL)
		return -ENOENT;
	*ret_val = r->val.data;
	*ret_len = r->val.len;
	return 0;
}

size_t cp_store_count(const struct cp_store *s, enum cp_cf cf)
{
	size_t n = 0;

	(void)s;
	for (unsigned i = 0; i < RECS; i++)
		n += recs[i].there && recs[i].cf == cf;
	return n;
}

void cp_store_each(const struct cp_store *s, enum cp_cf cf, cp_store_each_fn fn, void *ctx)
{
	(void)s;
	for (unsigned i = 0; i < RECS; i++)
		if (recs[i].there && recs[i].cf == cf && !fn(ctx, (const uint8_t *)recs[i].key, strlen(recs[i].key), recs[i].val.data, recs[i].val.len))
			return;
}

static bool hit(const struct nv_line *l, struct cp_dir_hit *ret)
{
	*ret = (struct cp_dir_hit){.kind = CP_DIR_NONE};
	if (l == NULL)
		return false;
	ret->kind = l->prefix ? CP_DIR_GATEWAY : CP_DIR_LINE;
	ret->device = &device;
	ret->gateway = l->prefix ? &gateway : NULL;
	ret->prefix = l->prefix;
	ret->prefix_len = (unsigned)(l->prefix ? strlen(l->number) : 0);
	return true;
}

bool cp_dir_number(const struct cp_store *s, const char *number, struct cp_dir_hit *ret, bool *ret_longer)
{
	(void)s;
	*ret_longer = false;
	return hit(nv_number(&world, "", number, ret_longer), ret);
}

bool cp_dir_line(const struct cp_store *s, const char *number, const char *partition, struct cp_dir_hit *ret)
{
	bool longer;

	(void)s;
	return hit(nv_number(&world, partition, number, &longer), ret);
}

const struct cp_gateway *cp_dir_gateway(const struct cp_store *s, const char *name)
{
	(void)s;
	return strcmp(name, gateway.name) == 0 ? &gateway : NULL;
}

/* Takes the value; NULL: the record goes. False: no room. */
static bool put(enum cp_cf cf, const char *key, struct cp_buf *val)
{
	struct rec *r = find(cf, key, strlen(key));

	for (unsigned i = 0; r == NULL && val != NULL && i < RECS; i++)
		if (!recs[i].there)
			r = &recs[i];
	if (r == NULL) {
		if (val != NULL)
			free(val->data);
		return false;
	}
	if (r->there)
		free(r->val.data);
	r->there = val != NULL;
	r->cf = cf;
	snprintf(r->key, sizeof(r->key), "%s", key);
	r->val = val != NULL ? *val : (struct cp_buf){0};
	for (unsigned i = 0; i < watch_cnt; i++)
		if (watches[i].cf == cf)
			watches[i].fn(watches[i].ctx, cf, (const uint8_t *)key, strlen(key), val == NULL);
	return true;
}

/* --- what the lines say --- */

static const char *word(char **words, unsigned i)
{
	return words[i] == NULL || strcmp(words[i], "-") == 0 ? "" : words[i];
}

static bool copy(char *out, size_t size, const char *in)
{
	if (strlen(in) >= size)
		return false;
	strcpy(out, in);
	return true;
}

static void partition(char **w)
{
	struct cp_partition p = {0};
	char key[CP_DIAL_KEY_MAX];
	struct cp_buf val;

	if (!copy(p.name, sizeof(p.name), word(w, 1)) || cp_partition_check(&p, NULL, 0) < 0)
		return;
	cp_dial_key(key, "partition/", p.name);
	if (w[0][0] == 'P')
		put(CP_CF_DIAL, key, NULL);
	else if (cp_partition_build(&p, &val) == 0)
		put(CP_CF_DIAL, key, &val);
}

static struct nv_css *css_slot(const char *name)
{
	struct nv_css *slot = NULL;

	for (unsigned i = NV_CSS; i-- > 0;)
		if (world.css[i].name[0] == '\0' || strcmp(world.css[i].name, name) == 0)
			slot = &world.css[i];
	for (unsigned i = 0; i < NV_CSS; i++)
		if (strcmp(world.css[i].name, name) == 0)
			slot = &world.css[i];
	return slot;
}

static void css(char **w)
{
	struct cp_css_item items[NV_CSS_PART] = {0};
	struct cp_css c = {.partitions = items};
	char key[CP_DIAL_KEY_MAX];
	struct nv_css *slot;
	struct cp_buf val;

	if (!copy(c.name, sizeof(c.name), word(w, 1)))
		return;
	for (unsigned i = 2; i < WORDS && w[i] != NULL && c.partition_cnt < NV_CSS_PART; i++)
		if (!copy(items[c.partition_cnt++].partition, CP_PART_MAX, w[i]))
			return;
	if (cp_css_check(&c, NULL, 0) < 0 || (slot = css_slot(c.name)) == NULL)
		return;
	cp_dial_key(key, "css/", c.name);
	if (w[0][0] == 'C') {
		if (put(CP_CF_DIAL, key, NULL))
			memset(slot, 0, sizeof(*slot));
	} else if (cp_css_build(&c, &val) == 0 && put(CP_CF_DIAL, key, &val)) {
		memset(slot, 0, sizeof(*slot));
		strcpy(slot->name, c.name);
		slot->cnt = c.partition_cnt;
		for (unsigned i = 0; i < c.partition_cnt; i++)
			strcpy(slot->part[i], items[i].partition);
	}
}

/* The place of that key, or a free one. */
static struct cp_pattern *pattern_slot(const char *key, bool make)
{
	struct cp_pattern *none = NULL;

	for (unsigned i = 0; i < NV_PATS; i++) {
		char other[CP_DIAL_KEY_MAX];

		if (world.pat[i].kind == 0) {
			none = &world.pat[i];
			continue;
		}
		cp_pattern_key(other, world.pat[i].partition, world.pat[i].pattern);
		if (strcmp(other, key) == 0)
			return &world.pat[i];
	}
	return make ? none : NULL;
}

static void pattern(char **w)
{
	struct cp_pattern_target to = {.gateway = "gw1"};
	struct cp_pattern p = {.targets = &to}, *slot;
	char key[CP_DIAL_KEY_MAX];
	struct cp_buf val;

	p.kind = w[0][0] == 'r' ? CP_PATTERN_ROUTE : w[0][0] == 't' ? CP_PATTERN_TRANSLATE : CP_PATTERN_BLOCK;
	p.target_cnt = p.kind == CP_PATTERN_ROUTE;
	if (strlen(word(w, 2)) > 100 || cp_pat_normal(word(w, 2), p.pattern, NULL, 0) < 0 || !copy(p.partition, sizeof(p.partition), word(w, 1)) ||
	    !copy(p.mask, sizeof(p.mask), word(w, 3)) || !copy(p.prefix, sizeof(p.prefix), word(w, 4)) ||
	    !copy(p.calling_mask, sizeof(p.calling_mask), word(w, 6)) || !copy(p.calling_prefix, sizeof(p.calling_prefix), word(w, 7)) ||
	    !copy(p.css, sizeof(p.css), word(w, 8)))
		return;
	p.discard = (uint8_t)((unsigned char)word(w, 5)[0] % 8);
	p.urgent = word(w, 9)[0] != '\0';
	cp_pattern_key(key, p.partition, p.pattern);
	if (w[0][0] == 'x') {
		slot = pattern_slot(key, false);
		REQUIRE((slot != NULL) == put(CP_CF_DIAL, key, NULL));
		if (slot != NULL)
			memset(slot, 0, sizeof(*slot));
		return;
	}
	slot = pattern_slot(key, true);
	if (slot == NULL || cp_pattern_check(&p, NULL, 0) < 0 || cp_pattern_build(&p, &val) < 0 || !put(CP_CF_DIAL, key, &val))
		return;
	*slot = p;
	slot->targets = NULL;
}

static void number(char **w, bool prefix)
{
	const char *part = prefix ? "" : word(w, 1), *num = word(w, prefix ? 1 : 2);
	bool gone = w[0][0] == 'L' || w[0][0] == 'G';
	char key[CP_DIAL_KEY_MAX];
	struct nv_line *slot = NULL;

	if (!cp_number_ok(num) || (part[0] != '\0' && !cp_part_name_ok(part)))
		return;
	for (unsigned i = 0; i < NV_LINES; i++) {
		struct nv_line *l = &world.line[i];

		if (l->number[0] == '\0' ? slot == NULL && !gone : strcmp(l->number, num) == 0 && strcmp(l->part, part) == 0 && l->prefix == prefix)
			slot = l;
	}
	for (unsigned i = 0; i < NV_LINES; i++) /* what is there before what is free */
		if (strcmp(world.line[i].number, num) == 0 && strcmp(world.line[i].part, part) == 0 && world.line[i].prefix == prefix)
			slot = &world.line[i];
	if (slot == NULL || (gone && slot->number[0] == '\0'))
		return;
	snprintf(key, sizeof(key), "%c%s%s%s", prefix ? 'P' : 'E', num, part[0] != '\0' ? "@" : "", part);
	if (gone) {
		memset(slot, 0, sizeof(*slot)); /* the store's own tree goes first */
		put(CP_CF_LINE, key, NULL);
	} else {
		struct cp_buf val = {.data = calloc(1, 1), .len = 1};

		if (!put(CP_CF_LINE, key, &val))
			return;
		strcpy(slot->number, num);
		strcpy(slot->part, part);
		slot->prefix = prefix;
	}
}

/* --- dialling --- */

struct seen {
	unsigned chosen[CP_DIAL_DEPTH + 2];
};

static void see(void *ctx, const struct cp_dial_seen *s)
{
	struct seen *seen = ctx;

	REQUIRE(s->depth <= CP_DIAL_DEPTH && s->why[0] != '\0' && s->text[0] != '\0');
	seen->chosen[s->depth] += s->chosen;
}

static void dial(const struct cp_plan *plan, char **w)
{
	struct cp_dial_from from = {.css = word(w, 1), .number = "1001", .no_prefix = w[0][0] == 'D'};
	const char *digits = word(w, 2);
	struct cp_dialled to, same;
	struct nv_result naive;
	struct seen seen = {0};
	bool reached, longer;

	reached = cp_dial(plan, &from, digits, &to);
	if (strlen(digits) >= CP_NUMBER_MAX) {
		REQUIRE(!reached && to.kind == CP_DIAL_NONE);
		return;
	}
	if (!cp_number_ok(digits))
		return;
	nv_dial(&world, &from, digits, &naive);
	REQUIRE(nv_differ(&naive, &to) == NULL);
	longer = false;
	REQUIRE(reached == nv_look(&world, from.css, digits, from.no_prefix, &longer).there);
	REQUIRE(cp_dial_explain(plan, &from, digits, &same, see, &seen) == reached && memcmp(&same, &to, sizeof(to)) == 0);
	for (unsigned i = 0; i < CP_DIAL_DEPTH + 2; i++)
		REQUIRE(seen.chosen[i] <= 1 && (i == 0 || seen.chosen[i] <= seen.chosen[i - 1]));
	REQUIRE((seen.chosen[0] == 1) == reached);
}

static unsigned split(char *line, char **words)
{
	unsigned n = 0;
	char *save;

	for (char *t = strtok_r(line, " ", &save); t != NULL && n < WORDS; t = strtok_r(NULL, " ", &save))
		words[n++] = t;
	return n;
}

static void run(struct cp_plan *plan, const uint8_t *data, size_t size, bool change)
{
	char *text = malloc(size + 1), *save;

	REQUIRE(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		char *w[WORDS + 1] = {NULL};

		if (split(line, w) < 2)
			continue;
		if (w[0][0] == 'd' || w[0][0] == 'D')
			dial(plan, w);
		else if (!change)
			continue;
		else if (strchr("pP", w[0][0]) != NULL)
			partition(w);
		else if (strchr("cC", w[0][0]) != NULL)
			css(w);
		else if (strchr("rtbx", w[0][0]) != NULL)
			pattern(w);
		else if (strchr("lLgG", w[0][0]) != NULL)
			number(w, strchr("gG", w[0][0]) != NULL);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cp_plan *plan;

	if (size > 8192)
		return 0;
	cfg_log_init("fuzz", CFG_LOG_KV, CFG_LOG_ERR);
	memset(&world, 0, sizeof(world));
	watch_cnt = 0;
	plan = cp_plan_create(NULL);
	REQUIRE(plan != NULL);
	run(plan, data, size, true);
	cp_plan_destroy(plan);
	watch_cnt = 0;
	plan = cp_plan_create(NULL); /* as after a restart */
	REQUIRE(plan != NULL);
	run(plan, data, size, false);
	cp_plan_destroy(plan);
	watch_cnt = 0;
	for (unsigned i = 0; i < RECS; i++)
		if (recs[i].there) {
			free(recs[i].val.data);
			recs[i] = (struct rec){0};
		}
	return 0;
}
