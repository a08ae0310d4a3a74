/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What operators do with CAPF: set operations, see how they went, revoke. Sealing and opening strings asks the signer, on a thread.
 * Strings are in answers to operators and nowhere else: not in logs, not in the audit.
 */
#include <errno.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/admin.h"
#include "alarm.h"
#include "app.h"
#include "config.h"
#include "enrol/capf.h"
#include "enrol/capffile.h"
#include "enrol/enrol.h"
#include "log.h"
#include "offload.h"
#include "provision/devcfg.h"
#include "sccp/sccp.h"
#include "signerc/signerc.h"
#include "store/phonecfg.h"
#include "store/store.h"
#include "trust/certs.h"
#include "trust/lists.h"
#include "x509.h"

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static const char *iso(int64_t us, char buf[32])
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	buf[0] = '\0';
	if (us > 0 && localtime_r(&t, &tm) != NULL)
		strftime(buf, 32, "%Y-%m-%dT%H:%M:%S%z", &tm);
	return buf;
}

static void audit(struct cp_batch *b, const char *event, const char *who, const char *device, const char *text)
{
	json_t *a = json_pack("{s:s,s:s,s:s,s:s}", "event", event, "who", who, "device", device, "text", text);
	char *line = a != NULL ? json_dumps(a, JSON_COMPACT) : NULL;

	if (line != NULL)
		cp_batch_audit(b, line);
	free(line);
	json_decref(a);
}

/* The last record, as of now; zeroed if there is none. */
static int load(struct cp_app *app, const char *device, struct cp_capf_oprec *rec)
{
	int rc = cp_store_capf_op(app->store, device, rec);

	if (rc == -ENOENT) {
		memset(rec, 0, sizeof(*rec));
		snprintf(rec->device, sizeof(rec->device), "%s", device);
		return 0;
	}
	if (rc == 0)
		(void)cp_capf_op_expire(rec, now_us()); /* the sweep writes it down */
	return rc;
}

static const struct cp_device *device_arg(struct cp_app *app, struct cp_admin_req *req, const json_t *args, const char *member)
{
	const struct cp_device *dev;
	const char *name = NULL;

	if (cp_admin_arg_str(req, args, member, true, &name) < 0)
		return NULL;
	dev = cp_dir_device(app->store, name);
	if (dev == NULL)
		cp_admin_fail(req, "not-found", "no device %s", cfg_q(name));
	return dev;
}

static enum cp_device_mode mode_of(struct cp_app *app, const struct cp_device *dev)
{
	return app->lists != NULL ? cp_lists_device_mode(app->lists, dev) : dev->mode;
}

/* Did it ever show a certificate that is not one of ours? */
static bool has_mic(struct cp_app *app, const char *device, const struct cp_capf_oprec *rec)
{
	struct cp_phone_cert pc;
	const uint8_t *p;
	bool mic = false;
	X509 *cert;

	if (rec->shown == 2)
		return true;
	if (cp_store_phone_cert(app->store, device, &pc) < 0)
		return false;
	p = pc.cert.data;
	cert = d2i_X509(NULL, &p, (long)pc.cert.len);
	if (cert != NULL) {
		X509 *capf = cp_certs_own(app->certs, "CAPF");

		mic = cp_lscs_state(app->lscs, cert) == 0 && (capf == NULL || X509_check_issued(capf, cert) != X509_V_OK);
		X509_free(capf);
	}
	X509_free(cert);
	cp_phone_cert_free(&pc);
	return mic;
}

/* --- one device, as JSON --- */

static void put_cert(json_t *list, struct cp_app *app, const char *serial)
{
	char a[32], b[32], c[32];
	struct cp_lsc l;

	if (cp_store_lsc(app->store, serial, &l) < 0)
		return;
	json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:s}", "serial", l.serial, "state", cp_lsc_state_name(l.state), "offered",
					      iso(l.offered_us, a), "held", iso(l.held_us, b), "expires", iso(l.expires_us, c)));
	cp_lsc_free(&l);
}

struct certs_ctx {
	struct cp_app *app;
	json_t *list;
};

