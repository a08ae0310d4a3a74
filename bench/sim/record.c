/* SPDX-License-Identifier: BSD-3-Clause */
#include "record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wav.h"

#define BEFORE 64 /* frames that may still come ahead of the very first one received */

struct sim_record {
	uint8_t *data;      /* frames of frame_len octets, by position */
	uint8_t *have;      /* per position: received */
	size_t room;        /* positions allocated */
	size_t end;         /* one behind the highest position */
	size_t frame_len;   /* of the first packet */

	bool started;
	uint32_t ssrc;
	int64_t pos_of_zero; /* position = extended sequence number + this */
	uint64_t highest;    /* extended sequence number of this SSRC */
	uint32_t last_ts;
	uint64_t last_us, max_gap_us;
	int32_t transit;
	double jitter;       /* samples */
	uint64_t expected_before, received_before; /* at the last report block */

	uint64_t packets, octets, reordered, duplicates, odd_len, not_kept, ssrc_changes, late;
	uint16_t first_seq;
};

struct sim_record *sim_record_create(void)
{
	return calloc(1, sizeof(struct sim_record));
}

void sim_record_destroy(struct sim_record *r)
{
	if (r == NULL)
		return;
	free(r->data);
	free(r->have);
	free(r);
}

static size_t first(const struct sim_record *r)
{
	size_t i = 0;

	while (i < r->end && r->have[i] == 0)
		i++;
	return i;
}

static int grow(struct sim_record *r, size_t pos)
{
	size_t room = r->room == 0 ? 4096 : r->room;
	uint8_t *data, *have;

	if (pos < r->room)
		return 0;
	if (pos >= SIM_RECORD_FRAMES)
		return -ENOSPC;
	while (room <= pos)
		room *= 2;
	data = realloc(r->data, room * r->frame_len);
	if (data == NULL)
		return -ENOMEM;
	r->data = data;
	have = realloc(r->have, room);
	if (have == NULL)
		return -ENOMEM;
	r->have = have;
	memset(have + r->room, 0, room - r->room);
	r->room = room;
	return 0;
}

static void start(struct sim_record *r, uint32_t ssrc, uint16_t seq, size_t len)
{
	if (r->frame_len == 0)
		r->frame_len = len == 0 ? 160 : len;
	if (r->started)
		r->ssrc_changes++;
	else
		r->first_seq = seq;
	/* The extended number starts one cycle up, so that packets from before the first one stay positive. */
	r->highest = 65536 + (uint64_t)seq;
	r->pos_of_zero = (int64_t)(r->started ? r->end : BEFORE) - (int64_t)r->highest;
	r->ssrc = ssrc;
	r->started = true;
	r->transit = 0;
	r->last_us = 0;
}

void sim_record_add(struct sim_record *r, uint32_t ssrc, uint16_t seq, uint32_t ts, const uint8_t *payload,
		    size_t len, uint64_t now_us)
{
	uint64_t ext;
	int16_t step;
	int64_t pos;

	if (!r->started || ssrc != r->ssrc)
		start(r, ssrc, seq, len);
	step = (int16_t)(uint16_t)(seq - (uint16_t)r->highest);
	ext = r->highest + (uint64_t)(int64_t)step;
	if (r->last_us != 0) {
		int32_t transit = (int32_t)((uint32_t)(now_us * 8 / 1000) - ts), d = transit - r->transit;

		if (now_us - r->last_us > r->max_gap_us)
			r->max_gap_us = now_us - r->last_us;
		r->jitter += ((double)(d < 0 ? -d : d) - r->jitter) / 16;
		r->transit = transit;
	} else {
		r->transit = (int32_t)((uint32_t)(now_us * 8 / 1000) - ts);
	}
	r->last_us = now_us;
	r->last_ts = ts;
	if (step < 0)
		r->reordered++;
	else
		r->highest = ext;
	pos = (int64_t)ext + r->pos_of_zero;
	if (pos < 0) {
		r->late++;
		return;
	}
	if (grow(r, (size_t)pos) < 0) {
		r->not_kept++;
		return;
	}
	if (r->have[pos] != 0) {
		r->duplicates++;
		r->reordered -= step < 0;
		return;
	}
	r->have[pos] = 1;
	if ((size_t)pos >= r->end)
		r->end = (size_t)pos + 1;
	r->packets++;
	r->octets += len;
	if (len != r->frame_len)
		r->odd_len++;
	memset(r->data + (size_t)pos * r->frame_len, 0, r->frame_len);
	memcpy(r->data + (size_t)pos * r->frame_len, payload, len < r->frame_len ? len : r->frame_len);
}

