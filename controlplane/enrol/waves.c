/* SPDX-License-Identifier: BSD-3-Clause */
#include "enrol/wavesint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarm.h"
#include "call/call.h"
#include "clock.h"
#include "enrol/capf.h"
#include "enrol/capfcmd.h"
#include "enrol/capfop.h"
#include "log.h"
#include "sccp/sccp.h"
#include "store/phonecfg.h"

#define HOUR_US (INT64_C(3600) * SECOND_US)

void waves_arm(struct cp_waves *o)
{
	static const struct timeval busy = {0, CP_WAVES_TICK_MS * 1000}, idle = {10, 0};

	event_add(o->tick, TAILQ_EMPTY(&o->live) && STAILQ_EMPTY(&o->old) ? &idle : &busy);
}

static const char *subject(uint32_t id, char buf[24])
{
	snprintf(buf, 24, "wave-%u", id);
	return buf;
}

/* --- what is written --- */

void waves_alarm(struct live *l)
{
	const struct cp_wave_rec *rec = cp_wave_record(l->w);
	char name[24];

	subject(rec->id, name);
	if (rec->state == CP_WAVE_STOPPED)
		cp_alarm_raise(l->o->app->alarms, "capf-wave-stopped", CP_ALARM_MAJOR, name,
			       "%s; ravelinctl capf report --wave %u --status failed says why, capf wave resume %u goes on", rec->reason, rec->id,
			       rec->id);
	else
		cp_alarm_clear(l->o->app->alarms, "capf-wave-stopped", name);
}

/* Its own record has changed. */
void waves_put(struct live *l, struct cp_batch *b, const char *who)
{
	const struct cp_wave_rec *rec = cp_wave_record(l->w);
	char text[220];

	cp_batch_wave(b, rec);
	snprintf(text, sizeof(text), "wave %u is %s%s%s", rec->id, cp_wave_state_name(rec->state), rec->reason[0] != '\0' ? ": " : "", rec->reason);
	cp_capfcmd_audit(b, "capf.wave", who, "", text);
	cfg_log(rec->state == CP_WAVE_STOPPED ? CFG_LOG_WARN : CFG_LOG_NOTICE, "capf-wave", "wave=%u state=%s%s%s", rec->id,
		cp_wave_state_name(rec->state), rec->reason[0] != '\0' ? " reason=" : "", rec->reason[0] != '\0' ? cfg_q(rec->reason) : "");
	waves_alarm(l);
}

void waves_put_item(struct live *l, struct cp_batch *b, uint32_t at, const char *why)
{
	struct cp_wave_item item;

	cp_wave_item_get(l->w, at, &item);
	snprintf(item.why, sizeof(item.why), "%s", why);
	cp_batch_wave_item(b, &item);
}

void waves_submit(struct cp_waves *o, struct cp_batch *b)
{
	/* What is lost with a store that fails, or closes, is made of the operations' records again by the next start. */
	if (o->app->stopping)
		cp_batch_destroy(b);
	else if (cp_store_submit(o->app->store, b, NULL, NULL) < 0)
		cfg_log_limited(CFG_LOG_ERR, "capf-wave-store", "reason=\"not written\"");
}

static void live_free(struct live *l)
{
	TAILQ_REMOVE(&l->o->live, l, link);
	l->o->alive--;
	cp_wave_destroy(l->w);
	free(l);
}

struct live *waves_live_new(struct cp_waves *o, const struct cp_wave_rec *rec)
{
	struct live *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->o = o;
	l->w = cp_wave_create(rec);
	if (l->w == NULL) {
		free(l);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&o->live, l, link);
	o->alive++;
	return l;
}

static void gone(struct live *l)
{
	if (!cp_wave_alive(l->w) && !l->round && !l->changing)
		live_free(l);
}

/* --- results --- */

static bool is_op(const uint8_t *key, size_t len, char device[CP_DEVICE_NAME_MAX])
{
	if (len <= 3 || len - 3 >= CP_DEVICE_NAME_MAX || memcmp(key, "op/", 3) != 0)
		return false;
	memcpy(device, key + 3, len - 3);
	device[len - 3] = '\0';
	return true;
}

