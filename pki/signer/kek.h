/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The key-encryption key: 32 random bytes in a file that only its owner can read. It is used through keys
 * derived from it (HKDF-SHA-256, one label per use), which live in OpenSSL's secure heap where that was set
 * up: locked, kept out of core dumps, wiped when freed.
 *
 * Sealed: magic "RVS1", 8 bytes of key identifier, 12 random bytes (nonce), cipher text, 16-byte tag; AES-256-GCM. Magic,
 * identifier and the caller's bound data are authenticated. With random nonces one key seals 2^32 times.
 */
#ifndef PKI_KEK_H
#define PKI_KEK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pki_kek;

/** The raw 32 bytes; the caller wipes them. Errors as pki_kek_load(). */
int pki_kek_read(const char *path, uint8_t ret_key[32]);

/** True for "credential:NAME": a file NAME of systemd's $CREDENTIALS_DIRECTORY, which is never made here. */
bool pki_kek_is_credential(const char *path);

/** Read the file ('path' may be "credential:NAME"). -ENOENT; -EPERM: others may read it or it is not ours; -EBADMSG: not 32 bytes. */
int pki_kek_load(const char *path, struct pki_kek **ret_kek);

/** Make the file from 32 random bytes, mode 0400. -EEXIST: there is one. */
int pki_kek_make(const char *path);

/** From 32 bytes in memory: for tests. */
int pki_kek_init(const uint8_t key[32], struct pki_kek **ret_kek);

/** Wipes and frees. NULL is allowed. */
void pki_kek_destroy(struct pki_kek *kek);

/** 8 bytes that tell keys apart and reveal nothing of them. */
const uint8_t *pki_kek_id(const struct pki_kek *kek);

/** The passphrase of private keys in PEM files: 64 hex digits, NUL-terminated, borrowed. */
const char *pki_kek_passphrase(const struct pki_kek *kek);

/** 'out' has room for len + 40 bytes. Returns the length, or -EIO, -EMSGSIZE. */
int pki_kek_seal(const struct pki_kek *kek, const uint8_t *plain, size_t len, const uint8_t *aad,
		 size_t aad_len, uint8_t *out);

/** 'out' has room for 'len' bytes. Returns the length; -EBADMSG not sealed by us, -EACCES not authentic. */
int pki_kek_unseal(const struct pki_kek *kek, const uint8_t *sealed, size_t len, const uint8_t *aad,
		   size_t aad_len, uint8_t *out);

#endif
