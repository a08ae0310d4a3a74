/* SPDX-License-Identifier: BSD-3-Clause */
/* The clocks: mono does not step and says nothing about the date, wall is UTC since 1970. Any thread. */
#ifndef CP_CLOCK_H
#define CP_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t cp_clock_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static inline int64_t cp_wall_us(void)
{
	return cp_clock_us(CLOCK_REALTIME);
}

static inline uint64_t cp_mono_us(void)
{
	return (uint64_t)cp_clock_us(CLOCK_MONOTONIC);
}

static inline uint64_t cp_mono_ms(void)
{
	return cp_mono_us() / 1000;
}

static inline int64_t cp_mono_s(void)
{
	return (int64_t)(cp_mono_us() / 1000000);
}

/** A time in seconds or microseconds as "2026-11-22T10:20:30Z" or "2026-11-22T10:20:30.123Z". Returns 'buf'. */
#define CP_UTC_LEN 40
const char *cp_utc(int64_t s, char buf[CP_UTC_LEN]);
const char *cp_utc_us(int64_t us, char buf[CP_UTC_LEN]);
/** The same for a file's name: "20261122T102030Z". */
const char *cp_utc_name(int64_t s, char buf[CP_UTC_LEN]);

#endif
