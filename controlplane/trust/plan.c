/* SPDX-License-Identifier: BSD-3-Clause */
/* Search for the order of changes that strands nobody: see plan.h. */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void cp_tm_count(const struct cp_tm_world *from, const struct cp_tm_world *to, struct cp_tm_group *groups, unsigned n,
		 struct cp_tm_toll *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < n; i++) {
		struct cp_tm_group *g = &groups[i];

		g->why = 0;
		g->lost = cp_tm_boot(from, &g->phone, NULL) != 0;
		if (g->lost) {
			ret->lost += g->cnt;
			continue;
		}
		g->why = cp_tm_boot(to, &g->phone, NULL);
		if (g->why == 0)
			continue;
		ret->stranded += g->cnt;
		if (g->cnt == 0)
			ret->unseen = true;
	}
}

/* What phones may hold at some depth of the search. Their lists lie in the worlds of the path and in the groups. */
struct states {
	unsigned n;
	struct cp_tm_phone *p;
};

struct search {
	const struct cp_tm_step *steps;
	unsigned n;
	struct cp_tm_world *world; /* n + 1, along the path */
	struct states *at;         /* n + 1 */
	unsigned room;             /* of each */
	bool blocked;              /* an order ended because it strands somebody */
	bool full;                 /* a state found no room: nothing may be concluded */
	struct cp_tm_plan now, best;
	bool found;
	bool used[CP_TM_STEPS_MAX];
	char *why;
	size_t why_size;
	int rc; /* of steps that could not be applied, if no order was tried to its end */
};

static bool all_follow(const struct cp_tm_world *w, const struct states *s)
{
	for (unsigned i = 0; i < s->n; i++)
		if (cp_tm_boot(w, &s->p[i], NULL) != 0)
			return false;
	return true;
}

static void add(struct search *sr, struct states *s, const struct cp_tm_phone *p)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->p[i].secure == p->secure && cp_tm_list_same(s->p[i].ctl, p->ctl) && cp_tm_list_same(s->p[i].itl, p->itl))
			return;
	if (s->n < sr->room)
		s->p[s->n++] = *p;
	else
		sr->full = true;
}

/*
 * Phones that stay away all the time hold what they hold; others may have come at any step. A wait makes one of all: it is
 * put as late as possible, since it only ever takes possibilities away.
 */
static void dig(struct search *s, unsigned depth)
{
	struct states *at = &s->at[depth], *next = &s->at[depth + 1];
	struct cp_tm_world *w = &s->world[depth], *to = &s->world[depth + 1];

	if (depth == s->n) {
		if (!s->found || s->now.waits < s->best.waits)
			s->best = s->now;
		s->found = true;
		return;
	}
	for (unsigned i = 0; i < s->n; i++) {
		bool wait;
		int rc;

		if (s->used[i])
			continue;
		*to = *w;
		rc = cp_tm_apply(to, &s->steps[i], s->why, s->why_size);
		if (rc < 0) {
			s->rc = rc;
			continue;
		}
		wait = !all_follow(to, at);
		next->n = 0;
		for (unsigned k = 0; k < at->n; k++) {
			struct cp_tm_phone p = at->p[k];

			if (wait)
				cp_tm_boot(w, &p, &p);
			add(s, next, &p);
		}
		if (wait && !all_follow(to, next)) {
			s->blocked = true;
			continue;
		}
		for (unsigned k = next->n; k-- > 0;) {
			struct cp_tm_phone p;

			cp_tm_boot(to, &next->p[k], &p);
			add(s, next, &p);
		}
		s->now.order[depth] = i;
		s->now.wait[depth] = wait;
		s->now.waits += wait;
		s->used[i] = true;
		if (!s->found || s->now.waits < s->best.waits)
			dig(s, depth + 1);
		s->used[i] = false;
		s->now.waits -= wait;
	}
}

int cp_tm_search(const struct cp_tm_world *from, const struct cp_tm_step *steps, unsigned n, const struct cp_tm_group *groups,
		 unsigned groups_n, struct cp_tm_plan *ret, char *why, size_t why_size)
{
	struct search s = {.steps = steps, .n = n, .why = why, .why_size = why_size,
			   .room = 4 * (groups_n + 4) * (n + 1)};
	int rc = -ENOMEM;

	if (n == 0 || n > CP_TM_STEPS_MAX || groups_n > CP_TM_GROUPS_MAX)
		return -EINVAL;
	s.world = malloc((n + 1) * sizeof(*s.world));
	s.at = calloc(n + 1, sizeof(*s.at));
	if (s.world == NULL || s.at == NULL)
		goto out;
	for (unsigned i = 0; i <= n; i++) {
		s.at[i].p = malloc(s.room * sizeof(*s.at[i].p));
		if (s.at[i].p == NULL)
			goto out;
	}
	s.world[0] = *from;
	for (unsigned i = 0; i < groups_n; i++)
		if (cp_tm_boot(from, &groups[i].phone, NULL) == 0) /* the others nothing can be done for */
			add(&s, &s.at[0], &groups[i].phone);
	for (unsigned i = s.at[0].n; i-- > 0;) { /* and each may fetch what is served now before anything is done */
		struct cp_tm_phone p;

		cp_tm_boot(from, &s.at[0].p[i], &p);
		add(&s, &s.at[0], &p);
	}
	s.now.n = n;
	dig(&s, 0);
	rc = s.full ? -ENOMEM : s.found ? 0 : s.blocked || s.rc == 0 ? -ENOENT : s.rc;
	if (rc == 0)
		*ret = s.best;
out:
	for (unsigned i = 0; s.at != NULL && i <= n; i++)
		free(s.at[i].p);
	free(s.at);
	free(s.world);
	return rc;
}
