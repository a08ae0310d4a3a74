/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Auto-registration: a record, with the next free number of a range, for a phone that registers without one. In a non-secure cluster
 * only (004a:L665; 004b:CTL-17, CTL-18, R-01; 004c:CR-09), with mode nonsecure. The record is synced before the phone is answered, and in the
 * audit ("auto-registration"). Alarm auto-numbers-used-up. Bounded: CP_AUTOREG_PENDING records on their way, and what the range holds.
 * Event loop's thread.
 */
#ifndef CP_SCCP_AUTOREG_H
#define CP_SCCP_AUTOREG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CP_AUTOREG_PENDING 64

struct cp_alarms;
struct cp_autoreg;
struct cp_store;

struct cp_autoreg_env {
	struct cp_store *store;
	struct cp_alarms *alarms; /* may be NULL */
	bool (*allowed)(void *ctx); /* now: configured, and the cluster is not in mixed mode */
	void (*added)(void *ctx, const char *name, int rc); /* cp_sccp_auto_added(): the record is synced, or could not be */
	void *ctx; /* of both */
	uint64_t first, last; /* numbers; last 0: none */
	uint8_t digits;       /* of each, with leading zeros; 1 to 15 */
};

/** The store is open and watched from here on. NULL: no memory. */
struct cp_autoreg *cp_autoreg_create(const struct cp_autoreg_env *env);
/** 'added' is called no more. Before what it tells goes. NULL is allowed. */
void cp_autoreg_stop(struct cp_autoreg *a);
/** After cp_store_close(). NULL is allowed. */
void cp_autoreg_destroy(struct cp_autoreg *a);

/**
 * A record for 'name' of this SCCP device type. 0: 'added' will be called, not from inside. Else with 'why': -EACCES not here,
 * -EINVAL no device's name, -ENOSPC the range is used up, -EBUSY too many at once, others of the store.
 */
int cp_autoreg_add(struct cp_autoreg *a, const char *name, uint32_t type, char *why, size_t why_size);

/** "7942" of 0x1b2; "" of a type that is not known. */
const char *cp_autoreg_model(uint32_t type);

#endif
