/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dial plan's records from and to JSON, by tables: what the commands take, what is shown, and what an export has for an import.
 * Lists: "partitions" of a calling search space, names; "to" of a pattern, GATEWAY or GATEWAY/ENDPOINT.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialjson.h"
#include "internal.h"
#include "log.h"
#include "why.h"

enum type { T_STR, T_BOOL, T_UINT, T_KIND, T_DISCARD, T_TIME };

struct member {
	const char *name;
	enum type type;
	size_t size, off;
};

#define M(n, t, st, m) {n, t, sizeof(((struct st *)0)->m), offsetof(struct st, m)}
#define END {NULL, T_STR, 0, 0}

static const struct member partition_members[] = {
	M("name", T_STR, cp_partition, name),
	M("description", T_STR, cp_partition, description),
	M("changed_us", T_TIME, cp_partition, changed_us),
	END,
};
static const struct member css_members[] = {
	M("name", T_STR, cp_css, name),
	M("description", T_STR, cp_css, description),
	M("changed_us", T_TIME, cp_css, changed_us),
	END,
};
static const struct member pattern_members[] = {
	M("pattern", T_STR, cp_pattern, pattern),
	M("partition", T_STR, cp_pattern, partition),
	M("description", T_STR, cp_pattern, description),
	M("kind", T_KIND, cp_pattern, kind),
	M("urgent", T_BOOL, cp_pattern, urgent),
	M("discard", T_DISCARD, cp_pattern, discard),
	M("mask", T_STR, cp_pattern, mask),
	M("prefix", T_STR, cp_pattern, prefix),
	M("calling_mask", T_STR, cp_pattern, calling_mask),
	M("calling_prefix", T_STR, cp_pattern, calling_prefix),
	M("css", T_STR, cp_pattern, css),
	M("reason", T_STR, cp_pattern, reason),
	M("busy_tone", T_BOOL, cp_pattern, busy_tone),
	M("changed_us", T_TIME, cp_pattern, changed_us),
	END,
};
static const struct member forward_members[] = {
	M("number", T_STR, cp_forward, number),
	M("partition", T_STR, cp_forward, partition),
	M("all", T_STR, cp_forward, all),
	M("busy", T_STR, cp_forward, busy),
	M("no_answer", T_STR, cp_forward, no_answer),
	M("unregistered", T_STR, cp_forward, unregistered),
	M("css", T_STR, cp_forward, css),
	M("ring_s", T_UINT, cp_forward, ring_s),
	M("changed_us", T_TIME, cp_forward, changed_us),
	END,
};

static int take_text(const struct member *m, const json_t *v, char *out, char *why, size_t size)
{
	uint8_t kind;
	enum cp_discard discard;

	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
		return cfg_invalid(why, size, "%s is not a string", m->name);
	if (m->type == T_KIND) {
		if (cp_pattern_kind_parse(json_string_value(v), &kind) < 0)
			return cfg_invalid(why, size, "kind %s is not route, translate or block", cfg_q(json_string_value(v)));
		*(uint8_t *)out = kind;
		return 0;
	}
	if (m->type == T_DISCARD) {
		if (cp_discard_parse(json_string_value(v), &discard) < 0)
			return cfg_invalid(why, size, "discard %s is not none, predot, trailing-#, predot-trailing-# or all",
					   cfg_q(json_string_value(v)));
		*(uint8_t *)out = (uint8_t)discard;
		return 0;
	}
	if (json_string_length(v) >= m->size)
		return cfg_invalid(why, size, "%s is longer than %zu bytes", m->name, m->size - 1);
	memcpy(out, json_string_value(v), json_string_length(v) + 1);
	return 0;
}

static int take(const struct member *m, const json_t *v, void *rec, char *why, size_t size)
{
	char *out = (char *)rec + m->off;
	uint32_t n;

	switch (m->type) {
	case T_TIME:
		return 0; /* the store's own */
	case T_BOOL:
		if (!json_is_boolean(v))
			return cfg_invalid(why, size, "%s is not true or false", m->name);
		*(bool *)out = json_is_true(v);
		return 0;
	case T_UINT:
		if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > UINT32_MAX)
			return cfg_invalid(why, size, "%s is not a whole number", m->name);
		n = (uint32_t)json_integer_value(v);
		memcpy(out, &n, sizeof(n));
		return 0;
	default:
		return take_text(m, v, out, why, size);
	}
}

