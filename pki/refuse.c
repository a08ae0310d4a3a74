/* SPDX-License-Identifier: BSD-3-Clause */
#include "refuse.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>

int pki_refuse(char *why, size_t why_size, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, why_size, fmt, ap);
	va_end(ap);
	ERR_clear_error();
	return rc;
}
