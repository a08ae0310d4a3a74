/* SPDX-License-Identifier: BSD-3-Clause */
#include "enrol/waves.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "alarm.h"
#include "app.h"
#include "call/call.h"
#include "enrol/capf.h"
#include "enrol/capfcmd.h"
#include "enrol/capfop.h"
#include "enrol/wave.h"
#include "log.h"
#include "offload.h"
#include "sccp/sccp.h"
#include "store/phonecfg.h"
#include "store/store.h"
#include "store/tab.h"

#define SLICE     500  /* records of one write */
#define SECOND_US INT64_C(1000000)
#define HOUR_US   (INT64_C(3600) * SECOND_US)

struct live { /* a wave at work */
	TAILQ_ENTRY(live) link;
	struct cp_waves *o;
	struct cp_wave *w;
	bool round;      /* devices are being set */
	bool changing;   /* an operator's change is being written */
};

struct old { /* records that nobody needs */
	STAILQ_ENTRY(old) link;
	uint32_t id, cnt, next;
};

struct cp_waves {
	struct cp_app *app;
	TAILQ_HEAD(, live) live;
	unsigned alive;
	STAILQ_HEAD(, old) old;
	bool purging;
	struct cp_tab pending; /* device -> live, n: its place: whose operation is pending */
	struct event *tick;
	uint32_t next_id;
	int64_t looked_us, swept_us, began_us;
};

struct turn { /* a device of a round */
	uint32_t at;
	uint64_t before; /* id of the operation that was there */
	struct cp_capf_oprec rec;
	char string[CP_CAPF_STRING_MAX + 1];
	int rc;
};

struct round {
	struct live *l;
	unsigned cnt;
	bool seal;
	struct turn turn[CP_WAVES_ROUND];
};

static void arm(struct cp_waves *o)
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

static void alarm_of(struct live *l)
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
static void put_wave(struct live *l, struct cp_batch *b, const char *who)
{
	const struct cp_wave_rec *rec = cp_wave_record(l->w);
	char text[220];

	cp_batch_wave(b, rec);
	snprintf(text, sizeof(text), "wave %u is %s%s%s", rec->id, cp_wave_state_name(rec->state), rec->reason[0] != '\0' ? ": " : "", rec->reason);
	cp_capfcmd_audit(b, "capf.wave", who, "", text);
	cfg_log(rec->state == CP_WAVE_STOPPED ? CFG_LOG_WARN : CFG_LOG_NOTICE, "capf-wave", "wave=%u state=%s%s%s", rec->id,
		cp_wave_state_name(rec->state), rec->reason[0] != '\0' ? " reason=" : "", rec->reason[0] != '\0' ? cfg_q(rec->reason) : "");
	alarm_of(l);
}

static void put_item(struct live *l, struct cp_batch *b, uint32_t at, const char *why)
{
	struct cp_wave_item item;

	cp_wave_item_get(l->w, at, &item);
	snprintf(item.why, sizeof(item.why), "%s", why);
	cp_batch_wave_item(b, &item);
}

static void submit(struct cp_waves *o, struct cp_batch *b)
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

