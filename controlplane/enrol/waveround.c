/* SPDX-License-Identifier: BSD-3-Clause */
/* Rounds: the devices whose turn it is get their operation, a few at a time, strings sealed by a helper thread first. */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarm.h"
#include "clock.h"
#include "enrol/capf.h"
#include "enrol/capfcmd.h"
#include "enrol/capfop.h"
#include "enrol/wavesint.h"
#include "log.h"
#include "offload.h"
#include "store/phonecfg.h"

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
	int64_t now = cp_wall_us();

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
		waves_put_item(l, b, t->at, "");
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
			waves_put_item(l, b, at, "an operation or a session of it is under way: see capf show, or capf cancel; then another wave");
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
	waves_put_item(l, b, at, why);
	*written = true;
	return -EINVAL;
}

void waves_turns(struct live *l, int64_t now)
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
		waves_put(l, b, "the wave");
		written = true;
	}
	if (written)
		waves_submit(o, b);
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
