/* SPDX-License-Identifier: BSD-3-Clause */
/* Whole files, as ravelinctl reads keys, certificates, lists and secrets: nothing of them stays elsewhere in memory. */
#ifndef CP_CTL_READFILE_H
#define CP_CTL_READFILE_H

#include <stddef.h>
#include <stdint.h>

/**
 * All of a file (NULL: standard input) of at most 'max' bytes, with a zero behind. The caller's: OPENSSL_clear_free(*ret, *ret_len + 1).
 * 0; -EFBIG: it is longer; -ENOMEM; others as open(2) and read(2).
 */
int ctl_read_file(const char *path, size_t max, uint8_t **ret, size_t *ret_len);

#endif
