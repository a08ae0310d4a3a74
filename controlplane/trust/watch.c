/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The expiry watch: an alarm for each certificate of ours and of the trust stores that ends within 90, 30, 7 days or has
 * ended, and one that counts phones by their LSCs. Looked at when something changed, daily, when a level begins, and when the
 * clock was set; on such a day the signer is asked again too.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alarm.h"
#include "app.h"
#include "certs_int.h"
#include "store/store.h"
#include "upload.h"

#define ALARM     "cert-expiry"
#define ALARM_LSC "lsc-expiry"

static const struct {
	enum cp_alarm_severity severity;
	const char *word;
} levels[EXPIRY_LEVELS] = {
	[EXPIRY_OK] = {CP_ALARM_WARNING, "valid"}, [EXPIRY_90] = {CP_ALARM_WARNING, "expires"},
	[EXPIRY_30] = {CP_ALARM_MINOR, "expires"}, [EXPIRY_7] = {CP_ALARM_MAJOR, "expires"},
	[EXPIRY_EXPIRED] = {CP_ALARM_CRITICAL, "expired"}, [EXPIRY_FUTURE] = {CP_ALARM_MAJOR, "not-yet-valid"},
};

const char *certs_state(X509 *cert, int64_t now)
{
	return levels[expiry_level(now, cp_upload_time(X509_get0_notBefore(cert)), cp_upload_time(X509_get0_notAfter(cert)))].word;
}

struct look {
	struct cp_certs *certs;
	int64_t now, next;
	char (*subjects)[CP_ALARM_SUBJECT_MAX]; /* whose alarm stands, of those looked at */
	unsigned cnt, room;
	bool blind; /* no memory for all of them: nothing is cleared */
};

static void date(int64_t s, char buf[32])
{
	time_t clock = (time_t)s;
	struct tm tm;

	if (s == INT64_MAX || gmtime_r(&clock, &tm) == NULL || strftime(buf, 32, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		snprintf(buf, 32, "an unreadable time");
}

static void stands(struct look *l, const char *subject)
{
	if (l->cnt == l->room) {
		unsigned room = l->room == 0 ? 16 : 2 * l->room;
		void *grown = realloc(l->subjects, room * sizeof(*l->subjects));

		if (grown == NULL) {
			l->blind = true;
			return;
		}
		l->subjects = grown;
		l->room = room;
	}
	snprintf(l->subjects[l->cnt++], CP_ALARM_SUBJECT_MAX, "%s", subject);
}

static void look_at(struct look *l, const char *subject, X509 *cert, STACK_OF(X509) *chain)
{
	struct cp_alarms *alarms = l->certs->app->alarms;
	int64_t from = INT64_MIN, to = INT64_MAX - 1, next;
	enum expiry_level level;
	char name[80], when[32];
	X509 *first = cert;

	for (int i = -1; i < (chain != NULL ? sk_X509_num(chain) : 0); i++) { /* a chain is as good as its worst */
		X509 *c = i < 0 ? cert : sk_X509_value(chain, i);
		int64_t f = cp_upload_time(X509_get0_notBefore(c)), t = cp_upload_time(X509_get0_notAfter(c));

		from = f > from ? f : from;
		if (i < 0 || t < to) {
			to = t;
			first = c;
		}
	}
	level = expiry_level(l->now, from, to);
	next = expiry_next(l->now, from, to);
	l->next = next < l->next ? next : l->next;
	if (level == EXPIRY_OK)
		return;
	stands(l, subject);
	cp_upload_name(first, name, sizeof(name));
	if (level == EXPIRY_FUTURE) {
		date(from, when);
		cp_alarm_raise(alarms, ALARM, levels[level].severity, subject, "%s is not valid before %s: is the clock right?", name, when);
		return;
	}
	date(to, when);
	if (level == EXPIRY_EXPIRED)
		cp_alarm_raise(alarms, ALARM, levels[level].severity, subject, "%s expired on %s", name, when);
	else
		cp_alarm_raise(alarms, ALARM, levels[level].severity, subject, "%s expires in %lld days, on %s", name,
			       (long long)(to - l->now) / EXPIRY_DAY_S, when);
}

struct stale {
	const struct look *look;
	char (*subjects)[CP_ALARM_SUBJECT_MAX];
	unsigned cnt, room;
};

static void mended(void *ctx, const struct cp_alarm *al)
{
	struct stale *s = ctx;

	if (strcmp(al->id, ALARM) != 0 || s->cnt == s->room)
		return;
	for (unsigned i = 0; i < s->look->cnt; i++)
		if (strcmp(s->look->subjects[i], al->subject) == 0)
			return;
	memcpy(s->subjects[s->cnt++], al->subject, CP_ALARM_SUBJECT_MAX);
}

static void clear_mended(struct look *l)
{
	struct cp_alarms *alarms = l->certs->app->alarms;
	struct stale s = {.look = l, .room = alarms != NULL && !l->blind ? (unsigned)cp_alarm_count(alarms) : 0};

	if (s.room == 0)
		return;
	s.subjects = malloc(s.room * sizeof(*s.subjects));
	if (s.subjects == NULL)
		return; /* the next look mends it */
	cp_alarm_each(alarms, mended, &s);
	for (unsigned i = 0; i < s.cnt; i++)
		cp_alarm_clear(alarms, ALARM, s.subjects[i]);
	free(s.subjects);
}

/* --- phones' LSCs --- */

struct lscs {
	int64_t now;
	struct cp_certs_lscs n;
};

static bool count_lsc(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t val_len)
{
	struct cp_ledger_rec rec;
	struct lscs *l = ctx;

	(void)key;
	(void)key_len;
	if (cp_ledger_rec_parse(val, val_len, &rec) < 0)
		return true;
	if (rec.has_lsc && rec.lsc_expires_us > 0) {
		int64_t to = rec.lsc_expires_us / 1000000;

		l->n.at[expiry_level(l->now, INT64_MIN, to)]++;
		l->n.phones++;
		l->n.first_s = to < l->n.first_s ? to : l->n.first_s;
	}
	cp_ledger_rec_free(&rec);
	return true;
}

void certs_lscs(struct cp_certs *c)
{
	struct lscs l = {.now = certs_now(c), .n = {.first_s = INT64_MAX}};
	const unsigned *at = l.n.at;
	enum expiry_level worst;

	cp_store_each(c->app->store, CP_CF_LEDGER, count_lsc, &l);
	c->lscs = l.n;
	worst = at[EXPIRY_EXPIRED] > 0 ? EXPIRY_EXPIRED : at[EXPIRY_7] > 0 ? EXPIRY_7 : at[EXPIRY_30] > 0 ? EXPIRY_30 :
		at[EXPIRY_90] > 0 ? EXPIRY_90 : EXPIRY_OK;
	if (worst == EXPIRY_OK)
		cp_alarm_clear(c->app->alarms, ALARM_LSC, "phones");
	else
		cp_alarm_raise(c->app->alarms, ALARM_LSC, levels[worst].severity, "phones",
			       "of %u phones' LSCs %u have expired, %u expire within 7 days, %u within 30, %u within 90", l.n.phones,
			       at[EXPIRY_EXPIRED], at[EXPIRY_7], at[EXPIRY_7] + at[EXPIRY_30],
			       at[EXPIRY_7] + at[EXPIRY_30] + at[EXPIRY_90]);
}

void certs_lsc_row(struct cp_certs *c, json_t *list)
{
	const struct cp_certs_lscs *n = &c->lscs;
	enum expiry_level worst = EXPIRY_OK;
	char name[40], note[80], when[32];

	if (n->phones == 0)
		return;
	for (int l = EXPIRY_90; l <= EXPIRY_EXPIRED; l++)
		worst = n->at[l] > 0 ? (enum expiry_level)l : worst;
	date(n->first_s, when);
	when[strcspn(when, " ")] = '\0';
	snprintf(name, sizeof(name), "%u phones", n->phones);
	snprintf(note, sizeof(note), "%u expired, %u end within 90 days", n->at[EXPIRY_EXPIRED],
		 n->at[EXPIRY_90] + n->at[EXPIRY_30] + n->at[EXPIRY_7]);
	json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s}", "store", "LSCs", "name", name, "key", "",
					      "not_after", when, "days_left", (json_int_t)((n->first_s - certs_now(c)) / EXPIRY_DAY_S),
					      "state", levels[worst].word, "sha256", "", "note", note));
}

