/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "replay.h"

void dp_replay_init(struct dp_replay *win)
{
	memset(win, 0, sizeof(*win));
}

void dp_replay_restart(struct dp_replay *win, uint64_t idx)
{
	dp_replay_restart_in(&win->top, win->seen, DP_REPLAY_WORDS, idx);
}

int dp_replay_check(const struct dp_replay *win, uint64_t idx)
{
	return dp_replay_check_in(win->top, win->seen, DP_REPLAY_WORDS, DP_REPLAY_WINDOW, idx);
}

int dp_replay_commit(struct dp_replay *win, uint64_t idx)
{
	return dp_replay_commit_in(&win->top, win->seen, DP_REPLAY_WORDS, DP_REPLAY_WINDOW, idx);
}
