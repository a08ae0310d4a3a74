/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The patterns of one partition, compiled: a tree of sets of digits. Adding and removing a pattern costs its length, so that nothing is
 * ever built anew and the loop is never held up by a change; a look-up walks the branches that the digits fit. A digit leads to at most
 * one branch per different set, so a plan written by people has a few; at worst, of patterns made to collide, each node is seen once
 * per digit of a '!'. One thread.
 */
#ifndef CP_DIAL_TRIE_H
#define CP_DIAL_TRIE_H

#include "pattern.h"

struct cp_trie;

/* What fits. 'owner' is what was given to cp_trie_set(). */
struct cp_trie_hit {
	const void *owner;
	cp_weight weight;
	bool many; /* by way of a '!': of two as close, one without is closer */
};

struct cp_trie *cp_trie_create(void); /* NULL: no memory */
void cp_trie_destroy(struct cp_trie *trie);

/** The pattern's owner from here on; NULL: it is gone. 0, -ENOMEM (nothing is changed). */
int cp_trie_set(struct cp_trie *trie, const struct cp_pat *pat, const void *owner);
/** The owner of exactly this pattern, NULL: none. Patterns that differ in the place of '.' are the same to the tree. */
const void *cp_trie_get(const struct cp_trie *trie, const struct cp_pat *pat);
size_t cp_trie_count(const struct cp_trie *trie);

/** Each pattern that fits, in no order. Returns true if more digits could fit one, or another one. */
bool cp_trie_match(const struct cp_trie *trie, const char *digits, void (*fn)(void *ctx, const struct cp_trie_hit *hit), void *ctx);

#endif
