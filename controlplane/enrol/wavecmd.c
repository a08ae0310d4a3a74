/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operators and waves:
 *     capf.wave.start {"op":..,"auth":..,"key":..,"backup":..,"per_minute":..,"at_once":..,"stop_at":..,"window":..,"within":..,"reset":..,
 *                      "expiring":DAYS,"profile":..,"model":..,"mic_only":..} -> {"wave":n,"devices":n}
 *     the same with {"csv":true} -> {"upload":n}, then
 *     capf.wave.data  {"upload":n,"data":"base64, at most 64 KiB of the table"}
 *     capf.wave.go    {"upload":n,"skip_wrong":false} -> {"wave":n,"devices":n,"wrong":n,"errors":[{"line","device","message"}]}; with a
 *                     line that is wrong, and without skip_wrong, "wave" is null: nothing was begun
 *     capf.wave.list, .show {"wave":n}, .pause, .resume, .cancel
 * Choosing devices reads all records, on a thread.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "admin/bulk.h"
#include "app.h"
#include "base64.h"
#include "clock.h"
#include "config.h"
#include "enrol/capfcmd.h"
#include "enrol/capfop.h"
#include "enrol/capfsurvey.h"
#include "enrol/wave.h"
#include "enrol/wavelist.h"
#include "enrol/waves.h"
#include "log.h"
#include "offload.h"
#include "store/phonecfg.h"
#include "store/store.h"
#include "trust/certs.h"

#define PIECE_MAX 65536
#define IDLE_S    120 /* an upload of which nothing more comes */
#define SHOWN     50  /* devices that went wrong, in show */

struct cp_wavecmd {
	struct cp_app *app;
	struct cp_waves *waves;
	struct event *idle;
	/* the one upload there may be */
	uint64_t upload;
	struct cp_wavelist *list;
	struct cp_wave_rec rec;
};

/* --- beginning --- */

struct start {
	struct cp_wavecmd *c;
	struct cp_admin_req *req;
	struct cp_wave_rec rec;
	json_t *more; /* of the answer; may be NULL */
	/* choosing */
	int64_t until_us; /* 0: not by expiry */
	const char *profile, *model; /* of the request, which stays */
	bool mic_only;
	X509 *capf;
	char (*name)[CP_DEVICE_NAME_MAX];
	uint32_t cnt;
	int rc;
};

static void start_free(struct start *s)
{
	X509_free(s->capf);
	json_decref(s->more);
	free(s->name);
	free(s);
}

static void begun(void *ctx, int rc, uint32_t id)
{
	struct start *s = ctx;

	if (rc < 0) {
		cp_admin_fail_rc(s->req, rc, "the wave could not be written: nothing was begun");
	} else {
		json_t *o = json_pack("{s:i,s:i}", "wave", (int)id, "devices", (int)s->rec.cnt);

		json_object_update(o, s->more);
		cp_admin_reply(s->req, o);
	}
	start_free(s);
}

static void begin(struct start *s, const char (*names)[CP_DEVICE_NAME_MAX], uint32_t cnt)
{
	int rc;

	s->rec.cnt = cnt;
	rc = cp_waves_begin(s->c->waves, &s->rec, names, cnt, begun, s);
	if (rc == -EBUSY)
		cp_admin_fail(s->req, "busy", "%d waves are at work: cancel one, or wait until one is done", CP_WAVES_ALIVE);
	else if (rc < 0)
		cp_admin_fail_rc(s->req, rc, "the wave could not be written");
	if (rc < 0)
		start_free(s);
}

