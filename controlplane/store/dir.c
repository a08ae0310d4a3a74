/* SPDX-License-Identifier: BSD-3-Clause */
/* The directory's reading side, and the typed puts and reads of calls and SAs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cdrrec.h"
#include "internal.h"

/* --- numbers --- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c == '*' ? 10 : c == '#' ? 11 : c == '+' ? 12 : -1;
}

int cp_dir_init(struct cp_store *s)
{
	s->trie.node = calloc(256, sizeof(struct trie_node));
	s->trie.size = 256;
	s->trie.used = 1;
	return s->trie.node == NULL ? -ENOMEM : 0;
}

void cp_dir_fini(struct cp_store *s)
{
	free(s->trie.node);
	s->trie.node = NULL;
}

static uint32_t node_take(struct trie *t)
{
	uint32_t n = t->free;

	if (n != 0) {
		t->free = t->node[n].child[0];
	} else {
		if (t->used == t->size) {
			struct trie_node *grown = realloc(t->node, 2 * (size_t)t->size * sizeof(*grown));

			if (grown == NULL)
				return 0;
			t->node = grown;
			t->size *= 2;
		}
		n = t->used++;
	}
	memset(&t->node[n], 0, sizeof(t->node[n]));
	return n;
}

size_t cp_dir_number_key(char key[CP_NUMBER_KEY_MAX], const char *number, const char *partition, bool prefix)
{
	size_t n = strnlen(number, CP_NUMBER_MAX - 1), part = strnlen(partition, CP_PART_MAX - 1);

	key[0] = prefix ? 'P' : 'E';
	memcpy(key + 1, number, n++);
	if (part > 0) {
		key[n++] = '@';
		memcpy(key + n, partition, part);
	}
	return n + part;
}

int cp_dir_number_set(struct cp_store *s, const uint8_t *key, size_t key_len, struct cp_owner *owner)
{
	struct trie *t = &s->trie;
	uint32_t path[CP_NUMBER_MAX], at = 0;
	struct cp_owner **slot;
	size_t n = key_len - 1;
	int step;

	if (key_len > 0 && memchr(key, '@', key_len) != NULL)
		return 0; /* the dial plan's (dial/plan.h): this tree is of the numbers that all see */
	if (key_len < 2 || n >= CP_NUMBER_MAX || (key[0] != 'E' && key[0] != 'P'))
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		int d = digit((char)key[i + 1]);
		uint32_t next;

		if (d < 0)
			return -EINVAL;
		path[i] = at;
		next = t->node[at].child[d];
		if (next == 0) {
			if (owner == NULL)
				return 0;
			next = node_take(t);
			if (next == 0)
				return -ENOMEM;
			t->node[at].child[d] = next;
		}
		at = next;
	}
	slot = key[0] == 'E' ? &t->node[at].exact : &t->node[at].prefix;
	step = (owner != NULL) - (*slot != NULL);
	*slot = owner;
	t->node[at].cnt = (uint32_t)((int64_t)t->node[at].cnt + step);
	for (size_t i = n; i-- > 0;) {
		uint32_t child = at;
		int d = digit((char)key[i + 1]);

		at = path[i];
		t->node[at].cnt = (uint32_t)((int64_t)t->node[at].cnt + step);
		if (t->node[child].cnt == 0) {
			t->node[at].child[d] = 0;
			t->node[child].child[0] = t->free;
			t->free = child;
		}
	}
	return 0;
}

/* Where the number is, by the records of its owners: they are the truth. */
static unsigned places(const struct cp_store *s, const struct cp_owner *o, const char *number, const char *partition, struct cp_dir_place *ret)
{
	const char *name;
	unsigned n = 0;

	for (unsigned k = 0; (name = cp_owner_name(o, k)) != NULL; k++) {
		const struct cp_device *dev = cp_dir_device(s, name);

		for (unsigned i = 0; dev != NULL && i < dev->line_cnt; i++)
			if (strcmp(dev->lines[i].number, number) == 0 && strcmp(dev->lines[i].partition, partition) == 0) {
				ret[n++] = (struct cp_dir_place){dev, i + 1};
				break;
			}
	}
	return n;
}

