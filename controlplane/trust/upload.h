/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Certificates that operators upload: PEM or DER into certificates, what a trust store takes, what a chain must be, and how a
 * certificate is shown. Objects in memory, the time an argument (seconds since 1970). Functions that refuse say why in one
 * line ('why') and by errno: -EBADMSG malformed, -ENOKEY a key or signature that is too weak or of a kind that is not
 * taken, -ETIME not yet valid, -EKEYEXPIRED expired, -EPERM of a wrong usage, -EMSGSIZE over a limit. 001:P1-029, 004c:CT-18.
 */
#ifndef CP_UPLOAD_H
#define CP_UPLOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "certs.h"

#define CP_UPLOAD_MAX       (256u << 10) /* bytes of an uploaded file */
#define CP_UPLOAD_CERTS_MAX 64           /* certificates in it */

/**
 * Certificates of a file, in its order: PEM blocks with any text around them, or DER, one behind the other. A file that holds
 * anything else that is PEM (a private key above all) is refused. The caller owns *ret. -EBADMSG, -EMSGSIZE, -ENOMEM.
 */
int cp_upload_parse(const uint8_t *data, size_t len, STACK_OF(X509) **ret, char *why, size_t why_size);

/**
 * What is asked of any certificate that comes from outside: 004c:CT-18's rules, one line for each. 'legacy' also takes
 * RSA from 1024 bits and SHA-1, as old phones' manufacturers have them.
 */
int cp_upload_check(X509 *cert, int64_t now, bool legacy, char *why, size_t why_size);

/** Is it of use in a trust store? -EPERM. */
int cp_upload_usage(enum cp_trust_store ts, X509 *cert, char *why, size_t why_size);

/** Is it of use as our own certificate 'name'? Servers: TLS server; "CAPF": a CA; others: signatures. -EPERM. */
int cp_upload_own_usage(const char *name, X509 *cert, char *why, size_t why_size);

/**
 * Order a third party's answer: leaf first, then its issuers up to a self-signed one, taken from 'certs' or, where they lack one,
 * from 'more' (may be NULL). Signatures and CA-ness are checked, validity is not. *ret is a new stack of references. -EBADMSG: a
 * certificate that is not part of the chain, a signature that is wrong; -ENOENT: the chain does not reach a self-signed one.
 */
int cp_upload_chain(STACK_OF(X509) *certs, STACK_OF(X509) *more, STACK_OF(X509) **ret, char *why, size_t why_size);

/** The root CA that phones' manufacturers signed MICs with, by its name. 001:P1-035. */
bool cp_upload_manufacturer(X509 *cert);

/** "rsa-2048", "ec-p256", "ec-p384", "other-N". */
const char *cp_upload_key(X509 *cert, char buf[24]);
/** The subject's common name, else its whole text; printable ASCII, cut. Returns buf. */
const char *cp_upload_name(X509 *cert, char *buf, size_t size);
/** Seconds since 1970; INT64_MAX what cannot be read. */
int64_t cp_upload_time(const ASN1_TIME *t);
void cp_upload_hex(const uint8_t *data, size_t len, char *ret); /* 2 * len + 1 bytes, lower case */
/** The certificate as PEM, a new string. NULL: no memory. */
json_t *cp_upload_pem(X509 *cert);

/** Everything about it, for `cert show`: a new object; NULL: no memory. */
json_t *cp_upload_json(X509 *cert, int64_t now);

#endif
