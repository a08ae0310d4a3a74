/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The certificate that a TLS server shows, for somebody to look at: nothing is trusted, and nothing of ours is shown. The server has
 * proven that it holds the certificate's key (the handshake is whole); who it is, whoever looks at the fingerprint decides. Blocks:
 * for a thread of its own (offload.h). An SRST gateway's Certificate Provider is asked so (004b:SRST-02, SRST-04).
 */
#ifndef CP_NET_PEERCERT_H
#define CP_NET_PEERCERT_H

#include <stdatomic.h>
#include <stddef.h>

#include <openssl/x509.h>

struct cfg_addr;

/**
 * Connect to 'to' (with its port), shake hands, take what is shown, hang up. Gives up after timeout_ms in all, or soon after *stop
 * (may be NULL) is true. *ret_issuer: its issuer's certificate where the server showed that too, else NULL; both are the caller's.
 * All with one line in 'why': -ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH (no way there, or broken off), -EPROTO (no TLS there), -ECANCELED
 * (stop), -ENOMEM, and as cp_peercert_take().
 */
int cp_peercert_fetch(const struct cfg_addr *to, unsigned timeout_ms, const atomic_bool *stop, X509 **ret_cert, X509 **ret_issuer,
		      char *why, size_t why_size);

/**
 * What of a chain as a server showed it (leaf first; borrowed) can be taken: a self-signed certificate alone, or one with its issuer's
 * self-signed certificate behind it or not shown. 'ret_*' are references. -ENOENT: nothing is shown; -EMLINK: more than one issuer,
 * or certificates that do not belong to it; -EBADMSG: a signature is wrong. An issuer that is not shown cannot be looked at: whether
 * it is a root is then not known.
 */
int cp_peercert_take(STACK_OF(X509) *chain, X509 **ret_cert, X509 **ret_issuer, char *why, size_t why_size);

#endif
