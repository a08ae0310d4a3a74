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
 * packet (the counter block is encrypted as the block before the payload) and no system call.
 * GCM IVs are the 64-bit sequence itself: unique per key because the sequence is (RFC 4106 s3.1).
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

#define DP_SA_OUTER_MAX 48 /* bytes: IPv6 header and UDP header */

/* Bits of dp_sa_take_events(): 1 << enum dp_sa_event_kind. */
#define DP_SA_EV(kind) (1u << (kind))

enum { /* dp_sa.dead: why an SA passes nothing any more */
	DP_SA_DEAD_BYTES = 1 << 0, /* hard_bytes reached */
	DP_SA_DEAD_TIME = 1 << 1,  /* hard_s passed */
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
	uint8_t dead;     /* DP_SA_DEAD_*; 0: alive */
	uint8_t sel_proto; /* inner protocol, 0: any */
	uint8_t sel_ports; /* 1: a selector names a port */
	uint8_t salt[4];  /* GCM */
	uint16_t outer_sum; /* IPv4: folded sum of the outer header with length, id, TOS and DF zero */
	uint16_t window;  /* inbound: packets, 64 to DP_REPLAY_WINDOW */
	uint64_t seq_limit; /* outbound: highest number that may be used */
	uint64_t want_at; /* outbound: ask for a grant when this number is used; UINT64_MAX: no more */
	uint64_t hard_bytes; /* ciphertext bytes (RFC 4301 s4.4.2.1); 0: no limit */
	/* Written per packet. */
	uint64_t seq;     /* outbound: last number used */
	uint64_t pkts;    /* inbound: authenticated; outbound: encrypted */
	uint64_t bytes;   /* ciphertext bytes of those */
	uint64_t auth_fail, replayed; /* inbound: packets dropped so */
	uint32_t events;  /* DP_SA_EV bits not taken yet */
	struct dp_replay win; /* inbound */
	uint8_t outer[DP_SA_OUTER_MAX]; /* outbound: outer headers, or the UDP header alone in transport mode */
	/* Cold. */
	uint32_t sa_id, gw_id;
	uint8_t shard;    /* whose worker owns it */
	uint64_t hard_s;
	uint64_t born_s;  /* dp_sa_tick()'s time at its first call */
	bool ticked;
	bool wanting;     /* outbound: a grant was asked for and did not come yet */
	struct dp_sa_sel sel_src, sel_dst; /* as seen in a packet of this direction */
	uint8_t iv_mask[16] __attribute__((aligned(16))); /* outbound CBC, secret */
	union {
		struct gcm_key_data gcm;
		struct {
			uint8_t rk[DP_MB_AES128_RK]; /* of this direction */
			uint8_t state[DP_MB_HMAC_STATE];
			uint8_t kcv[16]; /* first round key of the encryption schedule: the key itself */
		} cbc;
	} key __attribute__((aligned(64)));
};
static_assert(sizeof(struct dp_sa) <= 1536, "an SA grew");

/**
 * Make an SA of a message. Checks every field; the caller wipes 'set' after use. Main lcore.
 * 'sa' is 64-byte aligned memory of the caller, anything in it is overwritten; after an error it holds no key.
 * 0, -EBADMSG (field out of range), or getrandom()'s error.
 */
int dp_sa_init(struct dp_sa *sa, struct dp_mb *mb, const struct dp_sa_set *set);

/** Leave no key behind. Takes an SA that was never set up, as long as it is readable. Main lcore. */
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
 * Age: the first call notes the birth, later ones end the SA once hard_s have passed. About once a second,
 * from the owner. 'now_s' is any steady clock. True when it ended the SA in this call.
 */
bool dp_sa_tick(struct dp_sa *sa, uint64_t now_s);

/**
 * Events since the last call, DP_SA_EV bits: DP_SA_WANT_GRANT when half of the last grant is
 * used (and with each tick until the grant comes), DP_SA_HARD_EXPIRED, DP_SA_EXHAUSTED when no number is left
 * under this key.
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

/** Usable for a packet now? Outbound: also a number left within the limit. Worker. */
static inline bool dp_sa_live(const struct dp_sa *sa)
{
	return sa->dead == 0 && (sa->dir == DP_DIR_RECV || sa->seq < sa->seq_limit);
}

/** For the counter page: outbound the last number used, inbound the highest accepted. */
static inline uint64_t dp_sa_seq(const struct dp_sa *sa)
{
	return sa->dir == DP_DIR_SEND ? sa->seq : sa->win.top;
}

#endif
