/* SPDX-License-Identifier: BSD-3-Clause */
#include "sigcap/sigcap.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#include "admin/admin.h"
#include "alarm.h"
#include "clock.h"
#include "config.h"
#include "log.h"
#include "offload.h"
#include "sccp/sccp.h"
#include "sccp/tap.h"
#include "sigcap/record.h"
#include "sigcap/seal.h"
#include "store/store.h"
#include "trust/certs_int.h"
#include "x509.h"

#define PLACES (CP_SIGCAP_MAX + CP_SIGCAP_PAST)
#define ALARM  "capture-signalling"

enum state { S_FREE, S_STARTING, S_RUNNING, S_ENDING, S_ENDED };

struct cap {
	enum state state;
	uint32_t id, max_mb, max_s, parts;
	bool keys, writing;
	char device[CP_NAME_MAX], who[24], file[60], sha256[65], subject[128];
	char stopped_by[24];
	X509 *cert;
	time_t since, ended;
	uint64_t until_ms, part_ms; /* part_ms: when the part that is filled began */
	struct cp_sigrec rec;
	struct part *wait; /* 'writing', but no thread was free: in the next tick */
	uint64_t msgs, lost, taken, bytes; /* taken: bytes of messages and headers; bytes: in files */
	uint64_t claimed; /* of 'taken': of who was not proven to be the device */
	const char *end;
	int rc;
	struct cp_admin_req *req; /* capture.stop, answered when it has ended */
};

struct cp_sigcaps {
	struct cp_sigcaps_env env;
	struct event *tick;
	bool stopped;
	struct cap cap[PLACES];
};

/* A part on its way into its file. */
struct part {
	struct cp_sigcaps *c;
	uint32_t id;
	char *dir;
	char name[80];
	X509 *cert;
	uint8_t *data;
	size_t len;
	uint64_t bytes;
	int rc;
};

struct job {
	struct cp_sigcaps *c;
	struct cp_admin_req *req;
	uint32_t id;
};

static void ending(struct cp_sigcaps *c, struct cap *p, const char *why, int rc);

static uint64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static struct cap *find(struct cp_sigcaps *c, uint32_t id)
{
	for (unsigned i = 0; i < PLACES; i++)
		if (c->cap[i].state != S_FREE && c->cap[i].id == id)
			return &c->cap[i];
	return NULL;
}

static bool live(const struct cap *p)
{
	return p->state != S_FREE && p->state != S_ENDED;
}

static unsigned count(const struct cp_sigcaps *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PLACES; i++)
		n += live(&c->cap[i]);
	return n;
}

/* A place for one more: a free one, or that of what ended longest ago. NULL: all run. */
static struct cap *place(struct cp_sigcaps *c)
{
	struct cap *old = NULL;

	if (count(c) >= CP_SIGCAP_MAX)
		return NULL;
	for (unsigned i = 0; i < PLACES; i++) {
		struct cap *p = &c->cap[i];

		if (p->state == S_FREE)
			return p;
		if (p->state == S_ENDED && (old == NULL || (int32_t)(p->id - old->id) < 0))
			old = p;
	}
	return old;
}

/* --- audit --- */

static int audit(struct cp_sigcaps *c, const char *event, const struct cap *p, const char *who, cp_store_fn fn, void *ctx)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:s, s:b, s:s, s:s, s:s}", "event", event, "who", who, "what", "signalling", "id",
			      (json_int_t)p->id, "device", p->device, "keys", p->keys, "file", p->file, "certificate", p->sha256, "subject",
			      p->subject);

	if (o != NULL && p->state == S_ENDED) {
		json_object_set_new(o, "end", json_string(p->end));
		json_object_set_new(o, "parts", json_integer((json_int_t)p->parts));
		json_object_set_new(o, "messages", json_integer((json_int_t)p->msgs));
		json_object_set_new(o, "lost", json_integer((json_int_t)p->lost));
	}
	return cp_store_audit_add(c->env.store, o, fn, ctx);
}

/* --- parts --- */

static void part_free(struct part *t)
{
	OPENSSL_cleanse(t->data, t->len);
	free(t->data);
	X509_free(t->cert);
	free(t->dir);
	free(t);
}

/* On a thread of its own. */
static void part_write(void *job)
{
	struct part *t = job;

	t->rc = cp_sigseal_file(t->dir, t->name, t->cert, t->data, t->len, &t->bytes);
}

