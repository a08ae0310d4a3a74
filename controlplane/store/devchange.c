/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes of devices, their lines and gateways: who owns which number, and what a record names. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changeint.h"
#include "clock.h"
#include "ike/ikerec.h"
#include "log.h"
#include "why.h"

/* May 'name' own the number? A line's may be one of several, if that is asked for. */
static int number_free(const struct cp_change *c, enum cp_dir_kind kind, const char *name, const char *number, const char *partition,
		       bool prefix, char *why, size_t size)
{
	char key[CP_NUMBER_KEY_MAX];
	size_t n = cp_dir_number_key(key, number, partition, prefix);
	const struct cp_owner *o;
	bool there;

	if (cp_store_pending(c->store, CP_CF_LINE, key, n))
		return cfg_no(why, size, -EBUSY, "number %s is being changed", number);
	o = cp_change_owner(c, key, n, &there);
	if (!there || (o != NULL && o->kind == kind && cp_owner_has(o, name)))
		return 0;
	if (o == NULL || kind != CP_DIR_LINE || o->kind != CP_DIR_LINE || !c->shared)
		return cfg_no(why, size, -EEXIST, "number %s%s is owned by %s%s", number, prefix ? "*" : "",
			      o == NULL ? "an unreadable record" : o->name,
			      o != NULL && kind == CP_DIR_LINE && o->kind == CP_DIR_LINE ? " (to share the line say --shared)" : "");
	if (o->more_cnt == CP_LINE_DEVICES_MAX - 1)
		return cfg_no(why, size, -EEXIST, "number %s is a line of %d devices, no more fit", number, CP_LINE_DEVICES_MAX);
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
		rc = cp_change_fit_profile(c, &fitted, why, size);
	if (rc == 0)
		rc = cp_change_fit_dial(c, dev, why, size);
	if (rc < 0)
		return rc;
	if (cp_store_pending(c->store, CP_CF_DEVICE, dev->name, strlen(dev->name)))
		return cfg_no(why, size, -EBUSY, "device %s is being changed", dev->name);
	old = cp_change_get(c, &c->devs, CP_CF_DEVICE, dev->name, &there);
	if (there && !replace)
		return cfg_no(why, size, -EEXIST, "device %s exists", dev->name);
	rc = cp_change_fit_type(c, old, &fitted, why, size);
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
		copy->changed_us = cp_wall_us();
		rc = cp_change_set(&c->devs, copy->name, strlen(copy->name), copy);
	}
	if (rc < 0)
		cp_change_free_device(copy);
	return rc;
}

