/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SRTP and SRTCP: protect and unprotect bursts of packets given as (pointer, length). RFC 3711 with every suite of
 * enum dp_srtp_suite: AES-CM with keys of 128, 192 and 256 bits (RFC 6188), AES-GCM (RFC 7714), the NULL cipher with
 * authentication; MKI, several keys of a direction live at once, key derivation rates, lifetimes. SRTCP's tag is 80
 * bits with the _32 suites too (RFC 4568 s6.2).
 *
 * A struct dp_srtp_key is one key of one direction of a leg. The main lcore prepares it (init) and clears it (wipe);
 * in between one worker owns it. It holds the expanded RTP keys, SRTCP's session keys raw (expanded at use: one packet
 * in seconds), and what does not fit there is in an extension block (AES-192 and 256 schedules, GCM key data, MKI,
 * master keys with a derivation rate), which only the main lcore takes and gives back.
 *
 * A direction's keys are a list (list.h) whose head is the one in use; a packet names the head. The state of the
 * direction's streams (one per SSRC: index and window) is in the head, and the other keys share it, unless a key was
 * replaced by one whose streams began anew: then it keeps its own as long as it lives. The first stream is in the
 * key, further ones come from a pool; a stream is made only by an authenticated packet (or, sending, by a packet of
 * ours), and lives as long as its direction, because one key must never protect two streams of one SSRC, nor one index
 * twice.
 *
 * A burst gives the same results as its packets one by one in order would: twins in one burst, a ROC that
 * turns inside it, a stream that begins inside it, a key that ends inside it included.
 */
#ifndef DP_SRTP_H
#define DP_SRTP_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dp_msg.h"
#include "dp_page.h"
#include "replay.h"

struct dp_mb;

#define DP_SRTP_BURST       64   /* packets in one call, at most; 32 or more pay off */
#define DP_SRTP_SSRCS       8    /* SSRCs per direction of a leg if nothing else is said, the first one included */
#define DP_SRTP_TRAILER_MAX (16 + DP_SRTP_MKI_MAX)     /* bytes; room that protecting RTP takes at most */
#define DP_SRTCP_TRAILER_MAX (4 + DP_SRTP_TRAILER_MAX) /* and RTCP */
#define DP_SRTCP_TRAILER    14   /* bytes with the HMAC suites and no MKI: E and index, tag */

/* Parameters of a key, as they come in struct dp_leg_key. The caller wipes them after init. */
struct dp_srtp_params {
	uint8_t suite;        /* enum dp_srtp_suite, not NONE */
	uint8_t dir;          /* enum dp_dir */
	uint8_t mki_len;      /* at most DP_SRTP_MKI_MAX */
	uint8_t kdr;          /* 2^kdr packets under each set of session keys, 1..24; 0: one set for ever */
	uint8_t flags;        /* DP_KEY_F_STANDBY, DP_KEY_F_HAVE_ROC; others are list.h's */
	uint16_t window;      /* packets, DP_REPLAY_MIN..DP_REPLAY_MAX, the same for the whole process; 0: DP_REPLAY_WINDOW */
	uint16_t ssrc_max;    /* SSRCs, at most DP_SSRC_MAX; 0: DP_SRTP_SSRCS */
	uint32_t roc;         /* with DP_KEY_F_HAVE_ROC: of streams that begin */
	uint32_t ssrc;        /* host order; 0: the floors are for any stream */
	uint64_t index_floor; /* 48 bits: used (send) or accepted (receive) before a restart; 0: fresh key */
	uint64_t rtcp_floor;  /* 31 bits, the same for SRTCP */
	uint64_t lifetime;    /* packets, SRTP and SRTCP counted apart; 0: 2^48 and 2^31 */
	uint64_t from, to;    /* indices that the key is for, both included; to 0: all */
	const uint8_t *key;   /* master key: as long as the suite says (dp_suite.h) */
	const uint8_t *salt;  /* master salt: the same */
	const uint8_t *mki;   /* mki_len bytes */
	struct dp_srtp_pool *pool; /* streams after the first; NULL: one stream only */
	struct dp_srtp_slab *slab; /* extension blocks; NULL: from the C library */
};