static json_t *to_json(const struct cp_sigcaps *c, const struct cap *p);

static void ended(struct cp_sigcaps *c, struct cap *p)
{
	p->state = S_ENDED;
	p->ended = time(NULL);
	cp_sigrec_free(&p->rec);
	X509_free(p->cert);
	p->cert = NULL;
	cp_alarm_clear(c->env.alarms, ALARM, p->device);
	for (unsigned i = 0; i < PLACES; i++) /* another one of it may run */
		if (live(&c->cap[i]) && strcmp(c->cap[i].device, p->device) == 0)
			cp_alarm_raise(c->env.alarms, ALARM, CP_ALARM_MAJOR, p->device, "%s captures its signalling into %s", c->cap[i].who,
				       c->cap[i].file);
	if (count(c) == 0 && !c->stopped) {
		cp_sccp_set_tap(c->env.sccp, NULL, NULL);
		event_del(c->tick);
	}
	cfg_log(p->rc < 0 ? CFG_LOG_WARN : CFG_LOG_NOTICE, "capture-end", "id=%u device=%s end=%s parts=%u messages=%llu lost=%llu error=%s",
		p->id, cfg_q(p->device), cfg_q(p->end), p->parts, (unsigned long long)p->msgs, (unsigned long long)p->lost,
		cfg_q(p->rc < 0 ? strerror(-p->rc) : ""));
	if (audit(c, "capture.end", p, p->stopped_by[0] != '\0' ? p->stopped_by : p->who, NULL, NULL) < 0)
		cfg_log_limited(CFG_LOG_ERR, "capture-not-audited", "id=%u event=end", p->id);
	if (p->req != NULL)
		cp_admin_reply(p->req, to_json(c, p));
	p->req = NULL;
}

static void part_done(void *job)
{
	struct part *t = job;
	struct cp_sigcaps *c = t->c;
	struct cap *p = find(c, t->id); /* it lives: only an ended one gives up its place */
	int rc = t->rc;

	p->writing = false;
	p->bytes += t->bytes;
	p->parts += rc == 0;
	part_free(t);
	if (rc < 0 && p->rc == 0) {
		p->end = "failed";
		p->rc = rc;
	}
	if (p->state == S_ENDING || rc < 0)
		ending(c, p, p->end, p->rc);
}

/* A part that waits goes to a thread. None is free: later, as the loop has no time for files. */
static void send_off(struct cp_sigcaps *c, struct cap *p)
{
	struct part *t = p->wait;

	if (cp_offload_run(c->env.offload, part_write, part_done, t) == 0)
		p->wait = NULL;
}

/* The part that is filled goes into its file, and another one begins. 0; -EAGAIN: later; else what was in it is lost. */
static int flush(struct cp_sigcaps *c, struct cap *p, bool here)
{
	struct part *t;

	if (p->writing)
		return -EAGAIN;
	t = calloc(1, sizeof(*t));
	if (t == NULL || cp_sigrec_end(&p->rec, wall_ns(), p->lost) < 0) {
		free(t);
		return -ENOMEM;
	}
	t->c = c;
	t->id = p->id;
	t->dir = strdup(c->env.cfg->capture.directory);
	t->cert = p->cert;
	X509_up_ref(p->cert);
	snprintf(t->name, sizeof(t->name), "%s-%u.p7m", p->file, p->parts + 1);
	t->data = cp_sigrec_take(&p->rec, &t->len);
	p->writing = true;
	if (t->dir == NULL) {
		t->rc = -ENOMEM;
		part_done(t);
		return 0;
	}
	if (here) {
		part_write(t);
		part_done(t);
	} else {
		p->wait = t;
		send_off(c, p);
	}
	return 0;
}

static void ending(struct cp_sigcaps *c, struct cap *p, const char *why, int rc)
{
	p->state = S_ENDING;
	p->end = why;
	p->rc = rc;
	if (p->writing)
		return;
	if (rc == 0 && p->rec.msgs > 0 && flush(c, p, c->stopped) == 0)
		return;
	if (p->rec.msgs > 0) {
		p->lost += p->rec.msgs;
		p->msgs -= p->rec.msgs;
	}
	ended(c, p);
}

/* --- messages --- */

