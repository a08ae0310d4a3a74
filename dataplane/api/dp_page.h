/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The counter page: a sealed memfd that the dataplane writes and others map read-only. It reaches the
 * controlplane with the answer to DP_MSG_HELLO. Every word is an aligned 64-bit counter with one writer,
 * read with plain loads: a reader may see one counter a moment older than another, never a torn one.
 */
#ifndef DP_PAGE_H
#define DP_PAGE_H

#include <assert.h>
#include <stdint.h>

#include "dp_msg.h"

#define DP_PAGE_MAGIC   0x52564c4e50414745ull /* "RVLNPAGE" */
#define DP_PAGE_VERSION 5

/* Why a packet did not leave. DP_OK is no drop; names are in dp_drop_name() and in counters output. */
enum dp_drop {
	DP_OK = 0,
	DP_DROP_L2_NOT_OURS,     /* destination MAC or ethertype is not for us */
	DP_DROP_L3_MALFORMED,    /* truncated, bad version, header length or total length */
	DP_DROP_L3_NOT_OURS,     /* well-formed IP to an address that the dataplane does not own */
	DP_DROP_L3_FRAGMENT,     /* an IP fragment, and the configuration does not have them reassembled */
	DP_DROP_L4_MALFORMED,    /* truncated UDP, length lies */
	DP_DROP_L4_PROTO,        /* protocol or port without a user here */
	DP_DROP_CHAINED,         /* segmented mbuf */
	DP_DROP_TTL,             /* hop limit exhausted */
	DP_DROP_NO_LEG,          /* media port without a leg */
	DP_DROP_LEG_INACTIVE,    /* leg is there, peer leg or direction is not */
	DP_DROP_SOURCE,          /* source address not the signalled or latched one */
	DP_DROP_RTP_MALFORMED,   /* RTP header, CSRC list, extension or padding do not fit */
	DP_DROP_RTCP_MALFORMED,  /* RTCP header or SRTCP trailer do not fit */
	DP_DROP_AUTH,            /* SRTP or SRTCP tag wrong */
	DP_DROP_REPLAY,          /* index seen before */
	DP_DROP_STALE,           /* index left of the window */
	DP_DROP_KEY_LIMIT,       /* packet index or key lifetime exhausted */
	DP_DROP_NO_KEY,          /* secure leg without a key yet */
	DP_DROP_NO_STREAM,       /* more SSRCs than a leg may have */
	DP_DROP_POLICED,         /* over the source's or leg's rate */
	DP_DROP_NO_ROOM,         /* no head- or tailroom for what must be added */
	DP_DROP_ESP_MALFORMED,   /* ESP header, IV, padding or trailer do not fit */
	DP_DROP_ESP_NO_SA,       /* unknown SPI */
	DP_DROP_ESP_AUTH,        /* ICV wrong */
	DP_DROP_ESP_REPLAY,      /* sequence seen before */
	DP_DROP_ESP_STALE,       /* sequence left of the window */
	DP_DROP_ESP_EXPIRED,     /* SA past its hard lifetime in seconds */
	DP_DROP_ESP_BYTES,       /* in bytes */
	DP_DROP_ESP_PKTS,        /* in packets */
	DP_DROP_ESP_SEQ,         /* no sequence number left under its key, or none granted yet */
	DP_DROP_ESP_SELECTOR,    /* inner packet outside the SA's selectors */
	DP_DROP_AH,              /* IPsec's authentication header, which is not spoken here */
	DP_DROP_ESP_ECN,         /* a congestion mark on a packet that was sent as not ECN-capable (RFC 6040 s4.2) */
	DP_DROP_ESP_DUMMY,       /* not lost: dummy packet (RFC 4303 s2.6) */
	DP_DROP_POLICY,          /* in clear where an SA is demanded */
	DP_DROP_POLICY_DISCARD,  /* a policy says discard */
	DP_DROP_POLICY_SEALED,   /* came out of an SA where a policy says bypass */
	DP_DROP_MGCP_MALFORMED,  /* not MGCP */
	DP_DROP_MGCP_UNKNOWN,    /* no such gateway, or answer to no transaction */
	DP_DROP_NO_NEIGH,        /* next hop has no link-layer address (yet) */
	DP_DROP_TX_FULL,         /* driver took no more */
	DP_DROP_RING_FULL,       /* handoff or punt ring full */
	DP_DROP_FRAG_INCOMPLETE, /* fragments whose others did not come in time, or that overlap */
	DP_DROP_PUNTED,          /* not lost: given to the kernel */
	DP_DROP_PUNT_FULL,       /* for the kernel, over the punt path's rate or its queue */
	DP_DROP_CONSUMED,        /* not lost: answered or absorbed here (ARP, ND, echo, MGCP answers) */
	DP_DROP_MAX
};

