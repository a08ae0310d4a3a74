/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IP packets that a worker makes (MGCP, keep-alives, dummies) on their way out: to their next hop in clear or through an SA, in
 * fragments where they are too long for their path. What may have held a key is wiped before its buffer goes back.
 *
 * Where a packet through an SA is cut (RFC 4301 s7, s8.1, appendix D): outside of ESP if the outer packet may be fragmented
 * anyway (IPv4 without DF, by the policy's rule); else inside, each piece in ESP of its own, if the SA is a tunnel whose selectors
 * name nothing that a later piece does not show; else outside again, the sender being the one who may do that with DF set and in
 * IPv6. Both ends of a cut are ours: a router on the way has nothing to do, and the far end puts together either what it
 * decrypts or what it has decrypted.
 *
 * Path MTUs are SAs' (pmtu.h). Own code for cutting: rte_ip_frag's gives chains, which ESP cannot encrypt in place. All: worker.
 */
#ifndef DP_IPOUT_H
#define DP_IPOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "worker.h"

#define DP_CUT_MAX    8    /* pieces of a packet: as many as our own reassembly takes */
#define DP_IPOUT_WAIT 32   /* packets that are encrypted together */

struct dp_ipout;
struct dp_sa;
struct dp_spd_policy;
struct rte_mbuf;

/** A worker's packets that wait, none yet. NULL: no memory. Main lcore. */
struct dp_ipout *dp_ipout_create(int socket);

/** What still waited is wiped and freed. Takes NULL. */
void dp_ipout_destroy(struct dp_ipout *out);

/** A message is going to be made soon: a buffer for it is taken ahead, and its lines asked for. */
void dp_ipout_expect(struct dp_worker *w);

/** A buffer for a packet of ours, or NULL. */
struct rte_mbuf *dp_ipout_buffer(struct dp_worker *w);

/**
 * Encrypt what waits and send it, in the order it came; give buffers back that were expected and not used. At the end of a burst of
 * commands and of a round, and before an SA is taken away: until then what waits for it needs its key.
 */
void dp_ipout_flush(struct dp_worker *w);

/**
 * An IP packet of 'len' bytes at 'ip' in 'm', with DP_ETH_LEN bytes of room before it, out of 'port'. Consumes 'm'. 0;
 * -EAGAIN: the next hop is not known yet; -EMSGSIZE; -ENOBUFS. The packet is gone then, and counted.
 */
int dp_ipout_clear(struct dp_worker *w, uint16_t port, struct rte_mbuf *m, uint8_t *ip, uint16_t len);

/**
 * The same through a live SA, with what its policy says of outer headers (NULL: nothing). With head- and tailroom for
 * ESP around it. Also -EIO: the SA did not take it, *ret_why says why. All of that is decided here, one packet after the other,
 * and the sequence number is taken; encrypted and sent it is with others, by dp_ipout_flush(). In between it is nowhere but in
 * that list, which nothing leaves in clear.
 */
int dp_ipout_sealed(struct dp_worker *w, uint16_t port, struct rte_mbuf *m, uint8_t *ip, uint16_t len, struct dp_sa *sa,
		    const struct dp_spd_policy *policy, enum dp_drop *ret_why);

/** Dummy packets on SAs in use, ipsec.dummy_pps on each (RFC 4303 s2.6), at most 16 at a time. About every millisecond. */
void dp_ipout_dummies(struct dp_worker *w);

#endif
