/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whom TVS vouches for: certificates, each with the roles that phones may believe it in. Found by the whole certificate or by issuer
 * and serial number, which is all that a phone can ask by (wire-formats 5.3). A book is made whole and never changed: a server puts
 * the next one in its place, and whoever asks then asks that (002:P2-08). No I/O.
 */
#ifndef CP_ENROL_TVSBOOK_H
#define CP_ENROL_TVSBOOK_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "enrol/tvsmsg.h"

struct cp_tvs_book;

struct cp_tvs_book *cp_tvs_book_create(void); /* NULL: no memory */
/** NULL is allowed. */
void cp_tvs_book_destroy(struct cp_tvs_book *book);

/**
 * Vouch for 'cert' in 'role' (enum pki_tl_role) too. Roles are told in the order they were added, each once. 0; -EINVAL: a name too
 * long to be asked for; -ENOSPC: over CP_TVS_ROLES_MAX roles of one; -ENOMEM.
 */
int cp_tvs_book_add(struct cp_tvs_book *book, X509 *cert, uint8_t role);
/** After the last cp_tvs_book_add() and before the first answer. 0, -ENOMEM. */
int cp_tvs_book_close(struct cp_tvs_book *book);
unsigned cp_tvs_book_count(const struct cp_tvs_book *book);

enum cp_tvs_answer { CP_TVS_VOUCHED, CP_TVS_UNKNOWN, CP_TVS_EXPIRED, CP_TVS_NO_REQUEST };

/**
 * The answer to 'req' at 'now' (seconds since 1970): what is in the book and within its validity is valid. 'out' borrows from book and
 * request. CP_TVS_NO_REQUEST: 'req' is an answer, and gets none.
 */
enum cp_tvs_answer cp_tvs_book_answer(const struct cp_tvs_book *book, const struct cp_tvs_msg *req, int64_t now, uint32_t ttl_s,
				      struct cp_tvs_msg *out);

#endif
