/* SPDX-License-Identifier: BSD-3-Clause */
/* Between libravelin-xfrm.so in charon and the controlplane's ike.socket: what an NLMSG_NOOP carries. Both are of one machine. */
#ifndef CP_IKE_SHIM_H
#define CP_IKE_SHIM_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define SHIM_VERSION 2 /* 1 had no 'start': a charon that outlived an upgrade */
#define SHIM_V1_LEN  16

enum shim_phase {
	SHIM_BOUND = 1, /* charon has bound the socket */
	SHIM_REPLAY,    /* what follows was installed before: NEWSA, UPDSA, *POLICY without a wish for answers */
	SHIM_REPLAYED,  /* that was all; the server says the same back, at the latest after what it has to say of it */
};

struct shim_hello {
	uint32_t version; /* SHIM_VERSION */
	uint32_t groups;  /* nl_groups: bit n-1 is group n */
	uint32_t phase;   /* enum shim_phase */
	uint32_t pid;     /* charon's, */
	uint64_t start;   /* and when it began, in ns since the machine did: another one has other SAs, though in a container its pid may be the same */
};
static_assert(sizeof(struct shim_hello) == 24 && offsetof(struct shim_hello, start) == SHIM_V1_LEN, "of one machine, but maybe of two builds");

#endif
