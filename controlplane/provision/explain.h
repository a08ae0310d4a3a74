/* SPDX-License-Identifier: BSD-3-Clause */
/* `ravelinctl explain`: what holds for a phone and why, what it will ask for next, what it will get, and whether it can trust that. */
#ifndef CP_PROVISION_EXPLAIN_H
#define CP_PROVISION_EXPLAIN_H

#include <jansson.h>

#include "devcfg.h"
#include "trustlist.h"

struct cp_app;

/** Registers explain and show.files. */
int cp_explain_commands(struct cp_app *app);

struct cp_explain { /* what is known beside the configuration; all borrowed */
	const struct cp_devcfg *c;
	enum pki_tl_class cls;
	X509 *signer;                  /* signs files now; NULL: none */
	const struct pki_tl *ctl, *itl; /* in force for its class; NULL: none */
	const char *held;              /* "current", "older", "none", "unknown": its ITL by the ledger */
	const struct pki_tl *held_itl, *held_ctl; /* the very lists it holds; NULL: none, or not known */
};
/** A new object. */
json_t *cp_explain(const struct cp_explain *e);

#endif
