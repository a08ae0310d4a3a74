/* SPDX-License-Identifier: BSD-3-Clause */
#include "alarm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"

/* A thousand gateways may each have some: what is looked through and moved is small. */
struct slot {
	uint32_t hash; /* of id and subject as they are kept */
	struct cp_alarm *al;
};

struct cp_alarms {
	struct slot *list; /* in the order they were raised */
	size_t cnt, size;
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
	return calloc(1, sizeof(struct cp_alarms));
}

void cp_alarms_destroy(struct cp_alarms *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->cnt; i++)
		free(a->list[i].al);
	free(a->list);
	free(a);
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

static struct slot *find(const struct cp_alarms *a, const char *id, const char *subject)
{
	uint32_t h = hash(id, subject);

	for (size_t i = 0; i < a->cnt; i++)
		if (a->list[i].hash == h && same(a->list[i].al->id, CP_ALARM_ID_MAX, id) &&
		    same(a->list[i].al->subject, CP_ALARM_SUBJECT_MAX, subject))
			return &a->list[i];
	return NULL;
}

/* NULL: no memory. */
static struct cp_alarm *append(struct cp_alarms *a, const char *id, const char *subject)
{
	struct cp_alarm *al = calloc(1, sizeof(*al));

	if (al != NULL && a->cnt == a->size) {
		size_t size = a->size == 0 ? 16 : 2 * a->size;
		struct slot *grown = realloc(a->list, size * sizeof(*grown));

		if (grown == NULL) {
			free(al);
			return NULL;
		}
		a->list = grown;
		a->size = size;
	}
	if (al == NULL)
		return NULL;
	al->since_us = cp_wall_us();
	snprintf(al->id, sizeof(al->id), "%s", id);
	snprintf(al->subject, sizeof(al->subject), "%s", subject);
	a->list[a->cnt++] = (struct slot){hash(id, subject), al};
	return al;
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
	struct slot *slot;
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
	slot = find(a, id, subject);
	al = slot != NULL ? slot->al : NULL;
	news = al == NULL || severity > al->severity;
	if (al == NULL) {
		if (a->cnt == CP_ALARM_MAX) {
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
	struct slot *slot;

	if (a == NULL)
		return false;
	snprintf(subject, sizeof(subject), "%s", about);
	clean(subject);
	slot = find(a, id, subject);
	if (slot == NULL)
		return false;
	copy = *slot->al;
	free(slot->al);
	memmove(slot, slot + 1, (size_t)(a->list + a->cnt - slot - 1) * sizeof(*slot));
	a->cnt--;
	announce(a, CP_ALARM_CLEARED, &copy);
	return true;
}

unsigned cp_alarm_clear_all(struct cp_alarms *a, const char *id)
{
	unsigned n = 0;

	for (size_t i = 0; i < a->cnt;) {
		struct cp_alarm copy = *a->list[i].al;

		if (id != NULL && !same(copy.id, CP_ALARM_ID_MAX, id)) {
			i++;
			continue;
		}
		n += cp_alarm_clear(a, copy.id, copy.subject);
	}
	return n;
}

const struct cp_alarm *cp_alarm_find(const struct cp_alarms *a, const char *id, const char *subject)
{
	const struct slot *slot = find(a, id, subject);

	return slot != NULL ? slot->al : NULL;
}

void cp_alarm_each(const struct cp_alarms *a, void (*fn)(void *ctx, const struct cp_alarm *alarm), void *ctx)
{
	for (size_t i = 0; i < a->cnt; i++)
		fn(ctx, a->list[i].al);
}

size_t cp_alarm_count(const struct cp_alarms *a)
{
	return a->cnt;
}

uint64_t cp_alarm_dropped(const struct cp_alarms *a)
{
	return a->dropped;
}
