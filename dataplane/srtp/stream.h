/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams of a direction, their pool, the guess of a packet's index, what a key's packets count: shared in this folder. */
#ifndef DP_SRTP_STREAM_H
#define DP_SRTP_STREAM_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "srtp/srtp.h"

#define DP_SRTP_INDEX_MAX  (((uint64_t)1 << 48) - 1)
#define DP_SRTCP_INDEX_MAX (((uint64_t)1 << 31) - 1)

/* Of the index spaces as dp_srtp_soon() has it of a lifetime: from here on the end is near. */
#define DP_SRTP_INDEX_SOON  (DP_SRTP_INDEX_MAX - (DP_SRTP_INDEX_MAX + 1) / 64)
#define DP_SRTCP_INDEX_SOON (DP_SRTCP_INDEX_MAX - (DP_SRTCP_INDEX_MAX + 1) / 64)

/** How many packets before a lifetime's end it is told: a 64th, at least 2^16, at most half of it. */
uint64_t dp_srtp_soon(uint64_t life);

/** dp_srtp_stream_find() of what is not the first. Worker. */
struct dp_srtp_stream *dp_srtp_stream_far(struct dp_srtp_key *own, uint32_t ssrc);

/** Stream of an SSRC in the key that has the direction's streams, NULL if it has not begun. Worker. */
static inline struct dp_srtp_stream *dp_srtp_stream_find(struct dp_srtp_key *own, uint32_t ssrc)
{
	struct dp_srtp_stream *stream = &own->first;

	if (__builtin_expect(stream->ssrc == ssrc && stream->valid != 0, 1))
		return stream;
	return own->first.next == NULL ? NULL : dp_srtp_stream_far(own, ssrc);
}

/** Begin the stream of an SSRC that has none, at the key's floors. Worker. NULL: no room. */
struct dp_srtp_stream *dp_srtp_stream_begin(struct dp_srtp_key *own, uint32_t ssrc);

/** Give all but the first back to the pool. Main lcore. */
void dp_srtp_stream_drop_all(struct dp_srtp_key *own);

/**
 * All streams of 'from', with their floors and the SRTCP index, become those of 'to', which has none. 'from' still
 * shows what it had to readers on another lcore, until dp_srtp_stream_forget(). Worker.
 */
void dp_srtp_stream_move(struct dp_srtp_key *to, struct dp_srtp_key *from);
void dp_srtp_stream_forget(struct dp_srtp_key *from);

/* --- the window of a stream, RTP --- */

static inline uint64_t *dp_srtp_win_bits(const struct dp_srtp_key *own, struct dp_srtp_stream *stream, uint32_t *ret_words)
{
	if (__builtin_expect((own->flags & DP_SRTP_F_WIDE) == 0, 1)) {
		*ret_words = DP_REPLAY_WORDS;
		return stream->rtp.seen;
	}
	*ret_words = dp_replay_words(own->window);
	return stream->wide.seen;
}

static inline int dp_srtp_win_check(const struct dp_srtp_key *own, struct dp_srtp_stream *stream, uint64_t idx)
{
	uint32_t words;
	const uint64_t *bits = dp_srtp_win_bits(own, stream, &words);

	return dp_replay_check_in(stream->rtp.top, bits, words, own->window, idx);
}

static inline int dp_srtp_win_commit(const struct dp_srtp_key *own, struct dp_srtp_stream *stream, uint64_t idx)
{
	uint32_t words;
	uint64_t *bits = dp_srtp_win_bits(own, stream, &words);

	return dp_replay_commit_in(&stream->rtp.top, bits, words, own->window, idx);
}

static inline void dp_srtp_win_restart(const struct dp_srtp_key *own, struct dp_srtp_stream *stream, uint64_t idx)
{
	uint32_t words;
	uint64_t *bits = dp_srtp_win_bits(own, stream, &words);

	dp_replay_restart_in(&stream->rtp.top, bits, words, idx);
}

/* --- indices --- */

/**
 * RFC 3711 appendix A: the index nearest to 'top' (ROC * 65536 + s_l) that ends in 'seq'. Where that would be
 * negative, ROC 0. Above DP_SRTP_INDEX_MAX when the ROC is used up.
 */
static inline uint64_t dp_srtp_guess(uint64_t top, uint16_t seq)
{
	uint64_t roc = top >> 16;
	uint32_t s_l = (uint32_t)top & 0xffff;

	if (s_l < 32768) {
		if ((int32_t)seq - (int32_t)s_l > 32768 && roc > 0)
			roc--;
	} else if (s_l - 32768 > seq) {
		roc++;
	}
	return roc << 16 | seq;
}

