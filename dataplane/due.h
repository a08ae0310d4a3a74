/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers that fall due at a time: a binary heap of fixed size. Main lcore. */
#ifndef DP_DUE_H
#define DP_DUE_H

#include <stdbool.h>
#include <stdint.h>

struct dp_due;

/** Room for 'max' numbers. NULL: no memory. destroy takes NULL. */
struct dp_due *dp_due_create(uint32_t max);
void dp_due_destroy(struct dp_due *due);

/** False: full. A number may be there several times. */
bool dp_due_add(struct dp_due *due, uint64_t ms, uint32_t id);

/** The number that falls due first, if that is at 'ms' or before; it stays. */
bool dp_due_first(const struct dp_due *due, uint64_t ms, uint32_t *ret_id);

/** Take that one out. */
void dp_due_drop(struct dp_due *due);

#endif
