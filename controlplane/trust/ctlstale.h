/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Does the CTL in force say what is true today? It changes by the CTL operation alone, so whatever a new one would say otherwise is
 * to be told: certificates, names and addresses of our servers, alternate TFTP servers, tokens (004a:CTL-21, 004b:CTL-09).
 */
#ifndef CP_CTLSTALE_H
#define CP_CTLSTALE_H

#include "itl.h"
#include "listrec.h"

/** What of a CTL with this record a new one would change ("CallManager, address of TFTP, token SAST1"): "" nothing, or non-secure, where
 * a CTL says nothing. 'host' and 'ip' (4 bytes or NULL) are those of our records today. What does not fit ends in "...". */
void cp_ctl_stale(const struct cp_ctl_rec *rec, const struct cp_trust_own *own, const char *host, const uint8_t *ip, char *ret,
		  size_t size);

/** Is 'cert' in each of the record's files, in that role? */
bool cp_ctl_lists(const struct cp_ctl_rec *rec, X509 *cert, int role);

#endif
