/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What charon has installed, as the kernel would keep it: SPIs promised, SAs, policies. From here they go to the dataplane
 * (gateway/sasource.h), with the gateway that the addresses tell. Both feeds, the socket and the kernel's, drive this. One event loop.
 *
 * An outbound SA waits until a policy sends with it: charon installs both directions at once, but lets the outbound policy name the new
 * SPI only when the peer has the SA, too (initiator: at once; responder: when the initiator deletes the old one). So no packet is lost.
 */
#ifndef CP_IKE_XFRMDB_H
#define CP_IKE_XFRMDB_H

#include <jansson.h>

#include "ike/xfrm.h"

struct cfg;
struct cp_gws;
struct cp_sas;
struct cp_xfrmdb;
struct event_base;

#define CP_XFRMDB_LARVAL_MAX 32768 /* SPIs that are promised at one time */
#define CP_XFRMDB_PAIRS_MAX  8     /* of a gateway, and of a reqid: two while they are renewed, more when both ends begin */
#define CP_XFRMDB_IN_MAX     16    /* of these inbound ones alone: charon has an old one 5 s longer, and peers renew fast */
/* Gateways that begin themselves must first see that the charon before is silent: their IKE's retransmissions take 165 s, and before that it must be time to ask. */
#define CP_XFRMDB_LEFT_S     300
#define CP_XFRMDB_LEFT_IN_S  5     /* what is under way when the new pair stands, as charon's own delete_rekeyed_delay */

struct cp_xfrmdb_env {
	struct event_base *base;
	const struct cfg *cfg;
	struct cp_sas *sas;
	struct cp_gws *gws;
	/* A lifetime of one is over; not hard: charon is to renew it. */
	void (*expire)(void *ctx, const struct cp_xfrm_sa *sa, bool hard);
	/* The peer's NAT gave it another address or port, which charon must say. NULL: it cannot be told. */
	void (*mapping)(void *ctx, const struct cp_xfrm_sa *sa, const struct cfg_addr *from);
	/* The dataplane has answered for an SA: cp_xfrmdb_settled() may say another thing now. May be NULL. */
	void (*settled)(void *ctx);
	void *ctx;
	bool shared; /* the kernel has the SAs, too, and might have sent a packet before it is kept from it */
	unsigned left_s, left_in_s; /* 0: CP_XFRMDB_LEFT_S, CP_XFRMDB_LEFT_IN_S */
};

struct cp_xfrmdb *cp_xfrmdb_create(const struct cp_xfrmdb_env *env);
void cp_xfrmdb_destroy(struct cp_xfrmdb *db);

/** An SPI for charon's peer, in the gateway's shard; kept for it for 165 s. 'ret' is what ALLOCSPI answers. -EADDRNOTAVAIL, -ENOSPC. */
int cp_xfrmdb_alloc(struct cp_xfrmdb *db, const struct cp_xfrm_msg *msg, struct cp_xfrm_sa *ret);

/**
 * NEWSA, UPDSA. 'replay': charon has had it since before us; what the dataplane does not have any more is kept as stale, and
 * cp_xfrmdb_replayed() asks charon to renew it. 'sa' with its key is the caller's. 0 or negative errno with 'why': -EADDRNOTAVAIL (neither
 * end is the dataplane's), -ENOSPC (CP_XFRMDB_PAIRS_MAX, or all are in use), as cp_sas_ike_set().
 */
int cp_xfrmdb_set(struct cp_xfrmdb *db, const struct cp_xfrm_sa *sa, bool replay, char *why, size_t why_size);
int cp_xfrmdb_del(struct cp_xfrmdb *db, const struct cp_xfrm_id *id); /* -ESRCH */
/** With the dataplane's counters and its key in it, which the caller wipes. -ESRCH. */
int cp_xfrmdb_get(struct cp_xfrmdb *db, const struct cp_xfrm_id *id, struct cp_xfrm_sa *ret);
void cp_xfrmdb_flush(struct cp_xfrmdb *db, uint8_t proto);

/** A replay begins; it was all: what was not in it charon has deleted meanwhile, and what is stale it hears now. */
void cp_xfrmdb_replay(struct cp_xfrmdb *db);
void cp_xfrmdb_replayed(struct cp_xfrmdb *db);

/**
 * Another charon is there, before it has installed anything: the one that was ended without deleting what it had, of which this one knows nothing.
 * Promised SPIs and policies go now. SAs carry on, so that traffic is not cut while IKE comes up: until their gateway has others in both
 * directions, which the dataplane has taken (inbound ones CP_XFRMDB_LEFT_IN_S longer, for what is under way), but not over CP_XFRMDB_LEFT_S.
 */
void cp_xfrmdb_another(struct cp_xfrmdb *db);
/** How many of those there are. */
uint32_t cp_xfrmdb_left(const struct cp_xfrmdb *db);

/** NEWPOLICY (-EEXIST if it is there), UPDPOLICY. -EOPNOTSUPP with 'why': a second pair of selectors of one SA; -ENOSPC: CP_XFRMDB_PAIRS_MAX. */
int cp_xfrmdb_policy(struct cp_xfrmdb *db, const struct cp_xfrm_policy *p, bool update, char *why, size_t why_size);
int cp_xfrmdb_policy_del(struct cp_xfrmdb *db, const struct cp_xfrm_policy *p); /* -ENOENT */
int cp_xfrmdb_policy_get(struct cp_xfrmdb *db, const struct cp_xfrm_policy *p, struct cp_xfrm_policy *ret);
void cp_xfrmdb_policy_flush(struct cp_xfrmdb *db);

/** What charon has just installed: an SA, or a policy that is outbound and leads to ESP; nothing: of SPI 0. */
struct cp_xfrmdb_step {
	bool policy;
	struct cp_xfrm_id id; /* of the SA, */
	uint32_t reqid;       /* of the policy's template */
};

/**
 * May charon hear that it is done? Not while the dataplane has yet to take an inbound SA, whose peer sends as soon as charon has
 * answered it, or the outbound one that a policy sends with from now on in the place of another, which the peer deletes when charon says so.
 */
bool cp_xfrmdb_settled(struct cp_xfrmdb *db, const struct cp_xfrmdb_step *step);

/** How many SAs and policies were refused by CP_XFRMDB_PAIRS_MAX. */
uint64_t cp_xfrmdb_refused(const struct cp_xfrmdb *db);

/** Is there an SA of this reqid? */
bool cp_xfrmdb_has_reqid(struct cp_xfrmdb *db, uint32_t reqid);

/** A gateway's record came, changed or went: within a second SAs are whose address, and port, it is now. */
void cp_xfrmdb_gateway_changed(struct cp_xfrmdb *db);

/** How many policies of each direction, SAs. */
void cp_xfrmdb_count(const struct cp_xfrmdb *db, uint32_t policies[3], uint32_t *sas);

#endif
