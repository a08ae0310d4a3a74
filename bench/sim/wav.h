/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * WAV files of telephone speech: 8 kHz mono, 16-bit PCM or G.711. Recordings are G.711 WAV with the received
 * octets untouched; frames that never came are filled with silence and named in a chunk "rvms" (pairs of
 * little-endian 32-bit numbers: first missing frame, how many), which other readers skip.
 */
#ifndef SIM_WAV_H
#define SIM_WAV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_wav_format { SIM_WAV_PCM = 1, SIM_WAV_ALAW = 6, SIM_WAV_ULAW = 7 };

#define SIM_PT_ULAW 0
#define SIM_PT_ALAW 8

/* A parsed file: points into the buffer it was parsed from. */
struct sim_wav {
	enum sim_wav_format format;
	const uint8_t *data;
	size_t len;            /* octets: PCM has two per sample */
	const uint8_t *missing; /* the "rvms" chunk, or NULL */
	size_t missing_len;
};

/** 0, or -EBADMSG (broken file) or -ENOTSUP (another format), with a sentence in *ret_why. */
int sim_wav_parse(const uint8_t *file, size_t len, struct sim_wav *ret, const char **ret_why);

/**
 * Read a file and give its samples as G.711 of one payload type (0 u-law, 8 A-law), recoding if needed. The
 * caller frees *ret_data. 0 or a negative errno, with a sentence in *ret_why.
 */
int sim_wav_load(const char *path, uint8_t pt, uint8_t **ret_data, size_t *ret_len, const char **ret_why);

/** Write a G.711 WAV; missing is an array of n pairs (first frame, count). 0 or -errno. */
int sim_wav_save(const char *path, uint8_t pt, const uint8_t *data, size_t len,
		 const uint32_t (*missing)[2], size_t n);

uint8_t sim_ulaw_of(int16_t sample);
uint8_t sim_alaw_of(int16_t sample);
int16_t sim_ulaw_to(uint8_t octet);
int16_t sim_alaw_to(uint8_t octet);

#endif
