/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CAPF profiles of applications (CTI, JTAPI, TAPI): an application user and an instance id, which is unique per instance (001:P1-145,
 * R-25), with an operation, its authentication, string and key, as phones have. CAPF as it is known carries phones' names only, so an
 * application's certificate is issued from a PKCS#10 file that an operator brings, and goes back as a file. It is on record as a phone's
 * is, and in the revocation list when it was revoked.
 */
#ifndef CP_ENROL_CAPFAPP_H
#define CP_ENROL_CAPFAPP_H

struct cp_app;
struct cp_capfapps;

/** Registers capf.profile.add, .set, .list, .issue, .revoke. *ret is set also behind an error. 0 or negative errno. */
int cp_capfapps_create(struct cp_app *app, struct cp_capfapps **ret);
/** After cp_offload_destroy() and cp_store_close(). NULL is allowed. */
void cp_capfapps_destroy(struct cp_capfapps *apps);

#endif
