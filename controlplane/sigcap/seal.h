/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file that one administrator can read: CMS EnvelopedData (RFC 5652) in DER, AES-256-CBC under a key of its own, which is encrypted to
 * the public key of a certificate: RSA by OAEP with SHA-256, an elliptic curve by ECDH. `openssl cms -decrypt -inform DER -inkey KEY`
 * opens it. Who has the appliance and not that key cannot.
 */
#ifndef CP_SIGCAP_SEAL_H
#define CP_SIGCAP_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

/**
 * Can things be encrypted to it now: RSA of 2048 bits or more or a NIST curve, within its time, and its key usage, if it says one,
 * allows it. 0, or -EACCES with 'why'.
 */
int cp_sigseal_check(X509 *cert, int64_t now, char *why, size_t why_size);

/**
 * Encrypt 'len' bytes to 'cert' into dir/name: a new file (0600, synced with its directory), never over one that is there, never through a
 * link. The directory is made (0700) if absent and must be ours alone. Blocks. 0 and the file's size, -EACCES (directory), -EEXIST, -EIO
 * (encryption), other negative errno; a file that could not be written whole is taken away.
 */
int cp_sigseal_file(const char *dir, const char *name, X509 *cert, const uint8_t *data, size_t len, uint64_t *ret_bytes);

#endif
