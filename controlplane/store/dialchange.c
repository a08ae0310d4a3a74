/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes of the dial plan's records (dialrec.h): what they name is there, and what is used stays. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changeint.h"
#include "clock.h"
#include "log.h"
#include "why.h"

/* As the change has it, else as the view has it. */
static bool there(const struct cp_change *c, const char *key)
{
	const struct cp_ent *e = cp_tab_find(&c->dials, key, strlen(key));
	const uint8_t *val;
	size_t len;

	if (e != NULL)
		return e->obj != NULL;
	return cp_store_get(c->store, CP_CF_DIAL, key, strlen(key), &val, &len) == 0;
}

static bool pending(const struct cp_change *c, const char *key)
{
	return cp_store_pending(c->store, CP_CF_DIAL, key, strlen(key));
}

/* 'whose' names it: it is there, or nothing is named. */
static int named(const struct cp_change *c, const char *whose, const char *folder, const char *what, const char *name, char *why, size_t size)
{
	char key[CP_DIAL_KEY_MAX];

	if (name[0] == '\0')
		return 0;
	cp_dial_key(key, folder, name);
	if (pending(c, key)) /* first: what the view still has may be on its way out */
		return cfg_no(why, size, -EBUSY, "%s %s is being changed", what, name);
	return there(c, key) ? 0 : cfg_no(why, size, -EINVAL, "%s: no %s %s", whose, what, name);
}

static int named_partition(const struct cp_change *c, const char *whose, const char *name, char *why, size_t size)
{
	return named(c, whose, "partition/", "partition", name, why, size);
}

static int named_css(const struct cp_change *c, const char *whose, const char *name, char *why, size_t size)
{
	return named(c, whose, "css/", "calling search space", name, why, size);
}

/* May a record be written under this key? */
static int may_put(const struct cp_change *c, const char *key, bool replace, char *why, size_t size)
{
	if (pending(c, key))
		return cfg_no(why, size, -EBUSY, "%s is being changed", key);
	return there(c, key) && !replace ? cfg_no(why, size, -EEXIST, "%s exists", key) : 0;
}

static int may_del(const struct cp_change *c, const char *key, char *why, size_t size)
{
	if (pending(c, key))
		return cfg_no(why, size, -EBUSY, "%s is being changed", key);
	return there(c, key) ? 0 : cfg_no(why, size, -ENOENT, "no %s", cfg_q(key));
}

static int put(struct cp_change *c, const char *key, int rc, struct cp_buf *val)
{
	return rc < 0 ? rc : cp_change_set_buf(&c->dials, key, val);
}

static int del(struct cp_change *c, const char *key)
{
	struct cp_buf none = {0};

	return cp_change_set_buf(&c->dials, key, &none);
}

/* --- puts --- */

int cp_change_partition_put(struct cp_change *c, const struct cp_partition *rec, bool replace, char *why, size_t size)
{
	struct cp_partition with = *rec;
	char key[CP_DIAL_KEY_MAX];
	struct cp_buf val = {0};
	int rc = cp_partition_check(rec, why, size);

	cp_dial_key(key, "partition/", rec->name);
	if (rc == 0)
		rc = may_put(c, key, replace, why, size);
	with.changed_us = cp_wall_us();
	return put(c, key, rc < 0 ? rc : cp_partition_build(&with, &val), &val);
}

int cp_change_css_put(struct cp_change *c, const struct cp_css *rec, bool replace, char *why, size_t size)
{
	struct cp_css with = *rec;
	char key[CP_DIAL_KEY_MAX];
	struct cp_buf val = {0};
	int rc = cp_css_check(rec, why, size);

	cp_dial_key(key, "css/", rec->name);
	if (rc == 0)
		rc = may_put(c, key, replace, why, size);
	for (unsigned i = 0; i < rec->partition_cnt && rc == 0; i++)
		rc = named_partition(c, rec->name, rec->partitions[i].partition, why, size);
	with.changed_us = cp_wall_us();
	return put(c, key, rc < 0 ? rc : cp_css_build(&with, &val), &val);
}

