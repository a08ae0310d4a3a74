/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Identities of the signer, and the file that holds one. STATE/signer/NAME.key.pem, mode 0400, is replaced as a
 * whole by each change, so that a kill at any time leaves the old identity or the new one:
 *
 *   [current]
 *   -----BEGIN ENCRYPTED PRIVATE KEY-----   PKCS#8, AES-256 under a passphrase derived from the KEK; or
 *   uri pkcs11:token=...                    a key in a token
 *   -----BEGIN CERTIFICATE-----             its certificate, then the chain of one that a third party issued
 *   [previous]                              what it was before; kept until retired
 *   [next]                                  a key whose certificate request is out
 *
 * A file without section lines is of an older version: a private key alone, its certificate in NAME.cert.pem. That file is
 * written beside in any case, for scripts; it follows from this one.
 */
#ifndef PKI_IDENT_H
#define PKI_IDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "kek.h"
#include "x509.h"

enum pki_ident_id {
	PKI_IDENT_CAPF,
	PKI_IDENT_SAST1,
	PKI_IDENT_SAST2,
	PKI_IDENT_TFTP,
	PKI_IDENT_ITLRECOVERY,
	PKI_IDENT_CALLMANAGER,
	PKI_IDENT_TVS,
	PKI_IDENT_HTTPS,
	PKI_IDENT_TFTP_EC,
	PKI_IDENT_CAPF_TLS, /* behind CAPF, which issues it */
	PKI_IDENT_IPSEC,
	PKI_IDENT_RA, /* asks an external CA for phones' certificates */
	PKI_IDENT_MAX
};

struct pki_ident_def {
	const char *name;
	const char *cn; /* "%s" is the cluster name */
	enum pki_use use;
	bool server;    /* handed over; the others sign here and never leave */
	unsigned kinds; /* bit 1 << PKI_SIGN_*: what it may sign */
};
extern const struct pki_ident_def pki_ident_defs[PKI_IDENT_MAX];

struct pki_pair {
	EVP_PKEY *key; /* NULL in a pair with uri: the token is not there */
	X509 *cert;
	STACK_OF(X509) *chain; /* without the certificate itself; NULL: none */
	char *uri;             /* pkcs11: URI; NULL: a software key */
};

struct pki_ident {
	const char *name;
	struct pki_pair cur, prev, next; /* a pair without key and uri is none */
};

/** Gets the key of a pkcs11: URI. 0 or a negative errno with a line in 'err'. */
typedef int pki_token_cb(void *ctx, const char *uri, EVP_PKEY **ret_key, char *err, size_t err_size);

static inline bool pki_pair_is(const struct pki_pair *p)
{
	return p->key != NULL || p->uri != NULL;
}

/** Frees; OpenSSL wipes private numbers. */
void pki_pair_fini(struct pki_pair *pair);
void pki_ident_fini(struct pki_ident *id);

/** Text of the file. *ret_text is OPENSSL_malloc'ed. 0, -ENOMEM, -EIO. */
int pki_ident_build(const struct pki_ident *id, const struct pki_kek *kek, char **ret_text, size_t *ret_len);

/**
 * Read such a text into a zeroed 'ret' whose name is set. A token's key that cannot be had is left NULL, and *ret_absent
 * set. cur.cert is NULL when the text is of an older version. -EACCES: sealed by another KEK, or changed; -EBADMSG: makes no
 * sense. 'why' gets a line.
 */
int pki_ident_parse(struct pki_ident *ret, const struct pki_kek *kek, const char *text, size_t len, pki_token_cb *token,
		    void *ctx, bool *ret_absent, char *why, size_t why_size);

/** Certificate and chain as PEM. *ret_text is OPENSSL_malloc'ed. */
int pki_pair_certs(const struct pki_pair *pair, char **ret_text, size_t *ret_len);

/** Is the pair in order: key belongs to certificate, each certificate signed by the next, or by itself? 0, -EACCES. */
int pki_pair_check(const struct pki_pair *pair, char *why, size_t why_size);

#endif
