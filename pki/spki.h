/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A phone's public key as it arrives: SubjectPublicKeyInfo (RFC 5280 4.1.2.7, RFC 3279 2.3.1, RFC 5480 2). OpenSSL 3.0 takes 100 us to
 * make a key object of one, and longer to write it into a certificate, which is as much as a handshake; what has to be known of a key that
 * is certified, and never used here, is its kind and size, and that it is one: read here in DER, with an EC point's place on its curve
 * checked by OpenSSL.
 */
#ifndef PKI_SPKI_H
#define PKI_SPKI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

struct pki_spki { /* points into what was parsed */
	int nid;          /* NID_rsaEncryption, or the curve's: NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1 */
	unsigned bits;    /* of the modulus, or the curve */
	unsigned e_bits;  /* RSA: of the exponent, which is odd */
	const uint8_t *der, *key; /* all of it; the BIT STRING's content */
	size_t len, key_len;
};

/**
 * Exactly 'len' bytes of DER. RSA: modulus and exponent odd, the exponent above 1. EC: a named curve, and a point on it, compressed or
 * not. -EBADMSG: not this structure, or not in DER; -ENOTSUP: another kind of key, or curve; -EACCES: it is no key.
 */
int pki_spki_parse(const uint8_t *der, size_t len, struct pki_spki *ret);

/**
 * The same key in DER, for what pki_spki_parse() cannot read: OpenSSL takes BER lengths, and RSA without parameters. Slow. Free with
 * OPENSSL_free(). -EBADMSG: OpenSSL cannot read it either.
 */
int pki_spki_canon(const uint8_t *der, size_t len, uint8_t **ret_der, size_t *ret_len);

/** True for what LSCs are issued to: RSA of 2048 to 4096 bits with an exponent above 65536, the three curves; with 'old' RSA from 512 bits on. */
bool pki_lsc_spki_acceptable(const struct pki_spki *key, bool old);

/** Make it the public key of a certificate that is being built, as its bytes are. 0, -ENOMEM. */
int pki_spki_set(X509 *cert, const struct pki_spki *key);

#endif