static void add_what(struct cp_wave_rec *rec, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add_what(struct cp_wave_rec *rec, const char *fmt, ...)
{
	size_t n = strlen(rec->what);
	va_list ap;

	if (n > 0 && n + 2 < sizeof(rec->what))
		n += (size_t)snprintf(rec->what + n, sizeof(rec->what) - n, ", ");
	va_start(ap, fmt);
	vsnprintf(rec->what + n, sizeof(rec->what) - n, fmt, ap);
	va_end(ap);
}

static void choose_work(void *arg)
{
	struct start *s = arg;
	struct cp_ent **sorted = NULL;
	struct cp_tab tab;

	s->rc = cp_capf_survey(s->c->app->store, false, s->mic_only, s->capf, &tab);
	if (s->rc == 0 && tab.cnt > 0) {
		sorted = cp_tab_sorted(&tab);
		s->name = malloc(tab.cnt * sizeof(*s->name));
		s->rc = sorted == NULL || s->name == NULL ? -ENOMEM : 0;
	}
	for (size_t i = 0; s->rc == 0 && i < tab.cnt; i++) {
		const struct cp_capf_known *k = sorted[i]->obj;

		if (k == NULL || !k->exists || sorted[i]->key_len >= CP_DEVICE_NAME_MAX || (s->profile != NULL && strcmp(s->profile, k->profile) != 0) ||
		    (s->model != NULL && strcmp(s->model, k->model) != 0) || (s->mic_only && (k->live || !k->mic)) ||
		    (s->until_us != 0 && (k->serial[0] == '\0' || k->expires_us > s->until_us)))
			continue;
		memset(s->name[s->cnt], 0, sizeof(*s->name));
		memcpy(s->name[s->cnt++], sorted[i]->key, sorted[i]->key_len);
		if (s->cnt == CP_WAVE_MAX) {
			s->rc = i + 1 < tab.cnt ? -EFBIG : 0;
			break;
		}
	}
	free(sorted);
	cp_tab_fini(&tab);
}

static void choose_done(void *arg)
{
	struct start *s = arg;

	if (s->rc < 0 || s->cnt == 0) {
		if (s->rc == -EFBIG)
			cp_admin_fail(s->req, "invalid", "more than %d devices: choose fewer", CP_WAVE_MAX);
		else if (s->rc < 0)
			cp_admin_fail_rc(s->req, s->rc, NULL);
		else
			cp_admin_fail(s->req, "not-found", "no device fits: %s", s->rec.what);
		start_free(s);
		return;
	}
	begin(s, (const char (*)[CP_DEVICE_NAME_MAX])s->name, s->cnt);
}

static int number(struct cp_admin_req *req, const json_t *args, const char *name, int64_t min, int64_t max, uint32_t *ret)
{
	int64_t v = *ret;
	int rc = cp_admin_arg_int(req, args, name, false, min, max, &v);

	*ret = (uint32_t)v;
	return rc;
}

/* What is the same for any choice. False: answered. */
static bool read_start(struct cp_wavecmd *c, struct cp_admin_req *req, const json_t *args, struct cp_wave_rec *rec)
{
	const char *op = "install", *auth = NULL, *key = NULL, *backup = NULL;
	uint32_t stop_at = CP_WAVE_STOP_AT;
	uint8_t kind, curve;
	uint16_t bits;
	json_t *within = json_object_get(args, "within");

	*rec = (struct cp_wave_rec){.per_minute = CP_WAVE_PER_MINUTE, .at_once = CP_WAVE_AT_ONCE, .window = CP_WAVE_WINDOW,
				    .within_min = CP_WAVE_WITHIN_MIN};
	if (cp_admin_arg_str(req, args, "op", false, &op) < 0 || cp_admin_arg_str(req, args, "auth", false, &auth) < 0 ||
	    cp_admin_arg_str(req, args, "key", false, &key) < 0 || cp_admin_arg_str(req, args, "backup", false, &backup) < 0 ||
	    number(req, args, "per_minute", 1, CP_WAVE_PER_MINUTE_MAX, &rec->per_minute) < 0 ||
	    number(req, args, "at_once", 1, CP_WAVE_MAX, &rec->at_once) < 0 || number(req, args, "stop_at", 0, 100, &stop_at) < 0 ||
	    number(req, args, "window", 1, 1000, &rec->window) < 0 || number(req, args, "within", 1, 525600, &rec->within_min) < 0 ||
	    cp_admin_arg_bool(req, args, "reset", &rec->reset) < 0)
		return false;
	if (cp_capf_op_parse(op, &rec->op) < 0) {
		cp_admin_fail(req, "invalid", "operation %s is not install, delete or troubleshoot", cfg_q(op));
		return false;
	}
	if (auth != NULL && (cp_capf_auth_parse(auth, &rec->by) < 0 || rec->by == CP_CAPF_NONE)) {
		cp_admin_fail(req, "invalid", "authentication %s is not string, null, lsc or mic", cfg_q(auth));
		return false;
	}
	if (key != NULL && (strlen(key) >= sizeof(rec->key) || cp_capf_key_parse(key, &kind, &curve, &bits) < 0)) {
		cp_admin_fail(req, "invalid", "key %s is not rsa-512, rsa-1024, rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384 or ec-p521", cfg_q(key));
		return false;
	}
	if (backup != NULL && cp_capfcmd_backup_bits(backup, &rec->backup_bits) < 0) {
		cp_admin_fail(req, "invalid", "backup %s is no RSA key", cfg_q(backup));
		return false;
	}
	/* Users have to come by, type, and read their mail first. */
	if (within == NULL && rec->by == CP_CAPF_STRING)
		rec->within_min = (uint32_t)c->app->cfg->enrol.expires_days * 1440;
	rec->stop_at = (uint8_t)stop_at;
	snprintf(rec->key, sizeof(rec->key), "%s", key != NULL ? key : "");
	snprintf(rec->who, sizeof(rec->who), "%s", cp_admin_who(req));
	return true;
}

static void upload_drop(struct cp_wavecmd *c)
{
	cp_wavelist_destroy(c->list);
	c->list = NULL;
	if (c->idle != NULL)
		evtimer_del(c->idle);
}

static void on_idle(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	upload_drop(ctx);
}

static void touch(struct cp_wavecmd *c)
{
	static const struct timeval tv = {IDLE_S, 0};

	evtimer_add(c->idle, &tv);
}

static bool known_device(void *ctx, const char *device)
{
	struct cp_wavecmd *c = ctx;

	return cp_dir_device(c->app->store, device) != NULL;
}

static void start(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"op", "auth", "key", "backup", "per_minute", "at_once", "stop_at", "window", "within", "reset",
					    "expiring", "profile", "model", "mic_only", "csv", NULL};
	struct cp_wavecmd *c = ctx;
	bool csv = false, mic_only = false;
	const char *profile = NULL, *model = NULL;
	struct cp_wave_rec rec;
	int64_t days = -1;
	struct start *s;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || !read_start(c, req, args, &rec) || cp_admin_arg_bool(req, args, "csv", &csv) < 0 ||
	    cp_admin_arg_bool(req, args, "mic_only", &mic_only) < 0 || cp_admin_arg_str(req, args, "profile", false, &profile) < 0 ||
	    cp_admin_arg_str(req, args, "model", false, &model) < 0 || cp_admin_arg_int(req, args, "expiring", false, 0, 36500, &days) < 0)
		return;
	if (csv == (days >= 0 || profile != NULL || model != NULL || mic_only)) {
		cp_admin_fail(req, "invalid", csv ? "devices are chosen by a table or by what they are, not both" :
						    "which devices? --csv FILE, --expiring DAYS, --profile NAME, --model MODEL or --mic-only");
		return;
	}
	if (csv) {
		if (c->list != NULL) {
			cp_admin_fail(req, "busy", "another table is being sent (or was left less than %d s ago)", IDLE_S);
			return;
		}
		c->list = cp_wavelist_create(known_device, c);
		if (c->list == NULL) {
			cp_admin_fail_rc(req, -ENOMEM, NULL);
			return;
		}
		c->rec = rec;
		add_what(&c->rec, "a table");
		c->upload++;
		touch(c);
		cp_admin_reply(req, json_pack("{s:I}", "upload", (json_int_t)c->upload));
		return;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	s->c = c;
	s->req = req;
	s->rec = rec;
	s->profile = profile;
	s->model = model;
	s->mic_only = mic_only;
	if (days >= 0) {
		s->until_us = cp_wall_us() + days * 86400 * 1000000;
		add_what(&s->rec, "LSC expires within %lld days", (long long)days);
	}
	if (profile != NULL)
		add_what(&s->rec, "profile %s", cfg_q(profile));
	if (model != NULL)
		add_what(&s->rec, "model %s", cfg_q(model));
	if (mic_only) {
		add_what(&s->rec, "MIC and no LSC");
		s->capf = cp_certs_own(c->app->certs, "CAPF");
	}
	rc = cp_offload_run(c->app->offload, choose_work, choose_done, s);
	if (rc < 0) {
		cp_admin_fail_rc(req, rc, "too much is under way: try again");
		start_free(s);
	}
}

