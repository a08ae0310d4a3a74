/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SCEP (RFC 8894) for a registration authority: what is asked of a third party's CA, and what its answers say. Bytes in, bytes out; keys
 * are arguments. All CMS is OpenSSL's.
 *
 * A phone hands us its public key and signs nothing, so the PKCS#10 request for it is signed by the registration authority: the CA has
 * no proof that the phone has the private key, it takes our word. A CA that checks the request's own signature refuses it.
 *
 * The CA is known by the SHA-256 of its certificate, and by nothing else; so is a registration authority of it. Messages are encrypted to
 * it or to its registration authority, and an answer counts only if one of those signed it, if it was encrypted to us, and if it has our transaction's
 * identifier and the nonce of the message that it answers.
 *
 * 'old' allows what old servers speak: triple DES, SHA-1, and DES where the library context still has it. MD5 is never taken.
 */
#ifndef PKI_SCEP_H
#define PKI_SCEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#define PKI_SCEP_TID_MAX 65 /* transaction identifier: SHA-256 of the public key in hex, and NUL */
#define PKI_SCEP_NONCE   16
#define PKI_SCEP_MSG_MAX 65536 /* bytes of a message or of a GetCACert answer */
#define PKI_SCEP_CERTS_MAX 16
#define PKI_SCEP_CHALLENGE_MAX 256

enum pki_scep_type { /* messageType */
	PKI_SCEP_CERTREP = 3,
	PKI_SCEP_RENEWAL = 17,
	PKI_SCEP_PKCSREQ = 19,
	PKI_SCEP_CERTPOLL = 20,
};

enum pki_scep_status { PKI_SCEP_SUCCESS = 0, PKI_SCEP_FAILURE = 2, PKI_SCEP_PENDING = 3 };

/* What the CA says it can do: bits. */
#define PKI_SCEP_CAP_AES      1u
#define PKI_SCEP_CAP_DES3     2u
#define PKI_SCEP_CAP_POST     4u
#define PKI_SCEP_CAP_RENEWAL  8u
#define PKI_SCEP_CAP_SHA1     16u
#define PKI_SCEP_CAP_SHA256   32u
#define PKI_SCEP_CAP_SHA512   64u

/** The answer to GetCACaps: words, one a line, in any case; what is not known is skipped. SCEPStandard means AES, POST and SHA-256. */
unsigned pki_scep_caps(const uint8_t *text, size_t len);

struct pki_scep_ca {
	X509 *ca;                /* the certificate that was pinned */
	X509 *to;                /* whom messages are encrypted to: the CA, or a pinned registration authority of it; borrowed from 'certs' */
	STACK_OF(X509) *signers; /* who may sign answers; borrowed members */
	STACK_OF(X509) *certs;   /* owns all of them */
};

/**
 * The answer to GetCACert: one certificate in DER, or several in a degenerate CMS message. 'pin' is the SHA-256 of the CA's, 'ra'
 * ('ra_cnt' of them, NULL: none) those of its registration authorities. One that the CA did not sign, that is not valid at 'now', or that
 * names a phone (pki_name_device()) does not count; nor does any that is not pinned.
 * 0; -EBADMSG: cannot be read; -EACCES: the pinned CA is not among them, is no CA's, or has expired, or registration authorities are pinned
 * and none is there. 'why' says it.
 */
int pki_scep_ca_parse(const uint8_t *data, size_t len, const uint8_t pin[32], const uint8_t (*ra)[32], size_t ra_cnt, int64_t now,
		      struct pki_scep_ca *ret, char *why, size_t size);
void pki_scep_ca_fini(struct pki_scep_ca *ca);

/**
 * The PKCS#10 request for a phone's LSC: subject CN=device, O=org (NULL: none), the extensions that pki_lsc_issue() gives, and
 * 'challenge' (NULL: none) as its password. Signed by 'ra', which is not the key in it. -EINVAL: no such name; -EACCES: the key is too
 * weak or of a wrong kind ('old': as pki_lsc_key_acceptable()).
 */
int pki_scep_request(EVP_PKEY *ra, const char *device, const char *org, EVP_PKEY *pub, bool old, const char *challenge, X509_REQ **ret);

/** The transaction identifier of a key: the same each time it is asked for, so that asking again is one transaction. 0, -EIO. */
int pki_scep_tid(EVP_PKEY *pub, char ret[PKI_SCEP_TID_MAX]);

/** A pkiMessage. The caller owns *ret_der (OPENSSL_free). 'nonce' is fresh for each one.
 * 0; -EACCES: the CA can do only what is not allowed, says 'why'; -EIO. */
struct pki_scep_msg {
	enum pki_scep_type type;
	unsigned caps;
	bool old;
	const char *tid;
	const uint8_t *nonce; /* PKI_SCEP_NONCE bytes */
	X509_REQ *req;        /* PKCSREQ and RENEWAL: what is sent; CERTPOLL: whose subject is asked for */
};
int pki_scep_build(const struct pki_scep_ca *ca, EVP_PKEY *key, X509 *cert, const struct pki_scep_msg *m, uint8_t **ret_der, size_t *ret_len,
		   char *why, size_t size);

struct pki_scep_answer {
	enum pki_scep_status status;
	int fail;              /* failInfo of FAILURE, -1: it says none */
	char text[160];        /* failInfoText, printable; "" none */
	STACK_OF(X509) *certs; /* SUCCESS: what was issued, and perhaps its chain; owned */
};

/**
 * What a CA answers. 0; -EBADMSG: malformed; -EACCES: not signed by the CA, not for this transaction or message, encrypted for somebody
 * else, or by means that are not allowed. 'why' says which; 'ret' is set on success only.
 */
int pki_scep_open(const struct pki_scep_ca *ca, EVP_PKEY *key, X509 *cert, const struct pki_scep_msg *sent, OSSL_LIB_CTX *lib,
		  const uint8_t *data, size_t len, struct pki_scep_answer *ret, char *why, size_t size);
void pki_scep_answer_fini(struct pki_scep_answer *a);

/** failInfo as words and what to do about it. */
const char *pki_scep_fail_text(int fail);

/** Among 'certs' the one for this key, NULL: none. Borrowed. */
X509 *pki_scep_find(STACK_OF(X509) *certs, EVP_PKEY *pub);

#endif
