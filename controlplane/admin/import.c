/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Import: {"cluster":{...},"srst":[...],"profiles":[...],"devtypes":[...],"regions":[...],"devices":[...],"lines":[...],"gateways":[...],
 * "replace":false,"shared":false}, items as in srst.add, profile.add, devtype.install, region.set, device.add, line.add and gateway.add ("ike_psk" has been sealed before, importseal.c), the cluster's settings as in cluster.set. All items are checked first; if one is wrong nothing is changed, and the answer lists what is wrong. What
 * is right is one batch: after a power cut all of it is there or nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialjson.h"
#include "ike/ikerec.h"
#include "internal.h"
#include "sccp/resets.h"
#include "store/change.h"
#include "why.h"

#define ERRORS_MAX 100 /* listed; all are counted */

enum kind { SRST, PROFILES, DEVTYPES, REGIONS, PARTITIONS, CSS, DEVICES, GATEWAYS, LINES, PATTERNS, FORWARDS, KINDS }; /* in this order: lines may be of new devices */

struct import {
	struct cp_change *change;
	struct cp_store *store;
	json_t *errors;
	size_t wrong, busy;
	struct cp_line *lines;
	struct cp_endpoint *eps;
	struct cp_gw_number *nums;
	bool replace, old_algorithms;
};

static int one(struct import *im, int what, const json_t *item, char *why, size_t size)
{
	bool replace = im->replace;
	const char *device = NULL;
	struct cp_gateway gw = {0};
	struct cp_device dev;
	struct cp_line line;
	int rc;

	switch (what) {
	case SRST:
		return json_change_srst(im->change, item, im->replace, why, size);
	case PROFILES:
		return json_change_profile(im->change, item, im->replace, why, size);
	case DEVTYPES:
		return json_change_typerec(im->change, item, im->replace, why, size);
	case REGIONS:
		return json_change_region(im->change, item, im->replace, why, size);
	case PARTITIONS:
		return json_change_partition(im->change, item, im->replace, why, size);
	case CSS:
		return json_change_css(im->change, item, im->replace, why, size);
	case DEVICES:
		rc = json_to_device(item, &dev, im->lines, &replace, why, size);
		if (rc == 0)
			rc = cp_change_device_put(im->change, &dev, replace, why, size);
		free(dev.digest_secret.data);
		free(dev.config_key.data);
		return rc;
	case GATEWAYS:
		if (json_object_get(item, "ike_psk") != NULL && !cmds_psk_ok(json_string_value(json_object_get(item, "ike_psk"))))
			return cfg_invalid(why, size, "ike_psk is not %d to %d bytes of printable UTF-8", CMDS_PSK_MIN, CMDS_PSK_MAX);
		rc = json_to_gateway(item, &gw, im->eps, im->nums, &replace, why, size);
		if (rc == 0)
			rc = cp_ike_allowed(&gw.ike, im->old_algorithms, why, size);
		if (rc == 0)
			rc = cp_change_gateway_put(im->change, &gw, replace, why, size);
		free(gw.ike.psk.data);
		return rc;
	case PATTERNS:
		return json_change_pattern(im->change, item, im->replace, why, size);
	case FORWARDS:
		return json_change_forward(im->change, im->store, item, why, size);
	default:
		rc = json_to_line(item, &line, &device, why, size);
		return rc < 0 ? rc : cp_change_line_add(im->change, device, &line, why, size);
	}
}