/* The part's first block, when there is something to put behind it. */
static int begin(const struct cp_sigcaps *c, struct cap *p, bool tls)
{
	char comment[256];

	if (p->rec.data != NULL)
		return 0;
	p->part_ms = cp_mono_ms();
	snprintf(comment, sizeof(comment), "SCCP of %s, part %u; came by %s; TCP headers were made, our port is not what it was (%u, %u); media keys: %s",
		 p->device, p->parts + 1, tls ? "TLS" : "TCP", c->env.cfg->sccp.port, c->env.cfg->sccp.tls_port, p->keys ? "yes" : "zeros");
	return cp_sigrec_begin(&p->rec, comment);
}

static void take(struct cp_sigcaps *c, struct cap *p, const struct cp_sccp_tapped *m)
{
	size_t need = cp_sigrec_need(m->len) + (p->rec.data == NULL ? CP_SIGREC_HEAD : 0);

	if (!m->proven && p->claimed + need > CP_SIGCAP_CLAIM) { /* nobody else fills it, nor ends it */
		p->lost++;
		return;
	}
	if (p->taken + need > (uint64_t)p->max_mb << 20) {
		ending(c, p, "full", 0);
		return;
	}
	if (p->rec.len >= 2 * CP_SIGCAP_PART || begin(c, p, m->tls) < 0 || /* the disk is slower than the phone talks */
	    cp_sigrec_add(&p->rec, wall_ns(), m->conn, m->phone, m->local, m->sent, p->keys && m->keyed != NULL ? m->keyed : m->msg, m->len) < 0) {
		p->lost++;
		return;
	}
	p->msgs++;
	p->taken += need;
	p->claimed += m->proven ? 0 : need;
	if (p->rec.len >= CP_SIGCAP_PART)
		(void)flush(c, p, false);
}

static void on_message(void *ctx, const struct cp_sccp_tapped *m)
{
	struct cp_sigcaps *c = ctx;

	for (unsigned i = 0; i < PLACES; i++)
		if (c->cap[i].state == S_RUNNING && strcmp(c->cap[i].device, m->device) == 0)
			take(c, &c->cap[i], m);
}

static void on_gone(void *ctx, const void *conn)
{
	struct cp_sigcaps *c = ctx;

	for (unsigned i = 0; i < PLACES; i++)
		if (c->cap[i].state == S_RUNNING)
			(void)cp_sigrec_gone(&c->cap[i].rec, wall_ns(), conn);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct cp_sigcaps *c = arg;
	uint64_t now = cp_mono_ms();

	(void)fd, (void)what;
	for (unsigned i = 0; i < PLACES; i++) {
		struct cap *p = &c->cap[i];

		if (p->wait != NULL)
			send_off(c, p);
		if (p->state != S_RUNNING)
			continue;
		if (now >= p->until_ms)
			ending(c, p, "time", 0);
		else if (p->rec.msgs > 0 && (p->rec.len >= CP_SIGCAP_PART || now - p->part_ms >= CP_SIGCAP_PART_S * 1000))
			(void)flush(c, p, false);
	}
}

/* --- capture.signalling --- */

static json_t *time_text(time_t t)
{
	char buf[CP_UTC_LEN];

	return t != 0 ? json_string(cp_utc(t, buf)) : json_null();
}

static json_t *to_json(const struct cp_sigcaps *c, const struct cap *p)
{
	static const char *const states[] = {"", "starting", "running", "ending", "ended"};
	bool end = p->state == S_ENDED;
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s-1.p7m", c->env.cfg->capture.directory, p->file);
	return json_pack("{s:I, s:s, s:n, s:n, s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:s, s:I, s:s, s:o, s:o, s:I, s:I, s:I}", "id",
			 (json_int_t)p->id, "state", states[p->state], "leg", "call", "party", p->device, "side",
			 p->keys ? "signalling+keys" : "signalling", "who", p->who, "since", time_text(p->since), "ended",
			 time_text(p->ended), "max_mb", (json_int_t)p->max_mb, "max_s", (json_int_t)p->max_s, "file", path, "parts",
			 (json_int_t)p->parts, "certificate", p->sha256, "end", end ? json_string(p->end) : json_null(), "error",
			 p->rc < 0 ? json_string(strerror(-p->rc)) : json_null(), "packets", (json_int_t)p->msgs, "bytes",
			 (json_int_t)p->bytes, "lost", (json_int_t)p->lost);
}

