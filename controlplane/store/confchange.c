/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes of profiles, SRST references and the cluster's settings (phonecfg.h), and what of them and of its type a device has to fit. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changeint.h"
#include "clock.h"
#include "log.h"
#include "phonecfg.h"
#include "sccp/devtype.h"
#include "typerec.h"
#include "why.h"

static int conf_key(char key[CP_NAME_MAX + 16], const char *folder, const char *name)
{
	return snprintf(key, CP_NAME_MAX + 16, "%s%s", folder, name);
}

/* The record as the change has it, else as the view has it. False: there is none. */
static bool conf_get(const struct cp_change *c, const char *key, const uint8_t **ret, size_t *ret_len)
{
	const struct cp_ent *e = cp_tab_find(&c->confs, key, strlen(key));
	const struct cp_buf *b = e == NULL ? NULL : e->obj;

	if (e != NULL) {
		*ret = b == NULL ? NULL : b->data;
		*ret_len = b == NULL ? 0 : b->len;
		return b != NULL;
	}
	return cp_store_get(c->store, CP_CF_PROFILE, key, strlen(key), ret, ret_len) == 0;
}

/* 'val' is taken, also on error; data NULL: deleted. */
static int conf_set(struct cp_change *c, const char *key, struct cp_buf *val)
{
	return cp_change_set_buf(&c->confs, key, val);
}

static bool conf_pending(const struct cp_change *c, const char *key)
{
	return cp_store_pending(c->store, CP_CF_PROFILE, key, strlen(key));
}

static int srst_named(const struct cp_change *c, const char *whose, const char *name, char *why, size_t size)
{
	char key[CP_NAME_MAX + 16];
	const uint8_t *val;
	size_t len;

	if (name[0] == '\0')
		return 0;
	conf_key(key, "srst/", name);
	if (conf_pending(c, key)) /* first: what the view still has may be on its way out */
		return cfg_no(why, size, -EBUSY, "SRST reference %s is being changed", name);
	return conf_get(c, key, &val, &len) ? 0 : cfg_no(why, size, -EINVAL, "%s: no SRST reference %s", whose, name);
}

int cp_change_fit_profile(const struct cp_change *c, struct cp_device *dev, char *why, size_t size)
{
	char key[CP_NAME_MAX + 16];
	struct cp_profile p;
	const uint8_t *val;
	size_t len;
	int rc = srst_named(c, dev->name, dev->srst, why, size);

	if (rc < 0 || dev->profile[0] == '\0')
		return rc;
	conf_key(key, "profile/", dev->profile);
	if (conf_pending(c, key))
		return cfg_no(why, size, -EBUSY, "profile %s is being changed", dev->profile);
	if (!conf_get(c, key, &val, &len) || cp_profile_parse(val, len, &p) < 0)
		return cfg_no(why, size, -EINVAL, "%s: no profile %s", dev->name, dev->profile);
	if (p.protocol != CP_PROTOCOL_ANY && dev->protocol != CP_PROTOCOL_ANY && p.protocol != dev->protocol)
		rc = cfg_no(why, size, -EINVAL, "%s is a %s phone, profile %s is for %s", dev->name,
			    cp_protocol_name(dev->protocol), p.name, cp_protocol_name(p.protocol));
	dev->mode = p.mode;
	cp_profile_free(&p);
	return rc;
}

/* Its type as it will be: built in, or of a package that this change may bring itself. */
static int type_of(const struct cp_change *c, const char *model, struct cp_devtype *ret, char *why, size_t size)
{
	const struct cp_devtype *t = cp_devtype_find(model, 0);
	char key[CP_TEXT_MAX + 16];
	struct cp_typerec rec;
	const uint8_t *val;
	size_t len;

	*ret = *t;
	if (cp_devtype_known(t) || model[0] == '\0')
		return 0;
	cp_typerec_key(key, model);
	if (conf_pending(c, key))
		return cfg_no(why, size, -EBUSY, "device type %s is being changed", model);
	if (conf_get(c, key, &val, &len) && cp_typerec_parse(val, len, &rec) == 0) {
		*ret = cp_typerec_devtype(&rec);
		cp_typerec_free(&rec);
	}
	return 0;
}

