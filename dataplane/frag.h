/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IP fragments made whole again (dataplane.fragments: reassemble), by rte_ip_frag: RFC 791, RFC 8200 s4.5. Each worker has
 * its own table of fixed size; what does not come together in DP_FRAG_MS, overlaps, has more than
 * RTE_LIBRTE_IP_FRAG_MAX_FRAG pieces or finds the table full is DP_DROP_FRAG_INCOMPLETE, all pieces of it. Only UDP and
 * ESP to addresses of ours. A whole packet is copied into one buffer and begins its way anew as if it had come so.
 *
 * What comes in fragments out of an SA in tunnel mode has a table of its own: nothing that came in clear joins a packet that was
 * protected (RFC 4301 s7), nor what came in another gateway's SA.
 *
 * Accounts: pieces that wait are in flight. When they are a packet, that is one of them, and the others are
 * DP_DROP_CONSUMED.
 */
#ifndef DP_FRAG_H
#define DP_FRAG_H

#include <stdbool.h>
#include <stdint.h>

struct dp_frag;
struct dp_worker;
struct rte_mbuf;

#define DP_FRAG_MS 500 /* from the first piece that came to the last */

/**
 * A table for packets that are incomplete at a time: a 64th of 'mbufs', 16 to 1024, whose pieces are an eighth of them
 * at most. 'secret': what is in it is wiped before it is freed. NULL: no memory.
 */
struct dp_frag *dp_frag_create(uint32_t mbufs, uint64_t hz, int socket, bool secret);

/** Frees the pieces in it, wiped if they are secret. Takes NULL. */
void dp_frag_destroy(struct dp_frag *frag);

/**
 * Is this one for dp_frag_input()? 'data' is an Ethernet frame without tag of 'len' bytes to our MAC that dp_parse_frame()
 * called a fragment; 'port' where it came in.
 */
bool dp_frag_ours(const struct dp_worker *w, const uint8_t *data, uint16_t len, uint8_t port);

/** Take a piece, consuming it. NULL, or the whole packet as a frame in one buffer. Worker. */
struct rte_mbuf *dp_frag_input(struct dp_worker *w, struct rte_mbuf *m);

/**
 * The same for an IP packet out of an SA of 'gw_id', without Ethernet header, that dp_esp_decap_burst() called a fragment. The whole
 * packet is yet to be compared with the SA's selectors. 'way' (enum dp_deliver_way) stands in its dp_mbuf_priv.inner, and is
 * DP_DELIVER_READABLE if one piece was. Worker, w->frag_inner is there.
 */
struct rte_mbuf *dp_frag_inner(struct dp_worker *w, struct rte_mbuf *m, uint32_t gw_id, uint8_t way);

/** Give up what waited too long. About every millisecond. Worker. */
void dp_frag_tick(struct dp_worker *w);

#endif
