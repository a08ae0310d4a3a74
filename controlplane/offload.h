/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Work that may block (the signer, files) away from the event loop: 'work' runs on a thread of its own, then
 * 'done' on the loop. At most CP_OFFLOAD_MAX at once.
 */
#ifndef CP_OFFLOAD_H
#define CP_OFFLOAD_H

#define CP_OFFLOAD_MAX 16

struct event_base;
struct cp_offload;

struct cp_offload *cp_offload_create(struct event_base *base);

/** Waits for the threads; their 'done' are called from here. NULL is allowed. */
void cp_offload_destroy(struct cp_offload *off);

/** 0, -EAGAIN (too many at once, or 'off' is NULL: it stops), or the reason why no thread could be made; nothing is called then. */
int cp_offload_run(struct cp_offload *off, void (*work)(void *job), void (*done)(void *job), void *job);

#endif
