/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Alarms: a condition that somebody should know of, named by an id ("gateway-no-sa") and a subject (which
 * gateway). Raised once, listed by 'ravelinctl show alarms', cleared when its cause ends. Raising and clearing
 * are logged and handed to the listeners (the store keeps them in its audit). Runs on the controlplane's event
 * loop; no other thread may call. Bounded: cp_alarms_limit(), texts are cut.
 */
#ifndef CP_ALARM_H
#define CP_ALARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CP_ALARM_MAX         4096 /* alarms, unless cp_alarms_limit() says more */
#define CP_ALARM_OF_GATEWAY  4    /* that one gateway may have at a time: so many more for each */
#define CP_ALARM_ID_MAX      48  /* bytes, with the terminating zero; so are the others */
#define CP_ALARM_SUBJECT_MAX 96
#define CP_ALARM_TEXT_MAX    256

enum cp_alarm_severity { CP_ALARM_WARNING, CP_ALARM_MINOR, CP_ALARM_MAJOR, CP_ALARM_CRITICAL };

struct cp_alarms;

struct cp_alarm {
	char id[CP_ALARM_ID_MAX];
	char subject[CP_ALARM_SUBJECT_MAX];
	char text[CP_ALARM_TEXT_MAX];
	enum cp_alarm_severity severity;
	int64_t since_us; /* when raised, wall clock */
	int64_t last_us;  /* when raised last */
	uint64_t count;   /* how often raised since */
};

enum cp_alarm_what { CP_ALARM_RAISED, CP_ALARM_CLEARED };
typedef void (*cp_alarm_fn)(void *ctx, enum cp_alarm_what what, const struct cp_alarm *alarm);

struct cp_alarms *cp_alarms_create(void);
void cp_alarms_destroy(struct cp_alarms *alarms);

/** So many may stand at a time; those that do stay. Half a KB each. */
void cp_alarms_limit(struct cp_alarms *alarms, size_t max);

/** Called for each alarm raised for the first time or with a higher severity, and for each cleared. One listener. */
void cp_alarms_listen(struct cp_alarms *alarms, cp_alarm_fn fn, void *ctx);

/**
 * Raise. Again with the same id and subject: text, time and count are updated, nothing is announced. When as
 * many stand as may, the alarm is logged, counted as dropped and not kept. 'alarms' may be NULL (tests): nothing
 * is done.
 */
void cp_alarm_raise(struct cp_alarms *alarms, const char *id, enum cp_alarm_severity severity,
		    const char *subject, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/** Its cause ended, or the operator says so. True if it stood. */
bool cp_alarm_clear(struct cp_alarms *alarms, const char *id, const char *subject);

/** Clear every subject of an id (NULL: every alarm). Returns how many stood. Not from within the listener. */
unsigned cp_alarm_clear_all(struct cp_alarms *alarms, const char *id);

const struct cp_alarm *cp_alarm_find(const struct cp_alarms *alarms, const char *id, const char *subject);

/** In the order they were raised. 'fn' clears none. */
void cp_alarm_each(const struct cp_alarms *alarms, void (*fn)(void *ctx, const struct cp_alarm *alarm), void *ctx);

size_t cp_alarm_count(const struct cp_alarms *alarms);
uint64_t cp_alarm_dropped(const struct cp_alarms *alarms);

/** "warning", "minor", "major", "critical" */
const char *cp_alarm_severity_name(enum cp_alarm_severity severity);

#endif
