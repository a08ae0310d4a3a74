/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SRTP and SRTCP: protect and unprotect bursts of packets given as (pointer, length). RFC 3711 with
 * AES_CM_128_HMAC_SHA1_80 and _32 (SRTCP's tag is 80 bits with both, RFC 4568 s6.2), no MKI, key derivation
 * rate 0.
 *
 * A struct dp_srtp_key is one direction of a leg. The main lcore prepares it (init) and clears it (wipe);
 * in between one worker owns it. It holds the expanded RTP keys, SRTCP's session keys raw (expanded at use:
 * one packet in seconds), and the state of its streams, one per SSRC: index and window. The first stream is
 * in the key, further ones come from a pool; a stream is made only by an authenticated packet (or, sending,
 * by a packet of ours), and lives as long as its key, because one key must never protect two streams of one
 * SSRC, nor one index twice.
 *
 * A burst gives the same results as its packets one by one in order would: twins in one burst, a ROC that
 * turns inside it and a stream that begins inside it included.
 */
#ifndef DP_SRTP_H
#define DP_SRTP_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "dp_msg.h"
#include "dp_page.h"
#include "replay.h"

struct dp_mb;

#define DP_SRTP_BURST       64 /* packets in one call, at most; 32 or more pay off */
#define DP_SRTP_STREAMS_MAX 8  /* SSRCs per direction of a leg, the first one included */
#define DP_SRTP_TAG_MAX     10 /* bytes; room that protecting RTP takes at most */
#define DP_SRTCP_TRAILER    14 /* bytes: E and index, tag */

enum {
	DP_SRTP_F_RTCP_CLEAR = 1 << 0, /* receive: SRTCP with E = 0 (authenticated, not encrypted) is accepted */
};

/* Parameters of a key, as they come in struct dp_leg_key. The caller wipes them after init. */
struct dp_srtp_params {
	uint8_t suite;        /* enum dp_srtp_suite, not NONE */
	uint8_t dir;          /* enum dp_dir */
	uint8_t mki_len;      /* must be 0 */
	uint8_t flags;        /* DP_SRTP_F_* */
	uint32_t ssrc;        /* host order; 0: the floors are for any stream */
	uint64_t index_floor; /* 48 bits: used (send) or accepted (receive) before a restart; 0: fresh key */
	uint64_t rtcp_floor;  /* 31 bits, the same for SRTCP */
	const uint8_t *key;   /* master key: 16 bytes */
	const uint8_t *salt;  /* master salt: 14 bytes */
	struct dp_srtp_pool *pool; /* streams after the first; NULL: one stream only */
};

/* One SSRC under one key. */
struct dp_srtp_stream {
	uint32_t ssrc;  /* host order */
	uint32_t valid; /* 0: not begun */
	struct dp_replay rtp;  /* index = ROC * 65536 + SEQ: top is ROC and s_l */
	struct dp_replay rtcp; /* receive only */
	struct dp_srtp_stream *next; /* of the same key */
};
static_assert(sizeof(struct dp_srtp_stream) == 96, "a stream is small");

struct dp_srtp_key {
	/* read per packet: 5 cache lines with the stream */
	uint8_t rk[176];     /* RTP session key, AES-128 encryption schedule */
	uint8_t state[40];   /* RTP authentication key, HMAC-SHA1 states */
	uint8_t salt[14];    /* RTP session salt */
	uint8_t suite;       /* enum dp_srtp_suite */
	uint8_t tag_len;     /* SRTP: 4 or 10 bytes */
	uint8_t dir;         /* enum dp_dir */
	uint8_t flags;       /* DP_SRTP_F_* */
	uint8_t stream_cnt;
	uint8_t zero;
	uint32_t rtcp_next;  /* send: next SRTCP index, one count for all streams of the key, 2^31: used up;
			      * receive: floor of SRTCP streams that begin */
	struct dp_srtp_stream first;
	/* rest: read when a packet is RTCP or a stream begins */
	uint64_t index_floor; /* of streams that begin; 0: fresh */
	struct dp_srtp_pool *pool;
	uint8_t rtcp_key[16]; /* SRTCP session keys, raw */
	uint8_t rtcp_auth[20];
	uint8_t rtcp_salt[14];
	uint8_t zero2[6];
} __attribute__((aligned(32)));
/* A leg record of 128 bytes and two of these stay under 1,000 bytes. */
static_assert(sizeof(struct dp_srtp_key) == 416, "memory per leg");

