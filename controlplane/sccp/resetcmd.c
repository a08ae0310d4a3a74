/* SPDX-License-Identifier: BSD-3-Clause */
#include "resetcmd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "log.h"
#include "resets.h"
#include "sccp.h"
#include "store/phonecfg.h"
#include "store/store.h"

#define NAMES_MAX 1000 /* devices of one request */

struct cp_resetcmd {
	struct cp_sccp *sccp; /* NULL: stopped */
	struct cp_store *store;
};

/* --- which phones --- */

struct who {
	const struct cp_store *store;
	const char *profile, *srst;
	bool srst_of_cluster;                                 /* it is also of all that name none */
	char last[CP_NAME_MAX], last_srst[CP_NAME_MAX];       /* the profile looked up last */
};

static const char *srst_of_profile(struct who *w, const char *profile)
{
	struct cp_profile p;

	if (strcmp(w->last, profile) == 0)
		return w->last_srst;
	memcpy(w->last, profile, sizeof(w->last));
	w->last_srst[0] = '\0';
	if (cp_store_profile(w->store, profile, &p) == 0) {
		memcpy(w->last_srst, p.srst, sizeof(w->last_srst));
		cp_profile_free(&p);
	}
	return w->last_srst;
}

static bool of_profile(void *ctx, const struct cp_device *dev)
{
	const struct who *w = ctx;

	return strcmp(dev->profile, w->profile) == 0;
}

/* As a phone's file is made: its own, its profile's, the cluster's. */
static bool of_srst(void *ctx, const struct cp_device *dev)
{
	struct who *w = ctx;
	const char *own = dev->srst;

	if (own[0] == '\0' && dev->profile[0] != '\0')
		own = srst_of_profile(w, dev->profile);
	return own[0] != '\0' ? strcmp(own, w->srst) == 0 : w->srst_of_cluster;
}

static unsigned reset_srst(const struct cp_resetcmd *c, uint8_t type, const char *name, unsigned per_second)
{
	struct who w = {.store = c->store, .srst = name};
	struct cp_cluster cl;

	cp_store_cluster(c->store, &cl);
	w.srst_of_cluster = strcmp(cl.srst, name) == 0;
	cp_cluster_free(&cl);
	return cp_sccp_reset(c->sccp, type, of_srst, &w, per_second);
}

static unsigned reset_profile(const struct cp_resetcmd *c, uint8_t type, const char *name, unsigned per_second)
{
	struct who w = {.store = c->store, .profile = name};

	return cp_sccp_reset(c->sccp, type, of_profile, &w, per_second);
}

unsigned cp_resetcmd_after(void *ctx, const json_t *say, const char *subject)
{
	struct cp_resetcmd *c = ctx;
	const char *phones = json_string_value(json_object_get(say, "phones"));
	const char *scope = json_string_value(json_object_get(say, "scope"));
	uint8_t type;

	if (c->sccp == NULL || phones == NULL || scope == NULL || strcmp(phones, "none") == 0 || json_is_true(json_object_get(say, "by_itself")))
		return 0;
	type = strcmp(phones, "reset") == 0 ? CP_SCCP_RESET_RESET : CP_SCCP_RESET_RESTART;
	if (strcmp(scope, "all") == 0)
		return cp_sccp_reset(c->sccp, type, NULL, NULL, 0);
	if (strcmp(scope, "profile") == 0)
		return reset_profile(c, type, subject, 0);
	if (strcmp(scope, "srst") == 0)
		return reset_srst(c, type, subject, 0);
	return strcmp(scope, "device") == 0 && cp_sccp_reset_one(c->sccp, subject, type) ? 1 : 0;
}

/* --- the commands --- */

struct job {
	struct cp_resetcmd *cmd;
	struct cp_admin_req *req;
	const json_t *args; /* the request's, borrowed until it is answered */
	uint8_t type;
	unsigned per_second;
};

static void tell(struct job *j)
{
	const char *profile = json_string_value(json_object_get(j->args, "profile"));
	const char *srst = json_string_value(json_object_get(j->args, "srst"));
	const json_t *names = json_object_get(j->args, "devices"), *v;
	json_t *away = json_array();
	unsigned n = 0;
	size_t i;

	json_array_foreach(names, i, v) {
		if (cp_sccp_reset_one(j->cmd->sccp, json_string_value(v), j->type))
			n++;
		else
			json_array_append_new(away, json_string(json_string_value(v)));
	}
	if (profile != NULL)
		n = reset_profile(j->cmd, j->type, profile, j->per_second);
	else if (srst != NULL)
		n = reset_srst(j->cmd, j->type, srst, j->per_second);
	else if (names == NULL)
		n = cp_sccp_reset(j->cmd->sccp, j->type, NULL, NULL, j->per_second);
	cp_admin_reply(j->req, json_pack("{s:i,s:i,s:o}", "phones", (int)n, "waiting", (int)cp_sccp_resets_waiting(j->cmd->sccp),
					 "not_registered", away));
}

