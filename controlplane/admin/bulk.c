/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers that grow with the store. They are made on a thread, from what is synced on the disk, in steps, so that a failing
 * disk can be recovered from meanwhile; and their text is handed on without a copy. The loop is not held up by 100,000 phones.
 * A disk that cannot be read does not matter: the same is then made from the store's memory, on the loop.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bulk.h"
#include "internal.h"
#include "offload.h"

#define STEP      500 /* records of one look at the disk */
#define TEXT_STEP (1u << 20)

struct cp_bulk {
	struct cp_bulk_job job;
	struct cp_admin_req *req;
	bool view;  /* from memory, not from the disk */
	bool first; /* of an array */
	char *text; /* mapped: given back to the system, not to the heap, so that none of it stays */
	size_t len, cap;
	int rc;
};

/* --- text --- */

static int add(const char *data, size_t len, void *ctx)
{
	struct cp_bulk *b = ctx;

	if (b->rc < 0)
		return -1;
	if (b->len + len > b->cap) {
		size_t cap = b->cap == 0 ? TEXT_STEP : b->cap;
		void *p;

		while (cap < b->len + len)
			cap *= 2;
		p = b->text == NULL ? mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
				    : mremap(b->text, b->cap, cap, MREMAP_MAYMOVE);
		if (p == MAP_FAILED) {
			b->rc = -ENOMEM;
			return -1;
		}
		b->text = p;
		b->cap = cap;
	}
	memcpy(b->text + b->len, data, len);
	b->len += len;
	return 0;
}

static void unmap(const void *data, size_t len, void *ctx)
{
	(void)len;
	munmap((void *)(uintptr_t)data, (size_t)(uintptr_t)ctx);
}

static void drop(struct cp_bulk *b)
{
	if (b->text != NULL)
		munmap(b->text, b->cap);
	b->text = NULL;
	b->len = b->cap = 0;
	b->rc = 0;
}

void cp_bulk_text(struct cp_bulk *b, const char *text)
{
	add(text, strlen(text), b);
}

void cp_bulk_value(struct cp_bulk *b, json_t *value)
{
	if (value == NULL || json_dump_callback(value, add, b, JSON_COMPACT | JSON_ENCODE_ANY) < 0)
		b->rc = b->rc < 0 ? b->rc : -ENOMEM;
	json_decref(value);
}

void *cp_bulk_ctx(const struct cp_bulk *b)
{
	return b->job.ctx;
}

bool cp_bulk_on_loop(const struct cp_bulk *b)
{
	return b->view;
}

void cp_bulk_fail(struct cp_bulk *b, int rc)
{
	if (b->rc == 0)
		b->rc = rc;
}

void cp_bulk_array(struct cp_bulk *b)
{
	cp_bulk_text(b, "[");
	b->first = true;
}

void cp_bulk_item(struct cp_bulk *b, json_t *item)
{
	if (!b->first)
		cp_bulk_text(b, ",");
	b->first = false;
	cp_bulk_value(b, item);
}

/* --- records --- */

struct step {
	struct cp_bulk *b;
	cp_bulk_record_fn fn;
	const char *prefix;
	size_t prefix_len;
	uint8_t last[CP_STORE_KEY_MAX + 1]; /* with a zero behind it: the next key above it */
	size_t last_len;
	unsigned left;
};

static bool one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len)
{
	struct step *s = ctx;
	bool ours = key_len >= s->prefix_len && memcmp(key, s->prefix, s->prefix_len) == 0;

	if (s->b->view) {
		if (ours)
			s->fn(s->b, key, key_len, val, len);
		return s->b->rc == 0;
	}
	if (!ours)
		return false; /* the scan began at the first of them */
	if (s->left-- == 0 || key_len >= sizeof(s->last))
		return false;
	memcpy(s->last, key, key_len);
	s->last[key_len] = 0;
	s->last_len = key_len + 1;
	s->fn(s->b, key, key_len, val, len);
	return s->b->rc == 0;
}

void cp_bulk_each(struct cp_bulk *b, enum cp_cf cf, const char *prefix, cp_bulk_record_fn fn)
{
	struct step s = {.b = b, .fn = fn, .prefix = prefix != NULL ? prefix : ""};
	struct cp_store *store = b->job.store;

	s.prefix_len = strlen(s.prefix);
	if (b->view) {
		cp_store_each(store, cf, one, &s);
		return;
	}
	memcpy(s.last, s.prefix, s.prefix_len);
	s.last_len = s.prefix_len;
	do {
		int rc;

		s.left = STEP;
		rc = cp_store_scan(store, cf, s.last, s.last_len, one, &s);
		if (rc < 0 && b->rc == 0)
			b->rc = rc;
	} while (b->rc == 0 && s.left == UINT_MAX); /* there was one more */
}

int cp_bulk_get(struct cp_bulk *b, enum cp_cf cf, const void *key, size_t key_len, struct cp_buf *ret)
{
	struct cp_store *store = b->job.store;
	const uint8_t *val;
	size_t len;
	int rc = b->view ? cp_store_get(store, cf, key, key_len, &val, &len)
			 : cp_store_read(store, cf, key, key_len, &ret->data, &ret->len);

	if (rc == 0 && b->view) {
		*ret = (struct cp_buf){malloc(len > 0 ? len : 1), len};
		if (ret->data == NULL)
			return b->rc = -ENOMEM;
		memcpy(ret->data, val, len);
	}
	if (rc < 0 && rc != -ENOENT && b->rc == 0)
		b->rc = rc;
	return rc;
}

/* --- the job --- */

static void work(void *arg)
{
	struct cp_bulk *b = arg;

	cp_bulk_text(b, "{\"ok\":true,\"result\":");
	b->job.make(b);
	cp_bulk_text(b, "}");
}

static void bulk_free(struct cp_bulk *b)
{
	if (b->job.free_ctx != NULL)
		b->job.free_ctx(b->job.ctx);
	free(b);
}

static void done(void *arg)
{
	struct cp_bulk *b = arg;

	if (b->rc < 0 && b->rc != -ENOMEM && !b->view) {
		drop(b);
		b->view = true;
		work(b);
	}
	if (b->rc < 0) {
		cp_admin_fail_rc(b->req, b->rc, NULL);
		drop(b);
	} else {
		admin_reply_text(b->req, b->text, b->len, unmap, (void *)(uintptr_t)b->cap);
	}
	bulk_free(b);
}

void cp_bulk_run(struct cp_admin_req *req, const struct cp_bulk_job *job)
{
	struct cp_bulk *b = calloc(1, sizeof(*b));
	int rc;

	if (b == NULL) {
		if (job->free_ctx != NULL)
			job->free_ctx(job->ctx);
		cp_admin_fail_rc(req, -ENOMEM, NULL);
		return;
	}
	b->job = *job;
	b->req = req;
	if (job->offload == NULL) { /* no loop, no threads */
		b->view = true;
		work(b);
		done(b);
		return;
	}
	rc = cp_offload_run(job->offload, work, done, b);
	if (rc < 0) {
		cp_admin_fail_rc(req, rc, "too many answers are being made");
		bulk_free(b);
	}
}

void cmds_bulk(struct cmds *cmds, struct cp_admin_req *req, cp_bulk_fn make)
{
	cp_bulk_run(req, &(struct cp_bulk_job){.store = cmds_store(cmds), .offload = cmds_offload(cmds), .make = make});
}
