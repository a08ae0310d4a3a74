/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TFTP service: provision.threads threads, each with its own SO_REUSEPORT socket on provision.listen and a state machine
 * (tftpd.h) that no other thread touches. Created and destroyed on the event loop.
 */
#ifndef CP_PROVISION_TFTP_H
#define CP_PROVISION_TFTP_H

#include <jansson.h>

#include "files.h"

struct cfg_provision;
struct cp_tftp;

/** Listen and start. 0, or a negative errno of socket and thread. 'source' outlives it; 'cfg' is not kept. */
int cp_tftp_create(const struct cfg_provision *cfg, const struct cp_file_source *source, struct cp_tftp **ret_tftp);
/** Ends transfers and threads. NULL is allowed. */
void cp_tftp_destroy(struct cp_tftp *tftp);

uint16_t cp_tftp_port(const struct cp_tftp *tftp);
/** Counters, for "show provision": a new object. */
json_t *cp_tftp_show(const struct cp_tftp *tftp);

#endif
