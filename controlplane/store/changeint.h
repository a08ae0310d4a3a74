/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of a change (change.h): change.c has what it holds and writes, devchange.c, confchange.c and dialchange.c the rules of its records.
 * Private to the store.
 */
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

/** The record as the change has it, else as the view has it: borrowed. *ret_there: there is one, perhaps unreadable (then NULL). */
void *cp_change_get(const struct cp_change *c, const struct cp_tab *overlay, enum cp_cf cf, const char *name, bool *ret_there);
/** The entry's object, also on error not to be freed by the caller if it is the old one. 0, -ENOMEM. */
int cp_change_set(struct cp_tab *overlay, const void *key, size_t key_len, void *obj);
/** The same of encoded bytes, which are taken, also on error; data NULL: deleted. */
int cp_change_set_buf(struct cp_tab *overlay, const char *key, struct cp_buf *val);
/** Who owns the number as the change has it; *ret_there: somebody does, perhaps unreadable. */
const struct cp_owner *cp_change_owner(const struct cp_change *c, const char *key, size_t key_len, bool *ret_there);
/** A record of the family is on its way to the store: who uses what is not known for sure. */
bool cp_change_any_pending(const struct cp_store *s, enum cp_cf cf);
/** They free the struct, too. */
void cp_change_free_device(void *device);
void cp_change_free_gateway(void *gateway);

/* confchange.c */
/** A device's profile and SRST reference exist and fit; its mode becomes the profile's (000:K0-3). */
int cp_change_fit_profile(const struct cp_change *c, struct cp_device *dev, char *why, size_t why_size);
/**
 * 004b:SEC-10, 000:P0-32: only what the type can do. A record from before this was asked ('old', else NULL) keeps what it has until somebody
 * changes that. Voice-mail ports have no type.
 */
int cp_change_fit_type(const struct cp_change *c, const struct cp_device *old, const struct cp_device *dev, char *why, size_t why_size);

/* dialchange.c */
/** Partitions and calling search spaces of a device are there, and no pattern is one of its numbers. */
int cp_change_fit_dial(const struct cp_change *c, const struct cp_device *dev, char *why, size_t why_size);
/** No pattern is one of the gateway's numbers (-EEXIST), and none leads to an endpoint that 'old' (NULL: it is new) had and 'gw' has not (-EPROTO). */
int cp_change_fit_gateway(const struct cp_change *c, const struct cp_gateway *gw, const struct cp_gateway *old, char *why, size_t why_size);
/** -EPROTO: a pattern leads to the gateway. */
int cp_change_gateway_used(const struct cp_change *c, const char *gateway, char *why, size_t why_size);
/** The forwarding of a number that nobody has any more goes, too. */
int cp_change_drop_forward(const struct cp_change *c, struct cp_batch *b, const uint8_t *number_key, size_t key_len);

#endif
