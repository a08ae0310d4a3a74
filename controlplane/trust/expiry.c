/* SPDX-License-Identifier: BSD-3-Clause */
#include "expiry.h"

static const int before[] = {[EXPIRY_90] = 90, [EXPIRY_30] = 30, [EXPIRY_7] = 7};

enum expiry_level expiry_level(int64_t now, int64_t from, int64_t to)
{
	if (to == INT64_MAX || now >= to)
		return EXPIRY_EXPIRED;
	if (now < from)
		return EXPIRY_FUTURE;
	for (int l = EXPIRY_7; l >= EXPIRY_90; l--)
		if (to - now <= (int64_t)before[l] * EXPIRY_DAY_S)
			return (enum expiry_level)l;
	return EXPIRY_OK;
}

int64_t expiry_next(int64_t now, int64_t from, int64_t to)
{
	if (to == INT64_MAX || now >= to)
		return INT64_MAX;
	if (now < from)
		return from;
	for (int l = EXPIRY_90; l <= EXPIRY_7; l++)
		if (to - now > (int64_t)before[l] * EXPIRY_DAY_S)
			return to - (int64_t)before[l] * EXPIRY_DAY_S;
	return to;
}

bool expiry_due(struct expiry_watch *w, int64_t wall_s, int64_t mono_s)
{
	int64_t off = (wall_s - w->wall_s) - (mono_s - w->mono_s);
	bool due = !w->begun || wall_s >= w->next_s || mono_s - w->looked_s >= EXPIRY_DAY_S || off > EXPIRY_JUMP_S ||
		   off < -EXPIRY_JUMP_S;

	w->begun = true;
	w->wall_s = wall_s;
	w->mono_s = mono_s;
	if (due)
		w->looked_s = mono_s;
	return due;
}