int cp_change_fit_type(const struct cp_change *c, const struct cp_device *old, const struct cp_device *dev, char *why, size_t size)
{
	struct cp_devtype t;
	int rc;

	if (!cp_device_name_ok(dev->name) ||
	    (old != NULL && old->mode == dev->mode && old->secure_tone == dev->secure_tone && strcmp(old->model, dev->model) == 0))
		return 0;
	rc = type_of(c, dev->model, &t, why, size);
	if (rc == 0 && !cp_devtype_mode_ok(&t, (int)dev->mode))
		return cfg_no(why, size, -EINVAL, "%s: mode %s is nothing that device type %s can do%s", dev->name, cp_device_mode_name(dev->mode),
			      cfg_q(dev->model), strcmp(t.model, "unknown") == 0 ? ": no such type is installed (show devtypes, devtype install)" : "");
	if (rc == 0 && dev->secure_tone && (t.flags & CP_DT_TONE) == 0)
		return cfg_no(why, size, -EINVAL, "%s: device type %s plays no secure tone", dev->name,
			      dev->model[0] != '\0' ? cfg_q(dev->model) : "\"\" (say its model)");
	return rc;
}

struct users {
	struct cp_change *c;
	const struct cp_profile *profile; /* whose mode they get; NULL: count only */
	const char *profile_name, *srst_name;
	unsigned n;
	char first[CP_DEVICE_NAME_MAX];
	int rc;
	char *why; /* of rc; may be NULL */
	size_t why_size;
};

static void user(struct users *u, const struct cp_device *dev)
{
	if ((u->profile_name != NULL && strcmp(dev->profile, u->profile_name) != 0) ||
	    (u->srst_name != NULL && strcmp(dev->srst, u->srst_name) != 0))
		return;
	if (u->n++ == 0)
		memcpy(u->first, dev->name, sizeof(u->first));
	if (u->profile != NULL && dev->mode != u->profile->mode && u->rc == 0) {
		struct cp_device *copy = calloc(1, sizeof(*copy));

		u->rc = copy == NULL ? -ENOMEM : cp_device_copy(dev, copy);
		if (u->rc == 0) {
			copy->mode = u->profile->mode;
			u->rc = cp_change_fit_type(u->c, dev, copy, u->why, u->why_size);
		}
		if (u->rc == 0) {
			copy->changed_us = cp_wall_us();
			u->rc = cp_change_set(&u->c->devs, copy->name, strlen(copy->name), copy);
		}
		if (u->rc < 0 && copy != NULL)
			cp_change_free_device(copy);
	}
}

static void user_in_view(void *ctx, const struct cp_device *dev)
{
	struct users *u = ctx;

	if (cp_tab_find(&u->c->devs, dev->name, strlen(dev->name)) == NULL)
		user(u, dev);
}

/* All devices that use a profile or an SRST reference, as they will be. */
static void each_user(struct users *u)
{
	const struct cp_tab *t = &u->c->devs;

	for (size_t i = 0; i < cp_tab_buckets(t); i++)
		for (struct cp_ent *e = t->bucket[i], *next; e != NULL; e = next) {
			struct cp_device *dev = e->obj;

			next = e->next;
			if (dev == NULL)
				continue;
			if (u->profile != NULL && strcmp(dev->profile, u->profile_name) == 0) {
				dev->mode = u->profile->mode; /* ours: changed in place */
				u->n++;
			} else if (u->profile == NULL) {
				user(u, dev);
			}
		}
	cp_dir_each_device(u->c->store, user_in_view, u);
}

