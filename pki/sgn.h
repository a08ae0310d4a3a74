/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signed files (.sgn) and encrypted, signed configuration (.cnf.xml.enc.sgn): the same header as a trust list
 * and a body instead of records. As there, a file is built without its signature (only the header is copied; the
 * body is signed in place), signed by the owner of the key, and finished. Errors as trustlist.h.
 */
#ifndef PKI_SGN_H
#define PKI_SGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "trustlist.h"

#define PKI_SGN_HEADER_MAX 4096
#define PKI_SGN_BODY_MAX   (16 * 1024 * 1024)
#define PKI_SGN_NAME_MAX   256

struct pki_sgn { /* a parsed file; borrows it */
	const uint8_t *file; size_t file_len;
	uint8_t major, minor;        /* 1.x signed, 2.0 encrypted */
	uint16_t header_len;
	uint8_t signer_major, signer_minor;
	const char *signer, *issuer;
	const uint8_t *serial; size_t serial_len;
	uint8_t digest, sig_alg, sig_mod;
	const uint8_t *sig; size_t sig_len; size_t sig_tlv_off;
	const char *filename;        /* tag 14: with .sgn, with folder if it was asked for with one */
	uint32_t timestamp;          /* 0: absent (firmware) */
	unsigned padding;
	uint8_t order[32]; unsigned order_len;
	const uint8_t *body; size_t body_len; /* cipher text if encrypted */
	bool encrypted;
	const uint8_t *iv;           /* 16 bytes */
	uint16_t cut;                /* 1..16 bytes of padding behind the plain text */
	uint16_t key_bits;           /* of the wrapped key */
	uint8_t key_alg;             /* 1: AES-128 */
	const uint8_t *wrapped; size_t wrapped_len; /* NULL: a symmetric key that the phone was given (key_bits 128) */
	uint8_t hash_alg;            /* enum pki_digest */
	const uint8_t *hash; size_t hash_len; /* of the plain text */
};

int pki_sgn_parse(const uint8_t *file, size_t len, struct pki_sgn *ret, char *why, size_t why_size);
/** Signature by 'cert'. 0, -EACCES, -ENOTSUP. */
int pki_sgn_verify_cert(const struct pki_sgn *f, X509 *cert, char *why, size_t why_size);
/** By a trust list: the signer must be a TFTP or CCM+TFTP record of it. */
int pki_sgn_verify(const struct pki_sgn *f, const struct pki_tl *anchor, const struct pki_tl_rec **ret_rec, char *why,
		   size_t why_size);
/** The stored name is what was asked for, or that without .sgn as old tools stored it. */
bool pki_sgn_name_is(const struct pki_sgn *f, const char *asked);

/** Plain text of an encrypted file with the phone's RSA key, or (phones without PKI) a 16-byte symmetric key, the other
 * NULL. Check the signature first. -EACCES: another key, or the hash does not agree (one answer for all, in constant time as
 * far as OpenSSL's unwrap is). *ret is OPENSSL_malloc'ed: OPENSSL_clear_free(). */
int pki_sgn_decrypt(const struct pki_sgn *f, EVP_PKEY *key, const uint8_t *sym, uint8_t **ret, size_t *ret_len);

struct pki_sgn_opts {
	const char *name;          /* tag 14 */
	enum pki_digest digest;
	X509 *signer;              /* RSA, at most 4096 bits */
	uint32_t timestamp;
	/* encryption: 'enc' is the phone's certificate (RSA), or 'sym' its 16-byte key; both NULL: signed only */
	X509 *enc;
	const uint8_t *sym;
	const uint8_t *random;     /* 32 bytes of fresh randomness: AES key (enc), IV. Needed for encryption; the caller wipes it */
};

/**
 * Header without signature TLV. For an encrypted file *ret_body is the cipher text (OPENSSL_malloc'ed), else NULL and the
 * body is 'plain' itself. To be signed: header, then body.
 */
int pki_sgn_build(const struct pki_sgn_opts *opts, const uint8_t *plain, size_t plain_len, uint8_t **ret_header,
		  size_t *ret_header_len, uint8_t **ret_body, size_t *ret_body_len, char *why, size_t why_size);
/** Header with signature and body in one OPENSSL_malloc'ed piece. */
int pki_sgn_finish(const uint8_t *header, size_t header_len, const uint8_t *body, size_t body_len, const uint8_t *sig,
		   size_t sig_len, uint8_t **ret, size_t *ret_len);
/** Parse a header made by pki_sgn_build() (body absent: body_len 0), for the signer. */
int pki_sgn_parse_tbs(const uint8_t *header, size_t len, struct pki_sgn *ret, char *why, size_t why_size);

/** certHash of a configuration: MD5 of the DER, 32 lower-case hex digits and NUL. */
int pki_cert_hash(const X509 *cert, char ret[33]);

#endif
