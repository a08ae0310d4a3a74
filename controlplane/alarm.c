/* SPDX-License-Identifier: BSD-3-Clause */
#include "alarm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"

#define BUCKETS_MIN 64 /* a power of two */

struct entry {
	struct cp_alarm al;
	struct entry *next, *prev; /* in the order they were raised */
	struct entry *chain;       /* of the same bucket */
	uint32_t hash;             /* of id and subject as they are kept */
};

/* Ten thousand gateways that are lost at once raise some each, and clear them when they are back: none is searched for. */
struct cp_alarms {
	struct entry *first, *last;
	struct entry *after; /* where cp_alarm_clear_all() goes on: what is told may clear others */
	struct entry **bucket;
	size_t cnt, max, buckets;
	uint64_t dropped;
	cp_alarm_fn fn;
	void *ctx;
};

const char *cp_alarm_severity_name(enum cp_alarm_severity severity)
{
	static const char *const names[] = {"warning", "minor", "major", "critical"};

	return (unsigned)severity < 4 ? names[severity] : "unknown";
}

struct cp_alarms *cp_alarms_create(void)
{
	struct cp_alarms *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->max = CP_ALARM_MAX;
	a->buckets = BUCKETS_MIN;
	a->bucket = calloc(a->buckets, sizeof(struct entry *));
	if (a->bucket == NULL) {
		free(a);
		return NULL;
	}
	return a;
}

void cp_alarms_destroy(struct cp_alarms *a)
{
	if (a == NULL)
		return;
	for (struct entry *e = a->first, *next; e != NULL; e = next) {
		next = e->next;
		free(e);
	}
	free(a->bucket);
	free(a);
}

void cp_alarms_limit(struct cp_alarms *a, size_t max)
{
	a->max = max;
}

void cp_alarms_listen(struct cp_alarms *a, cp_alarm_fn fn, void *ctx)
{
	a->fn = fn;
	a->ctx = ctx;
}

/* Ids and subjects longer than what is kept are compared as far as they are kept. */
static bool same(const char *kept, size_t size, const char *s)
{
	return strncmp(kept, s, size - 1) == 0;
}

static uint32_t hash_some(uint32_t h, const char *s, size_t size)
{
	for (size_t i = 0; i < size - 1 && s[i] != '\0'; i++)
		h = (h ^ (uint8_t)s[i]) * 16777619u;
	return h;
}

static uint32_t hash(const char *id, const char *subject)
{
	return hash_some(hash_some(2166136261u, id, CP_ALARM_ID_MAX) * 31, subject, CP_ALARM_SUBJECT_MAX);
}

static struct entry **bucket_of(const struct cp_alarms *a, uint32_t h)
{
	return &a->bucket[(h ^ h >> 16) & (a->buckets - 1)];
}

static struct entry *find(const struct cp_alarms *a, const char *id, const char *subject)
{
	uint32_t h = hash(id, subject);
	struct entry *e = *bucket_of(a, h);

	while (e != NULL && (e->hash != h || !same(e->al.id, CP_ALARM_ID_MAX, id) || !same(e->al.subject, CP_ALARM_SUBJECT_MAX, subject)))
		e = e->chain;
	return e;
}

/* No memory for more buckets: chains are longer then. */
static void grow(struct cp_alarms *a)
{
	struct entry **more = calloc(2 * a->buckets, sizeof(struct entry *));

	if (more == NULL)
		return;
	free(a->bucket);
	a->bucket = more;
	a->buckets *= 2;
	for (struct entry *e = a->first; e != NULL; e = e->next) {
		struct entry **at = bucket_of(a, e->hash);

		e->chain = *at;
		*at = e;
	}
}

/* NULL: no memory. */
static struct cp_alarm *append(struct cp_alarms *a, const char *id, const char *subject)
{
	struct entry *e = calloc(1, sizeof(*e)), **at;

	if (e == NULL)
		return NULL;
	if (a->cnt >= a->buckets)
		grow(a);
	e->al.since_us = cp_wall_us();
	snprintf(e->al.id, sizeof(e->al.id), "%s", id);
	snprintf(e->al.subject, sizeof(e->al.subject), "%s", subject);
	e->hash = hash(id, subject);
	at = bucket_of(a, e->hash);
	e->chain = *at;
	*at = e;
	e->prev = a->last;
	*(a->last != NULL ? &a->last->next : &a->first) = e;
	a->last = e;
	a->cnt++;
	return &e->al;
}

