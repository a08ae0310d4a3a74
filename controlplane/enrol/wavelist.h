/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The devices of a wave from a table (admin/csv.h): a header, and of each row the column "device", "name" or "device name"; others are
 * not looked at, so that a report, an export of phones or a list by hand all do. Each line that is no device, or one that was there
 * already, is reported with its number. One thread.
 */
#ifndef CP_ENROL_WAVELIST_H
#define CP_ENROL_WAVELIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/waverec.h"

#define CP_WAVELIST_ERRORS 100 /* are kept; all are counted */

struct cp_wavelist;

struct cp_wavelist_error {
	unsigned long line;
	char device[CP_DEVICE_NAME_MAX]; /* "" not one */
	char text[120];
};

/** 'known' says whether there is such a device. NULL: no memory. */
struct cp_wavelist *cp_wavelist_create(bool (*known)(void *ctx, const char *device), void *ctx);
void cp_wavelist_destroy(struct cp_wavelist *l);
/** Bytes of the table, in pieces of any size. 0, -EINVAL (no such header), -EFBIG (more than CP_WAVE_MAX), -ENOMEM. */
int cp_wavelist_feed(struct cp_wavelist *l, const void *data, size_t len);
/** The table is at its end. As above; -EINVAL also where there was no header. */
int cp_wavelist_end(struct cp_wavelist *l);
/** What is wrong with the whole; "" nothing. */
const char *cp_wavelist_why(const struct cp_wavelist *l);

/** Devices in the order of their lines; borrowed. */
const char (*cp_wavelist_names(const struct cp_wavelist *l, uint32_t *ret_cnt))[CP_DEVICE_NAME_MAX];
/** Errors kept; *ret_all: how many there were. Borrowed. */
const struct cp_wavelist_error *cp_wavelist_errors(const struct cp_wavelist *l, unsigned *ret_cnt, unsigned long *ret_all);

#endif
