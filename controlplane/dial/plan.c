/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "store/tab.h"
#include "trie.h"

struct partition {
	char name[CP_PART_MAX];
	bool there;               /* it has a record; else a pattern names it */
	struct cp_trie *patterns; /* owners: struct cp_pattern */
	struct cp_trie *lines;    /* numbers; the owner is the partition. Of the one without a name: the store's own tree */
};

struct cp_plan {
	struct cp_store *store;
	struct cp_tab partitions; /* by name; struct partition */
	struct cp_tab css;        /* by name; struct cp_css */
	struct cp_tab patterns;   /* by key; struct cp_pattern */
	struct partition *open;   /* the one without a name */
};

/* --- what the store has --- */

static void free_partition(void *obj)
{
	struct partition *p = obj;

	cp_trie_destroy(p->patterns);
	cp_trie_destroy(p->lines);
	free(p);
}

static void free_css(void *obj)
{
	cp_css_free(obj);
	free(obj);
}

static void free_pattern(void *obj)
{
	cp_pattern_free(obj);
	free(obj);
}

static struct partition *new_partition(const char *name)
{
	struct partition *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->patterns = cp_trie_create();
	p->lines = cp_trie_create();
	if (p->patterns == NULL || p->lines == NULL) {
		free_partition(p);
		return NULL;
	}
	return p;
}

static struct partition *find_partition(const struct cp_plan *plan, const char *name)
{
	const struct cp_ent *e;

	if (name[0] == '\0')
		return plan->open;
	e = cp_tab_find(&plan->partitions, name, strlen(name));
	return e != NULL ? e->obj : NULL;
}

static struct partition *make_partition(struct cp_plan *plan, const char *name)
{
	struct partition *p = find_partition(plan, name);
	struct cp_ent *e;

	if (p != NULL)
		return p;
	p = new_partition(name);
	e = p != NULL ? cp_tab_put(&plan->partitions, name, strlen(name)) : NULL;
	if (e == NULL) {
		if (p != NULL)
			free_partition(p);
		return NULL;
	}
	e->obj = p;
	return p;
}

/* One that nothing names any more. */
static void drop_partition(struct cp_plan *plan, struct partition *p)
{
	if (p != NULL && p != plan->open && !p->there && cp_trie_count(p->patterns) == 0 && cp_trie_count(p->lines) == 0) {
		char name[CP_PART_MAX];

		memcpy(name, p->name, sizeof(name));
		cp_tab_del(&plan->partitions, name, strlen(name));
	}
}

static void no_memory(const char *what, const uint8_t *key, size_t len)
{
	char q[160];

	cfg_log(CFG_LOG_ERR, "dial-plan-incomplete", "what=%s key=%s reason=\"no memory\"", what, cfg_qn(q, sizeof(q), (const char *)key, len));
}

static void forget_pattern(struct cp_plan *plan, const uint8_t *key, size_t len)
{
	struct cp_ent *e = cp_tab_find(&plan->patterns, key, len);
	struct cp_pattern *rec = e != NULL ? e->obj : NULL;
	struct partition *p = rec != NULL ? find_partition(plan, rec->partition) : NULL;
	struct cp_pat pat;

	if (p != NULL && cp_pat_parse(rec->pattern, strlen(rec->pattern), &pat, NULL, 0) == 0)
		cp_trie_set(p->patterns, &pat, NULL);
	if (e != NULL)
		cp_tab_del(&plan->patterns, key, len);
	drop_partition(plan, p);
}

