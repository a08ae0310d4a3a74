/* SPDX-License-Identifier: BSD-3-Clause */
/* What phones are told, shown; and all of it as an import file. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "log.h"
#include "phonejson.h"

struct count_uses {
	const char *profile;
	json_int_t n;
};

static void count_use(void *ctx, const struct cp_device *dev)
{
	struct count_uses *u = ctx;

	u->n += strcmp(dev->profile, u->profile) == 0;
}

static void profile_show(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_store *s = cmds_store(ctx);
	struct cp_profile p;
	const char *name = NULL;
	struct count_uses u = {0};
	json_t *o;

	if (cp_admin_arg_known(req, args, cmds_name_arg) < 0 || cp_admin_arg_str(req, args, "name", true, &name) < 0)
		return;
	if (cp_store_profile(s, name, &p) < 0) {
		cp_admin_fail(req, "not-found", "no profile %s", cfg_q(name));
		return;
	}
	o = profile_to_json(&p);
	u.profile = name;
	cp_dir_each_device(s, count_use, &u);
	json_object_set_new(o, "devices", json_integer(u.n));
	cp_profile_free(&p);
	cp_admin_reply(req, o);
}

static void cluster_show(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct cp_cluster cl;
	json_t *o;

	if (cp_admin_arg_known(req, args, cmds_no_args) < 0)
		return;
	cp_store_cluster(cmds_store(ctx), &cl);
	o = cluster_to_json(&cl);
	cp_cluster_free(&cl);
	cp_admin_reply(req, o);
}

struct list {
	json_t *profiles, *srsts;
};

static bool list_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct list *l = ctx;
	struct cp_profile p;
	struct cp_srst s;

	if (l->profiles != NULL && key_len > 8 && memcmp(key, "profile/", 8) == 0 && cp_profile_parse(val, len, &p) == 0) {
		json_array_append_new(l->profiles, profile_to_json(&p));
		cp_profile_free(&p);
	} else if (l->srsts != NULL && key_len > 5 && memcmp(key, "srst/", 5) == 0 && cp_srst_parse(val, len, &s) == 0) {
		json_array_append_new(l->srsts, srst_to_json(&s));
		cp_srst_free(&s);
	}
	return true;
}

static void show_profiles(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct list l = {json_array(), NULL};

	if (cp_admin_arg_known(req, args, cmds_no_args) < 0) {
		json_decref(l.profiles);
		return;
	}
	cp_store_each(cmds_store(ctx), CP_CF_PROFILE, list_one, &l);
	cp_admin_reply(req, l.profiles);
}

static void show_srst(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	struct list l = {NULL, json_array()};

	if (cp_admin_arg_known(req, args, cmds_no_args) < 0) {
		json_decref(l.srsts);
		return;
	}
	cp_store_each(cmds_store(ctx), CP_CF_PROFILE, list_one, &l);
	cp_admin_reply(req, l.srsts);
}

static void export_srst(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_srst s;

	if (key_len <= 5 || memcmp(key, "srst/", 5) != 0 || cp_srst_parse(val, len, &s) < 0)
		return;
	cp_bulk_item(b, srst_to_json(&s));
	cp_srst_free(&s);
}

static void export_profile(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_profile p;

	if (key_len <= 8 || memcmp(key, "profile/", 8) != 0 || cp_profile_parse(val, len, &p) < 0)
		return;
	cp_bulk_item(b, profile_to_json(&p));
	cp_profile_free(&p);
}

static void export_gateway(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct cp_gateway gw;

	(void)key;
	(void)key_len;
	if (cp_gateway_parse(val, len, &gw) < 0)
		return;
	cp_bulk_item(b, gateway_to_args(&gw));
	cp_gateway_free(&gw);
}

static void make_export(struct cp_bulk *b)
{
	struct cp_cluster c = {0};
	struct cp_buf val;

	cp_bulk_text(b, "{\"srst\":");
	cp_bulk_array(b);
	cp_bulk_each(b, CP_CF_PROFILE, NULL, export_srst);
	cp_bulk_text(b, "],\"profiles\":");
	cp_bulk_array(b);
	cp_bulk_each(b, CP_CF_PROFILE, NULL, export_profile);
	cp_bulk_text(b, "],\"devtypes\":");
	cp_bulk_array(b);
	cp_bulk_each(b, CP_CF_PROFILE, NULL, bulk_typerec);
	cp_bulk_text(b, "],\"regions\":");
	cp_bulk_array(b);
	cp_bulk_each(b, CP_CF_PROFILE, NULL, bulk_region);
	cp_bulk_text(b, "],\"devices\":");
	cp_bulk_array(b);
	cp_bulk_each(b, CP_CF_DEVICE, NULL, bulk_device);
	cp_bulk_text(b, "],\"gateways\":");
	cp_bulk_array(b);
	cp_bulk_each(b, CP_CF_GATEWAY, NULL, export_gateway);
	cp_bulk_text(b, "],\"cluster\":");
	if (cp_bulk_get(b, CP_CF_PROFILE, "cluster", 7, &val) == 0) {
		if (cp_cluster_parse(val.data, val.len, &c) < 0)
			memset(&c, 0, sizeof(c)); /* not served: as if there were none */
		free(val.data);
	}
	cp_bulk_value(b, cluster_to_json(&c));
	cp_cluster_free(&c);
	cp_bulk_text(b, ",");
	bulk_dialplan(b);
	cp_bulk_text(b, ",\"replace\":true,\"shared\":true}");
}

/* What import reads: secrets as they are sealed, good only where the same signer's keys are. */
static void export(void *ctx, struct cp_admin_req *req, const json_t *args)
{
	if (cp_admin_arg_known(req, args, cmds_no_args) == 0)
		cmds_bulk(ctx, req, make_export);
}

int cmds_phone_show(struct cmds *c, struct cp_admin *admin)
{
	static const struct {
		const char *cmd;
		cp_admin_fn fn;
	} list[] = {
		{"profile.show", profile_show},
		{"show.profiles", show_profiles},
		{"show.srst", show_srst},
		{"cluster.show", cluster_show},
		{"export", export},
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && rc == 0; i++)
		rc = cp_admin_register(admin, list[i].cmd, list[i].fn, c);
	return rc;
}
