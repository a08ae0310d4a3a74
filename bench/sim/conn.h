/* SPDX-License-Identifier: BSD-3-Clause */
/* One TCP or TLS client connection on a libevent base. Never blocks. */
#ifndef SIM_CONN_H
#define SIM_CONN_H

#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <openssl/ssl.h>

#include "util.h"

struct sim_conn;

struct sim_conn_ops {
	void (*up)(void *ctx);                                     /* connected, handshake done */
	void (*rx)(void *ctx, const uint8_t *data, size_t len);    /* may close the connection */
	void (*down)(void *ctx, const char *reason);               /* once; the connection is freed after it */
};

struct sim_conn_cfg {
	struct event_base *base;
	struct sim_addr server;
	struct sim_addr source; /* len 0: any */
	SSL_CTX *tls;           /* NULL: plain TCP */
	X509 *cert;             /* NULL: that of the context */
	EVP_PKEY *key;
	SSL_SESSION *session;   /* to resume, or NULL */
	const struct sim_conn_ops *ops;
	void *ctx;
	unsigned int timeout_s; /* for connecting and the handshake */
};

/** NULL: no socket or no memory, errno says why. down() reports everything later. */
struct sim_conn *sim_conn_open(const struct sim_conn_cfg *cfg);
/** Queue octets. Sent as soon as the socket takes them. */
void sim_conn_send(struct sim_conn *c, const uint8_t *data, size_t len);
/** Close now, with a TLS close_notify if there is TLS; down() is not called. NULL is allowed. */
void sim_conn_close(struct sim_conn *c);
/** "TLSv1.3 TLS_AES_256_GCM_SHA384", or "TCP". */
const char *sim_conn_cipher(const struct sim_conn *c);
/** Own address once connected. */
void sim_conn_local(const struct sim_conn *c, struct sim_addr *ret);

/** Client context: verifies the server against ca_file (NULL: does not). keylog: SSLKEYLOGFILE or NULL. */
SSL_CTX *sim_tls_create(const char *ca_file, const char *keylog, char *ret_err, size_t err_len);
/** PEM file with private key and certificate, in any order. 0, -EBADMSG, -errno. */
int sim_pem_load(const char *path, EVP_PKEY **ret_key, X509 **ret_cert);

#endif