static int take_pattern(struct cp_plan *plan, const uint8_t *key, size_t len, const uint8_t *val, size_t val_len)
{
	struct cp_pattern *rec = malloc(sizeof(*rec));
	int rc = rec == NULL ? -ENOMEM : cp_pattern_parse(val, val_len, rec);
	struct partition *p = NULL;
	struct cp_ent *e = NULL;
	struct cp_pat pat;

	if (rc < 0) {
		free(rec);
		return rc;
	}
	rc = cp_pat_parse(rec->pattern, strlen(rec->pattern), &pat, NULL, 0);
	if (rc == 0) {
		p = make_partition(plan, rec->partition);
		e = p != NULL ? cp_tab_put(&plan->patterns, key, len) : NULL;
		rc = e == NULL ? -ENOMEM : cp_trie_set(p->patterns, &pat, rec);
	}
	if (rc < 0) {
		if (e != NULL)
			cp_tab_del(&plan->patterns, key, len);
		drop_partition(plan, p);
		free_pattern(rec);
		return rc;
	}
	e->obj = rec;
	return 0;
}

static int take_css(struct cp_plan *plan, const char *name, size_t len, const uint8_t *val, size_t val_len)
{
	struct cp_css *css = malloc(sizeof(*css));
	int rc = css == NULL ? -ENOMEM : cp_css_parse(val, val_len, css);
	struct cp_ent *e;

	if (rc < 0) {
		free(css);
		return rc;
	}
	e = cp_tab_put(&plan->css, name, len);
	if (e == NULL) {
		free_css(css);
		return -ENOMEM;
	}
	e->obj = css;
	return 0;
}

/* The rest of a key of that folder, or NULL. */
static const char *in_folder(const uint8_t *key, size_t *len, const char *folder)
{
	size_t n = strlen(folder);

	if (*len <= n || memcmp(key, folder, n) != 0)
		return NULL;
	*len -= n;
	return (const char *)key + n;
}

static void mark_partition(struct cp_plan *plan, const char *name, size_t len, bool there)
{
	char text[CP_PART_MAX];
	struct partition *p;

	if (len >= sizeof(text))
		return;
	memcpy(text, name, len);
	text[len] = '\0';
	p = there ? make_partition(plan, text) : find_partition(plan, text);
	if (p == NULL)
		return;
	p->there = there;
	drop_partition(plan, p);
}

/* 'val' NULL: deleted. What was there before is gone in any case. */
static void follow(struct cp_plan *plan, const uint8_t *key, size_t key_len, const uint8_t *val, size_t val_len)
{
	size_t len = key_len;
	const char *name;
	int rc = 0;

	if ((name = in_folder(key, &len, "partition/")) != NULL) {
		mark_partition(plan, name, len, val != NULL);
	} else if ((name = in_folder(key, &len, "css/")) != NULL) {
		cp_tab_del(&plan->css, name, len);
		if (val != NULL)
			rc = take_css(plan, name, len, val, val_len);
	} else if (in_folder(key, &len, "pattern/") != NULL) {
		forget_pattern(plan, key, key_len);
		if (val != NULL)
			rc = take_pattern(plan, key, key_len, val, val_len);
	}
	if (rc < 0) {
		char q[160];

		cfg_log_limited(CFG_LOG_ERR, "dial-plan-record", "key=%s rc=%d", cfg_qn(q, sizeof(q), (const char *)key, key_len), rc);
	}
}

static void on_dial(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted)
{
	struct cp_plan *plan = ctx;
	const uint8_t *val = NULL;
	size_t len = 0;

	if (!deleted && cp_store_get(plan->store, cf, key, key_len, &val, &len) < 0)
		val = NULL;
	follow(plan, key, key_len, val, len);
}

/* "E", a number, "@", its partition: only those of partitions with a name are kept here. */
static void on_number(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted)
{
	struct cp_plan *plan = ctx;
	const uint8_t *at = memchr(key, '@', key_len);
	char name[CP_PART_MAX];
	struct partition *p;
	struct cp_pat pat;
	size_t len;

	(void)cf;
	if (at == NULL || key[0] != 'E')
		return;
	len = key_len - (size_t)(at + 1 - key);
	if (len == 0 || len >= sizeof(name) || cp_pat_parse((const char *)key + 1, (size_t)(at - key - 1), &pat, NULL, 0) < 0)
		return;
	memcpy(name, at + 1, len);
	name[len] = '\0';
	p = deleted ? find_partition(plan, name) : make_partition(plan, name);
	if (p != NULL && cp_trie_set(p->lines, &pat, deleted ? NULL : p) == 0)
		drop_partition(plan, p);
	else if (!deleted)
		no_memory("number", key, key_len);
}

