/* SPDX-License-Identifier: BSD-3-Clause */
/* Enrolment joined to the rest of the controlplane: CAPF's listener, whom it believes, its commands (capfcmd.h). */
#ifndef CP_ENROL_ENROL_H
#define CP_ENROL_ENROL_H

#include <jansson.h>

struct cp_admin;
struct cp_app;
struct cp_file;
struct cp_net;

/** First, before anybody asks for files. 0, -ENOMEM. */
int cp_enrol_init(struct cp_app *app);
/** Needs store, lscs, offload, certs, ledger, sccp and admin of 'app'; waits for the signer. 0 or negative errno, logged. */
int cp_enrol_open(struct cp_app *app);
/** What revoked certificates phones' peers may ask for over HTTP: "CAPF.crl", and "CAPF.prev.crl" while there is an old issuer. A
 * reference, or NULL. Any thread, from cp_enrol_init() to cp_enrol_destroy(). */
struct cp_file *cp_enrol_file(struct cp_app *app, const char *name);

/** Closes listeners and connections; before the offload and the store end. */
void cp_enrol_stop(struct cp_app *app);
/** After cp_store_close(). */
void cp_enrol_destroy(struct cp_app *app);

/** CAPF's listener; NULL: there is none. */
const struct cp_net *cp_enrol_net(const struct cp_app *app);

/** Registers capf.* and show.capf. */
int cp_capf_commands(struct cp_app *app);

/** Registers capf.requests, capf.request and capf.certificates (capfreqcmd.c). */
int cp_capf_req_commands(struct cp_app *app);
/** Counters of the SCEP client; NULL: none is configured. */
json_t *cp_enrol_scep_show(struct cp_app *app);

/** Where a phone stands in its enrolment and what it should do next: lines for `ravelinctl explain`, appended to 'notes'. */
void cp_capf_explain(struct cp_app *app, const char *device, json_t *notes);

#endif
