/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Administrators of the CTL provider: family user, key: name. A password is kept as scrypt of it (N 2^15, r 8, p 1: 32 MiB and
 * some 60 ms), compared in constant time; an unknown name costs the same. After CP_USER_TRIES wrong ones in a row a name is
 * locked for CP_USER_LOCK_S, whoever asks; a source address waits longer after each failure. Counts are in memory: a restart
 * forgets them. A client certificate stands for a name if its SHA-256 is in that record; no CA can stand for one.
 */
#ifndef CP_CTLUSER_H
#define CP_CTLUSER_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/records.h"

#define CP_USER_MAX      64  /* names */
#define CP_USER_TRIES    5
#define CP_USER_LOCK_S   900
#define CP_USER_PASS_MIN 8
#define CP_USER_PASS_MAX 128
#define CP_USER_SOURCES  256 /* source addresses remembered; the one heard of longest ago is forgotten */

struct cp_admin;
struct cp_alarms;
struct cp_offload;
struct cp_store;
struct cp_users;

enum cp_user_role { CP_USER_READER = 1, CP_USER_ADMIN };

struct cp_user_rec {
	char name[CP_TEXT_MAX];
	uint8_t role;
	uint8_t log_n; /* scrypt's N is 2^log_n */
	struct cp_buf salt, hash;   /* 16 and 32 bytes; empty: no password, certificate only */
	struct cp_buf cert;         /* SHA-256 of a client certificate; empty: none */
	int64_t changed_us;
	struct cp_buf unknown;
};
int cp_user_rec_build(const struct cp_user_rec *rec, struct cp_buf *ret);
int cp_user_rec_parse(const uint8_t *data, size_t len, struct cp_user_rec *ret);
void cp_user_rec_free(struct cp_user_rec *rec);

struct cp_users *cp_users_create(struct cp_store *store, struct cp_offload *offload, struct cp_alarms *alarms);
/** After cp_offload_destroy() and cp_store_close(). */
void cp_users_destroy(struct cp_users *users);
/** Registers user.add, user.del, show.users. */
int cp_users_commands(struct cp_users *users, struct cp_admin *admin);

/** rc 0: 'name' with its role. -EACCES: "User could not be authenticated", for whatever reason; -EAGAIN: too many tries, or too
 * much at once. Called once, later. */
typedef void (*cp_user_fn)(void *ctx, int rc, const char *name, enum cp_user_role role, const char *why);
/** Check a password on a thread. 'source': the client's address, without port. Both strings are copied. */
void cp_users_login(struct cp_users *users, const char *name, const char *password, const char *source, cp_user_fn fn, void *ctx);

/** Who a client certificate that was proven by the handshake stands for. 0, -EACCES (nobody, or outside its validity). */
int cp_users_cert(struct cp_users *users, X509 *cert, char name[CP_TEXT_MAX], enum cp_user_role *ret_role);

/** A name is still there with this role: what was allowed once need not be any more. 0, -ENOENT. */
int cp_users_role(struct cp_users *users, const char *name, enum cp_user_role *ret_role);
/** When the record of a name was made: another password or certificate is another record. -1: no such user. */
int64_t cp_users_made_us(struct cp_users *users, const char *name);

/** For tests: seconds, monotonic. NULL: the system's. */
void cp_users_clock(struct cp_users *users, int64_t (*now_s)(void *ctx), void *ctx);

#endif
