/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file source for the servers' tests: "sN" is a file of N bytes, "tN" of N bytes of text with line ends, "cN" the same as "sN"
 * but secret, "iN" the same as an ITL; "late/sN" comes when ff_deliver() is called, "err/N" gives -N, all else is not there. Counts what it gives out.
 */
#ifndef TESTS_FAKE_FILES_H
#define TESTS_FAKE_FILES_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provision/files.h"

struct ff_late {
	cp_file_fn fn;
	void *ctx;
	char name[CP_FILE_NAME_MAX];
};

static atomic_int ff_living; /* files that nobody has put back */
/* Counted behind what they count: who sees the number may look at it. */
static atomic_uint ff_gets, ff_fetched;
static struct cp_file_ask ff_last, ff_last_fetched;
static struct ff_late ff_late[64];
static atomic_uint ff_late_n;
static bool (*ff_needs)(const char *device);

static inline uint8_t ff_byte(size_t i)
{
	return (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16));
}

static void ff_destroy(struct cp_file *f)
{
	atomic_fetch_sub(&ff_living, 1);
	free((void *)(uintptr_t)f->data);
	free(f);
}

#define FF_MAX 1000000

static uint8_t ff_bytes[FF_MAX], ff_lines[FF_MAX];

static void ff_fill(void)
{
	for (size_t i = 0; i < FF_MAX; i++) {
		ff_bytes[i] = ff_byte(i);
		ff_lines[i] = i % 10 == 9 ? '\n' : i % 37 == 5 ? '\r' : (uint8_t)('a' + i % 26);
	}
}

static int ff_make(const char *name, struct cp_file **ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct cp_file *f;
	uint8_t *data;
	size_t n;

	if ((name[0] != 's' && name[0] != 't' && name[0] != 'c' && name[0] != 'i') || name[1] < '0' || name[1] > '9')
		return -ENOENT;
	n = (size_t)strtoul(name + 1, NULL, 10);
	if (n > FF_MAX)
		return -ENOENT;
	f = calloc(1, sizeof(*f));
	data = malloc(n + 1); /* the exact size would do: one byte more keeps malloc(0) out */
	if (f == NULL || data == NULL)
		abort();
	pthread_once(&once, ff_fill);
	memcpy(data, name[0] == 't' ? ff_lines : ff_bytes, n);
	f->data = data;
	f->len = n;
	f->refs = 1;
	f->destroy = ff_destroy;
	f->mtime = 1700000000;
	f->secret = name[0] == 'c';
	f->kind = name[0] == 'i' ? CP_FILE_ITL : CP_FILE_PLAIN;
	snprintf(f->name, sizeof(f->name), "%s", name);
	snprintf(f->etag, sizeof(f->etag), "\"e%zu%c\"", n, name[0]);
	atomic_fetch_add(&ff_living, 1);
	*ret = f;
	return 0;
}

static int ff_get(void *ctx, const struct cp_file_ask *ask, struct cp_file **ret, cp_file_fn fn, void *fn_ctx)
{
	(void)ctx;
	ff_last = *ask;
	ff_gets++;
	if (!cp_file_name_ok(ask->name))
		abort(); /* the servers check first */
	if (strncmp(ask->name, "late/", 5) == 0 && ff_late_n < 64) {
		struct ff_late *l = &ff_late[ff_late_n];

		l->fn = fn;
		l->ctx = fn_ctx;
		snprintf(l->name, sizeof(l->name), "%s", ask->name + 5);
		ff_late_n++;
		return -EINPROGRESS;
	}
	if (strncmp(ask->name, "err/", 4) == 0) {
		int n = atoi(ask->name + 4); /* a fuzzer's too: neither "here" without a file nor what no source says */

		return n > 0 && n < 200 ? -n : -ENOENT;
	}
	return ff_make(ask->name, ret);
}

/* Answer what waits. */
static inline void ff_deliver(void)
{
	unsigned n = ff_late_n;

	ff_late_n = 0;
	for (unsigned i = 0; i < n; i++) {
		struct cp_file *f = NULL;
		int rc = ff_make(ff_late[i].name, &f);

		ff_late[i].fn(ff_late[i].ctx, rc, f);
	}
}

static void ff_note(void *ctx, const struct cp_file_ask *ask, const struct cp_file *file)
{
	(void)ctx;
	if (file == NULL)
		abort();
	ff_last_fetched = *ask;
	ff_fetched++;
}

static bool ff_needs_token(void *ctx, const char *device)
{
	(void)ctx;
	return ff_needs != NULL && ff_needs(device);
}

static inline struct cp_file_source ff_source(void)
{
	return (struct cp_file_source){ff_get, ff_note, ff_needs_token, NULL};
}

#endif