static struct live *live_new(struct cp_waves *o, const struct cp_wave_rec *rec)
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
	cp_wave_end(l->w, at, how, cp_capfcmd_now_us());
	if (b != NULL) {
		put_item(l, b, at, why);
		if (cp_wave_record(l->w)->state != before)
			put_wave(l, b, "the wave");
		submit(o, b);
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

/* --- setting devices --- */

static void round_free(struct round *r)
{
	for (unsigned i = 0; i < r->cnt; i++)
		cp_capf_oprec_free(&r->turn[i].rec);
	OPENSSL_cleanse(r, sizeof(*r));
	free(r);
}

static void round_over(struct round *r, int rc)
{
	struct live *l = r->l;
	int64_t now = cp_capfcmd_now_us();

	for (unsigned i = 0; i < r->cnt; i++) {
		struct turn *t = &r->turn[i];

		cp_wave_taken(l->w, t->at, rc < 0 ? rc : t->rc, now);
		if (rc == 0 && t->rc == 0) {
			cp_alarm_clear(l->o->app->alarms, "capf-string-locked", t->rec.device);
		} else {
			struct cp_ent *e = cp_tab_find(&l->o->pending, t->rec.device, strlen(t->rec.device));

			if (e != NULL && e->obj == l && e->n == t->at)
				cp_tab_del(&l->o->pending, t->rec.device, strlen(t->rec.device));
		}
	}
	if (rc < 0 && rc != -ECANCELED)
		cfg_log_limited(CFG_LOG_ERR, "capf-wave-store", "wave=%u reason=%s", cp_wave_record(l->w)->id, cfg_q(strerror(-rc)));
	l->round = false;
	l->o->looked_us = 0; /* resets are due */
	round_free(r);
}

static void round_written(void *ctx, int rc)
{
	round_over(ctx, rc);
}

/* It has an operation, or a session. */
static bool busy(struct cp_app *app, const char *device, const struct cp_capf_oprec *rec)
{
	return rec->status == CP_CAPF_ST_PENDING || (app->capf != NULL && cp_capf_busy(app->capf, device));
}

static void round_write(struct round *r)
{
	struct live *l = r->l;
	struct cp_app *app = l->o->app;
	struct cp_batch *b;
	unsigned n = 0;
	int rc;

	/* Paused or cancelled while strings were sealed: the operator was told that nobody more is set. */
	if (l->changing || cp_wave_record(l->w)->state != CP_WAVE_RUNNING) {
		round_over(r, -ECANCELED);
		return;
	}
	b = cp_batch_create();
	rc = b == NULL ? -ENOMEM : 0;

	for (unsigned i = 0; i < r->cnt && rc == 0; i++) {
		struct turn *t = &r->turn[i];
		struct cp_capf_oprec now;
		struct cp_ent *e;

		/* Somebody else may have come first while strings were sealed. */
		if (t->rc == 0 && r->seal && cp_capfcmd_load(app, t->rec.device, &now) == 0) {
			if (now.id != t->before || busy(app, t->rec.device, &now))
				t->rc = -EBUSY;
			cp_capf_oprec_free(&now);
		}
		if (t->rc < 0)
			continue;
		e = cp_tab_put(&l->o->pending, t->rec.device, strlen(t->rec.device));
		if (e == NULL || e->obj != NULL) { /* another wave was faster */
			t->rc = e == NULL ? -ENOMEM : -EBUSY;
			continue;
		}
		e->obj = l;
		e->n = t->at;
		rc = cp_batch_capf_op(b, &t->rec);
		put_item(l, b, t->at, "");
		n++;
	}
	if (rc == 0 && n == 0) {
		cp_batch_destroy(b);
		round_over(r, 0);
		return;
	}
	if (rc == 0) {
		char text[80];

		snprintf(text, sizeof(text), "wave %u: %u devices", cp_wave_record(l->w)->id, n);
		cp_capfcmd_audit(b, "capf.wave.set", "the wave", "", text);
		rc = cp_store_submit(app->store, b, round_written, r);
		b = NULL;
	}
	cp_batch_destroy(b);
	if (rc < 0)
		round_over(r, rc);
}

static void seal_work(void *arg)
{
	struct round *r = arg;

	for (unsigned i = 0; i < r->cnt; i++) {
		struct turn *t = &r->turn[i];

		if (t->rec.by != CP_CAPF_STRING)
			continue;
		t->rc = cp_capf_string_make(t->string);
		if (t->rc == 0)
			t->rc = cp_capf_string_seal(r->l->o->app->signer, &t->rec, t->string);
	}
}

static void seal_done(void *arg)
{
	round_write(arg);
}

static void wants(const struct cp_wave_rec *rec, int64_t now, struct cp_capf_want *ret)
{
	*ret = (struct cp_capf_want){.op = rec->op, .by = rec->by, .fit = true, .key = rec->key[0] != '\0' ? rec->key : NULL,
				     .backup_bits = rec->backup_bits, .make_string = true, .wave = rec->id,
				     .deadline_us = now + (int64_t)rec->within_min * 60 * SECOND_US};
}

/* One device: 0 it is part of the round, else it was seen to. */
static int take_turn(struct live *l, uint32_t at, int64_t now, struct turn *t, struct cp_batch *b, bool *written)
{
	struct cp_app *app = l->o->app;
	const struct cp_device *dev;
	struct cp_capf_want want;
	struct cp_wave_item item;
	char why[CP_WAVE_TEXT_MAX] = "";
	int rc;

	cp_wave_item_get(l->w, at, &item);
	dev = cp_dir_device(app->store, item.device);
	if (dev == NULL) {
		snprintf(why, sizeof(why), "there is no such device any more");
	} else if (cp_capfcmd_load(app, dev->name, &t->rec) < 0) {
		snprintf(why, sizeof(why), "its record cannot be read");
	} else if (busy(app, dev->name, &t->rec) || cp_tab_find(&l->o->pending, dev->name, strlen(dev->name)) != NULL) {
		cp_capf_oprec_free(&t->rec);
		if (cp_wave_defer(l->w, at, now)) {
			put_item(l, b, at, "an operation or a session of it is under way: see capf show, or capf cancel; then another wave");
			*written = true;
		}
		return -EBUSY;
	} else {
		t->before = t->rec.id;
		wants(cp_wave_record(l->w), now, &want);
		rc = cp_capfcmd_new_op(app, dev, &want, now, &t->rec, why, sizeof(why));
		if (rc == 0) {
			t->at = at;
			cp_wave_take(l->w, at, t->rec.id, now);
			return 0;
		}
		cp_capf_oprec_free(&t->rec);
	}
	memset(&t->rec, 0, sizeof(t->rec));
	cp_wave_refuse(l->w, at, now);
	put_item(l, b, at, why);
	*written = true;
	return -EINVAL;
}

static void turns(struct live *l, int64_t now)
{
	struct cp_waves *o = l->o;
	unsigned before = cp_wave_record(l->w)->state;
	struct cp_batch *b = NULL;
	struct round *r = NULL;
	bool written = false;
	int64_t when;
	uint32_t at;

	if (l->round || l->changing || o->app->stopping)
		return;
	for (unsigned looked = 0; looked < CP_WAVES_ROUND && cp_wave_next(l->w, now, &at, &when) == 0; looked++) {
		if (r == NULL)
			r = calloc(1, sizeof(*r));
		if (b == NULL)
			b = cp_batch_create();
		if (r == NULL || b == NULL)
			break;
		if (take_turn(l, at, now, &r->turn[r->cnt], b, &written) == 0) {
			r->seal |= r->turn[r->cnt].rec.by == CP_CAPF_STRING;
			r->cnt++;
		}
	}
	if (b != NULL && cp_wave_record(l->w)->state != before) {
		put_wave(l, b, "the wave");
		written = true;
	}
	if (written)
		submit(o, b);
	else
		cp_batch_destroy(b);
	if (r == NULL || r->cnt == 0) {
		free(r);
		return;
	}
	r->l = l;
	l->round = true;
	if (!r->seal) {
		round_write(r);
	} else {
		int rc = o->app->signer == NULL ? -ENOTCONN : cp_offload_run(o->app->offload, seal_work, seal_done, r);

		if (rc < 0)
			round_over(r, rc);
	}
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
			put_item(l, k->b, at, "");
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
		submit(o, k.b);
	else
		cp_batch_destroy(k.b);
}

/* --- records that nobody needs --- */

static void forget(struct cp_waves *o, uint32_t id, uint32_t cnt)
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

static struct live *find(struct cp_waves *o, uint32_t id)
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

		if (find(o, id) != NULL || cp_store_wave(o->app->store, id, &rec) < 0)
			continue;
		if (rec.ended_us != 0 && rec.ended_us + CP_WAVES_KEEP_US < now)
			forget(o, id, rec.cnt);
		cp_wave_rec_free(&rec);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct cp_waves *o = arg;
	int64_t now = cp_capfcmd_now_us();
	struct live *l, *next;

	(void)fd;
	(void)what;
	for (l = TAILQ_FIRST(&o->live); l != NULL; l = next) {
		next = TAILQ_NEXT(l, link);
		turns(l, now);
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
	arm(o);
}

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
		forget(m->o, m->rec.id, m->rec.cnt);
	else
		cfg_log(CFG_LOG_NOTICE, "capf-wave", "wave=%u state=running devices=%u", m->rec.id, m->rec.cnt);
	m->fn(m->ctx, rc, m->rec.id);
	m->o->alive--; /* live_new() has counted it */
	free(m->name);
	free(m);
}

