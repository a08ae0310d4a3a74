/* SPDX-License-Identifier: BSD-3-Clause */
#include "tab.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define SIPROUND                                                                                   \
	do {                                                                                       \
		v0 += v1, v1 = ROTL(v1, 13), v1 ^= v0, v0 = ROTL(v0, 32);                          \
		v2 += v3, v3 = ROTL(v3, 16), v3 ^= v2;                                             \
		v0 += v3, v3 = ROTL(v3, 21), v3 ^= v0;                                             \
		v2 += v1, v1 = ROTL(v1, 17), v1 ^= v2, v2 = ROTL(v2, 32);                          \
	} while (0)

uint64_t cp_tab_hash(const uint64_t seed[2], const void *key, size_t len)
{
	const uint8_t *p = key;
	uint64_t v0 = seed[0] ^ UINT64_C(0x736f6d6570736575), v1 = seed[1] ^ UINT64_C(0x646f72616e646f6d);
	uint64_t v2 = seed[0] ^ UINT64_C(0x6c7967656e657261), v3 = seed[1] ^ UINT64_C(0x7465646279746573);
	uint64_t last = (uint64_t)len << 56, m;
	size_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		memcpy(&m, p + i, 8);
		v3 ^= m;
		SIPROUND;
		v0 ^= m;
	}
	for (unsigned b = 0; i < len; i++, b += 8)
		last |= (uint64_t)p[i] << b;
	v3 ^= last;
	SIPROUND;
	v0 ^= last;
	v2 ^= 0xff;
	SIPROUND;
	SIPROUND;
	SIPROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

int cp_tab_init(struct cp_tab *tab, void (*free_obj)(void *obj))
{
	*tab = (struct cp_tab){.size = 64, .room = 64, .free_obj = free_obj};
	if (RAND_bytes((unsigned char *)tab->seed, sizeof(tab->seed)) != 1)
		return -EIO;
	tab->bucket = calloc(tab->room, sizeof(struct cp_ent *));
	return tab->bucket == NULL ? -ENOMEM : 0;
}

void cp_ent_set_val(struct cp_ent *e, uint8_t *val, size_t len)
{
	if (e->val != NULL)
		OPENSSL_cleanse(e->val, e->val_len);
	if (e->val != e->key + e->key_len)
		free(e->val);
	e->val = val;
	e->val_len = (uint32_t)len;
}

static void ent_free(struct cp_tab *tab, struct cp_ent *e)
{
	if (tab->free_obj != NULL && e->obj != NULL)
		tab->free_obj(e->obj);
	if (e->val != e->key + e->key_len)
		free(e->val);
	free(e);
}

void cp_tab_fini(struct cp_tab *tab)
{
	for (size_t i = 0; tab->bucket != NULL && i < cp_tab_buckets(tab); i++)
		for (struct cp_ent *e = tab->bucket[i], *next; e != NULL; e = next) {
			next = e->next;
			ent_free(tab, e);
		}
	free(tab->bucket);
	tab->bucket = NULL;
	tab->cnt = 0;
}

/* Linear hashing: the buckets below 'split' were split in two, the second half of them lies at 'size' and above. */
static struct cp_ent **bucket_of(const struct cp_tab *tab, uint64_t h)
{
	size_t i = h & (tab->size - 1);

	return &tab->bucket[i < tab->split ? h & (2 * tab->size - 1) : i];
}

static struct cp_ent **place(const struct cp_tab *tab, uint64_t h, const void *key, size_t key_len)
{
	struct cp_ent **at = bucket_of(tab, h);

	while (*at != NULL &&
	       ((*at)->hash != h || (*at)->key_len != key_len || memcmp((*at)->key, key, key_len) != 0))
		at = &(*at)->next;
	return at;
}

struct cp_ent *cp_tab_find(const struct cp_tab *tab, const void *key, size_t key_len)
{
	return *place(tab, cp_tab_hash(tab->seed, key, key_len), key, key_len);
}

