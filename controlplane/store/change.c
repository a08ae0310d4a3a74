/* SPDX-License-Identifier: BSD-3-Clause */
#include "changeint.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "phonecfg.h"
#include "sccp/devtype.h"
#include "typerec.h"

static int no(char *why, size_t size, int rc, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static int no(char *why, size_t size, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (why != NULL && size > 0)
		vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return rc;
}

static void free_device(void *obj)
{
	cp_device_free(obj);
	free(obj);
}

static void free_gateway(void *obj)
{
	cp_gateway_free(obj);
	free(obj);
}

static void free_conf(void *obj);

struct cp_change *cp_change_create(struct cp_store *store)
{
	struct cp_change *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->store = store;
	if (cp_tab_init(&c->devs, free_device) < 0 || cp_tab_init(&c->gws, free_gateway) < 0 ||
	    cp_tab_init(&c->nums, cp_owner_delete) < 0 || cp_tab_init(&c->confs, free_conf) < 0 || cp_tab_init(&c->dials, free_conf) < 0) {
		cp_change_destroy(c);
		return NULL;
	}
	return c;
}

void cp_change_destroy(struct cp_change *c)
{
	if (c == NULL)
		return;
	cp_tab_fini(&c->devs);
	cp_tab_fini(&c->gws);
	cp_tab_fini(&c->nums);
	cp_tab_fini(&c->confs);
	cp_tab_fini(&c->dials);
	free(c);
}

void cp_change_share(struct cp_change *c, bool shared)
{
	c->shared = shared;
}

static int64_t wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The record as the change has it, else as the view has it. *ret_there: there is one, perhaps unreadable. */
static void *current(const struct cp_change *c, const struct cp_tab *overlay, enum cp_cf cf, const char *name,
		     bool *ret_there)
{
	const struct cp_ent *e = cp_tab_find(overlay, name, strlen(name));

	if (e != NULL) {
		*ret_there = e->obj != NULL;
		return e->obj;
	}
	e = cp_tab_find(&c->store->view[cf], name, strlen(name));
	*ret_there = e != NULL;
	return e == NULL ? NULL : e->obj;
}

int cp_change_set(struct cp_tab *overlay, const void *key, size_t key_len, void *obj)
{
	struct cp_ent *e = cp_tab_put(overlay, key, key_len);

	if (e == NULL)
		return -ENOMEM;
	if (e->obj != NULL && e->obj != obj)
		overlay->free_obj(e->obj);
	e->obj = obj;
	return 0;
}

const struct cp_owner *cp_change_owner(const struct cp_change *c, const char *key, size_t key_len, bool *ret_there)
{
	const struct cp_ent *e = cp_tab_find(&c->nums, key, key_len);

	*ret_there = e != NULL && e->obj != NULL;
	if (e != NULL)
		return e->obj;
	e = cp_tab_find(&c->store->view[CP_CF_LINE], key, key_len);
	*ret_there = e != NULL;
	return e == NULL ? NULL : e->obj;
}

/* May 'name' own the number? A line's may be one of several, if that is asked for. */
static int number_free(const struct cp_change *c, enum cp_dir_kind kind, const char *name, const char *number, const char *partition,
		       bool prefix, char *why, size_t size)
{
	char key[CP_NUMBER_KEY_MAX];
	size_t n = cp_dir_number_key(key, number, partition, prefix);
	const struct cp_owner *o;
	bool there;

	if (cp_store_pending(c->store, CP_CF_LINE, key, n))
		return no(why, size, -EBUSY, "number %s is being changed", number);
	o = cp_change_owner(c, key, n, &there);
	if (!there || (o != NULL && o->kind == kind && cp_owner_has(o, name)))
		return 0;
	if (o == NULL || kind != CP_DIR_LINE || o->kind != CP_DIR_LINE || !c->shared)
		return no(why, size, -EEXIST, "number %s%s is owned by %s%s", number, prefix ? "*" : "",
			  o == NULL ? "an unreadable record" : o->name,
			  o != NULL && kind == CP_DIR_LINE && o->kind == CP_DIR_LINE ? " (to share the line say --shared)" : "");
	if (o->more_cnt == CP_LINE_DEVICES_MAX - 1)
		return no(why, size, -EEXIST, "number %s is a line of %d devices, no more fit", number, CP_LINE_DEVICES_MAX);
	return 0;
}

/* 'add' becomes an owner of the number, 'drop' no longer is: either may be NULL. */
static int number_set(struct cp_change *c, enum cp_dir_kind kind, const char *drop, const char *add, const char *number, const char *partition,
		      bool prefix)
{
	char key[CP_NUMBER_KEY_MAX];
	size_t n = cp_dir_number_key(key, number, partition, prefix);
	struct cp_owner *o = NULL;
	bool there;
	int rc = cp_owner_with(cp_change_owner(c, key, n, &there), drop, add, &o);

	if (rc < 0)
		return rc;
	if (o != NULL)
		o->kind = (uint8_t)kind;
	rc = cp_change_set(&c->nums, key, n, o);
	if (rc < 0)
		cp_owner_delete(o);
	return rc;
}

static int fit_profile(const struct cp_change *c, struct cp_device *dev, char *why, size_t size);
static int fit_type(const struct cp_change *c, const struct cp_device *old, const struct cp_device *dev, char *why, size_t size);

static bool has_number(const struct cp_device *dev, const char *number, const char *partition)
{
	for (unsigned i = 0; i < dev->line_cnt; i++)
		if (strcmp(dev->lines[i].number, number) == 0 && strcmp(dev->lines[i].partition, partition) == 0)
			return true;
	return false;
}

int cp_change_device_put(struct cp_change *c, const struct cp_device *dev, bool replace, char *why, size_t size)
{
	struct cp_device *old, *copy, fitted = *dev;
	bool there;
	int rc = cp_device_check(dev, why, size);

	if (rc == 0)
		rc = fit_profile(c, &fitted, why, size);
	if (rc == 0)
		rc = cp_change_fit_dial(c, dev, why, size);
	if (rc < 0)
		return rc;
	if (cp_store_pending(c->store, CP_CF_DEVICE, dev->name, strlen(dev->name)))
		return no(why, size, -EBUSY, "device %s is being changed", dev->name);
	old = current(c, &c->devs, CP_CF_DEVICE, dev->name, &there);
	if (there && !replace)
		return no(why, size, -EEXIST, "device %s exists", dev->name);
	rc = fit_type(c, old, &fitted, why, size);
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < dev->line_cnt; i++) {
		rc = number_free(c, CP_DIR_LINE, dev->name, dev->lines[i].number, dev->lines[i].partition, false, why, size);
		if (rc < 0)
			return rc;
	}
	for (unsigned i = 0; old != NULL && i < old->line_cnt && rc == 0; i++) {
		if (has_number(dev, old->lines[i].number, old->lines[i].partition)) /* it keeps its place among those who share the line */
			continue;
		rc = number_free(c, CP_DIR_LINE, dev->name, old->lines[i].number, old->lines[i].partition, false, why, size);
		if (rc == 0)
			rc = number_set(c, CP_DIR_LINE, dev->name, NULL, old->lines[i].number, old->lines[i].partition, false);
	}
	copy = calloc(1, sizeof(*copy));
	if (copy == NULL)
		return -ENOMEM;
	if (rc == 0)
		rc = cp_device_copy(&fitted, copy);
	if (rc == 0 && old != NULL && copy->unknown.len == 0 && old->unknown.len > 0) {
		copy->unknown.data = malloc(old->unknown.len);
		if (copy->unknown.data == NULL) {
			rc = -ENOMEM;
		} else {
			memcpy(copy->unknown.data, old->unknown.data, old->unknown.len);
			copy->unknown.len = old->unknown.len;
		}
	}
	for (unsigned i = 0; i < dev->line_cnt && rc == 0; i++)
		rc = number_set(c, CP_DIR_LINE, NULL, dev->name, dev->lines[i].number, dev->lines[i].partition, false);
	if (rc == 0) {
		copy->changed_us = wall_us();
		rc = cp_change_set(&c->devs, copy->name, strlen(copy->name), copy);
	}
	if (rc < 0)
		free_device(copy);
	return rc;
}

