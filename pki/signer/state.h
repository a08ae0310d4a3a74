/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the signer owns, and how the first start makes it, in STATE/signer (mode 0700):
 *
 *   lock                 one signer per state directory
 *   kek                  key-encryption key, unless signer.kek_file says otherwise
 *   NAME.key.pem         private key, PKCS#8, AES-256 under a passphrase derived from the KEK
 *   NAME.cert.pem        its certificate
 *   made                 names of the identities that were made completely, one a line
 *   ca.pem               the certificates of the cluster's CAs, public, for scripts
 *
 * NAME is server-ca (issues the TLS server certificates), CAPF (issues phones' LSCs), CallManager (TLS server).
 * Order makes it safe to be killed at any time: KEK, then for each identity its key, then its certificate,
 * then all names in 'made'. A start completes what an earlier one left. What 'made' lists and is not there, or
 * keys without their KEK, are an error: nothing that phones trust is ever replaced in silence.
 */
#ifndef PKI_STATE_H
#define PKI_STATE_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "kek.h"
#include "x509.h"

struct cfg;

enum pki_ident_id { PKI_IDENT_SERVER_CA, PKI_IDENT_CAPF, PKI_IDENT_CALLMANAGER, PKI_IDENT_MAX };

struct pki_ident {
	const char *name;
	EVP_PKEY *key;
	X509 *cert;
};

struct pki_state {
	struct pki_kek *kek;
	struct pki_ident ident[PKI_IDENT_MAX];
	STACK_OF(X509) *trust; /* the CAPF issuer first, then those of signer.trust */
	char cluster[64];
	unsigned lsc_days;
	int lock_fd;
};

/** Open, on first start make. On error one line in 'err'; -EINVAL: the configuration is wrong, -EBUSY: another
 * signer runs. The caller owns *ret_state. */
int pki_state_open(const struct cfg *cfg, int64_t now, struct pki_state **ret_state, char *err, size_t err_size);

/** Wipes keys. NULL is allowed. */
void pki_state_close(struct pki_state *state);

/** The TLS server identity of a role, NULL if there is none of this name. */
const struct pki_ident *pki_state_server(const struct pki_state *state, const char *role);

#endif