/* What became of the operation that the wave set: SET: it is pending. 'gone': its record is not there. */
static enum cp_wave_item_state result(const struct cp_capf_oprec *rec, bool there, uint64_t op_id, const char **why)
{
	*why = "";
	if (!there) {
		*why = "the device was deleted";
		return CP_WAVE_OVERTAKEN;
	}
	if (rec->id != op_id) {
		*why = "another operation was set";
		return CP_WAVE_OVERTAKEN;
	}
	switch (rec->status) {
	case CP_CAPF_ST_DONE:
		return CP_WAVE_OK;
	case CP_CAPF_ST_FAILED:
		return CP_WAVE_FAILED;
	case CP_CAPF_ST_PENDING:
		return CP_WAVE_SET;
	default:
		*why = "an operator cancelled its operation";
		return CP_WAVE_OVERTAKEN;
	}
}

static void ended(struct cp_waves *o, const char *device, struct live *l, uint32_t at, enum cp_wave_item_state how, const char *why)
{
	struct cp_batch *b = cp_batch_create();
	unsigned before = cp_wave_record(l->w)->state;
	struct cp_ent *e;

	e = cp_tab_find(&o->pending, device, strlen(device));
	if (e != NULL && e->obj == l)
		cp_tab_del(&o->pending, device, strlen(device));
	cp_wave_end(l->w, at, how, cp_wall_us());
	if (b != NULL) {
		waves_put_item(l, b, at, why);
		if (cp_wave_record(l->w)->state != before)
			waves_put(l, b, "the wave");
		waves_submit(o, b);
	}
}

/* A record of CAPF's changed. */
static void changed(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted)
{
	struct cp_waves *o = ctx;
	char device[CP_DEVICE_NAME_MAX];
	struct cp_capf_oprec rec = {.op = 0};
	enum cp_wave_item_state how;
	struct cp_wave_item item;
	struct cp_ent *e;
	const char *why;
	bool there;

	(void)cf;
	if (!is_op(key, key_len, device) || (e = cp_tab_find(&o->pending, device, strlen(device))) == NULL)
		return;
	if (cp_wave_taking(((struct live *)e->obj)->w, e->n))
		return; /* what there was before, or our own */
	cp_wave_item_get(((struct live *)e->obj)->w, e->n, &item);
	there = !deleted && cp_store_capf_op(o->app->store, device, &rec) == 0;
	how = result(&rec, there, item.op_id, &why);
	cp_capf_oprec_free(&rec);
	if (how != CP_WAVE_SET)
		ended(o, device, e->obj, e->n, how, why);
}

/* --- what is pending: deadlines, resets --- */

/* True: it is done, or needs none. */
static bool reset(struct cp_waves *o, const struct cp_wave_item *item, const struct cp_capf_oprec *rec, int64_t now)
{
	struct cp_app *app = o->app;
	int64_t ms = app->sccp != NULL ? cp_sccp_registered_ms(app->sccp, item->device) : -1;

	if (rec->tried)
		return true; /* it came by itself */
	if (ms < 0 || (app->capf != NULL && cp_capf_busy(app->capf, item->device)) ||
	    (app->calls != NULL && cp_calls_busy(app->calls, item->device)))
		return false;
	/* One that registered after it was set has begun anew since, and may be on its way to CAPF. */
	if (ms * 1000 < now - item->set_us && ms < (item->set_us < o->began_us + CP_WAVES_RETURN_US ? CP_WAVES_BACK_MS : CP_WAVES_SETTLE_MS))
		return false;
	return cp_phone_reset(cp_sccp_find(app->sccp, item->device), 1) == 0;
}

struct look {
	struct cp_waves *o;
	struct cp_batch *b;
	int64_t now;
	bool any;
};

static void look_at(struct look *k, struct live *l, uint32_t at, const char *device)
{
	struct cp_app *app = k->o->app;
	const struct cp_wave_rec *wave = cp_wave_record(l->w);
	struct cp_capf_oprec rec;
	struct cp_wave_item item;

	cp_wave_item_get(l->w, at, &item);
	/* nothing is due for most: their records are not read for that */
	if (k->now < item.set_us + (int64_t)wave->within_min * 60 * SECOND_US && k->now >= item.set_us && (!wave->reset || item.reset_us != 0))
		return;
	if (item.state != CP_WAVE_SET || cp_store_capf_op(app->store, device, &rec) < 0)
		return;
	if (rec.id == item.op_id && rec.status == CP_CAPF_ST_PENDING) {
		if (!(app->capf != NULL && cp_capf_busy(app->capf, device)) && cp_capf_op_expire(&rec, k->now)) {
			cp_batch_capf_op(k->b, &rec); /* changed() sees it */
			cp_capfcmd_audit(k->b, "capf.expired", "the wave", device, "");
			k->any = true;
		} else if (wave->reset && item.reset_us == 0 && reset(k->o, &item, &rec, k->now)) {
			cp_wave_reset(l->w, at, k->now);
			waves_put_item(l, k->b, at, "");
			k->any = true;
		}
	}
	cp_capf_oprec_free(&rec);
}

