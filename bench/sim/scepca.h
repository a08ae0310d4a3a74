/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The other side of SCEP, for tests: a CA that does what it is told, right or wrong. Reads a request and builds an answer with OpenSSL's
 * CMS functions, independent of pki/scep.c. Errors abort: this is a test's tool.
 */
#ifndef SIM_SCEPCA_H
#define SIM_SCEPCA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/cms.h>
#include <openssl/x509.h>

struct scepca_req { /* what came; owned */
	int type;             /* messageType, -1: none */
	char tid[128];
	uint8_t nonce[16];
	X509 *signer;         /* whose certificate the message has */
	X509_REQ *csr;        /* PKCSReq and RenewalReq */
	bool poll;            /* CertPoll: its body could be read */
	char challenge[128];
	bool self_signed;     /* the request's signature is by the key in it */
};
/* 0, or -1: no such message, or not for 'key'. */
int scepca_read(EVP_PKEY *key, X509 *cert, const uint8_t *data, size_t len, struct scepca_req *ret);
void scepca_req_free(struct scepca_req *r);

/* The certificate for a request: its subject, key, extensions. */
X509 *scepca_issue(EVP_PKEY *key, X509 *cert, X509_REQ *csr, long serial, int days);

struct scepca_say {
	const char *type, *status, *fail; /* NULL: attribute absent; type usually "3" */
	const char *text;                 /* failInfoText */
	const char *tid;                  /* NULL: absent */
	const uint8_t *nonce;             /* recipientNonce, 16 bytes; NULL: absent */
	bool twice;                       /* the status attribute has two values */
	X509 *const *certs;               /* what is inside, NULL ends; NULL: nothing is */
	X509 *to;                         /* recipient of what is inside */
	const EVP_CIPHER *cipher;         /* NULL: AES-128-CBC */
	const EVP_MD *md;                 /* NULL: SHA-256 */
	const uint8_t *raw;               /* instead of an envelope */
	size_t raw_len;
};
/* The message; OPENSSL_free(). */
uint8_t *scepca_say(EVP_PKEY *key, X509 *cert, const struct scepca_say *say, size_t *ret_len);

/* Certificates as GetCACert answers them; OPENSSL_free(). */
uint8_t *scepca_certs(X509 *const *certs, size_t *ret_len);

#endif