static void cert_row(void *ctx, const char *serial, enum cp_lsc_state state)
{
	struct certs_ctx *c = ctx;

	(void)state;
	put_cert(c->list, c->app, serial);
}

static json_t *row(struct cp_app *app, const struct cp_capf_oprec *rec, const char *string)
{
	bool shown = rec->status != CP_CAPF_ST_NONE;
	char text[64], by[32], until[32], last[32], serial[CP_LSC_SERIAL_MAX] = "";
	bool failed = shown && rec->tried && rec->status != CP_CAPF_ST_DONE;
	json_t *o = json_object();

	(void)cp_lscs_of(app->lscs, rec->device, CP_LSC_BIT(CP_LSC_HELD), serial);
	json_object_set_new(o, "device", json_string(rec->device));
	json_object_set_new(o, "status", json_string(cp_capf_op_text(rec, text, sizeof(text))));
	json_object_set_new(o, "string", json_string(string));
	json_object_set_new(o, "auth", json_string(shown ? cp_capf_auth_name(rec->by) : ""));
	json_object_set_new(o, "key", json_string(shown ? rec->key : ""));
	json_object_set_new(o, "error", json_string(failed ? cp_capf_outcome_text((enum cp_capf_outcome)rec->outcome) : ""));
	json_object_set_new(o, "detail", json_string(shown ? rec->detail : "")); /* ASCII: capfsess.c makes it */
	json_object_set_new(o, "remedy", json_string(cp_capf_op_remedy(rec)));
	json_object_set_new(o, "complete_by", json_string(rec->status == CP_CAPF_ST_PENDING ? iso(rec->deadline_us, by) : ""));
	json_object_set_new(o, "last", json_string(iso(rec->last_us, last)));
	json_object_set_new(o, "attempts", json_integer(rec->attempts));
	json_object_set_new(o, "wrong_strings", json_integer(rec->wrong));
	json_object_set_new(o, "locked_until", json_string(rec->locked_us > now_us() ? iso(rec->locked_us, until) : ""));
	json_object_set_new(o, "lsc", json_string(serial));
	return o;
}

/* --- strings, on a thread --- */

struct opened {
	struct cp_capf_oprec rec; /* owned */
	char string[CP_CAPF_STRING_MAX + 1];
};

struct job {
	struct cp_app *app;
	struct cp_admin_req *req;
	/* set: seal */
	struct cp_capf_oprec rec;
	char string[CP_CAPF_STRING_MAX + 1];
	struct cp_buf sealed;
	int rc;
	/* report, show: open */
	struct opened *list;
	size_t cnt, room;
	bool one; /* show */
};

static void job_free(struct job *j)
{
	for (size_t i = 0; i < j->cnt; i++) {
		OPENSSL_cleanse(j->list[i].string, sizeof(j->list[i].string));
		cp_capf_oprec_free(&j->list[i].rec);
	}
	free(j->list);
	cp_capf_oprec_free(&j->rec);
	free(j->sealed.data);
	OPENSSL_cleanse(j->string, sizeof(j->string));
	free(j);
}

static void open_work(void *arg)
{
	struct job *j = arg;

	for (size_t i = 0; i < j->cnt; i++) {
		struct opened *o = &j->list[i];
		uint8_t *plain = NULL;
		char aad[64];
		size_t len = 0;

		if (o->rec.string.len == 0 || j->app->signer == NULL)
			continue;
		cp_capf_string_aad(o->rec.device, o->rec.id, aad);
		if (cp_signer_unseal(j->app->signer, o->rec.string.data, o->rec.string.len, aad, strlen(aad), &plain, &len) == 0 &&
		    len <= CP_CAPF_STRING_MAX) {
			memcpy(o->string, plain, len);
			o->string[len] = '\0';
		} else {
			snprintf(o->string, sizeof(o->string), "?");
		}
		OPENSSL_clear_free(plain, len);
	}
}

