/* SPDX-License-Identifier: BSD-3-Clause */
#include "typejson.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "log.h"
#include "store/change.h"
#include "why.h"

#define PACKAGE_VERSION 1

/* A table for each object of a package: texts and switches. */
struct member {
	const char *name;
	size_t off, size; /* size 0: a switch */
};
#define TEXT(m) {#m, offsetof(struct cp_typerec, m), sizeof(((struct cp_typerec *)0)->m)}
#define SWITCH(m) {#m, offsetof(struct cp_typerec, m), 0}

static const struct member top[] = {TEXT(name), TEXT(vendor), TEXT(description), {NULL, 0, 0}};
static const struct member security[] = {SWITCH(authentication), SWITCH(encryption), SWITCH(media), {NULL, 0, 0}};
static const struct member features[] = {SWITCH(icon), SWITCH(tone), SWITCH(bridge), {NULL, 0, 0}};

static int take(const struct member *m, const json_t *v, struct cp_typerec *t, char *why, size_t size)
{
	char *at = (char *)t + m->off;

	if (m->size == 0) {
		if (!json_is_boolean(v))
			return cfg_invalid(why, size, "%s is not true or false", m->name);
		memcpy(at, &(bool){json_is_true(v)}, sizeof(bool));
		return 0;
	}
	if (!json_is_string(v) || json_string_length(v) >= m->size || strlen(json_string_value(v)) != json_string_length(v))
		return cfg_invalid(why, size, "%s is not a text below %zu bytes", m->name, m->size);
	memcpy(at, json_string_value(v), json_string_length(v) + 1);
	return 0;
}

static const struct member *find(const struct member *tab, const char *name)
{
	for (; tab->name != NULL; tab++)
		if (strcmp(tab->name, name) == 0)
			return tab;
	return NULL;
}

