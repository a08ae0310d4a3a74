/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Media legs. A leg's identifier is its local address (DP_LEG_ID), so a packet finds its leg by two array accesses:
 * identifier -> record number -> record. The identifiers' table and the records belong to the worker that owns the
 * shard; the main lcore only hands out records and takes them back, and reads counters.
 *
 * A relayed packet reads two lines of leg records: 'rx' of the leg it came in on, 'tx' of the leg it goes out of; its
 * key state comes after that. What is seldom read (RTCP's own address, ageing, the peer's number) is in a second array.
 * Memory per leg: 128 + 32 bytes here, two keys of 448, 4 bytes of table, 4 of the main lcore: 1,064.
 *
 * Rules for a packet's source: enum dp_latch. A latched address replaces the signalled one until the leg is set with
 * another signalled address.
 */
#ifndef DP_LEG_H
#define DP_LEG_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dp_msg.h"
#include "dp_page.h"

struct dp_srtp_key;
struct dp_leg;

#define DP_LEG_NONE UINT32_MAX

enum { /* dp_leg_rx.state */
	DP_LEG_S_UP = 1 << 0,           /* linked by its worker; others must not be used */
	DP_LEG_S_LATCHED = 1 << 1,      /* RTP: ip and rtp_port are a latched source */
	DP_LEG_S_RTCP_LATCHED = 1 << 2, /* RTCP: cold.rtcp_ip and rtcp_port are */
	DP_LEG_S_RTCP_OWN = 1 << 3,     /* RTCP's address was signalled apart from RTP's */
};

#define DP_NH_NONE UINT16_MAX /* next hop not looked up */

/* Read and written when a packet comes in on this leg. One cache line. */
struct dp_leg_rx {
	struct dp_leg *peer;        /* NULL: none; owned by the same worker */
	struct dp_srtp_key *key;    /* NULL: none yet */
	uint8_t ip[16];             /* RTP's remote address: signalled, or latched */
	uint16_t rtp_port, rtcp_port; /* remote, host order */
	uint8_t family;             /* of ip; 0 unknown */
	uint8_t latch;              /* enum dp_latch */
	uint8_t suite;              /* enum dp_srtp_suite */
	uint8_t flags;              /* DP_LEG_F_* */
	uint32_t last_s;            /* last accepted packet, dataplane seconds; set at creation too */
	uint32_t state;             /* DP_LEG_S_* */
	uint64_t pkts, bytes;       /* accepted: RTP and RTCP, UDP payload bytes as received */
};
static_assert(sizeof(struct dp_leg_rx) == 64, "one cache line");

/* Read and written when a packet goes out of this leg. One cache line. */
struct dp_leg_tx {
	struct dp_srtp_key *key;
	uint8_t ip[16];             /* as rx.ip: each side in its own line */
	uint16_t rtp_port, rtcp_port;
	uint16_t nh;                /* next hop of ip, DP_NH_NONE */
	uint8_t family;
	uint8_t suite;
	uint8_t flags;
	uint8_t dscp;
	uint16_t local_port;        /* even */
	uint32_t leg_id;
	uint16_t addr_idx;          /* media address */
	uint16_t zero;
	uint64_t pkts, bytes;       /* sent: RTP and RTCP, UDP payload bytes */
};
static_assert(sizeof(struct dp_leg_tx) == 64, "one cache line");

struct dp_leg {
	struct dp_leg_rx rx;
	struct dp_leg_tx tx;
} __attribute__((aligned(64)));

struct dp_leg_cold {
	uint8_t rtcp_ip[16];        /* family is RTP's */
	uint32_t idle_s;            /* 0: never ages */
	uint32_t peer_id;           /* signalled */
	uint64_t sig;               /* digest of the signalled addresses: an equal LEG_SET keeps what was latched */
};
static_assert(sizeof(struct dp_leg_cold) == 32, "counted in leg_bytes");

struct dp_leg_tab {
	struct dp_leg *legs;        /* max records */
	struct dp_leg_cold *cold;   /* by the same number */
	uint32_t *slot;             /* by leg identifier: record number, DP_LEG_NONE */
	uint32_t id_cnt;            /* addresses * DP_LEGS_PER_ADDR */
	uint32_t max;
	uint16_t base_port;
};

/** Bytes of memory a table wants, 64-byte aligned: for 'addr_cnt' media addresses and 'max' records. */
size_t dp_leg_tab_size(uint32_t addr_cnt, uint32_t max);

/** Lay the table out in 'mem' (dp_leg_tab_size() zeroed bytes, the caller's). Main lcore. */
void dp_leg_tab_init(struct dp_leg_tab *tab, void *mem, uint32_t addr_cnt, uint32_t max, uint16_t base_port);

static inline uint32_t dp_leg_num(const struct dp_leg_tab *tab, const struct dp_leg *leg)
{
	return (uint32_t)(leg - tab->legs);
}

static inline struct dp_leg_cold *dp_leg_cold(const struct dp_leg_tab *tab, const struct dp_leg *leg)
{
	return &tab->cold[dp_leg_num(tab, leg)];
}

/** The live leg of an identifier (below id_cnt), or NULL. Its worker. */
static inline struct dp_leg *dp_leg_find(const struct dp_leg_tab *tab, uint32_t leg_id)
{
	uint32_t n = tab->slot[leg_id];

	return n == DP_LEG_NONE ? NULL : &tab->legs[n];
}

/**
 * Create or change a leg. 'fresh' is a free record for the case that there is none. Links both legs of a session once
 * they name each other. An equal signalled address keeps what was latched; keys, counters and windows are kept
 * always. Its worker. Returns true if 'fresh' was taken.
 */
bool dp_leg_apply(struct dp_leg_tab *tab, const struct dp_leg_set *set, struct dp_leg *fresh, uint32_t now_s);

/** Take a leg out: unlinks its peer, clears the table entry and 'up'. Returns the record with its keys, or NULL. Its worker. */
struct dp_leg *dp_leg_remove(struct dp_leg_tab *tab, uint32_t leg_id);

enum dp_leg_src {
	DP_LEG_SRC_BAD,   /* drop: DP_DROP_SOURCE */
	DP_LEG_SRC_KNOWN, /* signalled or latched */
	DP_LEG_SRC_LATCH, /* take it, and latch it if the packet is accepted */
};

/** May a packet come from there? 'src' as in struct dp_frame. Changes nothing. Its worker. */
enum dp_leg_src dp_leg_source(const struct dp_leg_tab *tab, const struct dp_leg *leg, uint8_t family, const uint8_t *src,
			      uint16_t src_port, bool rtcp);

/** Latch a source after its packet was accepted (authenticated, on a secure leg). Its worker. */
void dp_leg_latch(struct dp_leg_tab *tab, struct dp_leg *leg, uint8_t family, const uint8_t *src, uint16_t src_port,
		  bool rtcp);

/**
 * Where RTP or RTCP to the party goes. *ret_ip points into the leg. False: not known. Its worker.
 */
bool dp_leg_remote(const struct dp_leg_tab *tab, const struct dp_leg *leg, bool rtcp, const uint8_t **ret_ip,
		   uint16_t *ret_port);

/** Exchange a key; returns what was there, or 'key' itself if it equals the one in use. 'dir': enum dp_dir. Its worker. */
struct dp_srtp_key *dp_leg_set_key(struct dp_leg *leg, uint8_t dir, struct dp_srtp_key *key);

/** Idle for longer than it may? Main lcore reads; a moment old. */
bool dp_leg_idle(const struct dp_leg_tab *tab, const struct dp_leg *leg, uint32_t now_s);

#endif
