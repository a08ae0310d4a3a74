/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of a change (change.h), shared by change.c and dialchange.c. Private to the store. */
#ifndef CP_STORE_CHANGEINT_H
#define CP_STORE_CHANGEINT_H

#include "change.h"
#include "internal.h"

/* Overlays over the view: an entry without object means deleted. */
struct cp_change {
	struct cp_store *store;
	struct cp_tab devs, gws, nums;
	struct cp_tab confs; /* of family profile, encoded: struct cp_buf */
	struct cp_tab dials; /* of family dial, the same */
	bool shared; /* numbers that other devices have may be taken */
};

/** The entry's object, also on error not to be freed by the caller if it is the old one. 0, -ENOMEM. */
int cp_change_set(struct cp_tab *overlay, const void *key, size_t key_len, void *obj);
/** The same of encoded bytes, which are taken, also on error; data NULL: deleted. */
int cp_change_set_buf(struct cp_tab *overlay, const char *key, struct cp_buf *val);
/** Who owns the number as the change has it; *ret_there: somebody does, perhaps unreadable. */
const struct cp_owner *cp_change_owner(const struct cp_change *c, const char *key, size_t key_len, bool *ret_there);
/** A device is on its way to the store: who uses what is not known for sure. */
bool cp_change_devices_pending(const struct cp_store *s);

/* dialchange.c */
/** Partitions and calling search spaces of a device are there, and no pattern is one of its numbers. */
int cp_change_fit_dial(const struct cp_change *c, const struct cp_device *dev, char *why, size_t why_size);
/** -EPROTO: a pattern leads to the gateway. */
int cp_change_gateway_used(const struct cp_change *c, const char *gateway, char *why, size_t why_size);
/** What the change has of the family, and the forwarding of numbers that nobody has any more, into the batch. */
int cp_change_add_dials(const struct cp_change *c, struct cp_batch *b);
int cp_change_drop_forward(const struct cp_change *c, struct cp_batch *b, const uint8_t *number_key, size_t key_len);

#endif
