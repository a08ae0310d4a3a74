/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who owns a number: the records of CP_CF_LINE. The key is 'E' (exact) or 'P' (prefix) and the number, with '@' and its partition if it is in one; device and
 * gateway records are the truth, these make "owned once" a property of a key. A shared line's number has several devices, in the
 * order in which they got it. Private to the store.
 */
#ifndef CP_STORE_OWNER_H
#define CP_STORE_OWNER_H

#include "store.h"

struct cp_owner_more {
	char name[CP_DEVICE_NAME_MAX];
};

struct cp_owner {
	uint8_t kind; /* enum cp_dir_kind: LINE or GATEWAY */
	char name[CP_NAME_MAX];     /* the first one */
	unsigned more_cnt;          /* below CP_LINE_DEVICES_MAX; LINE only */
	struct cp_owner_more *more; /* the other devices of a shared line */
};

int cp_owner_build(const struct cp_owner *owner, struct cp_buf *ret);
int cp_owner_parse(const uint8_t *data, size_t len, struct cp_owner *ret);
void cp_owner_free(struct cp_owner *owner); /* what it owns, not the struct */
/** Name 'i' of it, from 0; NULL: it has no more. */
const char *cp_owner_name(const struct cp_owner *owner, unsigned i);
/** Is 'name' one of them? */
bool cp_owner_has(const struct cp_owner *owner, const char *name);
/** The same owners but 'drop' (may be NULL), and 'add' (may be NULL) behind them: heap. *ret NULL: none is left. 0, -ENOMEM, -ENOSPC. */
int cp_owner_with(const struct cp_owner *owner, const char *drop, const char *add, struct cp_owner **ret);
/** For tables: frees the struct, too. */
void cp_owner_delete(void *owner);

#endif
