/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A source of music on hold in memory: what is sent of it, codec by codec, as octets that need no more work. Made by the
 * main lcore from the bytes of files; read by workers, never changed. Every codec here has an RTP clock of 8 kHz
 * and a whole number of octets in a millisecond, so that any 10 ms of it can begin a packet. ITU-T G.711; RFC 3551.
 */
#ifndef DP_TUNE_H
#define DP_TUNE_H

#include <stddef.h>
#include <stdint.h>

#include "dp_msg.h"

#define DP_TUNE_FILE_MAX (32u << 20) /* bytes of one file: half an hour of PCM and more */
#define DP_TUNE_MS_MIN   100         /* shorter ones would be a hum */

struct dp_tune {
	uint32_t id; /* of the source that it is of */
	struct {
		uint8_t *data; /* NULL: not in this codec */
		uint32_t ms;   /* of music, a multiple of 10; then it begins again */
	} part[DP_MUSIC_CODEC_MAX];
};

/** Octets in a millisecond. */
static inline uint32_t dp_tune_rate(enum dp_music_codec codec)
{
	return codec == DP_MUSIC_G729 ? 1 : 8;
}

/**
 * Find the samples of a .wav file of 8,000 Hz, 16 bit, one channel: *ret_pcm points into 'file', *ret_len is even. Takes what
 * is there of a data chunk that says to be longer (a pipe's output), and nothing else that is cut off. 0; -EINVAL with a
 * sentence in *ret_why.
 */
int dp_tune_wav(const uint8_t *file, size_t len, const uint8_t **ret_pcm, size_t *ret_len, const char **ret_why);

/**
 * Take one file's bytes in: DP_MUSIC_F_PCM (wav if it begins so, else samples alone, little-endian) becomes both laws of G.711,
 * others are taken as they are. What is behind the last whole 10 ms is left out. 0; -EINVAL with a sentence in *ret_why;
 * -ENOMEM. The tune is freed after an error, too: dp_tune_free().
 */
int dp_tune_add(struct dp_tune *tune, unsigned int kind, const uint8_t *file, size_t len, const char **ret_why);

/** Frees. Takes NULL. */
void dp_tune_free(struct dp_tune *tune);

/**
 * 'ms' milliseconds to 'out' (dp_tune_rate() times as many octets), from where the source is at 'at_ms' of its endless
 * repetition. The codec must be there. Worker.
 */
void dp_tune_copy(const struct dp_tune *tune, enum dp_music_codec codec, uint64_t at_ms, uint32_t ms, uint8_t *out);

/** One sample to an octet of G.711. */
uint8_t dp_tune_ulaw(int16_t sample);
uint8_t dp_tune_alaw(int16_t sample);

#endif
