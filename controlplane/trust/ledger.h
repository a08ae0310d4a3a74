/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The trust ledger: for every phone, which CTL, ITL and LSC it was last known to hold, and how that is known. It is
 * what `ravelinctl trust plan` computes with. Lists are known by the SHA-256 of the whole file; those once served are kept
 * in the store (family trust, key "list/" + hash) as long as any phone is known to hold them. Event loop's thread.
 *
 * What is heard is gathered for CP_LEDGER_GATHER_MS and written in one batch: 20,000 phones that boot within seconds
 * cost a few hundred synced writes, and none at all if they fetch what they are known to hold. A crash in between forgets
 * what was heard in that time: the phone is then believed to hold an older list than it does. Its next fetch mends that.
 *
 * Only devices that the store has are written down, so that strangers who ask for lists cannot fill it.
 *
 * A fetch is no acceptance. It counts as the phone's only where the phone is proven to be: it registered from that address (already, or
 * within CP_LEDGER_PROOF_US), or named itself by a token. Until then it is a claim: a second thing that the phone may hold,
 * and a change must strand neither. Proven, it is taken by the phone if the lists that it is known to hold would take it (cp_tm_takes());
 * if not, it keeps what it held, and the fetch stands as a doubt, a claim again.
 */
#ifndef CP_LEDGER_H
#define CP_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "config.h"
#include "model.h"
#include "store/store.h"
#include "trustlist.h"

#define CP_LEDGER_GATHER_MS 50
#define CP_LEDGER_SEEN_US   (INT64_C(3600) * 1000000) /* "seen" alone is written at most so often */
#define CP_LEDGER_PROOF_US  (INT64_C(3600) * 1000000) /* from a fetch to the registration that proves it: no address changes hands sooner */
#define CP_LEDGER_CLAIMS    3                         /* of one phone, by address */

struct cp_admin;
struct cp_app;
struct cp_offload;
struct event_base;
struct cp_ledger;

enum cp_ledger_how {
	CP_LEDGER_FETCHED = 1, /* it fetched the whole file and asked for the next one */
	CP_LEDGER_HANDSHAKE,   /* it completed a TLS handshake with this certificate of ours, or showed this LSC */
	CP_LEDGER_TVS,         /* it asked TVS */
	CP_LEDGER_IMPORTED,    /* an operator said so: phones that come from another cluster */
	CP_LEDGER_CAPF,        /* it got or lost an LSC */
};

struct cp_ledger_claim { /* fetched under the phone's name from there, and not proven to be its own */
	struct cfg_addr from; /* without port; family 0: not known */
	bool has_ctl, has_itl;
	uint8_t ctl[32], itl[32];
	int64_t us; /* the last fetch */
};

enum { CP_LEDGER_DOUBT_CTL = 1, CP_LEDGER_DOUBT_ITL = 2 };

struct cp_ledger_rec { /* family ledger, key: device */
	char device[16];
	uint8_t ctl[32], itl[32];    /* SHA-256 of the file; all zero: none known */
	bool has_ctl, has_itl;
	uint8_t ctl_how, itl_how;    /* enum cp_ledger_how */
	int64_t ctl_us, itl_us;      /* wall clock */
	uint8_t lsc[32];             /* SHA-256 of the certificate */
	bool has_lsc;
	int64_t lsc_us, lsc_expires_us;
	uint8_t ccm[32];             /* SHA-256 of the CallManager certificate that its last handshake accepted */
	bool has_ccm;
	int64_t ccm_us;
	bool blank;                  /* no list known, and that is known: it was reset, an operator said */
	int64_t seen_us;             /* anything heard of it */
	uint8_t doubt;               /* CP_LEDGER_DOUBT_*: it fetched a list that what it holds would refuse */
	bool vague;                  /* there were more claims than are kept */
	struct cp_buf unknown;
	struct cp_ledger_claim *claim; /* heap */
	unsigned claim_cnt;
};
int cp_ledger_rec_build(const struct cp_ledger_rec *rec, struct cp_buf *ret);
int cp_ledger_rec_parse(const uint8_t *data, size_t len, struct cp_ledger_rec *ret);
void cp_ledger_rec_free(struct cp_ledger_rec *rec);

/* A list that some phone holds: family trust, key "list/" and the 32 bytes of its SHA-256. */
struct cp_ledger_file {
	uint8_t kind; /* enum pki_tl_kind */
	int64_t first_us;
	struct cp_buf file;
	struct cp_buf unknown;
};
int cp_ledger_file_build(const struct cp_ledger_file *rec, struct cp_buf *ret);
int cp_ledger_file_parse(const uint8_t *data, size_t len, struct cp_ledger_file *ret);
void cp_ledger_file_free(struct cp_ledger_file *rec);

struct cp_ledger_env {
	struct event_base *base;
	struct cp_store *store;
	/* What the cluster serves to phones of a class, now. 0, or -EAGAIN: nothing can be said yet. */
	int (*world)(void *ctx, enum pki_tl_class cls, struct cp_tm_world *ret);
	void *ctx;
	enum pki_tl_class default_class; /* of devices whose model is not known; 0: modern */
	int64_t (*now_us)(void *ctx);    /* wall clock; NULL: the system's */
	struct cp_offload *offload;      /* orders of a plan are searched there; NULL: on the loop */
};
int cp_ledger_create_env(const struct cp_ledger_env *env, struct cp_ledger **ret);
/** The same for the running appliance; after cp_lists_create(). */
int cp_ledger_create(struct cp_app *app, struct cp_ledger **ret);
/** Write what is gathered now, and wait for it: before cp_store_close(), so that stopping forgets nothing. */
void cp_ledger_stop(struct cp_ledger *ledger);
/** After cp_store_close(). NULL is allowed. */
void cp_ledger_destroy(struct cp_ledger *ledger);
/** Registers trust.plan, trust.status, trust.ledger, trust.forget, trust.confirm. */
int cp_ledger_commands(struct cp_ledger *ledger, struct cp_admin *admin);

