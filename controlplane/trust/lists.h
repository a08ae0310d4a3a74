/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cluster's trust lists: which certificates are in the CTL and the ITL, for each phone class, and how they change. The
 * ITL follows the certificates by itself; the CTL changes only by a CTL operation. What is in force is in the store, synced
 * before anything is served or told to anybody. Event loop's thread, but for cp_lists_file().
 */
#ifndef CP_LISTS_H
#define CP_LISTS_H

#include <stdbool.h>
#include <stdint.h>

#include "provision/files.h"
#include "trustlist.h"

struct cp_app;
struct cp_lists;

enum cp_cluster_mode { CP_CLUSTER_NONSECURE, CP_CLUSTER_MIXED };

/** Makes ITLs on first start, and again whatever certificates changed while it was not running. */
int cp_lists_create(struct cp_app *app, struct cp_lists **ret);
void cp_lists_destroy(struct cp_lists *lists);
/** Registers ctl.*, show.ctl, show.itl, itl.* commands. */
int cp_lists_commands(struct cp_lists *lists);

enum cp_cluster_mode cp_lists_mode(const struct cp_lists *lists);
/** Phones are made to forget their ITL (rollback preparation): TVS and TFTP sections are empty. */
bool cp_lists_rollback(const struct cp_lists *lists);

/** The list in force for a class, a reference; NULL: there is none (no CTL was ever made). Any thread. */
struct cp_file *cp_lists_file(struct cp_lists *lists, enum pki_tl_kind kind, enum pki_tl_class cls);

/** A certificate of ours changed (signer identity 'name'): rebuild what follows by itself. */
void cp_lists_cert_changed(struct cp_lists *lists, const char *name);

/** Called when a list in force changed, after it was synced. Up to 4 watchers. */
typedef void (*cp_lists_fn)(void *ctx, enum pki_tl_kind kind, enum pki_tl_class cls);
int cp_lists_watch(struct cp_lists *lists, cp_lists_fn fn, void *ctx);

#endif
