/* SPDX-License-Identifier: BSD-3-Clause */
#include "cmp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static size_t matches(const uint8_t *played, size_t frames, const uint8_t *rec, const uint8_t *gone,
		      size_t total, size_t frame_len, size_t offset)
{
	size_t n = 0;

	for (size_t i = 0; i < total && offset + i < frames; i++)
		n += !gone[i] && memcmp(played + (offset + i) * frame_len, rec + i * frame_len, frame_len) == 0;
	return n;
}

int sim_cmp(const uint8_t *played, size_t played_len, const struct sim_wav *rec, size_t frame_len,
	    struct sim_cmp *ret)
{
	size_t frames = played_len / frame_len, total = rec->len / frame_len, end;
	struct sim_cmp c = {.total = total, .played = frames, .first_mismatch = SIZE_MAX};
	uint8_t *gone;
	size_t best = 0;

	if (frames == 0 || total == 0)
		return -EINVAL;
	gone = calloc(total, 1);
	if (gone == NULL)
		return -ENOMEM;
	for (size_t i = 0; i + 8 <= rec->missing_len; i += 8) {
		size_t at = le32(rec->missing + i), n = le32(rec->missing + i + 4);

		for (size_t k = at; k < total && k - at < n; k++)
			gone[k] = 1;
	}
	for (size_t offset = 0; offset < frames; offset++) {
		size_t n = matches(played, frames, rec->data, gone, total, frame_len, offset);

		if (n > best) {
			best = n;
			c.offset = offset;
		}
		/* Nothing later can be better than all frames there are. */
		if (best == total || best >= frames - offset)
			break;
	}
	for (size_t i = 0; i < total; i++) {
		size_t at = c.offset + i;

		if (gone[i]) {
			c.missing++;
		} else if (at < frames &&
			   memcmp(played + at * frame_len, rec->data + i * frame_len, frame_len) == 0) {
			c.matched++;
		} else {
			c.mismatched++;
			if (c.first_mismatch == SIZE_MAX)
				c.first_mismatch = i;
		}
	}
	end = c.offset + total;
	c.tail = end < frames ? frames - end : 0;
	free(gone);
	*ret = c;
	return 0;
}

int sim_cmp_main(const char *played_path, const char *recorded_path, size_t edge, size_t tail,
		 size_t min_frames)
{
	size_t played_len, file_len;
	uint8_t *played = sim_read_file(played_path, 1U << 30, &played_len), *file = NULL;
	const char *why = NULL;
	struct sim_wav rec;
	struct sim_cmp c;
	bool equal;
	json_t *out;
	int rc = 2;

	if (played == NULL) {
		fprintf(stderr, "%s: %s\n", played_path, strerror(errno));
		goto done;
	}
	file = sim_read_file(recorded_path, 1U << 30, &file_len);
	if (file == NULL) {
		fprintf(stderr, "%s: %s\n", recorded_path, strerror(errno));
		goto done;
	}
	if (sim_wav_parse(file, file_len, &rec, &why) < 0 || rec.format == SIM_WAV_PCM) {
		fprintf(stderr, "%s: %s\n", recorded_path, why != NULL ? why : "it is not G.711");
		goto done;
	}
	if (sim_cmp(played, played_len, &rec, 160, &c) < 0) {
		fprintf(stderr, "nothing to compare: %zu octets played, %zu recorded\n", played_len, rec.len);
		rc = 1;
		goto done;
	}
	equal = c.mismatched == 0 && c.missing == 0 && c.offset <= edge && c.tail <= tail &&
		c.matched >= min_frames;
	out = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "offset", (json_int_t)c.offset,
			"matched_frames", (json_int_t)c.matched, "mismatched", (json_int_t)c.mismatched, "missing",
			(json_int_t)c.missing, "total", (json_int_t)c.total, "played", (json_int_t)c.played,
			"tail", (json_int_t)c.tail, "first_mismatch",
			c.first_mismatch == SIZE_MAX ? (json_int_t)-1 : (json_int_t)c.first_mismatch, "equal",
			equal);
	json_dumpf(out, stdout, 0);
	putchar('\n');
	json_decref(out);
	rc = equal ? 0 : 1;
done:
	free(played);
	free(file);
	return rc;
}
