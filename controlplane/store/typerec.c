/* SPDX-License-Identifier: BSD-3-Clause */
#include "typerec.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "changeint.h"
#include "clock.h"
#include "fieldtab.h"
#include "log.h"
#include "store.h"

/* Tags are forever. */
static const struct cp_field typerec_fields[] = {
	F(1, CP_F_STR, cp_typerec, name),
	F(2, CP_F_STR, cp_typerec, vendor),
	F(3, CP_F_STR, cp_typerec, description),
	F(4, CP_F_BOOL, cp_typerec, authentication),
	F(5, CP_F_BOOL, cp_typerec, encryption),
	F(6, CP_F_BOOL, cp_typerec, media),
	F(7, CP_F_BOOL, cp_typerec, icon),
	F(8, CP_F_BOOL, cp_typerec, tone),
	F(9, CP_F_BOOL, cp_typerec, bridge),
	F(10, CP_F_UINT, cp_typerec, sccp_type),
	F(11, CP_F_UINT, cp_typerec, changed_us),
	END,
};

bool cp_typerec_name_ok(const char *name)
{
	size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 ._-");

	return n > 0 && name[n] == '\0' && n < CP_TEXT_MAX && name[0] != ' ' && name[n - 1] != ' ';
}

static int no(char *why, size_t size, const char *name, const char *text)
{
	snprintf(why, size, "device type %s: %s", cfg_q(name), text);
	return -EINVAL;
}

int cp_typerec_check(const struct cp_typerec *t, char *why, size_t size)
{
	if (!cp_typerec_name_ok(t->name))
		return no(why, size, t->name, "a name is 1 to 63 of letters, digits, blanks and . _ -");
	if (!cp_text_ok(t->vendor) || !cp_text_ok(t->description))
		return no(why, size, t->name, "vendor or description is not printable UTF-8 below 64 bytes");
	if (cp_devtype_known(cp_devtype_find(t->name, 0)))
		return no(why, size, t->name, "it is one of the types that are built in");
	if (t->sccp_type != 0 && cp_devtype_known(cp_devtype_find("", t->sccp_type)))
		return no(why, size, t->name, "its number is that of a type that is built in");
	if (t->encryption && !t->authentication)
		return no(why, size, t->name, "encryption needs authentication");
	if (t->media && !t->encryption)
		return no(why, size, t->name, "media encryption needs encryption: keys travel in the signalling");
	if (t->tone && !t->media)
		return no(why, size, t->name, "a secure tone needs media encryption");
	return 0;
}

RECORD(cp_typerec, CP_KIND_DEVTYPE, typerec_fields, cp_typerec_check)

void cp_typerec_key(char key[CP_TEXT_MAX + 16], const char *name)
{
	int n = snprintf(key, CP_TEXT_MAX + 16, "devtype/%s", name);

	for (int i = 8; i < n && i < CP_TEXT_MAX + 15; i++)
		key[i] = (char)tolower((unsigned char)key[i]);
}

int cp_typerec_put(struct cp_change *c, const struct cp_typerec *t, bool replace, char *why, size_t size)
{
	char key[CP_TEXT_MAX + 16], what[CP_TEXT_MAX + 16];
	struct cp_typerec with = *t;
	struct cp_buf out;
	int rc = cp_typerec_check(t, why, size);

	if (rc < 0)
		return rc;
	with.changed_us = cp_wall_us();
	cp_typerec_key(key, t->name);
	snprintf(what, sizeof(what), "device type %s", t->name);
	rc = cp_typerec_build(&with, &out);
	return rc < 0 ? rc : cp_change_conf_put(c, key, what, &out, replace, why, size);
}

struct use {
	const char *name;
	char by[CP_DEVICE_NAME_MAX];
};

static void use_one(void *ctx, const struct cp_device *dev)
{
	struct use *u = ctx;

	if (strcasecmp(dev->model, u->name) == 0)
		memcpy(u->by, dev->name, sizeof(u->by));
}

int cp_typerec_del(struct cp_store *store, struct cp_change *c, const char *name, char *why, size_t size)
{
	char key[CP_TEXT_MAX + 16], what[CP_TEXT_MAX + 16];
	struct use u = {.name = name};

	if (!cp_typerec_name_ok(name))
		return no(why, size, name, "none can have this name");
	if (cp_change_any_pending(store, CP_CF_DEVICE)) {
		snprintf(why, size, "devices are being changed");
		return -EBUSY;
	}
	cp_dir_each_device(store, use_one, &u);
	if (u.by[0] != '\0') {
		snprintf(why, size, "device type %s is that of %s", name, u.by);
		return -EPROTO;
	}
	cp_typerec_key(key, name);
	snprintf(what, sizeof(what), "device type %s", name);
	return cp_change_conf_del(c, key, what, why, size);
}

struct cp_devtype cp_typerec_devtype(const struct cp_typerec *t)
{
	return (struct cp_devtype){
		.model = "installed",
		.type = t->sccp_type,
		.flags = (uint8_t)((t->authentication ? CP_DT_TLS : 0) | (t->authentication && !t->encryption ? CP_DT_AUTH_ONLY : 0) |
				   (t->media ? CP_DT_SRTP : 0) | (t->icon ? CP_DT_ICON : 0) | (t->tone ? CP_DT_TONE : 0) |
				   (t->bridge ? CP_DT_BRIDGE : 0)),
	};
}

struct search {
	uint32_t type;
	struct cp_devtype found;
};

static bool search_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct search *s = ctx;
	struct cp_typerec t;

	if (key_len <= 8 || memcmp(key, "devtype/", 8) != 0 || cp_typerec_parse(val, len, &t) < 0)
		return true;
	if (t.sccp_type == s->type)
		s->found = cp_typerec_devtype(&t);
	cp_typerec_free(&t);
	return s->found.model == NULL;
}

struct cp_devtype cp_store_devtype(const struct cp_store *store, const char *model, uint32_t type)
{
	struct cp_devtype built_in = *cp_devtype_find(model, type);
	struct search s = {.type = type};
	char key[CP_TEXT_MAX + 16];
	struct cp_typerec t;
	const uint8_t *val;
	size_t len;

	if (cp_devtype_known(cp_devtype_find(model, type)) || store == NULL)
		return built_in;
	if (model[0] == '\0') { /* by what the phone says it is */
		if (type != 0)
			cp_store_each(store, CP_CF_PROFILE, search_one, &s);
		return s.found.model != NULL ? s.found : built_in;
	}
	cp_typerec_key(key, model);
	if (cp_store_get(store, CP_CF_PROFILE, key, strlen(key), &val, &len) == 0 && cp_typerec_parse(val, len, &t) == 0) {
		built_in = cp_typerec_devtype(&t);
		cp_typerec_free(&t);
	}
	return built_in;
}