static bool upload_of(struct cp_wavecmd *c, struct cp_admin_req *req, const json_t *args)
{
	int64_t id = 0;

	if (cp_admin_arg_int(req, args, "upload", true, 1, INT64_MAX, &id) < 0)
		return false;
	if (c->list == NULL || (uint64_t)id != c->upload) {
		cp_admin_fail(req, "not-found", "no table %lld: it ended, or nothing came for %d s", (long long)id, IDLE_S);
		return false;
	}
	touch(c);
	return true;
}

static void refuse(struct cp_wavecmd *c, struct cp_admin_req *req, int rc)
{
	const char *why = cp_wavelist_why(c->list);

	if (why[0] != '\0')
		cp_admin_fail(req, "invalid", "%s: nothing was begun", why);
	else
		cp_admin_fail_rc(req, rc, NULL);
	upload_drop(c);
}

static void data(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"upload", "data", NULL};
	struct cp_wavecmd *c = ctx;
	const char *text = NULL;
	uint8_t *bytes;
	size_t len;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "data", true, &text) < 0 || !upload_of(c, req, args))
		return;
	if (pki_base64_decode(text, strlen(text), PIECE_MAX, &bytes, &len) < 0) {
		cp_admin_fail(req, "invalid", "data is not base64 of at most %d bytes", PIECE_MAX);
		return;
	}
	rc = cp_wavelist_feed(c->list, bytes, len);
	free(bytes);
	if (rc < 0)
		refuse(c, req, rc);
	else
		cp_admin_reply(req, NULL);
}

