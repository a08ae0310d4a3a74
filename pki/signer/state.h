/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the signer owns, and how the first start makes it, in STATE/signer (mode 0700):
 *
 *   lock                 one signer per state directory
 *   kek                  key-encryption key, unless signer.kek_file says otherwise
 *   NAME.key.pem         an identity: key, certificate, what it was before, what waits; ident.h
 *   made                 names of the identities that were made completely, one a line
 *   NAME.cert.pem        its certificate and chain, public, for scripts: follows from NAME.key.pem
 *   ca.pem               all certificates that servers of this cluster present or chain to, and the CAPF issuer's: public, for
 *                        `openssl s_client -CAfile`
 *
 * The identities are those of enum pki_ident_id. Each is self-signed, but CAPF-TLS, which CAPF issues. Order makes it safe to
 * be killed at any time: KEK, then each identity's file in one piece, then all names in 'made'. A start completes what an
 * earlier one left, and makes what a newer version added. What 'made' lists and is not there, or keys without their KEK, are an
 * error: nothing that phones trust is ever replaced in silence. A change (change.h) replaces one file in one piece.
 */
#ifndef PKI_STATE_H
#define PKI_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "ident.h"
#include "kek.h"
#include "token.h"
#include "x509.h"

struct cfg;

struct pki_state {
	const struct cfg *cfg; /* borrowed, for as long as the state lives; NULL in a state that is made in memory */
	struct pki_kek *kek;
	struct pki_ident ident[PKI_IDENT_MAX];
	struct pki_token *token; /* behind identities with a URI */
	STACK_OF(X509) *trust; /* the CAPF issuer first, what it was before, then those of signer.trust */
	char *dir;             /* STATE/signer; NULL: nothing is written (tests) */
	char cluster[64];
	unsigned lsc_days;
	uint8_t *backup;       /* the last one's keys' part, sealed: it is taken in pieces */
	size_t backup_len;
	uint8_t *crl;          /* the last one: it is taken in pieces */
	size_t crl_len;
	int lock_fd;
	bool unknown;          /* a write went neither to the disk nor back: only a new start tells what is there */
};

/** Open, on first start make. On error one line in 'err'; -EINVAL: the configuration is wrong, -EBUSY: another
 * signer runs. The caller owns *ret_state; 'cfg' must outlive it. */
int pki_state_open(const struct cfg *cfg, int64_t now, struct pki_state **ret_state, char *err, size_t err_size);

/** Wipes keys. NULL is allowed. */
void pki_state_close(struct pki_state *state);

/** The identity of this name, NULL: none. "NAME.prev" finds the pair before: *ret_prev. */
struct pki_ident *pki_state_find(struct pki_state *state, const char *name, bool *ret_prev);

/** The TLS server identity of a role, NULL if there is none of this name. */
const struct pki_ident *pki_state_server(const struct pki_state *state, const char *role);

/**
 * Replace an identity: its file, then what follows from it (NAME.cert.pem, ca.pem, trust). 'id' is taken over. On error the
 * old one is as it was, and 'id' is still the caller's.
 */
int pki_state_commit(struct pki_state *state, struct pki_ident *id);

/** CN and subjectAltNames of an identity's certificates. 'names' borrows from the configuration. Returns their number. */
#define PKI_NAMES_MAX 34
size_t pki_state_names(const struct pki_state *state, enum pki_ident_id which, char cn[128],
		       const char *names[PKI_NAMES_MAX]);

/** Make the pair's certificate: self-signed, or by its issuer. 'p' has its key. 0, -EACCES (the issuer expired), -EIO. */
int pki_state_certify(struct pki_state *state, enum pki_ident_id which, struct pki_pair *p, int64_t now);

#endif