static void open_done(void *arg)
{
	struct job *j = arg;
	json_t *list = json_array();

	for (size_t i = 0; i < j->cnt; i++)
		json_array_append_new(list, row(j->app, &j->list[i].rec, j->list[i].string));
	if (j->one) {
		json_t *o = json_incref(json_array_get(list, 0));
		struct certs_ctx c = {j->app, json_array()};
		json_t *notes = json_array(), *files = json_array();
		char path[512];

		cp_lscs_each(j->app->lscs, j->list[0].rec.device, ~0u, cert_row, &c);
		json_object_set_new(o, "certificates", c.list);
		for (unsigned k = CP_CAPF_IS_LSC; k <= CP_CAPF_IS_MIC; k++) {
			char folder[400];
			FILE *f;

			snprintf(folder, sizeof(folder), "%.380s/capf", j->app->cfg->paths.state);
			if (cp_capf_file_path(folder, j->list[0].rec.device, k, path, sizeof(path)) < 0 || (f = fopen(path, "re")) == NULL)
				continue;
			fclose(f);
			json_array_append_new(files, json_string(path));
		}
		json_object_set_new(o, "files", files);
		cp_capf_explain(j->app, j->list[0].rec.device, notes);
		json_object_set_new(o, "next", notes);
		json_decref(list);
		list = o;
	}
	cp_admin_reply(j->req, list);
	job_free(j);
}

static void open_start(struct job *j)
{
	int rc = cp_offload_run(j->app->offload, open_work, open_done, j);

	if (rc < 0) {
		cp_admin_fail_rc(j->req, rc, "too much is under way: try again");
		job_free(j);
	}
}

static void show(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"device", NULL};
	struct cp_app *app = ctx;
	const struct cp_device *dev;
	struct job *j;

	if (cp_admin_arg_known(req, args, known) < 0 || (dev = device_arg(app, req, args, "device")) == NULL)
		return;
	j = calloc(1, sizeof(*j));
	if (j != NULL)
		j->list = calloc(1, sizeof(*j->list));
	if (j == NULL || j->list == NULL || load(app, dev->name, &j->list[0].rec) < 0) {
		cp_admin_fail(req, "failed", "the record of %s cannot be read", dev->name);
		if (j != NULL)
			free(j->list);
		free(j);
		return;
	}
	j->app = app;
	j->req = req;
	j->cnt = 1;
	j->one = true;
	open_start(j);
}

struct gather {
	struct job *j;
	int status; /* -1: all */
	int rc;
};

static bool gather_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct gather *g = ctx;
	struct job *j = g->j;
	struct cp_capf_oprec rec;

	if (key_len <= 3 || memcmp(key, "op/", 3) != 0 || cp_capf_oprec_parse(val, len, &rec) < 0)
		return true;
	(void)cp_capf_op_expire(&rec, now_us());
	if (g->status >= 0 && rec.status != g->status) {
		cp_capf_oprec_free(&rec);
		return true;
	}
	if (j->cnt == j->room) {
		size_t room = j->room == 0 ? 64 : j->room * 2;
		struct opened *list = calloc(room, sizeof(*list));

		if (list == NULL) {
			cp_capf_oprec_free(&rec);
			g->rc = -ENOMEM;
			return false;
		}
		if (j->cnt > 0)
			memcpy(list, j->list, j->cnt * sizeof(*list));
		free(j->list);
		j->list = list;
		j->room = room;
	}
	j->list[j->cnt++].rec = rec;
	return true;
}

static void report(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"status", NULL};
	static const char *const words[] = {"none", "pending", "failed", "successful"};
	struct cp_app *app = ctx;
	struct gather g = {.status = -1};
	const char *status = NULL;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "status", false, &status) < 0)
		return;
	for (int i = 0; status != NULL && i < 4; i++)
		if (strcmp(status, words[i]) == 0)
			g.status = i;
	if (status != NULL && g.status < 0) {
		cp_admin_fail(req, "invalid", "status is none, pending, failed or successful");
		return;
	}
	g.j = calloc(1, sizeof(*g.j));
	if (g.j != NULL) {
		g.j->app = app;
		g.j->req = req;
		cp_store_each(app->store, CP_CF_CAPF, gather_one, &g);
	}
	if (g.j == NULL || g.rc < 0) {
		cp_admin_fail(req, "failed", "no memory");
		if (g.j != NULL)
			job_free(g.j);
		return;
	}
	open_start(g.j);
}