/* One SSRC under one direction's keys. */
struct dp_srtp_stream {
	uint32_t ssrc;  /* host order */
	uint32_t valid; /* 0: not begun */
	union {
		struct dp_replay rtp; /* index = ROC * 65536 + SEQ: top is ROC and s_l */
		struct {              /* a window above DP_REPLAY_WINDOW */
			uint64_t top;
			uint64_t *seen;
		} wide;
	};
	struct dp_srtp_stream *next; /* of the same direction */
	struct dp_replay rtcp; /* receive only */
};
static_assert(sizeof(struct dp_srtp_stream) == 96, "a stream is small");

enum dp_srtp_kind { /* how a suite's packets are worked on */
	DP_SRTP_K_CM128 = 0,
	DP_SRTP_K_CM192,
	DP_SRTP_K_CM256,
	DP_SRTP_K_NULL,
	DP_SRTP_K_GCM128, /* these last */
	DP_SRTP_K_GCM256,
};

enum { /* dp_srtp_key.flags */
	DP_SRTP_F_SHARES = 1 << 0,  /* its streams are those of the nearest key before it in the list without this flag */
	DP_SRTP_F_ENDING = 1 << 1,  /* replaced; good until end_ms */
	DP_SRTP_F_STANDBY = 1 << 2,
	DP_SRTP_F_MORE = 1 << 3,    /* the extension has a struct dp_srtp_more */
	DP_SRTP_F_KDR = 1 << 4,     /* and a struct dp_srtp_kdr behind it */
	DP_SRTP_F_RANGE = 1 << 5,   /* <From,To> */
	DP_SRTP_F_ROC = 1 << 6,     /* index_floor is a ROC from signalling, not an index */
	DP_SRTP_F_WIDE = 1 << 7,    /* windows above DP_REPLAY_WINDOW */
};

enum { /* dp_srtp_key.pending: for dp_srtp_keys_service() */
	DP_SRTP_P_SOON = 1 << 0,
	DP_SRTP_P_EXPIRED = 1 << 1,
	DP_SRTP_P_RTCP_SOON = 1 << 2,
	DP_SRTP_P_RTCP_EXPIRED = 1 << 3,
	DP_SRTP_P_SSRC = 1 << 4,    /* a further SSRC was refused: evt_ssrc */
	DP_SRTP_P_USED = 1 << 5,    /* the party has changed over to this key */
	DP_SRTP_P_LIST = 1 << 6,    /* of the head: another key of the list has something */
	DP_SRTP_P_STILL = 1 << 7,   /* of the head: no key of the list can send the index that is next */
};

struct dp_srtp_key {
	/* read per packet: five cache lines, of which the last is written */
	uint8_t rk[176];     /* CM128: RTP session key, encryption schedule; CM192, CM256, GCM: SRTCP session key, raw */
	uint8_t state[40];   /* RTP authentication key, HMAC-SHA1 states; not with GCM */
	uint8_t salt[14];    /* RTP session salt */
	uint8_t suite;       /* enum dp_srtp_suite */
	uint8_t kind;        /* enum dp_srtp_kind */
	uint8_t tag_len;     /* SRTP: 4, 10 or 16 bytes */
	uint8_t dir;         /* enum dp_dir */
	uint8_t flags;       /* DP_SRTP_F_* */
	uint8_t mki_len;     /* bytes */
	uint8_t pending;     /* DP_SRTP_P_*; not 0: the worker calls dp_srtp_keys_service() after the burst */
	uint8_t slow;        /* of the head, bool: packets are matched with keys one by one (slow.c) */
	uint16_t window;     /* packets */
	struct dp_srtp_key *next; /* of the direction */
	uint8_t *ext;        /* RTP schedule or GCM key data, then what ext.h says; NULL: none of all that */
	uint64_t until;      /* packets until lifetime() has something to say; 0: used up */
	struct dp_srtp_stream first;
	/* the rest: read when a packet is RTCP or a stream begins */
	uint64_t index_floor; /* of streams that begin; 0: fresh */
	struct dp_srtp_pool *pool;
	uint32_t rtcp_next;  /* send: next SRTCP index, one count for all streams of the direction, 2^31: used up;
			      * receive: floor of SRTCP streams that begin */
	uint32_t rtcp_until; /* as until */
	uint16_t stream_cnt;
	uint16_t ssrc_max;
	uint32_t end_ms;     /* with DP_SRTP_F_ENDING: milliseconds of the node, modulo 2^32 */
	uint32_t evt_ssrc;
	uint8_t told;        /* DP_SRTP_P_*: events that came already */
	uint8_t minute;      /* in which DP_SRTP_P_SSRC came last, modulo 256, 0 for never */
	uint8_t rtcp_key[16]; /* SRTCP session keys, raw: of CM128 */
	uint8_t rtcp_auth[20];
	uint8_t rtcp_salt[14];
} __attribute__((aligned(64)));
/* A leg's records and two of these stay under 1,100 bytes. */
static_assert(sizeof(struct dp_srtp_key) == 448, "memory per leg");
static_assert(offsetof(struct dp_srtp_key, until) == 256 && offsetof(struct dp_srtp_key, first) == 264 &&
	      offsetof(struct dp_srtp_stream, rtcp) == 56, "what a packet writes is one cache line");

