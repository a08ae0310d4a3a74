/* SPDX-License-Identifier: BSD-3-Clause */
/* The controlplane's parts, as app.c makes them and commands.c shows them. */
#ifndef CP_APP_H
#define CP_APP_H

#include <stdbool.h>
#include <stdint.h>

struct cfg;
struct cp_admin;
struct cp_alarms;
struct cp_autoreg;
struct cp_calls;
struct cp_capf;
struct cp_captures;
struct cp_certs;
struct cp_ctlprov;
struct cp_dp;
struct cp_due;
struct cp_files;
struct cp_fronts;
struct cp_gws;
struct cp_http;
struct cp_ikes;
struct cp_enrol;
struct cp_ledger;
struct cp_lists;
struct cp_lscs;
struct cp_oauth;
struct cp_offload;
struct cp_resetcmd;
struct cp_resetkeep;
struct cp_sas;
struct cp_sasource;
struct cp_sccp;
struct cp_shards;
struct cp_sigcaps;
struct cp_spd;
struct cp_signer;
struct cp_store;
struct cp_tftp;
struct cp_tls;
struct cp_turn;
struct cp_tvs_app;
struct event_base;

struct cp_app {
	struct event_base *base;
	struct cfg *cfg;
	uint64_t epoch;
	struct cp_alarms *alarms;
	struct cp_store *store;
	struct cp_signer *signer;
	struct cp_offload *offload;
	struct cp_admin *admin;
	struct cp_dp *dp;
	struct cp_calls *calls;
	struct cp_captures *captures;
	struct cp_sigcaps *sigcaps; /* of phones' signalling */
	struct cp_shards *shards;
	struct cp_gws *gws;
	struct cp_sas *sas;
	struct cp_ikes *ikes;       /* NULL: no charon */
	struct cp_spd *spd;         /* IPsec policies */
	struct cp_sasource *sasource; /* IKE's; NULL: none */
	struct cp_sccp *sccp;
	struct cp_resetcmd *resets;
	struct cp_resetkeep *resetkeep;
	struct cp_autoreg *autoreg;
	struct cp_fronts *fronts;   /* where phones connect */
	struct cp_tls *tls;
	struct cp_turn *turn;       /* trust/: who changes what phones trust */
	struct cp_certs *certs;     /* trust/: certificates, trust lists, what phones hold of them */
	struct cp_lists *lists;
	struct cp_ledger *ledger;
	struct cp_due *due;         /* is a backup? */
	struct cp_ctlprov *ctlprov;
	struct cp_lscs *lscs;       /* enrol/: who holds which LSC, where phones get one */
	struct cp_capf *capf;
	struct cp_enrol *enrol;
	struct cp_tvs_app *tvs;
	struct cp_files *files;     /* provision/ */
	struct cp_tftp *tftp;
	struct cp_http *http;
	struct cp_oauth *oauth;
	struct cp_tls *https_tls, *token_tls;
	bool stopping;
	int rc;
	bool mixed; /* the cluster's mode that registered phones were admitted under */
};

/** Register the commands that show and change what runs. 0 or negative errno. */
int cp_app_commands(struct cp_app *app);

#endif
