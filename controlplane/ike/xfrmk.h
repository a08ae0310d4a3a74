/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SAs and policies as charon gives them to the kernel: all that is there when we come, and each change by multicast; after an overrun all of it
 * again. What is read goes to xfrmdb.h.
 *
 * The kernel must never send on an SA that is mirrored: two senders under one key. An SA is used by the policies that lead to it, so each outbound
 * policy that leads to ESP of ours is replaced by one that discards, as soon as it is heard of, and again whenever charon changes it.
 */
#ifndef CP_IKE_XFRMK_H
#define CP_IKE_XFRMK_H

#include <jansson.h>

#include "ike/xfrm.h"

struct cp_xfrmdb;
struct cp_xfrmk;
struct event_base;

/** Opens NETLINK_XFRM and asks for all there is. 0, -ENOMEM, errors of the socket (-EPERM without CAP_NET_ADMIN, -EPROTONOSUPPORT). */
int cp_xfrmk_create(struct event_base *base, struct cp_xfrmdb *db, struct cp_xfrmk **ret);
/** The same with somebody in the kernel's place, who gets what is sent (0, or negative errno) and answers by cp_xfrmk_input(): for tests. */
typedef int (*cp_xfrmk_send_fn)(void *ctx, const uint8_t *msg, size_t len);
int cp_xfrmk_create_with(struct event_base *base, struct cp_xfrmdb *db, cp_xfrmk_send_fn fn, void *ctx, struct cp_xfrmk **ret);
void cp_xfrmk_destroy(struct cp_xfrmk *k);

/** To the kernel, which tells charon: cp_xfrmdb_env.expire, 'ctx' is the struct cp_xfrmk. */
void cp_xfrmk_expire(void *ctx, const struct cp_xfrm_sa *sa, bool hard);

/** What the kernel said, one datagram. */
void cp_xfrmk_input(struct cp_xfrmk *k, const uint8_t *data, size_t len);
/** Something was lost: all there is is asked for again. */
void cp_xfrmk_overrun(struct cp_xfrmk *k);

/** messages, refused, overruns, dumps, sas, policies. */
json_t *cp_xfrmk_show(const struct cp_xfrmk *k);

#endif
