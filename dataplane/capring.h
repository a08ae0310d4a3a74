/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker's way to the capture writer: a ring of bytes with one producer and one consumer, of a size that is taken once.
 * A record that does not fit is not waited for: the worker counts it as lost. The consumer wipes what it has read, since
 * a record may hold speech.
 */
#ifndef DP_CAPRING_H
#define DP_CAPRING_H

#include <assert.h>
#include <stdint.h>

#define DP_CAPRING_BYTES (1u << 20) /* of one worker: about a second of 20 calls' packets */

struct dp_cap_rec {
	uint32_t size;     /* bytes of the record with its data, a multiple of 8 */
	uint32_t len;      /* bytes at data[]; UINT32_MAX: none, the ring goes on at its beginning */
	uint64_t cyc;      /* TSC */
	uint32_t orig_len; /* bytes of the packet */
	uint8_t slot;      /* capture */
	uint8_t dir;       /* enum dp_dir */
	uint8_t zero[2];
	uint8_t data[];
};
static_assert(sizeof(struct dp_cap_rec) == 24, "multiple of 8");

struct dp_capring;

/** Memory for a ring of 'bytes' (a power of two). NULL: no memory. destroy takes NULL, wipes. */
struct dp_capring *dp_capring_create(uint32_t bytes);
void dp_capring_destroy(struct dp_capring *r);

/** Producer: room for a record with 'len' bytes of data; NULL: full, or len is more than a quarter of the ring. Then fill it and push. */
struct dp_cap_rec *dp_capring_take(struct dp_capring *r, uint32_t len);
void dp_capring_push(struct dp_capring *r, const struct dp_cap_rec *rec);

/** Consumer: the oldest record, NULL: none. It stays until pop, which wipes it. */
const struct dp_cap_rec *dp_capring_peek(struct dp_capring *r);
void dp_capring_pop(struct dp_capring *r);

#endif
