/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trust lists: CTL and ITL files, bytes in and bytes out (the layout is told in tlv.h). A file is built in two
 * steps, since the key that signs it lives elsewhere: pki_tl_build() makes the file without its signature,
 * whoever owns the key signs those very bytes (RSA PKCS#1 v1.5, digest of opts), pki_tl_finish() puts the
 * signature in. Times are arguments. Errors: -EBADMSG malformed, -EACCES not authentic, -EMSGSIZE over a limit
 * (named in 'why'), -EINVAL argument, -ENOTSUP digest code or key kind that is not known, -ENOMEM, -EIO.
 */
#ifndef PKI_TRUSTLIST_H
#define PKI_TRUSTLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#define PKI_TL_FILE_MAX  (1024 * 1024) /* bytes of a file that is looked at */
#define PKI_TL_REC_MAX   128           /* records that are read; what may be written says struct pki_tl_limits */
#define PKI_TL_NAME_MAX  512           /* bytes of a name in a list, NUL counted */
#define PKI_TL_SIG_MAX   512           /* bytes of a signature: RSA 4096 */
#define PKI_TL_SERIAL_MAX 20

enum pki_tl_role { /* record tag 4; others are kept, and mean nothing here */
	PKI_TL_SAST = 0,
	PKI_TL_CCM = 1,
	PKI_TL_CCM_TFTP = 2,
	PKI_TL_TFTP = 3,
	PKI_TL_CAPF = 4,
	PKI_TL_APP_SERVER = 7,
	PKI_TL_TVS = 21,
};

enum pki_digest { PKI_SHA1 = 1, PKI_SHA256 = 2, PKI_SHA512 = 3 }; /* codes of header tag 8 */

enum pki_tl_kind { PKI_TL_CTL = 1, PKI_TL_ITL };

/* What a phone class can hold: what a list for it may contain (004c:CT-08, CT-18). */
enum pki_tl_class {
	PKI_CLASS_79XX = 1, /* SHA-1, signer version 1.0 */
	PKI_CLASS_MODERN,   /* SHA-512, signer version 1.1 */
	PKI_CLASS_MAX
};

struct pki_tl_limits {
	const char *name;      /* "79xx", "modern" */
	enum pki_digest digest; /* that lists and files for the class are signed with */
	uint8_t signer_minor;  /* of signer version 1.x */
	unsigned records;      /* 100 */
	size_t file;           /* 76800 bytes */
	size_t issuer, subject, serial; /* 256 bytes */
	size_t pubkey;         /* 512: the encoded key, so an RSA-4096 one (526) does not fit */
	size_t signature;      /* 1024 */
};
const struct pki_tl_limits *pki_tl_class_limits(enum pki_tl_class cls);
/** "79xx" and so on; 0 or -EINVAL. */
int pki_tl_class_parse(const char *name, enum pki_tl_class *ret);
/** The class of a phone model as devices' records name it ("7965", "CP-8851"): 79xx for the 69, 79, 89 and 99 series
 * and what is older (000:R-21), else modern. NULL or "": 'other'. */
enum pki_tl_class pki_tl_class_of_model(const char *model, enum pki_tl_class other);

/* --- reading --- */

struct pki_tl_rec { /* everything borrowed from the file */
	size_t off, len;             /* in the file, record tag 1 included */
	uint16_t role;               /* enum pki_tl_role or unknown */
	const char *dns, *subject, *issuer; /* NUL-terminated; NULL: tag absent */
	const uint8_t *serial; size_t serial_len;
	const uint8_t *pubkey; size_t pubkey_len;
	const uint8_t *sig; size_t sig_len;
	const uint8_t *cert; size_t cert_len; /* DER; NULL in a list of non-secure mode and in old tokens' records */
	const uint8_t *ip;           /* 4 bytes or NULL */
	uint8_t order[16]; unsigned order_len; /* tags as they came */
};

struct pki_tl { /* a parsed file; borrows it */
	const uint8_t *file; size_t file_len;
	uint8_t major, minor;        /* tag 1 */
	uint16_t header_len;         /* tag 2 */
	uint8_t signer_major, signer_minor; /* tag 28; 0.0: absent */
	const char *signer, *issuer; /* tags 4, 6 */
	const uint8_t *serial; size_t serial_len;
	uint8_t digest;              /* enum pki_digest, or what else stood there */
	uint8_t sig_alg, sig_mod;    /* tags 10, 11 */
	const uint8_t *sig; size_t sig_len; size_t sig_tlv_off; /* the TLV's own offset: what is left out of the signed bytes */
	const char *filename;        /* tag 14 */
	uint32_t timestamp;          /* tag 15; 0: absent */
	unsigned padding;
	uint8_t order[32]; unsigned order_len;
	unsigned rec_cnt;
	struct pki_tl_rec rec[PKI_TL_REC_MAX];
};

/** Parse a whole CTL or ITL; any tag order behind tags 1 and 2. 'why' (may be NULL) gets one line. -EBADMSG, -EMSGSIZE. */
int pki_tl_parse(const uint8_t *file, size_t len, struct pki_tl *ret, char *why, size_t why_size);

/**
 * Verify the signature. 'anchor' NULL: by the file's own SAST record of the signer, as a phone does that has no
 * list yet; else the signer must be a SAST record of 'anchor' (the list a phone holds), as a phone does that has one.
 * 0; -EACCES: no such SAST, or wrong signature; -ENOTSUP digest code. *ret_rec (may be NULL): the signer's record
 * in the list it was found in.
 */
int pki_tl_verify(const struct pki_tl *tl, const struct pki_tl *anchor, const struct pki_tl_rec **ret_rec, char *why,
		  size_t why_size);
/** The same with a certificate from anywhere (that TVS vouched for, or `--cert`). */
int pki_tl_verify_cert(const struct pki_tl *tl, X509 *cert, char *why, size_t why_size);

/** PKI_TL_CTL or ITL by the stored name; -EBADMSG: neither. */
int pki_tl_kind_of(const struct pki_tl *tl, enum pki_tl_kind *ret);

/** The first record of a certificate with a role; by issuer name and serial number. NULL: none. role -1: any. */
const struct pki_tl_rec *pki_tl_find(const struct pki_tl *tl, X509 *cert, int role);

/* --- writing --- */

struct pki_tl_entry {
	uint16_t role;
	X509 *cert;           /* borrowed; NULL: a record without certificate, with empty names (non-secure CTL, rollback ITL) */
	const char *dns;      /* may be NULL */
	const uint8_t *ip;    /* 4 bytes or NULL */
};

struct pki_tl_opts {
	enum pki_tl_kind kind;   /* stored name CTLFile.tlv, ITLFile.tlv */
	enum pki_tl_class cls;   /* digest, signer version, limits */
	X509 *signer;            /* RSA; must be an entry with role SAST, unless no entry has a certificate */
	uint32_t timestamp;
	enum pki_digest digest;  /* 0: that of the class */
	bool original;           /* without the signer version (tag 28), as the original server wrote lists */
};

/**
 * The file without its signature TLV: exactly the bytes that are to be signed. Tags in the order of the original
 * server. Checks every limit of the class: -EMSGSIZE names limit, entry and value in 'why', before anything is
 * signed. *ret is OPENSSL_malloc'ed.
 */
int pki_tl_build(const struct pki_tl_opts *opts, const struct pki_tl_entry *entries, unsigned n, uint8_t **ret,
		 size_t *ret_len, char *why, size_t why_size);

/** Put the signature in. *ret is OPENSSL_malloc'ed. -EBADMSG: 'tbs' is none; -EINVAL: wrong length of signature. */
int pki_tl_finish(const uint8_t *tbs, size_t tbs_len, const uint8_t *sig, size_t sig_len, uint8_t **ret, size_t *ret_len);

/** Parse what pki_tl_build() made (sig NULL), for the signer's check that it signs a trust list and which. */
int pki_tl_parse_tbs(const uint8_t *tbs, size_t len, struct pki_tl *ret, char *why, size_t why_size);

/** Does one certificate fit a class? 0, or -EMSGSIZE with limit and value in 'why'. */
int pki_tl_check_cert(const struct pki_tl_limits *lim, X509 *cert, char *why, size_t why_size);

/** Subject or issuer as lists write it: KEY=value of CN O OU L ST C, joined by ';'. Returns the length without NUL, -EMSGSIZE. */
int pki_tl_dn(const X509_NAME *name, char *buf, size_t size);
/** Two such texts name the same: sets of attributes, ';' or ',' between them. */
bool pki_tl_dn_equal(const char *a, const char *b);

/** Role as people write it: "SAST", "CCM", "CCM+TFTP", "TFTP", "CAPF", "APP-SERVER", "TVS"; "role-9". */
const char *pki_tl_role_name(uint16_t role);
int pki_tl_role_parse(const char *name, uint16_t *ret);
const char *pki_digest_name(unsigned digest); /* "SHA-1" */
const EVP_MD *pki_digest_md(unsigned digest); /* NULL: not known */

#endif
