/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a phone does with what it is served, as arithmetic: no files, no clock, no store. A phone is the CTL and the ITL
 * that it holds; the world is what the cluster serves, which certificates its servers show, and whom TVS vouches for.
 * cp_tm_boot() lets a phone restart until nothing changes any more and says what it ends with. A phone is stranded when
 * that end is not the served state: a list it refuses for ever, a configuration whose signer it does not know, a CallManager
 * or CAPF it does not believe, and no way left to learn better without a hand on the phone.
 *
 * The rules (what phones are known to do; section 5b of the requirement rows 002):
 * - a phone that holds nothing takes the first CTL and the first ITL unchecked; with a CTL, the CTL checks the first ITL;
 * - later ones must be signed by a SAST of the same list it holds; an ITL also by a TFTP certificate of the
 *   CTL, or by one that is TFTP and CCM at once; or by a certificate that TVS vouches for, if the certificate that TVS shows is in a list it holds;
 * - TVS never vouches for TVS;
 * - (that a TFTP record alone of an *ITL* could check the next ITL is said nowhere clearly: it is not counted on;)
 * - a list without certificates that can check anything (rollback, non-secure CTL) leaves a phone as if it had none;
 * - with a TFTP certificate in its lists it takes no unsigned configuration.
 * That TVS's and TFTP's certificates cannot be renewed together is not among the rules: it follows.
 */
#ifndef CP_TRUST_MODEL_H
#define CP_TRUST_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trustlist.h"

#define CP_TM_ID 32 /* bytes that name a certificate: see cp_tm_cert_id() */

struct cp_tm_entry {
	uint16_t role; /* enum pki_tl_role */
	uint8_t id[CP_TM_ID];
};

struct cp_tm_list { /* a list's certificates; entries without one are left out, order means nothing */
	uint8_t file[CP_TM_ID]; /* SHA-256 of the file; all zero: it is not made yet, and nobody holds it */
	unsigned cnt;
	struct cp_tm_entry e[PKI_TL_REC_MAX];
};

/** Two lists hold the same certificates in the same roles. */
bool cp_tm_list_equal(const struct cp_tm_list *a, const struct cp_tm_list *b);
/** They are the same file: a phone that holds one has nothing to fetch. The same content signed anew is another file, which it
 * may refuse. */
bool cp_tm_list_same(const struct cp_tm_list *a, const struct cp_tm_list *b);
bool cp_tm_list_has(const struct cp_tm_list *list, const uint8_t id[CP_TM_ID], uint32_t roles);
/** Something in it can check a list or a file. NULL: false. */
bool cp_tm_list_anchors(const struct cp_tm_list *list);

/** 'roles' above are bits of these; roles over 31 have none. */
static inline uint32_t cp_tm_role(unsigned role)
{
	return role < 32 ? 1u << role : 0;
}

/* Identities of the signer that phones meet. */
enum cp_tm_ident {
	CP_TM_CALLMANAGER,
	CP_TM_TVS,
	CP_TM_TFTP,
	CP_TM_CAPF,     /* issues LSCs */
	CP_TM_CAPF_TLS, /* shown by the CAPF service */
	CP_TM_SAST1,
	CP_TM_SAST2,
	CP_TM_ITLRECOVERY,
	CP_TM_TFTP_EC,  /* HTTPS for phones that hold lists of signer version 1.1 */
	CP_TM_IDENTS
};
const char *cp_tm_ident_name(unsigned ident);
int cp_tm_ident_parse(const char *name, enum cp_tm_ident *ret); /* case is ignored; 0, -ENOENT */

struct cp_tm_cert {
	bool have;
	uint8_t id[CP_TM_ID];
};

struct cp_tm_signed { /* a list that is served */
	bool served;
	struct cp_tm_list list;
	uint8_t signer[CP_TM_ID]; /* whose key signed it */
};

/* A SAST of the CTL, in it or for the next one: what listrec.h's token is, as far as it decides who may sign and what stays. */
struct cp_tm_token {
	uint8_t id[CP_TM_ID];
	int ident;    /* enum cp_tm_ident: one of ours; -1: an administrator's, or another cluster's */
	bool prev;    /* it is NAME.prev there: it signed once more after NAME was made anew */
	bool in_file; /* in the CTL in force: only such a one signs the next */
};
#define CP_TM_TOKENS PKI_TL_REC_MAX

enum cp_tm_with { /* who signs the ITL; auto: TFTP.prev as long as there is one, so that it leads phones over */
	CP_TM_WITH_AUTO,
	CP_TM_WITH_TFTP,
	CP_TM_WITH_PREV,
	CP_TM_WITH_RECOVERY,
	CP_TM_WITHS
};
const char *cp_tm_with_name(unsigned with); /* "auto", "TFTP", "TFTP.prev", "ITLRecovery" */

