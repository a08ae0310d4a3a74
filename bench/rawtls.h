/* SPDX-License-Identifier: BSD-3-Clause */
/* OpenSSL alone, both ends in this process: what a server's calls of a full TLS 1.3 handshake take. */
#ifndef BENCH_RAWTLS_H
#define BENCH_RAWTLS_H

#include <stdbool.h>

#include <openssl/ssl.h>

/** A server's context as our listeners have them, with so many tickets and without a session cache. NULL: OpenSSL refused. */
SSL_CTX *bench_raw_server(EVP_PKEY *key, X509 *cert, unsigned int tickets);

/** One handshake; CPU seconds of the server's calls are added to *ret_s. 'mutual': it fails if no client certificate was shown. 0, -1. */
int bench_raw_handshake(SSL_CTX *server, SSL_CTX *client, bool mutual, double *ret_s);

/** The same, resuming 'session' (NULL: full): it fails if it is not resumed. */
int bench_raw_once(SSL_CTX *server, SSL_CTX *client, SSL_SESSION *session, bool mutual, double *ret_s);
/** A session of one handshake, with its ticket. 0 or -1. */
int bench_raw_session(SSL_CTX *server, SSL_CTX *client, SSL_SESSION **ret_session);

/** Handshakes a second of CPU, of 'cnt', with a self-signed certificate for this key and no client certificate. -1: something failed. */
double bench_raw_per_s(EVP_PKEY *key, unsigned int tickets, unsigned int cnt);

#endif
