/* SPDX-License-Identifier: BSD-3-Clause */
/* Compare what one end played (raw G.711) with what the other recorded (G.711 WAV), frame by frame. */
#ifndef SIM_CMP_H
#define SIM_CMP_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "wav.h"

struct sim_cmp {
	size_t offset;     /* played frames before the first recorded one: the start-up edge */
	size_t matched, mismatched, missing;
	size_t total;      /* frames recorded, the missing ones included */
	size_t played;     /* frames played */
	size_t tail;       /* played frames behind the last recorded one */
	size_t first_mismatch; /* recorded frame, SIZE_MAX: none */
};

/**
 * Align by the offset with the most equal frames, the smallest such one; frame_len octets a frame. rec must be
 * G.711. 0, -EINVAL (nothing to compare).
 */
int sim_cmp(const uint8_t *played, size_t played_len, const struct sim_wav *rec, size_t frame_len,
	    struct sim_cmp *ret);

/**
 * The command: prints JSON to stdout. 0: everything behind an edge of at most 'edge' frames is equal, nothing
 * missing, and at most 'tail' played frames did not arrive at the end; 1: not so; 2: files.
 */
int sim_cmp_main(const char *played, const char *recorded, size_t edge, size_t tail, size_t min_frames);

#endif