static bool load_dial(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	follow(ctx, key, key_len, val, len);
	return true;
}

static bool load_number(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	(void)val;
	(void)len;
	on_number(ctx, CP_CF_LINE, key, key_len, false);
	return true;
}

struct cp_plan *cp_plan_create(struct cp_store *store)
{
	struct cp_plan *plan = calloc(1, sizeof(*plan));

	if (plan == NULL)
		return NULL;
	plan->store = store;
	plan->open = new_partition("");
	if (plan->open == NULL || cp_tab_init(&plan->partitions, free_partition) < 0 || cp_tab_init(&plan->css, free_css) < 0 ||
	    cp_tab_init(&plan->patterns, free_pattern) < 0 || cp_store_watch(store, CP_CF_DIAL, on_dial, plan) < 0 ||
	    cp_store_watch(store, CP_CF_LINE, on_number, plan) < 0) {
		cp_plan_destroy(plan);
		return NULL;
	}
	if (cp_store_count(store, CP_CF_DIAL) > 0) { /* else no line is in a partition */
		cp_store_each(store, CP_CF_DIAL, load_dial, plan);
		cp_store_each(store, CP_CF_LINE, load_number, plan);
	}
	return plan;
}

void cp_plan_destroy(struct cp_plan *plan)
{
	if (plan == NULL)
		return;
	cp_tab_fini(&plan->patterns);
	cp_tab_fini(&plan->css);
	cp_tab_fini(&plan->partitions);
	if (plan->open != NULL)
		free_partition(plan->open);
	free(plan);
}

bool cp_plan_partition(const struct cp_plan *plan, const char *name)
{
	const struct partition *p = find_partition(plan, name);

	return p != NULL && (p->there || p == plan->open);
}

const struct cp_css *cp_plan_css(const struct cp_plan *plan, const char *name)
{
	const struct cp_ent *e = name[0] == '\0' ? NULL : cp_tab_find(&plan->css, name, strlen(name));

	return e != NULL ? e->obj : NULL;
}

const struct cp_pattern *cp_plan_pattern(const struct cp_plan *plan, const char *partition, const char *pattern)
{
	char key[CP_DIAL_KEY_MAX];
	size_t n = cp_pattern_key(key, partition, pattern);
	const struct cp_ent *e = cp_tab_find(&plan->patterns, key, n);

	return e != NULL ? e->obj : NULL;
}

const char *cp_dial_css(const struct cp_device *dev, unsigned line)
{
	if (dev != NULL && line >= 1 && line <= dev->line_cnt && dev->lines[line - 1].css[0] != '\0')
		return dev->lines[line - 1].css;
	return dev != NULL ? dev->css : "";
}

/* --- a look-up --- */

struct found {
	bool there;
	const struct cp_pattern *pattern; /* or */
	struct cp_dir_hit hit;
	const struct partition *in;
	unsigned rank;
	cp_weight weight;
	bool many;
};

struct look {
	const struct cp_plan *plan;
	const struct cp_dial_from *from;
	const char *digits;
	const struct partition *in; /* where the walk is */
	unsigned rank, depth;
	struct found best;
	bool longer;
	/* told of what fits, once the best of it is known */
	cp_dial_see_fn see;
	void *ctx;
};

static const char *text_of(const struct look *l, const struct found *f)
{
	return f->pattern != NULL ? f->pattern->pattern : l->digits;
}

static const char *kind_of(const struct found *f)
{
	if (f->pattern != NULL)
		return cp_pattern_kind_name(f->pattern->kind);
	return f->hit.kind == CP_DIR_GATEWAY ? "gateway" : "line";
}

