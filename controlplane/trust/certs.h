/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The certificate manager: the trust stores, the appliance's own certificates as the signer holds them, what is uploaded and
 * what expires. A trust store is a set of certificates in the store (family cert, key "<store>/" and the SHA-256 in hex);
 * own certificates live in the signer. Event loop's thread; what asks the signer goes through offload.h.
 */
#ifndef CP_CERTS_H
#define CP_CERTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "ledger.h"

struct cp_app;
struct cp_certs;
struct cp_signer_ident;
struct cp_tls;

enum cp_trust_store {
	CP_TS_CALLMANAGER, /* who may register: issuers of LSCs (and MICs, which the documents advise against) */
	CP_TS_CAPF,        /* whose certificates may ask for an LSC: MIC roots */
	CP_TS_TVS,
	CP_TS_IPSEC,
	CP_TS_HTTPS,
	CP_TS_PHONE_EDGE,
	CP_TS_DIRECTORY,
	CP_TS_MAX
};
/** "CallManager-trust", "CAPF-trust", "TVS-trust", "IPsec-trust", "HTTPS-trust", "Phone-Edge-trust", "directory-trust". */
const char *cp_trust_store_name(enum cp_trust_store ts);
int cp_trust_store_parse(const char *name, enum cp_trust_store *ret);

/** Asks the signer what there is: waits for it. Needs base, store, alarms, offload and admin of 'app'; without a signer there are
 * trust stores only. 0, or why not: as signerc.h, -ENOMEM. */
int cp_certs_create(struct cp_app *app, struct cp_certs **ret);
/** After offload and store are closed: both may still call. NULL is allowed. */
void cp_certs_destroy(struct cp_certs *certs);
/** Another wall clock than the system's, in seconds: for tests. */
void cp_certs_clock(struct cp_certs *certs, int64_t (*now)(void *ctx), void *ctx);
/** Asked before a certificate of ours is changed, as cp_ledger_allow(). NULL, as at first: nobody is asked. */
typedef int (*cp_certs_allow_fn)(void *ctx, const struct cp_trust_ask *ask, int64_t strand, unsigned *ret_count, char *why,
				 size_t why_size);
void cp_certs_allow(struct cp_certs *certs, cp_certs_allow_fn fn, void *ctx);
/** Registers cert.* and show.certs. */
int cp_certs_commands(struct cp_certs *certs);

/** Certificates of a trust store: a new stack, each with a reference. sk_X509_pop_free(). NULL: no memory. */
STACK_OF(X509) *cp_certs_trusted(const struct cp_certs *certs, enum cp_trust_store ts);

/** Our own certificate by the signer's identity name ("CallManager", "TVS", "TFTP", ...): a reference, or NULL. */
X509 *cp_certs_own(const struct cp_certs *certs, const char *name);

/** All of them, as the signer said last: borrowed until the loop runs again. */
const struct cp_signer_ident *cp_certs_idents(const struct cp_certs *certs, unsigned *ret_cnt);

/**
 * Why one cannot be taken, in the order that is checked: unreadable, not RSA/EC that is accepted, not yet valid, expired,
 * wrong usage for the store, duplicate. 0, or a negative errno with one line in 'why'.
 */
int cp_certs_check(const struct cp_certs *certs, enum cp_trust_store ts, X509 *cert, int64_t now, char *why, size_t why_size);

/**
 * Keep a listener's TLS current: load it now with our identity 'name' ("CallManager", "TVS", "HTTPS", "TFTP-EC", "CAPF-TLS") and
 * load it again whenever that certificate or what it trusts changes; the next handshake takes it, living connections stay.
 * Clients are trusted whose issuer (or who themselves) are in one of 'stores' (bits, 1u << enum cp_trust_store) or, with
 * 'lscs', were issued by CAPF (now or before it was regenerated) or by a CA of signer.trust. Waits for the signer: only at
 * start. 'tls' must stay until cp_certs_destroy(). 0, -ENOSPC (over 8 of them), or why it could not be loaded (logged).
 */
int cp_certs_serve(struct cp_certs *certs, struct cp_tls *tls, const char *name, unsigned stores, bool lscs);

/** Called after own certificates (name) or a trust store (store's name) changed and the change is synced. Up to 8. */
typedef void (*cp_certs_fn)(void *ctx, const char *name);
int cp_certs_watch(struct cp_certs *certs, cp_certs_fn fn, void *ctx);

#endif
