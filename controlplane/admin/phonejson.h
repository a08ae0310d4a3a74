/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Profiles, SRST references, the cluster's settings and a device's fields for its files, from and to JSON. *_set: members
 * that are given change the record; 0, or -EINVAL with the member and what is wrong in 'why', -ENOMEM.
 */
#ifndef CP_ADMIN_PHONEJSON_H
#define CP_ADMIN_PHONEJSON_H

#include <jansson.h>

#include "store/phonecfg.h"

int json_profile_set(const json_t *o, struct cp_profile *p, char *why, size_t why_size);
int json_srst_set(const json_t *o, struct cp_srst *s, char *why, size_t why_size);
int json_cluster_set(const json_t *o, struct cp_cluster *c, char *why, size_t why_size);
int json_device_set(const json_t *o, struct cp_device *dev, char *why, size_t why_size);

json_t *profile_to_json(const struct cp_profile *p);
json_t *srst_to_json(const struct cp_srst *s);
json_t *cluster_to_json(const struct cp_cluster *c);

/** *ret is heap. 0, -EINVAL, -ENOMEM. */
int json_take_base64(const char *text, size_t len, struct cp_buf *ret);
json_t *json_base64(const struct cp_buf *b);

#endif
