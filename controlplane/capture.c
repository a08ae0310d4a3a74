/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/admin.h"
#include "alarm.h"
#include "call/legview.h"
#include "clock.h"
#include "config.h"
#include "dpclient.h"
#include "sigcap/sigcap.h"
#include "store/store.h"
#include "trace.h"

#define PLACES (DP_CAPTURE_MAX + CP_CAPTURE_PAST)
#define ALARM  "capture-plain"

enum state { C_FREE, C_STARTING, C_RUNNING, C_ENDED };

struct cap {
	enum state state;
	uint32_t id, leg_id, call;
	uint8_t side;
	uint32_t max_mb, max_s, snap_len;
	time_t since, ended;
	char party[64], who[24], file[60];
	char stopped_by[24];
	const char *end; /* why it ended */
	int rc;
	uint64_t pkts, bytes, lost;
};

struct cp_captures {
	struct cp_captures_env env;
	struct cp_trace *trace;
	struct cp_sigcaps *sig; /* may be NULL */
	struct cap cap[PLACES];
	uint32_t last_id;
};

/* A request on its way to disk and dataplane. */
struct job {
	struct cp_captures *c;
	struct cp_admin_req *req;
	uint32_t id;
};

struct cp_captures *cp_captures_create(const struct cp_captures_env *env)
{
	struct cp_captures *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->env = *env;
	c->trace = cp_trace_create(env->base, env->dp, env->cfg);
	if (c->trace == NULL) {
		free(c);
		return NULL;
	}
	return c;
}

void cp_captures_destroy(struct cp_captures *c)
{
	if (c == NULL)
		return;
	cp_trace_destroy(c->trace);
	free(c);
}

static const char *side_name(uint8_t side)
{
	return side == DP_CAPTURE_PLAIN ? "plain" : "cipher";
}

static struct cap *find(struct cp_captures *c, uint32_t id)
{
	for (unsigned i = 0; i < PLACES; i++)
		if (c->cap[i].state != C_FREE && c->cap[i].id == id)
			return &c->cap[i];
	return NULL;
}

unsigned cp_captures_count(const struct cp_captures *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PLACES; i++)
		n += c->cap[i].state == C_STARTING || c->cap[i].state == C_RUNNING;
	return n;
}

/* A place for one more: a free one, or that of what ended longest ago. NULL: all run. */
static struct cap *place(struct cp_captures *c)
{
	struct cap *old = NULL;

	if (cp_captures_count(c) >= DP_CAPTURE_MAX)
		return NULL;
	for (unsigned i = 0; i < PLACES; i++) {
		struct cap *p = &c->cap[i];

		if (p->state == C_FREE)
			return p;
		if (p->state == C_ENDED && (old == NULL || (int32_t)(p->id - old->id) < 0))
			old = p;
	}
	return old;
}

/* --- audit --- */

static int audit(struct cp_captures *c, const char *event, const struct cap *p, const char *who, cp_store_fn fn, void *ctx)
{
	json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s}", "event", event, "who", who, "id", (json_int_t)p->id,
			      "leg", (json_int_t)p->leg_id, "call", (json_int_t)p->call, "party", p->party, "side",
			      side_name(p->side), "file", p->file);

	if (o != NULL && p->state == C_ENDED) {
		json_object_set_new(o, "end", json_string(p->end));
		json_object_set_new(o, "packets", json_integer((json_int_t)p->pkts));
		json_object_set_new(o, "bytes", json_integer((json_int_t)p->bytes));
		json_object_set_new(o, "lost", json_integer((json_int_t)p->lost));
	}
	return cp_store_audit_add(c->env.store, o, fn, ctx);
}

/* --- ends --- */

static void subject_of(const struct cap *p, char *buf, size_t size)
{
	snprintf(buf, size, "leg %u capture %u", p->leg_id, p->id);
}

static void ended(struct cp_captures *c, struct cap *p, const char *why, int rc)
{
	char subject[40];
	bool ran = p->state == C_RUNNING;

	p->state = C_ENDED;
	p->ended = time(NULL);
	p->end = why;
	p->rc = rc;
	subject_of(p, subject, sizeof(subject));
	cp_alarm_clear(c->env.alarms, ALARM, subject);
	if (ran && audit(c, "capture.end", p, p->stopped_by[0] != '\0' ? p->stopped_by : p->who, NULL, NULL) < 0)
		cfg_log_limited(CFG_LOG_ERR, "capture-not-audited", "id=%u event=end", p->id);
}

