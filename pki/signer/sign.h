/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Typed signing. What is to be signed is parsed before: it must be what its kind says, name the identity that signs it by
 * subject, issuer and serial number, and be of those that this identity may sign (ident.c). A list must have its signer among
 * its SAST records, or have no record with a certificate (a CTL of non-secure mode, an ITL for a rollback); a CTL that a SAST
 * signs has two SASTs at least. So no caller gets a signature over bytes of its own choosing: what is signed is a trust list or a
 * file with a header, never, say, a certificate or a handshake.
 */
#ifndef PKI_SIGN_H
#define PKI_SIGN_H

#include "signer.h"
#include "state.h"

#define PKI_SIGN_MAX 512 /* bytes of a signature */

/**
 * 'head' and 'body' (empty for a list) as trustlist.h and sgn.h build them. 'sig' has PKI_SIGN_MAX bytes; *ret_len its length.
 * -ENOENT no such identity, -EACCES not allowed, -EBADMSG not of this kind, -ENOTSUP, -ENOKEY, -EIO; 'why' gets a line. What was
 * signed is put in 'what' for the log.
 */
int pki_sign(struct pki_state *state, const char *name, uint32_t kind, struct pki_blob head, struct pki_blob body,
	     uint8_t *sig, size_t *ret_len, char *what, size_t what_size, char *why, size_t why_size);

const char *pki_sign_kind_name(uint32_t kind);

#endif