/*
 * One packet of a burst. Fields above 'index' are the caller's; 'len' and 'verdict' come back. A packet that
 * comes in with a verdict other than DP_OK is left alone, so that a burst need not be compacted between stages.
 * The content of a packet that comes back with another verdict than DP_OK is undefined, its length unchanged.
 */
struct dp_srtp_pkt {
	uint8_t *data;           /* RTP or RTCP header; writable */
	struct dp_srtp_key *key; /* head of the right direction's list; NULL: DP_DROP_NO_KEY */
	uint64_t *tx_reserved;   /* protect: raised by DP_TX_RESERVE ahead of use; may be NULL. In the counter
				  * page: tx_reserved for RTP, tx_rtcp_reserved for RTCP */
	uint16_t len;            /* bytes at data */
	uint16_t room;           /* protect: bytes behind them that may be written */
	uint8_t verdict;         /* enum dp_drop */
	uint8_t clear;           /* SRTCP, bool: what comes in with E = 0 is accepted; what goes out has E = 0 */
	/* out: packet index, 48 bits (RTP) or 31 (RTCP), valid with DP_OK; the rest is scratch */
	uint16_t hdr_len;
	uint64_t index;
	struct dp_srtp_stream *stream;
	struct dp_srtp_key *used; /* of the list: the packet's key, valid with DP_OK */
	uint32_t ssrc;
	uint8_t enc;             /* SRTCP: E bit of the packet */
	uint8_t zero[3];
};
static_assert(sizeof(struct dp_srtp_pkt) == 64, "one cache line per packet");

/** Room at data + len that protecting takes with this key: MKI and tag. Of a list: the same for all keys of a suite. */
static inline uint16_t dp_srtp_key_trailer(const struct dp_srtp_key *key)
{
	return (uint16_t)(key->tag_len + key->mki_len);
}

/**
 * Streams beyond the first of each key, and where they are found by SSRC: a pool belongs to one worker, which takes from
 * it. Given back by dp_srtp_key_wipe() on any lcore, after the worker let go of them (dp_srtp_key_leave). 'n' streams
 * of 128 bytes, and for windows above DP_REPLAY_WINDOW their bits; 'window' as in the parameters. NULL: no memory.
 * destroy takes NULL; no key may still use it.
 */
struct dp_srtp_pool *dp_srtp_pool_create(uint32_t n, uint16_t window);
void dp_srtp_pool_destroy(struct dp_srtp_pool *pool);

/** Bytes of one stream beyond the first, with its place in the pool's table. */
size_t dp_srtp_pool_bytes(uint16_t window);

/**
 * A key's streams leave their worker's pool: it will find them no more. Before the key, or its whole list each by each,
 * goes back to the main lcore or over to another worker (which then calls enter with its own pool, and finds them
 * there; their memory stays the pool's they were taken from, so pools are destroyed together). The worker that owns the pool.
 */
void dp_srtp_key_leave(struct dp_srtp_key *key);
void dp_srtp_key_enter(struct dp_srtp_key *key, struct dp_srtp_pool *pool);

