/* SPDX-License-Identifier: BSD-3-Clause */
/* One device: where it stands, its certificates, what to do next. Its string is opened by the signer, on a thread. */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "app.h"
#include "clock.h"
#include "config.h"
#include "enrol/capf.h"
#include "enrol/capfcmd.h"
#include "enrol/capffile.h"
#include "enrol/enrol.h"
#include "net/show.h"
#include "offload.h"
#include "provision/explain.h"
#include "sccp/sccp.h"
#include "store/phonecfg.h"
#include "store/store.h"

struct job {
	struct cp_app *app;
	struct cp_admin_req *req;
	struct cp_capf_oprec rec;
	char string[CP_CAPF_STRING_MAX + 1];
};

static void job_free(struct job *j)
{
	OPENSSL_cleanse(j->string, sizeof(j->string));
	cp_capf_oprec_free(&j->rec);
	free(j);
}

static void put_cert(json_t *list, struct cp_app *app, const char *serial)
{
	char a[32], b[32], c[32];
	struct cp_lsc l;

	if (cp_store_lsc(app->store, serial, &l) < 0)
		return;
	json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:s}", "serial", l.serial, "state", cp_lsc_state_name(l.state), "offered",
					      cp_capfcmd_iso(l.offered_us, a), "held", cp_capfcmd_iso(l.held_us, b), "expires", cp_capfcmd_iso(l.expires_us, c)));
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

static void open_work(void *arg)
{
	struct job *j = arg;

	cp_capf_string_open(j->app->signer, &j->rec, j->string);
}

static json_t *files_of(struct cp_app *app, const char *device)
{
	json_t *files = json_array();

	for (unsigned k = CP_CAPF_IS_LSC; k <= CP_CAPF_IS_MIC; k++) {
		char path[512], folder[400];
		FILE *f;

		snprintf(folder, sizeof(folder), "%.380s/capf", app->cfg->paths.state);
		if (cp_capf_file_path(folder, device, k, path, sizeof(path)) < 0 || (f = fopen(path, "re")) == NULL)
			continue;
		fclose(f);
		json_array_append_new(files, json_string(path));
	}
	return files;
}

static void open_done(void *arg)
{
	struct job *j = arg;
	const char *device = j->rec.device;
	const struct cp_device *dev = cp_dir_device(j->app->store, device);
	struct certs_ctx c = {j->app, json_array()};
	char serial[CP_LSC_SERIAL_MAX] = "";
	struct cp_lsc lsc = {.expires_us = 0};
	json_t *o, *notes = json_array();

	if (cp_lscs_of(j->app->lscs, device, CP_LSC_BIT(CP_LSC_HELD), serial))
		(void)cp_store_lsc(j->app->store, serial, &lsc);
	o = cp_capf_row(&(struct cp_capf_row){&j->rec, j->string, serial, lsc.expires_us, dev != NULL ? dev->model : "",
					      dev != NULL ? dev->profile : ""}, cp_wall_us());
	cp_lsc_free(&lsc);
	cp_lscs_each(j->app->lscs, device, ~0u, cert_row, &c);
	json_object_set_new(o, "certificates", c.list);
	json_object_set_new(o, "files", files_of(j->app, device));
	cp_capf_explain(j->app, device, notes);
	json_object_set_new(o, "next", notes);
	cp_admin_reply(j->req, o);
	job_free(j);
}

static void show(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"device", NULL};
	struct cp_app *app = ctx;
	const struct cp_device *dev;
	struct job *j;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || (dev = cp_capfcmd_device_arg(app, req, args, "device")) == NULL)
		return;
	j = calloc(1, sizeof(*j));
	if (j == NULL || cp_capfcmd_load(app, dev->name, &j->rec) < 0) {
		cp_admin_fail(req, "failed", "the record of %s cannot be read", dev->name);
		free(j);
		return;
	}
	j->app = app;
	j->req = req;
	rc = cp_offload_run(app->offload, open_work, open_done, j);
	if (rc < 0) {
		cp_admin_fail_rc(req, rc, "too much is under way: try again");
		job_free(j);
	}
}