/* Members of the table into the record, which keeps what is not given; 'list' (may be NULL) and "replace" are the caller's. */
static int take_all(const struct member *members, const char *list, const json_t *o, void *rec, char *why, size_t size)
{
	json_t *obj = (json_t *)(uintptr_t)o; /* jansson's iterators take no const; nothing is changed */
	int rc = json_is_object(o) ? 0 : cfg_invalid(why, size, "it is no object");

	for (void *it = rc == 0 ? json_object_iter(obj) : NULL; it != NULL && rc == 0; it = json_object_iter_next(obj, it)) {
		const char *name = json_object_iter_key(it);
		const struct member *m = members;

		while (m->name != NULL && strcmp(m->name, name) != 0)
			m++;
		if (m->name != NULL)
			rc = take(m, json_object_iter_value(it), rec, why, size);
		else if (strcmp(name, "replace") != 0 && (list == NULL || strcmp(name, list) != 0))
			rc = cfg_invalid(why, size, "unknown member %s", cfg_q(name));
	}
	return rc;
}

static json_t *print_all(const struct member *members, const void *rec)
{
	json_t *o = json_object();

	for (const struct member *m = members; m->name != NULL; m++) {
		const char *at = (const char *)rec + m->off;
		int64_t time;
		uint32_t n;

		switch (m->type) {
		case T_STR:
			json_object_set_new(o, m->name, json_string(at));
			break;
		case T_BOOL:
			json_object_set_new(o, m->name, json_boolean(*(const bool *)at));
			break;
		case T_UINT:
			memcpy(&n, at, sizeof(n));
			json_object_set_new(o, m->name, json_integer(n));
			break;
		case T_KIND:
			json_object_set_new(o, m->name, json_string(cp_pattern_kind_name(*(const uint8_t *)at)));
			break;
		case T_DISCARD:
			json_object_set_new(o, m->name, json_string(cp_discard_name((enum cp_discard)*(const uint8_t *)at)));
			break;
		case T_TIME:
			memcpy(&time, at, sizeof(time));
			json_object_set_new(o, m->name, json_integer(time));
			break;
		}
	}
	return o;
}

/* A list of strings. NULL and rc 0: it is not given. */
static int strings(const json_t *o, const char *name, size_t max, json_t **ret, char *why, size_t size)
{
	json_t *list = json_object_get(o, name), *v;
	size_t i;

	*ret = list;
	if (list == NULL)
		return 0;
	if (!json_is_array(list) || json_array_size(list) > max)
		return cfg_invalid(why, size, "%s is not an array of at most %zu", name, max);
	json_array_foreach(list, i, v)
		if (!json_is_string(v))
			return cfg_invalid(why, size, "an item of %s is not a string", name);
	return 0;
}

static bool replaces(const json_t *o, bool otherwise)
{
	const json_t *v = json_object_get(o, "replace");

	return v != NULL ? json_is_true(v) : otherwise;
}

int json_change_partition(struct cp_change *c, const json_t *o, bool replace, char *why, size_t size)
{
	struct cp_partition rec = {0};
	int rc = take_all(partition_members, NULL, o, &rec, why, size);

	return rc < 0 ? rc : cp_change_partition_put(c, &rec, replaces(o, replace), why, size);
}

int json_change_css(struct cp_change *c, const json_t *o, bool replace, char *why, size_t size)
{
	struct cp_css_item items[CP_CSS_PARTITIONS_MAX] = {{{0}}};
	struct cp_css rec = {.partitions = items};
	int rc = take_all(css_members, "partitions", o, &rec, why, size);
	json_t *list = NULL, *v;
	size_t i;

	if (rc == 0)
		rc = strings(o, "partitions", CP_CSS_PARTITIONS_MAX, &list, why, size);
	json_array_foreach(rc == 0 ? list : NULL, i, v) {
		if (json_string_length(v) >= sizeof(items[0].partition))
			return cfg_invalid(why, size, "a partition's name is longer than %d bytes", CP_PART_MAX - 1);
		strcpy(items[rec.partition_cnt++].partition, json_string_value(v));
	}
	return rc < 0 ? rc : cp_change_css_put(c, &rec, replaces(o, replace), why, size);
}

