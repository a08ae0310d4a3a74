/* SPDX-License-Identifier: BSD-3-Clause */
/* What operators ask for: a wave begins, in slices of its records; it is paused, goes on, is cancelled. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "enrol/capfcmd.h"
#include "enrol/capfop.h"
#include "enrol/wavesint.h"
#include "log.h"

/* --- beginning one --- */

struct making {
	struct cp_waves *o;
	struct cp_wave_rec rec;
	char (*name)[CP_DEVICE_NAME_MAX];
	uint32_t at;
	void (*fn)(void *ctx, int rc, uint32_t id);
	void *ctx;
};

static void making_end(struct making *m, int rc)
{
	if (rc < 0)
		waves_forget(m->o, m->rec.id, m->rec.cnt);
	else
		cfg_log(CFG_LOG_NOTICE, "capf-wave", "wave=%u state=running devices=%u", m->rec.id, m->rec.cnt);
	m->fn(m->ctx, rc, m->rec.id);
	m->o->alive--; /* waves_live_new() has counted it */
	free(m->name);
	free(m);
}

static int go(struct making *m)
{
	struct live *l = waves_live_new(m->o, &m->rec);

	if (l == NULL)
		return -ENOMEM;
	for (uint32_t k = 0; k < m->rec.cnt; k++) {
		struct cp_wave_item item = {.wave = m->rec.id, .at = k};

		memcpy(item.device, m->name[k], sizeof(item.device));
		(void)cp_wave_load(l->w, &item);
	}
	(void)cp_wave_loaded(l->w, cp_wall_us());
	waves_arm(m->o);
	return 0;
}

static void making_next(void *ctx, int rc);

static int making_slice(struct making *m)
{
	struct cp_batch *b = cp_batch_create();
	int rc = b == NULL ? -ENOMEM : 0;

	if (rc == 0 && m->at == 0)
		rc = cp_batch_wave(b, &m->rec); /* MAKING: what is left of it is found */
	for (unsigned n = 0; n < SLICE && m->at < m->rec.cnt && rc == 0; n++, m->at++) {
		struct cp_wave_item item = {.wave = m->rec.id, .at = m->at};

		memcpy(item.device, m->name[m->at], sizeof(item.device));
		rc = cp_batch_wave_item(b, &item);
	}
	if (rc == 0 && m->at == m->rec.cnt) {
		char text[CP_WAVE_TEXT_MAX + 80];

		m->rec.state = CP_WAVE_RUNNING;
		rc = cp_batch_wave(b, &m->rec);
		snprintf(text, sizeof(text), "wave %u: %s, %u devices: %s", m->rec.id, cp_capf_op_name(m->rec.op), m->rec.cnt, m->rec.what);
		cp_capfcmd_audit(b, "capf.wave.start", m->rec.who, "", text);
	}
	if (rc == 0)
		return cp_store_submit(m->o->app->store, b, making_next, m);
	cp_batch_destroy(b);
	return rc;
}

static void making_next(void *ctx, int rc)
{
	struct making *m = ctx;

	if (m->o->app->stopping) {
		m->fn(m->ctx, -ENOTCONN, m->rec.id); /* whole, it runs at the next start; else that forgets it */
		free(m->name);
		free(m);
		return;
	}
	if (rc == 0 && m->rec.state == CP_WAVE_RUNNING) {
		rc = go(m);
		making_end(m, rc);
		return;
	}
	if (rc == 0)
		rc = making_slice(m);
	if (rc < 0)
		making_end(m, rc);
}

int cp_waves_begin(struct cp_waves *o, const struct cp_wave_rec *rec, const char (*names)[CP_DEVICE_NAME_MAX], uint32_t cnt,
		   void (*fn)(void *ctx, int rc, uint32_t id), void *ctx)
{
	struct making *m;
	int rc;

	if (o->alive >= CP_WAVES_ALIVE)
		return -EBUSY;
	m = calloc(1, sizeof(*m));
	if (m != NULL)
		m->name = malloc(cnt * sizeof(*m->name));
	if (m == NULL || m->name == NULL) {
		free(m);
		return -ENOMEM;
	}
	memcpy(m->name, names, cnt * sizeof(*m->name));
	m->o = o;
	m->rec = *rec;
	m->rec.unknown = (struct cp_buf){0};
	m->rec.id = o->next_id++;
	m->rec.cnt = cnt;
	m->rec.state = CP_WAVE_MAKING;
	m->rec.created_us = cp_wall_us();
	m->fn = fn;
	m->ctx = ctx;
	o->alive++;
	rc = making_slice(m);
	if (rc < 0) {
		o->alive--;
		free(m->name);
		free(m);
	}
	return rc;
}

/* --- operators --- */

struct change {
	struct live *l;
	enum cp_wave_state from;
	struct cp_wave_rec to;
	char who[32];
	void (*fn)(void *ctx, int rc, enum cp_wave_state state);
	void *ctx;
};

static void change_written(void *ctx, int rc)
{
	struct change *c = ctx;
	struct live *l = c->l;
	bool moved = cp_wave_record(l->w)->state != c->from; /* and was written after this one: it has to be written again */
	struct cp_batch *b;

	l->changing = false;
	if (rc == 0 && (cp_wave_put(l->w, &c->to, cp_wall_us()) || moved) && (b = cp_batch_create()) != NULL) {
		waves_put(l, b, "the wave");
		waves_submit(l->o, b);
	}
	waves_alarm(l);
	c->fn(c->ctx, rc, cp_wave_record(l->w)->state);
	waves_arm(l->o);
	free(c);
}

int cp_waves_change(struct cp_waves *o, uint32_t id, enum cp_waves_act act, const char *who,
		    void (*fn)(void *ctx, int rc, enum cp_wave_state state), void *ctx, char *why, size_t size)
{
	struct live *l = waves_find(o, id);
	struct cp_wave_rec stored;
	struct cp_batch *b = NULL;
	struct change *c;
	int rc;

	if (l == NULL || l->changing) {
		rc = l != NULL ? -EBUSY : cp_store_wave(o->app->store, id, &stored);
		if (rc == 0) {
			snprintf(why, size, "wave %u is over: it is %s", id, cp_wave_state_name(stored.state));
			cp_wave_rec_free(&stored);
			return -EPROTO;
		}
		snprintf(why, size, rc == -EBUSY ? "wave %u is being changed: try again" : "no wave %u", id);
		return rc;
	}
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	c->from = cp_wave_record(l->w)->state;
	rc = act == CP_WAVES_PAUSE  ? cp_wave_pause(cp_wave_record(l->w), &c->to, why, size) :
	     act == CP_WAVES_RESUME ? cp_wave_resume(cp_wave_record(l->w), cp_wall_us(), &c->to, why, size) :
				      cp_wave_cancel(cp_wave_record(l->w), cp_wall_us(), &c->to, why, size);
	if (rc == 0 && (b = cp_batch_create()) == NULL)
		rc = -ENOMEM;
	if (rc == 0)
		rc = cp_batch_wave(b, &c->to);
	if (rc == 0) {
		char text[80];

		snprintf(text, sizeof(text), "wave %u is %s", id, cp_wave_state_name(c->to.state));
		cp_capfcmd_audit(b, "capf.wave", who, "", text);
		c->l = l;
		c->fn = fn;
		c->ctx = ctx;
		l->changing = true;
		rc = cp_store_submit(o->app->store, b, change_written, c);
		b = NULL;
		if (rc < 0)
			l->changing = false;
	}
	if (rc < 0) {
		cp_batch_destroy(b);
		free(c);
	}
	return rc;
}
