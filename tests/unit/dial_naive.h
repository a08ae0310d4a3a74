/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dial plan as its words say it (dial/pattern.h, dial/plan.h), slowly: patterns are read as texts, each one is tried, and of what
 * fits the best is taken by comparing all. Shares no code with controlplane/dial but names and types. For suites and fuzz targets.
 */
#ifndef TESTS_DIAL_NAIVE_H
#define TESTS_DIAL_NAIVE_H

#include <stdio.h>
#include <string.h>

#include "dial/plan.h"

#define NV_DIGITS   "0123456789*#+"
#define NV_PATS     64
#define NV_CSS      4
#define NV_CSS_PART 4
#define NV_LINES    24

/* --- one pattern --- */

static inline bool nv_in_set(const char *set, size_t len, char c)
{
	bool not = len > 0 && set[0] == '^', in = false;

	if (not && (c < '0' || c > '9'))
		return false;
	for (size_t i = not; i < len; i++) {
		if (i + 2 < len && set[i + 1] == '-') {
			in |= c >= set[i] && c <= set[i + 2];
			i += 2;
		} else {
			in |= c == set[i];
		}
	}
	return in != not;
}

/* Does one element at 'text' take 'c'? *ret: behind the element. */
static inline bool nv_takes(const char *text, char c, const char **ret)
{
	const char *end;

	if (*text == '[') {
		end = strchr(text, ']');
		*ret = end + 1;
		return nv_in_set(text + 1, (size_t)(end - text - 1), c);
	}
	*ret = text + 1;
	return *text == 'X' || *text == '!' ? c >= '0' && c <= '9' : *text == c;
}

/* 'open': digits that begin one that fits, and are shorter than it, count; else those that are all of it. */
static inline bool nv_fits(const char *text, const char *digits, bool open)
{
	const char *next;

	while (*text == '.')
		text++;
	if (*text == '\0')
		return !open && *digits == '\0';
	if (*digits == '\0')
		return open;
	if (!nv_takes(text, *digits, &next))
		return false;
	if (*text == '!')
		return nv_fits(text, digits + 1, open) || nv_fits(next, digits + 1, open) || (open && digits[1] == '\0');
	return nv_fits(next, digits + 1, open);
}

/* Strings of this length that fit: a product, as each digit fits by itself. */
static inline cp_weight nv_weight(const char *text, const char *digits)
{
	char other[CP_NUMBER_MAX];
	cp_weight w = 1;

	for (size_t i = 0; digits[i] != '\0'; i++) {
		unsigned n = 0;

		strcpy(other, digits);
		for (unsigned s = 0; s < CP_SYM_CNT; s++) {
			other[i] = NV_DIGITS[s];
			n += nv_fits(text, other, false);
		}
		w *= n;
	}
	return w;
}

/* How many digits what is before the '.' takes, if the rest takes what is left. */
static inline unsigned nv_predot(const char *text, const char *digits)
{
	const char *dot = strchr(text, '.');
	char head[CP_PATTERN_MAX], first[CP_NUMBER_MAX];

	if (dot == NULL)
		return 0;
	memcpy(head, text, (size_t)(dot - text));
	head[dot - text] = '\0';
	for (size_t k = 0; k <= strlen(digits); k++) {
		memcpy(first, digits, k);
		first[k] = '\0';
		if (nv_fits(head, first, false) && nv_fits(dot + 1, digits + k, false))
			return (unsigned)k;
	}
	return 0;
}

