/* SPDX-License-Identifier: BSD-3-Clause */
/* Call detail records for operators: cdr.list. */
#ifndef CP_ADMIN_CDR_H
#define CP_ADMIN_CDR_H

#include <jansson.h>

struct cmds;
struct cp_admin;
struct cp_cdr;

/** One as a flat object, the same members in the same order for all: a new reference. */
json_t *cp_cdr_json(const struct cp_cdr *cdr);

/** Registers the command. As cp_admin_register(). */
int cmds_cdr(struct cmds *c, struct cp_admin *admin);

#endif
