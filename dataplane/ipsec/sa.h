/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One IPsec security association, one direction: what ESP (esp.h) reads per packet first, then what it
 * writes, then keys and selectors. The main lcore fills an SA with dp_sa_init() and wipes it; in between one
 * worker owns it: no locks. The table of SAs, by identifier and by SPI, is the caller's. RFC 4301, 4303.
 *
 * Sequence numbers are 64 bits here in either form; without ESN they end at 2^32 - 1. An outbound SA uses
 * each number once: it starts above seq_floor, never passes seq_limit (which dp_sa_grant() raises, the
 * controlplane having stored it first), and so does not repeat one under its key after a restart either.
 *
 * CBC IVs. RFC 3602 wants them unpredictable: IV = E_K(iv_mask xor sequence), with K the SA's cipher key and
 * iv_mask 128 secret random bits drawn when the SA is made. That is the first method of NIST SP 800-38A,
 * appendix C, with the counter hidden: under one key the inputs are distinct, and unknown to anybody, so they
 * meet a block of somebody's choosing by chance only. It costs one AES block in the job that encrypts the
 * packet (the counter block is encrypted as the block before the payload) and no system call. 3DES-CBC has the same
 * with its blocks of 64 bits, which the sequence fills.
 * GCM and CTR IVs are the 64-bit sequence itself: unique per key because the sequence is (RFC 4106 s3.1, RFC 3686 s2.1).
 */
#ifndef DP_IPSEC_SA_H
#define DP_IPSEC_SA_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <intel-ipsec-mb.h>

#include "crypto/mb.h"
#include "dp_msg.h"
#include "dp_page.h"
#include "replay.h"

/*
 * 3DES: blocks of 64 bits repeat by chance, and two equal ones under a key tell what both hide ("sweet32"). 2^27 blocks under
 * one key make that a chance of 1 in 2,000; a lifetime in bytes is never longer.
 */
#define DP_SA_3DES_BYTES (UINT64_C(1) << 30)

#define DP_SA_OUTER_MAX 48 /* bytes: IPv6 header and UDP header */

/* Bits of dp_sa_take_events(): 1 << enum dp_sa_event_kind. */
#define DP_SA_EV(kind) (1u << (kind))

enum dp_sa_crypt { /* which burst encrypts */
	DP_SA_GCM,
	DP_SA_CBC_128,
	DP_SA_CBC_192,
	DP_SA_CBC_256,
	DP_SA_CTR,
	DP_SA_3DES,
	DP_SA_NULL,
	DP_SA_CRYPTS
};

/* One side of the inner selector: an address range and a port. */
struct dp_sa_sel {
	uint8_t ip[16];  /* network order, masked; IPv4 in the first four */
	uint8_t mask[16];
	uint16_t port;   /* host order; 0: any */
	uint8_t family;  /* 4 or 6 */
	uint8_t any_addr; /* prefix length 0 */
};

