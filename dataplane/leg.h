/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Media legs. A leg's identifier is its local address (DP_LEG_ID), so a packet finds its leg by two array accesses:
 * identifier -> record number -> record. The identifiers' table and the records belong to the worker that owns the
 * shard; the main lcore only hands out records and takes them back, and reads counters.
 *
 * A relayed packet reads two lines of leg records: 'rx' of the leg it came in on, 'tx' of the leg it goes out of; its
 * key state comes after that. What is seldom read (RTCP's own address, ageing, the peer's number) is in a second array,
 * what is measured and policed in a third: of the leg that a packet came in on one line, and with a rate a second one.
 * Memory per leg: 128 + 32 bytes here, two keys of 448, 4 bytes of table, 4 of the main lcore: 1,064; and 128 of the third
 * array.
 *
 * Rules for a packet's source: enum dp_latch. A latched address replaces the signalled one until the leg is set with
 * another signalled address. Where the first source wins (ADDRESS, ANY), a further one is taken only as far as latch_max
 * goes, and only after the one before has been silent for DP_LATCH_QUIET_S.
 */
#ifndef DP_LEG_H
#define DP_LEG_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dp_msg.h"
#include "dp_page.h"
#include "police.h"
#include "stat.h"

struct dp_srtp_key;
struct dp_leg;

#define DP_LEG_NONE UINT32_MAX

enum { /* dp_leg_rx.state */
	DP_LEG_S_UP = 1 << 0,           /* linked by its worker; others must not be used */
	DP_LEG_S_LATCHED = 1 << 1,      /* RTP: ip and rtp_port are a latched source */
	DP_LEG_S_RTCP_LATCHED = 1 << 2, /* RTCP: cold.rtcp_ip and rtcp_port are */
	DP_LEG_S_RTCP_OWN = 1 << 3,     /* RTCP's address was signalled apart from RTP's */
	DP_LEG_S_RATED = 1 << 4,        /* aux.meter_period is not 0 */
};

#define DP_NH_NONE UINT16_MAX /* next hop not looked up */
#define DP_LATCH_QUIET_S 2    /* seconds without an accepted packet before another source may take a latched one's place */
#define DP_PT_NONE 0xff       /* in dp_leg_aux.pt_from: no entry */

enum { /* dp_leg_tx.more */
	DP_LEG_T_PT = 1 << 0, /* has a map of payload types */
};

/* Read and written when a packet comes in on this leg. One cache line. */
struct dp_leg_rx {
	struct dp_leg *peer;        /* NULL: none; owned by the same worker */
	struct dp_srtp_key *key;    /* head of the list (srtp/list.h), NULL: none yet */
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
	uint64_t pkts, bytes;       /* sent: RTP and RTCP, UDP payload bytes */
	uint64_t reserved;          /* what tx_reserved in the counter page says: read for each packet, the page is not */
	uint32_t leg_id;
	uint16_t rtp_port;          /* RTCP's is in rx */
	uint16_t nh;                /* next hop of ip, DP_NH_NONE */
	uint16_t local_port;        /* even */
	uint8_t family;
	uint8_t suite;
	uint8_t flags;
	uint8_t dscp;
	uint8_t addr_idx;           /* media address */
	uint8_t more;               /* DP_LEG_T_* */
};
static_assert(sizeof(struct dp_leg_tx) == 64, "one cache line");

struct dp_leg {
	struct dp_leg_rx rx;
	struct dp_leg_tx tx;
} __attribute__((aligned(64)));
static_assert(sizeof(struct dp_leg) % 64 == 0, "the next leg may be another worker's");

/* Two to a line, and the next leg may be another worker's: nothing here may be written for each packet. */
struct dp_leg_cold {
	uint8_t rtcp_ip[16];        /* family is RTP's */
	uint32_t idle_s;            /* 0: never ages */
	uint32_t peer_id;           /* signalled */
	uint64_t sig;               /* digest of the signalled addresses: an equal LEG_SET keeps what was latched */
};
static_assert(sizeof(struct dp_leg_cold) == 32, "counted in leg_bytes");

