/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The CTL operation: what a change of the CTL is, whether it may be made, and the entries of the file that comes out. Pure:
 * a record and a change in, a record and entries out; who signs, stores and serves is lists.c. Errors: -EINVAL, -EEXIST,
 * -ENOENT, -EPERM (not allowed), each with the documents' own message (004c, table 9-2) in 'why'; -ENOMEM.
 */
#ifndef CP_CTLOP_H
#define CP_CTLOP_H

#include "itl.h"
#include "lists.h"
#include "listrec.h"

#define CP_CTL_ADD_MAX 16 /* tokens, servers and deletions of one change */

struct cp_ctl_tftp_add {
	const char *host;
	const char *address; /* may be NULL */
	X509 *cert;
};

struct cp_ctl_change { /* everything borrowed */
	bool set_mode;
	enum cp_cluster_mode mode;
	bool tokenless; /* the CallManager key signs, the recovery key is the second SAST */
	bool recreate;  /* all tokens are lost or one leaked (004c:CR-05): the CTL there is counts for nothing; with set_mode */
	X509 *token[CP_CTL_ADD_MAX]; /* to add */
	unsigned token_cnt;
	const char *del_token[CP_CTL_ADD_MAX]; /* by name, or at least 8 hex digits of the certificate's SHA-256 */
	unsigned del_token_cnt;
	struct cp_ctl_tftp_add tftp[CP_CTL_ADD_MAX];
	unsigned tftp_cnt;
	const char *del_tftp[CP_CTL_ADD_MAX]; /* by host */
	unsigned del_tftp_cnt;
	const char *signer;  /* name of a token of ours that is to sign; NULL: any */
	X509 *signer_cert;   /* or the token that will sign elsewhere; NULL: one of ours */
	const char *who;     /* for the record */
	int64_t now_us;
};

struct cp_ctl_plan { /* owns 'next' and 'certs' */
	struct cp_ctl_rec next; /* without files of the new list */
	X509 *signer;           /* borrowed from 'certs' */
	const char *ident;      /* the signer's identity that holds the key ("SAST1", "SAST1.prev"); NULL: it is elsewhere */
	char ident_buf[CP_NAME_MAX];
	STACK_OF(X509) *certs;
	struct pki_tl_entry entry[PKI_CLASS_MAX][PKI_TL_REC_MAX]; /* by class */
	unsigned cnt[PKI_CLASS_MAX];
	bool first;             /* there was no CTL before */
	const char *warning;    /* what an operator should be told beside "done"; NULL: nothing */
};

/**
 * Apply a change. 'own' are the certificates of today; 'get' looks identities up by name, so that a token whose identity
 * was made anew can still sign by "NAME.prev". On success cp_ctl_plan_free() releases *ret.
 */
int cp_ctlop_plan(const struct cp_ctl_rec *cur, const struct cp_ctl_change *ch, const struct cp_trust_own *own, cp_own_fn get,
		  void *get_ctx, const char *host, const uint8_t *ip, struct cp_ctl_plan *ret, char *why, size_t why_size);
void cp_ctl_plan_free(struct cp_ctl_plan *plan);

/**
 * Take over what phones of another cluster need: the SASTs, CAPF and TVS records of its CTL. Changes 'rec' only; a CTL that
 * is in force gets them by the next operation. *ret_known: one of our own tokens is a SAST of it already, so that its
 * phones take our lists as they are. -EBADMSG: not a CTL with two SASTs that verifies by itself.
 */
int cp_ctlop_import(struct cp_ctl_rec *rec, const struct pki_tl *tl, const struct cp_trust_own *own, unsigned *ret_sasts,
		    unsigned *ret_extras, bool *ret_known, char *why, size_t why_size);

/** A certificate of a token or server can be listed: CT-18, one message per rule. 0 or -EINVAL. */
int cp_ctl_cert_check(X509 *cert, bool token, int64_t now_us, char *why, size_t why_size);

#endif