static json_t *errors_of(const struct cp_wavelist *l, unsigned long *ret_all)
{
	unsigned kept;
	const struct cp_wavelist_error *e = cp_wavelist_errors(l, &kept, ret_all);
	json_t *list = json_array();

	for (unsigned i = 0; i < kept; i++)
		json_array_append_new(list, json_pack("{s:I,s:s,s:s}", "line", (json_int_t)e[i].line, "device", e[i].device, "message", e[i].text));
	return list;
}

static void go(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"upload", "skip_wrong", NULL};
	const char (*names)[CP_DEVICE_NAME_MAX];
	struct cp_wavecmd *c = ctx;
	bool skip_wrong = false;
	unsigned long wrong;
	struct start *s;
	json_t *more;
	uint32_t cnt;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_bool(req, args, "skip_wrong", &skip_wrong) < 0 || !upload_of(c, req, args))
		return;
	rc = cp_wavelist_end(c->list);
	if (rc < 0) {
		refuse(c, req, rc);
		return;
	}
	names = cp_wavelist_names(c->list, &cnt);
	more = errors_of(c->list, &wrong);
	more = json_pack("{s:I,s:o}", "wrong", (json_int_t)wrong, "errors", more);
	s = calloc(1, sizeof(*s));
	if (cnt == 0 && wrong == 0) {
		cp_admin_fail(req, "invalid", "the table has no devices");
	} else if (cnt == 0 || (wrong > 0 && !skip_wrong)) { /* all or nothing */
		json_object_set_new(more, "wave", json_null());
		json_object_set_new(more, "devices", json_integer(0));
		cp_admin_reply(req, json_incref(more));
	} else if (s == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
	} else {
		s->c = c;
		s->req = req;
		s->rec = c->rec;
		s->more = json_incref(more);
		begin(s, names, cnt); /* copies them */
		s = NULL;
	}
	json_decref(more);
	free(s);
	upload_drop(c);
}

