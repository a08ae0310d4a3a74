/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What belongs into an ITL, and into the server part of a CTL: pure functions of the cluster's certificates, so that
 * a plan can ask what a list would be after a change without making it (002:P2-20 to P2-29).
 */
#ifndef CP_ITL_H
#define CP_ITL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "trust/peers.h"
#include "trustlist.h"

#define CP_ITL_ENTRIES_MAX 24

/* The cluster's own certificates that lists speak of, by the signer's identity names. Any may be NULL: it is not there. */
struct cp_trust_own {
	X509 *callmanager, *tftp, *tftp_prev, *tftp_ec, *tvs, *capf, *capf_tls, *recovery;
	X509 *sast1, *sast2;
	X509 *tvs_peer[CP_PEERS_TVS_MAX]; /* of other nodes: "TVS-trust.1" and so on */
};

typedef X509 *(*cp_own_fn)(void *ctx, const char *name); /* a reference, or NULL */
void cp_trust_own_get(struct cp_trust_own *own, cp_own_fn fn, void *ctx);
void cp_trust_own_free(struct cp_trust_own *own);
/** The same certificates in the same places. */
bool cp_trust_own_same(const struct cp_trust_own *a, const struct cp_trust_own *b);

struct cp_itl_in {
	const struct cp_trust_own *own;
	enum pki_tl_class cls;
	bool mixed;           /* the cluster's mode: said by a CCM record with a certificate, here or in the CTL */
	bool ccm_in_ctl;      /* ... and the CallManager certificate of today is there */
	bool rollback;        /* TVS and TFTP sections are empty: phones forget what they know (002:P2-47 to P2-52) */
	const char *sign_with; /* "auto", "TFTP", "TFTP.prev", "ITLRecovery" */
	const char *host;     /* of our records; may be NULL */
	const uint8_t *ip;    /* 4 bytes or NULL */
};

struct cp_itl_out { /* certificates are borrowed from 'own' */
	struct pki_tl_entry entry[CP_ITL_ENTRIES_MAX];
	unsigned cnt;
	X509 *signer;
	const char *ident; /* signer identity that holds its key */
};

/**
 * The entries, the signer's first, and who signs. There are exactly two SAST records, since phones read no more: the TFTP
 * certificate and the recovery one; while TFTP.prev leads phones over, that one in place of the recovery record.
 *
 * "auto": TFTP.prev as long as it is not retired, so that phones which know only the old key take the list that tells
 * them of the new one; else TFTP. 0; -ENOENT: 'sign_with' names what there is not (a TFTP.prev that is gone is "auto" again);
 * -EAGAIN: no TFTP or recovery certificate yet; -EINVAL: no such way. 'why' gets one line.
 */
int cp_itl_entries(const struct cp_itl_in *in, struct cp_itl_out *ret, char *why, size_t why_size);

/**
 * The server part of a CTL, appended to 'entry': CCM, TFTP, CAPF, each certificate once per role (004a:CTL-02, CTL-05).
 * 0, -EMSGSIZE: more than 'max', -EAGAIN: no CallManager or TFTP certificate.
 */
int cp_ctl_servers(const struct cp_trust_own *own, enum pki_tl_class cls, const char *host, const uint8_t *ip,
		   struct pki_tl_entry *entry, unsigned max, unsigned *cnt);

/** A token of "the same certificate": DER for DER. NULLs are not the same. */
bool cp_cert_same(const X509 *a, const X509 *b);

#endif
