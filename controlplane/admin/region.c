/* SPDX-License-Identifier: BSD-3-Clause */
/* Rules of the region table (store/region.h), from and to JSON: their commands, items of an import, and what is exported. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "call/codec.h"
#include "call/keys.h"
#include "internal.h"
#include "log.h"
#include "store/change.h"
#include "store/region.h"
#include "why.h"

/* A rule whose lists are here. */
struct rule {
	struct cp_region r;
	struct cp_region_item codecs[CP_REGION_LIST], suites[CP_REGION_LIST];
};

static bool codec_known(const char *name)
{
	return cp_codec_parse(name) != CP_CODEC_NONE;
}

static bool suite_known(const char *name)
{
	uint8_t suite;

	return cp_suite_parse(name, &suite) == 0 && suite != DP_SRTP_NONE && !dp_suite(suite)->null_cipher;
}

/* ["g722", ...]; ["default"], or nothing: not said. */
static int take_list(const json_t *v, const char *what, bool (*known)(const char *name), struct cp_region_item *items, unsigned *cnt, char *why,
		     size_t size)
{
	const json_t *first = json_array_get(v, 0);
	json_t *item;
	size_t i;

	if (!json_is_array(v) || json_array_size(v) > CP_REGION_LIST)
		return cfg_invalid(why, size, "%s is not a list of at most %d", what, CP_REGION_LIST);
	*cnt = 0;
	if (json_array_size(v) == 1 && json_is_string(first) && strcmp(json_string_value(first), "default") == 0)
		return 0;
	json_array_foreach((json_t *)(uintptr_t)v, i, item) {
		if (!json_is_string(item) || json_string_length(item) >= sizeof(items->name) || !known(json_string_value(item)))
			return cfg_invalid(why, size, "%s: %s is not known", what, json_is_string(item) ? cfg_q(json_string_value(item)) : "one");
		snprintf(items[(*cnt)++].name, sizeof(items->name), "%s", json_string_value(item));
	}
	return 0;
}

static int take(struct rule *u, const char *key, const json_t *v, char *why, size_t size)
{
	const char *text = json_string_value(v);
	json_int_t n = json_integer_value(v);

	if (strcmp(key, "codecs") == 0)
		return take_list(v, key, codec_known, u->codecs, &u->r.codec_cnt, why, size);
	if (strcmp(key, "suites") == 0)
		return take_list(v, key, suite_known, u->suites, &u->r.suite_cnt, why, size);
	if (strcmp(key, "max_kbps") == 0) {
		if (!json_is_integer(v) || n < 0 || n > CP_REGION_KBPS)
			return cfg_invalid(why, size, "max_kbps is not a whole number from 0 (not said) to %d", CP_REGION_KBPS);
		u->r.max_kbps = (uint32_t)n;
		return 0;
	}
	if (strcmp(key, "media") == 0) {
		static const char *const media[] = {"default", "relay", "direct"};

		for (unsigned m = CP_REGION_MEDIA_UNSAID; text != NULL && m <= CP_REGION_DIRECT; m++)
			if (strcmp(media[m], text) == 0) {
				u->r.media = (uint8_t)m;
				return 0;
			}
		return cfg_invalid(why, size, "media is not relay, direct or default");
	}
	if (strcmp(key, "a") == 0 || strcmp(key, "b") == 0 || strcmp(key, "changed_us") == 0)
		return 0;
	return cfg_invalid(why, size, "unknown member %s", cfg_q(key));
}

static int pair_of(const json_t *o, struct cp_region *r, char *why, size_t size)
{
	const char *a = json_string_value(json_object_get(o, "a")), *b = json_string_value(json_object_get(o, "b"));

	if (a == NULL || b == NULL)
		return cfg_invalid(why, size, "a and b are two regions: names, * for any other, = for within");
	return cp_region_pair(r, a, b, why, size);
}

/* Members that are given change the rule. */
static int apply(const json_t *o, struct rule *u, char *why, size_t size)
{
	json_t *args = (json_t *)(uintptr_t)o; /* jansson's iterators take no const; nothing is changed */

	for (void *it = json_object_iter(args); it != NULL; it = json_object_iter_next(args, it)) {
		int rc = take(u, json_object_iter_key(it), json_object_iter_value(it), why, size);

		if (rc < 0)
			return rc;
	}
	u->r.codecs = u->codecs;
	u->r.suites = u->suites;
	return 0;
}

int json_change_region(struct cp_change *c, const json_t *o, bool replace, char *why, size_t size)
{
	struct rule u = {0};
	int rc = json_is_object(o) ? pair_of(o, &u.r, why, size) : cfg_invalid(why, size, "it is no object");

	if (rc == 0)
		rc = apply(o, &u, why, size);
	return rc < 0 ? rc : cp_region_put(c, &u.r, replace, why, size);
}