static int gateway_there(const struct cp_change *c, const char *whose, const struct cp_pattern_target *to, char *why, size_t size)
{
	const struct cp_ent *e = cp_tab_find(&c->gws, to->gateway, strlen(to->gateway));
	const struct cp_gateway *gw = e != NULL ? e->obj : cp_dir_gateway(c->store, to->gateway);
	bool found = to->endpoint[0] == '\0';

	if (to->gateway[0] == '@') /* whoever is in it when a call comes: perhaps nobody */
		return 0;
	if (e == NULL && cp_store_pending(c->store, CP_CF_GATEWAY, to->gateway, strlen(to->gateway)))
		return cfg_no(why, size, -EBUSY, "gateway %s is being changed", to->gateway);
	if (gw == NULL)
		return cfg_no(why, size, -EINVAL, "%s: no gateway %s", whose, to->gateway);
	for (unsigned i = 0; i < gw->endpoint_cnt && !found; i++)
		found = strcmp(gw->endpoints[i].name, to->endpoint) == 0;
	return found ? 0 : cfg_no(why, size, -EINVAL, "%s: gateway %s has no endpoint %s", whose, to->gateway, to->endpoint);
}

/* A pattern without sets that is a number somebody has in that partition. */
static int number_taken(const struct cp_change *c, const struct cp_pattern *rec, char *why, size_t size)
{
	char key[CP_NUMBER_KEY_MAX], plain[CP_DIAL_KEY_MAX];
	const char *number;
	bool taken;
	size_t n;

	cp_pattern_key(plain, rec->partition, rec->pattern);
	number = strrchr(plain, '/') + 1;
	if (!cp_number_ok(number))
		return 0;
	n = cp_dir_number_key(key, number, rec->partition, false);
	if (cp_store_pending(c->store, CP_CF_LINE, key, n))
		return cfg_no(why, size, -EBUSY, "number %s is being changed", number);
	cp_change_owner(c, key, n, &taken);
	return taken ? cfg_no(why, size, -EEXIST, "pattern %s is a number of that partition, which has an owner", rec->pattern) : 0;
}

int cp_change_pattern_put(struct cp_change *c, const struct cp_pattern *rec, bool replace, char *why, size_t size)
{
	struct cp_pattern with = *rec;
	char key[CP_DIAL_KEY_MAX];
	struct cp_buf val = {0};
	int rc = cp_pattern_check(rec, why, size);

	if (rc < 0)
		return rc;
	cp_pattern_key(key, rec->partition, rec->pattern);
	rc = may_put(c, key, replace, why, size);
	if (rc == 0)
		rc = named_partition(c, rec->pattern, rec->partition, why, size);
	if (rc == 0)
		rc = named_css(c, rec->pattern, rec->css, why, size);
	for (unsigned i = 0; i < rec->target_cnt && rc == 0; i++)
		rc = gateway_there(c, rec->pattern, &rec->targets[i], why, size);
	if (rc == 0)
		rc = number_taken(c, rec, why, size);
	with.changed_us = cp_wall_us();
	return put(c, key, rc < 0 ? rc : cp_pattern_build(&with, &val), &val);
}

int cp_change_forward_put(struct cp_change *c, const struct cp_forward *rec, char *why, size_t size)
{
	struct cp_forward with = *rec;
	char key[CP_DIAL_KEY_MAX], number[CP_NUMBER_KEY_MAX];
	const struct cp_owner *owner;
	struct cp_buf val = {0};
	bool taken;
	size_t n;
	int rc = cp_forward_check(rec, why, size);

	if (rc < 0)
		return rc;
	n = cp_dir_number_key(number, rec->number, rec->partition, false);
	if (cp_store_pending(c->store, CP_CF_LINE, number, n)) /* perhaps it goes, and this would be its next owner's */
		return cfg_no(why, size, -EBUSY, "number %s is being changed", rec->number);
	owner = cp_change_owner(c, number, n, &taken);
	cp_forward_key(key, rec->number, rec->partition);
	if (owner == NULL || owner->kind != CP_DIR_LINE)
		return cfg_no(why, size, -ENOENT, "no line %s%s%s", rec->number, rec->partition[0] != '\0' ? " in partition " : "", rec->partition);
	rc = may_put(c, key, true, why, size);
	if (rc == 0)
		rc = named_css(c, rec->number, rec->css, why, size);
	if (rc == 0 && cp_forward_empty(rec))
		return there(c, key) ? del(c, key) : 0;
	with.changed_us = cp_wall_us();
	return put(c, key, rc < 0 ? rc : cp_forward_build(&with, &val), &val);
}