/* False: the result is no number. */
static inline bool nv_xform(const char *number, unsigned predot, unsigned discard, const char *mask, const char *prefix, char ret[CP_NUMBER_MAX])
{
	char left[CP_NUMBER_MAX], back[2 * CP_NUMBER_MAX] = "", whole[4 * CP_NUMBER_MAX];
	size_t n, b = 0;

	snprintf(left, sizeof(left), "%s", number);
	if (discard == CP_DISCARD_ALL)
		left[0] = '\0';
	if (discard == CP_DISCARD_PREDOT || discard == CP_DISCARD_PREDOT_POUND)
		memmove(left, left + predot, strlen(left + predot) + 1);
	n = strlen(left);
	if ((discard == CP_DISCARD_POUND || discard == CP_DISCARD_PREDOT_POUND) && n > 0 && left[n - 1] == '#')
		left[--n] = '\0';
	if (mask[0] != '\0') { /* from the right, both */
		size_t m = strlen(mask);

		for (size_t i = 1; i <= m; i++) {
			if (mask[m - i] != 'X')
				back[b++] = mask[m - i];
			else if (i <= n)
				back[b++] = left[n - i];
		}
		for (size_t i = 0; i < b; i++)
			left[i] = back[b - 1 - i];
		left[b] = '\0';
	}
	snprintf(whole, sizeof(whole), "%s%s", prefix, left);
	n = strlen(whole);
	if (n == 0 || n > 32 || strspn(whole, NV_DIGITS) != n || strrchr(whole, '+') > whole || strcmp(whole, "+") == 0)
		return false;
	strcpy(ret, whole);
	return true;
}

/* --- a plan --- */

struct nv_css {
	char name[CP_PART_MAX];
	char part[NV_CSS_PART][CP_PART_MAX];
	unsigned cnt;
};

struct nv_line {
	char number[CP_NUMBER_MAX], part[CP_PART_MAX];
	bool prefix; /* a gateway's NUMBER*, in the partition without a name */
};

struct nv_world {
	struct cp_pattern pat[NV_PATS]; /* kind 0: none; their lists are the owner's */
	struct nv_css css[NV_CSS];      /* name "": none */
	struct nv_line line[NV_LINES];  /* number "": none */
};

struct nv_best {
	bool there;
	const struct cp_pattern *pat;
	const struct nv_line *line;
	unsigned rank;
	cp_weight weight;
	bool many;
	const char *part;
};

struct nv_result {
	enum cp_dial_kind kind;
	const struct cp_pattern *pat;
	char number[CP_NUMBER_MAX], calling[CP_NUMBER_MAX], part[CP_PART_MAX];
	bool longer;
};

static inline bool nv_better(const struct nv_best *a, const struct nv_best *b, const char *digits)
{
	if (!b->there)
		return true;
	if (a->weight != b->weight)
		return a->weight < b->weight;
	if (a->rank != b->rank)
		return a->rank < b->rank;
	if (a->many != b->many)
		return b->many;
	if ((a->pat == NULL) != (b->pat == NULL))
		return a->pat == NULL;
	return strcmp(a->pat != NULL ? a->pat->pattern : digits, b->pat != NULL ? b->pat->pattern : digits) < 0;
}

static inline void nv_offer(struct nv_best *best, struct nv_best one, const char *digits)
{
	one.there = true;
	if (nv_better(&one, best, digits))
		*best = one;
}

/* The line, else the gateway's longest prefix: one of the partition's numbers answers. */
static inline const struct nv_line *nv_number(const struct nv_world *w, const char *part, const char *digits, bool *longer)
{
	const struct nv_line *exact = NULL, *prefix = NULL;

	for (unsigned i = 0; i < NV_LINES; i++) {
		const struct nv_line *l = &w->line[i];
		size_t n = strlen(l->number);

		if (n == 0 || strcmp(l->part, part) != 0)
			continue;
		if (l->prefix && strncmp(digits, l->number, n) == 0) {
			*longer = true;
			if (prefix == NULL || n > strlen(prefix->number))
				prefix = l;
		} else if (!l->prefix && strcmp(digits, l->number) == 0) {
			exact = l;
		}
		if (strlen(digits) < n && strncmp(digits, l->number, strlen(digits)) == 0)
			*longer = true;
	}
	return exact != NULL ? exact : prefix;
}

