/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket that stands in for the kernel: charon with libravelin-xfrm.so (shim.c) speaks NETLINK_XFRM to ike.socket, and is answered as the
 * kernel would. What it says goes to xfrmdb.h. On the controlplane's event loop.
 */
#ifndef CP_IKE_XFRMS_H
#define CP_IKE_XFRMS_H

#include <jansson.h>

#include "ike/xfrm.h"

struct cp_xfrmdb;
struct cp_xfrms;
struct event_base;

/** Listens at 'path', which only our own user and root may connect to. 0, -ENOMEM, errors of the socket. */
int cp_xfrms_create(struct event_base *base, const char *path, struct cp_xfrms **ret);
void cp_xfrms_destroy(struct cp_xfrms *s);
/** Where what charon says goes; before the loop runs. */
void cp_xfrms_set_db(struct cp_xfrms *s, struct cp_xfrmdb *db);

/** To all who listen for it: cp_xfrmdb_env.expire, 'ctx' is the struct cp_xfrms. */
void cp_xfrms_expire(void *ctx, const struct cp_xfrm_sa *sa, bool hard);
/** The same: cp_xfrmdb_env.mapping. */
void cp_xfrms_mapping(void *ctx, const struct cp_xfrm_sa *sa, const struct cfg_addr *from);

/** The dataplane has answered for an SA: answers go that waited for it. */
void cp_xfrms_settled(struct cp_xfrms *s);

/** One message in, the answer out: what a connection does with each; for tests and fuzzing. 'out' of CP_XFRM_BUF bytes; returns its length, 0: none. */
size_t cp_xfrms_answer(struct cp_xfrms *s, const uint8_t *data, size_t len, size_t *ret_used, void *out);

/** connections, charon's pid, messages, refused, too_many, lost, unsettled (answered before the dataplane had it), sas, left, policies. */
json_t *cp_xfrms_show(const struct cp_xfrms *s);

#endif