/* --- deletes --- */

struct use {
	const char *partition, *css, *gateway; /* one of them */
	const char *endpoint;                  /* of the gateway; NULL: any, or none */
	char by[200];
};

/* Does this record name it? */
static bool use_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct use *u = ctx;
	struct cp_pattern p;
	struct cp_forward f;
	struct cp_css css;
	bool used = false;

	if (key_len > 4 && memcmp(key, "css/", 4) == 0 && cp_css_parse(val, len, &css) == 0) {
		for (unsigned i = 0; u->partition != NULL && i < css.partition_cnt; i++)
			used |= strcmp(css.partitions[i].partition, u->partition) == 0;
		cp_css_free(&css);
	} else if (key_len > 8 && memcmp(key, "pattern/", 8) == 0 && cp_pattern_parse(val, len, &p) == 0) {
		used = (u->partition != NULL && strcmp(p.partition, u->partition) == 0) || (u->css != NULL && strcmp(p.css, u->css) == 0);
		for (unsigned i = 0; u->gateway != NULL && i < p.target_cnt; i++)
			used |= strcmp(p.targets[i].gateway, u->gateway) == 0 &&
				(u->endpoint == NULL || strcmp(p.targets[i].endpoint, u->endpoint) == 0);
		cp_pattern_free(&p);
	} else if (key_len > 8 && memcmp(key, "forward/", 8) == 0 && cp_forward_parse(val, len, &f) == 0) {
		used = u->css != NULL && strcmp(f.css, u->css) == 0;
		cp_forward_free(&f);
	}
	if (used)
		snprintf(u->by, sizeof(u->by), "%.*s", (int)key_len, (const char *)key);
	return !used;
}

static void use_device(void *ctx, const struct cp_device *dev)
{
	struct use *u = ctx;
	bool used = u->css != NULL && strcmp(dev->css, u->css) == 0;

	for (unsigned i = 0; i < dev->line_cnt; i++)
		used |= (u->css != NULL && strcmp(dev->lines[i].css, u->css) == 0) ||
			(u->partition != NULL && strcmp(dev->lines[i].partition, u->partition) == 0);
	if (used)
		snprintf(u->by, sizeof(u->by), "device %s", dev->name);
}

static int del_unused(struct cp_change *c, const char *key, struct use *u, char *why, size_t size)
{
	int rc = may_del(c, key, why, size);

	if (rc < 0)
		return rc;
	if (cp_change_any_pending(c->store, CP_CF_DIAL) || cp_change_any_pending(c->store, CP_CF_DEVICE))
		return cfg_no(why, size, -EBUSY, "the dial plan, or devices, are being changed");
	cp_store_each(c->store, CP_CF_DIAL, use_one, u);
	if (u->by[0] == '\0')
		cp_dir_each_device(c->store, use_device, u);
	return u->by[0] != '\0' ? cfg_no(why, size, -EPROTO, "%s is used by %s", key, u->by) : del(c, key);
}

int cp_change_partition_del(struct cp_change *c, const char *name, char *why, size_t size)
{
	char key[CP_DIAL_KEY_MAX];

	cp_dial_key(key, "partition/", name);
	return del_unused(c, key, &(struct use){.partition = name}, why, size);
}

int cp_change_css_del(struct cp_change *c, const char *name, char *why, size_t size)
{
	char key[CP_DIAL_KEY_MAX];

	cp_dial_key(key, "css/", name);
	return del_unused(c, key, &(struct use){.css = name}, why, size);
}