int cp_change_device_del(struct cp_change *c, const char *name, char *why, size_t size)
{
	struct cp_device *old;
	bool there;
	int rc = 0;

	if (!cp_device_name_ok(name) && !cp_vm_port_name_ok(name))
		return cfg_no(why, size, -EINVAL, "name %s is not SEP and 12 upper-case hex digits, nor a voice-mail port's", cfg_q(name));
	if (cp_store_pending(c->store, CP_CF_DEVICE, name, strlen(name)))
		return cfg_no(why, size, -EBUSY, "device %s is being changed", name);
	old = cp_change_get(c, &c->devs, CP_CF_DEVICE, name, &there);
	if (!there)
		return cfg_no(why, size, -ENOENT, "no device %s", name);
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
		return cfg_no(why, size, -EINVAL, "number %s is not 1 to 32 of 0-9 * # (and a leading +)",
			      cfg_q(line->number));
	old = cp_change_get(c, &c->devs, CP_CF_DEVICE, device, &there);
	if (old == NULL) {
		if (cp_store_pending(c->store, CP_CF_DEVICE, device, strnlen(device, CP_DEVICE_NAME_MAX)))
			return cfg_no(why, size, -EBUSY, "device %s is being changed", device);
		return cfg_no(why, size, -ENOENT, "no device %s", cfg_q(device));
	}
	for (unsigned i = 0; i < old->line_cnt; i++)
		if (strcmp(old->lines[i].number, line->number) == 0)
			return cfg_no(why, size, -EEXIST, "number %s is a line of %s already", line->number, device);
	if (old->line_cnt == CP_DEVICE_LINES_MAX)
		return cfg_no(why, size, -EINVAL, "%s has %d lines, no more fit", device, CP_DEVICE_LINES_MAX);
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
		return cfg_no(why, size, -EINVAL, "number %s is not 1 to 32 of 0-9 * # (and a leading +), perhaps with @PARTITION", cfg_q(name));
	n = cp_dir_number_key(key, number, partition, false);
	if (cp_store_pending(c->store, CP_CF_LINE, key, n))
		return cfg_no(why, size, -EBUSY, "number %s is being changed", number);
	o = cp_change_owner(c, key, n, &there);
	if (o == NULL)
		return cfg_no(why, size, -ENOENT, "no line %s", number);
	if (o->kind != CP_DIR_LINE)
		return cfg_no(why, size, -EINVAL, "number %s belongs to gateway %s", number, o->name);
	if (device == NULL && o->more_cnt > 0)
		return cfg_no(why, size, -EINVAL, "number %s is on %s and %u more: say of which device with --device", number, o->name, o->more_cnt);
	if (device != NULL && !cp_owner_has(o, device))
		return cfg_no(why, size, -ENOENT, "no line %s of %s", number, cfg_q(device));
	device = device != NULL ? device : o->name;
	old = cp_change_get(c, &c->devs, CP_CF_DEVICE, device, &there);
	if (old == NULL)
		return cfg_no(why, size, -ENOENT, "no device %s", device);
	for (unsigned i = 0; i < old->line_cnt; i++)
		if (strcmp(old->lines[i].number, number) != 0)
			lines[cnt++] = old->lines[i];
	return put_lines(c, old, lines, cnt, why, size);
}

/* A gateway of this change has the number. */
static bool gw_id_ours(const struct cp_change *c, uint32_t id)
{
	for (size_t i = 0; i < cp_tab_buckets(&c->gws); i++)
		for (const struct cp_ent *e = c->gws.bucket[i]; e != NULL; e = e->next)
			if (e->obj != NULL && ((const struct cp_gateway *)e->obj)->gw_id == id)
				return true;
	return false;
}

/*
 * A number for a new gateway. It goes round: one that is on its way to the store, which the view does not know yet, comes again only after
 * all others. -EBUSY: it may have come again. -ENOSPC.
 */
