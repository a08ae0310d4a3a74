/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What TVS vouches for in this cluster: its own certificates in the roles that trust lists give them, those they replaced as long as
 * these are kept, and what an operator put into the trust stores (002:P2-05, P2-08, P2-12). Of TVS-trust: other nodes' TVS, and what signs
 * their lists (trust/peers.h).
 */
#ifndef CP_ENROL_TVSFEED_H
#define CP_ENROL_TVSFEED_H

#include "enrol/tvsbook.h"
#include "trust/certs.h"

/* Where certificates come from, so that tests can stand in for it. */
struct cp_tvs_source {
	X509 *(*own)(void *ctx, const char *name); /* by the signer's identity name: a reference, or NULL */
	STACK_OF(X509) *(*trusted)(void *ctx, enum cp_trust_store ts); /* a new stack of references */
	void *ctx;
};

/**
 * A closed book of what is there now. What cannot be asked for (a name too long for the protocol) is left out and logged. NULL: no
 * memory.
 */
struct cp_tvs_book *cp_tvs_feed(const struct cp_tvs_source *src);

/** Of a running appliance. 'certs' must stay as long as the source is used. */
struct cp_tvs_source cp_tvs_source_of(struct cp_certs *certs);

#endif
