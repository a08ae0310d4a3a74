/* SPDX-License-Identifier: BSD-3-Clause */
/* Records of the dial plan from and to JSON: of its commands, of import and export. */
#ifndef CP_ADMIN_DIALJSON_H
#define CP_ADMIN_DIALJSON_H

#include <jansson.h>

#include "store/change.h"

/* An object into the change: 0, or -EINVAL and as cp_change_*_put(), with the member and what is wrong in 'why'. */
int json_change_partition(struct cp_change *c, const json_t *o, bool replace, char *why, size_t why_size);
int json_change_css(struct cp_change *c, const json_t *o, bool replace, char *why, size_t why_size);
int json_change_pattern(struct cp_change *c, const json_t *o, bool replace, char *why, size_t why_size);
/** What is not given stays as 'store' has it. */
int json_change_forward(struct cp_change *c, struct cp_store *store, const json_t *o, char *why, size_t why_size);

/** A record of CP_CF_DIAL as an object, which the caller owns; NULL: none that is known. */
json_t *dial_to_json(const uint8_t *key, size_t key_len, const uint8_t *val, size_t len);

#endif
