/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every device is and holds, read at once: for reports and for choosing the devices of a wave. On a thread from the disk, so that
 * 100,000 of them hold up nobody.
 */
#ifndef CP_ENROL_CAPFSURVEY_H
#define CP_ENROL_CAPFSURVEY_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/capfrec.h"
#include "store/tab.h"

struct cp_store;

struct cp_capf_known { /* of a device; obj of the table, whose keys are device names */
	char serial[CP_LSC_SERIAL_MAX]; /* of the newest LSC that it holds; "" none */
	int64_t offered_us, expires_us; /* of that */
	bool live;                      /* it may hold one of ours */
	bool mic;                       /* it has shown a certificate that is not one of ours */
	bool exists;                    /* there is such a device */
	bool told;                      /* the caller's */
	char model[CP_TEXT_MAX], profile[CP_NAME_MAX];
};

/**
 * Fills *ret, which is initialised here and the caller's to cp_tab_fini(), also behind an error. 'view': from memory, on the loop, for
 * where the disk cannot be read. 'capf' (may be NULL): our issuer, to tell LSCs that are in no record from MICs; NULL and 'mics' false:
 * 'mic' is not looked for. 0, -ENOMEM, -EIO.
 */
int cp_capf_survey(struct cp_store *store, bool view, bool mics, X509 *capf, struct cp_tab *ret);

/** The entry of a device, made if there is none. NULL: no memory. */
struct cp_capf_known *cp_capf_known(struct cp_tab *tab, const char *device);

#endif