void certs_expiry(struct cp_certs *c)
{
	struct look l = {.certs = c, .now = certs_now(c), .next = INT64_MAX};
	char subject[CP_ALARM_SUBJECT_MAX], hex[65];

	for (unsigned i = 0; i < c->ident_cnt; i++) {
		const struct cp_signer_ident *id = &c->ident[i];

		/* what NAME was before only leads phones over: that it ends is no harm of its own */
		if (id->cert == NULL || strstr(id->name, ".prev") != NULL)
			continue;
		snprintf(subject, sizeof(subject), "own/%s", id->name);
		look_at(&l, subject, id->cert, id->chain);
	}
	for (unsigned ts = 0; ts < CP_TS_MAX; ts++)
		for (unsigned i = 0; i < c->stores[ts].cnt; i++) {
			const struct trusted *t = &c->stores[ts].list[i];

			cp_upload_hex(t->sha256, 32, hex);
			snprintf(subject, sizeof(subject), "%s/%.16s", cp_trust_store_name((enum cp_trust_store)ts), hex);
			look_at(&l, subject, t->cert, NULL);
		}
	clear_mended(&l);
	c->expiry.next_s = l.next;
	free(l.subjects);
}

void certs_tick(struct cp_certs *c, int64_t mono_s)
{
	if (!expiry_due(&c->expiry, certs_now(c), mono_s))
		return;
	certs_expiry(c);
	certs_lscs(c); /* every phone's record: once a day is enough */
	certs_refresh(c); /* what was changed behind our back shows once a day */
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct timespec ts;

	(void)fd;
	(void)what;
	clock_gettime(CLOCK_BOOTTIME, &ts); /* counts while the machine sleeps */
	certs_tick(ctx, (int64_t)ts.tv_sec);
}

int certs_watch_create(struct cp_certs *c)
{
	struct timespec ts;

	c->tick_ev = event_new(c->app->base, -1, EV_PERSIST, on_tick, c);
	if (c->tick_ev == NULL || event_add(c->tick_ev, &(struct timeval){EXPIRY_TICK_S, 0}) < 0)
		return -ENOMEM;
	clock_gettime(CLOCK_BOOTTIME, &ts);
	(void)expiry_due(&c->expiry, certs_now(c), (int64_t)ts.tv_sec);
	certs_expiry(c);
	certs_lscs(c);
	return 0;
}

void certs_watch_destroy(struct cp_certs *c)
{
	if (c->tick_ev != NULL)
		event_free(c->tick_ev);
}