unsigned cp_dir_line_devices(const struct cp_store *s, const char *number, const char *partition,
			     struct cp_dir_place ret[CP_LINE_DEVICES_MAX])
{
	char key[CP_NUMBER_KEY_MAX];
	size_t n = cp_dir_number_key(key, number, partition, false);
	const struct cp_ent *e = cp_tab_find(&s->view[CP_CF_LINE], key, n);
	const struct cp_owner *o = e != NULL ? e->obj : NULL;

	return o != NULL && o->kind == CP_DIR_LINE ? places(s, o, number, partition, ret) : 0;
}

const char *cp_dir_partition(const struct cp_device *dev, const char *number)
{
	for (unsigned i = 0; dev != NULL && i < dev->line_cnt; i++)
		if (strcmp(dev->lines[i].number, number) == 0)
			return dev->lines[i].partition;
	return "";
}

/* Fill the hit from the owner's record: it is the truth. False if it does not have the number (any more). */
static bool resolve(const struct cp_store *s, const struct cp_owner *o, const char *number, const char *partition, unsigned prefix_len,
		    struct cp_dir_hit *ret)
{
	bool prefix = prefix_len > 0;

	if (o->kind == CP_DIR_LINE) {
		struct cp_dir_place place[CP_LINE_DEVICES_MAX];

		if (places(s, o, number, partition, place) > 0) {
			*ret = (struct cp_dir_hit){.kind = CP_DIR_LINE, .device = place[0].device, .line = place[0].line};
			return true;
		}
	} else {
		const struct cp_gateway *gw = cp_dir_gateway(s, o->name);
		size_t len = prefix ? prefix_len : strlen(number);

		for (unsigned i = 0; gw != NULL && i < gw->number_cnt; i++) {
			const struct cp_gw_number *n = &gw->numbers[i];

			if (n->prefix == prefix && strlen(n->number) == len && memcmp(n->number, number, len) == 0) {
				*ret = (struct cp_dir_hit){.kind = CP_DIR_GATEWAY, .gateway = gw,
							   .endpoint = n->endpoint, .prefix = prefix,
							   .prefix_len = prefix_len};
				return true;
			}
		}
	}
	return false;
}

bool cp_dir_number(const struct cp_store *s, const char *number, struct cp_dir_hit *ret, bool *ret_longer)
{
	const struct trie *t = &s->trie;
	const struct cp_owner *prefix = NULL;
	const struct trie_node *node = &t->node[0];
	unsigned prefix_len = 0, n = 0;

	*ret = (struct cp_dir_hit){.kind = CP_DIR_NONE};
	for (; number[n] != '\0'; n++) {
		int d = digit(number[n]);
		uint32_t next = d < 0 || n >= CP_NUMBER_MAX ? 0 : node->child[d];

		if (next == 0) {
			node = NULL;
			break;
		}
		node = &t->node[next];
		if (node->prefix != NULL) {
			prefix = node->prefix;
			prefix_len = n + 1;
		}
	}
	if (ret_longer != NULL)
		*ret_longer = prefix != NULL ||
			      (node != NULL && node->cnt > (node->exact != NULL) + (uint32_t)(node->prefix != NULL));
	if (node != NULL && node->exact != NULL && resolve(s, node->exact, number, "", 0, ret))
		return true;
	return prefix != NULL && resolve(s, prefix, number, "", prefix_len, ret);
}