int cp_change_device_del(struct cp_change *c, const char *name, char *why, size_t size)
{
	struct cp_device *old;
	bool there;
	int rc = 0;

	if (!cp_device_name_ok(name) && !cp_vm_port_name_ok(name))
		return no(why, size, -EINVAL, "name %s is not SEP and 12 upper-case hex digits, nor a voice-mail port's", cfg_q(name));
	if (cp_store_pending(c->store, CP_CF_DEVICE, name, strlen(name)))
		return no(why, size, -EBUSY, "device %s is being changed", name);
	old = current(c, &c->devs, CP_CF_DEVICE, name, &there);
	if (!there)
		return no(why, size, -ENOENT, "no device %s", name);
	for (unsigned i = 0; old != NULL && i < old->line_cnt && rc == 0; i++)
		rc = number_set(c, CP_DIR_LINE, name, NULL, old->lines[i].number, old->lines[i].partition, false);
	return rc < 0 ? rc : cp_change_set(&c->devs, name, strlen(name), NULL);
}

/* The device with its lines replaced. */
static int put_lines(struct cp_change *c, const struct cp_device *old, struct cp_line *lines, unsigned cnt, char *why,
		     size_t size)
{
	struct cp_device with = *old, copy;
	int rc;

	with.lines = lines;
	with.line_cnt = cnt;
	rc = cp_device_copy(&with, &copy); /* 'old' may be the overlay's, which the put frees */
	if (rc < 0)
		return rc;
	rc = cp_change_device_put(c, &copy, true, why, size);
	cp_device_free(&copy);
	return rc;
}

