/* SPDX-License-Identifier: BSD-3-Clause */
#include "capring.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct dp_capring {
	uint32_t size;
	uint8_t *mem;
	uint64_t head __attribute__((aligned(64))); /* producer's: bytes ever written */
	uint64_t seen_tail;                         /* producer's: the tail it knows */
	uint64_t tail __attribute__((aligned(64))); /* consumer's: bytes ever read */
};

static uint32_t whole(uint32_t len)
{
	return ((uint32_t)sizeof(struct dp_cap_rec) + len + 7) & ~7u;
}

struct dp_capring *dp_capring_create(uint32_t bytes)
{
	struct dp_capring *r = aligned_alloc(64, sizeof(*r));

	if (r == NULL)
		return NULL;
	memset(r, 0, sizeof(*r));
	r->size = bytes;
	r->mem = calloc(1, bytes);
	if (r->mem == NULL) {
		free(r);
		return NULL;
	}
	return r;
}

void dp_capring_destroy(struct dp_capring *r)
{
	if (r == NULL)
		return;
	explicit_bzero(r->mem, r->size);
	free(r->mem);
	free(r);
}

static bool room(struct dp_capring *r, uint32_t n)
{
	if (r->size - (r->head - r->seen_tail) >= n)
		return true;
	r->seen_tail = __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
	return r->size - (r->head - r->seen_tail) >= n;
}

struct dp_cap_rec *dp_capring_take(struct dp_capring *r, uint32_t len)
{
	uint32_t at = (uint32_t)r->head & (r->size - 1), n, end = r->size - at;
	struct dp_cap_rec *rec = (void *)(r->mem + at);

	if (len > r->size / 4)
		return NULL;
	n = whole(len);
	if (n > end) { /* a record is in one piece: the rest of the memory is skipped */
		if (!room(r, end + n))
			return NULL;
		rec->size = end; /* there are always 8 bytes */
		rec->len = UINT32_MAX;
		__atomic_store_n(&r->head, r->head + end, __ATOMIC_RELEASE);
		rec = (void *)r->mem;
	} else if (!room(r, n)) {
		return NULL;
	}
	rec->size = n;
	rec->len = len;
	return rec;
}

void dp_capring_push(struct dp_capring *r, const struct dp_cap_rec *rec)
{
	__atomic_store_n(&r->head, r->head + rec->size, __ATOMIC_RELEASE);
}

const struct dp_cap_rec *dp_capring_peek(struct dp_capring *r)
{
	while (__atomic_load_n(&r->head, __ATOMIC_ACQUIRE) != r->tail) {
		const struct dp_cap_rec *rec = (const void *)(r->mem + (r->tail & (r->size - 1)));

		if (rec->len != UINT32_MAX)
			return rec;
		__atomic_store_n(&r->tail, r->tail + rec->size, __ATOMIC_RELEASE);
	}
	return NULL;
}

void dp_capring_pop(struct dp_capring *r)
{
	struct dp_cap_rec *rec = (void *)(r->mem + (r->tail & (r->size - 1)));
	uint32_t n = rec->size;

	explicit_bzero(rec, n);
	__atomic_store_n(&r->tail, r->tail + n, __ATOMIC_RELEASE);
}
