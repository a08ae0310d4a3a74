/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who owns a number: the records of CP_CF_LINE. The key is 'E' (exact) or 'P' (prefix) and the number; device and
 * gateway records are the truth, these make "owned once" a property of a key. Private to the store.
 */
#ifndef CP_STORE_OWNER_H
#define CP_STORE_OWNER_H

#include "store.h"

struct cp_owner {
	uint8_t kind; /* enum cp_dir_kind: LINE or GATEWAY */
	char name[CP_NAME_MAX];
};

int cp_owner_build(const struct cp_owner *owner, struct cp_buf *ret);
int cp_owner_parse(const uint8_t *data, size_t len, struct cp_owner *ret);

#endif