int cp_change_line_add(struct cp_change *c, const char *device, const struct cp_line *line, char *why, size_t size)
{
	struct cp_line lines[CP_DEVICE_LINES_MAX];
	const struct cp_device *old;
	bool there;

	if (!cp_number_ok(line->number))
		return no(why, size, -EINVAL, "number %s is not 1 to 32 of 0-9 * # (and a leading +)",
			  cfg_q(line->number));
	old = current(c, &c->devs, CP_CF_DEVICE, device, &there);
	if (old == NULL) {
		if (cp_store_pending(c->store, CP_CF_DEVICE, device, strnlen(device, CP_DEVICE_NAME_MAX)))
			return no(why, size, -EBUSY, "device %s is being changed", device);
		return no(why, size, -ENOENT, "no device %s", cfg_q(device));
	}
	for (unsigned i = 0; i < old->line_cnt; i++)
		if (strcmp(old->lines[i].number, line->number) == 0)
			return no(why, size, -EEXIST, "number %s is a line of %s already", line->number, device);
	if (old->line_cnt == CP_DEVICE_LINES_MAX)
		return no(why, size, -EINVAL, "%s has %d lines, no more fit", device, CP_DEVICE_LINES_MAX);
	if (old->line_cnt > 0)
		memcpy(lines, old->lines, old->line_cnt * sizeof(*lines));
	lines[old->line_cnt] = *line;
	return put_lines(c, old, lines, old->line_cnt + 1, why, size);
}

int cp_change_line_del(struct cp_change *c, const char *name, const char *device, char *why, size_t size)
{
	struct cp_line lines[CP_DEVICE_LINES_MAX];
	char key[CP_NUMBER_KEY_MAX], number[CP_NUMBER_MAX + 1];
	const char *at = strchr(name, '@'), *partition = at != NULL ? at + 1 : "";
	const struct cp_device *old;
	const struct cp_owner *o;
	unsigned cnt = 0;
	bool there;
	size_t n;

	snprintf(number, sizeof(number), "%.*s", at != NULL ? (int)(at - name) : CP_NUMBER_MAX, name);
	if (!cp_number_ok(number) || (at != NULL && !cp_part_name_ok(partition)))
		return no(why, size, -EINVAL, "number %s is not 1 to 32 of 0-9 * # (and a leading +), perhaps with @PARTITION", cfg_q(name));
	n = cp_dir_number_key(key, number, partition, false);
	if (cp_store_pending(c->store, CP_CF_LINE, key, n))
		return no(why, size, -EBUSY, "number %s is being changed", number);
	o = cp_change_owner(c, key, n, &there);
	if (o == NULL)
		return no(why, size, -ENOENT, "no line %s", number);
	if (o->kind != CP_DIR_LINE)
		return no(why, size, -EINVAL, "number %s belongs to gateway %s", number, o->name);
	if (device == NULL && o->more_cnt > 0)
		return no(why, size, -EINVAL, "number %s is on %s and %u more: say of which device with --device", number, o->name, o->more_cnt);
	if (device != NULL && !cp_owner_has(o, device))
		return no(why, size, -ENOENT, "no line %s of %s", number, cfg_q(device));
	device = device != NULL ? device : o->name;
	old = current(c, &c->devs, CP_CF_DEVICE, device, &there);
	if (old == NULL)
		return no(why, size, -ENOENT, "no device %s", device);
	for (unsigned i = 0; i < old->line_cnt; i++)
		if (strcmp(old->lines[i].number, number) != 0)
			lines[cnt++] = old->lines[i];
	return put_lines(c, old, lines, cnt, why, size);
}

