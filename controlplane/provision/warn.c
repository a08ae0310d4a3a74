/* SPDX-License-Identifier: BSD-3-Clause */
/* What an operator is told beside "done": what was written is allowed, and is not what the documents advise. */
#include "warn.h"

#include <stdio.h>
#include <string.h>

#include "call/barge.h"
#include "sccp/devtype.h"
#include "store/phonecfg.h"
#include "store/typerec.h"

#define WARNINGS_MAX 64 /* of an import of thousands */

struct warns {
	const struct cp_store *store;
	const char *device, *profile; /* only these; NULL: all */
	struct cp_cluster cluster;
	json_t *list;
};

static void say(struct warns *w, json_t *text)
{
	size_t i;
	json_t *had;

	json_array_foreach(w->list, i, had) {
		if (json_equal(had, text)) {
			json_decref(text);
			return;
		}
	}
	if (json_array_size(w->list) < WARNINGS_MAX)
		json_array_append_new(w->list, text);
	else
		json_decref(text);
}

/* 000:P0-10, R-06, 004b:SEC-14, R-31: with an encrypted phone on a shared line all of them are. */
static void shared_line(struct warns *w, const char *number, const char *partition)
{
	struct cp_dir_place place[CP_LINE_DEVICES_MAX];
	unsigned n = cp_dir_line_devices(w->store, number, partition, place), weak = 0;
	const char *encrypted = NULL;
	char names[CP_LINE_DEVICES_MAX * 18] = "";

	for (unsigned i = 0; i < n; i++) {
		size_t len = strlen(names);

		if (place[i].device->mode == CP_DEVICE_ENCRYPTED)
			encrypted = encrypted == NULL ? place[i].device->name : encrypted;
		else
			snprintf(names + len, sizeof(names) - len, "%s%s", weak++ > 0 ? ", " : "", place[i].device->name);
	}
	if (encrypted == NULL || weak == 0)
		return;
	say(w, json_sprintf("line %s is shared with %s, which is encrypted: so must be %s", number, encrypted, names));
}

/* 001:P1-129, 004a:CALL-10, 004c:BG-01, BG-02. */
static void old_bridge(struct warns *w, const struct cp_device *dev)
{
	bool old = (cp_store_devtype(w->store, dev->model, 0).flags & CP_DT_OLD_SRTP) != 0;
	const char *text = cp_barge_warning(old, dev->mode == CP_DEVICE_ENCRYPTED, cp_bridge_on(dev->bridge, &w->cluster));

	if (text != NULL)
		say(w, json_string(text));
}

static void one_device(void *ctx, const struct cp_device *dev)
{
	struct warns *w = ctx;

	if ((w->device != NULL && strcmp(dev->name, w->device) != 0) || (w->profile != NULL && strcmp(dev->profile, w->profile) != 0))
		return;
	for (unsigned i = 0; i < dev->line_cnt; i++)
		shared_line(w, dev->lines[i].number, dev->lines[i].partition);
	old_bridge(w, dev);
}

json_t *cp_warnings(const struct cp_store *store, enum cp_warn_of of, const char *name)
{
	struct warns w = {.store = store, .list = json_array()};
	const struct cp_device *dev;

	cp_store_cluster(store, &w.cluster);
	w.device = of == CP_WARN_DEVICE ? name : NULL;
	w.profile = of == CP_WARN_PROFILE ? name : NULL;
	if (of == CP_WARN_DEVICE && (dev = cp_dir_device(store, name)) != NULL)
		one_device(&w, dev);
	else if (of == CP_WARN_PROFILE || of == CP_WARN_ALL)
		cp_dir_each_device(store, one_device, &w);
	cp_cluster_free(&w.cluster);
	if (json_array_size(w.list) > 0)
		return w.list;
	json_decref(w.list);
	return NULL;
}
