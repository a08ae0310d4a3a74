/* SPDX-License-Identifier: BSD-3-Clause */
#include "gwmix.h"

#include <stdlib.h>

#include "wav.h"

#define RING 4096  /* samples kept of a speaker: half a second */
#define LAG  1600  /* so far behind, a listener goes on from the newest */
#define FRAME_MAX 480

struct sim_mix {
	int16_t pcm[RING];
	uint64_t written;
	uint64_t at[SIM_MIX_CONNS];   /* of the speaker in that slot: where this one hears it next */
	bool synced[SIM_MIX_CONNS];
	uint64_t frames, missed;
	size_t most;
};

struct sim_mix *sim_mix_create(void)
{
	return calloc(1, sizeof(struct sim_mix));
}

void sim_mix_destroy(struct sim_mix *m)
{
	free(m);
}

void sim_mix_heard(struct sim_mix *m, uint8_t pt, const uint8_t *payload, size_t len)
{
	for (size_t i = 0; i < len; i++)
		m->pcm[m->written++ % RING] = pt == SIM_PT_ALAW ? sim_alaw_to(payload[i]) : sim_ulaw_to(payload[i]);
}

void sim_mix_forget(struct sim_mix *m, size_t slot)
{
	m->synced[slot] = false;
}

/* 'from' has 'len' samples for this listener: where they begin in 'at'. */
static bool ready(struct sim_mix *m, size_t slot, const struct sim_mix *from, size_t len)
{
	if (m->synced[slot] && from->written - m->at[slot] > LAG)
		m->synced[slot] = false;
	if (!m->synced[slot]) {
		if (from->written < SIM_MIX_DELAY + len)
			return false;
		m->at[slot] = from->written - SIM_MIX_DELAY - len;
		m->synced[slot] = true;
	}
	if (from->written - m->at[slot] >= len)
		return true;
	m->missed++;
	m->synced[slot] = false;
	return false;
}

void sim_mix_next(struct sim_mix *m, struct sim_mix *const *others, size_t n, uint8_t pt, uint8_t *out, size_t len)
{
	int32_t sum[FRAME_MAX] = {0};
	size_t speakers = 0;

	for (size_t s = 0; s < n && s < SIM_MIX_CONNS; s++) {
		const struct sim_mix *o = others[s];

		if (o == NULL || o == m || len > FRAME_MAX || !ready(m, s, o, len))
			continue;
		speakers++;
		for (size_t i = 0; i < len; i++)
			sum[i] += o->pcm[m->at[s]++ % RING];
	}
	for (size_t i = 0; i < len; i++) {
		int32_t v = i >= FRAME_MAX ? 0 : sum[i] > INT16_MAX ? INT16_MAX : sum[i] < INT16_MIN ? INT16_MIN : sum[i];

		out[i] = pt == SIM_PT_ALAW ? sim_alaw_of((int16_t)v) : sim_ulaw_of((int16_t)v);
	}
	m->frames += speakers > 0;
	m->most = speakers > m->most ? speakers : m->most;
}

json_t *sim_mix_report(const struct sim_mix *m)
{
	return json_pack("{s:I, s:i, s:I}", "frames", (json_int_t)m->frames, "most", (int)m->most, "missed", (json_int_t)m->missed);
}
