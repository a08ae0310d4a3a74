/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "srtp/ext.h"

#define UNIT    64
#define CLASSES 64    /* blocks of 64 to 4,096 bytes, head included */
#define PIECE   65536 /* what is taken at a time */

/* Behind each block's end: whose it is, so that whoever gives it back need not know. */
struct tail {
	struct dp_srtp_slab *slab;
	uint64_t zero;
};

struct dp_srtp_slab {
	void *(*grow)(size_t bytes);
	void (*shrink)(void *mem);
	void *free[CLASSES + 1]; /* by size in units; linked through the first bytes */
	void *pieces;            /* linked through the first bytes of each */
	uint8_t *at;             /* rest of the newest piece */
	size_t left, used, held;
};

static size_t units(size_t size)
{
	return (size + sizeof(struct tail) + UNIT - 1) / UNIT;
}

static struct tail *tail_of(void *block, size_t size)
{
	return (void *)((uint8_t *)block + units(size) * UNIT - sizeof(struct tail));
}

struct dp_srtp_slab *dp_srtp_slab_create(void *(*grow)(size_t bytes), void (*shrink)(void *mem))
{
	struct dp_srtp_slab *slab = calloc(1, sizeof(*slab));

	if (slab == NULL)
		return NULL;
	slab->grow = grow;
	slab->shrink = shrink;
	return slab;
}

void dp_srtp_slab_destroy(struct dp_srtp_slab *slab)
{
	if (slab == NULL)
		return;
	while (slab->pieces != NULL) {
		void *piece = slab->pieces;

		memcpy(&slab->pieces, piece, sizeof(void *));
		explicit_bzero(piece, PIECE); /* keys that nobody gave back */
		slab->shrink(piece);
	}
	free(slab);
}

static bool more(struct dp_srtp_slab *slab)
{
	uint8_t *piece = slab->grow(PIECE);

	if (piece == NULL)
		return false;
	memcpy(piece, &slab->pieces, sizeof(void *));
	slab->pieces = piece;
	/* What was left of the piece before is lost: less than a block. */
	slab->at = piece + UNIT;
	slab->left = PIECE - UNIT;
	slab->held += PIECE;
	return true;
}

void *dp_srtp_slab_take(struct dp_srtp_slab *slab, size_t size)
{
	size_t n = units(size);
	void *block;

	if (n > CLASSES)
		return NULL;
	if (slab == NULL) {
		block = aligned_alloc(UNIT, n * UNIT);
	} else if (slab->free[n] != NULL) {
		block = slab->free[n];
		memcpy(&slab->free[n], block, sizeof(void *));
	} else {
		if (slab->left < n * UNIT && !more(slab))
			return NULL;
		block = slab->at;
		slab->at += n * UNIT;
		slab->left -= n * UNIT;
	}
	if (block == NULL)
		return NULL;
	memset(block, 0, n * UNIT);
	tail_of(block, size)->slab = slab;
	if (slab != NULL)
		slab->used += n * UNIT;
	return block;
}

void dp_srtp_slab_give(void *block, size_t size)
{
	struct dp_srtp_slab *slab = tail_of(block, size)->slab;
	size_t n = units(size);

	explicit_bzero(block, n * UNIT);
	if (slab == NULL) {
		free(block);
		return;
	}
	slab->used -= n * UNIT;
	memcpy(block, &slab->free[n], sizeof(void *));
	slab->free[n] = block;
}

size_t dp_srtp_slab_used(const struct dp_srtp_slab *slab)
{
	return slab->used;
}

size_t dp_srtp_slab_held(const struct dp_srtp_slab *slab)
{
	return slab->held;
}
