/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One CAPF session, from the server's first message to its last: what is asked of the phone in which order, what is checked, and how
 * it ends (wire-formats 4.6, 4.7; 004b:CAPF-04 to CAPF-22). Bytes in, bytes out; what must be looked up, signed or written down is
 * asked of its owner, who answers later, so that nothing here waits. One thread.
 *
 * What a phone is told is done was written down before: STORE_CERT_REQUEST goes out after the certificate's record is synced, and
 * END_SESSION after the operation's end is.
 */
#ifndef CP_ENROL_CAPFSESS_H
#define CP_ENROL_CAPFSESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "enrol/capfauth.h"
#include "enrol/capfmsg.h"
#include "spki.h"

#define CP_CAPF_AUTH_S   60   /* until the phone has said who it is */
#define CP_CAPF_KEYGEN_S 2400 /* it may take 30 minutes and more (004b:CAPF-07) */
#define CP_CAPF_STORE_S  120  /* it writes its flash */
#define CP_CAPF_OWNER_S  60   /* for what is asked of the owner */
#define CP_CAPF_PROGRESS_MAX 16 /* REQUEST_IN_PROGRESS: more of them give no more time */

enum cp_capf_op { CP_CAPF_OP_NONE, CP_CAPF_OP_INSTALL, CP_CAPF_OP_DELETE, CP_CAPF_OP_FETCH };

enum cp_capf_by { /* as capfAuthMode: store/phonecfg.h's enum cp_capf_auth */
	CP_CAPF_BY_NOBODY, /* no operation is allowed */
	CP_CAPF_BY_STRING,
	CP_CAPF_BY_NULL,
	CP_CAPF_BY_LSC, /* either certificate: the phone has the precedence */
	CP_CAPF_BY_MIC,
};

/* How a session ended. Each has a line for the operator and what to do: cp_capf_outcome_text(), cp_capf_outcome_remedy(). */
enum cp_capf_outcome {
	CP_CAPF_OUT_DONE,
	CP_CAPF_OUT_NOTHING,        /* no operation is pending */
	CP_CAPF_OUT_UNKNOWN_DEVICE,
	CP_CAPF_OUT_WRONG_STRING,
	CP_CAPF_OUT_LOCKED,         /* wrong strings came too often */
	CP_CAPF_OUT_NO_CERTIFICATE, /* the mode wants one: it has neither LSC nor MIC (004b:CAPF-20, CAPF-21) */
	CP_CAPF_OUT_CERTIFICATE,    /* it shows one that is not believed */
	CP_CAPF_OUT_NOT_ALLOWED,    /* its authentication mode is none */
	CP_CAPF_OUT_VERSION,
	CP_CAPF_OUT_PROTOCOL,       /* malformed, out of turn, another session's */
	CP_CAPF_OUT_NO_KEY,         /* the phone could not make the key */
	CP_CAPF_OUT_KEY,            /* it made another one than was asked for, or one that is too weak */
	CP_CAPF_OUT_ISSUE,          /* we could not issue */
	CP_CAPF_OUT_PHONE,          /* the phone could not store, delete or show */
	CP_CAPF_OUT_TIMEOUT,
	CP_CAPF_OUT_GONE,           /* the connection ended */
	CP_CAPF_OUT_BUSY,           /* another session of this device is under way */
	CP_CAPF_OUT_STORE,          /* it was done, and could not be written down: the phone was told that it failed */
	CP_CAPF_OUT_AWAITING,       /* a third party's CA has not issued yet */
	CP_CAPF_OUT_CA,             /* it refused */
	CP_CAPF_OUT_OLD_KEY,        /* the phone has not the key of the certificate that came meanwhile */
	CP_CAPF_OUT_MAX
};
const char *cp_capf_outcome_text(enum cp_capf_outcome out);
const char *cp_capf_outcome_remedy(enum cp_capf_outcome out); /* "" where there is nothing to do */

/* What is to be done with a device. The session wipes its copy. */
struct cp_capf_order {
	uint8_t op; /* enum cp_capf_op */
	uint8_t by; /* enum cp_capf_by */
	bool locked;
	char string[CP_CAPF_STRING_MAX + 1];
	uint8_t key; /* enum cp_capf_key that is asked for, with: */
	uint8_t curve;
	uint16_t rsa_bits;
	bool ready;     /* the certificate of the key that it made before is there: it is not asked for another */
	bool awaiting;  /* it is asked for, and not there */
	bool old_phone; /* a class that knows no SHA-2, and may have an RSA key below 2,048 bits */
};

