/* SPDX-License-Identifier: BSD-3-Clause */
#include "farm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRIORITIES 16
#define GROUP_HASH 1024

struct heap {
	struct cp_farm_member **at; /* from 1 */
	uint32_t cnt, room;         /* members of the priority never exceed 'room' */
	uint32_t members;
};

struct cp_farm_group {
	struct cp_farm_group *next; /* of the same hash */
	struct cp_farm *farm;
	unsigned members, able, no_sa;
	struct heap level[PRIORITIES];
	char name[];
};

struct cp_farm {
	struct cp_farm_group *groups[GROUP_HASH];
	uint64_t turn;
};

static struct cp_farm_group **slot(struct cp_farm *farm, const char *name)
{
	struct cp_farm_group **at;
	uint32_t h = 2166136261u;

	for (const char *c = name; *c != '\0'; c++)
		h = (h ^ (uint8_t)*c) * 16777619u;
	for (at = &farm->groups[h % GROUP_HASH]; *at != NULL && strcmp((*at)->name, name) != 0;)
		at = &(*at)->next;
	return at;
}

struct cp_farm *cp_farm_create(void)
{
	return calloc(1, sizeof(struct cp_farm));
}

void cp_farm_destroy(struct cp_farm *farm)
{
	free(farm);
}

/* What the next call would make of its load; then whose turn it is. */
static bool before(const struct cp_farm_member *a, const struct cp_farm_member *b)
{
	uint64_t la = (uint64_t)(a->calls + 1) * b->weight, lb = (uint64_t)(b->calls + 1) * a->weight;

	return la != lb ? la < lb : a->turn < b->turn;
}

static void set(struct heap *h, uint32_t i, struct cp_farm_member *m)
{
	h->at[i] = m;
	m->place = i;
}

/* To where it belongs, from a place that may be wrong in either direction. */
static void settle(struct heap *h, struct cp_farm_member *m)
{
	uint32_t i = m->place;

	while (i > 1 && before(m, h->at[i / 2])) {
		set(h, i, h->at[i / 2]);
		i /= 2;
	}
	for (;;) {
		uint32_t child = 2 * i;

		if (child < h->cnt && before(h->at[child + 1], h->at[child]))
			child++;
		if (child > h->cnt || !before(h->at[child], m))
			break;
		set(h, i, h->at[child]);
		i = child;
	}
	set(h, i, m);
}

static void put_in(struct heap *h, struct cp_farm_member *m)
{
	set(h, ++h->cnt, m);
	settle(h, m);
}

static void take_out(struct heap *h, struct cp_farm_member *m)
{
	struct cp_farm_member *last = h->at[h->cnt--];

	if (last != m) {
		set(h, m->place, last);
		settle(h, last);
	}
	m->place = 0;
}

bool cp_farm_free(const struct cp_farm_member *m)
{
	return m->able && m->calls < m->capacity;
}

static void update(struct cp_farm_member *m)
{
	struct heap *h = m->group != NULL ? &m->group->level[m->priority] : NULL;

	if (h == NULL)
		return;
	if (m->place == 0 && cp_farm_free(m))
		put_in(h, m);
	else if (m->place != 0 && !cp_farm_free(m))
		take_out(h, m);
	else if (m->place != 0)
		settle(h, m);
}

static void leave(struct cp_farm_member *m)
{
	struct cp_farm_group *g = m->group, **at;

	if (g == NULL)
		return;
	if (m->place != 0)
		take_out(&g->level[m->priority], m);
	g->level[m->priority].members--;
	g->able -= m->able;
	g->no_sa -= m->no_sa;
	m->group = NULL;
	if (--g->members > 0)
		return;
	at = slot(g->farm, g->name);
	*at = g->next;
	for (unsigned i = 0; i < PRIORITIES; i++)
		free(g->level[i].at);
	free(g);
}

static struct cp_farm_group *group_make(struct cp_farm *farm, const char *name)
{
	struct cp_farm_group **at = slot(farm, name);

