/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams of a key, their pool, and the guess of a packet's index: shared by srtp.c, srtcp.c and kdf.c. */
#ifndef DP_SRTP_STREAM_H
#define DP_SRTP_STREAM_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "srtp/srtp.h"

#define DP_SRTP_INDEX_MAX  (((uint64_t)1 << 48) - 1)
#define DP_SRTCP_INDEX_MAX (((uint64_t)1 << 31) - 1)

/** Stream of an SSRC, NULL if it has not begun. Worker. */
static inline struct dp_srtp_stream *dp_srtp_stream_find(struct dp_srtp_key *key, uint32_t ssrc)
{
	struct dp_srtp_stream *stream = &key->first;

	if (__builtin_expect(stream->ssrc == ssrc && stream->valid != 0, 1))
		return stream;
	while (stream != NULL && (stream->ssrc != ssrc || stream->valid == 0))
		stream = stream->next;
	return stream;
}

/** May one more begin? Worker. A pool may still turn out to be empty. */
static inline bool dp_srtp_stream_room(const struct dp_srtp_key *key)
{
	return key->stream_cnt == 0 || (key->pool != NULL && key->stream_cnt < DP_SRTP_STREAMS_MAX);
}

/** Begin the stream of an SSRC that has none, at the key's floors. Worker. NULL: no room. */
struct dp_srtp_stream *dp_srtp_stream_begin(struct dp_srtp_key *key, uint32_t ssrc);

/** Give all but the first back to the pool. Main lcore. */
void dp_srtp_stream_drop_all(struct dp_srtp_key *key);

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

	if (reserved != NULL && index > *reserved)
		__atomic_store_n(reserved, upto < max ? upto : max, __ATOMIC_RELEASE);
}

/** AES-CM IV: (salt * 2^16) XOR (SSRC * 2^64) XOR (index * 2^16). iv 16 bytes, aligned. */
static inline void dp_srtp_iv(uint8_t *iv, const uint8_t *salt, uint32_t ssrc, uint64_t index)
{
	uint64_t hi, lo = 0, x;

	__builtin_memcpy(&hi, salt, 8);
	__builtin_memcpy(&lo, salt + 8, 6);
	x = __builtin_bswap64((uint64_t)ssrc);
	hi ^= x;
	lo ^= __builtin_bswap64(index << 16);
	__builtin_memcpy(iv, &hi, 8);
	__builtin_memcpy(iv + 8, &lo, 8);
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