static void refuse(struct cp_sigcaps *c, struct cp_admin_req *req, const char *device, bool keys, const char *why)
{
	struct cap no = {.keys = keys};

	snprintf(no.device, sizeof(no.device), "%s", device);
	if (audit(c, "capture.refused", &no, cp_admin_who(req), NULL, NULL) < 0)
		cfg_log_limited(CFG_LOG_ERR, "capture-not-audited", "device=%s event=refused", cfg_q(device));
	cfg_log(CFG_LOG_WARN, "capture-refused", "device=%s side=signalling keys=%d by=%s reason=%s", cfg_q(device), keys,
		cfg_q(cp_admin_who(req)), cfg_q(why));
	cp_admin_fail(req, "denied", "%s", why);
}

static void start_tap(struct cp_sigcaps *c)
{
	static const struct cp_sccp_tap_ops ops = {on_message, on_gone};
	const struct timeval second = {1, 0};

	cp_sccp_set_tap(c->env.sccp, &ops, c);
	event_add(c->tick, &second);
}

static void on_audited(void *ctx, int rc)
{
	struct job *j = ctx;
	struct cp_sigcaps *c = j->c;
	struct cap *p = find(c, j->id);

	if (rc == 0 && c->stopped)
		rc = -ECANCELED;
	if (rc < 0) { /* no audit, no capture */
		X509_free(p->cert);
		memset(p, 0, sizeof(*p));
		cp_admin_fail_rc(j->req, rc, "the audit cannot be written: nothing is captured");
		free(j);
		return;
	}
	p->state = S_RUNNING;
	p->since = time(NULL);
	p->until_ms = cp_mono_ms() + p->max_s * 1000ull;
	start_tap(c);
	cp_alarm_raise(c->env.alarms, ALARM, CP_ALARM_MAJOR, p->device, "%s captures its signalling%s into %s", p->who,
		       p->keys ? " with media keys" : "", p->file);
	cfg_log(CFG_LOG_NOTICE, "capture-start", "id=%u device=%s side=signalling keys=%d by=%s file=%s certificate=%s", p->id,
		cfg_q(p->device), p->keys, cfg_q(p->who), cfg_q(p->file), p->sha256);
	cp_admin_reply(j->req, to_json(c, p));
	free(j);
}

/* The one certificate of the request. 0, or answered. */
static int recipient(struct cp_admin_req *req, const json_t *args, X509 **ret)
{
	STACK_OF(X509) *certs = NULL;
	char why[200] = "";
	int rc = certs_arg_file(args, &certs, why, sizeof(why));

	if (rc == 0 && sk_X509_num(certs) != 1) {
		snprintf(why, sizeof(why), "%d certificates: give the one that it is encrypted to", sk_X509_num(certs));
		rc = -EINVAL;
	}
	if (rc == 0)
		rc = cp_sigseal_check(sk_X509_value(certs, 0), (int64_t)time(NULL), why, sizeof(why));
	if (rc == 0) {
		*ret = sk_X509_value(certs, 0);
		X509_up_ref(*ret);
	} else {
		cp_admin_fail(req, "invalid", "certificate: %s", why);
	}
	sk_X509_pop_free(certs, X509_free);
	return rc;
}

static void name_it(struct cap *p, const char *device)
{
	uint8_t sha[32] = {0};
	char when[CP_UTC_LEN];

	snprintf(p->device, sizeof(p->device), "%s", device);
	snprintf(p->file, sizeof(p->file), "sccp-%.16s-%s-%u", device, cp_utc_name(time(NULL), when), p->id);
	if (pki_fingerprint(p->cert, sha) == 0)
		for (unsigned i = 0; i < 32; i++)
			snprintf(p->sha256 + 2 * i, 3, "%02x", sha[i]);
	X509_NAME_oneline(X509_get_subject_name(p->cert), p->subject, sizeof(p->subject));
}

/* Answered if it may not be. */
static bool permitted(struct cp_sigcaps *c, struct cp_admin_req *req, const char *device, bool keys)
{
	const struct cfg_capture *cc = &c->env.cfg->capture;

	if (!cc->enabled)
		refuse(c, req, device, keys, "captures are switched off: capture.enabled");
	else if (cc->signalling == CFG_CAPTURE_DENY)
		refuse(c, req, device, keys, "signalling may not be captured: capture.signalling");
	else if (keys && cc->signalling != CFG_CAPTURE_KEYS)
		refuse(c, req, device, keys, "media keys may not be captured: capture.signalling");
	else
		return true;
	return false;
}