	if (*at == NULL) {
		struct cp_farm_group *g = calloc(1, sizeof(*g) + strlen(name) + 1);

		if (g == NULL)
			return NULL;
		g->farm = farm;
		memcpy(g->name, name, strlen(name) + 1);
		*at = g;
	}
	return *at;
}

static int heap_room(struct heap *h)
{
	uint32_t room = h->room == 0 ? 4 : 2 * h->room;
	struct cp_farm_member **at;

	if (h->members < h->room)
		return 0;
	at = realloc(h->at, (room + 1) * sizeof(struct cp_farm_member *));
	if (at == NULL)
		return -ENOMEM;
	h->at = at;
	h->room = room;
	return 0;
}

int cp_farm_join(struct cp_farm *farm, struct cp_farm_member *m, const char *group, unsigned priority, uint32_t weight, uint32_t capacity)
{
	struct cp_farm_group *g = group[0] != '\0' ? group_make(farm, group) : NULL;
	unsigned level = priority == 0 ? 0 : priority > PRIORITIES ? PRIORITIES - 1 : priority - 1;

	if (g != NULL)
		g->members++; /* it stays while we move */
	leave(m);
	m->weight = weight;
	m->capacity = capacity;
	m->priority = (uint8_t)level;
	if (g == NULL)
		return group[0] != '\0' ? -ENOMEM : 0;
	if (heap_room(&g->level[level]) < 0) {
		m->group = g;
		g->level[level].members++;
		g->able += m->able;
		g->no_sa += m->no_sa;
		leave(m);
		return -ENOMEM;
	}
	m->group = g;
	g->level[level].members++;
	g->able += m->able;
	g->no_sa += m->no_sa;
	update(m);
	return 0;
}

void cp_farm_capacity(struct cp_farm_member *m, uint32_t capacity)
{
	m->capacity = capacity;
	update(m);
}

void cp_farm_able(struct cp_farm_member *m, bool able)
{
	if (m->group != NULL && m->able != able)
		m->group->able = able ? m->group->able + 1 : m->group->able - 1;
	m->able = able;
	update(m);
}

void cp_farm_no_sa(struct cp_farm_member *m, bool no_sa)
{
	if (m->group != NULL && m->no_sa != no_sa)
		m->group->no_sa = no_sa ? m->group->no_sa + 1 : m->group->no_sa - 1;
	m->no_sa = no_sa;
}

bool cp_farm_keyless(struct cp_farm *farm, const char *group)
{
	const struct cp_farm_group *g = *slot(farm, group);

	return g != NULL && g->able == 0 && g->no_sa > 0;
}

void cp_farm_call(struct cp_farm_member *m, int more)
{
	if (more > 0)
		m->calls++;
	else if (m->calls > 0)
		m->calls--;
	update(m);
}

struct cp_farm_member *cp_farm_pick(struct cp_farm *farm, const char *group, struct cp_farm_member *const *but, unsigned n,
				    unsigned *ret_members)
{
	struct cp_farm_group *g = *slot(farm, group);
	struct cp_farm_member *best = NULL;

	if (ret_members != NULL)
		*ret_members = g != NULL ? g->members : 0;
	if (g == NULL)
		return NULL;
	/* Those that are left out come back afterwards: there are few of them. */
	for (unsigned i = 0; i < n; i++)
		if (but[i] != NULL && but[i]->group == g && but[i]->place != 0)
			take_out(&g->level[but[i]->priority], but[i]);
	for (unsigned p = 0; p < PRIORITIES && best == NULL; p++)
		best = g->level[p].cnt > 0 ? g->level[p].at[1] : NULL;
	for (unsigned i = 0; i < n; i++)
		if (but[i] != NULL && but[i]->group == g)
			update(but[i]);
	if (best != NULL) {
		best->turn = ++farm->turn;
		update(best);
	}
	return best;
}

void cp_farm_count(const struct cp_farm_member *m, unsigned *ret_members, unsigned *ret_able)
{
	*ret_members = m->group != NULL ? m->group->members : 0;
	*ret_able = m->group != NULL ? m->group->able : 0;
}