/* --- set --- */

static void set_written(void *ctx, int rc)
{
	struct job *j = ctx;

	if (rc < 0) {
		cp_admin_fail_rc(j->req, rc, "not written");
	} else {
		cp_alarm_clear(j->app->alarms, "capf-string-locked", j->rec.device);
		cp_admin_reply(j->req, row(j->app, &j->rec, j->string));
	}
	job_free(j);
}

static void set_write(struct job *j)
{
	struct cp_batch *b = cp_batch_create();
	char text[64];
	int rc = b == NULL ? -ENOMEM : cp_batch_capf_op(b, &j->rec);

	if (rc == 0) {
		audit(b, "capf.set", cp_admin_who(j->req), j->rec.device, cp_capf_op_text(&j->rec, text, sizeof(text)));
		rc = cp_store_submit(j->app->store, b, set_written, j);
		b = NULL;
	}
	if (rc < 0) {
		cp_batch_destroy(b);
		cp_admin_fail_rc(j->req, rc, "not written");
		job_free(j);
	}
}

static void seal_work(void *arg)
{
	struct job *j = arg;
	uint8_t *sealed = NULL;
	char aad[64];
	size_t len = 0;

	cp_capf_string_aad(j->rec.device, j->rec.id, aad);
	j->rc = cp_signer_seal(j->app->signer, j->string, strlen(j->string), aad, strlen(aad), &sealed, &len);
	if (j->rc == 0) {
		j->sealed.data = malloc(len);
		j->sealed.len = len;
		if (j->sealed.data != NULL)
			memcpy(j->sealed.data, sealed, len);
		else
			j->rc = -ENOMEM;
	}
	OPENSSL_free(sealed);
}

static void seal_done(void *arg)
{
	struct job *j = arg;

	if (j->rc < 0) {
		cp_admin_fail(j->req, "unavailable", "the signer could not seal the string: %s", strerror(-j->rc));
		job_free(j);
		return;
	}
	j->rec.string = j->sealed;
	j->sealed = (struct cp_buf){0};
	set_write(j);
}

static int backup_bits(const char *name, uint16_t *ret)
{
	uint8_t key, curve;

	return cp_capf_key_parse(name, &key, &curve, ret) < 0 || key != CP_CAPF_RSA ? -EINVAL : 0;
}

