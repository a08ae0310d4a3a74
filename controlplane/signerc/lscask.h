/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LSCs asked of the signer from the event loop: one connection, CP_LSCASK_MAX questions on it at once, answered in the order in which they
 * were asked. Nothing here waits and no thread is needed: with one for each question, making it took as long as a handshake. A connection
 * that broke fails what was asked on it, and is made again by the next question. One thread.
 */
#ifndef CP_LSCASK_H
#define CP_LSCASK_H

#include <stddef.h>
#include <stdint.h>

#include "spki.h"

#define CP_LSCASK_MAX 64

struct cp_lscask;
struct event_base;

/** rc 0 and the certificate's DER, valid during the call; else the errors of signerc.h, with a line in 'why'. From the loop only. */
typedef void cp_lscask_fn(void *ctx, int rc, const uint8_t *der, size_t len, const char *why);

/** RUN_DIR/signer.sock; does not connect yet. An answer that takes longer than timeout_ms ends the connection. 0, -ENOMEM, -ENAMETOOLONG. */
int cp_lscask_create(struct event_base *base, const char *run_dir, unsigned timeout_ms, struct cp_lscask **ret);
/** What is outstanding is called with -ECANCELED, from here. NULL is allowed. */
void cp_lscask_destroy(struct cp_lscask *a);

/** 0: 'fn' will be called, not from inside; -EAGAIN: CP_LSCASK_MAX are outstanding; or the signer is not there: signerc.h. */
int cp_lscask(struct cp_lscask *a, const char *device, const struct pki_spki *key, cp_lscask_fn *fn, void *ctx);

#endif