struct cp_capf_end { /* of a session; pointers are valid during the call */
	enum cp_capf_outcome outcome;
	uint8_t op;           /* enum cp_capf_op; NONE if it ended before that was known */
	const char *device;   /* as the record has it: upper case; "" not known */
	const char *detail;   /* one line, "" none: may quote the phone */
	bool authenticated;   /* the outcome is that of the operation and not of somebody who has its name */
	bool offered;         /* a certificate had gone out to the phone: it may hold it, whatever the outcome */
	X509 *proof;          /* certificate it authenticated with, or NULL */
	enum cp_capf_proof proof_kind;
	X509 *fetched;        /* FETCH: what it showed */
	uint8_t fetched_kind; /* enum cp_capf_cert_type as it said */
};

struct cp_capf_sess;

struct cp_capf_owner {
	/** Queue bytes to the phone: a whole message, at once (phones stall on a header that comes alone). */
	void (*send)(void *ctx, const uint8_t *data, size_t len);
	/** The session is over: send what waits and close. Called once, last; cp_capf_sess_destroy() may follow from inside. */
	void (*close)(void *ctx);
	/** What is to be done with this device (upper case)? cp_capf_sess_order() answers, perhaps from inside. */
	void (*order)(void *ctx, struct cp_capf_sess *s, const char *device);
	/** It proved who it is, as the order demands. May be NULL. */
	void (*known)(void *ctx);
	/** Issue for this key, write it down as offered, and answer with cp_capf_sess_issued(). 'key' is valid during the call; NULL: offer
	 * what is ready. */
	void (*issue)(void *ctx, struct cp_capf_sess *s, const char *device, const struct pki_spki *key);
	/** Write down how it ended and answer with cp_capf_sess_recorded(). Once for each session whose device was found, also when the
	 * connection is gone already. */
	void (*record)(void *ctx, struct cp_capf_sess *s, const struct cp_capf_end *end);
	/** Whom to believe, now: filled in, borrowed until the loop runs again. */
	void (*trust)(void *ctx, struct cp_capf_trust *ret);
	int64_t (*now)(void *ctx);     /* wall clock, seconds */
	uint64_t (*now_ms)(void *ctx); /* monotonic */
	void *ctx;
};

/** 'id' is the session's, not 0. Sends AUTH_REQUEST. NULL: no memory. */
struct cp_capf_sess *cp_capf_sess_create(const struct cp_capf_owner *owner, uint32_t id);
/** After close(), or when nothing the owner was asked is outstanding. NULL is allowed. */
void cp_capf_sess_destroy(struct cp_capf_sess *s);

/** One whole message. */
void cp_capf_sess_input(struct cp_capf_sess *s, const uint8_t *msg, size_t len);
/** What came is no CAPF message at all; the session ends with an error to the phone. */
void cp_capf_sess_garbage(struct cp_capf_sess *s);
/** The connection is gone. record() may follow; close() does not wait for anything but its answer. */
void cp_capf_sess_gone(struct cp_capf_sess *s);
/** When cp_capf_sess_tick() should be called next: now_ms()'s time. */
uint64_t cp_capf_sess_deadline(const struct cp_capf_sess *s);
void cp_capf_sess_tick(struct cp_capf_sess *s);

/** rc 0, -ENOENT: no such device; -EBUSY: there is another session of it; others: cannot be said now. 'order' is copied. */
void cp_capf_sess_order(struct cp_capf_sess *s, int rc, const struct cp_capf_order *order);
/** rc 0 with the certificate's DER, synced as offered; -EINPROGRESS: it is asked of a CA and not there yet; -EKEYREJECTED: that refused; else
 * it failed. 'why' says how. */
void cp_capf_sess_issued(struct cp_capf_sess *s, int rc, const uint8_t *der, size_t len, const char *why);
/** rc 0: synced. */
void cp_capf_sess_recorded(struct cp_capf_sess *s, int rc);

#endif