static void set(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"device", "op", "auth", "string", "generate", "key", "backup", "by", "force", NULL};
	struct cp_app *app = ctx;
	const char *op = NULL, *auth = NULL, *string = NULL, *key = NULL, *backup = NULL, *by = NULL;
	struct cp_capf_set s = {.old_keys = app->cfg->enrol.old_keys};
	struct cp_profile profile = {0};
	const struct cp_device *dev;
	bool generate = false, force = false, has_profile;
	char why[400] = "", serial[CP_LSC_SERIAL_MAX];
	int64_t now = now_us();
	struct job *j;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || (dev = device_arg(app, req, args, "device")) == NULL ||
	    cp_admin_arg_str(req, args, "op", true, &op) < 0 || cp_admin_arg_str(req, args, "auth", false, &auth) < 0 ||
	    cp_admin_arg_str(req, args, "string", false, &string) < 0 || cp_admin_arg_bool(req, args, "generate", &generate) < 0 ||
	    cp_admin_arg_str(req, args, "key", false, &key) < 0 || cp_admin_arg_str(req, args, "backup", false, &backup) < 0 ||
	    cp_admin_arg_str(req, args, "by", false, &by) < 0 || cp_admin_arg_bool(req, args, "force", &force) < 0)
		return;
	j = calloc(1, sizeof(*j));
	if (j == NULL || load(app, dev->name, &j->rec) < 0) {
		cp_admin_fail(req, "failed", "the record of %s cannot be read", dev->name);
		free(j);
		return;
	}
	j->app = app;
	j->req = req;
	has_profile = dev->profile[0] != '\0' && cp_store_profile(app->store, dev->profile, &profile) == 0;
	s.device = dev->name;
	s.mode = mode_of(app, dev);
	s.force = force;
	s.by = has_profile ? profile.capf_auth : CP_CAPF_NONE;
	s.key = key != NULL ? key : has_profile ? profile.capf_key : "";
	s.has_lsc = cp_lscs_of(app->lscs, dev->name, CP_LSC_LIVE, serial);
	s.has_mic = has_mic(app, dev->name, &j->rec);
	s.has_string = string != NULL || generate;
	s.deadline_us = now + (int64_t)app->cfg->enrol.expires_days * 86400 * 1000000;
	rc = cp_capf_op_parse(op, &s.op);
	if (rc < 0)
		snprintf(why, sizeof(why), "operation %s is not install, delete or troubleshoot", cfg_q(op));
	if (rc == 0 && auth != NULL && (rc = cp_capf_auth_parse(auth, &s.by)) < 0)
		snprintf(why, sizeof(why), "authentication %s is not string, null, lsc or mic", cfg_q(auth));
	if (rc == 0 && backup != NULL && (rc = backup_bits(backup, &s.backup_bits)) < 0)
		snprintf(why, sizeof(why), "backup %s is no RSA key", cfg_q(backup));
	if (rc == 0 && string != NULL && generate) {
		snprintf(why, sizeof(why), "a string is given or made, not both");
		rc = -EINVAL;
	}
	if (rc == 0 && string != NULL)
		rc = cp_capf_string_check(string, why, sizeof(why));
	if (rc == 0 && by != NULL)
		rc = cp_capf_deadline_parse(by, now, &s.deadline_us, why, sizeof(why));
	if (rc == 0 && (RAND_bytes((uint8_t *)&s.id, sizeof(s.id)) != 1 || s.id == 0)) {
		snprintf(why, sizeof(why), "no random numbers");
		rc = -EIO;
	}
	if (rc == 0)
		rc = cp_capf_op_set(&j->rec, &s, now, why, sizeof(why));
	if (rc == 0 && generate)
		rc = cp_capf_string_make(j->string);
	else if (rc == 0 && string != NULL)
		snprintf(j->string, sizeof(j->string), "%s", string);
	cp_profile_free(&profile);
	if (rc < 0) {
		cp_admin_fail_rc(req, rc, "%s", why);
		job_free(j);
	} else if (!s.has_string) {
		set_write(j);
	} else if (app->signer == NULL || (rc = cp_offload_run(app->offload, seal_work, seal_done, j)) < 0) {
		cp_admin_fail_rc(req, app->signer == NULL ? -ENOTCONN : rc, "the string cannot be sealed now: try again");
		job_free(j);
	}
}

/* --- cancel, unlock, revoke --- */

struct change {
	struct cp_app *app;
	struct cp_admin_req *req;
	char device[CP_DEVICE_NAME_MAX];
	bool unlocked, revoked;
	int cnt;
};

static void changed(void *ctx, int rc)
{
	struct change *c = ctx;

	if (rc < 0) {
		cp_admin_fail_rc(c->req, rc, "not written");
	} else {
		bool closed = false;

		if (c->unlocked)
			cp_alarm_clear(c->app->alarms, "capf-string-locked", c->device);
		if (c->revoked && c->app->sccp != NULL)
			closed = cp_sccp_certs_changed(c->app->sccp, c->device);
		cp_admin_reply(c->req, c->revoked ? json_pack("{s:s,s:i,s:b}", "device", c->device, "revoked", c->cnt, "closed", closed) :
						    json_pack("{s:s}", "device", c->device));
	}
	free(c);
}

static void submit(struct cp_app *app, struct cp_admin_req *req, struct cp_batch *b, const struct change *what)
{
	struct change *c = calloc(1, sizeof(*c));
	int rc = c == NULL ? -ENOMEM : 0;

	if (rc == 0) {
		*c = *what;
		c->app = app;
		c->req = req;
		rc = cp_store_submit(app->store, b, changed, c);
		b = NULL;
	}
	if (rc < 0) {
		cp_batch_destroy(b);
		free(c);
		cp_admin_fail_rc(req, rc, "not written");
	}
}

