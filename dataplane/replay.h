/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Anti-replay window shared by SRTP, SRTCP and ESP. One per stream or SA, owned by one worker: no locks.
 * check() runs before decryption and changes nothing; commit() runs after the packet authenticated and
 * alone accepts an index, so twins in one burst cannot both pass. A sender uses commit() to refuse an index
 * that it has used before. RFC 3711 s3.3.2, RFC 4303 s3.4.3; bitmap layout after RFC 6479.
 *
 * Indices are host order, any width up to 64 bits; the caller keeps them from wrapping. In the window are
 * top and the 'window' - 1 indices below it.
 *
 * struct dp_replay has its words with it, for windows of up to DP_REPLAY_WINDOW. Wider ones (dp_replay_*_in) take a
 * bitmap of the caller's: a power of two of words, dp_replay_words() of them.
 */
#ifndef DP_REPLAY_H
#define DP_REPLAY_H

#include <errno.h>
#include <stdint.h>

#define DP_REPLAY_WORDS  4                            /* 64-bit words kept */
#define DP_REPLAY_WINDOW ((DP_REPLAY_WORDS - 1) * 64) /* packets; one word is always in reuse */
#define DP_REPLAY_MIN    64
#define DP_REPLAY_MAX    4096

struct dp_replay {
	uint64_t top;                   /* highest accepted index; 0 also when nothing was accepted */
	uint64_t seen[DP_REPLAY_WORDS]; /* bit i%64 of word (i/64)%WORDS: index i was accepted */
};

/** Nothing accepted yet: every index is welcome, 0 too. Any. */
void dp_replay_init(struct dp_replay *win);

/**
 * After a restart: 'idx' and all below it count as accepted. They are refused with -EALREADY inside the
 * window and -ESTALE left of it. Any, before the owner's first packet.
 */
void dp_replay_restart(struct dp_replay *win, uint64_t idx);

/** Would 'idx' be accepted? Changes nothing. Worker. 0, -EALREADY (seen), -ESTALE (too old). */
int dp_replay_check(const struct dp_replay *win, uint64_t idx);

/** Accept authenticated 'idx', move the window. Worker. 0, -EALREADY (seen), -ESTALE (too old). */
int dp_replay_commit(struct dp_replay *win, uint64_t idx);

/** Words of a bitmap for a window of DP_REPLAY_MIN to DP_REPLAY_MAX packets: a power of two, one more than they fill. */
static inline uint32_t dp_replay_words(uint32_t window)
{
	uint32_t words = DP_REPLAY_WORDS;

	while ((words - 1) * 64 < window)
		words *= 2;
	return words;
}

/* The same four on a bitmap of 'words' words. 'top' as in struct dp_replay. */
static inline int dp_replay_check_in(uint64_t top, const uint64_t *seen, uint32_t words, uint32_t window, uint64_t idx)
{
	if (idx > top)
		return 0;
	if (top - idx >= window)
		return -ESTALE;
	return (seen[(idx / 64) & (words - 1)] >> (idx % 64) & 1) != 0 ? -EALREADY : 0;
}

static inline int dp_replay_commit_in(uint64_t *top, uint64_t *seen, uint32_t words, uint32_t window, uint64_t idx)
{
	int rc = dp_replay_check_in(*top, seen, words, window, idx);

	if (__builtin_expect(rc < 0, 0))
		return rc;
	if (__builtin_expect(idx > *top, 1)) {
		uint64_t word = *top / 64, last = idx / 64;

		/* Words that the window enters hold bits of 'words' * 64 packets ago. */
		if (last - word > words)
			word = last - words;
		while (word < last)
			seen[++word & (words - 1)] = 0;
		*top = idx;
	}
	seen[(idx / 64) & (words - 1)] |= (uint64_t)1 << (idx % 64);
	return 0;
}

static inline void dp_replay_restart_in(uint64_t *top, uint64_t *seen, uint32_t words, uint64_t idx)
{
	*top = idx;
	/* Bits right of idx in its own word are cleared: they are to come. The word in reuse holds nothing. */
	for (uint32_t i = 0; i < words; i++)
		seen[i] = UINT64_MAX;
	seen[(idx / 64) & (words - 1)] = UINT64_MAX >> (63 - idx % 64);
}

#endif