static int target(const char *text, struct cp_pattern_target *ret, char *why, size_t size)
{
	const char *slash = strchr(text, '/');
	size_t n = slash != NULL ? (size_t)(slash - text) : strlen(text);

	if (n >= sizeof(ret->gateway) || (slash != NULL && strlen(slash + 1) >= sizeof(ret->endpoint)))
		return cfg_invalid(why, size, "%s is not GATEWAY or GATEWAY/ENDPOINT", cfg_q(text));
	memcpy(ret->gateway, text, n);
	if (slash != NULL)
		strcpy(ret->endpoint, slash + 1);
	return 0;
}

int json_change_pattern(struct cp_change *c, const json_t *o, bool replace, char *why, size_t size)
{
	struct cp_pattern_target to[CP_PATTERN_TARGETS_MAX] = {{{0}, {0}}};
	struct cp_pattern rec = {.targets = to, .kind = CP_PATTERN_ROUTE};
	int rc = take_all(pattern_members, "to", o, &rec, why, size);
	char normal[CP_PATTERN_MAX], text[160] = "";
	json_t *list = NULL, *v;
	size_t i;

	if (rc == 0)
		rc = strings(o, "to", CP_PATTERN_TARGETS_MAX, &list, why, size);
	json_array_foreach(rc == 0 ? list : NULL, i, v) {
		rc = target(json_string_value(v), &to[rec.target_cnt++], why, size);
		if (rc < 0)
			break;
	}
	if (rc < 0)
		return rc;
	if (cp_pat_normal(rec.pattern, normal, text, sizeof(text)) < 0)
		return cfg_invalid(why, size, "pattern %s: %s", cfg_q(rec.pattern), text);
	memcpy(rec.pattern, normal, sizeof(rec.pattern));
	return cp_change_pattern_put(c, &rec, replaces(o, replace), why, size);
}

/* What is not given stays as it is. */
int json_change_forward(struct cp_change *c, struct cp_store *store, const json_t *o, char *why, size_t size)
{
	const char *number = json_string_value(json_object_get(o, "number")), *part = json_string_value(json_object_get(o, "partition"));
	struct cp_forward rec;
	int rc;

	if (number == NULL || strlen(number) >= CP_NUMBER_MAX || (part != NULL && strlen(part) >= CP_PART_MAX))
		return cfg_invalid(why, size, "number is missing, or not one of 1 to 32 digits");
	cp_forward_get(store, number, part != NULL ? part : "", &rec);
	rc = take_all(forward_members, NULL, o, &rec, why, size);
	return rc < 0 ? rc : cp_change_forward_put(c, &rec, why, size);
}

static bool in(const uint8_t *key, size_t len, const char *folder)
{
	return len > strlen(folder) && memcmp(key, folder, strlen(folder)) == 0;
}

json_t *dial_to_json(const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_partition part;
	struct cp_css css;
	struct cp_pattern pat;
	struct cp_forward fwd;
	json_t *o = NULL, *list = json_array();

	if (in(key, key_len, "partition/") && cp_partition_parse(val, len, &part) == 0) {
		o = print_all(partition_members, &part);
		cp_partition_free(&part);
	} else if (in(key, key_len, "css/") && cp_css_parse(val, len, &css) == 0) {
		o = print_all(css_members, &css);
		for (unsigned i = 0; i < css.partition_cnt; i++)
			json_array_append_new(list, json_string(css.partitions[i].partition));
		json_object_set(o, "partitions", list);
		cp_css_free(&css);
	} else if (in(key, key_len, "pattern/") && cp_pattern_parse(val, len, &pat) == 0) {
		o = print_all(pattern_members, &pat);
		for (unsigned i = 0; i < pat.target_cnt; i++)
			json_array_append_new(list, json_sprintf("%s%s%s", pat.targets[i].gateway, pat.targets[i].endpoint[0] != '\0' ? "/" : "",
								 pat.targets[i].endpoint));
		json_object_set(o, "to", list);
		cp_pattern_free(&pat);
	} else if (in(key, key_len, "forward/") && cp_forward_parse(val, len, &fwd) == 0) {
		o = print_all(forward_members, &fwd);
		cp_forward_free(&fwd);
	}
	json_decref(list);
	return o;
}