int cp_change_pattern_del(struct cp_change *c, const char *partition, const char *pattern, char *why, size_t size)
{
	char key[CP_DIAL_KEY_MAX], normal[CP_PATTERN_MAX], text[160] = "";
	int rc;

	if (cp_pat_normal(pattern, normal, text, sizeof(text)) < 0)
		return cfg_no(why, size, -EINVAL, "pattern %s: %s", cfg_q(pattern), text);
	cp_pattern_key(key, partition, normal);
	rc = may_del(c, key, why, size);
	return rc < 0 ? rc : del(c, key);
}

/* --- for the other files of a change --- */

int cp_change_fit_dial(const struct cp_change *c, const struct cp_device *dev, char *why, size_t size)
{
	int rc = named_css(c, dev->name, dev->css, why, size);

	for (unsigned i = 0; i < dev->line_cnt && rc == 0; i++) {
		const struct cp_line *l = &dev->lines[i];
		char key[CP_DIAL_KEY_MAX];

		rc = named_partition(c, dev->name, l->partition, why, size);
		if (rc == 0)
			rc = named_css(c, dev->name, l->css, why, size);
		cp_pattern_key(key, l->partition, l->number);
		if (rc == 0 && (there(c, key) || pending(c, key)))
			rc = cfg_no(why, size, pending(c, key) ? -EBUSY : -EEXIST, "number %s is a pattern of that partition", l->number);
	}
	return rc;
}

int cp_change_gateway_used(const struct cp_change *c, const char *gateway, char *why, size_t size)
{
	struct use u = {.gateway = gateway};

	if (cp_change_any_pending(c->store, CP_CF_DIAL))
		return cfg_no(why, size, -EBUSY, "the dial plan is being changed");
	cp_store_each(c->store, CP_CF_DIAL, use_one, &u);
	return u.by[0] != '\0' ? cfg_no(why, size, -EPROTO, "%s leads to gateway %s: delete it first", u.by, gateway) : 0;
}

static bool has_endpoint(const struct cp_gateway *gw, const char *name)
{
	for (unsigned i = 0; i < gw->endpoint_cnt; i++)
		if (strcmp(gw->endpoints[i].name, name) == 0)
			return true;
	return false;
}

int cp_change_fit_gateway(const struct cp_change *c, const struct cp_gateway *gw, const struct cp_gateway *old, char *why, size_t size)
{
	for (unsigned i = 0; i < gw->number_cnt; i++) {
		char key[CP_DIAL_KEY_MAX];

		cp_pattern_key(key, "", gw->numbers[i].number);
		if (!gw->numbers[i].prefix && (pending(c, key) || there(c, key)))
			return cfg_no(why, size, pending(c, key) ? -EBUSY : -EEXIST, "number %s is a pattern", gw->numbers[i].number);
	}
	for (unsigned i = 0; old != NULL && i < old->endpoint_cnt; i++) {
		struct use u = {.gateway = gw->name, .endpoint = old->endpoints[i].name};

		if (has_endpoint(gw, u.endpoint))
			continue;
		if (cp_change_any_pending(c->store, CP_CF_DIAL))
			return cfg_no(why, size, -EBUSY, "the dial plan is being changed");
		cp_store_each(c->store, CP_CF_DIAL, use_one, &u);
		if (u.by[0] != '\0')
			return cfg_no(why, size, -EPROTO, "%s leads to endpoint %s of gateway %s: change it first", u.by, u.endpoint, gw->name);
	}
	return 0;
}

/* Whoever gets the number next begins without it. */
int cp_change_drop_forward(const struct cp_change *c, struct cp_batch *b, const uint8_t *number_key, size_t len)
{
	char key[CP_DIAL_KEY_MAX];
	size_t n = (size_t)snprintf(key, sizeof(key), "forward/%.*s%s", (int)len - 1, (const char *)number_key + 1,
				    memchr(number_key, '@', len) == NULL ? "@" : "");

	return number_key[0] == 'E' && (there(c, key) || pending(c, key)) ? cp_batch_del(b, CP_CF_DIAL, key, n) : 0;
}