struct dp_sa {
	/* Read per packet. */
	uint32_t spi;     /* host order */
	uint8_t alg;      /* enum dp_esp_alg */
	uint8_t mode;     /* enum dp_esp_mode */
	uint8_t dir;      /* enum dp_dir */
	uint8_t esn;      /* 1: extended sequence numbers */
	uint8_t udp;      /* 1: ESP in UDP (RFC 3948) */
	uint8_t family;   /* of the outer addresses, 4 or 6 */
	uint8_t iv_len, icv_len, align; /* bytes on the wire; align: what the ciphertext is a multiple of */
	uint8_t outer_len; /* tunnel mode: bytes of 'outer'; transport mode: 8 with UDP, else 0 */
	uint8_t dead;     /* DP_SA_WHY_*; 0: alive */
	uint8_t soft;     /* DP_SA_WHY_* of soft lifetimes that are over */
	uint8_t sel_proto; /* inner protocol, 0: any */
	uint8_t sel_ports; /* 1: a selector names a port */
	uint8_t crypt;    /* enum dp_sa_crypt */
	uint8_t auth;     /* enum dp_esp_auth */
	uint8_t key_len;  /* of the cipher */
	uint16_t hmac_at; /* in key.cbc.rk */
	uint16_t tfc;     /* outbound: pad inner packets to so many bytes */
	uint8_t salt[4];  /* GCM, CTR */
	uint16_t outer_sum; /* IPv4: folded sum of the outer header with length, id, TOS and DF zero */
	uint16_t window;  /* inbound: packets */
	uint16_t win_words; /* of its bitmap */
	uint16_t pmtu;    /* outbound: bytes of the longest packet that passes its path; 0: as its port's */
	uint8_t last_df, last_dscp; /* outbound: what the last packet's policy said (enum dp_spd_df, DP_SPD_DSCP_COPY) */
	uint64_t seq_limit; /* outbound: highest number that may be used */
	uint64_t want_at; /* outbound: ask for a grant when this number is used; UINT64_MAX: no more */
	uint64_t next_bytes, next_pkts; /* dp_sa_life() has to look once there are more of them; UINT64_MAX: never */
	/* Written per packet. */
	uint64_t seq;     /* outbound: last number used */
	uint64_t pkts;    /* inbound: authenticated; outbound: encrypted */
	uint64_t bytes;   /* ciphertext bytes of those */
	uint64_t auth_fail, replayed; /* inbound: packets dropped so */
	uint64_t dead_drop; /* packets dropped because it was dead, or had no number */
	uint32_t events;  /* DP_SA_EV bits not taken yet */
	uint64_t *wide;   /* bitmap of a window above DP_REPLAY_WINDOW, on the heap, ours; NULL: win.seen */
	struct dp_replay win; /* inbound */
	union {
		uint8_t outer[DP_SA_OUTER_MAX]; /* outbound: outer headers, or the UDP header alone in transport mode */
		struct { /* inbound in UDP */
			struct dp_sockaddr at;   /* as 'remote': where packets should come from, */
			struct dp_sockaddr from; /* where the newest one came from, once that was another */
		} peer;
	};
	uint32_t sa_id, gw_id;
	struct dp_sa_sel sel_src, sel_dst; /* as seen in a packet of this direction */
	uint8_t iv_mask[16] __attribute__((aligned(16))); /* outbound CBC, secret; 3DES: 8 of it */
	union {
		struct gcm_key_data gcm;
		struct { /* all others */
			/* CBC: schedule of this direction; CTR: of encryption; 3DES: three. At hmac_at, the next cache line: the HMAC's state */
			uint8_t rk[DP_MB_DES3_KS + DP_MB_SHA2_STATE];
			uint8_t raw[DP_ESP_KEY_MAX]; /* the cipher's key as it was given, to know it again */
		} cbc;
	} key __attribute__((aligned(64)));
	/* Cold: behind the key, so that all that a packet touches lies in one piece. */
	uint8_t shard;    /* whose worker owns it */
	bool ticked;
	bool keepalive;   /* outbound: send them */
	bool wanting;     /* outbound: a grant was asked for and did not come yet */
	uint64_t hard_bytes, soft_bytes; /* of ciphertext (RFC 4301 s4.4.2.1); 0: no limit; so are the others */
	uint64_t hard_pkts, soft_pkts;
	uint64_t hard_s, soft_s;
	uint64_t age_s;   /* when it came here */
	uint64_t quiet_seq; /* keepalive: number that was last when it was looked at, */
	uint32_t quiet_s; /* and since when; modulo 2^32 */
	bool moved;       /* said of 'from', in this second */
	uint32_t pmtu_s;  /* when pmtu was learnt, by dp_sa_tick()'s clock modulo 2^32 */
	struct dp_sockaddr local, remote; /* outer */
	uint64_t born_s;  /* by dp_sa_tick()'s clock, modulo 2^64; known after its first call */
};
/* In an array, an even number of lines would put what packets touch into a few of the cache's sets. */
static_assert(sizeof(struct dp_sa) <= 1600 && sizeof(struct dp_sa) / 64 % 2 == 1, "an SA grew, or is not an odd number of cache lines");

/**
 * Make an SA of a message. Checks every field; the caller wipes 'set' after use. Main lcore.
 * 'sa' is 64-byte aligned memory of the caller, anything in it is overwritten; after an error it holds no key.
 * 0, -EBADMSG (field out of range), -ENOMEM (a wide window), or getrandom()'s error.
 */
int dp_sa_init(struct dp_sa *sa, struct dp_mb *mb, const struct dp_sa_set *set);

/** Leave no key behind, free a wide window. Takes zeros, and an SA that dp_sa_init() refused. Main lcore. */
void dp_sa_wipe(struct dp_sa *sa);

/**
 * 'sa' takes the place of 'old' (SA_SET again): with the same key it goes on where 'old' is, with sequence,
 * limit, window, counters and age, and true is returned; else nothing changes. The key decides, not the SPI:
 * a number used under a key stays used. Worker that owns both, before the first packet of 'sa'.
 */