bool cp_dir_line(const struct cp_store *s, const char *number, const char *partition, struct cp_dir_hit *ret)
{
	char key[CP_NUMBER_KEY_MAX];
	size_t n = cp_dir_number_key(key, number, partition, false);
	const struct cp_ent *e = cp_tab_find(&s->view[CP_CF_LINE], key, n);

	*ret = (struct cp_dir_hit){.kind = CP_DIR_NONE};
	return e != NULL && e->obj != NULL && resolve(s, e->obj, number, partition, 0, ret);
}

/* --- devices and gateways --- */

static void *obj_of(const struct cp_store *s, enum cp_cf cf, const void *key, size_t key_len)
{
	const struct cp_ent *e = key_len == 0 ? NULL : cp_tab_find(&s->view[cf], key, key_len);

	return e == NULL ? NULL : e->obj;
}

const struct cp_device *cp_dir_device(const struct cp_store *s, const char *name)
{
	return obj_of(s, CP_CF_DEVICE, name, strlen(name));
}

const struct cp_gateway *cp_dir_gateway(const struct cp_store *s, const char *name)
{
	return obj_of(s, CP_CF_GATEWAY, name, strlen(name));
}

const struct cp_gateway *cp_dir_gateway_id(const struct cp_store *s, uint32_t gw_id)
{
	return gw_id < DP_GW_MAX ? s->gw_by_id[gw_id] : NULL;
}

void cp_dir_each_device(const struct cp_store *s, void (*fn)(void *ctx, const struct cp_device *dev), void *ctx)
{
	struct cp_ent **all = cp_tab_sorted(&s->view[CP_CF_DEVICE]);

	for (size_t i = 0, n = all == NULL ? 0 : s->view[CP_CF_DEVICE].cnt; i < n; i++)
		if (all[i]->obj != NULL)
			fn(ctx, all[i]->obj);
	free(all);
}

void cp_dir_each_gateway(const struct cp_store *s, void (*fn)(void *ctx, const struct cp_gateway *gw), void *ctx)
{
	struct cp_ent **all = cp_tab_sorted(&s->view[CP_CF_GATEWAY]);

	for (size_t i = 0, n = all == NULL ? 0 : s->view[CP_CF_GATEWAY].cnt; i < n; i++)
		if (all[i]->obj != NULL)
			fn(ctx, all[i]->obj);
	free(all);
}

/* --- calls and SAs --- */

static void call_key(uint8_t key[8], uint64_t id)
{
	for (unsigned i = 0; i < 8; i++)
		key[i] = (uint8_t)(id >> (56 - 8 * i));
}

const struct cp_sa *cp_store_sa(const struct cp_store *s, const char *name)
{
	return obj_of(s, CP_CF_SA, name, strlen(name));
}

const struct cp_call_rec *cp_store_call(const struct cp_store *s, uint64_t call_id)
{
	uint8_t key[8];

	call_key(key, call_id);
	return obj_of(s, CP_CF_CALL, key, sizeof(key));
}

void cp_store_each_sa(const struct cp_store *s, void (*fn)(void *ctx, const struct cp_sa *sa), void *ctx)
{
	struct cp_ent **all = cp_tab_sorted(&s->view[CP_CF_SA]);

	for (size_t i = 0, n = all == NULL ? 0 : s->view[CP_CF_SA].cnt; i < n; i++)
		if (all[i]->obj != NULL)
			fn(ctx, all[i]->obj);
	free(all);
}

void cp_store_each_call(const struct cp_store *s, void (*fn)(void *ctx, const struct cp_call_rec *call), void *ctx)
{
	struct cp_ent **all = cp_tab_sorted(&s->view[CP_CF_CALL]);

	for (size_t i = 0, n = all == NULL ? 0 : s->view[CP_CF_CALL].cnt; i < n; i++)
		if (all[i]->obj != NULL)
			fn(ctx, all[i]->obj);
	free(all);
}

