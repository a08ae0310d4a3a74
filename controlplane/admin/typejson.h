/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A package of a device type (store/typerec.h) as operators install it:
 *
 *     {"devtype": 1, "name": "ACME 100", "vendor": "ACME", "description": "desk phone", "sccp_type": 4711,
 *      "security": {"authentication": true, "encryption": true, "media": true},
 *      "features": {"icon": true, "tone": false, "bridge": false}}
 *
 * Security is off unless the package switches it on, and must be said (000:P0-29). An unknown member is an error.
 */
#ifndef CP_ADMIN_TYPEJSON_H
#define CP_ADMIN_TYPEJSON_H

#include <jansson.h>

#include "store/typerec.h"

/** 0, or -EINVAL with what is wrong in 'why'. */
int json_to_typerec(const json_t *o, struct cp_typerec *ret, char *why, size_t why_size);
json_t *typerec_to_json(const struct cp_typerec *t);

#endif