static void one_op(struct cp_app *app, struct cp_admin_req *req, const json_t *args, bool unlock)
{
	static const char *const known[] = {"device", NULL};
	struct change what = {.unlocked = true};
	const struct cp_device *dev;
	struct cp_capf_oprec rec;
	struct cp_batch *b;
	bool did;

	if (cp_admin_arg_known(req, args, known) < 0 || (dev = device_arg(app, req, args, "device")) == NULL)
		return;
	if (load(app, dev->name, &rec) < 0) {
		cp_admin_fail(req, "failed", "the record of %s cannot be read", dev->name);
		return;
	}
	if (unlock) {
		did = rec.wrong > 0 || rec.locked_us > now_us();
		rec.wrong = 0;
		rec.locked_us = 0;
	} else {
		did = cp_capf_op_cancel(&rec, now_us());
	}
	if (!did) {
		cp_admin_fail(req, "invalid", unlock ? "%s is not locked and has typed no wrong string" : "%s: No Pending Operation", dev->name);
		cp_capf_oprec_free(&rec);
		return;
	}
	b = cp_batch_create();
	if (b == NULL || cp_batch_capf_op(b, &rec) < 0) {
		cp_batch_destroy(b);
		cp_admin_fail(req, "failed", "no memory");
	} else {
		audit(b, unlock ? "capf.unlock" : "capf.cancel", cp_admin_who(req), dev->name, "");
		memcpy(what.device, dev->name, sizeof(what.device));
		submit(app, req, b, &what);
	}
	cp_capf_oprec_free(&rec);
}

static void cancel(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	one_op(ctx, req, args, false);
}

static void unlock(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	one_op(ctx, req, args, true);
}

/* A device or a serial number: one certificate, or all that a device may hold. */
static void revoke(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"what", "reason", NULL};
	struct cp_app *app = ctx;
	const char *name = NULL, *reason = "lost";
	struct change what = {.revoked = true};
	unsigned code;
	struct cp_batch *b;
	struct cp_lsc lsc;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "what", true, &name) < 0 ||
	    cp_admin_arg_str(req, args, "reason", false, &reason) < 0)
		return;
	if (strcmp(reason, "lost") != 0 && strcmp(reason, "ceased") != 0) {
		cp_admin_fail(req, "invalid", "reason is lost or ceased");
		return;
	}
	code = strcmp(reason, "lost") == 0 ? CP_CRL_LOST : CP_CRL_CEASED;
	b = cp_batch_create();
	if (b == NULL) {
		cp_admin_fail(req, "failed", "no memory");
		return;
	}
	if (cp_device_name_ok(name)) {
		snprintf(what.device, sizeof(what.device), "%s", name);
		rc = cp_lscs_change_all(app->lscs, b, name, CP_LSC_LIVE, NULL, CP_LSC_REVOKED, code, now_us());
		if (rc == 0) {
			cp_batch_destroy(b);
			cp_admin_fail(req, "not-found", "no LSC that %s may hold is on record", name);
			return;
		}
	} else {
		char serial[CP_LSC_SERIAL_MAX] = "";

		for (size_t i = 0; name[i] != '\0' && i + 1 < sizeof(serial); i++)
			serial[i] = (char)(name[i] >= 'a' && name[i] <= 'f' ? name[i] - 32 : name[i]);
		rc = strlen(name) >= sizeof(serial) ? -ENOENT : cp_store_lsc(app->store, serial, &lsc);
		if (rc == 0) {
			snprintf(what.device, sizeof(what.device), "%s", lsc.device);
			cp_lsc_free(&lsc);
			rc = cp_lscs_change(app->lscs, b, serial, CP_LSC_REVOKED, code, now_us());
		}
		if (rc == -ENOENT || rc == -EALREADY) {
			cp_batch_destroy(b);
			cp_admin_fail(req, rc == -ENOENT ? "not-found" : "exists",
				      rc == -ENOENT ? "%s is neither a device nor the serial number of an LSC" : "%s is refused already",
				      cfg_q(name));
			return;
		}
		rc = rc == 0 ? 1 : rc;
	}
	if (rc < 0) {
		cp_batch_destroy(b);
		cp_admin_fail_rc(req, rc, "not written");
		return;
	}
	what.cnt = rc;
	/* its key is not trusted any more: nothing is encrypted for it */
	cp_batch_del(b, CP_CF_CAPF, what.device, strlen(what.device));
	audit(b, "capf.revoke", cp_admin_who(req), what.device, reason);
	submit(app, req, b, &what);
}