/* Negative: a is the better one. */
static int compare(const struct look *l, const struct found *a, const struct found *b)
{
	if (a->weight != b->weight)
		return a->weight < b->weight ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->many != b->many)
		return a->many ? 1 : -1;
	if ((a->pattern == NULL) != (b->pattern == NULL))
		return a->pattern == NULL ? -1 : 1;
	return strcmp(text_of(l, a), text_of(l, b));
}

static const char *why_not(const struct found *f, const struct found *best)
{
	if (f->weight != best->weight)
		return "fits more numbers of this length";
	if (f->rank != best->rank)
		return "fits as closely, but its partition comes later";
	if (f->many != best->many)
		return "fits as closely, but by a '!'";
	return "fits as closely, but its text comes later";
}

static void consider(struct look *l, const struct found *f)
{
	if (l->see != NULL && l->best.there) { /* the second time round */
		bool chosen = f->pattern == l->best.pattern && f->rank == l->best.rank && f->hit.kind == l->best.hit.kind;

		l->see(l->ctx, &(struct cp_dial_seen){.depth = l->depth, .digits = l->digits, .text = text_of(l, f), .partition = f->in->name,
						      .rank = f->rank, .kind = kind_of(f), .weight = f->weight, .many = f->many,
						      .chosen = chosen, .why = chosen ? "fits the fewest numbers of this length" : why_not(f, &l->best)});
	} else if (l->see == NULL && (!l->best.there || compare(l, f, &l->best) < 0)) {
		l->best = *f;
	}
}

static void on_pattern(void *ctx, const struct cp_trie_hit *hit)
{
	struct look *l = ctx;

	consider(l, &(struct found){.there = true, .pattern = hit->owner, .in = l->in, .rank = l->rank, .weight = hit->weight, .many = hit->many});
}

static void on_line(void *ctx, const struct cp_trie_hit *hit)
{
	struct look *l = ctx;
	struct found f = {.there = true, .in = l->in, .rank = l->rank, .weight = hit->weight};

	if (cp_dir_line(l->plan->store, l->digits, l->in->name, &f.hit))
		consider(l, &f);
}

/* The numbers of the partition without a name: the store's tree, which has the gateways' prefixes, too. */
static void open_numbers(struct look *l)
{
	struct found f = {.there = true, .in = l->in, .rank = l->rank, .weight = 1};
	bool longer, found = cp_dir_number(l->plan->store, l->digits, &f.hit, &longer);

	if (l->from->no_prefix && f.hit.prefix)
		return;
	l->longer |= longer;
	if (!found)
		return;
	f.many = f.hit.prefix;
	for (size_t i = f.hit.prefix ? f.hit.prefix_len : strlen(l->digits); l->digits[i] != '\0'; i++)
		f.weight *= CP_SYM_CNT;
	consider(l, &f);
}

static void look_in(struct look *l, const struct partition *p)
{
	if (p == NULL)
		return;
	l->in = p;
	if (p == l->plan->open)
		open_numbers(l);
	else
		l->longer |= cp_trie_match(p->lines, l->digits, on_line, l);
	l->longer |= cp_trie_match(p->patterns, l->digits, on_pattern, l);
	l->rank++;
}

static void look_through(struct look *l, const char *name)
{
	const struct cp_css *css = cp_plan_css(l->plan, name);

	l->rank = 0;
	for (unsigned i = 0; css != NULL && i < css->partition_cnt; i++)
		look_in(l, find_partition(l->plan, css->partitions[i].partition));
	look_in(l, l->plan->open);
}

static void look_up(struct look *l, const char *css, cp_dial_see_fn see, void *ctx)
{
	look_through(l, css);
	if (see != NULL && l->best.there) {
		l->see = see;
		l->ctx = ctx;
		look_through(l, css);
		l->see = NULL;
	}
}

/* What the pattern makes of the digits and of the caller's number. */
static int transform(const struct cp_pattern *rec, struct cp_dialled *ret)
{
	struct cp_pat pat;
	int rc = cp_pat_parse(rec->pattern, strlen(rec->pattern), &pat, NULL, 0);

	if (rc == 0 && ret->calling[0] != '\0')
		rc = cp_xform(ret->calling, 0, CP_DISCARD_NONE, rec->calling_mask, rec->calling_prefix, ret->calling, sizeof(ret->calling));
	if (rc == 0)
		rc = cp_xform(ret->number, cp_pat_predot(&pat, ret->number), (enum cp_discard)rec->discard, rec->mask, rec->prefix, ret->number,
			      sizeof(ret->number));
	return rc;
}

