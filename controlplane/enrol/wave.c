/* SPDX-License-Identifier: BSD-3-Clause */
#include "enrol/wave.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct item {
	char device[CP_DEVICE_NAME_MAX];
	uint8_t state;
	uint8_t tries;
	bool taking; /* SET, and not written yet */
	uint64_t op_id;
	int64_t set_us, reset_us, ended_us, not_before_us;
};

struct result {
	int64_t at_us;
	bool failed;
};

struct cp_wave {
	struct cp_wave_rec rec;
	struct item *item;
	uint32_t loaded;
	uint32_t head;     /* before it nobody waits */
	int64_t next_us;   /* the next turn by the rate */
	struct cp_wave_counts cnt;
	struct result *ring; /* rec.window of them */
	unsigned ring_at, ring_cnt;
};

struct cp_wave *cp_wave_create(const struct cp_wave_rec *rec)
{
	struct cp_wave *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->rec = *rec;
	w->rec.unknown = (struct cp_buf){0};
	w->item = calloc(rec->cnt, sizeof(*w->item));
	w->ring = calloc(rec->window, sizeof(*w->ring));
	if (w->item == NULL || w->ring == NULL) {
		cp_wave_destroy(w);
		return NULL;
	}
	return w;
}

void cp_wave_destroy(struct cp_wave *w)
{
	if (w == NULL)
		return;
	free(w->item);
	free(w->ring);
	free(w);
}

int cp_wave_load(struct cp_wave *w, const struct cp_wave_item *rec)
{
	struct item *i;

	if (rec->wave != w->rec.id || rec->at >= w->rec.cnt || w->item[rec->at].device[0] != '\0')
		return -EINVAL;
	i = &w->item[rec->at];
	memcpy(i->device, rec->device, sizeof(i->device));
	i->state = rec->state;
	i->op_id = rec->op_id;
	i->set_us = rec->set_us;
	i->reset_us = rec->reset_us;
	i->ended_us = rec->ended_us;
	w->cnt.by_state[i->state]++;
	w->loaded++;
	return 0;
}

/* --- failures --- */

static void judge(struct cp_wave *w, const struct result *r)
{
	struct result *slot = &w->ring[w->ring_at];

	if (w->ring_cnt == w->rec.window)
		w->cnt.failures -= slot->failed;
	else
		w->ring_cnt++;
	*slot = *r;
	w->cnt.failures += r->failed;
	w->cnt.judged = w->ring_cnt;
	w->ring_at = (w->ring_at + 1) % w->rec.window;
}

static void judge_anew(struct cp_wave *w)
{
	w->ring_at = w->ring_cnt = 0;
	w->cnt.failures = w->cnt.judged = 0;
}

/* Running, and too many failed: it stops. */
static bool too_many(struct cp_wave *w)
{
	unsigned least = w->rec.window < CP_WAVE_JUDGE_MIN ? w->rec.window : CP_WAVE_JUDGE_MIN;

	if (w->rec.state != CP_WAVE_RUNNING || w->cnt.judged < least || w->cnt.failures * 100 <= w->rec.stop_at * w->cnt.judged)
		return false;
	w->rec.state = CP_WAVE_STOPPED;
	snprintf(w->rec.reason, sizeof(w->rec.reason), "%u of the last %u devices failed, more than %u %%", w->cnt.failures, w->cnt.judged,
		 w->rec.stop_at);
	return true;
}

static bool over(struct cp_wave *w, int64_t now)
{
	if (w->cnt.by_state[CP_WAVE_WAITING] > 0 || w->cnt.by_state[CP_WAVE_SET] > 0)
		return false;
	if (w->rec.state == CP_WAVE_DONE || w->rec.state == CP_WAVE_CANCELLED)
		return false;
	w->rec.state = CP_WAVE_DONE; /* also one that was paused or stopped: nothing is left to do */
	w->rec.reason[0] = '\0';
	w->rec.ended_us = now;
	return true;
}

static int by_time(const void *a, const void *b)
{
	const struct result *x = a, *y = b;

	return x->at_us < y->at_us ? -1 : x->at_us > y->at_us;
}

