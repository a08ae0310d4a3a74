/* SPDX-License-Identifier: BSD-3-Clause */
#include "why.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static void say(char *why, size_t size, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));

static void say(char *why, size_t size, const char *fmt, va_list ap)
{
	if (why != NULL && size > 0)
		vsnprintf(why, size, fmt, ap);
}

int cfg_no(char *why, size_t why_size, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(why, why_size, fmt, ap);
	va_end(ap);
	return rc;
}

int cfg_invalid(char *why, size_t why_size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(why, why_size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}
