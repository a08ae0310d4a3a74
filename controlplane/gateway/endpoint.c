/* SPDX-License-Identifier: BSD-3-Clause */
/* What is known of a gateway's endpoints: found by name in O(log n), a free one in O(n/64) of one gateway. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gwint.h"

static _Thread_local const struct cp_gateway *sorts; /* qsort() takes no argument of ours */

static int by_name(const void *a, const void *b)
{
	return strcasecmp(sorts->endpoints[*(const uint16_t *)a].name, sorts->endpoints[*(const uint16_t *)b].name);
}

static bool is_ready(const struct eps *eps, unsigned i)
{
	return (eps->ready[i / 64] >> i % 64 & 1) != 0;
}

static void set_ready(struct eps *eps, unsigned i)
{
	uint64_t bit = UINT64_C(1) << i % 64;

	if (eps->state[i] == CP_EP_IN_SERVICE && eps->uses[i] == 0 && (eps->todo[i] & EP_SWEEP) == 0)
		eps->ready[i / 64] |= bit;
	else
		eps->ready[i / 64] &= ~bit;
}

static bool works(uint8_t state)
{
	return state == CP_EP_IN_SERVICE || state == CP_EP_OFF_HOOK;
}

int eps_build(struct eps *ret, const struct cp_gateway *rec, const struct eps *old, const struct cp_gateway *old_rec)
{
	unsigned n = rec->endpoint_cnt, words = (n + 63) / 64;
	struct eps eps = {.cnt = n};
	uint8_t *mem;

	if (n == 0) {
		*ret = eps;
		return 0;
	}
	mem = calloc(1, words * sizeof(uint64_t) + n * (sizeof(uint16_t) + 3));
	if (mem == NULL)
		return -ENOMEM;
	eps.ready = (void *)mem;
	eps.order = (void *)(mem + words * sizeof(uint64_t));
	eps.state = mem + words * sizeof(uint64_t) + n * sizeof(uint16_t);
	eps.uses = eps.state + n;
	eps.todo = eps.uses + n;
	for (unsigned i = 0; i < n; i++) {
		int was = old != NULL ? eps_find(old, old_rec, rec->endpoints[i].name) : -1;

		eps.order[i] = (uint16_t)i;
		eps.state[i] = was >= 0 ? old->state[was] : CP_EP_IN_SERVICE;
		eps.uses[i] = was >= 0 ? old->uses[was] : 0;
		eps.todo[i] = was >= 0 ? old->todo[was] : 0;
		if (eps.state[i] == CP_EP_OFF_HOOK && eps_line(rec, i) != CP_LINE_FXS)
			eps.state[i] = CP_EP_IN_SERVICE;
		eps.in_service += works(eps.state[i]);
		eps.off_hook += eps.state[i] == CP_EP_OFF_HOOK;
		eps.work += eps.todo[i] != 0;
		set_ready(&eps, i);
	}
	sorts = rec;
	qsort(eps.order, n, sizeof(eps.order[0]), by_name);
	*ret = eps;
	return 0;
}

void eps_free(struct eps *eps)
{
	free(eps->ready);
	*eps = (struct eps){0};
}

int eps_find(const struct eps *eps, const struct cp_gateway *rec, const char *name)
{
	unsigned lo = 0, hi = eps->cnt;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		int c = strcasecmp(name, rec->endpoints[eps->order[mid]].name);

		if (c == 0)
			return eps->order[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return -1;
}

int eps_ready(const struct eps *eps)
{
	for (unsigned w = 0; w < (eps->cnt + 63) / 64; w++)
		if (eps->ready[w] != 0)
			return (int)(w * 64) + __builtin_ctzll(eps->ready[w]);
	return -1;
}

void eps_use(struct eps *eps, unsigned i, int more)
{
	if (more > 0 && eps->uses[i] < UINT8_MAX)
		eps->uses[i]++;
	else if (more < 0 && eps->uses[i] > 0)
		eps->uses[i]--;
	set_ready(eps, i);
}

void eps_set(struct eps *eps, unsigned i, enum cp_ep_state state)
{
	eps->in_service -= works(eps->state[i]);
	eps->off_hook -= eps->state[i] == CP_EP_OFF_HOOK;
	eps->in_service += works((uint8_t)state);
	eps->off_hook += state == CP_EP_OFF_HOOK;
	eps->state[i] = (uint8_t)state;
	set_ready(eps, i);
}

void eps_todo(struct eps *eps, unsigned i, uint8_t set, uint8_t clear)
{
	eps->work -= eps->todo[i] != 0;
	eps->todo[i] = (uint8_t)((eps->todo[i] & ~clear) | set);
	eps->work += eps->todo[i] != 0;
	set_ready(eps, i);
}

uint8_t eps_line(const struct cp_gateway *rec, unsigned i)
{
	uint8_t line = rec->endpoints[i].line != CP_LINE_DEFAULT ? rec->endpoints[i].line : rec->line;

	return line == CP_LINE_DEFAULT ? CP_LINE_NONE : line;
}

enum cp_ep_state cp_gw_ep_state(const struct cp_gw *gw, const char *endpoint)
{
	int i = eps_find(&gw->eps, &gw->rec, endpoint);

	return i < 0 ? CP_EP_IN_SERVICE : (enum cp_ep_state)gw->eps.state[i];
}

const char *cp_gw_free_endpoint(const struct cp_gw *gw, const char *endpoint)
{
	int i;

	/* The first sweep's DLCX of all connections may be repeated: it would take a new one along. */
	if (gw->rec.admin != CP_ADMIN_IN_SERVICE || gw->sweeping || gw->farm.calls >= gw->farm.capacity)
		return NULL;
	i = endpoint[0] != '\0' ? eps_find(&gw->eps, &gw->rec, endpoint) : eps_ready(&gw->eps);
	return i < 0 || !is_ready(&gw->eps, (unsigned)i) ? NULL : gw->rec.endpoints[i].name;
}

void cp_gw_ep_use(struct cp_gw *gw, const char *endpoint, int more)
{
	int i = eps_find(&gw->eps, &gw->rec, endpoint);

	cp_farm_call(&gw->farm, more);
	if (i < 0) /* "any of", or one that its record has no more */
		return;
	eps_use(&gw->eps, (unsigned)i, more);
	if (more < 0 && gw->eps.uses[i] == 0 && eps_line(&gw->rec, (unsigned)i) != CP_LINE_NONE) {
		eps_todo(&gw->eps, (unsigned)i, EP_ARM, 0);
		audit_now(gw);
	}
}

void cp_gw_ep_hook(struct cp_gw *gw, const char *endpoint, bool off)
{
	int i = eps_find(&gw->eps, &gw->rec, endpoint);

	if (i < 0 || eps_line(&gw->rec, (unsigned)i) != CP_LINE_FXS || gw->eps.state[i] != (off ? CP_EP_IN_SERVICE : CP_EP_OFF_HOOK))
		return;
	eps_set(&gw->eps, (unsigned)i, off ? CP_EP_OFF_HOOK : CP_EP_IN_SERVICE);
	eps_todo(&gw->eps, (unsigned)i, EP_ARM, EP_REARM);
	gw_able(gw);
	audit_now(gw);
}

unsigned cp_gw_strays(const struct cp_gw *gw)
{
	unsigned n = gw->farm.calls;

	for (unsigned i = 0; n > 0 && i < gw->eps.cnt; i++)
		n -= gw->eps.uses[i] < n ? gw->eps.uses[i] : n;
	return n;
}
