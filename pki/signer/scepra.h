/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The registration authority: what the signer does so that a CA of a third party issues phones' certificates, and those of its own
 * identities. The key of the identity CAPF-RA signs requests and messages, and answers are encrypted to it. Which CA is believed, its
 * challenge password and what of old cryptography is allowed is this process's own configuration (enrol.scep).
 */
#ifndef PKI_SCEPRA_H
#define PKI_SCEPRA_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "scep.h"
#include "signer.h"

struct pki_state;

struct pki_ra_reply {
	uint32_t status; /* enum pki_scep_status, of OPEN */
	int fail;        /* failInfo, -1: none */
	char text[PKI_SIGNER_NAME_MAX];
	uint8_t *data;   /* request or message, OPENSSL_malloc'ed */
	size_t len;
	uint8_t nonce[PKI_SCEP_NONCE]; /* of that message */
	STACK_OF(X509) *certs; /* OPEN, SUCCESS: what was issued first, then the CA's: a chain of two */
};

/** Answer a request of PKI_SIGNER_RA. 0; -EBADMSG, -EACCES, -EINVAL (not configured), -ENOKEY, -ENOENT (no such identity, nothing waits). */
int pki_ra(struct pki_state *st, const struct pki_signer_msg *m, int64_t now, struct pki_ra_reply *ret, char *why, size_t why_size);

/** At the end: what was loaded for old cryptography. */
void pki_ra_fini(void);

#endif