bool cp_wave_loaded(struct cp_wave *w, int64_t now)
{
	struct result *all = calloc(w->rec.cnt, sizeof(*all));
	size_t n = 0;
	int64_t last = 0;

	for (uint32_t k = 0; k < w->rec.cnt; k++) {
		const struct item *i = &w->item[k];

		last = i->set_us > last ? i->set_us : last;
		if (all != NULL && (i->state == CP_WAVE_OK || i->state == CP_WAVE_FAILED) && i->ended_us > w->rec.judged_us)
			all[n++] = (struct result){i->ended_us, i->state == CP_WAVE_FAILED};
	}
	judge_anew(w);
	if (n > 0)
		qsort(all, n, sizeof(*all), by_time);
	for (size_t k = n > w->rec.window ? n - w->rec.window : 0; k < n; k++)
		judge(w, &all[k]);
	free(all);
	w->head = 0;
	/* A clock that went back must not hold it up for longer than a turn. */
	w->next_us = (last < now ? last : now) + 60000000 / w->rec.per_minute;
	/* Records that cannot be read are nobody's turn. */
	w->cnt.by_state[CP_WAVE_REFUSED] += w->rec.cnt - w->loaded;
	w->loaded = w->rec.cnt;
	return over(w, now) || too_many(w);
}

const struct cp_wave_rec *cp_wave_record(const struct cp_wave *w)
{
	return &w->rec;
}

void cp_wave_item_get(const struct cp_wave *w, uint32_t at, struct cp_wave_item *ret)
{
	const struct item *i = &w->item[at];

	*ret = (struct cp_wave_item){.wave = w->rec.id, .at = at, .state = i->state, .op_id = i->op_id, .set_us = i->set_us,
				     .reset_us = i->reset_us, .ended_us = i->ended_us};
	memcpy(ret->device, i->device, sizeof(ret->device));
}

void cp_wave_count(const struct cp_wave *w, struct cp_wave_counts *ret)
{
	*ret = w->cnt;
}

bool cp_wave_alive(const struct cp_wave *w)
{
	return (w->rec.state != CP_WAVE_DONE && w->rec.state != CP_WAVE_CANCELLED) || w->cnt.by_state[CP_WAVE_SET] > 0;
}

/* --- turns --- */

static void move(struct cp_wave *w, struct item *i, enum cp_wave_item_state to)
{
	w->cnt.by_state[i->state]--;
	i->state = (uint8_t)to;
	w->cnt.by_state[to]++;
}

int cp_wave_next(struct cp_wave *w, int64_t now, uint32_t *ret_at, int64_t *ret_us)
{
	int64_t soonest = INT64_MAX;

	if (w->rec.state != CP_WAVE_RUNNING || w->cnt.by_state[CP_WAVE_WAITING] == 0)
		return -ENOENT;
	*ret_us = INT64_MAX;
	if (w->cnt.by_state[CP_WAVE_SET] >= w->rec.at_once)
		return -EAGAIN;
	if (w->next_us > now + 60000000 / w->rec.per_minute)
		w->next_us = now + 60000000 / w->rec.per_minute; /* the clock went back */
	*ret_us = w->next_us;
	if (now < w->next_us)
		return -EAGAIN;
	while (w->head < w->rec.cnt && (w->item[w->head].state != CP_WAVE_WAITING || w->item[w->head].device[0] == '\0'))
		w->head++;
	for (uint32_t k = w->head; k < w->rec.cnt; k++) {
		const struct item *i = &w->item[k];

		if (i->state != CP_WAVE_WAITING || i->device[0] == '\0')
			continue;
		if (i->not_before_us <= now || i->not_before_us > now + CP_WAVE_BUSY_US) {
			*ret_at = k;
			return 0;
		}
		soonest = i->not_before_us < soonest ? i->not_before_us : soonest;
	}
	*ret_us = soonest;
	return -EAGAIN;
}

void cp_wave_take(struct cp_wave *w, uint32_t at, uint64_t op_id, int64_t now)
{
	struct item *i = &w->item[at];
	int64_t from = w->next_us > now - CP_WAVE_SLACK_US ? w->next_us : now - CP_WAVE_SLACK_US;

	move(w, i, CP_WAVE_SET);
	i->taking = true;
	i->op_id = op_id;
	i->set_us = now;
	w->next_us = from + 60000000 / w->rec.per_minute;
}

bool cp_wave_taking(const struct cp_wave *w, uint32_t at)
{
	return w->item[at].taking;
}

