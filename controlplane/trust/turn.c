/* SPDX-License-Identifier: BSD-3-Clause */
#include "turn.h"

#include <stdlib.h>

struct cp_turn {
	struct cp_turn_wait *holder, *first, **last;
	bool passing; /* a 'go' is being called: it may give back at once, and then the loop there goes on */
};

struct cp_turn *cp_turn_create(void)
{
	struct cp_turn *t = calloc(1, sizeof(*t));

	if (t != NULL)
		t->last = &t->first;
	return t;
}

void cp_turn_destroy(struct cp_turn *t)
{
	free(t);
}

bool cp_turn_take(struct cp_turn *t, struct cp_turn_wait *w)
{
	if (t == NULL || w->has)
		return true;
	if (w->waits)
		return false;
	if (t->holder == NULL && t->first == NULL) {
		t->holder = w;
		w->has = true;
		return true;
	}
	w->next = NULL;
	w->waits = true;
	*t->last = w;
	t->last = &w->next;
	return false;
}

static void leave(struct cp_turn *t, struct cp_turn_wait *w)
{
	struct cp_turn_wait **p = &t->first;

	while (*p != NULL && *p != w)
		p = &(*p)->next;
	if (*p == w)
		*p = w->next;
	t->last = &t->first;
	while (*t->last != NULL)
		t->last = &(*t->last)->next;
	w->waits = false;
}

void cp_turn_give(struct cp_turn *t, struct cp_turn_wait *w)
{
	if (t == NULL)
		return;
	if (w->waits)
		leave(t, w);
	if (!w->has)
		return;
	w->has = false;
	t->holder = NULL;
	if (t->passing)
		return;
	t->passing = true;
	while (t->holder == NULL && t->first != NULL) {
		struct cp_turn_wait *next = t->first;

		leave(t, next);
		t->holder = next;
		next->has = true;
		next->go(next->ctx);
	}
	t->passing = false;
}
