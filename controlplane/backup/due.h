/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is a backup due? What makes trust and could not be made again is fingerprinted: each identity of the signer (certificate, chain, a
 * request that is out), the trust stores, the CTL, the ITL's settings. The fingerprints of the last bundle lie in the store (family
 * meta, key "backup", JSON) and in the bundle, so that a restored machine begins with them. Where they differ from what there is,
 * or there is none, the alarm backup-due stands, from start to start (002:P2-42, P2-43; 004b:CTL-09). Phones' records, lines,
 * gateways and users are in a bundle too, and change every day: they raise nothing.
 */
#ifndef CP_BACKUP_DUE_H
#define CP_BACKUP_DUE_H

#include <jansson.h>
#include <stdbool.h>

struct cp_app;
struct cp_due;
struct cp_signer_ident;
struct cp_store;

#define CP_BACKUP_KEY "backup"

/** Needs store, certs, alarms and admin of 'app': adds to "status". Raises the alarm if it is due. 0 or negative errno. */
int cp_due_create(struct cp_app *app, struct cp_due **ret);
/** After the store is closed. NULL is allowed. */
void cp_due_destroy(struct cp_due *due);

/** Fingerprints, {"CallManager": hex, ..., "CTL": hex}, of identities as the signer said them and a store. NULL: no memory. */
json_t *cp_due_prints(const struct cp_store *store, const struct cp_signer_ident *ident, unsigned cnt);

/** The same of the identities alone; and how many there are beside them. */
json_t *cp_due_ident_prints(const struct cp_signer_ident *ident, unsigned cnt);
#define CP_DUE_STORE_PRINTS 3

/** A bundle with these fingerprints ('prints', borrowed) is on the disk, made at 'time'. Kept in the store; 'fn' is called when it is
 * (or cannot be: then the alarm stands on). */
void cp_due_made(struct cp_due *due, const char *time, json_t *prints, void (*fn)(void *ctx, int rc), void *ctx);

/** The record of family meta: a text, free(). NULL: no memory. */
char *cp_due_record(const char *time, json_t *prints);

#endif
