/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Arguments of the CTL's operations (ctlcmd.h), as they come from ravelinctl, the admin socket and the CTL provider.
 * 0, -EINVAL with 'why', -ENOMEM.
 */
#ifndef CP_TRUST_CTLARGS_H
#define CP_TRUST_CTLARGS_H

#include <jansson.h>

#include "ctlop.h"
#include "trustlist.h"

/** No member but these; 'names' ends with NULL. */
int cp_ctlargs_known(const json_t *args, const char *const *names, char *why, size_t size);
/** "79xx" or "modern"; NULL: modern. */
int cp_ctlargs_class(const json_t *v, enum pki_tl_class *ret);
/** A file in base64, which the caller frees. */
int cp_ctlargs_b64(const json_t *v, struct cp_buf *ret);
/**
 * What is to be changed, into *c (zeroed before), and how many phones may be stranded (-1: not said). Strings are borrowed from 'args',
 * certificates are dropped by cp_ctlargs_drop(), after an error too.
 */
int cp_ctlargs_change(const json_t *args, struct cp_ctl_change *c, int64_t *strand, char *why, size_t size);
void cp_ctlargs_drop(struct cp_ctl_change *c);

#endif