/* A number for a new gateway: goes round, so that one given to a change on its way is not given twice. */
static int new_gw_id(struct cp_store *s, uint32_t *ret)
{
	for (uint32_t i = 0; i < DP_GW_MAX; i++) {
		uint32_t id = (s->gw_next + i) % DP_GW_MAX;

		if (s->gw_by_id[id] == NULL) {
			s->gw_next = id + 1;
			*ret = id;
			return 0;
		}
	}
	return -ENOSPC;
}

int cp_change_gateway_put(struct cp_change *c, const struct cp_gateway *gw, bool replace, char *why, size_t size)
{
	struct cp_gateway with = *gw, *old, *copy;
	bool there;
	int rc;

	with.gw_id = 0;
	rc = cp_gateway_check(&with, why, size);
	if (rc < 0)
		return rc;
	if (cp_store_pending(c->store, CP_CF_GATEWAY, gw->name, strlen(gw->name)))
		return no(why, size, -EBUSY, "gateway %s is being changed", gw->name);
	old = current(c, &c->gws, CP_CF_GATEWAY, gw->name, &there);
	if (there && !replace)
		return no(why, size, -EEXIST, "gateway %s exists", gw->name);
	for (unsigned i = 0; i < gw->number_cnt; i++) {
		rc = number_free(c, CP_DIR_GATEWAY, gw->name, gw->numbers[i].number, "", gw->numbers[i].prefix, why, size);
		if (rc < 0)
			return rc;
	}
	if (old != NULL)
		with.gw_id = old->gw_id;
	else if (new_gw_id(c->store, &with.gw_id) < 0)
		return no(why, size, -ENOSPC, "%d gateways, no more fit", DP_GW_MAX);
	for (unsigned i = 0; old != NULL && i < old->number_cnt && rc == 0; i++) {
		rc = number_free(c, CP_DIR_GATEWAY, gw->name, old->numbers[i].number, "", old->numbers[i].prefix, why,
				 size);
		if (rc == 0)
			rc = number_set(c, CP_DIR_GATEWAY, gw->name, NULL, old->numbers[i].number, "", old->numbers[i].prefix);
	}
	if (old != NULL && with.unknown.len == 0)
		with.unknown = old->unknown; /* copied below */
	copy = calloc(1, sizeof(*copy));
	if (copy == NULL)
		return -ENOMEM;
	if (rc == 0)
		rc = cp_gateway_copy(&with, copy);
	for (unsigned i = 0; i < gw->number_cnt && rc == 0; i++)
		rc = number_set(c, CP_DIR_GATEWAY, NULL, gw->name, gw->numbers[i].number, "", gw->numbers[i].prefix);
	if (rc == 0) {
		copy->changed_us = wall_us();
		rc = cp_change_set(&c->gws, copy->name, strlen(copy->name), copy);
	}
	if (rc < 0)
		free_gateway(copy);
	return rc;
}

struct sa_search {
	const char *gateway;
	const char *found;
};

static void sa_names(void *ctx, const struct cp_sa *sa)
{
	struct sa_search *f = ctx;

	if (strcmp(sa->gateway, f->gateway) == 0)
		f->found = sa->name;
}

int cp_change_gateway_del(struct cp_change *c, const char *name, char *why, size_t size)
{
	struct sa_search f = {name, NULL};
	struct cp_gateway *old;
	bool there;
	int rc = 0;

	if (!cp_gw_name_ok(name))
		return no(why, size, -EINVAL, "name %s is not a domain name", cfg_q(name));
	if (cp_store_pending(c->store, CP_CF_GATEWAY, name, strlen(name)))
		return no(why, size, -EBUSY, "gateway %s is being changed", name);
	old = current(c, &c->gws, CP_CF_GATEWAY, name, &there);
	if (!there)
		return no(why, size, -ENOENT, "no gateway %s", name);
	cp_store_each_sa(c->store, sa_names, &f);
	if (f.found != NULL)
		return no(why, size, -EPROTO, "SA %s names gateway %s: delete it first", f.found, name);
	rc = cp_change_gateway_used(c, name, why, size);
	for (unsigned i = 0; old != NULL && i < old->number_cnt && rc == 0; i++)
		rc = number_set(c, CP_DIR_GATEWAY, name, NULL, old->numbers[i].number, "", old->numbers[i].prefix);
	return rc < 0 ? rc : cp_change_set(&c->gws, name, strlen(name), NULL);
}

