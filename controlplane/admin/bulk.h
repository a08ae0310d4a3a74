/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers that grow with the store, made on a thread from what is synced on the disk, so that 100,000 records hold up nobody's loop.
 * What 'make' and the functions it calls may use is what follows, what of the store and the offload's other clients says "any
 * thread", and their own context; nothing else of the store or of the dispatcher.
 */
#ifndef CP_ADMIN_BULK_H
#define CP_ADMIN_BULK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin.h"
#include "store/store.h"

struct cp_bulk;
struct cp_offload;

typedef void (*cp_bulk_fn)(struct cp_bulk *b);
typedef void (*cp_bulk_record_fn)(struct cp_bulk *b, const uint8_t *key, size_t key_len, const uint8_t *val, size_t len);

struct cp_bulk_job {
	struct cp_store *store;
	struct cp_offload *offload; /* NULL: there are no threads; it is made at once */
	cp_bulk_fn make;            /* leads to one JSON value; called again, on the loop, if the disk could not be read */
	void (*free_ctx)(void *ctx); /* on the loop, once; may be NULL */
	void *ctx;
};

/** Answers 'req', now or later. 'job' is copied; its context is owned from here. */
void cp_bulk_run(struct cp_admin_req *req, const struct cp_bulk_job *job);

void *cp_bulk_ctx(const struct cp_bulk *b);
/** On the loop, from the store's memory: the disk could not be read, or there are no threads. Must not wait for others then. */
bool cp_bulk_on_loop(const struct cp_bulk *b);

void cp_bulk_text(struct cp_bulk *b, const char *text);
void cp_bulk_value(struct cp_bulk *b, json_t *value); /* taken */
void cp_bulk_array(struct cp_bulk *b);                /* '['; items have commas between them; ']' is cp_bulk_text()'s */
void cp_bulk_item(struct cp_bulk *b, json_t *item);   /* taken */
/** Each record of a family, or those whose key begins with 'prefix' (NULL: all), in key order. */
void cp_bulk_each(struct cp_bulk *b, enum cp_cf cf, const char *prefix, cp_bulk_record_fn fn);
/** One record: 0 and heap in *ret, or -ENOENT; other errors become the answer. */
int cp_bulk_get(struct cp_bulk *b, enum cp_cf cf, const void *key, size_t key_len, struct cp_buf *ret);
/** The answer is this error. The first one counts. */
void cp_bulk_fail(struct cp_bulk *b, int rc);

#endif