/* --- what operators change --- */

struct acting {
	struct cp_admin_req *req;
	uint32_t id;
};

static void acted(void *ctx, int rc, enum cp_wave_state state)
{
	struct acting *a = ctx;

	if (rc < 0)
		cp_admin_fail_rc(a->req, rc, "not written");
	else
		cp_admin_reply(a->req, json_pack("{s:i,s:s}", "wave", (int)a->id, "state", cp_wave_state_name(state)));
	free(a);
}

static void act(struct cp_wavecmd *c, struct cp_admin_req *req, const json_t *args, enum cp_waves_act what)
{
	static const char *const known[] = {"wave", NULL};
	struct acting *a;
	char why[200] = "";
	int64_t id = 0;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_int(req, args, "wave", true, 1, UINT32_MAX, &id) < 0)
		return;
	a = calloc(1, sizeof(*a));
	if (a != NULL) {
		a->req = req;
		a->id = (uint32_t)id;
	}
	rc = a == NULL ? -ENOMEM : cp_waves_change(c->waves, (uint32_t)id, what, cp_admin_who(req), acted, a, why, sizeof(why));
	if (rc < 0) {
		free(a);
		cp_admin_fail_rc(req, rc, "%s", why[0] != '\0' ? why : strerror(-rc));
	}
}

static void pause_wave(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	act(ctx, req, args, CP_WAVES_PAUSE);
}

static void resume_wave(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	act(ctx, req, args, CP_WAVES_RESUME);
}

static void cancel_wave(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	act(ctx, req, args, CP_WAVES_CANCEL);
}

/* --- what they see --- */

struct shown {
	uint32_t id; /* 0: all */
	unsigned cnt[CP_WAVE_ITEM_STATES];
	json_t *bad;
};

static void on_item(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct shown *s = cp_bulk_ctx(b);
	struct cp_wave_item item;

	(void)key;
	(void)key_len;
	if (cp_wave_item_parse(val, len, &item) < 0)
		return;
	s->cnt[item.state]++;
	if (s->bad != NULL && (item.state == CP_WAVE_FAILED || item.state == CP_WAVE_REFUSED || item.state == CP_WAVE_OVERTAKEN) &&
	    json_array_size(s->bad) < SHOWN)
		json_array_append_new(s->bad, json_pack("{s:s,s:s,s:s}", "device", item.device, "status", cp_wave_item_state_name(item.state), "why", item.why));
	cp_wave_item_free(&item);
}

static json_t *wave_row(struct cp_bulk *b, const struct cp_wave_rec *rec)
{
	struct shown *s = cp_bulk_ctx(b);
	char prefix[32], created[32], ended[32];
	json_t *o = json_object();

	memset(s->cnt, 0, sizeof(s->cnt));
	cp_bulk_each(b, CP_CF_CAPF, cp_wave_items_prefix(rec->id, prefix), on_item);
	json_object_set_new(o, "wave", json_integer(rec->id));
	json_object_set_new(o, "state", json_string(cp_wave_state_name(rec->state)));
	json_object_set_new(o, "operation", json_string(cp_capf_op_name(rec->op)));
	json_object_set_new(o, "devices", json_integer(rec->cnt));
	for (unsigned i = 0; i < CP_WAVE_ITEM_STATES; i++)
		json_object_set_new(o, cp_wave_item_state_name(i), json_integer(s->cnt[i]));
	json_object_set_new(o, "chosen", json_string(rec->what));
	json_object_set_new(o, "reason", json_string(rec->reason));
	json_object_set_new(o, "began", json_string(cp_capfcmd_iso(rec->created_us, created)));
	json_object_set_new(o, "ended", json_string(cp_capfcmd_iso(rec->ended_us, ended)));
	return o;
}

static void on_wave(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_wave_rec rec;

	(void)key;
	(void)key_len;
	if (cp_wave_rec_parse(val, len, &rec) < 0)
		return;
	if (rec.state != CP_WAVE_MAKING)
		cp_bulk_item(b, wave_row(b, &rec));
	cp_wave_rec_free(&rec);
}

