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

#include "ledger.h"
#include "provision/files.h"
#include "store/records.h"
#include "trustlist.h"

struct cp_admin;
struct cp_alarms;
struct cp_app;
struct cp_lists;
struct cp_offload;
struct cp_store;
struct cp_turn;
struct event_base;

enum cp_cluster_mode { CP_CLUSTER_NONSECURE, CP_CLUSTER_MIXED };

/*
 * What the lists stand on, so that tests can stand in for it. 'own' gives a certificate by the signer's identity name, a
 * reference or NULL; 'sign' may block and is called on threads of offload.h (at start on the caller's): the bytes are
 * what pki_tl_build() made. 'allow' is cp_ledger_allow() or NULL: everything is.
 */
struct cp_lists_env {
	struct event_base *base;
	struct cp_store *store;
	struct cp_alarms *alarms;
	struct cp_offload *offload;
	struct cp_turn *turn; /* of all who change what phones trust; NULL: nobody else does */
	X509 *(*own)(void *ctx, const char *name);
	int (*sign)(void *ctx, enum pki_tl_kind kind, const char *ident, const void *tbs, size_t len, uint8_t *sig,
		    size_t *ret_len, char *why, size_t why_size);
	int (*allow)(void *ctx, const struct cp_trust_ask *ask, int64_t strand, unsigned *ret_count, char *why, size_t why_size);
	int64_t (*now_us)(void *ctx); /* NULL: the system's wall clock */
	void *ctx;
	const char *host;        /* of our records: the first call manager's name or address; kept by the caller */
	struct cfg_addr address; /* family 4: written into them */
	bool auto_registration;  /* configured: an alarm while the mode forbids it */
	unsigned retry_ms;       /* until what could not be signed is tried again; 0: 5000 */
};

/**
 * Makes ITLs on first start, and again whatever certificates changed while it was not running. Waits for the signer
 * then; what cannot be signed raises itl-not-signed and is tried again. -EIO: the store refuses.
 */
int cp_lists_create_env(const struct cp_lists_env *env, struct cp_lists **ret);
/** The same for the running appliance. Call after cp_certs_create(). */
int cp_lists_create(struct cp_app *app, struct cp_lists **ret);
/** Begin no new operation; before cp_offload_destroy(). NULL is allowed. */
void cp_lists_stop(struct cp_lists *lists);
/** Operations that wait are answered -ESHUTDOWN. After cp_offload_destroy() and cp_store_close(). NULL is allowed. */
void cp_lists_destroy(struct cp_lists *lists);
/** Registers ctl.*, show.ctl, show.itl, itl.* commands. */
int cp_lists_commands(struct cp_lists *lists, struct cp_admin *admin);

/** An operation is under way or waits. */
bool cp_lists_busy(const struct cp_lists *lists);
/** What it was made with; and the operations as JSON (ctlcmd.h), which it owns. Borrowed. */
const struct cp_lists_env *cp_lists_get_env(const struct cp_lists *lists);
struct cp_ctlcmd *cp_lists_cmd(const struct cp_lists *lists);

enum cp_cluster_mode cp_lists_mode(const struct cp_lists *lists);
/** A device's mode as effective: non-secure in a non-secure cluster, whatever its record says (004b:CTL-17). 'lists' NULL: as
 * recorded. */
enum cp_device_mode cp_lists_device_mode(const struct cp_lists *lists, const struct cp_device *dev);
/** Auto-registration is configured and allowed: never in mixed mode (004b:CTL-18). */
bool cp_lists_auto_registration(const struct cp_lists *lists);
/** Phones are made to forget their ITL (rollback preparation): TVS and TFTP sections are empty. */
bool cp_lists_rollback(const struct cp_lists *lists);
/** Who signs the ITL in force ("TFTP"), and as set ("auto"). Borrowed until the loop runs again. */
const char *cp_lists_itl_signer(const struct cp_lists *lists);
const char *cp_lists_itl_sign_with(const struct cp_lists *lists);
/** The CTL's record: borrowed until the loop runs again. */
struct cp_ctl_rec;
const struct cp_ctl_rec *cp_lists_ctl(const struct cp_lists *lists);

/** The list in force for a class, a reference; NULL: there is none (no CTL was ever made). Any thread. */
struct cp_file *cp_lists_file(struct cp_lists *lists, enum pki_tl_kind kind, enum pki_tl_class cls);

/** A certificate of ours changed (signer identity 'name'): rebuild what follows by itself. */
void cp_lists_cert_changed(struct cp_lists *lists, const char *name);

/** Called when a list in force changed, after it was synced. Up to 4 watchers. */
typedef void (*cp_lists_fn)(void *ctx, enum pki_tl_kind kind, enum pki_tl_class cls);
int cp_lists_watch(struct cp_lists *lists, cp_lists_fn fn, void *ctx);

/* --- operations: one at a time, the others wait their turn --- */

struct cp_ctl_change;
struct cp_ctl_draft;

/** rc 0: synced and in force, 'text' may hold a warning; else why not. 'stranded': with -EPERM, how many phones would be. */
typedef void (*cp_lists_done_fn)(void *ctx, int rc, const char *text, unsigned stranded);

/** Change the CTL, signed by our signer. 'change' is copied. 0: 'fn' will be called; else an error now, with 'why'. */
int cp_lists_ctl_change(struct cp_lists *lists, const struct cp_ctl_change *change, int64_t strand, cp_lists_done_fn fn, void *ctx,
			char *why, size_t why_size);

/**
 * The same with a token that is elsewhere, in two steps. Prepare: the bytes to be signed, for each class. Store: the
 * signatures, or whole files, come back; they are verified, and refused (-ESTALE) if the CTL or a certificate changed in
 * between; the ledger is asked both times.
 */
int cp_lists_ctl_prepare(struct cp_lists *lists, const struct cp_ctl_change *change, int64_t strand, struct cp_ctl_draft **ret,
			 unsigned *ret_stranded, char *why, size_t why_size);
void cp_lists_draft_free(struct cp_ctl_draft *draft);
const struct cp_buf *cp_lists_draft_tbs(const struct cp_ctl_draft *draft, enum pki_tl_class cls);
/** Takes the draft, also on error. */
int cp_lists_ctl_store(struct cp_lists *lists, struct cp_ctl_draft *draft, const struct cp_buf sig[PKI_CLASS_MAX],
		       cp_lists_done_fn fn, void *ctx, char *why, size_t why_size);

/** Take over another cluster's CTL: see cp_ctlop_import(). *ret_text: what to do next, heap. */
int cp_lists_ctl_import(struct cp_lists *lists, const uint8_t *file, size_t len, const char *who, cp_lists_done_fn fn, void *ctx,
			char *why, size_t why_size);

/** "auto", "TFTP", "TFTP.prev", "ITLRecovery"; NULL: as it is. rollback: 1, 0, or -1 as it is. */
int cp_lists_itl_set(struct cp_lists *lists, const char *sign_with, int rollback, int64_t strand, const char *who,
		     cp_lists_done_fn fn, void *ctx, char *why, size_t why_size);

#endif
