/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that change: set an operation, cancel, unlock, revoke. Sealing a string asks the signer, on a thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "alarm.h"
#include "app.h"
#include "clock.h"
#include "config.h"
#include "enrol/capfcmd.h"
#include "enrol/capfop.h"
#include "enrol/lscs.h"
#include "log.h"
#include "offload.h"
#include "sccp/sccp.h"
#include "store/phonecfg.h"
#include "store/store.h"

struct job {
	struct cp_app *app;
	struct cp_admin_req *req;
	struct cp_capf_oprec rec;
	char string[CP_CAPF_STRING_MAX + 1];
	int rc;
};

static void job_free(struct job *j)
{
	cp_capf_oprec_free(&j->rec);
	OPENSSL_cleanse(j->string, sizeof(j->string));
	free(j);
}

/* --- set --- */

/* What the device holds beside its operation, as the answer has it. */
static json_t *answer(struct job *j)
{
	const struct cp_device *dev = cp_dir_device(j->app->store, j->rec.device);
	struct cp_lsc lsc = {.expires_us = 0};
	char serial[CP_LSC_SERIAL_MAX] = "";
	json_t *o;

	if (cp_lscs_of(j->app->lscs, j->rec.device, CP_LSC_BIT(CP_LSC_HELD), serial))
		(void)cp_store_lsc(j->app->store, serial, &lsc);
	o = cp_capf_row(&(struct cp_capf_row){&j->rec, j->string, serial, lsc.expires_us, dev != NULL ? dev->model : "",
					      dev != NULL ? dev->profile : ""}, cp_wall_us());
	cp_lsc_free(&lsc);
	return o;
}

static void set_written(void *ctx, int rc)
{
	struct job *j = ctx;

	if (rc < 0) {
		cp_admin_fail_rc(j->req, rc, "not written");
	} else {
		cp_alarm_clear(j->app->alarms, "capf-string-locked", j->rec.device);
		cp_admin_reply(j->req, answer(j));
	}
	job_free(j);
}