static int go(struct making *m)
{
	struct live *l = live_new(m->o, &m->rec);

	if (l == NULL)
		return -ENOMEM;
	for (uint32_t k = 0; k < m->rec.cnt; k++) {
		struct cp_wave_item item = {.wave = m->rec.id, .at = k};

		memcpy(item.device, m->name[k], sizeof(item.device));
		(void)cp_wave_load(l->w, &item);
	}
	(void)cp_wave_loaded(l->w, cp_capfcmd_now_us());
	arm(m->o);
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
	m->rec.created_us = cp_capfcmd_now_us();
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
	if (rc == 0 && (cp_wave_put(l->w, &c->to, cp_capfcmd_now_us()) || moved) && (b = cp_batch_create()) != NULL) {
		put_wave(l, b, "the wave");
		submit(l->o, b);
	}
	alarm_of(l);
	c->fn(c->ctx, rc, cp_wave_record(l->w)->state);
	arm(l->o);
	free(c);
}

int cp_waves_change(struct cp_waves *o, uint32_t id, enum cp_waves_act act, const char *who,
		    void (*fn)(void *ctx, int rc, enum cp_wave_state state), void *ctx, char *why, size_t size)
{
	struct live *l = find(o, id);
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
	     act == CP_WAVES_RESUME ? cp_wave_resume(cp_wave_record(l->w), cp_capfcmd_now_us(), &c->to, why, size) :
				      cp_wave_cancel(cp_wave_record(l->w), cp_capfcmd_now_us(), &c->to, why, size);
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
			forget(o, rec.id, rec.cnt); /* nobody was told of it */
		else if (rec.state != CP_WAVE_DONE)
			(void)live_new(o, &rec); /* also a cancelled one: operations of it may be pending */
		cp_wave_rec_free(&rec);
	} else if (key_len > 4 && memcmp(key, "wvi/", 4) == 0 && cp_wave_item_parse(val, len, &item) == 0) {
		l = find(o, item.wave); /* they come behind all "wave/" */
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
	o->began_us = cp_capfcmd_now_us();
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
		if (cp_wave_loaded(l->w, cp_capfcmd_now_us()) && (b = cp_batch_create()) != NULL) {
			put_wave(l, b, "the wave");
			submit(o, b);
		}
		alarm_of(l);
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
	arm(o);
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
