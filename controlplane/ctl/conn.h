/* SPDX-License-Identifier: BSD-3-Clause */
/* ravelinctl and the admin socket: one connection, one request, one answer. */
#ifndef CP_CTL_CONN_H
#define CP_CTL_CONN_H

#include <jansson.h>

/**
 * A ctl_ask_fn (ctl.h) whose context is the socket's path. The whole answer, owned by the caller; NULL: the appliance does not answer, which
 * has been said.
 */
json_t *ctl_ask_at(void *socket_path, const char *cmd, json_t *args);

#endif
