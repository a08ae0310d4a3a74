/* SPDX-License-Identifier: BSD-3-Clause */
#include "change.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"
#include "log.h"

/* Overlays over the view: an entry without object means deleted. */
struct cp_change {
	struct cp_store *store;
	struct cp_tab devs, gws, nums;
};

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

struct cp_change *cp_change_create(struct cp_store *store)
{
	struct cp_change *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->store = store;
	if (cp_tab_init(&c->devs, free_device) < 0 || cp_tab_init(&c->gws, free_gateway) < 0 ||
	    cp_tab_init(&c->nums, free) < 0) {
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
	free(c);
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

static int set_overlay(struct cp_tab *overlay, const void *key, size_t key_len, void *obj)
{
	struct cp_ent *e = cp_tab_put(overlay, key, key_len);

	if (e == NULL)
		return -ENOMEM;
	if (e->obj != NULL && e->obj != obj)
		overlay->free_obj(e->obj);
	e->obj = obj;
	return 0;
}

static const struct cp_owner *owner_of(const struct cp_change *c, const char *key, size_t key_len, bool *ret_there)
{
	const struct cp_ent *e = cp_tab_find(&c->nums, key, key_len);

	*ret_there = e != NULL && e->obj != NULL;
	if (e != NULL)
		return e->obj;
	e = cp_tab_find(&c->store->view[CP_CF_LINE], key, key_len);
	*ret_there = e != NULL;
	return e == NULL ? NULL : e->obj;
}

/* May 'name' own the number? */
static int number_free(const struct cp_change *c, enum cp_dir_kind kind, const char *name, const char *number,
		       bool prefix, char *why, size_t size)
{
	char key[CP_NUMBER_MAX + 1];
	size_t n = cp_dir_number_key(key, number, prefix);
	const struct cp_owner *o;
	bool there;

	if (cp_store_pending(c->store, CP_CF_LINE, key, n))
		return no(why, size, -EBUSY, "number %s is being changed", number);
	o = owner_of(c, key, n, &there);
	if (there && (o == NULL || o->kind != kind || strcmp(o->name, name) != 0))
		return no(why, size, -EEXIST, "number %s%s is owned by %s", number, prefix ? "*" : "",
			  o == NULL ? "an unreadable record" : o->name);
	return 0;
}

static int number_set(struct cp_change *c, enum cp_dir_kind kind, const char *name, const char *number, bool prefix)
{
	char key[CP_NUMBER_MAX + 1];
	size_t n = cp_dir_number_key(key, number, prefix);
	struct cp_owner *o = NULL;
	int rc;

	if (kind != CP_DIR_NONE) {
		o = calloc(1, sizeof(*o));
		if (o == NULL)
			return -ENOMEM;
		o->kind = (uint8_t)kind;
		memcpy(o->name, name, strlen(name) + 1);
	}
	rc = set_overlay(&c->nums, key, n, o);
	if (rc < 0)
		free(o);
	return rc;
}

int cp_change_device_put(struct cp_change *c, const struct cp_device *dev, bool replace, char *why, size_t size)
{
	struct cp_device *old, *copy;
	bool there;
	int rc = cp_device_check(dev, why, size);

	if (rc < 0)
		return rc;
	if (cp_store_pending(c->store, CP_CF_DEVICE, dev->name, strlen(dev->name)))
		return no(why, size, -EBUSY, "device %s is being changed", dev->name);
	old = current(c, &c->devs, CP_CF_DEVICE, dev->name, &there);
	if (there && !replace)
		return no(why, size, -EEXIST, "device %s exists", dev->name);
	for (unsigned i = 0; i < dev->line_cnt; i++) {
		rc = number_free(c, CP_DIR_LINE, dev->name, dev->lines[i].number, false, why, size);
		if (rc < 0)
			return rc;
	}
	for (unsigned i = 0; old != NULL && i < old->line_cnt && rc == 0; i++) {
		rc = number_free(c, CP_DIR_LINE, dev->name, old->lines[i].number, false, why, size);
		if (rc == 0)
			rc = number_set(c, CP_DIR_NONE, NULL, old->lines[i].number, false);
	}
	copy = calloc(1, sizeof(*copy));
	if (copy == NULL)
		return -ENOMEM;
	if (rc == 0)
		rc = cp_device_copy(dev, copy);
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
		rc = number_set(c, CP_DIR_LINE, dev->name, dev->lines[i].number, false);
	if (rc == 0) {
		copy->changed_us = wall_us();
		rc = set_overlay(&c->devs, copy->name, strlen(copy->name), copy);
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

	if (!cp_device_name_ok(name))
		return no(why, size, -EINVAL, "name %s is not SEP and 12 upper-case hex digits", cfg_q(name));
	if (cp_store_pending(c->store, CP_CF_DEVICE, name, strlen(name)))
		return no(why, size, -EBUSY, "device %s is being changed", name);
	old = current(c, &c->devs, CP_CF_DEVICE, name, &there);
	if (!there)
		return no(why, size, -ENOENT, "no device %s", name);
	for (unsigned i = 0; old != NULL && i < old->line_cnt && rc == 0; i++)
		rc = number_set(c, CP_DIR_NONE, NULL, old->lines[i].number, false);
	return rc < 0 ? rc : set_overlay(&c->devs, name, strlen(name), NULL);
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

int cp_change_line_del(struct cp_change *c, const char *number, char *why, size_t size)
{
	struct cp_line lines[CP_DEVICE_LINES_MAX];
	char key[CP_NUMBER_MAX + 1];
	const struct cp_device *old;
	const struct cp_owner *o;
	unsigned cnt = 0;
	bool there;
	size_t n;

	if (!cp_number_ok(number))
		return no(why, size, -EINVAL, "number %s is not 1 to 32 of 0-9 * # (and a leading +)", cfg_q(number));
	n = cp_dir_number_key(key, number, false);
	if (cp_store_pending(c->store, CP_CF_LINE, key, n))
		return no(why, size, -EBUSY, "number %s is being changed", number);
	o = owner_of(c, key, n, &there);
	if (o == NULL)
		return no(why, size, -ENOENT, "no line %s", number);
	if (o->kind != CP_DIR_LINE)
		return no(why, size, -EINVAL, "number %s belongs to gateway %s", number, o->name);
	old = current(c, &c->devs, CP_CF_DEVICE, o->name, &there);
	if (old == NULL)
		return no(why, size, -ENOENT, "no device %s", o->name);
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
		rc = number_free(c, CP_DIR_GATEWAY, gw->name, gw->numbers[i].number, gw->numbers[i].prefix, why, size);
		if (rc < 0)
			return rc;
	}
	if (old != NULL)
		with.gw_id = old->gw_id;
	else if (new_gw_id(c->store, &with.gw_id) < 0)
		return no(why, size, -ENOSPC, "%d gateways, no more fit", DP_GW_MAX);
	for (unsigned i = 0; old != NULL && i < old->number_cnt && rc == 0; i++) {
		rc = number_free(c, CP_DIR_GATEWAY, gw->name, old->numbers[i].number, old->numbers[i].prefix, why,
				 size);
		if (rc == 0)
			rc = number_set(c, CP_DIR_NONE, NULL, old->numbers[i].number, old->numbers[i].prefix);
	}
	if (old != NULL && with.unknown.len == 0)
		with.unknown = old->unknown; /* copied below */
	copy = calloc(1, sizeof(*copy));
	if (copy == NULL)
		return -ENOMEM;
	if (rc == 0)
		rc = cp_gateway_copy(&with, copy);
	for (unsigned i = 0; i < gw->number_cnt && rc == 0; i++)
		rc = number_set(c, CP_DIR_GATEWAY, gw->name, gw->numbers[i].number, gw->numbers[i].prefix);
	if (rc == 0) {
		copy->changed_us = wall_us();
		rc = set_overlay(&c->gws, copy->name, strlen(copy->name), copy);
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
	for (unsigned i = 0; old != NULL && i < old->number_cnt && rc == 0; i++)
		rc = number_set(c, CP_DIR_NONE, NULL, old->numbers[i].number, old->numbers[i].prefix);
	return rc < 0 ? rc : set_overlay(&c->gws, name, strlen(name), NULL);
}

/* --- writing --- */

static int add_devices(const struct cp_change *c, struct cp_batch *b)
{
	int rc = 0;

	for (size_t i = 0; i < c->devs.size; i++)
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

	for (size_t i = 0; i < c->gws.size; i++)
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

static int add_numbers(const struct cp_change *c, struct cp_batch *b)
{
	int rc = 0;

	for (size_t i = 0; i < c->nums.size; i++)
		for (const struct cp_ent *e = c->nums.bucket[i]; e != NULL && rc == 0; e = e->next) {
			const struct cp_ent *now = cp_tab_find(&c->store->view[CP_CF_LINE], e->key, e->key_len);
			const struct cp_owner *o = e->obj, *have = now == NULL ? NULL : now->obj;
			struct cp_buf v;

			if (o == NULL) {
				if (now != NULL)
					rc = cp_batch_del(b, CP_CF_LINE, e->key, e->key_len);
				continue;
			}
			if (have != NULL && have->kind == o->kind && strcmp(have->name, o->name) == 0)
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
		rc = add_devices(c, b);
	if (rc == 0)
		rc = add_gateways(c, b);
	if (rc == 0)
		rc = add_numbers(c, b);
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
	if (x->why != NULL && x->why_size > 0)
		x->why[0] = '\0';
	return cp_change_create(s);
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

int cp_dir_line_del(struct cp_store *s, const char *number, const struct cp_dir_ctx *x)
{
	struct cp_change *c = begin(s, x);
	int rc = c == NULL ? -ENOMEM : cp_change_line_del(c, number, x->why, x->why_size);

	return finish(c, rc, "line.del", x, json_pack("{s:s}", "number", number));
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
