/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread that writes captures: takes records from the workers' rings (capring.h) and puts each into the file of its
 * capture. It is no lcore: it runs where EAL's control threads run, sleeps while there is nothing to do, and a disk that
 * stands still stops nobody but it. The main lcore starts and ends captures; what they share is under a mutex that
 * no worker knows of.
 */
#ifndef DP_CAPWRITER_H
#define DP_CAPWRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "capfile.h"

struct dp_capring;
struct dp_capwriter;

/**
 * A writer for the rings of 'n' workers, with its thread. 'real_ns' is the wall clock at TSC 'cyc', 'hz' TSC's rate.
 * NULL: no memory, no thread.
 */
struct dp_capwriter *dp_capwriter_create(struct dp_capring *const *rings, unsigned int n, uint64_t real_ns, uint64_t cyc,
					 uint64_t hz);

/** The workers add nothing any more. Files that are open are closed. Takes NULL. */
void dp_capwriter_destroy(struct dp_capwriter *w);

/** Records of 'slot' (below DP_CAPTURE_MAX, free) go to 'file', which is the writer's from here. */
void dp_capwriter_start(struct dp_capwriter *w, unsigned int slot, struct dp_capfile *file);

/** Has the slot's file taken its last packet by itself? 0: no; DP_CAPTURE_FULL; DP_CAPTURE_FAILED with *ret_rc. */
uint8_t dp_capwriter_ended(const struct dp_capwriter *w, unsigned int slot, int *ret_rc);

/** Packets and bytes so far. */
void dp_capwriter_stat(const struct dp_capwriter *w, unsigned int slot, uint64_t *ret_pkts, uint64_t *ret_bytes);

/** No worker adds to this slot any more: write what is in the rings, close. 'lost' goes into the file's statistics. */
void dp_capwriter_finish(struct dp_capwriter *w, unsigned int slot, uint64_t lost);

/** Is that done? Then the slot is free again. *ret_rc is the file's first error. */
bool dp_capwriter_finished(struct dp_capwriter *w, unsigned int slot, int *ret_rc, uint64_t *ret_pkts,
			   uint64_t *ret_bytes);

#endif