static void show_capf(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const none[] = {NULL};
	struct cp_app *app = ctx;

	if (cp_admin_arg_known(req, args, none) == 0)
		cp_admin_reply(req, cp_capf_show_stats(app->capf));
}

/* --- where it stands --- */

static void note(json_t *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void note(json_t *list, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(list, json_string(text));
}

void cp_capf_explain(struct cp_app *app, const char *device, json_t *notes)
{
	const struct cp_device *dev = cp_dir_device(app->store, device);
	struct cp_capf_oprec rec;
	char serial[CP_LSC_SERIAL_MAX], text[64];
	bool here, held, secure;

	if (dev == NULL || app->lscs == NULL || load(app, device, &rec) < 0)
		return;
	here = app->sccp != NULL && cp_sccp_find(app->sccp, device) != NULL;
	held = cp_lscs_of(app->lscs, device, CP_LSC_BIT(CP_LSC_HELD), serial);
	secure = mode_of(app, dev) != CP_DEVICE_NONSECURE;
	if (held)
		note(notes, "it holds LSC %s", serial);
	else if (cp_lscs_of(app->lscs, device, CP_LSC_BIT(CP_LSC_OFFERED), serial))
		note(notes, "LSC %s went out to it and it has not said that it stored it: its next registration or CAPF session shows", serial);
	else
		note(notes, "no LSC of it is on record");
	if (rec.status != CP_CAPF_ST_NONE)
		note(notes, "CAPF: %s%s%s", cp_capf_op_text(&rec, text, sizeof(text)), rec.detail[0] != '\0' ? ": " : "", rec.detail);
	if (rec.status == CP_CAPF_ST_PENDING && app->capf != NULL && cp_capf_busy(app->capf, device)) {
		note(notes, "a CAPF session of it is under way; a key may take half an hour on an old phone");
	} else if (rec.status == CP_CAPF_ST_PENDING && rec.locked_us > now_us()) {
		note(notes, "next: wait until the lock ends, or capf unlock");
	} else if (rec.status == CP_CAPF_ST_PENDING && rec.op == CP_CAPF_OP_INSTALL && secure) { /* 004b:CAPF-11 */
		note(notes, "next: reset it; it connects to CAPF before it registers, and registers %s once it has its LSC",
		     cp_device_mode_name(mode_of(app, dev)));
	} else if (rec.status == CP_CAPF_ST_PENDING && rec.by == CP_CAPF_STRING) { /* 004b:CAPF-37 */
		note(notes, here ? "next: type the string on it: Settings, Security Configuration, LSC, Update" :
				   "next: it has to be registered before its user can type the string");
	} else if (rec.status == CP_CAPF_ST_PENDING) { /* 004b:CAPF-10 */
		note(notes, "next: reset it; it registers, and connects to CAPF by itself");
	} else if (rec.status == CP_CAPF_ST_FAILED) {
		note(notes, "next: %s", cp_capf_op_remedy(&rec)[0] != '\0' ? cp_capf_op_remedy(&rec) : "set the operation again");
	} else if (!held && secure) {
		note(notes, "next: it needs an LSC, or a MIC whose root is in CallManager-trust, to register: capf set %s --op install", device);
	}
	cp_capf_oprec_free(&rec);
}

int cp_capf_commands(struct cp_app *app)
{
	static const struct {
		const char *cmd;
		cp_admin_fn fn;
	} list[] = {
		{"capf.set", set},	 {"capf.show", show},	  {"capf.report", report},  {"capf.cancel", cancel},
		{"capf.unlock", unlock}, {"capf.revoke", revoke}, {"show.capf", show_capf},
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && rc == 0; i++)
		rc = cp_admin_register(app->admin, list[i].cmd, list[i].fn, app);
	return rc;
}
