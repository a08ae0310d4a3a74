/* SPDX-License-Identifier: BSD-3-Clause */
/* TVS joined to the rest of the controlplane. */
#ifndef CP_ENROL_TVSAPP_H
#define CP_ENROL_TVSAPP_H

struct cp_app;

/** Listens on enrol.tvs_port, registers show.tvs. Needs certs, ledger, sccp and admin of 'app'; waits for the signer. 0 or negative
 * errno, logged. */
int cp_tvs_open(struct cp_app *app);
/** Closes the listener and its connections. */
void cp_tvs_close(struct cp_app *app);
/** After cp_certs_destroy(). */
void cp_tvs_free(struct cp_app *app);

#endif