static int new_gw_id(struct cp_change *c, uint32_t *ret)
{
	struct cp_store *s = c->store;

	for (uint32_t i = 0; i < DP_GW_MAX; i++) {
		uint32_t id = (s->gw_next + i) % DP_GW_MAX;
		bool again = s->gw_gone + i >= DP_GW_MAX;

		if (s->gw_by_id[id] != NULL || (again && gw_id_ours(c, id)))
			continue;
		if (again && cp_change_any_pending(s, CP_CF_GATEWAY))
			return -EBUSY;
		/* After a whole turn with others of this change before it the turn stays whole: each is looked for among them. */
		if (again && c->gws.cnt == 0)
			s->gw_gone = 0;
		s->gw_gone = again && s->gw_gone > 0 ? DP_GW_MAX : s->gw_gone + i + 1;
		s->gw_next = (id + 1) % DP_GW_MAX;
		*ret = id;
		return 0;
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
		return cfg_no(why, size, -EBUSY, "gateway %s is being changed", gw->name);
	old = cp_change_get(c, &c->gws, CP_CF_GATEWAY, gw->name, &there);
	if (there && !replace)
		return cfg_no(why, size, -EEXIST, "gateway %s exists", gw->name);
	for (unsigned i = 0; i < gw->number_cnt; i++) {
		rc = number_free(c, CP_DIR_GATEWAY, gw->name, gw->numbers[i].number, "", gw->numbers[i].prefix, why, size);
		if (rc < 0)
			return rc;
	}
	rc = cp_change_fit_gateway(c, gw, old, why, size);
	if (rc < 0)
		return rc;
	if (old != NULL)
		with.gw_id = old->gw_id;
	else if ((rc = new_gw_id(c, &with.gw_id)) < 0)
		return rc == -EBUSY ? cfg_no(why, size, rc, "gateways are being changed") : cfg_no(why, size, rc, "%d gateways, no more fit", DP_GW_MAX);
	for (unsigned i = 0; old != NULL && i < old->number_cnt && rc == 0; i++) {
		rc = number_free(c, CP_DIR_GATEWAY, gw->name, old->numbers[i].number, "", old->numbers[i].prefix, why,
				 size);
		if (rc == 0)
			rc = number_set(c, CP_DIR_GATEWAY, gw->name, NULL, old->numbers[i].number, "", old->numbers[i].prefix);
	}
	if (old != NULL && with.unknown.len == 0)
		with.unknown = old->unknown; /* copied below */
	with.ike.changed_us = with.ike.version == 0 ? 0 : old != NULL && cp_ike_same(old, gw) ? old->ike.changed_us : cp_wall_us();
	copy = calloc(1, sizeof(*copy));
	if (copy == NULL)
		return -ENOMEM;
	if (rc == 0)
		rc = cp_gateway_copy(&with, copy);
	for (unsigned i = 0; i < gw->number_cnt && rc == 0; i++)
		rc = number_set(c, CP_DIR_GATEWAY, NULL, gw->name, gw->numbers[i].number, "", gw->numbers[i].prefix);
	if (rc == 0) {
		copy->changed_us = cp_wall_us();
		rc = cp_change_set(&c->gws, copy->name, strlen(copy->name), copy);
	}
	if (rc < 0)
		cp_change_free_gateway(copy);
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

struct call_search {
	uint32_t gw_id;
	unsigned cnt;
};

static void calls_at(void *ctx, const struct cp_call_rec *rec)
{
	struct call_search *s = ctx;
	bool at = false;

	for (unsigned i = 0; i < rec->leg_cnt; i++)
		at |= rec->leg[i].sa_gw_id == s->gw_id;
	s->cnt += at;
}

int cp_change_gateway_del(struct cp_change *c, const char *name, char *why, size_t size)
{
	struct sa_search f = {name, NULL};
	struct call_search at = {UINT32_MAX, 0};
	struct cp_gateway *old;
	bool there;
	int rc = 0;

	if (!cp_gw_name_ok(name))
		return cfg_no(why, size, -EINVAL, "name %s is not a domain name", cfg_q(name));
	if (cp_store_pending(c->store, CP_CF_GATEWAY, name, strlen(name)))
		return cfg_no(why, size, -EBUSY, "gateway %s is being changed", name);
	old = cp_change_get(c, &c->gws, CP_CF_GATEWAY, name, &there);
	if (!there)
		return cfg_no(why, size, -ENOENT, "no gateway %s", name);
	if (cp_change_any_pending(c->store, CP_CF_SA))
		return cfg_no(why, size, -EBUSY, "SAs are being changed");
	cp_store_each_sa(c->store, sa_names, &f);
	if (f.found != NULL)
		return cfg_no(why, size, -EPROTO, "SA %s names gateway %s: delete it first", f.found, name);
	if (old != NULL) {
		at.gw_id = old->gw_id;
		cp_store_each_call(c->store, calls_at, &at);
	}
	if (at.cnt > 0) /* their connections could not be deleted there any more */
		return cfg_no(why, size, -EPROTO, "gateway %s has %u calls: disable it first, or drain it and wait", name, at.cnt);
	rc = cp_change_gateway_used(c, name, why, size);
	for (unsigned i = 0; old != NULL && i < old->number_cnt && rc == 0; i++)
		rc = number_set(c, CP_DIR_GATEWAY, name, NULL, old->numbers[i].number, "", old->numbers[i].prefix);
	return rc < 0 ? rc : cp_change_set(&c->gws, name, strlen(name), NULL);
}
