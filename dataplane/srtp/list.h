/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keys of one direction of a leg: a list whose head is the key in use (struct dp_srtp_pkt names it). Order: the head,
 * the others by how soon they are wanted, keys with streams of their own (replaced by a key whose streams began anew)
 * and those that share them last. Of its worker alone. What a function returns are keys that are no longer in the
 * list, chained by 'next': the worker has let go of them, the main lcore wipes them.
 *
 * RFC 3711 s3.3.1 (a re-key keeps ROC and windows), s8.1 (MKI, From and To), s9.2 (lifetimes).
 */
#ifndef DP_SRTP_LIST_H
#define DP_SRTP_LIST_H

#include "srtp/srtp.h"

/**
 * A new key comes, with DP_KEY_F_* 'flags' as in struct dp_leg_key. With ADD it joins the list, at its end if it is on
 * standby, as the head if it is one to send with, else behind the head. Without, it becomes the head and the others
 * end: receiving after overlap_ms, sending at once. KEEP_ROC, or ADD: it goes on with the head's streams, and floors and
 * ROC of its own count for nothing. A key that is there already (dp_srtp_key_same) changes nothing but, without ADD,
 * that it becomes the head and the others end. A key whose session keys are there with other parameters replaces that
 * one and keeps its streams, whatever the flags say: no index may come twice.
 * *ret_fresh: sending begins anew, indices reserved under the keys before are history.
 */
struct dp_srtp_key *dp_srtp_keys_set(struct dp_srtp_key **list, struct dp_srtp_key *key, uint8_t flags,
				     uint32_t overlap_ms, uint32_t now_ms, bool *ret_fresh);

/** End the key of an MKI at once. NULL: there is none. */
struct dp_srtp_key *dp_srtp_keys_del(struct dp_srtp_key **list, const uint8_t *mki, uint8_t mki_len);

/** End the keys whose time is over. */
struct dp_srtp_key *dp_srtp_keys_expire(struct dp_srtp_key **list, uint32_t now_ms);

/** End all. */
struct dp_srtp_key *dp_srtp_keys_clear(struct dp_srtp_key **list);

/**
 * The whole list leaves its worker's pool of streams, and comes into another worker's: dp_srtp_key_leave() and _enter() of
 * each key. For a leg that moves; nothing else of a key belongs to a worker. Takes NULL.
 */
void dp_srtp_keys_leave(struct dp_srtp_key *list);
void dp_srtp_keys_enter(struct dp_srtp_key *list, struct dp_srtp_pool *pool);

/** SSRCs that the direction may have; those that have begun stay. 0: DP_SRTP_SSRCS. */
void dp_srtp_keys_ssrcs(struct dp_srtp_key *list, uint16_t ssrc_max);

struct dp_srtp_event {
	uint8_t kind;   /* enum dp_leg_event_kind: KEY_SOON, KEY_EXPIRED, SSRC_LIMIT */
	uint8_t rtcp;
	uint32_t ssrc;
	uint64_t index; /* KEY_*: last used */
};
#define DP_SRTP_EVENTS 5 /* of one call, at most */

/**
 * After a burst that left the head's 'pending' set: makes the key the head that the party has changed over to, or that
 * sending goes on with, and says what there is to tell. A limit of SSRCs is told once in a minute ('now_s': seconds), an
 * end only if no other key can go on. Returns the number of events in 'ret'; 'list' may have another head.
 */
unsigned int dp_srtp_keys_service(struct dp_srtp_key **list, uint32_t now_s, struct dp_srtp_event ret[DP_SRTP_EVENTS]);

#endif
