/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The trust ledger: for every phone, which CTL, ITL and LSC it was last known to hold, and how that is known. It is
 * what `ravelinctl trust plan` computes with. Lists are known by the SHA-256 of the whole file; those once served are kept
 * in the store (family trust, key "list/" + hash) as long as any phone is known to hold them. Event loop's thread.
 */
#ifndef CP_LEDGER_H
#define CP_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "store/store.h"
#include "trustlist.h"

struct cp_app;
struct cp_ledger;

enum cp_ledger_how {
	CP_LEDGER_FETCHED = 1, /* it fetched the whole file and asked for the next one */
	CP_LEDGER_HANDSHAKE,   /* it completed a TLS handshake with this certificate of ours, or showed this LSC */
	CP_LEDGER_TVS,         /* it asked TVS */
	CP_LEDGER_IMPORTED,    /* an operator said so: phones that come from another cluster */
	CP_LEDGER_CAPF,        /* it got or lost an LSC */
};

struct cp_ledger_rec { /* family ledger, key: device */
	char device[16];
	uint8_t ctl[32], itl[32];    /* SHA-256 of the file; all zero: none known */
	bool has_ctl, has_itl;
	uint8_t ctl_how, itl_how;    /* enum cp_ledger_how */
	int64_t ctl_us, itl_us;      /* wall clock */
	uint8_t lsc[32];             /* SHA-256 of the certificate */
	bool has_lsc;
	int64_t lsc_us, lsc_expires_us;
	int64_t seen_us;             /* anything heard of it */
	struct cp_buf unknown;
};
int cp_ledger_rec_build(const struct cp_ledger_rec *rec, struct cp_buf *ret);
int cp_ledger_rec_parse(const uint8_t *data, size_t len, struct cp_ledger_rec *ret);
void cp_ledger_rec_free(struct cp_ledger_rec *rec);

int cp_ledger_create(struct cp_app *app, struct cp_ledger **ret);
void cp_ledger_destroy(struct cp_ledger *ledger);
/** Registers trust.plan, trust.ledger, trust.forget ... */
int cp_ledger_commands(struct cp_ledger *ledger);

/** A phone has this list now: 'file' is kept until no phone holds it. */
void cp_ledger_list(struct cp_ledger *ledger, const char *device, enum pki_tl_kind kind, const uint8_t *file, size_t len,
		    enum cp_ledger_how how);
/** The phone forgot its lists (factory reset, erased by hand): an operator says so. */
void cp_ledger_forget(struct cp_ledger *ledger, const char *device);
void cp_ledger_lsc(struct cp_ledger *ledger, const char *device, X509 *cert, enum cp_ledger_how how); /* NULL: deleted */
const struct cp_ledger_rec *cp_ledger_find(const struct cp_ledger *ledger, const char *device);

/*
 * Changes that may strand phones. A plan lists steps; each has its count of phones that would be left without any way to
 * trust us. Whoever carries a change out asks cp_ledger_allow() first.
 */
enum cp_trust_change {
	CP_TRUST_REGEN,   /* a certificate of ours is replaced: 'subject' is the signer's identity */
	CP_TRUST_SIGNER,  /* the list 'subject' ("ctl", "itl") gets another signer, see 'to' */
	CP_TRUST_REMOVE,  /* an entry leaves a list */
	CP_TRUST_MODE,    /* "mixed", "nonsecure" */
	CP_TRUST_ROLLBACK,
	CP_TRUST_RESTORE, /* keys of a backup replace ours */
};
struct cp_trust_ask {
	enum cp_trust_change change;
	const char *subject; /* identity or list */
	X509 *to;            /* the new certificate where it is known, else NULL */
};
/** 0: nobody is stranded, or 'strand' is exactly the number; -EPERM: *ret_count phones would be (and 'why' says why and what to do
 * first). */
int cp_ledger_allow(struct cp_ledger *ledger, const struct cp_trust_ask *ask, int64_t strand, unsigned *ret_count, char *why,
		    size_t why_size);

#endif
