/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What trust lists and signed files share: the header, its signature, and distinguished names as text. For
 * trustlist.c and sgn.c only; others include trustlist.h and sgn.h.
 *
 * A file is a header and what follows it. Tag u8, length u16, value, all big-endian; tag 13 is one byte of
 * padding; tags 3, 7, 9, 16, 17, 21 are containers. Tag 1 (version) and 2 (header length, signature and padding
 * included) come first, the rest in any order: read so, written in the order of the original server, with the
 * signer version (28), where it is wanted, behind tag 2. The signature is RSA PKCS#1 v1.5 over the whole file
 * with exactly the signature TLV left out. What such a file is before it was signed ("tbs") has the final
 * header length in tag 2 already, and the signature belongs behind the tag 7 container.
 */
#ifndef PKI_TLV_H
#define PKI_TLV_H

#include "trustlist.h"
#include "wire.h"

enum pki_tlv_tag {
	PKI_TLV_VERSION = 1,
	PKI_TLV_HEADER_LEN = 2,
	PKI_TLV_SIGNER = 3, /* container of 4, 5, 6 */
	PKI_TLV_SIGNER_NAME = 4,
	PKI_TLV_SERIAL = 5,
	PKI_TLV_ISSUER = 6,
	PKI_TLV_SIG_INFO = 7, /* container of 8, 9 */
	PKI_TLV_DIGEST = 8,
	PKI_TLV_SIG_ALG_INFO = 9, /* container of 10, 11 */
	PKI_TLV_SIG_ALG = 10,
	PKI_TLV_SIG_MODULUS = 11,
	PKI_TLV_SIGNATURE = 12,
	PKI_TLV_PADDING = 13,
	PKI_TLV_FILENAME = 14,
	PKI_TLV_TIMESTAMP = 15,
	PKI_TLV_ENC_INFO = 16, /* container of 17, 21 */
	PKI_TLV_IV_INFO = 17,  /* container of 18, 19, 20 */
	PKI_TLV_IV_ZERO = 18,
	PKI_TLV_IV = 19,
	PKI_TLV_CUT = 20,
	PKI_TLV_KEY_INFO = 21, /* container of 22 to 25 */
	PKI_TLV_KEY_ZERO = 22,
	PKI_TLV_KEY_BITS = 23,
	PKI_TLV_KEY_ALG = 24,
	PKI_TLV_KEY = 25,
	PKI_TLV_HASH_ALG = 26,
	PKI_TLV_HASH = 27,
	PKI_TLV_SIGNER_VERSION = 28,
};

#define PKI_TLV_HEADER_MAX 4096
#define PKI_TLV_ORDER_MAX  32

struct pki_tlv_header { /* borrows the file; fields as in struct pki_tl and struct pki_sgn */
	uint8_t major, minor;
	uint16_t header_len;
	uint8_t signer_major, signer_minor;
	const char *signer, *issuer;
	const uint8_t *serial;
	size_t serial_len;
	uint8_t digest, sig_alg, sig_mod;
	const uint8_t *sig; /* NULL in a tbs */
	size_t sig_len;     /* in a tbs: what it will be */
	size_t sig_tlv_off; /* in a tbs: where it goes */
	size_t end;         /* of the header as it is here: a tbs's is shorter than header_len */
	const char *filename;
	uint32_t timestamp;
	unsigned padding;
	uint8_t order[PKI_TLV_ORDER_MAX];
	unsigned order_len;
	bool encrypted; /* tag 16 is there */
	const uint8_t *iv;
	uint16_t cut, key_bits;
	uint8_t iv_zero, key_zero, key_alg;
	const uint8_t *wrapped;
	size_t wrapped_len;
	uint8_t hash_alg;
	const uint8_t *hash;
	size_t hash_len;
};

/** One line into 'why' (may be NULL). */
void pki_tlv_why(char *why, size_t why_size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** Read the header at the start of 'len' bytes. 'tbs': without signature. -EBADMSG, -EMSGSIZE. */
int pki_tlv_header_parse(const uint8_t *file, size_t len, bool tbs, struct pki_tlv_header *ret, char *why,
			 size_t why_size);

/** A TLV whose value is a string and its NUL: no other NUL in it, at most PKI_TL_NAME_MAX bytes. NULL: it is not. */
const char *pki_tlv_string(const uint8_t *val, size_t len);

struct pki_tlv_head_opts {
	uint8_t major, minor;
	int signer_minor; /* of signer version 1.x; below 0: tag 28 is left out */
	enum pki_digest digest;
	X509 *signer; /* RSA of 512, 1024, 2048 or 4096 bits: what tag 11 has codes for */
	const char *filename;
	uint32_t timestamp; /* 0: left out */
	const uint8_t *extra; /* TLVs in front of the padding */
	size_t extra_len;
};

/** Write a header without its signature. -EINVAL, -EMSGSIZE (longer than PKI_TLV_HEADER_MAX), -ENOTSUP signer. */
int pki_tlv_header_build(const struct pki_tlv_head_opts *opts, struct pki_wr *wr, char *why, size_t why_size);

/** Begin a TLV of unknown length, and set it. */
size_t pki_tlv_open(struct pki_wr *wr, uint8_t tag);
void pki_tlv_close(struct pki_wr *wr, size_t mark);
void pki_tlv_put(struct pki_wr *wr, uint8_t tag, const void *val, size_t len);
void pki_tlv_put_string(struct pki_wr *wr, uint8_t tag, const char *val); /* with its NUL */
void pki_tlv_put_uint(struct pki_wr *wr, uint8_t tag, uint64_t val, unsigned n);

/** Two pieces, 'tail' may be NULL, into one OPENSSL_malloc'ed file with the signature in its place. -EBADMSG, -EINVAL. */
int pki_tlv_finish(const uint8_t *tbs, size_t tbs_len, const uint8_t *tail, size_t tail_len, const uint8_t *sig,
		   size_t sig_len, uint8_t **ret, size_t *ret_len);

/** The signature of a whole file by a public key. 0, -EACCES, -ENOTSUP. */
int pki_tlv_verify(const uint8_t *file, size_t len, const struct pki_tlv_header *h, EVP_PKEY *pub, char *why,
		   size_t why_size);
/** The same, if 'cert' is the signer that the header names. */
int pki_tlv_verify_cert(const uint8_t *file, size_t len, const struct pki_tlv_header *h, X509 *cert, char *why,
			size_t why_size);

/** By the first record of 'list' that is the signer and has one of the roles (bit per role below 32). */
int pki_tlv_verify_list(const uint8_t *file, size_t len, const struct pki_tlv_header *h, const struct pki_tl *list,
			uint32_t roles, const struct pki_tl_rec **ret_rec, char *why, size_t why_size);

/** Serial numbers, leading zero bytes aside. */
bool pki_tlv_serial_equal(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);

/** The public key as records carry it: RSAPublicKey, or an uncompressed point. Borrowed from 'cert'. -ENOTSUP. */
int pki_tlv_pubkey(X509 *cert, const uint8_t **ret, size_t *ret_len);

#endif
