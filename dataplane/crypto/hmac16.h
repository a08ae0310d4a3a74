/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HMAC-SHA1 of 16 messages side by side, one in each 32-bit lane of AVX-512 registers: no job manager, nothing kept
 * between calls, messages of different lengths in one burst. Reads no byte outside the messages, writes none but tags.
 */
#ifndef DP_CRYPTO_HMAC16_H
#define DP_CRYPTO_HMAC16_H

#include <stdbool.h>

#include "crypto/job.h"

/** Has this CPU (and its system) what dp_hmac16_run() needs? */
bool dp_hmac16_usable(void);

/**
 * The tags of jobs 0 .. n-1. Where fewer than 'few' lanes would have work left (0: never), messages are
 * finished by crypto/sha1ni.h, which the CPU must have then.
 */
void dp_hmac16_run(const struct dp_mb_hmac *b, unsigned int n, unsigned int few);

#endif