/** The guess of a stream, or of one that would begin. With a ROC from signalling the first packet's is that. */
static inline uint64_t dp_srtp_guess_of(const struct dp_srtp_key *own, const struct dp_srtp_stream *stream, uint16_t seq)
{
	if (__builtin_expect(stream != NULL, 1))
		return dp_srtp_guess(stream->rtp.top, seq);
	if ((own->flags & DP_SRTP_F_ROC) != 0)
		return own->index_floor | seq;
	return dp_srtp_guess(own->index_floor, seq);
}

/** Is the index of a stream that would begin one that was used or accepted before a restart? */
static inline bool dp_srtp_below_floor(const struct dp_srtp_key *own, uint64_t index)
{
	return own->index_floor > 0 && (own->flags & DP_SRTP_F_ROC) == 0 && index <= own->index_floor;
}

/** The verdict for what dp_replay_check() and _commit() return. */
static inline uint8_t dp_srtp_replay_verdict(int rc)
{
	if (__builtin_expect(rc == 0, 1))
		return DP_OK;
	return rc == -EALREADY ? DP_DROP_REPLAY : DP_DROP_STALE;
}

/** Tell the counter page, ahead of use, up to which index a key may have been used. Worker. */
static inline void dp_srtp_reserve(uint64_t *reserved, uint64_t index, uint64_t max)
{
	uint64_t upto = index + DP_TX_RESERVE;

	/* Also of index 0: what is reserved is 0 only of a key that was never used. */
	if (reserved != NULL && (index > *reserved || *reserved == 0))
		__atomic_store_n(reserved, upto < max ? upto : max, __ATOMIC_RELEASE);
}

/* --- what is counted under a key --- */

/** Something for the worker to look after, once per key. */
static inline void dp_srtp_mark(struct dp_srtp_key *head, struct dp_srtp_key *key, uint8_t what)
{
	if ((key->told & what) != 0)
		return;
	key->told |= what;
	key->pending |= what;
	if (head != key)
		head->pending |= DP_SRTP_P_LIST;
}

/** A further SSRC was refused. As often as it happens: who is told how often is not decided here. Worker. */
static inline void dp_srtp_refused(struct dp_srtp_key *head, uint32_t ssrc)
{
	head->pending |= DP_SRTP_P_SSRC;
	head->evt_ssrc = ssrc;
}

/** Set 'until' or 'rtcp_until' of a key of whose lifetime 'used' packets are gone; its end may be near (pending) or there. */
void dp_srtp_live(struct dp_srtp_key *key, bool rtcp, uint64_t used);

/** How many packets of a key's lifetime are gone, floors included. */
uint64_t dp_srtp_used(const struct dp_srtp_key *key, bool rtcp);

/** 'until' or 'rtcp_until' came to 0, or the index space comes to its end. Worker. */
void dp_srtp_due(struct dp_srtp_key *head, struct dp_srtp_key *key, bool rtcp);

/** One RTP packet was made or accepted under a key. Worker. */
static inline void dp_srtp_count(struct dp_srtp_key *head, struct dp_srtp_key *key, uint64_t index)
{
	if (__builtin_expect(--key->until == 0, 0))
		dp_srtp_due(head, key, false);
	if (__builtin_expect(index > DP_SRTP_INDEX_SOON, 0))
		dp_srtp_mark(head, key, DP_SRTP_P_SOON);
}

/* --- bytes --- */

/** AES-CM IV: (salt * 2^16) XOR (SSRC * 2^64) XOR (index * 2^16). iv 16 bytes, aligned. */
static inline void dp_srtp_iv(uint8_t *iv, const uint8_t *salt, uint32_t ssrc, uint64_t index)
{
	uint64_t hi, lo;

	__builtin_memcpy(&hi, salt, 8);
	/* Bytes 8 to 13 by a load of 8: 6 bytes would be put together in memory, and loading what two stores wrote stalls. */
	__builtin_memcpy(&lo, salt + 6, 8);
	hi ^= __builtin_bswap64((uint64_t)ssrc);
	lo = lo >> 16 ^ __builtin_bswap64(index << 16);
	__builtin_memcpy(iv, &hi, 8);
	__builtin_memcpy(iv + 8, &lo, 8);
}

/** AES-GCM IV, 12 bytes: (00 00 || SSRC || 48-bit index) XOR salt. RFC 7714 s8.1; s9.1 for SRTCP's 31 bits. */
static inline void dp_srtp_gcm_iv(uint8_t *iv, const uint8_t *salt, uint32_t ssrc, uint64_t index)
{
	uint64_t lo;
	uint32_t hi;

	__builtin_memcpy(&hi, salt, 4);
	__builtin_memcpy(&lo, salt + 4, 8);
	hi ^= __builtin_bswap32(ssrc >> 16);
	lo ^= __builtin_bswap64((uint64_t)ssrc << 48 | index);
	__builtin_memcpy(iv, &hi, 4);
	__builtin_memcpy(iv + 4, &lo, 8);
}

static inline uint32_t dp_srtp_be32(const uint8_t *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

static inline void dp_srtp_put_be32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	__builtin_memcpy(p, &v, 4);
}

#endif
