/* SPDX-License-Identifier: BSD-3-Clause */
/* Between libravelin-xfrm.so in charon and the controlplane's ike.socket: what an NLMSG_NOOP carries. Both are of one machine. */
#ifndef CP_IKE_SHIM_H
#define CP_IKE_SHIM_H

#include <assert.h>
#include <stdint.h>

#define SHIM_VERSION 1

enum shim_phase {
	SHIM_BOUND = 1, /* charon has bound the socket */
	SHIM_REPLAY,    /* what follows was installed before: NEWSA, UPDSA, *POLICY without a wish for answers */
	SHIM_REPLAYED,  /* that was all; the server says the same back, at the latest after what it has to say of it */
};

struct shim_hello {
	uint32_t version; /* SHIM_VERSION */
	uint32_t groups;  /* nl_groups: bit n-1 is group n */
	uint32_t phase;   /* enum shim_phase */
	uint32_t pid;     /* charon's: another one has other SAs */
};
static_assert(sizeof(struct shim_hello) == 16, "of one machine, but maybe of two builds");

#endif
