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
#include "clock.h"
#include "enrol/capfcmd.h"
#include "enrol/capfop.h"
#include "enrol/capfsurvey.h"
#include "store/store.h"
#include "store/tab.h"
#include "store/waverec.h"

struct report {
	struct cp_store *store;
	struct cp_signer *signer; /* NULL: none */
	int64_t now_us, expiring_us; /* 0: not asked for */
	int status;               /* -1: all */
	char *profile, *model;    /* NULL: all */
	uint32_t wave;            /* 0: all */
	struct cp_tab known;
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

static struct cp_capf_known *of(struct cp_bulk *b, const char *device)
{
	struct report *r = cp_bulk_ctx(b);
	struct cp_capf_known *k = cp_capf_known(&r->known, device);

	if (k == NULL)
		cp_bulk_fail(b, -ENOMEM);
	return k;
}

static bool wanted(const struct report *r, const struct cp_capf_oprec *rec, const struct cp_capf_known *k)
{
	if (r->status >= 0 && rec->status != r->status)
		return false;
	if (r->profile != NULL && strcmp(r->profile, k->profile) != 0)
		return false;
	if (r->model != NULL && strcmp(r->model, k->model) != 0)
		return false;
	return r->expiring_us == 0 || (k->serial[0] != '\0' && k->expires_us <= r->expiring_us);
}

static void put(struct cp_bulk *b, const struct cp_capf_oprec *rec, struct cp_capf_known *k, const struct cp_wave_item *item)
{
	struct report *r = cp_bulk_ctx(b);
	char string[CP_CAPF_STRING_MAX + 1] = "", wave[16] = "";
	uint32_t id = item != NULL ? item->wave : rec->wave;
	json_t *row;

	k->told = true;
	if (!wanted(r, rec, k))
		return;
	/* On the loop nobody waits for the signer: the disk is what has to be seen to then. */
	cp_capf_string_open(cp_bulk_on_loop(b) ? NULL : r->signer, rec, string);
	row = cp_capf_row(&(struct cp_capf_row){rec, string, k->serial, k->expires_us, k->model, k->profile}, r->now_us);
	OPENSSL_cleanse(string, sizeof(string));
	if (id != 0)
		snprintf(wave, sizeof(wave), "%u", id);
	json_object_set_new(row, "wave", json_string(wave));
	if (item != NULL && item->op_id != rec->id) { /* it has no operation of this wave */
		json_object_set_new(row, "status", json_string(cp_wave_item_state_name(item->state)));
		json_object_set_new(row, "error", json_string(item->why));
	}
	cp_bulk_item(b, row);
}

static void on_op(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct report *r = cp_bulk_ctx(b);
	struct cp_capf_oprec rec;
	struct cp_capf_known *k;

	(void)key;
	(void)key_len;
	if (cp_capf_oprec_parse(val, len, &rec) < 0)
		return;
	(void)cp_capf_op_expire(&rec, r->now_us);
	k = of(b, rec.device);
	if (k != NULL)
		put(b, &rec, k, NULL);
	cp_capf_oprec_free(&rec);
}

/* Devices that hold an LSC and never had an operation here: restored from a backup of what is older than operations. */
static void without_op(struct cp_bulk *b)
{
	struct report *r = cp_bulk_ctx(b);
	struct cp_ent **sorted = cp_tab_sorted(&r->known);

	for (size_t i = 0; sorted != NULL && i < r->known.cnt; i++) {
		struct cp_capf_oprec none = {.op = 0};
		struct cp_capf_known *k = sorted[i]->obj;

		if (k == NULL || k->told || k->serial[0] == '\0' || sorted[i]->key_len >= sizeof(none.device))
			continue;
		memcpy(none.device, sorted[i]->key, sorted[i]->key_len);
		put(b, &none, k, NULL);
	}
	free(sorted);
}

static void on_item(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct report *r = cp_bulk_ctx(b);
	struct cp_capf_oprec rec = {.op = 0};
	struct cp_wave_item item;
	struct cp_capf_known *k;
	struct cp_buf buf;
	char op[32];

	(void)key;
	(void)key_len;
	if (cp_wave_item_parse(val, len, &item) < 0)
		return;
	snprintf(op, sizeof(op), "op/%s", item.device);
	if (item.op_id != 0 && cp_bulk_get(b, CP_CF_CAPF, op, strlen(op), &buf) == 0) {
		if (cp_capf_oprec_parse(buf.data, buf.len, &rec) < 0)
			rec = (struct cp_capf_oprec){.op = 0};
		free(buf.data);
		(void)cp_capf_op_expire(&rec, r->now_us);
	}
	if (rec.id != item.op_id) {
		cp_capf_oprec_free(&rec);
		rec = (struct cp_capf_oprec){.op = 0};
	}
	memcpy(rec.device, item.device, sizeof(rec.device));
	k = of(b, item.device);
	if (k != NULL)
		put(b, &rec, k, &item);
	cp_capf_oprec_free(&rec);
	cp_wave_item_free(&item);
}

static void make(struct cp_bulk *b)
{
	struct report *r = cp_bulk_ctx(b);
	char prefix[32];
	int rc;

	if (r->made)
		cp_tab_fini(&r->known);
	r->made = true;
	rc = cp_capf_survey(r->store, cp_bulk_on_loop(b), false, NULL, &r->known);
	if (rc < 0) {
		cp_bulk_fail(b, rc);
		return;
	}
	cp_bulk_array(b);
	if (r->wave != 0) {
		cp_bulk_each(b, CP_CF_CAPF, cp_wave_items_prefix(r->wave, prefix), on_item);
	} else {
		cp_bulk_each(b, CP_CF_CAPF, "op/", on_op);
		without_op(b);
	}
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
	static const char *const known[] = {"status", "expiring", "profile", "model", "wave", NULL};
	static const char *const words[] = {"none", "pending", "failed", "successful"};
	struct cp_app *app = ctx;
	struct report *r = calloc(1, sizeof(*r));
	const char *status = NULL;
	int64_t days = -1, wave = 0;

	if (r == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	if (cp_admin_arg_known(req, args, known) < 0 || cp_admin_arg_str(req, args, "status", false, &status) < 0 ||
	    cp_admin_arg_int(req, args, "expiring", false, 0, 36500, &days) < 0 || text_arg(req, args, "profile", &r->profile) < 0 ||
	    text_arg(req, args, "model", &r->model) < 0 ||
	    cp_admin_arg_int(req, args, "wave", false, 1, UINT32_MAX, &wave) < 0) {
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
	if (wave != 0) {
		struct cp_wave_rec rec;

		if (cp_store_wave(app->store, (uint32_t)wave, &rec) < 0) {
			cp_admin_fail(req, "not-found", "no wave %lld", (long long)wave);
			report_free(r);
			return;
		}
		cp_wave_rec_free(&rec);
	}
	r->wave = (uint32_t)wave;
	r->store = app->store;
	r->signer = app->signer;
	r->now_us = cp_wall_us();
	if (days >= 0)
		r->expiring_us = r->now_us + days * 86400 * 1000000;
	cp_bulk_run(req, &(struct cp_bulk_job){app->store, app->offload, make, report_free, r});
}

int cp_capf_report_commands(struct cp_app *app)
{
	return cp_admin_register(app->admin, "capf.report", report, app);
}
