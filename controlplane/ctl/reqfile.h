/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that ravelinctl puts into a request, and answers that it puts into files. 0, or negative errno with one line in 'why'. What is
 * secret is wiped.
 */
#ifndef CP_CTL_REQFILE_H
#define CP_CTL_REQFILE_H

#include "ctl.h"

/** An SA's key in hex, from the first local file or standard input. */
int ctl_read_key(struct ctl_request *r, char *why, size_t size);
/** A device's secrets, or a gateway's: what is typed stays in histories. The first line of each file, without its end. */
int ctl_read_secrets(struct ctl_request *r, char *why, size_t size);
/** An object of JSON, which becomes the arguments. */
int ctl_read_import(struct ctl_request *r, char *why, size_t size);
/** The first line of 'file' (NULL, "-": standard input). */
int ctl_read_passphrase(struct ctl_request *r, const char *file, char *why, size_t size);
/** A phone's key, certificate and CA into the first local folder; they leave the answer, the files' names come into it. */
int ctl_save_cert(const struct ctl_request *r, json_t *result, char *why, size_t size);
/** The appliance wrote the bundle where it may write: bring it where it is wanted, whole or not at all. */
int ctl_take_bundle(json_t *result, const char *to, char *why, size_t size);

#endif
