/* SPDX-License-Identifier: BSD-3-Clause */
#include "region.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change.h"
#include "clock.h"
#include "fieldtab.h"
#include "log.h"
#include "store.h"

/* Tags are forever. */
static const struct cp_field item_fields[] = {
	F(1, CP_F_STR, cp_region_item, name),
	END,
};
static const struct cp_list codec_list = {sizeof(struct cp_region_item), CP_REGION_LIST, offsetof(struct cp_region, codec_cnt), false,
					  item_fields};
static const struct cp_list suite_list = {sizeof(struct cp_region_item), CP_REGION_LIST, offsetof(struct cp_region, suite_cnt), false,
					  item_fields};
static const struct cp_field region_fields[] = {
	F(1, CP_F_STR, cp_region, a),
	F(2, CP_F_STR, cp_region, b),
	F(3, CP_F_UINT, cp_region, max_kbps),
	F(4, CP_F_UINT, cp_region, media),
	L(5, cp_region, codecs, &codec_list),
	L(6, cp_region, suites, &suite_list),
	F(7, CP_F_UINT, cp_region, changed_us),
	END,
};

static bool is(const char *name, const char *word)
{
	return strcmp(name, word) == 0;
}

static bool name_ok(const char *name)
{
	return cp_conf_name_ok(name) && strlen(name) < CP_REGION_MAX;
}

static int items_check(const struct cp_region *r, const char *what, const struct cp_region_item *items, unsigned n, char *why, size_t size)
{
	for (unsigned i = 0; i < n; i++) {
		bool twice = false;

		for (unsigned k = 0; k < i; k++)
			twice |= is(items[i].name, items[k].name);
		if (items[i].name[0] == '\0' || !cp_conf_name_ok(items[i].name) || twice) {
			snprintf(why, size, "%s %s: %s %s", r->a, r->b, what, twice ? "stands there twice" : "is no name");
			return -EINVAL;
		}
	}
	return 0;
}

int cp_region_check(const struct cp_region *r, char *why, size_t size)
{
	struct cp_region again = {0};
	int rc = cp_region_pair(&again, r->a, r->b, why, size);

	if (rc < 0)
		return rc;
	if (!is(again.a, r->a) || !is(again.b, r->b)) {
		snprintf(why, size, "regions %s and %s are not in order", r->a, r->b);
		return -EINVAL;
	}
	if (r->max_kbps > CP_REGION_KBPS || r->media > CP_REGION_DIRECT || r->codec_cnt > CP_REGION_LIST || r->suite_cnt > CP_REGION_LIST) {
		snprintf(why, size, "%s %s: a bit rate is %u kbit/s at most, media relay or direct, a list has %u items at most", r->a, r->b,
			 CP_REGION_KBPS, CP_REGION_LIST);
		return -EINVAL;
	}
	rc = items_check(r, "a codec", r->codecs, r->codec_cnt, why, size);
	return rc < 0 ? rc : items_check(r, "a suite", r->suites, r->suite_cnt, why, size);
}

RECORD(cp_region, CP_KIND_REGION, region_fields, cp_region_check)

int cp_region_pair(struct cp_region *r, const char *a, const char *b, char *why, size_t size)
{
	bool any_a = is(a, CP_REGION_ANY), any_b = is(b, CP_REGION_ANY);

	if ((!any_a && !name_ok(a)) || (!any_b && !is(b, CP_REGION_SAME) && !name_ok(b))) {
		snprintf(why, size, "%s and %s are no regions: names of 1 to %d of letters, digits and . _ -, or * for any; = for within", cfg_q(a),
			 cfg_q(b), CP_REGION_MAX - 1);
		return -EINVAL;
	}
	if (is(b, CP_REGION_SAME) && !any_a) /* said in two ways, stored in one */
		b = a;
	if ((any_a && !any_b && !is(b, CP_REGION_SAME)) || (any_a == any_b && strcmp(a, b) > 0)) {
		const char *x = a;

		a = b;
		b = x;
	}
	snprintf(r->a, sizeof(r->a), "%s", a);
	snprintf(r->b, sizeof(r->b), "%s", b);
	return 0;
}

#define KEY_SIZE (2 * CP_REGION_MAX + 8)

static size_t key_of(char key[KEY_SIZE], const char *a, const char *b)
{
	return (size_t)snprintf(key, KEY_SIZE, "region/%s/%s", a, b);
}

static void what_of(char *text, size_t size, const struct cp_region *r)
{
	snprintf(text, size, "rule for regions %s and %s", r->a, r->b);
}

int cp_region_put(struct cp_change *c, const struct cp_region *r, bool replace, char *why, size_t size)
{
	char key[KEY_SIZE], what[KEY_SIZE + 32];
	struct cp_region with = *r;
	struct cp_buf out;
	int rc = cp_region_check(r, why, size);

	if (rc < 0)
		return rc;
	with.changed_us = cp_wall_us();
	key_of(key, r->a, r->b);
	what_of(what, sizeof(what), r);
	rc = cp_region_build(&with, &out);
	return rc < 0 ? rc : cp_change_conf_put(c, key, what, &out, replace, why, size);
}

int cp_region_del(struct cp_change *c, const struct cp_region *pair, char *why, size_t size)
{
	char key[KEY_SIZE], what[KEY_SIZE + 32];

	key_of(key, pair->a, pair->b);
	what_of(what, sizeof(what), pair);
	return cp_change_conf_del(c, key, what, why, size);
}

int cp_store_region(const struct cp_store *store, const char *a, const char *b, struct cp_region *ret)
{
	char key[KEY_SIZE];
	const uint8_t *val;
	size_t len;
	int rc;

	if (strlen(a) >= CP_REGION_MAX || strlen(b) >= CP_REGION_MAX)
		return -ENOENT; /* a region of a longer name has no rule of its own */
	rc = cp_store_get(store, CP_CF_PROFILE, key, key_of(key, a, b), &val, &len);
	return rc < 0 ? rc : cp_region_parse(val, len, ret);
}

unsigned cp_store_region_rules(const struct cp_store *store, const char *a, const char *b, struct cp_region ret[CP_REGION_RULES])
{
	bool within = is(a, b);
	const char *first = strcmp(a, b) <= 0 ? a : b, *second = first == a ? b : a;
	const char *const pairs[CP_REGION_RULES][2] = {
		{first, second},
		{within ? NULL : first, CP_REGION_ANY},
		{within ? NULL : second, CP_REGION_ANY},
		{CP_REGION_ANY, within ? CP_REGION_SAME : CP_REGION_ANY},
	};
	unsigned n = 0;

	for (unsigned i = 0; i < CP_REGION_RULES; i++)
		if (pairs[i][0] != NULL && cp_store_region(store, pairs[i][0], pairs[i][1], &ret[n]) == 0)
			n++;
	return n;
}