static void look(struct cp_waves *o, int64_t now)
{
	struct look k = {.o = o, .now = now};

	if (o->pending.cnt == 0 || (k.b = cp_batch_create()) == NULL)
		return;
	for (size_t i = 0; i < cp_tab_buckets(&o->pending); i++)
		for (struct cp_ent *e = o->pending.bucket[i]; e != NULL; e = e->next) {
			char device[CP_DEVICE_NAME_MAX];

			if (e->key_len >= sizeof(device))
				continue;
			memcpy(device, e->key, e->key_len);
			device[e->key_len] = '\0';
			look_at(&k, e->obj, e->n, device);
		}
	if (k.any)
		waves_submit(o, k.b);
	else
		cp_batch_destroy(k.b);
}

/* --- records that nobody needs --- */

void waves_forget(struct cp_waves *o, uint32_t id, uint32_t cnt)
{
	struct old *old = calloc(1, sizeof(*old));

	if (old == NULL)
		return; /* the next sweep */
	old->id = id;
	old->cnt = cnt;
	STAILQ_INSERT_TAIL(&o->old, old, link);
}

static void purged(void *ctx, int rc)
{
	struct cp_waves *o = ctx;

	(void)rc; /* it is found again by the next start */
	o->purging = false;
}

static void purge(struct cp_waves *o)
{
	struct old *old = STAILQ_FIRST(&o->old);
	struct cp_batch *b;
	char key[32];

	if (old == NULL || o->purging || (b = cp_batch_create()) == NULL)
		return;
	for (unsigned n = 0; n < SLICE && old->next < old->cnt; n++) {
		cp_wave_item_key(old->id, old->next++, key);
		cp_batch_del(b, CP_CF_CAPF, key, strlen(key));
	}
	if (old->next == old->cnt) { /* its own record is the last to go */
		cp_wave_key(old->id, key);
		cp_batch_del(b, CP_CF_CAPF, key, strlen(key));
		STAILQ_REMOVE_HEAD(&o->old, link);
		free(old);
	}
	o->purging = cp_store_submit(o->app->store, b, purged, o) == 0;
}

struct live *waves_find(struct cp_waves *o, uint32_t id)
{
	struct live *l;

	TAILQ_FOREACH(l, &o->live, link)
		if (cp_wave_record(l->w)->id == id)
			return l;
	return NULL;
}

static void sweep(struct cp_waves *o, int64_t now)
{
	for (uint32_t id = 1; id < o->next_id; id++) {
		struct cp_wave_rec rec;

		if (waves_find(o, id) != NULL || cp_store_wave(o->app->store, id, &rec) < 0)
			continue;
		if (rec.ended_us != 0 && rec.ended_us + CP_WAVES_KEEP_US < now)
			waves_forget(o, id, rec.cnt);
		cp_wave_rec_free(&rec);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct cp_waves *o = arg;
	int64_t now = cp_wall_us();
	struct live *l, *next;

	(void)fd;
	(void)what;
	for (l = TAILQ_FIRST(&o->live); l != NULL; l = next) {
		next = TAILQ_NEXT(l, link);
		waves_turns(l, now);
		gone(l);
	}
	if (now - o->looked_us >= SECOND_US || now < o->looked_us) {
		o->looked_us = now;
		look(o, now);
	}
	if (STAILQ_EMPTY(&o->old) && (now - o->swept_us >= HOUR_US || now < o->swept_us)) {
		o->swept_us = now;
		sweep(o, now);
	}
	purge(o);
	waves_arm(o);
}

/* --- at the start --- */

static bool load_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_waves *o = ctx;
	struct cp_wave_rec rec;
	struct cp_wave_item item;
	struct live *l;

	if (key_len > 5 && memcmp(key, "wave/", 5) == 0) {
		if (cp_wave_rec_parse(val, len, &rec) < 0)
			return true;
		if (rec.id >= o->next_id)
			o->next_id = rec.id + 1;
		if (rec.state == CP_WAVE_MAKING)
			waves_forget(o, rec.id, rec.cnt); /* nobody was told of it */
		else if (rec.state != CP_WAVE_DONE)
			(void)waves_live_new(o, &rec); /* also a cancelled one: operations of it may be pending */
		cp_wave_rec_free(&rec);
	} else if (key_len > 4 && memcmp(key, "wvi/", 4) == 0 && cp_wave_item_parse(val, len, &item) == 0) {
		l = waves_find(o, item.wave); /* they come behind all "wave/" */
		if (l != NULL)
			(void)cp_wave_load(l->w, &item);
		cp_wave_item_free(&item);
	}
	return true;
}