bool dp_sa_inherit(struct dp_sa *sa, const struct dp_sa *old);

/**
 * Raise an outbound SA's limit; a lower one than before changes nothing (a message repeated). Worker.
 * 0, -EPROTO for an inbound SA or another SPI.
 */
int dp_sa_grant(struct dp_sa *sa, uint32_t spi, uint64_t seq_limit);

/**
 * Age: the first call notes the birth; soft_s and hard_s are looked at, and a path MTU's age. About once a second, from the owner.
 * 'now_s' is any steady clock. True when it ended the SA in this call.
 */
bool dp_sa_tick(struct dp_sa *sa, uint64_t now_s);

#define DP_SA_KEEPALIVE_S 20 /* RFC 3948 s4 */
#define DP_SA_PMTU_S 600     /* a learnt path MTU is forgotten (RFC 1191 s6.3: ten minutes) */

/** Is a NAT keepalive due: nothing was sent for DP_SA_KEEPALIVE_S, a keepalive neither? Beside dp_sa_tick(), same clock. Worker. */
bool dp_sa_keepalive(struct dp_sa *sa, uint64_t now_s);

/**
 * Events since the last call, DP_SA_EV bits: DP_SA_WANT_GRANT when half of the last grant is
 * used (and with each tick until the grant comes), DP_SA_SOFT_EXPIRED and DP_SA_HARD_EXPIRED with each lifetime
 * that is over (and once more after dp_sa_inherit()), DP_SA_EXHAUSTED when no number is left under this key, DP_SA_MOVED when the
 * newest packet of an inbound one in UDP came from elsewhere than 'remote' (and with each second in which one does).
 * Worker, after a burst and after a tick.
 */
static inline uint32_t dp_sa_take_events(struct dp_sa *sa)
{
	uint32_t ev = sa->events;

	sa->events = 0;
	return ev;
}

/**
 * Is the packet at 'ip', parsed into 'h', one that this SA may carry? RFC 4301 s5.1, s5.2 (4). DP_OK,
 * DP_DROP_ESP_SELECTOR, DP_DROP_L3_FRAGMENT when a fragment does not show what a selector asks for. Any.
 */
struct dp_iphdr;
enum dp_drop dp_sa_select(const struct dp_sa *sa, const uint8_t *ip, const struct dp_iphdr *h);

/** The same, before it is built, for UDP between two addresses. Any. */
bool dp_sa_selects_udp(const struct dp_sa *sa, const struct dp_sockaddr *from, const struct dp_sockaddr *to);

/**
 * May a packet with 'len' bytes of ciphertext pass, by lifetimes in bytes and packets? If not, the SA ends here. For when
 * next_bytes or next_pkts would be passed. DP_OK, DP_DROP_ESP_BYTES, DP_DROP_ESP_PKTS. Worker.
 */
enum dp_drop dp_sa_life(struct dp_sa *sa, uint32_t len);

/** Why a dead SA drops. */
static inline enum dp_drop dp_sa_dead_drop(const struct dp_sa *sa)
{
	return sa->dead & DP_SA_WHY_BYTES ? DP_DROP_ESP_BYTES : sa->dead & DP_SA_WHY_PKTS ? DP_DROP_ESP_PKTS : DP_DROP_ESP_EXPIRED;
}

/** Usable for a packet now? Outbound: also a number left within the limit. Worker. */
static inline bool dp_sa_live(const struct dp_sa *sa)
{
	return sa->dead == 0 && (sa->dir == DP_DIR_RECV || sa->seq < sa->seq_limit);
}

/** Not with GCM. */
static inline const uint8_t *dp_sa_hmac(const struct dp_sa *sa)
{
	return sa->key.cbc.rk + sa->hmac_at;
}

/** Bytes on the heap, beside the SA itself. */
static inline uint32_t dp_sa_window_bytes(const struct dp_sa *sa)
{
	return sa->wide != NULL ? sa->win_words * (uint32_t)sizeof(uint64_t) : 0;
}

static inline uint64_t *dp_sa_seen(struct dp_sa *sa)
{
	return sa->wide != NULL ? sa->wide : sa->win.seen;
}

/** For the counter page: outbound the last number used, inbound the highest accepted. */
static inline uint64_t dp_sa_seq(const struct dp_sa *sa)
{
	return sa->dir == DP_DIR_SEND ? sa->seq : sa->win.top;
}

#endif