int cp_change_profile_put(struct cp_change *c, const struct cp_profile *p, bool replace, char *why, size_t size)
{
	struct users u = {.c = c, .profile = p, .profile_name = p->name, .why = why, .why_size = size};
	struct cp_profile with = *p, old;
	char key[CP_NAME_MAX + 16];
	const uint8_t *val;
	struct cp_buf out;
	size_t len;
	bool there, moved = false, other = false;
	int rc = cp_profile_check(p, why, size);

	if (rc == 0)
		rc = srst_named(c, p->name, p->srst, why, size);
	if (rc < 0)
		return rc;
	conf_key(key, "profile/", p->name);
	if (conf_pending(c, key))
		return cfg_no(why, size, -EBUSY, "profile %s is being changed", p->name);
	there = conf_get(c, key, &val, &len);
	if (there && !replace)
		return cfg_no(why, size, -EEXIST, "profile %s exists", p->name);
	with.changed_us = cp_wall_us();
	if (there && cp_profile_parse(val, len, &old) == 0) {
		moved = old.mode != p->mode;
		other = old.protocol != p->protocol && p->protocol != CP_PROTOCOL_ANY;
		if (other) {
			struct users all = {.c = c, .profile_name = p->name};

			each_user(&all);
			if (all.n > 0)
				rc = cfg_no(why, size, -EPROTO, "%s and %u others use profile %s: its protocol stays", all.first,
					    all.n - 1, p->name);
		}
		if (with.unknown.len == 0) {
			with.unknown = old.unknown;
			if (rc == 0)
				rc = cp_profile_build(&with, &out);
			with.unknown = (struct cp_buf){0};
		} else if (rc == 0) {
			rc = cp_profile_build(&with, &out);
		}
		cp_profile_free(&old);
	} else {
		rc = cp_profile_build(&with, &out);
	}
	if (rc < 0)
		return rc;
	if ((moved || other) && cp_change_any_pending(c->store, CP_CF_DEVICE)) {
		free(out.data);
		return cfg_no(why, size, -EBUSY, "devices are being changed");
	}
	if (moved)
		each_user(&u);
	if (u.rc < 0) {
		free(out.data);
		return u.rc;
	}
	return conf_set(c, key, &out);
}

/* The record is there, and no device uses it. */
static int unused_by_devices(struct users *u, char key[CP_NAME_MAX + 16], const char *folder, const char *what, const char *name, char *why,
			     size_t size)
{
	const uint8_t *val;
	size_t len;

	if (!cp_conf_name_ok(name))
		return cfg_no(why, size, -EINVAL, "no %s can be named %s", what, cfg_q(name));
	conf_key(key, folder, name);
	if (conf_pending(u->c, key) || cp_change_any_pending(u->c->store, CP_CF_DEVICE))
		return cfg_no(why, size, -EBUSY, "%s %s, or devices, are being changed", what, name);
	if (!conf_get(u->c, key, &val, &len))
		return cfg_no(why, size, -ENOENT, "no %s %s", what, name);
	each_user(u);
	if (u->n > 0)
		return cfg_no(why, size, -EPROTO, "%s %s is used by %u devices, %s among them", what, name, u->n, u->first);
	return 0;
}

int cp_change_profile_del(struct cp_change *c, const char *name, char *why, size_t size)
{
	struct users u = {.c = c, .profile_name = name};
	char key[CP_NAME_MAX + 16];
	struct cp_buf none = {0};
	int rc = unused_by_devices(&u, key, "profile/", "profile", name, why, size);

	return rc < 0 ? rc : conf_set(c, key, &none);
}

int cp_change_srst_put(struct cp_change *c, const struct cp_srst *s, bool replace, char *why, size_t size)
{
	struct cp_srst with = *s;
	char key[CP_NAME_MAX + 16];
	const uint8_t *val;
	struct cp_buf out;
	size_t len;
	int rc = cp_srst_check(s, why, size);

	if (rc < 0)
		return rc;
	conf_key(key, "srst/", s->name);
	if (conf_pending(c, key))
		return cfg_no(why, size, -EBUSY, "SRST reference %s is being changed", s->name);
	if (conf_get(c, key, &val, &len) && !replace)
		return cfg_no(why, size, -EEXIST, "SRST reference %s exists", s->name);
	if (!with.secure) /* 004b:SRST-07, 004c:SR-03: whoever unticks it, an import too */
		with.cert = (struct cp_buf){0};
	with.changed_us = cp_wall_us();
	rc = cp_srst_build(&with, &out);
	return rc < 0 ? rc : conf_set(c, key, &out);
}

