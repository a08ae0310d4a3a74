/* SPDX-License-Identifier: BSD-3-Clause */
/* Phones found by their security mode. */
#ifndef CP_ADMIN_PHONELIST_H
#define CP_ADMIN_PHONELIST_H

struct cp_app;

/** Register phone.list; the app's store, offload and lists are there when it is asked. 0 or negative errno. */
int cp_phonelist_commands(struct cp_app *app);

#endif