/* One bucket more, from the entries of one other: growing never takes long. False: no memory, and longer chains. */
static bool split_one(struct cp_tab *tab)
{
	struct cp_ent *e = tab->bucket[tab->split], *next;

	if (tab->size + tab->split == tab->room) {
		size_t room = tab->room * 2;
		struct cp_ent **bucket = calloc(room, sizeof(struct cp_ent *)); /* not touched before it is used */

		if (bucket == NULL)
			return false;
		memcpy(bucket, tab->bucket, tab->room * sizeof(struct cp_ent *));
		free(tab->bucket);
		tab->bucket = bucket;
		tab->room = room;
	}
	tab->bucket[tab->split++] = NULL;
	for (; e != NULL; e = next) {
		struct cp_ent **at = bucket_of(tab, e->hash);

		next = e->next;
		e->next = *at;
		*at = e;
	}
	if (tab->split == tab->size) {
		tab->size *= 2;
		tab->split = 0;
	}
	return true;
}

void cp_tab_reserve(struct cp_tab *tab, size_t cnt)
{
	while (cp_tab_buckets(tab) < cnt && split_one(tab))
		;
}

static void link_ent(struct cp_tab *tab, struct cp_ent *e, uint64_t h, const void *key, size_t key_len)
{
	struct cp_ent **at;

	if (tab->cnt >= cp_tab_buckets(tab))
		split_one(tab);
	at = bucket_of(tab, h);
	e->hash = h;
	e->key_len = (uint16_t)key_len;
	memcpy(e->key, key, key_len);
	e->next = *at;
	*at = e;
	tab->cnt++;
}

struct cp_ent *cp_tab_add(struct cp_tab *tab, const void *key, size_t key_len, const void *val, size_t val_len)
{
	struct cp_ent *e = key_len > UINT16_MAX || val_len > UINT32_MAX ? NULL : malloc(sizeof(*e) + key_len + val_len);

	if (e == NULL)
		return NULL;
	memset(e, 0, sizeof(*e));
	link_ent(tab, e, cp_tab_hash(tab->seed, key, key_len), key, key_len);
	e->val = e->key + key_len;
	e->val_len = (uint32_t)val_len;
	if (val_len > 0)
		memcpy(e->val, val, val_len);
	return e;
}

struct cp_ent *cp_tab_put(struct cp_tab *tab, const void *key, size_t key_len)
{
	uint64_t h = cp_tab_hash(tab->seed, key, key_len);
	struct cp_ent *e = *place(tab, h, key, key_len);

	if (e != NULL)
		return e;
	if (key_len > UINT16_MAX)
		return NULL;
	e = calloc(1, sizeof(*e) + key_len);
	if (e == NULL)
		return NULL;
	link_ent(tab, e, h, key, key_len);
	return e;
}

bool cp_tab_del(struct cp_tab *tab, const void *key, size_t key_len)
{
	struct cp_ent **at = place(tab, cp_tab_hash(tab->seed, key, key_len), key, key_len), *e = *at;

	if (e == NULL)
		return false;
	*at = e->next;
	tab->cnt--;
	ent_free(tab, e);
	return true;
}

static int by_key(const void *a, const void *b)
{
	const struct cp_ent *x = *(struct cp_ent *const *)a, *y = *(struct cp_ent *const *)b;
	size_t n = x->key_len < y->key_len ? x->key_len : y->key_len;
	int c = memcmp(x->key, y->key, n);

	return c != 0 ? c : (int)x->key_len - (int)y->key_len;
}

struct cp_ent **cp_tab_sorted(const struct cp_tab *tab)
{
	struct cp_ent **all = tab->cnt == 0 ? NULL : malloc(tab->cnt * sizeof(struct cp_ent *));
	size_t n = 0;

	if (all == NULL)
		return NULL;
	for (size_t i = 0; i < cp_tab_buckets(tab); i++)
		for (struct cp_ent *e = tab->bucket[i]; e != NULL; e = e->next)
			all[n++] = e;
	qsort(all, n, sizeof(struct cp_ent *), by_key);
	return all;
}
