/* SPDX-License-Identifier: BSD-3-Clause */
/* From certificates and files to the names that model.h reckons with. */
#ifndef CP_TRUST_WORLD_H
#define CP_TRUST_WORLD_H

#include <openssl/x509.h>

#include "model.h"

struct cp_ctl_rec;

/** The SHA-256 of a certificate's DER: what names it in the model. 0, -EIO. */
int cp_tm_cert_id(const X509 *cert, uint8_t ret[CP_TM_ID]);

/**
 * The certificates of a parsed list. 'signer' (may be NULL): the name of the SAST record of the list itself that its header
 * says signed it; all zero if there is none. A record without certificate is left out, unless it has a public key:
 * such a SAST (an old hardware token) is named by key and serial number.
 */
int cp_tm_list_of(const struct pki_tl *tl, struct cp_tm_list *ret, uint8_t signer[CP_TM_ID]);
/** The same of the entries that pki_tl_build() gets. */
int cp_tm_list_entries(const struct pki_tl_entry *entry, unsigned cnt, struct cp_tm_list *ret);

struct cp_tm_source { /* what a world is made of; everything borrowed */
	X509 *(*own)(void *ctx, const char *name); /* by the signer's identity name, "NAME.prev" too: a reference, or NULL */
	void *ctx;
	enum pki_tl_class cls;
	bool mixed, rollback;
	bool no_tvs;         /* TVS is off (enrol.tvs_port 0): there is nobody whom phones could ask */
	const char *with;    /* who signs the ITL, as set: "auto", ... */
	const uint8_t *ctl, *itl; /* files in force; NULL: none */
	size_t ctl_len, itl_len;
	const struct cp_ctl_rec *rec; /* the CTL's: its tokens, and what of other clusters is in it; NULL: none */
};
/** 0; -EBADMSG: a file in force cannot be read; -EINVAL; -ENOMEM. */
int cp_tm_world_make(const struct cp_tm_source *src, struct cp_tm_world *ret);

#endif