static void forget(struct cp_alarms *a, struct entry *e)
{
	struct entry **at = bucket_of(a, e->hash);

	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
	*(e->prev != NULL ? &e->prev->next : &a->first) = e->next;
	*(e->next != NULL ? &e->next->prev : &a->last) = e->prev;
	if (a->after == e)
		a->after = e->next;
	a->cnt--;
	free(e);
}

static void announce(struct cp_alarms *a, enum cp_alarm_what what, const struct cp_alarm *al)
{
	if (what == CP_ALARM_RAISED)
		cfg_log(al->severity >= CP_ALARM_MAJOR ? CFG_LOG_ERR : CFG_LOG_WARN, "alarm",
			"id=%s severity=%s subject=%s text=%s", al->id, cp_alarm_severity_name(al->severity),
			cfg_q(al->subject), cfg_q(al->text));
	else
		cfg_log(CFG_LOG_NOTICE, "alarm-cleared", "id=%s subject=%s", al->id, cfg_q(al->subject));
	if (a->fn != NULL)
		a->fn(a->ctx, what, al);
}

/* Texts may hold what peers sent: only printable ASCII reaches JSON and terminals. */
static void clean(char *s)
{
	for (char *p = s; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
			*p = '?';
}

void cp_alarm_raise(struct cp_alarms *a, const char *id, enum cp_alarm_severity severity, const char *about,
		    const char *fmt, ...)
{
	char text[CP_ALARM_TEXT_MAX], subject[CP_ALARM_SUBJECT_MAX];
	struct cp_alarm *al, copy;
	struct entry *e;
	bool news;
	va_list ap;

	if (a == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	clean(text);
	snprintf(subject, sizeof(subject), "%s", about);
	clean(subject);
	e = find(a, id, subject);
	al = e != NULL ? &e->al : NULL;
	news = al == NULL || severity > al->severity;
	if (al == NULL) {
		if (a->cnt >= a->max) {
			a->dropped++;
			cfg_log_limited(CFG_LOG_ERR, "alarm-dropped", "id=%s subject=%s", id, cfg_q(subject));
			return;
		}
		al = append(a, id, subject);
		if (al == NULL) {
			a->dropped++;
			return;
		}
	}
	memcpy(al->text, text, sizeof(al->text));
	al->last_us = cp_wall_us();
	al->count++;
	al->severity = severity;
	if (!news)
		return;
	copy = *al; /* the listener may clear it */
	announce(a, CP_ALARM_RAISED, &copy);
}

bool cp_alarm_clear(struct cp_alarms *a, const char *id, const char *about)
{
	char subject[CP_ALARM_SUBJECT_MAX];
	struct cp_alarm copy;
	struct entry *e;

	if (a == NULL)
		return false;
	snprintf(subject, sizeof(subject), "%s", about);
	clean(subject);
	e = find(a, id, subject);
	if (e == NULL)
		return false;
	copy = e->al;
	forget(a, e);
	announce(a, CP_ALARM_CLEARED, &copy);
	return true;
}

unsigned cp_alarm_clear_all(struct cp_alarms *a, const char *id)
{
	unsigned n = 0;

	for (struct entry *e = a->first; e != NULL; e = a->after) {
		struct cp_alarm copy = e->al;

		a->after = e->next;
		if (id == NULL || same(copy.id, CP_ALARM_ID_MAX, id))
			n += cp_alarm_clear(a, copy.id, copy.subject);
	}
	return n;
}

const struct cp_alarm *cp_alarm_find(const struct cp_alarms *a, const char *id, const char *subject)
{
	const struct entry *e = find(a, id, subject);

	return e != NULL ? &e->al : NULL;
}

void cp_alarm_each(const struct cp_alarms *a, void (*fn)(void *ctx, const struct cp_alarm *alarm), void *ctx)
{
	for (const struct entry *e = a->first; e != NULL; e = e->next)
		fn(ctx, &e->al);
}

size_t cp_alarm_count(const struct cp_alarms *a)
{
	return a->cnt;
}

uint64_t cp_alarm_dropped(const struct cp_alarms *a)
{
	return a->dropped;
}
