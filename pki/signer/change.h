/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes of an identity. Each is one replacement of its file: killed at any time, the next start finds the identity as it was
 * or as it is to be. Errors with a line in 'why': -ENOENT no such identity (or nothing to retire), -EINVAL no such kind of
 * key, -EACCES not allowed or not in order, -EEXIST already in use, -ENOKEY a token is not there, -EIO and others from writing.
 */
#ifndef PKI_CHANGE_H
#define PKI_CHANGE_H

#include "state.h"

/** A new key and certificate; what was becomes "previous", and what was that is dropped. 'spec': kind of key, pkcs11: URI of
 * a key that is in a token, or "" for the kind it has. */
int pki_change_regen(struct pki_state *state, const char *name, const char *spec, int64_t now, char *why, size_t why_size);

/** A request with a new key, which waits. The caller owns *ret_req. */
int pki_change_csr(struct pki_state *st, const char *name, const char *spec, const char *challenge, X509_REQ **ret_req, char *why,
		   size_t why_size);

/** A third party's certificate, for the key that waits or the one in use. Takes over nothing. */
int pki_change_import(struct pki_state *state, const char *name, STACK_OF(X509) *chain, int64_t now, char *why,
		      size_t why_size);

int pki_change_retire(struct pki_state *state, const char *name, char *why, size_t why_size);

#endif
