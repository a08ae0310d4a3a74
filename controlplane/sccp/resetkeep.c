/* SPDX-License-Identifier: BSD-3-Clause */
#include "resetkeep.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "sccp.h"
#include "store/store.h"
#include "store/tab.h"

#define FOLDER "reset/"
#define LEN    3 /* of a value */

struct cp_resetkeep {
	struct cp_store *store;
	struct event *soon;     /* changes of a turn of the loop are one write */
	struct cp_batch *batch; /* NULL: nothing is to be written */
	struct cp_tab left;     /* of a process before, by name; n: per second << 8, and the type */
	bool stopped;
};

static size_t key_of(char key[CP_STORE_KEY_MAX], const char *name)
{
	return (size_t)snprintf(key, CP_STORE_KEY_MAX, FOLDER "%.*s", CP_DEVICE_NAME_MAX, name);
}

int cp_resetkeep_put(struct cp_batch *batch, const char *name, uint8_t type, unsigned per_second)
{
	char key[CP_STORE_KEY_MAX];
	size_t n = key_of(key, name);
	uint8_t val[LEN] = {type, (uint8_t)(per_second >> 8), (uint8_t)per_second};

	return cp_batch_put(batch, CP_CF_META, key, n, val, sizeof(val));
}

static void on_written(void *ctx, int rc)
{
	(void)ctx;
	if (rc < 0)
		cfg_log_limited(CFG_LOG_WARN, "resets-not-kept", "rc=%d", rc);
}

void cp_resetkeep_flush(struct cp_resetkeep *k)
{
	struct cp_batch *b = k->batch;
	int rc;

	k->batch = NULL;
	if (b == NULL)
		return;
	event_del(k->soon);
	rc = cp_store_submit(k->store, b, on_written, NULL);
	if (rc < 0)
		on_written(NULL, rc);
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	cp_resetkeep_flush(arg);
}

void cp_resetkeep_set(void *keep, const char *name, uint8_t type, unsigned per_second)
{
	const struct timeval now = {0, 0};
	struct cp_resetkeep *k = keep;
	char key[CP_STORE_KEY_MAX];
	size_t n = key_of(key, name);
	int rc;

	if (k->stopped)
		return;
	if (k->batch == NULL && (k->batch = cp_batch_create()) != NULL)
		evtimer_add(k->soon, &now);
	if (k->batch == NULL)
		rc = -ENOMEM;
	else
		rc = type != 0 ? cp_resetkeep_put(k->batch, name, type, per_second) : cp_batch_del(k->batch, CP_CF_META, key, n);
	if (rc < 0)
		on_written(NULL, rc);
}

bool cp_resetkeep_left(void *keep, const char *name, uint8_t *ret_type, unsigned *ret_per_second)
{
	struct cp_resetkeep *k = keep;
	const struct cp_ent *e = cp_tab_find(&k->left, name, strlen(name));

	if (e == NULL)
		return false;
	*ret_type = (uint8_t)e->n;
	*ret_per_second = e->n >> 8;
	cp_tab_del(&k->left, name, strlen(name));
	return true;
}

/* A device that is no more will not come back. */
static void on_device(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted)
{
	struct cp_resetkeep *k = ctx;
	char name[CP_DEVICE_NAME_MAX];

	(void)cf;
	if (!deleted || key_len >= sizeof(name) || cp_tab_find(&k->left, key, key_len) == NULL)
		return;
	memcpy(name, key, key_len);
	name[key_len] = '\0';
	cp_tab_del(&k->left, key, key_len);
	cp_resetkeep_set(k, name, 0, 0);
}

static bool load_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	const size_t folder = sizeof(FOLDER) - 1;
	struct cp_resetkeep *k = ctx;
	struct cp_ent *e;

	if (key_len <= folder || memcmp(key, FOLDER, folder) != 0)
		return true;
	if (len != LEN || key_len - folder >= CP_DEVICE_NAME_MAX || (val[0] != CP_SCCP_RESET_RESET && val[0] != CP_SCCP_RESET_RESTART)) {
		cfg_log_limited(CFG_LOG_WARN, "reset-record-unusable", "bytes=%zu", len);
		return true;
	}
	e = cp_tab_put(&k->left, key + folder, key_len - folder);
	if (e != NULL)
		e->n = (uint32_t)val[1] << 16 | (uint32_t)val[2] << 8 | val[0];
	return e != NULL;
}

struct cp_resetkeep *cp_resetkeep_create(struct event_base *base, struct cp_store *store)
{
	struct cp_resetkeep *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return NULL;
	k->store = store;
	k->soon = evtimer_new(base, on_soon, k);
	if (k->soon == NULL || cp_tab_init(&k->left, NULL) < 0 || cp_store_watch(store, CP_CF_DEVICE, on_device, k) < 0) {
		cp_resetkeep_destroy(k);
		return NULL;
	}
	cp_store_each(store, CP_CF_META, load_one, k);
	if (k->left.cnt > 0)
		cfg_log(CFG_LOG_NOTICE, "resets-taken-over", "phones=%u", (unsigned)k->left.cnt);
	return k;
}

void cp_resetkeep_stop(struct cp_resetkeep *k)
{
	if (k == NULL)
		return;
	cp_resetkeep_flush(k);
	k->stopped = true;
}

void cp_resetkeep_destroy(struct cp_resetkeep *k)
{
	if (k == NULL)
		return;
	if (k->soon != NULL)
		event_free(k->soon);
	cp_batch_destroy(k->batch);
	cp_tab_fini(&k->left);
	free(k);
}
