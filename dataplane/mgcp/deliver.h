/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Key delivery: a command of the controlplane becomes an MGCP message inside ESP, or fails closed.
 * One instance per worker, used by that worker alone; all memory is taken at create, none
 * afterwards. Time is an argument (microseconds, monotonic). The messages are built in a fixed
 * buffer, and the check whether they may leave is the last step before that: a message that carries
 * a media key is built only while a live SA covers its gateway (or DP_GW_F_KEYS_CLEAR is set), at
 * the first transmission and at each repeat. RFC 3435; the transactions are txn.h's, the messages
 * msg.h's and sdp.h's.
 *
 * Not carried: second descriptions, and those that an audit answers (they may hold keys). Of L: only
 * p: and a: are written: the token that announces SRTP there is not public.
 *
 * A gateway with DP_GW_F_AUTO is answered as it speaks: version token, form of a=crypto, and our port that
 * it speaks to are taken from its authenticated messages, kept, and told (dp_gw_heard).
 */
#ifndef DP_DELIVER_H
#define DP_DELIVER_H

#define DP_MGCP_PIGGY_MAX 32   /* messages that are read of one datagram */
#define DP_MGCP_PIGGY_OUT 8    /* that we put in one */
#define DP_MGCP_PIGGY_LEN 1200 /* bytes of such a datagram */

#include <stdbool.h>
#include <stdint.h>

#include "dp_msg.h"
#include "dp_page.h"
#include "txn.h"

struct dp_deliver;

/* What the worker gives. None of them may call back into the same struct dp_deliver. */
struct dp_deliver_ops {
	/*
	 * Wrap 'payload' in UDP and IP, encrypt it with the live SA of gw_id if there is one, send
	 * it; in clear only if !need_sa. Keeps no reference to 'payload'. 0; -ENOKEY: need_sa and
	 * no live SA; other negative errno: could not send now (taken as lost on the way: the
	 * transaction repeats).
	 */
	int (*send)(void *ctx, uint32_t gw_id, const struct dp_sockaddr *from,
	            const struct dp_sockaddr *to, const uint8_t *payload, uint16_t len,
	            bool need_sa);
	/* True while a live outbound SA covers the gateway. In clear nothing is accepted from it
	 * then either. */
	bool (*sa_live)(void *ctx, uint32_t gw_id);
	/* The one result of an accepted command. The struct may hold a key: copy it, it is wiped on
	 * return. */
	void (*done)(void *ctx, const struct dp_mgcp_done *done);
	/*
	 * A command of the gateway. 0: an acknowledgement with its token will follow (bits 24 to 31
	 * of a token are zero, for the worker's own use: it clears them again); negative: not
	 * accepted, nothing is answered and the gateway's repeat comes up again. Token 0: for
	 * information, already answered (504: a verb that we do not know).
	 */
	int (*event)(void *ctx, const struct dp_mgcp_event *event);
	uint64_t seed; /* random: first transaction id and jitter; 0: drawn from getrandom(2) at
	                  create */
	/* With parts above 1 there are so many instances, of which this is number 'part': gateways
	 * may go over from one to another, so each draws identifiers of its own. */
	uint8_t part, parts;
	/* These may be NULL: not told then. */
	/* A piece of what an audit answered; negative: lost, its dp_mgcp_done shows that. */
	int (*text)(void *ctx, const struct dp_mgcp_text *text);
	/* Negative: not now, it is tried again. */
	int (*heard)(void *ctx, const struct dp_gw_heard *heard);
	uint64_t wall_us; /* microseconds since 1970, for dp_txn_wall(); 0: with a seed none, without one the system's */
};

struct dp_deliver_stats {    /* all since create; written by the worker */
	uint64_t tx;         /* messages given to send, repeats and answers included */
	uint64_t retx;       /* commands repeated */
	uint64_t rx;         /* MGCP messages parsed, piggybacked ones singly */
	uint64_t timeout;    /* transactions that ended without an answer */
	uint64_t no_sa;      /* transactions refused or ended because no SA was live */
	uint64_t send_fail;  /* send said other than 0 and -ENOKEY */
	uint64_t malformed;  /* datagrams, or the rest of one after a good message */
	uint64_t unknown;    /* no such gateway, answers to no transaction */
	uint64_t stale;      /* of these, the answers: late, said twice, replayed, or never asked for */
	uint64_t source;     /* from another address than the gateway's */
	uint64_t policy;     /* in clear where an SA is demanded; a key that came in clear */
	uint64_t overload;   /* commands refused: too many wait for the gateway */
	uint64_t bad_answer; /* answers that could not be used */
	uint64_t media_refused; /* of these, because of what their description asks for */
	uint64_t repeats;    /* of the gateways' commands, answered from the cache */
	uint64_t keepalive;  /* bare NTFYs answered here */
	uint64_t refused;    /* commands of gateways answered 504 or 528 */
	uint64_t event_full; /* events that could not go up */
};

/**
 * 'max_gw' gateways at once (any gw_id below DP_GW_MAX), 'max_txn' commands at once, waiting ones
 * included. *ops is copied. NULL: no memory. Main lcore; afterwards everything is the worker's.
 */
struct dp_deliver *dp_deliver_create(const struct dp_deliver_ops *ops, void *ctx, uint32_t max_gw,
                                     uint32_t max_txn);

/** Wipes and frees; calls no op, unfinished commands get no result. NULL is allowed. */
void dp_deliver_destroy(struct dp_deliver *d);

/** Idempotent; running transactions go on. -EBADMSG: a field; -ENOSPC: max_gw are there, or 64
 * local addresses. */
