/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The certificate of an SRST gateway, fetched from its certificate provider (004b:SRST-02, SRST-08; 004c:SR-02): srst.fetch shows it
 * and keeps it in memory; srst.accept stores the one that was shown, by its fingerprint; srst.reject, an hour, a change of the reference
 * or the end of this process forgets it. Nothing is ever stored unseen. Event loop's thread; fetching has threads of its own.
 */
#ifndef CP_ADMIN_SRST_H
#define CP_ADMIN_SRST_H

#include <jansson.h>
#include <stdbool.h>

struct cmds;
struct cp_admin;
struct cp_srst;
struct cp_srsts;
struct cp_store;

/** Registers srst.fetch, srst.accept, srst.reject and srst.show. *ret is set also where registering fails. 0, -ENOMEM, -EEXIST. */
int cp_srsts_create(struct cmds *cmds, struct cp_admin *admin, struct cp_srsts **ret);
/** What is being fetched ends soon: before the threads are waited for. NULL is allowed. */
void cp_srsts_stop(struct cp_srsts *srsts);
/** After the threads ended. NULL is allowed. */
void cp_srsts_destroy(struct cp_srsts *srsts);

/** Phones that go to this reference: it is the device's, else its profile's, else the cluster's. */
unsigned cp_srst_phones(const struct cp_store *store, const char *name);

/**
 * What a change of a reference means, into its answer: "phones" that use it, and "notice": that they must be reset (004b:SRST-12), and,
 * where its certificate has gone (004b:SRST-07, 004c:SR-05), that the gateway's credential service is to be disabled.
 */
void cp_srst_says(const struct cp_store *store, const char *name, bool cert_gone, json_t *answer);

#endif
