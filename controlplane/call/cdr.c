/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Call detail records: who called whom, when, how it ended, how secure it was shown to be, and what the dataplane counted. A record goes
 * into the store in the batch that deletes the record of the running call: whatever kills us, a call is there as one of the two, and
 * never as both. What the store refuses is kept and tried again when it writes; so many of them at most.
 */
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "callint.h"
#include "quality/quality.h"

#define WAITING_MAX 20000 /* that the store refused: about 20 MB */
#define AGAIN_MAX   500   /* of them in a second */

struct cdr_due {
	struct cdr_due *next;
	struct cp_cdr rec;
};

/* A batch on its way: what must be in the store in the end. */
struct sent {
	struct sent *next;
	struct cdrs *owner;
	uint64_t gone[2];
	struct cdr_due *due;
	unsigned cnt;
	cp_store_fn fn; /* of whoever waits; may be NULL */
	void *ctx;
};

struct cdrs {
	struct cp_calls *calls;
	struct sent *waiting, **waiting_last; /* refused: again with the tick */
	unsigned waiting_cnt;
	unsigned under_way;
	bool closed;                          /* destroyed, but for what is under way */
	int64_t last_us;
	uint32_t last_leg;
	uint64_t written, refused, lost;
};

static int64_t wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

struct cdrs *cdrs_create(struct cp_calls *calls)
{
	struct cdrs *c = calloc(1, sizeof(*c));

	if (c != NULL) {
		c->calls = calls;
		c->waiting_last = &c->waiting;
		if (RAND_bytes((uint8_t *)&c->last_leg, sizeof(c->last_leg)) != 1)
			c->last_leg = 0;
	}
	return c;
}

static void free_due(struct cdr_due *due)
{
	while (due != NULL) {
		struct cdr_due *next = due->next;

		free(due);
		due = next;
	}
}

static void free_sent(struct sent *s)
{
	free_due(s->due);
	free(s);
}

void cdrs_destroy(struct cdrs *c)
{
	if (c == NULL)
		return;
	while (c->waiting != NULL) {
		struct sent *s = c->waiting;

		c->waiting = s->next;
		free_sent(s);
	}
	c->closed = true;
	if (c->under_way == 0)
		free(c);
}

/* --- what a call is --- */

void cdr_begin(struct cp_call *call)
{
	call->setup_ms = wall_us() / 1000;
	call->global_id = (uint64_t)(call->setup_ms / 1000) << 32 | call->ref;
}

void cdr_restart(struct cp_call *call, enum cp_cdr_origin origin, const char *by)
{
	call->origin = (uint8_t)origin;
	snprintf(call->redirecting, sizeof(call->redirecting), "%s", by);
}

static void widen(uint8_t *best, uint8_t *worst, enum cp_security now)
{
	if (*best < now)
		*best = (uint8_t)now;
	if (*worst == 0 || *worst > now)
		*worst = (uint8_t)now;
}

void cdr_status(struct cp_call *call)
{
	if (call->connect_ms == 0)
		return;
	widen(&call->best, &call->worst, call_security(call));
	for (unsigned s = 0; s < 2; s++) {
		struct party *p = &call->p[s];
		struct cp_party_security ps = party_security(call, p);

		if (p->kind != PARTY_NONE && p->kind != PARTY_PARK)
			widen(&p->best, &p->worst, cp_security_party(&ps));
	}
}

void cdr_connected(struct cp_call *call)
{
	if (call->connect_ms == 0)
		call->connect_ms = wall_us() / 1000;
	cdr_status(call);
}

void cdr_gone(struct party *p)
{
	memset(p->counted, 0, sizeof(p->counted));
}

struct cp_call *call_cause(struct cp_call *call, enum cp_q850 cause)
{
	if (call->cause == CP_Q850_NONE)
		call->cause = (uint8_t)cause;
	return call;
}

struct cp_call *call_by(struct party *p)
{
	struct cp_call *call = call_cause(p->call, CP_Q850_NORMAL);

	if (call->released == 0)
		call->released = (uint8_t)(party_side(call, p) + 1);
	return call;
}

/* --- the record --- */

static uint64_t since(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : now; /* the dataplane was restarted meanwhile */
}