/* Two cache lines: of every packet that comes in; of those of legs with a rate (DP_LEG_S_RATED), and what is seldom used. */
struct dp_leg_aux {
	struct dp_stat stat;
	struct rte_meter_srtcm meter;
	uint32_t meter_period;      /* struct dp_rate; 0: no limit */
	uint16_t meter_burst;
	uint16_t latch_left;        /* sources that may still be taken by ADDRESS and ANY */
	uint64_t sr_us;             /* when an SR last went to the party; 0: never */
	uint32_t sr_mid;            /* the middle of its NTP time */
	uint16_t moved_s;           /* second and minute of the last event of the kind, one more than that: 0 none */
	uint16_t policed_min;
	uint8_t pt_from[DP_PT_MAP_MAX], pt_to[DP_PT_MAP_MAX]; /* of what is sent to the party */
} __attribute__((aligned(64)));
static_assert(sizeof(struct dp_leg_aux) == 128, "two cache lines");

struct dp_leg_tab {
	struct dp_leg *legs;        /* max records */
	struct dp_leg_aux *aux;     /* by the same number */
	struct dp_leg_cold *cold;
	uint32_t *slot;             /* by leg identifier: record number, DP_LEG_NONE */
	uint32_t id_cnt;            /* addresses * DP_LEGS_PER_ADDR */
	uint32_t max;
	uint16_t base_port;
	uint32_t rate_pps;          /* of legs that say nothing; 0: no limit */
	uint64_t hz;                /* TSC; the owner of the table sets both after init */
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

static inline struct dp_leg_aux *dp_leg_aux(const struct dp_leg_tab *tab, const struct dp_leg *leg)
{
	return &tab->aux[dp_leg_num(tab, leg)];
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
bool dp_leg_apply(struct dp_leg_tab *tab, const struct dp_leg_set *set, struct dp_leg *fresh, uint32_t now_s,
		  uint64_t now_cyc);

/** Take a leg out: unlinks its peer, clears the table entry and 'up'. Returns the record with its keys, or NULL. Its worker. */
struct dp_leg *dp_leg_remove(struct dp_leg_tab *tab, uint32_t leg_id);

enum dp_leg_src {
	DP_LEG_SRC_BAD,   /* drop: DP_DROP_SOURCE */
	DP_LEG_SRC_KNOWN, /* signalled or latched */
	DP_LEG_SRC_LATCH, /* take it, and latch it if the packet is accepted */
};

/** May a packet come from there? 'src' as in struct dp_frame. Changes nothing. Its worker. */
enum dp_leg_src dp_leg_source_other(const struct dp_leg_tab *tab, const struct dp_leg *leg, uint8_t family,
				    const uint8_t *src, uint16_t src_port, bool rtcp, uint32_t now_s);

/** The same, quick for RTP from the known source. */
static inline enum dp_leg_src dp_leg_source(const struct dp_leg_tab *tab, const struct dp_leg *leg, uint8_t family,
					    const uint8_t *src, uint16_t src_port, bool rtcp, uint32_t now_s)
{
	uint64_t a[2], b[2];

	memcpy(a, leg->rx.ip, 16);
	memcpy(b, src, 16);
	if (__builtin_expect(!rtcp && ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0 && leg->rx.rtp_port == src_port &&
			     leg->rx.family == family, 1))
		return DP_LEG_SRC_KNOWN;
	return dp_leg_source_other(tab, leg, family, src, src_port, rtcp, now_s);
}

/** Payload type to send to the party for 'pt'. Its worker. */
static inline uint8_t dp_leg_pt(const struct dp_leg_aux *aux, uint8_t pt)
{
	for (unsigned int i = 0; i < DP_PT_MAP_MAX; i++)
		if (aux->pt_from[i] == pt)
			return aux->pt_to[i];
	return pt;
}

/**
 * Latch a source after its packet was accepted (authenticated, on a secure leg). Its worker. False: it cannot be (RTCP of
 * another family than RTP's).
 */
bool dp_leg_latch(struct dp_leg_tab *tab, struct dp_leg *leg, uint8_t family, const uint8_t *src, uint16_t src_port,
		  bool rtcp);

/**
 * Where RTP or RTCP to the party goes. *ret_ip points into the leg. False: not known. Its worker.
 */
static inline bool dp_leg_remote(const struct dp_leg_tab *tab, const struct dp_leg *leg, bool rtcp,
				 const uint8_t **ret_ip, uint16_t *ret_port)
{
	*ret_ip = rtcp ? dp_leg_cold(tab, leg)->rtcp_ip : leg->tx.ip;
	*ret_port = rtcp ? leg->rx.rtcp_port : leg->tx.rtp_port;
	return leg->tx.family != 0;
}

/** Idle for longer than it may? Main lcore reads; a moment old. */
bool dp_leg_idle(const struct dp_leg_tab *tab, const struct dp_leg *leg, uint32_t now_s);

#endif
