/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a leg's RTP says of the way to us: RFC 3550 appendix A.1 (sequence numbers), A.3 (expected, received), A.8
 * (jitter). One record of a cache line per leg, of the SSRC that was heard last; written by the leg's worker, read by
 * the main lcore. And a reader of RTCP (sections 6.4.1 and 6.4.2): what a party reports of what it hears.
 *
 * No probation as in A.1: a packet comes here when its source was checked and, with SRTP, it was authenticated.
 */
#ifndef DP_STAT_H
#define DP_STAT_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "dp_page.h"

#define DP_STAT_DROPOUT  3000 /* RFC 3550 A.1: a jump ahead by so much may be a loss */
#define DP_STAT_MISORDER 100  /* and one back by so much a late packet */
#define DP_STAT_NO_BAD   65536u

struct dp_stat {
	uint32_t ssrc;      /* heard last */
	uint32_t ext;       /* highest sequence number of it, extended */
	uint32_t base;      /* first one, extended */
	uint32_t bad;       /* the sequence number that would make a jump a restart; DP_STAT_NO_BAD: none */
	uint32_t seen;      /* bit n: ext - n came; knows twins */
	uint32_t received;  /* all SSRCs, wraps: dp_stat_page() extends it */
	uint32_t before;    /* expected of SSRCs and sequences before; wraps */
	uint32_t reordered; /* wraps */
	uint32_t jitter;    /* 1/16 tick */
	uint32_t transit;   /* ticks */
	uint32_t tick_mul;  /* ticks of the leg's clock per microsecond, 2^-32 */
	uint32_t last;      /* arrival of the last packet, 16 us */
	uint32_t gap_us;    /* longest so far */
	uint16_t changes;   /* of the SSRC; wraps */
	uint16_t seq_off;   /* added to sequence numbers that go to a secure party: media.c, restarted senders */
	uint8_t begun;      /* bool */
	uint8_t turn;       /* odd while dp_stat_begin() changes what belongs together */
	uint8_t zero[6];
};
static_assert(sizeof(struct dp_stat) == 64, "one cache line");

enum dp_stat_seq {
	DP_STAT_NEXT,  /* in order, perhaps after a loss */
	DP_STAT_LATE,  /* after a later one */
	DP_STAT_TWIN,  /* came before */
	DP_STAT_JUMP,  /* far off: counted once its successor comes, too */
	DP_STAT_BEGIN, /* first of an SSRC, or of a sequence that began anew */
};

/** The leg's clock: 'clock_hz' up to 1 MHz, 0: 8000. Worker. */
static inline void dp_stat_clock(struct dp_stat *s, uint32_t clock_hz)
{
	s->tick_mul = (uint32_t)(((uint64_t)(clock_hz != 0 ? clock_hz : 8000) << 32) / 1000000);
}

/** Arrival time in ticks of the leg's clock, modulo 2^32. */
static inline uint32_t dp_stat_ticks(const struct dp_stat *s, uint64_t now_us)
{
	__extension__ typedef unsigned __int128 u128;

	return (uint32_t)(((u128)now_us * s->tick_mul) >> 32);
}

/** First packet of an SSRC or of a sequence that begins anew: what was is kept in sums. */
void dp_stat_begin(struct dp_stat *s, uint32_t ssrc, uint16_t seq, uint32_t transit);

/** A jump: DP_STAT_JUMP, or DP_STAT_BEGIN if its predecessor came before. */
enum dp_stat_seq dp_stat_jump(struct dp_stat *s, uint16_t seq, uint32_t transit);

/** Take in an RTP header (12 bytes at least) that arrived at 'now_us' of the dataplane's clock. Worker. */
static inline enum dp_stat_seq dp_stat_rtp(struct dp_stat *s, const uint8_t *rtp, uint64_t now_us)
{
	uint32_t ts, ssrc, transit, d, now = (uint32_t)(now_us >> 4), gap = (now - s->last) << 4;
	uint16_t seq = (uint16_t)(rtp[2] << 8 | rtp[3]), ahead;

	memcpy(&ts, rtp + 4, 4);
	memcpy(&ssrc, rtp + 8, 4);
	ssrc = __builtin_bswap32(ssrc);
	transit = dp_stat_ticks(s, now_us) - __builtin_bswap32(ts);
	if (__builtin_expect(s->begun == 0, 0))
		gap = 0;
	s->last = now;
	if (gap > s->gap_us)
		s->gap_us = gap;
	if (__builtin_expect(s->begun == 0 || ssrc != s->ssrc, 0)) {
		dp_stat_begin(s, ssrc, seq, transit);
		return DP_STAT_BEGIN;
	}
	ahead = (uint16_t)(seq - s->ext);
	if (__builtin_expect(ahead >= DP_STAT_DROPOUT, 0)) {
		uint32_t back = 65536u - ahead;

		if (back > DP_STAT_MISORDER)
			return dp_stat_jump(s, seq, transit);
		if (back < 32) {
			if ((s->seen >> back & 1) != 0)
				return DP_STAT_TWIN;
			s->seen |= 1u << back;
		}
		s->reordered++;
	} else if (__builtin_expect(ahead == 0, 0)) {
		return DP_STAT_TWIN;
	} else {
		s->ext += ahead;
		s->bad = DP_STAT_NO_BAD; /* two in a row make a restart */
		s->seen = ahead < 32 ? s->seen << ahead | 1 : 1;
	}
	s->received++;
	d = transit - s->transit;
	s->transit = transit;
	d = (int32_t)d < 0 ? 0 - d : d;
	s->jitter += d - ((s->jitter + 8) >> 4);
	return (int16_t)ahead < 0 ? DP_STAT_LATE : DP_STAT_NEXT;
}

/** Show a record in the counter page, whose 64-bit counters go on where these wrap. Main lcore, twice a second. */
void dp_stat_page(const struct dp_stat *s, struct dp_page_rtp *ret);

/* What dp_rtcp_read() found. */
struct dp_rtcp_seen {
	bool sr, block;
	uint32_t sr_ssrc;
	uint32_t sr_mid;   /* middle 32 bits of the SR's NTP time */
	int32_t lost;      /* of the block: cumulative, 24 bits with sign */
	uint8_t fraction;
	uint32_t jitter, lsr, dlsr;
	uint16_t ext_off;  /* where its highest sequence number is, bytes from the packet's start */
};

/**
 * Read a compound RTCP packet in clear: the first SR, and the last report block about 'ssrc' in any SR or RR. Stops at
 * what does not fit into 'len'.
 */
void dp_rtcp_read(const uint8_t *data, uint16_t len, uint32_t ssrc, struct dp_rtcp_seen *ret);

/**
 * Round trip from a report block: 'sr_mid' and 'sr_us' are of the SR that went to the party last. 0: this block does not
 * speak of it. RFC 3550 s6.4.1.
 */
uint64_t dp_rtcp_rtt(const struct dp_rtcp_seen *seen, uint32_t sr_mid, uint64_t sr_us, uint64_t now_us);

#endif
