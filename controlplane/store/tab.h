/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hash table from bytes to a value and an object; the store's view, its pending set, the directory's overlay, what an
 * import has seen. Keyed with a random seed: names come from outside. Grows bucket by bucket, so that no
 * entry takes longer than others, and never shrinks. One thread.
 */
#ifndef CP_STORE_TAB_H
#define CP_STORE_TAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cp_ent {
	struct cp_ent *next;
	uint64_t hash;
	void *obj;    /* the user's */
	uint8_t *val; /* owned: heap, or behind the key; cp_ent_set_val() changes it */
	uint32_t val_len;
	uint32_t n;   /* the user's */
	uint16_t key_len;
	uint8_t key[];
};

struct cp_tab {
	struct cp_ent **bucket;
	size_t size;  /* a power of two; with 'split' how many buckets there are: tab.c */
	size_t split, room;
	size_t cnt;
	uint64_t seed[2];
	void (*free_obj)(void *obj); /* may be NULL */
};

/** How many of bucket[] are in use. */
static inline size_t cp_tab_buckets(const struct cp_tab *tab)
{
	return tab->size + tab->split;
}

/** SipHash-1-3 of bytes: keyed, so that chosen names cannot fill one bucket. Any thread. */
uint64_t cp_tab_hash(const uint64_t seed[2], const void *key, size_t len);

int cp_tab_init(struct cp_tab *tab, void (*free_obj)(void *obj));
void cp_tab_fini(struct cp_tab *tab);
struct cp_ent *cp_tab_find(const struct cp_tab *tab, const void *key, size_t key_len);
/** Find or make (obj and val NULL). NULL: no memory. */
struct cp_ent *cp_tab_put(struct cp_tab *tab, const void *key, size_t key_len);
/** Make one whose key is known not to be there, with a copy of its value. NULL: no memory. */
struct cp_ent *cp_tab_add(struct cp_tab *tab, const void *key, size_t key_len, const void *val, size_t val_len);
/** Room for so many at once. Without memory for it the table grows as it fills. */
void cp_tab_reserve(struct cp_tab *tab, size_t cnt);
/** Take 'val' (heap) for its value; the one before is wiped. */
void cp_ent_set_val(struct cp_ent *e, uint8_t *val, size_t len);
/** False: it was not there. */
bool cp_tab_del(struct cp_tab *tab, const void *key, size_t key_len);
/** All entries in key order, an array that the caller frees; NULL: no memory or empty. */
struct cp_ent **cp_tab_sorted(const struct cp_tab *tab);

#endif
