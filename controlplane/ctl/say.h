/* SPDX-License-Identifier: BSD-3-Clause */
/* What ravelinctl prints of an answer, and its exit status (ctl.h). */
#ifndef CP_CTL_SAY_H
#define CP_CTL_SAY_H

#include <jansson.h>
#include <stdbool.h>

extern bool ctl_json; /* -j: answers and errors are printed as JSON */

/** One line for people, with the items of 'error' (may be NULL) as a table, or the error as JSON. Returns 'status'. */
int ctl_fail(int status, const char *code, const char *message, json_t *error);
/** The same of an answer that is not ok, borrowed. Returns CTL_REFUSED. */
int ctl_fail_answer(const json_t *answer);
/** Of a command of several requests that failed: 'answer' refused (consumed), or NULL and 'why', which is empty where it has been said. */
int ctl_refused(int rc, json_t *answer, const char *why);
/** One line of JSON. */
void ctl_print(const json_t *result);
/** 'status', or CTL_REFUSED if standard output did not take all. */
int ctl_flushed(int status);

#endif
