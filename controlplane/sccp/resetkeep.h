/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Phones that are to be told to reset or restart, in the store: a process that is killed goes on where it was. Family meta, key
 * "reset/NAME", three bytes: CP_SCCP_RESET_*, and how many a second the asker wants, 16 bits (0: as configured). The appliance's own: not in a
 * backup. A record goes when its phone has been told, or has left; after a restart, when the phone has come back and been told, or its device
 * is deleted. Event loop's thread.
 */
#ifndef CP_SCCP_RESETKEEP_H
#define CP_SCCP_RESETKEEP_H

#include <stdbool.h>
#include <stdint.h>

struct cp_batch;
struct cp_resetkeep;
struct cp_store;
struct event_base;

/** Reads what a process before left. The store is borrowed. NULL: no memory. */
struct cp_resetkeep *cp_resetkeep_create(struct event_base *base, struct cp_store *store);
/** The service goes, and phones with it, which changes nothing of what they are to be told. Before the store is closed. NULL is allowed. */
void cp_resetkeep_stop(struct cp_resetkeep *keep);
void cp_resetkeep_destroy(struct cp_resetkeep *keep);

/** Into a batch of the caller's. As cp_batch_put(). */
int cp_resetkeep_put(struct cp_batch *batch, const char *name, uint8_t type, unsigned per_second);
/** What was to be written is on its way before this returns: a batch that is submitted now comes behind it. */
void cp_resetkeep_flush(struct cp_resetkeep *keep);

/* As struct cp_sccp_opts has them; 'keep' is the context. */
void cp_resetkeep_set(void *keep, const char *name, uint8_t type, unsigned per_second);
bool cp_resetkeep_left(void *keep, const char *name, uint8_t *ret_type, unsigned *ret_per_second);

#endif