static int switches(const char *what, const json_t *o, const struct member *tab, struct cp_typerec *t, char *why, size_t size)
{
	json_t *v = (json_t *)(uintptr_t)o; /* jansson's iterators take no const; nothing is changed */

	if (!json_is_object(o))
		return cfg_invalid(why, size, "%s is no object", what);
	for (void *it = json_object_iter(v); it != NULL; it = json_object_iter_next(v, it)) {
		const struct member *m = find(tab, json_object_iter_key(it));
		int rc = m == NULL ? cfg_invalid(why, size, "%s: unknown member %s", what, cfg_q(json_object_iter_key(it)))
				   : take(m, json_object_iter_value(it), t, why, size);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int member(const char *key, const json_t *v, struct cp_typerec *t, char *why, size_t size)
{
	const struct member *m = find(top, key);

	if (m != NULL)
		return take(m, v, t, why, size);
	if (strcmp(key, "security") == 0)
		return switches(key, v, security, t, why, size);
	if (strcmp(key, "features") == 0)
		return switches(key, v, features, t, why, size);
	if (strcmp(key, "devtype") == 0)
		return json_is_integer(v) && json_integer_value(v) == PACKAGE_VERSION ?
			       0 : cfg_invalid(why, size, "devtype is not %d: another form of package", PACKAGE_VERSION);
	if (strcmp(key, "sccp_type") == 0) {
		if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > UINT32_MAX)
			return cfg_invalid(why, size, "sccp_type is not a number of 32 bits");
		t->sccp_type = (uint32_t)json_integer_value(v);
		return 0;
	}
	if (strcmp(key, "trusted") == 0) /* 000:P0-14 */
		return cfg_invalid(why, size, "no package can say whether its type is trusted");
	return strcmp(key, "changed_us") == 0 || strcmp(key, "replace") == 0 ? 0 : cfg_invalid(why, size, "unknown member %s", cfg_q(key));
}

int json_to_typerec(const json_t *o, struct cp_typerec *ret, char *why, size_t size)
{
	json_t *v = (json_t *)(uintptr_t)o;

	memset(ret, 0, sizeof(*ret));
	if (!json_is_object(o))
		return cfg_invalid(why, size, "a package is an object");
	for (void *it = json_object_iter(v); it != NULL; it = json_object_iter_next(v, it)) {
		int rc = member(json_object_iter_key(it), json_object_iter_value(it), ret, why, size);

		if (rc < 0)
			return rc;
	}
	if (json_object_get(o, "devtype") == NULL)
		return cfg_invalid(why, size, "it is no package of a device type: \"devtype\": %d is missing", PACKAGE_VERSION);
	if (json_object_get(o, "security") == NULL)
		return cfg_invalid(why, size, "the package does not say its security: authentication, encryption, media");
	return cp_typerec_check(ret, why, size);
}

json_t *typerec_to_json(const struct cp_typerec *t)
{
	return json_pack("{s:i,s:s,s:s,s:s,s:{s:b,s:b,s:b},s:{s:b,s:b,s:b},s:I,s:I}", "devtype", PACKAGE_VERSION, "name", t->name, "vendor", t->vendor,
			 "description", t->description, "security", "authentication", (int)t->authentication, "encryption", (int)t->encryption,
			 "media", (int)t->media, "features", "icon", (int)t->icon, "tone", (int)t->tone, "bridge", (int)t->bridge, "sccp_type",
			 (json_int_t)t->sccp_type, "changed_us", (json_int_t)t->changed_us);
}

int json_change_typerec(struct cp_change *c, const json_t *o, bool replace, char *why, size_t size)
{
	struct cp_typerec t;
	int rc = json_to_typerec(o, &t, why, size);

	return rc < 0 ? rc : cp_typerec_put(c, &t, replace, why, size);
}

void bulk_typerec(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_typerec t;

	if (key_len <= 8 || memcmp(key, "devtype/", 8) != 0 || cp_typerec_parse(val, len, &t) < 0)
		return;
	cp_bulk_item(b, typerec_to_json(&t));
	cp_typerec_free(&t);
}

/* --- commands --- */

static int submit(struct pending_change *p, struct cp_change *c, int rc, const char *event, const char *name)
{
	if (c == NULL)
		return -ENOMEM;
	if (rc < 0) {
		cp_change_destroy(c);
		return rc;
	}
	p->result = json_pack("{s:s}", "name", name);
	return cp_change_submit(c, event, cp_admin_who(p->req), json_copy(p->result), change_written, p);
}

static int attempt_devtype_install(struct pending_change *p, char *why, size_t size)
{
	struct cp_change *c = cp_change_create(cmds_store(p->cmds));
	bool replace = json_is_true(json_object_get(p->args, "replace"));
	int rc = c == NULL ? -ENOMEM : json_change_typerec(c, p->args, replace, why, size);

	return submit(p, c, rc, "devtype.install", rc == 0 ? json_string_value(json_object_get(p->args, "name")) : "");
}

static int attempt_devtype_del(struct pending_change *p, char *why, size_t size)
{
	const char *name = json_string_value(json_object_get(p->args, "name"));
	struct cp_change *c = cp_change_create(cmds_store(p->cmds));
	int rc = c == NULL ? -ENOMEM : name == NULL ? cfg_invalid(why, size, "name is missing") :
							 cp_typerec_del(cmds_store(p->cmds), c, name, why, size);

	return submit(p, c, rc, "devtype.del", rc == 0 ? name : "");
}

CMDS_CHANGE(devtype_install)
CMDS_CHANGE(devtype_del)

static json_t *row(const char *name, const struct cp_devtype *t, bool installed)
{
	json_t *modes = json_array();

	for (int m = CP_DEVICE_NONSECURE; m <= CP_DEVICE_ENCRYPTED; m++)
		if (cp_devtype_mode_ok(t, m))
			json_array_append_new(modes, json_string(cp_device_mode_name((enum cp_device_mode)m)));
	return json_pack("{s:s,s:s,s:o,s:b,s:s,s:b,s:b,s:b,s:I}", "name", name, "from", installed ? "package" : "built in", "modes", modes, "srtp",
			 (t->flags & CP_DT_SRTP) != 0, "trust", cp_devtype_trust_text(t), "icon", (t->flags & CP_DT_ICON) != 0, "tone",
			 (t->flags & CP_DT_TONE) != 0, "bridge", (t->flags & CP_DT_BRIDGE) != 0, "sccp_type", (json_int_t)t->type);
}

static bool list_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_typerec t;

	if (key_len > 8 && memcmp(key, "devtype/", 8) == 0 && cp_typerec_parse(val, len, &t) == 0) {
		struct cp_devtype as = cp_typerec_devtype(&t);

		json_array_append_new(ctx, row(t.name, &as, true));
		cp_typerec_free(&t);
	}
	return true;
}

/* 000:P0-17, P0-30: what can be chosen, and whether it is trusted. */
static void show_devtypes(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	const struct cp_devtype *t;
	json_t *list;

	if (cp_admin_arg_known(req, args, cmds_no_args) < 0)
		return;
	list = json_array();
	for (unsigned i = 0; (t = cp_devtype_at(i)) != NULL; i++)
		json_array_append_new(list, row(t->model, t, false));
	cp_store_each(cmds_store(ctx), CP_CF_PROFILE, list_one, list);
	cp_admin_reply(req, list);
}

int cmds_devtype(struct cmds *c, struct cp_admin *admin)
{
	int rc = cp_admin_register(admin, "devtype.install", devtype_install, c);

	if (rc == 0)
		rc = cp_admin_register(admin, "devtype.del", devtype_del, c);
	return rc < 0 ? rc : cp_admin_register(admin, "show.devtypes", show_devtypes, c);
}