/** Name of a drop reason in counters and logs; NULL: no such reason. */
static inline const char *dp_drop_name(unsigned int why)
{
	static const char *const names[DP_DROP_MAX] = {
		[DP_OK] = "ok",
		[DP_DROP_L2_NOT_OURS] = "l2_not_ours",
		[DP_DROP_L3_MALFORMED] = "l3_malformed",
		[DP_DROP_L3_NOT_OURS] = "l3_not_ours",
		[DP_DROP_L3_FRAGMENT] = "l3_fragment",
		[DP_DROP_L4_MALFORMED] = "l4_malformed",
		[DP_DROP_L4_PROTO] = "l4_proto",
		[DP_DROP_CHAINED] = "chained",
		[DP_DROP_TTL] = "ttl",
		[DP_DROP_NO_LEG] = "no_leg",
		[DP_DROP_LEG_INACTIVE] = "leg_inactive",
		[DP_DROP_SOURCE] = "source",
		[DP_DROP_RTP_MALFORMED] = "rtp_malformed",
		[DP_DROP_RTCP_MALFORMED] = "rtcp_malformed",
		[DP_DROP_AUTH] = "auth",
		[DP_DROP_REPLAY] = "replay",
		[DP_DROP_STALE] = "stale",
		[DP_DROP_KEY_LIMIT] = "key_limit",
		[DP_DROP_NO_KEY] = "no_key",
		[DP_DROP_NO_STREAM] = "no_stream",
		[DP_DROP_POLICED] = "policed",
		[DP_DROP_NO_ROOM] = "no_room",
		[DP_DROP_ESP_MALFORMED] = "esp_malformed",
		[DP_DROP_ESP_NO_SA] = "esp_no_sa",
		[DP_DROP_ESP_AUTH] = "esp_auth",
		[DP_DROP_ESP_REPLAY] = "esp_replay",
		[DP_DROP_ESP_STALE] = "esp_stale",
		[DP_DROP_ESP_EXPIRED] = "esp_expired",
		[DP_DROP_ESP_BYTES] = "esp_bytes",
		[DP_DROP_ESP_PKTS] = "esp_packets",
		[DP_DROP_ESP_SEQ] = "esp_sequence",
		[DP_DROP_ESP_SELECTOR] = "esp_selector",
		[DP_DROP_AH] = "ah_not_spoken",
		[DP_DROP_ESP_ECN] = "esp_ecn",
		[DP_DROP_ESP_DUMMY] = "esp_dummy",
		[DP_DROP_POLICY] = "policy",
		[DP_DROP_POLICY_DISCARD] = "policy_discard",
		[DP_DROP_POLICY_SEALED] = "policy_sealed",
		[DP_DROP_MGCP_MALFORMED] = "mgcp_malformed",
		[DP_DROP_MGCP_UNKNOWN] = "mgcp_unknown",
		[DP_DROP_NO_NEIGH] = "no_neigh",
		[DP_DROP_TX_FULL] = "tx_full",
		[DP_DROP_RING_FULL] = "ring_full",
		[DP_DROP_FRAG_INCOMPLETE] = "frag_incomplete",
		[DP_DROP_PUNTED] = "punted",
		[DP_DROP_PUNT_FULL] = "punt_full",
		[DP_DROP_CONSUMED] = "consumed",
	};

	return why < DP_DROP_MAX ? names[why] : (const char *)0;
}