void cp_captures_done(struct cp_captures *c, const struct dp_capture_done *ev)
{
	static const char *const ends[] = {[DP_CAPTURE_STOPPED] = "stopped", [DP_CAPTURE_FULL] = "full",
					   [DP_CAPTURE_TIME] = "time", [DP_CAPTURE_LEG_GONE] = "leg gone",
					   [DP_CAPTURE_FAILED] = "failed"};
	struct cap *p = find(c, ev->id);

	if (p == NULL || p->state == C_ENDED)
		return;
	p->pkts = ev->pkts;
	p->bytes = ev->bytes;
	p->lost = ev->lost;
	p->state = C_RUNNING; /* its answer may still be behind */
	ended(c, p, ev->end >= DP_CAPTURE_STOPPED && ev->end <= DP_CAPTURE_FAILED ? ends[ev->end] : "failed", ev->rc);
	cfg_log(ev->end == DP_CAPTURE_FAILED ? CFG_LOG_WARN : CFG_LOG_NOTICE, "capture-end",
		"id=%u leg=%u side=%s end=%s packets=%llu bytes=%llu lost=%llu error=%s", p->id, p->leg_id, side_name(p->side),
		cfg_q(p->end), (unsigned long long)p->pkts, (unsigned long long)p->bytes, (unsigned long long)p->lost,
		cfg_q(ev->rc < 0 ? strerror(-ev->rc) : ""));
}

static void on_cleared(void *ctx, int rc)
{
	struct job *j = ctx;
	struct cap *p = find(j->c, j->id);

	/* 0: its end will be told. */
	if (rc == -ENOENT && p != NULL && p->state == C_RUNNING)
		ended(j->c, p, "not known: the channel was lost", 0);
	free(j);
}

static struct job *job(struct cp_captures *c, struct cp_admin_req *req, uint32_t id)
{
	struct job *j = calloc(1, sizeof(*j));

	if (j != NULL)
		*j = (struct job){.c = c, .req = req, .id = id};
	return j;
}

void cp_captures_up(struct cp_captures *c, bool fresh)
{
	for (unsigned i = 0; i < PLACES; i++) {
		struct cap *p = &c->cap[i];
		struct dp_capture m = {.id = p->id};
		struct job *j;

		if (p->state != C_RUNNING)
			continue;
		if (fresh) {
			ended(c, p, "the dataplane restarted", 0);
			continue;
		}
		j = job(c, NULL, p->id);
		if (j == NULL || cp_dp_send(c->env.dp, DP_MSG_CAPTURE, &m, on_cleared, j) < 0)
			free(j); /* tried again when the channel returns; its time is bounded */
	}
}

void cp_captures_down(struct cp_captures *c)
{
	cp_trace_down(c->trace);
}

void cp_captures_trace(struct cp_captures *c, const struct dp_trace_pkt *ev)
{
	cp_trace_input(c->trace, ev);
}

/* --- capture.start --- */

static json_t *time_text(time_t t)
{
	char buf[CP_UTC_LEN];

	return t != 0 ? json_string(cp_utc(t, buf)) : json_null();
}

static json_t *to_json(const struct cp_captures *c, const struct cap *p)
{
	static const char *const states[] = {"", "starting", "running", "ended"};
	bool end = p->state == C_ENDED;
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s", c->env.cfg->capture.directory, p->file);
	return json_pack("{s:I, s:s, s:I, s:I, s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:s, s:o, s:o, s:o, s:o, s:o}", "id",
			 (json_int_t)p->id, "state", states[p->state], "leg", (json_int_t)p->leg_id, "call",
			 (json_int_t)p->call, "party", p->party, "side", side_name(p->side), "who", p->who, "since",
			 time_text(p->since), "ended", time_text(p->ended), "max_mb", (json_int_t)p->max_mb, "max_s",
			 (json_int_t)p->max_s, "file", path, "end", end ? json_string(p->end) : json_null(), "error",
			 p->rc < 0 ? json_string(strerror(-p->rc)) : json_null(), "packets",
			 end ? json_integer((json_int_t)p->pkts) : json_null(), "bytes",
			 end ? json_integer((json_int_t)p->bytes) : json_null(), "lost",
			 end ? json_integer((json_int_t)p->lost) : json_null());
}

static const char *start_error(int rc)
{
	switch (rc) {
	case -EACCES:
		return "the dataplane's configuration does not allow it, or capture.directory is not its own alone";
	case -ENOENT:
		return "no such leg in the dataplane, or no such directory";
	case -ERANGE:
		return "more than the dataplane's capture.max_mb or capture.max_s";
	case -ENOSPC:
		return "no space for the file, or too many captures";
	case -ENOTCONN:
		return "the dataplane is not there";
	default:
		return strerror(-rc);
	}
}

