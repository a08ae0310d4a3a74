/* SPDX-License-Identifier: BSD-3-Clause */
#include "loadcalls.h"

#include <stdlib.h>
#include <string.h>

#define TICK_S 0.002

struct pair {
	uint64_t dialled_us; /* 0: no call */
	bool ringing, up[2], ended[2];
};

struct sim_calls {
	struct sim_calls_opts o;
	struct pair *pairs;
	unsigned int pairs_cnt, busy, next;
	unsigned int begun, set_up, clear, failed;
	uint64_t start_us, end_us;
	double due;
	struct event *tick;
	uint32_t *ring_us, *up_us;
	unsigned int ring_cnt, up_cnt, room;
};

static int by_value(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

json_t *sim_percentiles(uint32_t *list, unsigned int cnt)
{
	if (cnt == 0)
		return json_null();
	qsort(list, cnt, sizeof(*list), by_value);
	return json_pack("{s:i, s:f, s:f, s:f, s:f}", "count", (int)cnt, "p50_ms", list[(cnt - 1) / 2] / 1000.0,
			 "p90_ms", list[(uint64_t)(cnt - 1) * 90 / 100] / 1000.0, "p99_ms",
			 list[(uint64_t)(cnt - 1) * 99 / 100] / 1000.0, "max_ms", list[cnt - 1] / 1000.0);
}

static void keep(struct sim_calls *c, uint32_t *list, unsigned int *cnt, uint64_t us)
{
	if (*cnt < c->room)
		list[(*cnt)++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static void again(struct sim_calls *c)
{
	const struct timeval tv = {0, (suseconds_t)(TICK_S * 1e6)};

	event_add(c->tick, &tv);
}

/* A pair that is free, in turn; each is used as often as the others. */
static struct pair *free_pair(struct sim_calls *c)
{
	for (unsigned int i = 0; i < c->pairs_cnt; i++) {
		struct pair *p = &c->pairs[c->next];
		unsigned int at = c->next;

		c->next = (c->next + 1) % c->pairs_cnt;
		if (p->dialled_us == 0 && !sim_phone_in_call(c->o.phones[2 * at]) && !sim_phone_in_call(c->o.phones[2 * at + 1]))
			return p;
	}
	return NULL;
}

static void begin(struct sim_calls *c, struct pair *p)
{
	unsigned int at = (unsigned int)(p - c->pairs);
	char number[24];

	snprintf(number, sizeof(number), "%llu", c->o.number + 2 * at + 1);
	*p = (struct pair){.dialled_us = sim_now_us()};
	c->begun++;
	c->busy++;
	if (sim_phone_dial(c->o.phones[2 * at], number) == 0)
		return;
	c->failed++;
	c->busy--;
	p->dialled_us = 0;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct sim_calls *c = arg;
	const double s = (double)(sim_now_us() - c->start_us) / 1e6;
	struct pair *p;

	(void)fd;
	(void)what;
	if (s >= c->o.seconds) {
		if (c->end_us == 0)
			c->end_us = sim_now_us();
		if (c->busy == 0)
			c->o.over(c->o.ctx);
		else
			again(c);
		return;
	}
	while (c->busy < c->o.parallel && (c->o.rate <= 0 || (double)c->begun < s * c->o.rate) && (p = free_pair(c)) != NULL)
		begin(c, p);
	again(c);
}

static struct pair *pair_of(struct sim_calls *c, const struct sim_phone *p, unsigned int *ret_side)
{
	unsigned int i = sim_phone_index(p);

	*ret_side = i % 2;
	return i / 2 < c->pairs_cnt && c->pairs[i / 2].dialled_us != 0 ? &c->pairs[i / 2] : NULL;
}

void sim_calls_ringing(struct sim_calls *c, const struct sim_phone *phone)
{
	unsigned int side;
	struct pair *p = pair_of(c, phone, &side);

	if (p == NULL || side != 0 || p->ringing)
		return;
	p->ringing = true;
	keep(c, c->ring_us, &c->ring_cnt, sim_now_us() - p->dialled_us);
}

void sim_calls_media(struct sim_calls *c, const struct sim_phone *phone)
{
	unsigned int side;
	struct pair *p = pair_of(c, phone, &side);

	if (p == NULL || p->up[side])
		return;
	p->up[side] = true;
	if (!p->up[1 - side])
		return;
	c->set_up++;
	c->clear += sim_phone_clear(c->o.phones[2 * (p - c->pairs)]) || sim_phone_clear(c->o.phones[2 * (p - c->pairs) + 1]);
	keep(c, c->up_us, &c->up_cnt, sim_now_us() - p->dialled_us);
	sim_phone_hangup(c->o.phones[2 * (p - c->pairs)]);
}

void sim_calls_ended(struct sim_calls *c, const struct sim_phone *phone)
{
	unsigned int side;
	struct pair *p = pair_of(c, phone, &side);

	if (p == NULL)
		return;
	p->ended[side] = true;
	if (!p->ended[0] || (!p->ended[1] && sim_phone_in_call(c->o.phones[2 * (p - c->pairs) + 1])))
		return;
	c->failed += !p->up[0] || !p->up[1];
	c->busy--;
	p->dialled_us = 0;
	if (c->o.rate <= 0 && c->end_us == 0 && !event_pending(c->tick, EV_TIMEOUT, NULL))
		again(c);
}

struct sim_calls *sim_calls_create(const struct sim_calls_opts *opts)
{
	struct sim_calls *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->o = *opts;
	c->pairs_cnt = opts->phones_cnt / 2;
	c->room = 1U << 20;
	c->pairs = calloc(c->pairs_cnt > 0 ? c->pairs_cnt : 1, sizeof(*c->pairs));
	c->ring_us = malloc(c->room * sizeof(*c->ring_us));
	c->up_us = malloc(c->room * sizeof(*c->up_us));
	c->tick = event_new(opts->base, -1, 0, on_tick, c);
	if (c->pairs != NULL && c->ring_us != NULL && c->up_us != NULL && c->tick != NULL)
		return c;
	sim_calls_destroy(c);
	return NULL;
}

void sim_calls_destroy(struct sim_calls *c)
{
	if (c == NULL)
		return;
	if (c->tick != NULL)
		event_free(c->tick);
	free(c->pairs);
	free(c->ring_us);
	free(c->up_us);
	free(c);
}

void sim_calls_start(struct sim_calls *c)
{
	c->start_us = sim_now_us();
	on_tick(-1, 0, c);
}

json_t *sim_calls_report(struct sim_calls *c)
{
	const double s = (double)((c->end_us != 0 ? c->end_us : sim_now_us()) - c->start_us) / 1e6;

	return json_pack("{s:i, s:i, s:i, s:i, s:f, s:f, s:o, s:o}", "begun", (int)c->begun, "set_up", (int)c->set_up, "clear",
			 (int)c->clear, "failed", (int)c->failed,
			 "seconds", s, "per_s", s > 0 ? c->set_up / s : 0.0, "post_dial", sim_percentiles(c->ring_us, c->ring_cnt),
			 "set_up_time", sim_percentiles(c->up_us, c->up_cnt));
}
