/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that reset phones, and what the answers to changes say of it. Event loop's thread. */
#ifndef CP_SCCP_RESETCMD_H
#define CP_SCCP_RESETCMD_H

#include <jansson.h>

#include "admin/admin.h"

struct cp_resetcmd;
struct cp_resetkeep;
struct cp_sccp;
struct cp_store;

/** Registers phone.reset, phone.restart, show.resets; all are borrowed. NULL: no memory. */
struct cp_resetcmd *cp_resetcmd_create(struct cp_sccp *sccp, struct cp_store *store, struct cp_resetkeep *keep, struct cp_admin *admin);
/** The service goes: what waits for the audit is answered "cancelled". Before cp_sccp_destroy(). NULL is allowed. */
void cp_resetcmd_stop(struct cp_resetcmd *cmd);
/** After the store and the dispatcher are closed. NULL is allowed. */
void cp_resetcmd_destroy(struct cp_resetcmd *cmd);

/**
 * A change was synced whose answer says 'say' (cp_reset_say()), and who asked for it wants the phones to be told now: they are, as
 * phone.reset does. 'told' is called once, perhaps from inside, with how many are registered, when it is synced that they are to be told.
 */
void cp_resetcmd_after(void *cmd, const json_t *say, const char *subject, cp_admin_told_fn told, void *told_ctx);

#endif