/* What is pending is known again; and operations that ended without that being written down as the wave's. */
static void catch_up(struct cp_waves *o, struct live *l)
{
	uint32_t cnt = cp_wave_record(l->w)->cnt;

	for (uint32_t at = 0; at < cnt; at++) {
		struct cp_capf_oprec rec = {.op = 0};
		enum cp_wave_item_state how;
		struct cp_wave_item item;
		const char *why;
		bool there;

		cp_wave_item_get(l->w, at, &item);
		if (item.state != CP_WAVE_SET)
			continue;
		there = cp_store_capf_op(o->app->store, item.device, &rec) == 0;
		how = result(&rec, there, item.op_id, &why);
		cp_capf_oprec_free(&rec);
		if (how == CP_WAVE_SET) {
			struct cp_ent *e = cp_tab_put(&o->pending, item.device, strlen(item.device));

			if (e != NULL) {
				e->obj = l;
				e->n = at;
			}
		} else {
			ended(o, item.device, l, at, how, why);
		}
	}
}

int cp_waves_create(struct cp_app *app, struct cp_waves **ret)
{
	struct cp_waves *o = calloc(1, sizeof(*o));
	struct live *l, *next;
	int rc;

	if (o == NULL)
		return -ENOMEM;
	o->app = app;
	o->next_id = 1;
	o->began_us = cp_wall_us();
	TAILQ_INIT(&o->live);
	STAILQ_INIT(&o->old);
	o->tick = event_new(app->base, -1, 0, on_tick, o);
	rc = o->tick == NULL ? -ENOMEM : cp_tab_init(&o->pending, NULL);
	if (rc == 0)
		rc = cp_store_watch(app->store, CP_CF_CAPF, changed, o);
	if (rc < 0) {
		cp_waves_destroy(o);
		return rc;
	}
	cp_store_each(app->store, CP_CF_CAPF, load_one, o);
	for (l = TAILQ_FIRST(&o->live); l != NULL; l = next) {
		struct cp_batch *b;

		next = TAILQ_NEXT(l, link);
		if (cp_wave_loaded(l->w, cp_wall_us()) && (b = cp_batch_create()) != NULL) {
			waves_put(l, b, "the wave");
			waves_submit(o, b);
		}
		waves_alarm(l);
		if (cp_wave_record(l->w)->state == CP_WAVE_RUNNING || cp_wave_record(l->w)->state == CP_WAVE_STOPPED) {
			struct cp_wave_counts c;

			cp_wave_count(l->w, &c);
			cfg_log(CFG_LOG_NOTICE, "capf-wave", "wave=%u state=%s waiting=%u pending=%u", cp_wave_record(l->w)->id,
				cp_wave_state_name(cp_wave_record(l->w)->state), c.by_state[CP_WAVE_WAITING], c.by_state[CP_WAVE_SET]);
		}
	}
	for (l = TAILQ_FIRST(&o->live); l != NULL; l = next) {
		next = TAILQ_NEXT(l, link);
		catch_up(o, l);
		gone(l);
	}
	waves_arm(o);
	*ret = o;
	return 0;
}

void cp_waves_destroy(struct cp_waves *o)
{
	struct live *l;
	struct old *old;

	if (o == NULL)
		return;
	while ((l = TAILQ_FIRST(&o->live)) != NULL)
		live_free(l);
	while ((old = STAILQ_FIRST(&o->old)) != NULL) {
		STAILQ_REMOVE_HEAD(&o->old, link);
		free(old);
	}
	if (o->tick != NULL)
		event_free(o->tick);
	cp_tab_fini(&o->pending);
	free(o);
}