static int attempt(struct import *im, struct pending_change *p, char *why, size_t size)
{
	static const char *const kinds[KINDS] = {"srst", "profiles", "devtypes", "regions", "partitions", "css",
						     "devices", "gateways", "lines", "patterns", "forwards"};
	const json_t *cluster = json_object_get(p->args, "cluster");
	json_int_t counts[KINDS] = {0}, all = 0;
	json_t *item;
	size_t i;

	for (int what = 0; what < KINDS; what++) {
		json_t *list = json_object_get(p->args, kinds[what]);

		if (list != NULL && !json_is_array(list)) {
			snprintf(why, size, "%s is not an array", kinds[what]);
			return -EINVAL;
		}
		json_array_foreach(list, i, item) {
			char text[512] = "";
			int rc = one(im, what, item, text, sizeof(text));
			json_t *name;

			counts[what]++;
			all++;
			if (rc == 0)
				continue;
			if (rc == -ENOMEM)
				return rc;
			im->wrong++;
			im->busy += rc == -EBUSY;
			if (im->wrong > ERRORS_MAX)
				continue;
			name = json_object_get(item, what == LINES || what == FORWARDS ? "number" : what == PATTERNS ? "pattern" : what == REGIONS ? "a" : "name");
			json_array_append_new(im->errors,
					      json_pack("{s:s,s:I,s:s,s:s,s:s}", "list", kinds[what], "index", (json_int_t)i,
							"name", json_is_string(name) ? json_string_value(name) : "",
							"code", cp_admin_code(rc), "message", text));
		}
	}
	if (im->wrong > 0) {
		snprintf(why, size, "%zu of %lld items are wrong: nothing was changed", im->wrong,
			 (long long)all);
		return im->busy == im->wrong ? -EBUSY : -EINVAL;
	}
	if (cluster != NULL) {
		int rc = json_change_cluster(im->change, cluster, why, size);

		if (rc < 0)
			return rc;
	}
	p->result = json_pack("{s:I,s:I,s:I}", "devices", counts[DEVICES], "gateways", counts[GATEWAYS], "lines", counts[LINES]);
	for (int what = 0; what < KINDS; what++)
		if (counts[what] > 0)
			json_object_set_new(p->result, kinds[what], json_integer(counts[what]));
	return 0;
}

int attempt_import(struct pending_change *p, char *why, size_t size)
{
	static const char *const known[] = {"cluster", "srst", "profiles", "devtypes", "regions", "partitions", "css", "devices", "gateways", "lines",
					    "patterns", "forwards", "replace", NULL};
	json_t *args = (json_t *)(uintptr_t)p->args; /* jansson's iterators take no const; nothing is changed */
	const json_t *replace = json_object_get(args, "replace");
	struct import im = {.replace = json_is_true(replace)};
	int rc = 0;

	for (void *it = json_object_iter(args); it != NULL; it = json_object_iter_next(args, it)) {
		const char *const *n = known;

		while (*n != NULL && strcmp(*n, json_object_iter_key(it)) != 0)
			n++;
		if (*n == NULL) {
			snprintf(why, size, "unknown member: there are cluster, srst, profiles, devtypes, regions, partitions, css, devices, gateways, lines, "
					    "patterns, forwards, replace and shared");
			return -EINVAL;
		}
	}
	if (replace != NULL && !json_is_boolean(replace)) {
		snprintf(why, size, "replace is not true or false");
		return -EINVAL;
	}
	im.store = cmds_store(p->cmds);
	im.old_algorithms = cmds_backend(p->cmds)->old_algorithms;
	im.change = cp_change_create(im.store);
	im.errors = json_array();
	im.lines = malloc(CP_DEVICE_LINES_MAX * sizeof(*im.lines));
	im.eps = malloc(CP_GW_ENDPOINTS_MAX * sizeof(*im.eps));
	im.nums = malloc(CP_GW_NUMBERS_MAX * sizeof(*im.nums));
	if (im.change != NULL)
		cp_change_share(im.change, p->shared);
	change_warns(p, CP_WARN_ALL, "");
	if (im.change == NULL || im.errors == NULL || im.lines == NULL || im.eps == NULL || im.nums == NULL)
		rc = -ENOMEM;
	if (rc == 0)
		rc = attempt(&im, p, why, size);
	if (rc == 0) {
		rc = cp_change_submit(im.change, "import", cp_admin_who(p->req), json_copy(p->result), change_written, p);
		im.change = NULL;
	}
	if (rc == 0 && (json_object_get(args, "cluster") != NULL || json_object_get(args, "profiles") != NULL ||
			json_object_get(args, "srst") != NULL)) /* devices that are written are told by themselves */
		change_says(p, CP_RESET_EV_IMPORT, NULL);
	if (rc < 0 && im.wrong > 0)
		p->more = json_pack("{s:I,s:O}", "wrong", (json_int_t)im.wrong, "items", im.errors);
	cp_change_destroy(im.change);
	json_decref(im.errors);
	free(im.lines);
	free(im.eps);
	free(im.nums);
	return rc;
}