static void count_media(const struct cp_call *call, struct party *p, struct cp_cdr_party *ret)
{
	const struct dp_page_leg *pg = p->leg_id == NO_LEG ? NULL : cp_dp_page_leg(call->calls->env.dp, p->leg_id);
	uint64_t now[5];
	struct dp_quality q;

	if (pg == NULL || pg->session != call->ref || pg->state == DP_PAGE_LEG_FREE)
		return;
	dp_quality_of(pg, &q);
	memcpy(now, (const uint64_t[]){pg->rx_pkts, pg->rx_bytes, q.rx_lost, pg->tx_pkts, pg->tx_bytes}, sizeof(now));
	ret->counted = true;
	ret->rx_pkts = since(now[0], p->counted[0]);
	ret->rx_bytes = since(now[1], p->counted[1]);
	ret->rx_lost = since(now[2], p->counted[2]);
	ret->tx_pkts = since(now[3], p->counted[3]);
	ret->tx_bytes = since(now[4], p->counted[4]);
	ret->jitter_us = (uint32_t)(q.rx_jitter_ms * 1000);
	memcpy(p->counted, now, sizeof(now));
}

/* A party's number: the time of the call that it came with, and one of many. */
static uint64_t leg_number(const struct cp_call *call, struct party *p)
{
	if (p->cdr_leg == 0)
		p->cdr_leg = (call->global_id & ~(uint64_t)UINT32_MAX) | ++call->calls->cdrs->last_leg;
	return p->cdr_leg;
}

static void fill_party(const struct cp_call *call, struct party *p, struct cp_cdr_party *ret)
{
	struct cp_party_security ps = party_security(call, p);

	if (p->kind == PARTY_NONE || p->kind == PARTY_STATIC)
		return;
	snprintf(ret->number, sizeof(ret->number), "%s", p->number);
	ret->kind = p->kind == PARTY_PHONE ? 1 : p->kind == PARTY_GATEWAY ? 2 : 3;
	if (p->kind == PARTY_PARK)
		return;
	snprintf(ret->device, sizeof(ret->device), "%s", p->name);
	snprintf(ret->endpoint, sizeof(ret->endpoint), "%s", p->endpoint);
	ret->line = p->line;
	ret->leg = leg_number(call, p);
	ret->media = p->remote;
	ret->codec = p->codec;
	ret->suite = p->suite;
	ret->security = (uint8_t)cp_security_party(&ps);
	ret->best = p->best;
	ret->worst = p->worst;
	count_media(call, p, ret);
}

static void fill(struct cp_call *call, struct cp_cdr *r)
{
	struct cdrs *c = call->calls->cdrs;
	int64_t now = wall_us();

	c->last_us = now > c->last_us ? now : c->last_us + 1; /* its key: order survives a clock that jumps back */
	r->global_id = call->global_id;
	r->call = call->ref;
	r->origin = call->origin;
	r->setup_ms = call->setup_ms;
	r->connect_ms = call->connect_ms;
	r->end_us = c->last_us;
	snprintf(r->dialled, sizeof(r->dialled), "%s", call->digits);
	snprintf(r->redirecting, sizeof(r->redirecting), "%s", call->redirecting);
	r->security = (uint8_t)call_security(call);
	r->best = call->best;
	r->worst = call->worst;
	r->direct = call->direct;
	r->adopted = call->adopted;
	r->no_sa = call->no_sa;
	r->party_cnt = 2;
	for (unsigned s = 0; s < 2; s++)
		fill_party(call, &call->p[s], &r->party[s]);
}

/* Somebody who lifts the handset and thinks better of it makes no call; neither does an operator's session. */
static bool is_call(const struct cp_call *call)
{
	if (call->p[0].kind == PARTY_NONE) /* a port of a conference bridge that nobody came to */
		return false;
	return !call->is_static && call->global_id != 0 && (call->digit_cnt > 0 || call->p[1].kind != PARTY_NONE || call->adopted);
}

static struct cdr_due *cut(struct cp_call *call)
{
	struct cdr_due *due = is_call(call) && !call->billed ? calloc(1, sizeof(*due)) : NULL;

	if (due == NULL)
		return NULL;
	cdr_status(call);
	fill(call, &due->rec);
	return due;
}

static void append(struct cp_call *call, struct cdr_due *due)
{
	struct cdr_due **at = &call->due;

	while (*at != NULL)
		at = &(*at)->next;
	*at = due;
}

void cdr_cut(struct cp_call *call, enum cp_q850 cause)
{
	struct cdr_due *due = cut(call);

	call->billed = true;
	if (due == NULL)
		return;
	call_cause(call, cause);
	due->rec.cause = call->cause;
	due->rec.released = call->released;
	append(call, due);
}