/**
 * Extension blocks in slabs: taken and given back by the main lcore alone, cut from pieces that 'grow' gives (64-byte
 * aligned, NULL: no memory) and 'shrink' takes back at the end. NULL: no memory. destroy takes NULL.
 */
struct dp_srtp_slab *dp_srtp_slab_create(void *(*grow)(size_t bytes), void (*shrink)(void *mem));
void dp_srtp_slab_destroy(struct dp_srtp_slab *slab);

/** Bytes in blocks that keys have now, and bytes taken with 'grow'. */
size_t dp_srtp_slab_used(const struct dp_srtp_slab *slab);
size_t dp_srtp_slab_held(const struct dp_srtp_slab *slab);

/**
 * Derive session keys (RFC 3711 s4.3) into the caller's memory. Main lcore; 'mb' is the caller's thread's.
 * 0; -EINVAL: a parameter out of range; -ENOMEM: no extension block. The key is untouched then.
 */
int dp_srtp_key_init(struct dp_mb *mb, struct dp_srtp_key *key, const struct dp_srtp_params *par);

/** Clear, give streams and extension back. Main lcore, after the worker let go of the key and returned it. */
void dp_srtp_key_wipe(struct dp_srtp_key *key);

/**
 * Same suite, direction, MKI, derivation rate, range and session keys? For DP_MSG_LEG_KEY's idempotence: initialise the
 * new key, compare with those in use (their constant part only is read, the worker may be running), and wipe the new one
 * if equal.
 */
bool dp_srtp_key_same(const struct dp_srtp_key *a, const struct dp_srtp_key *b);

/** Would an index used under one be used under the other? Equal session keys, whatever goes with them. */
bool dp_srtp_key_same_material(const struct dp_srtp_key *a, const struct dp_srtp_key *b);

/** Highest index accepted (or sent) in any stream of a head; SRTP or SRTCP. Any lcore; may be a moment old. */
uint64_t dp_srtp_key_top(const struct dp_srtp_key *key);
uint64_t dp_srtp_key_rtcp_top(const struct dp_srtp_key *key);

/**
 * Fetch what a packet will read of a key: first the key, and once that is there its extension. Lines beyond the
 * ciphers' usual reach (packets of more than 256 bytes) are left to the hardware.
 */
static inline void dp_srtp_key_prefetch(const struct dp_srtp_key *key)
{
	for (unsigned int line = 0; line < 5; line++)
		__builtin_prefetch((const uint8_t *)key + line * 64);
}

static inline void dp_srtp_ext_prefetch(const struct dp_srtp_key *key)
{
	const uint8_t *ext = key->ext;

	if (__builtin_expect(ext == NULL, 1))
		return;
	for (unsigned int line = 0; line < 4; line++)
		__builtin_prefetch(ext + line * 64);
	if (key->kind >= DP_SRTP_K_GCM128) /* the low powers of the hash key are at the end */
		for (unsigned int line = 11; line < 16; line++)
			__builtin_prefetch(ext + line * 64);
}

/*
 * Worker. n at most DP_SRTP_BURST; 'mb' is the worker's. Each returns how many packets are DP_OK. Verdicts:
 * DP_DROP_NO_KEY (none, or none of this MKI or index), DP_DROP_RTP_MALFORMED or DP_DROP_RTCP_MALFORMED,
 * DP_DROP_NO_ROOM (protect), DP_DROP_REPLAY, DP_DROP_STALE (also protect: index already used or below the window),
 * DP_DROP_AUTH (unprotect), DP_DROP_KEY_LIMIT, DP_DROP_NO_STREAM, DP_DROP_POLICY (SRTCP with E = 0 where not allowed).
 * Nothing is changed by a packet that did not authenticate. Afterwards a head's 'pending' may be set.
 */
uint16_t dp_srtp_protect_burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n);
uint16_t dp_srtp_unprotect_burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n);
uint16_t dp_srtcp_protect_burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n);
uint16_t dp_srtcp_unprotect_burst(struct dp_mb *mb, struct dp_srtp_pkt *pkts, uint16_t n);

#endif
