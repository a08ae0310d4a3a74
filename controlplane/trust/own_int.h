/* SPDX-License-Identifier: BSD-3-Clause */
/* What is asked of the signer about our certificates: own.c, and ownop.c behind a change. */
#ifndef CP_OWN_INT_H
#define CP_OWN_INT_H

#include "certs_int.h"

struct certs_fetch { /* asked on a thread; 'served' are the listeners' identities */
	struct cp_signer *signer;
	int rc;
	char why[160];
	struct cp_signer_ident *ident;
	unsigned cnt;
	STACK_OF(X509) *lsc_cas;
	unsigned served_cnt;
	struct {
		char name[CP_SIGNER_IDENT_MAX];
		EVP_PKEY *key;
		X509 *cert;
		STACK_OF(X509) *chain;
	} served[CERTS_SERVED_MAX];
};

void certs_fetch_begin(const struct cp_certs *c, struct certs_fetch *f);
/** On a thread. */
void certs_fetch_work(struct certs_fetch *f);
/** On the loop: what is new is used, then told. */
void certs_fetch_apply(struct cp_certs *c, struct certs_fetch *f);
void certs_fetch_fini(struct certs_fetch *f);

#endif