/** The phone itself fetched this list (CP_LEDGER_FETCHED: it may refuse it), or has it: 'file' is kept until no phone holds it. */
void cp_ledger_list(struct cp_ledger *ledger, const char *device, enum pki_tl_kind kind, const uint8_t *file, size_t len,
		    enum cp_ledger_how how);
/** The same with the file's SHA-256, which who serves it has at hand. */
void cp_ledger_list_sha(struct cp_ledger *ledger, const char *device, enum pki_tl_kind kind, const uint8_t sha256[32],
			const uint8_t *file, size_t len, enum cp_ledger_how how);
/** Somebody at 'from' fetched the phone's list: proven by cp_ledger_here(), or never. */
void cp_ledger_claim(struct cp_ledger *ledger, const char *device, enum pki_tl_kind kind, const uint8_t sha256[32],
		     const uint8_t *file, size_t len, const struct cfg_addr *from);
/** The phone registered from there. */
void cp_ledger_here(struct cp_ledger *ledger, const char *device, const struct cfg_addr *from);
/** What was fetched last under its name it holds: an operator says so. 0, -ENOENT: no such device, or nothing is unproven. */
int cp_ledger_confirm(struct cp_ledger *ledger, const char *device);
/** The phone forgot its lists (factory reset, erased by hand): an operator says so. 0, -ENOENT: no such device. */
int cp_ledger_forget(struct cp_ledger *ledger, const char *device);
/** It finished a TLS handshake in which we showed 'ours' (CallManager's certificate). */
void cp_ledger_handshake(struct cp_ledger *ledger, const char *device, X509 *ours);
/** It asked TVS, from where it is registered. */
void cp_ledger_tvs(struct cp_ledger *ledger, const char *device);
void cp_ledger_lsc(struct cp_ledger *ledger, const char *device, X509 *cert, enum cp_ledger_how how); /* NULL: deleted */
/** The same by its DER; len 0: deleted. */
void cp_ledger_lsc_der(struct cp_ledger *ledger, const char *device, const uint8_t *der, size_t len, enum cp_ledger_how how);
const struct cp_ledger_rec *cp_ledger_find(const struct cp_ledger *ledger, const char *device);
/** What it is believed to hold, for cp_tm_boot(); lists are borrowed until the loop runs. False: not known. */
bool cp_ledger_holds(const struct cp_ledger *ledger, const char *device, struct cp_tm_phone *ret);
/** What the cluster serves, as plans see it. 0, -EAGAIN. */
int cp_ledger_world(const struct cp_ledger *ledger, enum pki_tl_class cls, struct cp_tm_world *ret);

/*
 * Changes that may strand phones. A plan lists steps; each has its count of phones that would be left without any way to
 * trust us. Whoever carries a change out asks cp_ledger_allow() first.
 */
enum cp_trust_change {
	CP_TRUST_REGEN,   /* a certificate of ours is replaced: 'subject' is the signer's identity */
	CP_TRUST_SIGNER,  /* the list 'subject' ("ctl", "itl") gets another signer, see 'to' */
	CP_TRUST_REMOVE,  /* an entry leaves a list */
	CP_TRUST_MODE,    /* "mixed", "nonsecure" */
	CP_TRUST_ROLLBACK, /* "on", "off" */
	CP_TRUST_RESTORE,  /* keys of a backup replace ours: 'subject' goes back to what it was before it was regenerated; NULL: all */
	CP_TRUST_RETIRE,   /* NAME.prev is dropped: 'subject' is NAME */
	CP_TRUST_LIST,     /* the list 'subject' ("ctl", "itl") becomes exactly 'entry', signed with 'to' */
};
struct cp_trust_ask {
	enum cp_trust_change change;
	const char *subject; /* identity or list */
	X509 *to;            /* the new certificate where it is known, else NULL */
	/* CP_TRUST_LIST: per class, borrowed; classes with cnt 0 keep what they have */
	const struct pki_tl_entry *entry[PKI_CLASS_MAX];
	unsigned cnt[PKI_CLASS_MAX];
	bool mixed;          /* with "ctl": the cluster's mode behind it */
};
/**
 * 0: nobody is stranded, or 'strand' is exactly the number; -EPERM: *ret_count phones would be (and 'why' says which, why and what to
 * do first), -EPROTO: the change means nothing now. Counted are phones that could follow until now and could not any more, each
 * believed to come back only after the change, with what the ledger says it holds. Phones of which that is not known:
 * with a claim: counted if either of what they may hold would be stranded;
 * never heard of: counted if one that holds nothing, or what is served today, would be stranded; heard of, but what they
 * hold is not known: counted as soon as any other is.
 */
int cp_ledger_allow(struct cp_ledger *ledger, const struct cp_trust_ask *ask, int64_t strand, unsigned *ret_count, char *why,
		    size_t why_size);

struct cp_ledger_stats {
	unsigned phones;         /* heard of */
	unsigned lists;          /* kept */
	uint64_t batches, writes; /* submitted; records in them */
	uint64_t failed;         /* batches that the store refused: written again */
	bool idle;               /* nothing waits to be written */
};
void cp_ledger_stats(const struct cp_ledger *ledger, struct cp_ledger_stats *ret);

#endif
