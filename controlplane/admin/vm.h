/* SPDX-License-Identifier: BSD-3-Clause */
/* Voice-mail servers and their ports, as records. */
#ifndef CP_ADMIN_VM_H
#define CP_ADMIN_VM_H

struct cmds;
struct cp_admin;

/** Registers vm.server.add {name, ports, mode} and show.vm {mode}. 0, -ENOMEM, -EEXIST. */
int cmds_vm(struct cmds *cmds, struct cp_admin *admin);

#endif
