/* SPDX-License-Identifier: BSD-3-Clause */
#include "trie.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Index 0 is the root, and absent as a child. */
struct node {
	uint32_t child[CP_SYM_CNT]; /* of one digit */
	uint32_t sets;              /* of more than one: the first; chained by 'next' */
	uint32_t next;
	uint32_t cnt;               /* patterns that end here or below */
	uint16_t mask;              /* that led here */
	bool many;                  /* '!': its digits lead here again */
	const void *owner;          /* of the pattern that ends here */
};

struct cp_trie {
	struct node *node;
	uint32_t used, size, free; /* free: head of the list through 'next' */
};

struct cp_trie *cp_trie_create(void)
{
	struct cp_trie *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->size = 64;
	t->used = 1;
	t->node = calloc(t->size, sizeof(*t->node));
	if (t->node == NULL) {
		free(t);
		return NULL;
	}
	return t;
}

void cp_trie_destroy(struct cp_trie *t)
{
	if (t == NULL)
		return;
	free(t->node);
	free(t);
}

size_t cp_trie_count(const struct cp_trie *t)
{
	return t->node[0].cnt;
}

static uint32_t take(struct cp_trie *t)
{
	uint32_t n = t->free;

	if (n != 0) {
		t->free = t->node[n].next;
	} else {
		if (t->used == t->size) {
			struct node *grown = realloc(t->node, 2 * (size_t)t->size * sizeof(*grown));

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

static uint32_t find_child(const struct cp_trie *t, uint32_t at, uint16_t mask, bool many)
{
	uint32_t n;

	if ((mask & (mask - 1)) == 0)
		return t->node[at].child[__builtin_ctz(mask)];
	for (n = t->node[at].sets; n != 0; n = t->node[n].next)
		if (t->node[n].mask == mask && t->node[n].many == many)
			break;
	return n;
}

static uint32_t make_child(struct cp_trie *t, uint32_t at, uint16_t mask, bool many)
{
	uint32_t n = take(t);

	if (n == 0)
		return 0;
	t->node[n].mask = mask;
	t->node[n].many = many;
	if ((mask & (mask - 1)) == 0) {
		t->node[at].child[__builtin_ctz(mask)] = n;
	} else {
		t->node[n].next = t->node[at].sets;
		t->node[at].sets = n;
	}
	return n;
}

/* 'n' has nothing below it and no owner. */
static void drop_child(struct cp_trie *t, uint32_t at, uint32_t n)
{
	uint16_t mask = t->node[n].mask;

	if ((mask & (mask - 1)) == 0) {
		t->node[at].child[__builtin_ctz(mask)] = 0;
	} else {
		uint32_t *link = &t->node[at].sets;

		while (*link != n)
			link = &t->node[*link].next;
		*link = t->node[n].next;
	}
	t->node[n].next = t->free;
	t->free = n;
}

/* Takes away what leads to nothing, from the end of the path up. */
static void prune(struct cp_trie *t, const uint32_t *path, unsigned cnt)
{
	for (unsigned i = cnt; i > 0; i--)
		if (t->node[path[i]].cnt == 0)
			drop_child(t, path[i - 1], path[i]);
}

int cp_trie_set(struct cp_trie *t, const struct cp_pat *p, const void *owner)
{
	uint32_t path[CP_PATTERN_ELEMS + 1] = {0};
	int step;

	for (unsigned i = 0; i < p->cnt; i++) {
		bool many = p->many == (int)i;
		uint32_t n = find_child(t, path[i], p->mask[i], many);

		if (n == 0 && owner == NULL)
			return 0;
		if (n == 0)
			n = make_child(t, path[i], p->mask[i], many);
		if (n == 0) {
			prune(t, path, i);
			return -ENOMEM;
		}
		path[i + 1] = n;
	}
	step = (owner != NULL) - (t->node[path[p->cnt]].owner != NULL);
	t->node[path[p->cnt]].owner = owner;
	for (unsigned i = 0; i <= p->cnt; i++)
		t->node[path[i]].cnt = (uint32_t)((int64_t)t->node[path[i]].cnt + step);
	prune(t, path, p->cnt);
	return 0;
}

const void *cp_trie_get(const struct cp_trie *t, const struct cp_pat *p)
{
	uint32_t at = 0;

	for (unsigned i = 0; i < p->cnt; i++) {
		at = find_child(t, at, p->mask[i], p->many == (int)i);
		if (at == 0)
			return NULL;
	}
	return t->node[at].owner;
}

struct walk {
	const struct cp_trie *t;
	const char *digits;
	void (*fn)(void *ctx, const struct cp_trie_hit *hit);
	void *ctx;
	bool more;
};

static void walk(struct walk *w, uint32_t at, unsigned i, cp_weight weight, bool many)
{
	const struct node *n = &w->t->node[at];
	uint16_t bit;
	int d;

	if (w->digits[i] == '\0') {
		w->more |= n->many || n->cnt > (n->owner != NULL);
		if (n->owner != NULL && i > 0)
			w->fn(w->ctx, &(struct cp_trie_hit){n->owner, weight, many});
		return;
	}
	d = i < CP_PATTERN_ELEMS ? cp_sym(w->digits[i]) : -1;
	if (d < 0)
		return;
	bit = (uint16_t)(1u << d);
	if (n->child[d] != 0)
		walk(w, n->child[d], i + 1, weight, many);
	for (uint32_t s = n->sets; s != 0; s = w->t->node[s].next)
		if ((w->t->node[s].mask & bit) != 0)
			walk(w, s, i + 1, weight * (unsigned)__builtin_popcount(w->t->node[s].mask), many || w->t->node[s].many);
	if (n->many && (n->mask & bit) != 0)
		walk(w, at, i + 1, weight * (unsigned)__builtin_popcount(n->mask), many);
}

bool cp_trie_match(const struct cp_trie *t, const char *digits, void (*fn)(void *ctx, const struct cp_trie_hit *hit), void *ctx)
{
	struct walk w = {.t = t, .digits = digits, .fn = fn, .ctx = ctx};

	walk(&w, 0, 0, 1, false);
	return w.more;
}
