/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A change of the directory: any number of devices, lines and gateways that become visible together or not at all.
 * Each call checks one item against the view plus what the change holds already; submit writes all in one batch.
 * After an error the change is still usable, without the item. Errors as cp_dir_*() in store.h. Event loop's thread.
 */
#ifndef CP_STORE_CHANGE_H
#define CP_STORE_CHANGE_H

#include <jansson.h>

#include "dialrec.h"
#include "phonecfg.h"
#include "store.h"

struct cp_change;

struct cp_change *cp_change_create(struct cp_store *store);
void cp_change_destroy(struct cp_change *c);

/** From here on a number that other devices have may become a line of one more: a shared line. */
void cp_change_share(struct cp_change *c, bool shared);

int cp_change_device_put(struct cp_change *c, const struct cp_device *dev, bool replace, char *why, size_t why_size);
int cp_change_device_del(struct cp_change *c, const char *name, char *why, size_t why_size);
int cp_change_line_add(struct cp_change *c, const char *device, const struct cp_line *line, char *why,
		       size_t why_size);
int cp_change_line_del(struct cp_change *c, const char *number, const char *device, char *why, size_t why_size);
int cp_change_gateway_put(struct cp_change *c, const struct cp_gateway *gw, bool replace, char *why,
			  size_t why_size);
int cp_change_gateway_del(struct cp_change *c, const char *name, char *why, size_t why_size);

/*
 * Profiles, SRST references, the cluster's settings (phonecfg.h). What is used cannot be deleted (-EPROTO names a user); a device's
 * profile must be there and fit its protocol, and its mode is the profile's: a profile whose mode changes takes all its
 * devices along, in the same batch.
 */
int cp_change_profile_put(struct cp_change *c, const struct cp_profile *profile, bool replace, char *why, size_t why_size);
int cp_change_profile_del(struct cp_change *c, const char *name, char *why, size_t why_size);
int cp_change_srst_put(struct cp_change *c, const struct cp_srst *srst, bool replace, char *why, size_t why_size);
int cp_change_srst_del(struct cp_change *c, const char *name, char *why, size_t why_size);
int cp_change_cluster_put(struct cp_change *c, const struct cp_cluster *cluster, char *why, size_t why_size);

/*
 * The dial plan (dialrec.h). What a record names must be there (-EINVAL); what is used cannot be deleted (-EPROTO names a user); a
 * pattern cannot be a number of its partition (-EEXIST). A line that goes takes its forwarding along.
 */
int cp_change_partition_put(struct cp_change *c, const struct cp_partition *rec, bool replace, char *why, size_t why_size);
int cp_change_partition_del(struct cp_change *c, const char *name, char *why, size_t why_size);
int cp_change_css_put(struct cp_change *c, const struct cp_css *rec, bool replace, char *why, size_t why_size);
int cp_change_css_del(struct cp_change *c, const char *name, char *why, size_t why_size);
int cp_change_pattern_put(struct cp_change *c, const struct cp_pattern *rec, bool replace, char *why, size_t why_size);
int cp_change_pattern_del(struct cp_change *c, const char *partition, const char *pattern, char *why, size_t why_size);
/** The whole of what a line forwards to; nothing at all deletes the record. */
int cp_change_forward_put(struct cp_change *c, const struct cp_forward *rec, char *why, size_t why_size);

/**
 * A record of family profile that nothing else depends on, under 'key'; 'what' names it in messages ("device type X"). 'val' is
 * taken, also on error. put: -EEXIST where there is one and not 'replace'. del: -ENOENT.
 */
int cp_change_conf_put(struct cp_change *c, const char *key, const char *what, struct cp_buf *val, bool replace, char *why, size_t why_size);
int cp_change_conf_del(struct cp_change *c, const char *key, const char *what, char *why, size_t why_size);

/**
 * Write it, with one audit record (none without 'event'): 'event' ("device.add"), 'who', and the members of 'detail' (stolen, may be
 * NULL). The change is consumed, also on error. As cp_store_submit().
 */
int cp_change_submit(struct cp_change *c, const char *event, const char *who, json_t *detail, cp_store_fn fn,
		     void *ctx);

#endif
