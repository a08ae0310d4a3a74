/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the certificate manager: certs.c (trust stores, listeners), own.c and ownop.c (the signer's), certs_cmd.c, expiry.c. */
#ifndef CP_CERTS_INT_H
#define CP_CERTS_INT_H

#include <jansson.h>

#include "certs.h"
#include "expiry.h"
#include "signerc/signerc.h"
#include "store/records.h"
#include "turn.h"

#define CERTS_STORE_MAX  100 /* certificates in one trust store: their names go into each handshake */
#define CERTS_SERVED_MAX 8
#define CERTS_WATCH_MAX  8
#define CERTS_KEY_MAX    128 /* "<store>/" and 64 hex digits, NUL counted */

struct cp_admin_req;
struct event;
struct cp_certs;

/** A command on a certificate of ours, in our turn. True: it goes on by itself; false: it is answered. */
typedef bool (*certs_op_fn)(struct cp_certs *certs, struct cp_admin_req *req, const json_t *args);

struct cert_rec { /* family cert, key "<store>/<SHA-256>" */
	struct cp_buf der;
	char label[CP_TEXT_MAX]; /* the name of the file that it came in */
	char who[CP_TEXT_MAX];   /* who uploaded it */
	int64_t added_us;
	struct cp_buf unknown;
};
int cert_rec_build(const struct cert_rec *rec, struct cp_buf *ret);
int cert_rec_parse(const uint8_t *data, size_t len, struct cert_rec *ret);
void cert_rec_free(struct cert_rec *rec);

struct trusted {
	X509 *cert;
	uint8_t sha256[32];
	char label[CP_TEXT_MAX], who[CP_TEXT_MAX];
	int64_t added_us;
};

struct trust_store {
	struct trusted *list; /* by fingerprint, as the view has them */
	unsigned cnt;
	bool changed; /* since certs_apply() */
};

struct served {
	struct cp_tls *tls;
	char name[CP_SIGNER_IDENT_MAX];
	unsigned stores;
	bool lscs;
	EVP_PKEY *key;
	X509 *cert;
	STACK_OF(X509) *chain;
};

struct writing { /* a change of a trust store on its way to the disk */
	struct writing *next;
	char key[CERTS_KEY_MAX];
	bool adds;
};

struct cp_certs_lscs { /* as the ledger had them when it was looked at last */
	unsigned phones; /* that have one */
	unsigned at[EXPIRY_LEVELS];
	int64_t first_s; /* the first end of one; INT64_MAX */
};

struct cp_certs {
	struct cp_app *app;
	struct trust_store stores[CP_TS_MAX];
	struct writing *writing;
	struct served served[CERTS_SERVED_MAX];
	unsigned served_cnt;
	STACK_OF(X509) *lsc_cas; /* the signer's: who issued LSCs, signer.trust; NULL: not asked yet */
	struct {
		cp_certs_fn fn;
		void *ctx;
	} watch[CERTS_WATCH_MAX];
	unsigned watch_cnt;
	cp_certs_allow_fn allow; /* NULL: nobody is asked */
	void *allow_ctx;
	/* own.c */
	struct cp_signer_ident *ident; /* as the signer said last */
	unsigned ident_cnt;
	bool busy;   /* a change of an own certificate is under way, or waits for its turn */
	struct cp_turn_wait turn;
	struct {     /* the command that waits for it */
		certs_op_fn fn;
		struct cp_admin_req *req;
		const json_t *args; /* the request's */
	} next;
	bool asking; /* the signer is being asked */
	bool stale;  /* it is to be asked again */
	struct event *apply_ev, *refresh_ev, *tick_ev;
	struct expiry_watch expiry;
	struct cp_certs_lscs lscs;
	int64_t (*now)(void *ctx); /* wall clock, seconds */
	void *now_ctx;
};

int64_t certs_now(const struct cp_certs *certs);
bool certs_legacy(const struct cp_certs *certs);
void certs_key(enum cp_trust_store ts, const uint8_t sha256[32], char ret[CERTS_KEY_MAX]);
/** What changed since the last time is taken into use: listeners, watchers, alarms. */
void certs_apply(struct cp_certs *certs);
/** Make a listener's context anew from what it has. 0 or negative errno, with an alarm. */
int certs_reload(struct cp_certs *certs, struct served *s);
void certs_notify(struct cp_certs *certs, const char *name);
struct trusted *certs_find(struct cp_certs *certs, enum cp_trust_store ts, const uint8_t sha256[32]);

typedef json_t *(*certs_row_fn)(struct cp_certs *certs, const char *store, X509 *cert, const char *note);

/* certs_cmd.c */
/** The machine's word for why something was refused: "malformed", "weak-key", ... */
const char *certs_code(int rc);
/** Answer with the refusal once it is in the audit; 'about' names store or identity, 'why' what is wrong. */
void certs_refuse(struct cp_certs *certs, struct cp_admin_req *req, const char *what, const char *about, const char *code,
		  const char *why);
/** Certificates of "data" or "pem". 0, or why not, not answered yet. */
int certs_arg_file(const json_t *args, STACK_OF(X509) **ret, char *why, size_t why_size);

/* own.c, ownop.c */
int certs_own_create(struct cp_certs *certs);
void certs_own_destroy(struct cp_certs *certs);
int certs_own_commands(struct cp_certs *certs);
/** No turn is waited for any more: the command that did is answered. */
void certs_op_stop(struct cp_certs *certs);
/** What the signer said of an identity last; NULL: none. */
const struct cp_signer_ident *certs_ident(const struct cp_certs *certs, const char *name);
/** Ask the signer again, soon. */
void certs_refresh(struct cp_certs *certs);
/** Rows of our own certificates, made by 'row'. */
void certs_own_rows(struct cp_certs *certs, json_t *list, certs_row_fn row);

/* watch.c */
int certs_watch_create(struct cp_certs *certs);
void certs_watch_destroy(struct cp_certs *certs);
/** Alarms as the certificates are now. */
void certs_expiry(struct cp_certs *certs);
/** The alarm of phones' LSCs, counted anew; and the row of them that show certs has. */
void certs_lscs(struct cp_certs *certs);
void certs_lsc_row(struct cp_certs *certs, json_t *list);
/** The timer's: look if it is time to. */
void certs_tick(struct cp_certs *certs, int64_t mono_s);
/** "valid", "expires", "expired", "not-yet-valid". */
const char *certs_state(X509 *cert, int64_t now);

#endif