struct cp_tm_world {
	bool mixed, rollback;
	bool modern;    /* lists of class modern: TFTP-EC is in them */
	bool no_tvs;    /* TVS is listed and nobody answers there: it confirms nothing */
	enum cp_tm_with with;
	struct cp_tm_cert ident[CP_TM_IDENTS], prev[CP_TM_IDENTS]; /* now, and before the last regeneration (if still kept) */
	struct cp_tm_signed ctl, itl;
	unsigned token_cnt;
	struct cp_tm_token token[CP_TM_TOKENS]; /* of the CTL; a non-secure one names none, and they are there all the same */
	struct cp_tm_list others; /* of the CTL: servers of other clusters, which stay in it */
	unsigned fresh; /* counts certificates that steps made up */
};

/** Make the ITL of the certificates there are: the same as cp_itl_entries() (itl.h). 0; -EPROTO with 'why': no key to sign it. */
int cp_tm_itl(struct cp_tm_world *w, char *why, size_t why_size);

/** What TVS says of a certificate: the roles it has with us, 0: not known. Never anything about the TVS certificate itself. */
uint32_t cp_tm_vouch(const struct cp_tm_world *w, const uint8_t id[CP_TM_ID]);

struct cp_tm_phone {
	const struct cp_tm_list *ctl, *itl; /* borrowed; NULL: none */
	bool secure; /* its mode is authenticated or encrypted: registers over TLS in a mixed cluster */
};

enum { /* what it cannot do: bits */
	CP_TM_NO_CTL = 1 << 0,
	CP_TM_NO_ITL = 1 << 1,
	CP_TM_NO_CONFIG = 1 << 2,
	CP_TM_NO_REGISTER = 1 << 3,
	CP_TM_NO_CAPF = 1 << 4,
	CP_TM_WHYS = 5
};
const char *cp_tm_why_name(unsigned bit); /* 0..CP_TM_WHYS-1: "cannot take the new CTL" */

/**
 * Restart until nothing changes. Returns the bits above, 0: it reached what is served. *ret (may be NULL, may be 'p'): what it
 * holds then; borrowed from 'w' and from what 'p' borrowed.
 */
unsigned cp_tm_boot(const struct cp_tm_world *w, const struct cp_tm_phone *p, struct cp_tm_phone *ret);

/**
 * Would a phone that holds what 'p' says take this list, served in 'w', in place of its own of that kind? The first
 * without any list that can check one: yes. It is the one rule for the ledger, for plans and for `ravelinctl explain`.
 */
bool cp_tm_takes(const struct cp_tm_world *w, const struct cp_tm_phone *p, enum pki_tl_kind kind, const uint8_t signer[CP_TM_ID]);
/** Does it believe who shows this certificate in one of these roles? */
bool cp_tm_believes(const struct cp_tm_world *w, const struct cp_tm_phone *p, const uint8_t id[CP_TM_ID], uint32_t roles);

/* --- steps --- */

enum cp_tm_op {
	CP_TM_REGEN,      /* ident */
	CP_TM_RETURN,     /* ident (or all, -1): to what it was before the last regeneration: an older backup comes back */
	CP_TM_RETIRE,     /* ident: its .prev is dropped */
	CP_TM_SIGN_ITL,   /* 'with' */
	CP_TM_SIGN_CTL,   /* ident signs the CTL, which is made anew with it */
	CP_TM_UPDATE_CTL, /* CTL made anew with what there is now, signed by a SAST it holds */
	CP_TM_REMOVE_CTL, /* ident's entries leave the CTL */
	CP_TM_MIXED,
	CP_TM_NONSECURE,
	CP_TM_ROLLBACK_ON,
	CP_TM_ROLLBACK_OFF,
	CP_TM_OPS
};

struct cp_tm_step {
	enum cp_tm_op op;
	int ident;            /* enum cp_tm_ident where the operation has one, else -1 */
	enum cp_tm_with with; /* CP_TM_SIGN_ITL */
	bool has_to;
	uint8_t to[CP_TM_ID]; /* the new certificate where it is known */
};

/** "regenerate TVS". Returns buf. */
const char *cp_tm_step_name(const struct cp_tm_step *step, char *buf, size_t size);

/**
 * One step from words as cp_tm_step_name() writes them; also "regen" and "sign with". 0, -EINVAL with one line
 * in 'why'.
 */
int cp_tm_step_parse(const char *text, struct cp_tm_step *ret, char *why, size_t why_size);

/** The world behind the step. 0; -EPROTO with 'why': the step means nothing now (no CTL, nothing to return to). */
int cp_tm_apply(struct cp_tm_world *w, const struct cp_tm_step *step, char *why, size_t why_size);

#endif