bool cp_dial_target(const struct cp_plan *plan, const struct cp_pattern *rec, unsigned n, struct cp_dir_hit *ret)
{
	*ret = (struct cp_dir_hit){.kind = CP_DIR_NONE};
	if (rec == NULL || n >= rec->target_cnt)
		return false;
	ret->kind = CP_DIR_GATEWAY;
	ret->endpoint = rec->targets[n].endpoint;
	if (rec->targets[n].gateway[0] == '@')
		ret->group = rec->targets[n].gateway + 1;
	else
		ret->gateway = cp_dir_gateway(plan->store, rec->targets[n].gateway);
	return ret->gateway != NULL || ret->group != NULL;
}

/* What the best one is for the caller. True: it was a translation, and 'ret->number' is to be looked up. */
static bool settle(const struct look *l, struct cp_dialled *ret)
{
	const struct found *f = &l->best;

	ret->pattern = f->pattern;
	if (f->pattern == NULL) {
		ret->kind = f->hit.kind == CP_DIR_GATEWAY ? CP_DIAL_GATEWAY : CP_DIAL_LINE;
		ret->hit = f->hit;
		memcpy(ret->partition, f->in->name, sizeof(ret->partition));
		return false;
	}
	ret->kind = f->pattern->kind == CP_PATTERN_BLOCK ? CP_DIAL_BLOCK : CP_DIAL_GATEWAY;
	if (f->pattern->kind == CP_PATTERN_BLOCK)
		return false;
	if (transform(f->pattern, ret) < 0) {
		ret->kind = CP_DIAL_LOOP;
		return false;
	}
	if (f->pattern->kind == CP_PATTERN_TRANSLATE)
		return true;
	for (unsigned i = 0; i < f->pattern->target_cnt && ret->hit.kind == CP_DIR_NONE; i++)
		if (!cp_dial_target(l->plan, f->pattern, i, &ret->hit))
			ret->hit.kind = CP_DIR_NONE;
	return false;
}

bool cp_dial_explain(const struct cp_plan *plan, const struct cp_dial_from *from, const char *digits, struct cp_dialled *ret,
		     cp_dial_see_fn see, void *ctx)
{
	const char *css = from->css != NULL ? from->css : "";
	char at[CP_NUMBER_MAX];

	memset(ret, 0, sizeof(*ret));
	snprintf(ret->calling, sizeof(ret->calling), "%s", from->number != NULL ? from->number : "");
	if (strnlen(digits, CP_NUMBER_MAX) == CP_NUMBER_MAX)
		return false;
	snprintf(ret->number, sizeof(ret->number), "%s", digits);
	for (unsigned depth = 0; depth <= CP_DIAL_DEPTH; depth++) {
		struct look l = {.plan = plan, .from = from, .digits = at, .depth = depth};

		memcpy(at, ret->number, sizeof(at));
		look_up(&l, css, see, ctx);
		if (depth == 0) /* what a translation leads to is whole */
			ret->longer = l.longer && !(l.best.there && l.best.pattern != NULL && l.best.pattern->urgent);
		if (!l.best.there) {
			ret->kind = CP_DIAL_NONE;
			ret->pattern = NULL;
			return depth > 0 ? true : false;
		}
		if (!settle(&l, ret))
			return true;
		if (ret->pattern->css[0] != '\0')
			css = ret->pattern->css;
	}
	ret->kind = CP_DIAL_LOOP;
	return true;
}

bool cp_dial(const struct cp_plan *plan, const struct cp_dial_from *from, const char *digits, struct cp_dialled *ret)
{
	return cp_dial_explain(plan, from, digits, ret, NULL, NULL);
}
