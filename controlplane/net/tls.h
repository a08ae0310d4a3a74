/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Server TLS for listeners: policy, identity and trust in one SSL_CTX that is replaced as a whole.
 * A new handshake takes the newest context; living connections keep theirs (reference counted by
 * OpenSSL), so a reload drops nobody, and a session of an old context is worth nothing after it:
 * each context draws its own ticket keys; where clients must show certificates it keeps the sessions, and a ticket is but a number. However often
 * sessions are resumed, CP_TLS_CHAIN_S after a whole handshake comes another one. Client certificates are demanded unless
 * cp_tls_clients() says otherwise, and those shown must chain to the trust list; why one did not is
 * kept for the alarm.
 *
 * cp_tls_load(), cp_tls_accept(), cp_tls_ctx() and cp_tls_generation() may be called from any
 * thread, also at once: a listener's threads accept while the event loop loads. What they return
 * belongs to the thread that called.
 */
#ifndef CP_NET_TLS_H
#define CP_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#define CP_TLS_CHAIN_S 86400 /* from a whole handshake to the next one of who resumes all the while */

enum cp_tls_policy {
	CP_TLS_MODERN,      /* TLS 1.2 and 1.3, forward secrecy, AEAD */
	CP_TLS_LEGACY_79XX, /* from TLS 1.0, also AES128-SHA and NULL-SHA, OpenSSL security level 0
	                     */
};

enum cp_tls_clients {
	CP_TLS_CLIENTS_MUST, /* show a certificate that chains to the trust list */
	CP_TLS_CLIENTS_MAY,  /* show none, or one that does; without a trust list they are not asked */
	CP_TLS_CLIENTS_NOT_ASKED,
};

enum cp_tls_fail {
	CP_TLS_OK,
	CP_TLS_FAIL_UNTRUSTED, /* no chain to a trusted CA */
	CP_TLS_FAIL_EXPIRED,   /* the certificate or one of its chain: outside its validity */
	CP_TLS_FAIL_NO_CERT,
	CP_TLS_FAIL_CERT,     /* bad signature, wrong purpose, weak key, ... */
	CP_TLS_FAIL_INCOMPATIBLE, /* no version or cipher in common */
	CP_TLS_FAIL_PROTOCOL, /* not TLS, broken off */
	CP_TLS_FAIL_MAX
};

/* What the handshake found out; one per connection, zeroed by its owner, wiped with
 * cp_tls_peer_fini(). */
struct cp_tls_peer {
	int verify_err; /* first X509_V_ERR_* seen, X509_V_OK */
	X509 *leaf;     /* of a refused chain; owned */
};

struct cp_tls_identity { /* all borrowed */
	EVP_PKEY *key;
	X509 *cert;
	STACK_OF(X509) * chain; /* may be NULL */
	STACK_OF(X509) * trust; /* any of them ends a chain, roots or not; may only be NULL or empty
	                         * where clients need not show a certificate */
};

struct cp_tls;

/** -EPERM: a legacy policy although 'legacy_allowed' is false. -ENOMEM. There is no context before
 * cp_tls_load(). */
int cp_tls_create(enum cp_tls_policy policy, bool legacy_allowed, struct cp_tls **ret_tls);
/** No other thread may be using it, but connections made from it live on. NULL is allowed. */
void cp_tls_destroy(struct cp_tls *tls);

/** What is asked of clients, from the next cp_tls_load() on. CP_TLS_CLIENTS_MUST unless said. Before the first load. */
void cp_tls_clients(struct cp_tls *tls, enum cp_tls_clients clients);

/** No sessions to resume, for those who come once: each takes memory, and its ticket a packet after the handshake. Before the first load. */
void cp_tls_no_tickets(struct cp_tls *tls);

/** Make a new context and swap it in. On error the old one stays: -EINVAL with the reason in 'err',
 * -ENOMEM. */
int cp_tls_load(struct cp_tls *tls, const struct cp_tls_identity *id, char *err, size_t err_size);

/** Number of contexts loaded so far. */
unsigned cp_tls_generation(const struct cp_tls *tls);

/** A server-side SSL of the newest context, reporting to 'peer', which must live as long (may be
 * NULL where clients are not asked for certificates). NULL: no context, no memory. Caller owns it. */
SSL *cp_tls_accept(struct cp_tls *tls, struct cp_tls_peer *peer);

/** The newest context, a reference: SSL_CTX_free(). It is never changed again: a listener that makes
 * its own SSLs takes one per connection, not once. NULL: none loaded. */
SSL_CTX *cp_tls_ctx(struct cp_tls *tls);

/** Why a handshake failed: what was recorded, and the OpenSSL error it ended with (0: none). */
enum cp_tls_fail cp_tls_why(const struct cp_tls_peer *peer, unsigned long ssl_err);
const char *cp_tls_fail_name(enum cp_tls_fail why);

/** It ends, and not because it failed: its session may be resumed, though no alert said goodbye (RFC 5246, 7.2.1). Before SSL_free(). */
void cp_tls_part(SSL *ssl);

/** True if the connection encrypts (a NULL suite only authenticates). */
bool cp_tls_encrypts(const SSL *ssl);

void cp_tls_peer_fini(struct cp_tls_peer *peer);

#endif