/* One record, with its audit text, as a batch. 'val' is released. */
static int put_one(struct cp_store *s, enum cp_cf cf, const void *key, size_t key_len, struct cp_buf *val,
		   const char *audit, cp_store_fn fn, void *ctx)
{
	struct cp_batch *b = cp_batch_create();

	if (b != NULL && val != NULL)
		cp_batch_put(b, cf, key, key_len, val->data, val->len);
	else if (b != NULL)
		cp_batch_del(b, cf, key, key_len);
	if (b != NULL && audit != NULL)
		cp_batch_audit(b, audit);
	if (val != NULL)
		free(val->data);
	return b == NULL ? -ENOMEM : cp_store_submit(s, b, fn, ctx);
}

int cp_store_put_call(struct cp_store *s, const struct cp_call_rec *call, cp_store_fn fn, void *ctx)
{
	uint8_t key[8];
	struct cp_buf val;
	int rc = cp_call_rec_build(call, &val);

	call_key(key, call->call_id);
	return rc < 0 ? rc : put_one(s, CP_CF_CALL, key, sizeof(key), &val, NULL, fn, ctx);
}

int cp_store_del_call(struct cp_store *s, uint64_t call_id, cp_store_fn fn, void *ctx)
{
	uint8_t key[8];

	call_key(key, call_id);
	return put_one(s, CP_CF_CALL, key, sizeof(key), NULL, NULL, fn, ctx);
}

static int add_cdr(struct cp_batch *b, const struct cp_cdr *cdr)
{
	uint8_t key[CP_CDR_KEY_LEN];
	struct cp_buf val;
	int rc = cp_cdr_build(cdr, &val);

	if (rc < 0)
		return rc;
	cp_cdr_key(key, cdr->end_us, cdr->call);
	rc = cp_batch_put(b, CP_CF_CDR, key, sizeof(key), val.data, val.len);
	free(val.data);
	return rc;
}

static int add_call(struct cp_batch *b, const struct cp_call_rec *call)
{
	uint8_t key[8];
	struct cp_buf val;
	int rc = cp_call_rec_build(call, &val);

	if (rc < 0)
		return rc;
	call_key(key, call->call_id);
	rc = cp_batch_put(b, CP_CF_CALL, key, sizeof(key), val.data, val.len);
	free(val.data);
	return rc;
}

int cp_store_calls(struct cp_store *s, const struct cp_call_change *change, cp_store_fn fn, void *ctx)
{
	struct cp_batch *b = cp_batch_create();
	uint8_t key[8];
	int rc = b != NULL ? 0 : -ENOMEM;

	if (rc == 0 && change->call != NULL)
		rc = add_call(b, change->call);
	for (unsigned i = 0; i < sizeof(change->gone) / sizeof(change->gone[0]) && rc == 0; i++) {
		if (change->gone[i] == 0)
			continue;
		call_key(key, change->gone[i]);
		rc = cp_batch_del(b, CP_CF_CALL, key, sizeof(key));
	}
	for (unsigned i = 0; i < change->cdr_cnt && rc == 0; i++)
		rc = add_cdr(b, change->cdrs[i]);
	if (rc == 0 && b->ops.cnt == 0)
		rc = -EINVAL;
	if (rc < 0) {
		cp_batch_destroy(b);
		return rc;
	}
	return cp_store_submit(s, b, fn, ctx);
}

int cp_store_put_sa(struct cp_store *s, const struct cp_sa *sa, const char *audit, cp_store_fn fn, void *ctx)
{
	struct cp_buf val;
	int rc;

	if (cp_store_pending(s, CP_CF_GATEWAY, sa->gateway, strlen(sa->gateway)))
		return -EBUSY;
	rc = cp_sa_build(sa, &val);
	return rc < 0 ? rc : put_one(s, CP_CF_SA, sa->name, strlen(sa->name), &val, audit, fn, ctx);
}

int cp_store_del_sa(struct cp_store *s, const char *name, const char *audit, cp_store_fn fn, void *ctx)
{
	return put_one(s, CP_CF_SA, name, strlen(name), NULL, audit, fn, ctx);
}

