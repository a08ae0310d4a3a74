/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ravelinctl file: trust lists and signed files from anywhere, looked at without an appliance. Exit codes: 0 valid, 1
 * read and not valid (malformed, not authentic, another name, another key), 2 unreadable (this file, or the key,
 * certificate or list to judge it by) or wrong usage.
 */
#ifndef CP_CTL_FILE_H
#define CP_CTL_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sgn.h"
#include "trustlist.h"

/** Carry out "file.show" and so on with the arguments of the table. Prints; returns the exit code. */
int ctl_file(const char *cmd, const json_t *args, bool as_json);

/*
 * What is known of a file as a JSON object, owned by the caller (fileshow.c). Strings of the file that are no printable
 * UTF-8 have such bytes as \xNN.
 */
json_t *ctl_file_list_json(const struct pki_tl *tl);
json_t *ctl_file_sgn_json(const struct pki_sgn *f);

/** The same for people, tag by tag as `show ctl` of a call manager prints it. */
void ctl_file_print(FILE *out, const json_t *file);

#endif
