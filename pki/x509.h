/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Certificates: the CAs and server certificates of first start, phones' LSCs, and the check of what a phone
 * presents. Works on objects in memory; the time is an argument (seconds since 1970, UTC). Errors: -EBADMSG
 * malformed, -EACCES not authentic or not allowed, -EINVAL argument out of range, -EIO when OpenSSL fails for
 * another reason. RFC 5280; the LSC's fields follow what phones get from the services this replaces.
 */
#ifndef PKI_X509_H
#define PKI_X509_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#define PKI_DEVICE_MAX 16 /* "SEP", 12 digits, NUL */
#define PKI_DER_MAX    16384 /* bytes of a certificate or request that is looked at */

enum pki_key_type { PKI_RSA_2048 = 1, PKI_EC_P256, PKI_RSA_3072, PKI_RSA_4096, PKI_EC_P384 };

enum pki_use { /* what a certificate of ours is for: key usages and basic constraints follow */
	PKI_USE_CA,     /* issues certificates: path length 0 */
	PKI_USE_SIGN,   /* signs lists and files */
	PKI_USE_SERVER, /* TLS server, and client towards other members and trunks */
	PKI_USE_IPSEC,  /* as a server, and IKE */
	PKI_USE_RA,     /* registration authority: signs requests, and answers are encrypted to it (RSA) */
};

struct pki_spki;

struct pki_ca {
	EVP_PKEY *key;
	X509 *cert;
};

/** Make a private key. The caller owns it. 0, -EINVAL, -EIO. */
int pki_key_create(enum pki_key_type type, EVP_PKEY **ret_key);

/** "rsa-2048", "rsa-3072", "rsa-4096", "ec-p256", "ec-p384". 0, -EINVAL. */
int pki_key_parse(const char *name, enum pki_key_type *ret_type);

/** The same name of a key, by its public part; "other" for what is none of them. */
const char *pki_key_name(EVP_PKEY *key);

/** True for what certificates are issued to: RSA of 2048 to 4096 bits with an odd exponent above 65536, P-256,
 * P-384. */
bool pki_key_acceptable(EVP_PKEY *key);

/** A self-signed CA certificate, subject CN=cn, O=org: path length 0, signs certificates and CRLs. */
int pki_ca_issue(EVP_PKEY *key, const char *cn, const char *org, int64_t now, unsigned days, X509 **ret_cert);

/**
 * A TLS server certificate, subject CN=cn, O=org, with 'names' (DNS names and IP addresses as text) as
 * subjectAltName. It never outlives the CA. 'key' is the server's; only its public part is used.
 */
int pki_server_issue(const struct pki_ca *ca, EVP_PKEY *key, const char *cn, const char *org,
		     const char *const *names, size_t n, int64_t now, unsigned days, X509 **ret_cert);

/**
 * A certificate for our own key: self-signed with 'ca' NULL (then 'key' must have its private part), else issued by
 * it. 'names' as above, none for a CA.
 */
int pki_own_issue(const struct pki_ca *ca, EVP_PKEY *key, enum pki_use use, const char *cn, const char *org,
		  const char *const *names, size_t n, int64_t now, unsigned days, X509 **ret_cert);

/** A PKCS#10 request for the same certificate, signed by 'key': usages and names are asked for as extensions. 'challenge' (NULL: none) is
 * its password. */
int pki_own_request(EVP_PKEY *key, enum pki_use use, const char *cn, const char *org, const char *const *names,
		    size_t n, const char *challenge, X509_REQ **ret_req);

/**
 * May what a third party made of our request serve as 'use' at 'now'? 'chain' is the leaf first, then its issuers in
 * any number, a root last or not: each must have signed the one before it, be a CA and be valid.
 * 0; -EACCES with the reason in 'why'.
 */
int pki_own_check(STACK_OF(X509) *chain, EVP_PKEY *key, enum pki_use use, int64_t now, char *why, size_t why_size);

/** True for what LSCs are issued to: as pki_key_acceptable(), P-521, and with 'old' RSA from 512 bits on, which old phones make. */
bool pki_lsc_key_acceptable(EVP_PKEY *key, bool old);

/**
 * A phone's LSC for 'device' (SEP and 12 upper-case hex digits), or an application's for pki_app_valid()'s name (a TLS client's, its CN
 * that name), and public key, signed with SHA-256. The caller has established
 * that the key belongs to the device. -EINVAL: no such name; -EACCES: the key is too weak or of a wrong kind.
 */
int pki_lsc_issue(const struct pki_ca *ca, const char *device, EVP_PKEY *pub, bool old, int64_t now, unsigned days,
		  X509 **ret_cert);
/** The same for a key as the phone sent it: the certificate has its very bytes. *ret_der: OPENSSL_free(). */
int pki_lsc_issue_spki(const struct pki_ca *ca, const char *device, const struct pki_spki *key, bool old, int64_t now, unsigned days,
		       uint8_t **ret_der, size_t *ret_len);

/** The public key of a PKCS#10 request in DER whose own signature is right. -EBADMSG, -EACCES. */
int pki_csr_pubkey(const uint8_t *der, size_t len, EVP_PKEY **ret_pub);

/** A certificate from exactly 'len' bytes of DER. -EBADMSG. */
int pki_cert_parse(const uint8_t *der, size_t len, X509 **ret_cert);
/** The password callback that gives none, for PEM_read_bio_*(): without it OpenSSL asks at the terminal when it meets an encrypted block. -1. */
int pki_no_password(char *buf, int size, int rw, void *ctx);

/** All certificates of a PEM text, appended to a new stack. -EBADMSG: none, or one that cannot be read. */
int pki_pem_certs(const uint8_t *pem, size_t len, STACK_OF(X509) **ret_certs);

/** True for "SEP" and exactly 12 upper-case hex digits. */
bool pki_device_valid(const char *name);

/** True for an application user and an instance of it, "USER/INSTANCE": 1 to 31 of letters, digits and . _ - each. The slash
 * is in no name that pki_name_device() takes for a phone's. */
bool pki_app_valid(const char *name);

/**
 * The device that a certificate names: its subject has exactly one CN, of printable ASCII, that is
 * SEP<MAC> (LSC) or CP-<model>-SEP<MAC> (MIC). Says nothing of who issued it: pki_phone_verify().
 * 0, -EACCES: names no device ('ret_name' untouched).
 */
int pki_name_device(X509 *cert, char ret_name[PKI_DEVICE_MAX]);

/**
 * A store that trusts 'trust' (CAs that may issue phone certificates) for TLS clients, for SSL_CTX: purpose
 * TLS client, a trusted intermediate is enough. 'legacy' also takes SHA-1 signatures and 1024-bit keys, which
 * old MICs have (security level 0). The caller owns it.
 */
int pki_phone_store(STACK_OF(X509) *trust, bool legacy, X509_STORE **ret_store);

/**
 * Check what a phone presented at 'now': chain, signatures, validity, purpose. 'chain' (may be NULL) are
 * further certificates it sent, trusted for nothing. 0, or -EACCES with OpenSSL's X509_V_ERR_* in *ret_error
 * (may be NULL): pki_verify_word().
 */
int pki_phone_verify(X509_STORE *store, X509 *cert, STACK_OF(X509) *chain, int64_t now, int *ret_error);

/** One word for an X509_V_ERR_*, for alarms: "expired", "not-yet-valid", "untrusted", "bad-signature",
 * "wrong-purpose", "weak", "revoked", "invalid", "ok". */
const char *pki_verify_word(int error);

/** SHA-256 of the DER. 0, -EIO. */
int pki_fingerprint(const X509 *cert, uint8_t ret_sha256[32]);

#endif