struct srst_use {
	struct cp_change *c;
	const char *name;
	char by[CP_NAME_MAX];
};

static bool srst_use_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct srst_use *u = ctx;
	struct cp_profile p;
	struct cp_cluster cl;

	if (val == NULL)
		return true;
	if (key_len > 8 && memcmp(key, "profile/", 8) == 0 && cp_profile_parse(val, len, &p) == 0) {
		if (strcmp(p.srst, u->name) == 0)
			memcpy(u->by, p.name, sizeof(u->by));
		cp_profile_free(&p);
	} else if (key_len == 7 && memcmp(key, "cluster", 7) == 0 && cp_cluster_parse(val, len, &cl) == 0) {
		if (strcmp(cl.srst, u->name) == 0)
			strcpy(u->by, "the cluster");
		cp_cluster_free(&cl);
	}
	return u->by[0] == '\0';
}

static bool srst_use_view(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct srst_use *u = ctx;

	return cp_tab_find(&u->c->confs, key, key_len) != NULL || srst_use_one(ctx, key, key_len, val, len);
}

int cp_change_srst_del(struct cp_change *c, const char *name, char *why, size_t size)
{
	struct users u = {.c = c, .srst_name = name};
	struct srst_use by = {.c = c, .name = name};
	char key[CP_NAME_MAX + 16];
	struct cp_buf none = {0};
	int rc = unused_by_devices(&u, key, "srst/", "SRST reference", name, why, size);

	if (rc < 0)
		return rc;
	if (cp_change_any_pending(c->store, CP_CF_PROFILE))
		return cfg_no(why, size, -EBUSY, "profiles, or the cluster's settings, are being changed");
	for (size_t i = 0; i < cp_tab_buckets(&c->confs); i++)
		for (const struct cp_ent *e = c->confs.bucket[i]; e != NULL && by.by[0] == '\0'; e = e->next) {
			const struct cp_buf *b = e->obj;

			srst_use_one(&by, e->key, e->key_len, b == NULL ? NULL : b->data, b == NULL ? 0 : b->len);
		}
	if (by.by[0] == '\0')
		cp_store_each(c->store, CP_CF_PROFILE, srst_use_view, &by);
	if (by.by[0] != '\0')
		return cfg_no(why, size, -EPROTO, "SRST reference %s is used by %s", name, by.by);
	return conf_set(c, key, &none);
}

int cp_change_cluster_put(struct cp_change *c, const struct cp_cluster *cl, char *why, size_t size)
{
	struct cp_cluster with = *cl;
	struct cp_buf out;
	int rc = cp_cluster_check(cl, why, size);

	if (rc == 0)
		rc = srst_named(c, "cluster", cl->srst, why, size);
	if (rc < 0)
		return rc;
	if (conf_pending(c, "cluster"))
		return cfg_no(why, size, -EBUSY, "the cluster's settings are being changed");
	with.changed_us = cp_wall_us();
	rc = cp_cluster_build(&with, &out);
	return rc < 0 ? rc : conf_set(c, "cluster", &out);
}

int cp_change_conf_put(struct cp_change *c, const char *key, const char *what, struct cp_buf *val, bool replace, char *why, size_t size)
{
	const uint8_t *old;
	size_t len;
	int rc = 0;

	if (conf_pending(c, key))
		rc = cfg_no(why, size, -EBUSY, "%s is being changed", what);
	else if (!replace && conf_get(c, key, &old, &len))
		rc = cfg_no(why, size, -EEXIST, "%s exists", what);
	if (rc == 0)
		return conf_set(c, key, val);
	free(val->data);
	return rc;
}

int cp_change_conf_del(struct cp_change *c, const char *key, const char *what, char *why, size_t size)
{
	struct cp_buf none = {0};
	const uint8_t *old;
	size_t len;

	if (conf_pending(c, key))
		return cfg_no(why, size, -EBUSY, "%s is being changed", what);
	if (!conf_get(c, key, &old, &len))
		return cfg_no(why, size, -ENOENT, "no %s", what);
	return conf_set(c, key, &none);
}
