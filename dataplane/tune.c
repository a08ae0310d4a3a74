/* SPDX-License-Identifier: BSD-3-Clause */
#include "tune.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define WAV_PCM        1
#define WAV_EXTENSIBLE 0xfffe
#define RATE           8000u

static uint32_t le16(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const uint8_t *p)
{
	return le16(p) | le16(p + 2) << 16;
}

/* G.711 by its segments: the position of the highest bit of a magnitude, and the four bits behind it. */
static unsigned int segment(unsigned int v, unsigned int top)
{
	unsigned int seg = 7;

	while (seg > 0 && (v & top >> (7 - seg)) == 0)
		seg--;
	return seg;
}

uint8_t dp_tune_ulaw(int16_t sample)
{
	int v = sample < 0 ? -(int)sample : sample;
	unsigned int m = (unsigned int)(v > 32635 ? 32635 : v) + 132, seg = segment(m, 0x4000);

	return (uint8_t)~((sample < 0 ? 0x80u : 0) | seg << 4 | (m >> (seg + 3) & 15));
}

uint8_t dp_tune_alaw(int16_t sample)
{
	unsigned int m = (unsigned int)(sample < 0 ? -(int)sample - 1 : sample) >> 3, seg = segment(m, 0x800);

	return (uint8_t)(((sample < 0 ? 0 : 0x80u) | seg << 4 | (m >> (seg == 0 ? 1 : seg) & 15)) ^ 0x55);
}

static int no(const char **ret_why, const char *why)
{
	*ret_why = why;
	return -EINVAL;
}

static int format(const uint8_t *p, size_t n, const char **ret_why)
{
	uint32_t tag;

	if (n < 16)
		return no(ret_why, "its fmt chunk is too short");
	tag = le16(p);
	if (tag == WAV_EXTENSIBLE && n >= 26)
		tag = le16(p + 24); /* the first octets of the GUID */
	if (tag != WAV_PCM)
		return no(ret_why, "it is not PCM");
	if (le16(p + 2) != 1)
		return no(ret_why, "it has more than one channel");
	if (le32(p + 4) != RATE)
		return no(ret_why, "its rate is not 8000 Hz");
	if (le16(p + 14) != 16)
		return no(ret_why, "its samples are not of 16 bits");
	return 0;
}

int dp_tune_wav(const uint8_t *file, size_t len, const uint8_t **ret_pcm, size_t *ret_len, const char **ret_why)
{
	bool known = false;
	size_t at = 12;

	if (len < 12 || memcmp(file, "RIFF", 4) != 0 || memcmp(file + 8, "WAVE", 4) != 0)
		return no(ret_why, "it is not a WAV file");
	while (len - at >= 8) {
		const uint8_t *chunk = file + at;
		size_t n = le32(chunk + 4), left = len - at - 8;
		bool data = memcmp(chunk, "data", 4) == 0;
		int rc;

		if (data && n > left)
			n = left;
		if (n > left)
			return no(ret_why, "a chunk is longer than the file");
		if (data) {
			if (!known)
				return no(ret_why, "it has no fmt chunk before its data");
			*ret_pcm = chunk + 8;
			*ret_len = n - n % 2;
			return 0;
		}
		if (memcmp(chunk, "fmt ", 4) == 0) {
			rc = format(chunk + 8, n, ret_why);
			if (rc < 0)
				return rc;
			known = true;
		}
		at += 8 + n;
		if (n % 2 != 0 && at < len)
			at++;
	}
	return no(ret_why, "it has no data chunk");
}

/* Memory for as many octets of a codec as are whole 10 ms. */
static int part(struct dp_tune *tune, enum dp_music_codec codec, size_t octets, const char **ret_why)
{
	size_t ms = octets / dp_tune_rate(codec);

	ms -= ms % 10;
	if (ms < DP_TUNE_MS_MIN)
		return no(ret_why, "it is shorter than 100 ms");
	free(tune->part[codec].data);
	tune->part[codec].data = malloc(ms * dp_tune_rate(codec));
	if (tune->part[codec].data == NULL)
		return -ENOMEM;
	tune->part[codec].ms = (uint32_t)ms;
	return 0;
}

int dp_tune_add(struct dp_tune *tune, unsigned int kind, const uint8_t *file, size_t len, const char **ret_why)
{
	enum dp_music_codec codec = kind == DP_MUSIC_F_G729 ? DP_MUSIC_G729 : DP_MUSIC_G722;
	const uint8_t *pcm = file;
	size_t n = len - len % 2;
	int rc;

	if (len > DP_TUNE_FILE_MAX)
		return no(ret_why, "it is longer than 32 MiB");
	if (kind != DP_MUSIC_F_PCM) {
		rc = part(tune, codec, len, ret_why);
		if (rc == 0)
			memcpy(tune->part[codec].data, file, (size_t)tune->part[codec].ms * dp_tune_rate(codec));
		return rc;
	}
	if (len >= 4 && memcmp(file, "RIFF", 4) == 0) {
		rc = dp_tune_wav(file, len, &pcm, &n, ret_why);
		if (rc < 0)
			return rc;
	}
	rc = part(tune, DP_MUSIC_PCMU, n / 2, ret_why);
	if (rc == 0)
		rc = part(tune, DP_MUSIC_PCMA, n / 2, ret_why);
	for (size_t i = 0; rc == 0 && i < (size_t)tune->part[DP_MUSIC_PCMU].ms * 8; i++) {
		int16_t s = (int16_t)le16(pcm + 2 * i);

		tune->part[DP_MUSIC_PCMU].data[i] = dp_tune_ulaw(s);
		tune->part[DP_MUSIC_PCMA].data[i] = dp_tune_alaw(s);
	}
	return rc;
}

void dp_tune_free(struct dp_tune *tune)
{
	for (unsigned int i = 0; tune != NULL && i < DP_MUSIC_CODEC_MAX; i++)
		free(tune->part[i].data);
	free(tune);
}

void dp_tune_copy(const struct dp_tune *tune, enum dp_music_codec codec, uint64_t at_ms, uint32_t ms, uint8_t *out)
{
	uint32_t len = tune->part[codec].ms, rate = dp_tune_rate(codec), at = (uint32_t)(at_ms % len);

	while (ms > 0) {
		uint32_t n = ms < len - at ? ms : len - at;

		memcpy(out, tune->part[codec].data + (size_t)at * rate, (size_t)n * rate);
		out += (size_t)n * rate;
		ms -= n;
		at = 0;
	}
}