/* --- profiles, SRST references, the cluster's settings --- */

static void free_conf(void *obj)
{
	struct cp_buf *b = obj;

	OPENSSL_cleanse(b->data, b->len);
	free(b->data);
	free(b);
}

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

int cp_change_set_buf(struct cp_tab *overlay, const char *key, struct cp_buf *val)
{
	struct cp_buf *b = NULL;
	int rc;

	if (val->data != NULL) {
		b = malloc(sizeof(*b));
		if (b == NULL) {
			free(val->data);
			return -ENOMEM;
		}
		*b = *val;
	}
	rc = cp_change_set(overlay, key, strlen(key), b);
	if (rc < 0 && b != NULL)
		free_conf(b);
	return rc;
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

static bool srst_there(const struct cp_change *c, const char *name, bool *ret_busy)
{
	char key[CP_NAME_MAX + 16];
	const uint8_t *val;
	size_t len;

	conf_key(key, "srst/", name);
	*ret_busy = conf_pending(c, key);
	return conf_get(c, key, &val, &len);
}

static int srst_named(const struct cp_change *c, const char *whose, const char *name, char *why, size_t size)
{
	bool busy;

	if (name[0] == '\0' || srst_there(c, name, &busy))
		return 0;
	return busy ? no(why, size, -EBUSY, "SRST reference %s is being changed", name)
		    : no(why, size, -EINVAL, "%s: no SRST reference %s", whose, name);
}

/* A device's profile and SRST reference exist and fit; its mode becomes the profile's (000:K0-3). */
static int fit_profile(const struct cp_change *c, struct cp_device *dev, char *why, size_t size)
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
		return no(why, size, -EBUSY, "profile %s is being changed", dev->profile);
	if (!conf_get(c, key, &val, &len) || cp_profile_parse(val, len, &p) < 0)
		return no(why, size, -EINVAL, "%s: no profile %s", dev->name, dev->profile);
	if (p.protocol != CP_PROTOCOL_ANY && dev->protocol != CP_PROTOCOL_ANY && p.protocol != dev->protocol)
		rc = no(why, size, -EINVAL, "%s is a %s phone, profile %s is for %s", dev->name,
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
		return no(why, size, -EBUSY, "device type %s is being changed", model);
	if (conf_get(c, key, &val, &len) && cp_typerec_parse(val, len, &rec) == 0) {
		*ret = cp_typerec_devtype(&rec);
		cp_typerec_free(&rec);
	}
	return 0;
}

/*
 * 004b:SEC-10, 000:P0-32: only what the type can do. A record from before this was asked keeps what it has until somebody changes that.
 * Voice-mail ports have no type.
 */
static int fit_type(const struct cp_change *c, const struct cp_device *old, const struct cp_device *dev, char *why, size_t size)
{
	struct cp_devtype t;
	int rc;

	if (!cp_device_name_ok(dev->name) ||
	    (old != NULL && old->mode == dev->mode && old->secure_tone == dev->secure_tone && strcmp(old->model, dev->model) == 0))
		return 0;
	rc = type_of(c, dev->model, &t, why, size);
	if (rc == 0 && !cp_devtype_mode_ok(&t, (int)dev->mode))
		return no(why, size, -EINVAL, "%s: mode %s is nothing that device type %s can do%s", dev->name, cp_device_mode_name(dev->mode),
			  cfg_q(dev->model), strcmp(t.model, "unknown") == 0 ? ": no such type is installed (show devtypes, devtype install)" : "");
	if (rc == 0 && dev->secure_tone && (t.flags & CP_DT_TONE) == 0)
		return no(why, size, -EINVAL, "%s: device type %s plays no secure tone", dev->name, dev->model[0] != '\0' ? cfg_q(dev->model) : "\"\" (say its model)");
	return rc;
}

/* Is any device on its way to the store? Who uses what is not known for sure then. */
bool cp_change_devices_pending(const struct cp_store *s)
{
	for (size_t i = 0; i < cp_tab_buckets(&s->pending); i++)
		for (const struct cp_ent *e = s->pending.bucket[i]; e != NULL; e = e->next)
			if (e->key_len > 0 && e->key[0] == CP_CF_DEVICE)
				return true;
	return false;
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
			u->rc = fit_type(u->c, dev, copy, u->why, u->why_size);
		}
		if (u->rc == 0) {
			copy->changed_us = wall_us();
			u->rc = cp_change_set(&u->c->devs, copy->name, strlen(copy->name), copy);
		}
		if (u->rc < 0 && copy != NULL)
			free_device(copy);
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
	bool there, moved = false;
	int rc = cp_profile_check(p, why, size);

	if (rc == 0)
		rc = srst_named(c, p->name, p->srst, why, size);
	if (rc < 0)
		return rc;
	conf_key(key, "profile/", p->name);
	if (conf_pending(c, key))
		return no(why, size, -EBUSY, "profile %s is being changed", p->name);
	there = conf_get(c, key, &val, &len);
	if (there && !replace)
		return no(why, size, -EEXIST, "profile %s exists", p->name);
	with.changed_us = wall_us();
	if (there && cp_profile_parse(val, len, &old) == 0) {
		moved = old.mode != p->mode;
		if (old.protocol != p->protocol && p->protocol != CP_PROTOCOL_ANY) {
			struct users all = {.c = c, .profile_name = p->name};

			each_user(&all);
			if (all.n > 0)
				rc = no(why, size, -EPROTO, "%s and %u others use profile %s: its protocol stays", all.first,
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
	if (moved && cp_change_devices_pending(c->store)) {
		free(out.data);
		return no(why, size, -EBUSY, "devices are being changed");
	}
	if (moved)
		each_user(&u);
	if (u.rc < 0) {
		free(out.data);
		return u.rc;
	}
	return conf_set(c, key, &out);
}

int cp_change_profile_del(struct cp_change *c, const char *name, char *why, size_t size)
{
	struct users u = {.c = c, .profile_name = name};
	char key[CP_NAME_MAX + 16];
	struct cp_buf none = {0};
	const uint8_t *val;
	size_t len;

	if (!cp_conf_name_ok(name))
		return no(why, size, -EINVAL, "no profile can be named %s", cfg_q(name));
	conf_key(key, "profile/", name);
	if (conf_pending(c, key) || cp_change_devices_pending(c->store))
		return no(why, size, -EBUSY, "profile %s, or devices, are being changed", name);
	if (!conf_get(c, key, &val, &len))
		return no(why, size, -ENOENT, "no profile %s", name);
	each_user(&u);
	if (u.n > 0)
		return no(why, size, -EPROTO, "profile %s is used by %u devices, %s among them", name, u.n, u.first);
	return conf_set(c, key, &none);
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
		return no(why, size, -EBUSY, "SRST reference %s is being changed", s->name);
	if (conf_get(c, key, &val, &len) && !replace)
		return no(why, size, -EEXIST, "SRST reference %s exists", s->name);
	if (!with.secure) /* 004b:SRST-07, 004c:SR-03: whoever unticks it, an import too */
		with.cert = (struct cp_buf){0};
	with.changed_us = wall_us();
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

int cp_change_srst_del(struct cp_change *c, const char *name, char *why, size_t size)
{
	struct users u = {.c = c, .srst_name = name};
	struct srst_use by = {.c = c, .name = name};
	char key[CP_NAME_MAX + 16];
	struct cp_buf none = {0};
	const uint8_t *val;
	size_t len;

	if (!cp_conf_name_ok(name))
		return no(why, size, -EINVAL, "no SRST reference can be named %s", cfg_q(name));
	conf_key(key, "srst/", name);
	if (conf_pending(c, key) || cp_change_devices_pending(c->store))
		return no(why, size, -EBUSY, "SRST reference %s, or devices, are being changed", name);
	if (!conf_get(c, key, &val, &len))
		return no(why, size, -ENOENT, "no SRST reference %s", name);
	each_user(&u);
	if (u.n > 0)
		return no(why, size, -EPROTO, "SRST reference %s is used by %u devices, %s among them", name, u.n, u.first);
	cp_store_each(c->store, CP_CF_PROFILE, srst_use_one, &by);
	if (by.by[0] != '\0')
		return no(why, size, -EPROTO, "SRST reference %s is used by %s", name, by.by);
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
		return no(why, size, -EBUSY, "the cluster's settings are being changed");
	with.changed_us = wall_us();
	rc = cp_cluster_build(&with, &out);
	return rc < 0 ? rc : conf_set(c, "cluster", &out);
}

int cp_change_conf_put(struct cp_change *c, const char *key, const char *what, struct cp_buf *val, bool replace, char *why, size_t size)
{
	const uint8_t *old;
	size_t len;
	int rc = 0;

	if (conf_pending(c, key))
		rc = no(why, size, -EBUSY, "%s is being changed", what);
	else if (!replace && conf_get(c, key, &old, &len))
		rc = no(why, size, -EEXIST, "%s exists", what);
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
		return no(why, size, -EBUSY, "%s is being changed", what);
	if (!conf_get(c, key, &old, &len))
		return no(why, size, -ENOENT, "no %s", what);
	return conf_set(c, key, &none);
}

/* --- writing --- */

static int add_devices(const struct cp_change *c, struct cp_batch *b)
{
	int rc = 0;

	for (size_t i = 0; i < cp_tab_buckets(&c->devs); i++)
		for (const struct cp_ent *e = c->devs.bucket[i]; e != NULL && rc == 0; e = e->next) {
			struct cp_buf v;

			if (e->obj == NULL) {
				rc = cp_batch_del(b, CP_CF_DEVICE, e->key, e->key_len);
				continue;
			}
			rc = cp_device_build(e->obj, &v);
			if (rc == 0) {
				rc = cp_batch_put(b, CP_CF_DEVICE, e->key, e->key_len, v.data, v.len);
				free(v.data);
			}
		}
	return rc;
}

static int add_gateways(const struct cp_change *c, struct cp_batch *b)
{
	int rc = 0;

	for (size_t i = 0; i < cp_tab_buckets(&c->gws); i++)
		for (const struct cp_ent *e = c->gws.bucket[i]; e != NULL && rc == 0; e = e->next) {
			struct cp_buf v;

			if (e->obj == NULL) {
				rc = cp_batch_del(b, CP_CF_GATEWAY, e->key, e->key_len);
				continue;
			}
			rc = cp_gateway_build(e->obj, &v);
			if (rc == 0) {
				rc = cp_batch_put(b, CP_CF_GATEWAY, e->key, e->key_len, v.data, v.len);
				free(v.data);
			}
		}
	return rc;
}

static int add_confs(const struct cp_change *c, struct cp_batch *b)
{
	int rc = 0;

	for (size_t i = 0; i < cp_tab_buckets(&c->confs); i++)
		for (const struct cp_ent *e = c->confs.bucket[i]; e != NULL && rc == 0; e = e->next) {
			const struct cp_buf *v = e->obj;

			rc = v == NULL ? cp_batch_del(b, CP_CF_PROFILE, e->key, e->key_len)
				       : cp_batch_put(b, CP_CF_PROFILE, e->key, e->key_len, v->data, v->len);
		}
	return rc;
}

static bool same_owner(const struct cp_owner *a, const struct cp_owner *b)
{
	if (a->kind != b->kind || a->more_cnt != b->more_cnt)
		return false;
	for (unsigned i = 0; i <= a->more_cnt; i++)
		if (strcmp(cp_owner_name(a, i), cp_owner_name(b, i)) != 0)
			return false;
	return true;
}

static int add_numbers(const struct cp_change *c, struct cp_batch *b)
{
	int rc = 0;

	for (size_t i = 0; i < cp_tab_buckets(&c->nums); i++)
		for (const struct cp_ent *e = c->nums.bucket[i]; e != NULL && rc == 0; e = e->next) {
			const struct cp_ent *now = cp_tab_find(&c->store->view[CP_CF_LINE], e->key, e->key_len);
			const struct cp_owner *o = e->obj, *have = now == NULL ? NULL : now->obj;
			struct cp_buf v;

			if (o == NULL) {
				if (now != NULL)
					rc = cp_batch_del(b, CP_CF_LINE, e->key, e->key_len);
				if (rc == 0 && now != NULL)
					rc = cp_change_drop_forward(c, b, e->key, e->key_len);
				continue;
			}
			if (have != NULL && same_owner(have, o))
				continue;
			rc = cp_owner_build(o, &v);
			if (rc == 0) {
				rc = cp_batch_put(b, CP_CF_LINE, e->key, e->key_len, v.data, v.len);
				free(v.data);
			}
		}
	return rc;
}

int cp_change_submit(struct cp_change *c, const char *event, const char *who, json_t *detail, cp_store_fn fn,
		     void *ctx)
{
	struct cp_batch *b = cp_batch_create();
	json_t *audit = json_pack("{s:s,s:s}", "event", event, "who", who);
	char *text = NULL;
	int rc = b == NULL || audit == NULL ? -ENOMEM : 0;

	if (rc == 0 && detail != NULL)
		json_object_update(audit, detail);
	if (rc == 0)
		text = json_dumps(audit, JSON_COMPACT);
	if (rc == 0)
		rc = text == NULL ? -ENOMEM : cp_batch_audit(b, text);
	if (rc == 0)
		rc = add_confs(c, b);
	if (rc == 0)
		rc = add_devices(c, b);
	if (rc == 0)
		rc = add_gateways(c, b);
	if (rc == 0)
		rc = add_numbers(c, b);
	if (rc == 0)
		rc = cp_change_add_dials(c, b);
	if (rc == 0)
		rc = cp_store_submit(c->store, b, fn, ctx);
	else
		cp_batch_destroy(b);
	free(text);
	json_decref(audit);
	json_decref(detail);
	cp_change_destroy(c);
	return rc;
}

/* --- one-item changes (store.h) --- */

static int finish(struct cp_change *c, int rc, const char *event, const struct cp_dir_ctx *x, json_t *detail)
{
	if (rc < 0) {
		cp_change_destroy(c);
		json_decref(detail);
		return rc;
	}
	return cp_change_submit(c, event, x->who, detail, x->fn, x->ctx);
}

static struct cp_change *begin(struct cp_store *s, const struct cp_dir_ctx *x)
{
	struct cp_change *c = cp_change_create(s);

	if (x->why != NULL && x->why_size > 0)
		x->why[0] = '\0';
	if (c != NULL)
		cp_change_share(c, x->shared);
	return c;
}

int cp_dir_device_put(struct cp_store *s, const struct cp_device *dev, bool replace, const struct cp_dir_ctx *x)
{
	struct cp_change *c = begin(s, x);
	int rc = c == NULL ? -ENOMEM : cp_change_device_put(c, dev, replace, x->why, x->why_size);

	return finish(c, rc, replace ? "device.put" : "device.add", x,
		      json_pack("{s:s,s:s}", "name", dev->name, "mode", cp_device_mode_name(dev->mode)));
}

int cp_dir_device_del(struct cp_store *s, const char *name, const struct cp_dir_ctx *x)
{
	struct cp_change *c = begin(s, x);
	int rc = c == NULL ? -ENOMEM : cp_change_device_del(c, name, x->why, x->why_size);

	return finish(c, rc, "device.del", x, json_pack("{s:s}", "name", name));
}

int cp_dir_line_add(struct cp_store *s, const char *device, const struct cp_line *line, const struct cp_dir_ctx *x)
{
	struct cp_change *c = begin(s, x);
	int rc = c == NULL ? -ENOMEM : cp_change_line_add(c, device, line, x->why, x->why_size);

	return finish(c, rc, "line.add", x, json_pack("{s:s,s:s}", "number", line->number, "device", device));
}

int cp_dir_line_del(struct cp_store *s, const char *number, const char *device, const struct cp_dir_ctx *x)
{
	struct cp_change *c = begin(s, x);
	int rc = c == NULL ? -ENOMEM : cp_change_line_del(c, number, device, x->why, x->why_size);

	return finish(c, rc, "line.del", x, json_pack("{s:s,s:s*}", "number", number, "device", device));
}

int cp_dir_gateway_put(struct cp_store *s, const struct cp_gateway *gw, bool replace, const struct cp_dir_ctx *x)
{
	struct cp_change *c = begin(s, x);
	int rc = c == NULL ? -ENOMEM : cp_change_gateway_put(c, gw, replace, x->why, x->why_size);

	return finish(c, rc, replace ? "gateway.put" : "gateway.add", x,
		      json_pack("{s:s,s:i}", "name", gw->name, "flags", (int)gw->flags));
}

int cp_dir_gateway_del(struct cp_store *s, const char *name, const struct cp_dir_ctx *x)
{
	struct cp_change *c = begin(s, x);
	int rc = c == NULL ? -ENOMEM : cp_change_gateway_del(c, name, x->why, x->why_size);

	return finish(c, rc, "gateway.del", x, json_pack("{s:s}", "name", name));
}