static void make_list(struct cp_bulk *b)
{
	cp_bulk_array(b);
	cp_bulk_each(b, CP_CF_CAPF, "wave/", on_wave);
	cp_bulk_text(b, "]");
}

static void make_show(struct cp_bulk *b)
{
	struct shown *s = cp_bulk_ctx(b);
	struct cp_wave_rec rec;
	struct cp_buf buf;
	char key[32];
	json_t *o;

	cp_wave_key(s->id, key);
	if (cp_bulk_get(b, CP_CF_CAPF, key, strlen(key), &buf) < 0) {
		cp_bulk_fail(b, -ENOENT);
		return;
	}
	if (cp_wave_rec_parse(buf.data, buf.len, &rec) < 0) {
		free(buf.data);
		cp_bulk_fail(b, -EBADMSG);
		return;
	}
	free(buf.data);
	s->bad = json_array();
	o = wave_row(b, &rec);
	json_object_set_new(o, "auth", json_string(rec.by == CP_CAPF_NONE ? "as each device has it" : cp_capf_auth_name(rec.by)));
	json_object_set_new(o, "key", json_string(rec.key));
	json_object_set_new(o, "per_minute", json_integer(rec.per_minute));
	json_object_set_new(o, "at_once", json_integer(rec.at_once));
	json_object_set_new(o, "stop_at", json_integer(rec.stop_at));
	json_object_set_new(o, "window", json_integer(rec.window));
	json_object_set_new(o, "within_minutes", json_integer(rec.within_min));
	json_object_set_new(o, "reset", json_boolean(rec.reset));
	json_object_set_new(o, "who", json_string(rec.who));
	json_object_set_new(o, "not_done", s->bad);
	s->bad = NULL;
	cp_bulk_value(b, o);
	cp_wave_rec_free(&rec);
}

static void see(struct cp_wavecmd *c, struct cp_admin_req *req, uint32_t id, cp_bulk_fn make)
{
	struct shown *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	s->id = id;
	cp_bulk_run(req, &(struct cp_bulk_job){c->app->store, c->app->offload, make, free, s});
}

static void list(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const none[] = {NULL};

	if (cp_admin_arg_known(req, args, none) == 0)
		see(ctx, req, 0, make_list);
}

static void show(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"wave", NULL};
	struct cp_wavecmd *c = ctx;
	struct cp_wave_rec rec;
	int64_t id = 0;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_int(req, args, "wave", true, 1, UINT32_MAX, &id) < 0)
		return;
	if (cp_store_wave(c->app->store, (uint32_t)id, &rec) < 0) {
		cp_admin_fail(req, "not-found", "no wave %lld", (long long)id);
		return;
	}
	cp_wave_rec_free(&rec);
	see(c, req, (uint32_t)id, make_show);
}

int cp_wave_commands(struct cp_app *app, struct cp_waves *waves, struct cp_wavecmd **ret)
{
	static const struct {
		const char *cmd;
		cp_admin_fn fn;
	} cmds[] = {
		{"capf.wave.start", start}, {"capf.wave.data", data}, {"capf.wave.go", go}, {"capf.wave.list", list}, {"capf.wave.show", show},
		{"capf.wave.pause", pause_wave}, {"capf.wave.resume", resume_wave}, {"capf.wave.cancel", cancel_wave},
	};
	struct cp_wavecmd *c = calloc(1, sizeof(*c));
	int rc = 0;

	if (c == NULL)
		return -ENOMEM;
	*ret = c;
	c->app = app;
	c->waves = waves;
	c->idle = evtimer_new(app->base, on_idle, c);
	if (c->idle == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(cmds) / sizeof(cmds[0]) && rc == 0; i++)
		rc = cp_admin_register(app->admin, cmds[i].cmd, cmds[i].fn, c);
	return rc;
}

void cp_wave_commands_destroy(struct cp_wavecmd *c)
{
	if (c == NULL)
		return;
	upload_drop(c);
	if (c->idle != NULL)
		event_free(c->idle);
	free(c);
}
