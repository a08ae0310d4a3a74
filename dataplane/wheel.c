/* SPDX-License-Identifier: BSD-3-Clause */
#include "wheel.h"

#include <stddef.h>

void dp_wheel_init(struct dp_wheel *w, uint64_t now)
{
	w->at = now;
	w->n = 0;
	for (unsigned int i = 0; i < DP_WHEEL_MS; i++)
		w->slot[i].next = w->slot[i].prev = &w->slot[i];
}

void dp_wheel_put(struct dp_wheel *w, struct dp_beat *beat)
{
	uint64_t due = beat->due > w->at ? beat->due : w->at;
	struct dp_beat *head;

	/* Beyond the wheel's turn it would be taken for one of an earlier one. */
	if (due - w->at >= DP_WHEEL_MS)
		due = w->at + DP_WHEEL_MS - 1;
	head = &w->slot[due % DP_WHEEL_MS];
	beat->next = head;
	beat->prev = head->prev;
	head->prev->next = beat;
	head->prev = beat;
	w->n++;
}

void dp_wheel_take(struct dp_wheel *w, struct dp_beat *beat)
{
	if (beat->next == NULL)
		return;
	beat->prev->next = beat->next;
	beat->next->prev = beat->prev;
	beat->next = beat->prev = NULL;
	w->n--;
}

struct dp_beat *dp_wheel_next(struct dp_wheel *w, uint64_t now)
{
	if (w->n == 0) {
		if (now > w->at)
			w->at = now;
		return NULL;
	}
	/* Nobody came for longer than a turn: one turn finds them all. */
	if (now > w->at && now - w->at > DP_WHEEL_MS)
		w->at = now - DP_WHEEL_MS;
	while (w->at <= now) {
		struct dp_beat *first = w->slot[w->at % DP_WHEEL_MS].next;

		if (first != &w->slot[w->at % DP_WHEEL_MS]) {
			dp_wheel_take(w, first);
			return first;
		}
		w->at++;
	}
	return NULL;
}
