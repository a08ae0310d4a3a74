/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Admin requests through the dispatcher and the store's commands. The store has no event loop, so that every change
 * is checked in full and refused at the last step: one input does not change what the next one meets.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "alarm.h"
#include "log.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct cp_admin *admin;
static char dir[] = "/tmp/ravelin-fuzz-XXXXXX";
static unsigned answers;

static int rm_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void clean(void)
{
	nftw(dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void put(struct cp_store *s, enum cp_cf cf, const char *key, struct cp_buf *v)
{
	struct cp_batch *b = cp_batch_create();

	cp_batch_put(b, cf, key, strlen(key), v->data, v->len);
	free(v->data);
	if (cp_store_commit(s, b) < 0)
		abort();
}

static void start(void)
{
	struct cp_admin_backend be = {.version = "fuzz"};
	struct cp_store_opts o = {0};
	struct cp_line line = {.number = "1000", .label = "a"};
	struct cp_device dev = {.name = "SEP000000000001", .mode = CP_DEVICE_ENCRYPTED, .region = "default",
				.lines = &line, .line_cnt = 1};
	struct cp_gateway gw = {.name = "gw1", .region = "default"};
	struct cp_buf v;
	char path[64], err[256];

	cfg_log_init("fuzz", CFG_LOG_KV, CFG_LOG_ERR);
	if (mkdtemp(dir) == NULL)
		abort();
	atexit(clean);
	snprintf(path, sizeof(path), "%s/store", dir);
	o.path = path;
	if (cp_store_open(&o, &be.store, err, sizeof(err)) < 0)
		abort();
	be.alarms = cp_alarms_create();
	if (cp_device_build(&dev, &v) < 0)
		abort();
	put(be.store, CP_CF_DEVICE, dev.name, &v);
	cfg_addr_parse("10.0.0.1:2427", &gw.address);
	if (cp_gateway_build(&gw, &v) < 0)
		abort();
	put(be.store, CP_CF_GATEWAY, gw.name, &v);
	admin = cp_admin_create(NULL);
	if (admin == NULL || cp_admin_commands(admin, &be) < 0)
		abort();
}

static void on_answer(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	answers++;
	if (len < 2 || line[0] != '{' || line[len - 1] != '}' || memchr(line, '\n', len) != NULL)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	unsigned before = answers;

	if (admin == NULL)
		start();
	cp_admin_input(admin, (const char *)data, len, on_answer, NULL);
	if (answers != before + 1)
		abort(); /* exactly one answer */
	return 0;
}
