/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must be reset after which change: the tables of the documents (001 section 5.1, 004a section 5.3, and the rows that say more)
 * as one table, and what remains of each row here. Their services are parts of one process that takes a change over while it runs, so
 * "restart CallManager, TFTP, CAPF, the CTL provider" falls away but where the configuration file says the port; phones hold what
 * they loaded at their start and have to be told. No state, no clock.
 */
#ifndef CP_SCCP_RESETS_H
#define CP_SCCP_RESETS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/records.h"

enum cp_reset_event {
	CP_RESET_EV_MODE,      /* of one device: its own, or by another profile */
	CP_RESET_EV_HARDEN,
	CP_RESET_EV_DEVICE,    /* what its file says: load, locale, SRST, protocol, digest user */
	CP_RESET_EV_LINES,     /* numbers and labels */
	CP_RESET_EV_PROFILE,
	CP_RESET_EV_SRST,
	CP_RESET_EV_SRST_CERT,
	CP_RESET_EV_CLUSTER,   /* settings of all phones */
	CP_RESET_EV_IMPORT,
	CP_RESET_EV_CLUSTER_MODE,
	CP_RESET_EV_CTL,
	CP_RESET_EV_CAPF_OP,
	CP_RESET_EV_CAPF_FILE,
	CP_RESET_EV_SCCP_PORT,
	CP_RESET_EV_CTLP_PORT,
	CP_RESET_EV_CTLP,
	CP_RESET_EV_CALLMANAGER,
	CP_RESET_EV_CAPF_CERT,
	CP_RESET_EV_TFTP_CERT,
	CP_RESET_EV_TVS_CERT,
	CP_RESET_EV_FILE,
	CP_RESET_EV_CAPTURE,
	CP_RESET_EV_SETUP,
	CP_RESET_EV_RESTORE,
	CP_RESET_EV_VOICE_MAIL,
	CP_RESET_EV_TOKEN_PC,
	CP_RESET_EV_APP_USER,
	CP_RESET_EV_DIRECTORY,
	CP_RESET_EV_MAX
};

/* Of phones. The numbers are not those of SCCP's Reset message. */
enum cp_reset_act { CP_RESET_NONE, CP_RESET_RESTART, CP_RESET_RESET };
enum cp_reset_scope { CP_RESET_NOBODY, CP_RESET_THE_DEVICE, CP_RESET_THE_PROFILE, CP_RESET_THE_SRST, CP_RESET_ALL };

struct cp_reset_row {
	const char *change; /* "mode of a device" */
	const char *asked;  /* what the documents demand */
	const char *rows;   /* which */
	const char *here;   /* why no service is restarted, or what is done beside the phones */
	enum cp_reset_act act;
	enum cp_reset_scope scope;
	bool itself; /* done by the appliance as soon as the change is synced, to phones that are registered */
};

/** NULL for a number that is none. */
const struct cp_reset_row *cp_reset_row(enum cp_reset_event ev);

const char *cp_reset_act_name(enum cp_reset_act act);       /* "none", "restart", "reset" */
const char *cp_reset_scope_name(enum cp_reset_scope scope); /* "nobody", "device", "profile", "srst", "all" */

/**
 * What the answer to a change says of it: {"phones","scope","by_itself","command","why"}; a new object, NULL on no memory. 'subject'
 * is the device, profile or SRST reference (may be NULL where the scope has none). 'command' is null where nothing is left to do.
 */
json_t *cp_reset_say(enum cp_reset_event ev, const char *subject);

/** The whole table, an object per row. */
json_t *cp_reset_table(void);

/** What of a device's record changed, the heaviest first; CP_RESET_EV_MAX: nothing that its phone is told. */
enum cp_reset_event cp_reset_of_device(const struct cp_device *before, const struct cp_device *after);

/** A digest of what a phone loads at its start only: where it differs, a restart is not enough. */
uint32_t cp_reset_digest(const struct cp_device *dev);

#endif