void cp_wave_taken(struct cp_wave *w, uint32_t at, int rc, int64_t now)
{
	struct item *i = &w->item[at];

	if (!i->taking)
		return;
	i->taking = false;
	if (rc == 0 || i->state != CP_WAVE_SET)
		return;
	move(w, i, CP_WAVE_WAITING);
	i->op_id = 0;
	i->set_us = 0;
	i->not_before_us = now + CP_WAVE_RETRY_US;
	w->head = at < w->head ? at : w->head;
}

bool cp_wave_defer(struct cp_wave *w, uint32_t at, int64_t now)
{
	struct item *i = &w->item[at];

	i->not_before_us = now + CP_WAVE_BUSY_US;
	if (++i->tries < CP_WAVE_BUSY_TRIES)
		return false;
	cp_wave_refuse(w, at, now);
	return true;
}

bool cp_wave_refuse(struct cp_wave *w, uint32_t at, int64_t now)
{
	struct item *i = &w->item[at];

	move(w, i, CP_WAVE_REFUSED);
	i->ended_us = now;
	return over(w, now);
}

void cp_wave_reset(struct cp_wave *w, uint32_t at, int64_t now)
{
	w->item[at].reset_us = now;
}

bool cp_wave_end(struct cp_wave *w, uint32_t at, enum cp_wave_item_state how, int64_t now)
{
	struct item *i = &w->item[at];

	if (i->state != CP_WAVE_SET)
		return false;
	move(w, i, how);
	i->taking = false;
	i->ended_us = now;
	if (how != CP_WAVE_OVERTAKEN && now > w->rec.judged_us)
		judge(w, &(struct result){now, how == CP_WAVE_FAILED});
	if (over(w, now))
		return true;
	return too_many(w);
}

/* --- operators --- */

static int is_over(const struct cp_wave_rec *rec, char *why, size_t size)
{
	if (rec->state != CP_WAVE_DONE && rec->state != CP_WAVE_CANCELLED)
		return 0;
	snprintf(why, size, "wave %u is over: it is %s", rec->id, cp_wave_state_name(rec->state));
	return -EPROTO;
}

int cp_wave_pause(const struct cp_wave_rec *rec, struct cp_wave_rec *ret, char *why, size_t size)
{
	if (is_over(rec, why, size) < 0)
		return -EPROTO;
	if (rec->state != CP_WAVE_RUNNING) {
		snprintf(why, size, "wave %u is %s: only one that runs can be paused", rec->id, cp_wave_state_name(rec->state));
		return -EPROTO;
	}
	*ret = *rec;
	ret->state = CP_WAVE_PAUSED;
	snprintf(ret->reason, sizeof(ret->reason), "an operator paused it");
	return 0;
}

int cp_wave_resume(const struct cp_wave_rec *rec, int64_t now, struct cp_wave_rec *ret, char *why, size_t size)
{
	if (is_over(rec, why, size) < 0)
		return -EPROTO;
	if (rec->state != CP_WAVE_PAUSED && rec->state != CP_WAVE_STOPPED) {
		snprintf(why, size, "wave %u is %s: only one that is paused or stopped can be resumed", rec->id, cp_wave_state_name(rec->state));
		return -EPROTO;
	}
	*ret = *rec;
	if (rec->state == CP_WAVE_STOPPED)
		ret->judged_us = now; /* what made it stop is known */
	ret->state = CP_WAVE_RUNNING;
	ret->reason[0] = '\0';
	return 0;
}

int cp_wave_cancel(const struct cp_wave_rec *rec, int64_t now, struct cp_wave_rec *ret, char *why, size_t size)
{
	if (is_over(rec, why, size) < 0)
		return -EPROTO;
	*ret = *rec;
	ret->state = CP_WAVE_CANCELLED;
	ret->ended_us = now;
	snprintf(ret->reason, sizeof(ret->reason), "an operator cancelled it");
	return 0;
}

bool cp_wave_put(struct cp_wave *w, const struct cp_wave_rec *rec, int64_t now)
{
	if (w->rec.state == CP_WAVE_DONE || w->rec.state == CP_WAVE_CANCELLED)
		return true; /* it ended while that was written: the record has to say so again */
	if (rec->judged_us != w->rec.judged_us)
		judge_anew(w);
	w->rec.state = rec->state;
	memcpy(w->rec.reason, rec->reason, sizeof(w->rec.reason));
	w->rec.judged_us = rec->judged_us;
	w->rec.ended_us = rec->ended_us;
	return over(w, now) || too_many(w);
}
