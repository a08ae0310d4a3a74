/* SPDX-License-Identifier: BSD-3-Clause */
#include "due.h"

#include <stdlib.h>

struct entry {
	uint64_t ms;
	uint32_t id;
};

struct dp_due {
	uint32_t n, max;
	struct entry heap[]; /* none is due before its parent, at (i - 1) / 2 */
};

struct dp_due *dp_due_create(uint32_t max)
{
	struct dp_due *due = calloc(1, sizeof(*due) + max * sizeof(struct entry));

	if (due != NULL)
		due->max = max;
	return due;
}

void dp_due_destroy(struct dp_due *due)
{
	free(due);
}

bool dp_due_add(struct dp_due *due, uint64_t ms, uint32_t id)
{
	uint32_t i = due->n;

	if (due->n == due->max)
		return false;
	due->n++;
	while (i > 0 && due->heap[(i - 1) / 2].ms > ms) {
		due->heap[i] = due->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	due->heap[i] = (struct entry){.ms = ms, .id = id};
	return true;
}

bool dp_due_first(const struct dp_due *due, uint64_t ms, uint32_t *ret_id)
{
	if (due->n == 0 || due->heap[0].ms > ms)
		return false;
	*ret_id = due->heap[0].id;
	return true;
}

void dp_due_drop(struct dp_due *due)
{
	struct entry last;
	uint32_t i = 0;

	if (due->n == 0)
		return;
	last = due->heap[--due->n];
	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= due->n)
			break;
		if (child + 1 < due->n && due->heap[child + 1].ms < due->heap[child].ms)
			child++;
		if (due->heap[child].ms >= last.ms)
			break;
		due->heap[i] = due->heap[child];
		i = child;
	}
	due->heap[i] = last;
}
