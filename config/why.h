/* SPDX-License-Identifier: BSD-3-Clause */
/* Refusals that say why: one line for whoever asked, beside an errno. Strings from outside go through cfg_q() (log.h). Any thread. */
#ifndef CFG_WHY_H
#define CFG_WHY_H

#include <stddef.h>

/** Write the line into 'why', cut at what fits (NULL: nobody wants it). Returns 'rc'. */
int cfg_no(char *why, size_t why_size, int rc, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/** The same of what is malformed: returns -EINVAL. */
int cfg_invalid(char *why, size_t why_size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
