/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "replay.h"

void dp_replay_init(struct dp_replay *win)
{
	memset(win, 0, sizeof(*win));
}

void dp_replay_restart(struct dp_replay *win, uint64_t idx)
{
	win->top = idx;
	/* Bits right of idx in its own word are cleared: they are to come. The word in reuse holds nothing. */
	for (unsigned int i = 0; i < DP_REPLAY_WORDS; i++)
		win->seen[i] = UINT64_MAX;
	win->seen[(idx / 64) % DP_REPLAY_WORDS] = UINT64_MAX >> (63 - idx % 64);
}

int dp_replay_check(const struct dp_replay *win, uint64_t idx)
{
	if (idx > win->top)
		return 0;
	if (win->top - idx >= DP_REPLAY_WINDOW)
		return -ESTALE;
	return (win->seen[(idx / 64) % DP_REPLAY_WORDS] >> (idx % 64) & 1) != 0 ? -EALREADY : 0;
}

int dp_replay_commit(struct dp_replay *win, uint64_t idx)
{
	int rc = dp_replay_check(win, idx);

	if (rc < 0)
		return rc;
	if (idx > win->top) {
		uint64_t word = win->top / 64, last = idx / 64;

		/* Words that the window enters hold bits of DP_REPLAY_WORDS * 64 packets ago. */
		if (last - word > DP_REPLAY_WORDS)
			word = last - DP_REPLAY_WORDS;
		while (word < last)
			win->seen[++word % DP_REPLAY_WORDS] = 0;
		win->top = idx;
	}
	win->seen[(idx / 64) % DP_REPLAY_WORDS] |= (uint64_t)1 << (idx % 64);
	return 0;
}
