/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ravelinctl doctor: is this machine fit for the configuration? Reads /sys, /proc and the configuration, changes nothing (but
 * writes and removes a small file to time the disk), needs no daemon. Each finding says what was found and, where something is
 * to be done, the command that does it.
 */
#ifndef CP_CTL_DOCTOR_H
#define CP_CTL_DOCTOR_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "config.h"

struct ctl_doctor_env {
	const char *root; /* put before /sys, /proc and /dev: "" for this machine */
	/* Time of a small synced write in 'dir' in microseconds, or -errno. */
	int64_t (*sync_us)(const char *dir);
};

/**
 * Every check in a fixed order: [{"check":, "level": "ok"|"warn"|"bad"|"unknown", "found":, "mend":}], mend only where there is
 * something to do. The caller owns it; NULL: no memory.
 */
json_t *ctl_doctor(const struct cfg *cfg, const struct ctl_doctor_env *env);

/** Print findings for people. Returns how many are bad. */
unsigned int ctl_doctor_print(FILE *out, const json_t *findings);

/** ctl_doctor_env.sync_us for this machine: the median of 16 writes of 4 KiB with fdatasync. */
int64_t ctl_doctor_sync_us(const char *dir);

#endif