void cdr_split(struct cp_call *call, const struct cp_call *into, struct cp_call *keeper)
{
	struct cdr_due *due = cut(call);

	if (due != NULL) {
		due->rec.cause = CP_Q850_SPLIT;
		due->rec.joined_id = into != NULL ? into->global_id : 0;
		append(keeper, due);
	}
	if (keeper != call) {
		append(keeper, call->due);
		call->due = NULL;
	}
	call->billed = into != NULL; /* what it becomes a part of has the last one */
	call->setup_ms = wall_us() / 1000;
	call->connect_ms = 0;
	call->best = call->worst = 0;
	for (unsigned s = 0; s < 2; s++)
		call->p[s].best = call->p[s].worst = 0;
}

/* --- into the store --- */

static unsigned weight(const struct sent *s)
{
	return s->cnt > 0 ? s->cnt : 1;
}

static void refused(struct sent *s)
{
	struct cdrs *c = s->owner;

	c->refused += s->cnt;
	s->fn = NULL;
	if ((s->cnt == 0 && s->gone[0] == 0 && s->gone[1] == 0) || c->waiting_cnt + weight(s) > WAITING_MAX) {
		c->lost += s->cnt;
		if (s->cnt > 0)
			cfg_log_limited(CFG_LOG_ERR, "call-detail-lost", "records=%u waiting=%u", s->cnt, c->waiting_cnt);
		free_sent(s);
		return;
	}
	s->next = NULL;
	*c->waiting_last = s;
	c->waiting_last = &s->next;
	c->waiting_cnt += weight(s);
}

static void on_sent(void *ctx, int rc)
{
	struct sent *s = ctx;
	struct cdrs *c = s->owner;

	c->under_way--;
	if (s->fn != NULL)
		s->fn(s->ctx, rc);
	if (c->closed) {
		free_sent(s);
		if (c->under_way == 0)
			free(c);
		return;
	}
	if (rc == 0) {
		c->written += s->cnt;
		free_sent(s);
		return;
	}
	cfg_log_limited(CFG_LOG_WARN, "call-record-not-deleted", "call=%llu rc=%d", (unsigned long long)s->gone[0], rc);
	refused(s);
}

static int submit(struct sent *s, const struct cp_call_rec *rec)
{
	const struct cp_cdr **list = s->cnt > 0 ? malloc(s->cnt * sizeof(const struct cp_cdr *)) : NULL;
	struct cp_call_change change = {.call = rec, .gone = {s->gone[0], s->gone[1]}, .cdrs = list, .cdr_cnt = s->cnt};
	unsigned i = 0;
	int rc;

	if (s->cnt > 0 && list == NULL)
		return -ENOMEM;
	for (const struct cdr_due *d = s->due; d != NULL; d = d->next)
		list[i++] = &d->rec;
	rc = cp_store_calls(s->owner->calls->env.store, &change, on_sent, s);
	free(list);
	s->owner->under_way += rc == 0;
	return rc;
}

int cdr_write(struct cp_call *call, const struct cp_call_rec *rec, struct cp_call *gone, bool ends, cp_store_fn fn, void *ctx)
{
	struct sent *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return -ENOMEM;
	*s = (struct sent){.owner = call->calls->cdrs, .due = call->due, .fn = fn, .ctx = ctx};
	call->due = NULL;
	if (ends && call->stored)
		s->gone[0] = call->ref;
	if (gone != NULL && gone->stored)
		s->gone[1] = gone->ref;
	for (const struct cdr_due *d = s->due; d != NULL; d = d->next)
		s->cnt++;
	if (rec == NULL && s->gone[0] == 0 && s->gone[1] == 0 && s->cnt == 0) { /* there is nothing to say */
		free(s);
		return 0;
	}
	rc = submit(s, rec);
	if (rc < 0)
		refused(s);
	return rc;
}

void cdr_drop(struct cp_call *call)
{
	free_due(call->due);
	call->due = NULL;
}

/* The store writes again: what it refused. A call's own record went with what others wrote meanwhile, or goes now. */
void cdrs_tick(struct cdrs *c)
{
	struct cp_store_stats st;

	if (c->waiting == NULL)
		return;
	cp_store_stats(c->calls->env.store, &st);
	for (unsigned n = 0; n < AGAIN_MAX && !st.failing && c->waiting != NULL; n++) {
		struct sent *s = c->waiting;

		c->waiting = s->next;
		if (c->waiting == NULL)
			c->waiting_last = &c->waiting;
		c->waiting_cnt -= weight(s);
		if (submit(s, NULL) < 0) {
			refused(s);
			break;
		}
	}
}

json_t *cdrs_show(const struct cdrs *c)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "written", (json_int_t)c->written, "refused", (json_int_t)c->refused, "waiting",
			 (json_int_t)c->waiting_cnt, "lost", (json_int_t)c->lost);
}