/* Stages whose cycles are counted, in loop order. */
enum dp_stage {
	DP_STAGE_RX,
	DP_STAGE_PARSE,
	DP_STAGE_LOOKUP,
	DP_STAGE_UNPROTECT,
	DP_STAGE_PROTECT,
	DP_STAGE_REWRITE,
	DP_STAGE_TX,
	DP_STAGE_OTHER, /* commands, ESP, MGCP, handoff */
	DP_STAGE_MAX
};

/* Written by one worker. rx_pkts = tx_pkts - made_pkts + sum(drop[]) + in_flight, always. */
struct dp_page_worker {
	uint64_t rx_pkts, rx_bytes;
	uint64_t tx_pkts, tx_bytes;
	uint64_t made_pkts;    /* sent or dropped packets that the worker itself made (MGCP, ARP) */
	uint64_t in_flight;    /* handed to another lcore and not yet counted there; fragments that wait for others */
	uint64_t handoff_in, handoff_out;
	uint64_t polls, busy_polls, busy_cyc;
	uint64_t cmds;         /* commands executed */
	uint64_t events_lost;  /* events for the controlplane that found the ring full */
	uint64_t stage_cyc[DP_STAGE_MAX];
	uint64_t stage_pkts[DP_STAGE_MAX];
	uint64_t drop[DP_DROP_MAX];
	/* IPsec and MGCP */
	uint64_t esp_in, esp_out, mgcp_tx, mgcp_retx, mgcp_rx, mgcp_timeout, mgcp_no_sa;
	uint64_t held;         /* packets that waited for a shard that was on its way here */
	uint64_t music_pkts;   /* made of sources of music */
	uint64_t music_late;   /* left out, because their time was long over */
	uint64_t esp_keepalive; /* NAT keepalives made */
	uint64_t esp_dummy;    /* dummy packets made */
	uint64_t frag_made;    /* fragments made of packets too long for their path, inside or outside of ESP */
	uint64_t pmtu_learnt;  /* path MTUs of SAs that were lowered by ICMP */
	uint64_t pmtu_refused; /* ICMP about SAs' packets that were not believed, or came too fast */
	/* MGCP that changed nothing: answers late, said twice or never asked for; from another address than the gateway's; that could not
	 * be used. Repeated commands and keep-alives of gateways, answered without asking anybody; commands of ours refused for want of room. */
	uint64_t mgcp_stale, mgcp_source, mgcp_bad_answer, mgcp_repeats, mgcp_keepalive, mgcp_overload;
	uint64_t spd_hit[DP_SPD_MAX]; /* packets and messages that a policy decided about */
} __attribute__((aligned(64)));

/*
 * What RTP says of a direction (RFC 3550): of the SSRC that was heard last, and of the others together. Times of jitter
 * are in the leg's clock (dp_leg_set.clock_hz), others in microseconds.
 */
struct dp_page_rtp {
	uint64_t ssrc;         /* heard last */
	uint64_t ssrc_changes;
	uint64_t expected;     /* by sequence numbers, all SSRCs */
	uint64_t received;     /* of those, twins not counted */
	uint64_t reordered;    /* came after a later one */
	uint64_t jitter;       /* s6.4.1, in 1/16 of a clock tick */
	uint64_t gap_max_us;   /* longest time between two packets */
	uint64_t ext_seq;      /* highest sequence number, extended */
};