static void show_capf(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const none[] = {NULL};
	struct cp_app *app = ctx;
	const struct cp_net *net = cp_enrol_net(app);
	json_t *o, *scep;

	if (cp_admin_arg_known(req, args, none) < 0)
		return;
	o = cp_capf_show_stats(app->capf);
	if (net != NULL)
		json_object_set_new(o, "net", cp_net_show(net));
	scep = cp_enrol_scep_show(app);
	if (scep != NULL)
		json_object_set_new(o, "scep", scep);
	cp_admin_reply(req, o);
}

/* --- where it stands --- */

void cp_capf_explain(struct cp_app *app, const char *device, json_t *notes)
{
	const struct cp_device *dev = cp_dir_device(app->store, device);
	struct cp_capf_oprec rec;
	char serial[CP_LSC_SERIAL_MAX], text[64];
	bool here, held, secure;

	if (dev == NULL || app->lscs == NULL || cp_capfcmd_load(app, device, &rec) < 0)
		return;
	here = app->sccp != NULL && cp_sccp_find(app->sccp, device) != NULL;
	held = cp_lscs_of(app->lscs, device, CP_LSC_BIT(CP_LSC_HELD), serial);
	secure = cp_capfcmd_mode_of(app, dev) != CP_DEVICE_NONSECURE;
	if (held)
		cp_explain_note(notes, "it holds LSC %s", serial);
	else if (cp_lscs_of(app->lscs, device, CP_LSC_BIT(CP_LSC_OFFERED), serial))
		cp_explain_note(notes, "LSC %s went out to it and it has not said that it stored it: its next registration or CAPF session shows", serial);
	else
		cp_explain_note(notes, "no LSC of it is on record");
	if (rec.status != CP_CAPF_ST_NONE)
		cp_explain_note(notes, "CAPF: %s%s%s", cp_capf_op_text(&rec, text, sizeof(text)), rec.detail[0] != '\0' ? ": " : "", rec.detail);
	if (rec.status == CP_CAPF_ST_PENDING && app->capf != NULL && cp_capf_busy(app->capf, device)) {
		cp_explain_note(notes, "a CAPF session of it is under way; a key may take half an hour on an old phone");
	} else if (rec.status == CP_CAPF_ST_PENDING && rec.tried && rec.outcome == CP_CAPF_OUT_AWAITING) {
		cp_explain_note(notes, "next: %s", cp_capf_op_remedy(&rec));
	} else if (rec.status == CP_CAPF_ST_PENDING && rec.locked_us > cp_wall_us()) {
		cp_explain_note(notes, "next: wait until the lock ends, or capf unlock");
	} else if (rec.status == CP_CAPF_ST_PENDING && rec.op == CP_CAPF_OP_INSTALL && secure) { /* 004b:CAPF-11 */
		cp_explain_note(notes, "next: reset it; it connects to CAPF before it registers, and registers %s once it has its LSC",
				cp_device_mode_name(cp_capfcmd_mode_of(app, dev)));
	} else if (rec.status == CP_CAPF_ST_PENDING && rec.by == CP_CAPF_STRING) { /* 004b:CAPF-37 */
		cp_explain_note(notes, here ? "next: type the string on it: Settings, Security Configuration, LSC, Update" :
				   "next: it has to be registered before its user can type the string");
	} else if (rec.status == CP_CAPF_ST_PENDING) { /* 004b:CAPF-10 */
		cp_explain_note(notes, "next: reset it; it registers, and connects to CAPF by itself");
	} else if (rec.status == CP_CAPF_ST_FAILED) {
		cp_explain_note(notes, "next: %s", cp_capf_op_remedy(&rec)[0] != '\0' ? cp_capf_op_remedy(&rec) : "set the operation again");
	} else if (!held && secure) {
		cp_explain_note(notes, "next: it needs an LSC, or a MIC whose root is in CallManager-trust, to register: capf set %s --op install", device);
	}
	cp_capf_oprec_free(&rec);
}

int cp_capf_show_commands(struct cp_app *app)
{
	int rc = cp_admin_register(app->admin, "capf.show", show, app);

	return rc == 0 ? cp_admin_register(app->admin, "show.capf", show_capf, app) : rc;
}
