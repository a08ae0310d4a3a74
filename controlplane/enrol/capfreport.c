/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All devices' operations, made on a thread from what is on the disk (admin/bulk.h): 20,000 of them hold up nobody. First what each
 * device holds and is, then its operation; the signer opens the strings one after the other.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "admin/bulk.h"
#include "app.h"
#include "enrol/capfcmd.h"
#include "enrol/capfop.h"
#include "store/store.h"
#include "store/tab.h"

struct known { /* of a device */
	char serial[CP_LSC_SERIAL_MAX]; /* of the newest LSC that it holds */
	int64_t offered_us, expires_us;
	bool exists, told;
	char model[CP_TEXT_MAX], profile[CP_NAME_MAX];
};

struct report {
	struct cp_signer *signer; /* NULL: none */
	int64_t now_us, expiring_us; /* 0: not asked for */
	int status;               /* -1: all */
	char *profile, *model;    /* NULL: all */
	struct cp_tab known;      /* obj: struct known */
	bool made;                /* the table */
};

static void report_free(void *ctx)
{
	struct report *r = ctx;

	if (r->made)
		cp_tab_fini(&r->known);
	free(r->profile);
	free(r->model);
	free(r);
}

static struct known *of(struct cp_bulk *b, const char *device)
{
	struct report *r = cp_bulk_ctx(b);
	struct cp_ent *e = cp_tab_put(&r->known, device, strlen(device));

	if (e != NULL && e->obj == NULL)
		e->obj = calloc(1, sizeof(struct known));
	if (e == NULL || e->obj == NULL) {
		cp_bulk_fail(b, -ENOMEM);
		return NULL;
	}
	return e->obj;
}

static void on_lsc(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct known *k;
	struct cp_lsc l;

	(void)key;
	(void)key_len;
	if (cp_lsc_parse(val, len, &l) < 0)
		return; /* an alarm tells of it */
	if (l.state == CP_LSC_HELD && (k = of(b, l.device)) != NULL && (k->serial[0] == '\0' || l.offered_us >= k->offered_us)) {
		memcpy(k->serial, l.serial, sizeof(k->serial));
		k->offered_us = l.offered_us;
		k->expires_us = l.expires_us;
	}
	cp_lsc_free(&l);
}

static void on_device(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_device dev;
	struct known *k;

	(void)key;
	(void)key_len;
	if (cp_device_parse(val, len, &dev) < 0)
		return;
	k = of(b, dev.name);
	if (k != NULL) {
		k->exists = true;
		memcpy(k->model, dev.model, sizeof(k->model));
		memcpy(k->profile, dev.profile, sizeof(k->profile));
	}
	cp_device_free(&dev);
}

static bool wanted(const struct report *r, const struct cp_capf_oprec *rec, const struct known *k)
{
	if (r->status >= 0 && rec->status != r->status)
		return false;
	if (r->profile != NULL && strcmp(r->profile, k->profile) != 0)
		return false;
	if (r->model != NULL && strcmp(r->model, k->model) != 0)
		return false;
	return r->expiring_us == 0 || (k->serial[0] != '\0' && k->expires_us <= r->expiring_us);
}

static void put(struct cp_bulk *b, const struct cp_capf_oprec *rec, struct known *k)
{
	struct report *r = cp_bulk_ctx(b);
	char string[CP_CAPF_STRING_MAX + 1] = "";

	k->told = true;
	if (!wanted(r, rec, k))
		return;
	/* On the loop nobody waits for the signer: the disk is what has to be seen to then. */
	cp_capf_string_open(cp_bulk_on_loop(b) ? NULL : r->signer, rec, string);
	cp_bulk_item(b, cp_capf_row(&(struct cp_capf_row){rec, string, k->serial, k->expires_us, k->model, k->profile}, r->now_us));
	OPENSSL_cleanse(string, sizeof(string));
}

static void on_op(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct report *r = cp_bulk_ctx(b);
	struct cp_capf_oprec rec;
	struct known *k;

	(void)key;
	(void)key_len;
	if (cp_capf_oprec_parse(val, len, &rec) < 0)
		return;
	(void)cp_capf_op_expire(&rec, r->now_us);
	k = of(b, rec.device);
	if (k != NULL)
		put(b, &rec, k);
	cp_capf_oprec_free(&rec);
}

/* Devices that hold an LSC and never had an operation here: restored from a backup of what is older than operations. */
static void without_op(struct cp_bulk *b)
{
	struct report *r = cp_bulk_ctx(b);
	struct cp_ent **sorted = cp_tab_sorted(&r->known);

	for (size_t i = 0; sorted != NULL && i < r->known.cnt; i++) {
		struct cp_capf_oprec none = {.op = 0};
		struct known *k = sorted[i]->obj;

		if (k == NULL || k->told || k->serial[0] == '\0' || sorted[i]->key_len >= sizeof(none.device))
			continue;
		memcpy(none.device, sorted[i]->key, sorted[i]->key_len);
		put(b, &none, k);
	}
	free(sorted);
}

static void make(struct cp_bulk *b)
{
	struct report *r = cp_bulk_ctx(b);

	if (r->made)
		cp_tab_fini(&r->known);
	r->made = cp_tab_init(&r->known, free) == 0;
	if (!r->made) {
		cp_bulk_fail(b, -ENOMEM);
		return;
	}
	cp_bulk_each(b, CP_CF_CAPF, "lsc/", on_lsc);
	cp_bulk_each(b, CP_CF_DEVICE, NULL, on_device);
	cp_bulk_array(b);
	cp_bulk_each(b, CP_CF_CAPF, "op/", on_op);
	without_op(b);
	cp_bulk_text(b, "]");
}

static int text_arg(struct cp_admin_req *req, const json_t *args, const char *name, char **ret)
{
	const char *text = NULL;

	if (cp_admin_arg_str(req, args, name, false, &text) < 0)
		return -EINVAL;
	*ret = text != NULL ? strdup(text) : NULL;
	return 0;
}

static void report(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"status", "expiring", "profile", "model", NULL};
	static const char *const words[] = {"none", "pending", "failed", "successful"};
	struct cp_app *app = ctx;
	struct report *r = calloc(1, sizeof(*r));
	const char *status = NULL;
	int64_t days = -1;

	if (r == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "status", false, &status) < 0 ||
	    cp_admin_arg_int(req, args, "expiring", false, 0, 36500, &days) < 0 || text_arg(req, args, "profile", &r->profile) < 0 ||
	    text_arg(req, args, "model", &r->model) < 0) {
		report_free(r);
		return;
	}
	r->status = -1;
	for (int i = 0; status != NULL && i < 4; i++)
		if (strcmp(status, words[i]) == 0)
			r->status = i;
	if (status != NULL && r->status < 0) {
		cp_admin_fail(req, "invalid", "status is none, pending, failed or successful");
		report_free(r);
		return;
	}
	r->signer = app->signer;
	r->now_us = cp_capfcmd_now_us();
	if (days >= 0)
		r->expiring_us = r->now_us + days * 86400 * 1000000;
	cp_bulk_run(req, &(struct cp_bulk_job){app->store, app->offload, make, report_free, r});
}

int cp_capf_report_commands(struct cp_app *app)
{
	return cp_admin_register(app->admin, "capf.report", report, app);
}