static void raise_alarm(struct cp_captures *c, const struct cap *p)
{
	char subject[40];

	if (p->side != DP_CAPTURE_PLAIN)
		return;
	subject_of(p, subject, sizeof(subject));
	cp_alarm_raise(c->env.alarms, ALARM, CP_ALARM_MAJOR, subject, "%s captures decrypted media of %s, call %u, into %s",
		       p->who, p->party, p->call, p->file);
}

/* The audit says that it began: it must say that it did not. */
static void not_started(struct cp_captures *c, struct cap *p, int rc)
{
	p->state = C_RUNNING;
	ended(c, p, "not started", rc);
}

static void on_started(void *ctx, int rc)
{
	struct job *j = ctx;
	struct cp_captures *c = j->c;
	struct cap *p = find(c, j->id);

	if (rc == 0 && p->state == C_STARTING) {
		p->state = C_RUNNING;
		p->since = time(NULL);
		cfg_log(CFG_LOG_NOTICE, "capture-start", "id=%u leg=%u call=%u side=%s by=%s file=%s", p->id, p->leg_id, p->call,
			side_name(p->side), cfg_q(p->who), cfg_q(p->file));
		raise_alarm(c, p);
	} else if (rc == -ENOTCONN && p->state == C_STARTING) {
		p->state = C_RUNNING; /* perhaps it runs: cp_captures_up() ends it */
		raise_alarm(c, p);
	} else if (rc < 0 && p->state == C_STARTING) {
		not_started(c, p, rc);
	}
	if (rc == 0)
		cp_admin_reply(j->req, to_json(c, p));
	else
		cp_admin_fail_rc(j->req, rc, "%s", start_error(rc));
	free(j);
}

static void on_audited(void *ctx, int rc)
{
	struct job *j = ctx;
	struct cp_captures *c = j->c;
	struct cap *p = find(c, j->id);
	struct dp_capture m = {.id = p->id, .leg_id = p->leg_id, .side = p->side, .snap_len = p->snap_len,
			       .max_bytes = (uint64_t)p->max_mb << 20, .max_s = p->max_s};

	if (rc < 0) { /* no audit, no capture */
		p->state = C_FREE;
		cp_admin_fail_rc(j->req, rc, "the audit cannot be written: nothing is captured");
		free(j);
		return;
	}
	snprintf(m.name, sizeof(m.name), "%s", p->file);
	rc = cp_dp_send(c->env.dp, DP_MSG_CAPTURE, &m, on_started, j);
	if (rc == 0)
		return;
	not_started(c, p, rc);
	cp_admin_fail_rc(j->req, rc, "%s", start_error(rc));
	free(j);
}

static void refuse(struct cp_captures *c, struct cp_admin_req *req, uint32_t leg_id, uint8_t side, const char *why)
{
	struct cap no = {.leg_id = leg_id, .side = side};

	if (audit(c, "capture.refused", &no, cp_admin_who(req), NULL, NULL) < 0)
		cfg_log_limited(CFG_LOG_ERR, "capture-not-audited", "leg=%u event=refused", leg_id);
	cfg_log(CFG_LOG_WARN, "capture-refused", "leg=%u side=%s by=%s reason=%s", leg_id, side_name(side),
		cfg_q(cp_admin_who(req)), cfg_q(why));
	cp_admin_fail(req, "denied", "%s", why);
}

