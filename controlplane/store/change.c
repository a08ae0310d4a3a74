/* SPDX-License-Identifier: BSD-3-Clause */
#include "changeint.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

void cp_change_free_device(void *obj)
{
	cp_device_free(obj);
	free(obj);
}

void cp_change_free_gateway(void *obj)
{
	cp_gateway_free(obj);
	free(obj);
}

static void free_conf(void *obj)
{
	struct cp_buf *b = obj;

	OPENSSL_cleanse(b->data, b->len);
	free(b->data);
	free(b);
}

struct cp_change *cp_change_create(struct cp_store *store)
{
	struct cp_change *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->store = store;
	if (cp_tab_init(&c->devs, cp_change_free_device) < 0 || cp_tab_init(&c->gws, cp_change_free_gateway) < 0 ||
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

void *cp_change_get(const struct cp_change *c, const struct cp_tab *overlay, enum cp_cf cf, const char *name,
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

bool cp_change_any_pending(const struct cp_store *s, enum cp_cf cf)
{
	for (size_t i = 0; i < cp_tab_buckets(&s->pending); i++)
		for (const struct cp_ent *e = s->pending.bucket[i]; e != NULL; e = e->next)
			if (e->key_len > 0 && e->key[0] == cf)
				return true;
	return false;
}

/* --- writing --- */

static int build_device(const void *obj, struct cp_buf *ret)
{
	return cp_device_build(obj, ret);
}

static int build_gateway(const void *obj, struct cp_buf *ret)
{
	return cp_gateway_build(obj, ret);
}

/* 'build' NULL: what is there is encoded already. */
static int add(const struct cp_tab *overlay, enum cp_cf cf, int (*build)(const void *obj, struct cp_buf *ret), struct cp_batch *b)
{
	int rc = 0;

	for (size_t i = 0; i < cp_tab_buckets(overlay); i++)
		for (const struct cp_ent *e = overlay->bucket[i]; e != NULL && rc == 0; e = e->next) {
			struct cp_buf made = {0};
			const struct cp_buf *v = build != NULL ? &made : e->obj;

			if (e->obj == NULL) {
				rc = cp_batch_del(b, cf, e->key, e->key_len);
				continue;
			}
			if (build != NULL)
				rc = build(e->obj, &made);
			if (rc == 0)
				rc = cp_batch_put(b, cf, e->key, e->key_len, v->data, v->len);
			free(made.data);
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
	json_t *audit = event == NULL ? NULL : json_pack("{s:s,s:s}", "event", event, "who", who);
	int rc;

	if (detail != NULL)
		json_object_update(audit, detail);
	rc = event == NULL ? 0 : cp_batch_audit_json(b, audit);
	if (rc == 0)
		rc = add(&c->confs, CP_CF_PROFILE, NULL, b);
	if (rc == 0)
		rc = add(&c->devs, CP_CF_DEVICE, build_device, b);
	if (rc == 0)
		rc = add(&c->gws, CP_CF_GATEWAY, build_gateway, b);
	if (rc == 0)
		rc = add_numbers(c, b);
	if (rc == 0)
		rc = add(&c->dials, CP_CF_DIAL, NULL, b);
	if (rc == 0)
		rc = cp_store_submit(c->store, b, fn, ctx);
	else
		cp_batch_destroy(b);
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
	return cp_change_submit(c, x->quiet ? NULL : event, x->who, detail, x->fn, x->ctx);
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
