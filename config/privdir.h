/* SPDX-License-Identifier: BSD-3-Clause */
/* A directory for what nobody else may see or put there: captures, of media and of signalling. */
#ifndef CFG_PRIVDIR_H
#define CFG_PRIVDIR_H

/** Open it, made with mode 0700 if absent. A descriptor of the caller's, or -EACCES: another user's, or others may write; or -errno. */
int cfg_privdir_open(const char *path);

#endif
