/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys in PKCS#11 tokens, by pkcs11: URI (RFC 7512), through libp11's engine. token.c is the one file that uses OpenSSL's ENGINE
 * interface, which is deprecated: there is no provider for PKCS#11 in Debian 12.
 *
 * A token counts wrong PINs and locks itself (after 15 in a row where the token says so); we never add to that by ourselves: a
 * PIN that was refused is remembered, over restarts too (STATE/signer/pin-refused: a keyed hash of it), and is not tried again
 * until another one stands in signer.pkcs11_pin.
 */
#ifndef PKI_TOKEN_H
#define PKI_TOKEN_H

#include <stddef.h>

#include <openssl/evp.h>

#include "kek.h"

struct pki_token;

/** All borrowed, and they outlive it; 'module' and 'pin' may be NULL. 'dir' is STATE/signer. Nothing is opened yet. NULL: no memory. */
struct pki_token *pki_token_create(const char *module, const char *pin, const char *dir, const struct pki_kek *kek);

/** NULL is allowed. Keys that it gave must be freed before. */
void pki_token_destroy(struct pki_token *token);

/**
 * The private key of a URI; its private part stays where it is. 'token' is a struct pki_token (pki_token_cb).
 * -ENOKEY no such token or key; -EACCES the PIN was refused, now or before, or is missing; -EOWNERDEAD the token has locked itself:
 * its administrator must unlock it; -ENOSYS no engine. 'err' gets a line.
 */
int pki_token_key(void *token, const char *uri, EVP_PKEY **ret_key, char *err, size_t err_size);

#endif
