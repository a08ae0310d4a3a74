/* SPDX-License-Identifier: BSD-3-Clause */
#include "clock.h"

#include <stdio.h>

/* A year that does not fit: nothing. */
static const char *ended(char buf[CP_UTC_LEN], size_t n)
{
	if (n == 0)
		buf[0] = '\0';
	return buf;
}

const char *cp_utc(int64_t s, char buf[CP_UTC_LEN])
{
	time_t t = (time_t)s;
	struct tm tm;

	return ended(buf, gmtime_r(&t, &tm) != NULL ? strftime(buf, CP_UTC_LEN, "%Y-%m-%dT%H:%M:%SZ", &tm) : 0);
}

const char *cp_utc_name(int64_t s, char buf[CP_UTC_LEN])
{
	time_t t = (time_t)s;
	struct tm tm;

	return ended(buf, gmtime_r(&t, &tm) != NULL ? strftime(buf, CP_UTC_LEN, "%Y%m%dT%H%M%SZ", &tm) : 0);
}

const char *cp_utc_us(int64_t us, char buf[CP_UTC_LEN])
{
	char day[CP_UTC_LEN - 6];
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		day[0] = '\0';
	snprintf(buf, CP_UTC_LEN, "%s.%03dZ", day, (int)(us / 1000 % 1000));
	return buf;
}
