/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a restore does to the phones, with no daemon running: the lists and certificates of a state, and the ledger in it, are
 * read from its folder. No event loop.
 */
#ifndef CP_LEDGEROFF_H
#define CP_LEDGEROFF_H

#include <stdbool.h>

#include "trustlist.h"

struct cp_store;

struct cp_ledger_state {
	struct cp_store *store; /* open */
	const char *keys;       /* the folder with the signer's NAME.key.pem, whose certificates are in clear */
};

struct cp_ledger_restored {
	unsigned phones;   /* whose lists are known, or guessed */
	unsigned stranded; /* what --strand must name */
	unsigned lost;     /* stranded before it, and still */
	char why[512];     /* "3 phones would be stranded: ..." */
};

/**
 * 'next' takes the place of 'now'. What phones hold says the ledger of 'now', which is newer. 'now' NULL: a new machine; then the
 * ledger of 'next' says who was stranded when it was written. 0; -ENODATA: there are no lists in 'next', phones would see nothing
 * of it; -EBADMSG, -ENOMEM: it cannot be said.
 */
int cp_ledger_restore(const struct cp_ledger_state *now, const struct cp_ledger_state *next, enum pki_tl_class default_class,
		      struct cp_ledger_restored *ret);

/** What 'now' knows of what phones hold becomes what 'next' knows: a restore changes nothing in any phone. 0 or as cp_store_commit(). */
int cp_ledger_carry(struct cp_store *now, struct cp_store *next);

#endif