static void capture_signalling(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"device", "data", "pem", "file", "max_mb", "seconds", "keys", NULL};
	struct cp_sigcaps *c = ctx;
	const struct cfg_capture *cc = &c->env.cfg->capture;
	const char *device = NULL;
	int64_t mb = cc->max_mb, s = cc->max_s;
	bool keys = false;
	X509 *cert = NULL;
	struct job *j;
	struct cap *p;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "device", true, &device) < 0 ||
	    cp_admin_arg_int(req, args, "max_mb", true, 1, cc->max_mb, &mb) < 0 ||
	    cp_admin_arg_int(req, args, "seconds", false, 1, cc->max_s, &s) < 0 || cp_admin_arg_bool(req, args, "keys", &keys) < 0)
		return;
	if (cp_dir_device(c->env.store, device) == NULL) {
		cp_admin_fail(req, "not-found", "no device %s", cfg_q(device));
		return;
	}
	if (!permitted(c, req, device, keys) || recipient(req, args, &cert) < 0)
		return;
	p = place(c);
	j = p != NULL ? calloc(1, sizeof(*j)) : NULL;
	if (j == NULL) {
		X509_free(cert);
		cp_admin_fail_rc(req, p == NULL ? -ENOSPC : -ENOMEM, p == NULL ? "%d captures of signalling run already" : "no memory", CP_SIGCAP_MAX);
		return;
	}
	*p = (struct cap){.state = S_STARTING, .id = c->env.next_id(c->env.ctx), .max_mb = (uint32_t)mb, .max_s = (uint32_t)s, .keys = keys,
			  .cert = cert, .since = time(NULL)};
	snprintf(p->who, sizeof(p->who), "%s", cp_admin_who(req));
	name_it(p, device);
	*j = (struct job){.c = c, .req = req, .id = p->id};
	rc = audit(c, "capture.start", p, p->who, on_audited, j);
	if (rc < 0)
		on_audited(j, rc);
}

/* --- */

bool cp_sigcaps_end(struct cp_sigcaps *c, struct cp_admin_req *req, uint32_t id)
{
	struct cap *p = c != NULL ? find(c, id) : NULL;

	if (p == NULL || p->state != S_RUNNING)
		return false;
	snprintf(p->stopped_by, sizeof(p->stopped_by), "%s", cp_admin_who(req));
	p->req = req;
	ending(c, p, "stopped", 0);
	return true;
}

void cp_sigcaps_show(const struct cp_sigcaps *c, json_t *list)
{
	for (unsigned i = 0; c != NULL && i < PLACES; i++)
		if (c->cap[i].state != S_FREE)
			json_array_append_new(list, to_json(c, &c->cap[i]));
}

int cp_sigcaps_commands(struct cp_sigcaps *c, struct cp_admin *admin)
{
	return cp_admin_register(admin, "capture.signalling", capture_signalling, c);
}

struct cp_sigcaps *cp_sigcaps_create(const struct cp_sigcaps_env *env)
{
	struct cp_sigcaps *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->env = *env;
	c->tick = event_new(env->base, -1, EV_PERSIST, on_tick, c);
	if (c->tick == NULL) {
		free(c);
		return NULL;
	}
	return c;
}

void cp_sigcaps_stop(struct cp_sigcaps *c)
{
	if (c == NULL || c->stopped)
		return;
	c->stopped = true;
	cp_sccp_set_tap(c->env.sccp, NULL, NULL);
	event_free(c->tick);
	for (unsigned i = 0; i < PLACES; i++) {
		struct cap *p = &c->cap[i];
		struct part *t = p->wait;

		if (p->state == S_RUNNING)
			ending(c, p, "the controlplane stopped", 0);
		if (t == NULL)
			continue;
		p->wait = NULL; /* no tick sends it any more: here and now */
		part_write(t);
		part_done(t);
	}
}

void cp_sigcaps_destroy(struct cp_sigcaps *c)
{
	for (unsigned i = 0; c != NULL && i < PLACES; i++) {
		cp_sigrec_free(&c->cap[i].rec);
		X509_free(c->cap[i].cert);
	}
	free(c);
}
