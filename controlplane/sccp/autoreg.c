/* SPDX-License-Identifier: BSD-3-Clause */
#include "autoreg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarm.h"
#include "log.h"
#include "sccp/devtype.h"
#include "store/store.h"

#define ALARM    "auto-numbers-used-up"
#define SUBJECT  "sccp.auto_numbers"
#define TRIES    8 /* numbers that are being written by others */

struct cp_autoreg {
	struct cp_autoreg_env env;
	uint64_t next;  /* where the search goes on */
	unsigned pending;
	bool used_up;   /* until a number or a device goes */
	bool stopped;
};

struct add {
	struct cp_autoreg *a;
	char name[CP_DEVICE_NAME_MAX];
};

const char *cp_autoreg_model(uint32_t type)
{
	const struct cp_devtype *t = cp_devtype_find("", type);

	return t->type != 0 ? t->model : "";
}

/* What went may have been a number of ours. */
static void changed(void *ctx, enum cp_cf cf, const uint8_t *key, size_t key_len, bool deleted)
{
	struct cp_autoreg *a = ctx;

	(void)cf;
	(void)key;
	(void)key_len;
	if (!deleted || !a->used_up)
		return;
	a->used_up = false;
	cp_alarm_clear(a->env.alarms, ALARM, SUBJECT);
}

struct cp_autoreg *cp_autoreg_create(const struct cp_autoreg_env *env)
{
	struct cp_autoreg *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->env = *env;
	a->next = env->first;
	if (cp_store_watch(env->store, CP_CF_LINE, changed, a) < 0) {
		free(a);
		return NULL;
	}
	return a;
}

void cp_autoreg_stop(struct cp_autoreg *a)
{
	if (a != NULL)
		a->stopped = true;
}

void cp_autoreg_destroy(struct cp_autoreg *a)
{
	free(a);
}

static void written(void *ctx, int rc)
{
	struct add *add = ctx;
	struct cp_autoreg *a = add->a;

	a->pending--;
	if (rc < 0)
		cfg_log_limited(CFG_LOG_ERR, "auto-registration-failed", "device=%s reason=%s", add->name, cfg_q(strerror(-rc)));
	else
		cfg_log(CFG_LOG_NOTICE, "auto-registered", "device=%s", add->name);
	if (!a->stopped)
		a->env.added(a->env.ctx, add->name, rc);
	free(add);
}

/* The next number that nobody has; false: none. One that is on its way is found out when it is put. */
static bool next_number(struct cp_autoreg *a, char number[CP_NUMBER_MAX])
{
	uint64_t cnt = a->env.last - a->env.first + 1;

	for (uint64_t i = 0; i < cnt; i++) {
		struct cp_dir_hit hit;

		snprintf(number, CP_NUMBER_MAX, "%0*llu", a->env.digits, (unsigned long long)a->next);
		a->next = a->next == a->env.last ? a->env.first : a->next + 1;
		if (!cp_dir_number(a->env.store, number, &hit, NULL) || hit.prefix) /* a gateway's prefix leaves room for a phone's own */
			return true;
	}
	return false;
}

static int put(struct cp_autoreg *a, struct add *add, uint32_t type, char *why, size_t size)
{
	struct cp_line line = {.label = ""};
	struct cp_device dev = {.mode = CP_DEVICE_NONSECURE, .srtp = true, .region = "default", .line_cnt = 1, .lines = &line};
	struct cp_dir_ctx x = {.who = "auto-registration", .fn = written, .ctx = add, .why = why, .why_size = size};
	int rc = -ENOSPC;

	memcpy(dev.name, add->name, sizeof(dev.name));
	snprintf(dev.model, sizeof(dev.model), "%s", cp_autoreg_model(type));
	for (int i = 0; i < TRIES; i++) {
		if (!next_number(a, line.number)) {
			a->used_up = true;
			cp_alarm_raise(a->env.alarms, ALARM, CP_ALARM_MAJOR, SUBJECT,
				       "every number of the range has an owner: %s and others are refused; remedy: a larger range, or ravelinctl line del",
				       add->name);
			snprintf(why, size, "no number is left for phones without a record");
			return -ENOSPC;
		}
		snprintf(dev.description, sizeof(dev.description), "Auto %s", line.number);
		rc = cp_dir_device_put(a->env.store, &dev, false, &x);
		if (rc != -EEXIST && rc != -EBUSY)
			break;
	}
	return rc;
}

int cp_autoreg_add(struct cp_autoreg *a, const char *name, uint32_t type, char *why, size_t size)
{
	struct add *add;
	int rc;

	snprintf(why, size, "not in the store");
	if (a->stopped || a->env.last == 0 || !a->env.allowed(a->env.ctx))
		return -EACCES;
	if (!cp_device_name_ok(name))
		return -EINVAL;
	if (a->used_up) {
		snprintf(why, size, "no number is left for phones without a record");
		return -ENOSPC;
	}
	if (a->pending >= CP_AUTOREG_PENDING) {
		snprintf(why, size, "too many new phones at once");
		return -EBUSY;
	}
	add = calloc(1, sizeof(*add));
	if (add == NULL)
		return -ENOMEM;
	add->a = a;
	memcpy(add->name, name, strlen(name) + 1);
	rc = put(a, add, type, why, size);
	if (rc < 0)
		free(add);
	else
		a->pending++;
	return rc;
}
