/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Warnings: a change was made, and what it leads to should be known. Devices of a shared line of an encrypted phone that are not
 * encrypted (000:P0-10, 004b:SEC-14); an encrypted 7940 or 7960 whose built-in bridge is on (001:P1-129, 004c:BG-02). In the answer's "warnings", and where a device is shown or explained.
 */
#ifndef CP_PROVISION_WARN_H
#define CP_PROVISION_WARN_H

#include <jansson.h>

#include "store/store.h"

enum cp_warn_of {
	CP_WARN_NONE,
	CP_WARN_DEVICE,  /* of the lines of the device 'name' */
	CP_WARN_PROFILE, /* of the devices that have the profile 'name' */
	CP_WARN_ALL,
};

/** Of the store as it is now: a new array of texts, at most 64, none twice. NULL: there is nothing to say. */
json_t *cp_warnings(const struct cp_store *store, enum cp_warn_of of, const char *name);

#endif