int dp_deliver_gw_set(struct dp_deliver *d, const struct dp_gw_set *gw);

/** Running transactions end with DP_MGCP_CANCELED, inside this call. -ENOENT: no such gateway. */
int dp_deliver_gw_del(struct dp_deliver *d, uint32_t gw_id);

/**
 * Take a command; *cmd is copied and the caller wipes its own. 0: exactly one done() follows
 * (perhaps inside this call: DP_MGCP_NO_SA, DP_MGCP_OVERLOAD). -EBADMSG: a field; -ENOENT: no such
 * gateway; no done() then.
 */
int dp_deliver_cmd(struct dp_deliver *d, const struct dp_mgcp_cmd *cmd, uint64_t now_us);

/** The same for a command without a description. -EBADMSG, -ENOTSUP: also what dp_mgcp_params_check() says. */
int dp_deliver_ask(struct dp_deliver *d, const struct dp_mgcp_ask *ask, uint64_t now_us);

/** Answer the gateway's command. -ENOENT: no such token (any more); -EBADMSG: code not 200..999. */
int dp_deliver_ack(struct dp_deliver *d, const struct dp_mgcp_ack *ack, uint64_t now_us);

/**
 * The controlplane that held unacknowledged events is gone: forget them, so that the gateways'
 * repeats come up again under new tokens. To be called when a new controlplane says hello.
 */
void dp_deliver_forget_events(struct dp_deliver *d);

/* How a datagram came. An SA without encryption says whose it is, and hides no key. */
enum dp_deliver_way { DP_DELIVER_CLEAR, DP_DELIVER_SEALED, DP_DELIVER_READABLE };

/**
 * One datagram for a (local address, port) that gateways use. 'way' other than DP_DELIVER_CLEAR: it came out of an inbound
 * SA, whose dp_sa_set.gw_id is 'sa_gw_id' (UINT32_MAX: none, the gateway is found by address).
 * DP_DROP_CONSUMED, or the reason why nothing of it was used. 'payload' may hold a key: the caller
 * wipes it afterwards.
 */
enum dp_drop dp_deliver_rx(struct dp_deliver *d, const uint8_t *payload, uint16_t len,
                           const struct dp_sockaddr *from, const struct dp_sockaddr *to, enum dp_deliver_way way,
                           uint32_t sa_gw_id, uint64_t now_us);

/** Timers; at most 64 are handled a call, so call it every loop. Returns when the next is due
 * (UINT64_MAX: none). */
uint64_t dp_deliver_tick(struct dp_deliver *d, uint64_t now_us);

/**
 * Ask the cache for what a command to a gateway, or a datagram of it, is going to need: first (step 0) where it is, then, some work
 * later, itself (step 1). Any gw_id; changes nothing.
 */
void dp_deliver_ahead(const struct dp_deliver *d, uint32_t gw_id, unsigned step);

/**
 * The same for a datagram of 'len' bytes that is about to be given to dp_deliver_rx(): where it looks like an answer, for the command
 * that it answers. Steps 0 to 2. Believes nothing, changes nothing.
 */
void dp_deliver_ahead_answer(const struct dp_deliver *d, const uint8_t *payload, uint16_t len, unsigned step);

/** True if (ip, port) of 'to' is a local MGCP address of some gateway: what core gives to
 * dp_deliver_rx. */
bool dp_deliver_is_local(const struct dp_deliver *d, const struct dp_sockaddr *to);

/* A command that has no result yet; which of the two: hdr.type. */
union dp_deliver_cmd {
	struct dp_mgcp_cmd cmd; /* may hold a key */
	struct dp_mgcp_ask ask;
};

/* A piece of a gateway on its way from one instance to another: itself, then each of its transactions, then its end. */
struct dp_deliver_piece {
	enum { DP_DELIVER_NONE, DP_DELIVER_GW, DP_DELIVER_TXN, DP_DELIVER_END } kind;
	uint32_t gw_id;
	struct dp_gw_set gw;      /* GW */
	bool heard, form_known, silent; /* GW */
	uint64_t heard_us;        /* GW */
	struct dp_txn_peer peer;  /* GW */
	struct dp_txn_rec rec;    /* TXN */
	union dp_deliver_cmd cmd; /* TXN, outgoing: may hold a key */
};

/**
 * Take the next piece of the gateways of 'shard' out. '*at' is 0 before the first call, and the caller's to keep; at
 * most 'look' places are looked at. Until the first call for a gateway it works as ever, from then on it is not to be
 * used here: no dp_deliver_tick() until all is given. The same clock and flags at both ends. True: again, for more
 * (kind NONE: nothing found this time); false: that was all.
 */
bool dp_deliver_give(struct dp_deliver *d, uint8_t shard, uint32_t *at, uint32_t look, struct dp_deliver_piece *ret);

/**
 * Put a piece in, in the order they were given, and wipe it. Transactions run on from here: the same identifiers, timers,
 * tokens (dp_deliver_ack finds those of the other instance). What finds no room gets its result (DP_MGCP_CANCELED), a
 * remembered command of the gateway is forgotten (event_full). In clear the gateway is unknown until its end came.
 */
void dp_deliver_accept(struct dp_deliver *d, struct dp_deliver_piece *p, uint64_t now_us);

/** Gateways set, and commands without a result yet. */
uint32_t dp_deliver_gw_cnt(const struct dp_deliver *d);
uint32_t dp_deliver_txn_cnt(const struct dp_deliver *d);

const struct dp_deliver_stats *dp_deliver_stats(const struct dp_deliver *d);

#endif
