/* SPDX-License-Identifier: BSD-3-Clause */
#include "resetcmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "log.h"
#include "resetkeep.h"
#include "resets.h"
#include "sccp.h"
#include "store/phonecfg.h"
#include "store/store.h"

#define NAMES_MAX 1000 /* devices of one request */

struct cp_resetcmd {
	struct cp_sccp *sccp; /* NULL: stopped */
	struct cp_store *store;
	struct cp_resetkeep *keep;
};

/* Phones that are to be told once it is synced that they are. */
struct job {
	struct cp_resetcmd *cmd;
	uint8_t type;
	unsigned per_second;
	char (*names)[CP_DEVICE_NAME_MAX];
	size_t cnt, size;
	int rc; /* -ENOMEM: names are missing */
	/* of a command */
	struct cp_admin_req *req;
	json_t *away;
	/* of a change */
	cp_admin_told_fn told;
	void *told_ctx;
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

static void add(void *ctx, const char *name)
{
	struct job *j = ctx;

	if (j->cnt == j->size) {
		size_t size = j->size > 0 ? 2 * j->size : 64;
		char (*grown)[CP_DEVICE_NAME_MAX] = realloc(j->names, size * sizeof(*grown));

		if (grown == NULL) {
			j->rc = -ENOMEM;
			return;
		}
		j->names = grown;
		j->size = size;
	}
	snprintf(j->names[j->cnt++], CP_DEVICE_NAME_MAX, "%s", name);
}

static void add_srst(struct job *j, const char *name)
{
	struct who w = {.store = j->cmd->store, .srst = name};
	struct cp_cluster cl;

	cp_store_cluster(j->cmd->store, &cl);
	w.srst_of_cluster = strcmp(cl.srst, name) == 0;
	cp_cluster_free(&cl);
	cp_sccp_each(j->cmd->sccp, of_srst, &w, add, j);
}

static void add_profile(struct job *j, const char *name)
{
	struct who w = {.store = j->cmd->store, .profile = name};

	cp_sccp_each(j->cmd->sccp, of_profile, &w, add, j);
}

static bool add_one(struct job *j, const char *name)
{
	bool here = cp_sccp_registered_ms(j->cmd->sccp, name) >= 0;

	if (here)
		add(j, name);
	return here;
}

static void free_job(struct job *j)
{
	json_decref(j->away);
	free(j->names);
	free(j);
}

/* All of it in one write, with the audit record, which is stolen (NULL: none). 0: 'fn' will be called. */
static int keep(struct job *j, json_t *audit, cp_store_fn fn)
{
	struct cp_batch *b = cp_batch_create();
	int rc = b == NULL ? -ENOMEM : j->rc;

	for (size_t i = 0; i < j->cnt && rc == 0; i++)
		rc = cp_resetkeep_put(b, j->names[i], j->type, j->per_second);
	if (rc == 0 && audit != NULL)
		rc = cp_batch_audit_json(b, audit);
	else
		json_decref(audit);
	if (rc < 0) {
		cp_batch_destroy(b);
		return rc;
	}
	cp_resetkeep_flush(j->cmd->keep); /* what is said of the same phones before comes before */
	return cp_store_submit(j->cmd->store, b, fn, j);
}

static void kept(void *ctx, int rc)
{
	struct job *j = ctx;
	unsigned n = rc < 0 || j->cmd->sccp == NULL ? 0 : cp_sccp_reset(j->cmd->sccp, j->type, (const char (*)[CP_DEVICE_NAME_MAX])j->names, j->cnt, 0);

	if (rc < 0)
		cfg_log(CFG_LOG_WARN, "phones-not-told", "phones=%zu rc=%d", j->cnt, rc);
	j->told(j->told_ctx, n);
	free_job(j);
}

void cp_resetcmd_after(void *ctx, const json_t *say, const char *subject, cp_admin_told_fn told, void *told_ctx)
{
	struct cp_resetcmd *c = ctx;
	const char *phones = json_string_value(json_object_get(say, "phones"));
	const char *scope = json_string_value(json_object_get(say, "scope"));
	struct job *j;
	int rc;

	if (c->sccp == NULL || phones == NULL || scope == NULL || strcmp(phones, "none") == 0 || json_is_true(json_object_get(say, "by_itself")) ||
	    (j = calloc(1, sizeof(*j))) == NULL) {
		told(told_ctx, 0);
		return;
	}
	*j = (struct job){.cmd = c, .type = strcmp(phones, "reset") == 0 ? CP_SCCP_RESET_RESET : CP_SCCP_RESET_RESTART, .told = told, .told_ctx = told_ctx};
	if (strcmp(scope, "all") == 0)
		cp_sccp_each(c->sccp, NULL, NULL, add, j);
	else if (strcmp(scope, "profile") == 0)
		add_profile(j, subject);
	else if (strcmp(scope, "srst") == 0)
		add_srst(j, subject);
	else if (strcmp(scope, "device") == 0)
		add_one(j, subject);
	rc = j->cnt > 0 || j->rc < 0 ? keep(j, NULL, kept) : 0;
	if (rc < 0 || (j->cnt == 0 && j->rc == 0)) {
		if (rc < 0)
			cfg_log(CFG_LOG_WARN, "phones-not-told", "phones=%zu rc=%d", j->cnt, rc);
		told(told_ctx, 0);
		free_job(j);
	}
}

/* --- the commands --- */

static void find_phones(struct job *j, const json_t *args)
{
	const char *profile = json_string_value(json_object_get(args, "profile"));
	const char *srst = json_string_value(json_object_get(args, "srst"));
	const json_t *names = json_object_get(args, "devices"), *v;
	size_t i;

	json_array_foreach(names, i, v)
		if (!add_one(j, json_string_value(v)))
			json_array_append_new(j->away, json_string(json_string_value(v)));
	if (profile != NULL)
		add_profile(j, profile);
	else if (srst != NULL)
		add_srst(j, srst);
	else if (names == NULL)
		cp_sccp_each(j->cmd->sccp, NULL, NULL, add, j);
}

static void asked(void *ctx, int rc)
{
	struct job *j = ctx;
	struct cp_sccp *s = j->cmd->sccp;
	unsigned n;

	if (rc < 0) { /* who told them must be on record */
		cp_admin_fail_rc(j->req, rc, "it cannot be written who asked, and which phones: no phone was told");
	} else if (s == NULL) {
		cp_admin_fail_rc(j->req, -ECANCELED, "the appliance stops; it goes on with it when it starts");
	} else {
		n = cp_sccp_reset(s, j->type, (const char (*)[CP_DEVICE_NAME_MAX])j->names, j->cnt, j->per_second);
		cp_admin_reply(j->req, json_pack("{s:i,s:i,s:O}", "phones", (int)n, "waiting", (int)cp_sccp_resets_waiting(s), "not_registered", j->away));
	}
	free_job(j);
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
	j = c->sccp != NULL ? calloc(1, sizeof(*j)) : NULL;
	if (j == NULL) {
		cp_admin_fail_rc(req, c->sccp != NULL ? -ENOMEM : -ECANCELED, NULL);
		return;
	}
	*j = (struct job){.cmd = c, .req = req, .type = type, .per_second = (unsigned)per_second, .away = json_array()};
	find_phones(j, args);
	rc = keep(j,
		  json_pack("{s:s,s:s,s:O}", "event", type == CP_SCCP_RESET_RESET ? "phone.reset" : "phone.restart", "who", cp_admin_who(req), "which", args),
		  asked);
	if (rc < 0) {
		cp_admin_fail_rc(req, rc, "it cannot be written who asked, and which phones: no phone was told");
		free_job(j);
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

struct cp_resetcmd *cp_resetcmd_create(struct cp_sccp *sccp, struct cp_store *store, struct cp_resetkeep *keep, struct cp_admin *admin)
{
	struct cp_resetcmd *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->sccp = sccp;
	c->store = store;
	c->keep = keep;
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