static json_t *list_json(const struct cp_region_item *items, unsigned n)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, json_string(items[i].name));
	return list;
}

static json_t *region_to_json(const struct cp_region *r)
{
	json_t *o = json_pack("{s:s,s:s}", "a", r->a, "b", r->b);

	if (r->max_kbps > 0)
		json_object_set_new(o, "max_kbps", json_integer(r->max_kbps));
	if (r->codec_cnt > 0)
		json_object_set_new(o, "codecs", list_json(r->codecs, r->codec_cnt));
	if (r->media != CP_REGION_MEDIA_UNSAID)
		json_object_set_new(o, "media", json_string(r->media == CP_REGION_DIRECT ? "direct" : "relay"));
	if (r->suite_cnt > 0)
		json_object_set_new(o, "suites", list_json(r->suites, r->suite_cnt));
	json_object_set_new(o, "changed_us", json_integer((json_int_t)r->changed_us));
	return o;
}

static bool is_region(const uint8_t *key, size_t key_len)
{
	return key_len > 7 && memcmp(key, "region/", 7) == 0;
}

void bulk_region(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_region r;

	if (!is_region(key, key_len) || cp_region_parse(val, len, &r) < 0)
		return;
	cp_bulk_item(b, region_to_json(&r));
	cp_region_free(&r);
}

/* --- commands --- */

static int submit(struct pending_change *p, struct cp_change *c, int rc, const char *event, const struct cp_region *r)
{
	if (c == NULL)
		return -ENOMEM;
	if (rc < 0) {
		cp_change_destroy(c);
		return rc;
	}
	p->result = json_pack("{s:s,s:s}", "a", r->a, "b", r->b);
	return cp_change_submit(c, event, cp_admin_who(p->req), json_copy(p->result), change_written, p);
}

static int attempt_region_set(struct pending_change *p, char *why, size_t size)
{
	struct cp_store *s = cmds_store(p->cmds);
	struct rule u = {0};
	struct cp_region old;
	struct cp_change *c;
	int rc = pair_of(p->args, &u.r, why, size);

	if (rc < 0)
		return rc;
	if (cp_store_region(s, u.r.a, u.r.b, &old) == 0) {
		u.r.max_kbps = old.max_kbps;
		u.r.media = old.media;
		u.r.codec_cnt = old.codec_cnt;
		u.r.suite_cnt = old.suite_cnt;
		if (old.codec_cnt > 0)
			memcpy(u.codecs, old.codecs, old.codec_cnt * sizeof(*old.codecs));
		if (old.suite_cnt > 0)
			memcpy(u.suites, old.suites, old.suite_cnt * sizeof(*old.suites));
		cp_region_free(&old);
	}
	c = cp_change_create(s);
	rc = c == NULL ? -ENOMEM : apply(p->args, &u, why, size);
	if (rc == 0)
		rc = cp_region_put(c, &u.r, true, why, size);
	return submit(p, c, rc, "region.set", &u.r);
}

static int attempt_region_del(struct pending_change *p, char *why, size_t size)
{
	struct cp_change *c = cp_change_create(cmds_store(p->cmds));
	struct cp_region r = {0};
	int rc = c == NULL ? -ENOMEM : json_object_size(p->args) != 2 ? cfg_invalid(why, size, "exactly a and b are needed") :
									  pair_of(p->args, &r, why, size);

	if (rc == 0)
		rc = cp_region_del(c, &r, why, size);
	return submit(p, c, rc, "region.del", &r);
}

CMDS_CHANGE(region_set)
CMDS_CHANGE(region_del)

static bool list_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_region r;

	if (is_region(key, key_len) && cp_region_parse(val, len, &r) == 0) {
		json_array_append_new(ctx, region_to_json(&r));
		cp_region_free(&r);
	}
	return true;
}

static void show_regions(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	json_t *list;

	if (cp_admin_arg_known(req, args, cmds_no_args) < 0)
		return;
	list = json_array();
	cp_store_each(cmds_store(ctx), CP_CF_PROFILE, list_one, list);
	cp_admin_reply(req, list);
}

int cmds_region(struct cmds *c, struct cp_admin *admin)
{
	int rc = cp_admin_register(admin, "region.set", region_set, c);

	if (rc == 0)
		rc = cp_admin_register(admin, "region.del", region_del, c);
	return rc < 0 ? rc : cp_admin_register(admin, "show.regions", show_regions, c);
}
