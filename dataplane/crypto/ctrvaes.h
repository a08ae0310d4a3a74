/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AES-CTR with VAES and AVX-512 masks, packet by packet, any key size, any length: no job manager. Reads and writes no
 * byte outside the data. NIST SP 800-38A s6.5; the counter is 32 bits wide.
 */
#ifndef DP_CRYPTO_CTRVAES_H
#define DP_CRYPTO_CTRVAES_H

#include <stdbool.h>

#include "crypto/job.h"

/** Has this CPU (and its system) what dp_ctrvaes_run() needs? */
bool dp_ctrvaes_usable(void);

/** Jobs 0 .. n-1, in place. */
void dp_ctrvaes_run(const struct dp_mb_ctr *jobs, unsigned int n);

#endif
