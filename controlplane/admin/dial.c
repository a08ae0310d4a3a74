/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands of the dial plan: partitions, calling search spaces, patterns, and what lines forward to. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dialjson.h"
#include "internal.h"

/* --- changes --- */

static int finish(struct pending_change *p, struct cp_change *c, int rc, const char *event, const char *key_name)
{
	const json_t *name = json_object_get(p->args, key_name);

	if (rc < 0) {
		cp_change_destroy(c);
		return rc;
	}
	p->result = json_pack("{s:O}", key_name, name);
	return cp_change_submit(c, event, cp_admin_who(p->req), json_copy(p->result), change_written, p);
}

typedef int (*put_fn)(struct cp_change *c, const json_t *o, bool replace, char *why, size_t size);

static int put(struct pending_change *p, put_fn fn, const char *event, const char *key_name, char *why, size_t size)
{
	struct cp_change *c = cp_change_create(cmds_store(p->cmds));

	return finish(p, c, c == NULL ? -ENOMEM : fn(c, p->args, false, why, size), event, key_name);
}

static int attempt_partition_add(struct pending_change *p, char *why, size_t size)
{
	return put(p, json_change_partition, "partition.add", "name", why, size);
}

static int attempt_css_add(struct pending_change *p, char *why, size_t size)
{
	return put(p, json_change_css, "css.add", "name", why, size);
}

static int attempt_pattern_add(struct pending_change *p, char *why, size_t size)
{
	return put(p, json_change_pattern, "pattern.add", "pattern", why, size);
}

static int attempt_forward_set(struct pending_change *p, char *why, size_t size)
{
	struct cp_store *store = cmds_store(p->cmds);
	struct cp_change *c = cp_change_create(store);

	return finish(p, c, c == NULL ? -ENOMEM : json_change_forward(c, store, p->args, why, size), "forward.set", "number");
}

/* The string 'name', and perhaps 'second': nothing else is in the arguments. */
static int strings(const struct pending_change *p, const char *name, const char *second, const char **ret, const char **ret_second, char *why,
		   size_t size)
{
	const json_t *a = json_object_get(p->args, name), *b = second != NULL ? json_object_get(p->args, second) : NULL;

	if (!json_is_string(a) || (b != NULL && !json_is_string(b)) || json_object_size(p->args) != (b != NULL ? 2 : 1)) {
		snprintf(why, size, "the string %s is needed%s%s", name, second != NULL ? ", and perhaps " : "", second != NULL ? second : "");
		return -EINVAL;
	}
	*ret = json_string_value(a);
	*ret_second = b != NULL ? json_string_value(b) : "";
	return 0;
}

static int del(struct pending_change *p, int (*fn)(struct cp_change *, const char *, char *, size_t), const char *event, char *why, size_t size)
{
	const char *name, *none;
	struct cp_change *c;
	int rc = strings(p, "name", NULL, &name, &none, why, size);

	if (rc < 0)
		return rc;
	c = cp_change_create(cmds_store(p->cmds));
	return finish(p, c, c == NULL ? -ENOMEM : fn(c, name, why, size), event, "name");
}

static int attempt_partition_del(struct pending_change *p, char *why, size_t size)
{
	return del(p, cp_change_partition_del, "partition.del", why, size);
}

static int attempt_css_del(struct pending_change *p, char *why, size_t size)
{
	return del(p, cp_change_css_del, "css.del", why, size);
}

static int attempt_pattern_del(struct pending_change *p, char *why, size_t size)
{
	const char *pattern, *partition;
	struct cp_change *c;
	int rc = strings(p, "pattern", "partition", &pattern, &partition, why, size);

	if (rc < 0)
		return rc;
	c = cp_change_create(cmds_store(p->cmds));
	return finish(p, c, c == NULL ? -ENOMEM : cp_change_pattern_del(c, partition, pattern, why, size), "pattern.del", "pattern");
}

CMDS_CHANGE(partition_add)
CMDS_CHANGE(partition_del)
CMDS_CHANGE(css_add)
CMDS_CHANGE(css_del)
CMDS_CHANGE(pattern_add)
CMDS_CHANGE(pattern_del)
CMDS_CHANGE(forward_set)

/* --- shown --- */

static void bulk_dial(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	json_t *o = dial_to_json(key, key_len, val, len);

	if (o != NULL)
		cp_bulk_item(b, o);
}

static void make_list(struct cp_bulk *b, const char *folder)
{
	cp_bulk_array(b);
	cp_bulk_each(b, CP_CF_DIAL, folder, bulk_dial);
	cp_bulk_text(b, "]");
}

static void make_partitions(struct cp_bulk *b)
{
	make_list(b, "partition/");
}

static void make_css(struct cp_bulk *b)
{
	make_list(b, "css/");
}

static void make_patterns(struct cp_bulk *b)
{
	make_list(b, "pattern/");
}

static void make_forwards(struct cp_bulk *b)
{
	make_list(b, "forward/");
}

void bulk_dialplan(struct cp_bulk *b)
{
	cp_bulk_text(b, "\"partitions\":");
	make_partitions(b);
	cp_bulk_text(b, ",\"css\":");
	make_css(b);
	cp_bulk_text(b, ",\"patterns\":");
	make_patterns(b);
	cp_bulk_text(b, ",\"forwards\":");
	make_forwards(b);
}

#define SHOW(name)                                                                                \
	static void show_##name(void *ctx, struct cp_admin_req *req, const json_t *args)          \
	{                                                                                         \
		if (cp_admin_arg_known(req, args, cmds_no_args) == 0)                             \
			cmds_bulk(ctx, req, make_##name);                                         \
	}

SHOW(partitions)
SHOW(css)
SHOW(patterns)
SHOW(forwards)

int cmds_dial(struct cmds *c, struct cp_admin *admin)
{
	static const struct {
		const char *cmd;
		cp_admin_fn fn;
	} list[] = {
		{"partition.add", partition_add}, {"partition.del", partition_del}, {"show.partitions", show_partitions},
		{"css.add", css_add},		  {"css.del", css_del},		    {"show.css", show_css},
		{"pattern.add", pattern_add},	  {"pattern.del", pattern_del},	    {"show.patterns", show_patterns},
		{"forward.set", forward_set},	  {"show.forwards", show_forwards},
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && rc == 0; i++)
		rc = cp_admin_register(admin, list[i].cmd, list[i].fn, c);
	return rc;
}
