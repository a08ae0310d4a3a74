/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * phone.list: phones by their security mode, as their record and profile set it or as it is now (004b:SEC-18), with the columns that the
 * documents name. Made on a thread.
 */
#include "phonelist.h"

#include <errno.h>
#include <stdlib.h>

#include "admin.h"
#include "app.h"
#include "bulk.h"
#include "log.h"
#include "store/records.h"
#include "trust/lists.h"

struct find {
	enum cp_device_mode mode, effective; /* 0: any */
	bool mixed;
};

static void one(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	const struct find *f = cp_bulk_ctx(b);
	enum cp_device_mode effective;
	struct cp_device dev;

	(void)key, (void)key_len;
	if (cp_device_parse(val, len, &dev) < 0)
		return; /* not served: the alarm store-bad-record tells of it */
	effective = f->mixed ? dev.mode : CP_DEVICE_NONSECURE;
	if ((f->mode == 0 || f->mode == dev.mode) && (f->effective == 0 || f->effective == effective)) {
		json_t *numbers = json_array();

		for (unsigned i = 0; i < dev.line_cnt; i++)
			json_array_append_new(numbers, json_string(dev.lines[i].number));
		cp_bulk_item(b, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:s}", "device", dev.name, "model", dev.model, "mode",
					  cp_device_mode_name(dev.mode), "effective_mode", cp_device_mode_name(effective), "profile", dev.profile,
					  "description", dev.description, "numbers", numbers, "owner", dev.digest_user));
	}
	cp_device_free(&dev);
}

static void make(struct cp_bulk *b)
{
	cp_bulk_array(b);
	cp_bulk_each(b, CP_CF_DEVICE, NULL, one);
	cp_bulk_text(b, "]");
}

/* 0, with 0 in *ret if it was not asked for; or answered. */
static int mode_arg(struct cp_admin_req *req, const json_t *args, const char *name, enum cp_device_mode *ret)
{
	const char *text = NULL;

	if (cp_admin_arg_str(req, args, name, false, &text) < 0)
		return -EINVAL;
	if (text == NULL || cp_device_mode_parse(text, ret) == 0)
		return 0;
	cp_admin_fail(req, "invalid", "%s %s is not nonsecure, authenticated or encrypted", name, cfg_q(text));
	return -EINVAL;
}

static void phone_list(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	static const char *const known[] = {"mode", "effective_mode", NULL};
	struct cp_app *app = ctx;
	struct find f = {0}, *own;

	if (cp_admin_arg_known(req, args, known) < 0 || mode_arg(req, args, "mode", &f.mode) < 0 ||
	    mode_arg(req, args, "effective_mode", &f.effective) < 0)
		return;
	own = malloc(sizeof(*own));
	if (own == NULL) {
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	f.mixed = cp_lists_mode(app->lists) == CP_CLUSTER_MIXED;
	*own = f;
	cp_bulk_run(req, &(struct cp_bulk_job){.store = app->store, .offload = app->offload, .make = make, .free_ctx = free, .ctx = own});
}

int cp_phonelist_commands(struct cp_app *app)
{
	return cp_admin_register(app->admin, "phone.list", phone_list, app);
}
