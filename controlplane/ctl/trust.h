/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ravelinctl's commands of the CTL: files that they name become members of the request, changes are signed here where a key
 * is given (PEM file or PKCS#11 token), and the appliance is asked over its admin socket or, from another machine, over its CTL
 * provider (--server).
 */
#ifndef CP_CTL_TRUST_H
#define CP_CTL_TRUST_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "ctl.h"

/**
 * Run one. Consumes members of args that begin with '_'. 0: *ret is the whole answer, owned by the caller. -EINVAL: usage or a file,
 * with 'why'. -ENOTCONN: not reached, with 'why' (empty: 'ask' has said so).
 */
int ctl_trust(const struct ctl_request *r, ctl_ask_fn ask, void *ctx, json_t **ret, char *why, size_t why_size);

/** https.c: one POST of JSON. 'ca': PEM file that the server's certificate must chain to. As ctl_trust(). */
struct ctl_https {
	const char *server; /* HOST[:PORT], 2444 */
	const char *ca;
	const char *cert;   /* PEM file with certificate and key of the client; may be NULL */
	const char *token;  /* bearer; may be NULL */
};
int ctl_https_post(const struct ctl_https *h, const char *op, const json_t *args, json_t **ret, char *why, size_t why_size);

/** token.c: the private key behind a pkcs11: URI, by OpenSSL's engine. NULL with 'why'. */
EVP_PKEY *ctl_token_key(const char *uri, char *why, size_t why_size);

#endif
