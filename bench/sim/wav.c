/* SPDX-License-Identifier: BSD-3-Clause */
#include "wav.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define WAV_MAX (256U << 20) /* octets: more than nine hours of G.711 */

static uint32_t le16(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const uint8_t *p)
{
	return le16(p) | le16(p + 2) << 16;
}

static int parse_format(const uint8_t *p, size_t len, struct sim_wav *w, uint32_t *ret_bits,
			const char **ret_why)
{
	uint32_t tag;

	if (len < 16) {
		*ret_why = "its fmt chunk is too short";
		return -EBADMSG;
	}
	tag = le16(p);
	if (tag == 0xFFFE && len >= 26)
		tag = le16(p + 24); /* extensible: the format is the start of the GUID */
	*ret_bits = le16(p + 14);
	if (tag != SIM_WAV_PCM && tag != SIM_WAV_ALAW && tag != SIM_WAV_ULAW) {
		*ret_why = "it is neither PCM nor G.711";
		return -ENOTSUP;
	}
	if (le16(p + 2) != 1) {
		*ret_why = "it is not mono";
		return -ENOTSUP;
	}
	if (le32(p + 4) != 8000) {
		*ret_why = "its rate is not 8000 Hz";
		return -ENOTSUP;
	}
	if (*ret_bits != (tag == SIM_WAV_PCM ? 16 : 8)) {
		*ret_why = "its samples are not 16-bit PCM or 8-bit G.711";
		return -ENOTSUP;
	}
	w->format = (enum sim_wav_format)tag;
	return 0;
}

int sim_wav_parse(const uint8_t *file, size_t len, struct sim_wav *ret, const char **ret_why)
{
	struct sim_wav w = {0};
	bool have_format = false;
	size_t off = 12;
	uint32_t bits = 0;

	if (len < 12 || memcmp(file, "RIFF", 4) != 0 || memcmp(file + 8, "WAVE", 4) != 0) {
		*ret_why = "it is not a WAV file";
		return -EBADMSG;
	}
	while (len - off >= 8) {
		const uint8_t *chunk = file + off;
		size_t n = le32(chunk + 4), left = len - off - 8;

		if (memcmp(chunk, "data", 4) == 0 && n > left)
			n = left; /* what a pipe wrote has 0xFFFFFFFF here */
		if (n > left) {
			*ret_why = "a chunk is longer than the file";
			return -EBADMSG;
		}
		if (memcmp(chunk, "fmt ", 4) == 0) {
			int rc = parse_format(chunk + 8, n, &w, &bits, ret_why);

			if (rc < 0)
				return rc;
			have_format = true;
		} else if (memcmp(chunk, "data", 4) == 0) {
			w.data = chunk + 8;
			w.len = n;
		} else if (memcmp(chunk, "rvms", 4) == 0) {
			w.missing = chunk + 8;
			w.missing_len = n - n % 8;
		}
		off += 8 + n;
		if (n % 2 != 0 && off < len)
			off++;
	}
	if (!have_format || w.data == NULL) {
		*ret_why = "it has no fmt or no data chunk";
		return -EBADMSG;
	}
	if (w.format == SIM_WAV_PCM)
		w.len -= w.len % 2;
	*ret = w;
	return 0;
}

/* ITU-T G.711 by its segments. */
uint8_t sim_ulaw_of(int16_t sample)
{
	int v = sample, sign = 0, seg = 7;

	if (v < 0) {
		v = -v;
		sign = 0x80;
	}
	v = (v > 32635 ? 32635 : v) + 132;
	while (seg > 0 && (v & (0x80 << seg)) == 0)
		seg--;
	return (uint8_t) ~(sign | seg << 4 | (v >> (seg + 3) & 15));
}

int16_t sim_ulaw_to(uint8_t octet)
{
	int u = ~octet & 0xFF, v = (((u & 15) << 3) + 132) << (u >> 4 & 7);

	return (int16_t)((u & 0x80) != 0 ? 132 - v : v - 132);
}

