/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command table in parts, one a subject: cmds_*.c have the options and the commands, table.c puts them together. Private to them.
 */
#ifndef CP_CTL_TABLE_H
#define CP_CTL_TABLE_H

#include <stddef.h>

#include "ctl.h"

#define NO_POS {{NULL, CTL_STR, NULL, false}, {NULL, CTL_STR, NULL, false}}
#define POS_AS(n, type, m) {{n, type, m, false}, {NULL, CTL_STR, NULL, false}}
#define POS(n, m) POS_AS(n, CTL_STR, m)
#define END {NULL, NULL, CTL_STR, NULL, NULL, false, NULL}
#define CTL_END {NULL, NULL, NO_POS, NULL, CTL_PLAIN, NULL}

extern const struct ctl_cmd ctl_cmds_machine[];
extern const struct ctl_cmd ctl_cmds_phone[];
extern const struct ctl_cmd ctl_cmds_dial[];
extern const struct ctl_cmd ctl_cmds_run[];
extern const struct ctl_cmd ctl_cmds_trust[];
extern const struct ctl_cmd ctl_cmds_capf[];

#endif