/* Frames between the first and the last received one. */
static uint64_t expected(const struct sim_record *r)
{
	return r->end == 0 ? 0 : r->end - first(r);
}

bool sim_record_rr(struct sim_record *r, struct sim_record_rr *ret)
{
	uint64_t exp = expected(r), ei, ri;

	if (!r->started)
		return false;
	ei = exp - r->expected_before;
	ri = r->packets - r->received_before;
	r->expected_before = exp;
	r->received_before = r->packets;
	*ret = (struct sim_record_rr){
		.ssrc = r->ssrc,
		.lost = exp > r->packets ? (uint32_t)(exp - r->packets) : 0,
		.highest = (uint32_t)(r->highest - 65536),
		.jitter = (uint32_t)r->jitter,
		.fraction = (uint8_t)(ei == 0 || ri >= ei ? 0 : ((ei - ri) << 8) / ei),
	};
	return true;
}

void sim_record_stats(const struct sim_record *r, uint32_t ret[4])
{
	uint64_t exp = expected(r);

	ret[0] = (uint32_t)r->packets;
	ret[1] = (uint32_t)r->octets;
	ret[2] = exp > r->packets ? (uint32_t)(exp - r->packets) : 0;
	ret[3] = (uint32_t)(r->jitter / 8);
}

/* The next run of missing frames at or behind *i, relative to the first frame; false: none. */
static bool next_missing(const struct sim_record *r, size_t *i, size_t from, uint32_t ret[2])
{
	while (*i < r->end && r->have[*i] != 0)
		(*i)++;
	if (*i >= r->end)
		return false;
	ret[0] = (uint32_t)(*i - from);
	while (*i < r->end && r->have[*i] == 0)
		(*i)++;
	ret[1] = (uint32_t)(*i - from) - ret[0];
	return true;
}

int sim_record_save(const struct sim_record *r, const char *path, uint8_t pt)
{
	size_t from = first(r), n = 0, frames = r->end - from;
	uint32_t (*missing)[2] = NULL, run[2];
	uint8_t *data = malloc(frames * r->frame_len + 1);
	int rc = -ENOMEM;

	if (data == NULL)
		return rc;
	for (size_t i = from; next_missing(r, &i, from, run); n++) {
		uint32_t (*more)[2] = realloc(missing, (n + 1) * sizeof(*missing));

		if (more == NULL)
			goto out;
		missing = more;
		memcpy(missing[n], run, sizeof(run));
	}
	memset(data, pt == SIM_PT_ALAW ? 0xD5 : 0xFF, frames * r->frame_len);
	for (size_t i = 0; i < frames; i++) {
		if (r->have[from + i] != 0)
			memcpy(data + i * r->frame_len, r->data + (from + i) * r->frame_len, r->frame_len);
	}
	rc = sim_wav_save(path, pt, data, frames * r->frame_len, (const uint32_t (*)[2])missing, n);
out:
	free(missing);
	free(data);
	return rc;
}

void sim_record_report(const struct sim_record *r, json_t *to)
{
	uint64_t exp = expected(r);
	json_t *runs = json_array(), *more;
	size_t from = first(r), i = from;
	uint32_t run[2];

	while (json_array_size(runs) < 1000 && next_missing(r, &i, from, run))
		json_array_append_new(runs, json_pack("[I, I]", (json_int_t)run[0], (json_int_t)run[1]));
	more = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:I, s:I, s:I, s:f, s:f, s:I, s:o}", "packets",
			 (json_int_t)r->packets, "octets", (json_int_t)r->octets, "expected", (json_int_t)exp,
			 "lost", (json_int_t)(exp > r->packets ? exp - r->packets : 0), "reordered",
			 (json_int_t)r->reordered, "duplicates", (json_int_t)r->duplicates, "first_seq",
			 r->first_seq, "last_seq", (uint16_t)r->highest, "ssrc", (json_int_t)r->ssrc,
			 "ssrc_changes", (json_int_t)r->ssrc_changes, "odd_len", (json_int_t)r->odd_len,
			 "jitter_ms", r->jitter / 8, "max_gap_ms", (double)r->max_gap_us / 1000, "not_kept",
			 (json_int_t)(r->not_kept + r->late), "missing", runs);
	json_object_update(to, more);
	json_decref(more);
}
