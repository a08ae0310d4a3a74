/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hash table from bytes to a value and an object; the store's view, its pending set, the directory's overlay, what an
 * import has seen. Keyed with a random seed: names come from outside. Grows, never shrinks. One thread.
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
	uint8_t *val; /* heap, owned */
	uint32_t val_len;
	uint32_t n;   /* the user's */
	uint16_t key_len;
	uint8_t key[];
};

struct cp_tab {
	struct cp_ent **bucket;
	size_t size; /* buckets, a power of two */
	size_t cnt;
	uint64_t seed[2];
	void (*free_obj)(void *obj); /* may be NULL */
};

int cp_tab_init(struct cp_tab *tab, void (*free_obj)(void *obj));
void cp_tab_fini(struct cp_tab *tab);
struct cp_ent *cp_tab_find(const struct cp_tab *tab, const void *key, size_t key_len);
/** Find or make (obj and val NULL). NULL: no memory. */
struct cp_ent *cp_tab_put(struct cp_tab *tab, const void *key, size_t key_len);
/** False: it was not there. */
bool cp_tab_del(struct cp_tab *tab, const void *key, size_t key_len);
/** All entries in key order, an array that the caller frees; NULL: no memory or empty. */
struct cp_ent **cp_tab_sorted(const struct cp_tab *tab);

#endif