static void audited(void *ctx, int rc)
{
	struct job *j = ctx;

	if (rc < 0) /* who told them must be on record */
		cp_admin_fail_rc(j->req, rc, "the audit cannot be written: no phone was told");
	else if (j->cmd->sccp == NULL)
		cp_admin_fail_rc(j->req, -ECANCELED, "the appliance stops");
	else
		tell(j);
	free(j);
}

static int audit(struct job *j, const char *event, cp_store_fn fn)
{
	json_t *o = json_pack("{s:s,s:s,s:O}", "event", event, "who", cp_admin_who(j->req), "which", j->args);
	char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
	struct cp_batch *b = cp_batch_create();
	int rc = text == NULL || b == NULL ? -ENOMEM : cp_batch_audit(b, text);

	json_decref(o);
	free(text);
	if (rc == 0)
		return cp_store_submit(j->cmd->store, b, fn, j); /* takes the batch */
	cp_batch_destroy(b);
	return rc;
}

/* Answered if not: exactly one of devices, profile, srst, all, and it is there. */
static bool which_ok(struct cp_resetcmd *c, struct cp_admin_req *req, const json_t *args)
{
	const json_t *names = json_object_get(args, "devices"), *v;
	const char *profile = NULL, *srst = NULL;
	bool all = false;
	size_t i;

	if (cp_admin_arg_str(req, args, "profile", false, &profile) < 0 || cp_admin_arg_str(req, args, "srst", false, &srst) < 0 ||
	    cp_admin_arg_bool(req, args, "all", &all) < 0)
		return false;
	if ((names != NULL) + (profile != NULL) + (srst != NULL) + all != 1) {
		cp_admin_fail(req, "invalid", "exactly one of devices, profile, srst and all is needed");
		return false;
	}
	if (names != NULL && (!json_is_array(names) || json_array_size(names) == 0 || json_array_size(names) > NAMES_MAX)) {
		cp_admin_fail(req, "invalid", "devices is not an array of 1 to %d names", NAMES_MAX);
		return false;
	}
	if (names != NULL && json_object_get(args, "per_second") != NULL) {
		cp_admin_fail(req, "invalid", "per_second goes with profile, srst or all");
		return false;
	}
	json_array_foreach(names, i, v)
		if (!json_is_string(v) || cp_dir_device(c->store, json_string_value(v)) == NULL) {
			cp_admin_fail(req, "not-found", "no device %s", json_is_string(v) ? cfg_q(json_string_value(v)) : "without a name");
			return false;
		}
	if (profile != NULL) {
		struct cp_profile p;

		if (cp_store_profile(c->store, profile, &p) < 0) {
			cp_admin_fail(req, "not-found", "no profile %s", cfg_q(profile));
			return false;
		}
		cp_profile_free(&p);
	}
	if (srst != NULL) {
		struct cp_srst s;

		if (cp_store_srst(c->store, srst, &s) < 0) {
			cp_admin_fail(req, "not-found", "no SRST reference %s", cfg_q(srst));
			return false;
		}
		cp_srst_free(&s);
	}
	return true;
}

static void run(struct cp_resetcmd *c, struct cp_admin_req *req, const json_t *args, uint8_t type)
{
	static const char *const known[] = {"devices", "profile", "srst", "all", "per_second", NULL};
	int64_t per_second = 0;
	struct job *j;
	int rc;

	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_int(req, args, "per_second", false, 1, 10000, &per_second) < 0 ||
	    !which_ok(c, req, args))
		return;
	j = calloc(1, sizeof(*j));
	if (j == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	*j = (struct job){.cmd = c, .req = req, .args = args, .type = type, .per_second = (unsigned)per_second};
	rc = audit(j, type == CP_SCCP_RESET_RESET ? "phone.reset" : "phone.restart", audited);
	if (rc < 0) {
		cp_admin_fail_rc(req, rc, "the audit cannot be written: no phone was told");
		free(j);
	}
}

static void phone_reset(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	run(ctx, req, args, CP_SCCP_RESET_RESET);
}

static void phone_restart(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	run(ctx, req, args, CP_SCCP_RESET_RESTART);
}

static void show_resets(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {NULL};

	(void)ctx;
	if (cp_admin_arg_known(req, args, known) == 0)
		cp_admin_reply(req, cp_reset_table());
}

struct cp_resetcmd *cp_resetcmd_create(struct cp_sccp *sccp, struct cp_store *store, struct cp_admin *admin)
{
	struct cp_resetcmd *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->sccp = sccp;
	c->store = store;
	if (cp_admin_register(admin, "phone.reset", phone_reset, c) < 0 || cp_admin_register(admin, "phone.restart", phone_restart, c) < 0 ||
	    cp_admin_register(admin, "show.resets", show_resets, c) < 0) {
		free(c);
		return NULL;
	}
	return c;
}

void cp_resetcmd_stop(struct cp_resetcmd *c)
{
	if (c != NULL)
		c->sccp = NULL;
}

void cp_resetcmd_destroy(struct cp_resetcmd *c)
{
	free(c);
}