static inline void nv_look_in(const struct nv_world *w, const char *part, unsigned rank, const char *digits, bool no_prefix, struct nv_best *best,
			      bool *longer)
{
	bool more = false;
	const struct nv_line *l = nv_number(w, part, digits, &more);

	if (l == NULL || !l->prefix || !no_prefix) {
		*longer |= more;
		if (l != NULL) {
			struct nv_best one = {.line = l, .rank = rank, .weight = 1, .many = l->prefix, .part = l->part};

			for (size_t i = l->prefix ? strlen(l->number) : strlen(digits); i < strlen(digits); i++)
				one.weight *= CP_SYM_CNT;
			nv_offer(best, one, digits);
		}
	}
	for (unsigned i = 0; i < NV_PATS; i++) {
		const struct cp_pattern *p = &w->pat[i];

		if (p->kind == 0 || strcmp(p->partition, part) != 0)
			continue;
		*longer |= nv_fits(p->pattern, digits, true);
		if (nv_fits(p->pattern, digits, false))
			nv_offer(best,
				 (struct nv_best){.pat = p, .rank = rank, .weight = nv_weight(p->pattern, digits),
						  .many = strchr(p->pattern, '!') != NULL, .part = p->partition},
				 digits);
	}
}

static inline struct nv_best nv_look(const struct nv_world *w, const char *css, const char *digits, bool no_prefix, bool *longer)
{
	struct nv_best best = {.there = false};
	unsigned rank = 0;

	for (unsigned i = 0; i < NV_CSS && css[0] != '\0'; i++)
		if (strcmp(w->css[i].name, css) == 0)
			for (; rank < w->css[i].cnt; rank++)
				nv_look_in(w, w->css[i].part[rank], rank, digits, no_prefix, &best, longer);
	nv_look_in(w, "", rank, digits, no_prefix, &best, longer);
	return best;
}

static inline void nv_dial(const struct nv_world *w, const struct cp_dial_from *from, const char *digits, struct nv_result *ret)
{
	const char *css = from->css;

	memset(ret, 0, sizeof(*ret));
	snprintf(ret->calling, sizeof(ret->calling), "%s", from->number);
	snprintf(ret->number, sizeof(ret->number), "%s", digits);
	for (unsigned depth = 0; depth <= CP_DIAL_DEPTH; depth++) {
		bool longer = false;
		struct nv_best b = nv_look(w, css, ret->number, from->no_prefix, &longer);

		if (depth == 0)
			ret->longer = longer && !(b.pat != NULL && b.pat->urgent);
		ret->pat = b.pat;
		ret->kind = CP_DIAL_NONE;
		if (!b.there)
			return;
		if (b.pat == NULL) {
			ret->kind = b.line->prefix ? CP_DIAL_GATEWAY : CP_DIAL_LINE;
			strcpy(ret->part, b.part);
			return;
		}
		ret->kind = CP_DIAL_BLOCK;
		if (b.pat->kind == CP_PATTERN_BLOCK)
			return;
		ret->kind = CP_DIAL_LOOP;
		if ((ret->calling[0] != '\0' && !nv_xform(ret->calling, 0, CP_DISCARD_NONE, b.pat->calling_mask, b.pat->calling_prefix, ret->calling)) ||
		    !nv_xform(ret->number, nv_predot(b.pat->pattern, ret->number), b.pat->discard, b.pat->mask, b.pat->prefix, ret->number))
			return;
		ret->kind = CP_DIAL_GATEWAY;
		if (b.pat->kind == CP_PATTERN_ROUTE)
			return;
		if (b.pat->css[0] != '\0')
			css = b.pat->css;
	}
	ret->kind = CP_DIAL_LOOP;
}

/** What the two say differently, or NULL. */
static inline const char *nv_differ(const struct nv_result *n, const struct cp_dialled *to)
{
	if (n->kind != to->kind)
		return "kind";
	if (n->longer != to->longer)
		return "longer";
	if (n->kind == CP_DIAL_LOOP)
		return NULL;
	if (n->kind == CP_DIAL_NONE)
		return to->pattern != NULL ? "pattern" : NULL;
	if ((n->pat == NULL) != (to->pattern == NULL) ||
	    (n->pat != NULL && (strcmp(n->pat->pattern, to->pattern->pattern) != 0 || strcmp(n->pat->partition, to->pattern->partition) != 0)))
		return "pattern";
	if (strcmp(n->number, to->number) != 0)
		return "number";
	if (strcmp(n->calling, to->calling) != 0)
		return "calling";
	return strcmp(n->part, to->partition) != 0 ? "partition" : NULL;
}

#endif