/* What a party's RTCP reports of what it receives (the last report block), and the round trip made from it. */
struct dp_page_rtcp {
	uint64_t reports;      /* SR and RR with a block for our stream */
	uint64_t lost;         /* cumulative, two's complement of 64 bits */
	uint64_t fraction;     /* lost since the report before, 1/256 */
	uint64_t jitter;       /* clock ticks */
	uint64_t rtt_us;       /* 0: not known yet */
};

/*
 * One per leg identifier. 'tx_reserved' is written by the worker ahead of use (DP_TX_RESERVE indices at a
 * time): after a crash the key may be used again only above it. The rest is copied by the main lcore about
 * twice a second.
 */
#define DP_TX_RESERVE 64
struct dp_page_leg {
	uint64_t tx_reserved;    /* SRTP: highest 48-bit index that may have been used under the send key */
	uint64_t tx_rtcp_reserved;
	uint64_t rx_top;         /* SRTP: highest index accepted under the receive key */
	uint64_t rx_rtcp_top;
	uint64_t rx_pkts, rx_bytes, tx_pkts, tx_bytes;
	uint64_t rx_rtcp, tx_rtcp;
	uint64_t auth_fail, replayed, policed, other_drop;
	uint64_t last_rx_s;      /* seconds since the dataplane started; 0 never */
	uint64_t state;          /* enum dp_page_leg_state */
	uint64_t session;        /* dp_leg_set.session: whose leg this is */
	uint64_t peer;           /* leg identifier; UINT32_MAX: none */
	uint64_t rx_suite, tx_suite; /* enum dp_srtp_suite */
	uint64_t rx_key_s, tx_key_s; /* since when the key is in use, seconds since the dataplane started; 0: none */
	uint64_t codec;          /* enum dp_codec */
	uint64_t clock_hz, ptime_ms;
	uint64_t latches;        /* sources taken over */
	struct dp_page_rtp rtp;  /* what the party sends */
	struct dp_page_rtcp rtcp; /* what the party says of what we send to it */
	uint64_t pad[1];
} __attribute__((aligned(64)));
static_assert(sizeof(struct dp_page_leg) == 320, "five cache lines");

enum dp_page_leg_state { DP_PAGE_LEG_FREE, DP_PAGE_LEG_UP, DP_PAGE_LEG_LATCHED };

/* One per SA identifier. */
struct dp_page_sa {
	uint64_t spi;            /* 0: free */
	uint64_t seq;            /* outbound: last used; inbound: highest accepted */
	uint64_t pkts, bytes, auth_fail, replayed;
	uint64_t expired;        /* DP_SA_WHY_* of hard lifetimes that are over; of soft ones 8 bits further up; from bit 16 on the learnt path MTU */
	uint64_t dead_drop;      /* packets refused because it may not be used any more, or has no number */
} __attribute__((aligned(64)));
static_assert(sizeof(struct dp_page_sa) == 64, "a cache line");

struct dp_page {
	uint64_t magic, version, size;
	uint64_t boot_id;        /* drawn at each start of the dataplane */
	uint64_t epoch;          /* of the controlplane last seen */
	uint64_t tsc_hz;
	uint64_t alive;          /* counted up by the main lcore about twice a second */
	uint64_t worker_cnt, worker_off; /* offsets in bytes from the start of the page */
	uint64_t leg_cnt, leg_off;
	uint64_t sa_cnt, sa_off;
	uint64_t chan_bad;       /* channel messages refused as malformed */
	uint64_t events_dropped; /* events for which no controlplane was connected */
	uint64_t mbufs_total, mbufs_used;
	uint64_t shard_worker[DP_SHARDS]; /* whose shard it is */
	uint64_t leg_bytes;      /* memory per leg with an AES-CM suite, both directions, RTP and RTCP */
	uint64_t now_s;          /* seconds since the start, about: what *_s of legs are to be compared with */
	uint64_t sa_bytes;       /* memory per SA, a window of more than 192 packets apart */
	uint64_t sa_window_bytes; /* of all those windows together */
} __attribute__((aligned(64)));

#endif
