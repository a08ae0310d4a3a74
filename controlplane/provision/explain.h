/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `ravelinctl explain`: what holds for a phone and why, what it will ask for next, what it will get, and whether it can trust that:
 * by the same model that plans are reckoned with (trust/model.h), so that the two never differ.
 */
#ifndef CP_PROVISION_EXPLAIN_H
#define CP_PROVISION_EXPLAIN_H

#include <jansson.h>

#include "devcfg.h"
#include "trust/model.h"
#include "trustlist.h"

struct cp_app;

/** Registers explain and show.files. */
int cp_explain_commands(struct cp_app *app);

struct cp_explain { /* what is known beside the configuration; all borrowed */
	const struct cp_devcfg *c;
	enum pki_tl_class cls;
	X509 *signer;                   /* signs files now; NULL: none */
	const struct pki_tl *ctl, *itl; /* in force for its class; NULL: none */
	const struct cp_tm_world *world; /* what is served, for the model; NULL: it cannot be said yet */
	struct cp_tm_phone phone;       /* what it holds by the ledger; nothing, where that is not known */
	bool known;                     /* it is */
	uint8_t doubt;                  /* CP_LEDGER_DOUBT_* */
	int64_t now_s;                  /* wall clock */
	unsigned claims;                /* places from which lists were fetched in its name, unproven */
};
/** One more line of an explanation, cut at 400 bytes. */
void cp_explain_note(json_t *notes, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** A new object. */
json_t *cp_explain(const struct cp_explain *e);

#endif
