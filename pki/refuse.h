/* SPDX-License-Identifier: BSD-3-Clause */
/* A refusal that says why, where OpenSSL may have been asked. */
#ifndef PKI_REFUSE_H
#define PKI_REFUSE_H

#include <stddef.h>

/** Write the line into 'why', cut at what fits, and empty the thread's queue of OpenSSL errors, which nobody else may find. Returns 'rc'. */
int pki_refuse(char *why, size_t why_size, int rc, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