uint8_t sim_alaw_of(int16_t sample)
{
	int v = sample, sign = 0x80, seg = 7;

	if (v < 0) {
		v = -v - 1;
		sign = 0;
	}
	v >>= 3; /* 13 bits: 12 of magnitude */
	while (seg > 0 && (v & (0x10 << seg)) == 0)
		seg--;
	return (uint8_t)((sign | seg << 4 | (seg == 0 ? v >> 1 & 15 : v >> seg & 15)) ^ 0x55);
}

int16_t sim_alaw_to(uint8_t octet)
{
	int a = octet ^ 0x55, seg = a >> 4 & 7, v = (a & 15) << 4;

	v = seg == 0 ? v + 8 : (v + 264) << (seg - 1);
	return (int16_t)((a & 0x80) != 0 ? v : -v);
}

int sim_wav_load(const char *path, uint8_t pt, uint8_t **ret_data, size_t *ret_len, const char **ret_why)
{
	struct sim_wav w;
	size_t len, n;
	uint8_t *file = sim_read_file(path, WAV_MAX, &len), *out;
	int rc;

	if (file == NULL) {
		*ret_why = strerror(errno);
		return -errno;
	}
	rc = sim_wav_parse(file, len, &w, ret_why);
	if (rc < 0)
		goto out;
	n = w.format == SIM_WAV_PCM ? w.len / 2 : w.len;
	out = malloc(n + 1);
	if (out == NULL) {
		*ret_why = "no memory";
		rc = -ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < n; i++) {
		int16_t s;

		if (w.format == (pt == SIM_PT_ULAW ? SIM_WAV_ULAW : SIM_WAV_ALAW)) {
			out[i] = w.data[i];
			continue;
		}
		s = w.format == SIM_WAV_PCM    ? (int16_t)le16(w.data + 2 * i)
		    : w.format == SIM_WAV_ULAW ? sim_ulaw_to(w.data[i])
					       : sim_alaw_to(w.data[i]);
		out[i] = pt == SIM_PT_ULAW ? sim_ulaw_of(s) : sim_alaw_of(s);
	}
	*ret_data = out;
	*ret_len = n;
out:
	free(file);
	return rc;
}

static void put32(uint8_t *p, size_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

int sim_wav_save(const char *path, uint8_t pt, const uint8_t *data, size_t len,
		 const uint32_t (*missing)[2], size_t n)
{
	uint8_t head[58 - 12 + 12] = "RIFF....WAVEfmt ";
	size_t even = len + len % 2, miss = n == 0 ? 0 : 8 + 8 * n;
	FILE *f = fopen(path, "wbe");
	int rc = 0;

	if (f == NULL)
		return -errno;
	put32(head + 4, 4 + 26 + 12 + miss + 8 + even);
	put32(head + 16, 18);
	put32(head + 20, (pt == SIM_PT_ALAW ? SIM_WAV_ALAW : SIM_WAV_ULAW) | 1U << 16);
	put32(head + 24, 8000);
	put32(head + 28, 8000);
	put32(head + 32, 1 | 8U << 16);
	put32(head + 36, 0);
	memcpy(head + 38, "fact", 4);
	put32(head + 42, 4);
	put32(head + 46, len);
	fwrite(head, 1, 50, f);
	if (n > 0) {
		uint8_t word[8];

		memcpy(word, "rvms", 4);
		put32(word + 4, 8 * n);
		fwrite(word, 1, 8, f);
		for (size_t i = 0; i < n; i++) {
			put32(word, missing[i][0]);
			put32(word + 4, missing[i][1]);
			fwrite(word, 1, 8, f);
		}
	}
	memcpy(head, "data", 4);
	put32(head + 4, len);
	fwrite(head, 1, 8, f);
	fwrite(data, 1, len, f);
	if (len % 2 != 0)
		fputc(0, f);
	if (ferror(f))
		rc = -EIO;
	if (fclose(f) != 0)
		rc = -errno;
	return rc;
}