static void set_write(struct job *j)
{
	struct cp_batch *b = cp_batch_create();
	char text[64];
	int rc = b == NULL ? -ENOMEM : cp_batch_capf_op(b, &j->rec);

	if (rc == 0) {
		cp_capfcmd_audit(b, "capf.set", cp_admin_who(j->req), j->rec.device, cp_capf_op_text(&j->rec, text, sizeof(text)));
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

	j->rc = cp_capf_string_seal(j->app->signer, &j->rec, j->string);
}

static void seal_done(void *arg)
{
	struct job *j = arg;

	if (j->rc < 0) {
		cp_admin_fail(j->req, "unavailable", "the signer could not seal the string: %s", strerror(-j->rc));
		job_free(j);
		return;
	}
	set_write(j);
}

static void set(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"device", "op", "auth", "string", "generate", "key", "backup", "by", "force", NULL};
	struct cp_app *app = ctx;
	const char *op = NULL, *auth = NULL, *string = NULL, *backup = NULL, *by = NULL;
	struct cp_capf_want want = {.op = 0};
	const struct cp_device *dev;
	bool generate = false;
	char why[400] = "";
	int64_t now = cp_wall_us();
	struct job *j;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || (dev = cp_capfcmd_device_arg(app, req, args, "device")) == NULL ||
	    cp_admin_arg_str(req, args, "op", true, &op) < 0 || cp_admin_arg_str(req, args, "auth", false, &auth) < 0 ||
	    cp_admin_arg_str(req, args, "string", false, &string) < 0 || cp_admin_arg_bool(req, args, "generate", &generate) < 0 ||
	    cp_admin_arg_str(req, args, "key", false, &want.key) < 0 || cp_admin_arg_str(req, args, "backup", false, &backup) < 0 ||
	    cp_admin_arg_str(req, args, "by", false, &by) < 0 || cp_admin_arg_bool(req, args, "force", &want.force) < 0)
		return;
	j = calloc(1, sizeof(*j));
	if (j == NULL || cp_capfcmd_load(app, dev->name, &j->rec) < 0) {
		cp_admin_fail(req, "failed", "the record of %s cannot be read", dev->name);
		free(j);
		return;
	}
	j->app = app;
	j->req = req;
	want.has_string = string != NULL || generate;
	want.deadline_us = now + (int64_t)app->cfg->enrol.expires_days * 86400 * 1000000;
	rc = cp_capf_op_parse(op, &want.op);
	if (rc < 0)
		snprintf(why, sizeof(why), "operation %s is not install, delete or troubleshoot", cfg_q(op));
	if (rc == 0 && auth != NULL && (cp_capf_auth_parse(auth, &want.by) < 0 || want.by == CP_CAPF_NONE) && (rc = -EINVAL) < 0)
		snprintf(why, sizeof(why), "authentication %s is not string, null, lsc or mic", cfg_q(auth));
	if (rc == 0 && backup != NULL && (rc = cp_capfcmd_backup_bits(backup, &want.backup_bits)) < 0)
		snprintf(why, sizeof(why), "backup %s is no RSA key", cfg_q(backup));
	if (rc == 0 && string != NULL && generate) {
		snprintf(why, sizeof(why), "a string is given or made, not both");
		rc = -EINVAL;
	}
	if (rc == 0 && string != NULL)
		rc = cp_capf_string_check(string, why, sizeof(why));
	if (rc == 0 && by != NULL)
		rc = cp_capf_deadline_parse(by, now, &want.deadline_us, why, sizeof(why));
	if (rc == 0)
		rc = cp_capfcmd_new_op(app, dev, &want, now, &j->rec, why, sizeof(why));
	if (rc == 0 && generate)
		rc = cp_capf_string_make(j->string);
	else if (rc == 0 && string != NULL)
		snprintf(j->string, sizeof(j->string), "%s", string);
	if (rc < 0) {
		cp_admin_fail_rc(req, rc, "%s", why);
		job_free(j);
	} else if (!want.has_string) {
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

	if (cp_admin_arg_known(req, args, known) < 0 || (dev = cp_capfcmd_device_arg(app, req, args, "device")) == NULL)
		return;
	if (cp_capfcmd_load(app, dev->name, &rec) < 0) {
		cp_admin_fail(req, "failed", "the record of %s cannot be read", dev->name);
		return;
	}
	if (unlock) {
		did = rec.wrong > 0 || rec.locked_us > cp_wall_us();
		rec.wrong = 0;
		rec.locked_us = 0;
	} else {
		did = cp_capf_op_cancel(&rec, cp_wall_us());
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
		cp_capfcmd_audit(b, unlock ? "capf.unlock" : "capf.cancel", cp_admin_who(req), dev->name, "");
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
	char app_name[CP_CAPF_APP_MAX] = "";
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
		rc = cp_lscs_change_all(app->lscs, b, name, CP_LSC_LIVE, NULL, CP_LSC_REVOKED, code, cp_wall_us());
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
			snprintf(app_name, sizeof(app_name), "%s", lsc.app);
			cp_lsc_free(&lsc);
			rc = cp_lscs_change(app->lscs, b, serial, CP_LSC_REVOKED, code, cp_wall_us());
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
	if (what.device[0] != '\0')
		cp_batch_del(b, CP_CF_CAPF, what.device, strlen(what.device));
	cp_capfcmd_audit(b, "capf.revoke", cp_admin_who(req), app_name[0] != '\0' ? app_name : what.device, reason);
	submit(app, req, b, &what);
}

int cp_capf_set_commands(struct cp_app *app)
{
	int rc = cp_admin_register(app->admin, "capf.set", set, app);

	if (rc == 0)
		rc = cp_admin_register(app->admin, "capf.cancel", cancel, app);
	if (rc == 0)
		rc = cp_admin_register(app->admin, "capf.unlock", unlock, app);
	return rc == 0 ? cp_admin_register(app->admin, "capf.revoke", revoke, app) : rc;
}