static void capture_start(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"leg", "side", "max_mb", "seconds", "snap_len", NULL};
	struct cp_captures *c = ctx;
	const struct cfg_capture *cc = &c->env.cfg->capture;
	const char *side_text = NULL, *party = NULL;
	int64_t leg = 0, mb = cc->max_mb, s = cc->max_s, snap = 0;
	struct job *j;
	struct cap *p;
	uint32_t call;
	uint8_t side;
	char when[CP_UTC_LEN];
	time_t now;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_int(req, args, "leg", true, 0, DP_LEG_MAX - 1, &leg) < 0 ||
	    cp_admin_arg_str(req, args, "side", true, &side_text) < 0 ||
	    cp_admin_arg_int(req, args, "max_mb", true, 1, cc->max_mb, &mb) < 0 ||
	    cp_admin_arg_int(req, args, "seconds", false, 1, cc->max_s, &s) < 0 ||
	    cp_admin_arg_int(req, args, "snap_len", false, 14, 65535, &snap) < 0)
		return;
	side = strcmp(side_text, "cipher") == 0 ? DP_CAPTURE_CIPHER : strcmp(side_text, "plain") == 0 ? DP_CAPTURE_PLAIN : 0;
	if (side == 0) {
		cp_admin_fail(req, "invalid", "side must be cipher or plain");
		return;
	}
	if (!cc->enabled || (side == DP_CAPTURE_PLAIN && cc->plain != CFG_CAPTURE_ALLOW)) {
		refuse(c, req, (uint32_t)leg, side,
		       !cc->enabled ? "captures are switched off: capture.enabled" :
				      "decrypted media may not be captured: capture.plain");
		return;
	}
	if (!cp_calls_leg(c->env.calls, (uint32_t)leg, &call, &party)) {
		cp_admin_fail(req, "not-found", "no leg %lld", (long long)leg);
		return;
	}
	p = place(c);
	j = p != NULL ? job(c, req, c->last_id + 1) : NULL;
	if (j == NULL) {
		cp_admin_fail_rc(req, p == NULL ? -ENOSPC : -ENOMEM, p == NULL ? "%d captures run already" : "no memory",
				 DP_CAPTURE_MAX);
		return;
	}
	now = time(NULL);
	*p = (struct cap){.state = C_STARTING, .id = ++c->last_id, .leg_id = (uint32_t)leg, .call = call, .side = side,
			  .max_mb = (uint32_t)mb, .max_s = (uint32_t)s, .snap_len = (uint32_t)snap, .since = now};
	snprintf(p->party, sizeof(p->party), "%s", party);
	snprintf(p->who, sizeof(p->who), "%s", cp_admin_who(req));
	snprintf(p->file, sizeof(p->file), "leg%u-%s-%s-%u.pcapng", p->leg_id, side_name(side), cp_utc_name(now, when), p->id);
	rc = audit(c, "capture.start", p, p->who, on_audited, j);
	if (rc < 0)
		on_audited(j, rc);
}

/* --- capture.stop, show.captures --- */

static void on_stopped(void *ctx, int rc)
{
	struct job *j = ctx;

	if (rc < 0 && rc != -ENOENT) /* -ENOENT: it has just ended by itself */
		cp_admin_fail_rc(j->req, rc, "%s", start_error(rc));
	else
		cp_admin_reply(j->req, json_pack("{s:I}", "id", (json_int_t)j->id));
	free(j);
}

static void capture_stop(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"id", NULL};
	struct cp_captures *c = ctx;
	struct dp_capture m = {0};
	int64_t id = 0;
	struct cap *p;
	struct job *j;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_int(req, args, "id", true, 1, UINT32_MAX, &id) < 0)
		return;
	p = find(c, (uint32_t)id);
	if (p == NULL && cp_sigcaps_end(c->sig, req, (uint32_t)id))
		return;
	if (p == NULL || p->state != C_RUNNING) {
		cp_admin_fail(req, "not-found", "no capture %lld runs", (long long)id);
		return;
	}
	j = job(c, req, p->id);
	m.id = p->id;
	rc = j != NULL ? 0 : -ENOMEM;
	if (rc == 0) {
		snprintf(p->stopped_by, sizeof(p->stopped_by), "%s", cp_admin_who(req));
		rc = cp_dp_send(c->env.dp, DP_MSG_CAPTURE, &m, on_stopped, j);
		if (rc < 0)
			on_stopped(j, rc);
		return;
	}
	cp_admin_fail_rc(req, rc, NULL);
}

static int by_id(const void *a, const void *b)
{
	const struct cap *const *x = a, *const *y = b;

	return (*x)->id < (*y)->id ? -1 : (*x)->id > (*y)->id;
}

static void show_captures(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {NULL};
	struct cp_captures *c = ctx;
	const struct cap *list[PLACES];
	json_t *a;
	size_t n = 0;

	if (cp_admin_arg_known(req, args, known) < 0)
		return;
	for (unsigned i = 0; i < PLACES; i++)
		if (c->cap[i].state != C_FREE)
			list[n++] = &c->cap[i];
	qsort(list, n, sizeof(list[0]), by_id);
	a = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, to_json(c, list[i]));
	cp_sigcaps_show(c->sig, a);
	cp_admin_reply(req, a);
}

uint32_t cp_captures_next_id(void *ctx)
{
	struct cp_captures *c = ctx;

	return ++c->last_id;
}

void cp_captures_signalling(struct cp_captures *c, struct cp_sigcaps *sig)
{
	c->sig = sig;
}

int cp_captures_commands(struct cp_captures *c, struct cp_admin *admin)
{
	int rc = cp_admin_register(admin, "capture.start", capture_start, c);

	if (rc == 0)
		rc = cp_admin_register(admin, "capture.stop", capture_stop, c);
	if (rc == 0)
		rc = cp_admin_register(admin, "show.captures", show_captures, c);
	return rc == 0 ? cp_trace_commands(c->trace, admin) : rc;
}