/*
 * One packet of a burst. Fields above 'index' are the caller's; 'len' and 'verdict' come back. A packet that
 * comes in with a verdict other than DP_OK is left alone, so that a burst need not be compacted between stages.
 * The content of a packet that comes back with another verdict than DP_OK is undefined, its length unchanged.
 */
struct dp_srtp_pkt {
	uint8_t *data;           /* RTP or RTCP header; writable */
	struct dp_srtp_key *key; /* of the right direction; NULL: DP_DROP_NO_KEY */
	uint64_t *tx_reserved;   /* protect: raised by DP_TX_RESERVE ahead of use; may be NULL. In the counter
				  * page: tx_reserved for RTP, tx_rtcp_reserved for RTCP */
	uint16_t len;            /* bytes at data */
	uint16_t room;           /* protect: bytes behind them that may be written */
	uint8_t verdict;         /* enum dp_drop */
	uint8_t enc;             /* out, SRTCP: E bit of the packet */
	/* out: packet index, 48 bits (RTP) or 31 (RTCP), valid with DP_OK; the rest is scratch */
	uint16_t hdr_len;
	uint64_t index;
	struct dp_srtp_stream *stream;
	uint8_t tag[12];
	uint32_t ssrc;
};
static_assert(sizeof(struct dp_srtp_pkt) == 64, "one cache line per packet");

/**
 * Streams beyond the first of each key. Taken by the one worker that owns the pool, given back by dp_srtp_key_wipe()
 * on any lcore. 'n' streams of 96 bytes. NULL: no memory. destroy takes NULL; no key may still use it.
 */
struct dp_srtp_pool *dp_srtp_pool_create(uint32_t n);
void dp_srtp_pool_destroy(struct dp_srtp_pool *pool);

/**
 * Derive session keys (RFC 3711 s4.3) into the caller's memory. Main lcore; 'mb' is the caller's thread's.
 * 0; -EINVAL: suite, direction, flags or floors out of range, or an MKI. The key is untouched then.
 */
int dp_srtp_key_init(struct dp_mb *mb, struct dp_srtp_key *key, const struct dp_srtp_params *par);

/** Clear, give the streams back. Main lcore, after the worker returned the key. */
void dp_srtp_key_wipe(struct dp_srtp_key *key);

/**
 * Same suite, direction and session keys? For DP_MSG_LEG_KEY's idempotence: initialise the new key, compare with the
 * one in use (its constant part only is read, the worker may be running), and wipe the new one if equal.
 */
bool dp_srtp_key_same(const struct dp_srtp_key *a, const struct dp_srtp_key *b);

/** Highest index accepted (or sent) in any stream of a key; SRTP or SRTCP. Any lcore; may be a moment old. */
uint64_t dp_srtp_key_top(const struct dp_srtp_key *key);
uint64_t dp_srtp_key_rtcp_top(const struct dp_srtp_key *key);

/*
 * Worker. n at most DP_SRTP_BURST; 'mb' is the worker's. Each returns how many packets are DP_OK. Verdicts:
 * DP_DROP_NO_KEY, DP_DROP_RTP_MALFORMED or DP_DROP_RTCP_MALFORMED, DP_DROP_NO_ROOM (protect),
 * DP_DROP_REPLAY, DP_DROP_STALE (also protect: index already used or below the window), DP_DROP_AUTH (unprotect),
 * DP_DROP_KEY_LIMIT, DP_DROP_NO_STREAM, DP_DROP_POLICY (SRTCP with E = 0 where not allowed).
 * Nothing is changed by a packet that did not authenticate.
 */
uint16_t dp_srtp_protect_burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n);
uint16_t dp_srtp_unprotect_burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n);
uint16_t dp_srtcp_protect_burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n);
uint16_t dp_srtcp_unprotect_burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n);

#endif
